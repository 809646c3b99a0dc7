"""The loader: batches are what was asked for, in an order that workers, ranks and interruptions do not change."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import equime_loader
from equime_loader import ClipDataset, Loader, Selection, View, Weighted, Window, WindowCacheSettings, balance
from equime_loader.batches import Buffers, sample_seeds
from equime_loader.schema import AUS

SMALL = View(Window.around(frames=4), 24)
Sample = tuple[str, str, int]


@pytest.fixture(scope="module")
def clips(built: Path) -> Selection:
    return equime_loader.open_dataset(built)


def digest(pixels: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest()[:16]


def samples(batch: dict[str, Any], *, repeated: bool = False) -> list[Sample]:
    """Key, pixels and seed of a batch's samples, those that fill an end left out."""
    rows = zip(batch["key"], batch["video"], batch["seed"].tolist(), batch["repeated"].tolist(), strict=True)
    return [(key, digest(video), seed) for key, video, seed, again in rows if repeated or not again]


def epoch(loader: Loader) -> list[Sample]:
    return [sample for batch in loader for sample in samples(batch)]


def merged(parts: list[list[Sample]]) -> list[Sample]:
    """Samples of all ranks, interleaved."""
    return [part[place] for place in range(max(map(len, parts))) for part in parts if place < len(part)]


@pytest.fixture(scope="module")
def expected(clips: Selection) -> list[Sample]:
    """The first epoch, as one thread gives it."""
    return epoch(Loader(clips, SMALL, workers=0, seed=7))


# --- the order


def test_an_epoch_holds_each_clip_once_in_the_same_order_for_any_workers(
    clips: Selection, expected: list[Sample]
) -> None:
    assert sorted(key for key, _, _ in expected) == sorted(row["key"] for row in clips.labels(["key"]))
    for workers in (1, 2, 4):
        for prefetch, batch_size in ((1, 5), (4, 3)):
            loader = Loader(clips, SMALL, workers=workers, seed=7, prefetch=prefetch, batch_size=batch_size)
            assert epoch(loader) == expected


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("ends", ["pad", "uneven"])
def test_ranks_together_read_the_same_order(clips: Selection, expected: list[Sample], ranks: int, ends: Any) -> None:
    options: dict[str, Any] = {"seed": 7, "batch_size": 5, "ends": ends, "ranks": ranks}
    loaders = [Loader(clips, SMALL, rank=rank, workers=rank, **options) for rank in range(ranks)]
    batches = [list(loader) for loader in loaders]
    assert [len(part) for part in batches] == list(map(len, loaders))
    assert merged([[sample for batch in part for sample in samples(batch)] for part in batches]) == expected
    if ends == "pad":
        assert {len(batch["key"]) for part in batches for batch in part} == {5}


def test_dropped_ends_keep_every_batch_full(clips: Selection, expected: list[Sample]) -> None:
    loaders = [Loader(clips, SMALL, seed=7, batch_size=5, ends="drop", rank=rank, ranks=2) for rank in range(2)]
    assert merged([epoch(loader) for loader in loaders]) == expected[:10]
    assert [loader.epoch for loader in loaders] == [1, 1]
    with pytest.raises(ValueError, match="ends='drop' leaves nothing of 12 samples: batch_size=7 on 2 ranks needs 14"):
        Loader(clips, SMALL, batch_size=7, ends="drop", rank=0, ranks=2)


def test_processes_give_the_same_batches(clips: Selection, expected: list[Sample], tmp_path: Path) -> None:
    view = View(SMALL.window, SMALL.size, flow="dis")
    options: dict[str, Any] = {"seed": 7, "batch_size": 5, "labels": ["emotion", "aus", "apex_ms"]}
    cache = WindowCacheSettings(tmp_path, 2**24)
    loader = Loader(clips, view, workers=2, processes=True, cache=cache, **options)
    epochs = [list(loader), list(loader)]
    loader.set_epoch(0)
    again, here = list(loader), list(Loader(clips, view, workers=0, **options))
    assert [sample for batch in epochs[0] for sample in samples(batch)] == expected
    assert [sample for batch in epochs[1] for sample in samples(batch)] != expected
    for one, other, cached in zip(here, epochs[0], again, strict=True):
        assert one["key"] == other["key"] == cached["key"]
        assert all(torch.equal(one[name], other[name]) for name in one if name != "key")
        assert all(torch.equal(one[name], cached[name]) for name in one if name != "key")


