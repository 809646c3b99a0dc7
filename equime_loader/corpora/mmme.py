"""MMME (Ma et al., "MMME: A Spontaneous Multi-Modal Micro-Expression Dataset Enabling Visual-Physiological Fusion",
2025): pictures, EEG, and peripheral signals.

    coding_file.xlsx                                    rows by participant; one version lacks `Macro/Micro`
    …/NAME_20230718/…/2023-07-18-11-05-19-038-498-146.tif    a frame: date, time, ms, µs, marker of the trial
    …/NAME_20230718/…/Acquisition 01.cdt                Neuroscan: EEG of the session, 1000 per second
    …/NAME_20230718/…/Untitled1 (001).mat               BIOPAC: PPG, RSP, SKT, EDA, ECG, EMG of the session, the same
    …/angry_1_146_NAME_20230718.avi                     a trial as video, where frames are not there

NAME is a participant's real name. It stands in sheet, folders and files, and nowhere else: subjects are pseudonyms (see
`pseudonyms`), clips are `angry_1_146_PSEUDONYM`, and no finding, error or repr of an event has a name or a path.

Frames are counted from 0 within their trial, whose first one coincides with its marker in the signals. Their rate is
what their times say (the camera's 150 per second are not always reached).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from equime_loader.corpora.annotations import Annotation, Conventions, RowFault, Span, read_aus, read_label
from equime_loader.corpora.copies import Copy
from equime_loader.corpora.events import CorpusEvent, Finding, Frames, Known, Reading, SignalSource
from equime_loader.corpora.mmme_trials import Clock, PrivateVideo, Sessions, Trial, stamp_us, video_rate
from equime_loader.corpora.pseudonyms import Pseudonyms, plain_name
from equime_loader.corpora.recordings import Shelf, TrialSource, open_biopac, open_curry
from equime_loader.corpora.sheets import Form, Record

LABELS = ("disgust", "fear", "surprise", "happiness", "sadness", "anger", "contempt", "tense")
RULES = Conventions("mmme", 150.0, LABELS, first_frame=0)
KNOWN = Known(rows=3475, events=3475, subjects=110, expressions={"micro": 634, "macro": 2841})
KNOWN_SAMPLE = Known(rows=944, events=944, subjects=16)  # beside the paper
SHEETS = (r"coding_file.*",)
_COLUMNS = {
    "subject": ("Subject",),
    "file": ("Filename",),
    "marker": ("Marker",),
    "onset_s": ("OnsetTime",),
    "apex_s": ("ApexTime",),
    "offset_s": ("OffsetTime",),
    "onset": ("OnsetFrame",),
    "apex": ("ApexFrame",),
    "offset": ("OffsetFrame",),
    "aus": ("Action Units",),
    "label": ("Estimated Emotion",),
}
FORMS = (
    Form("with Macro/Micro", {**_COLUMNS, "expression": ("Macro/Micro",)}, fits=lambda cells: bool(cells["file"])),
    Form("without Macro/Micro", _COLUMNS, fits=lambda cells: bool(cells["file"])),
)
# What trials were to bring about. Only these words, as another one may be a name.
_AIMS = "angry|anger|contempt|disgust|fear|happy|happiness|neutral|sad|sadness|surprise|tense"
_FILE = re.compile(
    rf"(?P<trial>(?:{_AIMS})_[0-9]+_(?P<marker>[0-9]+))_(?P<name>.+)_(?P<date>[0-9]{{8}})(\.\w+)?", re.IGNORECASE
)
# In place of a cell that holds something else than its column: it may name somebody, a coder or a participant.
UNQUOTED = "(not quoted)"
EXPRESSIONS = ("micro", "macro", "micro-expression", "macro-expression")
_LONG = 4  # letters of a name, or a part of one, that is found within a word
_SUBJECTS_OF_FINDINGS = ("unknown", "offset", "expression")
_SAFE_NAME = re.compile(r"p[0-9a-f]{12}(/[a-z0-9_]*)?")
# Yan et al., "How Fast are the Leaked Facial Expressions", 2013: in all, or from onset to apex.
MICRO_S, MICRO_ONSET_S = 0.5, 0.26
# A moment lies at most that far from its frame. Times and frames of a row that differ by more are a finding.
NEAREST_US, CONTRADICTION_S = 10_000, 0.1
CURRY_SIGNALS, BIOPAC_SIGNALS = ("eeg", "eog"), ("ppg", "rsp", "skt", "eda", "ecg", "emg")


@dataclass(frozen=True, slots=True, repr=False)
class _Row:
    """A row of the sheet before it loses its names: never shown."""

    record: Record
    person: str
    date: str
    trial: str
    marker: int

    @property
    def session(self) -> tuple[str, str]:
        return plain_name(self.person), self.date


def read(copy: Copy) -> Reading:
    """Every event of a copy, under pseudonyms.

    Raises:
        SheetError: no annotation, or one of no known form. ValueError: the pseudonyms' key lies within the copy.
    """
    table = copy.table(SHEETS, FORMS)
    names = Pseudonyms.open(outside=[copy.tree.root])
    rows = [row for record in table.records if (row := _parsed(record, names, copy)) is not None]
    # One session after the other, so that each one's folder is listed, and its recordings opened, once.
    rows.sort(key=lambda row: (names.of(row.person), row.date))
    clips = _clip_names(rows, names)
    known_expression = table.form is FORMS[0]
    if not known_expression:
        reason = "no column Macro/Micro: micro is what lasts up to 500 ms, or 260 ms from onset to apex"
        copy.ledger.kept(table.sheet.file, "expression", reason)
    annotations = copy.corrected(_unquoted(_annotation(row, names, clips), copy) for row in rows)
    sessions, shelves = Sessions(copy.tree), (Shelf(), Shelf())
    events = []
    for row, annotation in zip(rows, annotations, strict=True):
        trial = sessions.trial(row.person, row.date, row.marker, row.record["file"])
        events.append(_event(copy, annotation, row, trial, shelves))
    _report_offsets(copy, table.sheet.file, annotations)
    reading = copy.reading(table.version, len(table.records), events, KNOWN if known_expression else KNOWN_SAMPLE)
    clean = _cleaner({record["subject"] for record in table.records} | {row.person for row in rows}, names)
    findings = tuple(_cleaned(finding, clean) for finding in reading.findings)
    return replace(reading, sheet=clean(reading.sheet), findings=findings)


def _parsed(record: Record, names: Pseudonyms, copy: Copy) -> _Row | None:
    """The row's participant and trial; None, with a finding, where they contradict each other."""
    if not plain_name(record["subject"]):
        copy.ledger.left_out(record.where, "unknown", "no subject")
        return None
    match = _FILE.fullmatch(record["file"])
    fault = None
    if match is None:
        fault = "Filename is not of the form emotion_number_marker_name_date"
    elif plain_name(match["name"]) != plain_name(record["subject"]):
        fault = "Subject and Filename name different people"
    elif record["marker"] != match["marker"]:
        fault = "Marker is not that of Filename"
    if fault or match is None:
        copy.ledger.left_out(record.where, names.of(record["subject"]), fault or "")
        return None
    return _Row(record, match["name"], match["date"], match["trial"].casefold(), int(match["marker"]))


