"""Head hair: a soft mass and strands that follow the style's flow, lit as one rounded volume."""

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
    scalp_of,
)
from equime_builder.sources.procedural.geometry import Array, smooth_curve
from equime_builder.sources.procedural.parameters import FaceParameters

LEVELS, DARKEST, BRIGHTEST = 10, 0.25, 1.50  # shades of the pigment that strands are drawn in, dark to light
LAYERS = 4
PIECE = 5  # points of a strand that share a shade
CONTRAST = {"curls": 1.0, "back": 0.6, "short": 0.9}  # of strands against their neighbours
GREY = np.array([0.60, 0.59, 0.58])


def _colour(scalp: Scalp) -> Array:
    hair = scalp.params.hair
    return np.asarray(np.array(hair.colour) * (1 - hair.grey) + GREY * hair.grey, dtype=np.float32)


def volume_light(scalp: Scalp, points: Array) -> tuple[Array, Array]:
    """Return brightness and highlight of the hair's rounded volume at local `points` (..., 2)."""
    x, y = points[..., 0], points[..., 1]
    light = light_of(scalp.params.scene)
    nx, ny = np.clip(x / 1.45, -1, 1), np.clip((y + 0.25) / 1.55, -1, 0.12)
    nz = np.sqrt(np.clip(1 - nx * nx - ny * ny, 0.03, 1))
    facing = nx * light.direction[0] + ny * light.direction[1] + nz * light.direction[2]
    bright = 0.50 + 0.72 * np.clip((facing + 0.25) / 1.25, 0, 1)
    bright = bright * (1 - 0.30 * np.clip((y - 0.2) / 1.2, 0, 1) * (np.abs(x) < 1.2))
    band = np.exp(-(((y + 1.12 - 0.62 * x * x - 0.35 * x * light.direction[0]) / 0.14) ** 2))
    return bright, band * np.exp(-((x / 0.95) ** 4)) * (0.3 + 0.7 * np.clip(facing, 0, 1))


def _lit_ground(scalp: Scalp, dim: float) -> np.ndarray:
    """Return what shows between strands, uint8 (size, size, 3)."""
    size = scalp.frame.size
    axis = (np.arange(64, dtype=np.float32) + 0.5) * size / 64
    x, y = np.meshgrid(axis, axis)
    bright, _ = volume_light(scalp, (np.stack([x, y], -1) - scalp.origin) / scalp.frame.unit)
    ground = _colour(scalp) * (0.52 * dim * bright[..., None] * 255)
    return np.asarray(cv2.resize(np.clip(ground, 0, 255).astype(np.uint8), (size, size)))


