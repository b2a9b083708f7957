"""Scaling Up Your Kernels: Large Kernel Design in ConvNets towards Universal Representations.

Yiyuan Zhang, Xiaohan Ding, Xiangyu Yue; IEEE Transactions on Pattern Analysis and Machine
Intelligence, 2025; https://arxiv.org/abs/2410.08049 (first version October 2024).
It extends RepLKNet (Ding et al., CVPR 2022, https://arxiv.org/abs/2203.06717), from which the block and
the folding come. Original code: https://github.com/AILab-CVC/UniRepLKNet, Apache 2.0, and
https://github.com/DingXiaoH/RepLKNet-pytorch, MIT. Nothing is copied from either.

The five guidelines that make wide kernels practical (section 3.1), and where each one is here:

1. depthwise wide kernels, with an operator made for them      `RepDepthwise`, `layers.depthwise_fft`
2. an identity shortcut around every one                       `large_kernel_block`
3. a small kernel beside the wide one, folded away afterwards  `RepDepthwise.fold`, `fold`
4. wide kernels help on small maps too                         kernels wider than the map are allowed
5. judge by tasks beyond ImageNet accuracy                     not measured yet, see below

Measured here: how far few wide kernels see beside many small ones at the same exact reach.
Not measured yet, because it takes training: a wide kernel makes decisions depend more on shape and
less on texture; without shortcuts wide kernels train badly (the source: MobileNetV2 with 13 x 13
kernels, 53.98 % of ImageNet right without shortcuts, 72.53 % with them).

Deviations: listed in `SYSTEM`.
"""

from copy import deepcopy
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.budget import by_budget
from workbench.claims import AtLeast, Claim, Measured, System
from workbench.errors import WorkbenchError
from workbench.layers import DepthwiseBlock, conv_stack, depth_for_reach, depth_for_spread, reach
from workbench.probes import effective_field, image_batch

# The mechanism --------------------------------------------------------------------------------


def fold_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight [channels, 1, k, k] and bias [channels] of one convolution that equals conv, then norm.

    norm(y) = scale * (y - mean) / std + shift is linear in y once mean and std are fixed, so it is a factor
    on each output channel's kernel and a constant.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    constant = 0 if conv.bias is None else conv.bias
    return conv.weight * factor[:, None, None, None], norm.bias + (constant - norm.running_mean) * factor


