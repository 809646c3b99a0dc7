"""Where hair grows and how it lies: the scalp's hairline and silhouette, and the strands of each style.

Curves are in local face units: the frame's own axes, iris distance 1, origin between the eyes. Strands are float32
(strands, points, 2) from root to tip, with 1 + a multiple of 4 points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from equime_builder.sources.procedural.canvas import Frame
from equime_builder.sources.procedural.geometry import Array, smooth_curve
from equime_builder.sources.procedural.head import SKULL_HALF_WIDTH, skull_arc
from equime_builder.sources.procedural.locks import twisted
from equime_builder.sources.procedural.parameters import FaceParameters
from equime_builder.sources.procedural.tables import HAIR_STYLES, HairStyle

HAIRLINE = (234, 127, 162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389, 356, 454)
ARC = 81
_SCALP_STREAM = 101


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
    rng = np.random.default_rng([params.seed, _SCALP_STREAM])
    origin = np.array([frame.pose.x, frame.pose.y], np.float32) * frame.size
    marks = (frame.points(HAIRLINE) - origin) / frame.unit
    lift = np.array([0, 0, 0.0, 0.02, 0.05, 0.08, 0.10, 0.11, 0.11, 0.11, 0.10, 0.08, 0.05, 0.02, 0.0, 0, 0])
    temple = np.exp(-(((np.abs(np.arange(17) - 8) - 2.6) / 1.5) ** 2))
    middle = np.exp(-(((np.arange(17) - 8) / 2.0) ** 2))
    peak = np.exp(-(((np.arange(17) - 8) / 0.9) ** 2)) * rng.uniform(-0.02, 0.05)
    back = params.hair.recession
    marks[:, 1] -= lift + back * (0.42 * temple + 0.22 * middle) - peak
    marks[3:14] += rng.normal(0, 0.014, (11, 2))
    inward = np.exp(-(((np.abs(np.arange(17) - 8) - 4.9) / 1.4) ** 2)) * rng.uniform(0.07, 0.14) * (1 - back)
    marks[:, 0] *= 1 + 0.015 * (lift == 0) - 0.06 * back * temple - inward
    line = smooth_curve(marks, samples=ARC)
    half = float(frame.landmarks[454, 0] - frame.landmarks[234, 0]) / frame.unit / 2
    swell = style.swell * (0.7 + 0.6 * params.hair.volume)
    stretch = (half / SKULL_HALF_WIDTH, 1.0)
    rim = skull_arc(grow=swell, count=ARC) * stretch
    crown = np.sin(np.linspace(0, np.pi, ARC))[:, None]
    if style.flow == "back" or (style.end == 0 and style.flow in ("parted", "short", "tousled")):
        tight = skull_arc(grow=-0.03 if style.flow == "back" else 0.02, count=ARC) * stretch  # close at the sides
        rim = tight + (skull_arc(grow=swell * 1.25, count=ARC) * stretch - tight) * crown**1.2
    if style.end > 1 and style.flow != "curls":  # loose hair does not taper toward the ears
        rim[:, 0] += 0.10 * swell / 0.15 * np.sign(rim[:, 0]) * np.abs(np.cos(np.linspace(0, np.pi, ARC))) ** 3
    rim = rim + crown**0.5 * _unevenness(rng, params)[:, None] * (rim - (0, -0.35)) * min(1.0, swell / 0.10)
    rim[:, 0] += float(marks[[0, -1], 0].mean())
    return Scalp(frame, style, line, rim.astype(np.float32), params)


def parting_of(params: FaceParameters) -> float:
    """Return where along the hairline hair parts, 0..1: short hair parts farther to one side."""
    side, short = params.hair.parting, HAIR_STYLES[params.hair.style].end == 0
    return 0.5 + (float(np.sign(side)) * 0.12 + 0.14 * side if short else 0.16 * side)


def _unevenness(rng: np.random.Generator, params: FaceParameters) -> Array:
    """Return how much farther or nearer than a smooth cap the silhouette lies, a fraction (ARC,)."""
    t = np.linspace(0, 1, ARC)
    number = np.array([2.0, 3.0, 5.0, 8.0, 13.0])[:, None]
    phase = np.pi * number * t + rng.uniform(0, 2 * np.pi, (5, 1))
    waves = (rng.normal(0, 0.018, (5, 1)) / np.sqrt(number) * np.sin(phase)).sum(0)
    parting = parting_of(params)
    fuller = 0.035 * np.sign(params.hair.parting) * np.tanh((parting - t) / 0.12)
    dent = -0.018 * np.exp(-(((t - parting) / 0.05) ** 2)) * (params.hair.parting != 0)
    parted = HAIR_STYLES[params.hair.style].flow in ("parted", "locs", "tousled")
    return np.asarray(waves + (fuller + dent) * parted, dtype=np.float32)


def skull_polygon(frame: Frame) -> Array:
    """Return the bald head's outline above the ears in pixels, a closed curve float32 (N, 2)."""
    half = float(frame.landmarks[454, 0] - frame.landmarks[234, 0]) / frame.unit / 2
    middle = float(frame.landmarks[[234, 454], 0].mean()) / frame.unit - frame.pose.x * frame.size / frame.unit
    arc = skull_arc(grow=-0.02, count=61) * (half / SKULL_HALF_WIDTH * 0.985, 1.0) + (middle, 0)
    origin = np.array([frame.pose.x, frame.pose.y], np.float32) * frame.size
    return np.asarray(arc * frame.unit + origin, dtype=np.float32)


