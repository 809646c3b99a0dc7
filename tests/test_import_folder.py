"""An imported folder keeps every promise of a built one: same bytes, resumable, verified, one bad clip costs itself."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import tree
from importing import reading, small_reading
from running import comes_true

from equime_builder import manifest
from equime_builder.build import build
from equime_builder.importing.plan import Request
from equime_builder.importing.run import import_corpus, repair_import, request_of
from equime_builder.manifest import FolderError
from equime_builder.repair import repair
from equime_builder.sources.drawn import ProceduralSource
from equime_builder.verify import verify
from equime_loader import Loader, View, Window, leave_one_subject_out, open_dataset
from equime_loader.corpora.events import Reading

ALL = Request(context_ms=50, formats=("webdataset", "parquet", "arrow"), shard_frames=40)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copy")
    small_reading(root)
    return root


@pytest.fixture(scope="module")
def imported(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete import in all three formats. Read only."""
    root = tmp_path_factory.mktemp("imported") / "casme2"
    import_corpus(root, small_reading(corpus), ALL)
    return root


def test_a_complete_folder_has_no_fault(imported: Path) -> None:
    assert verify(imported) == []
    assert len(manifest.shards_in(manifest.folder_header(imported), None)) == 3
    assert not (imported / manifest.LOCKS).exists()


def test_one_bad_clip_costs_itself(imported: Path) -> None:
    index = pq.read_table(imported / "index.parquet")
    assert sorted(index["corpus_subject"].to_pylist()) == ["sub01", "sub01", "sub02", "sub03", "sub03"]
    with open(imported / manifest.REJECTED, newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"what": "event", "name": "sub04/EP01_01", "reason": "sheet.xlsx, line 9: offset 0"},
        {"what": "clip", "name": "happiness_u_casme2xsub02_000", "reason": "frame 21 is no picture"},
    ]


def test_labels_of_a_clip(imported: Path) -> None:
    row = pq.read_table(imported / "index.parquet").to_pylist()[0]
    expected = {
        "key": "surprise_u_casme2xsub01_000",
        "split": "train",
        "subject": "casme2-sub01",
        "emotion": "surprise",
        "derived_emotion": None,
        "three_class": "surprise",
        "au_text": "1+2",
        "au_coding": "1+2",
        "onset_frame": 5,
        "apex_frame": 10,
        "offset_frame": 18,
        "onset_ms": 50.0,
        "frames": 24,
        "fps": 100.0,
        "width": 48,
        "height": 36,
        "corpus": "casme2",
        "corpus_subject": "sub01",
        "corpus_clip": "EP01_01",
        "corpus_label": "surprise",
        "expression": "micro",
        "timing_by": "coder",
        "publication": "allowed",
        "apparent_gender": None,
        "caption": "A micro-expression labeled surprise, AU1, AU2.",
    }
    assert {name: row[name] for name in expected} == expected
    assert row["aus"] == [{"au": au, "side": "both", "intensity": None} for au in (1, 2)]
    assert "signed license agreement" in row["license"]


def test_events_are_in_the_corpus_own_frames(imported: Path) -> None:
    rows = pq.read_table(imported / "events.parquet").to_pylist()
    assert [row["key"] is None for row in rows] == [False, False, False, True, False, False]
    names = ("onset", "apex", "offset", "first", "last", "recording_first", "recording_last", "fps", "corpus_label")
    assert [rows[0][name] for name in names] == [15, 20, 28, 10, 33, 1, 40, 100.0, "surprise"]


def test_one_loader_serves_it(imported: Path) -> None:
    clips = open_dataset(imported)
    assert len(clips) == 5 and clips.index.sha256
    view = View(window=Window.spread(8), size=None)
    (batch,) = Loader(clips, view, batch_size=5, labels=("emotion", "expression"), shuffle=False)
    assert tuple(batch["video"].shape) == (5, 3, 8, 36, 48)
    # The bright square lies where the frame's number says, and gray pictures are gray.
    first = batch["video"][0].numpy().astype(int)
    assert np.abs(first - first.mean(axis=0)).max() <= 2
    assert [int(np.argmax(frame[0, 12] > 240)) for frame in first.transpose(1, 0, 2, 3)[[0, -1]]] == [15, 28]
    folds = list(leave_one_subject_out(clips))
    assert len(folds) == 3