def _clip_names(rows: Iterable[_Row], names: Pseudonyms) -> Mapping[tuple[str, str], str]:
    """What ends a clip's name in each session: the pseudonym, and a number from someone's second session on.

    The date is left out: with what is known of a participant, it tells who it is.
    """
    dates: dict[str, set[str]] = {}
    for row in rows:
        dates.setdefault(row.session[0], set()).add(row.date)
    return {
        (person, date): names.of(person) + (f"_s{number}" if number > 1 else "")
        for person, days in dates.items()
        for number, date in enumerate(sorted(days), 1)
    }


def _annotation(row: _Row, names: Pseudonyms, clips: Mapping[tuple[str, str], str]) -> Annotation:
    record = row.record
    return Annotation(
        record.where,
        names.of(row.person),
        f"{row.trial}_{clips[row.session]}",
        onset=record["onset"],
        apex=record["apex"],
        offset=record["offset"],
        label=record["label"],
        aus=record["aus"],
        expression=record.get("expression") or _expression(record),
    )


def _unquoted(row: Annotation, copy: Copy) -> Annotation:
    """The row without what its columns do not hold, which may be a name, so that nothing later can quote it."""
    holds: Mapping[str, Callable[[str], bool]] = {
        **dict.fromkeys(("onset", "apex", "offset"), lambda cell: cell.isdecimal() or stamp_us(cell) is not None),
        "label": _is_label,
        "expression": lambda cell: cell.casefold() in EXPRESSIONS,
    }
    cells = {name: cell if fits(cell := getattr(row, name)) else UNQUOTED for name, fits in holds.items()}
    coding, fault = read_aus(row.aus)
    if fault:
        copy.ledger.kept(row.where, row.name, "Action Units are of no known form: they are unknown")
    words = fault is not None or bool(coding.notes)
    return replace(row, **cells, aus=str(replace(coding, notes=())) if words else row.aus)


