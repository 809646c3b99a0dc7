"""Spotting: intervals found in long videos against annotated ones, by the rules of MEGC, and what is made of them.

A found interval is right if it overlaps an annotated one by an intersection over union of at least 0.5, frames counted
inclusively; each annotated interval is found once, each found one counts once. TP, FP and FN are summed over all videos
before precision, recall and F1 are made of them. (MEGC2020: Li et al., "MEGC2020 - The Third Facial Micro-Expression
Grand Challenge", FG 2020.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

LEAST_IOU = 0.5

Verdict = Literal["TP", "FP", "FN"]


@dataclass(frozen=True, slots=True)
class Interval:
    """An expression in a video.

    Attributes:
        video: what tells the video apart from all others, such as `subject/clip`.
        onset, offset: first and last frame.
        expression: `micro` or `macro`, empty where it is not told apart.
        label: class of the emotion, None where it is not told.
    """

    video: str
    onset: int
    offset: int
    expression: str = ""
    label: str | None = None

    def __post_init__(self) -> None:
        if self.onset > self.offset:
            raise ValueError(f"{self.video}: onset={self.onset} must not lie after offset={self.offset}")


def iou(one: Interval, other: Interval) -> float:
    """Intersection over union of two intervals' frames, 0 to 1; frames are counted inclusively.

    Intervals that only touch end to start share no frame. (The published baseline of MEGC2020 counts one there.)
    """
    shared = min(one.offset, other.offset) - max(one.onset, other.onset) + 1
    lengths = (one.offset - one.onset + 1) + (other.offset - other.onset + 1)
    return max(shared, 0) / (lengths - max(shared, 0))


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log: an annotated interval, a found one, or both where they match."""

    truth: Interval | None
    found: Interval | None
    iou: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """TP where both match, FN for an annotated interval alone, FP for a found one alone."""
        return "FN" if self.found is None else "FP" if self.truth is None else "TP"

    @property
    def interval(self) -> Interval:
        """The annotated interval, or the found one where there is none."""
        interval = self.truth or self.found
        assert interval is not None
        return interval


