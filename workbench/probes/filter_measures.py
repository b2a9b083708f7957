"""How much of a layer is used: sparsity, variance entropy, orthogonality, and what is left of the start.

All of them read the weights as they are, not scaled filter by filter. What has no answer (an entropy of one
filter, the orthogonality of one channel) is refused by the function and None in a table.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.probes.filter_null import entropy_null, entropy_of, entropy_threshold
from workbench.probes.filter_sets import (
    FilterLayer,
    Filters,
    FilterSet,
    by,
    filters,
    flat,
    need_pattern,
    numbers,
    stacked,
)

NEAR_ZERO = 0.01  # of the largest weight of the layer
BAND = 0.98  # of random layers between the two ends of the null band


def sparse(layer: Filters, share: float = NEAR_ZERO) -> NDArray[np.bool_]:
    """Which filters of a layer have every weight below `share` of the layer's largest magnitude: [n].

    A layer of zeros is sparse in all its filters.
    """
    if not 0 < share < 1:
        raise WorkbenchError(f"share must lie between 0 and 1, but {share} came")
    peaks = np.abs(flat(layer)).max(axis=1)
    return (peaks < share * peaks.max()) | (peaks == 0)


def sparsity(layer: Filters, share: float = NEAR_ZERO) -> float:
    """The share of the filters of a layer that are `sparse`."""
    return float(sparse(layer, share).mean())


def variance_entropy(layer: Filters) -> float:
    """How evenly the filters of a layer vary in all directions: 0 to log10 of the weights of a filter.

    The shares p of the variance along the principal axes (of the unscaled, centred filters) give
    H = -Σ p log10 p. Filters that are all alike have 0. How much is much depends on n: see `entropy_null`.
    """
    X = flat(layer)
    need_pattern(stacked(layer).shape[1:], "variance entropy")
    if len(X) < 2:
        raise WorkbenchError("variance entropy needs at least two filters, but one came")
    X = X / (np.abs(X).max() or 1)
    centred = X - X.mean(axis=0)
    if np.abs(centred).max() < 1e-12:  # the rounding of a mean is no variance
        return 0.0
    small = centred.T @ centred if len(X) >= X.shape[1] else centred @ centred.T
    return float(entropy_of(np.linalg.eigvalsh(small)))


def orthogonality(weights: FilterLayer | Tensor | ArrayLike, groups: int = 1) -> float:
    """1 where the output channels of a layer are orthogonal, 0 where all point the same or opposite way.

    weights: [c_out, c_in / groups, *k]. It is one minus the mean magnitude of the cosine over all pairs of
    channels. Pairs are made within a group, as channels of two groups look at different inputs; channels of
    zeros have no direction and are left out. Without any pair, as in a depthwise layer, there is no answer.
    """
    if isinstance(weights, FilterLayer):
        groups = weights.groups
    W = numbers(weights.weights if isinstance(weights, FilterLayer) else weights).astype(np.float64)
    if W.ndim < 3 or W.size == 0 or not np.isfinite(W).all():
        raise WorkbenchError(f"expected finite weights [c_out, c_in / groups, *k], but shape {W.shape} came")
    if groups < 1 or len(W) % groups:
        raise WorkbenchError(f"{len(W)} output channels cannot be split into {groups} groups")
    total, pairs = 0.0, 0
    for group in W.reshape(groups, len(W) // groups, -1):
        alive = group[np.abs(group).max(axis=1) > 0]
        alive = alive / np.abs(alive).max(axis=1, keepdims=True)  # so that no square underflows
        directions = alive / np.linalg.norm(alive, axis=1, keepdims=True)
        cosines = np.abs(directions @ directions.T)
        total += float(cosines.sum() - np.trace(cosines))
        pairs += len(alive) * (len(alive) - 1)
    if not pairs:
        raise WorkbenchError(
            "orthogonality compares output channels of one group in pairs, "
            f"but of {len(W)} channels in {groups} groups no two make a pair that is not zero"
        )
    return min(max(1 - total / pairs, 0.0), 1.0)


def init_projection(weights: Tensor | ArrayLike, initial: Tensor | ArrayLike) -> float:
    """How much of the first weights is still in the present ones: ⟨w, w₀⟩ / ‖w₀‖².

    1 at the start; shrinking alone brings it down, which a cosine would not show. Under weight decay λ
    and momentum μ the memory fades roughly like exp(-λ Σ η / (1 - μ)) over the learning rates η.
    """
    now, then = numbers(weights).astype(np.float64), numbers(initial).astype(np.float64)
    if now.shape != then.shape:
        raise WorkbenchError(f"expected weights of one shape, but {now.shape} and {then.shape} came")
    top = np.abs(then).max(initial=0)
    if not top or not np.isfinite(top) or not np.isfinite(now).all():
        raise WorkbenchError("a projection needs finite weights and a start that is not zero everywhere")
    unit = then / top
    return float(np.vdot(now / top, unit) / np.vdot(unit, unit))


@dataclass(frozen=True)
class FilterQuality:
    """Numbers of one layer; None where the layer has no answer.

    n: filters. sparsity: share of filters that are nearly zero. dead: share of output channels all of whose
    filters are. entropy: variance entropy, and entropy_live that of the filters that are not sparse.
    null_low, null_median, null_high: 1 %, 50 % and 99 % of the entropies of random layers of that n and k;
    p_value: how often a random layer is at most as varied. threshold: the published T_H(n), for 3 × 3.
    orthogonality: 0 to 1.
    """

    name: str
    depth_norm: float
    k: tuple[int, ...]
    n: int
    sparsity: float
    dead: float
    entropy: float | None
    entropy_live: float | None
    null_low: float | None
    null_median: float | None
    null_high: float | None
    p_value: float | None
    threshold: float | None
    orthogonality: float | None

    def row(self) -> dict[str, Any]:
        """For a table."""
        return asdict(self) | {"k": by(self.k)}


def filter_quality(source: nn.Module | FilterSet | Mapping[str, Tensor]) -> list[FilterQuality]:
    """Sparsity, entropy with its null, and orthogonality of every convolution of a model.

    source: as for `filters`, or its result. The nulls are simulated once for each n and k and then kept.

    >>> row = filter_quality(nn.Conv2d(1, 1, 3))[0]
    >>> row.sparsity, row.entropy, row.orthogonality
    (0.0, None, None)
    """
    found = source if isinstance(source, FilterSet) else filters(source)
    return [_quality(layer) for layer in found]


def _quality(layer: FilterLayer) -> FilterQuality:
    near_zero = sparse(layer)
    entropy = _entropy(layer.filters)
    null = None if entropy is None else entropy_null(layer.k, layer.n)
    tail = (1 - BAND) / 2
    return FilterQuality(
        name=layer.name,
        depth_norm=layer.depth_norm,
        k=layer.k,
        n=layer.n,
        sparsity=float(near_zero.mean()),
        dead=float(near_zero.reshape(layer.c_out, -1).all(axis=1).mean()),
        entropy=entropy,
        entropy_live=_entropy(layer.filters[~near_zero]),
        null_low=None if null is None else null.quantile(tail),
        null_median=None if null is None else null.quantile(0.5),
        null_high=None if null is None else null.quantile(1 - tail),
        p_value=None if null is None or entropy is None else null.p_value(entropy),
        threshold=entropy_threshold(layer.n) if layer.k == (3, 3) and layer.n > 2 else None,
        orthogonality=_orthogonality(layer),
    )


def _entropy(some: NDArray[Any]) -> float | None:
    return variance_entropy(some) if len(some) > 1 and prod(some.shape[1:]) > 1 else None


def _orthogonality(layer: FilterLayer) -> float | None:
    live = np.abs(layer.weights.reshape(layer.groups, -1, layer.weights[0].size)).max(axis=2) > 0
    return orthogonality(layer) if (live.sum(axis=1) > 1).any() else None
