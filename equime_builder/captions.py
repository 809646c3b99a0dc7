"""Captions, built from the program so that the text says what was caused and nothing else."""

from __future__ import annotations

from equime_builder.facs import LETTERS, SIDE_PREFIX, letter
from equime_builder.portraits import Attributes
from equime_builder.prompts import NEGATIVE_PROMPT, prompt  # noqa: F401
from equime_builder.scm import Activation, Program

_WORDS = dict(zip(LETTERS, ("trace", "slight", "marked", "severe", "maximum"), strict=True))
_ACTIONS = {
    1: "raises the inner brows", 2: "raises the outer brows", 4: "lowers the brows and draws them together",
    5: "raises the upper lids", 6: "raises the cheeks", 7: "tightens the lids", 9: "wrinkles the nose",
    10: "raises the upper lip", 12: "pulls the lip corners up", 14: "dimples the lip corners",
    15: "pulls the lip corners down", 17: "pushes the chin up", 20: "stretches the lips", 23: "tightens the lips",
    24: "presses the lips together", 25: "parts the lips", 26: "drops the jaw",
}  # fmt: skip


def au_text(program: Program) -> str:
    """The AUs in FACS notation: ``4A+L12B``; ``0`` for none."""
    return "+".join(f"{SIDE_PREFIX[a.side]}{a.au}{letter(a.intensity)}" for a in program.activations) or "0"


def _person(attributes: Attributes) -> str:
    noun = {"Woman": "woman", "Man": "man"}.get(attributes.gender or "", "person")
    return f"a {noun}" + (f" of about {attributes.age:.0f}" if attributes.age is not None else "")


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _action(activation: Activation) -> str:
    side = "" if activation.side == "both" else f" on the {activation.side}"
    return f"{_ACTIONS[activation.au]}{side} (AU{activation.au}, {_WORDS[letter(activation.intensity)]})"


def caption(program: Program, emotion: str, attributes: Attributes) -> str:
    """One sentence: who, when, which AUs, how strong."""
    timing = program.timing
    start, apex, end = (timing.milliseconds(frame) for frame in (timing.onset, timing.apex, timing.offset))
    who = _person(attributes).capitalize()
    if not program.activations:
        return f"{who} keeps a neutral face."
    return (
        f"{who} {_listed([_action(activation) for activation in program.activations])} for {end - start:.0f} ms, "
        f"with the apex {apex - start:.0f} ms after the onset at {start:.0f} ms, and returns to neutral: "
        f"a micro-expression of {emotion}."
    )
