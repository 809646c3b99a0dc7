"""The LTX generator on a tiny random pipeline of true geometry: both modes for real, nothing is downloaded."""

from __future__ import annotations

import importlib.util
import itertools
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

pytest.importorskip("diffusers", reason="the generator ltx needs the extra `ltx`")
import torch
from tiny_ltx import save_tiny_pipeline

from equime_builder import samples
from equime_builder.build import Request, build
from equime_builder.facs import ACTION_UNITS, EMOTION_TABLES, SIDES, au_sets
from equime_builder.generators import check_options, make_generator
from equime_builder.generators.ltx.drawing import LtxGenerator, anchors, from_disk
from equime_builder.generators.ltx.float8 import Float8Linear
from equime_builder.generators.ltx.options import PRESETS, LtxOptions, frames_made, options_from
from equime_builder.generators.ltx.pictures import compressed, planes_from_video, rgb_from_planes
from equime_builder.generators.ltx.pipelines import AnchoredPipeline
from equime_builder.generators.ltx.texts import AT_ONCE, Texts, text_encoder
from equime_builder.generators.ltx.weights import VARIABLE, content_hash, find_pipeline, pin
from equime_builder.generators.protocol import ClipRequest
from equime_builder.generators.warp.planes import luma_and_chroma
from equime_builder.models import ModelMissing
from equime_builder.portraits import Attributes, Subject
from equime_builder.profiles import Profile, load_profile
from equime_builder.prompts import NEGATIVE_PROMPT, TOKEN_LIMIT, prompt, token_bound
from equime_builder.requests import make_request
from equime_builder.scm import Activation, Nuisance, Program, Timing, sample_nuisance, sample_program
from equime_builder.sources.drawn import ProceduralSource
from equime_builder.verify import verify

SIZE, FRAMES = 96, 78  # 81 frames are made, in 3 x 3 x 11 latents
TINY = {"steps": 2, "preset": "low_memory", "dtype": "float32"}
SOURCE = ProceduralSource()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_pipeline(tmp_path_factory.mktemp("models") / "tiny-ltx")


@pytest.fixture(autouse=True)
def _machine(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that has the tiny pipeline and no other."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(VARIABLE, str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def tiny_profile(**changes: Any) -> Profile:
    few = {"emotions": ("happiness", "surprise"), "subjects": 3, "shard_samples": 2, "acceptance": {"attempts": 1}}
    # Random weights make noise, and x264's macroblock tree is not the same twice on noise: this preset has none.
    few["video"] = {"preset": "ultrafast"}
    return load_profile("micro", **{**few, "size": SIZE, "frames": FRAMES, **changes})


def subjects() -> tuple[Subject, ...]:
    return SOURCE.survey(tiny_profile(), 0).subjects


def requests_for(generator: LtxGenerator, count: int) -> list[ClipRequest]:
    profile, found = tiny_profile(), []
    for number, subject in zip(range(count), itertools.cycle(subjects()), strict=False):
        emotion = profile.emotions[number % 2]
        program = sample_program(profile, emotion, number)
        portrait = generator.prepare(SOURCE.portrait(subject, SIZE))
        text = prompt(program, emotion, subject.attributes)
        nuisance = sample_nuisance(profile, program.timing, number)
        found.append(ClipRequest(portrait, program, nuisance, emotion, text, NEGATIVE_PROMPT, 2**62 + number))
    return found


# --- prompts


def test_every_prompt_names_its_aus_and_keeps_the_token_limit(folder: Path) -> None:
    tokenizer, _ = text_encoder(folder, options_from(TINY))
    attributes, timing = Attributes("Woman", None, 33.0), Timing(60, 64, 65, 69, 161, 24.0)
    assert token_bound(NEGATIVE_PROMPT) <= TOKEN_LIMIT
    for table in EMOTION_TABLES.values():
        for emotion, side in itertools.product(table.probabilities, SIDES):
            for aus, _ in au_sets(table.name, emotion):
                acts = [Activation(au, 3.0, side if ACTION_UNITS[au].lateral else "both") for au in aus]
                text = prompt(Program(tuple(acts), timing), emotion, attributes)
                assert len(tokenizer(text)["input_ids"]) <= token_bound(text) <= TOKEN_LIMIT
                for act in acts:
                    name = f"{'' if act.side == 'both' else act.side + ' '}{ACTION_UNITS[act.au].name} AU{act.au}"
                    assert f"marked {name}" in text


def test_a_long_prompt_drops_words_in_a_fixed_order_and_the_aus_last() -> None:
    program = Program((Activation(1, 2.0, "left"), Activation(4, 1.2)), Timing(60, 64, 65, 69, 161, 24.0))
    person = Attributes("Man", None, 40.0)
    texts = [prompt(program, "sadness", person, limit=limit) for limit in range(52, 129)]
    for told in ("camera", "about 40", "stay still", "seconds", "brow"):
        present = [told in text for text in texts]
        assert present == sorted(present) and any(present)
    assert "slight left AU1, trace AU4" in texts[0]
    assert "slight left inner brow raiser AU1, trace brow lowerer AU4" in texts[-1]
    with pytest.raises(ValueError, match=r"prompt of \d+ tokens for 2 AUs must have at most 20"):
        prompt(program, "sadness", person, limit=20)
    assert "micro-expression" not in prompt(Program((), program.timing), "neutral", person)


# --- options


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "audio"}, "mode='audio' must be one of prompt, keyframe"),
        ({"preset": "slow"}, "preset='slow' must be one of fast, float8, low_memory, least_memory"),
        ({"steps": 0}, r"steps=0 must be within 1\.\.1000"),
        ({"guidance_scale": 0.5}, r"guidance_scale=0\.5 must be within 1\.\.20"),
        ({"revision": "main"}, "revision='main' must be a commit of 40 hexadecimal digits"),
        ({"step_cache": 0.1, "batch": 2}, r"step_cache=0\.1 goes with batch=1, not 2"),
        ({"spets": 3}, "generator ltx: unknown key 'spets'"),
        ({"steps": "many"}, "generator ltx: steps='many' must be a whole number"),
    ],
)
def test_wrong_options_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        options_from({**TINY, **changes})


