"""`equime rendition`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from equime_builder.commands.shared import (
    Complete,
    Json,
    Workers,
    cores,
    count_shown,
    print_json,
    progress_bar,
    say,
)
from equime_loader.tables import counted


def rendition(
    folder: Complete,
    size: Annotated[int, typer.Option(help="pixels of the shorter side", show_default=False)],
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Write the clips once more at a smaller size, which a training decodes faster, or go on where it was interrupted.

    They lie in the folder's `renditions/`, are not published, and may be deleted.
    """
    from equime_builder.rendition import make_rendition

    with progress_bar(as_json) as bar:
        task = bar.add_task("rendering", total=None, rate="")
        done = make_rendition(folder, size, workers=cores(workers), progress=count_shown(bar, task, as_json))
    if as_json:
        print_json({"folder": str(folder), **asdict(done)})
        return
    say(f"{folder}: {counted(done.clips, 'clip')}, shorter side at most {size} pixels, {done.bytes / 1e6:.1f} MB")
    say(f"read it with View(size={size}, rendition={size})")
