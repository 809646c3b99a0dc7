"""Capacity planning: costs are proportional to clips, come from clips of the very plan or from a table with origins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import small_request
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from equime_builder.build import Request, plan_for
from equime_builder.capacity import (
    BYTES,
    CPU,
    GPU,
    NOTHING,
    Cost,
    Rate,
    Spread,
    estimate,
    measure,
    read_rates,
    sampled,
    shipped,
)
from equime_builder.cli import app
from equime_builder.generators import GENERATORS, Kind, check_options
from equime_builder.generators.protocol import ClipRequest
from equime_builder.generators.warped import WarpGenerator
from equime_builder.models import ModelMissing
from equime_builder.plan import Plan
from equime_builder.profiles import load_profile
from equime_builder.sources.drawn import ProceduralSource


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_for(small_request())


def rate(part: str, quantity: str, value: float, profile: str = "any") -> Rate:
    return Rate(part, profile, quantity, Spread(value, value / 2, value * 2), "a test")


def test_a_spread_is_in_order_and_weighted() -> None:
    assert Spread.of([1.0, 4.0], [3, 1]) == Spread(1.75, 1.0, 4.0)
    assert Spread(2, 1, 3) * 2 + Spread(1, 1, 1) == Spread(5, 3, 7)
    for wrong in ((1, 2, 3), (2, 1, 1), (0, -1, 0), (float("nan"), 0, 1), (1, 0, float("inf"))):
        with pytest.raises(ValueError, match="must be in order, and not negative"):
            Spread(*wrong)
    assert str(Spread(0.51234, 0.4, 0.6)) == "0.512 (0.4 to 0.6)"
    assert str(Spread(75_000, 75_000, 75_000)) == "75,000"


def test_costs_are_proportional_to_clips_and_shared_by_workers(plan: Plan) -> None:
    size = Spread(1e6, 1e6, 2e6)
    cost = Cost(Spread(3600, 1800, 7200), NOTHING, {"webdataset": size, "parquet": size}, "a test")
    found = estimate(plan, cost, workers=3)
    assert found.cpu_hours == Spread(12, 6, 24)
    assert found.gpu_hours == NOTHING
    assert found.gigabytes == pytest.approx(Spread(0.024, 0.024, 0.048), abs=1e-9) or found.gigabytes.middle == 0.024
    assert found.minutes.middle == pytest.approx(240)
    with pytest.raises(ValueError, match="workers=0 must be at least 1"):
        estimate(plan, cost, workers=0)


def test_the_shipped_table_is_whole() -> None:
    rates = read_rates()
    assert len({(row.part, row.profile, row.quantity) for row in rates}) == len(rates)
    assert {row.part for row in rates} <= {*GENERATORS, "audit"}
    assert all(row.value.middle > 0 for row in rates)
    with pytest.raises(ValueError, match="origin must say how it was measured"):
        Rate("warp", "any", CPU, NOTHING, "")
    with pytest.raises(ValueError, match="quantity=tons must be one of cpu_seconds, gpu_seconds, bytes"):
        Rate("warp", "any", "tons", NOTHING, "a test")


@pytest.mark.parametrize("name", ["micro", "paper", "readme", "demo"])
def test_every_shipped_profile_has_a_rate(name: str) -> None:
    made = plan_for(Request(load_profile(name, subjects=3), ProceduralSource()))
    cost = shipped(made, read_rates())
    assert cost is not None
    assert 0.01 < cost.cpu_s.middle < 30
    assert cost.gpu_s == NOTHING
    header = {**made.header, "generator": "ltx", "generator_options": check_options("ltx", {}, pin=False)}
    drawn = shipped(replace(made, header=header), read_rates())
    assert drawn is not None
    assert 0.5 < drawn.gpu_s.least < drawn.gpu_s.middle < 10


def test_a_profile_has_its_own_row_and_an_unknown_part_has_none(plan: Plan) -> None:
    megapixels = plan.profile.frames * plan.profile.size**2 / 1e6
    general = [rate("warp", CPU, 1.0), rate("warp", BYTES, 10.0)]
    found = shipped(plan, [*general, rate("warp", CPU, 3.0, plan.profile.name)])
    assert found is not None
    assert found.cpu_s.middle == pytest.approx(3 * megapixels)
    assert found.bytes["parquet"].middle == pytest.approx(10 * megapixels)
    assert shipped(plan, general[:1]) is None
    audited = Plan({**plan.header, "audit": True}, plan.clips, plan.portraits)
    assert shipped(audited, general) is None
    both = shipped(audited, [*general, rate("audit", CPU, 2.0)])
    assert both is not None
    assert both.cpu_s.middle == pytest.approx(3 * megapixels)


def test_a_model_costs_by_its_steps(plan: Plan) -> None:
    header = {**plan.header, "generator": "ltx", "generator_options": {"steps": 40}}
    rates = [rate("ltx", CPU, 1.0), rate("ltx", GPU, 0.5), rate("ltx", BYTES, 1.0)]
    found = shipped(Plan(header, plan.clips, plan.portraits), rates)
    assert found is not None
    assert found.gpu_s.middle == pytest.approx(20 * plan.profile.frames * plan.profile.size**2 / 1e6)
    assert shipped(Plan(header, plan.clips, plan.portraits), rates[:1] + rates[2:]) is None


@settings(max_examples=200)
@given(st.data())
def test_measured_clips_are_spread_over_the_plan(plan: Plan, data: st.DataObject) -> None:
    total = plan.header["clips"]
    clips, batch = data.draw(st.integers(1, total)), data.draw(st.integers(1, 9))
    parts = sampled(plan, clips, batch)
    rows = [row for part in parts for row in part]
    assert len(rows) == clips == len(set(rows))
    assert all(part == list(range(part[0], part[0] + len(part))) for part in parts)
    assert set(rows) <= set(range(total))
    assert parts[0][0] == 0


def test_measuring_makes_clips_of_the_plan_and_leaves_nothing(
    plan: Plan, built: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cost = measure(plan, ProceduralSource(), 12)
    assert cost.gpu_s == NOTHING
    assert 0 < cost.cpu_s.least <= cost.cpu_s.most < 5
    assert cost.origin == "12 clips of this plan in 6 parts, made on this machine"
    whole = sum(path.stat().st_size for path in built.glob("wds/*.tar"))
    assert cost.bytes["webdataset"].middle * 12 == pytest.approx(whole, rel=0.25)
    assert not list(tmp_path.iterdir())
    for wrong in (0, 13):
        with pytest.raises(ValueError, match=rf"--measure {wrong} must lie within 1\.\.12, the clips of the plan"):
            measure(plan, ProceduralSource(), wrong)


def test_a_gpu_is_timed_while_it_draws(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    warp = GENERATORS["warp"]
    monkeypatch.setitem(GENERATORS, "warp", Kind(warp.check, lambda _: WarpGenerator(on_gpu=True), needs_gpu=True))
    cost = measure(plan, ProceduralSource(), 2)
    assert cost.gpu_s.middle > 0
    assert cost.cpu_s.middle > 0
    monkeypatch.setitem(GENERATORS, "warp", Kind(warp.check, warp.make, needs_gpu=True))
    cost = measure(plan, ProceduralSource(), 2)
    assert cost.gpu_s == NOTHING
    assert cost.origin == "2 clips of this plan in one part, drawn by the processor of this machine"


class Dawn(WarpGenerator):
    """Clips that get brighter everywhere: none is accepted."""

    def render(self, requests: Sequence[ClipRequest]) -> list[NDArray[np.uint8]]:
        clips = super().render(requests)
        return [np.zeros_like(clip) + np.arange(len(clip), dtype=np.uint8)[:, None, None] for clip in clips]


def test_how_many_clips_were_accepted_is_told_and_disk_is_theirs(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    warp = GENERATORS["warp"]
    monkeypatch.setitem(GENERATORS, "warp", Kind(warp.check, lambda _: Dawn()))
    cost = measure(plan, ProceduralSource(), 2)
    assert cost.origin == "2 clips of this plan in one part, made on this machine; 0 of them accepted"
    assert cost.bytes == {} and cost.cpu_s.middle > 0
    assert estimate(plan, cost).gigabytes is None


def test_the_command_tells_what_it_measured(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "equime_builder", "plan", "--profile", "demo", "--size", "128"]
    command += ["--frames", "80", "--subjects", "4", "--workers", "2"]
    done = subprocess.run([*command, "--measure", "4", "--json"], capture_output=True, text=True, check=True)
    facts = json.loads(done.stdout)
    assert facts["rate"] == "4 clips of this plan in one part, made on this machine"
    assert facts["estimated_minutes"] == pytest.approx(facts["estimated_cpu_hours"] * 30, rel=1e-3)
    assert facts["spreads"]["estimated_gigabytes"]["middle"] == facts["estimated_gigabytes"] > 0
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "200"})
    assert "estimated gpu hours: 0\n" in done.stdout
    assert "scripts/" in done.stdout or "equime plan" in done.stdout


def test_a_model_that_is_not_here_costs_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EQUIME_LTX_MODEL", str(tmp_path / "none"))
    command = ["plan", "--profile", "readme", "--subjects", "3", "--generator", "ltx", "--json"]
    app(command, standalone_mode=False)
    facts = json.loads(capsys.readouterr().out)
    assert facts["estimated_gpu_hours"] > 0
    assert facts["plan_sha256"] is None and str(tmp_path / "none") in facts["lacking"]
    with pytest.raises(ModelMissing):
        app([*command, "--measure", "1"], standalone_mode=False)
    with pytest.raises(ValueError, match="must be a multiple of 32 for generator ltx"):
        app([*command, "--size", "112"], standalone_mode=False)
