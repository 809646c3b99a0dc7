"""Decoders by name: all give the same frames.

A backend takes a clip's bytes, the numbers of the frames asked for (in the order in which they are shown), and the
scaling.
"""

from __future__ import annotations

import importlib.util
import io
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from equime_loader.video import pyav
from equime_loader.video.faults import VideoFault
from equime_loader.video.scale import Picture, Scaling, scale_rgb


class Backend(Protocol):
    def __call__(
        self, data: bytes | memoryview, indices: NDArray[np.int64], scaling: Scaling, out: Picture | None = None
    ) -> Picture:
        """(T, h, w, C) uint8, in `out` where one is given."""


def _torchcodec(
    data: bytes | memoryview, indices: NDArray[np.int64], scaling: Scaling, out: Picture | None = None
) -> Picture:
    from torchcodec.decoders import VideoDecoder

    try:
        # Exact seeking counts frames as they are shown, also where their times are uneven.
        decoder = VideoDecoder(bytes(data), dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact")
        _check_count(indices, len(decoder))
        frames = decoder.get_frames_at(indices.tolist()).data.numpy()
    except (RuntimeError, IndexError) as error:
        raise VideoFault(f"the video does not decode ({_first_line(error)})") from error
    return scale_rgb(frames, scaling, out)


def _decord(
    data: bytes | memoryview, indices: NDArray[np.int64], scaling: Scaling, out: Picture | None = None
) -> Picture:
    import decord

    try:
        reader = decord.VideoReader(io.BytesIO(data), num_threads=1)
        _check_count(indices, len(reader))
        frames = reader.get_batch(indices.tolist()).asnumpy()
    except (decord.DECORDError, IndexError) as error:
        raise VideoFault(f"the video does not decode ({_first_line(error)})") from error
    return scale_rgb(frames, scaling, out)


def _check_count(indices: NDArray[np.int64], count: int) -> None:
    if indices[-1] >= count:
        raise VideoFault(f"frame {indices[-1]} was asked for, the video has {count}")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


# The first that is installed is taken where none is named: the fastest for short windows stands first.
BACKENDS: dict[str, Backend] = {"pyav": pyav.decode, "torchcodec": _torchcodec, "decord": _decord}
_MODULES = {"pyav": "av", "torchcodec": "torchcodec", "decord": "decord"}


@cache
def installed() -> tuple[str, ...]:
    """Backends whose library is there."""
    return tuple(name for name, module in _MODULES.items() if importlib.util.find_spec(module))


def backend(name: str | None = None) -> Backend:
    """The backend of this name, or the best that is installed.

    Raises:
        ValueError: an unknown name, or one whose library is missing; the message says how to install it.
    """
    if name is None:
        return BACKENDS[installed()[0]]
    if name not in BACKENDS:
        raise ValueError(f"backend={name!r} must be one of {', '.join(BACKENDS)}")
    if name not in installed():
        raise ValueError(f"backend={name!r} is not installed: pip install {_MODULES[name]}")
    return BACKENDS[name]
