"""The acceptance report: how many clips show their label, by emotion and group, before and after topping up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from equime_builder import manifest
from equime_builder.dataset_folder import check_complete
from equime_builder.manifest import Commit
from equime_builder.plan import Plan, stratum
from equime_builder.portrait_table import subject_from_row
from equime_builder.portraits import Rejection

LABELS = ("all", "emotion", "apparent gender", "apparent race", "age group", "split")
Z_95 = 1.959964


@dataclass(frozen=True, slots=True)
class Row:
    """Clips of one value of a label.

    Attributes:
        planned: by the plan, without the reserve. first: accepted at the first attempt. accepted: at any attempt.
        low, high: 95 % interval of accepted / planned (Wilson 1927).
        stood_in: clips of the reserve that were taken. final: what the dataset holds, refused clips that stay included.
    """

    label: str
    value: str
    planned: int
    first: int
    accepted: int
    low: float
    high: float
    stood_in: int
    final: int


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A folder's acceptance: one row per value of each label, and how often each reason was given.

    Attributes:
        judged: whether an audit has judged what the clips show. Where none has, a clip is refused only because its
            motion is lost when it is encoded, and that it is accepted says no more than that.
    """

    rows: tuple[Row, ...]
    reasons: Mapping[str, int]
    judged: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"judged": self.judged, "rows": [asdict(row) for row in self.rows], "reasons": dict(self.reasons)}


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one clip.

    Attributes:
        values: its value of each of `LABELS`. attempt: the one that was accepted, None for none.
        held: whether the dataset holds the clip, accepted or not.
    """

    values: tuple[str, ...]
    reserve: bool
    attempt: int | None
    held: bool


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, J. Am. Stat. Assoc. 22, 1927); (0, 1) where nothing was tried."""
    if not trials:
        return 0.0, 1.0
    share, square = successes / trials, Z_95**2 / trials
    middle, half = share + square / 2, Z_95 * sqrt(share * (1 - share) / trials + square / (4 * trials))
    return max(0.0, (middle - half) / (1 + square)), min(1.0, (middle + half) / (1 + square))


def count_fates(fates: Iterable[Fate]) -> tuple[Row, ...]:
    """The rows of a report, in the order of `LABELS` and, in a label, of how many clips were planned."""
    counts: dict[tuple[int, str], Counter[str]] = {}
    for fate in fates:
        for place, value in enumerate(fate.values):
            counter = counts.setdefault((place, value), Counter())
            counter["final"] += fate.held
            if fate.reserve:
                counter["stood_in"] += fate.attempt is not None
                continue
            counter["planned"] += 1
            counter["first"] += fate.attempt == 0
            counter["accepted"] += fate.attempt is not None
    order = sorted(counts, key=lambda key: (key[0], -counts[key]["planned"], key[1]))
    return tuple(_row(LABELS[place], value, counts[place, value]) for place, value in order)


def _row(label: str, value: str, counter: Counter[str]) -> Row:
    planned, accepted, stood_in = (counter[name] for name in ("planned", "accepted", "stood_in"))
    low, high = wilson(accepted, planned)
    return Row(label, value, planned, counter["first"], accepted, low, high, stood_in, counter["final"])


def count_reasons(rejections: Sequence[Rejection]) -> dict[str, int]:
    """How often each reason was given, most often first; a clip may have several, and figures are left out."""
    counter = Counter(
        _without_figures(reason) for rejection in rejections for reason in rejection.reason.split("; ") if reason
    )
    return dict(counter.most_common())


def _without_figures(reason: str) -> str:
    words = reason.split(" (best of ", maxsplit=1)[0].split()
    return " ".join("…" if any(letter.isdigit() for letter in word) else word for word in words)


def acceptance(root: Path) -> Acceptance:
    """The acceptance report of a finished dataset folder.

    Raises:
        FolderError: it is not finished.
    """
    check_complete(root)
    index = pq.read_table(root / manifest.INDEX, columns=["key", "attempt", "audit_verdict", "audit_reasons"])
    return acceptance_of(manifest.read_plan(root), index, [commit for _, commit in manifest.committed(root)])


def acceptance_of(plan: Plan, index: pa.Table, commits: Iterable[Commit]) -> Acceptance:
    """The acceptance report of a plan, by the index and the lines of its shards."""
    columns = ["key", "attempt", "audit_verdict", "audit_reasons"]
    held = {row["key"]: row for row in index.select(columns).to_pylist()}
    attempts = {key: row["attempt"] for key, row in held.items() if row["audit_verdict"] != "rejected"}
    groups = {
        row["subject"]: stratum(subject_from_row(row).attributes)
        for row in plan.portraits.to_pylist()
        if row["subject"]
    }
    unused: set[str] = set()
    rejections = [Rejection(key, row["audit_reasons"] or "") for key, row in held.items() if key not in attempts]
    for commit in commits:
        unused |= set(commit.unused)
        rejections += commit.rejected
    reserve = {shard.number for shard in plan.shards if shard.reserve}
    rows = plan.clips.select(["key", "shard", "split", "emotion", "subject"]).to_pylist()
    fates = (
        Fate(
            ("all", row["emotion"], *groups[row["subject"]], row["split"]),
            row["shard"] in reserve,
            attempts.get(row["key"]),
            row["key"] in held,
        )
        for row in rows
        if row["key"] not in unused
    )
    judged = bool(plan.header["audit"]) or any(row["audit_verdict"] for row in held.values())
    return Acceptance(count_fates(fates), count_reasons(rejections), judged)
