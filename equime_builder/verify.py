"""Checking every promise of a dataset folder.

Shards are compared with their committed lines and with each other's formats, sample by sample; everything beside the
shards is derived again and compared.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from equime_builder import manifest
from equime_builder.annotation_tables import FOLDER as ANNOTATIONS
from equime_builder.annotation_tables import Annotation, fold, read_table
from equime_builder.annotations import annotation_names, annotation_path, folded
from equime_builder.documents import publication
from equime_builder.finish import (
    CARD,
    INDEX,
    LICENSE,
    dataset_bytes,
    derived_tables,
    index_table,
    label_tables,
    recorded_hashes,
    texts,
)
from equime_builder.folder_kinds import origin_of
from equime_builder.manifest import FolderError
from equime_builder.origins import Origin
from equime_builder.plan import Shard
from equime_builder.readers import READ_ERRORS, READERS, Members
from equime_builder.rendition_faults import rendition_faults, rendition_files
from equime_builder.top_up import cell_of, fill, lacking_before
from equime_loader.error_lines import error_line
from equime_loader.files import TEMPORARY_SUFFIX, file_sha256
from equime_loader.renditions import FOLDER as RENDITIONS
from equime_loader.schema import AUS, MEMBERS, check_labels, index_schema

PLAN, FINISH, RENDITION, STRAY, LEFTOVER = "plan", "finish", "rendition", "stray", "leftover"
UNCOMMITTED = "missing: the shard is not committed"


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken promise.

    Attributes:
        repair: the shard to rebuild, or `plan`, `finish`, `rendition` (make them again), `stray` (set the file aside),
            `leftover` (remove it).
    """

    path: str
    message: str
    repair: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def verify(root: Path, *, progress: Callable[[str], None] = lambda _: None) -> list[Fault]:
    """All faults of a dataset folder, its renditions among them; none means that every promise holds.

    Raises:
        FolderError: the folder holds no plan that could be checked against.
    """
    faults = dataset_faults(root, progress=progress)
    if all(fault.repair in (STRAY, LEFTOVER) for fault in faults):
        progress(RENDITIONS)
        for path, reason in rendition_faults(root):
            command = f"equime rendition {root} --size {Path(path).parent.name}"
            faults.append(Fault(path, f"{reason}; run `{command}`", RENDITION))
    return faults


def dataset_faults(root: Path, *, progress: Callable[[str], None] = lambda _: None) -> list[Fault]:
    """All faults of what is published: of the dataset without its renditions, which are made of it.

    Raises:
        FolderError: the folder holds no plan that could be checked against.
    """
    header = manifest.folder_header(root)
    faults = list(plan_faults(root))
    shards = manifest.shards_in(header, None)
    if not faults:
        seen: dict[str, str] = {}
        for shard in shards:
            progress(shard.name)
            faults += _shard_faults(root, shard, header, seen)
    faults += _strays(root, shards, header)
    if not any(fault.repair not in (FINISH, STRAY, LEFTOVER) for fault in faults):
        annotations, broken = _annotations(root)
        faults += broken
        faults += _finish_faults(root, annotations)
    return faults


def plan_faults(root: Path) -> Iterator[Fault]:
    """What is wrong with the plan of a folder: damaged, or with a file of another content than was recorded."""
    header = manifest.folder_header(root)
    origin = origin_of(header)
    try:
        origin.check_plan(root)
    except FolderError as error:
        yield Fault(manifest.FOLDER, str(error), PLAN)
        return
    recorded = recorded_hashes(root)
    for path in origin.plan_files(header):
        if path in recorded and recorded[path] != file_sha256(root / path):
            yield Fault(path, "content differs from its recorded sha256", PLAN)


