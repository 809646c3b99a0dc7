"""Several datasets as one: what is read of them, and what is kept apart."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from indices import write_index

import equime_loader as equime
from equime_loader.schema import LABELS
from equime_loader.split_checks import LeakageError

OWN = ("key", "subject", "counterfactual_group")


@pytest.fixture(scope="module")
def joined(built: Path) -> equime.Selection:
    clips = equime.open_dataset(built)
    return equime.join({"first": clips.where(split="train"), "second": clips.where(emotion="surprise")})


def test_every_label_is_that_of_its_part(built: Path, joined: equime.Selection) -> None:
    clips = equime.open_dataset(built)
    parts = [("first", clips.where(split="train")), ("second", clips.where(emotion="surprise"))]
    expected = [(name, row) for name, part in parts for row in part.labels()]
    assert len(joined) == len(expected) > 0
    for row, (name, was) in zip(joined.labels(), expected, strict=True):
        for field in LABELS:
            value = was[field.name]
            prefixed = field.name in OWN and value is not None
            assert row[field.name] == (f"{name}-{value}" if prefixed else value), field.name


def test_loaders_read_each_clip_from_its_own_folder(built: Path, joined: equime.Selection) -> None:
    view = equime.View(equime.Window.around("apex", 2), size=16)
    single = equime.ClipDataset(equime.open_dataset(built), view)
    frames = {single[n]["key"]: single[n]["video"].numpy() for n in range(len(single))}
    for processes in (False, True):
        loader = equime.Loader(joined, view, batch_size=4, workers=1, processes=processes, check=True)
        seen = []
        for batch in loader:
            seen += [key for key, again in zip(batch["key"], batch["repeated"], strict=True) if not again]
            for key, video in zip(batch["key"], batch["video"].numpy(), strict=True):
                assert np.array_equal(video, frames[key.split("-", 1)[1]])
        assert sorted(seen) == sorted(row["key"] for row in joined.labels(["key"]))
        assert not loader.failures


def test_subjects_of_two_parts_are_two_and_a_shared_portrait_is_found(joined: equime.Selection) -> None:
    parts = {
        name: joined.narrowed(np.array([row["key"].startswith(name) for row in joined.labels(["key"])]), name)
        for name in ("first", "second")
    }
    equime.check_leakage(parts, by=("subject",))
    with pytest.raises(LeakageError, match="portrait"):
        equime.check_leakage(parts)


def test_it_is_a_value(joined: equime.Selection, built: Path, tmp_path: Path) -> None:
    again = pickle.loads(pickle.dumps(joined))
    assert again == joined and again.labels() == joined.labels()
    joined.where(emotion="surprise").save(tmp_path / "anger.json")
    loaded = equime.Selection.load(tmp_path / "anger.json", joined.index)
    assert loaded == joined.where(emotion="surprise")
    clips = equime.open_dataset(built)
    assert equime.join({"a": clips}).sha256 == equime.join({"a": clips}).sha256 != equime.join({"b": clips}).sha256


def test_a_part_that_names_no_corpus_gets_the_name_that_it_was_given(tmp_path: Path) -> None:
    parts = {
        "old": write_index(tmp_path / "old", {"emotion": ["anger", None]}),
        "new": write_index(tmp_path / "new", {"emotion": ["fear", "fear"], "corpus": ["samm", None]}),
    }
    joined = equime.join({name: equime.open_dataset(folder) for name, folder in parts.items()})
    assert [row["corpus"] for row in joined.labels(["corpus"])] == ["old", "old", "samm", "new"]
    assert joined.counts("emotion") == {"anger": 1, "fear": 2, None: 1}


def test_people_whom_several_corpora_show_stay_one(tmp_path: Path) -> None:
    cameras = {
        name: write_index(tmp_path / name, {"subject": ["smic-s01", "smic-s02"], "corpus": [name, name]})
        for name in ("smic_hs", "smic_nir")
    }
    drawn = write_index(tmp_path / "drawn", {"subject": ["p00000"], "corpus": ["equime"]})
    joined = equime.join({name: equime.open_dataset(folder) for name, folder in {**cameras, "drawn": drawn}.items()})
    assert [row["subject"] for row in joined.labels(["subject"])] == [*["smic-s01", "smic-s02"] * 2, "drawn-p00000"]


def test_people_stay_one_in_joins_of_joins(tmp_path: Path) -> None:
    camera, other = (
        equime.open_dataset(write_index(tmp_path / name, {"subject": ["smic-s01"], "corpus": [name]}))
        for name in ("smic_hs", "smic_vis")
    )
    drawn = equime.open_dataset(write_index(tmp_path / "drawn", {"subject": ["p00000"], "corpus": ["equime"]}))
    joined = equime.join({"both": equime.join({"a": camera, "b": drawn}), "c": other})
    assert [row["subject"] for row in joined.labels(["subject"])] == ["smic-s01", "both-b-p00000", "smic-s01"]


def test_who_is_in_several_joins_is_known_by_the_folder(tmp_path: Path) -> None:
    one, other = (
        equime.open_dataset(write_index(tmp_path / name, {"subject": ["p00000", "p00001"], "emotion": words}))
        for name, words in {"one": ["fear"] * 2, "other": ["anger"] * 2}.items()
    )
    equime.check_leakage([one, other])
    equime.check_leakage([equime.join({"part": one}), equime.join({"part": other})])
    both = equime.join({"a": one, "b": other})
    for split in (one, equime.join({"x": one.narrowed(np.array([1]), "one")})):
        with pytest.raises(LeakageError, match="p00001 in split 0 and split 1"):
            equime.check_leakage([both, split])
    first = both.narrowed(np.array([0, 2, 3]), "some")
    assert equime.check_leakage([first, one.narrowed(np.array([1]), "one")]).distinct["subject"] == (3, 1)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "..", "a-b", "x" * 41])
def test_names_that_could_not_stand_in_keys_are_refused(built: Path, name: str) -> None:
    with pytest.raises(ValueError, match="must be 1 to 40 letters, digits and underscores"):
        equime.join({name: equime.open_dataset(built)})


def test_nothing_cannot_be_joined() -> None:
    with pytest.raises(ValueError, match="parts: there is none to join"):
        equime.join({})


def test_parts_that_are_no_selections_are_told(tmp_path: Path) -> None:
    clips = equime.open_dataset(write_index(tmp_path, {"emotion": ["fear"]}))
    for parts, message in (
        ([clips], r"^parts must be selections by name, such as \{'casme2': clips\}; it is \[1 of 1 clip"),
        ({"a": str(tmp_path)}, r"^parts\['a'\] must be a Selection, as open_dataset gives; it is '"),
        ({5: clips}, r"^the name of a part must be a word; it is 5$"),
    ):
        with pytest.raises(TypeError, match=message):
            equime.join(parts)
