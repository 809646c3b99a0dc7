"""One planned clip to one finished sample: program, frames, encoding, measurement, labels."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equime_builder.captions import au_text, captions
from equime_builder.encode import CODEC, EncodedClip, decode_planes, encode
from equime_builder.generators.protocol import ClipRequest, Generator, PreparedPortrait
from equime_builder.plan import PlannedClip
from equime_builder.portraits import PROBABILITIES, Attributes, Subject
from equime_builder.profiles import Profile
from equime_builder.prompts import NEGATIVE_PROMPT, prompt
from equime_builder.scm import (
    Nuisance,
    Program,
    derive_label,
    intervention,
    sample_nuisance,
    sample_program,
    sided_curves,
)
from equime_builder.seeds import derive_seed
from equime_loader.schema import FIELDS, LABELS, THREE_CLASS_OF, age_group, check_labels

# An event that the encoder erased is no label: the apex must differ from the onset in the moved region at least this
# many times as much as elsewhere.
LEAST_MOTION_RATIO = 1.1
FRAMES_BEFORE_APEX = 8
CORPUS = "equime"
# A micro-expression lasts at most half a second (Yan et al. 2013).
MICRO_MS = 500


class ClipRejected(ValueError):
    """A clip whose label cannot be seen in its frames; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A finished sample: `labels` by field, the MP4, and AU curves (T, AUs) float16."""

    labels: dict[str, Any]
    video: bytes
    curves: NDArray[np.float16]

    @property
    def key(self) -> str:
        return str(self.labels["key"])


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """The causes of one attempt at a clip: `change` is the intervention of an ablation."""

    number: int
    program_seed: int
    change: str | None
    request: ClipRequest


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the finished, encoded clip shows at its apex: see the schema's fields of the same names."""

    motion_psnr_db: float
    motion_inside: float
    motion_outside: float


def draw_attempt(
    profile: Profile, clip: PlannedClip, subject: Subject, portrait: PreparedPortrait, number: int
) -> Attempt:
    """The causes of the clip's first (0) or a later attempt.

    Attempts after the first draw nuisance and generator noise anew. The program is drawn anew only where no other clip
    shares it: members of a counterfactual group differ in one cause and in nothing else.
    """
    program_seed = attempt_seed(clip.program_seed, 0 if clip.counterfactual_group else number)
    nuisance_seed = attempt_seed(clip.nuisance_seed, number)
    program, change = program_of(profile, clip, program_seed)
    request = ClipRequest(
        portrait,
        program,
        sample_nuisance(profile, program.timing, nuisance_seed),
        clip.emotion,
        prompt(program, clip.emotion, subject.attributes),
        NEGATIVE_PROMPT,
        derive_seed(nuisance_seed, "generator"),
    )
    return Attempt(number, program_seed, change, request)


def attempt_seed(seed: int, number: int) -> int:
    """Seed of an attempt; the first keeps the plan's."""
    return derive_seed(seed, "attempt", number) if number else seed


def program_of(profile: Profile, clip: PlannedClip, seed: int | None = None) -> tuple[Program, str | None]:
    """The clip's program (of the planned seed or another) and, for an ablation, the intervention that made it."""
    seed = clip.program_seed if seed is None else seed
    program = sample_program(profile, clip.emotion, seed)
    if not clip.ablation:
        return program, None
    change = intervention(program, profile, clip.ablation, seed)
    return change.apply(program), str(change)


def make_sample(
    profile: Profile,
    clip: PlannedClip,
    subject: Subject,
    source: str,
    generator: Generator,
    attempt: Attempt,
    frames: NDArray[np.uint8],
) -> Sample:
    """Encode, measure and label what was drawn; a pure function of its arguments.

    Raises:
        ClipRejected: the finished clip does not show its label.
    """
    request = attempt.request
    program, nuisance = request.program, request.nuisance if generator.keeps_nuisance else None
    encoded = encode(
        frames, fps=profile.fps, keyframes=keyframes(program.timing.onset, program.timing.apex), video=profile.video
    )
    moved = request.portrait.moved(program)
    measured = measure(encoded.data, frames, program, moved) if program.activations else None
    left, right = sided_curves(program, nuisance)
    labels = dict.fromkeys(field.name for field in LABELS)
    labels |= _program_labels(profile, clip, attempt)
    labels |= {**_subject_labels(subject), "source": source, "portrait": portrait_id(subject, source)}
    labels |= _video_labels(profile, encoded, nuisance)
    labels |= {"prompt": request.prompt, "negative_prompt": request.negative_prompt}
    texts = captions(program, clip.emotion, subject.attributes)
    labels |= {"caption": texts[0], "captions": list(texts)}
    labels |= {"generator": generator.name, "model": generator.model, "model_revision": generator.revision}
    if measured is not None:
        labels |= {name: getattr(measured, name) for name in Measurement.__slots__}
    check_labels(labels)
    return Sample(labels, encoded.data, np.maximum(left, right).astype(np.float16))


