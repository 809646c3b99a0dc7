"""What is measured in a cut-out face. All functions are pure.

What covers a face is told by three signs, since the landmark model invents the landmarks that it cannot see: the mesh
changes when the picture is mirrored, the lips lose their color against the skin around them, or one cheek has edges
that the other has not.

Everywhere: `face` (S, S, 3) uint8 RGB, a square cut by `landmarks.cut`; `points` (478, 2) float32 in its pixels.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_builder.landmarks import (
    CHEEKS,
    EYE_RINGS,
    FACE_OVAL,
    INNER_LIPS,
    LIDS,
    LIPS,
    LOWER_CHEEKS,
    Detection,
    inter_ocular,
)

Picture = NDArray[np.uint8]
Points = NDArray[np.float32]
DARKEST_CHEEK = 20.0  # gray levels: in the dark, noise would read as edges


def lid_gap(points: Points) -> float:
    """Opening of the more closed eye, in IOD."""
    gaps = (float(np.linalg.norm(points[upper] - points[lower])) for upper, lower in LIDS)
    return min(gaps) / inter_ocular(points)


def lip_gap(points: Points) -> float:
    """Distance of the inner lips, in IOD."""
    return float(np.linalg.norm(points[INNER_LIPS[0]] - points[INNER_LIPS[1]])) / inter_ocular(points)


def outside(points: Points, size: int) -> float:
    """How far the face's outline leaves the square, as a share of its side; 0 or less within it."""
    hidden = points[list(FACE_OVAL)]
    return float(max(-hidden.min(), hidden.max() - size)) / size


def eyes(face: Picture, points: Points) -> list[tuple[float, float] | None]:
    """Right and left eye: brightness of its bright parts (90th percentile) against the cheek, and their contrast.

    Contrast is the difference of the 90th and the 10th percentile by the 90th. None where an eye or cheek has no pixel.
    """
    gray = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32)
    found: list[tuple[float, float] | None] = []
    for ring, cheek in zip(EYE_RINGS, CHEEKS, strict=True):
        eye = gray[_inside(face, points, ring) > 0]
        skin = gray[_disc(face, points, cheek, 0.12 * inter_ocular(points)) > 0]
        if not (eye.size and skin.size):
            found.append(None)
            continue
        bright, dark = (float(level) for level in np.percentile(eye, (90, 10)))
        light, contrast = bright / max(float(np.median(skin)), 1e-3), (bright - dark) / max(bright, 1e-3)
        found.append((light, contrast))
    return found


def lip_color(face: Picture, points: Points) -> float:
    """CIELAB distance (8-bit scale) between the lips and the skin around them."""
    lab = cv2.cvtColor(face, cv2.COLOR_RGB2LAB).astype(np.float32)
    lips = _inside(face, points, LIPS)
    thick = round(0.1 * inter_ocular(points)) * 2 + 1
    ring = cv2.dilate(lips, np.ones((thick, thick), np.uint8)) - cv2.dilate(lips, np.ones((5, 5), np.uint8))
    if not lips.any() or not ring.any():
        return 0.0
    return float(np.linalg.norm(np.median(lab[lips > 0], axis=0) - np.median(lab[ring > 0], axis=0)))


def cheek_edges(face: Picture, points: Points) -> list[tuple[float, float] | None]:
    """Upper and lower cheeks: strong edges (90th percentile of the gradient, by brightness) of the right and left one.

    None where a cheek has no pixel.
    """
    gray = cv2.GaussianBlur(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.0)
    gradient = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(gray, cv2.CV_32F, 0, 1, scale=1 / 8))
    found: list[tuple[float, float] | None] = []
    for pair in (CHEEKS, LOWER_CHEEKS):
        discs = [_disc(face, points, landmark, 0.2 * inter_ocular(points)) > 0 for landmark in pair]
        if not all(disc.any() for disc in discs):
            found.append(None)
            continue
        right, left = (
            float(np.percentile(gradient[disc], 90) / max(DARKEST_CHEEK, np.median(gray[disc]))) for disc in discs
        )
        found.append((right, left))
    return found


def mirror_shift(detection: Detection, mirrored: Detection, width: int) -> float:
    """Disagreement between a face and its mirror image, in IOD (99th percentile over the landmarks)."""
    back = mirrored.landmarks * np.array([-1, 1], np.float32) + np.array([width - 1, 0], np.float32)
    distances = np.linalg.norm(detection.landmarks[:, None] - back[None], axis=2).min(axis=1)
    return float(np.percentile(distances, 99) / detection.iod)


def sharpness(face: Picture, points: Points) -> float:
    """Variance of the Laplacian inside the face's outline by the variance of brightness there.

    The variance of the Laplacian is the usual measure of focus (Pech-Pacheco et al., ICPR 2000); divided, it does not
    depend on exposure and contrast.
    """
    gray = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32)
    inside = _inside(face, points, FACE_OVAL) > 0
    if not inside.any():
        return 0.0
    return float(np.var(cv2.Laplacian(gray, cv2.CV_32F)[inside]) / max(float(np.var(gray[inside])), 1e-3))


def _inside(face: Picture, points: Points, ring: tuple[int, ...]) -> Picture:
    mask = np.zeros(face.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(points[list(ring)]).astype(np.int32)], 1)
    return mask


def _disc(face: Picture, points: Points, landmark: int, radius: float) -> Picture:
    mask = np.zeros(face.shape[:2], np.uint8)
    center = (round(float(points[landmark][0])), round(float(points[landmark][1])))
    cv2.circle(mask, center, max(2, round(radius)), 1, -1)
    return mask
