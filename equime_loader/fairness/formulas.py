"""Scores and fairness criteria of confusion matrices: pure, for any number of leading dimensions.

A matrix (C, C) holds counts, rows true and columns predicted. A figure that is not defined is NaN. A class without a
true clip in a group has no recall there: the group's scores leave it out, and criteria compare the groups that have it.

The criteria for many classes are those of Dominguez-Catena et al., after Putzel & Lee, "Blackbox Post-Processing for
Multiclass Fairness", arXiv:2201.04461; with two classes they are the known ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def confusion_matrix(truth: NDArray[np.integer], predicted: NDArray[np.integer], *, classes: int) -> NDArray[np.int64]:
    """Counts (C, C) of class numbers (n,), rows true and columns predicted."""
    flat = truth.astype(np.int64) * classes + predicted
    return np.bincount(flat, minlength=classes**2).reshape(classes, classes)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """part / whole, NaN where the whole is 0."""
    whole = np.broadcast_to(whole, part.shape)
    result: Floats = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return result


def _mean(values: Floats) -> Floats:
    """Mean of the defined values along the last axis, NaN where there is none."""
    defined = np.isfinite(values)
    return _ratio(values.sum(axis=-1, where=defined), defined.sum(axis=-1).astype(np.float64))


def _extremes(values: Floats, axis: int) -> tuple[Floats, Floats]:
    """Least and largest of the defined values along an axis; both NaN where fewer than two are defined."""
    defined = np.isfinite(values)
    enough = defined.sum(axis=axis) >= 2
    least = np.where(enough, values.min(axis=axis, where=defined, initial=np.inf), np.nan)
    most = np.where(enough, values.max(axis=axis, where=defined, initial=-np.inf), np.nan)
    return least, most


def _spread(values: Floats, axis: int) -> Floats:
    least, most = _extremes(values, axis)
    return most - least


def recall(confusion: ArrayLike) -> Floats:
    """Share of each class's clips that are recognized: (..., C, C) to (..., C)."""
    counts = np.asarray(confusion, np.float64)
    return _ratio(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1))


def selection_rate(confusion: ArrayLike) -> Floats:
    """Share of all clips that are called each class, P(ŷ = c): (..., C, C) to (..., C)."""
    counts = np.asarray(confusion, np.float64)
    return _ratio(counts.sum(axis=-2), counts.sum(axis=(-2, -1))[..., None])


def accuracy(confusion: ArrayLike) -> Floats:
    """Share of clips that are recognized: (..., C, C) to (...)."""
    counts = np.asarray(confusion, np.float64)
    return _ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1)))


def uf1(confusion: ArrayLike) -> Floats:
    """UF1 of MEGC2019: mean over the classes that clips have of 2 TP / (2 TP + FP + FN): (..., C, C) to (...).

    TP, FP and FN are summed over all clips (all folds) first. (Macro F1, as scikit-learn has it, also counts classes
    that are called and no clip has.)
    """
    counts = np.asarray(confusion, np.float64)
    true, called = counts.sum(axis=-1), counts.sum(axis=-2)
    f1 = _ratio(2 * np.diagonal(counts, axis1=-2, axis2=-1), true + called)
    return _mean(np.where(true > 0, f1, np.nan))


def uar(confusion: ArrayLike) -> Floats:
    """UAR of MEGC2019, unweighted average recall: mean over classes of TP / N: (..., C, C) to (...)."""
    return _mean(recall(confusion))


def constant(confusion: ArrayLike, word: int) -> Floats:
    """The matrix of a model that calls every clip class `word`."""
    counts = np.asarray(confusion, np.float64)
    result = np.zeros_like(counts)
    result[..., word] = counts.sum(axis=-1)
    return result


def gap(scores: ArrayLike) -> Floats:
    """Largest minus least score of the groups: (..., G) to (...); NaN where a group has none, or there is one group."""
    values = np.asarray(scores, np.float64)
    return np.where(np.isfinite(values).all(axis=-1), _spread(values, -1), np.nan)


