from .charts import Series, Table, cost_bars, growth, table
from .fields import effective_map, receptive_field
from .painted import Painting, painted_field
from .pictures import picture, pixel_axes
from .theme import DIVERGING, OKABE_ITO, describe, ideal, line, mark
from .words import short, spoken

__all__ = [
    "DIVERGING",
    "OKABE_ITO",
    "Painting",
    "Series",
    "Table",
    "cost_bars",
    "describe",
    "effective_map",
    "growth",
    "ideal",
    "line",
    "mark",
    "painted_field",
    "picture",
    "pixel_axes",
    "receptive_field",
    "short",
    "spoken",
    "table",
]
