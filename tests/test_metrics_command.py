"""`equime metrics` on a dataset, on videos and on frame folders: resumable, and a bad file costs itself."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import FACES, SHARED, small_profile, small_request
from tiny_clip import write_clip

pytest.importorskip("piq", reason="the metrics need the extra `quality`")

from test_quality import footage, write_video

from equime_builder.build import Request, build
from equime_builder.cli import app
from equime_builder.manifest import FolderError
from equime_builder.quality.clips import PortraitPicture, dataset_groups, folder_groups
from equime_builder.quality.measure import CORRECTED, PUBLISHED
from equime_builder.quality.run import Job, record_of, run
from equime_builder.quality.scorers import find_weights
from equime_builder.requests import make_source
from equime_builder.sources.drawn import ProceduralSource
from equime_builder.verify import verify
from equime_loader import open_dataset

FEW = {"subjects": 3, "emotions": ("happiness",), "ablations": 1, "shard_samples": 2}
WEIGHTS = SHARED / "models" / "brisque_svm_weights.pt"


@pytest.fixture(autouse=True)
def weights(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """BRISQUE's weights where piq keeps them, a tiny CLIP, and no more threads than a test needs."""
    if not WEIGHTS.is_file():
        pytest.skip(f"no BRISQUE weights at {WEIGHTS}")
    home = tmp_path_factory.getbasetemp() / "home"
    if not home.exists():
        write_clip(home / ".cache/clip")
        (home / "torch/hub/checkpoints").mkdir(parents=True)
        shutil.copy(WEIGHTS, home / "torch/hub/checkpoints")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TORCH_HOME", str(home / "torch"))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete dataset of a few clips. Read only."""
    root = tmp_path_factory.mktemp("few") / "equime"
    assert build(root, small_request(**FEW))
    return root


