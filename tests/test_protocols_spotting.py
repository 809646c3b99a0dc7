"""Spotting: matching against a search through all matchings, laws of it, and the spot-then-recognize score."""

from __future__ import annotations

import re
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_score, recall_score

from training.protocols.spotting import Interval, Spotting, analyze, iou, spot, unkinded

CLASSES = ("negative", "positive", "surprise")


def at(onset: int, offset: int, video: str = "s1/a", expression: str = "micro", label: str | None = None) -> Interval:
    return Interval(video, onset, offset, expression, label)


def counts(found: Spotting) -> tuple[int, int, int]:
    return found.count("TP"), found.count("FP"), found.count("FN")


@st.composite
def intervals(draw: st.DrawFn, *, most: int = 4) -> list[Interval]:
    places = draw(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 8), st.sampled_from("ab")), max_size=most))
    return [
        at(onset, onset + length, video, draw(st.sampled_from(("micro", "macro")))) for onset, length, video in places
    ]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((1, 10), (1, 10), 1.0),
        ((1, 10), (6, 15), 5 / 15),
        ((1, 10), (11, 20), 0.0),  # they touch, and share no frame
        ((1, 10), (10, 19), 1 / 19),
        ((1, 10), (30, 40), 0.0),
        ((5, 5), (5, 5), 1.0),
        ((1, 20), (6, 15), 0.5),
    ],
)
def test_iou_counts_frames(one: tuple[int, int], other: tuple[int, int], expected: float) -> None:
    assert iou(at(*one), at(*other)) == iou(at(*other), at(*one)) == pytest.approx(expected)


@given(intervals(), intervals())
def test_iou_is_that_of_sets_of_frames(ones: list[Interval], others: list[Interval]) -> None:
    for one in ones:
        for other in others:
            frames = [set(range(interval.onset, interval.offset + 1)) for interval in (one, other)]
            assert iou(one, other) == len(frames[0] & frames[1]) / len(frames[0] | frames[1])


def best(truth: list[Interval], found: list[Interval]) -> tuple[int, float]:
    """Most pairs, and then the largest sum of IoUs, of all one-to-one matchings, tried one by one."""
    few, many = sorted((truth, found), key=len)
    return max(
        (
            len(pairs := [iou(a, b) for a, b in zip(few, order, strict=False) if alike(a, b) and iou(a, b) >= 0.5]),
            sum(pairs),
        )
        for order in permutations(many)
    )


def alike(one: Interval, other: Interval) -> bool:
    return (one.video, one.expression) == (other.video, other.expression)


