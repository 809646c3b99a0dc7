"""Leaving out: a run for each round, and the pool of their tests in a folder that reads as a run of its own.

OUT/config.yaml, environment.json, splits.json    as of a run
    rounds/000_NAME/                              the run of each round, a run folder like any other
    predictions/NAME.parquet                      each clip by the run that never saw its subject or corpus
    result.json                                   pooled scores, by corpus too, beside constant predictors
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from equime_loader.tables import counted
from training.config import Config, write_config
from training.data import shuffled
from training.environment import environment
from training.evaluation import described, evaluate_missing, make_accelerator, scored
from training.loop import fit
from training.predictions import write_predictions
from training.protocols.rounds import Pooled, Round, pool
from training.protocols.tasks import Task
from training.runs import CONFIG, ENVIRONMENT, Run, record_splits, write_json, write_result

ROUNDS, TEST = "rounds", "test"


def leave_out(
    config: Config,
    task: Task,
    rounds: Iterable[Round],
    folder: str | Path,
    *,
    name: str,
    datasets: Mapping[str, str],
    facts: Mapping[str, Any],
) -> Run:
    """Train and test every round, and pool them; rounds that have ended are not trained again.

    Under torchrun, every process calls this with equal arguments.

    Args:
        name: of the pool's file of predictions.
        datasets: SHA-256 of each folder's index, by name, for `splits.json`.
        facts: put into `result.json` beside the scores.

    Raises:
        ValueError: the folder holds rounds of another configuration or of other clips, or a clip cannot be read, so
            that the pool is not whole. LeakageError: as `Round`. TrainingFault, LoaderFault: as `fit`.
    """
    whole = Run(Path(folder))
    runs = [
        _run(config, each, whole.folder / ROUNDS / _folder_name(number, each)) for number, each in enumerate(rounds)
    ]
    accelerator = make_accelerator()
    if accelerator.is_main_process:
        tables = [run.predictions(TEST) for run in runs]
        pooled = pooled_tables(task, tables)
        table = pa.concat_tables(tables)
        place = {key: number for number, key in enumerate(table["key"].to_pylist())}
        table = table.take(pa.array([place[key] for key in task.keys]))
        by_corpus = {corpus: asdict(scores) for corpus, scores in pooled.by("corpus").items()}
        tested = {name: {**scored(table, task), "by_corpus": by_corpus}}
        ran_with = environment(device=accelerator.device, processes=accelerator.num_processes)
        write_config(config, whole.folder / CONFIG)
        write_json(whole.folder / ENVIRONMENT, ran_with)
        record_splits(whole.folder, datasets, {name: described(task)})
        write_predictions(table, whole.predictions_path(name))
        write_result(whole.folder, {**_told(runs), **facts, "predictions": tested})
    accelerator.wait_for_everyone()
    return whole


def pooled_tables(task: Task, tables: Iterable[pa.Table]) -> Pooled:
    """Tables of predictions as one pool.

    Raises:
        ValueError: as `pool`.
    """
    number = {word: place for place, word in enumerate(task.classes)}
    said = (
        {key: number[word] for key, word in zip(table["key"].to_pylist(), table["prediction"].to_pylist(), strict=True)}
        for table in tables
    )
    return pool(task, said)


def _folder_name(number: int, each: Round) -> str:
    return f"{number:03d}_{re.sub('[^0-9A-Za-z_.-]', '_', each.held_out)[:80]}"


def _run(config: Config, each: Round, folder: Path) -> Run:
    """Train and test one round, as far as that has not been done."""
    train, validation = each.train, each.validation
    if config.data.labels == "shuffled":
        train, validation = (shuffled(part, seed=config.seed) for part in (train, validation))
    run = fit(config, train, validation, folder)
    evaluate_missing(run, {TEST: each.test})
    return run


def _told(runs: Iterable[Run]) -> dict[str, Any]:
    """What the rounds came to together."""
    results = [run.result for run in runs]
    stopped = Counter(str(result["stopped_by"]) for result in results)
    return {
        "rounds": len(results),
        "minutes": sum(result["minutes"] for result in results),
        "epochs": sum(result["epochs"] for result in results),
        "steps": sum(result["steps"] for result in results),
        "stopped_by": ", ".join(f"{why} in {counted(count, 'round')}" for why, count in stopped.items()),
        "waiting_share": sum(r["waiting_share"] * r["minutes"] for r in results) / sum(r["minutes"] for r in results),
        "processes": results[0]["processes"],
    }
