from .access_grids import accesses
from .attention_matrices import attention_matrix
from .attention_on_words import attention_words
from .attention_overviews import attention_overview
from .attention_rows import attention_row
from .caches import cache_map, miss_bars, reuse_histogram
from .cascade_graph import cascade_graph
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
from .head_plots import distance_entropy, similarity_matrices
from .ideal_gaps import ideal_gap
from .kernel_maps import kernel_maps
from .kernel_supports import supports
from .lineages import Descendant, lineage
from .neighborhoods import painted_neighborhood
from .paid_entries import paid_entries
from .painted import Painting, painted_field
from .painted_attention import painted_attention, still_painting
from .pair_lines import pair_line
from .pareto_atoms import pareto_atoms
from .patch_choices import patch_choices
from .pictures import picture, pixel_axes
from .poses import joints, painted_labels
from .predictions import predictions
from .product_cubes import product_cube
from .reached_tokens import painted_reach
from .rooflines import roofline
from .sample_clouds import sample_cloud
from .schedules import Slot, schedule
from .seen_tokens import seen_tokens
from .share_matrices import share_matrix
from .signed import signed_picture
from .space_time import space_time
from .tables import AnnotatedSource, annotated_source, counters_table
from .theme import DIVERGING, OKABE_ITO, describe, ideal, line, mark
from .tile_maps import tile_map
from .trade_offs import trade_off
from .verdict_matrices import verdict_matrix
from .waterlines import waterline
from .weight_ladders import weight_ladder
from .words import short, spoken
from .work import Work, traffic

__all__ = [
    "DIVERGING",
    "OKABE_ITO",
    "AnnotatedSource",
    "Descendant",
    "Painting",
    "Scored",
    "Series",
    "Slot",
    "Table",
    "Work",
    "accesses",
    "annotated_source",
    "attention_matrix",
    "attention_overview",
    "attention_row",
    "attention_words",
    "bars",
    "cache_map",
    "cascade_graph",
    "coefficient_ridges",
    "cost_bars",
    "counters_table",
    "describe",
    "distance_entropy",
    "effective_map",
    "efficiency_gap",
    "eigenfilters",
    "field_grid",
    "filter_course",
    "filter_depth",
    "gallery",
    "growth",
    "ideal",
    "ideal_gap",
    "joints",
    "kernel_maps",
    "line",
    "lineage",
    "mark",
    "miss_bars",
    "orientation_rose",
    "paid_entries",
    "painted_attention",
    "painted_field",
    "painted_labels",
    "painted_neighborhood",
    "painted_reach",
    "pair_line",
    "pareto_atoms",
    "patch_choices",
    "picture",
    "pixel_axes",
    "power_spectra",
    "predictions",
    "product_cube",
    "receptive_field",
    "reuse_histogram",
    "roofline",
    "sample_cloud",
    "schedule",
    "seen_tokens",
    "share_matrix",
    "shift_matrix",
    "short",
    "signed_picture",
    "similarity_matrices",
    "space_time",
    "spoken",
    "still_painting",
    "supports",
    "table",
    "tile_map",
    "trade_off",
    "traffic",
    "verdict_matrix",
    "waterline",
    "weight_ladder",
]
