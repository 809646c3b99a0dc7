"""Brows, lips, nostrils and nose wings, painted along the landmark contours."""

from __future__ import annotations

import cv2
import numpy as np

from equime_builder.sources.procedural.canvas import (
    SHIFT,
    Frame,
    Window,
    blend,
    fixed,
    shifted,
    softened,
    stroked,
    tint,
    value_noise,
)
from equime_builder.sources.procedural.geometry import (
    LIP_INNER_LOWER,
    LIP_INNER_UPPER,
    LIP_OUTER_LOWER,
    LIP_OUTER_UPPER,
    SIDES,
    Array,
    smooth_curve,
)
from equime_builder.sources.procedural.parameters import FaceParameters
from equime_builder.sources.procedural.skin import tone_color

BROW_HAIRS = 190


def paint_brows(picture: Array, params: FaceParameters, frame: Frame, rng: np.random.Generator) -> None:
    """Paint both brows in place: a soft base and hair-like strokes between the brow contours."""
    unit, features = frame.unit, params.features
    hair = np.array(params.hair.color)
    gray = params.hair.gray * 0.6
    dark = (hair * 0.80 + 0.035) * (1 - gray) + gray * 0.45
    dark = dark * (0.85 if params.skin.tone > 5 else 1.0)
    for side in SIDES:
        top = smooth_curve(frame.points(side.brow_top), samples=48)
        bottom = smooth_curve(frame.points(side.brow_bottom), samples=48)
        window = Window.around(np.concatenate([top, bottom]), 0.12 * unit, size=frame.size)
        middle, half = (top + bottom) / 2, (bottom - top) / 2
        span = np.linspace(0, 1, 48)[:, None]  # 0 at the temple
        body = (
            (0.50 + 0.50 * features.brow_thickness)
            * np.clip(span / 0.35, 0.32, 1)
            * np.clip((1.06 - span) / 0.22, 0.35, 1)
        )
        edge_top, edge_bottom = middle - half * body, middle + half * body
        base = np.zeros(window.shape, np.uint8)
        cv2.fillPoly(base, [fixed(np.concatenate([edge_top, edge_bottom[::-1]]) - window.origin)], 255, cv2.LINE_AA, 4)
        part = window.of(picture)
        blend(part, softened(base, 0.030 * unit) * (0.22 + 0.28 * features.brow_density), dark * 1.1 + 0.03)
        strands = _brow_strands(edge_top, edge_bottom, unit, rng)
        for third, (value, shade) in enumerate(((200, 1.25), (225, 0.95), (255, 0.7))):
            mask = np.zeros(window.shape, np.uint8)
            lines = fixed(strands[third::3] - window.origin)
            cv2.polylines(mask, list(lines), False, value, max(1, round(0.009 * unit)), cv2.LINE_AA, SHIFT)
            blend(
                part,
                softened(mask, 0.008 * unit) * (0.26 + 0.42 * features.brow_density),
                np.clip(dark * shade, 0, 1),
            )


def _brow_strands(top: Array, bottom: Array, unit: float, rng: np.random.Generator) -> Array:
    along = rng.uniform(0.0, 0.985, BROW_HAIRS)
    across = rng.uniform(0.0, 1.0, BROW_HAIRS)
    index = (along * (len(top) - 1)).astype(int)
    root = top[index] + (bottom[index] - top[index]) * across[:, None]
    lift = np.clip((along - 0.45) / 0.55, 0, 1)  # hairs stand up near the nose and lie outwards at the temple
    angle = 0.16 + 0.75 * lift**1.8 - 0.45 * (1 - across) * (1 - lift) + rng.normal(0, 0.14, BROW_HAIRS)
    length = unit * (0.066 + 0.012 * along) * rng.uniform(0.7, 1.2, BROW_HAIRS)
    slope = np.gradient(top, axis=0)[index] * -1.0  # toward the temple
    slope /= np.linalg.norm(slope, axis=1, keepdims=True)
    up = np.stack([np.zeros(BROW_HAIRS), -np.ones(BROW_HAIRS)], 1)
    way = slope * np.cos(angle)[:, None] + up * np.sin(angle)[:, None]
    bend = slope * (0.25 * length * np.sin(angle))[:, None]
    tip = root + way * length[:, None] + bend * 0.6
    mid = root + way * (0.5 * length)[:, None]
    return np.stack([root, mid, tip], axis=1)


def lip_colors(params: FaceParameters) -> tuple[Array, Array]:
    """Return sRGB colors of upper and lower lip."""
    skin = np.sqrt(tone_color(params.skin))
    light = max(0.0, 1 - params.skin.tone / 9)
    deep = params.skin.tone / 9
    natural = skin * np.array([0.87 - 0.06 * deep, 0.655 + 0.07 * deep, 0.685 + 0.17 * deep]) + np.array(
        [0.01, 0.0, 0.01]
    )
    man = params.gender == "Man"
    natural = natural * (1 - 0.30 * man) + skin * (0.80, 0.70, 0.68) * 0.30 * man
    lower = natural + np.array([0.035, 0.03, 0.03]) * (0.6 + 0.9 * (1 - light))
    fade = 0.35 * min(1.0, params.skin.wrinkles)
    natural, lower = natural * (1 - fade) + skin * 0.88 * fade, lower * (1 - fade) + skin * 0.92 * fade
    made = np.array(params.features.lip_tint) * (0.55 + 0.5 * light)
    strength = params.features.lip_strength
    return natural * (1 - strength) + made * 0.85 * strength, lower * (1 - strength) + made * strength


