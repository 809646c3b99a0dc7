"""The process whose forks decode for a loader. It has imported what that takes, and has one thread.

A loader's process would hand its threads, locks and decoders down to forks in whatever state they are, and workers that
import for themselves come late. So there is one process between: begun by the first loader, without the user's script
and without torch, it forks a foreman for each epoch that is asked for, and the foreman forks the workers. Whatever
lies below the loader's process ends when its sockets do.

A foreman says `READY`, takes a `Job`, the descriptor of the memory where there is one, and a pipe for each worker. Then
it tells the exit code of each worker that ends, until it is told that the epoch is over, and says `GONE` when all have.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import recv_handle
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_loader.error_lines import kind_and_line
from equime_loader.shared_memory import SharedMemory
from equime_loader.video.frames import Clip
from equime_loader.window_reader import WindowReader

# A request: names of modules that its job takes, to its full length; with it comes the socket of the epoch's foreman.
REQUEST_BYTES = 512
# The first word of a foreman, and the last: no worker runs any more.
READY, GONE = "ready", "gone"
# A worker ends once its batch is done; one that waits for a server is not waited for.
PATIENCE_S = 2.0
_ELSEWHERE = np.empty((0, 0, 0, 0), np.uint8)  # frames that lie in shared memory


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """An epoch to be read: positions (m,) int64, in batches of `batch_size`.

    memory: places and shape of the memory for its batches, None where frames are sent. environment: of the workers.
    """

    reader: WindowReader
    positions: NDArray[np.int64]
    batch_size: int
    workers: int
    memory: tuple[int, tuple[int, ...]] | None
    environment: dict[str, str] = field(repr=False)


def serve(descriptor: int) -> None:
    """Fork a foreman for each request, until nobody is left to ask. Does not return."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGCHLD, _put_away)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    with socket.socket(fileno=descriptor) as door:
        while True:
            names, descriptors, _, _ = socket.recv_fds(door, REQUEST_BYTES, 1)
            if not names:
                os._exit(0)
            # What it imports is there for all epochs that follow.
            for name in names.decode().split():
                with suppress(Exception):  # the foreman tells
                    importlib.import_module(name)
            for control in descriptors:  # none where there may be no more open files
                _begin_foreman(door, control)
                os.close(control)


def _put_away(*_: Any) -> None:
    """Foremen that have ended are put away, and their times counted among the server's."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _begin_foreman(door: socket.socket, descriptor: int) -> None:
    if os.fork():
        return
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        door.close()
        with Connection(descriptor) as control, suppress(OSError):  # the loader's process has ended
            lead(control)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def lead(control: Connection) -> None:
    """Be the foreman of an epoch: begin its workers, tell how each ends, and see that all have ended."""
    workers: list[Any] = []
    control.send(READY)
    try:
        _begin(control, workers)
        running = {worker.sentinel: number for number, worker in enumerate(workers)}
        while control not in (ended := wait([control, *running])):
            for number in map(running.pop, ended):
                workers[number].join()
                control.send((number, workers[number].exitcode))
    except EOFError:  # the loader did without
        return
    except Exception as error:
        control.send(kind_and_line(error))
    finally:
        _end(workers)
    control.send(GONE)


def _begin(control: Connection, workers: list[Any]) -> None:
    job = control.recv()
    os.environ.clear()
    os.environ.update(job.environment)
    memory = None
    if job.memory is not None:
        shared = recv_handle(control)
        memory = SharedMemory(*job.memory, descriptor=shared)
        os.close(shared)
    pipes = [Connection(recv_handle(control)) for _ in range(job.workers)]
    for pipe in pipes:
        # Whoever holds the end of another's pipe would keep its death from being seen.
        others = [control, *(other for other in pipes if other is not pipe)]
        worker = get_context("fork").Process(target=_work, args=(pipe, others, job, memory), daemon=True)
        worker.start()
        workers.append(worker)
    for pipe in pipes:
        pipe.close()


def _end(workers: Sequence[Any]) -> None:
    until = time.monotonic() + PATIENCE_S
    for worker in workers:
        worker.join(max(0.0, until - time.monotonic()))
        if worker.exitcode is None:
            worker.kill()
            worker.join()


def _work(pipe: Connection, others: Sequence[Connection], job: Job, memory: SharedMemory | None) -> None:
    """Read batches until the pipe ends."""
    for other in others:
        other.close()
    gc.freeze()
    gc.enable()
    with pipe, suppress(EOFError, OSError):
        while True:
            number, place = pipe.recv()
            pipe.send(_answer(job, memory, number, place))


def _answer(job: Job, memory: SharedMemory | None, number: int, place: int) -> Any:
    try:
        begin = number * job.batch_size
        positions = job.positions[begin : begin + job.batch_size].tolist()
        room = None if memory is None else memory.at(place, len(positions))
        clips = job.reader.attempt(positions, room)
    except Exception as error:
        # Some errors can be pickled and not made again.
        return RuntimeError(kind_and_line(error))
    if room is None:
        return clips
    return [replace(clip, frames=_ELSEWHERE) if isinstance(clip, Clip) else clip for clip in clips]
