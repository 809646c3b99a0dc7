"""Making a rendition: the clips of a complete dataset once more at a smaller size, see `equime_loader.renditions`.

A shard of it is a pure function of the dataset's shard, the size and the settings of the encoder.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equime_builder import manifest
from equime_builder.dataset_folder import check_complete
from equime_builder.encode import Color, encode_stream
from equime_builder.manifest import FolderError
from equime_builder.processes import as_finished
from equime_builder.profiles import Video
from equime_builder.samples import keyframes
from equime_builder.shards import tar_entry
from equime_builder.typed import construct
from equime_loader.files import TEMPORARY_SUFFIX, replacing
from equime_loader.renditions import SCHEMA, index_path, record_path, tar_path
from equime_loader.video import ffmpeg
from equime_loader.video.faults import VideoFault
from equime_loader.video.frames import RENDITION_BOUNDS, RENDITION_SIZES
from equime_loader.video.scale import resize

TAR = "webdataset"
# What is asked of the dataset's index.
COLUMNS = (
    "key",
    "shard",
    "mp4_offset",
    "mp4_length",
    "mp4_sha256",
    "width",
    "height",
    "frames",
    "onset_frame",
    "apex_frame",
)


@dataclass(frozen=True, slots=True)
class Rendition:
    """What lies in the folder now: clips, of which some were `made` by this run, and the bytes of their tars."""

    size: int
    clips: int
    made: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Task:
    """A shard to render. It can be sent to any process that sees the folder."""

    root: Path
    shard: str
    size: int
    video: Video


def make_rendition(
    root: Path, size: int, *, workers: int = 1, progress: Callable[[int, int], None] = lambda done, total: None
) -> Rendition:
    """Make what is missing of a rendition of a complete dataset.

    Args:
        size: pixels of the shorter side of a clip; a clip that is no larger is copied.
        progress: called with how many clips are done, and of how many.

    Raises:
        ValueError: a size that is odd or outside 16..4096.
        FolderError: the dataset is not complete, has no tars or is in use, or a clip of it is damaged.
    """
    if size not in RENDITION_SIZES:
        raise ValueError(f"size={size} must be {RENDITION_BOUNDS}")
    check_complete(root)
    with manifest.locked_folder(root, "build", patience_s=manifest.LOCK_PATIENCE_S):
        return render_missing(root, size, workers=workers, progress=progress)


def render_missing(
    root: Path, size: int, *, workers: int = 1, progress: Callable[[int, int], None] = lambda done, total: None
) -> Rendition:
    """`make_rendition` for whoever holds the folder's lock."""
    header = manifest.folder_header(root)
    if TAR not in header["formats"]:
        raise FolderError(f"{root}: holds no tars, of which renditions are made; build it with --formats {TAR}")
    index = pq.read_table(root / manifest.INDEX, columns=["key", "shard", "mp4_sha256"])
    shards = dict(by_shard(index))
    todo = [shard for shard, rows in shards.items() if not _stands(root, size, shard, rows)]
    left = sum(len(shards[shard]) for shard in todo)
    done = len(index) - left
    (root / index_path(size)).parent.mkdir(parents=True, exist_ok=True)
    _clear(root, size, shards)
    if todo:
        (root / index_path(size)).unlink(missing_ok=True)  # what it says of these shards will not be true
    progress(done, len(index))
    tasks = [Task(root, shard, size, video_of(header)) for shard in todo]
    for clips in as_finished(render_shard, tasks, workers=workers, kept="what is made is kept"):
        done += clips
        progress(done, len(index))
    _write(root / index_path(size), read_records(root, size, shards))
    size_bytes = sum((root / tar_path(size, shard)).stat().st_size for shard in shards)
    return Rendition(size, len(index), left, size_bytes)


