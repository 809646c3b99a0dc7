"""Picture files and videos of a corpus as frames for the encoder: (3 * H // 2, W) uint8, I420, BT.601 limited range.

Grey pictures have neutral chroma, so that they stay grey. A picture of odd width or height gets its last column or row
twice, since 4:2:0 needs even sides. Messages name frames by their numbers and no file, as some names are of persons.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from equime_builder.generators.warp.planes import luma_and_chroma
from equime_builder.importing.cuts import Cut
from equime_builder.samples import ClipRejected
from equime_loader.corpora.events import FrameFiles, VideoFile
from equime_loader.video import ffmpeg
from equime_loader.video.faults import VideoFault
from equime_loader.video.h264 import is_closed
from equime_loader.video.mp4 import NotPlain, parse

Bytes = NDArray[np.uint8]
# Of H.264, those that have nothing but 4:2:0 of 8 bits: baseline, main, high (ITU-T H.264, A.2).
PROFILES = (66, 77, 100)
# Longer videos are recordings, of which a clip is a part.
LONGEST_CARRIED_S = 10.0
MAX_FILE, MAX_VIDEO, MAX_PIXELS = 2**28, 2**31, 2**24
FORMATS = ("JPEG", "PNG", "BMP", "TIFF")  # what corpora have; others run programs, or unpack to anything
GREY = ("1", "L", "LA", "La")
SIXTEEN_BITS = ("I;16", "I;16B", "I;16L")
NEUTRAL = 128
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, KeyError, struct.error)
# Grey levels as luma of limited range.
_LUMA = np.rint(16 + np.arange(256) * (219 / 255)).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Video:
    """What a video file holds: frames, their width and height in pixels, and how many are shown per second."""

    frames: int
    width: int
    height: int
    fps: float


def frames_of(files: FrameFiles, cut: Cut) -> Iterator[Bytes]:
    """The frames of a cut; for one that is missing, the frame before it once more.

    Raises:
        ClipRejected: a picture that cannot be read, or has another size than the first.
    """
    before: Bytes | None = None
    for number in range(cut.first, cut.last + 1):
        path = files.paths.get(number)
        planes = before if path is None else planes_of(_picture(path, number))
        if planes is None:
            raise ClipRejected(f"frame {number} is missing")
        if before is not None and planes.shape != before.shape:
            raise ClipRejected(f"frame {number} is {_size(planes)} pixels, those before it {_size(before)}")
        before = planes
        yield planes


def frames_of_video(data: bytes, video: VideoFile, cut: Cut) -> Iterator[Bytes]:
    """The frames of a cut from a video, fewer where it ends before.

    Raises:
        ClipRejected: the video does not decode.
    """
    try:
        for number, frame in enumerate(ffmpeg.frames(data), start=video.first):
            if number > cut.last:
                return
            if number >= cut.first:
                yield planes_of(ffmpeg.rgb(frame))
    except VideoFault as fault:
        raise ClipRejected(str(fault)) from fault


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


def read_video(path: Path) -> bytes:
    """A video file.

    Raises:
        ClipRejected: it is missing, cannot be read, or is over 2 GiB.
    """
    return _read(path, "the video", MAX_VIDEO)


def planes_of(picture: Bytes) -> Bytes:
    """Grey (H, W) or RGB (H, W, 3) as I420."""
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


def _picture(path: Path, number: int) -> Bytes:
    """Grey (H, W) or RGB (H, W, 3)."""
    what = f"frame {number}"
    data = _read(path, what, MAX_FILE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ClipRejected(f"{what} has {image.width}x{image.height} pixels, at most {MAX_PIXELS} are read")
                image.load()
                return _pixels(image)
    except UnidentifiedImageError as error:
        raise ClipRejected(f"{what} is no picture") from error
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        if isinstance(error, ClipRejected):
            raise
        raise ClipRejected(f"{what} is damaged or cut off") from error


def _pixels(image: Image.Image) -> Bytes:
    if image.mode in SIXTEEN_BITS:
        return (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
    return np.asarray(image.convert("L" if image.mode in GREY else "RGB"), np.uint8)
