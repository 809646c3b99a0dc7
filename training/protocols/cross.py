"""Across datasets: train on one and test on each, or leave one out.

Datasets whose people are the same, or may be, are marked: a model that has seen a face is not tested on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from equime_loader.corpora.classes import EQUIME, is_built
from equime_loader.splits import SIZES, holdout
from training.protocols.rounds import STRATIFY, VALIDATION, Round, round_of
from training.protocols.tasks import Task

RELATED: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"smic_hs", "smic_vis", "smic_nir"}), "the same participants before three cameras"),
    (frozenset({"samm", "samm_long"}), "the same participants"),
    (frozenset({"casme3_a", "casme3_c"}), "one corpus; participants may have taken part twice"),
    (frozenset({"equime celeba-hq", "equime_published", "miex"}), "portraits of CelebA may be in both"),
)
"""Origins whose people are or may be the same, with why."""


@dataclass(frozen=True, eq=False)
class Part:
    """A dataset of the matrix, divided by subject.

    Attributes:
        whole: every clip, for models of other datasets. train, validation, test: subject-disjoint parts of it.
    """

    name: str
    whole: Task
    train: Task
    validation: Task
    test: Task


@dataclass(frozen=True, eq=False)
class Cell:
    """What the model of one dataset is tested on: `test` is of the dataset `to`.

    Attributes:
        within: whether training and test are of one dataset; the test is then its held-out subjects.
        related: why people of the test may be in training too, empty where they are not.
        absent: classes that the test has no clip of; UF1 and UAR are over the others.
    """

    train: str
    to: str
    test: Task
    within: bool
    related: str
    absent: tuple[str, ...]


def origins(task: Task) -> frozenset[str]:
    """Where the people of a task are from: its corpora, and of what is built here the source of the portraits."""
    pairs = {(row["corpus"], row["source"]) for row in task.clips.labels(["corpus", "source"])}
    return frozenset(f"{EQUIME} {source}" if is_built(corpus) else corpus for corpus, source in pairs)


def related(one: Task, other: Task) -> str:
    """Why two tasks may show the same people, empty where nothing says that they do."""
    first, second = origins(one), origins(other)
    reasons = [why for family, why in RELATED if family & first and family & second]
    if same := sorted(name for name in first & second if not name.startswith(EQUIME)):
        reasons.append(f"both hold clips of {', '.join(same)}")
    if portraits := _portraits(one) & _portraits(other):
        reasons.append(f"{len(portraits)} people are in both")
    return "; ".join(dict.fromkeys(reasons))


def _portraits(task: Task) -> set[str]:
    """Portraits of the clips; the same person's has the same name in whatever folder it is."""
    return {row["portrait"] for row in task.clips.labels(["portrait"])} - {None, ""}


def divided(tasks: Mapping[str, Task], *, sizes: Mapping[str, float] = SIZES, seed: int = 0) -> dict[str, Part]:
    """Each dataset divided by subject into train, validation and test.

    Args:
        tasks: by name; all of the same classes.
        sizes: shares of subjects named `train`, `validation` and `test`.

    Raises:
        ValueError: tasks of different classes, other names of sizes, or fewer than three subjects in a dataset.
    """
    if len(classes := {task.classes for task in tasks.values()}) != 1:
        raise ValueError(f"tasks must be of the same classes, got {len(classes)} sets of them")
    if set(sizes) != set(SIZES):
        raise ValueError(f"sizes={dict(sizes)} must name {', '.join(SIZES)}")
    parts = {}
    for name, task in tasks.items():
        split = holdout(task.clips, sizes, by=("subject", "portrait"), stratify=STRATIFY, seed=seed)
        parts[name] = Part(name, task, *(task.of(split[part]) for part in ("train", "validation", "test")))
    return parts


def cells(parts: Mapping[str, Part], train: str) -> Iterator[Cell]:
    """The row of the matrix of the model that is trained on `train`: its own held-out subjects, the others on whole."""
    own = parts[train]
    for name, part in parts.items():
        within = name == train
        test = part.test if within else part.whole
        yield Cell(
            train=train,
            to=name,
            test=test,
            within=within,
            related="" if within else related(own.whole, test),
            absent=tuple(word for word, count in test.counts().items() if not count),
        )


def leave_one_dataset_out(task: Task, *, validation: float = VALIDATION, seed: int = 0) -> Iterator[Round]:
    """A round for each corpus of joined folders: train on the others, test on it.

    Corpora that may show its people are left out of its training.

    Args:
        validation: share of the training clips' subjects that stop the training.
        seed: which of them.

    Raises:
        ValueError: fewer than two corpora, or none to train on that does not share people with the one left out.
    """
    codes = task.clips.codes("corpus")
    corpus = np.array([*codes.words, EQUIME])[codes.codes]  # -1, of before there was a corpus, is the last
    parts = {str(name): task.narrowed(corpus == name, f"leave one dataset out: {name}") for name in np.unique(corpus)}
    if len(parts) < 2:
        raise ValueError(f"all clips are of {', '.join(parts) or 'nothing'}; leaving one corpus out needs two")
    for name, test in parts.items():
        family = [other for other in parts if other != name and related(parts[other], test)]
        kept = ~np.isin(corpus, [name, *family])
        if not kept.any():
            raise ValueError(
                f"every corpus may show the people of {name}: {', '.join(family)}; none is left to train on"
            )
        step = f"leave one dataset out: all but {', '.join([name, *family])}"
        train = task.clips.narrowed(kept, step)
        yield round_of(name, task, train, test.clips, validation=validation, seed=seed)
