"""Decoding a sample's video, whatever form it comes in."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equime_loader.video import ffmpeg
from equime_loader.video.faults import VideoFault
from equime_loader.video.scale import Scaling

_AS_IT_IS = Scaling(None, gray=False)


def read_video(video: Any) -> NDArray[np.uint8]:
    """All frames of a clip, RGB.

    Args:
        video: what a sample holds: MP4 bytes, a path, the ``{"bytes", "path"}`` of an undecoded Hugging Face
            column, or the torchcodec decoder of a decoded one.

    Returns:
        (T, H, W, 3) uint8. Decoded by PyAV, which needs nothing else installed, or by the decoder that was given.

    Raises:
        TypeError: none of these.
        VideoFault: the bytes hold no video, or one of more than 2 GiB.
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
    pictures: list[NDArray[np.uint8]] = []
    try:
        with closing(ffmpeg.frames(video)) as decoded:
            for frame in decoded:
                _AS_IT_IS.shape(len(pictures) + 1, frame.height, frame.width)
                pictures.append(ffmpeg.rgb(frame))
    except VideoFault as fault:
        raise VideoFault(f"{len(video)} bytes do not decode as video: {fault}") from fault
    if len({picture.shape for picture in pictures}) != 1:
        raise VideoFault(f"{len(video)} bytes do not decode as video: frames of several sizes, or none")
    return np.stack(pictures)
