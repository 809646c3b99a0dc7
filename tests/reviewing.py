"""A review for tests: judgments that are valid, and the real server in a process of its own."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from equime_builder.review.judgments import Judgment

# Contrast of every text with what lies behind it, by the formula of WCAG 2.2; the button that is off is exempt.
CONTRAST = """() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => {
    const parts = numbers(color).slice(0, 3).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const parts = numbers(getComputedStyle(at).backgroundColor);
      if (parts.length < 4 || parts[3] === 1) return getComputedStyle(at).backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !node.getClientRects().length) continue;
    if (node.closest("button:disabled, option, noscript")) continue;
    const [one, two] = [luminance(getComputedStyle(node).color), luminance(behind(node))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (two + 0.05);
    if (ratio < 4.5) low.push(`${ratio.toFixed(2)} ${walker.currentNode.textContent.trim()}`);
  }
  return low;
}"""
# Controls without a name that a screen reader could say.
NAMELESS = """() => [...document.querySelectorAll("input, select, textarea, button")].filter((control) =>
  !control.labels?.length && !control.getAttribute("aria-label") && !control.textContent.trim())
  .map((control) => control.outerHTML)"""


def judgment(number: int, reviewer: str, clip: str, **changes: Any) -> Judgment:
    """A valid judgment."""
    values = {"verdict": "accepted", "label": "happiness", "aus": (6, 12), "confidence": 4, "notes": ""}
    return Judgment(request=f"{number:032x}", reviewer=reviewer, clip=clip, **{**values, **changes})


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class Running:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    url: str

    @property
    def address(self) -> str:
        return self.url.split("/#")[0]

    @property
    def token(self) -> str:
        return self.url.split("#")[1]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def ask(
        self, path: str, body: Any = None, *, headers: dict[str, str] | None = None, raw: bytes | None = None
    ) -> tuple[int, bytes]:
        """Status and body of an answer; `path` goes out as it stands. OSError where the server is gone."""
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        sent = {"X-Review-Token": self.token, "Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(f"{self.address}{path}", data, sent)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


@contextmanager
def serving(root: Path, store: Path, *options: str, port: int = 0) -> Iterator[Running]:
    """`equime review` as a user starts it."""
    command = [sys.executable, "-m", "equime_builder", "review", str(root), "--store", str(store)]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--json", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield Running(process, json.loads(line)["url"])
    finally:
        process.kill()
        process.communicate()


def said_of(running: Running, reviewer: str) -> dict[str, Any]:
    """The session of a reviewer, as the page gets it."""
    status, body = running.ask("/api/session", {"reviewer": reviewer})
    assert status == 200, body
    answer: dict[str, Any] = json.loads(body)
    return answer


def answer(name: str, number: int, reviewer: str, **changes: Any) -> dict[str, Any]:
    """A judgment as the page sends it."""
    values = {"verdict": "rejected", "label": None, "aus": [4], "confidence": 2, "notes": ""}
    return {"request": f"{number:032x}", "reviewer": reviewer, "clip": name, **values, **changes}


def port_of(running: Running) -> int:
    return urlsplit(running.url).port or 0


def words_of_labels(rows: Sequence[dict[str, Any]]) -> set[str]:
    """What would tell the label of a clip: keys, subjects, portraits, AUs in FACS notation, parts of captions."""
    found: set[str] = set()
    for row in rows:
        found |= {row["key"], row["subject"], row["portrait"], row["caption"], row["prompt"], row["mp4_sha256"]}
        found |= {row["caption"][:40], f"_{row['subject']}_", f"{row['emotion']}_"}
    return found
