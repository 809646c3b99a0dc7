"""Bias of a dataset: every formula against an independent one, published figures, and laws."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.stats.contingency import association, crosstab
from sklearn.metrics import mutual_info_score

from equime_loader.fairness import bias
from equime_loader.fairness.bias import Association, Representation, bias_report
from equime_loader.fairness.groups import crossed
from equime_loader.index import Codes
from equime_loader.schema import EMOTIONS, RACES

# Marginals of EquiME as published (paper, tables of composition), and what the formulas make of them.
PUBLISHED = {
    "race": ((0.748, 0.089, 0.073, 0.044, 0.037, 0.009), {"ens": 2.523, "sei": 0.516, "nsd": 0.701, "ir": 83.1}),
    "gender": ((0.556, 0.444), {"ens": 1.987, "sei": 0.991, "nsd": 0.112}),
    "age": ((0.554, 0.347, 0.082, 0.016, 0.0005, 0.0006), {"ens": 2.648, "sei": 0.544, "nsd": 0.567}),
}
FORMULA = {
    "ens": bias.effective_number,
    "sei": bias.shannon_evenness,
    "nsd": bias.normalized_deviation,
    "ir": bias.imbalance_ratio,
}
# Race x expression of ExpW, counted from the example data of Dominguez-Catena et al., whose README prints its V.
EXPW = [
    [299, 282, 53, 2395, 2673, 813, 484],
    [173, 282, 62, 2490, 3000, 1048, 522],
    [41, 82, 13, 641, 785, 193, 60],
    [168, 195, 39, 1124, 1305, 405, 224],
    [418, 557, 104, 3236, 5191, 1305, 677],
    [44, 85, 16, 600, 622, 219, 93],
    [2302, 2199, 675, 17429, 17828, 5356, 4401],
]

counts = arrays(np.int64, st.integers(2, 9), elements=st.integers(0, 10_000)).filter(lambda values: values.sum() > 0)
tables = arrays(
    np.int64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.one_of(st.just(0), st.integers(0, 300))
).filter(lambda values: values.sum() > 1)


def labels_of(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A clip per count: the group and the label of each."""
    rows, columns = np.indices(table.shape)
    return np.repeat(rows.ravel(), table.ravel()), np.repeat(columns.ravel(), table.ravel())


