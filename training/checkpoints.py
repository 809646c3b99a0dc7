"""Checkpoints: tensors as safetensors, numbers as JSON, no pickle; written whole or not at all.

A checkpoint is a folder with `model.safetensors`, `optimizer.safetensors` and `state.json`. There is no state of random
numbers in it: what a step draws derives from the seed and the number of the step.

A new checkpoint is finished beside the old one, which is then moved aside, and takes its place. Killed in between, the
finished one is found by its name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from equime_loader.files import flush
from training.runs import read_json, write_json

MODEL, OPTIMIZER, STATE = FILES = ("model.safetensors", "optimizer.safetensors", "state.json")
FORMAT = "equime-checkpoint-1"


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """What was saved: tensors by name, and plain values."""

    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    state: Mapping[str, Any]


def save_checkpoint(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Write a checkpoint, in place of one that may be there.

    Args:
        state: numbers, words, lists and dictionaries, for JSON. Floats come back with all their digits.
    """
    new = _beside(folder, "new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    # Through memory: a file that the library makes itself is for its owner's eyes only.
    (new / MODEL).write_bytes(save(_stored(model.state_dict())))
    (new / OPTIMIZER).write_bytes(save(_stored(optimizer_tensors(optimizer, parameter_names(model)))))
    write_json(new / STATE, {"format": FORMAT, **state})
    _place(new, folder)


def copy_checkpoint(source: Path, target: Path) -> None:
    """The same checkpoint in another place. Files are shared where the file system can: they are never written to."""
    new = _beside(target, "new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for name in FILES:
        try:
            os.link(source / name, new / name)
        except OSError:
            shutil.copyfile(source / name, new / name)
    _place(new, target)


def recover(folder: Path) -> bool:
    """Finish what a killed process left of `_place`; whether there is a checkpoint. For one process at a time."""
    new, old = _beside(folder, "new"), _beside(folder, "old")
    if not folder.is_dir():
        # Moved aside, and the finished one not yet in its place.
        for candidate in (new, old) if old.is_dir() else ():
            if all((candidate / name).is_file() for name in FILES):
                os.rename(candidate, folder)
                break
    for rest in (new, old):
        shutil.rmtree(rest, ignore_errors=True)
    return folder.is_dir()


def load_checkpoint(folder: Path, *, device: torch.device | str = "cpu") -> Checkpoint:
    """Raises ValueError that names the file that is missing or damaged."""
    state = read_json(folder / STATE)
    if state.get("format") != FORMAT:
        raise ValueError(f"{folder / STATE}: format {state.get('format')!r}, this version reads {FORMAT}")
    return Checkpoint(_tensors(folder / MODEL, device), _tensors(folder / OPTIMIZER, device), state)


def load_weights(folder: Path, model: nn.Module, *, device: torch.device | str = "cpu") -> None:
    """Put the weights of a checkpoint into a model.

    Raises:
        ValueError: the file is missing or damaged, or holds other weights than the model has.
    """
    put_weights(model, _tensors(folder / MODEL, device), folder / MODEL)


def put_weights(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put tensors into a model; errors name `path`, where they come from."""
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise ValueError(f"{path}: does not fit the model ({' '.join(str(error).split())[:300]})") from error


def parameter_names(model: nn.Module) -> list[str]:
    """Names of the parameters that are trained, in the order in which an optimizer is to get them."""
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def optimizer_tensors(optimizer: torch.optim.Optimizer, names: Sequence[str]) -> dict[str, Tensor]:
    """What an optimizer keeps of each parameter: `{parameter}.{what}` to a tensor, most of the parameter's shape."""
    kept = optimizer.state_dict()["state"]
    return {
        f"{names[number]}.{what}": value
        for number, values in kept.items()
        for what, value in values.items()
        if isinstance(value, Tensor)
    }


def put_optimizer(optimizer: torch.optim.Optimizer, names: Sequence[str], tensors: Mapping[str, Tensor]) -> None:
    """Give an optimizer what it kept of each parameter; its learning rate stays as it is.

    Raises:
        ValueError: tensors of parameters that the optimizer does not train.
    """
    place = {name: number for number, name in enumerate(names)}
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        parameter, _, what = name.rpartition(".")
        if parameter not in place:
            raise ValueError(f"the checkpoint's optimizer holds {name!r}, which is not trained")
        state.setdefault(place[parameter], {})[what] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _stored(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _tensors(path: Path, device: torch.device | str) -> dict[str, Tensor]:
    try:
        return load_file(path, device=str(device))
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: is no checkpoint that can be read ({error})") from error


def _beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(f".{folder.name}.{suffix}")


def _place(new: Path, folder: Path) -> None:
    """Put a finished checkpoint in the place of another; see `recover`."""
    for path in (*(new / name for name in FILES), new):
        flush(path)
    old = _beside(folder, "old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.is_dir():
        os.rename(folder, old)
    os.rename(new, folder)
    flush(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
