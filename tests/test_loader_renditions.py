"""Windows of renditions: the same clips, labels and order as of the clips themselves, from smaller videos."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from httpserver import RangeServer, serving
from running import run_without

import equime_loader
from equime_builder import rendition
from equime_builder.profiles import Video
from equime_builder.rendition import make_rendition
from equime_loader import Loader, View, Window, WindowCacheSettings
from equime_loader.index import IndexFault
from equime_loader.reading import ClipReader, SampleFault
from equime_loader.renditions import index_path
from equime_loader.storage.errors import MissingError

SIZE = 48
WINDOW = Window.around("apex", 4)
PLAIN, SMALLER = View(WINDOW, 40), View(WINDOW, 40, rendition=SIZE)


@pytest.fixture(scope="module")
def root(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with a rendition. Read only: copy it to change it."""
    root = Path(shutil.copytree(built, tmp_path_factory.mktemp("renditions") / "equime"))
    make_rendition(root, SIZE)
    return root


def rewrite(root: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    """Change the rows of a rendition's index."""
    path = root / index_path(SIZE)
    schema, rows = pq.read_schema(path), pq.read_table(path).to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema), path)


def test_a_long_word_in_every_row_is_refused(root: Path, copy_of: Callable[[Path], Path]) -> None:
    damaged = copy_of(root)

    def lengthen(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["shard"] = "x" * 2**20

    rewrite(damaged, lengthen)
    with pytest.raises(IndexFault, match=r"index.parquet: cannot be read as the index .*word of more than 4096 bytes"):
        equime_loader.open_dataset(damaged).index.rendition(SIZE)


def test_opening_a_rendition_does_not_import_pandas(root: Path) -> None:
    """It takes a third of a second, while somebody waits for a first batch."""
    program = (
        "import equime_loader as e; from equime_loader.reading import ClipReader\n"
        f"ClipReader(e.open_dataset({str(root)!r}), e.View(size={SIZE}, rendition={SIZE}))"
    )
    run_without(program, "torch", "pandas")


def test_a_window_cache_of_a_rendition_that_was_made_anew_is_another(
    root: Path, copy_of: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, cache = copy_of(root), WindowCacheSettings(tmp_path / "cache", 2**28)

    def read() -> list[Any]:
        reader = ClipReader(equime_loader.open_dataset(folder), SMALLER, cache=cache)
        return [reader.read(position).frames.copy() for position in range(len(reader))]

    first = read()
    shutil.rmtree(folder / "renditions")
    monkeypatch.setattr(rendition, "video_of", lambda header: Video(crf=40))
    make_rendition(folder, SIZE)
    assert not np.array_equal(first, read())


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": 2}, {"workers": 1, "processes": True}])
def test_batches_are_those_of_the_clips(root: Path, options: dict[str, Any]) -> None:
    clips = equime_loader.open_dataset(root)
    common: dict[str, Any] = {"seed": 3, "batch_size": 5, "labels": ["emotion", "aus"], "check": True}
    pairs = list(zip(Loader(clips, PLAIN, **common), Loader(clips, SMALLER, **options, **common), strict=True))
    assert pairs
    for plain, smaller in pairs:
        assert plain.keys() == smaller.keys() and plain["key"] == smaller["key"]
        assert all(torch.equal(plain[name], smaller[name]) for name in plain if name not in ("key", "video"))
        differ = (plain["video"].float() - smaller["video"].float()).abs()
        assert differ.mean() < 2 and not torch.equal(plain["video"], smaller["video"])


def test_a_view_of_no_size_has_that_of_the_rendition(root: Path) -> None:
    reader = ClipReader(equime_loader.open_dataset(root), View(WINDOW, None, rendition=SIZE))
    assert reader.read(0).frames.shape == (4, SIZE, SIZE, 3)
    gray = ClipReader(equime_loader.open_dataset(root), View(WINDOW, SIZE, gray=True, flow="dis", rendition=SIZE))
    clip = gray.read(0)
    assert clip.frames.shape == (4, SIZE, SIZE, 1) and clip.flow is not None and clip.flow.shape == (2, SIZE, SIZE)


def test_a_selection_and_a_join_of_selections(root: Path, built: Path) -> None:
    clips = equime_loader.open_dataset(root).where(split="train")
    alone = [clip.frames for clip in map(ClipReader(clips, SMALLER).read, range(len(clips)))]
    joined = equime_loader.join({"one": clips, "other": clips})
    reader = ClipReader(joined, SMALLER, check=True)
    assert len(reader) == 2 * len(clips)
    for position in range(len(reader)):
        assert np.array_equal(reader.read(position).frames, alone[position % len(clips)])
    with pytest.raises(
        MissingError, match=r"has no rendition of 48 pixels; `equime rendition FOLDER --size 48` makes it"
    ):
        ClipReader(equime_loader.join({"one": clips, "other": equime_loader.open_dataset(built)}), SMALLER)


def test_a_cache_of_windows_keeps_them_apart(root: Path, tmp_path: Path) -> None:
    clips, cache = equime_loader.open_dataset(root), WindowCacheSettings(tmp_path, 2**24)
    first = [ClipReader(clips, view, cache=cache).read(0).frames for view in (PLAIN, SMALLER)]
    again = [ClipReader(clips, view, cache=cache).read(0).frames for view in (PLAIN, SMALLER)]
    assert not np.array_equal(first[0], first[1])
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))


