"""The baselines: `MODELS["flow"]` and others, each with its settings, its view of clips, its inputs and its network."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from training.models.baseline import Baseline, Batch
from training.models.flow import FLOW
from training.models.mobilenet import MOBILENET
from training.models.r3d_18 import R3D_18
from training.models.resnet3d import RESNET3D
from training.models.shallow import SIMPLE_3D_CNN, ST_CNN

MODELS: Mapping[str, Baseline[Any]] = MappingProxyType(
    {model.name: model for model in (FLOW, ST_CNN, SIMPLE_3D_CNN, RESNET3D, R3D_18, MOBILENET)}
)

__all__ = ["MODELS", "Baseline", "Batch", "find_model"]


def find_model(name: str) -> Baseline[Any]:
    """The baseline of this name.

    Raises:
        ValueError: there is none.
    """
    if name not in MODELS:
        raise ValueError(f"model {name!r} is unknown; there are {', '.join(MODELS)}")
    return MODELS[name]
