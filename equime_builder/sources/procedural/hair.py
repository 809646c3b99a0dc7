"""Head hair: a soft mass and strands that follow the style's flow, lit as one rounded volume.

Curves are in local face units (the frame's own axes, iris distance 1, origin between the eyes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from equime_builder.sources.procedural.canvas import Frame, blend, filled, fixed, light_of, softened, stroked, tint, value_noise
from equime_builder.sources.procedural.geometry import Array, smooth_curve
from equime_builder.sources.procedural.head import SKULL_HALF_WIDTH, skull_arc
from equime_builder.sources.procedural.parameters import FaceParameters
from equime_builder.sources.procedural.tables import HAIR_STYLES, HairStyle

HAIRLINE = (234, 127, 162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389, 356, 454)
ARC = 81
SHADES = ((0.50, 2), (0.72, 1), (0.95, 1), (0.62, 1), (1.18, 1), (1.45, 1))  # drawn in this order: (brightness, width)
GREY = np.array([0.74, 0.73, 0.72])


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
    middle = np.exp(-((np.arange(17) - 8) / 2.0) ** 2)
    back = params.hair.recession
    marks[:, 1] -= lift + back * (0.42 * temple + 0.22 * middle)
    marks[:, 0] *= 1 + 0.015 * (lift == 0) - 0.06 * back * temple
    line = smooth_curve(marks, samples=ARC)
    half = float(frame.landmarks[454, 0] - frame.landmarks[234, 0]) / frame.unit / 2
    swell = style.swell * (0.7 + 0.6 * params.hair.volume)
    rim = skull_arc(grow=swell, count=ARC) * (half / SKULL_HALF_WIDTH, 1.0)
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
    """Strands from the parting over the head to the ears and, for long hair, down beside the face."""
    style, hair = scalp.style, scalp.params.hair
    parting = 0.5 + 0.16 * hair.parting
    side = np.where(rng.random(count) < parting, 0.0, 1.0)[:, None]
    out = (rng.random(count) ** 0.8)[:, None]
    t = np.linspace(0, 1, 18)[None]
    reach = rng.uniform(0.82, 1.0, (count, 1)) if style.end == 0 else 1.0
    along = parting + (side - parting) * t * reach
    lifted = out * (0.62 + 0.38 * np.minimum(1, t * 3.0)) + 0.10 * (1 - out) * np.exp(-((t - 0.12) / 0.12) ** 2)
    head = scalp.between(along, lifted)
    if style.end == 0:
        return head
    sign = side * 2 - 1
    stop = style.end * (0.86 + 0.14 * hair.length) - 0.35 * rng.random((count, 1)) ** 3
    if style.end > 2:
        stop = stop - 0.8 * (1 - hair.length) * (hair.length < 0.45)
    s = np.linspace(0.06, 1, 16)[None]
    top = head[:, -1:]
    y = top[..., 1] + (stop - top[..., 1]) * s
    spread = 0.05 + 0.16 * out + 0.10 * scalp.params.hair.volume
    x = top[..., 0] + sign * (spread * np.sin(np.pi * np.minimum(s, 0.75)) - 0.12 * s * (style.end < 1.6) + 0.06 * s)
    phase = 2.3 * out + 0.8 * rng.random((count, 1))
    x = x + style.wave * 0.075 * np.sin(2 * np.pi * (y * 0.95 + phase * 0.35)) * np.minimum(1, s * 2)
    x = x + 0.03 * rng.normal(0, 1, (count, 1)) * s
    return np.concatenate([head, np.stack([x, y], -1).astype(np.float32)], axis=1)


def _cropped(scalp: Scalp, rng: np.random.Generator, count: int) -> Strands:
    """Short strands growing away from the hairline, combed to one side."""
    along = rng.random(count)[:, None]
    out = np.sort(rng.random(count) ** 1.1)[::-1][:, None] * 1.0 - 0.02
    lean = 0.10 * scalp.params.hair.parting + 0.12 * (along - 0.5)
    t = np.linspace(0, 1, 6)[None]
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
    centre = scalp.between(rng.random(count), rng.random(count) ** 0.75 * 1.03 - 0.01)
    if scalp.style.end > 0:
        sides = int(count * min(0.5, 0.22 * (1 + scalp.style.end)))
        x = rng.uniform(0.98, 1.06 + scalp.style.swell * 1.6, sides) * rng.choice((-1, 1), sides)
        y = rng.uniform(-0.1, scalp.style.end, sides)
        x = x * (1 - 0.05 * (y / 1.7) ** 2)
        centre[:sides] = np.stack([x, y], 1)
    turn = np.linspace(0, 1.35, 9)[None] * np.pi * rng.choice((-1, 1), (count, 1)) + rng.uniform(0, 6.28, (count, 1))
    radius = rng.uniform(0.022, 0.06, (count, 1)) * (0.7 + 0.8 * scalp.params.hair.length) * np.linspace(1, 0.55, 9)[None]
    return (centre[:, None] + np.stack([radius * np.cos(turn), radius * 0.85 * np.sin(turn)], -1)).astype(np.float32)


def _sides(scalp: Scalp, rng: np.random.Generator, count: int) -> Strands:
    """What remains above the ears of a bald crown."""
    count //= 3
    along = rng.random(count)[:, None] * 0.17
    along = np.where(rng.random((count, 1)) < 0.5, along, 1 - along)
    start = rng.random((count, 1))
    t = np.linspace(0, 1, 6)[None]
    return scalp.between(along - (along - 0.5) * 0.05 * t, start * 0.75 + 0.35 * t)


FLOWS: dict[str, tuple[Callable[[Scalp, np.random.Generator, int], Strands], int]] = {
    "parted": (_swept, 1100),
    "fringe": (_swept, 900),
    "short": (_cropped, 1500),
    "back": (_back, 900),
    "curls": (_curled, 1500),
    "sides": (_sides, 900),
}


def _fringe(scalp: Scalp, rng: np.random.Generator, count: int) -> Strands:
    across = rng.uniform(-1, 1, (count, 1))
    t = np.linspace(0, 1, 10)[None]
    x = across * (0.38 + 0.50 * np.sqrt(t))
    brow = float(scalp.line[ARC // 2, 1]) + 0.40
    low = brow + 0.10 * across**2 + rng.normal(0, 0.025, (count, 1))
    y = -1.36 + 0.1 * across**2 + (low + 1.36 - 0.1 * across**2) * t**1.25
    return np.stack([x + 0.03 * rng.normal(0, 1, (count, 1)) * t, y], -1).astype(np.float32)


def _colour(scalp: Scalp) -> Array:
    hair = scalp.params.hair
    return np.asarray(np.array(hair.colour) * (1 - hair.grey) + GREY * hair.grey, dtype=np.float32)


def _lighting(scalp: Scalp) -> tuple[Array, Array]:
    """Return brightness and highlight of the hair volume, float32 (size, size)."""
    size, small = scalp.frame.size, scalp.frame.size // 4
    axis = (np.arange(small, dtype=np.float32) + 0.5) / small
    x = ((axis - scalp.frame.pose.x) / scalp.frame.pose.iris_distance)[None]
    y = ((axis - scalp.frame.pose.y) / scalp.frame.pose.iris_distance)[:, None]
    light = light_of(scalp.params.scene)
    nx, ny = np.clip(x / 1.45, -1, 1), np.clip((y + 0.25) / 1.55, -1, 0.45)
    nz = np.sqrt(np.clip(1 - nx * nx - ny * ny, 0.03, 1))
    facing = nx * light.direction[0] + ny * light.direction[1] + nz * light.direction[2]
    bright = 0.56 + 0.62 * np.clip((facing + 0.25) / 1.25, 0, 1)
    bright = bright * (1 - 0.28 * np.clip((y - 0.2) / 1.2, 0, 1) * (np.abs(x) < 1.2))
    band = np.exp(-(((y + 1.12 - 0.62 * x * x - 0.35 * x * light.direction[0]) / 0.13) ** 2))
    enlarge = lambda image: cv2.resize(np.ascontiguousarray(image, np.float32), (size, size))  # noqa: E731
    return enlarge(bright), enlarge(band * (0.3 + 0.7 * np.clip(facing, 0, 1)))


def _lay(picture: Array, scalp: Scalp, strands: Strands, mass: np.ndarray, rng: np.random.Generator, *, dim: float) -> None:
    """Lay a mass and its strands over the picture in place."""
    size, colour = scalp.frame.size, _colour(scalp)
    layer = np.empty((size, size, 3), np.uint8)
    layer[:] = np.clip(colour * 0.62 * 255, 0, 255).astype(np.uint8)
    lines = fixed(scalp.pixels(strands))
    cover = mass.copy()
    width = max(1, round(size / 512))
    cv2.polylines(cover, list(lines), False, 215, width, cv2.LINE_AA, 4)
    for group, (shade, broad) in enumerate(SHADES):
        grey = np.clip(scalp.params.hair.grey + rng.normal(0, 0.22) * (0 < scalp.params.hair.grey < 1), 0, 1)
        pigment = np.array(scalp.params.hair.colour) * (1 - grey) + GREY * grey
        tone = np.clip(pigment * shade * 255 + 3 * shade, 0, 255).tolist()
        cv2.polylines(layer, list(lines[group :: len(SHADES)]), False, tone, broad * width, cv2.LINE_AA, 4)
    bright, band = _lighting(scalp)
    streaks = value_noise(rng, (10, 200), (size, size)) * 0.25 + 0.9
    hair = layer.astype(np.float32) * (bright * np.float32(dim / 255))[..., None]
    gloss = band * np.clip(streaks, 0, 2) * (0.05 if scalp.style.flow == "curls" else 0.16) * dim
    luminous = 0.35 + hair.mean(-1) * 1.8
    hair += (gloss * luminous)[..., None] * (0.6 * colour + 0.4) * light_of(scalp.params.scene).key
    blend(picture, softened(cover, 0.4), hair)


def _mass(scalp: Scalp) -> np.ndarray:
    """Return the uint8 mask of the hair on the head."""
    inset, outset = scalp.between(np.linspace(0, 1, ARC), np.full(ARC, 0.05)), scalp.between(np.linspace(0, 1, ARC), np.full(ARC, 0.985))
    if scalp.style.flow == "sides":
        parts = [np.concatenate([inset[a], outset[a][::-1]]) for a in (slice(0, 13), slice(ARC - 13, ARC))]
    else:
        parts = [np.concatenate([inset, outset[::-1]])]
    mask = filled([scalp.pixels(p) for p in parts], size=scalp.frame.size)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.02 * scalp.frame.unit))


def paint_hair_behind(picture: Array, params: FaceParameters, frame: Frame, rng: np.random.Generator) -> None:
    """Paint in place the hair that hangs behind neck and shoulders."""
    scalp = scalp_of(params, frame)
    style = scalp.style
    if style.end <= 0 or style.flow == "scarf":
        return
    end = style.end * (0.85 + 0.15 * params.hair.length)
    wide = 1.02 + style.swell * (1.0 if style.flow != "curls" else 1.7)
    half = [(wide * 0.9, -0.7), (wide, 0.1), (wide * 1.03, min(0.9, end * 0.6)), (wide * 0.97, end * 0.85), (wide * 0.75, end)]
    right = smooth_curve(np.array(half, np.float32), samples=24)
    mass = filled([scalp.pixels(np.concatenate([right, right[::-1] * (-1, 1)]))], size=frame.size)
    mass = np.asarray(cv2.GaussianBlur(mass, (0, 0), 0.05 * frame.unit))
    x = rng.uniform(-wide, wide, (260, 1))
    t = np.linspace(0, 1, 16)[None]
    y = 0.2 + (end * rng.uniform(0.9, 1.05, (260, 1)) - 0.2) * t
    sway = style.wave * 0.06 * np.sin(6 * y + 3 * x)
    strands = np.stack([x * (0.97 + 0.06 * np.sin(2.6 * t)) + sway, y + 0 * x], -1).astype(np.float32)
    if style.flow == "curls":
        strands = _curled(scalp, rng, 900)
    _lay(picture, scalp, strands, mass, rng, dim=0.62)


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
    bright, _ = _lighting(scalp)
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
