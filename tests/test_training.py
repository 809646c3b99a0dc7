"""Training on a small data set: the commands, two processes of torchrun, and a run that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from conftest import small_request

from equime_builder.build import build
from equime_loader import open_dataset
from equime_loader.split_checks import LeakageError

pytest.importorskip("accelerate", reason="training needs the extra `train`")

import torch
from safetensors.torch import load_file

from training.__main__ import main
from training.config import ModelConfig
from training.data import open_parts
from training.loop import fit, predict
from training.predictions import read_as_numbers
from training.protocols.scores import scores
from training.protocols.tasks import Task
from training.runs import Run

ROOT = Path(__file__).resolve().parents[1]
EPOCHS, STOP, CLIPS, STEPS = 2, 8, 18, 5


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 clips of 10 subjects, three classes."""
    root = tmp_path_factory.mktemp("clips") / "equime"
    apart = {"shared_program_subjects": 1}  # so few subjects that shared programs would leave nothing to divide
    request = small_request(subjects=10, emotions=("happiness", "sadness", "surprise"), shard_samples=8, **apart)
    assert build(root, request)
    return root


def arguments(clips: Path, out: Path, *more: str) -> list[str]:
    values = {
        "data.train.equime": clips,
        "data.sizes": '{"train": 0.6, "validation": 0.2, "test": 0.2}',
        "optimization.batch_size": 4,
        "optimization.epochs": EPOCHS,
        "checkpoint_steps": 3,
        "seed": 5,
    }
    told = [f"--{name}={value}" for name, value in values.items()]
    return [*told, *more, "--out", str(out)]


def flow(clips: Path, out: Path) -> list[str]:
    """A run whose steps draw random numbers, for dropout and for augmentation."""
    settings = {"size": 32, "dropout": 0.5, "mirror": True}
    return arguments(clips, out, "--model.name=flow", f"--model.settings={json.dumps(settings)}")


PLAIN = {"name": "st_cnn", "settings": {"size": 16, "frames": 4, "dropout": 0.0}}


def plain(clips: Path, out: Path) -> list[str]:
    """A run that draws nothing and whose steps are the same however clips are divided among processes."""
    return arguments(clips, out, f"--model={json.dumps(PLAIN)}", "--optimization.optimizer=sgd")


