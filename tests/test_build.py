"""A build resumes, can be divided in any way, refuses what it must, and always makes the same bytes."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import small_profile, small_request, tree

from equime_builder import manifest
from equime_builder.build import Request, build, plan_for
from equime_builder.manifest import FolderError
from equime_builder.shard_build import build_shard
from equime_builder.sources.drawn import ProceduralSource

ALL_FORMATS = ("webdataset", "parquet", "arrow")


def request(**changes: object) -> Request:
    return small_request(formats=ALL_FORMATS, **changes)


def test_two_workers_make_the_bytes_of_one(built: Path, tmp_path: Path) -> None:
    assert build(tmp_path / "equime", request(), workers=2)
    assert tree(tmp_path / "equime") == tree(built)


def test_parts_in_any_order_make_the_bytes_of_the_whole(built: Path, tmp_path: Path) -> None:
    root = tmp_path / "equime"
    shards = len(manifest.shards_in(manifest.read_header(built), None))
    done = [build(root, request(), shards=[number]) for number in reversed(range(shards))]
    assert done == [False] * (shards - 1) + [True]
    assert tree(root) == tree(built)


def test_a_missing_package_of_the_audit_is_told_before_anything_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(ValueError, match=r"^landmarks \(.*, audit\) need mediapipe; .* pip install 'equime\[faces\]'$"):
        build(tmp_path / "equime", replace(request(), audit=True))
    assert not list(tmp_path.iterdir())


def _part(root: str, number: int, start: multiprocessing.synchronize.Event) -> None:
    start.wait()
    build(Path(root), request(), shards=[number])


def test_the_jobs_of_an_array_may_start_together(built: Path, tmp_path: Path) -> None:
    root, context = tmp_path / "equime", multiprocessing.get_context("spawn")
    start = context.Event()
    shards = len(manifest.shards_in(manifest.read_header(built), None))
    jobs = [context.Process(target=_part, args=(str(root), number, start)) for number in range(shards)]
    for job in jobs:
        job.start()
    start.set()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0] * shards
    assert tree(root) == tree(built)


def test_building_again_changes_nothing(built: Path, copy_of: Callable[[Path], Path]) -> None:
    root = copy_of(built)
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*.tar")}
    assert build(root, request())
    assert tree(root) == tree(built)
    assert times == {path: path.stat().st_mtime_ns for path in root.rglob("*.tar")}


def test_a_deleted_shard_is_rebuilt_alone_to_the_same_bytes(built: Path, copy_of: Callable[[Path], Path]) -> None:
    root = copy_of(built)
    shard = manifest.shards_in(manifest.read_header(root), [1])[0]
    for path in shard.files(ALL_FORMATS).values():
        (root / path).unlink()
    assert build(root, request(), shards=[1])
    assert tree(root) == tree(built)


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import small_request
from equime_builder.build import build
if __name__ == "__main__":
    build(Path(sys.argv[1]), small_request(formats=("webdataset", "parquet", "arrow")), workers=int(sys.argv[3]))
"""


@pytest.mark.parametrize(("workers", "seconds"), [(1, 1.2), (1, 2.0), (2, 2.4)])
def test_a_killed_build_resumes_to_the_same_bytes(built: Path, tmp_path: Path, workers: int, seconds: float) -> None:
    root = tmp_path / "equime"
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    command = [sys.executable, str(script), str(root), str(Path(__file__).parent), str(workers)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert build(root, request())
    assert tree(root) == tree(built)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"subjects": 7}, r"profile\.subjects: 7 asked, 6 planned"),
        ({"fps": 120.0, "frames": 120}, r"profile\.fps: 120\.0 asked, 100\.0 planned"),
        ({"emotions": ("anger",)}, r"profile\.emotions: \['anger'\] asked"),
    ],
)
def test_another_plan_is_refused_by_the_field_that_differs(built: Path, changes: dict[str, object], field: str) -> None:
    with pytest.raises(FolderError, match=rf"was made by a different plan: {field}.*\. Give the options that it"):
        build(built, request(**changes))


