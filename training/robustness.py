"""Robustness: what small changes of the inputs, chosen against a model, do to its scores.

The attacks are captum's: FGSM (Goodfellow et al. 2015, arXiv:1412.6572) takes one step along the sign of the gradient,
PGD (Madry et al. 2018, arXiv:1706.06083) several, each brought back to within the strength. A strength is the largest
change of any input, in the model's own units: inputs of every baseline have deviation 1 in each clip. Noise of the same
strength in random directions stands beside them. Inputs are changed, not clips: frames are not held to 0..255, and flow
is changed without regard to whether frames could have it, so a strength is an upper bound on what clips could do.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from training.protocols.scores import partial_mark, scores, scores_of
from training.runs import ROBUSTNESS, write_json

if TYPE_CHECKING:
    from torch import Tensor

    from training.evaluation import Network
    from training.protocols.tasks import Task
    from training.runs import Run

# A step of PGD, as a share of strength over steps (Madry et al. 2018, section 5).
STEP_SHARE = 2.5

Attack = Callable[["Network", "Tensor", Mapping[str, Any], float, "AttackPlan"], "Tensor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackPlan:
    """Which attacks, how strong.

    Attributes:
        strengths: largest change of an input, in deviations of the clip's inputs; above 0.
        steps: of PGD. seed: of the noise. clips: at most so many, by lot.
    """

    strengths: tuple[float, ...] = (0.01, 0.03, 0.1)
    steps: int = 10
    seed: int = 0
    clips: int = 500

    def __post_init__(self) -> None:
        if not self.strengths or not all(0 < strength < 1e3 for strength in self.strengths):
            raise ValueError(f"strengths={list(self.strengths)} must be above 0 and below 1000")
        for name, value, least in (("steps", self.steps, 1), ("clips", self.clips, 1), ("seed", self.seed, 0)):
            if value < least:
                raise ValueError(f"{name}={value} must be at least {least}")


def _noise(network: Network, inputs: Tensor, batch: Mapping[str, Any], strength: float, plan: AttackPlan) -> Tensor:
    """Signs by lot, of each clip its own, whatever batch it comes in."""
    import torch

    draws = [np.random.default_rng([plan.seed, place]) for place in batch["position"].tolist()]
    signs = np.stack([rng.integers(0, 2, inputs.shape[1:], np.int8) * 2 - 1 for rng in draws])
    return inputs + strength * torch.from_numpy(signs).to(inputs)


def _fgsm(network: Network, inputs: Tensor, batch: Mapping[str, Any], strength: float, plan: AttackPlan) -> Tensor:
    from captum.robust import FGSM

    changed: Tensor = FGSM(network.model, _loss()).perturb(inputs, epsilon=strength, target=batch["target"])
    return changed


def _pgd(network: Network, inputs: Tensor, batch: Mapping[str, Any], strength: float, plan: AttackPlan) -> Tensor:
    from captum.robust import PGD

    step = STEP_SHARE * strength / plan.steps
    options: dict[str, Any] = {"radius": strength, "step_size": step, "step_num": plan.steps, "norm": "Linf"}
    changed: Tensor = PGD(network.model, _loss()).perturb(inputs, target=batch["target"], **options)
    return changed


def _loss() -> Callable[[Tensor, Tensor], Tensor]:
    from torch.nn import CrossEntropyLoss

    loss: Callable[[Tensor, Tensor], Tensor] = CrossEntropyLoss(reduction="none")
    return loss


ATTACKS: dict[str, Attack] = {"noise": _noise, "FGSM": _fgsm, "PGD": _pgd}


def attack(run: Run, task: Task, name: str, plan: AttackPlan) -> list[dict[str, Any]]:
    """Scores of a run's best weights on a task, as it is and under each attack.

    Args:
        name: of the test set, as in the run's predictions.

    Returns:
        A row for each attack and strength: `test`, `attack`, `strength`, `clips`, scores, mean `confidence`, the
        scores of the constant predictor, and the `mark` of clips that lack a class.

    Raises:
        ValueError: the run has no weights, or the task other classes. LoaderFault: clips that cannot be read.
    """
    if not run.checkpoint("best").is_dir():
        raise ValueError(f"{run.folder}: no epoch has ended, so that there are no weights to attack")
    if len(task) > plan.clips:
        places = np.sort(np.random.default_rng(plan.seed).permutation(len(task))[: plan.clips])
        task = task.narrowed(places, f"robustness: {plan.clips:,} of {len(task):,} clips by lot")
    said = _logits(run, task, plan)
    truth = said.pop("truth")[:, 0].astype(np.int64)
    counts = np.bincount(truth, minlength=len(task.classes))
    matrix = np.zeros((len(counts), len(counts)), np.int64)
    matrix[:, counts.argmax()] = counts
    constant = scores_of(matrix)
    base = {"test": name, "clips": len(truth), "constant_uf1": constant.uf1, "constant_accuracy": constant.accuracy}
    base |= {"mark": partial_mark(constant.confusion)}
    return [{**base, **_row(key, logits, truth, task.classes)} for key, logits in said.items()]


def _row(key: str, logits: np.ndarray[Any, np.dtype[Any]], truth: Any, classes: Sequence[str]) -> dict[str, Any]:
    words, _, strength = key.partition(" ")
    found = scores(truth, logits.argmax(axis=1), classes)
    exponent = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    confidence = float((exponent / exponent.sum(axis=1, keepdims=True)).max(axis=1).mean())
    figures = {"uf1": found.uf1, "uar": found.uar, "accuracy": found.accuracy, "confidence": confidence}
    return {"attack": words, "strength": float(strength or 0), **figures}


def _logits(run: Run, task: Task, plan: AttackPlan) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    """Logits (n, C) as the task is and under each attack, and its classes (n, 1) as `truth`, in the loader's order."""
    import torch

    from training.checkpoints import load_weights
    from training.data import evaluation_loader
    from training.evaluation import Network, make_accelerator, on_device

    config = run.config
    accelerator = make_accelerator()
    network = Network.of(config, len(task.classes), accelerator)
    load_weights(run.checkpoint("best"), network.model)
    network.model.eval().requires_grad_(False)
    found: dict[str, list[Tensor]] = {}
    for given in evaluation_loader(task, network.view, config, rank=0, ranks=1):
        batch = on_device(given, accelerator.device)
        inputs = network.inputs(batch, augmented=False)
        changed = {"none": inputs, **_attacked(network, inputs, batch, plan)}
        with torch.inference_mode():
            for key, values in changed.items():
                found.setdefault(key, []).append(network.model(values).float().cpu())
        found.setdefault("truth", []).append(batch["target"][:, None].cpu())
    return {key: torch.cat(parts).numpy() for key, parts in found.items()}


