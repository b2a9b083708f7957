"""WaveMix: A Resource-efficient Neural Network for Image Analysis.

Pranav Jeevan, Kavitha Viswanathan, Anandu A S, Amit Sethi; first version May 2022,
https://arxiv.org/abs/2205.14375. It follows WaveMix: Resource-efficient Token Mixing for Images (Pranav
Jeevan, Amit Sethi; 2022, https://arxiv.org/abs/2203.03689). Original code:
https://github.com/pranavphoenix/WaveMix, MIT. Nothing is copied from it.

A block mixes places through a fixed Haar transform (`workbench.layers.haar`), and learns only what happens
to the channels at one place, and how the small maps grow large again. With C channels and L levels:

    1 x 1 convolution              C -> C/4, height x width
    Haar, L times                  level l: four bands of C/4 channels, C together, 1/2**l as high and wide
    coarsest level first           1 x 1 to 2C, GELU, dropout, 1 x 1 to C, transposed convolution 4/2/1,
                                   batch norm: twice as large again, with C/2 channels
    next finer level               the same, on its C channels with the C/2 from below beside them
    finest level                   ends with C channels at the size of the input, which is added

What is fixed is followed by a 1 x 1 convolution over all channels, which can undo any invertible mixture of
the four bands. So at one level any invertible 4 x 4 matrix in the place of Haar's gives the same set of
functions: there the transform can help only by where training starts. From two levels on it also decides
which numbers are handed down.

Deviations: listed in `SYSTEM`.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cache, partial
from typing import Literal

import torch
from torch import Tensor, nn

from workbench.budget import by_budget
from workbench.claims import AtLeast, Claim, Measured, System
from workbench.errors import WorkbenchError
from workbench.layers import BasicBlock, ConvNeXtBlock, TinyNet, haar2d, squares
from workbench.probes import probe
from workbench.train import Recipe, Run, Task, equal, task, train

# The mechanism --------------------------------------------------------------------------------


class FourBands(nn.Module):
    """Another fixed matrix [4, 4] in the place of Haar's: [batch, channels, h, w] -> four halves.

    Row i of the matrix makes band i from the pixels a, b, c, d of every square.
    """

    matrix: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        if tuple(matrix.shape) != (4, 4):
            raise WorkbenchError(f"the matrix must be 4 x 4, but shape {tuple(matrix.shape)} came")
        self.register_buffer("matrix", matrix.clone())

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return torch.einsum("ij,j...->i...", self.matrix, torch.stack(squares(x))).unbind()


class Haar(nn.Module):
    """LL, LH, HL, HH of x [batch, channels, height, width]: nothing to learn, nothing to keep."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return haar2d(x)


Upsampling = Literal["deconv", "interpolate"]


