"""The panel of filters shows what direct calls show, and says why where there is nothing to draw."""

import pytest
import torch
from torch import nn
from workbench_widgets import panels
from workbench_widgets.frames import frame_of, plain

from workbench import probes, views
from workbench.errors import WorkbenchError


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 4, 1), nn.Conv1d(4, 4, 5))


def test_it_shows_what_views_show_and_nothing_of_what_becomes_of_the_model():
    model = net()
    panel = panels.filters(model)
    found = probes.filters(model)
    with torch.no_grad():
        model[0].weight.zero_()
    both = views.eigenfilters(probes.components(found.of_size(3, 3)))
    assert plain(panel.frame(), 15) == plain(frame_of(both), 15)
    one = views.orientation_rose(probes.orientations(found["1"]))
    assert plain(panel.frame(which="1", show="directions"), 15) == plain(frame_of(one), 15)
    line = views.power_spectra(probes.spectrum(found["3"]))
    assert plain(panel.frame(which="all of 5", show="spectrum"), 15) == plain(frame_of(line), 15)


def test_where_there_is_nothing_to_draw_it_says_why():
    (part,) = panels.filters(net()).frame(which="3", show="directions")
    assert part["caption"] == "An orientation needs filters of two dimensions, but 5 came."
    zeros = nn.Conv2d(1, 2, 3)
    nn.init.zeros_(zeros.weight)
    (part,) = panels.filters(zeros).frame(which="the layer", show="patterns")
    assert "all patterns are the same" in part["caption"]


def test_a_model_without_patterns_is_a_sentence():
    with pytest.raises(WorkbenchError, match="Conv2d has no convolution in one or two dimensions"):
        panels.filters(nn.Conv2d(3, 3, 1))
    with pytest.raises(WorkbenchError, match="no convolution is called '9'"):
        panels.filters(net(), layers=["9"])
