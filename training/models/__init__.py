"""The baselines: `MODELS["flow"]` and others, each with its settings, its view of clips, its inputs and its network."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from training.models.baseline import Baseline, Batch
from training.models.flow import FLOW

MODELS: Mapping[str, Baseline[Any]] = MappingProxyType({model.name: model for model in (FLOW,)})

__all__ = ["MODELS", "Baseline", "Batch", "find_model"]


def find_model(name: str) -> Baseline[Any]:
    """The baseline of this name.

    Raises:
        ValueError: there is none.
    """
    if name not in MODELS:
        raise ValueError(f"model {name!r} is unknown; there are {', '.join(MODELS)}")
    return MODELS[name]
