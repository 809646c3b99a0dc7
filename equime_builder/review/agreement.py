"""How far reviewers agree with each other, and with the label: coefficients from libraries, intervals, and counts.

Krippendorff's alpha is that of the package `krippendorff`; Fleiss' and Cohen's kappa and the interval of the latter are
those of `statsmodels`. What a library has no interval for gets one by resampling clips.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equime_builder.acceptance import wilson
from equime_loader.fairness import formulas
from equime_loader.fairness.bootstrap import SubjectConfusions, resampled

RESAMPLES, CONFIDENCE = 1_000, 0.95
MISSING = -1

Ratings = NDArray[np.int64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its interval; None where it is not defined. `clips`, `judgments`: what it was taken over."""

    value: float | None
    low: float | None
    high: float | None
    clips: int
    judgments: int


@dataclass(frozen=True, slots=True)
class Against:
    """Answers against the intended label. `constant`: UF1 and UAR of always saying `word`, the most frequent label."""

    scores: dict[str, Figure]
    constant: dict[str, float | None]
    word: str


def counts_of(ratings: Ratings, words: int) -> Counts:
    """How often each word was said of each clip: ratings (R, C), `MISSING` where not judged, to (C, words)."""
    said, clips = np.nonzero(ratings != MISSING)
    flat = clips * words + ratings[said, clips]
    return np.bincount(flat, minlength=ratings.shape[1] * words).reshape(-1, words)


def krippendorff_alpha(ratings: Ratings, *, words: int, seed: int = 0) -> Figure:
    """Nominal alpha over the clips that two reviewers or more judged; any number of answers may be missing."""
    import krippendorff

    counts = counts_of(ratings, words)
    counts = counts[counts.sum(axis=1) >= 2]

    def alpha(table: Counts) -> float:
        return float(krippendorff.alpha(value_counts=table, level_of_measurement="nominal"))

    return _bootstrapped(alpha, counts, seed)


def fleiss_kappa(ratings: Ratings, *, words: int, seed: int = 0) -> Figure:
    """Fleiss' kappa, which asks for the same number of answers per clip.

    Taken over the clips with exactly n answers, with the n (2 or more) that covers most answers.
    """
    from statsmodels.stats.inter_rater import fleiss_kappa as kappa

    counts = counts_of(ratings, words)
    answers = counts.sum(axis=1)
    covered = [int(n * (answers == n).sum()) for n in range(2, len(ratings) + 1)]
    most = 2 + int(np.argmax(covered)) if covered else 2
    return _bootstrapped(lambda table: float(kappa(table, method="fleiss")), counts[answers == most], seed)


def cohen_kappas(ratings: Ratings, *, words: int) -> dict[tuple[int, int], Figure]:
    """Cohen's kappa of every two reviewers with a clip in common, with its asymptotic interval."""
    from statsmodels.stats.inter_rater import cohens_kappa

    figures = {}
    for one, other in combinations(range(len(ratings)), 2):
        both = (ratings[one] != MISSING) & (ratings[other] != MISSING)
        table = formulas.confusion_matrix(ratings[one][both], ratings[other][both], classes=words)
        clips = int(both.sum())
        if not clips:
            continue
        if _one_word(table.sum(axis=0) + table.sum(axis=1)):
            figures[one, other] = Figure(None, None, None, clips, 2 * clips)
            continue
        with np.errstate(all="ignore"):
            found = cohens_kappa(table)  # its interval is one of 95%
        bounds = (_plain(found.kappa_low), _plain(found.kappa_upp))
        figures[one, other] = Figure(_plain(found.kappa), *bounds, clips, 2 * clips)
    return figures


def rate(part: int, whole: int) -> Figure:
    """A share of clips with Wilson's interval."""
    return Figure(part / whole, *wilson(part, whole), whole, whole) if whole else Figure(None, None, None, 0, 0)


def against_label(truth: Ratings, said: Ratings, words: Sequence[str], *, seed: int = 0) -> Against:
    """Accuracy, UF1 and UAR of answers against the intended label, with intervals by resampling clips.

    Args:
        truth, said: (n,) numbers into `words`, of n clips, at least one.
    """
    confusion = formulas.confusion_matrix(truth, said, classes=len(words))
    clips = np.arange(len(truth))
    tables = SubjectConfusions.of(truth, said, clips, [clips], classes=len(words))
    drawn = resampled(tables, RESAMPLES, seed=seed)[:, 0]
    scores = {}
    for name, formula in formulas.SCORES.items():
        bounds = _interval(formula(drawn))
        scores[name] = Figure(_plain(float(formula(confusion))), *bounds, len(truth), len(truth))
    word = int(np.bincount(truth, minlength=len(words)).argmax())
    constant = formulas.constant(confusion, word)
    baseline = {name: _plain(float(formula(constant))) for name, formula in formulas.SCORES.items()}
    return Against(scores, baseline, words[word])


def _bootstrapped(statistic: Callable[[Counts], float], counts: Counts, seed: int) -> Figure:
    """A statistic of counts (C, words) with a percentile interval from resampled clips.

    Not defined where all said the same word: nothing is known of how they would differ. Such resamples are left out.
    """
    clips, answers = len(counts), int(counts.sum())
    if clips < 2 or _one_word(counts.sum(axis=0)):
        return Figure(None, None, None, clips, answers)
    rng = np.random.default_rng(seed)
    drawn = (counts[rows] for rows in rng.integers(0, clips, (RESAMPLES, clips)))
    values = [statistic(table) for table in drawn if not _one_word(table.sum(axis=0))]
    return Figure(_plain(statistic(counts)), *_interval(np.array(values)), clips, answers)


def _one_word(said: NDArray[Any]) -> bool:
    return int((said > 0).sum()) < 2


def _interval(values: NDArray[np.float64]) -> tuple[float | None, float | None]:
    defined = values[np.isfinite(values)]
    if not len(defined):
        return None, None
    low, high = np.quantile(defined, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return float(low), float(high)


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
