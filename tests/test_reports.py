"""Reports of runs: figures against hand-made ones, marks of constant predictors, tables, a page that needs nothing."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from fake_runs import FIVE, THREE, attacked, reported, table, write_run
from sklearn.metrics import f1_score

from training.reports import make_report, write_report
from training.reports.calibration import calibration
from training.reports.document import markdown
from training.reports.evidence import read_runs
from training.reports.report import check_target
from training.reports.results import results_of
from training.reports.tables import Cell, Column, Row, Table, as_csv, as_html, cells
from training.reports.tables import markdown as table_markdown
from training.runs import Study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reported(tmp_path_factory.getbasetemp())[0]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reported(tmp_path_factory.getbasetemp())[1]


def records(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# --- calibration


def test_calibration_is_that_of_torchmetrics() -> None:
    torch = pytest.importorskip("torch", reason="training needs the extra `train`")
    pytest.importorskip("torchmetrics", reason="training needs the extra `train`")
    from torchmetrics.functional.classification import multiclass_calibration_error

    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 500)
    truth = rng.integers(0, 4, 500)
    found = calibration(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth)
    theirs = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(truth), num_classes=4, n_bins=15, norm="l1"
    )
    assert found.ece == pytest.approx(float(theirs), abs=1e-6)
    assert found.clips.sum() == 500 and found.mean_confidence == pytest.approx(probabilities.max(axis=1).mean())


def test_calibration_at_the_ends() -> None:
    sure = calibration(np.ones(10), np.ones(10, bool))
    wrong = calibration(np.ones(10), np.zeros(10, bool))
    assert (sure.ece, wrong.ece) == (0.0, 1.0)
    assert np.isnan(sure.accuracy[0]) and sure.clips[-1] == 10
    assert calibration(np.zeros(1), np.zeros(1, bool)).clips[0] == 1


@pytest.mark.parametrize(
    ("confidence", "bins", "words"),
    [
        ([], 15, "1 or more"),
        ([1.5], 15, "confidence=1.5"),
        ([float("nan")], 15, "confidence=nan"),
        ([0.5], 0, "bins=0"),
    ],
)
def test_calibration_refuses(confidence: list[float], bins: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        calibration(np.array(confidence), np.ones(len(confidence), bool), bins=bins)


# --- results


def test_scores_of_a_result_are_those_of_its_predictions(tmp_path: Path) -> None:
    said = [table(skill=0.5, seed=seed) for seed in range(3)]
    for seed, predictions in enumerate(said):
        write_run(tmp_path / f"run-{seed}", seed=seed, tests={"test": predictions})
    (result,) = results_of(read_runs([tmp_path]), resamples=50)
    theirs = [f1_score(one["label"].to_pylist(), one["prediction"].to_pylist(), average="macro") for one in said]
    assert result.mean("uf1") == pytest.approx(np.mean(theirs))
    assert result.deviation("uf1") == pytest.approx(np.std(theirs, ddof=1))
    low, high = result.interval["uf1"]
    assert low < result.mean("uf1") < high
    assert result.seeds == (0, 1, 2) and result.unseen and result.test == "equime"
    assert theirs[result.typical] == sorted(theirs)[1]


def test_the_constant_predictor_stands_beside(tmp_path: Path) -> None:
    write_run(tmp_path / "run", tests={"samm": table(skill=0.6, corpus="samm")})
    (result,) = results_of(read_runs([tmp_path]), resamples=50)
    counts = np.array(result.counts)
    assert result.constant_class == THREE[counts.argmax()]
    assert result.constant("accuracy") == pytest.approx(counts.max() / counts.sum())
    share = counts.max() / counts.sum()
    assert result.constant("uf1") == pytest.approx(2 * share / (1 + share) / 3)
    assert not result.unseen and result.above_constant


def test_a_constant_model_is_not_above_it(tmp_path: Path) -> None:
    said = table(skill=0.9)
    constant_says = said.set_column(said.column_names.index("prediction"), "prediction", [["negative"] * len(said)])
    write_run(tmp_path / "run", tests={"test": constant_says})
    (result,) = results_of(read_runs([tmp_path]), resamples=50)
    assert not result.above_constant and result.mean("uf1") == pytest.approx(result.constant("uf1"))
    text = markdown(make_report(read_runs([tmp_path]), resamples=20))
    assert "0 of 1 result" in text and "| flow always negative |" in text
    assert result.only_class == "negative"


def test_intervals_rest_on_the_same_resamples_for_the_same_clips(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_run(tmp_path / name, model=name, tests={"test": table(skill=0.5)})
    one, other = results_of(read_runs([tmp_path]), resamples=100)
    assert one.interval == other.interval


def test_a_composite_is_reported_by_corpus_too(tmp_path: Path) -> None:
    parts = [table(skill=skill, corpus=corpus) for skill, corpus in ((0.9, "casme2"), (0.1, "samm"))]
    write_run(tmp_path / "run", tests={"composite": pa.concat_tables(parts)})
    evaluations = read_runs([tmp_path])
    (result,) = results_of(evaluations, resamples=20)
    of = {corpus: pairs[0][0] for corpus, pairs in result.by_corpus().items()}
    assert set(of) == {"casme2", "samm"} and of["casme2"].uf1 > 0.8 > of["samm"].uf1
    assert of["casme2"].clips + of["samm"].clips == len(evaluations[0].predictions)
    document = make_report(evaluations, resamples=20)
    assert "· casme2 160 clips" in markdown(document)
    records = next(made for made in document.tables() if made.name == "scores-three").records
    assert {record.get("corpus") for record in records} == {None, "casme2", "samm"}


def test_runs_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_run(tmp_path / name, tests={"test": table(skill=0.5)})
    with pytest.raises(ValueError, match="one and other have model flow"):
        results_of(read_runs([tmp_path]))


def test_runs_of_other_classes_stand_apart(tmp_path: Path) -> None:
    write_run(tmp_path / "three", tests={"test": table(skill=0.5)})
    write_run(tmp_path / "five", kind="five", tests={"test": table(FIVE, skill=0.5)})
    assert {one.kind: len(one.classes) for one in results_of(read_runs([tmp_path]), resamples=20)} == {
        **{"five": 5, "three": 3}
    }


def test_train_and_validation_are_not_reported(tmp_path: Path) -> None:
    tests = {name: table(skill=0.9) for name in ("train", "validation", "test")}
    write_run(tmp_path / "run", tests=tests)
    assert [one.unseen for one in read_runs([tmp_path])] == [True]
    write_run(tmp_path / "other", tests={"validation": table(skill=0.9)})
    with pytest.raises(ValueError, match="other: holds no predictions of a test set"):
        read_runs([tmp_path / "other"])


def test_predictions_of_any_model_are_reported(tmp_path: Path) -> None:
    whole = table(skill=0.6, corpus="samm")
    pq.write_table(whole, tmp_path / "theirs.parquet")
    bare = whole.select(["key", "subject", "label", "prediction"])
    pq.write_table(bare, tmp_path / "bare.parquet")
    one, other = read_runs([tmp_path / "theirs.parquet", tmp_path / "bare.parquet"])
    assert (one.run.model, one.run.kind, one.test) == ("theirs", "three", "samm")
    assert (other.run.model, other.test) == ("bare", "predictions") and np.isnan(other.confidence).all()
    write_report([tmp_path / "theirs.parquet", tmp_path / "bare.parquet"], tmp_path / "page", resamples=20)
    rows = {row["model"]: row for row in records(tmp_path / "page" / "scores-three.csv") if row["run"] == "mean"}
    assert rows["theirs"]["uf1"] == rows["bare"]["uf1"] and rows["theirs"]["ece"] and not rows["bare"]["ece"]
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 none")
    for name, words in (("none", "no such file"), ("broken", "broken")):
        with pytest.raises(ValueError, match=words):
            read_runs([tmp_path / f"{name}.parquet"])


def test_damaged_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no run folder"):
        read_runs([tmp_path])
    run = write_run(tmp_path / "run", tests={"test": table(skill=0.5)})
    (run / "predictions" / "test.parquet").write_bytes(b"PAR1 none")
    with pytest.raises(ValueError, match="run, predictions test"):
        read_runs([run])
    (run / "result.json").write_text("{")
    with pytest.raises(ValueError, match=re.escape("result.json")):
        read_runs([run])


@pytest.mark.parametrize("confidence", [float("nan"), 1.5, -0.1])
def test_confidence_must_be_a_probability(tmp_path: Path, confidence: float) -> None:
    said = table(skill=0.5)
    place = said.column_names.index("confidence")
    wrong = said.set_column(place, "confidence", pa.array([confidence] * len(said), pa.float32()))
    write_run(tmp_path / "run", tests={"test": wrong})
    with pytest.raises(ValueError, match="run, predictions test: confidence must be a number from 0 to 1"):
        read_runs([tmp_path])


def test_a_study_is_read_as_it_was_written(tmp_path: Path) -> None:
    study = Study("balanced", "random clips", {"samm": "the same people"})
    study.write(tmp_path)
    assert Study.read(tmp_path) == study
    (tmp_path / "study.json").write_text('{"arm": 3}')
    with pytest.raises(ValueError, match="'arm' and 'against' must be words"):
        Study.read(tmp_path)


def test_arms_are_compared_seed_by_seed(tmp_path: Path) -> None:
    for arm, skill in (("random clips", 0.2), ("balanced", 0.6), ("", 0.6)):
        for seed in range(7):
            said = table(skill=skill, seed=seed)
            against = "" if arm == "random clips" else "random clips"
            write_run(tmp_path / f"{arm or 'all'}-{seed}", seed=seed, arm=arm, against=against, tests={"test": said})
    document = make_report(read_runs([tmp_path]), resamples=20)
    rows = next(table for table in document.tables() if table.name == "comparison").records
    assert {(row["arm"], row["control"]) for row in rows} == {
        ("balanced", "random clips"),
        ("all", "random clips"),
    }
    better = next(row for row in rows if row["arm"] == "balanced" and row["measure"] == "UF1")
    assert better["p"] == better["least_p"] == 2 / 2**7 and float(str(better["p_holm"])) > float(str(better["p"]))
    text = markdown(document)
    assert "divided anew" not in text and "counted in" not in text


def test_overlapping_divisions_are_said(tmp_path: Path) -> None:
    for arm in ("random clips", "balanced"):
        for seed in range(2):
            said = table(skill=0.5, seed=seed, clips=100 + 20 * seed)
            against = {"balanced": "random clips"}.get(arm, "")
            write_run(tmp_path / f"{arm}-{seed}", seed=seed, arm=arm, against=against, tests={"test": said})
    text = markdown(make_report(read_runs([tmp_path]), resamples=20))
    assert "divided anew for each seed" in text and "none of the tests can fall below .05" in text


def test_scores_without_a_class_are_marked(tmp_path: Path) -> None:
    whole = table(skill=0.6)
    partial = whole.filter(pc.not_equal(whole["label"], "surprise"))
    rows = [{**row, "test": "samm", "mark": "†"} for row in attacked()]
    write_run(tmp_path / "run", tests={"test": whole, "samm": partial}, robustness=rows)
    evaluations = read_runs([tmp_path / "run"])
    assert {one.test: one.absent for one in results_of(evaluations, resamples=20)} == {
        "equime": (),
        "samm": ("surprise",),
    }
    written = write_report([tmp_path / "run"], tmp_path / "page", resamples=20)
    text = (tmp_path / "page" / "report.md").read_text(encoding="utf-8")
    assert "† 1 of 2 test sets lacks a class (samm)" in text and "† no clip is of surprise" in text
    marked = [line for line in text.splitlines() if line.startswith("| flow | equime |") and "†" in line]
    assert "| samm † | FGSM |" in text and "†: the clips lack a class" in text.partition("Scores under attack")[2]
    assert len(marked) == 1 and marked[0].count("†") == 2  # UF1 and UAR
    assert {row["test"]: row["classes_absent"] for row in records(tmp_path / "page" / "scores-three.csv")} == {
        "equime": "",
        "samm": "surprise",
    }
    assert written


# --- what is written


def test_csv_holds_every_figure(page: Path) -> None:
    rows = records(page / "scores-three.csv")
    means = [row for row in rows if row["run"] == "mean"]
    assert len(means) == len({(row["model"], row["train"], row["arm"], row["test"]) for row in rows})
    for row in means:
        assert 0 <= float(row["constant_uf1"]) < 0.34 and row["constant_class"] == "negative"
        assert float(row["uf1_low"]) <= float(row["uf1"]) <= float(row["uf1_high"])
        assert all(row[name] for name in ("uar", "macro_f1", "weighted_f1", "accuracy", "mean_confidence", "ece"))
    assert {row["equals_constant"] for row in records(page / "published.csv")} == {"yes", "possibly", "no"}
    groups = {(row["attribute"], row["group"]) for row in records(page / "groups.csv")}
    assert ("apparent_gender", "female") in groups and ("apparent_race", "black") in groups


def test_counts_of_confusion_add_up(page: Path) -> None:
    rows = [row for row in records(page / "classes.csv") if row["classes"] == "three" and row["test"] == "samm"]
    by_result: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        by_result.setdefault((row["model"], row["train"], row["arm"]), []).append(row)
    for classes in by_result.values():
        assert sum(int(row["clips"]) for row in classes) == sum(int(row["called"]) for row in classes) == 113


def test_markdown_links_to_what_is_there(page: Path) -> None:
    text = (page / "report.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 20 and all((page / link).is_file() for link in links)
    assert "*always negative*" in text and "⚠" in text and "shuffled labels" in text
    pictures = {path.name for path in (page / "pictures").iterdir()}
    assert pictures == {Path(link).name for link in links if link.endswith(".png")}


class Page(HTMLParser):
    """Tags, identifiers and addresses of a page; fails where tags do not close."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href", "srcset"):
                self.addresses.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else(page: Path) -> None:
    text = (page / "index.html").read_text(encoding="utf-8")
    parsed = Page()
    parsed.feed(text)
    assert not parsed.open and parsed.found.count("section") == 9
    assert "script" not in parsed.found and "img" not in parsed.found
    outside = [link for link in parsed.addresses if not link.startswith("#") and not link.endswith(".csv")]
    assert outside == ["data:,"] and "url(http" not in text and "@import" not in text
    anchors = [link[1:] for link in parsed.addresses if link.startswith("#")]
    assert set(anchors) <= set(parsed.ids) and len(set(parsed.ids)) == len(parsed.ids)
    assert all((page / link).is_file() for link in parsed.addresses if link.endswith(".csv"))


