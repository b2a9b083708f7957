"""What stands on the rendered pages, and what must not."""

import json
import re
import zipfile
from html import unescape

import pytest
from workbench_widgets import unbake
from workbench_widgets.frames import plain

from tests.book import small_book as made
from workbench.book import outside
from workbench.book.build import pack, render
from workbench.book.marks import MARKS
from workbench.book.material import Material, read_page, shown_state
from workbench.errors import WorkbenchError
from workbench.lessons.model import Lesson


@pytest.fixture(scope="module")
def lesson(html):
    return (html / "01-wide/01-far.html").read_text("utf-8")


def test_nothing_is_loaded_from_outside(html):
    assert outside(html) == []


def test_every_figure_has_its_text_alternative_and_caption(lesson):
    figures = re.findall(r"<figure class=\"wb-?[xf].*?</figure>", lesson, re.DOTALL)
    assert len(figures) == 3
    for words in ("a line of slope 2", "a patch of level 1", "three points going up", "Up it goes."):
        assert words in lesson


def test_baked_frames_are_in_the_page_and_whole(lesson):
    packed = re.findall(r'<script type="text/plain">([^<]*)</script>', lesson)
    assert len(packed) == 2
    stored = json.loads(re.findall(r'<script type="application/json">(.*?)</script>', lesson, re.DOTALL)[0])
    assert [knob["name"] for knob in stored["knobs"]] == ["slope", "dashed"]
    for indexes in made.line.knobs.grid():
        assert unbake(stored["frame"], packed[0], indexes) == plain(made.line.frame(indexes), 4)


def test_no_machinery_is_seen(lesson):
    for gone in ("injected", "only_for_tests", "assert step", "BEGIN SOLUTION", "html-manager", "require.js"):
        assert gone not in re.sub(r"<[^>]+>", "", lesson)


def test_solution_parameters_and_plumbing_are_folded(lesson):
    folded = "".join(re.findall(r"<details.*?</details>", lesson, re.DOTALL))
    for words in ("41", "secret_plumbing", "budget", "Show one solution", "Show the parameters of this run"):
        assert words in folded
    assert "# your code here" in re.sub(r"<[^>]+>", "", lesson)
    assert "your code here" not in folded


def test_the_header_says_what_the_lesson_takes_and_what_holds(lesson):
    words = unescape(
        re.sub(
            r"\s+", " ", re.sub(r"<[^>]+>", " ", lesson.split('class="wb-header"')[1].split("</aside>")[0])
        )
    )
    for said in (
        "20 minutes",
        "321 MiB measured",
        "60 s and 900 MiB declared",
        "The tour",
        "A Big <Kernel>",
        "reach grows",
        "reproduced",
        "0.512 [0.49, 0.53]",
        "at least 0.4",
        "0.11: fails, as it must",
        "counted, 5 seeds, a tested machine, 2026-01-02",
    ):
        assert said in words


def test_links_between_lessons_and_the_download_lead_somewhere(html):
    for file in html.rglob("*.html"):
        for href in re.findall(r'<a[^>]+href="([^"#]+)[^"]*"', file.read_text("utf-8")):
            if not href.startswith(("http:", "https:")):
                assert (file.parent / unescape(href)).is_file(), f"{file.name} links to {href}"
    assert (
        '<a href="../downloads/01-wide/01-far.ipynb" download>' in (html / "01-wide/01-far.html").read_text()
    )
    assert "../00-start/01-tour.html" in (html / "01-wide/01-far.html").read_text()


def test_the_front_page_is_an_honest_map(html):
    front = (html / "index.html").read_text("utf-8")
    assert "2 chapters, 3 published systems. 1 of them\nis here today" in front
    for row in made.SYSTEMS:
        assert f"index.html#{row['key']}" in front
        assert (
            f'id="{row["key"]}"'
            in (html / made.CHAPTERS[row["chapter"] - 1].folder / "index.html").read_text()
        )
    assert "A Big &lt;Kernel&gt;" in front
    assert "a tested machine, 2026-01-02" in front


def test_glossary_entries_show_on_hover(lesson):
    (title,) = re.findall(r'title="([^"]*)"[^>]*><span class="xref std std-term">receptive field', lesson)
    assert title.startswith("The inputs on which an output can depend")


def test_the_book_packs_into_one_file(html):
    with zipfile.ZipFile(pack(html)) as archive:
        assert archive.testzip() is None
        assert "kernel-workbench/01-wide/01-far.html" in archive.namelist()


