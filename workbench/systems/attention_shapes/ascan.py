"""AsCAN: Asymmetric Convolution-Attention Networks for Efficient Recognition and Generation.

Anil Kag, Huseyin Coskun, Jierun Chen, Junli Cao, Willi Menapace, Aliaksandr Siarohin, Sergey Tulyakov,
Jian Ren; NeurIPS 2024; https://arxiv.org/abs/2411.04967. No code of the model is public as far as we know.

Attention is left as it is, to all pixels. What is chosen is its place. A network has stages, each at half the
side of the one before and with twice the channels; a stage is a row of blocks; and a block is a convolution
(C) or a transformer (T). The source puts C early, where pixels are many, and T late, where they are few.

A placing says all of this in one line, stages between bars:

    CC|CCT|CTT|TT

    blocks     `ConvBlock` (C), `TransformerBlock` (T)
    networks   `AsCAN`: stem, stages, head; `AsCANUNet`: stages down, and the same stages mirrored upwards
    price      `multiply_adds`: what a placing costs at any resolution, without building it

Deviations: listed in `SYSTEM`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from itertools import pairwise, product

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.budget import by_budget
from workbench.claims import AtLeast, AtMost, Claim, Measured, System
from workbench.errors import WorkbenchError
from workbench.layers import DepthwiseConv2d, LayerNorm2d, Residual, SelfAttention2d, SqueezeExcite
from workbench.layers.conv_norm import ConvNorm
from workbench.machine import paired
from workbench.train import Recipe, Run, Task, equal, region_task, train

# Blocks -----------------------------------------------------------------------------------------

EXPANSION, SHARE = 4, 0.25


class ConvBlock(Residual):
    """C: x + branch(x), an inverted residual: [batch, channels, height, width] -> the same.

    The last norm of the branch starts with 0, so that at first the block is the identity.
    The branch widens to four times the channels (1 x 1), convolves each of them by itself (3 x 3), weighs
    them by squeeze-and-excitation, and narrows again (1 x 1). fused: one full convolution of 3 x 3 takes the
    place of the first two, which needs more multiplications and fewer trips to memory.
    """

    def __init__(self, channels: int, fused: bool = False) -> None:
        wide = EXPANSION * channels
        if fused:
            widen: list[nn.Module] = [ConvNorm(channels, wide, 3), nn.SiLU()]
        else:
            each = DepthwiseConv2d(wide, 3, bias=False)
            widen = [ConvNorm(channels, wide), nn.SiLU(), each, nn.BatchNorm2d(wide), nn.SiLU()]
        super().__init__(nn.Sequential(*widen, SqueezeExcite(wide, SHARE), ConvNorm(wide, channels, gain=0)))


class TransformerBlock(nn.Sequential):
    """T: x + attention(norm x), then x + feed-forward(norm x): [batch, channels, height, width] -> the same.

    Every pixel attends to all pixels. The feed-forward has four times the channels inside.
    """

    def __init__(self, channels: int, heads: int = 2) -> None:
        wide = EXPANSION * channels
        attention = nn.Sequential(LayerNorm2d(channels), SelfAttention2d(channels, heads))
        feed_forward = nn.Sequential(
            LayerNorm2d(channels), nn.Conv2d(channels, wide, 1), nn.GELU(), nn.Conv2d(wide, channels, 1)
        )
        super().__init__(Residual(attention), Residual(feed_forward))


# Placings ---------------------------------------------------------------------------------------


def stages_of(placing: str) -> tuple[str, ...]:
    """The stages of a placing, first to last.

    >>> stages_of("CC|CT")
    ('CC', 'CT')
    """
    stages = tuple(placing.split("|"))
    if not all(stages) or set(placing) - set("CT|"):
        raise WorkbenchError(
            f"a placing is made of C and T with bars between stages that are not empty, but {placing!r} came"
        )
    return stages


def placings(*lengths: int) -> list[str]:
    """All placings whose stages have these lengths.

    >>> placings(1, 1)
    ['C|C', 'C|T', 'T|C', 'T|T']
    """
    stages = [["".join(blocks) for blocks in product("CT", repeat=length)] for length in lengths]
    return ["|".join(chosen) for chosen in product(*stages)]


def mirrored(placing: str) -> str:
    """The placing read from its end, as the upward half of a UNet has it.

    >>> mirrored("CC|CT")
    'TC|CC'
    """
    return placing[::-1]


def _row(blocks: str, channels: int, heads: int, fused: bool) -> nn.Sequential:
    return nn.Sequential(
        *(ConvBlock(channels, fused) if b == "C" else TransformerBlock(channels, heads) for b in blocks)
    )


class AsCAN(nn.Module):
    """The network of a placing: stem, stages, head.

    [batch, inputs, height, width] -> [batch, outputs], or with `pixels` -> [batch, outputs, height, width].

    width: channels of the first stage; every later one has twice as many at half the side, merged by
    convolutions of 2 x 2. stem: how many of its 3 x 3 convolutions halve the side; with 0 there is one that
    keeps it. fused: how many stages, from the first, have fused C. With pixels, each pixel of the last stage
    answers for the square that it was merged from.
    """

    def __init__(
        self,
        placing: str,
        width: int,
        inputs: int = 3,
        outputs: int = 1000,
        *,
        stem: int = 2,
        fused: int = 1,
        heads: int = 2,
        pixels: bool = False,
    ) -> None:
        super().__init__()
        stages = stages_of(placing)
        widths = [width * 2**i for i in range(len(stages))]
        self.stem = _stem(inputs, width, stem)
        rows = [
            _row(blocks, channels, heads, i < fused)
            for i, (blocks, channels) in enumerate(zip(stages, widths, strict=True))
        ]
        merges = [ConvMerge(before, after) for before, after in pairwise(widths)]
        self.stages = nn.Sequential(
            rows[0], *(nn.Sequential(merge, row) for merge, row in zip(merges, rows[1:], strict=True))
        )
        self.norm = LayerNorm2d(widths[-1])
        self.head = nn.Conv2d(widths[-1], outputs, 1)
        self.pixels = pixels

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.stages(self.stem(x)))
        if not self.pixels:
            return self.head(y.mean((2, 3), keepdim=True)).flatten(1)
        return F.interpolate(self.head(y), size=x.shape[2:], mode="nearest")


class ConvMerge(nn.Sequential):
    """Squares of 2 x 2 pixels become one: [batch, channels, height, width] -> [batch, out, half, half]."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(nn.Conv2d(channels, out, 2, 2, bias=False), nn.BatchNorm2d(out))


