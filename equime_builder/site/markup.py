"""Numbers and words as HTML. Every word is escaped here, stripped of control and bidi characters, and set apart.

Bars are SVG with sizes as attributes: the page's policy allows no style but its style sheet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from equime_builder.documents.words import printable
from equime_builder.facs import ACTION_UNITS
from equime_builder.site.figures import Counted, Histogram, Measure, Verdicts

SHADES = 5  # classes s0 … s5 of the style sheet
HIDDEN_HEAD, BAR_HEAD = (f'<span class="hidden">{words}</span>' for words in ("label", "share as a bar"))


def word(text: str) -> str:
    """A word from a dataset as HTML that is only text, isolated from the direction of what stands around it."""
    return f"<bdi>{escape(printable(text))}</bdi>"


def size(count: int) -> str:
    """A number of bytes as people read it."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def table(caption: str, heads: Sequence[str], rows: Iterable[str], *, style: str = "") -> str:
    """A table that scrolls by itself where it is too wide. `rows`: HTML of `<tr>`."""
    columns = "".join(f'<th scope="col">{head}</th>' for head in heads)
    body = "\n".join(rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f'<table class="{style}"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{columns}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def bar(share: float) -> str:
    """A horizontal bar of a share, 0-1."""
    return (
        '<svg class="level" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="100" height="10" class="rest"/><rect width="{100 * share:.2f}" height="10"/></svg>'
    )


def counts(table_of: Counted) -> str:
    """Clips and subjects by word, with bars of the clips."""
    total, most = sum(table_of.clips), max(table_of.clips)
    rows = (
        f'<tr><th scope="row">{word(name)}</th><td class="wide">{bar(clips / most)}</td><td>{clips:,}</td>'
        f"<td>{clips / total:.0%}</td><td>{subjects:,}</td></tr>"
        for name, clips, subjects in zip(table_of.words, table_of.clips, table_of.subjects, strict=True)
    )
    heads = (HIDDEN_HEAD, BAR_HEAD, "clips", "share", "subjects")
    return table(table_of.title, heads, rows, style="counts")


def matrix(aus: Sequence[int], emotions: Sequence[str], shares: Sequence[Sequence[float]]) -> str:
    """How often an AU acts in the clips of an emotion, shaded by its share."""
    most = max((share for row in shares for share in row), default=1.0) or 1.0

    def cell(share: float) -> str:
        shade = 0 if share == 0 else 1 + min(SHADES - 1, int(SHADES * share / most))
        text = "·" if share == 0 else f"{100 * share:.0f}" if share >= 0.01 else "&lt; 1"
        return f'<td class="s{shade}">{text}</td>'

    rows = (
        f'<tr><th scope="row">AU{au} <span class="muted">{ACTION_UNITS[au].name}</span></th>'
        + "".join(map(cell, row))
        + "</tr>"
        for au, row in zip(aus, shares, strict=True)
    )
    caption = "AUs by emotion: % of the emotion's clips in which the AU acts"
    return table(caption, ("AU", *map(word, emotions)), rows, style="matrix")


def histogram(shown: Histogram) -> str:
    """Bars with the ends and the median told."""
    most, low, high = max(shown.counts), shown.edges[0], shown.edges[-1]
    step = 300 / len(shown.counts)
    bars = "".join(
        f'<rect x="{place * step + 0.5:.2f}" y="{100 - 98 * count / most:.2f}" width="{step - 1:.2f}" '
        f'height="{98 * count / most:.2f}"/>'
        for place, count in enumerate(shown.counts)
        if count
    )
    at = 300 * (shown.median - low) / (high - low)
    about = f"{shown.title}: {low:g} to {high:g} {shown.unit}, median {shown.median:.3g} {shown.unit}"
    return (
        f'<figure class="histogram"><figcaption><strong>{escape(shown.title)}</strong> '
        f'<span class="muted">median {shown.median:.3g} {escape(shown.unit)}</span></figcaption>'
        f'<svg viewBox="0 0 300 100" preserveAspectRatio="none" role="img" aria-label="{escape(about)}">{bars}'
        f'<line class="median" x1="{at:.2f}" x2="{at:.2f}" y1="0" y2="100"/></svg>'
        f'<p class="ends"><span>{low:g}</span><span>{high:g} {escape(shown.unit)}</span></p></figure>'
    )


def measured(measures: Sequence[Measure]) -> str:
    """Percentiles of what was measured."""
    rows = (
        f'<tr><th scope="row">{word(one.about)}</th><td>{one.low:.3g}</td><td>{one.median:.3g}</td>'
        f"<td>{one.high:.3g}</td><td>{one.clips:,}</td></tr>"
        for one in measures
    )
    return table("Measured in the encoded clips", ("measure", "5 %", "median", "95 %", "clips"), rows, style="measured")


def verdicts(said: Verdicts) -> str:
    """Accepted shares: of all clips in a sentence, by emotion and group in tables."""
    _, _, judged, accepted = said.rows[0]
    groups = dict.fromkeys(group for group, *_ in said.rows[1:])
    tables = "\n".join(_accepted(said, group) for group in groups)
    words = f"{said.title}: {accepted:,} of {judged:,} clips accepted ({accepted / judged:.1%})."
    return f'<p class="prose">{escape(words)}</p>\n<div class="columns">\n{tables}\n</div>'


def _accepted(said: Verdicts, group: str) -> str:
    rows = (
        f'<tr><th scope="row">{word(name)}</th><td class="wide">{bar(accepted / judged)}</td>'
        f"<td>{accepted / judged:.0%}</td><td>{accepted:,}</td><td>{judged:,}</td></tr>"
        for mine, name, judged, accepted in said.rows
        if mine == group
    )
    heads = (HIDDEN_HEAD, BAR_HEAD, "share", "accepted", "judged")
    return table(f"{said.title}, by {group.lower()}", heads, rows, style="counts")
