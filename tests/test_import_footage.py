"""From a corpus' pictures, videos and signals to samples: what is kept, what is refused, and how that is worded."""

from __future__ import annotations

import mmap
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import tree
from importing import HEIGHT, WIDTH, event, picture, reading, write_frames, write_video
from PIL import Image

from equime_builder.importing import pictures
from equime_builder.importing.cuts import Cut
from equime_builder.importing.pictures import Recording, carried, frames_of, planes_of
from equime_builder.importing.plan import PlannedClip, Request, make_plan
from equime_builder.importing.run import import_corpus, repair_import
from equime_builder.importing.shard import make_sample
from equime_builder.profiles import Video
from equime_builder.samples import ClipRejected, Sample
from equime_builder.verify import verify
from equime_loader import read_video
from equime_loader.corpora.events import CorpusEvent, FrameFiles, Signal, VideoFile
from equime_loader.corpora.signals import read_signals
from equime_loader.video.faults import VideoFault
from equime_loader.video.ffmpeg import frames

SPAN = (5, 8, 12)


def sample_of(given: CorpusEvent, *others: CorpusEvent, context_ms: float = 30.0) -> Sample:
    plan = make_plan(reading(given, *others), Request(context_ms=context_ms))
    clip: PlannedClip = next(clip for clip in plan.clips if clip.event is given)
    return make_sample(clip, Recording(given.frames), Video(), license="agreement")


def shown(sample: Sample, tmp_path: Path) -> np.ndarray:
    path = tmp_path / "sample.mp4"
    path.write_bytes(sample.video)
    return np.asarray(read_video(path)).astype(int)


def test_gray_stays_gray_and_moves_as_it_did(tmp_path: Path) -> None:
    sample = sample_of(event(write_frames(tmp_path, range(1, 21)), SPAN))
    frames = shown(sample, tmp_path)
    assert frames.shape == (14, HEIGHT, WIDTH, 3)
    assert np.abs(frames - frames[..., :1]).max() <= 1
    for number, frame in enumerate(frames, start=2):
        assert np.abs(frame[..., 0] - picture(number)).mean() < 2.5


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "jpg"])
def test_color_is_kept(tmp_path: Path, ending: str) -> None:
    frames = shown(sample_of(event(write_frames(tmp_path, range(1, 21), ending=ending, gray=False), SPAN)), tmp_path)
    assert np.abs(frames[3] - picture(5, gray=False)).mean() < 6


@pytest.mark.parametrize(("height", "width"), [(35, 48), (36, 47), (35, 47)])
@pytest.mark.parametrize("gray", [True, False])
def test_odd_sides_get_one_more_pixel(height: int, width: int, gray: bool) -> None:
    planes = planes_of(picture(3, gray=gray, height=height, width=width))
    assert planes.shape == (54, 48)
    luma = planes[:36]
    if height % 2:
        assert (luma[-1] == luma[-2]).all()
    if width % 2:
        assert (luma[:, -1] == luma[:, -2]).all()


def test_planes_are_those_of_a_reader() -> None:
    planes = planes_of(picture(3, gray=False))
    back = cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420).astype(int)
    assert np.abs(back - picture(3, gray=False)).mean() < 4
    gray = planes_of(picture(3))
    assert (gray[HEIGHT:] == 128).all() and gray[:HEIGHT].min() >= 16 and gray[:HEIGHT].max() <= 235


def test_sixteen_bits_and_transparency_are_read(tmp_path: Path) -> None:
    wide = picture(1).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "1.png"), wide)
    Image.fromarray(np.dstack([picture(2)] * 4)).save(tmp_path / "2.png")
    files = FrameFiles({1: tmp_path / "1.png", 2: tmp_path / "2.png"})
    first, second = frames_of(files, Cut(1, 2))
    assert (first == planes_of(picture(1))).all()
    assert np.abs(second[:HEIGHT].astype(int) - planes_of(picture(2))[:HEIGHT]).max() <= 1


def test_a_missing_frame_is_stood_in_for_by_the_one_before(tmp_path: Path) -> None:
    files = write_frames(tmp_path, [*range(1, 7), *range(8, 21)])
    sample = sample_of(event(files, (5, 9, 15)))
    frames = shown(sample, tmp_path)
    assert sample.labels["frames"] == 17 and sample.labels["onset_frame"] == 3
    assert np.abs(frames[5] - frames[4]).mean() < 0.5 < np.abs(frames[6] - frames[5]).mean()


