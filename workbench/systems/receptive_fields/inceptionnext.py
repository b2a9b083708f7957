"""InceptionNeXt: When Inception Meets ConvNeXt.

Weihao Yu, Pan Zhou, Shuicheng Yan, Xinchao Wang; CVPR 2024; https://arxiv.org/abs/2303.16900.
Original code: https://github.com/sail-sg/inceptionnext, Apache 2.0. Nothing is copied from it.

A depthwise convolution multiplies little and moves much: every channel is read and written for a few
products a pixel. Here most channels are left as they are, and the rest is shared by three thin kernels:

    split      channels into identity, square, across, down           `split`
    mixer      x_id | 3 x 3 | 1 x 11 | 11 x 1, in this order          `InceptionMixer`
    block      x + scale * mlp(norm(mixer(x)))                        `MetaNeXtBlock`
    stages     norm and 2 x 2 stride 2, then blocks                   `MetaNeXtStage`
    stem       4 x 4 stride 4                                         `MetaNeXt`
    head       mean over the map, then a small perceptron             `MlpHead`
    variants   atto, tiny, small, base                                `VARIANTS`, `inceptionnext`

Identity costs nothing only where nothing is copied. Concatenation copies; `InceptionMixer.overwrite` does not
(`workbench.kernels.inception`).

Deviations: listed in `SYSTEM`.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor, nn

from workbench.budget import by_budget
from workbench.claims import AtLeast, Claim, Measured, System
from workbench.counting import Counts, Geometry, Level, count
from workbench.errors import WorkbenchError
from workbench.kernels.inception import inception_mixer
from workbench.kernels.line_ring import depthwise_lines
from workbench.kernels.stream import stream_copy
from workbench.layers import DepthwiseConv2d, DropPath, LayerScale, TinyNet
from workbench.machine import paired, timed
from workbench.train import Recipe, task, train

Depthwise = Callable[[int, tuple[int, int]], nn.Conv2d]
Mixer = Callable[[int], nn.Module]

# The mechanism --------------------------------------------------------------------------------


def split(channels: int, ratio: float = 1 / 8) -> tuple[int, int, int, int]:
    """How many channels stay as they are, and how many each of the three branches gets.

    The share is rounded down, so fewer than 1 / ratio channels have no branches at all.

    >>> split(96), split(7)
    ((60, 12, 12, 12), (7, 0, 0, 0))
    """
    if channels < 1 or not 0 <= ratio <= 1 / 3:
        raise WorkbenchError(
            "channels must be at least 1 and the ratio of each of the three branches from 0 to 1/3, "
            f"but {channels} and {ratio:g} came"
        )
    branch = int(channels * ratio)
    return channels - 3 * branch, branch, branch, branch


def of_torch(channels: int, kernel: tuple[int, int]) -> nn.Conv2d:
    """torch's own depthwise convolution to the same size; [batch, channels, height, width]."""
    padding = kernel[0] // 2, kernel[1] // 2
    return nn.Conv2d(channels, channels, kernel, padding=padding, groups=channels)


def of_ours(channels: int, kernel: tuple[int, int]) -> nn.Conv2d:
    """The same convolution by whichever of the workbench's ways is quickest for this size."""
    return DepthwiseConv2d(channels, kernel)