def _is_label(text: str) -> bool:
    try:
        return bool(read_label(text, LABELS))
    except RowFault:
        return False


def _expression(record: Record) -> str:
    """Micro or macro by the times of a row, where the sheet does not say it."""
    try:
        onset, apex, offset = (float(record[name]) for name in ("onset_s", "apex_s", "offset_s"))
    except ValueError:
        return "unknown"
    # Times are rounded to hundredths of a second.
    return "micro" if round(offset - onset, 3) <= MICRO_S or round(apex - onset, 3) <= MICRO_ONSET_S else "macro"


def _event(copy: Copy, row: Annotation, source: _Row, trial: Trial, shelves: tuple[Shelf, Shelf]) -> CorpusEvent | None:
    candidates: list[Frames] = []
    try:
        if trial.frames is not None:
            fps, span = trial.fps, _span(row, trial, source.record)
            candidates.append(trial.frames)
        elif trial.video is not None:
            fps = video_rate(trial.video)
            span = _video_span(source.record, fps)
            candidates.append(PrivateVideo(trial.video))
        else:
            raise RowFault("neither frames nor a video of the trial")
    except RowFault as fault:
        copy.ledger.left_out(row.where, row.name, str(fault))
        return None
    signals = _signals(source.marker, trial, fps, shelves)
    return copy.event(row, candidates, replace(RULES, fps=fps), span=span, signals=signals)


def _span(row: Annotation, trial: Trial, record: Record) -> Span:
    """Frame numbers of an event, by the times that name its frames.

    Raises:
        RowFault: times that are none, have no frame, or are out of order.
    """
    onset, apex, offset = (_nearest(trial, text, name) for name, text in _moments(row))
    if not onset <= apex <= offset:
        raise RowFault(f"frames {onset}, {apex}, {offset} of onset, apex, offset are out of order")
    return Span(onset, apex, offset, notes=_contradiction(trial, record, onset, offset))


def _contradiction(trial: Trial, record: Record, onset: int, offset: int) -> tuple[str, ...]:
    """A note where the frames of a row are further apart than its seconds, or less far: frames were dropped there."""
    assert trial.us is not None
    try:
        seconds = float(record["offset_s"]) - float(record["onset_s"])
    except ValueError:
        return ()
    counted = float(trial.us[offset] - trial.us[onset]) / 1e6
    if abs(counted - seconds) <= CONTRADICTION_S:
        return ()
    return (f"frames are {counted:.2f} s apart, times {seconds:.2f} s: the frames are taken",)


def _moments(row: Annotation) -> tuple[tuple[str, str], ...]:
    return ("onset", row.onset), ("apex", row.apex), ("offset", row.offset)


