"""The browser of scripts that look at pages: a Chromium of the system, `EQUIME_CHROMIUM` where that names one, else
playwright's own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


@contextmanager
def chromium() -> Iterator[Any]:
    """Chromium without a window, as playwright's `Browser`; it ends with the block."""
    from playwright.sync_api import sync_playwright

    found = os.environ.get("EQUIME_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver, driver.chromium.launch(executable_path=found, args=list(FLAGS)) as browser:
        yield browser
