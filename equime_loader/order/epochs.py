"""The order of one epoch: a pure function of the seed, the epoch and what `Order` holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from operator import index as as_int
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equime_loader.order.arrange import merged, open_shards, permuted, windowed
from equime_loader.order.keys import digest
from equime_loader.order.sampling import Balanced, Sampling, Uniform, Weighted


@dataclass(frozen=True, eq=False, kw_only=True)
class Order:
    """All that the order of a selection's samples depends on, besides the epoch.

    rows: the selection's rows in its index, (n,) integers >= 0, ascending, no duplicates.
    index: sha256 of that index; the order itself does not depend on it, a saved state does.
    seed: any integer.
    shuffle: False keeps the selection's own order (a sample drawn twice comes twice in a row).
    sampling: how often each sample occurs in an epoch.
    shards: code of the shard that holds each sample, (n,) integers >= 0; needed where there is a window.
    window: samples over which a shard's samples are spread, for data that is read shard by shard; None shuffles
        the selection as a whole, for data that is read in any order at the same cost.

    Raises ValueError that names the parameter.
    """

    rows: NDArray[np.int64]
    seed: int
    index: str = ""
    shuffle: bool = True
    sampling: Sampling = field(default_factory=Uniform)
    shards: NDArray[np.integer[Any]] | None = None
    window: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", as_int(self.seed))
        object.__setattr__(self, "rows", _integers("rows", self.rows))
        if np.any(self.rows[1:] <= self.rows[:-1]):
            raise ValueError("rows must be ascending without duplicates; pass those of a Selection")
        for name, given in (
            ("codes", self.sampling.codes if isinstance(self.sampling, Balanced) else None),
            ("weights", self.sampling.weights if isinstance(self.sampling, Weighted) else None),
            ("shards", self.shards),
        ):
            if given is not None and len(given) != len(self.rows):
                raise ValueError(f"{name} must be one per row ({len(self.rows)}), got {len(given)}")
        if self.shards is not None:
            object.__setattr__(self, "shards", _integers("shards", self.shards))
        if self.window is not None:
            object.__setattr__(self, "window", as_int(self.window))
            if as_int(self.window) < 1:
                raise ValueError(f"window must be >= 1 sample or None, got {self.window}")
            if self.shards is None:
                raise ValueError(f"window = {self.window} needs shards: the code of the shard of each sample")

    def __len__(self) -> int:
        """Samples in an epoch."""
        return self.sampling.length(len(self.rows))

    @cached_property
    def fingerprint(self) -> dict[str, str | int]:
        """What the order depends on, by name, as plain strings and integers; arrays as their sha256."""
        window = "none"
        if self.window is not None and self.shards is not None:
            window = f"{self.window} samples, shards {digest(self.shards)}"
        return {
            "index": self.index,
            "rows": f"{len(self.rows)} rows, {digest(self.rows)}",
            "seed": self.seed,
            "shuffle": "on" if self.shuffle else "off",
            "sampling": self.sampling.fingerprint(),
            "window": window,
        }


def epoch_order(order: Order, epoch: int) -> NDArray[np.int64]:
    """Positions within the selection in the order of one epoch, (len(order),) int64.

    A pure function: the same on every machine, in every process, whatever was asked before. A uniform order of a part
    of a selection, without a window, is the order of the whole with the other samples left out.
    Raises ValueError where epoch is below 0.
    """
    epoch = as_int(epoch)
    if epoch < 0:
        raise ValueError(f"epoch must be >= 0, got {epoch}")
    sampling = order.sampling
    counts = sampling.counts(order.rows, seed=order.seed, epoch=epoch)
    positions = np.repeat(np.arange(len(order.rows), dtype=np.int64), counts)
    if not order.shuffle or not len(positions):
        return positions
    copies = np.arange(len(positions)) - np.repeat(np.cumsum(counts) - counts, counts)
    items = order.rows[positions] + (copies << 40)  # a number of its own for each use of a row
    purpose = (order.seed, epoch)
    if order.window is not None and order.shards is not None:
        shards = order.shards[positions]
        lanes = open_shards(shards, order.window)
        if lanes < np.count_nonzero(np.bincount(shards)):
            return positions[windowed(items, shards, lanes, *purpose)]
    if isinstance(sampling, Balanced):
        return positions[merged(items, copies, sampling.numbers[positions], *purpose)]
    return positions[permuted(items, copies, counts[positions], *purpose)]


def _integers(name: str, values: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    given = np.asarray(values)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise ValueError(f"{name} must be one integer per sample, got {given.dtype} of shape {given.shape}")
    if given.size and not 0 <= int(given.min()) <= int(given.max()) < 1 << 40:
        raise ValueError(f"{name} must be from 0 to {(1 << 40) - 1}, got {given.min()} … {given.max()}")
    kept = given.astype(np.int64)  # a copy, which nobody else can change
    kept.flags.writeable = False
    return kept
