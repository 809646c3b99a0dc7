"""Judge a built dataset from outside: do the labelled AUs lead, briefly, with return and a still head?

The judge is a program of its own, run as `python JUDGE MODEL CLIPS.json -v`: it reads MP4s and prints a JSON line per
clip and a summary. It knows nothing of the generator. Figures come as Markdown: all clips, by emotion, by AU.

usage: judge_clips.py FOLDER JUDGE MODEL [MOST_CLIPS]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

JUDGED = ("hit", "micro", "returned", "still")


def extract(folder: Path, target: Path, most: int) -> Iterator[dict[str, Any]]:
    """Write the MP4s of a dataset folder to `target`, spread over it, and yield what the judge is told of each."""
    index = pq.read_table(folder / "index.parquet").to_pylist()
    step = max(1, -(-len(index) // most))
    for row in index[::step]:
        with open(folder / row["shard"], "rb") as shard:
            shard.seek(row["mp4_offset"])
            data = shard.read(row["mp4_length"])
        path = target / f"{row['key']}.mp4"
        path.write_bytes(data)
        yield {
            "path": str(path),
            "aus": [activation["au"] for activation in row["aus"]],
            "emotion": row["emotion"],
            "fps": row["fps"],
            "sided": any(activation["side"] != "both" for activation in row["aus"]),
        }


def judge(program: Path, model: Path, clips: list[dict[str, Any]], work: Path) -> list[dict[str, Any]]:
    """Verdict per clip, joined with what was told."""
    told = work / "clips.json"
    told.write_text(json.dumps(clips))
    command = [sys.executable, str(program), str(model), str(told), "-v"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    verdicts = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
    return [{**clip, **verdict} for clip, verdict in zip(clips, verdicts, strict=True)]


def rows(verdicts: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Markdown rows: all, by emotion, by AU set of one, by number of AUs, by side."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for verdict in verdicts:
        groups["all"].append(verdict)
        groups[f"emotion {verdict['emotion']}"].append(verdict)
        if len(verdict["aus"]) == 1:
            groups[f"AU{verdict['aus'][0]:02d} alone"].append(verdict)
        for au in verdict["aus"]:
            groups[f"with AU{au:02d}"].append(verdict)
        groups["one-sided" if verdict["sided"] else "two-sided"].append(verdict)
    yield "| clips | n | face found | AUs lead | <= 0.5 s | returns | head still | all four | target | off target |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for name in sorted(groups, key=lambda name: (name != "all", name)):
        members = groups[name]
        seen = [verdict for verdict in members if verdict["face"]]
        shares = [np.mean([verdict[what] for verdict in seen]) for what in JUDGED]
        shares.append(np.mean([all(verdict[what] for what in JUDGED) for verdict in seen]))
        peaks = [np.median([verdict[what] for verdict in seen]) for what in ("target_peak", "off_peak")]
        figures = " | ".join(f"{100 * share:.0f} %" for share in shares)
        found = f"{100 * len(seen) / len(members):.0f} %"
        yield f"| {name} | {len(members)} | {found} | {figures} | {peaks[0]:.3f} | {peaks[1]:.3f} |"


def main(folder: Path, program: Path, model: Path, most: int) -> None:
    with tempfile.TemporaryDirectory() as work:
        clips = list(extract(folder, Path(work), most))
        verdicts = judge(program, model, clips, Path(work))
    print("\n".join(rows(verdicts)))
    for verdict in verdicts:
        failed = [what for what in JUDGED if not verdict.get(what)]
        if failed:
            name = Path(verdict["path"]).stem
            print(f"{name}: AUs {verdict['aus']} fails {', '.join(failed)}", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    most = int(sys.argv[4]) if len(sys.argv) == 5 else 10**9
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), most)
