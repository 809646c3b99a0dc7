#!/usr/bin/env python3
"""What an import makes of a stand-in of each corpus: rows in, clips out, what was left out and why, and faults that
`equime verify` finds. Prints a Markdown table.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from textwrap import shorten
from typing import Any

import door
from read_stand_ins import COPIES, CORPORA, Corpora

from equime_builder.importing.plan import Request
from equime_builder.importing.run import import_corpus
from equime_builder.manifest import REJECTED, committed
from equime_builder.verify import verify
from equime_loader.corpora import read_corpus
from equime_loader.corpora.pseudonyms import VARIABLE as KEY_FILE

HEADS = ("corpus", "copy", "rows in", "clips out", "with signals", "left out", "why", "faults")
LONGEST = 64  # letters of a reason


def imported(corpus: str, make: Callable[..., Any], options: dict[str, Any], folder: Path) -> list[int | str]:
    """Rows, clips, clips with signals, events left out and clips rejected, why, faults that verify finds."""
    make(folder / "copy", **options)
    reading = read_corpus(corpus, folder / "copy")
    import_corpus(folder / "out", reading, Request())
    lines = [commit for _, commit in committed(folder / "out")]
    with open(folder / "out" / REJECTED, encoding="utf-8", newline="") as file:
        rejects = list(csv.DictReader(file))
    # The place of an event comes first in its reason.
    why = [line["reason"].partition(": ")[2] for line in rejects if line["what"] == "event"]
    why += [line["reason"] for line in rejects if line["what"] == "clip"]
    reasons = Counter(shorten(reason.replace("|", "/"), LONGEST, placeholder=" …") for reason in why)
    told = "; ".join(reason if count == 1 else f"{count} × {reason}" for reason, count in reasons.items())
    signals = sum(1 for _ in (folder / "out" / "signals").glob("*"))
    clips = sum(line.samples for line in lines)
    return [reading.rows, clips, signals, len(why), told, len(verify(folder / "out"))]


def main(corpora: Corpora = None) -> None:
    wanted = door.one_of(corpora, CORPORA)
    print(f"| {' | '.join(HEADS)} |\n| --- | --- |{' ---: |' * 4} --- | ---: |")
    for corpus, what, make, options in COPIES:
        if corpus not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            os.environ[KEY_FILE] = str(Path(folder) / "pseudonyms.key")
            cells = [corpus, what, *map(str, imported(corpus, make, options, Path(folder)))]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    door.run(main)
