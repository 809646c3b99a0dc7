"""What card, datasheet and Croissant say alike, gathered once from a folder's plan and index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from equime_builder.acceptance import Acceptance, Judged, acceptance_of, judged
from equime_builder.documents.changes import left_in_words
from equime_builder.documents.composition import durations
from equime_builder.documents.publication import Publication
from equime_builder.documents.tables import changes
from equime_builder.documents.words import LIST_LETTERS, plain, words_of
from equime_builder.licenses import LICENSES, License
from equime_builder.manifest import Commit, FolderError
from equime_builder.plan import Plan
from equime_loader.schema import FIELD, LABELS, LOCATION, SPLITS
from equime_loader.tables import counted

# Groups of columns that most clips lack for good reasons: what was never asked for is not missing.
OPTIONAL = ("audit", "review", "quality", "corpus")


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
    """What a folder holds, and is told beside it; none of it made inert.

    Attributes:
        index: as it stands in the folder. whole: with all columns; those that an older folder lacks are null.
        acceptance: what an audit said, None where no clip was judged.
        source, generator: what is said of them, by topic.
    """

    plan: Plan
    index: pa.Table
    whole: pa.Table
    beside: Beside
    acceptance: Acceptance | None
    portrait_license: str
    license: License
    source: dict[str, str]
    generator: dict[str, str]

    @property
    def clips(self) -> int:
        return len(self.index)

    @property
    def subjects(self) -> int:
        return int(pc.count_distinct(self.index["subject"]).as_py())


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


def facts_of(plan: Plan, index: pa.Table, beside: Beside) -> Facts:
    """The facts of a folder.

    Raises:
        FolderError: the index lacks a column that every clip must have.
    """
    complete = whole(index)
    unjudged = judged(plan, complete) is Judged.NONE
    return Facts(
        plan=plan,
        index=index,
        whole=complete,
        beside=beside,
        acceptance=None if unjudged else acceptance_of(plan, complete, beside.commits),
        portrait_license=portrait_license(plan),
        license=LICENSES[plan.profile.license],
        source=words_of("sources", plan.header["source"]),
        generator=words_of("generators", plan.header["generator"]),
    )


def said(facts: Facts) -> dict[str, str]:
    """Fields of the templates: what plan, index, source, generator and license say, the words of others inert."""
    plan, profile = facts.plan, facts.plan.profile
    shortest, longest = durations(facts.whole) or (profile.event.shortest_ms, profile.event.longest_ms)
    others = {"name": profile.name, "follows": profile.follows, "au_table": profile.au_table}
    others |= {name: plan.header[name] for name in ("source", "generator", "seed", "plan_sha256", "builder_version")}
    return {
        **facts.source,
        **{name: plain(text) for name, text in others.items()},
        "exact": facts.generator["exact"],
        "generator_limits": facts.generator["limits"],
        "source_limits": facts.source["limits"],
        "portrait_license": plain(facts.portrait_license, most=LIST_LETTERS),
        "license": facts.license.name,
        "license_title": facts.license.title,
        "license_url": facts.license.url,
        "subjects": counted(facts.subjects, "subject"),
        "subjects_allow": f"{counted(facts.subjects, 'subject')} {'allows' if facts.subjects == 1 else 'allow'}",
        "clips": f"{facts.clips:,}",
        "clips_counted": counted(facts.clips, "clip"),
        "programs": counted(facts.clips, "expression program"),
        "durations": f"{shortest:.0f}–{longest:.0f} ms",
        "size": str(profile.size),
        "frames": str(profile.frames),
        "fps": f"{profile.fps:g}",
        "rejected": portraits_or_clips(facts.beside.rejected),
        "rejected_were": were(facts.beside.rejected),
        "changes": changes(plan),
    }


def portraits_or_clips(count: int) -> str:
    """So many portraits or clips."""
    return f"{counted(count, 'portrait')} or {'clip' if count == 1 else 'clips'}"


def were(count: int) -> str:
    """The verb of so many."""
    return "was" if count == 1 else "were"


def portrait_license(plan: Plan) -> str:
    """The licenses of a plan's portraits, joined by `; `."""
    return "; ".join(sorted({value for value in plan.portraits["license"].to_pylist() if value}))


def split_counts(facts: Facts) -> str:
    """Clips of each split."""
    counts = [
        f"{split} {counted(pc.sum(pc.equal(facts.index['split'], split)).as_py() or 0, 'clip')}" for split in SPLITS
    ]
    return ", ".join(counts)


def shown_split(index: pa.Table) -> str:
    """The split that ways to load show: the first one that has clips."""
    held = set(pc.unique(index["split"]).to_pylist())
    return next((split for split in SPLITS if split in held), SPLITS[0])


def missing(facts: Facts) -> str:
    """Labels and columns that are not known of clips."""
    index = facts.whole
    lacking = [
        f"{name} of {counted(index[name].null_count, 'clip')}"
        for name in ("apparent_gender", "apparent_race", "apparent_age", "derived_emotion")
        if index[name].null_count
    ]
    unmeasured = [name for name, field in FIELD.items() if field.group in OPTIONAL and _is_empty(index, name)]
    parts = [f"Not known: {', '.join(lacking)}." if lacking else "No label is missing."]
    if unmeasured:
        parts.append(
            f"{counted(len(unmeasured), 'column')} of audit, review, quality or corpora "
            f"{'is' if len(unmeasured) == 1 else 'are'} empty in this folder."
        )
    return " ".join(parts)


def _is_empty(index: pa.Table, name: str) -> bool:
    return bool(index[name].null_count == len(index))


def audited(facts: Facts) -> str:
    """How many clips an audit has accepted."""
    report = facts.acceptance
    if report is None:
        return "No clip was judged by what its frames show."
    if report.left:
        return f"An audit judged clips by what their frames show. {left_in_words(report.left)}"
    every = report.rows[0]
    if report.extent is Judged.SOME:
        return (
            f"An audit judged clips by what their frames show: of {every.planned:,} that it judged it accepted "
            f"{every.accepted:,}; {counted(report.unjudged, 'other')} {were(report.unjudged)} not judged."
        )
    return (
        f"An audit judged clips by what their frames show: of {every.planned:,} that were planned it accepted "
        f"{every.accepted:,}, {every.first:,} of them at the first attempt."
    )
