"""Clips for the audit: good ones, and ones with a planted fault. All are rendered and encoded as a build does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_builder.audit.claim import Claim
from equime_builder.encode import decode_planes, encode
from equime_builder.facs import ACTION_UNITS, EXCLUSIVE, EXPRESSIVE_AUS, Side
from equime_builder.generators.warp import WarpRig, build_rig, render_clip
from equime_builder.generators.warp.planes import frame_planes
from equime_builder.landmarks import inter_ocular
from equime_builder.portraits import Portrait
from equime_builder.profiles import Profile
from equime_builder.samples import keyframes
from equime_builder.scm import (
    Activation,
    Nuisance,
    Program,
    Timing,
    do,
    sample_nuisance,
    sample_program,
    sided_curves,
)
from equime_builder.seeds import generator

Curves = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Actor:
    """A portrait with its rig, and another face that may be taken for it."""

    portrait: Portrait
    rig: WarpRig


def actor(portrait: Portrait) -> Actor:
    return Actor(portrait, build_rig(portrait.image, portrait.landmarks))


@dataclass(frozen=True, eq=False)
class Take:
    """A clip, what its label says, and what was performed in truth."""

    video: bytes
    claim: Claim
    portrait: Portrait
    program: Program


def claim_of(program: Program) -> Claim:
    t = program.timing
    return Claim(program.activations, t.onset, t.apex, t.offset, t.fps, t.frames)


def film(rig: WarpRig, left: Curves, right: Curves, nuisance: Nuisance, profile: Profile, timing: Timing) -> bytes:
    frames = render_clip(
        rig,
        left=left,
        right=right,
        sway=nuisance.sway,
        noise_seed=nuisance.noise_seed,
        noise_sigma=nuisance.noise_sigma,
    )
    return encode(frames, fps=profile.fps, keyframes=keyframes(timing.onset, timing.apex), video=profile.video).data


def performed(who: Actor, profile: Profile, program: Program, seed: int) -> bytes:
    nuisance = sample_nuisance(profile, program.timing, seed)
    return film(who.rig, *sided_curves(program, nuisance), nuisance, profile, program.timing)


def good(who: Actor, profile: Profile, emotion: str, seed: int) -> Take:
    """A clip as a build makes it."""
    program = sample_program(profile, emotion, seed)
    return Take(performed(who, profile, program, seed), claim_of(program), who.portrait, program)


Fault = Callable[[Actor, Actor, Profile, str, int], Take]


def _refilmed(
    take: Program, who: Actor, profile: Profile, seed: int, change: Callable[[Curves, Timing], Curves]
) -> bytes:
    """A program with its curves changed, each side alike."""
    nuisance = sample_nuisance(profile, take.timing, seed)
    left, right = (change(curve, take.timing) for curve in sided_curves(take, nuisance))
    return film(who.rig, left, right, nuisance, profile, take.timing)


def frozen(who: Actor, other: Actor, profile: Profile, emotion: str, seed: int) -> Take:
    """Nothing moves but sway and noise."""
    program = sample_program(profile, emotion, seed)
    still = replace(program, activations=())
    return Take(performed(who, profile, still, seed), claim_of(program), who.portrait, still)


def faint(who: Actor, other: Actor, profile: Profile, emotion: str, seed: int) -> Take:
    """The AUs act at a tenth of their claimed intensity."""
    program = sample_program(profile, emotion, seed)
    weak = replace(program, activations=tuple(replace(a, intensity=a.intensity / 10) for a in program.activations))
    return Take(performed(who, profile, weak, seed), claim_of(program), who.portrait, weak)


def wrong_au(who: Actor, other: Actor, profile: Profile, emotion: str, seed: int) -> Take:
    """Every claimed AU is replaced by one that is not claimed."""
    program = sample_program(profile, emotion, seed)
    claimed = {a.au for a in program.activations}
    rng = generator(seed, "wrong au")
    order = [au for au in rng.permutation(EXPRESSIVE_AUS).tolist() if au not in claimed]
    chosen: list[int] = []
    for au in order:
        if len(chosen) < len(claimed) and not any(pair <= {*chosen, au} for pair in EXCLUSIVE):
            chosen.append(au)
    swapped = tuple(
        Activation(au, a.intensity, a.side if ACTION_UNITS[au].lateral else "both")
        for au, a in zip(sorted(chosen), program.activations, strict=True)
    )
    false = replace(program, activations=swapped)
    return Take(performed(who, profile, false, seed), claim_of(program), who.portrait, false)


def wrong_side(who: Actor, other: Actor, profile: Profile, emotion: str, seed: int) -> Take:
    """The left side acts, the right one is claimed, or the other way round."""
    program = sample_program(profile, emotion, seed)
    lateral = tuple(a for a in program.activations if ACTION_UNITS[a.au].lateral)
    lateral = lateral or (Activation(12, program.activations[0].intensity),)
    sides: tuple[Side, Side] = ("left", "right") if seed % 2 else ("right", "left")
    one, two = sides
    acted = replace(program, activations=tuple(replace(a, side=one) for a in lateral))
    told = replace(program, activations=tuple(replace(a, side=two) for a in lateral))
    return Take(performed(who, profile, acted, seed), claim_of(told), who.portrait, acted)


def one_au_missing(who: Actor, other: Actor, profile: Profile, emotion: str, seed: int) -> Take:
    """One AU is claimed besides those that act."""
    program = sample_program(profile, emotion, seed)
    false = _one_more(program, seed)
    return Take(performed(who, profile, program, seed), claim_of(false), who.portrait, program)


def one_au_too_many(who: Actor, other: Actor, profile: Profile, emotion: str, seed: int) -> Take:
    """One AU acts besides those that are claimed."""
    program = sample_program(profile, emotion, seed)
    more = _one_more(program, seed)
    return Take(performed(who, profile, more, seed), claim_of(program), who.portrait, more)


def _one_more(program: Program, seed: int) -> Program:
    acting = {a.au for a in program.activations}
    allowed = [au for au in EXPRESSIVE_AUS if au not in acting and not any(pair <= acting | {au} for pair in EXCLUSIVE)]
    au = int(generator(seed, "one more").choice(allowed))
    return do(program, au, max(a.intensity for a in program.activations))


def slide(who: Actor, other: Actor, profile: Profile, emotion: str, seed: int) -> Take:
    """The head slides by 6 to 12% of the inter-ocular distance during the clip."""
    rng = generator(seed, "slide")
    angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.06, 0.12) * inter_ocular(who.portrait.landmarks)
    return _swayed(who, profile, emotion, seed, far * np.array([np.cos(angle), np.sin(angle), 0]))


def roll(who: Actor, other: Actor, profile: Profile, emotion: str, seed: int) -> Take:
    """The head tilts by 6 to 10 degrees about the eyes during the clip."""
    rng = generator(seed, "roll")
    return _swayed(who, profile, emotion, seed, np.array([0, 0, np.radians(rng.choice((-1, 1)) * rng.uniform(6, 10))]))


def _swayed(who: Actor, profile: Profile, emotion: str, seed: int, way: NDArray[np.float64]) -> Take:
    """A clip in which the head goes a way (3,), as in `Nuisance.sway`, from its first frame to its last."""
    program = sample_program(profile, emotion, seed)
    nuisance = sample_nuisance(profile, program.timing, seed)
    sway = nuisance.sway + np.linspace(0, 1, program.timing.frames)[:, None] * way
    moved = replace(nuisance, sway=sway.astype(np.float32))
    video = film(who.rig, *sided_curves(program, moved), moved, profile, program.timing)
    return Take(video, claim_of(program), who.portrait, program)


def zoom(who: Actor, other: Actor, profile: Profile, emotion: str, seed: int) -> Take:
    """The head comes nearer, by 10 to 20% of its size, during the clip."""
    take = good(who, profile, emotion, seed)
    frames, timing = decode_planes(take.video), take.program.timing
    growth = np.linspace(0, float(generator(seed, "zoom").uniform(0.1, 0.2)), len(frames))
    for frame, more in zip(frames, growth, strict=True):
        for plane in frame_planes(frame, (profile.size, profile.size)):
            middle = (plane.shape[1] - 1) / 2
            matrix = cv2.getRotationMatrix2D((middle, middle), 0, 1 + more)
            plane[:] = cv2.warpAffine(plane, matrix, plane.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    marks = keyframes(timing.onset, timing.apex)
    return replace(take, video=encode(frames, fps=profile.fps, keyframes=marks, video=profile.video).data)


def no_return(who: Actor, other: Actor, profile: Profile, emotion: str, seed: int) -> Take:
    """After the plateau, 60 to 100% of the peak stays to the end."""
    program = sample_program(profile, emotion, seed)
    share = float(generator(seed, "no return").uniform(0.6, 1.0))

    def held(curve: Curves, timing: Timing) -> Curves:
        kept = curve.copy()
        kept[timing.hold :] = np.maximum(kept[timing.hold :], share * curve[timing.apex])
        return kept

    return Take(_refilmed(program, who, profile, seed, held), claim_of(program), who.portrait, program)


def too_long(who: Actor, other: Actor, profile: Profile, emotion: str, seed: int) -> Take:
    """The event takes 700 to 850 ms, and its label says so."""
    program = sample_program(profile, emotion, seed)
    frames, fps = profile.frames, profile.fps
    onset = round(0.18 * frames)
    total = min(round(float(generator(seed, "too long").uniform(0.70, 0.85)) * fps), frames - onset - 8)
    apex = onset + round(0.45 * total)
    timing = Timing(onset, apex, apex + round(0.04 * fps), onset + total, frames, fps)
    long = replace(program, timing=timing)
    return Take(performed(who, profile, long, seed), claim_of(long), who.portrait, long)


def other_face(who: Actor, other: Actor, profile: Profile, emotion: str, seed: int) -> Take:
    """Another subject performs the program."""
    program = sample_program(profile, emotion, seed)
    return Take(performed(other, profile, program, seed), claim_of(program), who.portrait, program)


def blink_inside(who: Actor, other: Actor, profile: Profile, emotion: str, seed: int) -> Take:
    """A blink begins during the event."""
    program = sample_program(profile, emotion, seed)
    timing = program.timing
    start = int(generator(seed, "blink").integers(timing.onset, max(timing.onset + 1, timing.offset - 10)))
    blinking = replace(sample_nuisance(profile, timing, seed), blink=start)
    video = film(who.rig, *sided_curves(program, blinking), blinking, profile, timing)
    return Take(video, claim_of(program), who.portrait, program)


def wrong_time(who: Actor, other: Actor, profile: Profile, emotion: str, seed: int) -> Take:
    """The label lies 120 to 200 ms beside the event."""
    take = good(who, profile, emotion, seed)
    rng = generator(seed, "wrong time")
    shift = round(float(rng.uniform(0.12, 0.20)) * profile.fps) * int(rng.choice((-1, 1)))
    timing = take.program.timing
    if timing.onset + shift < 0 or timing.offset + shift >= timing.frames:
        shift = -shift
    moved = replace(take.claim, onset=timing.onset + shift, apex=timing.apex + shift, offset=timing.offset + shift)
    return replace(take, claim=moved)


def cut_short(who: Actor, other: Actor, profile: Profile, emotion: str, seed: int) -> Take:
    """The file ends 20 frames before it should."""
    program = sample_program(profile, emotion, seed)
    nuisance = sample_nuisance(profile, program.timing, seed)
    left, right = sided_curves(program, nuisance)
    short = replace(nuisance, sway=nuisance.sway[:-20])
    video = film(who.rig, left[:-20], right[:-20], short, profile, program.timing)
    return Take(video, claim_of(program), who.portrait, program)


def wrong_rate(who: Actor, other: Actor, profile: Profile, emotion: str, seed: int) -> Take:
    """The file plays at half the frame rate that is claimed."""
    program = sample_program(profile, emotion, seed)
    nuisance = sample_nuisance(profile, program.timing, seed)
    curves = sided_curves(program, nuisance)
    video = film(who.rig, *curves, nuisance, replace(profile, fps=profile.fps / 2), program.timing)
    return Take(video, claim_of(program), who.portrait, program)


def damaged(who: Actor, other: Actor, profile: Profile, emotion: str, seed: int) -> Take:
    """The second half of the file is missing."""
    take = good(who, profile, emotion, seed)
    return replace(take, video=take.video[: len(take.video) // 2])


# Name of a fault, what plants it, and a word of the reason that the verdict must give.
FAULTS: dict[str, tuple[Fault, str]] = {
    "frozen clip": (frozen, "show"),
    "a tenth of the intensity": (faint, "show"),
    "wrong AU": (wrong_au, "AU"),
    "wrong side": (wrong_side, "AU"),
    "one claimed AU missing": (one_au_missing, "does not show"),
    "one AU too many": (one_au_too_many, "not claimed"),
    "head slides": (slide, "head moves"),
    "head tilts": (roll, "head moves"),
    "head comes nearer": (zoom, "head moves"),
    "no return": (no_return, "no return"),
    "too long": (too_long, "too long"),
    "other face": (other_face, "another face"),
    "blink inside the event": (blink_inside, "blink inside"),
    "label beside the event": (wrong_time, "claimed"),
    "clip cut short": (cut_short, "frames"),
    "wrong frame rate": (wrong_rate, "fps"),
    "damaged file": (damaged, ""),
}
