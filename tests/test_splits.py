"""Splits: laws of the core on arrays, what the user meets, and the evenness against scikit-learn's."""

from __future__ import annotations

import itertools
import pickle
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indices import clips_of, write_index

from equime_loader.index import Index
from equime_loader.schema import AGE_GROUPS, EMOTIONS, GENDERS, RACES
from equime_loader.selection import Selection
from equime_loader.splits import (
    SIZES,
    STRATIFY,
    LeakageError,
    check_leakage,
    holdout,
    k_fold,
    leave_one_dataset_out,
    leave_one_subject_out,
    split_report,
)
from equime_loader.stratify import apportion, cells_of, dense, divide

some = settings(max_examples=60)


def crowd(subjects: int, clips: int, *, seed: int = 0, lost: float = 0.0, even: bool = True) -> dict[str, list[str]]:
    """Columns of a dataset: subjects with a gender, race and age group, each with some clips of the emotions."""
    rng = np.random.default_rng(seed)
    looks = [
        (
            GENDERS[rng.choice(2, p=None if even else (0.7, 0.3))],
            RACES[rng.choice(6, p=None if even else (0.09, 0.04, 0.07, 0.75, 0.01, 0.04))],
            list(AGE_GROUPS)[rng.choice(6, p=None if even else (0.01, 0.44, 0.35, 0.12, 0.06, 0.02))],
        )
        for _ in range(subjects)
    ]
    rows = [
        (f"s{subject:04d}", f"{subject:016x}", EMOTIONS[clip % len(EMOTIONS)], *looks[subject])
        for subject in range(subjects)
        for clip in range(clips)
        if clip == 0 or rng.random() >= lost
    ]
    names = ("subject", "portrait", "emotion", "apparent_gender", "apparent_race", "age_group")
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def words(selection: Selection, name: str) -> set[str]:
    label = selection.codes(name)
    return {label.words[code] for code in np.unique(label.codes)}


# --- the core


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=8), st.integers(0, 500))
@some
def test_apportioned_numbers_add_up_and_stay_near_their_share(shares: list[float], total: int) -> None:
    counts = apportion(shares, total)
    assert sum(counts) == total
    assert (min(counts) >= 1) == (total >= len(shares))
    quotas = [share / sum(shares) * total for share in shares]
    assert all(count - quota < 1 + 1e-6 for count, quota in zip(counts, quotas, strict=True))
    if min(quotas) >= 1:
        assert all(quota - count < 1 + 1e-6 for count, quota in zip(counts, quotas, strict=True))


def test_apportioned_numbers_by_hand() -> None:
    assert apportion([0.7, 0.15, 0.15], 20) == [14, 3, 3]
    assert apportion([0.7, 0.15, 0.15], 5) == [3, 1, 1]
    assert apportion([0.7, 0.15, 0.15], 3) == [1, 1, 1]
    assert apportion([1, 1, 1], 8) == [3, 3, 2]


@given(st.lists(st.integers(-1, 40), min_size=1, max_size=60), st.integers(0, 3))
@some
def test_cells_number_the_combinations_without_gaps(codes: list[int], columns: int) -> None:
    table = [np.roll(np.array(codes), shift) for shift in range(columns)]
    cells, count = cells_of(table, len(codes))
    combinations = list(zip(*(column.tolist() for column in table), strict=True)) or [()] * len(codes)
    assert sorted(set(cells.tolist())) == list(range(count))
    assert len(set(combinations)) == count == len(set(zip(combinations, cells.tolist(), strict=True)))


def test_dense_numbers_keep_their_order_whatever_the_vocabulary() -> None:
    codes = np.array([7, 3, 7, 900_000])
    for size in (1_000_000, 10**9):
        numbers, count = dense(codes, size)
        assert (numbers.tolist(), count) == ([1, 0, 1, 2], 3)


clip_rows = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 3), st.integers(-1, 1)), min_size=12, max_size=80)


