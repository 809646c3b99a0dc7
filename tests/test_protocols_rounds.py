"""The composite of MEGC2019, leave one subject out, and across datasets: by the official list where it is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indices import write_index

from equime_loader import Selection, open_dataset
from equime_loader.corpora.classes import CLASSES
from equime_loader.people import origins
from equime_loader.split_checks import LeakageError, check_leakage
from training.protocols import cross, megc2019
from training.protocols.apart import APART
from training.protocols.loso import leave_one_subject_out
from training.protocols.megc2019 import OFFICIAL, Key, KeyListError, composite, counts_of, read_keys, submission
from training.protocols.rounds import Round, evaluate, pool, round_of
from training.protocols.scores import constant_scores, scores_of
from training.protocols.tasks import Task, make_task

THREE = CLASSES["three"]
LIST = Path("/work/shared/data/protocols/megc2019_combined_3class_gt.csv")
LABEL_OF = {
    "casme2": ("repression", "happiness", "surprise"),
    "samm": ("anger", "happiness", "surprise"),
    "smic_hs": THREE,
}


@pytest.fixture(scope="module")
def official() -> tuple[Key, ...]:
    if not LIST.is_file():
        pytest.skip("the official list of keys is not here")
    return read_keys(LIST)


def made_up() -> tuple[Key, ...]:
    """A small list: three subjects of each dataset, each with one clip of each class."""
    named = {"casme2": "EP{clip:02d}_01f", "smic": "s{subject:02d}_ne_{clip:02d}", "samm": "{subject:03d}_1_{clip}"}
    subjects = {"casme2": "sub{:02d}", "smic": "s{:02d}", "samm": "{}"}
    return tuple(
        Key(dataset, subjects[dataset].format(subject), name.format(subject=subject, clip=clip + 1), clip)
        for dataset, name in named.items()
        for subject in (1, 2, 11)
        for clip in range(3)
    )


def imported(root: Path, keys: Sequence[Key], *, released: bool = True) -> Selection:
    """Folders as the importer makes them of the keys' clips; names padded as in another release if not `released`."""
    columns: dict[str, list[object]] = {name: [] for name in ("key", "corpus", "subject", "corpus_subject")}
    columns |= {"corpus_clip": [], "corpus_label": [], "expression": [], "three_class": []}
    for number, key in enumerate(keys):
        person = key.place[1]
        subject = {"casme2": f"{person:02d}", "smic_hs": f"s{person:02d}", "samm": f"{person:03d}"}[key.corpus]
        clip = key.clip
        if not released:
            subject = str(person) if key.corpus != "smic_hs" else f"s{person}"
            clip = clip.replace(f"s{person:02d}_", f"s{person}_") if key.corpus == "smic_hs" else clip.upper()
        columns["key"].append(f"{key.corpus.replace('_', '')}_u_{person}_{number:03d}")
        columns["corpus"].append(key.corpus)
        columns["subject"].append(f"{key.corpus}-{person}")
        columns["corpus_subject"].append(subject)
        columns["corpus_clip"].append(clip)
        columns["corpus_label"].append(LABEL_OF[key.corpus][key.target])
        columns["expression"].append("micro")
        columns["three_class"].append(THREE[key.target])
    return open_dataset(write_index(root, columns))


# --- the list of keys --------------------------------------------------------------------------------------------


def test_the_official_list_is_the_composite(official: tuple[Key, ...]) -> None:
    assert counts_of(official) == OFFICIAL
    truth = np.array([key.target for key in official])
    assert np.bincount(truth).tolist() == [250, 109, 83]
    assert len({key.place[:2] for key in official}) == 68


