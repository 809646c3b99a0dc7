"""Parts of the loop: loss, schedule, stopping, checkpoints, tasks that are divided."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("accelerate", reason="training needs the extra `train`")

import torch
from indices import clips_of, write_index
from torch import nn
from torch.nn import functional

from equime_loader import Selection
from equime_loader.split_checks import LeakageError, check_leakage
from training import checkpoints
from training.checkpoints import (
    FILES,
    copy_checkpoint,
    load_checkpoint,
    load_weights,
    optimizer_tensors,
    parameter_names,
    put_optimizer,
    recover,
    save_checkpoint,
)
from training.config import Config, DataConfig, ModelConfig, OptimizationConfig, StoppingConfig
from training.data import divided, open_parts, shuffled
from training.evaluation import described
from training.loop import Sums
from training.optimization import (
    best_epoch,
    class_weights,
    make_optimizer,
    make_schedule,
    seed_step,
    stopped_by,
    watched,
    weighed_loss,
)
from training.protocols.tasks import Task
from training.runs import Epoch

NAN = float("nan")


def epochs(*uf1: float) -> list[Epoch]:
    """A history with these figures; the loss is their negative."""
    return [Epoch(n, n + 1, 1.0, -of, of, of, of, 0.1, 1.0, 0.0) for n, of in enumerate(uf1)]


def task_of(counts: dict[str, int], subjects: int = 10) -> Task:
    words = [word for word, count in counts.items() for _ in range(count)]
    people = [f"s{number % subjects}" for number in range(len(words))]
    return labeled(clips_of(emotion=words, subject=people, portrait=people))


def labeled(clips: Selection) -> Task:
    """A task of three classes."""
    words = clips.codes("emotion")
    place = {"sadness": 0, "happiness": 1, "surprise": 2}
    return Task(clips, ("negative", "positive", "surprise"), np.array([place[words.words[c]] for c in words.codes]))


# --- loss


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_of_several_processes_is_the_mean_over_their_clips(smoothing: float) -> None:
    rng = torch.Generator().manual_seed(1)
    logits, targets = torch.randn(7, 3, generator=rng), torch.tensor([0, 1, 2, 0, 0, 1, 0])
    weights = torch.tensor([0.5, 2.0, 1.0])
    expected = functional.cross_entropy(logits, targets, weight=weights, label_smoothing=smoothing)
    # Two processes of four clips, where the last clip of the second only fills the batch.
    counted = torch.tensor([True] * 7 + [False])
    logits, targets = torch.cat([logits, logits[:1]]), torch.cat([targets, targets[:1]])
    parts = [
        weighed_loss(logits[part], targets[part], weights, counted[part], smoothing=smoothing)
        for part in (slice(0, 4), slice(4, 8))
    ]
    loss, weight = (sum(values) for values in zip(*parts, strict=True))
    torch.testing.assert_close(loss / weight, expected)


def test_rare_classes_weigh_more() -> None:
    task = task_of({"sadness": 6, "happiness": 3})
    weights = class_weights(task, OptimizationConfig(imbalance="weights"))
    # Each class that there is has an equal part of the whole weight; no clip is surprised.
    assert weights.tolist() == pytest.approx([9 / 18, 9 / 9, 0])
    for how in ("none", "sampling"):
        assert class_weights(task, OptimizationConfig(imbalance=how)).tolist() == [1, 1, 1]


def test_what_a_step_draws_depends_on_its_number_alone() -> None:
    def drawn(*place: int) -> list[float]:
        seed_step(*place)
        return torch.rand(3).tolist()

    with torch.random.fork_rng([]):
        first = drawn(0, 5, 1)
        assert len({tuple(drawn(*place)) for place in ((0, 5, 1), (1, 5, 1), (0, 6, 1), (0, 5, 0))}) == 4
        assert drawn(0, 5, 1) == first


# --- stopping


def test_the_first_of_the_best_epochs_counts() -> None:
    assert best_epoch(epochs(0.2, 0.5, 0.5, NAN), StoppingConfig()) == 1
    assert best_epoch(epochs(NAN, NAN), StoppingConfig()) == 0
    # Its loss is lowest where the figure is highest.
    assert best_epoch(epochs(0.2, 0.5, 0.4), StoppingConfig(monitor="loss")) == 1


def test_training_ends_when_nothing_gets_better() -> None:
    stopping = StoppingConfig(patience=2)
    assert stopped_by([], stopping, epochs=4) is None
    assert stopped_by(epochs(0.5, 0.4), stopping, epochs=4) is None
    assert stopped_by(epochs(0.5, 0.4, 0.5), stopping, epochs=4) == "patience"
    assert stopped_by(epochs(0.1, 0.2, 0.3, 0.4), stopping, epochs=4) == "epochs"


def test_the_learning_rate_falls_where_the_figure_stands_still() -> None:
    stopping = StoppingConfig(plateau_patience=2, plateau_factor=0.1, least_learning_rate=2e-3)
    optimizer = make_optimizer([nn.Parameter(torch.zeros(1))], OptimizationConfig(learning_rate=0.1))
    schedule = make_schedule(optimizer, stopping)
    rates = []
    for epoch in epochs(0.5, 0.5, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6):
        schedule.step(watched(epoch, stopping))
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.01, 2e-3, 2e-3, 2e-3])


def test_waits_are_counted() -> None:
    sums = Sums()
    for seconds, waiting in ((2.0, 1.5), (1.0, 0.05), (1.0, 0.5)):
        sums = sums.with_step(loss=3.0, weight=2.0, seconds=seconds, waiting=waiting)
    assert (sums.steps, sums.loss, sums.weight, sums.seconds) == (3, 9.0, 6.0, 4.0)
    # The first batch of an epoch is no late one: nothing could be read ahead of it.
    assert (sums.waiting, sums.first_waiting, sums.late) == (2.05, 1.5, 1)


# --- checkpoints


def small_model(seed: int) -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    return model


def one_step(model: nn.Module, optimizer: torch.optim.Optimizer, number: int) -> None:
    inputs = torch.from_numpy(np.random.default_rng(number).random((5, 3), np.float32))
    model(inputs).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def optimizer_of(model: nn.Module, name: str) -> torch.optim.Optimizer:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return make_optimizer(trained, OptimizationConfig(optimizer=name, learning_rate=0.05))


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_training_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(name: str, tmp_path: Path) -> None:
    model = small_model(0)
    optimizer = optimizer_of(model, name)
    for number in range(3):
        one_step(model, optimizer, number)
    save_checkpoint(tmp_path / "last", model, optimizer, {"step": 3, "third": 1 / 3})
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == set(FILES)

    other = small_model(1)
    again = optimizer_of(other, name)
    saved = load_checkpoint(tmp_path / "last")
    assert (saved.state["step"], saved.state["third"]) == (3, 1 / 3)
    load_weights(tmp_path / "last", other)
    put_optimizer(again, parameter_names(other), saved.optimizer)
    for at in (model, other):
        one_step(at, optimizer if at is model else again, 3)
    for name_, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name_]), name_
    kept = optimizer_tensors(optimizer, parameter_names(model))
    assert kept and not [of for of in kept if of.startswith("0.")]  # frozen weights have no state


class Killed(BaseException):
    """Stands for a kill."""


@pytest.mark.parametrize("survives", range(6))
def test_a_kill_while_a_checkpoint_is_written_leaves_one(
    survives: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model(0)
    optimizer = optimizer_of(model, "adam")
    save_checkpoint(tmp_path / "last", model, optimizer, {"step": 1})
    done = []

    def counted(act):  # type: ignore[no-untyped-def]
        def tried(*arguments, **options):  # type: ignore[no-untyped-def]
            if len(done) == survives:
                raise Killed
            done.append(act)
            return act(*arguments, **options)

        return tried

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_json", counted(checkpoints.write_json))
        patch.setattr(checkpoints.os, "rename", counted(checkpoints.os.rename))
        patch.setattr(checkpoints.shutil, "rmtree", counted(checkpoints.shutil.rmtree))
        with pytest.raises(Killed):
            save_checkpoint(tmp_path / "last", model, optimizer, {"step": 2})
    assert recover(tmp_path / "last")
    assert load_checkpoint(tmp_path / "last").state["step"] in (1, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["last"]
    save_checkpoint(tmp_path / "last", model, optimizer, {"step": 4})
    assert load_checkpoint(tmp_path / "last").state["step"] == 4


def test_a_finished_checkpoint_takes_the_place_of_one_that_was_moved_aside(tmp_path: Path) -> None:
    model = small_model(0)
    optimizer = optimizer_of(model, "adam")
    for name, step in ((".last.old", 1), (".last.new", 2)):
        save_checkpoint(tmp_path / name, model, optimizer, {"step": step})
    assert recover(tmp_path / "last") and load_checkpoint(tmp_path / "last").state["step"] == 2
    shutil.rmtree(tmp_path / "last")
    assert not recover(tmp_path / "last")


def test_a_copy_of_a_checkpoint_outlives_it(tmp_path: Path) -> None:
    model = small_model(0)
    optimizer = optimizer_of(model, "adam")
    save_checkpoint(tmp_path / "best", model, optimizer, {"step": 1})
    copy_checkpoint(tmp_path / "best", tmp_path / "last")
    save_checkpoint(tmp_path / "best", small_model(5), optimizer, {"step": 2})
    assert load_checkpoint(tmp_path / "last").state["step"] == 1
    assert torch.equal(load_checkpoint(tmp_path / "last").model["2.bias"], model.state_dict()["2.bias"])


@pytest.mark.parametrize("file", FILES)
def test_damaged_checkpoints_are_named(file: str, tmp_path: Path) -> None:
    model = small_model(0)
    save_checkpoint(tmp_path / "last", model, optimizer_of(model, "adam"), {"step": 1})
    path = tmp_path / "last" / file
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=file):
        load_checkpoint(tmp_path / "last")
    path.unlink()
    with pytest.raises(ValueError, match=file):
        load_checkpoint(tmp_path / "last")


def test_checkpoints_of_another_model_or_version_are_refused(tmp_path: Path) -> None:
    model = small_model(0)
    optimizer = optimizer_of(model, "adam")
    one_step(model, optimizer, 0)
    save_checkpoint(tmp_path / "last", model, optimizer, {"step": 1})
    with pytest.raises(ValueError, match="does not fit the model"):
        load_weights(tmp_path / "last", nn.Linear(3, 4))
    with pytest.raises(ValueError, match="not trained"):
        put_optimizer(optimizer_of(model, "adam"), ["a", "b"], load_checkpoint(tmp_path / "last").optimizer)
    state = tmp_path / "last" / "state.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "format": "another"}))
    with pytest.raises(ValueError, match="format 'another'"):
        load_checkpoint(tmp_path / "last")


# --- tasks that are divided


def test_subjects_stay_together() -> None:
    task = task_of({"sadness": 30, "happiness": 30, "surprise": 30}, subjects=30)
    parts = divided(task, DataConfig())
    people = {name: set(part.clips.codes("subject").codes.tolist()) for name, part in parts.items()}
    assert len(people["train"]) == 21 and {len(people["validation"]), len(people["test"])} == {4, 5}
    again, other = (divided(task, DataConfig(split_seed=seed)) for seed in (0, 1))
    assert again["test"].clips == parts["test"].clips != other["test"].clips
    assert not people["train"] & people["validation"] and not people["train"] & people["test"]
    assert divided(task, DataConfig(sizes={"train": 0.8, "validation": 0.2})).keys() == {"train", "validation"}


def test_given_splits_that_leak_are_refused() -> None:
    columns = {"emotion": ["sadness"] * 4, "subject": ["a", "a", "b", "c"]}
    leaking = labeled(clips_of(**columns, split=["train", "validation", "test", "train"]))
    with pytest.raises(LeakageError, match="a in train and validation"):
        divided(leaking, DataConfig(split="given"))
    lacking = labeled(clips_of(**columns, split=["train", "train", "test", "train"]))
    with pytest.raises(ValueError, match="'validation'"):
        divided(lacking, DataConfig(split="given"))


def test_subjects_that_share_programs_stay_together() -> None:
    people = [f"p{n // 3}" for n in range(72)]
    clips = clips_of(
        emotion=["sadness", "happiness", "surprise"] * 24,
        subject=people,
        portrait=people,
        counterfactual_group=[f"g{int(person[1:]) // 4}" if person != "p23" else None for person in people],
    )
    parts = divided(labeled(clips), DataConfig(sizes={"train": 0.5, "validation": 0.25, "test": 0.25}))
    assert sum(map(len, parts.values())) == 72
    check_leakage({name: part.clips for name, part in parts.items()}, by=("subject", "counterfactual_group"))


def test_given_splits_that_share_programs_say_so(caplog: pytest.LogCaptureFixture) -> None:
    columns = {
        "emotion": ["sadness", "happiness"] * 3,
        "subject": [*"aabbcc"],
        "counterfactual_group": ["g", "h", "g", None, "i", "g"],
        "split": ["train", "train", "validation", "validation", "test", "test"],
    }
    parts = divided(labeled(clips_of(**columns)), DataConfig(split="given"))
    assert [part.clips.steps[-1] for part in parts.values()] == [
        "split given: 1 of 2 clips share a program with another split" for _ in range(3)
    ]
    assert "train: split given: 1 of 2 clips share a program" in caplog.text
    described_steps = [described(part)["steps"] for part in parts.values()]
    assert all("share a program" in steps[-1] for steps in described_steps)


def corpus_at(folder: Path, corpus: str, *, subjects: int = 8, clips: int = 6, person: str = "") -> str:
    """An index of an imported corpus, each subject's clips micro- and macro-expressions in turn."""
    numbers = range(subjects * clips)
    people = [f"{person or corpus}-{number // clips}" for number in numbers]
    labels = [("negative", "positive", "surprise")[number // 2 % 3] for number in numbers]
    columns = {
        "key": [f"{labels[number]}_u_{corpus}{number // clips}_{number:03d}" for number in numbers],
        "corpus": [corpus] * len(people),
        "subject": people,
        "portrait": people,
        "corpus_label": labels,
        "three_class": labels,
        "expression": [("micro", "macro")[number % 2] for number in numbers],
    }
    return str(write_index(folder, columns))


def test_macro_expressions_are_neither_trained_nor_tested_on_unasked(tmp_path: Path) -> None:
    folders = {name: corpus_at(tmp_path / name, name) for name in ("smic_hs", "casme_sq")}
    data = DataConfig(train={"smic_hs": folders["smic_hs"]}, test={"casme_sq": folders["casme_sq"]})
    parts = open_parts(Config(model=ModelConfig(name="flow"), data=data))
    tasks = [parts.train, parts.validation, *parts.test.values()]
    assert all(task.clips.counts("expression") == {"micro": len(task)} for task in tasks)
    assert sum(map(len, tasks)) == 48
    assert "micro-expressions; 24 clips of others left out" in parts.test["casme_sq"].clips.steps
    both = open_parts(Config(model=ModelConfig(name="flow"), data=replace(data, expressions=["micro", "macro"])))
    assert both.test["casme_sq"].clips.counts("expression") == {"micro": 24, "macro": 24}


def test_people_trained_on_are_refused_or_dropped(tmp_path: Path) -> None:
    folders = {name: corpus_at(tmp_path / name, name, person="smic") for name in ("smic_hs", "smic_vis")}
    data = DataConfig(train={"smic_hs": folders["smic_hs"]}, test={"smic_vis": folders["smic_vis"]})
    config = Config(model=ModelConfig(name="flow"), data=data)
    with pytest.raises(LeakageError, match="smic-"):
        open_parts(config)
    parts = open_parts(replace(config, data=replace(data, shared="dropped")))
    tested = parts.test["smic_vis"]
    assert tested.clips.counts("subject").keys() == parts.test["test"].clips.counts("subject").keys()
    assert (len(tested), parts.dropped) == (3, {"smic_vis": 21})
    assert tested.clips.steps[-1] == "21 of 24 clips left out: of people trained on"
    sizes = {"train": 0.8, "validation": 0.2}
    nobody = open_parts(replace(config, data=replace(data, shared="dropped", sizes=sizes)))
    assert not nobody.test and nobody.dropped == {"smic_vis": 24}


def test_shuffled_labels_follow_the_seed() -> None:
    task = task_of({"sadness": 30, "happiness": 20, "surprise": 10})
    one, two, three = (shuffled(task, seed=seed) for seed in (0, 0, 1))
    assert (one.targets == two.targets).all() and (one.targets != three.targets).any()
    assert one.counts() == task.counts() and one.clips is task.clips
    assert 0.2 < (one.targets == task.targets).mean() < 0.6
