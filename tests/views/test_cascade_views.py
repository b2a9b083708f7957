"""The graph of a cascade and the chart of two arrays: what is drawn, and what is said of it."""

import pytest

from workbench import views
from workbench.errors import WorkbenchError
from workbench.probes import CASCADES, passes


def graph(name, **options):
    return views.cascade_graph(passes(CASCADES[name]), **options)


def test_colours_follow_the_passes_and_words_tell_them():
    fig = graph("attention, maximum first")
    by_name = {trace.name: list(trace.text) for trace in fig.data if trace.name}
    assert by_name == {
        "input": ["Q", "K", "V"],
        "pass 1": ["QK", "GM"],
        "pass 2": ["SN", "SD"],
        "pass 3": ["A", "AV"],
    }
    assert len({trace.marker.color for trace in fig.data if trace.name}) == 4
    assert "3 passes over m" in fig.layout.meta["caption"]
    assert "A new pass begins at SN and A." in fig.layout.meta["alt"]
    assert "needs GM" in next(
        text for trace in fig.data for text in trace.hovertext or () if "SN[p" in text[:4]
    )


def test_arrows_go_down_and_discs_do_not_touch():
    for name in CASCADES:
        fig = graph(name)
        for arrow in fig.layout.annotations:
            assert arrow.ay > arrow.y, name
        discs = [trace for trace in fig.data if trace.name and trace.name != "short walk"]
        where = [(x, y) for trace in discs for x, y in zip(trace.x, trace.y, strict=True)]
        for i, (x, y) in enumerate(where):
            assert all(y != v or abs(x - u) > 0.99 for u, v in where[:i]), name


def test_steps_and_short_walks_are_marked():
    fig = graph("attention, one pass")
    assert {text for trace in fig.data for text in trace.text or () if "↻" in text} == {
        "RM ↻",
        "RD ↻",
        "RNV ↻",
    }
    assert "No Einsum begins a new pass." in fig.layout.meta["alt"]
    fig = graph("attention, split keys")
    discs = {
        (x, y): text
        for trace in fig.data
        if trace.text
        for x, y, text in zip(trace.x, trace.y, trace.text, strict=True)
    }
    (rings,) = [trace for trace in fig.data if trace.name == "short walk"]
    assert [discs[place] for place in zip(rings.x, rings.y, strict=True)] == ["PLM"]
    assert "short walk: PLM" in fig.layout.meta["alt"]
    with pytest.raises(WorkbenchError, match="'z' came"):
        graph("attention, one pass", rank="z")


SLOTS = [
    ("2-D", "QK", 0.0, 60.0, "products"),
    ("2-D", "wait", 60.0, 20.0, "waiting"),
    ("1-D", "GM", 0.0, 80.0, "softmax"),
]


def test_a_schedule_says_who_works_how_long():
    fig = views.schedule(SLOTS, kinds=("products", "softmax", "division", "waiting"))
    assert fig.layout.meta["caption"] == "80 cycles; 2-D works 75% of them, 1-D works 100% of them."
    assert "QK 0 to 60, wait 60 to 80" in fig.layout.meta["alt"]
    assert [trace.name for trace in fig.data] == ["products", "softmax", "division", "waiting"]
    assert fig.layout.xaxis.range[1] == pytest.approx(81.6)
    assert views.schedule(SLOTS, end=800).layout.xaxis.range[1] == pytest.approx(816)
    assert not views.schedule(SLOTS, end=8000).data[0].text[0]  # no room for a word


def test_a_narrow_bar_is_named_upright_and_a_hairline_not_at_all():
    narrow = [*SLOTS, ("1-D", "RM", 80.0, 4.0, "softmax"), ("1-D", "SN", 84.0, 0.5, "softmax")]
    fig = views.schedule(narrow, end=100)
    assert [(one.text, one.x, one.y, one.textangle) for one in fig.layout.annotations] == [
        ("RM", 82, "1-D", -90)
    ]
    assert [text for trace in fig.data for text in trace.text if text] == ["QK", "GM", "wait"]


def test_a_schedule_refuses_nonsense():
    with pytest.raises(WorkbenchError, match="at least one slot"):
        views.schedule([])
    with pytest.raises(WorkbenchError, match="'softmax' came"):
        views.schedule(SLOTS, kinds=("products", "waiting"))
