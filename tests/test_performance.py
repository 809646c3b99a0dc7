"""Model fairness: every formula against an independent one, the bootstrap against loops, and laws."""

from __future__ import annotations

import json
import math
from itertools import permutations

import numpy as np
import pytest
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_difference,
    demographic_parity_ratio,
    equalized_odds_difference,
    true_negative_rate,
    true_positive_rate,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics

from equime_loader.fairness import formulas
from equime_loader.fairness.bootstrap import SubjectConfusions, draws, resampled, shuffled
from equime_loader.fairness.formulas import CRITERIA, SCORES, confusion_matrix
from equime_loader.fairness.performance import fairness_report
from equime_loader.fairness.predictions import Predictions
from equime_loader.fairness.report import FairnessReport

THREE = ("negative", "positive", "surprise")


def near(first: object, second: object, *, within: float = 1e-9) -> bool:
    return first == pytest.approx(second, abs=within, nan_ok=True)


@st.composite
def evaluations(
    draw: st.DrawFn, *, classes: int = 4, groups: int = 4
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """True and predicted class numbers, group numbers, and how many classes there are."""
    size = draw(st.integers(2, classes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    clips = draw(st.integers(1, 60))
    truth, predicted = rng.integers(0, size, clips), rng.integers(0, size, clips)
    predicted = np.where(rng.random(clips) < draw(st.floats(0, 1)), truth, predicted)
    return truth, predicted, rng.integers(0, draw(st.integers(1, groups)), clips), size


def matrices(truth: np.ndarray, predicted: np.ndarray, group: np.ndarray, classes: int) -> np.ndarray:
    """(G, C, C) of the groups that occur."""
    each = (group == number for number in np.unique(group))
    return np.stack([confusion_matrix(truth[clips], predicted[clips], classes=classes) for clips in each])


# --- scores ------------------------------------------------------------------------------------------------------


@given(evaluations())
def test_scores_against_sklearn(evaluation: tuple[np.ndarray, np.ndarray, np.ndarray, int]) -> None:
    truth, predicted, _, classes = evaluation
    matrix = confusion_matrix(truth, predicted, classes=classes)
    np.testing.assert_array_equal(matrix, metrics.confusion_matrix(truth, predicted, labels=range(classes)))
    present = np.unique(truth)
    macro = {"labels": present, "average": "macro", "zero_division": 0}
    assert near(formulas.accuracy(matrix), metrics.accuracy_score(truth, predicted))
    assert near(formulas.uf1(matrix), metrics.f1_score(truth, predicted, **macro))
    assert near(formulas.uar(matrix), metrics.recall_score(truth, predicted, **macro))
    each = metrics.recall_score(truth, predicted, labels=present, average=None)
    assert near(formulas.recall(matrix)[present], each)
    assert np.isnan(np.delete(formulas.recall(matrix), present)).all()
    assert near(formulas.selection_rate(matrix), [np.mean(predicted == word) for word in range(classes)])


def test_constant_class_of_the_megc_composite() -> None:
    """The published anchor: always negative on the 442 clips of MEGC2019."""
    matrix = formulas.constant(np.diag([250, 109, 83]), 0)
    assert (matrix == [[250, 0, 0], [109, 0, 0], [83, 0, 0]]).all()
    found = [round(float(score(matrix)), 4) for score in SCORES.values()]
    assert found == [0.5656, 0.2408, 0.3333]


def test_scores_of_nothing_are_not_defined() -> None:
    for score in SCORES.values():
        assert np.isnan(score(np.zeros((3, 3))))
    for criterion in CRITERIA.values():
        assert np.isnan(criterion(np.stack([np.eye(3), np.zeros((3, 3))])))


# --- criteria ----------------------------------------------------------------------------------------------------


def brute_force(truth: np.ndarray, predicted: np.ndarray, group: np.ndarray, classes: int) -> dict[str, float]:
    """The criteria in loops over clips, as the reference states them."""
    names = sorted(set(group.tolist()))
    clips = list(zip(group.tolist(), truth.tolist(), predicted.tolist(), strict=True))

    def rate(name: object, true: int, called: int) -> float | None:
        of = [p for g, t, p in clips if g == name and t == true]
        return sum(p == called for p in of) / len(of) if of else None

    def spread(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return max(known) - min(known) if len(known) > 1 else None

    def mean(values: list[float | None]) -> float:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else math.nan

    def selected(name: object, word: int) -> float:
        of = [p for g, _, p in clips if g == name]
        return sum(p == word for p in of) / len(of)

    words = range(classes)
    occurring = [word for word in words if any(word in (t, p) for _, t, p in clips)]
    rates = {word: [selected(name, word) for name in names] for word in words}
    impact = [min(of) / max(of) for of in rates.values() if len(names) > 1 and max(of) > 0]
    return {
        "equal opportunity": mean([spread([rate(name, word, word) for name in names]) for word in words]),
        "equalized odds": mean([spread([rate(name, i, j) for name in names]) for i in words for j in occurring]),
        "demographic parity": mean([spread(rates[word]) for word in occurring]),
        "disparate impact": min(impact) if impact else math.nan,
    }


@given(evaluations())
def test_criteria_against_loops(evaluation: tuple[np.ndarray, np.ndarray, np.ndarray, int]) -> None:
    expected, counts = brute_force(*evaluation), matrices(*evaluation)
    for name, criterion in CRITERIA.items():
        assert near(float(criterion(counts)), expected[name]), name


@given(evaluations())
def test_criteria_against_the_authors_formulas(evaluation: tuple[np.ndarray, np.ndarray, np.ndarray, int]) -> None:
    """As Dominguez-Catena et al. write them, where every group has every class: they define no other case."""
    truth, predicted, group, classes = evaluation
    everyone = np.repeat(np.unique(group), classes)
    truth = np.concatenate([truth, np.tile(np.arange(classes), len(np.unique(group)))])
    predicted, group = np.concatenate([predicted, np.roll(everyone, 1) % classes]), np.concatenate([group, everyone])
    names = np.unique(group)
    if len(names) < 2:
        return
    rows = [
        metrics.confusion_matrix(
            truth[group == name], predicted[group == name], normalize="true", labels=range(classes)
        )
        for name in names
    ]
    flat, diagonal = np.array([row.ravel() for row in rows]), np.array([row.diagonal() for row in rows])
    counts = matrices(truth, predicted, group, classes)
    assert near(float(formulas.equalized_odds(counts)), np.mean(flat.max(axis=0) - flat.min(axis=0)))
    assert near(float(formulas.equal_opportunity(counts)), np.mean(diagonal.max(axis=0) - diagonal.min(axis=0)))
    # Their demographic parity sums row-normalized columns; of equally frequent classes that is C times the rate.
    even = np.round(np.array(rows) * 5040).astype(int)
    columns = np.array([row.sum(axis=0) for row in rows])
    theirs = np.mean(columns.max(axis=0) - columns.min(axis=0)) / classes
    assert near(float(formulas.demographic_parity(even)), theirs, within=1e-3)


@given(evaluations(classes=2))
def test_two_classes_against_fairlearn(evaluation: tuple[np.ndarray, np.ndarray, np.ndarray, int]) -> None:
    truth, predicted, group, _ = evaluation
    names = np.unique(group)
    # fairlearn counts a rate of no clips as 0; here such a group is left out, so each gets both classes.
    truth = np.concatenate([truth, np.tile([0, 1], len(names))])
    predicted = np.concatenate([predicted, np.tile([1, 1], len(names))])
    group = np.concatenate([group, np.repeat(names, 2)])
    if len(names) < 2:
        return
    counts, by = matrices(truth, predicted, group, 2), {"sensitive_features": group}
    assert near(float(formulas.demographic_parity(counts)), demographic_parity_difference(truth, predicted, **by))
    found = float(formulas.equalized_odds(counts))
    assert near(found, equalized_odds_difference(truth, predicted, agg="mean", **by))
    assert near(float(formulas.disparate_impact_by_class(counts)[1]), demographic_parity_ratio(truth, predicted, **by))
    frame = MetricFrame(
        metrics={"tpr": true_positive_rate, "tnr": true_negative_rate}, y_true=truth, y_pred=predicted, **by
    )
    assert near(float(formulas.equal_opportunity(counts)), frame.difference().mean())


@given(evaluations(), st.integers(0, 2**32 - 1))
def test_laws(evaluation: tuple[np.ndarray, np.ndarray, np.ndarray, int], seed: int) -> None:
    counts = matrices(*evaluation)
    groups, classes = counts.shape[:2]
    rng = np.random.default_rng(seed)
    words, names = rng.permutation(classes), rng.permutation(groups)
    renamed = counts[names][:, words][:, :, words]
    wider = np.pad(counts, ((0, 0), (0, 1), (0, 1)))
    for name, formula in {**SCORES, **CRITERIA}.items():
        value = formula(counts)
        order = names if name in SCORES else ...
        np.testing.assert_allclose(formula(renamed), value[order], atol=1e-12, err_msg=f"{name}: other names")
        np.testing.assert_allclose(formula(3 * counts), value, atol=1e-12, err_msg=f"{name}: every clip thrice")
        np.testing.assert_allclose(formula(wider), value, atol=1e-12, err_msg=f"{name}: a class that nobody has")
        defined = value[np.isfinite(value)]
        assert ((defined >= 0) & (defined <= 1)).all(), name
        stacked = formula(np.stack([counts, renamed]))
        np.testing.assert_array_equal(stacked[0], value, err_msg=f"{name}: leading dimensions")
    alike = np.repeat(counts[:1], 3, axis=0)
    for name, criterion in CRITERIA.items():
        assert near(float(criterion(alike)), 1.0 if name == "disparate impact" else 0.0), name


@given(st.lists(st.one_of(st.floats(0, 1), st.just(math.nan)), min_size=1, max_size=6))
def test_gap_and_ratio(scores: list[float]) -> None:
    unknown = len(scores) < 2 or any(map(math.isnan, scores))
    assert near(float(formulas.gap(scores)), math.nan if unknown else max(scores) - min(scores))
    never = unknown or max(scores) == 0
    assert near(float(formulas.ratio(scores)), math.nan if never else min(scores) / max(scores))


# --- the bootstrap -----------------------------------------------------------------------------------------------


def world(subjects: int = 60, per: int = 8, *, seed: int = 0, classes: int = 3) -> dict[str, np.ndarray]:
    """Predictions with subjects that differ in skill, and two attributes of subjects."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(subjects), per)
    truth = rng.integers(0, classes, len(subject))
    right = rng.random(len(subject)) < rng.uniform(0.2, 0.95, subjects)[subject]
    predicted = np.where(right, truth, rng.integers(0, classes, len(subject)))
    race = np.array(["black", "white", "asian"])[rng.choice(3, subjects, p=[0.5, 0.3, 0.2])]
    gender = np.array(["Woman", "Man"])[rng.integers(0, 2, subjects)]
    return {
        "truth": truth,
        "predicted": predicted,
        "subject": subject,
        "race": race[subject],
        "gender": gender[subject],
    }


def predictions_of(data: dict[str, np.ndarray], *attributes: str) -> Predictions:
    groups = {name: data[name] for name in attributes or ("race", "gender")}
    return Predictions.of(data["truth"], data["predicted"], subjects=data["subject"], groups=groups)


@pytest.mark.parametrize("mixed", [False, True])
def test_bootstrap_against_a_loop_over_the_same_subjects(mixed: bool) -> None:
    data = world(20, 5)
    group = np.unique(data["race"], return_inverse=True)[1]
    if mixed:  # a subject with clips in several groups
        group[:7] = [0, 1, 2, 0, 1, 2, 0]
    sets = [np.arange(len(group)), *(np.flatnonzero(group == number) for number in range(3))]
    tables = SubjectConfusions.of(data["truth"], data["predicted"], data["subject"], sets, classes=3)
    found = resampled(tables, 40, seed=3)
    expected = np.zeros_like(found)
    drawn = np.concatenate(list(draws(20, 40, seed=3)))
    assert drawn.shape == (40, 20)
    for number, subjects in enumerate(drawn):
        for subject in subjects:
            for clip in np.flatnonzero(data["subject"] == subject):
                true, called = data["truth"][clip], data["predicted"][clip]
                expected[number, 0, true, called] += 1
                expected[number, 1 + group[clip], true, called] += 1
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(tables.total()[0], confusion_matrix(data["truth"], data["predicted"], classes=3))


def test_intervals_against_a_naive_bootstrap() -> None:
    """The whole report, against resampled clips that go through scikit-learn and the loops above."""
    data, count = world(40, 6, seed=5), 60
    report = fairness_report(predictions_of(data), "race", resamples=count, seed=11, confidence=0.9)
    names = [group.name for group in report.groups]
    assert names == ["asian", "black", "white"] and not any(group.too_small for group in report.groups)
    drawn = np.concatenate(list(draws(40, count, seed=11)))
    uf1, gaps, criteria = [], [], []
    for subjects in drawn:
        clips = np.concatenate([np.flatnonzero(data["subject"] == subject) for subject in subjects])
        parts = [clips[data["race"][clips] == name] for name in names]
        scores = []
        for part in parts:
            truth, predicted = data["truth"][part], data["predicted"][part]
            scores.append(metrics.f1_score(truth, predicted, labels=np.unique(truth), average="macro", zero_division=0))
        uf1.append(scores)
        gaps.append(max(scores) - min(scores))
        criteria.append(brute_force(data["truth"][clips], data["predicted"][clips], data["race"][clips], 3))
    low, high = np.quantile(uf1, [0.05, 0.95], axis=0)
    for group, *interval in zip(report.groups, low, high, strict=True):
        assert near([group.scores["uf1"].low, group.scores["uf1"].high], interval)
    gap = report.gaps[1].gap
    assert report.gaps[1].score == "uf1" and near([gap.low, gap.high], np.quantile(gaps, [0.05, 0.95]).tolist())
    for item in report.criteria:
        interval = np.quantile([values[item.name] for values in criteria], [0.05, 0.95])
        assert near([item.value.low, item.value.high], interval.tolist()), item.name


def test_one_clip_a_subject_is_the_bootstrap_of_fairlearn() -> None:
    data = world(400, 1, seed=2)
    report = fairness_report(predictions_of(data), "race", resamples=2000)
    frame = MetricFrame(
        metrics=metrics.accuracy_score,
        y_true=data["truth"],
        y_pred=data["predicted"],
        sensitive_features=data["race"],
        n_boot=200,
        ci_quantiles=[0.025, 0.975],
        random_state=0,
    )
    low, high = frame.by_group_ci
    for group in report.groups:
        score = group.scores["accuracy"]
        assert near(score.low, low[group.name], within=0.025) and near(score.high, high[group.name], within=0.025)


def test_clips_of_a_subject_are_not_independent() -> None:
    data = world(60, 20, seed=1)
    alone = {**data, "subject": np.arange(len(data["truth"]))}
    of_subjects, of_clips = (fairness_report(predictions_of(each), "race", resamples=500) for each in (data, alone))
    for mine, other in zip(of_subjects.groups, of_clips.groups, strict=True):
        assert mine.scores["uf1"].value == other.scores["uf1"].value
        width, narrow = (score.high - score.low for score in (mine.scores["uf1"], other.scores["uf1"]))
        assert width > 1.3 * narrow


@pytest.mark.parametrize(("subjects", "least"), [(50, 0.88), (8, 0.75)])
def test_intervals_hold_the_truth(subjects: int, least: float) -> None:
    """In nearly as many cases as they promise; in fewer where subjects are few, as the notes of a report say."""

    def scored(count: int, rng: np.random.Generator) -> SubjectConfusions:
        subject = np.repeat(np.arange(count), 6)
        truth = rng.integers(0, 3, len(subject))
        right = rng.random(len(subject)) < rng.beta(4, 2, count)[subject]
        predicted = np.where(right, truth, rng.integers(0, 3, len(subject)))
        return SubjectConfusions.of(truth, predicted, subject, [np.arange(len(subject))], classes=3)

    rng = np.random.default_rng(0)
    true = float(formulas.uf1(scored(100_000, rng).total()[0]))
    samples = [formulas.uf1(resampled(scored(subjects, rng), 200, seed=seed)) for seed in range(300)]
    low, high = np.quantile(samples, [0.025, 0.975], axis=(1, 2))
    held = np.mean((low <= true) & (true <= high))
    assert least < held < 0.99


def test_chance_deals_subjects_to_groups() -> None:
    """All ways to deal five subjects, against many random ones."""
    subject = np.repeat(np.arange(5), 4)
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 2, 20), rng.integers(0, 2, 20)
    sets = [np.flatnonzero(subject < 2), np.flatnonzero(subject >= 2)]
    tables = SubjectConfusions.of(truth, predicted, subject, sets, classes=2)
    found = shuffled(tables, 3000, seed=0)
    each = np.stack([confusion_matrix(truth[subject == s], predicted[subject == s], classes=2) for s in range(5)])
    every = [[each[list(order[:2])].sum(0), each[list(order[2:])].sum(0)] for order in permutations(range(5))]
    assert {tuple(np.ravel(pair)) for pair in every} == {tuple(pair) for pair in found.reshape(3000, -1).astype(int)}
    gaps = formulas.gap(formulas.accuracy(found))
    assert gaps.mean() == pytest.approx(formulas.gap(formulas.accuracy(np.array(every))).mean(), abs=0.01)
    np.testing.assert_array_equal(found.sum(axis=1), np.broadcast_to(each.sum(axis=0), (3000, 2, 2)))


def test_chance_finds_what_was_put_in() -> None:
    """Groups that are alike stay below chance as often as promised; groups that differ do not."""
    below = 0
    for seed in range(60):
        data = world(40, 6, seed=seed)
        gap = fairness_report(predictions_of(data), "gender", resamples=200, seed=seed).gaps[1]
        below += gap.gap.value <= gap.by_chance
    assert 50 <= below <= 60
    data = world(60, 8)
    data["predicted"] = np.where((data["gender"] == "Man") & (np.arange(480) % 2 == 0), 0, data["truth"])
    gap = fairness_report(predictions_of(data), "gender", resamples=200).gaps[1]
    assert gap.worst == "Man" and gap.gap.value > gap.by_chance and gap.gap.low > 0


# --- the report --------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(evaluations(classes=3))
def test_report_against_metric_frames(evaluation: tuple[np.ndarray, np.ndarray, np.ndarray, int]) -> None:
    truth, predicted, group, classes = evaluation
    assume(len(truth) > 1)  # fairlearn takes the groups of one clip for no vector
    given_groups = {"x": np.array(["a", "b", "c", "d"])[group]}
    words = [str(number) for number in range(classes)]
    predictions = Predictions.of(truth, predicted, subjects=np.arange(len(truth)), groups=given_groups, classes=words)
    report = fairness_report(predictions, "x", resamples=5, min_clips=1, min_subjects=1)

    def uf1(true: np.ndarray, called: np.ndarray) -> float:
        return metrics.f1_score(true, called, labels=np.unique(true), average="macro", zero_division=0)

    def uar(true: np.ndarray, called: np.ndarray) -> float:
        return metrics.recall_score(true, called, labels=np.unique(true), average="macro", zero_division=0)

    frame = MetricFrame(
        metrics={"accuracy": metrics.accuracy_score, "uf1": uf1, "uar": uar},
        y_true=truth,
        y_pred=predicted,
        sensitive_features=given_groups["x"],
    )
    for name in SCORES:
        assert near(report.overall.scores[name].value, frame.overall[name])
        for part in report.groups:
            assert near(part.scores[name].value, frame.by_group[name][part.name])
    assert bool(report.gaps) == (len(report.groups) > 1)
    for item in report.gaps:
        assert near(item.gap.value, frame.difference()[item.score])
        least, most = frame.group_min()[item.score], frame.group_max()[item.score]
        assert near(item.ratio.value, least / most if most else math.nan)
        assert near(frame.by_group[item.score][item.worst], least) and near(frame.by_group[item.score][item.best], most)


def small_report(**options: int) -> FairnessReport:
    data = world(40, 6)
    data["race"] = np.where(data["subject"] < 3, "indian", data["race"]).astype(object)
    data["race"][data["subject"] == 39] = None
    return fairness_report(predictions_of(data, "race"), "race", resamples=50, **options)


def test_small_groups_are_shown_and_left_out() -> None:
    report = small_report()
    indian = next(group for group in report.groups if group.name == "indian")
    assert (indian.clips, indian.subjects, indian.too_small) == (18, 3, "clips 18 < 20, subjects 3 < 5")
    assert not indian.scores and np.sum(indian.confusion) == 18
    assert all("indian" not in (gap.worst, gap.best) for gap in report.gaps)
    assert report.unknown == 6 and report.overall.clips == 240
    rest = small_report(min_clips=1, min_subjects=1)
    assert all(group.scores for group in rest.groups)
    alone = small_report(min_clips=200)
    assert not alone.gaps and not alone.criteria and "nothing to compare" in alone.notes[-1]
    assert "too small" in str(alone)


def test_intervals_of_few_subjects_are_noted_and_of_hardly_any_not_shown() -> None:
    def report(subjects: int) -> FairnessReport:
        return fairness_report(predictions_of(world(subjects, 40), "race"), "race", resamples=50)

    for subjects in (1, 2, 4):
        few = report(subjects)
        assert all(math.isfinite(score.value) and math.isnan(score.low) for score in few.overall.scores.values())
        told = "1 subject" if subjects == 1 else f"{subjects} subjects"
        assert f"{told}, fewer than 5: there are no intervals" in few.notes
        assert "(" not in str(few).split("all  ")[1].split("\n")[0]
    some = report(6)
    assert math.isfinite(some.overall.scores["uf1"].low) and not some.gaps
    assert any(note.startswith("fewer than 30 subjects") and note.endswith("too narrow: all") for note in some.notes)


def test_absent_classes_are_left_out_and_said() -> None:
    data = world(60, 9)
    keep = ~((data["race"] == "asian") & (data["truth"] == 2))
    data = {name: values[keep] for name, values in data.items()}
    groups = {"race": data["race"]}
    predictions = Predictions.of(
        data["truth"], data["predicted"], subjects=data["subject"], groups=groups, classes=[*THREE, "contempt"]
    )
    report = fairness_report(predictions, "race", resamples=50)
    asian = report.groups[0]
    assert asian.absent == ("surprise", "contempt")
    recalls = formulas.recall(asian.confusion)
    assert near(asian.scores["uar"].value, recalls[:2].mean())
    assert "asian has no clip of surprise: left out of its UF1 and UAR" in report.notes
    assert "no clip is of contempt: left out of every UF1 and UAR" in report.notes


def test_constant_class_beside_every_accuracy() -> None:
    report = small_report()
    word = report.classes.index(report.constant_class)
    counts = np.array(report.overall.confusion)
    assert counts.sum(axis=1).argmax() == word
    for group in (report.overall, *report.groups):
        matrix = np.array(group.confusion)
        assert group.constant.keys() == SCORES.keys()
        assert near(group.constant["accuracy"], matrix[word].sum() / matrix.sum())
        assert near(group.constant["uar"], 1 / np.count_nonzero(matrix.sum(axis=1)))


def test_crossed_attributes() -> None:
    data = world(80, 8)
    report = fairness_report(predictions_of(data), ["race", "gender"], resamples=50)
    assert report.attribute == "race × gender"
    assert {group.name for group in report.groups} == {
        f"{race} × {gender}" for race in ("asian", "black", "white") for gender in ("Man", "Woman")
    }
    for group in report.groups:
        race, gender = group.name.split(" × ")
        assert group.clips == np.sum((data["race"] == race) & (data["gender"] == gender))


def test_clips_of_a_subject_in_two_groups() -> None:
    data = world(40, 6)
    data["race"][0] = "white" if data["race"][0] == "black" else "black"
    report = fairness_report(predictions_of(data), "race", resamples=50)
    assert all(math.isnan(item.by_chance) for item in (*report.gaps, *report.criteria))
    assert any("several groups" in note for note in report.notes)


def test_same_input_same_report_whatever_the_order() -> None:
    data = world(40, 6)
    first = fairness_report(predictions_of(data), "race", resamples=50, seed=4)
    assert first == fairness_report(predictions_of(data), "race", resamples=50, seed=4)
    assert first != fairness_report(predictions_of(data), "race", resamples=50, seed=5)
    order = np.random.default_rng(0).permutation(len(data["truth"]))
    other = fairness_report(
        predictions_of({name: values[order] for name, values in data.items()}), "race", resamples=50
    )
    for mine, shuffled_clips in zip(first.groups, other.groups, strict=True):
        assert mine.confusion == shuffled_clips.confusion


def test_report_prints_and_serializes() -> None:
    report = small_report()
    text = str(report)
    for words in ("240 clips of 40 subjects", "95% percentile", "too small", "constant accuracy", "by chance", "true"):
        assert words in text
    assert "without a known race" in text and not any(line.endswith(" ") for line in text.splitlines())
    values = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert values["groups"][0]["scores"]["uf1"].keys() == {"value", "low", "high"}
    table = report.to_arrow()
    rows = table.to_pylist()
    assert {"accuracy", "uf1", "uar", "uf1 gap", "uf1 ratio", "equalized odds", "recall of 0"} <= set(
        table["metric"].to_pylist()
    )
    small = [row for row in rows if row["group"] == "indian"]
    assert {row["value"] for row in small} == {None} and all("clips 18 < 20" in row["note"] for row in small)
    gap = next(row for row in rows if row["metric"] == "uf1 gap")
    assert gap["group"] is None and gap["value"] == report.gaps[1].gap.value and gap["clips"] == 216


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence": 1.0}, "confidence"),
        ({"resamples": 0}, "resamples"),
        ({"min_clips": 0}, "min_clips"),
        ({"resamples": 10_000_000}, "cells"),
    ],
)
def test_options_out_of_bounds(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fairness_report(predictions_of(world(40, 6)), "race", **options)


def test_attributes_that_are_not_there() -> None:
    data = world(10, 4)
    with pytest.raises(KeyError, match=r"no attribute 'age'; the predictions have race, gender"):
        fairness_report(predictions_of(data), "age")
    data["race"] = np.full(40, None, object)
    with pytest.raises(ValueError, match="unknown for every clip"):
        fairness_report(predictions_of(data), "race")
