"""Splits that keep subjects apart and strata together, and a check that they do.

parts = holdout(clips)
check_leakage(parts)
print(split_report(parts))
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from types import MappingProxyType
from typing import overload

import numpy as np
from numpy.typing import NDArray

from equime_loader.arguments import as_names, check_kind
from equime_loader.index import Codes
from equime_loader.people import related
from equime_loader.selection import Selection
from equime_loader.split_checks import (
    STRATIFY,
    LeakageError,
    LeakageReport,
    SplitReport,
    check_leakage,
    plural,
    split_report,
)
from equime_loader.stratify import apportion, dense, divide
from equime_loader.tables import counted, percent

__all__ = [
    "SIZES",
    "STRATIFY",
    "Fold",
    "Folds",
    "LeakageError",
    "LeakageReport",
    "SplitReport",
    "check_leakage",
    "holdout",
    "k_fold",
    "leave_one_dataset_out",
    "leave_one_subject_out",
    "split_report",
]

By = str | Sequence[str]
SIZES: Mapping[str, float] = MappingProxyType({"train": 0.7, "validation": 0.15, "test": 0.15})


@dataclass(frozen=True, slots=True)
class Fold:
    """One round of a cross-validation."""

    train: Selection
    test: Selection


class Folds(Sequence[Fold]):
    """The rounds of a cross-validation, each made when it is asked for.

    Attributes:
        held_out: what each fold tests on: a subject, a dataset, or `fold 1 of 5`.
    """

    def __init__(
        self,
        selection: Selection,
        fold_of: NDArray[np.integer],
        held_out: tuple[str, ...],
        how: str,
        *,
        relatives: Mapping[int, Sequence[int]] | None = None,
    ) -> None:
        """`relatives`: by number of a fold, others whose clips it does not train on either."""
        self.held_out = held_out
        self._selection, self._how, self._relatives = selection, how, relatives or {}
        self._order = np.argsort(fold_of, kind="stable")
        self._start = np.searchsorted(fold_of[self._order], np.arange(len(held_out) + 1))

    def __len__(self) -> int:
        return len(self.held_out)

    @overload
    def __getitem__(self, which: int) -> Fold: ...
    @overload
    def __getitem__(self, which: slice) -> list[Fold]: ...
    def __getitem__(self, which: int | slice) -> Fold | list[Fold]:
        if isinstance(which, slice):
            return [self[number] for number in range(*which.indices(len(self)))]
        number = range(len(self))[which]
        name, relatives = self.held_out[number], self._relatives.get(number, ())
        who = f" and {', '.join(self.held_out[one] for one in relatives)}, which may show its people" * bool(relatives)
        return Fold(
            self._narrowed([number, *relatives], f"all but {name}{who}", rest=True), self._narrowed([number], name)
        )

    def _narrowed(self, folds: Sequence[int], told: str, *, rest: bool = False) -> Selection:
        """The clips that are tested in some folds, or all the others."""
        chosen = np.full(len(self._selection), rest)
        for fold in folds:
            chosen[self._order[self._start[fold] : self._start[fold + 1]]] = not rest
        return self._selection.narrowed(chosen, f"{self._how}: {told}")

    def __repr__(self) -> str:
        return f"Folds({self._how}: {counted(len(self), 'fold')} of {counted(len(self._selection), 'clip')})"


def holdout(
    selection: Selection,
    sizes: Mapping[str, float] = SIZES,
    *,
    by: By = "subject",
    stratify: By = STRATIFY,
    seed: int = 0,
) -> dict[str, Selection]:
    """Divide a selection into named splits that share no subject, each with the strata of the whole.

    Sizes are met to the subject, shares by largest remainder with at least one subject each; what that makes of each
    split stands in its last step. Equal clips and seeds give equal splits, in whatever order the clips come.

    Args:
        sizes: by name, all shares (floats) or all counts (ints) of subjects. What they leave over is in no split.
        by: field whose words are kept together. Of several fields, such as `("subject", "counterfactual_group")`,
            clips that are linked by any stay together, and sizes count those groups.
        stratify: fields whose words, alone, by twos and all crossed, are spread evenly.

    Raises:
        ValueError: sizes that cannot be met, or a clip without a word in `by`. TypeError: sizes that are no mapping to
            numbers.
    """
    check_kind("sizes", sizes, Mapping, "shares or counts by name, such as {'train': 0.8, 'test': 0.2}")
    groups, count = _groups(selection, by)
    counts = _group_counts(sizes, count, _noun(by))
    parts = [*counts, count - sum(counts)]
    part_of = divide(groups, _strata(selection, stratify), parts, seed=_checked(seed))
    clip_part, splits = part_of[groups], {}
    for part, (name, size) in enumerate(sizes.items()):
        chosen = clip_part == part
        asked = f"{size:,}" if isinstance(size, Integral) else percent(size, 1)
        got, clips = percent(counts[part], count), percent(int(chosen.sum()), len(chosen))
        step = (
            f"holdout, seed {seed}: {name}, {counts[part]:,} of {count:,} {_noun(by)} "
            f"({got}, asked {asked}), {clips} of the clips"
        )
        splits[name] = selection.narrowed(chosen, step, seed=seed)
    return splits


def k_fold(selection: Selection, folds: int, *, by: By = "subject", stratify: By = STRATIFY, seed: int = 0) -> Folds:
    """Cross-validation in which each subject is tested once; the folds differ by one subject at most.

    `split_report([fold.test for fold in folds])` tells how even the folds are. Arguments as `holdout`.

    Raises:
        ValueError: fewer than two folds, fewer subjects than folds, or a clip without a word in `by`.
    """
    check_kind("folds", folds, Integral, "a whole number")
    groups, count = _groups(selection, by)
    if not 2 <= folds <= count:
        raise ValueError(f"{folds=} must be at least 2 and at most {count}, the {_noun(by)} of the selection")
    sizes = apportion([1.0] * folds, count)
    part_of = divide(groups, _strata(selection, stratify), sizes, seed=_checked(seed))
    names = tuple(f"fold {number} of {folds}" for number in range(1, folds + 1))
    return Folds(selection, part_of[groups], names, f"{folds} folds of {_noun(by)}, seed {seed}")


def leave_one_subject_out(selection: Selection, *, by: str = "subject") -> Folds:
    """A fold for each subject, which is tested on by a model that never saw it.

    Raises:
        ValueError: fewer than two subjects, or a clip without one.
    """
    groups, words = _held_out(selection, by)
    return Folds(selection, groups, words, f"leave one {by} out")


def leave_one_dataset_out(selection: Selection, *, by: str = "corpus") -> Folds:
    """A fold for each dataset of joined clips: train on the others, test on it.

    Datasets that may show its people, such as the other cameras of SMIC, are not trained on either; the last step of
    the training clips names them.

    Args:
        by: what tells datasets apart: `corpus`, or of what is built here the `source` of the portraits.

    Raises:
        ValueError: fewer than two datasets, a clip without one, or a dataset whose people all others may show.
    """
    groups, words = _held_out(selection, by)
    parts = [selection.narrowed(groups == number, word) for number, word in enumerate(words)]
    relatives: dict[int, list[int]] = {number: [] for number in range(len(words))}
    for one, other in itertools.combinations(relatives, 2):
        if related(parts[one], parts[other]):
            relatives[one].append(other)
            relatives[other].append(one)
    for number, others in relatives.items():
        if len(others) == len(words) - 1:
            told = ", ".join(words[other] for other in others)
            raise ValueError(f"every {by} may show the people of {words[number]}: {told}; none is left to train on")
    return Folds(selection, groups, words, f"leave one {by} out", relatives=relatives)


def _held_out(selection: Selection, by: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Group of each clip, and what the groups are called."""
    check_kind("by", by, str, "the name of a field")
    groups, count = _groups(selection, by)
    label = selection.codes(by)
    words = tuple(label.words[code] for code in np.unique(label.codes))
    if count < 2:
        raise ValueError(
            f"{by}={words[0]!r} in all {counted(len(selection), 'clip')}; leaving one out needs at least "
            f"two {plural(by)}"
        )
    return groups, words


