"""The book as a reader has it: opened from a folder, without server, network, kernel or Python."""

import base64

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


def test_light_and_dark_reach_the_figures(lesson):
    ink = "return document.querySelector('.wb-explorer .wbx-plot')._fullLayout.font.color"
    light = lesson.execute_script(ink)
    lesson.execute_script("document.documentElement.dataset.theme = 'dark'")
    until(lambda: lesson.execute_script(ink) != light, "the figure's ink changes with the theme")


@pytest.mark.parametrize(
    "page", ["01-wide/01-far.html", "01-wide/index.html", "index.html", "00-start/01-tour.html"]
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


def test_still_figures_are_drawn_and_printed(lesson):
    figure = lesson.find_element(By.CSS_SELECTOR, ".wb-figure")
    lesson.execute_script("arguments[0].scrollIntoView()", figure)
    until(lambda: figure.find_elements(By.CSS_SELECTOR, ".main-svg"), "the figure near the window is drawn")
    pdf = lesson.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(base64.b64decode(pdf["data"])) > 30_000


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
        assert alternatives == ["a line of slope 2", "a patch of level 1", "three points going up"]
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