def by_shard(rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Rows of an index by the shard that they are in; those of a shard follow each other."""
    start = 0
    for found in pc.value_counts(rows["shard"]).to_pylist():
        yield found["values"], rows.slice(start, found["counts"])
        start += found["counts"]


def video_of(header: Mapping[str, Any]) -> Video:
    """Settings of the encoder that a folder's clips were made with."""
    video: Video = construct(Video, header.get("video") or header["profile"]["video"])
    return video


def _stands(root: Path, size: int, shard: str, rows: pa.Table) -> bool:
    """Whether a shard's record is of these clips, and its tar as long as it says."""
    try:
        record = read_record(root / record_path(size, shard))
        tar_bytes = (root / tar_path(size, shard)).stat().st_size
    except (OSError, ValueError, pa.ArrowException):
        return False
    return is_of(record, rows) and tar_bytes == places(record["mp4_length"].to_pylist())[1]


def read_record(path: Path) -> pa.Table:
    """Rows of a rendition.

    Raises:
        ValueError: other columns than a rendition's. OSError, ArrowException: missing or damaged.
    """
    table = pq.read_table(path)
    if not table.schema.equals(SCHEMA):
        raise ValueError(f"{path}: has other columns than a rendition")
    return table


def read_records(root: Path, size: int, shards: Iterable[str]) -> pa.Table:
    """Rows of the shards of a rendition, in this order."""
    return pa.concat_tables([SCHEMA.empty_table(), *(read_record(root / record_path(size, shard)) for shard in shards)])


def is_of(record: pa.Table, rows: pa.Table) -> bool:
    """Whether rows of a rendition were made of these clips of the dataset."""
    return bool(record["key"].equals(rows["key"]) and record["of_sha256"].equals(rows["mp4_sha256"]))


def _clear(root: Path, size: int, shards: Mapping[str, pa.Table]) -> None:
    """Remove what is of shards that are gone, and what killed runs left."""
    kept = {root / path(size, shard) for shard in shards for path in (tar_path, record_path)}
    kept.add(root / index_path(size))
    for path in (root / index_path(size)).parent.iterdir():
        if path.suffix in (".tar", ".parquet", TEMPORARY_SUFFIX) and path not in kept:
            path.unlink()


# --- one shard


def render_shard(task: Task) -> int:
    """Write the tar of a shard and its record, and return how many clips they are of.

    Raises:
        FolderError: a clip of the dataset is damaged.
    """
    import cv2

    cv2.setNumThreads(1)  # processes share the cores among them
    rows = pq.read_table(task.root / manifest.INDEX, columns=[*COLUMNS], filters=[("shard", "==", task.shard)])
    record, tar = task.root / record_path(task.size, task.shard), task.root / tar_path(task.size, task.shard)
    record.unlink(missing_ok=True)
    with replacing(tar) as temporary:
        made = _write_tar(task, temporary, rows.to_pylist())
    _write(record, pa.Table.from_pylist(made, SCHEMA))
    return len(made)


def _write_tar(task: Task, path: Path, clips: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    with open(task.root / task.shard, "rb") as source, tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for clip in clips:
            source.seek(clip["mp4_offset"])
            data = source.read(clip["mp4_length"])
            try:
                if hashlib.sha256(data).hexdigest() != clip["mp4_sha256"]:
                    raise VideoFault("is not what the index says")
                smaller, (width, height) = rendered(data, clip, task.size, task.video)
            except (VideoFault, av.FFmpegError) as fault:
                where = f"{task.root / task.shard}: clip {clip['key']}"
                raise FolderError(f"{where}: {fault}; see `equime verify {task.root}`") from fault
            tar.addfile(tar_entry(f"{clip['key']}.mp4", len(smaller)), io.BytesIO(smaller))
            row = {"key": clip["key"], "shard": tar_path(task.size, task.shard), "mp4_length": len(smaller)}
            hashes = {"mp4_sha256": hashlib.sha256(smaller).hexdigest(), "of_sha256": clip["mp4_sha256"]}
            made.append({**row, **hashes, "width": width, "height": height})
    offsets, _ = places([row["mp4_length"] for row in made])
    return [{**row, "mp4_offset": offset} for row, offset in zip(made, offsets, strict=True)]


def places(lengths: Sequence[int]) -> tuple[list[int], int]:
    """Where each member's contents begin in a tar of members of these lengths, and the length of the tar."""
    at, offsets = 0, []
    for length in lengths:
        offsets.append(at + tarfile.BLOCKSIZE)
        at += tarfile.BLOCKSIZE + _whole(length, tarfile.BLOCKSIZE)
    return offsets, _whole(at + 2 * tarfile.BLOCKSIZE, tarfile.RECORDSIZE)  # two empty blocks are its end


def _whole(length: int, unit: int) -> int:
    return -(-length // unit) * unit


def _write(path: Path, table: pa.Table) -> None:
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


# --- one clip


def rendered_size(width: int, height: int, size: int) -> tuple[int, int]:
    """Width and height of a clip whose shorter side comes to `size`; its own where that is no larger."""
    shorter = min(width, height)
    if shorter <= size:
        return width, height
    return _scaled(width, size, shorter), _scaled(height, size, shorter)


def _scaled(side: int, size: int, shorter: int) -> int:
    """A side in proportion, even as encoders like it."""
    return 2 * round(side * size / shorter / 2)


def rendered(data: bytes, clip: Mapping[str, Any], size: int, video: Video) -> tuple[bytes, tuple[int, int]]:
    """A clip at a smaller size, and its width and height; its own bytes where it is no larger.

    Frames, their order, the frame rate and what the clip says of its colors stay.

    Args:
        clip: its labels.

    Raises:
        VideoFault: it does not decode, or holds other frames than its labels say.
    """
    shape = clip["width"], clip["height"]
    width, height = rendered_size(*shape, size)
    if (width, height) == shape:
        return data, shape
    keys = [key for key in keyframes(clip["onset_frame"], clip["apex_frame"]) if key < clip["frames"]]
    with closing(ffmpeg.frames(data)) as frames:
        if (first := next(frames, None)) is None:
            raise VideoFault("holds no frame")
        planes = _checked((scaled(frame, shape, (width, height)) for frame in chain([first], frames)), clip["frames"])
        color = Color(first.colorspace, first.color_range)
        made = encode_stream(planes, (3, height, width), fps=_rate(data), keyframes=keys, video=video, color=color)
    return made.data, (width, height)


def _rate(data: bytes) -> float:
    with av.open(io.BytesIO(data), "r", metadata_errors="replace") as container:
        rate = container.streams.video[0].average_rate
    if not rate:
        raise VideoFault("says no frame rate")
    return float(rate)


def _checked(planes: Iterator[NDArray[np.uint8]], frames: int) -> Iterator[NDArray[np.uint8]]:
    count = 0
    for each in planes:
        count += 1
        yield each
    if count != frames:
        raise VideoFault(f"{count} frames decode, {frames} are labeled")


def scaled(frame: Any, shape: tuple[int, int], target: tuple[int, int]) -> NDArray[np.uint8]:
    """The planes of a 4:2:0 frame at another size: (3, H, W) uint8, 4:4:4.

    Chroma has half of a frame's pixels a side; it comes to the size of luma, so that a rendition loses no color that
    its pixels can show, and a reader scales nothing.

    Args:
        shape, target: width and height; those of `shape` even.

    Raises:
        VideoFault: a frame of another form or shape.
    """
    if (frame.width, frame.height) != shape or frame.format.name not in ("yuv420p", "yuvj420p"):
        raise VideoFault(f"a frame is {frame.width}x{frame.height} pixels, {frame.format.name}")
    (width, height), (wide, high) = shape, target
    planes = frame.to_ndarray()
    luma, chroma = planes[:height], planes[height:].reshape(2, height // 2, width // 2)
    return np.stack([resize(plane, (high, wide)) for plane in (luma, *chroma)])
