"""What every executor is given, and what it keeps to."""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from equime_builder import manifest
from equime_builder.generators import make_generator, needs_gpu
from equime_builder.generators.protocol import Generator
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
