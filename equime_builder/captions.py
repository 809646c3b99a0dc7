"""Captions, built from the program so that the text says what was caused and nothing else.

`caption` is the clip in a sentence; `captions` are paraphrases for video-text training, which state the same causes in
other words: at the level of Action Units, in plain language, and of each one that names no emotion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from equime_builder.facs import ACTION_UNITS, LETTERS, SIDE_PREFIX, letter
from equime_builder.portraits import Attributes
from equime_builder.scm import Activation, Program

_WORDS = dict(zip(LETTERS, ("trace", "slight", "marked", "severe", "maximum"), strict=True))
_ADVERBS = dict(zip(LETTERS, ("barely", "slightly", "clearly", "strongly", "fully"), strict=True))
_AMOUNTS = dict(zip(LETTERS, ("by a trace", "a little", "noticeably", "severely", "to the utmost"), strict=True))
_ACTIONS = {
    1: "raises the inner brows", 2: "raises the outer brows", 4: "lowers the brows and draws them together",
    5: "raises the upper lids", 6: "raises the cheeks", 7: "tightens the lids", 9: "wrinkles the nose",
    10: "raises the upper lip", 12: "pulls the lip corners up", 14: "dimples the lip corners",
    15: "pulls the lip corners down", 17: "pushes the chin up", 20: "stretches the lips", 23: "tightens the lips",
    24: "presses the lips together", 25: "parts the lips", 26: "drops the jaw",
}  # fmt: skip
# What a person does and what happens in the face; after the bar, on one side only.
_DOES = {
    1: "raises the inner brows|raises the inner brow",
    2: "raises the outer brows|raises the outer brow",
    4: "lowers the brows and draws them together|lowers the brow and draws it inward",
    5: "raises the upper eyelids|raises the upper eyelid",
    6: "raises the cheeks|raises the cheek",
    7: "tightens the eyelids",
    9: "wrinkles the nose",
    10: "raises the upper lip",
    12: "pulls the corners of the mouth up|pulls the corner of the mouth up",
    14: "dimples the corners of the mouth|dimples the corner of the mouth",
    15: "pulls the corners of the mouth down|pulls the corner of the mouth down",
    17: "pushes the chin up",
    20: "stretches the lips sideways",
    23: "tightens the lips",
    24: "presses the lips together",
    25: "parts the lips",
    26: "drops the jaw",
}
_HAPPENS = {
    1: "the inner brows rise|the inner brow rises",
    2: "the outer brows rise|the outer brow rises",
    4: "the brows lower and draw together|the brow lowers and draws inward",
    5: "the upper eyelids rise|the upper eyelid rises",
    6: "the cheeks rise|the cheek rises",
    7: "the eyelids tighten",
    9: "the nose wrinkles",
    10: "the upper lip rises",
    12: "the corners of the mouth go up|the corner of the mouth goes up",
    14: "the corners of the mouth dimple|the corner of the mouth dimples",
    15: "the corners of the mouth go down|the corner of the mouth goes down",
    17: "the chin pushes up",
    20: "the lips stretch sideways",
    23: "the lips tighten",
    24: "the lips press together",
    25: "the lips part",
    26: "the jaw drops",
}
_DECADES = ("twenties", "thirties", "forties", "fifties", "sixties", "seventies", "eighties", "nineties")
_NUMBERS = ("a tenth", "two tenths", "three tenths", "four tenths", "half", "six tenths", "seven tenths")


@dataclass(frozen=True, slots=True)
class Form:
    """A way to put a clip into words.

    Attributes:
        aus: whether Action Units are named by their numbers. emotion: whether the emotion is named.
        event: the sentence where AUs act. neutral: the sentence where none does, with the person in its place.
    """

    aus: bool
    emotion: bool
    event: Callable[[Program, str, Attributes], str]
    neutral: Callable[[Attributes], str]


def au_text(program: Program) -> str:
    """The AUs in FACS notation: ``4A+L12B``; ``0`` for none."""
    return "+".join(f"{SIDE_PREFIX[a.side]}{a.au}{letter(a.intensity)}" for a in program.activations) or "0"


def caption(program: Program, emotion: str, attributes: Attributes) -> str:
    """One sentence: who, when, which AUs, how strong."""
    return _written(FORMS["actions"], program, emotion, attributes)


def captions(program: Program, emotion: str, attributes: Attributes) -> tuple[str, ...]:
    """Paraphrases, one of each of `FORMS` in their order; the first is `caption`."""
    return tuple(_written(form, program, emotion, attributes) for form in FORMS.values())


def _written(form: Form, program: Program, emotion: str, attributes: Attributes) -> str:
    sentence = form.event(program, emotion, attributes) if program.activations else form.neutral(attributes)
    return sentence[0].upper() + sentence[1:]


# --- who and when; ages in full years, as people tell them and as the label `age_group` counts


def person(attributes: Attributes) -> str:
    """The subject as a noun with its article: ``a woman of about 34``."""
    return f"a {_noun(attributes)}" + (f" of about {int(attributes.age)}" if attributes.age is not None else "")


def listed(parts: list[str]) -> str:
    """Parts as a list in English: ``a, b and c``."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _noun(attributes: Attributes) -> str:
    return {"Woman": "woman", "Man": "man"}.get(attributes.gender or "", "person")


def _whose(attributes: Attributes) -> str:
    return {"Woman": "her", "Man": "his"}.get(attributes.gender or "", "their")


def _by_years(attributes: Attributes) -> str:
    """``a 34-year-old woman``."""
    if attributes.age is None:
        return person(attributes)
    return with_article(f"{int(attributes.age)}-year-old {_noun(attributes)}")


