"""A rendition holds every clip at a smaller size, frame for frame, and the same bytes however it was made."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from clips import changed, clip, numbers, our_clip, painted
from conftest import small_request, tree
from importing import event, reading, write_frames
from killing import killed_at

from equime_builder import manifest
from equime_builder.build import build
from equime_builder.cli import app
from equime_builder.encode import encode_stream
from equime_builder.hub.checks import objections
from equime_builder.hub.files import planned_files
from equime_builder.importing.plan import Request
from equime_builder.importing.run import import_corpus
from equime_builder.manifest import FolderError
from equime_builder.profiles import Video
from equime_builder.rendition import make_rendition, places, rendered, rendered_size
from equime_builder.rendition_faults import rendition_faults
from equime_builder.verify import verify
from equime_loader.renditions import SCHEMA, index_path
from equime_loader.video.faults import VideoFault
from equime_loader.video.mp4 import parse
from equime_loader.video.pyav import decode
from equime_loader.video.scale import Scaling

SIZE = 48
HERE = f"renditions/{SIZE}"
INCOMPLETE = "missing: the rendition is not complete"


@pytest.fixture(scope="module")
def small(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with a rendition of 48 pixels. Read only: copy it to change it."""
    root = Path(shutil.copytree(built, tmp_path_factory.mktemp("rendered") / "equime"))
    make_rendition(root, SIZE)
    return root


def bytes_of(root: Path, row: Mapping[str, Any]) -> bytes:
    with open(root / row["shard"], "rb") as tar:
        tar.seek(row["mp4_offset"])
        return tar.read(row["mp4_length"])


# --- the clips


def test_every_clip_is_there_frame_for_frame(built: Path, small: Path) -> None:
    index, rows = pq.read_table(built / "index.parquet"), pq.read_table(small / index_path(SIZE))
    assert rows.schema.equals(SCHEMA)
    assert rows["key"].equals(index["key"]) and rows["of_sha256"].equals(index["mp4_sha256"])
    for labels, row in zip(index.to_pylist(), rows.to_pylist(), strict=True):
        with tarfile.open(small / row["shard"]) as tar:
            member = tar.getmember(f"{row['key']}.mp4")
        assert (member.offset_data, member.size) == (row["mp4_offset"], row["mp4_length"])
        assert (row["width"], row["height"]) == (SIZE, SIZE)
        places = np.arange(labels["frames"])
        wanted = decode(bytes_of(built, labels), places, Scaling((SIZE, SIZE), gray=True)).astype(float)
        shown = decode(bytes_of(small, row), places, Scaling(None, gray=True)).astype(float)
        assert np.abs(wanted - shown).mean() < 1.5
        assert labels["onset_frame"] in parse(bytes_of(small, row)).keys


@pytest.mark.parametrize("tags", [{}, {"color_range": 2}, {"colorspace": 1}, {"colorspace": 10, "color_range": 2}])
def test_colors_are_those_of_the_clip(tags: dict[str, int]) -> None:
    data, places = clip(painted(8, 96, 160), tags=tags), np.arange(8)
    made, size = rendered(data, labels_of(8, 160, 96), SIZE, Video(crf=4))
    assert size == (80, SIZE)
    wanted = decode(data, places, Scaling((SIZE, 80), gray=False)).astype(float)
    shown = decode(made, places, Scaling(None, gray=False)).astype(float)
    assert np.abs(wanted - shown).mean() < 1.5
    assert numbers(shown.astype(np.uint8)) == [*range(8)]


def labels_of(frames: int, width: int, height: int) -> dict[str, int]:
    return {"frames": frames, "width": width, "height": height, "onset_frame": 2, "apex_frame": frames + 9}


def test_the_frame_rate_stays() -> None:
    planes = (np.full((144, 64), 16 + number, np.uint8) for number in range(9))
    data = encode_stream(planes, (144, 64), fps=120000 / 1001, keyframes=(), video=Video()).data
    made, size = rendered(data, labels_of(9, 64, 96), 32, Video())
    assert size == (32, 48)
    with av.open(io.BytesIO(made)) as container:
        assert container.streams.video[0].average_rate == Fraction(120000, 1001)
    assert parse(made).keys.tolist() == [0, 2]


def test_sizes_are_even_and_in_proportion() -> None:
    assert rendered_size(640, 480, 112) == (150, 112)
    assert rendered_size(480, 640, 112) == (112, 150)
    assert rendered_size(114, 113, 112) == (112, 112)
    assert rendered_size(112, 640, 112) == (112, 640)


