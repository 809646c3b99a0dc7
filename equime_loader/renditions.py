"""Renditions: the clips of a dataset once more at a smaller size, which decode faster. `equime rendition` makes them.

renditions/SIZE/SHARD.tar        KEY.mp4 of a shard's clips, in its order
renditions/SIZE/SHARD.parquet    the rows of these clips, written after the tar
renditions/SIZE/index.parquet    all rows, written last

A rendition is derived from the clips and lies in their folder only: it is not published, and may be deleted.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import pyarrow as pa

FOLDER = "renditions"
SCHEMA = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in {
            "key": pa.string(),
            "shard": pa.string(),
            "mp4_offset": pa.int64(),
            "mp4_length": pa.int64(),
            "mp4_sha256": pa.string(),
            "of_sha256": pa.string(),
            "width": pa.int32(),
            "height": pa.int32(),
        }.items()
    ]
)
# What says where a clip lies: the columns that a rendition has in common with the dataset's index.
LOCATION = ("shard", "mp4_offset", "mp4_length", "mp4_sha256")


def index_path(size: int) -> str:
    """Path of a rendition's index, relative to the dataset folder."""
    return f"{FOLDER}/{size}/index.parquet"


def tar_path(size: int, shard: str) -> str:
    """Path of the tar that holds the clips of a shard (`wds/NAME.tar`)."""
    return f"{FOLDER}/{size}/{PurePosixPath(shard).stem}.tar"


def record_path(size: int, shard: str) -> str:
    """Path of the record of that tar."""
    return f"{FOLDER}/{size}/{PurePosixPath(shard).stem}.parquet"
