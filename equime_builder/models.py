"""Model files: what each feature needs, where it looks, and how it is fetched. No weights come with the package."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from equime_builder.files import write_atomic


class ModelMissing(ValueError):
    """A model file that a feature needs is not on this machine."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model file: `variable` and `option` say where a user puts it, `sha256` what it must be."""

    name: str
    feature: str
    file: str
    url: str
    size: int
    licence: str
    sha256: str
    variable: str
    option: str


MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model(
            name="face-landmarker",
            feature="landmarks of photographs (sources folder and celeba-hq)",
            file="face_landmarker.task",
            url=(
                "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
                "face_landmarker.task"
            ),
            size=3_758_596,
            licence="Apache-2.0",
            sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
            variable="EQUIME_FACE_MODEL",
            option="--face-model",
        ),
    )
}


def cache_folder() -> Path:
    """Where fetched models lie: ``$EQUIME_CACHE``, or ``equime`` in the user's cache folder."""
    if folder := os.environ.get("EQUIME_CACHE"):
        return Path(folder).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "equime"


def places(model: Model, given: Path | None = None) -> list[tuple[str, Path]]:
    """Where a model is looked for, in order: the option, the environment variable, the cache."""
    found = [(model.option, given.expanduser())] if given else []
    if value := os.environ.get(model.variable):
        found.append((f"${model.variable}", Path(value).expanduser()))
    return [*found, ("cache", cache_folder() / "models" / model.file)]


def find_model(name: str, given: Path | None = None) -> Path:
    """Path of a model file.

    Raises:
        ModelMissing: it is in none of its places, or the file is not the one that is known.
    """
    model = MODELS[name]
    tried = places(model, given)
    for where, path in tried:
        if path.is_file():
            if (found := hashlib.sha256(path.read_bytes()).hexdigest()) != model.sha256:
                raise ModelMissing(
                    f"{path} ({where}) is not {model.file}: its sha256 is {found[:12]}…, "
                    f"{model.sha256[:12]}… was expected"
                )
            return path
        if where != "cache":
            raise ModelMissing(f"{path} ({where}) does not exist")
    raise ModelMissing(
        f"{model.feature} need {model.file} ({model.size / 1e6:.1f} MB, {model.licence}, sha256 {model.sha256}), which "
        f"is in none of: {model.option}, ${model.variable}, {tried[-1][1]}; get it with `equime models --fetch {name}` "
        f"or from {model.url}"
    )


def fetch_model(name: str, *, timeout_s: float = 60.0) -> Path:
    """Download a model into the cache and check it.

    Raises:
        ModelMissing: no network, or the bytes are not the known ones.
    """
    model = MODELS[name]
    try:
        with urllib.request.urlopen(model.url, timeout=timeout_s) as response:
            data = response.read(model.size + 1)
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        why = " ".join(str(getattr(error, "reason", error)).split())
        raise ModelMissing(
            f"{model.file} cannot be fetched from {model.url} ({why}); fetch it elsewhere and set ${model.variable} "
            "to the file"
        ) from error
    if hashlib.sha256(data).hexdigest() != model.sha256:
        raise ModelMissing(f"{model.url} does not give the file with sha256 {model.sha256}; nothing was kept")
    target = cache_folder() / "models" / model.file
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, data)
    return target
