"""What a step is made of: optimizer, loss, schedule, seeds; and which epoch was the best. Pure but for the seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import ReduceLROnPlateau

from equime_loader.order.keys import purpose_key
from training.config import OptimizationConfig, StoppingConfig
from training.protocols.tasks import Task
from training.runs import Epoch

# Smaller steps of a figure are no better figure; `min_delta` of the published callbacks.
LEAST_GAIN = 1e-4


def make_optimizer(parameters: Iterable[nn.Parameter], config: OptimizationConfig) -> torch.optim.Optimizer:
    """The optimizer of a configuration."""
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, rate, momentum=0.9, weight_decay=decay)
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, rate, weight_decay=decay)


def make_schedule(optimizer: torch.optim.Optimizer, config: StoppingConfig) -> ReduceLROnPlateau:
    """The learning rate falls where the watched figure stands still; its state follows from the history alone."""
    return ReduceLROnPlateau(
        optimizer,
        mode="min" if config.monitor == "loss" else "max",
        factor=config.plateau_factor,
        patience=config.plateau_patience - 1,  # torch counts the epochs that are borne, not those that are too many
        threshold=LEAST_GAIN,
        threshold_mode="abs",
        min_lr=config.least_learning_rate,
    )


def watched(epoch: Epoch, config: StoppingConfig) -> float:
    """The figure that is watched, of an epoch."""
    return float(getattr(epoch, f"validation_{config.monitor}"))


def best_epoch(history: Sequence[Epoch], config: StoppingConfig) -> int:
    """Place of the best epoch in a history: the first of equal ones; those whose figure is no number are the worst."""
    sign = -1.0 if config.monitor == "loss" else 1.0
    figures = [sign * watched(epoch, config) for epoch in history]
    return int(np.argmax([figure if np.isfinite(figure) else -np.inf for figure in figures]))


def stopped_by(history: Sequence[Epoch], config: StoppingConfig, *, epochs: int) -> str | None:
    """Why training is over: `patience`, `epochs`, or None where it is not."""
    if history and len(history) - 1 - best_epoch(history, config) >= config.patience:
        return "patience"
    return "epochs" if len(history) >= epochs else None


def class_weights(task: Task, config: OptimizationConfig) -> Tensor:
    """Weight of each class in the loss, (C,) float32: n / (C n_c), or 1; 0 for a class without a clip."""
    if config.imbalance != "weights":
        return torch.ones(len(task.classes))
    counts = np.bincount(task.targets, minlength=len(task.classes))
    weights = np.where(counts > 0, len(task) / (len(counts) * np.maximum(counts, 1)), 0.0)
    return torch.from_numpy(weights.astype(np.float32))


def weighed_loss(
    logits: Tensor, targets: Tensor, weights: Tensor, counted: Tensor, *, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Sum of the clips' cross-entropies, each times its class's weight, and sum of those weights.

    Their ratio, each summed over all processes, is what torch calls the mean.

    Args:
        logits: (B, C). targets: (B,) int64. weights: (C,). counted: (B,) bool, False for clips that only fill a batch.
    """
    losses = functional.cross_entropy(
        logits.float(), targets, weight=weights, label_smoothing=smoothing, reduction="none"
    )
    return (losses * counted).sum(), (weights[targets] * counted).sum()


def seed_step(seed: int, step: int, rank: int) -> None:
    """Set torch's random numbers to those of a step; what dropout draws then depends on nothing else."""
    torch.manual_seed(purpose_key("step", seed, step, rank))


def seed_weights(seed: int) -> None:
    """Set torch's random numbers to those that first weights are drawn from."""
    torch.manual_seed(purpose_key("weights", seed))
