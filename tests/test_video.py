"""Decoding: the same frames from every backend, of our clips and of awkward ones, and nothing more than is needed."""

from __future__ import annotations

import gc
import io
import os
import struct
import threading
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from clips import Frames, changed, clip, faststart, numbers, our_clip, painted, place
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from equime_loader.video import View, mp4, pyav, read_frames, read_video, scale
from equime_loader.video.backends import BACKENDS, installed
from equime_loader.video.faults import VideoFault
from equime_loader.video.flow import METHODS, flow
from equime_loader.video.scale import Scaling, resize, scale_rgb
from equime_loader.windows import Event, Window

COUNT = 40
RGB, GRAY = Scaling(None, gray=False), Scaling(None, gray=True)
UNEVEN = np.cumsum(5 + np.random.default_rng(1).integers(0, 40, COUNT)).tolist()
OPEN = "bframes=5:b-pyramid=normal:b-adapt=0:keyint=12:min-keyint=12:open-gop=1:scenecut=0"
FRAGMENTS = "frag_keyframe+empty_moov"


@cache
def short_prefixes() -> bytes:
    """Our clip with units whose lengths stand in two bytes in place of four."""
    data = our_clip(painted(COUNT), keyframes=(9,))
    extradata = mp4.parse(data).extradata
    return remuxed(data, changed(extradata, 4, b"\xfd"), two_bytes)


def two_bytes(packet: bytes) -> bytes:
    units = b""
    while packet:
        length = int.from_bytes(packet[:4], "big")
        units += length.to_bytes(2, "big") + packet[4 : 4 + length]
        packet = packet[4 + length :]
    return units


