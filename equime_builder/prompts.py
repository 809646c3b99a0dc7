"""Prompts for text-guided generators, built from the program and kept within what their text encoder reads."""

from __future__ import annotations

import re

from equime_builder.facs import ACTION_UNITS, LETTERS, letter
from equime_builder.portraits import Attributes
from equime_builder.scm import Activation, Program

# LTX-Video reads 128 T5 tokens in its image-to-video pipeline and 256 in its condition pipeline, and cuts what is
# longer without an error. One limit for both: the same clip has the same prompt in either mode.
TOKEN_LIMIT = 128

NEGATIVE_PROMPT = (
    "head movement, camera movement, blinking, strong expression, talking, several faces, profile view, occlusion, "
    "sunglasses, hands, blur, flicker, distorted face, changing identity, compression artifacts, text, watermark, "
    "drawing, 3d render"
)

_STRENGTHS = dict(zip(LETTERS, ("trace", "slight", "marked", "severe", "maximum"), strict=True))
# What a prompt is told without when it is too long, the least important first.
_DROPPED = ("light", "age", "stillness", "timing", "names")
_LETTERS_PER_TOKEN = 4


def token_bound(text: str) -> int:
    """At least as many tokens as T5's vocabulary of 32,000 pieces makes of English text, the closing one included.

    Each digit and punctuation mark is counted as one token, each word as one per four letters begun: the vocabulary
    holds most words whole, and cuts the rest into longer pieces than that.
    """
    words = re.findall(r"[A-Za-z]+|[^A-Za-z\s]", text)
    return 1 + sum(-(-len(word) // _LETTERS_PER_TOKEN) for word in words)


def prompt(program: Program, emotion: str, attributes: Attributes, *, limit: int = TOKEN_LIMIT) -> str:
    """Still frame, neutral face, which AUs act where, how strongly and when, neutral again.

    Every AU is named with its side and strength. What is too long is told in fewer words, in a fixed order.

    Args:
        limit: most tokens, counted by `token_bound`.

    Raises:
        ValueError: even the shortest wording is longer than `limit`.
    """
    text = ""
    for count in range(len(_DROPPED) + 1):
        text = _wording(program, emotion, attributes, frozenset(_DROPPED[:count]))
        if token_bound(text) <= limit:
            return text
    raise ValueError(
        f"prompt of {token_bound(text)} tokens for {len(program.activations)} AUs must have at most {limit}"
    )


def _wording(program: Program, emotion: str, attributes: Attributes, without: frozenset[str]) -> str:
    noun = {"Woman": "woman", "Man": "man"}.get(attributes.gender or "", "person")
    age = None if "age" in without else attributes.age
    parts = [f"A static frontal portrait of a {noun}" + (f" of about {int(age)}" if age is not None else "")]
    parts[0] += " with a neutral face."
    if program.activations:
        parts += _event(program, emotion, without)
    if "stillness" not in without:
        parts.append("The head, hair and background stay still.")
    if "light" not in without:
        parts.append("Even light, locked camera.")
    return " ".join(parts)


def _event(program: Program, emotion: str, without: frozenset[str]) -> list[str]:
    acts = ", ".join(_act(activation, named="names" not in without) for activation in program.activations)
    timing = program.timing
    onset, apex, offset = (timing.milliseconds(frame) / 1000 for frame in (timing.onset, timing.apex, timing.offset))
    if "timing" in without:
        return [f"Then briefly a subtle micro-expression of {emotion}: {acts}.", "The face is neutral again."]
    return [
        f"At {onset:.2f} seconds a subtle micro-expression of {emotion} begins: {acts}.",
        f"It peaks at {apex:.2f} seconds, and from {offset:.2f} seconds on the face is neutral again.",
    ]


def _act(activation: Activation, *, named: bool) -> str:
    """``slight left lip corner puller AU12``, or without the name ``slight left AU12``."""
    strength, name = _STRENGTHS[letter(activation.intensity)], ACTION_UNITS[activation.au].name
    side = "" if activation.side == "both" else f"{activation.side} "
    return f"{strength} {side}{name + ' ' if named else ''}AU{activation.au}"
