"""What worker processes have in common."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

PATIENCE_S = 0.2
Task = TypeVar("Task")
Result = TypeVar("Result")


class WorkerDied(ValueError):
    """A worker process ended before its work did."""


def as_finished(work: Callable[[Task], Result], tasks: Sequence[Task], *, workers: int, kept: str) -> Iterator[Result]:
    """Results of independent tasks, as they are ready; in this process where there is one worker or one task.

    Args:
        work: can be pickled, as can tasks and results.
        kept: what a user need not fear for, `the verdicts are kept`.

    Raises:
        WorkerDied: for lack of memory, say.
    """
    if workers == 1 or len(tasks) <= 1:
        yield from map(work, tasks)
        return
    with worker_pool(min(workers, len(tasks))) as pool:
        yield from finished(pool, work, tasks, kept=kept)


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """Worker processes that end with this one."""
    context = get_context("spawn")  # a fork would inherit the threads of torch, FFmpeg, OpenCV and Arrow
    return ProcessPoolExecutor(workers, context, watch_parent, (os.getpid(),))


def finished(
    pool: ProcessPoolExecutor, work: Callable[[Task], Result], tasks: Sequence[Task], *, kept: str
) -> Generator[Result, None, None]:
    """Results of a pool's tasks, as they are ready; what has not begun when this is closed does not begin.

    Raises:
        WorkerDied: for lack of memory, say.
    """
    waiting: set[Future[Result]] = {pool.submit(work, task) for task in tasks}
    try:
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    except BrokenProcessPool:
        raise WorkerDied(f"a worker process died (out of memory?); {kept}, run the same command again") from None
    finally:
        for future in waiting:
            future.cancel()


def watch_parent(parent: int) -> None:
    """End this process when its parent is gone, and at Ctrl-C: a run that was stopped must not go on working.

    What a worker leaves then is what it leaves when it is killed, and is removed by the next run.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PATIENCE_S)
        os._exit(1)

    # An error in a worker that waits for its next task would let its pool wait for the others for ever.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=watch, daemon=True).start()
