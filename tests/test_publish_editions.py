"""Editions of a folder: without a subject, without rejected clips, without file names; and what stands against one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import small_request
from hub_server import LocalHub
from publishing import NAME, client, contents, on_main, people, release, replace_by_edition
from test_acceptance import faint
from typer.testing import CliRunner

from equime_builder import manifest
from equime_builder.acceptance import acceptance
from equime_builder.annotate import write_annotation
from equime_builder.build import build
from equime_builder.cli import app
from equime_builder.dataset_folder import before_of, edition_of, is_dataset
from equime_builder.documents.publication import Publication
from equime_builder.finish import INDEX, rewrite_texts
from equime_builder.hub.checks import about, free_words, objections
from equime_builder.hub.editing import (
    Edit,
    aside_of,
    changes_of,
    edit,
    edit_plan,
    edition_aside,
    refusal,
    take_place,
    withdrawal,
)
from equime_builder.hub.people import same_person
from equime_builder.hub.release import plan_release
from equime_builder.locks import take
from equime_builder.manifest import FolderError
from equime_builder.plan import Plan
from equime_builder.site.folder import write_site
from equime_builder.verify import verify

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
Copy = Callable[[Path], Path]


def subjects(root: Path) -> list[str]:
    return sorted(set(pq.read_table(root / INDEX)["subject"].to_pylist()))


def withdraw(root: Path, *names: str) -> None:
    made = replace_by_edition(root, [partial(withdrawal, subjects=names)])
    assert len(made) == 1


def test_a_subject_leaves_and_every_promise_holds(built: Path, copy_of: Copy) -> None:
    root = copy_of(built)
    gone, *rest = subjects(root)
    before = contents(root)
    clips = pq.read_table(root / INDEX)["subject"].to_pylist().count(gone)
    withdraw(root, gone)
    assert verify(root) == []
    assert subjects(root) == rest
    assert contents(before_of(root)) == before
    assert changes_of(manifest.read_header(root)) == [{"what": "withdrawn", "subjects": 1, "clips": clips}]
    after = contents(root)
    assert not [path for path, data in after.items() if gone.encode() in data], "nothing names who left"
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
    assert withdrawal(root, subjects=[gone, gone]) is None
    with pytest.raises(FolderError, match=r"subject 'nobody' is not in this dataset"):
        withdrawal(root, subjects=[gone, "nobody"])
    with pytest.raises(FolderError, match=r"-before is what an earlier edition replaced"):
        withdraw(root, subjects(root)[0])


def test_several_edits_are_one_edition(built: Path, copy_of: Copy) -> None:
    root = copy_of(built)
    first, second, *rest = subjects(root)
    before = contents(root)
    withdraw(root, first, second)
    assert verify(root) == [] and subjects(root) == rest
    assert contents(before_of(root)) == before
    (change,) = changes_of(manifest.read_header(root))
    assert change["subjects"] == 2
    assert sorted(path.name for path in root.parent.iterdir()) == [root.name, f"{root.name}-before"]


def test_all_subjects_of_a_person_leave(built: Path) -> None:
    plan = manifest.read_plan(built)
    first, second = subjects(built)[:2]
    people_of = ["one" if name in (first, second) else name for name in plan.portraits["subject"].to_pylist()]
    place = plan.portraits.schema.get_field_index("person")
    portraits = plan.portraits.set_column(place, plan.portraits.schema.field(place), pa.array(people_of))
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
    note = repository.pulls[2].description
    assert note.startswith("- withdrawn: 1 subject, 2 clips\nDelete from every copy of an earlier version")
    assert not any(gone in str(pull) for pull in repository.pulls.values()), "everybody reads a public page's"
    assert not any(gone in repository.notes[tag] for tag in repository.notes)
    assert repository.files("v1.0.0") != repository.files("v1.1.0")


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
    assert [each.what for each in objections(root)] == [f"1 clip that the review rejected, e.g. {key}"]
    change = refusal(root)
    assert change is not None
    replace_by_edition(root, [lambda _: change])
    assert verify(root) == [] and objections(root) == []
    assert key not in pq.read_table(root / INDEX)["key"].to_pylist()
    assert refusal(root) is None


def test_an_edition_without_rejected_clips_tells_no_share_of_accepted_ones(
    built: Path, copy_of: Copy, tmp_path: Path
) -> None:
    root = copy_of(built)
    keys = pq.read_table(root / INDEX)["key"].to_pylist()
    reasons = ["AU12 does not show"] * 3 + [""] * (len(keys) - 3)
    verdicts = ["rejected" if reason else "accepted" for reason in reasons]
    write_annotation(root, "audit", pa.table({"key": keys, "audit_verdict": verdicts, "audit_reasons": reasons}))
    assert "| all | 12 | 9 | 9 | 75%" in (root / "README.md").read_text(encoding="utf-8")
    replace_by_edition(root, [refusal])
    assert verify(root) == [] and acceptance(root).left == 3
    write_site(root, tmp_path / "page", clips=1, videos=0)
    said = (
        "3 clips that audit or review rejected have left the dataset: from those that stayed, no share of accepted "
        "clips can be told."
    )
    for path in (
        *(root / name for name in ("README.md", "DATASHEET.md", "croissant.json")),
        tmp_path / "page/index.html",
    ):
        text = " ".join(path.read_text(encoding="utf-8").split())
        assert said in text and "planned it accepted" not in text, path
    card = (root / "README.md").read_text(encoding="utf-8")
    assert "| all | " not in card.split("### Audit")[1].split("\n## ")[0]
    shown = CliRunner().invoke(app, ["acceptance", str(root)]).stdout
    assert "100%" not in shown and "3 clips that audit or review rejected have left" in " ".join(shown.split())


def test_every_word_that_no_vocabulary_binds_is_told(built: Path, copy_of: Copy) -> None:
    root = copy_of(built)
    index = pq.read_table(root / INDEX)
    place, judges = index.schema.get_field_index("gender_judged_by"), [f"judge {n}" for n in range(3 * len(index))]
    grown = pa.concat_tables([index] * 3).set_column(place, "gender_judged_by", pa.array(judges))
    pq.write_table(grown, root / INDEX)
    found = free_words(root)
    assert found["gender_judged_by"] == judges and {"caption", "prompt", "au_text"}.isdisjoint(found)


def test_a_folder_with_faults_is_refused(built: Path, copy_of: Copy) -> None:
    root = copy_of(built)
    (root / "equime.py").write_text("print()")
    found = objections(root)
    assert [each.next_step for each in found] == ["mend them with `equime verify --repair`"]
    assert "equime.py" in found[0].what


@pytest.fixture(scope="module")
def tars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tars alone; read only."""
    root = tmp_path_factory.mktemp("tars") / "equime"
    assert build(root, small_request(formats=("webdataset",)))
    return root


