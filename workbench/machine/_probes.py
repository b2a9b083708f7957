"""The loops that find a machine's ceilings. Each returns nothing of interest: only its time is wanted.

All release the interpreter's lock, so that threads can run one copy each on every core.
"""

import numpy as np
from numba import njit

DEPTH = 32  # multiply-adds between the load of a lane and its store
CHAINS = 12
LANES = 512

CONTRACT = {"contract"}  # a * x + y may become one fused multiply-add
REORDER = {"reassoc", "nsz"}  # a sum may keep one partial sum a lane


@njit(nogil=True, cache=True, fastmath=CONTRACT)
def fma_lanes(v: np.ndarray, x: float, y: float, rounds: int) -> None:
    """2 x DEPTH x lanes flops a round: each lane of `v` is a chain of its own, so they can be packed."""
    for _ in range(rounds):
        for i in range(v.size):
            a = v[i]
            for _ in range(DEPTH):  # unrolled: `a` stays in its register
                a = a * x + y
            v[i] = a


@njit(nogil=True, cache=True, fastmath=CONTRACT)
def fma_scalar(v: np.ndarray, x: float, y: float, rounds: int) -> None:
    """2 x CHAINS flops a round in independent scalars: enough to hide what one multiply-add takes."""
    a, b, c, d, e, f, g, h, i, j, k, l = (
        v[0],
        v[1],
        v[2],
        v[3],
        v[4],
        v[5],
        v[6],
        v[7],
        v[8],
        v[9],
        v[10],
        v[11],
    )
    for _ in range(rounds):
        a = a * x + y
        b = b * x + y
        c = c * x + y
        d = d * x + y
        e = e * x + y
        f = f * x + y
        g = g * x + y
        h = h * x + y
        i = i * x + y
        j = j * x + y
        k = k * x + y
        l = l * x + y
    v[0] = a + b + c + d + e + f + g + h + i + j + k + l


@njit(nogil=True, cache=True, fastmath=REORDER)
def read(a: np.ndarray, b: np.ndarray, c: np.ndarray, rounds: int) -> float:
    """Reads three arrays of n and writes none."""
    total = a[0]
    for _ in range(rounds):
        for i in range(a.size):
            total += a[i] + b[i] + c[i]
    return total


@njit(nogil=True, cache=True)
def copy(a: np.ndarray, b: np.ndarray, c: np.ndarray, rounds: int) -> None:
    """Reads one array and writes one, twice."""
    for _ in range(rounds):
        for i in range(a.size):
            b[i] = a[i]
        for i in range(a.size):
            c[i] = b[i]


@njit(nogil=True, cache=True)
def triad(a: np.ndarray, b: np.ndarray, c: np.ndarray, rounds: int) -> None:
    """Reads two arrays and writes one."""
    for _ in range(rounds):
        for i in range(a.size):
            a[i] = b[i] + 3.0 * c[i]
