"""How many clips of each cell a balanced subset keeps: the core of `subsets`, on counts alone.

A cell is a combination of words, one for each attribute. A subset is a whole number for each cell, at most what there
is. Its margins are the sums over the cells of each word. All functions are pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Shares = NDArray[np.float64]

# Work after which the search for whole numbers ends with the best that it has; nodes, not seconds, so that results
# do not depend on the machine.
_MOST_NODES = 10_000
_MOST_NODES_SPREAD = 200
# A requested share is met within less than one clip; the solver holds constraints to 1e-6.
_WITHIN_ONE = 1 - 1e-5
_RAKING_ROUNDS = 100


@dataclass(frozen=True, slots=True, eq=False)
class Balance:
    """A balanced subset, as numbers.

    Attributes:
        kept: (C,) int64, how many of each cell.
        bound: no subset is larger than this; `kept.sum()` where that is proven to be the largest.
        binding: (C,) bool, cells of which every clip is used, and one more would allow a larger subset.
    """

    kept: Counts
    bound: int
    binding: NDArray[np.bool_]


def joint_balance(counts: Counts, shares: Shares) -> Balance:
    """The largest subset in which the cells hold given shares.

    Equal shares are met exactly, others within less than one clip.

    Args:
        counts: (C,) clips of each cell.
        shares: (C,) positive, they add up to 1.
    """
    if shares.min() == shares.max():
        least = int(counts.min())
        return Balance(np.full(len(counts), least), least * len(counts), counts == least)
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


def marginal_balance(cells: NDArray[np.integer], counts: Counts, shares: Sequence[Shares]) -> Balance:
    """The largest subset whose margins have given shares: an integer program, solved exactly by HiGHS.

    Equal shares of an attribute's words are met exactly, others within less than one clip. Of the largest subsets it is
    one whose cells lie near the raked counts (iterative proportional fitting), so that attributes become no more
    associated than the margins force them to be.

    Args:
        cells: (C, A) code of each attribute's word. counts: (C,) clips of each cell.
        shares: for each attribute, positive and adding up to 1 over its words.
    """
    program = _program(cells, counts, shares)
    relaxed, binding = program.relaxed()
    kept, bound = program.largest()
    near = program.nearest(_raked(cells, counts, shares, int(kept.sum())), int(kept.sum()))
    return Balance(kept if near is None else near, min(bound, relaxed), binding)


@dataclass(frozen=True, slots=True, eq=False)
class _Program:
    """An integer program over the kept counts, their total and what stands for the equal margins' level.

    Attributes:
        matrix: sparse, (constraints, variables): a column for each cell, one for the total, one for each level.
        lower, upper: of the constraints. most: (V,) of the variables, all at least 0. cells: how many there are.
    """

    matrix: Any
    lower: Shares
    upper: Shares
    most: Shares
    cells: int

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

    def largest(self) -> tuple[Counts, int]:
        """Kept counts of the largest total, and what no total exceeds."""
        solution = self._solve(
            -self._total(), self.matrix, self.lower, self.upper, self.most, mip_rel_gap=0, node_limit=_MOST_NODES
        )
        kept = np.zeros(self.cells, np.int64) if solution.x is None else _whole(solution.x[: self.cells])
        return kept, int(kept.sum()) if solution.status == 0 else int(np.floor(-solution.mip_dual_bound + 1e-6))

    def nearest(self, wanted: Counts, total: int) -> Counts | None:
        """Kept counts of the given total with the smallest sum of distances to the wanted ones, near enough."""
        from scipy import sparse

        cells, variables = self.cells, len(self.most)
        away, own = sparse.eye_array(cells), sparse.eye_array(cells, variables)
        matrix = sparse.block_array([[self.matrix, None], [own, -away], [-own, -away]], format="csr")
        endless = np.full(2 * cells, -np.inf)
        most = np.concatenate([self.most, np.full(cells, np.inf)])
        least = np.zeros_like(most)
        least[cells] = most[cells] = total
        solution = self._solve(
            np.concatenate([np.zeros(variables), np.ones(cells)]),
            matrix,
            np.concatenate([self.lower, endless]),
            np.concatenate([self.upper, wanted, -wanted]),
            most,
            least,
            mip_rel_gap=0.01,
            node_limit=_MOST_NODES_SPREAD,
        )
        return None if solution.x is None else _whole(solution.x[:cells])

    def _solve(
        self,
        cost: Shares,
        matrix: Any,
        lower: Shares,
        upper: Shares,
        most: Shares,
        least: Shares | float = 0.0,
        **how: Any,
    ) -> Any:
        from scipy.optimize import Bounds, LinearConstraint, milp

        whole = np.arange(len(cost)) < len(self.most)
        return milp(
            cost,
            constraints=LinearConstraint(matrix, lower, upper),
            bounds=Bounds(least, most),
            integrality=whole.astype(np.int64),
            options=how,
        )

    def _total(self) -> Shares:
        cost: Shares = (np.arange(len(self.most)) == self.cells).astype(np.float64)
        return cost


def _program(cells: NDArray[np.integer], counts: Counts, shares: Sequence[Shares]) -> _Program:
    from scipy import sparse

    count, even = len(counts), [wanted.min() == wanted.max() for wanted in shares]
    levels = np.cumsum(even) - 1
    blocks = [[sparse.csr_array(np.ones((1, count))), -np.ones((1, 1)), np.zeros((1, sum(even)))]]
    slack = [np.zeros(1)]
    for attribute, wanted in enumerate(shares):
        words = len(wanted)
        members = sparse.csr_array((np.ones(count), (cells[:, attribute], np.arange(count))), shape=(words, count))
        level = np.zeros((words, sum(even)))
        if even[attribute]:
            level[:, levels[attribute]] = -1
            blocks.append([members, np.zeros((words, 1)), level])
            blocks.append([sparse.csr_array((1, count)), np.ones((1, 1)), words * level[:1]])
            slack += [np.zeros(words + 1)]
        else:
            blocks.append([members, -wanted[:, None], level])
            slack += [np.full(words, _WITHIN_ONE)]
    matrix = sparse.vstack([sparse.hstack(row, format="csr") for row in blocks], format="csr")
    bound = np.concatenate(slack)
    most = np.concatenate([counts, np.full(1 + sum(even), counts.sum())]).astype(np.float64)
    return _Program(matrix, -bound, bound, most, count)


def _stacked(*parts: Any) -> Any:
    from scipy import sparse

    return sparse.vstack(parts, format="csr")


def _whole(values: Shares) -> Counts:
    whole: Counts = np.rint(values).astype(np.int64)
    return whole


def _raked(cells: NDArray[np.integer], counts: Counts, shares: Sequence[Shares], total: int) -> Counts:
    """Counts scaled to the wanted margins, never above what there is."""
    fitted = counts.astype(np.float64)
    for _ in range(_RAKING_ROUNDS):
        for attribute, wanted in enumerate(shares):
            margin = np.bincount(cells[:, attribute], fitted, minlength=len(wanted))
            fitted *= (total * wanted / np.maximum(margin, 1e-9))[cells[:, attribute]]
    result: Counts = np.rint(np.minimum(fitted, counts)).astype(np.int64)
    return result