def paint_mouth(picture: Array, params: FaceParameters, frame: Frame, rng: np.random.Generator) -> None:
    """Paint the closed mouth in place: two lips, vermilion border, lip line, corners."""
    unit = frame.unit
    curves = [
        smooth_curve(frame.points(c), samples=41)
        for c in (LIP_OUTER_UPPER, LIP_INNER_UPPER, LIP_INNER_LOWER, LIP_OUTER_LOWER)
    ]
    window = Window.around(np.concatenate(curves), 0.14 * unit, size=frame.size)
    part, (top, inner_top, inner_low, low) = window.of(picture), (c - window.origin for c in curves)
    line = (inner_top + inner_low) / 2
    line = np.concatenate([top[:1] * 0.75 + line[:1] * 0.25, line[1:-1], top[-1:] * 0.75 + line[-1:] * 0.25])
    light = part.mean(-1) / max(float(np.sqrt(tone_color(params.skin)).mean()), 0.05)
    glow = cv2.GaussianBlur(light, (0, 0), 0.05 * unit)
    creases = value_noise(rng, (5, 60), window.shape)
    drift = value_noise(rng, (3, 5), window.shape)
    rim = np.zeros(window.shape, np.uint8)
    stroked(rim, [top[4:-4] - (0, 0.022 * unit)], value=255, width=max(1, round(0.022 * unit)))
    blend(
        part,
        softened(rim, 0.014 * unit) * 0.22,
        np.clip(np.sqrt(tone_color(params.skin)) * 1.08 + 0.02, 0, 1),
    )
    span = 1 + 0.035 * creases + 0.02 * drift
    for polygon, color, sheen_at in zip(
        (np.concatenate([top, line[::-1]]), np.concatenate([low, line[::-1]])),
        lip_colors(params),
        (0.30, 0.45),
        strict=True,
    ):
        mask = np.zeros(window.shape, np.uint8)
        cv2.fillPoly(mask, [fixed(polygon)], 255, cv2.LINE_AA, 4)
        alpha = softened(mask, 0.012 * unit)
        edge = top if sheen_at < 0.4 else low
        volume = cv2.GaussianBlur(softened(mask, 0), (0, 0), 0.045 * unit) * 1.3
        paint = np.asarray(color, np.float32) * (np.clip(glow, 0.35, 1.25) * span * (0.70 + 0.34 * volume))[..., None]
        blend(part, alpha * 0.90, paint)
        sheen = np.zeros(window.shape, np.uint8)
        ridge = line[10:-10] + (edge[10:-10] - line[10:-10]) * sheen_at
        stroked(sheen, [ridge], value=255, width=max(1, round(0.035 * unit)))
        gloss = (
            softened(sheen, 0.030 * unit)
            * (0.10 if sheen_at < 0.4 else 0.24)
            * (0.8 + 0.6 * params.features.lip_strength)
        )
        blend(part, gloss * (1 + 0.25 * creases) * alpha, np.clip(np.asarray(color) * 1.15 + 0.22, 0, 1))
    _lip_line(part, line, params, unit)


def _lip_line(part: Array, line: Array, params: FaceParameters, unit: float) -> None:
    shape = part.shape[:2]
    soft, hard = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    stroked(soft, [line], value=255, width=max(1, round(0.035 * unit)))
    stroked(hard, [line[1:-1]], value=255, width=max(1, round(0.013 * unit)))
    stroked(hard, [line[14:27]], value=255, width=max(1, round(0.018 * unit)))
    corners = [
        np.stack([line[0] - (0.012 * unit, 0.002 * unit), line[2]]),
        np.stack([line[-3], line[-1] + (0.012 * unit, -0.002 * unit)]),
    ]
    stroked(hard, corners, value=220, width=max(1, round(0.016 * unit)))
    tint(part, softened(soft, 0.020 * unit) * 0.55, (0.60, 0.48, 0.48))
    deep = np.asarray(lip_colors(params)[0]) * (0.36, 0.27, 0.28)
    blend(part, softened(hard, 0.006 * unit) * 0.85, deep)


def paint_nose(picture: Array, params: FaceParameters, frame: Frame) -> None:
    """Paint nostrils, wing creases and the shadow under the tip, in place."""
    unit = frame.unit
    nose = frame.points([i for s in SIDES for i in s.wing + s.nostril] + [2, 1])
    window = Window.around(nose, 0.12 * unit, size=frame.size)
    part = window.of(picture)
    hole, crease, under = (np.zeros(window.shape, np.uint8) for _ in range(3))
    for side in SIDES:
        rim = frame.points(side.nostril) - window.origin
        low = shifted(rim.mean(0), 0, 0.004 * unit)
        polygon = smooth_curve(np.concatenate([rim, rim[:1]]), samples=24)
        cv2.fillPoly(hole, [fixed(low + (polygon - low) * (0.92, 0.62))], 255, cv2.LINE_AA, 4)
        wing = smooth_curve(frame.points(side.wing) - window.origin, samples=20)
        stroked(crease, [wing[5:]], value=190, width=max(1, round(0.012 * unit)))
        stroked(crease, [wing[9:17]], value=255, width=max(1, round(0.016 * unit)))
    base = smooth_curve(frame.points((64, 98, 97, 2, 326, 327, 294)) - window.origin, samples=28)
    stroked(under, [base[2:-2]], value=255, width=max(1, round(0.035 * unit)))
    tint(part, softened(under, 0.026 * unit) * 0.55, (0.66, 0.52, 0.49))
    tint(part, softened(crease, 0.012 * unit) * 0.62, (0.55, 0.42, 0.39))
    tint(part, softened(hole, 0.035 * unit) * 0.45, (0.55, 0.40, 0.38))
    skin = np.sqrt(tone_color(params.skin))
    blend(part, softened(hole, 0.012 * unit) * 0.86, skin * (0.26, 0.15, 0.14) + 0.015)
