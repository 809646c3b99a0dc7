"""One shard of an import: cut, encode, label, write, commit.

It is a pure function of (plan, shard number, the files of the user's copy).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np

from equime_builder import manifest
from equime_builder.encode import encode_stream
from equime_builder.importing.cuts import Cut
from equime_builder.importing.labels import Footage, labels_of
from equime_builder.importing.origin import PICTURES
from equime_builder.importing.pictures import Recording, carried, read_video
from equime_builder.importing.plan import PlannedClip
from equime_builder.manifest import Commit
from equime_builder.plan import Shard
from equime_builder.portraits import Rejection
from equime_builder.profiles import Video
from equime_builder.samples import ClipRejected, Sample, keyframes
from equime_builder.shard_build import writing
from equime_builder.shards import shard_writers
from equime_builder.typed import construct
from equime_loader.corpora.events import CorpusEvent, Signal, VideoFile
from equime_loader.corpora.signals import signal_bytes
from equime_loader.files import write_atomic
from equime_loader.schema import AUS, check_labels
from equime_loader.windows import MAX_FRAMES

MAX_SIDE, MAX_FPS = 16_384, 1_000  # of what an index may say


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A shard to write, and its clips in order. It can be sent to any process that sees the folder and the corpus."""

    root: Path
    header: Mapping[str, Any]
    shard: Shard
    clips: Sequence[PlannedClip]


def import_shard(task: Task) -> Shard:
    """Make, write and commit one shard.

    Raises:
        FolderError: another process is writing it, or the disk is full or cannot be written.
    """
    with writing(task.root, task.shard):
        for clip in task.clips:
            (task.root / manifest.signals_path(clip.key)).unlink(missing_ok=True)
        manifest.write_commit(task.root, task.shard, _write_shard(task))
    return task.shard


def _write_shard(task: Task) -> Commit:
    video: Video = construct(Video, task.header["video"])
    license = str(task.header["about"]["terms"])
    rejected: list[Rejection] = []
    keys: list[str] = []
    files = task.shard.files(task.header["formats"])
    signals: dict[str, str] = {}
    recording: Recording | None = None
    with shard_writers(task.root, files) as writers:
        for clip in task.clips:
            # Events of one recording follow each other.
            if recording is None or recording.frames != clip.event.frames:
                recording = Recording(clip.event.frames)
            try:
                sample = make_sample(clip, recording, video, license=license)
            except ClipRejected as error:
                rejected.append(Rejection(clip.key, str(error)))
                continue
            keys.append(clip.key)
            for writer in writers:
                writer.write(sample)
            if recording.bits not in (None, 16):
                reason = f"its pictures of 16 bits use {recording.bits}: the upper 8 of these are taken"
                rejected.append(Rejection(f"{clip.key}/{PICTURES}", reason))
            found, faults = _signals(clip.event, _span(sample, clip))
            rejected += [Rejection(f"{clip.key}/{name}", reason) for name, reason in faults.items()]
            if found:
                path = manifest.signals_path(clip.key)
                (task.root / path).parent.mkdir(exist_ok=True)
                write_atomic(task.root / path, signal_bytes(found))
                signals[path] = path
    return Commit(
        task.shard.name,
        str(task.header["plan_sha256"]),
        len(keys),
        keys[0] if keys else None,
        keys[-1] if keys else None,
        manifest.describe_files(task.root, files | signals),
        tuple(rejected),
    )


def make_sample(clip: PlannedClip, recording: Recording, video: Video, *, license: str) -> Sample:
    """The finished sample of a planned clip.

    Args:
        recording: the one that the event is of.

    Raises:
        ClipRejected: its frames cannot be read, or do not hold the event.
    """
    footage = _footage(clip, recording, video)
    event = clip.event
    if not footage.first <= event.onset <= event.offset < footage.first + footage.frames <= footage.first + MAX_FRAMES:
        last = footage.first + footage.frames - 1
        raise ClipRejected(f"frames {event.onset}..{event.offset} are annotated, the video has {footage.first}..{last}")
    if max(footage.width, footage.height) > MAX_SIDE or not 0 < footage.fps <= MAX_FPS:
        raise ClipRejected(f"{footage.width}x{footage.height} pixels at {footage.fps:g} fps is more than readers take")
    labels = labels_of(clip, footage, license=license)
    check_labels(labels)
    return Sample(labels, footage.data, np.full((footage.frames, len(AUS)), np.nan, np.float16))


def _span(sample: Sample, clip: PlannedClip) -> tuple[int, int]:
    """Frame numbers of a finished clip in its recording."""
    first = clip.event.onset - int(sample.labels["onset_frame"])
    return first, first + int(sample.labels["frames"]) - 1


def _footage(clip: PlannedClip, recording: Recording, video: Video) -> Footage:
    event, cut = clip.event, clip.cut
    if isinstance(event.frames, VideoFile) and clip.whole and (data := read_video(event.frames.path)) is not None:
        found = carried(data)
        if found is not None:
            return Footage(data, event.frames.first, found.frames, found.width, found.height, found.fps)
    return _encoded(recording.cut(cut), cut, event, video)


def _encoded(frames: Iterator[Any], cut: Cut, event: CorpusEvent, video: Video) -> Footage:
    start = next(frames, None)
    if start is None:
        raise ClipRejected(f"the recording ends before frame {cut.first}")
    count = 0

    def counted() -> Iterator[Any]:
        nonlocal count
        for count, planes in enumerate(chain([start], frames), start=1):
            if planes.shape != start.shape:
                raise ClipRejected(f"frame {cut.first + count - 1} has another size than those before it")
            yield planes

    begins = keyframes(event.onset - cut.first, event.apex - cut.first)
    try:
        made = encode_stream(counted(), start.shape, fps=event.fps, keyframes=begins, video=video)
    except av.FFmpegError as error:
        raise ClipRejected(f"its frames of {start.shape[1]}x{start.shape[0] * 2 // 3} pixels do not encode") from error
    rows, width = start.shape
    return Footage(made.data, cut.first, count, width, rows * 2 // 3, event.fps)


def _signals(event: CorpusEvent, span: tuple[int, int]) -> tuple[list[Signal], dict[str, str]]:
    """The signals beside a clip, and by name why one is lacking."""
    found: list[Signal] = []
    faults: dict[str, str] = {}
    for source in event.signals:
        try:
            found.append(source.read(*span))
        except OSError as error:
            faults[source.name] = f"the recording cannot be read ({error.strerror})"
        except ValueError as error:
            faults[source.name] = str(error)
    return found, faults
