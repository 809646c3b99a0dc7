"""The comparison of loaders: its answer is well formed, and whoever does other work is found out."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import small_request

from equime_builder.build import build

torch = pytest.importorskip("torch")
SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
NAMES = ["equime_folder", "equime_cached", "bare_libavcodec", "plain_pyav"]
CLIPS = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("benchmark") / "equime"
    assert build(root, small_request(formats=("webdataset",), size=256, frames=96, subjects=3))
    return root


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the clips are laid out once, for runs of which each leaves them as they are."""
    return tmp_path_factory.mktemp("laid-out")


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module; its peers find each other as they do when they run alone."""
    monkeypatch.syspath_prepend(str(SCRIPTS / "peers"))
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield importlib.import_module("benchmark_loaders")
    here = [name for name, module in sys.modules.items() if str(SCRIPTS) in str(getattr(module, "__file__", ""))]
    for name in here:
        del sys.modules[name]


def in_this_process(change: Any = None) -> Any:
    """Carry out jobs here. `change` stands between a peer's loader and the harness."""

    def launch(peer: Any, job: dict[str, Any]) -> dict[str, Any]:
        harness, module = importlib.import_module("harness"), importlib.import_module(peer.name)
        opened = module.open_loader
        if change is not None:
            altered = SimpleNamespace(
                SETTINGS=module.SETTINGS,
                write=module.write,
                open_loader=lambda *given, **settings: change(harness, opened(*given, **settings)),
            )
            module = altered
        return json.loads(json.dumps(harness.carry_out(module, harness.Job(**job))))

    return launch


def compare(runner: Any, folder: Path, work: Path, names: list[str], change: Any = None) -> dict[str, Any]:
    tuned = {f"{name}/{encoding}": {} for name in names for encoding in ("default", "ours")}
    tuned |= {name: {"decoder": "pyav"} for name in tuned if name.startswith("plain_pyav")}
    return runner.compare(
        folder, work, names, clips=CLIPS, rounds=2, environments=work, launch=in_this_process(change), tuned=tuned
    )


def test_the_answer_is_well_formed(runner: Any, folder: Path, tmp_path: Path) -> None:
    measured = compare(runner, folder, tmp_path, [*NAMES, "spdl_pipeline"])
    assert json.loads(json.dumps(measured)) == measured
    assert measured["clips"] == CLIPS
    assert "install.py spdl" in measured["absent"]["SPDL"], "a peer that is not installed is listed, with the reason"
    assert measured["kilobytes"]["default"] < measured["kilobytes"]["ours"]
    entries = [(run["round"], run["peer"], run["encoding"]) for run in measured["runs"]]
    assert len(set(entries)) == len(entries) == 2 * (2 + 2 + 2)
    assert entries[:6] != [(0, *entry[1:]) for entry in entries[6:]], "the order changes from round to round"
    for run in measured["runs"]:
        assert [epoch["clips"] for epoch in run["epochs"]] == [CLIPS, CLIPS]
        assert all(epoch["rate"] > 0 and epoch["first_batch_s"] > 0 for epoch in run["epochs"])
        if run["peer"] != "bare_libavcodec":
            assert all(agreement["worst"] < 2.5 for agreement in run["agreement"])
    report = importlib.import_module("peers.report")
    table = report.markdown(measured)
    assert "first epoch, threads / best peer on default encoding (PyAV + threads)" in table
    assert "| SPDL | absent: " in table
    assert json.loads(report.as_json(measured)) == measured
    report.draw(measured, tmp_path / "loaders.png")
    assert (tmp_path / "loaders.png").stat().st_size > 10_000


def one_frame_late(frames: torch.Tensor) -> torch.Tensor:
    return torch.cat([frames[:, 1:], frames[:, -1:]], dim=1)


def another_clip(frames: torch.Tensor) -> torch.Tensor:
    return frames.roll(1, dims=0)


@pytest.mark.parametrize(
    ("keys_of", "frames_of", "message"),
    [
        (lambda keys: keys, one_frame_late, "one frame off"),
        (lambda keys: keys, another_clip, "gray levels"),
        (lambda keys: keys, lambda frames: frames // 2, "gray levels"),
        (lambda keys: [*keys[:-1], keys[0]], lambda frames: frames, "1 clips missing, 1 not asked for or given twice"),
        (lambda keys: keys[:-1], lambda frames: frames[:-1], "1 clips missing, 0 not asked"),
        (lambda keys: keys, lambda frames: frames[..., ::2], "not \\(5, 16, 3, 112, 112\\)"),
        (lambda keys: keys, lambda frames: frames.float(), "float32"),
    ],
)
def test_other_work_is_refused(
    runner: Any, folder: Path, laid_out: Path, keys_of: Any, frames_of: Any, message: str
) -> None:
    def tampered(harness: Any, loader: Any) -> Any:
        class Tampered:
            def __iter__(self) -> Iterator[Any]:
                for batch in loader:
                    yield harness.Batch(keys_of(batch.keys), frames_of(batch.frames))

        return Tampered()

    with pytest.raises(ValueError, match=message):
        compare(runner, folder, laid_out, ["plain_pyav"], tampered)


def test_more_clips_than_there_are(runner: Any, folder: Path) -> None:
    with pytest.raises(ValueError, match="clips=1000 must lie within"):
        runner.chosen(folder, 1000)


def test_bare_decoding_counts_its_frames(runner: Any, folder: Path, tmp_path: Path) -> None:
    work = runner.lay_out(folder, tmp_path, runner.chosen(folder, 1), "ours")
    clip = importlib.import_module("harness").read_clips(work.folder / "clips.jsonl")[0]
    bare = importlib.import_module("bare_libavcodec")
    assert bare.decode(clip) == clip.key
    late = importlib.import_module("harness").Clip(clip.key, clip.path, clip.frames - 4, clip.fps, clip.frames)
    with pytest.raises(ValueError, match="4 frames of the window, not 16"):
        bare.decode(late)
    assert np.array_equal(work.known[clip.key].shape, (18, 4, 112, 3))
