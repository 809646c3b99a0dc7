"""Which requests bring a set of ranges: neighbors together, and almost nothing that was not asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Between two members of a sample lie a tar header and padding, 512 to 1023 bytes: always less than a request costs.
SMALL_GAP = 2048
# Larger gaps, such as the labels between two videos, are read along when they are small against both neighbors: a
# request reads 1/6 too much at the most, and only where both neighbors are wanted.
GAP_SHARE = 6
# A request that fails is made again: what is lost with it is bounded, and long runs are shared out to connections.
MAX_SPAN = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Span:
    """One request: `length` bytes from `start`, which bring the ranges numbered `members`."""

    start: int
    length: int
    members: tuple[int, ...]

    @property
    def end(self) -> int:
        return self.start + self.length


def spans(ranges: Sequence[tuple[int, int]]) -> list[Span]:
    """The requests for `ranges` of ``(start, length)``, by start. Empty ranges are in none of them."""
    merged: list[Span] = []
    for number in sorted(range(len(ranges)), key=lambda number: ranges[number]):
        start, length = ranges[number]
        if not length:
            continue
        if merged and _belong_together(last := merged[-1], start, length):
            end = max(last.end, start + length)
            merged[-1] = Span(last.start, end - last.start, (*last.members, number))
        else:
            merged.append(Span(start, length, (number,)))
    return merged


def _belong_together(last: Span, start: int, length: int) -> bool:
    gap = start - last.end
    if gap <= 0 and start + length <= last.end:
        return True
    if max(last.end, start + length) - last.start > MAX_SPAN:
        return False
    return bool(together(gap, min(last.length, length)))


def together(gap: Any, smaller: Any) -> Any:
    """Whether neighbors are read in one request, by the bytes between them and of the smaller; numbers or arrays."""
    return (gap <= SMALL_GAP) | (gap <= smaller // GAP_SHARE)
