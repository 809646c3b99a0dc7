"""Head hair: a soft mass and strands that follow the style's flow, lit as one rounded volume.

Curves are in local face units (the frame's own axes, iris distance 1, origin between the eyes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from equime_builder.sources.procedural.canvas import Frame, blend, filled, fixed, Window, light_of, softened, stroked, tint, value_noise
from equime_builder.sources.procedural.geometry import Array, smooth_curve
from equime_builder.sources.procedural.head import SKULL_HALF_WIDTH, skull_arc
from equime_builder.sources.procedural.parameters import FaceParameters
from equime_builder.sources.procedural.tables import HAIR_STYLES, HairStyle

HAIRLINE = (234, 127, 162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389, 356, 454)
ARC = 81
LEVELS, DARKEST, BRIGHTEST = 12, 0.28, 1.50  # shades of the pigment that strands are drawn in, dark to light
CONTRAST = {"curls": 1.0, "back": 0.6, "short": 0.9}  # of strands against their neighbours
GREY = np.array([0.60, 0.59, 0.58])


@dataclass(frozen=True)
class Scalp:
    """Hairline and silhouette, each float32 (ARC, 2) from image left to right, and the frame they lie in."""

    frame: Frame
    style: HairStyle
    line: Array
    rim: Array
    params: FaceParameters

    def between(self, along: Array, out: Array) -> Array:
        """Return the points at `along` 0..1 (left to right), `out` 0 (hairline) .. 1 (silhouette), (..., 2)."""
        position = np.clip(along, 0, 1) * (ARC - 1)
        low = np.minimum(position.astype(int), ARC - 2)
        part = (position - low)[..., None]
        line = self.line[low] * (1 - part) + self.line[low + 1] * part
        rim = self.rim[low] * (1 - part) + self.rim[low + 1] * part
        return np.asarray(line + (rim - line) * np.asarray(out)[..., None], dtype=np.float32)

    def pixels(self, points: Array) -> Array:
        """Return local points as pixels."""
        return np.asarray(points * self.frame.unit + self.origin, dtype=np.float32)

    @property
    def origin(self) -> Array:
        """Pixel position of the local origin."""
        return np.array([self.frame.pose.x, self.frame.pose.y], np.float32) * self.frame.size


def scalp_of(params: FaceParameters, frame: Frame) -> Scalp:
    """Return hairline and silhouette of one head."""
    style = HAIR_STYLES[params.hair.style]
    origin = np.array([frame.pose.x, frame.pose.y], np.float32) * frame.size
    marks = (frame.points(HAIRLINE) - origin) / frame.unit
    lift = np.array([0, 0, 0.0, 0.02, 0.05, 0.08, 0.10, 0.11, 0.11, 0.11, 0.10, 0.08, 0.05, 0.02, 0.0, 0, 0])
    temple = np.exp(-(((np.abs(np.arange(17) - 8) - 2.6) / 1.5) ** 2))
    middle = np.exp(-(((np.arange(17) - 8) / 2.0) ** 2))
    back = params.hair.recession
    marks[:, 1] -= lift + back * (0.42 * temple + 0.22 * middle)
    marks[:, 0] *= 1 + 0.015 * (lift == 0) - 0.06 * back * temple
    line = smooth_curve(marks, samples=ARC)
    half = float(frame.landmarks[454, 0] - frame.landmarks[234, 0]) / frame.unit / 2
    swell = style.swell * (0.7 + 0.6 * params.hair.volume)
    rim = skull_arc(grow=swell, count=ARC) * (half / SKULL_HALF_WIDTH, 1.0)
    if style.end == 0 and style.flow in ("parted", "short"):  # cut short at the sides, fuller on top
        tight = skull_arc(grow=0.03, count=ARC) * (half / SKULL_HALF_WIDTH, 1.0)
        top = np.sin(np.linspace(0, np.pi, ARC))[:, None] ** 1.2
        rim = tight + (skull_arc(grow=swell * 1.15, count=ARC) * (half / SKULL_HALF_WIDTH, 1.0) - tight) * top
    rim[:, 0] += float(marks[[0, -1], 0].mean())
    return Scalp(frame, style, line, rim.astype(np.float32), params)


def skull_polygon(frame: Frame) -> Array:
    """Return the bald head's outline above the ears in pixels, a closed curve float32 (N, 2)."""
    half = float(frame.landmarks[454, 0] - frame.landmarks[234, 0]) / frame.unit / 2
    middle = float(frame.landmarks[[234, 454], 0].mean()) / frame.unit - frame.pose.x * frame.size / frame.unit
    arc = skull_arc(grow=-0.02, count=61) * (half / SKULL_HALF_WIDTH * 0.985, 1.0) + (middle, 0)
    origin = np.array([frame.pose.x, frame.pose.y], np.float32) * frame.size
    return np.asarray(arc * frame.unit + origin, dtype=np.float32)


