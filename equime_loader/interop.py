"""From a selection to what others read: a Hugging Face `IterableDataset`, or a plain `webdataset` pipeline.

Both read only the bytes of the selected clips, by range, and give what they would give for the whole dataset.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from equime_loader.arguments import check_kind
from equime_loader.arrays import from_numpy
from equime_loader.index import Index
from equime_loader.schema import FIELDS, LABELS, MEMBERS, VIDEO, features
from equime_loader.selection import Selection
from equime_loader.storage import Store

if TYPE_CHECKING:
    import datasets
    import webdataset

READ_AT_ONCE = 16
PARTS = 64


@dataclass(frozen=True, slots=True, eq=False)
class _Members:
    """Reads whole members of clips; can be pickled.

    shards: of each clip. places: (n, members, 2) int64, offset and length. hashes: of the videos that come from afar,
    None where they are not checked.
    """

    store: Store
    keys: list[str]
    shards: list[str]
    places: NDArray[np.int64]
    hashes: list[str | None]
    names: tuple[str, ...]

    @classmethod
    def of(cls, selection: Selection, names: tuple[str, ...]) -> _Members:
        check_kind("selection", selection, Selection, "a Selection, as open_dataset gives")
        index, rows = selection.index, selection.rows
        index.check(rows)
        stems = [name.replace(".", "_") for name in names]
        columns = [[index.integers(f"{stem}_{what}")[rows] for what in ("offset", "length")] for stem in stems]
        located = index.rows(rows, ["key", "shard"])
        return cls(
            index.store,
            [row["key"] for row in located],
            [row["shard"] for row in located],
            np.moveaxis(np.array(columns, np.int64).reshape(len(names), 2, len(rows)), 2, 0),
            index.column("mp4_sha256").take(from_numpy(rows)).to_pylist() if index.is_remote else [None] * len(rows),
            names,
        )

    def read(self, positions: Sequence[int]) -> Iterator[tuple[int, dict[str, bytes]]]:
        """Position and members of clips, in the order asked for, those of a shard in one request where they can be."""
        for start in range(0, len(positions), READ_AT_ONCE):
            some = positions[start : start + READ_AT_ONCE]
            found: dict[int, list[bytes]] = {}
            for shard in dict.fromkeys(self.shards[position] for position in some):
                here = [position for position in some if self.shards[position] == shard]
                ranges = [(int(first), int(length)) for p in here for first, length in self.places[p]]
                hashes = [self.hashes[p] if name == "mp4" else None for p in here for name in self.names]
                data = self.store.read_many(shard, ranges, sha256=hashes)
                width = len(self.names)
                found |= {p: data[slot * width : (slot + 1) * width] for slot, p in enumerate(here)}
            for position in some:
                yield position, dict(zip(self.names, found[position], strict=True))


def to_hugging_face(selection: Selection, *, decode: bool | None = None) -> datasets.IterableDataset:
    """The selected clips as a `datasets.IterableDataset` with the features of the whole dataset, AU curves left out.

    It can be shuffled, divided among workers and ranks, and saved like any other.

    Args:
        decode: whether `video` is decoded by datasets; None where torchcodec is there, else its bytes are given.
    """
    from datasets import IterableDataset, Video

    from equime_loader.hf import torchcodec_works

    fields = tuple(field for field in FIELDS if field.name == VIDEO or field in LABELS)
    named = features(fields)
    if not (torchcodec_works() if decode is None else decode):
        named[VIDEO] = Video(decode=False)
    members = _Members.of(selection, ("mp4",))
    labels = tuple(field.name for field in LABELS)
    parts = np.array_split(np.arange(len(selection)), min(PARTS, max(1, len(selection))))
    given = {"members": members, "rows": selection.rows, "index": selection.index, "labels": labels}
    return IterableDataset.from_generator(
        _hugging_face_samples, features=named, gen_kwargs={**given, "parts": [part.tolist() for part in parts]}
    )


def _hugging_face_samples(
    members: _Members, rows: NDArray[np.int64], index: Index, labels: tuple[str, ...], parts: list[list[int]]
) -> Iterator[dict[str, Any]]:
    for part in parts:
        for start in range(0, len(part), READ_AT_ONCE):
            some = part[start : start + READ_AT_ONCE]
            for row, (_, data) in zip(index.rows(rows[some], labels), members.read(some), strict=True):
                yield {**row, VIDEO: {"bytes": data["mp4"], "path": f"{row['key']}.mp4"}}


def to_webdataset(selection: Selection) -> webdataset.DataPipeline:
    """The selected clips as a `webdataset` pipeline: `__key__`, `__url__` and each member's bytes, as from its tars.

    Samples are divided among ranks and workers; go on with `.shuffle`, `.decode`, `.map`, `.to_tuple`, `.batched`.
    """
    import webdataset
    from webdataset.compat import FluidInterface

    class Pipeline(webdataset.DataPipeline, FluidInterface):  # type: ignore[misc]
        """A pipeline with webdataset's methods."""

    members = _Members.of(selection, MEMBERS)
    return Pipeline(
        partial(_positions, len(selection)),
        webdataset.split_by_node,
        webdataset.split_by_worker,
        _WebdatasetSamples(members),
    )


def _positions(count: int) -> Iterator[int]:
    return iter(range(count))


@dataclass(frozen=True, slots=True, eq=False)
class _WebdatasetSamples:
    members: _Members

    def __call__(self, positions: Iterator[int]) -> Iterator[dict[str, Any]]:
        members = self.members
        for position, data in members.read(list(positions)):
            url = f"{members.store.root}/{members.shards[position]}"
            yield {"__key__": members.keys[position], "__url__": url, **data}
