"""The manifest: its exact bytes, that no edit goes unseen, and what counts as built."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime_builder import manifest
from equime_builder.manifest import Commit, FolderError, pending, read_commit, read_header, read_json, write_commit
from equime_builder.plan import Plan, Shard, ask, make_plan
from equime_builder.portraits import Rejection
from equime_builder.profiles import Profile, Video
from equime_builder.sources.drawn import ProceduralSource
from equime_loader.files import replacing, write_atomic
from equime_loader.storage.manifest import digest

SHARD = Shard(0, "train", 0, 2, 3)
COMMIT = Commit(
    "train-00000",
    "ab" * 32,
    2,
    "anger_f_p00000_000",
    "anger_m_p00001_000",
    {
        "webdataset": {"path": "wds/train-00000.tar", "bytes": 4, "sha256": "cd" * 32},
        "parquet": {"path": "data/train-00000-of-00002.parquet", "bytes": 3, "sha256": "ef" * 32},
    },
    (Rejection("anger_u_p00002_000", 'the apex is "naïve"\n'),),
)
LINE = (
    '{"shard": "train-00000", "plan_sha256": "' + "ab" * 32 + '", "samples": 2, '
    '"first_key": "anger_f_p00000_000", "last_key": "anger_m_p00001_000", '
    '"files": {"webdataset": {"path": "wds/train-00000.tar", "bytes": 4, "sha256": "' + "cd" * 32 + '"}, '
    '"parquet": {"path": "data/train-00000-of-00002.parquet", "bytes": 3, "sha256": "' + "ef" * 32 + '"}}, '
    '"rejected": [{"key": "anger_u_p00002_000", "reason": "the apex is \\"naïve\\"\\n"}], "unused": [], '
    '"line_sha256": "@"}\n'
)


def tiny_plan() -> Plan:
    """Two drawn subjects, one emotion, one clip each. The source's own digest changes with its code, so it is fixed."""
    tuned = {"sway_px": 0.12, "noise_sigma": 0.5, "video": Video(crf=10)}  # defaults may be tuned again
    profile = Profile("tiny", "naïve", emotions=("anger",), subjects=2, split=(0.5, 0.5, 0.0), **tuned)
    options = {"source": "procedural", "options": {}, "fingerprint": "abc", "generator": "warp"}
    asked = ask(profile, seed=7, formats=("webdataset",), **options)
    return make_plan({**asked, "builder_version": "0"}, ProceduralSource().survey(profile, 7))


# --- exact bytes


def test_bytes_of_a_line() -> None:
    data = COMMIT.line().decode()
    checksum = json.loads(data)["line_sha256"]
    assert data == LINE.replace("@", checksum)
    assert checksum == "0aba8992c7f81e295a5e7790f66681db097e075bccebeabc7c16dcf320fb6b9f"


def test_bytes_of_a_plans_header(tmp_path: Path) -> None:
    plan = tiny_plan()
    manifest.write_plan(tmp_path, plan)
    assert (tmp_path / manifest.HEADER).read_text(encoding="utf-8") == HEADER
    assert read_header(tmp_path) == json.loads(HEADER)
    assert manifest.read_plan(tmp_path).header == plan.header


