"""The book as a reader has it: opened from a folder, without server, network, kernel or Python."""

import base64
import re
import shutil
import subprocess

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser_support import chromium, complaints, resize, until

pytestmark = pytest.mark.browser
SHOWN = "const p = document.querySelector('.wb-explorer .wbx-plot'); return p && p.data && p.data[0].y[2]"


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


@pytest.fixture
def lesson(browser, html):
    resize(browser, 1280)
    browser.get("about:blank")
    complaints(browser)
    browser.get((html / "01-wide/01-far.html").as_uri())
    until(lambda: browser.execute_script(SHOWN) == 4, "the Explorer shows its first frame")
    yield browser
    assert complaints(browser) == []


def test_the_front_page_measures_the_readers_machine(browser, html):
    resize(browser, 1280)
    browser.get((html / "index.html").as_uri())
    card = browser.find_element(By.CSS_SELECTOR, "#your-machine .wbw")
    go = card.find_element(By.CSS_SELECTOR, "button")
    go.send_keys(Keys.ENTER)
    until(lambda: card.find_elements(By.CSS_SELECTOR, "svg[role=img]"), "the roofline is drawn", within=60)
    assert re.search(
        r"peak [\d.]+ Gflop/s", card.find_element(By.CSS_SELECTOR, "svg").get_attribute("aria-label")
    )
    assert complaints(browser) == []


def slider(browser):
    return browser.find_element(By.CSS_SELECTOR, ".wb-explorer input[type=range]")


def says(browser):
    return browser.find_element(By.CSS_SELECTOR, ".wb-explorer [aria-live]").get_attribute("textContent")


def test_a_knob_turns_by_keyboard_and_the_change_is_told(lesson):
    knob = slider(lesson)
    lesson.execute_script("arguments[0].focus()", knob)
    knob.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    until(lambda: lesson.execute_script(SHOWN) == 8, "the figure follows the knob")
    assert knob.get_attribute("aria-valuetext") == "4"
    until(lambda: says(lesson) == "slope 4, dashed off. a line of slope 4", "the new state is told in words")
    plot = lesson.find_element(By.CSS_SELECTOR, ".wb-explorer .wbx-plot")
    assert plot.get_attribute("aria-label") == "a line of slope 4"


