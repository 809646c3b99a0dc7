"""Which clips an audit judges: those of a dataset folder, or any clips that a label table names."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from equime_builder.audit.claim import Claim, parse_aus
from equime_builder.audit.run import Case, Filed
from equime_builder.finish import INDEX
from equime_builder.manifest import FolderError
from equime_builder.portraits import PortraitSource
from equime_builder.quality.clips import PortraitPicture, VideoFile, VideoRow, dataset_groups, file_state

TOGETHER = 24  # clips that one process judges in turn: opening the landmarker costs it as much as a clip
MAX_TABLE_BYTES = 200 * 2**20
COLUMNS = ("file", "aus", "onset", "apex", "offset", "fps", "frames", "portrait", "emotion")
CLAIMED = ("key", "emotion", "aus", "onset_frame", "apex_frame", "offset_frame", "fps", "frames")


@dataclass(frozen=True, slots=True)
class Labeled:
    """Groups of cases, the emotion of each by name in the order of the labels, and rows that are no case, with why."""

    groups: tuple[tuple[Case, ...], ...]
    emotions: Mapping[str, str]
    faults: Mapping[str, str]


def dataset_cases(root: Path, source: PortraitSource | None) -> Labeled:
    """The clips of a complete dataset folder; `source` gives their portraits, None where they are not at hand.

    Raises:
        FolderError: the dataset is not complete.
    """
    rows = {row["key"]: row for row in pq.read_table(root / INDEX, columns=list(CLAIMED)).to_pylist()}
    cases = [
        Case(clip, Claim.from_labels(rows[clip.name]), group.portrait)
        for group in dataset_groups(root, source, together=TOGETHER)
        for clip in group.clips
        if isinstance(clip, VideoFile | VideoRow)
    ]
    return Labeled(_grouped(cases), {key: row["emotion"] for key, row in rows.items()}, {})


def table_cases(folder: Path, table: Path) -> Labeled:
    """The clips of a folder that a CSV names: `file`, `aus`, and any other of `COLUMNS`.

    Files and portraits are named relative to the folder; frames count from 0. A row that cannot be understood costs
    itself.

    Raises:
        FolderError: the table cannot be read, lacks a column, or names no clip.
    """
    rows = _rows(table)
    cases: dict[str, Case] = {}
    faults: dict[str, str] = {}
    emotions: dict[str, str] = {}
    for number, row in rows:
        name = (row.get("file") or "").strip()
        label = name or f"{table.name} line {number}"
        try:
            case = _case(folder, name, row)
            if name in cases:
                raise ValueError("is named twice")
        except ValueError as error:
            faults[f"{label} (line {number})" if label in cases or label in faults else label] = str(error)
            continue
        cases[name] = case
        emotions[name] = (row.get("emotion") or "").strip()
    if not cases and not faults:
        raise FolderError(f"{table}: names no clip")
    ordered = sorted(cases.values(), key=lambda case: case.portrait.name if case.portrait else "")
    return Labeled(_grouped(ordered), emotions, faults)


def _grouped(cases: Sequence[Case]) -> tuple[tuple[Case, ...], ...]:
    return tuple(tuple(cases[start : start + TOGETHER]) for start in range(0, len(cases), TOGETHER))


def _rows(table: Path) -> list[tuple[int, dict[str, str | None]]]:
    """The rows of a label table, each with the line of the file that it ends on."""
    try:
        if table.stat().st_size > MAX_TABLE_BYTES:
            raise FolderError(f"{table}: over {MAX_TABLE_BYTES // 2**20} MiB")
        text = table.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FolderError(f"{table}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FolderError(f"{table}: is not UTF-8 text") from error
    try:
        reader = csv.DictReader(io.StringIO(text))
        missing = [name for name in ("file", "aus") if name not in (reader.fieldnames or ())]
        if missing:
            raise FolderError(f"{table}: has no column {missing[0]!r}; known: {', '.join(COLUMNS)}")
        return [(reader.line_num, dict(row)) for row in reader]
    except csv.Error as error:
        raise FolderError(f"{table}: is no CSV: {error}") from error


def _case(folder: Path, name: str, row: Mapping[str, str | None]) -> Case:
    if not name:
        raise ValueError("names no file")
    path = folder / name
    if not path.is_file():
        raise ValueError("no such file")
    frames = {what: _number(row, what) for what in ("onset", "apex", "offset", "frames")}
    whole = {what: None if value is None else _whole(what, value) for what, value in frames.items()}
    claim = Claim(parse_aus(row.get("aus") or ""), **whole, fps=_number(row, "fps"))
    clip: Filed = VideoFile(name, file_state([path]), path)
    pictured = (row.get("portrait") or "").strip()
    if not pictured:
        return Case(clip, claim)
    picture = folder / pictured
    if not picture.is_file():
        raise ValueError(f"portrait {pictured}: no such file")
    return Case(clip, claim, PortraitPicture(file_state([picture]), picture))


def _number(row: Mapping[str, str | None], column: str) -> float | None:
    text = (row.get(column) or "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{column}={text!r} must be a number")
    return value


def _whole(column: str, value: float) -> int:
    if value != int(value):
        raise ValueError(f"{column}={value:g} must be a whole frame")
    return int(value)
