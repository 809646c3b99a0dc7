"""Annotated and found intervals from files: an imported folder's `events.parquet`, or a table in CSV.

A CSV file has a header with the columns `video`, `onset` and `offset` (frames of the recording, whole numbers), and, if
wanted, `expression` (`micro`, `macro`) and `label`. A video of an imported folder is `subject/clip`, as the corpus
names them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from equime_loader.corpora.classes import class_of
from training.protocols.spotting import Interval, Spotting

EVENTS, REJECTED = "events.parquet", "__manifest__/rejected.csv"
COLUMNS = ("corpus", "corpus_subject", "corpus_clip", "onset", "offset", "expression", "corpus_label")
REQUIRED = ("video", "onset", "offset")
MAX_BYTES, MAX_ROWS = 1 << 28, 1_000_000


class IntervalsFault(ValueError):
    """A file of intervals that cannot be read; the message says where and why."""


def read_intervals(path: str | Path, *, kind: str) -> tuple[Interval, ...]:
    """The intervals of an imported folder, of its `events.parquet`, or of a CSV file.

    Args:
        kind: of task, whose classes the labels of a corpus become; see `equime_loader.corpora.classes`. Labels of a CSV
            file are taken as they are.

    Raises:
        IntervalsFault: no such file, or one that cannot be read.
    """
    file = Path(path) / EVENTS if Path(path).is_dir() else Path(path)
    try:
        if (size := file.stat().st_size) > MAX_BYTES:
            raise ValueError(f"{size} bytes, expected at most {MAX_BYTES}")
        rows = _events(file) if file.suffix == ".parquet" else _lines(file)
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        raise IntervalsFault(f"{file.name}: {' '.join(str(error).split())}") from error
    make = _of_event if file.suffix == ".parquet" else _of_line
    found = []
    for number, row in enumerate(rows, start=1 if file.suffix == ".parquet" else 2):
        try:
            found.append(make(row, kind))
        except (ValueError, TypeError) as error:
            raise IntervalsFault(f"{file.name}, row {number}: {error}") from error
    return tuple(found)


def count_left_out(path: str | Path) -> int:
    """Annotated events that an import left out, so that they are not in its `events.parquet`; 0 of other files.

    What a method finds there counts as wrong, though it may be right.

    Args:
        path: as of `read_intervals`.

    Raises:
        IntervalsFault: the folder's list of what was left out cannot be read.
    """
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    if not Path(path).is_dir() and Path(path).name != EVENTS:
        return 0
    try:
        with open(folder / REJECTED, encoding="utf-8", newline="") as file:
            return sum(row.get("what") == "event" for row in csv.DictReader(file))
    except FileNotFoundError:
        return 0
    except (OSError, ValueError, csv.Error) as error:
        raise IntervalsFault(f"{REJECTED}: {' '.join(str(error).split())}") from error


def _events(file: Path) -> list[dict[str, Any]]:
    with pq.ParquetFile(file) as parquet:
        if missing := [name for name in COLUMNS if name not in parquet.schema_arrow.names]:
            raise ValueError(f"needs a column {missing[0]!r}, has {', '.join(parquet.schema_arrow.names[:30])}")
        if parquet.metadata.num_rows > MAX_ROWS:
            raise ValueError(f"declares {parquet.metadata.num_rows} rows, at most {MAX_ROWS} are read")
        rows: list[dict[str, Any]] = parquet.read(columns=list(COLUMNS)).to_pylist()
    return rows


def _of_event(row: Mapping[str, Any], kind: str) -> Interval:
    label = row["corpus_label"] and class_of(row["corpus_label"], corpus=row["corpus"], kind=kind)
    video = f"{row['corpus_subject']}/{row['corpus_clip']}"
    return Interval(video, row["onset"], row["offset"], row["expression"] or "", label)


def _lines(file: Path) -> list[dict[str, str]]:
    reader = csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines())
    if missing := [name for name in REQUIRED if name not in (reader.fieldnames or ())]:
        raise ValueError(f"needs a column {missing[0]!r}, has {', '.join(reader.fieldnames or ()) or 'none'}")
    return list(reader)


def _of_line(row: Mapping[str, str | None], kind: str) -> Interval:
    video = (row["video"] or "").strip()
    if not video:
        raise ValueError("video must be given")
    frames = {}
    for name in ("onset", "offset"):
        text = (row[name] or "").strip()
        if not text.removeprefix("-").isdecimal():
            raise ValueError(f"{name}={text!r} must be a whole number")
        frames[name] = int(text)
    expression = (row.get("expression") or "").strip().lower()
    if expression not in ("", "micro", "macro"):
        raise ValueError(f"{expression=} must be micro, macro or empty")
    return Interval(video, frames["onset"], frames["offset"], expression, (row.get("label") or "").strip() or None)


def write_log(spotting: Spotting, path: str | Path) -> None:
    """Write the log of a spotting as CSV, a line for each annotated or found interval."""
    rows: Iterable[Mapping[str, str | int | float]] = list(spotting.log())
    names = ("video", "expression", "onset", "offset", "found_onset", "found_offset", "iou", "verdict")
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
