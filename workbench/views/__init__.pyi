from .access_grids import accesses
from .caches import cache_map, miss_bars, reuse_histogram
from .charts import Series, Table, bars, cost_bars, growth, table
from .field_grid import field_grid
from .fields import effective_map, receptive_field
from .gap import Scored, efficiency_gap
from .painted import Painting, painted_field
from .pictures import picture, pixel_axes
from .rooflines import roofline
from .tables import AnnotatedSource, annotated_source, counters_table
from .theme import DIVERGING, OKABE_ITO, describe, ideal, line, mark
from .trade_offs import trade_off
from .waterlines import waterline
from .words import short, spoken
from .work import Work, traffic

__all__ = [
    "DIVERGING",
    "OKABE_ITO",
    "AnnotatedSource",
    "Painting",
    "Scored",
    "Series",
    "Table",
    "Work",
    "accesses",
    "annotated_source",
    "bars",
    "cache_map",
    "cost_bars",
    "counters_table",
    "describe",
    "effective_map",
    "efficiency_gap",
    "field_grid",
    "growth",
    "ideal",
    "line",
    "mark",
    "miss_bars",
    "painted_field",
    "picture",
    "pixel_axes",
    "receptive_field",
    "reuse_histogram",
    "roofline",
    "short",
    "spoken",
    "table",
    "trade_off",
    "traffic",
    "waterline",
]
