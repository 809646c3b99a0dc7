"""Tasks and scores: classes of each corpus, figures against independent ones, and what constant predictors reach."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from indices import write_index
from sklearn import metrics

from equime_loader import Selection, open_dataset
from equime_loader.corpora.classes import CLASSES, CORPORA_WITH_CLASSES, MAPS, class_of
from equime_loader.schema import EMOTIONS
from training.protocols.scores import Scores, constant_scores, scores, scores_of
from training.protocols.tasks import Task, make_task

THREE = CLASSES["three"]


def clips_of(root: Path, rows: list[tuple[str | None, str | None, str | None]]) -> Selection:
    """Clips with (corpus, corpus_label, emotion)."""
    names = ("corpus", "corpus_label", "emotion")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    columns["subject"] = [f"s{number}" for number in range(len(rows))]
    return open_dataset(write_index(root, columns))


# --- classes -----------------------------------------------------------------------------------------------------

# Labels of the sheets, and how many clips carry each (reference counts of the corpora's own papers and sheets).
SHEETS = {
    "casme2": {
        "others": 99,
        "disgust": 63,
        "happiness": 32,
        "repression": 27,
        "surprise": 25,
        "sadness": 7,
        "fear": 2,
    },
    "samm": {
        "anger": 57,
        "other": 26,
        "happiness": 26,
        "surprise": 15,
        "contempt": 12,
        "disgust": 9,
        "fear": 8,
        "sadness": 6,
    },
    "smic_hs": {"negative": 70, "positive": 51, "surprise": 43},
    "casme3_a": {
        "disgust": 250,
        "surprise": 187,
        "others": 161,
        "fear": 86,
        "anger": 64,
        "sad": 57,
        "happy": 55,
    },
    "casme3_c": {"negative": 99, "surprise": 30, "others": 20, "positive": 16},
    "mmew": {
        "surprise": 89,
        "disgust": 72,
        "happiness": 36,
        "fear": 16,
        "sadness": 13,
        "anger": 8,
        "others": 66,
    },
}


def tally(corpus: str, kind: str) -> list[int]:
    found = dict.fromkeys(CLASSES[kind], 0)
    for label, count in SHEETS[corpus].items():
        if (word := class_of(label, corpus=corpus, kind=kind)) is not None:
            found[word] += count
    return list(found.values())


@pytest.mark.parametrize(
    ("corpus", "kind", "counts"),
    [
        ("casme2", "three", [90, 32, 25]),  # 147 by rules; the official list has 145, 88 of them negative
        ("samm", "three", [92, 26, 15]),
        ("smic_hs", "three", [70, 51, 43]),
        ("casme3_a", "three", [457, 55, 187]),
        ("casme3_c", "three", [99, 16, 30]),
        ("mmew", "three", [109, 36, 89]),
        ("samm", "five", [26, 6, 15, 9, 57]),
        ("casme2", "five", [32, 7, 25, 63, 0]),
        ("mmew", "five", [36, 13, 89, 72, 8]),
        ("casme3_a", "five", [55, 57, 187, 250, 64]),
        ("casme2", "casme2_five", [32, 63, 27, 25, 99]),
        ("samm", "samm_five", [57, 12, 26, 15, 26]),
        ("samm", "seven", [26, 6, 15, 8, 57, 9, 12]),
        ("samm", "casme2_five", [0] * 5),
        ("smic_hs", "five", [0] * 5),
    ],
)
def test_classes_have_the_known_counts(corpus: str, kind: str, counts: list[int]) -> None:
    assert tally(corpus, kind) == counts


@pytest.mark.parametrize(
    ("label", "corpus", "expected"),
    [
        ("Happiness", "mmew", "positive"),
        ("HAPPY", "mmme", "positive"),
        ("tense", "mmme", None),
        ("repression", "casme2", "negative"),
        ("repression", "4dme", None),
        ("positive", "4dme", "positive"),
        ("negative + negative", "4dme", "negative"),
        ("surprise+positive", "4dme", None),
        ("negative+others", "4dme", None),
        ("sadness", "casme2", None),
        ("sadness", "samm", "negative"),
        ("negative", "miex", "negative"),
        ("contempt", "equime", "negative"),
        ("contempt", "samm_long", "negative"),
    ],
)
def test_class_of_a_label(label: str, corpus: str, expected: str | None) -> None:
    assert class_of(label, corpus=corpus, kind="three") == expected


def test_every_map_leads_to_classes_of_its_task() -> None:
    for kind, maps in MAPS.items():
        assert set(maps) <= set(CORPORA_WITH_CLASSES)
        for words in maps.values():
            assert set(words.values()) <= set(CLASSES[kind])


def test_unknown_corpora_and_tasks_are_named() -> None:
    with pytest.raises(ValueError, match=r"corpus='casme1' must be one of equime,"):
        class_of("anger", corpus="casme1", kind="three")
    with pytest.raises(ValueError, match=r"kind='two' must be one of three, five"):
        class_of("anger", corpus="samm", kind="two")


# --- tasks -------------------------------------------------------------------------------------------------------


def test_a_task_takes_each_corpus_by_its_own_word(tmp_path: Path) -> None:
    rows = [
        ("equime", None, "fear"),
        ("casme2", "fear", "fear"),  # left out by MEGC2019
        ("casme2", "repression", None),
        (None, None, "happiness"),  # a dataset of before there was a corpus
        ("mine", None, "fear"),  # the same, joined: its part's name stands there
        ("smic_hs", "surprise", "surprise"),
        ("samm", "others", None),
        ("samm_long", None, None),
    ]
    task = make_task(clips_of(tmp_path, rows), "three")
    assert task.targets.tolist() == [0, 0, 1, 0, 2]
    assert task.clips.rows.tolist() == [0, 2, 3, 4, 5]
    assert task.counts() == {"negative": 3, "positive": 1, "surprise": 1}
    assert task.clips.steps[-2:] == (
        "micro-expressions",
        "classes three: negative, positive, surprise; 3 clips without one left out",
    )
    assert task.by_key == {f"anger_u_s_{row:03d}": target for row, target in ((0, 0), (2, 0), (3, 1), (4, 0), (5, 2))}


def test_macro_expressions_are_told_only_where_they_are_asked_for(tmp_path: Path) -> None:
    columns = {
        "expression": ["micro", "macro", None, "macro"],
        "corpus": ["casme_sq"] * 4,
        "corpus_label": ["positive", "negative", "surprise", "positive"],
    }
    clips = open_dataset(write_index(tmp_path, columns))
    task = make_task(clips, "three")
    assert task.clips.rows.tolist() == [0, 2] and task.targets.tolist() == [1, 2]
    assert task.clips.steps[-2] == "micro-expressions; 2 clips of others left out"
    both = make_task(clips, "three", expressions=["micro", "macro"])
    assert len(both) == 4 and both.clips.steps[-2] == "micro-expressions and macro-expressions"
    for wrong in ([], ["brief"]):
        with pytest.raises(ValueError, match="must be one or more of micro, macro"):
            make_task(clips, "three", expressions=wrong)
    with pytest.raises(ValueError, match="there are none of micro-expressions; 2 clips of others left out"):
        make_task(clips.where(expression="macro"), "three")


def test_parts_of_a_task_keep_their_classes(tmp_path: Path) -> None:
    task = make_task(clips_of(tmp_path, [("equime", None, emotion) for emotion in EMOTIONS]), "seven")
    part = task.narrowed(np.array([5, 1]), "two of them")
    assert part.targets.tolist() == [1, 5] and part.clips.steps[-1] == "two of them"
    assert task.narrowed(task.targets > 4, "late ones").targets.tolist() == [5, 6]
    assert task.of(task.clips.where(emotion=["anger", "fear"])).targets.tolist() == [3, 4]
    with pytest.raises(ValueError, match="clips must be clips of the task"):
        part.of(task.clips)


def test_tasks_that_cannot_be(tmp_path: Path) -> None:
    clips = clips_of(tmp_path, [("smic_hs", "positive", None), ("samm_long", None, None)])
    with pytest.raises(ValueError, match="no clip has one of its classes; there are positive of smic_hs, unlabeled"):
        make_task(clips, "five")
    with pytest.raises(ValueError, match="kind='four' must be one of"):
        make_task(clips, "four")
    with pytest.raises(ValueError, match=r"must be \(2,\) int64"):
        Task(clips, THREE, np.zeros(3, np.int64))
    with pytest.raises(ValueError, match=r"targets hold 0..3, expected 0..2"):
        Task(clips, THREE, np.array([0, 3]))


# --- scores ------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50))
def test_scores_against_sklearn(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    found, known = scores(truth, predicted, EMOTIONS[:4]), sorted(set(truth.tolist()))
    expected = {
        "accuracy": metrics.accuracy_score(truth, predicted),
        "uf1": metrics.f1_score(truth, predicted, labels=known, average="macro", zero_division=0),
        "uar": metrics.recall_score(truth, predicted, labels=known, average="macro", zero_division=0),
        "macro_f1": metrics.f1_score(truth, predicted, average="macro", zero_division=0),
        "weighted_f1": metrics.f1_score(truth, predicted, average="weighted", zero_division=0),
    }
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected)
    assert np.array_equal(found.confusion, metrics.confusion_matrix(truth, predicted, labels=range(4)))


def said(found: Scores, *names: str, digits: int = 4) -> tuple[float, ...]:
    return tuple(round(getattr(found, name), digits) for name in names)


def test_a_constant_predictor_on_the_composite() -> None:
    found = constant_scores(np.repeat([0, 1, 2], [250, 109, 83]), THREE)
    assert said(found["negative"], "accuracy", "uf1", "uar") == (0.5656, 0.2408, 0.3333)
    assert list(found) == list(THREE)


def test_published_rows_of_samm_are_constant_predictors() -> None:
    """Supplementary Table 2 of the EquiME paper: accuracy, weighted F1, macro F1 on SAMM's 72/26/15 clips."""
    figures = ("accuracy", "weighted_f1", "macro_f1")
    whole = constant_scores(np.repeat([0, 1, 2], [72, 26, 15]), THREE)
    assert said(whole["negative"], *figures, digits=3) == (0.637, 0.496, 0.259)
    assert said(whole["positive"], *figures, digits=3) == (0.230, 0.086, 0.125)
    # Half of SAMM is held out for testing in the published code: 36 of its 57 clips are negative.
    half = constant_scores(np.repeat([0, 1, 2], [36, 13, 8]), THREE)
    assert said(half["negative"], *figures, digits=3) == (0.632, 0.489, 0.258)


def test_pooled_counts_are_not_the_mean_of_folds() -> None:
    folds = [np.array([[3, 0], [1, 0]]), np.array([[0, 0], [0, 1]])]
    assert scores_of(sum(folds)).uf1 == pytest.approx((6 / 7 + 2 / 3) / 2)
    assert np.mean([scores_of(fold).uf1 for fold in folds]) != pytest.approx(scores_of(sum(folds)).uf1)


def test_scores_of_nothing_and_of_strange_numbers() -> None:
    empty = scores(np.zeros(0, np.int64), np.zeros(0, np.int64), THREE)
    assert empty.clips == 0 and math.isnan(empty.uf1) and math.isnan(empty.weighted_f1)
    with pytest.raises(ValueError, match=r"predicted holds 0..3, expected numbers of 3 classes"):
        scores(np.array([0, 1]), np.array([0, 3]), THREE)
    with pytest.raises(ValueError, match=r"truth \(2,\) and predicted \(1,\) must be one number per clip"):
        scores(np.array([0, 1]), np.array([0]), THREE)
