"""A report as sections of blocks, and how blocks become Markdown and HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from training.reports import tables
from training.reports.tables import Table


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    words: str


@dataclass(frozen=True, slots=True)
class Points:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture, drawn when it is written.

    Attributes:
        name: of its file, unique in a report. about: what it shows, for those who do not see it.
    """

    name: str
    draw: Callable[[], Figure]
    about: str


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Blocks that open when they are asked for; `title` says what they are."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Pictures beside each other, as many as fit."""

    pictures: tuple[Picture, ...]


Block = Text | Points | Picture | Gallery | Fold | Table


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """A section under a heading."""

    title: str
    blocks: tuple[Block, ...]

    @property
    def anchor(self) -> str:
        return slug(self.title)


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A report: `facts` are its counts, shown at its head."""

    title: str
    subtitle: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]

    def pictures(self) -> Iterator[Picture]:
        for section in self.sections:
            yield from _pictures(section.blocks)

    def tables(self) -> Iterator[Table]:
        for section in self.sections:
            yield from _tables(section.blocks)


def _pictures(blocks: Sequence[Block]) -> Iterator[Picture]:
    for block in blocks:
        if isinstance(block, Picture):
            yield block
        elif isinstance(block, Gallery):
            yield from block.pictures
        elif isinstance(block, Fold):
            yield from _pictures(block.blocks)


def _tables(blocks: Sequence[Block]) -> Iterator[Table]:
    for block in blocks:
        if isinstance(block, Table):
            yield block
        elif isinstance(block, Fold):
            yield from _tables(block.blocks)


def slug(*words: str) -> str:
    """A name of files made of words."""
    return re.sub(r"[^a-z0-9+_.]+", "-", " ".join(filter(None, words)).lower()).strip("-.")


def picture_path(name: str) -> str:
    """Of a picture, from the page."""
    return f"pictures/{name}.png"


# --- Markdown


def markdown(document: Document) -> str:
    """The report as GitHub's Markdown; pictures and tables are files beside it."""
    facts = " · ".join(f"{value} {name}" for name, value in document.facts)
    parts = [f"# {document.title}", document.subtitle, facts]
    for section in document.sections:
        parts += [f"## {section.title}", *(part for block in section.blocks for part in _markdown(block))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown(block: Block) -> Iterator[str]:
    match block:
        case Text():
            yield block.words
        case Points():
            yield "\n".join(f"- {item}" for item in block.items)
        case Picture():
            yield f"![{block.about.replace('[', '(').replace(']', ')')}]({picture_path(block.name)})"
        case Gallery():
            yield from (part for picture in block.pictures for part in _markdown(picture))
        case Fold():
            yield f"### {block.title}"
            yield from (part for inner in block.blocks for part in _markdown(inner))
        case Table():
            yield f"**{block.title}** ([{block.name}.csv]({block.name}.csv))"
            yield tables.markdown(block)
            yield block.note


# --- HTML


def section_html(section: Section, drawn: Callable[[Picture], str]) -> str:
    """A section as HTML; `drawn` gives the SVG of a picture."""
    body = "\n".join(_html(block, drawn) for block in section.blocks)
    return f'<section id="{section.anchor}">\n<h2>{html.escape(section.title)}</h2>\n{body}\n</section>'


def _html(block: Block, drawn: Callable[[Picture], str]) -> str:
    match block:
        case Text():
            return f"<p>{html.escape(block.words)}</p>"
        case Points():
            return "<ul>\n" + "\n".join(f"<li>{html.escape(item)}</li>" for item in block.items) + "\n</ul>"
        case Picture():
            return f'<figure class="card">{drawn(block)}</figure>'
        case Gallery():
            return f'<div class="gallery">{"".join(_html(picture, drawn) for picture in block.pictures)}</div>'
        case Fold():
            body = "\n".join(_html(inner, drawn) for inner in block.blocks)
            return f"<details>\n<summary>{html.escape(block.title)}</summary>\n{body}\n</details>"
        case Table():
            link = f'<a href="{block.name}.csv" download>CSV</a>'
            note = f'\n<p class="note">{html.escape(block.note)}</p>' if block.note else ""
            title = html.escape(block.title)
            return f'<div class="card table">\n<h3>{title} {link}</h3>\n{tables.as_html(block)}{note}\n</div>'
