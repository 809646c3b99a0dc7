"""Expression curves and a rig to video frames.

A frame is the neutral picture, moved as a whole by the head's sway, with the boxes of the active AUs sampled
again through the sum of their fields. Frames in equal states are rendered once; sensor noise comes last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_builder.facs import AUS
from equime_builder.generators.warp.actions import FULL_INTENSITY
from equime_builder.generators.warp.anatomy import SIDES, Floats
from equime_builder.generators.warp.boxes import Box, grid
from equime_builder.generators.warp.fields import Field
from equime_builder.generators.warp.openings import INSET, Opening, arrived
from equime_builder.generators.warp.planes import LUMA_SCALE, Bytes, frame_planes
from equime_builder.generators.warp.rig import WarpRig

# Sway is rounded to this many steps per pixel (at the picture's edge, for rotation): repeated values are
# rendered once, and no step is seen.
SWAY_STEPS = 16
_DARKEST = 0.3
# Skin that moves by fewer pixels than this leaves the layer behind an opening as it is.
_UNFELT = 1 / 32
_NOISE_SHIFTS = 256
_LINEAR = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

Mover = tuple[float, Field]


def _checked_curves(rig: WarpRig, left: Floats, right: Floats, sway: Floats) -> tuple[Floats, Floats]:
    for name, curve, columns in (("left", left, len(AUS)), ("right", right, len(AUS)), ("sway", sway, 3)):
        if curve.ndim != 2 or curve.shape[1] != columns:
            raise ValueError(f"{name} must be (T, {columns}), got {curve.shape}")
        if len(curve) != len(left) or not len(curve):
            raise ValueError(
                f"{name} must have as many frames as left and at least 1, got {len(curve)} and {len(left)}"
            )
        if not np.isfinite(curve).all():
            raise ValueError(f"{name} must be finite, got NaN or infinity")
    weights = np.concatenate([left, right], axis=1).astype(np.float32)
    for name, curve in (("left", left), ("right", right)):
        low, high = float(curve.min()), float(curve.max())
        if low < 0 or high > FULL_INTENSITY:
            raise ValueError(f"{name} must lie in 0..{FULL_INTENSITY:g}, got {low:g}..{high:g}")
    radius = max(rig.size) / 2
    steps = sway.astype(np.float64) * (SWAY_STEPS, SWAY_STEPS, SWAY_STEPS * radius)
    return weights, (np.rint(steps) / (SWAY_STEPS, SWAY_STEPS, SWAY_STEPS * radius)).astype(np.float64)


def sway_matrix(rig: WarpRig, sway: NDArray[np.float64]) -> NDArray[np.float64]:
    """Affine (2, 3) from a frame's pixels to the neutral picture's, for (dx, dy, rotation) about the eyes."""
    dx, dy, angle = (float(value) for value in sway)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    center = rig.ground.frame.origin.astype(np.float64)
    return np.concatenate([turn, (center - turn @ (center + np.array([dx, dy])))[:, None]], axis=1)


def _swayed(rig: WarpRig, matrix: NDArray[np.float64]) -> Bytes:
    """The neutral picture moved as a whole, I420."""
    frame = np.empty_like(rig.neutral)
    height, width = rig.size
    y, u, v = frame_planes(frame, rig.size)
    cv2.warpAffine(
        rig.luma, matrix * LUMA_SCALE, (width, height), dst=y, flags=_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    coarse = matrix.copy()
    coarse[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    coarse[:, :2] *= 2
    uv = cv2.warpAffine(rig.chroma, coarse, (width // 2, height // 2), flags=_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cv2.split(uv, (u, v))
    return frame


def _boxes(movers: Sequence[Mover]) -> list[Box]:
    """The fields' boxes, overlapping ones merged."""
    merged: list[Box] = []
    for _, mover in movers:
        for patch in mover.patches:
            box = patch.box
            while (hit := next((other for other in merged if other.overlaps(box)), None)) is not None:
                merged.remove(hit)
                box = box.union(hit)
            merged.append(box)
    return merged


@dataclass(frozen=True)
class _Cover:
    """Where the layer behind an opening shows in a frame: share (h, w) on a box."""

    box: Box
    share: Floats


def _slid(opening: Opening, movers: Sequence[Mover], here: Floats, up: Floats, below: int) -> Floats:
    """Where the skin above (below = 0) or below (1) an opening is sampled from: `here` after the edge's motion."""
    for jaw in (False, True):
        motion = np.zeros(here.shape[:2], np.float32)
        for weight, mover in movers:
            for cut in mover.cuts:
                if cut.opening == opening.name and cut.jaw == jaw:
                    motion += weight * cut.edges[below].values
        if motion.any():
            outward = arrived(opening, motion, below, jaw=jaw)
            here = here - (-outward if below else outward)[..., None] * up
    return here


