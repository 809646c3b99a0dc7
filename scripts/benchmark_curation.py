#!/usr/bin/env python3
"""What scoring a portrait costs, what going on after a kill repeats, and what stacking faces brings to DeepFace.

Drawn faces of 1024 x 1024 pixels are written as JPEG; each is scored in this process, then the folder is curated by two
processes that are killed with SIGKILL in the middle, and curated again: the tables must be the bytes of a run that was
left alone. DeepFace's own age network, with random weights, is given eight faces one by one and stacked. Seconds are
of the processor, since other work may share the machine.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import door
import numpy as np
import pyarrow.parquet as pq
from door import Count, File
from PIL import Image

from equime_builder.curation.scoring import Job, score_files
from equime_builder.curation.table import FILE
from equime_builder.sources.procedural import draw_face, render_face
from equime_loader.schema import GENDERS, RACES

SIDE, DRAWN = 1024, 24


def write_portraits(folder: Path, count: int) -> list[str]:
    """Drawn faces, each several times in another compression: other bytes, the same work."""
    names = []
    for number in range(count):
        if number < DRAWN:
            face = draw_face(seed=number, gender=GENDERS[number % 2], race=RACES[number % 6], age=20 + number)
            Image.fromarray(render_face(face, size=SIDE)[0]).save(folder / f"{number:05d}.png", compress_level=1)
        source = folder / f"{number % DRAWN:05d}.png"
        names.append(f"{number:05d}.jpg")
        with Image.open(source) as picture:
            picture.save(folder / names[-1], quality=95 - number // DRAWN)
    for source in folder.glob("*.png"):
        source.unlink()
    return names


def measure_scoring(folder: Path, names: list[str], model: Path) -> None:
    job = Job(folder, model, 256)
    list(score_files(job, names[:2]))
    start = time.process_time()
    count = sum(1 for _ in score_files(job, names))
    each = (time.process_time() - start) / count
    print(f"scoring: {1000 * each:.0f} ms of one core per portrait; 15,000 portraits: {15_000 * each / 60:.0f} minutes")


def kill_and_go_on(folder: Path, work: Path, model: Path) -> None:
    command = [sys.executable, "-m", "equime_builder", "curate", str(folder), "", "--workers", "2", "--face-model"]
    outs = {name: work / name for name in ("killed", "left")}
    commands = {name: [part or str(out) for part in command] + [str(model)] for name, out in outs.items()}
    running = subprocess.Popen(commands["killed"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(outs["killed"].glob("parts/*.parquet")) and running.poll() is None:
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    kept = sum(pq.read_metadata(path).num_rows for path in outs["killed"].glob("parts/*.parquet"))
    for name in outs:
        subprocess.run(commands[name], check=True, stdout=subprocess.DEVNULL)
    same = all(
        (outs["killed"] / file).read_bytes() == (outs["left"] / file).read_bytes() for file in (FILE, "sheet.png")
    )
    print(f"killed with {kept} scores kept, gone on: {'the same bytes' if same else 'OTHER BYTES'} as a run left alone")


def measure_stacking() -> None:
    os.environ["DEEPFACE_BACKEND_ENGINE"] = "pytorch"
    import torch
    from deepface.models.demography.pytorch.Age import AgeModel, ApparentAgeClient

    torch.set_num_threads(1)
    client = ApparentAgeClient.__new__(ApparentAgeClient)
    client.model_name, client.device, client.model = "Age", torch.device("cpu"), AgeModel().eval()
    faces = np.random.default_rng(0).random((8, 224, 224, 3), dtype=np.float32)
    client.predict(faces[:1])
    start = time.process_time()
    alone = np.array([client.predict(face[None]) for face in faces])
    middle = time.process_time()
    stacked = client.predict(faces)
    one, many = middle - start, time.process_time() - middle
    print(
        f"DeepFace's age network, 8 faces: {one:.2f} s one by one, {many:.2f} s stacked ({one / many:.1f} x), of one "
        f"core; largest difference {np.abs(alone - stacked).max():.0e} years"
    )


def main(face_model: File, portraits: Count = 192) -> None:
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "portraits"
        folder.mkdir()
        names = write_portraits(folder, portraits)
        measure_scoring(folder, names, face_model)
        kill_and_go_on(folder, Path(work), face_model)
    measure_stacking()


if __name__ == "__main__":
    door.run(main)
