"""Frames to H.264, the same bytes for the same frames."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from equime_builder.profiles import Video

CODEC = "h264"
MOST_TICKS = 1001  # of the denominator of a frame rate: 30000/1001 is the finest that is in use
CPU_AVX_512F = 13  # OpenCV's number of that feature, core/cvdef.h
UP_TO_AVX2 = "SSE2,SSSE3,SSE4.2,AVX,FMA3,BMI2,AVX2"


@dataclass(frozen=True, slots=True)
class Color:
    """What a clip says of its colors, in the numbers of ITU-T H.273: matrix coefficients, and FFmpeg's of the range.

    By default nothing: readers take BT.601 of limited range.
    """

    space: int = 2
    range: int = 0


UNSAID = Color()


@dataclass(frozen=True, slots=True)
class EncodedClip:
    """An MP4 and what it is: `data`, seconds, kilobits per second of the whole file."""

    data: bytes
    duration_s: float
    bitrate_kbps: float


def encode(frames: NDArray[np.uint8], *, fps: float, keyframes: Collection[int], video: Video) -> EncodedClip:
    """Encode planar 4:2:0 frames that lie in memory; see `encode_stream`.

    Args:
        frames: (T, 3 * H // 2, W) uint8, I420.

    Raises:
        ValueError: frames of another form, a key frame outside the clip, or a fractional frame rate.
    """
    if frames.ndim != 3 or frames.dtype != np.uint8 or frames.shape[1] % 3 or frames.shape[2] % 2 or not frames.size:
        raise ValueError(
            f"frames.shape={frames.shape}, dtype={frames.dtype} must be (T, 3*H//2, W) uint8 I420, T > 0, H and W even"
        )
    if not all(0 <= keyframe < len(frames) for keyframe in keyframes):
        raise ValueError(f"{keyframes=} must lie within 0..{len(frames) - 1}")
    if not (0 < fps < 1e6 and fps == int(fps)):
        raise ValueError(f"{fps=} must be a whole number of frames per second")
    return encode_stream(frames, frames.shape[1:], fps=fps, keyframes=keyframes, video=video)


def encode_stream(
    frames: Iterable[NDArray[np.uint8]],
    shape: tuple[int, ...],
    *,
    fps: float,
    keyframes: Collection[int],
    video: Video,
    color: Color = UNSAID,
) -> EncodedClip:
    """Encode planar frames as they come, so that a long recording need not lie in memory.

    Besides the first frame, `keyframes` are key frames, so that a reader of the event decodes nothing before them;
    no frame refers across one. `tune=fastdecode` drops the loop filter and CABAC: a window decodes in half the time.
    Adaptive quantization starves smooth skin of bits, so that a face does not quite return to neutral: it is off.
    One thread and bit-exact muxing make the bytes a function of the frames.

    Args:
        frames: at least one, each of `shape`, uint8: (3 * H // 2, W), I420, H and W even; or (3, H, W), 4:4:4.
        keyframes: indices of the frames where readers begin.
        color: what the clip says of it; the frames are encoded as they are.

    Raises:
        ValueError: a frame rate outside 0..1,000,000. Whatever `frames` raises.
    """
    if not 0 < fps < 1e6:
        raise ValueError(f"{fps=} must lie within 0..1,000,000")
    whole = len(shape) == 3
    height, width = shape[1:] if whole else (shape[0] * 2 // 3, shape[1])
    pixels = "yuv444p" if whole else "yuv420p"
    rate, count = Fraction(fps).limit_denominator(MOST_TICKS), 0
    target = io.BytesIO()
    with av.open(target, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.thread_count = 1
        stream.codec_context.colorspace, stream.codec_context.color_range = color.space, color.range
        stream.codec_context.flags |= 1 << 23  # AV_CODEC_FLAG_BITEXACT
        stream.options = {
            "preset": video.preset,
            "crf": str(video.crf),
            "tune": "fastdecode",
            "x264-params": _x264_settings(),
            "forced-idr": "1",
        }
        for count, planes in enumerate(frames, start=1):
            frame = av.VideoFrame.from_ndarray(planes, format=pixels)
            frame.pts = count - 1
            if frame.pts in keyframes:
                frame.pict_type = av.video.frame.PictureType.I
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = target.getvalue()
    duration = count / fps
    return EncodedClip(data, duration, len(data) * 8 / 1000 / duration)


def _x264_settings() -> str:
    """Settings that FFmpeg has no names for.

    With AVX-512, x264's macroblock tree gives other bytes in every call where frames are noisy; x264 is kept from it.
    """
    settings = "threads=1:aq-mode=0:keyint=infinite:scenecut=0:open-gop=0:force-cfr=1"
    return f"{settings}:asm={UP_TO_AVX2}" if cv2.checkHardwareSupport(CPU_AVX_512F) else settings


def decode_planes(data: bytes, *, first: int = 0, last: int | None = None, step: int = 1) -> NDArray[np.uint8]:
    """Decode every `step`-th of frames `first`..`last` (inclusive, default the end): (T, 3 * H // 2, W) uint8 I420.

    Raises:
        ValueError: `first` or `last` do not lie in order, or the clip ends before `first`.
    """
    if first < 0 or (last is not None and last < first):
        raise ValueError(f"{first=}, {last=} must satisfy 0 <= first <= last")
    wanted = []
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        assert stream.average_rate is not None and stream.time_base is not None
        ticks = 1 / (stream.average_rate * stream.time_base)  # of the stream's clock per frame
        if first:
            container.seek(round(first * ticks), stream=stream, backward=True)
        for frame in container.decode(stream):
            assert frame.pts is not None
            index = round(frame.pts / ticks)
            if last is not None and index > last:
                break
            if index >= first and (index - first) % step == 0:
                wanted.append(frame.to_ndarray(format="yuv420p"))
    if not wanted:
        raise ValueError(f"{first=}: the clip ends before it")
    return np.stack(wanted)
