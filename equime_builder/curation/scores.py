"""The scores of one picture, and what they say against it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_builder.curation import measures
from equime_builder.curation.thresholds import Curation
from equime_builder.landmarks import FRAME_SIDE_IODS, Landmarker, cut, frame_square

JUDGED_SIZE = 256  # pixels of the cut square: thresholds are calibrated there, whatever size the clips have
SEARCHED_SIDE = 1024  # pixels: a face is looked for in a picture of at most that
LEAST_SIDE = 16  # pixels of the cut square: below, there is nothing to measure
MAX_OUTSIDE = 0.01  # of the side, that a face's outline may leave the square
VERSION = 1  # of what is measured; tables of another one are not read


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What was measured in one picture; None where it could not be.

    Attributes:
        problem: why the file is no picture that can be measured.
        width, height: of the picture, pixels. faces: how many were found. iod: in the picture, pixels.
        crop: left, top and side of the square that frames the face.
        yaw, pitch, roll: degrees, in the cut square at `JUDGED_SIZE`, as all that follows.
        outside: how far the outline leaves the square, share of its side.
        lid_gap, lip_gap: IOD. smile: FaceLandmarker's, 0..1.
        eye_light, eye_contrast: right and left eye, see `measures.eyes`.
        lip_color, cheek_edges (right, left, lower right, lower left), mirror_shift, sharpness: see `measures`.
        landmarks: (478, 2) float32 in the square at `landmarks_size` pixels.
    """

    problem: str | None = None
    width: int | None = None
    height: int | None = None
    faces: int | None = None
    iod: float | None = None
    crop: tuple[int, int, int] | None = None
    yaw: float | None = None
    pitch: float | None = None
    roll: float | None = None
    outside: float | None = None
    lid_gap: float | None = None
    lip_gap: float | None = None
    smile: float | None = None
    eye_light: tuple[float | None, ...] = (None, None)
    eye_contrast: tuple[float | None, ...] = (None, None)
    lip_color: float | None = None
    cheek_edges: tuple[float | None, ...] = (None, None, None, None)
    mirror_shift: float | None = None
    sharpness: float | None = None
    landmarks: NDArray[np.float32] | None = None
    landmarks_size: int | None = None

    def landmarks_at(self, size: int) -> NDArray[np.float32]:
        """Landmarks (478, 2) float32 in the square at `size` pixels."""
        assert self.landmarks is not None
        assert self.landmarks_size is not None
        return self.landmarks * np.float32(size / self.landmarks_size)


def landmarks_size(size: int) -> int:
    """At which size of the square landmarks are found for clips of `size` pixels."""
    return max(size, JUDGED_SIZE)


def score(landmarker: Landmarker, picture: NDArray[np.uint8], size: int) -> Scores:
    """Measure a picture (H, W, 3) uint8 RGB for clips of `size` pixels."""
    height, width = picture.shape[:2]
    scale = min(1.0, SEARCHED_SIDE / max(height, width))
    small = picture
    if scale < 1:
        small = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    first = landmarker.detect(small)
    if first is None:
        return Scores(width=width, height=height, faces=0)
    # Judged in the picture's own pixels: scaling the crop up adds pixels, but nothing to see.
    whole = first.scaled(1 / scale)
    crop = frame_square(whole, width, height)
    known = {"width": width, "height": height, "faces": first.faces, "iod": whole.iod}
    face = cut(picture, crop, JUDGED_SIZE) if crop[2] >= LEAST_SIDE else None
    detection = landmarker.detect(face) if face is not None else None
    if face is None or detection is None:
        return Scores(**known)
    points = detection.landmarks
    mirrored = landmarker.detect(face[:, ::-1])
    finer = landmarker.detect(cut(picture, crop, size)) if size > JUDGED_SIZE else None
    eyes = measures.eyes(face, points)
    edges = measures.cheek_edges(face, points)
    yaw, pitch, roll = detection.turn
    return Scores(
        **known,
        crop=crop,
        yaw=yaw,
        pitch=pitch,
        roll=roll,
        outside=measures.outside(points, JUDGED_SIZE),
        lid_gap=measures.lid_gap(points),
        lip_gap=measures.lip_gap(points),
        smile=(detection.blendshapes["mouthSmileLeft"] + detection.blendshapes["mouthSmileRight"]) / 2,
        eye_light=tuple(eye[0] if eye else None for eye in eyes),
        eye_contrast=tuple(eye[1] if eye else None for eye in eyes),
        lip_color=measures.lip_color(face, points),
        cheek_edges=tuple(edge for pair in edges for edge in pair or (None, None)),
        # The whole square, where there is no face in the mirrored picture.
        mirror_shift=measures.mirror_shift(detection, mirrored, JUDGED_SIZE) if mirrored else FRAME_SIDE_IODS,
        sharpness=measures.sharpness(face, points),
        landmarks=(finer or detection.scaled(landmarks_size(size) / JUDGED_SIZE)).landmarks,
        landmarks_size=landmarks_size(size),
    )


