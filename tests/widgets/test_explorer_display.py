"""What an Explorer stores when nobody listens, and how it behaves live: overtaken work, errors, recovery."""

import json
import threading
import zlib
from pathlib import Path

import nbformat
import numpy as np
import plotly.graph_objects as go
import pytest
from workbench_widgets import EXPLORER_MIME, Explorer, explore
from workbench_widgets import explorer as explorer_module
from workbench_widgets.live import Latest, LiveExplorer

PLOTLY = "application/vnd.plotly.v1+json"
WAIT = 10  # seconds that a test waits at most for a thread


def line(n=1):
    return go.Figure(go.Scatter(y=[n, 2 * n]), layout={"meta": {"alt": f"slope {n}"}})


def test_it_is_still_the_function():
    explorer = explore(n=[1, 2])(line)
    assert isinstance(explorer, Explorer)
    assert explorer(2).data[0].y == (2, 4)
    assert explorer.__name__ == "line"


def test_a_frame_is_computed_once_and_errors_are_not_kept():
    calls = []

    @explore(n=[1, 2])
    def counted(n=1):
        calls.append(n)
        if len(calls) == 1:
            raise ValueError("not yet")
        return line(n)

    with pytest.raises(ValueError, match="not yet"):
        counted.frame(n=2)
    assert counted.frame(n=2) == counted.frame((1,))
    assert calls == [2, 2]


def test_without_a_listener_only_the_first_frame_and_a_descriptor_are_stored(monkeypatch):
    monkeypatch.delenv("WORKBENCH_BAKE", raising=False)
    bundle = explore(n=[1, 2, 3])(line)._repr_mimebundle_()
    stored = bundle[EXPLORER_MIME]
    assert set(bundle) == {EXPLORER_MIME, PLOTLY, "text/plain"}
    assert "baked" not in stored
    assert stored["start"] == [0]
    assert stored["knobs"][0]["texts"] == [["1", "2", "3"]]
    assert stored["function"].endswith(".line")
    assert stored["frame"][0]["alt"] == "slope 1"
    nbformat.v4.new_output("display_data", data=json.loads(json.dumps(bundle)))


def test_for_the_book_every_frame_is_stored(monkeypatch):
    monkeypatch.setenv("WORKBENCH_BAKE", "1")
    stored = explore(n=[1, 2, 3])(line)._repr_mimebundle_()[EXPLORER_MIME]
    assert stored["baked"]["states"] == 3
    assert stored["baked"]["bytes"] == len(stored["baked"]["data"])


def test_pictures_need_no_plotly(monkeypatch):
    monkeypatch.delenv("WORKBENCH_BAKE", raising=False)
    bundle = explore(n=[1, 2])(lambda n=1: np.full((2, 3), n / 2))._repr_mimebundle_()
    assert PLOTLY not in bundle
    (part,) = bundle[EXPLORER_MIME]["frame"]
    assert (part["kind"], part["height"], part["width"], part["channels"]) == ("picture", 2, 3, 1)


def test_a_listener_gets_the_widget_and_the_notebook_no_script(monkeypatch):
    monkeypatch.setattr(explorer_module, "front_end_listens", lambda: True)
    bundle = explore(n=[1, 2])(line)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert len(json.dumps(bundle)) < 1000


def test_the_newest_piece_is_done_and_what_it_overtook_is_dropped():
    begun, free, done, idle = threading.Event(), threading.Event(), [], threading.Event()

    def work(piece):
        begun.set()
        assert free.wait(WAIT)
        done.append(piece)
        if piece == 9:
            idle.set()

    latest = Latest(work)
    latest.ask(0)
    assert begun.wait(WAIT)
    for piece in range(1, 10):
        latest.ask(piece)  # never waits for the work
    free.set()
    assert idle.wait(WAIT)
    assert done == [0, 9]
    latest.close()


def live(function, **knobs):
    """A live Explorer whose messages are caught: (widget, ask, answers)."""
    widget = LiveExplorer(explore(**knobs)(function))
    answers, arrived = [], threading.Semaphore(0)

    def send(message, buffers=None):
        answers.append((message, buffers))
        arrived.release()

    widget.send = send

    def ask(message):
        widget._heard(widget, message, [])
        assert arrived.acquire(timeout=WAIT)
        return answers[-1]

    return widget, ask


