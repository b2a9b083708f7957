"""Fields that move, on a square grid with a fixed rim: waves by two schemes, and a drift along the diagonal.

    leapfrog   u(n+1) = 2 u(n) - u(n-1) + c^2 L u(n), L with five points. So over a gap of g steps, exactly,
               u(n+g) + u(n-g) = 2 T_g(I + c^2 L / 2) u(n), T_g being Chebyshev's polynomial: see `stencil`.
    elements   M u'' + K u = 0 with bilinear elements on the cells of the grid, in time by Newmark's scheme
               with beta = 1/4 and gamma = 1/2 (the acceleration of a step is the mean of its two ends).
    drift      u(n+1)[y, x] = (1 - c) u(n)[y, x] + c u(n)[y - 1, x - 1]: upwind along the diagonal.

Lengths are in cells and the speed is 1, so that the Courant number c is the time step.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import convolve2d
from scipy.sparse import csc_matrix, diags, kron
from scipy.sparse.linalg import splu
from workbench_datasets.wave_snapshots import leapfrog, start

from workbench.errors import WorkbenchError

Array = NDArray[np.float64]
Law = Literal["elements", "leapfrog", "drift"]
COURANT = 0.5
GAP = 3  # steps between the frames
WAVELENGTHS = {"elements": (8.0, 20.0), "leapfrog": (8.0, 20.0), "drift": (3.0, 6.0)}  # cells, at the start
LATEST = 36  # step of the middle frame
EACH = 4  # frames taken from one simulation
FIVE_POINTS = np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])


def stencil(gap: int = GAP, courant: float = COURANT) -> Array:
    """2 T_gap(I + c^2 L / 2) as a kernel [2 gap + 1, 2 gap + 1]: what leapfrog does over `gap` steps.

    >>> float(stencil(1, 0.5).sum()), int(np.linalg.matrix_rank(stencil(3)))
    (2.0, 4)
    """
    if gap < 1:
        raise WorkbenchError(f"gap must be at least 1, but {gap} came")
    once = courant**2 / 2 * FIVE_POINTS
    once[1, 1] += 1
    before, now = np.ones((1, 1)), once
    for _ in range(gap - 1):
        before, now = now, 2 * convolve2d(now, once) - np.pad(before, 2)
    return 2 * now


def elements(inner: int) -> tuple[csc_matrix, csc_matrix]:
    """Mass and stiffness [inner^2, inner^2] of bilinear elements of side 1, the rim left out.

    A bilinear function is a product of linear ones, so that both come from matrices of one dimension.
    """
    mass = diags([1 / 6, 2 / 3, 1 / 6], [-1, 0, 1], shape=(inner, inner))
    stiffness = diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(inner, inner))
    return csc_matrix(kron(mass, mass)), csc_matrix(kron(stiffness, mass) + kron(mass, stiffness))


def newmark(u: Array, steps: int, courant: float = COURANT) -> Iterator[Array]:
    """Yields fields [n, cells, cells] at steps 0, 1, ..., `steps`, let go at rest; 0 on the rim."""
    n, inner = len(u), u.shape[1] - 2
    stiffness, first, later = _factored(inner, courant)
    place = u[:, 1:-1, 1:-1].reshape(n, -1).T
    speed = np.zeros_like(place)
    push = first.solve(-(stiffness @ place))
    for step in range(steps + 1):
        yield np.pad(place.T.reshape(n, inner, inner), ((0, 0), (1, 1), (1, 1)))
        if step < steps:
            place = place + courant * speed + courant**2 / 4 * push
            ahead = later.solve(-(stiffness @ place))
            place = place + courant**2 / 4 * ahead
            speed = speed + courant / 2 * (push + ahead)
            push = ahead


@cache
def _factored(inner: int, courant: float) -> tuple[Any, Any, Any]:
    mass, stiffness = elements(inner)
    return stiffness, splu(mass), splu(csc_matrix(mass + courant**2 / 4 * stiffness))


def drift(u: Array, steps: int, courant: float = COURANT) -> Iterator[Array]:
    """Yields fields [n, cells, cells] that move down and right by `courant` cells a step; 0 on the rim."""
    for step in range(steps + 1):
        yield u
        if step < steps:
            moved = np.zeros_like(u)
            kept, come = u[:, 1:-1, 1:-1], u[:, :-2, :-2]
            moved[:, 1:-1, 1:-1] = (1 - courant) * kept + courant * come
            u = moved


LAWS = {"elements": newmark, "leapfrog": leapfrog, "drift": drift}


def frames(count: int, cells: int, seed: int, law: Law = "elements", gap: int = GAP, after: int = 1) -> Array:
    """Fields [count, 2 + after, cells, cells] at times t - gap, t, t + gap, and on to t + after * gap.

    Every simulation starts from four packets of one wavelength at rest and hands out `EACH` times at random.
    The largest number of the first three fields is scaled to 1.
    """
    if law not in LAWS:
        raise WorkbenchError(f"law must be one of {', '.join(LAWS)}, but {law!r} came")
    draws = np.random.default_rng(seed)
    runs = -(-count // EACH)
    u = start(draws.uniform(*WAVELENGTHS[law], runs), cells, draws)
    history = np.stack(list(LAWS[law](u, LATEST + after * gap)))  # [steps, runs, cells, cells]
    when = draws.integers(gap, LATEST + 1, (EACH, runs))
    shifts = gap * np.arange(-1, after + 1)
    taken = np.stack([history[when + shift, np.arange(runs)] for shift in shifts], axis=2)
    taken = taken.reshape(EACH * runs, len(shifts), cells, cells)[:count]
    return taken / np.abs(taken[:, :3]).max(axis=(1, 2, 3), keepdims=True)
