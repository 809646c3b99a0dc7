"""From shape coefficients to the 478 landmarks of a face.

Everything here is in face units: the distance between the iris centers is 1, the origin lies midway between them,
x to the right of the picture, y down, z away from the viewer. The neutral template is an average of measured
FaceLandmarker landmarks (`scripts/measure_face_template.py`); the named coefficients move its regions smoothly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

LANDMARKS = 478
IRIS_RADIUS = 0.098  # 11.8 mm visible iris over a 62 mm distance (anthropometric averages)

# MediaPipe face mesh contours. "right" is the subject's right: the left side of the picture.
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
JAW = (
    127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356,
)  # fmt: skip
LIP_OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LIP_OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
LIP_INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIP_INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)


@dataclass(frozen=True)
class Side:
    """Landmark numbers of the features that exist twice, each running from the temple toward the nose."""

    sign: int
    upper_lid: tuple[int, ...]
    lower_lid: tuple[int, ...]
    crease: tuple[int, ...]
    bag: tuple[int, ...]
    brow_top: tuple[int, ...]
    brow_bottom: tuple[int, ...]
    iris: tuple[int, ...]  # center, then image right, top, image left, bottom
    nostril: tuple[int, ...]
    wing: tuple[int, ...]
    fold: tuple[int, ...]


RIGHT = Side(
    sign=-1,
    upper_lid=(33, 246, 161, 160, 159, 158, 157, 173, 133),
    lower_lid=(33, 7, 163, 144, 145, 153, 154, 155, 133),
    crease=(130, 247, 30, 29, 27, 28, 56, 190, 243),
    bag=(31, 228, 229, 230, 231, 232, 233),
    brow_top=(70, 63, 105, 66, 107),
    brow_bottom=(46, 53, 52, 65, 55),
    iris=(468, 469, 470, 471, 472),
    nostril=(75, 166, 79, 238, 20, 60),
    wing=(209, 49, 102, 129, 64, 98),
    fold=(129, 203, 206, 216, 212),
)
LEFT = Side(
    sign=1,
    upper_lid=(263, 466, 388, 387, 386, 385, 384, 398, 362),
    lower_lid=(263, 249, 390, 373, 374, 380, 381, 382, 362),
    crease=(359, 467, 260, 259, 257, 258, 286, 414, 463),
    bag=(261, 448, 449, 450, 451, 452, 453),
    brow_top=(300, 293, 334, 296, 336),
    brow_bottom=(276, 283, 282, 295, 285),
    iris=(473, 474, 475, 476, 477),
    nostril=(305, 392, 309, 458, 250, 290),
    wing=(429, 279, 331, 358, 294, 327),
    fold=(358, 423, 426, 436, 432),
)
SIDES = (RIGHT, LEFT)


@dataclass(frozen=True)
class Shape:
    """Shape coefficients: deviations from the template, about -2.5..2.5, in standard deviations of variation."""

    face_width: float = 0.0
    jaw_width: float = 0.0
    chin_width: float = 0.0
    chin_length: float = 0.0
    cheekbones: float = 0.0
    fullness: float = 0.0
    jowls: float = 0.0
    forehead: float = 0.0
    eye_size: float = 0.0
    eye_opening: float = 0.0
    eye_tilt: float = 0.0
    lid_hood: float = 0.0
    brow_height: float = 0.0
    brow_tilt: float = 0.0
    brow_arch: float = 0.0
    brow_ridge: float = 0.0
    nose_width: float = 0.0
    nose_length: float = 0.0
    nose_depth: float = 0.0
    philtrum: float = 0.0
    mouth_width: float = 0.0
    mouth_corners: float = 0.0
    upper_lip: float = 0.0
    lower_lip: float = 0.0
    measured: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    asymmetry: tuple[float, ...] = (0.0,) * 8


@lru_cache(maxsize=1)
def template() -> tuple[Array, Array]:
    """Return the neutral mean, float32 (478, 3), and the measured variation modes, float32 (modes, 478, 3)."""
    with files(__package__).joinpath("face_template.npz").open("rb") as stream:
        data = np.load(stream, allow_pickle=False)
        return data["mean"], data["modes"]


def ramp(value: Array, low: float, high: float) -> Array:
    """Return the smooth step from 0 at `low` to 1 at `high`, elementwise."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=np.float32)


def bump(points: Array, x: float, y: float, width: float, height: float) -> Array:
    """Return a two-dimensional Gaussian of unit peak at (x, y), evaluated at `points` (N, 2 or 3)."""
    exponent = ((points[:, 0] - x) / width) ** 2 + ((points[:, 1] - y) / height) ** 2
    return np.asarray(np.exp(-0.5 * exponent), dtype=np.float32)


