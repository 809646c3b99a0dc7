"""What `load_dataset("equime")` answers where a user may not read, and where there is no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_server import LocalHub
from publishing import NAME, READER, client, people, release

from equime_builder.hub.access import grant
from equime_builder.hub.editing import Edit, edit
from equime_loader.storage.errors import AccessError
from equime_loader.storage.standing import _refusal

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
HUB = "https://huggingface.co"
LOAD = """
import json, os, sys
from datasets import load_dataset
import equime_loader
for options in map(json.loads, sys.argv[1:]):
    try:
        loaded = load_dataset("equime", **options)
        print(json.dumps({split: len(list(rows.select_columns(["key"]))) for split, rows in loaded.items()}))
    except Exception as error:
        print(json.dumps(f"{type(error).__name__}: {error}"))
sys.stdout.flush()
os._exit(0)  # Arrow's threads may abort a process that ends right after streaming
"""


def loaded(home: Path, *options: dict[str, Any], **environment: str) -> list[Any]:
    """Samples by split, or the error, for each set of options; in a process with a home of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "EQUIME_"))}
    own = {
        "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "EQUIME_REPO": NAME,
        "HF_HUB_DISABLE_TELEMETRY": "1", "no_proxy": "127.0.0.1,localhost",
    }  # fmt: skip
    command = [sys.executable, "-W", "ignore", "-c", LOAD, *map(json.dumps, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**kept, **own, **environment})
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith(("{", '"'))]


@pytest.mark.parametrize(
    ("status", "code", "said", "answer"),
    [
        (401, "", 'User Access Token "laptop" is expired', "your login is not accepted: the token is wrong"),
        (401, "", "Invalid username or password.", "your login is not accepted"),
        (401, "", "Invalid credentials in Authorization header", "your login is not accepted"),
        (
            403,
            "GatedRepo",
            "Access to dataset lab/equime is restricted and your fine-grained token does not have access. Please "
            "enable access to public gated repositories in your fine-grained token settings to view this repository.",
            f"your token may not read gated datasets; give it that right at {HUB}/settings/tokens",
        ),
        (
            403,
            "",
            "Please enable access to public gated repositories in your fine-grained token settings",
            "your token may not read gated datasets",
        ),
        (403, "GatedRepo", "you are not in the authorized list", "you have no access; ask for it at"),
        (403, "GatedRepo", "Your request is awaiting a review from the repo authors.", "your request for access is"),
        (403, "", "Too many cooks", "refused (HTTP 403; the Hub says: Too many cooks)"),
    ],
)  # fmt: skip
def test_words_of_the_hub_and_the_next_step(status: int, code: str, said: str, answer: str) -> None:
    headers = {"X-Error-Code": code, "X-Error-Message": said}
    found = _refusal(HUB, NAME, None, "hf_SECRET", status, headers)
    assert found.reason.startswith(answer) and found.error is AccessError and not found.again


def test_without_a_login_there_is_no_such_thing_as_an_expired_one() -> None:
    found = _refusal(HUB, NAME, None, "", 401, {"X-Error-Message": "Invalid username or password."})
    assert found.reason.startswith("you are not logged in; ask for access at")


def test_what_was_downloaded_is_read_without_a_network(local_hub: LocalHub, built: Path, tmp_path: Path) -> None:
    people(local_hub)
    release(local_hub, built, public=True)
    grant(client(local_hub), "reader")
    home = tmp_path / "home"
    commit = local_hub.repository(NAME).resolve("main").number
    assert loaded(home, {}, HF_HUB_OFFLINE="1") == [
        f"MissingError: {NAME}: HF_HUB_OFFLINE is set, and nothing was downloaded before; load it once with the "
        "network, or name a folder with data_dir="
    ]
    online = loaded(home, {}, HF_ENDPOINT=local_hub.url, HF_TOKEN=READER)
    assert sum(online[0].values()) == 12
    local_hub.requests.clear()
    offline = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": local_hub.url}
    rows = loaded(home, {}, {"revision": commit}, {"streaming": True}, {"revision": "v9.0.0"}, **offline)
    assert rows[:3] == online * 3
    assert "nothing at 'v9.0.0' was downloaded before" in rows[3]
    assert not local_hub.requests
    next(home.glob("hub/datasets--*/snapshots/*/data/train-*.parquet")).unlink()
    cut = loaded(home, {}, **offline)[0]
    assert "shards of train were downloaded before; load it once with the network" in cut


def test_a_split_without_samples_is_no_split(built: Path, tmp_path: Path) -> None:
    index = pq.read_table(built / "index.parquet", columns=["key", "split"]).to_pylist()
    last = frozenset(row["key"] for row in index if row["split"] == "test")
    edit(built, tmp_path / "edited", Edit({"what": "rejected clips left out"}, keys=last))
    ways: tuple[dict[str, Any], ...] = ({}, {"name": "metadata"}, {"streaming": True})
    named = ({"data_dir": str(tmp_path / "edited"), **way} for way in ways)
    found = loaded(tmp_path, *named, HF_HUB_OFFLINE="1")
    expected = pa.table({"split": [row["split"] for row in index]}).group_by("split").aggregate([([], "count_all")])
    rest = {row["split"]: row["count_all"] for row in expected.to_pylist() if row["split"] != "test"}
    assert found == [rest] * len(ways)
