#!/usr/bin/env python3
"""Judge a built dataset from outside: do the labeled AUs lead, briefly, with return and a still head?

The judge is a program of its own, run as `python JUDGE MODEL CLIPS.json -v`: it reads MP4s and prints a JSON line per
clip and a summary. It knows nothing of the generator. Figures come as Markdown: all clips, by emotion, by AU.
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

import door
import numpy as np
import pyarrow.parquet as pq
from door import Count, Dataset, File
from numpy.typing import NDArray

from equime_builder.landmarks import Landmarker, open_landmarker
from equime_loader import read_video

JUDGED = ("hit", "micro", "returned", "still")
NO_BLENDSHAPE = {9, 10, 25, 26}
LEAST_SHIFT = 0.008  # of the IOD: four times the landmarks' own unrest from frame to frame
RIGID = (33, 133, 362, 263, 168, 6, 197, 195)
UP, DOWN, OUT, IN = (0.0, -1.0), (0.0, 1.0), (1.0, 0.0), (-1.0, 0.0)
BROW_INNER, BROW_OUTER = (107, 66, 55, 65, 336, 296, 285, 295), (70, 63, 105, 53, 46, 300, 293, 334, 283, 276)
LID_UPPER, LID_LOWER = (159, 158, 160, 386, 385, 387), (145, 153, 144, 374, 380, 373)
CORNERS, UPPER_LIP, LOWER_LIP = (61, 291, 62, 292), (0, 37, 267, 39, 269, 40, 270), (17, 84, 314, 181, 405, 91, 321)
# What a labeled AU moves, and where to (x outward from the middle, y down).
SHIFTS: dict[int, tuple[tuple[tuple[int, ...], tuple[float, float]], ...]] = {
    1: ((BROW_INNER, UP),),
    2: ((BROW_OUTER, UP),),
    4: ((BROW_INNER, DOWN), (BROW_INNER, IN)),
    5: ((LID_UPPER, UP),),
    6: ((LID_LOWER, UP),),
    7: ((LID_LOWER, UP), (LID_UPPER, DOWN)),
    9: (((48, 64, 278, 294, 98, 327), UP), (BROW_INNER, DOWN)),
    10: ((UPPER_LIP, UP),),
    12: ((CORNERS, UP), (CORNERS, OUT)),
    14: ((CORNERS, OUT),),
    15: ((CORNERS, DOWN),),
    17: ((LOWER_LIP, UP),),
    20: ((CORNERS, OUT),),
    23: ((UPPER_LIP, DOWN), (LOWER_LIP, UP)),
    24: ((UPPER_LIP, DOWN), (LOWER_LIP, UP)),
    25: ((LOWER_LIP, DOWN), (UPPER_LIP, UP)),
    26: ((LOWER_LIP, DOWN),),
}
# Landmarks that answer to an AU besides those that are measured: whole features, which are no strangers to it.
FEATURES = {
    "brows": (*BROW_INNER, *BROW_OUTER, 9, 8, 151, 108, 337, 69, 299, 104, 333, 67, 297, 52, 282, 68, 298, 71, 301),
    "eyes": tuple(range(22, 32)) + tuple(range(252, 262)) + (*LID_UPPER, *LID_LOWER, 7, 161, 163, 173, 246, 388, 390),
    "mouth": (*CORNERS, *UPPER_LIP, *LOWER_LIP, 13, 14, 78, 308, 80, 81, 82, 87, 88, 95, 146, 178, 185, 191, 310, 311,
              312, 317, 318, 324, 375, 402, 409, 415, 57, 287, 43, 273, 106, 335, 182, 406, 83, 313, 18, 200, 199, 201,
              421, 194, 418, 204, 424, 202, 422, 212, 432, 216, 436, 186, 410, 92, 322, 165, 391, 167, 393, 164),
    "nose": (48, 64, 278, 294, 98, 327, 129, 358, 203, 423, 206, 426, 115, 344, 49, 279, 102, 331, 193, 417, 122, 351),
}  # fmt: skip
MOVES = {
    **dict.fromkeys((1, 2, 4), ("brows", "eyes")),
    **dict.fromkeys((5, 6, 7), ("eyes",)),
    9: ("nose", "mouth", "brows", "eyes"),
    10: ("mouth", "nose"),
    **dict.fromkeys((12, 14, 15, 17, 20, 23, 24, 25, 26), ("mouth", "nose")),
}
CHIN = (152, 148, 377, 176, 400, 149, 378, 175, 171, 396, 208, 428, 140, 369)


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
            "clip": str(path),
            "aus": [activation["au"] for activation in row["aus"]],
            "emotion": row["emotion"],
            "fps": row["fps"],
            "apex": row["apex_frame"],
            "sided": any(activation["side"] != "both" for activation in row["aus"]),
        }


def judged(program: Path, model: Path, clips: list[dict[str, Any]], work: Path) -> list[dict[str, Any]]:
    """Verdict per clip, joined with what was told."""
    told = work / "clips.json"
    told.write_text(json.dumps(clips))
    command = [sys.executable, str(program), str(model), str(told), "-v"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    verdicts = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
    return [{**clip, **verdict} for clip, verdict in zip(clips, verdicts, strict=True)]


def landmarks_lead(model: Path, verdicts: list[dict[str, Any]]) -> None:
    """Judge the clips with an AU of `NO_BLENDSHAPE` by landmarks; adds `lead_by_landmarks` to their verdicts."""
    with open_landmarker(model) as landmarker:
        for verdict in verdicts:
            if not NO_BLENDSHAPE & set(verdict["aus"]) or not verdict["face"]:
                continue
            frames = read_video(Path(verdict["clip"]))
            rest = observed(landmarker, frames[: len(frames) // 8 : 2])
            apex = observed(landmarker, frames[verdict["apex"] - 1 : verdict["apex"] + 2])
            verdict["lead_by_landmarks"] = leads(rest, apex, verdict["aus"])


def observed(landmarker: Landmarker, frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean landmarks over frames, (478, 2), in IOD."""
    found = [landmarker.detect(frame) for frame in frames]
    points = np.mean([detection.landmarks for detection in found if detection is not None], axis=0, dtype=float)
    return np.asarray(points / np.linalg.norm(points[468] - points[473]))


