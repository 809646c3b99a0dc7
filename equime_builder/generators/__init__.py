"""Generators by name, each with its options. All of them keep the protocol of `Generator`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from equime_builder.generators.protocol import Generator


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of generator.

    Attributes:
        check: completes what a user set to the options that a plan keeps, plain JSON values; loads no model.
        make: the generator with such options.
        pin: completes such options by the model that is on this machine.
        needs_gpu: whether it is for a GPU, and its model is worth being kept loaded.
        grid: what the sides of its clips are multiples of, in pixels.
    """

    check: Callable[[Mapping[str, Any]], dict[str, Any]]
    make: Callable[[Mapping[str, Any]], Generator]
    pin: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
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
    from equime_builder.generators.ltx.options import options_from

    return options_from(options).to_dict()


def _ltx_pinned(options: Mapping[str, Any]) -> dict[str, Any]:
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
    "ltx": Kind(_ltx_options, _ltx, _ltx_pinned, needs_gpu=True, grid=32),
}


def _kind(name: str) -> Kind:
    if name not in GENERATORS:
        raise ValueError(f"generator {name!r} must be one of {', '.join(GENERATORS)}")
    return GENERATORS[name]


def check_options(name: str, options: Mapping[str, Any], *, pin: bool = True) -> dict[str, Any]:
    """The options of a generator as a plan keeps them, from what a user set.

    Args:
        pin: whether to find its model on this machine; without, they are enough to count with, and not to build.

    Raises:
        ValueError: an unknown generator, options that it does not have, or a model or package that is not here.
    """
    kind = _kind(name)
    checked = kind.check(options)
    return kind.pin(checked) if pin else checked


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
