"""Datasheet, Croissant and the other texts of a folder: filled from it, valid, inert, hashed, and rewritten."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import requests
import yaml
from conftest import small_profile
from hub_server import LocalHub
from huggingface_hub import DatasetCard, DatasetCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from publishing import NAME, READER, client, people, release, replace_by_edition
from test_card import HOSTILE, index_of, plan_with
from typer.testing import CliRunner

from equime_builder import manifest
from equime_builder.acceptance import acceptance_of
from equime_builder.card import card, license_text, metadata
from equime_builder.cli import app
from equime_builder.documents import tables
from equime_builder.documents.citation import paper
from equime_builder.documents.croissant import croissant_text
from equime_builder.documents.datasheet import datasheet
from equime_builder.documents.facts import Beside, facts_of
from equime_builder.documents.measures import MEASURED
from equime_builder.documents.publication import PLACEHOLDER, Publication, check_repository, read_publication
from equime_builder.documents.words import plain, printable, words_of, wrapped
from equime_builder.finish import INDEX, dataset_bytes, recorded_hashes, rewrite_texts, texts
from equime_builder.hub.access import accept
from equime_builder.hub.editing import edit, withdrawal
from equime_builder.hub.files import planned_files
from equime_builder.hub.gate import gate_fields
from equime_builder.licenses import LICENSES
from equime_builder.manifest import Commit, FolderError
from equime_builder.plan import CHANGES, Plan, changes_of
from equime_builder.portraits import Rejection
from equime_builder.profiles import load_profile
from equime_builder.sources.drawn import ProceduralSource
from equime_builder.verify import STRAY, verify
from equime_loader import open_dataset, schema
from equime_loader.fairness.bias import bias_report

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
QUESTIONS = {  # of each section of Gebru et al. 2021
    "Motivation": 4, "Composition": 16, "Collection process": 12, "Preprocessing, cleaning, labeling": 4, "Uses": 6,
    "Distribution": 7, "Maintenance": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def index(built: Path) -> pa.Table:
    return pq.read_table(built / "index.parquet")


@pytest.fixture(scope="module")
def plan(built: Path) -> Plan:
    return manifest.read_plan(built)


WORDS_OF_PLAN = ("source", "generator", "seed", "plan_sha256", "source_fingerprint", "builder_version")
WORDS_OF_INDEX = (
    *("emotion", "derived_emotion", "apparent_gender", "apparent_race", "age_group", "model", "model_revision"),
    *("subject", "source", "generator", "license"),
)


def said(plan: Plan, name: str) -> Plan:
    """The plan with a name wherever words of others come into the texts."""
    header = {**plan.header, "profile": {**plan.header["profile"], "name": name, "follows": name}}
    header |= dict.fromkeys(WORDS_OF_PLAN, name)
    header |= {"source_options": {name: name}, "generator_options": {"a": name}}
    header[CHANGES] = [{"what": name, "subjects": 1, "clips": name}, {"what": name}]
    return replace(plan, header=header)


def told(index: pa.Table, name: str) -> pa.Table:
    """The index with a name for each of its words."""
    for column in WORDS_OF_INDEX:
        place = index.schema.get_field_index(column)
        index = index.set_column(place, index.schema.field(place), pa.array([name] * len(index), pa.string()))
    return index


def markup(text: str) -> list[tuple[str, str]]:
    """Everything in a text that is more than text: kind of token and, where it has one, its target."""
    found = []
    for token in MARKDOWN.parse(text):
        for each in (token, *(token.children or ())):
            if each.type not in ("text", "inline", "softbreak"):
                found.append((each.type, str(each.attrs) + (each.content if each.type == "code_inline" else "")))
    return found


# --- hostile names


def without_head(text: str) -> str:
    return text.split("---\n", 2)[2] if text.startswith("---\n") else text


def bodies(plan: Plan, index: pa.Table, name: str) -> list[str]:
    """Card and datasheet with a name wherever words of others come into them."""
    facts = facts_of(said(plan, name), told(index, name), Beside(rejected=0))
    return [without_head(make(facts)) for make in (card, datasheet)]


def check_inert(plan: Plan, index: pa.Table, name: str, calm: list[Any]) -> None:
    """calm: the markup of the same texts with a name that is a word."""
    texts = bodies(plan, index, name)
    assert list(map(markup, texts)) == calm
    assert all(letter.isprintable() or letter == "\n" for text in texts for letter in text)
    content = json.loads(croissant_text(facts_of(said(plan, name), told(index, name), Beside(rejected=0)), []))
    assert content["name"] == f"EquiME ({printable(name)})"
    prose = {key: value for key, value in content.items() if key != "citeAs"}  # ours, in lines
    assert all(letter.isprintable() for text in strings(prose) for letter in text)


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in strings(each)]
    if isinstance(value, list):
        return [text for each in value for text in strings(each)]
    return [value] if isinstance(value, str) else []


@pytest.fixture(scope="module")
def calm(plan: Plan, index: pa.Table) -> list[Any]:
    return list(map(markup, bodies(plan, index, "calm")))


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_name_is_text_in_every_document(plan: Plan, index: pa.Table, calm: list[Any], name: str) -> None:
    check_inert(plan, index, name, calm)


@cache
def of_one_clip() -> tuple[Plan, pa.Table, list[Any]]:
    plan, index = plan_with(("CC0",), "folder"), index_of([{"key": "k", "split": "train"}])
    return plan, index, list(map(markup, bodies(plan, index, "calm")))


LETTERS = st.one_of(st.characters(codec="utf-8"), st.sampled_from("\\`*_~[]<>|#$&@!(){}:/.\n\r\u202e\u2066\x1b-=+\"'"))


@given(st.text(LETTERS, min_size=1, max_size=40).filter(lambda text: bool(printable(text).strip())))
@settings(max_examples=60)
def test_any_name_is_text_in_every_document(name: str) -> None:
    plan, index, calm = of_one_clip()
    check_inert(plan, index, name, calm)


def test_characters_that_show_nothing_are_left_out_and_names_are_bounded() -> None:
    assert printable("a\u3164b\u115fc\ufe0fd\u2800e\U000e0101") == "abcde"
    assert printable("e\u0301") == "é" and printable(printable("A\u030a")) == "Å"
    assert printable("n" * 20_000) == "n" * 199 + "…"
    assert printable("n" * 20_000, most=None) == "n" * 20_000
    assert len(plain("*" * 20_000)) == 399


PARAGRAPH = """---
a: b   c
---

