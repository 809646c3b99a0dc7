"""Which clips a page may show, and which of them it does: evenly over emotions, groups and subjects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from equime_builder.counts import coded
from equime_builder.origins import IMPORTED
from equime_builder.spread import spread
from equime_loader.tables import counted

OWN, ALLOWED, ACCEPTED = "equime", "allowed", "accepted"
# Portrait sources: faces that are nobody's; photographs that their owner may release; photographs that nobody here may.
DRAWN, OWNED, CELEBA = "procedural", "folder", "celeba-hq"
UNRELEASED = "clips of photographed people, who were not released for a page"


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
        photographs: whether people on photographs of a folder may be shown: their consent or their license allows it.

    Raises:
        ValueError: a number out of its bounds, or no clip that may be shown.
    """
    reasons = withheld(index, photographs=photographs)
    counts = tuple((words, int(mask.sum())) for words, mask in reasons)
    allowed = np.flatnonzero(~np.any([mask for _, mask in reasons], axis=0))
    if not len(allowed):
        told = ", ".join(f"{words}: {count:,}" for words, count in counts if count)
        raise ValueError(f"none of {counted(len(index), 'clip')} may be shown ({told})")
    listed = allowed[spread(index.take(allowed), clips)]
    playing = listed[spread(index.take(listed), videos)] if videos else listed[:0]
    still = listed[~np.isin(listed, playing)]
    rows = in_turns(index, [playing, still])
    return Choice(rows, len(playing), tuple(entry for entry in counts if entry[1]))


def withheld(index: pa.Table, *, photographs: bool) -> list[tuple[str, NDArray[np.bool_]]]:
    """Why clips may not be shown: (reason, (N,) bool); a clip may have several reasons.

    A clip is shown where every condition is known to hold: what does not say where it is from is not shown.
    """

    def within(name: str, *words: str, unsaid: bool = False) -> NDArray[np.bool_]:
        """Where a column holds one of `words`; where it holds nothing, `unsaid`."""
        column = index[name]
        known = pc.fill_null(pc.is_in(column, pa.array(words, column.type)), False)
        return np.asarray(pc.or_(known, pc.and_(pc.is_null(column), unsaid)).to_numpy(), bool)

    imported = ~within("corpus", OWN) | within("generator", IMPORTED, unsaid=True)
    drawn, owned, celeba = (within("source", source) for source in (DRAWN, OWNED, CELEBA))
    return [
        ("clips of another corpus, or of none that is named", imported),
        ("clips restricted in publications", ~within("publication", ALLOWED, unsaid=True)),
        ("clips that the audit did not accept", ~within("audit_verdict", ACCEPTED, unsaid=True)),
        ("clips that experts did not accept", ~within("review_verdict", ACCEPTED, unsaid=True)),
        ("clips from photographs of CelebA-HQ, whose terms forbid to pass them on", ~imported & celeba),
        (UNRELEASED, ~imported & owned & (not photographs)),
        ("clips whose portraits are of no known source", ~imported & ~(drawn | owned | celeba)),
    ]


def in_turns(index: pa.Table, parts: list[NDArray[np.int64]]) -> tuple[int, ...]:
    """Rows part by part, in turns of one clip of each emotion: subjects that were shown least come first, and of those
    the clearest clip. The very first clip is the clearest of its part.
    """
    emotion, subject = (coded(index, name)[1] for name in ("emotion", "subject"))
    shown = np.zeros(subject.max() + 1, np.int64)
    order: list[int] = []
    for part in parts:
        left = _clearest_first(index, part)
        while len(left):
            turn = np.unique(emotion[left])
            for code in turn if order else np.roll(turn, -int(np.searchsorted(turn, emotion[left[0]]))):
                mine = np.flatnonzero(emotion[left] == code)
                row = int(left[mine[np.argmin(shown[subject[left[mine]]])]])
                order.append(row)
                shown[subject[row]] += 1
                left = left[left != row]
    return tuple(order)


def _clearest_first(index: pa.Table, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows, first those whose AUs mean what was intended; then by AUs on both sides, then by motion, the most first."""
    part = index.select(["emotion", "derived_emotion", "aus", "motion_inside"]).take(rows)
    meant = pc.fill_null(pc.equal(part["derived_emotion"], part["emotion"]), False).to_numpy()
    whole = np.array([sum(one["side"] == "both" for one in aus) for aus in part["aus"].to_pylist()], np.int64)
    motion = np.nan_to_num(part["motion_inside"].to_numpy(zero_copy_only=False).astype(float))
    return rows[np.lexsort((rows, -motion, -whole, ~np.asarray(meant, bool)))]
