"""The Datasheet for Datasets (Gebru et al. 2021), from a template and the folder."""

from __future__ import annotations

import pyarrow as pa

from equime_builder.documents import tables
from equime_builder.documents.facts import Beside, facts_of, whole
from equime_builder.documents.words import LIST_LETTERS, document, plain
from equime_builder.plan import Plan

DATASHEET = "DATASHEET.md"


def datasheet(plan: Plan, index: pa.Table, beside: Beside) -> str:
    """DATASHEET.md of a dataset folder.

    Raises:
        FolderError: the index lacks a column that every clip must have.
    """
    profile, header, facts = plan.profile, plan.header, facts_of(plan, whole(index), beside.commits)
    texts = {**facts.source, "exact": facts.generator["exact"], "generator_limits": facts.generator["limits"]}
    texts["source_limits"] = texts.pop("limits")
    others = {
        "name": profile.name,
        "follows": profile.follows,
        "builder_version": header["builder_version"],
        "source": header["source"],
        "generator": header["generator"],
        "au_table": profile.au_table,
        "seed": header["seed"],
        "plan_sha256": header["plan_sha256"],
    }
    numbers = {
        "clips": f"{facts.clips:,}",
        "subjects": f"{facts.subjects:,}",
        "rejected": f"{beside.rejected:,}",
        "size": profile.size,
        "frames": profile.frames,
        "fps": f"{profile.fps:g}",
    }
    said = {name: getattr(facts, name) for name in ("split_counts", "missing", "audited")}
    values = {
        **texts,
        **{name: plain(text) for name, text in others.items()},
        **numbers,
        **said,
        "portrait_licence": plain(facts.portrait_licence, most=LIST_LETTERS),
        "page": beside.published.page if beside.published else "the page of the repository",
        "license": facts.licence.name,
        "license_url": facts.licence.url,
        "changes": tables.changes(plan),
    }
    return document("DATASHEET.md", values)