def test_epochs_differ_and_can_be_set(clips: Selection, expected: list[Sample]) -> None:
    loader = Loader(clips, SMALL, seed=7)
    first, second = epoch(loader), epoch(loader)
    assert loader.epoch == 2
    assert first == expected != second
    assert sorted(sample[:2] for sample in first) == sorted(sample[:2] for sample in second)
    loader.set_epoch(0)
    assert epoch(loader) == first
    loader.set_epoch(np.int64(1))
    assert epoch(loader) == second
    assert epoch(Loader(clips, SMALL, seed=8)) != first
    with pytest.raises(ValueError, match="epoch must be an integer >= 0, got -1"):
        loader.set_epoch(-1)


def test_without_shuffling_clips_come_as_in_the_index(clips: Selection) -> None:
    keys = [row["key"] for row in clips.labels(["key"])]
    assert [key for key, _, _ in epoch(Loader(clips, SMALL, shuffle=False))] == keys


def test_a_loop_that_is_broken_off_begins_again(clips: Selection, expected: list[Sample]) -> None:
    loader = Loader(clips, SMALL, seed=7, batch_size=5)
    for batch in loader:
        taken = samples(batch)
        break
    state = loader.state_dict()
    assert (taken, state["epoch"], state["samples"]) == (expected[:5], 0, 5)
    assert epoch(loader) == expected
    assert loader.epoch == 1
    loader.load_state_dict(state)
    assert epoch(loader) == expected[5:]


def test_seeds_belong_to_the_epoch_and_the_place(clips: Selection, expected: list[Sample]) -> None:
    seeds = [seed for _, _, seed in expected]
    assert len(set(seeds)) == len(seeds) and min(seeds) >= 0
    places = np.arange(10_000)
    many = np.concatenate([sample_seeds(seed, number, places) for seed in (0, 1, -1, 2**70) for number in range(5)])
    assert many.dtype == np.int64 and many.min() >= 0
    assert len(np.unique(many)) == len(many)
    bits = (many[:, None] >> np.arange(63)) & 1
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 5 * 0.5 / np.sqrt(len(many))


# --- stopping and going on


