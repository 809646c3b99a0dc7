"""Executors: shards in, finished shards out, as they finish. They know where shards are built; the bytes are the same.

local  one or more processes of this machine
ray    tasks on a Ray cluster; generators that need a GPU stay loaded in actors
"""

from __future__ import annotations

from equime_builder.executors.local import LocalExecutor
from equime_builder.executors.ray import RayExecutor
from equime_builder.executors.work import Executor


def make_executor(name: str, *, workers: int | None = None, address: str | None = None) -> Executor:
    """An executor by its name.

    Args:
        workers: shards that are built at once; None: one, or as many as a cluster has room for.
        address: of a Ray cluster.

    Raises:
        ValueError: an unknown name, or an address for an executor that has none.
    """
    if name == "ray":
        return RayExecutor(address, workers)
    if address is not None:
        raise ValueError(f"--ray-address {address} goes with --executor ray")
    if name != "local":
        raise ValueError(f"executor {name!r} must be local or ray")
    return LocalExecutor(1 if workers is None else workers)
