"""The Datasheet for Datasets (Gebru et al. 2021), from a template and the folder."""

from __future__ import annotations

from equime_builder.documents.facts import Facts, audited, missing, said, split_counts
from equime_builder.documents.words import document

DATASHEET = "DATASHEET.md"


def datasheet(facts: Facts) -> str:
    """DATASHEET.md of a dataset folder."""
    published = facts.beside.published
    values = {
        **said(facts),
        "split_counts": split_counts(facts),
        "missing": missing(facts),
        "audited": audited(facts),
        "page": published.page if published else "the page of the repository",
    }
    return document("DATASHEET.md", values)
