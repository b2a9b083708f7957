"""RaftMLP: How Much Can Be Done Without Attention and with Less Spatial Locality?

Yuki Tatsunami, Masato Taki; ACCV 2022, https://arxiv.org/abs/2108.04384. Original code:
https://github.com/okojoalg/raft-mlp, Apache 2.0. Nothing is copied from it.

    RaftMixing            a perceptron along columns, then one along rows, channels tied in rafts  (layers)
    MultiScaleEmbedding   patches of several sizes around each token, side by side, then one linear layer
    AtTrainedSize         bicubic resizing before and after a part that knows one size only
    RaftLevel             embedding, then mixing of tokens and of channels in turn
    RaftMLP               four levels, norm, mean, linear; `SIZES` has S, M and L

No token asks another one here: who is added to whom is a table of weights, the same for every image. Mixing
all h * w tokens at once takes a table of (h * w) x (h * w). Mixing along columns and then along rows takes
two small ones. A raft ties r channels together in one line of r * h numbers, so that what happens in one
channel can depend on another one:

    channel = raft number * (C / r) + place in the raft's block

Deviations: listed in `SYSTEM`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.budget import by_budget
from workbench.claims import AtLeast, AtMost, Claim, Measured, System
from workbench.errors import WorkbenchError
from workbench.layers import DropPath, LayerNorm2d, MixerNet, MLPMixing, RaftMixing
from workbench.train import Recipe, Run, Task, region_task, task, train
from workbench.train.runs import predict

# The network ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Level:
    """One level: channels, blocks, side of a patch, and the sides of the patches that are looked at.

    Every kernel is a multiple of the patch, and the first one is the patch itself.
    """

    width: int
    depth: int
    patch: int
    kernels: tuple[int, ...]
    raft: int = 2


def _levels(widths: tuple[int, ...]) -> tuple[Level, ...]:
    depths, patches = (2, 2, 6, 2), (4, 2, 2, 2)
    kernels = ((4, 8), (2, 4), (2, 4), (2,))
    return tuple(Level(*each) for each in zip(widths, depths, patches, kernels, strict=True))


SIZES = {
    "S": _levels((64, 128, 256, 512)),
    "M": _levels((96, 192, 384, 768)),
    "L": _levels((128, 192, 512, 1024)),
}


class MultiScaleEmbedding(nn.Module):
    """One token for each patch, from square patches of several sizes around it.

    [batch, inputs, height, width] -> [batch, width, height / patch, width / patch]. All patches of a token
    have the same centre; at the border zeros lie outside. A linear layer takes their numbers together.
    """

    def __init__(self, inputs: int, width: int, patch: int, kernels: tuple[int, ...]) -> None:
        super().__init__()
        if not kernels or kernels[0] != patch or any((kernel - patch) % 2 for kernel in kernels):
            raise WorkbenchError(
                f"kernels must begin with the patch {patch} and have an even distance from it, "
                f"but {kernels} came"
            )
        self.patch, self.kernels = patch, kernels
        self.linear = nn.Linear(inputs * sum(kernel**2 for kernel in kernels), width)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[2] // self.patch, x.shape[3] // self.patch
        seen = [
            F.unfold(x, kernel, stride=self.patch, padding=(kernel - self.patch) // 2)
            for kernel in self.kernels
        ]  # each [batch, inputs * kernel**2, tokens]
        tokens: Tensor = self.linear(torch.cat(seen, 1).mT)
        return tokens.mT.unflatten(2, (rows, columns))


class AtTrainedSize(nn.Module):
    """Runs a part on maps of its own size, whatever comes: bicubic there, and bicubic back.

    [batch, channels, height, width] -> the same. A map of just that size goes in as it is.
    """

    def __init__(self, inside: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.inside, self.size = inside, size

    def forward(self, x: Tensor) -> Tensor:
        came = (x.shape[2], x.shape[3])
        if came == self.size:
            return self.inside(x)
        return bicubic(self.inside(bicubic(x, self.size)), came)


def bicubic(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps resized as an image is, [batch, channels, *size]."""
    return F.interpolate(x, size, mode="bicubic", align_corners=False)


