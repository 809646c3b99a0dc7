"""Leaving out by real runs, the composite from imported stand-ins, and the commands of the protocols."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import small_request
from corpora import make_casme2, make_samm, make_smic

from equime_builder.build import build
from equime_builder.importing.plan import Request
from equime_builder.importing.run import import_corpus
from equime_loader.corpora import read_corpus

pytest.importorskip("accelerate", reason="training needs the extra `train`")

from training.__main__ import main
from training.predictions import read_as_numbers
from training.protocols.scores import constant_scores, scores
from training.runs import Run, open_runs

MAKERS = {"casme2": make_casme2.make, "samm": make_samm.make, "smic_hs": make_smic.make_folders}
POOL = "megc2019_each_subject_left_out"
TINY = {
    "model": {"name": "st_cnn", "settings": {"size": 16, "frames": 4}},
    "optimization.batch_size": 4,
    "optimization.epochs": 1,
    "loader.workers": 0,
    "data.sizes": {"train": 0.6, "validation": 0.4},
}


def arguments(out: Path, **more: object) -> list[str]:
    return [f"--{name}={json.dumps(value)}" for name, value in TINY.items()] + [
        *(f"--{name.replace('__', '.')}={value}" for name, value in more.items()),
        *("--out", str(out)),
    ]


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three stand-in corpora with two subjects of three clips each, imported."""
    base = tmp_path_factory.mktemp("imported")
    for name, make in MAKERS.items():
        make(base / name / "copy", subjects=2, quirks=False)
        import_corpus(base / name / "out", read_corpus(name, base / name / "copy"), Request(formats=("webdataset",)))
    return {name: base / name / "out" for name in MAKERS}


