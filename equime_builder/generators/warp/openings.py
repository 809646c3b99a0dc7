"""Eyes and mouth: edges that slide over what lies behind them.

Behind the lids lies a still eyeball, behind the lips a still interior. Skin above an opening follows its upper
edge, skin below it the lower one; where both leave a gap, the layer behind is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from equime_builder.generators.warp.actions import Part
from equime_builder.generators.warp.anatomy import EDGES, MIRROR, FaceFrame, Floats
from equime_builder.generators.warp.boxes import Box, even_box, grid
from equime_builder.generators.warp.planes import LUMA_SCALE, Bytes

# The layer behind begins this far inside the edge, in pixels: the lash line and the lips' rim move as skin.
INSET = 0.5
_EYE_TOP = (46, 53, 52, 65, 55)
_EYE_BOTTOM = (31, 228, 229, 230, 231, 232, 233)
# A mouth counts as closed while its inner lips are nearer than this (eye distances).
_CLOSED = 0.03
_MARGIN = 4
# Over this length (eye distances) what is continued under an edge reaches its darkest; along it, it is blurred by this.
_SHADOW, _SMEAR = 0.05, 0.03


@dataclass(frozen=True)
class Opening:
    """One eye or the mouth, on a box of the picture (h, w).

    clear: (h, w, 2) px below the upper edge and above the lower edge; both positive inside the opening.
    across: position along the opening, -1 and 1 at its ends. height: distance of the edges there, px.
    room: (h, w, 2) px of skin above and below over which an edge's motion fades.
    core: the part of the box where the layer behind may show while the edges' own motion is nil.
    closed: whether no layer behind is seen at rest.
    """

    name: str
    box: Box
    core: Box
    clear: Floats
    across: Floats
    height: Floats
    room: Floats
    closed: bool

    @property
    def is_mouth(self) -> bool:
        return self.name == "mouth"


def _line(at: Floats, points: Floats) -> Floats:
    order = np.argsort(points[:, 0])
    return np.asarray(np.interp(at, points[order, 0], points[order, 1]), np.float32)


def _surroundings(name: str) -> tuple[tuple[int, ...], tuple[int, ...], float, float]:
    """Landmarks above and below where an opening's motion ends, and the box's reach sideways and down."""
    if name == "mouth":
        return (2,), (152,), 2.2, 1.5
    mirror = MIRROR if name == "left_eye" else {}
    above, below = (tuple(mirror.get(p, p) for p in row) for row in (_EYE_TOP, _EYE_BOTTOM))
    return above, below, 1.1, 1.2


def make_opening(name: str, points: Floats, frame: FaceFrame, size: tuple[int, int]) -> Opening:
    """The opening `name` (a key of EDGES) of landmarks `points` (478, 2) in a picture of `size` (H, W)."""
    top, bottom = (points[list(edge)] for edge in EDGES[name])
    middle, half = (top[0] + top[-1]) / 2, float(np.linalg.norm(top[-1] - top[0])) / 2
    along = (top[-1] - top[0]) / np.float32(max(2 * half, 1e-6))
    axes = np.stack([along, np.array([along[1], -along[0]], np.float32)], axis=1)
    above_points, below_points, sideways, down = _surroundings(name)
    above, below, upper, lower = (
        (points[list(row)] - middle) @ axes for row in (above_points, below_points, *EDGES[name])
    )
    rim = np.concatenate([top, bottom])
    core = even_box(rim.min(0) - _MARGIN, rim.max(0) + _MARGIN, size)
    heights = (above[:, 1].max(), below[:, 1].min() * down)
    corners = np.array([[x, y] for x in (-half * sideways, half * sideways) for y in heights], np.float32)
    corners = corners @ axes.T + middle
    box = core.union(even_box(corners.min(0), corners.max(0), size))
    place = (grid(box) - middle) @ axes
    across, up = place[..., 0], place[..., 1]
    high, low = _line(across, upper), _line(across, lower)
    closed = name == "mouth" and float((upper[1:-1, 1] - lower[1:-1, 1]).max()) < _CLOSED * frame.eye_distance
    if closed:
        high = low = np.asarray((high + low) / 2, np.float32)
    high = np.maximum(high, low)
    room = np.stack([_line(across, above) - high, low - _line(across, below)], axis=2)
    return Opening(
        name=name,
        box=box,
        core=core,
        clear=np.stack([high - up, up - low], axis=2),
        across=np.asarray(across / np.float32(half), np.float32),
        height=high - low,
        room=np.maximum(room, np.float32(0.1 * frame.eye_distance)),
        closed=closed,
    )


def edge_motion(opening: Opening, part: Part, frame: FaceFrame) -> tuple[Floats, Floats]:
    """How far the two edges move outward at intensity 5, (h, w) in pixels, where skin feels it."""
    motions = []
    for below, amount in enumerate((part.upper, part.lower)):
        away = np.maximum(-opening.clear[..., below], 0) / opening.room[..., below]
        jaw = np.clip(away, 0, 1) if part.jaw and below else np.float32(0)
        profile = np.clip(1 - np.abs(opening.across / (1 + 1.2 * jaw)) ** 2.5, 0, 1) ** (1 + jaw)
        length = opening.height if part.relative else frame.eye_distance * profile
        felt = away < _grip(opening, part.jaw)[1]
        motions.append(np.asarray(amount * length * felt, np.float32))
    return motions[0], motions[1]


def _grip(opening: Opening, jaw: bool) -> tuple[float, float]:
    """Shares of the room beside an edge: up to the first the skin moves with it, at the second it rests."""
    if jaw:
        return 0.8, 1.4
    return (0.35, 1.0) if opening.is_mouth else (0.0, 1.0)


def carried(opening: Opening, motion: Floats, below: int, *, jaw: bool) -> Floats:
    """How far outward the skin at each pixel goes, (h, w), when the edge beside it moves by `motion`."""
    rigid, rest = (share * opening.room[..., below] for share in _grip(opening, jaw))
    fade = (rest + opening.clear[..., below]) / (rest - rigid)
    return np.asarray(motion * np.clip(fade, 0, 1), np.float32)


def arrived(opening: Opening, motion: Floats, below: int, *, jaw: bool) -> Floats:
    """How far outward came what is at each pixel, (h, w): the exact inverse of `carried`.

    Skin is stretched or gathered between the moved edge and where it rests, never past it: lids that close draw
    the skin below the brow, not the brow.
    """
    at = -opening.clear[..., below]
    rigid, rest = (share * opening.room[..., below] for share in _grip(opening, jaw))
    motion = np.minimum(motion, 0.8 * (rest - rigid))
    origin = at - motion
    stretched = rigid + (origin - rigid) * (rest - rigid) / (rest - rigid - motion)
    origin = np.where(origin > rigid, stretched, origin)
    return np.asarray(np.where(at < rest, at - origin, 0), np.float32)


def _clamped(opening: Opening, box: Box, up: Floats) -> Floats:
    """For each pixel of `box` the nearest position across the opening that lies inside it, (h, w, 2)."""
    clear = opening.clear[box.within(opening.box)]
    inset = np.minimum(INSET, opening.height[box.within(opening.box)] / 2)
    down = np.maximum(inset - clear[..., 0], 0) - np.maximum(inset - clear[..., 1], 0)
    return np.asarray(grid(box) - down[..., None] * up, np.float32)


def _between(values: Floats, scale: int) -> Floats:
    """Values (h, w) or (h, w, 2) at `scale` times the resolution, linear; the originals are among the new ones."""
    if scale == 1:
        return values
    shrink = np.array([[1 / scale, 0, 0], [0, 1 / scale, 0]], np.float32)
    size = (values.shape[1] * scale, values.shape[0] * scale)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(values, shrink, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _continued(opening: Opening, frame: FaceFrame, seen: Bytes, *, scale: int, darkest: float) -> Bytes:
    """What is behind an opening, continued under its edges: blurred along them, darker with the distance."""
    hidden = np.maximum(-opening.clear.min(axis=2), 0)
    depth = _between(hidden, scale)
    if seen.ndim == 3:
        depth = depth[..., None]
    smooth = cv2.GaussianBlur(seen, (0, 0), sigmaX=_SMEAR * frame.eye_distance * scale, sigmaY=0.3).astype(np.float32)
    smooth = 16 + (smooth - 16) * (1 - (1 - darkest) * np.minimum(depth / (_SHADOW * frame.eye_distance), 1))
    share = np.minimum(depth, 1)
    return np.asarray(np.rint(seen + (smooth - seen) * share), np.uint8)


def paint_behind(opening: Opening, frame: FaceFrame, finer: Bytes, luma: Bytes, chroma: Bytes) -> None:
    """Write the layer behind an opening into copies of the fine luma and of the chroma (H, W, 2).

    finer, chroma: changed in place; `finer` is LUMA_SCALE times (H, W). luma: (H, W), the portrait's own.
    """
    box = opening.box
    fine = tuple(slice(s.start * LUMA_SCALE, s.stop * LUMA_SCALE) for s in box.slices)
    if not opening.closed:
        source = _clamped(opening, box, frame.up)
        dense = _between(source * LUMA_SCALE, LUMA_SCALE)
        seen = cv2.remap(finer, dense, None, cv2.INTER_LINEAR)
        darkest = 0.35 if opening.is_mouth else 0.75
        finer[fine] = _continued(opening, frame, seen, scale=LUMA_SCALE, darkest=darkest)
        tint = cv2.remap(chroma, source, None, cv2.INTER_LINEAR)
        chroma[box.slices] = _continued(opening, frame, tint, scale=1, darkest=1.0)
        return
    lips = np.abs(opening.clear).max(axis=2) < 0.05 * frame.eye_distance
    lips &= np.abs(opening.across) < 0.7
    tone = luma[box.slices][lips].mean(dtype=np.float64) - 16
    tint = chroma[box.slices][lips].mean(axis=0, dtype=np.float64)
    below = opening.clear[..., 0] / np.float32(frame.eye_distance)
    teeth = np.clip((0.022 - below) / 0.012, 0, 1) * np.clip((0.75 - np.abs(opening.across)) / 0.2, 0, 1)
    dark = 16 + 0.22 * tone
    painted = dark + (16 + 0.95 * tone - dark) * 0.8 * teeth
    finer[fine] = np.repeat(np.repeat(np.rint(painted), LUMA_SCALE, 0), LUMA_SCALE, 1).astype(np.uint8)
    shade = 128 + (tint - 128) * (0.7 - 0.5 * teeth[..., None])
    chroma[box.slices] = np.rint(shade).astype(np.uint8)
