#!/usr/bin/env python3
"""Measure the audit on clips whose truth is known: timing, intensities, false alarms, planted faults, cost. Markdown.

Faces and programs have seeds that nothing was calibrated on. PORTRAITS is a folder of photographs; TIMES clips
are made per fault, up to three per emotion of every face, and up to two per AU.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import cv2
import door
import numpy as np
import typer
from door import Count, File
from planted import FAULTS, Actor, Take, actor, claim_of, good, performed

from equime_builder.audit.auditor import Auditor, open_auditor
from equime_builder.audit.claim import code
from equime_builder.audit.features import NAMES
from equime_builder.audit.responses import shipped_signatures
from equime_builder.audit.verdict import ALIKE, Audit
from equime_builder.encode import decode_planes, encode
from equime_builder.facs import EXPRESSIVE_AUS
from equime_builder.portraits import PortraitSource
from equime_builder.profiles import Profile, load_profile
from equime_builder.samples import keyframes
from equime_builder.scm import Activation, Program, sample_timing
from equime_builder.seeds import derive_seed
from equime_builder.sources.drawn import ProceduralSource
from equime_builder.sources.folder import FolderSource

SEED = 9_173
WIDE = (0.6, 3.0)
Judged = tuple[Take, Audit]


def actors(source: PortraitSource, profile: Profile) -> list[Actor]:
    return [actor(source.portrait(subject, profile.size)) for subject in source.survey(profile, SEED).subjects]


def judged(auditor: Auditor, takes: Iterator[Take]) -> list[Judged]:
    return [(take, auditor.judge(take.video, take.claim, take.portrait)) for take in takes]


def programs(cast: Sequence[Actor], profile: Profile, times: int, purpose: str) -> Iterator[Take]:
    """Clips as a build makes them: every emotion, `times` programs each, by every actor."""
    for number, who in enumerate(cast):
        for emotion in profile.emotions:
            for turn in range(times):
                yield good(who, profile, emotion, derive_seed(SEED, purpose, number, emotion, turn))


def alone(cast: Sequence[Actor], profile: Profile, times: int) -> Iterator[Take]:
    """Every AU alone, at intensities over a wide range."""
    for number, who in enumerate(cast):
        for au in EXPRESSIVE_AUS:
            for turn in range(times):
                seed = derive_seed(SEED, "alone", number, au, turn)
                intensity = round(float(np.random.default_rng(seed).uniform(*WIDE)), 3)
                program = Program((Activation(au, intensity),), sample_timing(profile, seed))
                yield Take(performed(who, profile, program, seed), claim_of(program), who.portrait, program)


def timing_rows(groups: dict[str, list[Judged]]) -> Iterator[str]:
    yield "| clips | n | onset | apex | offset | 95th percentile of each | duration, ms |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for name, pairs in groups.items():
        rows = []
        for take, audit in pairs:
            m, t = audit.measured, take.program.timing
            if m is not None and m.onset is not None and m.apex is not None and m.offset is not None:
                length = 1000 * ((m.offset - m.onset) - (t.offset - t.onset)) / t.fps
                rows.append((m.onset - t.onset, m.apex - t.apex, m.offset - t.offset, length))
        errors = np.abs(np.array(rows, float))
        middle, high = np.median(errors, axis=0), np.percentile(errors[:, :3], 95, axis=0)
        cells = " | ".join(f"{value:.2f}" for value in middle[:3])
        yield f"| {name} | {len(rows)} | {cells} | {', '.join(f'{v:.1f}' for v in high)} | {middle[3]:.0f} |"


def intensity_rows(single: list[Judged], together: list[Judged]) -> Iterator[str]:
    """Every AU, and those that look alike as one: by the sum of what is read of them."""
    yield "| AU | alone, n | r | measured / program | with others and without, n | acts in | r | false, 95% |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for group in (*((au,) for au in EXPRESSIVE_AUS), tuple(sorted(ALIKE))):
        one = np.array([pair for pair in pairs_of(single, group) if pair[0] > 0])
        every = np.array(list(pairs_of(together, group)))
        acts, ratio = every[:, 0] > 0, float(np.median(one[:, 1] / one[:, 0]))
        r_every = f"{np.corrcoef(every.T)[0, 1]:.2f}" if acts.any() else "–"
        name, false = " + ".join(map(str, group)), np.percentile(every[~acts, 1], 95)
        figures = f"{len(one)} | {np.corrcoef(one.T)[0, 1]:.2f} | {ratio:.2f} | {len(every)} | {acts.sum()}"
        yield f"| {name} | {figures} | {r_every} | {false:.2f} |"


def pairs_of(pairs: list[Judged], group: Sequence[int]) -> Iterator[tuple[float, float]]:
    """Intensity of some AUs in the program and as measured."""
    for take, audit in pairs:
        if audit.measured is not None and audit.measured.target is not None:
            acting = {a.au: a.intensity for a in take.program.activations}
            read = {int(au): value for au, value in audit.measured.others.items()}
            read |= {a.au: audit.measured.responses[code(a)] for a in take.claim.aus}
            yield sum(acting.get(au, 0.0) for au in group), sum(read[au] for au in group)


def alarm_rows(groups: dict[str, list[Judged]]) -> Iterator[str]:
    yield "| good clips | n | rejected | why |\n| --- | ---: | ---: | --- |"
    for name, pairs in groups.items():
        refused = [(take, audit) for take, audit in pairs if not audit.accepted]
        why = "; ".join(
            "+".join(str(a.au) for a in take.claim.aus) + f": {audit.reasons[0]}" for take, audit in refused[:4]
        )
        yield f"| {name} | {len(pairs)} | {len(refused)} | {why} |"


def fault_rows(auditor: Auditor, cast: Sequence[Actor], profile: Profile, times: int) -> Iterator[str]:
    yield "| planted fault | tried | rejected | with the right reason |\n| --- | ---: | ---: | ---: |"
    for name, (plant, word) in FAULTS.items():
        found = right = 0
        for turn in range(times):
            who, other = cast[turn % len(cast)], cast[(turn + 1 + turn // len(cast)) % len(cast)]
            other = cast[(turn + 1) % len(cast)] if other is who else other
            emotion = profile.emotions[(turn + turn // len(cast)) % len(profile.emotions)]
            take = plant(who, other, profile, emotion, derive_seed(SEED, name, turn))
            audit = auditor.judge(take.video, take.claim, take.portrait)
            found += not audit.accepted
            right += any(word in reason for reason in audit.reasons)
        yield f"| {name} | {times} | {found} | {right} |"


def cost_rows(auditor: Auditor, takes: Sequence[Take], profile: Profile) -> Iterator[str]:
    """Encoding and audit of the same clips in turn, one thread, processor time."""
    encoding, auditing = [], []
    for take in takes:
        frames, timing = decode_planes(take.video), take.program.timing
        start = time.process_time()
        video = encode(
            frames, fps=profile.fps, keyframes=keyframes(timing.onset, timing.apex), video=profile.video
        ).data
        middle = time.process_time()
        auditor.judge(video, take.claim, take.portrait)
        encoding.append(middle - start)
        auditing.append(time.process_time() - middle)
    yield f"| clips of {profile.frames} frames, {profile.size} px | encoding, ms | audit, ms | ratio |"
    yield "| ---: | ---: | ---: | ---: |"
    ratio = np.median(np.array(auditing) / np.array(encoding))
    yield f"| {len(takes)} | {1e3 * np.median(encoding):.0f} | {1e3 * np.median(auditing):.0f} | {ratio:.2f} |"


def signature_rows() -> Iterator[str]:
    """What answers most clearly to each AU: change at intensity 1, against the feature's own spread."""
    signatures = shipped_signatures()
    yield "| AU | blendshapes that rise | that fall | flow (IOD / 100), shade (%) |\n| --- | --- | --- | --- |"
    kinds = np.array([name.split()[0] for name in NAMES])
    for column, au in enumerate(EXPRESSIVE_AUS):
        change = signatures.matrix[:, column]
        clear = np.abs(change) / signatures.unrest
        order = [int(k) for k in np.argsort(-clear) if clear[k] > 0.4]
        scores = [k for k in order if kinds[k] == "blendshape"]
        up, down = ([k for k in scores if sign * change[k] > 0][:3] for sign in (1, -1))
        cells = [", ".join(f"{NAMES[k].split()[1]} {change[k]:+.2f}" for k in group) for group in (up, down)]
        geometry = [k for k in order if kinds[k] in ("flow", "shade")][:4]
        moved = ", ".join(f"{NAMES[k].removeprefix('flow ')} {100 * change[k]:+.1f}" for k in geometry)
        yield f"| {au} | {cells[0] or '–'} | {cells[1] or '–'} | {moved} |"


