"""What a dataset is made of, counted from its index: words of labels, AUs that act, events.

The picture of the composition, the card and the page show these counts, each in its own form.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equime_builder.dataset_folder import check_complete
from equime_builder.manifest import INDEX, FolderError
from equime_builder.plan import UNKNOWN
from equime_loader.schema import FIELD

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


def read_index(root: Path, columns: Sequence[str]) -> pa.Table:
    """Columns of a dataset's index.

    Raises:
        FolderError: the folder holds no index, or one without clips.
    """
    check_complete(root)
    index = pq.read_table(root / INDEX, columns=list(columns))
    if not len(index):
        raise FolderError(f"{root}: {INDEX} holds no clip; there is nothing to show")
    return index


def coded(index: pa.Table, name: str) -> tuple[tuple[str, ...], Codes]:
    """The words of a column that occur, in the schema's order with `unknown` last, and (N,) their numbers."""
    column = pc.fill_null(index[name], UNKNOWN)
    found = set(pc.unique(column).to_pylist())
    known = [word for word in FIELD[name].words if word in found]
    words = (*known, *sorted(found - {*known, UNKNOWN}), *([UNKNOWN] if UNKNOWN in found else []))
    return words, pc.index_in(column, pa.array(words, pa.string())).to_numpy().astype(np.int64)


def counted(index: pa.Table, name: str) -> dict[str, int]:
    """Clips by word of a column, in the order of `coded`."""
    words, codes = coded(index, name)
    return dict(zip(words, np.bincount(codes, minlength=len(words)).tolist(), strict=True))


def crosstab(rows: Codes, columns: Codes, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Counts (R, C) of pairs of codes, each (N,)."""
    return np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)


def activations(index: pa.Table) -> tuple[Codes, Codes, NDArray[np.str_], Floats]:
    """Of every AU that acts, all (A,): row of its clip, number, side, peak intensity 0-5, NaN where none is given."""
    column = index["aus"].combine_chunks()
    clip, acting = pc.list_parent_indices(column).to_numpy(zero_copy_only=False), pc.list_flatten(column)
    au = pc.struct_field(acting, "au").to_numpy(zero_copy_only=False)
    side = np.array(pc.struct_field(acting, "side").to_pylist(), np.str_)
    peak = pc.cast(pc.struct_field(acting, "intensity"), pa.float64()).to_numpy(zero_copy_only=False)
    return clip.astype(np.int64), au.astype(np.int64), side, peak


def au_shares(index: pa.Table, also: Iterable[int] = ()) -> tuple[tuple[int, ...], tuple[str, ...], Floats]:
    """AUs, emotions, and (AUs, emotions) how often an AU acts in the clips of an emotion.

    The share, 0-1, is of the clips of which it is told which AUs act; NaN where it is told of none.

    Args:
        also: AUs that are counted even where they act in no clip.
    """
    words, emotion = coded(index, "emotion")
    clip, au, *_ = activations(index)
    aus = np.array(sorted({*also, *au.tolist()}), np.int64)
    pairs = np.unique(clip * len(aus) + np.searchsorted(aus, au))
    counts = crosstab(pairs % max(1, len(aus)), emotion[pairs // max(1, len(aus))], (len(aus), len(words)))
    told = np.bincount(emotion[pc.is_valid(index["aus"]).to_numpy()], minlength=len(words))
    return tuple(aus.tolist()), words, np.where(told > 0, counts / np.maximum(1, told), np.nan)


def event_times(index: pa.Table) -> tuple[Floats, Floats]:
    """Duration and rise, onset to apex, in ms of the clips that have an event: both (E,)."""
    onset, apex, offset = (index[f"{name}_ms"].to_numpy().astype(np.float64) for name in ("onset", "apex", "offset"))
    lasting = offset > onset
    return (offset - onset)[lasting], (apex - onset)[lasting]
