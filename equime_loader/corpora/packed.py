"""How far the cells of an xlsx file reach, told before a reader makes room for the rectangle that holds them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from functools import reduce
from pathlib import Path
from xml.parsers import expat

PARTS = (".xml", ".rels")
CHUNK = 1 << 20


class PackedError(ValueError):
    """A part of an xlsx file that is not what readers take it for; the message says why."""


def extents(path: Path, *, most: int) -> Iterator[tuple[int, int]]:
    """Last row and last column, from 1, of the cells that hold something, part by part; 0 where a part has none.

    Every part is looked at, since a workbook may keep a sheet under any name. Formatted cells that hold nothing may lie
    anywhere.

    Args:
        most: bytes that the file may unpack to.

    Raises:
        PackedError: it unpacks to more, or a part is no plain XML. zipfile.BadZipFile: it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > most:
            raise PackedError(f"unpacks to more than {most:,} bytes")
        for member in members:
            if member.filename.lower().endswith(PARTS):
                cells = _Cells()
                with archive.open(member) as part:
                    while chunk := part.read(CHUNK):
                        cells.feed(chunk)
                yield cells.last_row, cells.last_column


class _Cells:
    """Follows the rows and cells of a part as a reader of sheets does."""

    def __init__(self) -> None:
        self.last_row = self.last_column = 0
        self._row = self._column = 0
        self._within = False
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.EntityDeclHandler = _refuse_entities

    def feed(self, chunk: bytes) -> None:
        """The next bytes of the part.

        Raises:
            PackedError: they are no XML, have entities, or a sheet that is no XML part.
        """
        try:
            self._parser.Parse(chunk)
        except expat.ExpatError as error:
            raise PackedError(f"a part is no XML ({error})") from error

    def _start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self._within:  # a value, a formula, or text
            self.last_row, self.last_column = max(self.last_row, self._row), max(self.last_column, self._column)
        name = tag.rpartition(":")[2]
        if name == "row":
            self._row, self._column = _whole(attributes.get("r")) or self._row + 1, 0
        elif name == "c":
            self._place(attributes.get("r"))
            self._within = True
        elif name == "Relationship":
            _check_target(attributes.get("Type", ""), attributes.get("Target", ""))

    def _place(self, reference: str | None) -> None:
        """Where a cell such as ``AB12`` lies; one without a reference follows the one before it."""
        letters = (reference or "").rstrip("0123456789").upper()
        if not (letters.isascii() and letters.isalpha()):
            self._column += 1
            return
        self._column = reduce(lambda number, letter: 26 * number + ord(letter) - 64, letters[:8], 0)
        self._row = _whole((reference or "")[len(letters) :]) or self._row

    def _end(self, tag: str) -> None:
        self._within = self._within and tag.rpartition(":")[2] != "c"


def _check_target(kind: str, target: str) -> None:
    if kind.endswith("/worksheet") and not target.lower().endswith(PARTS):
        raise PackedError("a sheet lies in a part that is no .xml")


def _whole(text: str | None) -> int:
    return int(text) if text and len(text) < 10 and text.isascii() and text.isdigit() else 0


def _refuse_entities(*_: object) -> None:
    raise PackedError("a part declares entities")
