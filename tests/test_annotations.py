"""Annotations fill what shards leave null, survive rebuilds and kills, and are checked like all else."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import small_request, tree
from killing import killed_at

from equime_builder import manifest
from equime_builder.annotate import write_annotation
from equime_builder.annotation_tables import fold, read_table, stored_form
from equime_builder.annotations import annotation_names, read_annotation
from equime_builder.build import build
from equime_builder.finish import label_tables
from equime_builder.manifest import FolderError
from equime_builder.repair import repair
from equime_builder.sources.drawn import ProceduralSource
from equime_builder.verify import verify
from equime_loader import open_dataset

FORMATS = ("webdataset", "parquet", "arrow")
PATH = "annotations/quality.parquet"


def keys_of(root: Path) -> list[str]:
    return [str(key) for key in pq.read_table(root / "index.parquet", columns=["key"])["key"].to_pylist()]


def quality(root: Path, *, brisque: float = 10.0) -> pa.Table:
    """Values for every clip but the last, which stays null."""
    keys = keys_of(root)
    values: list[float | None] = [brisque + number for number in range(len(keys))]
    return pa.table({"ssim": [0.5] * (len(keys) - 1), "key": keys[:-1], "brisque": values[:-1]})


@pytest.fixture
def annotated(built: Path, copy_of: Callable[[Path], Path]) -> Path:
    root = copy_of(built)
    write_annotation(root, "quality", quality(root))
    return root


def test_values_come_into_the_index_and_nothing_else_changes(built: Path, annotated: Path) -> None:
    index, before = (pq.read_table(root / "index.parquet") for root in (annotated, built))
    count = len(index)
    assert index["brisque"].to_pylist() == [10.0 + number for number in range(count - 1)] + [None]
    assert index.drop_columns(["brisque", "ssim"]).equals(before.drop_columns(["brisque", "ssim"]))
    changed = {path for path, data in tree(annotated).items() if tree(built).get(path) != data}
    told = {"README.md", "DATASHEET.md", "croissant.json"}  # what was measured, and the hash of the index
    assert changed == {PATH, "index.parquet", manifest.DATASET, *told}
    assert verify(annotated) == []
    assert open_dataset(annotated).index.numbers("brisque")[0] == 10.0


def test_rows_and_columns_in_any_order_make_the_same_bytes(annotated: Path, built: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(built, tmp_path / "other"))
    table = quality(root).select(["brisque", "key", "ssim"])
    write_annotation(root, "quality", table.take(list(reversed(range(len(table))))))
    assert tree(root) == tree(annotated)


def test_an_annotation_is_replaced_and_another_added(annotated: Path) -> None:
    write_annotation(annotated, "quality", quality(annotated, brisque=50.0))
    write_annotation(annotated, "look", pa.table({"key": keys_of(annotated)[-1:], "brisque": [3.0]}))
    values = pq.read_table(annotated / "index.parquet")["brisque"].to_pylist()
    assert (values[0], values[-1]) == (50.0, 3.0)
    assert annotation_names(annotated) == ["look", "quality"]
    assert verify(annotated) == []
    table = read_annotation(annotated, "look")
    assert table is not None
    assert table.to_pylist() == [{"key": keys_of(annotated)[-1], "brisque": 3.0}]
    assert read_annotation(annotated, "none") is None


def test_every_kind_of_field_can_be_annotated(built: Path) -> None:
    labels = next(label_tables(built))
    key = labels["key"][0].as_py()
    empty = labels.set_column(
        labels.schema.get_field_index("aus"), labels.schema.field("aus"), pa.nulls(len(labels), labels["aus"].type)
    )
    acts = [{"au": 4, "side": "both", "intensity": 1.5}]
    table = pa.table({"key": [key], "aus": pa.array([acts], labels["aus"].type)})
    assert fold(empty, [stored_form("x", table)])["aus"].to_pylist()[:2] == [acts, None]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"brisque": [1.0]}, "annotation x: lacks the column 'key'"),
        ({"key": ["a"]}, "has no column beside 'key'"),
        ({"key": ["a"], "shard": ["b"]}, "'shard' is no field of the schema"),
        ({"key": ["a", "a"], "brisque": [1.0, 2.0]}, "key 'a' stands in more than one row"),
        ({"key": [None], "brisque": [1.0]}, "a key is null|key is null, string expected"),
        ({"key": ["a"], "brisque": ["1.0"]}, "brisque is string, float expected"),
        ({"key": ["a"], "brisque": [float("nan")]}, "brisque holds a number that is not finite; use null"),
        ({"key": ["a"], "brisque": [1e300]}, "brisque holds a number that is not finite"),
        ({"key": ["a"], "audit_apex_frame": [1.5]}, "audit_apex_frame is double, int32 expected"),
        ({"key": ["a"], "apparent_gender": ["Frau"]}, "apparent_gender='Frau' must be one of Woman, Man"),
        ({"key": [1], "brisque": [1.0]}, "key is int64, string expected"),
    ],
)
def test_what_does_not_fit_the_schema_is_refused(columns: dict[str, list[object]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stored_form("x", pa.table(columns))


def test_names_are_checked() -> None:
    with pytest.raises(ValueError, match=r"annotation '\.\./x' must be named in small letters"):
        stored_form("../x", pa.table({"key": ["a"], "brisque": [1.0]}))


def test_contradictions_and_unknown_clips_are_refused_and_nothing_changes(annotated: Path) -> None:
    before, key = tree(annotated), keys_of(annotated)[0]
    for columns, message in (
        ({"key": [key], "frames": [3]}, rf"look\.parquet: frames of {key} is 3, its shard states 80"),
        ({"key": [key], "brisque": [3.0]}, r"look.* is 3\.0, annotations/quality\.parquet states 10\.0"),
        ({"key": ["fear_m_nobody_001"], "ssim": [3.0]}, "key 'fear_m_nobody_001' is no clip of this dataset"),
    ):
        with pytest.raises(FolderError, match=message):
            write_annotation(annotated, "look", pa.table(columns))
    assert tree(annotated) == before
    write_annotation(annotated, "look", pa.table({"key": [key], "frames": [80], "brisque": [10.0]}))  # agrees
    assert verify(annotated) == []


def test_an_incomplete_dataset_is_not_annotated(tmp_path: Path) -> None:
    root = tmp_path / "equime"
    assert not build(root, small_request(), shards=[0])
    with pytest.raises(FolderError, match=r"has no index\.parquet; finish the build first"):
        write_annotation(root, "quality", pa.table({"key": ["a"], "brisque": [1.0]}))


def test_annotations_survive_the_rebuild_of_a_shard(annotated: Path) -> None:
    before = tree(annotated)
    shard = manifest.shards_in(manifest.read_header(annotated), [1])[0]
    for path in (*shard.files(FORMATS).values(), "index.parquet"):
        (annotated / path).unlink()
    assert build(annotated, small_request(formats=FORMATS), shards=[1])
    assert tree(annotated) == before
    next(annotated.glob("wds/*.tar")).unlink()
    assert repair(annotated, ProceduralSource())
    assert tree(annotated) == before


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 8
    path.write_bytes(bytes(data))


def _edited(path: Path) -> None:
    table = pq.read_table(path)
    values = [99.0] * len(table)
    pq.write_table(table.set_column(table.column_names.index("ssim"), "ssim", pa.array(values, pa.float32())), path)


def _foreign(path: Path) -> None:
    pq.write_table(pa.table({"key": ["a"], "brisque": [1.0]}), path)


@pytest.mark.parametrize("damage", [_flipped, _edited, _foreign])
def test_a_damaged_annotation_is_found_and_set_aside(
    damage: Callable[[Path], None], annotated: Path, built: Path
) -> None:
    damage(annotated / PATH)
    content = (annotated / PATH).read_bytes()
    assert PATH in {fault.path for fault in verify(annotated)}
    with pytest.raises(FolderError, match=r"quality\.parquet: "):
        build(annotated, small_request(formats=FORMATS))
    assert repair(annotated, ProceduralSource())
    assert tree(annotated) == tree(built)
    assert (annotated.with_name("equime-stray") / PATH).read_bytes() == content


def test_a_missing_annotation_is_found_and_its_values_leave_the_index(annotated: Path, built: Path) -> None:
    shutil.rmtree(annotated / "annotations")
    assert f"{PATH}: missing" in {str(fault) for fault in verify(annotated)}
    repair(annotated, ProceduralSource())
    assert tree(annotated) == tree(built)


def test_an_annotation_of_another_dataset_is_set_aside(annotated: Path, built: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "equime"
    assert build(other, small_request(formats=FORMATS, emotions=("fear", "anger")))
    shutil.copytree(annotated / "annotations", other / "annotations")
    faults = {fault.path: fault.message for fault in verify(other)}
    assert "is no clip of this dataset" in faults[PATH]
    repair(other, ProceduralSource())
    assert not (other / PATH).exists()
    assert verify(other) == []


def test_what_else_lies_among_annotations_is_stray(annotated: Path) -> None:
    (annotated / "annotations/Notes.parquet").write_text("x")
    (annotated / "annotations/deep").mkdir()
    assert {fault.path for fault in verify(annotated)} == {"annotations/Notes.parquet", "annotations/deep"}


def test_killed_at_any_moment_it_leaves_what_can_be_folded(annotated: Path, built: Path, tmp_path: Path) -> None:
    """Killed at each write to disk in turn: the old state verifies, or repair comes to the old state or the new."""
    table, after, before = quality(annotated), tree(annotated), tree(built)
    for moment in itertools.count(1):
        root = Path(shutil.copytree(built, tmp_path / "killed" / "equime"))
        if not killed_at(moment, write_annotation, root, "quality", table):
            break
        repair(root, ProceduralSource())
        assert tree(root) in (before, after)
        assert verify(root) == []
        shutil.rmtree(tmp_path / "killed")
    assert tree(root) == after
    assert moment > 6


def test_the_next_build_folds_what_a_killed_one_left(annotated: Path) -> None:
    after = tree(annotated)
    os.unlink(annotated / manifest.DATASET)
    os.unlink(annotated / "index.parquet")
    assert build(annotated, small_request(formats=FORMATS))
    assert tree(annotated) == after


def test_the_stored_form_reads_back(annotated: Path) -> None:
    annotation = read_table("quality", annotated / PATH)
    assert annotation.columns == ["ssim", "brisque"]
    assert len(annotation.rows) == len(keys_of(annotated)) - 1