@given(clip_rows, st.integers(1, 5), st.integers(0, 99), st.randoms())
@some
def test_division_has_the_sizes_asked_and_depends_on_no_order(rows, parts, seed, random) -> None:
    groups, _ = dense(np.array([row[0] for row in rows]), 12)
    count = int(groups.max()) + 1
    sizes = apportion([float(part + 1) for part in range(parts)], count)
    strata = [np.array([row[which] for row in rows]) for which in (1, 2)]
    part_of = divide(groups, strata, sizes, seed=seed)
    assert np.bincount(part_of, minlength=parts).tolist() == sizes
    order = np.array(random.sample(range(len(rows)), len(rows)))
    again = divide(groups[order], [column[order] for column in strata], sizes, seed=seed)
    assert again.tolist() == part_of.tolist()


def test_another_seed_is_another_division() -> None:
    groups = np.repeat(np.arange(50), 4)
    strata = [groups % 2, groups % 3]
    divisions = {tuple(divide(groups, strata, [25, 25], seed=seed)) for seed in range(5)}
    assert len(divisions) == 5


# --- evenness


@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("sizes", [(0.7, 0.15, 0.15), (0.2,) * 5, (0.9, 0.1)])
def test_each_label_is_off_by_two_subjects_at_most(sizes: Sequence[float], even: bool) -> None:
    clips = 7
    for seed in range(5):
        selection = clips_of(**crowd(300, clips, seed=seed, even=even))
        parts = holdout(selection, {str(number): size for number, size in enumerate(sizes)}, seed=seed)
        for name in STRATIFY:
            label, whole = selection.codes(name), np.bincount(selection.codes(name).codes)
            for part, size in zip(parts.values(), sizes, strict=True):
                off = np.bincount(part.codes(name).codes, minlength=len(whole)) - size * whole
                assert np.abs(off).max() <= 2 * clips, (name, label.words[np.abs(off).argmax()])


def deviation(groups: np.ndarray, strata: list[np.ndarray], part_of: np.ndarray, parts: int) -> float:
    """Root mean square over labels and parts of clips above or below the even share."""
    squares = []
    for column in strata:
        table = np.bincount(column * parts + part_of[groups], minlength=(column.max() + 1) * parts).reshape(-1, parts)
        squares.append(((table - table.sum(axis=1, keepdims=True) / parts) ** 2).ravel())
    return float(np.sqrt(np.concatenate(squares).mean()))


