"""The composite of MEGC2019: CASME II, SAMM and SMIC-HS by the official list of keys, a file that the user gives.

The list is `combined_3class_gt.csv` of https://github.com/Facial-Micro-ExpressionGC/MEGC2019: `dataset,subject,clip,
label` without a header. It defines the composite; rules on the sheets do not give it (of CASME II, they find 147 or 148
clips, depending on the sheet, where the list has 145).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from equime_loader.corpora.classes import CLASSES, class_of
from equime_loader.selection import Selection
from equime_loader.tables import text_table
from training.protocols.tasks import Task

KIND = "three"
CORPUS_OF: Mapping[str, str] = MappingProxyType({"casme2": "casme2", "smic": "smic_hs", "samm": "samm"})
"""Short name of the corpus that each dataset of the list is."""
MAX_BYTES = 1 << 20
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Counts:
    """Samples, subjects, and samples of each class (negative, positive, surprise)."""

    samples: int
    subjects: int
    classes: tuple[int, int, int]


OFFICIAL: Mapping[str, Counts] = MappingProxyType(
    {
        "smic_hs": Counts(164, 16, (70, 51, 43)),
        "casme2": Counts(145, 24, (88, 32, 25)),
        "samm": Counts(133, 28, (92, 26, 15)),
    }
)
"""What the challenge's description says of each corpus; together 442 samples, 68 subjects, 250/109/83."""


