"""The review page in a real browser: two reviewers, a killed server, the keyboard alone, hostile words, dark."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from browser import PATIENCE_MS
from reviewing import CONTRAST, NAMELESS, Running, free_port, said_of, serving, words_of_labels
from running import comes_true

from equime_builder.review.clips import Clips, opaque_names
from equime_builder.review.judgments import MAX_NOTES
from equime_builder.review.store import Store
from equime_loader.index import Index
from equime_loader.schema import EMOTIONS
from equime_loader.selection import Selection

playwright = pytest.importorskip("playwright.sync_api", reason="tests of the review page need playwright")

SIZES = {"narrow": {"width": 320, "height": 640}, "wide": {"width": 1280, "height": 900}}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page") / "review"


@pytest.fixture(scope="module")
def running(built: Path, place: Path) -> Iterator[Running]:
    with serving(built, place, "--open", "--size", "6") as server:
        yield server


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open the page in a window of its own. What goes wrong in the page fails the test."""
    contexts, faults = [], []

    def open_page(url: str, name: str | None = None, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": SIZES["wide"], **options})
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
        page.goto(url)
        if name is not None:
            page.fill("#reviewer", name)
            page.press("#reviewer", "Enter")
            loaded(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults


def loaded(page: Any) -> None:
    """Wait until the clip is there."""
    page.wait_for_selector('#frame[max="79"]')
    playwright.expect(page.locator("#loading")).to_be_empty()


def judge(page: Any, label: str, verdict: str, notes: str = "") -> None:
    for name in (f"label-{label}", "au-12", f"verdict-{verdict}", "confidence-4"):
        page.check(f"#{name}")
    page.fill("#notes", notes)


def title(page: Any, words: str) -> None:
    playwright.expect(page.locator("#clip-title")).to_have_text(words)


def state(page: Any, words: str) -> None:
    playwright.expect(page.locator("#state")).to_contain_text(words)


def judgments(place: Path) -> list[Any]:
    store = Store(place)
    try:
        return store.kept()
    finally:
        store.close()


def test_two_reviewers_a_killed_server_and_nothing_lost(built: Path, tmp_path: Path, visit: Any) -> None:
    place, port = tmp_path / "review", free_port()
    with serving(built, place, "--blind", "--size", "4", port=port) as running:
        url = running.url
        pages = {name: visit(url, name) for name in ("Ann", "Bob")}
        for name, page in pages.items():
            judge(page, "happiness", "accepted", f"first of {name}")
            page.click("#save")
            title(page, "Clip 2 of 4")
            state(page, "Saved")
            loaded(page)
        running.kill()
        for name, page in pages.items():
            judge(page, "surprise", "rejected", f"second of {name}")
            page.click("#save")
            state(page, "Not saved yet: the server does not answer. Trying again")
            assert page.locator("#notes").is_disabled() and page.locator("#save").is_disabled()
        assert len(judgments(place)) == 2
    with serving(built, place, "--blind", "--size", "4", port=port) as running:
        assert running.url == url
        for page in pages.values():
            title(page, "Clip 3 of 4")
            playwright.expect(page.locator("#progress-text")).to_have_text("2 of 4 judged")
            state(page, "Saved")
        again = visit(url, " ann ")
        title(again, "Clip 3 of 4")
        again.click("#previous")
        title(again, "Clip 2 of 4")
        playwright.expect(again.locator("#notes")).to_have_value("second of Ann")
        assert again.is_checked("#label-surprise") and again.is_checked("#verdict-rejected")
        assert again.is_checked("#au-12") and not again.is_checked("#au-1") and again.is_checked("#confidence-4")
    said = {(one.judgment.reviewer, one.judgment.notes): one for one in judgments(place)}
    assert {notes for _, notes in said} == {f"{turn} of {name}" for turn in ("first", "second") for name in pages}
    assert len(said) == 4 and all(one.counts for one in said.values())


def test_what_was_not_sent_survives_the_window(built: Path, tmp_path: Path, browser: Any) -> None:
    place, port = tmp_path / "review", free_port()
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    with serving(built, place, "--size", "3", port=port) as running:
        page, url = context.new_page(), running.url
        page.goto(url)
        page.fill("#reviewer", "Cy")
        page.press("#reviewer", "Enter")
        loaded(page)
        judge(page, "fear", "accepted", "before the window closed")
        running.kill()
        page.click("#save")
        state(page, "Not saved yet")
        page.close(run_before_unload=False)
    with serving(built, place, "--size", "3", port=port):
        page = context.new_page()
        page.goto(url)
        page.fill("#reviewer", "cy")
        page.press("#reviewer", "Enter")
        loaded(page)
        title_text = page.inner_text("#clip-title")
        playwright.expect(page.locator("#progress-text")).to_have_text("1 of 3 judged")
        assert title_text == "Clip 2 of 3"
    context.close()
    assert [one.judgment.notes for one in judgments(place)] == ["before the window closed"]


def test_blind_leaks_nothing(built: Path, tmp_path: Path, visit: Any) -> None:
    index = Index.open(built)
    rows = Selection.all(index).labels(("key", "subject", "portrait", "caption", "prompt", "emotion", "au_text"))
    secrets = words_of_labels([{**row, "mp4_sha256": "-" * 64} for row in rows])
    answers: list[tuple[str, str, bytes, str]] = []
    with serving(built, tmp_path / "review", "--blind", "--size", "4") as running:
        page = visit(running.url)
        page.on("response", lambda r: answers.append((r.url, r.request.method, r.body(), str(r.headers))))
        page.fill("#reviewer", "Ann")
        page.press("#reviewer", "Enter")
        for number in range(1, 5):
            title(page, f"Clip {number} of 4")
            loaded(page)
            # The address ends in a random key, which may look like anything.
            assert page.url == running.url
            shown = page.inner_text("body") + page.title()
            assert not [word for word in secrets if word in shown]
            assert not page.locator("#facts").is_visible()
            outside = shown.replace(page.inner_text("#judgment"), "")
            assert not [word for word in EMOTIONS if word in outside.lower()]
            assert not re.search(r"\bAU ?\d|\d[A-E]\b", outside), outside
            if number < 4:
                page.click("#next")
        page.wait_for_load_state("networkidle")
    clips = [each for each in answers if "/api/clips/" in each[0]]
    assert len({url for url, *_ in clips}) == 4
    for url, method, body, headers in answers:
        assert url.startswith(running.address), "a request left the machine"
        for word in secrets:
            assert word not in url and word not in headers and word.encode() not in body
        if method == "GET" and "/api/" in url:
            assert re.fullmatch(r"[0-9a-f]{32}", url.rsplit("/", 1)[1])
            assert not [word for word in EMOTIONS if word.encode() in body]


def test_the_keyboard_is_enough(running: Running, place: Path, visit: Any) -> None:
    page = visit(running.url)
    keys = page.keyboard
    keys.type("Key Board")
    keys.press("Enter")
    loaded(page)
    assert page.evaluate("document.activeElement.id") == "clip-title"
    keys.press("a")
    playwright.expect(page.locator("#where")).to_contain_text("apex")
    at = int(page.input_value("#frame"))
    keys.press("ArrowRight")
    keys.press("ArrowRight")
    keys.press("ArrowLeft")
    keys.press("Shift+ArrowLeft")
    assert int(page.input_value("#frame")) == at - 9
    assert page.inner_text("#play") == "Play"
    keys.press("Space")
    playwright.expect(page.locator("#play")).to_have_text("Pause")
    keys.press("Space")
    keys.press("2")
    keys.press("Control+Enter")
    playwright.expect(page.locator("#problem")).to_have_text("Please say accept or reject.")
    assert page.evaluate("document.activeElement.name") == "verdict"
    keys.press("n")
    # The rest without letters: Tab to each question, arrows within it.
    for _ in range(60):
        if page.evaluate("document.activeElement.name") == "confidence":
            break
        keys.press("Tab")
    keys.press("Space")
    keys.press("ArrowRight")
    ring = page.evaluate(
        "() => getComputedStyle(document.activeElement.nextElementSibling).outlineStyle"
        " + getComputedStyle(document.activeElement.nextElementSibling).outlineWidth"
    )
    assert ring == "solid3px"
    keys.press("Tab")
    keys.type("y1[ a note")
    keys.press("Tab")
    assert page.evaluate("document.activeElement.id") == "save"
    keys.press("Enter")
    state(page, "Saved")
    title(page, "Clip 2 of 6")
    (said,) = [one.judgment for one in judgments(place) if one.judgment.reviewer == "key board"]
    assert (said.label, said.verdict, said.confidence, said.notes) == ("sadness", "rejected", 2, "y1[ a note")
    keys.press("[")
    title(page, "Clip 1 of 6")
    playwright.expect(page.locator("#save")).to_have_text("Save the change")


def test_keys_can_be_turned_off(running: Running, visit: Any) -> None:
    page = visit(running.url, "off")
    page.click("#keys-open")
    page.uncheck("#keys-on")
    page.keyboard.press("Escape")
    page.focus("#clip-title")
    page.keyboard.press("2")
    page.keyboard.press("y")
    assert not page.is_checked("#label-sadness") and not page.is_checked("#verdict-accepted")


def test_hostile_words_are_words(running: Running, place: Path, visit: Any) -> None:
    name = '<img src=x onerror="alert(1)">'
    page = visit(running.url, name)
    elements = page.evaluate("document.querySelectorAll('img, script').length")
    notes = "<script>alert(1)</script>\u202e\u2066 kcab \u0000 ${alert(1)} =cmd|' /C calc'!A0\n</textarea><b>"
    judge(page, "anger", "accepted", notes)
    page.click("#save")
    title(page, "Clip 2 of 6")
    page.click("#previous")
    title(page, "Clip 1 of 6")
    assert page.inner_text("#who-name") == name and page.input_value("#notes") == notes.replace("\u0000", "")
    assert page.evaluate("document.querySelectorAll('img, script').length") == elements
    kept = [one for one in judgments(place) if one.judgment.reviewer == name]
    assert kept[0].judgment.notes == notes.replace("\u0000", "")
    # A note of a megabyte is cut by the field; past the field, it is refused, told, and not kept.
    page.fill("#notes", "x" * 2**20)
    assert len(page.input_value("#notes")) == MAX_NOTES
    page.evaluate(
        "() => { const notes = document.getElementById('notes');"
        " notes.maxLength = 1e7; notes.value = 'many words '.repeat(10_000); }"
    )
    page.click("#save")
    playwright.expect(page.locator("#problem")).to_contain_text("notes may have 4,000 characters")
    state(page, "Not saved.")
    assert len([one for one in judgments(place) if one.judgment.reviewer == name]) == 1
    page.fill("#notes", "short")
    page.click("#save")
    state(page, "Change saved.")
    assert [one.counts for one in judgments(place) if one.judgment.reviewer == name] == [False, True]


def test_a_name_or_link_that_will_not_do_is_told(running: Running, visit: Any) -> None:
    page = visit(running.url)
    page.click("text=Begin")
    playwright.expect(page.locator("#sign-in-error")).to_contain_text("1 to 64 characters")
    page = visit(f"{running.address}/#wrong")
    page.fill("#reviewer", "Ann")
    page.press("#reviewer", "Enter")
    playwright.expect(page.locator("#sign-in-error")).to_contain_text("the link is not complete")


def test_a_step_is_a_frame(built: Path, running: Running, place: Path, visit: Any) -> None:
    """What the canvas shows at a frame is that frame of the clip."""
    page = visit(running.url, "frames")
    store = Store(place)
    names = opaque_names(store.clips, store.secret)
    view = Clips(built, Index.open(built), store).view(names[said_of(running, "frames")["order"][0]])
    store.close()
    for frame in (0, view.head["apex"], 79):
        page.evaluate(
            "(frame) => { const range = document.getElementById('frame');"
            " range.value = frame; range.dispatchEvent(new Event('input')); }",
            frame,
        )
        playwright.expect(page.locator("#where")).to_contain_text(f"frame {frame + 1} of 80")
        pixels = page.evaluate(
            "() => { const canvas = document.getElementById('view');"
            " return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]; }"
        )
        seen = np.array(pixels, np.int16).reshape(128, 128, 4)[..., 2::-1]
        errors = []
        for candidate in range(max(0, frame - 2), min(80, frame + 3)):
            picture = cv2.imdecode(np.frombuffer(view.pictures[candidate], np.uint8), cv2.IMREAD_COLOR)
            errors.append((float(np.abs(seen - picture).mean()), candidate))
        assert min(errors)[0] < 1 and dict(map(reversed, errors))[frame] == min(errors)[0]


def test_slow_motion_runs_and_loops(running: Running, visit: Any) -> None:
    page = visit(running.url, "motion")
    assert page.inner_text("#play") == "Pause"
    page.select_option("#speed", "1")
    page.select_option("#loop", "event")
    page.click("#to-offset")
    event = [
        page.evaluate(
            "(id) => { document.getElementById(id).click(); return Number(document.getElementById('frame').value); }",
            f"to-{moment}",
        )
        for moment in ("onset", "apex", "offset")
    ]
    assert event == sorted(event)
    page.click("#play")
    seen: set[int] = set()

    def shown() -> int:
        seen.add(int(page.input_value("#frame")))
        return len(seen)

    assert comes_true(lambda: shown() > 5, PATIENCE_MS / 1000)
    assert min(seen) >= event[0] and max(seen) <= event[2]
    page.select_option("#loop", "once")
    playwright.expect(page.locator("#play")).to_have_text("Play")
    assert page.input_value("#frame") == "79"


def test_nothing_moves_by_itself_where_motion_is_unwanted(running: Running, visit: Any) -> None:
    page = visit(running.url, "still", reduced_motion="reduce")
    assert page.inner_text("#play") == "Play" and page.input_value("#frame") == "0"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_page_can_be_read(size: str, scheme: str, running: Running, visit: Any) -> None:
    page = visit(running.url, viewport=SIZES[size], color_scheme=scheme)
    assert page.evaluate(CONTRAST) == []
    page.fill("#reviewer", f"{size} {scheme}")
    page.press("#reviewer", "Enter")
    loaded(page)
    judge(page, "happiness", "accepted")
    page.evaluate("() => { document.getElementById('state').textContent = 'Saved'; }")
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"]
    assert page.evaluate(NAMELESS) == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 200) == (scheme == "dark")
