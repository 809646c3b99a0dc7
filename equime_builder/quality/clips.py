"""Where clips lie, and their frames: videos and folders of pictures, and the clips of a dataset folder."""

from __future__ import annotations

import hashlib
import io
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equime_builder import manifest
from equime_builder.dataset_folder import check_complete
from equime_builder.finish import INDEX
from equime_builder.manifest import FolderError
from equime_builder.portrait_table import subject_from_row
from equime_builder.portraits import PortraitSource, Subject
from equime_builder.quality.measure import ClipFault
from equime_loader.files import files_in

VIDEOS = frozenset((".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"))
PICTURES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"))
# What reading a damaged clip may raise.
READ_ERRORS = (OSError, ValueError, av.FFmpegError, pa.ArrowException)

Frames = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Facts:
    """A clip's size in bytes, and its duration in seconds as its container declares it, None where it does not."""

    size_bytes: int
    duration_s: float | None


class Clip(Protocol):
    """A clip: `name` in tables, `identity` that changes when its frames may have."""

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> str: ...

    def facts(self) -> Facts:
        """Size and duration."""

    def chunks(self, pixels: int) -> Iterator[Frames]:
        """The frames in their order, (n, H, W, 3) uint8 RGB, about so many pixels at once."""


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A video file, or the bytes of one within another file."""

    name: str
    identity: str
    path: Path
    offset: int = 0
    length: int | None = None

    def data(self) -> bytes:
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(-1 if self.length is None else self.length)

    def facts(self) -> Facts:
        return _video_facts(self.data())

    def chunks(self, pixels: int) -> Iterator[Frames]:
        return _video_chunks(self.data(), pixels)


@dataclass(frozen=True, slots=True)
class VideoRow:
    """A video in a row of a Parquet file of a dataset."""

    name: str
    identity: str
    path: Path
    row: int

    def data(self) -> bytes:
        """The MP4.

        Raises:
            ClipFault: the file has no such row.
        """
        with pq.ParquetFile(self.path) as file:
            row = self.row
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if row < rows:
                    return bytes(file.read_row_group(group, columns=["video.bytes"])["video"][row]["bytes"].as_py())
                row -= rows
        raise ClipFault(f"{self.path}: has no row {self.row}")

    def facts(self) -> Facts:
        return _video_facts(self.data())

    def chunks(self, pixels: int) -> Iterator[Frames]:
        return _video_chunks(self.data(), pixels)


@dataclass(frozen=True, slots=True)
class PictureFolder:
    """A folder whose pictures are the frames of a clip, in the order of the numbers in their names."""

    name: str
    identity: str
    paths: tuple[Path, ...]
    fps: float

    def facts(self) -> Facts:
        return Facts(sum(path.stat().st_size for path in self.paths), len(self.paths) / self.fps)

    def chunks(self, pixels: int) -> Iterator[Frames]:
        return _gathered((_picture(path) for path in self.paths), pixels)


# --- portraits


class PortraitFrom(Protocol):
    """Where the portrait of clips comes from; `name` says which, the same for the same picture."""

    @property
    def name(self) -> str: ...

    def picture(self) -> Frames:
        """(H, W, 3) uint8 RGB."""


@dataclass(frozen=True, slots=True)
class PortraitPicture:
    """A picture file."""

    name: str
    path: Path

    def picture(self) -> Frames:
        return _picture(self.path)


@dataclass(frozen=True, slots=True)
class PortraitOfSubject:
    """The portrait that a dataset's clips were drawn from, cut and scaled as for them."""

    name: str
    source: PortraitSource
    subject: Subject
    size: int

    def picture(self) -> Frames:
        return self.source.portrait(self.subject, self.size).image


def readable(portrait: PortraitFrom | None) -> bool:
    """Whether there is a portrait that can be had."""
    try:
        return portrait is not None and portrait.picture().size > 0
    except (ValueError, OSError):
        return False


@dataclass(frozen=True, slots=True)
class Group:
    """Clips that share a portrait, None where there is none at hand."""

    clips: tuple[Clip, ...]
    portrait: PortraitFrom | None = None


# --- folders


def folder_groups(root: Path, *, fps: float, portraits: Path | None = None) -> list[Group]:
    """The clips below a folder, each on its own: every video file, and every folder that holds pictures.

    Hidden files and folders are none.

    Args:
        fps: of folders of pictures, for their duration.
        portraits: folder with a picture of the name of each clip's folder, or of its file without the suffix.

    Raises:
        FolderError: there is none.
    """
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in (root / name for name in files_in(root)):
        if path.is_file():
            folders[path.parent].append(path)
    clips: dict[Clip, str] = {}  # with the name that its portrait has
    for folder, files in sorted(folders.items()):
        files.sort(key=_by_numbers)
        name = folder.relative_to(root).as_posix()
        if pictures := [path for path in files if path.suffix.lower() in PICTURES]:
            label = name if name != "." else root.resolve().name
            clips[PictureFolder(label, file_state(pictures), tuple(pictures), fps)] = folder.resolve().name
        for path in files:
            if path.suffix.lower() in VIDEOS:
                clips[VideoFile(path.relative_to(root).as_posix(), file_state([path]), path)] = path.stem
    if not clips:
        raise FolderError(f"{root}: holds no video and no folder of pictures")
    known = {path.stem: path for path in _pictures_of(portraits)} if portraits else {}
    groups = []
    for clip, name in clips.items():
        picture = known.get(name)
        groups.append(Group((clip,), PortraitPicture(file_state([picture]), picture) if picture else None))
    return groups