def _brightness(scalp: Scalp, strands: Strands, rng: np.random.Generator) -> tuple[Strands, Array]:
    """Cut strands into pieces (M, PIECE, 2) and give each a brightness (M,) by lock, direction and light."""
    points = strands.shape[1]
    pieces = np.stack([strands[:, k : k + PIECE] for k in range(0, points - 1, PIECE - 1)], axis=1)
    way = pieces[:, :, -1] - pieces[:, :, 0]
    way = way / np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-6)
    light = light_of(scalp.params.scene).direction
    across = np.sqrt(np.clip(1 - (way[..., 0] * light[0] + way[..., 1] * light[1]) ** 2, 0, 1))
    root, middle = strands[:, 0], strands[:, points // 2]
    lock = np.sin(23 * root[:, 0] + 3 * root[:, 1]) + np.sin(31 * strands[:, -1, 0] + 11 * middle[:, 1])
    contrast = CONTRAST.get(scalp.style.flow, 1.0)
    own = 0.11 * lock[:, None] + 0.17 * rng.standard_normal((len(strands), 1)) + 0.24 * (across**2 - 0.6)
    bright, band = volume_light(scalp, pieces[:, :, PIECE // 2])
    gloss = 0.10 if scalp.style.flow == "curls" else 0.20
    value = bright * (0.80 + contrast * own) + gloss * band * (1 + 1.5 * contrast * own)
    return pieces.reshape(-1, PIECE, 2), np.asarray(value.ravel(), dtype=np.float32)


def _palette(scalp: Scalp, dim: float) -> list[tuple[float, float, float]]:
    """Return the colour of each brightness level, 0..255; light strands of mixed hair are the grey ones."""
    hair, key = scalp.params.hair, light_of(scalp.params.scene).key
    colours = []
    for shade in np.linspace(DARKEST, BRIGHTEST, LEVELS) * dim:
        grey = np.clip(hair.grey + 0.25 * (0 < hair.grey < 1) * (shade - 0.9), 0, 1)
        pigment = np.array(hair.colour) * (1 - grey) + GREY * grey
        red, green, blue = np.clip((pigment * shade + 0.10 * max(0.0, shade - 0.95) * key) * 255, 0, 232).tolist()
        colours.append((red, green, blue))
    return colours


def _lay(
    picture: Array, scalp: Scalp, strands: Strands, mass: np.ndarray, rng: np.random.Generator, *, dim: float
) -> None:
    """Lay a mass and its strands over the picture in place."""
    size = scalp.frame.size
    layer = _lit_ground(scalp, dim)
    pieces, value = _brightness(scalp, strands, rng)
    lines = fixed(scalp.pixels(pieces))
    cover = mass.copy()
    width = max(1, round(size / 512))
    cv2.polylines(cover, list(fixed(scalp.pixels(strands))), False, 215, width, cv2.LINE_AA, 4)
    level = np.clip(np.round((value - DARKEST) / (BRIGHTEST - DARKEST) * (LEVELS - 1)), 0, LEVELS - 1).astype(int)
    palette = _palette(scalp, dim)
    depth = np.repeat(np.arange(len(strands)) * LAYERS // len(strands), len(lines) // len(strands))
    for coat in range(LAYERS):  # every coat has dark and light strands, so that later ones do not hide all the dark
        for group in range(LEVELS):
            chosen = lines[(level == group) & (depth == coat)]
            if len(chosen):
                broad = 2 if coat == 0 else 1
                cv2.polylines(layer, list(chosen), False, palette[group], width * broad, cv2.LINE_AA, 4)
    window = Window.around(np.argwhere(cover[::8, ::8])[:, ::-1] * 8.0, 9, size=size)
    over = window.of(layer).astype(np.float32) * np.float32(1 / 255)
    blend(window.of(picture), softened(window.of(cover), 0.4), over)


def _mass(scalp: Scalp) -> np.ndarray:
    """Return the uint8 mask of the hair on the head."""
    along = np.linspace(0, 1, ARC)
    crowned = scalp.style.flow == "curls" and scalp.style.end > 0  # big curls make their own edge
    inset, outset = (scalp.between(along, np.full(ARC, out)) for out in (0.10, 0.60 if crowned else 0.97))
    if scalp.style.flow == "sides":
        temple = scalp.between(along, np.full(ARC, -0.6))
        parts = [np.concatenate([temple[a], outset[a][::-1]]) for a in (slice(0, 13), slice(ARC - 13, ARC))]
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
    if style.flow == "back" and params.gender == "Woman" and params.hair.length > 0.4:
        strands, outline = bun(scalp, rng)
        mass = filled([scalp.pixels(outline)], size=frame.size)
        _lay(picture, scalp, strands, _blurred(mass, 0.015 * frame.unit), rng, dim=0.85)
        return
    if style.end <= 0 or style.flow == "scarf":
        return
    if style.flow == "curls":
        outline = crown_outline(scalp)
        inside = outline.mean(0) + 0.94 * (outline - outline.mean(0))  # curls, not the mass, make the edge
        mass = filled([scalp.pixels(smooth_curve(inside, samples=160))], size=frame.size)
        _lay(picture, scalp, curled(scalp, rng, 900), _blurred(mass, 0.02 * frame.unit), rng, dim=0.7)
        return
    end = loose_end(scalp) - 0.05
    wide = 1.02 + style.swell * 0.8 + 0.12 * params.hair.volume
    half = [
        (0.80, -0.7),
        (0.98, 0.1),
        (wide, min(0.9, end * 0.6)),
        (wide * 0.97, end * 0.85),
        (wide * 0.80, end),
    ]
    right = smooth_curve(np.array(half, np.float32), samples=24)
    mass = filled([scalp.pixels(np.concatenate([right, right[::-1] * (-1, 1)]))], size=frame.size)
    x = rng.uniform(-wide, wide, (320, 1))
    t = np.linspace(0, 1, 17)[None]
    y = 0.2 + (end * rng.uniform(0.9, 1.05, (320, 1)) - 0.2) * t
    sway = style.wave * 0.07 * np.sin(5.2 * y + 1.7 * np.round(4 * x))
    strands = np.stack([x * (0.95 + 0.06 * np.sin(2.6 * t)) + sway, y + 0 * x], -1).astype(np.float32)
    _lay(picture, scalp, strands, _blurred(mass, 0.03 * frame.unit), rng, dim=0.72)


def paint_hair(picture: Array, params: FaceParameters, frame: Frame, rng: np.random.Generator) -> None:
    """Paint in place the hair of the head, and its shadow on the skin; nothing where there is none."""
    scalp = scalp_of(params, frame)
    if scalp.style.flow not in FLOWS:
        return
    make, count = FLOWS[scalp.style.flow]
    strands, mass = make(scalp, rng, count), _mass(scalp)
    shadow = cv2.GaussianBlur(cv2.resize(mass, None, fx=0.25, fy=0.25), (0, 0), 0.035 * frame.unit)
    shade = cv2.resize(shadow, (frame.size, frame.size)).astype(np.float32) / 255
    tint(picture, shade * 0.75, (0.72, 0.64, 0.62))
    _lay(picture, scalp, strands, mass, rng, dim=1.0)
    if scalp.style.flow == "fringe":
        over = fringe(scalp, rng, 420)
        blank = np.zeros_like(mass)
        _lay(picture, scalp, over, blank, rng, dim=1.0)
