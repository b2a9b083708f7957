"""The accesses of a small kernel, state by state."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from workbench import views
from workbench.counting import Geometry, Level
from workbench.errors import WorkbenchError
from workbench.views.access_grids import BEFORE, LONGEST, NEVER, RECENT, _wrapped


@dataclass(frozen=True)
class Trace:
    """x[0], y[0,1] and a store to y[1,2]: hits, misses L1, comes from memory."""

    kernel: str = "tiny"
    names: tuple = ("x", "y", "unused")
    shapes: dict = field(default_factory=lambda: {"x": (40,), "y": (2, 3), "unused": (5,)})
    array: np.ndarray = field(default_factory=lambda: np.array([0, 1, 1]))
    index: np.ndarray = field(default_factory=lambda: np.array([33, 1, 5]))
    store: np.ndarray = field(default_factory=lambda: np.array([False, False, True]))
    line: np.ndarray = field(default_factory=lambda: np.array([11, 12, 12]))
    level: np.ndarray = field(default_factory=lambda: np.array([0, 1, 2]))
    source: tuple = (
        (9, "@kernel"),
        (10, "def tiny(x, y):"),
        (11, "    a = x[33]"),
        (12, "    y[1, 2] = y[0, 1]"),
    )
    geometry: Geometry = field(default_factory=lambda: Geometry([Level(256, 2), Level(512, 2)], line=32))


def grids(fig):
    return [trace for trace in fig.data if trace.type == "heatmap"]


def marked(fig):
    return [shape for shape in fig.layout.shapes if shape.yref != "paper" and shape.visible]


def test_cells_are_coloured_by_what_held_them():
    x, y = grids(views.accesses(Trace()))
    assert len(x.z) == 2
    assert len(x.z[0]) == 32
    assert x.z[1][1] == RECENT
    assert set(x.z[1][8:]) == {None}
    np.testing.assert_array_equal(y.z, [[NEVER, RECENT + 1, NEVER], [NEVER, NEVER, RECENT + 2]])


def test_only_the_last_accesses_are_recent():
    x, y = grids(views.accesses(Trace(), recent=1))
    assert x.z[1][1] == BEFORE
    assert y.z[0][1] == BEFORE
    assert y.z[1][2] == RECENT + 2


def test_nothing_of_the_future_is_shown():
    fig = views.accesses(Trace(), 1)
    x, y = grids(fig)
    assert x.z[1][1] == RECENT
    assert set(np.ravel(y.z)) == {NEVER}
    assert "Access 1 of 3 loads x[33], from L1." in fig.layout.meta["caption"]
    blank = views.accesses(Trace(), 0)
    assert not marked(blank)
    assert "has not begun" in blank.layout.meta["caption"]


def test_a_ring_marks_a_load_and_a_square_a_store():
    (ring,) = marked(views.accesses(Trace(), 2))
    assert (ring.type, ring.x0, ring.y0, ring.xref) == ("circle", 0.5, -0.5, "x2")
    (square,) = marked(views.accesses(Trace(), 3))
    assert (square.type, square.x0, square.y0) == ("rect", 1.5, 0.5)
    assert square.line.color is None  # the ink of the page


def test_the_line_at_work_is_marked():
    fig = views.accesses(Trace(), 2)
    code = [a.text.replace("\u00a0", " ") for a in fig.layout.annotations if "def" in a.text or "=" in a.text]
    assert [text.startswith("▶") for text in code] == [False, False, True]
    bands = [shape.opacity for shape in fig.layout.shapes if shape.yref == "paper"]
    assert bands == [0, 0, 0.25]
    assert not any("@kernel" in annotation.text for annotation in fig.layout.annotations)


def test_the_words_tell_the_access():
    alt = views.accesses(Trace(), 3).layout.meta["alt"]
    assert "Access 3 of 3 stores to y[1, 2], from memory after missing L1 and L2." in alt
    assert "Line 12: y[1, 2] = y[0, 1]." in alt
    assert "1 from L1, 1 from L2 and 1 from memory" in alt


def test_arrays_that_nobody_accesses_are_left_out():
    assert "unused" not in " ".join(a.text for a in views.accesses(Trace()).layout.annotations)


def test_without_caches_all_comes_from_memory():
    bare = replace(Trace(), level=np.zeros(3, int), geometry=Geometry([]))
    assert "3 from memory" in views.accesses(bare).layout.meta["alt"]


def test_every_state_has_the_same_parts():
    layouts = [views.accesses(Trace(), n).layout for n in range(4)]
    parts = {(len(one.shapes), len(one.annotations), one.height) for one in layouts}
    assert len(parts) == 1


@pytest.mark.parametrize(
    ("trace", "upto", "sentence"),
    [
        (Trace(), 4, "from 0 to 3"),
        (Trace(), -1, "from 0 to 3"),
        (Trace(), 1.5, "from 0 to 3"),
        (replace(Trace(), shapes={"x": (5000,), "y": (2, 3), "unused": (1,)}), 1, "up to 4096 cells"),
        (replace(Trace(), array=np.array([], int)), 0, "nothing to draw"),
    ],
)
def test_a_slip_is_one_sentence(trace, upto, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        views.accesses(trace, upto)


def test_long_lines_are_folded_and_keep_their_indent():
    text = "        total[i, j] = " + " + ".join(f"weights[{n}] * x[i + {n}]" for n in range(6))
    parts = _wrapped(text)
    assert all(len(part) <= LONGEST for part in parts)
    assert len(parts) > 2
    assert parts[0].startswith(" " * 8 + "total")
    assert parts[1].startswith(" " * 16)
    assert " ".join(part.strip() for part in parts) == text.strip()
