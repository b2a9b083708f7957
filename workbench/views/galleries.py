"""Several small pictures with a title each."""

from collections.abc import Mapping
from math import ceil

import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.views.pictures import checked_image, picture, pixel_axes
from workbench.views.theme import describe
from workbench.views.words import listed

MOST = 16


def gallery(images: Mapping[str, ArrayLike], *, columns: int = 4, caption: str) -> go.Figure:
    """Pictures in rows, each under its title, without interpolation.

    images: up to sixteen, by title, [height, width] or [height, width, 3] with values in [0, 1]. A title may
    hold a line break, `<br>`.
    """
    if not 1 <= len(images) <= MOST:
        raise WorkbenchError(f"expected 1 to {MOST} pictures, but {len(images)} came")
    columns = min(columns, len(images))
    rows = ceil(len(images) / columns)
    fig = make_subplots(
        rows, columns, subplot_titles=list(images), vertical_spacing=0.25 / rows, horizontal_spacing=0.03
    )
    for number, image in enumerate(images.values()):
        at = {"row": number // columns + 1, "col": number % columns + 1}
        pixels = checked_image(image)
        fig.add_trace(picture(pixels), **at)
        axes = pixel_axes(*pixels.shape[:2])
        anchor = "x" if number == 0 else f"x{number + 1}"
        fig.update_xaxes({**axes["xaxis"], "visible": False}, **at)
        fig.update_yaxes({**axes["yaxis"], "visible": False, "scaleanchor": anchor}, **at)
    fig.update_layout(height=60 + 190 * rows, margin={"l": 10, "r": 10, "b": 20})
    fig.update_annotations(font={"size": 13})
    titles = [title.replace("<br>", " ") for title in images]
    return describe(fig, alt=f"{len(images)} small pictures: {listed(titles)}.", caption=caption)