class RepDepthwise(nn.Module):
    """A wide depthwise kernel trained beside a small one: norm(wide(x)) + norm(small(x)).

    [batch, channels, height, width] -> the same. kernel, small: odd; small=None leaves the branch out.
    The small branch makes local patterns easy to learn; as both branches are linear, `fold` adds them
    into one kernel once training is over.
    """

    def __init__(self, channels: int, kernel: int, small: int | None = 5) -> None:
        super().__init__()
        if (
            kernel < 1
            or kernel % 2 == 0
            or (small is not None and (small % 2 == 0 or not 0 < small < kernel))
        ):
            raise WorkbenchError(
                "kernel and small must be odd and small the smaller one, "
                f"but kernel={kernel} and small={small} came"
            )
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, size, padding=size // 2, groups=channels, bias=False),
                nn.BatchNorm2d(channels),
            )
            for size in (kernel, small)
            if size is not None
        )

    def forward(self, x: Tensor) -> Tensor:
        wide, *small = [branch(x) for branch in self.branches]
        return wide + small[0] if small else wide

    def fold(self) -> nn.Conv2d:
        """The one depthwise convolution that equals this module in evaluation mode.

        Raises WorkbenchError in training mode, where the norms use the statistics of each batch and no
        fixed kernel equals them.
        """
        if any(part.training for part in self.modules()):
            raise WorkbenchError(
                "folding needs fixed statistics: call eval() first, but the module is in training mode"
            )
        (wide, bias), *small = [fold_norm(*branch) for branch in self.branches]  # type: ignore[misc]
        for kernel, shift in small:
            margin = (wide.shape[-1] - kernel.shape[-1]) // 2
            wide, bias = wide + F.pad(kernel, [margin] * 4), bias + shift
        channels, size = wide.shape[0], wide.shape[-1]
        folded = nn.Conv2d(channels, channels, size, padding=size // 2, groups=channels)
        folded = folded.to(device=wide.device, dtype=wide.dtype).eval()
        with torch.no_grad():
            folded.weight.copy_(wide)
            folded.bias.copy_(bias)  # type: ignore[union-attr]
        return folded


def fold(module: nn.Module) -> nn.Module:
    """A copy in which every `RepDepthwise` is one convolution; the module itself stays as it is."""
    copy = deepcopy(module)
    if isinstance(copy, RepDepthwise):
        return copy.fold()
    for part in list(copy.modules()):
        for name, child in list(part.named_children()):
            if isinstance(child, RepDepthwise):
                setattr(part, name, child.fold())
    return copy


def large_kernel_block(
    channels: int, kernel: int = 13, small: int | None = 5, expansion: int = 4, shortcut: bool = True
) -> DepthwiseBlock:
    """x + mix(wide(x)): look wide in every channel, then mix the channels at every pixel.

    [batch, channels, height, width] -> the same. mix is 1 x 1, GELU, 1 x 1 with `expansion` times the
    channels between; `wide` is a `RepDepthwise`.
    """
    spatial = RepDepthwise(channels, kernel, small)
    return DepthwiseBlock(channels, kernel, expansion, spatial=spatial, shortcut=shortcut)


# The claim ------------------------------------------------------------------------------------

WIDE, DEPTH, SMALL = 13, 3, 3


@cache
def photographs(size: int) -> Tensor:
    """Seven real photographs as a standardised batch [7, 3, size, size]; nobody writes into it."""
    import workbench_datasets

    return image_batch(workbench_datasets.load("photographs", size=size))


def field_spread(kernel: int, depth: int, seed: int, budget: str) -> float:
    """Spread in pixels of the effective field of an untrained ReLU stack, on real photographs."""
    size, channels = by_budget(budget, smoke=(48, 4), lesson=(64, 8), full=(96, 32))
    return effective_field(conv_stack(kernel, depth, channels, seed=seed), photographs(size)).spread


def wide_over_deep(seed: int, budget: str, depth: int) -> Measured:
    """How much further three 13 x 13 layers see than `depth` layers of 3 x 3."""
    wide, deep = field_spread(WIDE, DEPTH, seed, budget), field_spread(SMALL, depth, seed, budget)
    return Measured(wide / deep, system=wide, baseline=deep)


def erf_at_equal_reach(seed: int, budget: str) -> Measured:
    """Against 18 layers: both stacks see exactly 37 pixels."""
    return wide_over_deep(seed, budget, depth_for_reach(SMALL, reach(WIDE, DEPTH)))


def erf_at_equal_spread(seed: int, budget: str) -> Measured:
    """Control, against 63 layers: the variance law says that depth has made up for the kernel."""
    return wide_over_deep(seed, budget, depth_for_spread(SMALL, like=(WIDE, DEPTH)))


SYSTEM = System(
    key="large-kernel-design",
    claims=[
        Claim(
            "erf-at-equal-reach",
            says="Few wide kernels see effectively further than many small ones that can see just as far: "
            "three 13 x 13 layers beside eighteen 3 x 3 layers, 37 pixels each, by the standard deviation "
            "of where the gradient falls.",
            paper="an effective field that grows as kernel * sqrt(depth), after Luo et al. 2016: 1.77 times "
            "here. Its own figure compares trained networks of different reach (RepLKNet, arXiv version 1, "
            "table 10: half of the score in 41.4 % of the image for RepLKNet-31, in 3.5 % for ResNet-101)",
            # The exact variance gives sqrt((13**2 - 1) * 3 / ((3**2 - 1) * 18)) = 1.87. With random weights
            # the size of a gradient follows the root of that profile, which the edge of the exact field
            # cuts off sooner for the wide stack: 8.06 / 4.79 = 1.68. The bar leaves room for networks of
            # finite width and stays far from 1, which "the same reach sees the same" would give.
            bar=AtLeast(1.3, null=1),
            measure=erf_at_equal_reach,
            control=erf_at_equal_spread,
        )
    ],
    deviations=[
        "The claim is measured on untrained plain stacks of dense convolutions with ReLU, so that kernel "
        "and depth alone differ; the source compares trained networks that differ in much more.",
        "The spread is the standard deviation of the raw gradient magnitude. The source's score takes a "
        "logarithm first, which makes it depend on the scale of the gradients, and keeps only positive "
        "gradients.",
        "The block is the wide depthwise kernel with its small branch, two 1 x 1 convolutions and the "
        "shortcut; the released RepLKNet block puts a 1 x 1 convolution in front of the wide kernel too "
        "and gives the channel mixing a shortcut and a norm of its own.",
        "Guidelines 6 to 9 (squeeze-and-excitation, dilated branches, kernel sizes by stage, scaling by "
        "small kernels) belong to the system unireplknet.",
        "The claims that need training (shape against texture, the shortcut, re-parameterisation, "
        "downstream tasks) and the asymmetric kernels that fuse modalities are not measured yet.",
        "Paper scale: ImageNet training of networks with 80 million parameters, and 50 images of "
        "1024 x 1024 pixels for the effective field.",
    ],
)
