"""PSNR, SSIM and total variation of batches of frames, as they are meant and as they were published.

Batches are float tensors (N, C, H, W) on one device; results are (N,) tensors there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# What piq adds to a mean squared error on the scale 0..1: identical frames have 80 dB.
PSNR_EPSILON = 1e-8
# What the published script gives identical frames.
PUBLISHED_IDENTICAL_DB = 100.0
# piq's window: a Gaussian of 11 pixels, sigma 1.5; the published script's, of skimage: 7 uniform pixels.
GAUSSIAN_SIDE, GAUSSIAN_SIGMA, UNIFORM_SIDE = 11, 1.5, 7
K1, K2 = 0.01, 0.03

Blur = Callable[["Tensor"], "Tensor"]


@dataclass(frozen=True, slots=True)
class Moments:
    """Frames with the local means of themselves and of their squares, which every comparison needs again."""

    frames: Tensor
    mean: Tensor
    square: Tensor

    def __getitem__(self, chosen: slice) -> Moments:
        return Moments(self.frames[chosen], self.mean[chosen], self.square[chosen])


def psnr(frames: Tensor, reference: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of frames in 0..1, as `piq.psnr`; `reference` broadcasts."""
    error = (frames - reference).square().mean(dim=(1, 2, 3))
    return -10 * (error + PSNR_EPSILON).log10()


def published_psnr(frames: Tensor, reference: Tensor) -> Tensor:
    """The published figure: differences and squares of bytes that wrap around at 256, identical frames at 100 dB.

    Args:
        frames, reference: uint8.
    """
    import torch

    difference = frames - reference
    error = (difference * difference).to(torch.float64).mean(dim=(1, 2, 3))
    decibels = 20 * (255 / error.sqrt()).log10()
    return torch.where(error == 0, PUBLISHED_IDENTICAL_DB, decibels)


def moments(frames: Tensor, blur: Blur) -> Moments:
    """The local statistics of frames under a window."""
    return Moments(frames, blur(frames), blur(frames.square()))


def ssim(one: Moments, other: Moments, blur: Blur, *, scale: float, correction: float = 1.0) -> Tensor:
    """Structural similarity (Wang et al. 2004), mean over the places where the whole window lies in the frame.

    Args:
        other: of as many frames, or of one that all are compared with.
        scale: largest value of a pixel. correction: of the variances, for a window that counts as a sample.
    """
    c1, c2 = (K1 * scale) ** 2, (K2 * scale) ** 2
    product = one.mean * other.mean
    covariance = correction * (blur(one.frames * other.frames) - product)
    squares = one.mean.square() + other.mean.square()
    variances = correction * (one.square + other.square - squares)
    similar = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
    return similar.mean(dim=(1, 2, 3))


def gaussian_blur(like: Tensor) -> Blur:
    """Local means under piq's window, for frames of this size, kind and device."""
    import torch

    places = torch.arange(GAUSSIAN_SIDE, dtype=like.dtype, device=like.device) - (GAUSSIAN_SIDE - 1) / 2
    weights = torch.exp(-places.square() / (2 * GAUSSIAN_SIGMA**2))
    return _blur(weights / weights.sum(), like)


def uniform_blur(like: Tensor) -> Blur:
    """Local means under the published script's window, likewise."""
    import torch

    return _blur(torch.full((UNIFORM_SIDE,), 1 / UNIFORM_SIDE, dtype=like.dtype, device=like.device), like)


def _blur(weights: Tensor, like: Tensor) -> Blur:
    """Means under a separable window, where all of it lies in the frame, as two products with banded matrices.

    Processors multiply matrices several times faster than they convolve few channels.
    """
    down, across = (_bands(weights, length) for length in like.shape[-2:])
    return lambda frames: down @ frames @ across.T


def _bands(weights: Tensor, length: int) -> Tensor:
    """(length - n + 1, length): the n weights in each row, a place further than in the row above."""
    import torch

    places = torch.arange(length, device=weights.device)
    shifts = places[None] - places[: length - len(weights) + 1, None]
    inside = (shifts >= 0) & (shifts < len(weights))
    return torch.where(inside, weights[shifts.clamp(0, len(weights) - 1)], 0.0)


# skimage divides a window's sum of squares by one less than its pixels.
UNIFORM_CORRECTION = UNIFORM_SIDE**2 / (UNIFORM_SIDE**2 - 1)


def shrink(frames: Tensor) -> Tensor:
    """Frames averaged down to about 256 pixels, where `piq.ssim` looks at them."""
    from torch.nn import functional

    factor = max(1, round(min(frames.shape[-2:]) / 256))
    return functional.avg_pool2d(frames, factor) if factor > 1 else frames


def total_variation(frames: Tensor) -> Tensor:
    """Root of the summed squared differences of neighbors, as `piq.total_variation` (norm l2): grows with the size."""
    across, down = frames.diff(dim=3).square(), frames.diff(dim=2).square()
    return (across.sum(dim=(1, 2, 3)) + down.sum(dim=(1, 2, 3))).sqrt()
