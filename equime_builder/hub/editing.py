"""An edition of a built folder for the public: without some subjects or clips, or with numbers for file names.

Shards that lose nothing keep their bytes, so that a new version sends only what changed. The plan loses the same rows,
says so in its header under `changes`, and has a new hash; every promise that `verify` checks holds for the edition.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from equime_builder import manifest
from equime_builder.annotation_tables import write_table
from equime_builder.annotations import read_annotations
from equime_builder.files import replacing
from equime_builder.finish import INDEX, committed, finish
from equime_builder.manifest import Commit, FolderError
from equime_builder.plan import CHANGES, Plan, Shard, changes_of, plan_hash
from equime_builder.portraits import Rejection
from equime_builder.readers import READERS
from equime_builder.samples import Sample
from equime_builder.shards import shard_writers
from equime_builder.top_up import cell_of, fill, lacking_before

# Looks at a folder and says what is to change, None where nothing is.
MakeEdit = Callable[[Path], "Edit | None"]
VERDICTS = ("audit_verdict", "review_verdict")


@dataclass(frozen=True, slots=True)
class Edit:
    """What an edition changes.

    Attributes:
        subjects: those that leave, with all that is known of them. keys: clips that leave.
        numbered: whether file names of photographs become numbers.
        note: what the header says of it, plain JSON values.
    """

    note: Mapping[str, Any]
    subjects: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    numbered: bool = False


def same_person(plan: Plan, subject: str) -> frozenset[str]:
    """All subjects of the person who this subject is.

    Raises:
        FolderError: no such subject.
    """
    people = dict(zip(*(plan.portraits[name].to_pylist() for name in ("subject", "person")), strict=True))
    people.pop(None, None)
    if subject not in people:
        raise FolderError(f"subject {subject!r} is not in this dataset")
    return frozenset(name for name, person in people.items() if person == people[subject])


def edit(root: Path, target: Path, change: Edit) -> None:
    """Write an edition of a complete folder into a new one. What is the same is linked where the disk can do that.

    Raises:
        FolderError: the target exists, the folder is not complete, or nothing is left.
    """
    if target.exists():
        raise FolderError(f"{target} exists; remove it, or name another folder")
    plan = manifest.read_plan(root)
    commits = list(committed(root))
    edited = edit_plan(plan, change, _unused(commits))
    work = target.with_name(f".{target.name}.edition")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    manifest.write_plan(work, edited)
    names = _numbers(plan) if change.numbered else {}
    for (_, commit), shard in zip(commits, edited.shards, strict=True):
        _edit_shard(root, work, shard, commit, edited, names)
    for annotation in read_annotations(root):
        kept = annotation.table.filter(pc.is_in(annotation.table["key"], edited.clips["key"].combine_chunks()))
        (work / annotation.path).parent.mkdir(exist_ok=True)
        with replacing(work / annotation.path) as temporary:
            write_table(replace(annotation, table=kept), temporary)
    finish(work)
    os.replace(work, target)


def edit_plan(plan: Plan, change: Edit, unused: frozenset[str] = frozenset()) -> Plan:
    """The plan of an edition.

    Args:
        unused: clips of the reserve that were never needed; nobody will ask for them any more, and they leave, too.

    Raises:
        FolderError: no clip is left.
    """
    drop = pa.array(sorted(change.keys | unused), pa.string())
    subjects = pa.array(sorted(change.subjects), pa.string())
    clips = plan.clips.filter(pc.invert(pc.is_in(plan.clips["key"], drop)))
    clips = clips.filter(pc.invert(pc.is_in(clips["subject"], subjects)))
    portraits = plan.portraits.filter(pc.invert(pc.is_in(plan.portraits["subject"], subjects)))
    curation = plan.curation
    if curation is not None:
        curation = curation.filter(pc.invert(pc.is_in(curation["subject"], subjects)))
    if change.numbered:
        names = _numbers(plan)
        portraits = _renamed(portraits, ("reference", "rejected"), names)
        if curation is not None:
            curation = _renamed(curation, ("reference", "reason"), names)
    header = {name: value for name, value in plan.header.items() if name != "plan_sha256"}
    header |= _counts(plan, clips, portraits)
    if header.get("curation") and curation is not None:
        header["curation"] = {**header["curation"], "portraits": len(curation)}
    header[CHANGES] = [*changes_of(plan.header), dict(change.note)]
    if not header["clips"]:
        raise FolderError("no clip would be left")
    return Plan({**header, "plan_sha256": plan_hash(header, clips, portraits, curation)}, clips, portraits, curation)


def _counts(plan: Plan, clips: pa.Table, portraits: pa.Table) -> dict[str, Any]:
    """Numbers of clips by shard, and of subjects, as a header states them."""
    by_shard = {row["values"]: row["counts"] for row in pc.value_counts(clips["shard"]).to_pylist()}
    sizes: dict[bool, dict[str, list[int]]] = {False: {}, True: {}}
    for shard in plan.shards:
        sizes[shard.reserve].setdefault(shard.split, []).append(by_shard.get(shard.number, 0))
    planned = [shard.number for shard in plan.shards if not shard.reserve]
    of_plan = clips.filter(pc.is_in(clips["shard"], pa.array(planned, pa.int32())))
    performing = pc.count_distinct(of_plan["subject"]).as_py()
    return {"clips": len(of_plan), "subjects": performing, "shards": sizes[False], "reserve": sizes[True]}


def _unused(commits: Sequence[tuple[Shard, Commit]]) -> frozenset[str]:
    return frozenset(key for _, commit in commits for key in commit.unused)


def _numbers(plan: Plan) -> dict[str, str]:
    """A number in the place of each file name of a photograph."""
    names = {name for name in plan.portraits["reference"].to_pylist() if name}
    if plan.curation is not None:
        names |= {name for name in plan.curation["reference"].to_pylist() if name}
    return {
        name: f"portrait-{number:06d}{PurePosixPath(name).suffix.lower()}"
        for number, name in enumerate(sorted(names), start=1)
    }


def _renamed(table: pa.Table, columns: Sequence[str], names: Mapping[str, str]) -> pa.Table:
    for column in columns:
        place = table.schema.get_field_index(column)
        values = [_without_names(value, names) for value in table[column].to_pylist()]
        table = table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))
    return table


def _without_names(text: str | None, names: Mapping[str, str]) -> str | None:
    if text is None or text in names:
        return text and names[text]
    for name, number in names.items():
        text = text.replace(name, number)
    return text


def _edit_shard(root: Path, target: Path, shard: Shard, commit: Commit, plan: Plan, names: Mapping[str, str]) -> None:
    """Write one shard of an edition and its line."""
    clips, subjects = manifest.read_shard_plan(target, shard)
    planned = [clip.key for clip in clips]
    rejected = tuple(
        Rejection(each.name, _without_names(each.reason, names) or "")
        for each in commit.rejected
        if each.name in planned
    )
    left_out = {each.name for each in rejected}
    unused: tuple[str, ...] = ()
    if shard.reserve:  # who stood in for a clip that left is not needed any more
        cells = {clip.key: cell_of(clip, subjects) for clip in clips}
        needed = fill(
            clips,
            cells,
            lacking_before(target, shard),
            lambda chosen: [clip.key for clip in chosen if clip.key not in left_out],
        )
        unused = tuple(key for key in planned if key not in {clip.key for clip in needed})
        rejected = tuple(each for each in rejected if each.name not in unused)
    keys = [key for key in planned if key not in left_out and key not in unused]
    files = shard.files(plan.header["formats"])
    if len(keys) == commit.samples:
        for path in files.values():
            _link(root / path, target / path)
    else:
        _filter_shard(root, target, files, frozenset(keys))
    line = Commit(
        shard.name,
        plan.header["plan_sha256"],
        len(keys),
        keys[0] if keys else None,
        keys[-1] if keys else None,
        manifest.describe_files(target, files),
        rejected,
        unused,
    )
    manifest.write_commit(target, shard, line)


def _filter_shard(root: Path, target: Path, files: dict[str, str], keys: frozenset[str]) -> None:
    kind, path = next(iter(files.items()))
    with READERS[kind](root / path) as members, shard_writers(target, files) as writers:
        for sample in _samples(members):
            if sample.key in keys:
                for writer in writers:
                    writer.write(sample)


def _samples(members: Iterator[tuple[bytes, ...]]) -> Iterator[Sample]:
    for video, labels, _, curves in members:
        yield Sample(json.loads(labels), video, np.lib.format.read_array(io.BytesIO(curves), allow_pickle=False))


def _link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the disk has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        os.link(source, target)
        return
    shutil.copyfile(source, target)


def withdrawal(root: Path, subject: str) -> Edit | None:
    """The edit that takes a subject out, with all other subjects of the same person; None where it has left already.

    Raises:
        FolderError: no such subject.
    """
    plan = manifest.read_plan(root)
    if any(subject in done.get("subjects", ()) for done in changes_of(plan.header)):
        return None
    subjects = same_person(plan, subject)
    index = pq.read_table(root / INDEX, columns=["subject"])
    clips = pc.sum(pc.is_in(index["subject"], pa.array(sorted(subjects)))).as_py() or 0
    return Edit({"what": "withdrawn", "subjects": sorted(subjects), "clips": clips}, subjects=subjects)


def refusal(root: Path) -> Edit | None:
    """The edit that takes out clips that audit or review rejected; None where there are none."""
    index = pq.read_table(root / INDEX, columns=["key", *VERDICTS])
    rejected = [pc.fill_null(pc.equal(index[column], "rejected"), False) for column in VERDICTS]
    keys = frozenset(index.filter(pc.or_(*rejected))["key"].to_pylist())
    return Edit({"what": "rejected clips left out", "clips": len(keys)}, keys=keys) if keys else None


def numbering(root: Path) -> Edit | None:
    """The edit that puts numbers in the place of file names of photographs; None where that is done."""
    note = {"what": "file names of portraits replaced by numbers"}
    return None if note in changes_of(manifest.read_header(root)) else Edit(note, numbered=True)


def before_of(root: Path) -> Path:
    """Where a folder lies that an edition replaced."""
    return root.with_name(f"{root.name}-before")


def edition_of(root: Path) -> Path:
    """Where an edition lies that is complete and has not yet taken the folder's place."""
    return root.with_name(f"{root.name}-edition")


