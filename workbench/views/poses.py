"""Where joints are, and where a network put them, over small pictures."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.views.pictures import checked_image, picture, pixel_axes
from workbench.views.theme import GREEN, ORANGE, SKY, VERMILION, describe
from workbench.views.words import listed

SYMBOLS = ("circle", "square", "triangle-up", "triangle-up", "diamond", "diamond", "cross", "star")
COLUMNS = 4


def joints(
    pictures: Mapping[str, ArrayLike],
    truth: Mapping[str, ArrayLike],
    found: Mapping[str, ArrayLike] | None = None,
    *,
    names: Sequence[str],
    near: float = 3.0,
    caption: str,
) -> go.Figure:
    """Pictures side by side, a mark at every joint; where one was not found a dashed line to the truth.

    pictures: by title, [height, width] with values in [0, 1]. truth, found: by the same titles, places
    (row, column) in pixels, [joints, 2]; without `found` the marks are the truth. names: of the joints; what
    begins with "left" is blue, with "right" orange, anything else green, and each kind has its own sign.
    near: as many pixels away still counts as found.
    """
    if not pictures or set(pictures) != set(truth) or (found is not None and set(found) != set(pictures)):
        raise WorkbenchError(
            f"pictures, truth and found need the same titles, but {list(pictures)}, {list(truth)} and "
            f"{list(found or ())} came"
        )
    columns = min(COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    fig = make_subplots(rows, columns, subplot_titles=list(pictures), horizontal_spacing=0.03)
    said = []
    for number, (title, image) in enumerate(pictures.items()):
        at = {"row": number // columns + 1, "col": number % columns + 1}
        pixels, right = checked_image(image), np.asarray(truth[title], dtype=float)
        put = right if found is None else np.asarray(found[title], dtype=float)
        if right.shape != (len(names), 2) or put.shape != right.shape:
            raise WorkbenchError(
                f"{title!r} needs places [{len(names)} joints, 2], but {right.shape} and {put.shape} came"
            )
        fig.add_trace(picture(pixels), **at)
        missed = np.flatnonzero(~(np.linalg.norm(put - right, axis=1) <= near)).tolist()
        for joint in missed:
            fig.add_scatter(
                x=[put[joint, 1], right[joint, 1]],
                y=[put[joint, 0], right[joint, 0]],
                mode="lines",
                line={"color": VERMILION, "dash": "dash", "width": 2},
                showlegend=False,
                hoverinfo="skip",
                **at,
            )
        for joint, name in enumerate(names):
            fig.add_scatter(
                x=[put[joint, 1]],
                y=[put[joint, 0]],
                name=name,
                mode="markers",
                marker={
                    "symbol": SYMBOLS[joint % len(SYMBOLS)],
                    "color": _colour(name),
                    "size": 11,
                    "line": {"color": "#FFFFFF", "width": 1.5},
                },
                legendgroup=name,
                showlegend=number == 0,
                hovertemplate=f"{name}: row %{{y:.1f}}, column %{{x:.1f}}<extra></extra>",
                **at,
            )
        axes, anchor = pixel_axes(*pixels.shape[:2]), "x" if number == 0 else f"x{number + 1}"
        fig.update_xaxes({**axes["xaxis"], "visible": False}, **at)
        fig.update_yaxes({**axes["yaxis"], "visible": False, "scaleanchor": anchor}, **at)
        wrong = f"{listed([names[joint] for joint in missed])} missed" if missed else "all found"
        said.append(f"{title}: {wrong}")
    fig.update_layout(height=120 + 230 * rows, margin={"l": 10, "r": 10, "b": 20, "t": 90})
    fig.update_layout(legend={"y": 1.16 if rows == 1 else 1.09})
    fig.update_annotations(font={"size": 13})
    told = "" if found is None else " " + "; ".join(said) + "."
    many = "1 picture" if len(pictures) == 1 else f"{len(pictures)} pictures"
    return describe(fig, alt=f"{many} with {listed(list(names))}.{told}", caption=caption)


def _colour(name: str) -> str:
    return SKY if name.startswith("left") else ORANGE if name.startswith("right") else GREEN


def painted_labels(labels: ArrayLike, image: ArrayLike | None = None) -> np.ndarray:
    """Whole numbers a pixel as colours, [height, width] -> [height, width, 3], for a `gallery`.

    0 keeps the picture, or is dark grey without one; 1 is sky blue, 2 orange, 3 green, 4 vermilion.
    """
    from plotly.colors import hex_to_rgb

    numbers = np.asarray(labels)
    if numbers.ndim != 2 or numbers.dtype.kind not in "iu" or not 0 <= numbers.min() <= numbers.max() <= 4:
        raise WorkbenchError(
            f"labels must be whole numbers from 0 to 4 [height, width], but {numbers.dtype} "
            f"{numbers.shape} came"
        )
    below = np.full(numbers.shape, 0.25) if image is None else checked_image(image)
    painted = np.stack([below] * 3, -1) if below.ndim == 2 else below.copy()
    for number, colour in enumerate((SKY, ORANGE, GREEN, VERMILION), start=1):
        painted[numbers == number] = np.array(hex_to_rgb(colour)) / 255
    return painted
