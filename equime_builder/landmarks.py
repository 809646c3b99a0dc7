"""Landmarks of photographs, and whether a photograph can be animated."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_builder.portraits import PortraitError

# FaceLandmarker topology.
EYE_OUTER, EYE_INNER = (33, 263), (133, 362)
IRISES = (468, 473)
INNER_LIPS = (13, 14)
LIDS = ((159, 145), (386, 374))
EYE_RINGS = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249),
)
CHEEKS = (50, 280)
LOWER_CHEEKS = (205, 425)
LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip

MAX_TURN = 25.0  # degrees of yaw, pitch or roll: beyond, half of the face hides what an AU does
MAX_LIP_GAP = 0.04  # of the IOD: lips of a neutral face touch
MIN_LID_GAP = 0.05  # of the IOD
MIN_IOD = 32.0  # pixels: below, an ME moves less than half a pixel
SHADE_RATIO = 0.55  # bright parts of the eyes against the cheeks; sclera is brighter than skin, dark glass is not
SHADE_CONTRAST = 0.18
# What covers a face is judged by three signs, since the landmark model invents the landmarks that it cannot see:
# the mesh changes when the picture is mirrored (share of the IOD), the lips lose their color against the skin around
# them (CIELAB distance, 8-bit scale), or one cheek has edges that the other has not (gradient per brightness).
MAX_MIRROR_SHIFT = 0.062
MIN_LIP_COLOR = 6.0
CHEEK_EDGE, CHEEK_EDGE_RATIO = 0.045, 2.4
JUDGED_SIZE = 256  # pixels of the cut square: the signs above are calibrated there, whatever size the clips have
FRAME_SIDE_IODS = 4.0  # CelebA-HQ and FFHQ framing: side of the picture
EYE_LINE = 0.47  # and height of the eyes in it


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """What FaceLandmarker says of one picture.

    `landmarks` (478, 2) float32 pixels; yaw, pitch, roll in degrees; `faces` how many were found; blendshapes by name.
    """

    faces: int
    landmarks: NDArray[np.float32]
    turn: tuple[float, float, float]
    blendshapes: dict[str, float]

    @property
    def iod(self) -> float:
        """Inter-ocular distance: between the iris centers, pixels."""
        return _iod(self.landmarks)


class Landmarker:
    """MediaPipe FaceLandmarker on still pictures. Make it with `open_landmarker`."""

    def __init__(self, task: Any, image_class: Any) -> None:
        self._task, self._image = task, image_class

    def detect(self, picture: NDArray[np.uint8]) -> Detection | None:
        """Detect the face in an RGB picture (H, W, 3) uint8; None where there is none."""
        height, width = picture.shape[:2]
        result = self._task.detect(self._image(image_format=1, data=np.ascontiguousarray(picture)))
        if not result.face_landmarks:
            return None
        points = np.array([[point.x * width, point.y * height] for point in result.face_landmarks[0]], np.float32)
        matrix = np.asarray(result.facial_transformation_matrixes[0])
        scores = {category.category_name: float(category.score) for category in result.face_blendshapes[0]}
        return Detection(len(result.face_landmarks), points, _turn(matrix), scores)


@contextmanager
def open_landmarker(model: Path) -> Iterator[Landmarker]:
    """A landmarker for the time of a block.

    Raises:
        PortraitError: mediapipe is not installed.
    """
    try:
        with _silenced():
            import mediapipe
            from mediapipe.tasks.python import BaseOptions, vision
    except ImportError as error:
        raise PortraitError("photographs need mediapipe; install it with: pip install 'equime[faces]'") from error
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(model)),
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
        num_faces=3,
    )
    with _silenced():
        task = vision.FaceLandmarker.create_from_options(options)
    try:
        yield Landmarker(task, mediapipe.Image)
    finally:
        task.close()


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep the C++ start-up chatter of TensorFlow Lite, which goes straight to descriptor 2, off the terminal."""
    saved, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)


def _turn(matrix: NDArray[np.float64]) -> tuple[float, float, float]:
    yaw = np.degrees(np.arctan2(matrix[0, 2], matrix[2, 2]))
    pitch = np.degrees(np.arcsin(np.clip(-matrix[1, 2], -1, 1)))
    roll = np.degrees(np.arctan2(matrix[1, 0], matrix[1, 1]))
    return float(yaw), float(pitch), float(roll)


