"""The dataset card says what the plan and the index say, whatever the names in them hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from equime_builder import manifest
from equime_builder.card import card, license_text, metadata
from equime_builder.documents.composition import action_units, composition, events
from equime_builder.documents.facts import Beside, facts_of
from equime_builder.documents.words import printable
from equime_builder.finish import texts
from equime_builder.plan import FORMATS, Plan, ask, make_plan
from equime_builder.portraits import Attributes, Subject, Survey
from equime_builder.profiles import load_profile, shipped_profiles
from equime_loader.schema import AGE_GROUPS, EMOTIONS, GENDERS, LABELS, LOCATION, NEUTRAL, RACES, SPLITS

HOSTILE = {
    "Markdown": "*a* _b_ `c` ~~d~~ [e](http://f) ![g](h) # i",
    "table": "a | b",
    "HTML": "<script>alert(1)</script><!-- <img src=x onerror=y> &lt;b&gt; &#x202e;",
    "mathematics": "$$\\frac{1}{2}$$ \\(x\\) $name ${clips}",
    "YAML": "]}: !!python/object:os.system {a: [ 'b\" # &c *c",
    "YAML document": "a\n---\nlicense: mit\n...\n",
    "Markdown lines": "a\n# b\r\n\n- c\u2028d\x85e",
    "bidi": "\u202egnp.exe\u202c \u2066a\u2069\u200f",
    "control": "a\x00\x1b[31mb\x07\ufeff",
    "words": "Ünïcôde 顔 ßÉ",
    "dash": "- item",
    "plus": "+ item",
    "number": "1. item",
    "bracket": "12) item",
    "indent": "    code",
    "underline": "====",
    "code span": "x`<img src=x onerror=alert(1)>`",
}
TITLES = {
    "emotion": "emotion", "derived emotion": "derived_emotion", "apparent gender": "apparent_gender",
    "apparent race": "apparent_race", "age group": "age_group",
}  # fmt: skip
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def named(plan: Plan, name: str) -> Plan:
    """The plan of a profile of another name."""
    return replace(plan, header={**plan.header, "profile": {**plan.header["profile"], "name": name, "follows": name}})


def index_of(rows: list[dict[str, Any]]) -> pa.Table:
    schema = pa.schema([(field.name, field.kind) for field in (*LABELS, *LOCATION)])
    return pa.Table.from_pylist(rows, schema=schema)


def parts(text: str) -> tuple[dict[str, Any], str]:
    """YAML head and Markdown body."""
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


def texts_of(body: str) -> list[str]:
    """What a reader sees of each block of text; nothing may be HTML, a link or a picture that the template has not."""
    blocks = []
    for token in MARKDOWN.parse(body):
        assert token.type != "html_block"
        children = token.children or []
        assert not {child.type for child in children} & {"html_inline", "link_open", "image", "em_open", "s_open"}
        blocks.append("".join(" " if child.type == "softbreak" else child.content for child in children))
    return blocks


@pytest.fixture(scope="module")
def index(built: Path) -> pa.Table:
    return pq.read_table(built / "index.parquet")


@pytest.fixture(scope="module")
def plan(built: Path) -> Plan:
    return manifest.read_plan(built)


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_a_name_is_text_and_nothing_else(plan: Plan, index: pa.Table, name: str) -> None:
    text = card(facts_of(named(plan, name), index, Beside(rejected=0)))
    head, body = parts(text)
    assert head == metadata(named(plan, name), index)
    assert head["pretty_name"] == f"EquiME ({printable(name)})"
    assert head["license"] == "cc-by-nc-sa-4.0"
    shown = printable(name)
    seen = [" ".join(block.split()) for block in texts_of(body)]
    assert " ".join(f"EquiME: {shown}".split()) in seen
    assert " ".join(f"Profile {shown}: {shown}.".split()) in seen
    assert all(character.isprintable() or character == "\n" for character in text)


@given(st.text(max_size=60))
@settings(max_examples=60)
def test_any_name_leaves_the_head_as_it_is(name: str) -> None:
    whole = plan_with(("CC0",), "folder")
    rows = index_of([])
    head, body = parts(card(facts_of(named(whole, name), rows, Beside(rejected=0))))
    assert head == metadata(named(whole, name), rows)
    assert body.count("\n# EquiME: ") == 1


@pytest.mark.parametrize("name", ["bidi", "HTML"])
def test_a_license_is_text_and_nothing_else(index: pa.Table, name: str) -> None:
    whole = plan_with((HOSTILE[name], "CC0"), HOSTILE[name])
    _, body = parts(card(facts_of(whole, index, Beside(rejected=0))))
    cell = next(block for block in texts_of(body) if block.startswith("source "))
    words = sorted((HOSTILE[name], "CC0"))
    expected = f"source {printable(HOSTILE[name])}; license of the portraits: {printable('; '.join(words))}"
    assert " ".join(cell.split()) == " ".join(expected.split())
    assert all(character.isprintable() or character == "\n" for character in license_text(whole))


def plan_with(licenses: tuple[str, ...], source: str, profile: str = "demo") -> Plan:
    subjects = tuple(Subject(f"s{n}", f"s{n}", f"{n}.png", Attributes(), text) for n, text in enumerate(licenses))
    asked = ask(
        load_profile(profile),
        seed=5,
        source=source,
        options={},
        fingerprint="abc",
        generator="warp",
        formats=FORMATS,
    )
    return make_plan(asked, Survey(subjects, ()))


@pytest.mark.parametrize("profile", shipped_profiles())
@pytest.mark.parametrize("source", ["procedural", "folder", "celeba-hq"])
def test_profile_source_and_licenses_are_named(profile: str, source: str) -> None:
    whole = plan_with(("CC BY 4.0", "CelebAMask-HQ: research only", "CC BY 4.0"), source, profile)
    _, body = parts(card(facts_of(whole, index_of([]), Beside(rejected=3))))
    seen = texts_of(body)
    assert f"EquiME: {profile}" in seen
    assert f"Profile {profile}: {whole.profile.follows}." in seen
    licenses = "CC BY 4.0; CelebAMask-HQ: research only"
    assert f"source {source}; license of the portraits: {licenses}" in seen
    assert f"Portraits: {licenses}\n" in license_text(whole)
    assert "warp, seed 5" in seen
    assert whole.header["plan_sha256"] in seen


def test_datasets_reads_the_configs(
    built: Path, copy_of: Callable[[Path], Path], plan: Plan, index: pa.Table, tmp_path: Path
) -> None:
    root = copy_of(built)
    for name in HOSTILE.values():
        (root / "README.md").write_text(card(facts_of(named(plan, name), index, Beside(rejected=0))), encoding="utf-8")
        assert datasets.get_dataset_config_names(str(root)) == ["default", "metadata"]
    labels = datasets.load_dataset(str(root), "metadata", split="clips", streaming=True)
    assert [row["key"] for row in labels] == index["key"].to_pylist()
    for split in SPLITS:
        samples = datasets.load_dataset(str(root), split=split, streaming=True).select_columns(["key", "split"])
        expected = index.filter(pa.compute.equal(index["split"], split))["key"].to_pylist()
        assert [row["key"] for row in samples] == expected


def test_the_card_of_a_folder_is_the_one_of_its_plan_and_index(built: Path, index: pa.Table) -> None:
    assert texts(built, index)["README.md"] == (built / "README.md").read_bytes()


words = {
    "split": st.sampled_from(SPLITS),
    "subject": st.integers(0, 9).map(str),
    "emotion": st.sampled_from(EMOTIONS),
    "derived_emotion": st.sampled_from((*EMOTIONS, NEUTRAL)),
    "apparent_gender": st.sampled_from((None, *GENDERS)),
    "apparent_race": st.sampled_from((None, *RACES)),
    "age_group": st.sampled_from((None, *AGE_GROUPS)),
}


@given(st.lists(st.fixed_dictionaries(words), max_size=60))
@settings(max_examples=40)
def test_sums_of_the_composition_are_those_of_the_index(rows: list[dict[str, Any]]) -> None:
    head, _, *lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in composition(index_of(rows)).split("\n")
    ]
    assert head == ["label", "word", "bar", *SPLITS, "all"]
    counts: dict[str, Counter[str]] = {title: Counter() for title in TITLES}
    totals: dict[str, Counter[str]] = {title: Counter() for title in TITLES}
    for title, word, filled, *numbers in lines[:-1]:
        assert filled and set(filled) <= set("▏▎▍▌▋▊▉█")
        *by_split, whole = map(int, numbers)
        assert sum(by_split) == whole > 0
        assert word not in counts[title]
        counts[title][word] = whole
        totals[title].update(dict(zip(SPLITS, by_split, strict=True)))
    for title, name in TITLES.items():
        assert counts[title] == Counter(row[name] or "unknown" for row in rows)
        assert +totals[title] == Counter(row["split"] for row in rows)
    people = [len({row["subject"] for row in rows if row["split"] == split}) for split in SPLITS]
    assert lines[-1] == ["subjects", "all", "", *map(str, people), str(sum(people))]


def test_action_units_and_events_are_those_of_the_index() -> None:
    rows = [
        {"emotion": "happiness", "aus": [{"au": 12, "side": "both", "intensity": 2.0}], "onset_ms": 100.0,
         "apex_ms": 150.0, "offset_ms": 300.0},
        {"emotion": "happiness", "aus": [{"au": 12, "side": "left", "intensity": 1.0}, {"au": 6, "side": "both",
         "intensity": None}], "onset_ms": 0.0, "apex_ms": 200.0, "offset_ms": 400.0},
        {"emotion": None, "aus": [], "onset_ms": 5.0, "apex_ms": 5.0, "offset_ms": 5.0},
        {"emotion": "fear", "aus": None},
    ]  # fmt: skip
    acting, _, shares = action_units(index_of(rows)).split("\n\n")
    assert acting.split("\n")[2:] == [
        "| AU6 | cheek raiser | ████ | 1 | 100% | 0% | 0% | – | – | – |",
        "| AU12 | lip corner puller | ████████ | 2 | 50% | 50% | 0% | 1.1 | 1.5 | 1.9 |",
    ]
    assert shares.split("\n")[0] == "| AU | happiness | fear | unknown |"
    assert shares.split("\n")[2:] == ["| AU6 | 50 | – | · |", "| AU12 | 100 | – | · |"]
    lines = {line.split(" | ")[0][2:]: line for line in events(index_of(rows)).split("\n")[2:]}
    assert lines["duration, onset to offset"].endswith("| 200 | 210 | 300 | 390 | 400 |")
    assert "█··········█" in lines["duration, onset to offset"]
    assert lines["peak intensity of an AU"].endswith("| 1.00 | 1.05 | 1.50 | 1.95 | 2.00 |")
    assert action_units(index_of([])) == "No AU acts in any clip."
    assert events(index_of([])) == "No clip."
