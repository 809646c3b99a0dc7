"""Baselines: every network is fed by the loader, learns, and sees what it should; training varies faces by seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="baselines need the extra `train`")
pytest.importorskip("torchvision", reason="baselines need the extra `train`")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from equime_loader import Loader, open_dataset  # noqa: E402
from training.models import MODELS, Baseline, find_model  # noqa: E402
from training.models.flow import Strain  # noqa: E402
from training.models.inputs import Variation, draws, varied_flow, varied_pictures  # noqa: E402

# Settings small enough to train in a second, and with as little left to chance as may be.
SMALL: dict[str, dict[str, Any]] = {
    "flow": {"size": 32, "width": 8, "dropout": 0.0},
    "st_cnn": {"motion": False, "frames": 6, "size": 24, "kernels": 8, "units": 64, "dropout": 0.0},
    "simple3dcnn": {"frames": 6, "size": 24, "dropout": 0.0},
    "resnet3d": {"frames": 8, "size": 32, "width": 8, "dropout": 0.0},
    "r3d_18": {"frames": 4, "size": 16, "dropout": 0.0},
    "mobilenet": {"size": 32, "dropout": 0.0},
}
ON_FRAMES = ("st_cnn", "simple3dcnn", "resnet3d", "r3d_18")


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def batches(built: Path) -> dict[str, dict[str, Any]]:
    """Eight clips of the built dataset, as each small model asks for them."""
    clips = open_dataset(built)
    return {name: next(iter(Loader(clips, _view(name), batch_size=8, workers=0))) for name in MODELS}


def _view(name: str) -> Any:
    return MODELS[name].view(MODELS[name].read_settings(SMALL[name]))


def _fed(name: str, batch: dict[str, Any]) -> tuple[Baseline[Any], Any, Tensor]:
    model = MODELS[name]
    settings = model.read_settings(SMALL[name])
    return model, settings, model.inputs(batch, settings)


def test_every_published_baseline_and_the_reference_are_there() -> None:
    assert set(MODELS) == set(SMALL)
    assert all(model.name == name and model.about for name, model in MODELS.items())


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_becomes_logits_and_every_weight_has_a_gradient(name: str, batches: dict[str, Any]) -> None:
    model, settings, inputs = _fed(name, batches[name])
    network = model.make(5, settings)
    logits = network(inputs)
    assert logits.shape == (8, 5) and logits.dtype == torch.float32
    functional.cross_entropy(logits, torch.arange(8) % 5).backward()
    still = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not still


@pytest.mark.parametrize("name", MODELS)
def test_eight_clips_can_be_learned_by_heart(name: str, batches: dict[str, Any]) -> None:
    model, settings, inputs = _fed(name, batches[name])
    network = model.make(2, settings)
    emotions, classes = batches[name]["emotion"].unique(return_inverse=True)
    assert len(emotions) == 2
    optimizer = torch.optim.Adam(network.parameters(), 1e-4 if name == "r3d_18" else 1e-3)
    for _ in range(60):
        loss = functional.cross_entropy(network(inputs), classes)
        if loss < 0.3:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.3


@pytest.mark.parametrize("name", ON_FRAMES)
@pytest.mark.parametrize(("frames", "size"), [(2, 16), (5, 33), (17, 20)])
def test_any_number_of_frames_and_any_size(name: str, frames: int, size: int) -> None:
    model = MODELS[name]
    settings = model.read_settings({**SMALL[name], "frames": frames, "size": size})
    network = model.make(3, settings).eval()
    assert network(torch.randn(2, settings.channels, frames, size, size)).shape == (2, 3)


@pytest.mark.parametrize("size", [32, 47, 112])
def test_pictures_and_flow_of_any_size(size: int) -> None:
    for name, channels in (("flow", 2), ("mobilenet", 1)):
        model = MODELS[name]
        network = model.make(3, model.read_settings({**SMALL[name], "size": size})).eval()
        assert network(torch.randn(2, channels, size, size)).shape == (2, 3)


@pytest.mark.parametrize("name", ON_FRAMES)
def test_the_order_of_frames_matters(name: str, batches: dict[str, Any]) -> None:
    model, settings, inputs = _fed(name, batches[name])
    network = model.make(3, settings).eval()
    with torch.no_grad():
        assert not torch.allclose(network(inputs), network(inputs.flip(2)), atol=1e-6)


@pytest.mark.parametrize("name", ON_FRAMES)
def test_kernels_reach_over_time(name: str) -> None:
    first = next(
        layer
        for layer in MODELS[name].make(3, MODELS[name].read_settings(SMALL[name])).modules()
        if isinstance(layer, nn.Conv3d)
    )
    assert first.in_channels in (1, 3) and first.kernel_size[0] >= 3


def _video(low: int, high: int) -> dict[str, Tensor]:
    video = torch.randint(low, high, (3, 1, 4, 32, 32), dtype=torch.uint8)
    return {"video": video, "mask": torch.ones(3, 4, dtype=torch.bool)}


@pytest.mark.parametrize("name", ["st_cnn", "mobilenet"])
def test_frames_are_normalized_per_clip_in_floating_point(name: str) -> None:
    settings = MODELS[name].read_settings(SMALL[name])
    for low, high in ((0, 256), (100, 110)):
        inputs = MODELS[name].inputs(_video(low, high), settings)
        assert inputs.dtype == torch.float32
        # Values kept in uint8 would be few and far from these.
        assert inputs[0].unique().numel() > 8
    frames = MODELS["st_cnn"].read_settings(SMALL["st_cnn"])
    whole = MODELS["st_cnn"].inputs(_video(100, 110), frames)
    assert whole.mean((1, 2, 3, 4)).abs().max() < 1e-4
    assert (whole.std((1, 2, 3, 4)) - 1).abs().max() < 1e-3


def test_absent_frames_are_zero_and_do_not_count() -> None:
    batch, model = _video(50, 200), MODELS["st_cnn"]
    settings = model.read_settings(SMALL["st_cnn"])
    batch["mask"][0, 2:] = False
    batch["video"][0, :, 2:] = 255
    inputs = model.inputs(batch, settings)
    assert not inputs[0, :, 2:].any()
    assert inputs[0, :, :2].mean().abs() < 1e-4 and (inputs[0, :, :2].std() - 1).abs() < 1e-2
    batch["video"][1] = 77
    assert not model.inputs(batch, settings)[1].any()


def test_motion_is_what_differs_from_the_onset() -> None:
    batch, model = _video(50, 200), MODELS["st_cnn"]
    settings = model.read_settings({**SMALL["st_cnn"], "motion": True})
    batch["video"][0] = batch["video"][0, :, :1]
    inputs = model.inputs(batch, settings)
    assert not inputs[0].any() and inputs[1, :, 0].unique().numel() == 1
    assert (inputs[1].std() - 1).abs() < 1e-2
    plain = model.inputs(batch, model.read_settings(SMALL["st_cnn"]))
    assert torch.corrcoef(torch.stack([inputs[1].ravel(), (plain[1] - plain[1, :, :1]).ravel()]))[0, 1] > 0.999


def test_flow_forgets_the_head_and_the_scale_and_nothing_explodes() -> None:
    model = MODELS["flow"]
    settings = model.read_settings(SMALL["flow"])
    flow = torch.zeros(3, 2, 32, 32)
    flow[:2, :, 8:12, 8:12] = 1.5
    flow[1] = 2 * flow[1] + torch.tensor([0.7, -0.4])[:, None, None]
    inputs = model.inputs({"flow": flow}, settings)
    assert torch.allclose(inputs[0], inputs[1], atol=1e-5)
    assert inputs.isfinite().all() and not inputs[2].any()


def test_strain_of_a_stretch_and_of_a_turn() -> None:
    down, right = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    stretch = Strain()(torch.stack([0.5 * right, -0.25 * down])[None])[0, 2:]
    assert torch.allclose(stretch, torch.tensor([0.5, -0.25, 0.0])[:, None, None].expand(3, 8, 8))
    turn = Strain()(torch.stack([-0.1 * down, 0.1 * right])[None])[0, 2:]
    assert torch.allclose(turn, torch.zeros(3, 8, 8), atol=1e-6)


ALL = Variation(mirror=True, shift=0.1, turn=15.0, zoom=0.2)


def test_variation_follows_from_each_samples_seed_alone() -> None:
    seeds = torch.tensor([5, 2**62 + 1, 9])
    flow = torch.randn(3, 2, 16, 16)
    together = varied_flow(flow, seeds, ALL)
    alone = torch.cat([varied_flow(flow[i : i + 1], seeds[i : i + 1], ALL) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-6) and torch.equal(together, varied_flow(flow, seeds, ALL))
    assert not torch.allclose(together, varied_flow(flow, seeds + 1, ALL), atol=1e-2)
    assert torch.equal(varied_flow(flow, seeds, Variation()), flow)
    assert torch.equal(draws(seeds, 3)[:, :2], draws(seeds, 2)) and draws(seeds, 3).unique().numel() == 9


def test_mirroring_swaps_left_and_right_of_place_and_of_direction() -> None:
    seeds = torch.arange(20)
    flow = torch.zeros(20, 2, 8, 8)
    flow[:, 0, 2, 1], flow[:, 1, 2, 1] = 3.0, 1.0
    mirrored = torch.zeros(2, 8, 8)
    mirrored[0, 2, 6], mirrored[1, 2, 6] = -3.0, 1.0
    varied = varied_flow(flow, seeds, Variation(mirror=True))
    turned = torch.tensor([torch.allclose(one, mirrored, atol=1e-5) for one in varied])
    kept = torch.tensor([torch.allclose(one, flow[0], atol=1e-5) for one in varied])
    assert (turned ^ kept).all() and 3 <= turned.sum() <= 17


def test_vectors_of_flow_move_as_the_pictures_do() -> None:
    """A picture moved by its flow and then varied is the varied picture moved by the varied flow."""
    rng = np.random.default_rng(3)
    seeds = torch.from_numpy(rng.integers(0, 2**62, 6))
    rough = torch.from_numpy(rng.random((6, 1, 8, 8), np.float32))
    first = functional.interpolate(rough, size=(96, 96), mode="bicubic")
    flow = functional.interpolate(
        torch.from_numpy(rng.normal(0, 2, (6, 2, 4, 4)).astype(np.float32)), size=(96, 96), mode="bicubic"
    )
    expected = varied_pictures(_pulled(first, flow), seeds, ALL)
    found = _pulled(varied_pictures(first, seeds, ALL), varied_flow(flow, seeds, ALL))
    inside = (slice(None), slice(None), slice(30, 66), slice(30, 66))
    moved = (expected - varied_pictures(first, seeds, ALL))[inside].abs().mean()
    assert (expected - found)[inside].abs().mean() < 0.05 * moved


def _pulled(picture: Tensor, flow: Tensor) -> Tensor:
    """Each pixel from where its vector points."""
    size = picture.shape[-1]
    still = functional.affine_grid(torch.eye(2, 3).expand(len(picture), 2, 3), list(picture.shape), align_corners=False)
    return functional.grid_sample(picture, still + flow.permute(0, 2, 3, 1) * 2 / size, align_corners=False)


def test_frames_of_a_clip_move_alike() -> None:
    model = find_model("resnet3d")
    settings = model.read_settings({**SMALL["resnet3d"], "mirror": True, "shift": 0.2, "turn": 10.0, "zoom": 0.1})
    still = torch.randn(4, 1, 1, 32, 32).expand(4, 1, 8, 32, 32)
    varied = model.augment(still, torch.arange(4), settings)
    assert varied.shape == still.shape and torch.allclose(varied, varied[:, :, :1].expand_as(varied), atol=1e-5)
    assert not torch.allclose(varied, still, atol=0.1)
    assert model.augment(still, torch.arange(4), model.read_settings(SMALL["resnet3d"])) is still


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("resnet3d", {"motion": 1}, "motion=1 must be true or false"),
        ("resnet3d", {"gray": "no"}, "gray='no' must be true or false"),
        ("mobilenet", {"gray": 0}, "gray=0 must be true or false"),
        ("flow", {"depth": 3}, "no setting 'depth'; there are mirror, shift, turn, zoom, method, size"),
        ("flow", {"size": 8}, "size=8 must be a whole number within 16..512"),
        ("flow", {"method": "horn"}, "method='horn' must be one of dis"),
        ("st_cnn", {"frames": 1}, "frames=1 must be a whole number within 2..1024"),
        ("st_cnn", {"frames": 16.0}, "frames=16.0 must be a whole number"),
        ("simple3dcnn", {"dropout": 1.0}, "dropout=1.0 must lie within 0..0.95"),
        ("resnet3d", {"zoom": "much"}, "zoom='much' must lie within 0..0.5"),
        ("resnet3d", {"mirror": "no"}, "mirror='no' must be true or false"),
        ("mobilenet", {"turn": 90}, "turn=90 must lie within 0..45"),
    ],
)
def test_settings_that_cannot_be_are_told(name: str, given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told.replace(".", r"\.")):
        find_model(name).read_settings(given)


def test_an_unknown_model_is_told() -> None:
    with pytest.raises(ValueError, match="'alexnet' is unknown; there are flow, st_cnn"):
        find_model("alexnet")
