"""Decoding with PyAV: always there, and the fastest for short windows of plain MP4 files.

The file's own tables say which packets the frames need. Packets before the nearest key frame are not touched, frames
that no other refers to are passed over, and one decoder per thread serves all clips of one configuration.
"""

from __future__ import annotations

import io
import os
import threading
from collections import OrderedDict
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from equime_loader.video import mp4
from equime_loader.video.faults import VideoFault
from equime_loader.video.scale import Picture, PlaneStack, Scaling, resize, yuv_matrix

DECODERS_PER_THREAD = 4
_PLANAR_420 = ("yuv420p", "yuvj420p")
_WEIGHTS = {Colorspace.ITU709: "bt709", 9: "bt2020", 10: "bt2020"}


class _Decoders(threading.local):
    """Open decoders of this thread by configuration. A child of a fork begins with none."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.open: OrderedDict[bytes, Any] = OrderedDict()

    def get(self, extradata: bytes) -> Any:
        if self.process != os.getpid():
            self.__init__()  # type: ignore[misc]
        if extradata in self.open:
            self.open.move_to_end(extradata)
            return self.open[extradata]
        decoder = av.CodecContext.create("h264", "r")
        decoder.extradata = extradata
        decoder.thread_count = 1
        self.open[extradata] = decoder
        if len(self.open) > DECODERS_PER_THREAD:
            self.open.popitem(last=False)
        return decoder

    def drop(self, extradata: bytes) -> None:
        self.open.pop(extradata, None)


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
    collected = _Collected(indices, scaling)
    decoder = _decoders.get(track.extradata)
    view = memoryview(data)
    try:
        for number in _packets_needed(track, indices, view):
            begin = track.offsets[number]
            packet = av.Packet(bytes(view[begin : begin + track.lengths[number]]))
            packet.pts = int(track.shown[number])
            for frame in decoder.decode(packet):
                collected.put(frame)
        for frame in decoder.decode(None):
            collected.put(frame)
        decoder.flush_buffers()
    except av.FFmpegError as error:
        _decoders.drop(track.extradata)
        raise VideoFault(f"the video does not decode ({error.strerror})") from error
    return collected.pictures(out)


def _packets_needed(track: mp4.Track, indices: NDArray[np.int64], data: memoryview) -> list[int]:
    """Packets to decode, in their order: from each frame's key frame to the frame, without frames nobody refers to."""
    decoded_at = np.empty(len(track), np.int64)
    decoded_at[track.shown] = np.arange(len(track))
    key_shown = track.shown[track.keys]
    # Key frames are shown in the order in which they are decoded.
    keys = track.keys[np.maximum(np.searchsorted(key_shown, indices, side="right") - 1, 0)]
    wanted = decoded_at[indices]
    needed: list[int] = []
    for key in np.unique(keys):
        ends = wanted[keys == key]
        asked = set(ends.tolist())
        for number in range(key, int(ends.max()) + 1):
            if number in asked or not _is_disposable(data, int(track.offsets[number]), int(track.lengths[number])):
                needed.append(number)
    return needed


def _is_disposable(data: memoryview, begin: int, length: int) -> bool:
    """Whether no other frame refers to this one: nal_ref_idc of its first slice is 0 (ITU-T H.264, 7.4.1).

    NAL units are preceded by their length in 4 bytes, as every encoder writes them; anything else counts as needed.
    """
    end = begin + length
    while begin + 5 <= end:
        kind, references = data[begin + 4] & 31, data[begin + 4] >> 5 & 3
        if kind in (1, 5):
            return references == 0
        begin += 4 + int.from_bytes(data[begin : begin + 4], "big")
    return False


class _Collected:
    """The frames asked for, as the decoder gives them."""

    def __init__(self, indices: NDArray[np.int64], scaling: Scaling) -> None:
        self._place = {int(index): place for place, index in enumerate(indices)}
        self._missing = set(self._place)
        self._scaling = scaling
        self._stack: PlaneStack | None = None
        self._form: tuple[int, int, str] = (0, 0, "")
        self._matrix = yuv_matrix("bt601", full_range=False)
        self._converted: dict[int, Picture] = {}

    def put(self, frame: Any, index: int | None = None) -> None:
        index = frame.pts if index is None else index
        place = self._place.get(index)
        if place is None:
            return
        if frame.is_corrupt:
            raise VideoFault(f"frame {index} is damaged")
        self._missing.discard(index)
        form = (frame.height, frame.width, frame.format.name)
        if form[2] not in _PLANAR_420 or (self._stack is not None and form != self._form):
            self._converted[place] = _convert(frame, self._scaling)
            return
        if self._stack is None:
            self._form = form
            self._stack = PlaneStack(len(self._place), form[0], form[1], self._scaling)
            full = form[2] == "yuvj420p" or frame.color_range == ColorRange.JPEG
            self._matrix = yuv_matrix(_WEIGHTS.get(frame.colorspace, "bt601"), full_range=full)
        self._stack.put(place, tuple(_plane(plane) for plane in frame.planes))

    def pictures(self, out: Picture | None) -> Picture:
        if self._missing:
            raise VideoFault(f"frame {min(self._missing)} does not decode")
        if self._stack is not None:
            out = self._stack.pictures(self._matrix, out)
        elif out is None:
            out = np.empty((len(self._place), *next(iter(self._converted.values())).shape), np.uint8)
        for place, picture in self._converted.items():
            if picture.shape != out.shape[1:]:
                raise VideoFault("frames of different sizes; ask for a size")
            out[place] = picture
        return out


def _plane(plane: Any) -> Picture:
    rows: Picture = np.frombuffer(plane, np.uint8, plane.height * plane.line_size).reshape(plane.height, -1)
    return rows[:, : plane.width]


def _convert(frame: Any, scaling: Scaling) -> Picture:
    """Pictures of other forms than planar 4:2:0, by FFmpeg's own conversion."""
    picture = frame.to_ndarray(format="rgb24")
    picture = resize(picture, scaling.size) if scaling.size else picture
    if scaling.grey:
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)[..., None]
    return np.asarray(picture, np.uint8)


def _decode_any(data: bytes | memoryview, indices: NDArray[np.int64], scaling: Scaling, out: Picture | None) -> Picture:
    """Any video that FFmpeg reads, from its first frame on."""
    collected = _Collected(indices, scaling)
    last = int(indices[-1])
    number = -1
    try:
        with av.open(io.BytesIO(data), mode="r") as container:
            if not container.streams.video:
                raise VideoFault("holds no video")
            stream = container.streams.video[0]
            stream.thread_count = 1
            for number, frame in enumerate(container.decode(stream)):
                collected.put(frame, number)
                if number == last:
                    break
    except av.FFmpegError as error:
        raise VideoFault(f"the video does not decode ({error.strerror})") from error
    if number < last:
        raise VideoFault(f"frame {last} was asked for, the video has {number + 1}")
    return collected.pictures(out)