# A heading that is long and stays on its line, whatever it takes, as do tables and code, for they are lines as such
one two
three

| a table | that is nearly too wide for a line, and yet must stay on one line, since that is what tables are | a | b |
- an item

```python
a  =  1

    b
```
"""


def test_paragraphs_are_wrapped_and_nothing_else() -> None:
    assert wrapped(PARAGRAPH) == PARAGRAPH.replace("one two\nthree", "one two three")
    long = wrapped("- " + "word " * 30 + "- minus 1. one ")
    assert long == wrapped(long) and max(map(len, long.split("\n"))) <= 120
    for blank in range(80, 120):
        text = f"{'x' * blank} + plus {'y' * 60} 1. one ======= {'z' * 90} - minus"
        assert [kind for kind, _ in markup(wrapped(text))] == ["paragraph_open", "paragraph_close"]


@pytest.mark.parametrize("name", ["http://a.example", "HTTPS://b.example/c", "see www.d.example", "WWW.e.example"])
def test_addresses_are_no_links(name: str) -> None:
    assert re.search(r"(?i)(?<!\\)://|www(?<!\\)\.", plain(name)) is None
    assert MARKDOWN.renderInline(plain(name)) == name


# --- the card


def test_the_hubs_own_classes_take_the_card(built: Path) -> None:
    loaded = DatasetCard.load(built / "README.md")
    data = loaded.data
    assert isinstance(data, DatasetCardData)
    head = yaml.safe_load((built / "README.md").read_text(encoding="utf-8").split("---\n", 2)[1])
    assert data.to_dict() == head
    assert (data.license, data.annotations_creators) == ("cc-by-nc-sa-4.0", ["machine-generated"])
    assert {"configs", "dataset_info", "extra_gated_fields", "size_categories", "tags"} <= set(head)


def test_declared_features_and_counts_are_those_that_load(
    built: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("datasets"), "propagate", True)
    declared = {
        info["config_name"]: info for info in DatasetCard.load(built / "README.md").data.to_dict()["dataset_info"]
    }
    files = {"default": sorted(built.glob("data/*.parquet")), "metadata": [built / "index.parquet"]}
    assert declared.keys() == files.keys()
    for name, paths in files.items():
        features = datasets.Features._from_yaml_list(declared[name]["features"])
        loaded = datasets.load_dataset(str(built), name, cache_dir=str(tmp_path))
        for split in declared[name]["splits"]:
            assert loaded[split["name"]].features == features
            assert loaded[split["name"]].num_rows == split["num_examples"]
        assert len(declared[name]["splits"]) == len(loaded)
        assert features == schema.features(schema.FIELDS if name == "default" else (*schema.LABELS, *schema.LOCATION))
        for path in paths:
            assert pq.read_schema(path).remove_metadata() == features.arrow_schema.remove_metadata()
    assert "malformed" not in caplog.text


def test_what_was_measured_has_a_unit_and_its_group() -> None:
    told = schema.documentation()
    for group, name, about in (
        ("motion", "motion_psnr_db", "PSNR of the encoded apex frame against the generated one, dB"),
        ("audit", "audit_duration_ms", "duration found in the frames, ms"),
    ):
        assert (schema.FIELD[name].group, schema.FIELD[name].about) == (group, about)
        assert f"| `{name}` | float, nullable | {group}: {about} |" in told and name in MEASURED


def test_ways_to_load_name_a_split_that_has_clips(plan: Plan, index: pa.Table) -> None:
    rest = index.filter(pc.not_equal(index["split"], "train"))
    shown = card(facts_of(plan, rest, Beside(rejected=0)))
    assert shown.count('split="validation"') == 4 and 'split="train"' not in shown
    assert "wds/validation-00000.tar" in shown and '("split", "==", "validation")' in shown


def test_one_clip_is_told_as_one(plan: Plan, index: pa.Table) -> None:
    facts = facts_of(plan, index.slice(0, 1), Beside(rejected=1))
    for text in (card(facts), datasheet(facts), croissant_text(facts, [])):
        words = " ".join(text.split())
        assert "1 portrait or clip" in words and "1 subject" in words
        assert not re.findall(r"\b1 (?:\w+ )?(?:clips|subjects|programs|portraits|columns|were|allow)\b", words)


def test_the_length_of_events_is_that_of_the_clips(built: Path, index: pa.Table) -> None:
    lengths = pc.subtract(index["offset_ms"], index["onset_ms"]).to_pylist()
    text = " ".join((built / "README.md").read_text(encoding="utf-8").split())
    assert f"return to neutral within {min(lengths):.0f}–{max(lengths):.0f} ms." in text


def test_a_split_tells_which_groups_it_lacks(plan: Plan, index: pa.Table) -> None:
    lines = {line.split(" | ")[0][2:]: line.split(" | ") for line in tables.splits(plan, index).split("\n")[2:]}
    for split, cells in lines.items():
        part = index.filter(pc.equal(index["split"], split))
        lacking = {
            word for name in tables.ATTRIBUTES for word in set(index[name].to_pylist()) - set(part[name].to_pylist())
        }
        assert set(cells[1].split(", ")) == (lacking or {"none"})
        assert cells[2] == str(len(set(part["subject"].to_pylist())))


SNIPPETS = re.compile(r"```python\n(.*?)```", flags=re.DOTALL)


def snippets_of(root: Path) -> tuple[list[str], list[str]]:
    """Snippets of a card: those of the Hub, and those of a folder."""
    text = (root / "README.md").read_text(encoding="utf-8").replace("PATH/TO/THIS/FOLDER", root.as_posix())
    found = SNIPPETS.findall(text)
    of_hub = [snippet for snippet in found if PLACEHOLDER in snippet]
    return of_hub, [snippet for snippet in found if snippet not in of_hub]


# Each snippet in a process of its own, which has imported what all of them take long to import.
EACH = """
import os, sys
import datasets, pyarrow.parquet
for code in sys.argv[1:]:
    child = os.fork()
    if not child:
        exec(code, {"__name__": "__main__"})
        sys.stdout.flush()
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit("failed: " + code)
    print(end="\\0", flush=True)