class KeyListError(ValueError):
    """A list of keys that cannot be read; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Key:
    """One line of the list.

    Attributes:
        dataset, subject, clip: as the list writes them. target: 0 negative, 1 positive, 2 surprise.
    """

    dataset: str
    subject: str
    clip: str
    target: int

    def __str__(self) -> str:
        return f"{self.dataset} {self.subject} {self.clip}"

    @property
    def corpus(self) -> str:
        """Short name of the corpus."""
        return CORPUS_OF[self.dataset]

    @property
    def place(self) -> tuple[str, int, str]:
        """What a clip is found by."""
        return place_of(self.corpus, self.subject, self.clip)


def place_of(corpus: str, subject: str, clip: str) -> tuple[str, int, str]:
    """What tells a clip apart, however its release pads names: `s1` is `s01`, `s1_ne_01` is `s01_ne_01`.

    Raises:
        ValueError: a subject without a number.
    """
    number = re.search(r"\d+", subject)
    if number is None:
        raise ValueError(f"{subject=} must hold a number")
    return corpus, int(number[0]), re.sub(r"^s0*(?=\d+_)", "s", clip.strip().lower())


def read_keys(path: str | Path) -> tuple[Key, ...]:
    """The keys of a list, in its order; blank lines are passed over.

    Raises:
        KeyListError: a line that is none of the list's, a key that stands twice, or no keys at all.
        OSError: the file cannot be read.
    """
    file = Path(path)
    if (size := file.stat().st_size) > MAX_BYTES:
        raise KeyListError(f"{file.name}: {size} bytes, a list has at most {MAX_BYTES}")
    try:
        rows = list(csv.reader(file.read_text(encoding="utf-8-sig").splitlines()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise KeyListError(f"{file.name}: {error}") from error
    keys: dict[tuple[str, int, str], Key] = {}
    for line, cells in enumerate(rows, start=1):
        if not any(cell.strip() for cell in cells):
            continue
        try:
            key = _key(cells)
        except ValueError as error:
            raise KeyListError(f"{file.name}, line {line}: {error}") from error
        if key.place in keys:
            raise KeyListError(f"{file.name}, line {line}: {key} stands twice")
        keys[key.place] = key
    if not keys:
        raise KeyListError(f"{file.name}: holds no keys")
    return tuple(keys.values())


def _key(cells: Sequence[str]) -> Key:
    if len(cells) != 4:
        raise ValueError(f"{len(cells)} cells, expected dataset,subject,clip,label")
    dataset, subject, clip, label = (cell.strip() for cell in cells)
    if dataset not in CORPUS_OF:
        raise ValueError(f"{dataset=} must be one of {', '.join(CORPUS_OF)}")
    if label not in ("0", "1", "2"):
        raise ValueError(f"{label=} must be 0 (negative), 1 (positive) or 2 (surprise)")
    place_of(dataset, subject, clip)
    return Key(dataset, subject, clip, int(label))


def counts_of(keys: Iterable[Key]) -> dict[str, Counts]:
    """What a list, or a part of it, holds of each corpus."""
    by_corpus: dict[str, list[Key]] = {corpus: [] for corpus in OFFICIAL}
    for key in keys:
        by_corpus[key.corpus].append(key)
    counted = {}
    for corpus, group in by_corpus.items():
        negative, positive, surprise = np.bincount([key.target for key in group] or [0], minlength=3).tolist()
        subjects = {key.place[:2] for key in group}
        counted[corpus] = Counts(len(group), len(subjects), (negative if group else 0, positive, surprise))
    return counted


@dataclass(frozen=True, eq=False)
class Composite:
    """The clips of the list that the given folders hold.

    Attributes:
        task: classes by the list, not by the sheets.
        keys: line of the list of each clip of the task.
        missing: lines without a clip. ambiguous: lines that several clips answer to, none of which is taken.
        disagreeing: lines whose class is not what the corpus' own label says; the list's stands.
    """

    task: Task
    keys: tuple[Key, ...]
    missing: tuple[Key, ...]
    ambiguous: tuple[Key, ...]
    disagreeing: tuple[Key, ...]

    @property
    def is_official(self) -> bool:
        """Whether this is the whole composite: every line found, and the counts those of the challenge."""
        return counts_of(self.keys) == OFFICIAL and not (self.missing or self.ambiguous or self.disagreeing)

    def __str__(self) -> str:
        return "\n".join([counts_table(self.keys), *self._notes()])

    def _notes(self) -> Iterator[str]:
        for what, keys in (
            ("no clip for", self.missing),
            ("several clips for", self.ambiguous),
            ("the corpus' own label says otherwise of", self.disagreeing),
        ):
            if keys:
                more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
                yield f"{what} {len(keys)} lines of the list: {'; '.join(map(str, keys[:_SHOWN]))}{more}"


def counts_table(keys: Iterable[Key]) -> str:
    """What keys there are of those that the challenge counts, corpus by corpus, as plain text."""
    counted = counts_of(keys)
    rows = [(corpus, *_told(OFFICIAL[corpus], found)) for corpus, found in counted.items()]
    totals = ("all", *_told(_total(OFFICIAL.values()), _total(counted.values())))
    return text_table(("found of official", "samples", "subjects", *CLASSES[KIND]), [*rows, totals])


def _total(counts: Iterable[Counts]) -> Counts:
    every = list(counts)
    negative, positive, surprise = np.sum([each.classes for each in every], axis=0).tolist()
    return Counts(sum(e.samples for e in every), sum(e.subjects for e in every), (negative, positive, surprise))


def _told(official: Counts, found: Counts) -> tuple[str, ...]:
    pairs = zip(
        (found.samples, found.subjects, *found.classes),
        (official.samples, official.subjects, *official.classes),
        strict=True,
    )
    return tuple(f"{have} of {should}" for have, should in pairs)


def composite(clips: Selection, keys: Sequence[Key]) -> Composite:
    """The clips that the list names, with its classes.

    A line that several clips answer to (a recording with several expressions) takes the one that has its class.

    Args:
        clips: of imported folders, joined.
        keys: of the official list.

    Raises:
        ValueError: none of the clips is named.
    """
    named = _by_place(clips)
    chosen: dict[int, Key] = {}
    missing, ambiguous, disagreeing = [], [], []
    for key in keys:
        candidates = named.get(key.place, [])
        agreeing = [position for position, target in candidates if target == key.target]
        if not candidates:
            missing.append(key)
        elif len(candidates) > 1 and len(agreeing) != 1:
            ambiguous.append(key)
        else:
            chosen[agreeing[0] if agreeing else candidates[0][0]] = key
            if not agreeing:
                disagreeing.append(key)
    if not chosen:
        raise ValueError(f"none of {len(clips)} clips is one of the {len(keys)} that the list of keys names")
    positions = np.array(sorted(chosen), np.int64)
    step = f"MEGC2019: {len(positions)} of the {len(keys)} samples of the list of keys"
    ordered = tuple(chosen[position] for position in positions.tolist())
    task = Task(clips.narrowed(positions, step), CLASSES[KIND], np.array([key.target for key in ordered], np.int64))
    return Composite(task, ordered, tuple(missing), tuple(ambiguous), tuple(disagreeing))


def _by_place(clips: Selection) -> dict[tuple[str, int, str], list[tuple[int, int]]]:
    """Positions of the clips of the three corpora, and the class number their own label gives (-1 for none)."""
    found: dict[tuple[str, int, str], list[tuple[int, int]]] = {}
    rows = clips.labels(["corpus", "corpus_subject", "corpus_clip", "corpus_label", "expression"])
    for position, row in enumerate(rows):
        if row["corpus"] not in OFFICIAL or row["expression"] == "macro":
            continue
        place = place_of(row["corpus"], row["corpus_subject"], row["corpus_clip"])
        word = class_of(row["corpus_label"] or "", corpus=row["corpus"], kind=KIND)
        target = -1 if word is None else CLASSES[KIND].index(word)
        found.setdefault(place, []).append((position, target))
    return found


def submission(found: Composite, predicted: NDArray[np.integer]) -> str:
    """The log that the challenge asks for: for each subject a line `dataset subject`, then `clip truth prediction`.

    Args:
        predicted: (n,) class number of each clip of the task, of the round that tested it.

    Raises:
        ValueError: not one prediction per clip.
    """
    if len(predicted) != len(found.keys):
        raise ValueError(f"{len(predicted)} predictions for {len(found.keys)} clips")
    lines: dict[str, list[str]] = {}
    for key, word in sorted(zip(found.keys, predicted.tolist(), strict=True), key=lambda pair: pair[0].place):
        # The list writes the subjects of SAMM without padding, the log with it.
        subject = key.subject.zfill(3) if key.dataset == "samm" else key.subject
        lines.setdefault(f"{key.dataset} {subject}", []).append(f"{key.clip} {key.target} {word}")
    return "".join(f"{head}\n" + "".join(f"{line}\n" for line in body) for head, body in lines.items())
