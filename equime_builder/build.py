"""Building: plan, then shards by one or more processes, then index and card.

A shard is a pure function of (plan, shard number), so it does not matter who builds it, when, or how often.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from equime_builder import manifest
from equime_builder.finish import finish, is_finished
from equime_builder.manifest import FolderError
from equime_builder.plan import Plan, Shard, ask, differences, make_plan
from equime_builder.portraits import PortraitSource
from equime_builder.profiles import Profile
from equime_builder.shard_build import build_shard

PLANNING_PATIENCE_S = 3600.0


@dataclass(frozen=True)
class Request:
    """What a dataset is asked to be."""

    profile: Profile
    source: PortraitSource
    seed: int = 0
    generator: str = "warp"
    generator_options: Mapping[str, Any] = field(default_factory=dict)
    audit: bool = False
    formats: tuple[str, ...] = ("webdataset", "parquet")


def request_of(profile: Profile, source: PortraitSource, header: Mapping[str, Any]) -> Request:
    """The request that led to a plan with this header."""
    return Request(
        profile,
        source,
        header["seed"],
        header["generator"],
        header["generator_options"],
        header["audit"],
        tuple(header["formats"]),
    )


@dataclass(frozen=True, slots=True)
class Progress:
    """After each shard: how many clips and shards are done in this run, and of how many."""

    shard: str
    clips: int
    total_clips: int
    shards: int
    total_shards: int


def asked(request: Request) -> dict[str, Any]:
    """The request as a plan's header states it."""
    return ask(
        request.profile,
        seed=request.seed,
        source=request.source.name,
        options=request.source.options(),
        fingerprint=request.source.fingerprint(),
        generator=request.generator,
        generator_options=request.generator_options,
        audit=request.audit,
        formats=request.formats,
    )


def plan_for(request: Request) -> Plan:
    """Survey the source and lay out the plan.

    Raises:
        ValueError: no portrait can be used.
    """
    return make_plan(asked(request), request.source.survey(request.profile, request.seed))


def prepare(root: Path, request: Request, *, patience_s: float = 0.0) -> Mapping[str, Any]:
    """The folder's plan header: the one that lies there if it is the same plan, else a new one.

    Args:
        patience_s: how long to wait for another process that is planning the same folder.

    Raises:
        FolderError: the folder holds another plan or foreign files, is in use, or cannot be written.
    """
    wanted = asked(request)
    if (root / manifest.HEADER).exists():
        return _same_plan(root, wanted)
    try:
        root.mkdir(parents=True, exist_ok=True)
        strangers = [entry.name for entry in root.iterdir() if entry.name != manifest.FOLDER]
        if strangers:
            raise FolderError(f"{root} is not empty and holds no plan (it has {strangers[0]!r}); name a new folder")
        with manifest.lock(root, "build", patience_s=patience_s):
            if (root / manifest.HEADER).exists():
                return _same_plan(root, wanted)
            try:
                plan = make_plan(wanted, request.source.survey(request.profile, request.seed))
                manifest.write_plan(root, plan)
            except BaseException:
                _remove_empty(root)
                raise
    except OSError as error:
        raise FolderError(f"{root} cannot be written: {error.strerror}") from error
    return plan.header


def _same_plan(root: Path, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    header = manifest.read_header(root)
    if found := differences(wanted, header):
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise FolderError(f"{root} was made by a different plan; {found[0]}{more}. Build into another folder")
    return header


def _remove_empty(root: Path) -> None:
    """Leave nothing behind where no plan came about."""
    shutil.rmtree(root / manifest.LOCKS, ignore_errors=True)
    for folder in (root / manifest.FOLDER, root):
        with suppress(OSError):
            folder.rmdir()


def build(
    root: Path,
    request: Request,
    *,
    workers: int = 1,
    shards: Sequence[int] | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> bool:
    """Build what is missing of a dataset, or (again) the shards with the given numbers.

    Returns:
        Whether the dataset is complete: all shards committed, index and card written.

    Raises:
        FolderError: the folder is in use, holds another plan, or cannot be written.
        ValueError: no portrait can be used.
    """
    # The jobs of an array start together: one of them plans, the others wait for it.
    header = prepare(root, request, patience_s=0.0 if shards is None else PLANNING_PATIENCE_S)
    everything = manifest.shards_in(header, None)
    chosen = manifest.shards_in(header, shards)
    # Parts may be built side by side by the jobs of a batch system; each shard has a lock of its own.
    with manifest.lock(root, "build", patience_s=manifest.LOCK_PATIENCE_S) if shards is None else nullcontext():
        todo = manifest.pending(root, chosen, str(header["plan_sha256"])) if shards is None else chosen
        clips, total = 0, sum(shard.clips for shard in todo)
        built = (
            shard for stage in stages(todo) for shard in build_shards(root, request.source, stage, workers=workers)
        )
        for count, shard in enumerate(built, start=1):
            clips += shard.clips
            progress(Progress(shard.name, clips, total, count, len(todo)))
        if manifest.pending(root, everything, str(header["plan_sha256"])):
            return False
        with manifest.lock(root, "finish", patience_s=PLANNING_PATIENCE_S):
            if not is_finished(root):  # of several jobs that end together, the first has done it
                finish(root)
    shutil.rmtree(root / manifest.LOCKS, ignore_errors=True)
    return True


def stages(shards: Sequence[Shard]) -> list[list[Shard]]:
    """Shards that may be built side by side: first those of the plan, then the reserve's, one after the other."""
    return [[shard for shard in shards if not shard.reserve], *([shard] for shard in shards if shard.reserve)]


def build_shards(root: Path, source: PortraitSource, shards: Sequence[Shard], *, workers: int) -> Iterator[Shard]:
    """Build shards in this process, or by a pool of workers, and yield each when it is committed."""
    if workers == 1 or len(shards) <= 1:
        for shard in shards:
            build_shard(root, source, shard)
            yield shard
        return
    context = get_context("spawn")  # a fork would inherit the threads of FFmpeg, OpenCV and Arrow
    with ProcessPoolExecutor(min(workers, len(shards)), context, _watch_parent, (os.getpid(),)) as pool:
        waiting: dict[Future[None], Shard] = {pool.submit(build_shard, root, source, shard): shard for shard in shards}
        try:
            while waiting:
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    shard = waiting.pop(future)
                    future.result()
                    yield shard
        except BrokenProcessPool:
            raise FolderError(
                "a worker process died (out of memory?); what is committed is kept, run the same command again"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _watch_parent(parent: int) -> None:
    """End this worker when its parent is gone: a killed build must not go on writing."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
