#!/usr/bin/env python3
"""Measure the signatures of the Action Units: what each, at intensity 1, does to the features that the audit reads.

Drawn faces perform every AU alone at several intensities; the clips are encoded, decoded and looked at as the audit
does. The faces' seeds are used nowhere else. Writes the table that ships with the package, or TABLE.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import door
import numpy as np
from door import Count, File, Target
from numpy.typing import NDArray

from equime_builder.audit.footage import read_footage
from equime_builder.audit.looking import Look
from equime_builder.audit.responses import fit_signatures, write_signatures
from equime_builder.encode import encode
from equime_builder.facs import EXPRESSIVE_AUS
from equime_builder.generators.warp import WarpRig, build_rig
from equime_builder.generators.warped import PreparedWarp
from equime_builder.landmarks import Landmarker, open_landmarker
from equime_builder.profiles import Profile, load_profile
from equime_builder.scm import Activation, Program, Timing, sample_nuisance
from equime_builder.seeds import derive_seed
from equime_builder.sources.drawn import ProceduralSource

TABLE = Path(__file__).parents[1] / "equime_builder" / "data" / "audit" / "signatures.csv"
SEED = 40_499
INTENSITIES = (0.8, 1.2, 1.5, 1.8)
TIMING = Timing(onset=5, apex=11, hold=14, offset=18, frames=20, fps=100.0)
NEUTRAL, RISING, APEX = (1, 3, 4), (8,), (12, 13, 14)


def filmed(rig: WarpRig, program: Program, profile: Profile, seed: int) -> bytes:
    """A short encoded clip of a program, with the profile's sway and noise."""
    nuisance = sample_nuisance(profile, program.timing, seed)
    frames = PreparedWarp(rig).render(program, nuisance)
    return encode(frames, fps=profile.fps, keyframes=(program.timing.onset,), video=profile.video).data


def observed(landmarker: Landmarker, video: bytes) -> NDArray[np.float64] | None:
    """Features (2, F) of such a clip, None where no face is found."""
    look = Look(read_footage(video), landmarker)
    rest, apex = look.face(NEUTRAL), look.face(APEX)
    return None if rest is None or apex is None else look.compare(rest, apex, RISING)[0]


def measure(face_model: Path, subjects: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Features (N, 2, F) and intensities (N, AUs) of the clips."""
    profile = load_profile("micro", subjects=subjects, blink_probability=0.0)
    source = ProceduralSource()
    found, known = [], []
    with open_landmarker(face_model) as landmarker:
        for subject in source.survey(profile, SEED).subjects:
            portrait = source.portrait(subject, profile.size)
            rig = build_rig(portrait.image, portrait.landmarks)
            for column, au in enumerate(EXPRESSIVE_AUS):
                for intensity in INTENSITIES:
                    program = Program((Activation(au, intensity),), TIMING)
                    seed = derive_seed(SEED, subject.subject, au, round(100 * intensity))
                    halves = observed(landmarker, filmed(rig, program, profile, seed))
                    if halves is not None:
                        found.append(halves)
                        known.append(np.eye(len(EXPRESSIVE_AUS))[column] * intensity)
    return np.array(found), np.array(known)


def main(face_model: File, subjects: Count = 12, table: Target = TABLE) -> None:
    cv2.setNumThreads(1)
    features, intensities = measure(face_model, subjects)
    table.write_text(write_signatures(fit_signatures(features, intensities)), encoding="utf-8")
    print(f"{len(features)} clips of {subjects} drawn faces: {table.name}")


if __name__ == "__main__":
    door.run(main)
