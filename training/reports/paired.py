"""Whether an arm of a study differs from another: differences paired by seed, with an exact test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
EXACT_SEEDS = 14  # 2^14 sign changes are all tried; with more seeds as many random ones


@dataclass(frozen=True, slots=True)
class Paired:
    """Differences of two arms, of one measure.

    Attributes:
        differences: by seed, this arm minus the other.
        mean: of them. low, high: Student's interval of the mean, NaN of one seed.
        p: two-sided, of the exact test that changes signs of differences at random; NaN of one seed.
        least_p: that so many seeds can give at all.
        adjusted_p: Holm's, over all tests of a study.
    """

    differences: tuple[float, ...]
    mean: float
    low: float
    high: float
    p: float
    least_p: float
    adjusted_p: float = float("nan")


def paired(one: Sequence[float], other: Sequence[float]) -> Paired:
    """Compare measures of two arms, by seed.

    Raises:
        ValueError: no seed, different numbers of them, or a measure that is not defined.
    """
    from scipy import stats

    first, second = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ValueError(f"arms of {first.shape} and {second.shape} measures must have one for each of the same seeds")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("measures must be defined for every seed")
    # To 12 digits: seeds of equal measures must differ by 0, not by rounding, or the test would rank it.
    difference = np.round(first - second, 12)
    seeds = len(difference)
    told, mean = tuple(difference.tolist()), float(difference.mean())
    if seeds < 2:
        nan = float("nan")
        return Paired(told, mean, nan, nan, nan, 1.0)
    error = float(difference.std(ddof=1) / np.sqrt(seeds))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, seeds - 1)) * error
    test = stats.permutation_test(
        (difference, np.zeros(seeds)),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=2**EXACT_SEEDS,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    least = 2.0 / 2 ** min(seeds, EXACT_SEEDS)
    return Paired(told, mean, mean - reach, mean + reach, min(1.0, float(test.pvalue)), least)


def holm(p: Sequence[float]) -> NDArray[np.float64]:
    """P-values adjusted for their number (Holm 1979, Scandinavian Journal of Statistics 6(2)); NaN stays out of it."""
    values = np.asarray(p, np.float64)
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known], kind="stable")]
    adjusted = np.full(len(values), np.nan)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * values[order]))
    return adjusted
