"""Data in, plotly figure out. Importing this makes the house's template plotly's default."""

from workbench.views.charts import Series, Table, cost_bars, growth, table
from workbench.views.fields import effective_map, receptive_field
from workbench.views.pictures import picture, pixel_axes
from workbench.views.theme import DIVERGING, OKABE_ITO, describe, ideal, line, mark
from workbench.views.words import short, spoken

__all__ = [
    "DIVERGING",
    "OKABE_ITO",
    "Series",
    "Table",
    "cost_bars",
    "describe",
    "effective_map",
    "growth",
    "ideal",
    "line",
    "mark",
    "picture",
    "pixel_axes",
    "receptive_field",
    "short",
    "spoken",
    "table",
]
