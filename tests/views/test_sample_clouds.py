"""The cloud of samples: every sample is in a mark, groups stand apart, larger marks hold more."""

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.views import sample_cloud

TITLES = {"x_title": "words", "y_title": "speedup", "caption": "a cloud"}


def test_every_sample_is_in_a_mark():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, 200), rng.choice([0, 1, 1.5], 200)
    right = y > 0
    fig = sample_cloud({"wrong": (x[~right], y[~right]), "right": (x[right], y[right])}, **TITLES)
    assert [sum(trace.customdata) for trace in fig.data] == [(~right).sum(), right.sum()]
    for trace in fig.data:
        order = np.argsort(trace.customdata)
        assert (np.diff(np.array(trace.marker.size)[order]) >= 0).all()
        assert min(trace.marker.size) >= 5
    assert set(fig.data[1].y) == {1, 1.5}
    assert "right" in fig.layout.meta["alt"]
    assert fig.layout.meta["caption"] == "a cloud"


def test_groups_stand_beside_one_another():
    fig = sample_cloud({name: ([3.0, 3.0], [1.0, 1.0]) for name in "abc"}, **TITLES)
    places = [trace.x[0] for trace in fig.data]
    assert len(set(places)) == 3
    assert np.mean(places) == pytest.approx(3)
    assert len({trace.marker.color for trace in fig.data}) == 3


def test_steps_and_spans():
    fig = sample_cloud(
        {"one": ([0.1, 0.4, -0.2], [0, 0.1, 0])}, steps=(1, 1), spans=((-2, 2), (-1, 1)), **TITLES
    )
    assert list(fig.data[0].customdata) == [3]
    assert tuple(fig.layout.xaxis.range) == (-2, 2)


def test_an_empty_group_and_wrong_shapes():
    assert len(sample_cloud({"none": ([], [])}, **TITLES).data[0].x) == 0
    with pytest.raises(WorkbenchError, match="one length"):
        sample_cloud({"odd": ([1, 2], [1])}, **TITLES)
    with pytest.raises(WorkbenchError, match="groups"):
        sample_cloud({}, **TITLES)
