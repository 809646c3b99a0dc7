"""Blocks of clips: a division of the selection, read once each, whoever asks and however often."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equime_loader import blocks as module
from equime_loader.blocks import BLOCK_BYTES, BlockReader, blocks_of
from equime_loader.storage import StorageError
from equime_loader.storage.ranges import spans

CLIPS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([600, 9_000, 11_000, 60_000]), st.integers(90_000, 300_000)),
    max_size=60,
)


def laid_out(clips: Sequence[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shard, offset and length of clips, each after a gap behind the one before in its shard."""
    ends: Counter[int] = Counter()
    places = []
    for shard, gap, length in clips:
        places.append((shard, ends[shard] + gap, length))
        ends[shard] += gap + length
    table = np.array(places, np.int64).reshape(-1, 3)
    return table[:, 0].astype(np.int32), table[:, 1], table[:, 2]


@given(CLIPS)
def test_a_block_is_one_request(clips: list[tuple[int, int, int]]) -> None:
    shard, offset, length = laid_out(clips)
    blocks = blocks_of(shard, offset, length)
    assert sorted(np.concatenate([np.empty(0, np.int64), *blocks.members]).tolist()) == list(range(len(clips)))
    for number, members in enumerate(blocks.members):
        assert (blocks.of[members] == number).all() and len(set(shard[members])) == 1
        (span,) = spans([(int(offset[p]), int(length[p])) for p in members])
        assert span.length <= BLOCK_BYTES + int(length[members].max())
        wanted = int(length[members].sum())
        assert span.length <= wanted * 1.17


def test_a_sparse_subset_has_blocks_of_one() -> None:
    shard, offset, length = laid_out([(0, 500_000, 100_000)] * 20)
    assert all(len(members) == 1 for members in blocks_of(shard, offset, length).members)


def reader(count: int, read: object = None) -> tuple[BlockReader, Counter[int]]:
    seen: Counter[int] = Counter()

    def answer(positions: Sequence[int]) -> list[bytes]:
        seen.update(positions)
        return [b"%d" % position for position in positions]

    blocks = blocks_of(*laid_out([(0, 600, 100_000)] * count))
    return BlockReader(blocks, read or answer), seen  # type: ignore[arg-type]


def test_each_clip_is_read_once_by_many_threads() -> None:
    blocks, seen = reader(200)
    asked = np.random.default_rng(0).permutation(200).reshape(-1, 8)
    with ThreadPoolExecutor(8) as pool:
        for positions, answers in zip(asked, pool.map(blocks.fetch, asked.tolist()), strict=True):
            assert answers == [b"%d" % position for position in positions]
    assert set(seen.values()) == {1} and len(seen) == 200


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD_BYTES", 60)
    blocks, seen = reader(400)
    for position in range(400):
        assert blocks.fetch([position]) == [b"%d" % position]
    assert sum(blocks._bytes.values()) <= 60 + 21 * 3 and set(blocks._held) == set(blocks._bytes)
    assert max(seen.values()) == 1
    blocks.fetch([0])
    assert seen[0] == 2


def test_a_fault_is_given_and_tried_again() -> None:
    tries: Counter[int] = Counter()

    def read(positions: Sequence[int]) -> list[bytes | StorageError]:
        tries.update(positions)
        return [StorageError("damaged") if p == 3 and tries[3] == 1 else b"good" for p in positions]

    blocks, _ = reader(5, read)
    first, again = blocks.fetch([3, 4]), blocks.fetch([3, 4])
    assert isinstance(first[0], StorageError) and first[1] == b"good"
    assert again == [b"good", b"good"]
    assert blocks.fetch(range(5)) == [b"good"] * 5
    assert [tries[position] for position in range(5)] == [1, 1, 1, 3, 1]


def test_a_block_of_which_nothing_came_is_tried_again_as_a_whole() -> None:
    asked: list[Sequence[int]] = []

    def read(positions: Sequence[int]) -> list[bytes | StorageError]:
        asked.append(list(positions))
        return [StorageError("no connection") if len(asked) == 1 else b"good" for _ in positions]

    blocks, _ = reader(5, read)
    assert isinstance(blocks.fetch([2])[0], StorageError)
    assert blocks.fetch([3, 4]) == [b"good", b"good"] and blocks.fetch([0]) == [b"good"]
    assert asked == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]


def test_an_exception_reaches_everyone_who_waits() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def read(positions: Sequence[int]) -> list[bytes]:
        begun.set()
        go_on.wait(5)
        raise OSError("gone")

    blocks, _ = reader(5, read)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(blocks.fetch, [0])
        begun.wait(5)
        second = pool.submit(blocks.fetch, [1])
        go_on.set()
        for future in (first, second):
            with pytest.raises(OSError, match="gone"):
                future.result()
    assert not blocks._held