class InceptionMixer(nn.Module):
    """Inception depthwise convolution: identity, square, across and down, next to each other.

    [batch, channels, height, width] -> the same. square, band: odd sides of the kernels. ratio: share of the
    channels that each branch gets. depthwise: what makes a convolution from channels and kernel.
    """

    def __init__(
        self,
        channels: int,
        square: int = 3,
        band: int = 11,
        ratio: float = 1 / 8,
        depthwise: Depthwise = of_ours,
    ) -> None:
        super().__init__()
        if square < 1 or band < 1 or square % 2 == 0 or band % 2 == 0:
            raise WorkbenchError(f"square and band must be odd, but {square} and {band} came")
        self.groups = split(channels, ratio)
        kernels = ((square, square), (1, band), (band, 1))
        self.branches = nn.ModuleList(depthwise(self.groups[1], k) for k in kernels if self.groups[1])

    def forward(self, x: Tensor) -> Tensor:
        identity, *groups = torch.split(x, list(self.groups), dim=1)
        branches = [branch(group) for branch, group in zip(self.branches, groups, strict=False)]
        return torch.cat([identity, *branches], dim=1)

    def as_one_kernel(self, depthwise: Depthwise = of_torch) -> nn.Conv2d:
        """One depthwise convolution over all channels that equals this mixer, most of its weights zero."""
        channels = sum(self.groups)
        side = max([1, *(max(b.kernel_size) for b in self.branches)])  # type: ignore[arg-type]
        dense = depthwise(channels, (side, side))
        weight, bias = torch.zeros(channels, 1, side, side), torch.zeros(channels)
        weight[:, 0, side // 2, side // 2] = 1
        first = self.groups[0]
        for branch in self.branches:
            assert isinstance(branch, nn.Conv2d)
            assert branch.bias is not None
            here, (height, width) = slice(first, first + len(branch.weight)), branch.weight.shape[2:]
            top, left = (side - height) // 2, (side - width) // 2
            weight[here] = 0
            weight[here, :, top : top + height, left : left + width] = branch.weight.detach()
            bias[here] = branch.bias.detach()
            first += len(branch.weight)
        with torch.no_grad():
            dense.weight.copy_(weight)
            dense.bias.copy_(bias)  # type: ignore[union-attr]
        return dense

    @torch.no_grad()
    def overwrite(self, x: Tensor) -> Tensor:
        """The mixer without a copy: the branches' channels of x are overwritten, the others not touched.

        x: contiguous, on the CPU, and needed by nobody else; the shortcut of a block needs it.
        """
        if self.branches:
            square, across, down = (branch.weight[:, 0].numpy() for branch in self.branches)  # type: ignore[index]
            bias = torch.stack([branch.bias for branch in self.branches])  # type: ignore[misc]
            inception_mixer(x.numpy(), square, across, down, bias.numpy())
        return x


class MetaNeXtBlock(nn.Module):
    """x + scale * mlp(norm(mixer(x))): one look sideways, one mix of the channels, one shortcut.

    [batch, channels, height, width] -> the same. mixer: makes the module that looks sideways from a number of
    channels; everything else is the same for every mixer, which makes mixers comparable.
    layer_scale: what the branch is multiplied by at first, channel by channel. drop_path: chance in training
    that an image skips the branch.
    """

    def __init__(
        self,
        channels: int,
        mixer: Mixer = InceptionMixer,
        expansion: int = 4,
        layer_scale: float = 1e-6,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.mixer = mixer(channels)
        self.norm = nn.BatchNorm2d(channels)
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, expansion * channels, 1),
            nn.GELU(),
            nn.Conv2d(expansion * channels, channels, 1),
        )
        self.scale = LayerScale(channels, layer_scale)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.scale(self.mlp(self.norm(self.mixer(x)))))


class MetaNeXtStage(nn.Sequential):
    """Blocks of one resolution; but for the first stage, a norm and a 2 x 2 step down come before.

    [batch, inputs, height, width] -> [batch, channels, height / 2, width / 2] (or the same size).
    drop_path: one chance a block. Further options are those of the block.
    """

    def __init__(
        self, inputs: int, channels: int, drop_path: Sequence[float], *, down: bool, **options: object
    ) -> None:
        step = [nn.BatchNorm2d(inputs), nn.Conv2d(inputs, channels, 2, stride=2)] if down else []
        blocks = [MetaNeXtBlock(channels, drop_path=chance, **options) for chance in drop_path]  # type: ignore[arg-type]
        super().__init__(*step, *blocks)


