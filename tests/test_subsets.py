"""Balanced subsets against brute force, counterfactual sets against the programs of a real build."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from indices import clips_of, write_index

from equime_loader.fairness import balanced, counterfactuals
from equime_loader.fairness.balance import Balance, _factors, joint_balance, marginal_balance
from equime_loader.index import Index
from equime_loader.selection import Selection

some = settings(max_examples=60)
SHAPES = [(4,), (2, 2), (2, 3), (3, 3), (2, 2, 2)]


def all_subsets(counts: Sequence[int]) -> np.ndarray:
    """(subsets, cells), every way to keep some of each cell."""
    return np.stack(np.meshgrid(*[np.arange(count + 1) for count in counts], indexing="ij"), -1).reshape(
        -1, len(counts)
    )


def meets(margins: np.ndarray, totals: np.ndarray, weights: np.ndarray, *, exactly: bool) -> np.ndarray:
    """Whether margins (subsets, words) hold the weights exactly, or within less than one."""
    off = np.abs(margins * weights.sum() - totals[:, None] * weights)
    return (off == 0 if exactly else off < weights.sum()).all(axis=1)


def step_of(weights: np.ndarray) -> int:
    return int(weights.sum() // np.gcd.reduce(weights))


def shares_of(weights: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [each / each.sum() for each in weights]


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Cells, their counts, and wanted shares as whole weights: even ones, or any."""
    shape = draw(st.sampled_from(SHAPES))
    every = np.array(list(itertools.product(*map(range, shape))))
    counts = np.array(draw(st.lists(st.integers(0, 3), min_size=len(every), max_size=len(every))))
    assume((counts + 1).prod() <= 100_000)
    cells = every[counts > 0]
    assume(all(len(np.unique(column)) == words for column, words in zip(cells.T, shape, strict=True)))
    weights = [draw(st.lists(st.integers(1, 5), min_size=words, max_size=words)) for words in shape]
    even = [draw(st.booleans()) for _ in shape]
    wanted = [np.ones(len(w), int) if flat else np.array(w) for w, flat in zip(weights, even, strict=True)]
    return cells, counts[counts > 0], wanted


def margins_of(cells: np.ndarray, kept: np.ndarray, words: int, which: int) -> np.ndarray:
    return np.stack([kept[:, cells[:, which] == word].sum(axis=1) for word in range(words)], axis=1)


# --- the core


@given(problems())
@settings(max_examples=150)
def test_marginal_balance_is_the_largest_there_is(problem: tuple[np.ndarray, np.ndarray, list[np.ndarray]]) -> None:
    cells, counts, weights = problem
    found = marginal_balance(cells, counts, shares_of(weights))
    candidates = np.concatenate([all_subsets(counts.tolist()), found.kept[None]])
    totals = candidates.sum(axis=1)
    margins = [margins_of(cells, candidates, len(each), which) for which, each in enumerate(weights)]
    # Requested shares that are not equal are given up where nothing is left, the finest first.
    exact = [True] * len(weights)
    while True:
        met = [meets(*each, exactly=whole) for *each, whole in zip(margins, repeat(totals), weights, exact)]
        good = np.all(met, axis=0)
        uneven = [which for which, each in enumerate(weights) if exact[which] and np.ptp(each)]
        if totals[good].any() or not uneven:
            break
        exact[max(uneven, key=lambda which: step_of(weights[which]))] = False
    assert good[-1]
    assert ((found.kept >= 0) & (found.kept <= counts)).all()
    assert totals[-1] == totals[good].max() == found.bound
    assert not found.binding[found.kept < counts].any() or found.kept.sum() < counts.sum()


