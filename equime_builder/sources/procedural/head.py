"""The head as smooth dense fields: depth and skin maps at every pixel, warped from one canonical layout.

The canonical layout is the template's frontal view. Skin maps (redness, oil, relief, beard zones …) are painted there
once; per face they are only resampled through the displacement of the landmarks, so they sit where the landmarks say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from equime_builder.sources.procedural.geometry import (
    JAW,
    LIP_OUTER_LOWER,
    LIP_OUTER_UPPER,
    OVAL,
    SIDES,
    Array,
    Pose,
    ramp,
    smooth_curve,
    template,
)

EXTENT = 4.0  # side of the canonical square in face units
CORNER = (-2.0, -1.75)  # its upper left corner
MAP_SIZE = 256
GRID_SIZE = 49  # of the displacement
DEPTH_SIZE = 97  # of the template's depth
INVERSE_SIZE = 128  # displacement and depth are smooth: solved coarsely, then enlarged
INVERSE_STEPS = 6
NODE_SPACING = 0.05
REFINE = 3  # bilinear facets of the coarse depth would show as a grid of light
CALM = 0.11  # face units: smoothing of depth where the face has no features

MAPS = ("red", "shade", "oil", "relief", "mustache", "chin_beard", "jaw_beard", "bag", "sag", "lip_shadow")
HAIR_BASE_Y, SKULL_TOP_Y, SKULL_HALF_WIDTH = 0.05, -1.38, 1.07


def skull_arc(*, grow: float, count: int) -> Array:
    """Return the skull's outline over the ears from image left to right, float32 (count, 2), face units."""
    t = np.linspace(np.pi, 0.0, count, dtype=np.float32)
    x = (SKULL_HALF_WIDTH + grow) * np.sign(np.cos(t)) * np.abs(np.cos(t)) ** 0.84
    y = HAIR_BASE_Y - (HAIR_BASE_Y - SKULL_TOP_Y + grow) * np.abs(np.sin(t)) ** 0.88
    return np.stack([x, y], axis=1)


def _thin_plate(squared: Array) -> Array:
    return np.asarray(squared * np.log(np.maximum(squared, 1e-12)), dtype=np.float64)


def _operator(nodes: Array, where: Array, *, smoothing: float) -> Array:
    """Return the matrix that interpolates values at `nodes` (N, 2) to `where` (M, 2): a thin-plate spline."""
    count = len(nodes)
    kernel = _thin_plate(((nodes[:, None] - nodes[None]) ** 2).sum(-1))
    plane = np.concatenate([np.ones((count, 1)), nodes], axis=1)
    system = np.block([[kernel + smoothing * np.eye(count), plane], [plane.T, np.zeros((3, 3))]])
    inverse = np.linalg.inv(system)[:, :count]
    basis = _thin_plate(((where[:, None] - nodes[None]) ** 2).sum(-1))
    full = np.concatenate([basis, np.ones((len(where), 1)), where], axis=1)
    return np.asarray(full @ inverse, dtype=np.float32)


@dataclass(frozen=True)
class Layout:
    """What every face shares: nodes (N,) landmark numbers, operator (GRID², N), refined depth (D, D), skin maps.

    The maps come in `MAPS` order, packed by up to four into the channels of float32 (MAP_SIZE, MAP_SIZE, 4 or less).
    """

    nodes: np.ndarray
    operator: Array
    depth: Array
    maps: tuple[Array, ...]


def _mesh(count: int) -> list[Array]:
    """Return x and y of a (count, count) grid over the canonical square, its outer points on the edges."""
    axis = np.linspace(0, EXTENT, count)
    return [np.asarray(part) for part in np.meshgrid(axis + CORNER[0], axis + CORNER[1])]


def _template_depth(positions: Array, values: Array) -> Array:
    """Return the depth of the template's head on a refined grid, interpolated from `values` at `positions`."""
    x, y = _mesh(DEPTH_SIZE)
    depth = _operator(positions, np.stack([x.ravel(), y.ravel()], 1), smoothing=2e-4) @ values
    depth = depth.reshape(DEPTH_SIZE, DEPTH_SIZE)
    # Measured depth is noisy toward the cheeks and temples, where skin is smooth: keep detail in the middle only.
    middle = np.exp(-(((x / 0.50) ** 2 + ((y - 0.55) / 0.85) ** 2) ** 2))
    calm = cv2.GaussianBlur(depth, (0, 0), CALM * DEPTH_SIZE / EXTENT)
    smooth = np.asarray(calm + (depth - calm) * middle, dtype=np.float32)
    return np.asarray(cv2.resize(smooth, None, fx=REFINE, fy=REFINE, interpolation=cv2.INTER_CUBIC))