class ChannelPerceptron(nn.Module):
    """x + perceptron(norm x) at each token, to four times the channels and back."""

    def __init__(self, channels: int, drop: float = 0.0) -> None:
        super().__init__()
        self.norm, self.drop = LayerNorm2d(channels), DropPath(drop)
        self.mix = nn.Sequential(
            nn.Conv2d(channels, 4 * channels, 1), nn.GELU(), nn.Conv2d(4 * channels, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop(self.mix(self.norm(x)))


class RaftLevel(nn.Module):
    """[batch, inputs, height, width] -> [batch, width, height / patch, width / patch], rounded up.

    side: of the maps that come in while it is trained. Other maps are resized around every mixing of tokens;
    a map that the patch does not divide is first stretched to the next multiple.
    """

    def __init__(self, inputs: int, level: Level, side: int, drop: float = 0.0) -> None:
        super().__init__()
        self.patch = level.patch
        self.embedding = MultiScaleEmbedding(inputs, level.width, level.patch, level.kernels)
        size = (ceil(side / level.patch),) * 2
        blocks: list[nn.Module] = []
        for _ in range(level.depth):
            mixing = RaftMixing(level.width, size, raft=level.raft, drop=drop)
            blocks += [AtTrainedSize(mixing, size), ChannelPerceptron(level.width, drop)]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        height, width = (ceil(length / self.patch) * self.patch for length in x.shape[2:])
        if (height, width) != tuple(x.shape[2:]):
            x = bicubic(x, (height, width))
        tokens: Tensor = self.blocks(self.embedding(x))
        return tokens


class RaftMLP(nn.Module):
    """[batch, inputs, height, width] -> [batch, outputs]; image: side of the images it is trained on.

    >>> levels = (Level(8, 1, 2, (2, 4)), Level(16, 1, 2, (2,)))
    >>> RaftMLP(levels, image=16, outputs=10)(torch.zeros(1, 3, 24, 20)).shape
    torch.Size([1, 10])
    """

    def __init__(
        self,
        levels: tuple[Level, ...],
        *,
        image: int = 224,
        inputs: int = 3,
        outputs: int = 1000,
        drop: float = 0.1,
    ) -> None:
        super().__init__()
        if not levels:
            raise WorkbenchError("a RaftMLP needs at least one level, but none came")
        sides = [image]
        for level in levels:
            sides.append(ceil(sides[-1] / level.patch))
        widths = [inputs, *(level.width for level in levels)]
        self.levels = nn.Sequential(
            *(
                RaftLevel(before, level, side, drop)
                for (before, _), level, side in zip(pairwise(widths), levels, sides[:-1], strict=True)
            )
        )
        self.norm = LayerNorm2d(widths[-1])
        self.head = nn.Linear(widths[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(self.levels(x)).mean((2, 3)))
        return out


# The scattered regions ------------------------------------------------------------------------

WIDTH, SIDE = 32, 8


class ColumnsOnly(nn.Sequential):
    """Rafts along columns, twice, and never along rows: [batch, channels, height, width] -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__(*(RaftMixing(channels, SIDE).vertical for _ in range(2)))


def rafts(channels: int) -> nn.Module:
    """Two channels tied together."""
    return RaftMixing(channels, SIDE, raft=2)


def no_rafts(channels: int) -> nn.Module:
    """Each channel alone; hidden layers wide enough for as many weights as rafts of two have."""
    return RaftMixing(channels, SIDE, raft=1, expansion=8)


def full_mixing(channels: int) -> nn.Module:
    """All tokens at once, each channel alone, as in MLP-Mixer."""
    return MLPMixing(SIDE)


MIXINGS: Mapping[str, Callable[[int], nn.Module]] = {
    "rafts": rafts,
    "no rafts": no_rafts,
    "mixer": full_mixing,
    "columns only": ColumnsOnly,
}
# Each the best of 0.0025, 0.005, ... 0.08 on other regions, seed 100; "columns only" has that of rafts.
RATES = dict.fromkeys(MIXINGS, 8e-2)


def small(name: str) -> MixerNet:
    """Two layers, 32 channels; the nets differ in how tokens are mixed."""
    return MixerNet(MIXINGS[name], width=WIDTH, depth=2, inputs=4, outputs=1)


def mixing_parameters(net: MixerNet) -> int:
    """How many learnable numbers mix tokens, their norms included."""
    return sum(p.numel() for layer in net.layers for p in layer.get_submodule("mixer").parameters())


def trained(name: str, seed: int, budget: str) -> Run:
    """One of the nets, trained on the scattered regions; the recipe differs in the learning rate alone."""
    images, tests, steps = by_budget(budget, smoke=(32, 8, 1), lesson=(8000, 1000, 250))
    work = region_task(seed=seed, images=images, test={"images": tests})
    return train(partial(small, name), work, Recipe(steps=steps, lr=RATES[name]), seed)


def relative_error(name: str, against: str, seed: int, budget: str) -> Measured:
    """Mean squared error of one net over that of another one."""
    ours, theirs = (-trained(each, seed, budget).score for each in (name, against))
    return Measured(ours / theirs, system=ours, baseline=theirs)


# Another resolution ---------------------------------------------------------------------------

LEVELS = (Level(16, 1, 2, (2, 4)), Level(32, 1, 2, (2,)))
IMAGE, FINER = 16, 24  # pixels: 8 x 8 tokens in the first level, and 12 x 12


def digits(seed: int, budget: str, shuffled: bool = False) -> Task:
    """Digits of 8 x 8 pixels, enlarged to 16 x 16. shuffled: patches of 2 x 2 in one random order for all."""
    images, tests = by_budget(budget, smoke=(16, 8), lesson=(600, 500))
    found = task("scarce-digits", seed=seed, images=images, wrong=0.0)
    (X, Y), (A, B) = found.train, found.test
    enlarge = partial(seen_at, side=IMAGE, shuffled=shuffled)
    return replace(
        found,
        name="digits of 16 x 16",
        inputs=(1, IMAGE, IMAGE),
        train=(enlarge(X), Y),
        test=(enlarge(A[:tests]), B[:tests]),
    )


def seen_at(X: Tensor, side: int, shuffled: bool = False) -> Tensor:
    """The same pictures with side x side pixels; shuffled: their patches of 2 x 2 in a fixed random order."""
    finer = bicubic(X, (side, side))
    if not shuffled:
        return finer
    order = torch.randperm((side // 2) ** 2, generator=torch.Generator().manual_seed(side))
    return F.fold(F.unfold(finer, 2, stride=2)[:, :, order], side, 2, stride=2)


def network() -> RaftMLP:
    """Two levels for the enlarged digits: 8 x 8 tokens, then 4 x 4."""
    return RaftMLP(LEVELS, image=IMAGE, inputs=1, outputs=10, drop=0.0)


def classifier(seed: int, budget: str, shuffled: bool = False) -> Run:
    """It, trained on images of 16 x 16."""
    steps = by_budget(budget, smoke=1, lesson=120)
    return train(network, digits(seed, budget, shuffled), Recipe(steps=steps, lr=8e-3), seed)


def kept_beyond_a_crop(shuffled: bool, seed: int, budget: str) -> Measured:
    """Points by which finer images, resized between the layers, beat their middle cut out.

    The images have 24 x 24 pixels, their middle 16 x 16. shuffled: the network learnt and reads images whose
    patches lie in a random order; the middle is always read from ordinary ones.
    """
    ours, theirs = finer_score(seed, budget, shuffled), finer_score(seed, budget, cut=True)
    return Measured(ours - theirs, system=ours, baseline=theirs)


def finer_score(seed: int, budget: str, shuffled: bool = False, cut: bool = False) -> float:
    """Per cent of the test digits read right at 24 x 24 pixels; cut: their middle of 16 x 16 alone."""
    run = classifier(seed, budget, shuffled)
    X, Y = task("scarce-digits", seed=seed, images=1, wrong=0.0).test
    tests, edge = len(run.task.test[0]), (FINER - IMAGE) // 2
    finer = seen_at(X[:tests], FINER, shuffled)
    if cut:
        finer = finer[:, :, edge:-edge, edge:-edge]
    return 100 * run.task.score(predict(run.model, finer), Y[:tests])


# What it costs --------------------------------------------------------------------------------


def saving(raft: int, seed: int, budget: str) -> Measured:
    """Weights that mix all tokens of 56 x 56 at once, over those of rafts; 64 channels, as in S."""
    with torch.device("meta"):
        ours, theirs = (
            sum(p.numel() for p in mixing.parameters())
            for mixing in (RaftMixing(64, 56, raft=raft), MLPMixing(56))
        )
    return Measured(theirs / ours, system=ours, baseline=theirs)


FEWER = "accuracy above MLP-Mixer's with fewer parameters and less work (the abstract has no figure)"

SYSTEM = System(
    key="raftmlp",
    claims=[
        Claim(
            "mixing-parameters",
            says="In the first level of S, 56 x 56 tokens, rafts of 2 need at most a hundredth of the "
            "weights that mix all tokens at once. The bar is ours; the control has rafts of 64.",
            paper=FEWER,
            unit="times fewer",
            against="parameters, all tokens at once",
            bar=AtLeast(100),
            measure=partial(saving, 2),
            control=partial(saving, 64),
            provenance="formula",
            seeds=1,
        ),
        Claim(
            "as-good-as-mixer",
            says="On the scattered regions, the error of rafts of 2 is at most that of MLP-Mixer, with less "
            "than a seventh of the weights that mix tokens. The control mixes along columns only.",
            paper=FEWER,
            unit="times the error",
            against="squared error, MLP-Mixer",
            bar=AtMost(1),
            measure=partial(relative_error, "rafts", "mixer"),
            control=partial(relative_error, "columns only", "mixer"),
            provenance="counted",
        ),
        Claim(
            "rafts-help",
            says="On the scattered regions, the error of rafts of 2 is at most that of a network without "
            "rafts and with as many weights that mix tokens. The control mixes along columns only.",
            paper="spatial correlations made denser among some channels (no figure in the abstract)",
            unit="times the error",
            against="squared error, no rafts",
            bar=AtMost(1),
            measure=partial(relative_error, "rafts", "no rafts"),
            control=partial(relative_error, "columns only", "no rafts"),
            provenance="counted",
        ),
        Claim(
            "finer-images",
            says="Digits of 24 x 24 pixels, in a network for 16 x 16, are read at least as well with bicubic "
            "resizing between the layers as by their middle alone. The control's images have their patches "
            "in a random order.",
            paper="bicubic interpolation overcomes the fixed resolution (no figure in the abstract)",
            unit="points",
            against="% right, middle of 16 x 16",
            bar=AtLeast(0),
            measure=partial(kept_beyond_a_crop, False),
            control=partial(kept_beyond_a_crop, True),
            provenance="counted",
        ),
        Claim(
            "accuracy",
            says="On ImageNet, RaftMLP names more images right than MLP-Mixer with more parameters.",
            paper=FEWER,
            bar=AtLeast(0),
            needs="hardware",
        ),
    ],
    deviations=[
        "No ImageNet, detection or segmentation: mixing is compared on scattered regions of 8 x 8 tokens, in "
        "two layers of 32 channels; there, the small network's own norm and shortcut stand around both.",
        "The network without rafts has hidden layers of 8 times the tokens of a line, so that both have as "
        "many weights, to 2 %; the source compares rafts without that.",
        "Finer images are digits of 8 x 8 pixels, enlarged to 16 x 16 for training and to 24 x 24 for the "
        "test, in two levels of one block. The source's finer images are those of detection, where it "
        "reports that results were not significant.",
        "The weights of rafts are counted with the norms of columns and rows, those of MLP-Mixer without a "
        "norm; the saving is a little larger without them.",
        "An option of the released code, heads of all levels multiplied together, is left out: it is off in "
        "the settings of all published sizes.",
        "Paper scale: 305 epochs of ImageNet in batches of 2048.",
    ],
)
