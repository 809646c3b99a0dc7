"""A stand-in of MMME: frames named by their time, signals of a session, a sheet full of names, and its faults.

The names are made up. A trial is of 0.8 s: its frames come every 1/140 s, not evenly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from corpora.make_signals import make_biopac, make_curry
from corpora.stand_in import SIZE, Cell, Made, Planned, plan, write_frames, write_xlsx

_FIRST = ("nadiaquill", "ottofennimore", "IdaVanderzee", "bo", "quentinasthwaite", "zeldamorrow")
_MORE = [
    first + last
    for last in ("winterbourne", "oakhollow", "thistledown")
    for first in ("mira", "jonas", "petra", "silas")
]
NAMES = (*_FIRST, *_MORE)
LABELS = ("disgust", "fear", "surprise", "happiness", "sadness", "anger", "tense")
WORDS = {"happiness": "happy", "sadness": "sad", "anger": "angry"}
AUS = ("AU4", "AU4, AU7", "AU10, AU13", "AU1, AU2, AU10, AU20")
HEADER = (
    *("Subject", "Filename", "Marker", "OnsetTime", "ApexTime", "OffsetTime", "OnsetFrame", "ApexFrame", "OffsetFrame"),
    *("Action Units", "Estimated Emotion", "Macro/Micro", "Date", "dif"),
)
SHEET = "coding_file.xlsx"
DATE = "20230718"
# Samples of the signals at which the trials of a session began.
BEGINS = {146: 1500, 107: 6000, 112: 10_500, 119: 15_000, 102: 19_500, 131: 24_000}
SAMPLES = 29_000


@dataclass(frozen=True)
class Trials:
    """Times of a trial's frames: (n,) int64 µs after midnight."""

    times: np.ndarray

    def stamp(self, number: int, *, short: bool = False, carried: bool = False) -> str:
        """As the sheet has it. `short`: without microseconds. `carried`: 1000 µs instead of one millisecond more."""
        ms, us = divmod(int(self.times[number]), 1000)
        if carried:
            assert us == 0
            ms, us = ms - 1, 1000
        seconds, ms = divmod(ms, 1000)
        clock = f"{seconds // 3600:02d}-{seconds // 60 % 60:02d}-{seconds % 60:02d}-{ms:03d}"
        return clock if short else f"{clock}-{us:03d}"

    def seconds(self, number: int) -> float:
        return round(float(self.times[number] - self.times[0]) / 1e6, 2)


def make(
    root: Path,
    *,
    subjects: int = 3,
    seed: int = 0,
    clips: int = 2,
    kinds: bool = True,
    signals: bool = True,
    quirks: bool = True,
    pseudonym: Callable[[str], str] = lambda name: name,
    size: int = SIZE,
) -> Made:
    """
    Args:
        clips: trials of each participant, up to 6. kinds: with the column Macro/Micro. signals: with recordings.
        pseudonym: gives the subject that a name must be read as.
    """
    people = NAMES[:subjects]
    keys = [(name, marker) for name in people for marker in list(BEGINS)[:clips]]
    drawn = plan([(name, str(marker)) for name, marker in keys], LABELS, seed=seed, start=(8, 40), whole=True)
    rows: list[list[Cell]] = []
    events: dict[tuple[str, str, int], Planned] = {}
    for number, ((name, marker), event) in enumerate(zip(keys, drawn, strict=True)):
        # Frames count from 0; some have the offset at the apex.
        offset = event.apex if number % 3 == 0 else event.offset
        subject = pseudonym(name)
        own = Planned(
            subject, f"{_trial(event, marker)}_{subject}", event.label, 0, event.onset, event.apex, offset, 111
        )
        trial = _write_trial(root, name, marker, own, seed + number, size)
        rows.append(_row(name, marker, own, trial, number))
        events[own.key] = own
    if signals:
        for name in people:
            make_session(root, name)
    made = Made(root, len(rows), events, noticed={"offset": "was not coded apart"})
    if quirks:
        made = _spoil(rows, made, pseudonym)
    column = HEADER.index("Macro/Micro")
    table = [list(HEADER), *rows]
    if not kinds:
        table = [[*row[:column], *row[column + 1 :]] for row in table]
    write_xlsx(root / SHEET, {"Sheet1": table})
    return made


