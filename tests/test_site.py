"""The page of a dataset as a folder: which clips it shows, what it counts, its bytes, and words that are only words."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import small_profile, tree
from importing import small_reading
from typer.testing import CliRunner

from equime_builder import manifest
from equime_builder.acceptance import acceptance
from equime_builder.build import Request, build
from equime_builder.cli import app
from equime_builder.counts import au_shares
from equime_builder.documents.citation import paper
from equime_builder.documents.publication import Publication, write_publication
from equime_builder.finish import texts
from equime_builder.importing.plan import Request as ImportRequest
from equime_builder.importing.run import import_corpus
from equime_builder.manifest import FolderError
from equime_builder.plan import plan_hash
from equime_builder.site import figures
from equime_builder.site.choice import choose
from equime_builder.site.folder import read_table, write_site
from equime_builder.sources.drawn import ProceduralSource

HOSTILE = '"><img src=x onerror=alert(1)></script><script>alert(2)</script>${alert(3)} \u202e\u2066 [a](javascript:b) `'
URL = re.compile(rb"https?://[^\s\"'<>)&]+")


@pytest.fixture(scope="module")
def index(built: Path) -> pa.Table:
    return read_table(built)


@pytest.fixture(scope="module")
def site(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site") / "page"
    write_site(built, target, videos=4, repository="owner/equime", version="v1.0.0")
    return target


def change(index: pa.Table, **columns: list[Any]) -> pa.Table:
    for name, values in columns.items():
        place = index.schema.get_field_index(name)
        field = index.schema.field(place)
        index = index.set_column(place, field, pa.array(values, field.type))
    return index


def edit_plan(root: Path, **values: Any) -> None:
    """Change fields of a plan's header, and its hash with them."""
    plan = manifest.read_plan(root)
    header = {name: value for name, value in plan.header.items() if name != "plan_sha256"} | values
    hashed = plan_hash(header, plan.clips, plan.portraits, plan.curation)
    (root / manifest.HEADER).write_text(json.dumps({**header, "plan_sha256": hashed}))


def data_of(site: Path) -> dict[str, Any]:
    script = (site / "clips.js").read_text()
    found: dict[str, Any] = json.loads(script.removeprefix('"use strict";\nconst DATA = ').removesuffix(";\n"))
    return found


def test_the_same_folder_gives_the_same_bytes(built: Path, site: Path, tmp_path: Path) -> None:
    write_site(built, tmp_path / "again", videos=4, repository="owner/equime", version="v1.0.0")
    assert tree(tmp_path / "again") == tree(site)


