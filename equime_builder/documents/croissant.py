"""The folder in Croissant, the metadata format of MLCommons: files with SHA-256, fields, responsible-AI answers.

Follows Croissant 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html) and its RAI vocabulary 1.0. The
records are the rows of the index, and the clips of the Parquet files; shards are files with checksums, gathered in sets
by format.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from equime_builder import manifest
from equime_builder.documents.citation import paper
from equime_builder.documents.facts import Facts, audited, missing, portraits_or_clips, were
from equime_builder.documents.words import LIST_LETTERS, printable, text_of
from equime_builder.plan import changes_of
from equime_loader.schema import LABELS, LOCATION, VIDEO, Field
from equime_loader.tables import counted

CROISSANT = "croissant.json"
CONFORMS = ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"]
# Media type by suffix, and the sets that files of a kind are gathered in: id, pattern, what they hold.
MEDIA = {
    ".tar": "application/x-tar",
    ".parquet": "application/x-parquet",
    ".arrow": "application/vnd.apache.arrow.file",
}
PARQUET = "parquet-files"
SETS = (
    ("tars", "wds/*.tar", ".tar", "WebDataset shards: KEY.mp4, KEY.json, KEY.txt, KEY.au.npy"),
    (PARQUET, "data/*.parquet", ".parquet", "the same clips as Parquet with embedded video"),
    ("arrow-files", "arrow/*.arrow", ".arrow", "the same clips as Arrow files for memory-mapped access"),
)
Node = dict[str, Any]


def croissant_text(facts: Facts, files: Sequence[Mapping[str, Any]]) -> str:
    """croissant.json of a dataset folder. Where nobody has said where it is published, page and day are the paper's.

    Args:
        files: path, bytes and sha256 of every shard's files and of the index.
    """
    plan, cited, published = facts.plan, paper(), facts.beside.published
    sets = _sets(files)
    content = {
        "@context": json.loads(text_of("croissant_context.json")),
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS,
        "name": f"EquiME ({printable(plan.profile.name)})",
        "description": (
            f"Synthetic micro-expression clips: {counted(facts.clips, 'expression program')} of "
            f"{counted(facts.subjects, 'subject')}. {facts.generator['exact']} "
            f"Profile: {printable(plan.profile.follows)}."
        ),
        "license": facts.license.url,
        "url": published.page if published else cited.url,
        "creator": [_person(*names) for names in cited.authors],
        "datePublished": published.published if published else str(cited.year),
        "inLanguage": "en",
        "version": printable(f"{plan.header['builder_version']}+{plan.header['plan_sha256'][:12]}"),
        "keywords": ["micro-expressions", "facial action units", "synthetic", "fairness", "video"],
        "citeAs": cited.bibtex,
        "isLiveDataset": False,
        **_responsible(facts),
        "distribution": [*map(_file, files), *sets],
        "recordSet": [_records(facts.index), *([_videos()] if any(each["@id"] == PARQUET for each in sets) else [])],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _person(given: str, family: str) -> Node:
    return {"@type": "sc:Person", "name": f"{given} {family}", "givenName": given, "familyName": family}


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


def _records(index: pa.Table) -> Node:
    """One record for each clip: the columns of the index that hold single values."""
    held = [field for field in (*LABELS, *LOCATION) if field.name in index.column_names]
    left_out = ", ".join(field.name for field in held if _data_type(field.kind) is None)
    return {
        "@type": "cr:RecordSet",
        "@id": "clips",
        "name": "clips",
        "description": (
            "One record for each clip: its labels, and where its bytes lie. AUs are in au_text, in FACS notation with "
            f"side and letter of intensity; columns of lists and structs are in index.parquet alone: {left_out}."
        ),
        "key": {"@id": "clips/key"},
        "field": [_field(each, kind) for each in held if (kind := _data_type(each.kind))],
    }


def _videos() -> Node:
    """One record for each clip of the Parquet files: its key and its video."""
    fields = (("key", "sc:Text", "as in the record set clips"), (VIDEO, "sc:VideoObject", "bytes of an MP4, and null"))
    return {
        "@type": "cr:RecordSet",
        "@id": "videos",
        "name": "videos",
        "description": "One record for each clip: its video, with the key of its labels in the record set clips.",
        "key": {"@id": "videos/key"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"videos/{name}",
                "name": name,
                "description": about,
                "dataType": kind,
                "source": {"fileSet": {"@id": PARQUET}, "extract": {"column": name}},
            }
            for name, kind, about in fields
        ],
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
        "description": field.told,
        "dataType": kind,
        "source": {"fileObject": {"@id": manifest.INDEX}, "extract": {"column": field.name}},
    }


def _responsible(facts: Facts) -> Node:
    """The answers of the RAI vocabulary."""
    header, profile, source = facts.plan.header, facts.plan.profile, facts.source
    rejected, editions = facts.beside.rejected, len(changes_of(header))
    return {
        "rai:dataCollection": f"Generated from programs of Action Units. {source['portraits']}",
        "rai:dataCollectionType": ["Experiments", "Software Collection"],
        "rai:dataCollectionRawData": printable(
            f"Portraits of source {header['source']}, under: {facts.portrait_license}; "
            f"generator {header['generator']}.",
            most=LIST_LETTERS,
        ),
        "rai:dataCollectionMissingData": missing(facts),
        "rai:dataPreprocessingProtocol": [
            f"Portraits are cropped and aligned to {profile.size} x {profile.size} pixels.",
            f"{portraits_or_clips(rejected)} {were(rejected)} left out, each with its reason in "
            "__manifest__/rejected.csv.",
        ],
        "rai:dataAnnotationProtocol": (
            "Labels are not annotated: they are the program that the clip was drawn from. Onset and apex frame of the "
            f"encoded clip are compared, and differences stored with it. {audited(facts)}"
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
            f"update. Editions since the build: {editions}."
        ),
    }
