"""Predictions at the door: arrays and Parquet files, good ones and hostile ones."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from equime_loader.fairness import predictions as door
from equime_loader.fairness.performance import fairness_report
from equime_loader.fairness.predictions import Predictions, PredictionsFault, read_predictions
from equime_loader.index import Codes
from equime_loader.schema import RACES

WORDS = ["surprise", "negative", "negative", "positive"]
CALLED = ["surprise", "negative", "positive", "positive"]
SUBJECTS = ["b", "a", "a", "b"]
RACE = ["white", "black", None, "white"]


def of_words(**changes: object) -> Predictions:
    values = {"y_true": WORDS, "y_pred": CALLED, "subjects": SUBJECTS, "groups": {"apparent_race": RACE}, **changes}
    return Predictions.of(values.pop("y_true"), values.pop("y_pred"), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "form", [list, np.array, pd.Series, pa.array, lambda values: pd.Series(values).astype("category"), pa.chunked_array]
)
def test_every_form_of_values(form: object) -> None:
    make = (lambda values: pa.chunked_array([values[:1], values[1:]])) if form is pa.chunked_array else form
    race = make(RACE) if form is not np.array else np.array(RACE, object)
    found = Predictions.of(make(WORDS), make(CALLED), subjects=make(SUBJECTS), groups={"apparent_race": race})
    assert found.classes == ("negative", "positive", "surprise"), "in the order of the schema"
    assert found.truth.tolist() == [2, 0, 0, 1] and found.predicted.tolist() == [2, 0, 1, 1]
    assert found.subjects.tolist() == [0, 1, 1, 0]
    race_codes = found.groups["apparent_race"]
    assert race_codes.words == RACES and race_codes.codes.tolist() == [3, 2, -1, 3]


def test_codes_of_a_selection_keep_their_words() -> None:
    codes = Codes(np.array([1, 0, -1, 1], np.int32), ("black", "white"))
    found = of_words(groups={"race": codes}, subjects=Codes(np.array([5, 5, 2, 2], np.int32), tuple("abcdefg")))
    assert found.groups["race"] is codes and found.subjects.tolist() == [0, 0, 1, 1]


def test_class_numbers() -> None:
    found = of_words(y_true=[0, 2, 2, 0], y_pred=np.array([0, 2, 1, 0], np.uint8))
    assert found.classes == ("0", "1", "2") and found.predicted.tolist() == [0, 2, 1, 0]
    named = of_words(y_true=[0, 2, 2, 0], y_pred=[0, 2, 1, 0], classes=["negative", "positive", "surprise"])
    assert named.classes == ("negative", "positive", "surprise") and named.truth.tolist() == [0, 2, 2, 0]


def test_other_words_are_sorted() -> None:
    assert of_words(y_true=["b", "a", "a", "b"], y_pred=["c", "a", "a", "b"]).classes == ("a", "b", "c")
    assert of_words(groups={"site": ["y", "x", "x", None]}).groups["site"].words == ("x", "y")
    assert of_words(groups={"apparent_race": ["Klingon", "white", None, "white"]}).groups["apparent_race"].words == (
        "Klingon",
        "white",
    )
    assert of_words(groups={"site": [None] * 4}).groups["site"].codes.tolist() == [-1] * 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_pred": CALLED[:3]}, "one value per clip, got y_true 4, y_pred 3"),
        ({"y_true": [], "y_pred": [], "subjects": [], "groups": {}}, "y_true holds 0 clips"),
        ({"y_true": ["negative", None, "positive", "positive"]}, r"y_true\[1\] is null"),
        ({"subjects": ["a", "a", None, "b"]}, r"subjects\[2\] is null"),
        ({"y_pred": [0, 1, 2, 0]}, "both be words, or both class numbers, got string and int64"),
        ({"y_pred": [0.1, 0.9, 0.5, 1.0]}, "y_pred holds double, expected words or whole numbers"),
        ({"y_true": [0, -1, 1, 1], "y_pred": [0, 0, 1, 1]}, "class '-1' must be a number from 0 to 1"),
        ({"y_true": [0, 500, 1, 1], "y_pred": [0, 0, 1, 1]}, "classes has 101 names, expected 1 to 100"),
        ({"y_true": [0, 5, 1, 1], "y_pred": [0] * 4, "classes": ["a", "b"]}, "class '5' must be a number from 0 to 1"),
        ({"classes": ["negative", "positive"]}, "class 'surprise' must be one of negative, positive"),
        ({"classes": ["negative", "negative", "positive", "surprise"]}, "each once"),
        ({"y_true": [["negative"]] * 4}, "expected words or whole numbers"),
        ({"y_true": [object()] * 4}, "must hold words or whole numbers"),
        ({"groups": {"x": [2**70, 1, 1, 1]}}, "x must hold words or whole numbers"),
        ({"groups": {"x": [b"\xff", b"a", b"a", b"a"]}}, "x holds binary"),
    ],
)
def test_values_that_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(PredictionsFault, match=message):
        of_words(**changes)


def test_too_many_groups_are_refused() -> None:
    many = [str(number) for number in range(1200)]
    values = {"y_true": ["a"] * 1200, "y_pred": ["a"] * 1200, "subjects": many}
    with pytest.raises(PredictionsFault, match="site has 1,200 groups, expected at most 1,000"):
        of_words(**values, groups={"site": many})
    some = [name[:2] for name in many]
    crossed = of_words(**values, groups={"x": some, "y": some})
    with pytest.raises(PredictionsFault, match="x and y make 10,000 groups"):
        crossed.by(["x", "y"])


# --- files -------------------------------------------------------------------------------------------------------

COLUMNS = {
    "key": [f"anger_m_s{number:05d}_000" for number in range(4)],
    "subject": SUBJECTS,
    "label": WORDS,
    "prediction": CALLED,
    "apparent_race": RACE,
    "score": [0.5, 0.1, 0.2, 0.9],
}


def written(folder: Path, **changes: object) -> Path:
    columns = {name: values for name, values in {**COLUMNS, **changes}.items() if values is not None}
    pq.write_table(pa.table(columns), folder / "predictions.parquet", row_group_size=3)
    return folder / "predictions.parquet"


def test_a_file_says_what_its_columns_say(tmp_path: Path) -> None:
    found, expected = read_predictions(written(tmp_path)), of_words()
    assert found.classes == expected.classes and found.groups.keys() == {"apparent_race"}
    for name in ("truth", "predicted", "subjects"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    np.testing.assert_array_equal(found.groups["apparent_race"].codes, expected.groups["apparent_race"].codes)
    numbers = read_predictions(written(tmp_path, label=[0, 1, 1, 2], prediction=[0, 1, 2, 2], subject=[7, 7, 8, 9]))
    assert numbers.truth.tolist() == [0, 1, 1, 2] and numbers.subjects.tolist() == [0, 0, 1, 2]
    assert read_predictions(written(tmp_path), groups=[]).groups == {}
    report = fairness_report(read_predictions(written(tmp_path)), "apparent_race", resamples=5)
    assert report.unknown == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subject": None}, "needs one column 'subject', has key, label, prediction"),
        ({"key": ["x", "y", "x", "z"]}, "key must be given and unique"),
        ({"key": ["x", "y", None, "z"]}, "key must be given and unique"),
        ({"key": [1, 2, 3, 4]}, "key holds int64, expected words"),
        ({"label": ["negative", None, "positive", "positive"]}, r"label\[1\] is null"),
        ({"prediction": [0.5, 0.1, 0.2, 0.3]}, "prediction holds double"),
        ({"prediction": [["negative"]] * 4}, "expected words or whole numbers"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(PredictionsFault, match=message) as fault:
        read_predictions(path)
    assert str(path) in str(fault.value)


def test_columns_that_stand_twice_or_not_at_all(tmp_path: Path) -> None:
    table = pa.table(COLUMNS)
    twice = pa.table([*table.columns, table["label"]], names=[*table.column_names, "label"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(PredictionsFault, match="needs one column 'label'"):
        read_predictions(tmp_path / "twice.parquet")
    with pytest.raises(PredictionsFault, match="needs one column 'age_group'"):
        read_predictions(written(tmp_path), groups=["age_group"])
    with pytest.raises(PredictionsFault, match="no such file"):
        read_predictions(tmp_path / "nowhere.parquet")
    with pytest.raises(PredictionsFault, match="no such file"):
        read_predictions(tmp_path)


def test_a_file_that_would_unfold_to_terabytes(tmp_path: Path) -> None:
    """A long word that repeats costs its number only."""
    rows = 300_000
    race = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), ["w" * 1_000_000])
    fill = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), ["negative"])
    keys = pa.array(np.arange(rows).astype(str))
    table = pa.table({"key": keys, "subject": keys, "label": fill, "prediction": fill, "race": race})
    pq.write_table(table, tmp_path / "bomb.parquet")
    assert (tmp_path / "bomb.parquet").stat().st_size < 20_000_000
    before = pa.default_memory_pool().max_memory()
    assert len(read_predictions(tmp_path / "bomb.parquet")) == rows
    assert pa.default_memory_pool().max_memory() - before < 500_000_000


def test_bounds_of_rows_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    monkeypatch.setattr(door, "MAX_CLIPS", 3)
    with pytest.raises(PredictionsFault, match="declares 4 rows, more than 3"):
        read_predictions(path)
    monkeypatch.setattr(door, "MAX_CLIPS", 4)
    monkeypatch.setattr(door, "MAX_BYTES", 10)
    with pytest.raises(PredictionsFault, match="bytes, more than 10"):
        read_predictions(path)


def test_damaged_files_give_one_error(tmp_path: Path) -> None:
    good = written(tmp_path).read_bytes()
    rng = np.random.default_rng(0)
    for number in range(300):
        damaged = bytearray(good[: rng.integers(0, len(good))] if number % 3 == 0 else good)
        for place in rng.integers(0, max(1, len(damaged)), 3):
            damaged[place : place + 1] = bytes([int(rng.integers(0, 256))])
        path = tmp_path / "damaged.parquet"
        path.write_bytes(damaged)
        with suppress(PredictionsFault):
            found = read_predictions(path)
            assert max(found.truth.max(), found.predicted.max()) < len(found.classes)
