"""What is wrong with the renditions of a dataset folder: incomplete, of other clips, or damaged."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from equime_builder import manifest
from equime_builder.rendition import TAR, by_shard, is_of, places, read_record, read_records, rendered_size
from equime_builder.shards import tar_entry
from equime_loader.renditions import FOLDER, index_path, record_path, tar_path
from equime_loader.video.frames import RENDITION_SIZES

COLUMNS = ("key", "shard", "mp4_sha256", "width", "height")
LARGEST_CLIP = 2**32  # bytes


def sizes_in(root: Path) -> list[int]:
    """Sizes of the renditions in a folder, complete or not, ascending."""
    names = {path.name for path in (root / FOLDER).glob("*") if path.is_dir() and not path.is_symlink()}
    return [size for size in RENDITION_SIZES if str(size) in names]


def rendition_files(root: Path, header: Mapping[str, Any]) -> set[str]:
    """Paths of the files that the renditions in a folder may have."""
    if TAR not in header["formats"]:
        return set()
    tars = [shard.files([TAR])[TAR] for shard in manifest.shards_in(header, None)]
    return {path for size in sizes_in(root) for path in _files(size, tars)}


def _files(size: int, tars: Iterable[str]) -> set[str]:
    return {index_path(size), *(path(size, tar) for tar in tars for path in (tar_path, record_path))}


def rendition_faults(root: Path) -> Iterator[tuple[str, str]]:
    """What is wrong, as path of the broken file and message. The folder's index must be sound."""
    if not (known := rendition_files(root, manifest.folder_header(root))):
        return
    shards = dict(by_shard(pq.read_table(root / manifest.INDEX, columns=[*COLUMNS])))
    gone = known.difference(*(_files(size, shards) for size in sizes_in(root)))
    yield from ((path, "is of clips that are gone") for path in sorted(gone) if (root / path).exists())
    for size in sizes_in(root):
        yield from _faults(root, size, shards)


def _faults(root: Path, size: int, shards: Mapping[str, pa.Table]) -> Iterator[tuple[str, str]]:
    index, sound = root / index_path(size), []
    if not (finished := index.is_file()):
        yield index_path(size), "missing: the rendition is not complete"
    for shard, rows in shards.items():
        if not finished and not (root / record_path(size, shard)).exists():
            continue  # as a killed run leaves it
        found = list(_shard_faults(root, size, shard, rows))
        yield from found
        sound += [shard] if not found else []
    if finished and len(sound) == len(shards) and not _is(index, read_records(root, size, shards)):
        yield index_path(size), "is not what the records of its shards say"


def _is(path: Path, table: pa.Table) -> bool:
    try:
        return bool(read_record(path).equals(table))
    except (OSError, ValueError, pa.ArrowException):
        return False


def _shard_faults(root: Path, size: int, shard: str, rows: pa.Table) -> Iterator[tuple[str, str]]:
    """At most one: what a broken file holds besides does not matter."""
    path, tar = record_path(size, shard), tar_path(size, shard)
    try:
        record = read_record(root / path)
    except (OSError, ValueError, pa.ArrowException) as error:
        yield path, "missing" if isinstance(error, FileNotFoundError) else "cannot be read"
        return
    if not is_of(record, rows):
        yield path, "is of other clips than the dataset has now"
    elif not _has_places(record, rows, size, tar):
        yield path, "does not say where its clips lie"
    else:
        try:
            yield from ((tar, reason) for reason in _tar_faults(root / tar, record))
        except OSError as error:
            yield tar, "missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"


def _has_places(record: pa.Table, rows: pa.Table, size: int, tar: str) -> bool:
    """Whether lengths are of clips, and all else in the rows follows from them."""
    lengths = record["mp4_length"].to_pylist()
    possible = all(0 < length <= LARGEST_CLIP for length in lengths)
    return possible and record.to_pylist() == list(_expected(record, rows, size, tar))


def _expected(record: pa.Table, rows: pa.Table, size: int, tar: str) -> Iterator[dict[str, Any]]:
    """Rows of a record as they must be for clips of these lengths and hashes."""
    made, clips = record.to_pylist(), rows.to_pylist()
    offsets, _ = places([row["mp4_length"] for row in made])
    for row, clip, offset in zip(made, clips, offsets, strict=True):
        width, height = rendered_size(clip["width"], clip["height"], size)
        yield {**row, "shard": tar, "mp4_offset": offset, "width": width, "height": height}


def _tar_faults(path: Path, record: pa.Table) -> Iterator[str]:
    """What differs between a tar and what its record says, to the last byte."""
    at = 0
    with open(path, "rb") as tar:
        for row in record.to_pylist():
            head = tar_entry(f"{row['key']}.mp4", row["mp4_length"]).tobuf(tarfile.USTAR_FORMAT)
            empty, at = row["mp4_offset"] - len(head) - at, row["mp4_offset"] + row["mp4_length"]
            if tar.read(empty) + tar.read(len(head)) != bytes(empty) + head:
                yield f"the head of clip {row['key']} is damaged"
                return
            if hashlib.sha256(tar.read(row["mp4_length"])).hexdigest() != row["mp4_sha256"]:
                yield f"clip {row['key']} differs from its recorded sha256"
                return
        empty = places(record["mp4_length"].to_pylist())[1] - at
        if tar.read(empty + 1) != bytes(empty):
            yield "its end is damaged"
