#!/usr/bin/env python3
"""What it costs to open an index, to select, to split and to balance: 75,000 and 1,000,000 clips.

Indices are drawn at random with the schema's columns, 15 clips a subject. Each step runs in a process of its own, first
reading from disk what it needs; memory is the process's peak above that of the imports.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import door
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from door import Counts, Rounds

from equime_builder.finish import ROW_GROUP
from equime_loader import holdout, open_dataset
from equime_loader.fairness import balanced
from equime_loader.schema import (
    AGE_GROUPS,
    AUS,
    EMOTIONS,
    GENDERS,
    LABELS,
    LOCATION,
    RACES,
    SPLITS,
    THREE_CLASS_OF,
    Field,
    index_schema,
)

CLIPS_PER_SUBJECT = 15
SIZES = [75_000, 1_000_000]
HERE = Path(__file__).resolve().parent
CHILD = "import sys, measure_index; measure_index.run(*sys.argv[1:])"


def write_index(folder: Path, rows: int) -> None:
    """An index of `rows` clips; the marginals of gender, race and age are those of the published dataset."""
    rng = np.random.default_rng(rows)
    subjects = np.arange(rows) // CLIPS_PER_SUBJECT
    people = subjects[-1] + 1
    gender = rng.choice(2, people, p=(0.556, 0.444))[subjects]
    race = rng.choice(6, people, p=(0.089, 0.073, 0.044, 0.748, 0.037, 0.009))[subjects]
    age = rng.choice(6, people, p=(0.016, 0.347, 0.554, 0.066, 0.0164, 0.0006))[subjects]
    split = rng.choice(3, people, p=(0.7, 0.15, 0.15))[subjects]
    emotion = rng.integers(0, 5, rows)
    words = {
        "split": (split, SPLITS),
        "apparent_gender": (gender, GENDERS),
        "apparent_race": (race, RACES),
        "age_group": (age, tuple(AGE_GROUPS)),
        "emotion": (emotion, EMOTIONS),
        "derived_emotion": (emotion, EMOTIONS),
        "three_class": (emotion, tuple(THREE_CLASS_OF[name] for name in EMOTIONS)),
    }
    names = np.char.mod("p%06d", subjects)
    texts = {"subject": names, "portrait": names, "key": np.char.mod("fear_m_p%07d_000", np.arange(rows))}
    texts["mp4_sha256"] = np.char.mod("%064x", np.arange(rows))
    texts["shard"] = np.char.mod("wds/train-%05d.tar", np.arange(rows) // 500)

    def plain(name: str, kind: pa.DataType) -> pa.Array:
        words = pa.types.is_string(kind)
        return pa.array(np.full(rows, name) if words else rng.integers(1, 100, rows)).cast(kind)

    def column(field: Field) -> pa.Array:
        if field.name in words:
            codes, vocabulary = words[field.name]
            return pa.array(np.array(vocabulary)[codes], pa.string())
        if field.name in texts:
            return pa.array(texts[field.name], pa.string())
        if field.name == "aus":
            counts = rng.integers(1, 3, rows)
            total = int(counts.sum())
            items = pa.StructArray.from_arrays(
                [
                    pa.array(rng.choice(AUS, total).astype(np.int16)),
                    pa.array(np.array(["both", "left", "right"])[rng.integers(0, 3, total)]),
                    pa.array(rng.uniform(1, 2, total).astype(np.float32)),
                ],
                fields=list(field.kind.value_type),
            )
            offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
            return pa.ListArray.from_arrays(pa.array(offsets), items)
        if pa.types.is_list(field.kind):
            offsets = np.arange(rows + 1, dtype=np.int32)
            return pa.ListArray.from_arrays(pa.array(offsets), plain(field.name, field.kind.value_type))
        if pa.types.is_struct(field.kind):
            shares = [pa.array(rng.random(rows).astype(np.float32)) for _ in field.kind]
            return pa.StructArray.from_arrays(shares, fields=list(field.kind))
        return plain(field.name, field.kind)

    table = pa.table([column(field) for field in (*LABELS, *LOCATION)], schema=index_schema())
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "index.parquet", compression="zstd", row_group_size=ROW_GROUP)


def _open(folder: str) -> Any:
    return open_dataset(folder)


def _select(clips: Any) -> Any:
    chosen = clips.where(emotion=["fear", "anger"], split="train", apparent_gender="Woman").having_au(4, at_least=1.3)
    len(chosen)
    return chosen


STEPS: dict[str, Callable[[Any], Any]] = {
    "select by emotion, split, gender and AU4 >= 1.3": _select,
    "the same again": _select,
    "stratified split, 70/15/15": holdout,
    "balanced subset over gender x race, joint": lambda clips: balanced(
        clips, ("apparent_gender", "apparent_race"), joint=True
    ),
    "balanced subset over gender, race and age, marginals": lambda clips: balanced(
        clips, ("apparent_gender", "apparent_race", "age_group")
    ),
}


def run(folder: str, step: str) -> None:
    """Time one step in this process, after the steps it needs."""
    before = _peak_mib()
    start = time.perf_counter()
    clips = _open(folder)
    seconds = time.perf_counter() - start
    if step != "open":
        if step == "the same again":
            _select(clips)
        start = time.perf_counter()
        STEPS[step](clips)
        seconds = time.perf_counter() - start
    print(json.dumps([seconds, _peak_mib() - before]))


def _peak_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def main(rows: Counts = SIZES, *, rounds: Rounds = 5) -> None:
    print("| rows | step | median, s | least-most | memory, MiB |\n| ---: | --- | ---: | ---: | ---: |")
    for size in rows:
        with tempfile.TemporaryDirectory() as folder:
            write_index(Path(folder), size)
            for step in ("open", *STEPS):
                command = [sys.executable, "-c", CHILD, folder, step]
                runs = [json.loads(subprocess.check_output(command, cwd=HERE)) for _ in range(rounds)]
                seconds, memory = [run[0] for run in runs], max(run[1] for run in runs)
                middle = f"{statistics.median(seconds):.3f} | {min(seconds):.3f}-{max(seconds):.3f}"
                print(f"| {size:,} | {step} | {middle} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    door.run(main)
