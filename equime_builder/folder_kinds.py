"""Which kind of dataset folder one is, by its header: drawn by the builder, or imported from a corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from equime_builder import manifest
from equime_builder.card import card, license_text
from equime_builder.documents.croissant import CROISSANT, croissant_text
from equime_builder.documents.datasheet import DATASHEET, datasheet
from equime_builder.documents.facts import Beside, facts_of
from equime_builder.documents.publication import read_publication
from equime_builder.importing.origin import Imported
from equime_builder.manifest import Commit
from equime_builder.origins import Origin, Texts
from equime_builder.plan import Shard
from equime_builder.portrait_table import rejected_portraits


class Built:
    """Drawn by the builder."""

    table_files: tuple[str, ...] = ()
    text_files: tuple[str, ...] = (DATASHEET, CROISSANT)

    def plan_files(self, header: Mapping[str, Any]) -> tuple[str, ...]:
        return manifest.plan_files(header)

    def check_plan(self, root: Path) -> None:
        manifest.read_plan(root)

    def planned_keys(self, root: Path, shard: Shard) -> list[str]:
        return [clip.key for clip in manifest.read_shard_plan(root, shard)[0]]

    def texts(self, root: Path, index: pa.Table, commits: Sequence[Commit]) -> Texts:
        plan = manifest.read_plan(root)
        rejects = [("portrait", each.name, each.reason) for each in rejected_portraits(plan.portraits)]
        rejects += [("clip", each.name, each.reason) for commit in commits for each in commit.rejected]
        files = [
            *(described for commit in commits for described in commit.files.values()),
            *manifest.describe_files(root, {"index": manifest.INDEX}).values(),
        ]
        facts = facts_of(plan, index, Beside(len(rejects), commits, read_publication(root)))
        others = {DATASHEET: datasheet(facts), CROISSANT: croissant_text(facts, files)}
        return Texts(card(facts), license_text(plan), rejects, others)

    def tables(self, root: Path, index: pa.Table) -> dict[str, pa.Table]:
        return {}


def origin_of(header: Mapping[str, Any]) -> Origin:
    """The kind of folder that has this header."""
    return Imported() if "corpus" in header else Built()
