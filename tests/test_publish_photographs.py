"""What a publication shows of photographs and of people: no names, no hashes, nobody who is not in the dataset."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import FACES, small_profile
from hub_server import LocalHub
from publishing import NAME, contents, people, release, replace_by_edition
from test_publish_editions import Copy, subjects, withdraw

from equime_builder import manifest
from equime_builder.build import Request, build
from equime_builder.curation.table import COLUMNS, make_table
from equime_builder.dataset_folder import before_of
from equime_builder.finish import finish
from equime_builder.hub.checks import about, addresses, is_neutral, objections, picture_names, published_text
from equime_builder.hub.editing import (
    changes_of,
    numbering,
    withdrawal,
)
from equime_builder.hub.people import replacing_names, stripped
from equime_builder.plan import Plan, plan_hash
from equime_builder.sources.folder import FolderSource
from equime_builder.verify import verify

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.mark.parametrize(
    "name",
    ["00001.jpg", "img_0012.png", "CelebA-HQ-img/77.jpg", "synthetic_04.png", "p00012.webp", "3f2a9c4d5e6f7a8b.jpg",
     "DSC01234.JPG", "image 12 (2).png"],
)  # fmt: skip
def test_names_that_name_nobody(name: str) -> None:
    assert is_neutral(name)


@pytest.mark.parametrize(
    "name",
    ["anna_smith.jpg", "AnnaSmith01.png", "smith/0001.jpg", "müller.jpg", "王伟.jpg", "portrait-bob.jpg",
     "j.doe.png", "0001 Иван.jpg", "deadbeefabe.jpg", "Abe12345678.jpg", "Ed12345678.png", "Abe1234567.jpg",
     "j.d.jpg", "a/b/c/0.webp", "5.anna", "ａnna.png"],
)  # fmt: skip
def test_names_that_may_name_somebody(name: str) -> None:
    assert not is_neutral(name)


@pytest.mark.parametrize("text", ["a@b.de", "x first.last+tag@uni-köln.de y", "mail:Ann@cs.example.ac.uk.",
                                  "anna＠uni.de", "Anna%40uni.de", "root@localhost", "anna@[10.0.0.1]"])  # fmt: skip
def test_addresses(text: str) -> None:
    assert addresses(text)


@pytest.mark.parametrize("text", ["hf://datasets/a/b@v1.0.0", "@name", "a@b", "12:30@noon"])
def test_what_is_no_address(text: str) -> None:
    assert not addresses(text)


def holding(root: Path, words: list[str]) -> set[tuple[str, str]]:
    """Files of a folder that hold a word in their bytes, rows or members, with the word."""
    found = set()
    for path, data in contents(root).items():
        texts = [path.encode(), data]
        if path.endswith(".parquet"):
            table = pq.read_table(root / path)
            texts += [repr(table.to_pylist()).encode(), repr(table.schema.metadata).encode()]
        elif path.endswith(".arrow"):
            texts.append(repr(pa.ipc.open_file(root / path).read_all().to_pylist()).encode())
        elif path.endswith(".tar"):
            with tarfile.open(root / path) as tar:
                texts += [tar.extractfile(member).read() for member in tar]  # type: ignore[union-attr]
        found |= {(path, word) for word in words if any(word.encode() in text for text in texts)}
    return found


def sha256_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def photographed(root: Path, tables: Callable[[Plan], Plan] = lambda plan: plan) -> Path:
    """Make a drawn folder look like one of photographs with telling names: only what a plan says of them matters.

    The first subject has a second photograph that was not taken, and a copy of the first; somebody else was not taken.
    """
    plan = manifest.read_plan(root)
    rows = plan.portraits.to_pylist()
    for place, row in enumerate(rows):
        # The order of the names is not that of the subjects.
        name = f"{'zyxwvutsr'[place]}anna_smith_{place}.jpg"
        row |= {"reference": name, "sha256": sha256_of(name), "landmarks": b"\0" * 8, "crop": [0, 0, 1]}
    first = rows[0]
    nothing = dict.fromkeys(plan.portraits.column_names)
    second, copied, other = "anna_2.jpg", "copied.jpg", "berta.jpg"
    rejected = [
        {**nothing, "reference": copied, "rejected": f"same picture as {first['reference']}"},
        {**nothing, "reference": second, "rejected": "not neutral: a model sees sadness (0.90)"},
        {**nothing, "reference": other, "rejected": "3 faces found"},
    ]
    first["person"] = "celeba42"
    taken = [
        {**{name: row[name] for name in ("subject", "person", "reference", "sha256")}, "taken": True} for row in rows
    ]
    known = {"taken": False, "estimated_race": "asian", "estimated_by": "a model"}
    scored = [
        *taken,
        {**taken[0], **known, "person": None, "reference": copied, "reason": rejected[0]["rejected"]},
        {"subject": "s1", "person": "celeba42", "reference": second, "sha256": sha256_of(second), **known,
         "reason": rejected[1]["rejected"]},
        {"subject": "s2", "reference": other, "sha256": sha256_of(other), **known, "reason": rejected[2]["rejected"]},
    ]  # fmt: skip
    portraits = pa.Table.from_pylist([*rows, *rejected], schema=plan.portraits.schema)
    curation = make_table(scored, COLUMNS)
    header = {**plan.header, "source": "folder", "source_options": {"limit": None, "attributes": None}}
    header["curation"] = {"portraits": len(scored), "shortfall": None}
    return replanned(root, tables(Plan(header, plan.clips, portraits, curation)))


def replanned(root: Path, plan: Plan) -> Path:
    """The folder with another plan, which its shards are said to be of."""
    header = {name: value for name, value in plan.header.items() if name != "plan_sha256"}
    header["plan_sha256"] = plan_hash(header, plan.clips, plan.portraits, plan.curation)
    manifest.write_plan(root, replace(plan, header=header))
    for shard in manifest.shards_in(header, None):
        commit = manifest.read_commit(root, shard)
        assert commit is not None
        manifest.write_commit(root, shard, replace(commit, plan_sha256=header["plan_sha256"]))
    finish(root)
    assert verify(root) == []
    return root


def test_traces_of_photographs_are_refused_or_taken_out(built: Path, copy_of: Copy) -> None:
    root = photographed(copy_of(built))
    people = len(subjects(root))
    found = objections(root)
    assert [each.what.split(" (")[0] for each in found] == [
        f"{people + 3} file names of photographs may name people",
        f"{people + 2} hashes of photographs: whoever has one can tell who takes part",
        "3 photographs of people who are not in the dataset, with what was found there",
    ]
    assert all("--strip-names" in each.next_step for each in found)
    replace_by_edition(root, [numbering])
    assert verify(root) == [] and objections(root) == [] and numbering(root) is None
    names = pq.read_table(root / manifest.PORTRAITS)["reference"].to_pylist()
    assert names == [f"portrait-{number:06d}.jpg" for number in range(1, people + 1)]
    assert picture_names(root) == names
    table = pq.read_table(root / manifest.CURATION)
    assert table["reference"].to_pylist() == names and table["subject"].to_pylist() == subjects(root)
    assert all(table["taken"].to_pylist()) and table["sha256"].null_count == len(table)
    words = ["anna", "berta", "copied", "smith", *map(sha256_of, ("anna_2.jpg", "berta.jpg"))]
    assert holding(before_of(root), words) and not holding(root, words)
    (change,) = changes_of(manifest.read_header(root))
    assert change["photographs"] == 3
    assert change["reasons"] == {"not neutral": 1, "same picture as another": 1, "several faces found": 1}


def test_reasons_name_no_photograph() -> None:
    """The longer name first."""
    names = {f"anna_{number}.jpg": f"portrait-{number:06d}.jpg" for number in range(1000)}
    nameless = replacing_names({**names, "a/anna_1.jpg": "another", "": "nothing"})
    assert nameless("same picture as a/anna_1.jpg, anna_2.jpg") == "same picture as another, portrait-000002.jpg"
    assert [nameless(f"like {name}") for name in names] == [f"like {name}" for name in names.values()]
    assert replacing_names({})("like anna_1.jpg") == "like anna_1.jpg"


def test_a_public_source_keeps_names_and_hashes(built: Path, copy_of: Copy) -> None:
    root = photographed(copy_of(built), lambda plan: replace(plan, header={**plan.header, "source": "celeba-hq"}))
    assert [each.what.split(" of people")[0] for each in objections(root)] == ["3 photographs"]
    names, hashes = (pq.read_table(root / manifest.PORTRAITS)[name].to_pylist() for name in ("reference", "sha256"))
    replace_by_edition(root, [numbering])
    assert verify(root) == [] and objections(root) == []
    kept = pq.read_table(root / manifest.PORTRAITS)
    assert set(kept["reference"].to_pylist()) == set(names[: len(kept)])
    assert set(kept["sha256"].to_pylist()) == set(hashes[: len(kept)])


def test_who_looks_is_told_of_hashes_in_names_of_photographs(built: Path, copy_of: Copy) -> None:
    """In every folder of one's own photographs; drawn faces have none, and photographs of a public source are known."""
    root = photographed(copy_of(built))
    notice, gap = "hashes of photographs", "planned, and without a clip"
    facts = about(root)
    assert facts[notice].startswith("subject and portrait of a clip hold 10 and 16 digits") and gap not in facts
    plan = manifest.read_plan(root)
    replanned(root, replace(plan, header={**plan.header, "source": "celeba-hq"}))
    assert notice not in about(root)
    assert notice not in about(built)