def remuxed(data: bytes, extradata: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The same packets in another form."""
    target = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(target, "w", format="mp4") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        stream.codec_context.extradata = extradata
        for packet in source.demux(video=0):
            if packet.dts is not None:
                other = av.Packet(change(bytes(packet)))
                for name in ("pts", "dts", "duration", "time_base", "is_keyframe"):
                    setattr(other, name, getattr(packet, name))
                other.stream = stream
                output.mux(other)
    return target.getvalue()


@cache
def unsaid_order() -> bytes:
    """Frames out of order in a stream that does not say how far: `bitstream_restriction_flag` (H.264, E.1.1) is 0."""
    data = clip(painted(COUNT), x264="bframes=8:b-pyramid=normal:b-adapt=0")
    extradata = mp4.parse(data).extradata
    sps = extradata[8 : 8 + int.from_bytes(extradata[6:8], "big")]
    bits = "".join(f"{byte:08b}" for byte in sps.replace(b"\0\0\3", b"\0\0"))
    position = 0
    for field in "4eeee11eeee1ee111111111441111":  # in bytes, in bits of Exp-Golomb codes, in bits
        position += {"4": 32, "1": 1, "e": 2 * bits[position:].index("1") + 1}[field]
    assert bits[position] == "1"
    after = len(bits) - position
    whole = "".join(f"{byte:08b}" for byte in sps)[:-after] + "01" + "0" * (after - 2)
    assert data.count(sps) == 1
    return data.replace(sps, bytes(int(whole[at : at + 8], 2) for at in range(0, len(whole), 8)))


def turned(matrix: tuple[int, ...]) -> bytes:
    data = clip(painted(COUNT))
    at = place(data, b"moov", b"trak", b"tkhd") + 40
    return changed(data, at, struct.pack(">9i", *(value << 16 for value in matrix), 0, 0, 1 << 30))


def edited(milliseconds: int, first: int) -> bytes:
    """A clip (50 fps: 20 ms and 256 ticks a frame) with an edit that lasts so long, from that tick on."""
    data = clip(painted(COUNT), x264="bframes=3")
    return changed(data, place(data, b"moov", b"trak", b"edts", b"elst") + 8, struct.pack(">Ii", milliseconds, first))


def of(**options: Any) -> Callable[[], bytes]:
    return lambda: clip(painted(COUNT), **options)


PLAIN: dict[str, Callable[[], bytes]] = {
    "ours": lambda: our_clip(painted(COUNT), keyframes=(11,)),
    "ours, two windows": lambda: our_clip(painted(COUNT), keyframes=(7, 25)),
    "B-frames": of(x264="bframes=3"),
    "B-pyramid": of(x264="bframes=8:b-pyramid=normal:b-adapt=0:keyint=15:ref=4"),
    "B-frames, no edit list": of(x264="bframes=3", muxer={"use_editlist": "0"}),
    "B-frames, negative shifts": of(x264="bframes=3", muxer={"movflags": "negative_cts_offsets"}),
    "slices": of(x264="slices=4:bframes=2"),
    "intra only": of(x264="keyint=1"),
    "long reference": of(x264="ref=8:keyint=infinite:bframes=0"),
    "full range": of(pixels="yuvj420p"),
    "BT.709": of(tags={"colorspace": 1, "color_range": 1}),
    "interlaced": of(x264="tff=1:bframes=2"),
    "4:4:4": of(pixels="yuv444p"),
    "4:2:2": of(pixels="yuv422p"),
    "10 bit": of(pixels="yuv420p10le"),
    "gray": of(pixels="gray"),
    "lossless": of(x264="qp=0"),
    "MOV": of(container="mov", x264="bframes=3"),
    "cropped": lambda: clip(painted(COUNT, 142, 254), x264="bframes=3"),
    "odd size, 4:4:4": lambda: clip(painted(COUNT, 143, 255), pixels="yuv444p", x264="bframes=3"),
    "variable rate": of(times=UNEVEN, x264="bframes=3"),
    "lengths of two bytes": short_prefixes,
    "order not said": unsaid_order,
}
OPEN_GROUPS = {"open groups": of(x264=OPEN), "gradual refresh": of(x264="intra-refresh=1:keyint=12")}
OTHER: dict[str, Callable[[], bytes]] = {
    "fragments": of(muxer={"movflags": FRAGMENTS}, x264="keyint=12:bframes=2"),
    "fragments, relative": of(muxer={"movflags": f"{FRAGMENTS}+default_base_moof"}, x264="keyint=12"),
    "HEVC": of(codec="libx265", options={"x265-params": "log-level=none:pools=none:frame-threads=1"}),
    "AVI, MPEG-4 with B-frames": of(codec="mpeg4", container="avi", options={"bf": "2", "q": "2"}),
    "AVI, H.264": of(container="avi", x264="bframes=0"),
    "AVI, MJPEG": of(codec="mjpeg", container="avi", pixels="yuvj420p", options={"q": "2"}),
    "MKV": of(container="matroska", x264="bframes=3"),
    "MKV, FFV1": of(codec="ffv1", container="matroska"),
    "WebM, VP9, odd size": lambda: clip(
        painted(COUNT, 143, 255),
        codec="libvpx-vp9",
        container="webm",
        options={"deadline": "realtime", "cpu-used": "8"},
    ),
}
CASES = PLAIN | OPEN_GROUPS | OTHER


@cache
def made(case: str) -> bytes:
    encoder = {"HEVC": "libx265", "WebM, VP9, odd size": "libvpx-vp9"}.get(case, "libx264")
    if encoder not in av.codec.codecs_available:
        pytest.skip(f"FFmpeg here has no {encoder}")
    return CASES[case]()


@cache
def whole(case: str) -> Frames:
    """All frames as the first backend gives them."""
    return pyav.decode(made(case), np.arange(COUNT), RGB)


def backend_named(name: str) -> Any:
    if name not in installed():
        pytest.skip(f"{name} is not installed")
    return BACKENDS[name]


def assert_close(one: Frames, other: Frames) -> None:
    """To the converter's rounding: FFmpeg's rounds down, and a color at odd places is that of its neighbor."""
    difference = one.astype(np.int16) - other
    assert abs(difference.mean()) <= 2 and np.abs(difference).max() <= 20


# --- the same frames


@pytest.mark.parametrize("case", CASES)
def test_every_frame_is_the_one_of_its_number(case: str) -> None:
    assert numbers(whole(case)) == list(range(COUNT))


@pytest.mark.parametrize("case", CASES)
def test_frames_are_those_of_ffmpeg_from_the_first_to_the_last(case: str) -> None:
    frames = read_video(made(case))
    assert frames.shape == whole(case).shape
    assert_close(frames, whole(case))


@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "pyav"])
@pytest.mark.parametrize("case", CASES)
def test_backends_give_the_same_frames(case: str, name: str) -> None:
    decode = backend_named(name)
    rng = np.random.default_rng(3)
    windows = [np.arange(COUNT), *(np.unique(rng.integers(0, COUNT, rng.integers(1, 9))) for _ in range(3))]
    for window in windows:
        frames = decode(made(case), window, RGB)
        assert numbers(frames) == window.tolist()
        assert_close(frames, whole(case)[window])


@pytest.mark.parametrize("case", PLAIN)
def test_our_own_reader_is_what_reads_plain_files(case: str) -> None:
    track = mp4.parse(made(case))
    height, width = whole(case).shape[1:3]
    assert (len(track), track.height, track.width) == (COUNT, height, width)


@pytest.mark.parametrize("case", OTHER)
def test_the_rest_is_left_to_ffmpeg(case: str) -> None:
    with pytest.raises(mp4.NotPlain):
        mp4.parse(made(case))


@given(
    st.sampled_from([*PLAIN, *OPEN_GROUPS, "MKV"]),
    st.sets(st.integers(0, COUNT - 1), min_size=1, max_size=10),
    st.booleans(),
)
@settings(max_examples=150)
def test_any_frames_are_exactly_those_of_the_whole(case: str, chosen: set[int], as_view: bool) -> None:
    indices = np.array(sorted(chosen))
    data = memoryview(made(case)) if as_view else made(case)
    np.testing.assert_array_equal(pyav.decode(data, indices, RGB), whole(case)[indices])


@given(st.sampled_from(["onset", "apex", "offset"]), st.integers(1, 60), st.data())
@settings(max_examples=60)
def test_windows_beyond_the_clip_repeat_its_ends(moment: str, frames: int, data: st.DataObject) -> None:
    before = data.draw(st.integers(0, frames))
    window = Window.around(moment, frames, before=before)  # type: ignore[arg-type]
    event = Event(3, 14, 37, COUNT, 100)
    read = read_frames(made("ours"), event, View(window, size=None))
    indices, mask = window.indices(event)
    np.testing.assert_array_equal(read.frames, whole("ours")[indices])
    np.testing.assert_array_equal(read.mask, mask)
    np.testing.assert_array_equal(read.indices, indices)


def test_a_header_in_front_changes_nothing(tmp_path: Path) -> None:
    front = faststart(made("B-frames"), tmp_path)
    assert front.index(b"moov") < front.index(b"mdat")
    np.testing.assert_array_equal(pyav.decode(front, np.arange(COUNT), RGB), whole("B-frames"))


# (milliseconds, first tick): what is shown. 512 ticks is the first frame, a frame lasts 256.
EDITS = {
    "none": (800, 512, range(COUNT)),
    "longer": (2000, 512, range(COUNT)),
    "the end is cut": (300, 512, range(15)),
    "the beginning is cut": (700, 512 + 256 * 5, range(5, COUNT)),
    "both are cut": (200, 512 + 256 * 5, range(5, 15)),
    "from before": (840, 0, range(COUNT)),
    "from before, the end is cut": (800, 0, range(COUNT - 2)),
}


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("edit", EDITS)
def test_edit_lists_cut(edit: str, name: str) -> None:
    milliseconds, first, shown = EDITS[edit]
    data = edited(milliseconds, first)
    assert numbers(read_video(data)) == list(shown)
    decode = backend_named(name)
    assert numbers(decode(data, np.arange(len(shown)), RGB)) == list(shown)
    with pytest.raises(VideoFault, match=f"frame {len(shown)} was asked for, the video has {len(shown)}"):
        decode(data, np.array([len(shown)]), RGB)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(
    ("matrix", "turns"), [((0, 1, 0, -1, 0, 0), 1), ((-1, 0, 0, 0, -1, 0), 2), ((0, -1, 0, 1, 0, 0), 3)]
)
def test_a_turned_video_is_shown_upright(matrix: tuple[int, ...], turns: int, name: str) -> None:
    upright = read_video(clip(painted(COUNT)))
    frames = backend_named(name)(turned(matrix), np.arange(4), RGB)
    shown = np.rot90(frames, turns, axes=(1, 2))
    assert numbers(shown) == [0, 1, 2, 3]
    assert_close(shown, upright[:4])
    np.testing.assert_array_equal(read_video(turned(matrix))[:4], frames)


# --- only what is needed


def blanked(data: bytes, packets: list[int], keep: int = 0) -> bytes:
    """A clip with some packets overwritten, but for their first bytes."""
    track, written = mp4.parse(data), bytearray(data)
    for packet in packets:
        first, length = int(track.offsets[packet]) + keep, int(track.lengths[packet]) - keep
        written[first : first + length] = b"\xff" * length
    return bytes(written)


@pytest.mark.parametrize("case", ["ours", "ours, two windows", "B-frames", "B-pyramid", "intra only"])
@pytest.mark.parametrize("first", [0, 12, 26, 33])
def test_nothing_before_the_key_frame_and_after_the_window_is_read(case: str, first: int) -> None:
    window = np.arange(first, first + 4)
    track = mp4.parse(made(case))
    decoded_at = [int(np.flatnonzero(track.shown == frame)[0]) for frame in window]
    key = max(int(k) for k in track.keys if k <= min(decoded_at))
    others = [packet for packet in range(COUNT) if not key <= packet <= max(decoded_at)]
    assert len(others) > 2
    frames = pyav.decode(blanked(made(case), others), window, RGB)
    np.testing.assert_array_equal(frames, whole(case)[window])


@pytest.mark.parametrize("case", ["ours", "B-frames", "B-pyramid"])
def test_frames_that_no_other_refers_to_are_not_read(case: str) -> None:
    data, track = made(case), mp4.parse(made(case))
    window = np.array([2, 17, 31])
    spare = []
    for packet in range(COUNT):
        unit = int(track.offsets[packet])
        while data[unit + 4] & 31 not in (1, 5):
            unit += 4 + int.from_bytes(data[unit : unit + 4], "big")
        if not data[unit + 4] >> 5 & 3 and track.shown[packet] not in window:
            spare.append(packet)
    assert len(spare) > 5
    frames = pyav.decode(blanked(data, spare, keep=5), window, RGB)
    np.testing.assert_array_equal(frames, whole(case)[window])


def test_a_damaged_reference_outside_the_window_is_an_error() -> None:
    """Its damage would go on into the frames of the window."""
    track = mp4.parse(made("ours"))
    with pytest.raises(VideoFault, match="does not decode"):
        pyav.decode(blanked(made("ours"), [int(track.keys[0])]), np.array([5]), RGB)


# --- threads, forks, memory


def test_a_clip_that_fails_leaves_nothing_behind_for_the_next() -> None:
    """Both have one decoder configuration, so they share a decoder."""
    bad, good = made("ours"), our_clip(painted(COUNT)[::-1], keyframes=(11,))
    track = mp4.parse(bad)
    assert track.extradata == mp4.parse(good).extradata
    window = np.arange(8, 20)
    expected = pyav.decode(good, window, RGB)
    rng = np.random.default_rng(0)
    failed = 0
    for _ in range(150):
        packet = rng.integers(8, 24)
        at = int(track.offsets[packet] + rng.integers(5, track.lengths[packet]))
        try:
            pyav.decode(changed(bad, at, bytes([bad[at] ^ 1 << rng.integers(8)])), window, RGB)
        except VideoFault:
            failed += 1
        np.testing.assert_array_equal(pyav.decode(good, window, RGB), expected)
    assert failed > 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_of_a_fork_decodes_by_itself() -> None:
    window = np.arange(12, 20)
    expected = whole("ours")[window]
    pyav.decode(made("ours"), window, RGB)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            taken = pyav._decoders._free
            same = np.array_equal(pyav.decode(made("ours"), window, RGB), expected)
            os.write(writer, b"good" if same and pyav._decoders._free is not taken else b"bad")
        finally:
            os._exit(0)
    np.testing.assert_array_equal(pyav.decode(made("ours"), window, RGB), expected)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        assert answer.read() == b"good"
    assert os.waitpid(child, 0)[1] == 0


def test_threads_share_no_decoder_and_no_memory() -> None:
    cases = ["ours", "B-frames", "slices", "full range", "4:4:4", "MKV"]
    expected = {case: whole(case) for case in cases}
    barrier = threading.Barrier(8)

    def work(seed: int) -> int:
        rng = np.random.default_rng(seed)
        barrier.wait()
        wrong = 0
        for _ in range(25):
            case = cases[rng.integers(len(cases))]
            indices = np.unique(rng.integers(0, COUNT, 6))
            wrong += not np.array_equal(pyav.decode(made(case), indices, RGB), expected[case][indices])
        return wrong

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 0


def test_memory_does_not_grow() -> None:
    """Neither Python's nor that of the libraries under it, also not over clips that fail and other configurations."""
    clips = [our_clip(painted(6, size, size), keyframes=(2,)) for size in (32, 48, 64, 80, 96, 112)]
    bad = blanked(clips[0], [3])
    event, view = Event(1, 3, 4, 6, 100), View(Window.around("apex", 3), size=16)

    def read(times: int) -> None:
        for turn in range(times):
            read_frames(clips[turn % 6], event, view)
            if turn % 10 == 0:
                with pytest.raises(VideoFault):
                    read_frames(bad, event, view)

    read(200)
    gc.collect()
    resident = _resident()
    read(2000)
    if resident is not None:
        assert (_resident() or 0) - resident < 8 * 2**20
    tracemalloc.start()
    try:
        read(60)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        read(120)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()


def _resident() -> int | None:
    """Bytes of this process in memory, where the system tells."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


# --- where frames go


def test_frames_are_not_changed_by_the_next_clip() -> None:
    event = Event(4, 14, 30, COUNT, 100)
    for size, gray in ((None, False), (40, False), (40, True)):
        view = View(Window.around("apex", 8), size=size, gray=gray)
        first = read_frames(made("ours"), event, view).frames
        kept = first.copy()
        for case in ("B-frames", "4:4:4", "full range", "cropped"):
            read_frames(made(case), event, view)
        np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("case", ["ours", "4:4:4", "MKV"])
@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("frames", [6, 60])
def test_frames_are_written_where_asked(name: str, case: str, gray: bool, frames: int) -> None:
    backend_named(name)
    event = Event(4, 14, 30, COUNT, 100)
    view = View(Window.around("apex", frames), size=(30, 44), gray=gray, backend=name)
    expected = read_frames(made(case), event, view).frames
    room = np.full((frames + 2, *expected.shape[1:]), 77, np.uint8)
    read = read_frames(made(case), event, view, room[1:-1])
    assert read.frames.base is room or np.shares_memory(read.frames, room)
    np.testing.assert_array_equal(room[1:-1], expected)
    assert (room[[0, -1]] == 77).all()


@pytest.mark.parametrize("frames", [6, 60])
@pytest.mark.parametrize(
    "room",
    [
        lambda t: np.zeros((t, 30, 44, 3), np.float32),
        lambda t: np.zeros((t, 44, 30, 3), np.uint8),
        lambda t: np.zeros((t + 1, 30, 44, 3), np.uint8),
        lambda t: np.zeros((t, 30, 44, 1), np.uint8),
        lambda t: np.zeros((t, 30, 44, 6), np.uint8)[..., ::2],
        lambda t: np.zeros((t, 3, 30, 44), np.uint8).transpose(0, 2, 3, 1),
        lambda t: np.zeros((2 * t, 30, 44, 3), np.uint8)[::2],
    ],
    ids=["floats", "turned", "longer", "gray", "strided", "channels first", "every other"],
)
def test_room_of_another_form_is_refused(room: Callable[[int], Any], frames: int) -> None:
    view = View(Window.around("apex", frames), size=(30, 44))
    with pytest.raises(ValueError, match=rf"out\.shape=.* must be \({frames}, 30, 44, 3\) uint8, contiguous"):
        read_frames(made("ours"), Event(4, 14, 30, COUNT, 100), view, room(frames))


@pytest.mark.parametrize("size", [1, 2, 3, (1, 50), (50, 1), (7, 200), (143, 255), 300])
@pytest.mark.parametrize("case", ["ours", "cropped", "4:4:4"])
def test_any_size(size: int | tuple[int, int], case: str) -> None:
    height, width = (size, size) if isinstance(size, int) else size
    for gray in (False, True):
        view = View(Window.around("apex", 3), size=size, gray=gray)
        frames = read_frames(made(case), Event(4, 14, 30, COUNT, 100), view).frames
        assert frames.shape == (3, height, width, 1 if gray else 3)
        expected = whole(case)[13:16].mean()
        assert abs(frames.mean() - expected) < (40 if min(height, width) < 20 else 6)


def test_a_video_that_changes_its_size_needs_one() -> None:
    target = io.BytesIO()
    with av.open(target, "w", format="avi") as output:
        stream: Any = output.add_stream("mjpeg", rate=50)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuvj420p"
        for number in range(6):
            encoder: Any = av.CodecContext.create("mjpeg", "w")
            encoder.height, encoder.width = (96, 128) if number < 3 else (192, 256)
            encoder.pix_fmt, encoder.time_base = "yuvj420p", Fraction(1, 50)
            frame = av.VideoFrame.from_ndarray(painted(6, encoder.height, encoder.width)[number], format="rgb24")
            for packet in [*encoder.encode(frame.reformat(format="yuvj420p")), *encoder.encode(None)]:
                packet.pts = packet.dts = number
                packet.stream = stream
                output.mux(packet)
    data = target.getvalue()
    assert numbers(pyav.decode(data, np.arange(6), Scaling((48, 64), gray=False))) == [0, 1, 2, 3, 4, 5]
    assert pyav.decode(data, np.array([4]), RGB).shape == (1, 192, 256, 3)
    with pytest.raises(VideoFault, match="frames of different sizes; ask for a size"):
        pyav.decode(data, np.arange(6), RGB)
    with pytest.raises(VideoFault, match="do not decode as video: frames of several sizes, or none"):
        read_video(data)


# --- colors and sizes


def test_gray_is_the_luma_of_rgb() -> None:
    for case in ("ours", "full range", "4:4:4", "10 bit", "MKV"):
        gray = pyav.decode(made(case), np.arange(4), GRAY)[..., 0].astype(float)
        luma = whole(case)[:4] @ np.array([0.299, 0.587, 0.114])
        inside = (whole(case)[:4].min(axis=-1) > 0) & (whole(case)[:4].max(axis=-1) < 255)
        assert np.abs(gray - luma)[inside].max() <= 2


@pytest.mark.parametrize(
    ("tags", "pixels"),
    [
        ({}, "yuv420p"),
        ({"colorspace": 1, "color_range": 1}, "yuv420p"),
        ({"colorspace": 5, "color_range": 2}, "yuvj420p"),
        ({"colorspace": 1, "color_range": 2}, "yuvj420p"),
        ({"colorspace": 1, "color_range": 1}, "yuv444p"),
    ],
)
def test_colors_are_those_that_were_encoded(tags: dict[str, int], pixels: str) -> None:
    colors = [(200, 60, 60), (60, 180, 80), (70, 80, 190), (225, 172, 150), (90, 60, 48), (20, 20, 20), (235, 235, 235)]
    frames = np.array(colors, np.uint8)[:, None, None].repeat(64, 1).repeat(64, 2)
    data = clip(frames, tags=tags, pixels=pixels, x264="qp=1:keyint=1")
    decoded = pyav.decode(data, np.arange(len(colors)), RGB)
    assert np.abs(decoded.mean(axis=(1, 2)) - np.array(colors)).max() < 2.5


@given(st.tuples(st.integers(32, 400), st.integers(32, 400)), st.tuples(st.integers(4, 130), st.integers(4, 130)))
@settings(max_examples=80)
def test_scaling_is_close_to_an_antialiased_reference(have: tuple[int, int], want: tuple[int, int]) -> None:
    """Root mean square within 5% of the contrast of a texture as fine as a camera's; 0.2% of the mean."""
    rng = np.random.default_rng(7)
    picture = cv2.GaussianBlur(rng.integers(0, 256, have, dtype=np.uint8), (0, 0), 1.5)
    picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)
    scaled = resize(picture, want).astype(float)
    references = [
        np.asarray(Image.fromarray(picture).resize(want[::-1], method), float)
        for method in (Image.Resampling.BOX, Image.Resampling.HAMMING, Image.Resampling.BILINEAR)
    ]
    closest = min(float(np.sqrt(np.mean((scaled - reference) ** 2))) for reference in references)
    assert closest < 0.05 * 255
    assert abs(scaled.mean() - references[0].mean()) < 2.5


