"""The paired test over seeds: exact, honest about few seeds, adjusted for many tests."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from training.reports.paired import holm, paired


def by_hand(differences: list[float]) -> float:
    """Two-sided p of all changes of signs."""
    mean = abs(np.mean(differences))
    signs = np.array(list(product((-1, 1), repeat=len(differences))))
    return float(np.mean(np.abs((signs * differences).mean(axis=1)) >= mean - 1e-12))


@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
def test_the_test_is_exact(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    one, other = rng.normal(0.1, 0.1, seeds), rng.normal(0, 0.1, seeds)
    found = paired(one, other)
    assert found.p == pytest.approx(by_hand(list(one - other)), abs=1e-9)
    assert found.mean == pytest.approx(np.mean(one - other)) and found.low < found.mean < found.high
    assert found.least_p == 2 / 2**seeds


def test_a_clear_difference_of_six_seeds_has_the_least_p() -> None:
    found = paired([0.6, 0.62, 0.61, 0.65, 0.6, 0.64], [0.5, 0.5, 0.52, 0.51, 0.49, 0.5])
    assert found.p == found.least_p == pytest.approx(0.03125)


def test_equal_measures_differ_in_nothing() -> None:
    found = paired([0.1 + 0.2] * 4, [0.3] * 4)
    assert (found.mean, found.p) == (0.0, 1.0)


def test_one_seed_says_nothing() -> None:
    found = paired([0.6], [0.5])
    assert np.isnan([found.low, found.high, found.p]).all() and found.least_p == 1.0


def test_by_chance_it_is_rarely_small() -> None:
    rng = np.random.default_rng(1)
    p = [paired(rng.normal(size=6), rng.normal(size=6)).p for _ in range(150)]
    assert np.mean(np.array(p) < 0.05) < 0.09


@pytest.mark.parametrize(("one", "other"), [([], []), ([0.5], [0.5, 0.6]), ([float("nan")], [0.5])])
def test_refuses(one: list[float], other: list[float]) -> None:
    with pytest.raises(ValueError, match="measures must"):
        paired(one, other)


def test_holm_is_that_of_statsmodels() -> None:
    p = np.random.default_rng(0).random(20) ** 2
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])
    assert np.isnan(holm([0.01, float("nan")])[1]) and holm([0.01, float("nan")])[0] == 0.01
