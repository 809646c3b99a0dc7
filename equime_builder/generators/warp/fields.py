"""Dense fields of one AU on one side of the face: displacement, edge cuts and furrow shading, per unit intensity.

The displacement of a table's landmark groups is interpolated by radial basis functions of compact support
(Wendland's C2 function), so it is smooth, exact at the landmarks and exactly zero beyond its reach.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from equime_builder.generators.warp.actions import FULL_INTENSITY, Action, Furrow, Part, Spot
from equime_builder.generators.warp.anatomy import GROUPS, MIDLINE, OVAL, SIDES, FaceFrame, Floats, partner
from equime_builder.generators.warp.boxes import Box, Patch, cropped, even_box, grid
from equime_builder.generators.warp.openings import Opening, edge_motion

# Displacement below this many pixels at full intensity is cut to zero: it is finer than the resampling.
_LEAST_MOTION = 1 / 64
# The coarse grid on which the interpolation is evaluated has this many cells per eye distance.
_CELLS_PER_EYE_DISTANCE = 18
_LEAST_SHADE = 1 / 256
# The bright ridges beside a furrow are this many times as wide as its valley.
_RIDGES = 2.5
_RIDGE = 3e-4
_OUTLINE_MARGIN = 0.10


@dataclass(frozen=True)
class Cut:
    """How far outward the edges of an opening move: upper and lower, (h, w) pixels per unit intensity."""

    opening: str
    jaw: bool
    edges: tuple[Patch, Patch]


@dataclass(frozen=True)
class Field:
    """What one AU on one side does, per unit intensity.

    flow: displacement in pixels, (h, w, 2), continuous; None where the AU only moves edges.
    cuts: motion of the edges of eyes and mouth. gain: relative change of luminance, (h, w); None without furrows.
    """

    flow: Patch | None
    cuts: tuple[Cut, ...]
    gain: Patch | None

    @property
    def patches(self) -> Iterator[Patch]:
        yield from (patch for patch in (self.flow, self.gain) if patch is not None)
        for cut in self.cuts:
            yield from cut.edges


@dataclass(frozen=True)
class Ground:
    """What every field of a portrait needs: landmarks, axes, and where the face ends.

    points: (478, 2) float32 px. lateral: (H, W) float32, signed distance from the midline in eye distances,
    positive on the subject's left. inside: (H, W) float32, 1 in the face, falling to 0 at its outline.
    """

    points: Floats
    frame: FaceFrame
    lateral: Floats
    inside: Floats
    openings: dict[str, Opening]

    @property
    def size(self) -> tuple[int, int]:
        return int(self.inside.shape[0]), int(self.inside.shape[1])


def smoothstep(x: Floats) -> Floats:
    """0 below 0, 1 above 1, and the cubic with flat ends between."""
    t = np.clip(x, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def ground(points: Floats, frame: FaceFrame, size: tuple[int, int], openings: dict[str, Opening]) -> Ground:
    """Midline and outline of a face, for all its fields."""
    height, width = size
    place = frame.coordinates(grid(Box(0, 0, width, height)))
    middle = frame.coordinates(points[list(MIDLINE)])
    middle = middle[np.argsort(middle[:, 1])]
    lateral = place[..., 0] - np.interp(place[..., 1], middle[:, 1], middle[:, 0]).astype(np.float32)
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [np.round(points[list(OVAL)]).astype(np.int32)], 1)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    inside = smoothstep((depth - 1) / np.float32(_OUTLINE_MARGIN * frame.eye_distance))
    return Ground(points, frame, lateral, inside, openings)


def side_share(lateral: Floats, side: str, softness: float) -> Floats:
    """The share of a two-sided motion that belongs to `side`: 0 to 1, the two sides add up to 1."""
    sign = 1 if side == "left" else -1
    return smoothstep(0.5 + sign * lateral / np.float32(2 * softness))


def wendland(distance: Floats) -> Floats:
    """Wendland's compactly supported C2 function of distance / reach (Wendland 1995)."""
    near = np.maximum(1 - distance, 0)
    near *= near
    near *= near
    return np.asarray(near * (4 * distance + 1), np.float32)


def _stations(action: Action, frame: FaceFrame, points: Floats) -> tuple[Floats, Floats]:
    """Positions (n, 2) and displacements (n, 2) in eye distances of every point that an action moves or holds."""
    moves: dict[int, tuple[float, float]] = {}
    for group in action.hold:
        for point in GROUPS[group]:
            moves[point] = moves[partner(point)] = (0.0, 0.0)
    for pull in action.pulls:
        for point in GROUPS[pull.group]:
            other = partner(point)
            moves[other] = (pull.out if other != point else 0.0, pull.up)
            moves[point] = (-pull.out if other != point else 0.0, pull.up)
    places = frame.coordinates(points[list(moves)])
    return places, np.array(list(moves.values()), np.float32)