@given(problems(), st.integers(1, 12))
@settings(max_examples=100)
def test_a_part_of_a_given_size_is_the_largest_up_to_it(
    problem: tuple[np.ndarray, np.ndarray, list[np.ndarray]], most: int
) -> None:
    cells, counts, weights = problem
    found = marginal_balance(cells, counts, shares_of(weights), most=most)
    candidates = np.concatenate([all_subsets(counts.tolist()), found.kept[None]])
    totals = candidates.sum(axis=1)
    near = [
        meets(margins_of(cells, candidates, len(each), which), totals, each, exactly=False)
        for which, each in enumerate(weights)
    ]
    good = np.all(near, axis=0) & (totals <= most)
    assert good[-1]
    assert totals[-1] == totals[good].max()


@given(problems())
@some
def test_joint_balance_is_the_largest_there_is(problem: tuple[np.ndarray, np.ndarray, list[np.ndarray]]) -> None:
    cells, counts, weights = problem
    wanted = np.prod([each[cells[:, which]] for which, each in enumerate(weights)], axis=0)
    found = joint_balance(counts, wanted / wanted.sum())
    candidates = np.concatenate([all_subsets(counts.tolist()), found.kept[None]])
    totals = candidates.sum(axis=1)
    good = meets(candidates, totals, wanted, exactly=True)
    if not totals[good].any():
        good = meets(candidates, totals, wanted, exactly=False)
    assert good[-1]
    assert ((found.kept >= 0) & (found.kept <= counts)).all()
    assert totals[-1] == totals[good].max() == found.bound
    assert found.binding.any()


def test_no_association_is_added_where_none_is_needed() -> None:
    # A corner of the polytope would keep 30 of (0, 0) and 30 of (1, 1), and make the attributes the same.
    cells = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    found = marginal_balance(cells, np.array([90, 90, 15, 15]), [np.full(2, 0.5)] * 2)
    assert found.kept.tolist() == [15, 15, 15, 15]
    assert found.binding.tolist() == [False, False, True, True]


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0.01, 50), st.integers(1, 30)), min_size=3), st.floats(0, 100))
@some
def test_raking_meets_a_margin_without_using_more_than_there_is(
    rows: list[tuple[int, float, int]], goal: float
) -> None:
    codes, weights, counts = (np.array([*column, *range(1, 4)]) for column in zip(*rows, strict=True))
    codes[-3:] = (0, 1, 2)
    goals = np.array([goal, goal / 2, 1.0])
    factors = _factors(codes, weights, counts, goals)
    reached = np.bincount(codes, np.minimum(weights * factors[codes], counts))
    assert np.allclose(reached, np.minimum(goals, np.bincount(codes, counts)))


def test_large_counts_stay_exact() -> None:
    rng = np.random.default_rng(0)
    cells = np.array(list(itertools.product(range(2), range(6), range(6), range(7))))
    counts = rng.integers(200, 4000, len(cells))
    found = marginal_balance(cells, counts, [np.full(words, 1 / words) for words in (2, 6, 6, 7)])
    assert found.kept.sum() == found.bound
    for which, words in enumerate((2, 6, 6, 7)):
        assert len(set(np.bincount(cells[:, which], found.kept, minlength=words))) == 1
    assert found.kept.sum() % 42 == 0
    assert found.kept.sum() > 0.8 * counts.sum()


def test_nothing_fits_where_words_exclude_each_other() -> None:
    cells = np.array([[0, 0], [0, 1], [1, 2]])  # the third word of one is the second of the other
    found: Balance = marginal_balance(cells, np.array([5, 5, 5]), [np.full(2, 0.5), np.full(3, 1 / 3)])
    assert found.kept.sum() == found.bound == 0


# --- over selections


def people(*groups: tuple[str, str, int, int]) -> Selection:
    """Clips of groups (gender, race, subjects, clips of each), emotions in turn."""
    rows = [
        (f"s{number}-{subject}", ("anger", "fear")[clip % 2], gender, race)
        for number, (gender, race, subjects, clips) in enumerate(groups)
        for subject in range(subjects)
        for clip in range(clips)
    ]
    names = ("subject", "emotion", "apparent_gender", "apparent_race")
    return clips_of(**dict(zip(names, zip(*rows, strict=True), strict=True)))