def test_a_rendition_is_read_from_afar(root: Path) -> None:
    with serving(RangeServer(root)) as server:
        clips = equime_loader.open_dataset(server.url)
        here = ClipReader(equime_loader.open_dataset(root), SMALLER)
        there = ClipReader(clips, SMALLER, check=True)
        assert np.array_equal(there.read(1).frames, here.read(1).frames)
        clips.index.store.close()


def test_views_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"^size=112 is more than rendition=48 has"):
        View(size=112, rendition=48)
    with pytest.raises(ValueError, match=r"^size=\(40, 64\) is more than rendition=48 has"):
        View(size=(40, 64), rendition=48)
    for odd in (8, 17, 4098):
        with pytest.raises(ValueError, match=rf"^rendition={odd} must be an even number within 16\.\.4096$"):
            View(size=8, rendition=odd)
    with pytest.raises(TypeError, match=r"^rendition must be a number of pixels; it is '112'$"):
        View(rendition="112")  # type: ignore[arg-type]


def test_a_rendition_that_there_is_not(built: Path) -> None:
    with pytest.raises(
        MissingError, match=r"has no rendition of 48 pixels; `equime rendition FOLDER --size 48` makes it$"
    ):
        Loader(equime_loader.open_dataset(built), SMALLER)


def test_a_damaged_rendition_costs_a_sample(root: Path, copy_of: Callable[[Path], Path]) -> None:
    folder = copy_of(root)
    row = pq.read_table(folder / index_path(SIZE)).to_pylist()[3]
    with open(folder / row["shard"], "r+b") as tar:
        tar.seek(row["mp4_offset"] + row["mp4_length"] // 2)
        tar.write(b"\xff\x00")
    reader = ClipReader(equime_loader.open_dataset(folder), SMALLER, check=True)
    with pytest.raises(SampleFault, match=rf"^{row['shard']}: sample {row['key']}: "):
        reader.read(3)
    assert reader.read(4).frames.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.pop(), r": 1 clip without a rendition of 48 pixels; run `equime rendition` again$"),
        (
            lambda rows: rows[2].update(of_sha256="0" * 64),
            r"was made of other clips than the index has \(1, first \w+\)",
        ),
        (lambda rows: rows[0].update(shard="../../etc/passwd"), r"must be relative to the dataset"),
        (
            lambda rows: rows[0].update(mp4_offset=-1),
            r"cannot be read as the index of a rendition \(mp4_offset must lie",
        ),
        (lambda rows: rows[0].update(mp4_length=2**40), r"\(mp4_length must lie within 1\.\.4294967296\)"),
    ],
)
def test_an_index_that_lies(
    root: Path, copy_of: Callable[[Path], Path], change: Callable[[list[dict[str, Any]]], Any], message: str
) -> None:
    folder = copy_of(root)
    rewrite(folder, change)
    with pytest.raises(IndexFault, match=message):
        ClipReader(equime_loader.open_dataset(folder), SMALLER)


@pytest.mark.parametrize("data", [b"", b"PAR1 no table PAR1"])
def test_an_index_that_is_none(root: Path, copy_of: Callable[[Path], Path], data: bytes) -> None:
    folder = copy_of(root)
    (folder / index_path(SIZE)).write_bytes(data)
    with pytest.raises(IndexFault, match="cannot be read as the index of a rendition"):
        ClipReader(equime_loader.open_dataset(folder), SMALLER)
    pq.write_table(pa.table({"key": ["a"]}), folder / index_path(SIZE))
    with pytest.raises(IndexFault, match="other columns than a rendition has"):
        ClipReader(equime_loader.open_dataset(folder), SMALLER)
