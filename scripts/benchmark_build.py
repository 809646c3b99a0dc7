#!/usr/bin/env python3
"""What a build costs beside encoding, and what a second worker brings.

Per round, on the same plan: the whole build by one worker, encoding the very same frames alone in one process, and the
whole build by two workers, each in a process of its own that starts cold. The work is checked to be equal: all folders
are byte-identical, and the encoded bytes are those in the folder.
"""

from __future__ import annotations

import hashlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import door
import pyarrow.parquet as pq
from door import Count
from threadpoolctl import threadpool_limits

from equime_builder import manifest
from equime_builder.encode import encode
from equime_builder.generators.warped import WarpGenerator
from equime_builder.samples import keyframes, program_of
from equime_builder.scm import sample_nuisance
from equime_builder.sources.drawn import ProceduralSource

# Not of this file's functions: its start is measured too, and should import no more than a build does.
CHILD_BUILD = """
import sys
from pathlib import Path
from equime_builder.build import Request, build
from equime_builder.profiles import load_profile
from equime_builder.sources.drawn import ProceduralSource
if __name__ == "__main__":
    request = Request(load_profile("micro", subjects=int(sys.argv[2])), ProceduralSource())
    assert build(Path(sys.argv[1]), request, workers=int(sys.argv[3]))
"""

CHILD_ENCODE = "import sys, benchmark_build; benchmark_build.encode_alone(sys.argv[1])"


def encode_alone(folder: str) -> None:
    """Make the frames of a folder's clips again; print the seconds that their encoding takes, and a hash of it."""
    cv2.setNumThreads(1)
    threadpool_limits(1)
    root, source, generator = Path(folder), ProceduralSource(), WarpGenerator()
    profile, seconds, digest, current = manifest.read_plan(root).profile, 0.0, hashlib.sha256(), None
    for shard in manifest.shards_in(manifest.read_header(root), None):
        clips, subjects = manifest.read_shard_plan(root, shard)
        for clip in clips:
            if clip.subject != current:
                current = clip.subject
                portrait = generator.prepare(source.portrait(subjects[current], profile.size))
            program, _ = program_of(profile, clip)
            frames = portrait.render(program, sample_nuisance(profile, program.timing, clip.nuisance_seed))
            places = keyframes(program.timing.onset, program.timing.apex)
            start = time.monotonic()
            data = encode(frames, fps=profile.fps, keyframes=places, video=profile.video).data
            seconds += time.monotonic() - start
            digest.update(data)
    print(seconds, digest.hexdigest())


def encoded_alone(root: Path) -> tuple[float, str]:
    """Seconds and hash, of a process of its own."""
    command = [sys.executable, "-c", CHILD_ENCODE, str(root)]
    seconds, hashed = subprocess.check_output(command, text=True, cwd=Path(__file__).resolve().parent).split()
    return float(seconds), hashed


def build_in(root: Path, subjects: int, workers: int) -> float:
    """Seconds of a build. Its program is a file, since workers import it."""
    script = root.parent / "child.py"
    script.write_text(CHILD_BUILD)
    command = [sys.executable, str(script), str(root), str(subjects), str(workers)]
    start = time.monotonic()
    subprocess.run(command, check=True)
    return time.monotonic() - start


def digest(root: Path) -> str:
    """One hash over all files of a folder."""
    total = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return total.hexdigest()


def videos(root: Path) -> str:
    """Hash over the videos of a folder, in the plan's order."""
    total = hashlib.sha256()
    for row in pq.read_table(root / "index.parquet").to_pylist():
        with open(root / row["shard"], "rb") as shard:
            shard.seek(row["mp4_offset"])
            total.update(shard.read(row["mp4_length"]))
    return total.hexdigest()


def main(subjects: Count = 30, rounds: Count = 5) -> None:
    figures: dict[str, list[float]] = {"build / encode": [], "one worker / two": [], "ms per clip": []}
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as work:
            one, two = Path(work) / "one", Path(work) / "two"
            alone = build_in(one, subjects, 1)
            encoding, hashed = encoded_alone(one)
            pair = build_in(two, subjects, 2)
            assert digest(one) == digest(two), "two workers made other bytes"
            assert videos(one) == hashed, "the frames that were encoded alone are not those of the build"
        figures["build / encode"].append(alone / encoding)
        figures["one worker / two"].append(alone / pair)
        figures["ms per clip"].append(1000 * alone / (7 * subjects))
        print(f"round {number + 1}: {alone:.1f} s, encoding {encoding:.1f} s, two workers {pair:.1f} s", flush=True)
    print(f"\n{platform.machine()}, {7 * subjects} clips, {rounds} rounds")
    print("| figure | median | least | most |\n| --- | ---: | ---: | ---: |")
    for name, values in figures.items():
        print(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")


if __name__ == "__main__":
    door.run(main)
