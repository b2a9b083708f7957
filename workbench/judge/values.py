"""Kinds of values and of memory in which mistakes show: the same for every kernel and every exercise."""

from collections.abc import Callable

import numpy as np

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
