"""Ways to damage a dataset folder. Each takes the folder and a random generator and changes something in it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Random = np.random.Generator
BLOCK = 512


def _pick(root: Path, pattern: str, rng: Random) -> Path:
    paths = sorted(root.glob(pattern))
    return paths[int(rng.integers(len(paths)))]


def _tar(root: Path, rng: Random) -> Path:
    return _pick(root, "wds/*.tar", rng)


def _entries(path: Path) -> list[tarfile.TarInfo]:
    with tarfile.open(path, "r:") as tar:
        return tar.getmembers()


def _cut(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


def _members(path: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(path, "r:") as tar:
        return [(entry, tar.extractfile(entry).read()) for entry in tar]  # type: ignore[union-attr]


def _write_members(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for entry, data in members:
            tar.addfile(entry, io.BytesIO(data))
    path.write_bytes(target.getvalue())


def bit_flip_in_tar(root: Path, rng: Random) -> None:
    _flip(_tar(root, rng), rng)


def bit_flip_in_parquet(root: Path, rng: Random) -> None:
    _flip(_pick(root, "data/*.parquet", rng), rng)


def bit_flip_in_arrow(root: Path, rng: Random) -> None:
    _flip(_pick(root, "arrow/*.arrow", rng), rng)


def bit_flip_in_index(root: Path, rng: Random) -> None:
    _flip(root / "index.parquet", rng)


def bit_flip_in_card(root: Path, rng: Random) -> None:
    _flip(root / "README.md", rng)


def bit_flip_in_clip_table(root: Path, rng: Random) -> None:
    _flip(root / "__manifest__/clips.parquet", rng)


def bit_flip_in_portrait_table(root: Path, rng: Random) -> None:
    _flip(root / "__manifest__/portraits.parquet", rng)


def _flip(path: Path, rng: Random) -> None:
    data = bytearray(path.read_bytes())
    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(bytes(data))


def tar_cut_at_a_sample(root: Path, rng: Random) -> None:
    path = _tar(root, rng)
    starts = [entry.offset for entry in _entries(path) if entry.name.endswith(".mp4")]
    _cut(path, starts[int(rng.integers(1, len(starts)))])


def tar_cut_at_a_member(root: Path, rng: Random) -> None:
    path = _tar(root, rng)
    starts = [entry.offset for entry in _entries(path) if not entry.name.endswith(".mp4")]
    _cut(path, starts[int(rng.integers(len(starts)))])


def tar_cut_inside_a_header(root: Path, rng: Random) -> None:
    path = _tar(root, rng)
    entries = _entries(path)
    _cut(path, entries[int(rng.integers(len(entries)))].offset + int(rng.integers(1, BLOCK)))


def tar_cut_inside_data(root: Path, rng: Random) -> None:
    path = _tar(root, rng)
    entries = _entries(path)
    entry = entries[int(rng.integers(len(entries)))]
    _cut(path, entry.offset_data + int(rng.integers(1, entry.size)))


def parquet_cut(root: Path, rng: Random) -> None:
    path = _pick(root, "data/*.parquet", rng)
    _cut(path, int(rng.integers(1, path.stat().st_size)))


def half_a_sample(root: Path, rng: Random) -> None:
    path = _tar(root, rng)
    members = _members(path)
    del members[int(rng.integers(len(members)))]
    _write_members(path, members)


def swapped_members(root: Path, rng: Random) -> None:
    path = _tar(root, rng)
    members = _members(path)
    videos = [index for index, (entry, _) in enumerate(members) if entry.name.endswith(".mp4")]
    one, other = rng.choice(videos, 2, replace=False)
    (first, data), (second, others) = members[one], members[other]
    first.size, second.size = len(others), len(data)
    members[one], members[other] = (first, others), (second, data)
    _write_members(path, members)


def duplicated_key(root: Path, rng: Random) -> None:
    path = _tar(root, rng)
    members = _members(path)
    _write_members(path, members + members[:4])


def missing_shard(root: Path, rng: Random) -> None:
    _tar(root, rng).unlink()


def missing_parquet(root: Path, rng: Random) -> None:
    _pick(root, "data/*.parquet", rng).unlink()


def missing_commit(root: Path, rng: Random) -> None:
    _pick(root, "__manifest__/shards/*.json", rng).unlink()


def swapped_shards(root: Path, rng: Random) -> None:
    one, other = sorted(root.glob("wds/train-*.tar"))[:2]
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def stray_file(root: Path, rng: Random) -> None:
    folder = ("", "wds/", "data/", "__manifest__/", "extra/")[int(rng.integers(5))]
    target = root / f"{folder}equime.py"
    target.parent.mkdir(exist_ok=True)
    target.write_text("print('hello')")


def left_over(root: Path, rng: Random) -> None:
    (root / "wds/.train-00000.tar.tmp").write_bytes(b"half a shard")


def edited_index(root: Path, rng: Random) -> None:
    table = pq.read_table(root / "index.parquet")
    names = ("emotion", "split", "mp4_offset", "apparent_race", "apex_frame")
    name = names[int(rng.integers(len(names)))]
    values = table[name].to_pylist()
    row = int(rng.integers(len(values)))
    values[row] = values[row] + (1 if isinstance(values[row], int) else "x")
    column = table.schema.get_field_index(name)
    pq.write_table(
        table.set_column(column, table.schema.field(name), pa.array(values, table.schema.field(name).type)),
        root / "index.parquet",
    )


def dropped_index_row(root: Path, rng: Random) -> None:
    table = pq.read_table(root / "index.parquet")
    pq.write_table(table.slice(1), root / "index.parquet")


def edited_commit(root: Path, rng: Random) -> None:
    path = _pick(root, "__manifest__/shards/*.json", rng)
    content = json.loads(path.read_text())
    content["samples"] += 1
    path.write_text(json.dumps(content) + "\n")


def edited_plan(root: Path, rng: Random) -> None:
    path = root / "__manifest__/plan.json"
    content = json.loads(path.read_text())
    content["clips"] += 1
    path.write_text(json.dumps(content, indent=1) + "\n")


def edited_hashes(root: Path, rng: Random) -> None:
    path = root / "__manifest__/dataset.json"
    content = json.loads(path.read_text())
    content["samples"] += 1
    path.write_text(json.dumps(content, indent=1) + "\n")


def edited_card(root: Path, rng: Random) -> None:
    path = root / "README.md"
    path.write_text(path.read_text().replace("cc-by-nc-sa-4.0", "mit"))


def edited_rejects(root: Path, rng: Random) -> None:
    path = root / "__manifest__/rejected.csv"
    path.write_text(path.read_text() + "clip,x,because\n")


def missing_license(root: Path, rng: Random) -> None:
    (root / "LICENSE").unlink()


def _with_new_hash(root: Path, path: Path, kind: str) -> None:
    """Hide a change from the checksums: put the new size and hash into the shard's line, and mend the line's own."""
    import hashlib

    name = path.name.split("-of-")[0].removesuffix(".tar")
    line = root / f"__manifest__/shards/{name}.json"
    content = json.loads(line.read_text())
    content.pop("line_sha256")
    data = path.read_bytes()
    content["files"][kind] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    line.write_text(json.dumps({**content, "line_sha256": digest}, ensure_ascii=False) + "\n")


def parquet_disagrees_behind_its_hash(root: Path, rng: Random) -> None:
    path = _pick(root, "data/*.parquet", rng)
    table = pq.read_table(path)
    values = table["caption"].to_pylist()
    values[int(rng.integers(len(values)))] = "Somebody smiles."
    column = table.schema.get_field_index("caption")
    pq.write_table(table.set_column(column, table.schema.field("caption"), pa.array(values)), path)
    _with_new_hash(root, path, "parquet")


def video_replaced_behind_its_hash(root: Path, rng: Random) -> None:
    path = _tar(root, rng)
    members = _members(path)
    index = next(index for index, (entry, _) in enumerate(members) if entry.name.endswith(".mp4"))
    entry, data = members[index]
    broken = bytearray(data)
    broken[len(broken) // 2 : len(broken) // 2 + 64] = bytes(64)
    members[index] = (entry, bytes(broken))
    _write_members(path, members)
    _with_new_hash(root, path, "webdataset")


def sample_dropped_behind_its_hash(root: Path, rng: Random) -> None:
    path = _tar(root, rng)
    _write_members(path, _members(path)[4:])
    _with_new_hash(root, path, "webdataset")


FAULTS: dict[str, Callable[[Path, Random], None]] = {
    fault.__name__: fault
    for fault in (
        bit_flip_in_tar,
        bit_flip_in_parquet,
        bit_flip_in_arrow,
        bit_flip_in_index,
        bit_flip_in_card,
        bit_flip_in_clip_table,
        bit_flip_in_portrait_table,
        tar_cut_at_a_sample,
        tar_cut_at_a_member,
        tar_cut_inside_a_header,
        tar_cut_inside_data,
        parquet_cut,
        half_a_sample,
        swapped_members,
        swapped_shards,
        duplicated_key,
        missing_shard,
        missing_parquet,
        missing_commit,
        missing_license,
        stray_file,
        left_over,
        edited_index,
        dropped_index_row,
        edited_commit,
        edited_plan,
        edited_hashes,
        edited_card,
        edited_rejects,
        parquet_disagrees_behind_its_hash,
        video_replaced_behind_its_hash,
        sample_dropped_behind_its_hash,
    )
}
