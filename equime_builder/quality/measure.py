"""The metrics of one clip in one pass over its frames: as they should be, or as they were published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from equime_builder.quality import similarity
from equime_builder.quality.scorers import Scorers

if TYPE_CHECKING:
    from torch import Tensor

# By the schema's names: similarity to the frame before, to the first frame and to the portrait; then each frame alone.
CORRECTED = (
    "psnr_db", "ssim", "psnr_first_db", "ssim_first", "psnr_portrait_db", "ssim_portrait",
    "total_variation", "brisque", "clip_iqa",
)  # fmt: skip
# By the published tables' names.
PUBLISHED = ("psnr_mean", "ssim_mean", "tv_mean", "brisque_mean", "clip_iqa_mean")
LEAST_SIDE = 32
NO_PORTRAIT = "portrait: "  # with which the note begins that there should be one

Chunks = Iterable[NDArray[np.uint8]]


class ClipFault(ValueError):
    """A clip that cannot be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Quality:
    """What was measured of a clip: number of frames, value by metric (None where there is none), and why not."""

    frames: int
    values: Mapping[str, float | None]
    notes: tuple[str, ...] = ()


class _Means:
    """Running means of what frames are given, NaN left out and counted."""

    def __init__(self, names: Iterable[str]) -> None:
        self.sums = dict.fromkeys(names, 0.0)
        self.counts = dict.fromkeys(self.sums, 0)
        self.refused = dict.fromkeys(self.sums, 0)

    def add(self, name: str, values: Tensor) -> None:
        found = values.double().cpu()
        valid = found[~found.isnan()]
        self.sums[name] += float(valid.sum())
        self.counts[name] += len(valid)
        self.refused[name] += len(found) - len(valid)

    def value(self, name: str) -> float | None:
        return self.sums[name] / self.counts[name] if self.counts[name] else None


def measure(chunks: Chunks, scorers: Scorers, *, portrait: NDArray[np.uint8] | None = None) -> Quality:
    """Measure a clip on its RGB frames, 0..1.

    PSNR and SSIM are means over frames against the frame before, the first frame and the portrait. Total variation is
    piq's divided by the root of the number of values, so that sizes compare. A frame too flat for BRISQUE is left out
    and counted in the notes.

    Args:
        chunks: the frames in their order, (n, H, W, 3) uint8 RGB, n >= 1.
        portrait: (h, w, 3) uint8 RGB, brought to the clip's size; None where there is none.

    Raises:
        ClipFault: no frames, frames of different sizes, or too small ones.
    """
    import torch

    means, count = _Means(CORRECTED), 0
    references: _References | None = None
    last: Tensor | None = None
    with torch.inference_mode():
        for pixels in _checked(chunks):
            frames = _tensor(pixels, scorers.device)
            references = references or _References.of(frames[:1], portrait)
            references.compare(means, frames, last)
            _score(
                means, scorers, frames, CORRECTED[-3:], similarity.total_variation(frames) / frames[0].numel() ** 0.5
            )
            last = frames[-1:]
            count += len(frames)
    return _quality(means, count)


@dataclass(frozen=True, slots=True)
class _Seen:
    """Frames as PSNR sees them, and the statistics of them that SSIM needs."""

    frames: Tensor
    moments: similarity.Moments

    @classmethod
    def of(cls, frames: Tensor, blur: similarity.Blur) -> _Seen:
        return cls(frames, similarity.moments(similarity.shrink(frames), blur))

    def __getitem__(self, chosen: slice) -> _Seen:
        return _Seen(self.frames[chosen], self.moments[chosen])


@dataclass(frozen=True, slots=True)
class _References:
    """What the frames of a clip are compared with, beside each other."""

    blur: similarity.Blur
    first: _Seen
    portrait: _Seen | None

    @classmethod
    def of(cls, first: Tensor, portrait: NDArray[np.uint8] | None) -> _References:
        blur = similarity.gaussian_blur(similarity.shrink(first))
        source = _portrait(portrait, first)
        return cls(blur, _Seen.of(first, blur), None if source is None else _Seen.of(source, blur))

    def compare(self, means: _Means, frames: Tensor, last: Tensor | None) -> None:
        """Compare frames with the one before each (`last` before the first of them), the first and the portrait."""
        import torch

        seen = _Seen.of(frames if last is None else torch.cat([last, frames]), self.blur)
        if len(seen.frames) > 1:
            self._add(means, "", seen[1:], seen[:-1])
            self._add(means, "_first", seen[1:], self.first)
        if self.portrait is not None:
            self._add(means, "_portrait", seen[-len(frames) :], self.portrait)

    def _add(self, means: _Means, name: str, one: _Seen, other: _Seen) -> None:
        means.add(f"psnr{name}_db", similarity.psnr(one.frames, other.frames))
        means.add(f"ssim{name}", similarity.ssim(one.moments, other.moments, self.blur, scale=1.0))


