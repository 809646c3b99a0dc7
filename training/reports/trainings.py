"""What the report says of training: runs, their curves, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from equime_loader.tables import counted, percent
from training.reports import curves
from training.reports.document import Block, Fold, Gallery, Picture, Section, Text, slug
from training.reports.evidence import RunFacts
from training.reports.tables import Column, Row, Table, Value, cells


def training_section(runs: Sequence[RunFacts]) -> Section | None:
    """How runs went: a table, and their curves; None where there is no run."""
    if not runs:
        return None
    blocks: list[Block] = [
        Text(
            "Weights are those of the best epoch on validation subjects, who are in neither training nor test; "
            "training ends when validation no longer improves. No choice was made on a test set."
        ),
        runs_table(runs),
    ]
    groups: dict[tuple[str, str], list[RunFacts]] = {}
    for run in runs:
        groups.setdefault((run.title, run.kind), []).append(run)
    shown = tuple(
        Picture(_curves_name(group[0]), partial(curves.curves, group), f"curves of {group[0].title}")
        for group in groups.values()
        if any(run.history for run in group)
    )
    gallery = Gallery(shown)
    blocks.append(Fold(f"Curves of {counted(len(shown), 'configuration')}", (gallery,)) if len(shown) > 4 else gallery)
    return Section("Training", tuple(blocks))


def _curves_name(run: RunFacts) -> str:
    return slug("curves", run.kind, run.model, run.train, run.arm)


def runs_table(runs: Sequence[RunFacts]) -> Table:
    """A row per run."""
    rows, records = [], []
    for run in runs:
        result = run.result
        splits = run.splits.get("splits", {})
        sizes = {name: splits.get(name, {}) for name in ("train", "validation", "test")}
        record: dict[str, Value] = {
            **{"run": run.name, "model": run.model, "train": run.train, "arm": run.arm, "classes": run.kind},
            **{"seed": run.seed, "epochs": result.get("epochs"), "best_epoch": result.get("best_epoch")},
            **{"stopped_by": result.get("stopped_by"), "minutes": result.get("minutes")},
            **{"waiting_share": result.get("waiting_share"), "processes": result.get("processes")},
            **{
                f"{name}_{what}": size.get(what)
                for name, size in sizes.items()
                for what in ("clips", "subjects", "sha256")
            },
        }
        records.append(record)
        people = [_size(size) for size in (sizes["train"], sizes["validation"])]
        minutes, waiting = (result.get(name) for name in ("minutes", "waiting_share"))
        rows.append(
            Row(
                cells(
                    *(run.name, run.model, run.train + (f" ({run.arm})" if run.arm else ""), *people, str(run.seed)),
                    *(str(result.get("epochs", "–")), str(result.get("best_epoch", "–"))),
                    str(result.get("stopped_by", "–")),
                    "–" if minutes is None else f"{minutes:.1f}",
                    "–" if waiting is None else percent(waiting, 1),
                )
            )
        )
    columns = (
        *(Column("run", False), Column("model", False), Column("trained on", False)),
        *(Column("training, clips / subjects"), Column("validation"), Column("seed"), Column("epochs"), Column("best")),
        *(Column("ended by", False), Column("minutes")),
        Column("waiting", tip="share of the training time in which the model waited for the loader"),
    )
    note = (
        "Hashes of the splits are in the CSV file, and with the configuration and the environment in each run folder."
    )
    return Table("runs", "Runs", note, columns, tuple(rows), tuple(records))


def _size(size: Mapping[str, object]) -> str:
    if not size:
        return "–"
    return f"{size.get('clips', '–'):,} / {size.get('subjects', '–'):,}"
