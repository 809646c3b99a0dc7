"""Where each frame of an MP4 lies, from its header alone: ISO/IEC 14496-12, the boxes that a plain H.264 file has.

FFmpeg's demuxer would probe and parse the same header in several times as long as a short window takes to decode.
Files that use more of the standard than this (fragments, edits that cut, rotation, other codecs) are left to FFmpeg.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equime_loader.video.boxes import MAX_FRAMES, BoxFault, Place, boxes

Boxes = dict[bytes, list[Place]]

# Bytes of a decoder's configuration: far more than any plain file has.
MAX_EXTRADATA = 2**16
_UPRIGHT = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


class NotPlain(ValueError):
    """An MP4 that this reader leaves to FFmpeg, or no MP4 at all."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A video track. Frames are numbered in the order in which they are shown.

    Attributes:
        extradata: the decoder's configuration (avcC). width, height: pixels.
        offsets, lengths: (n,) int64, bytes of each packet, in decoding order.
        shown: (n,) int64, number of the frame that each packet holds.
        packets: (n,) int64, number of the packet that holds each frame.
        keys: (k,) int64, packets that are marked as key frames, ascending, the first among them.
    """

    extradata: bytes
    width: int
    height: int
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    shown: NDArray[np.int64]
    packets: NDArray[np.int64]
    keys: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets)


def parse(data: bytes | memoryview) -> Track:
    """The video track of an MP4.

    Raises:
        NotPlain: no MP4, damaged, or more than this reader knows.
    """
    try:
        return _parse(memoryview(data))
    except (BoxFault, struct.error, IndexError, OverflowError) as error:
        raise NotPlain(f"the MP4 header cannot be read ({error})") from error


def _parse(data: memoryview) -> Track:
    file = _within(data, (0, len(data)))
    if b"ftyp" not in file or b"moov" not in file or b"moof" in file:
        raise NotPlain("no ftyp and moov, or fragments")
    movie = _within(data, _only(file, b"moov"))
    tracks = [_within(data, place) for place in movie.get(b"trak", ())]
    media = [_within(data, _only(track, b"mdia")) for track in tracks]
    shows = [number for number, parts in enumerate(media) if _is_video(data, parts)]
    if len(shows) != 1:
        raise NotPlain(f"{len(shows)} video tracks, expected one")
    return _track(data, _only(movie, b"mvhd"), tracks[shows[0]], media[shows[0]])


def _within(data: memoryview, place: Place) -> Boxes:
    """The places of the boxes of each kind."""
    found: Boxes = {}
    for kind, begin, end in boxes(data, *place):
        found.setdefault(kind, []).append((begin, end))
    return found


def _only(boxes: Boxes, wanted: bytes) -> Place:
    """The place of the one box of its kind."""
    places = boxes.get(wanted, ())
    if len(places) != 1:
        raise NotPlain(f"{len(places)} boxes {wanted!r}, expected one")
    return places[0]


def _is_video(data: memoryview, media: Boxes) -> bool:
    begin, _ = _only(media, b"hdlr")
    return bytes(data[begin + 8 : begin + 12]) == b"vide"


def _track(data: memoryview, movie: Place, track: Boxes, media: Boxes) -> Track:
    _check_upright(data, movie, _only(track, b"tkhd"))
    tables = _within(data, _only(_within(data, _only(media, b"minf")), b"stbl"))
    extradata, width, height = _description(data, _only(tables, b"stsd"))
    lengths = _lengths(data, _only(tables, b"stsz"))
    count = len(lengths)
    offsets = _offsets(data, tables, lengths)
    times = _times(data, tables, count)
    packets = times.argsort(kind="stable")
    in_order = times[packets]
    if np.count_nonzero(in_order[1:] == in_order[:-1]):
        raise NotPlain("two frames are shown at one time")
    ticks = _timescale(data, _only(media, b"mdhd")), _timescale(data, movie)
    _check_edits(data, track, (int(in_order[0]), int(in_order[-1])), ticks)
    shown = np.empty(count, np.int64)
    shown[packets] = np.arange(count)
    keys = _array(data, _only(tables, b"stss"), ">u4") - 1 if b"stss" in tables else np.arange(count)
    if not len(keys) or keys[0] != 0 or np.count_nonzero(keys[1:] <= keys[:-1]) or keys[-1] >= count:
        raise NotPlain("key frames are not in order")
    return Track(extradata, width, height, offsets, lengths, shown, packets, keys)


def _array(data: memoryview, place: Place, kind: str, columns: int = 1) -> NDArray[np.int64]:
    """A full box's table: version and flags, a count, rows of big-endian numbers."""
    begin, end = place
    (count,) = struct.unpack_from(">I", data, begin + 4)
    size = np.dtype(kind).itemsize * columns
    if count > MAX_FRAMES or begin + 8 + count * size > end:
        raise NotPlain(f"a table declares {count} rows, {end - begin - 8} bytes are there")
    return np.frombuffer(data, kind, count * columns, begin + 8).astype(np.int64)


def _check_upright(data: memoryview, movie: Place, header: Place) -> None:
    """Matrices of the movie and of the track turn nothing (8.2.2, 8.3.2); times of version 1 are longer."""
    for (begin, _), before in ((movie, 36), (header, 40)):
        matrix = begin + before + (12 if data[begin] == 1 else 0)
        if bytes(data[matrix : matrix + 36]) != _UPRIGHT:
            raise NotPlain("pictures are turned")


