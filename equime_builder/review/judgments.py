"""What a reviewer says of a clip, and the checks that every judgment passes before it is kept."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from equime_loader.schema import AUS, EMOTIONS, NEUTRAL, REVIEW_VERDICTS

VERDICTS = REVIEW_VERDICTS[:2]
LABELS: tuple[str, ...] = (*EMOTIONS, NEUTRAL)
MIN_CONFIDENCE, MAX_CONFIDENCE = 1, 5
MAX_NAME, MAX_NOTES = 64, 4_000
REQUEST = re.compile(r"[0-9a-f]{32}")
NAMES = ("request", "reviewer", "clip", "verdict", "label", "aus", "confidence", "notes")


@dataclass(frozen=True, slots=True)
class Judgment:
    """One judgment of one clip.

    Attributes:
        request: 32 hex digits that the page draws; the same request sent twice is kept once.
        reviewer: name as `reviewer_name` gives it. clip: key of the clip.
        verdict: of `VERDICTS`. label: of `LABELS`, None for "cannot tell".
        aus: AUs seen, ascending. confidence: 1 (a guess) to 5 (certain). notes: at most `MAX_NOTES` characters.
    """

    request: str
    reviewer: str
    clip: str
    verdict: str
    label: str | None
    aus: tuple[int, ...]
    confidence: int
    notes: str

    def __post_init__(self) -> None:
        if not (isinstance(self.request, str) and REQUEST.fullmatch(self.request)):
            raise ValueError("request must be 32 hexadecimal digits")
        if self.reviewer != reviewer_name(self.reviewer):
            raise ValueError("reviewer must be a name as reviewer_name() gives it")
        if not isinstance(self.clip, str):
            raise ValueError("clip must be a word")
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict={_short(self.verdict)} must be one of {', '.join(VERDICTS)}")
        if self.label is not None and self.label not in LABELS:
            raise ValueError(f"label={_short(self.label)} must be null or one of {', '.join(LABELS)}")
        if any(type(au) is not int or au not in AUS for au in self.aus) or list(self.aus) != sorted(set(self.aus)):
            raise ValueError(f"aus={_short(self.aus)} must be some of {', '.join(map(str, AUS))}, ascending, each once")
        if type(self.confidence) is not int or not MIN_CONFIDENCE <= self.confidence <= MAX_CONFIDENCE:
            raise ValueError(
                f"confidence={_short(self.confidence)} must be a whole number {MIN_CONFIDENCE}..{MAX_CONFIDENCE}"
            )
        if not isinstance(self.notes, str) or len(self.notes) > MAX_NOTES:
            raise ValueError(f"notes must be a text of at most {MAX_NOTES:,} characters")


def parse_judgment(value: Any, keys: Mapping[str, str]) -> Judgment:
    """A judgment from decoded JSON.

    Args:
        value: an object with exactly the fields of `NAMES`.
        keys: keys of the clips under review, by the opaque name that the page knows.

    Raises:
        ValueError: a missing or unknown field, or one out of its bounds; the message can be shown to the reviewer.
    """
    if not isinstance(value, dict):
        raise ValueError("a judgment must be a JSON object")
    if missing := [name for name in NAMES if name not in value]:
        raise ValueError(f"{missing[0]} is missing")
    if unknown := sorted(map(str, value.keys() - set(NAMES))):
        raise ValueError(f"{_short(unknown[0])} is no field of a judgment")
    clip, aus, notes = value["clip"], value["aus"], value["notes"]
    if not isinstance(clip, str) or clip not in keys:
        raise ValueError(f"clip={_short(clip)} is not under review")
    if not isinstance(aus, list) or len(aus) > len(AUS):
        raise ValueError("aus must be a list of AU numbers")
    if isinstance(notes, str) and len(notes) <= MAX_NOTES:
        notes = plain_text(notes)
    taken = {name: value[name] for name in ("request", "verdict", "label", "confidence")}
    try:
        return Judgment(
            **taken, reviewer=reviewer_name(value["reviewer"]), clip=keys[clip], aus=tuple(aus), notes=notes
        )
    except TypeError:  # a list where a word belongs cannot be looked up
        raise ValueError("a field of the judgment has the wrong type") from None


def reviewer_name(name: Any) -> str:
    """A reviewer's name in one form, so that `Ann Lee` and ` ann  lee` are one person who can go on.

    Raises:
        ValueError: no text, empty, too long, or with letters that cannot be seen (control and direction marks).
    """
    if not isinstance(name, str) or len(name) > 4 * MAX_NAME:
        raise ValueError(f"reviewer must be a name of 1 to {MAX_NAME} characters")
    one = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    if not 1 <= len(one) <= MAX_NAME:
        raise ValueError(f"reviewer must be a name of 1 to {MAX_NAME} characters")
    if not one.isprintable():
        raise ValueError("reviewer must not hold letters that cannot be seen")
    return one


def plain_text(text: str) -> str:
    """A text without control characters (line ends and tabs stay) and without halves of surrogate pairs."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(letter for letter in lines if letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cs"))


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
