"""Measuring many clips by several processes: what is measured is on disk at once, so that a killed run goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from equime_builder.manifest import FolderError
from equime_builder.processes import as_finished
from equime_builder.quality.clips import READ_ERRORS, Clip, Group
from equime_builder.quality.measure import NO_PORTRAIT, Quality, measure, measure_published
from equime_builder.quality.scorers import Scorers, Weights, open_scorers
from equime_builder.quality.tables import Outcome
from equime_builder.records import Record

# Pixels that are measured at once: what stays in a processor's caches, and what fills a GPU.
CHUNK_PIXELS = {"cpu": 2**20, "cuda": 2**22}
FORMAT = 2


@dataclass(frozen=True, slots=True)
class Job:
    """How clips are measured."""

    weights: Weights
    device: str = "cpu"
    published: bool = False

    def settings(self) -> dict[str, Any]:
        """What a measurement depends on, beside the clip."""
        return {"format": FORMAT, "published": self.published, "piq": version("piq"), **self.weights.sha256()}


def run(
    groups: Sequence[Group],
    job: Job,
    record: Path,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Outcome]:
    """Measure every clip that the record has not, and return the outcomes of all, in their order.

    A clip that cannot be read costs itself: its outcome is the error. A portrait that cannot be read costs its clips
    what is compared with it. Both are tried again by the next run.

    Args:
        record: file of what is measured; one that was measured otherwise is begun anew.
        progress: called with how many clips are done, and of how many.

    Raises:
        FolderError: the record is something else. ModelMissing: weights are damaged. WorkerDied.
    """
    asked = {clip.name: _identity(clip, group) for group in groups for clip in group.clips}
    kept = record_of(record, job)
    known = kept.resume(asked)
    todo = [replace(group, clips=tuple(clip for clip in group.clips if clip.name not in known)) for group in groups]
    progress(len(known), len(asked))
    measuring = partial(measure_group, job=job)
    groups_left = [group for group in todo if group.clips]
    with kept.appending() as keep:
        for outcomes in as_finished(measuring, groups_left, workers=workers, kept="what is measured is kept"):
            measured = {outcome.name: outcome for outcome in outcomes}
            known.update(measured)
            keep(measured, asked)
            progress(len(known), len(asked))
    return [known[name] for name in asked]


def _identity(clip: Clip, group: Group) -> str:
    return clip.identity + (f" {group.portrait.name}" if group.portrait else "")


# --- measuring


def measure_group(group: Group, job: Job) -> list[Outcome]:
    """Measure the clips of a group; the portrait is drawn or read once, and noted where it cannot be.

    Raises:
        ModelMissing: weights are damaged.
    """
    import cv2
    import torch

    # Processes share the cores among them; threads of several that divide small frames would wait for each other.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    scorers = open_scorers(job.weights, job.device)
    if job.published:
        return [_outcome(clip, scorers, measure_published) for clip in group.clips]
    portrait, note = None, ""
    try:
        portrait = group.portrait.picture() if group.portrait else None
    except (ValueError, OSError) as error:
        note = f"{NO_PORTRAIT}{error}"
    return [_outcome(clip, scorers, partial(measure, portrait=portrait), note) for clip in group.clips]


def _outcome(clip: Clip, scorers: Scorers, how: Callable[..., Quality], note: str = "") -> Outcome:
    try:
        quality = how(clip.chunks(CHUNK_PIXELS[scorers.device]), scorers)
        facts = clip.facts()
    except READ_ERRORS as error:
        return Outcome(clip.name, None, error=" ".join(str(error).split()) or type(error).__name__)
    if note:
        quality = replace(quality, notes=(*quality.notes, note))
    return Outcome(clip.name, quality, facts.size_bytes, facts.duration_s)


# --- the record


def record_of(path: Path, job: Job) -> Record[Outcome]:
    """The record of a job, beside the folder.

    Raises:
        FolderError: the file is no record, or one of figures that this job could not measure again; nothing of it is
            overwritten.
    """
    settings = job.settings()
    record = Record(path, settings, "measurements", "how it was measured", "piq", asdict, _outcome_of)
    if lost := [name for name in ("brisque", "clip") if record.begun_with().get(name) and not settings[name]]:
        raise FolderError(
            f"{path}: holds figures of {lost[0]}, whose weights are not here now, and would lose them; give the "
            "weights (`equime models`), or name another record with --out"
        )
    return record


def _outcome_of(row: dict[str, Any]) -> Outcome | None:
    """None for a clip or a portrait that could not be read: it is tried again."""
    if not row["quality"] or any(note.startswith(NO_PORTRAIT) for note in row["quality"]["notes"]):
        return None
    quality = Quality(**{**row["quality"], "notes": tuple(row["quality"]["notes"])})
    return Outcome(row["name"], quality, row["size_bytes"], row["duration_s"], row["error"])
