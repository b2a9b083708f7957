"""Measures a built book in chromium, from disk: first paint, bytes, and how long a turn of a knob takes.

    python -m tests.book.measure _build/html

Prints one table and the machine's load. Nothing here is asserted: a busy machine makes every number larger.
"""

import os
import re
import sys
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from tests.browser_support import chromium, resize, until

PAINTS = 5
TURNS = 60
SHARED = "_static"
PAINTED = (
    "return performance.getEntriesByType('paint').find((e) => e.name === 'first-contentful-paint')?.startTime"
)
DRAWN = "return [...document.querySelectorAll('figure')].every((f) => f.querySelector('.main-svg, canvas'))"
TURN = """
const [figure, turns] = arguments, done = arguments[arguments.length - 1];
const inputs = [...figure.querySelectorAll('.wbx-knob input[type=range], .wbx-knob select')];
const rest = () => new Promise((go) => requestAnimationFrame(() => setTimeout(go, 30)));
const drawn = () => new Promise((go) => new MutationObserver((_, watch) => {
    if (!figure.hasAttribute('aria-busy')) { watch.disconnect(); go(performance.now()); }
}).observe(figure, { attributes: true }));
(async () => {
    const took = [];
    for (let turn = 0; turn < turns; turn += 1) {
        const input = inputs[turn % inputs.length];
        if (input.type === 'range') input.value = (Number(input.value) + 1) % (Number(input.max) + 1);
        else input.selectedIndex = (input.selectedIndex + 1) % input.options.length;
        const [end, begin] = [drawn(), performance.now()];
        input.dispatchEvent(new Event('input', { bubbles: true }));
        took.push((await end) - begin);
        await rest();
    }
    done(took);
})();
"""


def first_paints(page: Path) -> list[float]:
    """Milliseconds to the first contentful paint, each in a browser of its own."""
    found = []
    for _ in range(PAINTS):
        with chromium() as browser:
            resize(browser, 1280)
            browser.get(page.as_uri())
            found.append(until(lambda driver=browser: driver.execute_script(PAINTED), "the page is painted"))
    return found


def explorers(page: Path) -> list[dict[str, Any]]:
    """Of every Explorer on the page: what it draws, bytes of its frames, milliseconds of its turns."""
    rows = []
    baked = [len(text) for text in re.findall(r'<script type="text/plain">([^<]*)', page.read_text("utf-8"))]
    with chromium() as browser:
        browser.set_script_timeout(120)
        resize(browser, 1280)
        browser.get(page.as_uri())
        until(lambda: browser.execute_script(DRAWN), "all figures are drawn")
        for figure, size in zip(browser.find_elements("css selector", ".wb-explorer"), baked, strict=True):
            browser.execute_script("arguments[0].scrollIntoView({ block: 'center' })", figure)
            first, *took = browser.execute_async_script(TURN, figure, TURNS)
            kinds = [
                kind
                for kind in (".main-svg", "canvas")
                if figure.find_elements("css selector", f".wbx-stage {kind}")
            ]
            cuts = quantiles(took, n=20, method="inclusive")
            rows.append(
                {
                    "title": figure.get_attribute("aria-label"),
                    "draws": " and ".join(
                        {".main-svg": "figure", "canvas": "canvas"}[kind] for kind in kinds
                    ),
                    "bytes": size,
                    "first": first,
                    "p50": median(took),
                    "p95": cuts[-1],
                }
            )
    return rows


def main(html: Path) -> None:
    """Prints what is measured of the book in `html`."""
    print(f"load {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    shared = sum(file.stat().st_size for file in (html / SHARED).rglob("*") if file.is_file())
    print(f"shared scripts and styles: {shared / 1e6:.1f} MB")
    print("\npage | bytes | first paint, median (ms) | least | most")
    with_explorers = []
    for page in sorted(html.rglob("*.html")):
        text = page.read_text("utf-8")
        if page.relative_to(html).parts[0] == SHARED:
            continue
        if "wb-footer" in text or page.parent == html:
            paints = first_paints(page.resolve())
            told = f"{median(paints):.0f} | {min(paints):.0f} | {max(paints):.0f}"
            print(f"{page.relative_to(html)} | {page.stat().st_size} | {told}")
        if "wb-explorer" in text:
            with_explorers.append(page)
    print(
        f"\nExplorer ({TURNS - 1} turns after the first) | draws | bytes baked | first turn (ms) | p50 | p95"
    )
    for page in with_explorers:
        for row in explorers(page.resolve()):
            times = f"{row['first']:.1f} | {row['p50']:.1f} | {row['p95']:.1f}"
            print(f"{row['title']} | {row['draws']} | {row['bytes']} | {times}")
    print(f"\nload {os.getloadavg()[0]:.2f} at the end")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