def test_who_has_no_clip_keeps_no_likeness(built: Path, copy_of: Copy) -> None:
    """Who was planned and refused keeps what the balance of groups needs."""
    plan = manifest.read_plan(photographed(copy_of(built)))
    hidden, *shown = sorted(set(plan.clips["subject"].to_pylist()))
    rows = {row["subject"]: row for row in stripped(plan, shown).portraits.to_pylist()}
    assert set(rows) == {hidden, *shown}
    assert rows[hidden]["crop"] is None and rows[hidden]["landmarks"] is None and rows[hidden]["attributes"]
    assert all(rows[name]["landmarks"] for name in shown)


def test_a_person_leaves_without_a_trace(built: Path, copy_of: Copy) -> None:
    root = photographed(copy_of(built))
    gone = pq.read_table(root / manifest.PORTRAITS)["subject"][0].as_py()
    first = pq.read_table(root / manifest.PORTRAITS)["reference"][0].as_py()
    hashes = [sha256_of(first), sha256_of("anna_2.jpg")]
    words = [gone, "celeba42", first, "anna_2.jpg", "copied.jpg", *hashes, *(each[:10] for each in hashes)]
    assert {word for _, word in holding(root, words)} == set(words)
    withdraw(root, gone)
    assert verify(root) == []
    assert not holding(root, words)
    assert {word for _, word in holding(root, ["berta.jpg"])}, "of others nothing leaves"


