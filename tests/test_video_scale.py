"""Decoded planes to pictures: frames that are converted together give what each gives by itself."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from equime_loader.video.scale import TOGETHER, Converter, yuv_matrix

Planes = tuple[NDArray[np.uint8], ...]


def alone(planes: Planes, matrix: NDArray[np.float32]) -> NDArray[np.uint8]:
    """One frame at its own size: chroma bilinear to the size of luma, then RGB."""
    chroma = [cv2.resize(plane, planes[0].shape[::-1], interpolation=cv2.INTER_LINEAR) for plane in planes[1:]]
    return np.asarray(cv2.transform(cv2.merge([planes[0], *chroma]), matrix), np.uint8)


@given(
    st.integers(1, 2 * TOGETHER + 1),
    st.integers(1, 20),
    st.integers(1, 20),
    st.booleans(),
    st.integers(0, 2**32 - 1),
    st.data(),
)
def test_frames_of_their_own_size(
    count: int, height: int, width: int, whole: bool, seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    size = (2 * height, 2 * width)
    sizes = (size, size, size) if whole else (size, (height, width), (height, width))
    frames: list[Planes] = [tuple(rng.integers(0, 256, each, np.uint8) for each in sizes) for _ in range(count)]
    # Frames of another form are converted elsewhere, and lack.
    lacking = data.draw(st.sets(st.integers(0, count - 1)))
    pictures, matrix = np.full((count, *size, 3), 7, np.uint8), yuv_matrix("bt601", full_range=False)
    converter = Converter(pictures, *size, matrix, whole=whole)
    for position in sorted(set(range(count)) - lacking):
        converter.put(position, frames[position])
    converter.flush()
    for position in range(count):
        expected = 7 if position in lacking else alone(frames[position], matrix)
        assert (pictures[position] == expected).all()