def test_a_clip_of_other_frames_than_its_labels_say_is_refused() -> None:
    data = our_clip(painted(8))
    with pytest.raises(VideoFault, match="8 frames decode, 9 are labeled"):
        rendered(data, labels_of(9, 128, 96), SIZE, Video())
    with pytest.raises(VideoFault, match="a frame is 128x96 pixels"):
        rendered(data, labels_of(8, 96, 128), SIZE, Video())


# --- the folder


def test_nothing_else_of_the_folder_changes_and_bytes_do_not_depend_on_processes(
    built: Path, small: Path, copy_of: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = copy_of(built)
    app(["rendition", str(root), "--size", str(SIZE), "--workers", "2"], standalone_mode=False)
    assert f"read it with View(size={SIZE}, rendition={SIZE})" in capsys.readouterr().out
    assert tree(root) == tree(small)
    assert {path: data for path, data in tree(root).items() if not path.startswith("renditions/")} == tree(built)
    assert build(root, small_request(formats=("webdataset", "parquet", "arrow")))
    assert tree(root) == tree(small)
    assert verify(root) == []


def test_clips_that_are_no_larger_are_copied(built: Path, copy_of: Callable[[Path], Path]) -> None:
    root = copy_of(built)
    assert make_rendition(root, 128).made == 12
    rows, index = (pq.read_table(root / path) for path in (index_path(128), "index.parquet"))
    assert rows["mp4_sha256"].equals(index["mp4_sha256"]) and set(rows["width"].to_pylist()) == {128}
    assert make_rendition(root, 128).made == 0


def test_an_imported_folder(tmp_path: Path) -> None:
    """Of another form than square, with the settings that it was imported with."""
    root = tmp_path / "casme2"
    frames = write_frames(tmp_path / "copy", range(1, 21))
    import_corpus(root, reading(event(frames, (5, 8, 12), fps=200.0)), Request(formats=("webdataset",)))
    make_rendition(root, 16)
    [row] = pq.read_table(root / index_path(16)).to_pylist()
    assert (row["width"], row["height"]) == (22, 16)
    assert verify(root) == []


def test_a_run_that_is_killed_is_gone_on_with(small: Path, copy_of: Callable[[Path], Path]) -> None:
    root = copy_of(small)
    shutil.rmtree(root / "renditions")
    for write in (2, 5, 9):  # at the first tar, at its record, and at the next tar
        assert killed_at(write, make_rendition, root, SIZE)
        assert list(rendition_faults(root)) == [(f"{HERE}/index.parquet", INCOMPLETE)]
    done: list[int] = []
    make_rendition(root, SIZE, progress=lambda count, _: done.append(count))
    assert done[0] > 0  # what was made is kept
    assert tree(root) == tree(small)


def test_what_is_broken_is_found_and_made_again(
    small: Path, copy_of: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = copy_of(small)
    flipped, cut, stale = sorted((root / HERE).glob("*.tar"))[:3]
    flipped.write_bytes(changed(flipped.read_bytes(), 700, b"#"))
    cut.write_bytes(cut.read_bytes()[:-1])
    edit(stale.with_suffix(".parquet"), of_sha256="0" * 64)
    (root / HERE / ".x.tar.tmp").touch()
    (root / HERE / "notes.txt").touch()
    told = {fault.path.removeprefix(f"{HERE}/"): fault.message for fault in verify(root)}
    advice = f"; run `equime rendition {root} --size {SIZE}`"
    key = pq.read_table(flipped.with_suffix(".parquet"))["key"][0]
    assert told == {
        ".x.tar.tmp": "left by an interrupted build",
        "notes.txt": "does not belong here",
        flipped.name: f"clip {key} differs from its recorded sha256{advice}",
        cut.name: f"its end is damaged{advice}",
        f"{stale.stem}.parquet": f"is of other clips than the dataset has now{advice}",
    }
    app(["verify", str(root), "--repair", "--workers", "1"], standalone_mode=False)
    assert f"repaired: {HERE}/{cut.name}: its end is damaged\n" in capsys.readouterr().out
    assert tree(root) == tree(small)


def edit(path: Path, **values: object) -> None:
    """Other values in the first row of a table."""
    rows = pq.read_table(path).to_pylist()
    pq.write_table(pa.Table.from_pylist([rows[0] | values, *rows[1:]], SCHEMA), path)


def lengthen(path: Path, length: int) -> None:
    """A length that cannot be of the first clip, and the places that follow from it."""
    lengths = [length, *pq.read_table(path)["mp4_length"].to_pylist()[1:]]
    rows = zip(pq.read_table(path).to_pylist(), lengths, places(lengths)[0], strict=True)
    made = [row | {"mp4_length": long, "mp4_offset": at if abs(at) < 2**63 else 0} for row, long, at in rows]
    pq.write_table(pa.Table.from_pylist(made, SCHEMA), path)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("train-00000.tar", Path.unlink, "missing"),
        ("train-00000.tar", lambda path: path.write_bytes(changed(path.read_bytes(), 2, b"#")), "the head of clip"),
        ("train-00000.parquet", Path.unlink, "missing"),
        ("train-00000.parquet", lambda path: path.write_text("?"), "cannot be read"),
        ("train-00000.parquet", lambda path: edit(path, mp4_offset=7), "does not say where its clips lie"),
        *(
            ("train-00000.parquet", partial(lengthen, length=length), "does not say where its clips lie")
            for length in (-5, 0, 2**34, 2**62)
        ),
        ("index.parquet", lambda path: edit(path, height=7), "is not what the records of its shards say"),
        ("index.parquet", Path.unlink, INCOMPLETE),
    ],
)
def test_what_else_may_be_wrong(
    name: str, damage: Callable[[Path], object], message: str, small: Path, copy_of: Callable[[Path], Path]
) -> None:
    root = copy_of(small)
    damage(root / HERE / name)
    [(path, reason)] = rendition_faults(root)
    assert path == f"{HERE}/{name}"
    assert reason.startswith(message)


