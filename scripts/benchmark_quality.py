#!/usr/bin/env python3
"""What the five quality metrics of a clip cost, as published and here, and that the figures are the same.

The published way, written after its description: OpenCV's frames one by one in gray, PSNR of bytes, skimage's SSIM,
`piq.total_variation`, `piq.brisque`, which reads its weights at every call, and a `piq.CLIPIQA` made anew for every
frame. Both ways measure the same H.264 file in turn, on the same device. CLIP's weights are stand-ins: its RN50 network
with random numbers, so that a pass and a construction cost the same. BRISQUE's are the true ones where they are found
(else random ones, which cost the same).
A folder of such clips is measured too, by a process for each core, with their start and the loading of the weights.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import av
import cv2
import door
import numpy as np
import torch
import typer
from door import Rounds
from tiny_clip import write_clip

from equime_builder.models import ModelMissing, find_model
from equime_builder.quality.brisque import FEATURES, LARGEST_COEFFICIENT, VECTORS
from equime_builder.quality.clips import Group, VideoFile
from equime_builder.quality.measure import PUBLISHED, measure, measure_published
from equime_builder.quality.run import CHUNK_PIXELS, Job
from equime_builder.quality.run import run as measure_folder
from equime_builder.quality.scorers import best_device, find_weights, open_scorers

# BRISQUE in single precision, as the published script has it, sums terms that cancel: it scatters by this much.
TOLERANCE = {"brisque_mean": 0.05}


def write_video(path: Path, frames: int, size: int) -> None:
    """A textured picture that drifts, with noise, at 24 frames a second."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (size * 2, size * 2, 3)).astype(np.float32), (0, 0), 2)
    texture = (texture - texture.mean()) * 4 + 120
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p"
        for number in range(frames):
            shift = number * size // (2 * frames)
            frame = texture[shift : shift + size, :size] + rng.normal(0, 2, (size, size, 3))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.clip(frame, 0, 255).astype(np.uint8), "rgb24")))
        container.mux(stream.encode(None))


