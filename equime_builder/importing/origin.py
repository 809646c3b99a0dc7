"""The files of an import's plan, and what finishing and verifying ask of an imported folder.

__manifest__/plan.json         what was asked for and read, and the plan's hash
__manifest__/clips.parquet     every clip that will exist
__manifest__/findings.parquet  what in the corpus is not as it should be
events.parquet                 every event that was imported, in the corpus' own frame numbers (written with the index)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from equime_builder import manifest
from equime_builder.importing.card import card, license_text
from equime_builder.importing.plan import (
    ASKED,
    CLIP_SCHEMA,
    FINDING_SCHEMA,
    ImportPlan,
    clip_table,
    finding_table,
)
from equime_builder.manifest import Commit, FolderError
from equime_builder.origins import Texts
from equime_builder.plan import Shard, plan_hash
from equime_loader.files import replacing, write_atomic

FINDINGS = f"{manifest.FOLDER}/findings.parquet"
EVENTS = "events.parquet"
PICTURES = "pictures"
# Columns of the plan's clips that say nothing of events.
_OF_CLIPS = ("shard", "split", "whole")


def write_plan(root: Path, plan: ImportPlan) -> Mapping[str, Any]:
    """Write a plan; its header comes last and makes it valid."""
    (root / manifest.FOLDER).mkdir(parents=True, exist_ok=True)
    for path, table in ((manifest.CLIPS, clip_table(plan.clips)), (FINDINGS, finding_table(plan.findings))):
        with replacing(root / path) as temporary:
            pq.write_table(table, temporary, compression="zstd", row_group_size=2048)
    write_atomic(root / manifest.HEADER, manifest.header_bytes(plan.header))
    return plan.header


def read_header(root: Path) -> dict[str, Any]:
    """The header of an imported folder's plan.

    Raises:
        FolderError: there is none, or it is the plan of a build.
    """
    header = manifest.folder_header(root)
    if missing := [name for name in (*ASKED, "about", "events") if name not in header]:
        raise FolderError(f"{root / manifest.HEADER}: lacks {missing[0]!r}; it is not the plan of an import")
    return header


def read_tables(root: Path) -> tuple[pa.Table, pa.Table]:
    """The plan's clips and findings, checked against its hash.

    Raises:
        FolderError: part of it is missing, damaged or edited.
    """
    header = read_header(root)
    try:
        clips, findings = (pq.read_table(root / path) for path in (manifest.CLIPS, FINDINGS))
    except (OSError, pa.ArrowException) as error:
        raise FolderError(f"{root / manifest.FOLDER}: the plan's tables cannot be read ({error})") from error
    if not (clips.schema.equals(CLIP_SCHEMA) and findings.schema.equals(FINDING_SCHEMA)):
        raise FolderError(f"{root / manifest.FOLDER}: the plan's tables have other columns than a plan")
    bare = {name: value for name, value in header.items() if name != "plan_sha256"}
    if plan_hash(bare, clips, findings) != header["plan_sha256"]:
        raise FolderError(f"{root / manifest.FOLDER}: the plan does not match its own hash")
    return clips, findings


def kind_of_reject(name: str) -> str:
    """`clip`, `signal`, or `kept` for what was read by a convention.

    What a clip lacks is named by the clip's key and, behind a slash, its own name.
    """
    _, slash, part = name.partition("/")
    return "clip" if not slash else "kept" if part == PICTURES else "signal"


class Imported:
    """Taken from a corpus."""

    table_files: tuple[str, ...] = (EVENTS,)
    text_files: tuple[str, ...] = ()  # such a folder is not published

    def plan_files(self, header: Mapping[str, Any]) -> tuple[str, ...]:
        return (manifest.HEADER, manifest.CLIPS, FINDINGS)

    def check_plan(self, root: Path) -> None:
        read_tables(root)

    def planned_keys(self, root: Path, shard: Shard) -> list[str]:
        rows = pq.read_table(root / manifest.CLIPS, columns=["key", "shard"], filters=[("shard", "==", shard.number)])
        keys: list[str] = rows["key"].to_pylist()
        return keys

    def texts(self, root: Path, index: pa.Table, commits: Sequence[Commit]) -> Texts:
        header = read_header(root)
        _, findings = read_tables(root)
        rejects = [
            ("event" if row["left_out"] else "kept", row["name"], f"{row['where']}: {row['reason']}")
            for row in findings.to_pylist()
        ]
        rejects += [
            (kind_of_reject(each.name), each.name, each.reason) for commit in commits for each in commit.rejected
        ]
        return Texts(card(header, index, rejects), license_text(header), rejects)

    def tables(self, root: Path, index: pa.Table) -> dict[str, pa.Table]:
        """Every event that was planned; `key` is null where the clip was rejected."""
        events = read_tables(root)[0].drop_columns(list(_OF_CLIPS))
        made = set(index["key"].to_pylist())
        keys = pa.array([key if key in made else None for key in events["key"].to_pylist()], pa.string())
        return {EVENTS: events.set_column(0, "key", keys)}
