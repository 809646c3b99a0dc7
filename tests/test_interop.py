"""From a selection to Hugging Face and webdataset: its clips, all of them, no others, and no byte more."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import webdataset
from datasets.distributed import split_dataset_by_node
from httpserver import RangeServer, serving
from torch.utils.data import DataLoader

import equime_loader
from equime_loader import Selection, read_video, to_hugging_face, to_webdataset
from equime_loader.hf import torchcodec_works
from equime_loader.index import Index
from equime_loader.schema import LABELS, MEMBERS
from equime_loader.storage import CorruptionError
from equime_loader.storage.local import LocalStore

forks = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


@pytest.fixture(scope="module")
def some(built: Path) -> Selection:
    """Eight of the twelve clips, from several shards and splits, not neighbors."""
    return equime_loader.open_dataset(built).narrowed(np.array([0, 1, 3, 4, 6, 8, 10, 11]), "some")


@pytest.fixture(scope="module")
def tars(built: Path) -> dict[str, dict[str, bytes]]:
    """Members of every clip as tarfile reads them, by key."""
    found: dict[str, dict[str, bytes]] = {}
    for path in sorted((built / "wds").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, name = member.name.partition(".")
                file = tar.extractfile(member)
                assert file is not None
                found.setdefault(key, {})[name] = file.read()
    return found


def keys(selection: Selection) -> list[str]:
    return [row["key"] for row in selection.labels(["key"])]


class Counting(LocalStore):
    """A folder that keeps account of what is read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked: list[tuple[str, int, int]] = []

    def read(self, path: str, offset: int, length: int, *, sha256: str | None = None) -> bytes:
        self.asked.append((path, offset, length))
        return super().read(path, offset, length, sha256=sha256)


# --- Hugging Face


def plain(sample: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in sample.items() if name not in ("video", "au_curves")}