def test_an_earlier_page_is_replaced_and_hidden_files_stay(built: Path, tmp_path: Path) -> None:
    target = tmp_path / "page"
    (target / ".git").mkdir(parents=True)
    (target / ".git" / "config").write_text("kept")
    write_site(built, target, videos=4)

    def cut(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_site(built, target, progress=cut)
    assert not (target / "index.html").exists() and not (target / "clips.js").exists(), "words of other pictures"
    written = write_site(built, target, clips=3, videos=2)
    assert (written.clips, written.videos) == (3, 2)
    assert sorted(path.name for path in target.glob("*/*.*")) == [
        "0000.jpg",
        "0000.mp4",
        "0001.jpg",
        "0001.mp4",
        "0002.jpg",
    ]
    assert (target / ".git" / "config").read_text() == "kept"
    assert written.size == sum(
        path.stat().st_size for path in target.rglob("*") if path.is_file() and path.name not in ("config", "site.json")
    )


def test_what_it_will_not_write_over(built: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ValueError, match="holds 'mine'"):
        write_site(built, tmp_path)
    with pytest.raises(ValueError, match="outside of the dataset folder"):
        write_site(built, built / "page")
    with pytest.raises(ValueError, match="must be a folder"):
        write_site(built, tmp_path / "mine")
    with pytest.raises(FolderError, match="holds no index"):
        write_site(tmp_path, tmp_path.parent / "page")
    for bad, said in (
        ({"clips": 0}, r"clips=0 must lie within 1\.\.1,000"),
        ({"clips": 1_001}, r"clips=1001 must lie within 1\.\.1,000"),
        ({"videos": -1}, r"videos=-1 must lie within 0\.\.clips, 1,000"),
        ({"repository": "a b"}, "repository"),
        ({"repository": "../x/y"}, "repository"),
        ({"version": "1"}, "version"),
    ):
        with pytest.raises(ValueError, match=said):
            write_site(built, tmp_path / "page", **bad)  # type: ignore[arg-type]
    assert not (tmp_path / "page").exists()


def test_only_clips_that_may_be_shown(index: pa.Table) -> None:
    count = len(index)
    assert count >= 6
    everything = choose(index, clips=count, videos=0, photographs=False)
    assert sorted(everything.rows) == list(range(count)) and everything.withheld == ()

    def first(value: str | None, other: str | None) -> list[str | None]:
        return [value, *[other] * (count - 1)]

    own = index["generator"][0].as_py()
    # What is not known, or no word of the vocabulary, does not hold.
    for column, values in [
        ("publication", first("restricted", "allowed")),
        ("publication", first("Restricted ", None)),
        ("audit_verdict", first("rejected", "accepted")),
        ("audit_verdict", first("Rejected", None)),
        ("review_verdict", first("rejected", None)),
        ("review_verdict", first("tied", "accepted")),
        ("corpus", first("casme2", "equime")),
        ("corpus", first(None, "equime")),
        ("generator", first("imported", own)),
        ("generator", first(None, own)),
        ("source", first("folder", "procedural")),
        ("source", first("somewhere", "procedural")),
        ("source", first(None, "procedural")),
    ]:
        choice = choose(change(index, **{column: values}), clips=count, videos=0, photographs=False)
        assert sorted(choice.rows) == list(range(1, count)), column
        assert [number for _, number in choice.withheld] == [1], column
    photographs = change(index, source=["folder"] * count)
    with pytest.raises(ValueError, match=f"none of {count} clips may be shown .*not released for a page: {count}"):
        choose(photographs, clips=count, videos=0, photographs=False)
    assert len(choose(photographs, clips=count, videos=0, photographs=True).rows) == count
    for released in (False, True):
        with pytest.raises(ValueError, match=f"CelebA-HQ, whose terms forbid to pass them on: {count}"):
            choose(change(index, source=["celeba-hq"] * count), clips=count, videos=0, photographs=released)
    imported = change(index, generator=["imported"] * count)
    with pytest.raises(ValueError, match="another corpus"):
        choose(imported, clips=count, videos=0, photographs=True)


def test_clips_are_chosen_evenly(index: pa.Table) -> None:
    many = pa.concat_tables([index] * 20)
    names = ["happiness", "anger", "fear"]
    emotions = [names[0] if row % 10 else names[1 + row // 10 % 2] for row in range(len(many))]
    choice = choose(change(many, emotion=emotions), clips=9, videos=3, photographs=False)
    shown = [emotions[row] for row in choice.rows]
    assert choice.videos == 3 and sorted(shown[:3]) == sorted(names)
    assert min(map(shown.count, names)) >= 2 and len(set(choice.rows)) == 9


def test_the_first_clips_are_clear_and_of_different_subjects(index: pa.Table) -> None:
    names = ["happiness", "anger", "fear", "sadness"]
    many = pa.concat_tables([index] * 20).slice(0, 80)
    changed = change(
        many,
        emotion=[names[row % 4] for row in range(80)],
        derived_emotion=[names[row % 4] if row % 8 > 3 else None for row in range(80)],
        subject=[f"p{row // 4 % 5}" for row in range(80)],
        aus=[[{"au": 12, "side": "both", "intensity": 2.0}]] * 80,
        motion_inside=[float(row) if row != 40 else None for row in range(80)],
    )
    choice = choose(changed, clips=80, videos=80, photographs=False)
    assert sorted(choice.rows) == list(range(80))
    hero, *following = (changed.slice(row, 1).to_pylist()[0] for row in choice.rows[:4])
    assert hero["derived_emotion"] == hero["emotion"] and choice.rows[0] == 79
    assert len({row["subject"] for row in (hero, *following)}) == 4
    assert len({row["emotion"] for row in (hero, *following)}) == 4


def test_what_is_counted(built: Path, index: pa.Table) -> None:
    emotion, *_ = figures.counted(index)
    assert sum(emotion.clips) == len(index) and max(emotion.subjects) <= len(set(index["subject"].to_pylist()))
    aus, words, shares = au_shares(index)
    rows = index.select(["emotion", "aus"]).to_pylist()
    for row, au in enumerate(aus):
        for column, word in enumerate(words):
            mine = [any(one["au"] == au for one in clip["aus"]) for clip in rows if clip["emotion"] == word]
            assert shares[row, column] == pytest.approx(np.mean(mine))
    for histogram in figures.histograms(index):
        assert sum(histogram.counts) > 0 and len(histogram.edges) == len(histogram.counts) + 1
        assert histogram.edges[0] <= histogram.median <= histogram.edges[-1]
    plan, commits = manifest.read_plan(built), [commit for _, commit in manifest.committed(built)]
    assert figures.verdicts(index, plan, commits) == []
    half = ["accepted" if row % 2 else "rejected" for row in range(len(index))]
    some = ["accepted", "rejected", *[None] * (len(index) - 2)]
    audit, experts = figures.verdicts(change(index, audit_verdict=half, review_verdict=some), plan, commits)
    assert audit.planned and not experts.planned
    for said, judged, accepted in ((audit, len(index), len(index) // 2), (experts, 2, 1)):
        assert (said.rows[0].label, said.rows[0].planned, said.rows[0].accepted) == ("all", judged, accepted)
        for group in {row.label for row in said.rows}:
            assert sum(row.planned for row in said.rows if row.label == group) == judged
    (part,) = figures.verdicts(change(index, audit_verdict=some), plan, commits)
    assert not part.planned and (part.rows[0].planned, part.unjudged) == (2, len(index) - 2)


def test_what_was_measured_is_the_same_on_page_and_card(
    built: Path, copy_of: Callable[[Path], Path], tmp_path: Path
) -> None:
    root = copy_of(built)
    table = pq.read_table(root / "index.parquet")
    some = [None, float("nan"), *[row / 7 for row in range(len(table) - 2)]]
    table = change(table, **dict.fromkeys(("psnr_first_db", "audit_embedding"), some))
    pq.write_table(table, root / "index.parquet")
    write_site(root, tmp_path / "page", videos=0)
    page = (tmp_path / "page" / "index.html").read_text()
    section = texts(root, table)["README.md"].decode().split("## How it was measured")[1].split("###")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.split("\n") if line.startswith("| `")]
    assert {"psnr_first_db", "audit_embedding", "motion_inside"} <= {row[0].strip("`") for row in rows}
    for name, about, clips, *figures_of in rows:
        cells = "".join(f'<td role="cell">{figure}</td>' for figure in (*figures_of, clips))
        assert f'<bdi>{html.escape(about)}</bdi> <span class="muted">{name.strip("`")}</span></th>{cells}' in page


def test_what_was_judged_in_part_is_the_same_on_page_and_card(
    built: Path, copy_of: Callable[[Path], Path], tmp_path: Path
) -> None:
    root = copy_of(built)
    table = pq.read_table(root / "index.parquet")
    judged = change(table, audit_verdict=["accepted", "rejected", "accepted", *[None] * (len(table) - 3)])
    pq.write_table(judged, root / "index.parquet")
    write_site(root, tmp_path / "page", videos=0)
    page = (tmp_path / "page" / "index.html").read_text()
    card = " ".join(texts(root, judged)["README.md"].decode().split())
    assert "2 of 3 judged clips accepted, 67% (95% interval 21–94%)" in page
    assert "| all | 3 | 2 | 67% | 21–94% |" in card
    for text in (page, card):
        assert f" {len(table) - 3} of {len(table)} clips were not judged." in text


def test_the_audit_counts_what_was_refused_and_has_left(tmp_path: Path) -> None:
    faint = small_profile(
        intensity=(0.05, 0.7),
        noise_sigma=2.0,
        subjects=8,
        shared_program_subjects=1,
        acceptance={"attempts": 2, "reserve": 8},
    )
    root = tmp_path / "equime"
    assert build(root, Request(faint, ProceduralSource()))
    # As an audit leaves a folder, which needs a landmark model: clips that it accepted, and lines of those it refused.
    edit_plan(root, audit=True)
    table = pq.read_table(root / "index.parquet")
    pq.write_table(change(table, audit_verdict=["accepted"] * len(table)), root / "index.parquet")
    every, *rows = acceptance(root).rows
    assert every.accepted < every.planned and every.stood_in
    write_site(root, tmp_path / "page", videos=0)
    page = (tmp_path / "page" / "index.html").read_text()
    section = page.split('<section id="audit"')[1].split("</section>")[0]
    assert f"Of {every.planned} planned clips it accepted {every.accepted}, " in section
    assert f"(95% interval {100 * every.low:.0f}–{every.high:.0%})" in section
    assert f"{every.first} of them at the first attempt" in section
    assert f"refused {every.planned - every.accepted}; these are not in the dataset" in section
    assert f"A reserve stands in for them with {every.stood_in} accepted clip" in section
    assert "Why clips were refused" in section and "…" not in section
    for row in rows:
        if row.planned:
            share, between = f"{row.accepted / row.planned:.0%}", f"{100 * row.low:.0f}–{row.high:.0%}"
            numbers = "".join(f"<td>{number}</td>" for number in (share, between, row.planned, row.first, row.accepted))
            told = re.sub(r' role="[a-z]+"', "", section).split(f"<bdi>{html.escape(row.value)}</bdi>")
            assert any(f"{numbers}<td>{row.stood_in}</td>" in part.split("</tr>")[0] for part in told[1:]), row


def test_what_the_page_holds_of_a_clip(built: Path, site: Path) -> None:
    shown = data_of(site)["clips"]
    labels = {row["key"]: row for row in pq.read_table(built / "index.parquet").to_pylist()}
    assert len(shown) == len(labels) and len(list((site / "videos").iterdir())) == 4
    for number, clip in enumerate(shown):
        row = labels[clip["key"]]
        assert clip["event"] == [row["onset_frame"], row["apex_frame"], row["offset_frame"]]
        assert [one[0] for one in clip["aus"]] == [one["au"] for one in row["aus"]]
        for au, first, values in clip["curves"]:
            assert first + len(values) <= clip["frames"]
            peaks = [one["intensity"] for one in row["aus"] if one["au"] == au]
            assert not peaks or max(values) / 100 == pytest.approx(peaks[0], abs=0.02)
        still = cv2.imread(str(site / "stills" / f"{number:04}.jpg"))
        assert still is not None and still.shape == (160, 320, 3)
        video = site / "videos" / f"{number:04}.mp4"
        assert clip["video"] == (video.stat().st_size if video.exists() else 0)


def test_every_format_gives_the_same_page(
    built: Path, copy_of: Callable[[Path], Path], site: Path, tmp_path: Path
) -> None:
    root = copy_of(built)
    shutil.rmtree(root / "wds")
    table = pq.read_table(root / "index.parquet")
    pq.write_table(change(table, shard=[None] * len(table)), root / "index.parquet")
    for folder in ("data", "arrow"):
        write_site(root, tmp_path / folder, videos=4, repository="owner/equime", version="v1.0.0")
        assert tree(tmp_path / folder) == tree(site)
        shutil.rmtree(root / folder)
    with pytest.raises(FolderError, match="holds no samples"):
        write_site(root, tmp_path / "none")


def test_clips_that_lack_labels(built: Path, copy_of: Callable[[Path], Path], tmp_path: Path) -> None:
    root = copy_of(built)
    table = pq.read_table(root / "index.parquet")
    nothing: list[Any] = [None] * len(table)
    uncoded = [{"au": 45, "side": "both", "intensity": None}, {"au": 99, "side": None, "intensity": 2.0}]
    for aus in ([], uncoded):
        held = {"split": ["test"] * len(table), "aus": [aus] * len(table)}
        changed = change(table, emotion=nothing, apparent_race=nothing, age_group=nothing, **held)
        pq.write_table(changed, root / "index.parquet")
        write_site(root, tmp_path / "page")
        clip = data_of(tmp_path / "page")["clips"][0]
        assert (clip["emotion"], clip["race"], clip["age"]) == ("unknown",) * 3
        assert [one[0] for one in clip["aus"]] == [one["au"] for one in aus]
        page = (tmp_path / "page" / "index.html").read_text()
        assert "unknown" in page and 'test = load_dataset(repo, split="test"' in html.unescape(page)


class Parsed(HTMLParser):
    """Elements, their attributes and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


def test_nothing_is_asked_of_elsewhere(site: Path) -> None:
    parsed = Parsed((site / "index.html").read_text())
    policy = next(a["content"] for tag, a in parsed.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'; script-src 'self';") and "unsafe" not in policy
    for tag, attributes in parsed.elements:
        assert not {name for name in attributes if name.startswith("on") or name == "style"}, (tag, attributes)
        for name in ("src", "href"):
            value = attributes.get(name) or ""
            if "//" in value:
                assert (tag, value) == ("a", "https://huggingface.co/datasets/owner/equime")
    for script in [attributes for tag, attributes in parsed.elements if tag == "script"]:
        assert script["src"] in ("clips.js", "viewer.js", "main.js") and (site / script["src"]).exists()
    for path in (*site.glob("*.js"), *site.glob("*.css")):
        assert set(URL.findall(path.read_bytes())) <= {b"http://www.w3.org/2000/svg"}


def test_hostile_words_are_words(built: Path, copy_of: Callable[[Path], Path], site: Path, tmp_path: Path) -> None:
    root = copy_of(built)
    table = pq.read_table(root / "index.parquet")
    count = len(table)
    words: dict[str, list[Any]] = {
        name: [HOSTILE] * count for name in ("caption", "profile", "au_text", "intervention")
    }
    pq.write_table(change(table, **words, subject=[HOSTILE] * count), root / "index.parquet")
    (root / "README.md").write_text(f"---\nlicense: {json.dumps(HOSTILE)}\n---\n```bibtex\n{HOSTILE}\n```\n")
    (root / "LICENSE").write_text(HOSTILE)
    write_site(root, tmp_path / "page", videos=4, repository="owner/equime")
    page = (tmp_path / "page" / "index.html").read_text()
    plain = Parsed((site / "index.html").read_text())
    assert [tag for tag, _ in Parsed(page).elements if tag in ("script", "img")] == [
        tag for tag, _ in plain.elements if tag in ("script", "img")
    ]
    told = html.escape(HOSTILE.replace("\u202e\u2066", ""))
    assert page.count(told) == 1 + 2 * count  # license, and stills where scripts do not run
    script = (tmp_path / "page" / "clips.js").read_text()
    assert "<" not in script and script.isascii()
    assert data_of(tmp_path / "page")["clips"][0]["caption"] == HOSTILE.replace("\u202e\u2066", "")
    for text in (page, script, (tmp_path / "page" / "README.md").read_text()):
        assert not set("\u202e\u2066\x00") & set(text)
    head = yaml.safe_load((tmp_path / "page" / "README.md").read_text().split("---")[1])
    assert head["license"] == manifest.read_plan(root).profile.license
    assert f">{html.escape(paper().bibtex)}</pre>" in page


def test_what_a_visitor_reads_first(built: Path, site: Path, tmp_path: Path) -> None:
    page = (site / "index.html").read_text()
    hero = page.split('<section class="hero">')[1].split("</section>")[0]
    plan = manifest.read_plan(built)
    for words in (
        "A synthetic dataset of micro-expressions, for research. Every face is drawn by code: nobody is shown",
        f"plan <code><bdi>{plan.header['plan_sha256'][:12]}</bdi></code>",
        "version <bdi>v1.0.0</bdi>",
        "CC BY-NC-SA 4.0",
    ):
        assert words in hero
    (ask,) = re.findall(r'<a class="button primary" href="([^"]+)"[^>]*>Ask for access</a>', hero)
    assert ask == "https://huggingface.co/datasets/owner/equime"
    described = next(a["content"] for tag, a in Parsed(page).elements if a.get("name") == "description")
    assert described is not None and described.startswith("A synthetic dataset of micro-expressions")
    assert (
        plan.header["plan_sha256"] in page and "equime audit" not in page and "--" not in re.sub("<!--|-->", "", page)
    )
    assert "FOLDER" not in page and 'load_dataset(repo, split="train", revision="v1.0.0"' in html.unescape(page)
    write_site(built, tmp_path / "page", videos=0)
    unpublished = (tmp_path / "page" / "index.html").read_text()
    assert '<a class="button primary" href="#access"' in unpublished and "its address stands here" in unpublished
    assert "built by equime" in unpublished and "FOLDER" not in unpublished


def test_photographs_say_whose_they_are(built: Path, copy_of: Callable[[Path], Path], tmp_path: Path) -> None:
    root = copy_of(built)
    table = pq.read_table(root / "index.parquet")
    pq.write_table(change(table, source=["folder"] * len(table)), root / "index.parquet")
    edit_plan(root, source="folder")
    write_site(root, tmp_path / "page", videos=0, photographs=True)
    page = (tmp_path / "page" / "index.html").read_text()
    assert "The faces are photographs of people; the clips show motion that these people never made." in page
    assert "drawn by code" not in page and "License of the portraits: " in page


def test_a_static_space(site: Path) -> None:
    head = yaml.safe_load((site / "README.md").read_text().split("---")[1])
    assert head["sdk"] == "static" and head["app_file"] == "index.html" and head["datasets"] == ["owner/equime"]
    assert head["license"].startswith("cc-by-nc")


def test_a_published_folder_says_on_its_page_where_it_is(
    built: Path, copy_of: Callable[[Path], Path], tmp_path: Path
) -> None:
    root = copy_of(built)
    write_publication(root, Publication("lab/equime", "2026-01-02"))
    for asked, expected in ((None, "lab/equime"), ("owner/equime", "owner/equime")):
        assert write_site(root, tmp_path / "page", videos=0, repository=asked).repository == expected
        page = (tmp_path / "page" / "index.html").read_text()
        assert f'<a class="button primary" href="https://huggingface.co/datasets/{expected}"' in page
        head = yaml.safe_load((tmp_path / "page" / "README.md").read_text().split("---")[1])
        assert head["datasets"] == [expected]
    told = CliRunner().invoke(app, ["site", str(root), str(tmp_path / "page"), "--clips", "3"]).output
    assert "--repo" not in told
    (root / manifest.PUBLICATION).write_text("x")
    with pytest.raises(FolderError, match="is damaged"):
        write_site(root, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_an_imported_corpus_has_no_page(tmp_path: Path) -> None:
    root = tmp_path / "casme2"
    import_corpus(root, small_reading(tmp_path / "corpus"), ImportRequest(context_ms=50))
    with pytest.raises(ValueError, match=r"none of 5 clips may be shown .*another corpus.*: 5"):
        write_site(root, tmp_path / "page", photographs=True)
    assert not (tmp_path / "page").exists()


def test_the_command(built: Path, tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["site", str(built), str(tmp_path / "page"), "--clips", "3", "--json"])
    assert ran.exit_code == 0, ran.output
    said = json.loads(ran.stdout)
    assert (said["clips"], said["videos"], said["withheld"]) == (3, 3, {})
    told = CliRunner().invoke(app, ["site", str(built), str(tmp_path / "page"), "--clips", "3"]).output
    assert "add --repo OWNER/NAME" in told
    asked = ["site", str(built), str(tmp_path / "page"), "--clips", "3", "--repo", "owner/equime"]
    assert "--repo" not in CliRunner().invoke(app, asked).output
