"""A stand-in of CAS(ME)²: three sheets without headers, long recordings, folders below a wrong subject."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from corpora.stand_in import SIZE, Cell, Made, Planned, plan, write_frames, write_xlsx

LABELS = ("negative", "positive", "surprise", "others")
SUBJECTS = (15, 16, *range(19, 28), *range(29, 39), 40)
VIDEOS = {
    "disgust1": ("0101", "disgustingteeth"),
    "anger1": ("0401", "girlcrashing"),
    "happy5": ("0502", "funnyerrors"),
}
SHEETS = ("CAS(ME)^2code_final.xlsx", "CAS(ME)^2code_final(Updated).xlsx", "code_final.xlsx")


def make(
    root: Path,
    *,
    subjects: int = 4,
    seed: int = 0,
    videos: int = 2,
    quirks: bool = True,
    sheet: str = SHEETS[0],
    size: int = SIZE,
) -> Made:
    """
    Args:
        videos: per subject, each with a micro- and a macro-expression.
    """
    rows: list[list[Cell]] = []
    events: dict[tuple[str, str, int], Planned] = {}
    chosen = list(VIDEOS)[:videos]
    for participant in range(1, subjects + 1):
        subject = SUBJECTS[participant - 1]
        for place, video in enumerate(chosen):
            label = LABELS[(participant + place) % 4]
            (micro,) = plan(
                [(f"s{subject}", video)], (label,), seed=seed + 10 * participant + place, start=(1, 20), event=(8, 14)
            )
            later = {name: getattr(micro, name) + 40 for name in ("onset", "apex", "offset", "last")}
            macro = replace(micro, **later)
            _write_video(
                root, subject, subject, video, [micro, macro], "img{:03d}.jpg" if participant % 2 else "img{}.jpg", size
            )
            for number, (event, kind) in enumerate(((micro, "micro"), (macro, "macro")), 1):
                rows.append(_row(participant, event, f"{video}_{number}", f"{kind}-expression"))
                events[event.key] = event
    made = Made(root, len(rows), events)
    if quirks:
        made = _spoil(root, rows, made, seed, size)
    subjects_sheet: list[list[Cell]] = [[None, f"s{code}", number] for number, code in enumerate(SUBJECTS, 1)]
    codes: list[list[Cell]] = [["code", "name"], *([code, name] for name, (code, _) in VIDEOS.items())]
    codes[2][0] = int(VIDEOS["anger1"][0])  # a number, which has lost its zero
    names = {"CASFEcode_final": rows, "naming rule1": subjects_sheet, "naming rule2": codes}
    write_xlsx(root / sheet, names)
    return made


def _write_video(root: Path, below: int, subject: int, video: str, events: list[Planned], name: str, size: int) -> None:
    code, title = VIDEOS[video]
    write_frames(root / "rawpic" / f"s{below}" / f"{subject}_{code}{title}", name.format, events, size=size)


def _row(participant: int, event: Planned, video: str, kind: str) -> list[Cell]:
    moments: list[Cell] = [event.onset, event.apex, event.offset]
    return [participant, video, *moments, "4+L10", event.label, kind, "disgust"]


def _spoil(root: Path, rows: list[list[Cell]], made: Made, seed: int, size: int) -> Made:
    """Rows and folders as they are wrong in the corpus, on participant 7, who is s23."""
    events = {}
    video = "happy5"
    (event,) = plan([("s23", video)], ("positive",), seed=seed + 5, start=(1, 20), event=(9, 12))
    steps = [40 * number for number in range(5)]
    several = [
        replace(event, **{name: getattr(event, name) + step for name in ("onset", "apex", "offset", "last")})
        for step in steps
    ]
    _write_video(root, 19, 23, video, several, "img{}.jpg", size)  # below s19, though it is of s23
    made_rows = [_row(7, one, f"{video}_{number}", "micro-expression") for number, one in enumerate(several, 1)]
    made_rows[1][4] = 0  # offset 0: the apex is the last frame that was coded
    made_rows[2][3] = 0  # apex 0: halfway
    made_rows[3][3] = several[3].offset + 3
    made_rows[4][1] = "anger9_1"
    rows += made_rows
    rows.append([7, None, "checked twice", None, None, None, None, None, None])
    read = [
        several[0],
        replace(several[1], offset=several[1].apex),
        replace(several[2], apex=(several[2].onset + several[2].offset) // 2),
    ]
    events = {**made.events, **{one.key: one for one in read}}
    left_out = {"s23/happy5": "lies outside", "7/anger9_1": "no code", "7, checked twice": "names no participant"}
    noticed = {"s23/happy5": "apex"}
    return Made(root, len(rows) - 1, events, left_out, noticed)
