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
# A mouth counts as closed while its inner lips are nearer than this (IOD).
_CLOSED = 0.03
_MARGIN = 4
# Over this length (IOD) the continued interior of an open mouth falls to darkness.
_SHADOW = 0.05


@dataclass(frozen=True)
class Opening:
    """One eye or the mouth, on a box of the picture (h, w).

    clear: (h, w, 2) px below the upper edge and above the lower edge; both positive inside the opening.
    across: position along the opening, -1 and 1 at its ends. height: distance of the edges there, px.
    room: (h, w, 2) px of skin above and below over which an edge's motion fades.
    core: the part of the box where the layer behind may show without `edge_motion`.
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
    closed = name == "mouth" and float((upper[1:-1, 1] - lower[1:-1, 1]).max()) < _CLOSED * frame.iod
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
        room=np.maximum(room, np.float32(0.1 * frame.iod)),
        closed=closed,
    )


def edge_motion(opening: Opening, part: Part, frame: FaceFrame) -> tuple[Floats, Floats]:
    """Displacement (h, w, 2) in pixels at intensity 5 of the skin above and below the opening."""
    outside = np.maximum(-opening.clear, 0) / opening.room
    moved = []
    for below, amount in enumerate((part.upper, part.lower)):
        away = outside[..., below]
        if part.jaw and below:
            fade = 1 - np.clip((away - 0.8) / 0.55, 0, 1)
            width = 1 + 1.2 * np.clip(away, 0, 1)
        else:
            fade = 1 - np.clip(away * 1.05 - 0.05, 0, 1)
            width = np.ones_like(away)
        fade = fade * fade * (3 - 2 * fade)
        profile = np.clip(1 - np.abs(opening.across / width) ** 2.5, 0, 1)
        if part.jaw and below:
            profile = profile ** (1 + np.clip(away, 0, 1))
        length = opening.height if part.relative else frame.iod * profile
        sign = -1 if below else 1
        moved.append((sign * amount * length * fade)[..., None] * frame.up)
    return np.asarray(moved[0], np.float32), np.asarray(moved[1], np.float32)


def _clamped(opening: Opening, box: Box, up: Floats) -> Floats:
    """For each pixel of `box` the nearest position across the opening that lies inside it, (h, w, 2)."""
    clear = opening.clear[box.within(opening.box)]
    inset = np.minimum(INSET + 0.5, opening.height[box.within(opening.box)] / 2)
    down = np.maximum(inset - clear[..., 0], 0) - np.maximum(inset - clear[..., 1], 0)
    return np.asarray(grid(box) - down[..., None] * up, np.float32)


def _shadowed(opening: Opening, frame: FaceFrame, seen: Bytes) -> Bytes:
    """The mouth's interior continued under the lips, darker with the distance from what the portrait shows."""
    hidden = np.maximum(-opening.clear.min(axis=2), 0) / np.float32(_SHADOW * frame.iod)
    shade = cv2.resize(1 - np.float32(0.65) * np.minimum(hidden, 1), seen.shape[::-1])
    return np.asarray(np.rint(16 + (seen - np.float32(16)) * shade), np.uint8)


def paint_behind(opening: Opening, frame: FaceFrame, finer: Bytes, luma: Bytes, chroma: Bytes) -> None:
    """Write the layer behind an opening into copies of the fine luma (2H, 2W) and the chroma (H, W, 2).

    finer, chroma: changed in place. luma: (H, W), the portrait's own.
    """
    box = opening.box
    fine = tuple(slice(s.start * LUMA_SCALE, s.stop * LUMA_SCALE) for s in box.slices)
    if not opening.closed:
        source = _clamped(opening, box, frame.up)
        size = (source.shape[1] * LUMA_SCALE, source.shape[0] * LUMA_SCALE)
        halve = np.array([[1 / LUMA_SCALE, 0, 0], [0, 1 / LUMA_SCALE, 0]], np.float32)
        dense = cv2.warpAffine(
            source * LUMA_SCALE, halve, size,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        seen = cv2.remap(finer, dense, None, cv2.INTER_LINEAR)
        finer[fine] = _shadowed(opening, frame, seen) if opening.is_mouth else seen
        chroma[box.slices] = cv2.remap(chroma, source, None, cv2.INTER_LINEAR)
        return
    lips = np.abs(opening.clear).max(axis=2) < 0.05 * frame.iod
    lips &= np.abs(opening.across) < 0.7
    tone = luma[box.slices][lips].mean(dtype=np.float64) - 16
    tint = chroma[box.slices][lips].mean(axis=0, dtype=np.float64)
    below = opening.clear[..., 0] / np.float32(frame.iod)
    teeth = np.clip((0.022 - below) / 0.012, 0, 1) * np.clip((0.75 - np.abs(opening.across)) / 0.2, 0, 1)
    dark = 16 + 0.22 * tone
    painted = dark + (16 + 0.95 * tone - dark) * 0.8 * teeth
    finer[fine] = np.repeat(np.repeat(np.rint(painted), LUMA_SCALE, 0), LUMA_SCALE, 1).astype(np.uint8)
    shade = 128 + (tint - 128) * (0.7 - 0.5 * teeth[..., None])
    chroma[box.slices] = np.rint(shade).astype(np.uint8)
