"""Worker processes that decode batches into memory that they share with the loader's process. They need no torch.

Only numbers of batches and what was found of each clip go through pipes; frames are not copied on their way where the
view gives their shape. The workers are forks of a server, see `worker_server`: this process, its threads and its script
are none of theirs.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.process import ORIGINAL_DIR  # type: ignore[attr-defined]
from multiprocessing.reduction import send_handle
from multiprocessing.spawn import get_executable
from pathlib import Path

from equime_loader.order import Share
from equime_loader.shared_memory import FULL, SharedMemory
from equime_loader.storage.process import PerProcess
from equime_loader.video.frames import Clip
from equime_loader.window_reader import SampleFault, WindowReader
from equime_loader.worker_server import GONE, PATIENCE_S, REQUEST_BYTES, Job

# Requests that a pipe bears while nobody reads the answers: each has some dozens of bytes.
REQUESTS_EACH = 32
# The foreman kills what has not ended in its patience, and is then gone itself.
LAST_S = 3 * PATIENCE_S
# Workers share the cores among them; libraries whose threads are made on import would be forked with them.
ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class WorkerDied(RuntimeError):
    """A worker process ended before its work did, or cannot begin it."""


# A fixed text: what differs comes as arguments. Without the collector, whose rounds would copy what forks share.
PROGRAM = """
import gc, json, sys
gc.disable()
sys.path[:] = json.loads(sys.argv[2])
from equime_loader.worker_server import serve
serve(int(sys.argv[1]))
"""


class _Server:
    """The server of this process. It ends with this process, or when its socket does."""

    def __init__(self) -> None:
        self._door, theirs = socket.socketpair()
        # As multiprocessing has it: "" is where the program was begun.
        path = [(ORIGINAL_DIR if entry == "" else entry) for entry in sys.path if isinstance(entry, str)]
        # Without site, whose paths are among these: last this package's own place, which a hook of site may have found.
        path.append(str(Path(__file__).parents[1]))
        arguments = [str(theirs.fileno()), json.dumps([entry for entry in path if entry is not None])]
        with theirs:
            self._process = subprocess.Popen(
                [os.fsdecode(get_executable()), "-S", "-c", PROGRAM, *arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C in a terminal goes to all of this process's group
                env=_environment(),
            )
        self._ended = False
        _of_this_process.add(self)
        atexit.register(self.end)

    def runs(self) -> bool:
        """Whether it can be asked; one that has died is put away."""
        if self._process.poll() is not None:
            self.end()
        return not self._ended

    def ask(self, modules: Iterable[str]) -> Connection:
        """The control of a new foreman, whose work takes some modules."""
        mine, theirs = Pipe()
        names = " ".join(modules).encode().ljust(REQUEST_BYTES)[:REQUEST_BYTES]  # one that is cut comes later
        with theirs, suppress(OSError):  # whoever waits for the foreman is told
            socket.send_fds(self._door, [names], [theirs.fileno()])
        return mine

    def end(self) -> None:
        if self._ended:
            return
        self._ended = True
        atexit.unregister(self.end)
        self._door.close()
        self._process.kill()
        self._process.wait()

    def let_go(self) -> None:
        """In a fork, whose server it is not."""
        self._ended = True
        self._door.close()
        self._process.returncode = 0  # nobody's child here: there is nothing to wait for


def _environment() -> dict[str, str]:
    return {**os.environ, **ALONE}


_server: PerProcess[_Server] = PerProcess()
_of_this_process: weakref.WeakSet[_Server | Crew] = weakref.WeakSet()


def _let_go() -> None:
    """In a fork: sockets of its parent would keep the parent's workers from seeing that it has ended."""
    for each in list(_of_this_process):
        each.let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def begin_server() -> _Server:
    """The server of this process; one begins where there is none, and is not waited for.

    Raises:
        ValueError: the system cannot have one.
    """
    if not hasattr(socket, "send_fds") or getattr(sys, "frozen", False):
        raise ValueError("processes=True needs Linux or macOS, and a Python of its own; leave it out: threads decode")
    return _server.get(_Server, lambda server: server.runs())


