"""Head hair: a soft mass and locks of strands that follow the style's flow, lit as one rounded volume."""

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
    softened,
    tint,
    value_noise,
)
from equime_builder.sources.procedural.flows import (
    ARC,
    FLOWS,
    Scalp,
    Strands,
    bun,
    crown_outline,
    curled,
    fringe,
    loose_end,
    parting_of,
    scalp_of,
    skull_polygon,
)
from equime_builder.sources.procedural.geometry import OVAL, Array, smooth_curve
from equime_builder.sources.procedural.locks import HABITS, Locks, gathered, strays
from equime_builder.sources.procedural.parameters import FaceParameters
from equime_builder.sources.procedural.skin import tone_color

LEVELS = 12  # shades that strands are drawn in
REST, SPREAD = 128, 190  # a strand's own shade as uint8: neutral, and per unit of relative brightness
BRIGHTEST = 1.7
COATS = 3
SHORT = 9  # points of strands that stay on the head
GRAY = np.array([0.60, 0.59, 0.58])
LIGHT_GRID = 64
SOFT_EDGE = {"curls": 0.04, "back": 0.022, "buzz": 0.03, "shaved": 0.03, "short": 0.03, "tousled": 0.03}  # face units


def volume_light(scalp: Scalp, points: Array) -> tuple[Array, Array]:
    """Return brightness and highlight of the hair's rounded volume at local `points` (..., 2)."""
    x, y = points[..., 0], points[..., 1]
    light = light_of(scalp.params.scene)
    nx, ny = np.clip(x / 1.40, -1, 1), np.clip((y + 0.30) / 1.45, -1, 0.12)
    nz = np.sqrt(np.clip(1 - nx * nx - ny * ny, 0.03, 1))
    facing = nx * light.direction[0] + ny * light.direction[1] + nz * light.direction[2]
    bright = 0.52 + 0.60 * np.clip((facing + 0.20) / 1.20, 0, 1)
    beside = 1 / (1 + np.exp((np.abs(x) - 1.12) / 0.07))  # hair next to face and neck lies in their shade
    bright = bright * (1 - 0.40 * np.clip((y + 0.3) / 1.3, 0, 1) * beside)
    band = np.exp(-(((y + 1.14 - 0.62 * x * x - 0.45 * x * light.direction[0]) / 0.16) ** 2))
    return bright, band * np.exp(-((x / 1.0) ** 4)) * (0.15 + 0.85 * np.clip(facing, 0, 1))


def _own_shades(scalp: Scalp, locks: Locks, rng: np.random.Generator) -> Array:
    """Return how much lighter or darker than the hair's volume each strand is, (N,): by lock, place and direction."""
    strands, habit = locks.strands, HABITS[scalp.style.flow]
    way = strands[:, -1] - strands[:, 0]
    way = way / np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-6)
    light = light_of(scalp.params.scene).direction
    across = 1 - (way @ light[:2]) ** 2
    per_lock = rng.standard_normal(int(locks.lock.max()) + 1)[locks.lock]
    side = locks.place @ (light[:2] / max(float(np.hypot(light[0], light[1])), 1e-3))
    rim = np.clip((locks.place**2).sum(1), 0, 1.6)
    own = 0.13 * per_lock + 0.20 * side - 0.12 * rim + 0.10 * rng.standard_normal(len(strands))
    light_hair = 1 - 0.25 * float(_pigment(scalp).mean())  # light hair lets light through: less contrast
    return np.asarray(light_hair * habit.contrast * own + 0.06 * (across - 0.6), dtype=np.float32)


def _pigment(scalp: Scalp) -> Array:
    hair = scalp.params.hair
    return np.array(hair.color) * (1 - hair.gray) + GRAY * hair.gray