CROWD = (("Woman", "asian", 10, 4), ("Woman", "white", 30, 4), ("Man", "asian", 5, 4), ("Man", "white", 40, 4))


def test_margins_are_equal_and_the_cost_is_told() -> None:
    subset = balanced(people(*CROWD), ["apparent_gender", "apparent_race"])
    assert subset.kept == subset.bound == len(subset.selection) == 120
    assert subset.after == {"apparent_gender": {"Woman": 60, "Man": 60}, "apparent_race": {"asian": 60, "white": 60}}
    assert str(subset).splitlines() == [
        "120 of 340 clips kept (35.3%) for balanced margins of apparent_gender, apparent_race",
        "no more can stay for want of apparent_race=asian (60)",
        "attribute        word   before  share  asked  after  share",
        "apparent_gender  Woman     160  47.1%  50.0%     60  50.0%",
        "apparent_gender  Man       180  52.9%  50.0%     60  50.0%",
        "apparent_race    asian      60  17.6%  50.0%     60  50.0%",
        "apparent_race    white     280  82.4%  50.0%     60  50.0%",
    ]
    assert subset.selection.steps == (
        "balanced over apparent_gender, apparent_race, by clip, seed 0: 120 of 340 clips",
    )
    assert subset.selection.seed == 0


def test_cells_are_equal_where_joint() -> None:
    subset = balanced(people(*CROWD), ["apparent_gender", "apparent_race"], joint=True)
    cells = Counter(zip(*(subset.selection.codes(name).codes for name in subset.after), strict=True))
    assert set(cells.values()) == {20} and len(cells) == 4
    assert subset.binding == ("apparent_gender=Man × apparent_race=asian (20)",)
    assert str(subset).startswith("80 of 340 clips kept (23.5%) for balanced cells of apparent_gender, apparent_race\n")


def test_subjects_are_counted_and_kept_whole() -> None:
    selection = people(*CROWD)
    subset = balanced(selection, ["apparent_gender", "apparent_race"], unit="subject")
    assert (subset.kept, subset.of) == (30, 85)
    assert subset.after["apparent_race"] == {"asian": 15, "white": 15}
    subjects = subset.selection.codes("subject").codes
    assert set(np.bincount(subjects)) == {0, 4}
    assert len(np.unique(subjects)) == 30
    with pytest.raises(
        ValueError, match=r"^unit='subject': the clips of subject s0-0 differ in 'emotion'; balance it by clip$"
    ):
        balanced(selection, ["emotion"], unit="subject")


def test_requested_shares_are_met_and_other_words_dropped() -> None:
    selection = people(*CROWD, ("Man", "black", 3, 4))
    subset = balanced(
        selection, ["apparent_gender", "apparent_race"], target={"apparent_race": {"white": 3, "asian": 1, "black": 0}}
    )
    assert subset.after["apparent_race"] == {"asian": 60, "black": 0, "white": 180}
    assert subset.asked["apparent_race"] == {"asian": 0.25, "black": 0, "white": 0.75}
    assert subset.after["apparent_gender"] == {"Woman": 120, "Man": 120}
    assert (subset.kept, subset.of) == (240, 352)
    assert subset.selection.steps[-1].startswith("balanced over apparent_gender, apparent_race, as asked, by clip")
    joint = balanced(
        selection,
        ["apparent_gender", "apparent_race"],
        target={"apparent_gender": {"Woman": 0.5, "Man": 0.5}, "apparent_race": {"white": 0.75, "asian": 0.25}},
        joint=True,
    )
    assert joint.kept == 160  # a fourth of the men's half are the 20 clips that there are
    assert joint.after["apparent_race"] == {"asian": 40, "black": 0, "white": 120}