class WaveMixBlock(nn.Module):
    """x + grow(mix(Haar(reduce(x)))), over `levels` levels.

    [batch, channels, height, width] -> the same; channels divisible by 4. expansion: channels between the
    two 1 x 1 convolutions, as a multiple. upsampling: a transposed convolution (what nearly all released
    models have), or plain interpolation, the source's way to very few parameters. transform: makes the four
    bands; another one than Haar is for comparison. Sizes that do not halve evenly are rounded up, and what
    grows beyond the finer map is cut off.
    """

    def __init__(
        self,
        channels: int,
        levels: int = 1,
        expansion: int = 2,
        dropout: float = 0.5,
        *,
        upsampling: Upsampling = "deconv",
        transform: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if channels < 4 or channels % 4 or levels < 1:
            raise WorkbenchError(
                "channels must be a multiple of 4 and levels at least 1, "
                f"but channels={channels} and levels={levels} came"
            )
        if upsampling not in ("deconv", "interpolate"):
            raise WorkbenchError(f"upsampling must be 'deconv' or 'interpolate', but {upsampling!r} came")
        self.levels = levels
        self.reduce = nn.Conv2d(channels, channels // 4, 1)
        self.transform = transform or Haar()
        self.grow = nn.ModuleList()
        for level in range(levels):
            from_below = channels // 2 if level < levels - 1 else 0
            out = channels if level == 0 else channels // 2
            if upsampling == "interpolate" and out != channels:
                raise WorkbenchError("interpolation keeps the channels, so it serves one level only")
            up: nn.Module = nn.Upsample(scale_factor=2)
            if upsampling == "deconv":
                up = nn.ConvTranspose2d(channels, out, 4, stride=2, padding=1)
            self.grow.append(
                nn.Sequential(
                    nn.Conv2d(channels + from_below, expansion * channels, 1),
                    nn.GELU(),
                    nn.Dropout(dropout),
                    nn.Conv2d(expansion * channels, channels, 1),
                    up,
                    nn.BatchNorm2d(out),
                )
            )

    def forward(self, x: Tensor) -> Tensor:
        low, maps = self.reduce(x), []
        for _ in range(self.levels):
            bands = self.transform(low)
            maps.append(torch.cat(tuple(bands), 1))
            low = bands[0]
        mixed = self.grow[-1](maps[-1])
        for level in range(self.levels - 2, -1, -1):
            mixed = self.grow[level](torch.cat((maps[level], cut(mixed, maps[level])), 1))
        return x + cut(mixed, x)


def cut(y: Tensor, like: Tensor) -> Tensor:
    """As many rows and columns of y as the other has."""
    return y[..., : like.shape[-2], : like.shape[-1]]


class WaveMix(nn.Module):
    """The whole classifier: stem, `depth` blocks of one resolution, global mean, linear layer.

    [batch, inputs, height, width] -> [batch, classes]. stem: "strided", two 3 x 3 convolutions to C/2 and C
    with this stride each; "patchify", 3 x 3 to C/4, 3 x 3 to C/2, `patch` x `patch` with stride `patch` to C,
    GELU, batch norm. There is no activation between the convolutions of a stem, as in the source.

    >>> WaveMix(10, 64, 6)(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 10])
    """

    def __init__(
        self,
        classes: int,
        channels: int = 64,
        depth: int = 6,
        levels: int = 1,
        *,
        inputs: int = 3,
        stem: Literal["strided", "patchify"] = "strided",
        stride: int = 1,
        patch: int = 4,
        expansion: int = 2,
        dropout: float = 0.5,
        upsampling: Upsampling = "deconv",
    ) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        if stem == "strided":
            self.stem = nn.Sequential(
                nn.Conv2d(inputs, half, 3, stride, 1), nn.Conv2d(half, channels, 3, stride, 1)
            )
        elif stem == "patchify":
            self.stem = nn.Sequential(
                nn.Conv2d(inputs, quarter, 3, 1, 1),
                nn.Conv2d(quarter, half, 3, 1, 1),
                nn.Conv2d(half, channels, patch, patch),
                nn.GELU(),
                nn.BatchNorm2d(channels),
            )
        else:
            raise WorkbenchError(f"stem must be 'strided' or 'patchify', but {stem!r} came")
        self.blocks = nn.Sequential(
            *(WaveMixBlock(channels, levels, expansion, dropout, upsampling=upsampling) for _ in range(depth))
        )
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


def two_stages(
    make: Callable[[], nn.Module], task: Task, first: Recipe, share: float = 0.25, seed: int = 0
) -> Run:
    """The source's training: AdamW (lr 1e-3, weight decay 1e-2), then SGD (lr 1e-3, momentum 0.9).

    first: how long and in what batches; its last `share` of steps goes to SGD, which starts where AdamW
    stopped. Rates are constant, as in the source. The returned run is the second one.
    """
    later = round(share * first.steps)
    if not 0 < later < first.steps:
        raise WorkbenchError(f"both stages need steps, but {share:g} of {first.steps} leaves one without")
    adam = replace(
        first, steps=first.steps - later, optimizer="adamw", lr=1e-3, weight_decay=1e-2, schedule="constant"
    )
    sgd = replace(adam, steps=later, optimizer="sgd", momentum=0.9, weight_decay=0.0)
    found = train(make, task, adam, seed).model
    return train(partial(deepcopy, found), task, sgd, seed)


def random_orthonormal(seed: int) -> Tensor:
    """A 4 x 4 matrix that keeps lengths as Haar's does, and prefers nothing."""
    draws = torch.randn(4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    q, r = torch.linalg.qr(draws)
    return (q * r.diagonal().sign()).float()  # the signs make every rotation equally likely


AVERAGE = torch.zeros(4, 4)
AVERAGE[0] = 0.5  # LL as it is, and no details: what average pooling leaves


# What the abstract's words come to ------------------------------------------------------------


@torch.no_grad()
def shift_gap(module: nn.Module, x: Tensor, shift: int = 1) -> float:
    """How far the module is from moving along with its input, 0 for a convolution away from the border.

    |module(moved x) - moved module(x)| / |module(x)|, norms over all but a border of a quarter, for a move of
    `shift` pixels to the right.
    """
    border_y, border_x = x.shape[2] // 4, x.shape[3] // 4
    inside = (..., slice(border_y, x.shape[2] - border_y), slice(border_x, x.shape[3] - border_x))
    there = module(x.roll(shift, -1))[inside]
    here = module(x).roll(shift, -1)[inside]
    return ((there - here).norm() / here.norm()).item()


@torch.no_grad()
def kept_share(block: WaveMixBlock, x: Tensor) -> float:
    """The share of the variance of x that the bands of a block still hold: its 1 x 1 drops the rest.

    The transform loses nothing, but it sees C/4 mixtures of the C channels. Whoever knows the bands knows,
    at each pixel, the projection of x onto those mixtures.
    """
    weight = block.reduce.weight[:, :, 0, 0]
    onto = torch.linalg.pinv(weight) @ weight
    centred = x - x.mean((0, 2, 3), keepdim=True)
    kept = torch.einsum("ij,njhw->nihw", onto, centred)
    return (kept.square().sum() / centred.square().sum()).item()


@torch.no_grad()
def seen_from(block: nn.Module, channels: int, size: int = 48) -> list[int]:
    """How many pixels wide 16 neighbouring outputs in the middle of a row see: from zero gradients."""
    block, found = deepcopy(block).double().eval(), []
    draws = torch.Generator().manual_seed(0)
    for column in range(size // 2, size // 2 + 16):
        x = torch.randn(16, channels, 4, size, dtype=torch.float64, generator=draws).requires_grad_()
        with torch.enable_grad():
            block(x)[:, :, 2, column].sum().backward()
        assert x.grad is not None
        touched = x.grad.abs().sum((0, 1, 2)).nonzero()
        found.append(int(touched.max() - touched.min()) + 1)
    return found


# The claims -----------------------------------------------------------------------------------

LEVELS, DEPTH, WIDTH = 1, 4, 16  # one level, as the source advises for small pictures
RATE = 8e-3  # of 2e-3 and 8e-3 the better one for WaveMix and for the ResNet
CHANNELS, SIDE = 32, 32  # of the map for which activations are counted


class Undecimated(nn.Module):
    """A block of one level that never halves: bands at every pixel, and a 3 x 3 convolution to end with."""

    def __init__(self, channels: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 4, 1)
        self.mix = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, 1),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Conv2d(2 * channels, channels, 1),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        a = self.reduce(x)
        b, c, d = a.roll(-1, 3), a.roll(-1, 2), a.roll((-1, -1), (2, 3))
        bands = a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d
        return x + self.mix(torch.cat(bands, 1) / 2)


def saved(blocks: nn.Module, channels: int = CHANNELS) -> float:
    """Numbers of four bytes that training keeps for the way back, per pixel and channel: counted."""
    x = torch.randn(1, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(0)).requires_grad_()
    return probe(blocks, x, backward=True).total.saved / 4 / x.numel()


def saving(block: nn.Module) -> Measured:
    """The share of what a ResNet block keeps that this block does not."""
    ours, theirs = saved(block), saved(BasicBlock(CHANNELS))
    return Measured(1 - ours / theirs, system=ours, baseline=theirs)


def saved_by_one_block(seed: int, budget: str) -> Measured:
    return saving(WaveMixBlock(CHANNELS))


def saved_without_halving(seed: int, budget: str) -> Measured:
    """Control: the same bands and the same mixing at full size."""
    return saving(Undecimated(CHANNELS))


def saved_by_one_more(make: Callable[[int], nn.Module], channels: int = CHANNELS) -> float:
    """What one more block in a stack adds, in numbers per pixel: its input is another one's output."""
    longer, shorter = (nn.Sequential(*(make(channels) for _ in range(depth))) for depth in (4, 3))
    return channels * (saved(longer, channels) - saved(shorter, channels))


def saving_in_a_stack(make: Callable[[int], nn.Module]) -> Measured:
    """At equal parameters; both numbers are per pixel."""
    width: int = equal(BasicBlock, make(CHANNELS), by="parameters").width  # type: ignore[assignment]
    ours, theirs = saved_by_one_more(make), saved_by_one_more(BasicBlock, width)
    return Measured(1 - ours / theirs, system=ours, baseline=theirs)


def saved_in_a_stack(seed: int, budget: str) -> Measured:
    return saving_in_a_stack(WaveMixBlock)


def saved_in_a_stack_without_halving(seed: int, budget: str) -> Measured:
    """Control: the same bands and the same mixing at full size."""
    return saving_in_a_stack(Undecimated)


def reach_of_levels(levels: int) -> Measured:
    """The narrowest view of a block's outputs over that of two 3 x 3 convolutions."""
    ours = min(seen_from(WaveMixBlock(8, levels), 8))
    theirs = min(seen_from(BasicBlock(8), 8))
    return Measured(ours / theirs, system=ours, baseline=theirs)


def reach_of_two_levels(seed: int, budget: str) -> Measured:
    return reach_of_levels(2)


def reach_of_one_level(seed: int, budget: str) -> Measured:
    """Control: one level sees 4 pixels, two convolutions 5."""
    return reach_of_levels(1)


def wave_block(channels: int, matrix: Tensor | None = None) -> nn.Module:
    transform = None if matrix is None else FourBands(matrix)
    return WaveMixBlock(channels, LEVELS, dropout=0.0, transform=transform)


def wave_net(matrix: Tensor | None = None) -> nn.Module:
    return TinyNet(partial(wave_block, matrix=matrix), width=WIDTH, depth=DEPTH)


def resnet_twin(width: int) -> nn.Module:
    return TinyNet(BasicBlock, width=width, depth=DEPTH)


def convnext_twin(width: int) -> nn.Module:
    return TinyNet(ConvNeXtBlock, width=width, depth=DEPTH)


@cache
def like_ours(make: Callable[[int], nn.Module]) -> int:
    """The width at which a twin has as many parameters as the wave net, at the nearest."""
    width: int = equal(make, wave_net(), by="parameters").width  # type: ignore[assignment]
    return width


@cache
def shapes(seed: int, budget: str) -> Task:
    images = by_budget(budget, smoke=48, lesson=900)
    return task("shape-textures", seed, size=32, images=images, mode="free", test={"images": images})


def scored(make: Callable[[], nn.Module], seed: int, budget: str) -> float:
    """Test accuracy on shapes filled with free textures."""
    recipe = Recipe(steps=by_budget(budget, smoke=2, lesson=150, full=400), batch=32, lr=RATE)
    return train(make, shapes(seed, budget), recipe, seed).score


def against_resnet(matrix: Tensor | None, seed: int, budget: str) -> Measured:
    ours = scored(partial(wave_net, matrix), seed, budget)
    theirs = scored(partial(resnet_twin, like_ours(resnet_twin)), seed, budget)
    return Measured(ours - theirs, system=ours, baseline=theirs)


def parameter_efficiency(seed: int, budget: str) -> Measured:
    return against_resnet(None, seed, budget)


def parameter_efficiency_averaged(seed: int, budget: str) -> Measured:
    """Control: average pooling in the place of the transform."""
    return against_resnet(AVERAGE, seed, budget)


def over_random(ours: Tensor | None, seed: int, budget: str) -> Measured:
    system = scored(partial(wave_net, ours), seed, budget)
    baseline = scored(partial(wave_net, random_orthonormal(seed)), seed, budget)
    return Measured(system - baseline, system=system, baseline=baseline)


def haar_prior(seed: int, budget: str) -> Measured:
    return over_random(None, seed, budget)


def no_prior(seed: int, budget: str) -> Measured:
    """Control: one random orthonormal transform against another."""
    return over_random(random_orthonormal(seed + 1000), seed, budget)


SYSTEM = System(
    key="wavemix",
    claims=[
        Claim(
            "saved-activations",
            says="One block of one level keeps less for the backward pass than a ResNet block of two 3 x 3 "
            "convolutions, because most of it happens on maps of a quarter of the pixels.",
            paper="with the number of parameters held equal, less GPU memory (abstract; no figure for a "
            "block)",
            unit="of what is kept",
            against="numbers kept for each of the input, ResNet block",
            bar=AtLeast(0.20, null=0),
            measure=saved_by_one_block,
            control=saved_without_halving,
            provenance="counted",
            seeds=1,
        ),
        Claim(
            "saved-activations-in-a-stack",
            says="One block more in a network of equal parameters adds less than a ResNet block does. There "
            "the input of each block is the output of the one before, and is kept once.",
            paper="with the number of parameters held equal, less GPU memory (abstract; no figure for a "
            "block)",
            unit="of what is kept",
            against="numbers kept for each pixel, ResNet block more",
            bar=AtLeast(0.20, null=0),
            measure=saved_in_a_stack,
            control=saved_in_a_stack_without_halving,
            provenance="counted",
            seeds=1,
        ),
        Claim(
            "reach-of-two-levels",
            says="What one output sees grows faster than with convolutions: a block of two levels against "
            "two 3 x 3 convolutions, its narrowest output.",
            paper="expands the receptive field faster than convolutions do (abstract)",
            unit="times",
            against="pixels, narrowest view of a ResNet block",
            bar=AtLeast(1.01, null=1),
            measure=reach_of_two_levels,
            control=reach_of_one_level,
            provenance="counted",
            seeds=1,
        ),
        Claim(
            "parameter-efficiency",
            says="With as many parameters, at most two points below a ResNet on shapes filled with textures.",
            paper="90 % on CIFAR-10 with 520,106 parameters (README); no ResNet of that size is given",
            unit="of all right",
            against="share right, the ResNet twin",
            bar=AtLeast(-0.02),
            measure=parameter_efficiency,
            control=parameter_efficiency_averaged,
        ),
        Claim(
            "haar-prior",
            says="It matters that the transform is Haar's: a random orthonormal one in its place costs a "
            "point or more.",
            paper="three image priors: scale invariance, shift invariance, sparseness of edges (abstract)",
            unit="of all right",
            against="share right, a random orthonormal transform",
            bar=AtLeast(0.01, null=0),
            measure=haar_prior,
            control=no_prior,
        ),
    ],
    deviations=[
        "Activations are counted on a processor, where dropout keeps a factor of four bytes for every "
        "number; a graphics card keeps one byte, and the block then keeps 3.63 numbers per pixel and "
        "channel, not 4.00. The counted stack is at equal parameters, the single block at equal channels "
        "(21 thousand parameters against 18 thousand).",
        "Accuracy is compared in one small frame (stem of stride 2, four blocks, mean, linear layer), "
        "without dropout, with AdamW in one cycle for both, and one of two learning rates for both. The "
        "source's two optimisers in turn are `two_stages`; at this length the second changes nothing that "
        "can be seen.",
        "The source changes optimisers after 20 epochs without progress on the test data; `two_stages` "
        "changes at a fixed step, so that the test is not used.",
        "The four bands stand one after the other, all LL first. The source interleaves the details of a "
        "channel; the 1 x 1 convolution behind them makes that the same.",
        "Sizes that do not halve evenly are rounded up with zeros and cut again; the source needs a multiple "
        "of 2 to the power of the levels.",
        "The README says that its few parameters come from interpolation in the place of transposed "
        "convolutions. The counts say that this holds for two of its four models (3,566 and 37,058), not for "
        "the ones with 7,156 and 520,106.",
        "Segmentation and super-resolution heads, and a Lion optimiser that one example uses, are left out.",
        "Paper scale: ImageNet, Places-365 and Cityscapes on one graphics card.",
    ],
)
