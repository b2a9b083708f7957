"""Visual Attention Network.

Meng-Hao Guo, Cheng-Ze Lu, Zheng-Ning Liu, Ming-Ming Cheng, Shi-Min Hu; Computational Visual Media 2023;
https://arxiv.org/abs/2202.09741. Original code:
https://github.com/Visual-Attention-Network/VAN-Classification, Apache 2.0. Nothing is copied from it.

Every feature is multiplied by what lies around it. "Around" is wide, and made of thin steps:

    A = mix(dilated(local(x)))   eq. 1: 5 x 5, then 7 x 7 with gaps, then 1 x 1   `KernelGate.attention`
    x * A                        eq. 2: no softmax, no sigmoid, every channel     `LargeKernelAttention`
    K = 21 -> 5, 7, gaps of 3    eq. 3: the dilation with the fewest parameters   `decompose`
    attention module             1 x 1, GELU, gate, 1 x 1, a shortcut of its own  `GatedAttention`
    feed-forward                 1 x 1, 3 x 3 depthwise, GELU, 1 x 1              `ConvFeedForward`
    block                        both behind a norm, layer scale 1e-2             `VisualAttentionBlock`
    stages                       step down by overlapping windows, blocks, norm   `VanStage`, `VAN`

Gate, attention module, feed-forward part and block lie in `workbench.layers.visual_attention`, because other
systems change the gate and keep the rest.

Deviations: listed in `SYSTEM`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from workbench.budget import by_budget
from workbench.claims import AtLeast, AtMost, Claim, Measured, System
from workbench.counting import Counts, count
from workbench.errors import WorkbenchError
from workbench.kernels.attention_matrix import attention_naive_cost
from workbench.kernels.line_ring import depthwise_lines
from workbench.kernels.wide_gate import gate_by_mix
from workbench.layers import LayerNorm2d, SelfAttention2d, TinyNet
from workbench.layers.visual_attention import KernelGate, VisualAttentionBlock, gates, pointwise, scaled
from workbench.train import Recipe, Run, task, train

Combine = Literal["multiply", "replace", "add", "sigmoid"]
Without = Literal["", "local", "dilated", "mix"]

# The mechanism --------------------------------------------------------------------------------


def decompose(kernel: int, dilation: int) -> tuple[int, int]:
    """Sides of the local and of the dilated kernel that stand in for kernel x kernel (section 3.1).

    >>> decompose(21, 3)
    (5, 7)
    """
    if kernel < 1 or dilation < 1:
        raise WorkbenchError(f"kernel and dilation must be at least 1, but {kernel} and {dilation} came")
    return 2 * dilation - 1, -(-kernel // dilation)


def parameters(channels: int, kernel: int, dilation: int) -> int:
    """Weights of the three steps, without bias (equation 3)."""
    local, taps = decompose(kernel, dilation)
    return channels * (taps**2 + local**2 + channels)


def best_dilation(kernel: int) -> int:
    """The dilation with the fewest parameters; the number of channels does not change it.

    >>> best_dilation(21)
    3
    """
    return min(range(1, kernel + 1), key=lambda dilation: parameters(1, kernel, dilation))


def support(kernel: int, dilation: int) -> int:
    """Pixels along an axis that the three steps see: the source says K, but it may be a little more.

    >>> support(21, 3)
    23
    """
    local, taps = decompose(kernel, dilation)
    return local + dilation * (taps - 1)


class LargeKernelAttention(KernelGate):
    """x * A for a wide kernel, and what the ablations leave of it: [batch, channels, h, w] -> the same.

    kernel, dilation: taken apart by the rule; dilation=None takes the best one. without: a step of A that is
    left out. combine: "multiply" is the mechanism; "replace" answers A alone, "add" x + A, "sigmoid"
    x * sigmoid(A).
    """

    def __init__(
        self,
        channels: int,
        kernel: int = 21,
        dilation: int | None = None,
        without: Without = "",
        combine: Combine = "multiply",
    ) -> None:
        if without not in ("", "local", "dilated", "mix"):
            raise WorkbenchError(f"without must be local, dilated or mix, but {without!r} came")
        if combine not in ("multiply", "replace", "add", "sigmoid"):
            raise WorkbenchError(f"combine must be multiply, replace, add or sigmoid, but {combine!r} came")
        gap = dilation or best_dilation(kernel)
        local, taps = decompose(kernel, gap)
        if taps % 2 == 0:
            raise WorkbenchError(
                f"a kernel of {kernel} with dilation {gap} has {taps} taps a side, which have no middle; "
                "choose one that gives an odd number"
            )
        super().__init__(channels, local, taps, gap)
        self.combine = combine
        if without:
            setattr(self, {"local": "local", "dilated": "wide", "mix": "mix"}[without], nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        gate = self.attention(x)
        if self.combine == "replace":
            return gate
        if self.combine == "add":
            return x + gate
        return x * (gate.sigmoid() if self.combine == "sigmoid" else gate)


class Embed(nn.Sequential):
    """A step down by windows that overlap: convolution with padding, then norm."""

    def __init__(self, inputs: int, channels: int, window: int, stride: int) -> None:
        conv = scaled(nn.Conv2d(inputs, channels, window, stride=stride, padding=window // 2))
        super().__init__(conv, nn.BatchNorm2d(channels))


class VanStage(nn.Sequential):
    """A step down, blocks, and a LayerNorm over the channels of each pixel at the end.

    [batch, inputs, height, width] -> [batch, channels, height / stride, width / stride], rounded up.
    drop_path: one chance a block.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        drop_path: Sequence[float],
        expansion: float,
        window: int = 3,
        stride: int = 2,
        gate: Callable[[int], nn.Module] = LargeKernelAttention,
    ) -> None:
        blocks = [VisualAttentionBlock(channels, gate, expansion, drop=chance) for chance in drop_path]
        super().__init__(Embed(inputs, channels, window, stride), *blocks, LayerNorm2d(channels))


