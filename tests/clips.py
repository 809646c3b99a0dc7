"""Clips for tests of decoding: every frame carries its number in blocks that survive any encoder, and any container."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from equime_builder.encode import encode
from equime_builder.profiles import Video

Frames = NDArray[np.uint8]
BITS, COLUMNS, ROWS = 12, 4, 3


@cache
def painted(count: int, height: int = 96, width: int = 128) -> Frames:
    """(T, H, W, 3): a texture that drifts, and on it the frame's number: a block for each bit, light for one."""
    rng = np.random.default_rng(5)
    sheet = rng.integers(0, 256, (height + 32, width + 32, 3), dtype=np.uint8)
    sheet = cv2.GaussianBlur(sheet, (0, 0), 3)
    frames = np.stack([sheet[t % 32 : t % 32 + height, t // 2 % 32 : t // 2 % 32 + width] for t in range(count)])
    for bit in range(BITS):
        rows, columns = (slice(*edges) for edges in _block(bit, height, width))
        light = np.arange(count) >> bit & 1
        frames[:, rows, columns] = np.where(light, 225, 30)[:, None, None, None]
    frames.flags.writeable = False
    return frames


def _block(bit: int, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    row, column = divmod(bit, COLUMNS)
    tall, wide = height // ROWS, width // COLUMNS
    top, left = row * tall, column * wide
    return (top + tall // 5, top + tall - tall // 5), (left + wide // 5, left + wide - wide // 5)


def numbers(frames: Frames) -> list[int]:
    """What is painted on frames (T, H, W, C) of any size."""
    height, width = frames.shape[1:3]
    found = np.zeros(len(frames), np.int64)
    for bit in range(BITS):
        (top, bottom), (left, right) = _block(bit, height, width)
        middle = frames[:, (top + bottom) // 2, (left + right) // 2].mean(axis=-1)
        found |= (middle > 128).astype(np.int64) << bit
    return found.tolist()


def our_clip(frames: Frames, *, keyframes: Sequence[int] = (), fps: float = 100, video: Video | None = None) -> bytes:
    """What the builder would write."""
    planes = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420) for frame in frames])
    return encode(planes, fps=fps, keyframes=keyframes, video=video or Video(crf=12, preset="veryfast")).data


def clip(
    frames: Frames,
    *,
    x264: str = "",
    codec: str = "libx264",
    container: str = "mp4",
    pixels: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    muxer: Mapping[str, str] | None = None,
    times: Sequence[int] | None = None,
    tags: Mapping[str, int] | None = None,
) -> bytes:
    """Frames in any other form. times: of each frame, in milliseconds. tags: of the encoder, for color."""
    options = dict(options or {}) | ({"x264-params": f"threads=1:{x264}"} if codec == "libx264" else {})
    target = io.BytesIO()
    with av.open(target, "w", format=container, options=dict(muxer or {})) as output:
        stream: Any = output.add_stream(codec, rate=50 if times is None else 1000)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixels
        stream.thread_count, stream.options = 1, options
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = frame.reformat(format=pixels, **_conversion(tags))
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, 50 if times is None else 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return target.getvalue()


def _conversion(tags: Mapping[str, int] | None) -> dict[str, int]:
    names = {"colorspace": "dst_colorspace", "color_range": "dst_color_range"}
    return {names[name]: value for name, value in (tags or {}).items() if name in names}


def faststart(data: bytes, folder: Path) -> bytes:
    """An MP4 with its header in front."""
    path = folder / "front.mp4"
    with av.open(io.BytesIO(data)) as source, av.open(str(path), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return path.read_bytes()


def place(data: bytes, *path: bytes) -> int:
    """Where the contents of a box begin."""
    begin, end = 0, len(data)
    for kind in path:
        while data[begin + 4 : begin + 8] != kind:
            size = int.from_bytes(data[begin : begin + 4], "big")
            begin += size
            assert size >= 8 and begin < end, kind
        end = begin + int.from_bytes(data[begin : begin + 4], "big")
        begin += 8
    return begin


def changed(data: bytes, at: int, new: bytes) -> bytes:
    """The same bytes with some replaced."""
    return data[:at] + new + data[at + len(new) :]


def box(kind: bytes, contents: bytes) -> bytes:
    """A box of an MP4."""
    return (8 + len(contents)).to_bytes(4, "big") + kind + contents


def rewritten(data: bytes, path: tuple[bytes, ...], new: bytes) -> bytes:
    """An MP4 with one box in place of another, however long, and the sizes of those around it set right.

    What lies behind moves, so the header should be at the end.
    """
    begin = place(data, *path) - 8
    size = int.from_bytes(data[begin : begin + 4], "big")
    changed_data = bytearray(data[:begin] + new + data[begin + size :])
    for depth in range(1, len(path)):
        outer = place(data, *path[:depth]) - 8
        grown = int.from_bytes(data[outer : outer + 4], "big") + len(new) - size
        changed_data[outer : outer + 4] = grown.to_bytes(4, "big")
    return bytes(changed_data)
