"""Counterfactual sets: clips of one expression program, performed by subjects of different groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equime_loader.arguments import as_names, check_kind
from equime_loader.fairness.groups import crossed
from equime_loader.joined import built
from equime_loader.selection import Selection
from equime_loader.stratify import cells_of
from equime_loader.tables import counted, percent

# What makes two programs the same: the seed draws AUs, sides, intensities and timing from an emotion under a profile,
# `do` changes one AU. The fields that show what was drawn guard against seeds that mean something else elsewhere.
PROGRAM_WORDS: tuple[str, ...] = ("emotion", "intervention", "au_text", "profile", "generator")
PROGRAM_NUMBERS: tuple[str, ...] = ("seed", "onset_frame", "apex_frame", "offset_frame")


@dataclass(frozen=True, slots=True, eq=False)
class CounterfactualSets:
    """Sets of clips that share a program and differ in who performs it: subject, and with it sway, blink and noise.

    Attributes:
        selection: the clips of all sets.
        across: the attributes whose words differ. groups: their words that occur, crossed where there are several.
        program: (n,) int64, number of each clip's set. group: (n,) int64, its place in `groups`.
        programs: sets there are. performed: programs in the selection they come from, by one group or more.
    """

    selection: Selection
    across: tuple[str, ...]
    groups: tuple[str, ...]
    program: NDArray[np.int64]
    group: NDArray[np.int64]
    programs: int
    performed: int

    @property
    def counts(self) -> NDArray[np.int64]:
        """(programs, groups) int64, clips of each."""
        cells = self.program * len(self.groups) + self.group
        return np.bincount(cells, minlength=self.programs * len(self.groups)).reshape(self.programs, -1)

    def __len__(self) -> int:
        return self.programs

    def __getitem__(self, number: int) -> Selection:
        """The clips of one program."""
        number = range(self.programs)[number]
        return self.selection.narrowed(self.program == number, f"program {number} of {self.programs:,}")

    def matched(self) -> CounterfactualSets:
        """Only the sets that every group takes part in.

        Raises:
            ValueError: there is none.
        """
        complete: NDArray[np.bool_] = np.all(self.counts > 0, axis=1)
        if not complete.any():
            most = int((self.counts > 0).sum(axis=1).max())
            raise ValueError(
                f"no program is performed by all {len(self.groups)} groups of {', '.join(self.across)}, at most by "
                f"{most}; narrow the selection to fewer groups, or build with a larger shared_program_subjects"
            )
        kept = complete[self.program]
        clips = self.selection.narrowed(kept, f"programs of all {len(self.groups)} groups: {int(complete.sum()):,}")
        program, programs = cells_of([self.program[kept]], int(kept.sum()))
        return CounterfactualSets(clips, self.across, self.groups, program, self.group[kept], programs, self.performed)

    def table(self, *, seed: int = 0) -> NDArray[np.int64]:
        """(programs, groups) int64: place in `selection` of one clip each, by lot where there are more, -1 for none."""
        lot = np.random.default_rng(seed).permutation(len(self.program))
        places = np.full((self.programs, len(self.groups)), -1, np.int64)
        places[self.program[lot], self.group[lot]] = lot
        return places

    def __str__(self) -> str:
        present = (self.counts > 0).sum(axis=1)
        return "\n".join(
            [
                f"{self.programs:,} of {self.performed:,} programs are performed by two or more groups of "
                f"{', '.join(self.across)}, in {counted(len(self.selection), 'clip')}",
                *(
                    f"  by {size} of {len(self.groups)} groups: {int(count):,} ({percent(count, self.programs)})"
                    for size, count in enumerate(np.bincount(present))
                    if count
                ),
            ]
        )


def counterfactuals(selection: Selection, across: str | Sequence[str]) -> CounterfactualSets:
    """The sets of clips with the same program on subjects of different groups.

    The same program means the same AUs, sides, intensities and timing. `matched()` of the result holds the sets that
    no group is missing from. Clips without a word in `across` are left out, and so are those of imported corpora, which
    follow no program.

    Raises:
        ValueError: an unknown attribute, no clip that was built here, fewer than two groups, or no program that two
            groups share.
    """
    check_kind("selection", selection, Selection, "a Selection, as open_dataset gives")
    names = as_names("across", across)
    told = ", ".join(names)
    _, label = crossed({name: selection.codes(name) for name in names})
    drawn = built(selection)
    if not drawn.any():
        raise ValueError(f"across={told}: the selection has no clip that was built from a program")
    known = np.flatnonzero(drawn & (label.codes >= 0))
    occurring = np.flatnonzero(np.bincount(label.codes[known], minlength=len(label.words)))
    if len(occurring) < 2:
        found = ", ".join(label.words[code] for code in occurring) or "none"
        raise ValueError(
            f"across={told}: the selection has clips of {len(occurring)} groups ({found}), at least 2 needed"
        )
    group = np.searchsorted(occurring, label.codes[known])
    program, performed = _programs(selection, known)
    pairs = np.unique(program * len(occurring) + group)
    shared = np.bincount(pairs // len(occurring), minlength=performed) > 1
    if not shared.any():
        raise ValueError(
            f"across={told}: none of {performed} programs is performed by two groups; "
            "build with shared_program_subjects above 1"
        )
    kept = shared[program]
    number, programs = cells_of([program[kept]], int(kept.sum()))
    clips = selection.narrowed(known[kept], f"programs shared across {told}: {programs:,}")
    words = tuple(label.words[code] for code in occurring)
    return CounterfactualSets(clips, names, words, number, group[kept], programs, performed)


def _programs(selection: Selection, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Number of the program of the clips at some positions, and how many programs there are."""
    columns: list[NDArray[np.integer]] = [selection.codes(name).codes[positions] for name in PROGRAM_WORDS]
    for name in PROGRAM_NUMBERS:
        numbers = selection.index.integers(name)[selection.rows[positions]]
        columns.append(np.unique(numbers, return_inverse=True)[1])
    return cells_of(columns, len(positions))