def _shard_faults(root: Path, shard: Shard, header: dict[str, Any], seen: dict[str, str]) -> Iterator[Fault]:
    line = manifest.commit_path(root, shard).relative_to(root).as_posix()
    try:
        commit = manifest.read_commit(root, shard)
    except FolderError as error:
        yield Fault(line, str(error).split(": ", 1)[-1], shard.name)
        return
    if commit is None:
        yield Fault(line, UNCOMMITTED, shard.name)
        return
    if commit.plan_sha256 != header["plan_sha256"]:
        yield Fault(line, "was built from another plan", shard.name)
    files = shard.files(header["formats"])
    keys = origin_of(header).planned_keys(root, shard)
    allowed = files | {path: path for path in map(manifest.signals_path, keys)}
    named = {name: file.get("path") for name, file in commit.files.items()}
    if not files.items() <= named.items() <= allowed.items():
        yield Fault(line, f"names other files than {', '.join(files.values())}", shard.name)
        return
    broken = [Fault(path, reason, shard.name) for path, reason in _file_faults(root, commit.files)]
    yield from broken
    if not broken:  # what a broken file still holds does not matter: the shard is rebuilt
        yield from (
            Fault(path, reason, shard.name) for path, reason in _content_faults(root, shard, files, commit, keys, seen)
        )


def _file_faults(root: Path, files: Any) -> Iterator[tuple[str, str]]:
    for file in files.values():
        path = root / file["path"]
        try:
            if not path.is_file() or path.is_symlink():
                yield file["path"], "missing"
            elif path.stat().st_size != file["bytes"]:
                yield file["path"], f"{path.stat().st_size} bytes, {file['bytes']} committed"
            elif file_sha256(path) != file["sha256"]:
                yield file["path"], "content differs from its committed sha256"
        except OSError as error:
            yield file["path"], f"cannot be read: {error.strerror}"


def _content_faults(
    root: Path,
    shard: Shard,
    files: dict[str, str],
    commit: manifest.Commit,
    keys: Sequence[str],
    seen: dict[str, str],
) -> Iterator[tuple[str, str]]:
    """What each file holds, against the plan, the schema and the other formats."""
    line = manifest.commit_path(root, shard).relative_to(root).as_posix()
    left_out = {rejection.name for rejection in commit.rejected} | set(commit.unused)
    if shard.reserve and _stands_in_wrongly(root, shard, commit):
        yield line, "does not stand in for just the clips that earlier shards refused"
    planned = [key for key in keys if key not in left_out]
    ends = (planned[0], planned[-1]) if planned else (None, None)
    if (commit.samples, commit.first_key, commit.last_key) != (len(planned), *ends):
        found = f"{commit.samples} samples {commit.first_key}..{commit.last_key}"
        yield line, f"{found}, {len(planned)} {ends[0]}..{ends[1]} planned"
    with ExitStack() as opened:
        rows: dict[str, Iterator[Members]] = {}
        for name, path in files.items():
            try:
                rows[name] = opened.enter_context(READERS[name](root / path))
            except READ_ERRORS as error:
                yield path, f"cannot be read: {error}"
        if len(rows) == len(files):
            yield from _row_faults(planned, shard, files, rows, seen)


def _stands_in_wrongly(root: Path, shard: Shard, commit: manifest.Commit) -> bool:
    """Whether a shard of the reserve was built for other refusals than those of the shards before it."""
    clips, subjects = manifest.read_shard_plan(root, shard)
    cells = {clip.key: cell_of(clip, subjects) for clip in clips}
    refused = {rejection.name for rejection in commit.rejected}
    try:
        lacks = lacking_before(root, shard)
    except FolderError:
        return False  # an earlier shard is missing or damaged, which is a fault of its own
    needed = fill(clips, cells, lacks, lambda chosen: [clip.key for clip in chosen if clip.key not in refused])
    return {clip.key for clip in needed} != {clip.key for clip in clips} - set(commit.unused)