class MlpHead(nn.Module):
    """Mean of the map, Linear, GELU, LayerNorm, Linear: [batch, channels, h, w] -> [batch, classes]."""

    def __init__(self, channels: int, classes: int, ratio: int = 3) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels, ratio * channels),
            nn.GELU(),
            nn.LayerNorm(ratio * channels, eps=1e-6),
            nn.Linear(ratio * channels, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        head: Tensor = self.layers(x.mean(dim=(2, 3)))
        return head


class MetaNeXt(nn.Sequential):
    """The whole network: stem, stages, head. [batch, inputs, height, width] -> [batch, classes].

    depths, widths, expansions: blocks, channels and the factor of the perceptron, stage by stage.
    drop_path: the chance of the last block; it grows evenly from 0 at the first.
    """

    def __init__(
        self,
        depths: Sequence[int],
        widths: Sequence[int],
        mixer: Mixer = InceptionMixer,
        expansions: Sequence[int] = (4, 4, 4, 3),
        classes: int = 1000,
        inputs: int = 3,
        drop_path: float = 0.0,
        layer_scale: float = 1e-6,
    ) -> None:
        if not len(depths) == len(widths) == len(expansions):
            raise WorkbenchError(
                "depths, widths and expansions must have one entry for each stage, "
                f"but {len(depths)}, {len(widths)} and {len(expansions)} came"
            )
        stem = nn.Sequential(nn.Conv2d(inputs, widths[0], 4, stride=4), nn.BatchNorm2d(widths[0]))
        chances = iter(np.linspace(0, drop_path, sum(depths)).tolist())
        stages = [
            MetaNeXtStage(
                before,
                width,
                [next(chances) for _ in range(depth)],
                down=number > 0,
                mixer=mixer,
                expansion=expansion,
                layer_scale=layer_scale,
            )
            for number, (before, width, depth, expansion) in enumerate(
                zip((widths[0], *widths), widths, depths, expansions, strict=False)
            )
        ]
        super().__init__(stem, *stages, MlpHead(widths[-1], classes))
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(part.weight, std=0.02)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)


VARIANTS: dict[str, dict[str, object]] = {
    "atto": {
        "depths": (2, 2, 6, 2),
        "widths": (40, 80, 160, 320),
        "mixer": partial(InceptionMixer, band=9, ratio=1 / 4),
    },
    "tiny": {"depths": (3, 3, 9, 3), "widths": (96, 192, 384, 768)},
    "small": {"depths": (3, 3, 27, 3), "widths": (96, 192, 384, 768)},
    "base": {"depths": (3, 3, 27, 3), "widths": (128, 256, 512, 1024)},
}


def inceptionnext(variant: str = "atto", **options: object) -> MetaNeXt:
    """The published network of this name; further options are those of `MetaNeXt`.

    >>> inceptionnext("atto", classes=10)(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 10])
    """
    if variant not in VARIANTS:
        raise WorkbenchError(f"a variant is one of {', '.join(VARIANTS)}, but {variant!r} came")
    return MetaNeXt(**{**VARIANTS[variant], **options})  # type: ignore[arg-type]


# What it is compared with ---------------------------------------------------------------------

MIXERS: dict[str, Mixer] = {
    "inception": InceptionMixer,
    "dw7": lambda channels: of_ours(channels, (7, 7)),
    "sixteenth": partial(InceptionMixer, ratio=1 / 16),
    "identity": lambda channels: nn.Identity(),
}


def tiny_net(mixer: str, width: int = 24, depth: int = 3) -> TinyNet:
    """A small classifier of grey pictures whose blocks differ in nothing but the mixer."""
    block = partial(MetaNeXtBlock, mixer=MIXERS[mixer], layer_scale=1.0)
    return TinyNet(block, width=width, depth=depth)


# The claims: accuracy -------------------------------------------------------------------------

RATE = 8e-3  # of 2e-3 and 8e-3 the better one for this mixer and for 7 x 7


@cache
def accuracy(mixer: str, seed: int, budget: str, again: bool = False) -> float:
    """Percent right on unseen pictures of shapes; `again` starts from other weights."""
    images, steps, size = by_budget(budget, smoke=(36, 2, 16), lesson=(900, 100, 40), full=(900, 400, 40))
    work = task("shape-textures", seed=seed, size=size, images=images, mode="free")
    recipe = Recipe(steps=steps, batch=min(32, images), lr=RATE)
    run = train(partial(tiny_net, mixer), work, recipe, seed=seed + 1000 * again)
    return 100 * run.score


def points(system: float, baseline: float) -> Measured:
    return Measured(system - baseline, system=system, baseline=baseline)


def accuracy_gap(seed: int, budget: str) -> Measured:
    """Percentage points above the same network with 7 x 7 on all channels."""
    return points(accuracy("inception", seed, budget), accuracy("dw7", seed, budget))