class VAN(nn.Module):
    """The whole network: four stages, the mean over the map, one linear layer.

    [batch, inputs, height, width] -> [batch, classes]. The first stage looks through windows of 7 with stride
    4, the others through 3 with stride 2. drop_path: the chance of the last block; it grows from 0.
    """

    def __init__(
        self,
        depths: Sequence[int] = (3, 3, 5, 2),
        widths: Sequence[int] = (32, 64, 160, 256),
        expansions: Sequence[float] = (8, 8, 4, 4),
        classes: int = 1000,
        inputs: int = 3,
        drop_path: float = 0.0,
        gate: Callable[[int], nn.Module] = LargeKernelAttention,
    ) -> None:
        super().__init__()
        if not len(depths) == len(widths) == len(expansions):
            raise WorkbenchError(
                "depths, widths and expansions must have one entry for each stage, "
                f"but {len(depths)}, {len(widths)} and {len(expansions)} came"
            )
        chances = iter(np.linspace(0, drop_path, sum(depths)).tolist())
        windows = [(7, 4), *[(3, 2)] * (len(depths) - 1)]
        self.stages = nn.Sequential(
            *(
                VanStage(before, width, [next(chances) for _ in range(depth)], expansion, *window, gate)
                for before, width, depth, expansion, window in zip(
                    (inputs, *widths), widths, depths, expansions, windows, strict=False
                )
            )
        )
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        classes: Tensor = self.head(self.stages(x).mean(dim=(2, 3)))
        return classes


SIZES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {  # depths and widths (table 5)
    "b0": ((3, 3, 5, 2), (32, 64, 160, 256)),
    "b1": ((2, 2, 4, 2), (64, 128, 320, 512)),
    "b2": ((3, 3, 12, 3), (64, 128, 320, 512)),
    "b3": ((3, 5, 27, 3), (64, 128, 320, 512)),
}


def van(size: str = "b0", **options: object) -> VAN:
    """The published network of this size; further options are those of `VAN`.

    >>> van("b0", classes=10)(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 10])
    """
    if size not in SIZES:
        raise WorkbenchError(f"a size is one of {', '.join(SIZES)}, but {size!r} came")
    depths, widths = SIZES[size]
    return VAN(depths, widths, **options)  # type: ignore[arg-type]


@contextmanager
def gates_of_others(net: nn.Module) -> Iterator[None]:
    """While the block runs, every image is multiplied by the gate of the next image in its batch."""
    with ExitStack() as stack:
        for gate in gates(net):
            if isinstance(gate, KernelGate):
                handle = gate.mix.register_forward_hook(lambda part, inputs, A: A.roll(1, 0))
                stack.callback(handle.remove)
        yield


# The claims: what each part is worth ----------------------------------------------------------

RATE = 8e-3  # of 2e-3 and 8e-3 the better one with the gate and without

VARIANTS: dict[str, Callable[[int], nn.Module]] = {
    "full": LargeKernelAttention,
    "no local": partial(LargeKernelAttention, without="local"),
    "no dilated": partial(LargeKernelAttention, without="dilated"),
    "no mix": partial(LargeKernelAttention, without="mix"),
    "no gate": partial(LargeKernelAttention, combine="replace"),
    "add": partial(LargeKernelAttention, combine="add"),
    "sigmoid": partial(LargeKernelAttention, combine="sigmoid"),
    "self-attention": partial(SelfAttention2d, heads=2),
}