def test_notes_of_older_versions_name_nobody(built: Path, copy_of: Copy, local_hub: LocalHub) -> None:
    """They list who left; everybody reads pull requests and tags of a public page, and who is let in reads the plan."""
    people(local_hub)
    root, gone = copy_of(built), ["s0123456789", "s9876543210"]
    plan = manifest.read_plan(root)
    note = {"what": "withdrawn", "subjects": gone, "clips": 4}
    replanned(root, replace(plan, header={**plan.header, "changes": [note]}))
    (found,) = objections(root)
    assert str(found).startswith(
        "1 note of earlier editions with names of people who have left; publish with --strip-names"
    )
    replace_by_edition(root, [numbering])
    assert verify(root) == [] and objections(root) == [] and not holding(root, gone)
    assert changes_of(manifest.read_header(root))[1:] == [{"what": "names of who left taken out of earlier notes"}]
    release(local_hub, root)
    repository = local_hub.repository(NAME)
    (pull,) = repository.pulls.values()
    (said,) = repository.notes.values()
    assert pull.description == said
    assert said.splitlines()[0] == "- withdrawn: 2 subjects, 4 clips"
    assert not [name for name in gone if name in said]


def test_the_table_of_attributes_has_a_name_too(built: Path, copy_of: Copy) -> None:
    def tables(plan: Plan) -> Plan:
        return replace(plan, header={**plan.header, "source_options": {"attributes": "anna_smith.csv"}})

    root = photographed(copy_of(built), tables)
    replace_by_edition(root, [numbering])
    (found,) = objections(root)
    assert "the name of the table of attributes, 'anna_smith.csv', may name people" in found.what
    assert found.next_step == "rename the table and build again"


def test_photographs_and_their_table_of_curation(face_model: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, name in ((4, "anna smith.png"), (3, "ben.png"), (10, "carla_c.png")):
        shutil.copy(FACES / f"synthetic_{number:02d}.png", photos / name)
    shutil.copy(photos / "ben.png", photos / "ben again.png")
    (photos / "list of dora.txt").write_text("names")
    root = tmp_path / "equime"
    source = FolderSource(photos, model=lambda: face_model)
    assert build(root, Request(small_profile(subjects=3, emotions=("happiness",)), source))
    assert [name for name in picture_names(root) if is_neutral(name)] == []
    sha256 = hashlib.sha256((photos / "ben.png").read_bytes()).hexdigest()
    gone = f"s{sha256[:10]}"
    traces = [gone, sha256, sha256[:10], "ben.png", "ben again.png"]
    assert {word for _, word in holding(root, traces)} == set(traces)
    replace_by_edition(root, [partial(withdrawal, subjects=[gone])])
    assert not holding(root, traces)
    shutil.rmtree(before_of(root))
    replace_by_edition(root, [numbering])
    assert verify(root) == [] and objections(root) == []
    assert len(subjects(root)) == 2
    scored = pq.read_table(root / manifest.CURATION)
    assert len(scored) == manifest.read_header(root)["curation"]["portraits"] == 2
    assert about(root)["hashes of photographs"].startswith("subject and portrait of a clip hold 10 and 16 digits")
    assert about(root)["table of curation"] == "scores of 2 photographs, 0 of them not taken"
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in photos.iterdir()]
    assert not holding(root, hashes)
    for path, text in published_text(root):
        assert not [name for name in ("anna", "ben", "carla", "dora") if name in text.lower()], path


def test_an_address_is_found_wherever_it_stands(built: Path, copy_of: Copy) -> None:
    root = copy_of(built)
    plan = manifest.read_plan(root)
    place = plan.portraits.schema.get_field_index("license")
    words = pa.array(["ask owner@example.org"] * len(plan.portraits))
    from equime_builder.hub.checks import _addresses

    pq.write_table(plan.portraits.set_column(place, "license", words), root / manifest.PORTRAITS)
    assert [each.what for each in _addresses(root)] == [f"{manifest.PORTRAITS} holds 1 e-mail address"]
