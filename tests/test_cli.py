"""The command line: what it prints, its JSON, its exit codes, and one line for every mistake."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from equime_builder.models import MODELS


def equime(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "equime_builder", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


SMALL = ("--profile", "demo", "--subjects", "3", "--emotions", "happiness", "--size", "128", "--frames", "80")


def test_build_verify_preview_and_export(tmp_path: Path) -> None:
    root = tmp_path / "equime"
    done = equime("build", root, *SMALL, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["complete"]
    assert facts["clips"] == 3
    assert equime("verify", root).stdout.strip() == f"{root}: every promise holds"
    done = equime("preview", root, "--out", tmp_path / "sheet.png", "--figures", tmp_path / "page.png", "--rows", "2")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sheet.png").stat().st_size > 10_000
    assert (tmp_path / "page.png").stat().st_size > 10_000
    assert equime("export", root, tmp_path / "folders", "--layout", "folders").returncode == 0
    assert len(list((tmp_path / "folders/emotion_categories/happiness").glob("*.mp4"))) == 3


def test_a_part_is_said_to_be_a_part(tmp_path: Path) -> None:
    root = tmp_path / "equime"
    done = equime("build", root, *SMALL, "--shards", "0")
    assert done.returncode == 0
    assert "shards are still to be built" in done.stdout
    assert equime("verify", root).returncode == 1


def test_verify_names_faults_and_repairs(built: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(built, tmp_path / "equime"))
    sorted(root.glob("wds/*.tar"))[0].unlink()
    done = equime("verify", root, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["faults"][0]["message"] == "missing"
    assert equime("verify", root, "--repair", "--workers", "1").returncode == 0
    assert equime("verify", root).returncode == 0


def test_plan_prints_counts_time_and_disk() -> None:
    done = equime("plan", "--profile", "paper", "--json")
    facts = json.loads(done.stdout)
    assert facts["clips"] == 75_000
    assert facts["counts"]["emotion"] == dict.fromkeys(("happiness", "sadness", "surprise", "disgust", "anger"), 15_000)
    assert sum(facts["counts"]["split"].values()) == 75_000
    assert facts["estimated_minutes"] > 0
    assert facts["estimated_gigabytes"] > 0


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    done = equime("build", tmp_path / "equime", *SMALL, "--dry-run")
    assert done.returncode == 0
    assert "clips: 3" in done.stdout
    assert not (tmp_path / "equime").exists()


def test_models_lists_what_is_needed() -> None:
    rows = {row["name"]: row for row in json.loads(equime("models", "--json").stdout)}
    assert set(rows) == set(MODELS)
    row = rows["face-landmarker"]
    model = MODELS["face-landmarker"]
    assert row["sha256"] == model.sha256
    assert row["variable"] == "EQUIME_FACE_MODEL"
    text = equime("models").stdout
    assert model.sha256 in text
    assert model.licence in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "out", "--emotions", "joy"], "emotions=joy: each must be one of happiness"),
        (["build", "out", "--frames", "40"], "frames=40 must be at least"),
        (["build", "out", "--size", "250"], "size=250 must be a multiple of 16"),
        (["build", "out", "--fps", "3"], "fps=3.0 must be a whole number within 12..500"),
        (
            ["build", "out", "--profile", "micr"],
            "profile 'micr' is neither shipped (demo, micro, paper, paper-selection, readme)",
        ),
        (["build", "out", "--source", "web"], "source 'web' must be one of procedural, folder, celeba-hq"),
        (["build", "out", "--source", "folder"], "source folder needs --portraits FOLDER"),
        (["build", "out", "--source", "folder", "--portraits", "nowhere"], "--portraits nowhere: no such folder"),
        (["build", "out", "--shards", "a-b"], "--shards 'a-b' must read like 3,7-9 or 2/16, or none"),
        (["build", "out", "--shards", "5/4"], "part 5 of 4 must lie within 1..4"),
        (["build", "out", "--executor", "spark"], "executor 'spark' must be local or ray"),
        (["build", "out", "--ray-address", "a:1"], "--ray-address a:1 goes with --executor ray"),
        (["build", "out", "--formats", "zip"], "format 'zip' must be one of webdataset, parquet, arrow"),
        (["build", "out", "--workers", "0"], "--workers 0 must lie within 1..256"),
        (["verify", "nothing"], "plan.json: missing"),
        (["preview", "nothing"], "nothing"),
        (["export", "nothing", "out"], "plan.json: missing"),
        (["models", "--fetch", "gpt"], "model 'gpt' must be one of face-landmarker"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = equime(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert not list(tmp_path.iterdir())


def test_an_unknown_option_is_a_usage_error() -> None:
    assert equime("build", "out", "--frobnicate").returncode == 2
