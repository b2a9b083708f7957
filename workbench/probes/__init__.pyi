from .attentions import AttentionMap, attending, attention
from .cost import Cost, LayerCost, cost
from .effective_field import (
    EffectiveField,
    across_sizes,
    effective_field,
    field_of_layers,
    image_batch,
    untrained,
)
from .maps import Moments, crossness, mass_radius, moments
from .probing import Part, Probe, probe
from .receptive_field import Axis, ReceptiveField, receptive_field
from .rules import all_before, rule
from .watching import Row, Watch, statistics, watch

__all__ = [
    "AttentionMap",
    "Axis",
    "Cost",
    "EffectiveField",
    "LayerCost",
    "Moments",
    "Part",
    "Probe",
    "ReceptiveField",
    "Row",
    "Watch",
    "across_sizes",
    "all_before",
    "attending",
    "attention",
    "cost",
    "crossness",
    "effective_field",
    "field_of_layers",
    "image_batch",
    "mass_radius",
    "moments",
    "probe",
    "receptive_field",
    "rule",
    "statistics",
    "untrained",
    "watch",
]
