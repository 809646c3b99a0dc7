"""What no two of training, validation and test may have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from equime_loader.selection import Selection
from equime_loader.split_checks import PEOPLE, common_codes

PROGRAM = "counterfactual_group"
APART = (*PEOPLE, PROGRAM)
"""A program tells its emotion: clips of several subjects that share one stay together, as those of a person do."""


def sharing(clips: Selection, others: Iterable[Selection], by: Sequence[str]) -> NDArray[np.bool_]:
    """(n,) whether any of the others has a word of the clip in one of some fields; those without a word share none.

    Equal words of two folders are compared as `check_leakage` does.
    """
    everyone, found = list(others), np.zeros(len(clips), np.bool_)
    for field in by:
        (own, *theirs), _ = common_codes([clips, *everyone], field)
        found |= (own >= 0) & np.isin(own, np.concatenate([own[:0], *theirs]))
    return found