Strands = Array  # (strands, points, 2)


def swept(scalp: Scalp, rng: np.random.Generator, count: int) -> Strands:
    """Strands from the parting and the hairline over the head to the ears and, if long, down beside the face."""
    style = scalp.style
    parting = parting_of(scalp.params)
    side = np.where(rng.random((count, 1)) < parting, 0.0, 1.0)
    rooted = rng.random((count, 1)) < (
        0.62 if style.end == 0 else 0.40
    )  # grows out of the hairline rather than the parting
    start = np.where(rooted, rng.random((count, 1)) * 0.8, 0.0)
    low = np.where(rooted, rng.uniform(-0.03, 0.04, (count, 1)), rng.uniform(0.05, 1.0, (count, 1)))
    high = np.where(rooted, rng.uniform(0.22, 0.95, (count, 1)), low)
    t = np.linspace(0, 1, 17)[None]
    reach = rng.uniform(0.80, 1.0, (count, 1)) if style.end == 0 else np.ones((count, 1))
    ease = 1 - (1 - t) ** 2.6
    origin = parting - (side * 2 - 1) * 0.03 * rng.random((count, 1))
    along = origin + (side - origin) * (start + (reach - start) * np.where(rooted, t**1.7, t))
    out = low + (high - low) * ease
    out = out * (1 - 0.10 * np.exp(-((t / 0.06) ** 2))) + 0.03 * style.wave * np.sin(9 * t + 20 * high)
    head = scalp.between(along, out)
    if style.end == 0:
        return head
    return np.concatenate([head, fall(scalp, head[:, -1], high, side * 2 - 1, rng)], axis=1)


def loose_end(scalp: Scalp) -> float:
    """Return how far below the eyes loose hair ends, face units."""
    end = scalp.style.end
    return end + 0.12 * scalp.params.hair.length if end < 2 else 1.75 + 1.1 * scalp.params.hair.length


def fall(scalp: Scalp, top: Array, out: Array, sign: Array, rng: np.random.Generator) -> Strands:
    """Continue strands from `top` (N, 2) beside the face and over the shoulders; `out` and `sign` are (N, 1)."""
    style, hair, count = scalp.style, scalp.params.hair, len(top)
    stop = loose_end(scalp) - 0.40 * rng.random((count, 1)) ** 2
    s = np.linspace(0.05, 1, 20)[None]
    y = top[:, 1:] + (stop - top[:, 1:]) * s
    spread = 0.02 + 0.15 * out + 0.12 * hair.volume
    bob = style.end < 1.6
    swing = 0.5 - 0.5 * np.cos(np.pi * np.minimum(1.25 * s, 1.15))
    x = top[:, :1] + sign * (spread * swing - (0.16 if bob else -0.02) * s**2)
    phase = 1.7 * np.round(out * 7) + 0.5 * rng.normal(0, 1, (count, 1))
    x = x + style.wave * 0.085 * np.sin(5.2 * y + phase) * np.minimum(1, s * 2.2)
    x = x + 0.035 * rng.normal(0, 1, (count, 1)) * s
    return np.stack([x, y], -1).astype(np.float32)


