"""Agreement of reviewers against formulas written out, other libraries, and published examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from reviewing import judgment
from sklearn.metrics import cohen_kappa_score

from equime_builder.review.agreement import (
    MISSING,
    against_label,
    cohen_kappas,
    counts_of,
    fleiss_kappa,
    krippendorff_alpha,
    rate,
)
from equime_builder.review.opening import open_or_begin
from equime_builder.review.report import ANSWERS, make_report
from equime_loader.index import Index

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), example C: four observers, alpha 0.743.
EXAMPLE = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
)
# Fleiss (1971) as worked out in textbooks: ten subjects, fourteen raters, five categories, kappa 0.210.
FLEISS = np.array(
    [
        *([0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]),
        *([7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]),
    ]
)


def ratings_of(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.array([np.repeat(np.arange(counts.shape[1]), row) for row in counts]).T


def random_ratings(seed: int, reviewers: int = 3, clips: int = 40, words: int = 4, missing: float = 0.2) -> Any:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, words, clips)
    ratings = np.where(rng.random((reviewers, clips)) < 0.7, truth, rng.integers(0, words, (reviewers, clips)))
    ratings[rng.random(ratings.shape) < missing] = MISSING
    return ratings


def test_published_examples() -> None:
    alpha = krippendorff_alpha(EXAMPLE - 1, words=5)
    assert alpha.value == pytest.approx(0.743, abs=5e-4) and (alpha.clips, alpha.judgments) == (11, 40)
    kappa = fleiss_kappa(ratings_of(FLEISS), words=5)
    assert kappa.value == pytest.approx(0.210, abs=5e-4) and (kappa.clips, kappa.judgments) == (10, 140)


@pytest.mark.parametrize("seed", range(3))
def test_alpha_is_its_formula(seed: int) -> None:
    ratings = random_ratings(seed)
    counts = counts_of(ratings, 4)
    counts = counts[counts.sum(axis=1) >= 2].astype(float)
    pairs = counts.sum(axis=1) - 1
    same = ((counts * (counts - 1)).sum(axis=1) / pairs).sum()
    total, of = counts.sum(), counts.sum(axis=0)
    alpha = 1 - (total - same) / ((total**2 - (of**2).sum()) / (total - 1))
    found = krippendorff_alpha(ratings, words=4, seed=seed)
    assert found.value == pytest.approx(alpha, abs=1e-12)
    assert found.low is not None and found.high is not None and found.low < alpha < found.high
    assert found == krippendorff_alpha(ratings, words=4, seed=seed)


def test_cohens_kappa_is_that_of_scikit_learn() -> None:
    ratings = random_ratings(5)
    figures = cohen_kappas(ratings, words=4)
    assert list(figures) == [(0, 1), (0, 2), (1, 2)]
    for (one, other), figure in figures.items():
        both = (ratings[one] != MISSING) & (ratings[other] != MISSING)
        assert figure.value == pytest.approx(cohen_kappa_score(ratings[one][both], ratings[other][both]), abs=1e-12)
        assert figure.clips == both.sum() and figure.low < figure.value < figure.high


def test_fleiss_takes_the_clips_with_the_most_answers() -> None:
    ratings = np.full((3, 9), MISSING)
    ratings[:, :4] = [[0, 1, 0, 1], [0, 1, 1, 1], [0, 1, 0, 0]]
    ratings[:2, 4:7] = 0
    figure = fleiss_kappa(ratings, words=2)
    assert (figure.clips, figure.judgments) == (4, 12)


@pytest.mark.parametrize("of", [krippendorff_alpha, fleiss_kappa])
def test_what_is_not_defined_has_no_number(of: Any) -> None:
    nobody = np.full((2, 5), MISSING)
    one_word = np.zeros((2, 5), np.int64)
    alone = np.array([[0, 1, 0], [MISSING] * 3])
    for ratings in (nobody, one_word, alone):
        figure = of(ratings, words=2)
        assert (figure.value, figure.low, figure.high) == (None, None, None)
        assert cohen_kappas(ratings, words=2).get((0, 1), figure).value is None


def test_full_agreement_is_one() -> None:
    same = np.array([[0, 1, 2, 1, 0, 2]] * 3)
    for figure in (
        krippendorff_alpha(same, words=3),
        fleiss_kappa(same, words=3),
        *cohen_kappas(same, words=3).values(),
    ):
        assert figure.value == pytest.approx(1)


def test_intervals_cover_what_they_should() -> None:
    """Of 30 samples from one population, about 95% of the intervals hold its alpha."""
    whole = random_ratings(0, clips=1_800, missing=0)
    alpha = krippendorff_alpha(whole, words=4).value
    held = 0
    for number in range(30):
        part = krippendorff_alpha(whole[:, 60 * number : 60 * number + 60], words=4, seed=number)
        held += part.low <= alpha <= part.high
    assert 25 <= held <= 30


def test_rates_and_scores() -> None:
    wilson = rate(8, 10)
    assert (wilson.low, wilson.high) == pytest.approx((0.4901, 0.9433), abs=1e-4)  # Wilson's formula by hand
    assert rate(0, 0).value is None
    truth = np.array([0, 0, 0, 1, 1, 2])
    found = against_label(truth, np.array([0, 0, 1, 1, 8, 2]), ANSWERS)
    scores = {name: figure.value for name, figure in found.scores.items()}
    assert scores == pytest.approx({"accuracy": 4 / 6, "uf1": (4 / 5 + 1 / 2 + 1) / 3, "uar": (2 / 3 + 1 / 2 + 1) / 3})
    assert found.word == ANSWERS[0] and found.constant["uar"] == pytest.approx(1 / 3)
    assert found.constant["uf1"] == pytest.approx(6 / 9 / 3)


def test_a_report_of_nothing_one_and_two(built: Path, tmp_path: Path) -> None:
    index = Index.open(built)
    store = open_or_begin(index, tmp_path / "review", {"blind": True, "size": 8, "by": ("emotion",)})
    assert "0 of 8 clips judged, blind" in str(make_report(index, store, store.kept()))
    for number, key in enumerate(store.clips, 1):
        store.add(judgment(number, "ann", key, label=key.split("_")[0]))
    alone = make_report(index, store, store.kept())
    assert not alone.agreement and list(alone.against) == ["R01"]
    assert alone.against["R01"].scores["uf1"].value == 1 and alone.verdicts["emotion"]["surprise"].rate.value == 1
    keys = list(store.clips)
    for number, key in enumerate(keys[:4], 100):
        store.add(judgment(number, "bob", key, label=None, aus=(), verdict="rejected"))
    store.add(judgment(200, "bob", keys[0], label=keys[0].split("_")[0], aus=(12,)))
    both = make_report(index, store, store.kept())
    assert (both.judged, both.judgments, both.corrected) == (8, 12, 1)
    assert both.reviewers == {"R01": 8, "R02": 4}
    assert set(both.agreement) == {"verdict", "label", "AU6", "AU12"}
    assert both.pairs["verdict"]["R01 R02"].clips == 4
    assert list(both.against) == ["R01", "R02", "majority"]
    for line in ("AU12", "R01 R02", "majority", "constant: always"):
        assert line in str(both)
    store.close()
