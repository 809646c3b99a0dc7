"""Words of `dataset_card`, and words of others made inert: text from profiles, sources and plans is never markup."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from string import Template
from typing import Any

import yaml

# What makes a link of bare text on the Hub: `http://…`, `www.…`.
ADDRESS = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)
MARKUP = frozenset("\\`*_~[]<>|#$&@")  # what begins something in Markdown, HTML or mathematics


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


def filled(name: str, values: dict[str, Any]) -> str:
    """A template with its fields; a value is text, never a template again."""
    return template(name).substitute(values)


def printable(text: str) -> str:
    """Text without line ends, control characters and characters that turn the direction of reading."""
    return "".join(character for character in text if character.isprintable())


def plain(text: str) -> str:
    """Text from a profile or a source, inert in Markdown and HTML; addresses in it become no links."""
    escaped = "".join(f"\\{character}" if character in MARKUP else character for character in printable(text))
    return ADDRESS.sub(lambda found: f"\\{found[0]}", escaped)
