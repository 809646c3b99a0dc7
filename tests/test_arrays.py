"""Arrays of a batch system: parts cover all shards exactly, and the shipped script makes the bytes of one build."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import small_request, tree
from hypothesis import given
from hypothesis import strategies as st

from equime_builder import manifest
from equime_builder.build import Part, build
from equime_builder.plan import Shard
from equime_builder.requests import parse_shards

SCRIPT = Path(__file__).parents[1] / "scripts" / "slurm_array.sh"

# A batch system of one machine: runs what is submitted at once, the tasks of an array one after the other.
SBATCH = """#!/bin/bash
tasks=
for option; do
    case "$option" in
    --array=*) tasks=$(seq "$(cut -d- -f1 <<< "${option#*=}")" "$(cut -d- -f2 <<< "${option#*=}")") ;;
    -*) ;;
    *) break ;;
    esac
    shift
done
echo "$*" >> "$SUBMITTED"
[[ $1 == --array* ]] && shift
for task in ${tasks:-none}; do
    SLURM_JOB_ID=7 SLURM_ARRAY_TASK_ID=${task/none/} "$@" >> "$SUBMITTED.log" 2>&1 || exit
done
echo "7;cluster"
"""
EQUIME = f"""#!/bin/bash
echo "$*" >> "$SUBMITTED.equime"
exec {sys.executable} -m equime_builder "$@"
"""


@given(st.integers(0, 300), st.integers(0, 5), st.integers(1, 40))
def test_parts_cover_all_shards_of_the_plan_exactly(planned: int, reserve: int, count: int) -> None:
    shards = [Shard(number, "train", number, planned, 1, number >= planned) for number in range(planned + reserve)]
    parts = [Part(number, count).of(shards) for number in range(1, count + 1)]
    assert [number for part in parts for number in part] == list(range(planned))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_parts_are_read_from_what_a_user_types() -> None:
    assert parse_shards("3,7-9") == [3, 7, 8, 9]
    assert parse_shards(" 2/16 ") == Part(2, 16)
    assert parse_shards("none") == []
    for wrong in ("0/4", "5/4", "1/0"):
        with pytest.raises(ValueError, match="must lie within"):
            parse_shards(wrong)
    for wrong in ("1/2/3", "a", "", "3-1", "/", "nothing"):
        with pytest.raises(ValueError, match="must read like 3,7-9 or 2/16, or none"):
            parse_shards(wrong)


def test_a_part_that_is_run_again_builds_what_is_missing(built: Path, copy_of: Callable[[Path], Path]) -> None:
    root, seen = copy_of(built), list[str]()
    shards = manifest.shards_in(manifest.read_header(root), None)
    (root / shards[1].files(["webdataset"])["webdataset"]).unlink()
    request = small_request(formats=("webdataset", "parquet", "arrow"))
    assert build(root, request, shards=Part(1, 1), progress=lambda done: seen.append(done.shard))
    assert seen == [shards[1].name]
    assert tree(root) == tree(built)


def test_no_shards_only_plan(tmp_path: Path) -> None:
    root = tmp_path / "equime"
    assert not build(root, small_request(), shards=[])
    assert {path for path in tree(root) if not path.startswith(manifest.FOLDER)} == set()
    assert (root / manifest.HEADER).exists()


def test_the_script_for_slurm_makes_the_bytes_of_one_build(built: Path, tmp_path: Path) -> None:
    for name, text in (("sbatch", SBATCH), ("equime", EQUIME)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    profile = small_request().profile.to_dict()
    toml = tmp_path / "small profile.toml"
    lines = [f"{name} = {json.dumps(value)}" for name, value in profile.items() if not isinstance(value, dict)]
    toml.write_text("\n".join(lines))
    log, root = tmp_path / "submitted", tmp_path / "a folder"
    variables = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SUBMITTED": str(log),
        "PARTS": "3",
    }
    options = [
        "--profile",
        str(toml),
        "--formats",
        "webdataset,parquet,arrow",
        "--workers",
        "1",
    ]
    command = ["bash", str(SCRIPT), str(root), *options]
    done = subprocess.run(
        command,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    said = Path(f"{log}.log").read_text()
    assert done.returncode == 0, done.stderr + said
    assert done.stdout == "submitted: plan 7, 3 parts 7, finish 7\n"
    ran = [line.rpartition("--shards ")[2] for line in Path(f"{log}.equime").read_text().splitlines()]
    assert ran[:4] == ["none", "1/3", "2/3", "3/3"]
    assert len(ran) == 6
    assert said.endswith("every promise holds\n")
    assert tree(root) == tree(built)


def test_the_script_for_slurm_explains_itself() -> None:
    assert subprocess.run(["bash", "-n", str(SCRIPT)], check=False).returncode == 0
    done = subprocess.run(["bash", str(SCRIPT)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "PARTS=16 CPUS=8 scripts/slurm_array.sh FOLDER" in done.stderr
