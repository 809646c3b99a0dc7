"""Stand-in corpora: synthetic copies with the layout of a real one, no row and no picture of it.

A small face is drawn whose motion depends on the emotion, so that a model can learn from it. `make_*.py` beside this
module write one corpus each: `make(root, subjects=, seed=)` gives a `Made`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Cell = str | int | float | None
SIZE = 64

# What moves at full strength, in pixels of a face of 64: brows (inner, outer), mouth corners and nose up, eyes wider.
MOTIONS: Mapping[str, Mapping[str, float]] = {
    "happiness": {"corners": 4.0},
    "positive": {"corners": 4.0},
    "surprise": {"inner": 4.0, "outer": 4.0, "eyes": 1.5},
    "negative": {"inner": -4.0, "outer": -3.0},
    "anger": {"inner": -4.0, "outer": -3.0},
    "disgust": {"nose": 3.0, "inner": -2.0},
    "sadness": {"inner": 3.0, "corners": -3.0},
    "fear": {"inner": 3.0, "eyes": 2.0},
    "repression": {"corners": -2.0, "inner": -1.0},
    "contempt": {"left corner": 4.0},
    "others": {"eyes": -2.0},
}
# An AU that goes with each emotion, for sheets.
AU_OF: Mapping[str, str] = {
    "happiness": "12",
    "positive": "12",
    "surprise": "1+2",
    "negative": "4",
    "anger": "4+7",
    "disgust": "9",
    "sadness": "1+15",
    "fear": "1+5",
    "repression": "15",
    "contempt": "L14",
    "others": "43",
}


@dataclass(frozen=True)
class Planned:
    """An event of a stand-in, in the recording's own frame numbers, first..last the frames that exist."""

    subject: str
    clip: str
    label: str
    first: int
    onset: int
    apex: int
    offset: int
    last: int

    @property
    def key(self) -> tuple[str, str, int]:
        return self.subject, self.clip, self.onset


@dataclass(frozen=True)
class Made:
    """What was written.

    Attributes:
        rows: rows of data in the annotation. events: (subject, clip, onset) to what must be read.
        left_out: part of a finding's name to part of its reason, for every row that must not be read.
        noticed: the same for what is read by a convention.
    """

    root: Path
    rows: int
    events: Mapping[tuple[str, str, int], Planned]
    left_out: Mapping[str, str] = field(default_factory=dict)
    noticed: Mapping[str, str] = field(default_factory=dict)


def draw_face(
    label: str, strength: float, *, identity: int, size: int = SIZE, color: bool = False
) -> NDArray[np.uint8]:
    """(size, size) or (size, size, 3) uint8: the face of a person, `strength` 0..1 of the way to an emotion's apex."""
    rng = np.random.default_rng(identity)
    skin, scale = int(rng.integers(140, 200)), size / 64
    shift, wide = rng.uniform(-2, 2, 2), rng.uniform(0.9, 1.1)
    move = {name: strength * pixels for name, pixels in MOTIONS[label].items()}
    picture = np.full((size, size), 60, np.uint8)

    def place(x: float, y: float) -> tuple[int, int]:  # sixteenths of a pixel, so that motion is smooth
        at = (np.array([32 + (x - 32) * wide, y]) + shift) * scale * 16
        return round(float(at[0])), round(float(at[1]))

    def axes(width: float, height: float) -> tuple[int, int]:
        return round(width * scale * 16), round(max(height, 0.4) * scale * 16)

    def line(points: Sequence[tuple[float, float]], shade: int) -> None:
        corners = np.array([place(*point) for point in points], np.int32)
        cv2.polylines(picture, [corners], False, shade, max(1, round(2 * scale)), cv2.LINE_AA, 4)

    cv2.ellipse(picture, place(32, 32), axes(24, 29), 0, 0, 360, skin, -1, cv2.LINE_AA, 4)
    inner, outer = move.get("inner", 0.0), move.get("outer", 0.0)
    for side in (-1, 1):
        cv2.ellipse(picture, place(32 + 10 * side, 27), axes(4, 2 + move.get("eyes", 0.0)), 0, 0, 360, 30, -1, 16, 4)
        line(
            [(32 + 4 * side, 19 - inner), (32 + 10 * side, 18 - (inner + outer) / 2), (32 + 16 * side, 20 - outer)], 50
        )
    line([(29, 38 - move.get("nose", 0.0)), (32, 40 - move.get("nose", 0.0)), (35, 38 - move.get("nose", 0.0))], 90)
    both = move.get("corners", 0.0)
    line([(23, 49 - both), (32, 50), (41, 49 - both - move.get("left corner", 0.0))], 70)
    noisy = picture + np.random.default_rng(identity + 1).normal(0, 3, picture.shape)
    gray = np.clip(noisy, 0, 255).astype(np.uint8)
    return cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR) if color else gray