@pytest.mark.parametrize("edits", ["withdrawal", "refusal", "numbering"])
@pytest.mark.parametrize("filtered", [False, True])
def test_damage_is_not_edited_into_a_new_folder(
    edits: str, filtered: bool, tars: Path, copy_of: Copy, tmp_path: Path
) -> None:
    """An edition describes its files anew: what was damaged before would be good ever after."""
    root = copy_of(tars)
    index = pq.read_table(root / INDEX).to_pylist()
    row = index[0]
    out = row if filtered else next(each for each in index if each["shard"] != row["shard"])
    change: dict[str, Any] = {
        "withdrawal": partial(withdrawal, subjects=[out["subject"]]),
        "refusal": lambda _: Edit({"what": "rejected"}, keys=frozenset({out["key"]})),
        "numbering": lambda _: Edit({"what": "names"}, numbered=True),
    }
    path = root / row["shard"]
    data = bytearray(path.read_bytes())
    data[row["mp4_offset"] + row["mp4_length"] // 2] ^= 0x5A
    path.write_bytes(data)
    before = contents(root)
    with pytest.raises(FolderError, match=r"1 fault, first .*differs from its committed sha256; mend them"):
        replace_by_edition(root, [change[edits]])
    assert contents(root) == before and [each.name for each in tmp_path.iterdir()] == ["equime"]
    # Damage that comes after the check, too.
    with pytest.raises(FolderError, match=r"content differs from the sha256 that shard .* was committed with"):
        edit(root, tmp_path / "target", change[edits](root))
    assert not (tmp_path / "target").exists()


def test_an_edition_takes_its_place_when_it_is_told_to(built: Path, copy_of: Copy) -> None:
    root = copy_of(built)
    before = contents(root)
    edits = [partial(withdrawal, subjects=[subjects(root)[0]])]
    with edition_aside(root, edits) as edition:
        assert verify(edition.path) == [] and edition.path != edition.root == root
        assert {path: data for path, data in contents(root).items() if "/locks/" not in path} == before
    assert contents(root) == before and [each.name for each in root.parent.iterdir()] == [root.name]
    with edition_aside(root, edits) as edition:
        after = contents(edition.path)
        take_place(edition)
        assert contents(root) == after and contents(before_of(root)) == before
    assert contents(root) == after
    with edition_aside(root, edits) as edition:
        assert edition.path == root and edition.edits == ()
        rewrite_texts(root)  # nobody keeps the folder for an edition that is none
        take_place(edition)
    assert contents(root) == after


def test_an_edit_looks_once(built: Path, copy_of: Copy) -> None:
    root = copy_of(built)
    looked: list[Path] = []

    def make(path: Path) -> Edit | None:
        looked.append(path)
        return withdrawal(path, subjects=[subjects(path)[0]]) if len(looked) == 1 else None

    with edition_aside(root, [make, make]) as edition:
        assert looked == [root, edition.path] and len(edition.edits) == 1


def test_what_a_killed_edition_left_is_removed(built: Path, copy_of: Copy) -> None:
    root = copy_of(built)
    for left in (aside_of(root) / "0", edition_of(root)):
        shutil.copytree(root, left)
    with edition_aside(root, []) as edition:
        assert [each.name for each in root.parent.iterdir()] == [root.name] and edition.path == root
        rewrite_texts(root, Publication(NAME, "2026-01-01"))  # which needs the folder for itself
    assert verify(root) == []
    (aside_of(root) / "0").mkdir(parents=True)
    withdraw(root, subjects(root)[0])
    assert {each.name for each in root.parent.iterdir()} == {root.name, before_of(root).name}
    assert verify(root) == [] and not (root / manifest.LOCKS).exists()


def test_the_last_clips_of_a_subject_and_of_a_split(built: Path, copy_of: Copy) -> None:
    root = copy_of(built)
    rows = pq.read_table(root / INDEX, columns=["key", "subject", "split"]).to_pylist()
    last = [row for row in rows if row["split"] == "test"]
    write_annotation(
        root, "review", pa.table({"key": [row["key"] for row in last], "review_verdict": ["rejected"] * len(last)})
    )
    replace_by_edition(root, [refusal])
    assert verify(root) == [] and objections(root) == []
    facts = about(root)
    assert facts["planned, and without a clip"] == "split test"
    assert "hashes of photographs" not in facts, "drawn faces have no photographs"
    assert not {row["subject"] for row in last} & {*pq.read_table(root / manifest.PORTRAITS)["subject"].to_pylist()}


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
    assert is_dataset(root)  # as every command asks first
    assert contents(root) == after
    root.rename(edition_of(root))
    with pytest.raises(FolderError, match="was made by a different plan"):
        build(root, small_request(seed=9))
    assert contents(root) == after


def test_who_comes_between_the_renames_takes_no_place(
    built: Path, copy_of: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for the lock makes no folder, and another command may be the first to put the edition there."""
    root = copy_of(built)
    rename = os.replace

    def between(old: Path, new: Path) -> None:
        rename(old, new)
        if new == before_of(root):
            assert take(root / manifest.LOCKS / "build.lock") is None and not root.exists()
            assert is_dataset(root)

    monkeypatch.setattr("os.replace", between)
    withdraw(root, subjects(root)[0])
    assert verify(root) == [] and before_of(root).exists() and not edition_of(root).exists()


def test_an_edition_that_is_cut_leaves_the_folder(built: Path, copy_of: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    root = copy_of(built)
    before = contents(root)
    change = withdrawal(root, subjects=subjects(root)[:1])
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
