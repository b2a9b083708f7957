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
from .filter_components import Components, components
from .filter_measures import (
    FilterQuality,
    filter_quality,
    init_projection,
    orthogonality,
    sparse,
    sparsity,
    variance_entropy,
)
from .filter_null import EntropyNull, entropy_null, entropy_threshold
from .filter_sets import FilterLayer, FilterSet, filters, scaled
from .filter_shift import Shift, Shifts, debiased_shift, shift, shift_bias, shifts
from .filter_spectra import (
    Orientations,
    Phases,
    Spectrum,
    orientations,
    phases,
    random_orientations,
    rose,
    spectrum,
)
from .filter_watching import FilterRow, FilterWatch, watch_filters
from .maps import Moments, crossness, mass_radius, moments
from .probing import Part, Probe, probe
from .receptive_field import Axis, ReceptiveField, receptive_field
from .rules import all_before, rule
from .watching import Row, Watch, statistics, watch

__all__ = [
    "AttentionMap",
    "Axis",
    "Components",
    "Cost",
    "EffectiveField",
    "EntropyNull",
    "FilterLayer",
    "FilterQuality",
    "FilterRow",
    "FilterSet",
    "FilterWatch",
    "LayerCost",
    "Moments",
    "Orientations",
    "Part",
    "Phases",
    "Probe",
    "ReceptiveField",
    "Row",
    "Shift",
    "Shifts",
    "Spectrum",
    "Watch",
    "across_sizes",
    "all_before",
    "attending",
    "attention",
    "components",
    "cost",
    "crossness",
    "debiased_shift",
    "effective_field",
    "entropy_null",
    "entropy_threshold",
    "field_of_layers",
    "filter_quality",
    "filters",
    "image_batch",
    "init_projection",
    "mass_radius",
    "moments",
    "orientations",
    "orthogonality",
    "phases",
    "probe",
    "random_orientations",
    "receptive_field",
    "rose",
    "rule",
    "scaled",
    "shift",
    "shift_bias",
    "shifts",
    "sparse",
    "sparsity",
    "spectrum",
    "statistics",
    "untrained",
    "variance_entropy",
    "watch",
    "watch_filters",
]
