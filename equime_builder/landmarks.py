"""Landmarks of photographs: FaceLandmarker, the square that frames a face, and the places in it by number."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_builder.models import find_model
from equime_builder.portraits import PortraitError

NO_MEDIAPIPE = "landmarks (photographs, curation, audit) need mediapipe; install it with: pip install 'equime[faces]'"
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
        return inter_ocular(self.landmarks)

    def scaled(self, factor: float) -> Detection:
        """The same face in a picture scaled by a factor."""
        return replace(self, landmarks=self.landmarks * np.float32(factor))


def inter_ocular(points: NDArray[np.float32]) -> float:
    """The inter-ocular distance (IOD): between the iris centers of landmarks (478, 2), in their unit."""
    return float(np.linalg.norm(points[IRISES[0]] - points[IRISES[1]]))


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


def find_landmarker(given: Path | None = None) -> Path:
    """Path of FaceLandmarker's file, of a landmarker that can be opened here; see `equime_builder.models.find_model`.

    Raises:
        PortraitError: mediapipe is not installed. ModelMissing: the file is not there, or is not the one that is known.
    """
    if find_spec("mediapipe") is None:
        raise PortraitError(NO_MEDIAPIPE)
    return find_model("face-landmarker", given)


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
        raise PortraitError(NO_MEDIAPIPE) from error
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
