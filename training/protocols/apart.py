"""What no two of training, validation and test may have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from equime_loader.corpora.classes import is_built
from equime_loader.selection import Selection

PROGRAM = "counterfactual_group"
PEOPLE = ("subject", "portrait")
APART = (*PEOPLE, PROGRAM)
"""A program tells its emotion: clips of several subjects that share one stay together, as those of a person do."""


def comparable(clips: Selection, *, same: bool) -> tuple[str, ...]:
    """Those fields of `APART` whose equal words mean the same thing in clips and in those of another dataset.

    Subjects of imported corpora are named after their corpus, those that are built here are not.

    Args:
        same: whether the other dataset is the clips' own.
    """
    if same:
        return APART
    return ("portrait",) if any(map(is_built, clips.counts("corpus"))) else PEOPLE


def sharing(clips: Selection, others: Iterable[Selection], by: Sequence[str]) -> NDArray[np.bool_]:
    """(n,) whether any of the others has a word of the clip in one of some fields; those without a word share none."""
    everyone, found = list(others), np.zeros(len(clips), np.bool_)
    for field in by:
        seen = {word for other in everyone for word in other.counts(field)} - {None}
        codes = clips.codes(field)
        found |= np.array([*(word in seen for word in codes.words), False])[codes.codes]  # -1, null, is the last
    return found
