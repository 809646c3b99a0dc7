"""Samples back out of a shard's file: each as the contents of its members, whatever the format."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equime_builder.finish import member_places
from equime_builder.manifest import FolderError
from equime_builder.samples import Sample
from equime_builder.shards import tar_members
from equime_loader.schema import CURVES, MEMBERS, VIDEO, arrow_schema

# What a damaged file may raise, when it is opened and at any sample.
READ_ERRORS = (OSError, ValueError, KeyError, TypeError, tarfile.TarError, pa.ArrowException)

Members = tuple[bytes, ...]
MEND = "mend it with `equime verify --repair`"


@contextmanager
def _open_tar(path: Path) -> Iterator[Iterator[Members]]:
    places = member_places(path)
    stems = [member.replace(".", "_") for member in MEMBERS]
    with open(path, "rb") as file:
        yield (
            tuple(_read(file, place[f"{stem}_offset"], place[f"{stem}_length"]) for stem in stems)
            for place in places.values()
        )


@contextmanager
def _open_parquet(path: Path) -> Iterator[Iterator[Members]]:
    with pq.ParquetFile(path) as file:
        _check_columns(file.schema_arrow)
        yield _table_members(file.iter_batches(batch_size=16))


@contextmanager
def _open_arrow(path: Path) -> Iterator[Iterator[Members]]:
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
        _check_columns(file.schema)
        yield _table_members(file.get_batch(number) for number in range(file.num_record_batches))


def _check_columns(found: pa.Schema) -> None:
    if not found.equals(arrow_schema()):
        raise ValueError("has other columns than the schema")


def _table_members(batches: Iterator[pa.RecordBatch]) -> Iterator[Members]:
    """Samples of record batches, as the members that a tar would hold."""
    for batch in batches:
        for row in batch.to_pylist():
            video = row.pop(VIDEO)["bytes"]
            curves = np.asarray(row.pop(CURVES), np.float16)
            yield tar_members(Sample(row, video, curves))


# By format: opens a file and gives its samples in their order; raises one of `READ_ERRORS` where it cannot.
READERS: dict[str, Callable[[Path], AbstractContextManager[Iterator[Members]]]] = {
    "webdataset": _open_tar,
    "parquet": _open_parquet,
    "arrow": _open_arrow,
}


def read_samples(root: Path, rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[bytes, NDArray[np.float32]]]:
    """MP4 and AU curves of index rows, by key: from the tars where the index says where, else from the tables.

    Raises:
        FolderError: a file of samples is missing, ends too early, or holds something else.
    """
    try:
        if rows[0]["shard"] is not None:
            return {row["key"]: _from_tar(root, row) for row in rows}
        return _from_tables(root, [row["key"] for row in rows])
    except FileNotFoundError as error:
        raise FolderError(f"{error.filename}: missing; build the shard again") from error


def _from_tar(root: Path, row: Mapping[str, Any]) -> tuple[bytes, NDArray[np.float32]]:
    path = root / row["shard"]
    with open(path, "rb") as tar:
        video, curves = (_read(tar, row[f"{member}_offset"], row[f"{member}_length"]) for member in ("mp4", "au_npy"))
    try:
        return video, np.lib.format.read_array(io.BytesIO(curves), allow_pickle=False).astype(np.float32)
    except ValueError as error:
        raise FolderError(f"{path}: the AU curves of {row['key']} cannot be read; {MEND}") from error


def _read(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    data = file.read(length)
    if len(data) < length:
        raise FolderError(f"{file.name}: ends at byte {offset + len(data)}, {offset + length} are needed; {MEND}")
    return data


def _from_tables(root: Path, keys: Sequence[str]) -> dict[str, tuple[bytes, NDArray[np.float32]]]:
    for kind, files in (("parquet", sorted(root.glob("data/*.parquet"))), ("ipc", sorted(root.glob("arrow/*.arrow")))):
        if files:
            wanted = ds.field("key").isin(keys)
            table = ds.dataset(files, format=kind).to_table(columns=["key", VIDEO, CURVES], filter=wanted)
            rows = table.to_pylist()
            samples = {row["key"]: (row[VIDEO]["bytes"], np.array(row[CURVES], np.float32)) for row in rows}
            if missing := [key for key in keys if key not in samples]:
                raise FolderError(f"{files[0].parent}: holds no clip {missing[0]}; build its shard again")
            return samples
    raise FolderError(f"{root}: holds no samples; build it again")