Strands = Array  # (strands, points, 2)


def _swept(scalp: Scalp, rng: np.random.Generator, count: int) -> Strands:
    """Strands from the parting and the hairline over the head to the ears and, if long, down beside the face."""
    style, hair = scalp.style, scalp.params.hair
    parting = 0.5 + 0.16 * hair.parting
    side = np.where(rng.random((count, 1)) < parting, 0.0, 1.0)
    rooted = rng.random((count, 1)) < (0.62 if style.end == 0 else 0.40)  # grows out of the hairline rather than the parting
    start = np.where(rooted, rng.random((count, 1)) * 0.8, 0.0)
    low = np.where(rooted, rng.uniform(-0.03, 0.04, (count, 1)), rng.uniform(0.05, 1.0, (count, 1)))
    high = np.where(rooted, rng.uniform(0.25 if style.end == 0 else 0.10, 0.9, (count, 1)), low)
    t = np.linspace(0, 1, 19)[None]
    reach = rng.uniform(0.80, 1.0, (count, 1)) if style.end == 0 else np.ones((count, 1))
    ease = 1 - (1 - t) ** 1.6
    parting = parting - (side * 2 - 1) * 0.03 * rng.random((count, 1))
    along = parting + (side - parting) * (start + (reach - start) * np.where(rooted, t**1.35, t))
    out = low + (high - low) * ease
    out = out * (1 - 0.10 * np.exp(-((t / 0.06) ** 2))) + 0.03 * style.wave * np.sin(9 * t + 20 * high)
    head = scalp.between(along, out)
    if style.end == 0:
        return head
    return np.concatenate([head, _fall(scalp, head[:, -1], high, side * 2 - 1, rng)], axis=1)


def _length(scalp: Scalp) -> float:
    """Return how far below the eyes loose hair ends, face units."""
    end = scalp.style.end
    return end + 0.12 * scalp.params.hair.length if end < 2 else 1.75 + 1.1 * scalp.params.hair.length


def _fall(scalp: Scalp, top: Array, out: Array, sign: Array, rng: np.random.Generator) -> Strands:
    """Continue strands from `top` (N, 2) beside the face and over the shoulders; `out` and `sign` are (N, 1)."""
    style, hair, count = scalp.style, scalp.params.hair, len(top)
    stop = _length(scalp) - 0.40 * rng.random((count, 1)) ** 2
    s = np.linspace(0.05, 1, 18)[None]
    y = top[:, 1:] + (stop - top[:, 1:]) * s
    spread = 0.02 + 0.15 * out + 0.12 * hair.volume
    bob = style.end < 1.6
    x = top[:, :1] + sign * (spread * np.sin(np.pi * np.minimum(s, 0.72)) - (0.16 if bob else -0.02) * s**2)
    phase = 1.7 * np.round(out * 7) + 0.5 * rng.normal(0, 1, (count, 1))
    x = x + style.wave * 0.085 * np.sin(5.2 * y + phase) * np.minimum(1, s * 2.2)
    x = x + 0.035 * rng.normal(0, 1, (count, 1)) * s
    return np.stack([x, y], -1).astype(np.float32)


def _cropped(scalp: Scalp, rng: np.random.Generator, count: int) -> Strands:
    """Short strands growing away from the hairline, combed to one side."""
    along = rng.random(count)[:, None]
    out = np.sort(rng.random(count) ** 1.1)[::-1][:, None] * 1.0 - 0.02
    lean = 0.10 * scalp.params.hair.parting + 0.12 * (along - 0.5)
    t = np.linspace(0, 1, 7)[None]
    length = (0.28 + 0.25 * scalp.style.wave) * rng.uniform(0.7, 1.2, (count, 1))
    tip = np.minimum(out + length, 1.02 + 0.06 * rng.random((count, 1)))
    jitter = rng.normal(0, 0.012, (count, 1))
    return scalp.between(along + (lean + jitter) * t**1.5, out + (tip - out) * t)


