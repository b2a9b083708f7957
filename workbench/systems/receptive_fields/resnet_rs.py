"""Revisiting ResNets: Improved Training and Scaling Strategies.

Irwan Bello, William Fedus, Xianzhi Du, Ekin D. Cubuk, Aravind Srinivas, Tsung-Yi Lin, Jonathon Shlens,
Barret Zoph; NeurIPS 2021; https://arxiv.org/abs/2103.07579. Original code:
https://github.com/tensorflow/tpu/tree/master/models/official/resnet/resnet_rs, Apache 2.0. Nothing is
copied from it.

When a new network beats an old one, three things have usually changed at once: the architecture, the
training and the size. The source takes them apart, and each part has its own place here:

    `Architecture`      squeeze-and-excitation, ResNet-D's stem and shortcut, a stem without max pooling
    `Training`          cosine decay, a long schedule, an average of the weights, smoothed labels,
                        RandAugment, dropout, stochastic depth, and then less weight decay
    `grow`, `FAMILY`    depth where a network overfits, width where it does not; resolution slowly

`LADDER` adds the parts one at a time, in the order of the source.

Deviations: listed in `SYSTEM`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.budget import by_budget
from workbench.claims import AtLeast, Claim, Measured, System, Within
from workbench.errors import WorkbenchError
from workbench.layers import DropPath, SqueezeExcite
from workbench.layers.rand_augment import RandAugment
from workbench.probes import effective_field
from workbench.train import Recipe, Run, Task, task, train

# The architecture -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Architecture:
    """What the source calls architectural changes. The default is the ResNet of 2015."""

    excite: float = 0.0  # squeeze-and-excitation: share of the channels in its bottleneck, 0.25 in the source
    resnet_d: bool = False  # stem of three 3 x 3, no max pooling, shortcuts that average before they mix


OLD, NEW = Architecture(), Architecture(excite=0.25, resnet_d=True)


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1, zero: bool = False) -> nn.Sequential:
    """A convolution and its normalisation; `zero` starts the normalisation's scale at 0."""
    norm = nn.BatchNorm2d(outputs)
    if zero:
        nn.init.zeros_(norm.weight)
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, norm)


def stem(inputs: int, width: int, strides: tuple[int, int], resnet_d: bool) -> nn.Sequential:
    """[batch, inputs, height, width] -> [batch, width, ...], smaller by both strides.

    The old stem looks once through 7 x 7 and keeps the largest of 3 x 3. ResNet-D's reaches as far with
    three 3 x 3 and one more in place of the pooling, and throws nothing away unseen.
    """
    first, second = strides
    if not resnet_d:
        return nn.Sequential(
            conv_norm(inputs, width, 7, first), nn.ReLU(), nn.MaxPool2d(3, second, padding=1)
        )
    half = max(1, width // 2)
    sizes = [(inputs, half, first), (half, half, 1), (half, width, 1), (width, width, second)]
    return nn.Sequential(*[layer for i, o, s in sizes for layer in (conv_norm(i, o, 3, s), nn.ReLU())])


def shortcut(inputs: int, outputs: int, stride: int, resnet_d: bool) -> nn.Module:
    """The path around a block, which must change size where the block does.

    A 1 x 1 convolution of stride 2 never looks at three of four values. ResNet-D averages them first.
    """
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    if resnet_d and stride > 1:
        average = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)
        return nn.Sequential(average, conv_norm(inputs, outputs, 1))
    return conv_norm(inputs, outputs, 1, stride)


