"""What each adapter makes of a stand-in of its corpus: rows in, events out, and every finding with its reason.

The stand-ins have the layout, the headers and the faults of the corpora, and no row or picture of them.
usage: read_stand_ins.py [CORPUS ...]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from corpora import make_casme2, make_casme_sq, make_samm, make_smic

from equime_loader.corpora import read_corpus
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
)


def main(wanted: list[str]) -> None:
    table, said = [], []
    for corpus, what, make, options in COPIES:
        if wanted and corpus not in wanted:
            continue
        with tempfile.TemporaryDirectory() as root:
            make(Path(root), **options)
            reading = read_corpus(corpus, root)
        lost = sum(finding.left_out for finding in reading.findings)
        noticed = len(reading.findings) - lost
        table.append([corpus, what, *map(str, (reading.rows, len(reading.events), lost, noticed))])
        said += [f"{corpus}: {finding}" for finding in reading.findings]
    print(text_table(["corpus", "copy", "rows in", "events out", "left out", "read by a convention"], table))
    print()
    print("\n".join(dict.fromkeys(said)))


if __name__ == "__main__":
    main(sys.argv[1:])
