"""Across datasets: leaving one out. (`training.matrix` trains on each.)"""

from __future__ import annotations

from collections.abc import Iterator

from equime_loader import splits
from training.protocols.rounds import VALIDATION, Round, round_of
from training.protocols.tasks import Task


def leave_one_dataset_out(task: Task, *, validation: float = VALIDATION, seed: int = 0) -> Iterator[Round]:
    """A round for each corpus of joined folders: train on the others, test on it.

    Corpora that may show its people are left out of its training, see `equime_loader.people`.

    Args:
        validation: share of the training clips' subjects that stop the training.
        seed: which of them.

    Raises:
        ValueError: fewer than two corpora, or none to train on that does not share people with the one left out.
    """
    folds = splits.leave_one_dataset_out(task.clips)
    for name, fold in zip(folds.held_out, folds, strict=True):
        yield round_of(name, task, fold.train, fold.test, validation=validation, seed=seed)