@pytest.mark.parametrize(("subjects", "lost"), [(60, 0.0), (60, 0.3), (400, 0.0), (400, 0.3)])
def test_folds_are_more_even_than_those_of_scikit_learn(subjects: int, lost: float) -> None:
    model_selection = pytest.importorskip("sklearn.model_selection")
    ours, theirs, by_chance = [], [], []
    for seed in range(4):
        selection = clips_of(**crowd(subjects, 10, seed=seed, lost=lost, even=False))
        groups, strata = selection.codes("subject").codes, [selection.codes(name).codes for name in STRATIFY]
        joint, _ = cells_of(strata, len(groups))
        splitter = model_selection.StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        reference = np.zeros(subjects, np.int64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joint strata with fewer clips than folds
            for fold, (_, test) in enumerate(splitter.split(groups, joint, groups)):
                reference[groups[test]] = fold
        chance = np.random.default_rng(seed).permutation(np.arange(subjects) % 5)
        part_of = divide(groups, strata, apportion([1.0] * 5, subjects), seed=seed)
        for found, parts in ((ours, part_of), (theirs, reference), (by_chance, chance)):
            found.append(deviation(groups, strata, parts, 5))
    assert np.mean(ours) < 0.8 * np.mean(theirs)
    assert np.mean(ours) < 0.5 * np.mean(by_chance)


# --- holdout


@given(
    st.integers(3, 40),
    st.integers(1, 6),
    st.floats(0, 0.5),
    st.integers(0, 99),
    st.lists(st.floats(0.05, 1), min_size=1, max_size=3),
)
@some
def test_holdout_is_disjoint_complete_and_deterministic(subjects, clips, lost, seed, shares) -> None:
    selection = clips_of(**crowd(subjects, clips, seed=seed, lost=lost))
    sizes = {f"part{number}": share / sum(shares) for number, share in enumerate(shares)}
    parts = holdout(selection, sizes, seed=seed)
    assert list(parts) == list(sizes)
    assert sorted(itertools.chain(*(part.rows.tolist() for part in parts.values()))) == list(range(len(selection)))
    assert check_leakage(parts).distinct["subject"] == tuple(len(words(part, "subject")) for part in parts.values())
    assert holdout(selection, sizes, seed=seed) == parts
    assert all(part.seed == seed for part in parts.values())


def test_holdout_does_not_depend_on_the_order_of_the_clips() -> None:
    columns = crowd(30, 5, lost=0.2)
    order = np.random.default_rng(0).permutation(len(columns["subject"]))
    shuffled = {name: [column[row] for row in order] for name, column in columns.items()}
    one, other = holdout(clips_of(**columns)), holdout(clips_of(**shuffled))
    assert {n: words(part, "subject") for n, part in one.items()} == {
        n: words(part, "subject") for n, part in other.items()
    }


def test_what_was_got_is_said_beside_what_was_asked() -> None:
    parts = holdout(clips_of(**crowd(10, 7)), seed=3)
    assert parts["train"].steps == (
        "holdout, seed 3: train, 7 of 10 subjects (70.0%, asked 70.0%), 70.0% of the clips",
    )
    counted = holdout(clips_of(**crowd(10, 7)), {"a": 2, "b": 3})
    assert [len(part) for part in counted.values()] == [14, 21]
    assert counted["b"].steps[-1].startswith("holdout, seed 0: b, 3 of 10 subjects (30.0%, asked 3), 30.0%")
    rest = holdout(clips_of(**crowd(10, 7)), {"test": 0.1})
    assert len(rest["test"]) == 7


def test_a_giant_subject_goes_where_it_fits_and_the_clips_are_told() -> None:
    columns = {name: [*column, *[column[0]] * 400] for name, column in crowd(10, 5).items()}
    parts = holdout(clips_of(**columns))
    assert "s0000" in words(parts["train"], "subject")
    assert parts["test"].steps[-1] == (
        "holdout, seed 0: test, 1 of 10 subjects (10.0%, asked 15.0%), 1.1% of the clips"
    )
    report = split_report(parts, sizes=SIZES)
    assert [(size.name, size.subjects, size.clips) for size in report.sizes][1:] == [
        ("validation", 2, 10),
        ("test", 1, 5),
    ]


def test_clips_without_labels_are_a_stratum_of_their_own() -> None:
    columns = crowd(20, 4)
    columns["age_group"] = [None if int(subject[1:]) % 2 else "20-29" for subject in columns["subject"]]
    parts = holdout(clips_of(**columns), {"a": 0.5, "b": 0.5})
    assert [part.counts("age_group") for part in parts.values()] == [{None: 20, "20-29": 20}] * 2


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({}, r"^sizes={} must be all shares \(floats\) or all counts of subjects \(ints\), at least one of them$"),
        ({"a": 0.5, "b": 3}, r"^sizes={'a': 0.5, 'b': 3} must be all shares \(floats\) or all counts of subjects"),
        ({"a": 0.7, "b": 0.5}, r"^sizes={'a': 0.7, 'b': 0.5} add up to 1.2; shares must add up to at most 1$"),
        ({"a": 30, "b": 30}, r"^sizes={'a': 30, 'b': 30} ask for 60 subjects, the selection has 4$"),
        ({"a": 0.5, "b": 0.0}, r"^sizes\['b'\]=0.0 must be above 0$"),
        ({"a": -1, "b": 2}, r"^sizes\['a'\]=-1 must be above 0$"),
        ({"a": float("nan")}, r"^sizes\['a'\]=nan must be above 0$"),
        (dict.fromkeys("abcde", 0.2), r"^sizes={.*} need at least 5 subjects, the selection has 4$"),
    ],
)
def test_sizes_that_cannot_be_met_are_refused_with_numbers(sizes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        holdout(clips_of(**crowd(4, 3)), sizes)


def test_nothing_to_split_by_is_refused() -> None:
    selection = clips_of(**crowd(4, 3))
    with pytest.raises(ValueError, match=r"^the selection is empty; there is nothing to split$"):
        holdout(selection.narrowed(np.array([], np.int64), "none"))
    columns = crowd(4, 2) | {"portrait": [None, *["x"] * 7]}
    with pytest.raises(ValueError, match=r"^'portrait' is null in 1 of 8 clips; leave those out of the selection$"):
        holdout(clips_of(**columns), by="portrait")


def test_linked_clips_stay_together() -> None:
    # Subjects 0-1-2 are linked by portraits, 3-4 by a program, 5 is alone.
    columns = {
        "subject": ["0", "1", "1", "2", "3", "4", "5"],
        "portrait": ["a", "a", "b", "b", "c", "d", None],
        "counterfactual_group": [None, None, None, None, "g", "g", None],
    }
    by = ("subject", "portrait", "counterfactual_group")
    selection = clips_of(**columns)
    parts = holdout(selection, {"a": 1, "b": 1, "c": 1}, by=by, stratify=())
    assert sorted(tuple(sorted(words(part, "subject"))) for part in parts.values()) == [
        ("0", "1", "2"),
        ("3", "4"),
        ("5",),
    ]
    assert check_leakage(parts, by=by).unknown == {"subject": 0, "portrait": 1, "counterfactual_group": 5}
    with pytest.raises(ValueError, match=r"ask for 4 groups, the selection has 3$"):
        holdout(selection, {"a": 4}, by=by)


# --- folds


@given(st.integers(2, 12), st.integers(2, 6), st.integers(0, 9))
@some
def test_every_clip_is_tested_once(subjects: int, folds: int, seed: int) -> None:
    selection = clips_of(**crowd(subjects, 3, seed=seed))
    if folds > subjects:
        with pytest.raises(
            ValueError, match=rf"^folds={folds} must be at least 2 and at most {subjects}, the subjects"
        ):
            k_fold(selection, folds)
        return
    rounds = k_fold(selection, folds, seed=seed)
    assert len(rounds) == folds == len(list(rounds))
    assert Counter(itertools.chain(*(fold.test.rows.tolist() for fold in rounds))) == Counter(range(len(selection)))
    sizes = [len(words(fold.test, "subject")) for fold in rounds]
    assert max(sizes) - min(sizes) <= 1
    for fold in rounds:
        assert len(fold.train) + len(fold.test) == len(selection)
        check_leakage({"train": fold.train, "test": fold.test})


def test_folds_are_made_on_access_and_tell_what_they_are() -> None:
    rounds = k_fold(clips_of(**crowd(6, 2)), 3, seed=1)
    assert repr(rounds) == "Folds(3 folds of subjects, seed 1: 3 folds of 12 clips)"
    assert rounds[-1] == rounds[2]
    assert [fold.test for fold in rounds[:2]] == [rounds[0].test, rounds[1].test]
    assert rounds[0].test.steps == ("3 folds of subjects, seed 1: fold 1 of 3",)
    assert rounds[0].train.steps == ("3 folds of subjects, seed 1: all but fold 1 of 3",)
    with pytest.raises(IndexError):
        rounds[3]


def test_leave_one_subject_out_has_a_fold_for_each() -> None:
    selection = clips_of(**crowd(9, 5, lost=0.4)).narrowed(np.arange(3, 20), "some")
    rounds = leave_one_subject_out(selection)
    assert rounds.held_out == tuple(sorted(words(selection, "subject")))
    for subject, fold in zip(rounds.held_out, rounds, strict=True):
        assert words(fold.test, "subject") == {subject}
        assert subject not in words(fold.train, "subject")
        assert len(fold.train) + len(fold.test) == len(selection)


def test_leave_one_dataset_out_tests_on_each_dataset() -> None:
    columns = crowd(6, 2) | {"corpus": ["casme2"] * 4 + ["samm"] * 2 + ["mmew"] * 6}
    rounds = leave_one_dataset_out(clips_of(**columns))
    assert rounds.held_out == ("casme2", "mmew", "samm")
    assert [(len(fold.train), len(fold.test)) for fold in rounds] == [(8, 4), (6, 6), (10, 2)]
    assert rounds[2].train.steps == ("leave one corpus out: all but samm",)
    with pytest.raises(ValueError, match=r"^corpus='a' in all 12 clips; leaving one out needs at least two corpora$"):
        leave_one_dataset_out(clips_of(**crowd(6, 2), corpus=["a"] * 12))


def test_leave_one_dataset_out_trains_on_nobody_whom_it_tests() -> None:
    columns = {
        "subject": ["s1", "s2"] * 2 + ["c1", "c2", "c3"],
        "portrait": [None] * 4 + ["p1", "p2", "p2"],
        "corpus": ["smic_hs"] * 2 + ["smic_vis"] * 2 + ["casme2", "samm", "mmew"],
    }
    rounds = leave_one_dataset_out(clips_of(**columns))
    for fold in pickle.loads(pickle.dumps(rounds)):
        check_leakage([fold.train, fold.test])
    trained = {name: sorted(fold.train.counts("corpus")) for name, fold in zip(rounds.held_out, rounds, strict=True)}
    assert trained["casme2"] == ["mmew", "samm", "smic_hs", "smic_vis"]
    assert trained["samm"] == ["casme2", "smic_hs", "smic_vis"]
    assert trained["smic_vis"] == ["casme2", "mmew", "samm"]
    assert rounds[2].train.steps == ("leave one corpus out: all but samm and mmew, which may show its people",)
    one_person = clips_of(subject=["s", "s"], corpus=["casme2", "samm"])
    with pytest.raises(ValueError, match=r"^every corpus may show the people of casme2: samm; none is left to train"):
        leave_one_dataset_out(one_person)


# --- what is no argument


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: holdout(c, 0.8), r"^sizes must be shares or counts by name, such as .*; it is 0\.8$"),
        (lambda c: holdout(c, {"train": "x"}), r"^sizes\['train'\] must be a share \(float\) or a count of subjects"),
        (lambda c: holdout("folder"), r"^selection must be a Selection, as open_dataset gives; it is 'folder'$"),
        (lambda c: holdout(c, by=5), r"^by must be a name or several; it is 5$"),
        (lambda c: holdout(c, stratify=["emotion", 5]), r"^each of stratify must be a name; it is 5$"),
        (lambda c: holdout(c, seed=1.5), r"^seed must be a whole number; it is 1\.5$"),
        (lambda c: k_fold(c, 2.5), r"^folds must be a whole number; it is 2\.5$"),
        (
            lambda c: leave_one_subject_out(c, by=("subject",)),
            r"^by must be the name of a field; it is \('subject',\)$",
        ),
        (
            check_leakage,
            r"^splits must be selections by name, as holdout gives, or a list of them; it is 12 of 12 clips",
        ),
        (
            lambda c: check_leakage(k_fold(c, 2)),
            r"^splits: split 0 must be a Selection; it is Fold\(train=6 of 12 clips",
        ),
        (lambda c: split_report(holdout(c), sizes=0.8), r"^sizes must be what was asked for, by name.*; it is 0\.8$"),
    ],
)
def test_what_is_no_argument_is_told_in_one_line(call: Callable[[Selection], object], message: str) -> None:
    with pytest.raises(TypeError, match=message) as caught:
        call(clips_of(**crowd(6, 2)))
    assert "\n" not in str(caught.value)


