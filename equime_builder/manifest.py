"""The manifest: the plan, and one committed line per shard. What is not in it has not been built.

__manifest__/plan.json          what was asked for, and the plan's hash
__manifest__/clips.parquet      every clip that will exist
__manifest__/portraits.parquet  subjects, and rejected portraits with reasons
__manifest__/curation.parquet   of photographs: every candidate with its scores, whether it was taken, and why not
__manifest__/shards/NAME.json   one line per shard: hash, bytes, samples, first and last key, rejected clips
__manifest__/publication.json   where the folder is to be found on the Hub, once its curator has said so
__manifest__/rejected.csv       all that was left out, and why (written with the index)
__manifest__/dataset.json       hashes of everything beside the shards (written last)
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from equime_builder.curation.table import COLUMNS, schema_of
from equime_builder.curation.table import FILE as CURATION_FILE
from equime_builder.locks import clear, give_back, take
from equime_builder.plan import (
    ASKED,
    CLIP_SCHEMA,
    Plan,
    PlannedClip,
    Shard,
    plan_hash,
    shards_of,
)
from equime_builder.portrait_table import PORTRAIT_SCHEMA, subject_from_row
from equime_builder.portraits import Rejection, Subject
from equime_loader.files import file_sha256, replacing, write_atomic
from equime_loader.storage.manifest import digest

FOLDER = "__manifest__"
HEADER, CLIPS, PORTRAITS = (f"{FOLDER}/{name}" for name in ("plan.json", "clips.parquet", "portraits.parquet"))
INDEX = "index.parquet"
CURATION = f"{FOLDER}/{CURATION_FILE}"
REJECTED, DATASET, LOCKS = (f"{FOLDER}/{name}" for name in ("rejected.csv", "dataset.json", "locks"))
PUBLICATION = f"{FOLDER}/publication.json"
# Fields of every header, and folders of files that belong to single clips.
COMMON = ("format_version", "formats", "clips", "shards", "reserve", "plan_sha256")
SIGNALS = "signals"
MAX_JSON_BYTES = 64 * 2**20
LOCK_PATIENCE_S, LOCK_POLL_S = 5.0, 0.05


class FolderError(ValueError):
    """A dataset folder that cannot be used as asked; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Commit:
    """The line of a finished shard.

    Attributes:
        files: path, bytes and sha256 by format, and by path for signals of single clips. unused: keys of the reserve.
    """

    shard: str
    plan_sha256: str
    samples: int
    first_key: str | None
    last_key: str | None
    files: Mapping[str, Mapping[str, Any]]
    rejected: tuple[Rejection, ...] = ()
    unused: tuple[str, ...] = ()

    def line(self) -> bytes:
        """The committed bytes: one line of JSON with a checksum of its own."""
        content = {
            "shard": self.shard,
            "plan_sha256": self.plan_sha256,
            "samples": self.samples,
            "first_key": self.first_key,
            "last_key": self.last_key,
            "files": {name: dict(file) for name, file in self.files.items()},
            "rejected": [{"key": rejection.name, "reason": rejection.reason} for rejection in self.rejected],
            "unused": list(self.unused),
        }
        return (json.dumps({**content, "line_sha256": digest(content)}, ensure_ascii=False) + "\n").encode()


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of the folder.

    Raises:
        FolderError: missing, too large, not JSON, not an object.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_JSON_BYTES + 1)
        value = json.loads(data) if len(data) <= MAX_JSON_BYTES else None
    except FileNotFoundError:
        raise FolderError(f"{path}: missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise FolderError(f"{path}: cannot be read as JSON ({error})") from error
    if len(data) > MAX_JSON_BYTES:
        raise FolderError(f"{path}: over {MAX_JSON_BYTES / 2**20:.0f} MiB")
    if not isinstance(value, dict):
        raise FolderError(f"{path}: holds no JSON object")
    return value


def commit_path(root: Path, shard: Shard) -> Path:
    """Where a shard's line lies once it is committed."""
    return root / FOLDER / "shards" / f"{shard.name}.json"


def read_commit(root: Path, shard: Shard) -> Commit | None:
    """The shard's line, None where it was not committed.

    Raises:
        FolderError: the line is damaged.
    """
    path = commit_path(root, shard)
    if not path.exists():
        return None
    content = read_json(path)
    checksum = content.pop("line_sha256", None)
    try:
        if checksum != digest(content):
            raise FolderError(f"{path}: does not match its own checksum")
        rejected = tuple(Rejection(row["key"], row["reason"]) for row in content.pop("rejected"))
        if not all(isinstance(file["path"], str) for file in content["files"].values()):
            raise TypeError("files without a path")
        unused = tuple(str(key) for key in content.pop("unused"))
        return Commit(**content, rejected=rejected, unused=unused)
    except (TypeError, KeyError, AttributeError) as error:
        raise FolderError(f"{path}: not a shard's line ({error})") from error


def write_commit(root: Path, shard: Shard, commit: Commit) -> None:
    """Commit a shard: write its line, whole or not at all."""
    path = commit_path(root, shard)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, commit.line())


