"""Whether the head is still."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from equime_builder.audit.regions import Points
from equime_builder.landmarks import EYE_OUTER, inter_ocular

SKIN = slice(468)  # landmarks without the irises, which move with the gaze


def head_drift(frames: Iterable[Points], rest: Points) -> float:
    """How far the head slides, tilts or comes nearer: 95th percentile over frames, IOD.

    In each frame it is the way of the outer eye corner that goes further under the shift, turn and scale that carry
    most of the face along (least median of squares, Rousseeuw 1984): a tilt by 4 degrees or a face 7% nearer takes it
    0.05 IOD. What an expression or a blink moves is the smaller part of the landmarks, and does not count.

    Args:
        frames: landmarks (478, 2) px, at least one. rest: of the neutral face.
    """
    corners, skin = rest[list(EYE_OUTER)].astype(np.float64), np.ascontiguousarray(rest[SKIN])
    ways = []
    for points in frames:
        matrix, _ = cv2.estimateAffinePartial2D(skin, np.ascontiguousarray(points[SKIN]), method=cv2.LMEDS)
        ways.append(np.linalg.norm(corners @ matrix[:, :2].T + matrix[:, 2] - corners, axis=1).max())
    return float(np.percentile(ways, 95) / inter_ocular(rest))
