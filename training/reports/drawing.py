"""How pictures of the reports are drawn: colors, places in inches, and two ways to write a figure.

A figure is drawn once. As a PNG it is white. Inside the page it is SVG whose colors are variables of the page's style
sheet, so that one drawing serves the light and the dark page. Colors are the palette of Okabe & Ito (2008), which stays
apart for color-blind readers; nothing is told by color alone.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from equime_loader.palette import BAND, BLUE, FAINT, GREEN, INK, MUTED, OLIVE, ORANGE, PURPLE, RULE, SKY, VERMILION

CARD = "#ffffff"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, OLIVE)
MARKERS = "oDs^vPX"
DPI, PIXELS, MARGIN = 150, 96, 0.25  # PIXELS of the page and MARGIN: an inch, inches
SMALL, NORMAL, TITLE = 8.5, 9.5, 13.0  # points

# Variables of page.css. A color that is not here would stay as it is on the dark page.
VARIABLES: Mapping[str, str] = {
    **{CARD: "card", INK: "ink", MUTED: "muted", FAINT: "faint", RULE: "rule", BAND: "band", BLUE: "blue"},
    **{SKY: "sky", VERMILION: "vermilion", GREEN: "green", ORANGE: "orange", PURPLE: "purple", OLIVE: "olive"},
}
_COLOR = re.compile("|".join(color.lower() for color in VARIABLES))
_BY_COLOR = {color.lower(): f"var(--{name})" for color, name in VARIABLES.items()}
_FONT = re.compile(r"font-family: [^;\"]*; ?")
_STYLE = re.compile(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)
_NAMED = re.compile(r'<g id="[^"]*"')
_SIZE = re.compile(r'width="[\d.]+pt" height="[\d.]+pt"')
_SPACE = re.compile(r"\s*\n\s*")


def sheet(width: float, height: float) -> Figure:
    """An empty white page of inches, without pyplot's global state."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor=CARD)
    FigureCanvasAgg(figure)
    return figure


def axes(figure: Figure, x: float, y: float, width: float, height: float) -> Axes:
    """Axes whose frame is a box of inches from the upper left corner, with quiet spines."""
    page_width, page_height = figure.get_size_inches()
    box = (x / page_width, 1 - (y + height) / page_height, width / page_width, height / page_height)
    made: Axes = figure.add_axes(box)
    made.set_facecolor(CARD)
    made.tick_params(labelsize=SMALL, colors=MUTED, length=3, width=0.6)
    for name, spine in made.spines.items():
        spine.set(visible=name in ("left", "bottom"), color=RULE, linewidth=0.8)
    for axis in (made.xaxis, made.yaxis):
        axis.label.set(fontsize=SMALL, color=MUTED)
    return made


def write(figure: Figure, x: float, y: float, words: str, *, size: float = NORMAL, **style: Any) -> None:
    """A line of text whose baseline lies `y` inches below the upper edge, `x` from the left."""
    width, height = figure.get_size_inches()
    style = {"color": INK, **style}
    figure.text(x / width, 1 - y / height, words, fontsize=size, parse_math=False, **style)


def heading(figure: Figure, title: str, note: str = "") -> None:
    """Title of a picture, and what it shows."""
    write(figure, MARGIN, 0.34, title, size=TITLE, weight="bold")
    write(figure, MARGIN, 0.56, note, color=MUTED)


def say(axes: Axes, x: float, y: float, words: str, offset: tuple[float, float] = (0, 0), **style: Any) -> None:
    """Words at a point of the data, moved by points."""
    style = {"color": INK, "fontsize": NORMAL, "va": "center", **style}
    axes.annotate(words, (x, y), offset, textcoords="offset points", annotation_clip=False, parse_math=False, **style)


def legend(figure: Figure, x: float, y: float, items: Sequence[Line2D], *, columns: int = 99) -> None:
    """A legend whose upper left corner lies at inches."""
    width, height = figure.get_size_inches()
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (x / width, 1 - y / height)}
    room: dict[str, Any] = {"borderaxespad": 0, "borderpad": 0, "frameon": False, "columnspacing": 1.6}
    made = figure.legend(handles=list(items), ncols=min(len(items), columns), fontsize=SMALL, **place, **room)
    for text in made.get_texts():
        text.set(color=MUTED)
        text.set_parse_math(False)


def key(label: str, color: str, marker: str = "", **style: Any) -> Line2D:
    """An item of a legend."""
    spot: dict[str, Any] = {"markersize": 6, "markeredgecolor": CARD, "linewidth": 2, **style}
    return Line2D([], [], color=color, marker=marker or "None", label=label, **spot)


def clipped(word: str, most: int) -> str:
    """A long word without its middle."""
    return word if len(word) <= most else f"{word[: most // 2]}…{word[len(word) - (most - most // 2 - 1) :]}"


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; the same figure gives the same bytes."""
    figure.savefig(path, metadata={"Software": None})


def svg(figure: Figure, name: str, about: str) -> str:
    """A figure as an SVG element for the page.

    Args:
        name: of the picture, unique on its page: marks and clips inside are named after it.
        about: what it shows, for those who do not see it.
    """
    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    for pattern, instead in ((_STYLE, ""), (_NAMED, "<g"), (_FONT, ""), (_SPACE, " ")):
        text = pattern.sub(instead, text)
    text = _COLOR.sub(lambda found: _BY_COLOR[found[0]], text)
    label, width = html.escape(about, quote=True), figure.get_figwidth() * PIXELS
    return _SIZE.sub(f'role="img" aria-label="{label}" style="--width: {width:.0f}px"', text, count=1).strip()
