"""Card and terms of an imported folder, from templates, the plan's header and the index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import yaml

from equime_builder import counts
from equime_builder.card import configs, size_category
from equime_builder.documents.words import LIST_LETTERS, plain, printable, template
from equime_loader.schema import documentation
from equime_loader.tables import counted

TITLES = (
    ("expression", "expression"),
    ("label of the corpus", "corpus_label"),
    ("emotion", "emotion"),
    ("three classes", "three_class"),
    ("timing by", "timing_by"),
    ("publication", "publication"),
)


def license_text(header: Mapping[str, Any]) -> str:
    """The LICENSE file of an imported folder."""
    about = {name: printable(str(text), most=None) for name, text in header["about"].items()}
    return template("imported_LICENSE.md").substitute(about)


def card(header: Mapping[str, Any], index: pa.Table, rejects: Sequence[tuple[str, str, str]]) -> str:
    """The README of an imported folder, with the metadata that the Hub and `datasets` read."""
    kinds = Counter(what for what, _, _ in rejects)
    left_out = kinds["event"] + kinds["clip"]
    about = {name: plain(text, most=LIST_LETTERS) for name, text in header["about"].items()}
    rates = sorted({f"{rate:g}" for rate in index["fps"].to_pylist()}, key=float)
    return template("imported_card.md").substitute(
        about,
        yaml=yaml.safe_dump(metadata(header, index), sort_keys=False, allow_unicode=True, width=110).strip(),
        corpus=plain(header["corpus"]),
        sheet=plain(str(header["sheet"])),
        rows=counted(header["rows"], "row"),
        events=counted(header["events"], "event"),
        clips=f"{len(index):,}",
        subjects=counted(len(set(index["subject"].to_pylist())), "subject"),
        rates=", ".join(rates),
        context=f"{header['context_ms']:g}",
        left_out=f"{counted(left_out, 'event')} or {'clip' if left_out == 1 else 'clips'}",
        plan_sha256=plain(header["plan_sha256"]),
        composition="\n".join(["| label | word | clips |", "| --- | --- | ---: |", *_rows(index)]),
        fields=documentation(),
    )


def _rows(index: pa.Table) -> list[str]:
    tables = [(title, counts.counted(index, name)) for title, name in TITLES]
    return [f"| {title} | {plain(word)} | {count} |" for title, words in tables for word, count in words.items()]


def metadata(header: Mapping[str, Any], index: pa.Table) -> dict[str, Any]:
    """YAML head of the card."""
    return {
        "pretty_name": f"{printable(str(header['about']['title']))} (imported)",
        "license": "other",
        "license_name": "corpus-agreement",
        "license_link": "LICENSE",
        "task_categories": ["video-classification"],
        "tags": ["micro-expressions", "facial-action-units", "video"],
        "annotations_creators": ["expert-generated"],
        "size_categories": [size_category(len(index))],
        **configs(index, header["formats"]),
    }