def test_options_of_a_plan_are_complete_and_plain(folder: Path) -> None:
    kept = check_options("ltx", {"mode": "keyframe"})
    assert kept["revision"] == content_hash(folder)
    assert kept["model"] == "tiny-ltx"
    assert kept["batch"] == PRESETS["fast"].batch
    assert options_from(kept).to_dict() == kept
    assert make_generator("ltx", kept).batch == kept["batch"]


@pytest.mark.parametrize(("frames", "made"), [(1, 1), (2, 9), (144, 145), (145, 145), (161, 161), (128, 129)])
def test_frames_are_made_in_eights_and_one(frames: int, made: int) -> None:
    assert frames_made(frames) == made


def test_sizes_are_multiples_of_32() -> None:
    with pytest.raises(ValueError, match="size=112 must be a multiple of 32 for generator ltx"):
        make_request(tiny_profile(size=112), SOURCE, seed=0, formats=None, generator="ltx")
    portrait = SOURCE.portrait(subjects()[0], 112)
    with pytest.raises(ValueError, match="height=112 must be a multiple of 32"):
        LtxGenerator(LtxOptions()).prepare(portrait)


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "diffusers" else find(name))
    with pytest.raises(
        ValueError, match=r"generator ltx needs diffusers; install it with: pip install 'equime\[ltx\]'"
    ):
        check_options("ltx", {})


# --- the model's place


def test_a_missing_model_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(ModelMissing) as error:
        check_options("ltx", {})
    assert "\n" not in str(error.value)
    for word in ("Lightricks/LTX-Video", "28 GB", f"${VARIABLE}", "hf download"):
        assert word in str(error.value)
    with pytest.raises(ModelMissing, match="at revision " + "a" * 40):
        find_pipeline(LtxOptions(revision="a" * 40))
    with pytest.raises(ModelMissing, match=r"`hf download Lightricks/LTX-Video-0\.9\.5 "):
        check_options("ltx", {"mode": "keyframe"})


