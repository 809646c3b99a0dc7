"""A Ray cluster of two nodes makes the bytes of one machine, also when a worker and a node die, and leaves nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import small_request, tree
from running import comes_true

from equime_builder import manifest
from equime_builder.build import Progress, Request, build, prepare, stages
from equime_builder.executors import make_executor
from equime_builder.executors.local import LocalExecutor
from equime_builder.executors.node import beacon, complaint
from equime_builder.executors.ray import RayExecutor, _check_nodes, _connected, _hands
from equime_builder.executors.work import Work
from equime_builder.generators.protocol import Generator
from equime_builder.manifest import FolderError
from equime_builder.sources.drawn import ProceduralSource

ALL_FORMATS = ("webdataset", "parquet", "arrow")
# Lost nodes are noticed by Ray after 15 s; here, where nobody has time, after one.
QUICK = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 2}


def request(**changes: object) -> Request:
    return small_request(formats=ALL_FORMATS, **changes)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without processors and two nodes with one processor and one (pretended) GPU each, on this machine."""
    pytest.importorskip("ray", reason="a Ray cluster needs the extra `ray`")
    from ray.cluster_utils import Cluster

    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # sockets allow no long paths
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": QUICK, "object_store_memory": 80 * 2**20}
        started = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(2):
            add_node(started)
        yield started
        started.shutdown()
    assert comes_true(lambda: not processes(folder), 60), processes(folder)
    assert comes_true(lambda: shutil.rmtree(folder, ignore_errors=True) or not Path(folder).exists())


def add_node(cluster: Any) -> None:
    cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=80 * 2**20)


