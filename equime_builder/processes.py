"""What worker processes have in common."""

from __future__ import annotations

import os
import threading
import time

PATIENCE_S = 0.2


def watch_parent(parent: int) -> None:
    """End this process when its parent is gone: a killed run must not go on working."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PATIENCE_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