def _back(scalp: Scalp, rng: np.random.Generator, count: int) -> Strands:
    """Strands drawn tightly from the hairline over the head."""
    along = rng.random(count)[:, None]
    start = np.where(rng.random((count, 1)) < 0.5, -0.01, rng.random((count, 1)) * 0.7)
    t = np.linspace(0, 1, 9)[None]
    return scalp.between(along + (0.5 - along) * 0.16 * t, start + (1.0 - start) * t)


def _curled(scalp: Scalp, rng: np.random.Generator, count: int) -> Strands:
    """Small curls filling the region around the head."""
    style = scalp.style
    if style.end > 0:
        centre = _crown(scalp, rng, count)
    else:
        centre = scalp.between(rng.random(count), rng.random(count) ** 0.8 * 1.03 - 0.01)
    turn = np.linspace(0, 1.35, 9)[None] * np.pi * rng.choice((-1, 1), (count, 1)) + rng.uniform(0, 6.28, (count, 1))
    size = 0.014 + 0.022 * scalp.params.hair.length * (1.5 if style.end > 1 else 1.0)
    radius = size * rng.uniform(0.7, 1.4, (count, 1)) * np.linspace(1, 0.5, 9)[None]
    return (centre[:, None] + np.stack([radius * np.cos(turn), radius * 0.9 * np.sin(turn)], -1)).astype(np.float32)


def crown_outline(scalp: Scalp) -> Array:
    """Return the outline of big curly hair, a closed curve float32 (N, 2)."""
    swell = scalp.style.swell * (0.75 + 0.5 * scalp.params.hair.volume)
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    x, y = np.cos(angle), np.sin(angle)
    bottom = max(0.45, scalp.style.end * (0.85 + 0.2 * scalp.params.hair.length))
    middle = -0.42
    wobble = 1 + 0.018 * np.sin(9 * angle + scalp.params.hair.parting * 9) + 0.012 * np.sin(14 * angle)
    reach = np.where(y > 0, bottom - middle, 1.0 + swell * 0.95)
    return np.stack([x * (1.08 + swell) * wobble, middle + y * reach * wobble], 1).astype(np.float32)


def _crown(scalp: Scalp, rng: np.random.Generator, count: int) -> Array:
    """Return random points of big curly hair in front of the head, outside the face, (count, 2)."""
    outline = crown_outline(scalp)
    low, high = outline.min(0), outline.max(0)
    tries = rng.uniform(low, high, (count * 7, 2)).astype(np.float32)
    middle = (low + high) / 2 * (0, 1) + (0, -0.2)
    angle = np.arctan2(tries[:, 1] - middle[1], tries[:, 0] - middle[0])
    border = np.hypot(outline[:, 0] - middle[0], outline[:, 1] - middle[1])
    at = np.arctan2(outline[:, 1] - middle[1], outline[:, 0] - middle[0])
    order = np.argsort(at)
    limit = np.interp(angle, at[order], border[order], period=2 * np.pi)
    inside = np.hypot(tries[:, 0] - middle[0], tries[:, 1] - middle[1]) < limit
    hairline = np.interp(tries[:, 0], scalp.line[:, 0], scalp.line[:, 1], left=9.0, right=9.0)
    beside = np.abs(tries[:, 0]) > 0.99 + 0.02 * np.maximum(0, tries[:, 1])
    kept = tries[inside & ((tries[:, 1] < hairline) | beside)]
    return kept[np.arange(count) % len(kept)]


def _sides(scalp: Scalp, rng: np.random.Generator, count: int) -> Strands:
    """What remains above the ears of a bald crown."""
    count //= 3
    along = rng.random(count)[:, None] * 0.17
    along = np.where(rng.random((count, 1)) < 0.5, along, 1 - along)
    start = rng.random((count, 1))
    t = np.linspace(0, 1, 7)[None]
    return scalp.between(along - (along - 0.5) * 0.05 * t, start * 0.75 + 0.35 * t)