def _row_faults(
    planned: list[str], shard: Shard, files: dict[str, str], rows: dict[str, Iterator[Members]], seen: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """The samples of all formats side by side: those that are planned, in order, and no more."""
    for place, key in enumerate(planned):
        samples: dict[str, Members] = {}
        for name, row in rows.items():
            try:
                samples[name] = next(row)
            except StopIteration:
                yield files[name], f"ends after {place} of {len(planned)} samples"
                return
            except READ_ERRORS as error:
                yield files[name], f"sample {place} ({key}) cannot be read: {error}"
                return
        yield from _sample_faults(key, shard, files, samples)
        if key in seen:
            yield files[next(iter(files))], f"key {key} is also in {seen[key]}"
        seen[key] = shard.name
    for name, row in rows.items():
        try:
            if next(row, None) is not None:
                yield files[name], f"holds more than the {len(planned)} planned samples"
        except READ_ERRORS as error:
            yield files[name], f"cannot be read after its last sample: {error}"


def _sample_faults(
    key: str, shard: Shard, files: dict[str, str], samples: dict[str, Members]
) -> Iterator[tuple[str, str]]:
    first = next(iter(samples))
    for name, members in samples.items():
        if members != samples[first]:
            differing = [
                member for member, one, other in zip(MEMBERS, samples[first], members, strict=True) if one != other
            ]
            yield files[name], f"sample {key}: {', '.join(differing)} differs from {files[first]}"
    video, labels, _, curves = samples[first]
    try:
        content = json.loads(labels)
        check_labels(content)
        if content["key"] != key or content["split"] != shard.split:
            raise ValueError(f"is {content['key']} of {content['split']}, {key} of {shard.split} is planned")
        if content["size_bytes"] != len(video):
            raise ValueError(f"size_bytes={content['size_bytes']}, the video has {len(video)}")
        _check_video(video, content)
        _check_curves(curves, content)
    except (ValueError, KeyError, TypeError, av.FFmpegError) as error:
        yield files[first], f"sample {key}: {error}"


def _check_curves(data: bytes, labels: dict[str, Any]) -> None:
    """The curves have a row per frame, a column per AU, and peak at the programmed intensities; NaN without program."""
    curves = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    if curves.shape != (labels["frames"], len(AUS)) or curves.dtype != np.float16:
        raise ValueError(f"curves are {curves.shape} {curves.dtype}, ({labels['frames']}, {len(AUS)}) float16 expected")
    if labels["timing_by"] != "program":
        if not np.isnan(curves).all():
            raise ValueError(f"curves hold values, though timing is by {labels['timing_by']}")
        return
    for activation in labels["aus"]:
        peak = curves[labels["apex_frame"], AUS.index(activation["au"])]
        if abs(float(peak) - activation["intensity"]) > 0.01:
            raise ValueError(f"AU{activation['au']} has {peak} at the apex, {activation['intensity']} labeled")


def _check_video(data: bytes, labels: dict[str, Any]) -> None:
    """Decode the whole clip: every frame is there, in the size that the labels say."""
    with av.open(io.BytesIO(data), mode="r", metadata_errors="replace") as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        frames = 0
        for frame in container.decode(stream):
            if (frame.width, frame.height) != (labels["width"], labels["height"]):
                raise ValueError(f"frame {frames} is {frame.width}x{frame.height} pixels")
            frames += 1
    if frames != labels["frames"]:
        raise ValueError(f"{frames} frames decode, {labels['frames']} labeled")


def _expected_files(root: Path, shards: Sequence[Shard], header: Mapping[str, Any]) -> set[str]:
    origin = origin_of(header)
    expected = {CARD, LICENSE, INDEX, manifest.REJECTED, manifest.DATASET}
    expected |= {manifest.PUBLICATION} if publication.is_sound(root) else set()
    expected |= {*origin.text_files, *origin.table_files, *origin.plan_files(header)}
    for shard in shards:
        expected |= {*shard.files(header["formats"]).values(), f"{manifest.FOLDER}/shards/{shard.name}.json"}
        expected |= _signals(root, shard, origin)
    return expected | rendition_files(root, header)


def _signals(root: Path, shard: Shard, origin: Origin) -> set[str]:
    """Files of single clips that a shard may have: those of its line, or of its plan where the line cannot be read."""
    if not (root / manifest.SIGNALS).is_dir():
        return set()
    try:
        commit = manifest.read_commit(root, shard)
        if commit is not None:
            return {str(file["path"]) for file in commit.files.values()}
        return set(map(manifest.signals_path, origin.planned_keys(root, shard)))
    except (FolderError, OSError, pa.ArrowException):
        return {path.relative_to(root).as_posix() for path in (root / manifest.SIGNALS).glob("*.safetensors")}


def _strays(root: Path, shards: Sequence[Shard], header: Mapping[str, Any]) -> Iterator[Fault]:
    expected = _expected_files(root, shards, header) | {annotation_path(name) for name in annotation_names(root)}
    folders = {parent for path in expected for parent in Path(path).parents} | {Path(ANNOTATIONS), Path(RENDITIONS)}
    for folder, names, files in os.walk(root):
        here = Path(folder).relative_to(root)
        for name in sorted(names):
            if here / name not in folders and (here / name).as_posix() != manifest.LOCKS:
                yield Fault((here / name).as_posix(), "a folder that does not belong here", STRAY)
        names[:] = [name for name in names if here / name in folders]
        for name in sorted(files):
            path = (here / name).as_posix()
            if path in expected:
                continue
            if name.startswith(".") and name.endswith(TEMPORARY_SUFFIX):
                yield Fault(path, "left by an interrupted build", LEFTOVER)
            else:
                yield Fault(path, "does not belong here", STRAY)


def _annotations(root: Path) -> tuple[list[Annotation], list[Fault]]:
    """The annotations that hold, in their order, and the faults of those that do not."""
    sound: list[Annotation] = []
    faults = [
        Fault(path, "missing", FINISH)
        for path in recorded_hashes(root)
        if path.startswith(f"{ANNOTATIONS}/") and not (root / path).is_file()
    ]
    for name in annotation_names(root):
        path = annotation_path(name)
        try:
            annotation = read_table(name, root / path)
            for _ in folded(label_tables(root), [*sound, annotation]):
                pass
            sound.append(annotation)
        except FolderError as error:
            faults.append(Fault(path, str(error).split(": ", 1)[-1], STRAY))
    return sound, faults


def _finish_faults(root: Path, annotations: Sequence[Annotation]) -> Iterator[Fault]:
    """Index, texts and hashes, against what the plan, the shards and the annotations make of them."""
    try:
        yield from (Fault(INDEX, reason, FINISH) for reason in _index_faults(root, annotations))
        index = pq.read_table(root / INDEX)
        for path, table in derived_tables(root, index).items():
            if not (root / path).is_file() or not pq.read_table(root / path).equals(table):
                yield Fault(path, "is not what plan and shards make of it", FINISH)
        for path, data in texts(root, index).items():
            if not (root / path).is_file():
                yield Fault(path, "missing", FINISH)
            elif (root / path).read_bytes() != data:
                again = f"`equime card {root} --write` writes it anew"
                yield Fault(path, f"differs from what this equime makes of plan and shards; {again}", FINISH)
        if not (root / manifest.DATASET).is_file():
            yield Fault(manifest.DATASET, "missing", FINISH)
        elif (root / manifest.DATASET).read_bytes() != dataset_bytes(root):
            yield Fault(manifest.DATASET, "does not match the files that it names", FINISH)
    except (FolderError, OSError, pa.ArrowException) as error:
        yield Fault(INDEX, error_line(error), FINISH)


def _index_faults(root: Path, annotations: Sequence[Annotation]) -> Iterator[str]:
    if not (root / INDEX).is_file():
        yield "missing"
        return
    index = pq.read_table(root / INDEX)
    if not index.schema.equals(index_schema()):
        yield "has other columns than the schema"
        return
    header, start = manifest.folder_header(root), 0
    for shard in manifest.shards_in(header, None):
        expected = fold(index_table(root, shard.files(header["formats"])), annotations)
        rows = index.slice(start, len(expected))
        start += len(expected)
        if not rows.equals(expected):
            names = [name for name in expected.column_names if not rows[name].equals(expected[name])]
            yield f"shard {shard.name}: {', '.join(names[:3])} differ from the shard and its annotations"
    if start != len(index):
        yield f"{len(index)} rows, the shards hold {start}"
