"""Skin: pigment, blood, age marks and wrinkles, lit by the scene's light."""

from __future__ import annotations

import cv2
import numpy as np

from equime_builder.sources.procedural.canvas import Frame, Light, light_of, softened, stroked, value_noise
from equime_builder.sources.procedural.geometry import SIDES, Array, smooth_curve
from equime_builder.sources.procedural.head import HeadField
from equime_builder.sources.procedural.parameters import FaceParameters, Skin
from equime_builder.sources.procedural.tables import MONK_SCALE

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # ITU-R BT.709
# Linear luminance of a face of each Monk tone: the swatches', compressed at both ends as exposure does, and falling
# throughout, which the published second and third swatches do not.
FACE_LUMINANCE = (0.690, 0.650, 0.612, 0.530, 0.415, 0.235, 0.138, 0.080, 0.048, 0.034)
SHADOW_REACH = (0.05, 0.11, 0.19, 0.30, 0.45)  # face units along the light at which something may stand in its way
LOW_LIGHT = 0.80  # shadows fall as from a slightly lower light: the measured depth of a face is shallow
FOREHEAD_ROW = (68, 104, 69, 108, 151, 337, 299, 333, 298)


def tone_color(skin: Skin) -> Array:
    """Return the linear albedo of a tone, float32 (3,), between neighbors on the Monk scale."""
    low = min(int(skin.tone), len(MONK_SCALE) - 2)
    share = skin.tone - low
    srgb = (1 - share) * np.array(MONK_SCALE[low]) + share * np.array(MONK_SCALE[low + 1])
    # The scale shows flat swatches of the lightest part of skin; in a lit face blood moves every tone toward red,
    # the light ones are darker than their swatch, and the darkest keep reflecting some light.
    pale = max(0.0, 1 - skin.tone / 4)
    srgb *= np.array([1.0, 0.945 - 0.03 * pale, 0.945 - 0.09 * pale])
    srgb *= 1 + np.exp(-(((skin.tone - 4.3) / 1.3) ** 2)) * np.array([0.0, -0.01, 0.055])
    srgb *= 1 + 0.02 * skin.undertone * np.array([0.5, 0.2, -1.5])
    deep = float(np.clip((skin.tone - 6.5) / 2.5, 0, 1))
    linear = (srgb + deep * np.array([0.070, 0.040, 0.025])) ** 2
    target = np.interp(skin.tone, np.arange(len(MONK_SCALE)), FACE_LUMINANCE)
    return np.asarray(linear * target / (linear @ LUMINANCE), dtype=np.float32)


def wrinkle_lines(frame: Frame, rng: np.random.Generator) -> list[tuple[float, Array]]:
    """Return (depth, curve (N, 2)) for each wrinkle that age brings, depth relative to the deepest."""
    lines: list[tuple[float, Array]] = []
    row, up = frame.points(FOREHEAD_ROW), frame.landmarks[10, :2] - frame.landmarks[151, :2]
    for level in (-0.25, 0.05, 0.33, 0.62):
        wobble = rng.normal(0, 0.012, (len(row), 1)) * frame.unit
        first, last = int(rng.integers(0, 3)), len(row) - int(rng.integers(0, 3))
        curve = row + up * level + wobble * (0, 1)
        lines.append((float(rng.uniform(0.35, 0.8)), smooth_curve(curve[first:last], samples=30)))
    marks = frame.landmarks[:, :2]
    for side in SIDES:
        inner_low, inner_high = side.brow_bottom[-1], side.brow_top[-1]
        frown = np.stack(
            [marks[8] + (marks[inner_low] - marks[8]) * 0.5, marks[9] + (marks[inner_high] - marks[9]) * 0.4]
        )
        lines.append((0.5, smooth_curve(frown, samples=8)))
        corner = marks[side.crease[0]]
        for angle in (-24, 0, 24):
            turn = np.radians(angle + rng.normal(0, 5))
            reach = frame.unit * rng.uniform(0.13, 0.22)
            way = np.array([side.sign * np.cos(turn), np.sin(turn)]) * reach
            bow = np.array([0.0, 0.12 * reach * np.sign(angle)])
            lines.append(
                (
                    0.45,
                    smooth_curve(np.stack([corner + way * 0.2, corner + way * 0.6 + bow, corner + way]), samples=10),
                )
            )
        bag, lid = frame.points(side.bag), frame.points(side.lower_lid)[1:-1]
        lines.append((0.45, smooth_curve(bag[1:-1], samples=16)))
        lines.append((0.35, smooth_curve((0.55 * bag + 0.45 * lid)[1:], samples=16)))
        lines.append((1.0, smooth_curve(frame.points(side.fold), samples=20)))
        mouth = (61, 202, 204) if side.sign < 0 else (291, 422, 424)
        lines.append((0.6, smooth_curve(frame.points(mouth), samples=10)))
    return lines