def test_an_error_is_shown_and_the_next_turn_recovers():
    def picky(n=1):
        if n == 2:
            raise ZeroDivisionError("no twos")
        return line(n)

    widget, ask = live(picky, n=[1, 2, 3])
    failed, _ = ask({"kind": "turn", "ticket": 1, "state": [1]})
    assert failed == {"kind": "error", "ticket": 1, "message": "ZeroDivisionError: no twos"}
    shown, _ = ask({"kind": "turn", "ticket": 2, "state": [2]})
    assert (shown["kind"], shown["ticket"]) == ("frame", 2)
    assert shown["frame"][0]["alt"] == "slope 3"
    widget.close()


def test_a_state_that_does_not_exist_is_answered_in_one_sentence():
    widget, ask = live(line, n=[1, 2])
    failed, _ = ask({"kind": "turn", "ticket": 1, "state": [7]})
    assert failed["message"] == "n has 2 values, but index 7 came"
    widget.close()


def test_frames_are_computed_beside_the_kernel_not_in_it():
    threads = []
    widget, ask = live(lambda n=1: threads.append(threading.current_thread()) or line(n), n=[1, 2])
    ask({"kind": "turn", "ticket": 1, "state": [0]})
    assert threads[0] is not threading.main_thread()
    widget.close()


def test_what_needs_no_computing_is_heard_while_cells_run_and_turns_wait():
    """ipykernel asks a comm which of its shells hears a message: `None` is the one that runs the cells."""
    widget, _ = live(line, n=[1, 2])
    ways = {kind: widget._shell_for({"content": message}, "beside") for kind, message in MESSAGES.items()}
    assert ways == {"plotly": "beside", "start": "beside", "turn": None}
    assert widget._shell_for({"method": "request_state"}, "beside") is None
    widget.close()


MESSAGES = {
    "plotly": {"kind": "plotly", "page": "a"},
    "start": {"kind": "turn", "ticket": 1, "state": [0]},
    "turn": {"kind": "turn", "ticket": 2, "state": [1]},
}


def test_the_cell_that_shows_an_explorer_computes_its_first_frame(monkeypatch):
    monkeypatch.setattr(explorer_module, "front_end_listens", lambda: True)
    threads = []
    explorer = explore(n=[1, 2])(lambda n=1: threads.append(threading.current_thread()) or line(n))
    explorer._repr_mimebundle_()
    explorer.frame()
    assert threads == [threading.current_thread()]


def test_a_first_frame_that_fails_is_told_in_its_place_and_not_in_the_cell(monkeypatch):
    monkeypatch.setattr(explorer_module, "front_end_listens", lambda: True)
    bundle = explore(n=[1, 2])(lambda n=1: 1 / 0)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_plotly_is_sent_once_to_a_page_however_often_it_asks():
    widget, _ = live(line, n=[1, 2])
    sent = []
    widget.send = lambda message, buffers=None: sent.append(message)
    for page in ("a", "a", "b"):
        widget._heard(widget, {"kind": "plotly", "page": page}, [])
    assert sent == [{"kind": "plotly"}] * 2
    widget.close()


def test_plotly_comes_as_a_message_and_is_no_state():
    widget, ask = live(line, n=[1, 2])
    _, (script,) = ask({"kind": "plotly", "page": "a"})
    assert b"plotly.js v" in zlib.decompress(script)[:200]
    assert len(script) < 3_000_000, "Jupyter's server drops more than this within its window of three seconds"
    state = widget.get_state()
    assert len(json.dumps(state["descriptor"])) + len(state["_esm"]) + len(state["_css"]) < 60_000
    widget.close()


class Asked:
    """A kernel that runs a request with this metadata."""

    def __init__(self, metadata):
        self.kernel = self
        self.get_parent = lambda: {"metadata": metadata}


@pytest.mark.parametrize(("metadata", "listens"), [({"cellId": "a1"}, True), ({}, False)])
def test_front_ends_are_known_by_their_requests(monkeypatch, metadata, listens):
    monkeypatch.delenv("WORKBENCH_BAKE", raising=False)
    monkeypatch.setattr("IPython.get_ipython", lambda: Asked(metadata))
    assert explorer_module.front_end_listens() is listens
    monkeypatch.setenv("WORKBENCH_BAKE", "1")
    assert explorer_module.front_end_listens() is False


def test_an_executed_notebook_holds_one_frame_and_no_widget_state(monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.delenv("WORKBENCH_BAKE", raising=False)
    source = """import numpy as np
from workbench_widgets import explore

@explore(n=[1, 2])
def patch(n=1):
    return np.full((4, 4), n / 2)

patch"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    root = Path(explorer_module.__file__).parents[2]
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(root)}}).execute()
    (output,) = notebook.cells[0].outputs
    assert set(output.data) == {EXPLORER_MIME, "text/plain"}
    assert "widgets" not in notebook.metadata