def test_at_least_one_field_is_kept_together() -> None:
    with pytest.raises(ValueError, match=r"^by=\(\) must name at least one field$"):
        holdout(clips_of(**crowd(6, 2)), by=())


def test_one_field_may_be_given_as_a_word() -> None:
    selection = clips_of(**crowd(9, 3))
    assert holdout(selection, stratify="emotion") == holdout(selection, stratify=["emotion"])
    assert list(check_leakage(holdout(selection), by="portrait").distinct) == ["portrait"]


# --- the check


def test_shared_subjects_and_portraits_are_named() -> None:
    selection = clips_of(**crowd(6, 2))
    train, validation, test = (
        selection.narrowed(np.array(rows), "some") for rows in ([0, 2, 4, 6], [5, 8], [7, 9, 10])
    )
    with pytest.raises(LeakageError) as caught:
        check_leakage({"train": train, "validation": validation, "test": test})
    assert str(caught.value) == (
        "3 subjects in more than one split (s0002 in train and validation, s0003 in train and test, "
        "s0004 in validation and test); 3 portraits in more than one split; "
        "split again, as holdout(selection, by=('subject', 'portrait')) does"
    )
    assert caught.value.shared["subject"]["s0003"] == ("train", "test")
    with pytest.raises(
        LeakageError, match=r"^1 subject in more than one split \(s0003 in split 0 and split 1\); split"
    ):
        check_leakage([train, test], by=["subject"])
    everything = [selection] * 3
    with pytest.raises(
        LeakageError, match=r"^6 subjects in more than one split \(s0000 in split 0 and split 1 and split 2, .*, …\)"
    ):
        check_leakage(everything)


