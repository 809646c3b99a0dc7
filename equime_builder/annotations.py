"""Annotations of a finished dataset: values that were found out after its shards were written.

They lie beside the shards, so that a shard stays a pure function of the plan; `finish` folds them into the index, and
`annotate` writes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from equime_builder.annotation_tables import FOLDER, NAME, Annotation, fold, read_table
from equime_builder.manifest import FolderError

SUFFIX = ".parquet"


def annotation_names(root: Path) -> list[str]:
    """Names of the annotations that lie in a dataset folder, sorted."""
    paths = (root / FOLDER).glob(f"*{SUFFIX}")
    return sorted(path.stem for path in paths if path.is_file() and NAME.fullmatch(path.stem))


def annotation_path(name: str) -> str:
    """Path of an annotation, relative to the dataset folder."""
    return f"{FOLDER}/{name}{SUFFIX}"


def read_annotation(root: Path, name: str) -> pa.Table | None:
    """An annotation's table, None where there is none.

    Raises:
        FolderError: it is damaged, or was not written by `write_annotation`.
    """
    path = root / annotation_path(name)
    return read_table(name, path).table if path.exists() else None


def read_annotations(root: Path) -> list[Annotation]:
    """All annotations of a folder, by name.

    Raises:
        FolderError: one of them is damaged; `equime verify --repair` sets it aside.
    """
    return [read_table(name, root / annotation_path(name)) for name in annotation_names(root)]


def folded(tables: Iterator[pa.Table], annotations: list[Annotation]) -> Iterator[pa.Table]:
    """Tables of the index, shard by shard, with the annotations of their clips.

    Raises:
        FolderError: an annotation contradicts a shard or another annotation, or names a clip that no table has.
    """
    unknown = {annotation.path: set(annotation.rows) for annotation in annotations}
    for table in tables:
        keys = table["key"].to_pylist()
        for left in unknown.values():
            left.difference_update(keys)
        yield fold(table, annotations)
    for path, left in unknown.items():
        if left:
            raise FolderError(f"{path}: key {min(left)!r} is no clip of this dataset ({len(left)} such keys)")
