"""Studies on real runs: the matrix across data sets, subsets with a paired test, attacks; from folders to the page."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jsonargparse", reason="training needs the extra `train`")

from conftest import small_request
from corpora import make_casme2, make_smic

from equime_builder.build import build
from training.__main__ import main
from training.config import Config, DataConfig, ModelConfig, OptimizationConfig, write_config
from training.matrix import MatrixPlan, configurations
from training.protocols.tasks import make_task
from training.robustness import AttackPlan
from training.runs import Run, open_runs
from training.studies import changed, trial_name
from training.subsets import BY_CLIP, BY_SUBJECT, SubsetPlan, arms

FAST = OptimizationConfig(epochs=2, batch_size=8, learning_rate=3e-3)
TINY = Config(model=ModelConfig(name="flow", settings={"size": 16, "width": 4}), optimization=FAST)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("configuration") / "tiny.yaml"
    write_config(TINY, path)
    return path


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Two stand-in corpora, imported."""
    from equime_builder.importing.plan import Request
    from equime_builder.importing.run import import_corpus
    from equime_loader.corpora import read_corpus

    root = tmp_path_factory.mktemp("sets")
    found = {}
    for name, module in (("casme2", make_casme2), ("smic_hs", make_smic)):
        made = module.make(root / f"{name}-copy", subjects=6, quirks=False)
        request = Request(context_ms=50.0, formats=("webdataset",))
        import_corpus(root / name, read_corpus(name, made.root), request, workers=1)
        found[name] = root / name
    return found


