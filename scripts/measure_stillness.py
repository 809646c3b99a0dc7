#!/usr/bin/env python3
"""Outside the moved regions, does the apex frame equal the neutral one?

PSNR (luma) between the neutral and the apex frame outside of what the program moves: as generated without nuisance, as
generated with sway and noise, and in the encoded clip.
"""

from __future__ import annotations

import statistics
from dataclasses import replace

import cv2
import door
import numpy as np
from door import Count
from numpy.typing import NDArray

from equime_builder.encode import decode_planes, encode
from equime_builder.generators.warped import WarpGenerator
from equime_builder.profiles import load_profile
from equime_builder.samples import keyframes
from equime_builder.scm import sample_nuisance, sample_program
from equime_builder.seeds import derive_seed
from equime_builder.sources.drawn import ProceduralSource


def psnr(frames: NDArray[np.uint8], one: int, other: int, where: NDArray[np.bool_]) -> float:
    height = where.shape[0]
    first, second = (frames[place][:height][where].astype(float) for place in (one, other))
    error = float(np.mean((first - second) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def main(subjects: Count = 8) -> None:
    cv2.setNumThreads(1)
    profile = load_profile("micro", subjects=subjects)
    quiet = replace(profile, sway_px=0.0, noise_sigma=0.0, blink_probability=0.0)
    source, generator = ProceduralSource(), WarpGenerator()
    rows: list[tuple[float, float, float, float]] = []
    for subject in source.survey(profile, 1).subjects:
        portrait = generator.prepare(source.portrait(subject, profile.size))
        for emotion in profile.emotions:
            seed = derive_seed("stillness", subject.subject, emotion)
            program = sample_program(profile, emotion, seed)
            still, apex = program.timing.onset, program.timing.apex
            outside = ~portrait.moved(program)
            bare = portrait.render(program, sample_nuisance(quiet, program.timing, seed))
            frames = portrait.render(program, sample_nuisance(profile, program.timing, seed))
            decoded = decode_planes(
                encode(frames, fps=profile.fps, keyframes=keyframes(still, apex), video=profile.video).data
            )
            figures = [psnr(which, still, apex, outside) for which in (bare, frames, decoded)]
            rows.append((figures[0], figures[1], figures[2], float(outside.mean())))
    exact, swayed, encoded, share = zip(*rows, strict=True)
    print(f"{len(rows)} clips; outside the moved regions lie {100 * statistics.median(share):.0f}% of the picture.\n")
    print("| neutral against apex, outside | identical | median PSNR, dB | least |\n| --- | ---: | ---: | ---: |")
    for name, values in (("as generated", exact), ("with sway and noise", swayed), ("encoded", encoded)):
        same = sum(np.isinf(value) for value in values)
        print(f"| {name} | {same} of {len(values)} | {statistics.median(values):.1f} | {min(values):.1f} |")


if __name__ == "__main__":
    door.run(main)