"""


def ran(home: Path, *codes: str, **environment: str) -> list[str]:
    """What each snippet prints, run with a home of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "EQUIME_"))}
    known = {**kept, "HF_HOME": str(home / "cache"), **environment}
    command = [sys.executable, "-c", EACH, *codes]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False, env=known)
    assert done.returncode == 0, done.stderr
    *said, rest = done.stdout.split("\0")
    assert len(said) == len(codes) and not rest
    return said


def test_every_snippet_of_the_card_runs(built: Path, index: pa.Table, tmp_path: Path) -> None:
    of_hub, of_folder = snippets_of(built)
    assert (len(of_hub), len(of_folder)) == (3, 5)
    told = ran(tmp_path, *of_folder, HF_HUB_OFFLINE="1")
    assert told[0].strip() in (built / "README.md").read_text(encoding="utf-8")
    train = index.filter(pc.equal(index["split"], "train"))
    keys = sorted(train["key"].to_pylist())
    assert told[0].strip() == hashlib.sha256("\n".join(keys).encode()).hexdigest()
    assert told[2].strip() == "(80, 128, 128, 3)"
    assert told[4].splitlines()[0].endswith("(80, 18)")


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_every_snippet_of_the_hub_runs(
    built: Path, copy_of: Callable[[Path], Path], local_hub: LocalHub, tmp_path: Path
) -> None:
    """Of a version that has no other beside it any more: whoever has withdrawn is loaded by none of them."""
    people(local_hub)
    release(local_hub, built, public=True)
    root = copy_of(built)
    replace_by_edition(root, [partial(withdrawal, subjects=[min(pq.read_table(root / INDEX)["subject"].to_pylist())])])
    release(local_hub, root, public=True, erase=True)
    index = pq.read_table(root / INDEX)
    ask = f"{local_hub.url}/datasets/{NAME}/ask-access"
    answers, login = dict.fromkeys(gate_fields(), "an answer"), {"Authorization": f"Bearer {READER}"}
    requests.post(ask, json=answers, headers=login, allow_redirects=False, timeout=10).raise_for_status()
    accept(client(local_hub), "reader")
    home = tmp_path / "home"
    home.mkdir()
    known = {"HF_ENDPOINT": local_hub.url, "HF_TOKEN": READER, "HF_HUB_DISABLE_XET": "1", "no_proxy": "127.0.0.1"}
    text = (root / "README.md").read_text(encoding="utf-8").replace(PLACEHOLDER, NAME)
    (command,) = re.findall(r"^hf download .*$", text, flags=re.MULTILINE)
    download = f"import sys; from huggingface_hub.cli.hf import main; sys.argv = {command.split()!r}; main()"
    snippets = [snippet.replace(PLACEHOLDER, NAME) for snippet in snippets_of(root)[0]]
    decoded, labels, chosen, _ = (said.splitlines() for said in ran(home, *snippets, download, **known))
    first = index.filter(pc.equal(index["split"], "train")).to_pylist()[0]
    assert decoded[0].split()[:3] == [first["key"], first["emotion"], first["au_text"]]
    assert decoded[1] == "(80, 128, 128, 3)"
    assert "# (80, 128, 128, 3): frames" in text
    assert labels == [f"{len(index)} {index['key'][0]}"]
    assert chosen[0].startswith(f"{len(index)} ")
    assert verify_but_the_cache(home / "equime") == []


