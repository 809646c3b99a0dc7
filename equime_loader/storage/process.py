"""Things that belong to one process: connections, pools, locks. They are not pickled and not shared by a fork."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import asyncio

_Value = TypeVar("_Value")


class _Holder(Generic[_Value]):
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value: _Value | None = None


class PerProcess(Generic[_Value]):
    """A value that each process makes for itself when it first needs it.

    What a forked child finds of its parent is neither used nor closed: the child's copy of a connection is the
    parent's connection, and a lock may have been held at the moment of the fork.
    """

    def __init__(self) -> None:
        self._holders: dict[int, _Holder[_Value]] = {}

    def __reduce__(self) -> tuple[type[PerProcess[_Value]], tuple[()]]:
        return PerProcess, ()

    def get(self, make: Callable[[], _Value], usable: Callable[[_Value], bool] = lambda value: True) -> _Value:
        """This process's value, made now if there is none that is usable."""
        holder = self._holders.setdefault(os.getpid(), _Holder())
        with holder.lock:
            if holder.value is None or not usable(holder.value):
                holder.value = make()
            return holder.value

    def drop(self) -> _Value | None:
        """Take this process's value away, None where there is none."""
        if (holder := self._holders.get(os.getpid())) is None:
            return None
        with holder.lock:
            value, holder.value = holder.value, None
            return value


def fsspec_loop() -> asyncio.AbstractEventLoop:
    """The event loop of fsspec, which runs in this process.

    Versions of fsspec before 2025.9 do not notice a fork: a child would wait for a thread that only its parent has.
    """
    from fsspec import asyn

    if asyn.iothread[0] is not None and not asyn.iothread[0].is_alive():
        asyn.reset_lock()
    return asyn.get_loop()  # type: ignore[no-any-return]
