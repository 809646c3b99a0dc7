"""The order of samples: nothing lost, nothing twice, the same everywhere, and what each kind of sampling promises."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from equime_loader.order import (
    ENDS,
    Balanced,
    Order,
    Position,
    Sampling,
    Uniform,
    Weighted,
    epoch_order,
    load_state_dict,
    open_shards,
    rank_share,
    state_dict,
)
from equime_loader.order.division import Ends
from equime_loader.order.keys import by_group, keys_of, purpose_key, ranked, splitmix64, unit

Integers = NDArray[np.int64]
some = settings(max_examples=60)
seeds = st.integers(-(2**40), 2**40)
epochs = st.integers(0, 1000)


def shard_sizes(kind: str, shards: int, size: int, seed: int) -> Integers:
    rng = np.random.default_rng(seed)
    drawn = {
        "equal": np.full(shards, size),
        "thinned": rng.binomial(10 * size, 0.1, shards) + 1,
        "uneven": np.ceil(rng.lognormal(2, 1, shards)).astype(np.int64),
    }
    return drawn[kind]


@st.composite
def orders(draw: st.DrawFn) -> Order:
    """Any order of up to 300 samples: any sampling, with and without windows."""
    n = draw(st.integers(0, 300))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shards = np.sort(rng.integers(0, draw(st.integers(1, 20)), n))
    samples = draw(st.none() | st.integers(1, 400))
    samplings: list[Sampling] = [
        Uniform(),
        Balanced(rng.integers(0, draw(st.integers(1, 8)), n), samples=samples),
        Weighted(rng.random(n) + 1e-3, samples=samples),
    ]
    return Order(
        rows=np.sort(rng.choice(10_000, n, replace=False)),
        seed=draw(seeds),
        sampling=draw(st.sampled_from(samplings)),
        shards=shards,
        window=draw(st.none() | st.integers(1, 400)),
    )


def opened(order: Integers, shards: Integers) -> tuple[int, int]:
    """Most shards begun and not finished at any time, and the longest stretch for which one is open."""
    places: dict[int, list[int]] = {}
    for place, shard in enumerate(shards[order].tolist()):
        places.setdefault(shard, []).append(place)
    change = np.zeros(len(order) + 1, np.int64)
    for where in places.values():
        change[where[0]] += 1
        change[where[-1] + 1] -= 1
    return int(np.cumsum(change).max()), max(where[-1] - where[0] + 1 for where in places.values())


def merged_ranks(order: Integers, **options: Any) -> list[int]:
    """The global sequence that all ranks together read: their samples interleaved."""
    parts = [
        [int(one) for batch in rank_share(order, rank=rank, **options) for one in batch.positions]
        for rank in range(options["ranks"])
    ]
    longest = max(len(part) for part in parts)
    return [part[at] for at in range(longest) for part in parts if at < len(part)]


# One epoch


@some
@given(n=st.integers(0, 400), seed=seeds, epoch=epochs, window=st.none() | st.integers(1, 500), data=st.data())
def test_a_uniform_epoch_is_a_permutation(
    n: int, seed: int, epoch: int, window: int | None, data: st.DataObject
) -> None:
    shards = np.array(data.draw(st.lists(st.integers(0, 12), min_size=n, max_size=n)), np.int64)
    order = epoch_order(Order(rows=np.arange(n), seed=seed, shards=shards, window=window), epoch)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(n))


@some
@given(order=orders(), epoch=epochs)
def test_an_epoch_holds_what_the_sampling_says_however_it_is_arranged(order: Order, epoch: int) -> None:
    arranged = epoch_order(order, epoch)
    plain = epoch_order(dataclasses.replace(order, shuffle=False), epoch)
    assert len(arranged) == len(order) == len(plain)
    assert sorted(arranged.tolist()) == plain.tolist()


def test_without_shuffle_the_selection_keeps_its_order() -> None:
    assert epoch_order(Order(rows=np.arange(50), seed=1, shuffle=False), 4).tolist() == list(range(50))


@some
@given(order=orders(), epoch=epochs)
def test_the_same_inputs_give_the_same_order_whatever_was_asked_before(order: Order, epoch: int) -> None:
    first = epoch_order(order, epoch)
    for other in range(3):
        epoch_order(order, other)
    assert np.array_equal(first, epoch_order(dataclasses.replace(order), epoch))


@pytest.mark.parametrize("window", [None, 60])
@pytest.mark.parametrize("sampling", [Uniform(), Balanced(np.arange(300) % 7), Weighted(np.arange(300) + 1.0)])
def test_epochs_and_seeds_differ(sampling: Sampling, window: int | None) -> None:
    order = Order(rows=np.arange(300), seed=1, sampling=sampling, shards=np.arange(300) // 10, window=window)
    drawn = [epoch_order(order, epoch) for epoch in range(6)]
    drawn += [epoch_order(dataclasses.replace(order, seed=seed), 0) for seed in range(2, 6)]
    for at, one in enumerate(drawn):
        for other in drawn[:at]:
            assert (one == other).mean() < 0.1


def test_a_permutation_puts_every_sample_everywhere_equally_often() -> None:
    """Chi-square over 5,000 epochs of 8 samples: 49 degrees of freedom, 99.9% below 85.4."""
    order, rows = Order(rows=np.arange(8), seed=11), np.arange(8)
    seen = np.zeros((8, 8))
    for epoch in range(5000):
        seen[rows, epoch_order(order, epoch)] += 1
    assert ((seen - 625) ** 2 / 625).sum() < 85.4


@some
@given(n=st.integers(1, 300), seed=seeds, epoch=epochs, data=st.data())
def test_a_part_keeps_the_order_of_the_whole(n: int, seed: int, epoch: int, data: st.DataObject) -> None:
    kept = np.array(sorted(data.draw(st.sets(st.integers(0, n - 1)))), np.int64)
    whole = epoch_order(Order(rows=np.arange(n), seed=seed), epoch)
    assert kept[epoch_order(Order(rows=kept, seed=seed), epoch)].tolist() == whole[np.isin(whole, kept)].tolist()


GOLDEN: dict[str, tuple[Sampling, int | None, list[int]]] = {
    "uniform": (Uniform(), None, [15, 1, 12, 14, 7, 13, 2, 5, 11, 8, 4, 3, 16, 0, 9, 6, 19, 18, 10, 17]),
    "balanced": (
        Balanced(np.arange(20) % 7 // 3),
        None,
        [1, 5, 13, 6, 14, 11, 6, 7, 4, 3, 13, 13, 2, 19, 8, 10, 6, 16, 17, 6],
    ),
    "weighted": (
        Weighted(np.arange(20.0)),
        None,
        [15, 12, 14, 7, 13, 16, 5, 19, 18, 11, 17, 15, 8, 3, 9, 16, 18, 10, 19, 17],
    ),
    "windowed": (Uniform(), 8, [7, 8, 11, 5, 9, 6, 10, 4, 1, 15, 14, 12, 2, 13, 3, 17, 16, 19, 18, 0]),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_orders(name: str) -> None:
    """These never change: a saved state would otherwise go on in another order (see VERSION in order/state.py)."""
    sampling, window, expected = GOLDEN[name]
    order = Order(rows=np.arange(20), seed=7, sampling=sampling, shards=np.arange(20) // 4, window=window)
    assert epoch_order(order, 3).tolist() == expected


def test_golden_keys() -> None:
    """The first outputs of SplitMix64 seeded with 1234567, as published for its reference implementation."""
    outputs = splitmix64(1234567, np.arange(5))
    assert outputs.tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert purpose_key("place", 7, 3) == 3398089165791900816
    drawn = unit(keys_of(np.arange(10_000), "unit"))
    assert drawn.min() >= 0 and drawn.max() < 1 and abs(drawn.mean() - 0.5) < 0.01


@pytest.mark.parametrize("different", [3, 10**12])
def test_ranks_are_those_of_a_stable_sort(different: int) -> None:
    keys = np.random.default_rng(0).integers(0, different, 5000, dtype=np.uint64)
    for values in (keys, keys / different):
        assert np.array_equal(ranked(values), np.argsort(values, kind="stable"))


def test_groups_stay_together_and_are_shuffled_within() -> None:
    groups = np.array([2, 0, 1, 0, 2, 1, 0, 0])
    order = by_group(groups, keys_of(np.arange(8), "groups"))
    assert groups[order].tolist() == sorted(groups.tolist())
    assert by_group(groups, keys_of(np.arange(8), "others")).tolist() != order.tolist()


def test_another_process_gives_the_same_order() -> None:
    program = (
        "import numpy as np; from equime_loader.order import *; n = np.arange(5000);"
        "order = Order(rows=n * 3, seed=-5, sampling=Balanced(n % 11), shards=n // 100, window=700);"
        "print(epoch_order(order, 9).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    n = np.arange(5000)
    order = Order(rows=n * 3, seed=-5, sampling=Balanced(n % 11), shards=n // 100, window=700)
    assert json.loads(done.stdout) == epoch_order(order, 9).tolist()


# Balanced


@some
@given(
    codes=st.lists(st.integers(0, 6), min_size=1, max_size=200),
    samples=st.none() | st.integers(1, 500),
    seed=seeds,
    last=st.integers(1, 12),
)
def test_balanced_counts_after_any_number_of_epochs(
    codes: list[int], samples: int | None, seed: int, last: int
) -> None:
    given_codes = np.array(codes)
    order = Order(rows=np.arange(len(codes)), seed=seed, sampling=Balanced(given_codes, samples=samples))
    classes = np.unique(given_codes)
    used = np.zeros(len(codes), np.int64)
    for epoch in range(last):
        counts = np.bincount(epoch_order(order, epoch), minlength=len(codes))
        assert counts.sum() == (len(codes) if samples is None else samples)
        used += counts
        for what, per_epoch in ((counts, 1), (used, epoch + 1)):
            places = np.array([what[given_codes == one].sum() for one in classes])
            assert np.ptp(places) <= 1
            assert places.sum() == per_epoch * len(order)
            assert all(np.ptp(what[given_codes == one]) <= 1 for one in classes)


def test_every_stretch_of_a_balanced_epoch_is_balanced() -> None:
    codes = np.repeat([0, 1, 2, 3, 4], [500, 250, 150, 80, 20])
    order = epoch_order(Order(rows=np.arange(1000), seed=3, sampling=Balanced(codes)), 0)
    for start in range(0, 985):
        assert np.bincount(codes[order[start : start + 16]], minlength=5).min() >= 1
    apart = [np.diff(np.flatnonzero(order == sample)).min() for sample in range(980, 1000)]
    assert np.median(apart) > 20  # each is used ten times in 1000 places


def test_balanced_over_a_window_keeps_counts_and_shards() -> None:
    codes, shards = np.random.default_rng(0).choice(3, 3000, p=(0.8, 0.15, 0.05)), np.arange(3000) // 50
    order = epoch_order(Order(rows=np.arange(3000), seed=3, sampling=Balanced(codes), shards=shards, window=400), 2)
    assert np.bincount(codes[order]).tolist() == [1000, 1000, 1000]
    assert opened(order, shards)[0] <= 8


# Weighted


@some
@given(
    weights=st.lists(st.integers(0, 50), min_size=1, max_size=100).filter(any),
    samples=st.none() | st.integers(1, 500),
    seed=seeds,
    epoch=epochs,
)
def test_weighted_counts_are_rounded_down_or_up(weights: list[int], samples: int | None, seed: int, epoch: int) -> None:
    n = len(weights)
    order = Order(rows=np.arange(n), seed=seed, sampling=Weighted(np.array(weights), samples=samples))
    counts = np.bincount(epoch_order(order, epoch), minlength=n)
    expected = np.array(weights) * len(order) / sum(weights)
    assert counts.sum() == len(order)
    assert (counts >= np.floor(expected - 1e-9)).all()
    assert (counts <= np.ceil(expected + 1e-9)).all()


def test_weighted_is_unbiased_over_epochs_and_over_seeds() -> None:
    weights = np.random.default_rng(5).lognormal(0, 1.5, 200)
    expected = weights / weights.sum() * 200

    def total(seed_step: int, epoch_step: int) -> NDArray[np.float64]:
        counts = np.zeros(200)
        for at in range(2000):
            order = Order(rows=np.arange(200), seed=at * seed_step, sampling=Weighted(weights), shuffle=False)
            counts += np.bincount(epoch_order(order, at * epoch_step), minlength=200)
        return counts

    assert np.abs(total(0, 1) - 2000 * expected).max() < 6  # a golden-ratio sequence stays that close
    spread = np.sqrt(2000 * (expected % 1) * (1 - expected % 1))
    assert (np.abs(total(1, 0) - 2000 * expected) < 4.5 * spread + 1e-6).all()  # independent draws: 4.5 sigma


def test_equal_weights_are_a_uniform_epoch() -> None:
    order = Order(rows=np.arange(777), seed=1, sampling=Weighted(np.full(777, 0.1)))
    assert sorted(epoch_order(order, 5).tolist()) == list(range(777))


# Windows of shards


@some
@given(
    kind=st.sampled_from(["equal", "thinned", "uneven"]),
    shards=st.integers(1, 60),
    size=st.integers(1, 50),
    seed=st.integers(0, 2**32),
    share=st.floats(0.001, 1.2),
)
def test_few_shards_are_open_and_none_for_long(kind: str, shards: int, size: int, seed: int, share: float) -> None:
    sizes = shard_sizes(kind, shards, size, seed)
    of, n = np.repeat(np.arange(shards), sizes), int(sizes.sum())
    window = max(1, int(share * n))
    lanes = open_shards(of, window)
    assert lanes == min(shards, max(2, window * shards // n))
    peak, stretch = opened(epoch_order(Order(rows=np.arange(n), seed=seed, shards=of, window=window), 0), of)
    assert peak <= lanes
    assert stretch <= 2.5 * lanes * sizes.max()


def test_a_window_as_long_as_the_selection_shuffles_it_as_a_whole() -> None:
    order = Order(rows=np.arange(100), seed=1, shards=np.arange(100) // 10, window=100)
    assert np.array_equal(epoch_order(order, 2), epoch_order(dataclasses.replace(order, window=None), 2))


def test_shards_come_in_another_order_each_epoch_and_meet_other_shards() -> None:
    shards = np.arange(2000) // 20
    order = Order(rows=np.arange(2000), seed=1, shards=shards, window=160)
    neighbors = []
    for epoch in range(2):
        sequence = shards[epoch_order(order, epoch)]
        neighbors.append({tuple(sorted(pair)) for pair in pairwise(sequence)})
    assert len(neighbors[0] & neighbors[1]) < 0.4 * len(neighbors[0])


def test_codes_of_shards_may_have_gaps() -> None:
    shards = np.repeat([3, 40, 41, 900], 25)
    order = epoch_order(Order(rows=np.arange(100), seed=1, shards=shards, window=50), 0)
    assert sorted(order.tolist()) == list(range(100))
    assert opened(order, shards)[0] == 2


PY1E = {(20_000, 200, 2): 4.693, (20_000, 200, 8): 8.842, (20_000, 200, 64): 9.446, (100_000, 100, 16): 8.872}


def entropy(sequence: Integers) -> float:
    counts = np.bincount(np.abs(np.diff(sequence)))
    shares = counts[counts > 0] / (len(sequence) - 1)
    return float(-(shares * np.log2(shares)).sum())


@pytest.mark.parametrize(("n", "shards", "window"), PY1E)
def test_shuffled_better_than_py1e_at_the_same_window(n: int, shards: int, window: int) -> None:
    """py1e's figures are those that scripts/measure_shuffle.py printed with mosaicml-streaming 0.13.0 beside."""
    of = np.arange(n) * shards // n
    order = Order(rows=np.arange(n), seed=0, shards=of, window=window * n // shards)
    both = np.mean(
        [(entropy(one), entropy(of[one])) for one in (epoch_order(order, epoch) for epoch in range(4))], axis=0
    )
    assert 2 * both.prod() / both.sum() > PY1E[n, shards, window]


# Division over ranks


@some
@given(order=orders(), ranks=st.integers(1, 7), batch_size=st.integers(1, 20), data=st.data())
def test_the_ranks_together_read_the_global_sequence(
    order: Order, ranks: int, batch_size: int, data: st.DataObject
) -> None:
    sequence = epoch_order(order, 1)
    start = data.draw(st.integers(0, len(sequence)))
    rest, step = sequence[start:].tolist(), ranks * batch_size
    options = {"ranks": ranks, "start": start, "batch_size": batch_size}
    assert merged_ranks(sequence, ends="uneven", **options) == rest
    assert merged_ranks(sequence, ends="drop", **options) == rest[: len(rest) // step * step]
    padded = merged_ranks(sequence, ends="pad", **options)
    assert padded[: len(rest)] == rest
    assert len(padded) == -(-len(rest) // step) * step
    extra = len(padded) - len(rest)
    assert padded[len(rest) :] == np.resize(sequence, extra).tolist()
    for ends in ENDS:
        shares = [rank_share(sequence, rank=rank, ends=ends, **options) for rank in range(ranks)]
        lengths = {len(share.positions) for share in shares}
        assert max(lengths) - min(lengths) <= (1 if ends == "uneven" else 0)
        assert sum(int(share.repeated.sum()) for share in shares) == (extra if ends == "pad" else 0)
        assert {share.left_out for share in shares} == {len(rest) % step if ends == "drop" else 0}
        if ends != "uneven":
            assert all(len(batch.positions) == batch_size for share in shares for batch in share)


def test_padding_is_marked_and_dropping_is_said() -> None:
    order = np.arange(10)[::-1].copy()
    padded = [rank_share(order, rank=rank, ranks=3, batch_size=2, ends="pad") for rank in range(3)]
    assert [batch.positions.tolist() for batch in padded[2]] == [[7, 4], [1, 8]]
    assert [batch.repeated.tolist() for batch in padded[2]] == [[False, False], [False, True]]
    assert str(padded[2]) == "rank 2 of 3: 2 batches of 2, 1 sample repeated to fill the end"
    dropped = rank_share(order, ranks=3, batch_size=2, start=3, ends="drop")
    assert [batch.positions.tolist() for batch in dropped] == [[6, 3]]
    assert str(dropped) == (
        "rank 0 of 3: 1 batch of 2, from sample 3 of the epoch's 10, "
        "1 sample of the epoch left out at the end, over all ranks"
    )


def test_a_selection_smaller_than_a_batch_is_repeated_as_often_as_needed() -> None:
    share = rank_share(np.array([5, 3]), rank=1, ranks=2, batch_size=3, ends="pad")
    assert [batch.positions.tolist() for batch in share] == [[3, 3, 3]]
    assert share.repeated.tolist() == [False, True, True]
    assert len(rank_share(np.zeros(0, np.int64), batch_size=3, ends="pad")) == 0


def test_batches_are_taken_by_number_as_workers_do() -> None:
    share = rank_share(np.arange(23), batch_size=4, ends="uneven")
    assert [batch.positions.tolist() for batch in share] == [share[at].positions.tolist() for at in range(6)]
    with pytest.raises(IndexError, match=r"batch must be from 0 to 5, got 6"):
        share[6]


# Stop and resume


@pytest.mark.parametrize("ends", ENDS)
def test_a_hundred_stops_and_resumes_lose_nothing_and_repeat_nothing(ends: Ends) -> None:
    """At random points, each time with other ranks and another batch size, over as many epochs as it takes."""
    rng = np.random.default_rng(ENDS.index(ends))
    codes, shards = rng.integers(0, 5, 1013), np.arange(1013) // 40
    order = Order(rows=np.arange(1013), seed=4, sampling=Balanced(codes), shards=shards, window=300)
    position, stops = Position(), 0
    read: dict[int, list[int]] = {}
    left: dict[int, int] = {}
    while stops < 100:
        ranks, batch_size = int(rng.integers(1, 8)), int(rng.integers(1, 33))
        options: dict[str, Any] = {"ranks": ranks, "start": position.samples, "batch_size": batch_size, "ends": ends}
        sequence = epoch_order(order, position.epoch)
        shares = [rank_share(sequence, rank=rank, **options) for rank in range(ranks)]
        taken = int(rng.integers(0, 12))
        parts = [
            [(int(one), bool(again)) for batch in list(share)[:taken] for one, again in zip(*batch, strict=True)]
            for share in shares
        ]
        for at in range(max(map(len, parts))):
            read.setdefault(position.epoch, []).extend(
                part[at][0] for part in parts if at < len(part) and not part[at][1]
            )
        consumed = {share.consumed(taken) for share in shares}
        assert len(consumed) == 1
        if taken >= len(shares[0]):
            left[position.epoch] = shares[0].left_out
        state = json.loads(json.dumps(state_dict(order, Position(position.epoch, consumed.pop()))))
        position, stops = load_state_dict(order, state), stops + 1
        if position.samples == len(order):
            position = Position(position.epoch + 1, 0)
    assert position.epoch >= 5
    for epoch in range(position.epoch):
        expected = epoch_order(order, epoch).tolist()
        assert read[epoch] == expected[: len(expected) - left[epoch]]
        assert ends == "drop" or left[epoch] == 0


def test_a_state_is_plain_and_says_what_it_depends_on() -> None:
    order = Order(rows=np.arange(10), seed=3, index="ab" * 32, shards=np.zeros(10, np.int64), window=4)
    state = state_dict(order, Position(2, 7))
    assert state["version"] == 1 and state["epoch"] == 2 and state["samples"] == 7 and state["seed"] == 3
    assert {type(value) for value in state.values()} == {int, str}
    assert load_state_dict(order, json.loads(json.dumps(state))) == Position(2, 7)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("index", {"index": "other"}),
        ("rows", {"rows": np.arange(1, 101)}),
        ("seed", {"seed": 2}),
        ("shuffle", {"shuffle": False}),
        ("sampling", {"sampling": Balanced(np.arange(100) % 3)}),
        ("sampling", {"sampling": Weighted(np.arange(100) + 1)}),
        ("window", {"window": None}),
        ("window", {"window": 31}),
        ("window", {"shards": np.arange(100) // 20}),
    ],
)
def test_a_state_of_another_order_is_refused_by_the_name_of_what_changed(field: str, change: dict[str, Any]) -> None:
    order = Order(rows=np.arange(100), seed=1, shards=np.arange(100) // 10, window=30)
    state = state_dict(order, Position(1, 5))
    other = dataclasses.replace(order, **change)
    with pytest.raises(ValueError, match=rf"^the state belongs to another order: {field} was [^;]*, is [^;]*$"):
        load_state_dict(other, state)


def test_shards_do_not_matter_without_a_window() -> None:
    order = Order(rows=np.arange(10), seed=1, shards=np.arange(10))
    assert load_state_dict(dataclasses.replace(order, shards=None), state_dict(order, Position())) == Position()


def test_what_is_wrong_with_a_state_is_said() -> None:
    order = Order(rows=np.arange(10), seed=1)
    state = state_dict(order, Position())
    with pytest.raises(ValueError, match=r"the state lacks seed, epoch: it was not saved by this loader"):
        load_state_dict(order, {name: value for name, value in state.items() if name not in ("seed", "epoch")})
    with pytest.raises(ValueError, match=r"version was 0, is 1"):
        load_state_dict(order, {**state, "version": 0})
    with pytest.raises(ValueError, match=r"samples must be at most 10, the length of an epoch, got 11"):
        load_state_dict(order, {**state, "samples": 11})
    with pytest.raises(ValueError, match=r"samples must be at most 10, the length of an epoch, got 12"):
        state_dict(order, Position(0, 12))
    with pytest.raises(ValueError, match=r"epoch must be an integer >= 0, got 1.5"):
        load_state_dict(order, {**state, "epoch": 1.5})
    with pytest.raises(ValueError, match=r"samples must be an integer >= 0, got -1"):
        Position(0, -1)


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": np.array([[1]])}, r"rows must be one integer per sample, got int64 of shape \(1, 1\)"),
        ({"rows": np.array([0.5])}, r"rows must be one integer per sample, got float64 of shape \(1,\)"),
        ({"rows": np.array([3, 1])}, r"rows must be ascending without duplicates; pass those of a Selection"),
        ({"rows": np.array([3, 3])}, r"rows must be ascending without duplicates"),
        ({"rows": np.array([-1, 3])}, r"rows must be from 0 to 1099511627775, got -1 … 3"),
        ({"shards": np.array([0])}, r"shards must be one per row \(2\), got 1"),
        ({"shards": np.array([0, -1])}, r"shards must be from 0 to 1099511627775, got -1 … 0"),
        ({"sampling": Balanced(np.array([0, 1, 1]))}, r"codes must be one per row \(2\), got 3"),
        ({"sampling": Weighted(np.array([0.5]))}, r"weights must be one per row \(2\), got 1"),
        ({"window": 0, "shards": np.array([0, 0])}, r"window must be >= 1 sample or None, got 0"),
        ({"window": 8}, r"window = 8 needs shards: the code of the shard of each sample"),
    ],
)
def test_an_order_names_what_is_wrong(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Order(**{"rows": np.array([1, 2]), "seed": 1, **change})


def test_samplings_name_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"codes must be one integer per sample, got float64 of shape \(2,\)"):
        Balanced(np.array([0.0, 1.0]))
    with pytest.raises(ValueError, match=r"codes must be >= 0, got 2 below \(samples without a label\); narrow"):
        Balanced(np.array([0, -1, -1]))
    with pytest.raises(ValueError, match=r"samples must be from 1 to 2147483647 or None, got 0"):
        Balanced(np.array([0]), samples=0)
    with pytest.raises(ValueError, match=r"weights must be finite and >= 0, got nan at position 1 \(2 such\)"):
        Weighted(np.array([1.0, np.nan, -1.0]))
    with pytest.raises(ValueError, match=r"weights must not all be 0: no sample could be drawn"):
        Weighted(np.zeros(3))
    with pytest.raises(ValueError, match=r"weights must be one number per sample, got an array of shape \(1, 2\)"):
        Weighted(np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"epoch must be >= 0, got -1"):
        epoch_order(Order(rows=np.arange(3), seed=1), -1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 2}, r"rank must be 0 … 1, got 2"),
        ({"ranks": 0}, r"ranks must be >= 1, got 0"),
        ({"batch_size": 0}, r"batch_size must be >= 1, got 0"),
        ({"start": 6}, r"start must be 0 … 5, got 6"),
        ({"ends": "cut"}, r"ends must be one of pad, drop, uneven, got 'cut'"),
    ],
)
def test_a_division_names_what_is_wrong(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rank_share(np.arange(5), **{"ranks": 2, "batch_size": 2, "ends": "pad", **change})


def test_an_order_cannot_be_changed_afterwards() -> None:
    rows, codes = np.arange(5), np.array([0, 0, 1, 1, 1])
    order = Order(rows=rows, seed=1, sampling=Balanced(codes))
    before = epoch_order(order, 0)
    rows += 100
    codes[:] = 0
    assert np.array_equal(epoch_order(order, 0), before)
    with pytest.raises(ValueError, match="read-only"):
        order.rows[0] = 9
