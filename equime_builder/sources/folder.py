"""Source `folder`: any photographs below a folder, with an optional table of apparent attributes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equime_builder.pictures import SUFFIXES
from equime_builder.portraits import Attributes, PortraitError, Rejection
from equime_builder.profiles import Profile
from equime_builder.sources.photographs import Candidate, PhotographSource, Pool, fingerprint, pictures_in
from equime_loader.files import files_in

ATTRIBUTES_FILE = "attributes.csv"
ATTRIBUTE_COLUMNS = ("apparent_gender", "apparent_race", "apparent_age")
MAX_TABLE_BYTES = 200 * 2**20
LICENSE = "unknown: as the photographs' owner says"
# Pictures that are not read, by suffix.
CONVERT = "{name} pictures are not read; convert it to PNG or JPEG"
NOT_READ = {".heic": "HEIC", ".heif": "HEIC", ".avif": "AVIF", ".gif": "GIF"}


@dataclass(frozen=True)
class FolderSource(PhotographSource):
    """Photographs in `root`.

    Attributes:
        attributes: CSV with a column `file` and any of `apparent_gender`, `apparent_race`, `apparent_age`; by
            default `attributes.csv` in the folder where there is one.
        license: of the photographs.
    """

    attributes: Path | None = None
    license: str = LICENSE
    name: str = "folder"

    def options(self) -> dict[str, Any]:
        """`attributes` is the name of a table that was given, without its folder."""
        table = self.attributes.name if self.attributes else None
        made = self.curation.sha256 if self.curation else None
        return {"limit": self.limit, "license": self.license, "attributes": table, "curation": made}

    def _table(self) -> Path | None:
        default = self.root / ATTRIBUTES_FILE
        return self.attributes or (default if default.is_file() else None)

    def fingerprint(self) -> str:
        table = self._table()
        text = table.read_bytes().hex() if table else ""
        return fingerprint(self.root, pictures_in(self.root, SUFFIXES), text)

    def pool(self, profile: Profile, seed: int) -> Pool:
        """Every picture, with what the table says of it.

        Raises:
            PortraitError: no picture in the folder, or a table that cannot be read.
        """
        references = list(pictures_in(self.root, SUFFIXES))
        if not references:
            raise PortraitError(f"{self.root}: no pictures ({', '.join(SUFFIXES)}) in this folder")
        table = self._table()
        rows, faults = read_attributes(table) if table else ({}, {})
        rejections = [Rejection(path, _why_not(path)) for path in _others(self.root, table)]
        rejections += [Rejection(file, reason) for file, reason in faults.items()]
        rejections += [
            Rejection(file, f"named in {table.name if table else 'the table'}, but not in the folder")
            for file in sorted(rows.keys() - set(references) - faults.keys())
        ]
        candidates = (Candidate(file, rows.get(file, Attributes())) for file in references if file not in faults)
        return Pool(tuple(candidates), tuple(rejections), self.license)


def _others(root: Path, table: Path | None) -> list[str]:
    """Files of the folder that are no pictures by their names, the table and read-me files aside."""
    return [
        path
        for path in files_in(root)
        if Path(path).suffix.lower() not in (*SUFFIXES, ".md", ".txt") and root / path != table
    ]


def _why_not(path: str) -> str:
    """Why a file is no portrait, by its name."""
    name = NOT_READ.get(Path(path).suffix.lower())
    return CONVERT.format(name=name) if name else "not a picture file"


def read_attributes(path: Path) -> tuple[dict[str, Attributes], dict[str, str]]:
    """Attributes by file, and for each row that cannot be right its file and the reason, with the line.

    Raises:
        PortraitError: the table cannot be read or has no column `file`.
    """
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise PortraitError(f"{path}: over {MAX_TABLE_BYTES / 2**20:.0f} MiB")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PortraitError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    rows: dict[str, Attributes] = {}
    faults: dict[str, str] = {}
    try:
        _check_columns(path, reader.fieldnames or ())
        for row in reader:
            _take_row(row, f"{path.name} line {reader.line_num}", path.name, rows, faults)
    except csv.Error as error:
        raise PortraitError(f"{path}: cannot be read as CSV: {error}") from error
    return rows, faults


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    found = ", ".join(columns) or "nothing"
    if "file" not in columns:
        raise PortraitError(f"{path}: no column 'file'; it has: {found}")
    if not set(ATTRIBUTE_COLUMNS) & set(columns):
        raise PortraitError(f"{path}: none of the columns {', '.join(ATTRIBUTE_COLUMNS)}; it has: {found}")


def _take_row(row: dict[str, str], where: str, judge: str, rows: dict[str, Attributes], faults: dict[str, str]) -> None:
    file = row["file"]
    if not file:
        faults[where] = "names no file"
    elif file in rows or file in faults:
        faults[file] = f"{where}: named a second time"
        rows.pop(file, None)
    else:
        try:
            rows[file] = _row(row, judge)
        except ValueError as error:
            faults[file] = f"{where}: {error}"


def _row(row: dict[str, str], judge: str) -> Attributes:
    if None in row:
        raise ValueError("more values than columns")
    gender, race, age = ((row.get(column) or "").strip() or None for column in ATTRIBUTE_COLUMNS)
    try:
        years = float(age) if age else None
    except ValueError:
        raise ValueError(f"apparent age {age!r} is not a number") from None
    judged = {name for name, value in (("gender", gender), ("race", race), ("age", age)) if value}
    return Attributes(gender, race, years, dict.fromkeys(sorted(judged), judge))
