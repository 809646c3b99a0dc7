"""What every generator keeps: programs and prepared portraits in, frames out, batched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from equime_builder.portraits import Portrait
from equime_builder.scm import Nuisance, Program


class PreparedPortrait(Protocol):
    """A portrait that a generator has prepared once for all clips of its subject."""

    def moved(self, program: Program) -> NDArray[np.bool_]:
        """(H, W) bool: where the program may change the picture."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ClipRequest:
    """One clip to be drawn: its length and frame rate are those of `program.timing`.

    Attributes:
        portrait: made by `prepare` of the generator that is asked.
        seed: 63 bits, for whatever the generator draws besides what program and nuisance say.
    """

    portrait: Any
    program: Program
    nuisance: Nuisance
    emotion: str
    prompt: str
    negative_prompt: str
    seed: int


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

    @property
    def keeps_nuisance(self) -> bool:
        """Whether head sway, blink and noise are those of the request; else they are the model's own, and unknown."""
        ...

    @property
    def batch(self) -> int:
        """How many clips are best drawn at once; at least 1."""
        ...

    @property
    def on_gpu(self) -> bool:
        """Whether it draws on a GPU here."""
        ...

    def prepare(self, portrait: Portrait) -> PreparedPortrait:
        """What the clips of a subject have in common, made once.

        Raises:
            ValueError: a picture whose size the generator cannot draw, or landmarks that do not fit it.
        """
        ...

    def render(self, requests: Sequence[ClipRequest]) -> list[NDArray[np.uint8]]:
        """The clips, in the order of their requests: each (T, 3 * H // 2, W) uint8, planar I420."""
        ...
