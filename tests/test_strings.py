"""Strings in two arrays."""

from __future__ import annotations

import pickle

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from equime_loader.arrays import strings


@given(st.lists(st.text(max_size=5)), st.integers(0, 3), st.integers(0, 3))
def test_they_are_those_of_arrow(words: list[str], before: int, after: int) -> None:
    array = pa.array(words, pa.string()).slice(before, max(0, len(words) - before - after))
    for found in (strings(array), pickle.loads(pickle.dumps(strings(array)))):
        assert [found[number] for number in range(len(found))] == array.to_pylist()


def test_what_is_null_is_empty() -> None:
    found = strings(pa.array(["a", None, "b"]))
    assert [found[number] for number in range(3)] == ["a", "", "b"]
