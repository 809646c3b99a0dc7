"""SAMM (Davison et al., "SAMM: A Spontaneous Micro-Facial Movement Dataset", IEEE TAC, 2018).

    SAMM_Micro_FACS_Codes_v2.xlsx              text above the header
    SAMM/006/006_1_2/006_05562.jpg             subject, clip; numbers of the recording, padded differently by clip
    SAMM_CROP/006/006_1_2/…                    faces, by others

Gray, 200 frames per second. Codings carry intensities and sides; `Duration` counts both ends.
"""

from __future__ import annotations

from equime_loader.corpora.annotations import Annotation, Conventions, RowFault, subject_number
from equime_loader.corpora.copies import Copy
from equime_loader.corpora.events import Known, Reading
from equime_loader.corpora.sheets import Form, Record

KNOWN = Known(
    rows=159,
    events=159,
    subjects=29,
    labels={
        "anger": 57,
        "others": 26,
        "happiness": 26,
        "surprise": 15,
        "contempt": 12,
        "disgust": 9,
        "fear": 8,
        "sadness": 6,
    },
)
RULES = Conventions("samm", 200.0, tuple(KNOWN.labels))
SHEETS = (r"samm.*micro.*codes.*", r"samm[^/]*codes.*", r"samm\.(xlsx?|csv)")
COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename",),
    "onset": ("Onset Frame", "Onset"),
    "apex": ("Apex Frame", "Apex"),
    "offset": ("Offset Frame", "Offset"),
    "aus": ("Action Units", "AU"),
}
FORMS = (
    Form(
        "micro-expressions with emotions",
        {**COLUMNS, "label": ("Estimated Emotion", "Emotion")},
        {
            "duration": ("Duration",),
            "expression": ("Micro",),
            "objective_class": ("Objective Classes", "Objective Class"),
        },
    ),
)
ORDER = (r"^(?!.*crop)", r"crop")


def read(copy: Copy) -> Reading:
    """Every event of a copy.

    Raises:
        SheetError: no annotation, or one of no known form.
    """
    table = copy.table(SHEETS, FORMS)
    for record in table.records:
        check_duration(copy, record)
    rows = copy.rows(table.records, _annotation)
    events = []
    for row in rows:
        subject = (row.subject, str(int(row.subject)))
        events.append(copy.event(row, copy.frames(copy.tree.ending(subject, row.clip), ORDER), RULES))
    return copy.reading(table.version, len(table.records), events, KNOWN)


def _annotation(record: Record) -> Annotation:
    return Annotation(
        record.where,
        subject_name(record),
        record["clip"],
        onset=record["onset"],
        apex=record["apex"],
        offset=record["offset"],
        label=record["label"],
        aus=record["aus"],
        objective_class=record.get("objective_class"),
        expression=record.get("expression") or "micro",
    )


def subject_name(record: Record) -> str:
    """``006``, by the sheet and by the clip's name.

    Raises:
        RowFault: they contradict each other.
    """
    subject, prefix = subject_number(record["subject"]), record["clip"].split("_")[0]
    if not prefix.isdigit() or int(prefix) != subject:
        raise RowFault(f"Subject {record['subject']!r} is not the one of Filename {record['clip']!r}")
    return f"{subject:03d}"


def check_duration(copy: Copy, record: Record) -> None:
    """A finding where a row's duration is not the one of its frames: one of its numbers is wrong."""
    numbers = [record.get(name) for name in ("duration", "onset", "offset")]
    if all(number.isdigit() for number in numbers):
        duration, onset, offset = map(int, numbers)
        if duration != offset - onset + 1:
            reason = f"Duration {duration} is not the {offset - onset + 1} frames of {onset}..{offset}, which are read"
            copy.ledger.kept(record.where, f"{record['subject']}/{record['clip']}", reason)
