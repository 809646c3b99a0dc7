"""What the report says of robustness: scores under attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from equime_loader.fairness.figures import number
from training.reports import curves
from training.reports.document import Gallery, Picture, Section, Text
from training.reports.evidence import RunFacts
from training.reports.tables import Column, Row, Table, Value, cells


def attacks_section(runs: Sequence[RunFacts]) -> Section | None:
    """Scores by attack and strength of the runs that were attacked; None where none was."""
    attacked = [run for run in runs if run.robustness]
    if not attacked:
        return None
    text = Text(
        "Each input may change by at most the strength, in deviations of the clip's own inputs. FGSM takes one step, PGD "
        "several, both with full knowledge of the weights; noise changes as much in random directions: what it costs is "
        "not due to an adversary. A model below its constant predictor has been led to the wrong class on purpose."
    )
    rows: list[Row] = []
    records: list[Mapping[str, Value]] = []
    for run in attacked:
        rows.append(Row(cells(f"{run.title}, seed {run.seed}"), "head"))
        for row in run.robustness:
            records.append({"run": run.name, "model": run.model, "train": run.train, "seed": run.seed, **row})
            figures = [number(row[name]) for name in ("uf1", "uar", "accuracy", "confidence")]
            constant = [number(row[name]) for name in ("constant_uf1", "constant_accuracy")]
            name = "none" if row["attack"] == "none" else row["attack"]
            rows.append(Row(cells(str(row["test"]), name, f"{row['strength']:g}", *figures, *constant)))
    columns = (
        *(Column("tested on", False), Column("attack", False), Column("strength"), Column("UF1"), Column("UAR")),
        *(Column("accuracy"), Column("confidence"), Column("constant UF1"), Column("constant accuracy")),
    )
    table = Table("robustness", "Scores under attack", "", columns, tuple(rows), tuple(records))
    return Section("Robustness", (text, table, Gallery(tuple(map(_picture, attacked)))))


def _picture(run: RunFacts) -> Picture:
    title = f"{run.title}, seed {run.seed}"
    return Picture(f"{run.name}-robustness", lambda: curves.robustness(title, run.robustness), f"robustness of {title}")
