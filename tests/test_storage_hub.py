"""Storage on the Hub: gates, logins, pinned commits, and a token that nobody ever sees."""

from __future__ import annotations

import gc
import io
import logging
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from httpserver import COMMIT, HubServer, serving

from equime_loader.storage import AccessError, MissingError, Retries, StorageError, open_store
from equime_loader.storage.hub import Repository, parse_url

QUICK = Retries(attempts=4, first_delay_s=0.001, timeout_s=1)
SHARD = "wds/train-00000.tar"
DATA = np.random.default_rng(3).bytes(100_000)
ROOT = "hf://datasets/lab/equime"
APPROVED, PENDING, STRANGER = "hf_approvedSECRET", "hf_pendingSECRET", "hf_strangerSECRET"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A gated dataset, and a machine with no login."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # the Hub of these tests is this machine
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    tokens = {APPROVED: "approved", PENDING: "pending", STRANGER: "stranger"}
    with serving(HubServer({SHARD: DATA, "v1/a": b"of v1"}, tokens)) as running:
        yield running


def test_approved_login_reads_exactly_what_is_asked_for(hub: HubServer) -> None:
    with open_store(ROOT, token=APPROVED, endpoint=hub.url, retries=QUICK) as store:
        assert store.root == ROOT
        assert store.read(SHARD, 5000, 300) == DATA[5000:5300]
        assert store.read_many(SHARD, [(0, 10), (50_000, 10)]) == [DATA[:10], DATA[50_000:50_010]]
        assert store.file("v1/a").read_bytes() == b"of v1"
    assert sum(request.sent for request in hub.storage.requests if request.path == SHARD) == 320


def test_stored_login_is_used(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: APPROVED)
    with open_store(ROOT, endpoint=hub.url, retries=QUICK) as store:
        assert store.read(SHARD, 5, 3) == DATA[5:8]


def test_a_process_that_imported_nothing_else(hub: HubServer, tmp_path: Path) -> None:
    code = f"""if True:
        from equime_loader.storage import open_store
        with open_store({ROOT!r}, token={APPROVED!r}) as store:
            print(len(store.read({SHARD!r}, 5, 300)))"""
    place = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "no_proxy": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | place, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("300\n", "")


def test_hub_is_asked_once_for_a_commit_and_once_for_a_file(hub: HubServer) -> None:
    with open_store(ROOT, token=APPROVED, endpoint=hub.url, retries=QUICK) as store:
        for start in range(0, 50_000, 5000):
            assert store.read(SHARD, start, 100) == DATA[start : start + 100]
        assert len(hub.requests) == 2 and len(hub.storage.requests) == 10
        hub.storage.signature = "second"  # the first expired
        assert store.read(SHARD, 7, 100) == DATA[7:107]
        assert store.read(SHARD, 8, 100) == DATA[8:108]
        assert len(hub.requests) == 3 and len(hub.storage.requests) == 13
    hub.forget()
    with open_store(f"{ROOT}@{COMMIT}", token=APPROVED, endpoint=hub.url, retries=QUICK) as store:
        assert store.read(SHARD, 5, 3) == DATA[5:8]
    assert len(hub.requests) == 1


def test_token_goes_to_the_hub_and_nowhere_else(hub: HubServer) -> None:
    with open_store(ROOT, token=APPROVED, endpoint=hub.url, retries=QUICK) as store:
        store.read(SHARD, 0, 10)
        store.read(SHARD, 50, 10)
    assert all(request.headers["authorization"] == f"Bearer {APPROVED}" for request in hub.requests)
    assert hub.storage.requests and not any("authorization" in request.headers for request in hub.storage.requests)


@pytest.mark.parametrize("revision", ["main", "v1", COMMIT])
def test_a_revision_is_pinned_to_its_commit(revision: str, hub: HubServer) -> None:
    with open_store(f"{ROOT}@{revision}/v1", token=APPROVED, endpoint=hub.url, retries=QUICK) as store:
        assert store.read("a", 0, 5) == b"of v1"
    assert hub.requests[-1].path == f"datasets/lab/equime/resolve/{COMMIT}/v1/a"


@pytest.mark.parametrize(
    ("token", "status", "login", "said"),
    [
        (None, 401, "no token was sent", "Access to dataset lab/equime is restricted. Please log in."),
        ("hf_unknown", 401, "the token that was sent is not enough", "Access to dataset lab/equime is restricted."),
        (
            PENDING,
            403,
            "the token that was sent is not enough",
            "Your access to dataset lab/equime is awaiting a review",
        ),
        (
            STRANGER,
            403,
            "the token that was sent is not enough",
            "Your access to dataset lab/equime is restricted: you are not in the list, ***",
        ),
    ],
)
def test_a_closed_gate_is_one_line_that_says_what_to_do(
    token: str | None, status: int, login: str, said: str, hub: HubServer
) -> None:
    with open_store(ROOT, token=token, endpoint=hub.url, retries=QUICK) as store:
        for read in (lambda: store.read(SHARD, 0, 10), lambda: store.file("index.parquet")):
            hub.forget()
            with pytest.raises(AccessError) as caught:
                read()
            text = str(caught.value)
            assert text.startswith(f"{ROOT}/") and "\n" not in text
            for fact in (
                f"access refused (HTTP {status}; {login})",
                f"ask for access at {hub.url}/datasets/lab/equime (a request may be pending",
                "log in with `hf auth login` or pass token=...",
                f"the server says: {said}",
            ):
                assert fact in text
            assert "SECRET" not in text
            assert len(hub.requests) == 1  # never tried again


