"""Do two heads look at the same places? Cosines between their maps, as they are and without their mean."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from workbench.errors import WorkbenchError
from workbench.probes.attention_tiles import NUMBERS, Floats, Map, as_map, row_tiles
from workbench.probes.attentions import AttentionMap

FLAT = 1e-12  # share of a map's square that may be left of a constant one by rounding


@dataclass(frozen=True)
class HeadSimilarity:
    """Cosines between the maps of all pairs of heads, [examples, heads, heads].

    raw: of the maps as they are. All their numbers are positive, so even heads that have nothing in common
    are alike: all have a mean. mean_removed: after each map's own mean is taken off; it is 0 for heads that
    differ as two random ones do, and below for heads that avoid each other's places. A map without any
    structure (all keys alike) has no direction; its cosines are 0, with itself too.
    """

    names: tuple[str, ...]
    raw: Floats
    mean_removed: Floats

    def matrix(self, kind: str = "mean_removed") -> Floats:
        """The mean over the examples, [heads, heads]. kind: "raw" or "mean_removed"."""
        return self._of(kind).mean(axis=0)

    def maximal(self, kind: str = "mean_removed") -> Floats:
        """Each head's cosine with the other head that is most like it, [examples, heads]."""
        others = self._of(kind).copy()
        if len(self.names) < 2:
            raise WorkbenchError("a most similar other head needs at least two heads, but one came")
        others[:, range(len(self.names)), range(len(self.names))] = -np.inf
        return others.max(axis=2)

    def score(self, kind: str = "mean_removed") -> float:
        """The mean of `maximal` over heads and examples: how much the heads repeat each other."""
        return float(self.maximal(kind).mean())

    def _of(self, kind: str) -> Floats:
        if kind not in ("raw", "mean_removed"):
            raise WorkbenchError(f"kind must be 'raw' or 'mean_removed', but {kind!r} came")
        return self.raw if kind == "raw" else self.mean_removed


def head_similarity(maps: Map | Sequence[AttentionMap]) -> HeadSimilarity:
    """Cosines between the maps of heads, read tile by tile.

    maps: one map, an array [heads, queries, keys] or [batch, heads, queries, keys], or several maps with the
    same queries and keys, whose heads are then compared across layers.

    >>> one = torch.tensor([[0.8, 0.2], [0.3, 0.7]])
    >>> found = head_similarity(torch.stack([one, one.flip(-1)]))
    >>> found.score("raw").__round__(2), found.score().__round__(2)
    (0.59, -1.0)
    """
    several = [
        as_map(map)
        for map in ([maps] if isinstance(maps, AttentionMap | torch.Tensor | np.ndarray) else maps)
    ]
    shapes = {(map.shape[0], *map.shape[2:]) for map in several}
    if len(shapes) != 1:
        raise WorkbenchError(f"maps must have the same examples, queries and keys, but {sorted(shapes)} came")
    examples, queries, keys = shapes.pop()
    heads = sum(map.shape[1] for map in several)
    at_once = max(1, NUMBERS // (examples * heads * keys))
    products = torch.zeros(examples, heads, heads, dtype=torch.double)
    totals = torch.zeros(examples, heads, dtype=torch.double)
    for tiles in zip(*(row_tiles(map, at_once) for map in several), strict=True):
        flat = torch.cat([tile for _, tile in tiles], dim=1).flatten(2)  # [examples, heads, rows * keys]
        products += flat @ flat.mT
        totals += flat.sum(2)
    means = totals / (queries * keys)
    centred = products - queries * keys * means[:, :, None] * means[:, None, :]
    squares = products.diagonal(dim1=1, dim2=2)
    return HeadSimilarity(_names(several), _cosines(products, squares), _cosines(centred, squares))


def _cosines(products: torch.Tensor, squares: torch.Tensor) -> Floats:
    """products over their lengths; 0 where a length is nothing but the rounding of its `squares`."""
    lengths = products.diagonal(dim1=1, dim2=2)
    lengths = torch.where(lengths > FLAT * squares, lengths, torch.inf).sqrt()
    return (products / (lengths[:, :, None] * lengths[:, None, :])).clamp(-1, 1).numpy()


def _names(maps: Sequence[AttentionMap]) -> tuple[str, ...]:
    alone = len(maps) == 1
    return tuple(
        f"head {head}" if alone else f"layer {layer} head {head}"
        for layer, map in enumerate(maps)
        for head in range(map.shape[1])
    )
