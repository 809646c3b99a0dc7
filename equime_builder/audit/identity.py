"""Whether the clip shows the portrait's face."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_builder.audit.regions import Points
from equime_builder.landmarks import inter_ocular


class Embedder(Protocol):
    """A face recognition model: the face as `aligned` cuts it, (112, 112, 3) uint8 RGB, to a vector (N,)."""

    def __call__(self, face: NDArray[np.uint8], /) -> NDArray[np.float32]: ...


# Where SFace, like ArcFace, expects five points of the face on its picture: eyes, nose, corners of the mouth.
FACE_SIZE = 112
FACE_POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)


def open_embedder(model: Path) -> Embedder:
    """SFace (Zhong et al. 2021) through OpenCV.

    Raises:
        ValueError: the file is no such network.
    """
    try:
        recognizer = cv2.FaceRecognizerSF.create(str(model), "")
    except cv2.error as error:
        raise ValueError(f"{model}: is no network that OpenCV reads") from error

    def embed(face: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.array(recognizer.feature(np.ascontiguousarray(face[:, :, ::-1])), np.float32).reshape(-1)

    return embed


def aligned(picture: NDArray[np.uint8], points: Points) -> NDArray[np.uint8]:
    """The face cut out of an RGB picture (H, W, 3) as an embedder takes it: (112, 112, 3) uint8.

    Args:
        points: its landmarks (478, 2), px.
    """
    corners = np.stack([points[468], points[473], points[4], points[61], points[291]]).astype(np.float32)
    matrix, _ = cv2.estimateAffinePartial2D(corners, FACE_POINTS, method=cv2.LMEDS)
    return np.asarray(cv2.warpAffine(picture, matrix, (FACE_SIZE, FACE_SIZE)), np.uint8)


def similarity(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Cosine similarity of two embeddings, -1 to 1; 0 where one is null."""
    product = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / product if product else 0.0


def shape_distance(one: Points, other: Points) -> float:
    """Distance of two faces' landmarks (478, 2) after shift, turn and scale are taken out, in IOD of the first.

    Ordinary Procrustes analysis over the 468 points of the skin (irises move with the gaze); root mean square.
    """
    a, b = (points[:468].astype(np.float64) for points in (one, other))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    u, values, v = np.linalg.svd(b.T @ a)
    turn = u @ np.diag([1.0, np.sign(np.linalg.det(u @ v))]) @ v
    scale = float(values @ [1.0, np.sign(np.linalg.det(u @ v))]) / max(float((b**2).sum()), 1e-12)
    return float(np.sqrt(((a - scale * b @ turn) ** 2).sum(axis=1).mean())) / max(inter_ocular(one), 1e-9)
