"""The mean over seeds, with an interval that is honest about few of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.errors import WorkbenchError

RESAMPLES = 20_000


@dataclass(frozen=True)
class Interval:
    """A value and the range that holds it; both ends equal the value where nothing is random."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4g}" + ("" if self.low == self.high else f" [{self.low:.4g}, {self.high:.4g}]")


def interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Bootstrap interval of the mean over seeds, the same at every call.

    A plain percentile bootstrap of n values is too narrow for small n: its spread lacks a factor
    √(n/(n−1)), and it uses normal quantiles where Student's t belongs. Both are made good by taking
    outer percentiles: Φ(−√(n/(n−1)) · t) of each tail instead of (1 − level)/2 (Hesterberg 2015,
    "What teachers should know about the bootstrap", section on expanded percentile intervals).
    With 5 values the tail is 0.1 % and the interval comes close to the range of the values.
    """
    if not values or not all(math.isfinite(value) for value in values):
        raise WorkbenchError(f"an interval needs finite values, but {list(values)} came")
    if min(values) == max(values):
        return Interval(*[float(values[0])] * 3)
    from scipy import stats  # on first use: a second to import

    n = len(values)
    tail = stats.norm.cdf(math.sqrt(n / (n - 1)) * stats.t.ppf((1 - level) / 2, n - 1))
    ends = stats.bootstrap(
        (values,),
        lambda sample, axis: sample.mean(axis=axis),
        confidence_level=1 - 2 * tail,
        n_resamples=RESAMPLES,
        method="percentile",
        vectorized=True,
        random_state=0,
    ).confidence_interval
    return Interval(math.fsum(values) / n, float(ends.low), float(ends.high))
