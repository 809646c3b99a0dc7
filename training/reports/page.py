"""The page: one HTML file that needs nothing else, light and dark."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path

from training.reports.document import Document, Picture, section_html

STYLE = Path(__file__).with_name("page.css")

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<div class="layout">
<nav aria-label="Sections">
<ol>
{links}
</ol>
</nav>
<main>
<header>
<h1>{title}</h1>
<p>{subtitle}</p>
<dl class="facts">
{facts}
</dl>
</header>
{sections}
</main>
</div>
</body>
</html>
"""


def page(document: Document, drawn: Callable[[Picture], str]) -> str:
    """The page of a report; `drawn` gives the SVG of a picture."""
    return _PAGE.format(
        title=html.escape(document.title),
        subtitle=html.escape(document.subtitle),
        style=STYLE.read_text(encoding="utf-8"),
        links="\n".join(f'<li><a href="#{one.anchor}">{html.escape(one.title)}</a></li>' for one in document.sections),
        facts="\n".join(
            f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>" for name, value in document.facts
        ),
        sections="\n".join(section_html(section, drawn) for section in document.sections),
    )
