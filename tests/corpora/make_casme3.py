"""Stand-ins of CAS(ME)³: part A with its two sheets in two versions, part C with its signals, and their faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from corpora.make_signals import make_text
from corpora.stand_in import SIZE, Cell, Made, Planned, plan, write_frames, write_xls, write_xlsx

LABELS = ("disgust", "surprise", "others", "fear", "anger", "sadness", "happiness")
# The sheet's words.
WORDS = {"sadness": "sad", "happiness": "happy"}
HEADER = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")
ALL_HEADER = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Expression type", "Objective class")
AUS = ("4", "2+1", "R2+R1", "T28+14", "B28", "L12+4", "17")
ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII")
MICRO_V2 = "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
MICRO_V1 = "cas(me)3_part_A_ME_label_JpgIndex_v1.xls"
ODD = "spNO.210"  # its folder lacks the dot


def make_a(
    root: Path,
    *,
    subjects: int = 4,
    seed: int = 0,
    clips: int = 2,
    version: str = "v2",
    everything: bool = True,
    quirks: bool = True,
    size: int = SIZE,
) -> Made:
    """Part A. `version` v1 or v2; `everything`: with the sheet of all expressions, and macro-expressions."""
    names = [(f"spNO.{subject}", "abcdefghijklm"[clip]) for subject in range(1, subjects + 1) for clip in range(clips)]
    planned = plan(names, LABELS, seed=seed)
    # Two micro-expressions in one clip, and a macro-expression.
    first = planned[0]
    second = replace(first, onset=first.last + 20, apex=first.last + 27, offset=first.last + 35, last=first.last + 90)
    macro = replace(second, onset=second.offset + 5, apex=second.offset + 20, offset=second.offset + 50)
    planned.append(second)
    everyone = [*planned, macro] if everything else planned
    _frames_a(root, everyone, size)
    rows = [_row_a(event, number) for number, event in enumerate(planned)]
    all_rows = [_all_row(row, "Micro-expression") for row in rows]
    all_rows.append(_all_row(_row_a(macro, 0), "Macro-expression"))
    made = Made(root, len(rows), {event.key: event for event in everyone})
    if quirks:
        made = _spoil_a(root, rows, all_rows, made, seed, everything, size)
    made = replace(made, rows=len(rows) + everything)
    folder = root / "annotation" / "partA"
    if version == "v2":
        write_xlsx(folder / MICRO_V2, {"label": [list(HEADER), *rows], "Sheet1": [], "Sheet3": []})
    else:
        table = [[*HEADER, "", ""], *([*row, 1, 2] for row in rows)]
        write_xls(folder / MICRO_V1, {"Sheet1": table})
    if everything:
        blinks = [["Subject", "Filename", "Onset", "Offset"], ["spNO.1", "a", "3", "9"]]
        write_xls(
            folder / f"CAS(ME)3_part_A_{version}.xls",
            {"AU+Emotion": [list(ALL_HEADER), *all_rows], "eye blink": blinks},
        )
    return made


def _frames_a(root: Path, events: Sequence[Planned], size: int) -> None:
    for subject, clip in dict.fromkeys((event.subject, event.clip) for event in events):
        own = [event for event in events if (event.subject, event.clip) == (subject, clip)]
        place = root / "part_A" / "data" / subject / clip
        write_frames(place / "color", "{}.jpg".format, own, size=size, color=True)
        write_frames(place / "depth", "{}.png".format, own, numbers=range(1, 4), size=16)


def _row_a(event: Planned, number: int) -> list[Cell]:
    """All cells are text."""
    word = "Others" if event.label == "others" and number % 2 else WORDS.get(event.label, event.label)
    cells = (event.onset, event.apex, event.offset)
    return [event.subject, event.clip, *map(str, cells), AUS[number % len(AUS)], ROMAN[number % 7], word]


def _all_row(row: Sequence[Cell], expression: str) -> list[Cell]:
    return [*row[:6], expression, row[6]]


def _spoil_a(
    root: Path, rows: list[list[Cell]], all_rows: list[list[Cell]], made: Made, seed: int, everything: bool, size: int
) -> Made:
    planned = {event.clip: event for event in plan([(ODD, clip) for clip in "abcdefghi"], LABELS, seed=seed + 1)}
    planned["g"] = replace(planned["g"], offset=planned["g"].onset + 150, last=planned["g"].onset + 160)
    place = root / "part_A" / "data" / "spNO210"
    for clip, event in planned.items():
        if clip == "i":  # depth lies among the color frames
            write_frames(place / clip, "{}.jpg".format, event, size=size, color=True)
            write_frames(place / clip, "{}.png".format, event, size=16)
        else:
            write_frames(place / clip / "color", "{}.jpg".format, event, size=size, color=True)
            write_frames(place / clip, "{}.png".format, event, numbers=range(1, 4), size=16)
    wrong: dict[str, dict[int, Cell]] = {
        "a": {1: "A"},
        "b": {3: str(planned["b"].onset - 5)},
        "c": {4: "0"},
        "f": {4: str(planned["f"].onset + 3455)},
    }
    for number, (clip, event) in enumerate(planned.items()):
        row = _row_a(event, number)
        right = _all_row(row, "Micro-expression")
        # What version 2 puts right is a number there, not text.
        right[3] = event.apex if clip == "b" else right[3]
        for column, cell in wrong.get(clip, {}).items():
            row[column] = cell
            if clip != "b":
                right[column] = cell
        rows.append(row)
        all_rows.append(right)
    few, many = planned["d"], planned["e"]
    damaged = [(few.clip.upper(), few.apex - 1), *((many.clip, number) for number in range(many.onset, many.offset))]
    lines = [f"{ODD} {clip} {number}.jpg  the image cannot open" for clip, number in damaged]
    (root / "exception").mkdir(parents=True, exist_ok=True)
    (root / "exception" / "error_info_damaged_image_partA.txt").write_text("\n".join(lines) + "\n")
    covered = [*_row_a(planned["h"], 7), "apex covered by a hand", "left out", "", ""]
    listed = [[*HEADER, "问题", "我们目前的解决方法", "图片(调整前)", "图片(调整后)"], covered]
    write_xlsx(root / "exception" / "casme3_partA_error_list_ZhouJu.xlsx", {"Sheet1": listed, "Sheet2": []})
    left_out = {f"{ODD}/c": "offset 0", f"{ODD}/e": "frames", f"{ODD}/f": "a micro-expression of 115 s"}
    noticed = {f"{ODD}/d": "missing", f"{ODD}/g": "a micro-expression of 5.0 s", f"{ODD}/h": "covered by a hand"}
    if everything:
        noticed[f"{ODD}/b"] = "out of order"
    else:
        left_out[f"{ODD}/b"] = "apex"
    lost = {name[-1] for name in left_out}
    read = {event.key: event for clip, event in planned.items() if clip not in lost}
    return Made(root, 0, {**made.events, **read}, left_out, noticed)


C_HEADER = ("sub", "count", "onset", "offset", "au", "emotion")
C_LABELS = ("negative", "surprise", "positive", "others")
C_AUS = ("4,7", 12, "4，7", "L14,12,", "R9", "4?", "?")
SHEET_C = "CAS(ME)3_part_C_ME.xlsx"


def make_c(
    root: Path,
    *,
    subjects: int = 3,
    seed: int = 0,
    clips: int = 3,
    whole: bool = False,
    quirks: bool = True,
    size: int = SIZE,
) -> Made:
    """Part C. `whole`: a subject's frames in one folder, instead of a folder for each event."""
    names = [(f"{subject:02d}", str(clip)) for subject in range(1, subjects + 1) for clip in range(1, clips + 1)]
    drawn = plan(names, C_LABELS, seed=seed, start=(100, 110), whole=False)
    planned = [
        # One after the other in the subject's recording; no apex is coded.
        replace(
            event,
            **{
                name: getattr(event, name) + 120 * (int(event.clip) - 1)
                for name in ("first", "onset", "offset", "last")
            },
        )
        for event in drawn
    ]
    planned = [replace(event, apex=(event.onset + event.offset) // 2) for event in planned]
    for subject in range(1, subjects + 1):
        own = [event for event in planned if int(event.subject) == subject]
        place = root / "part_C" / "frames" / f"{subject:02d}"
        if whole:
            write_frames(place / "color", "{}.jpg".format, own, size=size, color=True)
        else:
            for event in own:
                write_frames(place / event.clip / "color", "{}.jpg".format, event, size=size, color=True)
        # Pictures began 1.5 s after the signals, which are read at 200 per second.
        samples = int((own[-1].last / 30 + 1.5 + 6) * 200)
        make_text(root / "part_C" / "Physiological_data" / f"{subject}.txt", samples=samples, marker=300)
    rows: list[list[Cell]] = [
        [int(event.subject), int(event.clip), event.onset, event.offset, C_AUS[number % len(C_AUS)], event.label]
        for number, event in enumerate(planned)
    ]
    made = Made(root, len(rows), {event.key: event for event in planned})
    if quirks:
        rows += [
            [31, 1, 99, 120, "4", "negative"],
            [1, "one", 99, 120, "4", "negative"],
            [1, 1, 130, 120, "4", "negative"],
        ]
        left_out = {"31/1": "no folder of frames", "1/one": "count 'one'", "01/1": "onset 130 lies after"}
        made = replace(made, rows=len(rows), left_out=left_out)
    write_xlsx(root / "annotation" / "partC" / SHEET_C, {"mockCrimeME": [list(C_HEADER), *rows]})
    write_xls(
        root / "annotation" / "partC" / "CAS(ME)3_part_C.xls",
        {"organize": [["Subject", "Onset", "Offset", "diff", "Exp_type", "risk"], [1, 9, 12, 3, 0, 1]]},
    )
    return made
