"""Hops on a photograph: which patches are clear, yellow, dark and blue, and what the text says."""

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.views import painted_reach
from workbench.views.reached_tokens import CLEAR, NEW, OUTSIDE, TOKEN

PHOTOGRAPH = np.linspace(0, 1, 8 * 12 * 3).reshape(8, 12, 3)
FIRST = np.array([[0, 1, 2], [1, 1, -1]])


@pytest.mark.parametrize(
    ("hops", "marks", "words"),
    [
        (0, [[TOKEN, OUTSIDE, OUTSIDE], [OUTSIDE, OUTSIDE, OUTSIDE]], "0 hops: 1 of 6 tokens"),
        (1, [[TOKEN, NEW, OUTSIDE], [NEW, NEW, OUTSIDE]], "1 hop: 4 of 6 tokens, 66.7 %"),
        (2, [[TOKEN, CLEAR, NEW], [CLEAR, CLEAR, OUTSIDE]], "2 hops: 5 of 6"),
        (9, [[TOKEN, CLEAR, CLEAR], [CLEAR, CLEAR, OUTSIDE]], "9 hops: 5 of 6"),
    ],
)
def test_marks_and_words(hops, marks, words):
    painting = painted_reach(PHOTOGRAPH, FIRST, (0, 0), hops)
    np.testing.assert_array_equal(painting.marks, np.kron(marks, np.ones((4, 4), int)))
    assert words in painting.caption
    clear = painting.marks == CLEAR
    np.testing.assert_array_equal(painting.rgb[clear], painting.pixels[clear])
    assert "row 0, column 0" in painting.alt


def test_a_slip_gets_one_sentence():
    with pytest.raises(WorkbenchError, match="whole patches"):
        painted_reach(PHOTOGRAPH, np.zeros((3, 3)), (0, 0), 1)
    with pytest.raises(WorkbenchError, match="0 hops or more"):
        painted_reach(PHOTOGRAPH, FIRST, (0, 1), 1)
