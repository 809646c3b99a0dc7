"""Rectangles of a picture, and values that live on one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from equime_builder.generators.warp.anatomy import Floats


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels, even at all four sides so that it covers whole chroma samples."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    @property
    def half_slices(self) -> tuple[slice, slice]:
        """The same rectangle in the chroma planes."""
        return slice(self.y0 // 2, self.y1 // 2), slice(self.x0 // 2, self.x1 // 2)

    @property
    def shape(self) -> tuple[int, int]:
        return self.y1 - self.y0, self.x1 - self.x0

    def within(self, outer: Box) -> tuple[slice, slice]:
        """This box's slices in an array that covers `outer`."""
        rows = slice(self.y0 - outer.y0, self.y1 - outer.y0)
        return rows, slice(self.x0 - outer.x0, self.x1 - outer.x0)

    def union(self, other: Box) -> Box:
        low = min(self.x0, other.x0), min(self.y0, other.y0)
        return Box(*low, max(self.x1, other.x1), max(self.y1, other.y1))

    def overlaps(self, other: Box) -> bool:
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1


@dataclass(frozen=True)
class Patch:
    """Values on a box: (h, w) or (h, w, 2) float32."""

    box: Box
    values: Floats


def even_box(low: Sequence[float] | Floats, high: Sequence[float] | Floats, size: tuple[int, int]) -> Box:
    """The smallest even box from `low` to `high` (x, y), inside a picture of `size` (height, width)."""
    height, width = size
    return Box(
        int(np.clip(np.floor(low[0] / 2) * 2, 0, width - 2)),
        int(np.clip(np.floor(low[1] / 2) * 2, 0, height - 2)),
        int(np.clip(np.ceil(high[0] / 2) * 2, 2, width)),
        int(np.clip(np.ceil(high[1] / 2) * 2, 2, height)),
    )


def cropped(values: Floats, least: float) -> Patch | None:
    """The part of (H, W) or (H, W, 2) that reaches `least`; smaller values become zero; None if nothing does."""
    size = np.maximum(*cv2.split(np.abs(values))) if values.ndim == 3 else np.abs(values)
    busy = size >= least
    rows, columns = np.flatnonzero(busy.any(axis=1)), np.flatnonzero(busy.any(axis=0))
    if not len(rows):
        return None
    box = even_box((columns[0], rows[0]), (columns[-1] + 1, rows[-1] + 1), (values.shape[0], values.shape[1]))
    keep = busy[box.slices]
    kept = np.where(keep[..., None] if values.ndim == 3 else keep, values[box.slices], 0)
    return Patch(box, np.ascontiguousarray(kept, np.float32))


@lru_cache(maxsize=32)
def grid(box: Box) -> Floats:
    """Pixel positions (h, w, 2) of a box as (x, y) float32; read-only, since frames share it."""
    xs, ys = np.arange(box.x0, box.x1, dtype=np.float32), np.arange(box.y0, box.y1, dtype=np.float32)
    positions = np.dstack(np.meshgrid(xs, ys))
    positions.flags.writeable = False
    return positions