@pytest.fixture(scope="module")
def matrix(sets: Mapping[str, Path], config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("matrix")
    folders = [word for name, folder in sets.items() for word in (f"--data.{name}", str(folder))]
    assert main(["matrix", *folders, "--models", str(config), "--out", str(out)]) == 0
    return out


# --- matrix


def test_every_cell_of_the_matrix_is_tested(matrix: Path) -> None:
    runs = open_runs([matrix / "runs"])
    assert {run.name: run.prediction_names for run in runs} == {
        "three-flow-casme2-0": ("smic_hs", "test", "validation"),
        "three-flow-smic_hs-0": ("casme2", "test", "validation"),
    }
    for run in runs:
        parts = {name: set(run.predictions(name)["subject"].to_pylist()) for name in ("test", "validation")}
        assert parts["test"] and not parts["test"] & parts["validation"]


def test_the_matrix_ends_in_one_page(matrix: Path) -> None:
    text = (matrix / "page" / "index.html").read_text(encoding="utf-8")
    assert "Across data sets" in text and "casme2" in text and 'aria-label="UF1 of each model' in text
    assert (matrix / "page" / "pictures" / "three-matrix.png").is_file()
    with open(matrix / "page" / "scores-three.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["run"] == "mean"]
    pairs = {(row["train"], row["test"], row["unseen_subjects"]) for row in rows}
    assert pairs == {
        ("casme2", "casme2", "true"),
        ("casme2", "smic_hs", "false"),
        ("smic_hs", "smic_hs", "true"),
        ("smic_hs", "casme2", "false"),
    }
    assert str(matrix) not in text and str(matrix.parent) not in text


def test_the_same_command_does_nothing_again(
    matrix: Path, sets: Mapping[str, Path], config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = {path: path.stat().st_mtime_ns for path in (matrix / "runs").rglob("*.safetensors")}
    folders = [word for name, folder in sets.items() for word in (f"--data.{name}", str(folder))]
    assert main(["matrix", *folders, "--models", str(config), "--out", str(matrix)]) == 0
    assert {path: path.stat().st_mtime_ns for path in weights} == weights
    assert "epoch 0" not in capsys.readouterr().out


def test_people_of_two_data_sets_are_tested_once_they_were_not_trained_on(
    sets: Mapping[str, Path], config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from equime_builder.importing.plan import Request
    from equime_builder.importing.run import import_corpus
    from equime_loader.corpora import read_corpus

    made = make_smic.make(tmp_path / "copy", camera="VIS", subjects=6, quirks=False)
    request = Request(context_ms=50.0, formats=("webdataset",))
    import_corpus(tmp_path / "smic_vis", read_corpus("smic_vis", made.root), request, workers=1)
    folders = [f"--data.smic_hs={sets['smic_hs']}", f"--data.smic_vis={tmp_path / 'smic_vis'}"]
    out = tmp_path / "out"
    assert main(["matrix", *folders, "--models", str(config), "--out", str(out)]) == 0
    why = "the same participants before three cameras"
    assert f"smic_hs → smic_vis: {why}" in capsys.readouterr().out
    for run in open_runs([out / "runs"]):
        (name,) = set(run.prediction_names) - {"test", "validation"}
        people = {part: set(run.predictions(part)["subject"].to_pylist()) for part in run.prediction_names}
        assert people[name] == people["test"] and not people[name] & people["validation"]
        assert "15 of 18 clips left out: of people trained on" in run.splits["splits"][name]["steps"]
        told = json.loads((run.folder / "study.json").read_text())["cautions"][name]
        assert "left out of the test: 15 clips of people trained on" in told and why in told
    nobody = replace(TINY, data=DataConfig(sizes={"train": 0.7, "validation": 0.3}))
    write_config(nobody, tmp_path / "nobody.yaml")
    again = ["--models", str(tmp_path / "nobody.yaml"), "--out", str(tmp_path / "nobody")]
    assert main(["matrix", folders[0], folders[1], f"--data.casme2={sets['casme2']}", *again]) == 0
    assert f"smic_vis → smic_hs: {why}; 6 people are in both; not tested, since everyone" in capsys.readouterr().out
    run = Run.open(tmp_path / "nobody" / "runs" / "three-flow-smic_hs-0")
    assert run.prediction_names == ("casme2", "validation")


def plan(**changes: object) -> MatrixPlan:
    values: dict[str, object] = {"models": (TINY,), "data": {name: name for name in "abc"}, **changes}
    return MatrixPlan(**values)  # type: ignore[arg-type]


def test_pairs_of_a_matrix() -> None:
    found = configurations(plan(seeds=(0, 1)), {})
    assert [(tuple(one.data.train), tuple(one.data.test), one.seed) for one in found[:3]] == [
        (("a",), ("b", "c"), 0),
        (("a",), ("b", "c"), 1),
        (("b",), ("a", "c"), 0),
    ]
    assert len(found) == 6


def test_leaving_one_out_leaves_out_its_people_too() -> None:
    found = configurations(plan(each=False, leave_one_out=True), {("b", "c"): "same", ("c", "b"): "same"})
    tested = {tuple(one.data.train): tuple(one.data.test) for one in found}
    assert tested == {("b", "c"): ("a",), ("a",): ("b", "c")}
    pooled = next(one for one in found if len(one.data.train) == 2)
    assert set(pooled.data.sizes) == {"train", "validation"} and sum(pooled.data.sizes.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": {"a": "a"}}, "at least two folders"),
        ({"data": {"a": "a", "b": "b"}, "leave_one_out": True}, "at least three"),
        ({"data": {"test": "a", "b": "b"}}, "name of a split"),
        ({"models": ()}, "at least one model"),
        ({"models": (TINY, TINY)}, "each stand once"),
        ({"seeds": (1, 1)}, "each stand once"),
        ({"each": False}, "each, leave_one_out, or both"),
    ],
)
def test_a_matrix_refuses(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        plan(**changes)


# --- robustness


def test_attacks_of_a_run(matrix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = matrix / "runs" / "three-flow-casme2-0"
    strengths = ["--strengths", "0.001", "0.5", "--steps", "4"]
    assert main(["robustness", str(run), "--on", "smic_hs", *strengths]) == 0
    assert "constant UF1" in capsys.readouterr().out
    rows = json.loads((run / "robustness.json").read_text())["rows"]
    found = {(row["attack"], row["strength"]): row for row in rows}
    assert len(found) == 7 and found["none", 0.0]["clips"] == 18
    scored = Run.open(run).result["predictions"]["smic_hs"]["scores"]
    assert found["none", 0.0]["uf1"] == pytest.approx(scored["uf1"])
    assert found["PGD", 0.5]["accuracy"] <= found["noise", 0.5]["accuracy"]
    assert found["FGSM", 0.5]["accuracy"] < found["none", 0.0]["accuracy"]
    assert main(["report", str(run), "--out", str(matrix / "attacked"), "--resamples", "20"]) == 0
    assert "Scores under attack" in (matrix / "attacked" / "report.md").read_text(encoding="utf-8")


def test_attacks_are_the_same_again_whatever_the_batches(matrix: Path) -> None:
    from training.data import open_parts
    from training.robustness import attack

    run = Run.open(matrix / "runs" / "three-flow-casme2-0")
    task = open_parts(run.config).test["smic_hs"]
    plan = AttackPlan(strengths=(0.1,), steps=2, clips=9)
    assert attack(run, task, "smic_hs", plan) == attack(run, task, "smic_hs", plan)


def test_attacks_stay_within_their_strength() -> None:
    import torch

    from training.models import find_model
    from training.robustness import ATTACKS

    baseline = find_model("flow")
    settings = baseline.read_settings({"size": 16, "width": 4})
    model = baseline.make(3, settings).eval()
    inputs = torch.randn(2, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    batch = {"position": torch.tensor([0, 1]), "target": torch.tensor([0, 2])}
    network = type("Network", (), {"model": model})()
    for name, way in ATTACKS.items():
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            changed = way(network, inputs.clone(), batch, 0.25, AttackPlan(steps=3)).detach()
        moved = (changed - inputs).abs()
        assert moved.max() <= 0.25 + 1e-6 and moved.mean() > 0.1, name


@pytest.mark.parametrize(
    ("values", "words"),
    [({"strengths": ()}, "strengths"), ({"strengths": (0.0,)}, "strengths"), ({"steps": 0}, "steps=0")],
)
def test_attacks_refuse(values: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AttackPlan(**values)  # type: ignore[arg-type]


def test_attacks_need_a_tested_set(matrix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["robustness", str(matrix / "runs" / "three-flow-casme2-0"), "--on", "samm"]) == 1
    assert "was not tested on 'samm'" in capsys.readouterr().err


# --- subsets


def test_arms_are_of_one_size_and_of_one_task(built: Path) -> None:
    from equime_loader import open_dataset

    task = make_task(open_dataset(built), "three")
    found = arms(task, SubsetPlan(model=TINY, balance=("apparent_gender",), across=()), seed=0)
    whole, balanced, control = (found[name].task for name in ("", "balanced by gender", BY_CLIP))
    assert [arm.against for arm in found.values()] == [BY_CLIP, BY_CLIP, ""]
    assert len(whole) == len(task) and len(balanced) == len(control) <= len(whole)
    counts = balanced.clips.counts("apparent_gender")
    assert len(set(counts.values())) == 1
    again = arms(task, SubsetPlan(model=TINY, balance=("apparent_gender",), across=()), seed=0)
    assert all(np.array_equal(one.task.clips.rows, again[name].task.clips.rows) for name, one in found.items())


def test_a_skewed_arm_is_as_asked(built: Path) -> None:
    from equime_loader import open_dataset

    task = make_task(open_dataset(built), "three")
    words = task.clips.counts("apparent_gender")
    skew = {"apparent_gender": dict(zip(words, (3.0, 1.0), strict=True))}
    found = arms(task, SubsetPlan(model=TINY, balance=(), across=(), skew=skew, whole=False), seed=0)
    first, second = found["skewed by gender"].task.clips.counts("apparent_gender").values()
    assert abs(first - 3 * second) <= 3 and set(found) == {"skewed by gender", BY_CLIP}


def test_counterfactual_sets_are_compared_with_as_many_subjects(built: Path) -> None:
    from equime_loader import open_dataset

    task = make_task(open_dataset(built), "three")
    across = SubsetPlan(model=TINY, balance=(), across=("apparent_gender",), whole=False)
    sets, control = arms(task, across, seed=0).values()
    assert sets.against == BY_SUBJECT and len(sets.task) == len(control.task)
    sizes = [len(np.unique(arm.task.clips.codes("subject").codes)) for arm in (sets, control)]
    assert sizes[0] == sizes[1]


def test_too_few_clips_are_said(built: Path) -> None:
    from equime_loader import open_dataset

    task = make_task(open_dataset(built), "three")
    places = [np.flatnonzero(task.targets == number)[:few] for number, few in ((1, 6), (2, 1))]
    few = task.narrowed(np.concatenate(places), "few of a class")
    with pytest.raises(ValueError, match="too few to learn from"):
        arms(few, SubsetPlan(model=TINY, balance=("apparent_gender",), across=()), seed=0)


def test_a_study_of_subsets_ends_in_a_paired_test(config: Path, tmp_path: Path) -> None:
    request = small_request(subjects=9, sequences=2, ablations=0, formats=("webdataset",))
    built = tmp_path / "equime"
    assert build(built, request)
    change = '{"data": {"sizes": {"train": 0.5, "validation": 0.25, "test": 0.25}}, "optimization": {"epochs": 1}}'
    options = ["--balance", "apparent_gender", "--across", "--seeds", "0", "1", "--whole", "false"]
    arguments = ["compare", "--data.equime", str(built), "--model", str(config), *options, "--change", change]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    assert {run.name for run in open_runs([tmp_path / "runs"])} == {
        f"three-flow-{arm}-{seed}" for arm in ("balanced-by-gender", "random-clips") for seed in (0, 1)
    }
    with open(tmp_path / "page" / "comparison.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["arm"], row["control"], row["seeds"]) for row in rows} == {("balanced by gender", BY_CLIP, "2")}
    assert all(float(row["least_p"]) == 0.5 and float(row["p"]) >= 0.5 for row in rows)


# --- what they have in common


def test_configurations_are_changed_in_part(config: Path) -> None:
    found = changed(config, {"optimization": {"epochs": 7}, "model": {"settings": {"width": 8}}})
    assert found == replace(
        TINY,
        optimization=replace(FAST, epochs=7),
        model=ModelConfig(name="flow", settings={"size": 16, "width": 8}),
    )
    with pytest.raises(ValueError, match="epoch"):
        changed(config, {"optimization": {"epoch": 7}})


def test_names_of_runs_are_names_of_folders() -> None:
    assert trial_name("three", "flow", "a+b", "balanced by race", "0") == "three-flow-a+b-balanced-by-race-0"
    assert "/" not in trial_name("three", "../x", "0")
    with pytest.raises(ValueError, match="no name of a folder"):
        trial_name("..")
