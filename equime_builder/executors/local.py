"""Processes of this machine."""

from __future__ import annotations

import json
from collections import abc
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any

from equime_builder import manifest
from equime_builder.executors.work import Run, Work
from equime_builder.generators import make_generator
from equime_builder.generators.protocol import Generator
from equime_builder.manifest import FolderError
from equime_builder.plan import Shard
from equime_builder.processes import WorkerDied, finished, worker_pool


@dataclass(frozen=True, slots=True)
class LocalExecutor:
    """This process, or as many as `workers` of them; each loads the generator once.

    Raises:
        ValueError: workers below 1.
    """

    workers: int = 1

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers={self.workers} must be at least 1")

    @contextmanager
    def open(self, work: Work) -> Iterator[Run]:
        """See `Executor.open`."""
        load = cache(work.load)

        def in_turn(shards: Sequence[Shard]) -> abc.Generator[Shard, None, None]:
            for shard in shards:
                work.build(shard, load())
                yield shard

        if self.workers == 1:
            yield in_turn
            return
        with worker_pool(self.workers) as pool:
            yield lambda shards: _side_by_side(pool, work, shards) if len(shards) > 1 else in_turn(shards)


def _side_by_side(pool: ProcessPoolExecutor, work: Work, shards: Sequence[Shard]) -> abc.Generator[Shard, None, None]:
    try:
        yield from finished(pool, partial(_build, work), shards, kept="what is committed is kept")
    except WorkerDied as error:
        raise FolderError(str(error)) from None


def _build(work: Work, shard: Shard) -> Shard:
    header = manifest.read_header(work.root)
    work.build(shard, _loaded(header["generator"], json.dumps(header["generator_options"])))
    return shard


@lru_cache(maxsize=1)
def _loaded(name: str, options: str) -> Generator:
    """A worker's generator: models are loaded once per process, not once per shard."""
    chosen: Mapping[str, Any] = json.loads(options)
    return make_generator(name, chosen)
