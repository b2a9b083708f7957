"""Joints over pictures, and labels as colours."""

import numpy as np
import pytest

from workbench import views
from workbench.errors import WorkbenchError

NAMES = ("head", "left hand", "right hand")
TRUTH = np.array([[2.0, 3.0], [10.0, 4.0], [10.0, 12.0]])


def test_joints_are_marked_and_misses_are_told_and_tied_to_the_truth():
    found = TRUTH[[0, 2, 1]]  # the hands are confused
    image = np.full((16, 16), 0.5)
    fig = views.joints({"p": image}, {"p": TRUTH}, {"p": found}, names=NAMES, caption="c")
    assert fig.layout.meta["alt"].endswith("p: left hand and right hand missed.")
    lines = [trace for trace in fig.data if trace.type == "scatter" and trace.mode == "lines"]
    assert [tuple(line.x) for line in lines] == [(12.0, 4.0), (4.0, 12.0)]
    marks = [trace for trace in fig.data if trace.type == "scatter" and trace.mode == "markers"]
    assert [trace.name for trace in marks] == list(NAMES)
    assert len({trace.marker.color for trace in marks}) == 3
    assert (marks[0].x[0], marks[0].y[0]) == (3.0, 2.0)  # column, row


def test_the_truth_alone_and_somebody_who_was_not_found():
    pictures = {str(i): np.zeros((8, 9)) for i in range(5)}
    truth = dict.fromkeys(pictures, TRUTH)
    fig = views.joints(pictures, truth, names=NAMES, caption="c")
    assert not [trace for trace in fig.data if trace.type == "scatter" and trace.mode == "lines"]
    assert sum(bool(trace.showlegend) for trace in fig.data if trace.type == "scatter") == 3
    nobody = dict.fromkeys(pictures, np.full((3, 2), np.nan))
    assert (
        "0: head, left hand and right hand missed"
        in views.joints(pictures, truth, nobody, names=NAMES, caption="c").layout.meta["alt"]
    )


def test_labels_are_painted_over_the_picture():
    labels = np.array([[0, 1], [2, 0]])
    image = np.array([[0.1, 0.2], [0.3, 0.4]])
    painted = views.painted_labels(labels, image)
    assert painted.shape == (2, 2, 3)
    assert painted[0, 0].tolist() == pytest.approx([0.1] * 3)
    assert painted[1, 1].tolist() == pytest.approx([0.4] * 3)
    assert not np.allclose(painted[0, 1], painted[1, 0])
    assert views.painted_labels(labels)[0, 0].tolist() == [0.25] * 3


def test_slips_are_a_sentence():
    image = np.zeros((4, 4))
    with pytest.raises(WorkbenchError, match="the same titles"):
        views.joints({"a": image}, {"b": TRUTH}, names=NAMES, caption="c")
    with pytest.raises(WorkbenchError, match=r"needs places \[3 joints, 2\]"):
        views.joints({"a": image}, {"a": TRUTH[:2]}, names=NAMES, caption="c")
    with pytest.raises(WorkbenchError, match="whole numbers from 0 to 4"):
        views.painted_labels(np.array([[5]]))
    with pytest.raises(WorkbenchError, match="whole numbers from 0 to 4"):
        views.painted_labels(np.array([[0.5]]))