@dataclass(frozen=True)
class _Gap:
    """An opening that a set of AUs may change in a box: whether they move its edges, and where it can show."""

    opening: Opening
    cut: bool
    area: Box


def _gaps(rig: WarpRig, movers: Sequence[Mover], box: Box) -> list[_Gap]:
    """The openings that matter in a box while these AUs act, however strongly."""
    gaps = []
    for opening in rig.ground.openings.values():
        cut = any(cut.opening == opening.name for _, mover in movers for cut in mover.cuts)
        area = opening.box if cut else opening.core
        if (cut or not opening.closed) and area.union(box) == box:
            gaps.append(_Gap(opening, cut, area))
    return gaps


def _apply_gap(gap: _Gap, movers: Sequence[Mover], box: Box, still: Floats, path: Floats, up: Floats) -> _Cover | None:
    """Let skin follow the opening's edges: changes `path` (where each pixel of `box` samples), returns the gap."""
    opening, inner = gap.opening, gap.area.within(box)
    here = path[inner]
    if not gap.cut and np.abs(here - still[inner]).max() < _UNFELT:
        return None
    above, below = (_slid(opening, movers, here, up, k) if gap.cut else here for k in (0, 1))
    offset = np.array([opening.box.x0, opening.box.y0], np.float32)
    clear = [
        cv2.remap(opening.clear, side - offset, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for side in ((above, below) if above is not below else (here,))
    ]
    over, under = clear[0][..., 0], clear[-1][..., 1]
    if gap.cut:  # Where both reach, the upper lid or lip lies over the lower one.
        here[:] = np.where((over <= np.maximum(under, 0))[..., None], above, below)
    return _Cover(gap.area, np.clip(np.minimum(over, under) - INSET, 0, 1))


def _blend(plane: Bytes, behind: Bytes, share: Floats) -> None:
    """Lay `behind` over `plane` by `share`, in place."""
    if plane.ndim == 3:
        share = share[..., None]
    plane[:] = np.rint(plane + (behind.astype(np.float32) - plane) * share)


def _at_origin(flow: Floats) -> Floats:
    """The displacement that brought something to each pixel, from the displacement of what was there.

    A picture is sampled backwards: what arrives at q left p with p + flow(p) = q, so p = q - flow(p), here with
    one step of the fixed-point iteration, p = q - flow(q - flow(q)).
    """
    height, width = flow.shape[:2]
    origin = grid(Box(0, 0, width, height)) - flow
    return np.asarray(cv2.remap(flow, origin, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _least_of_four(share: Floats) -> Floats:
    """The least of each 2x2: a chroma sample is of the layer behind as far as all four pixels are."""
    return np.minimum(np.minimum(share[::2, ::2], share[1::2, ::2]), np.minimum(share[::2, 1::2], share[1::2, 1::2]))


def _render_box(
    rig: WarpRig,
    frame: Bytes,
    box: Box,
    gaps: Sequence[_Gap],
    movers: Sequence[Mover],
    matrix: NDArray[np.float64],
) -> None:
    """Sample one box of a frame through the active fields, in place."""
    y, u, v = frame_planes(frame, rig.size)
    still = cv2.transform(grid(box), matrix.astype(np.float32))
    flow: Floats | None = None
    gain: Floats | None = None
    for weight, mover in movers:
        if mover.flow is not None and mover.flow.box.overlaps(box):
            if flow is None:
                flow = np.zeros((*box.shape, 2), np.float32)
            flow[mover.flow.box.within(box)] += weight * mover.flow.values
        if mover.gain is not None and mover.gain.box.overlaps(box):
            if gain is None:
                gain = np.ones(box.shape, np.float32)
            gain[mover.gain.box.within(box)] += weight * mover.gain.values
    path = still.copy() if flow is None else still - _at_origin(flow)
    covers = []
    for gap in gaps:
        cover = _apply_gap(gap, movers, box, still, path, rig.ground.frame.up)
        if cover is not None and cover.share.any():
            covers.append(cover)
    luma = cv2.remap(rig.luma, path * LUMA_SCALE, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    half = (box.shape[1] // 2, box.shape[0] // 2)
    coarse = cv2.resize(path, half, interpolation=cv2.INTER_AREA) - np.float32(0.5)
    chroma = cv2.remap(rig.chroma, coarse, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if gain is not None:
        luma = cv2.multiply(luma, np.maximum(gain, np.float32(_DARKEST)), dtype=cv2.CV_8U)
    for cover in covers:
        inner = cover.box.within(box)
        rest = still[inner]
        seen = cv2.remap(rig.luma_behind, rest * LUMA_SCALE, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        _blend(luma[inner], seen, cover.share)
        small = (rest.shape[1] // 2, rest.shape[0] // 2)
        rest_uv = cv2.resize(rest, small, interpolation=cv2.INTER_AREA) - np.float32(0.5)
        seen_uv = cv2.remap(rig.chroma_behind, rest_uv, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        inner_uv = tuple(slice(s.start // 2, s.stop // 2) for s in inner)
        _blend(chroma[inner_uv], seen_uv, _least_of_four(cover.share))
    y[box.slices] = luma
    u[box.half_slices], v[box.half_slices] = chroma[..., 0], chroma[..., 1]


@lru_cache(maxsize=4)
def _noise_bank(height: int, width: int, sigma: float) -> tuple[Bytes, Bytes]:
    """A field of Gaussian noise, split in what it adds and what it takes: what frames of every clip are cut from."""
    rng = np.random.default_rng(0)
    levels = np.rint(np.clip(rng.standard_normal((height, width), np.float32) * np.float32(sigma), -255, 255))
    return np.maximum(levels, 0).astype(np.uint8), np.maximum(-levels, 0).astype(np.uint8)


def _add_noise(rig: WarpRig, frames: Bytes, seed: int, sigma: float) -> None:
    """Add sensor noise to luma in place: for each frame a window of the noise field, at a place drawn from the seed."""
    height, width = rig.size
    brighter, darker = _noise_bank(height + _NOISE_SHIFTS, width + _NOISE_SHIFTS, sigma)
    places = np.random.default_rng(seed).integers(0, _NOISE_SHIFTS + 1, (len(frames), 2))
    for frame, (dy, dx) in zip(frames, places, strict=True):
        y = frame_planes(frame, rig.size)[0]
        cv2.add(y, brighter[dy : dy + height, dx : dx + width], dst=y)
        cv2.subtract(y, darker[dy : dy + height, dx : dx + width], dst=y)


def render_clip(
    rig: WarpRig, *, left: Floats, right: Floats, sway: Floats, noise_seed: int, noise_sigma: float
) -> Bytes:
    """Frames of one clip, uint8 (T, 3H/2, W): I420, BT.601 limited range.

    left, right: (T, 18) AU intensities 0..5 of the subject's two sides, columns in the order of AUS.
    sway: (T, 3) motion of the whole picture: dx, dy in pixels and rotation in radians about the eyes.
    noise_sigma: standard deviation of the sensor noise in 8-bit luma levels, 0..50; noise_seed seeds it.
    Raises ValueError for other shapes, values that are not finite, and intensities outside 0..5.
    """
    if not 0 <= noise_sigma <= 50:
        raise ValueError(f"noise_sigma must lie in 0..50, got {noise_sigma:g}")
    weights, motion = _checked_curves(rig, left, right, sway)
    keys = [(au, side) for side in SIDES for au in AUS]
    frames = np.empty((len(weights), *rig.neutral.shape), np.uint8)
    grounds: dict[bytes, Bytes] = {}
    seen: dict[bytes, int] = {}
    boxes: dict[bytes, list[tuple[Box, list[_Gap]]]] = {}
    for t, (weight, move) in enumerate(zip(weights, motion, strict=True)):
        rest, state = move.tobytes(), weight.tobytes() + move.tobytes()
        if state in seen:
            frames[t] = frames[seen[state]]
            continue
        seen[state] = t
        matrix = sway_matrix(rig, move)
        if rest not in grounds:
            grounds[rest] = _swayed(rig, matrix) if move.any() else rig.neutral
        frames[t] = grounds[rest]
        active = np.flatnonzero(weight)
        movers = [(float(weight[k]), rig.field(*keys[k])) for k in active]
        if active.tobytes() not in boxes:
            boxes[active.tobytes()] = [(box, _gaps(rig, movers, box)) for box in _boxes(movers)]
        for box, gaps in boxes[active.tobytes()]:
            _render_box(rig, frames[t], box, gaps, movers, matrix)
    if noise_sigma > 0:
        _add_noise(rig, frames, noise_seed, noise_sigma)
    return frames
