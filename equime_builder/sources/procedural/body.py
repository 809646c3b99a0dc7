"""Backdrop, neck, clothes and ears."""

from __future__ import annotations

import cv2
import numpy as np

from equime_builder.sources.procedural.canvas import (
    Frame,
    Window,
    blend,
    filled,
    fixed,
    light_of,
    shifted,
    softened,
    stroked,
    tint,
    value_noise,
)
from equime_builder.sources.procedural.geometry import JAW, Array, smooth_curve
from equime_builder.sources.procedural.parameters import FaceParameters, Scene
from equime_builder.sources.procedural.skin import shaded, tone_color

BACKDROP_SIZE = 64
EAR = ((0.02, -0.27), (0.07, -0.33), (0.15, -0.33), (0.205, -0.22), (0.20, -0.05), (0.155, 0.09), (0.115, 0.17),
       (0.095, 0.27), (0.045, 0.32), (-0.01, 0.26), (-0.06, 0.0))  # fmt: skip
HELIX = ((0.055, -0.24), (0.11, -0.285), (0.165, -0.20), (0.165, -0.06), (0.12, 0.08))
CONCHA = ((0.085, -0.13), (0.10, -0.03), (0.085, 0.05), (0.045, 0.10))
COLLARS = {"crew": 0.17, "v": 0.42, "shirt": 0.34, "high": -0.12}


def backdrop(scene: Scene, rng: np.random.Generator, *, size: int) -> Array:
    """Return an out-of-focus background, sRGB float32 (size, size, 3)."""
    n = BACKDROP_SIZE
    x, y = np.meshgrid(np.linspace(-1, 1, n, dtype=np.float32), np.linspace(-1, 1, n, dtype=np.float32))
    angle = rng.uniform(0, np.pi)
    mix = 0.5 + 0.4 * (x * np.cos(angle) + y * np.sin(angle)) + 0.10 * value_noise(rng, (3, 3), (n, n))
    if scene.backdrop == "outdoor":
        mix += 0.22 * value_noise(rng, (5, 6), (n, n)) + 0.10 * value_noise(rng, (10, 12), (n, n))
    first, second = (_muted(np.array(c, np.float32)) for c in scene.backdrop_colors)
    image = first + (second - first) * np.clip(mix, 0, 1)[..., None]
    if scene.backdrop == "bokeh":
        for _ in range(int(rng.integers(6, 15))):
            spot = np.zeros((n, n), np.float32)
            center = tuple(int(v) for v in rng.integers(0, n, 2))
            cv2.circle(spot, center, int(rng.integers(3, 10)), 1.0, -1, cv2.LINE_8)
            glow = second * rng.uniform(1.1, 1.7) + rng.uniform(0, 0.14) * np.array([1.0, 0.85, 0.6])
            blend(image, cv2.GaussianBlur(spot, (0, 0), 1.0) * rng.uniform(0.05, 0.30), np.clip(glow, 0, 1))
    side = float(np.sin(np.radians(scene.azimuth)))
    behind = np.exp(-((x + 0.45 * side) ** 2 + (y + 0.10) ** 2) / 0.75)  # the lit wall shows on the face's dark side
    image *= (0.70 + 0.46 * behind)[..., None]
    image = cv2.GaussianBlur(image, (0, 0), 1.2)
    soft = np.clip(image, 0, 1).astype(np.float32)
    return np.asarray(cv2.resize(soft, (size, size), interpolation=cv2.INTER_CUBIC))


def _muted(color: Array) -> Array:
    """Return the color nearer to its gray, as a wall out of focus looks."""
    return np.asarray(color * 0.65 + color.mean() * 0.35, dtype=np.float32)


def neck_outline(scene: Scene) -> Array:
    """Return neck and shoulders as a closed curve in face units, float32 (N, 2)."""
    wide, rise = scene.neck_width, 0.12 * scene.shoulder
    right = [(wide, 0.9), (wide * 0.98, 1.35), (wide * 1.0, 1.62), (wide * 1.14, 1.84), (wide * 1.6, 2.02 - rise / 2),
             (1.75, 2.20 - rise), (2.2, 2.42 - rise), (2.4, 2.9)]  # fmt: skip
    curve = smooth_curve(np.array(right, np.float32), samples=40)
    return np.concatenate([curve, curve[::-1] * (-1, 1)])


