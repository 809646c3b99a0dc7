#!/usr/bin/env python3
"""What encoding costs and what it erases, over settings.

Clips are drawn faces of the micro profile. "motion kept" is the slope of the decoded change from onset to apex on the
generated one, over the moved region (1: all of it).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import door
import numpy as np
from door import Count
from numpy.typing import NDArray

from equime_builder.encode import decode_planes, encode
from equime_builder.generators.warped import WarpGenerator
from equime_builder.profiles import Profile, Video, load_profile
from equime_builder.samples import keyframes
from equime_builder.scm import Timing, sample_nuisance, sample_program
from equime_builder.seeds import derive_seed
from equime_builder.sources.drawn import ProceduralSource

PRESETS, CRFS = ("veryfast", "medium", "slow"), (20, 12, 8)


@dataclass(frozen=True)
class Clip:
    frames: NDArray[np.uint8]
    timing: Timing
    moved: NDArray[np.bool_]


def clips(profile: Profile) -> Iterator[Clip]:
    source, generator = ProceduralSource(), WarpGenerator()
    for subject in source.survey(profile, 0).subjects:
        portrait = generator.prepare(source.portrait(subject, profile.size))
        for emotion in profile.emotions:
            seed = derive_seed("encoding", subject.subject, emotion)
            program = sample_program(profile, emotion, seed)
            nuisance = sample_nuisance(profile, program.timing, seed)
            yield Clip(portrait.render(program, nuisance), program.timing, portrait.moved(program))


def luma(frames: NDArray[np.uint8], place: int) -> NDArray[np.float64]:
    return np.asarray(frames[place][: frames.shape[1] * 2 // 3], np.float64)


def measure(clip: Clip, video: Video, fps: float) -> tuple[float, float, float, float, float]:
    timing = clip.timing
    start = time.perf_counter()
    data = encode(clip.frames, fps=fps, keyframes=keyframes(timing.onset, timing.apex), video=video).data
    encoding = time.perf_counter() - start
    start = time.perf_counter()
    decode_planes(data, first=max(0, timing.apex - 8), last=timing.apex + 7)
    window = time.perf_counter() - start
    decoded = decode_planes(data)
    meant = (luma(clip.frames, timing.apex) - luma(clip.frames, timing.onset))[clip.moved]
    shown = (luma(decoded, timing.apex) - luma(decoded, timing.onset))[clip.moved]
    error = np.mean((luma(decoded, timing.apex) - luma(clip.frames, timing.apex)) ** 2)
    kept = float(meant @ shown / (meant @ meant))
    return len(data) / 1000, 1000 * encoding, 1000 * window, 10 * np.log10(255**2 / error), kept


def main(subjects: Count = 6, *, presets: str = ",".join(PRESETS)) -> None:
    chosen = door.one_of(presets.split(","), list(PRESETS))
    cv2.setNumThreads(1)
    profile = load_profile("micro", subjects=subjects)
    made = list(clips(profile))
    heads = "preset | crf | KB a clip | ms to encode | ms to read 16 frames | apex PSNR, dB | motion kept"
    print(f"| {heads} |\n|{' --- |' * 7}")
    for video in (Video(crf, preset) for preset in chosen for crf in CRFS):
        rows = zip(*(measure(clip, video, profile.fps) for clip in made), strict=True)
        size, encoding, window, psnr, kept = (statistics.median(row) for row in rows)
        figures = f"{size:.0f} | {encoding:.0f} | {window:.1f} | {psnr:.1f} | {kept:.3f}"
        print(f"| {video.preset} | {video.crf} | {figures} |", flush=True)


if __name__ == "__main__":
    door.run(main)