@dataclass(frozen=True, slots=True)
class Spotting:
    """What was spotted, line by line, in the order of the videos and frames."""

    lines: tuple[Line, ...]

    def count(self, verdict: Verdict) -> int:
        """Lines of one verdict."""
        return sum(line.verdict == verdict for line in self.lines)

    @property
    def precision(self) -> float:
        """TP / (TP + FP), 0 where nothing was found."""
        return _ratio(self.count("TP"), self.count("TP") + self.count("FP"))

    @property
    def recall(self) -> float:
        """TP / (TP + FN), 0 where there is nothing to find."""
        return _ratio(self.count("TP"), self.count("TP") + self.count("FN"))

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), 0 where there is nothing at all."""
        return _ratio(2 * self.count("TP"), 2 * self.count("TP") + self.count("FP") + self.count("FN"))

    def of(self, expression: str) -> Spotting:
        """The lines of micro- or of macro-expressions alone."""
        return Spotting(tuple(line for line in self.lines if line.interval.expression == expression))

    def log(self) -> Iterator[dict[str, str | int | float]]:
        """A row for each line: video, expression, frames of the annotated and of the found interval, IoU, verdict."""
        for line in self.lines:
            yield {
                "video": line.interval.video,
                "expression": line.interval.expression,
                "onset": "" if line.truth is None else line.truth.onset,
                "offset": "" if line.truth is None else line.truth.offset,
                "found_onset": "" if line.found is None else line.found.onset,
                "found_offset": "" if line.found is None else line.found.offset,
                "iou": round(line.iou, 4),
                "verdict": line.verdict,
            }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def spot(truth: Iterable[Interval], found: Iterable[Interval], *, least_iou: float = LEAST_IOU) -> Spotting:
    """Match found intervals with annotated ones of the same video and kind of expression.

    Of all one-to-one matchings whose pairs reach `least_iou`, the one with most pairs counts, and of those the one
    whose IoUs add up to most; so no order of the intervals changes a score.

    Raises:
        ValueError: `least_iou` outside of (0, 1], or one side tells expressions apart and the other does not.
    """
    if not 0 < least_iou <= 1:
        raise ValueError(f"{least_iou=} must lie above 0 and at most at 1")
    wanted, given = _by_video(truth), _by_video(found)
    kinds = [{kind for _, kind in groups} for groups in (wanted, given)]
    if kinds[0] and kinds[1] and ("" in kinds[0]) != ("" in kinds[1]):
        raise ValueError("expression must be given of annotated and found intervals alike, or of none; see `unkinded`")
    lines: list[Line] = []
    for place in sorted(wanted.keys() | given.keys()):
        lines += _matched(wanted.get(place, []), given.get(place, []), least_iou)
    return Spotting(tuple(sorted(lines, key=lambda line: (line.interval.video, line.interval.onset))))


def unkinded(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """The intervals without their kind of expression, for methods that do not tell micro from macro."""
    return tuple(replace(interval, expression="") for interval in intervals)


def _by_video(intervals: Iterable[Interval]) -> dict[tuple[str, str], list[Interval]]:
    groups: dict[tuple[str, str], list[Interval]] = {}
    for interval in intervals:
        groups.setdefault((interval.video, interval.expression), []).append(interval)
    return {place: sorted(group, key=lambda i: (i.onset, i.offset)) for place, group in groups.items()}


def _matched(truth: Sequence[Interval], found: Sequence[Interval], least_iou: float) -> Iterator[Line]:
    """Lines of one video."""
    from scipy.optimize import linear_sum_assignment

    overlaps = np.array([[iou(one, other) for other in found] for one in truth]).reshape(len(truth), len(found))
    # A pair more outweighs any sum of IoUs.
    worth = np.where(overlaps >= least_iou, overlaps + min(overlaps.shape) + 1, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    partner = {int(row): int(column) for row, column in zip(rows, columns, strict=True) if worth[row, column] > 0}
    for row, interval in enumerate(truth):
        column = partner.get(row)
        yield Line(interval, None) if column is None else Line(interval, found[column], float(overlaps[row, column]))
    for column in sorted(set(range(len(found))) - set(partner.values())):
        yield Line(None, found[column])


@dataclass(frozen=True, slots=True)
class Analysis:
    """Recognition of what was spotted, and both together.

    Attributes:
        spotted: intervals that were found and have a class. precision, recall: means over the classes.
        f1: of these two means. mean_f1: mean of the classes' F1. strs: F1 of spotting times `f1`.
    """

    spotted: int
    precision: float
    recall: float
    f1: float
    mean_f1: float
    strs: float


def analyze(spotting: Spotting, classes: Collection[str]) -> Analysis:
    """The spot-then-recognize score (STRS): F1 of spotting times F1 of the emotions of what was spotted.

    Liong, See & Chan, "Spot-then-recognize: A micro-expression analysis network for seamless evaluation of long
    videos", Signal Processing: Image Communication 110, 2023. Emotions are judged on intervals that were found; F1 is
    the harmonic mean of precision and recall, each the mean over the classes. A class that was never spotted counts 0.

    Args:
        classes: that are judged; intervals of another, such as `others`, are spotted and not judged.

    Raises:
        ValueError: no classes, or a spotted interval of theirs whose found label is not given.
    """
    if not classes:
        raise ValueError("classes: at least one is needed")
    pairs = [
        (line.truth.label, line.found.label)
        for line in spotting.lines
        if line.truth is not None and line.found is not None and line.truth.label in classes
    ]
    if any(said is None for _, said in pairs):
        raise ValueError("label must be given of every found interval to tell how well emotions are recognized")
    right = {word: sum(pair == (word, word) for pair in pairs) for word in classes}
    precisions = [_ratio(right[word], sum(said == word for _, said in pairs)) for word in classes]
    recalls = [_ratio(right[word], sum(true == word for true, _ in pairs)) for word in classes]
    precision, recall = float(np.mean(precisions)), float(np.mean(recalls))
    f1 = _ratio(2 * precision * recall, precision + recall)
    each = [_ratio(2 * p * r, p + r) for p, r in zip(precisions, recalls, strict=True)]
    return Analysis(len(pairs), precision, recall, f1, float(np.mean(each)), spotting.f1 * f1)
