"""The loader in trouble: damaged clips cost themselves and nothing else, and whatever ends a loop leaves nothing."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from httpserver import RangeServer, Request, serving
from running import at_work, children, comes_true, descriptors, press_ctrl_c, session, shared_memory, threads
from torch.utils.data import DataLoader

import equime_loader
from equime_loader import ClipDataset, Loader, Selection, View, Window
from equime_loader.loader import LoaderFault
from equime_loader.reading import ClipReader, SampleFault

VIEW = View(Window.around(frames=8), 24)


@pytest.fixture
def damaged(built: Path, tmp_path: Path) -> Callable[..., Selection]:
    """A private copy of the dataset in which the videos at some positions are noise."""

    def copy(*positions: int) -> Selection:
        root = tmp_path / "damaged"
        root.mkdir()
        shutil.copytree(built / "wds", root / "wds")
        shutil.copy(built / "index.parquet", root)
        clips = equime_loader.open_dataset(root)
        places = ClipReader(clips, VIEW).places
        for position in positions:
            with open(root / places.shards[places.shard[position]], "r+b") as shard:
                shard.seek(int(places.offset[position]))
                shard.write(np.random.default_rng(position).bytes(int(places.length[position])))
        return clips

    return copy


@pytest.fixture(scope="module")
def intact(built: Path) -> Selection:
    return equime_loader.open_dataset(built)


def pixels(loader: Loader) -> dict[str, torch.Tensor]:
    return {
        key: video.clone()
        for batch in loader
        for key, video, again in zip(batch["key"], batch["video"], batch["repeated"], strict=True)
        if not again
    }


def key_of(clips: Selection, position: int) -> str:
    return str(clips.labels(["key"], positions=[position])[0]["key"])


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": 2}, {"workers": 1, "processes": True}])
def test_a_damaged_clip_is_left_out_and_named(
    intact: Selection, damaged: Callable[..., Selection], caplog: pytest.LogCaptureFixture, options: dict[str, Any]
) -> None:
    clips = damaged(4)
    loader = Loader(clips, VIEW, batch_size=5, tolerance=0.1, **options)
    given = pixels(loader)
    whole = pixels(Loader(intact, VIEW, batch_size=5))
    assert whole.keys() - given.keys() == {key_of(clips, 4)}
    assert all(torch.equal(given[key], whole[key]) for key in given)
    (fault,) = loader.failures
    assert fault.key == key_of(clips, 4)
    assert re.fullmatch(r"wds/\w+-\d{5}\.tar", fault.shard)
    (record,) = [record for record in caplog.records if record.name == "equime_loader.loader"]
    assert record.getMessage() == f"left out: {fault.shard}: sample {fault.key}: {fault.reason}"
    assert "\n" not in record.getMessage()
    assert loader.epoch == 1
    assert fault.__traceback__ is None and fault.__context__ is None


def test_more_than_is_tolerated_ends_in_one_line(damaged: Callable[..., Selection]) -> None:
    clips = damaged(1, 4, 7)
    loader = Loader(clips, VIEW, batch_size=2, tolerance=2 / 12)
    with pytest.raises(LoaderFault) as error:
        pixels(loader)
    keys = {key_of(clips, position) for position in (1, 4, 7)}
    assert {fault.key for fault in loader.failures} == keys
    assert re.fullmatch(
        r"3 samples cannot be read, tolerance=0\.166667 of 12 on 1 ranks allows 2; the last: wds/\S+\.tar: sample "
        rf"({'|'.join(keys)}): .*\. Run `equime verify` on the folder",
        str(error.value),
    )
    with pytest.raises(LoaderFault, match=r"^3 samples cannot be read, tolerance=0\.01 of 12 on 1 ranks allows 0\.12"):
        pixels(Loader(clips, VIEW))


def test_a_whole_batch_of_damaged_clips_is_left_out(damaged: Callable[..., Selection]) -> None:
    clips = damaged(4, 5)
    for batch_size, batches in ((1, 10), (2, 5)):
        loader = Loader(clips, VIEW, batch_size=batch_size, tolerance=0.2, shuffle=False)
        assert [len(batch["key"]) for batch in loader] == [batch_size] * batches
        assert len(loader.failures) == 2
        assert loader.epoch == 1


@pytest.mark.parametrize("ends", ["pad", "drop"])
def test_ranks_stay_in_step(damaged: Callable[..., Selection], intact: Selection, ends: Any) -> None:
    clips = damaged(4, 5)
    whole = pixels(Loader(intact, VIEW))
    options: dict[str, Any] = {"batch_size": 1, "tolerance": 0.4, "ends": ends, "shuffle": False}
    loaders = [Loader(clips, VIEW, rank=rank, ranks=2, **options) for rank in range(2)]
    given = [list(loader) for loader in loaders]
    assert [len(batches) for batches in given] == [6, 6]
    assert [[fault.key for fault in loader.failures] for loader in loaders] == [[key_of(clips, 4)], [key_of(clips, 5)]]
    for batches in given:
        assert [bool(batch["repeated"]) for batch in batches] == [number == 2 for number in range(6)]
        assert all(torch.equal(batch["video"][0], whole[batch["key"][0]]) for batch in batches)
    fresh = {key for batches in given for batch in batches if not batch["repeated"] for key in batch["key"]}
    assert fresh == whole.keys() - {key_of(clips, 4), key_of(clips, 5)}
    uneven = Loader(clips, VIEW, rank=0, ranks=2, **{**options, "ends": "uneven"})
    assert len(list(uneven)) == 5


def test_ranks_that_can_read_nothing_say_so(damaged: Callable[..., Selection]) -> None:
    loader = Loader(damaged(*range(12)), VIEW, batch_size=2, tolerance=1, rank=1, ranks=2)
    with pytest.raises(LoaderFault, match=r"^none of 6 samples can be read\. Run `equime verify` on the folder$"):
        list(loader)


def test_a_run_that_is_resumed_bears_what_it_bore_before(damaged: Callable[..., Selection]) -> None:
    clips = damaged(11)
    first = Loader(clips, VIEW, batch_size=5, tolerance=0.1, shuffle=False)
    loop = iter(first)
    next(loop), next(loop)
    second = Loader(clips, VIEW, batch_size=5, tolerance=0.1, shuffle=False)
    second.load_state_dict(first.state_dict())
    assert list(pixels(second)) == [key_of(clips, 10)]


def test_a_clip_that_only_fills_the_end_is_not_counted_twice(damaged: Callable[..., Selection]) -> None:
    loader = Loader(damaged(0), VIEW, batch_size=12 + 4, tolerance=1 / 12, shuffle=False)
    (batch,) = loader
    assert batch["repeated"].tolist() == [False] * 11 + [True] * 3
    assert len(loader.failures) == 1


def test_faults_that_are_kept_hold_no_batch(damaged: Callable[..., Selection]) -> None:
    import gc
    import weakref

    from equime_loader import loader as module

    made = []

    class Watched(module.Buffers):
        def get(self, shape: tuple[int, ...]) -> Any:
            array = super().get(shape)
            made.append(weakref.ref(array.base))
            return array

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Buffers", Watched)
        loader = Loader(damaged(4), VIEW, batch_size=1, tolerance=0.1)
        pixels(loader)
    del loader._buffers
    gc.collect()
    assert loader.failures and made
    assert [array() for array in made] == [None] * len(made)


def test_damage_of_a_clip_does_not_reach_the_next(intact: Selection) -> None:
    reader = ClipReader(intact, VIEW)
    whole = reader.fetch(range(4))
    expected = [reader.read(position, data).frames.copy() for position, data in enumerate(whole)]
    rng = np.random.default_rng(0)
    faults = []
    for turn in range(200):
        position, data = turn % 4, bytearray(whole[turn % 4])  # type: ignore[arg-type]
        place = int(rng.integers(len(data) - 400))
        if turn % 3 == 0:
            data[place : place + 400] = rng.bytes(400)
        elif turn % 3 == 1:
            for place in rng.integers(len(data), size=20):
                data[place] = rng.integers(256)
        else:
            del data[place:]
        try:
            reader.read(position, bytes(data))
        except SampleFault as fault:
            faults.append((reader.key(position), fault))
        after = (position + 1) % 4
        assert np.array_equal(reader.read(after, whole[after]).frames, expected[after])
    assert 60 < len(faults) < 200
    assert all(fault.key == key and "\n" not in str(fault) for key, fault in faults)


@pytest.mark.parametrize("error", [KeyError("stsz"), MemoryError("out of\nmemory"), RuntimeError("StopIteration")])
def test_whatever_a_decoder_raises_is_the_samples_fault(
    intact: Selection, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def read_frames(*_: Any) -> None:
        raise error

    monkeypatch.setattr("equime_loader.window_reader.read_frames", read_frames)
    told = re.escape(f"{type(error).__name__}: {' '.join(str(error).split())}")
    with pytest.raises(SampleFault, match=rf"^wds/\S+\.tar: sample {key_of(intact, 2)}: {told}$"):
        ClipReader(intact, VIEW).read(2)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_the_dataset_names_a_damaged_clip(damaged: Callable[..., Selection]) -> None:
    clips = damaged(4)
    dataset = ClipDataset(clips, VIEW)
    with pytest.raises(SampleFault, match=rf"^wds/\S+\.tar: sample {key_of(clips, 4)}: "):
        dataset[4]
    with pytest.raises(SampleFault) as fault:
        list(DataLoader(dataset, batch_size=3, num_workers=1))
    assert fault.value.key == key_of(clips, 4) and re.fullmatch(r"wds/\S+\.tar", fault.value.shard)
    assert str(fault.value) == f"{fault.value.shard}: sample {fault.value.key}: {fault.value.reason}"
    assert "\n" not in str(fault.value) and str(pickle.loads(pickle.dumps(fault.value))) == str(fault.value)


def test_a_clip_that_fails_each_epoch_is_kept_once(damaged: Callable[..., Selection]) -> None:
    loader = Loader(damaged(2, 4), VIEW, tolerance=0.2)
    for _ in range(3):
        pixels(loader)
    assert len(loader.failures) == 2


def test_bytes_with_another_hash_are_refused_where_they_are_checked(damaged: Callable[..., Selection]) -> None:
    clips = damaged(4)
    loader = Loader(clips, VIEW, batch_size=12, tolerance=0.1, check=True)
    (batch,) = loader
    assert len(batch["key"]) == 11
    assert "sha256 is " in loader.failures[0].reason


def test_a_missing_shard_costs_its_clips(damaged: Callable[..., Selection]) -> None:
    clips = damaged()
    shard = sorted(Path(clips.index.root, "wds").iterdir())[0]
    shard.unlink()
    lost = clips.codes("shard").codes.tolist().count(clips.codes("shard").words.index(f"wds/{shard.name}"))
    loader = Loader(clips, VIEW, tolerance=0.5)
    assert len(pixels(loader)) == 12 - lost
    assert {fault.reason.partition(": ")[2] for fault in loader.failures} == {"no such file"}


# --- from afar


SHARDS, CLIPS_OF_A_SHARD, LABEL_BYTES = 12, 10, 3_000


@pytest.fixture(scope="module")
def afar(intact: Selection) -> dict[str, bytes]:
    """Files as a server shows them: the clips of the dataset again and again, each behind labels of a usual size."""
    videos = ClipReader(intact, VIEW).fetch(range(len(intact)))
    rows, places, shards = [], [], {}
    for number in range(SHARDS):
        name, data = f"wds/train-{number:05d}.tar", b""
        for row in (np.arange(CLIPS_OF_A_SHARD) + number) % len(intact):
            data += bytes(LABEL_BYTES)
            rows.append(int(row))
            places.append((f"clip-{len(places):03d}", name, len(data)))
            data += videos[row]  # type: ignore[operator]
        shards[name] = data
    index = pq.read_table(intact.index.path).take(rows)
    for name, values in zip(("key", "shard", "mp4_offset"), zip(*places, strict=True), strict=True):
        field = index.schema.field(name)
        index = index.set_column(index.schema.get_field_index(name), field, [pa.array(values, field.type)])
    file = io.BytesIO()
    pq.write_table(index, file)
    return {"index.parquet": file.getvalue(), **shards}


def epoch_afar(files: dict[str, bytes], share: float = 1.0) -> tuple[Loader, list[str], list[Request], int]:
    """A loader of a share of the clips at a URL, with its defaults, after an epoch.

    Returns:
        The loader, the keys that it gave, the requests that it made, and how many bytes the samples have.
    """
    with serving(RangeServer(files)) as server:
        clips = equime_loader.open_dataset(server.url)
        drawn = np.random.default_rng(1).random(len(clips)) < share
        clips = clips.narrowed(drawn, "drawn")
        server.forget()
        loader = Loader(clips, View(Window.around(frames=1), 16), batch_size=8, ends="uneven")
        keys = [key for batch in loader for key in batch["key"]]
        return loader, keys, server.requests, int(clips.numbers("mp4_length").sum())


def sent(requests: list[Request]) -> int:
    return sum(request.sent for request in requests)


def test_a_sparse_subset_afar_costs_its_own_bytes(afar: dict[str, bytes]) -> None:
    loader, keys, requests, needed = epoch_afar(afar, 0.08)
    assert 0.05 <= len(keys) / (SHARDS * CLIPS_OF_A_SHARD) <= 0.1 and not loader.failures
    assert needed <= sent(requests) <= 1.1 * needed


def test_neighbors_afar_come_in_one_request_though_few_are_held(
    afar: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("equime_loader.blocks.HELD_BYTES", 4 * len(afar["wds/train-00000.tar"]))
    loader, keys, requests, needed = epoch_afar(afar)
    assert len(set(keys)) == len(keys) == SHARDS * CLIPS_OF_A_SHARD and keys != sorted(keys)
    assert sorted(request.path for request in requests) == sorted(afar.keys() - {"index.parquet"})
    assert needed <= sent(requests) <= 1.1 * needed and not loader.failures


def test_one_changed_byte_afar_costs_one_clip(afar: dict[str, bytes]) -> None:
    _, whole, requests, _ = epoch_afar(afar)
    name, position = "wds/train-00003.tar", 3 * CLIPS_OF_A_SHARD + 4
    offset, length = (
        pq.read_table(io.BytesIO(afar["index.parquet"]))[f"mp4_{what}"][position].as_py()
        for what in ("offset", "length")
    )
    changed = bytearray(afar[name])
    changed[offset + length // 2] ^= 1
    loader, keys, asked, _ = epoch_afar(afar | {name: bytes(changed)})
    (fault,) = loader.failures
    assert (fault.shard, fault.key) == (name, f"clip-{position:03d}") and "sha256 is " in fault.reason
    assert sorted([*keys, fault.key]) == sorted(whole)
    # The clip alone is asked for again, since its bytes may have been changed on the way.
    assert sent(asked) == sent(requests) + 2 * length


# --- nothing is left behind


@pytest.fixture(scope="module")
def settled(intact: Selection) -> Selection:
    """A selection whose files, helpers and threads have been started once."""
    for options in ({"workers": 2}, {"workers": 1, "processes": True}):
        list(Loader(intact, VIEW, batch_size=4, **options))  # type: ignore[arg-type]
    return intact


@pytest.fixture
def nothing_left(settled: Selection) -> Iterator[None]:
    before = threads(), descriptors(), Counter(children()), Counter(shared_memory())
    yield

    def left() -> list[str]:
        now = threads(), descriptors(), Counter(children()), Counter(shared_memory())
        return [what for after, known in zip(now, before, strict=True) for what in (after - known).elements()]

    assert comes_true(lambda: not left()), left()


MODES: list[dict[str, Any]] = [{"workers": 0}, {"workers": 2}, {"workers": 2, "processes": True}]


@pytest.mark.parametrize("options", MODES)
@pytest.mark.usefixtures("nothing_left")
def test_a_loop_that_is_broken_off_leaves_nothing(settled: Selection, options: dict[str, Any]) -> None:
    loader = Loader(settled, VIEW, batch_size=2, prefetch=4, **options)
    for _ in loader:
        break
    loop = iter(loader)
    next(loop)
    loop.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("options", MODES)
@pytest.mark.usefixtures("nothing_left")
def test_an_exception_of_the_consumer_leaves_nothing(settled: Selection, options: dict[str, Any]) -> None:
    loader = Loader(settled, VIEW, batch_size=2, prefetch=4, **options)

    def train() -> None:
        for _ in loader:
            raise RuntimeError("loss is NaN")

    with pytest.raises(RuntimeError, match="loss is NaN"):
        train()


@pytest.mark.parametrize("options", MODES)
def test_an_error_that_is_kept_keeps_nothing_running(settled: Selection, options: dict[str, Any]) -> None:
    before = threads(), Counter(children())

    def broken(batch: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("augmentation")

    loader = Loader(settled, VIEW, batch_size=2, transform=broken, **options)
    with pytest.raises(RuntimeError, match="augmentation") as kept:
        list(loader)
    # What others had running may end meanwhile.
    assert comes_true(lambda: threads() <= before[0] and Counter(children()) <= before[1])
    assert kept.value.__traceback__ is not None


TRAINING = """
import json, sys
sys.path.insert(0, {tests!r})
import equime_loader
from equime_loader import Loader, View, Window, WindowCacheSettings
from running import children, comes_true, threads

