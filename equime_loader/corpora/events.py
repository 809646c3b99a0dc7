"""What an adapter reads of a corpus, before any frame is decoded: events, findings, and what should be there.

Adapters turn a licensed copy's sheets and folders into these values; the importer turns them into shards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from equime_loader.corpora.aus import AUCoding

Expression = Literal["micro", "macro"]
TimingBy = Literal["coder", "coder, apex halfway", "assumed"]
Publication = Literal["allowed", "restricted"]
NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class FrameFiles:
    """A recording as one picture per frame.

    Attributes:
        paths: file of each frame number, in ascending order of the numbers; gaps are dropped frames.
    """

    paths: Mapping[int, Path]

    def __post_init__(self) -> None:
        if not self.paths or list(self.paths) != sorted(self.paths):
            raise ValueError("paths must hold at least one frame, in ascending order of the numbers")


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A recording as a video file, whose first frame has the number `first`."""

    path: Path
    first: int = 0


Frames = FrameFiles | VideoFile


@dataclass(frozen=True, slots=True, eq=False)
class Signal:
    """A physiological signal beside a clip.

    Attributes:
        values: (samples, channels) float32. rate_hz: samples per second. start_ms: time of the first sample after the
            clip's first frame; negative before it. unit: of the values, as the recording says, or empty.
    """

    name: str
    values: NDArray[np.float32]
    channels: tuple[str, ...]
    rate_hz: float
    start_ms: float
    unit: str = ""

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.channels) or self.values.dtype != np.float32:
            raise ValueError(
                f"{self.name}: values {self.values.shape} {self.values.dtype} must be (samples, "
                f"{len(self.channels)}) float32"
            )
        if not 0 < self.rate_hz < np.inf:
            raise ValueError(f"{self.name}: rate_hz={self.rate_hz} must be above 0")


class SignalSource(Protocol):
    """A recording of signals from which a clip's part can be cut. Its repr names no participant."""

    @property
    def name(self) -> str:
        """Of the signal: `eeg`, `ppg`, …"""

    def read(self, first: int, last: int) -> Signal:
        """The signal from frame number `first` to `last` (both included) of the recording.

        Raises:
            ValueError: the recording does not cover them, or is damaged.
        """


@dataclass(frozen=True, slots=True)
class CorpusEvent:
    """One annotated expression: what the sheet says of it, checked, and where its frames lie.

    Attributes:
        corpus: short name, a key of `CORPORA`.
        subject, clip: as the corpus names them, its own padding kept; pseudonyms where names are of persons.
        onset, apex, offset: frame numbers in the recording's own counting, onset <= apex <= offset.
        label: emotion as the corpus words it, lower case, spelling unified; several joined by `+`; None without one.
        aus: the parsed coding, None where the corpus has none. au_text: the sheet's string.
        fps: frames per second of the recording.
        occurrence: which event of its clip this is, from 0, where a clip has several.
    """

    corpus: str
    subject: str
    clip: str
    onset: int
    apex: int
    offset: int
    label: str | None
    fps: float
    frames: Frames
    aus: AUCoding | None = None
    au_text: str | None = None
    objective_class: int | None = None
    expression: Expression = "micro"
    timing_by: TimingBy = "coder"
    publication: Publication = "allowed"
    occurrence: int = 0
    signals: tuple[SignalSource, ...] = ()

    def __post_init__(self) -> None:
        if not self.onset <= self.apex <= self.offset:
            raise ValueError(
                f"{self.clip}: onset={self.onset}, apex={self.apex}, offset={self.offset} must satisfy "
                "onset <= apex <= offset"
            )
        if not 0 < self.fps <= 1_000:
            raise ValueError(f"{self.clip}: fps={self.fps} must lie within 0..1000")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a corpus that is not as it should be.

    Attributes:
        where: sheet and line, or folder, relative to the corpus. name: the clip. reason: what is wrong.
        left_out: whether it costs the event; else it was read by a convention that `reason` names.
    """

    where: str
    name: str
    reason: str
    left_out: bool = True

    def __str__(self) -> str:
        return f"{self.where}: {self.name}: {self.reason}{'; left out' if self.left_out else ''}"


@dataclass(frozen=True, slots=True)
class Known:
    """Counts that the literature gives for a corpus, or a release of it; what is not known is left out."""

    rows: int | None = None
    events: int | None = None
    subjects: int | None = None
    labels: Mapping[str, int] = field(default_factory=lambda: NOTHING)
    expressions: Mapping[str, int] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Reading:
    """A corpus as its copy holds it.

    Attributes:
        sheet: which version of the annotation this is, told by its headers. rows: annotation rows in it.
    """

    corpus: str
    sheet: str
    rows: int
    events: tuple[CorpusEvent, ...]
    findings: tuple[Finding, ...] = ()
    known: Known = field(default_factory=Known)

    def labels(self) -> Counter[str]:
        """How many events carry each label."""
        return Counter(event.label for event in self.events if event.label is not None)

    def compared(self) -> Iterator[tuple[str, int | None, int]]:
        """What is counted, how many the literature knows (None: not known), how many there are here."""
        yield "rows", self.known.rows, self.rows
        yield "events", self.known.events, len(self.events)
        yield "subjects", self.known.subjects, len({event.subject for event in self.events})
        kinds = Counter[str](event.expression for event in self.events)
        for kind in sorted(self.known.expressions):
            yield f"{kind}-expressions", self.known.expressions[kind], kinds[kind]
        labels = self.labels()
        for word in sorted({*labels, *self.known.labels}):
            yield f"label {word}", self.known.labels.get(word) if self.known.labels else None, labels[word]
