"""Corrections that a user gives for rows that cannot be right: a CSV file, applied by name, never by row number.

    corpus,subject,clip,onset,field,value
    casme2,sub17,EP05_02f,45,offset,91

`onset` is what the sheet says, and tells the events of one clip apart; empty, it means every event of the clip.
`field` is one of `FIELDS`. Subjects and clips are compared without case and without leading zeros.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from equime_loader.corpora.annotations import Annotation, Ledger
from equime_loader.corpora.sheets import Form, Record, SheetError, find_table, read_sheets

FIELDS: tuple[str, ...] = ("onset", "apex", "offset", "label", "aus", "objective_class", "expression", "fps")
_COLUMNS = ("corpus", "subject", "clip", "onset", "field", "value")
_FORM = Form("corrections", {name: (name,) for name in _COLUMNS}, fits=lambda cells: bool(cells["corpus"]))


@dataclass(frozen=True, slots=True)
class Correction:
    """One field of an event, or of all events of a clip, and what it is to be."""

    where: str
    corpus: str
    subject: str
    clip: str
    onset: str
    field: str
    value: str

    def means(self, row: Annotation) -> bool:
        """Whether it is for this row."""
        return (
            name_key(self.subject) == name_key(row.subject)
            and name_key(self.clip) == name_key(row.clip)
            and self.onset in ("", row.onset)
        )


def name_key(name: str) -> str:
    """A subject's or clip's name without case and leading zeros: ``sub01``, ``Sub1`` and ``1`` are one subject."""
    plain = re.sub(r"0*([0-9]+)", r"\1", name.strip().casefold())
    number = re.fullmatch(r"(?:sub|subject|s|sp|spno\.?)?([0-9]+)", plain)
    return number[1] if number else plain


def read_corrections(path: Path) -> tuple[Correction, ...]:
    """The corrections of a file.

    Raises:
        SheetError: it cannot be read, or lacks a column.
    """
    return tuple(_correction(record) for record in find_table(read_sheets(path), [_FORM]).records)


def _correction(record: Record) -> Correction:
    if record["field"] not in FIELDS:
        raise SheetError(f"{record.where}: field {record['field']!r} must be one of {', '.join(FIELDS)}")
    return Correction(record.where, **{name: record[name] for name in _COLUMNS})


def corrected(
    rows: Iterable[Annotation], corrections: Iterable[Correction], corpus: str, ledger: Ledger
) -> tuple[Annotation, ...]:
    """Rows with the corrections of their corpus applied. A correction whose event is not there is a finding."""
    wanted = [correction for correction in corrections if correction.corpus == corpus]
    result: list[Annotation] = []
    used: set[str] = set()
    for row in rows:
        new = row
        for correction in wanted:
            if correction.means(row):
                used.add(correction.where)
                old = getattr(new, correction.field)
                ledger.kept(row.where, row.name, f"{correction.field} {old!r} corrected to {correction.value!r}")
                new = replace(new, **{correction.field: correction.value})
        result.append(new)
    for correction in wanted:
        if correction.where not in used:
            at = f" with onset {correction.onset}" if correction.onset else ""
            ledger.kept(correction.where, f"{correction.subject}/{correction.clip}", f"no such event{at} to correct")
    return tuple(result)
