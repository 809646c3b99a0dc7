"""How often each sample occurs in an epoch: `Uniform`, `Balanced` over classes or groups, `Weighted`.

None of them draws with plain replacement: within an epoch, and over all epochs so far, each sample is used as often as
it should be, rounded down or up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equime_loader.order.keys import GOLDEN, WORD, by_group, digest, keys_of, purpose_key, ranked

SHARES = 1 << 62  # a sample's share of all weights is held as an integer out of this many


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every sample once."""

    def length(self, n: int) -> int:
        """Number of samples in an epoch."""
        return n

    def counts(self, rows: NDArray[np.int64], *, seed: int, epoch: int) -> NDArray[np.int64]:
        """How often each row occurs in the epoch, (n,) int64."""
        return np.ones(len(rows), np.int64)

    def fingerprint(self) -> str:
        """What the draw depends on, in one line."""
        return "uniform"


@dataclass(frozen=True, slots=True, eq=False)
class Balanced:
    """Every class or group equally often.

    codes: class of each sample of the selection, (n,) integers >= 0; classes without samples do not count.
    samples: length of an epoch; None for that of the selection.

    Each class has `samples` / classes places in an epoch; where that is no whole number, the places left over go around
    the classes from epoch to epoch. A class fills its places by going around a circle of its samples, a permutation
    drawn from the seed; the next epoch goes on where this one stopped. So within an epoch, and over any number of
    epochs from the first, a class's samples are used equally often to within one, and a frequent class leaves no
    sample out for longer than one round takes.
    """

    codes: NDArray[np.integer[Any]]
    samples: int | None = None
    classes: NDArray[np.int64] = field(init=False, repr=False)  # the codes that occur, ascending
    numbers: NDArray[np.int64] = field(init=False, repr=False)  # of each sample's class among them, (n,)

    def __post_init__(self) -> None:
        codes = np.array(self.codes)
        if codes.ndim != 1 or (codes.size and codes.dtype.kind not in "iu"):
            raise ValueError(f"codes must be one integer per sample, got {codes.dtype} of shape {codes.shape}")
        if unlabeled := int((codes < 0).sum()):
            raise ValueError(
                f"codes must be >= 0, got {unlabeled} below (samples without a label); "
                "narrow the selection to labeled samples first"
            )
        codes = codes.astype(np.int64)
        classes, numbers = np.unique(codes, return_inverse=True)
        for name, values in (("codes", codes), ("classes", classes), ("numbers", numbers)):
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        _check_samples(self.samples)

    def length(self, n: int) -> int:
        """Number of samples in an epoch (0 where there are none to draw from)."""
        return _length(n, self.samples)

    def counts(self, rows: NDArray[np.int64], *, seed: int, epoch: int) -> NDArray[np.int64]:
        """How often each row occurs in the epoch, (n,) int64."""
        many, length, sizes = len(self.classes), self.length(len(rows)), np.bincount(self.numbers)
        turn = np.empty(many, np.int64)
        turn[ranked(keys_of(self.classes, "turns", seed))] = np.arange(many)
        before, after = ((at * length + many - 1 - turn) // max(1, many) for at in (epoch, epoch + 1))
        circle = by_group(self.numbers, keys_of(rows, "circle", seed))
        of = self.numbers[circle]  # class of each place of the circles, which lie one after another
        place = np.arange(len(rows)) - (np.cumsum(sizes) - sizes)[of]
        rounds, rest = np.divmod(after - before, sizes)
        counts = np.empty(len(rows), np.int64)
        counts[circle] = rounds[of] + ((place - before[of]) % sizes[of] < rest[of])
        return counts

    def fingerprint(self) -> str:
        """What the draw depends on, in one line."""
        return f"balanced over {len(self.classes)} classes{_of(self.samples)}, codes {digest(self.codes)}"


@dataclass(frozen=True, slots=True, eq=False)
class Weighted:
    """Each sample in proportion to its weight, by systematic resampling.

    weights: (n,) finite numbers >= 0, not all zero.
    samples: length of an epoch; None for that of the selection.

    The samples lie on a line in an order drawn from the seed, each as long as its weight; the epoch takes those under
    the teeth of a comb with `samples` teeth. A sample expected x times is used floor(x) or ceil(x) times, x times in
    the mean. From epoch to epoch the comb moves on by the golden ratio of the distance between two teeth, which covers
    the line evenly after any number of epochs.
    """

    weights: NDArray[np.floating[Any] | np.integer[Any]]
    samples: int | None = None

    def __post_init__(self) -> None:
        weights = np.array(self.weights, dtype=np.float64)
        if weights.ndim != 1:
            raise ValueError(f"weights must be one number per sample, got an array of shape {weights.shape}")
        bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
        if bad.size:
            raise ValueError(
                f"weights must be finite and >= 0, got {weights[bad[0]]} at position {bad[0]} ({bad.size} such)"
            )
        if weights.size and not weights.any():
            raise ValueError("weights must not all be 0: no sample could be drawn")
        weights.flags.writeable = False
        object.__setattr__(self, "weights", weights)
        _check_samples(self.samples)

    def length(self, n: int) -> int:
        """Number of samples in an epoch (0 where there are none to draw from)."""
        return _length(n, self.samples)

    def counts(self, rows: NDArray[np.int64], *, seed: int, epoch: int) -> NDArray[np.int64]:
        """How often each row occurs in the epoch, (n,) int64."""
        if not len(rows):
            return np.zeros(0, np.int64)
        line = ranked(keys_of(rows, "line", seed))
        scaled = self.weights / self.weights.max()
        # A sum in order, and not in the blocks that suit a processor, is the same on every platform.
        ends = np.cumsum(np.rint(scaled[line] / np.cumsum(scaled)[-1] * SHARES).astype(np.int64))
        whole, length = int(ends[-1]), self.length(len(rows))
        gap, over = divmod(whole, length)
        moved = (purpose_key("comb", seed) + epoch * GOLDEN) % WORD  # in 2^-64 of the distance between two teeth
        tooth = np.arange(length, dtype=np.int64)
        teeth = (moved * gap >> 64) + tooth * gap + tooth * over // length
        counts = np.empty(len(rows), np.int64)
        counts[line] = np.bincount(np.searchsorted(ends, teeth, side="right"), minlength=len(rows))
        return counts

    def fingerprint(self) -> str:
        """What the draw depends on, in one line."""
        return f"weighted{_of(self.samples)}, weights {digest(self.weights)}"


Sampling = Uniform | Balanced | Weighted


def _check_samples(samples: int | None) -> None:
    if samples is not None and not 1 <= samples < 1 << 31:
        raise ValueError(f"samples must be from 1 to {(1 << 31) - 1} or None, got {samples}")


def _length(n: int, samples: int | None) -> int:
    return samples if samples is not None and n else n


def _of(samples: int | None) -> str:
    return "" if samples is None else f", {samples} samples"
