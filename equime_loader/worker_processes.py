"""Worker processes that decode batches into memory that they share with the loader's process. They need no torch.

Only numbers of batches and what was found of each clip go through pipes; frames are not copied on their way where the
view gives their shape. The workers are forks of a server, see `worker_server`: this process, its threads and its script
are none of theirs.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from multiprocessing.spawn import get_executable

from equime_loader.order import Share
from equime_loader.shared_memory import SharedMemory
from equime_loader.storage.process import PerProcess
from equime_loader.video.frames import Clip
from equime_loader.window_reader import SampleFault, WindowReader
from equime_loader.worker_server import PATIENCE_S, REQUEST_BYTES, Job

# Requests that a pipe bears while nobody reads the answers: each has some dozens of bytes.
REQUESTS_EACH = 32
# The foreman kills what has not ended in its patience, and is then gone itself.
LAST_S = 3 * PATIENCE_S
# Workers share the cores among them; libraries whose threads are made on import would be forked with them.
ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class WorkerDied(RuntimeError):
    """A worker process ended before its work did, or cannot begin it."""


class _Server:
    """The server of this process. It ends with this process, or when its socket does."""

    def __init__(self) -> None:
        self._made_in = os.getpid()
        # Without the collector, whose rounds would copy the memory that forks share.
        begin = f"import gc, sys; gc.disable(); sys.path[:] = {sys.path!r}"
        program = f"{begin}; from equime_loader.worker_server import serve; serve({{}})"
        self._door, theirs = socket.socketpair()
        with theirs:
            # Ctrl-C in a terminal goes to all of this process's group.
            self._process = subprocess.Popen(
                [os.fsdecode(get_executable()), "-c", program.format(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                process_group=0,
                env={**os.environ, **ALONE},
            )
        atexit.register(self.end)

    def runs(self) -> bool:
        return self._process.poll() is None

    def ask(self, modules: Iterable[str]) -> Connection:
        """The control of a new foreman, whose work takes some modules."""
        mine, theirs = Pipe()
        with theirs, suppress(OSError):  # whoever waits for the foreman is told
            socket.send_fds(self._door, [" ".join(modules).encode().ljust(REQUEST_BYTES)], [theirs.fileno()])
        return mine

    def end(self) -> None:
        if os.getpid() != self._made_in:  # a fork's copy
            return
        atexit.unregister(self.end)
        self._door.close()
        self._process.kill()
        self._process.wait()


_server: PerProcess[_Server] = PerProcess()


def begin_server() -> None:
    """Have the server begin, if it has not, and do not wait for it."""
    if not hasattr(socket, "send_fds"):
        raise ValueError("processes=True needs Linux or macOS; leave it out: threads decode then")
    if not _server.get(_Server).runs() and (gone := _server.drop()):
        gone.end()
    _server.get(_Server)


class Crew:
    """Workers for an epoch: the k-th batch that is asked for is for worker k modulo their number."""

    def __init__(self, job: Job, memory: SharedMemory | None, control: Connection) -> None:
        self._job, self._memory, self._control = job, memory, control
        self._pipes: list[Connection] = []
        self._asked = 0
        self._made_in, self._ended = os.getpid(), False
        # A loop that a program leaves open is ended while all that it takes is there.
        atexit.register(self.end)
        self.most = REQUESTS_EACH * job.workers  # batches that may be asked for and not answered

    def comes(self, patience_s: float = 0.0) -> bool:
        """Whether the workers have come; until then nothing can be asked.

        Raises:
            WorkerDied: they will not.
        """
        if not self._pipes and self._control.poll(patience_s):
            self._begin()
        return bool(self._pipes)

    def _begin(self) -> None:
        try:
            self._control.recv()
            self._control.send(self._job)
            if self._memory is not None:
                send_handle(self._control, self._memory.descriptor, None)
            for _ in range(self._job.workers):
                mine, theirs = Pipe()
                self._pipes.append(mine)
                with theirs:
                    send_handle(self._control, theirs.fileno(), None)
        except (EOFError, OSError):
            raise WorkerDied(self._cause(0)) from None

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
                if isinstance(told, str):
                    return f"worker processes cannot begin: {told}"
                if told[0] == which:
                    return _cause(told[1])
        return "the process that worker processes are forks of has ended; above stands what it said, if anything"

    def end(self) -> None:
        """Have the workers end; those that have begun are waited for."""
        if self._ended or os.getpid() != self._made_in:
            return
        self._ended = True
        atexit.unregister(self.end)
        for pipe in self._pipes:
            pipe.close()
        with self._control, suppress(EOFError, OSError):
            if self._pipes:
                self._control.send(None)
                while self._control.poll(LAST_S):
                    self._control.recv()


_LESS = "Take fewer workers, smaller batches or prefetch=1"
_REMEDY = {"SIGKILL": f": out of memory? {_LESS}", "SIGBUS": f": is /dev/shm full? Give it more. {_LESS}"}


def _cause(exitcode: int) -> str:
    """Why a worker process ended, as far as its exit code tells."""
    if exitcode < 0:
        name = next((known.name for known in signal.Signals if known == -exitcode), "")
        remedy = _REMEDY.get(name, "")
        return f"a worker process was ended by signal {-exitcode} ({signal.strsignal(-exitcode)}){remedy}"
    return f"a worker process ended with code {exitcode}; above stands what it said, if anything"


@contextmanager
def crew(reader: WindowReader, share: Share, memory: SharedMemory | None, *, workers: int) -> Iterator[Crew]:
    """Worker processes that come when they can and end with the block."""
    form = None if memory is None else memory.form
    job = Job(reader.bare(), share.positions, share.batch_size, workers, form)
    begin_server()
    working = Crew(job, memory, _server.get(_Server).ask(reader.modules()))
    try:
        yield working
    finally:
        working.end()
