"""Templates, roles, marks, words."""

import subprocess
import sys

import plotly.graph_objects as go
import plotly.io as pio
import pytest

from workbench import views
from workbench.errors import WorkbenchError
from workbench.quantity import PROVENANCES
from workbench.views.theme import DIVERGING, SIGNS, SMALLEST_TEXT, SYMBOLS


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_both_templates_are_known_and_the_light_one_is_the_default():
    assert {"workbench", "workbench_dark"} <= set(pio.templates)
    assert pio.templates.default == "workbench"
    for name in ("workbench", "workbench_dark"):
        layout = pio.templates[name].layout
        ink, paper = luminance(layout.font.color), luminance(layout.paper_bgcolor)
        assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) > 12
        sizes = [layout.font.size, layout.xaxis.tickfont.size, layout.yaxis.title.font.size]
        assert min(sizes) >= SMALLEST_TEXT == 12


def test_the_diverging_map_is_balanced():
    colours = [luminance(color) for _, color in DIVERGING]
    assert [position for position, _ in DIVERGING] == [0, 0.25, 0.5, 0.75, 1]
    assert colours[0] == pytest.approx(colours[-1], abs=0.03)
    assert colours[1] == pytest.approx(colours[-2], abs=0.03)
    assert max(colours) == colours[2]


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_template_becomes_the_default_with_the_first_view_and_needs_no_torch():
    light = "import sys, workbench.views as v; assert 'plotly' not in sys.modules; "
    ask = "import plotly.io as p; assert 'torch' not in sys.modules; print(p.templates.default)"
    assert run(light + "v.describe, v.receptive_field, v.growth; " + ask) == "workbench"
    assert run(light + ask) == "plotly"
    assert run("import plotly.io, workbench.views; import sys; " + ask) == "workbench"


def test_a_figure_of_the_readers_own_gets_the_look_of_the_house():
    foreign = go.Figure(layout={"template": "plotly_dark"})
    described = views.describe(foreign, alt="Nothing.", caption="Nothing.")
    assert described.layout.template == pio.templates["workbench"]
    dark = go.Figure(layout={"template": "workbench_dark"})
    assert (
        views.describe(dark, alt="Nothing.", caption="Nothing.").layout.template.layout.font.color
        == "#F2F2F2"
    )


def test_meaning_has_a_fixed_form():
    assert views.line("control")["dash"] == "dash"
    assert len({views.line(role)["color"] for role in ("baseline", "system", "control")}) == 3
    assert set(SYMBOLS) == set(SIGNS) == set(PROVENANCES)
    assert views.mark("formula", "red")["symbol"] == "circle-open"
    with pytest.raises(WorkbenchError, match="role must be one of baseline, system, control"):
        views.line("hero")
    with pytest.raises(WorkbenchError, match="provenance must be one of formula"):
        views.mark("guessed")


def test_an_ideal_takes_the_ink_of_the_page():
    shape = views.ideal([0, 1, 2], [0, 1, 4], "square")
    assert "line" not in shape
    assert shape["path"] == "M0,0L1,1L2,4"
    for name in ("workbench", "workbench_dark"):
        template = pio.templates[name]
        assert template.layout.shapedefaults.line.color == template.layout.font.color
    go.Figure().add_shape(**shape)
    with pytest.raises(WorkbenchError, match="as many x as y"):
        views.ideal([0, 1], [0], "short")


def test_describe_wants_words():
    fig = views.describe(go.Figure(), alt=" two\n lines ", caption="One.")
    assert fig.layout.meta == {"alt": "two lines", "caption": "One."}
    for bad in (
        {"alt": "", "caption": "One."},
        {"alt": "A.", "caption": " "},
        {"alt": "A.", "caption": "a\nb"},
    ):
        with pytest.raises(WorkbenchError):
            views.describe(go.Figure(), **bad)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0 B"),
        (7, "7 B"),
        (0.25, "0.25 B"),
        (1234, "1.23 kB"),
        (999_999, "1 MB"),
        (2_594_696, "2.59 MB"),
        (6e12, "6 TB"),
        (-5000, "-5 kB"),
        (999.6, "1 kB"),
        (123.4, "123 B"),
    ],
)
def test_short_numbers(value, said):
    assert views.short(value, "B") == said


def test_spoken_numbers():
    assert views.spoken(6_684_752, "flops") == "6.68 million flops"
    assert views.spoken(12) == "12"
