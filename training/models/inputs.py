"""Batches of the loader to floating-point inputs, and what training varies in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.models.baseline import Batch

# Below this a clip's deviation is rounding: a picture of one shade stays one.
LEAST_DEVIATION = 1e-6


def check(name: str, value: float, low: float, high: float) -> None:
    """Raises ValueError for a setting outside its bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name}={value!r} must lie within {low:g}..{high:g}")


def check_whole(name: str, value: int, low: int, high: int) -> None:
    """Raises ValueError for a setting that is no whole number within its bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name}={value!r} must be a whole number within {low}..{high}")


def check_truth(name: str, value: bool) -> None:
    """Raises ValueError for a setting that is neither true nor false."""
    if not isinstance(value, bool):
        raise ValueError(f"{name}={value!r} must be true or false")


def standardized_video(batch: Batch, *, motion: bool = False) -> Tensor:
    """Frames of a batch, (B, C, T, h, w) float32: each clip of mean 0 and deviation 1, absent frames 0.

    In uint8, where published code left them, such values wrap around and leave noise.

    Args:
        motion: take the first frame from all of them before.
    """
    video = batch["video"].to(torch.float32)
    if motion:
        video = video - video[:, :, :1]
    present = batch["mask"].to(torch.float32)[:, None, :, None, None]
    axes = (1, 2, 3, 4)
    count = present.sum(axes, keepdim=True).clamp(min=1) * (video.shape[1] * video.shape[3] * video.shape[4])
    video = video - (video * present).sum(axes, keepdim=True) / count
    deviation = ((video * present).square().sum(axes, keepdim=True) / count).sqrt()
    standard: Tensor = video * present / deviation.clamp(min=LEAST_DEVIATION)
    return standard


def draws(seeds: Tensor, count: int) -> Tensor:
    """(B, count) float32 in [0, 1): of each seed (B,) int64 its own numbers, on the seeds' device."""
    rows = [np.random.default_rng(seed).random(count, np.float32) for seed in seeds.tolist()]
    return torch.from_numpy(np.stack(rows)).to(seeds.device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """How far training moves a face; settings of a model have it for a base.

    Attributes:
        mirror: whether half of the faces are mirrored. shift: most, of the width, in each direction.
        turn: most, in degrees. zoom: most, as a share of the size.

    Raises:
        ValueError: a mirror that is no truth value, a shift or zoom outside 0..0.5, a turn outside 0..45.
    """

    mirror: bool = False
    shift: float = 0.0
    turn: float = 0.0
    zoom: float = 0.0

    def __post_init__(self) -> None:
        check_truth("mirror", self.mirror)
        for name, value, high in (("shift", self.shift, 0.5), ("turn", self.turn, 45), ("zoom", self.zoom, 0.5)):
            check(name, value, 0, high)

    @property
    def moves_nothing(self) -> bool:
        return not (self.mirror or self.shift or self.turn or self.zoom)


def motions(seeds: Tensor, variation: Variation) -> Tensor:
    """(B, 2, 3) float32: where each pixel of a varied picture comes from, for `torch.nn.functional.affine_grid`."""
    mirror, right, down, turn, zoom = draws(seeds, 5).unbind(1)
    sign = torch.where(mirror < 0.5, -1.0, 1.0) if variation.mirror else torch.ones_like(mirror)
    angle = torch.deg2rad((2 * turn - 1) * variation.turn)
    scale = 1 + (2 * zoom - 1) * variation.zoom
    # A shift of the width is 2 in the grid's coordinates of -1..1.
    shift = 2 * variation.shift * (2 * torch.stack([right, down], 1) - 1)
    rows = [sign * scale * angle.cos(), -scale * angle.sin(), sign * scale * angle.sin(), scale * angle.cos()]
    return torch.cat([torch.stack(rows, 1).reshape(-1, 2, 2), shift[:, :, None]], 2)


def varied_pictures(pictures: Tensor, seeds: Tensor, variation: Variation) -> Tensor:
    """Pictures (B, C, h, w) or videos (B, C, T, h, w), each moved as its seed says; borders are continued."""
    if variation.moves_nothing:
        return pictures
    return _moved(pictures, motions(seeds, variation).to(pictures))


def varied_flow(flow: Tensor, seeds: Tensor, variation: Variation) -> Tensor:
    """Flow (B, 2, h, w), right and down: moved as pictures are, and its vectors turned, mirrored and zoomed too."""
    if variation.moves_nothing:
        return flow
    motion = motions(seeds, variation).to(flow)
    moved = _moved(flow, motion)
    # The grid says where pixels come from; vectors go the other way.
    return torch.einsum("bij,bjhw->bihw", torch.linalg.inv(motion[:, :, :2]), moved)


def _moved(pictures: Tensor, motion: Tensor) -> Tensor:
    folded = pictures.flatten(1, -3)
    grid = functional.affine_grid(motion, list(folded.shape), align_corners=False)
    moved = functional.grid_sample(folded, grid, padding_mode="border", align_corners=False)
    return moved.reshape(pictures.shape)
