"""Exporting a dataset folder to the layout that was published: one MP4 and one JSON per clip.

export.json                                                       which dataset it is of, by its plan
emotion_categories/<emotion>/<gender>_<subject>_<sequence>.mp4
metadata/<emotion>_<gender>_<subject>_<sequence>_metadata.json
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from equime_builder import manifest
from equime_builder.dataset_folder import check_complete
from equime_builder.finish import CARD, LICENSE
from equime_builder.manifest import FolderError
from equime_loader.files import write_atomic
from equime_loader.schema import KEY_PATTERN, LABELS, VIDEO, sample_json

MARK = "export.json"


def export(root: Path, target: Path, *, progress: Callable[[str], None] = lambda _: None) -> int:
    """Write the clips of a complete dataset in the published layout; what is there already and equal is kept.

    Args:
        target: an empty folder or none yet, or that of an earlier export of the same plan; names that begin with a dot
            stay.

    Returns:
        How many clips were exported.

    Raises:
        FolderError: the dataset is not complete or holds no Parquet, or the target lies in it or holds something else.
    """
    check_complete(root)
    header = manifest.read_header(root)
    if "parquet" not in header["formats"]:
        raise FolderError(f"{root}: was built without Parquet; build it with --formats parquet")
    if target.resolve().is_relative_to(root.resolve()):
        raise FolderError(f"{target} lies inside the dataset folder; export beside it")
    mark = (json.dumps({"plan_sha256": header["plan_sha256"]}) + "\n").encode()
    _check_target(target, mark)
    (target / "metadata").mkdir(parents=True, exist_ok=True)
    write_atomic(target / MARK, mark)
    for name in (LICENSE, CARD):
        write_atomic(target / name, (root / name).read_bytes())
    count = 0
    for shard in manifest.shards_in(header, None):
        progress(shard.name)
        with pq.ParquetFile(root / shard.files(["parquet"])["parquet"]) as file:
            for batch in file.iter_batches(batch_size=16, columns=[VIDEO, *(field.name for field in LABELS)]):
                for row in batch.to_pylist():
                    _write_clip(target, row)
                    count += 1
    return count


def _check_target(target: Path, mark: bytes) -> None:
    if target.exists() and not target.is_dir():
        raise FolderError(f"{target}: a file, not a folder")
    if (target / MARK).exists():
        if (target / MARK).read_bytes() != mark:
            raise FolderError(f"{target} holds an export of another dataset; name another folder")
        return
    names = sorted(path.name for path in target.iterdir()) if target.exists() else []
    if strange := [name for name in names if not name.startswith(".")]:
        raise FolderError(f"{target} holds {strange[0]!r}, which no earlier export wrote; name another folder")


def _write_clip(target: Path, row: dict[str, object]) -> None:
    key = str(row["key"])
    if not KEY_PATTERN.fullmatch(key):
        raise FolderError(f"key {key!r} is no key; run `equime verify` on the dataset")
    video = row.pop(VIDEO)
    assert isinstance(video, dict)
    emotion, name = key.split("_", 1)
    folder = target / "emotion_categories" / emotion
    folder.mkdir(parents=True, exist_ok=True)
    labels = json.loads(sample_json(row))
    members = {
        folder / f"{name}.mp4": video["bytes"],
        target / "metadata" / f"{key}_metadata.json": json.dumps(labels, indent=1, ensure_ascii=False).encode(),
    }
    for path, data in members.items():
        if not path.is_file() or path.read_bytes() != data:
            write_atomic(path, data)
