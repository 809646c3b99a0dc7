"""Topping up: which clips of the reserve stand in for clips that were refused.

Filtering can unbalance what was balanced, so a refused clip is made up for in its own cell: the same split, emotion,
apparent gender and apparent race, performed by a subject who was held back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from equime_builder import manifest
from equime_builder.manifest import FolderError
from equime_builder.plan import PlannedClip, Shard, stratum
from equime_builder.portraits import Subject

Cell = tuple[str, str, str, str]


def cell_of(clip: PlannedClip, subjects: Mapping[str, Subject]) -> Cell:
    """Split, emotion, apparent gender and apparent race (`unknown` where nobody judged)."""
    gender, race, _ = stratum(subjects[clip.subject].attributes)
    return clip.split, clip.emotion, gender, race


def lacking(
    planned: Iterable[PlannedClip], stood_in: Iterable[PlannedClip], refused: Collection[str], cells: Mapping[str, Cell]
) -> Counter[Cell]:
    """How many clips each cell lacks: those of the plan that were refused, less those of the reserve that were taken.

    Args:
        stood_in: clips of the reserve that were made, the refused among them left out.
        cells: cell of each key.
    """
    found: Counter[Cell] = Counter(cells[clip.key] for clip in planned if clip.key in refused)
    found.subtract(cells[clip.key] for clip in stood_in)
    return +found


def stand_ins(clips: Sequence[PlannedClip], cells: Mapping[str, Cell], lacks: Counter[Cell]) -> list[PlannedClip]:
    """The first clips of the reserve, in their order, that fill what is lacking."""
    left = Counter(lacks)
    chosen = []
    for clip in clips:
        if left[cells[clip.key]] > 0:
            left[cells[clip.key]] -= 1
            chosen.append(clip)
    return chosen


def fill(
    clips: Sequence[PlannedClip],
    cells: Mapping[str, Cell],
    lacks: Counter[Cell],
    attempt: Callable[[list[PlannedClip]], Collection[str]],
) -> list[PlannedClip]:
    """The clips of a reserve shard that are tried, until nothing is lacking that they can fill; in their order.

    Args:
        attempt: makes clips, and gives the keys of those that were accepted.
    """
    tried: set[str] = set()
    while chosen := stand_ins([clip for clip in clips if clip.key not in tried], cells, lacks):
        tried |= {clip.key for clip in chosen}
        lacks = lacks - Counter(cells[key] for key in attempt(chosen))
    return [clip for clip in clips if clip.key in tried]


def lacking_before(root: Path, shard: Shard) -> Counter[Cell]:
    """What the shards of lower numbers leave lacking in the shard's split.

    Raises:
        FolderError: one of them is not committed.
    """
    header = manifest.read_header(root)
    clips, subjects = manifest.read_split_plan(root, shard.split)
    cells = {clip.key: cell_of(clip, subjects) for clip in clips}
    earlier = [
        each for each in manifest.shards_in(header, None) if each.number < shard.number and each.split == shard.split
    ]
    refused: set[str] = set()
    unused: set[str] = set()
    for each in earlier:
        commit = manifest.read_commit(root, each)
        if commit is None or commit.plan_sha256 != header["plan_sha256"]:
            raise FolderError(
                f"{root}: shard {shard.name} makes up for clips that earlier shards refused, and {each.name} is not "
                "built; build the shards before it first"
            )
        refused |= {rejection.name for rejection in commit.rejected}
        unused |= set(commit.unused)
    numbers = {each.number: each for each in earlier}
    planned = [clip for clip in clips if clip.shard in numbers and not numbers[clip.shard].reserve]
    stood_in = [
        clip
        for clip in clips
        if clip.shard in numbers and numbers[clip.shard].reserve and clip.key not in refused | unused
    ]
    return lacking(planned, stood_in, refused, cells)
