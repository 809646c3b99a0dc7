"""A stand-in of CASME II: its sheets in three versions, its three trees of frames, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from corpora.stand_in import AU_OF, SIZE, Cell, Made, Planned, plan, write_frames, write_xls, write_xlsx

LABELS = ("happiness", "disgust", "surprise", "repression", "others")
HEADER = (
    "Subject",
    "Filename",
    None,
    "OnsetFrame",
    "ApexFrame",
    "OffsetFrame",
    None,
    "Action Units",
    "Estimated Emotion",
)
NEW_HEADER = (*HEADER[:7], "Action Units", "Objective Class", "Estimated Emotion")
# Every form of file name that the corpus has.
NAMES = ("EP{0:02d}_01f", "EP{0:02d}_02", "EP{0:02d}_3", "EP{0:02d}_04_05", "EP{0:02d}f")
VERSIONS = ("CASME2-coding-20140508.xlsx", "CASME2-coding-20190701.xlsx", "CASME2_label_Ver_2.xls")


def make(
    root: Path,
    *,
    subjects: int = 6,
    seed: int = 0,
    clips: int = 3,
    version: str = VERSIONS[0],
    quirks: bool = True,
    cropped: bool = False,
    size: int = SIZE,
) -> Made:
    """
    Args:
        clips: per subject. version: name of the sheet, which says its form. quirks: with what is wrong in the corpus.
        cropped: with the trees `CASME2_RAW_selected` and `Cropped`, too.
    """
    names = [
        (f"sub{subject:02d}", NAMES[clip % len(NAMES)].format(clip + 1))
        for subject in range(1, subjects + 1)
        for clip in range(clips)
    ]
    planned = plan(names, LABELS, seed=seed)
    if quirks:
        planned += plan([("sub12", "EP01_01f"), ("sub22", "EP01_01f")], ("surprise",), seed=seed + 1)
    raw = root / "CASME2_RAW" / "CASME2-RAW"
    for event in planned:
        write_frames(raw / event.subject / event.clip, "img{}.jpg".format, event, size=size)
        if cropped:
            inner = range(event.onset, event.offset + 1)
            selected = root / "CASME2_RAW_selected" / event.subject / event.clip
            write_frames(selected, "img{}.jpg".format, event, numbers=inner, size=size)
            write_frames(root / "Cropped" / event.subject / event.clip, "reg_img{}.jpg".format, event, numbers=inner)
    rows = [_row(event, number) for number, event in enumerate(planned)]
    made = Made(root, len(rows), {event.key: event for event in planned})
    if quirks:
        made = _spoil(root, rows, made, seed, size)
    _write_sheet(root / version, rows)
    return made


def _row(event: Planned, number: int) -> list[Cell]:
    # The subject is a number in some rows, text in others; so are the codings.
    subject: Cell = int(event.subject[3:]) if number % 2 else event.subject[3:]
    coding = AU_OF[event.label]
    aus: Cell = (int(coding) if coding.isdigit() else coding, f"L{coding}", f"4+{coding}+R10")[number % 3]
    return [subject, event.clip, None, event.onset, event.apex, event.offset, None, aus, event.label]


def _spoil(root: Path, rows: list[list[Cell]], made: Made, seed: int, size: int) -> Made:
    """Rows as they are wrong in the corpus, on clips of subject 30."""
    raw = root / "CASME2_RAW" / "CASME2-RAW"
    names = (
        "EP01_01",
        "EP01_02",
        "EP01_03",
        "EP01_04",
        "EP01_05",
        "EP01_06",
        "EP01_07",
        "EP01_08",
        "EP01_09",
        "EP01_10",
    )
    planned = {event.clip: event for event in plan([("sub30", name) for name in names], LABELS, seed=seed + 2)}
    for name, event in planned.items():
        if name == "EP01_07":  # its folder is missing
            continue
        kept = range(event.first, event.apex if name == "EP01_08" else event.last + 1)  # EP01_08 is incomplete
        folder = "ep01_10" if name == "EP01_10" else name  # case of the folder differs
        write_frames(raw / "sub30" / folder, "img{}.jpg".format, event, numbers=kept, size=size)
    # A folder that holds the event only tells where an offset 0 lies.
    ends = planned["EP01_03"]
    selected = root / "CASME2_RAW_selected" / "sub30" / "EP01_03"
    write_frames(selected, "img{}.jpg".format, ends, numbers=range(ends.onset, ends.offset + 1), size=size)
    (raw / "sub01").mkdir(parents=True, exist_ok=True)
    (raw / "sub01" / "Desktop - Shortcut.lnk").write_bytes(b"stray")
    (raw / "sub30" / "EP01_01" / "Thumbs.db").write_bytes(b"stray")
    wrong: dict[str, dict[int, Cell]] = {
        "EP01_01": {4: "/"},
        "EP01_02": {5: 0},
        "EP01_03": {5: 0},
        "EP01_04": {4: planned["EP01_04"].offset + 5},
        "EP01_05": {8: "delight"},
        "EP01_06": {7: "4+7x"},
        "EP01_09": {7: "?", 8: " Happiness "},
        "EP01_10": {4: planned["EP01_10"].onset},  # the apex is the onset
    }
    for number, (name, event) in enumerate(planned.items()):
        row = _row(event, number)
        for column, cell in wrong.get(name, {}).items():
            row[column] = cell
        rows.append(row)
    halfway = (planned["EP01_01"].onset + planned["EP01_01"].offset) // 2
    read = {
        "EP01_01": replace(planned["EP01_01"], apex=halfway),
        "EP01_03": ends,
        "EP01_06": planned["EP01_06"],
        "EP01_09": replace(planned["EP01_09"], label="happiness"),
        "EP01_10": replace(planned["EP01_10"], apex=planned["EP01_10"].onset),
    }
    left_out = {
        "EP01_02": "offset 0",
        "EP01_04": "apex",
        "EP01_05": "label 'delight'",
        "EP01_07": "no folder of frames",
        "EP01_08": "frames",
    }
    noticed = {"EP01_01": "taken halfway", "EP01_03": "offset 0", "EP01_06": "letter 4"}
    events = {**made.events, **{event.key: event for event in read.values()}}
    return Made(root, len(rows), events, left_out, noticed)


def _write_sheet(path: Path, rows: Sequence[Sequence[Cell]]) -> None:
    if "20190701" in path.name:
        table = [list(NEW_HEADER), *([*row[:8], 1 + number % 7, row[8]] for number, row in enumerate(rows))]
        write_xlsx(path, {"Sheet1": table})
        return
    classes = [["Subject", "Filename", "Objective Class"], *([row[0], row[1], 1 + n % 7] for n, row in enumerate(rows))]
    write_xlsx(path.parent / "CASME2-ObjectiveClasses.xlsx", {"Sheet1": classes})
    write = write_xls if path.suffix == ".xls" else write_xlsx
    write(path, {"Sheet1": [list(HEADER), *rows]})