def test_another_seed_format_and_source_are_refused(built: Path) -> None:
    with pytest.raises(FolderError, match="seed: 5 asked, 0 planned"):
        build(built, small_request(seed=5, formats=ALL_FORMATS))
    with pytest.raises(FolderError, match="formats: "):
        build(built, small_request(formats=("parquet",)))
    with pytest.raises(FolderError, match=r"frames: 120 asked, 80 planned; and 4 more\. "):
        build(built, small_request(1, subjects=7, fps=120.0, frames=120, emotions=("fear",), size=144))


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(FolderError, match=r"is not empty and holds no plan \(it has 'thesis\.tex'\)"):
        build(tmp_path, request())
    assert tree(tmp_path) == {"thesis.tex": b"precious"}


def test_shards_that_do_not_exist_are_refused(built: Path) -> None:
    with pytest.raises(FolderError, match=r"shard 99 must lie within 0\.\.\d+"):
        build(built, request(), shards=[99])


def _hold(root: str, ready: multiprocessing.synchronize.Event) -> None:
    with manifest.lock(Path(root), "build"):
        ready.set()
        time.sleep(30)


def test_a_second_build_at_the_same_time_is_refused(
    built: Path, copy_of: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copy_of(built)
    monkeypatch.setattr(manifest, "LOCK_PATIENCE_S", 0.2)
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(str(root), ready))
    holder.start()
    try:
        assert ready.wait(30)
        with pytest.raises(FolderError, match="another build is writing this folder"):
            build(root, request())
        os.kill(holder.pid or 0, signal.SIGKILL)  # a lock dies with its holder
        holder.join()
        assert build(root, request())
    finally:
        holder.kill()
        holder.join()
    assert tree(root) == tree(built)


def test_a_shard_that_another_job_builds_is_refused(
    built: Path, copy_of: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copy_of(built)
    monkeypatch.setattr(manifest, "LOCK_PATIENCE_S", 0.1)
    shard = manifest.shards_in(manifest.read_header(root), [0])[0]
    with (
        manifest.lock(root, shard.name),
        pytest.raises(FolderError, match=f"another build is writing shard {shard.name}"),
    ):
        build_shard(root, ProceduralSource(), shard)
    assert tree(root).keys() - {f"{manifest.LOCKS}/{shard.name}.lock"} == tree(built).keys()


def test_a_full_disk_is_one_line_and_loses_nothing(built: Path, tmp_path: Path) -> None:
    root = tmp_path / "equime"
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000));"
        "sys.argv[0] = 'equime'; from equime_builder.cli import main; main()"
    )
    toml = tmp_path / "small.toml"
    toml.write_text(_toml())
    arguments = ["build", str(root), "--profile", str(toml), "--formats", ",".join(ALL_FORMATS), "--workers", "1"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the disk is full (shard train-00000); what is committed is kept" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(root.rglob("*.tar"))
    assert not list(root.rglob("*.tmp"))
    assert build(root, request())
    assert tree(root) == tree(built)


def _toml() -> str:
    lines = [f"{name} = {json.dumps(value)}" for name, value in _flat().items()]
    return "\n".join(lines)


def _flat() -> dict[str, object]:
    values = small_profile().to_dict()
    return {name: value for name, value in values.items() if not isinstance(value, dict)}


def test_a_folder_without_write_permission_is_one_line(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        target = Path("/proc/equime")  # root may write anywhere that takes files
    else:
        tmp_path.chmod(0o500)
        target = tmp_path / "equime"
    with pytest.raises(FolderError, match=r"cannot be written: "):
        build(target, request())


def test_the_plan_is_the_same_before_and_after(built: Path) -> None:
    stored = manifest.read_plan(built)
    fresh = plan_for(request())
    assert stored.header == fresh.header
    assert stored.clips.equals(fresh.clips)


def test_memory_of_a_build_does_not_hold_the_dataset(tmp_path: Path) -> None:
    """Samples leave memory as they are written: a second, larger build must not need more than a bounded amount."""
    build(tmp_path / "few", request())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    build(tmp_path / "more", request(subjects=18))
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 60_000
    shutil.rmtree(tmp_path / "more")