def ratio(scores: ArrayLike) -> Floats:
    """Least over largest score of the groups: (..., G) to (...), 1 where equal; NaN as `gap`, and where all are 0."""
    values = np.asarray(scores, np.float64)
    least, most = _extremes(values, -1)
    return np.where(np.isfinite(values).all(axis=-1), _ratio(least, most), np.nan)


def _complete(confusion: Floats, criterion: Floats) -> Floats:
    """NaN where a group has no clip at all: the criterion would be one of other groups."""
    return np.where((confusion.sum(axis=(-2, -1)) > 0).all(axis=-1), criterion, np.nan)


def _occurring(confusion: Floats) -> NDArray[np.bool_]:
    """Which classes any clip of any group has or is called: (..., G, C, C) to (..., C)."""
    counts = confusion.sum(axis=-3)
    occurring: NDArray[np.bool_] = counts.sum(axis=-1) + counts.sum(axis=-2) > 0
    return occurring


def equal_opportunity(confusion: ArrayLike) -> Floats:
    """Mean over classes of the groups' largest minus least recall: (..., G, C, C) to (...), 0 (fair) to 1."""
    counts = np.asarray(confusion, np.float64)
    return _complete(counts, _mean(_spread(recall(counts), -2)))


def equalized_odds(confusion: ArrayLike) -> Floats:
    """Mean over (true, predicted) of the groups' largest minus least P(ŷ = j | y = i): (..., G, C, C) to (...).

    0 (fair) to 1. With two classes, the mean of the gaps of true and false positive rate; fairlearn's
    `equalized_odds_difference` with `agg="mean"`. A class that no clip has or is called is left out.
    """
    counts = np.asarray(confusion, np.float64)
    spread = _spread(_ratio(counts, counts.sum(axis=-1, keepdims=True)), -3)
    known = np.where(_occurring(counts)[..., None, :], spread, np.nan)
    return _complete(counts, _mean(known.reshape(*known.shape[:-2], known.shape[-1] ** 2)))


def demographic_parity(confusion: ArrayLike) -> Floats:
    """Mean over classes of the groups' largest minus least selection rate: (..., G, C, C) to (...), 0 (fair) to 1.

    P_g(ŷ = c) is the true selection rate: clips called c over clips of the group. (The authors' code sums the columns
    of the row-normalized matrix, which weighs rare and frequent classes alike.) Groups whose true classes differ in
    frequency differ in it even where every prediction is right. A class that no clip has or is called is left out.
    """
    counts = np.asarray(confusion, np.float64)
    return _complete(counts, _mean(np.where(_occurring(counts), _spread(selection_rate(counts), -2), np.nan)))


def disparate_impact_by_class(confusion: ArrayLike) -> Floats:
    """The groups' least over largest selection rate of each class: (..., G, C, C) to (..., C).

    1 is fair. NaN for a class that is never called.
    """
    return _ratio(*_extremes(selection_rate(confusion), -2))


def disparate_impact(confusion: ArrayLike) -> Floats:
    """Disparate impact of the class that fares worst: (..., G, C, C) to (...), 0 to 1 (fair).

    The four-fifths rule (US EEOC Uniform Guidelines, 29 CFR 1607.4 D) asks for at least 0.8.
    """
    counts = np.asarray(confusion, np.float64)
    each = disparate_impact_by_class(counts)
    defined = np.isfinite(each)
    worst = each.min(axis=-1, where=defined, initial=np.inf)
    return _complete(counts, np.where(defined.any(axis=-1), worst, np.nan))


SCORES = {"accuracy": accuracy, "uf1": uf1, "uar": uar}
# What people read; files have the names of the scores.
TITLES = {"uf1": "UF1", "uar": "UAR", "macro_f1": "macro F1", "weighted_f1": "weighted F1", "accuracy": "accuracy"}
CRITERIA = {
    "equal opportunity": equal_opportunity,
    "equalized odds": equalized_odds,
    "demographic parity": demographic_parity,
    "disparate impact": disparate_impact,
}