def show(title: str, rows: Iterator[str]) -> None:
    print(f"\n{title}\n", flush=True)
    for row in rows:
        print(row, flush=True)


def main(
    face_model: File,
    portraits: Annotated[Path | None, typer.Argument(exists=True, file_okay=False)] = None,
    times: Count = 24,
    *,
    drawn: Annotated[int, typer.Option(min=2)] = 6,
) -> None:
    cv2.setNumThreads(1)
    profile = load_profile("micro", subjects=drawn)
    casts = {"drawn": actors(ProceduralSource(), profile)}
    if portraits is not None:
        casts["photographs"] = actors(FolderSource(portraits, lambda: face_model), profile)
    everyone = [who for cast in casts.values() for who in cast]
    wide = replace(profile, intensity=WIDE)
    show("Signatures: what one AU at intensity 1 changes", signature_rows())
    with open_auditor(face_model, profile.audit) as auditor:
        groups = {name: judged(auditor, programs(cast, profile, min(3, times), name)) for name, cast in casts.items()}
        show("Timing: median absolute error in frames at 100 fps", timing_rows(groups))
        show("False alarms", alarm_rows(groups))
        single = judged(auditor, alone(everyone, wide, min(2, times)))
        together = judged(auditor, programs(everyone, wide, min(2, times), "wide"))
        show(f"Intensities {WIDE[0]}-{WIDE[1]}: measured against the program", intensity_rows(single, together))
        show("Planted faults", fault_rows(auditor, everyone, profile, times))
        show("Cost", cost_rows(auditor, [take for take, _ in next(iter(groups.values()))[:24]], profile))


if __name__ == "__main__":
    door.run(main)
