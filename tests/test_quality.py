"""The quality metrics equal piq's where they are meant to, and the published formulas where those are asked for."""

from __future__ import annotations

import csv
import io
import itertools
import math
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from conftest import SHARED
from numpy.typing import NDArray
from tiny_clip import write_clip

torch = pytest.importorskip("torch", reason="the metrics need the extra `quality`")
piq = pytest.importorskip("piq", reason="the metrics need the extra `quality`")

from equime_builder.models import ModelMissing  # noqa: E402
from equime_builder.quality import brisque, similarity  # noqa: E402
from equime_builder.quality.brisque import Brisque  # noqa: E402
from equime_builder.quality.clip_iqa import ClipIqa  # noqa: E402
from equime_builder.quality.measure import ClipFault, measure, measure_published  # noqa: E402
from equime_builder.quality.scorers import Scorers, find_weights  # noqa: E402
from equime_builder.quality.tables import Outcome, published_summary, published_table  # noqa: E402

WEIGHTS = SHARED / "models" / "brisque_svm_weights.pt"
PICTURES = SHARED / "data" / "quality"
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # piq's own use of TorchScript


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other cost more than they give on frames as small as these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def footage(frames: int = 9, height: int = 72, width: int = 96, seed: int = 0) -> NDArray[np.uint8]:
    """A textured picture that drifts and brightens, with noise: (frames, height, width, 3)."""
    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (height + 40, width + 40, 3)).astype(np.float32), (0, 0), 1.5)
    texture = (texture - texture.mean()) * 3 + 120
    clips = [
        texture[t : t + height, 2 * t : 2 * t + width] + 2 * t + rng.normal(0, 3, (height, width, 3))
        for t in range(frames)
    ]
    return np.clip(np.stack(clips), 0, 255).astype(np.uint8)