def test_a_constant_predictor_on_the_official_list(official: tuple[Key, ...], tmp_path: Path) -> None:
    """Always negative through the whole protocol: list, clips, 68 rounds, pooled counts, one figure per corpus."""
    found = composite(imported(tmp_path, official, released=False), official)
    assert found.is_official and len(found.task) == 442
    rounds = list(leave_one_subject_out(found.task))
    assert len(rounds) == 68
    pooled = evaluate(found.task, rounds, lambda each: np.zeros(len(each.test), np.int64))
    total = pooled.scores()
    assert (round(total.accuracy, 4), round(total.uf1, 4), round(total.uar, 4)) == (0.5656, 0.2408, 0.3333)
    assert {name: part.clips for name, part in pooled.by("corpus").items()} == {
        "casme2": 145,
        "samm": 133,
        "smic_hs": 164,
    }
    assert pooled.by("corpus")["samm"] == constant_scores(np.repeat([0, 1, 2], [92, 26, 15]), THREE)["negative"]


def test_each_line_finds_its_clip_in_whatever_padding(tmp_path: Path) -> None:
    keys = made_up()
    for number, released in enumerate((True, False)):
        found = composite(imported(tmp_path / str(number), keys[::-1], released=released), keys)
        assert not (found.missing or found.ambiguous or found.disagreeing)
        assert [key.target for key in found.keys] == found.task.targets.tolist()
        assert sorted(found.keys, key=str) == sorted(keys, key=str)
        assert not found.is_official  # it is whole, but the list is another
        rows = found.task.clips.labels(["corpus", "corpus_subject", "corpus_clip"])
        assert [megc2019.place_of(*row.values()) for row in rows] == [key.place for key in found.keys]


def test_what_does_not_match_is_named(tmp_path: Path) -> None:
    keys = made_up()
    swapped = Key(keys[4].dataset, keys[4].subject, keys[4].clip, 2)  # its clip is labeled otherwise
    twin, other = keys[10], Key(keys[10].dataset, keys[10].subject, keys[10].clip, 2)
    alike = keys[12]
    clips = imported(tmp_path, [*keys[1:], other, alike])  # the first is not there, two have a second event
    found = composite(clips, [*keys[:4], swapped, *keys[5:]])
    assert found.missing == (keys[0],)
    assert found.ambiguous == (alike,)  # both of its events have its class
    assert found.disagreeing == (swapped,)
    assert twin in found.keys and found.task.targets[found.keys.index(twin)] == twin.target
    assert found.task.targets[found.keys.index(swapped)] == 2  # the list decides
    assert "no clip for 1 lines of the list: casme2 sub01 EP01_01f" in str(found)
    assert "25 of 442" in str(found) and found.task.clips.steps[-1].startswith("MEGC2019: 25 of the 27 samples")
    with pytest.raises(ValueError, match="none of 9 clips is one of the 9"):
        composite(imported(tmp_path / "smic", keys[9:18]), keys[:9])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("casme2,sub01,EP02_01f\n", r"line 1: 3 cells, expected dataset,subject,clip,label"),
        ("casme2,sub01,EP02_01f,1\n\ncasme,sub01,EP02_01f,1\n", r"line 3: dataset='casme' must be one of casme2, smic"),
        ("smic,s01,s01_ne_01,3\n", r"line 1: label='3' must be 0 \(negative\)"),
        ("smic,s01,s01_ne_01,0\nsmic,s1,s1_ne_01,0\n", r"line 2: smic s1 s1_ne_01 stands twice"),
        ("samm,six,006_1_2,0\n", r"line 1: subject='six' must hold a number"),
        ("\n,,,\n", "holds no keys"),
        ("samm,6,\xff,0\n".encode("latin-1"), "can't decode"),
        (b"samm" * 400_000, "1600000 bytes, a list has at most 1048576"),
    ],
)
def test_lists_that_cannot_be_read(tmp_path: Path, text: str | bytes, said: str) -> None:
    path = tmp_path / "keys.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(KeyListError, match=f"keys.csv.*{said}"):
        read_keys(path)


def test_blank_lines_and_spaces_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "keys.csv"
    path.write_text("\ufeffcasme2, sub01 ,EP02_01f,1\r\n\r\n,,,\r\nsamm,6,006_1_2,0\r\n", encoding="utf-8")
    assert read_keys(path) == (Key("casme2", "sub01", "EP02_01f", 1), Key("samm", "6", "006_1_2", 0))