HEADER = """{
 "format_version": 1,
 "builder_version": "0",
 "profile": {
  "name": "tiny",
  "follows": "na\\u00efve",
  "size": 256,
  "fps": 100.0,
  "frames": 128,
  "emotions": [
   "anger"
  ],
  "au_table": "corpora",
  "subjects": 2,
  "sequences": 1,
  "intensity": [
   1.2,
   1.8
  ],
  "label_noise": 0.0,
  "sway_px": 0.12,
  "blink_probability": 0.1,
  "noise_sigma": 0.5,
  "shared_program_subjects": 4,
  "ablations": 0,
  "split": [
   0.5,
   0.5,
   0.0
  ],
  "shard_samples": 64,
  "event": {
   "mean_ms": 370.0,
   "sd_ms": 95.0,
   "shortest_ms": 120.0,
   "longest_ms": 500.0,
   "plateau_ms": 60.0,
   "apex_beta": [
    3.2,
    3.5
   ]
  },
  "video": {
   "crf": 10,
   "preset": "medium"
  },
  "acceptance": {
   "attempts": 3,
   "keep_best": false,
   "reserve": 0
  },
  "audit": {
   "least_response": 0.5,
   "seen": 0.3,
   "lead": 2.5,
   "longest_ms": 560.0,
   "timing_ms": 80.0,
   "residual": 0.35,
   "head_drift": 0.05,
   "blink": 0.5,
   "identity": 0.02,
   "embedding": 0.363,
   "faces": 0.9
  },
  "marginals": {
   "gender": {
    "Woman": 1.0,
    "Man": 1.0
   },
   "race": {
    "asian": 1.0,
    "indian": 1.0,
    "black": 1.0,
    "white": 1.0,
    "middle eastern": 1.0,
    "latino hispanic": 1.0
   },
   "age": {
    "20-29": 0.25,
    "30-39": 0.25,
    "40-49": 0.2,
    "50-59": 0.15,
    "60+": 0.15
   }
  },
  "curation": {
   "max_turn": 25.0,
   "max_lip_gap": 0.04,
   "min_lid_gap": 0.05,
   "min_iod": 32.0,
   "min_eye_light": 0.55,
   "min_eye_contrast": 0.18,
   "max_mirror_shift": 0.062,
   "min_lip_color": 6.0,
   "max_cheek_edge": 0.045,
   "max_cheek_edge_ratio": 2.4,
   "min_sharpness": 0.0,
   "max_smile": 1.0,
   "min_neutral": 0.0,
   "select": {
    "Smiling": -1,
    "Mouth_Slightly_Open": -1,
    "Eyeglasses": -1
   },
   "marginals": {
    "gender": {},
    "race": {},
    "age": {}
   }
  },
  "license": "cc-by-nc-sa-4.0"
 },
 "seed": 7,
 "source": "procedural",
 "source_options": {},
 "source_fingerprint": "abc",
 "generator": "warp",
 "generator_options": {},
 "audit": false,
 "formats": [
  "webdataset"
 ],
 "subjects": 2,
 "clips": 2,
 "shards": {
  "train": [
   1
  ],
  "validation": [
   1
  ]
 },
 "reserve": {},
 "curation": null,
 "plan_sha256": "c42f298db0a9cdd6c94f2d2b44e1ebc706511a0c738f97cf7edef9de080989ec"
}
"""