def tensor(frames: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(frames.astype(np.float64)).permute(0, 3, 1, 2) / 255


@pytest.fixture(scope="session")
def brisque_weights() -> Path:
    if not WEIGHTS.is_file():
        pytest.skip(f"no BRISQUE weights at {WEIGHTS}")
    return WEIGHTS


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def piqs_places(brisque_weights: Path, clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights where piq itself looks for them."""
    (tmp_path / "torch/hub/checkpoints").mkdir(parents=True)
    shutil.copy(brisque_weights, tmp_path / "torch/hub/checkpoints")
    shutil.copytree(clip_folder, tmp_path / ".cache/clip")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="session")
def scorers(brisque_weights: Path, clip_folder: Path) -> Scorers:
    clip = ClipIqa.load(clip_folder / "RN50.pt", clip_folder / "clipiqa_tokens.pt", "cpu")
    return Scorers("cpu", Brisque.load(brisque_weights, "cpu"), clip)


# --- BRISQUE


@pytest.mark.usefixtures("piqs_places")
@pytest.mark.parametrize(("name", "score"), [("goldhill.gif", 8.4255), ("I01.BMP", 10.2594)])
def test_brisque_gives_the_reference_scores(name: str, score: float, brisque_weights: Path) -> None:
    from PIL import Image

    if not (PICTURES / name).is_file():
        pytest.skip(f"no reference picture at {PICTURES / name}")
    with Image.open(PICTURES / name) as opened:
        picture = np.asarray(opened)
    levels = torch.from_numpy(np.atleast_3d(picture).astype(np.float64)).permute(2, 0, 1)[None] / 255
    scoring = Brisque.load(brisque_weights, "cpu")
    found = float(scoring.score(levels))
    assert found == pytest.approx(score, abs=2e-4)
    assert found == pytest.approx(float(piq.brisque(levels * 255, data_range=255)), abs=1e-6)
    assert float(scoring.score(levels.float())) == pytest.approx(score, abs=5e-4)


@pytest.mark.usefixtures("piqs_places")
@pytest.mark.parametrize("channels", [1, 3])
def test_brisque_of_a_batch_is_piqs_of_each_frame(channels: int, brisque_weights: Path) -> None:
    frames = tensor(footage())[:, :channels]
    expected = [float(piq.brisque(frame[None], data_range=1.0)) for frame in frames]
    assert Brisque.load(brisque_weights, "cpu").score(frames).tolist() == pytest.approx(expected, abs=1e-6)


def flat_frames() -> dict[str, NDArray[np.uint8]]:
    black = np.zeros((72, 96, 3), np.uint8)
    dot = black.copy()
    dot[30, 40] = 1
    half = black.copy()
    half[:, 48:] = 255
    return {"black": black, "white": black + 255, "dot": dot, "half": half, "dark": footage(1)[0] // 64}


def test_flat_and_dark_frames_have_no_score_and_cost_nobody_elses(brisque_weights: Path) -> None:
    scoring = Brisque.load(brisque_weights, "cpu")
    lively = tensor(footage())
    alone = scoring.score(lively)
    for frame in flat_frames().values():
        mixed = torch.cat([lively[:3], tensor(frame[None]), lively[3:]])
        scores = scoring.score(mixed)
        assert torch.allclose(torch.cat([scores[:3], scores[4:]]), alone)
        assert bool(scores[3].isnan()) or math.isfinite(float(scores[3]))
    assert scoring.score(tensor(flat_frames()["black"][None]).repeat(5, 1, 1, 1)).isnan().all()


def test_a_frame_without_features_has_no_score(brisque_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -O` strips piq's assertions: what it then makes of a flat frame is no number."""
    scoring, frames = Brisque.load(brisque_weights, "cpu"), tensor(footage(3))
    statistics = brisque._statistics
    marked = torch.tensor([[1.0], [math.nan], [1.0]])
    monkeypatch.setattr(brisque, "_statistics", lambda luma: statistics(luma) * marked)
    assert scoring.score(frames).isnan().tolist() == [False, True, False]


def test_damaged_and_hostile_weights_are_named_and_never_executed(tmp_path: Path, clip_folder: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "executed",)  # type: ignore[return-value]

    hostile = tmp_path / "hostile.pt"
    hostile.write_bytes(pickle.dumps(Hostile()))
    torch.save((torch.zeros(3, 1), torch.zeros(3, 7)), tmp_path / "other.pt")
    (tmp_path / "empty.pt").touch()
    for path in (hostile, tmp_path / "other.pt", tmp_path / "empty.pt"):
        with pytest.raises(ModelMissing, match=rf"{path.name}: is no file of BRISQUE weights"):
            Brisque.load(path, "cpu")
    with pytest.raises(ModelMissing, match=r"hostile\.pt: cannot be used for CLIP-IQA"):
        ClipIqa.load(clip_folder / "RN50.pt", hostile, "cpu")
    with pytest.raises(ModelMissing, match=r"empty\.pt: cannot be used for CLIP-IQA"):
        ClipIqa.load(tmp_path / "empty.pt", clip_folder / "clipiqa_tokens.pt", "cpu")
    assert not (tmp_path / "executed").exists()


# --- the others, against piq


@pytest.mark.usefixtures("piqs_places")
@pytest.mark.parametrize("channels", [1, 3])
def test_clip_iqa_is_piqs(channels: int, scorers: Scorers) -> None:
    frames = tensor(footage())[:, :channels].float()
    expected = piq.CLIPIQA()(frames).flatten().tolist()
    assert scorers.clip_iqa is not None
    assert len({round(value, 4) for value in expected}) > 3
    with torch.inference_mode():
        assert scorers.clip_iqa.score(frames).tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("size", [(72, 96), (390, 400)])
def test_similarity_is_piqs(size: tuple[int, int]) -> None:
    frames = tensor(footage(3, *size))
    one, other = frames[1:], frames[:-1]
    assert torch.allclose(similarity.psnr(one, other), piq.psnr(one, other, reduction="none"))
    blur = similarity.gaussian_blur(similarity.shrink(frames))
    seen = similarity.moments(similarity.shrink(frames), blur)
    found = similarity.ssim(seen[1:], seen[:-1], blur, scale=1.0)
    assert torch.allclose(found, piq.ssim(one, other, reduction="none"), atol=1e-9)
    assert torch.allclose(similarity.total_variation(frames), piq.total_variation(frames, reduction="none"))


def test_corrected_metrics_of_a_clip_are_piqs_on_the_whole(scorers: Scorers) -> None:
    clip = footage(10)
    portrait = footage(1, 144, 192, seed=1)[0]
    found = measure(np.array_split(clip, 4), scorers, portrait=portrait)
    frames = tensor(clip)
    small = tensor(cv2.resize(portrait, (96, 72), interpolation=cv2.INTER_AREA)[None])
    first, source = frames[:1].expand_as(frames[1:]), small.expand_as(frames)
    assert scorers.brisque is not None and scorers.clip_iqa is not None
    with torch.inference_mode():
        expected = {
            "psnr_db": piq.psnr(frames[1:], frames[:-1]),
            "ssim": piq.ssim(frames[1:], frames[:-1]),
            "psnr_first_db": piq.psnr(frames[1:], first),
            "ssim_first": piq.ssim(frames[1:], first),
            "psnr_portrait_db": piq.psnr(frames, source),
            "ssim_portrait": piq.ssim(frames, source),
            "total_variation": piq.total_variation(frames) / math.sqrt(3 * 72 * 96),
            "brisque": scorers.brisque.score(frames.float()).mean(),
            "clip_iqa": scorers.clip_iqa.score(frames.float()).mean(),
        }
    assert found.frames == 10 and found.notes == ()
    assert dict(found.values) == pytest.approx(
        {name: float(value) for name, value in expected.items()}, rel=2e-5, abs=2e-6
    )


def test_chunks_do_not_change_the_figures(scorers: Scorers) -> None:
    clip = footage(7)
    for how in (measure, measure_published):
        whole = how([clip], scorers).values
        for parts in (2, 7):
            found = how(np.array_split(clip, parts), scorers).values
            assert {name for name, value in found.items() if value is None} <= {"psnr_portrait_db", "ssim_portrait"}
            assert [value or 0 for value in found.values()] == pytest.approx(
                [value or 0 for value in whole.values()], rel=2e-5
            )


# --- as published, against the formulas one by one


def published(path: Path, clip_iqa: object) -> tuple[dict[str, float], int]:
    """The published script's formulas, step by step: OpenCV's frames, skimage's SSIM, piq frame by frame."""
    from skimage.metrics import structural_similarity

    capture, grays = cv2.VideoCapture(str(path)), []
    while True:
        good, frame = capture.read()
        if not good:
            break
        grays.append(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY))
    capture.release()
    lists: dict[str, list[float]] = {
        name: [] for name in ("psnr_mean", "ssim_mean", "tv_mean", "brisque_mean", "clip_iqa_mean")
    }
    for before, after in itertools.pairwise(grays):
        error = np.mean((before - after) ** 2)  # of bytes
        lists["psnr_mean"].append(100 if error == 0 else 20 * np.log10(255.0 / np.sqrt(error)))
        lists["ssim_mean"].append(structural_similarity(before, after))
    for gray in grays:
        shades = (torch.from_numpy(gray).float() / 255.0)[None, None]
        lists["tv_mean"].append(piq.total_variation(shades).item())
        # In double precision, which the test's file of weights has: in single, piq's sum scatters by 0.01.
        lists["brisque_mean"].append(piq.brisque(shades.double()).item())
        lists["clip_iqa_mean"].append(clip_iqa(shades).item())  # type: ignore[operator]
    return {name: float(np.mean(values)) for name, values in lists.items()}, len(grays)


def write_video(path: Path, frames: NDArray[np.uint8], rate: int = 24) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def decoded(path: Path) -> Iterator[NDArray[np.uint8]]:
    from equime_builder.quality.clips import VideoFile

    return VideoFile(path.name, "", path).chunks(3 * 72 * 96)


@pytest.mark.usefixtures("piqs_places")
def test_published_mode_is_the_published_formulas(tmp_path: Path, scorers: Scorers) -> None:
    clip = footage(8)
    clip[4] = clip[3]  # identical frames: 100 dB, where the encoder keeps them identical
    clip[6] = 255 - clip[6]  # differences that wrap around
    path = write_video(tmp_path / "clip.mp4", clip)
    expected, frames = published(path, piq.CLIPIQA())
    found = measure_published(decoded(path), scorers)
    assert found.frames == frames == 8
    assert found.values["brisque_mean"] == pytest.approx(expected.pop("brisque_mean"), abs=2e-3)
    assert {name: found.values[name] for name in expected} == pytest.approx(expected, rel=1e-5)


def test_published_psnr_keeps_its_faults() -> None:
    dark = torch.full((1, 1, 32, 32), 100, dtype=torch.uint8)
    for difference, decibels in ((0, 100.0), (16, 100.0), (17, 10 * math.log10(255**2 / (17 * 17 - 256)))):
        assert float(similarity.published_psnr(dark, dark + difference)) == pytest.approx(decibels)
        assert float(similarity.published_psnr(dark + difference, dark)) == pytest.approx(decibels)
    noise = [
        torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (1, 1, 99, 99), np.uint8)) for seed in (0, 1)
    ]
    assert float(similarity.published_psnr(*noise)) == pytest.approx(27.9, abs=0.2)


