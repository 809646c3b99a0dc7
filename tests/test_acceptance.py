"""Accepting, trying again and topping up: what becomes of clips that do not show their label."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import small_profile, tree
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from equime_builder import manifest
from equime_builder.acceptance import Fate, Judged, acceptance, acceptance_of, count_fates, count_reasons, wilson
from equime_builder.build import Request, build, plan_for
from equime_builder.cli import app
from equime_builder.generators import make_generator
from equime_builder.manifest import FolderError
from equime_builder.plan import PlannedClip
from equime_builder.portrait_table import subject_from_row
from equime_builder.portraits import Rejection
from equime_builder.profiles import Acceptance, Profile
from equime_builder.repair import repair
from equime_builder.samples import Sample, draw_attempt
from equime_builder.shard_build import Making, make_clips
from equime_builder.sources.drawn import ProceduralSource
from equime_builder.top_up import cell_of, lacking, stand_ins
from equime_builder.verify import verify


@dataclass(frozen=True)
class Verdict:
    """What the build takes from an audit."""

    reasons: tuple[str, ...]

    def labels(self) -> dict[str, object]:
        return {"audit_verdict": "rejected" if self.reasons else "accepted"}


@dataclass
class Judge:
    """Refuses the first clips that it sees, each for the reasons given."""

    answers: list[tuple[str, ...]]
    seen: list[bytes] = field(default_factory=list)

    def judge(self, video: bytes, _claim: object, _portrait: object) -> Verdict:
        self.seen.append(video)
        return Verdict(self.answers.pop(0) if self.answers else ())


def making(judge: Judge, profile: Profile) -> tuple[Making, list[PlannedClip]]:
    source = ProceduralSource()
    plan = plan_for(Request(profile, source))
    subjects = {row["subject"]: subject_from_row(row) for row in plan.portraits.to_pylist()}
    clips = [PlannedClip(**row) for row in plan.clips.to_pylist()]
    return Making(profile, source, make_generator("warp", {}), subjects, judge), clips


def quick(**changes: object) -> Profile:
    return small_profile(subjects=1, split=(1.0, 0.0, 0.0), **changes)


def test_a_refused_clip_is_drawn_again_until_it_is_accepted() -> None:
    judge = Judge([("frozen",), ("head moves", "too long"), ()])
    made, clips = making(judge, quick(acceptance={"attempts": 3}))
    first, second = make_clips(made, clips)
    assert isinstance(first, Sample) and isinstance(second, Sample)
    assert first.labels["attempt"] == 2 and second.labels["attempt"] == 0
    assert first.labels["audit_verdict"] == "accepted"
    assert len(set(judge.seen)) == len(judge.seen) == 4


def test_a_clip_that_is_never_accepted_is_refused_with_the_fewest_reasons() -> None:
    made, clips = making(Judge([("one", "two"), ("three",)]), quick(acceptance={"attempts": 2}))
    refused, other = make_clips(made, clips)
    assert refused == Rejection(clips[0].key, "three (best of 2 attempts)")
    assert isinstance(other, Sample)


def test_the_best_attempt_may_stay_with_its_verdict() -> None:
    made, clips = making(Judge([("one",), ("two", "three")]), quick(acceptance={"attempts": 2, "keep_best": True}))
    kept = next(make_clips(made, clips))
    assert isinstance(kept, Sample)
    assert (kept.labels["attempt"], kept.labels["audit_verdict"]) == (0, "rejected")


@pytest.mark.parametrize("shared", [1, 4])
def test_a_later_attempt_keeps_the_program_where_others_share_it(shared: int) -> None:
    made, clips = making(Judge([]), quick(shared_program_subjects=shared))
    portrait = made.generator.prepare(made.source.portrait(made.subjects[clips[0].subject], made.profile.size))
    subject = made.subjects[clips[0].subject]
    first, second = (draw_attempt(made.profile, clips[0], subject, portrait, number) for number in (0, 1))
    assert first.request.seed != second.request.seed
    assert first.request.nuisance.noise_seed != second.request.nuisance.noise_seed
    assert (first.program_seed == second.program_seed) == (shared > 1)
    assert (first.request.program == second.request.program) == (shared > 1)


def test_a_clip_and_its_ablations_are_tried_and_refused_together() -> None:
    profile = quick(emotions=("happiness",), ablations=1, acceptance={"attempts": 2})
    made, clips = making(Judge([(), ("frozen",)]), profile)
    both = list(make_clips(made, clips))
    assert [one.labels["attempt"] for one in both if isinstance(one, Sample)] == [1, 1]
    assert len({one.labels["sway_px"] for one in both if isinstance(one, Sample)}) == 1
    made, clips = making(Judge([(), ("frozen",), (), ("frozen", "faint")]), profile)
    first, second = make_clips(made, clips)
    assert first == Rejection(clips[0].key, "left out with its counterfactual (best of 2 attempts)")
    assert second == Rejection(clips[1].key, "frozen (best of 2 attempts)")


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_batches_make_the_same_clips(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = small_profile(subjects=3, acceptance={"attempts": 2})
    one, clips = making(Judge([]), profile)
    alone = [made.video for made in make_clips(one, clips) if isinstance(made, Sample)]
    together = replace(one, generator=replace(one.generator, batch=size))  # type: ignore[type-var]
    batched = list(make_clips(together, clips))
    assert [made.video for made in batched if isinstance(made, Sample)] == alone
    assert [made.key for made in batched if isinstance(made, Sample)] == [clip.key for clip in clips]


def faint(**changes: object) -> Request:
    """Some programs are too faint to be seen in noise, so that their clips are refused."""
    values = {
        "intensity": (0.05, 0.7),
        "noise_sigma": 2.0,
        "subjects": 8,
        "shared_program_subjects": 1,
        "acceptance": {"attempts": 2, "reserve": 8},
    }
    return Request(small_profile(**{**values, **changes}), ProceduralSource())


@pytest.fixture(scope="module")
def topped_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("topped") / "equime"
    assert build(root, faint())
    return root


def test_stand_ins_are_of_the_cell_of_the_clips_that_were_refused(topped_up: Path) -> None:
    shards = manifest.shards_in(manifest.read_header(topped_up), None)
    plan = manifest.read_plan(topped_up)
    subjects = {row["subject"]: subject_from_row(row) for row in plan.portraits.to_pylist()}
    clips = {row["key"]: PlannedClip(**row) for row in plan.clips.to_pylist()}
    refused: Counter = Counter()
    taken: Counter = Counter()
    for shard in shards:
        commit = manifest.read_commit(topped_up, shard)
        assert commit is not None
        left_out = {rejection.name for rejection in commit.rejected} | set(commit.unused)
        keys = [clip.key for clip in manifest.read_shard_plan(topped_up, shard)[0]]
        if shard.reserve:
            taken.update(cell_of(clips[key], subjects) for key in keys if key not in left_out)
        else:
            assert commit.unused == ()
            refused.update(cell_of(clips[rejection.name], subjects) for rejection in commit.rejected)
    assert taken, "no clip stood in"
    assert not taken - refused
    assert verify(topped_up) == []


def test_a_folder_with_a_reserve_is_the_same_in_parts_and_with_workers(topped_up: Path, tmp_path: Path) -> None:
    shards = manifest.shards_in(manifest.read_header(topped_up), None)
    assert build(tmp_path / "two", faint(), workers=2)
    assert tree(tmp_path / "two") == tree(topped_up)
    parts = tmp_path / "parts"
    first = next(shard for shard in shards if shard.reserve)
    with pytest.raises(FolderError, match=r"build the shards before it first"):
        build(parts, faint(), shards=[first.number])
    for shard in (*reversed([each for each in shards if not each.reserve]), *shards[first.number :]):
        done = build(parts, faint(), shards=[shard.number])
    assert done
    assert tree(parts) == tree(topped_up)


def test_a_reserve_built_for_other_refusals_is_found_and_built_again(
    topped_up: Path, copy_of: Callable[[Path], Path]
) -> None:
    root = copy_of(topped_up)
    shards = manifest.shards_in(manifest.read_header(root), None)
    commits = {shard.name: manifest.read_commit(root, shard) for shard in shards if shard.reserve}
    shard = next(shard for shard in shards if shard.reserve and commits[shard.name].samples)  # type: ignore[union-attr]
    commit = commits[shard.name]
    assert commit is not None and commit.first_key is not None
    lines = replace(commit, rejected=(), unused=(), samples=shard.clips)
    manifest.write_commit(root, shard, lines)
    assert any("does not stand in for just the clips" in fault.message for fault in verify(root))
    assert repair(root, ProceduralSource())
    assert verify(root) == []
    assert tree(root) == tree(topped_up)


def test_persons_of_the_reserve_stay_in_the_split_of_their_own() -> None:
    plan = plan_for(faint())
    rows = plan.clips.to_pylist()
    people = {row["subject"]: row["person"] for row in plan.portraits.to_pylist()}
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(people[row["subject"]], set()).add(row["split"])
    assert all(len(found) == 1 for found in splits.values())
    assert plan.header["clips"] == 16
    assert len(rows) == 32
    assert all(row["counterfactual_group"] is None for row in rows[16:])


def test_the_report_counts_what_the_folder_holds(topped_up: Path) -> None:
    report = acceptance(topped_up)
    rows = pq.read_table(topped_up / "index.parquet").to_pylist()
    everything = report.rows[0]
    assert (everything.label, everything.planned, everything.final) == ("all", 16, len(rows))
    assert 0 < everything.first <= everything.accepted < 16
    assert everything.accepted + everything.stood_in == everything.final
    for name, column in (("emotion", "emotion"), ("apparent race", "apparent_race"), ("split", "split")):
        found = {row.value: row.final for row in report.rows if row.label == name and row.final}
        assert found == Counter(row[column] for row in rows)
    assert "the apex differs by … gray levels where the AUs move, … elsewhere" in report.reasons


def test_the_command_prints_the_report(topped_up: Path) -> None:
    done = CliRunner().invoke(app, ["acceptance", str(topped_up), "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["rows"] == acceptance(topped_up).to_dict()["rows"]
    shown = CliRunner().invoke(app, ["acceptance", str(topped_up)])
    assert shown.exit_code == 0 and "emotion: surprise" in shown.stdout


def test_a_folder_that_is_not_finished_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="no EquiME dataset"):
        acceptance(tmp_path)


def test_a_folder_that_nobody_judged_is_not_said_to_be_accepted(built: Path) -> None:
    assert not acceptance(built).judged
    shown = CliRunner().invoke(app, ["acceptance", str(built)], env={"COLUMNS": "200"}).stdout
    assert "%)" not in shown.replace("% (95%)", "") and "not judged" in shown
    assert f"no clip was judged by what its frames show: `equime audit {built}` does that" in shown


def test_of_a_folder_that_was_judged_in_part_only_that_part_is_counted(topped_up: Path) -> None:
    index, plan = pq.read_table(topped_up / "index.parquet"), manifest.read_plan(topped_up)
    commits = [commit for _, commit in manifest.committed(topped_up)]

    def report(*verdicts: str | None) -> object:
        column = pa.array([*verdicts, *[None] * (len(index) - len(verdicts))], pa.string())
        place = index.schema.get_field_index("audit_verdict")
        found = acceptance_of(plan, index.set_column(place, "audit_verdict", column), commits)
        every = found.rows[0]
        return found.extent, found.unjudged, every.planned, every.accepted, every.stood_in

    count, reserve = len(index), {shard.name for shard in plan.shards if shard.reserve}
    stood_in = sum(Path(shard).stem in reserve for shard in index["shard"].to_pylist())
    assert stood_in
    assert report() == (Judged.NONE, 0, 16, count - stood_in, stood_in)
    assert report(*["accepted"] * count) == (Judged.ALL, 0, 16, count - stood_in, stood_in)
    assert report("accepted", "rejected") == (Judged.SOME, count - 2, 2, 1, 0)
    assert report(*["accepted"] * (count - 1)) == (Judged.SOME, 1, count - 1, count - 1, 0)


def test_the_command_tells_how_many_clips_were_not_judged(topped_up: Path, copy_of: Callable[[Path], Path]) -> None:
    root = copy_of(topped_up)
    index = pq.read_table(root / "index.parquet")
    column = pa.array(["accepted", "rejected", *[None] * (len(index) - 2)], pa.string())
    place = index.schema.get_field_index("audit_verdict")
    pq.write_table(index.set_column(place, "audit_verdict", column), root / "index.parquet")
    shown = CliRunner().invoke(app, ["acceptance", str(root)], env={"COLUMNS": "200"}).stdout
    assert f"not judged: {len(index) - 2} more clips; `equime audit {root}` does that" in shown


def test_a_rejected_clip_that_stays_is_not_counted_as_accepted() -> None:
    rows = count_fates(
        [
            Fate(("all",), False, None, False),
            Fate(("all",), False, None, True),
            Fate(("all",), False, 1, True),
            Fate(("all",), True, 0, True),
        ]
    )
    assert [(row.planned, row.first, row.accepted, row.stood_in, row.final) for row in rows] == [(3, 0, 1, 1, 3)]


def test_reasons_are_counted_without_their_figures() -> None:
    found = count_reasons(
        [
            Rejection("a", "head drifts by 0.07 IOD; too long (best of 3 attempts)"),
            Rejection("b", "head drifts by 0.1 IOD"),
        ]
    )
    assert found == {"head drifts by … IOD": 2, "too long": 1}


@given(st.integers(0, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_interval_holds_the_share(counts: tuple[int, int]) -> None:
    successes, trials = counts
    low, high = wilson(successes, trials)
    assert 0 <= low <= high <= 1
    if trials:
        assert low - 1e-12 <= successes / trials <= high + 1e-12


def test_wilsons_interval_of_a_known_case() -> None:
    # Agresti & Coull 1998: 5 of 10 gives 0.237 to 0.763.
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(24, 24)[1] == 1


@given(st.data())
def test_stand_ins_fill_no_more_than_is_lacking(data: st.DataObject) -> None:
    cells = [("train", emotion, gender, "white") for emotion in ("anger", "fear") for gender in ("Man", "Woman")]
    clips = [
        PlannedClip(0, f"c{number}", f"s{number}", "train", "anger", 0, 0, 0, None)
        for number in range(data.draw(st.integers(0, 20)))
    ]
    placed = {clip.key: data.draw(st.sampled_from(cells)) for clip in clips}
    lacks = Counter({cell: data.draw(st.integers(0, 4)) for cell in cells})
    chosen = stand_ins(clips, placed, lacks)
    found = Counter(placed[clip.key] for clip in chosen)
    offered = Counter(placed.values())
    assert found == Counter(
        {cell: min(lacks[cell], offered[cell]) for cell in cells if min(lacks[cell], offered[cell])}
    )
    assert chosen == [clip for clip in clips if clip in chosen]
    assert lacking(clips, chosen, {clip.key for clip in clips}, placed) == offered - found


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"attempts": 0}, r"acceptance\.attempts=0 must lie within 1\.\.100"),
        ({"reserve": -1}, r"acceptance\.reserve=-1 must lie within 0\.\.1000000"),
    ],
)
def test_bounds_of_acceptance(values: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Acceptance(**values)  # type: ignore[arg-type]


def test_a_reserve_shard_is_no_part_of_the_plans_summary() -> None:
    from equime_builder.plan import summary

    plan = plan_for(faint())
    assert sum(summary(plan)["emotion"].values()) == plan.header["clips"] == 16
