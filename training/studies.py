"""Studies: several runs with one purpose, each a run folder of its own, together one report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.config import Config, config_of, plain, read_config
from training.runs import NAME, Study

if TYPE_CHECKING:
    from training.protocols.tasks import Task
    from training.runs import Run

RUNS, PAGE = "runs", "page"


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A run of a study.

    Attributes:
        name: of its folder. train, validation, test: as `training.data.Parts`.
        trained: SHA-256 of the index of each folder trained on, by name.
    """

    name: str
    config: Config
    train: Task
    validation: Task
    test: Mapping[str, Task]
    trained: Mapping[str, str]
    study: Study


def run_trial(trial: Trial, runs: Path) -> Run:
    """Train and test; what is there of the same clips stays, so that a study that was stopped goes on.

    Raises:
        ValueError: the folder holds a run of another configuration. TrainingFault, LoaderFault: as `fit`.
    """
    from training.evaluation import evaluate_missing
    from training.loop import fit
    from training.progress import is_first_process
    from training.runs import record_splits

    if is_first_process():
        print(trial.name, flush=True)
    run = fit(trial.config, trial.train, trial.validation, runs / trial.name)
    if is_first_process():
        record_splits(run.folder, trial.trained, {})
        trial.study.write(run.folder)
    evaluate_missing(run, trial.test)
    return run


def changed(file: Path, changes: Mapping[str, Any]) -> Config:
    """A configuration of a YAML file, some of it changed: `{"optimization": {"epochs": 5}}`.

    Raises:
        ValueError: an unknown name, or a value out of its bounds.
    """
    return config_of(_merged(plain(read_config(file)), changes))


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    nested = {name: _merged(values.get(name) or {}, new) for name, new in changes.items() if isinstance(new, Mapping)}
    return {**values, **changes, **nested}


def trial_name(*words: str) -> str:
    """Name of a run folder; words that are no file's name are changed.

    Raises:
        ValueError: nothing is left.
    """
    name = "-".join(
        "".join(letter if letter.isalnum() or letter in "_+." else "-" for letter in word) for word in words
    )
    if not NAME.fullmatch(name.replace("+", "_")):
        raise ValueError(f"{' '.join(words)!r} makes no name of a folder")
    return name


def report_study(out: Path, *, title: str) -> str:
    """Write the page of a study's runs into its folder, in one process; what it says at a glance."""
    from training.progress import is_first_process
    from training.reports.evidence import read_runs
    from training.reports.report import make_report, summary, write_document

    if not is_first_process():
        return ""
    document = make_report(read_runs([out / RUNS]), title=title)
    write_document(document, out / PAGE)
    return f"{summary(document)}\n{out / PAGE / 'index.html'}"
