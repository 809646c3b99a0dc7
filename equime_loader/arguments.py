"""Checks of what a caller hands over, in words that say what to hand over."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

MAX_SHOWN = 60


def check_kind(name: str, value: Any, kinds: type | tuple[type, ...], told: str) -> None:
    """Check the type of an argument.

    Args:
        told: what it must be, as the message says it: `"a Selection, as open_dataset gives"`.

    Raises:
        TypeError: it has none of these types.
    """
    if not isinstance(value, kinds):
        shown = " ".join(repr(value).split())
        shown = shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]}…"
        raise TypeError(f"{name} must be {told}; it is {shown}")


def as_names(name: str, value: str | Iterable[str]) -> tuple[str, ...]:
    """An argument that is one name or several, as several.

    Raises:
        TypeError: it is neither.
    """
    told = "a name or several"
    check_kind(name, value, Iterable, told)
    names = (value,) if isinstance(value, str) else tuple(value)
    if strange := [each for each in names if not isinstance(each, str)]:
        check_kind(f"each of {name}", strange[0], str, "a name")
    return names


def nearest(name: str, known: Iterable[str]) -> str:
    """What an unknown name may have meant, for the end of a message: up to three names, all where none is like it."""
    names = list(known)
    within = [word for word in names if name and name in word]
    like = list(dict.fromkeys([*within, *get_close_matches(name, names, 3, 0.6)]))[:3]
    return f"did you mean {' or '.join(like)}?" if like else f"there are {', '.join(names)}"