def test_datasets_reads_it(imported: Path) -> None:
    import datasets

    loaded = datasets.load_dataset(str(imported), split="train", streaming=True).select_columns(["key", "au_curves"])
    rows = list(loaded)
    assert [row["key"] for row in rows] == pq.read_table(imported / "index.parquet")["key"].to_pylist()
    assert np.isnan(np.asarray(rows[0]["au_curves"], float)).all()
    labels = datasets.load_dataset("equime", "metadata", data_dir=str(imported), split="train", streaming=True)
    assert {row["corpus"] for row in labels} == {"casme2"}


def test_two_workers_make_the_bytes_of_one(corpus: Path, imported: Path, tmp_path: Path) -> None:
    import_corpus(tmp_path / "casme2", small_reading(corpus), ALL, workers=2)
    assert tree(tmp_path / "casme2") == tree(imported)


def test_importing_again_changes_nothing(corpus: Path, imported: Path, copy_of: Callable[[Path], Path]) -> None:
    root = copy_of(imported)
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    import_corpus(root, small_reading(corpus), ALL)
    assert times == {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from importing import small_reading
from equime_builder.importing.run import import_corpus
from test_import_folder import ALL
import equime_builder.importing.shard as shard
made = shard.make_sample
def slowly(*clip, **told):
    sys.stdin.readline()  # goes on when it is told to
    return made(*clip, **told)
shard.make_sample = slowly
import_corpus(Path(sys.argv[1]), small_reading(Path(sys.argv[2])), ALL)
"""


@pytest.mark.parametrize("clips", [0, 3])
def test_a_killed_import_resumes_to_the_same_bytes(corpus: Path, imported: Path, tmp_path: Path, clips: int) -> None:
    """Killed when so many clips are made: with a plan only, in the midst of a shard, between shards."""
    root = tmp_path / "casme2"
    (tmp_path / "child.py").write_text(CHILD)
    command = [sys.executable, str(tmp_path / "child.py"), str(root), str(corpus), str(Path(__file__).parent)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert child.stdin is not None
    child.stdin.write(b"\n" * clips)
    child.stdin.flush()
    begun = root / f"wds/.train-{clips // 2:05d}.tar.tmp"
    assert comes_true(begun.exists, 60)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdin.close()
    assert tree(root) != tree(imported) and verify(root)
    import_corpus(root, small_reading(corpus), ALL)
    assert tree(root) == tree(imported)


def _cut_tar(root: Path) -> None:
    path = root / "wds/train-00001.tar"
    path.write_bytes(path.read_bytes()[:-1024])


def _edit_events(root: Path) -> None:
    table = pq.read_table(root / "events.parquet")
    pq.write_table(table.slice(1), root / "events.parquet")


def _edit_commit(root: Path) -> None:
    path = root / "__manifest__/shards/train-00000.json"
    path.write_text(path.read_text().replace('"samples": 2', '"samples": 1'))


def _edit_plan(root: Path) -> None:
    table = pq.read_table(root / "__manifest__/clips.parquet")
    pq.write_table(table.slice(1), root / "__manifest__/clips.parquet")


FAULTS: dict[str, Callable[[Path], object]] = {
    "tar": _cut_tar,
    "events": _edit_events,
    "commit": _edit_commit,
    "plan": _edit_plan,
    "parquet": lambda root: (root / "data/train-00002-of-00003.parquet").unlink(),
    "findings": lambda root: (root / "__manifest__/findings.parquet").unlink(),
    "rejects": lambda root: (root / "__manifest__/rejected.csv").write_text(""),
    "card": lambda root: (root / "README.md").write_text("edited"),
    "stray": lambda root: (root / "wds/notes.txt").write_text("mine"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_repaired(
    name: str, corpus: Path, imported: Path, copy_of: Callable[[Path], Path]
) -> None:
    root = copy_of(imported)
    FAULTS[name](root)
    assert verify(root)
    assert repair_import(root, small_reading(corpus))
    assert tree(root) == tree(imported)


@pytest.mark.parametrize("formats", [("webdataset",), ("parquet",)])
def test_one_format_is_enough(corpus: Path, tmp_path: Path, formats: tuple[str, ...]) -> None:
    root = tmp_path / "casme2"
    import_corpus(root, small_reading(corpus), Request(formats=formats))
    assert verify(root) == []
    assert [path.name for path in (root / "wds").glob("*")] == (["train-00000.tar"] if "webdataset" in formats else [])
    assert len(open_dataset(root)) == 5


def test_a_second_import_at_the_same_time_is_refused(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "casme2"
    monkeypatch.setattr(manifest, "LOCK_PATIENCE_S", 0.1)
    import_corpus(root, small_reading(corpus), ALL)
    next(root.glob("wds/*.tar")).unlink()
    with manifest.lock(root, "build"), pytest.raises(FolderError, match="another build is writing this folder"):
        import_corpus(root, small_reading(corpus), ALL)


def test_another_plan_or_corpus_is_refused(corpus: Path, imported: Path) -> None:
    with pytest.raises(FolderError, match=r"context_ms: 250\.0 asked, 50\.0 planned"):
        import_corpus(imported, small_reading(corpus), Request(formats=ALL.formats, shard_frames=40))
    read = small_reading(corpus)
    fewer = Reading(read.corpus, read.sheet, read.rows, read.events[1:], read.findings)
    with pytest.raises(FolderError, match=r"the corrections read otherwise \(6 clips then, 5 now\)"):
        import_corpus(imported, fewer, ALL)
    with pytest.raises(FolderError, match="the corrections read otherwise"):
        repair_import(imported, fewer)
    assert request_of(imported) == ALL


def test_a_folder_of_somebody_else_is_refused(corpus: Path, built: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(FolderError, match="is not empty and holds no plan"):
        import_corpus(tmp_path, small_reading(corpus), ALL)
    with pytest.raises(FolderError, match="it is not the plan of an import"):
        import_corpus(built, small_reading(corpus), ALL)


def test_what_is_for_built_folders_says_so(imported: Path) -> None:
    from conftest import small_request

    for work in (lambda: build(imported, small_request()), lambda: manifest.read_plan(imported)):
        with pytest.raises(FolderError, match="was imported from casme2; this is for datasets that were built"):
            work()
    assert repair(imported, ProceduralSource()) == []  # nothing is broken, so nothing of the source is asked for


def test_nothing_is_left_where_no_plan_came_about(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no event can be imported"):
        import_corpus(tmp_path / "out", reading(), ALL)
    assert not (tmp_path / "out").exists()


def test_its_pages_are_drawn(imported: Path, tmp_path: Path) -> None:
    from equime_builder.figures import composition_page
    from equime_builder.preview import contact_sheet

    assert len(contact_sheet(imported, tmp_path / "sheet.svg", rows=2)) == 2
    composition_page(imported, tmp_path / "page.svg")
    for name in ("sheet.svg", "page.svg"):
        text = (tmp_path / name).read_text()
        assert "casme2, imported" in text and "EquiME, profile" not in text


def test_a_review_asks_about_programs(imported: Path, tmp_path: Path) -> None:
    from equime_builder.review.opening import open_or_begin

    with pytest.raises(FolderError, match="was imported from casme2; a review asks about a program"):
        open_or_begin(open_dataset(imported).index, tmp_path / "review", {})
    assert not (tmp_path / "review").exists()


def test_the_card_tells_where_it_is_from(imported: Path) -> None:
    card = (imported / "README.md").read_text()
    assert "license: other" in card and "# CASME II, imported" in card and "**Not for publication.**" in card
    assert "| left out | 2 events or clips" in card
    assert "Do not publish this folder" in (imported / "LICENSE").read_text()
    assert json.loads((imported / manifest.HEADER).read_text())["about"]["title"] == "CASME II"


def test_a_full_disk_is_one_line_and_loses_nothing(corpus: Path, imported: Path, tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; sys.path.insert(0, sys.argv[3]);"
        "from importing import small_reading; from test_import_folder import ALL;"
        "from equime_builder.importing.run import import_corpus; read = small_reading(Path(sys.argv[2]));"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"
        "import_corpus(Path(sys.argv[1]), read, ALL)"
    )
    root = tmp_path / "casme2"
    arguments = [str(root), str(corpus), str(Path(__file__).parent)]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert "the disk is full (shard train-00000)" in done.stderr
    assert not list(root.rglob("*.tmp")) and not list(root.rglob("*.tar"))
    import_corpus(root, small_reading(corpus), ALL)
    assert tree(root) == tree(imported)
    shutil.rmtree(root)
