"""Decoded pictures to the size and colors of a model's input.

Scaling is by the whole factor first (the mean of n x n pixels), then bilinear to the size asked for: nothing aliases,
and both steps have fast paths in OpenCV. Planes are scaled before they become RGB, since then there are fewer pixels.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

KEPT_BYTES = 2**26
# ITU-R BT.601, BT.709 and BT.2020 (non-constant luminance): weights of red and blue in luma.
LUMA_WEIGHTS: dict[str, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}


@dataclass(frozen=True, slots=True)
class Scaling:
    """What pictures become: `size` (height, width) pixels or None for their own, `grey` or RGB."""

    size: tuple[int, int] | None
    grey: bool

    @property
    def channels(self) -> int:
        return 1 if self.grey else 3


def yuv_matrix(weights: str, *, full_range: bool) -> NDArray[np.float32]:
    """(3, 4) float32: Y, Cb, Cr of 8 bits, and 1, to R, G, B of 0-255 (ITU-T H.273, 8.3)."""
    red, blue = LUMA_WEIGHTS[weights]
    green = 1 - red - blue
    luma, chroma = (1.0, 1.0) if full_range else (255 / 219, 255 / 224)
    from_cr, from_cb = 2 * (1 - red) * chroma, 2 * (1 - blue) * chroma
    matrix = np.array(
        [
            [luma, 0, from_cr],
            [luma, -from_cb * blue / green, -from_cr * red / green],
            [luma, from_cb, 0],
        ]
    )
    black = np.array([0 if full_range else 16, 128, 128])
    return np.column_stack([matrix, -matrix @ black]).astype(np.float32)


def resize(picture: Picture, size: tuple[int, int], out: Picture | None = None) -> Picture:
    """A picture (H, W) or (H, W, C) at another size (height, width), in `out` where one is given."""
    height, width = picture.shape[:2]
    out = np.empty((*size, *picture.shape[2:]), np.uint8) if out is None else out
    factor = max(1, min(height // size[0], width // size[1]))
    if (height, width) == size:
        out[:] = picture
        return out
    if height % factor or width % factor:
        # Blocks do not fill the picture: the mean over exact areas, which takes longer.
        cv2.resize(picture, size[::-1], out, interpolation=cv2.INTER_AREA)
        return out
    if factor > 1:
        smaller = (height // factor, width // factor)
        halved = out if smaller == size else _scratch.get("smaller", (*smaller, *picture.shape[2:]))
        picture = cv2.resize(picture, smaller[::-1], halved, interpolation=cv2.INTER_AREA)
    if picture.shape[:2] != size:
        cv2.resize(picture, size[::-1], out, interpolation=cv2.INTER_LINEAR)
    return out


class Scratch(threading.local):
    """Working memory of a thread, used again for every clip: fresh pages cost more than what is written to them."""

    def __init__(self) -> None:
        self._arrays: dict[str, Picture] = {}

    def get(self, name: str, shape: tuple[int, ...]) -> Picture:
        """An array with contents of any kind."""
        size = math.prod(shape)
        if size > KEPT_BYTES:
            return np.empty(shape, np.uint8)
        if name not in self._arrays or self._arrays[name].size < size:
            self._arrays[name] = np.empty(size, np.uint8)
        array: Picture = self._arrays[name][:size].reshape(shape)
        return array


_scratch = Scratch()


class PlaneStack:
    """Collects the planes of 4:2:0 frames, scaled as they come, and turns all of them into pictures at once.

    Frames stand below one another in one tall picture: a few calls serve all of them. One stack is in use in a
    thread at a time.
    """

    def __init__(self, count: int, height: int, width: int, scaling: Scaling) -> None:
        self._count, self._scaling = count, scaling
        self._size = rows, _ = scaling.size or (height, width)
        self._stack = _scratch.get("stack", (count * rows, self._size[1], scaling.channels))
        # Where the result is no larger than the chroma planes, luma comes to their size and all three go on as one.
        chroma = (height // 2, width // 2)
        even = not (height % 2 or width % 2)
        self._merged = _scratch.get("merged", (*chroma, 3)) if even and _fits(self._size, chroma) else None
        self._luma = _scratch.get("luma", self._size if self._merged is None else chroma)
        self._chroma = [_scratch.get(name, self._size) for name in ("cb", "cr")] if self._merged is None else []

    def put(self, position: int, planes: Sequence[Picture]) -> None:
        """Keep luma and chroma planes of one frame."""
        rows = self._size[0]
        target = self._stack[position * rows : (position + 1) * rows]
        if self._scaling.grey:
            resize(planes[0], self._size, target[..., 0])
        elif self._merged is not None:
            height, width, _ = self._merged.shape
            cv2.resize(planes[0], (width, height), self._luma, interpolation=cv2.INTER_AREA)
            merged = target if self._size == (height, width) else self._merged
            cv2.merge((self._luma, planes[1], planes[2]), merged)
            if merged is self._merged:
                resize(merged, self._size, target)
        else:
            resize(planes[0], self._size, self._luma)
            for plane, chroma in zip(planes[1:], self._chroma, strict=True):
                resize(plane, self._size, chroma)
            cv2.merge((self._luma, *self._chroma), target)

    def pictures(self, matrix: NDArray[np.float32], out: Picture | None = None) -> Picture:
        """(T, H, W, C) uint8, in `out` where one is given."""
        rows, columns = self._size
        if out is None:
            out = np.empty((self._count, rows, columns, self._scaling.channels), np.uint8)
        flat = out.reshape(self._count * rows, columns, -1)
        if self._scaling.grey:
            # Luma of a limited range is stretched to 0-255, as RGB would be.
            cv2.LUT(self._stack[..., 0], _luma_table(matrix), flat[..., 0])
        else:
            cv2.transform(self._stack, matrix, flat)
        return out


def _fits(size: tuple[int, int], within: tuple[int, int]) -> bool:
    return size[0] <= within[0] and size[1] <= within[1]


def _luma_table(matrix: NDArray[np.float32]) -> Picture:
    black = -(matrix[0, 3] + 128 * matrix[0, 2]) / matrix[0, 0]
    return np.asarray(np.clip(np.rint((np.arange(256) - black) * matrix[0, 0]), 0, 255), np.uint8)


def scale_rgb(frames: Picture, scaling: Scaling, out: Picture | None = None) -> Picture:
    """RGB pictures (T, H, W, 3) uint8 at the size and in the colors asked for: (T, h, w, C) uint8."""
    size = scaling.size or (frames.shape[1], frames.shape[2])
    out = np.empty((len(frames), *size, scaling.channels), np.uint8) if out is None else out
    for frame, target in zip(frames, out, strict=True):
        if scaling.grey:
            target[..., 0] = cv2.cvtColor(resize(frame, size), cv2.COLOR_RGB2GRAY)
        else:
            resize(frame, size, target)
    return out
