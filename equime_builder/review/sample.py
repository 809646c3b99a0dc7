"""Which clips a review shows, and in which order to whom: pure functions of a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from equime_builder.seeds import generator
from equime_loader.schema import FIELD, LABELS
from equime_loader.selection import Selection
from equime_loader.stratify import cells_of

STRATA = ("emotion", "apparent_gender", "apparent_race")
SIZE = 100
MAX_SIZE = 20_000


@dataclass(frozen=True, slots=True)
class Settings:
    """What a review was begun with; it stays so until its end.

    Attributes:
        blind: whether reviewers are kept from the label.
        by: labels whose combinations are the strata. size: clips. seed: of the draw and the orders.
    """

    blind: bool
    by: tuple[str, ...] = STRATA
    size: int = SIZE
    seed: int = 0

    def __post_init__(self) -> None:
        words = [field.name for field in LABELS if pa.types.is_string(field.kind)]
        if strange := [name for name in self.by if name not in words]:
            raise ValueError(f"by={strange[0]!r} must be a label of words, such as {', '.join(STRATA)}")
        if not 1 <= self.size <= MAX_SIZE:
            raise ValueError(f"size={self.size} must lie within 1..{MAX_SIZE:,} clips")


def sampled(clips: Selection, settings: Settings) -> list[str]:
    """Keys of the clips to review, sorted: strata are used as evenly as their clips allow.

    Every stratum gives one clip in turn, drawn by lot, until there are enough; in the last turn, strata are drawn.
    Clips without a word in one of the labels form strata of their own.

    Raises:
        ValueError: a selection without clips.
    """
    if not len(clips):
        raise ValueError("there is no clip to review")
    columns = [clips.codes(FIELD[name].name).codes for name in settings.by]
    cell, _ = cells_of(columns, len(clips))
    lot = generator(settings.seed, "review sample").permutation(len(clips))
    by_cell = np.lexsort((lot, cell))
    first = np.flatnonzero(np.diff(cell[by_cell], prepend=-1))
    sizes = np.diff(first, append=len(clips))
    turn = np.empty(len(clips), np.int64)
    turn[by_cell] = np.arange(len(clips)) - np.repeat(first, sizes)
    chosen = np.lexsort((lot, turn))[: settings.size]
    return sorted(row["key"] for row in clips.labels(("key",), positions=np.sort(chosen)))


def order_for(keys: Sequence[str], *, reviewer: str, seed: int) -> list[str]:
    """The order in which a reviewer sees the clips: a function of seed, name and clips, whenever it is asked for."""
    lot = generator(seed, "review order", reviewer).permutation(len(keys))
    ordered = sorted(keys)
    return [ordered[place] for place in lot]
