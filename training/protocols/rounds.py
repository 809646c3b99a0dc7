"""Rounds of an evaluation: what is trained on, what stops the training, what is tested on, and all tests pooled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equime_loader.selection import Selection
from equime_loader.splits import check_leakage, holdout
from equime_loader.tables import counted
from training.protocols.apart import APART, PROGRAM, sharing
from training.protocols.scores import Scores, scores
from training.protocols.tasks import Targets, Task

VALIDATION = 0.15
# Fields whose words are spread evenly over training and validation, as far as whole subjects allow.
STRATIFY = ("three_class", "corpus")


@dataclass(frozen=True, eq=False)
class Round:
    """One training and its test.

    Attributes:
        held_out: what the test is of: a subject, a dataset.
        train: fits the weights. validation: other subjects, which stop the training. test: neither has seen them.

    Raises:
        LeakageError: a subject, portrait or program stands in two of them.
    """

    held_out: str
    train: Task
    validation: Task
    test: Task

    def __post_init__(self) -> None:
        parts = {"train": self.train.clips, "validation": self.validation.clips, "test": self.test.clips}
        check_leakage(parts, by=APART)


def round_of(held_out: str, task: Task, train: Selection, test: Selection, *, validation: float, seed: int) -> Round:
    """A round of a task whose training clips give some subjects to validation.

    Clips that share a program with tested ones are not trained on, which the last step but one says.

    Args:
        validation: share of the training clips' subjects, at least one of them.
        seed: which subjects these are.

    Raises:
        LeakageError: people of the test are trained on. ValueError: fewer than two subjects to train on that share no
            program, none that shares none with the test, or a share outside of 0..1.
    """
    if not 0 < validation < 1:
        raise ValueError(f"{validation=} must lie between 0 and 1")
    sizes = {"train": 1 - validation, "validation": validation}
    shared = sharing(train, [test], [PROGRAM])
    if shared.all():
        raise ValueError(f"{held_out}: every other clip shares a program with it; none is left to train on")
    if shared.any():
        train = train.narrowed(
            ~shared, f"{counted(int(shared.sum()), 'clip')} sharing a program with {held_out} left out"
        )
    parts = holdout(train, sizes, by=APART, stratify=STRATIFY, seed=seed)
    return Round(held_out, task.of(parts["train"]), task.of(parts["validation"]), task.of(test))


@dataclass(frozen=True, eq=False)
class Pooled:
    """Predictions of all rounds together: one for each clip of the task.

    TP, FP and FN are summed over the rounds before any figure is made of them, as MEGC2019 defines UF1 and UAR. The
    mean of the rounds' own scores is another figure, and a round of one class has no UF1 of its own at all.

    Attributes:
        predicted: (n,) int64 class numbers, in the order of `task.clips`.
    """

    task: Task
    predicted: Targets

    def scores(self) -> Scores:
        """Scores of all clips."""
        return scores(self.task.targets, self.predicted, self.task.classes)

    def by(self, name: str) -> dict[str, Scores]:
        """Scores of the same predictions, of the clips with each word of a field, such as `corpus`."""
        codes = self.task.clips.codes(name)
        masks = {codes.words[code]: codes.codes == code for code in np.unique(codes.codes[codes.codes >= 0])}
        return {
            word: scores(self.task.targets[mask], self.predicted[mask], self.task.classes)
            for word, mask in masks.items()
        }


def pool(task: Task, predictions: Iterable[Mapping[str, int]]) -> Pooled:
    """Predictions of rounds as one.

    Args:
        predictions: of each round: class number by key of the clip.

    Raises:
        ValueError: a clip that is predicted in two rounds, in none, or that the task does not have.
    """
    found: dict[str, int] = {}
    for each in predictions:
        if twice := found.keys() & each.keys():
            raise ValueError(f"clip {min(twice)!r} is tested in more than one round")
        found.update(each)
    if strange := found.keys() - task.by_key.keys():
        raise ValueError(f"clip {min(strange)!r} is no clip of the task")
    if missing := task.by_key.keys() - found.keys():
        raise ValueError(f"{len(missing)} of {len(task)} clips are tested in no round, {min(missing)!r} among them")
    return Pooled(task, np.array([found[key] for key in task.keys], np.int64))


def evaluate(task: Task, rounds: Iterable[Round], predict: Callable[[Round], NDArray[np.integer]]) -> Pooled:
    """Run every round and pool what it predicts.

    Args:
        predict: trains on a round and gives the class number of each clip of its test, in the order of
            `round.test.clips`.

    Raises:
        ValueError: as `pool`, and a round that predicts more or fewer clips than it tests.
    """

    def of(each: Round) -> dict[str, int]:
        predicted = predict(each)
        if len(predicted) != len(each.test):
            raise ValueError(f"{each.held_out}: {len(predicted)} predictions for {len(each.test)} clips")
        return dict(zip(each.test.keys, map(int, predicted), strict=True))

    return pool(task, map(of, rounds))
