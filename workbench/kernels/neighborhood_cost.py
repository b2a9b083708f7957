"""What neighbourhood attention costs, from shapes alone: scores, operations, and bytes of weights.

A score costs 2 d operations to form, 2 e to use, and an exponential. The kernels differ in how many they
calculate: the naive ones as many as the windows hold, the GEMM a whole halo for every tile, the fused one
those of the lanes between the first and the last query that sees a key, in whole vectors.
"""

import numpy as np

from workbench.kernels.cost import Cost
from workbench.kernels.neighborhood_fused import KEYS
from workbench.kernels.neighborhood_product import FOUR
from workbench.kernels.neighborhood_tiles import tile_layout, tile_of
from workbench.kernels.neighborhood_windows import Neighborhood, PerAxis

EXPONENTIAL = {4: 19, 8: 35}  # operations on floats in `exp_like`, by the size of a number in bytes


def neighborhood_dense_scores(geometry: Neighborhood, tile: PerAxis | None = None) -> int:
    """All queries of every tile times all keys of its halo: (tile + window - 1) / window to the power of the
    axes times as many as are needed, far from the borders."""
    return sum(part.dense for part in geometry.tiles(tile_of(geometry, tile)))


def neighborhood_gemm_scores(geometry: Neighborhood, tile: PerAxis | None = None) -> int:
    """The same as `neighborhood_gemm` does it, in whole steps of keys and whole vectors of queries."""
    sizes, lanes, _ = tile_layout(geometry, tile_of(geometry, tile))
    return int(sizes[:, 1].sum()) * lanes.shape[2]


def neighborhood_fused_scores(geometry: Neighborhood, tile: PerAxis | None = None) -> int:
    """Scores that `neighborhood_fused` calculates: it leaves out lanes at the rim of a halo."""
    _, _, keys = tile_layout(geometry, tile_of(geometry, tile))
    return int((keys[:, 5] - keys[:, 4]).sum())


def neighborhood_weight_bytes(geometry: Neighborhood, itemsize: int = 4) -> int:
    """Bytes of weights that are written and read back in the naive and the GEMM way, for one head, without
    the traffic of softmax itself; the fused way has none."""
    return 2 * itemsize * geometry.scores


def neighborhood_naive_flops(geometry: Neighborhood, d: int, e: int, itemsize: int = 4) -> int:
    """Operations of `neighborhood_naive` and `neighborhood_rows` for one head."""
    each = 2 * d + 1 + (1 + EXPONENTIAL[itemsize] + 1) + 1 + 2 * e  # scaled, weighed, summed, shared, used
    return geometry.scores * each + 3 * geometry.tokens  # the scale costs two, the share one


def neighborhood_naive_cost(geometry: Neighborhood, d: int, e: int, itemsize: int = 4) -> Cost:
    """The closed form of `neighborhood_naive` for one head."""
    n, scores = geometry.tokens, geometry.scores
    return Cost(
        flops=neighborhood_naive_flops(geometry, d, e, itemsize),
        loads={
            "Q": scores * d,
            "K": scores * d,
            "weights": 4 * scores,
            "V": scores * e,
            "O": scores * e,
        },
        stores={"weights": 3 * scores, "O": (scores + n) * e},
        bytes_unique={
            "Q": itemsize * n * d,
            "K": itemsize * n * d,
            "weights": itemsize * scores,
            "V": itemsize * n * e,
            "O": itemsize * n * e,
        },
    )


def neighborhood_gemm_flops(
    geometry: Neighborhood, d: int, e: int, itemsize: int = 4, tile: PerAxis | None = None
) -> int:
    """Operations of `neighborhood_gemm` for one head."""
    products = 2 * (d + e) * neighborhood_gemm_scores(geometry, tile)
    softmax = geometry.scores * (1 + EXPONENTIAL[itemsize] + 1 + 1) + geometry.tokens
    return products + softmax + geometry.tokens * (d + e) + 2


def neighborhood_fused_flops(
    geometry: Neighborhood, d: int, e: int, itemsize: int = 4, tile: PerAxis | None = None
) -> int:
    """Operations of `neighborhood_fused` for one head."""
    sizes, lanes, _ = tile_layout(geometry, tile_of(geometry, tile))
    parts, exp = int(np.ceil(sizes[:, 1] / KEYS).sum()), EXPONENTIAL[itemsize]
    scores = neighborhood_fused_scores(geometry, tile) * (2 * d + 2 * e + 1 + exp + 1)
    rescaling = parts * lanes.shape[2] * (1 + exp + 1 + e)
    return scores + rescaling + geometry.tokens * (d + e + 3) + 2


assert KEYS % FOUR == 0  # a part of the halo is made of whole steps