FLOWS: dict[str, tuple[Callable[[Scalp, np.random.Generator, int], Strands], int]] = {
    "parted": (_swept, 1500),
    "fringe": (_swept, 1300),
    "short": (_cropped, 2200),
    "back": (_back, 1300),
    "curls": (_curled, 2100),
    "sides": (_sides, 900),
}


def _fringe(scalp: Scalp, rng: np.random.Generator, count: int) -> Strands:
    across = rng.uniform(-1, 1, (count, 1))
    t = np.linspace(0, 1, 11)[None]
    x = across * (0.38 + 0.50 * np.sqrt(t))
    brow = float(scalp.line[ARC // 2, 1]) + 0.40
    low = brow + 0.10 * across**2 + rng.normal(0, 0.025, (count, 1))
    y = -1.36 + 0.1 * across**2 + (low + 1.36 - 0.1 * across**2) * t**1.25
    return np.stack([x + 0.03 * rng.normal(0, 1, (count, 1)) * t, y], -1).astype(np.float32)


def _colour(scalp: Scalp) -> Array:
    hair = scalp.params.hair
    return np.asarray(np.array(hair.colour) * (1 - hair.grey) + GREY * hair.grey, dtype=np.float32)


def _lighting(scalp: Scalp, points: Array) -> tuple[Array, Array]:
    """Return brightness and highlight of the hair's rounded volume at local `points` (..., 2)."""
    x, y = points[..., 0], points[..., 1]
    light = light_of(scalp.params.scene)
    nx, ny = np.clip(x / 1.45, -1, 1), np.clip((y + 0.25) / 1.55, -1, 0.45)
    nz = np.sqrt(np.clip(1 - nx * nx - ny * ny, 0.03, 1))
    facing = nx * light.direction[0] + ny * light.direction[1] + nz * light.direction[2]
    bright = 0.50 + 0.72 * np.clip((facing + 0.25) / 1.25, 0, 1)
    bright = bright * (1 - 0.30 * np.clip((y - 0.2) / 1.2, 0, 1) * (np.abs(x) < 1.2))
    band = np.exp(-(((y + 1.12 - 0.62 * x * x - 0.35 * x * light.direction[0]) / 0.14) ** 2))
    return bright, band * (0.3 + 0.7 * np.clip(facing, 0, 1))


def _lit_ground(scalp: Scalp, dim: float) -> np.ndarray:
    """Return what shows between strands, uint8 (size, size, 3)."""
    size = scalp.frame.size
    axis = (np.arange(64, dtype=np.float32) + 0.5) * size / 64
    x, y = np.meshgrid(axis, axis)
    bright, _ = _lighting(scalp, (np.stack([x, y], -1) - scalp.origin) / scalp.frame.unit)
    ground = _colour(scalp) * (0.52 * dim * bright[..., None] * 255)
    return np.asarray(cv2.resize(np.clip(ground, 0, 255).astype(np.uint8), (size, size)))


def _brightness(scalp: Scalp, strands: Strands, rng: np.random.Generator) -> tuple[Strands, Array]:
    """Cut strands into pieces (M, 3, 2) and give each a brightness by its lock, its direction and the light, (M,)."""
    points = strands.shape[1]
    pieces = np.stack([strands[:, k : k + 3] for k in range(0, points - 2, 2)], axis=1)
    way = pieces[:, :, 2] - pieces[:, :, 0]
    way = way / np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-6)
    light = light_of(scalp.params.scene).direction
    across = np.sqrt(np.clip(1 - (way[..., 0] * light[0] + way[..., 1] * light[1]) ** 2, 0, 1))
    root, middle = strands[:, 0], strands[:, points // 2]
    lock = np.sin(23 * root[:, 0] + 3 * root[:, 1]) + np.sin(31 * strands[:, -1, 0] + 11 * middle[:, 1])
    contrast = CONTRAST.get(scalp.style.flow, 1.0)
    own = 0.09 * lock[:, None] + 0.14 * rng.standard_normal((len(strands), 1)) + 0.34 * (across**3 - 0.55)
    bright, band = _lighting(scalp, pieces[:, :, 1])
    gloss = 0.10 if scalp.style.flow == "curls" else 0.24
    value = bright * (0.80 + contrast * own) + gloss * band * (1 + 1.5 * contrast * own)
    return pieces.reshape(-1, 3, 2), np.asarray(value.ravel(), dtype=np.float32)


def _lay(picture: Array, scalp: Scalp, strands: Strands, mass: np.ndarray, rng: np.random.Generator, *, dim: float) -> None:
    """Lay a mass and its strands over the picture in place."""
    size, hair = scalp.frame.size, scalp.params.hair
    layer = _lit_ground(scalp, dim)
    pieces, value = _brightness(scalp, strands, rng)
    lines = fixed(scalp.pixels(pieces))
    cover = mass.copy()
    width = max(1, round(size / 512))
    cv2.polylines(cover, list(fixed(scalp.pixels(strands))), False, 215, width, cv2.LINE_AA, 4)
    level = np.clip(np.round((value - DARKEST) / (BRIGHTEST - DARKEST) * (LEVELS - 1)), 0, LEVELS - 1).astype(int)
    key = light_of(scalp.params.scene).key
    for group in range(LEVELS):
        chosen = lines[level == group]
        if not len(chosen):
            continue
        shade = (DARKEST + group * (BRIGHTEST - DARKEST) / (LEVELS - 1)) * dim
        grey = np.clip(hair.grey + 0.25 * (0 < hair.grey < 1) * (shade - 0.9), 0, 1)
        pigment = np.array(hair.colour) * (1 - grey) + GREY * grey
        sheen = 0.10 * max(0.0, shade - 0.95) * key
        tone = np.clip((pigment * shade + sheen) * 255, 0, 232).tolist()
        cv2.polylines(layer, list(chosen), False, tone, width * (2 if group < 3 else 1), cv2.LINE_AA, 4)
    window = Window.around(np.argwhere(cover[::8, ::8])[:, ::-1] * 8.0, 9, size=size)
    over = window.of(layer).astype(np.float32) * np.float32(1 / 255)
    blend(window.of(picture), softened(window.of(cover), 0.4), over)


def _mass(scalp: Scalp) -> np.ndarray:
    """Return the uint8 mask of the hair on the head."""
    along = np.linspace(0, 1, ARC)
    inset, outset = scalp.between(along, np.full(ARC, 0.10)), scalp.between(along, np.full(ARC, 0.97))
    if scalp.style.flow == "sides":
        parts = [np.concatenate([inset[a], outset[a][::-1]]) for a in (slice(0, 13), slice(ARC - 13, ARC))]
    else:
        parts = [np.concatenate([inset, outset[::-1]])]
    mask = filled([scalp.pixels(p) for p in parts], size=scalp.frame.size)
    return _blurred(mask, 0.022 * scalp.frame.unit)


def _blurred(mask: np.ndarray, sigma: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma))


def paint_hair_behind(picture: Array, params: FaceParameters, frame: Frame, rng: np.random.Generator) -> None:
    """Paint in place the hair that hangs behind neck and shoulders."""
    scalp = scalp_of(params, frame)
    style = scalp.style
    if style.end <= 0 or style.flow == "scarf":
        return
    if style.flow == "curls":
        mass = filled([scalp.pixels(smooth_curve(crown_outline(scalp), samples=160))], size=frame.size)
        _lay(picture, scalp, _curled(scalp, rng, 500), _blurred(mass, 0.02 * frame.unit), rng, dim=0.7)
        return
    end = _length(scalp) - 0.05
    wide = 1.02 + style.swell * 0.8 + 0.12 * params.hair.volume
    half = [(0.80, -0.7), (0.98, 0.1), (wide, min(0.9, end * 0.6)), (wide * 0.97, end * 0.85), (wide * 0.80, end)]
    right = smooth_curve(np.array(half, np.float32), samples=24)
    mass = filled([scalp.pixels(np.concatenate([right, right[::-1] * (-1, 1)]))], size=frame.size)
    x = rng.uniform(-wide, wide, (320, 1))
    t = np.linspace(0, 1, 17)[None]
    y = 0.2 + (end * rng.uniform(0.9, 1.05, (320, 1)) - 0.2) * t
    sway = style.wave * 0.07 * np.sin(5.2 * y + 1.7 * np.round(4 * x))
    strands = np.stack([x * (0.95 + 0.06 * np.sin(2.6 * t)) + sway, y + 0 * x], -1).astype(np.float32)
    _lay(picture, scalp, strands, _blurred(mass, 0.03 * frame.unit), rng, dim=0.72)


def paint_hair(picture: Array, params: FaceParameters, frame: Frame, rng: np.random.Generator) -> None:
    """Paint in place the hair of the head, its shadow on the skin, or a headscarf."""
    scalp = scalp_of(params, frame)
    if scalp.style.flow == "none":
        return
    if scalp.style.flow == "scarf":
        _scarf(picture, scalp, rng)
        return
    make, count = FLOWS[scalp.style.flow]
    strands, mass = make(scalp, rng, count), _mass(scalp)
    shadow = cv2.GaussianBlur(cv2.resize(mass, None, fx=0.25, fy=0.25), (0, 0), 0.035 * frame.unit)
    shade = cv2.resize(shadow, (frame.size, frame.size)).astype(np.float32) / 255
    tint(picture, shade * 0.75, (0.72, 0.64, 0.62))
    _lay(picture, scalp, strands, mass, rng, dim=1.0)
    if scalp.style.flow == "fringe":
        over = _fringe(scalp, rng, 420)
        blank = np.zeros_like(mass)
        _lay(picture, scalp, over, blank, rng, dim=1.0)


def _lit_scarf(scalp: Scalp) -> Array:
    size = scalp.frame.size
    x, y = np.meshgrid(*2 * [(np.arange(64, dtype=np.float32) + 0.5) * size / 64])
    bright, _ = _lighting(scalp, (np.stack([x, y], -1) - scalp.origin) / scalp.frame.unit)
    return np.asarray(cv2.resize(bright.astype(np.float32), (size, size)))


def _scarf(picture: Array, scalp: Scalp, rng: np.random.Generator) -> None:
    frame, unit = scalp.frame, scalp.frame.unit
    cloth = np.array(scalp.params.scene.backdrop_colours[1], np.float32)[::-1] * 0.5 + np.array(scalp.params.scene.cloth, np.float32) * 0.5
    outer = np.concatenate([scalp.rim, [(1.25, 0.8), (1.2, 1.5), (1.8, 2.2), (2.3, 2.6), (-2.3, 2.6), (-1.8, 2.2), (-1.2, 1.5), (-1.25, 0.8)]])
    local = (frame.points((234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152)) - scalp.origin) / unit
    right = (frame.points((454, 323, 361, 288, 397, 365, 379, 378, 400, 377)) - scalp.origin) / unit
    face = np.concatenate([scalp.line[2:-2] + (0, 0.07), right * (0.97, 1.0) + (0, 0.02), local[::-1] * (0.97, 1.0) + (0, 0.02)])
    inner = smooth_curve(np.concatenate([face[::3], face[:1]]), samples=120)
    mask = filled([scalp.pixels(smooth_curve(np.concatenate([outer[::3], outer[:1]]), samples=160))], size=frame.size)
    hole = filled([scalp.pixels(inner)], size=frame.size)
    alpha = softened(cv2.min(mask, 255 - hole), 0.7)
    bright = _lit_scarf(scalp)
    folds = np.zeros((frame.size, frame.size), np.uint8)
    lines = []
    for k in range(26):
        side = 1 if k % 2 else -1
        out = rng.uniform(0.1, 1.0)
        start = scalp.between(np.array(0.5 + side * rng.uniform(0.1, 0.4)), np.array(out))
        lines.append(smooth_curve(np.stack([start, (side * (1.0 + 0.15 * out), 0.4), (side * (0.85 + 0.2 * out), 1.3), (-side * rng.uniform(-0.4, 0.8), 1.8 + 0.4 * out)]).astype(np.float32), samples=24))
    stroked(folds, [scalp.pixels(line) for line in lines], value=255, width=max(1, round(0.03 * unit)))
    crease = softened(folds, 0.03 * unit)
    rim = cv2.GaussianBlur(hole.astype(np.float32) / 255, (0, 0), 0.07 * unit)
    value = bright * (1 - 0.30 * crease) * (1 - 0.35 * rim) * (1 + 0.03 * value_noise(rng, (80, 80), bright.shape))
    tint(picture, cv2.GaussianBlur(alpha, (0, 0), 0.05 * unit) * 0.6, (0.75, 0.68, 0.66))
    blend(picture, alpha, np.clip(cloth + 0.06, 0, 1) * value[..., None])
