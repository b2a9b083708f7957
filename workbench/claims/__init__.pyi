from .display import VerdictTable, verdict
from .find import load_system, present, system_file
from .ledger import Ledger
from .measure import Outcome, measure_all, run_claim
from .model import Claim, Measured, Needs, System
from .record import Record, commit, records, rows, standing
from .stats import Interval, interval
from .verdicts import AtLeast, AtMost, Bar, ControlPassed, Within, decide

__all__ = [
    "AtLeast",
    "AtMost",
    "Bar",
    "Claim",
    "ControlPassed",
    "Interval",
    "Ledger",
    "Measured",
    "Needs",
    "Outcome",
    "Record",
    "System",
    "VerdictTable",
    "Within",
    "commit",
    "decide",
    "interval",
    "load_system",
    "measure_all",
    "present",
    "records",
    "rows",
    "run_claim",
    "standing",
    "system_file",
    "verdict",
]
