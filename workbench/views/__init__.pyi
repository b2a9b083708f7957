from .access_grids import accesses
from .caches import cache_map, miss_bars, reuse_histogram
from .charts import Series, Table, bars, cost_bars, growth, table
from .field_grid import field_grid
from .fields import effective_map, receptive_field
from .filters import (
    coefficient_ridges,
    eigenfilters,
    filter_course,
    filter_depth,
    orientation_rose,
    power_spectra,
    shift_matrix,
)
from .galleries import gallery
from .gap import Scored, efficiency_gap
from .kernel_maps import kernel_maps
from .kernel_supports import supports
from .painted import Painting, painted_field
from .pareto_atoms import pareto_atoms
from .pictures import picture, pixel_axes
from .poses import joints, painted_labels
from .product_cubes import product_cube
from .rooflines import roofline
from .signed import signed_picture
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
    "coefficient_ridges",
    "cost_bars",
    "counters_table",
    "describe",
    "effective_map",
    "efficiency_gap",
    "eigenfilters",
    "field_grid",
    "filter_course",
    "filter_depth",
    "gallery",
    "growth",
    "ideal",
    "joints",
    "kernel_maps",
    "line",
    "mark",
    "miss_bars",
    "orientation_rose",
    "painted_field",
    "painted_labels",
    "pareto_atoms",
    "picture",
    "pixel_axes",
    "power_spectra",
    "product_cube",
    "receptive_field",
    "reuse_histogram",
    "roofline",
    "shift_matrix",
    "short",
    "signed_picture",
    "spoken",
    "supports",
    "table",
    "trade_off",
    "traffic",
    "waterline",
]
