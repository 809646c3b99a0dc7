"""Which frames of a clip a model sees: pure functions of the event's frames and the clip's rate."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from equime_loader.arguments import check_kind

Moment = Literal["onset", "apex", "offset"]
MOMENTS = ("onset", "apex", "offset")
MAX_WINDOW = 10_000
MAX_FRAMES, MAX_FPS = 1_000_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Event:
    """When a clip's expression happens, in frames of the clip, and the clip's length and rate.

    Raises:
        ValueError: frames out of order or outside the clip, more than 1,000,000 of them, or a rate that is none.
    """

    onset: int
    apex: int
    offset: int
    frames: int
    fps: float

    def __post_init__(self) -> None:
        if not 0 <= self.onset <= self.apex <= self.offset < self.frames <= MAX_FRAMES:
            raise ValueError(f"{self} must satisfy 0 <= onset <= apex <= offset < frames <= {MAX_FRAMES}")
        if not 0 < self.fps <= MAX_FPS:
            raise ValueError(f"{self}: fps must lie within 0..{MAX_FPS}")


@dataclass(frozen=True, slots=True)
class Window:
    """Frames around a moment, spread over the event, or all; made by the four functions below.

    Attributes:
        kind: `around`, `spread` or `whole`. moment: around which. length: in `unit`. before: how much of the length
            lies before the moment. frames: how many are taken, None for as many as there are.
    """

    kind: Literal["around", "spread", "whole"]
    moment: Moment = "apex"
    unit: Literal["frames", "ms"] = "frames"
    length: float = 0.0
    before: float = 0.0
    frames: int | None = None

    @staticmethod
    def around(moment: Moment = "apex", frames: int = 16, *, before: int | None = None) -> Window:
        """`frames` frames, `before` of them (half by default) before the moment.

        Raises:
            ValueError: an unknown moment, `frames` outside 1..10,000, `before` outside 0..frames.
        """
        _check_moment(moment)
        _check_frames(frames)
        before = frames // 2 if before is None else before
        _check_whole(before=before)
        if not 0 <= before <= frames:
            raise ValueError(f"{before=} must lie within 0..{frames}, the frames of the window")
        return Window("around", moment, "frames", frames, before, frames)

    @staticmethod
    def around_ms(
        moment: Moment = "apex", milliseconds: float = 160.0, *, before: float | None = None, frames: int | None = None
    ) -> Window:
        """`milliseconds` around the moment, at the clip's rate, or as `frames` frames whatever its rate.

        Raises:
            ValueError: an unknown moment, a time that is not positive, `before` outside it, `frames` outside 1..10,000.
        """
        _check_moment(moment)
        for name, value in (("milliseconds", milliseconds), ("before", 0 if before is None else before)):
            check_kind(name, value, Real, "a number")
        if not 0 < milliseconds < 1e7:
            raise ValueError(f"{milliseconds=} must lie within 0..10,000,000")
        before = milliseconds / 2 if before is None else before
        if not 0 <= before <= milliseconds:
            raise ValueError(f"{before=} must lie within 0..{milliseconds:g}, the milliseconds of the window")
        if frames is not None:
            _check_frames(frames)
        return Window("around", moment, "ms", milliseconds, before, frames)

    @staticmethod
    def spread(frames: int = 16) -> Window:
        """`frames` frames spread evenly from onset to offset, both included.

        Raises:
            ValueError: `frames` outside 1..10,000.
        """
        _check_frames(frames)
        return Window("spread", frames=frames)

    @staticmethod
    def whole() -> Window:
        """All frames of the clip."""
        return Window("whole")

    def indices(self, event: Event) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Frames to show, (T,) int64, and which of them the clip has, (T,) bool; the others repeat its ends."""
        if self.kind == "whole":
            indices = np.arange(event.frames)
        elif self.kind == "spread":
            assert self.frames is not None
            places = np.linspace(event.onset, event.offset, self.frames)
            if self.frames == 1:
                places[:] = event.apex
            indices = _nearest(places)
        else:
            per_unit = 1.0 if self.unit == "frames" else event.fps / 1000
            moment = {"onset": event.onset, "apex": event.apex, "offset": event.offset}[self.moment]
            count = max(1, round(self.length * per_unit))
            if count > MAX_WINDOW:
                raise ValueError(f"{self.length:g} ms are {count} frames at {event.fps:g} fps; at most {MAX_WINDOW}")
            start = moment - round(self.before * per_unit)
            indices = np.arange(start, start + count)
            if self.frames is not None and self.frames != count:
                # The middles of `frames` equal parts, so that the window is covered evenly.
                indices = _nearest(start - 0.5 + (np.arange(self.frames) + 0.5) * count / self.frames)
        inside = (indices >= 0) & (indices < event.frames)
        return np.minimum(np.maximum(indices, 0), event.frames - 1), inside

    def __str__(self) -> str:
        if self.kind == "whole":
            return "whole clip"
        if self.kind == "spread":
            return f"{self.frames} frames from onset to offset"
        taken = f" as {self.frames} frames" if self.unit == "ms" and self.frames else ""
        return f"{self.length:g} {self.unit} around {self.moment}, {self.before:g} before{taken}"


def _check_moment(moment: str) -> None:
    if moment not in MOMENTS:
        raise ValueError(f"{moment=} must be one of {', '.join(MOMENTS)}")


def _check_frames(frames: int) -> None:
    _check_whole(frames=frames)
    if not 1 <= frames <= MAX_WINDOW:
        raise ValueError(f"{frames=} must lie within 1..{MAX_WINDOW}")


def _check_whole(**values: int) -> None:
    for name, value in values.items():
        if not isinstance(value, Integral):
            raise ValueError(f"{name}={value!r} must be a whole number")


def _nearest(places: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.floor(places + 0.5).astype(np.int64)