def _palette(scalp: Scalp, dim: float) -> np.ndarray:
    """Return the sRGB color of each of 256 shades, uint8 (1, 256, 3); light strands of mixed hair are gray."""
    hair, light = scalp.params.hair, light_of(scalp.params.scene)
    shade = np.linspace(0, BRIGHTEST, 256)[:, None] * dim
    gray = np.clip(hair.gray + 0.16 * (0 < hair.gray < 1) * (shade - 0.8), 0, 1)
    pigment = np.array(hair.color) * (1 - gray) + GRAY * gray
    warm = 1 + 0.16 * np.clip(0.8 - shade, 0, 0.6) * np.array([0.6, -0.3, -0.4]) * (1 - gray)
    shine = 0.20 * np.clip(shade - 0.75, 0, 1) ** 1.3 * light.key / max(float(light.key.mean()), 0.1)
    color = pigment * warm * shade**0.9 + shine
    bright = color.max(axis=1, keepdims=True)
    color *= np.where(bright > 0.6, 0.6 + 0.3 * np.tanh((bright - 0.6) / 0.3), bright) / np.maximum(bright, 1e-4)
    pale = np.clip((bright - 0.6) / 0.8, 0, 0.5)  # light hair loses color before it loses form
    color += pale * (color.mean(axis=1, keepdims=True) - color)
    return np.asarray(np.clip(color * 255, 0, 255).astype(np.uint8)[None])


def _colored(scalp: Scalp, own: np.ndarray, window: Window, dim: float, rng: np.random.Generator) -> Array:
    """Return the color, float32 (H, W, 3), of hair whose own shade in `window` is `own`, uint8 around REST."""
    grid = LIGHT_GRID
    rows, columns = window.shape
    y = (np.arange(grid, dtype=np.float32) + 0.5) * rows / grid + window.top
    x = (np.arange(grid, dtype=np.float32) + 0.5) * columns / grid + window.left
    at = (np.stack(np.meshgrid(x, y), axis=-1) - scalp.origin) / scalp.frame.unit
    drift = value_noise(rng, (9, 14), (grid, grid))
    bright, band = volume_light(scalp, at + drift[..., None] * (0, 0.05))
    band *= HABITS[scalp.style.flow].gloss * (1 + 0.25 * drift)
    scale = np.float32(255 / BRIGHTEST)
    plain, slope = ((0.86 * bright + band) * scale, (bright + 1.8 * band) * scale / SPREAD)
    plain, slope = (cv2.resize(np.float32(part), (columns, rows)) for part in (plain, slope))
    value = cv2.multiply(own.astype(np.float32) - np.float32(REST), slope) + plain
    shade = cv2.convertScaleAbs(np.maximum(value, 8))
    color = cv2.LUT(cv2.merge([shade] * 3), _palette(scalp, dim))
    return np.asarray(color.astype(np.float32) * np.float32(1 / 255))


def _lay(
    picture: Array, scalp: Scalp, strands: Strands, mass: np.ndarray, rng: np.random.Generator, *, dim: float
) -> None:
    """Lay a mass and its strands over the picture in place."""
    size, habit = scalp.frame.size, HABITS[scalp.style.flow]
    locks = gathered(strands, habit, rng)
    ink = np.clip(REST + SPREAD * _own_shades(scalp, locks, rng), 4, 250)
    level = np.round(ink / 255 * (LEVELS - 1)).astype(int)
    lines = fixed(scalp.pixels(locks.strands))
    coat = np.arange(len(lines)) * COATS // len(lines)
    width = max(1, round(size / 512))
    tone = np.full((size, size), round(REST - 0.30 * SPREAD), np.uint8)  # gaps between strands are dark
    for now in range(COATS):  # every coat has dark and light strands, so that later ones do not hide all the dark
        for shade in range(LEVELS):
            chosen = list(lines[(level == shade) & (coat == now)])
            value = shade * 255 // (LEVELS - 1)
            cv2.polylines(tone, chosen, False, value, width * (2 if now == 0 else 1), cv2.LINE_AA, 4)
    cover = np.zeros_like(mass)
    if strands.shape[1] > SHORT:  # strands that leave the head carry their own mass
        cv2.polylines(cover, list(lines[::2, 3:]), False, 255, width * 5, cv2.LINE_8, 4)
        cover = _blurred(cover, 0.012 * scalp.frame.unit)
    cover = cv2.max(cover, cv2.convertScaleAbs(mass, alpha=habit.cover))
    veil = np.zeros_like(cover)
    for part, amount in ((lines[::2, :4], 110), (lines[::2, 2:], 215)):  # finer at the hairline
        cv2.polylines(veil, list(part), False, round(amount * habit.cover), width, cv2.LINE_AA, 4)
    if habit.stray:
        loose = strays(locks.strands, habit.stray, rng)
        cv2.polylines(veil, list(fixed(scalp.pixels(loose))), False, 95, width, cv2.LINE_AA, 4)
    cover = cv2.max(cover, veil)
    window = Window.around(np.argwhere(cover[::8, ::8])[:, ::-1] * 8.0, 9, size=size)
    soft = cv2.GaussianBlur(window.of(tone), (0, 0), 0.75)
    blend(window.of(picture), softened(window.of(cover), 0.7), _colored(scalp, soft, window, dim, rng))


