"""Every corpus from a stand-in copy to a dataset folder: rows in, clips out, every fault named, every promise held."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
from corpora import (
    make_casme2,
    make_casme3,
    make_casme_sq,
    make_dfme,
    make_equime_published,
    make_fourdme,
    make_miex,
    make_mmew,
    make_mmme,
    make_samm,
    make_smic,
)
from corpora.stand_in import Made

import equime_loader
from equime_builder import manifest
from equime_builder.figures import composition_page
from equime_builder.importing.plan import Request
from equime_builder.importing.run import import_corpus
from equime_builder.plan import FORMATS
from equime_builder.verify import verify
from equime_loader import Loader, View, Window, open_dataset
from equime_loader.corpora import read_corpus
from equime_loader.corpora.events import FrameFiles
from equime_loader.corpora.signals import Signals
from training.protocols.ceiling import programs
from training.protocols.tasks import make_task

MAKERS: dict[str, Callable[[Path], Made]] = {
    "casme2": partial(make_casme2.make, subjects=2),
    "samm": partial(make_samm.make, subjects=2),
    "samm_long": partial(make_samm.make_long, subjects=1),
    "smic_hs": partial(make_smic.make, subjects=2),
    "smic_vis": partial(make_smic.make, subjects=2, camera="VIS"),
    "smic_nir": partial(make_smic.make, subjects=2, camera="NIR"),
    "casme_sq": partial(make_casme_sq.make, subjects=2),
    "casme3_a": partial(make_casme3.make_a, subjects=2),
    "casme3_c": partial(make_casme3.make_c, subjects=2),
    "mmew": partial(make_mmew.make, subjects=2),
    "4dme": partial(make_fourdme.make, subjects=2),
    "dfme": partial(make_dfme.make, subjects=2),
    "miex": partial(make_miex.make, subjects=2),
    "equime_published": partial(make_equime_published.make, subjects=2),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_copy_becomes_a_dataset(name: str, tmp_path: Path) -> None:
    made, root = MAKERS[name](tmp_path / "copy"), tmp_path / "out"
    reading = read_corpus(name, tmp_path / "copy")
    import_corpus(root, reading, Request(context_ms=100, formats=("webdataset", "parquet")))
    assert verify(root) == []
    rows = pq.read_table(root / "index.parquet").to_pylist()
    events = pq.read_table(root / "events.parquet").to_pylist()
    assert {row["corpus"] for row in rows} == {name}
    # Every event of the copy is a clip, and every fault of the copy has its line.
    assert sorted((event["corpus_subject"], event["corpus_clip"], event["onset"]) for event in events) == sorted(
        made.events
    )
    assert len(rows) == len(events) == len(reading.events)
    with open(root / manifest.REJECTED, newline="") as file:
        rejects = list(csv.DictReader(file))
    for clip, reason in made.left_out.items():
        assert any(r["what"] == "event" and clip in r["name"] and reason in r["reason"] for r in rejects), clip
    for row, event in zip(rows, events, strict=True):
        assert row["key"] == event["key"]
        assert row["onset_frame"] == event["onset"] - event["first"]
        assert row["offset_frame"] == event["offset"] - event["first"] < row["frames"]
        if event["recording_first"] is not None:
            assert event["recording_first"] <= event["first"] <= event["last"] <= event["recording_last"]
    batches = list(Loader(open_dataset(root), View(window=Window.spread(4), size=32), batch_size=4, labels=("corpus",)))
    assert sum(len(batch["key"]) for batch in batches) >= len(rows)


@pytest.mark.parametrize("name", ["smic_hs", "miex", "equime_published"])
def test_aus_that_nobody_coded_are_not_aus_that_do_not_act(name: str, tmp_path: Path) -> None:
    """They are null in every form, and all that reads them still works."""
    MAKERS[name](tmp_path / "copy")
    root = tmp_path / "out"
    import_corpus(root, read_corpus(name, tmp_path / "copy"), Request(context_ms=0, formats=FORMATS))
    assert verify(root) == []
    clips = open_dataset(root)
    assert [row["aus"] for row in clips.labels(["aus"])] == [None] * len(clips)
    assert len(clips.without_au(12)) == len(clips.having_au(12)) == 0
    table = pq.read_table(next((root / "data").glob("*.parquet")))
    assert table["aus"].null_count == len(table)
    streamed = datasets.load_dataset(str(root), split="train", streaming=True).select_columns(["aus"])
    assert [row["aus"] for row in streamed] == [None] * len(clips)
    view = View(window=Window.spread(2), size=16)
    both = equime_loader.join({"a": clips, "b": clips})
    batch = next(iter(Loader(both, view, batch_size=2, labels=("aus",))))
    assert batch["aus"].shape[0] == 2 and batch["aus"].isnan().all()
    if name == "smic_hs":
        assert set(programs(make_task(clips, "three"))) == {((), False)}
    composition_page(root, tmp_path / "page.png")


def test_videos_are_carried_byte_for_byte(tmp_path: Path) -> None:
    make_equime_published.make(tmp_path / "copy", subjects=1)
    import_corpus(tmp_path / "out", read_corpus("equime_published", tmp_path / "copy"), Request())
    videos = {path.read_bytes() for path in (tmp_path / "copy").rglob("*.mp4")}
    rows = pq.read_table(tmp_path / "out/data/train-00000-of-00001.parquet", columns=["video"]).to_pylist()
    assert rows and {row["video"]["bytes"] for row in rows} <= videos


def test_no_name_of_a_participant_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names stand in the sheet, in folders and in files of the copy; a picture and a recording are damaged besides."""
    monkeypatch.setenv("EQUIME_PSEUDONYM_KEY", str(tmp_path / "own" / "key"))
    copy, root = tmp_path / "copy", tmp_path / "out"
    make_mmme.make(copy, subjects=3)
    names = make_mmme.NAMES[:3]
    events = read_corpus("mmme", copy).events
    assert isinstance(events[0].frames, FrameFiles) and isinstance(events[-1].frames, FrameFiles)
    events[0].frames.paths[events[0].onset].write_bytes(b"no picture")
    list(events[-1].frames.paths.values())[events[-1].onset].unlink()
    next((copy / "data" / f"{names[1]}{make_mmme.DATE}").glob("*.mat")).write_bytes(b"no recording")
    import_corpus(root, read_corpus("mmme", copy), Request(), workers=2)
    assert verify(root) == []
    rows = pq.read_table(root / "index.parquet").to_pylist()
    assert all(re.fullmatch("p[0-9a-f]{12}", row["corpus_subject"]) for row in rows)
    with open(root / manifest.REJECTED, newline="") as file:
        rejects = list(csv.DictReader(file))
    assert {"event", "kept", "clip", "signal"} <= {row["what"] for row in rejects}
    for path in root.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        for name in names:
            told = f"{path.name} holds a name"
            assert name.lower() not in path.name.lower() and name.lower().encode() not in data.lower(), told
    texts = [
        str(value) for row in (*rows, *pq.read_table(root / "events.parquet").to_pylist()) for value in row.values()
    ]
    for table in (manifest.CLIPS, "__manifest__/findings.parquet"):
        texts += [str(row) for row in pq.read_table(root / table).to_pylist()]
    assert not [name for name in names if name.lower() in " ".join(texts).lower()]


def test_signals_come_with_the_clips_into_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIME_PSEUDONYM_KEY", str(tmp_path / "key"))
    make_mmme.make(tmp_path / "copy", subjects=1, quirks=False)
    import_corpus(tmp_path / "out", read_corpus("mmme", tmp_path / "copy"), Request(formats=("webdataset",)))
    signals = Signals.open(tmp_path / "out")
    assert {"eeg", "ecg", "eda", "ppg", "rsp", "skt"} <= set(signals.names)
    window = Window.around_ms("onset", 200)
    loader = Loader(
        open_dataset(tmp_path / "out"),
        View(window=Window.spread(4), size=32),
        batch_size=2,
        transform=lambda batch: signals.attach(batch, window, samples=50),
    )
    batch = next(iter(loader))
    assert batch["ecg"].shape == (2, 1, 50) and batch["eeg"].shape[0] == 2 and batch["ecg_mask"].all()
