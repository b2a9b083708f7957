"""How far a head looks and how many keys it spreads over: sums over a map, read tile by tile."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.probes.attention_tiles import Floats, Map, as_map, row_tiles


@dataclass(frozen=True)
class MapMeasures:
    """Means over the queries of one map; each is [examples, heads].

    distance: from a query to what it looks at, in tokens, or in steps of the grid (straight line).
    entropy: of a row in bits; 2 to that power is the number of equal keys that spread as much.
    largest: the largest weight of a row. own: the weight of the query on itself.
    uniform_distance, uniform_entropy: of a head that looks at all keys alike (at all earlier ones in a
    causal map).
    """

    distance: Floats
    entropy: Floats
    largest: Floats
    own: Floats
    uniform_distance: float
    uniform_entropy: float


def map_measures(map: Map, *, grid: Sequence[int] | None = None, skip: int = 0) -> MapMeasures:
    """Distance, entropy, largest weight and weight on itself of every head.

    map: queries are tokens of the same sequence as keys. Weights are shares of a row's magnitude, so rows
    that lost some to padding, and signed ones, are measured too; queries that look at nothing are left out.
    grid: rows and columns of the image; default the map's own, without one places along the sequence.
    skip: how many tokens at the front have no place, such as [CLS]; they are left out on both sides, and
    the rest of each row counts as 1.

    >>> measures = map_measures(torch.eye(4)[None])
    >>> measures.distance.item(), measures.entropy.item(), measures.uniform_entropy
    (0.0, 0.0, 2.0)
    """
    map = as_map(map)
    keys = map.shape[3] - skip
    places = _places(keys, grid or map.grid, skip)
    rows = [row - skip for row in map.rows]
    if skip < 0 or not any(row >= 0 for row in rows) or max(rows) >= keys:
        raise WorkbenchError(
            f"queries and keys must be the same tokens, with some left after skip={skip}, "
            f"but rows up to {max(map.rows, default=-1)} and {map.shape[3]} keys came"
        )
    sums = torch.zeros(4, *map.shape[:2], dtype=torch.double)
    counts = torch.zeros(map.shape[:2], dtype=torch.double)
    uniform = torch.zeros(2, dtype=torch.double)
    for part, tile in row_tiles(map):
        at = torch.tensor(rows[part])
        here = at >= 0
        at = at[here]
        weights = tile[:, :, here, skip:].abs()
        total = weights.sum(-1, keepdim=True)
        seeing = total[..., 0] > 0
        weights = weights / torch.where(total > 0, total, 1.0)
        apart = torch.cdist(places[at], places)
        own = weights.gather(-1, at[:, None].expand(*weights.shape[:3], 1))[..., 0]
        each = ((weights * apart).sum(-1), _entropy(weights), weights.amax(-1), own)
        sums += torch.stack([(what * seeing).sum(-1) for what in each])
        counts += seeing.sum(-1)
        alike = torch.ones(len(at), keys, dtype=torch.double)
        if map.causal:
            alike = (torch.arange(keys) <= at[:, None]).double()
        alike = alike / alike.sum(-1, keepdim=True)
        uniform += torch.stack([(alike * apart).sum(), _entropy(alike).sum()])
    means = (sums / counts.clamp(min=1)).numpy()
    references = (uniform / sum(row >= 0 for row in rows)).tolist()
    return MapMeasures(*means, *references)


def _entropy(weights: Tensor) -> Tensor:
    """In bits, of each row."""
    return -torch.xlogy(weights, weights).sum(-1) / np.log(2)


def _places(keys: int, grid: Sequence[int] | None, skip: int) -> Tensor:
    """Where each key lies, [keys, axes]."""
    sides = tuple(grid) if grid else (keys,)
    if np.prod(sides) != keys:
        raise WorkbenchError(
            f"a grid of {' × '.join(map(str, sides))} has {np.prod(sides)} places, but {keys} keys came "
            f"(after skip={skip})"
        )
    return torch.from_numpy(np.indices(sides).reshape(len(sides), -1).T.astype(np.float64).copy())