def test_a_run_that_stops_anywhere_goes_on_with_other_numbers(clips: Selection, expected: list[Sample]) -> None:
    second = epoch_of(clips, 1)
    rng = np.random.default_rng(0)
    for _ in range(100):
        before, after = ({
            "batch_size": int(rng.integers(1, 6)),
            "workers": int(rng.integers(0, 3)),
            "ends": str(rng.choice(["pad", "uneven"])),
            "prefetch": int(rng.integers(1, 4)),
        } for _ in range(2))  # fmt: skip
        ranks = [int(rng.integers(1, 4)) for _ in range(2)]
        steps = int(rng.integers(0, -(-12 // (before["batch_size"] * ranks[0])) + 1))
        states, done = [], []
        for rank in range(ranks[0]):
            loader = Loader(clips, SMALL, seed=7, rank=rank, ranks=ranks[0], **before)
            loop, taken = iter(loader), []
            for _ in range(steps):
                taken += samples(next(loop, EMPTY))
            states.append(json.dumps(loader.state_dict()))
            done.append(taken)
            loop.close()  # type: ignore[attr-defined]
        # With uneven ends a rank that has nothing for the last step says that the epoch is over, and so it is.
        state = json.loads(states[0])
        rest = []
        for rank in range(ranks[1]):
            loader = Loader(clips, SMALL, seed=7, rank=rank, ranks=ranks[1], **after)
            loader.load_state_dict(state)
            rest.append(epoch(loader))
        whole = expected if state["epoch"] == 0 else expected + second
        assert merged(done) + merged(rest) == whole
        if steps * before["batch_size"] * ranks[0] <= 12:
            assert len(set(states)) == 1


EMPTY: dict[str, Any] = {
    "key": [],
    "video": [],
    "seed": torch.zeros(0, dtype=torch.int64),
    "repeated": torch.zeros(0, dtype=torch.bool),
}


def epoch_of(clips: Selection, number: int) -> list[Sample]:
    loader = Loader(clips, SMALL, seed=7)
    loader.set_epoch(number)
    return epoch(loader)


def test_a_state_of_another_order_is_refused(clips: Selection) -> None:
    state = Loader(clips, SMALL).state_dict()
    assert all(isinstance(value, int | str) for value in state.values())
    with pytest.raises(ValueError, match=r"^the state belongs to another order: seed was 0, is 1\."):
        Loader(clips, SMALL, seed=1).load_state_dict(state)
    with pytest.raises(ValueError, match="the state belongs to another order: rows was"):
        Loader(clips.where(split="train"), SMALL).load_state_dict(state)
    with pytest.raises(ValueError, match="the state lacks samples"):
        Loader(clips, SMALL).load_state_dict({name: value for name, value in state.items() if name != "samples"})


def test_a_transform_that_fails_has_not_used_its_batch(clips: Selection, expected: list[Sample]) -> None:
    def transform(batch: dict[str, Any]) -> dict[str, Any]:
        if len(seen) == 1:
            raise RuntimeError("augmentation")
        seen.append(batch)
        return batch

    seen: list[dict[str, Any]] = []
    loader = Loader(clips, SMALL, seed=7, batch_size=5, transform=transform)
    with pytest.raises(RuntimeError, match="augmentation"):
        epoch(loader)
    state = loader.state_dict()
    assert state["samples"] == 5
    fresh = Loader(clips, SMALL, seed=7)
    fresh.load_state_dict(state)
    assert epoch(fresh) == expected[5:]


# --- sampling


def test_balanced_sampling_makes_cells_equally_frequent(clips: Selection) -> None:
    skewed = clips.narrowed(np.array([0, 1, 2, 3, 4, 5, 7, 9]), "skewed")
    label = "apparent_gender"
    loader = Loader(skewed, SMALL, labels=[label], sampling=balance(skewed, label, samples=20))
    counts: Counter[int] = Counter()
    for batch in loader:
        counts.update(batch[label][~batch["repeated"]].tolist())
    assert sorted(counts.values()) == [10, 10]
    assert [loader.words[label][code] for code in sorted(counts)] == [
        word for word in loader.words[label] if word in skewed.counts(label)
    ]
    both = balance(skewed, "emotion", label)
    assert len(both.classes) == len({(row["emotion"], row[label]) for row in skewed.labels()})
    with pytest.raises(ValueError, match="12 clips have no intervention; select those that have one"):
        balance(clips, "intervention")


def test_weighted_sampling_follows_the_weights(clips: Selection) -> None:
    weights = np.zeros(len(clips))
    weights[[2, 5]] = 1, 3
    keys = [row["key"] for row in clips.labels(["key"])]
    taken = epoch(Loader(clips, SMALL, sampling=Weighted(weights, samples=16)))
    counts = Counter(key for key, _, _ in taken)
    assert counts == {keys[2]: 4, keys[5]: 12}
    assert len({seed for _, _, seed in taken}) == 16


# --- what a batch holds


def test_shapes_types_and_labels(clips: Selection) -> None:
    view = View(Window.around("apex", 6), (20, 30), flow="dis")
    labels = ("emotion", "subject", "aus", "apex_frame", "clip_iqa", "intervention")
    loader = Loader(clips, view, labels=labels, batch_size=4, shuffle=False)
    assert len(loader) == 3
    batch = next(iter(loader))
    rows = clips.labels(labels)[:4]
    assert batch["video"].shape == (4, 3, 6, 20, 30) and batch["video"].dtype == torch.uint8
    assert batch["video"].is_contiguous(memory_format=torch.channels_last_3d)
    assert batch["mask"].shape == (4, 6) and batch["mask"].dtype == torch.bool and bool(batch["mask"].all())
    assert batch["flow"].shape == (4, 2, 20, 30) and batch["flow"].dtype == torch.float32
    assert batch["seed"].dtype == torch.int64 and batch["repeated"].dtype == torch.bool
    assert isinstance(batch["key"], list)
    for name in ("emotion", "subject"):
        assert batch[name].dtype == torch.int64
        assert [loader.words[name][code] for code in batch[name]] == [row[name] for row in rows]
    assert batch["intervention"].tolist() == [-1] * 4
    assert batch["aus"].shape == (4, len(AUS)) and batch["aus"].dtype == torch.float32
    for intensities, row in zip(batch["aus"].numpy(), rows, strict=True):
        assert {AUS[place] for place in np.flatnonzero(intensities)} == {one["au"] for one in row["aus"]}
    assert batch["apex_frame"].tolist() == [row["apex_frame"] for row in rows]
    assert batch["clip_iqa"].dtype == torch.float32


def test_gray_windows_have_one_channel(clips: Selection) -> None:
    assert next(iter(Loader(clips, View(SMALL.window, 24, gray=True), batch_size=12)))["video"].shape == (
        12,
        1,
        4,
        24,
        24,
    )


def test_windows_beyond_the_clip_are_padded_and_masked(clips: Selection) -> None:
    view = View(Window.around("onset", 200, before=100), 16)
    batch = next(iter(Loader(clips, view, labels=["onset_frame", "frames"], shuffle=False, batch_size=12)))
    for video, mask, onset, frames in zip(
        batch["video"], batch["mask"], batch["onset_frame"], batch["frames"], strict=True
    ):
        first, last = 100 - int(onset), 100 - int(onset) + int(frames)
        places = torch.arange(200)
        assert torch.equal(mask, (places >= first) & (places < last))
        assert torch.equal(video[:, 0], video[:, first])
        assert torch.equal(video[:, -1], video[:, last - 1])


@pytest.fixture
def changed(built: Path, tmp_path: Path) -> Callable[..., Selection]:
    """A private copy of the dataset with other values in some columns of its index."""
    import shutil

    import pyarrow as pa
    import pyarrow.parquet as pq

    def copy(**columns: list[Any]) -> Selection:
        root = tmp_path / "changed"
        root.mkdir()
        shutil.copytree(built / "wds", root / "wds")
        table = pq.read_table(built / "index.parquet")
        for name, values in columns.items():
            place = table.schema.get_field_index(name)
            table = table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))
        pq.write_table(table, root / "index.parquet")
        return equime_loader.open_dataset(root)

    return copy


def test_windows_of_different_length_are_padded_at_their_end(changed: Callable[..., Selection]) -> None:
    rates = [100.0, 150.0, 200.0] * 4
    clips = changed(fps=rates)
    loader = Loader(clips, View(Window.around_ms("apex", 60), 16), shuffle=False, batch_size=6)
    assert [batch["video"].shape for batch in loader] == [(6, 3, 12, 16, 16)] * 2
    batch = next(iter(loader))
    lengths = [round(0.06 * rate) for rate in rates[:6]]
    assert batch["mask"].sum(dim=1).tolist() == lengths
    dataset = ClipDataset(clips, View(Window.around_ms("apex", 60), 16))
    for number, length in enumerate(lengths):
        assert torch.equal(batch["video"][number, :, :length], dataset[number]["video"])
        assert not batch["video"][number, :, length:].any()


def test_whole_clips_at_their_own_size(clips: Selection) -> None:
    batch = next(iter(Loader(clips, View(Window.whole(), None), batch_size=2)))
    assert batch["video"].shape == (2, 3, 80, 128, 128)
    assert bool(batch["mask"].all())


def test_a_clip_that_lies_about_its_length_costs_one_sample(changed: Callable[..., Selection]) -> None:
    clips = changed(frames=[80, 1_000_000, *[80] * 10])
    loader = Loader(clips, View(Window.whole(), 112), tolerance=0.1, shuffle=False, batch_size=12)
    (batch,) = loader
    assert batch["video"].shape == (11, 3, 80, 112, 112)
    assert [fault.key for fault in loader.failures] == [clips.labels(["key"])[1]["key"]]
    assert "1000000 frames of 112 x 112 are more than" in loader.failures[0].reason


def test_a_clip_with_an_impossible_rate_costs_one_sample(changed: Callable[..., Selection]) -> None:
    clips = changed(fps=[200.0, 9e5, *[200.0] * 10])
    loader = Loader(clips, View(Window.around_ms("apex", 100), 16), tolerance=0.1, batch_size=12)
    (batch,) = loader
    assert batch["video"].shape == (11, 3, 20, 16, 16)
    assert "100 ms are 90000 frames at 900000 fps; at most 10000" in loader.failures[0].reason


def test_the_transform_comes_after_the_cache(clips: Selection, tmp_path: Path) -> None:
    def brighter(batch: dict[str, Any]) -> dict[str, Any]:
        calls.append(len(batch["key"]))
        batch["video"] = batch["video"].add_(1)
        return batch

    calls: list[int] = []
    plain = epoch(Loader(clips, SMALL, seed=7, workers=0))
    cache = WindowCacheSettings(tmp_path, 2**24)
    loader = Loader(clips, SMALL, seed=7, cache=cache, transform=brighter, batch_size=4)
    first = [epoch(loader), epoch(loader)]
    loader.set_epoch(0)
    assert epoch(loader) == first[0] != plain
    assert calls == [4] * 9
    assert epoch(Loader(clips, SMALL, seed=7, cache=cache)) == plain


def test_asking_for_pinned_memory_without_a_gpu_is_no_error(clips: Selection, expected: list[Sample]) -> None:
    if torch.cuda.is_available():
        batch = next(iter(Loader(clips, SMALL, pin_memory=True)))
        assert all(value.is_pinned() for name, value in batch.items() if name != "key")
    assert epoch(Loader(clips, SMALL, seed=7, pin_memory=True)) == expected


# --- memory of batches


def test_batches_that_are_held_are_left_alone(clips: Selection, expected: list[Sample]) -> None:
    loader = Loader(clips, SMALL, seed=7, batch_size=1, prefetch=1, workers=2)
    wholes, slices, arrays = [], [], []
    for number, batch in enumerate(loader):
        wholes += [(batch, batch["video"].clone())] if number % 4 == 0 else []
        slices += [(batch["video"][0, 1:, 2], batch["video"][0, 1:, 2].clone())] if number % 4 == 1 else []
        view = batch["video"].numpy()[0, :, :, 3:5]
        arrays += [(view, view.copy())] if number % 4 == 2 else []
        del batch, view
    for _ in range(3):
        epoch(loader)
    assert all(torch.equal(batch["video"], copy) for batch, copy in wholes)
    assert all(torch.equal(part, copy) for part, copy in slices)
    assert all(np.array_equal(part, copy) for part, copy in arrays)
    assert [sample for batch, _ in wholes for sample in samples(batch)] == expected[::4]


def test_memory_is_used_again_when_it_is_let_go() -> None:
    buffers = Buffers(3)
    array = buffers.get((4, 5))
    place = array.ctypes.data
    tensor = torch.from_numpy(array)[1:]
    view = tensor.permute(1, 0).numpy()
    del array
    assert buffers.get((4, 5)).ctypes.data != place
    del tensor
    assert buffers.get((4, 5)).ctypes.data != place
    del view
    assert any(one.ctypes.data == place for one in (buffers.get((4, 5)), buffers.get((4, 5))))


def test_the_last_batch_of_an_epoch_takes_the_memory_of_a_whole_one() -> None:
    buffers = Buffers(3)
    place = buffers.get((4, 5)).ctypes.data
    small = buffers.get((3, 5))
    assert small.shape == (3, 5) and small.ctypes.data == place
    assert buffers.get((4, 5)).ctypes.data != place, "the small one is held"
    del small
    assert place in {one.ctypes.data for one in (buffers.get((4, 5)), buffers.get((4, 5)))}
    assert buffers.get((5, 5)).shape == (5, 5)


def test_memory_that_a_consumer_keeps_is_not_counted_forever() -> None:
    buffers = Buffers(3)
    held = [buffers.get((100, 100)) for _ in range(50)]
    assert len({array.ctypes.data for array in held}) == 50
    assert len(buffers._arrays) == 3
    del held
    kept = {array.ctypes.data for array in buffers._arrays}
    assert all(buffers.get((100, 100)).ctypes.data in kept for _ in range(10))


def test_a_loader_can_be_pickled_and_takes_no_memory_of_batches_along(clips: Selection) -> None:
    loader = Loader(clips, SMALL, batch_size=2, seed=7)
    first = epoch(loader)
    copy = pickle.loads(pickle.dumps(loader))
    assert loader._buffers._arrays and not copy._buffers._arrays
    assert copy._buffers._most == loader._buffers._most
    assert epoch(copy) == epoch(loader) != first


def test_a_loop_uses_few_arrays(clips: Selection, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    get = Buffers.get

    def counted(self: Buffers, shape: tuple[int, ...]) -> Any:
        before = {array.ctypes.data for array in self._arrays}
        array = get(self, shape)
        made.extend([array.ctypes.data] if array.ctypes.data not in before else [])
        return array

    monkeypatch.setattr(Buffers, "get", counted)
    loader = Loader(clips, SMALL, batch_size=1, prefetch=2, sampling=Weighted(np.ones(12), samples=60))
    assert len(epoch(loader)) == 60
    # Three that are worked on, the one that is given out and the one before.
    assert len(made) <= 5


# --- torch


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_clips_by_position_through_pytorchs_own_loader(clips: Selection, start: str) -> None:
    dataset = ClipDataset(clips, View(SMALL.window, 24, flow="dis"), labels=["emotion", "aus"])
    here = [dataset[position] for position in range(len(dataset))]
    workers = 2 if start == "fork" else 1
    loader = DataLoader(dataset, batch_size=5, num_workers=workers, multiprocessing_context=start)
    batches = list(loader)
    assert [key for batch in batches for key in batch["key"]] == [sample["key"] for sample in here]
    for name in ("video", "mask", "flow", "emotion", "aus"):
        together = torch.cat([batch[name] for batch in batches])
        assert torch.equal(together, torch.stack([sample[name] for sample in here]))


def test_positions_of_the_dataset(clips: Selection) -> None:
    dataset = ClipDataset(clips, SMALL, labels=["emotion", "aus"])
    assert len(dataset) == 12
    assert dataset[-1]["key"] == dataset[11]["key"] == dataset[np.int64(11)]["key"]
    assert dataset.words["emotion"][int(dataset[0]["emotion"])] == clips.labels(["emotion"])[0]["emotion"]
    for position in (12, -13):
        with pytest.raises(IndexError, match=rf"^position={position} must lie within -12\.\.11$"):
            dataset[position]
    sample = dataset[0]
    before = sample["aus"].clone()
    sample["aus"] += 1
    assert torch.equal(dataset[0]["aus"], before)
    doubled = ClipDataset(clips, SMALL, transform=lambda sample: {**sample, "video": sample["video"] * 2})
    assert torch.equal(doubled[3]["video"], dataset[3]["video"] * 2)


def _rank(rank: int, root: str, address: str, out: str) -> None:
    """One process of a group of two."""
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    clips = equime_loader.open_dataset(root)
    told = {}
    for ends in ("pad", "drop", "uneven"):
        loader = Loader(clips, SMALL, batch_size=5, ends=ends, seed=7, workers=1)  # type: ignore[arg-type]
        batches = [(samples(batch), len(batch["key"])) for batch in loader]
        told[ends] = {"ranks": [loader.rank, loader.ranks], "len": len(loader), "batches": batches}
    Path(out, f"{rank}.json").write_text(json.dumps(told))
    torch.distributed.destroy_process_group()


def test_a_group_of_processes_sees_every_sample_once(built: Path, expected: list[Sample], tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_rank, (str(built), (tmp_path / "group").as_uri(), str(tmp_path)), nprocs=2)
    told = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    for ends, count in (("pad", 12), ("drop", 10), ("uneven", 12)):
        assert [one[ends]["ranks"] for one in told] == [[0, 2], [1, 2]]
        parts = [[tuple(sample) for batch, _ in one[ends]["batches"] for sample in batch] for one in told]
        assert merged(parts) == expected[:count]
    assert [[size for _, size in one["pad"]["batches"]] for one in told] == [[5, 5]] * 2
    assert [[size for _, size in one["uneven"]["batches"]] for one in told] == [[5, 1]] * 2


# --- the door


def test_what_cannot_be_is_said_in_one_line(clips: Selection) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"workers": -1}, "workers=-1 must be at least 0"),
        ({"prefetch": 0}, "prefetch=0 must be at least 1"),
        ({"tolerance": 1.5}, "tolerance=1.5 must lie within 0..1"),
        ({"processes": True, "workers": 0}, "processes=True needs workers of at least 1"),
        ({"rank": 1}, "rank=1 and ranks=None must be given together"),
        ({"rank": 2, "ranks": 2}, "rank must be 0 … 1, got 2"),
        ({"ends": "cut"}, "ends must be one of pad, drop, uneven, got 'cut'"),
        ({"labels": ["emotions"]}, "no label 'emotions'; did you mean emotion"),
        ({"labels": ["seed"]}, "label 'seed' would hide what a batch has under this name; leave it out of labels"),
        ({"labels": ["key"]}, "label 'key' would hide what a batch has under this name; leave it out of labels"),
        ({"sampling": Weighted(np.ones(3))}, "weights must be one per row (12), got 3"),
        ({"window": 0}, "window must be >= 1 sample or None, got 0"),
    ]
    for options, message in cases:
        with pytest.raises(ValueError) as error:
            Loader(clips, SMALL, **options)
        assert str(error.value).startswith(message)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"^the selection is empty: emotion: fear$"):
        Loader(clips.where(emotion="fear"), SMALL)
    with pytest.raises(ValueError, match=r"^a window cache needs windows of one size: give the view a size and"):
        Loader(clips, View(size=None), cache=WindowCacheSettings("unused", 1))
    with pytest.raises(ValueError, match=r"clips of a batch have different sizes \(1 x 2, 3 x 4\); give the view a si"):
        equime_loader.batches._stack([np.zeros((1, 3, 4, 3), np.uint8), np.zeros((1, 1, 2, 3), np.uint8)])


