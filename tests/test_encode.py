"""Encoding: the same bytes for the same frames, a window that decodes by itself, and motion that survives."""

from __future__ import annotations

import io
import struct
from functools import cache

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from equime_builder.encode import decode_planes, encode
from equime_builder.profiles import Video
from equime_builder.sources.procedural import draw_face, render_face

Frames = NDArray[np.uint8]
FAST = Video(crf=16, preset="veryfast")


def i420(frames: list[NDArray[np.uint8]]) -> Frames:
    return np.stack([cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2YUV_I420) for frame in frames])


@cache
def textured(count: int = 40, size: int = 64) -> Frames:
    """Frames whose texture drifts, with a cut to another picture in the middle."""
    rng = np.random.default_rng(3)
    sheets = [cv2.GaussianBlur(rng.integers(0, 256, (size * 2, size * 2, 3), dtype=np.uint8), (0, 0), 2) for _ in "ab"]
    return i420([sheets[t > count // 2][t // 4 : t // 4 + size, t // 3 : t // 3 + size] for t in range(count)])


@cache
def face() -> NDArray[np.uint8]:
    return render_face(draw_face(seed=4, gender="Woman", race="asian", age=31), size=128)[0]


def keyframes(data: bytes) -> list[int]:
    with av.open(io.BytesIO(data)) as container:
        return [index for index, frame in enumerate(container.decode(video=0)) if frame.key_frame]


def psnr(one: Frames, other: Frames) -> float:
    error = np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@pytest.mark.parametrize("video", [FAST, Video()], ids=["fast", "default"])
def test_same_frames_same_bytes(video: Video) -> None:
    one, other = (encode(textured().copy(), fps=100, keyframes=(11,), video=video) for _ in range(2))
    assert one == other


def test_bytes_depend_on_frames_keyframe_and_settings() -> None:
    changed = textured().copy()
    changed[20, 8:16, 8:16] ^= 255
    clips = {
        encode(frames, fps=fps, keyframes=(keyframe,), video=video).data
        for frames, fps, keyframe, video in (
            (textured(), 100, 11, FAST), (changed, 100, 11, FAST), (textured(), 50, 11, FAST),
            (textured(), 100, 12, FAST), (textured(), 100, 11, Video(17, "veryfast")), (textured(), 100, 11, Video(16)),
        )
    }  # fmt: skip
    assert len(clips) == 6


@pytest.mark.parametrize("keyframe", [0, 1, 7, 21, 39])
def test_keyframes_stand_at_the_start_and_where_asked_and_nowhere_else(keyframe: int) -> None:
    """Not even at the cut in the middle of the clip."""
    data = encode(textured(), fps=100, keyframes=(keyframe,), video=Video()).data
    assert keyframes(data) == sorted({0, keyframe})


@pytest.mark.parametrize("fps", [24, 100, 200])
def test_clip_says_what_it_is(fps: int) -> None:
    clip = encode(textured(), fps=fps, keyframes=(9,), video=FAST)
    assert clip.duration_s == 40 / fps
    assert clip.bitrate_kbps == pytest.approx(len(clip.data) * 8 / 1000 / clip.duration_s)
    with av.open(io.BytesIO(clip.data)) as container:
        stream = container.streams.video[0]
        assert (stream.codec.name, stream.pix_fmt, stream.width, stream.height) == ("h264", "yuv420p", 64, 64)
        assert (stream.average_rate, stream.frames) == (fps, 40)
        assert [round(frame.pts * stream.time_base * fps) for frame in container.decode(stream)] == list(range(40))


@pytest.mark.parametrize("fps", [24, 100])
@pytest.mark.parametrize("keyframe", [0, 1, 13, 38])
def test_every_window_is_the_slice_of_the_whole(fps: int, keyframe: int) -> None:
    data = encode(textured(), fps=fps, keyframes=(keyframe,), video=Video()).data
    whole = decode_planes(data)
    assert whole.shape == textured().shape
    assert whole.dtype == np.uint8
    for first in range(40):
        assert np.array_equal(decode_planes(data, first=first, last=min(first + 3, 39)), whole[first : first + 4]), (
            first
        )
        assert np.array_equal(decode_planes(data, first=first), whole[first:]), first


@given(st.integers(0, 39), st.integers(0, 39), st.integers(0, 39))
@settings(max_examples=25)
def test_any_window_of_any_clip(keyframe: int, one: int, other: int) -> None:
    first, last = sorted((one, other))
    data = encode(textured(), fps=100, keyframes=(keyframe,), video=FAST).data
    assert np.array_equal(decode_planes(data, first=first, last=last), decode_planes(data)[first : last + 1])


def test_window_at_the_keyframe_decodes_nothing_before_it() -> None:
    """The first half of the stream may be destroyed: a window that begins at the keyframe does not need it."""
    data = bytearray(encode(textured(), fps=100, keyframes=(21,), video=Video()).data)
    whole = decode_planes(bytes(data))
    with av.open(io.BytesIO(bytes(data))) as container:
        packets = [(packet.pos, packet.size, packet.pts, packet.is_keyframe) for packet in container.demux(video=0)]
    start = next(pos for pos, _, pts, key in packets if key and pts)
    for pos, size, _, _ in packets:
        if pos is not None and pos < start:
            data[pos + 4 : pos + size] = bytes(size - 4)
    assert np.array_equal(decode_planes(bytes(data), first=21), whole[21:])


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((4, 95, 64), np.uint8),
        np.zeros((4, 96, 63), np.uint8),
        np.zeros((0, 96, 64), np.uint8),
        np.zeros((4, 96, 64), np.float32),
        np.zeros((96, 64), np.uint8),
        np.zeros((4, 64, 64, 3), np.uint8),
    ],
    ids=["rows", "odd width", "no frames", "float", "one frame", "RGB"],
)
def test_frames_of_another_form_are_refused(frames: NDArray[np.generic]) -> None:
    with pytest.raises(
        ValueError, match=r"^frames\.shape=.*dtype=.* must be \(T, 3\*H//2, W\) uint8 I420, T > 0, H and"
    ):
        encode(frames, fps=100, keyframes=(0,), video=FAST)  # type: ignore[arg-type]


@pytest.mark.parametrize("keyframe", [-1, 40])
def test_keyframe_lies_in_the_clip(keyframe: int) -> None:
    with pytest.raises(ValueError, match=rf"^keyframes=\({keyframe},\) must lie within 0\.\.39$"):
        encode(textured(), fps=100, keyframes=(keyframe,), video=FAST)


@pytest.mark.parametrize("fps", [0, -5, 29.97, float("nan"), float("inf")])
def test_frame_rates_are_whole(fps: float) -> None:
    with pytest.raises(ValueError, match=rf"^fps={fps} must be a whole number of frames per second$"):
        encode(textured(), fps=fps, keyframes=(0,), video=FAST)


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ({"first": -1}, r"^first=-1, last=None must satisfy 0 <= first <= last$"),
        ({"first": 5, "last": 4}, r"^first=5, last=4 must satisfy 0 <= first <= last$"),
        ({"first": 40}, r"^first=40: the clip ends before it$"),
    ],
)
def test_windows_that_are_none(window: dict[str, int], message: str) -> None:
    data = encode(textured(), fps=100, keyframes=(9,), video=FAST).data
    with pytest.raises(ValueError, match=message):
        decode_planes(data, **window)


