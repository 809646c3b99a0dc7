"""The plan of an import: every clip that will exist, before any frame is decoded.

It is a pure function of (reading, request).

No path of the corpus stands in it, as some name persons.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from equime_builder.importing.cuts import Cut, CutRefused, bounds, cut_event
from equime_builder.plan import FORMAT_VERSION, FORMATS, Shard, plan_hash, shards_of
from equime_builder.profiles import Video
from equime_builder.version import VERSION
from equime_loader.corpora import CORPORA
from equime_loader.corpora.classes import class_of
from equime_loader.corpora.events import CorpusEvent, Finding, Reading, VideoFile

SPLIT = "train"  # what a dataset without splits of its own is called on the Hub
CONTEXT_MS = 250.0
SHARD_FRAMES = 8192
MOST_OF_A_KIND = 1000  # keys number the clips of a subject and label with three digits
# Copies of one recording session: whoever has the same name there is the same person.
SAME_PERSONS: Mapping[str, str] = {"samm_long": "samm", "smic_hs": "smic", "smic_vis": "smic", "smic_nir": "smic"}

CLIP_SCHEMA = pa.schema(
    [
        ("shard", pa.int32()),
        ("key", pa.string()),
        ("subject", pa.string()),
        ("split", pa.string()),
        ("corpus", pa.string()),
        ("corpus_subject", pa.string()),
        ("corpus_clip", pa.string()),
        ("occurrence", pa.int32()),
        ("onset", pa.int64()),
        ("apex", pa.int64()),
        ("offset", pa.int64()),
        ("fps", pa.float64()),
        ("first", pa.int64()),
        ("last", pa.int64()),
        ("whole", pa.bool_()),
        ("recording_first", pa.int64()),
        ("recording_last", pa.int64()),
        ("expression", pa.string()),
        ("corpus_label", pa.string()),
        ("emotion", pa.string()),
        ("three_class", pa.string()),
        ("au_coding", pa.string()),
        ("objective_class", pa.int16()),
        ("timing_by", pa.string()),
        ("publication", pa.string()),
        ("signals", pa.list_(pa.string())),
    ]
)
FINDING_SCHEMA = pa.schema(
    [("where", pa.string()), ("name", pa.string()), ("reason", pa.string()), ("left_out", pa.bool_())]
)
# What a folder was asked to be; two imports are the same if this is and the corpus reads the same.
ABOUT = ("title", "terms", "source", "citation")
ASKED = ("format_version", "builder_version", "corpus", "sheet", "context_ms", "shard_frames", "video", "formats")


@dataclass(frozen=True, slots=True)
class Request:
    """What an imported dataset is asked to be.

    Attributes:
        context_ms: what is kept of the recording before and after an event, 0..10000.
        shard_frames: a shard is closed when it holds so many frames.

    Raises:
        ValueError: out of bounds, or an unknown format.
    """

    context_ms: float = CONTEXT_MS
    formats: tuple[str, ...] = ("webdataset", "parquet")
    shard_frames: int = SHARD_FRAMES
    video: Video = field(default_factory=Video)

    def __post_init__(self) -> None:
        if not 0 <= self.context_ms <= 10_000:
            raise ValueError(f"context_ms={self.context_ms:g} must lie within 0..10000")
        if self.shard_frames < 1:
            raise ValueError(f"shard_frames={self.shard_frames} must be at least 1")
        if unknown := [name for name in self.formats if name not in FORMATS]:
            raise ValueError(f"format {unknown[0]!r} must be one of {', '.join(FORMATS)}")
        if not {"webdataset", "parquet"} & set(self.formats):
            raise ValueError("formats must hold webdataset or parquet")


@dataclass(frozen=True, slots=True, eq=False)
class PlannedClip:
    """One clip. `whole`: the video file has no other event, so that it is carried as it is where its codec allows."""

    shard: int
    key: str
    subject: str
    cut: Cut
    whole: bool
    event: CorpusEvent

    def row(self) -> dict[str, Any]:
        """The clip as a row of `CLIP_SCHEMA`."""
        event, recording = self.event, bounds(self.event.frames)
        named = ("corpus", "occurrence", "onset", "apex", "offset", "fps", "expression", "timing_by", "publication")
        return {
            **{name: getattr(event, name) for name in named},
            **{name: getattr(self, name) for name in ("shard", "key", "subject", "whole")},
            "split": SPLIT,
            "corpus_subject": event.subject,
            "corpus_clip": event.clip,
            "first": self.cut.first,
            "last": self.cut.last,
            "recording_first": recording[0] if recording else None,
            "recording_last": recording[1] if recording else None,
            "corpus_label": event.label,
            "emotion": emotion_of(event, "seven"),
            "three_class": emotion_of(event, "three"),
            "au_coding": event.au_text,
            "objective_class": event.objective_class,
            "signals": [source.name for source in event.signals],
        }


@dataclass(frozen=True, slots=True, eq=False)
class ImportPlan:
    """`header` says what was asked for and read; `findings` all that is not as it should be."""

    header: Mapping[str, Any]
    clips: Sequence[PlannedClip]
    findings: Sequence[Finding]

    @property
    def shards(self) -> list[Shard]:
        return shards_of(self.header)

    def of(self, shard: Shard) -> list[PlannedClip]:
        """The clips of one shard, in order."""
        return [clip for clip in self.clips if clip.shard == shard.number]


def emotion_of(event: CorpusEvent, kind: str) -> str | None:
    """The event's class in a task of `corpora.classes`, None where its label has none."""
    return None if event.label is None else class_of(event.label, corpus=event.corpus, kind=kind)


