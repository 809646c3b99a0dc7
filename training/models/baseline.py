"""What every baseline offers: its settings, how it looks at clips, what it is fed, and the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

from equime_loader import View

Batch = Mapping[str, Any]
S = TypeVar("S")


def _at_random(network: nn.Module, settings: Any) -> None:
    """Weights stay what `make` drew."""


@dataclass(frozen=True, slots=True)
class Baseline(Generic[S]):
    """A model with all that training it needs; entries of `training.models.MODELS`.

        settings = baseline.read_settings({"frames": 16})
        model = baseline.make(3, settings)
        baseline.begin(model, settings)
        for batch in Loader(clips, baseline.view(settings)):
            inputs = baseline.inputs(batch, settings)
            inputs = baseline.augment(inputs, batch["seed"], settings)  # in training only
            logits = model(inputs)  # (B, 3) float32

    Attributes:
        name: as in `MODELS` and in configurations. about: one line.
        settings: frozen dataclass of all that can be set; its defaults are those of the configuration.
        make: network for a number of classes: inputs to logits (B, classes) float32, with no softmax.
        view: which frames of a clip, at which size, with which flow.
        inputs: batch of the loader to what the network takes, float32, normalized per clip, on the batch's device.
            A pure function: nothing is drawn.
        augment: inputs, seeds (B,) int64 and settings to inputs of the same shape; each sample's change is a pure
            function of its seed.
        begin: puts pretrained weights into a new network, where the settings name them. Called once before training,
            not where a checkpoint is read: then nobody needs the file. Raises ValueError where it is absent.
    """

    name: str
    about: str
    settings: type[S]
    make: Callable[[int, S], nn.Module]
    view: Callable[[S], View]
    inputs: Callable[[Batch, S], Tensor]
    augment: Callable[[Tensor, Tensor, S], Tensor]
    begin: Callable[[nn.Module, S], None] = _at_random

    def read_settings(self, given: Mapping[str, Any] | None = None) -> S:
        """Settings from names and values; what is not given has its default.

        Raises:
            ValueError: a name that there is not, or a value out of its bounds.
        """
        given = given or {}
        known = [field.name for field in fields(self.settings)]  # type: ignore[arg-type]
        for name in given:
            if name not in known:
                raise ValueError(f"model {self.name} has no setting {name!r}; there are {', '.join(known)}")
        return self.settings(**given)
