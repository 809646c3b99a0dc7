"""Editions of a folder: without a subject, without rejected clips, without file names; and what stands against one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import FACES, small_profile
from hub_server import LocalHub
from publishing import NAME, client, contents, on_main, people, release
from test_acceptance import faint

from equime_builder import manifest
from equime_builder.annotations import write_annotation
from equime_builder.build import Request, build
from equime_builder.finish import INDEX
from equime_builder.hub.checks import EMAIL, about, is_neutral, objections, picture_names, published_text
from equime_builder.hub.editing import (
    Edit,
    before_of,
    changes_of,
    edit,
    edit_plan,
    edition_of,
    numbering,
    refusal,
    replace_by_edition,
    resume_replacing,
    withdrawal,
)
from equime_builder.hub.release import plan_release
from equime_builder.manifest import FolderError
from equime_builder.plan import Plan
from equime_builder.sources.folder import FolderSource
from equime_builder.verify import verify

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
Copy = Callable[[Path], Path]


def subjects(root: Path) -> list[str]:
    return sorted(set(pq.read_table(root / INDEX)["subject"].to_pylist()))


def withdraw(root: Path, *names: str) -> None:
    made = replace_by_edition(root, [partial(withdrawal, subject=name) for name in names])
    assert len(made) == len(names)


def test_a_subject_leaves_and_every_promise_holds(built: Path, copy_of: Copy) -> None:
    root = copy_of(built)
    gone, *rest = subjects(root)
    before = contents(root)
    clips = pq.read_table(root / INDEX)["subject"].to_pylist().count(gone)
    withdraw(root, gone)
    assert verify(root) == []
    assert subjects(root) == rest
    assert contents(before_of(root)) == before
    assert changes_of(manifest.read_header(root)) == [{"what": "withdrawn", "subjects": [gone], "clips": clips}]
    after = contents(root)
    told = {path for path, data in after.items() if gone.encode() in data}
    assert told == {manifest.HEADER}, "only the note names who left"
    shards = {path for path in after if path.startswith(("wds/", "data/", "arrow/"))}
    changed = {path for path in shards if after[path] != before[path]}
    assert shards == {path for path in before if path.startswith(("wds/", "data/", "arrow/"))}
    assert len(changed) == 3, "one shard in three formats"


def test_samples_of_others_keep_their_bytes(built: Path, copy_of: Copy) -> None:
    root = copy_of(built)
    gone = subjects(root)[0]
    columns = ["key", "mp4_sha256", "caption", "au_text"]
    rows = {row["key"]: row for row in pq.read_table(root / INDEX, columns=columns).to_pylist()}
    withdraw(root, gone)
    for row in pq.read_table(root / INDEX, columns=columns).to_pylist():
        assert row == rows.pop(row["key"])
    assert rows and all(f"_{gone}_" in key for key in rows)


def test_who_has_left_leaves_once(built: Path, copy_of: Copy) -> None:
    root = copy_of(built)
    gone = subjects(root)[0]
    withdraw(root, gone)
    assert withdrawal(root, gone) is None
    with pytest.raises(FolderError, match=r"subject 'nobody' is not in this dataset"):
        withdrawal(root, "nobody")
    with pytest.raises(FolderError, match=r"-before is what an earlier edition replaced"):
        withdraw(root, subjects(root)[0])


def test_several_edits_are_one_edition(built: Path, copy_of: Copy) -> None:
    root = copy_of(built)
    first, second, *rest = subjects(root)
    before = contents(root)
    withdraw(root, first, second)
    assert verify(root) == [] and subjects(root) == rest
    assert contents(before_of(root)) == before
    assert [change["subjects"] for change in changes_of(manifest.read_header(root))] == [[first], [second]]
    assert sorted(path.name for path in root.parent.iterdir()) == [root.name, f"{root.name}-before"]


def test_all_subjects_of_a_person_leave(built: Path) -> None:
    plan = manifest.read_plan(built)
    first, second = subjects(built)[:2]
    people_of = ["one" if name in (first, second) else name for name in plan.portraits["subject"].to_pylist()]
    place = plan.portraits.schema.get_field_index("person")
    portraits = plan.portraits.set_column(place, plan.portraits.schema.field(place), pa.array(people_of))
    from equime_builder.hub.editing import same_person

    assert same_person(Plan(plan.header, plan.clips, portraits), first) == {first, second}


def test_the_last_subject_cannot_leave(built: Path) -> None:
    plan = manifest.read_plan(built)
    with pytest.raises(FolderError, match="no clip would be left"):
        edit_plan(plan, Edit({"what": "all"}, subjects=frozenset(subjects(built))))


def test_a_second_version_sends_only_what_changed(built: Path, copy_of: Copy, local_hub: LocalHub) -> None:
    people(local_hub)
    root = copy_of(built)
    release(local_hub, root)
    gone = subjects(root)[0]
    withdraw(root, gone)
    local_hub.requests.clear()
    plan = plan_release(client(local_hub), root)
    kept = {file.path for file in plan.changes.keep if file.path.startswith(("wds/", "data/", "arrow/"))}
    done = release(local_hub, root)
    assert done.version == "v1.1.0" and kept
    repository = local_hub.repository(NAME)
    assert on_main(local_hub) == contents(root)
    assert set(repository.uploads.values()) == {1}, "no byte twice"
    large = [file for file in plan.changes.send if file.path.endswith((".tar", ".parquet", ".arrow"))]
    assert len(local_hub.asked("/storage/", "PUT")) == len(large)
    assert gone in repository.pulls[2].description and "Delete these clips" in repository.pulls[2].description
    assert repository.files("v1.0.0") != repository.files("v1.1.0")


def test_history_can_be_erased(built: Path, copy_of: Copy, local_hub: LocalHub) -> None:
    from equime_builder.hub.release import erase_history

    people(local_hub)
    root = copy_of(built)
    release(local_hub, root)
    gone = subjects(root)[0]
    keys = [key for key in pq.read_table(root / INDEX)["key"].to_pylist() if f"_{gone}_" in key]
    withdraw(root, gone)
    done = release(local_hub, root)
    assert erase_history(client(local_hub), done) > 0
    repository = local_hub.repository(NAME)
    assert on_main(local_hub) == on_main(local_hub, "v1.1.0") == contents(root)
    assert [name for name in repository.references if "tags" in name] == ["refs/tags/v1.1.0"]
    assert len(repository.history()) == 1
    # What large files of any commit hold, in old pull requests, too. Lines of the manifest name keys, and show nobody.
    held = [blob.data for commit in repository.commits.values() for blob in commit.files.values() if blob.large]
    held += repository.stored.values()
    assert held and not any(key.encode() in data for key in keys for data in held)


def test_reserves_stay_right_without_their_subjects(tmp_path: Path) -> None:
    """Whoever leaves, who was refused, who stood in or who was never needed: the folder verifies."""
    root = tmp_path / "equime"
    assert build(root, faint())
    plan = manifest.read_plan(root)
    reserve = {shard.number for shard in plan.shards if shard.reserve}
    present = set(subjects(root))
    of_reserve = {row["subject"] for row in plan.clips.to_pylist() if row["shard"] in reserve}
    refused = {
        each.name.split("_")[2]
        for shard in plan.shards
        if not shard.reserve
        for each in manifest.read_commit(root, shard).rejected  # type: ignore[union-attr]
    }
    kinds = {"refused": refused, "stood in": of_reserve & present, "not needed": of_reserve - present}
    for kind, names in kinds.items():
        assert names, kind
        target = tmp_path / kind
        edit(root, target, Edit({"what": "withdrawn"}, subjects=frozenset({min(names)})))
        assert verify(target) == [], kind


def test_rejected_clips_are_refused_and_can_leave(built: Path, copy_of: Copy) -> None:
    root = copy_of(built)
    key = pq.read_table(root / INDEX)["key"][0].as_py()
    write_annotation(root, "review", pa.table({"key": [key], "review_verdict": ["rejected"]}))
    assert [each.what for each in objections(root)] == [f"1 clips that the review rejected, e.g. {key}"]
    change = refusal(root)
    assert change is not None
    replace_by_edition(root, [lambda _: change])
    assert verify(root) == [] and objections(root) == []
    assert key not in pq.read_table(root / INDEX)["key"].to_pylist()
    assert refusal(root) is None


def test_a_folder_with_faults_is_refused(built: Path, copy_of: Copy) -> None:
    root = copy_of(built)
    (root / "equime.py").write_text("print()")
    found = objections(root)
    assert [each.next_step for each in found] == ["mend them with `equime verify --repair`"]
    assert "equime.py" in found[0].what


@pytest.mark.parametrize(
    "name",
    ["00001.jpg", "img_0012.png", "CelebA-HQ-img/77.jpg", "synthetic_04.png", "a/b/c/0.webp", "3f2a9c4d5e6f7a8b.jpg",
     "DSC01234.JPG", "image 12 (2).png"],
)  # fmt: skip
def test_names_that_name_nobody(name: str) -> None:
    assert is_neutral(name)


@pytest.mark.parametrize(
    "name",
    ["anna_smith.jpg", "AnnaSmith01.png", "smith/0001.jpg", "müller.jpg", "王伟.jpg", "portrait-bob.jpg",
     "j.doe.png", "0001 Иван.jpg", "deadbeefabe.jpg"],
)  # fmt: skip
def test_names_that_may_name_somebody(name: str) -> None:
    assert not is_neutral(name)


@pytest.mark.parametrize("text", ["a@b.de", "x first.last+tag@uni-köln.de y", "mail:Ann@cs.example.ac.uk."])
def test_addresses(text: str) -> None:
    assert EMAIL.search(text)


@pytest.mark.parametrize("text", ["hf://datasets/a/b@v1", "@name", "a@b", "12:30@noon"])
def test_what_is_no_address(text: str) -> None:
    assert not EMAIL.search(text)


def photographed(root: Path) -> Path:
    """Make a drawn folder look like one of photographs with telling names: only what a plan says of them matters."""
    from equime_builder.plan import plan_hash

    plan = manifest.read_plan(root)
    names = [f"anna_smith_{number}.jpg" for number in range(len(plan.portraits))]
    place = plan.portraits.schema.get_field_index("reference")
    portraits = plan.portraits.set_column(place, plan.portraits.schema.field(place), pa.array(names))
    header = {**plan.header, "source": "folder", "source_options": {"limit": None}}
    header.pop("plan_sha256")
    header["plan_sha256"] = plan_hash(header, plan.clips, portraits)
    manifest.write_plan(root, Plan(header, plan.clips, portraits))
    for shard in manifest.shards_in(header, None):
        line = manifest.commit_path(root, shard)
        commit = manifest.read_commit(root, shard)
        assert commit is not None
        from dataclasses import replace

        line.write_bytes(replace(commit, plan_sha256=header["plan_sha256"]).line())
    from equime_builder.finish import finish

    finish(root)
    assert verify(root) == []
    return root


def test_names_of_photographs_are_refused_or_numbered(built: Path, copy_of: Copy) -> None:
    root = photographed(copy_of(built))
    found = objections(root)
    assert len(found) == 1 and "may name people ('anna_smith_0.jpg'" in found[0].what
    assert "--strip-names" in found[0].next_step
    change = numbering(root)
    assert change is not None
    replace_by_edition(root, [lambda _: change])
    assert verify(root) == [] and objections(root) == []
    assert picture_names(root)[0] == "portrait-000001.jpg"
    assert not [path for path, data in contents(root).items() if b"anna" in data]
    assert numbering(root) is None


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
    gone = subjects(root)[0]
    replace_by_edition(root, [numbering, partial(withdrawal, subject=gone)])
    assert verify(root) == [] and objections(root) == []
    assert len(subjects(root)) == 2
    scored = pq.read_table(root / manifest.CURATION)
    assert len(scored) == manifest.read_header(root)["curation"]["portraits"]
    assert gone not in scored["subject"].to_pylist()
    assert about(root)["table of curation"].startswith(f"scores of {len(scored)} photographs, ")
    for path, text in published_text(root):
        assert not [name for name in ("anna", "ben", "carla", "dora") if name in text.lower()], path


def test_an_address_is_found_wherever_it_stands(built: Path, copy_of: Copy) -> None:
    root = copy_of(built)
    plan = manifest.read_plan(root)
    place = plan.portraits.schema.get_field_index("licence")
    words = pa.array(["ask owner@example.org"] * len(plan.portraits))
    from equime_builder.hub.checks import _addresses

    pq.write_table(plan.portraits.set_column(place, "licence", words), root / manifest.PORTRAITS)
    assert [each.what for each in _addresses(root)] == [f"{manifest.PORTRAITS} holds 1 e-mail addresses"]


def test_a_corpus_is_not_ours_to_publish(built: Path, copy_of: Copy) -> None:
    root = copy_of(built)
    header = json.loads((root / manifest.HEADER).read_text())
    (root / manifest.HEADER).write_text(json.dumps({**header, "corpus": "CASME II"}))
    with pytest.raises(FolderError, match="was imported from CASME II; this is for datasets that were built"):
        objections(root)


def test_a_folder_in_use_is_left_alone(built: Path, copy_of: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    root = copy_of(built)
    monkeypatch.setattr(manifest, "LOCK_PATIENCE_S", 0.0)
    with manifest.lock(root, "build"):
        with pytest.raises(FolderError, match="another build is writing this folder"):
            withdraw(root, subjects(root)[0])
        assert (root / manifest.LOCKS).is_dir(), "the lock of the other one"


def test_a_run_that_is_killed_between_the_renames_goes_on(built: Path, copy_of: Copy) -> None:
    root = copy_of(built)
    withdraw(root, subjects(root)[0])
    after = contents(root)
    root.rename(edition_of(root))
    resume_replacing(root)
    assert contents(root) == after
    resume_replacing(root)
    assert contents(root) == after


def test_an_edition_that_is_cut_leaves_the_folder(built: Path, copy_of: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    root = copy_of(built)
    before = contents(root)
    change = withdrawal(root, subjects(root)[0])
    assert change is not None

    def fail(_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("equime_builder.hub.editing.finish", fail)
    with pytest.raises(OSError, match="disk full"):
        replace_by_edition(root, [lambda _: change])
    monkeypatch.undo()
    assert contents(root) == before and [path.name for path in root.parent.iterdir()] == [root.name]
    replace_by_edition(root, [lambda _: change])
    assert verify(root) == []
