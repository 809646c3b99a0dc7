"""Packages that some features need and that are not always installed: an error that says how to install them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# What the extras of the project bring, by the names that are imported.
PACKAGES = {
    "torch": ("torch", "torchcodec"),
    "train": (
        "accelerate",
        "captum",
        "jsonargparse",
        "safetensors",
        "sklearn",
        "tensorboard",
        "torch",
        "torchmetrics",
        "torchvision",
    ),
}


class MissingExtra(ModuleNotFoundError):
    """A package of an extra is not installed; the message, one line, names the extra."""


@contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """Name the extra where something of it cannot be imported.

    Args:
        extra: one of `PACKAGES`. what: the feature that needs it, as the message begins.

    Raises:
        MissingExtra: one of its packages is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in PACKAGES[extra]:
            raise
        text = f"{what} needs {package}; install it with: pip install 'equime[{extra}]'"
        raise MissingExtra(text, name=package) from error
