"""`equime preview`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equime_builder.commands.shared import Complete, say
from equime_builder.requests import words
from equime_loader.tables import counted


def preview(
    folder: Complete,
    out: Annotated[Path, typer.Option(help="picture to write")] = Path("preview.png"),
    figures: Annotated[Path | None, typer.Option(help="page of figures to write", show_default=False)] = None,
    keys: Annotated[str | None, typer.Option(help="comma-separated keys", show_default="a spread")] = None,
    rows: Annotated[int, typer.Option(help="how many clips")] = 12,
) -> None:
    """Draw a contact sheet: clips through onset, apex and offset, with difference and AU curves."""
    from equime_builder.figures import composition_page
    from equime_builder.preview import contact_sheet

    for option, path in (("--out", out), ("--figures", figures)):
        if path is not None and path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{option} {path} lies inside the dataset folder; name a place beside it")
    shown = contact_sheet(folder, out, keys=words(keys), rows=rows)
    say(f"{out}: {counted(len(shown), 'clip')}")
    if figures is not None:
        composition_page(folder, figures)
        say(f"{figures}: composition")
