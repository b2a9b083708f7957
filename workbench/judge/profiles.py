"""Strategies for inputs that find mistakes: odd shapes, size 1, strided memory, extreme values.

Values come from a numpy generator whose seed hypothesis draws: much faster than drawing every
number, and as reproducible.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError

PROFILES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "mixed": lambda rng, shape: rng.standard_normal(shape),
    "positive": lambda rng, shape: rng.random(shape) + 0.01,
    "negative": lambda rng, shape: -rng.random(shape) - 0.01,
    "zeros": lambda rng, shape: np.zeros(shape),
    "constant": lambda rng, shape: np.full(shape, rng.uniform(-2, 2)),
    "tiny": lambda rng, shape: 1e-6 * rng.standard_normal(shape),
    "huge": lambda rng, shape: 1e6 * rng.standard_normal(shape),
    "spikes": lambda rng, shape: np.where(rng.random(shape) < 0.2, 10 * rng.standard_normal(shape), 0.0),
}
LAYOUTS = ("rows", "columns", "strided", "reversed", "window")


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


def lay_out(array: np.ndarray, layout: str) -> np.ndarray:
    """The same values in other memory: column-major, every second element, backwards, or a window."""
    if layout == "rows":
        return np.ascontiguousarray(array)
    if layout == "columns":
        return np.asfortranarray(array)
    if layout == "strided":
        room = np.zeros([2 * n for n in array.shape], array.dtype)
        view = room[tuple(slice(None, None, 2) for _ in array.shape)]
    elif layout == "reversed":
        room = np.zeros(array.shape, array.dtype)
        view = room[tuple(slice(None, None, -1) for _ in array.shape)]
    elif layout == "window":
        room = np.zeros([n + 2 for n in array.shape], array.dtype)
        view = room[tuple(slice(1, -1) for _ in array.shape)]
    else:
        raise WorkbenchError(f"layout must be one of {', '.join(LAYOUTS)}, but {layout!r} came")
    view[...] = array
    return view


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