# --- lines


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with one committed shard."""
    for file in COMMIT.files.values():
        (tmp_path / file["path"]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file["path"]).write_bytes(b"x" * file["bytes"])
    write_commit(tmp_path, SHARD, COMMIT)
    return tmp_path


def test_a_line_is_read_as_it_was_written(root: Path) -> None:
    assert read_commit(root, SHARD) == COMMIT
    assert read_commit(root, replace(SHARD, index=1)) is None


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where each value of a JSON tree stands, containers included."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [path] * bool(path) + [place for key, value in inner for place in places(value, (*path, key))]


values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
CONTENT = json.loads(COMMIT.line())


@given(st.sampled_from(places(CONTENT)), values | st.lists(values, max_size=2), st.booleans())
@settings(max_examples=150)
def test_an_edited_line_is_found_out(tmp_path_factory: Any, place: tuple[Any, ...], value: Any, remove: bool) -> None:
    content = copy.deepcopy(CONTENT)
    holder = content
    for key in place[:-1]:
        holder = holder[key]
    if not remove and json.dumps(holder[place[-1]]) == json.dumps(value):
        return
    if remove:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    folder = tmp_path_factory.getbasetemp() / "edited"
    path = manifest.commit_path(folder, SHARD)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    with pytest.raises(FolderError, match=r"train-00000\.json: does not match its own checksum$"):
        read_commit(folder, SHARD)
    assert pending(folder, [SHARD], COMMIT.plan_sha256) == [SHARD]


@pytest.mark.parametrize("name", [*(field.name for field in fields(Commit)), "more"])
def test_a_line_with_other_fields_is_none_even_if_its_checksum_fits(root: Path, name: str) -> None:
    content = {key: value for key, value in CONTENT.items() if key != "line_sha256"}
    if content.pop(name, None) is None:
        content[name] = 1
    line = {**content, "line_sha256": digest(content)}
    manifest.commit_path(root, SHARD).write_text(json.dumps(line))
    with pytest.raises(FolderError, match=r"train-00000\.json: not a shard's line"):
        read_commit(root, SHARD)


# --- files of JSON


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "missing$"),
        (b"", r"cannot be read as JSON \(Expecting value"),
        (b'{"a": 1', r"cannot be read as JSON \(Expecting"),
        (b"\xff\xfe\xff", r"cannot be read as JSON \("),
        (b"[" * 100_000, r"cannot be read as JSON \("),
        (b"[1, 2]", "holds no JSON object$"),
        (b"null", "holds no JSON object$"),
    ],
    ids=["missing", "empty", "cut", "no text", "deep", "list", "null"],
)
def test_what_is_no_json_object_is_named_with_its_path(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "plan.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FolderError, match=rf"/plan\.json: {message}"):
        read_json(path)


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"cannot be read as JSON \(.*Is a directory"):
        read_json(tmp_path)


def test_json_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    with open(path, "wb") as file:
        file.truncate(manifest.MAX_JSON_BYTES + 1)  # a hole: takes no room on the disk
    with pytest.raises(FolderError, match=r"/plan\.json: over 64 MiB$"):
        read_json(path)


@pytest.mark.parametrize("name", ["profile", "seed", "source", "source_options", "shards", "formats", "plan_sha256"])
def test_a_header_that_lacks_what_a_plan_says(tmp_path: Path, name: str) -> None:
    manifest.write_plan(tmp_path, tiny_plan())
    header = read_json(tmp_path / manifest.HEADER)
    del header[name]
    (tmp_path / manifest.HEADER).write_bytes(manifest.header_bytes(header))
    with pytest.raises(FolderError, match=rf"plan\.json: lacks '{name}'; it is not a plan$"):
        read_header(tmp_path)


# --- what is built


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("format_name", COMMIT.files)
@pytest.mark.parametrize("harm", [Path.unlink, cut], ids=["missing", "another size"])
def test_a_shard_whose_files_are_not_there_in_their_size_is_pending(
    root: Path, format_name: str, harm: Callable[[Path], None]
) -> None:
    assert pending(root, [SHARD], COMMIT.plan_sha256) == []
    harm(root / COMMIT.files[format_name]["path"])
    assert pending(root, [SHARD], COMMIT.plan_sha256) == [SHARD]


def test_a_shard_of_another_plan_or_without_a_line_is_pending(root: Path) -> None:
    assert pending(root, [SHARD], "00" * 32) == [SHARD]
    second = replace(SHARD, number=1, index=1)
    assert pending(root, [SHARD, second], COMMIT.plan_sha256) == [second]
    manifest.commit_path(root, SHARD).unlink()
    assert pending(root, [SHARD, second], COMMIT.plan_sha256) == [SHARD, second]


def test_files_of_the_same_size_are_left_to_verify(root: Path) -> None:
    """A build that goes on must not read all that is built; `verify` compares the bytes."""
    (root / COMMIT.files["webdataset"]["path"]).write_bytes(b"edit")
    assert pending(root, [SHARD], COMMIT.plan_sha256) == []


@pytest.mark.parametrize("files", [{"webdataset": {}}, {"webdataset": 3}, {"webdataset": {"path": 3, "bytes": 1}}, [1]])
def test_a_line_whose_files_cannot_be_files_is_pending(root: Path, files: Any) -> None:
    content = {key: value for key, value in CONTENT.items() if key != "line_sha256"} | {"files": files}
    line = {**content, "line_sha256": digest(content)}
    manifest.commit_path(root, SHARD).write_text(json.dumps(line))
    assert pending(root, [SHARD], COMMIT.plan_sha256) == [SHARD]


# --- writing


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_atomic(target, b"old")
    with replacing(target) as temporary:
        temporary.write_bytes(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("existed", [True, False])
def test_a_block_that_raises_leaves_what_was_there(
    tmp_path: Path, error: type[BaseException], written: bool, existed: bool
) -> None:
    target = tmp_path / "a.json"
    if existed:
        target.write_bytes(b"old")

    def write() -> None:
        with replacing(target) as temporary:
            if written:
                temporary.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        write()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == ({"a.json": b"old"} if existed else {})