def accuracy_gap_of_identity(seed: int, budget: str) -> Measured:
    """Control: no channel looks sideways; only the stem sees more than one place."""
    return points(accuracy("identity", seed, budget), accuracy("dw7", seed, budget))


def eighth_over_sixteenth(seed: int, budget: str) -> Measured:
    """Percentage points that branches of an eighth of the channels gain over branches of a sixteenth."""
    return points(accuracy("inception", seed, budget), accuracy("sixteenth", seed, budget))


def eighth_over_itself(seed: int, budget: str) -> Measured:
    """Control: the same network twice, from different weights."""
    return points(accuracy("inception", seed, budget), accuracy("inception", seed, budget, again=True))


# The claims: time -----------------------------------------------------------------------------

SHAPES = ((96, 56), (384, 14))  # channels and side of the first and the third stage of the tiny variant
Shapes = Sequence[tuple[int, int]]
Step = Callable[[], object]


def torch_mixer(channels: int) -> nn.Module:
    return InceptionMixer(channels, depthwise=of_torch)


def torch_dw7(channels: int) -> nn.Module:
    return of_torch(channels, (7, 7))


def torch_one_kernel(channels: int) -> nn.Module:
    """The mixer's own function, but as one 11 x 11 depthwise convolution over all channels."""
    return torch_mixer(channels).as_one_kernel()  # type: ignore[operator]


def work_of(make: Mixer, batch: int, training: bool, last: bool, shapes: Shapes = SHAPES) -> Step:
    """One pass through a module of each shape, forward only or with all gradients.

    last: channels are the last axis in memory instead of the second.
    """
    parts = []
    for channels, side in shapes:
        torch.manual_seed(0)
        layout = torch.channels_last if last else torch.contiguous_format
        x = torch.randn(batch, channels, side, side).to(memory_format=layout)
        module = make(channels).to(memory_format=layout).train(training)  # type: ignore[call-overload]
        parts.append((module, x.requires_grad_(training), [x, *module.parameters()]))

    def forward() -> None:
        with torch.no_grad():
            for module, x, _ in parts:
                module(x)

    def forward_and_backward() -> None:
        for module, x, wanted in parts:
            torch.autograd.grad(module(x).square().sum(), wanted)

    return forward_and_backward if training else forward


def faster_layout(make: Mixer, batch: int, training: bool, shapes: Shapes = SHAPES) -> Step:
    """The work in whichever of the two layouts is faster here, as the source reports it."""
    works = [work_of(make, batch, training, last, shapes) for last in (False, True)]
    return min(works, key=lambda work: timed(work, repeats=5).shortest.value)


def speedup(system: Mixer, baseline: Mixer, training: bool, seed: int, budget: str) -> Measured:
    """How many times faster the system is, both shapes together, each side in its faster layout."""
    batch, repeats = by_budget(budget, smoke=(1, 1), lesson=(2, 5), full=(8, 15))
    shapes: Shapes = by_budget(budget, smoke=((16, 14),), lesson=SHAPES)
    with torch.random.fork_rng(devices=[]):
        f, g = (faster_layout(make, batch, training, shapes) for make in (system, baseline))
        pair = paired(f, g, repeats=repeats, seed=seed, threads=torch.get_num_threads())
    return Measured(pair.speedup.value, system=pair.f.value, baseline=pair.g.value)


def block_of(mixer: Mixer) -> Mixer:
    return partial(MetaNeXtBlock, mixer=mixer)


def operator_training(seed: int, budget: str) -> Measured:
    return speedup(torch_mixer, torch_dw7, True, seed, budget)


def operator_training_as_one(seed: int, budget: str) -> Measured:
    return speedup(torch_one_kernel, torch_dw7, True, seed, budget)


def block_training(seed: int, budget: str) -> Measured:
    return speedup(block_of(torch_mixer), block_of(torch_dw7), True, seed, budget)


def block_training_as_one(seed: int, budget: str) -> Measured:
    return speedup(block_of(torch_one_kernel), block_of(torch_dw7), True, seed, budget)


def block_inference(seed: int, budget: str) -> Measured:
    return speedup(block_of(torch_mixer), block_of(torch_dw7), False, seed, budget)


