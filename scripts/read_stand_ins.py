#!/usr/bin/env python3
"""What each adapter makes of a stand-in of its corpus: rows in, events out, and every finding with its reason.

The stand-ins have the layout, the headers and the faults of the corpora, and no row or picture of them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import door
import typer
from corpora import (
    make_casme2,
    make_casme3,
    make_casme_sq,
    make_dfme,
    make_equime_published,
    make_fourdme,
    make_miex,
    make_mmew,
    make_mmme,
    make_samm,
    make_smic,
)

from equime_loader.corpora import read_corpus
from equime_loader.corpora.events import Finding
from equime_loader.corpora.pseudonyms import VARIABLE as KEY_FILE
from equime_loader.tables import text_table

# Corpus, what is special about the copy, and what makes it.
COPIES: tuple[tuple[str, str, Callable[..., Any], dict[str, Any]], ...] = (
    *(("casme2", version, make_casme2.make, {"version": version, "cropped": True}) for version in make_casme2.VERSIONS),
    ("samm", "text above the header", make_samm.make, {}),
    ("samm", "repaired", make_samm.make, {"text_above": 0}),
    *(("samm_long", version, make_samm.make_long, {"version": version}) for version in ("V1", "V2", "V3")),
    ("smic_hs", "extended", make_smic.make, {}),
    ("smic_hs", "folders, raw", make_smic.make_folders, {}),
    ("smic_hs", "folders, cropped", make_smic.make_folders, {"cropped": True}),
    ("smic_vis", "extended", make_smic.make, {"camera": "VIS"}),
    ("smic_nir", "extended", make_smic.make, {"camera": "NIR"}),
    *(("casme_sq", sheet, make_casme_sq.make, {"sheet": sheet}) for sheet in make_casme_sq.SHEETS),
    *(("casme3_a", version, make_casme3.make_a, {"version": version}) for version in ("v1", "v2")),
    ("casme3_a", "v2, micro-expressions only", make_casme3.make_a, {"everything": False}),
    ("casme3_c", "a folder per event", make_casme3.make_c, {}),
    ("casme3_c", "whole recordings", make_casme3.make_c, {"whole": True}),
    *(("mmew", version, make_mmew.make, {"version": version}) for version in make_mmew.VERSIONS),
    ("4dme", "micro-expressions", make_fourdme.make, {}),
    ("4dme", "long videos", make_fourdme.make, {"long": True}),
    ("dfme", "train, testA, testB", make_dfme.make, {}),
    ("mmme", "with Macro/Micro", make_mmme.make, {}),
    ("mmme", "without Macro/Micro", make_mmme.make, {"kinds": False}),
    ("miex", "jpg", make_miex.make, {}),
    ("miex", "older png", make_miex.make, {"old": True}),
    ("equime_published", "as released", make_equime_published.make, {}),
    ("equime_published", "with sequence numbers", make_equime_published.make, {"released": False}),
)


CORPORA = [corpus for corpus, *_ in COPIES]
Corpora = Annotated[list[str] | None, typer.Argument(help="all without a name")]


def read(corpus: str, make: Callable[..., Any], options: dict[str, Any]) -> tuple[list[int], tuple[Finding, ...]]:
    """Rows, events, findings that cost an event, other findings; and the findings."""
    with tempfile.TemporaryDirectory() as root:
        make(Path(root), **options)
        reading = read_corpus(corpus, root)
    lost = sum(finding.left_out for finding in reading.findings)
    return [reading.rows, len(reading.events), lost, len(reading.findings) - lost], reading.findings


def main(corpora: Corpora = None) -> None:
    wanted = door.one_of(corpora, CORPORA)
    table, said = [], []
    # A key of this run only: the stand-in of MMME has made-up names, which become other pseudonyms each time.
    with tempfile.TemporaryDirectory() as folder:
        os.environ[KEY_FILE] = str(Path(folder) / "pseudonyms.key")
        for corpus, what, make, options in COPIES:
            if corpus not in wanted:
                continue
            row, findings = read(corpus, make, options)
            table.append([corpus, what, *map(str, row)])
            said += [f"{corpus}: {finding}" for finding in findings]
    print(text_table(["corpus", "copy", "rows in", "events out", "left out", "read by a convention"], table))
    print()
    print("\n".join(dict.fromkeys(said)))


if __name__ == "__main__":
    door.run(main)