def _mass(scalp: Scalp) -> np.ndarray:
    """Return the uint8 mask of the hair on the head: soft toward skin, crisper against the air."""
    along, unit, size = np.linspace(0, 1, ARC), scalp.frame.unit, scalp.frame.size
    crowned = scalp.style.flow == "curls" and scalp.style.end > 0  # big curls make their own edge
    inset, outset = (scalp.between(along, np.full(ARC, out)) for out in (0.13, 0.60 if crowned else 0.97))
    if scalp.style.flow == "sides":
        temple = scalp.between(along, np.full(ARC, -0.6))
        parts = [np.concatenate([temple[a], outset[a][::-1]]) for a in (slice(0, 13), slice(ARC - 13, ARC))]
        return _blurred(filled([scalp.pixels(p) for p in parts], size=size), 0.036 * unit)
    ends = inset[[-1, -1, 0, 0]] * (1.6, 1) + np.array([(0, 0), (0, 1), (0, 1), (0, 0)])
    bare = filled([scalp.pixels(np.concatenate([inset, ends]))], size=size)  # all below the hairline
    whole = _blurred(filled([scalp.pixels(outset)], size=size), SOFT_EDGE.get(scalp.style.flow, 0.014) * unit)
    return np.asarray(cv2.min(whole, 255 - _blurred(bare, 0.036 * unit)))


def _blurred(mask: np.ndarray, sigma: float) -> np.ndarray:
    if sigma < 3:
        return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma))
    half = cv2.GaussianBlur(cv2.resize(mask, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), (0, 0), sigma / 2)
    return np.asarray(cv2.resize(half, mask.shape[::-1]))


def paint_hair_behind(picture: Array, params: FaceParameters, frame: Frame, rng: np.random.Generator) -> None:
    """Paint in place the hair that hangs behind neck and shoulders."""
    scalp = scalp_of(params, frame)
    style = scalp.style
    if style.flow == "back" and style.end == 0 and params.gender == "Woman" and params.hair.length > 0.4:
        strands, outline = bun(scalp, rng)
        mass = filled([scalp.pixels(outline)], size=frame.size)
        _lay(picture, scalp, strands, _blurred(mass, 0.015 * frame.unit), rng, dim=0.85)
        return
    if style.end <= 0 or style.flow == "scarf":
        return
    if style.flow == "curls":
        outline = crown_outline(scalp)
        inside = outline.mean(0) + 0.92 * (outline - outline.mean(0))  # curls, not the mass, make the edge
        mass = filled([scalp.pixels(smooth_curve(inside, samples=160))], size=frame.size)
        _lay(picture, scalp, curled(scalp, rng, 900), _blurred(mass, 0.05 * frame.unit), rng, dim=0.7)
        return
    _hanging(picture, scalp, rng)


