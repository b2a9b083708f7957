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
from .receptive_field import Axis, ReceptiveField, receptive_field
from .rules import rule

__all__ = [
    "Axis",
    "Cost",
    "EffectiveField",
    "LayerCost",
    "Moments",
    "ReceptiveField",
    "across_sizes",
    "cost",
    "crossness",
    "effective_field",
    "field_of_layers",
    "image_batch",
    "mass_radius",
    "moments",
    "receptive_field",
    "rule",
    "untrained",
]
