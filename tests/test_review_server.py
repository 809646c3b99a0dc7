"""The server of a review over HTTP: what it refuses, what it tells, and that nothing acknowledged is lost."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reviewing import Running, answer, free_port, port_of, said_of, serving, words_of_labels

from equime_builder.review.judgments import MAX_NOTES
from equime_builder.review.server import PAGES, is_loopback, known_host, link
from equime_builder.review.store import Store
from equime_loader.index import Index
from equime_loader.schema import EMOTIONS
from equime_loader.selection import Selection

KILLS = 3


@pytest.fixture(scope="module")
def place(built: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A dataset that tests may break, and the folder of its review."""
    folder = tmp_path_factory.mktemp("review_server")
    return Path(shutil.copytree(built, folder / "dataset")), folder / "review"


@pytest.fixture(scope="module")
def running(place: tuple[Path, Path]) -> Iterator[Running]:
    with serving(*place, "--blind", "--size", "8") as server:
        yield server


def refusal(answer: tuple[int, bytes]) -> tuple[int, str]:
    return answer[0], json.loads(answer[1])["error"]


def test_without_the_token_nothing_is_told(running: Running) -> None:
    name = said_of(running, "ann")["order"][0]
    for token in ("", "x", running.token[:-1], "é"):
        for path, body in (("/api/session", {"reviewer": "ann"}), (f"/api/clips/{name}", None), ("/nothing", None)):
            status, why = refusal(running.ask(path, body, headers={"X-Review-Token": token}))
            assert status == 403 and "link" in why
    for path in PAGES:
        assert running.ask(path, headers={"X-Review-Token": ""})[0] == 200


def test_other_sites_are_refused(running: Running) -> None:
    port = port_of(running)
    for headers in (
        {"Host": "evil.example"},
        {"Host": f"evil.example:{port}"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Host": "["},
        {"Origin": f"http://127.0.0.1:{port + 1}"},
        {"Origin": f"http://localhost:{port}"},
    ):
        assert refusal(running.ask("/api/session", {"reviewer": "ann"}, headers=headers))[0] == 403, headers
    for headers in ({"Origin": running.address}, {"Host": f"localhost:{port}"}, {"Host": f"[::1]:{port}"}):
        assert running.ask("/api/session", {"reviewer": "ann"}, headers=headers)[0] == 200, headers
    # What a form of another site can send without asking first.
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert refusal(running.ask("/api/session", {"reviewer": "ann"}, headers={"Content-Type": kind}))[0] == 415


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        *[(name, True) for name in ("127.0.0.1:80", "10.1.2.3", "[::1]:8765", "localhost", "LOCALHOST:1", "box:80")],
        *[(name, False) for name in ("", "evil", "localhost.evil", "127.0.0.1.evil", "[", "a@b", "1", "::1::")],
    ],
)
def test_hosts(given: str, expected: bool) -> None:
    assert known_host(given, "box") is expected


def test_links() -> None:
    assert link("::1", 80, "t") == "http://[::1]:80/#t"
    name = link("0.0.0.0", 80, "t").removeprefix("http://").split(":")[0]
    assert name != "0.0.0.0" and known_host(name, "0.0.0.0")
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "box")] == [True] * 3 + [
        False
    ] * 2


@pytest.mark.parametrize(
    "path",
    [
        *("/../judgments.sqlite3", "/..%2f..%2fetc%2fpasswd", "/page/index.html", "/index.html", "/review.py"),
        *("//etc/passwd", "/api/clips/..%2f..%2findex.parquet", "/api/clips/%00", "/api/clips/", "/api/judgments/1"),
    ],
)
def test_no_path_leaves_the_table(path: str, running: Running) -> None:
    status, body = running.ask(path)
    assert status in (400, 404) and b"root:" not in body and b"SQLite" not in body and b"PAR1" not in body


def test_every_answer_tells_the_browser_to_be_strict(running: Running) -> None:
    import urllib.request

    with urllib.request.urlopen(f"{running.address}/", timeout=10) as response:
        headers = response.headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store" and "Set-Cookie" not in headers


def test_the_pages_load_nothing_from_elsewhere(running: Running) -> None:
    for path in PAGES:
        text = running.ask(path)[1].decode()
        assert not [word for word in ("https://", "http://") if word in text.replace("http://www.w3.org/2000/svg", "")]
        assert "innerHTML" not in text and "eval(" not in text


