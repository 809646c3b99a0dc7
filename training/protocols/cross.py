"""Across datasets: which may show the same people, and leaving one out. (`training.matrix` trains on each.)

A model that may have seen a person is not a test of how it does on new ones: leaving a dataset out leaves out all that
may show its people.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from equime_loader.corpora.classes import EQUIME, is_built
from training.protocols.rounds import VALIDATION, Round, round_of
from training.protocols.tasks import Task

RELATED: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"smic_hs", "smic_vis", "smic_nir"}), "the same participants before three cameras"),
    (frozenset({"samm", "samm_long"}), "the same participants"),
    (frozenset({"casme3_a", "casme3_c"}), "one corpus; participants may have taken part twice"),
    (frozenset({"equime celeba-hq", "equime_published", "miex"}), "portraits of CelebA may be in both"),
)
"""Origins whose people are or may be the same, with why."""


def origins(task: Task) -> frozenset[str]:
    """Where the people of a task are from: its corpora, and of what is built here the source of the portraits."""
    pairs = {(row["corpus"], row["source"]) for row in task.clips.labels(["corpus", "source"])}
    return frozenset(f"{EQUIME} {source}" if is_built(corpus) else corpus for corpus, source in pairs)


def related(one: Task, other: Task) -> str:
    """Why two tasks may show the same people, empty where nothing says that they do."""
    first, second = origins(one), origins(other)
    reasons = [why for family, why in RELATED if family & first and family & second]
    if same := sorted(name for name in first & second if not name.startswith(f"{EQUIME} ")):
        reasons.append(f"both hold clips of {', '.join(same)}")
    if portraits := _portraits(one) & _portraits(other):
        reasons.append(f"{len(portraits)} people are in both")
    return "; ".join(dict.fromkeys(reasons))


def _portraits(task: Task) -> set[str]:
    """Portraits of the clips; the same person's has the same name in whatever folder it is."""
    return {row["portrait"] for row in task.clips.labels(["portrait"])} - {None, ""}


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
