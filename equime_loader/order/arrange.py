"""Putting the drawn samples in order: permuted as a whole, merged by class, or spread over a window of shards."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from equime_loader.order.keys import by_group, keys_of, ranked, unit

Integers = NDArray[np.int64]


def open_shards(shards: NDArray[np.integer[Any]], window: int) -> int:
    """How many shards a window keeps open: the window in shards of mean size, at least two, at most all.

    shards: code of the shard of each sample, (n,) integers >= 0. window: in samples, >= 1.
    """
    present = int((np.bincount(shards) > 0).sum()) if len(shards) else 0
    return min(present, max(2, window * present // max(1, len(shards))))


def permuted(items: Integers, copies: Integers, counts: Integers, *purpose: str | int) -> Integers:
    """Shuffled as a whole. A sample that occurs several times has one copy in each equal part of the epoch.

    items: distinct numbers >= 0 that the random draws belong to. copies: 0 for the first use of a sample, 1 for the
    second, …; counts: how often that sample is used in all. All (m,); so is what is returned, places 0 … m - 1.
    """
    return ranked((copies + unit(keys_of(items, "place", *purpose))) / counts)


def merged(items: Integers, copies: Integers, classes: Integers, *purpose: str | int) -> Integers:
    """Shuffled so that every stretch of the order holds the classes in their proportions.

    A class with q places has one sample in each q-th of the epoch, anywhere in it. Within a class all first copies
    come before the second ones, so that copies of a sample lie apart.
    items, copies: as for `permuted`. classes: codes from 0, each in use.
    """
    most = np.zeros(int(classes.max(initial=-1)) + 1, np.int64)
    np.maximum.at(most, classes, copies + 1)
    order = by_group((np.cumsum(most) - most)[classes] + copies, keys_of(items, "place", *purpose))
    of = classes[order]
    sizes = np.bincount(of)
    place = np.arange(len(items)) - (np.cumsum(sizes) - sizes)[of]
    time = (place + unit(keys_of(items, "time", *purpose))[order]) / sizes[of]
    return order[ranked(time)]


def windowed(items: Integers, shards: NDArray[np.integer[Any]], lanes: int, *purpose: str | int) -> Integers:
    """Shuffled so that never more than `lanes` shards are open (begun and not yet finished).

    items: as for `permuted`. shards: code >= 0 of each item's shard, of more than `lanes` shards.

    The shards, in a random order, are cut into lanes of about equal length. Each lane reads its shards one after
    another, evenly over the whole epoch, and the lanes are merged. Where a lane changes shards is staggered from lane
    to lane, so that the open shards are replaced one at a time and not all at once. Within the time of a shard its
    samples lie one in each equal part, shifted by up to `reach` parts. Beside a sample, its own shard then has
    1 - 1 / reach of its density, which is 1 / lanes of all; with reach = S / (S - lanes) two neighbors come from one
    of S shards as often as in a permutation of the whole. Shards of equal size stay open for at most 2.5 times
    `lanes` shards' samples, about once that in the mean.
    """
    codes, counts = np.arange(int(shards.max(initial=-1)) + 1), np.bincount(shards)
    codes = codes[counts > 0]
    codes = codes[ranked(keys_of(codes, "shard", *purpose))]
    turn = np.zeros(len(counts), np.int64)
    turn[codes] = np.arange(len(codes))
    order = by_group(turn[shards], keys_of(items, "place", *purpose))
    sizes = counts[codes]
    begin, end = _times(sizes, lanes)
    of = np.repeat(np.arange(len(codes)), sizes)
    place = np.arange(len(items)) - (np.cumsum(sizes) - sizes)[of]
    reach = np.minimum(len(codes) / (len(codes) - lanes), sizes)
    shift = unit(keys_of(items, "time", *purpose))[order] * reach[of]
    time = begin[of] + (place + shift) % sizes[of] / sizes[of] * (end - begin)[of]
    return order[ranked(time)]


def _times(sizes: Integers, lanes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """When each shard is begun and finished, in [0, 1], shards in their order; sizes in samples.

    A lane is all shards whose middle lies in its part of the row; one spanned by a large shard is left out.
    """
    last = np.cumsum(sizes)
    total = int(last[-1])
    lane = ((last - sizes / 2) * lanes / total).astype(np.int64)
    opens, closes = np.diff(lane, prepend=-1) > 0, np.diff(lane, append=lanes) > 0
    numbers = np.cumsum(opens) - 1
    base = (last - sizes)[opens][numbers]
    share = sizes / (last[closes] - (last - sizes)[opens])[numbers]
    begin = (last - sizes - base) * share / sizes
    end = begin + share
    stagger = (numbers + 0.5) / (numbers[-1] + 1) - 0.5  # of the shard that the border moves into
    after, before = np.append(share[1:], 0.0), np.append(0.0, share[:-1])
    moved_end = end + stagger * np.where(stagger > 0, after, share)
    moved_begin = begin + stagger * np.where(stagger > 0, share, before)
    return np.where(opens, 0.0, moved_begin), np.where(closes, 1.0, moved_end)
