from .disassembly import listing
from .encode import Function
from .engines import Memory, has_node, in_node, script
from .page import Panel, machine_card, tuner
from .probes import computing, computing_flops, copying
from .products import Passes, Product, pack, packed_size, product
from .rows import gelu, layer_norm, packing, softmax
from .shaders import Group, wgsl
from .tiles import REGISTERS, Tile, lite_space, wide_space

__all__ = [
    "REGISTERS",
    "Function",
    "Group",
    "Memory",
    "Panel",
    "Passes",
    "Product",
    "Tile",
    "computing",
    "computing_flops",
    "copying",
    "gelu",
    "has_node",
    "in_node",
    "layer_norm",
    "listing",
    "lite_space",
    "machine_card",
    "pack",
    "packed_size",
    "packing",
    "product",
    "script",
    "softmax",
    "tuner",
    "wgsl",
    "wide_space",
]