def frame_square(detection: Detection, width: int, height: int) -> tuple[int, int, int]:
    """Left, top and side of the square that frames the face as CelebA-HQ does, kept inside the picture."""
    side = min(round(detection.iod * FRAME_SIDE_IODS), width, height)
    eyes = detection.landmarks[list(IRISES)].mean(axis=0)
    left = round(float(eyes[0]) - side / 2)
    top = round(float(eyes[1]) - side * EYE_LINE)
    return min(max(left, 0), width - side), min(max(top, 0), height - side), side


def cut(picture: NDArray[np.uint8], crop: tuple[int, int, int], size: int) -> NDArray[np.uint8]:
    """Cut a square out of a picture and scale it to `size`."""
    left, top, side = crop
    square = picture[top : top + side, left : left + side]
    method = cv2.INTER_AREA if side >= size else cv2.INTER_CUBIC
    return square.copy() if side == size else np.asarray(cv2.resize(square, (size, size), interpolation=method))


def examine(landmarker: Landmarker, picture: NDArray[np.uint8], size: int) -> tuple[tuple[int, int, int], Detection]:
    """Find the face, cut it out, and check that it is neutral, frontal and free.

    Returns:
        The crop, and the detection in the crop at `size`.

    Raises:
        PortraitError: why the portrait cannot be animated.
    """
    scale = min(1.0, 1024 / max(picture.shape[:2]))
    small = picture
    if scale < 1:
        small = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    first = landmarker.detect(small)
    if first is None:
        raise PortraitError("no face found")
    if first.faces > 1:
        raise PortraitError(f"{first.faces} faces found; a portrait shows one")
    whole = _scaled(first, 1 / scale)
    # Judged in the picture's own pixels: scaling the crop up adds pixels, but nothing to see.
    if whole.iod < MIN_IOD:
        raise PortraitError(f"face too small: {whole.iod:.0f} pixels between the eyes, {MIN_IOD:.0f} needed")
    crop = frame_square(whole, picture.shape[1], picture.shape[0])
    face = cut(picture, crop, JUDGED_SIZE)
    detection = landmarker.detect(face)
    if detection is None:
        raise PortraitError("the face is cut off by the edge of the picture")
    reason = fault(detection, face) or cover_fault(landmarker, detection, face)
    if reason:
        raise PortraitError(reason)
    finer = landmarker.detect(cut(picture, crop, size)) if size > JUDGED_SIZE else None
    return crop, finer or _scaled(detection, size / JUDGED_SIZE)


def _scaled(detection: Detection, factor: float) -> Detection:
    """The same face in a picture scaled by a factor."""
    return replace(detection, landmarks=detection.landmarks * np.float32(factor))


def fault(detection: Detection, face: NDArray[np.uint8]) -> str | None:
    """Why a detected face cannot be animated, or None."""
    points, iod = detection.landmarks, detection.iod
    for name, angle in zip(("yaw", "pitch", "roll"), detection.turn, strict=True):
        if abs(angle) > MAX_TURN:
            view = "profile view" if name == "yaw" else "head is tilted"
            return f"{view}: {name} {angle:.0f} degrees, at most {MAX_TURN:.0f}"
    size = face.shape[0]
    hidden = points[list(FACE_OVAL)]
    if hidden.min() < -0.01 * size or hidden.max() > 1.01 * size:
        return "the face is cut off by the edge of the picture"
    if eyes_dark(face, points):
        return "sunglasses: the eyes are darker than the cheeks"
    lids = min(float(np.linalg.norm(points[upper] - points[lower])) for upper, lower in LIDS) / iod
    if lids < MIN_LID_GAP:
        return f"eyes are closed: lids {lids:.3f} IOD apart, {MIN_LID_GAP} needed"
    gap = float(np.linalg.norm(points[INNER_LIPS[0]] - points[INNER_LIPS[1]])) / iod
    if gap > MAX_LIP_GAP:
        return f"open mouth: lips {gap:.3f} IOD apart, at most {MAX_LIP_GAP}"
    return None


