"""From a row of text to an event: what may stand in a row, which conventions fill it, and when it cannot be right."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from equime_loader.corpora.aus import AUCoding, AUGrammarError, parse_aus
from equime_loader.corpora.classes import SYNONYMS
from equime_loader.corpora.events import (
    CorpusEvent,
    Expression,
    Finding,
    Frames,
    Publication,
    SignalSource,
    TimingBy,
    VideoFile,
)

# What stands for an apex that nobody coded; 0 in corpora that count from 1.
NO_APEX = ("", "/", "-", "?", "nan", "none", "0", "-1")
MISSING_SHARE = 0.1
_WHOLE = re.compile(r"[0-9]{1,12}(\.0*)?")
_EventKey = tuple[str, str, int, int, Expression]


class RowFault(ValueError):
    """A row that cannot be right; the message says why."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One event as an annotation words it, all text. Corrections change the fields below `clip`.

    Attributes:
        where: sheet and line, for findings. subject, clip: as the corpus names them.
    """

    where: str
    subject: str
    clip: str
    onset: str
    offset: str
    apex: str = ""
    label: str = ""
    aus: str = ""
    objective_class: str = ""
    expression: str = "micro"
    fps: str = ""

    @property
    def name(self) -> str:
        """``sub01/EP02_01f``"""
        return f"{self.subject}/{self.clip}"


@dataclass(frozen=True, slots=True)
class Conventions:
    """What holds for every row of a corpus.

    Attributes:
        fps: frames per second of the recordings; a row's own comes first. each_fps: every row must say its own.
        labels: its emotions, spelled as `classes` spells them; None where it has none.
        has_aus: whether the corpus codes AUs. apex: whether it codes the apex; where not, it is taken halfway.
        first_frame: the number of a recording's first frame where it is the same for all; with 0, an apex 0 is one.
        no_offset: what an offset 0 means: a fault, or that the apex is the last frame that was coded.
        restricted: subjects whose pictures may not be published.
    """

    corpus: str
    fps: float
    labels: tuple[str, ...] | None
    has_aus: bool = True
    apex: Literal["coded", "halfway"] = "coded"
    first_frame: int = 1
    no_offset: Literal["fault", "apex"] = "fault"
    each_fps: bool = False
    restricted: frozenset[str] = frozenset()


class Ledger:
    """Findings, in the order in which they are made."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []

    def left_out(self, where: str, name: str, reason: str) -> None:
        """Something that costs an event."""
        self._findings.append(Finding(where, name, reason))

    def kept(self, where: str, name: str, reason: str) -> None:
        """Something that was read by a convention, which `reason` names."""
        self._findings.append(Finding(where, name, reason, left_out=False))

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(self._findings)


@dataclass(frozen=True, slots=True)
class Span:
    """Frame numbers of an event, who judged them, and what was taken by convention."""

    onset: int
    apex: int
    offset: int
    timing_by: TimingBy = "coder"
    notes: tuple[str, ...] = ()


def whole(text: str, name: str) -> int:
    """A frame number, or another whole number from 0.

    Raises:
        RowFault: the text is none.
    """
    if not _WHOLE.fullmatch(text):
        raise RowFault(f"{name} {text!r} is no whole number from 0")
    return int(text.partition(".")[0])


def subject_number(text: str) -> int:
    """The number of a subject: 6 of ``6``, ``006``, ``sub06`` and ``s6``.

    Raises:
        RowFault: the text ends in no number.
    """
    found = re.search(r"[0-9]{1,6}$", text)
    if not found:
        raise RowFault(f"subject {text!r} has no number")
    return int(found.group())