def wrinkle_map(params: FaceParameters, frame: Frame, rng: np.random.Generator) -> Array:
    """Return wrinkle depth, float32 (size, size), 0..1; a faint nasolabial line is there at any age."""
    fine = np.zeros((frame.size, frame.size), np.uint8)
    broad = np.zeros_like(fine)
    amount = params.skin.wrinkles
    for depth, curve in wrinkle_lines(frame, rng):
        if amount < 0.04 and depth < 1.0:
            continue
        parts = [curve[:-3], curve[2:-5] if len(curve) > 9 else curve]
        strength = max(amount, 0.12 if depth == 1.0 else 0.0)
        for part in parts:  # doubled in the middle: a wrinkle fades out at its ends
            stroked(fine, [part], value=int(255 * depth * min(1.0, 0.25 + 0.75 * strength)))
        if depth == 1.0:
            stroked(broad, [curve], value=int(255 * min(1.0, 0.3 + 0.9 * amount)), width=max(1, frame.size // 64))
    sharp = softened(fine, frame.size / 340)
    return np.asarray(sharp * min(1.0, 0.15 + amount) + 0.35 * softened(broad, frame.size / 70), dtype=np.float32)


def albedo(params: FaceParameters, head: HeadField, rng: np.random.Generator) -> Array:
    """Return the linear skin color before light, float32 (size, size, 3)."""
    skin, maps = params.skin, head.maps
    size = head.height.shape[0]
    light = max(0.0, 1 - skin.tone / 9)
    exposure = np.interp(skin.tone, (0, 4, 9), (0.80, 0.86, 1.0))  # so that pale skin keeps its form in full light
    base = tone_color(skin) * np.float32(exposure)
    mottle = 0.5 * np.sum([value_noise(rng, (cells, cells), (size, size)) for cells in (9, 34, 110)], axis=0)
    blood = (0.46 + 0.66 * skin.redness) * maps["red"] + 0.16 * mottle
    dark = (0.22 + 0.10 * (1 - light)) * maps["shade"] + (0.10 + 0.22 * skin.bags) * maps["bag"] - 0.030 * mottle
    blotch = np.clip(value_noise(rng, (48, 48), (size, size)) - 1.5, 0, 1) * skin.spots * 0.22
    dots = (
        np.clip(value_noise(rng, (150, 150), (size, size)) - 1.1, 0, 1)
        * skin.freckles
        * np.clip(maps["red"] * 2.2, 0, 1)
    )
    dark = dark + blotch + 0.30 * dots
    out = np.empty((size, size, 3), np.float32)
    for channel, (flush, shadow) in enumerate(((0.02, 0.85), (0.32, 1.0), (0.30, 1.05))):
        out[..., channel] = (
            base[channel] * (1 - flush * blood * (0.45 + 0.55 * light)) * (1 - np.clip(shadow * dark, 0, 0.75))
        )
    _beard_shadow(out, params, maps, rng)
    return out


def _beard_shadow(color: Array, params: FaceParameters, maps: dict[str, Array], rng: np.random.Generator) -> None:
    """Darken and cool, in place, the zones where shaved hair shows."""
    if params.gender != "Man" or params.age < 17:
        return
    zone = np.maximum(np.maximum(maps["mustache"], maps["chin_beard"]), maps["jaw_beard"])
    grown = {"none": 0.13, "stubble": 0.34}.get(params.hair.beard, 0.22)
    amount = grown * (1.1 - 0.6 * min(1.0, float(np.mean(params.hair.color)) * 2)) * np.sqrt(zone) * zone**0.25
    dots = np.clip(rng.standard_normal(zone.shape, dtype=np.float32) - 0.5, 0, 1.5)
    amount = amount * (0.82 + (0.9 if params.hair.beard == "stubble" else 0.3) * dots)
    for channel, share in enumerate((1.05, 0.95, 0.80)):
        color[..., channel] *= 1 - share * amount


def normals(head: HeadField, relief: Array) -> tuple[Array, Array, Array]:
    """Return unit surface normals (x, y, z toward the viewer) of the head with `relief` in pixels added."""
    height = head.height + relief
    along_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    along_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    z = 1 / np.sqrt(1 + along_x * along_x + along_y * along_y)
    return -along_x * z, -along_y * z, z


def cast_shadow(height: Array, light: Light, unit: float) -> Array:
    """Return how much of the key light the head itself hides, float32 like `height` (pixels), 0..1, soft."""
    size = height.shape[0]
    small = cv2.resize(height, (size // 2, size // 2), interpolation=cv2.INTER_AREA)
    level, hidden = small * 0.5, np.zeros_like(small)
    for reach in SHADOW_REACH:
        run = reach * unit / 2
        move = np.array([[1, 0, -light.direction[0] * run], [0, 1, -light.direction[1] * run]], np.float32)
        over = cv2.warpAffine(level, move, level.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        blocked = (over - level) * np.float32(2 / unit) - np.float32(reach * light.direction[2] * LOW_LIGHT)
        hidden = np.maximum(hidden, blocked)
    soft = cv2.GaussianBlur(np.clip(hidden / np.float32(0.035), 0, 1), (0, 0), 0.022 * unit)
    return np.asarray(cv2.resize(soft, (size, size)), dtype=np.float32)


def shaded(
    color: Array,
    normal: tuple[Array, Array, Array],
    light: Light,
    *,
    gloss: Array | float,
    hidden: Array | None = None,
) -> Array:
    """Return sRGB (H, W, 3) of linear albedo `color`: wrapped diffuse, reddened terminator, soft highlight.

    `hidden` (H, W) is the share of the key light that does not arrive, 0..1.
    """
    x, y, z = normal
    facing = x * light.direction[0] + y * light.direction[1] + z * light.direction[2]
    wrapped = np.clip((facing + 0.22) / 1.22, 0, 1)
    wrapped *= 0.45 + 0.55 * wrapped
    if hidden is not None:
        wrapped *= 1 - 0.72 * hidden
    terminator = np.clip(wrapped * (0.7 - wrapped), 0, 1)
    half = light.direction + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    shine = np.clip(x * half[0] + y * half[1] + z * half[2], 0, 1)
    shine *= shine
    shine *= shine
    shine *= shine
    highlight = gloss * (0.35 * shine + 0.65 * shine * shine * shine * shine)
    sky = 0.62 + 0.34 * z - 0.10 * y  # light from above, less from the sides
    out = np.empty_like(color)
    for channel, scatter in enumerate((0.42, 0.11, 0.02)):
        lit = light.ambient[channel] * sky + light.key[channel] * (wrapped + scatter * terminator)
        out[..., channel] = color[..., channel] * lit + light.key[channel] * highlight
    return np.sqrt(np.clip(out, 0, 1.2))


def face_skin(params: FaceParameters, frame: Frame, head: HeadField, rng: np.random.Generator) -> Array:
    """Return the lit skin of the whole head, sRGB float32 (size, size, 3)."""
    maps, unit, size = head.maps, frame.unit, frame.size
    wrinkles = wrinkle_map(params, frame, rng)
    color = albedo(params, head, rng)
    age = params.skin.wrinkles
    pores = cv2.GaussianBlur(rng.standard_normal((size, size), dtype=np.float32), (0, 0), 0.6)
    relief = unit * (maps["relief"] - 0.010 * wrinkles - (0.004 + 0.016 * age) * maps["sag"])
    relief += (
        unit * (0.012 * params.skin.bags) * maps["bag"]
        + (0.09 + 0.07 * age) * (1 - 0.45 * params.skin.tone / 9) * pores
    )
    small = cv2.resize(head.height, (size // 4, size // 4), interpolation=cv2.INTER_AREA)
    hollow = cv2.resize(cv2.GaussianBlur(small, (0, 0), 0.13 * unit / 4) - small, (size, size))
    occlusion = 1 - np.clip(hollow * (2.6 / unit), -0.08, 0.34) - 0.34 * wrinkles
    color *= occlusion[..., None]
    dark = params.skin.tone / 9
    gloss = maps["oil"] * (0.035 + 0.075 * params.skin.oil) * (0.75 + 0.4 * dark) * (1 - 0.3 * age)
    light = light_of(params.scene)
    hidden = cast_shadow(head.height, light, unit)
    return shaded(color, normals(head, relief), light, gloss=gloss, hidden=hidden)