def verify_but_the_cache(root: Path) -> list[object]:
    """Faults of a downloaded folder, but for what the client and the Hub put beside its files."""
    shutil.rmtree(root / ".cache")
    (root / ".gitattributes").unlink(missing_ok=True)
    return list(verify(root))


def test_figures_of_bias_are_those_of_the_report(built: Path, index: pa.Table) -> None:
    clips = open_dataset(built)
    for name in ("subject", "emotion", "apparent_race"):
        ours, theirs = tables.Clips(index).codes(name), clips.codes(name)
        assert [ours.words[code] for code in ours.codes] == [theirs.words[code] for code in theirs.codes]
    report, text = bias_report(clips), tables.bias(index)
    for item in report.representation:
        figures = " | ".join(f"{item.figures[name]:.3f}" for name in ("ens", "sei", "nsd"))
        assert f"| {item.attribute.replace('_', ' ')} | {item.unit} |" in text
        assert figures in text
    assert "∞" in text  # nobody is younger than 20
    assert tables.bias(index.slice(0, 0)) == "No clip."


def test_the_audit_of_a_folder_is_told(plan: Plan, index: pa.Table) -> None:
    assert tables.audit(index, None).startswith("This folder was not audited")
    verdicts = ["rejected", *["accepted"] * (len(index) - 1)]
    columns = {
        "audit_verdict": pa.array(verdicts),
        "audit_reasons": pa.array(["AU12 (*lip*) does not show: 0.1 of 1.2", *[""] * (len(index) - 1)]),
        "audit_apex_frame": pa.array([frame + 1 for frame in index["apex_frame"].to_pylist()], pa.int32()),
    }
    judged = index
    for name, values in columns.items():
        judged = judged.set_column(judged.schema.get_field_index(name), name, values)
    text = tables.audit(judged, acceptance_of(plan, judged, []))
    assert f"| all | {len(index)} | {len(index) - 1} | {len(index) - 1} | 92% | 65–99% | 0 | {len(index)} |" in text
    assert {f"| emotion: {name} " in text for name in ("happiness", "surprise")} == {True}
    assert "| apex | 12 | 10 | 10 |" in text
    assert "- 1 x … (\\*lip\\*) does not show: … of …" in text
    assert text.startswith("What was judged are the frames")


