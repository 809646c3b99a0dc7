"""CAS(ME)² (Qu et al., IEEE TAC, 2018): micro- and macro-expressions in long recordings.

    CAS(ME)^2code_final.xlsx, …(Updated).xlsx, code_final.xlsx      the first sheet has no header
    rawpic/s15/15_0101disgustingteeth/img001.jpg                    or img1.jpg
    cropped/s15/…, selectedpic/…, rawvideo/s15/15_0101disgustingteeth.avi

The first sheet names participants 1..22 and videos ``anger1``; two more say which subject (``s15``) and which code
(``0401``) that is, and a folder's name begins with both. Its place does not count: one lies below another subject.
30 frames per second, numbered from 1. An offset 0 means that the apex is the last frame that was coded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from equime_loader.corpora.annotations import Annotation, Conventions, RowFault
from equime_loader.corpora.copies import Copy
from equime_loader.corpora.events import Known, Reading
from equime_loader.corpora.sheets import Form, Record, Sheet, SheetError, find_table

LABELS = ("negative", "positive", "surprise", "others")
KNOWN = Known(rows=357, events=357, subjects=22, expressions={"micro": 57, "macro": 300})
RULES = Conventions("casme_sq", 30.0, LABELS, no_offset="apex")
SHEETS = (r".*code_?final.*",)
_FIELDS = ("subject", "clip", "onset", "apex", "offset", "aus", "label", "expression", "reported")
_VIDEO = re.compile(r"(?P<name>[a-z]+[0-9]+)(?:_[0-9]+)?", re.IGNORECASE)


def _is_data(cells: Mapping[str, str]) -> bool:
    return cells["subject"].isdigit() and bool(_VIDEO.fullmatch(cells["clip"]))


FORM = Form(
    "no header; participant, video, onset, apex, offset, AUs, emotion, type",
    positions={name: place for place, name in enumerate(_FIELDS)},
    fits=_is_data,
)
ORDER = (r"rawpic", r"selected", r"crop", r"rawvideo")


def read(copy: Copy) -> Reading:
    """Every event of a copy.

    Raises:
        SheetError: no annotation, or one without the sheets that say which subject and which video is meant.
    """
    sheets = copy.sheets(*SHEETS)
    table = find_table(sheets, [FORM])
    for line in table.text:
        words = ", ".join(filter(None, line.cells))[:60]
        copy.ledger.left_out(table.sheet.place(line.line), words, "names no participant and video")
    others = [sheet for sheet in sheets if sheet is not table.sheet]
    subjects, codes = _subjects(others), _codes(others)
    if not subjects or not codes:
        lacking = "participants' subjects" if not subjects else "videos' codes"
        raise SheetError(f"{table.sheet.file}: no sheet with the {lacking} (naming rule 1 and 2)")
    rows = copy.rows(table.records, lambda record: _annotation(record, subjects, codes))
    events = []
    for row in rows:
        folder = rf"{row.subject[1:]}_{codes[row.clip]}(?![0-9]).*"
        events.append(copy.event(row, copy.frames(copy.tree.named(folder), ORDER, first=1), RULES))
    return copy.reading(table.version, len(table.records), events, KNOWN)


def _annotation(record: Record, subjects: Mapping[int, str], codes: Mapping[str, str]) -> Annotation:
    participant, video = int(record["subject"]), _VIDEO.fullmatch(record["clip"])
    if participant not in subjects:
        raise RowFault(f"no subject for participant {participant}")
    if video is None or video["name"].casefold() not in codes:
        raise RowFault(f"no code for video {record['clip']!r}")
    return Annotation(
        record.where,
        subjects[participant],
        video["name"].casefold(),
        onset=record["onset"],
        apex=record["apex"],
        offset=record["offset"],
        label=record["label"],
        aus=record["aus"],
        expression=record["expression"],
    )


def _subjects(sheets: Sequence[Sheet]) -> dict[int, str]:
    """``s15`` of each participant: a sheet with a column of 1, 2, 3, … and one of subjects from 15."""
    for sheet in sheets:
        columns = [[_subject_number(cell) for cell in column] for column in _columns(sheet)]
        participants = [column for column in columns if set(_known(column)) >= {1, 2, 3} and max(_known(column)) <= 22]
        subjects = [column for column in columns if _known(column) and min(_known(column)) >= 15]
        if participants and subjects:
            pairs = zip(participants[-1], subjects[-1], strict=True)
            return {number: f"s{subject}" for number, subject in pairs if number and subject}
    return {}


def _subject_number(cell: str) -> int | None:
    found = re.fullmatch(r"s?([0-9]{1,2})", cell, re.IGNORECASE)
    return int(found[1]) if found else None


def _known(column: Sequence[int | None]) -> list[int]:
    return [number for number in column if number is not None]


def _codes(sheets: Sequence[Sheet]) -> dict[str, str]:
    """``0401`` of each video: rows that hold a name such as ``anger1`` and a code, which may have lost its zero."""
    codes: dict[str, str] = {}
    for sheet in sheets:
        for row in sheet.rows:
            names = [cell.casefold() for cell in row.cells if re.fullmatch(r"[A-Za-z]+[0-9]+", cell)]
            numbers = [cell.zfill(4) for cell in row.cells if re.fullmatch(r"[0-9]{3,4}", cell)]
            if names and numbers:
                codes[names[0]] = numbers[0]
    return codes


def _columns(sheet: Sheet) -> list[tuple[str, ...]]:
    width = max(len(row.cells) for row in sheet.rows) if sheet.rows else 0
    return [tuple(row.cells[at] if at < len(row.cells) else "" for row in sheet.rows) for at in range(width)]
