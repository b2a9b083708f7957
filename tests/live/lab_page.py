"""JupyterLab as a learner has it: started by `workbench study`, seen through a real browser."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser_support import until

NOTEBOOK = "window.jupyterapp.shell.currentWidget"
START = 60  # seconds that JupyterLab or a kernel may take to start on a busy machine
CELLS = 120  # seconds that the cells of a lesson may take there


@contextmanager
def study_command(home: Path) -> Iterator[tuple[str, str]]:
    """`workbench study` on a free port, with all of the reader's folders in `home`: (server, first address).

    Afterwards neither the server nor a kernel is left.
    """
    folders = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    (home / "config").mkdir()
    exposed = {"LabApp": {"expose_app_in_browser": True}}  # commands by their names instead of their labels
    (home / "config" / "jupyter_lab_config.json").write_text(json.dumps(exposed), encoding="utf-8")
    own = {"WORKBENCH_HOME": home / "own", "WORKBENCH_BUILD": home / "build", "IPYTHONDIR": home / "ipython"}
    said = home / "said.txt"
    with said.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "workbench", "study", str(home / "study"), "--no-browser"],
            env={**os.environ, **folders, **{k: str(v) for k, v in own.items()}, "JUPYTER_PORT": "0"},
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=home,
        )
    family = [psutil.Process(process.pid)]
    try:
        pattern = re.compile(r"(http://localhost:\d+)/lab/tree/\S+\?token=\w+")
        told = until(
            lambda: pattern.search(said.read_text()) or process.poll() is not None,
            "JupyterLab tells its address",
            within=START,
        )
        assert told is not True, said.read_text()
        yield told[1], told[0]
    finally:
        if process.poll() is None:
            family += family[0].children(recursive=True)
            process.send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs(family, timeout=30)
        for straggler in left:
            straggler.kill()
    assert not left, f"left behind: {left}"


class LabPage:
    """The notebook in front, worked with keys, mouse, and JupyterLab's own commands."""

    def __init__(self, driver: Any, server: str) -> None:
        self.driver, self.server = driver, server
        driver.set_script_timeout(CELLS)

    def open(self, address: str) -> None:
        """Opens a page, and waits until the notebook that it names can be run."""
        self.driver.get("about:blank")
        self.driver.get(address)
        kernel = f"{NOTEBOOK}.sessionContext.session?.kernel?.status"
        ready = f"return window.jupyterapp && {NOTEBOOK}?.content?.model?.cells.length && {kernel}"
        until(lambda: self.run(ready) == "idle", "the notebook is open and its kernel waits", within=START)

    def open_lesson(self, key: str) -> None:
        """Opens a lesson, alone, as somebody does who comes back."""
        self.open(f"{self.server}/lab/workspaces/again/tree/{key}.ipynb?reset")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def command(self, name: str) -> None:
        """Does what a menu entry of JupyterLab does, and does not wait for its end."""
        self.run("void window.jupyterapp.commands.execute(arguments[0])", name)

    def run_all(self) -> None:
        """Runs all cells and waits for the last one."""
        self.run_all_without_waiting()
        until(lambda: self.run("return window.allRan"), "all cells have run", within=CELLS)

    def run_all_without_waiting(self) -> None:
        script = (
            "jupyterapp.commands.execute('notebook:run-all-cells').finally(() => { window.allRan = true; })"
        )
        self.run(f"window.allRan = false; {script}")

    def restart(self) -> None:
        """Restarts the kernel, confirms it, and waits for the new one."""
        session = f"{NOTEBOOK}.sessionContext.session.kernel"
        self.run(f"{session}.statusChanged.connect((_, status) => {{ window.kernelStatus = status; }})")
        self.command("notebook:restart-kernel")
        until(lambda: self.find(".jp-Dialog .jp-mod-accept"), "JupyterLab asks whether to restart")[0].click()
        until(lambda: self.run("return window.kernelStatus") == "idle", "the new kernel waits", within=START)

    def shut_down(self) -> None:
        """Ends the kernel of the notebook."""
        self.command("kernelmenu:shutdown")
        until(lambda: self.run(f"return !{NOTEBOOK}.sessionContext.session"), "the kernel has ended")

    def theme(self, name: str) -> None:
        self.run("void jupyterapp.commands.execute('apputils:change-theme', { theme: arguments[0] })", name)

    def save(self, path: Path) -> dict[str, Any]:
        """Saves, waits for the file, and returns it."""
        self.command("docmanager:save")
        dirty = f"return {NOTEBOOK}.context.model.dirty"
        until(lambda: not self.run(dirty), "the notebook is saved")
        return json.loads(path.read_text(encoding="utf-8"))

    def cells(self) -> list[dict[str, Any]]:
        """All cells with their outputs, as they would be saved."""
        return json.loads(self.run(f"return JSON.stringify({NOTEBOOK}.content.model.toJSON().cells)"))

    def find(self, selector: str, inside: Any = None) -> list[Any]:
        """Elements of the notebook in front, or of the page's dialogs."""
        if inside is not None:
            return inside.find_elements(By.CSS_SELECTOR, selector)
        if selector.startswith(".jp-Dialog"):
            return self.driver.find_elements(By.CSS_SELECTOR, selector)
        return self.run(f"return [...{NOTEBOOK}.node.querySelectorAll(arguments[0])]", selector)

    def cell(self, text: str) -> Any:
        """The one code cell whose source contains `text`, scrolled into view."""
        found = [
            n for n, cell in enumerate(self.cells()) if cell["cell_type"] == "code" and text in source(cell)
        ]
        assert len(found) == 1, f"{len(found)} cells contain {text!r}"
        widget = f"{NOTEBOOK}.content.widgets[{found[0]}]"
        self.run(f"{NOTEBOOK}.content.activeCellIndex = {found[0]}")
        self.run(f"{widget}.node.scrollIntoView({{block: 'center'}})")
        return self.run(f"return {widget}.node")

    def run_cell(self, text: str) -> str:
        """Runs the cell by keyboard from within its editor; what it shows, in words."""
        node = self.cell(text)
        prompt = self.find(".jp-InputPrompt", node)[0]
        before = prompt.text
        self.find(".cm-content", node)[0].click()
        self.keys(Keys.CONTROL, Keys.ENTER)
        until(
            lambda: re.fullmatch(r"\[\d+\]:", prompt.text) and prompt.text != before,
            f"the cell with {text!r} has run",
        )
        return self.find(".jp-Cell-outputWrapper", node)[0].text

    def keys(self, *keys: str) -> None:
        """Presses keys wherever the focus is; keys after Control or Shift are pressed together with it."""
        actions = ActionChains(self.driver)
        held = [key for key in keys if key in (Keys.CONTROL, Keys.SHIFT)]
        for key in held:
            actions.key_down(key)
        for key in keys:
            if key not in held:
                actions.send_keys(key)
        for key in held:
            actions.key_up(key)
        actions.perform()

    def explorer(self, title: str) -> "LiveExplorerOnPage":
        """The Explorer of that title, drawn and in view."""
        (figure,) = until(
            lambda: self.find(f'.wbx[aria-label="{title}"]'), f"the Explorer {title!r} is there"
        )
        self.run("arguments[0].scrollIntoView({block: 'center'})", figure)
        shown = LiveExplorerOnPage(self, figure)
        until(shown.drawn, f"the Explorer {title!r} is drawn")
        return shown


