"""What one word looks at: the sentence itself, each word shaded by its weight and with it in figures."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.colors import get_colorscale, sample_colorscale

from workbench.errors import WorkbenchError
from workbench.views.theme import DIVERGING, PURPLE, SMALLEST_TEXT, describe
from workbench.views.words import listed

LINE = 34  # letters of a line, so that it fits a telephone
MOST_WORDS = 200
DARKEST = 0.179  # luminance above which black letters stand out more than white ones: always 4.5 to 1
NAMED = 3  # words that the text alternative names first


def attention_words(
    words: Sequence[str],
    weights: ArrayLike,
    query: int | None = None,
    *,
    signed: bool = False,
    caption: str | None = None,
) -> go.Figure:
    """One row of an attention map on the words that its keys are.

    Each word has a box as bright as its weight (by the root, from 0 to 1, the same for every head), with the
    weight in per cent below it. The box of the query has a purple frame. signed: the numbers may lie below
    zero; boxes are then blue above and brown below, over the largest size, and the numbers stand as they are.

    words: up to 200. weights: [words].
    """
    values = np.asarray(weights, dtype=float)
    if not 1 <= len(words) <= MOST_WORDS or values.shape != (len(words),) or not np.isfinite(values).all():
        raise WorkbenchError(
            f"expected 1 to {MOST_WORDS} words with a finite weight each, "
            f"but {len(words)} words and shape {values.shape} came"
        )
    if query is not None and not 0 <= query < len(words):
        raise WorkbenchError(f"there are {len(words)} words, but the query {query} came")
    if not signed and (values.min() < 0 or values.max() > 1 + 1e-6):
        raise WorkbenchError("weights must lie in 0 to 1, or signed=True, but others came")
    places, lines = _laid_out(words)
    fills, inks = _shades(values, signed)
    numbers = [f"{value:+.2f}" if signed else f"{100 * value:.0f} %" for value in values]
    middle = [(left + right) / 2 for left, right, _ in places]
    down = [line for _, _, line in places]
    texts = [
        {
            "type": "scatter",
            "x": middle,
            "y": [line + below for line in down],
            "text": list(text),
            "mode": "text",
            "textfont": {"size": size, "color": inks},
            "hoverinfo": "skip",
            "cliponaxis": False,
        }
        for text, below, size in ((words, -0.14, 14), (numbers, 0.22, SMALLEST_TEXT))
    ]
    boxes = [
        {
            "type": "rect",
            "layer": "below",
            "fillcolor": fill,
            "line": {"color": PURPLE, "width": 4} if number == query else {"width": 0},
            "x0": left,
            "x1": right,
            "y0": line - 0.43,
            "y1": line + 0.43,
        }
        for number, ((left, right, line), fill) in enumerate(zip(places, fills, strict=True))
    ]
    fig = go.Figure(texts)
    fig.update_layout(
        shapes=boxes,
        height=30 + 50 * lines,
        showlegend=False,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        xaxis={"visible": False, "range": [-0.3, LINE + 0.3], "fixedrange": True},
        yaxis={"visible": False, "range": [lines - 0.5, -0.5], "fixedrange": True},
    )
    order = sorted(range(len(words)), key=lambda i: -abs(values[i]))
    said = listed([f"{words[i]} ({numbers[i]})" for i in order[:NAMED]])
    asks = f"{words[query]!r}" if query is not None else "the query"
    rest = listed([f"{words[i]} {numbers[i]}" for i in range(len(words))])
    return describe(
        fig,
        alt=f"The sentence with a weight for each word; {asks} is framed. In order: {rest}.",
        caption=caption
        or (f"Largest in size: {said}." if signed else f"{asks[:1].upper()}{asks[1:]} looks most at {said}."),
    )


def _laid_out(words: Sequence[str]) -> tuple[list[tuple[float, float, int]], int]:
    """Left and right end and line of each word's box, in letters; and how many lines there are."""
    places: list[tuple[float, float, int]] = []
    left, line = 0.0, 0
    for word in words:
        wide = min(max(len(word) + 1.5, 5.0), LINE)
        if left and left + wide > LINE:
            left, line = 0.0, line + 1
        places.append((left, left + wide, line))
        left += wide + 0.3
    return places, line + 1


def _shades(values: NDArray[np.float64], signed: bool) -> tuple[list[str], list[str]]:
    """The colour of each box, and of the letters on it."""
    scale = DIVERGING if signed else get_colorscale("Cividis")
    strength = np.sign(values) * np.sqrt(np.abs(values) / (np.abs(values).max() or 1))
    shares = (1 + strength) / 2 if signed else np.sqrt(np.clip(values, 0, 1))
    rgb = np.array(sample_colorscale(scale, shares.tolist(), colortype="tuple"))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    fills = ["#" + bytes(np.rint(255 * one).astype(np.uint8)).hex().upper() for one in rgb]
    return fills, ["#000000" if one > DARKEST else "#FFFFFF" for one in luminance]
