"""Tokens in sight: counted in the titles, painted, and checked."""

import numpy as np
import pytest

from workbench import views
from workbench.errors import WorkbenchError

LABELS = np.array([[0, 1, 1], [1, 0, 5]])


def test_counts_and_colours():
    seen = {"itself": np.eye(6, dtype=bool)[4], "all": np.ones(6, bool)}
    fig = views.seen_tokens(seen, LABELS, 4)
    assert [note.text for note in fig.layout.annotations] == ["itself<br>1 of 1", "all<br>2 of 6"]
    assert "itself 1 of 1" in fig.layout.meta["alt"]
    assert fig.layout.meta["caption"]


@pytest.mark.parametrize(
    ("seen", "labels", "token", "says"),
    [
        (np.ones(5, bool), LABELS, 0, "must see among 6 tokens"),
        (np.ones(6, bool), LABELS, 6, "one of 0 to 5, but 6 came"),
        (np.ones(6, bool), LABELS + 1, 0, "from 0 to 5"),
        (np.ones(6, bool), LABELS.ravel(), 0, "labels must be"),
    ],
)
def test_what_does_not_fit(seen, labels, token, says):
    with pytest.raises(WorkbenchError, match=says):
        views.seen_tokens({"a": seen}, labels, token)
