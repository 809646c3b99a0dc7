"""Every script opens its door, and those that measure run at their smallest size."""

from __future__ import annotations

import importlib
import os
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import FACES, MODEL, small_profile

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
EXTRAS = {"diffusers", "piq", "playwright", "psutil", "ray", "torch", "transformers"}
# Peers that run where the product is installed; the others need environments of their own.
PEERS = (
    "install",
    "bare_libavcodec",
    "equime_cached",
    "equime_folder",
    "equime_processes",
    "equime_rendition",
    "plain_pyav",
)


def names() -> list[str]:
    own = [path for path in SCRIPTS.glob("*.py") if '__name__ == "__main__"' in path.read_text(encoding="utf-8")]
    return sorted({path.name for path in own}) + [f"peers/{name}.py" for name in PEERS]


class Runner:
    """Runs scripts in this process, as the command line would: most of their time is that of their imports."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capfd = monkeypatch, capfd
        monkeypatch.syspath_prepend(str(SCRIPTS))

    def __call__(self, name: str, *words: str | Path | int) -> tuple[Any, str, str]:
        """Exit code and what is written to standard output and standard error."""
        path = SCRIPTS / name
        self.monkeypatch.syspath_prepend(str(path.parent))
        self.monkeypatch.setattr(sys, "argv", [str(path), *map(str, words)])
        try:
            with pytest.raises(SystemExit) as ended:
                runpy.run_path(str(path), run_name="__main__")
        except ModuleNotFoundError as missing:
            if missing.name not in EXTRAS:
                raise
            pytest.skip(f"{name} needs {missing.name}, which is not installed")
        out, err = self.capfd.readouterr()
        return ended.value.code, out, err

    def printed(self, name: str, *words: str | Path | int) -> str:
        code, out, err = self(name, *words)
        assert not code, err
        return out

    def module(self, name: str) -> ModuleType:
        """A script as a module, to make it smaller than its command line can."""
        return importlib.import_module(name)


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    yield Runner(monkeypatch, capfd)
    for name, module in list(sys.modules.items()):
        if str(SCRIPTS) in str(getattr(module, "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize("name", names())
def test_a_script_tells_what_it_does_and_refuses_what_it_does_not_know(runner: Runner, name: str) -> None:
    told = runner.printed(name, "--help")
    assert told.lower().startswith(f"usage: {Path(name).name} ")
    code, out, err = runner(name, "--no-such-option")
    assert (code, out) == (2, "")
    assert any(words in err for words in ("No such option", "unrecognized arguments", "are required"))


def test_scripts_are_called_by_their_name() -> None:
    for path in SCRIPTS.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "    door.run(main)\n" in text or path.name == "install.py":
            assert os.access(path, os.X_OK), f"{path.name} is not executable"
            assert text.startswith("#!/usr/bin/env python3\n"), path.name


@pytest.mark.parametrize(
    ("name", "words", "told"),
    [
        ("measure_stillness.py", ("0",), "Invalid value for 'subjects': "),
        ("measure_stillness.py", ("1", "2"), "unexpected extra argument"),
        ("measure_index.py", ("many",), "Invalid value for 'rows': "),
        ("draw_apexes.py", ("nowhere", "x.png"), "'nowhere' does not exist"),
        ("draw_apexes.py", (SCRIPTS, "x.png"), "has no index.parquet"),
        ("measure_encoding.py", ("--presets", "fastest"), "'fastest' is none of veryfast, medium, slow"),
        ("import_stand_ins.py", ("samn",), "'samn' is none of casme2, samm, "),
    ],
)
def test_a_wrong_word_is_one_line(runner: Runner, name: str, words: tuple[str | Path, ...], told: str) -> None:
    code, out, err = runner(name, *words)
    assert (code, out) == (2, "")
    assert told in " ".join(err.split())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset leaves its tar open
def test_what_readers_are_shown(runner: Runner, built: Path, tmp_path: Path) -> None:
    for name in ("apexes.jpg", "apexes.png"):
        runner.printed("draw_apexes.py", built, tmp_path / name, 2)
        assert (tmp_path / name).stat().st_size > 10_000
    assert "12 clips" in runner.printed("load_three_ways.py", built)


@pytest.mark.parametrize(
    ("name", "words", "rows"),
    [
        ("benchmark_build.py", (1, 1), ["| build / encode |", "| one worker / two |", "| ms per clip |"]),
        ("measure_encoding.py", (1, "--presets", "veryfast"), ["| veryfast | 20 |", "| veryfast | 8 |"]),
        (
            "measure_index.py",
            (20_000, "--rounds", 1),
            ["| 20,000 | open |", "| 20,000 | balanced subset over gender x"],
        ),
        ("measure_memory.py", (7,), ["| 7 |"]),
        ("measure_stillness.py", (1,), ["7 clips;", "| as generated | 7 of 7 | inf | inf |", "| encoded |"]),
        ("read_stand_ins.py", ("smic_nir",), ["smic_nir"]),
        ("import_stand_ins.py", ("smic_nir",), ["| smic_nir | extended | 20 | 18 | 0 | 2 |"]),
    ],
)
def test_a_measurement_runs(runner: Runner, name: str, words: tuple[str | int, ...], rows: list[str]) -> None:
    printed = runner.printed(name, *words)
    assert all(row in printed for row in rows), printed


def test_measurements_of_reading_run(runner: Runner, built: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="batches need the extra `torch`")
    assert "| 100%, from the cache of ranges | 12 |" in runner.printed("measure_streaming.py", built, 1)
    assert "| windows read |" in runner.printed("measure_endurance.py", 48, built)
    runner.printed("draw_batch.py", built, tmp_path / "batch.png")
    assert (tmp_path / "batch.png").stat().st_size > 10_000


def test_the_measurement_of_order_runs(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    module = runner.module("measure_shuffle")
    monkeypatch.setattr(module, "GRID", module.GRID[:3])
    monkeypatch.setattr(module.speeds, "__defaults__", (10_000,))
    module.main(peer_python="no-such-python", seeds=1)
    printed = runner.capfd.readouterr().out
    assert "py1e is left out" in printed and "| 2000 | 20 | equal | 1 |" in printed and "| weighted |" in printed


def test_the_measurement_of_renditions_runs(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    module = runner.module("measure_rendition")
    monkeypatch.setattr(module, "load_profile", lambda name, **more: small_profile(emotions=("disgust",), **more))
    module.main(1, size=48)
    printed = runner.capfd.readouterr().out
    assert printed.startswith("1 clip\n") and "| clip |" in printed and "| rendition |" in printed


def test_measurements_of_generation_run_without_a_gpu(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="LTX-Video needs the extra `ltx`")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    printed = runner.printed("benchmark_ltx.py", "--rounds", 1, "--presets", "low_memory")
    assert "no GPU, so these figures tell nothing" in printed
    assert "| prompt mode, low_memory |" in printed and "low_memory: again True, alone True" in printed
    assert "same embeddings: True" in runner.printed("measure_ltx_parts.py", 1)


def test_the_measurement_of_signatures_runs(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, face_model: Path, tmp_path: Path
) -> None:
    module = runner.module("measure_signatures")
    monkeypatch.setattr(module, "INTENSITIES", (1.5,))
    module.main(face_model, 1, tmp_path / "signatures.csv")
    rows = [len(path.read_text().splitlines()) for path in (tmp_path / "signatures.csv", module.TABLE)]
    assert rows[0] == rows[1]


def test_the_measurement_of_the_audit_runs(runner: Runner, monkeypatch: pytest.MonkeyPatch, face_model: Path) -> None:
    module = runner.module("measure_audit")
    profile, kinds = module.load_profile, ("frozen clip", "wrong AU")
    monkeypatch.setattr(module, "load_profile", lambda name, **more: profile(name, emotions=("disgust",), **more))
    monkeypatch.setattr(module, "EXPRESSIVE_AUS", tuple(sorted(module.ALIKE)))
    monkeypatch.setattr(module, "signature_rows", lambda: iter(()))
    monkeypatch.setattr(module, "FAULTS", {kind: module.FAULTS[kind] for kind in kinds})
    module.main(face_model, None, 1, drawn=2)
    printed = runner.capfd.readouterr().out
    assert "| drawn | 2 | 0 |" in printed, "no good clip is rejected"
    assert all(f"| {kind} | 1 | 1 | 1 |" in printed for kind in kinds)
    assert "| clips of 128 frames, 256 px | encoding, ms | audit, ms | ratio |" in printed


@pytest.mark.skipif(not (FACES.is_dir() and MODEL.is_file()), reason="no photographs or no face landmark model")
def test_the_measurement_of_the_face_template_runs(runner: Runner, tmp_path: Path) -> None:
    assert "4 modes" in runner.printed("measure_face_template.py", FACES, MODEL, tmp_path / "template.npz")
