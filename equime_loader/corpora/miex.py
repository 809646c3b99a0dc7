"""MiE-X (Liu et al., "How to Synthesize a Large-Scale and Trainable Micro-Expression Dataset?", ECCV 2022): synthetic
pairs of pictures, onset and apex.

    generated5k_mmewAU/000106_mmew_0/0.jpg, 1.jpg     older: 0_out.png, 1_out.png

A folder's name is identity, source of the AUs, and class: 0 negative, 1 positive, 2 surprise, as MEGC2019 numbers them.
(Other readers have taken 0 for positive.) The pairs have no time: they are read as two frames at 25 per second, the
timing `assumed`. The faces come from CelebA and EmotionNet, and may be those of EquiME's portraits of CelebA-HQ.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from equime_loader.corpora.annotations import Annotation, Conventions, Span
from equime_loader.corpora.copies import Copy
from equime_loader.corpora.events import FrameFiles, Known, Reading
from equime_loader.corpora.sheets import SheetError

CLASSES = ("negative", "positive", "surprise")
RULES = Conventions("miex", 25.0, CLASSES, has_aus=False, first_frame=0)
IDENTITIES, SOURCES = 5000, 3
FOLDER = r"(?P<identity>[0-9]{3,})_(?P<source>[a-z][a-z+-]*)_(?P<number>[0-9]+)"
PICTURE = re.compile(r"(?P<number>[01])(_out)?\.(jpe?g|png)", re.IGNORECASE)
TIMING = Span(0, 1, 1, "assumed")


def read(copy: Copy) -> Reading:
    """Every pair of a copy.

    Raises:
        SheetError: no folder is named as the corpus names its pairs.
    """
    folders = [path for path in copy.wanted(copy.tree.named(FOLDER)) if path.is_dir()]
    found = [(path, match) for path in folders if (match := re.fullmatch(FOLDER, path.name, re.IGNORECASE))]
    if not found:
        raise SheetError(f"{copy.tree.root}: no folder named like 000106_mmew_0")
    rows = []
    for path, match in found:
        where, number = copy.tree.relative(path), int(match["number"])
        if number < len(CLASSES):
            rows.append((path, Annotation(where, match["identity"], path.name, "0", "1", "1", CLASSES[number])))
        else:
            copy.ledger.left_out(where, f"{match['identity']}/{path.name}", f"class {number} is none of 0, 1, 2")
    corrected = copy.corrected([row for _, row in rows])
    events = []
    for (path, _), row in zip(rows, corrected, strict=True):
        if pair := _pair(path):
            events.append(copy.event(row, pair, RULES, span=TIMING))
        else:
            copy.ledger.left_out(row.where, row.name, "one of its two pictures is lacking")
    return copy.reading("names of folders", len(found), events, _known({match["source"] for _, match in found}))


def _pair(folder: Path) -> list[FrameFiles]:
    """The two pictures of a folder; nothing where one is lacking."""
    names = {int(match["number"]): name for name in os.listdir(folder) if (match := PICTURE.fullmatch(name))}
    return [FrameFiles({number: folder / names[number] for number in (0, 1)})] if len(names) == 2 else []


def _known(sources: set[str]) -> Known:
    """Counts of a copy that has some of the three sources whole."""
    clips = IDENTITIES * len(sources)
    rows = clips * len(CLASSES)
    return Known(rows, rows, IDENTITIES, dict.fromkeys(CLASSES, clips)) if len(sources) <= SOURCES else Known()
