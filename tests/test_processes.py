"""Worker processes of the builder end with whoever began them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from running import at_work, comes_true, session

SCRIPT = """
import signal, time
from pathlib import Path
from equime_builder.processes import as_finished

def rest(seconds):
    Path(__file__).with_name(f"resting-{seconds}").touch()
    time.sleep(seconds)

if __name__ == "__main__":
    try:
        list(as_finished(rest, [0.1, 60, 61], workers=2, kept=""))
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("stopped")
"""


def test_ctrl_c_twice_ends_all_at_once(tmp_path: Path) -> None:
    script = tmp_path / "work.py"
    script.write_text(SCRIPT)
    with at_work(script) as run:
        assert comes_true(lambda: len(list(tmp_path.glob("resting-6*"))) == 2, 60)
        assert len(session(run.pid)) == 4, session(run.pid)  # with the tracker of resources
        for _ in range(2):
            os.killpg(run.pid, signal.SIGINT)
            time.sleep(0.05)
        out, err = run.communicate(timeout=20)
        assert (out, err, run.returncode) == ("stopped\n", "", 0)
        assert comes_true(lambda: session(run.pid) == []), session(run.pid)
