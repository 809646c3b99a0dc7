"""Decoders by name: all give the same frames.

A backend takes a clip's bytes, the numbers of the frames asked for (in the order in which they are shown), and the
scaling.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from equime_loader.video import mp4, pyav
from equime_loader.video.faults import VideoFault
from equime_loader.video.h264 import is_closed
from equime_loader.video.scale import Picture, Scaling, scale_rgb


class Backend(Protocol):
    """What decodes a clip; VideoFault where the bytes are no video, or one with fewer frames than are asked for."""

    def __call__(
        self, data: bytes | memoryview, indices: NDArray[np.int64], scaling: Scaling, out: Picture | None = None
    ) -> Picture:
        """(T, h, w, C) uint8, in `out` where one is given."""


def _torchcodec(
    data: bytes | memoryview, indices: NDArray[np.int64], scaling: Scaling, out: Picture | None = None
) -> Picture:
    from torchcodec.decoders import VideoDecoder

    if not _seeks_exactly(data):
        return pyav.decode(data, indices, scaling, out)
    try:
        # Exact seeking counts frames as they are shown, also where their times are uneven.
        decoder = VideoDecoder(bytes(data), dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact")
        _check_count(indices, len(decoder))
        _check_size(len(indices), decoder.metadata.height or 0, decoder.metadata.width or 0)
        frames = decoder.get_frames_at(indices.tolist()).data.numpy()
    except (RuntimeError, IndexError, ValueError) as error:
        raise _fault(error) from error
    return scale_rgb(frames, scaling, out)


def _decord(
    data: bytes | memoryview, indices: NDArray[np.int64], scaling: Scaling, out: Picture | None = None
) -> Picture:
    import decord

    if not _seeks_exactly(data):
        return pyav.decode(data, indices, scaling, out)
    try:
        reader = decord.VideoReader(io.BytesIO(data), num_threads=1)
        _check_count(indices, len(reader))
        frames = reader.get_batch(indices.tolist()).asnumpy()
    except (decord.DECORDError, RuntimeError, IndexError) as error:
        raise _fault(error) from error
    return scale_rgb(frames, scaling, out)


def _seeks_exactly(data: bytes | memoryview) -> bool:
    """Whether every library finds the same frames in a file; the others are read by PyAV, whatever the backend.

    Seeking in AVI, into open groups of pictures, and across edits gives other frames, or none, from one to the next.
    """
    try:
        return is_closed(mp4.parse(data), memoryview(data))
    except mp4.NotPlain:
        return False


def _check_count(indices: NDArray[np.int64], count: int) -> None:
    if indices[-1] >= count:
        raise VideoFault(f"frame {indices[-1]} was asked for, the video has {count}")


def _check_size(count: int, height: int, width: int) -> None:
    """These libraries keep whole frames before they are scaled."""
    Scaling(None, False).shape(count, height, width)


def _fault(error: Exception) -> VideoFault:
    if isinstance(error, VideoFault):
        return error
    return VideoFault(f"the video does not decode ({_first_line(error)})")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


# The first that is installed is taken where none is named: the fastest for short windows stands first.
BACKENDS: dict[str, Backend] = {"pyav": pyav.decode, "torchcodec": _torchcodec, "decord": _decord}
_MODULES = {"pyav": "av", "torchcodec": "torchcodec", "decord": "decord"}
_LOADED = {**_MODULES, "torchcodec": "torchcodec.decoders"}


@cache
def installed() -> tuple[str, ...]:
    """Backends whose library is there."""
    return tuple(name for name, module in _MODULES.items() if importlib.util.find_spec(module))


@cache
def _trouble(name: str) -> str | None:
    """Why a library that is there cannot be used, such as FFmpeg missing beside torchcodec."""
    try:
        importlib.import_module(_LOADED[name])
    except (ImportError, OSError, RuntimeError) as error:
        return _first_line(error)
    return None


def module_of(name: str | None) -> str:
    """The module that a backend takes long to import, of the best that is installed where none is named."""
    return _LOADED[installed()[0] if name is None else name]


def backend(name: str | None = None) -> Backend:
    """The backend of this name, or the best that is installed.

    Raises:
        ValueError: an unknown name, or one whose library is missing or broken; the message says how to install it.
    """
    name = installed()[0] if name is None else name
    if name not in BACKENDS:
        raise ValueError(f"backend={name!r} must be one of {', '.join(BACKENDS)}")
    if name not in installed():
        raise ValueError(f"backend={name!r} is not installed: pip install {_MODULES[name]}")
    if trouble := _trouble(name):
        raise ValueError(f"backend={name!r} is installed and does not load: {trouble}")
    return BACKENDS[name]