def _sparse_nodes(points: Array) -> list[int]:
    chosen: list[int] = list(OVAL)
    for i in range(468):
        if np.hypot(*(points[chosen] - points[i]).T).min() > NODE_SPACING:
            chosen.append(i)
    return chosen


@lru_cache(maxsize=1)
def layout() -> Layout:
    """Return the shared canonical layout; computed once per process, about a third of a second."""
    mean, _ = template()
    nodes = _sparse_nodes(mean[:, :2])
    beyond = mean[list(OVAL)] * (1.13, 1.10, 1.0) + (0.0, 0.0, 0.45)
    beyond = beyond[beyond[:, 1] > -0.2]
    skull = skull_arc(grow=0.0, count=15)[1:-1]
    inner = skull * 0.84 + (0.0, -0.03)
    rim = np.concatenate([np.c_[skull * 1.06, np.full(len(skull), 1.2)], np.c_[inner, np.full(len(inner), 0.30)]])
    far = np.array([(x, y, 1.6) for x in (-2, 0, 2) for y in (-1.75, 2.25)])
    far = np.concatenate([far, [(-2.0, 0.2, 1.8), (2.0, 0.2, 1.8)]])
    anchors = np.concatenate([beyond, rim, far]).astype(np.float32)
    positions = np.concatenate([mean[nodes, :2], anchors[:, :2]])
    depth = _template_depth(positions, np.concatenate([mean[nodes, 2], anchors[:, 2]]))
    spread = _operator(positions, np.stack(_mesh(GRID_SIZE), -1).reshape(-1, 2), smoothing=2e-4)
    folded = spread[:, : len(nodes)].copy()
    for k, anchor in enumerate(anchors):  # an anchor moves with the landmark nearest to it
        nearest = int(np.argmin(((positions[: len(nodes)] - anchor[:2]) ** 2).sum(1)))
        folded[:, nearest] += spread[:, len(nodes) + k]
    maps = _skin_maps(mean)
    packed = tuple(np.ascontiguousarray(np.stack(maps[k : k + 4], axis=-1)) for k in range(0, len(maps), 4))
    return Layout(np.array(nodes), folded, depth, packed)


class _Painter:
    """Paints soft strokes on one canonical map; all lengths in face units."""

    def __init__(self) -> None:
        self.unit = MAP_SIZE / EXTENT
        axis = (np.arange(MAP_SIZE, dtype=np.float32) + 0.5) / self.unit
        self.x, self.y = np.meshgrid(axis + CORNER[0], axis + CORNER[1])

    def blob(self, x: float, y: float, width: float, height: float) -> Array:
        """Return a Gaussian mirrored to both sides."""
        both = [np.exp(-0.5 * (((self.x - s * x) / width) ** 2 + ((self.y - y) / height) ** 2)) for s in (-1, 1)]
        return np.asarray(np.maximum(*both), dtype=np.float32)

    def _pixels(self, points: Array) -> np.ndarray:
        return np.round((points[:, :2] - CORNER) * self.unit * 16).astype(np.int32)

    def stroke(self, points: Array, *, width: float, soft: float) -> Array:
        """Return a soft line along `points` (N, 2 or 3), unit peak."""
        canvas = np.zeros((MAP_SIZE, MAP_SIZE), np.uint8)
        line = self._pixels(smooth_curve(points[:, :2], samples=24))
        cv2.polylines(canvas, [line], False, 255, max(1, round(width * self.unit)), cv2.LINE_AA, 4)
        return self._softened(canvas, soft)

    def area(self, points: Array, *, soft: float) -> Array:
        """Return a filled soft polygon."""
        canvas = np.zeros((MAP_SIZE, MAP_SIZE), np.uint8)
        cv2.fillPoly(canvas, [self._pixels(points)], 255, cv2.LINE_AA, 4)
        return self._softened(canvas, soft)

    def _softened(self, canvas: np.ndarray, soft: float) -> Array:
        image = cv2.GaussianBlur(canvas.astype(np.float32) / 255.0, (0, 0), soft * self.unit)
        return np.asarray(image / max(float(image.max()), 1e-6), dtype=np.float32)


