"""DFME (Zhao et al., "DFME: A New Benchmark for Dynamic Facial Micro-Expression Recognition", IEEE Transactions on
Affective Computing 15(3), 2024), as its challenge gives it.

    train_full_with_AU.xlsx, testA_full_with_AU.xlsx, testB_full_with_AU.xlsx
    …/sub0003/sub0003_01/0.jpg          onset to offset, counted from 0; 200, 300 or 500 frames per second, by the row

All sheets that lie there are read.
"""

from __future__ import annotations

from pathlib import Path

from equime_loader.corpora.annotations import Annotation, Conventions, RowFault
from equime_loader.corpora.copies import Copy
from equime_loader.corpora.events import Known, Reading
from equime_loader.corpora.sheets import Form, Record, find_table, read_sheets

# The numbers of emotions in the sheets.
EMOTIONS = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
RULES = Conventions("dfme", 200.0, EMOTIONS, first_frame=0, each_fps=True)
# Rows and subjects of each sheet, and how its file is named.
PARTS = {"train": (1856, 176), "testA": (474, 42), "testB": (299, 41)}
LABELS = {"happiness": 311, "sadness": 359, "surprise": 447, "disgust": 735, "anger": 241}
FORM = Form(
    "with AUs",
    {
        "subject": ("Subject",),
        "clip": ("Filename",),
        "onset": ("OnsetFrame",),
        "apex": ("ApexFrame",),
        "offset": ("OffsetFrame",),
        "label": ("Emotion",),
        "fps": ("Fps",),
        "aus": ("AU", "Action Units"),
    },
    {"number": ("EmotionId",)},
)
WITHOUT_AUS = Form("without AUs", {name: key for name, key in FORM.columns.items() if name != "aus"}, FORM.optional)


def read(copy: Copy) -> Reading:
    """Every event of the parts that a copy has.

    Raises:
        SheetError: no annotation, or one of no known form.
    """
    records: list[Record] = []
    versions: list[str] = []
    parts: list[str] = []
    for part, path in _sheets(copy).items():
        table = find_table(read_sheets(path), [FORM, WITHOUT_AUS])
        records += table.records
        versions.append(table.version)
        parts += [part] if part in PARTS else []
    events = []
    for row in copy.rows(records, _annotation):
        places = copy.tree.ending(row.subject, row.clip) or copy.tree.ending(row.clip)
        events.append(copy.event(row, copy.frames(places), RULES))
    return copy.reading("; ".join(versions), len(records), events, _known(parts))


def _sheets(copy: Copy) -> dict[str, Path]:
    """Annotation files by the part that they are of; of several, one whose name says that it has AUs."""
    sheets: dict[str, Path] = {}
    for part in PARTS:
        paths = copy.tree.named(rf"(.*[^a-z])?{part[:-1]}_?{part[-1]}(?![a-z]).*\.(xlsx?|csv)")
        paths = sorted(paths, key=lambda path: "au" not in path.stem.casefold())
        if paths:
            sheets[part] = paths[0]
        if others := ", ".join(copy.tree.relative(path) for path in paths[1:]):
            copy.ledger.kept("annotation", copy.tree.relative(paths[0]), f"read; others lie beside it: {others}")
    if (given := copy.annotation()) is not None:
        return {next((part for part, path in sheets.items() if path.samefile(given)), given.name): given}
    if not sheets:
        raise copy.no_sheet()
    return sheets


def _known(parts: list[str]) -> Known:
    rows, subjects = (sum(PARTS[part][place] for part in parts) or None for place in (0, 1))
    return Known(rows, rows, subjects, LABELS if len(parts) == len(PARTS) else {})


def _annotation(record: Record) -> Annotation:
    number, label = record.get("number"), record["label"]
    if number and (not number.isdigit() or EMOTIONS[int(number) :][:1] != (label.casefold(),)):
        raise RowFault(f"emotion {label!r} is not number {number}")
    return Annotation(
        record.where,
        record["subject"],
        record["clip"],
        onset=record["onset"],
        apex=record["apex"],
        offset=record["offset"],
        label=label,
        aus=record.get("aus"),
        fps=record["fps"],
    )
