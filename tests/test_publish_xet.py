"""The way that large files take: Xet, with the real `hf_xet` against its routes on loopback, and its troubles."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_server import LocalHub
from publishing import NAME, OWNER, contents, on_main, people, release

from equime_loader.storage.errors import AccessError, StorageError

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
LOUD = "import logging; logging.basicConfig(level=logging.DEBUG); from equime_builder.cli import main; main()"
TOKEN_ROUTE = "/xet-write-token/"


@pytest.fixture
def hub(local_hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> LocalHub:
    pytest.importorskip("hf_xet")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    people(local_hub)
    return local_hub


def test_large_files_go_by_xet(built: Path, hub: LocalHub) -> None:
    release(hub, built)
    assert on_main(hub) == on_main(hub, "v1.0.0") == contents(built)
    assert hub.asked("/v1/xorbs/", "POST") and hub.asked("/v1/shards", "POST")
    assert not hub.asked("objects/batch") and not hub.asked("/storage/", "PUT"), "nothing by LFS"
    assert not [seen for seen in hub.asked("/v1/") if seen.token == OWNER], "the login stays with the Hub"
    hub.requests.clear()
    assert release(hub, built).sent == 0 and not hub.asked("xet")


def test_an_upload_by_xet_that_is_cut_goes_on(built: Path, hub: LocalHub) -> None:
    hub.fail("lost", where="/commit/", times=1000)
    with pytest.raises(StorageError, match=r"the Hub cannot be reached \(attempt 4 of 4\)"):
        release(hub, built)
    hub.mend()
    release(hub, built)
    assert on_main(hub) == contents(built)


@pytest.mark.parametrize(
    ("status", "said", "attempts"),
    [
        ("401", r"the login is not accepted \(HTTP 401\): the token is wrong, expired or revoked", 1),
        ("402", r"no room is left \(HTTP 402; .*make room or raise the limit", 1),
        ("403", r"refused \(HTTP 403; .*use a token that may write", 1),
        ("404", r"this Hub takes no files by Xet; set HF_HUB_DISABLE_XET=1, and run again$", 1),
        ("429", r"HTTP 429; the Hub says: We had to rate limit you \(attempt 4 of 4\)", 4),
        ("503", r"HTTP 503; the Hub says: Service Unavailable \(attempt 4 of 4\)", 4),
    ],
)
def test_troubles_are_told_at_once_and_in_the_right_words(
    status: str, said: str, attempts: int, built: Path, hub: LocalHub
) -> None:
    hub.fail(status, where=TOKEN_ROUTE, times=1000)
    start = time.monotonic()
    with pytest.raises(StorageError, match=said):
        release(hub, built)
    assert time.monotonic() - start < 20
    asked = len(hub.asked(TOKEN_ROUTE))
    assert asked == attempts if attempts == 1 else asked >= attempts
    assert on_main(hub) == {}
    hub.mend()
    release(hub, built)
    assert on_main(hub) == contents(built)


@pytest.mark.parametrize("status", ["412", "429", "503", "lost"])
@pytest.mark.parametrize("where", [TOKEN_ROUTE, "/v1/xorbs/", "/v1/shards"])
def test_troubles_that_pass(status: str, where: str, built: Path, hub: LocalHub) -> None:
    hub.fail(status, where=where, times=2)
    release(hub, built)
    assert on_main(hub) == contents(built)


def test_a_storage_that_forgets(built: Path, hub: LocalHub) -> None:
    """Files are erased there, and Xet remembers on this machine that it has sent them."""
    release(hub, built)
    hub.answers.xorbs.clear()
    hub.answers.repositories.clear()
    hub.requests.clear()
    with pytest.raises(StorageError, match=r"refuses it \(HTTP 400\), perhaps because files are erased.*; delete /"):
        release(hub, built)
    assert len(hub.asked("/v1/shards")) == 1 and on_main(hub) == {}


def test_a_login_that_is_revoked_while_xet_sends(built: Path, hub: LocalHub) -> None:
    """Xet says that the Hub cannot be reached; the question before the next attempt says what is the matter."""
    hub.fail("401", where=TOKEN_ROUTE, skip=1, times=1000)
    with pytest.raises(AccessError, match=r"the login is not accepted \(HTTP 401\)"):
        release(hub, built)
    assert len(hub.asked(TOKEN_ROUTE)) <= 4


def test_a_full_quota(built: Path, hub: LocalHub) -> None:
    hub.answers.quota = 300_000
    with pytest.raises(StorageError, match=r"no room is left \(HTTP 402; the Hub says: You have exceeded your storage"):
        release(hub, built)
    assert on_main(hub) == {}
    hub.answers.quota = 2**40
    release(hub, built)
    assert on_main(hub) == contents(built)


@pytest.mark.parametrize("trouble", ["", "401", "503"])
def test_no_log_of_xet_holds_the_token(
    trouble: str, built: Path, copy_of: Callable[[Path], Path], hub: LocalHub, tmp_path: Path
) -> None:
    """A process with logs of everything at their finest, those in a folder of Xet's own among them."""
    root = copy_of(built)
    if trouble:
        hub.fail(trouble, where="xet", skip=1, times=3 if trouble == "503" else 1000)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    home = tmp_path / "home"
    own = {
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": OWNER,
        "HF_HOME": str(home),
        "HF_DEBUG": "1",
        "HF_XET_CLIENT_RETRY_BASE_DELAY": os.environ["HF_XET_CLIENT_RETRY_BASE_DELAY"],
        "RUST_LOG": "trace",
    }
    command = [sys.executable, "-c", LOUD, "publish", str(root), NAME, "--json"]
    environment = {**kept, **own, "no_proxy": "127.0.0.1,localhost"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    logs = [path for path in home.rglob("*") if path.is_file()]
    assert any(path.parent.name == "logs" for path in logs), "Xet has written its own"
    words = done.stdout + done.stderr + "".join(path.read_bytes().decode(errors="replace") for path in logs)
    assert "SECRET" not in words
    if trouble in ("", "503"):
        assert done.returncode == 0 and json.loads(done.stdout)["sent"] == len(contents(root))
    else:
        assert done.returncode == 1 and f"HTTP {trouble}" in done.stderr
