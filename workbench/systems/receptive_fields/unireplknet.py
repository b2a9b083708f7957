"""UniRepLKNet: A Universal Perception Large-Kernel ConvNet for Audio, Video, Point Cloud, Time-Series and
Image Recognition.

Xiaohan Ding, Yiyuan Zhang, Yixiao Ge, Sijie Zhao, Lin Song, Xiangyu Yue, Ying Shan; CVPR 2024;
https://arxiv.org/abs/2311.15599 (November 2023). Original code:
https://github.com/AILab-CVC/UniRepLKNet, Apache 2.0. Nothing is copied from it.

The four guidelines for networks with wide kernels, and where each one is here:

1. blocks that also look at the whole map and mix channels well    `UniBlock`: `squeeze`, `grn`
2. dilated kernels beside the wide one, folded away afterwards     `BRANCHES`, `RepDepthwise`, `fold`
3. the kernel's size follows the stage: small early, wide later    `RELEASED`, `kernels=`
4. more depth by small kernels, as the wide ones see enough        3 and 13 in turn in `RELEASED["T"]`

and the same network for other senses, once they lie on a map: `series_map`, `spectrogram_map`, `frames_map`.

Deviations: listed in `SYSTEM`.
"""

from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.budget import by_budget
from workbench.claims import AtLeast, AtMost, Claim, Measured, System
from workbench.counting import count, kernel
from workbench.errors import WorkbenchError
from workbench.layers import (
    DepthwiseConv2d,
    DropPath,
    GlobalResponseNorm,
    LayerNorm2d,
    LayerScale,
    RepDepthwise,
    SqueezeExcite,
    fold,
    fold_norm,
    refuse_training,
    with_weights,
)

if TYPE_CHECKING:
    from workbench.train import Recipe, Run, Task

# The dilated branches ---------------------------------------------------------------------------

Branches = tuple[tuple[int, int], ...]

# (size, dilation) of what is trained beside a wide kernel: the near ones dense, the far ones sparse.
BRANCHES: dict[int, Branches] = {
    7: ((5, 1), (3, 2), (3, 3)),
    9: ((5, 1), (5, 2), (3, 3), (3, 4)),
    11: ((5, 1), (5, 2), (3, 3), (3, 4), (3, 5)),
    13: ((5, 1), (7, 2), (3, 3), (3, 4), (3, 5)),
    15: ((5, 1), (7, 2), (3, 3), (3, 5), (3, 7)),
    17: ((5, 1), (9, 2), (3, 4), (3, 5), (3, 7)),
}
SMALLEST_WIDE = 7  # below, a kernel stands alone


def undilated(branches: Branches) -> Branches:
    """The same kernels without their gaps: all of them look at the middle alone."""
    return tuple((size, 1) for size, _ in branches)


def spatial(channels: int, kernel: int, branches: Branches | None = None) -> nn.Module:
    """What looks sideways in a block: a wide kernel with its branches, or a plain depthwise convolution.

    branches: default those of `BRANCHES` for kernels from 7 on, and none below; () for a wide kernel alone.
    """
    if kernel < SMALLEST_WIDE:
        if branches:
            raise WorkbenchError(
                f"kernels below {SMALLEST_WIDE} have no branches, but {branches} came for {kernel}"
            )
        return DepthwiseConv2d(channels, kernel, bias=False)
    if branches is None and kernel not in BRANCHES:
        known = ", ".join(map(str, BRANCHES))
        raise WorkbenchError(f"branches are known for kernels of {known}, but {kernel} came: pass branches=")
    return RepDepthwise(channels, kernel, BRANCHES[kernel] if branches is None else branches)


# The block --------------------------------------------------------------------------------------