def cropped(scalp: Scalp, rng: np.random.Generator, count: int) -> Strands:
    """Short strands growing away from the hairline, combed to one side."""
    along = rng.random(count)[:, None]
    out = np.sort(rng.random(count) ** 1.1)[::-1][:, None] * 1.0 - 0.02
    lean = 0.10 * scalp.params.hair.parting + 0.12 * (along - 0.5)
    t = np.linspace(0, 1, 5)[None]
    length = (0.28 + 0.25 * scalp.style.wave) * rng.uniform(0.7, 1.2, (count, 1))
    tip = np.minimum(out + length, 1.02 + 0.06 * rng.random((count, 1)))
    jitter = rng.normal(0, 0.012, (count, 1))
    return scalp.between(along + (lean + jitter) * t**1.5, out + (tip - out) * t)


def drawn_back(scalp: Scalp, rng: np.random.Generator, count: int) -> Strands:
    """Strands drawn tightly from the hairline over the head."""
    along = rng.random(count)[:, None]
    start = np.where(rng.random((count, 1)) < 0.6, rng.uniform(-0.03, 0.14, (count, 1)), rng.random((count, 1)) * 0.7)
    t = np.linspace(0, 1, 9)[None]
    bow = (0.5 - along) * (0.22 * t + 0.40 * t * t) * rng.uniform(
        0.1, 1.0, (count, 1)
    ) + 0.05 * scalp.params.hair.parting * t * (1 - t)
    return scalp.between(along + bow, start + (1.0 - start) * t**0.85)