def _distances(a: Floats, b: Floats) -> Floats:
    square = (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2 * (a @ b.T)
    return np.asarray(np.sqrt(np.maximum(square, 0)), np.float32)


def pulled(action: Action, base: Ground) -> Floats:
    """Displacement (H, W, 2) in pixels at intensity 5 of both sides' pulls together."""
    frame = base.frame
    places, moves = _stations(action, frame, base.points)
    kernel = wendland(_distances(places, places) / np.float32(action.reach)).astype(np.float64)
    weights = np.linalg.solve(kernel + _RIDGE * np.eye(len(places)), moves.astype(np.float64))
    moving = frame.origin + places[np.abs(moves).sum(1) > 0] @ frame.axes.T * np.float32(frame.eye_distance)
    reach = action.reach * frame.eye_distance
    box = even_box(moving.min(0) - reach, moving.max(0) + reach, base.size)
    step = max(frame.eye_distance / _CELLS_PER_EYE_DISTANCE, 1.0)
    rows, columns = (int(np.ceil(length / step)) + 3 for length in box.shape)
    spots = frame.coordinates(grid(Box(-1, -1, columns - 1, rows - 1)) * np.float32(step) + (box.x0, box.y0))
    basis = wendland(_distances(spots.reshape(-1, 2), places) / np.float32(action.reach))
    values = basis @ weights.astype(np.float32) @ frame.axes.T * np.float32(frame.eye_distance)
    shrink = np.array([[1 / step, 0, 1], [0, 1 / step, 1]], np.float32)
    dense = np.zeros((*base.size, 2), np.float32)
    dense[box.slices] = cv2.warpAffine(
        np.ascontiguousarray(values.reshape(rows, columns, 2), np.float32),
        shrink,
        box.shape[::-1],
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
    )
    return dense


def _per_unit(patch: Patch | None) -> Patch | None:
    return patch and Patch(patch.box, patch.values / np.float32(FULL_INTENSITY))


def _spot(points: Floats, spot: Spot, side: str) -> Floats:
    a, b, share = spot
    if side == "left":
        a, b = partner(a), partner(b)
    return np.asarray(points[a] * (1 - share) + points[b] * share, np.float32)


def _fold(furrow: Furrow, base: Ground, side: str) -> Patch:
    """One furrow: a dark valley of height `depth` between faint bright ridges."""
    path = np.stack([_spot(base.points, spot, side) for spot in furrow.path])
    sigma = max(furrow.width * base.frame.eye_distance, 0.6)
    reach = 3 * _RIDGES * sigma
    box = even_box(path.min(0) - reach, path.max(0) + reach, base.size)
    drawn = np.zeros(box.shape, np.uint8)
    strokes = np.round((path - (box.x0, box.y0)) * 16).astype(np.int32)
    cv2.polylines(drawn, [strokes], False, 255, 1, cv2.LINE_AA, 4)
    line = drawn.astype(np.float32)
    valley = cv2.GaussianBlur(line, (0, 0), sigma)
    shape = valley - np.float32(0.8) * cv2.GaussianBlur(line, (0, 0), _RIDGES * sigma)
    return Patch(box, np.asarray(shape * (furrow.depth / max(float(shape.max()), 1e-6)), np.float32))


def _shade(action: Action, base: Ground, side: str) -> Patch | None:
    """Relative change of luminance at intensity 5 by all furrows of one side."""
    gain = np.zeros(base.size, np.float32)
    for furrow in action.furrows:
        fold = _fold(furrow, base, side)
        gain[fold.box.slices] -= fold.values
    return _per_unit(cropped(gain * base.inside, _LEAST_SHADE))


def build_fields(action: Action, base: Ground) -> dict[str, Field]:
    """The fields of an action on the "left" and on the "right" (the subject's) of a portrait."""
    motion = pulled(action, base) if action.pulls else None
    fields = {}
    for side in SIDES:
        window = side_share(base.lateral, side, action.midline)
        if not action.outline:
            window = window * base.inside
        flow = None if motion is None else _per_unit(cropped(motion * window[..., None], _LEAST_MOTION))
        cuts = tuple(_cut(part, base, side, window) for part in action.parts)
        fields[side] = Field(flow, cuts, _shade(action, base, side))
    return fields


def _cut(part: Part, base: Ground, side: str, window: Floats) -> Cut:
    name = part.opening if part.opening in base.openings else f"{side}_{part.opening}"
    opening = base.openings[name]
    share = window[opening.box.slices] if opening.is_mouth else np.float32(1)
    upper, lower = (
        Patch(opening.box, np.asarray(edge * share / FULL_INTENSITY, np.float32))
        for edge in edge_motion(opening, part, base.frame)
    )
    return Cut(name, part.jaw, (upper, lower))
