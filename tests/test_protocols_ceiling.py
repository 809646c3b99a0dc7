"""The ceiling: the best rule against every rule, the law against what is drawn, and classifiers that see programs."""

from __future__ import annotations

import json
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indices import write_index

from equime_builder.facs import EMOTION_TABLES
from equime_builder.profiles import load_profile
from equime_builder.scm import sample_program
from equime_loader import Selection, join, open_dataset
from equime_loader.fairness import formulas
from equime_loader.schema import EMOTIONS
from training.protocols.bayes import best_rule, likelihoods, table_outcomes
from training.protocols.ceiling import (
    LEARNERS,
    bayes_ceiling,
    ceilings,
    features,
    learned_ceiling,
    programs,
    table_of,
)
from training.protocols.tasks import Task, make_task

FIVE = ("happiness", "sadness", "surprise", "disgust", "anger")


def drawn(root: Path, *, subjects: int, emotions: tuple[str, ...] = FIVE, profile: str = "demo") -> Selection:
    """An index of programs, a clip for each subject and emotion; four subjects share a program. No frame is drawn."""
    made = load_profile(profile)
    rows = []
    for subject, emotion in product(range(subjects), emotions):
        program = sample_program(made, emotion, 1000 * (subject // 4) + EMOTIONS.index(emotion))
        timing = program.timing
        rows.append(
            {
                "key": f"{emotion}_u_{subject}_000",
                "subject": f"p{subject:03d}",
                "counterfactual_group": f"{emotion}-{subject // 4}",
                "emotion": emotion,
                "corpus": "equime",
                "aus": [{"au": a.au, "side": a.side, "intensity": a.intensity} for a in program.activations],
                **{f"{name}_ms": timing.milliseconds(getattr(timing, name)) for name in ("onset", "apex", "offset")},
            }
        )
    write_index(root, {name: [row[name] for row in rows] for name in rows[0]})
    (root / "__manifest__").mkdir()
    (root / "__manifest__" / "plan.json").write_text(json.dumps({"profile": {"au_table": made.au_table}}))
    return open_dataset(root)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Selection:
    return drawn(tmp_path_factory.mktemp("drawn") / "set", subjects=160)


# --- the rule ----------------------------------------------------------------------------------------------------


def best_of_all(joint: np.ndarray) -> float:
    """Highest UF1 of every rule that there is."""
    classes, outcomes = joint.shape
    return max(
        float(
            formulas.uf1(
                [[joint[true, np.array(rule) == said].sum() for said in range(classes)] for true in range(classes)]
            )
        )
        for rule in product(range(classes), repeat=outcomes)
    )


@given(st.integers(0, 10_000), st.integers(2, 3), st.integers(1, 5))
@settings(max_examples=60)
def test_the_best_rule_is_the_best_of_all_rules(seed: int, classes: int, outcomes: int) -> None:
    rng = np.random.default_rng(seed)
    joint = rng.dirichlet(np.full(classes * outcomes, 0.5)).reshape(classes, outcomes)
    rule = best_rule(joint)
    confusion = np.stack([joint[:, rule.called == word].sum(axis=1) for word in range(classes)], axis=1)
    assert rule.confusion == pytest.approx(confusion)
    assert rule.uf1 == pytest.approx(best_of_all(joint), abs=1e-9)


def test_a_rare_class_is_called_more_often_than_accuracy_would() -> None:
    """Always the frequent class is right in 90%; UF1 asks for the rare one where it is more likely than usual."""
    joint = np.array([[0.60, 0.30], [0.02, 0.08]])
    assert joint.argmax(axis=0).tolist() == [0, 0]
    assert best_rule(joint).called.tolist() == [0, 1]


@pytest.mark.parametrize("table", list(EMOTION_TABLES))
def test_the_law_of_a_table_is_whole(table: str) -> None:
    law = likelihoods(table, table_outcomes(table))
    assert law.shape[0] == len(EMOTIONS) and (law >= 0).all()
    assert law.sum(axis=1) == pytest.approx(np.ones(len(EMOTIONS)), abs=1e-6)


def test_the_law_is_what_programs_are_drawn_by(tmp_path: Path) -> None:
    task = make_task(drawn(tmp_path / "set", subjects=1600, emotions=("disgust",)), "five")
    outcomes = table_outcomes("corpora")
    law = likelihoods("corpora", outcomes)[EMOTIONS.index("disgust")]
    counted = Counter(programs(task)[::4])  # four subjects share a program
    assert set(counted) <= set(outcomes)
    shares = np.array([counted[outcome] for outcome in outcomes]) / counted.total()
    assert shares == pytest.approx(law, abs=0.06)


# --- the ceiling of a dataset ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "expected"), [("three", 0.966), ("five", 0.862)])
def test_the_ceiling_of_the_paper_s_emotions(clips: Selection, kind: str, expected: float) -> None:
    """By the AU table of the corpora; real clips scatter around it, and classifiers that learn come near."""
    task = make_task(clips, kind)
    bayes, *learned = ceilings(task)
    assert round(bayes.expected_uf1, 3) == expected
    assert bayes.pooled.scores().uf1 == pytest.approx(expected, abs=0.05)
    assert [each.method for each in learned] == [f"{name}, 5 folds of subjects" for name in LEARNERS]
    for each in learned:
        assert np.isnan(each.expected_uf1)
        assert 0.6 * expected < each.pooled.scores().uf1 < expected + 0.05


def test_emotions_without_common_aus_have_no_ceiling(tmp_path: Path) -> None:
    task = make_task(drawn(tmp_path / "set", subjects=4, profile="paper"), "five")
    assert table_of(task) == "paper"
    found = bayes_ceiling(task, table="paper")
    assert found.pooled.scores().uf1 == 1.0 and found.expected_uf1 == pytest.approx(1.0)


def test_shuffled_labels_have_a_ceiling_of_chance(clips: Selection) -> None:
    task = make_task(clips, "three")
    order = np.random.default_rng(0).permutation(len(task))
    shuffled = Task(task.clips, task.classes, task.targets[order])
    assert learned_ceiling(shuffled, "logistic regression").pooled.scores().uar == pytest.approx(1 / 3, abs=0.08)


def test_sets_that_the_table_never_draws_are_told_too(tmp_path: Path) -> None:
    """An intervention leaves AU1 alone in anger, which no emotion of the paper's figure has."""
    rows = [
        [{"au": au, "side": side, "intensity": 2.0} for au in aus]
        for aus, side in (((1,), "left"), ((6, 12), "both"), ((45,), "both"))
    ]
    write_index(tmp_path, {"emotion": ["anger", "happiness", "sadness"], "aus": rows, "subject": list("abc")})
    task = make_task(open_dataset(tmp_path), "five")
    assert programs(task) == [((1,), True), ((6, 12), False), ((), False)]
    assert len(bayes_ceiling(task, table="paper").pooled.predicted) == 3


def test_what_a_program_is_as_numbers(tmp_path: Path) -> None:
    rows = [
        [{"au": 1, "side": "both", "intensity": 2.0}, {"au": 12, "side": "left", "intensity": 1.5}],
        [{"au": 1, "side": "right", "intensity": None}],
        [{"au": 1, "side": "left", "intensity": 1.0}, {"au": 1, "side": "right", "intensity": 3.0}],
    ]
    times = {"onset_ms": [100.0, 0.0, 0.0], "apex_ms": [250.0, None, 10.0], "offset_ms": [400.0, 300.0, 30.0]}
    write_index(tmp_path, {"emotion": ["anger"] * 3, "aus": rows, "subject": list("abc"), **times})
    table = features(make_task(open_dataset(tmp_path), "five"))
    assert table.shape[0] == 3 and np.isfinite(table).all()
    # AU1 stands first: left acts, left intensity, right acts, right intensity.
    assert table[:, :4].tolist() == [[1, 2, 1, 2], [0, 0, 1, 0], [1, 1, 1, 3]]
    assert table[:, -2:].tolist() == [[150, 150], [0, 0], [10, 20]]


def test_a_corpus_has_the_ceiling_that_is_learned(tmp_path: Path) -> None:
    """Codings without intensities and timing; the Bayes rule needs a table and is not there."""
    rng = np.random.default_rng(3)
    labels = rng.choice(["happiness", "disgust", "surprise"], 90)
    aus = {"happiness": 12, "disgust": 4, "surprise": 2}
    columns = {
        "corpus": ["casme2"] * 90,
        "corpus_label": labels.tolist(),
        "emotion": labels.tolist(),
        "subject": [f"casme2-{number // 6:02d}" for number in range(90)],
        "aus": [[{"au": aus[label], "side": "both", "intensity": None}] for label in labels],
    }
    task = make_task(open_dataset(write_index(tmp_path, columns)), "three")
    found = ceilings(task, folds=3)
    assert len(found) == len(LEARNERS)
    assert {each.pooled.scores().uf1 for each in found} == {1.0}
    write_index(tmp_path / "bare", {**columns, "aus": [[]] * 90})
    with pytest.raises(ValueError, match="none of 90 clips has an AU"):
        ceilings(make_task(open_dataset(tmp_path / "bare"), "three"))


def test_the_table_is_what_was_planned(clips: Selection, tmp_path: Path) -> None:
    task = make_task(clips, "five")
    assert table_of(task) == "corpora"
    other = drawn(tmp_path / "other", subjects=4, profile="paper")
    with pytest.raises(ValueError, match="different AU tables, corpora and paper"):
        table_of(make_task(join({"one": clips, "other": other}), "five"))
    assert table_of(make_task(join({"one": clips, "two": clips}), "five")) == "corpora"
    (tmp_path / "other" / "__manifest__" / "plan.json").write_text("[]")
    with pytest.raises(ValueError, match="its plan does not say its AU table"):
        table_of(make_task(other, "five"))
    for said, call in (
        ("table='facts' must be one of corpora", lambda: bayes_ceiling(task, table="facts")),
        ("method='guess' must be one of logistic", lambda: learned_ceiling(task, "guess")),
        ("folds=500 must be at least 2 and at most 40", lambda: ceilings(task, folds=500)),
    ):
        with pytest.raises(ValueError, match=said):
            call()
