"""What moved between the neutral face and the apex, in numbers that Action Units can be read from.

Four observers of the same two faces, for the subject's right and left half: FaceLandmarker's landmarks, optical flow at
the neutral landmarks, the shade of the skin where folds form, and FaceLandmarker's blendshapes. Landmarks are right
where much moves, flow where little does, and shade where lips press and corners dimple without moving.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_builder.audit.regions import Points
from equime_builder.facs import Side
from equime_builder.landmarks import LIDS, Detection, inter_ocular

HALVES: tuple[Side, Side] = ("right", "left")
# Bone under little skin: what these do together is the head's motion (eye corners, bridge of the nose).
RIGID = (33, 133, 362, 263, 168, 6, 197, 195)
# Landmarks whose mean displacement is measured, on the subject's right and left.
GROUPS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "brow_inner": ((107, 66, 55, 65), (336, 296, 285, 295)),
    "brow_mid": ((105, 52), (334, 282)),
    "brow_outer": ((70, 63, 53, 46), (300, 293, 283, 276)),
    "glabella": ((9, 8), (9, 8)),
    "lid_upper": ((159, 158, 160), (386, 385, 387)),
    "lid_lower": ((145, 153, 144), (374, 380, 373)),
    "cheek": ((118, 101, 50, 117, 36), (347, 330, 280, 346, 266)),
    "nose_wing": ((48, 64, 98, 129), (278, 294, 327, 358)),
    "fold": ((203, 206), (423, 426)),
    "corner": ((61, 62, 76, 57), (291, 292, 306, 287)),
    "upper_lip": ((37, 39, 40), (267, 269, 270)),
    "upper_lip_middle": ((0,), (0,)),
    "seam_above": ((13, 82, 81), (13, 312, 311)),
    "seam_below": ((14, 87, 178), (14, 317, 402)),
    "lower_lip": ((84, 181, 91), (314, 405, 321)),
    "lower_lip_middle": ((17,), (17,)),
    "chin": ((152, 148, 176, 175, 199), (152, 377, 400, 175, 199)),
}
MIDLINE_GROUPS = frozenset(group for group, (right, left) in GROUPS.items() if right == left)
PAIRED_BLENDSHAPES = (
    "browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown",
    "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer",
)  # fmt: skip
MIDDLE_BLENDSHAPES = (
    "browInnerUp", "jawOpen", "mouthClose", "mouthPucker", "mouthRollLower", "mouthRollUpper", "mouthShrugLower",
    "mouthShrugUpper",
)  # fmt: skip
# Where folds form and lips turn in, on the subject's right and left: between the two landmarks of each pair.
SPOTS: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "forehead_inner": ((108, 107), (337, 336)),
    "forehead_outer": ((104, 105), (333, 334)),
    "frown": ((8, 55), (8, 285)),
    "nose_root": ((168, 193), (168, 417)),
    "nose_side": ((122, 188), (351, 412)),
    "crow": ((35, 143), (265, 372)),
    "pouch": ((228, 230), (448, 450)),
    "fold_above": ((203, 203), (423, 423)),
    "fold": ((206, 216), (426, 436)),
    "dimple": ((57, 186), (287, 410)),
    "corner_below": ((43, 202), (273, 422)),
    "upper_lip": ((37, 40), (267, 270)),
    "lower_lip": ((84, 181), (314, 405)),
    "under_lip": ((18, 182), (18, 406)),
    "chin": ((200, 201), (200, 421)),
}
OBSERVERS = ("landmarks", "flow")
NAMES: tuple[str, ...] = (
    *(f"{observer} {group} {way}" for observer in OBSERVERS for group in GROUPS for way in ("out", "up")),
    *(f"shade {spot}" for spot in SPOTS),
    *(f"blendshape {name}" for name in (*PAIRED_BLENDSHAPES, *MIDDLE_BLENDSHAPES)),
)
FLOW_BLUR = 1.5  # pixels: flow of single pixels is noise
SHADE_BLUR = 0.03  # IOD: about the width of a fold


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """The mean of several frames of one face: landmarks (478, 2) float32 px, blendshape scores, luma (H, W) uint8."""

    points: Points
    scores: Mapping[str, float]
    luma: NDArray[np.uint8]


def mean_face(detections: Sequence[Detection], luma: NDArray[np.uint8]) -> Face:
    """Mean over at least one detection and as many frames, luma (T, H, W) uint8."""
    points = np.mean([detection.landmarks for detection in detections], axis=0, dtype=np.float64)
    names = detections[0].blendshapes
    scores = {name: float(np.mean([detection.blendshapes[name] for detection in detections])) for name in names}
    return Face(np.asarray(points, np.float32), scores, np.round(luma.mean(axis=0)).astype(np.uint8))


def lid_gap(points: Points) -> float:
    """How far the lids of the wider eye are apart, IOD."""
    return max(float(np.linalg.norm(points[upper] - points[lower])) for upper, lower in LIDS) / inter_ocular(points)


def flow_between(stations: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Optical flow (H, W, 2) px from the first picture (H, W) to the last, by way of those between.

    DIS flow (Kroeger et al. 2016); each leg starts where the one before it ended, so that a large motion is found in
    steps that are small.
    """
    height, width = stations[0].shape
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    total = np.zeros((height, width, 2), np.float32)
    for before, after in pairwise(stations):
        total += _pulled(np.asarray(search.calc(before, after, None), np.float32), total)
    return total


