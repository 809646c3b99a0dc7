"""Numbers and words as HTML. Every word is escaped here, stripped of control and bidi characters, and set apart.

Bars are SVG with sizes as attributes: the page's policy allows no style but its style sheet.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from html import escape

from equime_builder.acceptance import Row
from equime_builder.documents.changes import left_in_words
from equime_builder.documents.measures import PERCENTILES, Measure
from equime_builder.documents.words import printable
from equime_builder.facs import ACTION_UNITS
from equime_builder.site.figures import Counted, Histogram, Verdicts
from equime_loader.tables import counted

MOST_REASONS = 8
ROLES = {
    **{"<table": "table", "<thead": "rowgroup", "<tbody": "rowgroup", "<tr": "row", "<td": "cell"},
    **{'<th scope="col"': "columnheader", '<th scope="row"': "rowheader"},
}
TAG = re.compile("|".join(f"{tag}(?=[ >])" for tag in ROLES))
SHADES = 5  # classes s0 … s5 of the style sheet
HIDDEN_HEAD, BAR_HEAD = (f'<span class="hidden">{words}</span>' for words in ("label", "share as a bar"))


def word(text: str) -> str:
    """A word from a dataset as HTML that is only text, isolated from the direction of what stands around it."""
    return f"<bdi>{escape(printable(text))}</bdi>"


def size(count: int) -> str:
    """A number of bytes as people read it."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def table(caption: str, heads: Sequence[str], rows: Iterable[str], *, style: str = "") -> str:
    """A table that scrolls by itself where it is too wide. `rows`: HTML of `<tr>`.

    On a phone, a row of the style `stacked` stands below its head. That takes layout from the table, so roles are said.
    """
    columns = "".join(f'<th scope="col">{head}</th>' for head in heads)
    body = "\n".join(rows)
    whole = (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f'<table class="{style}"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{columns}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )
    return TAG.sub(lambda tag: f'{tag[0]} role="{ROLES[tag[0]]}"', whole) if "stacked" in style else whole


def bar(share: float, between: tuple[float, float] | None = None) -> str:
    """A horizontal bar of a share, 0-1, and of the interval that it lies in."""
    low, high = between or (0.0, 0.0)
    whisker = f'<rect class="between" x="{100 * low:.2f}" y="4" width="{100 * (high - low):.2f}" height="2"/>'
    return (
        '<svg class="level" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="100" height="10" class="rest"/><rect width="{100 * share:.2f}" height="10"/>'
        f"{whisker if between else ''}</svg>"
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
    """How often an AU acts in the clips of an emotion, shaded by its share; NaN where it is not told."""
    most = max((share for row in shares for share in row if share > 0), default=1.0)

    def cell(share: float) -> str:
        if math.isnan(share):
            return '<td class="s0">–</td>'
        shade = 0 if share == 0 else 1 + min(SHADES - 1, int(SHADES * share / most))
        text = "·" if share == 0 else f"{100 * share:.0f}" if share >= 0.01 else "&lt; 1"
        return f'<td class="s{shade}">{text}</td>'

    named = {au: unit.name for au, unit in ACTION_UNITS.items()}
    rows = (
        f'<tr><th scope="row">AU{au} <span class="muted">{named.get(au, "")}</span></th>'
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
        f'<tr><th scope="row">{word(one.about)} <span class="muted">{one.name}</span></th>'
        + "".join(f"<td>{value:.3g}</td>" for value in one.percentiles)
        + f"<td>{one.clips:,}</td></tr>"
        for one in measures
    )
    heads = (
        '<span class="hidden">measure</span>',
        *("median" if at == 50 else f"{at}%" for at in PERCENTILES),
        "clips",
    )
    return table("Measured in the encoded clips", heads, rows, style="measured stacked")


def verdicts(said: Verdicts) -> str:
    """Accepted shares: of all clips in sentences, by emotion and group in tables, and why clips were refused."""
    if said.left:
        return f'<p class="prose">{left_in_words(said.left)}</p>'
    every = said.rows[0]
    groups = dict.fromkeys(row.label for row in said.rows[1:])
    tables = "\n".join(_accepted(said, group) for group in groups)
    reasons = list(said.reasons.items())[:MOST_REASONS]
    listed = "".join(f"<li>{word(reason)}: {count:,}</li>" for reason, count in reasons)
    why = f'<h3>Why clips were refused</h3>\n<ul class="reasons">{listed}</ul>' if reasons else ""
    told = _planned(every) if said.planned else _judged(said)
    return f'<p class="prose">{escape(told)}</p>\n<div class="columns wider">\n{tables}\n</div>\n{why}'


def _planned(every: Row) -> str:
    """What an audit said of a whole plan."""
    refused = every.planned - every.accepted
    kept = every.final - every.accepted - every.stood_in
    parts = [
        "A program measured the frames of every clip after encoding. It accepts a clip where the labeled AUs act and "
        "others do not, onset, apex and offset lie near their labels, the face returns to neutral, and head and "
        f"identity keep still. Of {counted(every.planned, 'planned clip')} it accepted {every.accepted:,}, "
        f"{every.share} (95% interval {every.between}); {every.first:,} of them at the first attempt."
    ]
    if refused:
        told = (
            f"{kept:,} of these are still in the dataset, marked as rejected"
            if kept
            else "these are not in the dataset"
        )
        parts.append(f"It refused {refused:,}; {told}.")
    if every.stood_in:
        parts.append(f"A reserve stands in for them with {counted(every.stood_in, 'accepted clip')}.")
    return " ".join(parts)


def _judged(said: Verdicts) -> str:
    """What was said of some clips."""
    every = said.rows[0]
    share = f"{every.share} (95% interval {every.between})"
    told = f"{every.accepted:,} of {counted(every.planned, 'judged clip')} accepted, {share}."
    clips = every.planned + said.unjudged
    left = f" {said.unjudged:,} of {clips:,} clips were not judged." if said.unjudged else ""
    return f"{said.title}: {told}{left}"


def _accepted(said: Verdicts, group: str) -> str:
    """Rows of one label: share, its interval and the numbers that it comes from."""
    mine = [row for row in said.rows if row.label == group and row.planned + row.stood_in]
    reserve = any(row.stood_in for row in said.rows)
    heads = [HIDDEN_HEAD, BAR_HEAD, "share", "95% CI", "planned" if said.planned else "judged"]
    heads += ["at first", "in all"] if said.planned else ["accepted"]
    heads += ["reserve"] if reserve else []
    return table(
        f"{said.title}, by {group}", heads, (_row(row, said.planned, reserve) for row in mine), style="counts stacked"
    )


def _row(row: Row, planned: bool, reserve: bool) -> str:
    known = row.planned > 0
    drawn = bar(row.accepted / row.planned, (row.low, row.high)) if known else ""
    numbers = [row.planned, *([row.first] if planned else []), row.accepted, *([row.stood_in] if reserve else [])]
    cells = "".join(f"<td>{number:,}</td>" for number in numbers)
    return (
        f'<tr><th scope="row">{word(row.value)}</th><td class="wide">{drawn}</td><td>{row.share}</td>'
        f"<td>{row.between}</td>{cells}</tr>"
    )
