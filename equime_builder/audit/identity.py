"""Whether the clip shows the portrait's face."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from equime_builder.audit.regions import Points


class Embedder(Protocol):
    """A face recognition model: an RGB picture (H, W, 3) uint8 of one face to a vector (N,)."""

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]: ...


def similarity(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Cosine similarity of two embeddings, -1 to 1; 0 where one is null."""
    product = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / product if product else 0.0


def shape_distance(one: Points, other: Points) -> float:
    """Distance of two faces' landmarks (478, 2) after shift, turn and scale are taken out, in IOD of the first.

    Ordinary Procrustes analysis over the 468 points of the skin (irises move with the gaze); root mean square.
    """
    a, b = (points[:468].astype(np.float64) for points in (one, other))
    unit = float(np.linalg.norm(a[[33, 133]].mean(axis=0) - a[[362, 263]].mean(axis=0)))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    u, values, v = np.linalg.svd(b.T @ a)
    turn = u @ np.diag([1.0, np.sign(np.linalg.det(u @ v))]) @ v
    scale = float(values @ [1.0, np.sign(np.linalg.det(u @ v))]) / max(float((b**2).sum()), 1e-12)
    return float(np.sqrt(((a - scale * b @ turn) ** 2).sum(axis=1).mean())) / max(unit, 1e-9)
