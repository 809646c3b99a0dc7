"""Resampling of whole subjects, on confusion matrices.

Clips of one subject resemble each other, so it is subjects that are drawn (the cluster bootstrap). A resample is a
weight per subject, and its confusion matrices are a product of weights and the subjects' own matrices: thousands of
resamples cost a few matrix products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

BLOCK = 4_000_000  # draws that are held at a time
MAX_CELLS = 50_000_000  # of all matrices together: 400 MB


@dataclass(frozen=True, slots=True, eq=False)
class SubjectConfusions:
    """A confusion matrix per subject in each of K sets of clips; a sparse (S, K, C, C).

    Attributes:
        subjects: S. classes: C.
        members: for each set, (S_k,) numbers of the subjects with a clip in it, ascending.
        confusions: for each set, (S_k, C·C) float64 counts, rows true and columns predicted.
    """

    subjects: int
    classes: int
    members: tuple[Integers, ...]
    confusions: tuple[Floats, ...]

    @classmethod
    def of(
        cls, truth: Integers, predicted: Integers, subjects: Integers, sets: Sequence[Integers], *, classes: int
    ) -> SubjectConfusions:
        """Count clips; `sets` holds the positions of the clips of each set.

        Raises:
            ValueError: more cells than `MAX_CELLS`.
        """
        members, counts = [], []
        for positions in sets:
            found, place = np.unique(subjects[positions], return_inverse=True)
            _check(len(found) * classes**2, f"{len(found):,} subjects of {classes} classes")
            cells = (place * classes + truth[positions]) * classes + predicted[positions]
            count = np.bincount(cells, minlength=len(found) * classes**2).astype(np.float64)
            members.append(found)
            counts.append(count.reshape(len(found), classes**2))
        return cls(int(subjects.max()) + 1, classes, tuple(members), tuple(counts))

    def total(self) -> Floats:
        """The matrices of all subjects together: (K, C, C)."""
        return np.stack([count.sum(axis=0) for count in self.confusions]).reshape(-1, self.classes, self.classes)

    def without_first(self) -> SubjectConfusions:
        """All sets but the first."""
        return replace(self, members=self.members[1:], confusions=self.confusions[1:])


def draws(subjects: int, resamples: int, *, seed: int) -> Iterator[Integers]:
    """Numbers of the subjects of each resample, with replacement: blocks (r, S) of `resamples` rows in all."""
    rng = np.random.default_rng(seed)
    most = max(1, BLOCK // subjects)
    for start in range(0, resamples, most):
        yield rng.integers(0, subjects, (min(most, resamples - start), subjects))


def resampled(tables: SubjectConfusions, resamples: int, *, seed: int) -> Floats:
    """Confusion matrices of resamples of the subjects: (R, K, C, C) float64.

    Raises:
        ValueError: more cells than `MAX_CELLS`.
    """
    sets, classes = len(tables.members), tables.classes
    _check(resamples * sets * classes**2, f"{resamples:,} resamples of {sets} groups of {classes} classes")
    blocks = []
    for drawn in draws(tables.subjects, resamples, seed=seed):
        rows = np.arange(len(drawn))[:, None] * tables.subjects
        weights = np.bincount((rows + drawn).ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)
        pairs = zip(tables.members, tables.confusions, strict=True)
        blocks.append(np.stack([weights[:, member] @ count for member, count in pairs], axis=1))
    return np.concatenate(blocks).reshape(resamples, sets, classes, classes)


def shuffled(tables: SubjectConfusions, permutations: int, *, seed: int) -> Floats:
    """Confusion matrices of the sets after subjects are dealt to them at random: (P, K, C, C) float64.

    Each set keeps its number of subjects, and each subject its clips. Empty (0, K, C, C) where a subject has
    clips in two sets, so that it cannot be dealt.

    Raises:
        ValueError: more cells than `MAX_CELLS`.
    """
    sizes, classes = [len(member) for member in tables.members], tables.classes
    if not permutations or len(np.unique(np.concatenate(tables.members))) < sum(sizes):
        return np.zeros((0, len(sizes), classes, classes))
    _check(permutations * len(sizes) * classes**2, f"{permutations:,} permutations of {len(sizes)} groups")
    counts = np.concatenate(tables.confusions)
    owner = np.repeat(np.arange(len(sizes), dtype=np.int16), sizes)
    rng = np.random.default_rng(seed)
    most, blocks = max(1, BLOCK // len(owner)), []
    for start in range(0, permutations, most):
        dealt = rng.permuted(np.tile(owner, (min(most, permutations - start), 1)), axis=1)
        blocks.append(np.stack([(dealt == number).astype(np.float64) @ counts for number in range(len(sizes))], axis=1))
    return np.concatenate(blocks).reshape(permutations, len(sizes), classes, classes)


def _check(cells: int, what: str) -> None:
    if cells > MAX_CELLS:
        raise ValueError(f"{what} make {cells:,} cells, expected at most {MAX_CELLS:,}; ask for fewer")
