"""Tables in plain text, for reports that are printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows under a header, in aligned columns: the first to the left, the others to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def percent(part: float, whole: float, digits: int = 1) -> str:
    """``percent(1, 8)`` is ``12.5 %``; a dash where there is no whole."""
    return f"{100 * part / whole:.{digits}f} %" if whole else "–"
