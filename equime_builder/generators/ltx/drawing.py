"""The LTX generator behind the protocol of generators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equime_builder.generators.ltx.options import LtxOptions, check_size, frames_made
from equime_builder.generators.ltx.pictures import compressed, planes_from_video, rgb_from_planes
from equime_builder.generators.ltx.pipelines import load
from equime_builder.generators.ltx.texts import Texts, text_encoder
from equime_builder.generators.ltx.weights import find_pipeline
from equime_builder.generators.protocol import ClipRequest
from equime_builder.generators.warp import build_rig, render_clip
from equime_builder.generators.warped import PreparedWarp
from equime_builder.portraits import Portrait
from equime_builder.scm import Program, Timing, sided_curves

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class PreparedLtx:
    """A portrait for LTX: its picture, and the warp generator's rig, which draws the keyframes."""

    image: Bytes
    warp: PreparedWarp

    def moved(self, program: Program) -> NDArray[np.bool_]:
        return self.warp.moved(program)

    def neutral(self) -> Bytes:
        """RGB (H, W, 3) of the warp generator's neutral frame."""
        return rgb_from_planes(self.warp.rig.neutral, self.warp.rig.size)

    def apex(self, program: Program) -> Bytes:
        """RGB (H, W, 3) of the warp generator's apex frame: the program at its full intensity, nothing else."""
        at = slice(program.timing.apex, program.timing.apex + 1)
        left, right = (curve[at] for curve in sided_curves(program))
        still = np.zeros((1, 3), np.float32)
        frames = render_clip(self.warp.rig, left=left, right=right, sway=still, noise_seed=0, noise_sigma=0.0)
        return rgb_from_planes(frames[0], self.warp.rig.size)


@dataclass(frozen=True, slots=True)
class Anchor:
    """A frame that a clip is fixed at, and whether it is the apex or neutral."""

    frame: int
    apex: bool


def anchors(timing: Timing, kind: str) -> tuple[Anchor, ...]:
    """First frame, the event's, and the last, in order; only the first anchor is at frame 0.

    The model places an anchor at the time of its frame, whatever its latents' grid of 8 frames.
    """
    inner = [Anchor(timing.apex, True)]
    if kind == "event":
        inner = [Anchor(max(1, timing.onset), False), *inner, Anchor(timing.offset, False)]
    return Anchor(0, False), *inner, Anchor(timing.frames - 1, False)


def from_disk(options: LtxOptions, device: torch.device) -> tuple[Any, Texts]:
    """Pipeline and texts of the model that the options name."""
    folder = find_pipeline(options)
    return load(folder, options, device), Texts(lambda: text_encoder(folder, options), device)


Load = Callable[[LtxOptions, torch.device], tuple[Any, Texts]]


