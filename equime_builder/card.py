"""The dataset card, from a template and the index; never by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from importlib import resources
from string import Template
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from equime_builder.hub.gate import gate_metadata
from equime_builder.plan import UNKNOWN, Plan
from equime_loader.schema import FIELDS, LABELS, LOCATION, SPLITS, documentation, features_yaml

LICENCE = "CC BY-NC-SA 4.0"
MARKUP = frozenset("\\`*_~[]<>|#$&@")  # what begins something in Markdown, HTML or mathematics
SIZES = (("n<1K", 1e3), ("1K<n<10K", 1e4), ("10K<n<100K", 1e5), ("100K<n<1M", 1e6), ("1M<n<10M", 1e7))


def template(name: str) -> Template:
    """A text of `dataset_card`."""
    return Template((resources.files("dataset_card") / name).read_text(encoding="utf-8"))


def _portrait_licence(plan: Plan) -> str:
    licences = sorted({value for value in plan.portraits["licence"].to_pylist() if value})
    return "; ".join(licences)


def licence_text(plan: Plan) -> str:
    """The LICENSE file of a dataset folder."""
    return template("LICENSE.md").substitute(portrait_licence=printable(_portrait_licence(plan)))


def card(plan: Plan, index: pa.Table, *, rejected: int) -> str:
    """The README of a dataset folder, with the metadata that the Hub and `datasets` read."""
    profile, header = plan.profile, plan.header
    return template("card.md").substitute(
        yaml=yaml.safe_dump(metadata(plan, index), sort_keys=False, allow_unicode=True, width=110).strip(),
        name=plain(profile.name),
        follows=plain(profile.follows),
        subjects=f"{len(set(index['subject'].to_pylist())):,}",
        clips=f"{len(index):,}",
        size=profile.size,
        frames=profile.frames,
        fps=f"{profile.fps:g}",
        source=plain(header["source"]),
        portrait_licence=plain(_portrait_licence(plan)),
        generator=header["generator"],
        seed=header["seed"],
        rejected=rejected,
        plan_sha256=header["plan_sha256"],
        composition=composition(index),
        au_table=profile.au_table,
        fields=documentation(),
        license=LICENCE,
    )


def metadata(plan: Plan, index: pa.Table) -> dict[str, Any]:
    """YAML head of the card."""
    return {
        "pretty_name": f"EquiME ({printable(plan.profile.name)})",
        "license": "cc-by-nc-sa-4.0",
        "task_categories": ["video-classification"],
        "tags": ["micro-expressions", "facial-action-units", "synthetic", "fairness", "video"],
        "annotations_creators": ["machine-generated"],
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


def printable(text: str) -> str:
    """Text without line ends, control characters and characters that turn the direction of reading."""
    return "".join(character for character in text if character.isprintable())


def plain(text: str) -> str:
    """Text from a profile or a source, inert in Markdown and HTML."""
    return "".join(f"\\{character}" if character in MARKUP else character for character in printable(text))
