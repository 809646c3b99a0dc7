"""A headscarf draped round the face and over the shoulders."""

from __future__ import annotations

import cv2
import numpy as np

from equime_builder.sources.procedural.canvas import Frame, blend, filled, shifted, softened, stroked, tint, value_noise
from equime_builder.sources.procedural.flows import Scalp, scalp_of
from equime_builder.sources.procedural.geometry import JAW, Array, smooth_curve
from equime_builder.sources.procedural.hair import volume_light
from equime_builder.sources.procedural.parameters import FaceParameters

DRAPE = ((1.27, 0.75), (1.20, 1.45), (1.75, 2.15), (2.3, 2.6))  # image right, from the ear down; face units
FOLDS = 24
LIGHT_GRID = 64


def paint_scarf(picture: Array, params: FaceParameters, frame: Frame, rng: np.random.Generator) -> None:
    """Paint a headscarf in place, its shadow on the skin included."""
    scalp, unit = scalp_of(params, frame), frame.unit
    right = np.array(DRAPE, np.float32)
    outline = np.concatenate([scalp.rim[::4], right, right[::-1] * (-1, 1), scalp.rim[:1]])
    mask = filled([scalp.pixels(smooth_curve(outline, samples=200))], size=frame.size)
    hole = filled([scalp.pixels(_face_opening(scalp))], size=frame.size)
    alpha = softened(cv2.min(mask, 255 - hole), 0.7)
    rim = cv2.GaussianBlur(hole.astype(np.float32) / 255, (0, 0), 0.045 * unit)
    value = _light(scalp) * (1 - 0.36 * _folds(scalp, rng)) * (1 - 0.35 * rim)
    value *= 1 + 0.012 * value_noise(rng, (120, 120), value.shape)
    scene = params.scene
    cloth = 0.5 * np.array(scene.backdrop_colors[1][::-1]) + 0.5 * np.array(scene.cloth) + 0.06
    tint(picture, cv2.GaussianBlur(alpha, (0, 0), 0.05 * unit) * 0.6, (0.75, 0.68, 0.66))
    blend(picture, alpha, np.clip(cloth, 0, 1).astype(np.float32) * value[..., None])


def _face_opening(scalp: Scalp) -> Array:
    jaw = (scalp.frame.points(JAW[1:-1]) - scalp.origin) / scalp.frame.unit  # from image left to right
    under = shifted(jaw[::-1] * (0.97, 1.0), 0, 0.015)
    forehead = shifted(scalp.line[3:-3:5], 0, 0.07)
    return smooth_curve(np.concatenate([forehead, under, forehead[:1]]), samples=160)


def _light(scalp: Scalp) -> Array:
    size = scalp.frame.size
    axis = (np.arange(LIGHT_GRID, dtype=np.float32) + 0.5) * size / LIGHT_GRID
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)
    bright, _ = volume_light(scalp, (grid - scalp.origin) / scalp.frame.unit)
    return np.asarray(cv2.resize(bright.astype(np.float32), (size, size)))


def _folds(scalp: Scalp, rng: np.random.Generator) -> Array:
    """Return the depth of folds that run from the crown past the cheek and cross under the chin."""
    lines = []
    for k in range(FOLDS):
        side, out = (1 if k % 2 else -1), rng.uniform(0.1, 1.0)
        crown = scalp.between(np.array(0.5 + side * rng.uniform(0.1, 0.4)), np.array(out))
        below = [(1.0 + 0.15 * out, 0.4), (0.85 + 0.2 * out, 1.3), (rng.uniform(-0.35, 0.6), 1.75 + 0.5 * out)]
        way = np.concatenate([crown[None], np.array(below) * (side, 1)])
        lines.append(scalp.pixels(smooth_curve(way, samples=24)))
    mask = np.zeros((scalp.frame.size, scalp.frame.size), np.uint8)
    stroked(mask, lines, value=255, width=max(1, round(0.045 * scalp.frame.unit)))
    return softened(mask, 0.035 * scalp.frame.unit)