def test_hugging_face_gets_each_clip_as_the_folder_gives_it(
    some: Selection, built: Path, tars: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    given = to_hugging_face(some, decode=False)
    assert isinstance(given, datasets.IterableDataset)
    samples = list(given)
    assert [sample["key"] for sample in samples] == keys(some)
    whole = datasets.load_dataset(str(built), cache_dir=str(tmp_path))
    rows = {
        row["key"]: row for part in whole.values() for row in part.cast_column("video", datasets.Video(decode=False))
    }
    for sample in samples:
        assert plain(sample) == plain(rows[sample["key"]])
        assert sample["video"]["bytes"] == rows[sample["key"]]["video"]["bytes"] == tars[sample["key"]]["mp4"]
        assert sample["video"]["path"] == f"{sample['key']}.mp4"
    features = dict(whole["train"].features)
    del features["au_curves"]
    assert set(given.features) == {"video", *(field.name for field in LABELS)} == set(features)
    assert {name: kind for name, kind in given.features.items() if name != "video"} == {
        name: kind for name, kind in features.items() if name != "video"
    }


def test_hugging_face_decodes_where_it_can(some: Selection) -> None:
    if not torchcodec_works():
        pytest.skip("torchcodec or its FFmpeg libraries are absent")
    for decode in (True, None):
        sample = next(iter(to_hugging_face(some, decode=decode)))
        bytes_of = next(iter(to_hugging_face(some, decode=False)))["video"]["bytes"]
        difference = read_video(sample["video"]).astype(int) - read_video(bytes_of)
        assert np.abs(difference).max() <= 3


def test_without_torchcodec_hugging_face_gets_bytes(some: Selection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("equime_loader.hf.torchcodec_works", lambda: False)
    sample = next(iter(to_hugging_face(some)))
    assert read_video(sample["video"]).shape == (80, 128, 128, 3)


def test_hugging_face_reads_only_what_is_selected(built: Path, some: Selection) -> None:
    store = Counting(built)
    selection = Selection(Index(store), some.rows.copy)
    given = to_hugging_face(selection, decode=False)
    assert store.asked == []
    list(given)
    rows = pq.read_table(built / "index.parquet").take(some.rows.tolist()).to_pylist()
    assert sorted(store.asked) == sorted((row["shard"], row["mp4_offset"], row["mp4_length"]) for row in rows)
    store.asked.clear()
    next(iter(given))
    assert len(store.asked) <= 16


@forks
def test_hugging_face_divides_clips_among_workers(some: Selection) -> None:
    given = to_hugging_face(some, decode=False).select_columns(["key"])
    loader = DataLoader(given, batch_size=2, num_workers=2)
    counts = Counter(key for batch in loader for key in batch["key"])
    assert counts == Counter(keys(some))


def test_hugging_face_divides_clips_among_ranks(some: Selection) -> None:
    given = to_hugging_face(some, decode=False)
    parts = [list(split_dataset_by_node(given, rank, 2)) for rank in range(2)]
    assert [len(part) for part in parts] == [4, 4]
    assert sorted(sample["key"] for part in parts for sample in part) == sorted(keys(some))


def test_hugging_face_shuffles(some: Selection) -> None:
    given = to_hugging_face(some, decode=False).shuffle(seed=3, buffer_size=4)
    first = [sample["key"] for sample in given]
    assert first != keys(some) and sorted(first) == sorted(keys(some))
    assert [sample["key"] for sample in given] == first
    given.set_epoch(1)
    second = [sample["key"] for sample in given]
    assert second != first and sorted(second) == sorted(keys(some))


@pytest.mark.parametrize("after", [0, 1, 3, 7, 8])
def test_hugging_face_goes_on_where_it_stopped(some: Selection, after: int) -> None:
    given = to_hugging_face(some, decode=False)
    loop = iter(given)
    taken = [next(loop)["key"] for _ in range(after)]
    state = json.loads(json.dumps(given.state_dict()))
    fresh = to_hugging_face(some, decode=False)
    fresh.load_state_dict(state)
    assert taken + [sample["key"] for sample in fresh] == keys(some)


def test_one_clip_and_many_parts(built: Path) -> None:
    one = equime_loader.open_dataset(built).narrowed(np.array([5]), "one")
    assert [sample["key"] for sample in to_hugging_face(one, decode=False)] == keys(one)
    assert [sample["__key__"] for sample in to_webdataset(one)] == keys(one)


# --- webdataset


def test_webdataset_gets_the_members_of_the_tars(
    some: Selection, built: Path, tars: dict[str, dict[str, bytes]]
) -> None:
    samples = list(to_webdataset(some))
    assert [sample["__key__"] for sample in samples] == keys(some)
    shards = dict(zip(keys(some), [row["shard"] for row in some.index.rows(some.rows, ["shard"])], strict=True))
    for sample in samples:
        members = {name: value for name, value in sample.items() if not name.startswith("__")}
        assert members == tars[sample["__key__"]]
        assert tuple(members) == MEMBERS
        assert sample["__url__"] == f"{built}/{shards[sample['__key__']]}"


@pytest.mark.filterwarnings(
    # webdataset leaves the closing of its tar files to the garbage collector.
    "ignore:unclosed file:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # fmt: skip
def test_webdataset_decodes_as_it_decodes_the_tars(some: Selection, built: Path) -> None:
    here = {sample["__key__"]: sample for sample in to_webdataset(some).decode()}
    there = {}
    for path in sorted((built / "wds").glob("*.tar")):
        there |= {sample["__key__"]: sample for sample in webdataset.WebDataset(str(path), shardshuffle=False).decode()}
    assert set(here) == set(keys(some))
    for key, sample in here.items():
        assert {*sample} >= {*MEMBERS, "__key__", "__url__"}
        assert sample["json"] == there[key]["json"]
        assert sample["txt"] == there[key]["txt"]
        assert sample["mp4"] == there[key]["mp4"]
        np.testing.assert_array_equal(sample["au.npy"], there[key]["au.npy"])
    array = np.load(io.BytesIO(next(iter(to_webdataset(some)))["au.npy"]), allow_pickle=False)
    assert array.dtype == np.float16


def test_webdataset_goes_on_as_usual(some: Selection) -> None:
    shuffled = to_webdataset(some).shuffle(100, initial=8)
    assert sorted(sample["__key__"] for sample in shuffled) == sorted(keys(some))
    batches = list(to_webdataset(some).decode().to_tuple("__key__", "json").batched(3))
    assert [len(names) for names, _ in batches] == [3, 3, 2]
    assert [label["key"] for _, labels in batches for label in labels] == keys(some)
    emotions = list(to_webdataset(some).map(lambda sample: json.loads(sample["json"])["emotion"]))
    assert emotions == [row["emotion"] for row in some.labels(["emotion"])]
    repeated = to_webdataset(some).repeat(2)
    assert [sample["__key__"] for sample in repeated] == keys(some) * 2
    epochs = to_webdataset(some)
    assert list(epochs) == list(epochs)


def test_webdataset_reads_only_what_is_selected(built: Path, some: Selection) -> None:
    store = Counting(built)
    selection = Selection(Index(store), some.rows.copy)
    pipeline = to_webdataset(selection)
    assert store.asked == []
    list(pipeline)
    rows = pq.read_table(built / "index.parquet").take(some.rows.tolist()).to_pylist()
    expected = [
        (row["shard"], row[f"{stem}_offset"], row[f"{stem}_length"])
        for row in rows
        for stem in ("mp4", "json", "txt", "au_npy")
    ]
    assert sorted(store.asked) == sorted(expected)


@forks
def test_webdataset_divides_clips_among_workers_and_ranks(some: Selection, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = DataLoader(to_webdataset(some), batch_size=None, num_workers=2)
    assert Counter(sample["__key__"] for sample in loader) == Counter(keys(some))
    monkeypatch.setenv("WORLD_SIZE", "3")
    parts = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        parts.append([sample["__key__"] for sample in to_webdataset(some)])
    assert sorted(map(len, parts)) == [2, 3, 3]
    assert sorted(key for part in parts for key in part) == sorted(keys(some))


@pytest.mark.parametrize("to", [to_webdataset, partial(to_hugging_face, decode=False)])
def test_videos_from_afar_are_checked(built: Path, some: Selection, to: Callable[[Selection], Any]) -> None:
    files = {path.relative_to(built).as_posix(): path.read_bytes() for path in built.rglob("*") if path.is_file()}
    (place,) = some.narrowed(np.array([3]), "fourth").labels(["key", "shard", "mp4_offset", "mp4_length"])
    damaged = bytearray(files[place["shard"]])
    damaged[place["mp4_offset"] + place["mp4_length"] // 2] ^= 1
    with serving(RangeServer(files)) as server:
        assert len(list(to(equime_loader.open_dataset(server.url).narrowed(some.rows, "some")))) == len(some)
        server.files = {**files, place["shard"]: bytes(damaged)}
        with pytest.raises(CorruptionError, match=rf"{place['shard']}, bytes \d+-\d+: sha256 is"):
            list(to(equime_loader.open_dataset(server.url).narrowed(some.rows, "some")))


def test_webdataset_begins_before_all_is_read(built: Path, some: Selection) -> None:
    store = Counting(built)
    pipeline = to_webdataset(Selection(Index(store), lambda: np.arange(12)))
    monkey = pytest.MonkeyPatch()
    monkey.setattr("equime_loader.interop.READ_AT_ONCE", 3)
    try:
        next(iter(pipeline))
        assert len(store.asked) == 3 * len(MEMBERS)
    finally:
        monkey.undo()
