"""Which tokens one token sees, on the map of regions that they belong to."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from workbench.errors import WorkbenchError
from workbench.views.galleries import gallery
from workbench.views.theme import OKABE_ITO

PALE = 0.85  # how far towards white a token goes that is out of sight


def seen_tokens(
    seen: Mapping[str, ArrayLike],
    labels: ArrayLike,
    token: int,
    *,
    columns: int = 3,
    caption: str | None = None,
) -> go.Figure:
    """One small map for each name: regions in colours, what is out of sight pale, the token that looks black.

    seen: by name, bool [tokens], tokens row by row: a row of a visible set. labels: int [height, width], up
    to six regions. Each title says how many tokens of the looking token's region are in sight.
    """
    regions = np.asarray(labels)
    if regions.ndim != 2 or not 0 <= regions.min() <= regions.max() < 6:
        raise WorkbenchError(f"labels must be [height, width] from 0 to 5, but shape {regions.shape} came")
    if not 0 <= token < regions.size:
        raise WorkbenchError(f"the token must be one of 0 to {regions.size - 1}, but {token} came")
    inks = np.array([[int(hue[i : i + 2], 16) for i in (1, 3, 5)] for hue in OKABE_ITO[:6]]) / 255
    row, column = divmod(token, regions.shape[1])
    maps = {}
    for name, row_of_set in seen.items():
        sees = np.asarray(row_of_set, bool)
        if sees.shape != (regions.size,):
            raise WorkbenchError(f"{name!r} must see among {regions.size} tokens, but {sees.shape} came")
        sees = sees.reshape(regions.shape)
        paint = np.where(sees[..., None], inks[regions], 1 - (1 - PALE) * (1 - inks[regions]))
        paint[row, column] = 0
        same = int((sees & (regions == regions[row, column])).sum())
        maps[f"{name}<br>{same} of {int(sees.sum())}"] = paint
    return gallery(
        maps,
        columns=columns,
        caption=caption or "How many of the tokens in sight are of the black token's region.",
    )
