"""Lists of words that the checks compare with, as text files that anybody can read and complete."""

from __future__ import annotations

from importlib import resources


def word_list(name: str) -> frozenset[str]:
    """The words of a file in ``equime_builder/data/hub``."""
    return frozenset((resources.files("equime_builder") / "data" / "hub" / name).read_text(encoding="utf-8").split())