def test_window_beyond_the_end_gives_what_there_is() -> None:
    data = encode(textured(), fps=100, keyframes=(9,), video=FAST).data
    assert len(decode_planes(data, first=30, last=99)) == 10


def test_bytes_tell_neither_time_nor_muxer() -> None:
    data = encode(textured(), fps=100, keyframes=(9,), video=Video()).data
    for box in (b"mvhd", b"tkhd", b"mdhd"):
        place = data.index(box) + 4
        assert data[place] == 0, "version 0: 32-bit times"
        assert struct.unpack(">II", data[place + 4 : place + 12]) == (0, 0), box
    for word in (b"Lavf", b"Lavc", b"\xa9day", b"date"):
        assert word not in data


# --- what the encoder must not erase


def moved_patch(shift: float) -> tuple[Frames, tuple[slice, slice]]:
    """A portrait whose mouth moves up by `shift` pixels and back, with sensor noise; and the mouth's place."""
    portrait = face()
    place = slice(78, 104), slice(42, 86)
    bump = np.zeros((128, 128), np.float32)
    bump[place] = 1
    bump = cv2.GaussianBlur(bump, (0, 0), 4)
    x, y = np.meshgrid(np.arange(128, dtype=np.float32), np.arange(128, dtype=np.float32))
    rng = np.random.default_rng(0)
    frames = []
    for t in range(30):
        rise = np.float32(shift * np.sin(np.pi * np.clip((t - 8) / 14, 0, 1)) ** 2)
        frame = cv2.remap(portrait, x, y + rise * bump, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        noisy = frame + rng.normal(0, 0.8, frame.shape)
        frames.append(np.clip(np.round(noisy), 0, 255).astype(np.uint8))
    return i420(frames), place


def vertical_shift(one: NDArray[np.uint8], other: NDArray[np.uint8], place: tuple[slice, slice]) -> float:
    """How far a patch moved up between two luma planes, by least squares on the vertical gradient."""
    before, after = (plane[:128].astype(np.float64) for plane in (one, other))
    slope = np.gradient(before, axis=0)[place].ravel()
    return float(slope @ (after - before)[place].ravel() / (slope @ slope))


@pytest.mark.parametrize("shift", [0.5, 1.0, 1.5])
def test_motion_of_a_pixel_survives(shift: float) -> None:
    frames, place = moved_patch(shift)
    decoded = decode_planes(encode(frames, fps=100, keyframes=(8,), video=Video()).data)
    meant, shown = (vertical_shift(clip[8], clip[15], place) for clip in (frames, decoded))
    assert meant > 0.4 * shift
    assert shown == pytest.approx(meant, rel=0.1)
    assert psnr(decoded[15, :128], frames[15, :128]) > 40
    luma = decoded[:, :128].astype(np.float64)
    change = np.abs(luma[15] - luma[8])
    still = change[:40].mean()
    assert change[place].mean() > (1.1 if shift < 1 else 1.5) * still


def test_a_still_face_stays_still() -> None:
    frames, place = moved_patch(0.0)
    decoded = decode_planes(encode(frames, fps=100, keyframes=(8,), video=Video()).data)
    assert abs(vertical_shift(decoded[8], decoded[15], place)) < 0.05


def test_noise_is_the_same_bytes_in_every_call() -> None:
    frames = np.random.default_rng(0).normal(128, 20, (60, 144, 96)).clip(0, 255).astype(np.uint8)
    made = {encode(frames, fps=24, keyframes=(3,), video=Video()).data for _ in range(4)}
    assert len(made) == 1
