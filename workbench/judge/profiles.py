"""Strategies for inputs that find mistakes: odd shapes, size 1, strided memory, extreme values.

Values come from a numpy generator whose seed hypothesis draws: much faster than drawing every
number, and as reproducible.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from workbench.judge.values import LAYOUTS, PROFILES, lay_out

__all__ = ["LAYOUTS", "PROFILES", "arrays", "lay_out", "sample", "shapes", "sides"]


def sides(most: int = 9, least: int = 1) -> st.SearchStrategy[int]:
    """Lengths of an axis; the shortest one often."""
    return st.one_of(st.just(least), st.integers(least, most), st.integers(least, most))


def shapes(dims: int, most: int = 9, least: int = 1) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes with so many axes, seldom square."""
    return st.tuples(*[sides(most, least)] * dims)


@st.composite
def arrays(
    draw: st.DrawFn,
    shape: tuple[int, ...] | st.SearchStrategy[tuple[int, ...]],
    dtype: Any = np.float64,
    profiles: Sequence[str] = tuple(PROFILES),
    layouts: Sequence[str] = LAYOUTS,
) -> np.ndarray:
    """Arrays of a shape (or of drawn shapes) with values of a profile in memory of a layout."""
    size = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = PROFILES[draw(st.sampled_from(profiles))](rng, size).astype(dtype)
    return lay_out(values, draw(st.sampled_from(layouts)))


def sample(strategy: st.SearchStrategy[Any], count: int, start: int = 0) -> list[Any]:
    """Up to `count` examples of a strategy, the same ones each time (the simplest one first)."""
    found: list[Any] = []

    @seed(start)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(example: Any) -> None:
        found.append(example)

    collect()
    return found