def _cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _of_another_size(path: Path) -> None:
    cv2.imwrite(str(path), picture(1, height=40))


def _far_too_large(path: Path) -> None:
    Image.new("1", (5000, 5000)).save(path)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_cut_off, "frame 9 is damaged or cut off"),
        (_of_another_size, "frame 9 is 48x40 pixels, those before it 48x36"),
        (_far_too_large, "frame 9 has 5000x5000 pixels, at most 16777216 are read"),
        (lambda path: path.write_text("not a picture"), "frame 9 is no picture"),
        (lambda path: path.write_bytes(b""), "frame 9 is no picture"),
        (
            lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 36\n"),
            "frame 9 is no picture",
        ),
        (lambda path: path.unlink(), r"frame 9 cannot be read \(No such file or directory\)"),
        (lambda path: (path.unlink(), path.mkdir()), r"frame 9 cannot be read \(Is a directory\)"),
    ],
)
def test_a_bad_frame_is_named_by_its_number_and_no_file(tmp_path: Path, spoil: object, reason: str) -> None:
    files = write_frames(tmp_path / "Ada Lovelace", range(1, 21), ending="jpg")
    assert callable(spoil)
    spoil(files.paths[9])
    with pytest.raises(ClipRejected, match=f"^{reason}$"):
        sample_of(event(files, SPAN))


