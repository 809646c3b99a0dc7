"""Where in a face each AU shows: regions around landmarks.

Landmark numbers are those of FaceLandmarker's 478-point mesh; lengths are fractions of the inter-ocular distance (IOD).
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_builder.landmarks import EYE_RINGS, FACE_OVAL, inter_ocular

Points = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Features of the subject's right and left half (the mouth and the chin are one).
FEATURES: dict[str, tuple[tuple[int, ...], ...]] = {
    "brows": (
        (70, 63, 105, 66, 107, 46, 53, 52, 65, 55, 9, 8, 108, 69, 104, 68),
        (300, 293, 334, 296, 336, 276, 283, 282, 295, 285, 9, 8, 337, 299, 333, 298),
    ),
    "eyes": ((*EYE_RINGS[0], 110, 228, 230, 232), (*EYE_RINGS[1], 339, 448, 450, 452)),
    "cheeks": ((50, 101, 118, 117, 123, 205, 36), (280, 330, 347, 346, 352, 425, 266)),
    "nose": ((129, 203, 98, 48, 64, 193, 122, 168), (358, 423, 327, 278, 294, 417, 351, 168)),
    "mouth": ((61, 0, 17, 13, 14, 37, 40, 84, 91, 57, 186, 43, 164, 18), (291, 0, 17, 13, 14, 267, 270, 314, 321, 287,
              410, 273, 164, 18)),
    "chin": ((152, 175, 199, 208, 171, 148, 176), (152, 175, 199, 428, 396, 377, 400)),
}  # fmt: skip
SHOWS: dict[int, tuple[str, ...]] = {
    **dict.fromkeys((1, 2, 4), ("brows",)),
    **dict.fromkeys((5, 7), ("eyes",)),
    6: ("eyes", "cheeks"),
    9: ("brows", "nose", "mouth"),
    10: ("nose", "mouth"),
    **dict.fromkeys((12, 14, 15, 20, 23, 24, 25), ("mouth",)),
    **dict.fromkeys((17, 26), ("mouth", "chin")),
}
LID_AUS = frozenset(au for au, names in SHOWS.items() if "eyes" in names)
MARGIN, LID_MARGIN = 0.12, 0.08  # IOD around the landmarks


def _hulls(points: Points, rings: Iterable[Iterable[int]], size: tuple[int, int], margin: float) -> NDArray[np.uint8]:
    mask = np.zeros(size, np.uint8)
    for ring in rings:
        hull = cv2.convexHull(np.round(points[list(ring)]).astype(np.int32))
        cv2.fillConvexPoly(mask, hull, 1)
    width = 2 * round(margin * inter_ocular(points)) + 1
    return np.asarray(cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))), np.uint8)


def face(points: Points, size: tuple[int, int]) -> Mask:
    """(H, W): inside the outline of the face."""
    return _hulls(points, (FACE_OVAL,), size, 0.0) > 0


def lids(points: Points, size: tuple[int, int]) -> Mask:
    """(H, W): where a blink shows."""
    return _hulls(points, EYE_RINGS, size, LID_MARGIN) > 0


def shown(points: Points, aus: Iterable[int], size: tuple[int, int]) -> Mask:
    """(H, W): where the AUs show; without the lids, unless one of the AUs moves them."""
    aus = tuple(aus)
    rings = [ring for name in sorted({name for au in aus for name in SHOWS[au]}) for ring in FEATURES[name]]
    mask = _hulls(points, rings, size, MARGIN) > 0
    return mask if LID_AUS & set(aus) else mask & ~lids(points, size)
