"""A portrait made ready to move: its planes, axes, openings, and the fields of the AUs that clips ask for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_builder.facs import AUS
from equime_builder.generators.warp.actions import ACTIONS, FULL_INTENSITY
from equime_builder.generators.warp.anatomy import EDGES, LANDMARKS, SIDES, Floats, face_frame
from equime_builder.generators.warp.fields import Field, Ground, build_fields, ground
from equime_builder.generators.warp.openings import carried, make_opening, paint_behind
from equime_builder.generators.warp.planes import Bytes, finer, frame_planes, luma_and_chroma

# Below this many pixels between the eyes a micro-expression moves less than the sampling can show.
LEAST_EYE_DISTANCE = 16.0


@dataclass(frozen=True)
class WarpRig:
    """One portrait, ready for `render_clip`.

    size: (H, W). neutral: the still frame, I420 (3H/2, W) uint8. luma: LUMA_SCALE times (H, W), chroma:
    (H, W, 2), what skin is sampled from; luma_behind, chroma_behind: the same with eyeballs and mouth interior
    continued under the edges. ground: geometry that fields are built from.
    """

    size: tuple[int, int]
    neutral: Bytes
    luma: Bytes
    chroma: Bytes
    luma_behind: Bytes
    chroma_behind: Bytes
    ground: Ground
    _fields: dict[tuple[int, str], Field] = field(default_factory=dict, repr=False, compare=False)

    def field(self, au: int, side: str) -> Field:
        """The field of one AU on one side; both sides are built when one is first asked for."""
        key = (au, side)
        if key not in self._fields:
            _known_side(side)
            for name, built in build_fields(ACTIONS[_known_au(au)], self.ground).items():
                self._fields[au, name] = built
        return self._fields[key]


def _known_au(au: int) -> int:
    if au not in ACTIONS:
        raise ValueError(f"au must be one of {AUS}, got {au!r}")
    return au


def _known_side(side: str) -> str:
    if side not in SIDES:
        raise ValueError(f"side must be one of {SIDES}, got {side!r}")
    return side


def _checked(image: Bytes, landmarks: NDArray[np.floating]) -> Floats:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image must be (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}")
    if image.shape[0] % 2 or image.shape[1] % 2:
        raise ValueError(f"image must have even height and width, got {image.shape[0]}x{image.shape[1]}")
    if landmarks.ndim != 2 or landmarks.shape[0] != LANDMARKS or landmarks.shape[1] < 2:
        raise ValueError(f"landmarks must be ({LANDMARKS}, 2 or more), got {landmarks.shape}")
    points = np.ascontiguousarray(landmarks[:, :2], np.float32) - np.float32(0.5)
    if not np.isfinite(points).all():
        raise ValueError("landmarks must be finite, got NaN or infinity")
    return points


def build_rig(image: Bytes, landmarks: NDArray[np.floating]) -> WarpRig:
    """Prepare a portrait.

    image: (H, W, 3) uint8 RGB, H and W even. landmarks: (478, 2 or more) in pixels, MediaPipe's face mesh,
    pixel centers at halves.
    Raises ValueError for other shapes, for landmarks that are not finite, and where the eyes are less than
    16 px apart.
    """
    points = _checked(image, landmarks)
    frame = face_frame(points)
    if not frame.eye_distance >= LEAST_EYE_DISTANCE:
        raise ValueError(
            f"landmarks must have eye centers at least {LEAST_EYE_DISTANCE:g} px apart, got {frame.eye_distance:.1f}"
        )
    size = (int(image.shape[0]), int(image.shape[1]))
    openings = {name: make_opening(name, points, frame, size) for name in EDGES}
    base = ground(points, frame, size, openings)
    luma, chroma = luma_and_chroma(image)
    fine = finer(luma)
    luma_behind, chroma_behind = fine.copy(), chroma.copy()
    for opening in openings.values():
        paint_behind(opening, frame, luma_behind, luma, chroma_behind)
    neutral = np.empty((size[0] * 3 // 2, size[1]), np.uint8)
    y, u, v = frame_planes(neutral, size)
    y[:] = luma
    u[:], v[:] = chroma[::2, ::2, 0], chroma[::2, ::2, 1]
    return WarpRig(size, neutral, fine, chroma, luma_behind, chroma_behind, base)


def displacement(rig: WarpRig, au: int, side: str, *, intensity: float = FULL_INTENSITY) -> Floats:
    """Where the skin goes under one AU on one side: (H, W, 2) float32 in pixels, x right and y down.

    Around an eye or the mouth, the skin above the opening moves with its upper edge, the skin below with the
    lower one. Raises ValueError for an unknown AU or side.
    """
    active = rig.field(au, side)
    dense = np.zeros((*rig.size, 2), np.float32)
    if active.flow is not None:
        dense[active.flow.box.slices] += active.flow.values
    for cut in active.cuts:
        opening = rig.ground.openings[cut.opening]
        upper, lower = (carried(opening, edge.values, k, jaw=cut.jaw) for k, edge in enumerate(cut.edges))
        outward = np.where(opening.clear[..., 0] <= opening.clear[..., 1], upper, -lower)
        dense[opening.box.slices] += outward[..., None] * rig.ground.frame.up
    return dense * np.float32(intensity)


def moved_mask(rig: WarpRig, aus: Iterable[int], sides: Iterable[str] = SIDES) -> NDArray[np.bool_]:
    """Where frames with these AUs on these sides may differ from the neutral frame: (H, W) bool."""
    moved = np.zeros(rig.size, np.uint8)
    chosen = tuple(sides)
    for au in aus:
        for side in chosen:
            for patch in rig.field(au, side).patches:
                values = patch.values
                busy = values.any(axis=2) if values.ndim == 3 else values != 0
                moved[patch.box.slices] |= busy.astype(np.uint8)
    # A chroma sample covers 2x2 pixels, and sampling reaches one further.
    return np.asarray(cv2.dilate(moved, np.ones((5, 5), np.uint8)), np.bool_)
