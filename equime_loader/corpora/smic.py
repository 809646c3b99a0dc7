"""SMIC (Li et al., "A Spontaneous Micro-expression Database", FG 2013), one corpus per camera: HS, VIS, NIR.

    SMIC_all_raw/HS/s1/micro/negative/s1_ne_01/image092000.bmp      a folder is an event; there is no sheet
    SMIC_all_cropped/HS/s1/micro/negative/s1_ne_01/reg_image092000.bmp
    SMIC-HS-E/…/s03/s03_ne_01/image092000.jpg                       extended: whole recordings with a sheet
    SMIC-HS-E_annotation.xlsx, SMIC-HS-E_annotation_2019.xlsx, SMIC_VIS_E_annotation.xlsx

HS has 100 frames per second, VIS and NIR 25. Nobody coded apexes or AUs. Subjects and clips are named as in the
extended release, ``s01`` and ``s01_ne_01``, whatever their padding is in the copy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from equime_loader.corpora.annotations import Annotation, Conventions, RowFault, subject_number
from equime_loader.corpora.copies import Copy
from equime_loader.corpora.events import FrameFiles, Frames, Known, Reading
from equime_loader.corpora.sheets import Form, Record

EMOTIONS = {"ne": "negative", "po": "positive", "sur": "surprise"}
LABELS = tuple(EMOTIONS.values())
CAMERAS = {"smic_hs": "hs", "smic_vis": "vis", "smic_nir": "nir"}
RULES = {
    corpus: Conventions(corpus, 100.0 if camera == "hs" else 25.0, LABELS, has_aus=False, apex="halfway")
    for corpus, camera in CAMERAS.items()
}
KNOWN = {
    "smic_hs": Known(events=164, subjects=16, labels={"negative": 70, "positive": 51, "surprise": 43}),
    "smic_vis": Known(events=71, subjects=8),
    "smic_nir": Known(events=71, subjects=8),
}
_COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "material"),
    "onset": ("OnsetF", "Onset1F", "Onset"),
    "offset": ("OffsetF", "Offset1F", "Offset"),
    "label": ("Emotion",),
}
_SECOND = {"onset2": ("Onset2F",), "offset2": ("Offset2F",)}
_THIRD = {"onset3": ("Onset3F",), "offset3": ("Offset3F",)}
# A row of the extended release holds up to three events.
_MOMENTS = (("onset", "offset"), ("onset2", "offset2"), ("onset3", "offset3"))
_CLIP = re.compile(r"s?(?P<subject>[0-9]{1,3})_(?P<emotion>ne|po|sur)_(?P<number>[0-9]{1,3})", re.IGNORECASE)


def _is_data(cells: Mapping[str, str]) -> bool:
    """The extended release ends in lines of text."""
    return bool(_CLIP.fullmatch(cells["clip"])) or cells["onset"].isdigit()


FORMS = (
    Form("extended, several events in a row", {**_COLUMNS, **_SECOND}, _THIRD, fits=_is_data),
    Form("one event in a row", _COLUMNS, fits=_is_data),
)
# A copy may be named by the folder of one camera, or of one of its subjects.
ROOT_NAMES = 3
_CAMERA = re.compile(rf"(?<![a-z])({'|'.join(CAMERAS.values())})(?![a-z])")
ORDER = (r"raw|-e(/|_|$)|_e(/|_|$)", r"^(?!.*crop)", r"crop")


def read(copy: Copy) -> Reading:
    """Every event of one camera, by its sheet, or by its folders where there is none.

    Raises:
        SheetError: a sheet of no known form.
    """
    rules, clips = RULES[copy.corpus], _clips(copy)
    patterns = (rf"smic[-_ ]?{CAMERAS[copy.corpus]}[-_ ]?e?[-_ ]?annotation.*",)
    if copy.annotation(*patterns) is None:
        return _read_folders(copy, clips, rules)
    table = copy.table(patterns, FORMS)
    rows = copy.rows((one for record in table.records for one in _apart(record)), _annotation)
    events = [copy.event(row, copy.frames(clips.get(row.clip, ()), ORDER), rules) for row in rows]
    return copy.reading(table.version, len(table.records), events, KNOWN[copy.corpus])


def _clips(copy: Copy) -> dict[str, list[Path]]:
    """Folders of each clip of this camera: those whose path, from the root's last names on, names no other last."""
    above = copy.tree.root.resolve().parts[-ROOT_NAMES:]
    clips: dict[str, list[Path]] = {}
    for path in copy.tree.named(_CLIP.pattern):
        named = _CAMERA.findall("/".join((*above, copy.tree.relative(path))).casefold())
        if not named or named[-1] == CAMERAS[copy.corpus]:
            clips.setdefault(clip_name(path.name), []).append(path)
    return dict(sorted(clips.items()))


def clip_name(text: str) -> str:
    """``s03_ne_01`` of ``s3_ne_1``.

    Raises:
        RowFault: the text is no name of a clip.
    """
    found = _CLIP.fullmatch(text)
    if not found:
        raise RowFault(f"{text!r} is no clip; clips are named like s03_ne_01")
    return f"s{int(found['subject']):02d}_{found['emotion'].lower()}_{int(found['number']):02d}"


def _apart(record: Record) -> Iterator[Record]:
    """A record for each event of a row."""
    for number, (onset, offset) in enumerate(_MOMENTS):
        if number == 0 or record.get(onset) not in ("", "0"):
            cells = {**record.cells, "onset": record.get(onset), "offset": record.get(offset)}
            yield Record(record.where, record.line, cells)


def _annotation(record: Record) -> Annotation:
    clip = clip_name(record["clip"])
    subject, emotion, _ = clip.split("_")
    if subject_number(record["subject"]) != int(subject[1:]):
        raise RowFault(f"Subject {record['subject']!r} is not the one of Filename {record['clip']!r}")
    label = record["label"].casefold()
    if label in LABELS and label != EMOTIONS[emotion]:
        raise RowFault(f"Emotion {label!r} is not the one of Filename {record['clip']!r}")
    return Annotation(
        record.where, subject, clip, onset=record["onset"], offset=record["offset"], label=record["label"]
    )


def _read_folders(copy: Copy, clips: Mapping[str, Sequence[Path]], rules: Conventions) -> Reading:
    """Every folder as one event, from its first frame to its last."""
    recordings = {clip: copy.frames(paths, ORDER) for clip, paths in clips.items()}
    rows = copy.corrected(
        _annotation_of_folder(copy.tree.relative(clips[clip][0]), clip, frames) for clip, frames in recordings.items()
    )
    events = [copy.event(row, recordings[row.clip], rules) for row in rows]
    return copy.reading("none; a folder is an event", len(clips), events, KNOWN[copy.corpus])


def _annotation_of_folder(where: str, clip: str, recordings: Sequence[Frames]) -> Annotation:
    subject, emotion, _ = clip.split("_")
    numbers = [0]
    if recordings and isinstance(recordings[0], FrameFiles):
        numbers = list(recordings[0].paths)
    return Annotation(where, subject, clip, str(numbers[0]), str(numbers[-1]), label=EMOTIONS[emotion])