def resume_replacing(root: Path) -> None:
    """Put an edition in its place where a run was killed between the two renames."""
    root = root.resolve()
    if not root.exists() and before_of(root).exists() and edition_of(root).exists():
        os.replace(edition_of(root), root)


def edit_aside(root: Path, edits: Sequence[MakeEdit], aside: Path) -> tuple[Path, list[Edit]]:
    """One edition after another in a folder aside: the last one, or the folder where nothing changes; and the edits."""
    latest, made = root, []
    for number, make in enumerate(edits):
        if change := make(latest):
            edit(latest, aside / str(number), change)
            latest = aside / str(number)
            made.append(change)
    return latest, made


def replace_by_edition(root: Path, edits: Sequence[MakeEdit]) -> list[Edit]:
    """Put an edition with all these edits in the place of a folder, and the folder beside it; the edits that were made.

    Raises:
        FolderError: something lies beside it already, or the folder is in use.
    """
    root = root.resolve()
    before, edition = before_of(root), edition_of(root)
    wanted = [make for make in edits if make(root) is not None]
    if not wanted:
        return []
    if before.exists():
        raise FolderError(f"{before} is what an earlier edition replaced; delete it first, or move it away")
    with (
        tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}-") as aside,
        manifest.lock(root, "build", patience_s=manifest.LOCK_PATIENCE_S),
    ):
        try:
            latest, made = edit_aside(root, wanted, Path(aside))
            shutil.rmtree(edition, ignore_errors=True)
            os.replace(latest, edition)
        finally:
            shutil.rmtree(root / manifest.LOCKS, ignore_errors=True)
    os.replace(root, before)
    os.replace(edition, root)
    return made
