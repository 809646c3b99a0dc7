"""Shard writers: the same samples as WebDataset tar, Parquet and Arrow IPC, byte for byte reproducible."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from equime_builder.samples import Sample, npy
from equime_loader.files import replacing
from equime_loader.schema import CURVES, FIELDS, MEMBERS, VIDEO, arrow_schema, sample_json

# Row groups are what a streaming reader fetches at once: a few megabytes of 256-pixel clips.
ROWS_PER_GROUP = 32


class ShardWriter(Protocol):
    """Takes samples in order; `close` completes the file."""

    def write(self, sample: Sample) -> None: ...

    def close(self) -> None: ...


class TarWriter:
    """WebDataset: per sample the members of `MEMBERS`, adjacent; fixed times, owners and modes."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - closed by `close`

    def write(self, sample: Sample) -> None:
        for member, data in zip(MEMBERS, tar_members(sample), strict=True):
            self._tar.addfile(tar_entry(f"{sample.key}.{member}", len(data)), io.BytesIO(data))

    def close(self) -> None:
        self._tar.close()


def tar_entry(name: str, size: int) -> tarfile.TarInfo:
    """The header of a member of so many bytes, the same whoever writes it and when."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o644, 0
    return entry


def tar_members(sample: Sample) -> tuple[bytes, bytes, bytes, bytes]:
    """Contents of a sample's members, in the order of `MEMBERS`."""
    return sample.video, sample_json(sample.labels), sample.labels["caption"].encode(), npy(sample.curves)


class _Rows:
    """Samples gathered to record batches of `ROWS_PER_GROUP`."""

    def __init__(self) -> None:
        self._schema, self._rows = arrow_schema(), []  # type: tuple[pa.Schema, list[dict[str, Any]]]

    def write(self, sample: Sample) -> None:
        row = {**sample.labels, VIDEO: {"bytes": sample.video, "path": f"{sample.key}.mp4"}, CURVES: sample.curves}
        self._rows.append(row)
        if len(self._rows) == ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns = [self._column(field.name, field.kind) for field in FIELDS]
            self._rows.clear()
            self._write_batch(pa.record_batch(columns, schema=self._schema))

    def _column(self, name: str, kind: pa.DataType) -> pa.Array:
        if name != CURVES:
            return pa.array([row[name] for row in self._rows], kind)
        # Through one flat array: Arrow would take a Python object per number otherwise.
        flat = pa.FixedSizeListArray.from_arrays(
            pa.concat_arrays([pa.array(row[name].reshape(-1)) for row in self._rows]), kind.value_type.list_size
        )
        ends = [0]
        for row in self._rows:
            ends.append(ends[-1] + len(row[name]))
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), flat)

    def _write_batch(self, batch: pa.RecordBatch) -> None:
        raise NotImplementedError


class ParquetWriter(_Rows):
    """Parquet with the video embedded: PLAIN and uncompressed, since it is compressed already and may be sought."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        flat = [leaf for leaf in _leaves(self._schema) if not leaf.startswith(f"{VIDEO}.bytes")]
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            compression=dict.fromkeys(flat, "zstd") | {f"{VIDEO}.bytes": "none"},
            use_dictionary=[leaf for leaf in flat if not leaf.startswith(CURVES)],
            write_page_index=True,
            write_statistics=[leaf for leaf in flat if not leaf.startswith(CURVES)],
        )

    def _write_batch(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch, row_group_size=ROWS_PER_GROUP)

    def close(self) -> None:
        self._flush()
        self._writer.close()


class ArrowWriter(_Rows):
    """Arrow IPC file for memory-mapped random access."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._file, self._schema)

    def _write_batch(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def close(self) -> None:
        self._flush()
        self._writer.close()
        self._file.close()


WRITERS: dict[str, Any] = {"webdataset": TarWriter, "parquet": ParquetWriter, "arrow": ArrowWriter}


def _leaves(schema: pa.Schema) -> list[str]:
    """Parquet column paths of a schema."""
    target = io.BytesIO()
    pq.write_table(schema.empty_table(), target)
    metadata = pq.ParquetFile(target).metadata.schema
    return [metadata.column(index).path for index in range(len(metadata))]


@contextmanager
def shard_writers(root: Path, files: dict[str, str]) -> Iterator[list[ShardWriter]]:
    """Writers for the files of one shard; all of them take their names when the block ends well, none before."""
    with ExitStack() as stack:
        writers: list[ShardWriter] = []
        for name, path in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            writers.append(WRITERS[name](stack.enter_context(replacing(root / path))))
        try:
            yield writers
        except BaseException:
            for writer in writers:
                with suppress(Exception):  # what went wrong first is what the user is told
                    writer.close()
            raise
        for writer in writers:
            writer.close()
