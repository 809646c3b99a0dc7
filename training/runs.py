"""Run folders: what a training run leaves behind, written whole and read back checked.

RUN/config.yaml         all that the run depends on
    environment.json    versions of what it ran with
    splits.json         datasets, and the clips of each split, by SHA-256
    history.csv         one line per epoch
    tensorboard/        the same, and the loss within epochs, for TensorBoard
    checkpoints/last/   where a stopped run goes on; checkpoints/best/ the weights that are tested
    predictions/        one Parquet file per set that was tested on
    result.json         how the run ended, with the scores of each file of predictions
    study.json          in a study: what it says of the run
    robustness.json     where it was asked for: what attacks do to its scores
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import Any

import pyarrow as pa

from equime_loader.files import write_atomic
from training.config import Config, read_config
from training.predictions import load_predictions

CONFIG, ENVIRONMENT, SPLITS, HISTORY, RESULT = (
    "config.yaml",
    "environment.json",
    "splits.json",
    "history.csv",
    "result.json",
)
STUDY, ROBUSTNESS = "study.json", "robustness.json"
NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,99}")
MAX_FILE = 64 << 20


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to; a line of `history.csv`.

    Attributes:
        epoch: from 0. step: optimizer steps of the run until its end.
        train_loss: mean over the epoch, as the weights moved. validation_*: at its end.
        learning_rate: with which the epoch was trained.
        seconds: of training, without validation. waiting_seconds: of these, in which the model waited for a batch.
    """

    epoch: int
    step: int
    train_loss: float
    validation_loss: float
    validation_uf1: float
    validation_uar: float
    validation_accuracy: float
    learning_rate: float
    seconds: float
    waiting_seconds: float

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Epoch:
        """A line of figures; null stands for no number, as in JSON.

        Raises:
            ValueError: a figure is missing, or none.
        """
        try:
            known = {name: float("nan") if value is None else value for name, value in values.items()}
            figures: dict[str, Any] = {f.name: (int if f.type == "int" else float)(known[f.name]) for f in fields(cls)}
            return cls(**figures)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"a line of the history is not whole ({error})") from error


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder that has been written. Files are read when they are asked for."""

    folder: Path

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Raises ValueError where the folder holds no run."""
        folder = Path(path)
        if not (folder / CONFIG).is_file():
            raise ValueError(f"{folder}: is no run folder, it lacks {CONFIG}")
        return cls(folder)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def config(self) -> Config:
        return read_config(self.folder / CONFIG)

    @property
    def environment(self) -> dict[str, Any]:
        return read_json(self.folder / ENVIRONMENT)

    @property
    def splits(self) -> dict[str, Any]:
        """`{"datasets": {name: index sha256}, "splits": {name: {"clips", "subjects", "sha256", "classes"}}}`."""
        return read_json(self.folder / SPLITS)

    @property
    def history(self) -> tuple[Epoch, ...]:
        """Epochs that have ended, in order; none where the first has not."""
        path = self.folder / HISTORY
        if not path.is_file():
            return ()
        try:
            return tuple(map(Epoch.of, csv.DictReader(io.StringIO(_text(path)))))
        except (ValueError, csv.Error) as error:
            raise ValueError(f"{path}: {error}") from error

    @property
    def has_ended(self) -> bool:
        return (self.folder / RESULT).is_file()

    @property
    def result(self) -> dict[str, Any]:
        """`minutes`, `epochs`, `best_epoch`, `stopped_by`, `waiting_share`, `processes`, … and `predictions`.

        `predictions` holds, by name, `unreadable`, `scores` and `constants` (scores of saying one class, by class).

        Raises:
            ValueError: the run has not ended.
        """
        if not self.has_ended:
            raise ValueError(f"{self.folder}: the run has not ended; `python -m training train` goes on with it")
        return read_json(self.folder / RESULT)

    @property
    def prediction_names(self) -> tuple[str, ...]:
        """Sets that were tested on."""
        return tuple(sorted(path.stem for path in (self.folder / "predictions").glob("[!.]*.parquet")))

    def predictions(self, name: str) -> pa.Table:
        """Predictions on a set; see `training.predictions`.

        Raises:
            ValueError: there are none, or the file is damaged.
        """
        if name not in self.prediction_names:
            raise ValueError(
                f"{self.folder}: no predictions {name!r}, has {', '.join(self.prediction_names) or 'none'}"
            )
        return load_predictions(self.predictions_path(name))

    def predictions_path(self, name: str) -> Path:
        """Raises ValueError for a name that is no file's."""
        check_name(name)
        return self.folder / "predictions" / f"{name}.parquet"

    def checkpoint(self, which: str) -> Path:
        """Folder of the checkpoint `last` or `best`."""
        return self.folder / "checkpoints" / which


