"""Model files: what each feature needs, where it looks, and how it is fetched. No weights come with the package."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from equime_loader.files import file_sha256, replacing

UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
PIECE = 2**20  # bytes that are read at a time


class ModelMissing(ValueError):
    """A model file that a feature needs is not on this machine."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model file.

    Attributes:
        size: bytes; about, where `sha256` is not known. sha256: what the file must be, None where it is not known.
        variable, option: where a user puts it: the file. The option is empty where there is none.
        library: where the library that reads it looks for it: a folder that the variable moves, and the path below
            it; such a file is fetched there, and looked for there where the option names none.
        command: what fetches it where it is a folder of files, of which `file` is the one that tells it.
    """

    name: str
    feature: str
    file: str
    url: str
    size: int
    license: str
    sha256: str | None
    variable: str
    option: str = ""
    library: tuple[str, str] | None = None
    command: str = ""

    @property
    def size_text(self) -> str:
        """The size as people read it: `3.8 MB`, `about 28 GB`."""
        unit, name = next(one for one in UNITS if self.size >= one[0] or one == UNITS[-1])
        number = f"{self.size / unit:.1f}".removesuffix(".0")
        return f"{'' if self.sha256 else 'about '}{number} {name}"

    def __str__(self) -> str:
        known = f", sha256 {self.sha256}" if self.sha256 else ""
        return f"{self.file} ({self.size_text}, {self.license}{known})"


def _deepface(attribute: str, size: int, license: str, file: str | None = None) -> Model:
    """Weights of DeepFace in its ONNX form; sizes follow from the networks' layers."""
    file = file or f"{attribute}_model_weights.onnx"
    return Model(
        name=f"deepface-{attribute}",
        feature=f"estimates of {attribute} by DeepFace",
        file=file,
        url=f"https://github.com/serengil/deepface_models/releases/download/v1.0/{file}",
        size=size,
        license=license,
        sha256=None,
        variable="DEEPFACE_HOME",
        library=("~", ".deepface/weights"),
    )


_PIQ = "https://github.com/photosynthesis-team/piq/releases/download"
_VGG_FACE = "DeepFace, MIT; from VGG-Face, non-commercial"


MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model(
            name="face-landmarker",
            feature="landmarks (photographs, curation, audit)",
            file="face_landmarker.task",
            url=(
                "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
                "face_landmarker.task"
            ),
            size=3_758_596,
            license="Apache-2.0",
            sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
            variable="EQUIME_FACE_MODEL",
            option="--face-model",
        ),
        Model(
            name="brisque",
            feature="BRISQUE scores",
            file="brisque_svm_weights.pt",
            url=f"{_PIQ}/v0.4.0/brisque_svm_weights.pt",
            size=300_000,
            license="Apache-2.0 (piq); the support vectors are of LIVE, University of Texas at Austin",
            sha256=None,
            variable="TORCH_HOME",
            option="--brisque-weights",
            library=("~/.cache/torch", "hub/checkpoints"),
        ),
        Model(
            name="clip-rn50",
            feature="CLIP-IQA scores",
            file="RN50.pt",
            url=f"{_PIQ}/v0.7.1/RN50.pt",
            size=256_000_000,
            license="MIT (CLIP, OpenAI)",
            sha256=None,
            variable="HOME",
            option="--clip-weights",
            library=("~", ".cache/clip"),
        ),
        Model(
            name="clip-iqa-tokens",
            feature="CLIP-IQA scores",
            file="clipiqa_tokens.pt",
            url=f"{_PIQ}/v0.7.1/clipiqa_tokens.pt",
            size=4_000,
            license="Apache-2.0 (piq)",
            sha256=None,
            variable="HOME",
            option="--clip-weights",
            library=("~", ".cache/clip"),
        ),
        Model(
            name="sface",
            feature="the audit's face embeddings",
            file="face_recognition_sface_2021dec.onnx",
            url=(
                "https://github.com/opencv/opencv_zoo/raw/47534e27c9851bb1128ccc0102f1145e27f23f98/models/"
                "face_recognition_sface/face_recognition_sface_2021dec.onnx"
            ),
            size=38_696_353,
            license="Apache-2.0 (OpenCV Zoo)",
            sha256="0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
            variable="EQUIME_SFACE_MODEL",
            option="--embedder",
        ),
        Model(
            name="ltx-video",
            feature="clips of the generator ltx",
            file="model_index.json",
            url="https://huggingface.co/Lightricks/LTX-Video/blob/main/model_index.json",
            size=28_000_000_000,
            license="LTXV Open Weights License (Lightricks)",
            sha256=None,
            variable="EQUIME_LTX_MODEL",
            library=("~/.cache/equime/models/ltx-video", ""),
            command="hf download Lightricks/LTX-Video --include model_index.json --include '*/*'",
        ),
        _deepface("age", 539_000_000, _VGG_FACE),
        _deepface("gender", 537_000_000, _VGG_FACE),
        _deepface("race", 537_000_000, _VGG_FACE, "race_model_single_batch.onnx"),
        _deepface("expression", 6_000_000, "DeepFace, MIT", "facial_expression_model_weights.onnx"),
    )
}


