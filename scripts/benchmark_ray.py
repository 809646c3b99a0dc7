#!/usr/bin/env python3
"""What a Ray cluster costs beside a local build of the same plan: seconds of each, and their ratio.

A cluster of two nodes with one processor each is started on this machine, once. Each round then builds the same plan by
two local processes and by the cluster, in turns who is first; both include starting their workers, the cluster also the
connection and the check of its nodes. All folders are checked to be byte-identical.
"""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import door
from door import Count

from equime_builder.build import Request, build
from equime_builder.executors.local import LocalExecutor
from equime_builder.executors.ray import RayExecutor
from equime_builder.executors.work import Executor
from equime_builder.profiles import load_profile
from equime_builder.sources.drawn import ProceduralSource

NODES = 2
SUBJECTS_PER_SHARD = 2


def tree(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def timed(root: Path, request: Request, executor: Executor) -> tuple[float, dict[str, bytes]]:
    start = time.monotonic()
    assert build(root, request, executor=executor)
    seconds, made = time.monotonic() - start, tree(root)
    shutil.rmtree(root)
    return seconds, made


def main(subjects: Count = 24, rounds: Count = 3) -> None:
    from ray.cluster_utils import Cluster

    profile = load_profile("micro", subjects=subjects)
    per_subject = len(profile.emotions) * profile.sequences * (1 + profile.ablations)
    profile = load_profile("micro", subjects=subjects, shard_samples=SUBJECTS_PER_SHARD * per_subject)
    request = Request(profile, ProceduralSource())
    seconds: dict[str, list[float]] = {"local": [], "ray": []}
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as work:
        os.environ |= {"RAY_TMPDIR": work, "RAY_USAGE_STATS_ENABLED": "0"}
        store = {"object_store_memory": 80 * 2**20}
        start = time.monotonic()
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **store})
        for _ in range(NODES):
            cluster.add_node(num_cpus=1, **store)
        started = time.monotonic() - start
        executors: dict[str, Executor] = {"local": LocalExecutor(NODES), "ray": RayExecutor(cluster.address)}
        try:
            expected: dict[str, bytes] = {}
            for number in range(rounds):
                for name in sorted(executors, reverse=bool(number % 2)):
                    taken, made = timed(Path(work) / "equime", request, executors[name])
                    seconds[name].append(taken)
                    expected = expected or made
                    assert made == expected, f"{name} made other bytes"
                print(
                    f"round {number + 1}: local {seconds['local'][-1]:.1f} s, Ray {seconds['ray'][-1]:.1f} s",
                    flush=True,
                )
        finally:
            cluster.shutdown()
    ratios = [ray / local for ray, local in zip(seconds["ray"], seconds["local"], strict=True)]
    clips, shards = per_subject * subjects, sum(name.endswith(".tar") for name in expected)
    print(f"\n{platform.machine()}, {clips} clips in {shards} shards, {rounds} rounds, all folders byte-identical;")
    print(f"starting the cluster ({started:.1f} s) is not counted")
    print("| figure | median | least | most |\n| --- | ---: | ---: | ---: |")
    for name, values in (("local, s", seconds["local"]), ("Ray, s", seconds["ray"]), ("Ray / local", ratios)):
        print(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")


if __name__ == "__main__":
    door.run(main)
