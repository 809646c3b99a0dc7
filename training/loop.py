"""The loop: `fit` trains a baseline and goes on exactly where a killed run stood; `predict` and `evaluate` test it.

Accelerate gives devices and processes; what it would do with data, random numbers and checkpoints is done
by the loader and by files without pickles. All that a step draws follows from the seed, the number of the step and the
process, and all that the schedule and the stopping know from the history. So a state is weights, what the optimizer
keeps of them, and a few numbers.
"""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from equime_loader import check_leakage
from training.checkpoints import (
    copy_checkpoint,
    load_checkpoint,
    load_weights,
    parameter_names,
    put_optimizer,
    put_weights,
    recover,
    save_checkpoint,
)
from training.config import Config, DataConfig, LoaderConfig, changes, write_config
from training.data import kept_apart, training_loader
from training.environment import environment
from training.evaluation import (
    Network,
    described,
    evaluate,
    make_accelerator,
    on_device,
    predict,
    probabilities,
    scored,
)
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
from training.predictions import prediction_table, write_predictions
from training.progress import Teller, telling
from training.protocols.scores import scores
from training.protocols.tasks import Task
from training.runs import (
    CONFIG,
    ENVIRONMENT,
    SPLITS,
    Epoch,
    Run,
    record_splits,
    write_history,
    write_json,
    write_result,
)

__all__ = ["TrainingFault", "evaluate", "fit", "predict"]

log = logging.getLogger(__name__)
# A step in which the model waits longer than this share of it is counted as late.
LATE = 0.1


class TrainingFault(RuntimeError):
    """Training cannot go on."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What an epoch has come to so far.

    Attributes:
        steps: of it. loss, weight: summed over clips of all processes. seconds, waiting: summed over steps.
        first_waiting: of `waiting`, for the first batch. late: other steps that waited for more than `LATE` of their
            time.
    """

    steps: int = 0
    loss: float = 0.0
    weight: float = 0.0
    seconds: float = 0.0
    waiting: float = 0.0
    first_waiting: float = 0.0
    late: int = 0

    def with_step(self, *, loss: float, weight: float, seconds: float, waiting: float) -> Sums:
        """These sums, and a step more."""
        first = self.steps == 0
        return Sums(
            self.steps + 1,
            self.loss + loss,
            self.weight + weight,
            self.seconds + seconds,
            self.waiting + waiting,
            self.first_waiting + waiting * first,
            self.late + (not first and waiting > LATE * seconds),
        )


@dataclass(frozen=True, slots=True)
class Totals:
    """What the epochs before came to, as in `Sums`; and all seconds of the run until a checkpoint."""

    first_waiting: float = 0.0
    late: int = 0
    seconds: float = 0.0


def fit(config: Config, train: Task, validation: Task, folder: str | Path) -> Run:
    """Train, and leave a run folder; go on with one that was stopped; do nothing where one has ended.

    Under torchrun every process calls this with equal arguments; the folder must be one for all of them.

    Raises:
        ValueError: the folder holds a run of another configuration, or what `config` asks for cannot be.
        LeakageError: a subject, portrait or program is in both tasks.
        TrainingFault: the loss is no number. LoaderFault: too many clips cannot be read.
    """
    run = Run(Path(folder))
    accelerator = make_accelerator()
    _check(run, config, train, validation)
    _check_apart(config, train, validation)
    accelerator.wait_for_everyone()
    if not run.has_ended:
        devices = [accelerator.device] if accelerator.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            # What cannot be is said before anything is written.
            training = _Training(config, train, validation, run, accelerator)
            if accelerator.is_main_process:
                _prepare(run, config, train, validation, accelerator)
            accelerator.wait_for_everyone()
            training.resume()
            training.run_to_end()
        accelerator.wait_for_everyone()
    accelerator.free_memory()
    return run


def _check(run: Run, config: Config, train: Task, validation: Task) -> None:
    """Raises ValueError where the folder holds a run of another configuration, or of other clips."""
    if not (run.folder / CONFIG).is_file():
        return
    if changed := changes(_of_weight(run.config), _of_weight(config)):
        raise ValueError(
            f"{run.folder} holds a run of another configuration ({'; '.join(changed)}); "
            "give the configuration it was begun with, or another folder"
        )
    known = run.splits["splits"] if (run.folder / SPLITS).is_file() else {}
    for name, task in (("train", train), ("validation", validation)):
        if name in known and known[name]["sha256"] != task.clips.sha256:
            counts = f"{name} had {known[name]['clips']}, now {len(task)} or others"
            raise ValueError(
                f"{run.folder} holds a run of other clips ({counts}); "
                "give the dataset it was begun with, or another folder"
            )


