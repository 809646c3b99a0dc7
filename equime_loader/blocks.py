"""Clips that lie side by side in a shard, read together: few large requests in place of many small ones.

The order of samples keeps the clips of a block near one another, so that a block that was read is used up before it has
to make room. Blocks hold chosen clips only; a sparse subset has blocks of one clip, and reads nothing else.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equime_loader.storage.errors import StorageError
from equime_loader.storage.ranges import together

BLOCK_BYTES = 2 * 2**20
# What all blocks in memory may take; the order has blocks of half as much open at a time.
HELD_BYTES = 256 * 2**20

Answer = bytes | StorageError


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """A division of a selection's clips.

    Attributes:
        of: (n,) int64, block of each position. members: positions by block, as they lie in the shards.
        window: samples over which the order may spread a block's clips.
    """

    of: NDArray[np.int64]
    members: list[NDArray[np.int64]]
    window: int


def blocks_of(shard: NDArray[np.int32], offset: NDArray[np.int64], length: NDArray[np.int64]) -> Blocks:
    """Blocks of at most about 2 MiB: clips whose ranges (n,) a store reads in one request.

    A clip that is larger has a block of its own.
    """
    order = np.lexsort((offset, shard))
    shards, starts, lengths = shard[order], offset[order], length[order]
    gaps = starts[1:] - (starts[:-1] + lengths[:-1])
    apart = (np.diff(shards) != 0) | ~together(gaps, np.minimum(lengths[1:], lengths[:-1]))
    runs = np.concatenate([[0], np.cumsum(apart)])[: len(order)]
    run_start = starts[np.concatenate([[0], np.flatnonzero(apart) + 1])][runs] if len(order) else starts
    part = (starts - run_start) // BLOCK_BYTES
    new = (np.diff(runs) != 0) | (np.diff(part) != 0)
    number = np.concatenate([[0], np.cumsum(new)])[: len(order)]
    of = np.empty(len(order), np.int64)
    of[order] = number
    members = np.split(order, np.flatnonzero(new) + 1) if len(order) else []
    window = max(1, int(HELD_BYTES // 2 // max(1.0, float(length.mean())))) if len(order) else 1
    return Blocks(of, members, window)


class BlockReader:
    """Reads whole blocks and keeps them for the clips that will be asked for next; safe among threads.

    Args:
        read: the bytes of some positions, or what is wrong with each.
    """

    def __init__(self, blocks: Blocks, read: Callable[[Sequence[int]], Sequence[Answer]]) -> None:
        self._blocks, self._read = blocks, read
        self._held: OrderedDict[int, Future[dict[int, Answer]]] = OrderedDict()
        self._bytes: dict[int, int] = {}
        self._lock = threading.Lock()

    def fetch(self, positions: Sequence[int]) -> list[Answer]:
        """The bytes of some positions, or what is wrong with each; their blocks are read where they are not held.

        What was wrong with a clip is told once; when it is asked for again, it is read again, alone.
        """
        needed = list(dict.fromkeys(self._blocks.of[list(positions)].tolist()))
        with self._lock:
            missing = [block for block in needed if block not in self._held]
            self._held |= {block: Future() for block in missing}
            for block in needed:
                self._held.move_to_end(block)
            held = {block: self._held[block] for block in needed}
        if missing:
            self._bring(missing, held)
        blocks = {position: held[int(self._blocks.of[position])] for position in positions}
        answers: dict[int, Any] = {position: _told(block.result(), position) for position, block in blocks.items()}
        if again := [position for position, answer in answers.items() if answer is None]:
            answers |= zip(again, self._read(again), strict=True)
        return [answers[position] for position in positions]

    def _bring(self, missing: Sequence[int], held: dict[int, Future[dict[int, Answer]]]) -> None:
        members = [self._blocks.members[block].tolist() for block in missing]
        try:
            answers = iter(self._read([position for block in members for position in block]))
        except BaseException as error:
            with self._lock:
                for block in missing:
                    del self._held[block]
            for block in missing:
                held[block].set_exception(error)
            raise
        for block, positions in zip(missing, members, strict=True):
            brought = dict(zip(positions, answers, strict=False))
            self._keep(block, brought)
            held[block].set_result(brought)

    def _keep(self, block: int, brought: dict[int, Answer]) -> None:
        good = [len(answer) for answer in brought.values() if isinstance(answer, bytes)]
        with self._lock:
            if not good:
                del self._held[block]  # it is tried again when it is asked for again
                return
            self._bytes[block] = sum(good)
            total = sum(self._bytes.values())
            for oldest in list(self._held):
                if total <= HELD_BYTES or oldest == block:
                    break
                if oldest in self._bytes:
                    total -= self._bytes.pop(oldest)
                    del self._held[oldest]


def _told(brought: dict[int, Answer], position: int) -> Answer | None:
    """What a block brought for a clip; None where that was a fault which has been told."""
    answer = brought.get(position)
    if isinstance(answer, StorageError):
        brought.pop(position, None)
    return answer
