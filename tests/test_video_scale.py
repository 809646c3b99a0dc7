"""Decoded planes to pictures: frames that are converted together give what each gives by itself."""

from __future__ import annotations

import weakref

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


def shown(rows: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return rows[: size[0], : size[1]]


@given(
    st.integers(1, 2 * TOGETHER + 1),
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(0, 9),
    st.booleans(),
    st.integers(0, 2**32 - 1),
    st.data(),
)
def test_frames_of_their_own_size(
    count: int, height: int, width: int, between: int, whole: bool, seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    size = (2 * height, 2 * width)
    sizes = (size, size, size) if whole else (size, (height, width), (height, width))
    # Rows of decoded planes lie apart, those of luma further than those of chroma.
    lines = [(rows, pixels + between * (1 if whole or number else 2)) for number, (rows, pixels) in enumerate(sizes)]
    decoded: list[Planes] = [tuple(rng.integers(0, 256, each, np.uint8) for each in lines) for _ in range(count)]
    frames = [tuple(map(shown, planes, sizes)) for planes in decoded]
    # Frames of another form are converted elsewhere, and lack.
    lacking = data.draw(st.sets(st.integers(0, count - 1)))
    pictures, matrix = np.full((count, *size, 3), 7, np.uint8), yuv_matrix("bt601", full_range=False)
    converter = Converter(pictures, *size, matrix, whole=whole)
    for position in sorted(set(range(count)) - lacking):
        converter.put(position, decoded[position])
    converter.flush()
    for position in range(count):
        expected = 7 if position in lacking else alone(frames[position], matrix)
        assert (pictures[position] == expected).all()


@given(st.integers(1, 3), st.integers(0, 9), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
def test_what_lies_between_rows_is_not_seen(times: int, between: int, whole: bool, gray: bool, seed: int) -> None:
    """Also where frames are scaled: by the means of blocks, or on to a smaller size."""
    rng = np.random.default_rng(seed)
    size, asked = (12 * times, 10 * times), (6, 5)
    chroma = size if whole else (size[0] // 2, size[1] // 2)
    bare = [rng.integers(0, 256, each, np.uint8) for each in (size, chroma, chroma)]
    pictures = np.empty((3, *asked, 1 if gray else 3), np.uint8)
    converter = Converter(pictures, *size, yuv_matrix("bt709", full_range=True), whole=whole)
    # Frames of one clip may lie in memory in several ways; where rows lie far apart, only what they show is given.
    for place, gap in enumerate((0, between, 40)):
        lines = [rng.integers(0, 256, (len(plane), plane.shape[1] + gap), np.uint8) for plane in bare]
        for line, plane in zip(lines, bare, strict=True):
            shown(line, plane.shape)[:] = plane
        converter.put(place, lines if gap < 40 else list(map(shown, lines, (plane.shape for plane in bare))))
    converter.flush()
    assert (pictures == pictures[0]).all()


def test_a_converter_holds_no_memory_once_it_is_let_go() -> None:
    """What refers to itself waits for the collector, and the batch that it wrote to with it."""
    pictures = np.empty((1, 4, 4, 3), np.uint8)
    converter = Converter(pictures, 8, 8, yuv_matrix("bt601", full_range=False))
    left = weakref.ref(converter)
    del converter
    assert left() is None