def keyframes(onset: int, apex: int) -> tuple[int, ...]:
    """Where readers begin: at the onset, and where the field's usual window of 16 frames around the apex begins.

    Two that lie closer than four frames are one: decoding those frames costs less than another key frame.
    """
    first, second = sorted((onset, max(0, apex - FRAMES_BEFORE_APEX)))
    return (first,) if second - first < 4 else (first, second)


def measure(data: bytes, frames: NDArray[np.uint8], program: Program, moved: NDArray[np.bool_]) -> Measurement:
    """Compare onset and apex of the encoded clip, and its apex with the frame that was meant (luma).

    Raises:
        ClipRejected: the clip does not decode, or its label's motion does not stand out.
    """
    timing, height = program.timing, moved.shape[0]
    rise = timing.apex - timing.onset
    decoded = decode_planes(data, first=timing.onset, last=timing.apex, step=rise)
    if len(decoded) != 2:
        raise ClipRejected(f"onset {timing.onset} and apex {timing.apex} do not both decode")
    first, apex = (planes[:height].astype(np.float32) for planes in decoded)
    error = float(np.mean((apex - frames[timing.apex][:height]) ** 2))
    change = np.abs(apex - first)
    inside = float(change[moved].mean()) if moved.any() else 0.0
    outside = float(change[~moved].mean()) if not moved.all() else 0.0
    if inside < LEAST_MOTION_RATIO * outside:
        raise ClipRejected(f"the apex differs by {inside:.2f} gray levels where the AUs move, {outside:.2f} elsewhere")
    return Measurement(10 * np.log10(255**2 / max(error, 1e-6)), inside, outside)


def _program_labels(profile: Profile, clip: PlannedClip, attempt: Attempt) -> dict[str, Any]:
    program = attempt.request.program
    timing = program.timing
    frames = {"onset": timing.onset, "apex": timing.apex, "offset": timing.offset}
    return {
        "key": clip.key,
        "split": clip.split,
        "emotion": clip.emotion,
        "derived_emotion": derive_label(program, profile, attempt.program_seed),
        "three_class": THREE_CLASS_OF[clip.emotion],
        "aus": [{"au": a.au, "side": a.side, "intensity": a.intensity} for a in program.activations],
        "au_text": au_text(program),
        **{f"{name}_frame": frame for name, frame in frames.items()},
        **{f"{name}_ms": timing.milliseconds(frame) for name, frame in frames.items()},
        "profile": profile.name,
        "seed": attempt.program_seed,
        "attempt": attempt.number,
        "counterfactual_group": clip.counterfactual_group,
        "intervention": attempt.change,
        "timing_by": "program",
        "expression": "micro" if timing.milliseconds(timing.offset - timing.onset) <= MICRO_MS else "macro",
        "corpus": CORPUS,
    }


def portrait_id(subject: Subject, source: str) -> str:
    """What names a portrait wherever it is used: by its file's bytes, or by the seed that draws it."""
    return subject.sha256[:16] or hashlib.sha256(f"{source}:{subject.reference}".encode()).hexdigest()[:16]


def _subject_labels(subject: Subject) -> dict[str, Any]:
    attributes = subject.attributes
    return {
        "subject": subject.person,
        "apparent_gender": attributes.gender,
        "gender_judged_by": attributes.judge("gender"),
        "gender_probabilities": _probabilities("gender_probabilities", attributes),
        "apparent_race": attributes.race,
        "race_judged_by": attributes.judge("race"),
        "race_probabilities": _probabilities("race_probabilities", attributes),
        "apparent_age": None if attributes.age is None else attributes.age,
        "age_group": None if attributes.age is None else age_group(attributes.age),
        "age_judged_by": attributes.judge("age"),
        "probabilities_by": attributes.judged_by.get(PROBABILITIES),
        "license": subject.license,
    }


def _probabilities(name: str, attributes: Attributes) -> dict[str, float | None] | None:
    given = getattr(attributes, name)
    if given is None:
        return None
    words = next(field.kind.names for field in FIELDS if field.name == name)
    return {word: given.get(word) for word in words}


def _video_labels(profile: Profile, encoded: EncodedClip, nuisance: Nuisance | None) -> dict[str, Any]:
    return {
        "codec": CODEC,
        "width": profile.size,
        "height": profile.size,
        "fps": profile.fps,
        "frames": profile.frames,
        "duration_s": encoded.duration_s,
        "size_bytes": len(encoded.data),
        "bitrate_kbps": encoded.bitrate_kbps,
        "sway_px": None if nuisance is None else float(np.abs(nuisance.sway[:, :2]).max()),
        "blink_frame": None if nuisance is None else nuisance.blink,
        "noise_sigma": None if nuisance is None else nuisance.noise_sigma,
    }


def npy(array: NDArray[np.float16]) -> bytes:
    """An array in NumPy's own format, without pickle."""
    target = io.BytesIO()
    np.lib.format.write_array(target, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return target.getvalue()
