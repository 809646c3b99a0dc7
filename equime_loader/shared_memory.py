"""Memory for batches that several processes write to, and that is used again once nobody holds what lies there."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.heap import Arena

import numpy as np
from numpy.typing import NDArray

FULL = "Is /dev/shm full? Give it more. Take fewer workers, smaller batches or prefetch=1"


class SharedMemory:
    """Places for batches in memory that worker processes write to, each used again once nobody holds what lies there.

    A place is free when it is not being filled and nothing but this refers to its array; tensors made of it, and all
    views of them, refer to it. Pages are taken up when they are first written.

    Args:
        places: how many. shape: of the largest batch.
        descriptor: of memory of this form that another process has made; by default it is made.
    """

    def __init__(self, places: int, shape: tuple[int, ...], *, descriptor: int = -1) -> None:
        size = math.prod(shape)
        self._arena, self._shape = Arena(places * size, descriptor), shape
        self._arrays = [np.frombuffer(self._arena.buffer, np.uint8, size, place * size) for place in range(places)]
        self._filled: set[int] = set()
        self._reserved: set[int] = set()
        self.spoiled = False  # others may still write to it

    @property
    def form(self) -> tuple[int, tuple[int, ...]]:
        """Places and shape."""
        return len(self._arrays), self._shape

    @property
    def descriptor(self) -> int:
        """The open file that another process makes the same memory of."""
        return self._arena.fd

    def take(self) -> int:
        """A free place, which is then being filled.

        Raises:
            MemoryError: there is none.
        """
        for place in self.free():
            self._filled.add(place)
            return place
        raise MemoryError(f"none of {len(self._arrays)} places for batches is free")

    def reserve(self, place: int) -> None:
        """Have the pages of a place, since a process that writes to one which cannot be had is ended.

        Raises:
            MemoryError: there are not enough.
        """
        if place in self._reserved or not hasattr(os, "posix_fallocate"):
            return
        size = self._arrays[place].size
        try:
            os.posix_fallocate(self.descriptor, place * size, size)
        except OSError as error:
            raise MemoryError(f"no shared memory for a batch ({error.strerror}). {FULL}") from None
        self._reserved.add(place)

    def at(self, place: int, count: int) -> NDArray[np.uint8]:
        """The array of a place, for a batch of `count` clips."""
        shape = (count, *self._shape[1:])
        return self._arrays[place][: math.prod(shape)].reshape(shape)

    def give(self, place: int, count: int) -> NDArray[np.uint8]:
        """What was filled, for a consumer: where it lies, or a copy where consumers hold all other places."""
        self._filled.discard(place)
        array = self.at(place, count)
        return array.copy() if next(self.free(), None) is None else array

    def free(self) -> Iterator[int]:
        """Places that are neither filled nor held."""
        for place in range(len(self._arrays)):
            # A free array has two references: the list's and that of getrefcount's argument.
            if place not in self._filled and sys.getrefcount(self._arrays[place]) == 2:
                yield place

    def let_go(self) -> None:
        """Give up what was being filled, by workers that are gone."""
        self._filled.clear()


class Spare:
    """Memory that an epoch leaves for the next. A copy in another process begins without."""

    def __init__(self) -> None:
        self._left: SharedMemory | None = None

    def __reduce__(self) -> tuple[type[Spare], tuple[()]]:
        return Spare, ()

    @contextmanager
    def memory(self, places: int, shape: tuple[int, ...], *, free: int) -> Iterator[SharedMemory]:
        """Memory for batches of one shape, for the block.

        Args:
            free: places that nobody may hold at the beginning; a consumer may hold batches of epochs before.
        """
        memory, self._left = self._left, None
        if memory is None or memory.form != (places, shape) or len(list(memory.free())) < free:
            memory = SharedMemory(places, shape)
        try:
            yield memory
        finally:
            memory.let_go()
            self._left = None if memory.spoiled else memory
