"""The dataset card, from a template and the index; never by hand."""

from __future__ import annotations

from collections.abc import Collection
from string import Template
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from equime_builder.documents import tables
from equime_builder.documents.citation import paper
from equime_builder.documents.composition import action_units, composition, events
from equime_builder.documents.facts import Facts, portrait_license, said, shown_split
from equime_builder.documents.publication import PLACEHOLDER
from equime_builder.documents.words import document, filled, printable, text_of
from equime_builder.hub.gate import gate_metadata
from equime_builder.licenses import LICENSES
from equime_builder.plan import Plan
from equime_builder.profiles import Profile
from equime_loader.schema import CURVES, FIELDS, LABELS, LOCATION, SPLITS, VIDEO, documentation, features_yaml

SIZES = (("n<1K", 1e3), ("1K<n<10K", 1e4), ("10K<n<100K", 1e5), ("100K<n<1M", 1e6), ("1M<n<10M", 1e7))


def license_text(plan: Plan) -> str:
    """The LICENSE file of a dataset folder."""
    license = LICENSES[plan.profile.license]
    values = {"title": license.title, "name": license.name, "url": license.url}
    return filled("LICENSE.md", {**values, "portrait_license": printable(portrait_license(plan), most=None)})


def card(facts: Facts) -> str:
    """The README of a dataset folder, with the metadata that the Hub and `datasets` read."""
    plan, index, published = facts.plan, facts.whole, facts.beside.published
    head = yaml.safe_dump(metadata(plan, facts.index), sort_keys=False, allow_unicode=True, width=110).strip()
    split = shown_split(index)
    where = published.repository if published else PLACEHOLDER
    values = {
        "yaml": head,
        "split": split,
        **said(facts),
        "composition": composition(index),
        "action_units": action_units(index),
        "events": events(index),
        "splits": tables.splits(plan, index),
        "hashes": tables.hashes(index),
        "loading": loading(plan.header["formats"], plan.profile, where, split),
        "measured": tables.measured(index),
        "audit": tables.audit(index, facts.acceptance),
        "bias": tables.bias(index),
        "provenance": tables.provenance(plan, index),
        "bibtex": paper().bibtex,
        "fields": documentation(),
    }
    return document("card.md", values)


def loading(formats: Collection[str], profile: Profile, repository: str, split: str) -> str:
    """The ways to load a folder of these formats, as snippets with words between them; they load the `split`."""
    ways = yaml.safe_load(text_of("loading.yaml"))
    chosen = "\n".join(way["text"] for way in ways if way["needs"] in (*formats, "any"))
    values = {"repository": repository, "split": split, "frames": profile.frames, "size": profile.size}
    return Template(chosen).substitute(values).strip()


def metadata(plan: Plan, index: pa.Table) -> dict[str, Any]:
    """YAML head of the card."""
    return {
        "pretty_name": f"EquiME ({printable(plan.profile.name)})",
        "license": plan.profile.license,
        "task_categories": ["video-classification"],
        "tags": ["micro-expressions", "facial-action-units", "synthetic", "fairness", "video"],
        "annotations_creators": ["machine-generated"],
        "language": ["en"],
        "size_categories": [size_category(len(index))],
        **gate_metadata(),
        **configs(index, plan.header["formats"]),
    }


def configs(index: pa.Table, formats: Collection[str]) -> dict[str, Any]:
    """`configs` and `dataset_info` of a card. They name Parquet only: one builder serves all configs of a README.

    Features are those that the files have: an older folder's lack some. `datasets` compares the counts after loading;
    the bytes of a split are those of its videos, and it takes no split that does not tell them.
    """
    parts = {split: index.filter(pc.equal(index["split"], split)) for split in SPLITS}
    splits = [split for split, part in parts.items() if len(part)]
    held = {*index.column_names, VIDEO, CURVES}
    clips, rows = (tuple(field for field in fields if field.name in held) for fields in (FIELDS, (*LABELS, *LOCATION)))
    named: list[dict[str, Any]] = []
    infos: list[dict[str, Any]] = []
    if "parquet" in formats:
        files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits]
        named.append({"config_name": "default", "default": True, "data_files": files})
        sizes = {split: pc.sum(parts[split]["size_bytes"]).as_py() or 0 for split in splits}
        told = [{"name": name, "num_bytes": sizes[name], "num_examples": len(parts[name])} for name in splits]
        infos.append({"config_name": "default", "features": features_yaml(clips), "splits": told})
    named.append({"config_name": "metadata", "data_files": [{"split": "clips", "path": "index.parquet"}]})
    told = [{"name": "clips", "num_bytes": 0, "num_examples": len(index)}]  # it has no videos
    infos.append({"config_name": "metadata", "features": features_yaml(rows), "splits": told})
    return {"configs": named, "dataset_info": infos}


def size_category(clips: int) -> str:
    """The Hub's word for a number of clips."""
    return next((name for name, bound in SIZES if clips < bound), "n>10M")
