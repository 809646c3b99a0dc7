"""Building: plan, then shards by one or more processes, then index and card.

A shard is a pure function of (plan, shard number), so it does not matter who builds it, when, or how often.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from equime_builder import manifest
from equime_builder.dataset_folder import resume_replacing
from equime_builder.executors.local import LocalExecutor
from equime_builder.executors.work import Executor, Work
from equime_builder.finish import finish, is_finished
from equime_builder.landmarks import find_landmarker
from equime_builder.manifest import FolderError
from equime_builder.plan import Plan, Shard, ask, differences, make_plan
from equime_builder.portraits import PortraitSource
from equime_builder.profiles import Profile

PLANNING_PATIENCE_S = 3600.0
TOLD = 3  # differences between plans that a message names


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
class Part:
    """One of `count` parts of a plan's shards, whose sizes differ by one at most. The first part has number 1.

    No part holds shards of the reserve: those make up for what the others refused, and are built when all are there.

    Raises:
        ValueError: a number outside 1..count.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ValueError(f"part {self.number} of {self.count} must lie within 1..{self.count}")

    def of(self, shards: Sequence[Shard]) -> list[int]:
        """Numbers of the shards of this part, of all shards of a plan."""
        planned = [shard.number for shard in shards if not shard.reserve]
        begin, end = (len(planned) * edge // self.count for edge in (self.number - 1, self.number))
        return planned[begin:end]


@dataclass(frozen=True, slots=True)
class Progress:
    """After each shard: how many clips and shards are done in this run, and of how many clips."""

    shard: str
    clips: int
    total_clips: int
    shards: int


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

    def write() -> Mapping[str, Any]:
        plan = make_plan(wanted, request.source.survey(request.profile, request.seed))
        manifest.write_plan(root, plan)
        return plan.header

    return begin(root, write, lambda: _same_plan(root, wanted), patience_s=patience_s)


def begin(
    root: Path,
    write: Callable[[], Mapping[str, Any]],
    resume: Callable[[], Mapping[str, Any]],
    *,
    patience_s: float = 0.0,
) -> Mapping[str, Any]:
    """The header of the folder's plan: of the one that lies there, by `resume`, else of a new one, by `write`.

    Raises:
        FolderError: the folder holds foreign files, is in use, or cannot be written; and what the two raise.
    """
    resume_replacing(root)
    if (root / manifest.HEADER).exists():
        return resume()
    if root.exists() and not root.is_dir():
        raise FolderError(f"{root}: a file, not a folder")
    try:
        root.mkdir(parents=True, exist_ok=True)
        strangers = [entry.name for entry in root.iterdir() if entry.name != manifest.FOLDER]
        if strangers:
            raise FolderError(f"{root} is not empty and holds no plan (it has {strangers[0]!r}); name a new folder")
        try:
            with manifest.lock(root, "build", patience_s=patience_s):
                return resume() if (root / manifest.HEADER).exists() else write()
        except BaseException:
            _remove_empty(root)
            raise
    except OSError as error:
        raise FolderError(f"{root} cannot be written: {error.strerror}") from error


def _same_plan(root: Path, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    header = manifest.read_header(root)
    if found := differences(wanted, header):
        told = "; ".join([*found[:TOLD], *([f"and {len(found) - TOLD} more"] if len(found) > TOLD else [])])
        raise FolderError(
            f"{root} was made by a different plan: {told}. Give the options that it was begun with, or build into "
            "another folder"
        )
    return header


def _remove_empty(root: Path) -> None:
    """Leave nothing behind where no plan came about."""
    for folder in (root / manifest.FOLDER, root):
        with suppress(OSError):
            folder.rmdir()


def build(
    root: Path,
    request: Request,
    *,
    workers: int = 1,
    executor: Executor | None = None,
    shards: Sequence[int] | Part | None = None,
    face_model: Path | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> bool:
    """Build what is missing of a dataset, or some of its shards.

    Args:
        workers: processes of this machine.
        executor: where else shards are built; `workers` then says nothing.
        shards: numbers of those to build, also again; or what is missing of one of several equal parts of them all. An
            empty sequence only plans.
        face_model: FaceLandmarker's file for the audit; None: where `equime models` looks.

    Returns:
        Whether the dataset is complete: all shards committed, index and card written.

    Raises:
        FolderError: the folder is in use, holds another plan, or cannot be written.
        ValueError: no portrait can be used; the audit was asked for, and mediapipe or its model file are not here.
    """
    if request.audit:
        find_landmarker(face_model)  # before anything is planned
    # The jobs of an array start together: one of them plans, the others wait for it.
    header = prepare(root, request, patience_s=0.0 if shards is None else PLANNING_PATIENCE_S)
    everything = manifest.shards_in(header, None)
    chosen = manifest.shards_in(header, shards.of(everything) if isinstance(shards, Part) else shards)
    # Parts may be built side by side by the jobs of a batch system; each shard has a lock of its own.
    whole = manifest.locked_folder(root, "build", patience_s=manifest.LOCK_PATIENCE_S)
    with whole if shards is None else nullcontext():
        again = shards is not None and not isinstance(shards, Part)
        todo = chosen if again else manifest.pending(root, chosen, str(header["plan_sha256"]))
        work = Work(root, request.source, face_model)
        clips, total = 0, sum(shard.clips for shard in todo)
        with closing(build_shards(work, todo, executor or LocalExecutor(workers))) as built:
            for count, shard in enumerate(built, start=1):
                clips += shard.clips
                progress(Progress(shard.name, clips, total, count))
        return complete(root, everything, str(header["plan_sha256"]))


def complete(root: Path, shards: Sequence[Shard], plan_sha256: str) -> bool:
    """Write what is derived from all shards, where they are all there; whether they are."""
    if manifest.pending(root, shards, plan_sha256):
        return False
    with manifest.locked_folder(root, "finish", patience_s=PLANNING_PATIENCE_S):
        if not is_finished(root):  # of several jobs that end together, the first has done it
            finish(root)
    return True


def stages(shards: Sequence[Shard]) -> list[list[Shard]]:
    """Shards that may be built side by side: first those of the plan, then the reserve's, one after the other."""
    return [[shard for shard in shards if not shard.reserve], *([shard] for shard in shards if shard.reserve)]


def build_shards(work: Work, shards: Sequence[Shard], executor: Executor) -> Generator[Shard, None, None]:
    """Build shards where `executor` builds them, and yield each when it is committed."""
    if shards:
        with executor.open(work) as run:
            for stage in stages(shards):
                with closing(run(stage)) as built:
                    yield from built
