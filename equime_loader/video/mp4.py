"""Where each frame of an MP4 lies, from its header alone: ISO/IEC 14496-12, the boxes that a plain H.264 file has.

FFmpeg's demuxer would probe and parse the same header in several times as long as a short window takes to decode.
Files that use more of the standard than this (fragments, edits that cut, other codecs) are left to FFmpeg.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_FRAMES = 1_000_000


class NotPlain(ValueError):
    """An MP4 that this reader leaves to FFmpeg, or no MP4 at all."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A video track. Frames are numbered in the order in which they are shown.

    Attributes:
        extradata: the decoder's configuration (avcC). width, height: pixels.
        offsets, lengths: (n,) int64, bytes of each packet, in decoding order.
        shown: (n,) int64, number of the frame that each packet holds.
        keys: (k,) int64, packets where decoding can begin, ascending.
    """

    extradata: bytes
    width: int
    height: int
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    shown: NDArray[np.int64]
    keys: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets)


def parse(data: bytes | memoryview) -> Track:
    """The video track of an MP4.

    Raises:
        NotPlain: no MP4, damaged, or more than this reader knows.
    """
    try:
        tracks = [track for track in _tracks(memoryview(data)) if track is not None]
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        raise NotPlain(f"the MP4 header cannot be read ({error})") from error
    if len(tracks) != 1:
        raise NotPlain(f"{len(tracks)} H.264 tracks, expected one")
    return tracks[0]


def _boxes(data: memoryview, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, first and last byte of each box's contents between two places."""
    while start < end:
        if end - start < 8:
            raise NotPlain("a box is cut off")
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, start + 8)[0], 16
        elif size == 0:
            size = end - start
        if size < head or start + size > end:
            raise NotPlain(f"box {kind!r} declares {size} bytes, {end - start} are left")
        yield kind, start + head, start + size
        start += size


def _find(data: memoryview, start: int, end: int, path: tuple[bytes, ...]) -> Iterator[tuple[int, int]]:
    for kind, first, last in _boxes(data, start, end):
        if kind == path[0]:
            if len(path) == 1:
                yield first, last
            else:
                yield from _find(data, first, last, path[1:])


def _tracks(data: memoryview) -> Iterator[Track | None]:
    kinds = {kind for kind, _, _ in _boxes(data, 0, len(data))}
    if b"ftyp" not in kinds or b"moov" not in kinds or b"moof" in kinds:
        raise NotPlain("no ftyp and moov, or fragments")
    for first, last in _find(data, 0, len(data), (b"moov", b"trak")):
        handler = next(_find(data, first, last, (b"mdia", b"hdlr")))
        if bytes(data[handler[0] + 8 : handler[0] + 12]) == b"vide":
            yield _track(data, first, last)


def _track(data: memoryview, first: int, last: int) -> Track:
    table = next(_find(data, first, last, (b"mdia", b"minf", b"stbl")))
    places = {kind: (begin, end) for kind, begin, end in _boxes(data, *table)}
    extradata, width, height = _description(data, places[b"stsd"])
    lengths = _lengths(data, places[b"stsz"])
    count = len(lengths)
    offsets = _offsets(data, places, lengths)
    if (offsets < 0).any() or (offsets + lengths > len(data)).any():
        raise NotPlain("a packet lies outside the file")
    times = _times(data, places, count)
    _check_edits(data, first, last, int(times.min()))
    order = np.argsort(times, kind="stable")
    if (np.diff(times[order]) == 0).any():
        raise NotPlain("two frames are shown at one time")
    shown = np.empty(count, np.int64)
    shown[order] = np.arange(count)
    keys = _array(data, places[b"stss"], ">u4") - 1 if b"stss" in places else np.arange(count)
    if not len(keys) or keys[0] != 0 or (np.diff(keys) <= 0).any() or keys[-1] >= count:
        raise NotPlain("key frames are not in order")
    return Track(extradata, width, height, offsets, lengths, shown, keys)


