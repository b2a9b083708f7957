from .adding import add
from .arm_table import Arm, arms, memory
from .asking import Covariances, Table, Zoo
from .building import Outcome, build
from .goals import network
from .growing import Grown, grow, trained, untrained
from .nets import ZooNet
from .opening import everything, own, query, shipped
from .packing import pack
from .picture_sets import PICTURES, Pictures, pictures

__all__ = [
    "PICTURES",
    "Arm",
    "Covariances",
    "Grown",
    "Outcome",
    "Pictures",
    "Table",
    "Zoo",
    "ZooNet",
    "add",
    "arms",
    "build",
    "everything",
    "grow",
    "memory",
    "network",
    "own",
    "pack",
    "pictures",
    "query",
    "shipped",
    "trained",
    "untrained",
]
