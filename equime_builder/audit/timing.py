"""Onset, apex and offset of a response curve."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]

# The decay slows toward the offset: position in it to this power, under the raised cosine.
DECAY = 0.8
LEAST_PHASE = 1  # frames from onset to apex, and from the end of the plateau to the offset


@dataclass(frozen=True, slots=True)
class Course:
    """An event in a curve, in frames: last neutral frame, peak from `apex` to `hold`, first neutral frame again.

    Attributes:
        before, peak, after: level of the curve before the event, in its plateau, after it.
        noise: standard deviation of the curve about the fit.
    """

    onset: float
    apex: float
    hold: float
    offset: float
    before: float
    peak: float
    after: float
    noise: float

    @property
    def height(self) -> float:
        """Of the peak above what was before."""
        return self.peak - self.before

    @property
    def residual(self) -> float:
        """Share of the peak that remains after the event, 0 where there is none."""
        return abs(self.after - self.before) / self.height if self.height > 0 else 0.0


def shapes(frames: int, times: NDArray[np.float64]) -> tuple[Curve, Curve]:
    """Rise and fall (N, T), each in [0, 1], of N events given by rows onset, apex, hold, offset.

    Raised cosines, which is how the intensity of a coded expression is commonly interpolated between its landmarks.
    """
    t = np.arange(frames, dtype=np.float64)[None]
    onset, apex, hold, offset = (times[:, column, None] for column in range(4))
    rise = np.clip((t - onset) / np.maximum(apex - onset, 1e-9), 0, 1)
    fall = np.clip((t - hold) / np.maximum(offset - hold, 1e-9), 0, 1)
    return 0.5 - 0.5 * np.cos(np.pi * rise), 0.5 + 0.5 * np.cos(np.pi * fall**DECAY)


def _levels(
    curve: Curve, weights: Curve, times: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least-squares levels before, peak, after (N, 3) of N events, and the squared error of each fit (N,)."""
    rise, fall = shapes(len(curve), times)
    late = np.arange(len(curve))[None] > (times[:, 1, None] + times[:, 2, None]) / 2
    basis = np.stack([np.where(late, 0, 1 - rise), np.where(late, fall, rise), np.where(late, 1 - fall, 0)], axis=1)
    weighted = basis * weights
    gram = weighted @ basis.transpose(0, 2, 1) + 1e-6 * np.eye(3)
    levels = np.linalg.solve(gram, (weighted @ curve)[..., None])[..., 0]
    errors = ((curve - np.einsum("nk,nkt->nt", levels, basis)) ** 2) @ weights
    return levels, errors


def _start(curve: Curve, peak: int) -> NDArray[np.float64]:
    """A first guess: from the crossings of a quarter and three quarters of the peak on either side."""
    top, t = curve[peak], len(curve)

    def crossing(step: int, share: float) -> int:
        place = peak
        while 0 < place < t - 1 and curve[place] > share * top:
            place += step
        return place

    low, high = crossing(-1, 0.25), crossing(-1, 0.75)
    fall_high, fall_low = crossing(1, 0.75), crossing(1, 0.25)
    # A raised cosine crosses a quarter and three quarters at a third and two thirds of its way.
    rise, fall = max(high - low, 1), max(fall_low - fall_high, 1)
    guess = np.array([low - rise, high + rise, fall_high - fall, fall_low + fall], np.float64)
    guess[1:3] = min(guess[1], peak), max(guess[2], peak)
    return np.clip(guess, 0, t - 1)


def fit_event(curve: Curve, peak: int, without: Collection[int] = ()) -> Course:
    """Fit the event around frame `peak` of a curve (T,) that is near 0 at rest, by descent in its four times.

    Sub-frame, since every frame of the rise and the fall speaks for the times. Levels before and after are free: what
    an encoder changes at a key frame is no motion.

    Args:
        without: frames that say nothing of the event, as those of a blink.

    Raises:
        ValueError: fewer than 8 frames.
    """
    if len(curve) < 8:
        raise ValueError(f"curve of {len(curve)} frames: at least 8 are needed")
    weights = np.ones(len(curve))
    weights[list(without)] = 0.0
    best = _ordered(_start(curve, peak)[None], len(curve))[0]
    levels, errors = (values[0] for values in _levels(curve, weights, best[None]))
    for step in (8.0, 4.0, 2.0, 1.0, 0.5, 0.25):
        for _ in range(12):
            tried = _ordered(best + step * _MOVES, len(curve))
            tried_levels, tried_errors = _levels(curve, weights, tried)
            first = int(np.argmin(tried_errors))
            if not tried_errors[first] < errors * (1 - 1e-9):
                break
            best, levels, errors = tried[first], tried_levels[first], tried_errors[first]
    onset, apex, hold, offset = (float(value) for value in best)
    before, top, after = (float(level) for level in levels)
    return Course(onset, apex, hold, offset, before, top, after, float(np.sqrt(errors / max(weights.sum(), 1))))


# One time alone, the plateau, a whole flank, the event.
_MOVES = np.array(
    [
        sign * np.array(move, np.float64)
        for move in (
            (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (0, 1, 1, 0), (1, 1, 0, 0), (0, 0, 1, 1),
            (1, 1, 1, 1), (-1, 1, 0, 0), (0, 0, -1, 1),
        )
        for sign in (1, -1)
    ]
)  # fmt: skip


def _ordered(times: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    """Times (N, 4) kept within the clip and in order."""
    onset = np.clip(times[:, 0], 0, frames - 3)
    apex = np.clip(times[:, 1], onset + LEAST_PHASE, frames - 2)
    hold = np.clip(times[:, 2], apex, frames - 2)
    offset = np.clip(times[:, 3], hold + LEAST_PHASE, frames - 1)
    return np.stack([onset, apex, hold, offset], axis=1)