def leads(rest: NDArray[np.float64], apex: NDArray[np.float64], aus: Iterable[int]) -> bool:
    """Whether some labeled AU's landmarks move its way, and further than nearly all landmarks of no labeled AU."""
    shift = apex - rest
    shift -= np.median(shift[list(RIGID)], axis=0)
    middle = rest[list(RIGID)].mean(axis=0)[0]
    outward = np.where(rest[:, 0] < middle, -1.0, 1.0)
    signed = np.stack([shift[:, 0] * outward, shift[:, 1]], axis=1)
    moved = {point for au in aus for feature in MOVES[au] for point in FEATURES[feature]}
    moved |= set(CHIN) if {17, 26} & set(aus) else set()
    others = [point for point in range(468) if point not in moved]
    stillness = float(np.percentile(np.linalg.norm(shift[others], axis=1), 90))
    best = max(
        max(float(np.mean(signed[list(half)] @ np.array(way))) for half in halves(points, rest, middle))
        for au in aus
        for points, way in SHIFTS[au]
    )
    return best >= max(LEAST_SHIFT, stillness)


def halves(points: Iterable[int], rest: NDArray[np.float64], middle: float) -> Iterator[list[int]]:
    """The points of either half of the face: an AU may act on one side only."""
    for sign in (-1, 1):
        half = [point for point in points if sign * (rest[point, 0] - middle) > 0]
        if half:
            yield half


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
    heads = "clips | n | face found | AUs lead | <= 0.5 s | returns | head still | all four | lead, lm | all four, lm"
    yield f"| {heads} | target | off target |"
    yield f"| --- |{' ---: |' * 11}"
    for name in sorted(groups, key=lambda name: (name != "all", name)):
        members = groups[name]
        seen = [verdict for verdict in members if verdict["face"]]
        shares = [np.mean([verdict[what] for verdict in seen]) for what in JUDGED]
        shares.append(np.mean([all(verdict[what] for what in JUDGED) for verdict in seen]))
        by_landmarks = [verdict.get("lead_by_landmarks", verdict["hit"]) for verdict in seen]
        rest = [all(verdict[what] for what in JUDGED[1:]) for verdict in seen]
        shares += [
            np.mean(by_landmarks),
            np.mean([lead and fine for lead, fine in zip(by_landmarks, rest, strict=True)]),
        ]
        peaks = [np.median([verdict[what] for verdict in seen]) for what in ("target_peak", "off_peak")]
        figures = " | ".join(f"{100 * share:.0f}%" for share in shares)
        found = f"{100 * len(seen) / len(members):.0f}%"
        yield f"| {name} | {len(members)} | {found} | {figures} | {peaks[0]:.3f} | {peaks[1]:.3f} |"


def main(folder: Dataset, judge: File, face_model: File, most_clips: Count = 10**9) -> None:
    with tempfile.TemporaryDirectory() as work:
        clips = list(extract(folder, Path(work), most_clips))
        verdicts = judged(judge, face_model, clips, Path(work))
        landmarks_lead(face_model, verdicts)
    print("\n".join(rows(verdicts)))
    for verdict in verdicts:
        failed = [what for what in (*JUDGED, "lead_by_landmarks") if not verdict.get(what, what not in JUDGED)]
        if failed:
            name = Path(verdict["path"]).stem
            print(f"{name}: AUs {verdict['aus']} fails {', '.join(failed)}", file=sys.stderr)


if __name__ == "__main__":
    door.run(main)