def test_the_log_of_a_submission(tmp_path: Path) -> None:
    keys = made_up()[:1] + made_up()[-2:]
    found = composite(imported(tmp_path, keys), keys)
    assert submission(found, np.array([2, 0, 1])) == (
        "casme2 sub01\nEP01_01f 0 2\nsamm 011\n011_1_2 1 0\n011_1_3 2 1\n"
    )
    with pytest.raises(ValueError, match="2 predictions for 3 clips"):
        submission(found, np.array([2, 0]))


# --- leave one subject out ---------------------------------------------------------------------------------------


def task_of(root: Path, *, subjects: int, clips: int, corpora: Sequence[str] = ("smic_hs",)) -> Task:
    rows = [(corpus, person, clip) for corpus in corpora for person in range(subjects) for clip in range(clips)]
    columns = {
        "key": [f"{corpus.replace('_', '').replace('4', '')}_u_{person}_{clip:03d}" for corpus, person, clip in rows],
        "corpus": [corpus for corpus, _, _ in rows],
        "subject": [f"{corpus}-{person:02d}" for corpus, person, _ in rows],
        "corpus_label": [LABEL_OF.get(corpus, THREE)[(person + clip) % 3] for corpus, person, clip in rows],
        "three_class": [THREE[(person + clip) % 3] for corpus, person, clip in rows],
    }
    return make_task(open_dataset(write_index(root, columns)), "three")


def subjects(task: Task) -> set[str]:
    return {row["subject"] for row in task.clips.labels(["subject"])}


def test_each_subject_is_tested_once_by_a_model_that_never_saw_it(tmp_path: Path) -> None:
    task = task_of(tmp_path, subjects=7, clips=4, corpora=("smic_hs", "samm"))
    rounds = list(leave_one_subject_out(task, validation=0.25))
    assert [each.held_out for each in rounds] == sorted(subjects(task))
    for each in rounds:
        assert subjects(each.test) == {each.held_out}
        assert len(subjects(each.validation)) == 3 and len(subjects(each.train)) == 10
        assert len(each.train) + len(each.validation) + len(each.test) == len(task)
        assert np.array_equal(each.test.targets, task.of(each.test.clips).targets)
    assert len({frozenset(subjects(each.validation)) for each in rounds}) > 1
    again = list(leave_one_subject_out(task, validation=0.25))
    assert all(one.train.clips == two.train.clips for one, two in zip(rounds, again, strict=True))
    with pytest.raises(ValueError, match="2 subjects; to train, validate and test"):
        list(leave_one_subject_out(task.of(task.clips.where(subject=["samm-00", "samm-01"]))))
    with pytest.raises(ValueError, match=r"validation=1\.0 must lie between 0 and 1"):
        list(leave_one_subject_out(task, validation=1.0))


def test_a_round_does_not_share_a_subject(tmp_path: Path) -> None:
    task = task_of(tmp_path, subjects=3, clips=2)
    one, two, three = (task.of(task.clips.where(subject=f"smic_hs-{person:02d}")) for person in range(3))
    Round("three", one, two, three)
    with pytest.raises(ValueError, match="smic_hs-01"):
        Round("round", one, two, two)


def sharing_programs(root: Path, *, subjects: int) -> Task:
    """Clips that are built here; a subject and the next have a program in common, and each has one of its own."""
    columns = {
        "key": [f"anger_u_{person}_{clip:03d}" for person in range(subjects) for clip in range(3)],
        "subject": [f"p{person}" for person in range(subjects) for _ in range(3)],
        "counterfactual_group": [
            word for person in range(subjects) for word in (f"own{person}", f"pair{person // 2}", None)
        ],
        "emotion": ["anger", "happiness", "surprise"] * subjects,
    }
    return make_task(open_dataset(write_index(root, columns)), "three")