def test_refused_clips_count_though_they_have_left(plan: Plan, index: pa.Table) -> None:
    place = index.schema.get_field_index("audit_verdict")
    judged = index.set_column(place, "audit_verdict", pa.array(["accepted"] * len(index))).slice(2)
    gone = [Rejection(key, "AU12 does not show") for key in index["key"].to_pylist()[:2]]
    lines = [Commit("train-00000", "", 0, None, None, {}, tuple(gone))]
    said = "of 12 that were planned it accepted 10, 10 of them at the first attempt."
    assert said in " ".join(datasheet(facts_of(plan, judged, Beside(rejected=2, commits=lines))).split())
    assert said in croissant_text(facts_of(plan, judged, Beside(rejected=2, commits=lines)), [])


def test_changes_are_those_of_the_editions(plan: Plan) -> None:
    assert tables.changes(plan) == "None: this is the folder as it was built."
    gone = replace(plan, header={**plan.header, CHANGES: [{"what": "withdrawn", "subjects": 2, "clips": 7}]})
    assert tables.changes(gone).startswith("- withdrawn: 2 subjects, 7 clips\n")
    one = replace(plan, header={**plan.header, CHANGES: [{"what": "rejected clips left out", "clips": 1}]})
    assert tables.changes(one) == "- rejected clips left out: 1 clip"


def test_names_of_an_older_note_are_counted_and_not_told(plan: Plan, index: pa.Table) -> None:
    note = {"what": "withdrawn", "subjects": ["gone-1", "gone-2"], "clips": 7}
    gone = replace(plan, header={**plan.header, CHANGES: [note]})
    assert changes_of(gone.header) == [{**note, "subjects": 2}]
    for make in (card, datasheet):
        text = make(facts_of(gone, index, Beside(rejected=0)))
        assert "- withdrawn: 2 subjects, 7 clips\n" in text
        assert "gone-1" not in text


def test_clips_that_were_not_judged_are_neither_accepted_nor_refused(plan: Plan, index: pa.Table) -> None:
    place = index.schema.get_field_index("audit_verdict")
    verdicts = pa.array(["accepted", "rejected", "accepted", *[None] * (len(index) - 3)], pa.string())
    partly = index.set_column(place, "audit_verdict", verdicts)
    gone = Commit("train-00000", "", 0, None, None, {}, (Rejection("a", "no motion is left"),), ("b",))
    facts = facts_of(plan, partly, Beside(rejected=1, commits=[gone]))
    shown = card(facts)
    assert "9 of 12 clips were not judged." in " ".join(shown.split())
    assert "| clips | judged | accepted | share | 95% |" in shown and "| all | 3 | 2 | 67% | 21–94% |" in shown
    assert "no motion is left" not in shown and "planned" not in shown.split("### Audit")[1].split("\n## ")[0]
    told = "of 3 that it judged it accepted 2; 9 others were not judged."
    assert told in " ".join(datasheet(facts).split()) and told in croissant_text(facts, [])


# --- licenses


COMMERCIAL = (
    "mit",
    "apache-2.0",
    "cc0-1.0",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc-by-nd-4.0",
    "odc-by",
    "openrail",
    "other",
    "",
)


