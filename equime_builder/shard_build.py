"""One shard: draw, encode, measure, accept or try again, write, commit. A pure function of (plan, shard number)."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from equime_builder import manifest
from equime_builder.generators import make_generator
from equime_builder.generators.protocol import Generator, PreparedPortrait
from equime_builder.manifest import Commit, FolderError
from equime_builder.models import find_model
from equime_builder.plan import PlannedClip, Shard
from equime_builder.portraits import Portrait, PortraitError, PortraitSource, Rejection, Subject
from equime_builder.profiles import Profile, profile_from_dict
from equime_builder.samples import Attempt, ClipRejected, Sample, draw_attempt, make_sample
from equime_builder.shards import shard_writers
from equime_builder.top_up import Cell, cell_of, fill, lacking_before

if TYPE_CHECKING:
    from equime_builder.audit.auditor import Auditor


def build_shard(
    root: Path,
    source: PortraitSource,
    shard: Shard,
    *,
    generator: Generator | None = None,
    face_model: Path | None = None,
    patience_s: float | None = None,
) -> None:
    """Make, write and commit one shard.

    Args:
        generator: the plan's, where it is already loaded; else it is made for this shard.
        face_model: FaceLandmarker's file for the audit, where the user named one.
        patience_s: how long to wait for another process that holds the shard; None: `manifest.LOCK_PATIENCE_S`.

    Raises:
        FolderError: another process is building it, or the disk is full or cannot be written.
    """
    with writing(root, shard, patience_s=patience_s):
        manifest.write_commit(root, shard, _write_shard(root, source, shard, generator, face_model))


@contextmanager
def writing(root: Path, shard: Shard, *, patience_s: float | None = None) -> Iterator[None]:
    """One shard's lock, its line gone until the block writes another.

    Args:
        patience_s: see `build_shard`.

    Raises:
        FolderError: another process writes it, or the disk is full or cannot be written.
    """
    import cv2
    import pyarrow as pa

    # Processes share the cores among them, and sums that threads divide are not the same bits on every machine.
    cv2.setNumThreads(1)
    pa.set_cpu_count(1)
    patience_s = manifest.LOCK_PATIENCE_S if patience_s is None else patience_s
    try:
        with threadpool_limits(1), manifest.lock(root, shard.name, patience_s=patience_s):
            manifest.commit_path(root, shard).unlink(missing_ok=True)
            yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        why = "the disk is full" if full else f"cannot be written: {error.strerror or error}"
        raise FolderError(
            f"{root}: {why} (shard {shard.name}); what is committed is kept, make room and run the same command again"
        ) from error


def _write_shard(
    root: Path, source: PortraitSource, shard: Shard, generator: Generator | None, face_model: Path | None
) -> Commit:
    header = manifest.read_header(root)
    profile = profile_from_dict(header["profile"], where="plan")
    drawn_by = generator or make_generator(header["generator"], header["generator_options"])
    clips, subjects = manifest.read_shard_plan(root, shard)
    lacks = lacking_before(root, shard) if shard.reserve else None
    rejected: list[Rejection] = []
    keys: list[str] = []
    files = shard.files(header["formats"])
    with shard_writers(root, files) as writers, _auditor(profile, header["audit"], face_model) as auditor:
        making = Making(profile, source, drawn_by, subjects, auditor)
        for made in make_clips(making, clips) if lacks is None else make_stand_ins(making, clips, lacks):
            if isinstance(made, Rejection):
                rejected.append(made)
                continue
            keys.append(made.key)
            for writer in writers:
                writer.write(made)
    return Commit(
        shard.name,
        header["plan_sha256"],
        len(keys),
        keys[0] if keys else None,
        keys[-1] if keys else None,
        manifest.describe_files(root, files),
        tuple(rejected),
        _unused(clips, keys, rejected) if shard.reserve else (),
    )


def _unused(clips: Sequence[PlannedClip], keys: Sequence[str], rejected: Sequence[Rejection]) -> tuple[str, ...]:
    tried = {*keys, *(rejection.name for rejection in rejected)}
    return tuple(clip.key for clip in clips if clip.key not in tried)


def _auditor(profile: Profile, wanted: bool, face_model: Path | None) -> AbstractContextManager[Auditor | None]:
    if not wanted:
        return nullcontext()
    from equime_builder.audit.auditor import open_auditor

    return open_auditor(find_model("face-landmarker", face_model), profile.audit)


@dataclass(frozen=True, slots=True)
class Making:
    """What makes the clips of a shard: `subjects` by name, `auditor` None where nothing is audited."""

    profile: Profile
    source: PortraitSource
    generator: Generator
    subjects: Mapping[str, Subject]
    auditor: Auditor | None


@dataclass(frozen=True, slots=True)
class _Actor:
    """A subject's portrait, as it is and as the generator has prepared it."""

    portrait: Portrait
    prepared: PreparedPortrait


@dataclass(frozen=True, slots=True, eq=False)
class _Outcome:
    """What became of one attempt: a sample where one could be made, and why it is not accepted."""

    sample: Sample | None
    reasons: tuple[str, ...] = ()


