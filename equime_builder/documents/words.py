"""Words of `dataset_card`, and words of others made inert: text from profiles, sources and plans is never markup."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from string import Template
from typing import Any

import yaml

# What makes a link of bare text on the Hub: `http://…`, `www.…`.
ADDRESS = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)
MARKUP = frozenset("\\`*_~[]<>|#$&@")  # what begins something in Markdown, HTML or mathematics
BEGINNING = re.compile(r"^(\d*)((?<=\d)[.)](?=\s|$)|(?<!\d)[-+=:])")  # what begins a block where a line begins with it
# Characters that count as printable and show nothing: fillers of Hangul, the blank of Braille, joiners, variants.
BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
NAME_LETTERS, LIST_LETTERS = 200, 4000  # most letters of a name, and of a list of them
WIDTH = 120
ALONE = ("|", "#", "```", "**")  # what begins a line that is no part of a paragraph
ITEM = re.compile(r"- |\d+\. ")


def text_of(name: str) -> str:
    """A file of `dataset_card`."""
    return (resources.files("dataset_card") / name).read_text(encoding="utf-8")


def template(name: str) -> Template:
    """A text of `dataset_card`."""
    return Template(text_of(name))


@cache
def _words() -> dict[str, dict[str, dict[str, str]]]:
    content: dict[str, dict[str, dict[str, str]]] = yaml.safe_load(text_of("words.yaml"))
    return content


def words_of(kind: str, name: str) -> dict[str, str]:
    """What is said of one of the `kind` "sources" or "generators"; of an unknown one the general words."""
    known = _words()[kind]
    return {key: " ".join(text.split()) for key, text in (known.get(name) or known["other"]).items()}


def filled(name: str, values: Mapping[str, Any]) -> str:
    """A template with its fields; a value is text, never a template again."""
    return template(name).substitute(values)


def document(name: str, values: Mapping[str, Any]) -> str:
    """A template in Markdown with its fields, its paragraphs in lines of even length."""
    return wrapped(filled(name, values))


def wrapped(text: str) -> str:
    """Markdown with its paragraphs and list items wrapped; head, code, tables and headings stay as they are."""
    lines: list[str] = []
    paragraph: list[str] = []
    fence = "---" if text.startswith("---\n") else ""
    for number, line in enumerate(text.split("\n")):
        if paragraph and (fence or not line.strip() or line.startswith(ALONE) or ITEM.match(line)):
            lines += _folded(paragraph)
            paragraph = []
        if fence or not line.strip() or line.startswith(ALONE):
            lines.append(line)
            fence = _fence_after(fence, line) if number else fence
        else:
            paragraph.append(line)
    return "\n".join([*lines, *_folded(paragraph)])


def _fence_after(fence: str, line: str) -> str:
    """The mark that ends what a line is in: code or the head; empty where it is in neither."""
    if fence:
        return "" if line == fence else fence
    return "```" if line.startswith("```") else ""


def _folded(paragraph: Sequence[str]) -> list[str]:
    if not paragraph:
        return []
    item = ITEM.match(paragraph[0])
    first, *others = textwrap.wrap(
        " ".join(line.strip() for line in paragraph),
        WIDTH,
        subsequent_indent=" " * len(item[0]) if item else "",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [first, *(line[: -len(line.lstrip())] + begins_nothing(line.lstrip()) for line in others)]


def printable(text: str, *, most: int | None = NAME_LETTERS) -> str:
    """Text in composed form (NFC) without line ends, control characters, characters that turn the direction of reading,
    and characters that are blank where they should not be; what is longer than `most` ends in an ellipsis.
    """
    seen = "".join(letter for letter in text if letter.isprintable() and not BLANK.match(letter))
    composed = unicodedata.normalize("NFC", seen)
    return composed if most is None or len(composed) <= most else f"{composed[: most - 1]}…"


def plain(text: object, *, most: int = NAME_LETTERS) -> str:
    """Words of others, inert in Markdown and HTML wherever they stand; addresses in them become no links."""
    shown = printable(str(text), most=most).strip()
    escaped = "".join(f"\\{letter}" if letter in MARKUP else letter for letter in shown)
    return begins_nothing(ADDRESS.sub(lambda found: f"\\{found[0]}", escaped))


def begins_nothing(text: str) -> str:
    """Text that does not begin a list, a rule or a heading where it begins a line."""
    return BEGINNING.sub(lambda found: f"{found[1]}\\{found[2]}", text)
