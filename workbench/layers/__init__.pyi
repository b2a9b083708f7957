from .basic_block import BasicBlock
from .binary_attention import BinaryAttention2d
from .cascaded_group_attention import CascadedGroupAttention
from .causal_transformer import CausalTransformer
from .context_sharing import ContextSharing
from .conv_first import ConvFirst
from .conv_norm import ConvNorm, NormLinear, folded
from .convnext_block import ConvNeXtBlock
from .depthwise import depthwise_fft
from .depthwise_conv import DepthwiseConv2d
from .dilated_depthwise import DilatedDepthwise
from .drop_path import DropPath
from .folding import fold_norm
from .gathering_scattering import GatheringScattering
from .haar import HAAR, Bands, Haar2d, haar2d, inverse_haar2d, squares
from .intra_inter_correlation import GuidedAttention, IntraInterCorrelation
from .kernel_hashing import KernelHash
from .landmark_attention import LandmarkAttention2d, LandmarkBlock, landmark_attention, newton_inverse
from .layer_norm import LayerNorm2d
from .layer_scale import LayerScale
from .low_rank_adapter import LowRankAdapter, adapted, merged
from .mb_conv import MBConv
from .mixer_net import MixerLayer, MixerNet, reached
from .mixers import MIXERS, mixer, mixer_network
from .mixture_of_experts import ExpertQueue, MixtureOfExperts, best_experts, expert_queues
from .mlp_mixing import MLPMixing
from .mobile_net import MobileNetV3
from .multi_axis_attention import (
    GridAttention2d,
    MultiAxisAttention2d,
    WindowAttention2d,
    from_grid,
    to_grid,
)
from .neighborhood_attention import NeighborhoodAttention1d, NeighborhoodAttention2d, neighborhood
from .post_norm_feed_forward import PostNormFeedForward
from .power_of_two import ShiftLinear, power_of_two, signs_and_exponents
from .raft_mixing import RaftMixing, from_rafts, to_rafts
from .reparam import RepDepthwise, fold, place_dilated, refuse_training, with_weights
from .residual import Residual
from .response_norm import GlobalResponseNorm
from .sandwich import FeedForward2d, Sandwich
from .self_attention import SelfAttention2d
from .sentence_encoder import SentenceEncoder, word_pieces
from .separable_conv import SeparableConv2d, separated
from .slot_mixing import SlotMixing
from .sparse_low_rank_attention import SparseLowRankAttention2d, Support, sparse_low_rank
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
from .token_visibility import visible, visible_rule
from .unequal_experts import UnequalExperts, fair_shares, unevenness
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
    "MIXERS",
    "Bands",
    "BasicBlock",
    "BinaryAttention2d",
    "CascadedGroupAttention",
    "CausalTransformer",
    "ContextSharing",
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
    "GatheringScattering",
    "GlobalResponseNorm",
    "GridAttention2d",
    "GuidedAttention",
    "Haar2d",
    "IntraInterCorrelation",
    "KernelGate",
    "KernelHash",
    "LandmarkAttention2d",
    "LandmarkBlock",
    "LayerNorm2d",
    "LayerScale",
    "LowRankAdapter",
    "MBConv",
    "MLPMixing",
    "MixerLayer",
    "MixerNet",
    "MixtureOfExperts",
    "MobileNetV3",
    "MultiAxisAttention2d",
    "NeighborhoodAttention1d",
    "NeighborhoodAttention2d",
    "NormLinear",
    "PostNormFeedForward",
    "RaftMixing",
    "RepDepthwise",
    "Residual",
    "Sandwich",
    "SelfAttention2d",
    "SentenceEncoder",
    "SeparableConv2d",
    "ShiftLinear",
    "SlotMixing",
    "SparseLowRankAttention2d",
    "SqueezeExcite",
    "Support",
    "TinyNet",
    "UnequalExperts",
    "VisualAttentionBlock",
    "WaveNet",
    "WindowAttention2d",
    "Windowed",
    "adapted",
    "best_experts",
    "conv_stack",
    "depth_for_reach",
    "depth_for_spread",
    "depthwise_fft",
    "depthwise_same",
    "expert_queues",
    "fair_shares",
    "fold",
    "fold_norm",
    "folded",
    "from_grid",
    "from_rafts",
    "from_windows",
    "gates",
    "haar2d",
    "inverse_haar2d",
    "landmark_attention",
    "merged",
    "mixer",
    "mixer_network",
    "neighborhood",
    "newton_inverse",
    "place_dilated",
    "pointwise",
    "power_of_two",
    "profile",
    "reach",
    "reached",
    "refuse_training",
    "separated",
    "signs_and_exponents",
    "sparse_low_rank",
    "spread",
    "squares",
    "to_grid",
    "to_rafts",
    "to_windows",
    "unevenness",
    "visible",
    "visible_rule",
    "with_weights",
    "word_pieces",
]
