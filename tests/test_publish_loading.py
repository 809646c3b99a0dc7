"""Build, publish, load by a second user through the Hub: refused with the right words, then the very same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import requests
from hub_server import LocalHub
from publishing import NAME, READER, STRANGER, client, people, release

from equime_builder.hub.access import accept, list_requests, reject
from equime_builder.hub.gate import gate_fields
from equime_loader.storage import open_store
from equime_loader.storage.errors import AccessError, MissingError, StorageError
from equime_loader.storage.retry import Retries
from equime_loader.storage.standing import commit_to_read

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
QUICK = Retries(attempts=3, first_delay_s=0.001, longest_delay_s=0.002)


@pytest.fixture
def hub(local_hub: LocalHub, built: Path) -> LocalHub:
    people(local_hub)
    release(local_hub, built, public=True)
    return local_hub


def second_user(hub: LocalHub, home: Path, *asked: str) -> list[dict[str, Any]]:
    """What a process of its own prints, with a home of its own and the Hub by `HF_ENDPOINT` only."""
    own = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "EQUIME_REPO": NAME,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_DEBUG": "1",
        "HF_HUB_VERBOSITY": "debug",
        "DATASETS_VERBOSITY": "debug",
        "no_proxy": "127.0.0.1,localhost",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "EQUIME_"))}
    command = [sys.executable, str(Path(__file__).with_name("second_user.py")), *asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**kept, **own})
    assert done.returncode == 0, done.stderr[-2000:]
    assert "SECRET" not in done.stdout + done.stderr and "Request " in done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def ask_for_access(hub: LocalHub, token: str) -> None:
    """The form on the page, filled in."""
    answers = dict.fromkeys(gate_fields(), "an answer")
    url = f"{hub.url}/datasets/{NAME}/ask-access"
    headers = {"Authorization": f"Bearer {token}"}
    assert requests.post(url, json=answers, headers=headers, allow_redirects=False, timeout=10).status_code == 303


def expected(built: Path) -> dict[str, list[str]]:
    rows = {}
    for path in sorted(built.glob("data/*.parquet")):
        for row in pq.read_table(path, columns=["key", "video", "caption", "split"]).to_pylist():
            rows[row["key"]] = [hashlib.sha256(row["video"]["bytes"]).hexdigest(), row["caption"], row["split"]]
    return rows


def test_a_second_user_is_refused_asks_and_loads_the_same_bytes(hub: LocalHub, built: Path, tmp_path: Path) -> None:
    page = f"{hub.url}/datasets/{NAME}"
    ask_for_access(hub, READER)
    before = second_user(
        hub, tmp_path / "home",
        *("-", "streaming", "-"), *(STRANGER, "streaming", "-"), *(READER, "streaming", "-"), *(READER, "whole", "-"),
        *(STRANGER, "whole", "v9.0.0"), *("hf_wrongSECRET", "whole", "-"),
    )  # fmt: skip
    pending = (
        f"{NAME}: your request for access is pending; its owners decide, and the Hub mails you then: load it again "
        "after that"
    )
    assert [row["text"] for row in before] == [
        f"{NAME}: you are not logged in; ask for access at {page}, then run `hf auth login` or set HF_TOKEN",
        f"{NAME}: you have no access; ask for it at {page}",
        pending,
        pending,
        f"{NAME}: no revision 'v9.0.0'; name one of {page}/tree/main, or leave revision= out for the newest",
        f"{NAME}: your login is not accepted: the token is wrong, expired or revoked; run `hf auth login` again",
    ]
    assert [row["error"] for row in before] == ["AccessError"] * 4 + ["MissingError", "AccessError"]
    assert hub.asked("/storage/", "GET") == []

    owner = client(hub)
    assert [each.user for each in list_requests(owner, "pending")] == ["reader"]
    accept(owner, "reader")
    after = second_user(
        hub, tmp_path / "home",
        *(READER, "streaming", "-"), *(READER, "whole", "-"), *(READER, "whole", "v1.0.0"), *(READER, "plain", "-"),
    )  # fmt: skip
    assert [row.get("rows") for row in after] == [expected(built)] * 4, after
    assert not [seen.token for seen in hub.asked("/storage/") if seen.token], "the token stays with the Hub"


def test_the_loader_reads_by_range_what_was_published(hub: LocalHub, built: Path) -> None:
    ask_for_access(hub, READER)
    accept(client(hub), "reader")
    row = pq.read_table(built / "index.parquet").slice(0, 1).to_pylist()[0]
    place = row["shard"], row["mp4_offset"], row["mp4_length"]
    with open_store(f"hf://datasets/{NAME}@v1.0.0", token=READER, endpoint=hub.url, retries=QUICK) as store:
        assert hashlib.sha256(store.read(*place)).hexdigest() == row["mp4_sha256"]
        assert store.file("index.parquet").read_bytes() == (built / "index.parquet").read_bytes()
    with (
        open_store(f"hf://datasets/{NAME}@v1.0.0", token=STRANGER, endpoint=hub.url, retries=QUICK) as store,
        pytest.raises(AccessError, match="you are not in the authorized list"),
    ):
        store.read(*place)


def test_the_steps_of_a_standing(hub: LocalHub) -> None:
    def standing(token: str | bool, revision: str | None = None) -> str:
        return commit_to_read(NAME, revision, token=token, endpoint=hub.url, retries=QUICK)

    commit = hub.repository(NAME).resolve("main").number
    with pytest.raises(AccessError, match="you are not logged in; ask for access at"):
        standing(False)
    with pytest.raises(AccessError, match="you have no access; ask for it at"):
        standing(READER)
    ask_for_access(hub, READER)
    with pytest.raises(AccessError, match="your request for access is pending"):
        standing(READER)
    reject(client(hub), "reader", "no")
    with pytest.raises(AccessError, match="was rejected; write to the owners"):
        standing(READER)
    accept(client(hub), "reader")
    assert standing(READER) == standing(READER, "v1.0.0") == standing(READER, commit) == commit
    hub.revoked.add(READER)
    with pytest.raises(AccessError, match="the token is wrong, expired or revoked"):
        standing(READER)
    hub.revoked.clear()
    hub.repository(NAME).private = True
    with pytest.raises(MissingError, match="no such dataset, or a private one that your login may not see"):
        standing(STRANGER)
    with pytest.raises(AccessError, match="you are not logged in"):
        standing(False)


def test_a_hub_in_trouble(hub: LocalHub) -> None:
    accept_all = client(hub)
    ask_for_access(hub, READER)
    accept(accept_all, "reader")
    hub.fail("503", times=2)
    assert commit_to_read(NAME, token=READER, endpoint=hub.url, retries=QUICK)
    hub.fail("503", times=100)
    with pytest.raises(StorageError, match=r"^lab/equime: HTTP 503 from the Hub \(attempt 3 of 3\)$"):
        commit_to_read(NAME, token=READER, endpoint=hub.url, retries=QUICK)
    hub.mend()
    hub.cut(0)
    with pytest.raises(
        StorageError, match=r"the Hub cannot be reached; name a folder with data_dir= \(attempt 3 of 3\)$"
    ):
        commit_to_read(NAME, token=READER, endpoint=hub.url, retries=QUICK)


def test_names_and_offline(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError, match="is no name of a dataset; it must read ORG/NAME"):
        commit_to_read("a//b", token=READER, endpoint=hub.url, retries=QUICK)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(StorageError, match="HF_HUB_OFFLINE is set; unset it, or name a folder"):
        commit_to_read(NAME, token=READER, endpoint=hub.url, retries=QUICK)
