"""The README's Python runs as it stands, on another folder."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def snippet(marker: str) -> str:
    (found,) = (text for text in SNIPPETS if marker in text)
    return found


def run(code: str, folder: Path, where: Path) -> str:
    code = code.replace("quickstart/equime", folder.as_posix())
    done = subprocess.run([sys.executable, "-c", code], cwd=where, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_from_a_folder_to_a_batch(built: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="batches need the extra `torch`")
    told = run(snippet("equime.Loader(train"), built, tmp_path)
    assert told.startswith("(16, 3, 16, 112, 112) torch.uint8 [")
    lines = [line for line in snippet("equime.Loader(train").splitlines() if line.strip()]
    assert len(lines) <= 10, "the README promises ten lines"


def test_selections(built: Path, tmp_path: Path) -> None:
    opening = f"import equime_loader as equime\nclips = equime.open_dataset({str(built)!r})\n"
    assert "0 of 12 clips" in run(opening + snippet("micro.save"), built, tmp_path)
    assert (tmp_path / "micro.json").stat().st_size < 2000


def test_plain_webdataset_and_datasets(built: Path, tmp_path: Path) -> None:
    code = "import os; os.environ['HF_HOME'] = 'cache'\n" + snippet("webdataset.WebDataset(")
    assert "(80, 18)" in run(code, built, tmp_path)
