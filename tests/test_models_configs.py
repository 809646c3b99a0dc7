"""Configurations: each can be read, and holds what was published."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("jsonargparse", reason="training needs the extra `train`")
pytest.importorskip("torchvision", reason="baselines need the extra `train`")

from training.config import read_config
from training.models import MODELS, find_model

FOLDER = Path(__file__).resolve().parents[1] / "training" / "configs"
FILES = sorted(FOLDER.glob("*.yaml"))
PUBLISHED = {
    "config_3class_mobilenet": ("mobilenet", "three"),
    "config_5class_mobilenet": ("mobilenet", "five"),
    "config_3class_original": ("st_cnn", "three"),
    "config_original": ("st_cnn", "five"),
    "simple3dcnn": ("simple3dcnn", "three"),
    "resnet3d": ("resnet3d", "three"),
    "r3d_18": ("r3d_18", "three"),
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_configuration_makes_a_model(path: Path) -> None:
    config = read_config(path)
    model = find_model(config.model.name)
    settings = model.read_settings(config.model.settings)
    assert config.optimization.imbalance == "weights" and config.stopping.monitor == "uf1"
    # What a file says is what the model does without it: the defaults have one place.
    assert settings == model.read_settings()


def test_every_model_has_a_configuration() -> None:
    assert {read_config(path).model.name for path in FILES} == set(MODELS)
    assert {path.stem for path in FILES} == {*PUBLISHED, "flow"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_hyper_parameters(name: str) -> None:
    config = read_config(FOLDER / f"{name}.yaml")
    assert (config.model.name, config.data.classes) == PUBLISHED[name]
    fitted, stopping = config.optimization, config.stopping
    assert (fitted.optimizer, fitted.learning_rate, fitted.batch_size, fitted.epochs) == ("adam", 1e-4, 16, 100)
    assert (stopping.patience, stopping.plateau_factor, stopping.plateau_patience) == (15, 0.2, 5)
    assert stopping.least_learning_rate == 1e-5
    settings = find_model(config.model.name).read_settings(config.model.settings)
    assert settings.dropout == (0.3 if name == "simple3dcnn" else 0.5)


def test_the_published_number_of_frames_can_be_had() -> None:
    model = find_model("st_cnn")
    settings = model.read_settings({"frames": 96})
    assert model.view(settings).window.frames == 96
    # A first dense layer of 32 kernels, 48 x 32 x 32 places, 128 units: see the configuration's comment.
    assert 32 * 48 * 32 * 32 * 128 == 201_326_592