def test_a_log_tells_how_far_it_is(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app(["metrics", str(clips), "--workers", "1"], standalone_mode=False)
    assert [line.partition(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "measuring: 0 of 4 clips",
        "measuring: 4 of 4 clips",
    ]


def command(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    app(["metrics", *map(str, arguments), "--workers", "1", "--json"], standalone_mode=False)
    return dict(json.loads(capsys.readouterr().out))


def frame_folder(folder: Path, frames: int = 3, suffix: str = ".png") -> Path:
    folder.mkdir(parents=True)
    for number, frame in enumerate(footage(frames)):
        cv2.imwrite(str(folder / f"img{number + 8}{suffix}"), frame[..., ::-1])
    return folder


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two videos, two frame folders, and files that are none of these."""
    root = tmp_path / "clips"
    (root / "fear").mkdir(parents=True)
    write_video(root / "fear/a.mp4", footage(6))
    write_video(root / "fear/b.mp4", footage(5, seed=2))
    frame_folder(root / "frames/one")
    frame_folder(root / "frames/two", suffix=".jpg")
    (root / "fear/labels.csv").write_text("a,b")
    return root


def test_a_dataset_gets_its_columns(
    few: Path, copy_of: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = copy_of(few)
    facts = command(capsys, root)
    assert facts["missing"] == facts["failed"] == facts["noted"] == []
    assert verify(root) == []
    index = open_dataset(root).index
    assert {name: index.column(name).null_count for name in CORRECTED} == dict.fromkeys(CORRECTED, 0)
    assert facts["metrics"]["psnr_db"]["mean"] == pytest.approx(float(index.numbers("psnr_db").mean()), rel=1e-6)
    # A clip is its portrait, but for its event: nearer to its own first frame than to the drawing before encoding.
    assert np.all(index.numbers("psnr_first_db") > index.numbers("psnr_portrait_db"))
    assert np.all(index.numbers("psnr_portrait_db") > 25)
    before = (root / "index.parquet").read_bytes()
    assert command(capsys, root)["metrics"] == facts["metrics"]
    assert (root / "index.parquet").read_bytes() == before


def test_a_later_run_without_weights_empties_no_column(
    few: Path,
    copy_of: Callable[[Path], Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    root = copy_of(few)
    command(capsys, root)
    record = root.with_name(f"{root.name}-quality.jsonl")
    before = (root / "index.parquet").read_bytes(), record.read_bytes()
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    with pytest.raises(ValueError, match=r"has figures of clip_iqa, which a run without the weights of CLIP-IQA would"):
        command(capsys, root)
    assert ((root / "index.parquet").read_bytes(), record.read_bytes()) == before


def test_a_record_is_not_begun_anew_without_its_weights(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(capsys, clips)
    record = clips.with_name("clips-quality.jsonl")
    before = record.read_bytes()
    job = Job(replace(find_weights(), brisque=None))
    with pytest.raises(FolderError, match=r"holds figures of brisque, whose weights are not here now"):
        run(folder_groups(clips, fps=25), job, record)
    assert record.read_bytes() == before


def test_parquet_alone_gives_the_same_figures(few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "equime"
    assert build(root, small_request(formats=("parquet",), **FEW))
    groups = {tuple(clip.name for clip in group.clips): group for group in dataset_groups(root, None, together=2)}
    others = {tuple(clip.name for clip in group.clips): group for group in dataset_groups(few, None, together=2)}
    assert groups.keys() == others.keys()
    for names, group in groups.items():
        for one, other in zip(group.clips, others[names].clips, strict=True):
            assert one.data() == other.data()  # type: ignore[attr-defined]


def test_photographs_are_references_where_they_are_named(
    face_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    portraits, root = tmp_path / "portraits", tmp_path / "equime"
    portraits.mkdir()
    for number in (3, 4, 10):
        shutil.copy(FACES / f"synthetic_{number:02d}.png", portraits)
    source = make_source("folder", portraits=portraits, face_model=face_model)
    assert build(root, Request(small_profile(emotions=("surprise",), ablations=0), source))
    facts = command(capsys, root)
    assert facts["missing"] == [
        "psnr_portrait_db, ssim_portrait stay null: name the folder of source folder with --portraits"
    ]
    assert facts["metrics"]["psnr_portrait_db"]["null"] == facts["clips"]
    facts = command(capsys, root, "--portraits", portraits)
    assert facts["missing"] == []
    assert facts["metrics"]["psnr_portrait_db"]["null"] == 0
    assert facts["metrics"]["psnr_portrait_db"]["mean"] > 25
    with pytest.raises(ValueError, match=r"none of the photographs that .* was made of can be read there"):
        command(capsys, root, "--portraits", tmp_path)


def test_any_folder_of_videos_and_frames(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = command(capsys, clips)
    assert facts["clips"] == 4 and facts["failed"] == []
    rows = [json.loads(line) for line in Path(facts["record"]).read_text().splitlines()[1:]]
    assert {row["name"]: row["quality"]["frames"] for row in rows} == {
        "fear/a.mp4": 6, "fear/b.mp4": 5, "frames/one": 3, "frames/two": 3,
    }  # fmt: skip
    assert all(row["quality"]["values"]["psnr_portrait_db"] is None for row in rows)
    assert Path(facts["record"]) == clips.with_name("clips-quality.jsonl")


def test_frames_are_taken_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = frame_folder(tmp_path / "clip", frames=4)  # img8, img9, img10, img11
    (group,) = folder_groups(folder, fps=25.0)
    assert group.clips[0].name == "clip"
    assert np.array_equal(np.concatenate(list(group.clips[0].chunks(1))), footage(4))
    assert group.clips[0].facts().duration_s == 4 / 25


def test_pictures_of_a_clips_name_are_its_portrait(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    portraits = tmp_path / "portraits"
    portraits.mkdir()
    cv2.imwrite(str(portraits / "a.png"), footage(1)[0][..., ::-1])
    (portraits / "b.txt").write_text("a caption, no portrait")
    facts = command(capsys, clips, "--portraits", portraits)
    assert facts["metrics"]["psnr_portrait_db"]["clips"] == 1
    assert facts["noted"] == []


def test_a_dot_in_a_folders_name_begins_no_suffix(tmp_path: Path) -> None:
    frame_folder(tmp_path / "clips/s01.happy.01")
    write_video(tmp_path / "clips/s01.happy.02.mp4", footage(2))
    portraits = [tmp_path / f"portraits/s01.{name}.png" for name in ("happy", "happy.01", "happy.02")]
    portraits[0].parent.mkdir()
    for path in portraits:
        path.touch()
    groups = folder_groups(tmp_path / "clips", fps=25.0, portraits=portraits[0].parent)
    found = [group.portrait.path for group in groups if isinstance(group.portrait, PortraitPicture)]
    assert found == [portraits[2], portraits[1]]


def test_a_broken_portrait_costs_its_clips_what_is_compared_with_it(
    clips: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    portraits = tmp_path / "portraits"
    portraits.mkdir()
    encoded = cv2.imencode(".png", footage(1)[0][..., ::-1])[1].tobytes()
    for name in "ab":
        (portraits / f"{name}.png").write_bytes(encoded if name == "a" else encoded[:100])
    app(["metrics", str(clips), "--portraits", str(portraits), "--workers", "1", "--json"], standalone_mode=False)
    out, err = capfd.readouterr()
    facts = json.loads(out)
    assert facts["noted"] == [{"clip": "fear/b.mp4", "notes": ["portrait: b.png: is no picture that can be read"]}]
    assert facts["failed"] == [] and facts["metrics"]["psnr_portrait_db"]["clips"] == 1
    assert all(line.startswith("measuring: ") for line in err.splitlines()), "and not OpenCV's words"
    job = Job(find_weights())
    assert "fear/b.mp4" not in record_of(Path(facts["record"]), job).findings(), "it is tried again"


def test_hidden_files_are_no_clips_and_no_frames(clips: Path, tmp_path: Path) -> None:
    names = [group.clips[0].name for group in folder_groups(clips, fps=25.0)]
    for name in ("frames/one/._img8.png", "fear/._a.mp4", ".cache/a.png"):
        (clips / name).parent.mkdir(exist_ok=True)
        (clips / name).write_bytes(b"of a Mac")
    groups = folder_groups(clips, fps=25.0)
    assert [group.clips[0].name for group in groups] == names
    assert groups[2].clips[0].facts().duration_s == 3 / 25


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_every_container_tells_its_duration(tmp_path: Path, suffix: str) -> None:
    write_video(tmp_path / f"a{suffix}", footage(12))
    (group,) = folder_groups(tmp_path, fps=25.0)
    assert group.clips[0].facts().duration_s == pytest.approx(12 / 24, abs=0.05)


def test_published_tables_are_written(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = command(capsys, clips, "--published", "equime")
    table, summary = (Path(path) for path in facts["tables"])
    assert (table.name, summary.name) == ("video_metrics_clips.csv", "summary_video_metrics_clips.csv")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["video_path"] for row in rows] == ["fear/a.mp4", "fear/b.mp4", "frames/one", "frames/two"]
    capture = cv2.VideoCapture(str(clips / "fear/a.mp4"))
    duration = capture.get(cv2.CAP_PROP_FRAME_COUNT) / capture.get(cv2.CAP_PROP_FPS)
    size = (clips / "fear/a.mp4").stat().st_size
    assert float(rows[0]["duration_s"]) == pytest.approx(duration)
    assert float(rows[0]["bitrate_kbps"]) == pytest.approx(size * 8 / duration / 1000)
    assert facts["metrics"].keys() == set(PUBLISHED)
    values = {row["metric"]: row["value"] for row in csv.DictReader(summary.read_text().splitlines())}
    assert float(values["avg_psnr"]) == pytest.approx(np.mean([float(row["psnr_mean"]) for row in rows]))


def test_published_figures_of_a_dataset_do_not_enter_it(
    few: Path, copy_of: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = copy_of(few)
    facts = command(capsys, root, "--published", "miex")
    assert not (root / "annotations").exists()
    with open(facts["tables"][0]) as file:
        assert [row["directory"] for row in csv.DictReader(file)] == pq.read_table(root / "index.parquet")[
            "key"
        ].to_pylist()


def test_bad_files_cost_themselves(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = (clips / "fear/a.mp4").read_bytes()
    (clips / "fear/cut.mp4").write_bytes(good[: len(good) // 2])
    (clips / "fear/empty.mp4").touch()
    (clips / "fear/text.mov").write_text("no video")
    (clips / "frames/one/img9.png").write_bytes(b"no picture")
    frame_folder(clips / "frames/odd")
    cv2.imwrite(str(clips / "frames/odd/img99.png"), np.zeros((50, 50, 3), np.uint8))
    facts = command(capsys, clips)
    assert [row["clip"] for row in facts["failed"]] == [
        "fear/cut.mp4", "fear/empty.mp4", "fear/text.mov", "frames/odd", "frames/one",
    ]  # fmt: skip
    reasons = {row["clip"]: row["reason"] for row in facts["failed"]}
    assert reasons["frames/one"] == "img9.png: is no picture that can be read"
    assert reasons["frames/odd"] == "a frame has 50 x 50 pixels, the first 96 x 72"
    assert all(reasons.values())
    assert facts["metrics"]["ssim"]["clips"] == 3
    write_video(clips / "fear/empty.mp4", footage(3))
    assert "fear/empty.mp4" not in {row["clip"] for row in command(capsys, clips)["failed"]}


def test_missing_weights_leave_the_others(
    clips: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    facts = command(capsys, clips)
    assert [line[:22] for line in facts["missing"]] == ["clip_iqa stays null: C"]
    assert facts["metrics"]["clip_iqa"]["clips"] == 0
    assert facts["metrics"]["brisque"]["clips"] == 4
    for options in (["--brisque-weights", str(tmp_path / "none.pt")], ["--clip-weights", str(tmp_path)]):
        with pytest.raises(ValueError, match="does not exist"):
            command(capsys, clips, *options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--published", "x"], "--published 'x' must be one of equime, miex, corpora"),
        (["--fps", "0"], "--fps 0.0 must be above 0"),
        (["--device", "tpu"], "--device 'tpu' must be cpu, or cuda"),
    ],
)
def test_mistakes_are_named(
    clips: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        command(capsys, clips, *arguments)


def test_a_folder_without_clips_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FolderError, match="holds no video and no folder of pictures"):
        command(capsys, tmp_path)


# --- resuming


def test_what_is_measured_is_not_measured_again(clips: Path, tmp_path: Path) -> None:
    record, job = tmp_path / "record.jsonl", Job(find_weights())
    seen: list[tuple[int, int]] = []
    first = run(folder_groups(clips, fps=25.0), job, record, progress=lambda *counts: seen.append(counts))
    assert seen == [(number, 4) for number in range(5)]
    lines = record.read_text().splitlines(keepends=True)
    record.write_text("".join(lines[:3]) + lines[3][:20])  # killed in the third clip's line
    seen.clear()
    assert run(folder_groups(clips, fps=25.0), job, record, progress=lambda *counts: seen.append(counts)) == first
    assert seen == [(2, 4), (3, 4), (4, 4)]
    write_video(clips / "fear/a.mp4", footage(4, seed=5))
    seen.clear()
    assert run(folder_groups(clips, fps=25.0), job, record, progress=lambda *counts: seen.append(counts)) != first
    assert seen == [(3, 4), (4, 4)]


def test_another_way_of_measuring_begins_anew(clips: Path, tmp_path: Path) -> None:
    record, job = tmp_path / "record.jsonl", Job(find_weights())
    run(folder_groups(clips, fps=25.0), job, record)
    assert len(record_of(record, job).findings()) == 4
    assert record_of(record, Job(find_weights(), published=True)).findings() == {}
    notes = tmp_path / "notes.txt"
    notes.write_text("precious")
    with pytest.raises(FolderError, match=r"notes\.txt: is no record of measurements .* name another with --out"):
        run(folder_groups(clips, fps=25.0), job, notes)
    assert notes.read_text() == "precious"


def test_two_workers_measure_what_one_does(few: Path, tmp_path: Path) -> None:
    groups = dataset_groups(few, ProceduralSource(), together=1)[:3]
    job = Job(find_weights())
    alone = run(groups, job, tmp_path / "one.jsonl")
    together = run(groups, job, tmp_path / "two.jsonl", workers=2)
    assert [outcome.name for outcome in together] == [outcome.name for outcome in alone]
    for one, other in zip(alone, together, strict=True):
        assert one.quality is not None and other.quality is not None
        assert dict(one.quality.values) == pytest.approx(dict(other.quality.values), rel=1e-5)


def test_a_killed_run_goes_on(few: Path, copy_of: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]) -> None:
    root = copy_of(few)
    record = root.with_name("equime-quality.jsonl")
    arguments = [sys.executable, "-m", "equime_builder", "metrics", str(root), "--workers", "1"]
    child = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
    while child.poll() is None and not (record.exists() and record.read_text().count("\n") > 2):
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    kept = record.read_text().count("\n") - 1
    assert kept >= 2
    facts = command(capsys, root)
    assert facts["metrics"]["ssim"]["clips"] == facts["clips"] > kept
    assert verify(root) == []
