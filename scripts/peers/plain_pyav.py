"""PyAV in two threads, with nothing around it."""

from __future__ import annotations

import harness
from threads import open_loader, write

__all__ = ["SETTINGS", "open_loader", "write"]

SETTINGS = [{"decoder": "pyav"}]

if __name__ == "__main__":
    harness.main(__name__)
