"""Boxes of MP4 and MOV files, and how much they may claim: ISO/IEC 14496-12, 4.2."""

from __future__ import annotations

import struct
from collections.abc import Iterator

Place = tuple[int, int]
Box = tuple[bytes, int, int]

MAX_FRAMES = 1_000_000
# At one level of a file where nobody says else: far more than any plain file has.
MAX_BOXES = 1024
# What may hold the tables of frames, and where these say how many there are. FFmpeg believes them, since a table needs
# no byte for a frame where all frames have one size.
_PARENTS = frozenset((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"))
_COUNTS = {b"stsz": 8, b"stz2": 8, b"trun": 4}
_HEAD = struct.Struct(">I4s")


class BoxFault(ValueError):
    """Boxes that do not fit into one another, or claim what cannot be."""


def boxes(data: memoryview, start: int, end: int, *, most: int = MAX_BOXES) -> Iterator[Box]:
    """Kind, first and last byte of each box's contents between two places.

    Raises:
        BoxFault: a box larger than what is left, or more than `most`.
    """
    for _ in range(most):
        if start == end:
            return
        if end - start < 8:
            if any(data[start:end]):
                raise BoxFault("a box is cut off")
            return  # QuickTime ends some lists by a zero
        size, kind = _HEAD.unpack_from(data, start)
        head = 8
        if size == 1 and end - start >= 16:
            size, head = struct.unpack_from(">Q", data, start + 8)[0], 16
        elif size == 0:
            size = end - start
        if size < head or start + size > end:
            raise BoxFault(f"box {kind!r} declares {size} bytes, {end - start} are left")
        yield kind, start + head, start + size
        start += size
    if start != end:
        raise BoxFault(f"more than {most} boxes")


def check_claims(data: memoryview) -> None:
    """Check what a demuxer would take memory for, whatever else the file holds.

    Raises:
        BoxFault: boxes that do not fit, tables of frames that claim more than 1,000,000, or that are hidden.
    """
    claimed = tables = hidden = 0
    left = MAX_FRAMES
    places = [(0, len(data))]
    while places:
        begin, end = places.pop()
        for kind, first, last in boxes(data, begin, end, most=left):
            left -= 1
            if not begin and kind != b"mdat":
                head = bytes(data[first:last])
                hidden += sum(head.count(table) for table in _COUNTS) + head.count(b"cmov")
            if kind in _PARENTS:
                places.append((first, last))
            elif kind in _COUNTS and last - first >= _COUNTS[kind] + 4:
                tables += 1
                claimed += struct.unpack_from(">I", data, first + _COUNTS[kind])[0]
    if claimed > MAX_FRAMES:
        raise BoxFault(f"declares {claimed} frames, at most {MAX_FRAMES} are read")
    if hidden > tables:
        raise BoxFault("tables of frames where none belong")
