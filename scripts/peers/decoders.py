"""Decoding a window, for the loaders that leave it to their user: each way of doing it well, by name.

Each takes the bytes (or the path) of a clip and the window's first frame, and gives (frames, 3, height, width) uint8.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from harness import FRAMES, SIZE

# What this environment has is imported here, before any clock starts.
INSTALLED = [name for name in ("av", "torchcodec") if importlib.util.find_spec(name)]
for _name in INSTALLED:
    importlib.import_module(_name)

Source = bytes | str


def torchcodec_transform(source: Source, first: int) -> torch.Tensor:
    """Seek without a scan; scale inside the decoder, before frames become tensors."""
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import Resize

    decoder = VideoDecoder(source, seek_mode="approximate", num_ffmpeg_threads=1, transforms=[Resize((SIZE, SIZE))])
    return decoder.get_frames_in_range(first, first + FRAMES).data


def torchcodec_interpolate(source: Source, first: int) -> torch.Tensor:
    """Seek without a scan; scale with torch afterwards, all frames at once."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(source, seek_mode="approximate", num_ffmpeg_threads=1)
    return interpolate(decoder.get_frames_in_range(first, first + FRAMES).data)


def interpolate(frames: torch.Tensor) -> torch.Tensor:
    """(n, 3, height, width) to the size wanted: bilinear with antialiasing, on uint8."""
    return torch.nn.functional.interpolate(frames, (SIZE, SIZE), mode="bilinear", antialias=True)


def pyav(source: Source, first: int) -> torch.Tensor:
    """Seek to the keyframe before, decode to the last frame, scale while converting."""
    import av
    from av.video.reformatter import VideoReformatter

    reformat = VideoReformatter().reformat
    pixels = np.empty((FRAMES, SIZE, SIZE, 3), np.uint8)
    with av.open(io.BytesIO(source) if isinstance(source, bytes) else source) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        # In units of the stream's time base; the clips have a constant frame rate and begin at 0.
        step = round(1 / (stream.average_rate * stream.time_base))
        container.seek(first * step, stream=stream, backward=True)
        for frame in container.decode(stream):
            number = frame.pts // step - first
            if number >= 0:
                small = reformat(frame, SIZE, SIZE, "rgb24", interpolation="BILINEAR")
                pixels[number] = small.to_ndarray()
            if number == FRAMES - 1:
                break
        else:
            raise ValueError(f"clip ends before frame {first + FRAMES - 1}")
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


DECODERS: dict[str, Callable[[Source, int], torch.Tensor]] = {
    "torchcodec_transform": torchcodec_transform,
    "torchcodec_interpolate": torchcodec_interpolate,
    "pyav": pyav,
}
# What is tried for a loader that leaves decoding to its user and prefetches batches.
SETTINGS: list[dict[str, Any]] = [
    {"decoder": "torchcodec_interpolate", "prefetch": 2},
    {"decoder": "torchcodec_interpolate", "prefetch": 4},
    {"decoder": "torchcodec_transform", "prefetch": 2},
    {"decoder": "pyav", "prefetch": 2},
]