@given(intervals(), intervals(), st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_the_best_matching_counts(truth: list[Interval], found: list[Interval], random: object) -> None:
    result = spot(truth, found)
    pairs, overlap = best(truth, found)
    assert result.count("TP") == pairs
    assert sum(line.iou for line in result.lines) == pytest.approx(overlap)
    assert result.count("TP") + result.count("FN") == len(truth)
    assert result.count("TP") + result.count("FP") == len(found)
    for line in result.lines:
        if line.truth and line.found:
            assert alike(line.truth, line.found) and line.iou == iou(line.truth, line.found) >= 0.5
    random.shuffle(truth), random.shuffle(found)  # type: ignore[attr-defined]
    assert counts(spot(truth, found)) == counts(result)
    assert counts(spot(found, truth)) == (result.count("TP"), result.count("FN"), result.count("FP"))


def test_an_interval_is_found_once() -> None:
    """One annotated interval and three that overlap it are one right and two wrong."""
    result = spot([at(10, 30)], [at(10, 30), at(11, 31), at(9, 29)])
    assert counts(result) == (1, 2, 0)
    assert next(line for line in result.lines if line.verdict == "TP").iou == 1.0
    assert (result.precision, result.recall, result.f1) == pytest.approx((1 / 3, 1.0, 0.5))


def test_greedy_matching_would_lose_a_pair() -> None:
    """The first found interval fits both annotated ones, the second only the first: in order, one would be missed."""
    truth, found = [at(1, 10), at(4, 13)], [at(3, 11), at(1, 9)]
    assert counts(spot(truth, found)) == (2, 0, 0)


def test_videos_and_kinds_are_kept_apart_and_pooled() -> None:
    truth = [at(1, 10), at(1, 10, "s1/b"), at(50, 90, expression="macro")]
    found = [at(1, 10), at(1, 10, "s2/a"), at(50, 90, expression="micro"), at(52, 90, expression="macro")]
    result = spot(truth, found)
    assert counts(result) == (2, 2, 1)
    assert counts(result.of("micro")) == (1, 2, 1) and counts(result.of("macro")) == (1, 0, 0)
    assert counts(spot(unkinded(truth), unkinded(found))) == (2, 2, 1)
    assert result.f1 == pytest.approx(4 / 7)
    with pytest.raises(ValueError, match="expression must be given of annotated and found intervals alike"):
        spot(truth, unkinded(found))


def test_the_log_has_a_line_for_each() -> None:
    rows = list(spot([at(1, 10), at(40, 50)], [at(2, 11), at(100, 120, "s1/b")]).log())
    assert [tuple(row.values()) for row in rows] == [
        ("s1/a", "micro", 1, 10, 2, 11, 0.8182, "TP"),
        ("s1/a", "micro", 40, 50, "", "", 0.0, "FN"),
        ("s1/b", "micro", "", "", 100, 120, 0.0, "FP"),
    ]


def test_nothing_to_find_and_nothing_found() -> None:
    assert counts(spot([], [])) == (0, 0, 0) and spot([], []).f1 == 0.0
    assert counts(spot([at(1, 2)], [])) == (0, 0, 1) and spot([at(1, 2)], []).precision == 0.0
    assert counts(spot([], [at(1, 2)])) == (0, 1, 0)
    for said, call in (
        ("least_iou=0 must lie above 0", lambda: spot([], [], least_iou=0)),
        ("s1/a: onset=9 must not lie after offset=3", lambda: at(9, 3)),
        ("classes: at least one", lambda: analyze(spot([], []), ())),
    ):
        with pytest.raises(ValueError, match=re.escape(said)):
            call()


# --- spot, then recognize ----------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from((*CLASSES, "others")), st.sampled_from((*CLASSES, "others"))), max_size=12))
def test_recognition_of_what_was_spotted_against_sklearn(labels: list[tuple[str, str]]) -> None:
    truth = [at(100 * n, 100 * n + 20, label=true) for n, (true, _) in enumerate(labels)]
    found = [at(100 * n, 100 * n + 20, label=said) for n, (_, said) in enumerate(labels)]
    missed, wrong = at(5000, 5020, label="negative"), at(6000, 6020, label="positive")
    spotting = spot([*truth, missed], [*found, wrong])
    result = analyze(spotting, CLASSES)
    judged = [(true, said) for true, said in labels if true != "others"]
    assert result.spotted == len(judged)
    if judged:
        columns = tuple(zip(*judged, strict=True))
        options = {"labels": CLASSES, "average": "macro", "zero_division": 0}
        precision, recall = precision_score(*columns, **options), recall_score(*columns, **options)
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        assert (result.precision, result.recall, result.f1) == pytest.approx((precision, recall, f1))
    assert result.strs == pytest.approx(spotting.f1 * result.f1)
    assert spotting.f1 == pytest.approx(2 * len(labels) / (2 * len(labels) + 2))


def test_the_worked_example_of_a_score() -> None:
    """Of four annotated intervals three are found, with one more that is nothing: F1 6/8. Two emotions are right."""
    labels = ("negative", "positive", "surprise", "negative")
    truth = [at(100 * n, 100 * n + 20, label=label) for n, label in enumerate(labels)]
    said = ("negative", "surprise", "surprise")
    found = [at(100 * n, 100 * n + 20, label=label) for n, label in enumerate(said)] + [at(900, 920, label="negative")]
    result = analyze(spot(truth, found), CLASSES)
    assert (result.precision, result.recall) == pytest.approx(((1 + 0 + 1 / 2) / 3, (1 + 0 + 1) / 3))
    assert result.mean_f1 == pytest.approx((1 + 0 + 2 / 3) / 3)
    assert result.strs == pytest.approx(6 / 8 * 2 * (1 / 2) * (2 / 3) / (1 / 2 + 2 / 3))


def test_labels_are_needed_to_be_judged() -> None:
    with pytest.raises(ValueError, match="label must be given of every found interval"):
        analyze(spot([at(1, 9, label="negative")], [at(1, 9)]), CLASSES)
