"""The report's page in a real browser: light and dark, narrow and wide, without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import PATIENCE_MS
from fake_runs import reported
from PIL import Image
from reviewing import CONTRAST


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reported(tmp_path_factory.getbasetemp())[1] / "index.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1360])
def test_the_page_in_a_browser(browser: Any, page_file: Path, tmp_path: Path, scheme: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    context.set_default_timeout(PATIENCE_MS)
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