def same(first: float, second: float) -> bool:
    return first == pytest.approx(second, abs=1e-9, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_marginals(name: str) -> None:
    shares, expected = PUBLISHED[name]
    for figure, value in expected.items():
        # An equal number of the digits that were printed.
        digits = 1 if figure == "ir" else 3
        assert round(FORMULA[figure](shares), digits) == value, figure


def test_figures_that_the_metrics_authors_print() -> None:
    assert same(bias.effective_number([24, 24, 84]), 2.478206948646503)
    assert same(bias.effective_number([18, 18, 84, 6, 6]), 3.0404964294246533)
    assert same(bias.cramers_v(EXPW), 0.04104288518527493)


@given(counts)
def test_representation_against_loops(values: np.ndarray) -> None:
    p = [value / sum(values) for value in values.tolist()]
    entropy = -sum(share * math.log(share) for share in p if share)
    assert same(bias.effective_number(values), math.exp(stats.entropy(values)))
    assert same(bias.shannon_evenness(values), entropy / math.log(len(p)))
    spread = sum((share - 1 / len(p)) ** 2 for share in p)
    assert same(bias.normalized_deviation(values), math.sqrt(len(p) / (len(p) - 1) * spread))
    # As the metrics' authors write it.
    assert same(bias.normalized_deviation(values), float(np.std(p)) * len(p) / math.sqrt(len(p) - 1))
    assert same(bias.imbalance_ratio(values), max(values) / min(values) if min(values) else math.inf)
    assert same(bias.berger_parker(values), sum(values) / max(values))
    assert same(bias.simpson(values), 1 / sum(share * share for share in p))


@given(counts, st.integers(2, 50))
def test_laws_of_representation(values: np.ndarray, factor: int) -> None:
    shuffled = np.random.default_rng(0).permutation(values)
    for formula in bias.REPRESENTATION.values():
        assert same(formula(values), formula(shuffled))
        assert same(formula(values), formula(values * factor))
        assert same(formula(values), formula(values / values.sum()))
    groups = len(values)
    ens = bias.effective_number(values)
    tiny = 1e-9
    assert 1 - tiny <= bias.berger_parker(values) <= bias.simpson(values) + tiny <= ens + 2 * tiny <= groups + 3 * tiny
    assert -tiny <= bias.shannon_evenness(values) <= 1 + tiny
    assert -tiny <= bias.normalized_deviation(values) <= 1 + tiny
    assert bias.imbalance_ratio(values) >= 1


@given(st.integers(2, 60), st.integers(1, 1000))
def test_even_and_single_groups(groups: int, clips: int) -> None:
    even, single = [clips] * groups, [clips] + [0] * (groups - 1)
    expected = {"ens": (groups, 1), "sei": (1, 0), "nsd": (0, 1), "imbalance_ratio": (1, math.inf)}
    expected |= {"berger_parker": (groups, 1), "simpson": (groups, 1)}
    for name, (of_even, of_single) in expected.items():
        assert same(bias.REPRESENTATION[name](even), of_even), name
        assert same(bias.REPRESENTATION[name](single), of_single), name


def test_one_group_alone_has_no_evenness() -> None:
    assert math.isnan(bias.shannon_evenness([7])) and math.isnan(bias.normalized_deviation([7]))
    assert bias.effective_number([7]) == 1


@pytest.mark.parametrize("wrong", [[], [0, 0], [1, -1], [1, math.nan], [1, math.inf], [[1, 2]]])
def test_counts_that_cannot_be(wrong: list[float]) -> None:
    for formula in bias.REPRESENTATION.values():
        with pytest.raises(ValueError, match="counts"):
            formula(wrong)
    with pytest.raises(ValueError, match="counts"):
        bias.cramers_v(np.zeros((2, 2)))


@given(tables)
def test_stereotypes_against_scipy_and_sklearn(table: np.ndarray) -> None:
    groups, labels = labels_of(table)
    filled = crosstab(groups, labels).count
    if min(filled.shape) == 1:
        assert math.isnan(bias.cramers_v(table)) and math.isnan(bias.cramers_v_by_chance(table))
    else:
        assert same(bias.cramers_v(table), association(filled, method="cramer", correction=False))
    shared = mutual_info_score(groups, labels)
    of_group, of_label, of_both = (stats.entropy(margin) for margin in (table.sum(1), table.sum(0), table.ravel()))
    assert same(bias.normalized_mutual_information(table), shared / of_both if of_both > 1e-12 else math.nan)
    to_label, to_group = bias.theils_u(table)
    assert same(to_label, shared / of_label if of_label > 1e-12 else math.nan)
    assert same(to_group, shared / of_group if of_group > 1e-12 else math.nan)


@given(tables)
def test_ducher_z_against_loops(table: np.ndarray) -> None:
    joint = table / table.sum()
    found = bias.ducher_z(table)
    for row, column in np.ndindex(*table.shape):
        p_row, p_column = joint[row].sum(), joint[:, column].sum()
        difference = joint[row, column] - p_row * p_column
        expected = 0.0
        if difference > 1e-12:
            expected = difference / (min(p_row, p_column) - p_row * p_column)
        elif difference < -1e-12:
            expected = difference / (p_row * p_column - max(0.0, p_row + p_column - 1))
        if not p_row or not p_column:
            expected = math.nan
        assert found[row, column] == pytest.approx(expected, abs=1e-6, nan_ok=True)


@given(tables, st.integers(0, 2**32 - 1))
def test_laws_of_stereotypes(table: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(table.shape[0]), rng.permutation(table.shape[1])
    other = table[rows][:, columns]
    padded = np.pad(table, ((0, 1), (0, 2)))
    for formula in (bias.cramers_v, bias.cramers_v_by_chance, bias.normalized_mutual_information):
        assert same(formula(table), formula(other)) and same(formula(table), formula(table.T))
        assert same(formula(table), formula(padded)), "empty rows and columns say nothing"
    for formula in (bias.cramers_v, bias.normalized_mutual_information):
        assert math.isnan(formula(table)) or 0 <= formula(table) <= 1
    assert bias.theils_u(table) == pytest.approx(bias.theils_u(table.T)[::-1], nan_ok=True)
    assert all(math.isnan(value) or 0 <= value <= 1 for value in bias.theils_u(table))
    z = bias.ducher_z(table)
    np.testing.assert_allclose(bias.ducher_z(other), z[rows][:, columns])
    assert np.isnan(z[:, table.sum(0) == 0]).all() and np.isnan(z[table.sum(1) == 0]).all()
    assert (np.abs(z[np.isfinite(z)]) <= 1).all()


@given(arrays(np.int64, st.integers(2, 6), elements=st.integers(1, 50)), st.integers(2, 6))
def test_independent_and_told(groups: np.ndarray, classes: int) -> None:
    crossed_fully = np.outer(groups, np.ones(classes, np.int64))
    assert bias.cramers_v(crossed_fully) < 1e-7 and bias.normalized_mutual_information(crossed_fully) < 1e-12
    assert (bias.ducher_z(crossed_fully) == 0).all()
    told = np.diag(groups)
    assert same(bias.cramers_v(told), 1) and same(bias.normalized_mutual_information(told), 1)
    assert bias.theils_u(told) == pytest.approx((1, 1))
    np.testing.assert_array_equal(bias.ducher_z(told), np.where(told, 1, -1))


def test_v_by_chance_is_the_mean_over_permutations() -> None:
    table = np.array([[5, 1, 2], [3, 6, 1]])
    groups, labels = labels_of(table)
    rng = np.random.default_rng(0)
    squares = [bias.cramers_v(crosstab(groups, rng.permutation(labels)).count) ** 2 for _ in range(4000)]
    error = 4 * np.std(squares) / math.sqrt(len(squares))
    assert np.mean(squares) == pytest.approx(bias.cramers_v_by_chance(table) ** 2, abs=error)


# --- the report --------------------------------------------------------------------------------------------------


class Clips:
    """Labels of clips without a dataset."""

    def __init__(self, labels: Mapping[str, tuple[list[int], tuple[str, ...]]]) -> None:
        self.labels = {name: Codes(np.array(codes, np.int32), words) for name, (codes, words) in labels.items()}

    def __len__(self) -> int:
        return len(next(iter(self.labels.values())).codes)

    def codes(self, name: str) -> Codes:
        return self.labels[name]


SIX = Clips(
    {
        "subject": ([0, 0, 1, 1, 2, 3], ("a", "b", "c", "d")),
        "apparent_gender": ([0, 0, 1, 1, 0, -1], ("Woman", "Man")),
        "apparent_race": ([1, 1, 1, 1, 3, 3], RACES),
        "emotion": ([0, 1, 0, 1, 0, 2], EMOTIONS),
    }
)


def test_report_counts_subjects_and_clips() -> None:
    report = bias_report(SIX, ("apparent_gender", "apparent_race"))
    assert (report.clips, report.subjects) == (6, 4)
    people, clips = report.representation[:2]
    assert (people.unit, people.counts, people.unknown) == ("subjects", (2, 1), 1)
    assert (clips.unit, clips.counts, clips.unknown) == ("clips", (3, 2), 1)
    assert clips.figures["ens"] == bias.effective_number([3, 2])
    race = report.representation[3]
    assert race.counts == (0, 4, 0, 2, 0, 0) and race.figures["imbalance_ratio"] == math.inf
    gender, by_race = report.associations
    assert gender.counts[0][:3] == (2, 1, 0) and gender.unknown == 1
    assert gender.cramers_v == bias.cramers_v(gender.counts)
    assert by_race.strongest == "+1.000 indian × sadness (2 clips)"


def test_report_of_crossed_attributes() -> None:
    report = bias_report(SIX, [("apparent_gender", "apparent_race")], labels=("emotion", "apparent_gender"))
    people, _ = report.representation
    assert people.attribute == "apparent_gender × apparent_race" and len(people.groups) == 12
    assert {group: count for group, count in zip(people.groups, people.counts, strict=True) if count} == {
        "Woman × indian": 1,
        "Woman × white": 1,
        "Man × indian": 1,
    }
    assert [item.label for item in report.associations] == ["emotion"], "a group says its own parts by construction"


def test_report_prints_and_serializes() -> None:
    report = bias_report(SIX, ("apparent_gender", "apparent_race"))
    text = str(report)
    for words in ("6 clips of 4 subjects", "ENS", "V by chance", "unknown", "left out", "inf", "66.7%"):
        assert words in text
    assert not any(line.endswith(" ") for line in text.splitlines())
    values = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert values["representation"][3]["figures"]["imbalance_ratio"] is None
    assert values["associations"][0]["counts"][0][:3] == [2, 1, 0]


def test_a_report_of_nothing_known() -> None:
    nobody = Clips({"subject": ([0, 1], ("a", "b")), "apparent_gender": ([-1, -1], ("Woman", "Man")), **_emotion(2)})
    report = bias_report(nobody, ["apparent_gender"])
    assert all(math.isnan(value) for item in report.representation for value in item.figures.values())
    assert report.representation[0].unknown == 2 and report.associations[0].strongest == "–"
    assert "–" in str(report)
    with pytest.raises(ValueError, match="no clip"):
        bias_report(Clips({"subject": ([], ())}), ["apparent_gender"])
    with pytest.raises(ValueError, match="attributes"):
        bias_report(nobody, ())


def test_one_attribute_may_be_given_as_a_word() -> None:
    assert str(bias_report(SIX, "apparent_race", labels="emotion")) == str(bias_report(SIX, ["apparent_race"]))
    with pytest.raises(TypeError, match=r"^attributes must be names of fields; it is 5$"):
        bias_report(SIX, 5)  # type: ignore[arg-type]


def _emotion(clips: int) -> dict[str, tuple[list[int], tuple[str, ...]]]:
    return {"emotion": ([0] * clips, EMOTIONS)}


@given(st.lists(st.tuples(st.integers(-1, 1), st.integers(-1, 2)), min_size=1, max_size=40))
def test_crossing_against_words(pairs: list[tuple[int, int]]) -> None:
    first, second = (np.array(column, np.int32) for column in zip(*pairs, strict=True))
    name, both = crossed({"x": Codes(first, ("a", "b")), "y": Codes(second, ("p", "q", "r"))})
    assert name == "x × y" and len(both.words) == 6
    for (x, y), code in zip(pairs, both.codes, strict=True):
        assert (code == -1) == (x < 0 or y < 0)
        assert code == -1 or both.words[code] == f"{'ab'[x]} × {'pqr'[y]}"


def test_crossing_refuses_other_clips() -> None:
    short, long = Codes(np.zeros(2, np.int32), ("a",)), Codes(np.zeros(3, np.int32), ("a",))
    with pytest.raises(ValueError, match="same clips, got x 2, y 3"):
        crossed({"x": short, "y": long})
    with pytest.raises(ValueError, match="at least one"):
        crossed({})


@given(counts)
def test_representation_keeps_the_counts(values: np.ndarray) -> None:
    item = Representation.of("x", "clips", [str(number) for number in range(len(values))], values, 3)
    assert item.counts == tuple(values.tolist()) and item.unknown == 3
    assert item.figures.keys() == bias.REPRESENTATION.keys()


@given(tables)
def test_association_is_of_its_counts(table: np.ndarray) -> None:
    assume(table.shape[0] > 1)
    groups, labels = labels_of(table)
    words = tuple("abcdef")
    rows, columns = (
        Codes(groups.astype(np.int32), words[: len(table)]),
        Codes(labels.astype(np.int32), words[: table.shape[1]]),
    )
    item = Association.of("x", "y", rows, columns)
    np.testing.assert_array_equal(item.counts, table)
    assert same(item.nmi, bias.normalized_mutual_information(table))
