"""A stand-in of DFME: three sheets, a frame rate in every row, frames counted from 0, and faults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from corpora.stand_in import SIZE, Cell, Made, Planned, plan, write_frames, write_xlsx

LABELS = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
HEADER = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "EmotionId", "Fps", "AU")
PARTS = ("train", "testA", "testB")
RATES = (200, 300, 500)
AUS = ("L12", "R1+R2+R5", "4+7", "AD38", "4+M57")


def make(
    root: Path,
    *,
    subjects: int = 4,
    seed: int = 0,
    clips: int = 3,
    parts: tuple[str, ...] = PARTS,
    quirks: bool = True,
    size: int = SIZE,
) -> Made:
    """Subjects are dealt out to the parts in turn."""
    names = [
        (f"sub{subject:04d}", f"sub{subject:04d}_{clip:02d}")
        for subject in range(1, subjects + 1)
        for clip in range(1, clips + 1)
    ]
    planned = [_from_zero(event, number) for number, event in enumerate(plan(names, LABELS, seed=seed))]
    for event in planned:
        write_frames(root / "frames" / event.subject / event.clip, "{}.jpg".format, event, size=size, color=True)
    rows: dict[str, list[list[Cell]]] = {part: [] for part in parts}
    for number, event in enumerate(planned):
        rows[parts[int(event.subject[3:]) % len(parts)]].append(_row(event, number))
    made = Made(root, len(planned), {event.key: event for event in planned})
    if quirks:
        made = _spoil(root, rows[parts[0]], made, seed, size)
    for part, table in rows.items():
        write_xlsx(root / "annotation" / f"{part}_full_with_AU.xlsx", {"Sheet1": [list(HEADER), *table]})
    return made


def _from_zero(event: Planned, number: int) -> Planned:
    """About half of the events begin with their clip, and some have their apex there."""
    shift = event.onset if number % 2 else event.onset - 5
    moments = {name: getattr(event, name) - shift for name in ("onset", "apex", "offset", "last")}
    moved = replace(event, first=0, **moments)
    return replace(moved, apex=0) if number == 1 else moved


def _row(event: Planned, number: int) -> list[Cell]:
    moments = (event.onset, event.apex, event.offset)
    about = (event.label, LABELS.index(event.label), RATES[number % len(RATES)], AUS[number % len(AUS)])
    return [event.subject, event.clip, *moments, *about]


def _spoil(root: Path, rows: list[list[Cell]], made: Made, seed: int, size: int) -> Made:
    names = [("sub0900", f"sub0900_{number:02d}") for number in range(1, 5)]
    planned = [_from_zero(event, 2 * number) for number, event in enumerate(plan(names, LABELS, seed=seed + 1))]
    for event in (*planned[:2], planned[3]):
        write_frames(root / "frames" / event.subject / event.clip, "{}.jpg".format, event, size=size)
    own = [_row(event, number) for number, event in enumerate(planned)]
    own[0][6] = 5
    own[1][7] = 0
    own[3][7] = None
    rows += own
    left_out = {"sub0900_01": "is not number 5", "sub0900_02": "frame rate '0'", "sub0900_03": "no folder of frames"}
    left_out["sub0900_04"] = "no frame rate"
    return replace(made, rows=made.rows + len(own), left_out=left_out)
