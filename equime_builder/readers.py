"""Samples back out of a shard's file: each as the contents of its members, whatever the format."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from equime_builder.finish import member_places
from equime_builder.samples import Sample
from equime_builder.shards import tar_members
from equime_loader.schema import CURVES, MEMBERS, VIDEO, arrow_schema

# What a damaged file may raise, when it is opened and at any sample.
READ_ERRORS = (OSError, ValueError, KeyError, TypeError, tarfile.TarError, pa.ArrowException)

Members = tuple[bytes, ...]


@contextmanager
def _open_tar(path: Path) -> Iterator[Iterator[Members]]:
    places = member_places(path)
    stems = [member.replace(".", "_") for member in MEMBERS]
    with open(path, "rb") as file:

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        yield (
            tuple(read(place[f"{stem}_offset"], place[f"{stem}_length"]) for stem in stems) for place in places.values()
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
