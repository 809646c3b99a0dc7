"""The page: one HTML file without clips, which its scripts add; the README that makes it a Space; the clips' data."""

from __future__ import annotations

import json
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

from equime_builder.counts import au_shares, coded
from equime_builder.documents.citation import paper
from equime_builder.documents.facts import shown_split
from equime_builder.documents.measures import measures
from equime_builder.documents.words import words_of
from equime_builder.facs import ACTION_UNITS
from equime_builder.hub.gate import gate_fields, gate_metadata
from equime_builder.licenses import LICENSES
from equime_builder.site import figures, markup
from equime_builder.site.choice import DRAWN, OWNED, Choice
from equime_loader.tables import counted

PAGE = resources.files("equime_builder.site") / "page"
ASSETS = ("site.css", "viewer.js", "main.js")
NAME = "EquiME"
HUB = "https://huggingface.co/datasets"
# Who is shown, by the portraits' source.
WHO = {
    DRAWN: "Every face is drawn by code: nobody is shown, and nobody was recorded.",
    OWNED: "The faces are photographs of people; the clips show motion that these people never made.",
}
FACES = ("portraits", "people", "consent", "attributes")  # what more is said of a source
# Generators that move a face by the program itself, and what may be said with and without them.
EXACT = frozenset({"warp"})
CAUSED = {
    True: "The program moves the face, so onset, apex, offset and every curve are exact.",
    False: "The program is drawn first and asked of a generative model; the audit says what its frames show.",
}
HASH_LETTERS = 12
STATIC = 12  # clips that are shown where scripts do not run


@dataclass(frozen=True, slots=True)
class Edition:
    """Which dataset a page shows.

    Attributes:
        version: its tag on the Hub, or none. repository: `owner/name` of it there, or none.
        plan: SHA-256 of its plan. builder: version of what built it. source: of its portraits. portraits: their own
            license.
        license: the Hub's name of its license. terms: the text of its LICENSE.
    """

    version: str | None
    repository: str | None
    plan: str
    builder: str
    source: str
    portraits: str
    license: str
    terms: str


def page(
    index: pa.Table,
    choice: Choice,
    edition: Edition,
    judged: Sequence[figures.Verdicts],
    clips: Sequence[Mapping[str, Any]],
    sizes: Mapping[str, int],
) -> str:
    """The HTML of the page.

    Args:
        index: every clip of the dataset, with the columns of `figures`. judged: what was said of them.
        clips: data of those that are shown. sizes: bytes of `stills`, `videos` and, largest of them, of one `video`.
    """
    aus, emotions, shares = au_shares(index)
    about, performed = _lead(index, edition.source)
    return Template((PAGE / "index.html").read_text(encoding="utf-8")).substitute(
        name=NAME,
        about=escape(about),
        performed=escape(performed),
        ask=escape(_hub(edition) or "#access"),
        edition=_edition(edition),
        facts="\n".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _facts(index)),
        first=_still(clips[0], 0),
        stills="\n".join(f"<li>{_still(clip, number)}</li>" for number, clip in enumerate(clips[1:STATIC], start=1)),
        shown=_shown(choice, len(index), sizes),
        faces=_faces(edition),
        counts="\n".join(markup.counts(one) for one in figures.counted(index)),
        matrix=markup.matrix(aus, emotions, shares.tolist()),
        histograms="\n".join(map(markup.histogram, figures.histograms(index))),
        measured=markup.measured(measures(index)),
        verdicts="\n".join(map(markup.verdicts, judged)) or NOBODY_JUDGED,
        access=_access(edition),
        prompt=escape(gate_metadata()["extra_gated_prompt"]),
        fields="\n".join(f"<li>{escape(label)}</li>" for label in gate_fields()),
        snippet=escape(_snippet(edition, shown_split(index))),
        citation=escape(paper().bibtex),
        plan=markup.word(edition.plan),
        license=escape(_lines(edition.terms)),
    )


NOBODY_JUDGED = (
    '<p class="prose">No clip of this version was judged by what its frames show: labels say what each program asked '
    "for. What was measured in the frames stands under Quality.</p>"
)


