#!/usr/bin/env python3
"""Measure the neutral face template that the procedural portraits are built on.

Reads a folder of portraits and the FaceLandmarker bundle, writes averages and a few variation modes only.

Needs the `faces` extra (mediapipe). Coordinates of the result: units of the distance between the iris centers,
origin midway between them, x right, y down, z away from the viewer.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import door
import numpy as np
from door import File, Folder, Target
from numpy.typing import NDArray

Array = NDArray[np.float64]

CANONICAL_MEMBER = "geometry_pipeline_metadata_landmarks.binarypb"
MESH, WITH_IRISES = 468, 478
IRIS_PAIRS = (
    (468, 473),
    (469, 476),
    (470, 475),
    (471, 474),
    (472, 477),
)  # 469 and 474 lie on the same image side
INNER_LIPS = (
    (191, 95), (80, 88), (81, 178), (82, 87), (13, 14), (312, 317), (311, 402), (310, 318), (415, 324),
)  # fmt: skip
MODES = 4
RIDGE = 0.15  # of the expression regression: twelve portraits do not carry a free fit


def protobuf_fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Yield (field number, value) of one protobuf message; nested messages stay bytes."""

    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = data[at]
            value |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                return value, at

    at = 0
    while at < len(data):
        tag, at = varint(at)
        wire = tag & 7
        if wire == 0:
            number, at = varint(at)
            yield tag >> 3, number
            continue
        length = {1: 8, 5: 4}.get(wire)
        if length is None:
            length, at = varint(at)
        yield tag >> 3, data[at : at + length]
        at += length


def canonical_mesh(bundle: Path) -> Array:
    """Return the bundle's canonical face model, float64 (468, 3), x right, y down, z away from the viewer."""
    with zipfile.ZipFile(bundle) as archive:
        metadata = archive.read(CANONICAL_MEMBER)
    mesh = next(v for number, v in protobuf_fields(metadata) if number == 1 and isinstance(v, bytes))
    floats = [struct.unpack("<f", v)[0] for number, v in protobuf_fields(mesh) if number == 3 and isinstance(v, bytes)]
    vertices = np.array(floats).reshape(-1, 5)[:, :3]  # position and texture coordinate of each vertex
    return vertices * (1.0, -1.0, -1.0)


def detections(folder: Path, bundle: Path) -> tuple[Array, Array]:
    """Return landmarks (portraits, 478, 3) in pixels and expression scores (portraits, 4) in 0..1."""
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(bundle)), output_face_blendshapes=True
    )
    shapes, scores = [], []
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        for path in sorted(folder.glob("*.png")):
            pixels = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            found = landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels))
            if not found.face_landmarks:
                continue
            height, width = pixels.shape[:2]
            shapes.append([(p.x * width, p.y * height, p.z * width) for p in found.face_landmarks[0]])
            named = {c.category_name: c.score for c in found.face_blendshapes[0]}
            pairs = ("mouthSmile", "browDown", "eyeSquint")
            mean = [(named[f"{n}Left"] + named[f"{n}Right"]) / 2 for n in pairs]
            scores.append([mean[0], named["jawOpen"] + named["mouthUpperUpLeft"], mean[1], mean[2]])
    return np.array(shapes), np.array(scores)


def aligned(shape: Array, target: Array) -> Array:
    """Return `shape` (N, 3) rotated, scaled and moved onto `target` by its first 468 points (Umeyama 1991)."""
    source = shape[:MESH]
    a, b = source - source.mean(0), target[:MESH] - target[:MESH].mean(0)
    u, s, vt = np.linalg.svd(a.T @ b)
    flip = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * flip) @ vt
    scale = float((s * flip).sum() / (a**2).sum())
    return np.asarray((shape - source.mean(0)) @ rotation * scale + target[:MESH].mean(0))


def mirror_index(canonical: Array) -> NDArray[np.int64]:
    """Return for each of the 478 landmarks its partner on the other side; the canonical mesh is symmetric."""
    reflected = canonical * (-1.0, 1.0, 1.0)
    mesh = np.argmin(((reflected[:, None] - canonical[None]) ** 2).sum(-1), axis=1)
    index = np.concatenate([mesh, np.arange(MESH, WITH_IRISES)])
    for right, left in IRIS_PAIRS:
        index[right], index[left] = left, right
    return np.asarray(index)


def closed_mouth(face: Array) -> Array:
    """Return the face with the inner lip contours brought together, 0.012 of the eye distance apart at most."""
    face = face.copy()
    for upper, lower in INNER_LIPS:
        middle = (face[upper] + face[lower]) / 2
        half = np.clip((face[lower, 1] - face[upper, 1]) / 2, 0.002, 0.006)
        gap = np.array([0.0, half])
        face[upper, :2], face[lower, :2] = middle[:2] - gap, middle[:2] + gap
    return face


def template(shapes: Array, scores: Array, canonical: Array) -> tuple[Array, Array, Array]:
    """Return mean (478, 3), modes (MODES, 478, 3) and their standard deviations (MODES,)."""
    mirror = mirror_index(canonical)
    faces = np.stack([aligned(s, canonical) for s in shapes])
    faces = (faces + faces[:, mirror] * (-1.0, 1.0, 1.0)) / 2
    iris = faces[:, [468, 473]].mean(1, keepdims=True)
    distance = (faces[:, 473, 0] - faces[:, 468, 0])[:, None, None]
    faces = (faces - iris) / distance
    own = np.concatenate([canonical, np.zeros((10, 3))])
    own = (own - iris.mean(0)) / distance.mean()
    own[MESH:] = faces[:, MESH:].mean(0)
    design = np.concatenate([np.ones((len(faces), 1)), scores], axis=1)
    ridge = np.diag([0.0] + [RIDGE] * scores.shape[1])
    weights = np.linalg.solve(design.T @ design + ridge, design.T @ faces.reshape(len(faces), -1))
    fitted = weights[0].reshape(WITH_IRISES, 3)
    neutral = faces - (scores @ weights[1:]).reshape(faces.shape)
    mean = closed_mouth(0.7 * fitted + 0.3 * own)
    residual = (neutral - neutral.mean(0)).reshape(len(faces), -1)
    _, singular, basis = np.linalg.svd(residual, full_matrices=False)
    return mean, basis[:MODES].reshape(MODES, WITH_IRISES, 3), singular[:MODES] / np.sqrt(len(faces) - 1)


def main(portraits: Folder, face_model: File, output: Target) -> None:
    """Measure and write."""
    canonical = canonical_mesh(face_model)
    shapes, scores = detections(portraits, face_model)
    mean, modes, deviations = template(shapes, scores, canonical)
    modes = modes * deviations[:, None, None]
    np.savez_compressed(output, mean=mean.astype(np.float32), modes=modes.astype(np.float32))
    print(f"{len(shapes)} portraits, {MODES} modes, deviations {np.round(deviations, 3)}")


if __name__ == "__main__":
    door.run(main)
