from .depthwise import depthwise_fft
from .stack import (
    ConvStack,
    DepthwiseBlock,
    conv_stack,
    depth_for_reach,
    depth_for_spread,
    profile,
    reach,
    spread,
)

__all__ = [
    "ConvStack",
    "DepthwiseBlock",
    "conv_stack",
    "depth_for_reach",
    "depth_for_spread",
    "depthwise_fft",
    "profile",
    "reach",
    "spread",
]