def _stem(inputs: int, width: int, halvings: int) -> nn.Sequential:
    """Convolutions of 3 x 3, a norm and a SiLU between them."""
    parts: list[nn.Module] = []
    for _ in range(halvings - 1):
        parts += [ConvNorm(inputs, width, 3, 2), nn.SiLU()]
        inputs = width
    return nn.Sequential(*parts, nn.Conv2d(inputs, width, 3, 2 if halvings else 1, 1))


class AsCANUNet(nn.Module):
    """Stages down, and the same stages mirrored upwards: [batch, inputs, height, width] -> [.., outputs, ..].

    On its way up each stage first gets what the downward stage of its size had found, joined by a 1 x 1
    convolution. T stands around the middle, C at both ends. Sides must be divisible by 2 to the number of
    stages less 1.
    """

    def __init__(
        self, placing: str, width: int, inputs: int = 3, outputs: int = 3, *, fused: int = 1, heads: int = 2
    ) -> None:
        super().__init__()
        down, up = stages_of(placing), stages_of(mirrored(placing))
        widths = [width * 2**i for i in range(len(down))]
        self.stem = _stem(inputs, width, 0)
        self.down = nn.ModuleList(
            _row(blocks, channels, heads, i < fused)
            for i, (blocks, channels) in enumerate(zip(down, widths, strict=True))
        )
        self.up = nn.ModuleList(
            _row(blocks, channels, heads, i >= len(up) - fused)
            for i, (blocks, channels) in enumerate(zip(up, reversed(widths), strict=True))
        )
        self.merges = nn.ModuleList(ConvMerge(before, after) for before, after in pairwise(widths))
        self.splits = nn.ModuleList(
            nn.ConvTranspose2d(after, before, 2, 2) for before, after in reversed(list(pairwise(widths)))
        )
        self.joins = nn.ModuleList(nn.Conv2d(2 * channels, channels, 1) for channels in widths[-2::-1])
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        step = 2 ** (len(self.down) - 1)
        if x.ndim != 4 or x.shape[2] % step or x.shape[3] % step:
            raise WorkbenchError(
                f"expected [batch, channels, height, width] with sides divisible by {step}, "
                f"but {list(x.shape)} came"
            )
        x, found = self.stem(x), []
        for i, row in enumerate(self.down):
            x = row(self.merges[i - 1](x) if i else x)
            found.append(x)
        for i, row in enumerate(self.up):
            if i:
                x = self.joins[i - 1](torch.cat([self.splits[i - 1](x), found[-1 - i]], 1))
            x = row(x)
        return self.head(x)


# The price ----------------------------------------------------------------------------------------


