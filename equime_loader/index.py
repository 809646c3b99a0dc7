"""The index of a dataset: one row per clip with every label and the place of its bytes, read column by column."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equime_loader import renditions
from equime_loader.arguments import nearest
from equime_loader.arrays import from_numpy, nulls, to_numpy
from equime_loader.schema import LABELS, LOCATION, Field, index_schema
from equime_loader.storage import Store, open_store
from equime_loader.storage.errors import MissingError
from equime_loader.tables import counted

FILE = "index.parquet"
_FIELDS: dict[str, Field] = {field.name: field for field in (*LABELS, *LOCATION)}
_WORDS: list[str] = [name for name, field in _FIELDS.items() if pa.types.is_string(field.kind)]
# Bounds at the door: far above any dataset that can be, far below what would harm. A row costs bytes, since its key and
# the hash of its video are its own; compression makes a small part of what there is, not a millionth.
MAX_ROWS, MAX_ROW_GROUPS = 100_000_000, 10_000
MAX_EXPANSION, EXPANSION_OF_NOTHING = 256, 2**20
MAX_TEXT = 2**31 - 1
MAX_WORD = 4096  # bytes of a key, path or hash in the index of a rendition
MAX_MESSAGE = 500
KEY = "^[0-9A-Za-z_-]{1,200}$"
_FRAMES, _PIXELS, _BYTES = (1, 1_000_000), (1, 16_384), (0, 2**50)
_BOUNDS: dict[str, tuple[int, int]] = {
    "frames": _FRAMES,
    "width": _PIXELS,
    "height": _PIXELS,
    **{f"{moment}_frame": (0, _FRAMES[1]) for moment in ("onset", "apex", "offset")},
    "mp4_offset": _BYTES,
    "mp4_length": (1, 2**32),
}


class IndexFault(ValueError):
    """An index that cannot be used; the message names the file and what is wrong, in one line that can be shown."""

    def __init__(self, message: str) -> None:
        line = " ".join(message.split())
        super().__init__("".join(letter if letter.isprintable() else "?" for letter in line)[:MAX_MESSAGE])


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """A label as numbers: `codes` (n,) int32 into `words`, -1 where the label is null."""

    codes: NDArray[np.int32]
    words: tuple[str, ...]


class Index:
    """What an opened dataset says of its clips. Columns are read when they are asked for, once, and kept.

    Attributes:
        store: where the dataset's bytes lie. path: the index as a local file.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        try:
            self.path: Path = store.file(FILE)
        except MissingError as error:
            raise MissingError(f"{error}; no EquiME dataset, or one whose build has not ended") from error
        try:
            # The file is mapped, so that opening reads its footer and a column costs its own pages.
            self._file = pq.ParquetFile(self.path, memory_map=True)
            schema = self._file.schema_arrow.remove_metadata()
            _check_claims(self._file.metadata, self.path.stat().st_size)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise IndexFault(f"{self.path}: is no Parquet file that can be read ({error})") from error
        self._check_schema(schema)
        self._given = frozenset(schema.names)
        self._reading = Lock()  # a reader of Parquet is not for several threads at once
        self._columns: dict[str, pa.Array] = {}
        self._codes: dict[str, Codes] = {}

    @classmethod
    def open(cls, root: str | Path, **options: Any) -> Index:
        """Open the dataset in a folder, or at a URL that fsspec knows; `options` go to `open_store`.

        Raises:
            MissingError: no folder, or one without an index. IndexFault: the index is damaged. AccessError,
                StorageError: the folder cannot be read.
        """
        return cls(open_store(root, **options))

    def _check_schema(self, found: pa.Schema) -> None:
        expected = index_schema()
        for field in expected:
            position = found.get_field_index(field.name)
            if position < 0 and _FIELDS[field.name].nullable:
                continue  # a column may lack where no clip has the label
            if position < 0:
                raise IndexFault(f"{self.path}: lacks the column {field.name!r}; build the dataset with this version")
            if found.field(position).type != field.type:
                raise IndexFault(f"{self.path}: {field.name!r} is {found.field(position).type}, expected {field.type}")

    @property
    def root(self) -> str:
        """Folder or URL of the dataset."""
        return self.store.root

    @property
    def is_remote(self) -> bool:
        """Whether the dataset lies at a URL."""
        return "://" in self.root

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def __reduce__(self) -> tuple[type[Index], tuple[Store]]:
        return Index, (self.store,)

    def __repr__(self) -> str:
        return f"Index({self.root!r}: {counted(len(self), 'clip')})"

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the index: what a saved selection is bound to."""
        with open(self.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def column(self, name: str) -> pa.Array:
        """A column as one Arrow array, strings dictionary-encoded where words repeat; null where the index lacks it.

        Raises:
            KeyError: no such column. IndexFault: the file is damaged.
        """
        if name not in _FIELDS:
            raise KeyError(f"no field {name!r}; {nearest(name, _FIELDS)}")
        if name not in self._columns:
            try:
                self._columns[name] = self._read(name)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise IndexFault(f"{self.path}: column {name!r} cannot be read ({error})") from error
        return self._columns[name]

    @cached_property
    def _columns_file(self) -> pq.ParquetFile:
        # Words are read as a dictionary, since a word of a megabyte in every row would be many.
        words = [name for name in _WORDS if name in self._given]
        return pq.ParquetFile(self.path, memory_map=True, read_dictionary=words)

    def _read(self, name: str) -> pa.Array:
        if name not in self._given:
            return pa.nulls(len(self), _FIELDS[name].kind)
        with self._reading:
            column = self._columns_file.read([name]).column(0)
        column.validate(full=True)
        if len(column) != len(self):
            raise ValueError(f"{len(column)} of {len(self)} rows")
        if name not in _WORDS:
            return column.combine_chunks()
        if _repeats(_FIELDS[name]):
            return column.unify_dictionaries().combine_chunks()
        lengths = [pc.binary_length(part.dictionary).take(part.indices) for part in column.chunks]
        if sum(pc.sum(part, min_count=0).as_py() for part in lengths) > MAX_TEXT:
            raise ValueError(f"more than {MAX_TEXT} bytes of text")
        return pa.chunked_array([part.dictionary_decode() for part in column.chunks], pa.string()).combine_chunks()

    def codes(self, name: str) -> Codes:
        """A label of words as numbers; the vocabulary in the schema's order where it has one, else sorted.

        Raises:
            KeyError: no such field. TypeError: it does not hold words. IndexFault: a word outside its vocabulary.
        """
        if name not in self._codes:
            self._codes[name] = self._encode(name)
        return self._codes[name]

    def _encode(self, name: str) -> Codes:
        column = self.column(name)
        if not pa.types.is_string(_FIELDS[name].kind):
            raise TypeError(f"{name!r} holds {_FIELDS[name].kind}, not words; use numbers()")
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        found = column.dictionary.to_pylist()
        words = _FIELDS[name].words or tuple(sorted(word for word in found if word is not None))
        place = {word: code for code, word in enumerate(words)}
        if unknown := [word for word in found if word not in place]:
            raise IndexFault(f"{self.path}: {name}={unknown[0]!r} must be one of {', '.join(words)}")
        table = np.array([place[word] for word in found] or [0], np.int32)
        indices = column.indices
        if indices.null_count:
            null = nulls(indices)
            codes = np.where(null, np.int32(-1), table[np.where(null, 0, to_numpy(indices))])
        else:
            codes = table[to_numpy(indices)]
        codes.flags.writeable = False
        return Codes(codes, words)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A label of numbers, NaN where it is null: (n,) float64.

        Raises:
            KeyError: no such field. TypeError: it does not hold numbers. IndexFault: it holds some that are not finite.
        """
        column = self.column(name)
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            told = "words; use codes()" if name in _WORDS else f"{column.type}, not numbers"
            raise TypeError(f"{name!r} holds {told}")
        values: NDArray[np.float64] = to_numpy(column.cast(pa.float64(), safe=False))
        if column.null_count:
            values = np.where(nulls(column), np.nan, values)
        if pa.types.is_floating(column.type) and np.isfinite(values).sum() + column.null_count != len(values):
            row = int(np.flatnonzero(~np.isfinite(values) & ~nulls(column))[0])
            raise IndexFault(f"{self.path}: {name}={values[row]} of {self.column('key')[row]} is no number")
        return values

    def integers(self, name: str) -> NDArray[np.int64]:
        """A column of whole numbers that is never null: (n,) int64.

        Raises:
            KeyError: no such column. IndexFault: it holds nulls.
        """
        column = self.column(name)
        if column.null_count:
            raise IndexFault(f"{self.path}: {name!r} is null in {counted(column.null_count, 'row')}")
        return to_numpy(column.cast(pa.int64()))

    def au_intensity(self, au: int, *, side: str | None = None) -> NDArray[np.float32]:
        """Peak intensity of an AU in each clip, 0-5, 0 where it does not act: (n,) float32.

        0, too, where a corpus does not tell which AUs act, see `au_told`; NaN where it acts and the coder gave no
        intensity, of neither side.

        Args:
            side: only where it acts on this side (`both`, `left`, `right`).

        Raises:
            IndexFault: an intensity outside 0..5.
        """
        lists = self.column("aus")
        acting = lists.flatten()
        codes, given = acting.field("au"), acting.field("intensity")
        peak = np.where(nulls(given), np.float32(np.nan), to_numpy(given))
        if codes.null_count or not np.all(((peak >= 0) & (peak <= 5)) | nulls(given)):
            raise IndexFault(f"{self.path}: intensities of AUs must lie within 0..5")
        chosen = to_numpy(codes) == au
        if side is not None:
            chosen &= to_numpy(pc.equal(acting.field("side"), side))
        clips = to_numpy(pc.list_parent_indices(lists))[chosen]
        peaks, acts = np.full(len(self), np.nan, np.float32), np.zeros(len(self), np.bool_)
        np.fmax.at(peaks, clips, peak[chosen])  # of two sides, one of them graded, its grade
        acts[clips] = True
        return np.where(acts, peaks, np.float32(0))

    def au_told(self) -> NDArray[np.bool_]:
        """Whether it is told which AUs act in each clip; some corpora have clips, or are whole, without: (n,) bool."""
        return ~nulls(self.column("aus"))

    def rendition(self, size: int) -> pa.Table:
        """Where the clips of a rendition lie: `renditions.LOCATION`, a row for each clip, null for those that it lacks.

        Raises:
            MissingError: there is none of this size. IndexFault: it is damaged, or was made of other clips.
        """
        try:
            path = self.store.file(renditions.index_path(size))
        except MissingError as error:
            made = f"`equime rendition FOLDER --size {size}` makes it"
            raise MissingError(f"{self.root} has no rendition of {size} pixels; {made}") from error
        try:
            table = _rendition_table(path)
            for name in ("mp4_offset", "mp4_length"):
                values, (least, most) = to_numpy(table[name].combine_chunks()), _BOUNDS[name]
                if ((values < least) | (values > most)).any():
                    raise ValueError(f"{name} must lie within {least}..{most}")
        except (pa.ArrowException, OSError, ValueError) as error:
            raise IndexFault(f"{path}: cannot be read as the index of a rendition ({error})") from error
        rows = table.take(pc.index_in(self.column("key"), table["key"].combine_chunks()))
        other = pc.not_equal(rows["of_sha256"], self.column("mp4_sha256"))  # null where there is no rendition
        if stale := pc.sum(other).as_py():
            key = self.column("key").filter(other.combine_chunks())[0].as_py()
            raise IndexFault(
                f"{path}: was made of other clips than the index has ({stale}, first {key}); run `equime rendition` "
                "again"
            )
        return rows.select(renditions.LOCATION)

    def rows(self, rows: Sequence[int] | NDArray[np.int64], names: Sequence[str]) -> list[dict[str, Any]]:
        """The named fields of some rows, as Python values."""
        taken = from_numpy(np.asarray(rows, np.int64))
        columns = {name: self.column(name).take(taken).to_pylist() for name in names}
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def check(self, rows: NDArray[np.int64]) -> None:
        """Check what reading relies on, for some rows.

        Raises:
            IndexFault: a key that stands twice, a number out of its bounds, or a place of bytes that cannot be.
        """
        keys = self.column("key").take(from_numpy(rows))
        fit = pc.match_substring_regex(keys, KEY)
        if keys.null_count or not pc.all(fit, min_count=0).as_py():
            wrong = None if keys.null_count else keys.filter(pc.invert(fit))[0].as_py()
            raise IndexFault(f"{self.path}: key={wrong!r:.80} must be letters, digits, _ and -")
        if pc.count_distinct(keys).as_py() != len(keys):
            twice = next(row["values"] for row in pc.value_counts(keys).to_pylist() if row["counts"] > 1)
            raise IndexFault(f"{self.path}: key {twice!r} stands in more than one row")
        for name, (least, most) in _BOUNDS.items():
            values = self.integers(name)[rows]
            wrong = np.flatnonzero((values < least) | (values > most))
            if len(wrong):
                raise IndexFault(
                    f"{self.path}: {name}={values[wrong[0]]} of {keys[wrong[0]]} must lie within {least}..{most}"
                )
        fps = self.numbers("fps")[rows]
        wrong = np.flatnonzero(~((fps > 0) & (fps < 1e6)))
        if len(wrong):
            raise IndexFault(f"{self.path}: fps={fps[wrong[0]]} of {keys[wrong[0]]} must lie within 0..1,000,000")


