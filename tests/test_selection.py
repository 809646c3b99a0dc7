"""Opening an index and selecting from it: the same clips as a loop over its rows, as values that can be kept."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indices import write_index
from running import run_without

from equime_loader import Selection, View, open_dataset
from equime_loader.index import IndexFault
from equime_loader.reading import ClipReader
from equime_loader.schema import AUS, EMOTIONS, GENDERS, RACES, SPLITS
from equime_loader.selection import SelectionError
from equime_loader.storage import MissingError

AUS_USED = (1, 4, 12)
ROW = st.fixed_dictionaries(
    {
        "emotion": st.sampled_from(EMOTIONS[:3]),
        "split": st.sampled_from(SPLITS),
        "apparent_race": st.sampled_from((*RACES[:2], None)),
        "psnr_db": st.one_of(st.none(), st.floats(20, 60, width=32)),
        "aus": st.none()
        | st.lists(
            st.fixed_dictionaries(
                {
                    "au": st.sampled_from(AUS_USED),
                    "side": st.sampled_from(("both", "left", "right")),
                    "intensity": st.floats(0.5, 5, width=32),
                }
            ),
            max_size=3,
        ),
    }
)


def clips_of(root: Path, rows: list[dict[str, Any]]) -> Selection:
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    columns["subject"] = [f"s{number // 2}" for number in range(len(rows))]
    return open_dataset(write_index(root, columns))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("indices")


@given(rows=st.lists(ROW, min_size=1, max_size=30), data=st.data())
@settings(max_examples=60)
def test_selecting_is_a_loop_over_the_rows(folder: Path, rows: list[dict[str, Any]], data: st.DataObject) -> None:
    clips = clips_of(folder, rows)
    emotions = data.draw(st.sets(st.sampled_from(EMOTIONS[:3]), min_size=1))
    race = data.draw(st.sampled_from((*RACES[:2], None)))
    least = data.draw(st.floats(20, 60))
    au, strength = data.draw(st.sampled_from(AUS_USED)), data.draw(st.floats(0, 5))
    side = data.draw(st.sampled_from((None, "left", "both")))

    def acts(row: dict[str, Any]) -> float:
        return max(
            (a["intensity"] for a in row["aus"] or () if a["au"] == au and side in (None, a["side"])), default=0.0
        )

    wanted: dict[str, tuple[Selection, Callable[[dict[str, Any]], bool]]] = {
        "words": (clips.where(emotion=emotions), lambda row: row["emotion"] in emotions),
        "null": (clips.where(apparent_race=race), lambda row: row["apparent_race"] == race),
        "range": (
            clips.where(psnr_db=(least, None)),
            lambda row: row["psnr_db"] is not None and row["psnr_db"] >= least,
        ),
        "not measured": (clips.where(psnr_db=None), lambda row: row["psnr_db"] is None),
        "au": (
            clips.having_au(au, at_least=strength, side=side),
            lambda row: acts(row) > 0 and np.float32(acts(row)) >= np.float32(strength),
        ),
        "no au": (clips.without_au(au), lambda row: row["aus"] is not None and all(a["au"] != au for a in row["aus"])),
    }
    for name, (selection, condition) in wanted.items():
        assert selection.rows.tolist() == [n for n, row in enumerate(rows) if condition(row)], name
    words, conditions = wanted["words"], [condition for _, condition in wanted.values()]
    chained = words[0].where(apparent_race=race).having_au(au, at_least=strength, side=side)
    expected = [n for n, row in enumerate(rows) if conditions[0](row) and conditions[1](row) and conditions[4](row)]
    assert chained.rows.tolist() == expected
    either, both = wanted["words"][0] | wanted["au"][0], wanted["words"][0] & wanted["au"][0]
    assert len(either) + len(both) == len(wanted["words"][0]) + len(wanted["au"][0])
    assert set((wanted["words"][0] - wanted["au"][0]).rows) == set(wanted["words"][0].rows) - set(both.rows)


def test_what_is_not_told_of_aus_is_neither_rest_nor_a_bound(tmp_path: Path) -> None:
    def act(side: str, intensity: float | None) -> dict[str, Any]:
        return {"au": 12, "side": side, "intensity": intensity}

    aus = [[act("left", 3.0), act("right", None)], [act("both", None)], None, [], [act("right", 1.0)]]
    clips = open_dataset(write_index(tmp_path, {"aus": aus, "shard": ["wds/train-00000.tar"] * len(aus)}))
    assert clips.having_au(12).rows.tolist() == [0, 1, 4]
    assert clips.having_au(12, at_least=2).rows.tolist() == clips.having_au(12, at_least=2, side="left").rows.tolist()
    assert clips.having_au(12, at_least=2).rows.tolist() == [0]
    assert clips.having_au(12, side="right").rows.tolist() == [0, 4]
    assert clips.without_au(12).rows.tolist() == [3]
    given = ClipReader(clips.narrowed(np.array([0, 1, 2, 3]), "some"), View(), labels=["aus"]).labels["aus"]
    assert given.dtype == np.float32 and given.shape == (4, len(AUS))
    assert np.array_equal(given[:, AUS.index(12)], [3, np.nan, np.nan, 0], equal_nan=True)
    assert np.isnan(given[2]).all() and not np.isnan(given[:2, AUS.index(4)]).any()


def test_labels_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [
        {"emotion": "fear", "split": "train", "apparent_gender": "Woman", "aus": [], "sway_px": 0.5},
        {"emotion": "anger", "split": "test", "apparent_gender": None, "aus": [], "sway_px": None},
    ]
    clips = clips_of(tmp_path, rows)
    assert clips.labels(["emotion", "apparent_gender"]) == [
        {"emotion": "fear", "apparent_gender": "Woman"},
        {"emotion": "anger", "apparent_gender": None},
    ]
    codes = clips.codes("apparent_gender")
    assert codes.codes.tolist() == [0, -1] and codes.words == GENDERS
    assert clips.numbers("sway_px").tolist()[0] == 0.5 and np.isnan(clips.numbers("sway_px")[1])
    assert clips.counts("apparent_gender") == {None: 1, "Woman": 1}


def test_a_folder_without_an_index_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no such file; no EquiME dataset, or one whose build has not ended$"):
        open_dataset(tmp_path)


def test_nothing_is_read_before_it_is_needed(built: Path) -> None:
    clips = open_dataset(built)
    chosen = clips.where(emotion="happiness").having_au(12).where(split="train")
    assert not clips.index._columns and len(chosen) > 0
    assert set(clips.index._columns) == {"emotion", "aus", "split"}


def test_a_selection_prints_what_it_holds(built: Path) -> None:
    text = repr(open_dataset(built).where(emotion="happiness").having_au(12, at_least=1))
    lines = text.splitlines()
    assert lines[0].startswith("6 of 12 clips, 6 subjects, of ")
    assert lines[1:3] == ["  chosen by emotion: happiness", "  chosen by AU12 at 1-5"]
    assert "  emotion: happiness 6" in lines


def test_selections_are_values(built: Path) -> None:
    clips = open_dataset(built)
    one, other = clips.where(split="train").where(emotion="surprise"), clips.where(emotion="surprise", split="train")
    assert one == other and hash(one) == hash(other) and one.sha256 == other.sha256
    assert one != clips and len(clips) == 12
    with pytest.raises(ValueError, match="read-only"):
        one.rows[0] = 5
    for chosen in (clips, one, one.narrowed([0], "drawn", seed=3), one | other):
        again = pickle.loads(pickle.dumps(chosen))
        assert again == chosen and hash(again) == hash(chosen) and repr(again) == repr(chosen)
        assert (again.steps, again.seed) == (chosen.steps, chosen.seed)
    assert pickle.loads(pickle.dumps(clips)).where(split="train") == clips.where(split="train")


def test_saved_and_loaded(built: Path, tmp_path: Path) -> None:
    clips = open_dataset(built)
    chosen = clips.where(emotion="surprise").narrowed(np.array([0, 2, 3]), "drawn", seed=7)
    path = tmp_path / "chosen.json"
    chosen.save(path)
    back = Selection.load(path, clips.index)
    assert back == chosen and back.seed == 7 and back.steps == chosen.steps
    assert path.stat().st_size < 1000 and [file.name for file in tmp_path.iterdir()] == ["chosen.json"]
    content = json.loads(path.read_text())
    assert content["index_sha256"] == clips.index.sha256 and content["clips"] == 3


def test_a_saved_selection_refuses_another_index(built: Path, tmp_path: Path) -> None:
    open_dataset(built).where(split="train").save(tmp_path / "train.json")
    other = clips_of(tmp_path, [{"emotion": "fear", "split": "train", "aus": []}])
    with pytest.raises(SelectionError, match=r"train\.json: was saved for an index of 12 clips .* has 1 clip"):
        Selection.load(tmp_path / "train.json", other.index)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content | {"format": "other"}, "format 'other', this version reads equime-selection-1"),
        (lambda content: content | {"rows": "AAAA"}, "is no saved selection"),
        (lambda content: content | {"rows": 5}, "is no saved selection"),
        (lambda content: content | {"sha256": "0" * 64}, "rows do not match their sha256; the file is damaged"),
        (lambda content: content | {"seed": "x"}, "seed='x' must be a whole number"),
        (lambda content: [], "is no saved selection"),
        (lambda content: content | {"index_rows": "\x1b[31m\nfake"}, "an index of  ?\\[31m fake clips"),
    ],
)
def test_damaged_selections_are_refused(
    built: Path, tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    clips, path = open_dataset(built), tmp_path / "chosen.json"
    clips.where(split="train").save(path)
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(SelectionError, match=message) as error:
        Selection.load(path, clips.index)
    assert str(error.value).isprintable()


def test_a_saved_selection_is_no_door(built: Path, tmp_path: Path) -> None:
    clips, path = open_dataset(built), tmp_path / "chosen.json"
    clips.where(split="train").save(path)
    content = json.loads(path.read_text()) | {"steps": ["\x1b[31mred\nfake line"]}
    path.write_text(json.dumps(content))
    assert Selection.load(path, clips.index).steps == ("[31mred fake line",)
    path.write_text("[" * 100_000)
    with pytest.raises(SelectionError, match="is no saved selection"):
        Selection.load(path, clips.index)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda clips: clips.where(emotions="fear"), "no label 'emotions'; did you mean emotion"),
        (lambda clips: clips.where(emotion="joy"), "emotion='joy' must be one of happiness, sadness"),
        (lambda clips: clips.where(psnr_db=(30,)), "psnr_db=\\(30,\\) must be a number, or a range \\(least, most\\)"),
        (lambda clips: clips.where(psnr_db=(40, 30)), "psnr_db=\\(40, 30\\): the range is upside down"),
        (lambda clips: clips.where(aus=12), "'aus' holds .*; having_au\\(\\) selects by AU"),
        (
            lambda clips: clips.where(captions="a"),
            "'captions' holds .*; where\\(\\) takes labels of words and of numbers",
        ),
        (lambda clips: clips.having_au(3), f"au=3 must be one of {AUS[0]}, {AUS[1]}"),
        (lambda clips: clips.having_au(4, at_least=6), "at_least=6, at_most=5.0 must satisfy 0 <= at_least"),
        (lambda clips: clips.having_au(4, side="up"), "side='up' must be both, left or right"),
        (lambda clips: clips.narrowed(np.array([12]), ""), "position 12 must lie within 0..11"),
        (lambda clips: clips.narrowed(np.array([1, 1]), ""), "position 1 stands more than once"),
        (lambda clips: clips.narrowed(np.array([True]), ""), "a mask of 1 for 12 clips"),
    ],
)
def test_what_cannot_be_asked(built: Path, ask: Callable[[Selection], Selection], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask(open_dataset(built))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda clips: clips.where(emotion=5), "emotion must be a word, several words, or None; it is 5"),
        (lambda clips: clips.where(subject=["p0", 5]), "subject must be a word, several words, or None; it is 5"),
        (lambda clips: clips.where(psnr_db="high"), "psnr_db must be a number, or a range .*; it is 'high'"),
        (lambda clips: clips.where(psnr_db=("30", None)), "psnr_db must be a number, or a range .*; it is '30'"),
        (
            lambda clips: clips.where(apex_frame=[40, 60]),
            "apex_frame must be a number, or a range .*; it is \\[40, 60\\]",
        ),
        (lambda clips: clips.having_au(4, at_least="2"), "at_least must be an intensity within 0..5; it is '2'"),
        (lambda clips: clips.narrowed([0.5], ""), "positions must be whole numbers or a mask; they are float64"),
        (lambda clips: clips.labels("emotion"), "names must be a list of labels; it is 'emotion'"),
        (lambda clips: clips.numbers("emotion"), "'emotion' holds words; use codes\\(\\)"),
        (lambda clips: Selection.load("train.json", clips), "index must be an Index, such as `clips.index`; it is "),
        (lambda clips: clips & 5, "the other must be a Selection; it is 5"),
        (
            lambda clips: ClipReader(clips, View(), labels="emotion"),
            "labels must be a list of names, .*; it is 'emotion'",
        ),
    ],
)
def test_what_is_of_another_kind(built: Path, ask: Callable[[Selection], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        ask(open_dataset(built))


def test_asking_for_nothing_leaves_all(built: Path) -> None:
    clips = open_dataset(built).where(split="train")
    assert clips.where() is clips and len(clips.narrowed([], "none")) == 0
    assert clips.narrowed([1, 0], "two").rows.tolist() == clips.rows[:2].tolist()


def test_words_outside_their_vocabulary_are_refused(tmp_path: Path) -> None:
    clips = clips_of(tmp_path, [{"emotion": "joy", "split": "train", "aus": []}])
    with pytest.raises(IndexFault, match=r"index\.parquet: emotion='joy' must be one of happiness"):
        len(clips.where(emotion="fear"))


def test_labels_that_a_dataset_of_before_lacks_are_null(copy_of: Callable[[Path], Path], built: Path) -> None:
    root = copy_of(built)
    table = pq.read_table(root / "index.parquet").drop_columns(["brisque", "audit_verdict", "intervention"])
    pq.write_table(table, root / "index.parquet")
    clips = open_dataset(root)
    assert np.isnan(clips.numbers("brisque")).all()
    assert set(clips.codes("audit_verdict").codes) == {-1}
    assert {row["intervention"] for row in clips.labels(["intervention"])} == {None}
    assert len(clips.where(audit_verdict="accepted")) == 0


def test_an_index_without_a_column_is_refused(built: Path, tmp_path: Path) -> None:
    pq.write_table(pq.read_table(built / "index.parquet").drop_columns(["subject"]), tmp_path / "index.parquet")
    with pytest.raises(IndexFault, match=r"index\.parquet: lacks the column 'subject'"):
        open_dataset(tmp_path)


def test_importing_and_selecting_pull_in_neither_torch_nor_pandas(built: Path) -> None:
    selecting = f"open_dataset({str(built)!r}).where(emotion='fear', split='train', sway_px=(0, 1)).having_au(4)"
    unneeded = ("torch", "pandas", "datasets", "cv2", "av", "equime_builder")
    run_without(f"import equime_loader as e; len(e.{selecting})", *unneeded)
