"""Annotations of a finished dataset: values that were found out after its shards were written.

They lie beside the shards, so that a shard stays a pure function of the plan; `finish` folds them into the index.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from equime_builder import manifest
from equime_builder.annotation_tables import FOLDER, NAME, Annotation, fold, read_table, stored_form, write_table
from equime_builder.dataset_folder import check_complete
from equime_builder.files import replacing
from equime_builder.manifest import FolderError

SUFFIX = ".parquet"
PATIENCE_S = 3600.0


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


def write_annotation(root: Path, name: str, table: pa.Table) -> None:
    """Write `annotations/NAME.parquet` and fold it into the index. One of the same name is replaced.

    Killed at any moment it leaves the old annotation, or the new one that the next build, annotation or repair folds.

    Args:
        root: folder of a complete dataset.
        name: small letters, digits and _, beginning with a letter.
        table: column `key`, and columns that are fields of the schema; types that convert without loss are converted.

    Raises:
        ValueError: the table does not fit the schema, see `stored_form`.
        FolderError: the dataset is not complete or in use, or the table names a clip that it has not, or says of a
            clip something else than its shard or than another annotation.
    """
    annotation = stored_form(name, table)
    check_complete(root)
    with (
        manifest.lock(root, "build", patience_s=PATIENCE_S),
        manifest.lock(root, "finish", patience_s=PATIENCE_S),
    ):
        try:
            _write(root, annotation)
        finally:
            shutil.rmtree(root / manifest.LOCKS, ignore_errors=True)


def _write(root: Path, annotation: Annotation) -> None:
    from equime_builder.finish import finish, label_tables

    others = [other for other in read_annotations(root) if other.name != annotation.name]
    for _ in folded(label_tables(root), [*others, annotation]):
        pass  # raises where they do not fit
    path = root / annotation.path
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as temporary:
        write_table(annotation, temporary)
    finish(root)


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