def test_knobs_turn_by_mouse_and_reset(lesson):
    knob = slider(lesson)
    ActionChains(lesson).move_to_element_with_offset(knob, -knob.size["width"] // 2 + 3, 0).click().perform()
    until(lambda: lesson.execute_script(SHOWN) == 2, "the slider's left end is slope 1")
    lesson.find_element(By.CSS_SELECTOR, ".wb-explorer input[type=checkbox]").click()
    dash = "return document.querySelector('.wb-explorer .wbx-plot').data[0].line.dash"
    until(lambda: lesson.execute_script(dash) == "dash", "the switch dashes the line")
    lesson.find_element(By.XPATH, "//button[text()='Reset']").click()
    until(lambda: lesson.execute_script(SHOWN) == 4, "reset leads back")


def test_pictures_are_pixels_that_turn(lesson):
    figure = lesson.find_elements(By.CSS_SELECTOR, ".wb-explorer")[1]
    lesson.execute_script("arguments[0].scrollIntoView({block: 'center'})", figure)
    pixel = """const drawn = arguments[0].querySelector('canvas');
        if (!drawn) return null;
        const copy = new OffscreenCanvas(8, 8).getContext('2d', { willReadFrequently: true });
        copy.drawImage(drawn, 0, 0);
        return copy.getImageData(3, 3, 1, 1).data[0]"""
    until(lambda: lesson.execute_script(pixel, figure) == 128, "the first picture is grey")
    figure.find_element(By.CSS_SELECTOR, "input[type=range]").send_keys(Keys.ARROW_RIGHT)
    until(lambda: lesson.execute_script(pixel, figure) == 255, "the next one is white")


def test_a_link_restores_the_state(lesson):
    slider(lesson).send_keys(Keys.ARROW_LEFT)
    link = lesson.find_element(By.LINK_TEXT, "Link")
    address = until(
        lambda: (href := link.get_attribute("href")).endswith("slope=1&dashed=off") and href,
        "the link names the state",
    )
    lesson.get("about:blank")
    lesson.get(address)
    until(lambda: lesson.execute_script(SHOWN) == 2, "the linked state is shown")


def test_the_address_follows_the_knob_and_leads_back_to_it(lesson):
    before = lesson.current_url
    knob = slider(lesson)
    knob.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    lesson.find_element(By.CSS_SELECTOR, ".wb-explorer input[type=checkbox]").click()
    until(lambda: lesson.current_url.endswith("&slope=4&dashed=on"), "the address names the state")
    address = lesson.current_url
    assert address.startswith(before + "#explorer-")
    lesson.get("about:blank")
    lesson.get(address)
    until(lambda: lesson.execute_script(SHOWN) == 8, "the frame is restored")
    assert slider(lesson).get_attribute("aria-valuetext") == "4"
    assert lesson.find_element(By.CSS_SELECTOR, ".wb-explorer input[type=checkbox]").is_selected()


def prefer(browser, **features):
    asked = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": asked})


@pytest.mark.parametrize("by", ["the switch", "the system"])
def test_light_and_dark_reach_the_page_and_its_figures(lesson, by):
    ink = "return document.querySelector('.wb-explorer .wbx-plot')._fullLayout.font.color"
    ground = "return getComputedStyle(document.body).backgroundColor"
    light, paper = lesson.execute_script(ink), lesson.execute_script(ground)
    if by == "the system":
        prefer(lesson, prefers_color_scheme="dark")
    else:
        turn = "return document.documentElement.dataset.theme"
        lesson.find_element(By.CSS_SELECTOR, ".theme-switch-button").click()
        lesson.execute_script(
            "[...document.querySelectorAll('[data-mode=dark]')].find((e) => e.matches('button'))?.click()"
        )
        until(lambda: lesson.execute_script(turn) == "dark", "the switch turns the theme")
    try:
        until(lambda: lesson.execute_script(ink) != light, "the figure's ink changes with the theme")
        assert lesson.execute_script(ground) != paper
    finally:
        prefer(lesson)
        lesson.execute_script("localStorage.clear()")


def test_nothing_moves_by_itself_where_motion_is_unwelcome(lesson):
    prefer(lesson, prefers_reduced_motion="reduce")
    try:
        moving = """return [...document.querySelectorAll('body, body *')].filter((e) => {
            const style = getComputedStyle(e);
            const takes = style.transitionDuration.split(',').some((time) => parseFloat(time) > 0);
            return style.animationName !== 'none' || takes;
        }).map((e) => e.outerHTML.slice(0, 90))"""
        assert lesson.execute_script(moving) == []
    finally:
        prefer(lesson)


def test_words_of_the_glossary_say_what_they_mean_on_hover_and_focus(lesson):
    word = lesson.find_element(By.CSS_SELECTOR, "a.wb-term[href*='receptive-field']")
    meaning = lesson.find_element(By.ID, "wb-meaning")
    assert not meaning.is_displayed()
    ActionChains(lesson).move_to_element(word).perform()
    until(lambda: meaning.is_displayed(), "hovering tells")
    assert meaning.text.startswith("The inputs on which an output can depend")
    ActionChains(lesson).move_to_element(meaning).pause(0.4).perform()
    assert meaning.is_displayed(), "one may move onto it"
    ActionChains(lesson).send_keys(Keys.ESCAPE).perform()
    assert not meaning.is_displayed()
    lesson.execute_script("arguments[0].focus()", word)
    until(lambda: meaning.is_displayed(), "focus tells")
    assert word.get_attribute("aria-describedby") == "wb-meaning"


def test_hints_and_the_solution_open_by_keyboard(lesson):
    hints = lesson.find_elements(By.CSS_SELECTOR, ".wb-hints summary")[:2]
    assert [hint.is_displayed() for hint in hints] == [True, False]
    for hint in hints:
        hint.send_keys(Keys.ENTER)
    until(lambda: all(hint.is_displayed() for hint in hints), "both hints are seen")
    solution = lesson.find_element(By.XPATH, "//summary[contains(., 'Show one solution')]")
    solution.send_keys(Keys.ENTER)
    code = lesson.find_element(By.XPATH, "//details[contains(., 'Show one solution')]//pre")
    until(lambda: "return 41 + size" in code.text, "the solution is seen")


@pytest.mark.parametrize(
    "page",
    [
        "01-wide/01-far.html",
        "01-wide/index.html",
        "index.html",
        "00-start/01-tour.html",
        "map.html",
        "glossary.html",
    ],
)
def test_360_pixels_are_enough(lesson, html, page):
    resize(lesson, 360)
    lesson.get((html / page).as_uri())
    if page.endswith("far.html"):
        until(lambda: lesson.execute_script(SHOWN) == 4, "the Explorer is drawn")
    assert lesson.execute_script("return document.documentElement.scrollWidth") <= 360
    too_wide = """const seen = '.bd-article figure, .bd-article figure .main-svg, .bd-article canvas';
        return [...document.querySelectorAll(seen)]
        .filter((e) => e.getBoundingClientRect().right > 360).length"""
    assert lesson.execute_script(too_wide) == 0


def test_still_figures_are_drawn_when_they_come_near(lesson):
    figure = lesson.find_element(By.CSS_SELECTOR, ".wb-figure")
    lesson.execute_script("arguments[0].scrollIntoView()", figure)
    until(lambda: figure.find_elements(By.CSS_SELECTOR, ".main-svg"), "the figure near the window is drawn")


def test_the_print_holds_words_and_figures_as_they_are_turned_on_white(lesson, tmp_path):
    """Read from the finished PDF: pictures of its pages, and of the figure what only a slope of 4 writes."""
    slider(lesson).send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    lesson.execute_script("document.documentElement.dataset.theme = 'dark'")
    drawn = (
        "return [...document.querySelectorAll('figure')].every((f) => f.querySelector('.main-svg, canvas'))"
    )
    until(
        lambda: lesson.execute_script(SHOWN) == 8 and lesson.execute_script(drawn),
        "all is drawn, also far below",
    )
    lesson.execute_script(
        """window.printed = null;
        const look = () => { const plot = document.querySelector('.wb-explorer .wbx-plot');
            const theme = document.documentElement.dataset.theme;
            window.printed = [theme, plot.data[0].y[2], plot._fullLayout.font.color]; };
        matchMedia('print').addEventListener('change', (event) => { if (event.matches) look(); });"""
    )
    pdf = tmp_path / "page.pdf"
    printed = lesson.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    pdf.write_bytes(base64.b64decode(printed["data"]))
    theme, height, ink = lesson.execute_script("return window.printed")
    assert (theme, height) == ("light", 8)
    assert sum(int(ink[i : i + 2], 16) for i in (1, 3, 5)) < 300, "dark ink"
    assert lesson.execute_script("return document.documentElement.dataset.theme") == "dark", "and back"
    assert pdf.stat().st_size > 30_000
    if not shutil.which("pdftotext"):
        return  # what follows needs poppler
    words = subprocess.run(["pdftotext", pdf, "-"], capture_output=True, text=True, check=True).stdout
    for said in ("How far?", "Steeper is faster.", "\n8\n", "Up it goes.", "Hint 1 of 2"):
        assert said in words


def test_mathematics_is_typeset(lesson):
    until(lambda: lesson.find_elements(By.CSS_SELECTOR, "mjx-container svg"), "the formula is drawn")


def test_search_finds_a_system_offline(lesson, html):
    lesson.get((html / "search.html").as_uri() + "?q=paged")
    results = until(
        lambda: lesson.find_elements(By.CSS_SELECTOR, "#search-results li a"),
        "search has results from a folder",
    )
    assert "What it costs" in results[0].text
    assert complaints(lesson) == []


def test_without_script_the_words_are_there(browser, html):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get((html / "01-wide/01-far.html").as_uri())
        alternatives = [p.text for p in browser.find_elements(By.CSS_SELECTOR, ".wb-alt")]
        assert alternatives == ["a line of slope 2", "three points going up"]
        frames = browser.find_elements(By.CSS_SELECTOR, ".wb-still")
        assert [frame.tag_name for frame in frames] == ["div", "img", "div"]
        assert frames[1].get_attribute("alt") == "a patch of level 1"
        for frame in frames:
            assert frame.is_displayed()
            assert min(frame.size["width"], frame.size["height"]) >= 20, "the first frame is seen"
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
