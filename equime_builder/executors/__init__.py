"""Executors: shards in, finished shards out, as they finish. They know where shards are built; the bytes are the same.

local  one or more processes of this machine
ray    tasks on a Ray cluster; generators that need a GPU stay loaded in actors
"""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from equime_builder import manifest
from equime_builder.generators import Generator, make_generator, needs_gpu
from equime_builder.plan import Shard
from equime_builder.portraits import PortraitSource
from equime_builder.shard_build import build_shard

Run = Callable[[Sequence[Shard]], abc.Generator[Shard, None, None]]


@dataclass(frozen=True)
class Work:
    """What there is to do. It can be sent to any process that sees the folder, and the portraits, by the same path.

    Attributes:
        face_model: FaceLandmarker's file for the audit, where the user named one.
    """

    root: Path
    source: PortraitSource
    face_model: Path | None = None

    @property
    def needs_gpu(self) -> bool:
        """Whether the plan's generator needs a GPU."""
        return needs_gpu(manifest.read_header(self.root)["generator"])

    def load(self) -> Generator:
        """The plan's generator, loaded."""
        header = manifest.read_header(self.root)
        return make_generator(header["generator"], header["generator_options"])

    def build(self, shard: Shard, generator: Generator | None = None, *, patience_s: float | None = None) -> None:
        """Build and commit one shard; see `build_shard`."""
        build_shard(
            self.root, self.source, shard, generator=generator, face_model=self.face_model, patience_s=patience_s
        )


class Executor(Protocol):
    """Where shards are built."""

    def open(self, work: Work) -> AbstractContextManager[Run]:
        """Make ready for any number of runs.

        A run builds shards in any order and yields each when it is committed. To close it before its end, or to leave
        the context, stops what is still being built.

        Raises:
            FolderError: a process or node was lost more often than is tried again, or a shard cannot be built.
        """
        ...


def make_executor(name: str, *, workers: int | None = None, address: str | None = None) -> Executor:
    """An executor by its name.

    Args:
        workers: shards that are built at once; None: one, or as many as a cluster has room for.
        address: of a Ray cluster.

    Raises:
        ValueError: an unknown name, or an address for an executor that has none.
    """
    from equime_builder.executors.local import LocalExecutor
    from equime_builder.executors.ray import RayExecutor

    if name == "ray":
        return RayExecutor(address, workers)
    if address is not None:
        raise ValueError(f"--ray-address {address} goes with --executor ray")
    if name != "local":
        raise ValueError(f"executor {name!r} must be local or ray")
    return LocalExecutor(1 if workers is None else workers)
