"""Facial hair: strokes scattered over the head's beard zones."""

from __future__ import annotations

import cv2
import numpy as np

from equime_builder.sources.procedural.canvas import Frame, blend, fixed, value_noise
from equime_builder.sources.procedural.geometry import Array
from equime_builder.sources.procedural.hair import GRAY
from equime_builder.sources.procedural.head import HeadField
from equime_builder.sources.procedural.parameters import FaceParameters
from equime_builder.sources.procedural.skin import tone_color

ZONES: dict[str, tuple[str, ...]] = {
    "none": (),
    "stubble": (),
    "mustache": ("mustache",),
    "goatee": ("mustache", "chin_beard"),
    "short": ("mustache", "chin_beard", "jaw_beard"),
    "full": ("mustache", "chin_beard", "jaw_beard"),
}
LENGTHS = {"mustache": 0.055, "goatee": 0.05, "short": 0.036, "full": 0.075}
STROKES = 1900


def paint_beard(
    picture: Array, params: FaceParameters, frame: Frame, head: HeadField, rng: np.random.Generator
) -> None:
    """Paint mustache and beard in place."""
    zones = ZONES[params.hair.beard]
    if not zones:
        return
    zone = np.max([head.maps[name] for name in zones], axis=0)
    patchy = 1 + 0.10 * value_noise(rng, (40, 40), zone.shape)
    zone = np.clip((zone * patchy - 0.16) * 1.5, 0, 1)
    zone = zone * zone * (3 - 2 * zone)
    scale = frame.size / zone.shape[0]
    hair = np.array(params.hair.color) * 0.85
    gray = min(1.0, params.hair.gray * 1.2)
    color = hair * (1 - gray) + GRAY * 0.9 * gray
    at = _scatter(zone, rng) * scale
    local = (at - np.array([frame.pose.x, frame.pose.y]) * frame.size) / frame.unit
    length = LENGTHS[params.hair.beard] * frame.unit * rng.uniform(0.6, 1.2, len(at))
    sideways = np.clip(local[:, 0] * 1.2, -1, 1) * np.where(local[:, 1] < 1.05, 1.1, 0.35) + rng.normal(
        0, 0.25, len(at)
    )
    way = np.stack([sideways, np.ones(len(at))], 1)
    way *= (length / np.linalg.norm(way, axis=1))[:, None]
    curl = rng.normal(0, 0.2, (len(at), 1)) * way[:, ::-1] * (1, -1)
    lines = fixed(np.stack([at, at + 0.5 * way + curl, at + way], axis=1))
    base = cv2.resize(cv2.GaussianBlur(zone, (0, 0), 0.020 * frame.unit), (frame.size, frame.size))
    bare = float(np.sqrt(tone_color(params.skin).mean()))
    tones = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    lit = cv2.resize(cv2.GaussianBlur(tones / np.float32(bare), (0, 0), 0.01 * frame.unit), (frame.size, frame.size))
    tufts = value_noise(rng, (70, 60), zone.shape) * 0.5 + value_noise(rng, (130, 130), zone.shape) * 0.5
    tufts = cv2.resize(tufts, (frame.size, frame.size))
    ground = color.astype(np.float32) * np.clip((0.25 + 0.52 * lit) * (1 + 0.22 * tufts), 0.15, 1.1)[..., None]
    blend(picture, base * (0.58 + 0.34 * params.hair.beard_density), ground)
    for third, shade in enumerate((0.62, 0.85, 1.06)):
        mask = np.zeros(picture.shape[:2], np.uint8)
        cv2.polylines(mask, list(lines[third::3]), False, 255, max(1, round(frame.size / 512)), cv2.LINE_AA, 4)
        alpha = mask.astype(np.float32) * np.float32((0.22 + 0.26 * params.hair.beard_density) / 255)
        blend(picture, alpha, np.clip(color * shade, 0, 1))


def _scatter(zone: Array, rng: np.random.Generator) -> Array:
    """Return up to STROKES random pixel positions (N, 2) drawn by the zone's density."""
    rows, columns = zone.shape
    tries = rng.random((STROKES * 10, 2)) * (columns, rows)
    index = tries.astype(int)
    kept = tries[rng.random(len(tries)) < zone[index[:, 1], index[:, 0]] ** 1.5]
    return np.asarray(kept[:STROKES], dtype=np.float32)