def fault(scores: Scores, thresholds: Curation) -> str | None:
    """Why the picture cannot be taken, or None."""
    if scores.problem is not None:
        return scores.problem
    if not scores.faces:
        return "no face found"
    if scores.faces > 1:
        return f"{scores.faces} faces found; a portrait shows one"
    if scores.iod is not None and scores.iod < thresholds.min_iod:
        return f"face too small: {scores.iod:.0f} pixels between the eyes, {thresholds.min_iod:.0f} needed"
    if scores.crop is None:
        return "the face is cut off by the edge of the picture"
    return _turn_fault(scores, thresholds) or _face_fault(scores, thresholds) or _cover_fault(scores, thresholds)


def _turn_fault(scores: Scores, thresholds: Curation) -> str | None:
    for name in ("yaw", "pitch", "roll"):
        if abs(angle := getattr(scores, name)) > thresholds.max_turn:
            view = "profile view" if name == "yaw" else "head is tilted"
            return f"{view}: {name} {angle:.0f} degrees, at most {thresholds.max_turn:.0f}"
    return None


def _face_fault(scores: Scores, thresholds: Curation) -> str | None:
    assert scores.outside is not None
    assert scores.lid_gap is not None
    assert scores.lip_gap is not None
    assert scores.smile is not None
    assert scores.sharpness is not None
    if scores.outside > MAX_OUTSIDE:
        return "the face is cut off by the edge of the picture"
    if eyes_dark(scores, thresholds):
        return "sunglasses: the eyes are darker than the cheeks"
    if scores.lid_gap < thresholds.min_lid_gap:
        return f"eyes are closed: lids {scores.lid_gap:.3f} IOD apart, {thresholds.min_lid_gap} needed"
    if scores.lip_gap > thresholds.max_lip_gap:
        return f"open mouth: lips {scores.lip_gap:.3f} IOD apart, at most {thresholds.max_lip_gap}"
    if scores.smile > thresholds.max_smile:
        return f"smile: {scores.smile:.2f}, at most {thresholds.max_smile}"
    if scores.sharpness < thresholds.min_sharpness:
        return f"blurred: sharpness {scores.sharpness:.3f}, {thresholds.min_sharpness} needed"
    return None


def eyes_dark(scores: Scores, thresholds: Curation) -> bool:
    """Whether both eyes lack what is brighter than the skin around them: the sclera."""
    verdicts = [
        light < thresholds.min_eye_light or contrast < thresholds.min_eye_contrast
        for light, contrast in zip(scores.eye_light, scores.eye_contrast, strict=True)
        if light is not None and contrast is not None
    ]
    return bool(verdicts) and all(verdicts)


def _cover_fault(scores: Scores, thresholds: Curation) -> str | None:
    assert scores.lip_color is not None
    assert scores.mirror_shift is not None
    text = "something covers part of the face (a hand?): "
    if scores.lip_color < thresholds.min_lip_color:
        return (
            f"{text}the mouth has the color of skin (distance {scores.lip_color:.1f}, "
            f"{thresholds.min_lip_color} needed)"
        )
    for pair in (scores.cheek_edges[:2], scores.cheek_edges[2:]):
        right, left = pair
        if right is None or left is None:
            continue
        high, low = max(right, left), min(right, left)
        if high > thresholds.max_cheek_edge and high > thresholds.max_cheek_edge_ratio * low:
            return f"{text}one cheek has edges that the other has not"
    if scores.mirror_shift > thresholds.max_mirror_shift:
        return (
            f"{text}landmarks move by {scores.mirror_shift:.3f} IOD when it is mirrored, "
            f"at most {thresholds.max_mirror_shift}"
        )
    return None
