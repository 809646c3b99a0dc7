"""A stand-in of MMEW: its sheet as Excel and CSV, its folders with and without a level for subjects, faults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from corpora.stand_in import AU_OF, SIZE, Cell, Made, Planned, plan, write_csv, write_frames, write_xlsx

LABELS = ("happiness", "surprise", "disgust", "others", "sadness", "fear", "anger")
HEADER = (
    *("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion"),
    "remarks",
)
VERSIONS = ("MMEW_Micro_Exp.xlsx", "MMEW_Micro_Exp_v2.xlsx", "MMEW_Micro_Exp (20).xlsx", "MMEW_Micro_Exp.csv")


def make(
    root: Path,
    *,
    subjects: int = 4,
    seed: int = 0,
    clips: int = 3,
    version: str = VERSIONS[0],
    level: bool = False,
    quirks: bool = True,
    size: int = SIZE,
) -> Made:
    """`level`: folders of subjects above those of emotions."""
    names, labels = [], []
    for subject in range(1, subjects + 1):
        for clip in range(clips):
            labels.append(LABELS[(subject + clip) % len(LABELS)])
            names.append((f"S{subject:02d}", f"S{subject:02d}-{LABELS.index(labels[-1]) + 1:02d}-{clip + 1:03d}"))
    planned = [_trimmed(event, label) for event, label in zip(plan(names, LABELS, seed=seed), labels, strict=True)]
    for event in planned:
        write_frames(_folder(root, event, level), "{}.jpg".format, event, size=size, color=True)
    rows = [_row(event, number) for number, event in enumerate(planned)]
    made = Made(root, len(rows), {event.key: event for event in planned})
    if quirks:
        made = _spoil(root, rows, made, seed, level, size)
    table = [list(HEADER), *rows]
    if version.endswith(".csv"):
        write_csv(root / version, table)
    else:
        write_xlsx(root / version, {"Sheet1": table})
    macro = root / "Macro_Expression" / "S01" / "anger"
    write_frames(macro, "S01-07-{:03d}.jpg".format, planned[0], numbers=range(1, 3), size=size)
    return made


def _trimmed(event: Planned, label: str) -> Planned:
    """Clips hold the event only, counted from 1."""
    shift = event.onset - 1
    moments = {name: getattr(event, name) - shift for name in ("onset", "apex", "offset")}
    return replace(event, label=label, first=1, last=event.offset - shift, **moments)


def _folder(root: Path, event: Planned, level: bool) -> Path:
    above = root / "Micro_Expression" / (event.subject if level else "")
    return above / event.label / event.clip


def _row(event: Planned, number: int) -> list[Cell]:
    subject: Cell = (event.subject, int(event.subject[1:]))[number % 2]
    return [subject, event.clip, event.onset, event.apex, event.offset, AU_OF[event.label], event.label.title(), None]


def _spoil(root: Path, rows: list[list[Cell]], made: Made, seed: int, level: bool, size: int) -> Made:
    names = [("S30", f"S30-01-{number:03d}") for number in range(1, 8)]
    planned = {event.clip: _trimmed(event, "happiness") for event in plan(names, LABELS, seed=seed + 1)}
    for clip, event in planned.items():
        elsewhere = replace(event, label="disgust") if clip.endswith("006") else event
        write_frames(_folder(root, elsewhere, level), "{}.jpg".format, event, size=size, color=True)
    wrong: dict[str, dict[int, Cell]] = {
        "S30-01-001": {3: "/"},
        "S30-01-002": {3: planned["S30-01-002"].offset + 4},
        "S30-01-003": {4: planned["S30-01-003"].offset + 40},
        "S30-01-004": {4: None},
        "S30-01-005": {0: "S29"},
        "S30-01-007": {6: "repression"},
    }
    for number, (clip, event) in enumerate(planned.items()):
        row = _row(event, number)
        for column, cell in wrong.get(clip, {}).items():
            row[column] = cell
        rows.append(row)
    halfway = planned["S30-01-001"]
    halfway = replace(halfway, apex=(halfway.onset + halfway.offset) // 2)
    left_out = {
        "S30/S30-01-002": "apex",
        "S30/S30-01-003": "frames",
        "S30/S30-01-004": "offset ''",
        "S29/S30-01-005": "is not that of",
        "S30/S30-01-007": "label 'repression'",
    }
    noticed = {"S30/S30-01-001": "taken halfway", "S30/S30-01-006": "lies in the folder 'disgust'"}
    read = {event.key: event for event in (halfway, planned["S30-01-006"])}
    return Made(root, len(rows), {**made.events, **read}, left_out, noticed)
