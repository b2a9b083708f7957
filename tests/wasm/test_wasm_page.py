"""The panels in a real browser, from a folder and without a network: they measure, by keyboard too."""

import re

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser_support import chromium, complaints, resize, until
from workbench.wasm import machine_card, tuner

PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>t</title>{head}'
    '<body style="background: {ground}; color: {ink}">{body}'
)
BAKED = {(1, 1): 3.5, (4, 2): 44.0}
INNER = "return document.querySelector('.wbw-status').textContent"


def page(tmp_path, *bodies, head="", ground="#fff", ink="#111"):
    path = tmp_path / "page.html"
    path.write_text(
        PAGE.format(head=head, ground=ground, ink=ink, body="".join(body.html for body in bodies)),
        encoding="utf-8",
    )
    return path.as_uri()


def test_a_panel_asks_for_nothing_outside():
    for panel in (tuner(BAKED), machine_card()):
        html = panel._repr_html_()
        assert len(html) < 100_000
        assert not re.search(r"""(?:src|href)=|url\(|import\s*\(|fetch\(""", html)
        assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
        assert "44" in tuner(BAKED).html.split("<script")[0], "what was measured stands there without script"


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


@pytest.mark.browser
class TestInABrowser:
    def test_the_tuner_measures_this_computer(self, browser, tmp_path):
        resize(browser, 900)
        browser.get(page(tmp_path, tuner(BAKED, "Measured elsewhere.", rows=[1, 2, 16], vectors=[1, 2])))
        assert browser.execute_script(INNER) == "Measured elsewhere."
        cells = browser.find_elements(By.CSS_SELECTOR, ".wbw-cell")
        assert [cell.text for cell in cells] == ["3.5", "", "", "", "", ""]
        assert [i for i, cell in enumerate(cells) if "wbw-spills" in cell.get_attribute("class")] == [4, 5]
        browser.find_element(By.CSS_SELECTOR, ".wbw-go").send_keys(Keys.ENTER)
        told = until(
            lambda: (text := browser.execute_script(INNER)).startswith("This computer, now") and text,
            "all six are measured",
            within=60,
        )
        assert "6 kernels" in told
        assert "all right" in told
        best, one, naive = (
            float(value) for value in re.findall(r"(?:best|time|JavaScript) (\d+(?:\.\d)?)", told)
        )
        assert best >= one > naive > 0, "vectors are faster than plain loops, and tiles than one sum"
        assert all(cell.text for cell in browser.find_elements(By.CSS_SELECTOR, ".wbw-cell"))
        until(
            lambda: "f32x4.mul" in browser.find_element(By.CSS_SELECTOR, ".wbw-code").text,
            "its loop is shown",
        )
        assert complaints(browser) == []

    def test_arrows_walk_through_the_map_and_show_the_kernel(self, browser, tmp_path):
        browser.get(page(tmp_path, tuner(rows=[1, 2], vectors=[1, 2, 3])))
        cells = browser.find_elements(By.CSS_SELECTOR, ".wbw-cell")
        assert [cell.get_attribute("tabindex") for cell in cells] == ["0", *["-1"] * 5]
        browser.execute_script("arguments[0].focus()", cells[0])
        browser.switch_to.active_element.send_keys(
            Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT
        )
        here = browser.switch_to.active_element
        assert here.get_attribute("aria-label") == "2 rows, 3 vectors, fits the registers: not measured"
        code = until(lambda: browser.find_element(By.CSS_SELECTOR, ".wbw-code").text, "the kernel is shown")
        assert code.count("f32x4.mul") == 6
        assert code.count("v128.load ") + code.count("v128.load\n") == 3
        assert complaints(browser) == []

    def test_one_row_has_one_line_and_relaxed_kernels_fuse(self, browser, tmp_path):
        browser.get(page(tmp_path, tuner(rows=[1, 2], vectors=[1, 2])))
        rows, _, _ = browser.find_elements(By.CSS_SELECTOR, ".wbw select")
        rows.send_keys("1" + Keys.ENTER)
        until(
            lambda: len(browser.find_elements(By.CSS_SELECTOR, ".wbw-cell")) == 2,
            "two rows cannot be had of one",
        )
        browser.find_element(By.CSS_SELECTOR, ".wbw input[type=checkbox]").click()
        browser.find_elements(By.CSS_SELECTOR, ".wbw-cell")[1].click()
        until(lambda: "relaxed_madd" in browser.find_element(By.CSS_SELECTOR, ".wbw-code").text, "fused")

    def test_a_run_can_be_stopped(self, browser, tmp_path):
        browser.get(page(tmp_path, tuner()))
        go = browser.find_element(By.CSS_SELECTOR, ".wbw-go")
        go.click()
        until(lambda: go.text == "Stop", "it runs")
        go.click()
        assert browser.execute_script(INNER) == "Stopped."

    @pytest.mark.parametrize(
        ("broken", "sentence"),
        [
            ("delete window.WebAssembly", "runs no WebAssembly"),
            ("WebAssembly.validate = () => false", "without vectors"),
            ("delete window.Worker", "no script work in the background"),
        ],
    )
    def test_what_is_missing_is_said(self, browser, tmp_path, broken, sentence):
        browser.get(page(tmp_path, tuner(BAKED), machine_card(), head=f"<script>{broken}</script>"))
        said = [p.text for p in browser.find_elements(By.CSS_SELECTOR, ".wbw-wrong")]
        assert len(said) == 2
        assert all(sentence in text for text in said)
        assert not any(go.is_enabled() for go in browser.find_elements(By.CSS_SELECTOR, ".wbw-go"))
        assert browser.find_elements(By.CSS_SELECTOR, ".wbw-cell")[0].text == "3.5", "what is baked stays"

    def test_a_worker_that_does_not_start_is_told(self, browser, tmp_path):
        head = (
            "<script>window.Worker = class { constructor() { throw new Error('forbidden here'); } }</script>"
        )
        browser.get(page(tmp_path, tuner(), head=head))
        browser.find_element(By.CSS_SELECTOR, ".wbw-go").click()
        assert browser.execute_script(INNER) == "It stopped: forbidden here"

    def test_the_card_draws_a_roofline(self, browser, tmp_path):
        resize(browser, 900)
        browser.get(page(tmp_path, machine_card()))
        browser.find_element(By.CSS_SELECTOR, ".wbw-go").click()
        drawn = until(lambda: browser.find_elements(By.CSS_SELECTOR, ".wbw svg"), "it is drawn", within=60)[0]
        assert "peak" in drawn.get_attribute("aria-label")
        lines = [item.text for item in browser.find_elements(By.CSS_SELECTOR, ".wbw li")]
        rates = [float(line.split()[0]) for line in lines]
        assert len(lines) == 6
        assert all(rate > 0 for rate in rates)
        assert complaints(browser) == []

    def test_360_pixels_light_and_dark(self, browser, tmp_path):
        resize(browser, 360)
        browser.get(page(tmp_path, tuner(BAKED), ground="#14181d", ink="#e6edf3"))
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
        ink = "return getComputedStyle(document.querySelector('.wbw select')).color"
        assert browser.execute_script(ink) == "rgb(230, 237, 243)", "the page's own ink"
        edge = browser.execute_script(
            "return getComputedStyle(document.querySelector('.wbw')).borderTopWidth"
        )
        assert edge == "1px"

    def test_without_script_the_baked_values_stand(self, browser, tmp_path):
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        try:
            browser.get(page(tmp_path, tuner(BAKED)))
            assert "44" in browser.find_element(By.CSS_SELECTOR, ".wbw-map").text
            assert "needs scripts" in browser.find_element(By.TAG_NAME, "body").text
        finally:
            browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
