"""The live widget's script, run in a browser against a kernel that the test plays itself."""

import base64
import json

import pytest
from workbench_widgets import explore
from workbench_widgets.live import LiveExplorer, plotly_script

from tests.browser_support import chromium, complaints, until

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><meta charset="utf-8"><title>live</title>
<body data-jp-theme-light="true"><div id="here"></div>
<script>
const descriptor = {descriptor}, esm = {esm}, packed = "{plotly}";
const listeners = new Set(), wires = new Set();
window.sent = [];
window.answer = (message, buffers = []) => listeners.forEach((listener) => listener(message, buffers));
window.newest = () => Math.max(...turns().map((turn) => turn.ticket)); // of both views
window.cut = () => wires.forEach((wire) => wire());
window.turns = () => sent.filter((message) => message.kind === "turn");
window.model = {{
  get: () => descriptor,
  on: (event, listener) => (event === "msg:custom" ? listeners : wires).add(listener),
  off: (event, listener) => (event === "msg:custom" ? listeners : wires).delete(listener),
  send: (message) => {{
    sent.push(message);
    if (message.kind === "plotly") {{
      answer({{ kind: "plotly" }}, [Uint8Array.from(atob(packed), (c) => c.charCodeAt(0))]);
    }}
  }},
}};
window.figure = (n) => [{{ kind: "plotly", data: [{{ y: [0, n] }}], layout: {{}}, alt: `slope ${{n}}` }}];
import(URL.createObjectURL(new Blob([esm], {{ type: "text/javascript" }}))).then((module) => {{
  for (const _ of "ab") {{
    const el = document.getElementById("here").appendChild(document.createElement("div"));
    module.default.render({{ model, el }});
  }}
  window.ready = true;
}});
</script>"""


TURN = """const knob = document.querySelector('input[type=range]');
    knob.value = arguments[0]; knob.dispatchEvent(new Event('input'))"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    widget = LiveExplorer(explore(slope=range(1, 40))(lambda slope=1: None))
    html = PAGE.format(
        descriptor=json.dumps(widget.descriptor),
        esm=json.dumps(widget._esm),
        plotly=base64.b64encode(plotly_script()).decode(),
    )
    widget.close()
    path = tmp_path_factory.mktemp("live") / "page.html"
    path.write_text(html, "utf-8")
    with chromium() as driver:
        driver.get(path.as_uri())
        until(lambda: driver.execute_script("return window.ready && turns().length === 2"), "both views ask")
        yield driver
        assert complaints(driver) == []


def shown(page):
    return page.execute_script("return document.querySelector('.wbx-plot')?.data?.[0].y[1]")


def wrong(page):
    return page.execute_script(
        "const p = document.querySelector('.wbx-wrong'); return p.hidden ? null : p.textContent"
    )


def test_a_live_explorer_from_first_frame_to_recovery(page):
    run = page.execute_script
    run("answer({kind: 'frame', ticket: 1, frame: figure(1)})")
    until(lambda: shown(page) == 1, "the first frame is drawn")
    assert run("return sent.filter((m) => m.kind === 'plotly').length") == 1, "one script for two Explorers"

    # a drag over 30 values is at most one message in 40 ms, and ends with the last value
    before = run("return turns().length")
    run("""const knob = document.querySelector('input[type=range]');
        for (let i = 1; i <= 30; i++) { knob.value = i; knob.dispatchEvent(new Event('input')); }""")
    until(lambda: run("return turns().at(-1).state[0]") == 30, "the last value of the drag is asked for")
    assert run("return turns().length") - before <= 2
    assert run("return document.querySelector('.wbx').hasAttribute('aria-busy')")

    # an answer that comes late, after a newer one, is not drawn
    newest = run("return turns().at(-1).ticket")
    run(f"answer({{kind: 'frame', ticket: {newest}, frame: figure(31)}})")
    until(lambda: shown(page) == 31, "the newest frame is drawn")
    run(f"answer({{kind: 'frame', ticket: {newest - 1}, frame: figure(7)}})")
    assert shown(page) == 31
    until(lambda: not run("return document.querySelector('.wbx').hasAttribute('aria-busy')"), "it rests")

    # an exception is told in place, and the next turn recovers
    run(TURN, 3)
    until(lambda: run("return turns().at(-1).state[0]") == 3, "the turn is asked for")
    run("answer({kind: 'error', ticket: turns().at(-1).ticket, message: 'ValueError: four is too many'})")
    until(lambda: wrong(page) == "ValueError: four is too many", "the message stands in place")
    run(TURN, 2)
    until(lambda: run("return turns().at(-1).state[0]") == 2, "the next turn is asked for")
    run("answer({kind: 'frame', ticket: turns().at(-1).ticket, frame: figure(3)})")
    until(lambda: shown(page) == 3 and wrong(page) is None, "the next turn recovers")
    words = "return document.querySelector('[aria-live]').textContent"
    until(lambda: run(words) == "slope 3. slope 3", "the state is told in words")


def test_arrow_keys_stay_with_the_knob(page):
    """JupyterLab would take them for moving between cells."""
    heard = """let heard = 0;
        document.addEventListener('keydown', () => heard++);
        const knob = document.querySelector('input[type=range]');
        knob.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }));
        return [heard, knob.closest('[data-lm-suppress-shortcuts]') !== null]"""
    assert page.execute_script(heard) == [0, True]


def test_a_question_without_an_answer_is_asked_once_more(page):
    run = page.execute_script
    run(TURN, 8)
    until(lambda: run("return turns().at(-1).state[0]") == 8, "the turn is asked for")
    first = run("return turns().at(-1).ticket")
    until(lambda: run("return turns().at(-1).ticket") == first + 1, "and asked for again")
    assert run("return turns().at(-1).state[0]") == 8
    run("answer({kind: 'frame', ticket: turns().at(-1).ticket, frame: figure(9)})")
    until(lambda: shown(page) == 9, "one answer is enough")


def test_an_explorer_without_its_kernel_says_so_until_an_answer_comes(page):
    run = page.execute_script
    run("cut()")
    until(lambda: "Run All Cells" in (wrong(page) or ""), "the reader learns how to go on")
    run("answer({kind: 'frame', ticket: newest(), frame: figure(5)})")
    until(lambda: shown(page) == 5 and wrong(page) is None, "the wire was mended after all")


def test_each_of_several_parts_has_its_own_caption(page):
    run = page.execute_script
    captions = """const [figure] = document.getElementsByClassName('wbx');
        return [...figure.querySelectorAll('.wbx-part .wbx-caption, .wbx > .wbx-caption')]
        .map((caption) => caption.textContent).filter(Boolean)"""
    for state, names in enumerate((["left", "right"], ["alone"]), start=1):
        run(TURN, state)
        until(lambda n=state: run("return turns().at(-1).state[0]") == n, "the turn is asked for")
        frame = f"{names!r}.map((caption) => ({{ ...figure(1)[0], caption }}))"
        run(f"answer({{kind: 'frame', ticket: turns().at(-1).ticket, frame: {frame}}})")
        until(lambda names=names: run(captions) == names, f"captions are {names}")
    assert run("return document.querySelector('.wbx > .wbx-caption').textContent") == "alone"