def test_what_is_of_another_kind_is_said_in_one_line(clips: Selection) -> None:
    cases: list[tuple[Callable[[], Any], str]] = [
        (lambda: Loader("quickstart/equime"), "clips must be a Selection, as open_dataset gives; it is 'quickstart/eq"),
        (lambda: ClipDataset(["k0"]), "clips must be a Selection, as open_dataset gives; it is ['k0']"),
        (lambda: Loader(clips, 16), "view must be a View, such as View(Window.around('apex', 16), size=112); it is 16"),
        (lambda: View(16), "window must be a Window, such as Window.around('apex', 16); it is 16"),
        (
            lambda: Loader(clips, sampling="balanced"),
            'sampling must be balance(clips, "emotion"), Weighted(...) or None',
        ),
        (lambda: Loader(clips, cache="folder"), "cache must be WindowCacheSettings(folder, max_bytes); it is 'folder'"),
        (lambda: Loader(clips, batch_size=2.5), "batch_size must be a whole number; it is 2.5"),
        (lambda: Loader(clips, tolerance="1 %"), "tolerance must be a share within 0..1; it is '1 %'"),
        (lambda: Loader(clips).set_epoch(1.0), "epoch must be a whole number; it is 1.0"),
        (lambda: Loader(clips, labels="emotion"), 'labels must be a list of names, such as ["emotion"]; it is'),
        (lambda: Loader(clips, labels=None), 'labels must be a list of names, such as ["emotion"]; it is None'),
        (lambda: Loader(clips, seed=1.5), "seed must be a whole number; it is 1.5"),
        (lambda: Loader(clips, window="all"), "window must be a number of clips, None or \"auto\"; it is 'all'"),
        (lambda: Loader(clips, transform="x"), "transform must be a function of a batch, or None; it is 'x'"),
        (lambda: Loader(clips, rank="0", ranks="2"), "rank must be a whole number; it is '0'"),
        (lambda: Loader(clips, processes="no"), "processes must be True or False; it is 'no'"),
        (lambda: Loader(clips, shuffle="no"), "shuffle must be True or False; it is 'no'"),
        (lambda: Loader(clips).load_state_dict(None), "state must be what state_dict() gave; it is None"),
        (lambda: ClipDataset(clips)["a"], "position must be a whole number; it is 'a'"),
        (lambda: balance(clips, ["emotion"]), "each label must be a name; it is ['emotion']"),
        (lambda: balance(clips, "emotion", samples=7.5), "samples must be a whole number or None; it is 7.5"),
        (lambda: View(Window.whole(), 112, 112), "gray must be True or False; it is 112"),
        (lambda: View(size=112, rendition="112"), "rendition must be a number of pixels; it is '112'"),
        (lambda: Window.around_ms("apex", "x"), "milliseconds must be a number; it is 'x'"),
    ]
    for call, message in cases:
        with pytest.raises(TypeError) as error:
            call()
        assert str(error.value).startswith(message)
    for size in (112.0, (112,), (112, 1e9), 0, True, "112"):
        with pytest.raises(ValueError, match=r"must be pixels within 1\.\.8192, or \(height, width\)"):
            View(size=size)
    for frames in ("16", None, 2.5):
        with pytest.raises(ValueError, match=r"^frames=.* must be a whole number$"):
            Window.spread(frames)


