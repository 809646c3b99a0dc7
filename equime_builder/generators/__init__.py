"""Generators: programs and portraits in, frames out. All of them keep the protocol of `Generator`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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

    def prepare(self, portrait: Portrait) -> PreparedPortrait: ...

    def render(self, requests: Sequence[ClipRequest]) -> list[NDArray[np.uint8]]:
        """The clips, in the order of their requests: each (T, 3 * H // 2, W) uint8, planar I420."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of generator.

    Attributes:
        check: completes what a user set to the options that a plan keeps, plain JSON values; loads no model.
        make: the generator with such options.
        needs_gpu: whether it is for a GPU, and its model is worth being kept loaded.
        grid: what the sides of its clips are multiples of, in pixels.
    """

    check: Callable[[Mapping[str, Any]], dict[str, Any]]
    make: Callable[[Mapping[str, Any]], Generator]
    needs_gpu: bool = False
    grid: int = 2


def _no_options(options: Mapping[str, Any]) -> dict[str, Any]:
    if options:
        raise ValueError(f"generator option {next(iter(options))!r}: the warp generator has none")
    return {}


def _warp(options: Mapping[str, Any]) -> Generator:
    from equime_builder.generators.warped import WarpGenerator

    return WarpGenerator(**options)


def _ltx_options(options: Mapping[str, Any]) -> dict[str, Any]:
    from importlib.util import find_spec

    from equime_builder.generators.ltx.options import options_from
    from equime_builder.generators.ltx.weights import pin

    if missing := [name for name in ("torch", "diffusers", "transformers", "accelerate") if find_spec(name) is None]:
        raise ValueError(f"generator ltx needs {missing[0]}; install it with: pip install 'equime[ltx]'")
    return pin(options_from(options)).to_dict()


def _ltx(options: Mapping[str, Any]) -> Generator:
    from equime_builder.generators.ltx.drawing import LtxGenerator
    from equime_builder.generators.ltx.options import options_from

    return LtxGenerator(options_from(options))


GENERATORS: dict[str, Kind] = {
    "warp": Kind(_no_options, _warp),
    "ltx": Kind(_ltx_options, _ltx, needs_gpu=True, grid=32),
}


def _kind(name: str) -> Kind:
    if name not in GENERATORS:
        raise ValueError(f"generator {name!r} must be one of {', '.join(GENERATORS)}")
    return GENERATORS[name]


def check_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a generator as a plan keeps them, from what a user set.

    Raises:
        ValueError: an unknown generator, or options that it does not have.
    """
    return _kind(name).check(options)


def check_size(name: str, size: int) -> None:
    """Raises `ValueError` where a generator cannot draw clips of `size` pixels."""
    if size % (grid := _kind(name).grid):
        raise ValueError(f"size={size} must be a multiple of {grid} for generator {name}")


def make_generator(name: str, options: Mapping[str, Any]) -> Generator:
    """A generator by its name, with the options that a plan keeps (plain JSON values).

    Raises:
        ValueError: an unknown generator.
    """
    return _kind(name).make(options)


def needs_gpu(name: str) -> bool:
    """Whether a generator is for a GPU.

    Raises:
        ValueError: an unknown generator.
    """
    return _kind(name).needs_gpu
