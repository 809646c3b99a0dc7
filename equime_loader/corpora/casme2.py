"""CASME II (Yan et al., "CASME II: An Improved Spontaneous Micro-Expression Database", PLOS ONE, 2014).

    CASME2-coding-20140508.xlsx, CASME2-coding-20190701.xlsx, CASME2_label_Ver_2.xls
    CASME2-ObjectiveClasses.xlsx                       objective classes, where they lie beside it
    CASME2_RAW/CASME2-RAW/sub01/EP02_01f/img1.jpg      whole recordings
    CASME2_RAW_selected/sub01/EP02_01f/img46.jpg       onset to offset only, in the recording's own numbers
    Cropped/sub01/EP02_01f/reg_img46.jpg               faces, the same
    CASME2_Compressed video/sub01/EP02_01f.avi         whole recordings, where there are no pictures

Frames count from 1, at 200 per second. An apex that nobody coded is ``/``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from equime_loader.corpora.annotations import Annotation, Conventions, Span, read_span, subject_number
from equime_loader.corpora.copies import Copy
from equime_loader.corpora.corrections import name_key
from equime_loader.corpora.events import FrameFiles, Frames, Known, Reading
from equime_loader.corpora.sheets import Form, Record, find_table, read_sheets

KNOWN = Known(
    rows=255,
    events=255,
    subjects=26,
    labels={
        "others": 99,
        "disgust": 63,
        "happiness": 32,
        "repression": 27,
        "surprise": 25,
        "sadness": 7,
        "fear": 2,
    },
)
RULES = Conventions("casme2", 200.0, tuple(KNOWN.labels), restricted=frozenset({"sub12", "sub22"}))
SHEETS = (r"casme2[-_ ]coding.*", r"casme2[-_ ]label.*")
OBJECTIVE = r"casme2[-_ ]objective ?classes.*"
_COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename",),
    "onset": ("OnsetFrame", "Onset Frame", "Onset"),
    "apex": ("ApexFrame", "Apex Frame", "ApexFrame1", "Apex"),
    "offset": ("OffsetFrame", "Offset Frame", "Offset"),
    "aus": ("Action Units", "AU"),
    "label": ("Estimated Emotion", "Emotion"),
}
_OBJECTIVE = {"objective_class": ("Objective Class", "Objective Classes")}
FORMS = (
    Form("with objective classes", {**_COLUMNS, **_OBJECTIVE}),
    Form("without objective classes", _COLUMNS),
)
OBJECTIVE_FORM = Form("objective classes", {"subject": ("Subject",), "clip": ("Filename",), **_OBJECTIVE})
# Whole recordings first, since they have frames before and after the event.
ORDER = (r"raw(?!_?selected)", r"selected", r"crop", r"compressed")


def read(copy: Copy) -> Reading:
    """Every event of a copy.

    Raises:
        SheetError: no annotation, or one of no known form.
    """
    table = copy.table(SHEETS, FORMS)
    classes = _objective_classes(copy)
    rows = copy.rows(table.records, lambda record: _annotation(record, classes))
    events = []
    for row in rows:
        subject = {row.subject, f"sub{int(row.subject[3:])}"}
        candidates = copy.frames(copy.tree.ending(subject, row.clip), ORDER, first=1)
        events.append(copy.event(row, candidates, RULES, span=_span_without_offset(row, candidates)))
    return copy.reading(table.version, len(table.records), events, KNOWN)


def _annotation(record: Record, classes: Mapping[tuple[str, str], str]) -> Annotation:
    subject = f"sub{subject_number(record['subject']):02d}"
    return Annotation(
        record.where,
        subject,
        record["clip"],
        onset=record["onset"],
        apex=record["apex"],
        offset=record["offset"],
        label=record["label"],
        aus=record["aus"],
        objective_class=record.get("objective_class") or classes.get((subject, name_key(record["clip"])), ""),
    )


def _objective_classes(copy: Copy) -> dict[tuple[str, str], str]:
    """Objective class by subject and clip, from the sheet that holds nothing else; empty where it is not there."""
    found = copy.tree.named(OBJECTIVE)
    if not found:
        return {}
    table = find_table(read_sheets(found[0]), [OBJECTIVE_FORM])
    return {
        (f"sub{subject_number(record['subject']):02d}", name_key(record["clip"])): record["objective_class"]
        for record in table.records
    }


def _span_without_offset(row: Annotation, candidates: Sequence[Frames]) -> Span | None:
    """The span of a row whose offset is 0, by the copy of the clip that holds its event only; None without one."""
    if row.offset != "0":
        return None
    for frames in candidates:
        if isinstance(frames, FrameFiles):
            numbers = list(frames.paths)
            if str(numbers[0]) == row.onset and len(numbers) > 1:
                span = read_span(replace(row, offset=str(numbers[-1])), RULES)
                note = f"offset 0: {numbers[-1]}, the last frame of the folder that holds the event only"
                return replace(span, timing_by="assumed", notes=(*span.notes, note))
    return None
