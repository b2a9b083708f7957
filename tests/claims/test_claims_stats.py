"""Intervals over seeds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.claims import Interval, interval
from workbench.errors import WorkbenchError


@pytest.mark.parametrize("values", [[0.1], [0.1] * 5, [3]])
def test_without_spread_the_interval_is_the_value(values: list[float]) -> None:
    assert interval(values) == Interval(values[0], values[0], values[0])


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_not_finite_is_refused(values: list[float]) -> None:
    with pytest.raises(WorkbenchError, match="finite"):
        interval(values)


numbers = st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=2, max_size=8)


@settings(max_examples=25, deadline=None)
@given(numbers)
def test_laws(values: list[float]) -> None:
    got = interval(values)
    tiny = 1e-9
    assert min(values) - tiny <= got.low <= got.value + tiny <= got.high + 2 * tiny <= max(values) + 3 * tiny
    assert got.value == pytest.approx(np.mean(values))
    assert interval(values) == got  # the generator is fixed
    moved = interval([2 * value + 3 for value in values])
    assert (moved.low, moved.high) == pytest.approx((2 * got.low + 3, 2 * got.high + 3))


def test_coverage_with_five_seeds_is_close_to_what_is_promised() -> None:
    rng = np.random.default_rng(1)
    held = [got.low <= 0 <= got.high for got in (interval(list(rng.normal(size=5))) for _ in range(400))]
    assert 0.90 <= np.mean(held) <= 0.99  # the plain percentile bootstrap holds the mean in about 83 %
