"""The command line: what it prints, its JSON, its exit codes, and one line for every mistake."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from equime_builder.__main__ import main
from equime_builder.cli import app
from equime_builder.commands.shared import count_shown, progress_bar
from equime_builder.models import MODELS

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def equime(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, in this process: its own would begin with half a second of imports."""

    def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["equime", *map(str, arguments)])
        if cwd is not None:
            monkeypatch.chdir(cwd)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return subprocess.CompletedProcess(arguments, ended.value.code or 0, *capsys.readouterr())

    return run


SMALL = ("--profile", "demo", "--subjects", "3", "--emotions", "happiness", "--size", "128", "--frames", "80")
ONE = ("--workers", "1")


def test_build_verify_preview_and_export(equime: Run, tmp_path: Path) -> None:
    root = tmp_path / "equime"
    done = equime("build", root, *SMALL, *ONE, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["complete"]
    assert facts["clips"] == 3
    assert equime("verify", root).stdout.strip() == f"{root}: every promise holds"
    done = equime("preview", root, "--out", tmp_path / "sheet.png", "--figures", tmp_path / "page.png", "--rows", "2")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sheet.png").stat().st_size > 10_000
    assert (tmp_path / "page.png").stat().st_size > 10_000
    assert equime("export", root, tmp_path / "folders").returncode == 0
    assert len(list((tmp_path / "folders/emotion_categories/happiness").glob("*.mp4"))) == 3


def test_a_part_is_said_to_be_a_part(equime: Run, tmp_path: Path) -> None:
    root = tmp_path / "equime"
    done = equime("build", root, *SMALL, *ONE, "--shards", "0")
    assert done.returncode == 0
    assert "1 of 2 shards still to be built" in done.stdout
    done = equime("verify", root)
    assert done.returncode == 1
    told = "fault: 1 shard is not committed, first validation-00000; run the build again, with the same options"
    assert done.stdout.splitlines() == [told, f"{root}: 1 fault found"]


def test_verify_names_faults_and_repairs(equime: Run, built: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(built, tmp_path / "equime"))
    sorted(root.glob("wds/*.tar"))[0].unlink()
    done = equime("verify", root, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["faults"][0]["message"] == "missing"
    (root / "notes.txt").touch()
    done = equime("verify", root, "--repair", "--workers", "1")
    assert done.returncode == 0
    aside = f"set aside in {root.resolve()}-stray: notes.txt"
    assert done.stdout.splitlines()[1:] == [aside, f"{root}: 2 faults repaired"]
    assert equime("verify", root).returncode == 0


def test_plan_prints_counts_time_and_disk(equime: Run) -> None:
    done = equime("plan", "--profile", "paper", "--json")
    facts = json.loads(done.stdout)
    assert facts["clips"] == 75_000
    assert facts["counts"]["emotion"] == dict.fromkeys(("happiness", "sadness", "surprise", "disgust", "anger"), 15_000)
    assert sum(facts["counts"]["split"].values()) == 75_000
    assert facts["estimated_minutes"] > 0
    assert facts["estimated_gigabytes"] > 0


def test_a_dry_run_writes_nothing(equime: Run, tmp_path: Path) -> None:
    done = equime("build", tmp_path / "equime", *SMALL, "--dry-run")
    assert done.returncode == 0
    assert "clips: 3" in done.stdout
    assert not (tmp_path / "equime").exists()


def test_models_lists_what_is_needed(equime: Run) -> None:
    rows = {row["name"]: row for row in json.loads(equime("models", "--json").stdout)}
    assert set(rows) == set(MODELS)
    row = rows["face-landmarker"]
    model = MODELS["face-landmarker"]
    assert row["sha256"] == model.sha256
    assert row["variable"] == "EQUIME_FACE_MODEL"
    command = [sys.executable, "-W", "error", "-m", "equime_builder", "models"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert model.sha256 in text
    assert model.license in text
    sizes = [line.split(": ")[1] for line in text.splitlines() if line.lstrip().startswith("size:")]
    assert sizes[0] == "3.8 MB" and "about 28 GB" in sizes and "about 4 kB" in sizes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build"], "Missing argument 'folder'; see `equime build --help`"),
        (["build", "my", "set"], "unexpected extra argument(s) (set); see `equime build --help`"),
        (["build", "out", "--subjects", "ten"], "Invalid value for '--subjects': "),
        (["build", "out", "--frobnicate"], "No such option: --frobnicate"),
        (["verfy"], "No such command 'verfy'. Did you mean 'verify'?"),
        (["models", "--fetch"], "Option '--fetch' requires an argument"),
        (["bench"], "Missing command; see `equime bench --help`"),
        (["build", "out", "--emotions", "joy"], "--emotions joy: each must be one of happiness"),
        (["build", "out", "--frames", "40"], "--frames 40 must be at least"),
        (["build", "out", "--size", "250"], "--size 250 must be a multiple of 16"),
        (["build", "out", "--fps", "3"], "--fps 3.0 must be a whole number within 12..500"),
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
        (["verify", "nothing"], "nothing: no such folder"),
        (["preview", "nothing"], "nothing: no such folder"),
        (["export", "nothing", "out"], "nothing: no such folder"),
        (["audit", "nothing"], "nothing: no such folder"),
        (["acceptance", "nothing"], "nothing: no such folder"),
        (["review", "nothing"], "nothing: no such folder"),
        (["bench", "loader", "nothing"], "nothing: no such folder"),
        (["metrics", "nothing"], "nothing: no such folder"),
        (["models", "--fetch", "gpt"], "model 'gpt' must be one of face-landmarker"),
    ],
)
def test_a_mistake_is_one_line(equime: Run, arguments: list[str], message: str, tmp_path: Path) -> None:
    done = equime(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert not list(tmp_path.iterdir())


COMMANDS = ["verify", "preview", "acceptance", "bench loader", "review", "export", "audit", "card", "site", "publish"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_is_no_dataset_is_told(command: str, built: Path, tmp_path: Path) -> None:
    rest = {"export": [str(tmp_path / "out")], "site": [str(tmp_path / "out")], "publish": ["org/name", "--dry-run"]}

    def told(folder: Path) -> str:
        with pytest.raises(ValueError) as raised:
            app([*command.split(), str(folder), *rest.get(command, [])])
        return str(raised.value).removeprefix(f"{folder}: ")

    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    shutil.copytree(built / "__manifest__", tmp_path / "part/__manifest__")
    assert told(tmp_path / "nothing") == "no such folder"
    assert told(tmp_path / "file") == "a file, not a folder"
    assert told(tmp_path / "empty").startswith("no EquiME dataset")
    if command not in ("verify", "audit", "publish"):
        assert told(tmp_path / "part").startswith("has no index.parquet; finish the build first, with the options")
    if command != "audit":
        assert told(tmp_path) == f"no EquiME dataset, but {tmp_path / 'part'} is one"


@pytest.mark.parametrize("command", ["build", "verify", "card"])
def test_a_folder_whose_name_is_no_unicode_is_told(equime: Run, command: str, tmp_path: Path) -> None:
    done = equime(command, os.fsdecode(b"x\xff"), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: x\\udcff: a name that is not UTF-8; choose another\n"
    assert not list(tmp_path.iterdir())


def cut(built: Path, tmp_path: Path) -> Path:
    """A copy of a dataset whose first tar ends too early."""
    root = Path(shutil.copytree(built, tmp_path / "cut"))
    tar = sorted(root.glob("wds/train-*.tar"))[0]
    tar.write_bytes(tar.read_bytes()[:5000])
    return root


def test_a_tar_that_was_cut_is_named(equime: Run, built: Path, tmp_path: Path) -> None:
    root = cut(built, tmp_path)
    done = equime("preview", root, "--out", tmp_path / "sheet.png")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {root / 'wds/train-00000.tar'}: ends at byte 5000, ")
    assert done.stderr.endswith("mend it with `equime verify --repair`\n")


def test_a_file_that_ends_too_early_is_no_ctrl_d(monkeypatch: pytest.MonkeyPatch, built: Path) -> None:
    def end(*_: object, **__: object) -> None:
        raise EOFError("no data left")

    monkeypatch.setattr("equime_builder.preview.contact_sheet", end)
    with pytest.raises(
        ValueError, match=r"^a file ends too early \(no data left\); `equime verify FOLDER` tells which$"
    ):
        app(["preview", str(built)])


@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_the_bench_names_what_is_damaged(equime: Run, damage: str, built: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the bench needs the extra `torch`")
    root = cut(built, tmp_path)
    if damage == "missing":
        (root / "wds/train-00000.tar").unlink()
    done = equime("bench", "loader", root, "--rounds", "1")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "wds/train-00000.tar" in done.stderr.splitlines()[-1]


def test_a_picture_goes_into_a_folder_that_is_there(equime: Run, built: Path, tmp_path: Path) -> None:
    done = equime("preview", built, "--out", "no/such.png", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: no/such.png: there is no folder no; make it first, or name another\n"
    done = equime("preview", ".", cwd=built)  # which nothing may be added to
    assert done.stderr == "error: --out preview.png lies inside the dataset folder; name a place beside it\n"


def test_a_file_that_cannot_be_written_is_named(built: Path, tmp_path: Path) -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500));"
        "from equime_builder.__main__ import main; main()"
    )
    for arguments, file in ((["preview", built, "--out", "a.png"], "a.png"), (["export", built, "out"], "out/")):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: {file}")
        assert done.stderr.endswith(": larger than files may be here; name another place\n")


def test_ctrl_c_while_the_command_is_imported_is_one_line() -> None:
    code = """if True:
        import sys
        class CtrlC:
            def find_spec(self, name, path=None, target=None):
                if name == "typer":
                    raise KeyboardInterrupt
        sys.meta_path.insert(0, CtrlC())
        from equime_builder.__main__ import main
        main()"""
    done = subprocess.run([sys.executable, "-c", code, "models"], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr == "stopped; what is committed is kept, run the same command to go on\n"


def test_clips_are_counted_in_a_log(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((0.0, 0.0, 3.0, 15.0, 20.0, 26.0))
    monkeypatch.setattr("equime_builder.commands.shared.time.monotonic", lambda: next(times))
    with progress_bar(False) as bar:
        show = count_shown(bar, bar.add_task("measuring", total=None, rate=""), False)
        for done in (0, 1, 2, 3, 4):
            show(done, 4)
    assert capsys.readouterr().err.splitlines() == [
        "measuring: 0 of 4 clips, 0.0 minutes",
        "measuring: 2 of 4 clips, 0.2 minutes",
        "measuring: 4 of 4 clips, 0.4 minutes",
    ]


def test_without_a_command_help_is_shown(equime: Run) -> None:
    done = equime()
    assert done.returncode == 0
    assert "Usage: equime" in done.stdout