@pytest.mark.parametrize("source", ["celeba-hq", "procedural", "folder"])
@pytest.mark.parametrize("name", COMMERCIAL)
def test_no_folder_has_a_license_for_commercial_use(source: str, name: str) -> None:
    with pytest.raises(ValueError, match="none for commercial use"):
        load_profile("demo", license=name)
    whole = plan_with(("CelebAMask-HQ: non-commercial research and educational use only",), source)
    edited = replace(whole, header={**whole.header, "profile": {**whole.header["profile"], "license": name}})
    for make in (card, datasheet):
        with pytest.raises(ValueError, match="none for commercial use"):
            make(facts_of(edited, index_of([]), Beside(rejected=0)))


@pytest.mark.parametrize("name", LICENSES)
def test_the_license_of_the_profile_is_everywhere(name: str) -> None:
    assert "-nc-" in name
    whole = plan_with(("CC0",), "folder")
    chosen = replace(whole, header={**whole.header, "profile": {**whole.header["profile"], "license": name}})
    license, rows = LICENSES[name], index_of([])
    assert metadata(chosen, rows)["license"] == name
    assert license.url in license_text(chosen)
    for text in (
        card(facts_of(chosen, rows, Beside(rejected=0))),
        datasheet(facts_of(chosen, rows, Beside(rejected=0))),
    ):
        assert license.url in text and license.name in text
    assert json.loads(croissant_text(facts_of(chosen, rows, Beside(rejected=0)), []))["license"] == license.url
    survey = ProceduralSource().survey(small_profile(license=name), 0)
    assert {subject.license for subject in survey.subjects} == {license.name}


# --- datasheet and Croissant


def test_the_datasheet_has_every_question(built: Path) -> None:
    text = (built / "DATASHEET.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert {part.splitlines()[0]: len(re.findall(r"^\*\*", part, flags=re.MULTILINE)) for part in sections} == QUESTIONS
    answers = re.split(r"^\*\*.*\*\*$", text, flags=re.MULTILINE)[1:]
    assert all(answer.strip() for answer in answers)
    assert "12 clips of 6 subjects." in text


@pytest.mark.parametrize("source", ["procedural", "celeba-hq", "folder"])
def test_people_are_spoken_of_as_the_source_demands(source: str) -> None:
    whole, rows = plan_with(("CC0",), source), index_of([])
    about = words_of("sources", source)
    assert ("nobody" in about["people"]) == (source == "procedural")
    card_said, sheet_said = (
        " ".join(make(facts_of(whole, rows, Beside(rejected=0))).split()) for make in (card, datasheet)
    )
    for text in (card_said, sheet_said):
        assert about["people"] in text and about["consent"] in text and about["disjoint"] in text
        assert ("Nobody was photographed." in text) == (source == "procedural")
    assert about["confidential"] in sheet_said and about["offensive"] in sheet_said
    assert about["confidential"].startswith("No.") == (source == "procedural")
    assert about["consent"] in croissant_text(facts_of(whole, rows, Beside(rejected=0)), [])


@pytest.mark.filterwarnings("ignore")  # of the validator's own libraries
def test_croissant_is_valid_and_reads_the_folder(built: Path, index: pa.Table) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="validation needs the extra `dev`")
    dataset = mlcroissant.Dataset(jsonld=built / "croissant.json")
    assert not dataset.metadata.issues.errors and not dataset.metadata.issues.warnings
    rows = list(dataset.records("clips"))
    assert [row["clips/key"].decode() for row in rows] == index["key"].to_pylist()
    assert [row["clips/apex_frame"] for row in rows] == index["apex_frame"].to_pylist()
    videos = {row["videos/key"].decode(): row["videos/video"]["bytes"] for row in dataset.records("videos")}
    sha256 = {key: hashlib.sha256(data).hexdigest() for key, data in videos.items()}
    assert sha256 == dict(zip(index["key"].to_pylist(), index["mp4_sha256"].to_pylist(), strict=True))


def test_croissant_says_what_its_records_leave_out(built: Path, index: pa.Table) -> None:
    content = json.loads((built / "croissant.json").read_text(encoding="utf-8"))
    clips = content["recordSet"][0]
    held = {field["name"] for field in clips["field"]}
    assert all(name in clips["description"] for name in set(index.column_names) - held)
    assert content["creator"][0]["name"] == "Pei-Sze Tan"
    assert content["citeAs"] in (built / "README.md").read_text(encoding="utf-8")
    assert (content["datePublished"], content["url"]) == (str(paper().year), paper().url)


