"""How varied random filters are: what a variance entropy has to be compared with.

A layer of n random filters does not reach the largest entropy, because n points never spread evenly by
chance. The published threshold T_H(n) is a curve fitted to simulated layers of 3 × 3 filters. Here the
simulation itself is made, for any size of filter and any n.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from math import exp, log2, prod

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dsterf

from workbench.errors import WorkbenchError
from workbench.probes.filter_sets import need_pattern

# T_H(n) = HEIGHT / (1 + exp(-SLOPE (log2 n - MIDDLE))) + OFFSET, for 3 × 3 filters
HEIGHT, MIDDLE, SLOPE, OFFSET = 1.2618047, 2.30436435, 0.88767525, -0.31050834
DRAWS, FEWER_DRAWS, MANY_VALUES = 1000, 200, 128


@dataclass(frozen=True)
class EntropyNull:
    """Variance entropies of simulated layers with n independent Gaussian filters of size k.

    entropies: [draws], sorted.
    """

    k: tuple[int, ...]
    n: int
    entropies: NDArray[np.float64] = field(repr=False, compare=False)

    def quantile(self, q: float) -> float:
        """The entropy below which a share q of the random layers lies."""
        if not 0 <= q <= 1:
            raise WorkbenchError(f"q must lie between 0 and 1, but {q} came")
        return float(np.quantile(self.entropies, q))

    @property
    def lowest(self) -> float:
        """The smallest entropy of all draws, which is what the published threshold was fitted to."""
        return float(self.entropies[0])

    def p_value(self, entropy: float) -> float:
        """How often a random layer is at most as varied; never zero, as the layer itself is counted in."""
        below = np.searchsorted(self.entropies, entropy, side="right")
        return float((below + 1) / (len(self.entropies) + 1))


def entropy_null(k: tuple[int, ...], n: int, draws: int | None = None, seed: int = 0) -> EntropyNull:
    """The null distribution of the variance entropy of n random filters of size k.

    k: e.g. (3, 3). n: at least 2. draws: default 1000, and 200 where a layer has more than 128 variances,
    as the entropies then differ in the third digit only. The same arguments give the same numbers, and
    a second call finds them in memory. Filters drawn uniformly, as torch starts with, are a little more
    even than these Gaussian ones, by less than the width of the null.

    The filters need not be drawn. The variances of n centred Gaussian points in d dimensions are
    distributed like the eigenvalues of B Bᵀ, where B has chi variables with max(n-1, d), max(n-1, d) - 1,
    ... degrees of freedom on its diagonal and with m-1, m-2, ..., 1 below it, m = min(n-1, d) (Dumitriu and
    Edelman 2002). So a layer of a million filters costs as little as one of ten.
    """
    size = tuple(int(side) for side in k)
    if not size or min(size) < 1:
        raise WorkbenchError(f"the size of a filter must be positive, e.g. (3, 3), but {k} came")
    need_pattern(size, "variance entropy")
    if n < 2:
        raise WorkbenchError(f"variance entropy needs at least two filters, but {n} came")
    values = min(n - 1, prod(size))
    draws = draws or (DRAWS if values <= MANY_VALUES else FEWER_DRAWS)
    if draws < 1:
        raise WorkbenchError(f"a simulation needs at least one draw, but {draws} came")
    return _simulated(size, int(n), draws, seed)


@lru_cache(maxsize=4096)
def _simulated(k: tuple[int, ...], n: int, draws: int, seed: int) -> EntropyNull:
    d = prod(k)
    m, most = min(n - 1, d), max(n - 1, d)
    stream = np.random.default_rng([seed, d, n])
    on = stream.chisquare(most - np.arange(m), (draws, m))
    below = stream.chisquare(np.arange(m - 1, 0, -1), (draws, m - 1)) if m > 1 else np.zeros((draws, 0))
    diagonal = on.copy()
    diagonal[:, 1:] += below
    beside = np.sqrt(on[:, :-1] * below)
    variances = np.array([dsterf(a, b)[0] for a, b in zip(diagonal, beside, strict=True)]) if m > 1 else on
    entropies = np.sort(entropy_of(variances))
    entropies.flags.writeable = False  # it is shared by all later calls
    return EntropyNull(k, n, entropies)


def entropy_of(variances: NDArray[np.float64]) -> NDArray[np.float64]:
    """-Σ p log10 p of the shares p of variances [..., m], with 0 log 0 = 0; 0 where nothing varies."""
    variances = np.clip(variances, 0, None)
    total = variances.sum(axis=-1, keepdims=True)
    p = variances / np.where(total > 0, total, 1)
    return -(p * np.log10(np.where(p > 0, p, 1))).sum(axis=-1) + 0.0  # no negative zero


def entropy_threshold(n: int) -> float:
    """The published T_H(n): less varied layers of n filters of 3 × 3 count as worse than random.

    It is a fit to the smallest entropies of random layers: at n = 64 to 256 about 2 to 8 % of random
    layers lie below it, and at n = 2 it is negative. `entropy_null` has neither trouble.
    """
    if n < 3:
        raise WorkbenchError(f"the published threshold is negative for fewer than 3 filters, but {n} came")
    return HEIGHT / (1 + exp(-SLOPE * (log2(n) - MIDDLE))) + OFFSET
