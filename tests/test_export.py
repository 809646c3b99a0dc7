"""The published hierarchy, written from a built folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import tree

from equime_builder.export import export
from equime_builder.manifest import HEADER, FolderError
from equime_loader import read_video


def test_every_clip_and_its_labels_are_there(built: Path, tmp_path: Path) -> None:
    count = export(built, tmp_path / "folders")
    index = pq.read_table(built / "index.parquet").to_pylist()
    assert count == len(index)
    for row in index:
        emotion, gender, subject, sequence = row["key"].split("_")
        clip = tmp_path / "folders/emotion_categories" / emotion / f"{gender}_{subject}_{sequence}.mp4"
        labels = json.loads((tmp_path / "folders/metadata" / f"{row['key']}_metadata.json").read_text())
        assert clip.stat().st_size == row["mp4_length"] == labels["size_bytes"]
        assert labels["au_text"] == row["au_text"]
    assert len(read_video(clip)) == 80
    assert (tmp_path / "folders/LICENSE").read_bytes() == (built / "LICENSE").read_bytes()


def test_exporting_again_keeps_what_is_there(built: Path, tmp_path: Path) -> None:
    export(built, tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")}
    export(built, tmp_path)
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")}


def test_what_is_not_of_the_export_is_left_alone(built: Path, tmp_path: Path) -> None:
    target, other = tmp_path / "out", tmp_path / "other"
    (target / ".git").mkdir(parents=True)
    export(built, target)
    before = tree(target)
    shutil.copytree(built, other, ignore=shutil.ignore_patterns("wds", "arrow"))
    header = json.loads((other / HEADER).read_text())
    (other / HEADER).write_text(json.dumps({**header, "plan_sha256": "0" * 64}))
    with pytest.raises(FolderError, match="holds an export of another dataset; name another folder"):
        export(other, target)
    assert tree(target) == before
    (target / "export.json").unlink()
    with pytest.raises(FolderError, match="holds 'LICENSE', which no earlier export wrote; name another folder"):
        export(built, target)
    with pytest.raises(FolderError, match=r"README\.md: a file, not a folder"):
        export(built, target / "README.md")
    with pytest.raises(FolderError, match="lies inside the dataset folder; export beside it"):
        export(built, built / "folders")
    with pytest.raises(FolderError, match=r"holds 'DATASHEET\.md', which no earlier"):
        export(built, other)
