"""Real micro-expression corpora, each read from a user's own licensed copy into events of one form.

`CORPORA` says what there is; `read_corpus` reads one. Adapters are imported when their corpus is read.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from types import MappingProxyType

from equime_loader.corpora.catalog import ENTRIES, Corpus
from equime_loader.corpora.copies import Copy
from equime_loader.corpora.corrections import read_corrections
from equime_loader.corpora.events import Reading

__all__ = ["CORPORA", "Corpus", "read_corpus"]

CORPORA: Mapping[str, Corpus] = MappingProxyType({corpus.name: corpus for corpus in ENTRIES})


def read_corpus(
    name: str,
    root: str | PathLike[str],
    *,
    corrections: str | PathLike[str] | None = None,
    sheet: str | PathLike[str] | None = None,
    frames: str | None = None,
) -> Reading:
    """Every annotated event of a corpus, and what is not as it should be. No frame is decoded.

    Args:
        name: a key of `CORPORA`, in capitals or not. root: folder of the licensed copy.
        corrections: CSV file of rows to put right, see `corrections`.
        sheet: annotation file, where it lies elsewhere or several do; "none" to read folders alone (SMIC).
        frames: part of the path of the folders whose frames are wanted, where there are several copies of a clip.

    Raises:
        ValueError: no such corpus. FileNotFoundError: no such folder.
        SheetError: no annotation, or one that cannot be read.
    """
    if name.lower() not in CORPORA:
        raise ValueError(f"{name=} must be one of {', '.join(CORPORA)}")
    name = name.lower()
    copy = Copy(
        name,
        Path(root),
        sheet=None if sheet is None else Path(sheet),
        corrections=() if corrections is None else read_corrections(Path(corrections)),
        frames=frames,
    )
    reading: Reading = importlib.import_module(CORPORA[name].module).read(copy)
    return reading
