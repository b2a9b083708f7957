"""Prints how long live Explorers take from knob to redrawn figure: `python -m tests.live.latency`.

No test: clocks are worth reading on a quiet machine only. Every slider and menu of every Explorer of both
first lessons is turned through its values twice. The first pass pays for the function; in the second one
the frames are known to the kernel, so it shows what lies between knob and figure apart from the function.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.browser_support import chromium, resize
from tests.live.lab_page import LabPage, study_command

LESSONS = ("00-start/01-the-tour", "01-receptive-fields/01-how-far-does-one-output-look")
TURNS = 40  # of one Explorer in one pass

# Turns the knobs one after the other, the next one when the figure has come to rest; milliseconds a turn.
WALK = """const [figure, turns, done] = arguments;
const rested = () => new Promise((resolve) => {
  const look = () => (figure.hasAttribute('aria-busy') ? watch : (watch.disconnect(), resolve()));
  const watch = new MutationObserver(look);
  watch.observe(figure, { attributes: true });
  look();
});
const step = (knob) => { // to its next value, the first one after the last
  if (knob.type === 'checkbox') knob.checked = !knob.checked;
  else if (knob.tagName === 'SELECT') knob.selectedIndex = (knob.selectedIndex + 1) % knob.options.length;
  else knob.value = (Number(knob.value) + 1) % (Number(knob.max) + 1);
};
(async () => {
  const taken = [];
  const knobs = [...figure.querySelectorAll('input, select')];
  while (taken.length < turns) {
    for (const knob of knobs) {
      step(knob);
      await new Promise((resolve) => setTimeout(resolve, 60)); // the kernel is asked at most every 40 ms
      const began = performance.now();
      knob.dispatchEvent(new Event('input'));
      await rested();
      taken.push(performance.now() - began);
      if (taken.length === turns) break;
    }
  }
  [...figure.querySelectorAll('.wbx-tool')].find((tool) => tool.textContent === 'Reset').click();
  await rested();
  done(taken);
})();"""


def walk(page: LabPage, title: str) -> tuple[Any, Any]:
    """Milliseconds of each turn: with the function computing, and with its frames known."""
    figure = page.explorer(title).figure
    first, second = (page.driver.execute_async_script(WALK, figure, TURNS) for _ in range(2))
    return np.array(first), np.array(second)


def main() -> None:
    """One line an Explorer."""
    print(f"{'':40} {'with the function':>21} {'apart from it':>21}")
    print(f"{'Explorer, ms':40} {'p50':>10} {'p95':>10} {'p50':>10} {'p95':>10}", flush=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        chromium() as driver,
        study_command(Path(folder)) as (server, address),
    ):
        page = LabPage(driver, server)
        resize(driver, 1280)
        page.open(address)
        for lesson in LESSONS:
            path = Path(folder) / "study" / f"{lesson}.ipynb"
            # in the small budget, whose Explorers are the same
            quick = path.read_text("utf-8").replace(r"budget = \"lesson\"", r"budget = \"smoke\"")
            path.write_text(quick, "utf-8")
            page.open_lesson(lesson)
            page.run_all()
            titles = [figure.get_attribute("aria-label") for figure in page.find(".wbx")]
            for title in titles:
                times = [np.percentile(one, q) for one in walk(page, title) for q in (50, 95)]
                print(f"{title:40} " + " ".join(f"{time:10.0f}" for time in times), flush=True)


if __name__ == "__main__":
    main()
