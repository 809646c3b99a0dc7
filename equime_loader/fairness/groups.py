"""Groups of clips: the words of one attribute, or of several crossed."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from equime_loader.index import Codes

CROSS = " × "


class Labeled(Protocol):
    """Anything with labels per clip, such as a selection or an index."""

    def __len__(self) -> int: ...

    def codes(self, name: str) -> Codes:
        """The label `name` of every clip."""


def crossed(parts: Mapping[str, Codes]) -> tuple[str, Codes]:
    """Name and codes of several attributes crossed: one group per combination of words, also of those without a clip.

    A clip belongs to no group (-1) where any of its parts is null. One part alone comes back as it is.

    Raises:
        ValueError: no attribute, or attributes of different lengths.
    """
    if not parts:
        raise ValueError("parts must name at least one attribute")
    if len({len(part.codes) for part in parts.values()}) > 1:
        lengths = ", ".join(f"{name} {len(part.codes)}" for name, part in parts.items())
        raise ValueError(f"attributes to cross must label the same clips, got {lengths}")
    first, *others = parts.values()
    codes, known = first.codes.astype(np.int64), first.codes >= 0
    for part in others:
        codes = codes * len(part.words) + part.codes
        known &= part.codes >= 0
    words = tuple(CROSS.join(combination) for combination in product(*(part.words for part in parts.values())))
    return CROSS.join(parts), Codes(np.where(known, codes, -1).astype(np.int32), words)


def crosstab(
    rows: NDArray[np.integer], columns: NDArray[np.integer], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], int]:
    """Counts (R, C) int64 of pairs of codes, and the number of pairs left out because one of the two is null (-1)."""
    known = (rows >= 0) & (columns >= 0)
    flat = rows[known].astype(np.int64) * shape[1] + columns[known]
    return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape), int((~known).sum())