def test_bodies_out_of_bounds(running: Running) -> None:
    name = said_of(running, "ann")["order"][0]
    for raw in (b"", b"{", b"[" * 30_000, b"\xff\xfe", b"null", b'"x"', b"[]", b"NaN"):
        for path in ("/api/session", "/api/judgments"):
            assert refusal(running.ask(path, raw=raw))[0] == 400, raw[:10]
    huge = answer(name, 1, "ann", notes="x" * 2**20)
    status, why = refusal(running.ask("/api/judgments", huge))
    assert status == 413 and f"{MAX_NOTES:,}" in why
    assert refusal(running.ask("/api/judgments", answer(name, 1, "ann", notes="x" * (MAX_NOTES + 1))))[0] == 400
    longest = answer(name, 1, "ann", notes="\U0001f600" * MAX_NOTES)
    assert running.ask("/api/judgments", longest)[0] == 200
    assert said_of(running, "ann")["answers"][name]["notes"] == longest["notes"]


def test_nothing_blind_tells_the_label(running: Running, place: tuple[Path, Path]) -> None:
    session = said_of(running, "bob")
    rows = Selection.all(Index.open(place[0])).labels(("key", "subject", "portrait", "caption", "prompt", "emotion"))
    rows = [{**row, "mp4_sha256": "-" * 64} for row in rows]
    fixed = {name: value for name, value in session.items() if name in ("labels", "aus", "verdicts", "bounds")}
    for name in session["order"]:
        status, body = running.ask(f"/api/clips/{name}")
        assert status == 200
        for word in words_of_labels(rows) | set(EMOTIONS):
            assert word.encode() not in body
    told = json.dumps({name: value for name, value in session.items() if name not in fixed})
    assert not [word for word in words_of_labels(rows) | set(EMOTIONS) if word in told]
    # The words to choose from are the same for any dataset.
    assert fixed["labels"] == [*EMOTIONS, "neutral"] and len(fixed["aus"]) == 18


def test_two_reviewers_have_orders_and_answers_of_their_own(running: Running) -> None:
    cid, dee = said_of(running, "Cid"), said_of(running, " dee ")
    assert sorted(cid["order"]) == sorted(dee["order"]) and cid["order"] != dee["order"]
    name = cid["order"][0]
    for number, (who, notes) in enumerate([("Cid", "one"), ("DEE", "two"), ("cid", "three")], 50):
        assert running.ask("/api/judgments", answer(name, number, who, notes=notes))[0] == 200
    assert said_of(running, "cid")["answers"][name]["notes"] == "three"
    assert said_of(running, "dee")["answers"][name]["notes"] == "two"
    assert said_of(running, "CID ")["order"] == cid["order"]


def test_a_broken_clip_is_one_line_and_stays_blind(running: Running, place: tuple[Path, Path]) -> None:
    name = said_of(running, "ann")["order"][0]
    moved = place[0] / "wds"
    moved.rename(place[0] / "gone")
    try:
        assert refusal(running.ask(f"/api/clips/{name}")) == (422, "this clip cannot be shown")
    finally:
        (place[0] / "gone").rename(moved)
    assert running.ask(f"/api/clips/{name}")[0] == 200


def test_nothing_that_was_acknowledged_is_lost(built: Path, tmp_path: Path) -> None:
    """Two reviewers send as fast as they can while the server is killed; every number they were given is there."""
    store, port, acknowledged = tmp_path / "review", free_port(), {}
    for turn in range(KILLS):
        with serving(built, store, port=port) as running:
            sessions = {who: said_of(running, who)["order"] for who in ("ann", "bob")}

            def send(who: str, order: list[str], turn: int = turn, running: Running = running) -> None:
                for number in range(10_000):
                    request = (turn * 10 + len(who + order[0]) + ord(who[0])) * 100_000 + number
                    try:
                        status, body = running.ask("/api/judgments", answer(order[number % 4], request, who))
                    except OSError:
                        return
                    assert status == 200
                    acknowledged[f"{request:032x}"] = json.loads(body)["number"]

            threads = [threading.Thread(target=send, args=pair) for pair in sessions.items()]
            for thread in threads:
                thread.start()
            before = len(acknowledged)
            while len(acknowledged) < before + 20 + 7 * turn:
                threads[0].join(0.005)
            running.kill()
            for thread in threads:
                thread.join()
        opened = Store(store)
        kept = {one.judgment.request: one.number for one in opened.kept()}
        opened.close()
        assert acknowledged.items() <= kept.items()
        assert len(kept) <= len(acknowledged) + 2 * (turn + 1)  # at most the one that each was sending
    assert len(acknowledged) >= 20 * KILLS


def test_an_open_review_shows_labels_and_ends_when_told(built: Path, tmp_path: Path) -> None:
    with serving(built, tmp_path / "open", "--size", "2") as running:
        name = said_of(running, "ann")["order"][0]
        body: Any = running.ask(f"/api/clips/{name}")[1]
        head = json.loads(body[4 : 4 + int.from_bytes(body[:4], "big")])
        assert head["facts"]["emotion"] in EMOTIONS and len(head["bytes"]) == 80
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(20) == 0
