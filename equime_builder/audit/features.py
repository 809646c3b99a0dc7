"""What moved between the neutral face and the apex, in numbers that Action Units can be read from.

Three observers of the same two faces, for the subject's right and left half: FaceLandmarker's landmarks, optical flow
at the neutral landmarks, and FaceLandmarker's blendshapes. Landmarks are right where much moves, flow where little does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_builder.audit.regions import Points, iod
from equime_builder.landmarks import Detection

HALVES = ("right", "left")
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
PAIRED_BLENDSHAPES = (
    "browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown",
    "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer",
)  # fmt: skip
MIDDLE_BLENDSHAPES = (
    "browInnerUp", "jawOpen", "mouthClose", "mouthPucker", "mouthRollLower", "mouthRollUpper", "mouthShrugLower",
    "mouthShrugUpper",
)  # fmt: skip
OBSERVERS = ("landmarks", "flow")
NAMES: tuple[str, ...] = (
    *(f"{observer} {group} {way}" for observer in OBSERVERS for group in GROUPS for way in ("out", "up")),
    *(f"blendshape {name}" for name in (*PAIRED_BLENDSHAPES, *MIDDLE_BLENDSHAPES)),
)
FLOW_BLUR = 1.5  # pixels: flow of single pixels is noise


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """The mean of several detections of one face: landmarks (478, 2) float32 px, blendshape scores by name."""

    points: Points
    scores: Mapping[str, float]


def mean_face(detections: Sequence[Detection]) -> Face:
    """Mean over detections (at least one)."""
    points = np.mean([detection.landmarks for detection in detections], axis=0, dtype=np.float64)
    names = detections[0].blendshapes
    scores = {name: float(np.mean([detection.blendshapes[name] for detection in detections])) for name in names}
    return Face(points.astype(np.float32), scores)


def flow_between(stations: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Optical flow (H, W, 2) px from the first picture (H, W) to the last, by way of those between.

    DIS flow (Kroeger et al. 2016); each leg starts where the one before it ended, so that a large motion is found in
    steps that are small.
    """
    height, width = stations[0].shape
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    total = np.zeros((height, width, 2), np.float32)
    for before, after in zip(stations[:-1], stations[1:], strict=True):
        leg = np.asarray(search.calc(before, after, None), np.float32)
        total += cv2.remap(leg, x + total[..., 0], y + total[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return total


def at(flow: NDArray[np.float32], points: Points) -> Points:
    """The flow (N, 2) at points (N, 2), each a mean over a few pixels."""
    smooth = cv2.GaussianBlur(flow, (0, 0), FLOW_BLUR)
    height, width = flow.shape[:2]
    x = np.clip(np.round(points[:, 0]).astype(int), 0, width - 1)
    y = np.clip(np.round(points[:, 1]).astype(int), 0, height - 1)
    return np.asarray(smooth[y, x], np.float32)


def features(rest: Face, apex: Face, flow: NDArray[np.float32]) -> NDArray[np.float64]:
    """Right and left half (2, len(NAMES)): displacements outward and up in IOD, and changes of blendshapes."""
    unit = iod(rest.points)
    shifts = [
        shift - np.median(shift[list(RIGID)], axis=0) for shift in (apex.points - rest.points, at(flow, rest.points))
    ]
    change = {name: apex.scores[name] - rest.scores[name] for name in rest.scores}
    halves = []
    for half, outward, suffix in ((0, -1.0, "Right"), (1, 1.0, "Left")):
        moved = [shift[list(GROUPS[group][half])].mean(axis=0) / unit for shift in shifts for group in GROUPS]
        values = [value for x, y in moved for value in (outward * float(x), -float(y))]
        values += [change[name + suffix] for name in PAIRED_BLENDSHAPES]
        values += [change[name] for name in MIDDLE_BLENDSHAPES]
        halves.append(values)
    return np.array(halves, np.float64)