def test_croissant_names_every_shard_with_its_hash(built: Path) -> None:
    content = json.loads((built / "croissant.json").read_text(encoding="utf-8"))
    files = {node["@id"]: node for node in content["distribution"] if node["@type"] == "cr:FileObject"}
    shards = {
        path.relative_to(built).as_posix() for part in ("wds", "data", "arrow") for path in (built / part).iterdir()
    }
    assert set(files) == {*shards, "index.parquet"}
    for path, node in files.items():
        data = (built / path).read_bytes()
        assert (node["sha256"], node["contentSize"]) == (hashlib.sha256(data).hexdigest(), f"{len(data)} B")
    sets = {node["includes"] for node in content["distribution"] if node["@type"] == "cr:FileSet"}
    assert sets == {"wds/*.tar", "data/*.parquet", "arrow/*.arrow"}
    assert sum(name.startswith("rai:") for name in content) >= 12


# --- written, hashed, checked


def test_the_texts_are_derived_and_hashed(built: Path, index: pa.Table) -> None:
    found = texts(built, index)
    recorded = recorded_hashes(built)
    for path in ("README.md", "LICENSE", "DATASHEET.md", "croissant.json"):
        assert (built / path).read_bytes() == found[path]
        assert recorded[path] == hashlib.sha256(found[path]).hexdigest()


@pytest.mark.parametrize("path", ["DATASHEET.md", "croissant.json"])
@pytest.mark.parametrize("how", ["edited", "missing"])
def test_a_changed_text_is_found_and_written_again(
    built: Path, copy_of: Callable[[Path], Path], path: str, how: str
) -> None:
    root = copy_of(built)
    if how == "edited":
        (root / path).write_text((root / path).read_text(encoding="utf-8") + " ", encoding="utf-8")
    else:
        (root / path).unlink()
    told = {fault.path: fault.message for fault in verify(root)}[path]
    assert told == "missing" or told.endswith(f"; `equime card {root} --write` writes it anew")
    rewrite_texts(root)
    assert verify(root) == []
    assert (root / path).read_bytes() == (built / path).read_bytes()


def test_texts_are_not_rewritten_over_other_damage(built: Path, copy_of: Callable[[Path], Path]) -> None:
    root = copy_of(built)
    with open(root / "index.parquet", "ab") as file:
        file.write(b"x")
    before = (root / "__manifest__/dataset.json").read_bytes()
    with pytest.raises(FolderError, match=r"index\.parquet is not as it was recorded"):
        rewrite_texts(root)
    assert (root / "__manifest__/dataset.json").read_bytes() == before


def test_the_command_prints_and_writes(built: Path, copy_of: Callable[[Path], Path], tmp_path: Path) -> None:
    root, runner = copy_of(built), CliRunner()
    for text in ("README.md", "DATASHEET.md", "croissant.json", "LICENSE"):
        told = runner.invoke(app, ["card", str(root), "--text", text])
        assert told.exit_code == 0
        assert told.stdout == (built / text).read_text(encoding="utf-8")
    assert runner.invoke(app, ["card", str(root)]).stdout == (built / "README.md").read_text(encoding="utf-8")
    (root / "DATASHEET.md").unlink()
    assert runner.invoke(app, ["card", str(root), "--write"]).exit_code == 0
    assert verify(root) == []
    refused = runner.invoke(app, ["card", str(root), "--text", "x"])
    assert "must be one of README.md, LICENSE" in str(refused.exception)
    assert "no EquiME dataset" in str(runner.invoke(app, ["card", str(tmp_path)]).exception)


# --- folders of older versions, and folders that are published


def aged(root: Path, *names: str) -> Path:
    """A folder whose index lacks some columns, as one of an older version."""
    table = pq.read_table(root / "index.parquet")
    pq.write_table(table.drop_columns(list(names)), root / "index.parquet")
    (root / manifest.DATASET).write_bytes(dataset_bytes(root))
    return root


def test_an_older_folder_has_texts_of_what_it_holds(
    built: Path, copy_of: Callable[[Path], Path], tmp_path: Path
) -> None:
    lacking = ("corpus", "corpus_subject", "timing_by", "audit_verdict", "audit_reasons", "motion_inside")
    root = aged(copy_of(built), *lacking)
    done = CliRunner().invoke(app, ["card", str(root), "--write"])
    assert done.exit_code == 0, done.exception
    labels = datasets.load_dataset(str(root), "metadata", split="clips", cache_dir=str(tmp_path / "cache"))
    assert labels.num_rows == 12 and not set(labels.column_names) & set(lacking)
    held = {field["name"] for field in json.loads((root / "croissant.json").read_text())["recordSet"][0]["field"]}
    assert "emotion" in held and not held & set(lacking)


