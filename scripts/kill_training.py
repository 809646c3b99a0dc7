#!/usr/bin/env python3
"""Kill a training of two processes with SIGKILL at random moments, go on with it, and compare with an undisturbed one.

A state is kept after every step, so that kills also hit the writing of one. Weights, what the optimizer keeps,
predictions and history are compared.
"""

from __future__ import annotations

import csv
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import door
import psutil
from door import Count, Seed

SUBJECTS, EPOCHS = 12, 4
CLOCKS = ("seconds", "waiting_seconds")


def build(folder: Path) -> None:
    """A small dataset of three classes."""
    command = ["build", folder, "--profile", "demo", "--subjects", SUBJECTS, "--formats", "webdataset"]
    subprocess.run(
        [sys.executable, "-m", "equime_builder", *map(str, command)], check=True, capture_output=True, text=True
    )


def train(data: Path, out: Path) -> list[str]:
    """The command that is killed."""
    launch = ["-m", "torch.distributed.run", "--nnodes=1", "--nproc-per-node=2"]
    launch += ["--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "-m", "training", "train"]
    settings = ["--model.name=flow", "--model.settings.size=32", "--optimization.batch_size=4", "--checkpoint_steps=1"]
    settings += [f"--optimization.epochs={EPOCHS}", f"--data.train.equime={data}", "--out", str(out)]
    return [sys.executable, *launch, *settings]


def run(command: list[str], out: Path, until: int | None, delay: float) -> bool:
    """Run to the end, or kill every process `delay` seconds after the state of step `until`; whether it was killed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    while until is not None and child.poll() is None:
        if step(out) >= until:
            time.sleep(delay)
            for process in (*psutil.Process(child.pid).children(recursive=True), psutil.Process(child.pid)):
                process.kill()
            child.communicate()
            return True
        time.sleep(0.005)
    errors = child.communicate()[1]
    if child.returncode:
        sys.exit(f"{' '.join(command)} failed: {errors.decode()[-3000:]}")
    return False


def step(out: Path) -> int:
    """Steps of the last state that is whole; -1 where there is none, or it is being replaced just now."""
    try:
        text = (out / "checkpoints" / "last" / "state.json").read_text()
    except OSError:
        return -1
    return int(text.split('"step": ')[1].split(",")[0])


def outcome(out: Path) -> dict[str, object]:
    """What is compared."""
    files = [*out.glob("checkpoints/*/*.safetensors"), *out.glob("predictions/*.parquet")]
    with open(out / "history.csv", newline="") as file:
        rows = [{name: value for name, value in row.items() if name not in CLOCKS} for row in csv.DictReader(file)]
    return {"history": rows, **{str(path.relative_to(out)): path.read_bytes() for path in files}}


def main(rounds: Count = 5, seed: Seed = 0) -> None:
    """Kill and compare."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as work:
        data, whole = Path(work) / "data", Path(work) / "whole"
        build(data)
        run(train(data, whole), whole, None, 0)
        expected, last = outcome(whole), step(whole)
        print(f"undisturbed: {EPOCHS} epochs, {last} steps, {len(expected)} things to compare", flush=True)
        kills = equal = 0
        for number in range(1, rounds + 1):
            out, told = Path(work) / "killed", []
            for until in sorted(draw.sample(range(1, last), 2)):
                if run(train(data, out), out, until, draw.uniform(0, 0.1)):
                    kills += 1
                    told.append(str(step(out)))
            run(train(data, out), out, None, 0)
            found = outcome(out)
            different = [name for name in expected if found.get(name) != expected[name]]
            equal += not different
            print(
                f"{number}: killed with step {' and '.join(told)} kept; {', '.join(different) or 'equal'}", flush=True
            )
            shutil.rmtree(out)
        print(f"{kills} kills, {equal} of {rounds} runs equal in weights, optimizer, predictions and history")


if __name__ == "__main__":
    door.run(main)
