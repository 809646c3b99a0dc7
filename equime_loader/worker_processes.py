"""Worker processes that decode batches into memory that they share with the loader's process. They need no torch.

Only numbers of batches and what was found of each clip go through pipes; frames are not copied on their way where the
view gives their shape. A worker ends with its pipe, so that none outlives the loader's process and its forks.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.heap import Arena
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_loader.order import Share
from equime_loader.reading import ClipReader, SampleFault
from equime_loader.video.frames import Clip

# A worker ends once its batch is done; one that waits for a server is not waited for.
PATIENCE_S = 2.0
# Requests that a pipe bears while nobody reads the answers: each has some dozens of bytes.
REQUESTS_EACH = 32
_ELSEWHERE = np.empty((0, 0, 0, 0), np.uint8)  # frames that lie in shared memory


class WorkerDied(RuntimeError):
    """A worker process ended before its work did, or cannot begin it."""


class SharedMemory:
    """Places for batches in memory that worker processes write to, each used again once nobody holds what lies there.

    A place is free when it is not being filled and nothing but this refers to its array; tensors made of it, and all
    views of them, refer to it. Pages are taken up when they are first written.

    Args:
        places: how many. shape: of the largest batch.
    """

    def __init__(self, places: int, shape: tuple[int, ...]) -> None:
        self._attach(Arena(places * math.prod(shape)), places, shape)
        self._filled: set[int] = set()

    def _attach(self, arena: Arena, places: int, shape: tuple[int, ...]) -> None:
        self._arguments, size = (arena, places, shape), math.prod(shape)
        self._shape = shape
        self._arrays = [np.frombuffer(arena.buffer, np.uint8, size, place * size) for place in range(places)]

    def __getstate__(self) -> tuple[Any, ...]:
        return self._arguments

    def __setstate__(self, arguments: tuple[Any, ...]) -> None:
        self._attach(*arguments)

    def has(self, places: int, shape: tuple[int, ...]) -> bool:
        """Whether it was made for this."""
        return (len(self._arrays), self._shape) == (places, shape)

    def take(self) -> int:
        """A free place, which is then being filled."""
        place = next(self.free())
        self._filled.add(place)
        return place

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
        if memory is None or not memory.has(places, shape) or len(list(memory.free())) < free:
            memory = SharedMemory(places, shape)
        try:
            yield memory
        finally:
            memory.let_go()
            self._left = memory


class Crew:
    """Worker processes and their pipes: batch k is for worker k modulo their number, and comes in its order."""

    def __init__(self, workers: Sequence[Any], pipes: Sequence[Connection]) -> None:
        self._workers, self._pipes = workers, pipes
        self.most = REQUESTS_EACH * len(workers)  # batches that may be asked for and not answered

    def ask(self, number: int, place: int | None) -> None:
        """Have a batch read, its frames to a place in the shared memory."""
        with suppress(OSError):  # whoever waits for the batch is told
            self._pipes[number % len(self._pipes)].send((number, place))

    def answer(self, number: int) -> list[Clip | SampleFault]:
        """The clips of a batch that was asked for, without frames where these lie in the shared memory.

        Raises:
            WorkerDied: for lack of memory, say. Whatever reading raised that is no fault of a sample.
        """
        which = number % len(self._pipes)
        try:
            answer = self._pipes[which].recv()
        except (EOFError, OSError):
            self._workers[which].join(PATIENCE_S)
            raise WorkerDied(_cause(self._workers[which].exitcode)) from None
        if isinstance(answer, BaseException):
            raise answer
        clips: list[Clip | SampleFault] = answer
        return clips


_LESS = "Take fewer workers, smaller batches or prefetch=1"
_REMEDY = {"SIGKILL": f": out of memory? {_LESS}", "SIGBUS": f": is /dev/shm full? Give it more. {_LESS}"}


def _cause(exitcode: int | None) -> str:
    """Why a worker process ended, as far as its exit code tells."""
    if exitcode is not None and exitcode < 0:
        name = next((known.name for known in signal.Signals if known == -exitcode), "")
        remedy = _REMEDY.get(name, "")
        return f"a worker process was ended by signal {-exitcode} ({signal.strsignal(-exitcode)}){remedy}"
    return (
        f"a worker process ended with code {exitcode}. It imports the script once more: with processes=True the "
        "script's own work belongs under `if __name__ == '__main__':`"
    )


@contextmanager
def crew(reader: ClipReader, share: Share, memory: SharedMemory | None, *, workers: int) -> Iterator[Crew]:
    """Worker processes that end with the block."""
    _check_begin()
    # A fork would inherit this process's threads and decoders in whatever state they are. The server, once it has
    # imported what workers need and what a script imports that has a loader, has them ready at the cost of a fork.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", __name__, "equime_loader.loader"])
    _begin_server()
    started: list[Any] = []
    pipes: list[Connection] = []
    try:
        for _ in range(workers):
            mine, theirs = context.Pipe()
            pipes.append(mine)
            with theirs:
                process = context.Process(target=_work, args=(theirs, reader, share, memory), daemon=True)
                process.start()
            started.append(process)
        yield Crew(started, pipes)
    finally:
        for pipe in pipes:
            pipe.close()
        patience = PATIENCE_S
        for process in started:
            process.join(patience)
            if process.exitcode is None:
                patience = 0.0  # the others have had the same time
                process.kill()
                process.join()
            process.close()


def _check_begin() -> None:
    """Say what would end every worker at its beginning."""
    if multiprocessing.current_process().daemon:
        raise WorkerDied("processes=True cannot begin within a worker of somebody else's, such as a DataLoader's")
    main = sys.modules["__main__"]
    script = getattr(main, "__file__", None)
    if script and not getattr(main, "__spec__", None) and not os.path.exists(script):
        raise WorkerDied(
            f"processes=True: workers import the script once more, and {script} is no file; save it as one, or leave "
            "processes=True out"
        )


def _begin_server() -> None:
    """Have the server begin, deaf to Ctrl-C: it would end in the middle of its imports, and the next epoch with it."""
    # Not every system has these, and one that has not reads with threads.
    from multiprocessing import forkserver, resource_tracker

    resource_tracker.ensure_running()  # it would let Ctrl-C through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(pipe: Connection, reader: ClipReader, share: Share, memory: SharedMemory | None) -> None:
    """Read batches until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the loader's process, which then ends the pipe
    cv2.setNumThreads(1)
    with pipe, suppress(EOFError, OSError):
        while True:
            number, place = pipe.recv()
            pipe.send(_answer(reader, share, memory, number, place))


def _answer(reader: ClipReader, share: Share, memory: SharedMemory | None, number: int, place: int) -> Any:
    try:
        positions = share[number].positions.tolist()
        room = None if memory is None else memory.at(place, len(positions))
        clips = reader.attempt(positions, room)
    except Exception as error:
        # Some errors can be pickled and not made again.
        return RuntimeError(f"{type(error).__name__}: {' '.join(str(error).split())}")
    if room is None:
        return clips
    return [replace(clip, frames=_ELSEWHERE) if isinstance(clip, Clip) else clip for clip in clips]
