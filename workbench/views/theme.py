"""One look for every figure: templates light and dark, colours by role, marks by provenance.

Importing this registers the plotly templates `workbench` and `workbench_dark` and makes the first one
the default. Pages swap the template for the other one, so a view sets no colour that would vanish on
either ground: whatever must be black on white and white on black (an ideal, a limit) is drawn as a shape
without a colour of its own, which takes the ink of the template.
"""

from typing import Any, Literal, TypeVar

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
from numpy.typing import ArrayLike

from workbench.errors import WorkbenchError
from workbench.quantity import PROVENANCES

Role = Literal["baseline", "system", "control"]
F = TypeVar("F", bound=go.Figure)

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#999999")
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, GREY = OKABE_ITO
ROLES: dict[str, dict[str, Any]] = {
    "baseline": {"color": "#808080", "dash": "solid"},
    "system": {"color": BLUE, "dash": "solid"},
    "control": {"color": VERMILION, "dash": "dash"},
}
SYMBOLS = {"formula": "circle-open", "counted": "circle", "simulated": "diamond", "measured": "square"}
SIGNS = {"formula": "○", "counted": "●", "simulated": "◆", "measured": "■"}
DIVERGING = [  # vermilion to blue, equally far from the middle at equal distance from zero
    [0.0, "#8A3D00"],
    [0.25, "#E08A4F"],
    [0.5, "#F2F2F2"],
    [0.75, "#5BA3CF"],
    [1.0, "#004B75"],
]
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
SMALLEST_TEXT = 12


def _template(ink: str, paper: str, faint: str) -> go.layout.Template:
    axis = {
        "showgrid": True,
        "gridcolor": faint,
        "zeroline": False,
        "linecolor": ink,
        "ticks": "outside",
        "tickcolor": ink,
        "title": {"font": {"size": 14}, "standoff": 8},
        "tickfont": {"size": SMALLEST_TEXT},
        "automargin": True,
    }
    bar = {"outlinewidth": 0, "ticks": "outside", "tickfont": {"size": SMALLEST_TEXT}}
    scaled = {"colorbar": bar}
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": ink},
            "title": {"font": {"size": 16}, "x": 0, "xref": "paper"},
            "paper_bgcolor": paper,
            "plot_bgcolor": paper,
            "colorway": list(OKABE_ITO),
            "colorscale": {"sequential": "Cividis", "sequentialminus": "Cividis", "diverging": DIVERGING},
            "coloraxis": {"colorbar": bar},
            "xaxis": axis,
            "yaxis": axis,
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "title": {"text": ""}},
            "margin": {"l": 60, "r": 20, "t": 50, "b": 55},
            "hoverlabel": {"font": {"size": SMALLEST_TEXT}},
            "annotationdefaults": {"font": {"size": 13}, "showarrow": False},
            "shapedefaults": {"line": {"color": ink, "width": 1.5}},
        },
        data={
            "heatmap": [{"colorscale": "Cividis", **scaled}],
            "contour": [{"colorscale": "Cividis", **scaled}],
            "scatter": [{"marker": {"size": 9}, "line": {"width": 2}}],
        },
    )


def register() -> None:
    """Makes the templates known to plotly, and the light one the default."""
    pio.templates["workbench"] = _template(ink="#1A1A1A", paper="#FFFFFF", faint="#E3E3E3")
    pio.templates["workbench_dark"] = _template(ink="#F2F2F2", paper="#14181E", faint="#333B45")
    pio.templates.default = "workbench"


register()


def describe(fig: F, *, alt: str, caption: str) -> F:
    """Gives the figure its text alternative, its one-line caption and the house's look, and returns it.

    alt: what the figure shows, with its numbers, for somebody who cannot see it. caption: what to notice.
    """
    for name, text in (("alt", alt), ("caption", caption)):
        if not isinstance(text, str) or not text.strip():
            raise WorkbenchError(f"a figure needs a non-empty {name}, but {text!r} came")
    if "\n" in caption:
        raise WorkbenchError("a caption is one line, but several came")
    fig.update_layout(meta={"alt": " ".join(alt.split()), "caption": caption.strip()})
    if fig.layout.template not in (pio.templates["workbench"], pio.templates["workbench_dark"]):
        fig.update_layout(template="workbench")
    return fig


def line(role: Role) -> dict[str, Any]:
    """Line style of a role: baseline grey, system blue, control dashed vermilion."""
    if role not in ROLES:
        raise WorkbenchError(f"role must be one of {', '.join(ROLES)}, but {role!r} came")
    return dict(ROLES[role])


def mark(provenance: str, color: str | None = None, size: int = 9) -> dict[str, Any]:
    """Marker style of a provenance: open circle, filled circle, diamond, square."""
    if provenance not in SYMBOLS:
        raise WorkbenchError(f"provenance must be one of {', '.join(PROVENANCES)}, but {provenance!r} came")
    style: dict[str, Any] = {"symbol": SYMBOLS[provenance], "size": size}
    if color:
        style |= {"color": color, "line": {"color": color, "width": 2}}
    return style


def ideal(x: ArrayLike, y: ArrayLike, name: str, *, xref: str = "x", yref: str = "y") -> dict[str, Any]:
    """A thin curve in the ink of the page through the points (x, y), as a shape for `add_shape`.

    Of more than two points, `add_ideal` gives it a better legend.
    """
    xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if xs.shape != ys.shape or xs.ndim != 1 or len(xs) < 2:
        raise WorkbenchError(
            f"an ideal curve needs as many x as y and at least two, but {xs.shape} and {ys.shape} came"
        )
    common = {"xref": xref, "yref": yref, "name": name, "showlegend": True}
    if len(xs) == 2:
        return {"type": "line", "x0": xs[0], "y0": ys[0], "x1": xs[1], "y1": ys[1], **common}
    path = "M" + "L".join(f"{a:.6g},{b:.6g}" for a, b in zip(xs, ys, strict=True))
    return {"type": "path", "path": path, **common}


def add_ideal(fig: go.Figure, x: ArrayLike, y: ArrayLike, name: str) -> None:
    """Adds an `ideal` whose legend shows a line: for a bent shape alone plotly draws a hexagon."""
    shape = ideal(x, y, name)
    if shape["type"] == "line":
        fig.add_shape(**shape)
        return
    fig.add_shape(**shape | {"showlegend": False, "legendgroup": name})
    a, b = (float(np.asarray(values)[0]) for values in (x, y))
    fig.add_shape(type="line", x0=a, y0=b, x1=a, y1=b, name=name, legendgroup=name, showlegend=True)
