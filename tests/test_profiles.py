"""Profiles: the shipped ones are what is published, and a user's own is read with care."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime_builder.profiles import (
    Event,
    Marginals,
    Profile,
    Video,
    load_profile,
    profile_from_dict,
    shipped_profiles,
)
from equime_loader.schema import EMOTIONS, RACES

PAPER_EMOTIONS = ("happiness", "sadness", "surprise", "disgust", "anger")
README_EMOTIONS = ("happiness", "sadness", "surprise", "fear", "anger")
PUBLISHED = {
    "micro": (256, 100, 128, EMOTIONS, 48),
    "paper": (256, 24, 161, PAPER_EMOTIONS, 15_000),
    "paper-selection": (256, 24, 161, PAPER_EMOTIONS, 15_000),
    "readme": (512, 24, 144, README_EMOTIONS, 20_000),
    "demo": (256, 100, 128, PAPER_EMOTIONS, 24),
}


@pytest.fixture
def written(tmp_path: Path):
    """Writes a profile file that has its two required keys, and gives its path."""

    def write(lines: str) -> str:
        path = tmp_path / "mine.toml"
        path.write_text(f'name = "mine"\nfollows = "nothing"\n{lines}\n', encoding="utf-8")
        return str(path)

    return write


def test_these_profiles_are_shipped() -> None:
    assert set(shipped_profiles()) == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_shipped_profiles_have_the_published_form(name: str) -> None:
    profile = load_profile(name)
    form = (profile.size, profile.fps, profile.frames, profile.emotions, profile.subjects)
    assert form == PUBLISHED[name]
    assert profile.name == name
    assert profile.follows


def test_paper_has_disgust_and_readme_has_fear() -> None:
    paper, readme = load_profile("paper"), load_profile("readme")
    assert "disgust" in paper.emotions and "fear" not in paper.emotions
    assert "fear" in readme.emotions and "disgust" not in readme.emotions
    assert paper.subjects * len(paper.emotions) == 75_000
    assert readme.subjects * len(readme.emotions) == 100_000
    assert round(readme.frames / readme.fps, 1) == 6.0


@pytest.mark.parametrize("name", PUBLISHED)
def test_shipped_profiles_draw_adults_and_all_groups_alike(name: str) -> None:
    marginals = load_profile(name).marginals
    assert "0-19" not in marginals.age
    assert set(marginals.race) == set(RACES)
    assert len(set(marginals.race.values())) == len(set(marginals.gender.values())) == 1


def test_a_users_profile(written) -> None:
    profile = load_profile(
        written(
            "size = 128\nfps = 200\nframes = 200\nemotions = ['fear']\nintensity = [1, 2.5]\nsplit = [1, 0, 0]\n"
            "[event]\nmean_ms = 300\nlongest_ms = 400\n[video]\ncrf = 12\npreset = 'slow'\n"
            "[marginals.gender]\nWoman = 3\nMan = 1\n"
        )
    )
    assert profile == Profile(
        "mine",
        "nothing",
        size=128,
        fps=200,
        frames=200,
        emotions=("fear",),
        intensity=(1, 2.5),
        split=(1, 0, 0),
        event=Event(mean_ms=300, longest_ms=400),
        video=Video(12, "slow"),
        marginals=Marginals(gender={"Woman": 3, "Man": 1}),
    )


def test_whole_numbers_are_floats_where_floats_belong(written) -> None:
    """`--fps 24` and `fps = 24` are the same plan, and Parquet and JSON the same text."""
    profile = load_profile(written("fps = 24\nnoise_sigma = 1\nintensity = [1, 2]\nsplit = [1, 0, 0]"))
    numbers = (profile.fps, profile.noise_sigma, *profile.intensity, *profile.split, load_profile("paper").fps)
    assert {type(number) for number in numbers} == {float}
    assert json.dumps(load_profile("paper").to_dict()) == json.dumps(load_profile("paper", fps=24).to_dict())


def test_overrides_replace_and_none_does_not() -> None:
    profile = load_profile("micro", subjects=7, fps=None, emotions=("anger",))
    assert (profile.subjects, profile.fps, profile.emotions) == (7, 100, ("anger",))
    with pytest.raises(ValueError, match=r"^subjects=0 must be within 1\.\.1000000$"):
        load_profile("micro", subjects=0)
    with pytest.raises(ValueError, match=r"^unknown key 'subject'; known: name, follows, size"):
        load_profile("micro", subject=3)


WRONG = {
    # unknown keys and wrong types name the key
    "color = 1": "unknown key 'color'; known: name, follows, size, fps",
    "[event]\ncolor = 1": "unknown key 'event.color'; known: mean_ms, sd_ms",
    "fps = '24'": "fps='24' must be a finite number",
    "fps = nan": "fps=nan must be a finite number",
    "size = 256.0": "size=256.0 must be a whole number",
    "size = true": "size=True must be a whole number",
    "frames = 128.5": "frames=128.5 must be a whole number",
    "au_table = 3": "au_table=3 must be text",
    "emotions = 'happiness'": "emotions='happiness' must be a list",
    "emotions = [1]": r"emotions\[0\]=1 must be text",
    "intensity = 1.0": "intensity=1.0 must be a list",
    "intensity = [1]": r"intensity=\[1\] must be a list of 2 values",
    "split = [0.5, 0.5, '0']": r"split\[2\]='0' must be a finite number",
    "event = 5": "event=5 must be a table",
    "[event]\nsd_ms = inf": "event.sd_ms=inf must be a finite number",
    "[event]\napex_beta = [1, 2, 3]": r"event.apex_beta=\[1, 2, 3\] must be a list of 2 values",
    "[video]\ncrf = '16'": "video.crf='16' must be a whole number",
    "[marginals]\ngender = ['Woman']": r"marginals.gender=\['Woman'\] must be a table",
    "[marginals.race]\nblack = 'many'": "marginals.race.black='many' must be a finite number",
    # bounds name key, value and bound
    "size = 250": r"size=250 must be a multiple of 16 in 64\.\.1024",
    "size = 2048": r"size=2048 must be a multiple of 16 in 64\.\.1024",
    "fps = 10": r"fps=10.0 must be a whole number within 12\.\.500",
    "fps = 29.97": r"fps=29.97 must be a whole number within 12\.\.500",
    "frames = 70": "frames=70 must be at least 76 at 100 fps: an event of up to 500 ms needs neutral frames",
    "frames = 5001": "frames=5001 must be at most 5000",
    "subjects = 0": r"subjects=0 must be within 1\.\.1000000",
    "sequences = 1000": r"sequences=1000 must be within 1\.\.999",
    "sequences = 999\nablations = 2": r"sequences \* \(1 \+ ablations\)=2997 must be at most 1000",
    "intensity = [2, 1]": r"intensity=\(2.0, 1.0\) must be 0.01 <= low <= high <= 5.0",
    "intensity = [0, 1]": r"intensity=\(0.0, 1.0\) must be 0.01 <= low",
    "intensity = [1, 6]": r"intensity=\(1.0, 6.0\) must be 0.01 <= low <= high <= 5.0",
    "intensity = [1, 1]\nablations = 1": r"intensity=\(1.0, 1.0\) must be a range of at least 0\.1 where there are abl",
    "label_noise = -1": r"label_noise=-1.0 must be within 0\.\.10",
    "sway_px = 3": r"sway_px=3.0 must be within 0\.\.2: more reads as head motion",
    "blink_probability = 1.1": r"blink_probability=1.1 must be within 0\.\.1",
    "noise_sigma = 9": r"noise_sigma=9.0 must be within 0\.\.8",
    "shared_program_subjects = 0": r"shared_program_subjects=0 must be within 1\.\.10000",
    "ablations = -1": "ablations=-1 must be 0 or more",
    "ablations = 3": r"ablations=3 must lie within 0\.\.2: a program of \w+ may be just AU\d+, which can be",
    "ablations = 11\nau_table = 'facs'": r"ablations=11 must lie within 0\.\.10: a program of \w+ may be just AU",
    "shard_samples = 0": r"shard_samples=0 must be within 1\.\.5000",
    "split = [0.5, 0.5, 0.5]": r"split=\(0.5, 0.5, 0.5\) must be 3 shares \(train, validation, test\) that add up to 1",
    "split = [1.5, -0.5, 0]": "split=.* that add up to 1",
    "emotions = ['joy']": r"emotions=joy: each must be one of happiness, .*, once \(unknown: joy\)",
    "emotions = ['fear', 'fear']": "emotions=fear, fear: each must be one of .*, once",
    "emotions = []": "emotions=none: each must be one of",
    "au_table = 'mine'": "au_table='mine' must be one of corpora, facs, paper",
    "[event]\nlongest_ms = 700": "event.shortest_ms=120.0, event.longest_ms=700.0 must .* <= 500.0: a longer event is",
    "[event]\nshortest_ms = 500": "event.shortest_ms=500.0, event.longest_ms=500.0 must satisfy 0 < shortest < longest",
    "[event]\nmean_ms = 50": r"event.mean_ms=50.0 must lie within 120.0\.\.500.0 ms",
    "[event]\nsd_ms = 0": "event.sd_ms=0.0 must be above 0 and at most 10000",
    "[event]\nplateau_ms = -1": r"event.plateau_ms=-1.0 must lie within 0\.\.500.0 ms",
    "[event]\napex_beta = [0, 1]": r"event.apex_beta=\(0.0, 1.0\) must lie within 0.1\.\.100",
    "fps = 12\n[event]\nlongest_ms = 130\nmean_ms = 125": "fps=12.0: an event of at most 130.0 ms has no two frames",
    "[video]\ncrf = 41": r"video.crf=41 must lie within 0\.\.40",
    "[video]\npreset = 'placebo'": "video.preset='placebo' must be one of ultrafast, .*, veryslow",
    "[marginals.race]\ngreen = 1": "marginals.race: 'green' must be one of asian, indian",
    "[marginals.age]\n'20-29' = -1": r"marginals.age: 20-29 = -1.0 must lie within 0\.\.1e\+12",
    "[marginals.gender]\nWoman = 0": "marginals.gender: at least one weight must be positive",
}


@pytest.mark.parametrize(("lines", "message"), WRONG.items(), ids=WRONG)
def test_mistakes_are_named_with_file_key_value_and_bound(written, lines: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^profile .*mine\.toml: {message}"):
        load_profile(written(lines))


def test_a_value_that_does_not_go_with_a_change_is_named_with_its_file(written) -> None:
    path = written("frames = 80")
    with pytest.raises(ValueError, match=r"^profile .*mine\.toml: frames=80 must be at least .* at 300 fps"):
        load_profile(path, fps=300)
    with pytest.raises(ValueError, match=r"^frames=70 must be at least"):
        load_profile(path, frames=70)


def test_files_that_are_no_profiles(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^profile 'tiny' is neither shipped \(demo, .*\) nor a \.toml file$"):
        load_profile("tiny")
    with pytest.raises(ValueError, match=r"none\.toml' is neither shipped"):
        load_profile(str(tmp_path / "none.toml"))
    bad = tmp_path / "bad.toml"
    bad.write_text("name = ", encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.toml: not valid TOML: Invalid value"):
        load_profile(str(bad))
    bad.write_bytes(b'name = "\xff"')
    with pytest.raises(ValueError, match=r"bad\.toml: cannot be read as UTF-8 text"):
        load_profile(str(bad))
    bad.write_text("size = 256", encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.toml: key 'name' is missing$"):
        load_profile(str(bad))


@given(
    st.sampled_from(sorted(PUBLISHED)),
    st.fixed_dictionaries(
        {},
        optional={
            "size": st.sampled_from((64, 144, 1024)),
            "fps": st.integers(12, 100).map(float),
            "subjects": st.integers(1, 10**6),
            "emotions": st.lists(st.sampled_from(EMOTIONS), min_size=1, unique=True).map(tuple),
            "intensity": st.tuples(st.floats(0.01, 2), st.floats(2, 5)),
            "noise_sigma": st.floats(0, 8),
            "event": st.builds(Event, st.floats(200, 400), st.floats(1, 100)),
            "marginals": st.builds(
                lambda weights: Marginals(race=weights),
                st.dictionaries(st.sampled_from(RACES), st.floats(0.01, 100), min_size=1),
            ),
        },
    ),
)
@settings(max_examples=40)
def test_profiles_survive_json(name: str, changes: dict[str, object]) -> None:
    profile = load_profile(name, **changes)
    text = json.dumps(profile.to_dict())
    assert profile_from_dict(json.loads(text), where="plan") == profile
    assert json.dumps(profile_from_dict(json.loads(text), where="plan").to_dict()) == text


def test_where_a_plain_table_came_from_is_said() -> None:
    with pytest.raises(ValueError, match=r"^plan: size=1 must be a multiple of 16"):
        profile_from_dict({"name": "a", "follows": "b", "size": 1}, where="plan")