def landmarks_of(shape: Shape) -> Array:
    """Return the frontal face of `shape`, float32 (478, 3), face units, iris distance 1."""
    mean, modes = template()
    face = mean + np.tensordot(np.asarray(shape.measured, np.float32), modes[: len(shape.measured)], axes=1)
    face = _outline(face, mean, shape)
    face = _nose_and_mouth(face, mean, shape)
    face = _eyes_and_brows(face, mean, shape)
    face = _asymmetric(face, mean, shape)
    face = _closed(face)
    irises = face[[468, 473]]
    face = (face - irises.mean(0)) / np.linalg.norm(irises[1, :2] - irises[0, :2])
    return _with_round_irises(face)


def _outline(face: Array, mean: Array, shape: Shape) -> Array:
    x, y = mean[:, 0], mean[:, 1]
    side, out = np.abs(x), face.copy()
    lateral = ramp(side, 0.42, 1.05)
    grow = 0.040 * shape.face_width * lateral
    grow += 0.038 * shape.jaw_width * ramp(y, 0.45, 1.2) * ramp(side, 0.25, 0.8)
    grow += 0.10 * shape.chin_width * np.exp(-(((y - 1.58) / 0.22) ** 2))
    grow += 0.030 * shape.cheekbones * lateral * np.exp(-(((y - 0.35) / 0.3) ** 2))
    grow += 0.035 * shape.fullness * ramp(side, 0.3, 0.85) * np.exp(-(((y - 0.95) / 0.38) ** 2))
    jowl = ramp(side, 0.3, 0.62) * np.exp(-(((y - 1.33) / 0.22) ** 2))
    grow += 0.026 * shape.jowls * jowl
    out[:, 0] *= 1.0 + grow
    out[:, 1] += 0.065 * shape.chin_length * ramp(y, 1.15, 1.66) + 0.015 * shape.jowls * jowl
    out[:, 1] -= 0.050 * shape.forehead * ramp(-y, 0.4, 0.87)
    out[:, 2] -= 0.05 * shape.cheekbones * bump(np.abs(mean), 0.66, 0.42, 0.2, 0.16)
    out[:, 2] -= 0.04 * shape.fullness * bump(np.abs(mean), 0.55, 0.85, 0.25, 0.3)
    return out


def _nose_and_mouth(face: Array, mean: Array, shape: Shape) -> Array:
    x, y = mean[:, 0], mean[:, 1]
    out = face.copy()
    nose = bump(mean, 0.0, 0.60, 0.26, 0.17)
    out[:, 0] *= 1.0 + 0.095 * shape.nose_width * nose
    out[:, 1] += 0.050 * shape.nose_length * ramp(y, 0.05, 0.62)
    ridge = bump(mean, 0.0, 0.40, 0.10, 0.30)
    out[:, 2] -= 0.05 * shape.nose_depth * ridge
    out[:, 1] += 0.028 * shape.philtrum * ramp(y, 0.74, 0.92)
    mouth = bump(mean, 0.0, 1.05, 0.36, 0.16)
    out[:, 0] *= 1.0 + 0.070 * shape.mouth_width * mouth
    out[:, 1] -= 0.010 * shape.mouth_corners * bump(np.abs(mean), 0.36, 1.05, 0.12, 0.10)
    line = float(mean[[13, 14], 1].mean())
    reach = np.exp(-((x / 0.33) ** 4))
    over = np.where(y < line, ramp(line - y, 0.0, 0.11) * np.exp(-((np.maximum(line - y - 0.13, 0) / 0.05) ** 2)), 0.0)
    under = np.where(y > line, ramp(y - line, 0.0, 0.14) * np.exp(-((np.maximum(y - line - 0.17, 0) / 0.06) ** 2)), 0.0)
    out[:, 1] += reach * (0.026 * shape.lower_lip * under - 0.022 * shape.upper_lip * over)
    out[:, 2] -= reach * 0.02 * (shape.lower_lip * under + shape.upper_lip * over)
    return np.asarray(out, dtype=np.float32)


