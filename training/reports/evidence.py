"""What run folders hold, as the report needs it: one `Evaluation` for each file of predictions."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equime_loader.corpora.classes import CLASSES
from equime_loader.fairness import Predictions, read_predictions
from training.predictions import ATTRIBUTES, PROBABILITY, classes_of, load_predictions
from training.runs import ROBUSTNESS, Epoch, Run, Study, open_runs, read_json

OWN = "test"  # predictions of subjects of the training data set that training did not see
ELSEWHERE = "elsewhere"  # what a model of a bare file of predictions was trained on
NOT_REPORTED = ("train", "validation")  # what weights were fitted or chosen on says nothing of new subjects
ROUNDING = 1e-6  # of probabilities in single precision


@dataclass(frozen=True, slots=True, eq=False)
class RunFacts:
    """A run, without its weights.

    Attributes:
        name: of its folder. train: names of the data sets, joined by `+`. kind: of the task.
        arm: what of the data was trained on, where runs differ in it; empty for all. against: see `Study`.
        splits: by name, clips and subjects. versions: what it ran with.
        robustness: rows of `training.robustness`, empty where it was not asked for.
    """

    name: str
    model: str
    train: str
    kind: str
    seed: int
    arm: str
    against: str
    cautions: Mapping[str, str]
    history: tuple[Epoch, ...]
    result: Mapping[str, Any]
    splits: Mapping[str, Any]
    versions: Mapping[str, Any]
    robustness: tuple[Mapping[str, Any], ...]

    @property
    def title(self) -> str:
        return f"{self.model}: {self.train}{f' ({self.arm})' if self.arm else ''}"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a run said of the clips of one test set.

    Attributes:
        test: name of the data set; the training one's own where its unseen subjects were tested.
        unseen: whether they are subjects of the training data set, kept apart.
        confidence: (n,) float64, probability of the class that was called.
        clips_hash: of keys, equal for runs that were tested on the same clips.
    """

    run: RunFacts
    test: str
    unseen: bool
    predictions: Predictions
    confidence: NDArray[np.float64]
    clips_hash: int

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """(n,) whether the class called is the true one."""
        right: NDArray[np.bool_] = self.predictions.truth == self.predictions.predicted
        return right


def read_runs(paths: Sequence[Path]) -> tuple[Evaluation, ...]:
    """All evaluations of run folders; a folder that holds run folders stands for all of them.

    A Parquet file stands for itself: what any model said, in the columns of `equime_loader.fairness.read_predictions`,
    better with `confidence` and `probability_{class}`, too.

    Raises:
        ValueError: a folder is neither, a run has not ended or has no predictions of a test set, or a file is damaged.
    """
    files = [path for path in paths if path.suffix == ".parquet"]
    runs = {run.folder.resolve(): run for run in open_runs([path for path in paths if path not in files])}
    evaluations = tuple(evaluation for run in runs.values() for evaluation in _evaluations(run))
    return evaluations + tuple(_evaluation(file) for file in dict.fromkeys(files))


def _evaluation(file: Path) -> Evaluation:
    """What a file of predictions says, of a model that was trained elsewhere; the file is named after the model.

    Raises:
        ValueError: the file is damaged or lacks a column.
    """
    try:
        names = pq.read_schema(file).names
    except (pa.ArrowException, OSError):
        names = []  # what is wrong with the file is said by what reads it
    classes = tuple(name.removeprefix(PROBABILITY) for name in names if name.startswith(PROBABILITY))
    groups = [name for name in ATTRIBUTES if name in names]
    predictions = read_predictions(file, groups=groups, classes=classes or None)
    table = pq.read_table(file, columns=[name for name in ("key", "confidence") if name in names])
    corpora = predictions.groups["corpus"].words if "corpus" in groups else ()
    kinds = {words: kind for kind, words in CLASSES.items()}
    kind = kinds.get(predictions.classes, f"{len(predictions.classes)} classes")
    facts = RunFacts(file.stem, file.stem, ELSEWHERE, kind, 0, "", "", {}, (), {}, {}, {}, ())
    test = "+".join(corpora) or "predictions"
    return Evaluation(facts, test, False, predictions, _confidence(table), _hash(table))


def _evaluations(run: Run) -> Iterator[Evaluation]:
    names = [name for name in run.prediction_names if name not in NOT_REPORTED]
    if not names:
        raise ValueError(f"{run.folder}: holds no predictions of a test set; did the run end?")
    facts = read_facts(run)
    for name in names:
        unseen = name == OWN
        try:
            said = _predictions(load_predictions(run.predictions_path(name)))
        except ValueError as error:
            raise ValueError(f"{run.folder.name}, predictions {name}: {error}") from error
        yield Evaluation(facts, facts.train if unseen else name, unseen, *said)


def read_facts(run: Run) -> RunFacts:
    """What a run folder says of the run itself.

    Raises:
        ValueError: a file is missing or damaged.
    """
    config, study = run.config, Study.read(run.folder)
    path = run.folder / ROBUSTNESS
    shuffled = "shuffled labels" if config.data.labels == "shuffled" else ""
    return RunFacts(
        name=run.name,
        model=config.model.name,
        train="+".join(config.data.train),
        kind=config.data.classes,
        seed=config.seed,
        arm=study.arm or shuffled,
        against=study.against,
        cautions=study.cautions,
        history=run.history,
        result=run.result,
        splits=run.splits,
        versions=run.environment,
        robustness=tuple(read_json(path)["rows"]) if path.is_file() else (),
    )


def _predictions(table: pa.Table) -> tuple[Predictions, NDArray[np.float64], int]:
    """Predictions, their confidence, and a number that stands for the clips."""
    predictions = Predictions.of(
        table["label"],
        table["prediction"],
        subjects=table["subject"],
        groups={name: table[name] for name in ATTRIBUTES if name in table.column_names},
        classes=classes_of(table),
    )
    return predictions, _confidence(table), _hash(table)


def _confidence(table: pa.Table) -> NDArray[np.float64]:
    """(n,) of each row, NaN where the table has none."""
    if "confidence" not in table.column_names:
        return np.full(len(table), np.nan)
    confidence = table["confidence"].to_numpy().astype(np.float64)
    if not ((confidence >= 0) & (confidence <= 1 + ROUNDING)).all():
        raise ValueError("confidence must be a number from 0 to 1 in every row")
    bounded: NDArray[np.float64] = np.minimum(confidence, 1.0)
    return bounded


def _hash(table: pa.Table) -> int:
    return zlib.crc32("\n".join(table["key"].to_pylist()).encode())
