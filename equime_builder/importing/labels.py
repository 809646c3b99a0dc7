"""What the schema says of an event: labels from the corpus, nulls where only a build would know."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from equime_builder.encode import CODEC
from equime_builder.importing.plan import SPLIT, PlannedClip, emotion_of
from equime_builder.origins import IMPORTED
from equime_builder.portraits import NOBODY
from equime_loader.corpora.aus import AUCoding
from equime_loader.corpora.events import CorpusEvent
from equime_loader.schema import LABELS


@dataclass(frozen=True, slots=True)
class Footage:
    """The finished video of a clip: `first`, the recording's number of its first frame, and what it is."""

    data: bytes
    first: int
    frames: int
    width: int
    height: int
    fps: float


def labels_of(clip: PlannedClip, footage: Footage, *, license: str) -> dict[str, Any]:
    """All labels of a sample.

    Args:
        license: of the corpus, in a few words.
    """
    event = clip.event
    caption = caption_of(event)
    return {
        **dict.fromkeys(field.name for field in LABELS),
        "key": clip.key,
        "split": SPLIT,
        "subject": clip.subject,
        "portrait": hashlib.sha256(clip.subject.encode()).hexdigest()[:16],
        "emotion": emotion_of(event, "seven"),
        "three_class": emotion_of(event, "three"),
        "aus": activations(event.aus),
        "au_text": "" if event.aus is None else str(event.aus),
        **_moments(event, footage),
        "caption": caption,
        "captions": [caption],
        "prompt": "",
        "negative_prompt": "",
        "gender_judged_by": NOBODY,
        "race_judged_by": NOBODY,
        "age_judged_by": NOBODY,
        "codec": CODEC,
        "width": footage.width,
        "height": footage.height,
        "fps": footage.fps,
        "frames": footage.frames,
        "duration_s": footage.frames / footage.fps,
        "size_bytes": len(footage.data),
        "bitrate_kbps": len(footage.data) * 8 / 1000 * footage.fps / footage.frames,
        "profile": event.corpus,
        "generator": IMPORTED,
        "seed": 0,
        "attempt": 0,
        "source": event.corpus,
        "timing_by": event.timing_by,
        "expression": event.expression,
        "corpus": event.corpus,
        "corpus_subject": event.subject,
        "corpus_clip": event.clip,
        "corpus_label": event.label,
        "au_coding": event.au_text,
        "objective_class": event.objective_class,
        "publication": event.publication,
        "license": license,
    }


def _moments(event: CorpusEvent, footage: Footage) -> dict[str, Any]:
    frames = {name: getattr(event, name) - footage.first for name in ("onset", "apex", "offset")}
    times = {f"{name}_ms": 1000 * frame / footage.fps for name, frame in frames.items()}
    return {**{f"{name}_frame": frame for name, frame in frames.items()}, **times}


def activations(coding: AUCoding | None) -> list[dict[str, Any]] | None:
    """AUs that the coder was sure of, as the schema has them; no descriptors, no movements of the head.

    None where nothing was coded, or nothing but `?`, words, and AUs that the coder was not sure of.
    """
    if coding is None or not any(action in coding.certain or action.kept for action in coding.actions):
        return None
    return [
        {"au": action.au, "side": action.side, "intensity": action.strength}
        for action in coding.certain
        if action.kind == "AU"
    ]


def caption_of(event: CorpusEvent) -> str:
    """The clip in a sentence."""
    what = f"A {event.expression}-expression"
    label = f" labeled {event.label.replace('+', ' and ')}" if event.label else ""
    acting = dict.fromkeys(f"AU{action['au']}" for action in activations(event.aus) or ())
    return f"{', '.join([what + label, *acting])}."
