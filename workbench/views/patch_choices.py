"""What was chosen for each patch of a picture: the picture, and beside it grids of numbers."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.views.pictures import picture
from workbench.views.theme import GREEN, ORANGE, PURPLE, SKY, VERMILION, YELLOW, describe

MOST = 3
INKS = (SKY, ORANGE, GREEN, YELLOW, PURPLE, VERMILION)  # black is read on each
REST = "#E0E0E0"


def patch_choices(
    image: ArrayLike, choices: Mapping[str, ArrayLike], *, what: str = "expert", caption: str
) -> go.Figure:
    """The image [height, width] with values in [0, 1] and, by name, up to three grids [rows, columns].

    A grid holds one whole number from 0 for each patch, which is written into it. The six numbers that come
    most often have a colour each, the same in all grids; the others are grey. what: the thing that is chosen.
    """
    grids = {name: np.asarray(grid) for name, grid in choices.items()}
    whole = all(g.ndim == 2 and g.size and np.issubdtype(g.dtype, np.integer) for g in grids.values())
    if not 1 <= len(grids) <= MOST or not whole or min(g.min() for g in grids.values()) < 0:
        raise WorkbenchError(
            f"expected 1 to {MOST} grids [rows, columns] of whole numbers from 0, but "
            f"{', '.join(f'{g.dtype} {g.shape}' for g in grids.values()) or 'none'} came"
        )
    fig = make_subplots(1, 1 + len(grids), subplot_titles=["the picture", *grids], horizontal_spacing=0.03)
    fig.add_trace(picture(image), row=1, col=1)
    inks = (*INKS, REST)
    scale = [[(i + end) / len(inks), ink] for i, ink in enumerate(inks) for end in (0, 1)]
    numbers, times = np.unique(np.concatenate([g.ravel() for g in grids.values()]), return_counts=True)
    often = numbers[np.argsort(-times, kind="stable")][: len(INKS)].tolist()
    ink = np.vectorize(lambda number: often.index(number) if number in often else len(INKS), otypes=[int])
    for col, grid in enumerate(grids.values(), start=2):
        fig.add_heatmap(
            z=ink(grid),
            text=grid.astype(str),
            texttemplate="%{text}",
            textfont={"size": 13, "color": "black"},
            colorscale=scale,
            zmin=-0.5,
            zmax=len(inks) - 0.5,
            showscale=False,
            hoverinfo="skip",
            xgap=2,
            ygap=2,
            row=1,
            col=col,
        )
    fig.update_xaxes(visible=False, constrain="domain")
    for col in range(1, 2 + len(grids)):
        anchor = "x" if col == 1 else f"x{col}"
        fig.update_yaxes(
            visible=False,
            autorange="reversed",
            scaleanchor=anchor,
            constrain="domain",
            constraintoward="top",
            row=1,
            col=col,
        )
    fig.update_layout(height=260, margin={"t": 40, "l": 10, "r": 10, "b": 10})
    told = [
        f"{name}: {'; '.join(' '.join(map(str, row)) for row in grid.tolist())}"
        for name, grid in grids.items()
    ]
    return describe(
        fig,
        alt=f"A picture, and the {what} of each of its patches, row by row. {'. '.join(told)}.",
        caption=caption,
    )
