"""`equime bench`: measuring this machine."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from equime_builder.commands.shared import Complete, Json, print_json, say, screen
from equime_loader.extras import needing
from equime_loader.tables import counted


def bench_loader(
    folder: Complete,
    frames: Annotated[int, typer.Option(help="frames around the apex")] = 16,
    size: Annotated[int, typer.Option(help="pixels")] = 112,
    batch_size: Annotated[int, typer.Option(help="clips of a batch")] = 16,
    workers: Annotated[int, typer.Option(help="threads or processes")] = 2,
    rounds: Annotated[int, typer.Option(help="how often each way is timed")] = 5,
    as_json: Json = False,
) -> None:
    """Measure how fast the loader reads a folder, beside libavcodec alone."""
    from equime_loader import View, Window, open_dataset

    with needing("torch", "equime bench loader"):
        from equime_loader.benchmark import measure

    view = View(Window.around("apex", frames), size)
    report = measure(open_dataset(folder), view, batch_size=batch_size, workers=workers, rounds=rounds)
    if as_json:
        print_json(report.to_dict())
        return
    read = f"{counted(report.clips, 'clip')}, {counted(frames, 'frame')} around the apex"
    say(f"{read} at {size} x {size}, batches of {batch_size}")
    table = Table("way", "clips/s", "least-most", "first batch, ms", "of libavcodec alone")
    for row in report.rows():
        table.add_row(*row)
    screen.print(table)