def block_inference_as_one(seed: int, budget: str) -> Measured:
    return speedup(block_of(torch_one_kernel), block_of(torch_dw7), False, seed, budget)


# The claims: operations and bytes -------------------------------------------------------------

SMALL = Geometry([Level(8 * 1024, 8), Level(64 * 1024, 8)])
CHANNELS = 96


def counts_of(kind: str, side: int, channels: int = CHANNELS) -> list[Counts]:
    """What one image [channels, side, side] costs, call by call.

    kind: "dw7" and "one kernel" filter every channel by 7 x 7 or 11 x 11. "in place" runs the three branches
    over their own channels; "concatenated" runs them into an array apart, and copies that and the untouched
    channels.
    """
    draw = np.random.default_rng(0)

    def array(*shape: int) -> np.ndarray:
        return draw.random(shape, np.float32)

    def filtered(x: np.ndarray, kernel: tuple[int, int], out: np.ndarray) -> Counts:
        return count(depthwise_lines, x, array(len(x), *kernel), array(len(x)), out, 1, geometry=SMALL)

    first, g, _, _ = split(channels)
    x, out, parts = (array(n, side, side) for n in (channels, channels, 3 * g))
    if kind in ("dw7", "one kernel"):
        return [filtered(x, (7, 7) if kind == "dw7" else (11, 11), out)]
    if kind not in ("in place", "concatenated"):
        raise WorkbenchError(f"kind is dw7, one kernel, in place or concatenated, but {kind!r} came")
    counts = []
    for number, kernel in enumerate(((3, 3), (1, 11), (11, 1))):
        group, part = x[first + number * g :][:g], parts[number * g :][:g]
        counts.append(filtered(group, kernel, group if kind == "in place" else part))
    if kind == "concatenated":
        for source, target in ((x[:first], out[:first]), (parts, out[first:])):
            counts.append(count(stream_copy, source.ravel(), target.ravel(), geometry=SMALL))
    return counts


def traffic(counts: Sequence[Counts]) -> int:
    """Bytes that the memory behind the last cache moves, each call beginning with empty caches.

    Lines come in at misses, of written arrays too; every line that was written goes out again, now or later.
    The ring of lines and the sums never leave a cache.
    """
    came = SMALL.line * sum(each.cache["L2"].misses.total for each in counts)
    went = sum(
        each.bytes_unique[name]
        for each in counts
        for name, number in each.stores.items()
        if number and name not in ("lines", "sums")
    )
    return came + went


def fewer_products(kind: str, side: int) -> Measured:
    """Multiply-adds a pixel of 7 x 7 over all channels, over those of this kind."""
    system, baseline = (sum(c.flops for c in counts_of(k, side)) / 2 / side**2 for k in (kind, "dw7"))
    return Measured(baseline / system, system=system, baseline=baseline)


def macs(seed: int, budget: str) -> Measured:
    return fewer_products("in place", by_budget(budget, smoke=8, lesson=28))


def macs_as_one(seed: int, budget: str) -> Measured:
    """Control: the same function as one 11 x 11 kernel."""
    return fewer_products("one kernel", by_budget(budget, smoke=8, lesson=28))


def fewer_bytes(kind: str, budget: str) -> Measured:
    """Bytes a pixel that memory moves for 7 x 7 over all channels, over those of this kind."""
    side = by_budget(budget, smoke=20, lesson=56)
    system, baseline = (traffic(counts_of(k, side)) / side**2 for k in (kind, "dw7"))
    return Measured(baseline / system, system=system, baseline=baseline)


def bytes_in_place(seed: int, budget: str) -> Measured:
    return fewer_bytes("in place", budget)


def bytes_concatenated(seed: int, budget: str) -> Measured:
    """Control: the branches are copied together with the channels that nobody touched."""
    return fewer_bytes("concatenated", budget)