def _inside(face: NDArray[np.uint8], points: NDArray[np.float32], ring: tuple[int, ...]) -> NDArray[np.uint8]:
    mask = np.zeros(face.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(points[list(ring)]).astype(np.int32)], 1)
    return mask


def _disc(face: NDArray[np.uint8], points: NDArray[np.float32], landmark: int, radius: float) -> NDArray[np.uint8]:
    mask = np.zeros(face.shape[:2], np.uint8)
    center = (round(float(points[landmark][0])), round(float(points[landmark][1])))
    cv2.circle(mask, center, max(2, round(radius)), 1, -1)
    return mask


def _iod(points: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(points[IRISES[0]] - points[IRISES[1]]))


def eyes_dark(face: NDArray[np.uint8], points: NDArray[np.float32]) -> bool:
    """Whether both eyes lack what is brighter than the skin around them: the sclera."""
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32)
    verdicts = []
    for ring, cheek in zip(EYE_RINGS, CHEEKS, strict=True):
        eye = grey[_inside(face, points, ring) > 0]
        skin = grey[_disc(face, points, cheek, 0.12 * _iod(points)) > 0]
        if eye.size and skin.size:
            bright, dark = np.percentile(eye, (90, 10))
            verdicts.append(bright < SHADE_RATIO * np.median(skin) or bright - dark < SHADE_CONTRAST * bright)
    return bool(verdicts) and all(verdicts)


def lip_color(face: NDArray[np.uint8], points: NDArray[np.float32]) -> float:
    """CIELAB distance (8-bit scale) between the lips and the skin around them."""
    lab = cv2.cvtColor(face, cv2.COLOR_RGB2LAB).astype(np.float32)
    lips = _inside(face, points, LIPS)
    thick = round(0.1 * _iod(points)) * 2 + 1
    ring = cv2.dilate(lips, np.ones((thick, thick), np.uint8)) - cv2.dilate(lips, np.ones((5, 5), np.uint8))
    if not lips.any() or not ring.any():
        return 0.0
    return float(np.linalg.norm(np.median(lab[lips > 0], axis=0) - np.median(lab[ring > 0], axis=0)))


def one_cheek_edged(face: NDArray[np.uint8], points: NDArray[np.float32]) -> bool:
    """Whether one cheek has edges that the other has not."""
    grey = cv2.GaussianBlur(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.0)
    gradient = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=1 / 8))
    for pair in (CHEEKS, LOWER_CHEEKS):
        discs = [_disc(face, points, landmark, 0.2 * _iod(points)) > 0 for landmark in pair]
        if not all(disc.any() for disc in discs):
            continue
        edges = [float(np.percentile(gradient[disc], 90) / max(20.0, np.median(grey[disc]))) for disc in discs]
        if max(edges) > CHEEK_EDGE and max(edges) > CHEEK_EDGE_RATIO * min(edges):
            return True
    return False


def mirror_shift(detection: Detection, mirrored: Detection, width: int) -> float:
    """Disagreement between a face and its mirror image, in IOD (99th percentile over the landmarks)."""
    back = mirrored.landmarks * np.array([-1, 1], np.float32) + np.array([width - 1, 0], np.float32)
    distances = np.linalg.norm(detection.landmarks[:, None] - back[None], axis=2).min(axis=1)
    return float(np.percentile(distances, 99) / detection.iod)


def cover_fault(landmarker: Landmarker, detection: Detection, face: NDArray[np.uint8]) -> str | None:
    """What seems to cover part of the face, or None."""
    text = "something covers part of the face (a hand?): "
    if (color := lip_color(face, detection.landmarks)) < MIN_LIP_COLOR:
        return text + f"the mouth has the color of skin (distance {color:.1f}, {MIN_LIP_COLOR} needed)"
    if one_cheek_edged(face, detection.landmarks):
        return text + "one cheek has edges that the other has not"
    mirrored = landmarker.detect(face[:, ::-1])
    shift = np.inf if mirrored is None else mirror_shift(detection, mirrored, face.shape[1])
    if shift > MAX_MIRROR_SHIFT:
        return text + f"landmarks move by {shift:.3f} IOD when it is mirrored, at most {MAX_MIRROR_SHIFT}"
    return None
