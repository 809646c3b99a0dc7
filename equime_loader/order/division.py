"""One rank's part of an epoch, in batches.

The global sequence runs through the epoch's order from `start`; its i-th sample goes to rank i mod ranks. Interleaving
the ranks therefore gives the global sequence, whatever their number, and the k-th batches of all ranks together are
one contiguous stretch of it: ranks × batch_size samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from equime_loader.tables import counted

Ends = Literal["pad", "drop", "uneven"]
ENDS: tuple[Ends, ...] = get_args(Ends)


class Batch(NamedTuple):
    """Samples of one batch, in order.

    positions: (b,) int64, within the selection. repeated: (b,) bool, True where a sample only fills the batch.
    """

    positions: NDArray[np.int64]
    repeated: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """What one rank reads of an epoch: a sequence of batches, made when asked for.

    positions, repeated: (m,) of this rank, as in `Batch`. batch_size: of this rank.
    start, total: samples of the epoch read before, and in all. ranks: among which it is divided. ends: as asked for.
    left_out: samples at the end of the epoch that no rank reads ("drop").
    """

    positions: NDArray[np.int64]
    repeated: NDArray[np.bool_]
    batch_size: int
    rank: int
    ranks: int
    start: int
    total: int
    ends: Ends
    left_out: int

    def __len__(self) -> int:
        """Batches of this rank."""
        return (len(self.positions) + self.batch_size - 1) // self.batch_size

    def __getitem__(self, number: int) -> Batch:
        """The batch of this number, 0 … len - 1; IndexError beyond."""
        if not 0 <= number < len(self):
            raise IndexError(f"batch must be from 0 to {len(self) - 1}, got {number}")
        part = slice(number * self.batch_size, (number + 1) * self.batch_size)
        return Batch(self.positions[part], self.repeated[part])

    def __iter__(self) -> Iterator[Batch]:
        return (self[number] for number in range(len(self)))

    def __str__(self) -> str:
        said = [f"rank {self.rank} of {self.ranks}: {counted(len(self), 'batch', 'batches')} of {self.batch_size}"]
        if self.start:
            said.append(f"from sample {self.start} of the epoch's {self.total}")
        if repeats := int(self.repeated.sum()):
            said.append(f"{counted(repeats, 'sample')} repeated to fill the end")
        if self.left_out:
            said.append(f"{counted(self.left_out, 'sample')} of the epoch left out at the end, over all ranks")
        return ", ".join(said)

    def consumed(self, batches: int) -> int:
        """Samples of the epoch that all ranks together have read once each has taken `batches` batches.

        The same on every rank. Padding does not count; what "drop" leaves out counts as read with the last batch, when
        the epoch is over.
        """
        if self.ends == "drop" and batches >= len(self):
            return self.total
        return min(self.total, self.start + batches * self.ranks * self.batch_size)


def rank_share(
    order: NDArray[np.int64], *, rank: int = 0, ranks: int = 1, start: int = 0, batch_size: int, ends: Ends
) -> Share:
    """The part of `order` that a rank reads from `start` on.

    order: an epoch's order, the same on every rank. start: samples already read by all ranks together, any number from
    0 to len(order). The end, where the rest is no multiple of ranks × batch_size:

    "pad": the sequence goes on with the epoch's beginning until every batch of every rank is full; these are marked.
    "drop": the sequence stops where the last full batch of every rank ends; `Share.left_out` says how many are left.
    "uneven": each sample once and no more; ranks differ by one sample at most, so one may have a batch more than
        another, and its last batch may be shorter. Not for training in step.

    Raises ValueError that names the parameter.
    """
    for name, value, least, bound in (
        ("ranks", ranks, 1, None),
        ("rank", rank, 0, ranks - 1),
        ("batch_size", batch_size, 1, None),
        ("start", start, 0, len(order)),
    ):
        if value < least or (bound is not None and value > bound):
            raise ValueError(
                f"{name} must be " + (f">= {least}" if bound is None else f"{least} … {bound}") + f", got {value}"
            )
    if ends not in ENDS:
        raise ValueError(f"ends must be one of {', '.join(ENDS)}, got {ends!r}")
    total, step = len(order), ranks * batch_size
    rest = total - start
    stop = start + {"pad": -(-rest // step) * step, "drop": rest // step * step, "uneven": rest}[ends]
    mine = np.arange(start + rank, stop, ranks)
    return Share(
        positions=order[mine % max(1, total)],
        repeated=mine >= total,
        batch_size=batch_size,
        rank=rank,
        ranks=ranks,
        start=start,
        total=total,
        ends=ends,
        left_out=max(0, total - stop),
    )