def _lead(index: pa.Table, source: str) -> tuple[str, str]:
    """What the dataset is and who is in it, and what happens in its clips, in its own numbers."""
    low, high = np.percentile(index["offset_ms"].to_numpy() - index["onset_ms"].to_numpy(), (5, 95))
    generators = set(pc.unique(index["generator"]).to_pylist())
    return (
        f"A synthetic dataset of micro-expressions, for research. {WHO.get(source, WHO[OWNED])}",
        "In each clip a face performs a program: facial Action Units (AUs) rise, peak and return to neutral, nine "
        f"times in ten within {low:.0f} to {high:.0f} ms. {CAUSED[generators <= EXACT]}",
    )


def _edition(edition: Edition) -> str:
    """Which version this is and what holds for it, on one line."""
    version = (
        f"version {markup.word(edition.version)}"
        if edition.version
        else f"built by equime {markup.word(edition.builder)}"
    )
    plan = f"plan <code>{markup.word(edition.plan[:HASH_LETTERS])}</code>"
    license = f'license <a href="#license">{markup.word(LICENSES[edition.license].name)}</a>'
    return " ".join(f"<span>{part}</span>" for part in (version, plan, license))


def _faces(edition: Edition) -> str:
    """Whose faces these are."""
    said = words_of("sources", edition.source)
    license = f" License of the portraits: {edition.portraits}." if edition.portraits else ""
    return escape(" ".join(said[topic] for topic in FACES) + _lines(license))


def _still(clip: Mapping[str, Any], number: int) -> str:
    """A clip where scripts do not run: its face at the onset and at the apex."""
    words = f"The face at the onset and at the apex. {clip['caption']}"
    return (
        f'<figure class="static"><img src="stills/{number:04}.jpg" width="320" height="160" loading="lazy" '
        f'alt="{escape(words)}"><figcaption>{markup.word(clip["emotion"])}, '
        f"{markup.word(clip['text'])}: onset and apex</figcaption></figure>"
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
    opened = f"; a video loads when you open it (at most {size(sizes['video'])})" if choice.videos else ""
    parts = [
        f"This page lists {listed:,} of {counted(clips, 'clip')}, chosen evenly over emotions and groups{playing}; the "
        f"clearest come first. Stills are {size(sizes['stills'])} in all and load as you scroll{opened}. "
    ]
    if choice.withheld:
        told = "; ".join(f"{words}: {count:,}" for words, count in choice.withheld)
        parts.append(f"Not shown: {told}.")
    return escape("".join(parts))


def _hub(edition: Edition) -> str:
    """Address of the dataset on the Hub, or none."""
    return f"{HUB}/{edition.repository}" if edition.repository else ""


def _access(edition: Edition) -> str:
    if not edition.repository:
        return (
            "<p>The dataset is shared on the Hugging Face Hub behind a form, and its owners read every request. "
            "When it is published, its address stands here.</p>"
        )
    return (
        f"<p>The dataset is on the Hugging Face Hub behind a form, and its owners read every request: "
        f'<a href="{escape(_hub(edition))}" rel="noreferrer noopener">{escape(edition.repository)}</a>.</p>'
    )


def _snippet(edition: Edition, split: str) -> str:
    revision = f', revision="{edition.version}"' if edition.version else ""
    return (
        "# after your request was accepted, and `hf auth login`\n"
        "from datasets import load_dataset\n\n"
        f'repo = "{edition.repository or "OWNER/NAME"}"\n'
        f'{split} = load_dataset(repo, split="{split}"{revision}, streaming=True)'
    )


def _lines(text: str) -> str:
    return "\n".join("".join(letter for letter in line if letter.isprintable()) for line in text.splitlines())


def clips_script(clips: Sequence[Mapping[str, Any]]) -> str:
    """The clips as a script, since a page from a file may not fetch; ASCII, and nothing in it ends a script."""
    names = {str(au): unit.name for au, unit in ACTION_UNITS.items()}
    data = json.dumps({"aus": names, "clips": clips}, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    inert = data.replace("<", "\\u003c")
    return f'"use strict";\nconst DATA = {inert};\n'


def readme(edition: Edition) -> str:
    """README.md of a static Space."""
    head = {"title": NAME, "sdk": "static", "app_file": "index.html", "pinned": False, "license": edition.license}
    head |= {"datasets": [edition.repository]} if edition.repository else {}
    about = "Clips and figures of a synthetic micro-expression dataset for research. Open `index.html`."
    return f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n# {NAME}\n\n{about}\n"
