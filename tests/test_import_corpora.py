"""Every corpus from a stand-in copy to a dataset folder: rows in, clips out, every fault named, every promise held."""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from corpora import make_casme2, make_casme3, make_casme_sq, make_samm, make_smic
from corpora.stand_in import Made

from equime_builder import manifest
from equime_builder.importing.plan import Request
from equime_builder.importing.run import import_corpus
from equime_builder.verify import verify
from equime_loader import Loader, View, Window, open_dataset
from equime_loader.corpora import read_corpus

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
        assert event["recording_first"] <= event["first"] <= event["last"] <= event["recording_last"]
    batches = list(Loader(open_dataset(root), View(window=Window.spread(4), size=32), batch_size=4, labels=("corpus",)))
    assert sum(len(batch["key"]) for batch in batches) >= len(rows)
