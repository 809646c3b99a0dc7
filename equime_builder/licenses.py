"""The licenses that a dataset can have: those that the published sources name. None allows commercial use.

The published README says CC BY-NC 4.0, the paper CC BY-NC-SA 4.0; the stricter is the default. Portraits come under
terms that forbid commercial use (CelebA-HQ), or under ones that nobody but their owner knows, and the drawn faces were
measured on pictures under CC BY-NC 4.0: so there is no entry here that would allow it, whatever a profile asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class License:
    """A license: its short name, its full name, and where its text is."""

    name: str
    title: str
    url: str


DEFAULT_LICENSE = "cc-by-nc-sa-4.0"
# By the Hub's name.
LICENSES: Mapping[str, License] = MappingProxyType(
    {
        "cc-by-nc-sa-4.0": License(
            "CC BY-NC-SA 4.0",
            "Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International",
            "https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode",
        ),
        "cc-by-nc-4.0": License(
            "CC BY-NC 4.0",
            "Creative Commons Attribution-NonCommercial 4.0 International",
            "https://creativecommons.org/licenses/by-nc/4.0/legalcode",
        ),
    }
)
