"""Pretrained weights: from a file or torchvision's cache, never from the network; frozen layers stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="baselines need the extra `train`")
pytest.importorskip("torchvision", reason="baselines need the extra `train`")
pytest.importorskip("accelerate", reason="training needs the extra `train`")

from safetensors.torch import load_file  # noqa: E402
from torch import nn  # noqa: E402

from training.config import Config, DataConfig, LoaderConfig, ModelConfig, OptimizationConfig  # noqa: E402
from training.data import open_parts  # noqa: E402
from training.loop import fit, predict  # noqa: E402
from training.models import MODELS  # noqa: E402

MOBILENET, R3D = MODELS["mobilenet"], MODELS["r3d_18"]


@pytest.fixture(scope="module")
def imagenet() -> dict[str, Any]:
    """Weights in the form of torchvision's file: the network's, with a last layer of 1,000 classes."""
    from torchvision.models import mobilenet_v2

    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        return dict(mobilenet_v2(weights=None).state_dict())


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_weights_of_a_file_are_taken_but_for_the_last_layers(
    imagenet: dict[str, Any], tmp_path: Path, ending: str
) -> None:
    from safetensors.torch import save_file

    path = tmp_path / f"weights{ending}"
    if ending == ".pth":
        torch.save({name: value for name, value in imagenet.items() if "num_batches" not in name}, path)
    else:
        save_file(imagenet, path)
    settings = MOBILENET.read_settings({"size": 32, "pretrained": str(path)})
    network = MOBILENET.make(3, settings)
    before = network.state_dict()["head.3.weight"].clone()
    MOBILENET.begin(network, settings)
    state = network.state_dict()
    assert all(torch.equal(state[name], value) for name, value in imagenet.items() if name.startswith("features."))
    assert torch.equal(state["head.3.weight"], before)


def test_the_cache_of_torchvision_is_looked_into(
    imagenet: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    settings = MOBILENET.read_settings({"size": 32, "pretrained": "torchvision"})
    network = MOBILENET.make(3, settings)
    with pytest.raises(ValueError, match=r"no file .*mobilenet_v2-b0353104\.pth.* is at https://.*null for random"):
        MOBILENET.begin(network, settings)
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(imagenet, tmp_path / "hub" / "checkpoints" / "mobilenet_v2-b0353104.pth")
    MOBILENET.begin(network, settings)
    assert torch.equal(network.state_dict()["features.0.0.weight"], imagenet["features.0.0.weight"])


def test_weights_of_another_network_are_refused(imagenet: dict[str, Any], tmp_path: Path) -> None:
    torch.save(imagenet, tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    for file, told in (
        ("other.pth", r"another network than R3D_18_Weights.*differ, as"),
        ("list.pth", "no weights by name"),
    ):
        settings = R3D.read_settings({"frames": 2, "size": 16, "pretrained": str(tmp_path / file)})
        with pytest.raises(ValueError, match=told):
            R3D.begin(R3D.make(3, settings), settings)


@pytest.mark.parametrize("gray", [False, True])
def test_kinetics_weights_and_the_first_layer_of_gray_frames(tmp_path: Path, gray: bool) -> None:
    from torchvision.models.video import r3d_18

    kinetics = r3d_18(weights=None).state_dict()
    torch.save(kinetics, tmp_path / "kinetics.pth")
    settings = R3D.read_settings({"gray": gray, "pretrained": str(tmp_path / "kinetics.pth")})
    network = R3D.make(3, settings)
    R3D.begin(network, settings)
    state = network.state_dict()
    assert torch.equal(state["layer4.1.conv2.0.weight"], kinetics["layer4.1.conv2.0.weight"])
    assert (state["stem.0.weight"].shape == kinetics["stem.0.weight"].shape) is not gray


def _step(network: nn.Module) -> dict[str, Any]:
    """The state after a step of training at a large rate."""
    optimizer = torch.optim.SGD([weight for weight in network.parameters() if weight.requires_grad], 1.0)
    network.train()
    network(torch.randn(4, 1, 32, 32)).square().sum().backward()
    optimizer.step()
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_the_first_hundred_layers_stay_where_they_were_trained() -> None:
    network = MOBILENET.make(3, MOBILENET.read_settings({"size": 32, "pretrained": "torchvision"}))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    after = _step(network)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    blocks = {int(name.split(".")[1]) for name in changed if name.startswith("features.")}
    assert blocks and min(blocks) == 12
    assert not any(name.startswith("features.12.conv.0.") for name in changed)
    assert any(name.startswith("features.12.conv.1.") for name in changed)
    assert all(layer.training is False for layer in network.features[11].modules())


def test_training_begins_with_the_weights_and_says_where_they_are_not(
    imagenet: dict[str, Any], tmp_path: Path, built: Path
) -> None:
    path = tmp_path / "imagenet.pth"
    config = Config(
        model=ModelConfig(name="mobilenet", settings={"size": 32, "pretrained": str(path)}),
        data=DataConfig(train={"equime": str(built)}, sizes={"train": 0.6, "validation": 0.4}),
        optimization=OptimizationConfig(epochs=1, batch_size=4),
        loader=LoaderConfig(workers=0),
    )
    parts = open_parts(config)
    with pytest.raises(ValueError, match=r"no file .*imagenet\.pth"):
        fit(config, parts.train, parts.validation, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    torch.save(imagenet, path)
    run = fit(config, parts.train, parts.validation, tmp_path / "run")
    path.unlink()
    trained = load_file(run.checkpoint("best") / "model.safetensors")
    for layer in ("features.0.0.weight", "features.11.conv.3.running_mean"):
        assert torch.equal(trained[layer], imagenet[layer])
    assert not torch.equal(trained["features.18.0.weight"], imagenet["features.18.0.weight"])
    # Whoever tests a run needs no more than its folder.
    assert predict(run, parts.validation).num_rows == len(parts.validation)


def test_nothing_is_frozen_where_weights_begin_at_random() -> None:
    settings = MOBILENET.read_settings({"size": 32})
    network = MOBILENET.make(3, settings)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    MOBILENET.begin(network, settings)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    after = _step(network)
    assert not torch.equal(before["features.0.0.weight"], after["features.0.0.weight"])
