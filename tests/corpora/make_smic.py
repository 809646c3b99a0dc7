"""Stand-ins of SMIC: one camera as folders of events, or as whole recordings with the extended release's sheet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from corpora.stand_in import SIZE, Cell, Made, Planned, plan, write_frames, write_xlsx

LABELS = ("negative", "positive", "surprise")
SHORT = {"negative": "ne", "positive": "po", "surprise": "sur"}
HEADER = (
    *("Subject", "Filename", "OnsetF", "OffsetF", "TotalMF1", "Onset2F", "Offset2F", "TotalMF2"),
    *("Onset3F", "Offset3F", "TotalMF3", "Emotion", "FirstF", "LastF", "TotalVL"),
)
# VIS and NIR: fewer columns.
SHORT_HEADER = ("Subject", "Filename", "FirstF", "OnsetF", "OffsetF", "LastF", "Emotion")
SHEETS = {
    "HS": "HS_long/SMIC-HS-E_annotation_2019.xlsx",
    "VIS": "VIS_long/SMIC_VIS_E_annotation.xlsx",
    "NIR": "NIR_long/SMIC-NIR-E_annotation.xlsx",
}
Camera = Literal["HS", "VIS", "NIR"]


def _planned(subjects: int, clips: int, seed: int, camera: Camera) -> list[Planned]:
    """Events named as they are to be read."""
    lengths = (14, 24) if camera == "HS" else (6, 10)
    names, labels = [], []
    for subject in range(1, subjects + 1):
        for clip in range(clips):
            label = LABELS[clip % 3]
            names.append((f"s{subject:02d}", f"s{subject:02d}_{SHORT[label]}_{clip // 3 + 1:02d}"))
            labels.append(label)
    planned = plan(names, labels, seed=seed, start=(17_581_000, 17_590_000), event=lengths, whole=False)
    return [replace(event, apex=(event.onset + event.offset) // 2) for event in planned]


def make_folders(
    root: Path,
    *,
    camera: Camera = "HS",
    subjects: int = 6,
    seed: int = 0,
    clips: int = 3,
    cropped: bool = False,
    quirks: bool = True,
    size: int = SIZE,
) -> Made:
    """`SMIC_all_raw` or `SMIC_all_cropped`: a folder holds the frames of one event, and there is no sheet."""
    tree, name = ("SMIC_all_cropped", "reg_image{:08d}.bmp") if cropped else ("SMIC_all_raw", "image{:08d}.bmp")
    planned = _planned(subjects, clips, seed, camera)
    lost: dict[str, str] = {}
    for event in planned:
        number = int(event.subject[1:])
        plain = event.clip.replace(event.subject, f"s{number}")
        folder = root / tree / camera / f"s{number}" / "micro" / event.label / plain
        write_frames(folder, name.format, event, numbers=range(event.onset, event.offset + 1), size=size)
    noticed: dict[str, str] = {}
    if quirks:
        micro = root / tree / camera / "s1" / "micro"
        still = micro.parent / "non_micro" / "s1_non_micro_01"
        write_frames(still, name.format, planned[0], numbers=range(5), size=size)
        empty = micro / "surprise" / "s1_sur_09"  # a clip that is missing whole
        empty.mkdir(parents=True)
        lost["s01_sur_09"] = "no folder of frames"
        first = planned[0]
        folder = micro / first.label / first.clip.replace("s01", "s1")
        (folder / name.format(first.onset + 2)).unlink()
        noticed[first.clip] = "1 of"
    events = {event.key: event for event in planned}
    return Made(root, len(events) + len(lost), events, lost, noticed)


def make(
    root: Path,
    *,
    camera: Camera = "HS",
    subjects: int = 6,
    seed: int = 0,
    clips: int = 3,
    quirks: bool = True,
    size: int = SIZE,
) -> Made:
    """The extended release: whole recordings, numbers absolute, up to three events in a row of the sheet."""
    planned = _planned(subjects, clips, seed, camera)
    events: dict[tuple[str, str, int], Planned] = {}
    rows: list[list[Cell]] = []
    digits = 6 if camera == "HS" else 8
    for number, event in enumerate(planned):
        if camera == "HS":  # as short as six digits
            shift = 92_000 - 17_581_000
            moments = {name: getattr(event, name) + shift for name in ("first", "onset", "apex", "offset", "last")}
            event = replace(event, **moments)  # noqa: PLW2901
        several = [event]
        if camera == "HS" and quirks and number == 0:
            for step in (40, 80):
                later = {name: getattr(event, name) + step for name in ("onset", "apex", "offset", "last")}
                several.append(replace(event, **later))
        tree = root / f"{camera}_long" / f"SMIC-{camera}-E" / camera / event.subject / event.clip
        write_frames(tree, f"image{{:0{digits}d}}.jpg".format, several, size=size)
        events |= {one.key: one for one in several}
        rows.append(_row(several, camera))
    left_out: dict[str, str] = {}
    if quirks:
        rows.append(_row([replace(planned[0], subject="s02")], camera))  # the subject is another one than the clip's
        rows.append(_row([replace(planned[1], label="surprise")], camera))  # so is the emotion
        left_out = {"2/s01_ne_01": "is not the one of Filename", "1/s01_po_01": "is not the one of Filename"}
    text: list[list[Cell]] = [["Note: frames are counted in the recording."], ["TotalMF: frames of the event"]]
    header = HEADER if camera == "HS" else SHORT_HEADER
    write_xlsx(root / SHEETS[camera], {"Sheet1": [list(header), *rows, [], *text]})
    return Made(root, len(rows), events, left_out)


def _row(events: list[Planned], camera: Camera) -> list[Cell]:
    event = events[0]
    subject, last = int(event.subject[1:]), events[-1].last
    if camera != "HS":
        return [subject, event.clip, event.first, event.onset, event.offset, last, event.label]
    moments: list[Cell] = []
    for number in range(3):
        one = events[number] if number < len(events) else None
        moments += [one.onset, one.offset, one.offset - one.onset + 1] if one else [None, None, None]
    return [subject, event.clip, *moments, event.label, event.first, last, last - event.first + 1]
