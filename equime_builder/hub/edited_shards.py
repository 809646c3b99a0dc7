"""Shards of an edition: the same bytes where nothing leaves, and only bytes that were committed."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from equime_builder import manifest
from equime_builder.manifest import Commit, FolderError
from equime_builder.plan import Plan, Shard
from equime_builder.portraits import Rejection
from equime_builder.readers import READERS
from equime_builder.samples import Sample
from equime_builder.shards import shard_writers
from equime_builder.top_up import cell_of, fill, lacking_before
from equime_loader.files import file_sha256


def edit_shard(
    root: Path, target: Path, shard: Shard, commit: Commit, plan: Plan, nameless: Callable[[str], str]
) -> None:
    """Write one shard of an edition and its line; a shard that loses nothing is linked where the disk can do that.

    Args:
        root, target: the folder, and its edition, whose plan and earlier shards lie there already.
        nameless: a reason as the edition tells it.

    Raises:
        FolderError: the folder's shard has other bytes than its line says.
    """
    clips, subjects = manifest.read_shard_plan(target, shard)
    planned = [clip.key for clip in clips]
    rejected = tuple(Rejection(each.name, nameless(each.reason)) for each in commit.rejected if each.name in planned)
    left_out = {each.name for each in rejected}
    unused: tuple[str, ...] = ()
    if shard.reserve:  # who stood in for a clip that left is not needed any more
        cells = {clip.key: cell_of(clip, subjects) for clip in clips}
        needed = fill(
            clips,
            cells,
            lacking_before(target, shard),
            lambda chosen: [clip.key for clip in chosen if clip.key not in left_out],
        )
        used = {clip.key for clip in needed}
        unused = tuple(key for key in planned if key not in used)
        rejected = tuple(each for each in rejected if each.name not in unused)
    keys = [key for key in planned if key not in left_out and key not in unused]
    files = shard.files(plan.header["formats"])
    if len(keys) == commit.samples:
        described = _link_shard(root, target, shard, commit)
    else:
        _check_shard(root, shard, commit)
        _filter_shard(root, target, files, frozenset(keys))
        described = manifest.describe_files(target, files)
    line = Commit(
        shard.name,
        plan.header["plan_sha256"],
        len(keys),
        keys[0] if keys else None,
        keys[-1] if keys else None,
        described,
        rejected,
        unused,
    )
    manifest.write_commit(target, shard, line)


def _link_shard(root: Path, target: Path, shard: Shard, commit: Commit) -> Mapping[str, Mapping[str, Any]]:
    for file in commit.files.values():
        _link(root / file["path"], target / file["path"])
    _check_shard(target, shard, commit)  # what lies in the edition now, not what lay in the folder a moment ago
    return commit.files


def _check_shard(root: Path, shard: Shard, commit: Commit) -> None:
    """Compare a shard with its line: an edition has new lines, which would vouch for bytes that are damaged.

    Raises:
        FolderError: other bytes than were committed.
    """
    for file in commit.files.values():
        if file_sha256(root / file["path"]) != file["sha256"]:
            raise FolderError(
                f"{file['path']}: content differs from the sha256 that shard {shard.name} was committed with; mend it "
                "with `equime verify --repair`"
            )


def _filter_shard(root: Path, target: Path, files: dict[str, str], keys: frozenset[str]) -> None:
    kind, path = next(iter(files.items()))
    with READERS[kind](root / path) as members, shard_writers(target, files) as writers:
        for sample in _samples(members):
            if sample.key in keys:
                for writer in writers:
                    writer.write(sample)


def _samples(members: Iterator[tuple[bytes, ...]]) -> Iterator[Sample]:
    for video, labels, _, curves in members:
        yield Sample(json.loads(labels), video, np.lib.format.read_array(io.BytesIO(curves), allow_pickle=False))


def _link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the disk has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        os.link(source, target)
        return
    shutil.copyfile(source, target)
