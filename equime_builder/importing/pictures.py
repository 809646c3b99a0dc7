"""Picture files and videos of a corpus as frames for the encoder: (3 * H // 2, W) uint8, I420, BT.601 limited range.

Gray pictures have neutral chroma, so that they stay gray. A picture of odd width or height gets its last column or row
twice, since 4:2:0 needs even sides. Messages name frames by their numbers and no file, as some names are of persons.
"""

from __future__ import annotations

import io
import os
import struct
import warnings
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from equime_builder.generators.warp.planes import luma_and_chroma
from equime_builder.importing.cuts import Cut
from equime_builder.samples import ClipRejected
from equime_loader.corpora.events import FrameFiles, Frames, VideoFile
from equime_loader.video import ffmpeg
from equime_loader.video.faults import VideoFault
from equime_loader.video.h264 import is_closed
from equime_loader.video.mp4 import NotPlain, parse

Bytes = NDArray[np.uint8]
# Of H.264, those that have nothing but 4:2:0 of 8 bits: baseline, main, high (ITU-T H.264, A.2).
PROFILES = (66, 77, 100)
# Longer videos are recordings, of which a clip is a part.
LONGEST_CARRIED_S = 10.0
MAX_FILE, MAX_PIXELS = 2**28, 2**24
MAX_RECENT = 2**27  # bytes of decoded frames that are kept for the next cut
FORMATS = ("JPEG", "PNG", "BMP", "TIFF")  # what corpora have; others run programs, or unpack to anything
GRAY = ("1", "L", "LA", "La")
SIXTEEN_BITS = ("I;16", "I;16B", "I;16L")
NEUTRAL = 128
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, KeyError, struct.error)
# Gray levels as luma of limited range.
_LUMA = np.rint(16 + np.arange(256) * (219 / 255)).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Video:
    """What a video file holds: frames, their width and height in pixels, and how many are shown per second."""

    frames: int
    width: int
    height: int
    fps: float


def frames_of(files: FrameFiles, cut: Cut, *, bits: int = 16) -> Iterator[Bytes]:
    """The frames of a cut; for one that is missing, the frame before it once more.

    Args:
        bits: of pictures of 16 bits, how many are used; the upper 8 of them are taken.

    Raises:
        ClipRejected: a picture that cannot be read, or has another size than the first.
    """
    before: Bytes | None = None
    for number in range(cut.first, cut.last + 1):
        path = files.paths.get(number)
        planes = before if path is None else planes_of(_picture(path, number, bits))
        if planes is None:
            raise ClipRejected(f"frame {number} is missing")
        if before is not None and planes.shape != before.shape:
            raise ClipRejected(f"frame {number} is {_size(planes)} pixels, those before it {_size(before)}")
        before = planes
        yield planes


class Recording:
    """A recording as frames. A video is decoded once for cuts that follow each other, and again for others."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self._decoding: Iterator[Any] = iter(())
        self._next: int | None = None  # number of the frame that decoding gives next
        self._recent: deque[tuple[int, Bytes]] = deque()

    def cut(self, cut: Cut) -> Iterator[Bytes]:
        """The frames of a cut: for a missing picture the frame before it once more; fewer where a video ends before.

        Raises:
            ClipRejected: a picture that cannot be read, or has another size than the first; a video that does not
                decode.
        """
        if isinstance(self.frames, FrameFiles):
            return frames_of(self.frames, cut, bits=self.bits or 16)
        return self._of_video(self.frames, cut)

    @cached_property
    def bits(self) -> int | None:
        """Bits that a recording of pictures of 16 bits uses, 8 to 16, by its brightest frame; None of another one.

        Cameras of 10 or 12 bits leave the upper ones empty. One number for a recording, so that its clips look alike.
        """
        if not isinstance(self.frames, FrameFiles) or not _is_wide(next(iter(self.frames.paths.values()))):
            return None
        return max(8, *(_brightest(path).bit_length() for path in self.frames.paths.values()))

    def _of_video(self, video: VideoFile, cut: Cut) -> Iterator[Bytes]:
        while self._recent and self._recent[0][0] < cut.first:
            self._recent.popleft()
        start = self._recent[0][0] if self._recent else self._next
        if self._next is None or start is None or start > cut.first:
            self._recent.clear()
            self._decoding, self._next = ffmpeg.frames(map_video(video.path)), video.first
        yield from [planes for number, planes in self._recent if number <= cut.last]
        try:
            yield from self._decoded(cut)
        except VideoFault as fault:
            self._next = None
            raise ClipRejected(str(fault)) from fault

    def _decoded(self, cut: Cut) -> Iterator[Bytes]:
        while self._next is not None and self._next <= cut.last and (frame := next(self._decoding, None)) is not None:
            self._next += 1
            if self._next > cut.first:
                yield self._remembered(self._next - 1, planes_of(ffmpeg.rgb(frame)))

    def _remembered(self, number: int, planes: Bytes) -> Bytes:
        """Keep a frame for the next cut, whose context may begin before this one's ends."""
        self._recent.append((number, planes))
        if len(self._recent) * planes.nbytes > MAX_RECENT:
            self._recent.popleft()
        return planes