def _nearest(trial: Trial, text: str, name: str) -> int:
    """Number of the frame that a time names; one without microseconds names the frame of its millisecond."""
    assert trial.us is not None
    if text.isdigit():  # a user's correction may give the number itself
        if int(text) >= len(trial.us):
            raise RowFault(f"{name} lies beyond the {len(trial.us)} frames of the trial")
        return int(text)
    moment = stamp_us(text)
    if moment is None:
        raise RowFault(f"{name} is no time of the form HH-MM-SS-mmm-µµµ")
    if text.count("-") == 3:
        moment += 500
    number = int(np.argmin(np.abs(trial.us - moment)))
    if abs(int(trial.us[number]) - moment) > NEAREST_US:
        raise RowFault(f"{name}: no frame of the trial lies within {NEAREST_US // 1000} ms of it")
    return number


def _video_span(record: Record, fps: float) -> Span:
    """Frame numbers of an event in its trial's video, by its seconds."""
    try:
        onset, apex, offset = (round(float(record[name]) * fps) for name in ("onset_s", "apex_s", "offset_s"))
    except (ValueError, OverflowError):
        raise RowFault("a time is no number") from None
    if not 0 <= onset <= apex <= offset:
        raise RowFault(f"frames {onset}, {apex}, {offset} of onset, apex, offset are out of order")
    return Span(onset, apex, offset)


def _signals(marker: int, trial: Trial, fps: float, shelves: tuple[Shelf, Shelf]) -> tuple[SignalSource, ...]:
    devices = (
        (trial.curry, open_curry, shelves[0], CURRY_SIGNALS),
        (trial.biopac, open_biopac, shelves[1], BIOPAC_SIGNALS),
    )
    clock = Clock(trial.us, fps)
    return tuple(
        TrialSource(name, files, opener, shelf, clock, fps, marker)
        for files, opener, shelf, signals in devices
        if files
        for name in signals
    )


def _report_offsets(copy: Copy, where: str, rows: Iterable[Annotation]) -> None:
    same = [row.apex == row.offset != UNQUOTED for row in rows]
    if any(same):
        reason = f"{sum(same)} of {len(same)} rows have the offset at the apex: it was not coded apart"
        copy.ledger.kept(where, "offset", reason)


def _cleaner(people: Iterable[str], names: Pseudonyms) -> Callable[[str], str]:
    """What puts pseudonyms for the names of participants into a text, wherever they stand in it."""
    words = {word: person for person in people if plain_name(person) for word in _spellings(person)}
    known = {plain_name(word): names.of(person) for word, person in words.items()}
    by_length = sorted(words, key=len, reverse=True)
    pattern = re.compile("|".join(map(_anywhere, by_length)) or "(?!)", re.IGNORECASE)
    return lambda text: pattern.sub(lambda match: known.get(plain_name(match.group()), "somebody"), text)


def _cleaned(finding: Finding, clean: Callable[[str], str]) -> Finding:
    safe = finding.name in _SUBJECTS_OF_FINDINGS or finding.where == "annotation"
    safe = safe or bool(_SAFE_NAME.fullmatch(finding.name))
    # A correction may name someone who is not in the sheet.
    name = clean(finding.name) if safe else "a clip that is not named by its pseudonym"
    return replace(finding, where=clean(finding.where), name=name, reason=clean(finding.reason))


def _spellings(person: str) -> set[str]:
    """How a name may stand in a text: as it is, without spaces and signs, and its longer parts."""
    parts = {part for part in re.split(r"[\W_\d]+", person.casefold()) if len(part) >= _LONG}
    return {person, person.casefold(), plain_name(person), *parts}


def _anywhere(word: str) -> str:
    """A pattern that finds a name: within words, too, unless it is so short that many a word has it."""
    short = word.isascii() and len(word) < _LONG
    return rf"(?<![a-z]){re.escape(word)}(?![a-z])" if short else re.escape(word)