def test_an_older_folder_that_lacks_too_much_is_one_line(built: Path, copy_of: Callable[[Path], Path]) -> None:
    root = aged(copy_of(built), "portrait")
    for asked in ([], ["--text", "DATASHEET.md"], ["--write"]):
        done = CliRunner().invoke(app, ["card", str(root), *asked])
        assert isinstance(done.exception, FolderError)
        assert str(done.exception).endswith("lacks the column 'portrait'; build the dataset with this version")


def test_a_published_folder_says_where_it_is(built: Path, copy_of: Callable[[Path], Path], tmp_path: Path) -> None:
    root, runner = copy_of(built), CliRunner()
    asked = ["card", str(root), "--write", "--repository", "lab/equime", "--published", "2026-01-02"]
    assert runner.invoke(app, asked).exit_code == 0
    assert verify(root) == []
    assert read_publication(root) == Publication("lab/equime", "2026-01-02")
    text = (root / "README.md").read_text(encoding="utf-8")
    assert 'load_dataset("lab/equime", ' in text and PLACEHOLDER not in text
    content = json.loads((root / "croissant.json").read_text(encoding="utf-8"))
    page = "https://huggingface.co/datasets/lab/equime"
    assert (content["url"], content["datePublished"]) == (page, "2026-01-02")
    assert page in (root / "DATASHEET.md").read_text(encoding="utf-8")
    assert manifest.PUBLICATION in {file.path for file in planned_files(root)}
    before = {path: (root / path).read_bytes() for path in ("README.md", "croissant.json")}
    rewrite_texts(root)  # stays as it is
    assert {path: (root / path).read_bytes() for path in before} == before
    assert runner.invoke(app, [*asked[:4], "lab/other"]).exit_code == 0
    assert read_publication(root) == Publication("lab/other", "2026-01-02"), "the day of the first version stays"
    subject = manifest.read_plan(root).portraits["subject"][0].as_py()
    change = withdrawal(root, subjects=[subject])
    assert change is not None
    edit(root, tmp_path / "edition", change)
    assert read_publication(tmp_path / "edition") == read_publication(root)
    assert verify(tmp_path / "edition") == []


@pytest.mark.parametrize(
    "content",
    [
        '{"repository": "a b/c", "published": "2026-01-02"}',
        '{"repository": "a/b", "published": "20260102"}',
        '{"repository": "a/b", "published": "2026-02-30"}',
        '{"repository": 1, "published": "2026-01-02"}',
        "{}",
        "x",
    ],
)
def test_a_damaged_publication_is_one_line(built: Path, copy_of: Callable[[Path], Path], content: str) -> None:
    root = copy_of(built)
    (root / manifest.PUBLICATION).write_text(content)
    with pytest.raises(FolderError, match=r"publication\.json"):
        texts(root, pq.read_table(root / "index.parquet"))
    assert manifest.PUBLICATION in {fault.path for fault in verify(root) if fault.repair == STRAY}
    assert CliRunner().invoke(app, ["verify", str(root), "--repair"]).exit_code == 0
    assert verify(root) == [] and read_publication(root) is None


@given(st.from_regex(r"\A[a-z._-]{0,4}(/[a-z._-]{0,4}){0,2}\Z") | st.text("aZ0é_.-/\n", max_size=8))
@example("lab/x.git")
@example("lab/" + "x" * 97)
@example("_lab/x_")
def test_repositories_are_those_that_the_hub_takes(name: str) -> None:
    try:
        validate_repo_id(name)
        taken = name.isascii() and "/" in name and not name.startswith("/")
    except HFValidationError:
        taken = False
    if taken:
        check_repository(name)
    else:
        with pytest.raises(ValueError, match="must read OWNER/NAME"):
            check_repository(name)


def test_where_a_folder_is_goes_with_writing(built: Path) -> None:
    for asked in (["--repository", "a/b"], ["--write", "--published", "2026-01-02"]):
        told = CliRunner().invoke(app, ["card", str(built), *asked])
        assert "--repository with --write" in str(told.exception)
