"""Measuring many clips by several processes: what is measured is on disk at once, so that a killed run goes on.

The record is a file of JSON lines: first how it was measured, then a line for each clip. It lies beside the folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from equime_builder.files import write_atomic
from equime_builder.manifest import FolderError
from equime_builder.portraits import PortraitError
from equime_builder.processes import as_finished
from equime_builder.quality.clips import READ_ERRORS, Clip, Group
from equime_builder.quality.measure import Quality, measure, measure_published
from equime_builder.quality.scorers import Scorers, Weights, open_scorers
from equime_builder.quality.tables import Outcome

# Pixels that are measured at once: what stays in a processor's caches, and what fills a GPU.
CHUNK_PIXELS = {"cpu": 2**20, "cuda": 2**22}
FORMAT = 1


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

    A clip that cannot be read costs itself: its outcome is the error, and it is tried again by the next run.

    Args:
        record: file of what is measured; one that was measured otherwise is begun anew.
        progress: called with how many clips are done, and of how many.

    Raises:
        FolderError: the record is something else. ModelMissing: weights are damaged. WorkerDied.
    """
    asked = {clip.name: _identity(clip, group) for group in groups for clip in group.clips}
    known = {
        name: outcome for name, (identity, outcome) in read_record(record, job).items() if asked.get(name) == identity
    }
    kept = [_line(asked[name], outcome) for name, outcome in known.items()]
    write_atomic(record, "".join([_head(job), *kept]).encode())
    todo = [replace(group, clips=tuple(clip for clip in group.clips if clip.name not in known)) for group in groups]
    progress(len(known), len(asked))
    with open(record, "a", encoding="utf-8") as file:
        groups_left = [group for group in todo if group.clips]
        measuring = partial(measure_group, job=job)
        for outcomes in as_finished(measuring, groups_left, workers=workers, kept="what is measured is kept"):
            for outcome in outcomes:
                known[outcome.name] = outcome
                file.write(_line(asked[outcome.name], outcome))
            file.flush()
            progress(len(known), len(asked))
    return [known[name] for name in asked]


def _identity(clip: Clip, group: Group) -> str:
    return clip.identity + (f" {group.portrait.name}" if group.portrait else "")


# --- measuring


def measure_group(group: Group, job: Job) -> list[Outcome]:
    """Measure the clips of a group; the portrait is drawn or read once.

    Raises:
        FolderError: the portrait of the group cannot be had. ModelMissing: weights are damaged.
    """
    import cv2
    import torch

    # Processes share the cores among them; threads of several that divide small frames would wait for each other.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    scorers = open_scorers(job.weights, job.device)
    if job.published:
        return [_outcome(clip, scorers, measure_published) for clip in group.clips]
    try:
        portrait = group.portrait.picture() if group.portrait else None
    except (PortraitError, ValueError, OSError) as error:
        raise FolderError(f"portrait of {group.clips[0].name}: {error}") from error
    return [_outcome(clip, scorers, partial(measure, portrait=portrait)) for clip in group.clips]


def _outcome(clip: Clip, scorers: Scorers, how: Callable[..., Quality]) -> Outcome:
    try:
        quality = how(clip.chunks(CHUNK_PIXELS[scorers.device]), scorers)
        facts = clip.facts()
    except READ_ERRORS as error:
        return Outcome(clip.name, None, error=" ".join(str(error).split()) or type(error).__name__)
    return Outcome(clip.name, quality, facts.size_bytes, facts.duration_s)


# --- the record


def _head(job: Job) -> str:
    return json.dumps(job.settings()) + "\n"


def _line(identity: str, outcome: Outcome) -> str:
    return json.dumps({"identity": identity, **asdict(outcome)}, ensure_ascii=False) + "\n"


def read_record(path: Path, job: Job) -> dict[str, tuple[str, Outcome]]:
    """Identity and outcome by name of the clips that a record has, without errors and half-written lines.

    Empty where there is no record, or one that was measured otherwise.

    Raises:
        FolderError: the file is no record, or one of figures that this job could not measure again; nothing of it is
            overwritten.
    """
    if not path.exists():
        return {}
    found: dict[str, tuple[str, Outcome]] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        head = json.loads(lines[0]) if lines else {}
        if not isinstance(head, dict) or (head and "piq" not in head):
            raise ValueError("its first line does not say how it was measured")
    except ValueError as error:
        raise FolderError(f"{path}: is no record of measurements ({error}); name another with --out") from error
    settings = job.settings()
    if lost := [name for name in ("brisque", "clip") if head.get(name) and not settings[name]]:
        raise FolderError(
            f"{path}: holds figures of {lost[0]}, whose weights are not here now, and would lose them; give the "
            "weights (`equime models`), or name another record with --out"
        )
    if head != settings:
        return {}
    for line in lines[1:]:
        try:
            row = json.loads(line)
            quality = Quality(**{**row["quality"], "notes": tuple(row["quality"]["notes"])}) if row["quality"] else None
            outcome = Outcome(row["name"], quality, row["size_bytes"], row["duration_s"], row["error"])
        except (ValueError, KeyError, TypeError):
            continue  # cut off where a run was killed
        if outcome.quality is not None:
            found[outcome.name] = (row["identity"], outcome)
    return found