def _pulled(picture: NDArray[np.float32], flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """A picture as seen from where the flow began."""
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    seen = cv2.remap(picture, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.float32)


def _at(picture: NDArray[np.float32], points: Points) -> NDArray[np.float32]:
    x, y = (np.clip(np.round(points[:, k]).astype(int), 0, picture.shape[1 - k] - 1) for k in (0, 1))
    return np.asarray(picture[y, x], np.float32)


def features(rest: Face, apex: Face, flow: NDArray[np.float32]) -> NDArray[np.float64]:
    """Right and left half (2, len(NAMES)): IOD outward and up, relative change of luma, change of blendshape scores."""
    unit = inter_ocular(rest.points)
    smooth = _at(np.asarray(cv2.GaussianBlur(flow, (0, 0), FLOW_BLUR)), rest.points)
    shifts = [shift - np.median(shift[list(RIGID)], axis=0) for shift in (apex.points - rest.points, smooth)]
    change = {name: apex.scores[name] - rest.scores[name] for name in rest.scores}
    shade = _shade(rest, apex, flow)
    halves = []
    for half, outward, suffix in ((0, -1.0, "Right"), (1, 1.0, "Left")):
        moved = [shift[list(GROUPS[group][half])].mean(axis=0) / unit for shift in shifts for group in GROUPS]
        values = [value for x, y in moved for value in (outward * float(x), -float(y))]
        values += [float(value) for value in shade[half]]
        values += [change[name + suffix] for name in PAIRED_BLENDSHAPES]
        values += [change[name] for name in MIDDLE_BLENDSHAPES]
        halves.append(values)
    return np.array(halves, np.float64)


def _shade(rest: Face, apex: Face, flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """Relative change of luma (2, spots) of the skin that lies at the spots of the neutral face."""
    sigma = max(SHADE_BLUR * inter_ocular(rest.points), 0.6)
    before, after = (
        np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)
        for picture in (rest.luma.astype(np.float32), _pulled(apex.luma.astype(np.float32), flow))
    )
    change = np.asarray((after - before) / np.maximum(before, 16), np.float32)
    ends = np.array([spot[half] for half in (0, 1) for spot in SPOTS.values()])
    places = (rest.points[ends[:, 0]] + rest.points[ends[:, 1]]) / 2
    return _at(change, places).reshape(2, -1)
