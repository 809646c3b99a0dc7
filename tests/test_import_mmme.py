"""MMME from copy to batch: nobody's name in any byte that is written or printed, signals in step with the frames."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from corpora.make_mmme import BEGINS, DATE, NAMES, make
from corpora.make_signals import EEG, value
from corpora.stand_in import write_csv

from equime_loader import Loader, View, Window, open_dataset
from equime_loader.corpora.signals import Signals

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("COV_")}


def equime(*arguments: str | Path, key: Path) -> tuple[int, str]:
    """A command in a process of its own: exit status, and all that it printed."""
    command = [sys.executable, "-m", "equime_builder", *map(str, arguments)]
    environment = {**ENVIRONMENT, "EQUIME_PSEUDONYM_KEY": str(key), "NO_COLOR": "1", "COLUMNS": "200"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, a key, and the dataset that was imported with it; with what the commands printed."""
    top = tmp_path_factory.mktemp("mmme")
    make(top / "copy", subjects=3, clips=2, size=48)
    # One frame is no picture, one session has no EEG, one correction is for somebody unknown.
    broken = sorted((top / "copy" / "data" / f"{NAMES[1]}{DATE}").rglob("*-107.tif"))[40]
    broken.write_bytes(b"no picture")
    next((top / "copy" / "data" / f"{NAMES[2]}{DATE}").rglob("*.cdt.dpa")).unlink()
    header = ["corpus", "subject", "clip", "onset", "field", "value"]
    write_csv(top / "corrections.csv", [header, ["mmme", NAMES[0], f"angry_1_146_{NAMES[0]}", None, "label", "tense"]])
    told = []
    for arguments in (
        ("import", "mmme", top / "copy", "--check", "--json", "--corrections", top / "corrections.csv"),
        ("import", "mmme", top / "copy", top / "dataset", "--workers", "2", "--formats", "webdataset,parquet,arrow"),
        ("verify", top / "dataset"),
    ):
        status, text = equime(*arguments, key=top / "mine" / "a.key")
        assert status == 0, text
        told.append(text)
    (top / "told.txt").write_text("\n".join(told))
    return top


def _texts(root: Path) -> Iterator[tuple[str, bytes]]:
    """Every file's name and bytes, and what lies unpacked in those that are packed."""
    for path in sorted(root.rglob("*")):
        yield str(path.relative_to(root)), path.relative_to(root).as_posix().encode()
        if not path.is_file():
            continue
        data = path.read_bytes()
        yield path.name, data
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            yield (
                path.name,
                str(table.drop_columns([c for c in ("video",) if c in table.column_names]).to_pylist()).encode(),
            )
        elif path.suffix == ".arrow":
            with pa.memory_map(str(path)) as source:
                yield path.name, str(pa.ipc.open_file(source).read_all().drop_columns(["video"]).to_pylist()).encode()
        elif path.suffix == ".tar":
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                for member in archive:
                    file = archive.extractfile(member)
                    yield member.name, file.read() if file else b""


def test_no_name_in_any_byte(folder: Path) -> None:
    # A name of two letters stands in any megabyte by chance; those that are longer do not.
    long = [name.casefold().encode() for name in NAMES if len(name) > 4]
    found = 0
    for name, data in (*_texts(folder / "dataset"), ("told", (folder / "told.txt").read_bytes())):
        text = data.lower()
        found += 1
        for word in (*long, DATE.encode(), b"2023-07-18", b"ximea", str(folder / "copy").encode()):
            if word == str(folder / "copy").encode() and name == "told":
                continue  # the user typed it
            assert word not in text, (name, word)
    assert found > 20


def test_a_bad_clip_and_a_lacking_signal_are_told_by_pseudonym(folder: Path) -> None:
    rejected = (folder / "dataset" / "__manifest__" / "rejected.csv").read_text()
    assert "is no picture" in rejected and "the .cdt recording cannot be read" in rejected
    clips = open_dataset(folder / "dataset")
    assert len(clips) == 5 and set(clips.counts("expression")) == {"micro"}


def test_a_batch_has_frames_and_signals_of_one_time(folder: Path) -> None:
    clips = open_dataset(folder / "dataset")
    signals = Signals.open(folder / "dataset")
    assert signals.names == ("ecg", "eda", "eeg", "emg", "eog", "ppg", "rsp", "skt") and signals.channels["eeg"] == EEG
    window = Window.around("onset", 20, before=5)
    loader = Loader(
        clips,
        View(window=window, size=(32, 32)),
        batch_size=5,
        workers=0,
        shuffle=False,
        labels=("corpus_clip", "onset_frame"),
        transform=lambda batch: signals.attach(batch, window),
    )
    (batch,) = loader
    fps = clips.numbers("fps")
    assert batch["video"].shape == (5, 3, 20, 32, 32)
    assert batch["eda"].shape[:2] == (5, 1) and batch["eeg"].shape[:2] == (5, len(EEG))
    assert abs(batch["eda"].shape[2] - 1000 * 20 / fps.min()) <= 1
    assert batch["eeg_mask"].any(1).sum() == 3  # of one session there is none
    for row, clip in enumerate(batch["corpus_clip"].tolist()):
        marker = int(loader.words["corpus_clip"][clip].split("_")[2])
        first = float(batch["eda"][row, 0, 0])
        # The channel's ramp says which sample this is: that of the window's first frame, of the trial's own marker.
        sample = (first - float(value(4, 0))) * 1024
        assert 0 <= sample - BEGINS[marker] < 800
        both = np.diff(batch["eda"][row, 0].numpy()[batch["eda_mask"][row].numpy()]) * 1024
        np.testing.assert_allclose(both, 1, atol=0.1)


def test_a_model_of_frames_and_signals_trains(folder: Path) -> None:
    torch.manual_seed(0)
    clips, signals = open_dataset(folder / "dataset"), Signals.open(folder / "dataset")
    window = Window.around_ms("onset", 1000, before=250)
    loader = Loader(
        clips,
        View(window=Window.spread(6), size=(16, 16)),
        batch_size=5,
        workers=0,
        labels=("corpus_label",),
        transform=lambda batch: signals.attach(batch, window, names=("eda", "eeg"), samples=64),
    )
    frames, body = torch.nn.Linear(3 * 6 * 16 * 16, 8), torch.nn.Linear((1 + len(EEG)) * 64, 8)
    parts = [*frames.parameters(), *body.parameters()]
    optimizer = torch.optim.Adam(parts, 1e-3)
    losses = []
    for _ in range(30):
        for batch in loader:
            recorded = torch.cat([batch[name] * batch[f"{name}_mask"][:, None] for name in ("eda", "eeg")], 1)
            seen = frames(batch["video"].float().flatten(1) / 255) + body((recorded / 500).flatten(1))
            loss = torch.nn.functional.cross_entropy(seen, batch["corpus_label"])
            optimizer.zero_grad()
            loss.backward()
            assert all(part.grad is not None and part.grad.abs().sum() > 0 for part in parts)
            optimizer.step()
            losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_a_key_within_the_dataset_is_refused_before_anything_is_written(tmp_path: Path, check: tuple[str, ...]) -> None:
    make(tmp_path / "copy", subjects=1, clips=1, quirks=False, signals=False, size=16)
    key = tmp_path / "dataset" / "mine" / "a.key"
    status, told = equime("import", "mmme", tmp_path / "copy", tmp_path / "dataset", *check, key=key)
    assert status == 1 and "must lie outside of" in told and "Traceback" not in told
    assert not (tmp_path / "dataset").exists()
