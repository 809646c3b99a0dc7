"""Optical flow from onset to apex: where the face moved, which single frames hide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_loader.video.faults import VideoFault


def _dis() -> Any:
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


def _farneback() -> Any:
    return cv2.FarnebackOpticalFlow.create(winSize=15, numIters=5)


def _tvl1() -> Any:
    return cv2.optflow.DualTVL1OpticalFlow.create()


# Kroeger et al. 2016; Farnebäck 2003; Zach et al. 2007, the field's usual one and the slowest.
METHODS: dict[str, Callable[[], Any]] = {"dis": _dis, "farneback": _farneback, "tvl1": _tvl1}


def flow(
    first: NDArray[np.uint8], second: NDArray[np.uint8], *, method: str, size: tuple[int, int] | None
) -> NDArray[np.float32]:
    """Motion of each pixel from the first picture to the second.

    Args:
        first, second: (H, W) uint8, gray.
        size: (height, width) of the result, None for that of the pictures. Flow is found in the pictures as they
            are and scaled afterwards, since what moves by a pixel in them moves by less in smaller ones.

    Returns:
        (2, h, w) float32, right and down, in pixels of the result.

    Raises:
        VideoFault: pictures too small for the method.
    """
    height, width = first.shape
    if np.array_equal(first, second):
        return np.zeros((2, *(size or (height, width))), np.float32)
    try:
        found = METHODS[method]().calc(first, second, None)
    except cv2.error as error:
        raise VideoFault(f"no flow by {method} in pictures of {height} x {width}") from error
    if size is not None and size != (height, width):
        found = cv2.resize(found, size[::-1], interpolation=cv2.INTER_AREA)
        found *= np.array([size[1] / width, size[0] / height], np.float32)
    return np.ascontiguousarray(np.moveaxis(found, -1, 0), np.float32)
