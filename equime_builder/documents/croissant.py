"""The folder in Croissant, the metadata format of MLCommons: files with SHA-256, fields, responsible-AI answers.

Follows Croissant 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html) and its RAI vocabulary 1.0. The
records are the rows of the index; shards are files with checksums, gathered in sets by format.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from equime_builder import manifest
from equime_builder.documents.facts import Facts, facts_of
from equime_builder.documents.words import printable, text_of
from equime_builder.plan import Plan, changes_of
from equime_loader.schema import LABELS, LOCATION, Field

CROISSANT = "croissant.json"
CONFORMS = ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"]
CITATION = "Tan et al., EquiME: Equitable Micro-Expression Dataset for Cross-Demographic Emotion Recognition, 2025"
PAPER = "https://github.com/noobasuna/equime"
# Media type by suffix, and the sets that files of a kind are gathered in: id, pattern, what they hold.
MEDIA = {
    ".tar": "application/x-tar",
    ".parquet": "application/x-parquet",
    ".arrow": "application/vnd.apache.arrow.file",
}
SETS = (
    ("tars", "wds/*.tar", ".tar", "WebDataset shards: KEY.mp4, KEY.json, KEY.txt, KEY.au.npy"),
    ("parquet-files", "data/*.parquet", ".parquet", "the same clips as Parquet with embedded video"),
    ("arrow-files", "arrow/*.arrow", ".arrow", "the same clips as Arrow files for memory-mapped access"),
)
Node = dict[str, Any]


def croissant_text(plan: Plan, index: pa.Table, files: Sequence[Mapping[str, Any]], *, rejected: int) -> str:
    """croissant.json of a dataset folder.

    Args:
        files: path, bytes and sha256 of every shard's files and of the index.
        rejected: portraits and clips that were left out.
    """
    facts = facts_of(plan, index)
    content = {
        "@context": json.loads(text_of("croissant_context.json")),
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS,
        "name": f"EquiME ({printable(plan.profile.name)})",
        "description": (
            f"Synthetic micro-expression clips: {facts.clips:,} expression programs of {facts.subjects:,} subjects. "
            f"{facts.generator['exact']} Profile: {printable(plan.profile.follows)}."
        ),
        "license": facts.licence.url,
        "url": PAPER,
        "version": printable(f"{plan.header['builder_version']}+{plan.header['plan_sha256'][:12]}"),
        "keywords": ["micro-expressions", "facial action units", "synthetic", "fairness", "video"],
        "citeAs": CITATION,
        "isLiveDataset": False,
        **_responsible(plan, facts, rejected),
        "distribution": [*map(_file, files), *_sets(files)],
        "recordSet": [_records()],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _file(file: Mapping[str, Any]) -> Node:
    path = str(file["path"])
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "contentUrl": path,
        "contentSize": f"{file['bytes']} B",
        "encodingFormat": _media(path),
        "sha256": file["sha256"],
    }


def _media(path: str) -> str:
    return next((media for suffix, media in MEDIA.items() if path.endswith(suffix)), "application/octet-stream")


def _sets(files: Iterable[Mapping[str, Any]]) -> list[Node]:
    """The sets of those formats that the folder has."""
    folders = {str(file["path"]).split("/")[0] for file in files}
    return [
        {
            "@type": "cr:FileSet",
            "@id": name,
            "name": name,
            "description": about,
            "encodingFormat": MEDIA[suffix],
            "includes": pattern,
        }
        for name, pattern, suffix, about in SETS
        if pattern.split("/")[0] in folders
    ]


def _records() -> Node:
    """One record for each clip: the columns of the index that hold single values."""
    return {
        "@type": "cr:RecordSet",
        "@id": "clips",
        "name": "clips",
        "description": "One record for each clip: its labels, and where its bytes lie.",
        "key": {"@id": "clips/key"},
        "field": [_field(each, kind) for each in (*LABELS, *LOCATION) if (kind := _data_type(each.kind))],
    }


def _data_type(kind: pa.DataType) -> str | None:
    """The Croissant type of a column, None for lists and structs."""
    if pa.types.is_string(kind):
        return "sc:Text"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else None


def _field(field: Field, kind: str) -> Node:
    return {
        "@type": "cr:Field",
        "@id": f"clips/{field.name}",
        "name": field.name,
        "description": field.about,
        "dataType": kind,
        "source": {"fileObject": {"@id": manifest.INDEX}, "extract": {"column": field.name}},
    }


def _responsible(plan: Plan, facts: Facts, rejected: int) -> Node:
    """The answers of the RAI vocabulary."""
    header, source = plan.header, facts.source
    withdrawn = len(changes_of(header))
    return {
        "rai:dataCollection": f"Generated from programs of Action Units. {source['portraits']}",
        "rai:dataCollectionType": ["Experiments", "Software Collection"],
        "rai:dataCollectionRawData": printable(
            f"Portraits of source {header['source']}, under: {facts.portrait_licence}; generator {header['generator']}."
        ),
        "rai:dataCollectionMissingData": facts.missing,
        "rai:dataPreprocessingProtocol": [
            f"Portraits are cropped and aligned to {plan.profile.size} x {plan.profile.size} pixels.",
            f"{rejected:,} portraits or clips were left out, each with its reason in __manifest__/rejected.csv.",
        ],
        "rai:dataAnnotationProtocol": (
            "Labels are not annotated: they are the program that the clip was drawn from. Onset and apex frame of the "
            f"encoded clip are compared, and differences stored with it. {facts.audited}"
        ),
        "rai:dataAnnotationPlatform": [f"equime {printable(str(header['builder_version']))}"],
        "rai:machineAnnotationTools": [printable(f"equime {header['builder_version']}, {header['generator']}")],
        "rai:dataBiases": [
            "AU statistics come from a few corpora with few, mostly young adults.",
            source["limits"],
            "Counts by group, ENS, SEI, NSD, imbalance and Cramér's V are in the card.",
        ],
        "rai:dataLimitations": [facts.generator["limits"], "Emotions are prototypes of AUs; nobody felt anything."],
        "rai:personalSensitiveInformation": [
            f"{source['people']} {source['consent']}",
            f"Apparent gender, race and age group, as judged from pictures. {source['attributes']}",
        ],
        "rai:dataUseCases": (
            "Research on recognition and spotting of micro-expressions, AU intensity, and differences between groups. "
            "Not for surveillance, judging deception, character or intent, re-identification, or decisions on people."
        ),
        "rai:dataSocialImpact": (
            "Groups in known numbers let differences between groups be measured. Readers of faces can harm those who "
            "are read: access is gated, use is non-commercial research, and decisions about people are out of scope."
        ),
        "rai:dataReleaseMaintenancePlan": (
            "Versions are tags of the repository. Clips of a subject who withdraws leave it, and holders of copies "
            f"update. Editions since the build: {withdrawn}."
        ),
    }
