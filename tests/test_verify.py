"""`verify` finds every fault that is tried, and `repair` brings the same bytes back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import FACES, small_profile, tree
from faults import FAULTS

from equime_builder.build import Request, build
from equime_builder.cli import app
from equime_builder.manifest import FolderError
from equime_builder.repair import repair
from equime_builder.requests import make_source
from equime_builder.sources.drawn import ProceduralSource
from equime_builder.verify import verify
from equime_loader.files import file_sha256


def test_a_complete_folder_has_no_fault(built: Path) -> None:
    assert verify(built) == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_repaired(name: str, built: Path, copy_of: Callable[[Path], Path]) -> None:
    root = copy_of(built)
    FAULTS[name](root, np.random.default_rng(7))
    assert tree(root) != tree(built)
    faults = verify(root)
    assert faults, name
    assert all(fault.path and fault.message for fault in faults)
    assert repair(root, ProceduralSource())
    assert tree(root) == tree(built)


def test_a_file_that_cannot_be_read_is_a_fault_and_the_rest_is_checked(
    built: Path, copy_of: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copy_of(built)
    secret, cut = root / "wds/train-00000.tar", root / "wds/test-00000.tar"
    cut.write_bytes(cut.read_bytes()[:-1024])

    def read(path: Path) -> str:
        if path == secret:
            raise PermissionError(13, "Permission denied", str(path))
        return file_sha256(path)

    monkeypatch.setattr("equime_builder.verify.file_sha256", read)
    assert [str(fault).partition(" bytes")[0] for fault in verify(root)] == [
        "wds/train-00000.tar: cannot be read: Permission denied",
        f"wds/test-00000.tar: {cut.stat().st_size}",
    ]


def test_a_stray_file_is_set_aside_and_not_deleted(
    built: Path, copy_of: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copy_of(built)
    for word in ("mine", "again", "third"):
        (root / "wds/notes.tmp").write_text(word)
        (root / ".half.tmp").touch()
        assert [str(fault) for fault in verify(root)] == [
            ".half.tmp: left by an interrupted build",
            "wds/notes.tmp: does not belong here",
        ]
        monkeypatch.chdir(root)
        repair(Path(), ProceduralSource())
        assert not verify(root)
    names = {path.name: path.read_text() for path in (root.with_name("equime-stray") / "wds").iterdir()}
    assert names == {"notes.tmp": "mine", "notes.tmp.1": "again", "notes.tmp.2": "third"}


def test_the_fault_says_where(built: Path, copy_of: Callable[[Path], Path]) -> None:
    root = copy_of(built)
    path = sorted(root.glob("wds/test-*.tar"))[0]
    path.write_bytes(path.read_bytes()[:-1024])
    messages = [str(fault) for fault in verify(root)]
    assert any(message.startswith(f"wds/{path.name}: ") and "committed" in message for message in messages)


def test_a_plan_that_was_edited_is_not_taken_for_the_truth(built: Path, copy_of: Callable[[Path], Path]) -> None:
    root = copy_of(built)
    path = root / "__manifest__/plan.json"
    header = json.loads(path.read_text())
    header["seed"] = 99
    path.write_text(json.dumps(header, indent=1) + "\n")
    with pytest.raises(FolderError, match=r"plan\.json was edited, and what it asks for is not what the shards"):
        repair(root, ProceduralSource())
    assert tree(root).keys() - {"__manifest__/locks/build.lock"} == tree(built).keys()


def test_a_dataset_of_photographs_is_repaired_with_its_portraits_alone(face_model: Path, tmp_path: Path) -> None:
    """What was asked of the source stands in the plan; only where the photographs lie does not."""
    portraits, root = tmp_path / "portraits", tmp_path / "equime"
    portraits.mkdir()
    for number in (3, 4, 10):
        shutil.copy(FACES / f"synthetic_{number:02d}.png", portraits)
    source = make_source("folder", portraits=portraits, face_model=face_model, limit=2)
    assert build(root, Request(small_profile(emotions=("surprise",)), source))
    before = tree(root)
    header = json.loads(before["__manifest__/plan.json"])
    assert header["source_options"]["limit"] == 2
    assert str(tmp_path).encode() not in before["__manifest__/plan.json"]
    (root / "__manifest__/clips.parquet").unlink()
    next(root.glob("wds/*.tar")).unlink()
    options = ["--repair", "--portraits", str(portraits), "--face-model", str(face_model), "--workers", "1"]
    app(["verify", str(root), *options], standalone_mode=False)
    assert tree(root) == before


def test_a_folder_without_a_plan_is_named(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"__manifest__/plan\.json: missing"):
        verify(tmp_path)
