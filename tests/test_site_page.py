"""The page of a dataset in a real browser: from a file and from a server, by keyboard alone, light, dark and narrow.

Accessibility is judged by axe-core, which comes with `axe-playwright-python`.
"""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from equime_builder.site.folder import write_site

playwright = pytest.importorskip("playwright.sync_api", reason="tests of the page need playwright")

PATIENCE_MS = 20_000
SIZES = {
    "narrow": {"width": 320, "height": 640},
    "phone": {"width": 360, "height": 740},
    "tall": {"width": 390, "height": 844},
    "across": {"width": 844, "height": 390},
    "tablet": {"width": 768, "height": 1024},
    "wide": {"width": 1280, "height": 900},
}
# Top and bottom of the face and of its curves, in the window.
SEEN = """(place) => ["video", ".plot svg", ".pair"].map((what) => document.querySelector(`${place} ${what}`))
  .filter((one) => one.checkVisibility()).map((one) => one.getBoundingClientRect())
  .map((box) => [box.top, box.bottom])"""
HOSTILE = "\"><img src=x onerror=alert(1)><script>alert(2)</script>${alert(3)}{{4}}' \u202e"


@pytest.fixture(scope="module")
def site(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site") / "page"
    write_site(built, target, videos=4, repository="owner/equime")
    return target


@pytest.fixture(scope="module")
def judged(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a dataset in which half of the clips were refused, and some judged by experts."""
    root = tmp_path_factory.mktemp("judged") / "equime"
    shutil.copytree(built, root)
    table = pq.read_table(root / "index.parquet")
    audit = ["rejected" if row % 2 else "accepted" for row in range(len(table))]
    review = [*["accepted", "rejected"], *[None] * (len(table) - 2)]
    for name, values in {"audit_verdict": audit, "review_verdict": review}.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), pa.array(values, pa.string()))
    pq.write_table(table, root / "index.parquet")
    write_site(root, root.parent / "page", videos=2)
    return root.parent / "page"


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page in a window of its own; what goes wrong in it, or breaks its policy, fails the test."""
    contexts, faults = [], []

    def open_page(url: str, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": SIZES["wide"], **options})
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
        page.goto(url)
        page.wait_for_selector("#list li button")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults


@pytest.fixture
def served(site: Path) -> Iterator[tuple[str, list[str]]]:
    """Address of a plain server of the page, as a static Space is one, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            asked.append(self.path)

    handler = functools.partial(Handler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", asked
        server.shutdown()
        thread.join()


def address(site: Path) -> str:
    return (site / "index.html").as_uri()


def until(page: Any, condition: str) -> None:
    """Wait for a condition in the page, whose policy forbids the polling of the driver itself."""
    end = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.textContent"))


def test_a_clip_plays_slowed_down_with_its_cursor(site: Path, visit: Any) -> None:
    page = visit(address(site))
    playwright.expect(page.locator("#featured .play")).to_have_text("Pause")
    assert page.evaluate("document.querySelector('#featured video').playbackRate") == 0.125
    until(page, "Number(document.querySelector('#featured .cursor').getAttribute('x1')) > 100")
    event = page.evaluate("DATA.clips[0].event")
    for moment, name in enumerate(("onset", "apex", "offset")):
        page.click(f"#featured [data-moment='{moment}']")
        playwright.expect(page.locator("#featured .phase")).to_have_text(name)
        playwright.expect(page.locator("#featured .where")).to_contain_text(f"frame {event[moment] + 1} of")
        until(page, "!document.querySelector('#featured video').seeking")
        shown = page.evaluate("document.querySelector('#featured video').currentTime * DATA.clips[0].fps")
        assert int(shown) == event[moment]
    assert page.inner_text("#featured .play") == "Play"
    page.select_option("#featured .speed", "0.5")
    page.click("#featured .play")
    assert page.evaluate("document.querySelector('#featured video').playbackRate") == 0.5


def test_nothing_moves_by_itself_where_motion_is_unwanted(site: Path, visit: Any) -> None:
    page = visit(address(site), reduced_motion="reduce")
    assert page.evaluate("document.querySelector('#featured video').paused")
    assert page.inner_text("#featured .play") == "Play"


def test_filters(site: Path, visit: Any) -> None:
    page = visit(address(site))
    clips = page.evaluate("DATA.clips")
    emotion, au = clips[0]["emotion"], clips[0]["aus"][0][0]
    page.select_option("[name=emotion]", f"={emotion}")
    wanted = [clip for clip in clips if clip["emotion"] == emotion]
    playwright.expect(page.locator("#list li")).to_have_count(len(wanted))
    page.select_option("[name=au]", f"={au}")
    wanted = [clip for clip in wanted if au in [one[0] for one in clip["aus"]]]
    playwright.expect(page.locator("#list li")).to_have_count(len(wanted))
    playwright.expect(page.locator("#found")).to_have_text(f"{len(wanted)} of {len(clips)} clips")
    page.click("#filters [type=reset]")
    playwright.expect(page.locator("#found")).to_have_text(f"{len(clips)} clips")
    page.check("#playing")
    playwright.expect(page.locator("#list li")).to_have_count(4)
    # Groups in which no clip is.
    page.evaluate(
        "() => { for (const s of document.querySelectorAll('#filters select')) s.selectedIndex = s.length - 1;"
        " document.getElementById('filters').dispatchEvent(new Event('change')); }"
    )
    count = page.locator("#list li").count()
    assert count or "No clip has all of that" in page.inner_text("#found")


def test_the_keyboard_is_enough(site: Path, visit: Any) -> None:
    page = visit(address(site), reduced_motion="reduce")
    keys = page.keyboard
    keys.press("Tab")
    assert focused(page) == "Skip to the content"
    keys.press("Enter")
    links = []
    for _ in range(6):
        keys.press("Tab")
        if page.evaluate("document.activeElement.type") == "range":
            break
        links.append(focused(page))
    assert links == ["Ask for access", "See the clips", "CC BY-NC-SA 4.0"]
    keys.press("ArrowRight")
    playwright.expect(page.locator("#featured .where")).to_contain_text("frame 2 of")
    for _ in range(40):
        if page.evaluate("document.activeElement.name") == "emotion":
            break
        keys.press("Tab")
    keys.press("ArrowDown")
    playwright.expect(page.locator("#found")).to_contain_text(" of ")
    for _ in range(20):
        if page.evaluate("document.activeElement.className") == "clip":
            break
        keys.press("Tab")
    style = "getComputedStyle(document.activeElement)"
    assert page.evaluate(f"{style}.outlineStyle + {style}.outlineWidth") == "solid3px"
    keys.press("Enter")
    assert page.evaluate("document.getElementById('opened').open")
    for _ in range(30):  # the dialog keeps the keyboard
        keys.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
    matching = int(page.inner_text("#found").split()[0])
    if matching > 1:
        page.focus("#after")
        for _ in range(matching - 1):
            keys.press("Enter")
        assert focused(page) == "opened-title"
        playwright.expect(page.locator("#opened-title")).to_contain_text(f"{matching} of {matching}")
    keys.press("Escape")
    assert not page.evaluate("document.getElementById('opened').open")
    assert page.evaluate("document.activeElement.className") == "clip"


@pytest.mark.parametrize("size", SIZES)
def test_face_and_curves_are_seen_together(size: str, site: Path, visit: Any) -> None:
    page = visit(address(site), viewport=SIZES[size], reduced_motion="reduce")
    height = SIZES[size]["height"]
    page.evaluate("document.querySelector('#featured').scrollIntoView({ behavior: 'instant' })")
    boxes = page.evaluate(SEEN, "#featured")
    tops, bottoms = [box[0] for box in boxes], [box[1] for box in boxes]
    assert len(boxes) == 2 and max(bottoms) - min(tops) <= height
    for number in (0, 4):  # a video, stills
        page.locator("#list li button").nth(number).click()
        boxes = page.evaluate(SEEN, "#opened")
        assert len(boxes) == 2
        for top, bottom in boxes:
            assert 0 <= top < bottom <= height
            assert bottom - top >= 64
        bar = page.evaluate("document.querySelector('.dialog-bar').getBoundingClientRect().height")
        assert bar < 60  # one line
        page.click("#close")


def test_tables_are_read_on_a_phone(judged: Path, visit: Any) -> None:
    page = visit(address(judged), viewport=SIZES["narrow"])
    tables = page.evaluate(
        "[...document.querySelectorAll('.scroll')].map((one) => [one.ariaLabel, one.scrollWidth - one.clientWidth])"
    )
    assert len(tables) >= 11 and {name: over for name, over in tables if over > 0} == {}
    # No word or number of a row stands in two lines or reaches into another one.
    crowded = page.evaluate(
        """[...document.querySelectorAll('.counts td:not(.wide), .counts th, .stacked td, .stacked thead th')]
        .filter((cell) => cell.checkVisibility()).filter((cell) => {
          const range = document.createRange();
          range.selectNodeContents(cell);
          const words = range.getBoundingClientRect(), box = cell.getBoundingClientRect();
          return words.height > 30 || words.left < box.left - 0.5 || words.right > box.right + 0.5;
        }).map((cell) => cell.textContent)"""
    )
    assert crowded == []


def test_large_text_and_colors_of_the_system(site: Path, visit: Any) -> None:
    page = visit(address(site), viewport={"width": 640, "height": 900}, forced_colors="active")
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert page.evaluate("document.documentElement.scrollWidth") <= 640
    stroke = page.evaluate("getComputedStyle(document.querySelector('#featured .cursor')).stroke")
    assert stroke == page.evaluate("getComputedStyle(document.body).color")


def test_a_clip_has_an_address(site: Path, visit: Any) -> None:
    page = visit(address(site))
    clip = page.evaluate("DATA.clips[2]")
    page.locator("#list li button").nth(2).click()
    assert page.evaluate("new URLSearchParams(location.hash.slice(1)).get('clip')") == clip["key"]
    linked = page.evaluate("document.querySelector('#opened .labels a').href")
    page.click("#close")
    assert page.url == address(site)
    page.select_option("[name=emotion]", f"={clip['emotion']}")
    filtered = page.url
    other = visit(linked)
    assert other.is_visible("#opened") and other.inner_text("#opened .what") == clip["caption"]
    other.click("#opened .labels a")  # to itself
    assert other.is_visible("#opened")
    again = visit(filtered)
    assert again.evaluate("document.querySelector('[name=emotion]').value") == f"={clip['emotion']}"
    assert again.inner_text("#found") == page.inner_text("#found") != f"{len(page.evaluate('DATA.clips'))} clips"
    again.evaluate("location.hash = '#clip=nobody&emotion=%3Cimg%3E&au=1)'")
    playwright.expect(again.locator("#found")).to_contain_text("The clip of this address is not on this page.")
    assert not again.evaluate("document.getElementById('opened').open")
    again.evaluate("location.hash = '#composition'")  # a section, not a choice
    assert again.url.endswith("#composition")


def test_counts_of_filters_are_what_they_leave(site: Path, visit: Any) -> None:
    page = visit(address(site))
    emotion = page.evaluate("DATA.clips[0].emotion")
    page.select_option("[name=emotion]", f"={emotion}")
    page.check("#playing")
    for name in ("au", "gender", "race", "age"):
        for option in page.locator(f"[name={name}] option").all()[1:]:
            told = int(option.text_content().rsplit("(", 1)[1].rstrip(")"))
            page.select_option(f"[name={name}]", option.get_attribute("value"))
            assert page.locator("#list li").count() == told
        page.select_option(f"[name={name}]", "")


def test_without_scripts(site: Path, browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False, viewport=SIZES["wide"])
    page = context.new_page()
    page.goto(address(site))
    hero = page.locator("#featured img")
    assert hero.is_visible() and "at the apex. " in str(hero.get_attribute("alt"))
    assert page.locator("#clips noscript img").count() > 1 and "need JavaScript" in page.inner_text("#clips .notice")
    assert page.locator("#featured").bounding_box()["height"] < 420
    context.close()


def test_a_clip_without_video_shows_two_frames(site: Path, visit: Any) -> None:
    page = visit(address(site))
    page.locator("#list li button").nth(4).click()
    assert page.is_visible("#opened .pair img") and page.is_hidden("#opened video")
    assert page.is_hidden("#opened .controls") and page.is_visible("#opened .still-only")
    until(page, "document.querySelector('#opened .pair img').naturalWidth === 320")
    page.click("#before")
    assert page.is_visible("#opened video") and page.is_hidden("#opened .pair")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["narrow", "tablet", "wide"])
def test_the_page_is_accessible(size: str, scheme: str, site: Path, visit: Any) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="accessibility is judged by axe-core"
    ).Axe()
    page = visit(address(site), viewport=SIZES[size], color_scheme=scheme)
    options = {"preload": False}  # all rules
    page.wait_for_timeout(200)
    for number in (None, 0, 4):  # the page, a video, stills
        if number is not None:
            page.locator("#list li button").nth(number).click()
        found = axe.run(page, context=None if number is None else "#opened", options=options)
        assert [(fault["id"], fault["nodes"][0]["html"]) for fault in found.response["violations"]] == []
        assert "color-contrast" in [rule["id"] for rule in found.response["passes"]]
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"]
        if number is not None:
            assert page.evaluate(
                "(() => { const d = document.getElementById('opened'); return d.scrollWidth <= d.clientWidth; })()"
            )
            page.click("#close")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 18, 21)"
    assert dark == (scheme == "dark")


def test_no_request_leaves_the_page(site: Path, served: tuple[str, list[str]], visit: Any) -> None:
    url, asked = served
    page = visit(url)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.reload()
    page.wait_for_selector("#list li button")
    page.locator("#list li button").nth(1).click()
    until(page, "document.querySelector('#opened video').readyState >= 2")
    assert requests and all(one.startswith((url, "data:")) for one in requests)
    for path in asked:
        assert (site / path.strip("/")).exists(), path
    # The page's own policy stops whatever a script would send, even to where the page is from.
    stopped = page.evaluate("fetch(location.href).then(() => 'sent', () => 'stopped')")
    assert stopped == "stopped"
    assert page.context.cookies() == [] and page.evaluate("localStorage.length + sessionStorage.length") == 0


def test_hostile_words_are_words(built: Path, copy_of: Callable[[Path], Path], tmp_path: Path, visit: Any) -> None:
    root = copy_of(built)
    table = pq.read_table(root / "index.parquet")
    for name in ("caption", "subject", "au_text", "intervention"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), pa.array([HOSTILE] * len(table)))
    pq.write_table(table, root / "index.parquet")
    (root / "LICENSE").write_text(HOSTILE)
    write_site(root, tmp_path / "page", videos=2)
    page = visit(address(tmp_path / "page"))
    scripts = page.evaluate("document.querySelectorAll('script').length")
    page.locator("#list li button").first.click()
    assert page.inner_text("#opened .what") == HOSTILE.removesuffix("\u202e").strip()
    assert page.evaluate("document.querySelectorAll('script').length") == scripts == 3
    assert page.evaluate("document.querySelectorAll('img[src=x]').length") == 0
    assert HOSTILE[:30] in page.inner_text(".terms")
