"""What editions have changed, in words that everybody may read: they count who left, and name nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COUNTED = ("subjects", "clips")
DELETE = "Delete from every copy of an earlier version what `index.parquet` lists no more"


def change_in_words(change: Mapping[str, Any]) -> str:
    """What one edition has changed, as its note counts it: ``withdrawn: 1 subject, 4 clips``."""
    counts = [
        f"{change[name]} {name.removesuffix('s') if str(change[name]) == '1' else name}"
        for name in COUNTED
        if name in change
    ]
    return f"{change['what']}: {', '.join(counts)}" if counts else str(change["what"])


def left_in_words(clips: int) -> str:
    """Why an edition tells no share of accepted clips."""
    clause = "clip that audit or review rejected has" if clips == 1 else "clips that audit or review rejected have"
    return f"{clips:,} {clause} left the dataset: from those that stayed, no share of accepted clips can be told."


def must_delete(changes: Sequence[Mapping[str, Any]]) -> bool:
    """Whether people have left, so that holders of copies are to delete them."""
    return any("subjects" in change for change in changes)