def _noun(by: By) -> str:
    return plural(by) if isinstance(by, str) else "groups"


def _groups(selection: Selection, by: By) -> tuple[NDArray[np.int64], int]:
    """Group of each clip, without gaps, and how many there are."""
    check_kind("selection", selection, Selection, "a Selection, as open_dataset gives")
    if not (names := as_names("by", by)):
        raise ValueError(f"{by=} must name at least one field")
    first, *others = names
    label = selection.codes(first)
    if not len(label.codes):
        raise ValueError("the selection is empty; there is nothing to split")
    if nulls := int((label.codes < 0).sum()):
        raise ValueError(f"{first!r} is null in {nulls} of {len(label.codes)} clips; leave those out of the selection")
    if not others:
        return dense(label.codes, len(label.words))
    linked = _linked(label, [selection.codes(name) for name in others])
    return dense(linked[label.codes], len(label.words))


def _strata(selection: Selection, stratify: By) -> list[NDArray[np.int32]]:
    return [selection.codes(name).codes for name in as_names("stratify", stratify)]


def _checked(seed: int) -> int:
    check_kind("seed", seed, Integral, "a whole number")
    if seed < 0:
        raise ValueError(f"{seed=} must be at least 0")
    return seed


def _linked(first: Codes, others: Sequence[Codes]) -> NDArray[np.int64]:
    """Group of each word of a label, where words are linked whose clips share a word of another label."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    base, ends = len(first.words), []
    for other in others:
        known = other.codes >= 0
        ends.append(np.stack([first.codes[known].astype(np.int64), base + other.codes[known].astype(np.int64)]))
        base += len(other.words)
    links = np.concatenate(ends, axis=1)
    _, group = connected_components(coo_array((np.ones(links.shape[1], np.int8), links), (base, base)), directed=False)
    found: NDArray[np.int64] = group[: len(first.words)].astype(np.int64)
    return found


def _group_counts(sizes: Mapping[str, float], groups: int, noun: str) -> list[int]:
    """Groups of each split, as `holdout` says."""
    told = "sizes={" + ", ".join(f"{name!r}: {size}" for name, size in sizes.items()) + "}"
    whole = [isinstance(size, Integral) and not isinstance(size, bool) for size in sizes.values()]
    if not sizes or any(whole) != all(whole):
        raise ValueError(f"{told} must be all shares (floats) or all counts of {noun} (ints), at least one of them")
    for name, size in sizes.items():
        check_kind(f"sizes[{name!r}]", size, Real, f"a share (float) or a count of {noun} (int)")
        if not 0 < size < np.inf:
            raise ValueError(f"sizes[{name!r}]={size} must be above 0")
    total = sum(sizes.values())
    if all(whole):
        if total > groups:
            raise ValueError(f"{told} ask for {total} {noun}, the selection has {groups}")
        return [int(size) for size in sizes.values()]
    if total > 1 + 1e-9:
        raise ValueError(f"{told} add up to {total:g}; shares must add up to at most 1")
    if groups < len(sizes):
        raise ValueError(f"{told} need at least {len(sizes)} {noun}, the selection has {groups}")
    return apportion(list(sizes.values()), max(len(sizes), round(total * groups)))
