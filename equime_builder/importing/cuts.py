"""Which frames of a recording become the clip of an event: the event, and what lies still before and after it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from equime_loader.corpora.events import CorpusEvent, FrameFiles, Frames

# Of the frames from onset to offset. For one that is missing, the frame before it stands in: time keeps its pace.
MOST_MISSING = 0.1


@dataclass(frozen=True, slots=True)
class Cut:
    """Frame numbers of a clip in its recording, both included.

    The last one of a cut from a video may lie beyond its end, which only decoding tells.
    """

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


class CutRefused(ValueError):
    """An event that the copy's frames do not show; the message says why."""


def cut_event(event: CorpusEvent, others: Sequence[CorpusEvent], *, context_ms: float) -> Cut:
    """The event with its context: as many milliseconds as asked for, where no other event and no gap is in between.

    Args:
        context_ms: before the onset, and after the offset.
        others: the other events of the same recording. Of those that overlap with this one nothing is cut off.

    Raises:
        CutRefused: onset, apex or offset is missing, or more than a tenth of the frames between.
    """
    context = math.ceil(context_ms * event.fps / 1000)
    before = [other.offset + 1 for other in others if other.offset < event.onset]
    after = [other.onset - 1 for other in others if other.onset > event.offset]
    first = event.onset if _lies_within(event.onset, others) else max([event.onset - context, *before])
    last = event.offset if _lies_within(event.offset, others) else min([event.offset + context, *after])
    if not isinstance(event.frames, FrameFiles):
        return Cut(max(first, event.frames.first), last)
    has = event.frames.paths
    _check_event(event, event.frames)
    onward = next((number - 1 for number in range(event.offset + 1, last + 1) if number not in has), last)
    backward = next((number + 1 for number in range(event.onset - 1, first - 1, -1) if number not in has), first)
    return Cut(backward, onward)


def _lies_within(number: int, others: Sequence[CorpusEvent]) -> bool:
    return any(other.onset <= number <= other.offset for other in others)


def _check_event(event: CorpusEvent, frames: FrameFiles) -> None:
    moments = {"onset": event.onset, "apex": event.apex, "offset": event.offset}
    for moment, number in moments.items():
        if number not in frames.paths:
            numbers = list(frames.paths)
            there = f"the copy has {len(numbers)} frames within {numbers[0]}..{numbers[-1]}"
            raise CutRefused(f"its {moment} frame {number} is missing; {there}")
    length = event.offset - event.onset + 1
    missing = sum(number not in frames.paths for number in range(event.onset, event.offset + 1))
    if missing > MOST_MISSING * length:
        raise CutRefused(f"{missing} of the {length} frames from onset to offset are missing")


def bounds(frames: Frames) -> tuple[int, int] | None:
    """First and last frame number of a recording, None for a video, whose end only decoding tells."""
    if not isinstance(frames, FrameFiles):
        return None
    numbers = list(frames.paths)
    return numbers[0], numbers[-1]
