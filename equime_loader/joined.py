"""Clips of several datasets as one: for training on a composite, and for testing on what another was not trained on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from equime_loader.arguments import check_kind
from equime_loader.arrays import from_numpy
from equime_loader.corpora.classes import is_built
from equime_loader.index import Index
from equime_loader.selection import Selection
from equime_loader.storage import PathError, StorageError, Store
from equime_loader.storage.store import Range

# What is the same word in two datasets and not the same thing; `portrait` is, so that leakage between them is found.
OWN_WORDS = ("key", "subject", "counterfactual_group")
NAME = re.compile(r"[0-9A-Za-z_]{1,40}")


def join(parts: Mapping[str, Selection]) -> Selection:
    """Clips of several datasets as one selection, which every loader, split and report takes.

    Keys and subjects get the name of their part in front, `NAME-`, since two datasets may use the same. Subjects of
    imported corpora keep theirs, which no other corpus has: the three cameras of SMIC saw the same people. Where a
    dataset does not say which `corpus` it is of, the name stands there.

    Raises:
        ValueError: no parts, or a name that is not of 1 to 40 letters, digits and underscores. TypeError: parts that
            are no selections by name.
    """
    check_kind("parts", parts, Mapping, "selections by name, such as {'casme2': clips}")
    if not parts:
        raise ValueError("parts: there is none to join")
    for name, part in parts.items():
        check_kind("the name of a part", name, str, "a word")
        check_kind(f"parts[{name!r}]", part, Selection, "a Selection, as open_dataset gives")
        if not NAME.fullmatch(name):
            raise ValueError(f"the name {name!r} of a part must be 1 to 40 letters, digits and underscores")
    return Selection.all(JoinedIndex(parts))


class JoinedStore(Store):
    """Stores under the names of their parts: the first folder of a path says which."""

    def __init__(self, stores: Mapping[str, Store]) -> None:
        self.stores = dict(stores)
        self.root = " + ".join(store.root for store in self.stores.values())

    def read_each(
        self, path: str, ranges: Sequence[Range], *, sha256: Sequence[str | None] | None = None
    ) -> list[bytes | StorageError]:
        """See `Store.read_each`."""
        store, inner = self._of(path)
        return store.read_each(inner, ranges, sha256=sha256)

    def file(self, path: str) -> Path:
        """See `Store.file`."""
        store, inner = self._of(path)
        return store.file(inner)

    def close(self) -> None:
        """See `Store.close`."""
        for store in self.stores.values():
            store.close()

    def _of(self, path: str) -> tuple[Store, str]:
        name, _, inner = path.partition("/")
        if name not in self.stores:
            raise PathError(f"{path!r} begins with none of {', '.join(self.stores)}")
        return self.stores[name], inner


class JoinedIndex(Index):
    """The rows of several selections, one after another, as an index of their own."""

    def __init__(self, parts: Mapping[str, Selection]) -> None:
        self.parts = dict(parts)
        self.store = JoinedStore({name: part.index.store for name, part in self.parts.items()})
        self.path = Path(self.store.root)
        self._columns, self._codes = {}, {}

    def __len__(self) -> int:
        return sum(map(len, self.parts.values()))

    def __reduce__(self) -> tuple[Any, ...]:
        return JoinedIndex, (self.parts,)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the names and selections."""
        told = "".join(f"{name}:{part.sha256};" for name, part in self.parts.items())
        return hashlib.sha256(told.encode()).hexdigest()

    def rendition(self, size: int) -> pa.Table:
        """See `Index.rendition`."""
        parts = []
        for name, part in self.parts.items():
            table = part.index.rendition(size).take(from_numpy(part.rows))
            shards = _prefixed(table["shard"].combine_chunks(), f"{name}/")
            parts.append(table.set_column(table.schema.get_field_index("shard"), "shard", shards))
        return pa.concat_tables(parts)

    def _read(self, name: str) -> pa.Array:
        columns = [self._part(name, part, selection) for part, selection in self.parts.items()]
        if any(pa.types.is_dictionary(column.type) for column in columns):
            columns = [c if pa.types.is_dictionary(c.type) else c.dictionary_encode() for c in columns]
            return pa.chunked_array(columns).unify_dictionaries().combine_chunks()
        return pa.chunked_array(columns).combine_chunks()

    def _part(self, name: str, part: str, selection: Selection) -> pa.Array:
        column = selection.index.column(name).take(from_numpy(selection.rows))
        if name == "shard":
            return _prefixed(column, f"{part}/")
        if name == "corpus" and column.null_count:
            return _plain(column).fill_null(part).dictionary_encode()
        own = own_words(selection, name)
        if own.all():
            return _prefixed(column, f"{part}-")
        if own.any():
            which = from_numpy(own.astype(np.uint8)).cast(pa.bool_())
            return pc.if_else(which, _plain(_prefixed(column, f"{part}-")), _plain(column))
        return column


def built(selection: Selection) -> NDArray[np.bool_]:
    """(n,) whether a clip was built here, from a program, and not imported with a corpus."""
    corpus = selection.codes("corpus")
    return np.array([*map(is_built, corpus.words), True])[corpus.codes]  # -1, null, is the last


def own_words(selection: Selection, name: str) -> NDArray[np.bool_]:
    """(n,) whether a clip's word of a label means what it means in its own dataset alone.

    Subjects of imported corpora are named after their corpus, and so are portraits after what they show: those words
    mean the same wherever they stand.
    """
    return built(selection) if name == "subject" else np.full(len(selection), name in OWN_WORDS)


def unjoined(selection: Selection) -> Iterator[Selection]:
    """The clips as selections of the folders they lie in, in their order: itself where they were not joined."""
    if not isinstance(selection.index, JoinedIndex):
        yield selection
        return
    parts = list(selection.index.parts.values())
    starts = np.cumsum([0, *map(len, parts[:-1])])
    chosen = np.split(selection.rows, np.searchsorted(selection.rows, starts[1:]))
    for part, start, rows in zip(parts, starts, chosen, strict=True):
        yield from unjoined(part.narrowed(rows - start, "of joined clips"))


def _plain(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _prefixed(column: pa.Array, prefix: str) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(column.indices, _prefixed(column.dictionary, prefix))
    return pc.binary_join_element_wise(pa.scalar(prefix), column, "")
