"""A process that dies at a chosen write to disk. This module imports nothing else, so that many of them start fast."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any


def killed_at(write: int, call: Callable[..., Any], *arguments: Any) -> bool:
    """Whether a process that makes this call was killed at its `write`-th rename or fsync, counted from 1."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([call.__module__])
    child = context.Process(target=_die_at, args=(write, call, *arguments))
    child.start()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode != 0


def _die_at(write: int, call: Callable[..., Any], *arguments: Any) -> None:
    made = itertools.count(1)

    def counted(system: Callable[..., Any]) -> Callable[..., Any]:
        def run(*told: Any) -> Any:
            if next(made) == write:
                os.kill(os.getpid(), signal.SIGKILL)
            return system(*told)

        return run

    os.replace, os.fsync = counted(os.replace), counted(os.fsync)
    call(*arguments)
