"""Revisiting the Integration of Convolution and Attention for Vision Backbone.

Lei Zhu, Xinjiang Wang, Wayne Zhang, Rynson Lau; NeurIPS 2024; https://arxiv.org/abs/2411.14429. Original
code: https://github.com/rayleizhu/GLMix, MIT licence. Nothing is copied from it.

Two descriptions of one image live side by side. The fine one is the grid of pixels, and convolutions work on
it. The coarse one is a few slots, each a weighted mean of pixels that are alike, and attention works on them.
Pixels are gathered into slots, the slots talk, and the pixels get their shares back:

    mixing     gathering, attention among slots, dealing, beside a branch of convolutions: `SlotMixing`
    block      positions by convolution, mixing, feed-forward: `MixBlock`
    network    four stages; attention to all pixels takes every second block, and the last stage: `GLNet`

Deviations: listed in `SYSTEM`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from workbench.budget import by_budget
from workbench.claims import AtLeast, AtMost, Claim, Measured, System
from workbench.errors import WorkbenchError
from workbench.layers import (
    DepthwiseConv2d,
    DropPath,
    LayerNorm2d,
    LayerScale,
    MixerNet,
    Residual,
    SelfAttention2d,
    SlotMixing,
)
from workbench.layers.slot_mixing import local_branch
from workbench.probes import cost
from workbench.train import Recipe, Run, Task, region_task, train
from workbench.train.runs import predict

# The block and the network --------------------------------------------------------------------

Norm = Callable[[int], nn.Module]


class MixBlock(nn.Module):
    """x + positions(x), then x + mixer(norm x), then x + feed-forward(norm x).

    [batch, channels, height, width] -> the same. mixer: keeps that shape; slots of a `SlotMixing` begin as
    means of the block's own input, before positions and norm.

    positions: side of a depthwise convolution that tells where things are, 0 for none. expansion: of the
    feed-forward, `deep` with a depthwise 3 x 3 and a shortcut around it in the middle. norms: of the mixer
    and of the feed-forward. scale: first factor of both branches, `None` for none. drop: share of images for
    which training skips a branch.
    """

    def __init__(
        self,
        channels: int,
        mixer: nn.Module,
        *,
        positions: int = 3,
        expansion: float = 3,
        deep: bool = True,
        norms: tuple[Norm, Norm] = (nn.BatchNorm2d, nn.BatchNorm2d),
        scale: float | None = None,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        self.positions = DepthwiseConv2d(channels, positions) if positions else None
        self.norm, self.mixer, self.second_norm = norms[0](channels), mixer, norms[1](channels)
        hidden = round(expansion * channels)
        middle = [Residual(DepthwiseConv2d(hidden, 3))] if deep else []
        self.feed_forward = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), *middle, nn.GELU(), nn.Conv2d(hidden, channels, 1)
        )
        ends = ([] if scale is None else [LayerScale(channels, scale)] for _ in range(2))
        self.after, self.second_after = (nn.Sequential(*end, DropPath(drop)) for end in ends)

    def forward(self, x: Tensor) -> Tensor:
        given = x
        if self.positions is not None:
            x = x + self.positions(x)
        y = self.norm(x)
        mixed = self.mixer(y, given) if isinstance(self.mixer, SlotMixing) else self.mixer(y)
        x = x + self.after(mixed)
        return x + self.second_after(self.feed_forward(self.second_norm(x)))


Kind = Literal["slots", "attention", "both"]


@dataclass(frozen=True)
class Size:
    """A network's measures, one number a stage where there are several.

    kinds: what mixes in a stage; "both" begins with slots and changes from block to block. overlap: patches
    are cut by two convolutions of 3 x 3 and stride 2, and by one between stages, with norms behind; without
    it by squares that do not overlap, and between stages the norm stands in front. The other options are
    those of `MixBlock`.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    depths: tuple[int, ...] = (4, 4, 18, 4)
    kinds: tuple[Kind, ...] = ("slots", "slots", "both", "attention")
    expansion: float = 3
    positions: int = 3
    deep: bool = True
    overlap: bool = True
    scale: float | None = None
    head: int = 32  # channels of a head


