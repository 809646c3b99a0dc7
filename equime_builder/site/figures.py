"""What a page counts: composition, events, quality and verdicts of a whole dataset, from its index alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from equime_builder.acceptance import Fate, Judged, Row, acceptance_of, count_fates, judged
from equime_builder.audit.report import kind
from equime_builder.counts import activations, coded, event_times
from equime_builder.documents.measures import MEASURED
from equime_builder.manifest import Commit
from equime_builder.plan import UNKNOWN, Plan, rejected_left

GROUPS = ("emotion", "apparent_gender", "apparent_race", "age_group")
REVIEW = "review_verdict"
COLUMNS = (
    *("subject", "split", "fps", "width", "height", "onset_ms", "apex_ms", "offset_ms", "aus", *GROUPS, *MEASURED),
    *("key", "attempt", "audit_verdict", "audit_reasons", REVIEW),
)
BIN_MS, BIN_INTENSITY = 20.0, 0.1


@dataclass(frozen=True, slots=True)
class Counted:
    """Clips and subjects by the words of a label."""

    title: str
    words: tuple[str, ...]
    clips: tuple[int, ...]
    subjects: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of equal bins: `edges` has one more than `counts`."""

    title: str
    unit: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    median: float


@dataclass(frozen=True, slots=True)
class Verdicts:
    """How many clips were accepted; the first row is all clips.

    Attributes:
        planned: whether `rows` count what was planned, refused clips included; else what was judged.
        unjudged: clips of which nothing was said.
        reasons: how often each kind of reason for a refusal was given, where it is known.
        left: rejected clips that an edition has left out; nothing else is told then.
    """

    title: str
    planned: bool
    rows: tuple[Row, ...]
    unjudged: int
    reasons: Mapping[str, int]
    left: int = 0


def counted(index: pa.Table) -> list[Counted]:
    """Clips and subjects by emotion and by group."""
    subject = coded(index, "subject")[1]
    tables = []
    for name in GROUPS:
        words, code = coded(index, name)
        clips = np.bincount(code, minlength=len(words))
        pairs = np.unique(np.stack([code, subject]), axis=1)
        subjects = np.bincount(pairs[0], minlength=len(words))
        tables.append(
            Counted(name.replace("_", " ").capitalize(), words, tuple(map(int, clips)), tuple(map(int, subjects)))
        )
    return tables


def histograms(index: pa.Table) -> list[Histogram]:
    """Durations of events and peak intensities of AUs."""
    return [
        *_histogram("Duration", "ms", event_times(index)[0], BIN_MS),
        *_histogram("Peak intensity of an AU", "of 5", activations(index)[3], BIN_INTENSITY),
    ]


def _histogram(title: str, unit: str, values: NDArray[np.floating], width: float) -> list[Histogram]:
    values = values[np.isfinite(values)]
    if not len(values):
        return []
    width *= max(1.0, np.ceil((values.max() - values.min()) / width / 60))  # at most about 60 bars
    first, last = np.floor(values.min() / width), np.floor(values.max() / width) + 1
    edges = width * np.arange(first, last + 1)
    counts = np.histogram(values, edges)[0]
    return [Histogram(title, unit, tuple(edges.tolist()), tuple(map(int, counts)), float(np.median(values)))]


def verdicts(index: pa.Table, plan: Plan, commits: Sequence[Commit]) -> list[Verdicts]:
    """What audit and experts said, by emotion and group; nothing where nobody judged.

    An audit of a whole dataset is counted against its plan: an index no longer holds what was refused.
    """
    if left := rejected_left(plan.header):
        return [Verdicts("", False, (), 0, {}, left)]
    found = []
    if judged(plan, index) is not Judged.NONE:
        report = acceptance_of(plan, index, commits)
        reasons: Counter[str] = Counter()
        for reason, count in report.reasons.items():
            reasons[kind(reason)] += count
        whole = report.extent is Judged.ALL
        found.append(Verdicts("Audit", whole, report.rows, report.unjudged, dict(reasons.most_common())))
    return [one for one in (*found, _reviewed(index)) if one.rows]


def _reviewed(index: pa.Table) -> Verdicts:
    """The verdicts of experts, of those clips that have one."""
    said = index.filter(pc.is_valid(index[REVIEW])).select([REVIEW, *GROUPS, "split"]).to_pylist()
    fates = (
        Fate(("all", *(row[group] or UNKNOWN for group in GROUPS), row["split"]), False, 0 if accepted else None, True)
        for row in said
        for accepted in (row[REVIEW] == "accepted",)
    )
    return Verdicts("Experts", False, count_fates(fates), len(index) - len(said), {})
