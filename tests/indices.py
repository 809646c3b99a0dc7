"""Indices for tests: a few columns given, the others filled with something that the schema allows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from equime_loader.index import Codes
from equime_loader.schema import FIELD, index_schema
from equime_loader.selection import Selection


def write_index(root: Path, columns: Mapping[str, Any]) -> Path:
    """Write `index.parquet` with the given columns (lists or arrays of one length) into a folder."""
    schema = index_schema()
    rows = len(next(iter(columns.values())))
    root.mkdir(parents=True, exist_ok=True)
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else _filled(field, rows) for field in schema
    ]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), root / "index.parquet", row_group_size=32_768)
    return root


def _filled(field: pa.Field, rows: int) -> pa.Array:
    if field.name == "key":
        return pa.array([f"anger_u_s_{row:03d}" for row in range(rows)])
    if pa.types.is_integer(field.type) or pa.types.is_floating(field.type):
        return pa.array(np.ones(rows), field.type, safe=False)
    return pa.nulls(rows, field.type)


class Labels:
    """An index in memory that knows labels only, for laws that are tried on hundreds of datasets."""

    root = "memory"

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        self.columns = columns

    @property
    def sha256(self) -> str:
        return hashlib.sha256(repr(sorted(self.columns.items())).encode()).hexdigest()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def codes(self, name: str) -> Codes:
        values = self.columns[name] if name in self.columns else [None] * len(self)
        words = FIELD[name].words or tuple(sorted({value for value in values if value is not None}))
        place = {None: -1} | {word: code for code, word in enumerate(words)}
        return Codes(np.array([place[value] for value in values], np.int32), words)

    def integers(self, name: str) -> np.ndarray:
        return np.asarray(self.columns.get(name, np.zeros(len(self))), np.int64)


def clips_of(**columns: Sequence[Any]) -> Selection:
    """All clips of an index in memory with these columns."""
    return Selection.all(Labels(columns))  # type: ignore[arg-type]
