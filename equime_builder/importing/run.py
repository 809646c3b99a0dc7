"""Importing: plan, then shards by one or more processes, then index, events and card; and mending.

A shard is a pure function of (plan, shard number, the copy's files), so it does not matter who writes it, or how often.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equime_builder import manifest
from equime_builder.build import Progress, begin, complete
from equime_builder.importing.origin import read_header, write_plan
from equime_builder.importing.plan import ASKED, ImportPlan, Request, make_plan
from equime_builder.importing.shard import Task, import_shard
from equime_builder.manifest import FolderError
from equime_builder.plan import Shard
from equime_builder.processes import as_finished
from equime_builder.profiles import Video
from equime_builder.repair import mend
from equime_builder.typed import construct
from equime_builder.verify import Fault
from equime_loader.corpora.events import Reading
from equime_loader.corpora.pseudonyms import check_key_outside

KEPT = "what is committed is kept"


def import_corpus(
    root: Path,
    reading: Reading,
    request: Request,
    *,
    workers: int = 1,
    progress: Callable[[Progress], None] = lambda _: None,
) -> None:
    """Import what is missing of a corpus into a dataset folder.

    Raises:
        FolderError: the folder is in use, holds another plan or foreign files, or cannot be written.
        ValueError: no event can be imported, or the key of pseudonyms lies in the folder.
    """
    check_key_outside(root)
    plan = make_plan(reading, request)
    begin(root, lambda: write_plan(root, plan), lambda: _same_plan(root, plan.header))
    sha256 = str(plan.header["plan_sha256"])
    with manifest.locked_folder(root, "build", patience_s=manifest.LOCK_PATIENCE_S):
        todo = manifest.pending(root, plan.shards, sha256)
        clips, total = 0, sum(shard.clips for shard in todo)
        tasks = _tasks(root, plan, todo)
        for count, shard in enumerate(as_finished(import_shard, tasks, workers=workers, kept=KEPT), start=1):
            clips += shard.clips
            progress(Progress(shard.name, clips, total, count))
        complete(root, plan.shards, sha256)


def _tasks(root: Path, plan: ImportPlan, shards: Sequence[Shard]) -> list[Task]:
    return [Task(root, plan.header, shard, plan.of(shard)) for shard in shards]


def _same_plan(root: Path, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    header = read_header(root)
    for name in ASKED:
        if header[name] != wanted[name]:
            raise FolderError(
                f"{root} was imported by a different plan; {name}: {wanted[name]} asked, {header[name]} planned. "
                "Give the options that it was begun with, or import into another folder"
            )
    if header["plan_sha256"] != wanted["plan_sha256"]:
        raise FolderError(
            f"{root} was begun when the corpus, its sheet or the corrections read otherwise ({header['clips']} clips "
            f"then, {wanted['clips']} now). Import into another folder"
        )
    return header


def request_of(root: Path) -> Request:
    """The request that led to an imported folder.

    Raises:
        FolderError: it is no imported folder.
    """
    header = read_header(root)
    video: Video = construct(Video, header["video"])
    return Request(float(header["context_ms"]), tuple(header["formats"]), int(header["shard_frames"]), video)


@dataclass(frozen=True, slots=True, eq=False)
class _Importer:
    """Mends an imported folder from the corpus as it reads now."""

    plan_again: ImportPlan
    workers: int

    def plan(self, root: Path) -> None:
        write_plan(root, self.plan_again)

    def shards(self, root: Path, shards: Sequence[Shard]) -> None:
        for _ in as_finished(import_shard, _tasks(root, self.plan_again, shards), workers=self.workers, kept=KEPT):
            pass


def repair_import(root: Path, reading: Reading, *, workers: int = 1) -> list[Fault]:
    """Mend every fault of an imported folder and return what was mended; see `repair.mend`.

    Raises:
        FolderError: the corpus does not read as it did when the folder was begun, or the folder is in use.
    """
    plan = make_plan(reading, request_of(root))
    _same_plan(root, plan.header)
    return mend(root, _Importer(plan, workers))