def processes(word: str) -> dict[int, tuple[int, str]]:
    """Parent and command line by process id, of processes whose command line has a word in it."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if word in command and entry.name.isdigit() and int(entry.name) != os.getpid():
            found[int(entry.name)] = parent, command
    return found


def building() -> dict[int, int]:
    """Workers of the cluster that build a shard now, and the processes of their nodes."""
    return {pid: parent for pid, (parent, _) in processes("ray::_build").items()}


def test_two_nodes_make_the_bytes_of_one_machine(built: Path, cluster: Any, tmp_path: Path) -> None:
    seen: list[Progress] = []
    nodes: set[int] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            nodes.update(building().values())

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert build(tmp_path / "equime", request(), executor=RayExecutor(cluster.address), progress=seen.append)
    ended.set()
    watcher.join()
    assert tree(tmp_path / "equime") == tree(built)
    assert [done.shards for done in seen] == [1, 2, 3, 4]
    assert seen[-1].clips == seen[-1].total_clips == 12
    assert nodes


def test_a_worker_and_a_node_die_in_the_middle(cluster: Any, tmp_path: Path, capfd: Any) -> None:
    large = request(subjects=12)
    assert build(tmp_path / "alone", large)
    killed: list[int] = []

    def progress(done: Progress) -> None:
        if done.shards <= 2:
            found: dict[int, int] = {}

            def begun() -> bool:
                found.update(building())
                return bool(found)

            assert comes_true(begun, 60)
            worker, node = next(iter(found.items()))
            victim = worker if done.shards == 1 else node
            assert ("raylet/raylet" in processes("ray")[victim][1]) == (done.shards == 2)
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    assert build(tmp_path / "equime", large, executor=RayExecutor(cluster.address), progress=progress)
    assert len(killed) == 2
    assert tree(tmp_path / "equime") == tree(tmp_path / "alone")
    assert capfd.readouterr().out == ""
    add_node(cluster)


def test_a_gpu_actor_loads_its_model_once_in_its_life(built: Path, cluster: Any, tmp_path: Path) -> None:
    notes = tmp_path / "loaded"

    class Modeled(Work):
        """Work whose generator needs a GPU, and notes each time that it is loaded."""

        needs_gpu = True

        def load(self) -> Generator:
            with notes.open("a") as file:
                file.write(f"{os.getpid()} {os.environ['CUDA_VISIBLE_DEVICES']}\n")
            return super(type(self), self).load()

    root, source = tmp_path / "equime", ProceduralSource()
    header = prepare(root, request())
    shards = manifest.shards_in(header, None)
    with RayExecutor(cluster.address).open(Modeled(root, source)) as run:
        done = [shard.number for part in (shards[:3], shards[3:]) for shard in run(part)]
        lines = notes.read_text().splitlines()
        os.kill(int(lines[0].split()[0]), signal.SIGKILL)
        done += [shard.number for shard in run(shards[:2])]
    assert sorted(done) == [0, 0, 1, 1, 2, 3]
    assert len(lines) == 2, "one load for each of the two GPUs, whatever the number of shards and runs"
    assert len({line.split()[0] for line in lines}) == 2
    assert all(line.split()[1] for line in lines)
    assert len(notes.read_text().splitlines()) <= 3, "an actor that died has loaded it again, the other has not"
    assert build(root, request())
    assert tree(root) == tree(built)


def test_a_cluster_without_what_is_needed_is_one_line(built: Path) -> None:
    class Bare:
        def cluster_resources(self) -> dict[str, float]:
            return {"memory": 1e9}

    with beacon(built) as lit, pytest.raises(FolderError, match="no node of the Ray cluster has a CPU"):
        _hands(Bare(), Work(built, ProceduralSource()), lit, None)


def test_a_node_that_cannot_take_part_is_named(built: Path, cluster: Any) -> None:
    import ray

    with beacon(built) as lit, _connected(ray, cluster.address):
        _check_nodes(ray, lit)
        with pytest.raises(FolderError, match=r"node \S+ \([\d.]+\): does not see .*: the folder must lie on"):
            _check_nodes(ray, replace(lit, path=lit.path.with_name("elsewhere")))
        with pytest.raises(FolderError, match=r"node \S+ \([\d.]+\): has av .*, and .* 1\.0: the bytes could differ"):
            _check_nodes(ray, replace(lit, versions=lit.versions | {"av": "1.0"}))


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with beacon(tmp_path) as lit:
        assert complaint(lit) is None
        far = replace(lit, path=lit.path.with_name("x" * 240))
        far.path.write_text(lit.secret)
        assert complaint(far) == f"cannot write to {tmp_path}: File name too long"
    assert not lit.path.exists()


def test_a_fault_on_a_node_is_one_line_that_names_it(built: Path, cluster: Any, tmp_path: Path) -> None:
    root = Path(shutil.copytree(built, tmp_path / "equime"))
    shard = manifest.shards_in(manifest.read_header(root), [0])[0]
    (root / "wds").rename(root / "gone")
    (root / "wds").write_text("a file where a folder should be")
    with pytest.raises(FolderError, match=rf"^node \S+: .*cannot be written: .*\(shard {shard.name}\)"):
        build(root, request(), shards=[0], executor=RayExecutor(cluster.address))
    assert not list(root.rglob("visible-*"))


def test_ctrl_c_stops_the_cluster_and_leaves_no_half_files(built: Path, cluster: Any, tmp_path: Path) -> None:
    root = tmp_path / "equime"
    toml = tmp_path / "small.toml"
    values = request(subjects=40).profile.to_dict()
    toml.write_text(
        "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items() if not isinstance(value, dict))
    )
    command = [sys.executable, "-W", "error", "-m", "equime_builder", "build", str(root), "--profile", str(toml)]
    command += ["--executor", "ray", "--ray-address", cluster.address, "--formats", ",".join(ALL_FORMATS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert comes_true(lambda: len(list(root.glob("wds/*.tar"))) > 1, 120)
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=30)
        finally:
            child.kill()
    assert child.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-1] == "stopped; what is committed is kept, run the same command to go on"
    assert comes_true(lambda: not building())
    assert not list(root.rglob("*.tmp"))
    assert not list(root.rglob("visible-*"))


def test_an_address_where_nobody_listens_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="a Ray cluster needs the extra `ray`")
    start = time.monotonic()
    with pytest.raises(FolderError, match=r"Ray cluster [\d.]+:1: does not answer \(Connection refused\)"):
        build(tmp_path / "equime", request(), executor=RayExecutor("127.0.0.1:1"))
    assert time.monotonic() - start < 20


def test_a_missing_extra_is_named_before_anything_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(FolderError, match=r"needs the extra `ray`: pip install 'equime\[ray\]'"):
        RayExecutor()


def test_executors_by_name() -> None:
    pytest.importorskip("ray", reason="a Ray cluster needs the extra `ray`")
    assert make_executor("local", workers=3) == LocalExecutor(3)
    assert make_executor("ray", workers=3, address="a:1") == RayExecutor("a:1", 3)
    with pytest.raises(ValueError, match="executor 'spark' must be local or ray"):
        make_executor("spark")
    with pytest.raises(ValueError, match="goes with --executor ray"):
        make_executor("local", address="a:1")
    with pytest.raises(ValueError, match=r"workers=0 must be at least 1"):
        make_executor("ray", workers=0)


def test_a_run_that_is_closed_early_builds_no_more(tmp_path: Path) -> None:
    root = tmp_path / "equime"
    shards = manifest.shards_in(prepare(root, request()), None)
    for executor in (LocalExecutor(1), LocalExecutor(2)):
        with executor.open(Work(root, ProceduralSource())) as run:
            running = run(stages(shards)[0])
            next(running)
            running.close()
    assert not list(root.rglob("*.tmp"))
