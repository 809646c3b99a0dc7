"""Which packets of an H.264 track some frames need: ITU-T H.264, 7.3.1 and 7.4.1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from equime_loader.video.mp4 import Track

_SLICE, _SLICE_OF_IDR = 1, 5
# Before a picture's first slice there may be a delimiter, parameter sets and messages: a few.
_UNITS_BEFORE_SLICE = 16


def packets_needed(track: Track, data: memoryview, indices: NDArray[np.int64]) -> list[int]:
    """Packets to decode, in their order: from each frame's key frame to the frame, without frames nobody refers to."""
    wanted = track.packets[indices]
    marked = track.keys.searchsorted(wanted, side="right") - 1
    needed: list[int] = []
    done = 0
    # numpy.unique would import masked arrays while somebody waits for a first batch.
    for mark in sorted(set(marked.tolist())):
        asked = set(wanted[marked == mark].tolist())
        last = max(asked)
        for number in range(_refresh(track, data, mark, done), last + 1):
            if number in asked or not _is_disposable(track, data, number):
                needed.append(number)
        done = last + 1
    return needed


def is_closed(track: Track, data: memoryview) -> bool:
    """Whether decoding can begin at every packet that is marked as a key frame."""
    return all(_first_slice(track, data, number)[0] == _SLICE_OF_IDR for number in track.keys.tolist())


def _refresh(track: Track, data: memoryview, mark: int, done: int) -> int:
    """Packet where decoding can begin, or go on where `done` packets are behind, for what follows the marked one.

    Encoders with open groups or gradual refresh also mark packets from which a decoder recovers after a while; frames
    near them refer to frames before. Nothing refers across an IDR picture.
    """
    while track.keys[mark] > done and _first_slice(track, data, track.keys[mark])[0] != _SLICE_OF_IDR:
        mark -= 1
    return max(done, int(track.keys[mark]))


def _is_disposable(track: Track, data: memoryview, number: int) -> bool:
    """Whether no other frame refers to this one: nal_ref_idc of its slices is 0."""
    return _first_slice(track, data, number)[1] == 0


def _first_slice(track: Track, data: memoryview, number: int) -> tuple[int, int]:
    """nal_unit_type and nal_ref_idc of a packet's first slice; (0, 1) where none is found: a packet to decode."""
    begin = int(track.offsets[number])
    end = begin + int(track.lengths[number])
    prefix = (track.extradata[4] & 3) + 1  # bytes of the length before each unit (ISO/IEC 14496-15, 5.3.3.1.2)
    for _ in range(_UNITS_BEFORE_SLICE):
        first = begin + prefix
        if first >= end:
            break
        kind, references = data[first] & 31, data[first] >> 5 & 3
        if kind in (_SLICE, _SLICE_OF_IDR):
            return kind, references
        begin = first + int.from_bytes(data[begin:first], "big")
    return 0, 1