def test_a_round_does_not_train_on_programs_that_it_tests(tmp_path: Path) -> None:
    task = sharing_programs(tmp_path, subjects=8)
    rounds = list(leave_one_subject_out(task, validation=0.3))
    for number, each in enumerate(rounds):
        check_leakage(
            {"train": each.train.clips, "validation": each.validation.clips, "test": each.test.clips}, by=APART
        )
        other = f"p{number ^ 1}"  # who shares a program: two of three clips are left to learn from
        assert len(each.test) == 3 and len(each.train) + len(each.validation) == 20
        assert (
            each.train.clips.counts("subject").get(other, 0) + each.validation.clips.counts("subject").get(other, 0)
            == 2
        )
        assert f"1 clip sharing a program with p{number} left out" in each.train.clips.steps
    one, two, three = (task.of(task.clips.where(subject=f"p{person}")) for person in (0, 1, 2))
    with pytest.raises(LeakageError, match="counterfactual_group"):
        Round("p0", three, two, one)
    shared = two.clips.where(counterfactual_group="pair0")
    with pytest.raises(ValueError, match="p0: every other clip shares a program with it"):
        round_of("p0", task, shared, one.clips, validation=0.3, seed=0)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return task_of(tmp_path_factory.mktemp("small"), subjects=4, clips=3, corpora=("smic_hs", "samm"))


@given(seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_pooling_adds_up_counts(small: Task, seed: int) -> None:
    """Scores of the pool are those of the summed matrices, whatever order the rounds come in."""
    rng = np.random.default_rng(seed)
    rounds = list(leave_one_subject_out(small))
    said = {each.held_out: rng.integers(0, 3, len(each.test)) for each in rounds}
    matrices = np.zeros((3, 3), np.int64)
    for each in rounds:
        np.add.at(matrices, (each.test.targets, said[each.held_out]), 1)
    order = rng.permutation(len(rounds))
    pooled = evaluate(small, (rounds[place] for place in order), lambda each: said[each.held_out])
    assert pooled.scores() == scores_of(matrices)
    parts = pooled.by("corpus").values()
    assert scores_of(np.sum([part.confusion for part in parts], axis=0)) == pooled.scores()


def test_pools_that_are_not_whole(small: Task) -> None:
    whole = dict.fromkeys(small.keys, 0)
    first = small.keys[0]
    for predictions, said in (
        ([whole, {first: 1}], f"clip '{first}' is tested in more than one round"),
        ([{**whole, "other": 1}], "clip 'other' is no clip of the task"),
        ([dict.fromkeys(small.keys[1:], 0)], f"1 of 24 clips are tested in no round, '{first}' among them"),
    ):
        with pytest.raises(ValueError, match=said):
            pool(small, predictions)
    with pytest.raises(ValueError, match="samm-00: 2 predictions for 3 clips"):
        evaluate(small, leave_one_subject_out(small), lambda each: np.zeros(2, np.int64))


# --- across datasets ---------------------------------------------------------------------------------------------


def test_leaving_one_dataset_out_leaves_its_relatives_out(tmp_path: Path) -> None:
    task = task_of(tmp_path, subjects=5, clips=3, corpora=("samm", "smic_hs", "smic_vis"))
    rounds = {each.held_out: each for each in cross.leave_one_dataset_out(task)}
    assert list(rounds) == ["samm", "smic_hs", "smic_vis"]
    corpora = {
        name: sorted(origins(each.train.clips) | origins(each.validation.clips)) for name, each in rounds.items()
    }
    assert corpora == {"samm": ["smic_hs", "smic_vis"], "smic_hs": ["samm"], "smic_vis": ["samm"]}
    assert origins(rounds["samm"].test.clips) == {"samm"} and len(rounds["samm"].test) == 15
    assert any(
        "all but smic_hs and smic_vis, which may show its people" in step
        for step in rounds["smic_hs"].train.clips.steps
    )
    with pytest.raises(
        ValueError, match="every corpus may show the people of smic_hs: smic_vis; none is left to train on"
    ):
        list(cross.leave_one_dataset_out(task.of(task.clips.where(corpus=["smic_hs", "smic_vis"]))))
    with pytest.raises(ValueError, match="corpus='samm' in all 15 clips; leaving one out needs at least two corpora"):
        list(cross.leave_one_dataset_out(task.of(task.clips.where(corpus="samm"))))
