"""How many clips of each cell a balanced subset keeps: the core of `subsets`, on counts alone.

A cell is a combination of words, one for each attribute. A subset is a whole number for each cell, at most what there
is. Its margins are the sums over the cells of each word. All functions are pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Shares = NDArray[np.float64]

# Work after which the search for whole numbers ends with the best that it has; nodes, not seconds, so that results
# do not depend on the machine.
_MOST_NODES = 10_000
_MOST_NODES_BOX = 50
# A share that is not met exactly is met within less than one clip; the solver holds constraints to 1e-6.
_WITHIN_ONE = 1 - 1e-5
_ROUNDING = 1e-13  # what a share may be off that is a quotient of two whole numbers
_RAKING_ROUNDS = 50
_MOST_FACTOR = 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Balance:
    """A balanced subset, as numbers.

    Attributes:
        kept: (C,) int64, how many of each cell.
        bound: no subset is larger than this; `kept.sum()` where that is proven to be the largest.
        binding: (C,) bool, cells that the subset is short of: more of them would allow a larger one.
    """

    kept: Counts
    bound: int
    binding: NDArray[np.bool_]


def joint_balance(counts: Counts, shares: Shares) -> Balance:
    """The largest subset in which the cells hold given shares exactly.

    Where no subset does, the largest in which they are met within less than one clip.

    Args:
        counts: (C,) clips of each cell.
        shares: (C,) positive, they add up to 1.
    """
    if step := _step(shares, int(counts.sum())):
        weights = _whole(shares * step)
        times = int((counts // weights).min())
        if times:
            return Balance(times * weights, times * step, counts // weights == times)
    # Rounding may stretch a cell by less than one clip. Above the first total, some cell surely lacks one.
    total = int(((counts + 1) / shares).min())
    while True:
        wanted = shares * total
        low = np.maximum(np.floor(wanted - _WITHIN_ONE) + 1, 0).astype(np.int64)
        high = np.minimum(np.ceil(wanted + _WITHIN_ONE) - 1, counts).astype(np.int64)
        if (low <= high).all() and low.sum() <= total <= high.sum():
            break
        total -= 1
    kept = np.clip(np.rint(wanted).astype(np.int64), low, high)
    order = np.argsort(-(wanted - kept), kind="stable")
    while missing := total - int(kept.sum()):
        step = 1 if missing > 0 else -1
        free = [cell for cell in order[::step] if low[cell] <= kept[cell] + step <= high[cell]]
        kept[free[: abs(missing)]] += step
    return Balance(kept, total, counts / shares == (counts / shares).min())


def _step(shares: Shares, most: int) -> int:
    """The least total of which shares are whole numbers; 0 where it is above `most`."""
    parts = [Fraction(share).limit_denominator(most) for share in shares.tolist()]
    if max(abs(float(part) - share) for part, share in zip(parts, shares.tolist(), strict=True)) > _ROUNDING:
        return 0
    step = math.lcm(*(part.denominator for part in parts))
    return step if step <= most else 0


def marginal_balance(
    cells: NDArray[np.integer], counts: Counts, shares: Sequence[Shares], *, most: int | None = None
) -> Balance:
    """The largest subset whose margins have given shares: an integer program, solved exactly by HiGHS.

    Shares are met exactly. Where nothing can be kept so, those of one attribute after another, the finest first, are
    met within less than one clip; equal ones never are. Of the largest subsets it is one whose cells lie near the raked
    counts (iterative proportional fitting), so that attributes become no more associated than the margins force them
    to be. 500 cells take hundredths of a second, 25,000 half a minute.

    Args:
        cells: (C, A) code of each attribute's word. counts: (C,) clips of each cell.
        shares: for each attribute, positive and adding up to 1 over its words.
        most: at most that many in all, and as many as that if it can be: then all shares are met within less than one
            clip, since the number may not divide.
    """
    even = [most is None and wanted.min() == wanted.max() for wanted in shares]
    steps = [
        len(wanted) if equal else 0 if most is not None else _step(wanted, int(counts.sum()))
        for wanted, equal in zip(shares, even, strict=True)
    ]
    while True:
        balance = _largest(cells, counts, shares, steps, most)
        exact = [which for which, step in enumerate(steps) if step and not even[which]]
        if balance.kept.any() or not exact:
            return balance
        steps[max(exact, key=steps.__getitem__)] = 0


def _largest(
    cells: NDArray[np.integer], counts: Counts, shares: Sequence[Shares], steps: Sequence[int], most: int | None
) -> Balance:
    """The largest subset where attributes with a step have their shares exactly, in multiples of it."""
    program = _program(cells, counts, shares, steps)
    relaxed, binding = program.relaxed()
    step = math.lcm(*filter(None, steps))
    # Above this, the relaxation or divisibility forbid it.
    bound = total = min(relaxed, relaxed if most is None else most) // step * step
    while True:
        kept, settled = program.near(_raked(cells, counts, shares, total), total)
        if kept is not None:
            return Balance(kept, bound, binding)
        if settled and bound == total:
            bound -= step
        total -= step


@dataclass(frozen=True, slots=True, eq=False)
class _Program:
    """An integer program over the kept counts, their total and, of exact margins, how often the total holds the step.

    Attributes:
        matrix: sparse, (constraints, variables): a column for each cell, one for the total, one for each of `steps`.
        lower, upper: of the constraints. most: (V,) of the variables, all at least 0. cells: how many there are.
        steps: (E,) least total of each exact margin.
    """

    matrix: Any
    lower: Shares
    upper: Shares
    most: Shares
    cells: int
    steps: Counts

    def relaxed(self) -> tuple[int, NDArray[np.bool_]]:
        """Largest total if clips could be divided, rounded down, and the cells whose clips it is short of."""
        from scipy.optimize import linprog

        equal = self.lower == self.upper
        rest = self.matrix[~equal]
        solution = linprog(
            -self._total(),
            A_eq=self.matrix[equal],
            b_eq=self.upper[equal],
            A_ub=_stacked(rest, -rest),
            b_ub=np.concatenate([self.upper[~equal], -self.lower[~equal]]),
            bounds=np.stack([np.zeros_like(self.most), self.most], axis=1),
            method="highs",
        )
        return int(np.floor(-solution.fun + 1e-6)), solution.upper.marginals[: self.cells] < -1e-9

    def near(self, wanted: Counts, total: int) -> tuple[Counts | None, bool]:
        """Kept counts of a given total near the wanted ones, None where none is found, and whether that is settled.

        They are looked for in a box around the wanted counts that grows until it holds some, at last everywhere.
        """
        counts, room = self.most[: self.cells], 1
        while room <= counts.max(initial=0):
            least, most = np.maximum(wanted - room, 0), np.minimum(wanted + room, counts)
            kept, _ = self._between(least, most, total, _MOST_NODES_BOX)
            if kept is not None:
                return kept, True
            room *= 4
        return self._between(np.zeros(self.cells), counts, total, _MOST_NODES)

    def _between(self, least: Shares, most: Shares, total: int, nodes: int) -> tuple[Counts | None, bool]:
        from scipy.optimize import Bounds, LinearConstraint, milp

        fixed = [total, *(total // self.steps)]
        solution = milp(
            np.zeros(len(self.most)),
            constraints=LinearConstraint(self.matrix, self.lower, self.upper),
            bounds=Bounds(np.concatenate([least, fixed]), np.concatenate([most, fixed])),
            integrality=np.ones(len(self.most)),
            options={"node_limit": nodes},
        )
        infeasible = 2
        return None if solution.x is None else _whole(solution.x[: self.cells]), solution.status in (0, infeasible)

    def _total(self) -> Shares:
        cost: Shares = (np.arange(len(self.most)) == self.cells).astype(np.float64)
        return cost


def _program(cells: NDArray[np.integer], counts: Counts, shares: Sequence[Shares], steps: Sequence[int]) -> _Program:
    """The program; `steps` says of which attributes the shares are to be met exactly, 0 of which they are not."""
    from scipy import sparse

    count, exact = len(counts), np.array([step for step in steps if step], np.int64)
    place = iter(np.eye(len(exact)))
    blocks = [[sparse.csr_array(np.ones((1, count))), -np.ones((1, 1)), np.zeros((1, len(exact)))]]
    slack = [np.zeros(1)]
    for attribute, (wanted, step) in enumerate(zip(shares, steps, strict=True)):
        words = len(wanted)
        members = sparse.csr_array((np.ones(count), (cells[:, attribute], np.arange(count))), shape=(words, count))
        if step:
            times = next(place)[None]
            blocks.append([members, np.zeros((words, 1)), -_whole(wanted * step)[:, None] * times])
            blocks.append([sparse.csr_array((1, count)), np.ones((1, 1)), -step * times])
            slack += [np.zeros(words + 1)]
        else:
            blocks.append([members, -wanted[:, None], np.zeros((words, len(exact)))])
            slack += [np.full(words, _WITHIN_ONE)]
    matrix = sparse.vstack([_beside(*row) for row in blocks], format="csr")
    bound = np.concatenate(slack)
    most = np.concatenate([counts, np.full(1 + len(exact), counts.sum())]).astype(np.float64)
    return _Program(matrix, -bound, bound, most, count, exact)


def _raked(cells: NDArray[np.integer], counts: Counts, shares: Sequence[Shares], total: int) -> Counts:
    """Counts fitted to the wanted margins by factors for each word, where no cell gets more than there is."""
    weights = counts.astype(np.float64)
    for _ in range(_RAKING_ROUNDS):
        for attribute, wanted in enumerate(shares):
            codes = cells[:, attribute]
            weights = weights * _factors(codes, weights, counts, total * wanted)[codes]
            # Where margins leave a cell nothing, or all it has, weights would go to 0 or grow without end.
            weights = np.clip(weights, counts / _MOST_FACTOR, counts * _MOST_FACTOR)
    return _whole(np.minimum(weights, counts))


def _factors(codes: NDArray[np.integer], weights: Shares, counts: Counts, goals: Shares) -> Shares:
    """Factor u of each word for which its cells' min(weight * u, count) add up to the goal, or come nearest to it."""
    # Cells by the factor at which they are full: up to any of them, those before are full and the others are not.
    full_at = counts / weights
    order = np.lexsort((full_at, codes))
    code, factor = codes[order], full_at[order]
    first = np.searchsorted(code, np.arange(len(goals) + 1))
    full, scaled = (np.concatenate([[0.0], np.cumsum(values[order])]) for values in (counts, weights))
    before = full[:-1] - full[first[code]]
    rest = scaled[first[code + 1]] - scaled[:-1]
    reached = before + factor * rest >= goals[code] - 1e-9
    enough = np.append(np.flatnonzero(reached), len(code))
    chosen = enough[np.searchsorted(enough, first[:-1])]
    within = np.minimum(chosen, first[1:] - 1)
    exact = (goals - before[within]) / np.maximum(rest[within], 1e-9)  # a rest may be lost in rounding
    result: Shares = np.where(chosen < first[1:], exact, factor[within])
    return result


def _beside(*parts: Any) -> Any:
    from scipy import sparse

    return sparse.hstack(parts, format="csr")


def _stacked(*parts: Any) -> Any:
    from scipy import sparse

    return sparse.vstack(parts, format="csr")


def _whole(values: Shares) -> Counts:
    whole: Counts = np.rint(values).astype(np.int64)
    return whole
