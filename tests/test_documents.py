"""Datasheet, Croissant and the other texts of a folder: filled from it, valid, inert, hashed, and rewritten."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import small_profile
from huggingface_hub import DatasetCard, DatasetCardData
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from test_card import HOSTILE, index_of, plan_with, printable
from typer.testing import CliRunner

from equime_builder import manifest
from equime_builder.card import card, licence_text, metadata
from equime_builder.cli import app
from equime_builder.documents import tables
from equime_builder.documents.croissant import croissant_text
from equime_builder.documents.datasheet import datasheet
from equime_builder.documents.words import plain, words_of
from equime_builder.finish import recorded_hashes, rewrite_texts, texts
from equime_builder.licences import LICENCES
from equime_builder.manifest import FolderError
from equime_builder.plan import CHANGES, Plan
from equime_builder.profiles import load_profile
from equime_builder.sources.drawn import ProceduralSource
from equime_builder.verify import verify
from equime_loader import open_dataset
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


def said(plan: Plan, name: str) -> Plan:
    """The plan with a name wherever words of others come into the texts."""
    header = {**plan.header, "profile": {**plan.header["profile"], "name": name, "follows": name}, "source": name}
    header |= {"source_options": {name: name}, "builder_version": name}
    header[CHANGES] = [{"what": name, "subjects": [name], "clips": 1}]
    return replace(plan, header=header)


def markup(text: str) -> list[tuple[str, str]]:
    """Everything in a text that is more than text: kind of token and, where it has one, its target."""
    found = []
    for token in MARKDOWN.parse(text):
        for each in (token, *(token.children or ())):
            if each.type not in ("text", "inline"):
                found.append((each.type, str(each.attrs) + (each.content if each.type == "code_inline" else "")))
    return found


# --- hostile names


def without_head(text: str) -> str:
    return text.split("---\n", 2)[2] if text.startswith("---\n") else text


def check_inert(plan: Plan, index: pa.Table, name: str) -> None:
    for make in (card, datasheet):
        text, calm = (without_head(make(said(plan, each), index, rejected=0)) for each in (name, "calm"))
        assert markup(text) == markup(calm)
        assert all(letter.isprintable() or letter == "\n" for letter in text)
    content = json.loads(croissant_text(said(plan, name), index, [], rejected=0))
    assert content["name"] == f"EquiME ({printable(name)})"
    assert all(letter.isprintable() for text in strings(content) for letter in text)


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in strings(each)]
    if isinstance(value, list):
        return [text for each in value for text in strings(each)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_name_is_text_in_every_document(plan: Plan, index: pa.Table, name: str) -> None:
    check_inert(plan, index, name)


LETTERS = st.one_of(st.characters(codec="utf-8"), st.sampled_from("\\`*_~[]<>|#$&@!(){}:/.\n\r\u202e\u2066\x1b-=+\"'"))


@given(st.text(LETTERS, min_size=1, max_size=40).filter(lambda text: bool(printable(text).strip())))
@settings(deadline=None, max_examples=60)
def test_any_name_is_text_in_every_document(name: str) -> None:
    check_inert(plan_with(("CC0",), "folder"), index_of([]), name)


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


SNIPPETS = re.compile(r"```python\n(.*?)```", flags=re.DOTALL)


def test_every_snippet_of_the_card_runs(built: Path, index: pa.Table, tmp_path: Path) -> None:
    snippets = SNIPPETS.findall((built / "README.md").read_text(encoding="utf-8"))
    assert len(snippets) == 5
    told = []
    for snippet in snippets:
        code = "import os; os.environ['HF_HOME'] = 'cache'\n" + snippet.replace("PATH/TO/THIS/FOLDER", built.as_posix())
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)
    assert told[0].strip() in (built / "README.md").read_text(encoding="utf-8")
    train = index.filter(pc.equal(index["split"], "train"))
    keys = sorted(train["key"].to_pylist())
    assert told[0].strip() == hashlib.sha256("\n".join(keys).encode()).hexdigest()
    assert told[4].splitlines()[0].endswith("(80, 18)")


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
    assert tables.audit(plan, index, []).startswith("This folder was not audited")
    verdicts = ["rejected", *["accepted"] * (len(index) - 1)]
    columns = {
        "audit_verdict": pa.array(verdicts),
        "audit_reasons": pa.array(["AU12 (*lip*) does not show: 0.1 of 1.2", *[""] * (len(index) - 1)]),
        "audit_apex_frame": pa.array([frame + 1 for frame in index["apex_frame"].to_pylist()], pa.int32()),
    }
    judged = index
    for name, values in columns.items():
        judged = judged.set_column(judged.schema.get_field_index(name), name, values)
    text = tables.audit(plan, judged, [])
    assert f"| all | {len(index)} | {len(index) - 1} | {len(index) - 1} | 92% (65%–99%) | 0 | {len(index)} |" in text
    assert {f"| emotion: {name} " in text for name in ("happiness", "surprise")} == {True}
    assert "| apex | 12 | 10 | 10 |" in text
    assert "- 1 x … (\\*lip\\*) does not show: … of …" in text


def test_changes_are_those_of_the_editions(plan: Plan) -> None:
    assert tables.changes(plan) == "None: this is the folder as it was built."
    gone = replace(plan, header={**plan.header, CHANGES: [{"what": "withdrawn", "subjects": ["p1", "p2"], "clips": 7}]})
    assert tables.changes(gone).startswith("- withdrawn: 2 subjects, 7 clips\n")
    assert "p1" not in tables.changes(gone)


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
        load_profile("demo", licence=name)
    whole = plan_with(("CelebAMask-HQ: non-commercial research and educational use only",), source)
    edited = replace(whole, header={**whole.header, "profile": {**whole.header["profile"], "licence": name}})
    for make in (card, datasheet):
        with pytest.raises(ValueError, match="none for commercial use"):
            make(edited, index_of([]), rejected=0)


@pytest.mark.parametrize("name", LICENCES)
def test_the_license_of_the_profile_is_everywhere(name: str) -> None:
    assert "-nc-" in name
    whole = plan_with(("CC0",), "folder")
    chosen = replace(whole, header={**whole.header, "profile": {**whole.header["profile"], "licence": name}})
    licence, rows = LICENCES[name], index_of([])
    assert metadata(chosen, rows)["license"] == name
    assert licence.url in licence_text(chosen)
    for text in (card(chosen, rows, rejected=0), datasheet(chosen, rows, rejected=0)):
        assert licence.url in text and licence.name in text
    assert json.loads(croissant_text(chosen, rows, [], rejected=0))["license"] == licence.url
    survey = ProceduralSource().survey(small_profile(licence=name), 0)
    assert {subject.licence for subject in survey.subjects} == {licence.name}


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
    for text in (card(whole, rows, rejected=0), datasheet(whole, rows, rejected=0)):
        assert about["people"] in text and about["consent"] in text
    assert about["consent"] in croissant_text(whole, rows, [], rejected=0)


@pytest.mark.filterwarnings("ignore")  # of the validator's own libraries
def test_croissant_is_valid_and_reads_the_folder(built: Path, index: pa.Table) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="validation needs the extra `dev`")
    dataset = mlcroissant.Dataset(jsonld=built / "croissant.json")
    assert not dataset.metadata.issues.errors
    rows = list(dataset.records("clips"))
    assert [row["clips/key"].decode() for row in rows] == index["key"].to_pylist()
    assert [row["clips/apex_frame"] for row in rows] == index["apex_frame"].to_pylist()


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
    assert path in {fault.path for fault in verify(root)}
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
    assert "not complete" in str(runner.invoke(app, ["card", str(tmp_path)]).exception)
