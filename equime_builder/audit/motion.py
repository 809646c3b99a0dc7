"""How far a clip has moved from its neutral face, frame by frame, and where."""

from __future__ import annotations

from collections.abc import Collection

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_builder.audit.regions import Mask
from equime_builder.audit.timing import Curve

LEAD = 0.12  # share of the clip that is taken as neutral; at least `LEAST_LEAD` frames
LEAST_LEAD = 3
SMOOTH = 3  # frames: below the shortest phase of an ME at 100 fps


def lead_frames(frames: int) -> int:
    """How many frames at the beginning of a clip are taken as neutral."""
    return min(frames, max(LEAST_LEAD, round(LEAD * frames)))


def halved(luma: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(T, H, W) uint8 at half the size, float32: what the encoder does to single pixels evens out."""
    height, width = luma.shape[1] // 2, luma.shape[2] // 2
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in luma]).astype(
        np.float32
    )


def smoothed(curve: Curve) -> Curve:
    """Running mean over `SMOOTH` frames (odd); the ends are repeated."""
    return np.convolve(np.pad(curve, SMOOTH // 2, mode="edge"), np.full(SMOOTH, 1 / SMOOTH), mode="valid")


def changes(half: NDArray[np.float32], where: Mask, neutral: Collection[int]) -> NDArray[np.float32]:
    """(T, N): change of luma from the neutral frames' median, in the N pixels of `where` (H, W of the full size)."""
    small = cv2.resize(where.astype(np.uint8), half.shape[:0:-1], interpolation=cv2.INTER_NEAREST) > 0
    pixels = half[:, small]
    return np.asarray(pixels - np.median(pixels[sorted(neutral)], axis=0), np.float32)


def energy(change: NDArray[np.float32]) -> Curve:
    """How much changed in each frame (T,): the sum of squares over the pixels, smoothed."""
    return smoothed(np.einsum("tn,tn->t", change, change).astype(np.float64))


def response(change: NDArray[np.float32], without: Collection[int] = ()) -> tuple[Curve, int]:
    """How far each frame lies on the way from the neutral face to the peak: curve (T,), 0 to about 1, and the peak.

    The change at the peak is the pattern; every frame is projected on it. What does not look like that pattern
    (noise, sway, light) hardly counts, which a plain difference cannot tell apart.

    Args:
        change: (T, N) from `changes`.
        without: frames that cannot be the peak, as those of a blink.
    """
    allowed = np.ones(len(change), bool)
    allowed[list(without)] = False
    allowed[: lead_frames(len(change))] = False
    if not allowed.any():
        allowed[:] = True
    peak = int(np.argmax(np.where(allowed, energy(change), -1)))
    for _ in range(2):
        pattern = change[max(0, peak - 1) : peak + 2].mean(axis=0)
        curve = (change @ pattern).astype(np.float64) / max(float(pattern @ pattern), 1e-9)
        peak = int(np.argmax(np.where(allowed, smoothed(curve), -np.inf)))
    return curve, peak
