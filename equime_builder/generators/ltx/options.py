"""What a plan says of the LTX generator, and the presets that fit it to a machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from equime_builder.typed import construct

MODES = ("prompt", "keyframe")
ANCHORS = ("event", "apex")
PICTURES = ("clean", "compressed")
DTYPES = ("bfloat16", "float16", "float32")
SPATIAL, TEMPORAL = 32, 8  # pixels and frames per latent of LTX-Video's VAE
# The published call's model; and the first one that was trained to be conditioned on frames inside a clip.
DEFAULT_MODELS = {"prompt": "Lightricks/LTX-Video", "keyframe": "Lightricks/LTX-Video-0.9.5"}

_COMMIT, _CONTENT = r"[0-9a-f]{40}", r"sha256:[0-9a-f]{64}"


@dataclass(frozen=True, slots=True)
class Preset:
    """How the model is run: `batch` clips at once, compiled or not, and where its weights lie.

    Attributes:
        arithmetic: ``dtype``, that of the options, or ``float8`` in the transformer's linear layers.
        storage: of the transformer's weights: ``dtype``, or ``float8``, computed in the dtype.
        decode: ``whole`` or ``pieces`` of 16 frames, which need less memory and change pixels where they meet.
        about: what it is for.
    """

    batch: int
    compiled: bool
    arithmetic: str
    storage: str
    decode: str
    about: str


PRESETS: dict[str, Preset] = {
    "fast": Preset(8, True, "dtype", "dtype", "whole", "one large GPU: batched and compiled"),
    "float8": Preset(8, True, "float8", "dtype", "whole", "as fast, with matrix products in 8 bits (Hopper, Ada)"),
    "low_memory": Preset(1, False, "dtype", "dtype", "whole", "GPUs of 8 GB, or a CPU: one clip at a time"),
    "least_memory": Preset(1, False, "dtype", "float8", "pieces", "GPUs of 4 GB: weights kept in 8 bits"),
}


@dataclass(frozen=True, slots=True)
class LtxOptions:
    """Options of the LTX generator: plain values, kept in the plan, since each of them changes pixels.

    Attributes:
        mode: ``prompt``, the published call, or ``keyframe``, conditioned on the warp generator's pictures.
        model: hub id, or the name of a local folder; empty for the mode's of `DEFAULT_MODELS`.
        revision: the model's commit of 40 hexadecimal digits, or ``sha256:`` and the hash of the folder's content.
        steps: denoising steps. guidance_scale: classifier-free guidance, 1 for none.
        preset: a name of `PRESETS`. batch: clips at once, 0 for the preset's.
        decode_timestep, decode_noise_scale: for VAEs that are conditioned on a timestep (0.9.1 and later), as the
            model's authors recommend. Others ignore them.
        picture: ``clean``, or ``compressed`` as the model's authors do: blurred and through H.264 at CRF 29.
        anchors: frames that keyframe mode fixes besides the apex: ``apex`` the first and last of the clip, ``event``
            the onset and offset too.
        anchor_noise: noise on the anchors while denoising, as `LTXConditionPipeline.image_cond_noise_scale`.
        step_cache: threshold of diffusers' first-block cache, 0 for none. It skips layers where a step changes little.

    Raises:
        ValueError: naming the option, its value and its bound.
    """

    mode: str = "prompt"
    model: str = ""
    revision: str = ""
    steps: int = 80
    guidance_scale: float = 3.0
    preset: str = "fast"
    batch: int = 0
    dtype: str = "bfloat16"
    decode_timestep: float = 0.05
    decode_noise_scale: float = 0.025
    picture: str = "clean"
    anchors: str = "event"
    anchor_noise: float = 0.15
    step_cache: float = 0.0

    def __post_init__(self) -> None:
        words = (("mode", MODES), ("preset", PRESETS), ("dtype", DTYPES), ("picture", PICTURES), ("anchors", ANCHORS))
        for name, known in words:
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)!r} must be one of {', '.join(known)}")
        for holds, name, bound in (
            (self.model == self.model.strip(), "model", "a hub id or a folder's name"),
            (_pinned(self.revision), "revision", "a commit of 40 hexadecimal digits, or sha256: and 64 of them"),
            (1 <= self.steps <= 1000, "steps", "within 1..1000"),
            (1 <= self.guidance_scale <= 20, "guidance_scale", "within 1..20"),
            (0 <= self.batch <= 64, "batch", "within 0..64, 0 for the preset's"),
            (0 <= self.decode_timestep <= 1, "decode_timestep", "within 0..1"),
            (0 <= self.decode_noise_scale <= 1, "decode_noise_scale", "within 0..1"),
            (0 <= self.anchor_noise <= 1, "anchor_noise", "within 0..1"),
            (0 <= self.step_cache <= 1, "step_cache", "within 0..1"),
        ):
            if not holds:
                raise ValueError(f"{name}={getattr(self, name)!r} must be {bound}")
        if self.step_cache and self.clips_at_once > 1:
            raise ValueError(
                f"step_cache={self.step_cache} goes with batch=1, not {self.clips_at_once}: the cache decides for a "
                "batch as a whole, so that a clip would depend on its neighbors"
            )

    @property
    def clips_at_once(self) -> int:
        return self.batch or PRESETS[self.preset].batch

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values with the batch written out; `options_from` reads them back."""
        return asdict(replace(self, batch=self.clips_at_once))


def _pinned(revision: str) -> bool:
    return not revision or re.fullmatch(f"{_COMMIT}|{_CONTENT}", revision) is not None


def options_from(values: Mapping[str, Any]) -> LtxOptions:
    """Options from plain values.

    Raises:
        ValueError: an unknown option, or a value that it cannot have.
    """
    try:
        options: LtxOptions = construct(LtxOptions, values)
    except ValueError as error:
        raise ValueError(f"generator ltx: {error}") from error
    return options


def check_size(height: int, width: int) -> None:
    """Raises `ValueError` unless both are multiples of 32."""
    for name, value in (("height", height), ("width", width)):
        if value <= 0 or value % SPATIAL:
            raise ValueError(f"{name}={value} must be a multiple of {SPATIAL} for generator ltx")


def frames_made(frames: int) -> int:
    """The least 8 k + 1 that is at least `frames`: what the model makes for a clip, which is then cut.

    diffusers rounds other numbers down without a word. 161 stays, 144 becomes 145.

    Raises:
        ValueError: fewer than one frame.
    """
    if frames < 1:
        raise ValueError(f"frames={frames} must be at least 1")
    return -(-(frames - 1) // TEMPORAL) * TEMPORAL + 1