def test_search_works_without_a_server(html):
    index = (html / "searchindex.js").read_text("utf-8")
    assert "paged" in index
    options = (html / "_static/documentation_options.js").read_text("utf-8")
    assert "SHOW_SEARCH_SUMMARY: false" in options


def test_scripts_are_shared_and_pages_small(html):
    assert (html / "_static/plotly.min.js").stat().st_size > 1_000_000
    assert (html / "_static/mathjax/tex-svg-full.js").is_file()
    assert (html / "_static/mathjax/LICENSE").is_file()
    for file in html.rglob("*.html"):
        text = file.read_text("utf-8")
        assert len(text) < 1_500_000
        assert text.count("plotly.min.js") == 0, "book.js asks for it when a figure comes near"


@pytest.mark.parametrize(
    ("state", "verdicts", "shown"),
    [
        ("absent", [], "absent"),
        ("stale", ["reproduced"], "stale"),
        ("verdicts", ["reproduced", "reproduced", None], "reproduced"),
        ("verdicts", ["reproduced", "direction only"], "mixed"),
    ],
)
def test_a_system_shows_one_verdict_only_if_its_claims_share_it(state, verdicts, shown):
    claims = [{"system": "a", "verdict": verdict} for verdict in verdicts]
    claims.append({"system": "b", "verdict": "inconclusive"})
    assert shown_state({"key": "a", "state": state}, claims) == shown
    assert shown in MARKS


def test_a_missing_lesson_fails_the_book(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    with pytest.raises(WorkbenchError, match="01-wide/02-gone has no run in the smoke budget"):
        read_page(Lesson(tmp_path / "x.ipynb", "01-wide/02-gone"), "smoke")


def test_a_failed_lesson_fails_the_book_even_beside_an_older_good_run(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    good = made.make_page(tmp_path / "runs/smoke", "01-wide/01-far", "How far?", [made.text("# How far?")])
    assert read_page(good.lesson, "smoke").run["status"] == "ok"
    failed = {"status": "timeout", "error": "cell 3 took longer than 60 s"}
    good.executed.with_suffix(".failed.json").write_text(json.dumps(failed), "utf-8")
    with pytest.raises(WorkbenchError, match="01-far ended as 'timeout': cell 3 took longer than 60 s"):
        read_page(good.lesson, "smoke")


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ([made.code("plot()", made.figure(alt=""))], "01-far, cell 2: the figure has no text alternative"),
        (
            [made.text("See [it](../02-cost/09-nowhere.ipynb).")],
            "01-far links to ../02-cost/09-nowhere.ipynb, which is no lesson",
        ),
        (
            [
                made.code(
                    "m",
                    {
                        "application/vnd.plotly.v1+json": {
                            "data": [{"type": "scattergeo"}],
                            "layout": {"meta": {"alt": "m"}},
                        }
                    },
                )
            ],
            "a scattergeo trace loads maps from outside",
        ),
    ],
)
def test_what_readers_would_stumble_over_fails_the_book_and_leaves_the_old_one(
    tmp_path, monkeypatch, cells, sentence
):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    old = tmp_path / "html" / "index.html"
    old.parent.mkdir()
    old.write_text("the old book")
    (old.parent / ".buildinfo").touch()
    bad = made.make_page(
        tmp_path / "runs/lesson", "01-wide/01-far", "How far?", [made.text("# How far?"), *cells]
    )
    with pytest.raises(WorkbenchError, match=sentence):
        render(Material("lesson", made.CHAPTERS, made.SYSTEMS, (), [bad]), tmp_path / "html")
    assert old.read_text() == "the old book"


def test_a_folder_that_is_no_book_is_never_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path / "build"))
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(WorkbenchError, match="it is no book"):
        render(Material("lesson", made.CHAPTERS, made.SYSTEMS), tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_an_unbaked_explorer_fails_the_book(tmp_path, monkeypatch):
    monkeypatch.delenv("WORKBENCH_BAKE", raising=False)
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    cells = [made.text("# How far?"), made.code("line", made.line._repr_mimebundle_())]
    bad = made.make_page(tmp_path / "runs/lesson", "01-wide/01-far", "How far?", cells)
    with pytest.raises(WorkbenchError, match="the Explorer line: its frames were not computed"):
        render(Material("lesson", made.CHAPTERS, made.SYSTEMS, (), [bad]), tmp_path / "html")
