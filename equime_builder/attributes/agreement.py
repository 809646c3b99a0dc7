"""Where a source and an estimator differ: by attribute how often, Cohen's kappa, and every case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from equime_loader.schema import age_group

CASE_COLUMNS = ("reference", "attribute", "declared", "declared_by", "estimated", "estimated_by", "probability")


@dataclass(frozen=True, slots=True)
class Case:
    """A portrait of which source and estimator say different things. `probability`: the estimator's, of its word."""

    reference: str
    attribute: str
    declared: str
    declared_by: str
    estimated: str
    estimated_by: str
    probability: float | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two judgments agree on `gender`, `race` or `age` (by age group).

    Attributes:
        compared: portraits of which both say something. kappa: Cohen's, None where it is not defined.
        years: mean absolute difference of ages.
    """

    attribute: str
    compared: int
    agree: int
    disagree: int
    kappa: float | None
    years: float | None
    cases: tuple[Case, ...]

    def row(self) -> dict[str, Any]:
        """As a row of a table, without the cases."""
        return {name: value for name, value in asdict(self).items() if name != "cases"}


def agreements(table: pa.Table) -> list[Agreement]:
    """Agreement of declared and estimated attributes in a table of curation, for each that both name."""
    rows = table.to_pylist()
    found = [_agreement(name, rows) for name in ("gender", "race", "age")]
    return [each for each in found if each.compared]


def _agreement(name: str, rows: Sequence[dict[str, Any]]) -> Agreement:
    both = [row for row in rows if row[f"declared_{name}"] is not None and row[f"estimated_{name}"] is not None]
    pairs = [(_word(row, "declared", name), _word(row, "estimated", name)) for row in both]
    cases = tuple(_case(name, row, *pair) for row, pair in zip(both, pairs, strict=True) if pair[0] != pair[1])
    years = [abs(row["declared_age"] - row["estimated_age"]) for row in both] if name == "age" else []
    agree = len(pairs) - len(cases)
    return Agreement(
        name, len(pairs), agree, len(cases), cohen_kappa(pairs), sum(years) / len(years) if years else None, cases
    )


def _word(row: dict[str, Any], who: str, name: str) -> str:
    value = row[f"{who}_{name}"]
    return age_group(value) if name == "age" else str(value)


def _case(name: str, row: dict[str, Any], declared: str, estimated: str) -> Case:
    probabilities = row.get(f"{name}_probabilities") or {}
    if name == "age":
        declared, estimated = f"{row['declared_age']:g} ({declared})", f"{row['estimated_age']:.1f} ({estimated})"
    return Case(
        row["reference"],
        name,
        declared,
        row["declared_by"] or "",
        estimated,
        row["estimated_by"],
        probabilities.get(estimated),
    )


def cohen_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Agreement of two judges beyond chance (Cohen 1960), None where chance alone would make them agree on all."""
    if not pairs:
        return None
    left, right = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    count = len(pairs)
    observed = sum(one == other for one, other in pairs) / count
    expected = sum(left[word] * right[word] for word in left) / count**2
    return None if expected == 1 else (observed - expected) / (1 - expected)
