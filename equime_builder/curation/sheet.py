"""The contact sheet of curation: who was taken, and who not and why, in one picture."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_builder.attributes.agreement import Agreement
from equime_builder.curation.survey import kind_of
from equime_builder.landmarks import cut
from equime_builder.page import Page
from equime_builder.pictures import decode_picture, locate, read_bytes
from equime_builder.portraits import PortraitError, Survey
from equime_loader.palette import BLUE, GREEN, INK, MUTED, PALE, VERMILION

COLUMNS, CELL, GAP, MARGIN = 8, 158, 12, 36
WIDTH = 2 * MARGIN + COLUMNS * CELL + (COLUMNS - 1) * GAP
WORDS = 66  # pixels below a picture
HEADING, HEAD = 40, 78
MOST_TAKEN, MOST_OF_A_REASON = 24, 8
LETTERS = 27  # of a line below a picture
LETTER = 9.3  # pixels of a heading's letter
TEXT_WIDTH = 190  # letters of a line across the page
TAKEN, NOT_NEEDED = "taken", "not needed"
COLORS = {TAKEN: GREEN, NOT_NEEDED: BLUE}


@dataclass(frozen=True, slots=True)
class Section:
    """Candidates with one fate: the heading says which, and of how many."""

    heading: str
    color: str
    rows: Sequence[Mapping[str, Any]]

    @property
    def columns(self) -> int:
        """How many columns it takes: for its pictures, or for its heading."""
        heading = -(-len(self.heading) * LETTER // (CELL + GAP))
        return min(COLUMNS, max(len(self.rows), int(heading)))

    @property
    def height(self) -> int:
        return HEADING + -(-len(self.rows) // COLUMNS) * (CELL + WORDS)


def sections(rows: Sequence[Mapping[str, Any]]) -> list[Section]:
    """Those who were taken, those who were not needed, then the others by kind of reason; at most so many of each."""
    kinds: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        kinds[TAKEN if row["taken"] else kind_of(row["reason"])].append(row)
    order = sorted(kinds, key=lambda kind: (kind != TAKEN, kind != NOT_NEEDED, -len(kinds[kind]), kind))
    return [_section(kind, kinds[kind]) for kind in order]


def _section(kind: str, rows: Sequence[Mapping[str, Any]]) -> Section:
    shown = spread(rows, MOST_TAKEN if kind == TAKEN else MOST_OF_A_REASON)
    part = f", {len(shown)} shown" if len(shown) < len(rows) else ""
    return Section(f"{kind}: {len(rows):,}{part}", COLORS.get(kind, VERMILION), shown)


def spread(rows: Sequence[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    """At most so many rows, evenly from first to last."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(place)] for place in np.linspace(0, len(rows) - 1, most)]


def lines_of(shown: Sequence[Section]) -> list[list[Section]]:
    """Sections side by side, as long as they fit into a line."""
    lines: list[list[Section]] = []
    for section in shown:
        if lines and sum(each.columns for each in lines[-1]) + section.columns <= COLUMNS:
            lines[-1].append(section)
        else:
            lines.append([section])
    return lines


def draw_sheet(root: Path, survey: Survey, agreements: Sequence[Agreement], title: str) -> Page:
    """Draw the sheet of a survey whose photographs lie below `root`."""
    assert survey.scores is not None
    lines = lines_of(sections(survey.scores.to_pylist()))
    facts = [part for fact in _facts(survey, agreements) for part in textwrap.wrap(fact, TEXT_WIDTH)]
    heights = [max(section.height for section in line) for line in lines]
    page = Page(WIDTH, HEAD + 17 * len(facts) + sum(heights) + MARGIN)
    page.text(MARGIN, 26, title, size=22, weight="bold")
    y = page.text(MARGIN, 60, "\n".join(facts), size=13, color=MUTED) + 14
    for line, height in zip(lines, heights, strict=True):
        page.rule(y, left=MARGIN, right=WIDTH - MARGIN)
        x = MARGIN
        for section in line:
            _draw_section(page, root, section, x, y)
            x += section.columns * (CELL + GAP)
        y += height
    return page


def _draw_section(page: Page, root: Path, section: Section, x: float, y: float) -> None:
    page.text(x, y + 10, section.heading, size=15, color=section.color, weight="bold")
    for place, row in enumerate(section.rows):
        left, top = x + place % COLUMNS * (CELL + GAP), y + HEADING + place // COLUMNS * (CELL + WORDS)
        _draw_cell(page, root, row, left, top, section.color)


def _facts(survey: Survey, agreements: Sequence[Agreement]) -> list[str]:
    assert survey.scores is not None
    taken = len(survey.subjects)
    facts = [f"{len(survey.scores):,} candidates, {taken:,} taken, {len(survey.scores) - taken:,} not taken"]
    if survey.shortfall:
        facts.append(survey.shortfall)
    for each in agreements:
        kappa = "" if each.kappa is None else f", kappa {each.kappa:.2f}"
        facts.append(f"apparent {each.attribute}: source and estimator agree on {each.agree} of {each.compared}{kappa}")
    return facts


def _draw_cell(page: Page, root: Path, row: Mapping[str, Any], left: float, top: float, color: str) -> None:
    axes = page.axes(left, top, CELL, CELL)
    axes.set(xticks=[], yticks=[])
    picture = _picture(root, row)
    if picture is None:
        axes.set_facecolor(PALE)
        axes.text(0.5, 0.5, "no picture", ha="center", va="center", color=MUTED, fontsize=9, transform=axes.transAxes)
    else:
        axes.imshow(picture, aspect="auto", interpolation="none")
    for spine in axes.spines.values():
        spine.set(visible=True, color=color, linewidth=1.6)
    name = row["reference"] if len(row["reference"]) <= LETTERS else f"…{row['reference'][1 - LETTERS :]}"
    y = page.text(left, top + CELL + 5, name, size=11, color=INK)
    lines = [line for part in _told(row) for line in textwrap.wrap(part, LETTERS)]
    page.text(left, y, "\n".join(lines[:3]), size=10.5, color=MUTED)


def _told(row: Mapping[str, Any]) -> list[str]:
    if not row["taken"]:
        kind, _, detail = str(row["reason"]).partition(": ")
        return [detail or kind]
    words = []
    for name in ("gender", "race", "age"):
        declared = row[f"declared_{name}"]
        value = row[f"estimated_{name}"] if declared is None else declared
        if value is not None:
            words.append(f"{int(value)}" if isinstance(value, float) else value)
    return [", ".join(words) or "no attributes", f"sharp {row['sharpness']:.2f}, smile {row['smile']:.2f}"]


def _picture(root: Path, row: Mapping[str, Any]) -> NDArray[np.uint8] | None:
    """The cut face, or the whole picture where there is not one face in it, (CELL, CELL, 3) uint8 RGB."""
    try:
        picture = decode_picture(read_bytes(locate(root, row["reference"])))
    except PortraitError:
        return None
    if row["crop_side"] is not None and row["faces"] == 1:
        return cut(picture, (row["crop_left"], row["crop_top"], row["crop_side"]), CELL)
    scale = CELL / max(picture.shape[:2])
    small = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))[:CELL, :CELL]
    whole = np.full((CELL, CELL, 3), 238, np.uint8)
    top, left = (CELL - small.shape[0]) // 2, (CELL - small.shape[1]) // 2
    whole[top : top + small.shape[0], left : left + small.shape[1]] = small
    return whole