def paint_body(picture: Array, params: FaceParameters, frame: Frame, rng: np.random.Generator) -> None:
    """Paint neck, shoulders and clothes in place."""
    scene, size, unit = params.scene, frame.size, frame.unit
    level = Frame(
        frame.landmarks,
        frame.pose.__class__(0, 0, 0, frame.pose.iris_distance, frame.pose.x, frame.pose.y),
        size,
    )
    outline = level.place(neck_outline(scene))
    window = Window.around(np.concatenate([outline, [[0, size], [size, size]]]), 0, size=size)
    part, origin = window.of(picture), window.origin
    mask = window.of(filled([outline], size=size)).astype(np.float32) / 255
    blend(part, mask, _neck_skin(params, level, window))
    jaw = filled(
        [
            shifted(frame.points(JAW), 0, 0.14 * unit),
            shifted(frame.points(JAW), -0.1 * unit * np.sign(scene.azimuth), 0.05 * unit),
        ],
        size=size,
    )
    shadow = cv2.GaussianBlur(cv2.resize(window.of(jaw), None, fx=0.25, fy=0.25), (0, 0), 0.055 * unit / 4 + 0.5)
    shade = cv2.resize(shadow, window.shape[::-1]).astype(np.float32) / 255
    tint(part, shade * mask, (0.62, 0.53, 0.50))
    _clothes(part, params, level, origin, rng)


def _neck_skin(params: FaceParameters, frame: Frame, window: Window) -> Array:
    rows, columns = window.shape[0] // 4 + 1, window.shape[1] // 4 + 1
    axis = (np.linspace(0, window.shape[1], columns, dtype=np.float32) + window.left) / frame.size - frame.pose.x
    across = axis / np.float32(frame.pose.iris_distance * params.scene.neck_width * 1.25)
    x = np.ascontiguousarray(np.broadcast_to(np.clip(across, -0.92, 0.92), (rows, columns)))
    down = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    cord = np.abs(x) - (0.60 - 0.42 * down)  # from behind the ear to the pit of the neck
    cords = 0.30 * np.sign(x) * (np.exp(-(((cord - 0.07) / 0.07) ** 2)) - np.exp(-(((cord + 0.07) / 0.07) ** 2)))
    normal = (x * 0.95 + cords, np.full_like(x, 0.22), np.sqrt(1 - x * x))
    color = np.broadcast_to(tone_color(params.skin) * (0.92, 0.86, 0.84), (rows, columns, 3)).astype(np.float32)
    lit = shaded(color, normal, light_of(params.scene), gloss=0.01)
    return np.asarray(cv2.resize(lit, window.shape[::-1]))


def _clothes(part: Array, params: FaceParameters, frame: Frame, origin: Array, rng: np.random.Generator) -> None:
    scene, unit = params.scene, frame.unit
    wide, dip = scene.neck_width, COLLARS[scene.collar]
    edge_y = 1.60 if scene.collar == "high" else 1.86
    t = np.linspace(-1, 1, 33, dtype=np.float32)
    curve = 1 - np.abs(t) if scene.collar in ("v", "shirt") else np.sqrt(np.clip(1 - t * t, 0, 1))
    neckline = np.stack([t * wide * (1.03 if scene.collar == "high" else 1.12), edge_y + dip * curve], axis=1)
    around = np.array([(2.6, 2.2), (2.6, 3.0), (-2.6, 3.0), (-2.6, 2.2)], np.float32)
    shoulders = neck_outline(scene)[:40]
    above = shifted(shoulders[shoulders[:, 1] > edge_y], 0.02, -0.03)
    polygon = np.concatenate([neckline, above, around[1:3], above[::-1] * (-1, 1)])
    shape = part.shape[:2]
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [fixed(frame.place(polygon) - origin)], 255, cv2.LINE_AA, 4)
    cloth = softened(canvas, 0.6)
    blend(part, cloth, _weave(scene, shape, rng))
    seam = np.zeros(shape, np.uint8)
    stroked(seam, [frame.place(neckline) - origin], value=255, width=max(1, round(0.05 * unit)))
    tint(part, softened(seam, 0.02 * unit) * cloth, (0.72, 0.72, 0.74))
    inner = np.zeros(shape, np.uint8)
    stroked(inner, [frame.place(neckline - (0, 0.035)) - origin], value=255, width=max(1, round(0.05 * unit)))
    tint(part, softened(inner, 0.03 * unit) * (1 - cloth), (0.74, 0.68, 0.66))


