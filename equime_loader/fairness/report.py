"""The report of model fairness: what it holds, and how it is printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from equime_loader.fairness import formulas
from equime_loader.fairness.figures import number, plain
from equime_loader.fairness.formulas import SCORES, TITLES
from equime_loader.tables import counted, percent, text_table

Matrix = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its percentile interval over subjects; NaN where not defined."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        interval = f" ({number(self.low)}–{number(self.high)})" if np.isfinite(self.low) else ""
        return number(self.value) + interval


@dataclass(frozen=True, slots=True)
class Group:
    """A group's clips and scores.

    Attributes:
        confusion: (C, C) clips, rows true and columns predicted.
        too_small: why the group has no scores, else empty.
        scores: one for each of `SCORES`; empty where the group is too small.
        constant: the same scores of a model that always says the report's constant class.
        absent: classes without a true clip in this group, left out of its UF1 and UAR.
    """

    name: str
    clips: int
    subjects: int
    confusion: Matrix
    too_small: str
    scores: Mapping[str, Estimate]
    constant: Mapping[str, float]
    absent: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """How far a score lies apart in the groups that are large enough.

    Attributes:
        worst, best: names of groups.
        gap: largest minus least. by_chance: the gap that random groups exceed in a share 1 - confidence of cases.
        ratio: least over largest.
    """

    score: str
    worst: str
    best: str
    gap: Estimate
    by_chance: float
    ratio: Estimate


@dataclass(frozen=True, slots=True)
class Criterion:
    """A criterion of `formulas` over the groups that are large enough.

    Attributes:
        by_chance: what random groups exceed (disparate impact: fall below) in a share 1 - confidence of the cases.
    """

    name: str
    value: Estimate
    by_chance: float


@dataclass(frozen=True, slots=True)
class FairnessReport:
    """Model fairness by one attribute, or several crossed; prints as tables.

    Attributes:
        unknown: clips whose group is unknown; they count in `overall` alone.
        constant_class: the most frequent class.
        gaps, criteria: over the groups that are large enough; empty where fewer than two are.
        notes: what was left out, and why.
    """

    attribute: str
    classes: tuple[str, ...]
    unknown: int
    constant_class: str
    overall: Group
    groups: tuple[Group, ...]
    gaps: tuple[Gap, ...]
    criteria: tuple[Criterion, ...]
    resamples: int
    confidence: float
    seed: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything, as values that JSON holds; null where a figure is not defined."""
        report: dict[str, Any] = plain(self)
        return report

    def to_arrow(self) -> pa.Table:
        """A row per figure: attribute, group (null across groups), metric, value, low, high, and what to read it with.

        `reference` is the constant class's score beside a group's score, and the value by chance beside a gap or a
        criterion. `clips` counts what the figure rests on: of recall, the clips of the class.
        """
        rows = [row for group in (self.overall, *self.groups) for row in self._rows(group)]
        clips, subjects = (sum(getattr(group, name) for group in self._compared) for name in ("clips", "subjects"))
        for item in self.gaps:
            note = f"worst {item.worst}, best {item.best}"
            rows.append(_row(None, f"{item.score} gap", item.gap, item.by_chance, clips, subjects, note))
            rows.append(_row(None, f"{item.score} ratio", item.ratio, None, clips, subjects, note))
        for criterion in self.criteria:
            rows.append(_row(None, criterion.name, criterion.value, criterion.by_chance, clips, subjects, ""))
        return pa.Table.from_pylist([{"attribute": self.attribute, **row} for row in rows], schema=_ARROW)

    @property
    def _compared(self) -> tuple[Group, ...]:
        return tuple(group for group in self.groups if not group.too_small)

    def _rows(self, group: Group) -> list[dict[str, Any]]:
        size = (group.clips, group.subjects)
        if group.too_small:
            note = f"too small: {group.too_small}"
            return [_row(group.name, name, None, group.constant[name], *size, note) for name in SCORES]
        note = f"without {', '.join(group.absent)}" if group.absent else ""
        rows = [
            _row(group.name, name, score, group.constant[name], *size, note) for name, score in group.scores.items()
        ]
        clips = np.sum(group.confusion, axis=1)
        for word, share, count in zip(self.classes, formulas.recall(group.confusion), clips, strict=True):
            rows.append(_row(group.name, f"recall of {word}", _bare(share), None, int(count), None, ""))
        for word, share in zip(self.classes, formulas.selection_rate(group.confusion), strict=True):
            rows.append(_row(group.name, f"selection rate of {word}", _bare(share), None, *size, ""))
        return rows

    def __str__(self) -> str:
        size = f"{counted(self.overall.clips, 'clip')} of {counted(self.overall.subjects, 'subject')}"
        drawn = f"{counted(self.resamples, 'resample')} of whole subjects"
        how = f"{percent(self.confidence, 1, 0)} percentile intervals of {drawn}"
        parts = [f"Fairness by {self.attribute}: {size}; {how}", self._scores(), *self._across(), self._recalls()]
        return "\n\n".join([*parts, self._confusion(), "\n".join(f"- {note}" for note in self.notes)])

    def _scores(self) -> str:
        titles = [TITLES[name] for name in SCORES]
        head = ("group", "clips", "subjects", *titles, *(f"constant {title}" for title in titles))
        rows = []
        for group in (self.overall, *self.groups):
            scores = [str(group.scores[name]) if group.scores else "too small" for name in SCORES]
            constant = [number(group.constant[name]) for name in SCORES]
            rows.append((group.name, f"{group.clips:,}", f"{group.subjects:,}", *scores, *constant))
        return text_table(head, rows)

    def _across(self) -> list[str]:
        if not self.gaps:
            return []
        head = ("across groups", "worst", "best", "gap", "gap by chance", "ratio")
        rows = [(TITLES[g.score], g.worst, g.best, str(g.gap), number(g.by_chance), str(g.ratio)) for g in self.gaps]
        criteria = [(item.name, str(item.value), number(item.by_chance)) for item in self.criteria]
        return [text_table(head, rows), text_table(("criterion", "value", "by chance"), criteria)]

    def _recalls(self) -> str:
        rows = []
        for group in (self.overall, *self._compared):
            pairs = zip(formulas.recall(group.confusion), np.sum(group.confusion, axis=1), strict=True)
            rows.append((group.name, *(f"{number(share)} of {count:,}" for share, count in pairs)))
        return text_table(("recall", *self.classes), rows)

    def _confusion(self) -> str:
        pairs = zip(self.classes, self.overall.confusion, strict=True)
        rows = ((word, *(f"{count:,}" for count in row)) for word, row in pairs)
        return text_table(("true \\ predicted", *self.classes), rows)


_ARROW = pa.schema(
    [
        *((name, pa.string()) for name in ("attribute", "group", "metric")),
        *((name, pa.float64()) for name in ("value", "low", "high", "reference")),
        *((name, pa.int64()) for name in ("clips", "subjects")),
        ("note", pa.string()),
    ]
)


def _row(
    group: str | None,
    metric: str,
    estimate: Estimate | None,
    reference: float | None,
    clips: int,
    subjects: int | None,
    note: str,
) -> dict[str, Any]:
    figures = (estimate.value, estimate.low, estimate.high) if estimate else (None, None, None)
    values = (group, metric, *(plain(value) for value in (*figures, reference)), clips, subjects, note)
    return dict(zip(_ARROW.names[1:], values, strict=True))


def _bare(value: float) -> Estimate:
    return Estimate(float(value), float("nan"), float("nan"))