def _by_decade(attributes: Attributes) -> str:
    """``a woman in her thirties``."""
    if attributes.age is None or not 20 <= attributes.age < 100:
        return person(attributes)
    return f"a {_noun(attributes)} in {_whose(attributes)} {_DECADES[int(attributes.age) // 10 - 2]}"


def with_article(words: str) -> str:
    """``a`` or ``an`` before words, by their first sound: ``an 18-year-old man``, ``a 110-year-old man``."""
    first = words.replace("-", " ").split()[0]
    vowel = first.startswith("8") or first in ("11", "18") if first[0].isdigit() else first[0] in "aeiou"
    return f"{'an' if vowel else 'a'} {words}"


def _lasting(program: Program) -> str:
    """The event's duration in everyday words."""
    timing = program.timing
    seconds = (timing.offset - timing.onset) / timing.fps
    tenths = round(10 * seconds)
    if tenths == 0:
        return "less than a tenth of a second"
    if tenths > len(_NUMBERS):
        return "about a second" if 0.95 <= seconds < 1.05 else f"about {seconds:.1f} seconds"
    return f"about {_NUMBERS[tenths - 1]}{' of' if tenths != 5 else ''} a second"


def _moments(program: Program) -> tuple[float, float, float]:
    """Onset, apex and offset in milliseconds."""
    timing = program.timing
    return timing.milliseconds(timing.onset), timing.milliseconds(timing.apex), timing.milliseconds(timing.offset)


# --- what moves


def _action(activation: Activation) -> str:
    side = "" if activation.side == "both" else f" on the {activation.side}"
    return f"{_ACTIONS[activation.au]}{side} (AU{activation.au}, {_WORDS[letter(activation.intensity)]})"


def _coded(activation: Activation) -> str:
    side = "" if activation.side == "both" else f", {activation.side} side only"
    strength = letter(activation.intensity)
    return f"AU{activation.au} {ACTION_UNITS[activation.au].name} at {strength} ({_WORDS[strength]}{side})"


def _unit(activation: Activation) -> str:
    side = "" if activation.side == "both" else f"{activation.side}-sided "
    strength = with_article(_WORDS[letter(activation.intensity)])
    return f"{strength} {side}AU{activation.au} ({ACTION_UNITS[activation.au].name})"


def _phrase(phrases: Mapping[int, str], activation: Activation) -> str:
    both, _, one = phrases[activation.au].partition("|")
    return both if activation.side == "both" else one or both


def _on(activation: Activation, attributes: Attributes) -> str:
    return "" if activation.side == "both" else f" on {_whose(attributes)} own {activation.side} side"


def _does(activation: Activation, attributes: Attributes) -> str:
    adverb = _ADVERBS[letter(activation.intensity)]
    return f"{adverb} {_phrase(_DOES, activation)}{_on(activation, attributes)}"


def _happens(activation: Activation, attributes: Attributes) -> str:
    amount = _AMOUNTS[letter(activation.intensity)]
    return f"{_phrase(_HAPPENS, activation)} {amount}{_on(activation, attributes)}"


# --- the forms


def _actions(program: Program, emotion: str, attributes: Attributes) -> str:
    start, apex, end = _moments(program)
    return (
        f"{person(attributes)} {listed([_action(a) for a in program.activations])} for {end - start:.0f} ms, "
        f"with the apex {apex - start:.0f} ms after the onset at {start:.0f} ms, and returns to neutral: "
        f"a micro-expression of {emotion}."
    )


def _coding(program: Program, emotion: str, attributes: Attributes) -> str:
    start, apex, end = _moments(program)
    return (
        f"FACS coding of {_by_years(attributes)}: {'; '.join(_coded(a) for a in program.activations)}. "
        f"Onset {start:.0f} ms, apex {apex:.0f} ms, offset {end:.0f} ms. Coded as {emotion}."
    )


def _units(program: Program, emotion: str, attributes: Attributes) -> str:
    start, apex, end = _moments(program)
    return (
        f"the face of {person(attributes)} shows {listed([_unit(a) for a in program.activations])}, "
        f"rising for {apex - start:.0f} ms and gone {end - start:.0f} ms after it began."
    )


def _plain(program: Program, emotion: str, attributes: Attributes) -> str:
    return (
        f"for {_lasting(program)}, {_by_decade(attributes)} "
        f"{listed([_does(a, attributes) for a in program.activations])}; then the face is neutral again. "
        f"It is {with_article(emotion)} micro-expression."
    )


def _flash(program: Program, emotion: str, attributes: Attributes) -> str:
    return (
        f"a flash of {emotion} crosses the face of {_by_years(attributes)}: "
        f"{listed([_happens(a, attributes) for a in program.activations])}, for {_lasting(program)}."
    )


def _motion(program: Program, emotion: str, attributes: Attributes) -> str:
    return (
        f"{person(attributes)} looks into the camera with a still face, in which "
        f"{listed([_happens(a, attributes) for a in program.activations])} and everything returns to rest within "
        f"{_lasting(program)}."
    )


# By name; the order is that of the label `captions`.
FORMS: dict[str, Form] = {
    "actions": Form(True, True, _actions, lambda who: f"{person(who)} keeps a neutral face."),
    "coding": Form(True, True, _coding, lambda who: f"FACS coding of {_by_years(who)}: no Action Unit acts."),
    "units": Form(True, False, _units, lambda who: f"the face of {person(who)} shows no Action Unit."),
    "plain": Form(False, True, _plain, lambda who: f"{_by_decade(who)} shows no expression at all."),
    "flash": Form(False, True, _flash, lambda who: f"nothing moves in the face of {_by_years(who)}."),
    "motion": Form(
        False, False, _motion, lambda who: f"{person(who)} looks into the camera with a face that stays still."
    ),
}