class LtxGenerator:
    """LTX-Video: portraits and programs in, clips out.

    Every call of the model has the batch's size, short ones are filled with repetitions, and every draw comes from the
    clip's own generator on the CPU: a clip does not depend on the clips beside it.
    """

    name = "ltx"
    keeps_nuisance = False

    def __init__(self, options: LtxOptions, *, load: Load = from_disk, device: str | None = None) -> None:
        self.options = options
        self._load = load
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._loaded: tuple[Any, Texts] | None = None

    @property
    def model(self) -> str:
        return self.options.model

    @property
    def revision(self) -> str:
        return self.options.revision

    @property
    def batch(self) -> int:
        return self.options.clips_at_once

    @property
    def on_gpu(self) -> bool:
        return self._device.type != "cpu"

    def prepare(self, portrait: Portrait) -> PreparedLtx:
        """Raises `ValueError` for a picture whose sides are no multiples of 32."""
        check_size(*portrait.image.shape[:2])
        return PreparedLtx(portrait.image, PreparedWarp(build_rig(portrait.image, portrait.landmarks)))

    def load(self) -> tuple[Any, Texts]:
        """Pipeline and texts, loaded when first needed and kept.

        Raises:
            ModelMissing: the model is not on this machine.
        """
        if self._loaded is None:
            self._loaded = self._load(self.options, self._device)
        return self._loaded

    def render(self, requests: Sequence[ClipRequest]) -> list[Bytes]:
        """The clips, in the order of their requests: each (T, 3 * H // 2, W) uint8, planar I420.

        Raises:
            ValueError: clips of several sizes, lengths or frame rates in one batch, a prompt that is too long, or
                frames that are not finite, as half precision may bring about.
            ModelMissing: the model is not on this machine.
        """
        starts = range(0, len(requests), self.batch)
        with _one_thread() if self._device.type == "cpu" else nullcontext():
            return [clip for start in starts for clip in self._batch(requests[start : start + self.batch])]

    def _batch(self, requests: Sequence[ClipRequest]) -> list[Bytes]:
        forms = {(r.portrait.image.shape, r.program.timing.frames, r.program.timing.fps) for r in requests}
        if len(forms) != 1:
            raise ValueError(f"clips of one batch must have one size, length and frame rate, not {sorted(forms)}")
        shape, frames, fps = forms.pop()
        filled = [*requests, *[requests[-1]] * (self.batch - len(requests))]
        seeds = [torch.Generator("cpu").manual_seed(request.seed) for request in filled]
        pipe, texts = self.load()
        made = pipe(
            **self._conditions(filled),
            **self._words(filled, texts),
            height=shape[0],
            width=shape[1],
            num_frames=frames_made(frames),
            frame_rate=fps,
            num_inference_steps=self.options.steps,
            guidance_scale=self.options.guidance_scale,
            generator=seeds,
            output_type="latent",
            return_dict=False,
        )[0]
        latents = unpacked(pipe, made, frames_made(frames), shape)
        return [self._decode(pipe, latents[i : i + 1], seeds[i], frames) for i in range(len(requests))]

    def _conditions(self, requests: Sequence[ClipRequest]) -> dict[str, Any]:
        """What shows the model the portrait: the picture, or the warp generator's keyframes."""
        from PIL import Image

        prepared = compressed if self.options.picture == "compressed" else np.asarray
        if self.options.mode == "prompt":
            return {"image": [Image.fromarray(prepared(request.portrait.image)) for request in requests]}
        from diffusers.pipelines.ltx.pipeline_ltx_condition import LTXVideoCondition, linear_quadratic_schedule

        rows = [anchors(request.program.timing, self.options.anchors) for request in requests]
        conditions = []
        for place in zip(*rows, strict=True):
            pictures = [
                request.portrait.apex(request.program) if anchor.apex else request.portrait.neutral()
                for request, anchor in zip(requests, place, strict=True)
            ]
            images = [Image.fromarray(prepared(picture)) for picture in pictures]
            conditions.append(LTXVideoCondition(image=images, frame_index=[anchor.frame for anchor in place]))
        # The pipeline's own schedule, as plain numbers: it hands NumPy a tensor, which NumPy is about to refuse.
        steps = (linear_quadratic_schedule(self.options.steps) * 1000).tolist()
        return {"conditions": conditions, "timesteps": steps, "image_cond_noise_scale": self.options.anchor_noise}

    def _words(self, requests: Sequence[ClipRequest], texts: Texts) -> dict[str, torch.Tensor]:
        """Embeddings of prompts and negative prompts."""
        found = texts.embed([text for request in requests for text in (request.prompt, request.negative_prompt)])
        dtype = getattr(torch, self.options.dtype)
        words = {}
        for prefix, part in (("", found[::2]), ("negative_", found[1::2])):
            words[f"{prefix}prompt_embeds"] = torch.cat([text.states for text in part]).to(self._device, dtype)
            words[f"{prefix}prompt_attention_mask"] = torch.cat([text.mask for text in part]).to(self._device)
        return words

    def _decode(self, pipe: Any, latents: torch.Tensor, seed: torch.Generator, frames: int) -> Bytes:
        """One clip's latents (1, C, T', H', W') to its frames.

        diffusers' image-to-video pipeline decodes with one generator only, and fails on a list of them where the VAE
        is conditioned on a timestep; so noise is drawn here, from the clip's own.
        """
        options, vae, dtype = self.options, pipe.vae, pipe.vae.dtype
        mean, std, scale = vae.latents_mean, vae.latents_std, vae.config.scaling_factor
        latents = pipe._denormalize_latents(latents, mean, std, scale).to(dtype)
        timestep = None
        if vae.config.timestep_conditioning:
            noise = torch.randn(latents.shape, generator=seed).to(latents)
            latents = (1 - options.decode_noise_scale) * latents + options.decode_noise_scale * noise
            timestep = torch.tensor([options.decode_timestep], device=latents.device, dtype=dtype)
        with torch.no_grad():
            video = vae.decode(latents, timestep, return_dict=False)[0][0, :, :frames]
        if not torch.isfinite(video).all():
            raise ValueError(
                f"dtype={options.dtype}: the model made frames that are not finite; use bfloat16 or float32"
            )
        return planes_from_video(video)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums that threads divide are not the same bits on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def unpacked(pipe: Any, latents: torch.Tensor, frames: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Latents (N, C, T', H', W'); the image-to-video pipeline gives them as tokens (N, T' H' W', C)."""
    if latents.ndim != 3:
        return latents
    time = (frames - 1) // pipe.vae_temporal_compression_ratio + 1
    height, width = (side // pipe.vae_spatial_compression_ratio for side in shape[:2])
    patches = pipe.transformer_spatial_patch_size, pipe.transformer_temporal_patch_size
    unpacked_latents: torch.Tensor = pipe._unpack_latents(latents, time, height, width, *patches)
    return unpacked_latents
