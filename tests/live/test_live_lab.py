"""A learner's session from the first command on, in order: one JupyterLab, one browser."""

from pathlib import Path

import nbformat
import pytest
from lab_page import LabPage, errors, source, study_command
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.browser_support import chromium, complaints, resize, until
from workbench.claims.ledger import Ledger
from workbench.exercises import exercise

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TOUR, FIRST = "00-start/01-the-tour", "01-receptive-fields/01-how-far-does-one-output-look"
WHO, SLIDE = "who looks at whom", "slide over the photograph"
RIGHT = "return np.full((size, size), 1 / size**2)"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("live")


@pytest.fixture(scope="module")
def page(home: Path):
    with chromium() as driver, study_command(home) as (server, address):
        page = LabPage(driver, server)
        resize(driver, 1280)
        page.open(address)
        yield page


def scripts(page: LabPage) -> int:
    """How often plotly's script was put into the page by Explorers."""
    return page.run("""return document.querySelectorAll('head script[src^="blob:"]').length""")


def explorers(page: LabPage) -> int:
    return sum("@explore(" in source(cell) for cell in page.cells())


def all_drawn(page: LabPage) -> bool:
    drawn = """return [...arguments[0]].filter((figure) => !figure.hasAttribute('aria-busy')
        && figure.querySelector('.wbx-part :is(canvas, .main-svg)')).length"""
    return page.run(drawn, page.find(".wbx")) == explorers(page)


def turn(page: LabPage, title: str) -> None:
    """Turns the Explorer's first slider by one step, and sees figure and words follow."""
    explorer = page.explorer(title)
    before, said = explorer.data(), explorer.says()
    knob = page.find("input[type=range]", explorer.figure)[0]
    page.run("arguments[0].focus()", knob)
    last = knob.get_attribute("value") == knob.get_attribute("max")
    page.keys(Keys.ARROW_LEFT if last else Keys.ARROW_RIGHT)
    until(lambda: explorer.data() != before, "the figure follows the knob")
    until(lambda: explorer.says() != said, "the new state is told in words")
    assert knob.get_attribute("aria-valuetext") in explorer.says()


def answer(page: LabPage, line: str) -> str:
    """Writes the last line of the tour's exercise anew, runs it, and returns what the check says."""
    editor = page.find(".cm-content", page.cell("def average("))[0]
    editor.click()
    page.keys(Keys.CONTROL, Keys.END)
    page.keys(Keys.SHIFT, Keys.HOME)
    page.keys(*line)
    page.run_cell("def average(")
    return page.run_cell('exercise("start/average").check(')


def test_the_first_command_leads_to_the_tour_and_all_its_cells_run(page: LabPage) -> None:
    assert page.run("return location.pathname").endswith(f"{TOUR}.ipynb")
    page.run_all()
    asked = "return [...document.querySelectorAll('.jp-toast-button')].map((button) => button.innerText)"
    assert page.run(asked) == [], "nobody is asked about news over a lesson"
    assert errors(page.cells()) == []
    assert explorers(page) == 4
    until(lambda: all_drawn(page), "every Explorer is drawn")
    assert scripts(page) == 1
    assert complaints(page.driver, page.server) == []


def test_a_learner_alone_sees_no_buttons_of_a_class(page: LabPage) -> None:
    shown = """return [...document.querySelectorAll('.lm-MenuBar-itemLabel, .jp-Toolbar-item')]
        .map((item) => item.innerText + (item.dataset.jpItemName ?? ''))"""
    words = " ".join(page.run(shown)).lower()
    assert "kernel" in words
    for button in ("nbgrader", "validate", "formgrader", "assignment"):
        assert button not in words


def test_a_knob_turns_by_keyboard(page: LabPage) -> None:
    turn(page, WHO)
    assert page.driver.switch_to.active_element.get_attribute("type") == "range", (
        "the focus stays on the knob"
    )


def test_a_knob_turns_by_mouse(page: LabPage) -> None:
    explorer = page.explorer(SLIDE)
    before = explorer.data()
    knob = page.find("input[type=range]", explorer.figure)[0]
    left_end = -knob.size["width"] // 2 + 3
    ActionChains(page.driver).move_to_element_with_offset(knob, left_end, 0).click().perform()
    until(lambda: explorer.data() != before, "the picture follows the knob")
    until(lambda: "size 3" in explorer.says(), "the new state is told in words")


def test_a_prediction_is_committed_with_the_keyboard_and_met_again(page: LabPage, home: Path) -> None:
    cell = page.cell("predict(")
    choices = until(lambda: page.find("input[type=radio]", cell), "the question is asked")
    page.run("arguments[0].focus()", choices[0])
    page.keys(Keys.ARROW_DOWN)
    button = page.find("button.widget-button", cell)[0]
    until(button.is_enabled, "a guess can be committed")
    for _ in choices:  # every choice is a stop of its own
        if page.driver.switch_to.active_element != button:
            page.keys(Keys.TAB)
    assert page.driver.switch_to.active_element == button
    page.keys(Keys.ENTER)
    until(lambda: "You predicted" in cell.text, "the guess is kept")
    (row,) = Ledger(home / "own" / "ledger.sqlite").rows("prediction")
    assert (row["lesson"], row["guess"]) == (TOUR, page.find(".widget-radio-box label", cell)[1].text)
    assert f"You predicted “{row['guess']}”" in page.run_cell("recall(")


def test_an_exercise_is_answered_wrongly_and_then_rightly(page: LabPage, home: Path) -> None:
    mistake = "the weights are not divided"
    hint = exercise("start/average").wrong_answers[mistake][1]
    said = answer(page, "return np.ones((size, size))")
    assert f"This looks like: {mistake}." in said
    assert hint in said
    assert "✓" in answer(page, RIGHT)
    attempts = Ledger(home / "own" / "ledger.sqlite").rows("attempt")
    assert [(row["passed"], row["looks_like"]) for row in attempts[-2:]] == [(False, mistake), (True, None)]