@pytest.mark.parametrize("token", [None, STRANGER])
def test_a_private_dataset_is_told_at_opening(token: str | None, hub: HubServer) -> None:
    hub.private = True
    with pytest.raises(
        AccessError,
        match=rf"^{ROOT}: no such dataset, or access refused \(HTTP 40[14]; .*ask for access at {hub.url}/data",
    ):
        open_store(ROOT, token=token, endpoint=hub.url, retries=QUICK)
    with open_store(ROOT, token=APPROVED, endpoint=hub.url, retries=QUICK) as store:
        assert store.read(SHARD, 0, 10) == DATA[:10]


def test_what_is_not_there(hub: HubServer) -> None:
    with pytest.raises(MissingError, match=rf"^{ROOT}@v9: no revision 'v9'$"):
        open_store(f"{ROOT}@v9", token=APPROVED, endpoint=hub.url, retries=QUICK)
    with pytest.raises(
        AccessError, match="no such dataset, or access refused"
    ):  # the Hub does not tell missing from private
        open_store("hf://datasets/lab/other", token=APPROVED, endpoint=hub.url, retries=QUICK)
    with (
        open_store(ROOT, token=APPROVED, endpoint=hub.url, retries=QUICK) as store,
        pytest.raises(MissingError, match=r"wds/none\.tar, bytes 0-8: no such file"),
    ):
        store.read("wds/none.tar", 0, 9)


def test_faults_of_the_hub_are_survived(hub: HubServer) -> None:
    hub.fail("503", "429", "connection reset", None, "503", "500")
    hub.storage.fail("503", "connection cut in the body")
    with open_store(ROOT, token=APPROVED, endpoint=hub.url, retries=Retries(attempts=6, first_delay_s=0)) as store:
        assert store.read(SHARD, 5, 300) == DATA[5:305]


def test_a_hub_in_trouble_is_one_clear_error(hub: HubServer) -> None:
    hub.fail(always="503")
    with pytest.raises(StorageError, match=rf"^{ROOT}: HTTP 503 \(attempt 4 of 4\)$"):
        open_store(ROOT, token=APPROVED, endpoint=hub.url, retries=QUICK)
    hub.fail(always="connection reset")
    with pytest.raises(StorageError, match=rf"^{ROOT}: \w+ from the Hub \(attempt 4 of 4\)$"):
        open_store(ROOT, token=APPROVED, endpoint=hub.url, retries=QUICK)


def test_offline_is_said(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(StorageError, match=rf"^{ROOT}: HF_HUB_OFFLINE is set; unset it, or open a folder$"):
        open_store(ROOT, token=APPROVED, endpoint=hub.url, retries=QUICK)


@pytest.mark.parametrize(
    "fault", [None, "401", "403", "503", "connection reset", "no HTTP", "connection cut in the body"]
)
@pytest.mark.parametrize("kind", ["hub", "http"])
def test_no_word_ever_holds_the_token(
    fault: str | None, kind: str, hub: HubServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    token = STRANGER if fault is None else APPROVED
    said = io.StringIO()
    try:
        root, options = (ROOT, {"endpoint": hub.url}) if kind == "hub" else (f"{hub.url}/datasets/lab/equime", {})
        store = open_store(f"{root}@{COMMIT}" if kind == "hub" else root, token=token, retries=QUICK, **options)
        print(store, repr(store), vars(store), vars(store._source), file=said)  # type: ignore[attr-defined]
        hub.fail(always=fault)
        hub.storage.fail(always=fault)
        store.read(SHARD, 0, 10)
    except StorageError as error:
        print(repr(error), pickle.dumps(error), error.__context__, error.__cause__, vars(error), file=said)
        traceback.print_exc(file=said)
        store.close()
    else:
        pytest.fail("it was read")
    gc.collect()
    words = said.getvalue() + caplog.text + "".join(capfd.readouterr())
    assert words.count("\n") > 1 and "SECRET" not in words


def test_worker_processes_can_log_in(hub: HubServer) -> None:
    with open_store(ROOT, token=APPROVED, endpoint=hub.url, retries=QUICK) as store:
        asked = len(hub.requests)
        with pickle.loads(pickle.dumps(store)) as copy:
            assert copy.read(SHARD, 0, 10) == DATA[:10]
    assert len(hub.requests) == asked + 1  # the commit came along


@pytest.mark.parametrize(
    ("url", "repository"),
    [
        ("hf://datasets/a/b", Repository("a/b", "main", "")),
        ("hf://datasets/a/b/", Repository("a/b", "main", "")),
        ("hf://datasets/a/b@v1.0", Repository("a/b", "v1.0", "")),
        ("hf://datasets/a/b@v1/x/y", Repository("a/b", "v1", "x/y")),
        ("hf://datasets/a/b@refs/pr/3/x", Repository("a/b", "refs/pr/3", "x")),
        ("hf://datasets/a/b@refs%2Fpr%2F3/x", Repository("a/b", "refs/pr/3", "x")),
        ("hf://datasets/a-c/b.d_e/x", Repository("a-c/b.d_e", "main", "x")),
    ],
)
def test_urls_of_the_hub(url: str, repository: Repository) -> None:
    assert parse_url(url) == repository


@pytest.mark.parametrize(
    "url", ["hf://datasets/a", "hf://a/b", "hf://spaces/a/b", "hf://datasets/a/b@", "hf://datasets/a/b@x@y", "hf://datasets/a/b/../c"]
)  # fmt: skip
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_url(url)