def main():
    clips = equime_loader.open_dataset({root!r})
    cache = WindowCacheSettings({cache!r}, 10**8)
    loader = Loader(clips, View(Window.around(), 64), batch_size=2, cache=cache, **{options})
    while True:
        for batch in loader:
            print("training", flush=True)

if __name__ == "__main__":
    before = threads()
    remains = []

    def nothing_remains():
        remains.append([sorted((threads() - before).elements()), children()])
        return remains[-1] == [[], []]

    try:
        main()
    except KeyboardInterrupt:
        comes_true(nothing_remains)
        print()  # Ctrl-C may come in the middle of a line
        print(json.dumps(remains[-1]), flush=True)
        raise
"""


@pytest.mark.parametrize(
    ("options", "whom"), [(MODES[1], "group"), (MODES[2], "group"), (MODES[2], "parent")]
)  # fmt: skip
def test_ctrl_c_leaves_nothing(built: Path, tmp_path: Path, options: dict[str, Any], whom: str) -> None:
    temporary = Path(tempfile.mkdtemp(prefix="equime-"))  # short: the path of a socket in it is bounded
    script = tmp_path / "train.py"
    tests = str(Path(__file__).parent)
    script.write_text(TRAINING.format(tests=tests, root=str(built), options=options, cache=str(tmp_path / "cache")))
    before = shared_memory()
    with at_work(script, {**os.environ, "TMPDIR": str(temporary)}) as run:
        assert run.stdout is not None and run.stdout.readline() == "training\n"
        # Ctrl-C in a terminal goes to all processes of the group; a scheduler may send it to the first alone.
        send = os.killpg if whom == "group" else os.kill
        press_ctrl_c(lambda: send(run.pid, signal.SIGINT), lambda: run.poll() is not None)
        out, err = run.communicate(timeout=60)
        assert json.loads(out.splitlines()[-1]) == [[], []], err
        assert run.returncode == -signal.SIGINT
        assert err.rstrip().endswith("KeyboardInterrupt")
        assert comes_true(lambda: session(run.pid) == [])
    temporary.rmdir()  # nothing lies in it
    assert comes_true(lambda: shared_memory() <= before)
    assert "resource_tracker" not in err
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".cache"}


@pytest.mark.parametrize("options", MODES[1:])
def test_a_program_may_end_in_the_middle_of_a_loop(built: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    script = tmp_path / "end.py"
    script.write_text(
        "import equime_loader\nfrom equime_loader import Loader\nif __name__ == '__main__':\n"
        f"    clips = equime_loader.open_dataset({str(built)!r})\n"
        f"    loop = iter(Loader(clips, batch_size=2, **{options}))\n"
        "    next(loop)\n    print('end')\n"
    )
    with at_work(script) as run:
        out, err = run.communicate(timeout=60)
        assert (run.returncode, out, err) == (0, "end\n", "")
        assert comes_true(lambda: session(run.pid) == [])
