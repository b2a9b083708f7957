from .attention_cascades import CASCADES
from .attention_choice import AttentionTask, Trial, attention_paces, memory_of, one_thread
from .attention_errors import MapError, map_error
from .attention_kinds import kernel_attention, softmax_attention, sparse_attention
from .attention_ledger import LedgerEntry, attention_ledger, ledger_times
from .attention_measures import MapMeasures, map_measures
from .attention_parts import attention_rule
from .attention_places import (
    merging,
    neighborhood_keys,
    neighbors_to_field,
    window_places,
    windows_to_field,
)
from .attention_rollout import rollout
from .attention_tiles import MapOverview, map_overview
from .attentions import AttentionMap, attending, attention
from .cascade_footprint import Footprint, footprint
from .cascade_interpreting import interpret
from .cascade_passes import Passes, passes
from .cascades import Cascade, Einsum
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
from .head_similarity import HeadSimilarity, head_similarity
from .implicit_attention import implicit_attention
from .importance import importance
from .maps import Moments, crossness, mass_radius, moments
from .mixer_cascades import MIXER_CASCADES
from .mixer_rules import MIXER_RULES
from .probing import Part, Probe, probe
from .receptive_field import Axis, ReceptiveField, receptive_field
from .rules import all_before, rule
from .watching import Row, Watch, statistics, watch

__all__ = [
    "CASCADES",
    "MIXER_CASCADES",
    "MIXER_RULES",
    "AttentionMap",
    "AttentionTask",
    "Axis",
    "Cascade",
    "Components",
    "Cost",
    "EffectiveField",
    "Einsum",
    "EntropyNull",
    "FilterLayer",
    "FilterQuality",
    "FilterRow",
    "FilterSet",
    "FilterWatch",
    "Footprint",
    "HeadSimilarity",
    "LayerCost",
    "LedgerEntry",
    "MapError",
    "MapMeasures",
    "MapOverview",
    "Moments",
    "Orientations",
    "Part",
    "Passes",
    "Phases",
    "Probe",
    "ReceptiveField",
    "Row",
    "Shift",
    "Shifts",
    "Spectrum",
    "Trial",
    "Watch",
    "across_sizes",
    "all_before",
    "attending",
    "attention",
    "attention_ledger",
    "attention_paces",
    "attention_rule",
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
    "footprint",
    "head_similarity",
    "image_batch",
    "implicit_attention",
    "importance",
    "init_projection",
    "interpret",
    "kernel_attention",
    "ledger_times",
    "map_error",
    "map_measures",
    "map_overview",
    "mass_radius",
    "memory_of",
    "merging",
    "moments",
    "neighborhood_keys",
    "neighbors_to_field",
    "one_thread",
    "orientations",
    "orthogonality",
    "passes",
    "phases",
    "probe",
    "random_orientations",
    "receptive_field",
    "rollout",
    "rose",
    "rule",
    "scaled",
    "shift",
    "shift_bias",
    "shifts",
    "softmax_attention",
    "sparse",
    "sparse_attention",
    "sparsity",
    "spectrum",
    "statistics",
    "untrained",
    "variance_entropy",
    "watch",
    "watch_filters",
    "window_places",
    "windows_to_field",
]