def _attacked(network: Network, inputs: Tensor, batch: Mapping[str, Any], plan: AttackPlan) -> dict[str, Tensor]:
    """Inputs of a batch, changed by each attack at each strength."""
    with warnings.catch_warnings():
        # PGD hands the result of each step to the next, detached: captum warns of what captum does.
        warnings.filterwarnings("ignore", message="Input Tensor 0 did not already require gradients")
        return {
            f"{name} {strength!r}": way(network, inputs.clone(), batch, strength, plan).detach()
            for name, way in ATTACKS.items()
            for strength in plan.strengths
        }


def attack_run(run: Run, plan: AttackPlan, tests: Sequence[str], folders: dict[str, str]) -> list[dict[str, Any]]:
    """Attack a run on test sets of its own, and write `robustness.json` into its folder.

    Args:
        tests: names of its predictions. folders: where its folders lie now, by name, if they were moved.

    Raises:
        ValueError: the run was not tested on one of them, or as `attack`.
    """
    from training.data import open_parts

    config = run.config
    data = config.data
    train, test = (
        {name: folders.get(name, folder) for name, folder in part.items()} for part in (data.train, data.test)
    )
    parts = open_parts(replace(config, data=replace(data, train=train, test=test)))
    if missing := [name for name in tests if name not in parts.test]:
        raise ValueError(f"{run.folder}: was not tested on {missing[0]!r}, but on {', '.join(parts.test)}")
    rows = [row for name in tests for row in attack(run, parts.test[name], name, plan)]
    write_json(run.folder / ROBUSTNESS, {"steps": plan.steps, "rows": rows})
    return rows