@dataclass(frozen=True, slots=True)
class Study:
    """What a study says of one of its runs.

    Attributes:
        arm: what of the data was trained on, where runs differ in it; empty for all of it.
        against: the arm that it is compared with; empty where it is with none.
        cautions: by test set, why people of it may have been trained on, and what was done about it.
    """

    arm: str = ""
    against: str = ""
    cautions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Study:
        """The study of a run folder; one that says nothing where there is none.

        Raises:
            ValueError: the file is damaged.
        """
        path = folder / STUDY
        if not path.is_file():
            return cls()
        values = read_json(path)
        arm, against, cautions = values.get("arm", ""), values.get("against", ""), values.get("cautions", {})
        if not (isinstance(arm, str) and isinstance(against, str) and isinstance(cautions, dict)):
            raise ValueError(f"{path}: 'arm' and 'against' must be words, and 'cautions' words by test set")
        return cls(arm, against, {str(name): str(words) for name, words in cautions.items()})

    def write(self, folder: Path) -> None:
        write_json(folder / STUDY, {"arm": self.arm, "against": self.against, "cautions": self.cautions})


def open_runs(paths: Iterable[str | Path]) -> tuple[Run, ...]:
    """Runs of folders; a folder that is none stands for all runs directly in it.

    Raises:
        ValueError: a folder that is no run and has none in it.
    """
    runs: list[Run] = []
    for path in map(Path, paths):
        within = sorted(found.parent for found in path.glob(f"*/{CONFIG}"))
        runs += [Run(path)] if (path / CONFIG).is_file() or not within else map(Run, within)
    return tuple(Run.open(run.folder) for run in runs)


def check_name(name: str) -> None:
    """Raises ValueError for a name that would be no file's name everywhere."""
    if not NAME.fullmatch(name):
        raise ValueError(f"name {name!r} must be letters, digits, _, - and ., beginning with a letter or digit")


# --- files


def write_history(folder: Path, epochs: Sequence[Epoch]) -> None:
    """Write `history.csv`; floats with all their digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Epoch)])
    writer.writerows(astuple(epoch) for epoch in epochs)
    write_text(folder / HISTORY, text.getvalue())


def write_result(folder: Path, values: Mapping[str, Any]) -> None:
    """Write `result.json`."""
    write_json(folder / RESULT, values)


def record_predictions(run: Run, name: str, scored: Mapping[str, Any]) -> None:
    """Put the scores of a file of predictions into `result.json`, beside those of others."""
    result = run.result
    write_result(run.folder, {**result, "predictions": {**result["predictions"], name: scored}})


def record_splits(folder: Path, datasets: Mapping[str, str], splits: Mapping[str, Mapping[str, Any]]) -> None:
    """Put datasets and splits into `splits.json`, beside those that it has."""
    path = folder / SPLITS
    before = read_json(path) if path.is_file() else {"datasets": {}, "splits": {}}
    write_json(path, {"datasets": before["datasets"] | dict(datasets), "splits": before["splits"] | dict(splits)})


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write JSON, whole or not at all; figures that are not defined become null."""
    write_text(path, json.dumps(_defined(values), indent=1, allow_nan=False) + "\n")


def _defined(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _defined(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> dict[str, Any]:
    """Raises ValueError that names a file that is damaged."""
    try:
        values = json.loads(_text(path))
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path}: holds no names with values")
    return values


def _text(path: Path) -> str:
    if path.stat().st_size > MAX_FILE:
        raise ValueError(f"{path}: {path.stat().st_size} bytes, expected at most {MAX_FILE}")
    return path.read_text(encoding="utf-8")


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text.encode(), shared=True)