def test_colors_of_pictures_follow_the_page(page: Path) -> None:
    text = (page / "index.html").read_text(encoding="utf-8")
    body = text[text.index("</style>") :]
    assert not re.findall(r"(?:fill|stroke|color): ?#[0-9a-fA-F]{3,6}", body)
    used = set(re.findall(r"var\(--([a-z-]+)\)", text))
    style = text[: text.index("</style>")]
    light, dark = style.split("prefers-color-scheme: dark")
    for name in used - {"width", "font"}:
        assert f"--{name}:" in light and f"--{name}:" in dark, name


def test_the_same_runs_give_the_same_bytes(study: Path, page: Path, tmp_path: Path) -> None:
    chosen = sorted(study.iterdir())[:2]
    for name in ("one", "other"):
        write_report(chosen, tmp_path / name, resamples=30)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert any(file.suffix == ".png" for file in files)
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_what_is_not_of_the_report_is_left_alone(tmp_path: Path) -> None:
    write_run(tmp_path / "run", tests={"test": table(skill=0.6)}, epochs=1)
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "report.md").write_text("my notes")
    with pytest.raises(ValueError, match=r"thesis holds 'report\.md', which no earlier report wrote; name another"):
        write_report([tmp_path / "run"], thesis, resamples=10)
    assert [path.read_text() for path in thesis.iterdir()] == ["my notes"]
    with pytest.raises(ValueError, match=r"report\.md: a file, not a folder"):
        check_target(thesis / "report.md")
    write_report([tmp_path / "run"], tmp_path / "page", resamples=10)
    check_target(tmp_path / "page")