def _array(data: memoryview, place: tuple[int, int], kind: str, columns: int = 1) -> NDArray[np.int64]:
    """A full box's table: version and flags, a count, rows of big-endian numbers."""
    begin, end = place
    (count,) = struct.unpack_from(">I", data, begin + 4)
    size = np.dtype(kind).itemsize * columns
    if count > MAX_FRAMES or begin + 8 + count * size > end:
        raise NotPlain(f"a table declares {count} rows, {end - begin - 8} bytes are there")
    return np.frombuffer(data, kind, count * columns, begin + 8).astype(np.int64)


def _description(data: memoryview, place: tuple[int, int]) -> tuple[bytes, int, int]:
    entries = list(_boxes(data, place[0] + 8, place[1]))
    if len(entries) != 1 or entries[0][0] != b"avc1":
        raise NotPlain("not one H.264 description")
    _, begin, end = entries[0]
    width, height = struct.unpack_from(">HH", data, begin + 24)
    first, last = next(_find(data, begin + 78, end, (b"avcC",)))
    return bytes(data[first:last]), width, height


def _lengths(data: memoryview, place: tuple[int, int]) -> NDArray[np.int64]:
    begin, end = place
    fixed, count = struct.unpack_from(">II", data, begin + 4)
    if not 0 < count <= MAX_FRAMES:
        raise NotPlain(f"declares {count} frames, at most {MAX_FRAMES} are read")
    if fixed:
        return np.full(count, fixed, np.int64)
    return _array(data, (begin + 4, end), ">u4")


def _offsets(data: memoryview, places: dict[bytes, tuple[int, int]], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Packets follow one another within a chunk: `stsc` says how many each chunk holds, `stco` where chunks begin."""
    wide = b"co64" in places
    chunks = _array(data, places[b"co64" if wide else b"stco"], ">u8" if wide else ">u4")
    runs = _array(data, places[b"stsc"], ">u4", 3).reshape(-1, 3)
    firsts = np.append(runs[:, 0] - 1, len(chunks))
    if firsts[0] != 0 or (np.diff(firsts) < 0).any():
        raise NotPlain("chunks are not in order")
    per_chunk = np.repeat(runs[:, 1], np.diff(firsts))
    if per_chunk.sum() != len(lengths):
        raise NotPlain(f"chunks hold {per_chunk.sum()} packets, {len(lengths)} are declared")
    ends = np.cumsum(lengths)
    starts = ends - lengths
    first_of_chunk = np.cumsum(per_chunk) - per_chunk
    used = per_chunk > 0
    shift = chunks[used] - starts[first_of_chunk[used]]
    return np.asarray(starts + np.repeat(shift, per_chunk[used]), np.int64)


def _times(data: memoryview, places: dict[bytes, tuple[int, int]], count: int) -> NDArray[np.int64]:
    """When each packet's frame is shown, in ticks from the first packet's decoding."""
    steps = _array(data, places[b"stts"], ">u4", 2).reshape(-1, 2)
    if steps[:, 0].sum() != count:
        raise NotPlain(f"times of {steps[:, 0].sum()} packets, {count} are declared")
    times = np.concatenate([[0], np.cumsum(np.repeat(steps[:, 1], steps[:, 0]))[:-1]])
    if b"ctts" in places:
        shifts = _array(data, places[b"ctts"], ">i4", 2).reshape(-1, 2)
        if (shifts[:, 0] < 0).any() or shifts[:, 0].sum() != count:
            raise NotPlain(f"composition times of {shifts[:, 0].sum()} packets, {count} are declared")
        times = times + np.repeat(shifts[:, 1], shifts[:, 0])
    return np.asarray(times, np.int64)


def _check_edits(data: memoryview, first: int, last: int, earliest: int) -> None:
    """An edit list may shift a track's time (encoders do, by the delay of B-frames); one that cuts is not plain."""
    for begin, end in _find(data, first, last, (b"edts", b"elst")):
        version = data[begin]
        (count,) = struct.unpack_from(">I", data, begin + 4)
        form, size = (">QqI", 20) if version == 1 else (">IiI", 12)
        if count > 1 or begin + 8 + count * size > end:
            raise NotPlain("an edit list with several edits")
        if count:
            _, start, _ = struct.unpack_from(form, data, begin + 8)
            if start > earliest:
                raise NotPlain("an edit list that cuts frames off")