def _of_weight(config: Config) -> Config:
    """A configuration without what changes no weights: where folders lie, what is tested, how clips come, how often a
    state is kept."""
    data = config.data
    data = replace(data, train=dict.fromkeys(data.train, ""), test={}, shared=DataConfig().shared)
    return replace(config, data=data, loader=LoaderConfig(), checkpoint_steps=0)


def _check_apart(config: Config, train: Task, validation: Task) -> None:
    """Raises LeakageError or ValueError where one task cannot validate what was learned of the other."""
    if train.classes != validation.classes:
        raise ValueError(
            f"train has the classes {', '.join(train.classes)}, validation {', '.join(validation.classes)}"
        )
    check_leakage({"train": train.clips, "validation": validation.clips}, by=kept_apart(config.data))


def _prepare(run: Run, config: Config, train: Task, validation: Task, accelerator: Accelerator) -> None:
    run.folder.mkdir(parents=True, exist_ok=True)
    write_config(config, run.folder / CONFIG)
    for which in ("last", "best"):
        recover(run.checkpoint(which))
    facts = environment(device=accelerator.device, processes=accelerator.num_processes)
    write_json(run.folder / ENVIRONMENT, facts)
    record_splits(run.folder, {}, {"train": described(train), "validation": described(validation)})


class _Training:
    """A run in one process."""

    def __init__(self, config: Config, train: Task, validation: Task, run: Run, accelerator: Accelerator) -> None:
        self.config, self.validation, self.run, self.accelerator = config, validation, run, accelerator
        self.network = Network.of(config, len(train.classes), accelerator)
        self.model = self.network.model
        if not run.checkpoint("last").is_dir():
            self.network.baseline.begin(self.model, self.network.settings)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = make_optimizer(trained, config.optimization)
        self.schedule = make_schedule(self.optimizer, config.stopping)
        self.weights = class_weights(train, config.optimization).to(accelerator.device)
        self.loader = training_loader(
            train, self.network.view, config, rank=accelerator.process_index, ranks=accelerator.num_processes
        )
        self.history: tuple[Epoch, ...] = ()
        self.step, self.sums, self.totals = 0, Sums(), Totals()
        self.began = perf_counter()
        # Wrapped for several processes; weights are the model's.
        self.wrapped: nn.Module = accelerator.prepare(self.model)
        self.scaler = torch.amp.GradScaler(accelerator.device.type, enabled=config.optimization.precision == "fp16")

    def resume(self) -> None:
        """Stand where the last checkpoint was written, if there is one.

        Raises:
            ValueError: the checkpoint is damaged, or of other clips or another model.
        """
        folder = self.run.checkpoint("last")
        if not folder.is_dir():
            return
        saved = load_checkpoint(folder)
        put_weights(self.model, saved.model, folder)
        state = saved.state
        try:
            self.history = tuple(Epoch.of(row) for row in state["history"])
            self.step, self.sums, self.totals = state["step"], Sums(**state["sums"]), Totals(**state["totals"])
            self.loader.load_state_dict(state["loader"])
            self.scaler.load_state_dict(state["scaler"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{folder}: {error}") from error
        if state["processes"] != (now := self.accelerator.num_processes):
            log.warning("%s: begun by %d processes, goes on with %d", self.run.folder, state["processes"], now)
        for epoch in self.history:
            self.schedule.step(watched(epoch, self.config.stopping))
        put_optimizer(self.optimizer, parameter_names(self.model), saved.optimizer)

    def run_to_end(self) -> None:
        """Train until the end, test the best weights on the validation split, write the result."""
        main = self.accelerator.is_main_process
        with telling(self.run.folder, aloud=main, step=self.step) as teller:
            while (
                why := stopped_by(self.history, self.config.stopping, epochs=self.config.optimization.epochs)
            ) is None:
                self._train(teller)
                self._close_epoch(teller)
        self.accelerator.wait_for_everyone()  # until the first process has written them
        load_weights(self.run.checkpoint("best"), self.model)
        table = prediction_table(self.validation, probabilities(self.network.logits(self.validation)))
        if main:
            write_predictions(table, self.run.predictions_path("validation"))
            tested = {"validation": scored(table, self.validation)}
            write_result(self.run.folder, {**self._result(why), "predictions": tested})

    def _train(self, teller: Teller) -> None:
        """The rest of an epoch."""
        epoch = len(self.history)
        every = self.config.checkpoint_steps
        teller.begin(epoch, len(self.loader), self.sums.steps)
        self.wrapped.train()
        batches: Any = iter(self.loader)
        with closing(batches):
            while True:
                began = perf_counter()
                batch = next(batches, None)
                waiting = perf_counter() - began
                if batch is None:
                    break
                loss, weight = self._step(batch)
                seconds = perf_counter() - began
                self.sums = self.sums.with_step(loss=loss, weight=weight, seconds=seconds, waiting=waiting)
                self.step += 1
                teller.step(self.step, loss / weight if weight else 0.0)
                # With the last batch the loader stands in the next epoch; that state is kept after validation.
                if every and self.step % every == 0 and self.loader.state_dict()["epoch"] == epoch:
                    self._save("last")

    def _step(self, batch: dict[str, Any]) -> tuple[float, float]:
        """One step of the optimizer: the loss of all processes' clips, and their weight."""
        processes = self.accelerator.num_processes
        seed_step(self.config.seed, self.step, self.accelerator.process_index)
        batch = on_device(batch, self.accelerator.device)
        inputs = self.network.inputs(batch, augmented=True)
        with self.network.autocast():
            logits = self.wrapped(inputs)
        smoothing = self.config.optimization.label_smoothing
        loss, weight = weighed_loss(logits, batch["target"], self.weights, ~batch["repeated"], smoothing=smoothing)
        sums = self.accelerator.reduce(torch.stack([loss.detach(), weight]))
        total, whole = sums.tolist()
        if not np.isfinite(total):  # before a step would make all weights no numbers, too
            raise TrainingFault(
                f"the loss of step {self.step} is {total}; lower optimization.learning_rate, "
                "or train in full precision with optimization.precision=no"
            )
        # Gradients are averaged over processes; the loss is to be the mean over the clips of all of them.
        mean = loss * processes / sums[1].clamp(min=torch.finfo(torch.float32).tiny)
        self.scaler.scale(mean).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        return total, whole

    def _close_epoch(self, teller: Teller) -> None:
        """Validate, record the epoch, keep its state, and the weights where they are the best."""
        if self.accelerator.num_processes > 1:
            for buffer in self.model.buffers():  # statistics of each process's own batches; the first one's are kept
                torch.distributed.broadcast(buffer, 0)
        logits = torch.from_numpy(self.network.logits(self.validation))
        targets = torch.from_numpy(self.validation.targets)
        read = ~logits.isnan().any(dim=1)
        smoothing = self.config.optimization.label_smoothing
        loss, weight = weighed_loss(logits[read], targets[read], self.weights.cpu(), read[read], smoothing=smoothing)
        found = scores(targets[read].numpy(), logits[read].argmax(dim=1).numpy(), self.validation.classes)
        row = Epoch(
            epoch=len(self.history),
            step=self.step,
            train_loss=self.sums.loss / self.sums.weight if self.sums.weight else float("nan"),
            validation_loss=float(loss / weight),
            validation_uf1=found.uf1,
            validation_uar=found.uar,
            validation_accuracy=found.accuracy,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            seconds=self.sums.seconds,
            waiting_seconds=self.sums.waiting,
        )
        self.history = (*self.history, row)
        self.schedule.step(watched(row, self.config.stopping))
        first, late = self.totals.first_waiting + self.sums.first_waiting, self.totals.late + self.sums.late
        self.sums, self.totals = Sums(), replace(self.totals, first_waiting=first, late=late)
        best = best_epoch(self.history, self.config.stopping) == row.epoch
        self._save("best" if best else "last")
        if self.accelerator.is_main_process:
            if best:
                copy_checkpoint(self.run.checkpoint("best"), self.run.checkpoint("last"))
            write_history(self.run.folder, self.history)
        teller.end(row, best=best)

    def _save(self, which: str) -> None:
        if self.accelerator.is_main_process:
            save_checkpoint(self.run.checkpoint(which), self.model, self.optimizer, self._state())

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "loader": self.loader.state_dict(),
            "history": [asdict(epoch) for epoch in self.history],
            "sums": asdict(self.sums),
            "totals": asdict(replace(self.totals, seconds=self._seconds())),
            "scaler": self.scaler.state_dict(),
            "processes": self.accelerator.num_processes,
        }

    def _seconds(self) -> float:
        return self.totals.seconds + perf_counter() - self.began

    def _result(self, why: str) -> dict[str, Any]:
        seconds = sum(epoch.seconds for epoch in self.history)
        waiting = sum(epoch.waiting_seconds for epoch in self.history)
        best = best_epoch(self.history, self.config.stopping)
        return {
            "minutes": self._seconds() / 60,
            "epochs": len(self.history),
            "steps": self.step,
            "best_epoch": best,
            "best": asdict(self.history[best]),
            "stopped_by": why,
            "seconds_per_step": seconds / max(1, self.step),
            "waiting_share": waiting / seconds if seconds else 0.0,
            "waiting_share_after_first_batches": (waiting - self.totals.first_waiting) / seconds if seconds else 0.0,
            "late_steps": self.totals.late,
            "processes": self.accelerator.num_processes,
        }