def test_whole_numbers_of_numpy_are_whole_numbers(clips: Selection) -> None:
    two, size = np.int64(2), np.int32(16)
    assert View(size=size, rendition=np.int64(32)) == View(size=16, rendition=32)
    assert View(size=(size, size)) == View(size=(16, 16))
    loader = Loader(clips, View(size=size), batch_size=two, rank=np.int64(1), ranks=two, seed=np.int64(3))  # type: ignore[arg-type]
    plain = Loader(clips, View(size=16), batch_size=2, rank=1, ranks=2, seed=3)
    assert [batch["key"] for batch in loader] == [batch["key"] for batch in plain]
    assert loader.state_dict() == plain.state_dict()


def test_the_door_is_light(built: Path) -> None:
    code = f"""
import sys
import equime_loader
light = {{name.partition('.')[0] for name in sys.modules}}
assert not light & {{'torch', 'numpy', 'pyarrow', 'cv2', 'av', 'datasets', 'webdataset', 'fsspec', 'scipy'}}, light
ours = {{name for name in sys.modules if name.startswith('equime')}}
assert ours == {{'equime_loader', 'equime_loader.extras', 'equime_loader.registration'}}, ours
clips = equime_loader.open_dataset({str(built)!r}).where(split='train').having_au(12)
print(clips, equime_loader.View, equime_loader.Window, equime_loader.Weighted)
assert 'torch' not in sys.modules
equime_loader.Loader
assert 'torch' in sys.modules and not [name for name in sys.modules if name.startswith('equime_builder')]
"""
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
