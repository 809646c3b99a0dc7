#!/usr/bin/env python3
"""Draw the review page as a reviewer sees it, as JPEG.

Needs playwright and Chromium; `EQUIME_CHROMIUM` names another than the one that is found.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import door
from browser import chromium
from door import Dataset, Target

SIZE = {"width": 1240, "height": 1060}
QUALITY = 82


def draw(url: str, target: Path) -> None:
    """Open the page, go to the apex of the third clip, answer some questions, and take its picture."""
    with chromium() as browser:
        page = browser.new_page(viewport=SIZE, reduced_motion="reduce")
        page.goto(url)
        page.fill("#reviewer", "Ada")
        page.press("#reviewer", "Enter")
        for number in (2, 3):
            page.click("#next")
            page.get_by_role("heading", name=f"Clip {number} of").wait_for()
        page.locator('#frame:not([max="0"])').wait_for()
        page.get_by_text("loading the clip").wait_for(state="hidden")
        page.keyboard.press("a")
        label, aus = page.locator("#facts dd").all_inner_texts()[:2]
        shown = [f"au-{number}" for number in re.findall(r"\d+", aus)]
        for choice in (f"label-{label}", *shown, "verdict-accepted", "confidence-4"):
            page.check(f"#{choice}")
        page.screenshot(path=target, type="jpeg", quality=QUALITY, full_page=True)


def main(folder: Dataset, picture: Target) -> None:
    with tempfile.TemporaryDirectory() as store:
        command = [
            sys.executable,
            "-m",
            "equime_builder",
            "review",
            str(folder),
            "--store",
            store,
            "--port",
            "0",
            "--json",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                draw(json.loads(server.stdout.readline())["url"], picture)
            finally:
                server.terminate()


if __name__ == "__main__":
    door.run(main)
