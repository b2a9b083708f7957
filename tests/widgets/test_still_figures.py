"""Figures without knobs in JupyterLab: caption and dark style behind them, and nothing anywhere else."""

import subprocess
import sys

import plotly.graph_objects as go
import plotly.io as pio
import pytest
from workbench_widgets import still

from workbench import views


@pytest.fixture
def shown(monkeypatch):
    """What is put into the cell's output, in order."""
    outputs = []
    monkeypatch.setattr("IPython.display.publish_display_data", lambda data: outputs.append(data))
    monkeypatch.setattr("plotly.io._renderers.ipython_display.display", lambda d, raw: outputs.append(d))
    before = pio.renderers.default
    pio.renderers.default = "plotly_mimetype"
    yield outputs
    pio.renderers.default = before


def test_the_caption_stands_below_the_figure(shown):
    still.put_captions()
    still.put_captions()  # run twice, a lesson's first cell changes nothing more
    figure = views.describe(go.Figure(go.Scatter(y=[1, 2])), alt="a < b", caption="It <rises>.")
    figure._ipython_display_()
    drawn, words = shown
    assert "application/vnd.plotly.v1+json" in drawn
    assert words["text/plain"] == "It <rises>."
    assert ">It &lt;rises&gt;.</p>" in words["text/html"]
    assert ">a &lt; b</p>" in words["text/html"]


def test_a_figure_of_the_readers_own_gets_the_style_alone(shown):
    still.put_captions()
    go.Figure()._ipython_display_()
    assert shown[1]["text/html"].startswith("<style>")
    assert "<p" not in shown[1]["text/html"]


def test_the_dark_style_exchanges_the_colours_of_the_templates():
    style = still.dark_style()
    ink = pio.templates["workbench_dark"].layout.font.color
    assert f'[style*="fill: rgb(26, 26, 26)"] {{ fill: {ink} !important; }}' in style
    assert len(style) < 1500, "it is stored with every figure"
    assert still.rgb("#0072B2") == "rgb(0, 114, 178)"


def test_without_a_front_end_plotly_stays_as_it_was():
    code = "import ipykernel, workbench_widgets, sys; print('plotly' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
