"""What datasheet and Croissant say alike, gathered once from a folder's plan and index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from equime_builder.acceptance import acceptance_of
from equime_builder.documents.publication import Publication
from equime_builder.documents.tables import is_audited
from equime_builder.documents.words import words_of
from equime_builder.licences import LICENCES, Licence
from equime_builder.manifest import Commit, FolderError
from equime_builder.plan import Plan
from equime_loader.schema import FIELD, LABELS, LOCATION, SPLITS

# Columns that most clips lack for good reasons: what was never asked for is not missing.
OPTIONAL = ("audit:", "review:", "quality:", "corpus:")


@dataclass(frozen=True, slots=True)
class Beside:
    """What the texts of a folder are told beside its plan and index.

    Attributes:
        rejected: portraits and clips that were left out.
        commits: lines of the shards, for the figures of the audit.
        published: where the folder is to be found, None where nobody has said.
    """

    rejected: int
    commits: Sequence[Commit] = ()
    published: Publication | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a folder holds. `source` and `generator`: what is said of them, by topic."""

    clips: int
    subjects: int
    split_counts: str
    missing: str
    audited: str
    portrait_licence: str
    licence: Licence
    source: dict[str, str]
    generator: dict[str, str]


def whole(index: pa.Table) -> pa.Table:
    """An index with all columns; those that an older folder lacks are null.

    Raises:
        FolderError: a column is lacking that every clip must have.
    """
    for field in (*LABELS, *LOCATION):
        if field.name not in index.column_names:
            if not field.nullable:
                raise FolderError(f"index.parquet lacks the column {field.name!r}; build the dataset with this version")
            index = index.append_column(field.name, pa.nulls(len(index), field.kind))
    return index


def facts_of(plan: Plan, index: pa.Table, commits: Sequence[Commit]) -> Facts:
    """The facts of a folder, none of them made inert. `index` is whole; `commits` are the lines of its shards."""
    counts = [f"{split} {pc.sum(pc.equal(index['split'], split)).as_py() or 0:,} clips" for split in SPLITS]
    return Facts(
        clips=len(index),
        subjects=pc.count_distinct(index["subject"]).as_py(),
        split_counts=", ".join(counts),
        missing=_missing(index),
        audited=_audited(plan, index, commits),
        portrait_licence=portrait_licence(plan),
        licence=LICENCES[plan.profile.licence],
        source=words_of("sources", plan.header["source"]),
        generator=words_of("generators", plan.header["generator"]),
    )


def portrait_licence(plan: Plan) -> str:
    """The licenses of a plan's portraits, joined by `; `."""
    return "; ".join(sorted({value for value in plan.portraits["licence"].to_pylist() if value}))


def _missing(index: pa.Table) -> str:
    lacking = [
        f"{name} of {index[name].null_count:,} clips"
        for name in ("apparent_gender", "apparent_race", "apparent_age", "derived_emotion")
        if index[name].null_count
    ]
    unmeasured = [name for name, field in FIELD.items() if field.about.startswith(OPTIONAL) and _is_empty(index, name)]
    parts = [f"Not known: {', '.join(lacking)}." if lacking else "No label is missing."]
    if unmeasured:
        parts.append(f"{len(unmeasured)} columns of audit, review, quality or corpora are empty in this folder.")
    return " ".join(parts)


def _is_empty(index: pa.Table, name: str) -> bool:
    return bool(index[name].null_count == len(index))


def _audited(plan: Plan, index: pa.Table, commits: Sequence[Commit]) -> str:
    if not is_audited(plan, index):
        return "No clip was judged by what its frames show."
    every = acceptance_of(plan, index, commits).rows[0]
    return (
        f"An audit judged clips by what their frames show: of {every.planned:,} that were planned it accepted "
        f"{every.accepted:,}, {every.first:,} of them at the first attempt."
    )
