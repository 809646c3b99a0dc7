"""Annotations as tables: what one may hold, how it is stored, and how it fills the index.

An annotation says of some clips what their shards leave null: a measured quality, an audit after the fact, a review.
It is stored as `annotations/NAME.parquet`, rows by key, columns in the order and types of the schema, with a checksum
of its content, so that one that was written here is told from one that was damaged or edited.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from equime_builder.manifest import FolderError
from equime_loader.schema import LABELS, Field

FOLDER = "annotations"
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
KEY = "key"
FIELDS: Mapping[str, Field] = {field.name: field for field in LABELS}
CHECKSUM = b"equime_sha256"


@dataclass(frozen=True)
class Annotation:
    """A named table in its stored form, see `stored_form`."""

    name: str
    table: pa.Table

    @property
    def path(self) -> str:
        """Path in the dataset folder."""
        return f"{FOLDER}/{self.name}.parquet"

    @property
    def columns(self) -> list[str]:
        """The annotated fields."""
        return [name for name in self.table.column_names if name != KEY]

    @cached_property
    def rows(self) -> dict[str, int]:
        """Row by key."""
        return {key: row for row, key in enumerate(self.table[KEY].to_pylist())}

    def gives(self, name: str, key: str) -> bool:
        """Whether it has a value of this field for this clip."""
        return name in self.columns and key in self.rows and bool(self.table[name][self.rows[key]].is_valid)


def stored_form(name: str, table: pa.Table) -> Annotation:
    """A table checked against the schema: rows by key, columns in the schema's order and types.

    Raises:
        ValueError: a name that is none; no key, a key that is null or stands twice; a column that is no field, has
            another type, a word outside its vocabulary, or a number that is not finite.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"annotation {name!r} must be named in small letters, digits and _, beginning with a letter")
    if repeated := {column for column in table.column_names if table.column_names.count(column) > 1}:
        raise ValueError(f"annotation {name}: column {min(repeated)!r} stands twice")
    if KEY not in table.column_names:
        raise ValueError(f"annotation {name}: lacks the column 'key'")
    if unknown := [column for column in table.column_names if column not in FIELDS]:
        raise ValueError(f"annotation {name}: {unknown[0]!r} is no field of the schema")
    if len(table.column_names) == 1:
        raise ValueError(f"annotation {name}: has no column beside 'key'")
    fields = [field for field in LABELS if field.name in table.column_names]
    columns = [_checked(name, field, table[field.name]) for field in fields]
    schema = pa.schema([(field.name, field.kind) for field in fields])
    keys = columns[[field.name for field in fields].index(KEY)]
    if keys.null_count:
        raise ValueError(f"annotation {name}: a key is null")
    if pc.count_distinct(keys).as_py() != len(keys):
        twice = next(row["values"] for row in pc.value_counts(keys).to_pylist() if row["counts"] > 1)
        raise ValueError(f"annotation {name}: key {twice!r} stands in more than one row")
    return Annotation(name, pa.table(columns, schema=schema).sort_by(KEY).combine_chunks())


def _checked(name: str, field: Field, column: pa.ChunkedArray) -> pa.Array:
    """A column in the field's type."""
    where = f"annotation {name}: {field.name}"
    numeric = pa.types.is_integer(field.kind) or pa.types.is_floating(field.kind)
    given = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string(field.kind):
        fits = pa.types.is_string(given) or pa.types.is_large_string(given)
    else:
        fits = not numeric or pa.types.is_integer(given) or pa.types.is_floating(given)
    try:
        if not fits and not pa.types.is_null(given):
            raise pa.ArrowInvalid("no such conversion")
        values = column.cast(field.kind).combine_chunks()
    except pa.ArrowException as error:
        raise ValueError(f"{where} is {column.type}, {field.kind} expected ({error})") from error
    values = pa.concat_arrays(values.chunks) if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_floating(field.kind) and not pc.all(pc.is_finite(values), min_count=0).as_py():
        raise ValueError(f"{where} holds a number that is not finite; use null")
    if field.words:
        words = [word for word in pc.unique(values).to_pylist() if word is not None and word not in field.words]
        if words:
            raise ValueError(f"{where}={words[0]!r} must be one of {', '.join(field.words)}")
    return values


def write_table(annotation: Annotation, target: Path) -> None:
    """Write an annotation as Parquet with its checksum; same content, same bytes."""
    table = annotation.table.replace_schema_metadata({CHECKSUM: _checksum(annotation.table)})
    pq.write_table(table, target, compression="zstd")


def read_table(name: str, path: Path) -> Annotation:
    """Read an annotation that was written here.

    Raises:
        FolderError: it cannot be read, was damaged or edited, or was not written by `write_table`.
    """
    try:
        table = pq.ParquetFile(path).read()
        checksum = (table.schema.metadata or {}).get(CHECKSUM)
        annotation = stored_form(name, table.replace_schema_metadata(None))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise FolderError(f"{path}: is no annotation of this dataset ({error})") from error
    if checksum != _checksum(annotation.table) or not annotation.table.equals(table):
        raise FolderError(f"{path}: does not match its own checksum")
    return annotation


def _checksum(table: pa.Table) -> bytes:
    rows = json.dumps([str(table.schema), table.to_pydict()], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(rows.encode()).hexdigest().encode()


def fold(index: pa.Table, annotations: Iterable[Annotation]) -> pa.Table:
    """Index rows with what annotations say of their keys in place of nulls.

    Raises:
        FolderError: an annotation says of a clip something else than its shard or than another annotation.
    """
    keys = index[KEY].to_pylist()
    folded: list[Annotation] = []
    for annotation in annotations:
        rows = pa.array([annotation.rows.get(key) for key in keys], pa.int64())
        for name in annotation.columns if rows.null_count < len(rows) else ():
            stated = index[name].combine_chunks()
            given = annotation.table[name].combine_chunks().take(rows)
            if found := _contradiction(stated, given):
                row, before, now = found
                other = next((one.path for one in folded if one.gives(name, keys[row])), "its shard")
                raise FolderError(
                    f"{annotation.path}: {name} of {keys[row]} is {now!r:.80}, {other} states {before!r:.80}"
                )
            filled = pc.if_else(pc.is_valid(given), given, stated)
            index = index.set_column(index.schema.get_field_index(name), index.schema.field(name), filled)
        folded.append(annotation)
    return index


def _contradiction(stated: pa.Array, given: pa.Array) -> tuple[int, Any, Any] | None:
    """First row in which both have a value, and not the same, with the two values."""
    both = pc.indices_nonzero(pc.and_(pc.is_valid(stated), pc.is_valid(given)))
    pairs = zip(both.to_pylist(), stated.take(both).to_pylist(), given.take(both).to_pylist(), strict=True)
    return next(((row, before, now) for row, before, now in pairs if before != now), None)
