"""Rollout: what the last layer looks at, traced back through all layers to the first tokens.

Each layer mixes tokens by its attention and passes them on unmixed beside it: (1 - residual) A + residual I.
The product over the layers is the rollout. It is computed row by row, from the last layer to the first, and
never as a product of matrices; so windows, and stages of different sizes, need nothing special.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.probes.attention_tiles import as_map, row_tiles
from workbench.probes.attentions import AttentionMap, Rows, selected


def rollout(
    steps: Sequence[AttentionMap | NDArray],
    *,
    rows: Rows = None,
    residual: float = 0.5,
    heads: Literal["mean", "max"] = "mean",
) -> AttentionMap:
    """The maps of consecutive layers multiplied into one, with a single head.

    steps: first layer first; maps with all their queries, windows put back by `windows_to_field`.
        Where a model halves its map, an array [tokens after, tokens before each] stands between them, as
        `merging` makes it: a merged token hands its share on in equal parts.
    rows: which tokens of the last layer are asked for; only these are computed, and only when asked.
    residual: the share of the path around attention, from 0 to 1.
    heads: "mean" over them, or "max", scaled back to the sum that rows had.

    >>> maps = [as_map(torch.full((1, 4, 4), 1 / 4))] * 2
    >>> rollout(maps, rows=[0]).probabilities()[0, 0, 0].tolist()
    [0.4375, 0.1875, 0.1875, 0.1875]
    """
    if not 0 <= residual <= 1:
        raise WorkbenchError(f"residual must lie in 0 to 1, but {residual} came")
    if heads not in ("mean", "max"):
        raise WorkbenchError(f"heads must be 'mean' or 'max', but {heads!r} came")
    layers = [as_map(step) if isinstance(step, AttentionMap) else torch.as_tensor(step) for step in steps]
    maps = [layer for layer in layers if isinstance(layer, AttentionMap)]
    if not maps:
        raise WorkbenchError("a rollout needs at least one map, but none came")
    if len(batches := {map.shape[0] for map in maps}) > 1:
        raise WorkbenchError(f"maps must have the same batch, but {sorted(batches)} came")
    sizes = [_sizes(layer) for layer in layers]
    for number, ((_, after), (before, _)) in enumerate(pairwise(sizes)):
        if after != before:
            raise WorkbenchError(
                f"step {number} leaves {after} tokens, but step {number + 1} takes {before}; "
                "where tokens are merged, put `merging(...)` between"
            )
    at = selected(rows, sizes[-1][1])

    def compute(part: slice) -> Tensor:
        few = torch.tensor(at[part], dtype=torch.long)
        flow = torch.zeros(maps[0].shape[0], len(few), sizes[-1][1], dtype=torch.double)
        flow[:, torch.arange(len(few)), few] = 1
        for layer in reversed(layers):
            if isinstance(layer, AttentionMap):
                flow = residual * flow + (1 - residual) * _through(flow, layer, heads)
            else:
                flow = _split(flow, layer)
        return flow[:, None]

    shape = (maps[0].shape[0], 1, len(at), sizes[0][0])
    causal = all(map.causal for map in maps) and len(maps) == len(layers)
    return AttentionMap("", 0, "rollout", shape, at, causal, False, compute, grid=maps[0].grid)


def _sizes(step: AttentionMap | Tensor) -> tuple[int, int]:
    """Tokens before and after a step."""
    if not isinstance(step, AttentionMap):
        if step.dim() != 2 or step.is_floating_point() or not (step >= 0).any(dim=1).all():
            raise WorkbenchError(
                "a step that merges must be whole numbers [tokens after, tokens before each], "
                f"but {str(step.dtype).removeprefix('torch.')} {tuple(step.shape)} came"
            )
        return int(step.max()) + 1, len(step)
    if step.shape[2] != step.shape[3] or step.rows != tuple(range(step.shape[3])):
        raise WorkbenchError(
            "a rollout needs maps with all their queries, each a token that is a key as well, "
            f"but {step.shape[2]} queries of {step.shape[3]} keys came"
        )
    return step.shape[3], step.shape[2]


def _through(flow: Tensor, map: AttentionMap, heads: str) -> Tensor:
    """flow [batch, rows, tokens] times the map, heads together, tile by tile."""
    found = torch.zeros_like(flow)
    for part, tile in row_tiles(map):
        one = tile.mean(1)
        if heads == "max":
            highest = tile.amax(1)
            total = highest.sum(-1, keepdim=True)
            one = highest * one.sum(-1, keepdim=True) / torch.where(total > 0, total, 1.0)
        found += flow[:, :, part] @ one
    return found


def _split(flow: Tensor, merged: Tensor) -> Tensor:
    """Each merged token's share to the tokens that it was made of: [batch, rows, after] -> before."""
    real = merged >= 0
    shares = (flow / real.sum(1))[..., None] * real
    found = flow.new_zeros(*flow.shape[:2], int(merged.max()) + 1)
    return found.index_add(2, merged.clamp(min=0).flatten(), shares.flatten(2))