class Block(nn.Module):
    """relu(shortcut(x) + drop(excite(body(x)))): [batch, inputs, h, w] -> [batch, outputs, ...], h / stride.

    bottleneck: 1 x 1 down to a quarter, 3 x 3, 1 x 1 up again; otherwise two 3 x 3. The last normalisation
    starts at zero, so that a new network is the path around its blocks.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        of: Architecture,
        drop: float = 0.0,
        bottleneck: bool = True,
    ) -> None:
        super().__init__()
        if bottleneck:
            middle = outputs // 4
            body = [
                *(conv_norm(inputs, middle, 1), nn.ReLU()),
                *(conv_norm(middle, middle, 3, stride), nn.ReLU()),
                conv_norm(middle, outputs, 1, zero=True),
            ]
        else:
            body = [
                *(conv_norm(inputs, outputs, 3, stride), nn.ReLU()),
                conv_norm(outputs, outputs, 3, zero=True),
            ]
        self.body = nn.Sequential(*body)
        self.excite = SqueezeExcite(outputs, of.excite) if of.excite else nn.Identity()
        self.drop = DropPath(drop)
        self.shortcut = shortcut(inputs, outputs, stride, of.resnet_d)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.drop(self.excite(self.body(x))))


class ResNet(nn.Module):
    """Stem, stages of blocks, mean over positions, dropout, linear.

    [batch, inputs, height, width] -> [batch, outputs].

    blocks: how many in each stage; a stage doubles the width and, but for the first, halves the size.
    drop_path: stochastic depth of the last stage; earlier stages drop less, in proportion to their number.
    """

    def __init__(
        self,
        blocks: Sequence[int] = (3, 4, 6, 3),
        width: int = 64,
        *,
        of: Architecture = OLD,
        inputs: int = 3,
        outputs: int = 1000,
        bottleneck: bool = True,
        stem_strides: tuple[int, int] = (2, 2),
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if not blocks or min(blocks) < 1 or width < 1:
            raise WorkbenchError(
                f"a ResNet needs at least one block in each stage and a width of at least 1, "
                f"but blocks {tuple(blocks)} and width {width} came"
            )
        layers: list[nn.Module] = [stem(inputs, width, stem_strides, of.resnet_d)]
        channels, expansion = width, 4 if bottleneck else 1
        for stage, count in enumerate(blocks):
            drop = drop_path * (stage + 2) / (len(blocks) + 1)
            for block in range(count):
                stride = 2 if stage and block == 0 else 1
                wide = expansion * width * 2**stage
                layers.append(Block(channels, wide, stride, of, drop, bottleneck))
                channels = wide
        self.features = nn.Sequential(*layers)
        self.dropout, self.classify = nn.Dropout(dropout), nn.Linear(channels, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.dropout(self.features(x).mean(dim=(2, 3))))


# Scaling --------------------------------------------------------------------------------------

BLOCKS = {
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
    270: (4, 29, 53, 4),
    350: (4, 36, 72, 4),
    420: (4, 44, 87, 4),
}


@dataclass(frozen=True)
class Member:
    """One released network: layers, side of the image, seconds a step on a V100, % of ImageNet right."""

    depth: int
    image: int
    seconds: float
    accuracy: float


FAMILY = tuple(
    Member(*row)
    for row in (
        (50, 160, 0.31, 78.8),
        (101, 160, 0.48, 80.3),
        (101, 192, 0.70, 81.2),
        (152, 192, 0.99, 82.0),
        (152, 224, 1.48, 82.2),
        (152, 256, 1.76, 83.0),
        (200, 256, 2.86, 83.4),
        (270, 256, 3.76, 83.8),
        (350, 256, 4.72, 84.0),
        (350, 320, 8.48, 84.2),
        (420, 320, 10.16, 84.4),
    )
)


def resnet_rs(depth: int, outputs: int = 1000, **options: float) -> ResNet:
    """A member of the family at the size of the source. options: dropout, drop_path."""
    if depth not in BLOCKS:
        raise WorkbenchError(f"depth must be one of {', '.join(map(str, BLOCKS))}, but {depth} came")
    return ResNet(BLOCKS[depth], of=NEW, outputs=outputs, **options)  # type: ignore[arg-type]


def grow(blocks: Sequence[int], width: int, factor: float, overfits: bool) -> tuple[tuple[int, ...], int]:
    """A network of about `factor` times the multiplications: deeper where it overfits, else wider.

    Multiplications grow with the number of blocks, and with the square of the width.
    """
    if factor <= 0:
        raise WorkbenchError(f"factor must be positive, but {factor} came")
    if overfits:
        return tuple(max(1, round(count * factor)) for count in blocks), width
    return tuple(blocks), max(1, round(width * math.sqrt(factor)))


def overfits(epochs: float) -> bool:
    """Whether the source expects overfitting on ImageNet: after 10 epochs wider won, after 350 deeper."""
    return epochs > 10


# Training -------------------------------------------------------------------------------------

STEPS_OF_THE_SOURCE, AVERAGE_OF_THE_SOURCE = 109_475, 0.9999  # of the released configurations
MORE_DECAY, LESS_DECAY = 1e-2, 4e-3


@dataclass(frozen=True)
class Training:
    """What the source calls training methods. The default is that of the ResNet of 2015.

    decay: share of the weights' half-squared norm in the loss. The source lowers it from 1e-4 to 4e-5 once
    the other regularisers are on; runs of hundreds instead of a hundred thousand steps need a hundred times
    as much to feel it at all, so both numbers are 100 times as large here and keep their ratio.
    """

    cosine: bool = False
    long: bool = False
    average: bool = False
    smoothing: float = 0.0
    drop_path: float = 0.0
    augment: tuple[int, float] | None = None  # layers and magnitude of RandAugment
    dropout: float = 0.0
    decay: float = MORE_DECAY


def _ladder() -> tuple[tuple[str, Training, Architecture], ...]:
    """The parts one at a time, in the order of the source; each rung keeps those below it."""
    training, architecture = Training(), OLD
    rungs = [("ResNet of 2015", training, architecture)]
    for name, part in (
        ("cosine decay", {"cosine": True}),
        ("longer training", {"long": True}),
        ("averaged weights", {"average": True}),
        ("label smoothing", {"smoothing": 0.1}),
        ("stochastic depth", {"drop_path": 0.1}),
        ("RandAugment", {"augment": (2, 10.0)}),
        ("dropout", {"dropout": 0.25}),
        ("less weight decay", {"decay": LESS_DECAY}),
    ):
        training = replace(training, **part)
        rungs.append((name, training, architecture))
    for name, change in (("squeeze and excite", {"excite": 0.25}), ("ResNet-D", {"resnet_d": True})):
        architecture = replace(architecture, **change)
        rungs.append((name, training, architecture))
    return tuple(rungs)


LADDER = _ladder()
PLAIN = replace(Training(), long=True)  # as many steps as the improved training: the same work
IMPROVED = LADDER[-1][1]


def cosine(step: int, steps: int, lr: float) -> float:
    """Learning rate at this step: half a cosine from lr down to 0 at `steps`."""
    return lr * (1 + math.cos(math.pi * step / steps)) / 2


def milestones(step: int, steps: int, lr: float) -> float:
    """The schedule before: a tenth of the learning rate after each of 30, 60 and 80 of 90 epochs."""
    return lr * 0.1 ** sum(90 * step >= epoch * steps for epoch in (30, 60, 80))


def average_decay(steps: int) -> float:
    """Decay of the running average whose memory is the same share of the run as in the source.

    An average with decay d remembers about 1 / (1 - d) steps: 10,000 of 109,475 in the source. With 0.9999
    a run of 250 steps would end as it began, because 97 % of its average were the random first weights.
    """
    memory = steps / STEPS_OF_THE_SOURCE / (1 - AVERAGE_OF_THE_SOURCE)
    return max(0.0, 1 - 1 / max(memory, 1.0))


def running_average(values: Sequence[float], decay: float) -> float:
    """a <- decay * a + (1 - decay) * value, starting at the first value."""
    average = values[0]
    for value in values[1:]:
        average = decay * average + (1 - decay) * value
    return average


def smoothed_loss(scores: Tensor, labels: Tensor, smoothing: float = 0.1) -> Tensor:
    """Cross entropy against targets: smoothing / classes for each of the classes, the rest for the right one.

    scores: [batch, classes]. labels: [batch].
    """
    classes = scores.shape[1]
    targets = torch.full_like(scores, smoothing / classes)
    targets[torch.arange(len(labels)), labels] += 1 - smoothing
    return -(targets * scores.log_softmax(dim=1)).sum(dim=1).mean()


# Measuring ------------------------------------------------------------------------------------

EPOCHS, BATCH, LR = 50, 32, 0.1


@dataclass(frozen=True)
class Digits:
    """What there is to learn from: how many images, and which share of them with a wrong label."""

    images: int
    wrong: float


SCARCE, CLEAN = Digits(150, 0.2), Digits(797, 0.0)
YARDSTICK = 1.5  # points that the training gain must stay below where there is nothing to regularise


def small_net(training: Training = PLAIN, of: Architecture = OLD) -> ResNet:
    """For digits of 8 x 8 pixels: the stem halves them once, two stages of two blocks of two 3 x 3."""
    return ResNet(
        (2, 2),
        16,
        of=of,
        inputs=1,
        outputs=10,
        bottleneck=False,
        stem_strides=(1, 2),
        dropout=training.dropout,
        drop_path=training.drop_path,
    )


def recipe(training: Training, steps: int) -> Recipe:
    """The bench's recipe for this way of training; half the steps where it is not `long`."""
    steps = steps if training.long else max(1, steps // 2)
    return Recipe(
        steps=steps,
        batch=BATCH,
        lr=LR,
        optimizer="sgd",
        options={"nesterov": True},
        schedule="cosine" if training.cosine else "milestones",
        milestones=(30 / 90, 60 / 90, 80 / 90),
        warmup=5 / 90,
        weight_decay=training.decay,
        label_smoothing=training.smoothing,
        ema=average_decay(steps) if training.average else None,
        augment=RandAugment(*training.augment) if training.augment else None,
    )


def steps_for(images: int, budget: str) -> int:
    """Fifty epochs; twenty in the lesson budget where there are more than a few hundred images."""
    epochs = by_budget(budget, smoke=1, lesson=EPOCHS if images <= 300 else 20, full=EPOCHS)
    return min(math.ceil(epochs * images / BATCH), by_budget(budget, smoke=2, lesson=10_000))


@cache
def digits(data: Digits, seed: int) -> Task:
    """Some digits to learn from, and always the same 1000 with right labels as test."""
    return task("scarce-digits", seed=seed, images=data.images, wrong=data.wrong)


def trained(training: Training, of: Architecture, seed: int, budget: str, data: Digits = SCARCE) -> Run:
    """The small network after training."""
    how = recipe(training, steps_for(data.images, budget))
    return train(partial(small_net, training, of), digits(data, seed), how, seed)


@cache
def percent_right(
    training: Training, of: Architecture, seed: int, budget: str, data: Digits = SCARCE
) -> float:
    """Percent of the 1000 test digits that the small network gets right after training."""
    return 100 * trained(training, of, seed, budget, data).score


def training_over_architecture(seed: int, budget: str) -> Measured:
    """Points gained by training minus points gained by architecture, each alone, from the same start.

    The start cancels: the difference is the old network trained the new way against the new network
    trained the old way. It is also the difference of the two main effects of the 2 x 2 experiment.
    """
    start = percent_right(PLAIN, OLD, seed, budget)
    by_training = percent_right(IMPROVED, OLD, seed, budget) - start
    by_architecture = percent_right(PLAIN, NEW, seed, budget) - start
    return Measured(by_training - by_architecture, system=by_training, baseline=by_architecture)


def training_gain_when_clean(seed: int, budget: str) -> Measured:
    """Control, all 797 images with right labels: the training gain must stay below the yardstick."""
    better, plain = (percent_right(how, OLD, seed, budget, CLEAN) for how in (IMPROVED, PLAIN))
    return Measured(better - plain - YARDSTICK, system=better - plain, baseline=YARDSTICK)


def interaction(seed: int, budget: str, data: Digits) -> Measured:
    """What less decay gains with the other regularisers on, minus what it gains without them, in points."""

    def gain(training: Training) -> float:
        less, more = (
            percent_right(replace(training, decay=decay), OLD, seed, budget, data)
            for decay in (LESS_DECAY, MORE_DECAY)
        )
        return less - more

    regularised, bare = gain(IMPROVED), gain(PLAIN)
    return Measured(regularised - bare, system=regularised, baseline=bare)


def decay_interaction(seed: int, budget: str) -> Measured:
    """On few digits, a fifth of them with a wrong label."""
    return interaction(seed, budget, SCARCE)


def decay_interaction_when_clean(seed: int, budget: str) -> Measured:
    """Control, on all right labels: where nothing overfits, decay and the others do not compete."""
    return interaction(seed, budget, CLEAN)


def reach_in_objects(seed: int, budget: str, zoom: int, margin: int = 1) -> float:
    """Spread of the effective field of a trained network, in widths of the object.

    Digits are enlarged `zoom` times, and put into the middle of a picture `margin` times as large.
    """
    net = trained(IMPROVED, OLD, seed, budget).model
    assert isinstance(net, ResNet)
    images = digits(SCARCE, seed).test[0][: by_budget(budget, smoke=2, lesson=16)]
    enlarged = F.interpolate(images, scale_factor=zoom, mode="bilinear")
    width = enlarged.shape[-1]
    framed = F.pad(enlarged, [(margin - 1) * width // 2] * 4)
    return effective_field(net.features, framed).spread / width


def reach_when_doubled(seed: int, budget: str) -> Measured:
    """How far the same network sees after the picture is enlarged twice, against before."""
    zoom = by_budget(budget, smoke=4, lesson=8)
    after, before = reach_in_objects(seed, budget, 2 * zoom), reach_in_objects(seed, budget, zoom)
    return Measured(after / before, system=after, baseline=before)


def reach_when_framed(seed: int, budget: str) -> Measured:
    """Control: twice the pixels by a frame around the object, which itself stays as large as it was."""
    zoom = by_budget(budget, smoke=4, lesson=8)
    after, before = reach_in_objects(seed, budget, zoom, 2), reach_in_objects(seed, budget, zoom)
    return Measured(after / before, system=after, baseline=before)


SYSTEM = System(
    key="resnet-rs",
    claims=[
        Claim(
            "training-over-architecture",
            says="Better training gains more than better architecture: percent of test digits right, 150 "
            "training images with a fifth of the labels wrong, the same number of steps in all "
            "four corners.",
            paper="79.0 % of ImageNet, 82.2 % with the training methods, 83.4 % with the architecture too: "
            "+3.2 against +1.2",
            unit="points",
            against="points, the gain by architecture",
            bar=AtLeast(0),
            measure=training_over_architecture,
            control=training_gain_when_clean,
            seeds=10,
        ),
        Claim(
            "decay-interaction",
            says="Less weight decay gains more once the other regularisers are on than without them, "
            "in points.",
            paper="4e-5 in all released configurations, where the ResNet code before had 1e-4; no "
            "figure retrieved",
            # The source gives a direction. Half a point was chosen before anything was measured: less than
            # that nobody would lower the decay for.
            unit="points",
            against="points, what less decay gains without the others",
            bar=AtLeast(0.5, null=0),
            measure=decay_interaction,
            control=decay_interaction_when_clean,
            seeds=10,
        ),
        Claim(
            "reach-per-object",
            says="Twice the resolution halves how far the same network sees, counted in widths of the "
            "object.",
            paper="ResNet-RS-350 from 256 to 320 pixels: 1.8 times the time on a V100 (4.72 s to "
            "8.48 s) for +0.2 points (84.0 to 84.2)",
            unit="times",
            against="widths of the object, before it is enlarged",
            bar=Within(0.4, 0.6, null=1),
            measure=reach_when_doubled,
            control=reach_when_framed,
        ),
    ],
    deviations=[
        "Digits of 8 x 8 pixels and networks of two stages with blocks of two 3 x 3 stand in for ImageNet "
        "and for bottlenecks in four stages; `resnet_rs(50)` to `resnet_rs(420)` build the networks of the "
        "source.",
        "All four corners of the 2 x 2 experiment train for the same 50 epochs. In the source the better "
        "training is also longer; here that is a rung of the ladder.",
        "The running average keeps the share of the run that it remembers, not the number 0.9999, and "
        "weight decay is a hundred times that of the source: runs of 235 steps would feel neither "
        "otherwise.",
        "The batch has 32 images, the learning rate is 0.1: the best of 0.0125, 0.05, 0.1 and 0.2 for the "
        "plain training of the old network on held-out training images, and the same for all.",
        "RandAugment draws from 15 of the 16 operations, because pictures are grey, and magnitude 10 is a "
        "strength set here for small pictures. Random crops and flips are left out: a flipped digit is "
        "none.",
        "The control trains on all 797 images that are not for testing, where 1797 would leave none to "
        "test on, and for 20 epochs in the lesson budget.",
        "Batch norm keeps running statistics with momentum 0.1; the released configurations set theirs to "
        "the last batch and average them along with the weights.",
        "Paper scale: 350 epochs of ImageNet in batches of 4096, networks of up to 192 million weights, "
        "TPUs; semi-supervised training, transfer and video are left out.",
    ],
)
