from .basic_block import BasicBlock
from .convnext_block import ConvNeXtBlock
from .depthwise import depthwise_fft
from .depthwise_conv import DepthwiseConv2d
from .dilated_depthwise import DilatedDepthwise
from .drop_path import DropPath
from .folding import fold_norm
from .haar import HAAR, Bands, Haar2d, haar2d, inverse_haar2d, squares
from .layer_norm import LayerNorm2d
from .layer_scale import LayerScale
from .reparam import RepDepthwise, fold, place_dilated, refuse_training, with_weights
from .response_norm import GlobalResponseNorm
from .self_attention import SelfAttention2d
from .separable_conv import SeparableConv2d, separated
from .squeeze_excite import SqueezeExcite
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
from .tiny_net import TinyNet
from .visual_attention import (
    ConvFeedForward,
    GatedAttention,
    KernelGate,
    VisualAttentionBlock,
    depthwise_same,
    gates,
    pointwise,
)
from .wave_net import WaveNet

__all__ = [
    "HAAR",
    "Bands",
    "BasicBlock",
    "ConvFeedForward",
    "ConvNeXtBlock",
    "ConvStack",
    "DepthwiseBlock",
    "DepthwiseConv2d",
    "DilatedDepthwise",
    "DropPath",
    "GatedAttention",
    "GlobalResponseNorm",
    "Haar2d",
    "KernelGate",
    "LayerNorm2d",
    "LayerScale",
    "RepDepthwise",
    "SelfAttention2d",
    "SeparableConv2d",
    "SqueezeExcite",
    "TinyNet",
    "VisualAttentionBlock",
    "WaveNet",
    "conv_stack",
    "depth_for_reach",
    "depth_for_spread",
    "depthwise_fft",
    "depthwise_same",
    "fold",
    "fold_norm",
    "gates",
    "haar2d",
    "inverse_haar2d",
    "place_dilated",
    "pointwise",
    "profile",
    "reach",
    "refuse_training",
    "separated",
    "spread",
    "squares",
    "with_weights",
]
