from .ceiling import Ceiling, Ceilings, ceilings
from .elsewhere import Preset, preset, presets
from .health import Finding, doctor
from .here import Cache, Machine, machine_name
from .nvidia import Gpu, elapsed, gpus
from .perf import CounterReading, counters, hardware_counters, measure
from .rapl import EnergyReading, energy
from .timing import Interleaved, Paired, Timed, clock_step, interleaved, paired, timed

__all__ = [
    "Cache",
    "Ceiling",
    "Ceilings",
    "CounterReading",
    "EnergyReading",
    "Finding",
    "Gpu",
    "Interleaved",
    "Machine",
    "Paired",
    "Preset",
    "Timed",
    "ceilings",
    "clock_step",
    "counters",
    "doctor",
    "elapsed",
    "energy",
    "gpus",
    "hardware_counters",
    "interleaved",
    "machine_name",
    "measure",
    "paired",
    "preset",
    "presets",
    "timed",
]
