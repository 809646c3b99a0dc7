"""`equime card`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from equime_builder.commands.shared import Complete, say

Text = Annotated[
    str, typer.Option("--text", help="README.md, DATASHEET.md, croissant.json, LICENSE or __manifest__/rejected.csv")
]
Repository = Annotated[
    str | None, typer.Option(help="with --write: where the folder is to be found, OWNER/NAME", show_default=False)
]
Published = Annotated[
    str | None,
    typer.Option(help="with --repository: day of its first version, YYYY-MM-DD", show_default="as it was, or today"),
]


def card(
    folder: Complete,
    text: Text = "README.md",
    write: Annotated[bool, typer.Option("--write", help="write all of them into the folder again")] = False,
    repository: Repository = None,
    published: Published = None,
) -> None:
    """Print a dataset's card, datasheet, Croissant description or terms, as plan and index make them; or write all."""
    import pyarrow.parquet as pq

    from equime_builder import manifest
    from equime_builder.documents.publication import publication_in
    from equime_builder.finish import rewrite_texts, texts

    if (repository and not write) or (published and not repository):
        raise ValueError("--published goes with --repository, and --repository with --write")
    if repository:
        manifest.read_header(folder)  # refuses a folder that was imported: it is not published
    if write:
        rewrite_texts(folder, publication_in(folder, repository, published) if repository else None)
        say(f"{folder}: card and what goes with it written")
        return
    found = texts(folder, pq.read_table(folder / manifest.INDEX))
    if text not in found:
        raise ValueError(f"--text {text!r} must be one of {', '.join(found)}")
    sys.stdout.write(found[text].decode())
