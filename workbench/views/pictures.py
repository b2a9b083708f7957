"""Pictures inside figures: pixels stay pixels, and a photograph costs what its PNG costs."""

import base64
from io import BytesIO
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.colors import get_colorscale, sample_colorscale

from workbench.errors import WorkbenchError


def checked_image(image: ArrayLike) -> NDArray[np.float64]:
    """An image [height, width] or [height, width, 3] with values in [0, 1]."""
    pixels = np.asarray(image, dtype=float)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3) or pixels.size == 0:
        raise WorkbenchError(
            f"an image must be [height, width] or [height, width, 3], but shape {pixels.shape} came"
        )
    if not np.isfinite(pixels).all() or pixels.min() < -1e-6 or pixels.max() > 1 + 1e-6:
        raise WorkbenchError("an image must have values from 0 to 1, but others came")
    return np.clip(pixels, 0, 1)


def png(pixels: NDArray[np.float64]) -> str:
    """Values in [0, 1], grey, RGB or RGBA, as a PNG in a data address."""
    from PIL import Image

    stored = BytesIO()
    Image.fromarray(np.round(pixels * 255).astype(np.uint8)).save(stored, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stored.getvalue()).decode()


def picture(image: ArrayLike, **options: Any) -> go.Image:
    """The image as a trace in pixel coordinates; it is drawn without interpolation."""
    return go.Image(source=png(checked_image(image)), hoverinfo="x+y", zsmooth=False, **options)


def glow(map: NDArray[np.float64]) -> go.Image:
    """A map of magnitudes to lay over an image: cividis, transparent where nothing is."""
    share = np.sqrt(map / map.max())  # a root, so that the faint parts are seen too
    colours = sample_colorscale(get_colorscale("Cividis"), np.linspace(0, 1, 256), colortype="tuple")
    rgb = np.array(colours)[np.round(share * 255).astype(int)]
    return go.Image(
        source=png(np.concatenate([rgb, 0.9 * share[..., None]], axis=2)), hoverinfo="skip", zsmooth=False
    )


def pixel_axes(height: int, width: int) -> dict[str, Any]:
    """Layout of the axes of one picture: row 0 on top, square pixels, nothing around it."""
    common = {"showgrid": False, "constrain": "domain"}
    return {
        "xaxis": {"range": [-0.5, width - 0.5], "title": {"text": "column (pixels)"}, **common},
        "yaxis": {
            "range": [height - 0.5, -0.5],
            "title": {"text": "row (pixels)"},
            "scaleanchor": "x",
            **common,
        },
    }