def test_shared_portraits_are_told_by_whose_they_are() -> None:
    one = clips_of(subject=["s1", "s2", None], portrait=["00f3", "00aa", "00bb"])
    other = clips_of(subject=["p7", "p8", None], portrait=["00f3", "00cc", "00bb"])
    with pytest.raises(LeakageError) as caught:
        check_leakage({"train": one, "samm": other}, by=("portrait",))
    # Nobody is named of the first; and two datasets cannot be divided again.
    assert str(caught.value) == (
        "2 portraits in more than one split (00bb in train and 00bb in samm, s1 in train and p7 in samm)"
    )
    assert caught.value.shared["portrait"].keys() == {"00f3", "00bb"}


def test_words_are_compared_across_folders_where_they_mean_the_same() -> None:
    imported = {"corpus": ["casme2", "casme2"], "subject": ["a", "b"], "portrait": ["p", "q"]}
    one, again = clips_of(**imported), clips_of(**imported, emotion=["anger", "fear"])
    with pytest.raises(
        LeakageError, match=r"^2 subjects in more than one split \(a in split 0 and split 1, b in split"
    ):
        check_leakage([one, again])
    # Another folder's `b` of before it was told which corpus a clip is of, or of what is built here, is somebody else.
    other = clips_of(subject=["b", "c", "d"], portrait=["x", "y", None], corpus=[None, "equime", "equime"])
    report = check_leakage({"train": one, "test": other})
    assert str(report).splitlines() == [
        "in one split only  train  test",
        "subject                2     3",
        "portrait               2     2",
        "without portrait, so that nothing is known: 1 clip",
    ]


