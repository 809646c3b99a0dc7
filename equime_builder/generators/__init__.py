"""Generators: programs and portraits in, frames out. All of them keep the protocol of `Generator`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from equime_builder.portraits import Portrait
from equime_builder.scm import Nuisance, Program


class PreparedPortrait(Protocol):
    """A portrait that a generator has prepared once for all clips of its subject."""

    def render(self, program: Program, nuisance: Nuisance) -> NDArray[np.uint8]:
        """The clip: (T, 3 * H // 2, W) uint8, planar I420."""
        ...

    def moved(self, program: Program) -> NDArray[np.bool_]:
        """(H, W) bool: where the program may change the picture."""
        ...


class Generator(Protocol):
    """What draws the frames of clips."""

    @property
    def name(self) -> str:
        """The generator as labels and plans name it."""
        ...

    @property
    def model(self) -> str | None:
        """The generative model, None where there is none."""
        ...

    @property
    def revision(self) -> str | None:
        """The model's revision, None where there is none."""
        ...

    def prepare(self, portrait: Portrait) -> PreparedPortrait: ...


def _warp() -> Generator:
    from equime_builder.generators.warped import WarpGenerator

    return WarpGenerator()


GENERATORS: dict[str, Callable[[], Generator]] = {"warp": _warp}
