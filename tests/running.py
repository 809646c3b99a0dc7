"""What a process has open and running, for tests that nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select

# Helpers that are started once and kept until the process ends. Forks have the command line of what they are forks of.
HELPERS = ("multiprocessing.forkserver", "multiprocessing.resource_tracker", "equime_loader.worker_server")


def threads() -> Counter[str]:
    """Names of the threads that run."""
    return Counter(thread.name for thread in threading.enumerate())


def descriptors() -> Counter[str]:
    """What is open, without what belongs to multiprocessing's helpers."""
    found: Counter[str] = Counter()
    for entry in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{entry}")
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
        found[target.split(":")[0] if target.startswith(("pipe:", "socket:", "anon_inode:")) else target] += 1
    return found


def children() -> list[str]:
    """Command lines of this process's children, helpers left out, and of the helpers' children."""
    commands = {pid: command for pid, command in _commands().items() if pid != os.getpid()}
    parents = {pid: _parent(pid) for pid in commands}
    helpers = {
        pid for pid, up in parents.items() if up == os.getpid() and any(name in commands[pid] for name in HELPERS)
    }
    mine = {pid for pid, up in parents.items() if up == os.getpid() or up in helpers}
    return [commands[pid] for pid in sorted(mine - helpers)]


def server() -> int | None:
    """The process whose forks are this one's workers."""
    return next(
        (pid for pid, command in _commands().items() if _parent(pid) == os.getpid() and HELPERS[2] in command), None
    )


def forks() -> list[int]:
    """Forks of that server, and forks of these: foremen before their workers."""
    parents = {pid: _parent(pid) for pid in _commands()}
    foremen = sorted(pid for pid, up in parents.items() if up == server())
    return [*foremen, *sorted(pid for pid, up in parents.items() if up in foremen)]


@contextmanager
def at_work(script: Path, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A script at work, in a session that ends with the block. Where the block fails, what the script said is told."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, str(script)], text=True, start_new_session=True, env=env, **pipes) as run:
        try:
            yield run
        except BaseException:
            _kill(run)
            print(*run.communicate())
            raise
        finally:
            _kill(run)


def _kill(leader: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)


def press_ctrl_c(press: Callable[[], object], heard: Callable[[], bool]) -> int:
    """Press until it is heard, as a person does; how often that was.

    Where it comes while Python calls a finalizer, as it does for each thread that ends, Python says that it ignores it.
    """
    for presses in range(1, 6):
        press()
        if comes_true(heard, 20):
            return presses
    raise AssertionError("Ctrl-C does nothing")


def says_something(run: subprocess.Popen[str]) -> bool:
    """Whether there is something to read, or nothing more will come."""
    return bool(select([run.stdout], [], [], 0)[0])


def session(leader: int) -> list[str]:
    """Command lines of the processes of a session."""
    return [command for pid, command in _commands().items() if _stat(pid)[3:4] == [str(leader)]]


def shared_memory() -> set[str]:
    """Names in shared memory that no other process has in use: this one's, and what was left behind."""
    names = os.listdir("/dev/shm")
    others = "".join(_maps(pid) for pid in _commands() if pid != os.getpid())
    return {name for name in names if f"/dev/shm/{name}" not in others and Path("/dev/shm", name).exists()}


def run_without(program: str, *modules: str) -> None:
    """Run a program in a process of its own, and see that it has imported none of these modules."""
    check = f"import sys; found = {set(modules)} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", f"{program}\n{check}"], check=True)


def comes_true(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether a condition holds before long: a process that has ended takes a moment to be put away."""
    until = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < until:
        time.sleep(0.05)
    return holds


def _commands() -> dict[int, str]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if _stat(int(entry.name))[:1] not in ([], ["Z"]):
                    found[int(entry.name)] = command
            except OSError:
                continue
    return found


def _stat(pid: int) -> list[str]:
    """State, parent, group, session, … of a process; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _maps(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return ""


def _parent(pid: int) -> int:
    return int((_stat(pid)[1:2] or ["0"])[0])
