"""Scoring many files: in order, by one or more processes, each file once."""

from __future__ import annotations

import itertools
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from equime_builder.curation.scores import Scores, landmarks_size, score
from equime_builder.landmarks import Landmarker, open_landmarker
from equime_builder.pictures import decode_picture, locate, read_bytes, sha256
from equime_builder.portraits import PortraitError
from equime_builder.processes import watch_parent

CHUNK = 32  # files that a process scores at a time: it opens the landmark model once for them
AHEAD = 3  # chunks in work or waiting for each process


@dataclass(frozen=True, slots=True)
class Scored:
    """A file and its scores; `sha256` is None where it cannot be read."""

    reference: str
    sha256: str | None
    scores: Scores


@dataclass(frozen=True, slots=True)
class Job:
    """What every process needs to know: the folder, the landmark model, the size of the clips."""

    root: Path
    model: Path
    size: int


def score_files(
    job: Job, references: Iterable[str], *, known: Mapping[str, Scores] | None = None, workers: int = 1
) -> Iterator[Scored]:
    """Score files in their order; the result does not depend on the number of processes.

    Args:
        known: scores of earlier runs by SHA-256; such a file is read, and not measured again.
        workers: processes. With more than one, some files after the last that is asked for are scored, too.

    Raises:
        PortraitError: mediapipe is not installed, or a process died.
    """
    known = known or {}
    if workers > 1:
        yield from _by_processes(job, references, known, workers)
        return
    with ExitStack() as stack:
        landmarker: Landmarker | None = None
        for reference in references:
            found = _from_known(job, reference, known)
            if found is None:
                landmarker = landmarker or stack.enter_context(open_landmarker(job.model))
                found = _score_file(job, reference, landmarker)
            yield found


def _from_known(job: Job, reference: str, known: Mapping[str, Scores]) -> Scored | None:
    """A file whose scores are known, at the right size of the clips."""
    if not known:
        return None
    try:
        digest = sha256(read_bytes(locate(job.root, reference)))
    except PortraitError as error:
        return Scored(reference, None, Scores(problem=str(error)))
    scores = known.get(digest)
    fits = scores is not None and scores.landmarks_size in (None, landmarks_size(job.size))
    return Scored(reference, digest, scores) if scores is not None and fits else None


def _score_file(job: Job, reference: str, landmarker: Landmarker) -> Scored:
    digest = None
    try:
        data = read_bytes(locate(job.root, reference))
        digest = sha256(data)
        return Scored(reference, digest, score(landmarker, decode_picture(data), job.size))
    except PortraitError as error:
        return Scored(reference, digest, Scores(problem=str(error)))


def score_chunk(job: Job, references: Sequence[str]) -> list[Scored]:
    """Score some files in this process."""
    with open_landmarker(job.model) as landmarker:
        return [_score_file(job, reference, landmarker) for reference in references]


def _by_processes(job: Job, references: Iterable[str], known: Mapping[str, Scores], workers: int) -> Iterator[Scored]:
    context = get_context("spawn")  # a fork would inherit the threads of OpenCV and TensorFlow Lite
    iterator = iter(references)
    chunks = iter(lambda: list(itertools.islice(iterator, CHUNK)), [])
    waiting: deque[tuple[list[str], dict[str, Scored], Future[list[Scored]] | None]] = deque()
    with ProcessPoolExecutor(workers, context, _quiet_worker, (os.getpid(),)) as pool:
        try:
            while True:
                for chunk in itertools.islice(chunks, AHEAD * workers - len(waiting)):
                    found = {each: done for each in chunk if (done := _from_known(job, each, known)) is not None}
                    rest = [each for each in chunk if each not in found]
                    waiting.append((chunk, found, pool.submit(score_chunk, job, rest) if rest else None))
                if not waiting:
                    return
                chunk, found, future = waiting.popleft()
                if future is not None:
                    found |= {scored.reference: scored for scored in future.result()}
                yield from (found[each] for each in chunk)
        except BrokenProcessPool:
            raise PortraitError("a process that scores portraits died (out of memory?); run the same again") from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _quiet_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent, take one core, and end when the parent is gone."""
    import cv2

    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watch_parent(parent)
