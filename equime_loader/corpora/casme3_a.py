"""CAS(ME)³, part A (Li et al., "CAS(ME)³: A Third Generation Facial Spontaneous Micro-Expression Database with Depth
Information and High Ecological Validity", IEEE TPAMI 45(3), 2023).

    cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx   micro-expressions, with their emotions
    CAS(ME)3_part_A_v2.xls                      micro- and macro-expressions, without
    part_A/…/spNO.1/a/color/355.jpg             13 recordings of a subject, at 30 frames per second: color
    part_A/…/spNO.1/a/depth/355.png             and depth; the level `depth`, and the dot, are lacking in places
    exception/error_info_damaged_image_partA.txt, exception/casme3_partA_error_list_ZhouJu.xlsx

Version 2 calls 61 events macro-expressions that version 1 called micro-expressions. Where both sheets of a version are
there, macro-expressions come from the second, which also says the timing of those that the first has out of order.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from equime_loader.corpora.annotations import Annotation, Conventions, RowFault, read_span
from equime_loader.corpora.copies import Copy
from equime_loader.corpora.events import FrameFiles, Frames, Known, Reading, VideoFile
from equime_loader.corpora.frames import frame_number, in_order
from equime_loader.corpora.sheets import Form, Record, Table, find_table, read_sheets

_LABELS = {
    "disgust": 250,
    "surprise": 187,
    "others": 161,  # three of them `Others`
    "fear": 86,
    "anger": 64,
    "sadness": 57,
    "happiness": 55,
}
RULES = Conventions("casme3_a", 30.0, tuple(_LABELS))
# By version, and by whether macro-expressions were read: 860 or 921 micro-expressions, 3346 or 3285 macro-expressions.
KNOWN: Mapping[tuple[str, bool], Known] = {
    ("v2", False): Known(rows=860, events=860, subjects=94, labels=_LABELS),
    ("v2", True): Known(rows=4206, events=4206, subjects=98, labels=_LABELS),
    ("v1", False): Known(rows=921, events=921),
    ("v1", True): Known(rows=4206, events=4206),
}
MICRO_SHEETS = (r"cas\(me\)3_part_a_me_label_jpgindex_v2.*", r"cas\(me\)3_part_a_me_label_jpgindex.*")
ALL_SHEETS = r"cas\(me\)3_part_a_{version}\..*"
OCCLUDED = r"casme3_parta_error_list.*"
DAMAGED = "error_info_damaged_image_partA.txt"
# Expressions of emotion last up to 4 s (Ekman, "Emotions Revealed", 2003). Half a minute is none.
LONG_S, IMPOSSIBLE_S = 4.0, 30.0
OBJECTIVE = {numeral: str(number) for number, numeral in enumerate(("I", "II", "III", "IV", "V", "VI", "VII"), 1)}
_COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename",),
    "onset": ("Onset",),
    "apex": ("Apex",),
    "offset": ("Offset",),
    "aus": ("AU",),
    "objective_class": ("Objective class",),
}
_EXPRESSION = {"expression": ("Expression type",)}
MICRO_FORM = Form("micro-expressions with emotions", {**_COLUMNS, "label": ("emotion",)}, _EXPRESSION)
ALL_FORM = Form("all expressions, without emotions", {**_COLUMNS, **_EXPRESSION})
OCCLUDED_FORM = Form("occluded", {**_COLUMNS, "problem": ("问题", "problem")})
_DAMAGED_LINE = re.compile(r"(?P<subject>sp\S+)\s+(?P<clip>\w+)\s+(?P<number>[0-9]+)\.jpg", re.IGNORECASE)


def read(copy: Copy) -> Reading:
    """Every event of a copy: of version 2 where it is there.

    Raises:
        SheetError: no annotation, or one of no known form.
    """
    path = copy.annotation(*MICRO_SHEETS) or copy.annotation(
        *(ALL_SHEETS.format(version=name) for name in ("v2", "v1"))
    )
    if path is None:
        raise copy.no_sheet()
    table = find_table(read_sheets(path), [MICRO_FORM, ALL_FORM])
    version = "v1" if "v1" in path.name.casefold() else "v2"
    if version == "v1":
        copy.ledger.kept(path.name, "version 1", "version 2 corrects it: 61 of its events are macro-expressions")
    everything = _everything(copy, version) if table.form is MICRO_FORM else None
    macro = [record for record in everything.records if not _is_micro(record)] if everything else []
    rows = copy.rows([*table.records, *macro], _annotation)
    second = tuple(_timings(everything.records)) if everything else ()
    recordings = _Recordings(copy)
    events = []
    for row in rows:
        timed = _timed(copy, row, second)
        if _is_possible(copy, timed):
            rules = RULES if timed.label else replace(RULES, labels=None)
            events.append(copy.event(timed, recordings.of(timed.subject, timed.clip), rules))
    _report_occluded(copy)
    has_macro = bool(macro) or table.form is ALL_FORM
    return copy.reading(table.version, len(table.records) + len(macro), events, KNOWN[version, has_macro])


def _everything(copy: Copy, version: str) -> Table | None:
    paths = copy.tree.named(ALL_SHEETS.format(version=version))
    return find_table(read_sheets(paths[0]), [ALL_FORM]) if paths else None


def _is_micro(record: Record) -> bool:
    return record["expression"].casefold().startswith("micro")


def _timings(records: Iterable[Record]) -> Iterator[Annotation]:
    """Micro-expressions whose moments are in order."""
    for record in records:
        if _is_micro(record):
            with suppress(RowFault):
                row = _annotation(record)
                read_span(row, RULES)
                yield row


def _annotation(record: Record) -> Annotation:
    found = re.search(r"[0-9]+$", record["subject"])
    if not found:
        raise RowFault(f"subject {record['subject']!r} has no number")
    numeral = record["objective_class"].upper()
    return Annotation(
        record.where,
        f"spNO.{int(found.group())}",
        record["clip"].casefold(),
        onset=record["onset"],
        apex=record["apex"],
        offset=record["offset"],
        label=record.get("label"),
        aus=record["aus"],
        objective_class=OBJECTIVE.get(numeral, numeral),
        expression=record.get("expression") or "micro",
    )


def _timed(copy: Copy, row: Annotation, second: Iterable[Annotation]) -> Annotation:
    """The row; where its moments are out of order, with those of the same event in the other sheet.

    The same event is one of the clip with the same AUs, of whose three moments two are the same.
    """
    if _is_in_order(row):
        return row
    same = [
        other
        for other in second
        if (other.subject, other.clip, other.aus) == (row.subject, row.clip, row.aus)
        and (other.onset == row.onset) + (other.apex == row.apex) + (other.offset == row.offset) == 2
    ]
    if len(same) != 1:
        return row
    moments = (same[0].onset, same[0].apex, same[0].offset)
    copy.ledger.kept(
        row.where, row.name, f"{row.onset}, {row.apex}, {row.offset} are out of order: {same[0].where} has {moments}"
    )
    return replace(row, onset=moments[0], apex=moments[1], offset=moments[2])


def _is_in_order(row: Annotation) -> bool:
    try:
        read_span(row, RULES)
    except RowFault:
        return False
    return True


def _is_possible(copy: Copy, row: Annotation) -> bool:
    """Whether a micro-expression lasts less than half a minute; one that lasts long is a finding."""
    if row.expression.casefold().startswith("macro") or not _is_in_order(row):
        return True
    span = read_span(row, RULES)
    seconds = (span.offset - span.onset + 1) / RULES.fps
    if seconds > IMPOSSIBLE_S:
        copy.ledger.left_out(row.where, row.name, f"a micro-expression of {seconds:.0f} s")
    elif seconds > LONG_S:
        copy.ledger.kept(row.where, row.name, f"a micro-expression of {seconds:.1f} s, kept as it is coded")
    return seconds <= IMPOSSIBLE_S


class _Recordings:
    """Color frames by subject and clip. Depth, which may lie among them, is no frame, and damaged files are none."""

    def __init__(self, copy: Copy) -> None:
        self._copy = copy
        self._damaged = _damaged(copy)
        self._found: dict[tuple[str, str], list[Frames]] = {}

    def of(self, subject: str, clip: str) -> list[Frames]:
        """The recordings of a clip, the best first."""
        key = subject, clip
        if key not in self._found:
            spellings = (subject, subject.replace(".", ""))
            tree = self._copy.tree
            paths = [*tree.ending(spellings, clip, "color"), *tree.ending(spellings, clip)]
            # The order keeps color first; a clip's own folder holds its frames where there is no level `color`.
            found = (self._frames(path, key) for path in in_order(self._copy.wanted(paths), tree.root, ("/color$",)))
            self._found[key] = [frames for frames in found if frames is not None]
        return self._found[key]

    def _frames(self, path: Path, key: tuple[str, str]) -> Frames | None:
        if not path.is_dir():
            return VideoFile(path)
        jpgs = (name for name in os.listdir(path) if name.casefold().endswith((".jpg", ".jpeg")))
        numbers = {number: name for name in jpgs if (number := frame_number(name)) is not None}
        if unreadable := sorted(self._damaged.get(key, set()) & numbers.keys()):
            reason = f"{len(unreadable)} of its frames are damaged, and not read: {unreadable[0]}..{unreadable[-1]}"
            self._copy.ledger.kept(DAMAGED, "/".join(key), reason)
        good = sorted(numbers.keys() - set(unreadable))
        return FrameFiles({number: path / numbers[number] for number in good}) if good else None


def _damaged(copy: Copy) -> dict[tuple[str, str], set[int]]:
    """Frame numbers of the damaged files that the corpus lists, by subject and clip; none without the list."""
    damaged: dict[tuple[str, str], set[int]] = {}
    for folder in (copy.tree.root, *copy.tree.ending("exception")):
        if (path := folder / DAMAGED).is_file():
            for found in _DAMAGED_LINE.finditer(path.read_text(encoding="utf-8", errors="replace")):
                key = found["subject"], found["clip"].casefold()
                damaged.setdefault(key, set()).add(int(found["number"]))
    return damaged


def _report_occluded(copy: Copy) -> None:
    """A finding for each event that the corpus lists as covered by a hand, a head that turned away, and the like."""
    for path in copy.tree.named(OCCLUDED)[:1]:
        for record in find_table(read_sheets(path), [OCCLUDED_FORM]).records:
            name = f"{record['subject']}/{record['clip'].casefold()}"
            copy.ledger.kept(record.where, name, f"onset {record['onset']}: {record['problem']}; kept as it is coded")