def _pictures_of(folder: Path) -> list[Path]:
    """The picture files in a folder itself, sorted; no hidden ones."""
    visible = (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))
    return [path for path in visible if path.suffix.lower() in PICTURES and path.is_file()]


def dataset_groups(root: Path, source: PortraitSource | None, *, together: int) -> list[Group]:
    """The clips of a complete dataset folder, those of a subject in groups of at most `together`.

    Args:
        source: where the portraits come from, None where they are not at hand.

    Raises:
        FolderError: the dataset is not complete, or holds neither WebDataset nor Parquet.
    """
    check_complete(root)
    header = manifest.folder_header(root)
    portraits: dict[str, PortraitFrom] = {}
    if source is not None:
        size, table = int(header["profile"]["size"]), manifest.read_plan(root).portraits
        rows = [row for row in table.to_pylist() if row["subject"]]
        portraits = {
            row["subject"]: PortraitOfSubject(row["subject"], source, subject_from_row(row), size) for row in rows
        }
    groups: list[Group] = []
    waiting: list[Clip] = []
    current: str | None = None
    for clip, subject in _dataset_clips(root, header):
        if waiting and (subject != current or len(waiting) == together):
            groups.append(Group(tuple(waiting), portraits.get(str(current))))
            waiting = []
        current = subject
        waiting.append(clip)
    return [*groups, Group(tuple(waiting), portraits.get(str(current)))] if waiting else groups


def _dataset_clips(root: Path, header: dict[str, Any]) -> Iterator[tuple[Clip, str]]:
    """Every clip with the name of its subject in the plan."""
    index = pq.read_table(root / INDEX, columns=["key", "mp4_offset", "mp4_length"]).to_pydict()
    planned = pq.read_table(root / manifest.CLIPS, columns=["key", "subject"]).to_pydict()
    subjects = dict(zip(planned["key"], planned["subject"], strict=True))
    row = 0
    for shard in manifest.shards_in(header, None):
        commit = manifest.read_commit(root, shard)
        if commit is None:
            raise FolderError(f"{root}: shard {shard.name} is not committed; run the build again")
        kind = next((kind for kind in ("webdataset", "parquet") if kind in commit.files), None)
        if kind is None:
            raise FolderError(f"{root}: holds neither WebDataset nor Parquet")
        path, sha256 = root / commit.files[kind]["path"], commit.files[kind]["sha256"]
        for number in range(commit.samples):
            key = index["key"][row]
            place = (index["mp4_offset"][row], index["mp4_length"][row])
            clip: Clip = (
                VideoFile(key, sha256, path, *place) if kind == "webdataset" else VideoRow(key, sha256, path, number)
            )
            yield clip, subjects[key]
            row += 1


def file_state(paths: Sequence[Path]) -> str:
    """Changes with the names, sizes or times of files."""
    states = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return hashlib.sha256(repr(states).encode()).hexdigest()


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    """Sorting key: `img2` before `img10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


# --- frames


def _picture(path: Path) -> Frames:
    import cv2

    # OpenCV's own words would stand above the line that says what cannot be read.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        decoded = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        decoded = None
    if decoded is None:
        raise ClipFault(f"{path.name}: is no picture that can be read")
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def _video_facts(data: bytes) -> Facts:
    with av.open(io.BytesIO(data), "r") as container:
        stream = _video_stream(container)
        if stream.frames and stream.average_rate:
            return Facts(len(data), float(stream.frames / stream.average_rate))
        if stream.duration and stream.time_base:
            return Facts(len(data), float(stream.duration * stream.time_base))
        # Matroska and WebM tell the whole file's alone, in microseconds.
        return Facts(len(data), container.duration / av.time_base if container.duration else None)


def _video_chunks(data: bytes, pixels: int) -> Iterator[Frames]:
    with av.open(io.BytesIO(data), "r") as container:
        stream = _video_stream(container)
        stream.thread_count = 1
        yield from _gathered(
            (np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(stream)), pixels
        )


def _video_stream(container: av.container.InputContainer) -> av.VideoStream:
    if not container.streams.video:
        raise ClipFault("has no video stream")
    return container.streams.video[0]


def _gathered(frames: Iterator[Frames], pixels: int) -> Iterator[Frames]:
    """Frames in chunks of about so many pixels; a chunk ends where the size changes."""
    waiting: list[Frames] = []
    for frame in frames:
        height, width = frame.shape[:2]
        if waiting and (waiting[0].shape != frame.shape or len(waiting) * height * width >= pixels):
            yield np.stack(waiting)
            waiting = []
        waiting.append(frame)
    if waiting:
        yield np.stack(waiting)
