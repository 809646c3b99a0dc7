"""A stand-in of 4DME's gray videos: labels of several emotions, kept AUs, clips and long videos, and their faults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from corpora.stand_in import SIZE, Cell, Made, Planned, plan, write_frames, write_xlsx

LABELS = ("negative", "positive", "surprise", "repression", "others")
# What stands in the sheet, and which columns of single emotions are marked.
WORDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "negative": ("Negative", ("Negative",)),
    "positive": ("Surprise+Positive", ("Surprise", "Positive")),
    "surprise": ("Surprise", ("Surprise",)),
    "repression": ("Repression", ("Repression",)),
    "others": ("Others", ("Others",)),
}
READ = {"positive": "surprise+positive"}
AUS = ("AU4(k)+L7", "AUR2+12(k)+45", "AU1+2", "L12", "4")
AU_COLUMNS = ("AU1", "AU2", "AU4", "AU7", "AU12", "AU45")
ONE_HOT = ("Positive", "Negative", "Surprise", "Repression", "Others")
HEADER = (
    "sub_ID",
    "fold_name",
    "Emotion",
    "Onset",
    "Apex",
    "Offset",
    "AUs",
    *AU_COLUMNS,
    *ONE_HOT,
    "eye blink",
    "fold",
)
MICRO, LONG = "4DME_Labelling_Micro_release v1.xlsx", "Micro and Macro-expression labels.xlsx"


def make(
    root: Path,
    *,
    subjects: int = 4,
    seed: int = 0,
    clips: int = 3,
    long: bool = False,
    quirks: bool = True,
    size: int = SIZE,
) -> Made:
    """`long`: long videos and the sheet of both kinds, instead of clips and the sheet of micro-expressions."""
    names = [
        (f"sub{subject:02d}", f"{clip}_{subject}") for subject in range(1, subjects + 1) for clip in range(1, clips + 1)
    ]
    planned = plan(names, LABELS, seed=seed, start=(1800, 1900), whole=False)
    for event in planned:
        _write(root, event, long, size)
    rows = [_row(event, number) for number, event in enumerate(planned)]
    made = Made(root, len(rows), {event.key: _read(event) for event in planned})
    if quirks:
        made = _spoil(root, rows, made, seed, long, size)
    if long:
        kinds = ["Macro" if number % 2 else "Micro" for number in range(len(rows))]
        table = [[*HEADER, "Type"], *([*row, kind] for row, kind in zip(rows, kinds, strict=True))]
        write_xlsx(root / LONG, {"Sheet1": table})
    else:
        write_xlsx(root / MICRO, {"Sheet1": [list(HEADER), *rows]})
    return made


def _write(root: Path, event: Planned, long: bool, size: int) -> None:
    if long:
        folder = root / "long_gray_video" / "long gray video" / event.subject / event.clip
        write_frames(folder, "Frame_{:09d}.jpg".format, event, size=size)
    else:
        inner = range(event.onset, event.offset + 1)
        folder = root / "gray_micro" / event.subject / event.clip
        write_frames(folder, "Frame_{:09d}.jpg".format, event, numbers=inner, size=size)


def _read(event: Planned) -> Planned:
    return replace(event, label=READ.get(event.label, event.label))


def _row(event: Planned, number: int) -> list[Cell]:
    word, marked = WORDS[event.label]
    moments = (event.onset, event.apex, event.offset)
    one_hot = [int(name in marked) for name in ONE_HOT]
    return [event.subject, event.clip, word, *moments, AUS[number % len(AUS)], *[0] * len(AU_COLUMNS), *one_hot, 0, 1]


def _spoil(root: Path, rows: list[list[Cell]], made: Made, seed: int, long: bool, size: int) -> Made:
    names = [("sub90", name) for name in ("swapped1", "swapped2", "apex", "columns", "label")]
    drawn = plan(names, LABELS, seed=seed + 1, start=(1800, 1810), whole=False)
    # Far apart in time, so that no row fits the frames of another.
    planned = {
        event.clip: replace(
            event,
            **{name: getattr(event, name) + 500 * number for name in ("first", "onset", "apex", "offset", "last")},
        )
        for number, event in enumerate(drawn)
    }
    for event in planned.values():
        _write(root, event, long, size)
    own = {clip: _row(event, number) for number, (clip, event) in enumerate(planned.items())}
    own["swapped1"][3:6], own["swapped2"][3:6] = own["swapped2"][3:6], own["swapped1"][3:6]
    own["apex"][4] = planned["apex"].onset - 3
    own["columns"][len(HEADER) - 2 - len(ONE_HOT)] = 1
    own["label"][2] = "Delight"
    rows += own.values()
    left_out = {
        "sub90/swapped1": "the folder holds",
        "sub90/swapped2": "the folder holds",
        "sub90/apex": "apex",
        "sub90/label": "label 'delight'",
    }
    noticed = {"sub90/columns": "columns of emotions say", "sub90/swapped1": "are those of sub90/swapped2"}
    kept = _read(planned["columns"])
    return Made(root, len(rows), {**made.events, kept.key: kept}, left_out, noticed)
