"""Stand-ins of SAMM and of its long videos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from corpora.stand_in import SIZE, Cell, Made, Planned, plan, write_frames, write_xlsx

LABELS = ("anger", "happiness", "surprise", "contempt", "others")
HEADER = (
    *("Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro"),
    *("Action Units", "Estimated Emotion", "Objective Classes", "Notes"),
)
LONG_HEADER = (
    *("Subject", "Filename", "Inducement Code", "Onset", "Apex", "Offset", "Duration", "Type"),
    *("Action Units", "Notes"),
)
# Every form of coding of the corpus.
CODINGS = (
    *("7B", "12A", "43E", "A12", "A1B+A2C", "A9E+ref(10)", "T18+39", "B18+25", "A/L12", "10A/B", "ref(7B)+43"),
    *(
        "ref(L10)+A12B",
        "L12 or L14",
        "(R6 or R12)+R15",
        "R14A or 17A or 24A",
        "L12 + 61",
        "12+15 ",
        "R14+17+soft focus",
    ),
)
MICRO = "Micro - 1/2"


def make(
    root: Path,
    *,
    subjects: int = 6,
    seed: int = 0,
    clips: int = 3,
    quirks: bool = True,
    text_above: int = 13,
    size: int = SIZE,
) -> Made:
    """
    Args:
        clips: per subject. text_above: lines of text above the header: 13 as released, 0 in a repaired copy.
    """
    names = [
        (f"{subject:03d}", f"{subject:03d}_{clip % 7 + 1}_{clip // 7 + 1}")
        for subject in range(6, 6 + subjects)
        for clip in range(clips)
    ]
    planned = plan(names, LABELS, seed=seed, start=(300, 5000), whole=False)
    for number, event in enumerate(planned):
        _write_clip(root / "SAMM", event, 4 if number % 3 == 1 else 5, size)
    rows = [_row(event, number) for number, event in enumerate(planned)]
    made = Made(root, len(rows), {event.key: event for event in planned})
    if quirks:
        made = _spoil(root, rows, made, seed, size)
    text = [["SAMM micro-facial movement codes"] + [None] * 3] * text_above
    write_xlsx(root / "SAMM_Micro_FACS_Codes_v2.xlsx", {"MICRO ONLY": [*text, list(HEADER), *rows]})
    return made


def _write_clip(tree: Path, event: Planned, digits: int, size: int) -> None:
    name = f"{event.subject}_{{:0{digits}d}}.jpg".format
    write_frames(tree / event.subject / event.clip, name, event, size=size)


def _row(event: Planned, number: int) -> list[Cell]:
    subject: Cell = int(event.subject) if number % 2 else event.subject
    label = "Other" if event.label == "others" else event.label.capitalize()
    duration = event.offset - event.onset + 1
    head: list[Cell] = [subject, event.clip, 1, event.onset, event.apex, event.offset, duration, MICRO]
    return [*head, CODINGS[number % len(CODINGS)], label, 1 + number % 7, None]


def _spoil(root: Path, rows: list[list[Cell]], made: Made, seed: int, size: int) -> Made:
    """Rows as they are wrong in the corpus, on clips of subject 40."""
    names = [("040", f"040_{task}_1") for task in range(1, 7)]
    planned = {event.clip: event for event in plan(names, LABELS, seed=seed + 1, start=(300, 5000), whole=False)}
    for name, event in planned.items():
        # One lies in the folder of the subject's plain number, with another padding.
        _write_clip(root / "SAMM", event, 4, size)
        if name == "040_6_1":
            (root / "SAMM" / "040" / name).rename(root / "SAMM" / "040" / name.upper())
    wrong: dict[str, dict[int, Cell]] = {
        "040_1_1": {4: planned["040_1_1"].offset + 90},  # the apex lies outside
        "040_2_1": {5: planned["040_2_1"].offset - 3},  # the duration tells that the offset is wrong
        "040_3_1": {0: 41},
        "040_4_1": {9: "Others"},
        "040_5_1": {8: "12 and 14"},
    }
    for number, (name, event) in enumerate(planned.items()):
        row = _row(event, number)
        for column, cell in wrong.get(name, {}).items():
            row[column] = cell
        rows.append(row)
    read = {
        **{name: planned[name] for name in ("040_5_1", "040_6_1")},
        "040_2_1": replace(planned["040_2_1"], offset=planned["040_2_1"].offset - 3),
        "040_4_1": replace(planned["040_4_1"], label="others"),
    }
    events = {**made.events, **{event.key: event for event in read.values()}}
    left_out = {"040_1_1": "apex", "040_3_1": "is not the one of Filename"}
    return Made(root, len(rows), events, left_out, {"040_2_1": "Duration", "040_5_1": "letter 4"})


def make_long(
    root: Path, *, subjects: int = 2, seed: int = 0, version: str = "V2", emotions: bool = False, size: int = SIZE
) -> Made:
    """SAMM Long Videos: for each subject a recording with a micro- and a macro-expression.

    Args:
        version: V1, V2 or V3. emotions: with the sheet of SAMM beside, which has the emotions.
    """
    rows: list[list[Cell]] = []
    short: list[list[Cell]] = []
    events: dict[tuple[str, str, int], Planned] = {}
    for subject in range(6, 6 + subjects):
        name, video = f"{subject:03d}", f"{subject:03d}_1"
        (micro,) = plan([(name, video)], ("surprise",), seed=seed + subject, start=(20, 40))
        later = {field: getattr(micro, field) + 60 for field in ("onset", "apex", "offset", "last")}
        macro = replace(micro, label="happiness", **later)
        frames = root / "SAMM_longvideos" / video
        write_frames(frames, f"{video}_{{:04d}}.jpg".format, [micro, macro], size=size)
        for number, (event, kind) in enumerate(((micro, MICRO), (macro, "Macro")), 1):
            # A macro-expression's apex was not coded.
            apex: Cell = event.apex if kind == MICRO else -1
            moments: list[Cell] = [event.onset, apex, event.offset, event.offset - event.onset + 1]
            rows.append([subject, f"{video}_{number}", 1, *moments, kind, CODINGS[number], None])
            found = event if kind == MICRO else replace(event, apex=(event.onset + event.offset) // 2)
            events[event.key] = found
        short.append([*rows[-2][:9], "Surprise", 1, None])
    text: list[list[Cell]] = [["SAMM long videos", None, None]] * 9
    write_xlsx(root / f"SAMM_LongVideos_{version}_Release.xlsx", {"Sheet1": [*text, list(LONG_HEADER), *rows]})
    if emotions:
        write_xlsx(root / "SAMM_Micro_FACS_Codes_v2.xlsx", {"MICRO ONLY": [list(HEADER), *short]})
    return Made(root, len(rows), events, noticed={"/006_1": "taken halfway"})