class UniBlock(nn.Module):
    """x + scale * norm(contract(grn(gelu(expand(squeeze(norm(spatial(x)))))))).

    [batch, channels, height, width] -> the same. spatial: a wide kernel with dilated branches, each with a
    norm; then a second norm on their sum. squeeze: one gate a channel from the whole map. expand, contract:
    1 x 1, with `expansion` times the channels between. grn: channels compete. scale starts the block near
    the identity; `drop` skips it at random while training.
    """

    def __init__(
        self,
        channels: int,
        kernel: int = 13,
        branches: Branches | None = None,
        *,
        expansion: int = 4,
        scale: float = 1e-6,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        self.spatial = spatial(channels, kernel, branches)
        self.norm: nn.Module = nn.BatchNorm2d(channels)
        self.squeeze = SqueezeExcite(channels, ratio=1 / 4)
        self.expand = nn.Conv2d(channels, expansion * channels, 1)
        self.grn = GlobalResponseNorm(expansion * channels)
        self.contract = nn.Conv2d(expansion * channels, channels, 1, bias=False)
        self.last_norm: nn.Module = nn.BatchNorm2d(channels)
        self.scale: nn.Module = LayerScale(channels, scale)
        self.drop = DropPath(drop)

    def forward(self, x: Tensor) -> Tensor:
        y = self.squeeze(self.norm(self.spatial(x)))
        y = self.grn(nn.functional.gelu(self.expand(y)))
        y = self.scale(self.last_norm(self.contract(y)))
        return x + self.drop(y)

    def fold(self) -> "UniBlock":
        """A block that answers the same in evaluation mode, without norms, branches and layer scale.

        Two folds. Branches, their norms and the second norm become one depthwise convolution. The shift of
        `grn`, the last norm and the layer scale become part of the last 1 x 1: a constant that is added
        before a linear map is another constant after it.
        """
        refuse_training(self)
        folded = deepcopy(self)
        wide = self.spatial.fold() if isinstance(self.spatial, RepDepthwise) else self.spatial
        folded.spatial = with_weights(*fold_norm(wide, self.norm), depthwise=True)  # type: ignore[arg-type]
        mixing = _with_shift(self.contract, self.grn.shift)
        weight, bias = fold_norm(mixing, self.last_norm)  # type: ignore[arg-type]
        factor: Tensor = self.scale.scale  # type: ignore[assignment]
        folded.contract = with_weights(weight * factor[:, None, None, None], bias * factor)
        nn.init.zeros_(folded.grn.shift)
        folded.norm, folded.last_norm, folded.scale = nn.Identity(), nn.Identity(), nn.Identity()
        return folded.eval()


def _with_shift(mix: nn.Conv2d, shift: Tensor) -> nn.Conv2d:
    """The 1 x 1 convolution of x + shift, as one of x."""
    return with_weights(mix.weight.detach(), mix.weight.detach()[:, :, 0, 0] @ shift.detach())


# The network ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Size:
    """One size of the network: blocks, channels and kernels of each stage."""

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    kernels: tuple[tuple[int, ...], ...]


def _size(depths: tuple[int, ...], first: int, period: int = 1) -> Size:
    """Kernels of 3 in the first stage, 13 later; in the third, each 13 is followed by period - 1 of 3."""
    third = tuple(13 if block % period == 0 else 3 for block in range(depths[2]))
    kernels = ((3,) * depths[0], (13,) * depths[1], third, (13,) * depths[3])
    return Size(depths, tuple(first * 2**stage for stage in range(4)), kernels)


RELEASED = {
    "A": _size((2, 2, 6, 2), 40),
    "F": _size((2, 2, 6, 2), 48),
    "P": _size((2, 2, 6, 2), 64),
    "N": _size((2, 2, 8, 2), 80),
    "T": _size((3, 3, 18, 3), 80, period=2),
    "S": _size((3, 3, 27, 3), 96, period=3),
    "B": _size((3, 3, 27, 3), 128, period=3),
    "L": _size((3, 3, 27, 3), 192, period=3),
    "XL": _size((3, 3, 27, 3), 256, period=3),
}


def down(inputs: int, outputs: int) -> nn.Sequential:
    """Half the height and width: 3 x 3 with stride 2, then a norm over the channels of each pixel."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), LayerNorm2d(outputs))


class UniRepLKNet(nn.Module):
    """Stages of `UniBlock`, each after a halving; the mean over the last map, a norm, a linear layer.

    [batch, inputs, height, width] -> [batch, outputs]. size: blocks, widths and kernels of the stages.
    halvings: of the stem; the source halves twice, small pictures once. branches: for kernels from 7 on,
    default those of `BRANCHES`. drop: rate of stochastic depth of the last block, rising from 0 in the first.
    """

    def __init__(
        self,
        size: Size = RELEASED["A"],
        *,
        inputs: int = 3,
        outputs: int = 1000,
        halvings: int = 2,
        branches: Branches | None = None,
        scale: float = 1e-6,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        lengths = tuple(map(len, size.kernels))
        if not size.depths == lengths or len(size.widths) != len(size.depths):
            raise WorkbenchError(
                f"expected one kernel for each block and one width for each stage, but {size} came"
            )
        if halvings not in (1, 2):
            raise WorkbenchError(f"the stem halves once or twice, but halvings={halvings} came")
        first = size.widths[0]
        narrow = [*down(inputs, first // 2), nn.GELU()] if halvings == 2 else []
        stem = nn.Sequential(*narrow, *down(first // 2 if narrow else inputs, first))
        rates = iter(np.linspace(0, drop, sum(size.depths)).tolist())
        stages: list[nn.Module] = []
        for number, (width, kernels) in enumerate(zip(size.widths, size.kernels, strict=True)):
            halve = stem if number == 0 else down(size.widths[number - 1], width)
            blocks = [
                UniBlock(
                    width,
                    kernel,
                    branches if kernel >= SMALLEST_WIDE else None,
                    scale=scale,
                    drop=next(rates),
                )
                for kernel in kernels
            ]
            stages.append(nn.Sequential(halve, *blocks))
        self.stages = nn.Sequential(*stages)
        self.norm = nn.LayerNorm(size.widths[-1], eps=1e-6)
        self.head = nn.Linear(size.widths[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.stages(x).mean((2, 3))))


# Other senses on a map --------------------------------------------------------------------------


def series_map(series: Tensor, width: int) -> Tensor:
    """A series [batch, steps, channels] as a picture [batch, 1, steps * channels / width, width].

    The numbers of a step lie side by side, steps follow each other line by line as in a text: a kernel that
    covers several lines covers many steps. Nothing is lost, and nothing is made for series in particular.
    """
    if series.ndim != 3 or width < 1 or series[0].numel() % width:
        raise WorkbenchError(
            "expected a series [batch, steps, channels] whose numbers fill whole lines, "
            f"but shape {tuple(series.shape)} and width={width} came"
        )
    return series.reshape(len(series), 1, -1, width)


def spectrogram_map(spectrogram: Tensor) -> Tensor:
    """A spectrogram [batch, steps, frequencies] as a picture [batch, 1, frequencies, steps]."""
    if spectrogram.ndim != 3:
        raise WorkbenchError(
            f"expected spectrograms [batch, steps, frequencies], but shape {tuple(spectrogram.shape)} came"
        )
    return spectrogram.transpose(1, 2)[:, None]


def frames_map(frames: Tensor, columns: int) -> Tensor:
    """A film [batch, frames, colours, height, width] as one picture of frames in rows of `columns`."""
    if frames.ndim != 5 or columns < 1 or frames.shape[1] % columns:
        raise WorkbenchError(
            "expected films [batch, frames, colours, height, width] with whole rows of frames, "
            f"but shape {tuple(frames.shape)} and columns={columns} came"
        )
    batch, count, colours, height, width = frames.shape
    rows = count // columns
    grid = frames.reshape(batch, rows, columns, colours, height, width)
    return grid.permute(0, 3, 1, 4, 2, 5).reshape(batch, colours, rows * height, columns * width)


class Forecaster(nn.Module):
    """The network on a series: [batch, 1, channels, steps] -> [batch, outputs], the numbers to come.

    The steps are laid out as a picture `width` wide, the stages work on it as on any other, and a linear
    layer reads the forecast off their last map: a mean over it would forget which channel stood where.
    """

    def __init__(
        self, size: Size, past: tuple[int, int], outputs: int, width: int = 32, **options: Any
    ) -> None:
        super().__init__()
        self.width = width
        net = UniRepLKNet(size, inputs=1, halvings=1, **options)
        self.stages = net.stages
        channels, steps = past
        sides = [steps * channels // width, width]
        for _ in size.depths:
            sides = [(side + 1) // 2 for side in sides]
        self.norm = LayerNorm2d(size.widths[-1])
        self.head = nn.Linear(size.widths[-1] * sides[0] * sides[1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        picture = series_map(x[:, 0].transpose(1, 2), self.width)
        return self.head(self.norm(self.stages(picture)).flatten(1))


# What is measured: folding ----------------------------------------------------------------------


def small_size(kernel: int = 13) -> Size:
    """Two stages for pictures of some 40 pixels: a block of 3 x 3, then two of the kernel's size."""
    return Size((1, 2), (12, 24), ((3,), (kernel, kernel)))


def small_network(kernel: int = 13, branches: Branches | None = None, scale: float = 0.1) -> UniRepLKNet:
    """The network at teaching scale: [batch, 1, height, width] -> [batch, 6]."""
    return UniRepLKNet(small_size(kernel), inputs=1, outputs=6, halvings=1, branches=branches, scale=scale)


def lived_in(net: nn.Module, seed: int) -> nn.Module:
    """Weights and statistics drawn anew, in evaluation mode: nothing is left at 0 or 1, where errors hide."""
    draws = torch.Generator().manual_seed(seed)
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            spread = 1 / max(1, value[0].numel()) ** 0.5 if value.ndim > 1 else 0.3
            drawn = spread * torch.randn(value.shape, generator=draws)
            value.copy_(drawn.abs() + 0.5 if "var" in name else drawn)
    return net.eval()


def relative_difference(net: nn.Module, folded: nn.Module, seed: int) -> float:
    """Largest difference of two networks' answers to one batch, over the largest answer."""
    x = torch.randn(8, 1, 40, 40, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        ours, theirs = net(x), folded(x)
    return float((ours - theirs).abs().max() / ours.abs().max())


def folded_differs(seed: int, budget: str) -> float:
    """How far the folded network is from the unfolded one in single precision."""
    net = lived_in(small_network(), seed)
    return relative_difference(net, fold(net), seed)


def folded_differs_from_batch_statistics(seed: int, budget: str) -> float:
    """Control: the same, where the norms of the unfolded network go by each batch."""
    net = lived_in(small_network(), seed)
    folded = fold(net)
    return relative_difference(net.train(), folded, seed)


@kernel
def add_depthwise(x, w, dilation, out):
    # x [height, width], w [k, k] -> added into out [height, width]
    reach = dilation * (w.shape[0] // 2)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            total = 0.0
            for q in range(w.shape[0]):
                for t in range(w.shape[1]):
                    row, column = i + dilation * q - reach, j + dilation * t - reach
                    if 0 <= row < x.shape[0] and 0 <= column < x.shape[1]:
                        total += w[q, t] * x[row, column]
            out[i, j] += total


@kernel
def scale_and_shift(x, factor, constant):  # [height, width], in place
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            x[i, j] = factor * x[i, j] + constant


def counted_operations(kernels: Branches, norms: int, side: int = 20) -> int:
    """Floating-point operations, counted, of several kernels on one channel of a map, and of its norms."""
    x, out = np.ones((2, side, side))
    convolving = sum(
        count(add_depthwise, x, np.ones((size, size)), dilation, out).flops for size, dilation in kernels
    )
    return convolving + norms * count(scale_and_shift, out, 2.0, 1.0).flops


def work_after_folding(kernel: int, branches: Branches) -> Measured:
    """Operations of the folded kernel and its constant over those of all branches and norms."""
    before = counted_operations(((kernel, 1), *branches), norms=len(branches) + 2)
    after = counted_operations(((kernel, 1),), norms=1)
    return Measured(after / before, system=after, baseline=before)


def folded_work(seed: int, budget: str) -> Measured:
    """13 x 13 with its five dilated branches."""
    return work_after_folding(13, BRANCHES[13])


def folded_work_without_branches(seed: int, budget: str) -> Measured:
    """Control: a wide kernel that stood alone; only its norms go."""
    return work_after_folding(13, ())


# What is measured: training ---------------------------------------------------------------------


def recipe(steps: int) -> "Recipe":
    """How all networks here are trained."""
    from workbench.train import Recipe

    return Recipe(steps=steps, batch=16, lr=1e-2)


@cache
def shapes(seed: int, budget: str) -> "Task":
    """Six shapes filled with six textures that say nothing about the shape."""
    from workbench.train import task

    images = by_budget(budget, smoke=32, lesson=900)
    return task("shape-textures", seed=seed, size=40, images=images, test={"images": images})


@cache
def trained(branches: Branches, seed: int, budget: str, again: bool = False) -> "Run":
    """The small network on shapes, trained with these branches beside its wide kernels.

    again: the same pictures, but other first weights in another order.
    """
    from workbench.train import train

    steps = by_budget(budget, smoke=2, lesson=150, full=400)
    make = partial(small_network, branches=branches)
    return train(make, shapes(seed, budget), recipe(steps), seed + 1000 * again)


def accuracy(branches: Branches, seed: int, budget: str) -> float:
    """Of that network, on images that it has not seen."""
    return trained(branches, seed, budget).score


def branches_help(seed: int, budget: str) -> Measured:
    """How much more accurate the network is that was trained with dilated branches."""
    with_them, without = accuracy(BRANCHES[13], seed, budget), accuracy((), seed, budget)
    return Measured(with_them - without, system=with_them, baseline=without)


def dilation_helps(seed: int, budget: str) -> Measured:
    """How much more accurate it is than with the same branches without their gaps."""
    with_it, without = accuracy(BRANCHES[13], seed, budget), accuracy(undilated(BRANCHES[13]), seed, budget)
    return Measured(with_it - without, system=with_it, baseline=without)


def luck_helps(seed: int, budget: str) -> Measured:
    """Control: no branches on either side, only other first weights."""
    other, without = trained((), seed, budget, again=True).score, accuracy((), seed, budget)
    return Measured(other - without, system=other, baseline=without)


@cache
def waves(seed: int, budget: str, shuffled: bool = False) -> "Task":
    """Eight coupled oscillators: 96 steps are known, 24 are to come. shuffled: steps in a fixed disorder."""
    from workbench.train import task

    made = task("oscillators", seed=seed, length=by_budget(budget, smoke=420, lesson=2000))
    if not shuffled:
        return made
    order = torch.randperm(made.inputs[2], generator=torch.Generator().manual_seed(seed))
    (X, Y), (past, future) = made.train, made.test
    name = f"{made.name}, shuffled"
    return replace(made, name=name, train=(X[..., order], Y), test=(past[..., order], future))


def forecaster(kernel: int) -> Forecaster:
    """The small network on eight channels by 96 steps, for the next 24."""
    return Forecaster(small_size(kernel), past=(8, 96), outputs=8 * 24, scale=0.1)


@cache
def error(kernel: int, seed: int, budget: str, shuffled: bool = False) -> float:
    """Squared error of a trained forecaster on unseen windows, over the variance of what came."""
    from workbench.train import train

    steps = by_budget(budget, smoke=2, lesson=300, full=1000)
    return -train(partial(forecaster, kernel), waves(seed, budget, shuffled), recipe(steps), seed).score


def linear_error(task: "Task") -> float:
    """The same error of the best linear forecast: least squares with the ridge that suits the test best.

    Chosen on the test windows, so that no other linear forecast of this kind does better there.
    """
    (X, Y), (past, future) = task.train, task.test
    A, B = X.flatten(1).double(), past.flatten(1).double()
    gram, products = A.T @ A / len(A), A.T @ Y.double() / len(A)
    errors = []
    for ridge in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1):
        weights = torch.linalg.solve(gram + ridge * torch.eye(len(gram)), products)
        errors.append(-task.score(B @ weights, future))
    return min(errors)


def wide_forecasts_better(seed: int, budget: str) -> Measured:
    """Error with 13 x 13 over error with 3 x 3."""
    wide, small = error(13, seed, budget), error(3, seed, budget)
    return Measured(wide / small, system=wide, baseline=small)


def wide_forecasts_better_in_disorder(seed: int, budget: str) -> Measured:
    """Control: the steps of every window in one fixed disorder: near on the map is not near in time."""
    wide, small = error(13, seed, budget, True), error(3, seed, budget, True)
    return Measured(wide / small, system=wide, baseline=small)


SYSTEM = System(
    key="unireplknet",
    claims=[
        Claim(
            "fold-is-exact",
            says="Folded, the network answers what it answered before: the largest difference in single "
            "precision, over the largest answer, with weights and statistics drawn at random. Control: norms "
            "that go by each batch.",
            paper="branches, norms, layer scale and the shift of the response norm are removed equivalently",
            unit="of the largest output",
            bar=AtMost(1e-5),
            measure=folded_differs,
            control=folded_differs_from_batch_statistics,
        ),
        Claim(
            "fold-saves-work",
            says="Folding saves operations: what is left of those of a 13 x 13 kernel with its branches and "
            "norms on a map of 20 x 20, each operation counted. Control: a wide kernel without branches.",
            paper="inference as if the branches had never been there",
            # Removing the norms alone saves less than two hundredths.
            unit="times",
            against="operations before folding",
            bar=AtMost(0.9, null=1),
            measure=folded_work,
            control=folded_work_without_branches,
            provenance="counted",
            seeds=1,
        ),
        Claim(
            "branches-help",
            says="Dilated branches beside the wide kernel raise the accuracy by at least a point. Control: "
            "no branches on either side, only other first weights.",
            paper="higher accuracy than without branches; the abstract gives no figure",
            unit="of all right",
            against="share right without the branches",
            bar=AtLeast(0.01, null=0),
            measure=branches_help,
            control=luck_helps,
            seeds=20,
        ),
        Claim(
            "dilation-helps",
            says="Their gaps matter: dilated branches raise the accuracy by at least a point over as many "
            "branches without gaps. Control: no branches on either side, only other first weights.",
            paper="higher accuracy than with dense branches; the abstract gives no figure",
            unit="of all right",
            against="share right with branches without gaps",
            bar=AtLeast(0.01, null=0),
            measure=dilation_helps,
            control=luck_helps,
            seeds=20,
        ),
        Claim(
            "series",
            says="The same network forecasts a series that is laid out as a picture, and its wide kernels "
            "pay: squared error with 13 x 13 over that with 3 x 3. Control: steps in disorder.",
            paper="best forecasts of global temperature and wind, with no layer made for series",
            unit="times",
            against="error of 3 x 3",
            bar=AtMost(0.9, null=1),
            measure=wide_forecasts_better,
            control=wide_forecasts_better_in_disorder,
        ),
    ],
    deviations=[
        "Trained are networks of two stages with three blocks and 12 and 24 channels, on 40 x 40 images of "
        "six shapes and on simulated oscillators; the smallest released network has four stages, twelve "
        "blocks and 4.4 million parameters, and was trained on ImageNet (77.0 %).",
        "Small pictures are halved once in the stem, not twice.",
        "Layer scale starts at 0.1 in these trainings instead of 1e-6, and weights are drawn as torch draws "
        "them: 150 steps are too few to wake a block from 1e-6.",
        "The forecaster reads its forecast off the last map by one linear layer; the source decodes it by "
        "the decoder of Corrformer and feeds an embedding of the series with marks of date and place.",
        "Channel mixing is written as 1 x 1 convolutions, the same numbers as the source's linear layers.",
        "Point clouds, which the source projects onto three planes, are left out; films and spectrograms are "
        "laid out, but not learnt from.",
        "After folding the shift of the response norm is zero, where the source removes it.",
        "Paper scale: 300 epochs of ImageNet for the small networks, ImageNet-22K for the large ones; 18 "
        "hours on one graphics card for the forecasts.",
    ],
)
