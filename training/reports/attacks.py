"""What the report says of robustness: scores under attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from equime_loader.fairness.figures import number
from training.protocols.scores import PARTIAL_NOTE
from training.reports import curves
from training.reports.document import Gallery, Picture, Section, Text, slug
from training.reports.evidence import OWN, RunFacts
from training.reports.tables import Column, Row, Table, Value, cells


def attacks_section(runs: Sequence[RunFacts]) -> Section | None:
    """Scores by attack and strength of the runs that were attacked; None where none was."""
    attacked = [run for run in runs if run.robustness]
    if not attacked:
        return None
    text = Text(
        "Each input may change by at most the strength, in deviations of the clip's own inputs. FGSM takes one step, "
        "PGD several, both with full knowledge of the weights; noise changes as much in random directions: what it "
        "costs is not due to an adversary. A model that always says one class cannot be led astray: read scores under "
        "attack beside the constant predictor's."
    )
    table = _table(attacked)
    shown = tuple(
        _picture(run, test) for run in attacked for test in dict.fromkeys(row["test"] for row in run.robustness)
    )
    return Section("Robustness", (text, table, Gallery(shown)))


def _table(attacked: Sequence[RunFacts]) -> Table:
    """A row per attack and strength, under its run."""
    rows: list[Row] = []
    records: list[Mapping[str, Value]] = []
    for run in attacked:
        rows.append(Row(cells(f"{run.title}, seed {run.seed}"), "head"))
        for row in run.robustness:
            records.append({"run": run.name, "model": run.model, "train": run.train, "seed": run.seed, **row})
            figures = [number(row[name]) for name in ("uf1", "uar", "accuracy", "confidence")]
            constant = [number(row[name]) for name in ("constant_uf1", "constant_accuracy")]
            rows.append(Row(cells(_marked(run, row), row["attack"], f"{row['strength']:g}", *figures, *constant)))
    columns = (
        *(Column("tested on", False), Column("attack", False), Column("strength"), Column("UF1"), Column("UAR")),
        *(Column("accuracy"), Column("confidence"), Column("constant UF1"), Column("constant accuracy")),
    )
    note = PARTIAL_NOTE if any(record.get("mark") for record in records) else ""
    return Table("robustness", "Scores under attack", note, columns, tuple(rows), tuple(records))


def _marked(run: RunFacts, row: Mapping[str, Any]) -> str:
    """The test set of a row, and the mark of clips that lack a class."""
    return f"{_tested(run, row['test'])} {row.get('mark', '')}".strip()


def _tested(run: RunFacts, test: str) -> str:
    return f"{run.train}, unseen subjects" if test == OWN else test


def _picture(run: RunFacts, test: str) -> Picture:
    title = f"{run.title} → {_tested(run, test)}, seed {run.seed}"
    rows = [row for row in run.robustness if row["test"] == test]
    return Picture(
        slug(run.name, "on", test, "robustness"), lambda: curves.robustness(title, rows), f"robustness of {title}"
    )
