"""Decoded pictures to the size and colors of a model's input.

Scaling is the mean of m x n pixels and bilinear by what is left: nothing aliases, and both steps have fast paths in
OpenCV. Planes are scaled before they become RGB, since then there are fewer pixels.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_loader.video.faults import VideoFault

Picture = NDArray[np.uint8]

KEPT_BYTES = 2**26
# Frames that become RGB at once.
TOGETHER = 16
# A window may ask for no more than this: a header that lies costs an error, not the memory.
MAX_BYTES = 2**31
# ITU-R BT.601, BT.709 and BT.2020 (non-constant luminance): weights of red and blue in luma.
LUMA_WEIGHTS: dict[str, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}


@dataclass(frozen=True, slots=True)
class Scaling:
    """What pictures become: `size` (height, width) pixels or None for their own, `gray` or RGB."""

    size: tuple[int, int] | None
    gray: bool

    @property
    def channels(self) -> int:
        return 1 if self.gray else 3

    def shape(self, count: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Shape of `count` frames of this height and width when they are scaled.

        Raises:
            VideoFault: more than 2 GiB.
        """
        shape = (count, *(self.size or (height, width)), self.channels)
        if math.prod(shape) > MAX_BYTES:
            raise VideoFault(
                f"{count} frames of {shape[1]} x {shape[2]} are more than {MAX_BYTES // 2**20} MiB; ask for fewer"
            )
        return shape


@cache
def yuv_matrix(weights: str, *, full_range: bool) -> NDArray[np.float32]:
    """(3, 4) float32, read-only: Y, Cb, Cr of 8 bits, and 1, to R, G, B of 0-255 (ITU-T H.273, 8.3)."""
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
    whole = np.column_stack([matrix, -matrix @ black]).astype(np.float32)
    whole.flags.writeable = False
    return whole


def resize(picture: Picture, size: tuple[int, int], out: Picture | None = None) -> Picture:
    """A picture (H, W) or (H, W, C) at another size (height, width), in `out` where one is given."""
    out = np.empty((*size, *picture.shape[2:]), np.uint8) if out is None else out
    steps = _steps(picture.shape[0], picture.shape[1], size)
    if not steps:
        out[:] = picture
    for shape, interpolation in steps:
        target = out if shape == size else _scratch.get("between", (*shape, *picture.shape[2:]))
        picture = cv2.resize(picture, shape[::-1], target, interpolation=interpolation)
    return out


