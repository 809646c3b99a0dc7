"""The report's page in a real browser: light and dark, narrow and wide, without a network.

Needs playwright and a Chromium of the system; `EQUIME_CHROMIUM` names another than the one that is found.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_runs import reported
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api", reason="tests of the report's page need playwright")

CHROMIUM = os.environ.get("EQUIME_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
# Least contrast of text on what lies behind it (WCAG 2.2, 1.4.3), as (L1 + .05) / (L2 + .05).
CONTRAST = """() => {
  const light = color => color.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
  const behind = node => { for (let at = node; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor; if (!/, 0\\)$|transparent/.test(color)) return color; }
    return getComputedStyle(document.body).backgroundColor; };
  return [...document.querySelectorAll('h1,h2,h3,p,li,td,th,small,dt,dd,summary,nav a')].filter(n => n.offsetParent)
    .map(node => { const [a, b] = [getComputedStyle(node).color, behind(node)].map(light).sort((x, y) => y - x);
      return [(a + .05) / (b + .05), node.tagName + ' ' + node.textContent.slice(0, 30)]; })
    .filter(([ratio]) => ratio < 4.5);
}"""


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reported(tmp_path_factory.getbasetemp())[1] / "index.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine; install it (Debian: apt-get install chromium) or set EQUIME_CHROMIUM")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1360])
def test_the_page_in_a_browser(browser: Any, page_file: Path, tmp_path: Path, scheme: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    context.set_default_timeout(40_000)
    page, faults, asked = context.new_page(), [], []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert not faults and {url for url in asked if not url.startswith("data:")} == {page_file.as_uri()}
    # The page never scrolls sideways; wide tables and pictures do so in their own boxes.
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(CONTRAST) == []
    sizes = page.evaluate("[...document.querySelectorAll('svg')].map(one => one.getBoundingClientRect().width)")
    assert len(sizes) > 15 and min(sizes) > 240
    words = page.evaluate("[...document.querySelectorAll('svg text')].map(one => one.getBoundingClientRect().height)")
    assert min(words) > 7
    page.screenshot(path=tmp_path / "page.png")
    corner = np.asarray(Image.open(tmp_path / "page.png").convert("L"))[-5:, :5].mean()
    assert corner > 200 if scheme == "light" else corner < 60
    context.close()


def test_words_of_pictures_stay_in_their_pictures(browser: Any, page_file: Path) -> None:
    page = browser.new_page(viewport={"width": 1360, "height": 900})
    page.goto(page_file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    outside = page.evaluate("""[...document.querySelectorAll('svg')].flatMap(svg => {
      const box = svg.getBoundingClientRect();
      return [...svg.querySelectorAll('text')].filter(text => { const own = text.getBoundingClientRect();
        return own.left < box.left - 1 || own.right > box.right + 1
          || own.top < box.top - 1 || own.bottom > box.bottom + 1;
      }).map(text => svg.getAttribute('aria-label') + ': ' + text.textContent); })""")
    assert outside == []
    page.close()
