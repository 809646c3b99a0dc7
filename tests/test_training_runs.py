"""Configurations, run folders and files of predictions."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from indices import write_index

from equime_loader import open_dataset
from equime_loader.fairness import read_predictions

pytest.importorskip("jsonargparse", reason="training needs the extra `train`")

from training.config import Config, ModelConfig, changes, config_of, plain, read_config, write_config
from training.predictions import classes_of, load_predictions, prediction_table, read_as_numbers, write_predictions
from training.protocols.tasks import Task, make_task
from training.runs import Epoch, Run, open_runs, record_predictions, record_splits, write_history, write_result

CONFIG = Config(model=ModelConfig(name="flow", settings={"size": 32, "dropout": 0.5, "weights": None}))


@pytest.fixture
def task(tmp_path: Path) -> Task:
    emotions = ["happiness", "sadness", "surprise", "happiness"]
    columns = {
        "key": [f"k{number}" for number in range(4)],
        "subject": ["a", "a", "b", "c"],
        "emotion": emotions,
        "apparent_gender": ["Woman", "Woman", None, "Man"],
    }
    return make_task(open_dataset(write_index(tmp_path / "set", columns)), "three")


# --- configurations


def test_configurations_are_written_whole_and_read_back(tmp_path: Path) -> None:
    write_config(CONFIG, tmp_path / "config.yaml")
    assert read_config(tmp_path / "config.yaml") == CONFIG
    assert config_of(plain(CONFIG)) == CONFIG
    assert config_of({"model": {"name": "flow"}, "data": {"where": {"psnr_db": [30, None]}}}).data.where == {
        "psnr_db": [30, None]
    }


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "model.name"),
        ({"model": {"name": "flow"}, "sed": 1}, "sed"),
        ({"model": {"name": "flow"}, "seed": -1}, "seed=-1"),
        ({"model": {"name": "flow"}, "data": {"expressions": ["brief"]}}, "data.expressions='brief'"),
        ({"model": {"name": "flow"}, "data": {"expressions": []}}, "data.expressions=''"),
        ({"model": {"name": "flow"}, "optimization": {"batch_size": "many"}}, "optimization.batch_size"),
        ({"model": {"name": "flow"}, "optimization": {"epochs": 0}}, "optimization.epochs=0"),
        ({"model": {"name": "flow"}, "optimization": {"learning_rate": float("nan")}}, "learning_rate=nan"),
        ({"model": {"name": "flow"}, "data": {"sizes": {"train": 0.9, "validation": 0.2}}}, "data.sizes"),
        ({"model": {"name": "flow"}, "data": {"sizes": {"train": 0.9}}}, "validation"),
        ({"model": {"name": "flow"}, "data": {"test": {"train": "folder"}}}, "'train'"),
        ({"model": {"name": "flow", "settings": {"a": {"class_path": "pathlib.Path"}}}}, "model.settings"),
        ({"model": {"name": "flow"}, "data": {"where": {"a": [{"class_path": "pathlib.Path"}]}}}, "data.where"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_named(values: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        config_of(values)


def test_a_file_that_is_no_configuration_is_named(tmp_path: Path) -> None:
    for text in ("- a list", "a: [", "seed: 3"):
        (tmp_path / "wrong.yaml").write_text(text)
        with pytest.raises(ValueError, match=r"wrong\.yaml"):
            read_config(tmp_path / "wrong.yaml")


def test_changes_name_what_differs() -> None:
    other = config_of({**plain(CONFIG), "seed": 3, "model": {"name": "flow", "settings": {"size": 64}}})
    assert changes(CONFIG, CONFIG) == []
    assert changes(CONFIG, other) == [
        "model.settings.size: 32, now 64",
        "model.settings.dropout: 0.5, now None",
        "seed: 0, now 3",
    ]


# --- predictions


def test_predictions_are_read_as_they_were_written(task: Task, tmp_path: Path) -> None:
    probabilities = np.array([[0.2, 0.7, 0.1], [0.5, 0.3, 0.2], [np.nan] * 3, [0.1, 0.2, 0.7]])
    table = prediction_table(task, probabilities)
    write_predictions(table, tmp_path / "predictions" / "test.parquet")
    read = load_predictions(tmp_path / "predictions" / "test.parquet")
    assert read.equals(table)
    assert classes_of(read) == task.classes
    assert read["key"].to_pylist() == ["k0", "k1", "k3"]  # the third clip could not be read
    assert read["apparent_gender"].to_pylist() == ["Woman", "Woman", "Man"]
    found = read_as_numbers(read)
    assert found.predicted.tolist() == [1, 0, 2]
    assert found.truth.tolist() == task.targets[[0, 1, 3]].tolist()
    assert np.allclose(found.probabilities, probabilities[[0, 1, 3]])
    assert np.allclose(read["confidence"], [0.7, 0.5, 0.7])


def test_reports_of_fairness_read_predictions(task: Task, tmp_path: Path) -> None:
    write_predictions(prediction_table(task, np.eye(3)[task.targets]), tmp_path / "test.parquet")
    found = read_predictions(tmp_path / "test.parquet", classes=task.classes)
    assert (found.truth == found.predicted).all() and len(found) == 4
    assert found.groups["apparent_gender"].codes.tolist().count(-1) == 1
    assert set(found.groups) == {"corpus", "apparent_gender", "apparent_race", "age_group"}


def test_probabilities_of_another_form_are_refused(task: Task) -> None:
    with pytest.raises(ValueError, match=r"\(4, 2\) must be \(4, 3\)"):
        prediction_table(task, np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"expected 0\.\.1"):
        prediction_table(task, np.full((4, 3), 1.5))


def test_files_that_hold_no_predictions_are_named(task: Task, tmp_path: Path) -> None:
    table = prediction_table(task, np.eye(3)[task.targets])
    wrong = {
        "garbage": b"PAR1 this is none",
        "lacking": table.drop_columns(["confidence"]),
        "classless": table.drop_columns([name for name in table.column_names if name.startswith("probability_")]),
        "strange": table.set_column(2, "label", pa.array(["joy"] * 4)),
        "holey": table.set_column(5, table.column_names[5], pa.array([None] * 4, pa.float32())),
    }
    for name, content in wrong.items():
        path = tmp_path / f"{name}.parquet"
        path.write_bytes(content) if isinstance(content, bytes) else pq.write_table(content, path)
        with pytest.raises(ValueError, match=name):
            load_predictions(path)
    with pytest.raises(ValueError, match="no such file"):
        load_predictions(tmp_path / "none.parquet")


# --- run folders

ROWS = [
    Epoch(0, 10, 1.1, 1.0, 0.3, 0.33, 0.5, 1e-4, 12.5, 0.1),
    Epoch(1, 20, 1 / 3, float("nan"), 0.4, 0.4, 0.5, 2e-5, 12.0, 0.0),
]


def test_run_folders_are_read_as_they_were_written(task: Task, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "first"
    folder.mkdir(parents=True)
    write_config(CONFIG, folder / "config.yaml")
    run = Run.open(folder)
    assert run.config == CONFIG and run.history == () and not run.has_ended
    with pytest.raises(ValueError, match="has not ended"):
        _ = run.result
    write_history(folder, ROWS)
    assert str(run.history) == str(tuple(ROWS))  # NaN is not equal to itself
    record_splits(folder, {"set": "00"}, {"train": {"clips": 4}})
    record_splits(folder, {"set": "00", "other": "11"}, {"test": {"clips": 2}})
    assert run.splits == {
        "datasets": {"set": "00", "other": "11"},
        "splits": {"train": {"clips": 4}, "test": {"clips": 2}},
    }
    write_result(folder, {"minutes": 1.5, "best_epoch": 1, "predictions": {}})
    record_predictions(run, "test", {"scores": {"uf1": float("nan")}, "unreadable": 0})
    assert run.result["predictions"] == {"test": {"scores": {"uf1": None}, "unreadable": 0}}
    write_predictions(prediction_table(task, np.eye(3)[task.targets]), run.predictions_path("test"))
    assert run.prediction_names == ("test",) and len(run.predictions("test")) == 4
    with pytest.raises(ValueError, match="no predictions 'samm', has test"):
        run.predictions("samm")
    with pytest.raises(ValueError, match=r"\.\./secret"):
        run.predictions_path("../secret")


def test_figures_that_are_no_number_survive_json() -> None:
    for row in ROWS:
        plain_row = {name: None if np.isnan(value) else value for name, value in asdict(row).items()}
        assert str(Epoch.of(json.loads(json.dumps(plain_row)))) == str(row)


def test_a_folder_of_runs_stands_for_its_runs(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        write_config(CONFIG, tmp_path / "runs" / name / "config.yaml")
    assert [run.name for run in open_runs([tmp_path / "runs"])] == ["a", "b"]
    assert [run.name for run in open_runs([tmp_path / "runs" / "b"])] == ["b"]
    with pytest.raises(ValueError, match="is no run folder"):
        open_runs([tmp_path / "none"])


@pytest.mark.parametrize("kind", ["configuration", "predictions", "result"])
def test_a_file_is_flushed_and_whole_or_not_there(
    kind: str, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, flushed = tmp_path / "run", []
    folder.mkdir()
    table = prediction_table(task, np.full((len(task.clips), len(task.classes)), 1 / len(task.classes), np.float32))
    write = {
        "configuration": lambda: write_config(CONFIG, folder / "file"),
        "predictions": lambda: write_predictions(table, folder / "file"),
        "result": lambda: write_result(folder, {"minutes": 1}),
    }[kind]

    def full(source: Path, target: Path) -> None:
        flushed.append(Path(target).name)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source))

    monkeypatch.setattr("os.fsync", lambda descriptor: flushed.append(""))
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left on device") as raised:
        write()
    assert flushed[0] == "" and Path(raised.value.filename) == folder / flushed[-1]
    assert list(folder.iterdir()) == []


def test_damaged_files_of_a_run_are_named(tmp_path: Path) -> None:
    write_config(CONFIG, tmp_path / "config.yaml")
    run = Run.open(tmp_path)
    (tmp_path / "history.csv").write_text("epoch,step\n0,1\n")
    (tmp_path / "splits.json").write_text("[1]")
    (tmp_path / "result.json").write_text("{")
    for name in ("history", "splits", "result"):
        with pytest.raises(ValueError, match=name):
            getattr(run, name)
