"""Pictures of the fairness reports: legible, complete, reproducible."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from equime_loader.fairness import Predictions, bias_report, fairness_report
from equime_loader.fairness.bias import BiasReport, Representation
from equime_loader.fairness.plots import plot_composition, plot_fairness, save
from equime_loader.fairness.report import FairnessReport
from equime_loader.index import Codes


def predictions(races: int = 4, *, subjects: int = 60, word: str = "race {}") -> Predictions:
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(subjects), 8)
    truth = rng.integers(0, 3, len(subject))
    called = np.where(rng.random(len(subject)) < 0.7, truth, rng.integers(0, 3, len(subject)))
    race = np.array([word.format(number) for number in range(races)], object)[np.arange(subjects) % races]
    race[-1], race[:2] = None, "rare"
    return Predictions.of(truth, called, subjects=subject, groups={"apparent_race": race[subject]})


def report_of(races: int = 4, **options: object) -> FairnessReport:
    return fairness_report(predictions(races, **options), "apparent_race", resamples=30)  # type: ignore[arg-type]


class Clips:
    def __init__(self, groups: int, word: str) -> None:
        people = np.arange(300, dtype=np.int32)
        words = tuple(word.format(number) for number in range(groups + 1))
        self.labels = {
            "subject": Codes(people // 3, tuple(map(str, range(100)))),
            "emotion": Codes(people % 3, tuple("abc")),
        }
        self.labels["apparent_race"] = Codes(np.where(people < 5, -1, people // 3 % groups).astype(np.int32), words)

    def __len__(self) -> int:
        return 300

    def codes(self, name: str) -> Codes:
        return self.labels[name]


def composition_of(groups: int, word: str = "race {}") -> BiasReport:
    return bias_report(Clips(groups, word), ["apparent_race"])


def texts(figure: Figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]


def check_layout(figure: Figure) -> None:
    """Every text lies within the page, and none on another."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    boxes = [(text.get_text(), Text.get_window_extent(text, renderer)) for text in texts(figure)]
    for words, box in boxes:
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        assert inside, f"{words!r} leaves the page"
    for (first, one), (second, other) in combinations(boxes, 2):
        apart = one.x1 <= other.x0 or other.x1 <= one.x0 or one.y1 <= other.y0 or other.y1 <= one.y0
        assert apart, f"{first!r} lies on {second!r}"


@pytest.mark.parametrize("word", ["race {}", "a race with quite a long name, $x$ and number {}", "{}"])
@pytest.mark.parametrize("groups", [1, 4, 12])
def test_nothing_lies_on_anything(groups: int, word: str) -> None:
    check_layout(plot_fairness(report_of(groups, word=word, subjects=160)))
    check_layout(plot_composition(composition_of(groups, word)))


def test_fairness_shows_what_the_report_holds() -> None:
    report = report_of()
    figure = plot_fairness(report)
    words = [text.get_text() for text in texts(figure)]
    for group in report.groups:
        assert group.name in words and f"{group.clips:,} clips, {group.subjects:,} subjects" in words
        shown = [f"{group.scores[score].value:.3f}" for score in ("uf1", "uar") if group.scores]
        assert {*shown, "UF1", "UAR"} <= set(words)
    assert words.count("too small: clips 16 < 20, subjects 2 < 5") == 2
    assert f"always saying {report.constant_class}" in words
    assert any(f"chance alone: up to {report.gaps[1].by_chance:.3f}" in word for word in words)
    assert any("8 clips of unknown group" in word for word in words)


def test_composition_shows_counts_and_diversity() -> None:
    report = composition_of(4)
    people = report.representation[0]
    words = [text.get_text() for text in texts(plot_composition(report))]
    assert f"apparent race: ENS {people.figures['ens']:.2f} of 5" in words
    assert {f"{count:,}" for item in report.representation for count in item.counts} <= set(words)
    assert "even: 20.0%" in words and any("unknown: " in word for word in words)


def test_nobody_known() -> None:
    empty = tuple(Representation.of("x", unit, ("a", "b"), [0, 0], 7) for unit in ("subjects", "clips"))
    check_layout(plot_composition(BiasReport(7, 7, empty, ())))


def test_same_report_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save(plot_fairness(report_of()), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    for suffix in ("pdf", "svg"):
        save(plot_composition(composition_of(4)), tmp_path / f"c.{suffix}")
        assert (tmp_path / f"c.{suffix}").stat().st_size > 1000


def test_more_groups_than_a_page_holds() -> None:
    with pytest.raises(ValueError, match="at most 60 rows; cross fewer"):
        plot_composition(composition_of(80))
    with pytest.raises(ValueError, match="groups by apparent_race do not fit"):
        plot_fairness(report_of(90, subjects=160))


def test_drawing_leaves_pyplot_alone_and_reports_need_no_matplotlib() -> None:
    code = "import sys, equime_loader.fairness; assert 'matplotlib' not in sys.modules and 'torch' not in sys.modules;"
    code += "import equime_loader.fairness.plots; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
