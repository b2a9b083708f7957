from .counters import hardware_counters
from .health import Finding, doctor
from .here import Cache, Machine, machine_name
from .timing import Paired, Timed, clock_step, paired, timed

__all__ = [
    "Cache",
    "Finding",
    "Machine",
    "Paired",
    "Timed",
    "clock_step",
    "doctor",
    "hardware_counters",
    "machine_name",
    "paired",
    "timed",
]