def test_what_is_of_shards_that_are_gone_is_told_and_removed(small: Path, copy_of: Callable[[Path], Path]) -> None:
    root = copy_of(small)
    index = pq.read_table(root / "index.parquet")
    gone = index["shard"][0].as_py()
    pq.write_table(index.filter(pc.not_equal(index["shard"], gone)), root / "index.parquet")
    told = [f"{Path(path).stem} {reason}" for path, reason in rendition_faults(root)]
    assert told[:2] == [f"{Path(gone).stem} is of clips that are gone"] * 2
    make_rendition(root, SIZE)
    assert not list(rendition_faults(root)) and not (root / HERE / Path(gone).name).exists()


def test_it_is_not_published(small: Path, built: Path, copy_of: Callable[[Path], Path]) -> None:
    root = copy_of(small)
    (root / HERE / "index.parquet").unlink()  # nor does it keep a folder from being published
    assert planned_files(root) == planned_files(built)
    assert objections(root) == []


# --- what cannot be


@pytest.mark.parametrize("size", [14, 49, 4098, -2])
def test_a_size_that_cannot_be(built: Path, size: int) -> None:
    with pytest.raises(ValueError, match=f"size={size} must be an even number within 16..4096"):
        make_rendition(built, size)


def test_a_folder_that_cannot_be_rendered(
    tmp_path: Path, copy_of: Callable[[Path], Path], built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "tarless"
    assert build(root, small_request(formats=("parquet",), subjects=3, emotions=("surprise",)))
    with pytest.raises(FolderError, match="holds no tars, of which renditions are made; build it with --formats"):
        make_rendition(root, SIZE)
    (root / HERE).mkdir(parents=True)
    assert [str(fault) for fault in verify(root)] == [f"{HERE}: a folder that does not belong here"]
    root = copy_of(built)
    monkeypatch.setattr(manifest, "LOCK_PATIENCE_S", 0.0)
    with manifest.lock(root, "build"), pytest.raises(FolderError, match="another build is writing this folder"):
        make_rendition(root, SIZE)


def test_a_damaged_clip_is_named(built: Path, copy_of: Callable[[Path], Path]) -> None:
    root = copy_of(built)
    row = pq.read_table(root / "index.parquet").to_pylist()[5]
    path = root / row["shard"]
    path.write_bytes(changed(path.read_bytes(), row["mp4_offset"] + 900, b"####"))
    with pytest.raises(FolderError) as caught:
        make_rendition(root, SIZE)
    assert str(caught.value) == f"{path}: clip {row['key']}: is not what the index says; see `equime verify {root}`"
    assert "\n" not in str(caught.value)