class Crew:
    """Workers for an epoch: the k-th batch that is asked for is for worker k modulo their number."""

    def __init__(self, job: Job, memory: SharedMemory | None, control: Connection) -> None:
        self._job, self._memory, self._control = job, memory, control
        self._pipes: list[Connection] = []
        self._asked = 0
        self._begun = self._ended = False
        self.gone = True  # no worker can write to the memory any more
        self.most = REQUESTS_EACH * job.workers  # batches that may be asked for and not answered
        _of_this_process.add(self)
        # A loop that a program leaves open is ended while all that it takes is there.
        atexit.register(self.end)

    def comes(self, patience_s: float = 0.0) -> bool:
        """Whether the workers have come; until then nothing can be asked.

        Raises:
            WorkerDied: they will not.
        """
        if not self._begun and self._control.poll(patience_s):
            self._begin()
        return self._begun

    def _begin(self) -> None:
        pairs = [Pipe() for _ in range(self._job.workers)]
        self._pipes = [mine for mine, _ in pairs]
        try:
            self._control.recv()
            self._begun, self.gone = True, False
            self._control.send(self._job)
            if self._memory is not None:
                send_handle(self._control, self._memory.descriptor, None)
            for _, theirs in pairs:
                send_handle(self._control, theirs.fileno(), None)
        except (EOFError, OSError, RuntimeError):  # the last: macOS waits for an answer, and it was another
            raise WorkerDied(self._cause(0)) from None
        finally:
            for _, theirs in pairs:
                theirs.close()

    def ask(self, number: int, place: int | None) -> Callable[[], list[Clip | SampleFault]]:
        """Have a batch read, its frames to a place in the shared memory.

        What is returned waits for the clips, without frames where these lie in the shared memory. Batches are waited
        for in the order in which they were asked for.

        Raises, when it waits:
            WorkerDied: for lack of memory, say. Whatever reading raised that is no fault of a sample.
        """
        which = self._asked % len(self._pipes)
        self._asked += 1
        with suppress(OSError):  # whoever waits for the batch is told
            self._pipes[which].send((number, place))
        return partial(self._answer, which)

    def _answer(self, which: int) -> list[Clip | SampleFault]:
        try:
            answer = self._pipes[which].recv()
        except (EOFError, OSError):
            raise WorkerDied(self._cause(which)) from None
        if isinstance(answer, BaseException):
            raise answer
        clips: list[Clip | SampleFault] = answer
        return clips

    def _cause(self, which: int) -> str:
        """Why a worker ended, as far as its foreman tells."""
        with suppress(EOFError, OSError):
            while self._control.poll(PATIENCE_S):
                told = self._control.recv()
                if told == GONE:
                    self.gone = True
                    break
                if isinstance(told, str):
                    return f"worker processes cannot begin: {told}"
                if told[0] == which:
                    return _of_exit(told[1])
        return "the process that worker processes are forks of has ended; above stands what it said, if anything"

    def end(self) -> None:
        """Have the workers end; those that have begun are waited for."""
        if self._ended:
            return
        self._ended = True
        atexit.unregister(self.end)
        self._close()
        with self._control, suppress(EOFError, OSError):
            if self._begun:
                self._control.send(None)
                while not self.gone and self._control.poll(LAST_S):
                    self.gone = self._control.recv() == GONE

    def _close(self) -> None:
        for pipe in self._pipes:
            pipe.close()

    def let_go(self) -> None:
        """In a fork, whose workers they are not."""
        self._ended = True
        self._close()
        self._control.close()


_REMEDY = {"SIGKILL": ". Out of memory? Take fewer workers, smaller batches or prefetch=1", "SIGBUS": f". {FULL}"}


def _of_exit(exitcode: int) -> str:
    """Why a worker process ended, as far as its exit code tells."""
    if exitcode < 0:
        name = next((known.name for known in signal.Signals if known == -exitcode), "")
        remedy = _REMEDY.get(name, "")
        return f"a worker process was ended by signal {-exitcode} ({signal.strsignal(-exitcode)}){remedy}"
    return f"a worker process ended with code {exitcode}; above stands what it said, if anything"


@contextmanager
def crew(reader: WindowReader, share: Share, memory: SharedMemory | None, *, workers: int) -> Iterator[Crew]:
    """Worker processes that come when they can and end with the block.

    The memory is spoiled where it is not known that all of them have ended.
    """
    form = None if memory is None else memory.form
    job = Job(reader.bare(), share.positions, share.batch_size, workers, form, _environment())
    working = Crew(job, memory, begin_server().ask(reader.modules()))
    try:
        yield working
    finally:
        try:
            working.end()
        finally:
            if memory is not None and not working.gone:
                memory.spoiled = True
