"""Annotation sheets as rows of text: Excel (xlsx, xls) by calamine, CSV; and tables found in them by their headers.

Versions of a sheet differ in columns, in their order, and in the lines of text above and below. So a `Form` says which
headers a version has, and the table is looked for in every sheet of a file; sheets without a header are told by what
their rows hold.
"""

from __future__ import annotations

import csv
import datetime
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from equime_loader.corpora.packed import PackedError, extents

# Bounds at the door: far above any annotation, far below what would exhaust memory.
MAX_FILE, MAX_UNPACKED = 64 << 20, 512 << 20
MAX_ROWS, MAX_COLUMNS, MAX_CELL = 200_000, 1_000, 10_000
# Readers make room for the whole rectangle that holds a sheet's cells, so that one far cell would take all memory.
MAX_AREA = 10_000_000
# Lines of text above a header: 13 in SAMM, 10 in its long videos.
HEADER_WITHIN = 60
EXCEL, TEXT = (".xlsx", ".xls", ".xlsm"), (".csv", ".tsv")


class SheetError(ValueError):
    """An annotation that cannot be read; the message names the file and why."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a sheet, counted from 1, and its cells as text without space around."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet of a file. Blank lines are left out of `rows`; lines keep their numbers."""

    file: str
    name: str
    rows: tuple[Row, ...]

    def place(self, line: int) -> str:
        """``CASME2-coding-20140508.xlsx, line 12``, with the sheet's name where it has one."""
        return ", ".join(part for part in (self.file, self.name and f"sheet {self.name}", f"line {line}") if part)


@dataclass(frozen=True, slots=True)
class Record:
    """A row of a table: the text of each field, and where it stands."""

    where: str
    line: int
    cells: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.cells[name]

    def get(self, name: str) -> str:
        """The text of a field, empty where the sheet's version lacks it."""
        return self.cells.get(name, "")


@dataclass(frozen=True, slots=True)
class Form:
    """A version of a sheet.

    Attributes:
        columns: field to the spellings of its header; all of them must be there. Case, spaces and signs do not count.
        optional: the same for fields that a version may lack.
        positions: for sheets without a header, field to its column, from 0, instead of `columns`.
        fits: whether a row of cells is data; without it, one whose first field is filled, and another one beside it.
    """

    name: str
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    optional: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    positions: Mapping[str, int] = field(default_factory=dict)
    fits: Callable[[Mapping[str, str]], bool] | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of data under a header.

    Attributes:
        form: which version. text: rows below the header that are no data, such as a footer.
    """

    form: Form
    sheet: Sheet
    records: tuple[Record, ...]
    text: tuple[Row, ...] = ()

    @property
    def version(self) -> str:
        """``CASME2-coding-20140508.xlsx, without objective classes``"""
        return f"{self.sheet.file}, {self.form.name}"


def read_sheets(path: Path) -> tuple[Sheet, ...]:
    """Every sheet of an Excel file, or the one of a CSV file.

    Raises:
        SheetError: no such file, another format, a damaged one, or one beyond the bounds.
    """
    try:
        if (size := path.stat().st_size) > MAX_FILE:
            raise SheetError(f"{path.name}: {size:,} bytes, at most {MAX_FILE:,} are read")
        if path.suffix.lower() in EXCEL:
            return tuple(_excel(path))
        if path.suffix.lower() in TEXT:
            return (_csv(path),)
    except OSError as error:
        raise SheetError(f"{path.name}: cannot be read ({error.strerror or error})") from error
    raise SheetError(f"{path.name}: must be one of {', '.join((*EXCEL, *TEXT))}")


def _excel(path: Path) -> Iterator[Sheet]:
    try:
        import python_calamine as calamine
    except ModuleNotFoundError as error:
        raise SheetError(f"{path.name}: Excel sheets need python-calamine; pip install 'equime[corpora]'") from error
    _check_packed(path)
    try:
        with calamine.CalamineWorkbook.from_path(str(path)) as book:
            for name in book.sheet_names:
                sheet = book.get_sheet_by_name(name)
                last_row, last_column = sheet.end or (0, 0)
                _check_extent(path, last_row + 1, last_column + 1)
                yield Sheet(path.name, name, _rows(sheet.to_python(skip_empty_area=False)))
    except (calamine.CalamineError, OSError) as error:
        raise SheetError(f"{path.name}: is no Excel file that can be read ({error})") from error


def _check_packed(path: Path) -> None:
    """Refuse, before it is read, an xlsx file that unpacks to too much, or has a cell too far away."""
    if not zipfile.is_zipfile(path):
        return
    try:
        for rows, columns in extents(path, most=MAX_UNPACKED):
            _check_extent(path, rows, columns)
    except PackedError as error:
        raise SheetError(f"{path.name}: {error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise SheetError(f"{path.name}: is no Excel file that can be read ({error})") from error


def _check_extent(path: Path, rows: int, columns: int) -> None:
    if rows > MAX_ROWS or columns > MAX_COLUMNS or rows * columns > MAX_AREA:
        raise SheetError(
            f"{path.name}: {rows:,} rows and {columns:,} columns, at most {MAX_ROWS:,} and {MAX_COLUMNS:,}, and "
            f"{MAX_AREA:,} cells, are read"
        )


def _csv(path: Path) -> Sheet:
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("gb18030", "replace")  # what Excel writes on a Chinese system
    try:
        delimiter = csv.Sniffer().sniff(text[:4096], ",;\t").delimiter
    except csv.Error:
        delimiter = ","
    try:
        rows = list(csv.reader(text.splitlines(), delimiter=delimiter))
    except csv.Error as error:
        raise SheetError(f"{path.name}: cannot be read as CSV ({error})") from error
    _check_extent(path, len(rows), max(map(len, rows), default=0))
    return Sheet(path.name, "", _rows(rows))


def _rows(rows: Iterable[Sequence[Any]]) -> tuple[Row, ...]:
    texts = ((line, tuple(map(_text, cells))) for line, cells in enumerate(rows, 1))
    return tuple(Row(line, cells) for line, cells in texts if any(cells))


def _text(value: Any) -> str:
    """A cell as it is read on the screen: whole numbers without a point."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, datetime.date | datetime.time):
        value = value.isoformat()
    return " ".join(str(value)[:MAX_CELL].split()) if value is not None else ""