class LiveExplorerOnPage:
    """One Explorer on the page."""

    def __init__(self, page: LabPage, figure: Any) -> None:
        self.page, self.figure = page, figure

    def one(self, selector: str) -> Any:
        (found,) = self.page.find(selector, self.figure)
        return found

    def drawn(self) -> bool:
        script = """const [figure] = arguments, parts = [...figure.querySelectorAll('.wbx-part')];
            return parts.length > 0 && !figure.hasAttribute('aria-busy')
                && parts.every((part) => part.querySelector('canvas, .main-svg'))"""
        return self.page.run(script, self.figure)

    def data(self) -> str:
        """What its figures hold now: plotly's data, and the pixels of its pictures."""
        script = """const [figure] = arguments;
            const plots = [...figure.querySelectorAll('.wbx-plot')].map((plot) => plot.data);
            const pixels = [...figure.querySelectorAll('canvas')].map((canvas) => canvas.toDataURL());
            return JSON.stringify([plots, pixels])"""
        return self.page.run(script, self.figure)

    def says(self) -> str:
        """What a screen reader is told."""
        return self.one("[aria-live]").get_attribute("textContent")

    def trouble(self) -> str:
        """The message in place of a frame; empty while all is well."""
        return self.one(".wbx-wrong").text


def source(cell: dict[str, Any]) -> str:
    """A cell's text, which a file may hold as lines."""
    text = cell["source"]
    return text if isinstance(text, str) else "".join(text)


def errors(cells: list[dict[str, Any]]) -> list[str]:
    """Every error and every word on the error stream among the cells' outputs."""
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [str(o) for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