@pytest.mark.parametrize("have", [(96, 128), (111, 222), (112, 1000), (256, 256), (300, 91), (223, 224), (333, 333)])
@pytest.mark.parametrize("want", [(112, 112), (56, 56), (32, 48)])
def test_stripes_too_fine_for_the_size_become_gray(have: tuple[int, int], want: tuple[int, int]) -> None:
    """Sampled without a mean they would become wide stripes."""
    for axis in (0, 1):
        if have[axis] < 1.9 * want[axis]:
            continue
        picture = np.zeros(have, np.uint8)
        np.moveaxis(picture, axis, 0)[::2] = 255
        inner = resize(picture, want)[2:-2, 2:-2].astype(float)
        assert inner.mean() == pytest.approx(127.5, abs=4) and inner.std() < 45


@given(st.integers(20, 400), st.integers(20, 400), st.integers(15, 130), st.integers(15, 130))
@settings(max_examples=80)
def test_nothing_moves_when_it_is_scaled(height: int, width: int, rows: int, columns: int) -> None:
    down, across = np.mgrid[:height, :width]
    middle = ((height - 1) / 2, (width - 1) / 2)
    blob = np.exp(-(((down - middle[0]) / (height / 8)) ** 2 + ((across - middle[1]) / (width / 8)) ** 2))
    scaled = resize((blob * 255).round().astype(np.uint8), (rows, columns)).astype(float)
    found = [(scaled * grid).sum() / scaled.sum() for grid in np.mgrid[:rows, :columns]]
    assert found == pytest.approx([(rows - 1) / 2, (columns - 1) / 2], abs=0.05)


