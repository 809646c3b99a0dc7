"""A rendition holds every clip at a smaller size, frame for frame, and the same bytes however it was made."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import tree

from equime_builder.cli import app
from equime_builder.rendition import make_rendition
from equime_loader.renditions import SCHEMA, index_path
from equime_loader.video.pyav import decode
from equime_loader.video.scale import Scaling

SIZE = 48


@pytest.fixture(scope="session")
def rendered(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with a rendition of 48 pixels. Read only: copy it to change it."""
    root = Path(shutil.copytree(built, tmp_path_factory.mktemp("rendered") / "equime"))
    make_rendition(root, SIZE)
    return root


def test_every_clip_is_there_frame_for_frame(built: Path, rendered: Path) -> None:
    index, rows = pq.read_table(built / "index.parquet"), pq.read_table(rendered / index_path(SIZE))
    assert rows.schema.equals(SCHEMA)
    assert rows["key"].equals(index["key"])
    assert rows["of_sha256"].equals(index["mp4_sha256"])
    for clip, row in zip(index.to_pylist(), rows.to_pylist(), strict=True):
        with tarfile.open(rendered / row["shard"]) as tar:
            member = tar.getmember(f"{row['key']}.mp4")
        assert (member.offset_data, member.size) == (row["mp4_offset"], row["mp4_length"])
        assert (row["width"], row["height"]) == (SIZE, SIZE)
        places = np.arange(clip["frames"])
        large = decode(video(built, clip), places, Scaling((SIZE, SIZE), gray=True)).astype(float)
        small = decode(video(rendered, row), places, Scaling(None, gray=True)).astype(float)
        assert np.abs(large - small).mean() < 1.5


def video(root: Path, row: dict[str, object]) -> bytes:
    with open(root / str(row["shard"]), "rb") as tar:
        tar.seek(int(str(row["mp4_offset"])))
        return tar.read(int(str(row["mp4_length"])))


def test_nothing_else_of_the_folder_changes_and_bytes_do_not_depend_on_processes(
    built: Path, rendered: Path, copy_of: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = copy_of(built)
    app(["rendition", str(root), "--size", str(SIZE), "--workers", "2"], standalone_mode=False)
    assert f"read it with View(size={SIZE}, rendition={SIZE})" in capsys.readouterr().out
    assert tree(root) == tree(rendered)
    assert {path: data for path, data in tree(root).items() if not path.startswith("renditions/")} == tree(built)
