"""How many portraits of each group pass the thresholds: curation can unbalance what was balanced."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from equime_builder.curation.choosing import NOT_NEEDED, UNKNOWN
from equime_builder.curation.survey import kind_of
from equime_loader.schema import AGE_GROUPS, GENDERS, RACES, age_group

_WORDS = {"gender": GENDERS, "race": RACES, "age": tuple(AGE_GROUPS)}


@dataclass(frozen=True, slots=True)
class GroupRate:
    """How many of a group's scored portraits pass, and what most often speaks against the others.

    Attributes:
        attribute: `gender`, `race` or `age`. word: the group, as the source declares it.
    """

    attribute: str
    word: str
    scored: int
    passed: int
    against: str | None

    @property
    def rate(self) -> float:
        return self.passed / self.scored

    def row(self) -> dict[str, Any]:
        """As a row of a table."""
        return {**asdict(self), "rate": self.rate}


def passing_rates(table: pa.Table) -> list[GroupRate]:
    """Rates by declared group of a table of curation; copies of a picture count once.

    Estimated groups have none: only who passes is estimated.
    """
    first = {row["sha256"]: row for row in reversed(table.to_pylist()) if row["sha256"] is not None}
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in first.values():
        for name in _WORDS:
            if (value := row[f"declared_{name}"]) is not None:
                groups[name, age_group(value) if name == "age" else value].append(row)
    return [
        _rate(name, word, groups[name, word])
        for name, words in _WORDS.items()
        for word in words
        if (name, word) in groups
    ]


def _rate(name: str, word: str, rows: Sequence[Mapping[str, Any]]) -> GroupRate:
    against = Counter(kind_of(row["reason"]) for row in rows if not passes(row))
    first = min(against, key=lambda kind: (-against[kind], kind), default=None)
    return GroupRate(name, word, len(rows), len(rows) - against.total(), first)


def passes(row: Mapping[str, Any]) -> bool:
    """Whether a row's portrait passes the thresholds, taken or not."""
    return bool(row["taken"]) or str(row["reason"]).startswith((NOT_NEEDED, UNKNOWN))
