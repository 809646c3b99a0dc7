"""Where the clips of a dataset folder come from: drawn by a plan of programs, or taken from a corpus.

Shards, index and manifest are the same for both. What differs, and what finishing and verifying ask for, is here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from equime_builder.manifest import Commit
from equime_builder.plan import Shard

IMPORTED = "imported"  # the field `generator` of clips from a corpus


@dataclass(frozen=True, slots=True)
class Texts:
    """What a folder says of itself: card, terms, and all that was left out as (what, name, reason).

    `others`: further texts by path, those of the origin's `text_files`.
    """

    card: str
    license: str
    rejects: Sequence[tuple[str, str, str]]
    others: Mapping[str, str] = field(default_factory=dict)


class Origin(Protocol):
    """A kind of dataset folder.

    `table_files`, `text_files`: paths of what is derived for it beside the index, and beside card and terms.
    """

    table_files: tuple[str, ...]
    text_files: tuple[str, ...]

    def plan_files(self, header: Mapping[str, Any]) -> tuple[str, ...]:
        """Paths of the files that the plan consists of."""

    def check_plan(self, root: Path) -> None:
        """Read the whole plan against its hash.

        Raises:
            FolderError: part of it is missing, damaged or edited.
        """

    def planned_keys(self, root: Path, shard: Shard) -> list[str]:
        """Keys of a shard's clips, in order."""

    def texts(self, root: Path, index: pa.Table, commits: Sequence[Commit]) -> Texts:
        """Card, terms and rejects, from the plan, the index and the shards' lines."""

    def tables(self, root: Path, index: pa.Table) -> dict[str, pa.Table]:
        """The tables of `table_files`, from plan and index, by path."""


def headline(profile: str, generator: str) -> str:
    """What pages about a dataset are headed with, by these fields of its clips."""
    return f"{profile}, {IMPORTED}" if generator == IMPORTED else f"EquiME, profile {profile}"