def start(folder: Path, commands: Sequence[list[str]], *, stop: int = -1) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes=1", "--nproc-per-node=2"]
    launch += ["--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "-m", "tests.training_worker"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        [*launch, str(folder), str(stop), json.dumps(commands)], cwd=ROOT, env=environment, stderr=subprocess.PIPE
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    _, told = process.communicate()
    assert process.returncode == 0, told.decode()[-3000:]


def notes(folder: Path, run: str) -> dict[int, list[list]]:
    """By step: epoch, keys and repeated of each process."""
    found: dict[int, list[list]] = {}
    for rank in (0, 1):
        for line in (folder / f"{run}-{rank}.json").read_text().splitlines():
            step, *rest = json.loads(line)
            found.setdefault(step, []).append(rest)
    return found


# --- one process


@pytest.fixture(scope="module")
def trained(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of the command."""
    out = tmp_path_factory.mktemp("runs") / "first"
    assert main(["train", *flow(clips, out)]) == 0
    return Run.open(out)


def test_a_run_folder_holds_what_it_came_from_and_what_it_came_to(clips: Path, trained: Run) -> None:
    assert trained.config.data.train == {"equime": str(clips)} and trained.config.seed == 5
    assert trained.environment["processes"] == 1 and trained.environment["packages"]["torch"]
    parts = open_parts(trained.config)
    assert trained.splits["datasets"] == {"equime": open_dataset(clips).index.sha256}
    for name, task in {"train": parts.train, "validation": parts.validation, **parts.test}.items():
        told = trained.splits["splits"][name]
        assert (told["clips"], told["sha256"]) == (len(task), task.clips.sha256)
    assert str(clips) not in (trained.folder / "splits.json").read_text()
    assert [row.step for row in trained.history] == [STEPS, 2 * STEPS]
    assert trained.result["stopped_by"] == "epochs" and trained.result["processes"] == 1
    assert 0 <= trained.result["waiting_share_after_first_batches"] <= trained.result["waiting_share"] <= 1
    assert trained.prediction_names == ("test", "validation")
    for name in trained.prediction_names:
        tested, found = trained.result["predictions"][name], read_as_numbers(trained.predictions(name))
        expected = asdict(scores(found.truth, found.predicted, found.classes))
        assert tested["unreadable"] == 0 and tested["scores"] == json.loads(json.dumps(expected))
        assert set(tested["constants"]) == set(found.classes) == {"negative", "positive", "surprise"}
    best = trained.history[trained.result["best_epoch"]]
    assert trained.result["predictions"]["validation"]["scores"]["uf1"] == best.validation_uf1
    assert list((trained.folder / "tensorboard").glob("events*"))
    assert not [path for path in trained.folder.rglob("*") if path.suffix in (".pt", ".pth", ".bin", ".pkl")]


def test_a_run_that_has_ended_is_left_alone(clips: Path, trained: Run, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in trained.folder.rglob("*") if path.is_file()}
    assert main(["train", *flow(clips, trained.folder), "--loader.workers=0", "--checkpoint_steps=0"]) == 0
    assert before == {path: path.read_bytes() for path in before}
    assert main(["train", *flow(clips, trained.folder), "--seed=6"]) == 1
    assert "seed: 5, now 6" in capsys.readouterr().err


def test_a_run_goes_on_with_its_own_clips_only(
    clips: Path, trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = tmp_path / "moved"
    moved.symlink_to(clips)
    command = flow(clips, trained.folder)
    assert main(["train", *command, f"--data.train.equime={moved}"]) == 0
    parts = open_parts(trained.config)
    fewer = parts.train.narrowed(np.arange(9), "nine")
    with pytest.raises(ValueError, match="train had 18, now 9"):
        fit(trained.config, fewer, parts.validation, trained.folder)


def test_nobody_who_was_trained_on_is_tested_on(
    clips: Path, trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(trained.folder), f"--on.again={clips}"]) == 1
    assert "in more than one split" in capsys.readouterr().err
    assert main(["evaluate", str(trained.folder), f"--on.test={clips}"]) == 1
    assert "'test' is the name of a split" in capsys.readouterr().err
    # Other portraits, though subjects of equal names.
    other = tmp_path / "other"
    assert build(other, small_request(seed=9, subjects=2, emotions=("surprise",)))
    assert main(["evaluate", str(trained.folder), f"--on.other={other}", "--where.emotion=surprise"]) == 0
    printed = capsys.readouterr().out
    assert "other †" in printed and "†: the clips lack a class" in printed
    assert trained.result["predictions"]["other"]["scores"]["clips"] == 2
    assert trained.splits["splits"]["other"]["classes"] == {"negative": 0, "positive": 0, "surprise": 2}
    assert len(trained.predictions("other")) == 2


def test_predictions_are_those_of_the_best_weights_in_evaluation(trained: Run) -> None:
    task = open_parts(trained.config).test["test"]
    assert predict(trained, task) == trained.predictions("test")
    two = Task(task.clips, task.classes[:2], task.targets.clip(max=1))
    with pytest.raises(ValueError, match="was trained on negative, positive, surprise; the task has negative, pos"):
        predict(trained, two)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--model.name=none"], "model 'none' is unknown"),
        (["--model.settings.sise=3"], "no setting 'sise'"),
        (["--data.train.equime=/nowhere"], "/nowhere"),
        (["--data.classes=nine"], "--data.classes 'nine' must be"),
        (["--data.where.emotion=fear"], "kind='three'"),
        (["--optimization.learning_rate=0"], "--optimization.learning_rate 0.0 must be"),
        (["--data.test.test=x"], "'test'"),
    ],
)
def test_mistakes_are_one_line(
    clips: Path, tmp_path: Path, more: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *flow(clips, tmp_path / "run"), *more]) == 1
    said = capsys.readouterr().err
    assert told in said and said.startswith("error: ") and said.count("\n") == 1
    assert not (tmp_path / "run" / "config.yaml").exists()  # the corrected command may use the folder


def test_shuffled_labels_keep_the_classes_and_leave_the_test_alone(clips: Path, trained: Run) -> None:
    true = open_parts(trained.config)
    config = replace(trained.config, data=replace(trained.config.data, labels="shuffled"))
    mixed = open_parts(config)
    assert mixed.train.keys == true.train.keys and mixed.train.counts() == true.train.counts()
    assert (mixed.train.targets != true.train.targets).any()
    assert (mixed.test["test"].targets == true.test["test"].targets).all()


def test_the_given_split_is_taken(clips: Path, trained: Run) -> None:
    config = replace(trained.config, data=replace(trained.config.data, split="given"))
    parts = open_parts(config)
    for name, task in {"train": parts.train, "validation": parts.validation, **parts.test}.items():
        assert task.clips.counts("split") == {name: len(task)}


def test_other_ways_to_train(clips: Path, trained: Run, tmp_path: Path) -> None:
    parts = open_parts(trained.config)
    others = {"optimizer": "adamw", "imbalance": "sampling", "precision": "bf16", "label_smoothing": 0.1, "epochs": 9}
    config = replace(
        trained.config,
        model=ModelConfig(**PLAIN),
        # Steps of no size change no prediction, so that the first epoch stays the best.
        optimization=replace(trained.config.optimization, learning_rate=1e-12, **others),
        stopping=replace(trained.config.stopping, monitor="accuracy", patience=1),
        loader=replace(trained.config.loader, cache=str(tmp_path / "windows"), workers=1),
    )
    run = fit(config, parts.train, parts.validation, tmp_path / "run")
    assert run.result["stopped_by"] == "patience" and run.result["best_epoch"] == 0
    assert (run.result["epochs"], run.result["steps"]) == (2, 2 * STEPS)
    assert list((tmp_path / "windows").iterdir())


def test_validation_shares_nobody_with_training(trained: Run, tmp_path: Path) -> None:
    parts = open_parts(trained.config)
    with pytest.raises(LeakageError):
        fit(trained.config, parts.train, parts.train, tmp_path / "run")
    other = Task(parts.validation.clips, ("a", "b", "c"), parts.validation.targets)
    with pytest.raises(ValueError, match="validation a, b, c"):
        fit(trained.config, parts.train, other, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_ends_training(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*plain(clips, tmp_path / "run"), "--optimization.learning_rate=10", "--optimization.epochs=50"]
    assert main(["train", *command]) == 1
    assert "lower optimization.learning_rate" in capsys.readouterr().err
    assert not Run.open(tmp_path / "run").has_ended


def test_weights_are_not_stepped_by_a_loss_that_is_no_number(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training import loop

    parts, steps = open_parts(trained.config), []
    monkeypatch.setattr(loop, "weighed_loss", lambda logits, *_, **__: (logits.sum() * torch.nan, torch.tensor(1.0)))
    monkeypatch.setattr(torch.optim.Adam, "step", lambda *_: steps.append("step"))
    with pytest.raises(loop.TrainingFault, match="the loss of step 0 is nan"):
        fit(trained.config, parts.train, parts.validation, tmp_path / "run")
    assert not steps


def test_a_changed_test_set_is_tested_anew(
    clips: Path, trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = {name: tmp_path / name for name in ("one", "two")}
    for seed, folder in enumerate(sets.values(), 20):
        assert build(folder, small_request(seed=seed, subjects=2, emotions=("surprise",)))

    def tested(name: str) -> tuple[int, str, set[str]]:
        assert main(["train", *flow(clips, trained.folder), f"--data.test.more={sets[name]}"]) == 0
        table = trained.predictions_path("more").stat().st_mtime_ns
        return table, trained.splits["splits"]["more"]["index"], set(trained.predictions("more")["key"].to_pylist())

    first, again, other = tested("one"), tested("one"), tested("two")
    assert first == again and other[0] > first[0]
    for name, found in (("one", first), ("two", other)):
        index = open_dataset(sets[name])
        assert found[1:] == (index.index.sha256, {row["key"] for row in index.labels(["key"])})


# --- two processes


@pytest.fixture(scope="module")
def whole(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs `plain` and `flow` of two processes that nobody disturbed, and what they noted."""
    folder = tmp_path_factory.mktemp("whole")
    finish(start(folder, [plain(clips, folder / "plain"), flow(clips, folder / "flow")]))
    return folder


def test_every_clip_is_trained_on_once_an_epoch(clips: Path, whole: Path) -> None:
    parts = open_parts(Run.open(whole / "flow").config)
    assert len(parts.train) == CLIPS
    seen = notes(whole, "flow")
    assert sorted(seen) == list(range(EPOCHS * STEPS))
    for epoch in range(EPOCHS):
        steps = [note for notes_of in seen.values() for note in notes_of if note[0] == epoch]
        assert len(steps) == 2 * STEPS and all(len(keys) == 2 for _, keys, _ in steps)
        counted = Counter(key for _, keys, again in steps for key, extra in zip(keys, again, strict=True) if not extra)
        assert counted == dict.fromkeys(parts.train.keys, 1)
    orders = [[note[1] for step in sorted(seen) for note in seen[step] if note[0] == epoch] for epoch in range(EPOCHS)]
    assert orders[0] != orders[1]


def test_two_processes_learn_what_one_learns(clips: Path, whole: Path, tmp_path: Path) -> None:
    run = Run.open(whole / "plain")
    parts = open_parts(run.config)
    alone = fit(run.config, parts.train, parts.validation, tmp_path / "alone")
    assert run.result["processes"] == 2 and alone.result["processes"] == 1
    mine, theirs = (load_file(of.checkpoint("last") / "model.safetensors") for of in (alone, run))
    for name, tensor in mine.items():
        torch.testing.assert_close(theirs[name], tensor, rtol=1e-4, atol=1e-6)
    for one, two in zip(alone.history, run.history, strict=True):
        assert one.train_loss == pytest.approx(two.train_loss, rel=1e-4)
        assert one.validation_loss == pytest.approx(two.validation_loss, rel=1e-4)
    assert alone.predictions("validation").select(["key", "prediction"]) == run.predictions("validation").select(
        ["key", "prediction"]
    )


def test_a_killed_run_ends_with_the_weights_of_an_undisturbed_one(clips: Path, whole: Path, tmp_path: Path) -> None:
    command = flow(clips, tmp_path / "flow")
    process = start(tmp_path, [command], stop=STOP)
    while not all((tmp_path / f"stopped-{rank}").is_file() for rank in (0, 1)):
        assert process.poll() is None, process.communicate()[1].decode()[-3000:]
        time.sleep(0.05)
    killed = Run.open(tmp_path / "flow")
    # Both processes are in the middle of the second epoch, and the last state was kept two steps before.
    state = json.loads((killed.checkpoint("last") / "state.json").read_text())
    assert (state["step"], len(state["history"]), state["sums"]["steps"]) == (6, 1, 1)
    for rank in (0, 1):
        os.kill(int((tmp_path / f"stopped-{rank}").read_text()), signal.SIGKILL)
    process.communicate()
    assert process.returncode != 0 and not killed.has_ended
    finish(start(tmp_path, [command]))

    undisturbed = Run.open(whole / "flow")
    for which in ("last", "best"):
        for file in ("model.safetensors", "optimizer.safetensors"):
            mine, theirs = ((run.checkpoint(which) / file).read_bytes() for run in (killed, undisturbed))
            assert mine == theirs, f"{which}/{file}"
    figures = [
        [(row.train_loss, row.validation_loss, row.validation_uf1, row.learning_rate) for row in run.history]
        for run in (killed, undisturbed)
    ]
    assert figures[0] == figures[1]
    for name in ("validation", "test"):
        assert killed.predictions(name) == undisturbed.predictions(name)
    again = notes(tmp_path, "flow")
    for step, read in notes(whole, "flow").items():
        # Steps that were done twice read the same clips twice.
        assert sorted(again[step]) == sorted(read * (len(again[step]) // 2))
    assert {step for step, read in again.items() if len(read) == 4} == {6, 7}
