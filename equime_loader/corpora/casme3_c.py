"""CAS(ME)³, part C: a mock crime, with physiological signals (paper: see part A).

    CAS(ME)3_part_C_ME.xlsx                    micro-expressions with their emotions, no apex
    part_C/…/01/1/color/355.jpg                the frames of a subject's first micro-expression, or
    part_C/…/01/color/355.jpg, …/01.mp4        a subject's whole recording of some 8 minutes, 30 frames per second
    part_C/…/1.txt                             a subject's signals, 200 per second

A text file holds time, PPG, RSP, ECG, EDA and a marker, whose first 5 says when the recording of pictures began.
The workbook of onsets and risks beside it (`CAS(ME)3_part_C.xls`) has no AUs and no emotions, and is not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from equime_loader.corpora.annotations import Annotation, Conventions, RowFault, subject_number
from equime_loader.corpora.copies import Copy
from equime_loader.corpora.events import Known, Reading, SignalSource
from equime_loader.corpora.recordings import Device, Shelf, TrialSource, open_text
from equime_loader.corpora.sheets import Form, Record

KNOWN = Known(rows=165, events=165, subjects=30, labels={"negative": 99, "surprise": 30, "others": 20, "positive": 16})
RULES = Conventions("casme3_c", 30.0, tuple(KNOWN.labels), apex="halfway")
SHEETS = (r"cas\(me\)3_part_c_me.*",)
FORMS = (
    Form(
        "micro-expressions of the mock crime",
        {
            "subject": ("sub", "Subject"),
            "clip": ("count",),
            "onset": ("onset",),
            "offset": ("offset",),
            "aus": ("au", "AU"),
            "label": ("emotion",),
        },
    ),
)
SIGNALS = {"ppg": 1, "rsp": 2, "ecg": 3, "eda": 4}
MARKER_COLUMN, MARKER, RATE_HZ = 5, 5, 200.0
_open: Callable[[Path], Device] = partial(open_text, columns=SIGNALS, marker=MARKER_COLUMN, rate_hz=RATE_HZ)


def read(copy: Copy) -> Reading:
    """Every event of a copy.

    Raises:
        SheetError: no annotation, or one of no known form.
    """
    table = copy.table(SHEETS, FORMS)
    rows = copy.rows(table.records, _annotation)
    texts, shelf = _texts(copy), Shelf()
    events = []
    for row in rows:
        signals = _signals(texts[int(row.subject)], shelf) if int(row.subject) in texts else ()
        # A subject's whole recording has what lies around the event.
        candidates = [*copy.frames(_whole(copy, row)), *copy.frames(_parts(copy, row), ("/color$",))]
        events.append(copy.event(row, candidates, RULES, signals=signals))
    return copy.reading(table.version, len(table.records), events, KNOWN)


def _whole(copy: Copy, row: Annotation) -> list[Path]:
    """Recordings of the whole subject. Folders of single events have numbers, too, but lie in one of a number."""
    names = (row.subject, f"sub{row.subject}")
    colors = [path for path in copy.tree.ending(names, "color") if not path.parent.parent.name.isdigit()]
    return [*colors, *(path for path in copy.tree.ending(names) if not path.parent.name.isdigit())]


def _parts(copy: Copy, row: Annotation) -> list[Path]:
    names = (row.subject, f"sub{row.subject}", str(int(row.subject)))
    return [*copy.tree.ending(names, row.clip, "color"), *copy.tree.ending(names, row.clip)]


def _annotation(record: Record) -> Annotation:
    if not record["clip"].isdigit():
        raise RowFault(f"count {record['clip']!r} is no number")
    return Annotation(
        record.where,
        f"{subject_number(record['subject']):02d}",
        str(int(record["clip"])),
        onset=record["onset"],
        offset=record["offset"],
        label=record["label"],
        aus=record["aus"],
    )


def _texts(copy: Copy) -> dict[int, Path]:
    """The text file of each subject, named by the subject's number."""
    found: dict[int, Path] = {}
    for folder in (copy.tree.root, *copy.tree.named(r".*(physio|signal|txt|new|part_?c).*")):
        if folder.is_dir():
            for path in sorted(folder.glob("*.txt")):
                if match := re.fullmatch(r"(?:sub)?0*([0-9]{1,3})", path.stem, re.IGNORECASE):
                    found.setdefault(int(match[1]), path)
    return found


def _signals(path: Path, shelf: Shelf) -> tuple[SignalSource, ...]:
    return tuple(TrialSource(name, (path,), _open, shelf, _seconds, RULES.fps, MARKER) for name in SIGNALS)


def _seconds(frame: int) -> float:
    """When a frame was taken, in seconds after the marker, as the corpus' own script counts."""
    return frame / RULES.fps
