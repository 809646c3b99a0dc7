"""An edition of a built folder for the public: without some subjects or clips, or without traces of photographs.

Shards that lose nothing keep their bytes, so that a new version sends only what changed. The plan loses the same rows,
says so in its header under `changes`, and has a new hash; every promise that `verify` checks holds for the edition. It
is made beside a folder that verifies, and takes its place when the caller says so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from equime_builder import manifest
from equime_builder.annotation_tables import write_table
from equime_builder.annotations import read_annotations
from equime_builder.dataset_folder import before_of, edition_of, resume_replacing
from equime_builder.finish import INDEX, finish
from equime_builder.hub.edited_shards import edit_shard
from equime_builder.hub.people import (
    DRAWN,
    PUBLIC,
    known_of,
    numbers,
    reasons,
    replacing_names,
    same_person,
    stripped,
    traces,
    without,
)
from equime_builder.manifest import Commit, FolderError
from equime_builder.plan import CHANGES, REJECTED_LEFT, Plan, Shard, changes_of, plan_hash
from equime_builder.verify import dataset_faults
from equime_loader.files import replacing
from equime_loader.tables import counted

# Looks at a folder and says what is to change, None where nothing is.
MakeEdit = Callable[[Path], "Edit | None"]
VERDICTS = ("audit_verdict", "review_verdict")


@dataclass(frozen=True, slots=True)
class Edit:
    """What an edition changes.

    Attributes:
        subjects: those that leave, with all that is known of the people who they are. keys: clips that leave.
        numbered: whether traces of photographs leave (see `people.stripped`).
        note: what the header says of it, plain JSON values.
    """

    note: Mapping[str, Any]
    subjects: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    numbered: bool = False


def edit(root: Path, target: Path, change: Edit) -> None:
    """Write an edition of a complete folder into a new one. What is the same is linked where the disk can do that.

    Raises:
        FolderError: the target exists, the folder is not complete, a shard is not what was committed, or nothing is
            left.
    """
    if target.exists():
        raise FolderError(f"{target} exists; remove it, or name another folder")
    plan = manifest.read_plan(root)
    commits = list(manifest.committed(root))
    unused, refused = (frozenset(keys) for keys in _left_out(commits))
    edited = edit_plan(plan, change, unused=unused, refused=refused)
    work = target.with_name(f".{target.name}.edition")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    manifest.write_plan(work, edited)
    nameless = replacing_names(dict.fromkeys(numbers(plan), "a photograph") if change.numbered else {})
    for (_, commit), shard in zip(commits, edited.shards, strict=True):
        edit_shard(root, work, shard, commit, edited, nameless)
    for annotation in read_annotations(root):
        kept = annotation.table.filter(pc.is_in(annotation.table["key"], edited.clips["key"].combine_chunks()))
        (work / annotation.path).parent.mkdir(exist_ok=True)
        with replacing(work / annotation.path) as temporary:
            write_table(replace(annotation, table=kept), temporary)
    if (root / manifest.PUBLICATION).is_file():
        shutil.copyfile(root / manifest.PUBLICATION, work / manifest.PUBLICATION)
    finish(work)
    os.replace(work, target)


def edit_plan(
    plan: Plan, change: Edit, *, unused: frozenset[str] = frozenset(), refused: Collection[str] = frozenset()
) -> Plan:
    """The plan of an edition.

    Args:
        unused: clips of the reserve that were never needed; nobody will ask for them any more, and they leave, too.
        refused: clips that were planned and are in no shard.

    Raises:
        FolderError: no clip is left.
    """
    gone = known_of(plan, change.subjects)
    clips = _lacking(_lacking(plan.clips, "key", change.keys | unused), "subject", gone.ids)
    portraits = without(plan.portraits, gone)
    # Who has no clip left to be planned is not in the dataset.
    idle = {name for name in portraits["subject"].to_pylist() if name} - set(clips["subject"].to_pylist())
    portraits = _lacking(portraits, "subject", idle)
    curation = None if plan.curation is None else _lacking(without(plan.curation, gone), "subject", idle)
    edited = Plan(plan.header, clips, portraits, curation)
    if change.numbered:
        edited = stripped(edited, set(_lacking(clips, "key", refused)["subject"].to_pylist()))
    return _headed(edited, change.note)


def _lacking(table: pa.Table, column: str, values: Collection[str]) -> pa.Table:
    """Rows that have none of these values."""
    return table.filter(pc.invert(pc.is_in(table[column], pa.array(sorted(values), pa.string()))))


def _headed(plan: Plan, note: Mapping[str, Any]) -> Plan:
    """A plan with the header that its tables ask for, and one more note of what has changed."""
    header = {name: value for name, value in plan.header.items() if name != "plan_sha256"}
    header |= _counts(plan, plan.clips)
    if header.get("curation") and plan.curation is not None:
        header["curation"] = {**header["curation"], "portraits": len(plan.curation)}
    header[CHANGES] = [*changes_of(plan.header), dict(note)]
    if not header["clips"]:
        raise FolderError("no clip would be left")
    sha256 = plan_hash(header, plan.clips, plan.portraits, plan.curation)
    return replace(plan, header={**header, "plan_sha256": sha256})


def _counts(plan: Plan, clips: pa.Table) -> dict[str, Any]:
    """Numbers of clips by shard, and of subjects, as a header states them."""
    by_shard = {row["values"]: row["counts"] for row in pc.value_counts(clips["shard"]).to_pylist()}
    sizes: dict[bool, dict[str, list[int]]] = {False: {}, True: {}}
    for shard in plan.shards:
        sizes[shard.reserve].setdefault(shard.split, []).append(by_shard.get(shard.number, 0))
    planned = [shard.number for shard in plan.shards if not shard.reserve]
    of_plan = clips.filter(pc.is_in(clips["shard"], pa.array(planned, pa.int32())))
    performing = pc.count_distinct(of_plan["subject"]).as_py()
    return {"clips": len(of_plan), "subjects": performing, "shards": sizes[False], "reserve": sizes[True]}


def _left_out(commits: Sequence[tuple[Shard, Commit]]) -> tuple[list[str], list[str]]:
    """Keys of the reserve that were never needed, and keys that were refused."""
    unused = [key for _, commit in commits for key in commit.unused]
    return unused, [each.name for _, commit in commits for each in commit.rejected]


def withdrawal(root: Path, *, subjects: Sequence[str]) -> Edit | None:
    """The edit that takes subjects out, with all others of the same people; None where all have left already.

    Its note counts them, and names nobody: a name made of a photograph's hash tells whoever has it who has left. Who
    has left is known only from what the folder was before, as long as that lies beside it.

    Raises:
        FolderError: no such subject.
    """
    plan = manifest.read_plan(root)
    before = before_of(root.resolve())
    earlier = set(manifest.read_plan(before).portraits["subject"].to_pylist()) if before.exists() else set()
    left = earlier - set(plan.portraits["subject"].to_pylist())
    leaving = frozenset[str]().union(*(same_person(plan, each) for each in subjects if each not in left))
    if not leaving:
        return None
    index = pq.read_table(root / INDEX, columns=["subject"])
    clips = pc.sum(pc.is_in(index["subject"], pa.array(sorted(leaving)))).as_py() or 0
    return Edit({"what": "withdrawn", "subjects": len(leaving), "clips": clips}, subjects=leaving)


def refusal(root: Path) -> Edit | None:
    """The edit that takes out clips that audit or review rejected; None where there are none."""
    index = pq.read_table(root / INDEX, columns=["key", *VERDICTS])
    leaving = pc.or_(*(pc.fill_null(pc.equal(index[column], "rejected"), False) for column in VERDICTS))
    keys = frozenset(index.filter(leaving)["key"].to_pylist())
    return Edit({"what": REJECTED_LEFT, "clips": len(keys)}, keys=keys) if keys else None


def numbering(root: Path) -> Edit | None:
    """The edit that takes out traces of photographs and people (see `people.Traces`); None where there are none.

    Its note counts the reasons of those who were not taken.
    """
    found = traces(root)
    if not found:
        return None
    plan = manifest.read_plan(root)
    said = []
    if plan.header["source"] not in (*PUBLIC, DRAWN):
        said.append("file names of portraits replaced by numbers, hashes left out")
    if found.left:
        said.append("names of who left taken out of earlier notes")
    note: dict[str, Any] = {}
    if found.absent:
        said.append("photographs of people who are not in the dataset left out")
        note = {"photographs": found.absent, "reasons": reasons(plan)}
    return Edit({"what": "; ".join(said), **note}, numbered=True)


def aside_of(root: Path) -> Path:
    """Where editions of a folder are made."""
    return root.with_name(f".{root.name}.editing")


@dataclass(frozen=True, slots=True)
class Edition:
    """A folder as its edits make it.

    Attributes:
        root: the folder. path: its edition, which lies aside; the folder itself where no edit changes anything.
        edits: those that changed something.
    """

    root: Path
    path: Path
    edits: tuple[Edit, ...] = ()


@contextmanager
def edition_aside(
    root: Path, edits: Sequence[MakeEdit], *, progress: Callable[[str], None] = lambda _: None
) -> Iterator[Edition]:
    """Make an edition of a folder aside, which is as it was until `take_place`; nobody else writes it meanwhile.

    Where no edit changes anything the block has the folder itself, which is then locked no more: the block may write
    it. What lies aside is removed at the end of the block, or by the next call after a run that was killed.

    Args:
        progress: takes what is checked of the folder now.

    Raises:
        FolderError: the folder does not verify or is in use, or lies beside what an earlier edition replaced.
    """
    root = root.resolve()
    resume_replacing(root)
    aside = aside_of(root), edition_of(root)
    if edits or any(path.exists() for path in aside):
        with manifest.locked_folder(root, "build", patience_s=manifest.LOCK_PATIENCE_S):
            try:
                for path in filter(Path.exists, aside):
                    shutil.rmtree(path)
                latest, made = edit_aside(root, edits, aside_of(root), progress=progress)
                if made:
                    yield Edition(root, latest, tuple(made))
                    return
            finally:
                shutil.rmtree(aside_of(root), ignore_errors=True)
    yield Edition(root, root)


def take_place(edition: Edition) -> None:
    """Put an edition in the place of its folder, and the folder beside it (`before_of`); once, within its block."""
    root = edition.root
    if edition.path == root:
        return
    os.replace(edition.path, edition_of(root))
    os.replace(root, before_of(root))
    resume_replacing(root)
    shutil.rmtree(before_of(root) / manifest.LOCKS, ignore_errors=True)  # only now: nobody takes one of a folder aside


def edit_aside(
    root: Path, edits: Sequence[MakeEdit], aside: Path, *, progress: Callable[[str], None] = lambda _: None
) -> tuple[Path, list[Edit]]:
    """One edition after another in a folder aside: the last one, or the folder where nothing changes; and the edits.

    Raises:
        FolderError: the folder does not verify, or lies beside what an earlier edition replaced.
    """
    latest = root
    made: list[Edit] = []
    for number, make in enumerate(edits):
        if change := make(latest):
            if not made:
                check_editable(root, progress=progress)
            edit(latest, aside / str(number), change)
            latest = aside / str(number)
            made.append(change)
    return latest, made


def check_editable(root: Path, *, progress: Callable[[str], None] = lambda _: None) -> None:
    """Check a folder before it is edited: an edition is described anew, and its faults could not be seen any more.

    Raises:
        FolderError: it does not verify, or lies beside what an earlier edition replaced.
    """
    if before_of(root).exists():
        raise FolderError(f"{before_of(root)} is what an earlier edition replaced; delete it first, or move it away")
    if faults := dataset_faults(root, progress=progress):
        raise FolderError(
            f"{root}: {counted(len(faults), 'fault')}, first {faults[0]}; mend them with `equime verify --repair`, "
            "then edit it"
        )