def test_hostile_words_stay_words(tmp_path: Path) -> None:
    write_run(
        tmp_path / "<script>alert(1)",
        model="a|b <img src=x>",
        train=("../x&y",),
        tests={"test": table(skill=0.5)},
        epochs=1,
    )
    text_of = make_report(read_runs([tmp_path]), title="<b>$x$</b>", resamples=10)
    write_report([tmp_path], tmp_path / "page", title="<b>$x$</b>", resamples=10)
    text = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "<script" not in text and "<img" not in text and "&lt;b&gt;$x$" in text
    assert "a\\|b" in markdown(text_of)


def test_tables_in_three_forms() -> None:
    made = Table(
        "t",
        "A table",
        "",
        (Column("word", False), Column("number")),
        (Row((Cell("a & b", "small"),), "head"), Row(cells("x", Cell("0.5", tone="low", tip='"tip"')))),
        ({"word": "=1+1", "number": 0.25}, {"word": "y", "number": float("nan"), "more": None}),
    )
    assert table_markdown(made).splitlines()[2] == "| **a & b small** |  |"
    html = as_html(made)
    assert 'colspan="2">a &amp; b <small>small</small>' in html
    assert '<td class="number low" title="&quot;tip&quot;">0.5</td>' in html
    rows = list(csv.reader(io.StringIO(as_csv(made))))
    assert rows == [["word", "number", "more"], ["'=1+1", "0.25", ""], ["y", "", ""]]


def test_resamples_must_be_some(study: Path) -> None:
    with pytest.raises(ValueError, match="resamples=0"):
        make_report(read_runs([study]), resamples=0)
