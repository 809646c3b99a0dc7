"""Whether another machine can take part in a build: it sees the folder, may write there, and has the same libraries."""

from __future__ import annotations

import _thread
import platform
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from equime_builder import manifest
from equime_builder.version import VERSION

# How often a node looks whether the build goes on.
LOOK_EVERY_S = 0.3
# What decides the bytes of a clip.
LIBRARIES = ("av", "numpy", "opencv-contrib-python", "pyarrow", "scipy")


@dataclass(frozen=True, slots=True)
class Beacon:
    """A file with a secret in the folder. Who can read the secret sees this folder, not one of the same name.

    When it is gone, the build has stopped.
    """

    root: Path
    path: Path
    secret: str
    versions: dict[str, str]


def versions() -> dict[str, str]:
    """Versions of equime, of what decides the bytes of a clip, and the kind of processor."""
    found = {"equime": VERSION, "processor": platform.machine()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


@contextmanager
def beacon(root: Path) -> Iterator[Beacon]:
    """A beacon in the folder, for as long as the block lasts."""
    secret = secrets.token_hex(8)
    # As a lock it is left alone by those who clear away what killed processes left.
    with manifest.lock(root, f"visible-{secret}") as path:
        path.write_text(secret, encoding="utf-8")
        yield Beacon(root, path, secret, versions())


@contextmanager
def while_lit(lit: Beacon) -> Iterator[None]:
    """Interrupt the block, which runs in the main thread, when the beacon goes out: KeyboardInterrupt, as by Ctrl-C."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(LOOK_EVERY_S):
            if not lit.path.exists():
                _thread.interrupt_main()
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def complaint(lit: Beacon) -> str | None:
    """Why this machine cannot take part, None where it can."""
    for name, here in versions().items():
        if here != lit.versions[name]:
            return (
                f"has {name} {here}, and the machine that runs the build {lit.versions[name]}: the bytes could differ"
            )
    try:
        seen = lit.path.read_text() == lit.secret
    except OSError:
        seen = False
    if not seen:
        return f"does not see {lit.root}: the folder must lie on a filesystem that all nodes share, by the same path"
    probe = lit.path.with_name(f"{lit.path.name}-{secrets.token_hex(8)}")
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        return f"cannot write to {lit.root}: {error.strerror}"
    return None