def tiny_net(variant: str, width: int = 16, depth: int = 2) -> TinyNet:
    """A small classifier of grey pictures whose blocks differ in nothing but the gate."""
    return TinyNet(partial(VisualAttentionBlock, gate=VARIANTS[variant]), width=width, depth=depth)


@cache
def trained(variant: str, seed: int, budget: str) -> Run:
    """This variant after training on pictures of shapes; the same data for all variants of a seed."""
    images, steps, size = by_budget(budget, smoke=(36, 2, 16), lesson=(900, 100, 40), full=(900, 400, 40))
    work = task("shape-textures", seed=seed, size=size, images=images, mode="free")
    return train(
        partial(tiny_net, variant), work, Recipe(steps=steps, batch=min(32, images), lr=RATE), seed=seed
    )


def points(system: float, baseline: float) -> Measured:
    """Percentage points between two shares."""
    return Measured(100 * (system - baseline), system=100 * system, baseline=100 * baseline)


def over(variant: str, seed: int, budget: str) -> Measured:
    """Percentage points that the full gate is above this variant, on unseen pictures."""
    return points(trained("full", seed, budget).score, trained(variant, seed, budget).score)


def strangers_over(variant: str, seed: int, budget: str) -> Measured:
    """Control: the trained full network, but every picture meets the gates of another one."""
    run = trained("full", seed, budget)
    with gates_of_others(run.model):
        score = run.evaluate(*run.task.test)
    return points(score, trained(variant, seed, budget).score)


# The claims: parameters and operations --------------------------------------------------------


def weights_of(module: nn.Module) -> int:
    """Parameters without bias, which the source leaves out."""
    return sum(p.numel() for name, p in module.named_parameters() if not name.endswith("bias"))


def fewer_weights(channels: int, dilation: int | None) -> Measured:
    """Weights of a full 21 x 21 convolution over those of the three steps, both built and counted."""
    with torch.device("meta"):
        full = weights_of(nn.Conv2d(channels, channels, 21))
        ours = weights_of(LargeKernelAttention(channels, 21, dilation))
    return Measured(full / ours, system=ours, baseline=full)


def fewer_weights_at_best(seed: int, budget: str) -> Measured:
    return fewer_weights(32, None)


def fewer_weights_without_gaps(seed: int, budget: str) -> Measured:
    """Control: dilation 1, so that the second step is as wide as the whole kernel."""
    return fewer_weights(32, 1)


def fewer_than_mobile(seed: int, budget: str) -> Measured:
    """Weights of depthwise 21 x 21 and 1 x 1 over those of the three steps."""
    with torch.device("meta"):
        wide, mix = nn.Conv2d(32, 32, 21, groups=32), pointwise(32, 32)
        ours = weights_of(LargeKernelAttention(32))
    return Measured((weights_of(wide) + weights_of(mix)) / ours, ours, weights_of(wide) + weights_of(mix))


def fewer_than_mobile_without_gaps(seed: int, budget: str) -> Measured:
    """Control: dilation 1 is the baseline itself and one number a channel more."""
    mobile = fewer_than_mobile(seed, budget).baseline
    assert mobile is not None
    ours = parameters(32, 21, 1)
    return Measured(mobile / ours, ours, mobile)


def growth(flops: Callable[[int], int], budget: str) -> Measured:
    """Operations for twice the height and width over those before: 4 where the cost is linear in pixels."""
    side = by_budget(budget, smoke=8, lesson=16)
    small, large = flops(side), flops(2 * side)
    return Measured(large / small, system=large, baseline=small)


def counts_of_gate(side: int, channels: int = 16) -> list[Counts]:
    """What the gate's three steps and the product cost on a map [channels, side, side], call by call."""
    draw = np.random.default_rng(0)
    shapes = ((channels, side, side), (channels, 5, 5), (channels, 7, 7), (channels, channels), (channels,))
    x, local, dilated, mix, bias = (draw.random(shape, np.float32) for shape in shapes)
    a, out = np.empty_like(x), np.empty_like(x)
    return [
        count(depthwise_lines, x, local, bias, a, 1),
        count(depthwise_lines, a, dilated, bias, a, 3),
        count(gate_by_mix, x, a, mix, bias, out),
    ]


def flops_of_gate(side: int) -> int:
    return sum(counts.flops for counts in counts_of_gate(side))


def flops_of_attention(side: int, channels: int = 16) -> int:
    """Operations of self-attention between all pixels of such a map, projections left out."""
    return attention_naive_cost(side**2, side**2, channels, channels).flops


def growth_of_gate(seed: int, budget: str) -> Measured:
    return growth(flops_of_gate, budget)


