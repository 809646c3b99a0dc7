"""The acceptance report: how many clips show their label, by emotion and group, before and after topping up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from equime_builder import manifest
from equime_builder.dataset_folder import check_complete
from equime_builder.manifest import Commit
from equime_builder.plan import Plan, rejected_left, stratum
from equime_builder.portrait_table import subject_from_row
from equime_builder.portraits import Rejection

LABELS = ("all", "emotion", "apparent gender", "apparent race", "age group", "split")


class Judged(Enum):
    """Of how many of a folder's clips an audit has said what their frames show."""

    NONE = "none"
    SOME = "some"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Row:
    """Clips of one value of a label.

    Attributes:
        planned: by the plan, without the reserve; where an audit has judged some clips only, those.
        first: accepted at the first attempt. accepted: at any attempt.
        low, high: 95% interval of accepted / planned (Wilson 1927).
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

    @property
    def share(self) -> str:
        """Accepted of planned, as people read it."""
        return f"{self.accepted / self.planned:.0%}" if self.planned else "–"

    @property
    def between(self) -> str:
        """Its interval, as people read it."""
        return f"{100 * self.low:.0f}–{self.high:.0%}" if self.planned else "–"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A folder's acceptance: one row per value of each label, and how often each reason was given.

    Attributes:
        extent: of how many clips an audit has judged what they show. Where of none, a clip is refused only because its
            motion is lost when it is encoded, and that it is accepted says no more than that. Where of some, rows and
            reasons are of those alone.
        unjudged: clips of the folder that the audit left out, where it has judged some only.
        left: rejected clips that an edition has left out. Rows are then of those that stayed, whose shares say nothing.
    """

    rows: tuple[Row, ...]
    reasons: Mapping[str, int]
    extent: Judged
    unjudged: int = 0
    left: int = 0

    @property
    def judged(self) -> bool:
        """Whether an audit has judged what any clip shows."""
        return self.extent is not Judged.NONE

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        rows = [asdict(row) for row in self.rows]
        about = {"judged": self.judged, "unjudged": self.unjudged, "left": self.left}
        return {**about, "rows": rows, "reasons": dict(self.reasons)}


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
    """95% interval of a share (Wilson, J. Am. Stat. Assoc. 22, 1927); (0, 1) where nothing was tried."""
    from scipy.stats import binomtest  # takes a second to import

    if not trials:
        return 0.0, 1.0
    interval = binomtest(successes, trials).proportion_ci(0.95, "wilson")
    return float(interval.low), float(interval.high)


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


def judged(plan: Plan, index: pa.Table) -> Judged:
    """How many clips an audit has judged, while they were built or afterwards."""
    verdicts = len(index) - index["audit_verdict"].null_count
    if plan.header["audit"] or 0 < verdicts == len(index):
        return Judged.ALL
    return Judged.SOME if verdicts else Judged.NONE


def acceptance_of(plan: Plan, index: pa.Table, commits: Iterable[Commit]) -> Acceptance:
    """The acceptance report of a plan, by the index and the lines of its shards."""
    extent, keys, left = judged(plan, index), plan.clips["key"], rejected_left(plan.header)
    if extent is Judged.SOME:  # a clip that nobody judged says nothing, nor does one that was refused for its motion
        said = index.filter(pc.is_valid(index["audit_verdict"]))
        clips = plan.clips.filter(pc.is_in(keys, said["key"].combine_chunks()))
        return Acceptance(*_counted(plan, clips, said, (), frozenset()), extent, len(index) - len(said), left)
    lines = list(commits)
    unused = pa.array([key for commit in lines for key in commit.unused], pa.string())
    clips = plan.clips.filter(pc.invert(pc.is_in(keys, unused)))
    refused = [rejection for commit in lines for rejection in commit.rejected]
    reserve = frozenset(shard.number for shard in plan.shards if shard.reserve)
    return Acceptance(*_counted(plan, clips, index, refused, reserve), extent, left=left)


def _counted(
    plan: Plan, clips: pa.Table, index: pa.Table, refused: Sequence[Rejection], reserve: Set[int]
) -> tuple[tuple[Row, ...], dict[str, int]]:
    """Rows and reasons of clips of a plan. `refused`: those that are not in the index; `reserve`: shards of it."""
    held = {row["key"]: row for row in index.select(["key", "attempt", "audit_verdict", "audit_reasons"]).to_pylist()}
    attempts = {key: row["attempt"] for key, row in held.items() if row["audit_verdict"] != "rejected"}
    rejections = [Rejection(key, row["audit_reasons"] or "") for key, row in held.items() if key not in attempts]
    groups = {
        row["subject"]: stratum(subject_from_row(row).attributes)
        for row in plan.portraits.to_pylist()
        if row["subject"]
    }
    fates = (
        Fate(
            ("all", row["emotion"], *groups[row["subject"]], row["split"]),
            row["shard"] in reserve,
            attempts.get(row["key"]),
            row["key"] in held,
        )
        for row in clips.select(["key", "shard", "split", "emotion", "subject"]).to_pylist()
    )
    return count_fates(fates), count_reasons([*rejections, *refused])
