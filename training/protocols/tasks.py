"""Tasks: clips with the class that a model is to tell of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from equime_loader.corpora.classes import CLASSES, EQUIME, class_of
from equime_loader.schema import EXPRESSIONS
from equime_loader.selection import Selection
from equime_loader.tables import counted

Targets = NDArray[np.int64]
MICRO = ("micro",)


@dataclass(frozen=True, eq=False)
class Task:
    """Clips, and the class number of each.

    Attributes:
        clips: in ascending order of their rows.
        classes: names of the classes; a target is a place among them.
        targets: (n,) int64, 0 .. len(classes) - 1.
    """

    clips: Selection
    classes: tuple[str, ...]
    targets: Targets

    def __post_init__(self) -> None:
        if self.targets.shape != (len(self.clips),) or self.targets.dtype != np.int64:
            raise ValueError(
                f"targets {self.targets.shape} {self.targets.dtype} must be ({len(self.clips)},) int64, one per clip"
            )
        if len(self.targets) and not (self.targets.min() >= 0 and self.targets.max() < len(self.classes)):
            raise ValueError(
                f"targets hold {self.targets.min()}..{self.targets.max()}, expected 0..{len(self.classes) - 1}"
            )

    def __len__(self) -> int:
        return len(self.clips)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Key of each clip."""
        return tuple(row["key"] for row in self.clips.labels(["key"]))

    @cached_property
    def by_key(self) -> dict[str, int]:
        """Class number by key of the clip."""
        return dict(zip(self.keys, self.targets.tolist(), strict=True))

    def counts(self) -> dict[str, int]:
        """How many clips each class has, in the order of the classes."""
        tally = np.bincount(self.targets, minlength=len(self.classes))
        return dict(zip(self.classes, tally.tolist(), strict=True))

    def narrowed(self, positions: Targets | NDArray[np.bool_], step: str) -> Task:
        """The clips at some positions (numbers or a mask), told as one step.

        Raises:
            ValueError: as `Selection.narrowed`.
        """
        clips = self.clips.narrowed(positions, step)
        return Task(clips, self.classes, self._targets_of(clips))

    def of(self, clips: Selection) -> Task:
        """The task of some of its own clips, such as one part of `equime_loader.holdout(task.clips)`.

        Raises:
            ValueError: a clip that the task does not have.
        """
        if clips.index is not self.clips.index or not np.isin(clips.rows, self.clips.rows).all():
            raise ValueError("clips must be clips of the task, of the same index")
        return Task(clips, self.classes, self._targets_of(clips))

    def _targets_of(self, clips: Selection) -> Targets:
        return self.targets[np.searchsorted(self.clips.rows, clips.rows)]


def make_task(clips: Selection, kind: str, *, expressions: Sequence[str] = MICRO) -> Task:
    """The task of telling the classes of `kind`. Clips that have none are left out, which the last step says.

    A clip's label is its corpus' own word; of what is built here, and where a corpus has no word, its emotion.

    Args:
        kind: a key of `equime_loader.corpora.classes.CLASSES`: `three`, `five`, `seven`, `casme2_five`, `samm_five`.
        expressions: which to tell, of `micro` and `macro`; clips of which neither is known are kept.

    Raises:
        ValueError: an unknown task, corpus or expression, or no clip that has a class.
    """
    if kind not in CLASSES:
        raise ValueError(f"{kind=} must be one of {', '.join(CLASSES)}")
    clips, step = _of_expressions(clips, expressions), f"classes {kind}: {', '.join(CLASSES[kind])}"
    labels: list[tuple[str, str | None]] = [
        (row["corpus"], row["corpus_label"]) if row["corpus_label"] else (EQUIME, row["emotion"])
        for row in clips.labels(["corpus", "corpus_label", "emotion"])
    ]
    number = {pair: _number(*pair, kind) for pair in set(labels)}
    targets = np.array([number[pair] for pair in labels], np.int64)
    kept = targets >= 0
    if not kept.any():
        told = ", ".join(sorted(f"{label} of {corpus}" if label else "unlabeled ones" for corpus, label in number))
        raise ValueError(f"{kind=}: no clip has one of its classes; there are {told or f'none of {clips.steps[-1]}'}")
    if missing := len(kept) - int(kept.sum()):
        step += f"; {counted(missing, 'clip')} without one left out"
    return Task(clips.narrowed(kept, step), CLASSES[kind], targets[kept])


def _of_expressions(clips: Selection, expressions: Sequence[str]) -> Selection:
    """The clips that show some expressions, or of which nothing says what they show."""
    if not expressions or not set(expressions) <= set(EXPRESSIONS):
        raise ValueError(f"expressions={list(expressions)} must be one or more of {', '.join(EXPRESSIONS)}")
    codes = clips.codes("expression")
    kept = np.array([*(word in expressions for word in codes.words), True])[codes.codes]  # -1, null, is the last
    step = " and ".join(f"{word}-expressions" for word in expressions)
    if missing := len(kept) - int(kept.sum()):
        step += f"; {counted(missing, 'clip')} of others left out"
    return clips.narrowed(kept, step)


def _number(corpus: str, label: str | None, kind: str) -> int:
    """Number of a label's class, -1 where it has none."""
    word = None if label is None else class_of(label, corpus=corpus, kind=kind)
    return -1 if word is None else CLASSES[kind].index(word)