def header_key(text: str) -> str:
    """A header without case, spaces and signs."""
    return re.sub(r"[\W_]+", "", text.casefold())


def find_table(sheets: Sequence[Sheet], forms: Sequence[Form]) -> Table:
    """The first table that has one of the forms, forms that come first tried first.

    Raises:
        SheetError: no sheet has any of them.
    """
    for form in forms:
        for sheet in sheets:
            if table := _table(sheet, form):
                return table
    files = ", ".join(dict.fromkeys(sheet.file for sheet in sheets)) or "no file"
    wanted = "; or ".join(", ".join(spellings[0] for spellings in form.columns.values()) or form.name for form in forms)
    raise SheetError(f"{files}: no sheet has the columns {wanted}")


def _table(sheet: Sheet, form: Form) -> Table | None:
    if form.positions:
        return _rest(sheet, form, form.positions, sheet.rows)
    for number, row in enumerate(sheet.rows[:HEADER_WITHIN]):
        if columns := _columns(row, form):
            return _rest(sheet, form, columns, sheet.rows[number + 1 :], header=True)
    return None


def _columns(row: Row, form: Form) -> dict[str, int] | None:
    """Field to column, if the row is the form's header."""
    place: dict[str, int] = {}
    for number, cell in enumerate(row.cells):
        place.setdefault(header_key(cell), number)
    found = {
        name: place[key]
        for name, spellings in (*form.columns.items(), *form.optional.items())
        if (key := next((key for key in map(header_key, spellings) if key in place), None)) is not None
    }
    return found if found.keys() >= form.columns.keys() else None


def _rest(
    sheet: Sheet, form: Form, columns: Mapping[str, int], rows: Sequence[Row], *, header: bool = False
) -> Table | None:
    records: list[Record] = []
    text: list[Row] = []
    fits = form.fits or _is_data
    for row in rows:
        cells = {name: row.cells[at] if at < len(row.cells) else "" for name, at in columns.items()}
        if fits(cells):
            records.append(Record(sheet.place(row.line), row.line, MappingProxyType(cells)))
        else:
            text.append(row)
    return Table(form, sheet, tuple(records), tuple(text)) if records or header else None


def _is_data(cells: Mapping[str, str]) -> bool:
    """Whether a row is no text: it fills the first field, and another one."""
    first, *others = cells.values()
    return bool(first) and any(others)
