"""Report what a classifier reaches that sees the true programs, and how near to it runs come."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from equime_loader.tables import counted

if TYPE_CHECKING:
    from training.protocols.ceiling import Ceiling


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--on", type=dict[str, str], required=True, help="folders by name, as trained on: --on.faces F")
    parser.add_argument("--classes", type=str, default="three", help="kind of task: three, five, seven, …")
    parser.add_argument("--expressions", type=list[str], default=["micro"], help="micro, macro, or both")
    parser.add_argument("--table", type=str | None, default=None, help="AU table, where a folder's plan says none")
    parser.add_argument("--folds", type=int, default=5, help="of the classifiers that learn")
    parser.add_argument("--seed", type=int, default=0, help="of the folds and the classifiers")
    parser.add_argument("--runs", type=list[Path], default=[], help="run folders to compare: --runs+ RUN")
    parser.add_argument("--out", type=Path | None, default=None, help="JSON file for the figures")


def run(arguments: Namespace) -> None:
    """Print the ceilings, then the share of the highest that each run reaches on its own test clips."""
    from equime_loader import open_dataset
    from equime_loader.tables import text_table
    from training.data import joined
    from training.protocols.ceiling import ceilings
    from training.protocols.tasks import make_task
    from training.runs import write_json

    clips = joined({name: open_dataset(folder) for name, folder in arguments.on.items()})
    task = make_task(clips, arguments.classes, expressions=arguments.expressions)
    found = ceilings(task, table=arguments.table, folds=arguments.folds, seed=arguments.seed)
    print(f"{counted(len(task), 'clip')}; classes {', '.join(task.classes)}")
    rows = []
    for each in found:
        said = each.pooled.scores()
        rows.append((each.method, *map(_number, (said.uf1, said.uar, said.accuracy, each.expected_uf1))))
    print(text_table(("sees the program", "UF1", "UAR", "accuracy", "UF1 expected"), rows))
    compared = list(_compared(found, arguments.runs))
    if compared:
        cells = [[_number(v) if isinstance(v, float) else str(v) for v in each.values()] for each in compared]
        print("\n" + text_table(("run", "tested on", "clips", "UF1", "ceiling", "share"), cells))
    if arguments.out is not None:
        told = [
            {"method": each.method, "uf1": each.pooled.scores().uf1, "expected_uf1": each.expected_uf1}
            for each in found
        ]
        write_json(arguments.out, {"classes": task.classes, "clips": len(task), "ceilings": told, "runs": compared})


def _compared(found: Sequence[Ceiling], folders: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """UF1 of each run's predictions beside the highest ceiling of the same clips."""
    from training.predictions import read_as_numbers
    from training.protocols.scores import scores
    from training.runs import open_runs

    task = found[0].pooled.task
    for each in open_runs(folders):
        for name in each.prediction_names:
            if name == "validation":  # which chose the weights
                continue
            table = each.predictions(name)
            keys = table["key"].to_pylist()
            if not set(keys) <= task.by_key.keys():
                continue  # a test on another folder
            said = read_as_numbers(table)
            if said.classes != task.classes:
                raise ValueError(
                    f"{each.folder}: classes {', '.join(said.classes)}, asked for {', '.join(task.classes)}"
                )
            uf1 = scores(said.truth, said.predicted, said.classes).uf1
            ceiling = max(one.uf1_on(keys) for one in found)
            yield {
                "run": each.name,
                "on": name,
                "clips": len(keys),
                "uf1": uf1,
                "ceiling": ceiling,
                "share": uf1 / ceiling,
            }


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