def _eyes_and_brows(face: Array, mean: Array, shape: Shape) -> Array:
    out = face.copy()
    for side in SIDES:
        center = mean[[side.upper_lid[0], side.upper_lid[-1]]].mean(0)
        offset = mean[:, :2] - center[:2]
        near = np.exp(-(((offset[:, 0] / 0.36) ** 2 + (offset[:, 1] / 0.20) ** 2) ** 2))
        angle = np.radians(2.3) * shape.eye_tilt * side.sign
        out[:, 0] += near * 0.050 * shape.eye_size * offset[:, 0]
        out[:, 1] += near * ((0.05 * shape.eye_size + 0.075 * shape.eye_opening) * offset[:, 1])
        out[:, 1] -= near * angle * offset[:, 0]
        brow = bump(mean, side.sign * 0.52, -0.36, 0.36, 0.13)
        across = (side.sign * mean[:, 0] - 0.52) / 0.36  # -1 at the nose, 1 at the temple
        arch = np.exp(-(((across - 0.15) / 0.45) ** 2))
        out[:, 1] -= brow * (0.032 * shape.brow_height + 0.020 * shape.brow_tilt * across)
        out[:, 1] -= brow * 0.028 * shape.brow_arch * (arch - 0.5)
    out[:, 2] -= (
        0.035 * shape.brow_ridge * np.exp(-(((mean[:, 1] + 0.3) / 0.1) ** 2)) * np.exp(-((mean[:, 0] / 0.75) ** 4))
    )
    return np.asarray(out, dtype=np.float32)


def _closed(face: Array) -> Array:
    """Return the face with its inner lip contours together: measured modes carry some parting of the lips."""
    upper, lower = list(LIP_INNER_UPPER[1:-1]), list(LIP_INNER_LOWER[1:-1])
    middle = (face[upper, :2] + face[lower, :2]) / 2
    half = np.clip((face[lower, 1] - face[upper, 1]) / 2, 0.002, 0.006)
    out = face.copy()
    out[upper, 0], out[upper, 1] = middle[:, 0], middle[:, 1] - half
    out[lower, 0], out[lower, 1] = middle[:, 0], middle[:, 1] + half
    return out


_ASYMMETRY_SITES = (
    (-0.5, -0.36, 0.3, 0.12, 1), (0.5, -0.36, 0.3, 0.12, 1), (-0.5, 0.0, 0.3, 0.14, 1), (0.33, 1.04, 0.25, 0.15, 1),
    (0.0, 0.6, 0.3, 0.3, 0), (0.0, 1.05, 0.4, 0.25, 0), (0.0, 1.6, 0.4, 0.35, 0), (-0.9, 0.9, 0.3, 0.6, 0),
)  # fmt: skip


def _asymmetric(face: Array, mean: Array, shape: Shape) -> Array:
    out = face.copy()
    for amount, (x, y, width, height, axis) in zip(shape.asymmetry, _ASYMMETRY_SITES, strict=True):
        out[:, axis] += 0.010 * amount * bump(mean, x, y, width, height)
    return out


def _with_round_irises(face: Array) -> Array:
    out = face.copy()
    for side in SIDES:
        center = out[side.iris[0]]
        ring = np.array([[1, 0], [0, -1], [-1, 0], [0, 1]], np.float32) * IRIS_RADIUS
        out[list(side.iris[1:]), :2] = center[:2] + ring
        out[list(side.iris[1:]), 2] = center[2]
    return out


@dataclass(frozen=True)
class Pose:
    """Where and how the head is held: degrees, and fractions of the picture's size."""

    yaw: float
    pitch: float
    roll: float
    iris_distance: float
    x: float
    y: float


def posed(points: Array, pose: Pose, *, size: float) -> Array:
    """Return face-unit points (N, 3) rotated and projected orthographically, in pixels of a picture of `size`."""
    yaw, pitch, roll = np.radians((pose.yaw, pose.pitch, pose.roll))
    turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    nod = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    tilt = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    turned = points @ (tilt @ nod @ turn).T.astype(np.float32) * np.float32(pose.iris_distance * size)
    return np.asarray(turned + np.array([pose.x * size, pose.y * size, 0.0], np.float32), dtype=np.float32)


def smooth_curve(points: Array, *, samples: int) -> Array:
    """Return a Catmull-Rom curve through `points` (N, 2), float32 (samples, 2)."""
    return np.asarray(_catmull_rom(len(points), samples) @ points, dtype=np.float32)


@lru_cache(maxsize=256)
def _catmull_rom(count: int, samples: int) -> Array:
    """Return the curve's dependence on its points, (samples, count); the ends continue straight."""
    t = np.linspace(0, count - 1, samples)
    i = np.minimum(t.astype(int), count - 2)
    f = t - i
    share = (-f + 2 * f**2 - f**3, 2 - 5 * f**2 + 3 * f**3, f + 4 * f**2 - 3 * f**3, f**3 - f**2)
    padded = np.zeros((samples, count + 2))
    for k, part in enumerate(share):
        padded[np.arange(samples), i + k] += part / 2
    basis = padded[:, 1:-1]
    basis[:, 0] += 2 * padded[:, 0]
    basis[:, 1] -= padded[:, 0]
    basis[:, -1] += 2 * padded[:, -1]
    basis[:, -2] -= padded[:, -1]
    basis.setflags(write=False)
    return basis
