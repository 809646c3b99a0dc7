"""The frames of a finished clip, decoded once, and what its container says."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

LONGEST_SIDE = 384  # pixels: larger clips are scaled down, an ME of theirs still moves more than a pixel
MOST_FRAMES = 2000
LEAST_FRAMES, LEAST_SIDE = 8, 64


class Unreadable(ValueError):
    """A clip whose frames cannot be judged; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Footage:
    """A decoded clip: `planes` (T, 3 * H // 2, W) uint8 I420, frames per second."""

    planes: NDArray[np.uint8]
    fps: float

    @property
    def luma(self) -> NDArray[np.uint8]:
        """(T, H, W) uint8."""
        return self.planes[:, : self.planes.shape[1] * 2 // 3]

    def __len__(self) -> int:
        return len(self.planes)

    def rgb(self, frame: int) -> NDArray[np.uint8]:
        """One frame as (H, W, 3) uint8 RGB."""
        return np.asarray(cv2.cvtColor(self.planes[frame], cv2.COLOR_YUV2RGB_I420), np.uint8)


def read_footage(video: bytes) -> Footage:
    """Decode a clip.

    Raises:
        Unreadable: not a video, damaged, too short, too small or too long to be judged.
    """
    try:
        with av.open(io.BytesIO(video), "r") as container:
            if not container.streams.video:
                raise Unreadable("no video stream")
            stream = container.streams.video[0]
            stream.thread_count = 1
            rate = stream.average_rate
            width, height = _size(stream.width, stream.height)
            planes: list[NDArray[Any]] = []
            for frame in container.decode(stream):
                if len(planes) == MOST_FRAMES:
                    raise Unreadable(f"more than {MOST_FRAMES} frames")
                fits = (frame.width, frame.height, frame.format.name) == (width, height, "yuv420p")
                planes.append((frame if fits else frame.reformat(width, height, "yuv420p")).to_ndarray())
    except (av.FFmpegError, OSError, EOFError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unreadable(f"does not decode: {why}") from error
    if len(planes) < LEAST_FRAMES:
        raise Unreadable(f"{len(planes)} frames, at least {LEAST_FRAMES} needed")
    if not rate:
        raise Unreadable("the container tells no frame rate")
    return Footage(np.stack(planes), float(rate))


def _size(width: int, height: int) -> tuple[int, int]:
    """Size to decode at: even, at most `LONGEST_SIDE`, the shape kept."""
    if min(width, height) < LEAST_SIDE:
        raise Unreadable(f"{width} x {height} pixels, at least {LEAST_SIDE} each way needed")
    scale = min(1.0, LONGEST_SIDE / max(width, height))
    return max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2))
