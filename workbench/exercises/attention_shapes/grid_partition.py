"""Cut a map into grids of far tokens, let the tokens of each grid meet, and put the map together again."""

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise

Case = tuple[np.ndarray, int]
Answer = tuple[np.ndarray, np.ndarray]


def grid_partition(x: np.ndarray, grid: int) -> Answer:
    height, width, channels = x.shape
    cells = x.reshape(grid, height // grid, grid, width // grid, channels)
    parts = cells.transpose(1, 3, 0, 2, 4)  # [place in the cell, 2], [cell, 2], channels
    met = np.broadcast_to(parts.mean((2, 3), keepdims=True), parts.shape)
    back = met.transpose(2, 0, 3, 1, 4).reshape(x.shape)
    return parts.reshape(-1, grid * grid, channels), back


def place_by_place(x, grid):
    """Slices with a step: the tokens of one part are so many rows and columns apart."""
    height, width, channels = x.shape
    down, across = height // grid, width // grid
    back = np.empty_like(x)
    parts = []
    for row in range(down):
        for column in range(across):
            part = x[row::down, column::across]
            parts.append(part.reshape(-1, channels))
            back[row::down, column::across] = part.mean((0, 1))
    return np.array(parts), back


def by_numbers(x, grid):
    """Every token's part is the place in its cell."""
    height, width, channels = x.shape
    y, z = np.divmod(np.arange(height * width), width)
    part = y % (height // grid) * (width // grid) + z % (width // grid)
    order = np.argsort(part, kind="stable")
    parts = x.reshape(-1, channels)[order].reshape(-1, grid * grid, channels)
    return parts, parts.mean(1)[part].reshape(x.shape)


Order = tuple[int, int, int, int, int]
RIGHT: Order = (1, 3, 0, 2, 4)


def _cut(
    x: np.ndarray,
    grid: int,
    cells: Callable[[int, int], tuple[int, int]] = lambda length, grid: (grid, length // grid),
    order: Order = RIGHT,
    back: Order | None = None,
) -> Answer:
    """The same three steps with other numbers in them. back: the order that puts the map together."""
    height, width, channels = x.shape
    parts = x.reshape(*cells(height, grid), *cells(width, grid), channels).transpose(order)
    met = np.broadcast_to(parts.mean((2, 3), keepdims=True), parts.shape)
    put = np.argsort(order) if back is None else back
    return parts.reshape(-1, parts.shape[2] * parts.shape[3], channels), met.transpose(put).reshape(x.shape)


def cells_instead_of_grids(x, grid):
    return _cut(x, grid, order=(0, 2, 1, 3, 4))


def sides_swapped(x, grid):
    return _cut(x, grid, cells=lambda length, grid: (length // grid, grid))


def windows(x, grid):
    return _cut(x, grid, cells=lambda length, grid: (length // grid, grid), order=(0, 2, 1, 3, 4))


def back_like_windows(x, grid):
    return _cut(x, grid, back=(0, 2, 1, 3, 4))


def never_put_back(x, grid):
    return _cut(x, grid, back=(0, 1, 2, 3, 4))


def columns_before_rows(x, grid):
    return _cut(x, grid, order=(3, 1, 0, 2, 4))


def transposed_inside(x, grid):
    return _cut(x, grid, order=(1, 3, 2, 0, 4))


def mean_of_everything(x, grid):
    parts, _ = grid_partition(x, grid)
    return parts, np.broadcast_to(x.mean((0, 1)), x.shape).copy()


@st.composite
def maps(draw: st.DrawFn) -> Case:
    """Maps of up to 12 tokens a side, square or not, with one or more channels and four parts or more."""
    grid = draw(st.integers(2, 4))
    height, width = (grid * draw(st.integers(2, 3)) for _ in range(2))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return rng.standard_normal((height, width, draw(st.integers(1, 3)))), grid


def _drawn(height: int, width: int, channels: int, grid: int) -> Case:
    return np.random.default_rng(8).standard_normal((height, width, channels)), grid


EXERCISE = Exercise(
    "attention-shapes/grid-partition",
    grid_partition,
    maps(),
    signature="grid_partition(x, grid) -> (parts, back)",
    ask="""
    `x` [height, width, channels] is a map of tokens, a numpy array of float64. A coarse grid cuts it into
    `grid` x `grid` cells of equal size; `grid` is at least 2, and each cell has at least 2 rows and columns.
    Height and width may differ. A part is made of one token of each cell, always of the same place in the
    cell. `parts` [places, grid * grid, channels] has one part for each place in a cell: places row by row,
    and in a part, cells row by row. Then each token is replaced by the mean of its part, and the map is put
    together again: `back`, of the shape of `x`.
    """,
    examples=[
        _drawn(12, 8, 2, 4),
        _drawn(6, 12, 1, 3),
        _drawn(4, 4, 1, 2),
        _drawn(9, 6, 2, 3),
        _drawn(8, 8, 3, 4),
    ],
    wrong_answers={
        "parts are the cells": (
            cells_instead_of_grids,
            "Your parts are the cells themselves: near tokens. A part has one token of each cell. Which of "
            "your five axes count cells?",
        ),
        "the sides are swapped": (
            sides_swapped,
            "There are `grid` cells along each side; how large they are is what is left. Your tokens are "
            "`grid` apart.",
        ),
        "parts are windows of that side": (
            windows,
            "These are windows of grid x grid tokens that lie together. The tokens of a grid are "
            "height / grid rows apart.",
        ),
        "the map is put together as windows are": (
            back_like_windows,
            "`parts` is right. Going back must undo your own order of axes; the one for windows undoes "
            "another cut.",
        ),
        "the axes are never put back": (
            never_put_back,
            "`parts` is right. Before the last reshape the axes must stand as they stood after the first.",
        ),
        "places are counted down the columns": (
            columns_before_rows,
            "The parts are right, but not their order: places in a cell are counted row by row.",
        ),
        "cells are counted down the columns": (
            transposed_inside,
            "Each part has the right tokens, but not in order: cells are counted row by row.",
        ),
        "the mean is that of the whole map": (
            mean_of_everything,
            "Each part has a mean of its own; tokens of different parts know nothing of each other.",
        ),
    },
    also_right=[place_by_place, by_numbers],
    hints=[
        "One axis first: cut a row into `grid` pieces of equal size. Which of the two new axes counts the "
        "cells?",
        "Reshape to [grid, height // grid, grid, width // grid, channels]. Axes 0 and 2 count cells, 1 and 3 "
        "the places in a cell. Bring the places to the front.",
        "`parts = x.reshape(...).transpose(1, 3, 0, 2, 4)`. The transposition that undoes it is "
        "`(2, 0, 3, 1, 4)`.",
    ],
    explanation="""
    Windows and grids are one reshape apart: windows keep the inner axes together, grids the outer ones. A
    wrong way back gives no error, as all shapes fit. The network then still trains, only with neighbours who
    never were: that is why the test compares with places, not with shapes.
    """,
    rtol=1e-9,
    atol=1e-9,
)