def _hanging(picture: Array, scalp: Scalp, rng: np.random.Generator) -> None:
    """Paint in place loose hair behind the neck, or a ponytail over one shoulder."""
    style, hair, frame = scalp.style, scalp.params.hair, scalp.frame
    end = loose_end(scalp) - 0.05
    wide = 1.02 + style.swell * 0.8 + 0.12 * hair.volume
    half = [(0.80, -0.7), (0.98, 0.1), (wide, min(0.9, end * 0.6)), (wide * 0.97, end * 0.8), (wide * 0.70, end * 0.96)]
    right = smooth_curve(np.array(half, np.float32), samples=24)
    outline = np.concatenate([right, right[::-1] * (-1, 1)])
    squeeze, lean = (0.20, 0.72 * np.sign(hair.parting + 0.01)) if style.flow == "back" else (1.0, 0.0)
    mass = filled([scalp.pixels(outline * (squeeze, 1) + (lean, 0))], size=frame.size)
    x = rng.uniform(-wide, wide, (320, 1))
    t = np.linspace(0, 1, 17)[None]
    y = 0.2 + (end * rng.uniform(0.88, 1.06, (320, 1)) - 0.2) * t
    sway = style.wave * 0.07 * np.sin(5.2 * y + 1.7 * np.round(4 * x))
    strands = np.stack([x * (0.95 + 0.06 * np.sin(2.6 * t)) * squeeze + lean + sway, y + 0 * x], -1)
    _lay(picture, scalp, strands.astype(np.float32), _blurred(mass, 0.04 * frame.unit), rng, dim=0.70)


def paint_hair(picture: Array, params: FaceParameters, frame: Frame, rng: np.random.Generator) -> None:
    """Paint in place the hair of the head, and its shadow on the skin; nothing where there is none."""
    scalp = scalp_of(params, frame)
    if scalp.style.flow not in FLOWS:
        return
    make, count = FLOWS[scalp.style.flow]
    strands, mass = make(scalp, rng, count), _mass(scalp)
    _cast(picture, scalp, mass)
    _lay(picture, scalp, strands, mass, rng, dim=1.0)
    if scalp.style.flow == "parted" and params.hair.parting:
        _part(picture, scalp)
    if scalp.style.flow == "fringe":
        over = fringe(scalp, rng, 420)
        _lay(picture, scalp, over, np.zeros_like(mass), rng, dim=1.0)


def _part(picture: Array, scalp: Scalp) -> None:
    """Let the skin show softly along the parting, in place."""
    along = parting_of(scalp.params)
    unit = scalp.frame.unit
    way = scalp.pixels(scalp.between(np.full(9, along), np.linspace(0.02, 0.85, 9)))
    window = Window.around(way, 0.12 * unit, size=scalp.frame.size)
    line = np.zeros(window.shape, np.uint8)
    cv2.polylines(line, [fixed(way - window.origin)], False, 255, max(1, round(0.02 * unit)), cv2.LINE_AA, 4)
    tint(window.of(picture), softened(line, 0.05 * unit) * 0.8, (0.55, 0.52, 0.50))
    skin = np.sqrt(tone_color(scalp.params.skin)) * 0.72
    blend(window.of(picture), softened(line, 0.012 * unit) * 0.42, skin)


def _cast(picture: Array, scalp: Scalp, mass: np.ndarray) -> None:
    """Darken in place the skin beside hair: a close soft contact, and a shadow away from the light."""
    frame, light = scalp.frame, light_of(scalp.params.scene).direction
    small = cv2.resize(mass, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    depth = (0.04 if scalp.style.flow in ("buzz", "shaved", "sides") else 0.10) * frame.unit / 4
    move = np.array([[1, 0, -light[0] * depth], [0, 1, -light[1] * depth]], np.float32)
    away = cv2.GaussianBlur(cv2.warpAffine(small, move, small.shape[::-1]), (0, 0), 0.05 * frame.unit / 4)
    close = cv2.GaussianBlur(small, (0, 0), 0.16 * frame.unit / 4)
    skin = filled([frame.points(OVAL) / 4, skull_polygon(frame) / 4], size=len(small))  # never on the backdrop
    shade = cv2.resize(cv2.min(cv2.addWeighted(away, 0.65, close, 0.35, 0), skin), (frame.size, frame.size))
    window = Window.around(frame.points(OVAL), 0.4 * frame.unit, size=frame.size)
    tint(
        window.of(picture), softened(window.of(shade), 0) * (0.85 * HABITS[scalp.style.flow].cover), (0.66, 0.56, 0.54)
    )