# --- clips that are not as they should be


def test_flat_clips_have_no_brisque_and_the_notes_say_so(scorers: Scorers) -> None:
    black = np.zeros((5, 72, 96, 3), np.uint8)
    quality = measure([black], scorers)
    assert quality.values["brisque"] is None
    assert quality.notes == ("brisque: 5 of 5 frames too flat",)
    assert quality.values["psnr_db"] == pytest.approx(80.0)
    assert quality.values["ssim"] == pytest.approx(1.0)
    mixed = np.concatenate([black[:2], footage(3)])
    assert measure([mixed], scorers).notes == ("brisque: 2 of 5 frames too flat",)
    assert measure([mixed], scorers).values["brisque"] == pytest.approx(measure([mixed[2:]], scorers).values["brisque"])
    faulty = measure_published([mixed], scorers)
    assert faulty.values["brisque_mean"] is None and faulty.values["tv_mean"] is not None
    assert faulty.notes == ("brisque_mean: 2 of 5 frames too flat",)


def test_a_single_frame_has_nothing_to_be_compared_with(scorers: Scorers) -> None:
    quality = measure([footage(1)], scorers)
    assert quality.values["psnr_db"] is None and quality.values["ssim_first"] is None
    assert quality.values["brisque"] is not None
    assert quality.notes == ("one frame: nothing to compare it with",)


