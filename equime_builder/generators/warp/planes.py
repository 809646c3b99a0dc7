"""Pictures as video planes: RGB to Y and UV, and the finer copies from which frames are sampled."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

# ITU-R BT.601, limited range: Y in 16..235, U and V in 16..240; the coefficients of swscale's default.
BT601 = np.array(
    [
        [65.481, 128.553, 24.966, 16 * 255],
        [-37.797, -74.203, 112.0, 128 * 255],
        [112.0, -93.786, -18.214, 128 * 255],
    ],
    np.float32,
) / np.float32(255)

# Luma is sampled from a copy of this many times the resolution, so that linear sampling stays sharp.
LUMA_SCALE = 4


def luma_and_chroma(image: Bytes) -> tuple[Bytes, Bytes]:
    """RGB (H, W, 3) as Y (H, W) and full-resolution UV (H, W, 2), uint8.

    A chroma sample at (x, y) is the mean of the 2x2 pixels whose first is (x, y): 4:2:0 takes every second one.
    """
    yuv = cv2.transform(image.astype(np.float32), BT601)
    padded = cv2.copyMakeBorder(yuv[..., 1:], 0, 1, 0, 1, cv2.BORDER_REPLICATE)
    uv = (padded[:-1, :-1] + padded[1:, :-1] + padded[:-1, 1:] + padded[1:, 1:]) / 4
    return np.rint(yuv[..., 0]).astype(np.uint8), np.rint(uv).astype(np.uint8)


def _between(share: float) -> NDArray[np.float32]:
    """Lanczos weights (8) of the samples around a position `share` of the way from one to the next."""
    distance = np.arange(-3, 5) - share
    weights = np.sinc(distance) * np.sinc(distance / 4)
    return np.asarray(weights / weights.sum(), np.float32)


def finer(luma: Bytes) -> Bytes:
    """Luma at LUMA_SCALE times the resolution, Lanczos; the original samples are among the new ones."""
    height, width = luma.shape
    wide = np.empty((height, width * LUMA_SCALE), np.uint8)
    fine = np.empty((height * LUMA_SCALE, width * LUMA_SCALE), np.uint8)
    wide[:, ::LUMA_SCALE] = luma
    same = np.ones(1, np.float32)
    for k in range(1, LUMA_SCALE):
        weights = _between(k / LUMA_SCALE)
        wide[:, k::LUMA_SCALE] = cv2.sepFilter2D(
            luma, -1, weights, same, anchor=(3, 0), borderType=cv2.BORDER_REPLICATE
        )
    fine[::LUMA_SCALE] = wide
    for k in range(1, LUMA_SCALE):
        weights = _between(k / LUMA_SCALE)
        fine[k::LUMA_SCALE] = cv2.sepFilter2D(wide, -1, same, weights, anchor=(0, 3), borderType=cv2.BORDER_REPLICATE)
    return fine


def frame_planes(frame: Bytes, size: tuple[int, int]) -> tuple[Bytes, Bytes, Bytes]:
    """Views (Y, U, V) of one I420 frame (3H/2, W) of `size` (H, W)."""
    height, width = size
    flat = frame.reshape(-1)
    quarter = height * width // 4
    half = (height // 2, width // 2)
    y = flat[: height * width].reshape(height, width)
    u = flat[height * width : height * width + quarter].reshape(half)
    v = flat[height * width + quarter :].reshape(half)
    return y, u, v