def test_figures_fit_a_narrow_window_and_follow_the_theme(page: LabPage) -> None:
    state = """return arguments[0].map((plot) => ({ ink: plot._fullLayout.font.color,
        width: plot._fullLayout.width, room: plot.parentElement.clientWidth }))"""
    plots = page.find(".wbx-plot")
    light = page.run(state, plots)
    try:
        resize(page.driver, 900)
        page.theme("JupyterLab Dark")
        until(
            lambda: all(a["ink"] != b["ink"] for a, b in zip(light, page.run(state, plots), strict=True)),
            "dark ink",
        )
        for plot in plots:
            page.run("arguments[0].scrollIntoView()", plot)
            fits = lambda plot=plot: (now := page.run(state, [plot])[0])["width"] == now["room"]  # noqa: E731
            until(fits, "the figure is as wide as its place")
    finally:
        page.theme("JupyterLab Light")
        resize(page.driver, 1280)


def test_closed_and_reopened_the_work_is_still_there(page: LabPage, home: Path) -> None:
    path = home / "study" / f"{TOUR}.ipynb"
    saved = page.save(path)
    assert path.stat().st_size < 1_000_000
    assert "plotly.js v" not in path.read_text("utf-8")
    assert "widgets" not in saved["metadata"]
    page.open_lesson(TOUR)
    assert any(RIGHT in source(cell) for cell in page.cells())
    assert "✓" in str(page.cells())
    turn(page, WHO)
    assert scripts(page) == 1


def test_after_a_restart_an_explorer_says_how_to_go_on_and_recovers(page: LabPage) -> None:
    explorer = page.explorer(WHO)
    page.restart()
    until(lambda: "Run All Cells" in explorer.trouble(), "the Explorer says that its kernel is gone")
    page.run_all()
    assert page.explorer(WHO).trouble() == ""
    turn(page, WHO)


def test_without_its_kernel_a_reopened_lesson_says_how_to_wake_it(page: LabPage, home: Path) -> None:
    page.save(home / "study" / f"{TOUR}.ipynb")
    page.shut_down()
    page.open_lesson(TOUR)
    seen = "return arguments[0].filter((note) => note.checkVisibility()).map((note) => note.innerText)"
    notes = until(lambda: page.run(seen, page.find(".wbx-asleep")), "the notes are there")
    assert len(notes) == explorers(page) + 1, "one for each Explorer and one for the prediction"
    assert page.run(seen, page.find(".jp-OutputArea-child > .jupyter-widgets")) == []


def test_an_explorer_is_drawn_while_later_cells_run_and_turns_after_them(page: LabPage, home: Path) -> None:
    go = home / "go"
    draw = """import time
from pathlib import Path
import numpy as np
from workbench_widgets import explore

@explore(level=range(1, 5))
def patch(level=1):
    return np.full((8, 8), level / 5)

patch"""
    wait = f"while not Path({str(go)!r}).exists():\n    time.sleep(0.02)"
    cells = [nbformat.v4.new_code_cell(text) for text in (draw, wait)]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.write(notebook, home / "study" / "busy.ipynb")
    page.open_lesson("busy")
    page.run_all_without_waiting()
    explorer = page.explorer("patch")
    first = explorer.data()
    page.run("arguments[0].focus()", explorer.one("input"))
    page.keys(Keys.ARROW_RIGHT)
    assert explorer.figure.get_attribute("aria-busy") == "true"
    assert not page.run("return window.allRan")
    go.touch()
    until(lambda: explorer.data() != first, "the Explorer turns when the kernel is free")


def test_the_first_lesson_runs_whole(page: LabPage, home: Path) -> None:
    path = home / "study" / f"{FIRST}.ipynb"
    path.write_text(path.read_text("utf-8").replace(r"budget = \"lesson\"", r"budget = \"smoke\""), "utf-8")
    page.open_lesson(FIRST)
    page.run_all()
    assert errors(page.cells()) == []
    until(lambda: all_drawn(page), "every Explorer is drawn")
    assert scripts(page) <= 1
    painted = page.explorer("what one output sees")
    for knob in page.find("input[type=range]", painted.figure):
        before = painted.data()
        page.run("arguments[0].focus()", knob)
        page.keys(Keys.ARROW_RIGHT)
        name = page.run("return arguments[0].labels[0].innerText", knob)
        until(lambda before=before: painted.data() != before, f"the painting follows {name}")
    assert "widgets" not in page.save(path)["metadata"]
    assert path.stat().st_size < 1_000_000
    assert "plotly.js v" not in path.read_text("utf-8")
    assert [said for said in complaints(page.driver, page.server) if said.startswith("asked for")] == []


def test_a_figure_without_knobs_has_its_caption_and_follows_the_theme(page: LabPage) -> None:
    cell = page.cell("views.growth(")
    assert "Four times the layers" in cell.text
    (plot,) = until(lambda: page.find(".js-plotly-plot", cell), "the figure is drawn")
    look = """const [plot] = arguments, seen = (part) => getComputedStyle(plot.querySelector(part));
        return [seen('.xtitle').fill, seen('.ygrid').stroke, seen('.main-svg').backgroundColor]"""
    light = page.run(look, plot)
    assert light[0] == "rgb(26, 26, 26)"
    try:
        page.theme("JupyterLab Dark")
        dark = until(lambda: (now := page.run(look, plot)) != light and now, "the colours follow")
        assert dark == ["rgb(242, 242, 242)", "rgb(51, 59, 69)", "rgba(0, 0, 0, 0)"]
    finally:
        page.theme("JupyterLab Light")