def make_clips(making: Making, clips: Sequence[PlannedClip]) -> Iterator[Sample | Rejection]:
    """The planned clips in their order, each as a sample or as the reason why there is none.

    Clips are drawn in batches of at least the generator's size, which begin at the shard's first clip and divide no
    clip from its ablations.

    Raises:
        FolderError: a portrait is gone, or is not the one that was planned with.
    """
    actors: dict[str, _Actor] = {}
    for batch in _batches(clips, making.generator.batch):
        names = {clip.subject for clip in batch}
        actors = {name: actors[name] if name in actors else _actor(making, name) for name in sorted(names)}
        yield from _make_batch(making, batch, actors)


def _batches(clips: Sequence[PlannedClip], least: int) -> Iterator[list[PlannedClip]]:
    batch: list[PlannedClip] = []
    for _, sisters in groupby(clips, key=lambda clip: clip.nuisance_seed):
        batch += sisters
        if len(batch) >= least:
            yield batch
            batch = []
    if batch:
        yield batch


def make_stand_ins(making: Making, clips: Sequence[PlannedClip], lacks: Counter[Cell]) -> Iterator[Sample | Rejection]:
    """Clips of the reserve, until nothing is lacking that they can fill; in their order, those not needed left out."""
    cells = {clip.key: cell_of(clip, making.subjects) for clip in clips}
    made: dict[str, Sample | Rejection] = {}

    def attempt(chosen: list[PlannedClip]) -> list[str]:
        made.update(zip((clip.key for clip in chosen), make_clips(making, chosen), strict=True))
        return [clip.key for clip in chosen if isinstance(made[clip.key], Sample)]

    yield from (made[clip.key] for clip in fill(clips, cells, lacks, attempt))


def _actor(making: Making, name: str) -> _Actor:
    try:
        portrait = making.source.portrait(making.subjects[name], making.profile.size)
    except PortraitError as error:
        raise FolderError(f"{name}: {error}") from error
    return _Actor(portrait, making.generator.prepare(portrait))


def _make_batch(making: Making, clips: Sequence[PlannedClip], actors: Mapping[str, _Actor]) -> list[Sample | Rejection]:
    """Draw every clip, and those that are not accepted again, as often as the profile allows.

    A clip and its ablations, which share a nuisance seed, are tried and accepted together: they differ in one cause.
    """
    keep_best = making.profile.acceptance.keep_best
    tried: dict[str, list[_Outcome]] = {clip.key: [] for clip in clips}
    pending = list(clips)
    for number in range(making.profile.acceptance.attempts):
        attempts = [
            draw_attempt(making.profile, clip, making.subjects[clip.subject], actors[clip.subject].prepared, number)
            for clip in pending
        ]
        drawn = making.generator.render([attempt.request for attempt in attempts])
        for clip, attempt, frames in zip(pending, attempts, drawn, strict=True):
            tried[clip.key].append(_judge(making, clip, attempt, frames, actors[clip.subject].portrait))
        again = {clip.nuisance_seed for clip in pending if tried[clip.key][-1].reasons}
        pending = [clip for clip in pending if clip.nuisance_seed in again]
        if not pending:
            break
    sisters: dict[int, list[str]] = {}
    for clip in clips:
        sisters.setdefault(clip.nuisance_seed, []).append(clip.key)
    settled: dict[str, Sample | Rejection] = {}
    for keys in sisters.values():
        settled |= _settled({key: tried[key] for key in keys}, keep_best)
    return [settled[clip.key] for clip in clips]


def _judge(
    making: Making, clip: PlannedClip, attempt: Attempt, frames: NDArray[np.uint8], portrait: Portrait
) -> _Outcome:
    subject = making.subjects[clip.subject]
    try:
        sample = make_sample(making.profile, clip, subject, making.source.name, making.generator, attempt, frames)
    except ClipRejected as error:
        return _Outcome(None, (str(error),))
    if making.auditor is None:
        return _Outcome(sample)
    from equime_builder.audit.claim import Claim

    audit = making.auditor.judge(sample.video, Claim.from_labels(sample.labels), portrait)
    sample.labels.update(audit.labels())
    return _Outcome(sample, audit.reasons)


def _settled(tried: Mapping[str, Sequence[_Outcome]], keep_best: bool) -> dict[str, Sample | Rejection]:
    """The attempt at which all are accepted, else the one with fewest faults where that may stay, else why none is.

    Args:
        tried: outcomes of each attempt at a clip and at its ablations, by key.
    """

    def faults(number: int) -> tuple[int, int]:
        outcomes = [attempts[number] for attempts in tried.values()]
        return sum(outcome.sample is None for outcome in outcomes), sum(len(outcome.reasons) for outcome in outcomes)

    count = len(next(iter(tried.values())))
    best = min(range(count), key=faults)
    missing, reasons = faults(best)
    times = f" (best of {count} attempts)" if count > 1 else ""
    settled: dict[str, Sample | Rejection] = {}
    for key, attempts in tried.items():
        outcome = attempts[best]
        if outcome.sample is not None and not missing and (keep_best or not reasons):
            settled[key] = outcome.sample
        else:
            settled[key] = Rejection(key, ("; ".join(outcome.reasons) or "left out with its counterfactual") + times)
    return settled
