"""What an import makes of a stand-in of each corpus: rows in, clips out, what was left out, and whether it verifies.

usage: import_stand_ins.py [CORPUS ...]
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from read_stand_ins import COPIES, KEY_FILE

from equime_builder.finish import committed
from equime_builder.importing.plan import Request
from equime_builder.importing.run import import_corpus
from equime_builder.verify import verify
from equime_loader.corpora import read_corpus
from equime_loader.tables import text_table


def imported(corpus: str, make: Callable[..., Any], options: dict[str, Any], folder: Path) -> list[int]:
    """Rows, events, clips, events left out, clips rejected, clips with signals, faults that verify finds."""
    make(folder / "copy", **options)
    reading = read_corpus(corpus, folder / "copy")
    import_corpus(folder / "out", reading, Request())
    lines = [commit for _, commit in committed(folder / "out")]
    lost = sum(finding.left_out for finding in reading.findings)
    clips, rejected = sum(line.samples for line in lines), sum(len(line.rejected) for line in lines)
    signals = sum(1 for _ in (folder / "out" / "signals").glob("*"))
    return [reading.rows, len(reading.events), clips, lost, rejected, signals, len(verify(folder / "out"))]


def main(wanted: list[str]) -> None:
    table = []
    for corpus, what, make, options in COPIES:
        if wanted and corpus not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            os.environ[KEY_FILE] = str(Path(folder) / "pseudonyms.key")
            table.append([corpus, what, *map(str, imported(corpus, make, options, Path(folder)))])
    heads = ["rows in", "events", "clips out", "left out", "rejected", "with signals", "faults"]
    print(text_table(["corpus", "copy", *heads], table))


if __name__ == "__main__":
    main(sys.argv[1:])