def test_a_video_that_is_h264_is_carried_as_it_is(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 20)
    sample = sample_of(event(VideoFile(path, first=1), SPAN, fps=25.0))
    assert sample.video == path.read_bytes()
    labels = sample.labels
    assert (labels["onset_frame"], labels["apex_frame"], labels["offset_frame"]) == (4, 7, 11)
    assert (labels["frames"], labels["fps"], labels["width"], labels["height"]) == (20, 25.0, WIDTH, HEIGHT)
    assert labels["onset_ms"] == 160.0


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.avi", "mpeg4", "yuv420p"), ("a.avi", "rawvideo", "bgr24"), ("a.mp4", "libx264", "yuv444p")],
)
def test_other_videos_are_cut_and_encoded(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    path = write_video(tmp_path / name, 20, codec=codec, pixels=pixels)
    assert carried(path.read_bytes()) is None
    sample = sample_of(event(VideoFile(path, first=1), SPAN, fps=25.0), context_ms=100)
    assert (sample.labels["onset_frame"], sample.labels["frames"]) == (3, 14)
    frames = shown(sample, tmp_path)
    # The recording's frame 2, drawn as number 1, is the clip's first.
    assert np.abs(frames[0] - picture(1, gray=False)).mean() < 12


def test_a_long_recording_is_not_carried_whole(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 260)
    sample = sample_of(event(VideoFile(path), (100, 104, 108), fps=25.0), context_ms=200)
    assert (sample.labels["onset_frame"], sample.labels["frames"]) == (5, 19)


def test_of_a_video_with_two_events_each_gets_its_own_part(tmp_path: Path) -> None:
    video = VideoFile(write_video(tmp_path / "long.mp4", 40), first=0)
    one, two = (
        event(video, span, fps=25.0, label=label) for span, label in [((5, 8, 12), "fear"), ((16, 20, 22), "disgust")]
    )
    first, second = sample_of(one, two, context_ms=200), sample_of(two, one, context_ms=200)
    assert (first.labels["onset_frame"], first.labels["frames"]) == (5, 16)
    assert (second.labels["onset_frame"], second.labels["frames"]) == (3, 15)


def test_a_recording_is_decoded_once_for_its_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the cuts: after each other, with contexts that overlap, within one another, or back again."""
    path = write_video(tmp_path / "a.avi", 60, codec="mpeg4")
    video, opened = VideoFile(path, first=1), []
    monkeypatch.setattr(pictures, "map_video", lambda path: opened.append(path) or path.read_bytes())
    whole = list(Recording(video).cut(Cut(1, 60)))
    assert len(whole) == 60
    recording = Recording(video)
    opened.clear()
    cuts = [Cut(5, 20), Cut(18, 40), Cut(20, 25), Cut(22, 45), Cut(50, 55), Cut(58, 70), Cut(61, 70)]
    for cut in cuts:
        taken = list(recording.cut(cut))
        assert len(taken) == max(0, min(cut.last, 60) - cut.first + 1)
        for planes, expected in zip(taken, whole[cut.first - 1 :], strict=False):
            assert (planes == expected).all()
    assert len(opened) == 1
    assert (next(recording.cut(Cut(2, 3))) == whole[1]).all() and len(opened) == 2
    assert len(list(recording.cut(Cut(2, 6)))) == 5 and len(opened) == 2
    monkeypatch.setattr(pictures, "MAX_RECENT", 0)
    assert [len(list(recording.cut(cut))) for cut in cuts] == [16, 23, 6, 24, 6, 3, 0]


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_pictures_of_ten_and_twelve_bits_are_as_bright_as_they_were(tmp_path: Path, bits: int) -> None:
    paths = {}
    for number in range(1, 21):
        wide = picture(number).astype(np.uint16) << bits - 8
        wide[0, 0] = 2 ** (bits - 1) if number == 20 else 0  # the brightest frame lies outside of the clip
        paths[number] = tmp_path / "copy" / f"{number}.png"
        paths[number].parent.mkdir(exist_ok=True)
        cv2.imwrite(str(paths[number]), np.minimum(wide, 2 ** (bits - 1) - 1) if number < 20 else wide)
    import_corpus(tmp_path / "out", reading(event(FrameFiles(paths), SPAN)), Request(context_ms=0))
    assert verify(tmp_path / "out") == []
    rejects = (tmp_path / "out/__manifest__/rejected.csv").read_text().splitlines()[1:]
    told = (
        f"kept,surprise_u_casme2xsub01_000/pictures,its pictures of 16 bits use {bits}: the upper 8 of these are taken"
    )
    assert rejects == ([] if bits == 16 else [told])
    (planes, *_) = Recording(FrameFiles(paths)).cut(Cut(5, 6))
    assert (
        planes == planes_of(np.where(picture(5) > 127, 127, picture(5)) * (np.indices((HEIGHT, WIDTH)).sum(0) > 0))
    ).all()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is neither MP4, MOV, Matroska, WebM nor AVI"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isom", "the MP4 is damaged"),
    ],
)
def test_a_bad_video_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    with pytest.raises(ClipRejected, match=reason):
        sample_of(event(VideoFile(path), SPAN))


def test_a_video_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 10)
    with pytest.raises(ClipRejected, match=r"frames 5\.\.12 are annotated, the video has 0\.\.9"):
        sample_of(event(VideoFile(path), SPAN, fps=25.0))
    avi = write_video(tmp_path / "a.avi", 10, codec="mpeg4")
    with pytest.raises(ClipRejected, match="the recording ends before frame 37"):
        sample_of(event(VideoFile(avi), (40, 41, 42), fps=100.0))


def test_more_than_an_index_may_say_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 20, rate=2000)
    with pytest.raises(ClipRejected, match="48x36 pixels at 2000 fps is more than readers take"):
        sample_of(event(VideoFile(path), SPAN, fps=25.0))


def test_a_rate_that_is_no_whole_number_is_kept(tmp_path: Path) -> None:
    sample = sample_of(event(write_frames(tmp_path, range(1, 21)), SPAN, fps=30000 / 1001))
    found = carried(sample.video)
    assert found is not None and found.fps == pytest.approx(30000 / 1001)
    assert found.frames == sample.labels["frames"] == len(shown(sample, tmp_path))


class Ramp:
    """A recording of signals that holds frame numbers, 10 samples per frame."""

    def __init__(self, name: str, *, last: int = 100) -> None:
        self.name, self.last = name, last

    def read(self, first: int, last: int) -> Signal:
        if last > self.last:
            raise ValueError(f"the recording ends at frame {self.last}")
        values = np.repeat(np.arange(first, last + 1, dtype=np.float32), 10)[:, None]
        return Signal(self.name, values, ("A",), 1000.0, 0.0, "mV")


def test_signals_are_cut_with_the_clip(tmp_path: Path) -> None:
    files = write_frames(tmp_path / "copy", range(1, 21))
    given = reading(
        event(files, SPAN, signals=(Ramp("ecg"), Ramp("eda", last=10))),
        event(files, SPAN, clip="EP02", label="fear"),
        event(files, SPAN, clip="EP03", label="disgust", signals=(Ramp("eda", last=1),)),
    )
    request = Request(context_ms=30)
    import_corpus(tmp_path / "out", given, request)
    assert verify(tmp_path / "out") == []
    path = tmp_path / "out/signals/surprise_u_casme2xsub01_000.safetensors"
    assert list((tmp_path / "out/signals").iterdir()) == [path]
    ((name, signal),) = read_signals(path).items()
    assert name == "ecg" and signal.values[:, 0].tolist() == np.repeat(np.arange(2, 16), 10).tolist()
    rejects = (tmp_path / "out/__manifest__/rejected.csv").read_text().splitlines()[1:]
    assert rejects == [
        "signal,surprise_u_casme2xsub01_000/eda,the recording ends at frame 10",
        "signal,disgust_u_casme2xsub01_000/eda,the recording ends at frame 1",
    ]
    before = tree(tmp_path / "out")
    path.write_bytes(path.read_bytes()[:-1])
    (tmp_path / "out/signals/other.safetensors").write_bytes(b"stray")
    assert {fault.path for fault in verify(tmp_path / "out")} == {
        "signals/surprise_u_casme2xsub01_000.safetensors",
        "signals/other.safetensors",
    }
    repair_import(tmp_path / "out", given)
    assert tree(tmp_path / "out") == before


@pytest.mark.parametrize("ending", ["jpg", "png", "bmp", "tif"])
def test_damage_of_a_picture_costs_the_clip_and_nothing_else(tmp_path: Path, ending: str) -> None:
    files = write_frames(tmp_path / "Ada Lovelace", range(1, 6), ending=ending, gray=False)
    whole, path = files.paths[3].read_bytes(), files.paths[3]
    rng, outcomes = np.random.default_rng(7), set[str]()
    for _ in range(60):
        data = bytearray(whole[: int(rng.integers(1, len(whole) + 1))] if rng.random() < 0.5 else whole)
        for place in rng.integers(0, len(data), int(rng.integers(1, 9))):
            data[place] = int(rng.integers(256))
        path.write_bytes(bytes(data))
        try:
            taken = list(frames_of(files, Cut(1, 5)))
            assert {planes.shape for planes in taken} == {(54, 48)}
        except ClipRejected as rejected:
            outcomes.add(str(rejected))
    assert outcomes and all(reason.startswith("frame ") and "Lovelace" not in reason for reason in outcomes)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.avi", "mpeg4")])
def test_damage_of_a_video_costs_the_clip_and_nothing_else(tmp_path: Path, name: str, codec: str) -> None:
    path = write_video(tmp_path / "Ada Lovelace" / name, 20, codec=codec)
    whole, rng, outcomes = path.read_bytes(), np.random.default_rng(7), set[str]()
    for _ in range(120):
        data = bytearray(whole[: int(rng.integers(1, len(whole) + 1))] if rng.random() < 0.3 else whole)
        for place in rng.integers(0, len(data), int(rng.integers(1, 9))):
            data[place] = int(rng.integers(256))
        path.write_bytes(bytes(data))
        try:
            sample = sample_of(event(VideoFile(path, first=1), SPAN, fps=25.0))
            assert len(shown(sample, tmp_path)) == sample.labels["frames"]
        except ClipRejected as rejected:
            outcomes.add(str(rejected))
    assert outcomes and not any("Lovelace" in reason for reason in outcomes)


def test_a_mapped_video_that_points_outside_itself_is_a_fault(tmp_path: Path) -> None:
    """FFmpeg asks the map for a place that it has not; some of these thousands of damages do that."""
    path = write_video(tmp_path / "a.mp4", 20)
    whole, rng, outside = path.read_bytes(), np.random.default_rng(1), 0
    for _ in range(2000):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), int(rng.integers(1, 9))):
            data[place] = int(rng.integers(256))
        path.write_bytes(bytes(data))
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            try:
                next(frames(mapped), None)
            except VideoFault as fault:
                outside += "seek out of range" in str(fault)
        if outside == 3:
            return
    raise AssertionError("no damage made FFmpeg leave the file; look for another")
