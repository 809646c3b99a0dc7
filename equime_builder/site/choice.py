"""Which clips a page may show, and which of them it does: evenly over emotions and groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from equime_builder.figures import coded
from equime_builder.origins import IMPORTED
from equime_builder.preview import spread

OWN, RESTRICTED, REJECTED = "equime", "restricted", "rejected"
# The portrait source whose faces are nobody's.
DRAWN = "procedural"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a page shows.

    Attributes:
        rows: of the index, in the order of the page; the first `videos` of them play, the others are stills.
        withheld: number of clips that may not be shown, by the reason.
    """

    rows: tuple[int, ...]
    videos: int
    withheld: tuple[tuple[str, int], ...]


def choose(index: pa.Table, *, clips: int, videos: int, photographs: bool) -> Choice:
    """Choose the clips of a page.

    Args:
        clips: the most that are listed. videos: the most that play.
        photographs: whether people on photographs may be shown: their consent or their portraits' licence allows it.

    Raises:
        ValueError: a number out of its bounds, or no clip that may be shown.
    """
    reasons = withheld(index, photographs=photographs)
    counted = tuple((words, int(mask.sum())) for words, mask in reasons)
    allowed = np.flatnonzero(~np.any([mask for _, mask in reasons], axis=0))
    if not len(allowed):
        told = ", ".join(f"{words}: {count:,}" for words, count in counted if count)
        raise ValueError(f"none of {len(index):,} clips may be shown ({told})")
    listed = allowed[spread(index.take(allowed), clips)]
    playing = listed[spread(index.take(listed), videos)] if videos else listed[:0]
    still = listed[~np.isin(listed, playing)]
    rows = (*_alternating(index, playing), *_alternating(index, still))
    return Choice(rows, len(playing), tuple(entry for entry in counted if entry[1]))


def withheld(index: pa.Table, *, photographs: bool) -> list[tuple[str, NDArray[np.bool_]]]:
    """Why clips may not be shown: (reason, (N,) bool); a clip may have several reasons."""

    def where(condition: pa.ChunkedArray) -> NDArray[np.bool_]:
        return np.asarray(pc.fill_null(condition, False).to_numpy(), bool)

    imported = where(pc.equal(index["generator"], IMPORTED)) | where(pc.not_equal(index["corpus"], OWN))
    return [
        ("clips of another corpus", imported),
        ("clips restricted in publications", where(pc.equal(index["publication"], RESTRICTED))),
        ("clips rejected by the audit", where(pc.equal(index["audit_verdict"], REJECTED))),
        ("clips rejected by experts", where(pc.equal(index["review_verdict"], REJECTED))),
        (
            "clips of photographed people, not released with --photographs",
            ~imported & where(pc.not_equal(index["source"], DRAWN)) & (not photographs),
        ),
    ]


def _alternating(index: pa.Table, rows: NDArray[np.int64]) -> list[int]:
    """Rows in turns: one of each emotion, then the next of each."""
    emotion = coded(index, "emotion")[1][rows]
    turn = np.zeros(len(rows), np.int64)
    for code in np.unique(emotion):
        turn[emotion == code] = np.arange(np.count_nonzero(emotion == code))
    return [int(row) for row in rows[np.lexsort((rows, emotion, turn))]]
