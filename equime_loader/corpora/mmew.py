"""MMEW (Ben et al., "Video-Based Facial Micro-Expression Analysis: A Survey of Datasets, Features and Algorithms", IEEE
TPAMI 44(9), 2022).

    MMEW_Micro_Exp.xlsx, MMEW_Micro_Exp_v2.xlsx, a CSV file of the same columns
    Micro_Expression/happiness/S01-01-001/1.jpg         onset to offset, counted from 1, 90 frames per second
    Micro_Expression/S01/happiness/S01-01-001/1.jpg     the same, in releases with a level for subjects

The folder of a clip's label says the same as the sheet. `Macro_Expression` holds single pictures without timing, which
are no events.
"""

from __future__ import annotations

import re
from pathlib import Path

from equime_loader.corpora.annotations import Annotation, Conventions, RowFault, subject_number
from equime_loader.corpora.classes import SYNONYMS
from equime_loader.corpora.copies import Copy
from equime_loader.corpora.events import Known, Reading
from equime_loader.corpora.sheets import Form, Record

KNOWN = Known(
    rows=300,
    events=300,
    labels={
        "surprise": 89,
        "disgust": 72,
        "others": 66,
        "happiness": 36,
        "fear": 16,
        "sadness": 13,
        "anger": 8,
    },
)
RULES = Conventions("mmew", 90.0, tuple(KNOWN.labels))
SHEETS = (r"mmew_?micro_?exp.*",)
FORMS = (
    Form(
        "micro-expressions",
        {
            "subject": ("Subject",),
            "clip": ("Filename",),
            "onset": ("OnsetFrame", "Onset Frame"),
            "apex": ("ApexFrame", "Apex Frame"),
            "offset": ("OffsetFrame", "Offset Frame"),
            "aus": ("Action Units", "AU"),
            "label": ("Estimated Emotion", "Emotion"),
        },
    ),
)


def read(copy: Copy) -> Reading:
    """Every micro-expression of a copy.

    Raises:
        SheetError: no annotation, or one of no known form.
    """
    table = copy.table(SHEETS, FORMS)
    events = []
    for row in copy.rows(table.records, _annotation):
        places = copy.tree.ending(row.clip)
        _compare_folder(copy, row, places)
        events.append(copy.event(row, copy.frames(places), RULES))
    return copy.reading(table.version, len(table.records), events, KNOWN)


def _annotation(record: Record) -> Annotation:
    clip = record["clip"]
    subject = subject_number(record["subject"])
    named = re.match(r"S([0-9]+)-", clip, re.IGNORECASE)
    if named and int(named[1]) != subject:
        raise RowFault(f"subject {record['subject']!r} is not that of {clip!r}")
    return Annotation(
        record.where,
        f"S{subject:02d}",
        clip,
        onset=record["onset"],
        apex=record["apex"],
        offset=record["offset"],
        label=record["label"],
        aus=record["aus"],
    )


def _compare_folder(copy: Copy, row: Annotation, places: list[Path]) -> None:
    """A finding where the clip's frames lie in the folder of another label; the sheet's label is kept."""
    label = row.label.casefold()
    for path in places:
        folder = path.parent.name.casefold()
        if (word := SYNONYMS.get(folder, folder)) in KNOWN.labels and word != SYNONYMS.get(label, label):
            copy.ledger.kept(
                row.where, row.name, f"lies in the folder {path.parent.name!r}, the sheet says {row.label!r}"
            )
