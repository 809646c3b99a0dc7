"""The published hierarchy, written from a built folder."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from equime_builder.export import export
from equime_builder.manifest import FolderError
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


def test_what_cannot_be_exported_is_said(built: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="layout 'zip' must be one of folders"):
        export(built, tmp_path, layout="zip")
    with pytest.raises(FolderError, match="lies inside the dataset folder; export beside it"):
        export(built, built / "folders")
