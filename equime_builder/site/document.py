"""The page: one HTML file without clips, which its scripts add; the README that makes it a Space; the clips' data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from string import Template
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from equime_builder.facs import ACTION_UNITS
from equime_builder.figures import coded
from equime_builder.hub.gate import gate_fields, gate_metadata
from equime_builder.site import figures, markup
from equime_builder.site.choice import Choice

PAGE = resources.files("equime_builder.site") / "page"
ASSETS = ("site.css", "viewer.js", "main.js")
NAME = "EquiME"
# Generators that move a face by the program itself, and what may be said with and without them.
EXACT = frozenset({"warp"})
CAUSED = {
    True: "The program moves the face, so onset, apex, offset and every curve are exact.",
    False: "The program is drawn first and asked of a generative model; the audit says what its frames show.",
}
BIBTEX = re.compile(r"^```bibtex\n(.*?)^```", re.MULTILINE | re.DOTALL)
HEAD = re.compile(r"\A---\n(.*?)^---$", re.MULTILINE | re.DOTALL)
LICENCE_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,40}")


@dataclass(frozen=True, slots=True)
class Texts:
    """What the folder says of itself: its terms, its licence's identifier on the Hub or none, its BibTeX or none."""

    licence: str
    licence_id: str
    citation: str


def texts_of(card: str, licence: str) -> Texts:
    """Texts from a folder's card and LICENSE; whatever the card lacks is empty."""
    head, cited = HEAD.match(card), BIBTEX.search(card)
    try:
        values = yaml.safe_load(head[1]) if head else None
    except yaml.YAMLError:
        values = None
    name = values.get("license") if isinstance(values, dict) else None
    known = isinstance(name, str) and LICENCE_ID.fullmatch(name)
    return Texts(licence, str(name) if known else "", cited[1] if cited else "")


def page(index: pa.Table, choice: Choice, texts: Texts, *, sizes: Mapping[str, int], repository: str | None) -> str:
    """The HTML of the page.

    Args:
        index: every clip of the dataset, with the columns of `figures`.
        sizes: bytes of `stills`, `videos` and, largest of them, of one `video`.
        repository: `owner/name` of the dataset on the Hub.
    """
    aus, emotions, shares = figures.aus_by_emotion(index)
    tables = figures.verdicts(index)
    return Template((PAGE / "index.html").read_text(encoding="utf-8")).substitute(
        name=NAME,
        lead=escape(_lead(index)),
        facts="\n".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _facts(index)),
        shown=_shown(choice, len(index), sizes),
        counts="\n".join(markup.counts(one) for one in figures.counted(index)),
        matrix=markup.matrix(aus, emotions, shares.tolist()),
        histograms="\n".join(map(markup.histogram, figures.histograms(index))),
        measured=markup.measured(figures.measures(index)),
        verdicts="\n".join(map(markup.verdicts, tables)) or _NOBODY_JUDGED,
        access=_access(repository),
        prompt=escape(gate_metadata()["extra_gated_prompt"]),
        fields="\n".join(f"<li>{escape(label)}</li>" for label in gate_fields()),
        snippet=escape(_snippet(repository)),
        citation=_citation(texts.citation),
        licence=escape(_lines(texts.licence)),
    )


_NOBODY_JUDGED = (
    '<p class="muted">No verdicts are stored with this dataset. <code>equime audit FOLDER</code> measures every clip '
    "against its labels, <code>equime review FOLDER</code> lets experts judge; both then stand here, by emotion and "
    "group.</p>"
)


def _lead(index: pa.Table) -> str:
    """What the dataset is, in its own numbers."""
    low, high = np.percentile(index["offset_ms"].to_numpy() - index["onset_ms"].to_numpy(), (5, 95))
    generators = set(pc.unique(index["generator"]).to_pylist())
    return (
        "Portraits perform expression programs: facial Action Units (AUs) rise, peak and return to neutral, nine in "
        f"ten of them within {low:.0f} to {high:.0f} ms. {CAUSED[generators <= EXACT]}"
    )


def _facts(index: pa.Table) -> list[tuple[str, str]]:
    rate, width, height = (sorted(pc.unique(index[name]).to_pylist()) for name in ("fps", "width", "height"))
    pixels = f"{width[-1]} × {height[-1]}"
    return [
        ("clips", f"{len(index):,}"),
        ("subjects", f"{pc.count_distinct(index['subject']).as_py():,}"),
        ("emotions", f"{len(coded(index, 'emotion')[0])}"),
        ("frames per second", "–".join(f"{value:g}" for value in dict.fromkeys((rate[0], rate[-1])))),
        ("pixels", pixels),
    ]


def _shown(choice: Choice, clips: int, sizes: Mapping[str, int]) -> str:
    listed = len(choice.rows)
    size = markup.size
    playing = f", {choice.videos:,} of them as video ({size(sizes['videos'])})" if choice.videos else ""
    parts = [f"This page lists {listed:,} of {clips:,} clips, chosen evenly over emotions and groups{playing}. "]
    parts.append(f"Stills are {size(sizes['stills'])} in all and load as you scroll; a video loads when you open it")
    parts.append(f" (at most {size(sizes['video'])}). " if choice.videos else ". ")
    if choice.withheld:
        told = "; ".join(f"{words}: {count:,}" for words, count in choice.withheld)
        parts.append(f"Not shown: {told}.")
    return escape("".join(parts))


def _access(repository: str | None) -> str:
    if repository is None:
        return "<p>The dataset is shared behind a form, and its owners read every request.</p>"
    link = f"https://huggingface.co/datasets/{repository}"
    return (
        f"<p>The dataset is on the Hugging Face Hub behind a form, and its owners read every request: "
        f'<a href="{escape(link)}" rel="noreferrer noopener">{escape(repository)}</a>.</p>'
    )


def _snippet(repository: str | None) -> str:
    source = f'"{repository}"' if repository else '"PATH/TO/THE/FOLDER"'
    return f'from datasets import load_dataset\n\ntrain = load_dataset({source}, split="train", streaming=True)'


def _citation(bibtex: str) -> str:
    if not bibtex:
        return "<p>Publications that use the data cite the EquiME paper.</p>"
    return f'<pre tabindex="0" role="region" aria-label="BibTeX">{escape(_lines(bibtex).strip())}</pre>'


def _lines(text: str) -> str:
    return "\n".join("".join(letter for letter in line if letter.isprintable()) for line in text.splitlines())


def clips_script(clips: Sequence[Mapping[str, Any]]) -> str:
    """The clips as a script, since a page from a file may not fetch; ASCII, and nothing in it ends a script."""
    names = {str(au): unit.name for au, unit in ACTION_UNITS.items()}
    data = json.dumps({"aus": names, "clips": clips}, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    inert = data.replace("<", "\\u003c")
    return f'"use strict";\nconst DATA = {inert};\n'


def readme(texts: Texts, repository: str | None) -> str:
    """README.md of a static Space."""
    head = {"title": NAME, "sdk": "static", "app_file": "index.html", "pinned": False}
    head |= {"license": texts.licence_id} if texts.licence_id else {}
    head |= {"datasets": [repository]} if repository else {}
    about = "Clips and figures of a synthetic micro-expression dataset. Written by `equime site`; open `index.html`."
    return f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n# {NAME}\n\n{about}\n"