def measure_published(chunks: Chunks, scorers: Scorers) -> Quality:
    """Measure a clip by the published script's formulas, faults included, on gray frames.

    PSNR and SSIM are between consecutive frames. PSNR is of bytes that wrap around, 100 dB where frames are identical;
    SSIM is of 7 x 7 uniform windows; total variation, BRISQUE and CLIP-IQA are of each frame. Where a frame is too flat
    for BRISQUE the published script ends; here BRISQUE has no value and the notes say so.

    Args, Raises: as `measure`.
    """
    import cv2
    import torch

    means, count = _Means(PUBLISHED), 0
    last: Tensor | None = None
    with torch.inference_mode():
        for pixels in _checked(chunks):
            gray = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in pixels])
            levels = torch.from_numpy(gray[:, None]).to(scorers.device)
            joined = levels if last is None else torch.cat([last, levels])
            if len(joined) > 1:
                means.add("psnr_mean", similarity.published_psnr(joined[:-1], joined[1:]))
                blur = similarity.uniform_blur(joined.double())
                seen = similarity.moments(joined.double(), blur)
                correction = similarity.UNIFORM_CORRECTION
                means.add("ssim_mean", similarity.ssim(seen[:-1], seen[1:], blur, scale=255.0, correction=correction))
            shades = levels.float() / 255
            _score(means, scorers, shades, PUBLISHED[-3:], similarity.total_variation(shades))
            last = levels[-1:]
            count += len(levels)
    quality = _quality(means, count)
    if not means.refused["brisque_mean"]:
        return quality
    return Quality(count, {**quality.values, "brisque_mean": None}, quality.notes)


def _score(means: _Means, scorers: Scorers, frames: Tensor, names: tuple[str, ...], variation: Tensor) -> None:
    """What is said of each frame alone, under these names: total variation, BRISQUE and CLIP-IQA."""
    means.add(names[0], variation)
    for name, scorer in zip(names[1:], (scorers.brisque, scorers.clip_iqa), strict=True):
        if scorer is not None:
            means.add(name, scorer.score(frames))


def _checked(chunks: Chunks) -> Iterable[NDArray[np.uint8]]:
    shape: tuple[int, ...] | None = None
    for pixels in chunks:
        if shape is None:
            shape = pixels.shape[1:]
            if min(shape[:2]) < LEAST_SIDE:
                raise ClipFault(f"frames of {shape[1]} x {shape[0]} pixels; at least {LEAST_SIDE} are needed")
        if pixels.shape[1:] != shape:
            raise ClipFault(
                f"a frame has {pixels.shape[2]} x {pixels.shape[1]} pixels, the first {shape[1]} x {shape[0]}"
            )
        yield pixels
    if shape is None:
        raise ClipFault("no frames")


def _tensor(pixels: NDArray[np.uint8], device: str) -> Tensor:
    import torch

    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float().contiguous() / 255


def _portrait(portrait: NDArray[np.uint8] | None, frames: Tensor) -> Tensor | None:
    import cv2

    if portrait is None:
        return None
    height, width = frames.shape[-2:]
    if portrait.shape[:2] != (height, width):
        portrait = np.asarray(cv2.resize(portrait, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return _tensor(np.ascontiguousarray(portrait)[None], str(frames.device))


def _quality(means: _Means, count: int) -> Quality:
    notes = [f"{name}: {refused} of {count} frames too flat" for name, refused in means.refused.items() if refused]
    if count == 1:
        notes.append("one frame: nothing to compare it with")
    return Quality(count, {name: means.value(name) for name in means.sums}, tuple(notes))