def _weave(scene: Scene, shape: tuple[int, int], rng: np.random.Generator) -> Array:
    small = shape[0] // 4 + 1, shape[1] // 4 + 1
    drape = value_noise(rng, (3, 14), small) + 0.6 * value_noise(rng, (5, 30), small)
    slant = np.array([[1, 0.55, 0], [0, 1, 0]], np.float32)
    lean = cv2.warpAffine(drape, slant, small[::-1], borderMode=cv2.BORDER_REFLECT)
    folds = 0.06 * lean + value_noise(rng, (60, 90), small) * 0.012
    across = np.linspace(-0.3, 0.3, small[1], dtype=np.float32) * np.float32(np.sin(np.radians(scene.azimuth)))
    cloth = (0.80 + folds + across)[..., None] * np.array(scene.cloth, np.float32)
    return np.asarray(cv2.resize(cloth, shape[::-1], interpolation=cv2.INTER_LINEAR))


def paint_ears(picture: Array, params: FaceParameters, frame: Frame) -> None:
    """Paint both ears in place; the face is painted over their roots."""
    marks, unit = frame.landmarks, frame.unit
    light = light_of(params.scene)
    for side, root, top, bottom in ((-1, 234, 162, 132), (1, 454, 389, 361)):
        length = np.linalg.norm(marks[bottom, :2] - marks[top, :2]) / unit / 0.95 * params.ear_size * 0.93
        center = (marks[top, :2] * 0.42 + marks[bottom, :2] * 0.58) * (0, 1) + (
            marks[root, :2] - (side * 0.055 * unit, 0)
        ) * (1, 0)
        scale, origin = np.array([side * length, length]) * unit, np.asarray(center)
        ear, helix, concha = (np.array(curve) * scale + origin for curve in (EAR, HELIX, CONCHA))
        outline = smooth_curve(np.concatenate([ear, ear[:1]]), samples=48)
        window = Window.around(outline, 4, size=frame.size)
        shape, origin = window.shape, window.origin
        mask = np.zeros(shape, np.uint8)
        cv2.fillPoly(mask, [fixed(outline - origin)], 255, cv2.LINE_AA, 4)
        dents = np.zeros(shape, np.uint8)
        stroked(
            dents,
            [smooth_curve(helix - origin, samples=16)],
            value=150,
            width=max(1, round(0.025 * unit)),
        )
        stroked(
            dents,
            [smooth_curve(concha - origin, samples=12)],
            value=255,
            width=max(1, round(0.055 * unit)),
        )
        dent = softened(dents, 0.018 * unit)
        bulge = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), 0.035 * unit) - 0.9 * dent
        slope_x = cv2.Sobel(bulge, cv2.CV_32F, 1, 0, scale=0.125) * unit * 0.07
        slope_y = cv2.Sobel(bulge, cv2.CV_32F, 0, 1, scale=0.125) * unit * 0.07
        z = 1 / np.sqrt(1.25 + slope_x**2 + slope_y**2)
        color = tone_color(params.skin) * np.array([0.92, 0.74, 0.72], np.float32) * (1 - 0.70 * dent[..., None])
        lit = shaded(color.astype(np.float32), ((side * 0.45 - slope_x) * z, -slope_y * z, z), light, gloss=0.02)
        blend(window.of(picture), softened(mask, 0.5), lit)