def _trial(event: Planned, marker: int) -> str:
    return f"{WORDS.get(event.label, event.label)}_1_{marker}"


def _write_trial(root: Path, name: str, marker: int, event: Planned, seed: int, size: int) -> Trials:
    """Frames of a trial. The one at the apex lies at a whole millisecond, and is named with 1000 µs of the last."""
    rng = np.random.default_rng(seed)
    begin = (11 * 3600 + 5 * 60 + 15) * 1_000_000 + marker * 1_000_000 + 716_123
    times = begin + np.cumsum(rng.integers(6_800, 7_486, 112))
    times[event.apex] = times[event.apex] // 1000 * 1000
    trial = Trials(times)
    stamps = [trial.stamp(number, carried=number == event.apex) for number in range(len(times))]
    folder = root / "data" / f"{name}{DATE}" / "XIMEA"
    drawn = replace(event, label="fear") if event.label == "tense" else event
    write_frames(folder, lambda number: f"2023-07-18-{stamps[number]}-{marker}.tif", drawn, size=size, color=True)
    return trial


def make_session(root: Path, name: str) -> None:
    """Recordings of a participant's session, named as the devices name them."""
    folder = root / "data" / f"{name}{DATE}"
    (folder / "EEG").mkdir(parents=True, exist_ok=True)
    triggers = [(sample, marker) for marker, sample in BEGINS.items()]
    make_curry(folder / "EEG" / "Acquisition 01.cdt", samples=SAMPLES, triggers=triggers)
    make_biopac(folder / "Untitled1 (001).mat", samples=SAMPLES, triggers=triggers)


def _row(name: str, marker: int, event: Planned, trial: Trials, number: int) -> list[Cell]:
    word = WORDS.get(event.label, event.label)
    moments = (event.onset, event.apex, event.offset)
    times = [trial.seconds(moment) for moment in moments]
    # About a third of the rows lack microseconds; some carry 1000 of them.
    short = number % 3 == 1
    stamps = [trial.stamp(m, short=short, carried=m == event.apex and not short) for m in moments]
    about = (AUS[number % len(AUS)], word, "Micro", "2024年05月15日-19时52分", round((times[1] - times[0]) * 150))
    return [name, f"{word}_1_{marker}_{name}_{DATE}.avi", marker, *times, *stamps, *about]


def _spoil(rows: list[list[Cell]], made: Made, pseudonym: Callable[[str], str]) -> Made:
    """Copies of the first row, each with something that cannot be right."""
    name = str(rows[0][0])
    subject = pseudonym(name)
    wrong: Mapping[int, tuple[Cell, str]] = {
        1: (f"angry_1_146_{NAMES[-1]}_{DATE}.avi", "name different people"),
        2: (107, "Marker is not that of Filename"),
        6: ("11-07", "onset is no time"),
        7: ("23-59-59-999-999", "apex: no frame"),
        10: (f"happy {name}", "label"),
        11: ("Nano", "neither micro nor macro"),
    }
    for column, (cell, _) in wrong.items():
        row = list(rows[0])
        row[column] = cell
        rows.append(row)
    rows.append([*rows[0][:6], rows[0][8], rows[0][7], rows[0][6], *rows[0][9:]])
    rows.append([" ", *rows[0][1:]])
    rows.append([name, f"{name}.avi", *rows[0][2:]])
    rows[0][5] = float(rows[0][5] or 0) + 0.4  # frames were dropped: more time passed than there are frames
    left_out = {subject: "people", "unknown": "no subject"}
    return Made(made.root, len(rows), made.events, left_out, {**made.noticed, subject: "the frames are taken"})