def conv_multiply_adds(pixels: int, channels: int, fused: bool = False) -> int:
    """Of one `ConvBlock`; the two small layers of squeeze-and-excitation run once for a whole map."""
    wide = EXPANSION * channels
    widen = 9 * channels * wide if fused else channels * wide + 9 * wide
    return pixels * (widen + wide * channels) + 2 * wide * max(1, round(SHARE * wide))


def transformer_multiply_adds(pixels: int, channels: int) -> int:
    """Of one `TransformerBlock`: projections and feed-forward by pixel, scores and sums by pair of pixels."""
    return (4 + 2 * EXPANSION) * pixels * channels**2 + 2 * pixels**2 * channels


def multiply_adds(placing: str, side: int, width: int, fused: int = 1) -> int:
    """Of all blocks and merges of a placing, for one map that has side x side pixels in the first stage.

    width: channels of the first stage. fused: how many stages, from the first, have fused C. Stem and head
    are left out: they are the same for all placings.

    >>> multiply_adds("C|T", 8, 4) < multiply_adds("T|C", 8, 4)
    True
    """
    total, channels = 0, width
    for number, blocks in enumerate(stages_of(placing)):
        if number:
            side, channels = side // 2, 2 * channels
            total += side**2 * 4 * (channels // 2) * channels
        conv = conv_multiply_adds(side**2, channels, number < fused)
        total += blocks.count("C") * conv
        total += blocks.count("T") * transformer_multiply_adds(side**2, channels)
    return total


FOUR_STAGES = {  # twelve blocks, four of them T; a stage's C come first
    "asymmetric": "CCC|CCC|CCT|TTT",
    "interleaved": "CCT|CCT|CCT|CCT",
    "reversed": "TTT|CCT|CCC|CCC",
}


def growth(seed: int, budget: str, kind: str = "asymmetric") -> Measured:
    """How many times the multiply-adds grow from 56 x 56 to 112 x 112 pixels in the first stage."""
    small, large = (multiply_adds(FOUR_STAGES[kind], side, 64) for side in (56, 112))
    return Measured(large / small, system=large, baseline=small)


# Measuring ----------------------------------------------------------------------------------------

WIDTH, BATCH = 16, 16
TWO_OF_EACH = ("CC|TT", "CT|CT", "TC|TC", "TT|CC")
RATE = 8e-3  # the best of 0.004, 0.008, 0.016 on held-out images of seed 100, with two heads, for three of
RATES = {"TT|CC": 16e-3}  # the four placings that the claims compare; for the fourth this one


def network(placing: str, width: int = WIDTH) -> AsCAN:
    """Two stages on maps of 16 x 16 and 8 x 8, an answer for each pixel; one head allows any width."""
    return AsCAN(placing, width, inputs=4, outputs=1, stem=0, heads=1, pixels=True)


@cache
def equal_width(placing: str) -> int:
    """The width at which a placing has as many parameters as CC|TT, to a tenth."""
    widths = range(8, 41)
    found = equal(partial(network, placing), network("CC|TT"), widths=widths, within=0.1)
    return int(found.width)  # type: ignore[arg-type]


@cache
def regions(seed: int, budget: str) -> Task:
    """Which value has the region of each of 16 x 16 noisy pixels? Every image is seen once."""
    steps, tests = by_budget(budget, smoke=(2, 8), lesson=(150, 500), full=(600, 1000))
    return region_task("noisy-regions", seed, images=BATCH * steps, test={"images": tests})


def trained(placing: str, seed: int, budget: str) -> Run:
    """A placing at equal parameters, after training; the recipe is the same but for the rate."""
    task = regions(seed, budget)
    recipe = Recipe(steps=len(task.train[0]) // BATCH, batch=BATCH, lr=RATES.get(placing, RATE))
    return train(partial(network, placing, equal_width(placing)), task, recipe, seed)


@cache
def error(placing: str, seed: int, budget: str) -> float:
    """Mean squared error of a trained placing on images that it has not seen."""
    return -trained(placing, seed, budget).score


def best_rival(seed: int, budget: str, ours: str = "CC|TT") -> Measured:
    """The smallest error of the other placings with two C and two T, over that of `ours`."""
    errors = {placing: error(placing, seed, budget) for placing in TWO_OF_EACH}
    own = errors.pop(ours)
    rival = min(errors.values())
    return Measured(rival / own, system=own, baseline=rival)


def drawn_rival(seed: int, budget: str) -> Measured:
    """Control: a placing drawn from the others stands in the place of CC|TT."""
    drawn = np.random.default_rng(seed).choice(TWO_OF_EACH[1:])
    return best_rival(seed, budget, str(drawn))


def turned_round(seed: int, budget: str, early: str = "TT|CC", late: str = "CC|TT") -> Measured:
    """The error of T before C over that of C before T."""
    first, last = error(early, seed, budget), error(late, seed, budget)
    return Measured(first / last, system=last, baseline=first)


def permuted(seed: int, budget: str) -> Measured:
    """Control: the order changes inside the stages alone, and the price stays."""
    return turned_round(seed, budget, "TC|TC", "CT|CT")


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch keeps to one thread, without gradients."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)


@cache
def timed(placing: str) -> AsCAN:
    """Four stages for pictures, made ready to run; first weights are the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AsCAN(placing, 32, outputs=10).eval()


def latency(seed: int, budget: str, slow: str = "interleaved", fast: str = "asymmetric") -> Measured:
    """The time of one picture in one placing over that in another, on one thread, in turns."""
    side, repeats = by_budget(budget, smoke=(64, 1), lesson=(224, 9))
    x = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(seed))
    calls = [partial(timed(FOUR_STAGES[name]), x) for name in (slow, fast)]
    with one_thread():
        times = paired(calls[0], calls[1], repeats=repeats, seed=seed)
    return Measured(times.ratio.value, system=times.g.value, baseline=times.f.value)


def same_latency(seed: int, budget: str) -> Measured:
    """Control: the asymmetric placing against itself."""
    return latency(seed, budget, "asymmetric", "asymmetric")


ASYMMETRIC = "convolutions early and transformers late give a superior trade-off (no figure for one placing)"

SYSTEM = System(
    key="ascan",
    claims=[
        Claim(
            "asymmetric-beats-all",
            says="Of the four placings CC|TT, CT|CT, TC|TC and TT|CC, the first makes the smallest error, at "
            "equal parameters: the error of the best of the other three, over its own. The control puts a "
            "placing drawn from the other three in its place.",
            paper=ASYMMETRIC,
            unit="times",
            against="mean squared error, best of the others",
            bar=AtLeast(1),
            measure=best_rival,
            control=drawn_rival,
            provenance="counted",
        ),
        Claim(
            "late-not-early",
            says="T late makes smaller errors than T early: the error of TT|CC over that of CC|TT is at "
            "least 1.1. The control changes the order inside the stages alone: TC|TC over CT|CT.",
            paper=ASYMMETRIC,
            unit="times",
            against="mean squared error, TT|CC",
            bar=AtLeast(1.1, null=1),
            measure=turned_round,
            control=permuted,
            provenance="counted",
        ),
        Claim(
            "resolution",
            says="With four stages and four T out of twelve blocks, doubling both sides of the map "
            "multiplies the work of CCC|CCC|CCT|TTT by at most 5, and the pixels by 4. The control is "
            "TTT|CCT|CCC|CCC.",
            paper="plain attention stays affordable at high resolution where it comes late; the bar is ours",
            unit="times",
            against="multiply-adds at 56 x 56",
            bar=AtMost(5),
            measure=growth,
            control=partial(growth, kind="reversed"),
            provenance="formula",
            seeds=1,
        ),
        Claim(
            "latency",
            says="One picture of 224 x 224 takes at least 1.1 times as long where every stage has its T: "
            "CCT|CCT|CCT|CCT over CCC|CCC|CCT|TTT, first widths of 32, one thread. The control is the latter "
            "against itself.",
            paper="superior trade-off between performance and latency, measured on graphics cards",
            unit="times",
            against="s a picture, interleaved",
            bar=AtLeast(1.1, null=1),
            measure=latency,
            control=same_latency,
        ),
        Claim(
            "faster-than-efficient-attention",
            says="Without any optimisation of its attention the network runs faster than published networks "
            "with cheaper attention, at the same accuracy on ImageNet.",
            paper="faster inference than existing works with efficient attention mechanisms",
            bar=AtLeast(1),
            needs="hardware",
        ),
    ],
    deviations=[
        "Kinds of blocks, stem, four stages, head and mirror are the source's. What it leaves open, or what "
        "we could not check, is ours: norms, four times the channels inside of both blocks, merges of 2 x 2 "
        "between stages, a C whose last norm starts with 0, no positions, widths and depths.",
        "The region task on 16 x 16 noisy pixels stands in for ImageNet: two stages, 150 steps of 16 images, "
        "widths chosen so that parameters agree to a tenth.",
        "The UNet generates nothing here: its order of blocks is the source's mirror, but there is no "
        "diffusion, no condition on time, and no attention to words.",
        "Fused C in the first stage alone, as one of the source's options.",
        "Paper scale: ImageNet at several resolutions, and text-to-image training on many graphics cards.",
    ],
)
