"""Principal components of filters: which few patterns the filters of many models are made of.

One analysis is made of all filters together, so that the coefficients of two populations are numbers along
the same axes. An analysis for each population would give each its own axes, and nothing to compare.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import WorkbenchError
from workbench.probes.filter_sets import Filters, by, flat, need_pattern, scaled, stacked

Floats = NDArray[np.float64]
BINS = 70
CHUNK = 65536  # filters that are worked on at a time


@dataclass(frozen=True)
class Components:
    """Axes for filters of one size; p is the number of weights of a filter, prod(k).

    mean: [*k] of the scaled filters. eigenfilters: [p, *k], orthonormal, the largest weight of each
    positive; the first explains most. ratios: [p], the share of the variance along each. low, high: of all
    coefficients of all fitted filters, the common range of every histogram.
    """

    mean: Floats = field(repr=False)
    eigenfilters: Floats = field(repr=False)
    ratios: Floats
    low: float
    high: float

    @property
    def k(self) -> tuple[int, ...]:
        """Size of the filters."""
        return self.mean.shape

    def coefficients(self, some: Filters) -> Floats:
        """Filters, scaled by their largest magnitude, along the axes: [n, p]."""
        array = stacked(some)
        if array.shape[1:] != self.k:
            raise WorkbenchError(
                f"these components are for filters of {by(self.k)}, but {by(array.shape[1:])} came"
            )
        axes = self.eigenfilters.reshape(len(self.ratios), -1).T
        return (flat(scaled(array)) - self.mean.reshape(-1)) @ axes

    def rebuilt(self, coefficients: ArrayLike) -> Floats:
        """Scaled filters from their coefficients; with the first q of them, [n, q], an approximation."""
        C = np.asarray(coefficients, dtype=np.float64)
        if C.ndim != 2 or C.shape[1] > len(self.ratios):
            raise WorkbenchError(
                f"coefficients must be [n, up to {len(self.ratios)}], but shape {C.shape} came"
            )
        return self.mean + np.tensordot(C, self.eigenfilters[: C.shape[1]], axes=1)

    def needed(self, share: float = 0.9) -> int:
        """How many components explain that share of the variance."""
        if not 0 < share <= 1:
            raise WorkbenchError(f"share must lie above 0 and up to 1, but {share} came")
        reached = np.cumsum(self.ratios) >= share - 1e-9
        return int(reached.argmax()) + 1

    def histograms(self, some: Filters, bins: int = BINS) -> NDArray[np.int64]:
        """How many filters have a coefficient in each bin of the common range: [p, bins].

        A coefficient beyond the range, of filters that were not fitted, counts in the bin at its end.
        """
        array = stacked(some)
        places = (self.places(array[rows], bins) for rows in _chunks(len(array)))
        return sum(counted(part, bins) for part in places)  # type: ignore[return-value]

    def edges(self, bins: int = BINS) -> Floats:
        """The edges of the bins: [bins + 1]."""
        return np.linspace(self.low, self.high, bins + 1)

    def places(self, some: Filters, bins: int = BINS) -> NDArray[np.int32]:
        """In which bin each coefficient falls: [n, p]."""
        if bins < 2:
            raise WorkbenchError(f"a histogram needs at least two bins, but {bins} came")
        inner = self.edges(bins)[1:-1]
        return np.searchsorted(inner, self.coefficients(some), side="right").astype(np.int32)


def counted(places: NDArray[np.int32], bins: int) -> NDArray[np.int64]:
    """Bins of coefficients [n, p] as counts [p, bins]."""
    p = places.shape[1]
    return np.bincount((places + np.arange(p) * bins).ravel(), minlength=p * bins).reshape(p, bins)


def components(some: Filters, weights: ArrayLike | None = None) -> Components:
    """Principal components of all filters together, each scaled by its largest magnitude.

    some: [n, *k], at least two that differ. weights: [n], how much each counts, default all alike; with one
    over the number of filters of its model, a wide model counts as much as a narrow one.

    >>> bars = np.array([[[1, 1], [-1, -1]], [[-2, -2], [2, 2]], [[0.1, 0.1], [-0.1, -0.1]]])
    >>> components(bars).ratios.round(3).tolist()
    [1.0, 0.0, 0.0, 0.0]
    """
    array = stacked(some)
    k = array.shape[1:]
    need_pattern(k, "a principal component analysis")
    w = _shares(weights, len(array))
    mean = np.zeros(prod(k))
    for rows in _chunks(len(array)):
        mean += w[rows] @ flat(scaled(array[rows]))
    covariance = np.zeros((len(mean), len(mean)))
    for rows in _chunks(len(array)):
        X = flat(scaled(array[rows])) - mean
        covariance += X.T @ (w[rows, None] * X)
    variances, vectors = np.linalg.eigh(covariance)
    variances, vectors = np.clip(variances[::-1], 0, None), vectors[:, ::-1]
    if variances.sum() < 1e-14:  # of numbers up to 1, so this is rounding
        raise WorkbenchError("components need filters that differ, but all patterns are the same")
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(len(mean))]
    axes = (vectors * np.sign(largest)).T
    fitted = Components(mean.reshape(k), axes.reshape(-1, *k), variances / variances.sum(), 0.0, 1.0)
    low, high = np.inf, -np.inf
    for rows in _chunks(len(array)):
        C = fitted.coefficients(array[rows])
        low, high = min(low, float(C.min())), max(high, float(C.max()))
    return Components(fitted.mean, fitted.eigenfilters, fitted.ratios, low, high)


def _shares(weights: ArrayLike | None, n: int) -> Floats:
    if weights is None:
        return np.full(n, 1 / n)
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (n,) or not np.isfinite(w).all() or (w < 0).any() or not w.sum():
        raise WorkbenchError(
            f"weights must be {n} numbers from 0, one for each filter and not all 0, but shape {w.shape} came"
        )
    return w / w.sum()


def _chunks(n: int) -> Iterator[slice]:
    return (slice(start, start + CHUNK) for start in range(0, n, CHUNK))
