"""Decoding a sample's video, whatever form it comes in."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_video(video: Any) -> NDArray[np.uint8]:
    """All frames of a clip, RGB.

    Args:
        video: what a sample holds: MP4 bytes, a path, the ``{"bytes", "path"}`` of an undecoded Hugging Face
            column, or the torchcodec decoder of a decoded one.

    Returns:
        (T, H, W, 3) uint8. Decoded by PyAV, which needs nothing else installed, or by the decoder that was given.

    Raises:
        TypeError: none of these.
        ValueError: the bytes hold no video.
    """
    if hasattr(video, "get_frames_in_range"):
        frames = video.get_frames_in_range(0, len(video)).data
        return np.asarray(frames.permute(0, 2, 3, 1).contiguous())
    if isinstance(video, Mapping):
        video = video["bytes"] if video.get("bytes") is not None else Path(video["path"])
    if isinstance(video, str | Path):
        video = Path(video).read_bytes()
    if not isinstance(video, bytes | bytearray | memoryview):
        raise TypeError(f"video must be bytes, a path, a bytes/path mapping or a decoder, not {type(video).__name__}")
    import av

    try:
        with av.open(io.BytesIO(video), mode="r") as container:
            frames = container.decode(video=0)
            return np.stack([np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames])
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"{len(video)} bytes do not decode as video: {error}") from error
