"""From parameters to a picture and its exact landmarks."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_builder.sources.procedural.beard import paint_beard
from equime_builder.sources.procedural.body import backdrop, paint_body, paint_ears
from equime_builder.sources.procedural.canvas import Frame, blend, developed, filled, softened
from equime_builder.sources.procedural.eyes import paint_eyes
from equime_builder.sources.procedural.features import paint_brows, paint_mouth, paint_nose
from equime_builder.sources.procedural.flows import skull_polygon
from equime_builder.sources.procedural.geometry import OVAL, Array, landmarks_of, posed, smooth_curve
from equime_builder.sources.procedural.hair import paint_hair, paint_hair_behind
from equime_builder.sources.procedural.head import head_field
from equime_builder.sources.procedural.parameters import FaceParameters
from equime_builder.sources.procedural.scarf import paint_scarf
from equime_builder.sources.procedural.skin import face_skin
from equime_builder.sources.procedural.tables import HAIR_STYLES

MIN_SIZE, MAX_SIZE = 64, 2048
SUPERSAMPLING = 2


def render_face(params: FaceParameters, *, size: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Paint one face.

    Returns RGB uint8 (size, size, 3) and the drawn landmarks float32 (478, 3) in pixels: MediaPipe FaceLandmarker's
    topology, x right, y down, z away from the viewer in the same scale, pixel centers at halves. `size` is 64..2048;
    otherwise ValueError. Same parameters and size, same bytes.
    """
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"size is {size}; expected {MIN_SIZE}..{MAX_SIZE}")
    large = size * SUPERSAMPLING
    face = landmarks_of(params.shape)
    frame = Frame(posed(face, params.pose, size=large), params.pose, large)
    picture = _painted(params, frame)
    small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    small = developed(small)
    noise = _streams(params, "sensor").standard_normal((size, size, 1), dtype=np.float32)
    pixels = np.clip(small * 255 + 0.9 * noise + 0.5, 0, 255).astype(np.uint8)
    return pixels, (frame.landmarks / SUPERSAMPLING).astype(np.float32)


_STREAMS = ("sensor", "backdrop", "behind", "body", "skin", "mouth", "brows", "eyes", "beard", "hair")


def _streams(params: FaceParameters, name: str) -> np.random.Generator:
    """Return the random stream of one layer: layers do not shift each other's draws."""
    return np.random.default_rng([params.seed, params.age, _STREAMS.index(name)])


def _painted(params: FaceParameters, frame: Frame) -> Array:
    """Return the picture at its supersampled size, sRGB float32, back to front."""
    half = replace(frame, landmarks=frame.landmarks / 2, size=frame.size // 2)
    head = head_field(half.landmarks, params.pose, size=half.size)
    picture = backdrop(params.scene, _streams(params, "backdrop"), size=frame.size)
    paint_hair_behind(picture, params, frame, _streams(params, "behind"))
    paint_body(picture, params, frame, _streams(params, "body"))
    covered = HAIR_STYLES[params.hair.style].flow == "scarf"
    if not covered:
        paint_ears(picture, params, frame)
    skin = cv2.resize(face_skin(params, half, head, _streams(params, "skin")), (frame.size, frame.size))
    oval = smooth_curve(frame.points((*OVAL, OVAL[0])), samples=160)
    blend(picture, softened(filled([oval, skull_polygon(frame)], size=frame.size), 0.8), skin)
    paint_nose(picture, params, frame)
    paint_mouth(picture, params, frame, _streams(params, "mouth"))
    paint_beard(picture, params, frame, head, _streams(params, "beard"))
    paint_eyes(picture, params, frame, _streams(params, "eyes"))
    paint_brows(picture, params, frame, _streams(params, "brows"))
    paint_head_cover = paint_scarf if covered else paint_hair
    paint_head_cover(picture, params, frame, _streams(params, "hair"))
    return picture
