"""Scores of predictions. Accuracy never stands alone: what a constant predictor reaches belongs beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equime_loader.fairness import formulas

Confusion = tuple[tuple[int, ...], ...]
PARTIAL = "†"
PARTIAL_NOTE = f"{PARTIAL}: the clips lack a class; UF1 and UAR are over the classes that they have."


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of n clips, each from 0 to 1, NaN where it is not defined.

    Attributes:
        uf1: mean F1 of the classes that the clips have; MEGC2019's UF1, where they have them all.
        uar: mean recall of the classes that the clips have.
        macro_f1: mean F1 of the classes that the clips have or are called (as scikit-learn's `macro`): below `uf1`
            where a class is called that no clip has.
        weighted_f1: mean F1 of the classes, weighted by how many clips each has.
        confusion: counts, rows true and columns predicted.
    """

    clips: int
    accuracy: float
    uf1: float
    uar: float
    macro_f1: float
    weighted_f1: float
    confusion: Confusion


def scores(truth: NDArray[np.integer], predicted: NDArray[np.integer], classes: Sequence[str]) -> Scores:
    """Scores of predicted class numbers (n,) against true ones (n,), both 0 .. len(classes) - 1.

    Raises:
        ValueError: arrays of different lengths, or a number outside of the classes.
    """
    for name, values in (("truth", truth), ("predicted", predicted)):
        if len(values) and not (values.min() >= 0 and values.max() < len(classes)):
            raise ValueError(f"{name} holds {values.min()}..{values.max()}, expected numbers of {len(classes)} classes")
    if truth.shape != predicted.shape or truth.ndim != 1:
        raise ValueError(f"truth {truth.shape} and predicted {predicted.shape} must be one number per clip")
    return scores_of(formulas.confusion_matrix(truth, predicted, classes=len(classes)))


def scores_of(confusion: ArrayLike) -> Scores:
    """Scores of a confusion matrix (C, C) of counts.

    Counts of several folds are added up first, as MEGC2019 asks: the mean of the folds' own scores is another figure.
    """
    counts = np.asarray(confusion, np.int64)
    true, called, right = counts.sum(axis=1), counts.sum(axis=0), np.diagonal(counts)
    f1 = 2 * right / np.maximum(true + called, 1)
    clips = int(counts.sum())
    return Scores(
        clips=clips,
        accuracy=float(formulas.accuracy(counts)),
        uf1=float(formulas.uf1(counts)),
        uar=float(formulas.uar(counts)),
        macro_f1=float(f1[true + called > 0].mean()) if clips else float("nan"),
        weighted_f1=float((f1 * true).sum() / clips) if clips else float("nan"),
        confusion=tuple(tuple(row) for row in counts.tolist()),
    )


def partial_mark(confusion: Sequence[Sequence[int]]) -> str:
    """The mark of scores whose UF1 and UAR leave out a class, since no clip has it; empty where they have them all."""
    return "" if all(map(sum, confusion)) else PARTIAL


def constant_scores(truth: NDArray[np.integer], classes: Sequence[str]) -> dict[str, Scores]:
    """What always saying one class scores, by class: the least that a model must beat."""
    return {word: scores(truth, np.full_like(truth, number), classes) for number, word in enumerate(classes)}
