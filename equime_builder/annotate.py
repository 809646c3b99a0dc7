"""Writing an annotation: beside the shards, folded into the index, the folder finished anew."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from equime_builder import manifest
from equime_builder.annotation_tables import Annotation, stored_form, write_table
from equime_builder.annotations import folded, read_annotations
from equime_builder.dataset_folder import check_complete
from equime_builder.finish import finish, label_tables
from equime_loader.files import replacing

PATIENCE_S = 3600.0


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
    with manifest.locked_folder(root, "build", "finish", patience_s=PATIENCE_S):
        _write(root, annotation)


def _write(root: Path, annotation: Annotation) -> None:
    others = [other for other in read_annotations(root) if other.name != annotation.name]
    for _ in folded(label_tables(root), [*others, annotation]):
        pass  # raises where they do not fit
    path = root / annotation.path
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as temporary:
        write_table(annotation, temporary)
    finish(root)