def write_weights(home: Path, given: Path | None) -> str:
    """BRISQUE's weights in piq's place, in single precision as piq needs them; returns what they are."""
    target = home / "torch/hub/checkpoints/brisque_svm_weights.pt"
    target.parent.mkdir(parents=True)
    try:
        coefficients, vectors = torch.load(find_model("brisque", given), weights_only=True)
        kind = "true"
    except ModelMissing:
        random = torch.Generator().manual_seed(0)
        coefficients = torch.rand(VECTORS // 2, 1, generator=random) * LARGEST_COEFFICIENT
        coefficients[0] = LARGEST_COEFFICIENT
        coefficients = torch.cat([coefficients, -coefficients])
        vectors, kind = torch.rand(VECTORS, FEATURES, generator=random) * 2 - 1, "random"
    torch.save((coefficients.float(), vectors.float()), target)
    return kind


def as_published(path: Path, device: str) -> dict[str, float]:
    """The published way, frame by frame."""
    import piq
    from skimage.metrics import structural_similarity

    capture = cv2.VideoCapture(str(path))
    lists: dict[str, list[float]] = {name: [] for name in PUBLISHED}
    before = None
    while True:
        good, frame = capture.read()
        if not good:
            break
        gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        if before is not None:
            error = np.mean((before - gray) ** 2)
            lists["psnr_mean"].append(100.0 if error == 0 else float(20 * np.log10(255.0 / np.sqrt(error))))
            lists["ssim_mean"].append(float(structural_similarity(before, gray)))
        shades = (torch.from_numpy(gray).float() / 255.0)[None, None].to(device)
        lists["tv_mean"].append(piq.total_variation(shades).item())
        lists["brisque_mean"].append(piq.brisque(shades).item())
        lists["clip_iqa_mean"].append(piq.CLIPIQA().to(device)(shades).item())
        before = gray
    capture.release()
    return {name: float(np.mean(values)) for name, values in lists.items()}


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def run(home: Path, *, frames: int, size: int, rounds: int, clips: int, brisque_weights: Path | None) -> dict[str, Any]:
    device = best_device()
    kind = write_weights(home, brisque_weights)
    os.environ["TORCH_HOME"], os.environ["HOME"] = str(home / "torch"), str(home)
    write_clip(home / ".cache/clip", true_size=True)
    path = home / "clip.mp4"
    write_video(path, frames, size)
    clip = VideoFile("clip.mp4", "", path)
    weights = find_weights()
    loading, scorers = timed(lambda: open_scorers(weights, device))
    pixels = CHUNK_PIXELS[device]
    here: Callable[[], Any] = lambda: measure_published(clip.chunks(pixels), scorers)  # noqa: E731
    here()
    measure(clip.chunks(pixels), scorers)
    groups = [Group((VideoFile(f"{number}.mp4", "", path),)) for number in range(clips)]
    job, record, cores = Job(weights, device, published=True), home / "record.jsonl", len(os.sched_getaffinity(0))
    seconds: dict[str, list[float]] = {"published": [], "here": [], "corrected": [], "folder": []}
    for _ in range(rounds):
        spent, expected = timed(lambda: as_published(path, device))
        seconds["published"].append(spent)
        spent, found = timed(here)
        seconds["here"].append(spent)
        seconds["corrected"].append(timed(lambda: measure(clip.chunks(pixels), scorers))[0])
        record.unlink(missing_ok=True)
        seconds["folder"].append(timed(lambda: measure_folder(groups, job, record, workers=cores))[0] / len(groups))
    values = {name: (expected[name], found.values[name]) for name in PUBLISHED}
    equal = {
        name: abs(one - other) <= TOLERANCE.get(name, 1e-4 * max(1.0, abs(one)))
        for name, (one, other) in values.items()
    }
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else f"cpu, {torch.get_num_threads()} threads",
        "frames": frames,
        "size": size,
        "rounds": rounds,
        "brisque_weights": kind,
        "loading_s": loading,
        "seconds_a_clip": {name: spread(times) for name, times in seconds.items()},
        "ratio": {
            name: spread([one / other for one, other in zip(seconds["published"], seconds[name], strict=True)])
            for name in ("here", "folder")
        },
        "figures": {
            name: {"published": one, "here": other, "equal": equal[name]} for name, (one, other) in values.items()
        },
    }


def main(
    *,
    frames: Annotated[int, typer.Option(min=2)] = 33,
    size: Annotated[int, typer.Option(min=64)] = 256,
    rounds: Rounds = 5,
    clips: Rounds = 8,
    threads: Annotated[int | None, typer.Option(min=1)] = None,
    brisque_weights: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    warnings.simplefilter("ignore")  # of piq's use of TorchScript
    if threads:
        torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as home:
        report = run(Path(home), frames=frames, size=size, rounds=rounds, clips=clips, brisque_weights=brisque_weights)
    if as_json:
        print(json.dumps(report))
        return
    print(f"{report['device']}; {frames} frames of {size} x {size}, {rounds} rounds")
    print(f"CLIP: RN50 with random weights; BRISQUE: {report['brisque_weights']} weights")
    for name, row in report["seconds_a_clip"].items():
        print(f"{name:>10}: {row['median']:8.3f} s a clip ({row['least']:.3f}-{row['most']:.3f})")
    for name, row in report["ratio"].items():
        print(f"     ratio: {row['median']:8.1f} ({row['least']:.1f}-{row['most']:.1f}), published / {name}")
    for name, row in report["figures"].items():
        print(f"{name:>14}: {row['published']:.5f} {row['here']:.5f} {'equal' if row['equal'] else 'DIFFERENT'}")
    if not all(row["equal"] for row in report["figures"].values()):
        sys.exit("figures differ")


if __name__ == "__main__":
    door.run(main)