SYSTEM = System(
    key="inceptionnext",
    claims=[
        Claim(
            "macs",
            says="For 96 channels the mixer multiplies 372 times a pixel, a 7 x 7 depthwise convolution 4704 "
            "times.",
            paper="follows from its design: 3 x 3, 1 x 11 and 11 x 1 on an eighth of the channels each",
            unit="times",
            against="multiplications a pixel, 7 x 7",
            bar=AtLeast(12.6, null=1),  # 4704 / 372 = 12.645
            measure=macs,
            control=macs_as_one,
            provenance="counted",
            seeds=1,
        ),
        Claim(
            "bytes-moved",
            says="Written in place, the mixer moves fewer bytes than a 7 x 7 depthwise convolution, by at "
            "least the share of channels that it leaves alone (96 / 36). Control: branches that are "
            "concatenated, as frameworks do it.",
            paper="names memory access, not operations, as what makes 7 x 7 slow; no figure",
            unit="times",
            against="bytes a pixel, 7 x 7",
            bar=AtLeast(2.6, null=1),
            measure=bytes_in_place,
            control=bytes_concatenated,
            provenance="simulated",
            seeds=1,
        ),
        Claim(
            "operator-training-time",
            says="Forward and backward, the mixer is at least three times as fast as a 7 x 7 depthwise "
            "convolution: 96 channels at 56 x 56 and 384 at 14 x 14, both of torch, each in its faster "
            "memory layout. Control: the same function as one masked 11 x 11 convolution.",
            paper="training 1.57 times as fast as ConvNeXt-T, 901 against 575 images/s, for whole networks "
            "on an A100",
            unit="times",
            against="s, 7 x 7",
            bar=AtLeast(3, null=1),
            measure=operator_training,
            control=operator_training_as_one,
        ),
        Claim(
            "block-training-time",
            says="A whole block trains at least 1.1 times as fast with this mixer as with 7 x 7.",
            paper="training 1.57 times as fast as ConvNeXt-T, 901 against 575 images/s, on an A100",
            unit="times",
            against="s, 7 x 7",
            bar=AtLeast(1.1, null=1),
            measure=block_training,
            control=block_training_as_one,
        ),
        Claim(
            "block-inference-time",
            says="A whole block runs forward at least 1.1 times as fast with this mixer as with 7 x 7.",
            paper="inference 1.20 times as fast as ConvNeXt-T, 2900 against 2413 images/s, on an A100",
            unit="times",
            against="s, 7 x 7",
            bar=AtLeast(1.1, null=1),
            measure=block_inference,
            control=block_inference_as_one,
        ),
        Claim(
            "accuracy",
            says="With this mixer a network is at most 1.5 points less accurate than with 7 x 7: six shapes "
            "with textures that tell nothing. Control: no channel looks sideways.",
            paper="82.3 % of ImageNet right against 82.1 % for ConvNeXt-T",
            unit="points",
            against="% right, 7 x 7",
            bar=AtLeast(-1.5),
            measure=accuracy_gap,
            control=accuracy_gap_of_identity,
        ),
        Claim(
            "branch-share",
            says="Branches of an eighth of the channels are more accurate than branches of a sixteenth, by "
            "at least the points that the paper reports for 3 x 3. Control: the same network from other "
            "weights.",
            paper="ConvNeXt-T with 3 x 3 on some channels: 80.8 % on an eighth, 80.1 % on a sixteenth, "
            "81.5 % on all",
            unit="points",
            against="% right, a sixteenth",
            bar=AtLeast(0.7, null=0),
            measure=eighth_over_sixteenth,
            control=eighth_over_itself,
        ),
    ],
    deviations=[
        "Accuracy is measured on 900 small pictures of shapes with three blocks of 24 channels at one "
        "resolution, without the four stages, and with layer scale 1 instead of 1e-6, which needs thousands "
        "of steps to grow. All arms have the same.",
        "The baseline is the same block with 7 x 7 in the mixer's place. The source compares with "
        "ConvNeXt-T, which has a LayerNorm too; ours differs in nothing but the mixer.",
        "Times are those of one block of the first and one of the third stage on a CPU. torch's depthwise "
        "backward pass is slow there, for wide kernels more than for narrow ones, which favours the mixer; "
        "the lesson shows the same comparison with this project's faster convolutions.",
        "Fewer than eight channels leave no branch, and the mixer is the identity; the original fails there.",
        "The pretrained weights and the 384-pixel variant (the same network) are left out; dropout inside "
        "the perceptrons, 0 in all released settings, too.",
        "Paper scale: 300 epochs of ImageNet, batches of 4096, AdamW, on eight graphics cards.",
    ],
)
