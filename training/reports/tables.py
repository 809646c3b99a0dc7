"""Tables of the report: made once, written as Markdown, as HTML and as CSV."""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell.

    Attributes:
        note: stands small below or behind. tone: a class of page.css: `muted`, `low`, `mark`.
        tip: said when the cell is pointed at.
    """

    text: str
    note: str = ""
    tone: str = ""
    tip: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Cells; `kind` is empty, `constant` (what a constant predictor scores) or `head` (one cell over all columns)."""

    cells: tuple[Cell, ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column; numbers stand to the right."""

    title: str
    is_number: bool = True
    tip: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table.

    Attributes:
        name: of its CSV file. title, note: above it.
        records: what stands in the CSV file, figures with all their digits.
    """

    name: str
    title: str
    note: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    records: tuple[Mapping[str, Value], ...]


def cells(*texts: str | Cell) -> tuple[Cell, ...]:
    """Cells of texts."""
    return tuple(text if isinstance(text, Cell) else Cell(text) for text in texts)


def markdown(table: Table) -> str:
    """The table as GitHub's Markdown, without its title."""
    lines = [
        _line(column.title for column in table.columns),
        _line("---:" if column.is_number else "---" for column in table.columns),
    ]
    for row in table.rows:
        texts = [_plain(cell) for cell in row.cells]
        if row.kind == "head":
            texts = [f"**{texts[0]}**", *[""] * (len(table.columns) - 1)]
        elif row.kind == "constant":
            texts = [f"*{text}*" if text else "" for text in texts]
        lines.append(_line(texts))
    return "\n".join(lines)


def _plain(cell: Cell) -> str:
    return f"{cell.text} {cell.note}".strip().replace("|", "\\|").replace("\n", " ")


def _line(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"


def as_html(table: Table) -> str:
    """The table as HTML, in a box that scrolls where the page is narrow."""
    head = "".join(
        _element("th", Cell(column.title, tip=column.tip), column, 'scope="col"') for column in table.columns
    )
    body = "\n".join(_html_row(table, row) for row in table.rows)
    label = html.escape(table.title, quote=True)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">\n<table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _html_row(table: Table, row: Row) -> str:
    if row.kind == "head":
        words = _words(row.cells[0])
        return f'<tr class="head"><th scope="rowgroup" colspan="{len(table.columns)}">{words}</th></tr>'
    kind = f' class="{row.kind}"' if row.kind else ""
    pairs = zip(row.cells, table.columns, strict=True)
    return f"<tr{kind}>{''.join(_element('td', cell, column) for cell, column in pairs)}</tr>"


def _element(tag: str, cell: Cell, column: Column, attributes: str = "") -> str:
    kind = " ".join(filter(None, ("number" if column.is_number else "", cell.tone)))
    parts = [tag, attributes, f'class="{kind}"' if kind else ""]
    parts += [f'title="{html.escape(cell.tip, quote=True)}"'] if cell.tip else []
    return f"<{' '.join(filter(None, parts))}>{_words(cell)}</{tag}>"


def _words(cell: Cell) -> str:
    note = f" <small>{html.escape(cell.note)}</small>" if cell.note else ""
    return html.escape(cell.text) + note


def as_csv(table: Table) -> str:
    """The records as CSV; an undefined figure is an empty cell."""
    text = io.StringIO()
    names = list(dict.fromkeys(name for record in table.records for name in record))
    writer = csv.DictWriter(text, names, lineterminator="\n", restval="")
    writer.writeheader()
    for record in table.records:
        writer.writerow({name: _written(value) for name, value in record.items()})
    return text.getvalue()


def _written(value: Value) -> Value:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@"):
        return f"'{value}"  # a spreadsheet would take it for a formula
    return None if isinstance(value, float) and not math.isfinite(value) else value
