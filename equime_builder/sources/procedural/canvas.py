"""Painting on a float picture: antialiased masks, soft edges, and the light that falls on everything.

Colors are sRGB in 0..1 unless a name says linear; linear light is approximated by the square (gamma 2), which is
close enough for a painting and much faster than the exact curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from equime_builder.sources.procedural.geometry import Array, Pose, posed
from equime_builder.sources.procedural.parameters import Scene

SHIFT = 4
SUBPIXEL = 1 << SHIFT
Mask = np.ndarray


@dataclass(frozen=True)
class Frame:
    """The picture being painted: landmarks in its pixels, and the pose that placed them."""

    landmarks: Array
    pose: Pose
    size: int

    @property
    def unit(self) -> float:
        """Pixels per face unit."""
        return self.pose.iris_distance * self.size

    def points(self, numbers: Sequence[int]) -> Array:
        """Return the named landmarks, float32 (N, 2)."""
        return np.ascontiguousarray(self.landmarks[list(numbers), :2])

    def place(self, points: Array | Sequence[tuple[float, float]]) -> Array:
        """Return face-unit points (N, 2) in pixels, held as the head is."""
        flat = np.asarray(points, dtype=np.float32)
        return posed(np.c_[flat, np.zeros(len(flat), np.float32)], self.pose, size=self.size)[:, :2]


def shifted(points: Array, x: float, y: float) -> Array:
    """Return points (..., 2) moved by (x, y)."""
    return np.asarray(points + np.array([x, y], points.dtype))


def fixed(points: Array) -> np.ndarray:
    """Return pixel positions as the fixed-point integers of cv2's drawing functions."""
    return np.round((np.asarray(points) - 0.5) * SUBPIXEL).astype(np.int32)


def filled(polygons: Sequence[Array], *, size: int) -> Mask:
    """Return an antialiased uint8 mask (size, size) of the union of polygons."""
    mask = np.zeros((size, size), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [fixed(polygon)], 255, cv2.LINE_AA, SHIFT)
    return mask


def stroked(mask: Mask, lines: Sequence[Array], *, value: int, width: int = 1) -> None:
    """Draw open antialiased polylines of one value into `mask`."""
    if lines:
        cv2.polylines(mask, [fixed(line) for line in lines], False, value, width, cv2.LINE_AA, SHIFT)


def softened(mask: Mask, sigma: float) -> Array:
    """Return a uint8 mask as float32 0..1, blurred by `sigma` pixels (0: not at all)."""
    soft = mask.astype(np.float32) * np.float32(1 / 255)
    return soft if sigma < 0.3 else cv2.GaussianBlur(soft, (0, 0), sigma)


@dataclass(frozen=True)
class Window:
    """A rectangle of the picture."""

    left: int
    top: int
    right: int
    bottom: int

    @staticmethod
    def around(points: Array, margin: float, *, size: int) -> Window:
        """Return the rectangle around points (N, 2) with a margin, clipped to the picture."""
        low = np.floor(points.min(0) - margin).astype(int)
        high = np.ceil(points.max(0) + margin).astype(int) + 1
        low, high = np.clip(low, 0, size - 1), np.clip(high, 1, size)
        return Window(int(low[0]), int(low[1]), int(high[0]), int(high[1]))

    def of(self, image: np.ndarray) -> np.ndarray:
        """Return the view of `image` inside the rectangle."""
        return image[self.top : self.bottom, self.left : self.right]

    @property
    def origin(self) -> Array:
        """The upper left corner, (2,)."""
        return np.array([self.left, self.top], np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left


def blend(picture: Array, alpha: Array, color: Array | Sequence[float]) -> None:
    """Lay `color` (3,) or (H, W, 3) over `picture` (H, W, 3) in place, by `alpha` (H, W) in 0..1."""
    over = np.asarray(color, np.float32)
    if over.ndim == 3:
        cover = np.asarray(alpha, np.float32)
        picture[:] = cv2.blendLinear(np.ascontiguousarray(picture), np.ascontiguousarray(over), 1 - cover, cover)
    else:
        keep = 1 - alpha
        for channel in range(3):
            layer = picture[..., channel]
            layer *= keep
            layer += over[channel] * alpha


def tint(picture: Array, alpha: Array, factor: Sequence[float]) -> None:
    """Multiply `picture` in place toward `factor` (3,) where `alpha` (H, W) is 1."""
    for channel, amount in enumerate(factor):
        picture[..., channel] *= 1 - np.float32(1 - amount) * alpha


@dataclass(frozen=True)
class Light:
    """Key direction (x right, y down, z to the viewer) and linear key and ambient colors."""

    direction: Array
    key: Array
    ambient: Array


def light_of(scene: Scene) -> Light:
    """Return the light of a scene; a surface facing the viewer receives about 1."""
    azimuth, elevation = np.radians((scene.azimuth, scene.elevation))
    direction = np.array(
        [np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), np.cos(azimuth) * np.cos(elevation)],
        np.float32,
    )
    key = (0.12 + scene.key * 1.42) * (1 + scene.warmth * np.array([0.10, 0.0, -0.16], np.float32))
    ambient = (0.80 - 0.80 * scene.key) * (1 - scene.warmth * np.array([0.05, 0.0, -0.09], np.float32))
    return Light(direction, key.astype(np.float32), ambient.astype(np.float32))


def developed(picture: Array) -> Array:
    """Return sRGB (H, W, 3) with a film's gentle contrast: darks a little deeper, a soft shoulder in the lights."""
    contrast = picture + 0.16 * picture * (1 - picture) * (2 * picture - 0.92)
    return np.asarray(np.where(contrast > 0.78, 0.78 + 0.22 * np.tanh((contrast - 0.78) / 0.22), contrast))


def value_noise(rng: np.random.Generator, cells: tuple[int, int], size: tuple[int, int]) -> Array:
    """Return smooth noise of zero mean and unit deviation, (rows, columns) = `size`, from a coarse random grid."""
    coarse = rng.standard_normal(cells).astype(np.float32)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC))
