"""The browser of tests and scripts that look at pages.

It is a Chromium of the system, the one of `EQUIME_CHROMIUM` where that names one, else playwright's own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CHROMIUM = os.environ.get("EQUIME_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
PATIENCE_MS = 40_000
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@contextmanager
def chromium() -> Iterator[Any]:
    """Chromium without a window, as playwright's `Browser`; it ends with the block."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as driver, driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS)) as browser:
        yield browser
