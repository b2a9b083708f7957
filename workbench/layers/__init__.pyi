from .basic_block import BasicBlock
from .cascaded_group_attention import CascadedGroupAttention
from .causal_transformer import CausalTransformer
from .conv_first import ConvFirst
from .conv_norm import ConvNorm, NormLinear, folded
from .convnext_block import ConvNeXtBlock
from .depthwise import depthwise_fft
from .depthwise_conv import DepthwiseConv2d
from .dilated_depthwise import DilatedDepthwise
from .drop_path import DropPath
from .folding import fold_norm
from .haar import HAAR, Bands, Haar2d, haar2d, inverse_haar2d, squares
from .layer_norm import LayerNorm2d
from .layer_scale import LayerScale
from .low_rank_adapter import LowRankAdapter, adapted, merged
from .mb_conv import MBConv
from .mixture_of_experts import ExpertQueue, MixtureOfExperts, best_experts, expert_queues
from .mobile_net import MobileNetV3
from .neighborhood_attention import NeighborhoodAttention1d, NeighborhoodAttention2d, neighborhood
from .reparam import RepDepthwise, fold, place_dilated, refuse_training, with_weights
from .residual import Residual
from .response_norm import GlobalResponseNorm
from .sandwich import FeedForward2d, Sandwich
from .self_attention import SelfAttention2d
from .sentence_encoder import SentenceEncoder, word_pieces
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
from .windows import Windowed, from_windows, to_windows

__all__ = [
    "HAAR",
    "Bands",
    "BasicBlock",
    "CascadedGroupAttention",
    "CausalTransformer",
    "ConvFeedForward",
    "ConvFirst",
    "ConvNeXtBlock",
    "ConvNorm",
    "ConvStack",
    "DepthwiseBlock",
    "DepthwiseConv2d",
    "DilatedDepthwise",
    "DropPath",
    "ExpertQueue",
    "FeedForward2d",
    "GatedAttention",
    "GlobalResponseNorm",
    "Haar2d",
    "KernelGate",
    "LayerNorm2d",
    "LayerScale",
    "LowRankAdapter",
    "MBConv",
    "MixtureOfExperts",
    "MobileNetV3",
    "NeighborhoodAttention1d",
    "NeighborhoodAttention2d",
    "NormLinear",
    "RepDepthwise",
    "Residual",
    "Sandwich",
    "SelfAttention2d",
    "SentenceEncoder",
    "SeparableConv2d",
    "SqueezeExcite",
    "TinyNet",
    "VisualAttentionBlock",
    "WaveNet",
    "Windowed",
    "adapted",
    "best_experts",
    "conv_stack",
    "depth_for_reach",
    "depth_for_spread",
    "depthwise_fft",
    "depthwise_same",
    "expert_queues",
    "fold",
    "fold_norm",
    "folded",
    "from_windows",
    "gates",
    "haar2d",
    "inverse_haar2d",
    "merged",
    "neighborhood",
    "place_dilated",
    "pointwise",
    "profile",
    "reach",
    "refuse_training",
    "separated",
    "spread",
    "squares",
    "to_windows",
    "with_weights",
    "word_pieces",
]