@pytest.fixture(scope="module")
def key_list(imported: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the stand-ins hold, as the official list writes it, and one sample that they do not have."""
    lines = ["smic,s09,s09_ne_01,0"]
    classes = {"negative": 0, "positive": 1, "surprise": 2}
    for name, folder in imported.items():
        for row in pq.read_table(folder / "index.parquet").to_pylist():
            if row["three_class"] is not None:
                subject = row["corpus_subject"].lstrip("0") if name == "samm" else row["corpus_subject"]
                dataset = "smic" if name == "smic_hs" else name
                lines.append(f"{dataset},{subject},{row['corpus_clip']},{classes[row['three_class']]}")
    path = tmp_path_factory.mktemp("keys") / "keys.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


# --- leave_one_out -----------------------------------------------------------------------------------------------


def test_the_composite_is_trained_and_tested_subject_by_subject(
    imported: dict[str, Path], key_list: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "loso"
    told = arguments(out, key_list=key_list, **{f"data.train.{name}": folder for name, folder in imported.items()})
    assert main(["leave_one_out", *told]) == 0
    printed = capsys.readouterr().out
    done = Run.open(out)
    result, table = done.result, done.predictions(POOL)
    tested = read_as_numbers(table)
    clips = len(key_list.read_text().splitlines()) - 1
    assert result["rounds"] == 6 and len(table) == clips == result["predictions"][POOL]["clips"]
    assert result["megc2019"] == {"official": False, "samples": clips}
    assert "no clip for 1 lines of the list: smic s09 s09_ne_01" in printed

    # The pool is the sum of the rounds, each tested on one subject that neither trained nor stopped it.
    rounds = open_runs([out / "rounds"])
    assert [len(set(run.predictions("test")["subject"].to_pylist())) for run in rounds] == [1] * 6
    summed = sum(np.array(run.result["predictions"]["test"]["scores"]["confusion"]) for run in rounds)
    found = scores(tested.truth, tested.predicted, tested.classes)
    assert np.array_equal(found.confusion, summed)
    assert result["predictions"][POOL]["scores"]["uf1"] == pytest.approx(found.uf1)
    parts = result["predictions"][POOL]["by_corpus"]
    assert sum(part["clips"] for part in parts.values()) == clips and set(parts) == set(MAKERS)
    assert "always negative" in printed and "casme2" in printed

    log = (out / "megc2019_log.txt").read_text().splitlines()
    assert [line for line in log if line.startswith(("casme2", "samm"))] == [
        "casme2 sub01",
        "casme2 sub02",
        "samm 006",
        "samm 007",
    ]
    assert len(log) == clips + 6

    # Done again, nothing is trained; another configuration is refused.
    before = {path: path.stat().st_mtime_ns for path in out.glob("rounds/*/checkpoints/**/*") if path.is_file()}
    assert main(["leave_one_out", *told]) == 0
    assert all(path.stat().st_mtime_ns == at for path, at in before.items())
    assert main(["leave_one_out", *told, "--seed=7"]) == 1
    assert "holds a run of another configuration (seed: 0, now 7)" in capsys.readouterr().err
    shorter = tmp_path / "keys.csv"
    shorter.write_text("\n".join(key_list.read_text().splitlines()[:-1]))
    told[told.index(f"--key_list={key_list}")] = f"--key_list={shorter}"
    assert main(["leave_one_out", *told]) == 1
    assert "holds a run of other clips" in capsys.readouterr().err


def test_a_corpus_is_left_out(imported: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = {f"data.train.{name}": imported[name] for name in ("samm", "smic_hs")}
    assert main(["leave_one_out", *arguments(tmp_path / "out", held_out="corpus", **folders)]) == 0
    assert "2 rounds" in capsys.readouterr().out
    rounds = open_runs([tmp_path / "out" / "rounds"])
    assert [set(run.predictions("test")["corpus"].to_pylist()) for run in rounds] == [{"samm"}, {"smic_hs"}]
    assert [run.folder.name for run in rounds] == ["000_samm", "001_smic_hs"]


def test_mistakes_are_one_line(
    imported: dict[str, Path], key_list: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samm = {"data.train.samm": imported["samm"]}
    for said, told in (
        ("data.train is empty", {}),
        ("data.test has no place here", {**samm, "data.test.smic": imported["smic_hs"]}),
        ("must be three: MEGC2019 has no other", {**samm, "key_list": key_list, "data.classes": "five"}),
        ("2 subjects; to train, validate and test on different ones needs at least 3", samm),
        ("leaving one out needs at least two corpora", {**samm, "held_out": "corpus"}),
    ):
        assert main(["leave_one_out", *arguments(tmp_path / "out", **told)]) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ") and said in error and error.count("\n") == 1


# --- ceiling, megc2019, spotting ---------------------------------------------------------------------------------


def test_runs_are_compared_with_the_ceiling(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "equime"
    assert build(folder, small_request(subjects=8, emotions=("happiness", "disgust", "surprise"), shard_samples=32))
    told = arguments(tmp_path / "run", **{"data.train.faces": folder, "data.split": "given"})
    assert main(["train", *told]) == 0
    capsys.readouterr()
    command = ["ceiling", f"--on.faces={folder}", "--folds=2", f"--runs+={tmp_path / 'run'}"]
    assert main([*command, f"--out={tmp_path / 'ceiling.json'}"]) == 0
    printed = capsys.readouterr().out
    assert "24 clips; classes negative, positive, surprise" in printed
    assert "Bayes rule of AU table corpora" in printed and "extra trees, 2 folds of subjects" in printed
    told = json.loads((tmp_path / "ceiling.json").read_text())
    assert [each["expected_uf1"] is None for each in told["ceilings"]] == [False, True, True]
    (compared,) = told["runs"]
    own = Run.open(tmp_path / "run").result["predictions"]["test"]["scores"]["uf1"]
    assert compared["uf1"] == pytest.approx(own) and compared["share"] == pytest.approx(own / compared["ceiling"])
    assert main(["ceiling", f"--on.faces={folder}", "--classes=four"]) == 1
    assert "--classes 'four' must be one of" in capsys.readouterr().err


def test_what_folders_hold_of_the_composite(
    imported: dict[str, Path], key_list: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["megc2019", str(key_list), f"--on.samm={imported['samm']}"]) == 0
    printed = capsys.readouterr().out
    assert "of 133" in printed and "0 of 145" in printed and "no clip for" in printed
    assert main(["megc2019", str(key_list)]) == 0
    printed = capsys.readouterr().out
    truth = np.array([int(line[-1]) for line in key_list.read_text().splitlines()])
    negative = constant_scores(truth, ("negative", "positive", "surprise"))["negative"]
    assert f"{negative.accuracy:.4f}" in printed and "0.3333" in printed


def test_found_intervals_against_an_imported_folder(
    imported: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = imported["samm"]
    events = pq.read_table(folder / "events.parquet").to_pylist()
    lines = ["video,onset,offset,expression,label"]
    for number, event in enumerate(events):
        shift = 0 if number else 500  # the first is missed
        video = f"{event['corpus_subject']}/{event['corpus_clip']}"
        lines.append(f"{video},{event['onset'] + shift},{event['offset'] + shift},micro,{event['three_class'] or 'x'}")
    found = tmp_path / "found.csv"
    found.write_text("\n".join(lines) + "\n")
    assert main(["spotting", str(folder), str(found), f"--out={tmp_path / 'log.csv'}"]) == 0
    printed = capsys.readouterr().out
    right = len(events) - 1
    assert printed.splitlines()[1].split() == ["micro", str(right), "1", "1", *[f"{right / len(events):.4f}"] * 3]
    assert "STRS" in printed
    assert "left out" not in printed
    log = (tmp_path / "log.csv").read_text().splitlines()
    assert len(log) == len(events) + 2 and sum(line.endswith("TP") for line in log) == right
    assert main(["spotting", str(folder), str(found), "--expressions=together"]) == 0
    assert "micro" not in capsys.readouterr().out


def test_annotated_events_that_were_left_out_are_counted(
    imported: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, found = tmp_path / "samm", tmp_path / "found.csv"
    (folder / "__manifest__").mkdir(parents=True)
    (folder / "events.parquet").write_bytes((imported["samm"] / "events.parquet").read_bytes())
    lines = ["what,name,reason", "event,006/006_1_2,offset 0", "kept,006/006_1_3,apex 0", "event,007/007_1,offset 0"]
    (folder / "__manifest__" / "rejected.csv").write_text("\n".join(lines) + "\n")
    found.write_text("video,onset,offset,expression\n006/006_1_2,1,9,micro\n")
    for truth in (folder, folder / "events.parquet"):
        assert main(["spotting", str(truth), str(found)]) == 0
        assert "2 annotated events were left out by the import (__manifest__/rejected.csv)" in capsys.readouterr().out
    assert main(["spotting", str(found), str(found)]) == 0
    assert "left out" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("video,onset\n", "needs a column 'offset', has video, onset"),
        ("", "needs a column 'video', has none"),
        ("video,onset,offset\na,1,2\nb,x,3\n", "row 3: onset='x' must be a whole number"),
        ("video,onset,offset\na,9,3\n", "row 2: a: onset=9 must not lie after offset=3"),
        ("video,onset,offset\n,1,3\n", "row 2: video must be given"),
        ("video,onset,offset,expression\na,1,3,big\n", "row 2: expression='big' must be micro, macro or empty"),
        ("video,onset,offset\na,1\n", "row 2: offset='' must be a whole number"),
    ],
)
def test_intervals_that_cannot_be_read(
    tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "found.csv"
    path.write_text(text)
    assert main(["spotting", str(path), str(path)]) == 1
    assert f"found.csv{',' if 'row' in said else ':'} {said}" in capsys.readouterr().err
