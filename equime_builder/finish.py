"""What a dataset gets when all its shards are committed: index, rejects, card, license, and their hashes.

All of it is derived from the plan, the shards and the annotations, so it can be written, compared and repaired at any
time.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from equime_builder import manifest
from equime_builder.annotations import annotation_names, annotation_path, folded, read_annotations
from equime_builder.documents.publication import Publication, write_publication
from equime_builder.folder_kinds import origin_of
from equime_builder.manifest import FolderError
from equime_builder.origins import Origin
from equime_loader.files import file_sha256, replacing, write_atomic
from equime_loader.schema import LABELS, LOCATION, MEMBERS, index_schema
from equime_loader.storage.manifest import digest

INDEX, CARD, LICENSE = manifest.INDEX, "README.md", "LICENSE"
READ_ERRORS = (OSError, ValueError, tarfile.TarError, pa.ArrowException, KeyError)
TEXTS = (CARD, LICENSE, manifest.REJECTED)
# Rows of a row group of the index: many small ones make its footer slow to read.
ROW_GROUP = 16_384
HASHED = (*TEXTS, INDEX)


def finish(root: Path) -> None:
    """Write index, texts and, last, their hashes.

    Raises:
        FolderError: a shard is not committed or cannot be read, or an annotation is damaged or contradicts a shard.
    """
    with replacing(root / INDEX) as temporary:
        write_index(root, temporary)
    index = pq.read_table(root / INDEX)
    for path, table in derived_tables(root, index).items():
        with replacing(root / path) as temporary:
            pq.write_table(table, temporary, compression="zstd")
    _write_texts(root, index)


def _write_texts(root: Path, index: pa.Table) -> None:
    for path, data in texts(root, index).items():
        if not (root / path).exists() or (root / path).read_bytes() != data:
            write_atomic(root / path, data)
    write_atomic(root / manifest.DATASET, dataset_bytes(root))


def rewrite_texts(root: Path, publication: Publication | None = None) -> None:
    """Write card, terms and what else is text again, and the hashes.

    The other files whose hashes are recorded, index and tables among them, must be as they were recorded; shards are
    not read, that is for `verify`.

    Args:
        publication: where the folder is to be found from now on; without it that stays as it is.

    Raises:
        FolderError: one of them is not, or the folder is not finished or in use.
    """
    with manifest.locked_folder(root, "build", patience_s=manifest.LOCK_PATIENCE_S):
        _rewrite(root, publication)


def _rewrite(root: Path, publication: Publication | None) -> None:
    recorded = recorded_hashes(root)
    again = (*TEXTS, *_origin(root).text_files, manifest.PUBLICATION)
    others = [path for path in hashed_files(root) if path not in again]
    for path in others:
        if not (root / path).is_file() or recorded.get(path) != file_sha256(root / path):
            raise FolderError(f"{root}: {path} is not as it was recorded; mend it with `equime verify --repair`")
    if publication is not None:
        write_publication(root, publication)
    _write_texts(root, pq.read_table(root / INDEX))


def is_finished(root: Path) -> bool:
    """Whether all that `finish` writes lies there as it was recorded."""
    recorded = recorded_hashes(root)
    if _recorded(root).get("shards_sha256") != lines_sha256(root):
        return False
    return set(recorded) == set(hashed_files(root)) and all(
        (root / path).is_file() and file_sha256(root / path) == sha256 for path, sha256 in recorded.items()
    )


def hashed_files(root: Path) -> tuple[str, ...]:
    """Paths of the files whose hashes `dataset.json` records."""
    header = manifest.folder_header(root)
    origin = origin_of(header)
    annotated = (annotation_path(name) for name in annotation_names(root))
    published = [manifest.PUBLICATION] if (root / manifest.PUBLICATION).is_file() else []
    return (*HASHED, *origin.text_files, *origin.table_files, *origin.plan_files(header), *annotated, *published)


def write_index(root: Path, target: Path) -> None:
    """Write the index as Parquet, a few shards at a time, so that memory does not grow with the dataset."""
    with pq.ParquetWriter(target, index_schema(), compression="zstd") as writer:
        for group in _gathered(folded(index_tables(root), read_annotations(root))):
            writer.write_table(group, row_group_size=2 * ROW_GROUP)


def _gathered(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Tables put together until each has the rows of a row group, the last as many as are left."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= ROW_GROUP:
            yield pa.concat_tables(waiting)
            waiting.clear()
    if waiting:
        yield pa.concat_tables(waiting)


def index_tables(root: Path) -> Iterator[pa.Table]:
    """The index as the shards state it, shard by shard."""
    formats = manifest.folder_header(root)["formats"]
    for shard, _ in manifest.committed(root):
        yield index_table(root, shard.files(formats))


def label_tables(root: Path) -> Iterator[pa.Table]:
    """The labels as the shards state them, shard by shard, without the places that cost reading every video."""
    formats = manifest.folder_header(root)["formats"]
    for shard, _ in manifest.committed(root):
        yield _readable_labels(root, shard.files(formats))


def index_table(root: Path, files: Mapping[str, str]) -> pa.Table:
    """Index rows of one shard: labels from its Parquet (or its tar), places from its tar."""
    try:
        places = _located_videos(root / files["webdataset"]) if "webdataset" in files else None
    except READ_ERRORS as error:
        raise FolderError(f"{root / files['webdataset']}: cannot be read ({error})") from error
    labels = _readable_labels(root, files)
    if places is not None and list(places) != labels["key"].to_pylist():
        raise FolderError(f"{root / files['webdataset']}: holds other keys than {files.get('parquet', 'its JSON')}")
    rows = list((places or {}).values()) or [{}] * len(labels)
    located = [{"shard": files.get("webdataset"), **row} for row in rows]
    columns = [labels[field.name] for field in LABELS]
    columns += [pa.array([row.get(field.name) for row in located], field.kind) for field in LOCATION]
    return pa.table(columns, schema=index_schema())


def _located_videos(path: Path) -> dict[str, dict[str, Any]]:
    """Places of each sample's members in a tar, and the SHA-256 of its video, by key, in the tar's order."""
    places: dict[str, dict[str, Any]] = {**member_places(path)}
    with open(path, "rb") as tar:
        for place in places.values():
            tar.seek(place["mp4_offset"])
            place["mp4_sha256"] = hashlib.sha256(tar.read(place["mp4_length"])).hexdigest()
    return places


def _readable_labels(root: Path, files: Mapping[str, str]) -> pa.Table:
    try:
        return read_labels(root, files)
    except READ_ERRORS as error:
        raise FolderError(f"{root / next(iter(files.values()))}: cannot be read ({error})") from error


def read_labels(root: Path, files: Mapping[str, str]) -> pa.Table:
    """Labels of one shard, from whichever of its files holds them."""
    schema = pa.schema([(field.name, field.kind) for field in LABELS])
    if "parquet" in files:
        return pq.read_table(root / files["parquet"], columns=schema.names).replace_schema_metadata(None).cast(schema)
    if "arrow" in files:
        with pa.memory_map(str(root / files["arrow"])) as source:
            return pa.ipc.open_file(source).read_all().select(schema.names).replace_schema_metadata(None).cast(schema)
    with tarfile.open(root / files["webdataset"], "r:") as tar:
        rows = [json.load(tar.extractfile(entry)) for entry in tar if entry.name.endswith(".json")]  # type: ignore[arg-type]
    return pa.Table.from_pylist(rows, schema=schema)


def member_places(path: Path) -> dict[str, dict[str, int]]:
    """Offset and length of each sample's members in a tar, by key, in the tar's order.

    Raises:
        ValueError: a sample without exactly the members of the schema, adjacent and in their order.
    """
    places: dict[str, dict[str, int]] = {}
    with tarfile.open(path, "r:") as tar:
        entries = iter(tar)
        for first in entries:
            key = first.name.split(".", 1)[0]
            group = [first, *(entry for _, entry in zip(MEMBERS[1:], entries, strict=False))]
            if [entry.name for entry in group] != [f"{key}.{member}" for member in MEMBERS] or key in places:
                raise ValueError(f"sample {key} at byte {first.offset} has not just the members {', '.join(MEMBERS)}")
            places[key] = {}
            for member, entry in zip(MEMBERS, group, strict=True):
                stem = member.replace(".", "_")
                places[key] |= {f"{stem}_offset": entry.offset_data, f"{stem}_length": entry.size}
    return places


def texts(root: Path, index: pa.Table) -> dict[str, bytes]:
    """Contents of the derived text files."""
    said = _origin(root).texts(root, index, [commit for _, commit in manifest.committed(root)])
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["what", "name", "reason"])
    writer.writerows(said.rejects)
    return {
        CARD: said.card.encode(),
        LICENSE: said.license.encode(),
        manifest.REJECTED: table.getvalue().encode(),
        **{path: text.encode() for path, text in said.others.items()},
    }


def derived_tables(root: Path, index: pa.Table) -> dict[str, pa.Table]:
    """Tables beside the index, by path."""
    return _origin(root).tables(root, index)


def _origin(root: Path) -> Origin:
    return origin_of(manifest.folder_header(root))


def dataset_bytes(root: Path) -> bytes:
    """The line of `dataset.json` for the folder as it lies."""
    paths = hashed_files(root)
    content: dict[str, Any] = {
        "plan_sha256": manifest.folder_header(root)["plan_sha256"],
        "samples": sum(commit.samples for _, commit in manifest.committed(root)),
        "shards_sha256": lines_sha256(root),
        "files": {path: {"bytes": (root / path).stat().st_size, "sha256": file_sha256(root / path)} for path in paths},
    }
    return (json.dumps({**content, "content_sha256": digest(content)}, indent=1) + "\n").encode()


def lines_sha256(root: Path) -> str:
    """SHA-256 over the lines of all shards: another shard, another index."""
    lines = hashlib.sha256()
    for _, commit in manifest.committed(root):
        lines.update(commit.line())
    return lines.hexdigest()


def recorded_hashes(root: Path) -> dict[str, str]:
    """SHA-256 by path, as `dataset.json` records them; empty where it is missing or damaged."""
    try:
        return {path: str(file["sha256"]) for path, file in _recorded(root).get("files", {}).items()}
    except (KeyError, TypeError, AttributeError):
        return {}


def _recorded(root: Path) -> dict[str, Any]:
    """What `dataset.json` says; empty where it is missing or damaged."""
    try:
        content = manifest.read_json(root / manifest.DATASET)
    except FolderError:
        return {}
    return content if content.pop("content_sha256", None) == digest(content) else {}
