"""axe-core finds no serious fault of accessibility on any kind of page: light and dark, wide and narrow."""

import hashlib
import re
from pathlib import Path

import pytest

import workbench.book
from tests.browser_support import chromium, resize, until
from workbench._paths import build_dir, lessons_root

pytestmark = pytest.mark.browser
ROOM = Path(workbench.book.__file__).parent
AXE = Path(__file__).parent / "axe"
SERIOUS = {"serious", "critical"}
PAGES = [
    *("index.html", "map.html", "glossary.html", "search.html?q=kernel"),
    *("01-wide/index.html", "01-wide/01-far.html"),
]
OPENED = "document.querySelectorAll('details').forEach((folded) => { folded.open = true; })"
DRAWN = "return [...document.querySelectorAll('figure')].every((f) => f.querySelector('.main-svg, canvas'))"
RUN = """const done = arguments[arguments.length - 1];
    axe.run(document, { resultTypes: ['violations'] })
        .then((found) => done(found.violations), (error) => done(String(error)))"""


def faults(driver) -> list[str]:
    """What axe-core finds on the page as it is, with everything unfolded, serious or worse."""
    driver.execute_script(OPENED)
    until(lambda: driver.execute_script(DRAWN), "all figures are drawn")
    driver.execute_script((AXE / "axe.min.js").read_text("utf-8"))
    found = driver.execute_async_script(RUN)
    assert isinstance(found, list), found
    return [
        f"{fault['id']} ({fault['impact']}): {node['html'][:150]}"
        for fault in found
        if fault["impact"] in SERIOUS
        for node in fault["nodes"]
    ]


BUILT = build_dir() / "smoke-html"  # the whole book; `make test` renders it before it runs the tests
LESSONS = sorted(page.with_suffix(".html") for page in lessons_root().glob("*/*.ipynb"))


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_no_serious_fault(browser, html, page, scheme, width):
    asked = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", asked)
    resize(browser, width)
    browser.get("about:blank")
    file, _, query = page.partition("?")
    browser.get((html / file).as_uri() + f"?{query}" * bool(query))
    assert browser.execute_script("return document.documentElement.dataset.theme") == scheme
    assert faults(browser) == []


@pytest.mark.parametrize("lesson", [page.relative_to(lessons_root()).as_posix() for page in LESSONS])
def test_no_serious_fault_on_real_lessons(browser, lesson):
    page = (BUILT / lesson).resolve()
    newest = max(file.stat().st_mtime for file in ROOM.rglob("*") if file.suffix in (".py", ".js", ".css"))
    if not page.is_file() or page.stat().st_mtime < newest:
        pytest.skip(f"{BUILT} holds no page of {lesson} made by the code as it is: make test renders one")
    resize(browser, 1280)
    browser.get(page.as_uri())
    assert faults(browser) == []


def test_axe_sees_a_fault_where_there_is_one(browser, tmp_path):
    page = tmp_path / "bad.html"
    page.write_text("<!doctype html><html lang=en><title>t</title><img src='data:,'><button></button>")
    browser.get(page.as_uri())
    assert {fault.split()[0] for fault in faults(browser)} == {"image-alt", "button-name"}


def test_the_vendored_script_is_the_one_on_its_card():
    card = (AXE / "README.md").read_text("utf-8")
    (told,) = re.findall(r"`([0-9a-f]{64})`", card)
    assert hashlib.sha256((AXE / "axe.min.js").read_bytes()).hexdigest() == told
