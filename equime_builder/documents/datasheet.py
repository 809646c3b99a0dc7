"""The Datasheet for Datasets (Gebru et al. 2021), from a template and the folder."""

from __future__ import annotations

import pyarrow as pa

from equime_builder.documents import tables
from equime_builder.documents.facts import facts_of
from equime_builder.documents.words import filled, plain
from equime_builder.plan import Plan

DATASHEET = "DATASHEET.md"


def datasheet(plan: Plan, index: pa.Table, *, rejected: int) -> str:
    """DATASHEET.md of a dataset folder.

    Args:
        rejected: portraits and clips that were left out.
    """
    profile, header, facts = plan.profile, plan.header, facts_of(plan, index)
    texts = {**facts.source, "exact": facts.generator["exact"], "generator_limits": facts.generator["limits"]}
    texts["source_limits"] = texts.pop("limits")
    others = {
        "name": profile.name,
        "follows": profile.follows,
        "builder_version": header["builder_version"],
        "source": header["source"],
        "generator": header["generator"],
        "au_table": profile.au_table,
        "portrait_licence": facts.portrait_licence,
    }
    numbers = {
        "clips": f"{facts.clips:,}",
        "subjects": f"{facts.subjects:,}",
        "rejected": f"{rejected:,}",
        "size": profile.size,
        "frames": profile.frames,
        "fps": f"{profile.fps:g}",
        "seed": header["seed"],
        "plan_sha256": header["plan_sha256"],
    }
    said = {name: getattr(facts, name) for name in ("split_counts", "missing", "audited")}
    values = {
        **texts,
        **{name: plain(str(text)) for name, text in others.items()},
        **numbers,
        **said,
        "license": facts.licence.name,
        "license_url": facts.licence.url,
        "changes": tables.changes(plan),
    }
    return filled("DATASHEET.md", values)
