"""Weights that others trained: a file of the user's, or the one in torchvision's cache. Nothing is downloaded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)
CACHE = "torchvision"
MOST_NAMED = 3


def begin_with(network: nn.Module, pretrained: str | None, weights: Any, *, new: tuple[str, ...]) -> None:
    """Put pretrained weights into a network of torchvision's.

    Args:
        pretrained: None for random weights, `torchvision` for the file in its cache, or a path: .pth, .safetensors.
        weights: torchvision's entry, which knows the file's name and origin.
        new: beginnings of names of layers that the file need not have, and whose weights in it are left out.

    Raises:
        ValueError: there is no such file, or its weights are those of another network.
    """
    known = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    if pretrained is None:
        log.info("weights begin at random; pretrained=%s would begin with %s", CACHE, weights)
        return
    path = known if pretrained == CACHE else Path(pretrained).expanduser()
    if not path.is_file():
        raise ValueError(
            f"{pretrained=}: no file {path}. {weights} is at {weights.url}; put it there, name another file, or give "
            "null for random weights"
        )
    found = {name: value for name, value in _read(path).items() if not name.startswith(new)}
    expected = {name: value for name, value in network.state_dict().items() if not name.startswith(new)}
    # Older files do not count the batches that their statistics saw.
    wrong = [name for name in expected if name not in found and not name.endswith("num_batches_tracked")]
    wrong += [name for name in found if name not in expected or found[name].shape != expected[name].shape]
    if wrong:
        told = ", ".join(sorted(set(wrong))[:MOST_NAMED])
        raise ValueError(f"{path}: weights of another network than {weights}: {len(set(wrong))} differ, as {told}")
    network.load_state_dict(found, strict=False)
    log.info("weights begin with %s", path)


def _read(path: Path) -> Mapping[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    found = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"{path}: holds no weights by name")
    return found