def _lips(mean: Array) -> tuple[Array, Array]:
    middle = (mean[13] + mean[14]) / 2
    upper = np.concatenate([mean[list(LIP_OUTER_UPPER)], [middle]])
    lower = np.concatenate([mean[list(LIP_OUTER_LOWER)], [middle]])
    return upper, lower


def _skin_maps(mean: Array) -> tuple[Array, ...]:
    p = _Painter()
    folds = [p.stroke(mean[list(s.fold)], width=0.015, soft=0.030) for s in SIDES]
    fold = np.maximum(*folds)
    wing = np.maximum(*(p.stroke(mean[list(s.wing)], width=0.01, soft=0.018) for s in SIDES))
    bag = np.maximum(*(p.stroke(mean[list(s.bag)] + (0, 0.01, 0), width=0.03, soft=0.035) for s in SIDES))
    lid = np.maximum(
        *(p.stroke((mean[list(s.crease)] + mean[list(s.upper_lid)]) / 2, width=0.03, soft=0.02) for s in SIDES)
    )
    upper, lower = _lips(mean)
    lips = 0.8 * p.area(upper, soft=0.025) + 1.0 * p.area(lower, soft=0.03)
    sockets = (
        p.blob(0.30, -0.06, 0.13, 0.10) + 0.55 * p.blob(0.5, -0.17, 0.26, 0.06) + 0.4 * p.blob(0.5, 0.15, 0.2, 0.07)
    )
    under_lip = np.exp(-0.5 * ((p.x / 0.20) ** 2 + ((p.y - 1.285) / 0.035) ** 2))
    corners = p.blob(0.385, 1.05, 0.035, 0.03)
    nose_side = p.blob(0.20, 0.35, 0.05, 0.2)
    red = p.blob(0.62, 0.52, 0.24, 0.18) + 0.8 * p.blob(0.0, 0.60, 0.15, 0.10) + 0.5 * p.blob(0.22, 0.66, 0.06, 0.08)
    red += (
        0.35 * p.blob(0.0, 1.52, 0.2, 0.1) + 0.5 * p.blob(0.5, 0.12, 0.22, 0.05) + 0.25 * p.blob(0.0, -0.35, 0.15, 0.12)
    )
    shade = sockets + 0.35 * nose_side + 0.45 * under_lip + 0.5 * corners + 0.35 * wing + 0.25 * fold
    shade += 0.3 * p.blob(0.98, -0.1, 0.12, 0.3) + 0.35 * p.blob(0.0, 0.79, 0.13, 0.03)
    oil = 0.8 * p.blob(0.0, -0.58, 0.30, 0.16) + 1.0 * p.blob(0.0, 0.35, 0.05, 0.30) + p.blob(0.0, 0.57, 0.09, 0.07)
    oil += 0.7 * p.blob(0.63, 0.33, 0.17, 0.09) + 0.4 * p.blob(0.0, 1.47, 0.14, 0.08) + 0.35
    philtrum = np.exp(-0.5 * ((p.x / 0.028) ** 2 + ((p.y - 0.86) / 0.045) ** 2))
    ridges = p.blob(0.062, 0.87, 0.022, 0.05)
    relief = 0.030 * lips + 0.014 * lid - 0.022 * wing - 0.010 * fold - 0.012 * philtrum + 0.006 * ridges
    relief += 0.012 * p.blob(0.205, 0.64, 0.055, 0.06) - 0.018 * under_lip - 0.010 * corners
    chin_zone = np.exp(-0.5 * ((p.x / 0.27) ** 2 + ((p.y - 1.52) / 0.15) ** 2) ** 2)
    goatee = np.maximum(0.6 * p.blob(0.42, 1.22, 0.07, 0.18), 0.75 * p.blob(0.0, 1.33, 0.07, 0.06))
    lip_top = p.area(upper, soft=0.02)
    mustache = np.exp(-0.5 * (((p.y - 0.865 - 0.28 * p.x**2) / 0.055) ** 2 + (p.x / 0.30) ** 4)) * (1 - lip_top)
    jaw_line = p.stroke(mean[list(JAW[1:-1])] * (0.93, 0.975, 1.0), width=0.16, soft=0.075)
    cheek_beard = p.blob(0.60, 1.30, 0.22, 0.18) * 0.9
    sideburn = 0.30 * ramp(p.y, 0.05, 0.3) + 0.70 * ramp(p.y, 0.45, 0.95)
    cheek = np.clip(np.maximum(jaw_line, cheek_beard), 0, 1) * sideburn
    bare = 1 - p.area(np.concatenate([upper[:-1], lower[:-1][::-1]]), soft=0.025)
    maps = {
        "red": red, "shade": shade, "oil": oil, "relief": relief, "bag": bag,
        "mustache": mustache * bare, "chin_beard": np.clip(chin_zone + goatee, 0, 1) * bare,
        "jaw_beard": cheek * bare, "sag": fold + 0.5 * bag, "lip_shadow": under_lip,
    }  # fmt: skip
    return tuple(np.ascontiguousarray(maps[name], dtype=np.float32) for name in MAPS)