def _rendition_table(path: Path) -> pa.Table:
    """Rows of a rendition's index, its words bounded.

    Raises:
        ValueError, ArrowException, OSError: damaged, or something else.
    """
    _check_claims(pq.read_metadata(path), path.stat().st_size)
    if not pq.read_schema(path).equals(renditions.SCHEMA):
        raise ValueError("other columns than a rendition has")
    words = [field.name for field in renditions.SCHEMA if pa.types.is_string(field.type)]
    # Not `read_table`, which imports pandas while somebody waits for a first batch.
    with pq.ParquetFile(path, memory_map=True, read_dictionary=words) as file:
        table = file.read()
    table.validate(full=True)
    # As a dictionary first, since a word of a megabyte in every row would be many.
    longest = (pc.max(pc.binary_length(part.dictionary)).as_py() for name in words for part in table[name].chunks)
    if max((length or 0 for length in longest), default=0) > MAX_WORD:
        raise ValueError(f"a word of more than {MAX_WORD} bytes")
    return table.cast(renditions.SCHEMA)


def _repeats(field: Field) -> bool:
    """Whether a column of words is worth a dictionary: most hold few words, these another in every row."""
    return pa.types.is_string(field.kind) and field.name not in ("key", "caption", "prompt", "mp4_sha256")


def _check_claims(footer: pq.FileMetaData, size: int) -> None:
    """Check what reading would take memory or time for.

    Raises:
        ValueError: a file of `size` bytes cannot hold that.
    """
    if footer.num_rows > min(MAX_ROWS, size):
        raise ValueError(f"declares {footer.num_rows} rows in {size} bytes")
    if footer.num_row_groups > MAX_ROW_GROUPS:
        raise ValueError(f"declares {footer.num_row_groups} row groups, at most {MAX_ROW_GROUPS} are read")
    # Of the columns' own claims nothing is asked: pyarrow ends the process over some that are damaged.
    expanded = sum(footer.row_group(number).total_byte_size for number in range(footer.num_row_groups))
    if expanded > MAX_EXPANSION * size + EXPANSION_OF_NOTHING:
        raise ValueError(f"declares {expanded} bytes of columns in {size} bytes")
