"""Fixtures that several test modules share: small real datasets, built once."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from browser import CHROMIUM, chromium
from hub_server import LocalHub, serving_hub
from hypothesis import settings

from equime_builder.build import Request, build
from equime_builder.profiles import Profile, load_profile
from equime_builder.sources.drawn import ProceduralSource

# Tests need no network: the Hub client must not try.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

# A run speaks of the code alone: no clock, and the same examples each time.
settings.register_profile("equime", deadline=None, derandomize=True)
settings.load_profile("equime")


def pytest_collection_finish() -> None:
    """What is imported stays: the collector does not go through it each time, which took a sixth of the processor."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()


# A shell's job in the background ignores Ctrl-C and hands that on; tests of Ctrl-C need it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Photographs and the landmark model are no part of the project; tests that need them skip where they are absent.
SHARED = Path(__file__).resolve().parents[2] / "shared"
FACES = SHARED / "data" / "portraits"
MODEL = Path(os.environ.get("EQUIME_FACE_MODEL", SHARED / "models" / "face_landmarker.task"))


@pytest.fixture(autouse=True)
def pseudonym_key(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests leave the user's own key of pseudonyms alone."""
    monkeypatch.setenv("EQUIME_PSEUDONYM_KEY", str(tmp_path_factory.getbasetemp() / "pseudonyms.key"))


@pytest.fixture(autouse=True, scope="session")
def xet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests leave alone what Xet remembers for its user, and its logs; it tries again soon."""
    patch = pytest.MonkeyPatch()
    patch.setenv("HF_XET_CACHE", str(tmp_path_factory.mktemp("xet")))
    patch.setenv("HF_XET_CLIENT_RETRY_BASE_DELAY", "10ms")
    yield
    patch.undo()


@pytest.fixture(scope="session")
def face_model() -> Path:
    """The landmark model, where tests with photographs can run."""
    if not MODEL.is_file():
        pytest.skip(f"no face landmark model at {MODEL}; set EQUIME_FACE_MODEL")
    if not FACES.is_dir():
        pytest.skip(f"no test portraits at {FACES}")
    pytest.importorskip("mediapipe", reason="photographs need the extra `faces`")
    return MODEL


def small_profile(**changes: object) -> Profile:
    """A profile whose clips are made in a tenth of a second: half the size, just enough frames."""
    values: dict[str, object] = {
        "size": 128,
        "frames": 80,
        "subjects": 6,
        "emotions": ("happiness", "surprise"),
        "shard_samples": 4,
        "split": (0.5, 0.25, 0.25),
    }
    return load_profile("demo", **{**values, **changes})


def small_request(seed: int = 0, formats: tuple[str, ...] = ("webdataset", "parquet"), **changes: object) -> Request:
    return Request(small_profile(**changes), ProceduralSource(), seed, formats=formats)


def tree(root: Path) -> dict[str, bytes]:
    """Contents of every file of a folder, by relative path."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete dataset in all three formats. Read only: copy it to change it."""
    root = tmp_path_factory.mktemp("built") / "equime"
    assert build(root, small_request(formats=("webdataset", "parquet", "arrow")))
    return root


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    """A private copy of a dataset."""

    def copy(root: Path) -> Path:
        return Path(shutil.copytree(root, tmp_path / root.name))

    return copy


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium of the system, without a window; `EQUIME_CHROMIUM` names another than the one that is found."""
    pytest.importorskip("playwright.sync_api", reason="tests of pages need playwright")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine; install it (Debian: apt-get install chromium) or set EQUIME_CHROMIUM")
    with chromium() as opened:
        yield opened


@pytest.fixture
def local_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A Hub on this machine, and a client that asks it: without Xet, without bars, and without waiting."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    for name, value in {
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_PROGRESS_BARS": True,
    }.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    monkeypatch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda _: None))
    with serving_hub() as hub:
        yield hub
