"""`equime export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equime_builder.commands.shared import Complete, progress_bar, say
from equime_loader.tables import counted


def export(
    folder: Complete,
    target: Annotated[Path, typer.Argument(help="folder to write, new or of an earlier export", show_default=False)],
) -> None:
    """Write the clips in the published hierarchy: one MP4 and one JSON file per clip."""
    from equime_builder.export import export as run

    with progress_bar(False) as bar:
        task = bar.add_task("exporting", total=None, rate="")
        count = run(folder, target, progress=lambda shard: bar.update(task, description=f"exporting {shard}"))
    say(f"{target}: {counted(count, 'clip')}")