def growth_of_attention(seed: int, budget: str) -> Measured:
    """Control: attention compares every pixel with every other one."""
    return growth(flops_of_attention, budget)


SYSTEM = System(
    key="visual-attention-network",
    claims=[
        Claim(
            "parameters-full",
            says="Three thin steps need 133 times fewer weights than one full 21 x 21 convolution "
            "(32 channels: 3392 against 451 584). Control: the same rule with dilation 1.",
            paper="table 2: 451 584 and 3392 weights, 133 times",
            unit="times",
            against="weights, one full convolution",
            bar=AtLeast(133, null=1),
            measure=fewer_weights_at_best,
            control=fewer_weights_without_gaps,
            provenance="formula",
            seeds=1,
        ),
        Claim(
            "parameters-depthwise",
            says="The three thin steps need 4.4 times fewer weights than a depthwise 21 x 21 and a 1 x 1 "
            "convolution (32 channels: 3392 against 15 136). Control: the same rule with dilation 1.",
            paper="table 2: 15 136 and 3392 weights, 4.5 times",
            unit="times",
            against="weights, depthwise and 1 x 1",
            bar=AtLeast(4.4, null=1),  # 15136 / 3392 = 4.46
            measure=fewer_than_mobile,
            control=fewer_than_mobile_without_gaps,
            provenance="formula",
            seeds=1,
        ),
        Claim(
            "linear-cost",
            says="Twice the height and width cost four times the operations. Control: self-attention, "
            "sixteen times.",
            paper="complexity O(n) in the number of pixels, self-attention O(n^2) (table 1)",
            unit="times",
            against="operations at half the size",
            bar=AtMost(4.01, null=16),
            measure=growth_of_gate,
            control=growth_of_attention,
            provenance="counted",
            seeds=1,
        ),
        Claim(
            "gate",
            says="Multiplying by the gate is at least one point more accurate than the gate alone. "
            "Control: every picture meets the gates of another one.",
            paper="75.4 % of ImageNet right with the gate, 74.3 % without (table 3, VAN-B0)",
            unit="points",
            against="% right, no gate",
            bar=AtLeast(1, null=0),
            measure=partial(over, "no gate"),
            control=partial(strangers_over, "no gate"),
        ),
        Claim(
            "local-step",
            says="The full gate is no less accurate than one without the local step.",
            paper="75.4 % against 74.9 % (table 3)",
            unit="points",
            against="% right, no local step",
            bar=AtLeast(0),
            measure=partial(over, "no local"),
            control=partial(strangers_over, "no local"),
            seeds=20,
        ),
        Claim(
            "dilated-step",
            says="The full gate is no less accurate than one without the dilated step.",
            paper="75.4 % against 74.1 % (table 3)",
            unit="points",
            against="% right, no dilated step",
            bar=AtLeast(0),
            measure=partial(over, "no dilated"),
            control=partial(strangers_over, "no dilated"),
        ),
        Claim(
            "mixing-step",
            says="The full gate is no less accurate than one without the 1 x 1 step.",
            paper="75.4 % against 74.6 % (table 3)",
            unit="points",
            against="% right, no 1 x 1 step",
            bar=AtLeast(0),
            measure=partial(over, "no mix"),
            control=partial(strangers_over, "no mix"),
            seeds=20,
        ),
        Claim(
            "product-over-sum",
            says="Multiplying by the gate is no less accurate than adding it.",
            paper="75.4 % against 74.6 % (table 3)",
            unit="points",
            against="% right, added",
            bar=AtLeast(0),
            measure=partial(over, "add"),
            control=partial(strangers_over, "add"),
        ),
        Claim(
            "no-sigmoid",
            says="A gate of any sign and size is no less accurate than one squeezed into 0 to 1.",
            paper="75.4 % against 75.2 % (table 3)",
            unit="points",
            against="% right, with a sigmoid",
            bar=AtLeast(0),
            measure=partial(over, "sigmoid"),
            control=partial(strangers_over, "sigmoid"),
        ),
    ],
    deviations=[
        "Accuracy is measured on 900 small pictures of shapes with two blocks of 16 channels at one "
        "resolution, without the four stages; all variants have the same stem, blocks and head.",
        "The source's 21 x 21 window is 23 pixels wide by its own rule (5 + 3 * 6), and captions say so.",
        "The self-attention twin replaces the gate alone, and knows no positions; the source draws it beside "
        "the gate and compares whole networks.",
        "The ablation with a full 21 x 21 convolution (124.7 million parameters in the source, 76.0 %) is "
        "left out, and so are sizes b4 to b6 and dropout, which is 0 in the released settings.",
        "Paper scale: 300 epochs of ImageNet on eight graphics cards; detection, segmentation and pose.",
    ],
)
