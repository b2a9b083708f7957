"""The live Explorer: knobs in the browser, frames computed on a thread of their own."""

import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from workbench.errors import WorkbenchError

from .explorer import Explorer
from .templates import templates

STATIC = files("workbench_widgets") / "static"


class Latest:
    """Does the newest piece of work on one thread; pieces overtaken before they begin are dropped.

    The caller never waits. A piece that has begun is finished and reported: its frame is paid for,
    cached, and something to look at while the next one is computed.
    """

    def __init__(self, work: Callable[[Any], None]) -> None:
        self._work = work
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="explorer")
        self._lock = threading.Lock()
        self._waiting: list[Any] = []
        self._busy = False

    def ask(self, piece: Any) -> None:
        """Queues `piece` in place of whatever was still waiting."""
        with self._lock:
            self._waiting = [piece]
            if not self._busy:
                self._busy = True
                self._pool.submit(self._run)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._busy = False
                    return
                piece = self._waiting.pop()
            self._work(piece)

    def close(self) -> None:
        """Drops what waits and lets the thread end."""
        with self._lock:
            self._waiting = []
        self._pool.shutdown(wait=False)


class LiveExplorer(anywidget.AnyWidget):
    """Speaks with static/live.js in three kinds of messages.

    `{"kind": "turn", "ticket": n, "state": indexes}` is answered, perhaps never if overtaken, by
    `{"kind": "frame", "ticket": n, "frame": …}` or `{"kind": "error", "ticket": n, "message": …}`;
    `{"kind": "plotly", "page": name}` by plotly's script, compressed, in a buffer, once a page. Frames and
    script are messages and no state, so that nothing of them is ever stored in a notebook.
    """

    _esm = (STATIC / "explorer.js").read_text("utf-8") + (STATIC / "live.js").read_text("utf-8")
    _css = (STATIC / "explorer.css").read_text("utf-8")
    descriptor = traitlets.Dict().tag(sync=True)

    def __init__(self, explorer: Explorer) -> None:
        super().__init__(descriptor={**explorer.descriptor(), "templates": templates()})
        self._explorer = explorer
        self._latest = Latest(self._turn)
        self._served: str | None = None
        if hasattr(self.comm, "_reply_subshell_for"):
            self.comm._reply_subshell_for = self._shell_for
        self.on_msg(self._heard)

    def _heard(self, _widget: Any, message: dict[str, Any], _buffers: Any) -> None:
        if message.get("kind") == "turn":
            self._latest.ask(message)
        elif message.get("kind") == "plotly" and message["page"] != self._served:
            self._served = message["page"]
            self.send({"kind": "plotly"}, buffers=[plotly_script()])

    def _shell_for(self, data: dict[str, Any], subshell: str | None) -> str | None:
        """Which of the kernel's shells hears a message: `subshell`, or None for the one that runs the cells.

        Front ends address a subshell, from which ipykernel (7.4 and later) brings messages back to the cells'
        own, where they wait for the last cell. What needs no computing need not wait: plotly's script and the
        frame that the cell itself has computed. The reader's function is not started beside a running cell,
        because torch's tracing and its hooks reach across threads.
        """
        message = data.get("content") or {}
        ready = message.get("kind") == "plotly" or message.get("state") == self.descriptor["start"]
        return subshell if ready else None

    def _turn(self, message: dict[str, Any]) -> None:
        ticket = message["ticket"]
        try:
            frame = self._explorer.frame(tuple(message["state"]))
        except WorkbenchError as slip:
            self.send({"kind": "error", "ticket": ticket, "message": str(slip)})
        except Exception as error:  # whatever the reader's function raised is shown to the reader
            self.send({"kind": "error", "ticket": ticket, "message": f"{type(error).__name__}: {error}"})
        else:
            self.send({"kind": "frame", "ticket": ticket, "frame": frame})

    def close(self) -> None:
        """Ends the thread with the widget."""
        if hasattr(self, "_latest"):
            self._latest.close()
        super().close()


@cache
def plotly_script() -> bytes:
    """plotly.js of the installed plotly as a zlib stream: raw, it would exceed Jupyter's message rate."""
    return zlib.compress(plotly_path().read_bytes(), 6)


def plotly_path() -> Path:
    """plotly.js as it ships with the installed plotly."""
    import plotly

    return Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
