#!/usr/bin/env python3
"""Kill parts of a Ray cluster with SIGKILL while it builds, and compare the folder with one of a local build.

A cluster of three nodes is started on this machine. In every round a worker, a node or the command itself is killed at
a random moment; a killed node is replaced afterwards, and a killed command is run again.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import door
from door import Count
from ray.cluster_utils import Cluster

STORE = {"object_store_memory": 80 * 2**20}
# Ray notices a lost node after 15 s unless told otherwise.
QUICK = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 2}


def command(root: Path, *options: str) -> list[str]:
    program = [sys.executable, "-m", "equime_builder", "build", str(root), "--profile", "demo", "--subjects", "24"]
    return [*program, "--sequences", "2", "--emotions", "happiness,surprise", *options]


def tree(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def workers() -> list[tuple[int, int]]:
    """Process ids of the workers that build a shard, and of their nodes."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cmdline").read_bytes().startswith(b"ray::_build"):
                found.append((int(entry.name), int((entry / "stat").read_text().rpartition(")")[2].split()[1])))
        except OSError:
            continue
    return found


def strike(draw: random.Random, victim: str, child: subprocess.Popen[str]) -> bool:
    """Kill at some moment after the first shard is being built; whether there was something to kill."""
    while not workers() and child.poll() is None:
        time.sleep(0.02)
    time.sleep(draw.uniform(0, 4))
    there = workers()
    if child.poll() is not None or not there:
        return False
    worker, node = draw.choice(there)
    os.kill({"worker": worker, "node": node, "command": child.pid}[victim], signal.SIGKILL)
    return True


def main(rounds: Count = 12) -> None:
    draw = random.Random(20)
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as work:
        os.environ |= {"RAY_TMPDIR": work, "RAY_USAGE_STATS_ENABLED": "0"}
        subprocess.run(command(Path(work) / "alone"), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        expected = tree(Path(work) / "alone")
        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": QUICK, **STORE}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(2):
            cluster.add_node(num_cpus=1, **STORE)
        kills = equal = 0
        try:
            for attempt in range(rounds):
                victim, root = ("worker", "node", "command")[attempt % 3], Path(work) / "killed"
                line = command(root, "--executor", "ray", "--ray-address", cluster.address)
                start = time.monotonic()
                child = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                killed = strike(draw, victim, child)
                _, errors = child.communicate()
                if victim == "command":
                    subprocess.run(line, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                elif child.returncode:
                    print(errors)
                same = root.exists() and tree(root) == expected
                kills, equal = kills + killed, equal + same
                state = f"{victim} {'killed' if killed else 'not met'}; {'equal' if same else 'DIFFERENT'}"
                print(f"{attempt + 1}: {state}, {time.monotonic() - start:.0f} s", flush=True)
                if victim == "node" and killed:
                    cluster.add_node(num_cpus=1, **STORE)
                shutil.rmtree(root)
        finally:
            cluster.shutdown()
    print(f"{kills} kills, {equal} of {rounds} folders byte-identical")


if __name__ == "__main__":
    door.run(main)
