"""Testing a trained model: logits of every clip once, probabilities, predictions and their scores."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn

from equime_loader import View
from training.checkpoints import load_weights
from training.config import Config
from training.data import evaluation_loader
from training.models import Baseline, find_model
from training.optimization import seed_weights
from training.predictions import prediction_table, read_as_numbers, write_predictions
from training.protocols.scores import constant_scores, scores
from training.protocols.tasks import Task
from training.runs import Run, record_predictions, record_splits


def make_accelerator() -> Accelerator:
    """Device and place of this process. Precision is `Network.autocast`'s: accelerate keeps one for a whole process.

    Raises:
        ValueError: processes that do not know of each other.
    """
    # Where there is no accelerator, processes work together only if they are told to do so on the processor.
    found = Accelerator(cpu=not torch.accelerator.is_available())
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if found.num_processes != started:
        raise ValueError(f"{started} processes were started, {found.num_processes} work together; start with torchrun")
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A configuration's baseline with its settings, on this process's device."""

    config: Config
    accelerator: Accelerator
    baseline: Baseline[Any]
    settings: Any
    model: nn.Module

    @classmethod
    def of(cls, config: Config, classes: int, accelerator: Accelerator) -> Network:
        """A new network, its weights drawn from the configuration's seed.

        Raises:
            ValueError: an unknown baseline or setting.
        """
        baseline = find_model(config.model.name)
        settings = baseline.read_settings(config.model.settings)
        seed_weights(config.seed)
        model = baseline.make(classes, settings).to(accelerator.device)
        return cls(config, accelerator, baseline, settings, model)

    @property
    def view(self) -> View:
        return self.baseline.view(self.settings)

    def autocast(self) -> torch.autocast:
        """The block in which the model is called."""
        precision = self.config.optimization.precision
        kind = torch.float16 if precision == "fp16" else torch.bfloat16
        return torch.autocast(self.accelerator.device.type, kind, enabled=precision != "no")

    def inputs(self, batch: Mapping[str, Any], *, augmented: bool) -> Tensor:
        """What the model takes of a batch of B clips that is on the device: (B, ...) float32; see its baseline."""
        inputs = self.baseline.inputs(batch, self.settings)
        return self.baseline.augment(inputs, batch["seed"], self.settings) if augmented else inputs

    def logits(self, task: Task) -> NDArray[np.float32]:
        """(n, C) of a task's clips, in their order; NaN for clips that cannot be read. The same in every process.

        Raises:
            LoaderFault: more clips cannot be read than is tolerated.
        """
        rank, ranks = self.accelerator.process_index, self.accelerator.num_processes
        loader = evaluation_loader(task, self.view, self.config, rank=rank, ranks=ranks)
        # Each clip is one process's; the sum over processes puts them together. The last column counts.
        found = torch.zeros(len(task), len(task.classes) + 1, device=self.accelerator.device)
        self.model.eval()
        with torch.inference_mode():
            for given in loader:
                batch = on_device(given, self.accelerator.device)
                inputs = self.inputs(batch, augmented=False)
                with self.autocast():
                    logits = self.model(inputs)
                found[batch["position"], :-1] = logits.float()
                found[batch["position"], -1] = 1
        whole: Tensor = self.accelerator.reduce(found)
        logits = whole[:, :-1].masked_fill(whole[:, -1:] == 0, torch.nan)
        return logits.cpu().numpy()


def on_device(batch: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """A batch on a device, but for `seed`, from which numbers are drawn where they were."""
    return {
        name: value.to(device, non_blocking=True) if isinstance(value, Tensor) and name != "seed" else value
        for name, value in batch.items()
    }


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Softmax of (n, C); rows of NaN stay."""
    return torch.from_numpy(logits).double().softmax(dim=1).numpy()


def scored(table: pa.Table, task: Task) -> dict[str, Any]:
    """What `result.json` says of predictions: scores, and beside them what saying one class would score."""
    found = read_as_numbers(table)
    constants = constant_scores(found.truth, found.classes)
    return {
        "clips": len(table),
        "unreadable": len(task) - len(table),
        "mean_confidence": float(np.mean(table["confidence"].to_numpy())),
        "scores": asdict(scores(found.truth, found.predicted, found.classes)),
        "constants": {name: asdict(of) for name, of in constants.items()},
    }


def described(task: Task) -> dict[str, Any]:
    """What `splits.json` says of a task."""
    return {
        "clips": len(task),
        "subjects": len(np.unique(task.clips.codes("subject").codes)),
        "classes": task.counts(),
        "sha256": task.clips.sha256,
        "index": task.clips.index.sha256,
        "steps": list(task.clips.steps),
    }


def predict(run: Run, task: Task) -> pa.Table:
    """Predictions of a run's best weights on a task; see `training.predictions`. Under torchrun, in every process.

    Raises:
        ValueError: the run has no weights yet, or was trained on other classes. LoaderFault: as `Network.logits`.
    """
    if not run.checkpoint("best").is_dir():
        raise ValueError(f"{run.folder}: no epoch has ended, so that there are no weights to test")
    trained = tuple(run.splits["splits"]["train"]["classes"])
    if trained != task.classes:
        raise ValueError(f"{run.folder} was trained on {', '.join(trained)}; the task has {', '.join(task.classes)}")
    config = run.config
    network = Network.of(config, len(task.classes), make_accelerator())
    load_weights(run.checkpoint("best"), network.model)
    return prediction_table(task, probabilities(network.logits(task)))


def evaluate(run: Run, task: Task, name: str) -> dict[str, Any]:
    """Test a run that has ended, write `predictions/{name}.parquet`, and record its scores, which are returned.

    Raises:
        ValueError: as `predict`; or the run has not ended.
    """
    path = run.predictions_path(name)
    _ = run.result
    table = predict(run, task)
    found = scored(table, task)
    accelerator = make_accelerator()
    if accelerator.is_main_process:
        write_predictions(table, path)
        record_predictions(run, name, found)
        record_splits(run.folder, {}, {name: described(task)})  # last: until then, `is_tested` says no
    accelerator.wait_for_everyone()
    return found


def evaluate_missing(run: Run, tests: Mapping[str, Task]) -> None:
    """Test a run on what it was not tested on yet: sets of new names, and of other clips or classes than before.

    Raises:
        ValueError: as `evaluate`.
    """
    for name, task in tests.items():
        if not is_tested(run, name, task):
            evaluate(run, task, name)


def is_tested(run: Run, name: str, task: Task) -> bool:
    """Whether the predictions of this name are of these very clips and classes."""
    known, now = run.splits["splits"].get(name, {}), described(task)
    return name in run.result["predictions"] and all(known.get(fact) == now[fact] for fact in ("sha256", "classes"))