def bun(scalp: Scalp, rng: np.random.Generator) -> tuple[Strands, Array]:
    """Return the strands of a bun on top of the head and its outline (N, 2)."""
    center = scalp.rim[ARC // 2] + (0.0, -0.02)
    width, height = 0.30 + 0.10 * scalp.params.hair.volume, 0.22 + 0.06 * scalp.params.hair.volume
    turn = np.linspace(0, 2 * np.pi, 48)
    outline = center + np.stack([np.cos(turn) * width, np.sin(turn) * height], 1)
    count = 240
    radius = np.sqrt(rng.random((count, 1)))
    angle = rng.uniform(0, 2 * np.pi, (count, 1)) + np.linspace(0, 1.5, 9)[None]
    radius = radius * np.linspace(1.0, 0.86, 9)[None]
    strands = center + np.stack([np.cos(angle) * radius * width, np.sin(angle) * radius * height], -1)
    return strands.astype(np.float32), outline.astype(np.float32)


def curled(scalp: Scalp, rng: np.random.Generator, count: int) -> Strands:
    """Small curls filling the region around the head."""
    style = scalp.style
    if style.end > 0:
        center = _crown(scalp, rng, count)
    else:
        center = scalp.between(rng.random(count), rng.random(count) ** 0.8 * 1.03 - 0.01)
    turn = np.linspace(0, 1.35, 9)[None] * np.pi * rng.choice((-1, 1), (count, 1)) + rng.uniform(0, 6.28, (count, 1))
    size = 0.019 + 0.020 * scalp.params.hair.length * (1.5 if style.end > 1 else 1.0)
    radius = size * rng.uniform(0.7, 1.4, (count, 1)) * np.linspace(1, 0.5, 9)[None]
    loops = np.stack([radius * np.cos(turn), radius * 0.9 * np.sin(turn)], -1)
    return np.asarray(center[:, None] + loops, dtype=np.float32)


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
    inside = np.hypot(tries[:, 0] - middle[0], tries[:, 1] - middle[1]) < limit * 0.985
    hairline = np.interp(tries[:, 0], scalp.line[:, 0], scalp.line[:, 1], left=9.0, right=9.0)
    beside = np.abs(tries[:, 0]) > 0.99 + 0.02 * np.maximum(0, tries[:, 1])
    kept = tries[inside & ((tries[:, 1] < hairline) | beside)]
    return np.asarray(kept[np.arange(count) % len(kept)])


def sides_only(scalp: Scalp, rng: np.random.Generator, count: int) -> Strands:
    """What remains above the ears of a bald crown."""
    along = rng.random(count)[:, None] ** 1.4 * 0.24
    along = np.where(rng.random((count, 1)) < 0.5, along, 1 - along)
    start = rng.uniform(-0.7, 0.75, (count, 1))  # from the temple's skin to the silhouette
    t = np.linspace(0, 1, 5)[None]
    return scalp.between(along + (along - 0.5) * 0.12 * t, np.minimum(start + 0.30 * t, 1.0))


def tousled(scalp: Scalp, rng: np.random.Generator, count: int) -> Strands:
    """Short hair in loose points: up and aside on top, over the forehead in front."""
    along = rng.random(count)[:, None]
    out = np.sort(rng.random(count) ** 0.9)[::-1][:, None]
    t = np.linspace(0, 1, 9)[None]
    front = np.clip(1 - out / (0.25 + 0.4 * scalp.params.hair.length), 0, 1) * (np.abs(along - 0.5) < 0.3)
    length = rng.uniform(0.20, 0.42, (count, 1))
    rise = length * (1 - 1.5 * front)
    tip = np.clip(out + rise, -0.16, 1.02 + 0.10 * rng.random((count, 1)))
    lean = 0.10 * np.sign(scalp.params.hair.parting + 0.01) + 0.10 * (along - 0.5) + rng.normal(0, 0.05, (count, 1))
    return scalp.between(along + lean * t**1.4, out + (tip - out) * t + 0.05 * np.sin(np.pi * t))


def buzzed(scalp: Scalp, rng: np.random.Generator, count: int) -> Strands:
    """Hair clipped to a few millimetres."""
    along, out = rng.random((count, 1)), rng.random((count, 1)) ** 0.9 * 0.98
    t = np.linspace(0, 1, 5)[None]
    return scalp.between(along + rng.normal(0, 0.006, (count, 1)) * t, out + rng.uniform(0.02, 0.07, (count, 1)) * t)


def locs(scalp: Scalp, rng: np.random.Generator, count: int) -> Strands:
    """Twisted ropes of hair that fall from the parting."""
    return twisted(swept(scalp, rng, count), 0.034 + 0.016 * scalp.params.hair.volume, rng)


FLOWS: dict[str, tuple[Callable[[Scalp, np.random.Generator, int], Strands], int]] = {
    "parted": (swept, 950),
    "fringe": (swept, 800),
    "short": (cropped, 1400),
    "tousled": (tousled, 1250),
    "buzz": (buzzed, 1700),
    "shaved": (buzzed, 1000),
    "back": (drawn_back, 1100),
    "curls": (curled, 1650),
    "locs": (locs, 84),
    "sides": (sides_only, 900),
}


def fringe(scalp: Scalp, rng: np.random.Generator, count: int) -> Strands:
    """Hair that falls over the forehead, to about the brows: (count, 13, 2) float32 in face units."""
    across = rng.uniform(-1, 1, (count, 1))
    t = np.linspace(0, 1, 13)[None]
    x = across * (0.38 + 0.50 * np.sqrt(t))
    brow = float(scalp.line[ARC // 2, 1]) + 0.40
    low = brow + 0.10 * across**2 + rng.normal(0, 0.04, (count, 1))
    y = -1.36 + 0.1 * across**2 + (low + 1.36 - 0.1 * across**2) * t**1.25
    return np.stack([x + 0.03 * rng.normal(0, 1, (count, 1)) * t, y], -1).astype(np.float32)
