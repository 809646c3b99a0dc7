"""`equime acceptance`."""

from __future__ import annotations

from rich.box import SIMPLE
from rich.table import Table

from equime_builder.commands.shared import Complete, Json, print_json, say, screen
from equime_loader.tables import counted


def acceptance(folder: Complete, as_json: Json = False) -> None:
    """Print how many clips were accepted, by emotion and group, before and after topping up.

    Planned; accepted at the first attempt; accepted at any; taken from the reserve; in the dataset.
    """
    from equime_builder.acceptance import acceptance as report
    from equime_builder.documents.changes import left_in_words

    found = report(folder)
    if as_json:
        print_json({"folder": str(folder), **found.to_dict()})
        return
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("clips", "planned", "first", "accepted", "% (95%)", "extra", "final"):
        table.add_column(name, justify="left" if name == "clips" else "right", no_wrap=True)
    for row in found.rows:
        rate = f"{row.accepted / row.planned:.0%} ({100 * row.low:.0f}-{100 * row.high:.0f})" if row.planned else "-"
        if not found.judged:
            rate = "not judged"
        elif found.left:
            rate = "-"
        name = row.value if row.label == "all" else f"{row.label.removeprefix('apparent ')}: {row.value}"
        table.add_row(name, *map(str, (row.planned, row.first, row.accepted, rate, row.stood_in, row.final)))
    screen.print(table)
    if found.left:
        say(left_in_words(found.left).removesuffix("."))
    if found.unjudged:
        say(f"not judged: {counted(found.unjudged, 'more clip')}; `equime audit {folder}` does that")
    if not found.judged:
        say(f"no clip was judged by what its frames show: `equime audit {folder}` does that")
    for reason, count in found.reasons.items():
        say(f"{count} x {reason}")
