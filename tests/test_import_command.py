"""`equime import`, `--check`, and `verify --repair` of an imported folder, as a user runs them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import tree
from corpora import make_casme2

from equime_builder.cli import app
from equime_loader.corpora import CORPORA


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in of CASME II with all that is wrong in it."""
    root = tmp_path_factory.mktemp("copy")
    make_casme2.make(root, subjects=2)
    return root


@pytest.fixture(scope="module")
def imported(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("imported") / "casme2"
    run("import", "casme2", copy, root, "--workers", "1", "--json")
    return root


def run(*arguments: str | Path) -> None:
    app([str(argument) for argument in arguments], standalone_mode=False)


def test_check_compares_and_writes_nothing(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(copy)
    run("import", "casme2", copy, "--check")
    shown = capsys.readouterr().out
    assert "│ rows             │   255 │" in shown and "5 left out:" in shown and "clips would be imported" in shown
    assert "sub30/EP01_05: label 'delight' is none of" in shown
    assert tree(copy) == before


def test_check_as_json(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("import", "casme2", copy, tmp_path / "out", "--check", "--json")
    facts = json.loads(capsys.readouterr().out)
    assert facts["compared"][0] == {"what": "rows", "known": 255, "found": 18}
    assert facts["clips"] == 13 and sum(finding["left_out"] for finding in facts["findings"]) == 5
    assert not (tmp_path / "out").exists()


def test_import_says_what_became_of_the_rows(copy: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "equime_builder", "import", "casme2", copy, tmp_path / "out"]
    done = subprocess.run([*command, "--context", "0"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path / 'out'}: 13 clips of 5 subjects in 1 shard\n" in done.stdout
    assert "5 events left out; reasons in " in done.stdout
    assert "it must not be passed on or published" in done.stdout
    done = subprocess.run([*command, "--context", "5"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "context_ms: 5.0 asked, 0.0 planned" in done.stderr
    assert "Traceback" not in done.stderr


def test_corrections_bring_a_row_back(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = []
    lines = ["corpus,subject,clip,onset,field,value", "casme2,sub30,EP01_05,,label,disgust"]
    (tmp_path / "corrections.csv").write_text("\n".join(lines) + "\n")
    for extra in ([], ["--corrections", tmp_path / "corrections.csv"]):
        run("import", "casme2", copy, "--check", "--json", *extra)
        facts.append(json.loads(capsys.readouterr().out))
    assert facts[1]["clips"] == facts[0]["clips"] + 1


def test_verify_mends_with_the_copy(copy: Path, imported: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(imported, tmp_path / "casme2"))
    (root / "wds/train-00000.tar").unlink()
    (root / "events.parquet").unlink()
    with pytest.raises(ValueError, match="name the folder of your copy of casme2 with --corpus"):
        run("verify", root, "--repair")
    run("verify", root, "--repair", "--corpus", copy, "--workers", "1")
    assert tree(root) == tree(imported)
    run("verify", root)


def test_the_list_names_every_corpus(capsys: pytest.CaptureFixture[str]) -> None:
    run("import", "list", "--json")
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows} == set(CORPORA)
    assert all(row["title"] and row["source"] and row["citation"] for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["casme9", ".", "out"], "'casme9' must be one of casme2, samm,"),
        (["casme2"], "name the folder of your copy, and the dataset folder to write"),
        (["casme2", "."], "name the dataset folder to write, after .; or --check"),
        (["CASME2", ".", "--check"], "no annotation file such as CASME2-coding-20190701.xlsx; .* --sheet FILE"),
        (["dfme", ".", "--check"], "no annotation file such as train_full_with_AU.xlsx"),
        (["casme2", "--check"], "name the folder of your copy"),
        (["casme2", "nowhere", "out"], "nowhere"),
        (["casme2", ".", "out", "--context", "-1"], "context_ms=-1 must lie within"),
        (["casme2", ".", "out", "--formats", "zip"], "format 'zip' must be one of"),
    ],
)
def test_mistakes_are_said(arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, OSError), match=message):
        run("import", *arguments)
    assert not list(tmp_path.iterdir())


def test_commands_for_built_folders_refuse_in_a_line(imported: Path) -> None:
    for command in (["acceptance", imported], ["export", imported, "elsewhere"], ["audit", imported]):
        with pytest.raises(ValueError, match="was imported from casme2; this is for datasets that were built"):
            run(*command)