def make_plan(reading: Reading, request: Request) -> ImportPlan:
    """Lay out every clip.

    Raises:
        ValueError: no event is left, or more of a subject and label than keys can number.
    """
    about = CORPORA[reading.corpus]
    clips, findings = lay_out(reading, request)
    if not clips:
        reasons = Counter(finding.reason for finding in findings if finding.left_out)
        why = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
        raise ValueError(f"{reading.corpus}: no event can be imported{f': {why}' if why else ''}")
    sizes = Counter(clip.shard for clip in clips)
    header = {
        "format_version": FORMAT_VERSION,
        "builder_version": VERSION,
        "corpus": reading.corpus,
        "about": {name: getattr(about, name) for name in ABOUT},
        "sheet": reading.sheet,
        "context_ms": float(request.context_ms),
        "shard_frames": request.shard_frames,
        "video": asdict(request.video),
        "formats": [name for name in FORMATS if name in request.formats],
        "rows": reading.rows,
        "events": len(reading.events),
        "subjects": len({clip.subject for clip in clips}),
        "clips": len(clips),
        "shards": {SPLIT: [sizes[number] for number in range(len(sizes))]},
        "reserve": {},
    }
    sha256 = plan_hash(header, clip_table(clips), finding_table(findings))
    return ImportPlan({**header, "plan_sha256": sha256}, clips, findings)


def clip_table(clips: Iterable[PlannedClip]) -> pa.Table:
    """The clips as a table with `CLIP_SCHEMA`."""
    return pa.Table.from_pylist([clip.row() for clip in clips], schema=CLIP_SCHEMA)


def finding_table(findings: Iterable[Finding]) -> pa.Table:
    """The findings as a table with `FINDING_SCHEMA`."""
    rows = [{name: getattr(finding, name) for name in FINDING_SCHEMA.names} for finding in findings]
    return pa.Table.from_pylist(rows, schema=FINDING_SCHEMA)


def lay_out(reading: Reading, request: Request) -> tuple[list[PlannedClip], list[Finding]]:
    """The clips, in the order of subject, clip and onset, frames filling one shard after the other; and all findings.

    Raises:
        ValueError: more events of a subject and label than keys can number.
    """
    events = sorted(reading.events, key=lambda event: (event.subject, event.clip, event.onset, event.occurrence))
    recordings, videos = defaultdict(list), Counter(e.frames.path for e in events if isinstance(e.frames, VideoFile))
    for event in events:
        recordings[event.subject, event.clip].append(event)
    clips: list[PlannedClip] = []
    findings, numbers, shard, frames = list(reading.findings), Counter[str](), 0, 0
    for event in events:
        try:
            others = [other for other in recordings[event.subject, event.clip] if other is not event]
            cut = cut_event(event, others, context_ms=request.context_ms)
        except CutRefused as error:
            findings.append(Finding("frames", f"{event.subject}/{event.clip}", str(error)))
            continue
        if frames >= request.shard_frames:
            shard, frames = shard + 1, 0
        frames += len(cut)
        # No kind of its own: the metadata of a video that is named after a person may name them, too.
        whole = type(event.frames) is VideoFile and videos[event.frames.path] == 1
        clips.append(PlannedClip(shard, _key(event, numbers), _subject(event), cut, whole, event))
    return clips, findings


def _subject(event: CorpusEvent) -> str:
    return f"{SAME_PERSONS.get(event.corpus, event.corpus)}-{event.subject}"


def _key(event: CorpusEvent, numbers: Counter[str]) -> str:
    """`{label}_u_{corpus}x{subject}_{number}` in the letters that keys have, the number unique among equal ones."""
    label = re.sub("[^a-z]", "", (event.label or "").lower()) or "unlabeled"
    corpus, subject = (re.sub("[^a-z0-9]", "", text.lower()) for text in (event.corpus, event.subject))
    stem = f"{label}_u_{corpus}x{subject}"
    numbers[stem] += 1
    if numbers[stem] > MOST_OF_A_KIND:
        raise ValueError(f"{event.corpus}: subject {event.subject} has over {MOST_OF_A_KIND} events {event.label}")
    return f"{stem}_{numbers[stem] - 1:03d}"
