"""Choosing subjects: by requested marginals, within one subject, or the shortfall with its reasons.

The largest subset of given shares is found by the exact search of `equime_loader.fairness.balance`.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from equime_builder.curation.thresholds import Shares
from equime_builder.portraits import Attributes
from equime_loader.fairness.balance import marginal_balance
from equime_loader.schema import age_group
from equime_loader.tables import counted

# With which reasons begin that say nothing against the portrait itself.
NOT_NEEDED, UNKNOWN = "not needed: ", "unknown apparent "


@dataclass(frozen=True, slots=True)
class Fit:
    """A candidate that passed the thresholds."""

    name: str
    person: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Choice:
    """Who was chosen.

    Attributes:
        chosen: places of the candidates, in their order. reserve: places of further ones, in which they step in.
        left: why each of the others was not chosen, by place.
        shortfall: what could not be met, with numbers; None where all was met.
    """

    chosen: tuple[int, ...]
    reserve: tuple[int, ...]
    left: Mapping[int, str]
    shortfall: str | None


def word(attributes: Attributes, name: str) -> str | None:
    """The word that a marginal of `gender`, `race` or `age` counts."""
    if name == "age":
        return None if attributes.age is None else age_group(attributes.age)
    given: str | None = getattr(attributes, name)
    return given


def choose(fits: Sequence[Fit], shares: Shares, *, count: int | None, reserve: int = 0) -> Choice:
    """Choose subjects among those that passed.

    Without shares the first ones are taken. With shares it is the largest number, at most `count`, whose marginals are
    each met within less than one subject; of a cell the first ones are taken, in turns over its persons.

    Args:
        count: how many at most; None for all that the shares allow.
        reserve: how many more to name, in the order in which they step in: always from the cell that lacks most.
    """
    asked = shares.asked()
    if not asked:
        return _first(fits, count, reserve)
    left: dict[int, str] = {}
    cells: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, fit in enumerate(fits):
        words = {name: word(fit.attributes, name) for name in asked}
        if unknown := [name for name, value in words.items() if value is None]:
            left[place] = f"{UNKNOWN}{unknown[0]}: shares of it are asked for"
        elif unwanted := [f"{value}" for name, value in words.items() if not asked[name].get(value or "")]:
            left[place] = f"{NOT_NEEDED}no share of {unwanted[0]} is asked for"
        else:
            cells[tuple(value for value in words.values() if value)].append(place)
    queues = {cell: _by_turns(fits, places) for cell, places in sorted(cells.items())}
    kept, shortfall = _kept(queues, asked, count)
    chosen = sorted(place for cell, places in queues.items() for place in places[: kept[cell]])
    spare = {cell: places[kept[cell] :] for cell, places in queues.items()}
    extra = _reserve(spare, asked, kept, reserve)
    for cell, places in spare.items():
        enough = f"{NOT_NEEDED}{kept[cell]} of {' × '.join(cell)} were taken before it"
        left |= {place: enough for place in places if place not in extra}
    return Choice(tuple(chosen), tuple(extra), left, shortfall)


def _first(fits: Sequence[Fit], count: int | None, reserve: int) -> Choice:
    total = len(fits) if count is None else min(count, len(fits))
    extra = range(total, min(total + reserve, len(fits)))
    left = dict.fromkeys(range(extra.stop, len(fits)), f"{NOT_NEEDED}{total} were taken before it")
    short = None if count is None or total == count else f"{counted(count, 'subject')} asked for, {total} can be taken"
    return Choice(tuple(range(total)), tuple(extra), left, short)


def _by_turns(fits: Sequence[Fit], places: Sequence[int]) -> list[int]:
    """Places so that every person comes once before any comes twice."""
    seen: Counter[str] = Counter()
    turns = []
    for place in places:
        turns.append((seen[fits[place].person], place))
        seen[fits[place].person] += 1
    return [place for _, place in sorted(turns)]


def _kept(
    queues: Mapping[tuple[str, ...], Sequence[int]], asked: Mapping[str, Mapping[str, float]], count: int | None
) -> tuple[dict[tuple[str, ...], int], str | None]:
    """How many of each cell stay, and what is short."""
    names = list(asked)
    wanted = {name: [each for each, weight in asked[name].items() if weight > 0] for name in names}
    if not queues:
        return {}, f"no portrait that passes has words in {', '.join(names)}"
    codes = np.array([[wanted[name].index(each) for name, each in zip(names, cell, strict=True)] for cell in queues])
    counts = np.array([len(places) for places in queues.values()], np.int64)
    weights = [np.array([asked[name][each] for each in wanted[name]], np.float64) for name in names]
    balance = marginal_balance(codes, counts, [part / part.sum() for part in weights], most=count or int(counts.sum()))
    kept = dict(zip(queues, (int(number) for number in balance.kept), strict=True))
    total, available = int(balance.kept.sum()), int(counts.sum())
    if total == (available if count is None else count):
        return kept, None
    scarce = [
        f"{each} (none, {asked[name][each] / sum(asked[name].values()):.1%} asked for)"
        for which, name in enumerate(names)
        for each in wanted[name]
        if all(cell[which] != each for cell in queues)
    ]
    scarce += [
        f"{' × '.join(cell)} ({len(places)})"
        for cell, places, used_up in zip(queues, queues.values(), balance.binding, strict=True)
        if used_up
    ]
    why = f"; used up: {', '.join(scarce[:6])}{' …' if len(scarce) > 6 else ''}" if scarce else ""
    asked_for = "" if count is None else f"{counted(count, 'subject')} asked for, "
    return kept, f"{asked_for}{total} can be taken with these shares, of {counted(available, 'passing portrait')}{why}"


def _reserve(
    spare: Mapping[tuple[str, ...], Sequence[int]],
    asked: Mapping[str, Mapping[str, float]],
    kept: Mapping[tuple[str, ...], int],
    count: int,
) -> list[int]:
    """Further places, each from the cell whose words lack most of their shares among all that are named so far."""
    total = {name: sum(weights.values()) for name, weights in asked.items()}
    held = {name: Counter[str]() for name in asked}
    for cell, number in kept.items():
        for name, each in zip(asked, cell, strict=True):
            held[name][each] += number
    waiting = {cell: list(places) for cell, places in spare.items() if places}
    named: list[int] = []
    for size in itertools.islice(itertools.count(sum(kept.values()) + 1), count):
        if not waiting:
            break

        def lack(cell: tuple[str, ...], size: int = size) -> float:
            return sum(
                size * asked[name][each] / total[name] - held[name][each]
                for name, each in zip(asked, cell, strict=True)
            )

        cell = max(waiting, key=lambda each: (round(lack(each), 9), -waiting[each][0]))
        named.append(waiting[cell].pop(0))
        for name, each in zip(asked, cell, strict=True):
            held[name][each] += 1
        if not waiting[cell]:
            del waiting[cell]
    return named