def read_span(row: Annotation, rules: Conventions) -> Span:
    """Onset, apex and offset of a row.

    Raises:
        RowFault: a number is none, or they are in no order.
    """
    onset, offset = whole(row.onset, "onset"), whole(row.offset, "offset")
    apex: int | None = None
    if rules.apex == "coded" and not _is_missing(row.apex, rules):
        apex = whole(row.apex, "apex")
    notes: list[str] = []
    if offset == 0 and onset > 0:
        if rules.no_offset != "apex" or apex is None:
            raise RowFault("offset 0")
        offset = apex
        notes.append("offset 0: the apex is the last frame that was coded")
    if onset > offset:
        raise RowFault(f"onset {onset} lies after offset {offset}")
    if apex is not None and not onset <= apex <= offset:
        raise RowFault(f"apex {apex} lies outside {onset}..{offset}")
    if apex is not None:
        return Span(onset, apex, offset, "assumed" if notes else "coder", tuple(notes))
    if rules.apex == "coded":
        notes.append(f"apex {row.apex!r}: taken halfway")
    return Span(onset, (onset + offset) // 2, offset, "coder, apex halfway", tuple(notes))


def _is_missing(apex: str, rules: Conventions) -> bool:
    return apex.casefold() in NO_APEX and not (apex == "0" and rules.first_frame == 0)


def read_label(text: str, labels: tuple[str, ...] | None) -> str | None:
    """The emotion of a row, its spelling unified; several, in the sheet's order, joined by ``+``.

    Raises:
        RowFault: an emotion that the corpus does not have.
    """
    if labels is None:
        return None
    spelled = [" ".join(word.split()) for word in text.casefold().split("+")]
    words = [SYNONYMS.get(word, word) for word in spelled]
    if unknown := [word for word in words if word not in labels]:
        raise RowFault(f"label {unknown[0]!r} is none of {', '.join(labels)}")
    return "+".join(dict.fromkeys(words))


def read_aus(text: str) -> tuple[AUCoding, str | None]:
    """The coding of a row; one that the grammar does not know is unknown, and the note says why."""
    try:
        return parse_aus(text), None
    except AUGrammarError as error:
        return AUCoding(unknown=True, raw=text), f"{error}; its AUs are unknown"


def fit(span: Span, frames: Frames) -> Span:
    """The span on the frames that there are: moments whose own frame was dropped move to the nearest one.

    Raises:
        RowFault: more than a tenth of the event's frames are missing, and more than one.
    """
    if isinstance(frames, VideoFile):
        return span
    present = [number for number in frames.paths if span.onset <= number <= span.offset]
    length = span.offset - span.onset + 1
    missing = length - len(present)
    if not missing:
        return span
    if missing > max(1, MISSING_SHARE * length) or not present:
        numbers = list(frames.paths)
        raise RowFault(
            f"{missing} of the {length} frames {span.onset}..{span.offset} are missing; the folder holds "
            f"{numbers[0]}..{numbers[-1]}"
        )
    apex = min(present, key=lambda number: (abs(number - span.apex), number))
    note = f"{missing} of {length} frames are missing"
    return replace(span, onset=present[0], apex=apex, offset=present[-1], notes=(*span.notes, note))


def choose(span: Span, candidates: Sequence[Frames]) -> tuple[Span, Frames]:
    """Of several copies of a clip's frames, the first that holds the event whole, else the first that has enough of it.

    Raises:
        RowFault: none has; the message is that of the first.
    """
    fitted: list[tuple[Span, Frames]] = []
    fault = RowFault("no folder of frames")
    for number, frames in enumerate(candidates):
        try:
            fitted.append((fit(span, frames), frames))
        except RowFault as error:
            fault = error if number == 0 else fault
    if not fitted:
        raise fault
    return min(fitted, key=lambda pair: len(pair[0].notes))


def read_event(
    row: Annotation,
    candidates: Sequence[Frames],
    rules: Conventions,
    ledger: Ledger,
    *,
    span: Span | None = None,
    signals: tuple[SignalSource, ...] = (),
) -> CorpusEvent | None:
    """The event of a row, or None, with a finding, where it cannot be right.

    Args:
        candidates: the clip's frames; where there are several copies, the preferred one first.
        span: its frame numbers, where the adapter knows them better than the row.
    """
    try:
        fitted, frames = choose(span or read_span(row, rules), candidates)
        label = read_label(row.label, rules.labels)
        expression = _expression(row.expression)
        objective = whole(row.objective_class, "objective class") if row.objective_class else None
        fps = _rate(row.fps) if row.fps or rules.each_fps else rules.fps
    except RowFault as fault:
        ledger.left_out(row.where, row.name, str(fault))
        return None
    coding, note = read_aus(row.aus) if rules.has_aus else (None, None)
    for said in (*fitted.notes, *([note] if note else [])):
        ledger.kept(row.where, row.name, said)
    publication: Publication = "restricted" if row.subject in rules.restricted else "allowed"
    return CorpusEvent(
        corpus=rules.corpus,
        subject=row.subject,
        clip=row.clip,
        onset=fitted.onset,
        apex=fitted.apex,
        offset=fitted.offset,
        label=label,
        fps=fps,
        frames=frames,
        aus=coding,
        au_text=row.aus if rules.has_aus else None,
        objective_class=objective,
        expression=expression,
        timing_by=fitted.timing_by,
        publication=publication,
        signals=signals,
    )


def _expression(text: str) -> Expression:
    word = text.casefold()
    if word.startswith("micro"):
        return "micro"
    if word.startswith("macro"):
        return "macro"
    raise RowFault(f"expression {text!r} is neither micro nor macro")


def _rate(text: str) -> float:
    if not text:
        raise RowFault("no frame rate")
    fps = whole(text, "frame rate")
    if not 0 < fps <= 1_000:
        raise RowFault(f"frame rate {text!r} must lie within 1..1000")
    return float(fps)


def numbered(events: Sequence[CorpusEvent], ledger: Ledger) -> tuple[CorpusEvent, ...]:
    """Events with their number within their clip, by time. One that stands twice is kept once."""
    seen: dict[_EventKey, CorpusEvent] = {}
    for event in events:
        key: _EventKey = (event.subject, event.clip, event.onset, event.offset, event.expression)
        if key in seen:
            ledger.left_out(
                "sheet", f"{event.subject}/{event.clip}", f"frames {event.onset}..{event.offset} stand twice"
            )
        else:
            seen[key] = event
    count: Counter[tuple[str, str]] = Counter()
    place: dict[_EventKey, int] = {}
    for key in sorted(seen):
        place[key] = count[key[:2]]
        count[key[:2]] += 1
    return tuple(replace(event, occurrence=place[key]) for key, event in seen.items())