def carried(data: bytes) -> Video | None:
    """What a video is that shards take as it is; None of others.

    It is an MP4 of at most 10 s with H.264, 4:2:0, sides even, decodable from every key frame.

    Raises:
        ClipRejected: it is one, and does not decode.
    """
    try:
        track = parse(data)
    except NotPlain:
        return None
    if (
        track.extradata[1] not in PROFILES
        or track.width % 2
        or track.height % 2
        or not is_closed(track, memoryview(data))
    ):
        return None
    try:
        with av.open(io.BytesIO(data), "r", metadata_errors="replace") as container:
            rate = container.streams.video[0].average_rate
        if rate and len(track) / rate > LONGEST_CARRIED_S:
            return None
        # As strictly as readers do: FFmpeg paints over damage otherwise.
        shapes = [(frame.width, frame.height) for frame in ffmpeg.frames(data)]
    except av.FFmpegError as error:
        raise ClipRejected(f"the video does not decode ({error.strerror})") from error
    except VideoFault as fault:
        raise ClipRejected(str(fault)) from fault
    if len(shapes) != len(track) or set(shapes) != {(track.width, track.height)} or not rate:
        raise ClipRejected(f"the video has {len(track)} frames, of which {len(shapes)} decode in one size")
    return Video(len(shapes), track.width, track.height, float(rate))


def read_video(path: Path) -> bytes | None:
    """A video file that is short enough to be carried; None of a longer one.

    Raises:
        ClipRejected: it is missing, or cannot be read.
    """
    try:
        return _read(path, "the video", MAX_FILE) if path.stat().st_size <= MAX_FILE else None
    except OSError as error:
        raise ClipRejected(f"the video cannot be read ({error.strerror})") from error


def map_video(path: Path) -> mmap | bytes:
    """A video file of any length, mapped: what is read of it does not stay in memory.

    Raises:
        ClipRejected: it is missing, or cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return mmap(file.fileno(), 0, access=ACCESS_READ) if os.fstat(file.fileno()).st_size else b""
    except OSError as error:
        raise ClipRejected(f"the video cannot be read ({error.strerror})") from error


def planes_of(picture: Bytes) -> Bytes:
    """Gray (H, W) or RGB (H, W, 3) as I420."""
    bottom, right = (side % 2 for side in picture.shape[:2])
    if bottom or right:
        picture = np.asarray(cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.uint8)
    height, width = picture.shape[:2]
    if picture.ndim == 2:
        chroma = np.full((height // 2, width), NEUTRAL, np.uint8)
        return np.concatenate([_LUMA[picture], chroma])
    luma, chroma = luma_and_chroma(picture)
    halves = np.moveaxis(chroma[::2, ::2], 2, 0).reshape(height // 2, width)
    return np.concatenate([luma, halves])


def _size(planes: Bytes) -> str:
    return f"{planes.shape[1]}x{planes.shape[0] * 2 // 3}"


def _read(path: Path, what: str, most: int) -> bytes:
    try:
        if path.stat().st_size > most:
            raise ClipRejected(f"{what} is over {most // 2**20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise ClipRejected(f"{what} cannot be read ({error.strerror})") from error


def _picture(path: Path, number: int, bits: int) -> Bytes:
    """Gray (H, W) or RGB (H, W, 3)."""
    what = f"frame {number}"
    data = _read(path, what, MAX_FILE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ClipRejected(f"{what} has {image.width}x{image.height} pixels, at most {MAX_PIXELS} are read")
                image.load()
                return _pixels(image, bits)
    except UnidentifiedImageError as error:
        raise ClipRejected(f"{what} is no picture") from error
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        if isinstance(error, ClipRejected):
            raise
        raise ClipRejected(f"{what} is damaged or cut off") from error


def _pixels(image: Image.Image, bits: int) -> Bytes:
    if image.mode in SIXTEEN_BITS:
        return (np.asarray(image).astype(np.uint16) >> bits - 8).astype(np.uint8)
    return np.asarray(image.convert("L" if image.mode in GRAY else "RGB"), np.uint8)


def _is_wide(path: Path) -> bool:
    """Whether a picture has 16 bits, by its head; one that cannot be read has not, and says so when it is taken."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.mode in SIXTEEN_BITS
    except (*_DAMAGED, Image.DecompressionBombError):
        return False


def _brightest(path: Path) -> int:
    """The largest value of a picture of 16 bits, 0 of another one."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            fits = image.mode in SIXTEEN_BITS and image.width * image.height <= MAX_PIXELS
            return int(np.asarray(image).max()) if fits else 0
    except (*_DAMAGED, Image.DecompressionBombError):
        return 0