def strength_at(event: Planned, number: int) -> float:
    """How far the expression has come in a frame: 0 outside onset..offset, 1 at the apex."""
    if not event.onset < number < event.offset:
        return 0.0 if number != event.apex else 1.0
    side = event.onset if number <= event.apex else event.offset
    return 0.5 - 0.5 * float(np.cos(np.pi * abs(number - side) / max(1, abs(event.apex - side))))


def write_frames(
    folder: Path,
    name: Callable[[int], str],
    events: Planned | Sequence[Planned],
    *,
    numbers: Iterable[int] | None = None,
    identity: int | None = None,
    size: int = SIZE,
    color: bool = False,
) -> None:
    """A recording's frames, named by `name` from their numbers; by default all from the first to the last."""
    several = [events] if isinstance(events, Planned) else list(events)
    folder.mkdir(parents=True, exist_ok=True)
    person = sum(several[0].subject.encode()) if identity is None else identity
    if numbers is None:
        numbers = range(min(event.first for event in several), max(event.last for event in several) + 1)
    still: bytes | None = None
    for number in numbers:
        event = max(several, key=lambda event: strength_at(event, number))
        strength = strength_at(event, number)
        if strength or still is None or Path(name(number)).suffix == ".tif":
            picture = draw_face(event.label, strength, identity=person, size=size, color=color)
            data = cv2.imencode(Path(name(number)).suffix, picture)[1].tobytes()
            still = still or (data if not strength else None)
        else:
            data = still
        (folder / name(number)).write_bytes(data)


def plan(
    names: Iterable[tuple[str, str]],
    labels: Sequence[str],
    *,
    seed: int,
    start: tuple[int, int] = (1, 200),
    event: tuple[int, int] = (14, 24),
    context: int = 12,
    whole: bool = True,
) -> list[Planned]:
    """An event for each (subject, clip), labels in turn, lengths drawn.

    Args:
        start: range of the onset's frame number. event: range of onset to offset in frames. context: frames before and
            after it. whole: recordings that begin at frame 1.
    """
    rng = np.random.default_rng(seed)
    planned = []
    for number, (subject, clip) in enumerate(names):
        onset = int(rng.integers(start[0] + context, start[1] + context))
        length = int(rng.integers(*event))
        apex = onset + int(rng.integers(length // 3, 2 * length // 3 + 1))
        first = 1 if whole else onset - context
        label = labels[number % len(labels)]
        planned.append(Planned(subject, clip, label, first, onset, apex, onset + length, onset + length + context))
    return planned


def write_xlsx(path: Path, sheets: Mapping[str, Sequence[Sequence[Cell]]]) -> None:
    """An Excel file with these sheets of rows."""
    import openpyxl

    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.save(path)


def write_xls(path: Path, sheets: Mapping[str, Sequence[Sequence[Cell]]]) -> None:
    """The same in the old format."""
    import xlwt

    path.parent.mkdir(parents=True, exist_ok=True)
    book = xlwt.Workbook()
    for name, rows in sheets.items():
        sheet = book.add_sheet(name)
        for line, row in enumerate(rows):
            for column, cell in enumerate(row):
                if cell is not None:
                    sheet.write(line, column, cell)
    book.save(str(path))


def write_csv(path: Path, rows: Sequence[Sequence[Cell]]) -> None:
    import csv

    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(["" if cell is None else cell for cell in row] for row in rows)