@pytest.mark.parametrize("size", [(96, 128), (48, 64), (112, 112), (36, 100), (200, 60)])
def test_planes_scaled_before_color_are_as_pictures_scaled_after(size: tuple[int, int]) -> None:
    frames = pyav.decode(made("ours"), np.arange(12), Scaling(size, gray=False)).astype(np.int16)
    after = scale_rgb(whole("ours")[:12], Scaling(size, gray=False)).astype(np.int16)
    assert abs((frames - after).mean()) < 0.7 and np.abs(frames - after).mean() < 2.5


# --- optical flow


def shifted(right: int, down: int) -> tuple[Frames, Frames]:
    rng = np.random.default_rng(2)
    sheet = cv2.GaussianBlur(rng.integers(0, 256, (160, 160), dtype=np.uint8), (0, 0), 2)
    sheet = cv2.normalize(sheet, None, 0, 255, cv2.NORM_MINMAX)
    return sheet[16:144, 16:144].copy(), sheet[16 - down : 144 - down, 16 - right : 144 - right].copy()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [None, (64, 64), (48, 160)])
@pytest.mark.parametrize(("right", "down"), [(3, -2), (0, 4), (-1, 0)])
def test_flow_finds_a_shift_in_pixels_of_the_result(
    method: str, size: tuple[int, int] | None, right: int, down: int
) -> None:
    found = flow(*shifted(right, down), method=method, size=size)
    height, width = size or (128, 128)
    assert found.shape == (2, height, width) and found.dtype == np.float32 and found.flags.c_contiguous
    inner = found[:, height // 4 : -height // 4, width // 4 : -width // 4]
    expected = np.array([right * width / 128, down * height / 128])[:, None, None]
    assert np.abs(inner - expected).max() < 0.12


@pytest.mark.parametrize("method", METHODS)
def test_what_does_not_change_does_not_flow(method: str) -> None:
    picture, _ = shifted(0, 0)
    assert not flow(picture, picture.copy(), method=method, size=(50, 70)).any()
    still = read_frames(made("ours"), Event(14, 14, 20, COUNT, 100), View(size=(24, 32), flow=method))
    assert still.flow is not None and still.flow.shape == (2, 24, 32) and not still.flow.any()


@pytest.mark.parametrize("method", METHODS)
def test_flow_of_a_clip_goes_from_onset_to_apex(method: str) -> None:
    event = Event(6, 10, 20, COUNT, 100)
    view = View(Window.spread(4), size=(48, 64), flow=method)
    read = read_frames(made("ours"), event, view)
    gray = pyav.decode(made("ours"), np.array([6, 10]), GRAY)[..., 0]
    assert read.flow is not None
    np.testing.assert_array_equal(read.flow, flow(gray[0], gray[1], method=method, size=(48, 64)))
    # The flow does not depend on the window's frames, and these not on it.
    np.testing.assert_array_equal(
        read.frames, read_frames(made("ours"), event, View(Window.spread(4), (48, 64))).frames
    )


def test_flow_in_a_picture_too_small_is_told() -> None:
    tiny = clip(np.random.default_rng(0).integers(0, 256, (4, 2, 2, 3), dtype=np.uint8), x264="keyint=1")
    with pytest.raises(VideoFault, match="no flow by dis in pictures of 2 x 2"):
        read_frames(tiny, Event(0, 2, 3, 4, 50), View(Window.around(frames=2), size=8, flow="dis"))


# --- what cannot be


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(View, size=0), r"size=0 must be pixels within 1\.\.8192"),
        (partial(View, size=(4, 9000)), r"size=\(4, 9000\) must be pixels within"),
        (partial(View, size=(4,)), r"size=\(4,\) must be pixels within 1\.\.8192, or \(height, width\)"),
        (partial(View, flow="lucas"), r"flow='lucas' must be one of dis, farneback, tvl1"),
        (partial(View, backend="opencv"), r"backend='opencv' must be one of pyav, torchcodec, decord"),
    ],
)
def test_views_that_cannot_be_are_refused(make: Callable[[], View], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_backend_that_is_not_installed_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    from equime_loader.video import backends

    monkeypatch.setattr(backends, "installed", lambda: ("pyav",))
    with pytest.raises(ValueError, match="backend='decord' is not installed: pip install decord"):
        View(backend="decord")
    monkeypatch.setattr(backends, "installed", lambda: tuple(BACKENDS))
    monkeypatch.setitem(backends._LOADED, "torchcodec", "equime_loader.no_such_module")
    backends._trouble.cache_clear()
    with pytest.raises(ValueError, match="backend='torchcodec' is installed and does not load: No module named"):
        View(backend="torchcodec")
    backends._trouble.cache_clear()


@pytest.mark.parametrize("name", BACKENDS)
def test_more_frames_than_there_are(name: str) -> None:
    backend_named(name)
    view = View(Window.around("apex", 4), backend=name)
    with pytest.raises(VideoFault, match=f"frame {COUNT + 11} was asked for, the video has {COUNT}"):
        read_frames(made("ours"), Event(10, 50, 60, 80, 100), view)


def test_more_than_memory_should_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VideoFault, match=r"10000 frames of 512 x 512 are more than 2048 MiB; ask for fewer"):
        read_frames(b"", Event(1, 2, 3, 10_000, 100), View(Window.whole(), size=512))
    monkeypatch.setattr(scale, "MAX_BYTES", 40 * 96 * 128 * 3 - 1)
    for case in ("ours", "4:4:4", "MKV"):
        with pytest.raises(VideoFault, match="40 frames of 96 x 128 are more than"):
            read_frames(made(case), Event(1, 2, 3, COUNT, 100), View(Window.whole(), size=None))
        with pytest.raises(VideoFault, match="40 frames of 96 x 128 are more than"):
            read_video(made(case))