def _timescale(data: memoryview, header: Place) -> int:
    """Ticks per second, in the header of a movie or of a track's media."""
    begin, _ = header
    ticks: int = struct.unpack_from(">I", data, begin + (20 if data[begin] == 1 else 12))[0]
    if not ticks:
        raise NotPlain("a clock without ticks")
    return ticks


def _description(data: memoryview, place: Place) -> tuple[bytes, int, int]:
    entries = _within(data, (place[0] + 8, place[1]))
    if list(entries) != [b"avc1"]:
        raise NotPlain("not one H.264 description")
    begin, end = _only(entries, b"avc1")
    width, height = struct.unpack_from(">HH", data, begin + 24)
    first, last = _only(_within(data, (begin + 78, end)), b"avcC")
    if not 7 <= last - first <= MAX_EXTRADATA:
        raise NotPlain(f"a configuration of {last - first} bytes")
    return bytes(data[first:last]), width, height


def _lengths(data: memoryview, place: Place) -> NDArray[np.int64]:
    begin, end = place
    fixed, count = struct.unpack_from(">II", data, begin + 4)
    if not 0 < count <= MAX_FRAMES:
        raise NotPlain(f"declares {count} frames, at most {MAX_FRAMES} are read")
    if fixed:
        return np.full(count, fixed, np.int64)
    return _array(data, (begin + 4, end), ">u4")


def _offsets(data: memoryview, tables: Boxes, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Packets follow one another within a chunk: `stsc` says how many each chunk holds, `stco` where chunks begin."""
    wide = b"co64" in tables
    chunks = _array(data, _only(tables, b"co64" if wide else b"stco"), ">u8" if wide else ">u4")
    runs = _array(data, _only(tables, b"stsc"), ">u4", 3).reshape(-1, 3)
    starts = lengths.cumsum() - lengths
    # Files of one track have one chunk.
    one = len(chunks) == len(runs) == 1 and runs[:, :2].tolist() == [[1, len(lengths)]]
    offsets = starts + (chunks if one else _shifts(chunks, runs, starts))
    # Subtracted, since a sum may overflow. Packets that share bytes could make a small file endless.
    outside = (offsets < 0) | (offsets > len(data) - lengths)
    if np.count_nonzero(outside) or starts[-1] + lengths[-1] > len(data):
        raise NotPlain("packets lie outside the file or share bytes")
    return offsets


def _shifts(chunks: NDArray[np.int64], runs: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) int64, how much further each packet lies than `starts`, where it would lie if nothing came between."""
    chunks_of_run = np.diff(np.append(runs[:, 0] - 1, len(chunks)))
    if not len(runs) or runs[0, 0] != 1 or (chunks_of_run < 0).any():
        raise NotPlain("chunks are not in order")
    per_chunk = np.repeat(runs[:, 1], chunks_of_run)
    if per_chunk.sum() != len(starts):
        raise NotPlain(f"chunks hold {per_chunk.sum()} packets, {len(starts)} are declared")
    first_of_chunk = np.cumsum(per_chunk) - per_chunk
    used = per_chunk > 0
    shift = chunks[used] - starts[first_of_chunk[used]]
    return np.asarray(np.repeat(shift, per_chunk[used]), np.int64)


def _times(data: memoryview, tables: Boxes, count: int) -> NDArray[np.int64]:
    """When each packet's frame is shown, in ticks from the first packet's decoding."""
    lasts = _per_packet(data, _only(tables, b"stts"), ">u4", count)
    times = lasts.cumsum() - lasts
    if b"ctts" in tables:
        times += _per_packet(data, _only(tables, b"ctts"), ">i4", count)
    return np.asarray(times, np.int64)


def _per_packet(data: memoryview, place: Place, kind: str, count: int) -> NDArray[np.int64]:
    """(count,) int64, a table that says for how many packets each value holds."""
    runs = _array(data, place, kind, 2).reshape(-1, 2)
    packets = runs[:, 0]
    if packets.sum() != count or np.count_nonzero(packets < 0):
        raise NotPlain(f"a table is of {packets.sum()} packets, {count} are declared")
    return np.asarray(runs[:, 1].repeat(packets), np.int64)


def _check_edits(data: memoryview, track: Boxes, times: tuple[int, int], ticks: tuple[int, int]) -> None:
    """An edit list may shift a track's time (encoders do, by the delay of B-frames); one that cuts is not plain.

    Args:
        times: when the first and the last frame are shown, in ticks.
        ticks: per second, of the media and of the movie; an edit begins in the first and lasts in the second.
    """
    if b"edts" not in track:
        return
    begin, end = _only(_within(data, _only(track, b"edts")), b"elst")
    (count,) = struct.unpack_from(">I", data, begin + 4)
    form, size = (">QqI", 20) if data[begin] == 1 else (">IiI", 12)
    if count > 2 or begin + 8 + count * size > end:
        raise NotPlain("more edits than one and a pause before it")
    edits = [struct.unpack_from(form, data, begin + 8 + number * size) for number in range(count)]
    if len(edits) == 2 and edits[0][1] == -1:
        del edits[0]
    if len(edits) != 1:
        raise NotPlain(f"{len(edits)} edits, expected one")
    lasts, first, _ = edits[0]
    if not 0 <= first <= times[0] or times[1] >= first + lasts * ticks[0] // ticks[1]:
        raise NotPlain("an edit list that cuts frames off")
