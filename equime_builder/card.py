"""The dataset card, from a template and the index; never by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from equime_builder.documents import tables
from equime_builder.documents.facts import portrait_licence
from equime_builder.documents.words import filled, plain, printable, text_of, words_of
from equime_builder.hub.gate import gate_metadata
from equime_builder.licences import LICENCES
from equime_builder.manifest import Commit
from equime_builder.plan import UNKNOWN, Plan
from equime_loader.schema import FIELDS, LABELS, LOCATION, SPLITS, documentation, features_yaml

SIZES = (("n<1K", 1e3), ("1K<n<10K", 1e4), ("10K<n<100K", 1e5), ("100K<n<1M", 1e6), ("1M<n<10M", 1e7))


def licence_text(plan: Plan) -> str:
    """The LICENSE file of a dataset folder."""
    licence = LICENCES[plan.profile.licence]
    values = {"title": licence.title, "name": licence.name, "url": licence.url}
    return filled("LICENSE.md", {**values, "portrait_licence": printable(portrait_licence(plan))})


def card(plan: Plan, index: pa.Table, *, rejected: int, commits: Sequence[Commit] = ()) -> str:
    """The README of a dataset folder, with the metadata that the Hub and `datasets` read.

    Args:
        rejected: portraits and clips that were left out. commits: lines of the shards, for the figures of the audit.
    """
    profile, header = plan.profile, plan.header
    licence = LICENCES[profile.licence]
    source, generator = words_of("sources", header["source"]), words_of("generators", header["generator"])
    values = {
        "yaml": yaml.safe_dump(metadata(plan, index), sort_keys=False, allow_unicode=True, width=110).strip(),
        "name": plain(profile.name),
        "follows": plain(profile.follows),
        "subjects": f"{len(set(index['subject'].to_pylist())):,}",
        "clips": f"{len(index):,}",
        "size": profile.size,
        "frames": profile.frames,
        "fps": f"{profile.fps:g}",
        "source": plain(header["source"]),
        "portrait_licence": plain(portrait_licence(plan)),
        "generator": header["generator"],
        "seed": header["seed"],
        "rejected": rejected,
        "plan_sha256": header["plan_sha256"],
        "composition": composition(index),
        "splits": tables.splits(plan, index),
        "loading": loading(header["formats"]),
        "au_table": profile.au_table,
        "measured": tables.measured(index),
        "audit": tables.audit(plan, index, commits),
        "bias": tables.bias(index),
        "exact": generator["exact"],
        "generator_limits": generator["limits"],
        "source_limits": source["limits"],
        **{name: source[name] for name in ("people", "consent", "attributes")},
        "license": licence.name,
        "license_title": licence.title,
        "license_url": licence.url,
        "provenance": tables.provenance(plan, index),
        "changes": tables.changes(plan),
        "fields": documentation(),
    }
    return filled("card.md", values)


def loading(formats: Collection[str]) -> str:
    """The ways to load a folder of these formats, as snippets of Python with words between them."""
    ways = yaml.safe_load(text_of("loading.yaml"))
    return "\n".join(way["text"] for way in ways if way["needs"] in formats)


def metadata(plan: Plan, index: pa.Table) -> dict[str, Any]:
    """YAML head of the card."""
    return {
        "pretty_name": f"EquiME ({printable(plan.profile.name)})",
        "license": plan.profile.licence,
        "task_categories": ["video-classification"],
        "tags": ["micro-expressions", "facial-action-units", "synthetic", "fairness", "video"],
        "annotations_creators": ["machine-generated"],
        "language": ["en"],
        "size_categories": [size_category(len(index))],
        **gate_metadata(),
        **configs(index, plan.header["formats"]),
    }


def configs(index: pa.Table, formats: Collection[str]) -> dict[str, Any]:
    """`configs` and `dataset_info` of a card. They name Parquet only: one builder serves all configs of a README."""
    splits = [split for split in SPLITS if split in set(index["split"].to_pylist())]
    named: list[dict[str, Any]] = []
    if "parquet" in formats:
        files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits]
        named.append({"config_name": "default", "default": True, "data_files": files})
    named.append({"config_name": "metadata", "data_files": [{"split": "clips", "path": "index.parquet"}]})
    infos = [{"config_name": "default", "features": features_yaml()}] if "parquet" in formats else []
    infos.append({"config_name": "metadata", "features": features_yaml((*LABELS, *LOCATION))})
    return {"configs": named, "dataset_info": infos}


def size_category(clips: int) -> str:
    """The Hub's word for a number of clips."""
    return next((name for name, bound in SIZES if clips < bound), "n>10M")


def composition(index: pa.Table) -> str:
    """Markdown table: clips per split and word of each label."""
    rows = [f"| | | {' | '.join(SPLITS)} | all |", f"| --- | --- |{' ---: |' * (len(SPLITS) + 1)}"]
    splits = {split: index.filter(pc.equal(index["split"], split)) for split in SPLITS}
    for title, name in (
        ("emotion", "emotion"),
        ("derived emotion", "derived_emotion"),
        ("apparent gender", "apparent_gender"),
        ("apparent race", "apparent_race"),
        ("age group", "age_group"),
    ):
        counts = {split: counted(part, name) for split, part in splits.items()}
        for word in counted(index, name):
            numbers = [counts[split].get(word, 0) for split in SPLITS]
            rows.append(f"| {title} | {word} | {' | '.join(map(str, numbers))} | {sum(numbers)} |")
    subjects = [pc.count_distinct(part["subject"]).as_py() for part in splits.values()]
    rows.append(f"| subjects | | {' | '.join(map(str, subjects))} | {sum(subjects)} |")
    return "\n".join(rows)


def counted(index: pa.Table, name: str) -> dict[str, int]:
    """Clips by word of a label, words in the order of its vocabulary, `unknown` for clips without one."""
    counts = Counter(word or UNKNOWN for word in index[name].to_pylist())
    vocabulary = next(field.words for field in FIELDS if field.name == name)
    return {word: counts[word] for word in _in_order(set(counts), vocabulary)}


def _in_order(words: set[str], vocabulary: Iterable[str]) -> list[str]:
    known = [word for word in vocabulary if word in words]
    return known + sorted(words - set(known))