def test_there_must_be_splits_to_check() -> None:
    with pytest.raises(ValueError, match=r"^splits: there is none$"):
        check_leakage({})


# --- the report


def test_report_tells_sizes_and_the_worst_stratum() -> None:
    columns = {
        "subject": [*"aabbccdd"],
        "emotion": ["anger", "fear"] * 4,
        "apparent_gender": ["Woman"] * 4 + ["Man"] * 3 + [None],
    }
    selection = clips_of(**columns)
    parts = {"train": selection.narrowed(np.arange(6), "x"), "test": selection.narrowed(np.arange(6, 8), "y")}
    report = split_report(parts, sizes={"train": 0.7, "test": 1}, stratify=("emotion", "apparent_gender"))
    assert str(report).splitlines() == [
        "split  subjects  share  asked  clips  share",
        "train         3  75.0%  70.0%      6  75.0%",
        "test          1  25.0%      1      2  25.0%",
        "share of a word that differs most between a split and all of them",
        "field            word   split  in the split  in all",
        "emotion          fear   train         50.0%   50.0%",
        "apparent_gender  Woman  test           0.0%   50.0%",
        "2 of 5 strata (emotion × apparent_gender) have fewer subjects than there are splits (2), "
        "so that not every split has them",
    ]


def test_real_files_and_selections(tmp_path: Path) -> None:
    columns = crowd(60, 7, lost=0.1)
    index = Index.open(write_index(tmp_path, columns))
    parts = holdout(Selection.all(index))
    check_leakage(parts)
    again = holdout(clips_of(**columns))
    assert [part.rows.tolist() for part in parts.values()] == [part.rows.tolist() for part in again.values()]
    parts["test"].save(tmp_path / "test.json")
    assert Selection.load(tmp_path / "test.json", index) == parts["test"]
    assert [size.subjects for size in split_report(parts).sizes] == [42, 9, 9]
