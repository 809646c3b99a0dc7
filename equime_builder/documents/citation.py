"""How the dataset is cited: the paper, from `dataset_card/citation.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import yaml

from equime_builder.documents.words import text_of


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper. `authors`: given names and family name of each, in order."""

    key: str
    title: str
    protected: str
    authors: tuple[tuple[str, str], ...]
    year: int
    url: str

    @property
    def bibtex(self) -> str:
        """The entry that is asked to be cited."""
        authors = " and ".join(f"{family}, {given}" for given, family in self.authors)
        title = self.title.replace(self.protected, f"{{{self.protected}}}")
        return (
            f"@misc{{{self.key},\n  title = {{{title}}},\n  author = {{{authors}}},\n  year = {{{self.year}}},\n"
            f"  url = {{{self.url}}}\n}}"
        )


@cache
def paper() -> Paper:
    """The paper that the dataset is cited by."""
    content = yaml.safe_load(text_of("citation.yaml"))
    return Paper(**{**content, "authors": tuple(map(tuple, content["authors"]))})