def describe_files(root: Path, files: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Path, bytes and sha256 of a shard's files, by format."""
    return {
        name: {"path": path, "bytes": (root / path).stat().st_size, "sha256": file_sha256(root / path)}
        for name, path in files.items()
    }


def signals_path(key: str) -> str:
    """Path of a clip's signals, relative to the dataset folder."""
    return f"{SIGNALS}/{key}.safetensors"


def write_plan(root: Path, plan: Plan) -> None:
    """Write a plan; its header comes last and makes it valid."""
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    for path, table in ((CLIPS, plan.clips), (PORTRAITS, plan.portraits), (CURATION, plan.curation)):
        if table is None:
            continue
        with replacing(root / path) as temporary:
            pq.write_table(table, temporary, compression="zstd", row_group_size=2048)
    write_atomic(root / HEADER, header_bytes(plan.header))


def plan_files(header: Mapping[str, Any]) -> tuple[str, ...]:
    """Paths of the files that a plan consists of."""
    return (HEADER, CLIPS, PORTRAITS, *([CURATION] if header.get("curation") else []))


def header_bytes(header: Mapping[str, Any]) -> bytes:
    """A plan's header as its file holds it."""
    return (json.dumps(header, indent=1) + "\n").encode()


def read_header(root: Path) -> dict[str, Any]:
    """The plan's header, of a folder that was built.

    Raises:
        FolderError: there is none, or it lacks what a plan says; the folder was imported from a corpus.
    """
    header = folder_header(root)
    if "corpus" in header:
        raise FolderError(f"{root}: was imported from {header['corpus']}; this is for datasets that were built")
    _check_fields(root, header, ASKED)
    return header


def folder_header(root: Path) -> dict[str, Any]:
    """The plan's header, of a folder that was built or imported: what both have.

    Raises:
        FolderError: there is none, or it lacks what a plan says.
    """
    header = read_json(root / HEADER)
    _check_fields(root, header, COMMON)
    return header


def _check_fields(root: Path, header: Mapping[str, Any], names: Sequence[str]) -> None:
    if missing := [name for name in names if name not in header]:
        raise FolderError(f"{root / HEADER}: lacks {missing[0]!r}; it is not a plan")


def read_plan(root: Path) -> Plan:
    """The whole plan, checked against its hash.

    Raises:
        FolderError: part of it is missing, damaged or edited.
    """
    header = read_header(root)
    try:
        clips, portraits, *rest = (pq.read_table(root / path) for path in plan_files(header)[1:])
    except (OSError, pa.ArrowException) as error:
        raise FolderError(f"{root / FOLDER}: the plan's tables cannot be read ({error})") from error
    curation = rest[0] if rest else None
    schemas = [(clips, CLIP_SCHEMA), (portraits, PORTRAIT_SCHEMA), *((table, schema_of(COLUMNS)) for table in rest)]
    if not all(table.schema.equals(schema) for table, schema in schemas):
        raise FolderError(f"{root / FOLDER}: the plan's tables have other columns than a plan")
    bare = {name: value for name, value in header.items() if name != "plan_sha256"}
    if plan_hash(bare, clips, portraits, curation) != header["plan_sha256"]:
        raise FolderError(f"{root / FOLDER}: the plan does not match its own hash")
    return Plan(header, clips, portraits, curation)


def read_shard_plan(root: Path, shard: Shard) -> tuple[list[PlannedClip], dict[str, Subject]]:
    """The clips of one shard, in order, and their subjects; reads no more of the plan's tables than it must."""
    return _read_clips(root, ("shard", "==", shard.number))


def read_split_plan(root: Path, split: str) -> tuple[list[PlannedClip], dict[str, Subject]]:
    """The clips of one split, those of the reserve last, and their subjects."""
    return _read_clips(root, ("split", "==", split))


def _read_clips(root: Path, condition: tuple[str, str, Any]) -> tuple[list[PlannedClip], dict[str, Subject]]:
    rows = pq.read_table(root / CLIPS, filters=[condition]).to_pylist()
    clips = [PlannedClip(**row) for row in rows]
    if not clips:  # all of a shard's subjects may have left
        return [], {}
    names = sorted({clip.subject for clip in clips})
    subjects = pq.read_table(root / PORTRAITS, filters=[("subject", "in", names)]).to_pylist()
    return clips, {row["subject"]: subject_from_row(row) for row in subjects}


def pending(root: Path, shards: Sequence[Shard], plan_sha256: str) -> list[Shard]:
    """Shards without a valid commit of this plan, or whose files are not all there in their size."""
    return [shard for shard in shards if not _is_committed(root, shard, plan_sha256)]


def _is_committed(root: Path, shard: Shard, plan_sha256: str) -> bool:
    try:
        commit = read_commit(root, shard)
        return (
            commit is not None
            and commit.plan_sha256 == plan_sha256
            and all((root / file["path"]).stat().st_size == file["bytes"] for file in commit.files.values())
        )
    except (FolderError, OSError, KeyError, TypeError):
        return False


def committed(root: Path) -> Iterator[tuple[Shard, Commit]]:
    """Every shard with its line.

    Raises:
        FolderError: a shard is not committed.
    """
    for shard in shards_in(folder_header(root), None):
        commit = read_commit(root, shard)
        if commit is None:
            raise FolderError(f"{root}: shard {shard.name} is not committed; run the build again")
        yield shard, commit


@contextmanager
def lock(root: Path, name: str, *, patience_s: float = 0.0) -> Iterator[Path]:
    """Exclusive lock of a part of the folder: a shard's name, `build` for all of it, `finish` for what is derived.

    The system drops it when the process ends, however it ends. Its file, which is yielded, is there while it is held,
    and after a process that was killed until another one takes the lock.

    Raises:
        FolderError: another process holds it.
    """
    path = root / LOCKS / f"{name}.lock"
    until = time.monotonic() + patience_s
    while (descriptor := take(path)) is None:
        if time.monotonic() >= until:
            what = "this folder" if name in ("build", "finish") else f"shard {name} of this folder"
            raise FolderError(f"{root}: another build is writing {what}; wait for it, or build elsewhere")
        time.sleep(LOCK_POLL_S)
    try:
        yield path
    finally:
        give_back(path, descriptor)


@contextmanager
def locked_folder(root: Path, *names: str, patience_s: float = 0.0) -> Iterator[None]:
    """Several locks of the folder, one after the other; what killed processes left of theirs is removed at the end.

    Args:
        patience_s: for each of them.

    Raises:
        FolderError: another process holds one of them.
    """
    with ExitStack() as held:
        for name in names:
            held.enter_context(lock(root, name, patience_s=patience_s))
        try:
            yield
        finally:
            clear(root / LOCKS)


def shards_in(header: Mapping[str, Any], numbers: Sequence[int] | None) -> list[Shard]:
    """All shards, or those with the given numbers.

    Raises:
        FolderError: a number that the plan has not.
    """
    shards = shards_of(header)
    if numbers is None:
        return shards
    if wrong := [number for number in numbers if not 0 <= number < len(shards)]:
        raise FolderError(f"shard {wrong[0]} must lie within 0..{len(shards) - 1}")
    return [shards[number] for number in sorted(set(numbers))]
