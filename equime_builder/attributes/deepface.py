"""DeepFace: apparent age, gender, race and expression, many portraits at a time, without TensorFlow.

DeepFace's own `analyze` runs its networks once per face; they take stacked faces, and that is what is done here. It
runs on ONNX Runtime, or on PyTorch where ``$DEEPFACE_BACKEND_ENGINE`` says ``pytorch``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_builder.attributes.estimates import Estimate, Face
from equime_builder.landmarks import FACE_OVAL, IRISES
from equime_builder.models import MODELS, ModelMissing, find_model, places

ENGINE = "DEEPFACE_BACKEND_ENGINE"
# Suffix of the weights by engine. TensorFlow, the third, is not used.
ENGINES: Mapping[str, str] = MappingProxyType({"onnx": ".onnx", "pytorch": ".pth"})
WEIGHTS = ("age", "gender", "race", "expression")
INPUT = (224, 224)  # pixels; DeepFace makes the 48 x 48 of its expression network from it
LANDMARKS = "landmarks"  # the face's outline as FaceLandmarker found it when the portrait was scored
WHOLE = "skip"
# Theirs, by ours.
EXPRESSION_WORDS = {"angry": "anger", "happy": "happiness", "sad": "sadness"}

Picture = NDArray[np.uint8]
Input = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class DeepFaceEstimator:
    """Make it with `open_deepface`. `networks` by the names of `WEIGHTS`; `find` cuts out a face, None for no face."""

    name: str
    batch: int
    networks: Mapping[str, Any]
    find: Callable[[Face], Input | None]

    def estimate(self, faces: Sequence[Face]) -> list[Estimate]:
        """An estimate of each face; an empty one where the detector finds none."""
        inputs = [self.find(face) for face in faces]
        stack = [each for each in inputs if each is not None]
        found = iter(self._predict(np.stack(stack)) if stack else [])
        return [Estimate(self.name) if each is None else next(found) for each in inputs]

    def _predict(self, stack: Input) -> list[Estimate]:
        from deepface.models.demography.DemographyUtils import EMOTION_LABELS, GENDER_LABELS, RACE_LABELS

        words = [EXPRESSION_WORDS.get(word, word) for word in EMOTION_LABELS]
        answers = {name: _asked(network, stack) for name, network in self.networks.items()}
        ages = answers["age"][:, 0]
        genders = _shares(answers["gender"], GENDER_LABELS)
        races = _shares(answers["race"], RACE_LABELS)
        expressions = _shares(answers["expression"], words)
        return [
            Estimate(
                self.name,
                max(gender, key=lambda word: gender[word]),
                max(race, key=lambda word: race[word]),
                float(age),
                gender,
                race,
                expression,
            )
            for age, gender, race, expression in zip(ages, genders, races, expressions, strict=True)
        ]


def open_deepface(*, detector: str = LANDMARKS, batch: int = 16) -> DeepFaceEstimator:
    """DeepFace with its weights loaded.

    Args:
        detector: `LANDMARKS`, `WHOLE` (the square as it is), or one of DeepFace's own, such as retinaface or yunet.
        batch: how many faces the networks take at a time.

    Raises:
        ModelMissing: a weight file is not where DeepFace looks for it.
        ValueError: DeepFace is not installed, its engine is TensorFlow, or it has no such detector.
    """
    if not 1 <= batch <= 1024:
        raise ValueError(f"{batch=} must lie within 1..1024")
    os.environ.setdefault(ENGINE, "onnx")  # DeepFace would take the first of TensorFlow and PyTorch that is installed
    try:
        import deepface
        from deepface.commons import backend_utils, folder_utils
        from deepface.modules import modeling
    except ImportError as error:
        raise ValueError(
            f"estimates need DeepFace ({error}); install it with: pip install 'equime[attributes]'"
        ) from error
    engine = backend_utils.get_backend_engine()
    if engine not in ENGINES:
        raise ValueError(f"${ENGINE}={engine} must be one of {', '.join(ENGINES)}")
    _check_weights(engine)
    folder_utils.initialize_folder()
    names = {"age": "Age", "gender": "Gender", "race": "Race", "expression": "Emotion"}
    try:
        networks = {ours: modeling.build_model("facial_attribute", theirs) for ours, theirs in names.items()}
    except (ValueError, OSError) as error:
        raise ModelMissing(f"DeepFace cannot load its weights: {' '.join(str(error).split())}") from error
    how = engine if detector == LANDMARKS else f"{engine}, {detector}"
    return DeepFaceEstimator(f"DeepFace {deepface.__version__} ({how})", batch, networks, _finder(detector))


def _check_weights(engine: str) -> None:
    """Refuse to begin where DeepFace would download: what is fetched is asked for, by `equime models`."""
    for name in WEIGHTS:
        model = MODELS[f"deepface-{name}"]
        if engine == "onnx":
            find_model(model.name)
            continue
        file = model.file.removesuffix(ENGINES["onnx"]) + ENGINES[engine]
        other = replace(model, file=file, url=model.url.replace(model.file, file))
        _, path = places(other)[-1]
        if not path.is_file():
            raise ModelMissing(f"{model.feature} need {other}, which is not at {path}; get it from {other.url}")


def _finder(detector: str) -> Callable[[Face], Input | None]:
    from deepface.modules import modeling, preprocessing
    from deepface.modules.exceptions import FaceNotDetected, UnimplementedError

    def prepared(bgr: NDArray[Any]) -> Input:
        return np.asarray(preprocessing.resize_image(img=bgr, target_size=INPUT)[0], np.float32)

    if detector in (LANDMARKS, WHOLE):
        cut_out = outlined if detector == LANDMARKS else (lambda face: face.image)
        return lambda face: prepared(cut_out(face)[:, :, ::-1] / 255)
    try:
        modeling.build_model("face_detector", detector)
    except UnimplementedError:
        known = (LANDMARKS, WHOLE, *modeling.AVAILABLE_MODELS["face_detector"])
        raise ValueError(f"detector {detector!r} must be one of {', '.join(known)}") from None
    except (ValueError, ImportError, OSError) as error:
        raise ModelMissing(f"detector {detector} of DeepFace: {' '.join(str(error).split())}") from error

    def detected(face: Face) -> Input | None:
        from deepface.modules.detection import extract_faces

        try:
            found = extract_faces(np.ascontiguousarray(face.image[:, :, ::-1]), detector_backend=detector)
        except FaceNotDetected:
            return None
        largest = max(found, key=lambda each: each["facial_area"]["w"] * each["facial_area"]["h"])
        return prepared(largest["face"][:, :, ::-1])

    return detected


def outlined(face: Face) -> Picture:
    """The face turned so that the eyes are level, cut along its outline: what DeepFace's detectors give.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    right, left = (face.landmarks[index].astype(np.float64) for index in IRISES)
    dx, dy = left - right
    center = (right + left) / 2
    turn = cv2.getRotationMatrix2D((float(center[0]), float(center[1])), float(np.degrees(np.arctan2(dy, dx))), 1.0)
    height, width = face.image.shape[:2]
    level = cv2.warpAffine(face.image, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    points = face.landmarks[list(FACE_OVAL)] @ turn[:, :2].T + turn[:, 2]
    (x0, y0), (x1, y1) = np.floor(points.min(axis=0)).astype(int), np.ceil(points.max(axis=0)).astype(int)
    return np.asarray(level[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)], np.uint8)


def _asked(network: Any, stack: Input) -> NDArray[np.float64]:
    """Answers (faces, values) of a network; a graph that was exported for a single face is asked for each."""
    size = network.model.get_inputs()[0].shape[0] if hasattr(network.model, "get_inputs") else None
    parts = np.split(stack, len(stack)) if size == 1 else [stack]
    # A single face loses its axis in DeepFace.
    return np.concatenate(
        [np.reshape(np.asarray(network.predict(part), np.float64), (len(part), -1)) for part in parts]
    )


def _shares(rows: NDArray[np.float64], words: Sequence[str]) -> list[dict[str, float]]:
    """Rows of probabilities by word, each adding up to 1."""
    rows = rows / rows.sum(axis=1, keepdims=True)
    return [dict(zip(words, (float(value) for value in row), strict=True)) for row in rows]
