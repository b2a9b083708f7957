"""Lite Pose: Efficient Architecture Design for 2D Human Pose Estimation.

Yihan Wang, Muyang Li, Han Cai, Wei-Ming Chen, Song Han; CVPR 2022; https://arxiv.org/abs/2205.01271.
Original code: https://github.com/mit-han-lab/litepose, MIT; figures from the slides in that repository.
Nothing is copied from it.

Where are the hands and feet of everybody in the picture? The network answers with maps: for every joint one
that is bright where such a joint lies, and for every joint one of *tags*, numbers that are alike on one
person and differ between persons. From small to large:

1. widen, look 7 x 7 in every channel, narrow               `MBConv`
2. one branch that shrinks the picture to a sixteenth       `LitePose`, its `stages`
3. grown again, each time with what the branch had before   the fusion deconv head of `LitePose`
4. two answers, at a quarter and at a half of the size      `Maps`
5. trained to have bumps at joints, one tag a person        `PoseLoss`, `grouping_loss`
6. read off: peaks, joined to people by their tags          `peaks`, `group`, `poses`
7. why one branch: branches of high resolution can go       `Branches`, `shrunk`

Deviations: listed in `SYSTEM`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from workbench.budget import by_budget
from workbench.claims import AtLeast, Claim, Measured, System
from workbench.errors import WorkbenchError
from workbench.layers import BasicBlock, DepthwiseConv2d
from workbench.train import HeatMapLoss, JointScore, Recipe, Run, Task, task, train

# The network ----------------------------------------------------------------------------------


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU6."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


def depthwise(channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """The same in every channel for itself."""
    return nn.Sequential(
        DepthwiseConv2d(channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU6(),
    )


class MBConv(nn.Module):
    """Widen by 1 x 1, look by a depthwise kernel, narrow by 1 x 1 without activation (MobileNetV2's block).

    [batch, inputs, h, w] -> [batch, outputs, h / stride, w / stride], rounded up; x is added where the shape
    stays.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, kernel: int = 7, expansion: int = 6
    ) -> None:
        super().__init__()
        wide = expansion * inputs
        self.branch = nn.Sequential(
            conv(inputs, wide, 1),
            depthwise(wide, kernel, stride),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x) if self.shortcut else self.branch(x)


class Maps(NamedTuple):
    """What a pose network answers with, as maps of the picture.

    coarse: [batch, joints + tags, h / 4, w / 4], heat maps first; tags: as many as joints, or none.
    fine: [batch, joints, h / 2, w / 2], heat maps alone.
    """

    coarse: Tensor
    fine: Tensor