def cache_folder() -> Path:
    """Where fetched models lie: ``$EQUIME_CACHE``, or ``equime`` in the user's cache folder."""
    if folder := os.environ.get("EQUIME_CACHE"):
        return Path(folder).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "equime"


def places(model: Model, given: Path | None = None) -> list[tuple[str, Path]]:
    """Where a model is looked for, in order: the option, the variable, the cache; or where its library looks."""
    found = [(model.option, given.expanduser())] if given else []
    if model.library:
        folder, below = model.library
        root = Path(os.environ.get(model.variable) or folder).expanduser()
        return [*found, (f"${model.variable}", root / below / model.file)]
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
            if model.sha256 and (found := file_sha256(path)) != model.sha256:
                raise ModelMissing(
                    f"{path} ({where}) is not {model.file}: its sha256 is {found[:12]}…, "
                    f"{model.sha256[:12]}… was expected"
                )
            return path
        if where == model.option or (where != "cache" and not model.library):
            raise ModelMissing(f"{path} ({where}) does not exist")
    how = f"`{model.command}`" if model.command else f"`equime models --fetch {name}` or from {model.url}"
    names = [name for name in (model.option, "" if model.library else f"${model.variable}") if name]
    looked = ", ".join([*names, str(tried[-1][1])])
    moved = f" (${model.variable} moves it)" if model.library else ""
    raise ModelMissing(f"{model.feature} need {model}, which is in none of: {looked}{moved}; get it with {how}")


def fetch_model(name: str, *, timeout_s: float = 60.0) -> Path:
    """Download a model to where it is looked for, and check it where its hash is known.

    Raises:
        ModelMissing: no network, or the bytes are not the known ones.
    """
    model = MODELS[name]
    if model.command:
        raise ModelMissing(f"{name} is a folder of files; fetch it with `{model.command}`")
    target = places(model)[-1][1]
    target.parent.mkdir(parents=True, exist_ok=True)
    most = model.size if model.sha256 else 2 * model.size
    try:
        with urllib.request.urlopen(model.url, timeout=timeout_s) as response, replacing(target) as temporary:
            digest, left = hashlib.sha256(), most + 1
            with open(temporary, "wb") as file:
                while left and (piece := response.read(min(PIECE, left))):
                    file.write(piece)
                    digest.update(piece)
                    left -= len(piece)
            if not left or model.sha256 not in (None, digest.hexdigest()):
                known = f"the file with sha256 {model.sha256}" if model.sha256 else f"a file of {most} bytes or less"
                raise ModelMissing(f"{model.url} does not give {known}; nothing was kept")
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        why = " ".join(str(getattr(error, "reason", error)).split())
        where = f"put it at {target}" if model.library else f"set ${model.variable} to the file"
        raise ModelMissing(
            f"{model.file} cannot be fetched from {model.url} ({why}); fetch it elsewhere and {where}"
        ) from error
    return target
