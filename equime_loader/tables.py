"""Tables, counts and shares in plain text, for what is printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows under a header, in aligned columns: words to the left, numbers to the right."""
    body = list(map(list, rows))
    lines = [list(header), *body]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    right = [bool(body) and all(_is_number(cell) for cell in column) for column in zip(*body, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right or [False] * len(header), strict=True)
        ).rstrip()
        for line in lines
    )


def _is_number(cell: str) -> bool:
    return cell in ("", "–", "-") or cell.lstrip("+-−≥≤<>[( ")[:1].isdigit() or cell.lstrip("-−") in ("nan", "inf")


def percent(part: float, whole: float, digits: int = 1) -> str:
    """``percent(1, 8)`` is ``12.5%``; a dash where there is no whole."""
    return f"{100 * part / whole:.{digits}f}%" if whole else "–"


def counted(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun: ``1 clip``, ``1,200 clips``. `plural`: of a noun that takes more than an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