@lru_cache(256)
def _steps(height: int, width: int, size: tuple[int, int]) -> tuple[tuple[tuple[int, int], int], ...]:
    """Sizes on the way, and how each is reached.

    The mean of whole blocks comes first where blocks fill the picture and bilinear then skips no pixel, as it does at
    factors above 1.5; else bilinear comes first, to a whole multiple of the size.
    """
    whole = tuple(max(1, have // want) for have, want in zip((height, width), size, strict=True))
    nearest = tuple(max(1, round(have / want)) for have, want in zip((height, width), size, strict=True))
    blocks = (height // whole[0], width // whole[1])
    fill = (blocks[0] * whole[0], blocks[1] * whole[1]) == (height, width)
    if fill and blocks[0] <= 1.5 * size[0] and blocks[1] <= 1.5 * size[1]:
        steps = [(blocks, cv2.INTER_AREA), (size, cv2.INTER_LINEAR)]
    else:
        steps = [((size[0] * nearest[0], size[1] * nearest[1]), cv2.INTER_LINEAR), (size, cv2.INTER_AREA)]
    before = [(height, width), steps[0][0]]
    return tuple(step for step, shape in zip(steps, before, strict=True) if step[0] != shape)


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
_NOTHING = np.empty((0, 0), np.uint8)


class Converter:
    """Turns the planes of 4:2:0 or 4:4:4 frames into pictures. One is in use in a thread at a time.

    Frames are gathered below one another in a tall picture before they become RGB: few calls serve all of them, and
    threads wait for each other around every call.

    Rows of decoded planes lie apart in memory, and OpenCV merges whole memory ten times as fast as cut rows: what lies
    between them is merged as well, and left out afterwards.

    Args:
        pictures: (T, H, W, C) uint8, contiguous, where they go. height, width: of the frames. matrix: see `yuv_matrix`.
        whole: chroma planes have the size of luma: 4:4:4.
    """

    def __init__(
        self, pictures: Picture, height: int, width: int, matrix: NDArray[np.float32], *, whole: bool = False
    ) -> None:
        self._pictures, self._matrix = pictures, matrix
        self._size = size = (pictures.shape[1], pictures.shape[2])
        self._first, self._count = 0, 0
        half = ((height + 1) // 2, (width + 1) // 2)
        self._luma, self._chroma = (height, width), (height, width) if whole else half
        # Where the result is no larger than the chroma planes, luma comes to their size and all three go on as one.
        even = whole or not (height % 2 or width % 2)
        self._together = even and _fits(size, self._chroma)
        self._gathered = _scratch.get("gathered", (TOGETHER, *pictures.shape[1:]))
        self._planes = _scratch.get("planes", (3, *size))
        self._small = self._merged = _NOTHING

    def put(self, position: int, planes: Sequence[Picture]) -> None:
        """Make a picture of one frame's luma and chroma planes, with what lies between their rows.

        It is there after `flush`.
        """
        if self._count == TOGETHER or position != self._first + self._count:
            self.flush()
            self._first = position
        target = self._gathered[self._count]
        if target.shape[2] == 1:
            resize(_cut(planes[0], self._luma), self._size, target[..., 0])
        elif self._together:
            self._merge_and_scale(planes, target)
        else:
            self._scale_and_merge(planes, target)
        self._count += 1

    def _merge_and_scale(self, planes: Sequence[Picture], target: Picture) -> None:
        luma, *chroma = planes[0], *map(np.ascontiguousarray, planes[1:])
        rows = chroma[0].shape
        if self._small.shape != rows:
            self._small, self._merged = _scratch.get("small", rows), _scratch.get("merged", (*rows, 3))
        if luma.shape == rows:
            luma = np.ascontiguousarray(luma)
        else:
            small = _cut(self._small, self._chroma)
            cv2.resize(_cut(luma, self._luma), self._chroma[::-1], small, interpolation=cv2.INTER_AREA)
            luma = self._small
        shown = _cut(cv2.merge((luma, *chroma), self._merged), self._chroma)
        if self._size == self._chroma:
            target[:] = shown
        else:
            resize(shown, self._size, target)

    def _scale_and_merge(self, planes: Sequence[Picture], target: Picture) -> None:
        for plane, shown, scaled in zip(planes, (self._luma, *[self._chroma] * 2), self._planes, strict=True):
            resize(_cut(plane, shown), self._size, scaled)
        cv2.merge(tuple(self._planes), target)

    def flush(self) -> None:
        """Write what is gathered."""
        if not self._count:
            return
        target = self._pictures[self._first : self._first + self._count]
        rows, channels = self._count * self._size[0], target.shape[3]
        gathered = self._gathered[: self._count].reshape(rows, -1, channels)
        self._count = 0
        if channels == 1:
            # Luma of a limited range is stretched to 0-255, as RGB would be.
            cv2.LUT(gathered, _luma_table(self._matrix), target.reshape(rows, -1))
        else:
            cv2.transform(gathered, self._matrix, target.reshape(rows, -1, channels))


def _cut(rows: Picture, shown: tuple[int, int]) -> Picture:
    """What rows in memory show."""
    return rows[: shown[0], : shown[1]]


def _fits(size: tuple[int, int], within: tuple[int, int]) -> bool:
    return size[0] <= within[0] and size[1] <= within[1]


def _luma_table(matrix: NDArray[np.float32]) -> Picture:
    black = -(matrix[0, 3] + 128 * matrix[0, 2]) / matrix[0, 0]
    return np.asarray(np.clip(np.rint((np.arange(256) - black) * matrix[0, 0]), 0, 255), np.uint8)


def room(shape: tuple[int, ...], out: Picture | None = None) -> Picture:
    """`out`, or an array of its own where none is given.

    Raises:
        ValueError: `out` has another shape or type, or is not contiguous.
    """
    if out is None:
        return np.empty(shape, np.uint8)
    if out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise ValueError(
            f"out.shape={out.shape}, dtype={out.dtype}, contiguous={out.flags.c_contiguous} must be {shape} uint8, "
            "contiguous"
        )
    return out


def scale_rgb(frames: Picture, scaling: Scaling, out: Picture | None = None) -> Picture:
    """RGB pictures (T, H, W, 3) uint8 at the size and in the colors asked for: (T, h, w, C) uint8."""
    shape = scaling.shape(*frames.shape[:3])
    size = shape[1:3]
    out = room(shape, out)
    for frame, target in zip(frames, out, strict=True):
        if scaling.gray:
            target[..., 0] = cv2.cvtColor(resize(frame, size), cv2.COLOR_RGB2GRAY)
        else:
            resize(frame, size, target)
    return out
