"""One grammar for the AU strings of all corpora.

    coding      = option {"or" option}
    option      = term {sep {sep} term} {sep}                    sep: one of + , ; & and the ideographic comma
    term        = "?" | note | ["ref"] "(" coding ")" | action
    action      = [kind] [side] [part] number [intensity] ["?"] ["(k)"]
    kind        = "AU" | "AD" | "M"                              Action Unit, Action Descriptor, movement of the head
    side        = "L" | "R" | "A" | "A/L" | "A/R"                left, right, both unequally, unequally or one-sided
    part        = "T" | "B"                                      top or bottom of the lips
    intensity   = letter ["/" letter]                            A trace to E maximum; two where the coder wavered
    note        = words that name no AU, e.g. "soft focus"

A letter before the number is a side or a part, a letter after it an intensity. Case and spaces do not matter, and
full-width letters and signs count as the plain ones. `?` alone says that something acts which nobody could tell,
`ref()` marks a reflex, `(k)` an AU that is kept: static through the event. `or` binds less than `+`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Literal, NoReturn

Side = Literal["both", "left", "right"]
Part = Literal["top", "bottom"]
Kind = Literal["AU", "AD", "M"]
LETTERS = "ABCDE"
MAX_TEXT, MAX_DEPTH = 500, 8

_KINDS: dict[str, Kind] = {"": "AU", "AU": "AU", "AD": "AD", "M": "M"}
_SIDES: dict[str, tuple[Side, bool]] = {
    "": ("both", False),
    "L": ("left", False),
    "R": ("right", False),
    "A": ("both", True),
    "A/L": ("left", True),
    "A/R": ("right", True),
}
_SIDE_OF: dict[tuple[Side, bool], str] = {side: text for text, side in _SIDES.items()}
_PARTS: dict[str, Part | None] = {"": None, "T": "top", "B": "bottom"}
_PART_OF: dict[Part | None, str] = {part: text for text, part in _PARTS.items()}
_INTENSITY = re.compile(r"[A-E](/[A-E])?")
_FLAGS = re.ASCII | re.IGNORECASE
_ACTION = re.compile(
    r"(?P<kind>AU|AD|M)?\s*(?P<side>A\s*/\s*[LR]|[LRA])?\s*(?P<part>[TB])?\s*(?P<au>[0-9]{1,2})(?![0-9])"
    r"(?:\s*(?P<intensity>[A-E](?:\s*/\s*[A-E])?)(?![A-Z]))?\s*(?P<uncertain>\?)?\s*(?P<kept>\(\s*K\s*\))?",
    _FLAGS,
)
_OR = re.compile(r"OR(?![A-Z])", _FLAGS)
_REFLEX = re.compile(r"REF\s*\(", _FLAGS)
_OPEN, _CLOSE = re.compile(r"\("), re.compile(r"\)")
_UNKNOWN = re.compile(r"\?")
_SEPARATOR = re.compile(r"[+,;&\u3001](?:\s*[+,;&\u3001])*")
_NOTE = re.compile(r"[A-Z][A-Z .'-]*[A-Z]", _FLAGS)


class AUGrammarError(ValueError):
    """An AU string that the grammar does not know; the message names the text and the place."""


@dataclass(frozen=True, slots=True)
class AUAction:
    """What one AU does in an event.

    Attributes:
        au: FACS number, 1..99. kind: AU, Action Descriptor, or movement of the head, as the coder wrote it.
        side: the subject's. unequal: both sides act, one of them more: the given one where `side` names it.
        part: of the lips. intensity: letter, two joined by `/` where the coder wavered, None where none was given.
        reflex: coded within `ref()`. kept: static through the event. uncertain: coded with `?`.
        alternative: number of the group of alternatives it belongs to, from 1; None for an action that is no
            alternative. option: which alternative of its group, from 1; actions of one option go together.
    """

    au: int
    side: Side = "both"
    intensity: str | None = None
    kind: Kind = "AU"
    unequal: bool = False
    part: Part | None = None
    reflex: bool = False
    kept: bool = False
    uncertain: bool = False
    alternative: int | None = None
    option: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.au <= 99:
            raise ValueError(f"au={self.au} must lie within 1..99")
        if (self.side, self.unequal) not in _SIDE_OF or self.part not in _PART_OF or self.kind not in _KINDS.values():
            raise ValueError(f"AU{self.au}: side={self.side!r}, part={self.part!r}, kind={self.kind!r} are unknown")
        if self.intensity is not None and not _INTENSITY.fullmatch(self.intensity):
            raise ValueError(f"AU{self.au}: intensity={self.intensity!r} must be A..E, or two of them as in 'A/B'")
        if (self.alternative is None) != (self.option is None):
            raise ValueError(f"AU{self.au}: alternative and option must be given together")

    @property
    def strength(self) -> float | None:
        """Intensity on the scale 0-5 (A is 1, E is 5; `A/B` lies halfway), None where none was given."""
        if self.intensity is None:
            return None
        steps = [LETTERS.index(letter) + 1 for letter in self.intensity.split("/")]
        return sum(steps) / len(steps)

    def __str__(self) -> str:
        kind = "" if self.kind == "AU" else self.kind
        text = f"{kind}{_SIDE_OF[self.side, self.unequal]}{_PART_OF[self.part]}{self.au}{self.intensity or ''}"
        text += ("?" if self.uncertain else "") + ("(k)" if self.kept else "")
        return f"ref({text})" if self.reflex else text

    def _order(self) -> tuple[int, str]:
        return self.au, str(self)


@dataclass(frozen=True, slots=True)
class AUCoding:
    """What a coder saw. Codings that say the same are equal, whatever the order and the spelling.

    Attributes:
        actions: actions that are no alternatives by number, then the groups of alternatives.
        unknown: something acts that the coder could not tell, or nothing was coded.
        notes: words that name no AU, lower case. raw: the text as it stood.
    """

    actions: tuple[AUAction, ...] = ()
    unknown: bool = False
    notes: tuple[str, ...] = ()
    raw: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if bad := [note for note in self.notes if not _is_note(note) or note != note.lower()]:
            raise ValueError(f"notes must be lower-case words of 3 letters and more, got {bad[0]!r}")
        plain = sorted((action for action in self.actions if action.alternative is None), key=AUAction._order)
        groups = sorted(_options(self.actions), key=lambda options: [_sum(option) for option in options])
        numbered = [
            replace(action, alternative=group, option=number)
            for group, options in enumerate(groups, 1)
            for number, option in enumerate(options, 1)
            for action in option
        ]
        if any(len(options) < 2 for options in groups):
            raise ValueError("a group of alternatives needs two options or more")
        object.__setattr__(self, "actions", (*plain, *numbered))
        object.__setattr__(self, "notes", tuple(sorted(self.notes)))

    @property
    def certain(self) -> tuple[AUAction, ...]:
        """Actions of the event that the coder was sure of: no alternatives, none with `?`, none that is kept."""
        return tuple(
            action for action in self.actions if action.alternative is None and not action.uncertain and not action.kept
        )

    @property
    def alternatives(self) -> tuple[tuple[tuple[AUAction, ...], ...], ...]:
        """For each group of alternatives its options; of a group, one option holds."""
        return tuple(_options(self.actions))

    def __str__(self) -> str:
        plain = [str(action) for action in self.actions if action.alternative is None]
        groups = [" or ".join(map(_sum, options)) for options in self.alternatives]
        others = ["?"] * self.unknown + list(self.notes)
        if len(groups) == 1 and not plain and not others:
            return groups[0]
        return "+".join([*plain, *(f"({group})" for group in groups), *others])


def _options(actions: tuple[AUAction, ...]) -> Iterator[tuple[tuple[AUAction, ...], ...]]:
    """For each group of alternatives its options, each with its actions in order."""
    chosen = [action for action in actions if action.alternative is not None]
    chosen.sort(key=lambda action: (action.alternative or 0, action.option or 0, action._order()))
    for _, group in groupby(chosen, key=lambda action: action.alternative):
        yield tuple(tuple(option) for _, option in groupby(group, key=lambda action: action.option))


def _sum(actions: tuple[AUAction, ...]) -> str:
    return "+".join(map(str, actions))


def _is_note(text: str) -> bool:
    letters = sum(letter.isalpha() for letter in text)
    words = re.split(r"[ .'-]+", text.lower())
    return letters >= 3 and bool(_NOTE.fullmatch(text)) and not {"or", "ref"} & set(words)


def parse_aus(text: str) -> AUCoding:
    """The coding that a string stands for; one that is empty, or holds ``?`` only, is unknown.

    Raises:
        AUGrammarError: the grammar does not know it.
    """
    if len(text) > MAX_TEXT:
        raise AUGrammarError(f"an AU string of {len(text):,} letters; at most {MAX_TEXT} are read")
    plain = unicodedata.normalize("NFKC", text).strip()
    if not plain:
        return AUCoding(unknown=True, raw=text)
    parser = _Parser(plain)
    coding = parser.coding()
    if parser.place < len(plain):
        parser.fail("expected the end, a separator or `or`")
    return replace(coding, raw=text)


class _Parser:
    """Reads a text from left to right; `place` is the next letter."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.groups = 0
        self.depth = 0

    def fail(self, expected: str) -> NoReturn:
        raise AUGrammarError(f"AU string {self.text!r}, letter {self.place + 1}: {expected}")

    def coding(self) -> AUCoding:
        options = [self.option()]
        while self._takes(_OR):
            options.append(self.option())
        if len(options) == 1:
            return options[0]
        flat: list[AUAction] = []
        for number, option in enumerate(options, 1):
            if option.unknown or option.notes or not option.actions:
                self.fail("an alternative must name AUs")
            if any(action.alternative is not None for action in option.actions):
                self.fail("alternatives within alternatives")
            flat += (replace(action, alternative=1, option=number) for action in option.actions)
        return AUCoding(tuple(flat))

    def option(self) -> AUCoding:
        terms = [self.term()]
        while self._takes(_SEPARATOR):
            if self._peek() in ("", ")"):  # a separator at the end
                break
            terms.append(self.term())
        actions: list[AUAction] = []
        for term in terms:
            actions += self._apart(term.actions)
        notes = [note for term in terms for note in term.notes]
        return AUCoding(tuple(actions), any(term.unknown for term in terms), tuple(notes))

    def _apart(self, actions: tuple[AUAction, ...]) -> Iterator[AUAction]:
        """Actions whose groups of alternatives are numbered apart from those read before."""
        first = self.groups
        for action in actions:
            if action.alternative is not None:
                self.groups = max(self.groups, first + action.alternative)
                action = replace(action, alternative=first + action.alternative)  # noqa: PLW2901
            yield action

    def term(self) -> AUCoding:
        if self._takes(_REFLEX):
            return self._bracketed(reflex=True)
        if self._takes(_OPEN):
            return self._bracketed(reflex=False)
        if self._takes(_UNKNOWN):
            return AUCoding(unknown=True)
        if action := self._takes(_ACTION):
            return AUCoding((self._action(action),))
        if (note := self._takes(_NOTE)) and _is_note(note.group()):
            return AUCoding(notes=(note.group().lower(),))
        self.fail("expected an AU, `?`, `ref(` or `(`")

    def _bracketed(self, *, reflex: bool) -> AUCoding:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"brackets deeper than {MAX_DEPTH}")
        inner = self.coding()
        if not self._takes(_CLOSE):
            self.fail("expected `)`")
        self.depth -= 1
        if not reflex:
            return inner
        return replace(inner, actions=tuple(replace(action, reflex=True) for action in inner.actions))

    def _action(self, found: re.Match[str]) -> AUAction:
        words = ("kind", "side", "part", "intensity")
        kind, side, part, intensity = ("".join((found[word] or "").upper().split()) for word in words)
        number = int(found["au"])
        if not number:
            self.fail("AU 0 is none")
        toward, unequal = _SIDES[side]
        return AUAction(
            number,
            toward,
            intensity or None,
            _KINDS[kind],
            unequal,
            _PARTS[part],
            kept=bool(found["kept"]),
            uncertain=bool(found["uncertain"]),
        )

    def _peek(self) -> str:
        while self.place < len(self.text) and self.text[self.place].isspace():
            self.place += 1
        return self.text[self.place : self.place + 1]

    def _takes(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Go past what the pattern finds here, if it does."""
        self._peek()
        if found := pattern.match(self.text, self.place):
            self.place = found.end()
        return found