def test_a_metric_without_weights_is_null_and_the_others_go_on() -> None:
    quality = measure([footage(3)], Scorers("cpu"))
    assert quality.values["brisque"] is None and quality.values["clip_iqa"] is None
    assert quality.values["psnr_db"] is not None and quality.notes == ()


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([], "no frames"),
        ([footage(2, 20, 40)], "frames of 40 x 20 pixels; at least 32 are needed"),
        ([footage(2), footage(2, 96, 96)], "a frame has 96 x 96 pixels, the first 96 x 72"),
    ],
)
def test_clips_that_cannot_be_measured_are_named(chunks: list[NDArray[np.uint8]], message: str) -> None:
    for how in (measure, measure_published):
        with pytest.raises(ClipFault, match=message):
            how(chunks, Scorers("cpu"))


# --- weights and tables


def test_missing_weights_are_a_line_for_each_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    weights = find_weights()
    assert (weights.brisque, weights.clip, weights.tokens) == (None, None, None)
    assert [line.split(":")[0] for line in weights.missing] == ["brisque stays null", "clip_iqa stays null"]
    assert "equime models --fetch brisque" in weights.missing[0]
    with pytest.raises(ModelMissing, match="does not exist"):
        find_weights(tmp_path / "none.pt")


@pytest.mark.parametrize(
    ("form", "head"),
    [
        ("equime", "video_path,psnr_mean,ssim_mean,tv_mean,brisque_mean,clip_iqa_mean,num_frames,size_mb,duration_s,"
         "bitrate_kbps"),
        ("miex", "directory,psnr_mean,ssim_mean,tv_mean,brisque_mean,clip_iqa_mean,size_mb,duration_s,bitrate_kbps"),
        ("corpora", "directory,avg_psnr,avg_ssim,avg_tv,avg_brisque,avg_clip_iqa,size_mb,duration_s,bitrate_kbps"),
    ],
)  # fmt: skip
def test_tables_have_the_published_columns(form: str, head: str) -> None:
    quality = measure_published([footage(3)], Scorers("cpu"))
    outcomes = [Outcome("a.mp4", quality, 2**20, 2.0), Outcome("b.mp4", None, error="broken")]
    rows = list(csv.reader(io.StringIO(published_table(outcomes, form))))
    assert ",".join(rows[0]) == head
    assert len(rows) == 2
    row = dict(zip(rows[0], rows[1], strict=True))
    assert (row["size_mb"], row["duration_s"], row["bitrate_kbps"]) == ("1.0", "2.0", str(2**23 / 2000))
    assert rows[1][4] == "N/A"
    with pytest.raises(ValueError, match="form 'x' must be one of equime, miex, corpora"):
        published_table(outcomes, "x")


def test_the_summary_has_the_published_rows() -> None:
    quality = measure_published([footage(3)], Scorers("cpu"))
    rows = list(csv.reader(io.StringIO(published_summary([Outcome("a.mp4", quality, 2**20, 2.0)], "clips/"))))
    assert [row[0] for row in rows] == [
        "metric", "directory", "avg_size_mb", "avg_duration_s", "avg_bitrate_kbps",
        "avg_psnr", "avg_ssim", "avg_tv", "avg_brisque", "avg_clip_iqa", "total_videos",
    ]  # fmt: skip
    assert float(dict(rows)["avg_psnr"]) == quality.values["psnr_mean"]
    assert dict(rows)["avg_clip_iqa"] == "N/A" and dict(rows)["total_videos"] == "1"