def answer(inputs: int, outputs: int, kernel: int = 5) -> nn.Sequential:
    """A separable convolution: each channel by itself, then 1 x 1."""
    return nn.Sequential(
        DepthwiseConv2d(inputs, kernel, 1, kernel // 2, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
    )


def twice(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """A transposed convolution that doubles height and width."""
    return nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)


@dataclass(frozen=True)
class Plan:
    """Sizes of a network. The defaults are those of LitePose-Auto-XS.

    first, stem: channels after the first convolution and after the stem (stride 2). channels, depths,
    strides: of the stages; all strides but the last are 2, the last is 1. deconvs: channels of the head, one
    step fewer than stages. fusion: whether the head takes what the stages had.
    """

    first: int = 32
    stem: int = 16
    channels: tuple[int, ...] = (16, 32, 48, 80)
    depths: tuple[int, ...] = (6, 8, 10, 10)
    strides: tuple[int, ...] = (2, 2, 2, 1)
    deconvs: tuple[int, ...] = (16, 24, 24)
    kernel: int = 7
    expansion: int = 6
    fusion: bool = True

    def __post_init__(self) -> None:
        stages = len(self.channels)
        if stages < 3 or len(self.depths) != stages or len(self.deconvs) != stages - 1:
            raise WorkbenchError(
                "a plan needs three stages or more, a depth for each and one deconv fewer, but "
                f"{stages} channels, {len(self.depths)} depths and {len(self.deconvs)} deconvs came"
            )
        if self.strides != (*(2,) * (stages - 1), 1):
            raise WorkbenchError(f"strides must be 2, and 1 in the last stage, but {self.strides} came")


XS = Plan()


class LitePose(nn.Module):
    """[batch, inputs, height, width] -> `Maps` of `joints` joints, with tags or without.

    The head begins with the coarsest map and doubles it, step by step. To each step it adds what the branch
    had at that size, doubled too; then batch norm and ReLU. The last two steps give an answer each: one from
    the doubled map (refined) plus one from the map of the branch at the new size (raw). With `fusion` off the
    raw maps are left out in both places. Sizes that do not halve evenly are rounded up, and what is doubled
    beyond the raw map is cut off.
    """

    def __init__(self, joints: int, inputs: int = 3, plan: Plan = XS, tags: bool = True) -> None:
        super().__init__()
        self.joints, self.fusion = joints, plan.fusion
        self.stem = nn.Sequential(
            conv(inputs, plan.first, 3, 2),
            depthwise(plan.first, 3),
            nn.Conv2d(plan.first, plan.stem, 1, bias=False),
            nn.BatchNorm2d(plan.stem),
        )
        self.stages = nn.ModuleList()
        widths = [plan.stem, *plan.channels]
        for before, width, depth, stride in zip(
            widths[:-1], plan.channels, plan.depths, plan.strides, strict=True
        ):
            sizes = [(before, width, stride), *[(width, width, 1)] * (depth - 1)]
            self.stages.append(nn.Sequential(*(MBConv(*size, plan.kernel, plan.expansion) for size in sizes)))
        raw = widths[:-1][::-1]  # at the size of each step's input, coarsest first
        self.refined = nn.ModuleList(map(twice, (widths[-1], *plan.deconvs[:-1]), plan.deconvs))
        self.joined = nn.ModuleList(nn.Sequential(nn.BatchNorm2d(width), nn.ReLU()) for width in plan.deconvs)
        outputs = [joints * (2 if tags else 1), joints]
        self.answers = nn.ModuleList(map(answer, plan.deconvs[-2:], outputs))
        if plan.fusion:
            self.raw = nn.ModuleList(map(twice, raw[: len(plan.deconvs)], plan.deconvs))
            self.raw_answers = nn.ModuleList(map(answer, raw[-2:], outputs))

    def forward(self, x: Tensor) -> Maps:
        found = [self.stem(x)]
        for stage in self.stages:
            found.append(stage(found[-1]))
        return Maps(*self.head(found))

    def head(self, found: Sequence[Tensor]) -> list[Tensor]:
        """The two answers, from the maps of stem and stages, finest first."""
        *raw, refined = found
        answers: list[Tensor] = []
        steps = len(self.refined)
        for step in range(steps):
            here, finer = raw[-1 - step], raw[-2 - step]
            refined = self.refined[step](refined)
            if self.fusion:
                refined = refined + self.raw[step](here)
            refined = self.joined[step](refined)[..., : finer.shape[-2], : finer.shape[-1]]
            if (last := step - steps + 2) >= 0:
                answers.append(self.answers[last](refined))
                if self.fusion:
                    answers[-1] = answers[-1] + self.raw_answers[last](finer)
        return answers


class Branches(nn.Module):
    """The network with branches that Lite Pose starts from, after HigherHRNet: `Maps` as above.

    blocks[s][b]: how many residual blocks branch b has in stage s; branch 0 has a quarter of the picture's
    height and width, every further one half of that and twice the channels. After each stage every branch
    gets the sum of all, stretched or shrunk to its size. A branch without blocks is one 3 x 3 convolution.
    """

    def __init__(
        self, joints: int, blocks: Sequence[Sequence[int]], inputs: int = 1, base: int = 8, tags: bool = False
    ) -> None:
        super().__init__()
        counts = [len(stage) for stage in blocks]
        if not blocks or any(later < sooner for sooner, later in pairwise(counts)):
            raise WorkbenchError(
                f"stages need one branch or more, never fewer than the one before, but {counts} came"
            )
        width = [base * 2**branch for branch in range(counts[-1])]
        self.stem = nn.Sequential(conv(inputs, base, 3, 2), conv(base, base, 3, 2))
        self.branches, self.widen, self.fuse = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        there = 1
        for stage in blocks:
            new = range(there, len(stage))
            self.widen.append(nn.ModuleList(conv(width[b - 1], width[b], 3, 2) for b in new))
            self.branches.append(nn.ModuleList(_branch(width[b], depth) for b, depth in enumerate(stage)))
            self.fuse.append(
                nn.ModuleList(
                    nn.ModuleList(_between(width, source, target) for source in range(len(stage)))
                    for target in range(len(stage))
                )
            )
            there = len(stage)
        outputs = joints * (2 if tags else 1)
        self.coarse = nn.Conv2d(base, outputs, 1)
        self.up = nn.Sequential(twice(base + outputs, base), nn.BatchNorm2d(base), nn.ReLU())
        self.fine = nn.Conv2d(base, joints, 1)

    def forward(self, x: Tensor) -> Maps:
        maps = [self.stem(x)]
        for widen, branches, fuse in zip(self.widen, self.branches, self.fuse, strict=True):
            for step in widen:  # type: ignore[attr-defined]
                maps.append(step(maps[-1]))
            maps = [branch(each) for branch, each in zip(branches, maps, strict=True)]  # type: ignore[call-overload]
            maps = [_sum(paths, maps, target) for paths, target in zip(fuse, maps, strict=True)]  # type: ignore[call-overload]
        coarse = self.coarse(maps[0])
        fine = self.fine(self.up(torch.cat((maps[0], coarse), 1)))
        return Maps(coarse, fine[..., : -(-x.shape[-2] // 2), : -(-x.shape[-1] // 2)])


def _branch(width: int, depth: int) -> nn.Module:
    return nn.Sequential(*(BasicBlock(width) for _ in range(depth))) if depth else conv(width, width)


def _between(width: Sequence[int], source: int, target: int) -> nn.Module:
    """From the size and channels of one branch to those of another."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            nn.Conv2d(width[source], width[target], 1, bias=False),
            nn.BatchNorm2d(width[target]),
            nn.Upsample(scale_factor=2 ** (source - target)),
        )
    steps = [conv(width[source], width[source], 3, 2) for _ in range(target - source - 1)]
    last = nn.Conv2d(width[source], width[target], 3, 2, 1, bias=False)
    return nn.Sequential(*steps, last, nn.BatchNorm2d(width[target]))


def _sum(paths: nn.ModuleList, maps: Sequence[Tensor], target: Tensor) -> Tensor:
    height, width = target.shape[-2:]
    return torch.relu(sum(path(each)[..., :height, :width] for path, each in zip(paths, maps, strict=True)))


def shrunk(blocks: Sequence[Sequence[int]], times: int, lowest: bool = False) -> tuple[tuple[int, ...], ...]:
    """Gradual shrinking: `times` branches without their blocks, the finest first, the last stage first.

    The coarsest branch of every stage is kept: when nothing else has blocks, one branch is left.
    lowest: takes the blocks of the coarsest branches instead, last stage first: the comparison.

    >>> shrunk([(2, 2), (2, 2, 2)], 3)
    ((0, 2), (0, 0, 2))
    """
    stages = [list(stage) for stage in blocks]
    last = len(stages) - 1
    if lowest:
        order = [(s, len(stages[s]) - 1 - b) for b in range(len(stages[-1])) for s in range(last, -1, -1)]
        order = [(s, b) for s, b in order if b > 0]
    else:
        order = [
            (s, b) for b in range(len(stages[-1])) for s in range(last, -1, -1) if b < len(stages[s]) - 1
        ]
    if not 0 <= times <= len(order):
        raise WorkbenchError(f"{len(order)} branches can lose their blocks, but {times} are to")
    for stage, branch in order[:times]:
        stages[stage][branch] = 0
    return tuple(map(tuple, stages))


# What it is trained for -----------------------------------------------------------------------


def grouping_loss(tags: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
    """Associative embedding: (push, pull), each averaged over the images.

    tags, visible: [images, people, joints], the tag at each joint and whether it is to be seen. With the mean
    tag m of each of the P people of whom anything is seen,

    pull = mean over people of the mean over their joints of (tag - m)**2
    push = sum over pairs a != b of exp(-(m_a - m_b)**2), over 2 P (P - 1); 0 for one person.
    """
    visible = visible.to(tags.dtype)
    joints = visible.sum(2)
    there = (joints > 0).to(tags.dtype)
    people = there.sum(1)
    means = (tags * visible).sum(2) / joints.clamp_min(1)
    away = ((tags - means[..., None]).square() * visible).sum(2) / joints.clamp_min(1)
    pull = away.sum(1) / people.clamp_min(1)
    pairs = there[:, :, None] * there[:, None, :] * (1 - torch.eye(tags.shape[1], dtype=tags.dtype))
    near = (-(means[:, :, None] - means[:, None, :]).square()).exp() * pairs
    push = near.sum((1, 2)) / (2 * people * (people - 1)).clamp_min(1)
    return push.mean(), pull.mean()


def tags_at(tags: Tensor, joints: Tensor, size: int) -> Tensor:
    """The tag at each joint: tags [n, joints, side, side], joints [n, people, joints, (y, x)] in pixels of a
    picture of `size` pixels -> [n, people, joints]."""
    side = tags.shape[-1]
    cell = (joints * side / size).floor().long().clamp(0, side - 1)
    index = (cell[..., 0] * side + cell[..., 1]).transpose(1, 2)  # [n, joints, people]
    return tags.flatten(2).gather(2, index).transpose(1, 2)


@dataclass(frozen=True)
class PoseLoss:
    """Heat maps at both sizes, and where there are tags, push and pull times `grouping`.

    Called with `Maps` and Y [n, people, joints, (y, x, visible)].
    """

    size: int
    grouping: float = 1e-3
    weight: float = 20.0

    def __call__(self, output: Maps, Y: Tensor) -> Tensor:
        joints = output.fine.shape[1]
        heat = HeatMapLoss(self.size, weight=self.weight)
        loss = heat(output.coarse[:, :joints], Y) + heat(output.fine, Y)
        if output.coarse.shape[1] == joints:
            return loss
        push, pull = grouping_loss(tags_at(output.coarse[:, joints:], Y[..., :2], self.size), Y[..., 2] > 0)
        return loss + self.grouping * (push + pull)


def heat(output: Maps) -> Tensor:
    """One heat map a joint, at the finer size: the mean of the two answers, [n, joints, h / 2, w / 2]."""
    joints, side = output.fine.shape[1], output.fine.shape[2:]
    return (output.fine + F.interpolate(output.coarse[:, :joints], size=side, mode="bilinear")) / 2


class Heat(nn.Module):
    """`heat` as the last part of a network that is to be probed."""

    def forward(self, output: Maps) -> Tensor:
        return heat(output)


@dataclass(frozen=True)
class PoseScore:
    """Share of joints found within 3 pixels, from both answers together; `only`: these joints alone."""

    size: int
    only: tuple[int, ...] | None = None

    def __call__(self, output: Maps, Y: Tensor) -> float:
        return JointScore(self.size, only=self.only)(heat(output), Y)


# Read off -------------------------------------------------------------------------------------

Found = NDArray[np.float64]


def peaks(heat: Tensor, tags: Tensor, most: int = 30, threshold: float = 0.1, window: int = 5) -> list[Found]:
    """For each joint its peaks [found, (y, x, height, tag)], highest first, in steps of the map.

    heat, tags: [joints, side, side]. A peak is as high as anything in the `window` around it and higher than
    `threshold`. It is moved by a quarter of a step towards its higher neighbour, as the bump's top may lie
    between two steps.
    """
    around = F.max_pool2d(heat[None], window, 1, window // 2)[0]
    found = []
    for each, top, tag in zip(heat, around, tags, strict=True):
        rows, columns = ((each == top) & (each > threshold)).nonzero().T
        order = each[rows, columns].argsort(descending=True, stable=True)[:most]
        found.append(
            np.array([_peak(each, tag, y, x) for y, x in zip(rows[order], columns[order], strict=True)])
        )
    return [rows if len(rows) else np.empty((0, 4)) for rows in found]


def _peak(heat: Tensor, tag: Tensor, y: Tensor, x: Tensor) -> tuple[float, float, float, float]:
    down, right = _lean(heat[:, x], int(y)), _lean(heat[y], int(x))
    return y.item() + down, x.item() + right, heat[y, x].item(), tag[y, x].item()


def _lean(line: Tensor, at: int) -> float:
    """A quarter towards the higher neighbour; nothing at the end of the line."""
    return 0.0 if at in (0, len(line) - 1) else torch.sign(line[at + 1] - line[at - 1]).item() / 4


def group(found: Sequence[Found], near: float = 1.0, most: int = 30) -> Found:
    """Peaks to people, joint by joint: [people, joints, (y, x, height, tag)], NaN where nothing was found.

    The peaks of a joint are matched to the people so far so that the sum of the distances of their tags, in
    whole numbers, is smallest, and among equals the highest peaks win. Whoever is `near` or further from a
    person's mean tag begins a new one.
    """
    from scipy.optimize import linear_sum_assignment

    people: list[Found] = []
    for joint, candidates in enumerate(found):
        taken = set()
        if people and len(candidates):
            means = np.array([np.nanmean(person[:, 3]) for person in people])
            away = np.abs(candidates[:, 3, None] - means)
            rows, columns = linear_sum_assignment(100 * np.round(away) - candidates[:, 2, None])
            for row, column in zip(rows, columns, strict=True):
                if away[row, column] < near:
                    people[column][joint] = candidates[row]
                    taken.add(row)
        for row, candidate in enumerate(candidates):
            if row not in taken and len(people) < most:
                people.append(np.full((len(found), 4), np.nan))
                people[-1][joint] = candidate
    return np.array(people) if people else np.empty((0, len(found), 4))


def fill(people: Found, heat: Tensor, tags: Tensor) -> Found:
    """Joints that were not found are put where the map is highest among places with the person's tag."""
    filled = people.copy()
    for person in filled:
        tag = np.nanmean(person[:, 3])
        for joint in np.flatnonzero(np.isnan(person[:, 0])):
            best = (heat[joint] - (tags[joint] - tag).abs().round()).argmax()
            y, x = best // heat.shape[-1], best % heat.shape[-1]
            person[joint] = _peak(heat[joint], tags[joint], y, x)
    return filled


@torch.no_grad()
def poses(
    output: Maps, size: int, near: float = 1.0, window: int = 3, threshold: float = 0.1, least: int = 1
) -> list[Found]:
    """People of every image, [people, joints, (y, x, height, tag)] with places in pixels of the picture.

    near, window, threshold: as in `group` and `peaks`. least: who shows fewer peaks is nobody; the source
    keeps them all and sorts people by the mean height of their peaks instead.
    """
    joints, side = output.fine.shape[1], output.fine.shape[2:]
    if output.coarse.shape[1] != 2 * joints:
        raise WorkbenchError("people are told apart by their tags, but this network was built without tags")
    tags = F.interpolate(output.coarse[:, joints:], size=side, mode="bilinear")
    stride, found = size / side[0], []
    for each, tag in zip(heat(output), tags, strict=True):
        people = group(peaks(each, tag, threshold=threshold, window=window), near)
        people = fill(people[(~np.isnan(people[..., 0])).sum(1) >= least], each, tag)
        people[..., :2] = people[..., :2] * stride + (stride - 1) / 2
        found.append(people)
    return found


def matched(people: Found, truth: Tensor, near: float = 3.0) -> Found:
    """For every true person [people, joints, (y, x)] the one read off that shares most joints, likewise.

    NaN for everybody where nobody was read off.
    """
    places = people[:, None, :, :2] if len(people) else np.full((1, 1, *truth.shape[1:]), np.nan)
    away = np.linalg.norm(places - truth.numpy()[None], axis=-1)  # [read off, true, joints]
    best = (away <= near).sum(-1).argmax(0)
    return places[best, 0]


# The claims -----------------------------------------------------------------------------------

SIZE, JOINTS = 48, 6  # pixels of a picture; head, hip, hands, feet
CENTRAL = (0, 1)  # head and hip, of which there is no left and right
SMALL = Plan(first=8, stem=8, channels=(12, 16, 24), depths=(1, 1, 1), strides=(2, 2, 1), deconvs=(16, 16))
RATE = 3e-2  # of 1e-2, 3e-2 and 5e-2 the best for 3 x 3, and as good as any for 7 x 7
FULL = ((2, 2), (2, 2, 2))  # blocks of the network with branches


class StrangeSkips(LitePose):
    """The head gets what the branch had of *another* picture of the batch."""

    def head(self, found: Sequence[Tensor]) -> list[Tensor]:
        *raw, last = found
        return super().head([*(each.roll(1, 0) for each in raw), last])


def pose_net(
    kernel: int = 7, depth: int = 1, fusion: bool = True, kind: type[LitePose] = LitePose
) -> LitePose:
    """The small network, without tags: [batch, 1, 48, 48] -> `Maps` of 6 joints."""
    plan = replace(SMALL, kernel=kernel, depths=(depth,) * 3, fusion=fusion)
    return kind(JOINTS, 1, plan, tags=False)


@cache
def figures(turn: float, seed: int, budget: str, people: int = 1) -> Task:
    """Stick figures turned by up to `turn` degrees either way: where are the six joints?"""
    images, tested = by_budget(budget, smoke=(16, 8), lesson=(1500, 500))
    made = task(
        "stick-figures", seed, size=SIZE, images=images, turn=turn, people=people, test={"images": tested}
    )
    return replace(made, loss=PoseLoss(SIZE), score=PoseScore(SIZE))


def trained(make: Callable[[], nn.Module], seed: int, budget: str, turn: float = 180.0) -> Run:
    steps = by_budget(budget, smoke=2, lesson=400, full=1200)
    return train(make, figures(turn, seed, budget), Recipe(steps=steps, batch=8, lr=RATE), seed)


def trained_on_pairs(seed: int, budget: str, turn: float = 30.0) -> Run:
    """The small network with tags, taught with two people a picture who lean by up to `turn` degrees."""
    steps = by_budget(budget, smoke=2, lesson=400, full=1200)
    pairs = replace(figures(turn, seed, budget, people=2), loss=PoseLoss(SIZE, grouping=0.1))
    return train(partial(LitePose, JOINTS, 1, SMALL), pairs, Recipe(steps=steps, batch=8, lr=RATE), seed)


def score(run: Run, only: tuple[int, ...] | None = None) -> float:
    """Share of joints found on the test pictures."""
    X, Y = run.task.test
    return PoseScore(SIZE, only)(run.predict(X), Y)


def difference(
    ours: Callable[[], nn.Module],
    theirs: Callable[[], nn.Module],
    seed: int,
    budget: str,
    turn: float = 180.0,
    only: tuple[int, ...] | None = None,
) -> Measured:
    """How many more joints the first network finds, as a share of all."""
    system = score(trained(ours, seed, budget, turn), only)
    baseline = score(trained(theirs, seed, budget, turn), only)
    return Measured(system - baseline, system=system, baseline=baseline)


WIDE, SAME, DEEP = partial(pose_net, 7), partial(pose_net, 3), partial(pose_net, 3, 2)


def wide_kernel(seed: int, budget: str) -> Measured:
    return difference(WIDE, SAME, seed, budget)


def wide_kernel_upright(seed: int, budget: str) -> Measured:
    """Control: nobody is turned, so that left and right are sides of the picture."""
    return difference(WIDE, SAME, seed, budget, turn=0.0)


def wide_or_deep(seed: int, budget: str) -> Measured:
    return difference(WIDE, DEEP, seed, budget)


def wide_or_deep_central(seed: int, budget: str) -> Measured:
    """Control: head and hip, which nobody has to tell from another."""
    return difference(WIDE, DEEP, seed, budget, only=CENTRAL)


def fusion_head(seed: int, budget: str) -> Measured:
    return difference(WIDE, partial(pose_net, fusion=False), seed, budget)


def fusion_of_strangers(seed: int, budget: str) -> Measured:
    """Control: the same head, with maps of another picture."""
    return difference(partial(pose_net, kind=StrangeSkips), partial(pose_net, fusion=False), seed, budget)


def shrinking(blocks: Sequence[Sequence[int]], seed: int, budget: str) -> Measured:
    """What is left, an eighth wider, against the whole."""
    return difference(
        partial(Branches, JOINTS, blocks, base=9), partial(Branches, JOINTS, FULL), seed, budget
    )


def gradual_shrinking(seed: int, budget: str) -> Measured:
    return shrinking(shrunk(FULL, 3), seed, budget)


def shrinking_from_below(seed: int, budget: str) -> Measured:
    """Control: the coarse branches lose their blocks instead."""
    return shrinking(shrunk(FULL, 3, lowest=True), seed, budget)


SYSTEM = System(
    key="lite-pose",
    claims=[
        Claim(
            "wide-kernel",
            says="Depthwise kernels of 7 x 7 find more joints than 3 x 3 in the same network: share of "
            "joints of turned stick figures found within 3 pixels.",
            paper="41.7 to 54.7 mAP on CrowdPose for 3.77 to 4.69 GMACs (slides; the abstract says +14.0); "
            "5 x 5 gives 50.7, 9 x 9 only 53.3; classification gains 72.0 to 73.5 % alone",
            unit="of the joints",
            against="share of joints found, 3 x 3",
            bar=AtLeast(0.15, null=0),
            measure=wide_kernel,
            control=wide_kernel_upright,
        ),
        Claim(
            "wide-or-deep",
            says="Depthwise kernels of 7 x 7 find more joints than 3 x 3 in twice as many blocks, although "
            "the deeper network costs more.",
            paper="the same figures; a deeper 3 x 3 network is not reported",
            unit="of the joints",
            against="share of joints found, 3 x 3 and deeper",
            bar=AtLeast(0.15, null=0),
            measure=wide_or_deep,
            control=wide_or_deep_central,
        ),
        Claim(
            "fusion-head",
            says="A head that takes what the branch had at each size finds more than one that only doubles.",
            paper="47.1 to 54.7 mAP on CrowdPose for 4.06 to 4.69 GMACs (slides)",
            unit="of the joints",
            against="share of joints found, a head that only doubles",
            bar=AtLeast(0.02, null=0),
            measure=fusion_head,
            control=fusion_of_strangers,
            seeds=20,
        ),
        Claim(
            "gradual-shrinking",
            says="Of a network with branches, those of high resolution can lose their blocks: with one "
            "branch left and an eighth more channels, more is found for fewer multiplications.",
            paper="50.4, 51.0, 51.8, 53.0 mAP on CrowdPose for 12.50, 10.12, 10.02, 9.15 GMACs (slides)",
            unit="of the joints",
            against="share of joints found, with all branches",
            bar=AtLeast(0.01, null=0),
            measure=gradual_shrinking,
            control=shrinking_from_below,
        ),
    ],
    deviations=[
        "Stick figures of 48 pixels instead of CrowdPose and COCO, and the share of joints within 3 pixels "
        "instead of mAP; for the claims one figure a picture, so that nobody has to be told apart.",
        "For the claims three stages of one block each, 8 to 24 channels, and no tags. The whole network is "
        "`LitePose` with the plan `XS`: 1,675,552 parameters and 0.88 GMACs at 256 x 256 with 14 joints by "
        "the formulas here; the README says 1.2 GMACs.",
        "Wide kernels cost 30 % more weights and 19 % more multiplications here, in the source 24 % more "
        "multiplications; in the claim `wide-or-deep` the other side costs more than the wide one.",
        "AdamW in one cycle for 400 steps of 8 pictures. The source: Adam, rate 4e-3 to 4e-5 in steps, 500 "
        "epochs, from weights that were trained before.",
        "Heat maps weigh a pixel by 1 + 20 target, as so few steps never leave the empty map otherwise. "
        "Bumps have a standard deviation of 2 pixels of the picture at both sizes; in the source of 2 steps "
        "of each map.",
        "Push and pull weigh 0.1 in `trained_on_pairs`, as 400 steps do not part the tags at the source's "
        "0.001.",
        "Branches are emptied in the order of `shrunk`. The source shows its order in a drawing only, and "
        "its network has four branches.",
        "Flipping pictures at test time and the search for the widths (a super-network and evolution) are "
        "left out.",
        "Paper scale: CrowdPose and COCO, 500 epochs on graphics cards, and phones to measure time on.",
    ],
)