SWIN: tuple[Kind, ...] = ("slots", "slots", "slots", "attention")
SIZES = {
    "4G": Size(),
    "9G": Size((96, 192, 384, 768)),
    "16G": Size((128, 256, 512, 1024), scale=1e-4),
    "Swin": Size((96, 192, 384, 768), (2, 2, 6, 2), SWIN, 4, positions=0, deep=False, overlap=False),
}
SMALL = Size((16, 32, 64, 128), (1, 1, 2, 1), head=16)


class GLNet(nn.Module):
    """Patches of 4 x 4 and four stages, each at half the side of the one before; mean, linear classifier.

    [batch, inputs, height, width] -> [batch, outputs]. slots: along each side, of every block with slots;
    the further options are those of `SlotMixing`. drop: share of images for which the last block is skipped
    while training; it rises in a line from 0 at the first.
    """

    def __init__(
        self,
        size: Size = SMALL,
        inputs: int = 3,
        outputs: int = 1000,
        slots: int = 8,
        drop: float = 0.0,
        **options: object,
    ) -> None:
        super().__init__()
        if not len(size.widths) == len(size.depths) == len(size.kinds) > 0:
            raise WorkbenchError(
                "widths, depths and kinds need one item for each stage, "
                f"but {len(size.widths)}, {len(size.depths)} and {len(size.kinds)} came"
            )
        rates = iter(np.linspace(0, drop, sum(size.depths)))
        merges = [_stem(inputs, size.widths[0], size.overlap)]
        merges += [_merge(before, after, size.overlap) for before, after in pairwise(size.widths)]
        parts: list[nn.Module] = []
        for merge, width, depth, kind in zip(merges, size.widths, size.depths, size.kinds, strict=True):
            blocks = [
                _block(size, width, _kind(kind, i), slots, float(next(rates)), options) for i in range(depth)
            ]
            parts += [merge, nn.Sequential(*blocks)]
        self.features = nn.Sequential(*parts, nn.BatchNorm2d(size.widths[-1]))
        self.classify = nn.Linear(size.widths[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.features(x).mean((2, 3)))


def _kind(kind: Kind, number: int) -> Kind:
    if kind != "both":
        return kind
    return "attention" if number % 2 else "slots"


def _block(size: Size, width: int, kind: Kind, slots: int, drop: float, options: dict) -> MixBlock:
    heads = max(1, width // size.head)
    if kind == "slots":
        mixer: nn.Module = SlotMixing(width, slots, heads, **options)
        norms: tuple[Norm, Norm] = (nn.BatchNorm2d, nn.BatchNorm2d)
    else:
        mixer = SelfAttention2d(width, heads)
        norms = (LayerNorm2d, nn.BatchNorm2d if size.overlap else LayerNorm2d)
    plain = kind == "attention" and not size.overlap
    return MixBlock(
        width,
        mixer,
        positions=0 if plain else size.positions,
        expansion=size.expansion,
        deep=size.deep,
        norms=norms,
        scale=size.scale,
        drop=drop,
    )


def _stem(inputs: int, width: int, overlap: bool) -> nn.Sequential:
    if not overlap:
        return nn.Sequential(nn.Conv2d(inputs, width, 4, 4), nn.BatchNorm2d(width))
    first = nn.Conv2d(inputs, width // 2, 3, 2, 1)
    second = nn.Conv2d(width // 2, width, 3, 2, 1)
    return nn.Sequential(first, nn.BatchNorm2d(width // 2), nn.GELU(), second, nn.BatchNorm2d(width))


def _merge(before: int, after: int, overlap: bool) -> nn.Sequential:
    if not overlap:
        return nn.Sequential(nn.BatchNorm2d(before), nn.Conv2d(before, after, 2, 2))
    return nn.Sequential(nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after))


# Measuring ------------------------------------------------------------------------------------------

CARD = {  # millions of parameters and thousands of millions of multiply-adds in the released table
    "4G": (27, 4.5),
    "9G": (60, 9.7),
    "16G": (106, 16.7),
    "Swin": (30, 4.4),
}


@cache
def totals(name: str, attend: bool = True) -> tuple[float, float]:
    """Millions of parameters, and thousands of millions of multiply-adds for one image of 224 x 224."""
    with torch.device("meta"):
        net = GLNet(SIZES[name], attend=attend)
    found = cost(net.to_empty(device="cpu"), (1, 3, 224, 224))  # shapes are enough: no weights are drawn
    return found.parameters.value / 1e6, found.macs.value / 1e9


def farthest_from_card(what: int, attend: bool, seed: int, budget: str) -> float:
    """Largest difference in percent from the released table, of parameters (0) or multiply-adds (1)."""
    names = by_budget(budget, smoke=("Swin",), lesson=tuple(CARD))
    return max(100 * abs(totals(name, attend)[what] / CARD[name][what] - 1) for name in names)


def growth(seed: int, budget: str, make: Callable[[], nn.Module] | None = None) -> Measured:
    """How many times the multiply-adds of mixing grow from 56 x 56 to 112 x 112 pixels of 64 channels."""
    module = (make or partial(SlotMixing, 64, 8, 2))()
    small, large = (cost(module, (1, 64, side, side)).macs.value for side in (56, 112))
    return Measured(large / small, system=large, baseline=small)


WIDTH, HEADS, SLOTS, HOT, BATCH = 24, 3, 4, 8.0, 32
PLAIN, RELATIONAL = "scattered-regions", "relational-regions"
PUBLISHED = partial(SlotMixing, slots=SLOTS, heads=HEADS)  # the scale starts at 1 / root of channels
MIXERS: dict[str, Callable[[int], nn.Module]] = {
    "convolution": local_branch,
    "published": PUBLISHED,
    "published, slow": PUBLISHED,
    "hot": partial(PUBLISHED, scale=HOT),
    "learned": partial(PUBLISHED, scale=HOT, start="learned"),
    "silent": partial(PUBLISHED, scale=HOT, attend=False),
}
RATES = {  # each the best of 0.005, 0.01, 0.02, 0.04, 0.08 on held-out training images of seed 100
    (PLAIN, "convolution"): 0.04,
    (PLAIN, "published"): 0.08,
    (PLAIN, "published, slow"): 0.01,  # but for this one
    (PLAIN, "hot"): 0.08,
    (PLAIN, "learned"): 0.04,
    (RELATIONAL, "hot"): 0.01,
    (RELATIONAL, "silent"): 0.02,
}


@cache
def regions(name: str, seed: int, budget: str) -> Task:
    """What is to be found in each pixel, 8 x 8 of them; every image is seen once."""
    steps, tests = by_budget(budget, smoke=(1, 8), lesson=(200, 500), full=(800, 1000))
    return region_task(name, seed, images=BATCH * steps, test={"images": tests})


def trained(arm: str, seed: int, budget: str, name: str = PLAIN) -> Run:
    """Two layers around one of `MIXERS`, after training; the recipe differs in the rate alone."""
    task = regions(name, seed, budget)
    make = partial(MixerNet, MIXERS[arm], width=WIDTH, depth=2, inputs=task.inputs[0], outputs=1)
    recipe = Recipe(steps=len(task.train[0]) // BATCH, batch=BATCH, lr=RATES[name, arm])
    return train(make, task, recipe, seed)


@cache
def error(arm: str, seed: int, budget: str, name: str = PLAIN) -> float:
    """Mean squared error of a trained network on images that it has not seen."""
    return -trained(arm, seed, budget, name).score


def slot_mixings(net: nn.Module) -> list[SlotMixing]:
    """The parts of a network that mix by slots, first to last."""
    return [part for part in net.modules() if isinstance(part, SlotMixing)]


@torch.no_grad()
def gathered_shares(net: nn.Module, X: Tensor) -> list[Tensor]:
    """What each slot of each layer takes of every pixel: [images, slots, pixels] a layer, rows sum to 1."""
    found: list[Tensor] = []

    def look(part: SlotMixing, inputs: tuple[Tensor, ...]) -> None:
        found.append(part.logits(*inputs).softmax(-1))

    hooks = [part.register_forward_pre_hook(look) for part in slot_mixings(net)]
    try:
        net(X)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def unevenness(seed: int, budget: str, arm: str = "published, slow") -> float:
    """The largest share of a slot over its smallest, mean over slots, layers and 100 unseen images."""
    run = trained(arm, seed, budget)
    shares = gathered_shares(run.model, run.task.test[0][:100])
    return float(np.mean([(share.amax(-1) / share.amin(-1)).mean().item() for share in shares]))


def against_convolution(seed: int, budget: str, arm: str) -> Measured:
    """The error of slots beside a convolution, over that of the convolution alone."""
    ours, theirs = error(arm, seed, budget), error("convolution", seed, budget)
    return Measured(ours / theirs, system=ours, baseline=theirs)


@contextmanager
def changed(net: nn.Module, change: Callable[[SlotMixing], dict[str, Callable]]) -> Iterator[None]:
    """Methods of all slot mixings of a network are replaced for a while."""
    parts = [(part, change(part)) for part in slot_mixings(net)]
    try:
        for part, methods in parts:
            for name, method in methods.items():
                setattr(part, name, method)
        yield
    finally:
        for part, methods in parts:
            for name in methods:
                delattr(part, name)


def shuffled(part: SlotMixing) -> dict[str, Callable]:
    """Between gathering and dealing every slot moves on by one."""
    related = part.related
    return {"related": lambda slots: related(slots).roll(1, 1)}


def exchanged(part: SlotMixing) -> dict[str, Callable]:
    """Slots begin as the means of the next image in the batch."""
    logits = part.logits
    return {"logits": lambda x, seed_map=None: logits(x, x.roll(1, 0))}


def less_wrong(
    arm: str,
    rival: str,
    name: str,
    change: Callable[[SlotMixing], dict[str, Callable]] | None,
    seed: int,
    budget: str,
) -> Measured:
    """By how many percent the error of one arm lies below that of another. change: made to the first after
    training."""
    run = trained(arm, seed, budget, name)
    ours, theirs = -run.score, error(rival, seed, budget, name)
    if change:
        X, Y = run.task.test
        with changed(run.model, change):
            ours = -run.task.score(predict(run.model, X), Y)
    return Measured(100 * (1 - ours / theirs), system=ours, baseline=theirs)


SCALE = "the released code starts the scale at one over the root of the channels, and learns it"

SYSTEM = System(
    key="glmix",
    claims=[
        Claim(
            "parameters",
            says="All four networks have as many parameters as the released table says, to 2 %. The control "
            "leaves out the attention among the slots.",
            paper="27, 60, 106 and 30 million",
            unit="%",
            bar=AtMost(2),
            measure=partial(farthest_from_card, 0, True),
            control=partial(farthest_from_card, 0, False),
            provenance="formula",
            seeds=1,
        ),
        Claim(
            "multiply-adds",
            says="All four networks multiply as often as the released table says, to 2 %, for one image of "
            "224 x 224. The control leaves out the attention among the slots.",
            paper="4.5, 9.7, 16.7 and 4.4 thousand million",
            unit="%",
            bar=AtMost(2),
            measure=partial(farthest_from_card, 1, True),
            control=partial(farthest_from_card, 1, False),
            provenance="formula",
            seeds=1,
        ),
        Claim(
            "linear-cost",
            says="Four times as many pixels cost at most four times as many multiply-adds, attention among "
            "64 slots and the convolutions included. The control is attention among all pixels.",
            paper="attention to a few slots takes away the cost that grows with the square of the pixels",
            unit="times",
            against="multiply-adds at 56 x 56",
            bar=AtMost(4),
            measure=growth,
            control=partial(growth, make=partial(SelfAttention2d, 64, 2)),
            provenance="formula",
            seeds=1,
        ),
        Claim(
            "uniform-slots",
            says="In a short training at a rate of 0.01 that starts with the released scale slots stay "
            "nearly uniform: among the shares of all pixels in one slot, the largest is at most 1.5 times "
            "the smallest. At the start that is the most it can be. The control starts with a scale of 8.",
            paper=f"ours; {SCALE}",
            unit="times",
            bar=AtMost(1.5),
            measure=unevenness,
            control=partial(unevenness, arm="hot"),
            provenance="counted",
        ),
        Claim(
            "cold-slots-idle",
            says="In a short training at a rate of 0.01 slots that start with the released scale add next to "
            "nothing to the convolution beside them: the error is at least 0.9 of that of the convolution "
            "alone, at its best rate. The control starts with a scale of 8.",
            paper=f"ours; {SCALE}",
            unit="times",
            against="mean squared error, convolution alone",
            bar=AtLeast(0.9),
            measure=partial(against_convolution, arm="published, slow"),
            control=partial(against_convolution, arm="hot"),
            provenance="counted",
        ),
        Claim(
            "attention-among-slots",
            says="Where a region's answer lies in another region, attention among the slots lowers the error "
            "by at least 20 %, against slots that do not see each other. The control deals out every slot to "
            "the pixels of another one.",
            paper="attention among a few slots is enough for what is global (no figure for this comparison)",
            unit="%",
            against="mean squared error, slots without attention",
            bar=AtLeast(20, null=0),
            measure=partial(less_wrong, "hot", "silent", RELATIONAL, None),
            control=partial(less_wrong, "hot", "silent", RELATIONAL, shuffled),
            provenance="counted",
        ),
        Claim(
            "pooled-slots",
            says="Slots that begin as means of the image make smaller errors than slots that are parameters: "
            "by how many percent. Below 0 the error is larger, at -100 twice as large. The control takes the "
            "means of another image.",
            paper="82.5 % of ImageNet with pooled slots, 82.1 % with parameters",
            unit="%",
            against="mean squared error, slots as parameters",
            bar=AtLeast(0),
            measure=partial(less_wrong, "hot", "learned", PLAIN, None),
            control=partial(less_wrong, "hot", "learned", PLAIN, exchanged),
            provenance="counted",
        ),
        Claim(
            "accuracy",
            says="The smallest network gets 83.7 % of ImageNet right.",
            paper="83.7 % with 27 million parameters",
            unit="%",
            bar=AtLeast(83.7),
            needs="hardware",
        ),
    ],
    deviations=[
        "The region task stands in for ImageNet: two layers of 24 channels, 3 heads and 4 x 4 slots on 8 x 8 "
        "pixels, 200 steps of 32 images. There the norm in front is over the channels of a pixel, not over "
        "the batch, and slots are pooled behind it.",
        "A scale of 8 at the start is ours: from the released one our short trainings did not get there.",
        "First weights are torch's own; the released code draws those of linear layers with 0.02.",
        "Attention among slots and among pixels is the book's own layer, with the same parameters.",
        "Without a convolution nothing is added beside the slots; the released code then adds the input.",
        "No dropout, no distillation by token labels, no segmentation or detection.",
        "Paper scale: 300 epochs of ImageNet on graphics cards, 8 x 8 slots on 56 x 56 pixels.",
    ],
)