@pytest.mark.parametrize(
    ("there", "weights", "kept"),
    [
        ((3, 20), (3, 1), (3, 1)),
        ((24, 24), (2, 1), (24, 12)),
        ((24, 24), (0.2, 0.1), (24, 12)),
        ((150, 160), (0.51, 0.49), (102, 98)),
        ((1, 20), (9, 1), (1, 1)),  # 9 to 1 cannot be: within less than one clip of it
    ],
)
def test_requested_shares_are_exact_where_they_can_be(
    there: tuple[int, int], weights: tuple[float, float], kept: tuple[int, int]
) -> None:
    words = ("anger", "fear")
    selection = clips_of(emotion=[word for word, count in zip(words, there, strict=True) for _ in range(count)])
    target = {"emotion": dict(zip(words, weights, strict=True))}
    subset = balanced(selection, "emotion", target=target)
    assert tuple(subset.after["emotion"][word] for word in words) == kept
    assert [f"{subset.asked['emotion'][word]:.4f}" for word in words] == [
        f"{weight / sum(weights):.4f}" for weight in weights
    ]


def test_unlabeled_clips_are_left_out_and_counted() -> None:
    selection = clips_of(
        subject=list("aabbcc"),
        apparent_gender=["Woman", "Woman", "Man", None, "Man", "Man"],
        age_group=["20-29", None, "20-29", None, "60+", "60+"],
    )
    subset = balanced(selection, ["apparent_gender", "age_group"])
    assert subset.unlabeled == {"apparent_gender": 1, "age_group": 2}
    assert (subset.kept, subset.of) == (2, 4)
    assert "1 clip without apparent_gender left out" in str(subset)


@given(st.integers(0, 20), st.lists(st.integers(1, 9), min_size=2, max_size=6))
@some
def test_clips_of_a_cell_are_drawn_in_turns_over_its_subjects(seed: int, sizes: list[int]) -> None:
    wanted = 6
    rows = [("anger", f"a{s}") for s, size in enumerate(sizes) for _ in range(size)]
    assume(len(rows) >= wanted)
    rows += [("fear", "b")] * wanted
    selection = clips_of(emotion=[row[0] for row in rows], subject=[row[1] for row in rows])
    kept = balanced(selection, "emotion", seed=seed).selection
    per_subject = Counter(row[1] for row in np.array(rows)[kept.rows].tolist() if row[0] == "anger")
    counts = [per_subject.get(f"a{s}", 0) for s in range(len(sizes))]
    assert sum(counts) == wanted
    # Who gave fewer than another by more than a turn has no more to give.
    assert all(count == size for count, size in zip(counts, sizes, strict=True) if count < max(counts) - 1)


def test_the_draw_follows_the_seed() -> None:
    selection = people(*CROWD)
    draws = [balanced(selection, "apparent_race", seed=seed).selection for seed in (0, 0, 1, 2)]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 3


