"""What went wrong, in one line: what the system refuses, with the path, and a package that is not installed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from equime_loader.error_lines import REFUSALS, as_typed, error_line
from equime_loader.extras import MissingExtra, needing
from equime_loader.files import replacing, write_atomic

TRAIN = "train --model.name flow --out run"

# Runs code where a package cannot be imported.
WITHOUT = """
import sys
class Without:
    package = sys.argv.pop(1)
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == self.package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Without())
"""


def without(package: str, code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT + code, package, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("line", "arguments", "shown"),
    [
        ("frames=40 must be at least 76", ["--size", "40", "--frames", "40"], "--frames 40 must be at least 76"),
        ("max_age='x y' is no age", ["--max-age=x y"], "--max-age 'x y' is no age"),
        ("data.seed=-1 must be 0", ["--data.seed", "-1"], "--data.seed -1 must be 0"),
        ("context_ms=-1 must lie within 0..9", ["--context", "-1"], "--context -1 must lie within 0..9"),
        ("acceptance.reserve=-1 must be 0", ["--reserve=-1"], "--reserve -1 must be 0"),
        ("frames=40 must be at least 76", ["--profile", "my.toml", "--seed", "40"], "frames=40 must be at least 76"),
        ("kind='four' must be one of", ["--data.classes", "four"], "--data.classes 'four' must be one of"),
        ("repository='foo' must read OWNER/NAME", ["publish", "set", "foo"], "'foo' must read OWNER/NAME"),
        ("target=a.gif: suffix", ["--out", "a.gif"], "--out a.gif: suffix"),
        ("target=a.gif: suffix", ["--out", "a.gif", "--sheet", "a.gif"], "target=a.gif: suffix"),
        ("frames=40 must be at least 76", ["--profile", "my.toml"], "frames=40 must be at least 76"),
        ("a.csv: no such file", ["--out", "a.csv"], "a.csv: no such file"),
    ],
)
def test_a_parameter_is_told_as_it_was_typed(line: str, arguments: list[str], shown: str) -> None:
    assert as_typed(line, arguments) == shown


@pytest.mark.parametrize("number", REFUSALS)
def test_a_refusal_names_path_and_remedy(number: int, tmp_path: Path) -> None:
    told = error_line(OSError(number, os.strerror(number), str(tmp_path / "a.png")))
    assert told == f"{tmp_path / 'a.png'}: {REFUSALS[number]}"
    assert "Errno" not in error_line(OSError(number, os.strerror(number)))


def test_a_folder_that_is_not_there_is_told_apart_from_a_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        write_atomic(tmp_path / "no/such.png", b"")
    assert error_line(raised.value) == (
        f"{tmp_path / 'no/such.png'}: there is no folder {tmp_path / 'no'}; make it first, or name another"
    )


def test_other_errors_keep_their_words_in_one_line() -> None:
    assert error_line(ValueError("one\n  two")) == "one two"
    assert error_line(ValueError()) == "ValueError"
    assert error_line(OSError("told by a library")) == "told by a library"


def test_a_file_that_pyarrow_names_is_named() -> None:
    said = "Failed to open local file '/data/index.parquet'. Detail: [errno 13] Permission denied"
    assert error_line(PermissionError(errno.EACCES, said)).startswith("/data/index.parquet: permission denied; ")


def test_a_name_that_is_no_unicode(tmp_path: Path) -> None:
    path = os.fsdecode(bytes(tmp_path) + b"/\xff")
    with pytest.raises(UnicodeEncodeError) as raised:
        path.encode()
    assert error_line(raised.value) == rf"{tmp_path}/\udcff: a name that is not UTF-8; rename it"


def test_the_target_is_named_and_not_the_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    with pytest.raises(OSError) as raised, replacing(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert error_line(raised.value) == f"{target}: the disk is full; make room, then run the command again"
    with pytest.raises(PermissionError) as raised, replacing(target) as temporary:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(temporary))
    assert raised.value.filename == str(target)
    with pytest.raises(PermissionError) as raised, replacing(target):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "another")
    assert raised.value.filename == "another"


def test_only_what_an_extra_brings_is_named_as_missing() -> None:
    with pytest.raises(MissingExtra) as raised, needing("train", "training"):
        raise ModuleNotFoundError("No module named 'captum.attr'", name="captum.attr")
    assert str(raised.value) == "training needs captum; install it with: pip install 'equime[train]'"
    with pytest.raises(ModuleNotFoundError, match=r"^another$"), needing("torch", "Loader"):
        raise ModuleNotFoundError("another", name="another")


@pytest.mark.parametrize("name", ["Loader", "ClipDataset", "balance"])
def test_what_needs_torch_names_the_extra(name: str) -> None:
    done = without("torch", f"import equime_loader; equime_loader.{name}")
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith(f"equime_loader.{name} needs torch; install it with: pip install 'equime[torch]'")


def test_the_bench_needs_torch(built: Path) -> None:
    code = "from equime_builder.__main__ import main; main()"
    done = without("torch", code, "bench", "loader", built)
    assert done.returncode == 1
    assert done.stderr == "error: equime bench loader needs torch; install it with: pip install 'equime[torch]'\n"


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("jsonargparse", ["--help"]),
        ("jsonargparse", ["train", "--out", "run"]),
        ("torch", ["ceiling", "--on.built", "FOLDER"]),
        ("sklearn", ["ceiling", "--on.built", "FOLDER", "--folds", "2"]),
        ("torch", ["train", "--model.name", "baseline", "--data.train.built", "FOLDER", "--out", "run"]),
        ("accelerate", ["train", "--model.name", "baseline", "--data.train.built", "FOLDER", "--out", "run"]),
    ],
)
def test_training_names_its_extra(package: str, arguments: list[str], built: Path) -> None:
    code = "from training.__main__ import main; sys.exit(main())"
    done = without(package, code, *(built if argument == "FOLDER" else argument for argument in arguments))
    assert done.returncode == 1, done.stdout
    assert done.stderr == f"error: training needs {package}; install it with: pip install 'equime[train]'\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("train", "train needs --model.name, --out; see `python -m training train --help`"),
        ("report", "report needs runs, --out; see `python -m training report --help`"),
        ("train --bad 1", "unrecognized arguments: --bad 1"),
        ("trian", "argument command: invalid choice: 'trian' (choose from 'ceiling', "),
        ("train --config nope.yaml --out run", "--config: File does not exist: "),
        ("train --config list --out run", "--config: is no YAML of names with values"),
        (f"{TRAIN} --data.train FOLDER", "--data.train FOLDER must be values by name: --data.train.NAME VALUE"),
        (f"{TRAIN} --optimization.epochs ten", "--optimization.epochs ten must be a whole number"),
        (f"{TRAIN} --optimization.epochs 0", "--optimization.epochs 0 must be at least 1"),
        (f"{TRAIN} --data.split drwn", "--data.split drwn must be one of 'drawn', 'given'"),
        (f"{TRAIN} --data.train.a nowhere", "nowhere: no such folder"),
        ("report nowhere --out page --resamples many", "--resamples many must be a whole number"),
        ("report nowhere --out page", "nowhere: is no run folder"),
    ],
)
def test_a_wrong_call_of_training_is_one_line(
    arguments: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jsonargparse", reason="training needs the extra `train`")
    from training.__main__ import main

    (tmp_path / "list").write_text("- 3")
    monkeypatch.chdir(tmp_path)
    assert main(arguments.split()) == 1
    said = capsys.readouterr()
    assert not said.out and said.err.startswith(f"error: {told}") and said.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["list"]
