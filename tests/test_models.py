"""Model files: looked for where the message says, and never another file than the known one."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from equime_builder import models
from equime_builder.models import MODELS, Model, ModelMissing, cache_folder, fetch_model, find_model, places

RIGHT, WRONG = b"these are the weights", b"these are other weights"
NAME = "face-landmarker"


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Model:
    """A stand-in whose bytes the test knows, and a machine that has no model anywhere."""
    monkeypatch.setenv("EQUIME_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EQUIME_FACE_MODEL", raising=False)
    known = replace(MODELS[NAME], size=len(RIGHT), sha256=hashlib.sha256(RIGHT).hexdigest())
    monkeypatch.setitem(models.MODELS, NAME, known)
    return known


def put(path: Path, data: bytes = RIGHT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# --- where models lie


def test_option_comes_before_variable_and_variable_before_cache(
    monkeypatch: pytest.MonkeyPatch, model: Model, tmp_path: Path
) -> None:
    cached = put(cache_folder() / "models" / model.file)
    assert find_model(NAME) == cached
    named = put(tmp_path / "named.task")
    monkeypatch.setenv("EQUIME_FACE_MODEL", str(named))
    assert find_model(NAME) == named
    given = put(tmp_path / "given.task")
    assert find_model(NAME, given) == given
    assert [where for where, _ in places(model, given)] == ["--face-model", "$EQUIME_FACE_MODEL", "cache"]
    assert [path for _, path in places(model, given)] == [given, named, cached]


def test_what_a_user_named_is_taken_or_refused_and_never_passed_over(
    monkeypatch: pytest.MonkeyPatch, model: Model, tmp_path: Path
) -> None:
    put(cache_folder() / "models" / model.file)
    with pytest.raises(ModelMissing, match=r"none\.task \(--face-model\) does not exist$"):
        find_model(NAME, tmp_path / "none.task")
    monkeypatch.setenv("EQUIME_FACE_MODEL", str(tmp_path / "nothing.task"))
    with pytest.raises(ModelMissing, match=r"nothing\.task \(\$EQUIME_FACE_MODEL\) does not exist$"):
        find_model(NAME)


def test_empty_variable_names_nothing(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    cached = put(cache_folder() / "models" / model.file)
    monkeypatch.setenv("EQUIME_FACE_MODEL", "")
    assert find_model(NAME) == cached


def test_home_is_written_as_users_write_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EQUIME_FACE_MODEL", "~/mine.task")
    mine = put(tmp_path / "mine.task")
    assert find_model(NAME) == find_model(NAME, Path("~/mine.task")) == mine
    monkeypatch.delenv("EQUIME_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "equime"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "equime"


@pytest.mark.parametrize("where", ["option", "variable", "cache"])
def test_another_file_is_refused_wherever_it_lies(
    monkeypatch: pytest.MonkeyPatch, model: Model, tmp_path: Path, where: str
) -> None:
    path = cache_folder() / "models" / model.file if where == "cache" else tmp_path / "other.task"
    put(path, WRONG)
    if where == "variable":
        monkeypatch.setenv("EQUIME_FACE_MODEL", str(path))
    found = hashlib.sha256(WRONG).hexdigest()[:12]
    text = (
        rf"\({'--face-model' if where == 'option' else '.*'}\) is not face_landmarker\.task: its sha256 is {found}…, "
    )
    with pytest.raises(ModelMissing, match=text + f"{model.sha256[:12]}… was expected$"):
        find_model(NAME, path if where == "option" else None)


def test_missing_model_is_told_whole_and_in_one_line(model: Model) -> None:
    with pytest.raises(ModelMissing) as caught:
        find_model(NAME)
    text = str(caught.value)
    assert "\n" not in text
    for fact in (
        "landmarks (photographs, curation, audit)",
        "face_landmarker.task",
        "(0 kB",
        "Apache-2.0",
        f"sha256 {model.sha256}",
        "--face-model",
        "$EQUIME_FACE_MODEL",
        str(cache_folder() / "models" / model.file),
        "`equime models --fetch face-landmarker`",
        model.url,
    ):
        assert fact in text, fact


def test_models_say_all_that_a_user_must_know() -> None:
    for name, known in MODELS.items():
        assert known.name == name
        assert known.url.startswith("https://") and known.url.endswith(known.file)
        assert known.sha256 is None or len(known.sha256) == 64
        assert known.size > 0 and known.license and known.feature
        if known.library is None:
            assert known.option.startswith("--") and known.variable.startswith("EQUIME_")
        else:
            assert known.variable


def test_the_option_comes_before_the_librarys_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weights = replace(MODELS["brisque"], sha256=hashlib.sha256(RIGHT).hexdigest())
    monkeypatch.setitem(models.MODELS, "brisque", weights)
    kept = put(tmp_path / "hub/checkpoints/brisque_svm_weights.pt")
    assert find_model("brisque") == kept
    assert find_model("brisque", put(tmp_path / "mine.pt")) == tmp_path / "mine.pt"
    with pytest.raises(ModelMissing, match=r"none\.pt \(--brisque-weights\) does not exist$"):
        find_model("brisque", tmp_path / "none.pt")
    kept.unlink()
    with pytest.raises(ModelMissing, match=r"which is in none of: --brisque-weights, .*/hub/checkpoints/brisque_svm"):
        find_model("brisque")


LIBRARY = "deepface-age"


def test_a_librarys_file_lies_where_the_library_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DEEPFACE_HOME", raising=False)
    assert [path for _, path in places(MODELS[LIBRARY])] == [
        tmp_path / ".deepface" / "weights" / "age_model_weights.onnx"
    ]
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path / "elsewhere"))
    kept = put(tmp_path / "elsewhere" / ".deepface" / "weights" / "age_model_weights.onnx")
    assert find_model(LIBRARY) == kept
    kept.unlink()
    with pytest.raises(ModelMissing) as caught:
        find_model(LIBRARY)
    text = str(caught.value)
    assert "\n" not in text
    for fact in ("about 539 MB", "non-commercial", str(kept), "$DEEPFACE_HOME moves it", f"--fetch {LIBRARY}"):
        assert fact in text, fact


def test_a_librarys_file_is_fetched_to_where_the_library_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path / "home"))
    source = put(tmp_path / "source.onnx")
    monkeypatch.setitem(models.MODELS, LIBRARY, replace(MODELS[LIBRARY], url=source.as_uri(), size=len(RIGHT)))
    assert fetch_model(LIBRARY) == find_model(LIBRARY)
    assert find_model(LIBRARY).read_bytes() == RIGHT
    monkeypatch.setitem(models.MODELS, LIBRARY, replace(MODELS[LIBRARY], url=source.as_uri(), size=3))
    with pytest.raises(ModelMissing, match=r"does not give a file of 6 bytes or less; nothing was kept$"):
        fetch_model(LIBRARY)
    assert find_model(LIBRARY).read_bytes() == RIGHT


# --- fetching


class Answers(http.server.BaseHTTPRequestHandler):
    """Gives the bytes that its path asks for."""

    def do_GET(self) -> None:
        if self.path == "/broken":
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            return
        if self.path == "/none":
            self.send_error(404)
            return
        body = {"/right": RIGHT, "/wrong": WRONG, "/short": RIGHT[:5], "/endless": RIGHT * 1000}[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(RIGHT) if self.path == "/short" else len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def at(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setitem(models.MODELS, NAME, replace(MODELS[NAME], url=url))


def test_right_bytes_are_kept_and_found(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    at(monkeypatch, f"{server}/right")
    path = fetch_model(NAME)
    assert path == cache_folder() / "models" / "face_landmarker.task"
    assert path.read_bytes() == RIGHT
    assert find_model(NAME) == path
    assert fetch_model(NAME) == path


def test_right_bytes_of_a_file_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    at(monkeypatch, put(tmp_path / "face.task").as_uri())
    assert fetch_model(NAME).read_bytes() == RIGHT


@pytest.mark.parametrize("answer", ["wrong", "short", "endless"])
def test_other_bytes_are_not_kept(monkeypatch: pytest.MonkeyPatch, server: str, answer: str) -> None:
    at(monkeypatch, f"{server}/{answer}")
    with pytest.raises(
        ModelMissing, match=rf"/{answer} does not give the file with sha256 [0-9a-f]{{64}}; nothing was kept$"
    ):
        fetch_model(NAME)
    assert not (cache_folder() / "models").exists() or not list((cache_folder() / "models").iterdir())


def test_a_good_model_survives_a_bad_fetch(monkeypatch: pytest.MonkeyPatch, server: str, model: Model) -> None:
    cached = put(cache_folder() / "models" / model.file)
    at(monkeypatch, f"{server}/wrong")
    with pytest.raises(ModelMissing, match="nothing was kept"):
        fetch_model(NAME)
    assert find_model(NAME) == cached


@pytest.mark.parametrize(("answer", "why"), [("none", "Not Found"), ("broken", "this is no HTTP")])
def test_servers_that_do_not_answer_right(monkeypatch: pytest.MonkeyPatch, server: str, answer: str, why: str) -> None:
    at(monkeypatch, f"{server}/{answer}")
    text = (
        rf"^face_landmarker\.task cannot be fetched from {server}/{answer} \(.*{why}.*\); fetch it elsewhere and set "
    )
    with pytest.raises(ModelMissing, match=text + r"\$EQUIME_FACE_MODEL to the file$"):
        fetch_model(NAME)


def test_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for url in (f"http://127.0.0.1:{port}/", (tmp_path / "none.task").as_uri()):
        at(monkeypatch, url)
        with pytest.raises(ModelMissing, match=r"cannot be fetched from .* \(.*\); fetch it elsewhere and set"):
            fetch_model(NAME, timeout_s=2)
