"""Arithmetic with a fixed point: whole numbers that stand for multiples of a small step.

A format has `width` bits, `integer` of them before the point, the sign included. Its numbers are

    x = code * 2**-fraction,    fraction = width - integer,    -2**(width-1) <= code < 2**(width-1)

What does not fit is rounded down (the bits behind the last one are dropped) and wraps around at both ends,
as simple hardware does. Codes are held in int64, so that a product of two of them is exact before it is
rounded. All functions work on arrays of any shape.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.counting import kernel
from workbench.errors import WorkbenchError

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class FixedPoint:
    """A format: all bits, and those before the point.

    >>> form = FixedPoint(width=8, integer=4)
    >>> form.real(form.of([1.03, -0.01, 7.99, 8.0])).tolist()
    [1.0, -0.0625, 7.9375, -8.0]
    """

    width: int = 32
    integer: int = 10

    def __post_init__(self) -> None:
        if not (2 <= self.width <= 32 and 1 <= self.integer < self.width):
            raise WorkbenchError(
                "a fixed-point format needs 2 to 32 bits, at least one of them before the point and one "
                f"behind it, but {self.width} bits with {self.integer} before the point came"
            )

    @property
    def fraction(self) -> int:
        """Bits behind the point."""
        return self.width - self.integer

    @property
    def one(self) -> int:
        """The code of 1."""
        return 1 << self.fraction

    @property
    def step(self) -> float:
        """The distance of neighbouring numbers."""
        return 1 / self.one

    @property
    def lowest(self) -> int:
        """The smallest code."""
        return -(1 << (self.width - 1))

    @property
    def highest(self) -> int:
        """The largest code."""
        return -self.lowest - 1

    def wrap(self, codes: ArrayLike) -> Codes:
        """Codes that left the range come in again at the other end."""
        return ((np.asarray(codes, np.int64) - self.lowest) & ((1 << self.width) - 1)) + self.lowest

    def of(self, x: ArrayLike) -> Codes:
        """Real numbers to codes, rounded down."""
        return self.wrap(np.floor(np.asarray(x, np.float64) * self.one).astype(np.int64))

    def real(self, codes: ArrayLike) -> NDArray[np.float64]:
        """Codes to real numbers, exactly."""
        return np.asarray(codes) / self.one

    def times(self, a: ArrayLike, b: ArrayLike, fraction: int | None = None) -> Codes:
        """a b; b may have another number of bits behind its point."""
        product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
        return self.wrap(product >> (self.fraction if fraction is None else fraction))

    def exp(self, a: ArrayLike) -> Codes:
        """e^a; what is too large becomes the largest number."""
        with np.errstate(over="ignore"):
            exact = np.floor(np.exp(self.real(a)) * self.one)
        return np.minimum(exact, self.highest).astype(np.int64)

    def divide(self, a: ArrayLike, b: ArrayLike) -> Codes:
        """a / b; by zero, the largest number."""
        a, b = np.asarray(a, np.int64), np.asarray(b, np.int64)
        return self.wrap(np.where(b == 0, self.highest, a * self.one // np.where(b == 0, 1, b)))

    def root(self, a: ArrayLike) -> Codes:
        """The square root; of negative numbers zero."""
        real = np.sqrt(np.maximum(np.asarray(a, np.int64), 0) * float(self.one))
        return self.wrap(np.floor(real).astype(np.int64))

    def matmul(self, X: Codes, W: Codes, start: ArrayLike = 0, fraction: int | None = None) -> Codes:
        """start + X W^T, every single product rounded: X [n, c], W [m, c], start broadcast to [n, m]."""
        if X.ndim != 2 or W.ndim != 2 or X.shape[1] != W.shape[1]:
            raise WorkbenchError(f"expected X [n, c] and W [m, c], but {X.shape} and {W.shape} came")
        Y = np.broadcast_to(np.asarray(start, np.int64), (len(X), len(W))).copy()
        rounded_products(
            np.ascontiguousarray(X),
            np.ascontiguousarray(W),
            Y,
            self.fraction if fraction is None else fraction,
        )
        return self.wrap(Y)


WORD = FixedPoint(32, 10)  # a usual choice: from -512 to 512 in steps of a four-millionth


@kernel(cache=True)
def rounded_products(X, W, Y, shift):
    """Adds X W^T to Y [n, m], where every product loses its last `shift` bits: X [n, c], W [m, c], int64.

    Wrapping may wait until the end: it commutes with sums.
    """
    for i in range(X.shape[0]):
        for j in range(W.shape[0]):
            total = Y[i, j]
            for c in range(X.shape[1]):
                total += (X[i, c] * W[j, c]) >> shift
            Y[i, j] = total


def running_statistic(scores: Codes, form: FixedPoint) -> tuple[Codes, Codes]:
    """(s, b) of every row: b the largest score, s the sum of e^(score - b), in one pass over the scores.

    scores: codes [..., keys], in the order in which they arrive. One new score a:

        a > b:  s <- s e^(b - a) + 1,  b <- a            otherwise:  s <- s + e^(a - b)

    In real numbers both are exact; only the fixed point makes an error.
    """
    scores = np.asarray(scores, np.int64)
    if scores.ndim == 0 or scores.shape[-1] == 0:
        raise WorkbenchError(f"expected scores [..., keys] with at least one key, but {scores.shape} came")
    bias, total = scores[..., 0], np.full(scores.shape[:-1], form.one, np.int64)
    for score in np.moveaxis(scores[..., 1:], -1, 0):
        larger = score > bias
        factor = form.exp(form.wrap(np.where(larger, bias - score, score - bias)))
        total = form.wrap(np.where(larger, form.times(total, factor) + form.one, total + factor))
        bias = np.where(larger, score, bias)
    return total, bias
