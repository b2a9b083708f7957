"""How wrong an approximate attention is: its rows against the exact ones."""

from dataclasses import dataclass, replace

import numpy as np

from workbench.errors import WorkbenchError
from workbench.probes.attention_tiles import Floats, Map, as_map, row_tiles
from workbench.probes.attentions import AttentionMap


@dataclass(frozen=True)
class MapError:
    """Errors of every row, [examples, heads, queries].

    misplaced: the share of the row's weight that lies at wrong keys, half the sum of all differences; from 0
    to 1 where both rows sum to 1. largest: the largest difference of a single weight.
    difference: approximate minus exact, as a signed map to look at; computed when asked for.
    """

    misplaced: Floats
    largest: Floats
    difference: AttentionMap

    @property
    def per_head(self) -> Floats:
        """The mean of `misplaced` over the queries, [examples, heads]."""
        return self.misplaced.mean(axis=2)


def map_error(approximate: Map, exact: Map) -> MapError:
    """Compares two maps of the same queries and keys, tile by tile.

    >>> import torch
    >>> map_error(torch.full((1, 2, 2), 0.5), torch.eye(2)[None]).misplaced.tolist()
    [[[0.5, 0.5]]]
    """
    ours, theirs = as_map(approximate), as_map(exact)
    if ours.shape != theirs.shape or ours.rows != theirs.rows:
        raise WorkbenchError(
            f"both maps must have the same shape and queries, but {ours.shape} and {theirs.shape} came"
        )
    misplaced, largest = np.zeros((2, *ours.shape[:3]))
    for part, tile in row_tiles(ours):
        apart = (tile - theirs.probabilities(part).cpu().double()).abs()
        misplaced[:, :, part], largest[:, :, part] = apart.sum(-1) / 2, apart.amax(-1)
    difference = replace(
        ours,
        operator=f"{ours.operator} minus {theirs.operator}",
        compute=lambda part: ours.probabilities(part).double() - theirs.probabilities(part).double(),
        signed=True,
    )
    return MapError(misplaced, largest, difference)