def test_what_is_even_already_is_kept_whole() -> None:
    selection = people(("Woman", "asian", 5, 2), ("Man", "asian", 5, 2))
    subset = balanced(selection, ("apparent_gender", "emotion"))
    assert subset.selection == selection
    assert "for want of" not in str(subset)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attributes": []}, r"^attributes=\[\] must name at least one field, each once$"),
        ({"attributes": ["emotion"] * 2}, r"must name at least one field, each once$"),
        ({"attributes": "emotion", "unit": "frame"}, r"^unit='frame' must be clip or subject$"),
        (
            {"attributes": "emotion", "target": {"apparent_race": {"asian": 1}}},
            r"^target: 'apparent_race' must be one of the attributes to balance, emotion$",
        ),
        (
            {"attributes": "apparent_gender", "target": {"apparent_gender": {"woman": 1}}},
            r"^target: apparent_gender='woman' must be one of Woman, Man$",
        ),
        (
            {"attributes": "apparent_gender", "target": {"apparent_gender": {"Woman": -1}}},
            r"^target: apparent_gender='Woman' has weight -1, must be 0 or more$",
        ),
        (
            {"attributes": "apparent_gender", "target": {"apparent_gender": {"Woman": 0}}},
            r"^target: apparent_gender needs a word of positive weight$",
        ),
        (
            {"attributes": "apparent_race", "target": {"apparent_race": {"asian": 3, "black": 1}}},
            r"^target: 25.0% of apparent_race='black' asked, there is no clip of it$",
        ),
        ({"attributes": "age_group"}, r"^no clip of the selection has a word in each of age_group$"),
    ],
)
def test_what_cannot_be_asked_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        balanced(people(*CROWD), **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attributes": 5}, r"^attributes must be a name or several; it is 5$"),
        (
            {"attributes": "emotion", "target": "anger"},
            r"^target must be weights of words by attribute, such as .*'anger'$",
        ),
        (
            {"attributes": "emotion", "target": {"emotion": 3}},
            r"^target\['emotion'\] must be weights by word, .* it is 3$",
        ),
        (
            {"attributes": "emotion", "target": {"emotion": {"fear": "1"}}},
            r"weight of emotion='fear' must be a number; it",
        ),
    ],
)
def test_what_is_no_argument_is_told_in_one_line(arguments: dict, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        balanced(people(*CROWD), **arguments)


def test_balances_that_cannot_be_are_refused_with_numbers() -> None:
    nested = people(("Woman", "asian", 2, 1), ("Woman", "white", 2, 1), ("Man", "black", 3, 1))
    with pytest.raises(
        ValueError,
        match=r"^no clip can stay: the margins cannot be met at once; "
        r"there is only 3 of apparent_gender=Man, 2 of apparent_race=asian$",
    ):
        balanced(nested, ["apparent_gender", "apparent_race"])
    with pytest.raises(
        ValueError,
        match=r"^3 of 6 combinations of apparent_gender, apparent_race have no clip, such as Woman × black; "
        r"narrow the selection, or balance each attribute by itself \(joint=False\)$",
    ):
        balanced(nested, ["apparent_gender", "apparent_race"], joint=True)


def test_balance_of_a_real_index(tmp_path: Path) -> None:
    columns = {name: list(people(*CROWD).index.columns[name]) for name in ("subject", "emotion", "apparent_race")}
    index = Index.open(write_index(tmp_path, columns))
    subset = balanced(Selection.all(index), ["emotion", "apparent_race"])
    assert subset.selection.counts("apparent_race") == {"asian": 60, "white": 60}
    subset.selection.save(tmp_path / "even.json")
    assert Selection.load(tmp_path / "even.json", index) == subset.selection


# --- counterfactual sets


def performed() -> Selection:
    """Program 1 by a woman and two men, 2 by a woman and a man, 3 by two women; 2 also with an AU taken away."""
    rows = [
        (1, "a", "Woman", None),
        (1, "b", "Man", None),
        (1, "c", "Man", None),
        (2, "a", "Woman", None),
        (2, "b", "Man", None),
        (2, "a", "Woman", "do(AU4=0)"),
        (3, "a", "Woman", None),
        (3, "d", "Woman", None),
        (3, "e", None, None),
    ]
    seed, subject, gender, intervention = zip(*rows, strict=True)
    return clips_of(subject=subject, seed=seed, apparent_gender=gender, intervention=intervention)


def test_sets_hold_one_program_on_several_groups() -> None:
    sets = counterfactuals(performed(), "apparent_gender")
    assert [part.rows.tolist() for part in sets] == [[0, 1, 2], [3, 4]]
    assert sets.groups == ("Woman", "Man")
    assert sets.counts.tolist() == [[1, 2], [1, 1]]
    assert (len(sets), sets.performed) == (2, 4)
    assert str(sets).splitlines() == [
        "2 of 4 programs are performed by two or more groups of apparent_gender, in 5 clips",
        "  by 2 of 2 groups: 2 (100.0%)",
    ]
    assert sets[0].steps[-1] == "program 0 of 2"


def test_table_has_one_clip_of_each_program_and_group() -> None:
    sets = counterfactuals(performed(), "apparent_gender")
    tables = {seed: sets.table(seed=seed) for seed in range(9)}
    assert {tuple(table.ravel().tolist()) for table in tables.values()} == {(0, 1, 3, 4), (0, 2, 3, 4)}
    assert np.array_equal(tables[3], sets.table(seed=3))
    crossed = counterfactuals(performed().where(apparent_gender=["Woman", "Man"]), ("apparent_gender", "subject"))
    assert (crossed.table() >= 0).sum() == (crossed.counts > 0).sum()
    assert (crossed.table() == -1).any()


def test_matched_sets_are_complete() -> None:
    selection = performed()
    sets = counterfactuals(selection, "subject")
    assert sets.groups == ("a", "b", "c", "d", "e")
    with pytest.raises(
        ValueError,
        match=r"^no program is performed by all 5 groups of subject, at most by 3; "
        r"narrow the selection to fewer groups, or build with a larger shared_program_subjects$",
    ):
        sets.matched()
    three = counterfactuals(selection.where(subject=["a", "b", "c"]), "subject")
    matched = three.matched()
    assert (len(three), len(matched)) == (2, 1)
    assert matched[0].rows.tolist() == [0, 1, 2]
    assert (matched.table() >= 0).all()
    assert matched.selection.steps[-1] == "programs of all 3 groups: 1"


def test_sets_that_cannot_be_are_refused_with_numbers() -> None:
    women = performed().where(apparent_gender="Woman")
    with pytest.raises(
        ValueError,
        match=r"^across=apparent_gender: the selection has clips of 1 groups \(Woman\), at least 2 needed$",
    ):
        counterfactuals(women, "apparent_gender")
    alone = clips_of(subject=["a", "b"], seed=[1, 2])
    with pytest.raises(
        ValueError,
        match=r"^across=subject: none of 2 programs is performed by two groups; "
        r"build with shared_program_subjects above 1$",
    ):
        counterfactuals(alone, "subject")


def test_imported_clips_share_no_program() -> None:
    of_camera = {"subject": ["smic-s01", "smic-s02"], "seed": [0, 0], "au_text": ["", ""]}
    with pytest.raises(ValueError, match=r"^across=subject: the selection has no clip that was built from a program$"):
        counterfactuals(clips_of(**of_camera, corpus=["smic_hs"] * 2), "subject")
    drawn = {"subject": ["p00000", "p00001"], "seed": [7, 7], "au_text": ["4B", "4B"]}
    both = {name: [*of_camera[name], *drawn[name]] for name in drawn} | {"corpus": ["smic_hs"] * 2 + ["equime", None]}
    assert [part.rows.tolist() for part in counterfactuals(clips_of(**both), "subject")] == [[2, 3]]


def test_a_seed_in_another_emotion_or_profile_is_another_program() -> None:
    for other in ({"emotion": ["anger", "fear"]}, {"profile": ["a", "b"]}, {"apex_frame": [3, 4]}):
        with pytest.raises(ValueError, match="none of 2 programs"):
            counterfactuals(clips_of(subject=["a", "b"], seed=[2**62 + 1] * 2, **other), "subject")
    with pytest.raises(ValueError, match="none of 2 programs"):  # as floats they would be equal
        counterfactuals(clips_of(subject=["a", "b"], seed=[2**62 + 1, 2**62 + 2]), "subject")


def test_sets_of_a_build_share_aus_and_timing_exactly(built: Path) -> None:
    index = Index.open(built)
    sets = counterfactuals(Selection.all(index), "subject")
    assert len(sets) > 1
    groups = set()
    for part in sets:
        labels = part.labels(["aus", "onset_frame", "apex_frame", "offset_frame", "emotion", "split", "subject"])
        assert len({label.pop("subject") for label in labels}) == len(labels) > 1
        assert all(label == labels[0] for label in labels)
        groups.add(next(iter(part.counts("counterfactual_group"))))
        assert len(part.counts("counterfactual_group")) == 1
    assert len(groups) == len(sets)
