"""Mending what `verify` finds broken in a dataset folder.

What differs is rebuilt from the plan, renditions from the clips, so a repair brings the same bytes back. Annotations
are derived from neither: one that is whole is folded again, one that is not is set aside.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from equime_builder import manifest
from equime_builder.build import build_shards, plan_for, request_of
from equime_builder.executors.local import LocalExecutor
from equime_builder.executors.work import Work
from equime_builder.finish import finish
from equime_builder.manifest import FolderError
from equime_builder.plan import CLIP_SCHEMA, Plan, Shard
from equime_builder.portrait_table import PORTRAIT_SCHEMA
from equime_builder.portraits import PortraitSource
from equime_builder.profiles import profile_from_dict
from equime_builder.rendition import render_missing
from equime_builder.rendition_faults import rendition_faults, sizes_in
from equime_builder.verify import LEFTOVER, RENDITION, STRAY, Fault, dataset_faults, plan_faults


class Mender(Protocol):
    """What makes the broken parts of a folder again, with so many processes."""

    @property
    def workers(self) -> int: ...

    def plan(self, root: Path) -> None:
        """Write the plan's files again."""

    def shards(self, root: Path, shards: Sequence[Shard]) -> None:
        """Write and commit these shards again."""


@dataclass(frozen=True, slots=True)
class Builder:
    """Mends a folder that was built; see `repair`."""

    source: PortraitSource
    workers: int = 1
    face_model: Path | None = None

    def plan(self, root: Path) -> None:
        _repair_plan(root, self.source)

    def shards(self, root: Path, shards: Sequence[Shard]) -> None:
        for _ in build_shards(Work(root, self.source, self.face_model), shards, LocalExecutor(self.workers)):
            pass


def repair(root: Path, source: PortraitSource, *, workers: int = 1, face_model: Path | None = None) -> list[Fault]:
    """Mend every fault of a folder that was built; see `mend`.

    Args:
        face_model: FaceLandmarker's file for the audit; None: where `equime models` looks.
    """
    return mend(root, Builder(source, workers, face_model))


def mend(root: Path, mender: Mender) -> list[Fault]:
    """Mend every fault and return what was mended. Stray files are moved to `stray_folder`, not deleted.

    Raises:
        FolderError: the source or corpus is not the one that the plan was made with, or the folder is in use.
    """
    with manifest.locked_folder(root, "build", patience_s=manifest.LOCK_PATIENCE_S):
        if broken_plan := list(plan_faults(root)):
            mender.plan(root)
        faults = broken_plan + [fault for fault in dataset_faults(root) if fault not in broken_plan]
        names = {fault.repair for fault in faults}
        shards = manifest.shards_in(manifest.folder_header(root), None)
        mender.shards(root, [shard for shard in shards if shard.name in names])
        for fault in faults:
            if fault.repair == STRAY:
                _set_aside(root, fault.path)
            elif fault.repair == LEFTOVER:
                (root / fault.path).unlink(missing_ok=True)
        if faults:
            finish(root)
        faults += _mend_renditions(root, mender.workers)
    return faults


def _mend_renditions(root: Path, workers: int) -> list[Fault]:
    """Remove what is broken of the renditions, and make it again."""
    faults = [Fault(path, reason, RENDITION) for path, reason in rendition_faults(root)]
    for fault in faults:
        (root / fault.path).unlink(missing_ok=True)
    for size in sizes_in(root) if faults else ():
        render_missing(root, size, workers=workers)
    return faults


def _repair_plan(root: Path, source: PortraitSource) -> None:
    """Write the plan's files again: as they read, or made anew from what the header asks for.

    A plan made anew is kept only if its hash is the one that the shards carry.
    """
    try:
        stored = manifest.read_plan(root)
        # Tables that were read may differ from tables that were made in what no comparison shows: names of list items.
        clips, portraits = (
            pa.Table.from_pylist(table.to_pylist(), schema=schema)
            for table, schema in ((stored.clips, CLIP_SCHEMA), (stored.portraits, PORTRAIT_SCHEMA))
        )
        plan = Plan(stored.header, clips, portraits, stored.curation)
    except FolderError:
        header = manifest.read_header(root)
        profile = profile_from_dict(header["profile"], where=manifest.HEADER)
        plan = plan_for(request_of(profile, source, header))
        hashes = _committed_plans(root)
        if hashes and plan.header["plan_sha256"] not in hashes:
            raise FolderError(
                f"{root / manifest.HEADER} was edited, and what it asks for is not what the shards were built from; "
                "put the original back, or build into a new folder"
            ) from None
    manifest.write_plan(root, plan)


def _committed_plans(root: Path) -> set[str]:
    """Plan hashes in the shards' lines."""
    found = set()
    for path in (root / manifest.FOLDER / "shards").glob("*.json"):
        try:
            found.add(str(manifest.read_json(path).get("plan_sha256")))
        except FolderError:
            continue
    return found


def stray_folder(root: Path) -> Path:
    """Where a repair puts what does not belong into a dataset folder: beside it."""
    folder = root.resolve()
    return folder.with_name(f"{folder.name}-stray")


def _set_aside(root: Path, path: str) -> None:
    first = target = stray_folder(root) / path
    target.parent.mkdir(parents=True, exist_ok=True)
    number = 0
    while target.exists():
        number += 1
        target = first.with_name(f"{first.name}.{number}")
    os.replace(root / path, target)
