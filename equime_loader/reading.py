"""Clips of a selection, one by one: their windows, see `window_reader`, and labels as numbers. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equime_loader.arguments import check_kind
from equime_loader.arrays import from_numpy, nulls, strings, to_numpy
from equime_loader.index import Codes, IndexFault
from equime_loader.renditions import index_path
from equime_loader.schema import AUS
from equime_loader.selection import Selection, label_field
from equime_loader.storage.errors import PathError
from equime_loader.storage.paths import check_path
from equime_loader.tables import counted
from equime_loader.video.frames import View
from equime_loader.window_cache import WindowCache, WindowCacheSettings
from equime_loader.window_reader import Places, SampleFault, WindowReader

__all__ = ["ClipReader", "SampleFault", "check_labels", "places_of"]

EVENT_COLUMNS = ("onset_frame", "apex_frame", "offset_frame", "frames")


class ClipReader(WindowReader):
    """Reads clips of a selection by position, and knows their labels. It can be pickled and shared as its windows can.

    Args:
        labels: names of labels to give with each clip. Words become codes into `words`, `aus` the peak intensity of
            each AU, (18,) float32, in the order of `schema.AUS`: 0 where it does not act, NaN where it acts and was not
            graded, and everywhere where it is not told which AUs act; numbers float32, NaN where there is none.
        check: whether a video's bytes are compared with their SHA-256 in the index.
        ahead: read the neighbors of a clip with it, for when they are asked for; see `blocks`. Such a reader stays
            in its process.

    Raises:
        IndexFault: the index speaks of places or events that cannot be. TypeError: labels that are no list of names.
        ValueError: a label that there is not.
    """

    def __init__(
        self,
        selection: Selection,
        view: View,
        *,
        labels: Sequence[str] = (),
        check: bool = False,
        cache: WindowCacheSettings | None = None,
        ahead: bool = False,
    ) -> None:
        check_labels(labels)
        rows = selection.rows
        super().__init__(
            view,
            selection.index.store,
            places_of(selection, hashed=check, rendition=view.rendition),
            keys=strings(selection.index.column("key").take(from_numpy(rows))),
            events=np.stack([selection.index.integers(name)[rows] for name in EVENT_COLUMNS], axis=1),
            fps=selection.numbers("fps"),
            windows=None if cache is None else WindowCache.open(cache, selection, view),
            ahead=ahead,
        )
        coded: dict[str, Codes] = {name: selection.codes(name) for name in labels if _is_words(name)}
        self.words: Mapping[str, tuple[str, ...]] = {name: codes.words for name, codes in coded.items()}
        self.labels: Mapping[str, NDArray[Any]] = {name: _label(selection, name, coded) for name in labels}


def places_of(selection: Selection, *, hashed: bool, rendition: int | None = None) -> Places:
    """Where clips lie, or their renditions.

    Raises:
        MissingError: no such rendition. IndexFault: a clip has no shard, a place that cannot be, no hash though it is
            asked for, or no rendition.
    """
    index, rows = selection.index, from_numpy(selection.rows)
    table = None if rendition is None else index.rendition(rendition)
    path = index.path if rendition is None else f"{index.root}/{index_path(rendition)}"

    def column(name: str) -> pa.Array:
        return (index.column(name) if table is None else table[name].combine_chunks()).take(rows)

    if table is None:
        shards = selection.codes("shard")
        remedy = "without a tar; build the dataset with --formats webdataset,parquet"
    else:
        coded = column("shard").dictionary_encode()
        codes = np.where(nulls(coded.indices), np.int32(-1), to_numpy(coded.indices))
        shards = Codes(codes, tuple(coded.dictionary.to_pylist()))
        remedy = f"without a rendition of {rendition} pixels; run `equime rendition` again"
    if lacking := int((shards.codes < 0).sum()):
        raise IndexFault(f"{path}: {counted(lacking, 'clip')} {remedy}")
    try:
        for shard in shards.words:
            check_path(shard)
    except PathError as error:
        raise IndexFault(f"{path}: {error}") from error
    index.check(selection.rows)
    offset, length = (to_numpy(column(f"mp4_{what}").cast(pa.int64())) for what in ("offset", "length"))
    hashes = column("mp4_sha256") if hashed else None
    if hashes is not None and hashes.null_count:
        lacking_hash = counted(hashes.null_count, "clip")
        raise IndexFault(f"{index.path}: {lacking_hash} without mp4_sha256 to check; pass check=False")
    return Places(shards.codes, shards.words, offset, length, None if hashes is None else strings(hashes))


def check_labels(labels: Any) -> None:
    """Raises TypeError where labels are no list of names."""
    check_kind("labels", labels, (list, tuple), 'a list of names, such as ["emotion"]')


def _is_words(name: str) -> bool:
    return bool(pa.types.is_string(label_field(name).kind))


def _label(selection: Selection, name: str, coded: Mapping[str, Codes]) -> NDArray[Any]:
    if name in coded:
        return coded[name].codes.astype(np.int64)
    if name == "aus":
        index = selection.index
        peaks = np.stack([index.au_intensity(au) for au in AUS], axis=1)
        return np.where(index.au_told()[:, None], peaks, np.float32(np.nan))[selection.rows]
    return selection.numbers(name).astype(np.float32)
