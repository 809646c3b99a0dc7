"""Dividing groups of clips so that every part looks like the whole: the core of `splits`, on numpy arrays alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


def apportion(shares: Sequence[float], total: int) -> list[int]:
    """Whole numbers that add up to `total` in proportion to `shares`: the method of largest remainders.

    Every positive share gets at least one, as long as `total` suffices for that.
    """
    weights = np.asarray(shares, np.float64)
    quotas = weights / weights.sum() * total
    counts = np.floor(quotas).astype(np.int64)
    # Equal remainders differ by rounding errors only; the first one listed comes first.
    order = np.argsort(-np.round(quotas - counts, 9), kind="stable")
    counts[order[: total - int(counts.sum())]] += 1
    for empty in np.flatnonzero((counts == 0) & (weights > 0)):
        richest = int(np.argmax(counts))
        if counts[richest] < 2:
            break
        counts[richest] -= 1
        counts[empty] += 1
    return [int(count) for count in counts]


def dense(codes: NDArray[np.integer], size: int) -> tuple[Numbers, int]:
    """Codes in 0..size-1 renumbered without gaps, in their order, and how many there are."""
    if size <= max(4 * len(codes), 1 << 16):
        present = np.zeros(size, np.bool_)
        present[codes] = True
        return (np.cumsum(present) - 1)[codes], int(present.sum())
    words, numbers = np.unique(codes, return_inverse=True)
    return numbers.astype(np.int64), len(words)


def cells_of(columns: Sequence[NDArray[np.integer]], length: int) -> tuple[Numbers, int]:
    """One number, without gaps, for each combination of codes that occurs in `length` rows; -1 is a code too."""
    cells, count = np.zeros(length, np.int64), 1 if length else 0
    for column in columns:
        words = int(column.max(initial=-1)) + 2
        cells, count = dense(cells * words + column + 1, count * words)
    return cells, count


@dataclass(frozen=True, slots=True, eq=False)
class _Contents:
    """What each group brings: clips by stratum, group after group.

    Attributes:
        start: (G + 1,) where each group's entries begin in `stratum` and `clips`.
        strata: how many strata there are. rarity: (G,) groups in the group's rarest joint stratum.
    """

    start: Numbers
    stratum: Numbers
    clips: Numbers
    strata: int
    rarity: Numbers


def _tables(attributes: int) -> list[tuple[int, ...]]:
    """Which attributes are crossed: none (all clips), each one, each two, all of them."""
    chosen = {(), tuple(range(attributes)), *itertools.combinations(range(attributes), 2)}
    return sorted({*chosen, *((one,) for one in range(attributes))}, key=lambda table: (len(table), table))


def _contents(groups: Numbers, strata: Sequence[NDArray[np.integer]], count: int) -> _Contents:
    cells, width = cells_of(strata, len(groups))
    example = np.zeros(width, np.int64)
    example[cells] = np.arange(len(cells))
    pairs, clips = np.unique(groups * width + cells, return_counts=True)
    group, cell = np.divmod(pairs, width)
    owners, members, sizes, base = [], [], [], 0
    for table in _tables(len(strata)):
        ids, words = cells_of([strata[which][example] for which in table], width)
        entries, place = np.unique(group * words + ids[cell], return_inverse=True)
        owners.append(entries // words)
        members.append(base + entries % words)
        sizes.append(np.bincount(place, clips).astype(np.int64))
        base += words
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    rarity = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(rarity, group, np.bincount(cell, minlength=width)[cell])
    start = np.searchsorted(owner[order], np.arange(count + 1))
    return _Contents(start, np.concatenate(members)[order], np.concatenate(sizes)[order], base, rarity)


def divide(
    groups: NDArray[np.integer], strata: Sequence[NDArray[np.integer]], sizes: Sequence[int], *, seed: int
) -> NDArray[np.int32]:
    """Divide groups of clips into parts of given sizes, so that every part holds each stratum in proportion.

    Iterative stratification (Sechidis et al. 2011) over groups. The groups come one by one, those with most clips first
    and among equals those of the rarest stratum; each goes to the part that lacks most of what it brings, summed over
    the strata: all clips, each label, each two labels crossed, all labels crossed. What a part lacks is its share of
    the clips placed so far, less what it has. Equal parts are chosen between by lot. The result does not depend on the
    order of the clips.

    Args:
        groups: (n,) group of each clip, 0..G-1, each present.
        strata: for each attribute (n,) codes, -1 for none.
        sizes: groups in each part; they add up to G.
        seed: of the lots.

    Returns:
        (G,) int32, the part of each group.
    """
    count, wanted = sum(sizes), np.asarray(sizes, np.float64)
    wanted /= max(np.gcd.reduce(np.asarray(sizes, np.int64)), 1)
    whole = wanted.sum()
    contents = _contents(np.asarray(groups, np.int64), strata, count)
    weight = np.bincount(groups, minlength=count)
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.permutation(count), contents.rarity, -weight))
    lots = rng.random(count)

    # Whole numbers as floats: sums are exact up to 2**53, so their order cannot matter.
    lacks = np.zeros((contents.strata, len(wanted)))
    lacks_groups, worth = np.zeros(len(wanted)), float(round(weight.mean()))
    start, clips = contents.start.tolist(), contents.clips.astype(np.float64)
    left, closed = list(sizes), np.where(wanted > 0, 0.0, -np.inf)
    part_of = np.zeros(count, np.int32)
    for group in order.tolist():
        entries = slice(start[group], start[group + 1])
        rows, brings = contents.stratum[entries], clips[entries]
        lack = lacks[rows] + brings[:, None] * wanted
        lacks_groups += wanted
        need = brings @ lack + worth * lacks_groups + closed
        best = np.flatnonzero(need == need.max())
        part = int(best[int(lots[group] * len(best))])
        lack[:, part] -= brings * whole
        lacks[rows] = lack
        lacks_groups[part] -= whole
        part_of[group] = part
        left[part] -= 1
        if not left[part]:
            closed[part] = -np.inf
    return part_of