@dataclass(frozen=True)
class HeadField:
    """One head over a square picture: depth in pixels (height toward the viewer) and skin maps by name."""

    height: Array
    maps: dict[str, Array]


def head_field(landmarks: Array, pose: Pose, *, size: int) -> HeadField:
    """Return the dense head of posed `landmarks` (478, 3) in pixels, as fields of shape (size, size)."""
    shared, (mean, _) = layout(), template()
    unit = pose.iris_distance * size
    local = (landmarks - (pose.x * size, pose.y * size, 0.0)) / unit
    moved = (local - mean)[shared.nodes].astype(np.float32)
    # cv2 multiplies on this thread: a threaded BLAS is twenty times slower here when the cores are busy
    grid = cv2.gemm(shared.operator, moved, 1.0, None, 0.0).reshape(GRID_SIZE, GRID_SIZE, 3)
    found = _inverse(grid, pose)
    change = cv2.GaussianBlur(np.ascontiguousarray(grid[..., 2]), (0, 0), 0.5 * CALM * GRID_SIZE / EXTENT)
    depth = _bilinear(change, found * np.float32((GRID_SIZE - 1) / EXTENT))
    # cv2.resize aligned pixel edges, the depth grid pixel centers: hence the half steps
    depth += _bilinear(shared.depth, (found * np.float32((DEPTH_SIZE - 1) / EXTENT) + 0.5) * REFINE - 0.5)
    depth = cv2.GaussianBlur(depth, (0, 0), 0.9)
    height = cv2.resize(depth, (size, size), interpolation=cv2.INTER_CUBIC) * np.float32(-unit)
    height = cv2.GaussianBlur(height, (0, 0), 0.75 * size / INVERSE_SIZE)
    large = cv2.resize(found, (size, size), interpolation=cv2.INTER_LINEAR)
    to_x, to_y = np.ascontiguousarray(large[..., 0]), np.ascontiguousarray(large[..., 1])
    return HeadField(height, _resampled(shared.maps, to_x, to_y))


def _bilinear(image: Array, at: Array) -> Array:
    """Return `image` sampled exactly; cv2.remap rounds positions to 1/32, which would show as ripples of light."""
    at = np.clip(at, 0, image.shape[0] - 1.001)
    cell = at.astype(np.int32)
    x, y = cell[..., 0], cell[..., 1]
    fx, fy = at[..., 0] - x, at[..., 1] - y
    top = image[y, x] * (1 - fx) + image[y, x + 1] * fx
    low = image[y + 1, x] * (1 - fx) + image[y + 1, x + 1] * fx
    return np.asarray(top * (1 - fy) + low * fy, dtype=np.float32)


def _inverse(grid: Array, pose: Pose) -> Array:
    """Return for a coarse picture grid the canonical position it shows, in face units from the canonical corner."""
    axis = (np.arange(INVERSE_SIZE, dtype=np.float32) + 0.5) / INVERSE_SIZE
    x = (axis - pose.x) / np.float32(pose.iris_distance) - CORNER[0]
    y = (axis - pose.y) / np.float32(pose.iris_distance) - CORNER[1]
    target = np.stack(np.meshgrid(x, y), axis=-1).astype(np.float32)
    plane = np.ascontiguousarray(grid[..., :2])
    scale = np.float32((GRID_SIZE - 1) / EXTENT)
    found = target
    for _ in range(INVERSE_STEPS):
        at = found * scale
        found = target - cv2.remap(plane, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.GaussianBlur(found, (0, 0), 0.8), dtype=np.float32)


def _resampled(maps: Sequence[Array], to_x: Array, to_y: Array) -> dict[str, Array]:
    factor = np.float32(MAP_SIZE / EXTENT)
    at_x, at_y = cv2.convertMaps(to_x * factor - 0.5, to_y * factor - 0.5, cv2.CV_16SC2)
    planes: list[Array] = []
    for image in maps:
        warped = cv2.remap(image, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        planes += cv2.split(warped)
    return dict(zip(MAPS, planes, strict=True))
