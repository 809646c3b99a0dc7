#!/usr/bin/env python3
"""How fast is the page of a dataset where it lists 1,000 clips?

Writes the page of a dataset folder into a temporary folder and opens it in Chromium from its file, in a new window each
round. Medians over the rounds:

first paint   first contentful paint, from the start of the navigation.
listed        until the first clips are in the list.
all           "Show all": every clip in the list and laid out.
filter        one choice in one filter with every clip in the list, until it is laid out: median and slowest of all.

Needs playwright and Chromium; `EQUIME_CHROMIUM` names another than the one that is found.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import door
import typer
from browser import chromium

from equime_builder.site.folder import LISTED, write_site

VIEWPORT = {"width": 1280, "height": 900}
# As the page of a published dataset says it.
PUBLISHED: dict[str, Any] = {"repository": "owner/equime", "version": "v1.0.0"}
# Milliseconds of a change with the layout that it needs.
TIMED = """(change) => {
  const start = performance.now();
  change();
  document.body.getBoundingClientRect();
  return performance.now() - start;
}"""
LOADED = """() => {
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  const navigation = performance.getEntriesByType("navigation")[0];
  return [paint?.startTime, navigation.domContentLoadedEventEnd];
}"""
ALL = f"() => ({TIMED})(() => extend(matching.length))"
CHOICES = f"""() => {{
  const times = [];
  for (const control of document.querySelectorAll("#filters select")) {{
    for (let choice = 1; choice < control.length; choice++) {{
      control.selectedIndex = choice;
      times.push(({TIMED})(() => {{ filter(); list(matching.length); }}));
    }}
    control.selectedIndex = 0;
    times.push(({TIMED})(() => {{ filter(); list(matching.length); }}));
  }}
  return times;
}}"""


def measure(page: Any, url: str) -> dict[str, float]:
    """Times of one window, milliseconds."""
    page.goto(url)
    page.wait_for_selector("#list li button")
    page.wait_for_timeout(500)
    paint, listed = page.evaluate(LOADED)
    whole = page.evaluate(ALL)
    times = page.evaluate(CHOICES)
    return {
        "first paint": paint,
        "listed": listed,
        "all": whole,
        "filter, median": statistics.median(times),
        "filter, slowest": max(times),
    }


def draw(page: Any, target: Path) -> None:
    """The top of the page with the clip at its apex."""
    page.evaluate("scrollTo(0, 0)")
    page.click("#featured [data-moment='1']")
    page.wait_for_timeout(500)
    page.screenshot(path=target)


def main(
    folder: door.Dataset,
    *,
    clips: Annotated[int, typer.Option(min=1, help="the most that are listed")] = LISTED,
    rounds: door.Rounds = 5,
    json_file: Annotated[Path | None, typer.Option("--json", help="where everything measured goes")] = None,
    picture: Annotated[Path | None, typer.Option(help="the top of the page, the first clip at its apex")] = None,
) -> None:
    with tempfile.TemporaryDirectory() as place, chromium() as browser:
        start = time.perf_counter()
        written = write_site(folder, Path(place) / "page", clips=clips, **PUBLISHED)
        seconds = time.perf_counter() - start
        times = []
        for _ in range(rounds):
            window = browser.new_page(viewport=VIEWPORT)
            times.append(measure(window, (Path(place) / "page" / "index.html").as_uri()))
            if picture:
                draw(window, picture)
            window.close()
    medians = {name: round(statistics.median(one[name] for one in times), 1) for name in times[0]}
    found = {"clips": written.clips, "videos": written.videos, "bytes": written.size, "written_s": round(seconds, 1)}
    print(f"{written.clips:,} clips, {written.videos} videos, {written.size / 1e6:.1f} MB, written in {seconds:.1f} s")
    for name, value in medians.items():
        print(f"{name:16} {value:8.1f} ms")
    if json_file:
        json_file.write_text(json.dumps({**found, "rounds": rounds, "median_ms": medians}, indent=1) + "\n")


if __name__ == "__main__":
    door.run(main)
