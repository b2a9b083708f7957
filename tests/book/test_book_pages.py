"""What stands on the rendered pages, and what must not."""

import json
import re
import zipfile
from html import escape, unescape

import nbformat
import pytest
from workbench_widgets import unbake
from workbench_widgets.frames import plain

from tests.book import small_book as made
from workbench.book import inside, outside
from workbench.book.build import pack, render
from workbench.book.marks import MARKS
from workbench.book.material import Material, in_words, read_page, shown_state
from workbench.book.pages import _claim
from workbench.claims import load_system
from workbench.claims import rows as claim_rows
from workbench.errors import WorkbenchError
from workbench.exercises import exercise
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
    for gone in (
        "injected",
        "only_for_tests",
        "assert average",
        "BEGIN SOLUTION",
        "html-manager",
        "require.js",
    ):
        assert gone not in re.sub(r"<[^>]+>", "", lesson)


def test_solution_parameters_and_plumbing_are_folded(lesson):
    folded = "".join(re.findall(r"<details.*?</details>", lesson, re.DOTALL))
    for words in ("41", "secret_plumbing", "budget", "Show one solution", "Show the parameters of this run"):
        assert words in folded
    assert "# your code here" in re.sub(r"<[^>]+>", "", lesson)
    assert "your code here" not in folded


def test_the_header_says_what_the_lesson_takes(lesson):
    words = words_of(lesson.split('class="wb-header"')[1].split("</aside>")[0])
    for said in (
        "20 minutes",
        "321 MiB measured",
        "60 s and 900 MiB declared",
        "The tour",
        "A Big <Kernel>",
        "1, and what holds here, at the end",
    ):
        assert said in words
    assert "reproduced" not in words  # a reader who guesses has not seen the answer


def test_what_holds_stands_at_the_end(lesson):
    words = words_of(lesson.split('<section id="claims"')[1].split("</section>")[0])
    for said in (
        "reach grows",
        "reproduced",
        "0.512 [0.49, 0.53]",
        "at least 0.4",
        "0.11: fails, as it must",
        "counted, 5 seeds, a tested machine, 2026-01-02",
    ):
        assert said in words


def test_nothing_in_the_book_leads_nowhere(html):
    assert inside(html) == []
    assert "../00-start/01-tour.html" in (html / "01-wide/01-far.html").read_text()


def words_of(html_text):
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html_text)))


def test_the_page_says_whose_results_stand_below_an_empty_exercise(lesson):
    words = words_of(lesson)
    whose = "This is the result of the solution that is folded above"
    assert words.count(whose) == 2
    for result in (" 42 ", " ✓ Right "):
        assert whose in words[: words.index(result)][-250:]


def test_hints_open_one_inside_the_other_and_stand_before_the_solution(lesson):
    asked = exercise("start/average")
    first, second = (lesson.index(f"Hint {number} of 2") for number in (1, 2))
    assert first < second < lesson.index("Show one solution") < lesson.index("Why it is right")
    assert "</details>" not in lesson[first:second]
    assert asked.hints[0] in words_of(lesson)
    assert lesson.index("# your code here") < first


def test_the_notebook_to_work_in_is_blank_and_the_other_says_that_it_is_solved(html, lesson):
    place = html / "downloads/01-wide"
    blank, solved = (
        (place / name).read_text() for name in ("01-far.ipynb", "01-far.executed-with-solutions.ipynb")
    )
    for text in (blank, solved):
        nbformat.validate(nbformat.reads(text, 4))
        assert "only_for_tests" not in text
    assert "return 41" not in blank
    assert "YOUR CODE HERE" in blank
    assert all(not cell.get("outputs") for cell in json.loads(blank)["cells"])
    assert "return 41" in solved
    assert "✓ Right" in solved
    assert "assert average" not in solved
    outputs = [
        kind
        for cell in json.loads(solved)["cells"]
        for o in cell.get("outputs", [])
        for kind in o.get("data", {})
    ]
    assert "image/png" in outputs, "an Explorer of pictures shows its first one"
    assert "application/vnd.workbench.explorer+json" not in outputs
    words = words_of(lesson.split('class="wb-footer"')[1])
    assert "The notebook to work in , with its exercises blank" in words
    assert "with every output and the solutions" in words


def test_the_map_says_what_needs_what_in_words_and_arcs(html):
    page = (html / "map.html").read_text("utf-8")
    words = words_of(page)
    assert "How far? after The tour" in words
    assert "2. What it costs no lesson yet" in words
    assert page.count('class="wb-head"') == 1
    assert "These build on it: How far? ." in words_of((html / "00-start/01-tour.html").read_text("utf-8"))


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


def test_words_of_the_glossary_are_linked_once_with_their_meaning(lesson):
    links = re.findall(r'<a class="[^"]*wb-term[^"]*"[^>]*>', lesson)
    told = {
        re.search('#term-([^"]*)', link)[1]: unescape(re.search('title="([^"]*)', link)[1]) for link in links
    }
    assert len(told) == len(links)
    assert told["receptive-field"].startswith("The inputs on which an output can depend")
    assert told["stride"].startswith("The distance from one position"), "found in prose, without markup"
    assert told["bar"].startswith("The value that a measurement must reach"), "in italics"
    assert "pass" not in told, "a word of every day"


def test_the_glossary_tells_four_senses_of_kernel_apart(html):
    words = words_of((html / "glossary.html").read_text("utf-8"))
    for sense in ("convolution kernel", "attention kernel", "Mercer kernel", "compute kernel"):
        assert re.search(rf"{sense} \(chapters \d+ to \d+\) Given", words)


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


def test_a_claim_is_told_in_the_words_of_its_system_with_its_unit():
    rows = [row for row in claim_rows(["soft"]) if row["claim"] in ("error", "error-of-rows")]
    for row in in_words([{**row, "paper": "an older wording"} for row in rows]):
        claim = load_system("soft").claim(row["claim"])
        block = _claim(row, several=False)
        assert f"<p>{escape(claim.says)}</p>" in block
        assert f"{row['value']:.3g} {escape(claim.unit)} [" in block
        assert ("Who says it" in block) == claim.paper.startswith("ours")
        assert escape(claim.paper) in block


def test_a_claim_of_a_system_that_is_not_here_is_told_as_recorded():
    row = {"system": "gone", "claim": "a", "value": 1.0, "paper": "twice as fast", "bar": "at least 2"}
    assert in_words([row]) == [row]


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
        (
            [made.code("drawn", {"image/png": "iVBORw0KGgo=", "text/plain": "drawn"})],
            "01-far, cell 2: the image has no text alternative",
        ),
        (
            [made.code("html", {"text/html": '<a href="gone.html">it</a>', "text/plain": ""})],
            "01-far.html:\\d+ links to gone.html, but there is no such file in the book",
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