def test_a_folder_that_is_not_the_plans_model_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options = pin(LtxOptions())
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "LICENSE").write_text("not a part of the pipeline")
    monkeypatch.setenv(VARIABLE, str(other))
    assert find_pipeline(options) == other
    with pytest.raises(ModelMissing, match="at revision " + "a" * 40):  # a folder tells no commit
        find_pipeline(LtxOptions(revision="a" * 40))
    with (other / "vae" / "diffusion_pytorch_model.safetensors").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelMissing, match=r"other \(\$EQUIME_LTX_MODEL\) has content sha256:.* is asked for"):
        find_pipeline(options)
    shutil.rmtree(other / "vae")
    with pytest.raises(ModelMissing, match="lacks vae"):
        find_pipeline(options)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(ModelMissing, match="no diffusers pipeline"):
        find_pipeline(options)


def test_a_model_in_the_hubs_cache_is_pinned_by_its_commit(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commit, cached = "0123456789" * 4, tmp_path / "hub" / "models--Lightricks--LTX-Video"
    shutil.copytree(folder, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.delenv(VARIABLE)
    kept = check_options("ltx", TINY)
    assert (kept["model"], kept["revision"]) == ("Lightricks/LTX-Video", commit)
    assert find_pipeline(options_from(kept)) == cached / "snapshots" / commit
    monkeypatch.setenv(VARIABLE, str(folder))  # another place does not stand for a commit
    assert find_pipeline(options_from(kept)) == cached / "snapshots" / commit


# --- pictures


def test_planes_are_those_of_the_warp_generator() -> None:
    image = SOURCE.portrait(subjects()[0], SIZE).image
    video = torch.from_numpy(image.copy()).permute(2, 0, 1)[:, None].float() / 127.5 - 1
    planes = planes_from_video(video)
    luma, chroma = luma_and_chroma(image)
    assert np.array_equal(planes[0, :SIZE], luma)
    halves = planes[0, SIZE:].reshape(2, SIZE // 2, SIZE // 2)
    assert np.abs(halves.astype(int) - chroma[::2, ::2].transpose(2, 0, 1)).max() <= 1
    back = rgb_from_planes(planes[0], (SIZE, SIZE))
    assert np.abs(back.astype(int) - image).mean() < 3


def test_a_compressed_picture_is_the_same_picture_and_the_same_twice() -> None:
    image = SOURCE.portrait(subjects()[0], SIZE).image
    once = compressed(image)
    assert once.shape == image.shape and 0.5 < np.abs(once.astype(int) - image).mean() < 8
    assert np.array_equal(once, compressed(image))


# --- texts


def test_a_text_is_encoded_once_and_does_not_depend_on_its_neighbors(folder: Path) -> None:
    loads = []

    def load() -> tuple[Any, Any]:
        loads.append(1)
        return text_encoder(folder, options_from(TINY))

    texts, alone = Texts(load, torch.device("cpu")), Texts(load, torch.device("cpu"))
    many = [f"a neutral face {number}" for number in range(AT_ONCE + 3)]
    found = texts.embed(many)
    again = texts.embed([many[-1], many[0]])
    assert again[0] is found[-1] and again[1] is found[0] and loads == [1]
    for text, embedding in zip(many, found, strict=True):
        one = alone.embed([text])[0]
        assert torch.equal(one.states, embedding.states) and torch.equal(one.mask, embedding.mask)


def test_a_text_that_is_too_long_is_an_error_and_not_cut(folder: Path) -> None:
    texts = Texts(lambda: text_encoder(folder, options_from(TINY)), torch.device("cpu"))
    with pytest.raises(ValueError, match="a prompt of 141 tokens must have at most 128"):
        texts.embed(["face " * 140])


# --- drawing


@pytest.mark.parametrize("mode", ["prompt", "keyframe"])
def test_a_clip_alone_and_in_a_batch_is_the_same(mode: str) -> None:
    generator = LtxGenerator(pin(options_from({**TINY, "batch": 3, "mode": mode})))
    requests = requests_for(generator, 4)
    clips = generator.render(requests)
    assert [clip.shape for clip in clips] == [(FRAMES, SIZE * 3 // 2, SIZE)] * 4
    assert {clip.dtype for clip in clips} == {np.dtype(np.uint8)}
    for request, clip in zip(requests, clips, strict=True):
        assert np.array_equal(generator.render([request])[0], clip)
    for one, other in itertools.combinations(clips, 2):
        assert not np.array_equal(one, other)
    turned = generator.render(requests[2::-1])
    assert all(np.array_equal(one, other) for one, other in zip(turned, clips[2::-1], strict=True))
    assert not np.array_equal(generator.render([replace(requests[0], seed=1)])[0], clips[0])


def test_a_vae_with_a_timestep_decodes_each_clip_with_its_own_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(save_tiny_pipeline(tmp_path / "timed", timestep_conditioning=True)))
    generator = LtxGenerator(pin(options_from({**TINY, "batch": 2})))
    requests = requests_for(generator, 2)
    clips = generator.render(requests)
    assert np.array_equal(generator.render(requests[1:])[0], clips[1])
    quiet = replace(generator.options, decode_noise_scale=0.0)
    assert not np.array_equal(LtxGenerator(quiet).render(requests)[0], clips[0])


def test_the_step_cache_forgets_between_clips() -> None:
    generator = LtxGenerator(pin(options_from({**TINY, "steps": 6, "step_cache": 0.5})))
    exact = LtxGenerator(replace(generator.options, step_cache=0.0))
    requests = requests_for(generator, 2)
    clips = generator.render(requests)
    assert np.array_equal(generator.render(requests[1:])[0], clips[1])
    assert not np.array_equal(exact.render(requests[:1])[0], clips[0])


@pytest.mark.parametrize("preset", ["fast", "least_memory"])
def test_presets_draw_on_a_cpu(preset: str) -> None:
    generator = LtxGenerator(
        pin(options_from({**TINY, "preset": preset, "picture": "compressed", "guidance_scale": 1.0}))
    )
    assert generator.render(requests_for(generator, 1))[0].std() > 1


def test_arithmetic_in_8_bits_needs_a_gpu_that_can() -> None:
    with pytest.raises(ValueError, match=r"8 bits needs a GPU of compute capability 8\.9 or more"):
        from_disk(pin(options_from({**TINY, "preset": "float8"})), torch.device("cpu"))


def test_a_layer_in_8_bits_is_nearly_the_layer() -> None:
    draws = torch.Generator().manual_seed(0)
    linear = torch.nn.Linear(64, 48).to(torch.bfloat16)
    tokens = torch.randn(2, 32, 64, generator=draws).mul_(torch.tensor([1e-3, 1e3])[:, None, None]).to(torch.bfloat16)
    exact, small = linear(tokens).float(), Float8Linear(linear)(tokens).float()
    for one, other in zip(exact, small, strict=True):  # each token has a scale of its own
        assert 0 < (one - other).norm() / one.norm() < 0.06


def test_clips_of_one_batch_have_one_form() -> None:
    generator = LtxGenerator(pin(options_from({**TINY, "batch": 2})))
    one, other = requests_for(generator, 2)
    timing = replace(other.program.timing, fps=50.0)
    with pytest.raises(ValueError, match="one size, length and frame rate"):
        generator.render([one, replace(other, program=replace(other.program, timing=timing))])


# --- keyframes


def test_anchors_are_the_events_frames() -> None:
    timing = Timing(20, 26, 28, 40, 78, 100.0)
    assert [anchor.frame for anchor in anchors(timing, "event")] == [0, 20, 26, 40, 77]
    assert [anchor.frame for anchor in anchors(timing, "apex")] == [0, 26, 77]
    for kind in ("event", "apex"):
        assert [anchor.frame for anchor in anchors(timing, kind) if anchor.apex] == [26]
    assert [anchor.frame for anchor in anchors(replace(timing, onset=0), "event")][:2] == [0, 1]


def test_the_apex_picture_is_the_warp_generators_apex_frame() -> None:
    generator = LtxGenerator(pin(options_from(TINY)))
    request = requests_for(generator, 1)[0]
    frames = request.program.timing.frames
    still = Nuisance(np.zeros((frames, 3), np.float32), None, 0, 0.0)
    clip = request.portrait.warp.render(request.program, still)
    apex = rgb_from_planes(clip[request.program.timing.apex], (SIZE, SIZE))
    assert np.array_equal(request.portrait.apex(request.program), apex)
    assert np.array_equal(request.portrait.neutral(), rgb_from_planes(clip[0], (SIZE, SIZE)))
    assert not np.array_equal(apex, request.portrait.neutral())


@pytest.mark.parametrize("kind", ["event", "apex"])
def test_the_apex_condition_is_the_warp_apex(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the apex's time stand, for each clip, the latents of its warp apex picture, to the last bit."""
    generator = LtxGenerator(pin(options_from({**TINY, "mode": "keyframe", "batch": 2, "anchors": kind})))
    requests, seen = requests_for(generator, 2), []
    prepare = AnchoredPipeline.prepare_latents

    def spy(self: Any, *arguments: Any, **named: Any) -> Any:
        seen.append(prepare(self, *arguments, **named))
        return seen[-1]

    monkeypatch.setattr(AnchoredPipeline, "prepare_latents", spy)
    generator.render(requests)
    latents, mask, places, extra = seen[0]
    pipe = generator.load()[0]
    tokens = (SIZE // 32) ** 2
    for clip, request in enumerate(requests):
        places_of_anchors = anchors(request.program.timing, kind)
        assert extra == tokens * (len(places_of_anchors) - 1)
        draws = torch.Generator().manual_seed(request.seed)
        torch.randn((1, 8, 11, 3, 3), generator=draws)  # the noise that becomes the video
        start = 0
        for anchor in places_of_anchors:
            picture = request.portrait.apex(request.program) if anchor.apex else request.portrait.neutral()
            pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None, :, None].float() / 127.5 - 1
            with torch.no_grad():
                wanted = pipe.vae.encode(pixels).latent_dist.sample(draws)
            wanted = pipe._normalize_latents(wanted, pipe.vae.latents_mean, pipe.vae.latents_std)
            packed = pipe._pack_latents(wanted)[0]
            if anchor.frame == 0:
                assert torch.equal(latents[clip, extra : extra + tokens], packed)
                continue
            torch.randn(wanted.shape, generator=draws)
            here = slice(start, start + tokens)
            assert torch.equal(latents[clip, here], packed)
            assert set(places[clip, 0, here].tolist()) == {float(anchor.frame)}
            assert (mask[clip, here] == 1).all()
            start += tokens


# --- the whole way


@pytest.fixture
def _noise_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights show no AUs; this is about the way, not about what is seen."""
    monkeypatch.setattr(samples, "LEAST_MOTION_RATIO", 0.0)


def ltx_request(mode: str) -> Request:
    options = check_options("ltx", {**TINY, "mode": mode, "batch": 2})
    return Request(tiny_profile(), SOURCE, 0, "ltx", options)


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from equime_builder import samples
from equime_builder.build import build
from test_ltx import ltx_request
samples.LEAST_MOTION_RATIO = 0.0
build(Path(sys.argv[1]), ltx_request("keyframe"))
"""


@pytest.mark.usefixtures("_noise_passes")
def test_a_build_by_prompt_is_whole(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "equime"
    assert build(root, ltx_request("prompt"))
    assert verify(root) == []
    rows = pq.read_table(root / "index.parquet").to_pylist()
    assert len(rows) == 6
    for row in rows:
        assert (row["generator"], row["model"], row["model_revision"]) == ("ltx", "tiny-ltx", content_hash(folder))
        assert row["frames"] == FRAMES and "AU" in row["prompt"] and row["negative_prompt"] == NEGATIVE_PROMPT
        assert row["sway_px"] is row["blink_frame"] is row["noise_sigma"] is None
    assert len({row["size_bytes"] for row in rows}) > 1


@pytest.mark.usefixtures("_noise_passes")
def test_a_killed_build_by_keyframes_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert build(whole, ltx_request("keyframe"))
    assert verify(whole) == []
    command = [sys.executable, "-c", CHILD, str(killed), str(Path(__file__).parent)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    commits = killed / "__manifest__" / "shards"
    until = time.monotonic() + 60
    while not list(commits.glob("*.json")) and child.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert 1 <= len(list(commits.glob("*.json"))) < 3
    assert build(killed, ltx_request("keyframe"))
    assert tree(killed) == tree(whole)
