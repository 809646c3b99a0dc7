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
from equime_builder.figures import GREEN, INK, MUTED, PALE, VERMILION, Page
from equime_builder.landmarks import cut
from equime_builder.pictures import decode_picture, locate, read_bytes
from equime_builder.portraits import PortraitError, Survey

COLUMNS, CELL, GAP, MARGIN = 8, 158, 12, 36
WIDTH = 2 * MARGIN + COLUMNS * CELL + (COLUMNS - 1) * GAP
WORDS = 66  # pixels below a picture
HEADING, HEAD = 40, 78
MOST_TAKEN, MOST_OF_A_REASON = 24, 8
LETTERS = 27  # of a line below a picture
TEXT_WIDTH = 190  # letters of a line across the page


@dataclass(frozen=True, slots=True)
class Section:
    """Candidates with one fate: the heading says which, and of how many."""

    heading: str
    taken: bool
    rows: Sequence[Mapping[str, Any]]


def sections(rows: Sequence[Mapping[str, Any]]) -> list[Section]:
    """Those who were taken, then the others by kind of reason, most frequent first; at most so many of each."""
    taken = [row for row in rows if row["taken"]]
    kinds: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if not row["taken"]:
            kinds[row["reason"].split(":")[0]].append(row)
    found = [Section(f"taken: {len(taken):,}", True, spread(taken, MOST_TAKEN))]
    for kind, members in sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0])):
        found.append(Section(f"{kind}: {len(members):,}", False, spread(members, MOST_OF_A_REASON)))
    return found


def spread(rows: Sequence[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    """At most so many rows, evenly from first to last."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(place)] for place in np.linspace(0, len(rows) - 1, most)]


def draw_sheet(root: Path, survey: Survey, agreements: Sequence[Agreement], title: str) -> Page:
    """Draw the sheet of a survey whose photographs lie below `root`."""
    assert survey.scores is not None
    shown = sections(survey.scores.to_pylist())
    facts = _facts(survey, agreements)
    lines = [part for fact in facts for part in textwrap.wrap(fact, TEXT_WIDTH)]
    height = HEAD + 17 * len(lines) + sum(_height(section) for section in shown) + MARGIN
    page = Page(WIDTH, height)
    page.text(MARGIN, 26, title, size=22, weight="bold")
    y = page.text(MARGIN, 60, "\n".join(lines), size=13, color=MUTED) + 14
    for section in shown:
        page.rule(y, left=MARGIN, right=WIDTH - MARGIN)
        color = GREEN if section.taken else VERMILION
        page.text(MARGIN, y + 10, section.heading, size=15, color=color, weight="bold")
        for place, row in enumerate(section.rows):
            left = MARGIN + place % COLUMNS * (CELL + GAP)
            _draw_cell(page, root, row, left, y + HEADING + place // COLUMNS * (CELL + WORDS), color)
        y += _height(section)
    return page


def _height(section: Section) -> int:
    return HEADING + -(-len(section.rows) // COLUMNS) * (CELL + WORDS)


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
            words.append(f"{value:.0f}" if isinstance(value, float) else value)
    return [", ".join(words) or "no attributes", f"sharp {row['sharpness']:.2f}, smile {row['smile']:.2f}"]


def _picture(root: Path, row: Mapping[str, Any]) -> NDArray[np.uint8] | None:
    """The cut face, or the whole picture where none was cut out, (CELL, CELL, 3) uint8 RGB."""
    try:
        picture = decode_picture(read_bytes(locate(root, row["reference"])))
    except PortraitError:
        return None
    if row["crop_side"] is not None:
        return cut(picture, (row["crop_left"], row["crop_top"], row["crop_side"]), CELL)
    scale = CELL / max(picture.shape[:2])
    small = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))[:CELL, :CELL]
    whole = np.full((CELL, CELL, 3), 238, np.uint8)
    top, left = (CELL - small.shape[0]) // 2, (CELL - small.shape[1]) // 2
    whole[top : top + small.shape[0], left : left + small.shape[1]] = small
    return whole
