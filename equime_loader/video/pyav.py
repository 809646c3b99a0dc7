"""Decoding with PyAV: always there, and the fastest for short windows of plain MP4 files.

The file's own tables say which packets the frames need. Packets before the nearest key frame are not touched, frames
that no other refers to are passed over, and one decoder per thread serves all clips of one configuration.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from contextlib import closing
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from equime_loader.video import ffmpeg, mp4
from equime_loader.video.faults import VideoFault
from equime_loader.video.h264 import packets_needed
from equime_loader.video.scale import Converter, Picture, Scaling, resize, room, yuv_matrix

DECODERS_PER_THREAD = 4
# Bytes that FFmpeg has behind every plane: 16 and its alignment, of 16 or more, less 1 (libavcodec/get_buffer.c).
SLACK = 31
# Strict: frames are put in order by what the level allows. A stream that does not say how far its frames are out of
# order would lose the first ones else, since nothing was decoded to learn it from.
_OPTIONS = {**ffmpeg.DECODER_OPTIONS, "strict": "strict"}
# Formats of three planes, and whether chroma has the size of luma. Those of a j have the full range.
_PLANAR = {"yuv420p": False, "yuvj420p": False, "yuv444p": True, "yuvj444p": True}
_WEIGHTS = {Colorspace.ITU709: "bt709", 9: "bt2020", 10: "bt2020"}


class _Decoders(threading.local):
    """Decoders of this thread that are free, by configuration. A child of a fork begins with none."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._free: OrderedDict[bytes, Any] = OrderedDict()

    def take(self, extradata: bytes) -> Any:
        """A decoder that has seen nothing yet."""
        if self._process != os.getpid():
            self.__init__()  # type: ignore[misc]
        if decoder := self._free.pop(extradata, None):
            return decoder
        decoder = av.CodecContext.create("h264", "r")
        decoder.extradata = extradata
        decoder.thread_count = 1
        decoder.options = _OPTIONS
        return decoder

    def give_back(self, extradata: bytes, decoder: Any) -> None:
        """Keep a decoder that did its work. One that failed is not given back: it may hold frames of the clip."""
        decoder.flush_buffers()
        self._free[extradata] = decoder
        if len(self._free) > DECODERS_PER_THREAD:
            self._free.popitem(last=False)


_decoders = _Decoders()


def decode(
    data: bytes | memoryview, indices: NDArray[np.int64], scaling: Scaling, out: Picture | None = None
) -> Picture:
    """Frames by number: (len(indices), h, w, C) uint8, in `out` where one is given. `indices` ascend, each once.

    Raises:
        VideoFault: no video, or one that does not hold these frames.
    """
    try:
        track = mp4.parse(data)
    except mp4.NotPlain:
        return _decode_any(data, indices, scaling, out)
    if indices[-1] >= len(track):
        raise VideoFault(f"frame {indices[-1]} was asked for, the video has {len(track)}")
    collected = _Collected(indices, scaling, out)
    decoder = _decoders.take(track.extradata)
    view = memoryview(data)
    try:
        needed = packets_needed(track, view, indices)
        places = (track.offsets[needed].tolist(), track.lengths[needed].tolist(), track.shown[needed].tolist())
        for begin, length, shown in zip(*places, strict=True):
            packet = av.Packet(bytes(view[begin : begin + length]))
            packet.pts = shown
            for frame in decoder.decode(packet):
                collected.put(frame, frame.pts)
        for frame in decoder.decode(None):
            collected.put(frame, frame.pts)
    except av.FFmpegError as error:
        raise VideoFault(f"the video does not decode ({error.strerror})") from error
    _decoders.give_back(track.extradata, decoder)
    return collected.pictures()


def _decode_any(data: bytes | memoryview, indices: NDArray[np.int64], scaling: Scaling, out: Picture | None) -> Picture:
    """Any video that FFmpeg reads, from its first frame on."""
    collected = _Collected(indices, scaling, out)
    last = int(indices[-1])
    number = -1
    with closing(ffmpeg.frames(data)) as frames:
        for number, frame in enumerate(frames):
            collected.put(frame, number, turned=frame.rotation != 0)
            if number == last:
                break
    if number < last:
        raise VideoFault(f"frame {last} was asked for, the video has {number + 1}")
    return collected.pictures()


class _Collected:
    """The frames asked for, as the decoder gives them."""

    def __init__(self, indices: NDArray[np.int64], scaling: Scaling, out: Picture | None) -> None:
        self._lacking = dict(zip(indices.tolist(), range(len(indices)), strict=True))
        self._count, self._scaling, self._out = len(indices), scaling, out
        self._pictures: Picture | None = None
        self._converter: Converter | None = None
        self._form: tuple[int, int, str] = (0, 0, "")
        self._converted: dict[int, Picture] = {}

    def put(self, frame: Any, index: int, *, turned: bool = False) -> None:
        """Keep a frame if it is asked for. turned: it is to be shown so."""
        place = self._lacking.pop(index, None)
        if place is None:
            return
        if frame.is_corrupt:
            raise VideoFault(f"frame {index} is damaged")
        form = (frame.height, frame.width, frame.format.name)
        if turned or form[2] not in _PLANAR or (self._converter is not None and form != self._form):
            self._scaling.shape(self._count, frame.height, frame.width)
            self._converted[place] = _convert(frame, self._scaling)
            return
        planes = [_rows(plane) for plane in frame.planes]
        if self._converter is None:
            self._form, (height, width, pixels) = form, form
            full = pixels.startswith("yuvj") or frame.color_range == ColorRange.JPEG
            matrix = yuv_matrix(_WEIGHTS.get(frame.colorspace, "bt601"), full_range=full)
            self._pictures = room(self._scaling.shape(self._count, height, width), self._out)
            self._converter = Converter(self._pictures, height, width, matrix, whole=_PLANAR[pixels])
        self._converter.put(place, planes)

    def pictures(self) -> Picture:
        if self._lacking:
            raise VideoFault(f"frame {min(self._lacking)} does not decode")
        if self._converter is not None:
            self._converter.flush()
        out = self._pictures
        if out is None:
            height, width, _ = next(iter(self._converted.values())).shape
            out = room(self._scaling.shape(self._count, height, width), self._out)
        for place, picture in self._converted.items():
            if picture.shape != out.shape[1:]:
                raise VideoFault("frames of different sizes; ask for a size")
            out[place] = picture
        return out


def _rows(plane: Any) -> Picture:
    """A plane's rows, (height, at least the width) uint8, with what lies between them in memory where that is little.

    Where it is more, the frame may have been cut on the left, and what lies behind its last row is not the plane's.
    """
    height, width, line = plane.height, plane.width, plane.line_size
    if 0 <= line - width <= SLACK:
        return np.ndarray((height, line), np.uint8, plane)
    return np.ndarray((height, width), np.uint8, plane, 0, (line, 1))


def _convert(frame: Any, scaling: Scaling) -> Picture:
    """Pictures of other forms than planar 4:2:0, and turned ones, by FFmpeg's own conversion."""
    picture = ffmpeg.rgb(frame)
    picture = resize(picture, scaling.size) if scaling.size else picture
    if scaling.gray:
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)[..., None]
    return np.asarray(picture, np.uint8)
