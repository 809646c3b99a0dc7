"""Balanced subsets: the largest part of a selection in which groups are even, or as they are asked to be."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from equime_loader.arguments import as_names, check_kind
from equime_loader.fairness.balance import Balance, joint_balance, marginal_balance
from equime_loader.fairness.groups import CROSS
from equime_loader.index import Codes
from equime_loader.selection import Selection
from equime_loader.stratify import cells_of, dense
from equime_loader.tables import counted, percent, text_table

Unit = Literal["clip", "subject"]
Target = Mapping[str, Mapping[str, float]]
_EXAMPLES = 3


@dataclass(frozen=True, slots=True, eq=False)
class BalancedSubset:
    """A balanced subset and what it cost.

    Attributes:
        selection: its clips.
        unit: what is counted here: clips or subjects.
        kept, of: how many of them stayed, of those that are labeled.
        bound: no balanced subset is larger; equals `kept` unless the search was cut short.
        unlabeled: by attribute, how many have no word and were left out.
        before, after: by attribute and word, how many there were and are.
        asked: by attribute and word, the share that was asked for.
        binding: groups that the subset is short of, so that it is no larger.
    """

    selection: Selection
    unit: Unit
    joint: bool
    kept: int
    of: int
    bound: int
    unlabeled: Mapping[str, int]
    before: Mapping[str, Mapping[str, int]]
    after: Mapping[str, Mapping[str, int]]
    asked: Mapping[str, Mapping[str, float]]
    binding: tuple[str, ...]

    def __str__(self) -> str:
        how = "cells" if self.joint else "margins"
        lines = [
            f"{self.kept:,} of {self.of:,} {self.unit}s kept ({percent(self.kept, self.of)}) "
            f"for balanced {how} of {', '.join(self.before)}"
        ]
        lines += [f"{counted(n, self.unit)} without {name} left out" for name, n in self.unlabeled.items() if n]
        if self.kept < self.bound:
            lines.append(f"at most {self.bound:,} could be kept; the search ended before that was settled")
        if self.kept < self.of and self.binding:
            more = f" and {len(self.binding) - _EXAMPLES} more" if len(self.binding) > _EXAMPLES else ""
            lines.append(f"no more can stay for want of {', '.join(self.binding[:_EXAMPLES])}{more}")
        head = ("attribute", "word", "before", "share", "asked", "after", "share")
        rows = [
            (name, word, *_told(count, sum(words.values())), percent(share, 1), *_told(now, self.kept))
            for name, words in self.before.items()
            for (word, count), share, now in zip(
                words.items(), self.asked[name].values(), self.after[name].values(), strict=True
            )
        ]
        lines.append(text_table(head, rows))
        return "\n".join(lines)


def _told(count: int, of: int) -> tuple[str, str]:
    return f"{count:,}", percent(count, of)


def balanced(
    selection: Selection,
    attributes: str | Sequence[str],
    *,
    target: Target | None = None,
    joint: bool = False,
    unit: Unit = "clip",
    seed: int = 0,
) -> BalancedSubset:
    """The largest subset in which the words of each attribute are equally frequent, or as frequent as asked.

    Shares are met exactly. Where no clip could stay so, requested ones that are not equal are met within less than one
    clip. Weights that are small whole numbers keep most: 3 to 1 takes multiples of 4 clips, 0.74 to 0.26 of 50. Which
    clips of a cell stay is drawn, in turns over its subjects, so that as many subjects as possible stay.

    Args:
        attributes: fields of words to balance. Their words that occur in the selection count.
        target: by attribute, the weight of each word, in any unit; words that it leaves out are dropped. Attributes
            that it leaves out are made equal.
        joint: balance every combination of words; else each attribute by itself, which keeps more.
        unit: count clips, or count subjects and keep all clips of those that stay.
        seed: of the draw.

    Raises:
        ValueError: an unknown attribute or word, a target without a clip, a combination without a clip where `joint`,
            a balance that no clip can meet, or subjects whose clips differ in an attribute where they are counted.
        TypeError: attributes that are no names, or a target that is no mapping to numbers.
    """
    check_kind("selection", selection, Selection, "a Selection, as open_dataset gives")
    names, target = as_names("attributes", attributes), target or {}
    _check(names, target, unit)
    units = _units(selection, names, unit)
    shares = {name: _shares(name, label, target.get(name), unit) for name, label in units.labels.items()}
    wanted = np.all([shares[name][label.codes] > 0 for name, label in units.labels.items()], axis=0)
    cells = _Cells.of(units.labels, shares, np.flatnonzero(wanted))
    balance = _balance(cells, joint, unit)
    before = {name: _counts(label, np.ones(len(label.codes), np.bool_)) for name, label in units.labels.items()}
    kept = np.zeros(len(units.subject), np.bool_)
    kept[cells.units] = _drawn(cells.cell, units.subject[cells.units], balance.kept, seed)

    size, count = int(kept.sum()), len(kept)
    how = f"balanced {'jointly ' if joint else ''}over {', '.join(names)}{', as asked' if target else ''}"
    step = f"{how}, by {unit}, seed {seed}: {size:,} of {count:,} {unit}s"
    return BalancedSubset(
        selection.narrowed(np.append(kept, False)[units.of_clip], step, seed=seed),
        unit,
        joint,
        size,
        count,
        balance.bound,
        units.unlabeled,
        before,
        {name: _counts(label, kept) for name, label in units.labels.items()},
        {
            name: {word: float(shares[name][units.labels[name].words.index(word)]) for word in before[name]}
            for name in names
        },
        _binding(cells, balance),
    )


def _check(names: Sequence[str], target: Target, unit: str) -> None:
    check_kind("target", target, Mapping, "weights of words by attribute, such as {'emotion': {'fear': 2, 'anger': 1}}")
    if unit not in ("clip", "subject"):
        raise ValueError(f"{unit=} must be clip or subject")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"attributes={list(names)} must name at least one field, each once")
    if strange := [name for name in target if name not in names]:
        raise ValueError(f"target: {strange[0]!r} must be one of the attributes to balance, {', '.join(names)}")
    for name, weights in target.items():
        check_kind(f"target[{name!r}]", weights, Mapping, "weights by word, such as {'fear': 2, 'anger': 1}")


@dataclass(frozen=True, slots=True, eq=False)
class _Units:
    """What is counted. `labels` and `subject`: of each unit; `of_clip`: unit of each clip, -1 for unlabeled ones."""

    labels: Mapping[str, Codes]
    subject: NDArray[np.int64]
    of_clip: NDArray[np.int64]
    unlabeled: Mapping[str, int]


def _units(selection: Selection, names: Sequence[str], unit: Unit) -> _Units:
    labels = {name: selection.codes(name) for name in names}
    who = selection.codes("subject")
    subject, _ = dense(who.codes + 1, len(who.words) + 1)
    of_clip = np.arange(len(selection), dtype=np.int64) if unit == "clip" else subject
    unlabeled = {name: len(np.unique(of_clip[label.codes < 0])) for name, label in labels.items()}
    known = np.flatnonzero(np.all([label.codes >= 0 for label in labels.values()], axis=0))
    if not len(known):
        raise ValueError(f"no clip of the selection has a word in each of {', '.join(names)}")
    _, first, unit_of = np.unique(of_clip[known], return_index=True, return_inverse=True)
    for name, label in labels.items():
        differs = label.codes[known] != label.codes[known[first]][unit_of]
        if differs.any():
            word = who.words[who.codes[known[differs.argmax()]]]
            raise ValueError(f"unit='subject': the clips of subject {word} differ in {name!r}; balance it by clip")
    numbers = np.full(len(selection), -1, np.int64)
    numbers[known] = unit_of
    chosen = known[first]
    return _Units(
        {name: Codes(label.codes[chosen], label.words) for name, label in labels.items()},
        subject[chosen],
        numbers,
        unlabeled,
    )


def _shares(name: str, label: Codes, weights: Mapping[str, float] | None, unit: str) -> NDArray[np.float64]:
    """Wanted share of each word, 0 where it is to be dropped or does not occur."""
    present = np.bincount(label.codes, minlength=len(label.words)) > 0
    if weights is None:
        even: NDArray[np.float64] = present / present.sum()
        return even
    for word, weight in weights.items():
        if word not in label.words:
            raise ValueError(f"target: {name}={word!r} must be one of {', '.join(label.words)}")
        check_kind(f"target: the weight of {name}={word!r}", weight, Real, "a number")
        if not 0 <= weight < np.inf:
            raise ValueError(f"target: {name}={word!r} has weight {weight}, must be 0 or more")
    total = sum(weights.values())
    if not total > 0:
        raise ValueError(f"target: {name} needs a word of positive weight")
    wanted = np.array([weights.get(word, 0.0) for word in label.words]) / total
    if len(absent := np.flatnonzero((wanted > 0) & ~present)):
        word = label.words[absent[0]]
        raise ValueError(f"target: {percent(wanted[absent[0]], 1)} of {name}={word!r} asked, there is no {unit} of it")
    return wanted


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """Combinations of words that occur.

    Attributes:
        units: (n,) those of wanted words. cell: (n,) cell of each. counts: (C,) units of each cell.
        codes: (C, A) numbers of the cell's words among the wanted ones. words: those, by attribute.
        shares: their wanted shares, by attribute.
    """

    units: NDArray[np.int64]
    cell: NDArray[np.int64]
    counts: NDArray[np.int64]
    codes: NDArray[np.int64]
    words: Mapping[str, tuple[str, ...]]
    shares: tuple[NDArray[np.float64], ...]

    @classmethod
    def of(
        cls, labels: Mapping[str, Codes], shares: Mapping[str, NDArray[np.float64]], units: NDArray[np.int64]
    ) -> _Cells:
        wanted = {name: np.flatnonzero(share) for name, share in shares.items()}
        columns = [np.searchsorted(wanted[name], label.codes[units]) for name, label in labels.items()]
        cell, count = cells_of(columns, len(units))
        example = np.zeros(count, np.int64)
        example[cell] = np.arange(len(units))
        return cls(
            units,
            cell,
            np.bincount(cell, minlength=count),
            np.stack([column[example] for column in columns], axis=1),
            {name: tuple(label.words[code] for code in wanted[name]) for name, label in labels.items()},
            tuple(share[wanted[name]] for name, share in shares.items()),
        )

    def told(self, codes: Sequence[int]) -> str:
        return CROSS.join(words[code] for words, code in zip(self.words.values(), codes, strict=True))


def _balance(cells: _Cells, joint: bool, unit: str) -> Balance:
    shape = tuple(map(len, cells.shares))
    if not joint and len(shape) > 1:  # of one attribute, words and cells are the same
        balance = marginal_balance(cells.codes, cells.counts, cells.shares)
        if not balance.kept.any():
            raise ValueError(f"no {unit} can stay: the margins cannot be met at once; there is only {_scarce(cells)}")
        return balance
    combinations = int(np.prod(shape))
    if missing := combinations - len(cells.counts):
        present = set(map(tuple, cells.codes.tolist()))
        empty = next(combination for combination in np.ndindex(shape) if combination not in present)
        raise ValueError(
            f"{missing} of {combinations} combinations of {', '.join(cells.words)} have no {unit}, such as "
            f"{cells.told(empty)}; narrow the selection, or balance each attribute by itself (joint=False)"
        )
    parts = [share[cells.codes[:, which]] for which, share in enumerate(cells.shares)]
    even = all(share.min() == share.max() for share in cells.shares)
    wanted = np.full(combinations, 1 / combinations) if even else np.prod(parts, axis=0)
    return joint_balance(cells.counts, wanted / wanted.sum())


def _scarce(cells: _Cells) -> str:
    """The rarest word of each attribute."""
    found = []
    for which, (name, words) in enumerate(cells.words.items()):
        counts = np.bincount(cells.codes[:, which], cells.counts, minlength=len(words))
        found.append(f"{int(counts.min())} of {name}={words[int(counts.argmin())]}")
    return ", ".join(found)


def _binding(cells: _Cells, balance: Balance) -> tuple[str, ...]:
    """What is used up, in as few words as will do: whole words first, then words crossed by twos, down to cells."""
    left, found = balance.binding.copy(), []
    names, words = tuple(cells.words), tuple(cells.words.values())
    for size in range(1, len(names) + 1):
        for chosen in map(list, itertools.combinations(range(len(names)), size)):
            crossing, count = cells_of(list(cells.codes[:, chosen].T), len(cells.counts))
            free = np.bincount(crossing[~balance.binding], minlength=count) > 0
            fresh = np.bincount(crossing[left], minlength=count) > 0
            for which in np.flatnonzero(fresh & ~free):
                mine = crossing == which
                codes = cells.codes[mine.argmax(), chosen]
                told = CROSS.join(f"{names[a]}={words[a][code]}" for a, code in zip(chosen, codes, strict=True))
                found.append(f"{told} ({cells.counts[mine].sum():,})")
                left[mine] = False
    return tuple(found)


def _drawn(
    cell: NDArray[np.int64], subject: NDArray[np.int64], kept: NDArray[np.int64], seed: int
) -> NDArray[np.bool_]:
    """Draw as many of each cell as are to be kept: every subject gives one in turn, in an order by lot."""
    lot = np.random.default_rng(seed).permutation(len(cell))
    turn = _places(cells_of([cell, subject], len(cell))[0], lot)
    by_turn = lot[np.argsort(turn[lot], kind="stable")]
    chosen: NDArray[np.bool_] = _places(cell, by_turn) < kept[cell]
    return chosen


def _places(group: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of each member within its group, when they come in an order."""
    ordered = group[order]
    sorted_groups = np.argsort(ordered, kind="stable")
    start = np.searchsorted(ordered[sorted_groups], np.arange(int(group.max(initial=-1)) + 1))
    places = np.empty(len(group), np.int64)
    places[order[sorted_groups]] = np.arange(len(group)) - start[ordered[sorted_groups]]
    return places


def _counts(label: Codes, chosen: NDArray[np.bool_]) -> dict[str, int]:
    """How many of the chosen carry each word that occurs at all."""
    size = len(label.words)
    occurs, counts = np.bincount(label.codes, minlength=size), np.bincount(label.codes[chosen], minlength=size)
    return {word: int(n) for word, n, any_ in zip(label.words, counts, occurs, strict=True) if any_}
