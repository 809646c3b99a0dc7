"""4DME (Li et al., "4DME: A Spontaneous 4D Micro-Expression Dataset With Multimodalities", IEEE Transactions on
Affective Computing 14(4), 2023): its gray videos.

    4DME_Labelling_Micro_release v1.xlsx                               micro-expressions
    Micro and Macro-expression labels.xlsx                             both, of the long videos
    gray_micro/{sub_ID}/{fold_name}/…                                  clips
    long_gray_video/long gray video/{sub}/{clip}/Frame_000001826.jpg   long videos, the same numbers

60 frames per second. An event may have several emotions (`Surprise+Positive`); `(k)` marks an AU that is kept through
the event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from equime_loader.corpora.annotations import Annotation, Conventions, Ledger, RowFault, Span, read_span
from equime_loader.corpora.copies import Copy
from equime_loader.corpora.events import FrameFiles, Frames, Known, Reading
from equime_loader.corpora.sheets import Form, Record

KNOWN = Known(rows=267, events=267)
LABELS = ("positive", "negative", "surprise", "repression", "others")
RULES = Conventions("4dme", 60.0, LABELS)
SHEETS = (r"4dme_labelling_micro.*", r"micro and macro[- ]expression labels.*")
_COLUMNS = {
    "subject": ("sub_ID",),
    "clip": ("fold_name",),
    "label": ("Emotion",),
    "onset": ("Onset",),
    "apex": ("Apex",),
    "offset": ("Offset",),
    "aus": ("AUs", "AU"),
}
_ONE_HOT = {label: (label.capitalize(),) for label in LABELS}
_EXPRESSION = {"expression": ("Expression type", "Type", "Micro/Macro", "Macro/Micro")}
FORMS = (
    Form("micro- and macro-expressions", {**_COLUMNS, **_EXPRESSION}, _ONE_HOT),
    Form("micro-expressions", _COLUMNS, _ONE_HOT),
)
# Long videos first, since they have frames before and after the event.
ORDER = ("long", r"gray_micro(?!_crop)", "crop")


def read(copy: Copy) -> Reading:
    """Every event of a copy.

    Raises:
        SheetError: no annotation, or one of no known form.
    """
    table = copy.table(SHEETS, FORMS)
    for record in table.records:
        _compare_columns(record, copy.ledger)
    rows = copy.rows(table.records, _annotation)
    frames = [copy.frames(_places(copy, row), ORDER) for row in rows]
    by_clip = {row.name: own for row, own in zip(rows, frames, strict=True)}
    for row in rows:
        _look_elsewhere(copy.ledger, row, by_clip)
    events = [copy.event(row, own, RULES) for row, own in zip(rows, frames, strict=True)]
    known = KNOWN if table.form is FORMS[1] else Known()
    return copy.reading(table.version, len(table.records), events, known)


def _places(copy: Copy, row: Annotation) -> list[Path]:
    # Excel drops the zeros of a number.
    return copy.tree.ending((row.subject, row.subject.zfill(2), row.subject.zfill(3)), row.clip)


def _look_elsewhere(ledger: Ledger, row: Annotation, by_clip: Mapping[str, Sequence[Frames]]) -> None:
    """A finding where the frames of a row are those of another clip: two of the sheet's rows are swapped."""
    try:
        span = read_span(row, RULES)
    except RowFault:
        return
    own = by_clip[row.name]
    if not own or any(_has(frames, span) for frames in own):
        return
    for name, found in by_clip.items():
        if name.split("/")[0] == row.subject and any(_has(frames, span) for frames in found):
            ledger.kept(
                row.where, row.name, f"frames {span.onset}..{span.offset} are those of {name}; are rows swapped?"
            )


def _has(frames: Frames, span: Span) -> bool:
    return not isinstance(frames, FrameFiles) or {span.onset, span.offset} <= frames.paths.keys()


def _annotation(record: Record) -> Annotation:
    return Annotation(
        record.where,
        record["subject"],
        record["clip"],
        onset=record["onset"],
        apex=record["apex"],
        offset=record["offset"],
        label=record["label"].replace(",", "+"),
        aus=record["aus"],
        expression=record.get("expression") or "micro",
    )


def _compare_columns(record: Record, ledger: Ledger) -> None:
    """A finding where the columns of single emotions, one of each, do not say what the word does; the word is kept."""
    marked = {label for label in LABELS if record.get(label) in ("1", "1.0", "True")}
    words = {word.strip().casefold() for word in record["label"].replace(",", "+").split("+")}
    if marked and marked != words:
        reason = f"emotion {record['label']!r}, but the columns of emotions say {'+'.join(sorted(marked))}"
        ledger.kept(record.where, f"{record['subject']}/{record['clip']}", reason)
