"""Structured Bayesian Compression for Deep Neural Networks Based on The Turbo-VBI Approach.

Chengyu Xia, Danny H. K. Tsang, Vincent K. N. Lau; IEEE Transactions on Signal Processing 71, 2023;
https://arxiv.org/abs/2302.10483. No code of this work is known to us; the first author's federated follow-up
(https://github.com/cxiaab/D-turbo-vbi-FL, no licence given) was read. Nothing is copied from it.

Three layers of belief about every weight w of a network:

    support     s in {0, 1}, a Markov chain along each row and each column of the grid that the weights form
    precision   rho | s ~ Gamma(a, b) where s = 1, Gamma(a_bar, b_bar) where s = 0: large, so that w is near 0
    weight      w | rho ~ Normal(0, 1 / rho)

and two modules that take turns. Module A knows the data: it fits q(w) q(rho) q(s) to the lower bound of the
evidence, with a prior of its own for each s. Module B knows the grid: it passes messages between neighbours.
Each tells the other only what the other cannot know yet, the *extrinsic* message. In log-odds, this is a
difference: what is believed now, less what had come from the other side.

    A   w-step     stochastic gradients, noise drawn at the outputs (local reparametrisation): `Noisy`
        rho-step   a~ = p a + (1 - p) a_bar + 1/2,  b~ = p b + (1 - p) b_bar + (mu^2 + sigma^2) / 2
        s-step     p from the expected log density of rho under both Gammas, and the prior
    B   sum-product on the grid: `pass_messages`
    then weights are pruned, then rows and columns that lost all of theirs: `prune`

Deviations: listed in `SYSTEM`.
"""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise, product
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import label
from torch import Tensor, nn

from workbench.budget import by_budget
from workbench.claims import AtLeast, AtMost, Claim, Measured, System
from workbench.errors import WorkbenchError
from workbench.kernels.waves import frames
from workbench.layers import SeparableConv2d, WaveNet
from workbench.train import Recipe, Run, Task, mean_squares, train

# The prior ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Precision:
    """Gamma(shape, rate) of the precision: a, b for weights that stay, a_bar, b_bar for weights that go.

    b / a is the variance of a weight that stays, b_bar / a_bar of one that goes.
    """

    a: float = 1.0
    b: float = 0.02
    a_bar: float = 1.0
    b_bar: float = 1e-5

    @staticmethod
    def of(weights: Tensor, spread: float = 1.0) -> "Precision":
        """b is `spread` times the mean square of weights that were trained; b_bar is 2000 times smaller."""
        b = max(spread * float(weights.square().mean()), 1e-12)
        return Precision(b=b, b_bar=b / 2000)


DEMO_PRECISION = Precision(1.0, 1.0, 1.0, 0.01)  # of the federated demo


@dataclass(frozen=True)
class Chain:
    """A Markov chain of supports: p01 is the probability of a 1 after a 0, p11 of a 1 after a 1.

    >>> Chain(0.2, 0.5).start, Chain(0.3, 0.3).coupling
    (0.2857142857142857, 0.0)
    """

    p01: float
    p11: float

    def __post_init__(self) -> None:
        if not (0 < self.p01 < 1 and 0 < self.p11 < 1):
            raise WorkbenchError(
                f"p01 and p11 must lie between 0 and 1, but {self.p01:g} and {self.p11:g} came"
            )

    @property
    def start(self) -> float:
        """The share of ones in the long run, with which a chain begins."""
        return self.p01 / (1 - self.p11 + self.p01)

    @property
    def coupling(self) -> float:
        """Log-odds that a neighbour gains from being 1 rather than 0; 0: every weight for itself.

        On a large grid, neighbours agree on one phase by themselves from about 1.76 on.
        """
        return logit(self.p11) - logit(self.p01)

    def table(self) -> np.ndarray:
        """log p(next | this), [this, next]."""
        p01, p11 = self.p01, self.p11
        return np.log([[1 - p01, p01], [1 - p11, p11]])


def logit(p: float) -> float:
    """Log-odds of a probability."""
    return math.log(p) - math.log1p(-p)


# Module B: the grid ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Beliefs:
    """What a grid says in log-odds [..., rows, columns]: all of it, and all but what came in (extrinsic)."""

    belief: np.ndarray
    extrinsic: np.ndarray
    change: float  # of the last round, in log-odds; large where messages did not settle


def pass_messages(
    evidence: np.ndarray,
    along: Chain,
    down: Chain | None = None,
    *,
    rounds: int = 200,
    damping: float = 0.0,
    tolerance: float = 1e-10,
) -> Beliefs:
    """Sum-product: log-odds [..., rows, columns] of each weight alone -> what its grid makes of them.

    along, down: the chains of rows and of columns (default: the same). All messages go out at once, `rounds`
    times or until none changes by more than `tolerance`. A single row or column is a chain without loops, and
    then the answer is exact after as many rounds as it is long. On a grid there are loops, and the answer is
    an approximation that a strong coupling breaks: compare `enumerate_grid`.
    """
    L = np.asarray(evidence, dtype=np.float64)
    if L.ndim < 2 or not np.isfinite(L).all():
        raise WorkbenchError(
            f"evidence must be finite log-odds [..., rows, columns], but shape {L.shape} came"
        )
    rows, columns = along.table(), (down or along).table()
    first = _starts(L.shape, along, down or along)
    came = np.zeros((4, *L.shape))  # from the left, right, top, bottom
    change = math.inf
    for _ in range(rounds):
        total = L + first + came.sum(0)
        new = np.zeros_like(came)
        new[0, ..., :, 1:] = _forward(rows, (total - came[1])[..., :, :-1])
        new[1, ..., :, :-1] = _forward(rows.T, (total - came[0])[..., :, 1:])
        new[2, ..., 1:, :] = _forward(columns, (total - came[3])[..., :-1, :])
        new[3, ..., :-1, :] = _forward(columns.T, (total - came[2])[..., 1:, :])
        new = (1 - damping) * new + damping * came
        change, came = float(np.abs(new - came).max()), new
        if change <= tolerance:
            break
    extrinsic = first + came.sum(0)
    return Beliefs(L + extrinsic, extrinsic, change)


def _forward(table: np.ndarray, cavity: np.ndarray) -> np.ndarray:
    """Through a factor: log-odds of this one, without what came back, to log-odds of the next one."""
    one = np.logaddexp(table[0, 1], table[1, 1] + cavity)
    zero = np.logaddexp(table[0, 0], table[1, 0] + cavity)
    return one - zero


def _starts(shape: tuple[int, ...], along: Chain, down: Chain) -> np.ndarray:
    """Log-odds with which chains begin: on the first column those of rows, on the first row of columns."""
    first = np.zeros(shape)
    first[..., :, 0] += logit(along.start)
    first[..., 0, :] += logit(down.start)
    return first


def enumerate_grid(evidence: np.ndarray, along: Chain, down: Chain | None = None) -> np.ndarray:
    """The exact probabilities that each weight of a small grid [rows, columns] is 1: all 2^n supports."""
    L = np.asarray(evidence, dtype=np.float64)
    if L.ndim != 2 or L.size > 16:
        raise WorkbenchError(f"a grid of at most 16 weights can be enumerated, but shape {L.shape} came")
    s = np.array(list(product((0, 1), repeat=L.size))).reshape(-1, *L.shape)
    rows, columns = along.table(), (down or along).table()
    score = (s * (L + _starts(L.shape, along, down or along))).sum((1, 2))
    score += rows[s[:, :, :-1], s[:, :, 1:]].sum((1, 2)) + columns[s[:, :-1], s[:, 1:]].sum((1, 2))
    weight = np.exp(score - score.max())
    return np.tensordot(weight / weight.sum(), s, 1)


# Module A: the weights ------------------------------------------------------------------------


def rho_step(square: Tensor, kept: Tensor, prior: Precision) -> tuple[Tensor, Tensor]:
    """Shape and rate of q(rho), from the mean square of each weight, mu^2 + sigma^2, and q(s = 1)."""
    shape = kept * prior.a + (1 - kept) * prior.a_bar + 0.5
    rate = kept * prior.b + (1 - kept) * prior.b_bar + square / 2
    return shape, rate


def s_step(shape: Tensor, rate: Tensor, message: Tensor, prior: Precision) -> Tensor:
    """Log-odds of q(s = 1): the message of module B, and how much better rho fits the first Gamma."""
    log_rho, rho = torch.digamma(shape) - rate.log(), shape / rate

    def density(a: float, b: float) -> Tensor:
        return a * math.log(b) - math.lgamma(a) + (a - 1) * log_rho - b * rho

    return message + density(prior.a, prior.b) - density(prior.a_bar, prior.b_bar)


def bound(
    square: Tensor, shape: Tensor, rate: Tensor, odds: Tensor, message: Tensor, prior: Precision
) -> Tensor:
    """The part of the evidence's lower bound that the rho- and s-step change, summed over weights.

    E[ln p(w | rho)] + E[ln p(rho | s)] + E[ln p(s)] + the entropies of q(rho) and q(s).
    """
    log_rho, rho, kept = torch.digamma(shape) - rate.log(), shape / rate, odds.sigmoid()

    def density(a: float, b: float) -> Tensor:
        return a * math.log(b) - math.lgamma(a) + (a - 1) * log_rho - b * rho

    weight = (log_rho - rho * square - math.log(2 * math.pi)) / 2
    precision = kept * density(prior.a, prior.b) + (1 - kept) * density(prior.a_bar, prior.b_bar)
    support = kept * F.logsigmoid(message) + (1 - kept) * F.logsigmoid(-message)
    of_rho = shape - rate.log() + torch.lgamma(shape) + (1 - shape) * torch.digamma(shape)
    of_s = -(kept * F.logsigmoid(odds) + (1 - kept) * F.logsigmoid(-odds))
    return (weight + precision + support + of_rho + of_s).sum()


def settled(
    weight: float, start: float, message: float = 0.0, prior: Precision = DEMO_PRECISION, turns: int = 500
) -> float:
    """Where q(s = 1) of one weight ends if the rho- and s-step take turns and it starts from `start`."""
    square, kept = torch.tensor(weight**2, dtype=torch.float64), torch.tensor(start, dtype=torch.float64)
    for _ in range(turns):
        kept = s_step(*rho_step(square, kept, prior), torch.tensor(message), prior).sigmoid()
    return kept.item()


@dataclass(frozen=True)
class Settings:
    """One way to compress; the defaults are those of the claims on digits.

    spread: b over the mean square of a layer's weights before compression. along, down: chains of rows and
    columns (None: as along); one with p01 = p11 knows no neighbours, the independent prior. first: where
    q(s = 1) starts. sigma: where the deviations of weights start. every: steps between two exchanges of the
    modules. turns: rho- and s-steps in each. rounds, damping: of the messages on the grid.
    twice: sends what the demo of the federated follow-up sends, beliefs that hold the other side's own words.
    """

    spread: float = 2.0
    along: Chain = Chain(0.1, 0.6)
    down: Chain | None = None
    first: float = 0.03
    sigma: float = 0.02
    every: int = 20
    turns: int = 3
    rounds: int = 30
    damping: float = 0.3
    twice: bool = False


class Noisy(nn.Module):
    """A linear layer or a convolution whose weights are normal, each with a mean and a deviation of its own.

    The last two axes of the weights are the grid: [out, in] of a linear layer is one grid, a convolution has
    one for each kernel. While it learns, the noise of the weights is drawn at the outputs, which has the same
    law there: mean w * x, variance sigma^2 * x^2, independent from input to input. Biases are plain numbers.
    """

    odds: Tensor
    message: Tensor
    shape: Tensor
    rate: Tensor

    def __init__(self, layer: nn.Linear | nn.Conv2d, settings: Settings) -> None:
        super().__init__()
        self.layer, self.settings = layer, settings
        w = layer.weight.detach()
        self.precision = Precision.of(w, settings.spread)
        self.log_sigma = nn.Parameter(torch.full_like(w, math.log(settings.sigma)))
        prior = logit(settings.along.start) + logit((settings.down or settings.along).start)
        self.register_buffer("odds", torch.full_like(w, logit(settings.first)))
        self.register_buffer("message", torch.full_like(w, prior))
        shape, rate = rho_step(self.square(), self.odds.sigmoid(), self.precision)
        self.register_buffer("shape", shape)
        self.register_buffer("rate", rate)

    def square(self) -> Tensor:
        """E[w^2] of every weight."""
        return (self.layer.weight.square() + (2 * self.log_sigma).exp()).detach()

    def forward(self, x: Tensor) -> Tensor:
        mean = answer(self.layer, x, self.layer.weight, self.layer.bias)
        if not self.training:
            return mean
        variance = answer(self.layer, x.square(), (2 * self.log_sigma).exp(), None)
        return mean + (variance + 1e-12).sqrt() * torch.randn_like(mean)

    def divergence(self) -> Tensor:
        """KL of q(w) from the normal with the expected precision, summed, up to what no weight changes."""
        rho, square = self.shape / self.rate, self.layer.weight.square() + (2 * self.log_sigma).exp()
        return (rho * square / 2 - self.log_sigma).sum()

    @torch.no_grad()
    def exchange(self) -> None:
        """Both modules speak once about this layer's weights."""
        state = self.square().double(), self.odds.double(), self.message.double()
        found = exchanged(*state, self.precision, self.settings)
        for name, value in zip(("odds", "message", "shape", "rate"), found, strict=True):
            getattr(self, name).copy_(value)


def exchanged(
    square: Tensor, odds: Tensor, message: Tensor, prior: Precision, own: Settings
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """rho- and s-step in turns, A's message to B, and what comes back: odds, message, shape, rate.

    square: E[w^2], float64, in the form of the weights. odds, message: log-odds of q(s = 1), and of B.
    """
    for _ in range(own.turns):
        shape, rate = rho_step(square, odds.sigmoid(), prior)
        odds = s_step(shape, rate, message, prior)
    sent = (odds + message if own.twice else odds - message).numpy()
    found = pass_messages(sent, own.along, own.down, rounds=own.rounds, damping=own.damping)
    return odds, torch.from_numpy(found.belief if own.twice else found.extrinsic), shape, rate


def settle(weights: Tensor, settings: Settings, exchanges: int = 5) -> tuple[Tensor, Tensor]:
    """Log-odds and messages for weights that do not move: what both modules make of a trained layer."""
    prior, square = Precision.of(weights, settings.spread), weights.detach().double().square()
    odds, message = torch.full_like(square, logit(settings.first)), torch.zeros_like(square)
    for _ in range(exchanges):
        odds, message, _, _ = exchanged(square, odds, message, prior, settings)
    return odds, message


def answer(layer: nn.Linear | nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What the layer would say with other weights."""
    if isinstance(layer, nn.Linear):
        return F.linear(x, weight, bias)
    return layer._conv_forward(x, weight, bias)


class Turbo(nn.Module):
    """A network in compression: the same inputs and answers, every linear layer and convolution `Noisy`.

    data: by how many training inputs the divergence is divided, so that it stands beside a mean loss. After
    every `settings.every` steps the modules exchange messages, as a norm updates its statistics.
    """

    clock: Tensor

    def __init__(self, net: nn.Module, settings: Settings, data: float) -> None:
        super().__init__()
        self.net, self.settings, self.data = deepcopy(net), settings, data
        replace_layers(self.net, lambda layer: Noisy(layer, settings))
        self.register_buffer("clock", torch.zeros((), dtype=torch.int64))

    def noisy(self) -> list[Noisy]:
        """The layers under compression, first to last."""
        return [part for part in self.net.modules() if isinstance(part, Noisy)]

    def forward(self, x: Tensor) -> Tensor:
        y = self.net(x)
        if self.training:
            self.clock += 1
            if self.clock % self.settings.every == 0:
                for layer in self.noisy():
                    layer.exchange()
            y = AndLoss.apply(y, sum(layer.divergence() for layer in self.noisy()) / self.data)
        return y

    def odds(self) -> list[Tensor]:
        """Log-odds of every weight's support, by layer."""
        return [layer.odds for layer in self.noisy()]


class AndLoss(torch.autograd.Function):
    """y as it is; on the way back, `also` counts as a further summand of whatever loss is made of y."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, also: Tensor) -> Tensor:
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        return grad, torch.ones((), dtype=grad.dtype)


def replace_layers(net: nn.Module, make: Callable[[Any], nn.Module]) -> nn.Module:
    """Puts make(layer) in the place of every linear layer and convolution, and returns the network."""
    for part in list(net.modules()):
        for name, layer in list(part.named_children()):
            if isinstance(layer, nn.Linear | nn.Conv2d):
                setattr(part, name, make(layer))
    return net


def weights_of(net: nn.Module) -> list[Tensor]:
    """The weights of every linear layer and convolution, first to last; of a masked one, what is left."""
    parts = [part for part in net.modules() if isinstance(part, nn.Linear | nn.Conv2d)]
    return [part.weight.detach() for part in parts]


# Pruning --------------------------------------------------------------------------------------

Supports = list[Tensor]


def largest(scores: list[Tensor], count: int) -> Supports:
    """The `count` weights with the largest scores in the whole network, as masks."""
    every = torch.cat([score.flatten() for score in scores])
    if not 1 <= count <= len(every):
        raise WorkbenchError(f"1 to {len(every)} weights can be kept, but {count} came")
    kept = torch.zeros(len(every), dtype=torch.bool)
    kept[every.argsort(descending=True, stable=True)[:count]] = True
    parts = kept.split([score.numel() for score in scores])
    return [part.view_as(score) for part, score in zip(parts, scores, strict=True)]


def connected(supports: Supports) -> Supports:
    """Without rows and columns that do nothing: layers in a chain, masks [out, in, ...].

    A unit that hears nothing or is not heard loses all of its weights, on both sides, until no unit is left
    that does. Inputs of the first layer and outputs of the last one need no second side.
    """
    supports = [support.clone() for support in supports]
    while True:
        before = count_of(supports)
        for here, there in pairwise(supports):
            alive = here.flatten(1).any(1) & there.transpose(0, 1).flatten(1).any(1)
            here[~alive] = False
            there[:, ~alive] = False
        if count_of(supports) == before:
            return supports


def count_of(supports: Supports) -> int:
    """Weights that are kept."""
    return sum(int(support.sum()) for support in supports)


class Masked(nn.Module):
    """A linear layer or a convolution of which only the weights under the mask are there."""

    mask: Tensor

    def __init__(self, layer: nn.Linear | nn.Conv2d, mask: Tensor) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        return answer(self.layer, x, self.layer.weight * self.mask, self.layer.bias)


def prune(net: nn.Module, supports: Supports) -> nn.Module:
    """The network with the kept weights alone, ready to be trained on; what is not connected goes as well.

    net: plain, or in compression, whose means are then the weights.
    """
    net = deepcopy(net.net if isinstance(net, Turbo) else net)
    for part in list(net.modules()):
        for name, layer in list(part.named_children()):
            if isinstance(layer, Noisy):
                setattr(part, name, layer.layer)
    masks = iter(connected(supports))
    return replace_layers(net, lambda layer: Masked(layer, next(masks)))


def numbers_of(net: nn.Module) -> int:
    """Parameters that a network really has: masked weights are not counted."""
    gone = sum(int((~part.mask).sum()) for part in net.modules() if isinstance(part, Masked))
    return sum(p.numel() for p in net.parameters()) - gone


# What a support is worth ----------------------------------------------------------------------

BYTES_OF_WEIGHT, BYTES_OF_RUN = 2, 3  # 16 bits a weight; row, column and length of a run, 8 bits each


def clusters(supports: Supports) -> int:
    """Connected pieces of all grids: two kept weights are connected side by side or one above the other."""
    grids = (grid for support in supports for grid in support.numpy().reshape(-1, *support.shape[-2:]))
    return sum(label(grid)[1] for grid in grids)


def runs(supports: Supports) -> int:
    """Stretches of kept weights along the rows of all grids."""
    starts = 0
    for support in supports:
        before = F.pad(support[..., :-1], (1, 0))
        starts += int((support & ~before).sum())
    return starts


def stored_bytes(supports: Supports) -> int:
    """Kept weights, and for every run where it starts and how long it is."""
    return BYTES_OF_WEIGHT * count_of(supports) + BYTES_OF_RUN * runs(supports)


def shuffled(supports: Supports, seed: int) -> Supports:
    """Rows and columns of every grid in another order: as many weights, and what order brought is gone."""
    draws = torch.Generator().manual_seed(seed)
    mixed = []
    for support in supports:
        for axis in (-2, -1):
            lots = torch.rand(*support.shape[:-2], support.shape[axis], generator=draws)
            order = lots.argsort(-1).unsqueeze(-1 if axis == -2 else -2).expand_as(support)
            support = support.gather(axis, order)
        mixed.append(support)
    return mixed


# The work -------------------------------------------------------------------------------------

LEARNT = 1200  # of 1797 digits; a fifth of them is held out for choices


@cache
def digits(seed: int) -> Task:
    """Digits of 8 x 8 pixels from 0 to 1: 960 to learn from, 240 held out as the test of this task."""
    return all_digits(seed).validation()


@cache
def all_digits(seed: int) -> Task:
    """The same with the 597 digits of the real test."""
    from workbench_datasets import load

    data = load("digits")
    X, Y = torch.from_numpy(data["images"]).float()[:, None], torch.from_numpy(data["labels"]).long()
    order = torch.randperm(len(X), generator=torch.Generator().manual_seed(seed))
    learnt, test = order[:LEARNT], order[LEARNT:]
    X = X / X.max()
    return Task("digits", (1, 8, 8), 10, (X[learnt], Y[learnt]), (X[test], Y[test]))


def digits_net() -> nn.Module:
    """64-60-30-10, leaky ReLU with slope 0.1."""
    units = nn.Linear(64, 60), nn.LeakyReLU(0.1), nn.Linear(60, 30), nn.LeakyReLU(0.1), nn.Linear(30, 10)
    return nn.Sequential(nn.Flatten(), *units)


MARKOV = Settings(along=Chain(0.05, 0.6))
ALONE = Settings(along=Chain(0.08, 0.08))  # keeps about as many weights by itself
Arm = Literal["markov", "alone", "magnitude", "groups"]
DENSE = Recipe(steps=400, batch=64, lr=3e-3, weight_decay=0, optimizer="adam")
INFER = Recipe(steps=600, batch=64, lr=1e-3, weight_decay=0, optimizer="adam", schedule="constant")
AFTER = Recipe(steps=200, batch=64, lr=1e-3, weight_decay=0, optimizer="adam")
PENALTY = 1e-3  # of groups


def shorter(recipe: Recipe, budget: str) -> Recipe:
    """The recipe in its length for the budget."""
    return replace(recipe, steps=by_budget(budget, smoke=20, lesson=recipe.steps, full=2 * recipe.steps))


def dense(seed: int, budget: str) -> Run:
    """The network before any compression."""
    return train(digits_net, digits(seed), shorter(DENSE, budget), seed)


def inferred(settings: Settings, seed: int, budget: str) -> Run:
    """The network after the modules have come to terms; its model is a `Turbo`."""
    task = digits(seed)
    make = partial(Turbo, dense(seed, budget).model, settings, len(task.train[0]))
    return train(make, task, shorter(INFER, budget), seed)


class Grouped(nn.Module):
    """A network that pays for the norm of every group of weights: what a unit hears, what it is heard by."""

    def __init__(self, net: nn.Module, penalty: float) -> None:
        super().__init__()
        self.net, self.penalty = deepcopy(net), penalty

    def forward(self, x: Tensor) -> Tensor:
        y = self.net(x)
        return AndLoss.apply(y, self.penalty * self.norms()) if self.training else y

    def norms(self) -> Tensor:
        """Sum over groups of norm times the root of its size."""
        total = torch.zeros(())
        for part in self.net.modules():
            if isinstance(part, nn.Linear | nn.Conv2d):
                for w in (part.weight.flatten(1), part.weight.transpose(0, 1).flatten(1)):
                    total = total + math.sqrt(w.shape[1]) * w.square().sum(1).add(1e-12).sqrt().sum()
        return total


def grouped(seed: int, budget: str, penalty: float = PENALTY) -> Run:
    """Group lasso, for as many steps as the other baselines and ours."""
    make = partial(Grouped, dense(seed, budget).model, penalty)
    return train(make, digits(seed), shorter(INFER, budget), seed)


def ranked(arm: Arm, seed: int, budget: str, spread: float = 2.0) -> tuple[nn.Module, list[Tensor]]:
    """A network, and for each of its weights a score by which it may stay. spread: of our two priors."""
    if arm == "magnitude":
        net = dense(seed, budget).model
        return net, [w.abs() for w in weights_of(net)]
    if arm == "groups":
        net = grouped(seed, budget).model.net  # type: ignore[assignment]
        return net, [w.abs() for w in weights_of(net)]
    settings = replace(MARKOV if arm == "markov" else ALONE, spread=spread)
    net = inferred(settings, seed, budget).model
    return net, net.odds()  # type: ignore[operator]


def pruned(net: nn.Module, supports: Supports, seed: int, budget: str, arm: Arm = "markov") -> Run:
    """What is left of a network, trained on; after magnitude pruning for longer, as nothing came between."""
    steps = AFTER.steps + (INFER.steps if arm == "magnitude" else 0)
    recipe = shorter(replace(AFTER, steps=steps), budget)
    return train(partial(prune, net, supports), digits(seed), recipe, seed)


def tested(run: Run, seed: int) -> float:
    """Accuracy on digits that no choice has seen."""
    return run.evaluate(*all_digits(seed).test)


def natural(seed: int, budget: str) -> int:
    """How many weights the Markov prior keeps by itself: those that more likely stay than go."""
    _, odds = ranked("markov", seed, budget)
    return max(1, count_of([layer > 0 for layer in odds]))


# The same on the wave -------------------------------------------------------------------------

SIDE, WAVE_WIDTH = 20, 12
NOISE = 0.1  # standard deviation that the likelihood expects of a field, whose largest number is 1
WAVE_DENSE = Recipe(steps=300, batch=16, lr=2e-2, weight_decay=0, clip=1.0)
WAVE_INFER = Recipe(
    steps=200, batch=16, lr=3e-3, weight_decay=0, optimizer="adam", schedule="constant", clip=1.0
)
WAVE_AFTER = Recipe(steps=300, batch=16, lr=3e-2, weight_decay=0, clip=1.0)
PRODUCTS_RATE = 4e-2  # as in `a-priori-compression`


@cache
def wave(seed: int, budget: str) -> Task:
    """One step of a wave: fields now and a gap before, the field a gap later."""

    def part(number: int, count: int) -> tuple[Tensor, Tensor]:
        taken = torch.from_numpy(frames(count, SIDE, 2 * seed + number)).float()
        return taken[:, [1, 0]], taken[:, 2:]

    many = by_budget(budget, smoke=32, lesson=640)
    data = part(0, many), part(1, many // 4)
    return Task("one step of a wave", (2, SIDE, SIDE), 1, *data, mean_squares, minus_error)


def minus_error(output: Tensor, Y: Tensor) -> float:
    """Minus the norm of the error over the norm of the truth: higher is better."""
    return -((output - Y).norm() / Y.norm()).item()


def wave_net() -> nn.Module:
    """The full network of three convolutions; every kernel of 5 x 5 is a grid of its own."""
    return WaveNet(WAVE_WIDTH)


def wave_dense(seed: int, budget: str) -> Run:
    return train(wave_net, wave(seed, budget), shorter(WAVE_DENSE, budget), seed)


def wave_inferred(settings: Settings, seed: int, budget: str) -> Run:
    """In compression. A mean square stands for the likelihood of as many numbers as there are outputs."""
    task = wave(seed, budget)
    data = task.train[1].numel() / (2 * NOISE**2)
    make = partial(Turbo, wave_dense(seed, budget).model, settings, data)
    return train(make, task, shorter(WAVE_INFER, budget), seed)


def wave_ranked(arm: Arm, seed: int, budget: str) -> tuple[nn.Module, list[Tensor]]:
    """As `ranked`."""
    if arm == "magnitude":
        net = wave_dense(seed, budget).model
        return net, [w.abs() for w in weights_of(net)]
    net = wave_inferred(MARKOV if arm == "markov" else ALONE, seed, budget).model
    return net, net.odds()  # type: ignore[operator]


def wave_pruned(net: nn.Module, supports: Supports, seed: int, budget: str) -> Run:
    """What is left of a wave net, trained on."""
    return train(partial(prune, net, supports), wave(seed, budget), shorter(WAVE_AFTER, budget), seed)


def wave_natural(seed: int, budget: str) -> int:
    """As `natural`."""
    _, odds = wave_ranked("markov", seed, budget)
    return max(1, count_of([layer > 0 for layer in odds]))


def products_net(rank: int) -> nn.Module:
    """The competitor of `a-priori-compression`: kernels that are sums of products, before training."""
    return WaveNet(WAVE_WIDTH, conv=lambda i, o: SeparableConv2d(i, o, 5, rank, factored=False))


def rank_for(weights: int) -> int:
    """The rank at which the competitor has as many parameters as a pruned network, biases included."""
    wanted = weights + sum(p.numel() for p in wave_net().parameters() if p.ndim == 1)

    def off(rank: int) -> int:
        return abs(sum(p.numel() for p in products_net(rank).parameters()) - wanted)

    return min(range(1, 13), key=off)


def products_trained(rank: int, seed: int, budget: str) -> Run:
    """Trained for as many steps as the pruned network in all of its stages."""
    steps = WAVE_DENSE.steps + WAVE_INFER.steps + WAVE_AFTER.steps
    longer = replace(WAVE_DENSE, steps=steps, lr=PRODUCTS_RATE)
    return train(partial(products_net, rank), wave(seed, budget), shorter(longer, budget), seed)


# The claims -----------------------------------------------------------------------------------


def pieces(net: Literal["digits", "wave"], shuffle: bool, seed: int, budget: str) -> Measured:
    """Clusters per kept weight under the Markov prior, over those under the independent one."""
    rank, count = (ranked, natural) if net == "digits" else (wave_ranked, wave_natural)
    many = count(seed, budget)
    ours, theirs = (largest(rank(arm, seed, budget)[1], many) for arm in ("markov", "alone"))
    if shuffle:
        ours = shuffled(ours, seed)
    a, b = (clusters(one) / count_of(one) for one in (ours, theirs))
    return Measured(a / b, system=a, baseline=b)


def digits_pieces(seed: int, budget: str) -> Measured:
    return pieces("digits", False, seed, budget)


def digits_pieces_shuffled(seed: int, budget: str) -> Measured:
    """Control: rows and columns of every layer in another order."""
    return pieces("digits", True, seed, budget)


def accuracy_kept(random: bool, seed: int, budget: str) -> Measured:
    """Test accuracy under the Markov prior less that under the independent one, as many weights kept."""
    count, right = natural(seed, budget), {}
    for arm in ("markov", "alone"):
        net, scores = ranked(arm, seed, budget)
        if random and arm == "markov":
            scores = at_random(scores, seed)
        right[arm] = tested(pruned(net, largest(scores, count), seed, budget), seed)
    return Measured(right["markov"] - right["alone"], system=right["markov"], baseline=right["alone"])


def at_random(scores: list[Tensor], seed: int) -> list[Tensor]:
    """Scores that know nothing."""
    draws = torch.Generator().manual_seed(seed)
    return [torch.rand(score.shape, generator=draws) for score in scores]


def clusters_cost(seed: int, budget: str) -> Measured:
    return accuracy_kept(False, seed, budget)


def clusters_cost_at_random(seed: int, budget: str) -> Measured:
    """Control: as many weights, drawn by lot."""
    return accuracy_kept(True, seed, budget)


SPREADS = (2.0, 4.0)  # the wider the weights that stay are to be, the fewer they are
DENSITIES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4)


@dataclass(frozen=True)
class Point:
    """One pruned network: its weights and bytes, and how often it is right."""

    weights: int
    bytes: int
    chosen: float  # accuracy on held-out digits
    accuracy: float  # on the test


def point(
    arm: Arm, net: nn.Module, supports: Supports, seed: int, budget: str, stored: Supports | None = None
) -> Point:
    """Trains on what is kept. stored: the supports whose bytes are counted, where they are others."""
    run = pruned(net, supports, seed, budget, arm)
    kept = connected(supports)
    return Point(count_of(kept), stored_bytes(stored or kept), run.score, tested(run, seed))


def frontier(arm: Arm, seed: int, budget: str, change: str = "") -> list[Point]:
    """Pruned networks from dense to sparse: by the prior's spread in our arms, else by how many are kept.

    change: "shuffled", rows and columns change places before bytes are counted; "by lot", weights do.
    """
    points = []
    if arm in ("magnitude", "groups"):
        net, scores = ranked(arm, seed, budget)
        total = sum(score.numel() for score in scores)
        for density in by_budget(budget, smoke=DENSITIES[-1:], lesson=DENSITIES):
            points.append(point(arm, net, largest(scores, round(density * total)), seed, budget))
        return points
    for spread in by_budget(budget, smoke=SPREADS[:1], lesson=SPREADS):
        net, odds = ranked(arm, seed, budget, spread)
        supports = [layer > 0 for layer in odds]
        if change == "by lot":
            supports = largest(at_random(odds, seed), max(1, count_of(supports)))
        stored = shuffled(connected(supports), seed) if change == "shuffled" else None
        points.append(point(arm, net, supports, seed, budget, stored))
    return points


SLACK = 0.01  # accuracy that compression may cost


def bytes_needed(arm: Arm, seed: int, budget: str, change: str = "") -> int:
    """The fewest bytes that keep the accuracy of the dense network on held-out digits, up to a point."""
    enough = dense(seed, budget).score - SLACK
    points = frontier(arm, seed, budget, change)
    good = [one.bytes for one in points if one.chosen >= enough]
    return max(1, min(good, default=max(one.bytes for one in points)))


def bytes_saved(change: str, seed: int, budget: str) -> Measured:
    """The share of bytes that the Markov prior saves over the better of independent prior and magnitude."""
    ours = bytes_needed("markov", seed, budget, change)
    theirs = min(bytes_needed(arm, seed, budget) for arm in ("alone", "magnitude"))
    return Measured(1 - ours / theirs, system=ours, baseline=theirs)


def stored_runs(seed: int, budget: str) -> Measured:
    return bytes_saved("", seed, budget)


def stored_runs_shuffled(seed: int, budget: str) -> Measured:
    """Control: rows and columns in another order before the bytes are counted, for the same accuracy."""
    return bytes_saved("shuffled", seed, budget)


def ahead(other: Arm, change: str, seed: int, budget: str) -> Measured:
    """Test accuracy less that of another way to keep as many weights, mean over the spreads."""
    ours = frontier("markov", seed, budget, change)
    theirs = []
    for spread, one in zip(SPREADS, ours, strict=False):  # smoke has one spread
        net, scores = ranked(other, seed, budget, spread)
        theirs.append(point(other, net, largest(scores, max(1, one.weights)), seed, budget))
    a, b = (float(np.mean([one.accuracy for one in points])) for points in (ours, theirs))
    return Measured(a - b, system=a, baseline=b)


def ahead_of_magnitude(seed: int, budget: str) -> Measured:
    return ahead("magnitude", "", seed, budget)


def ahead_of_magnitude_by_lot(seed: int, budget: str) -> Measured:
    """Control: weights kept by lot."""
    return ahead("magnitude", "by lot", seed, budget)


def ahead_of_alone(seed: int, budget: str) -> Measured:
    return ahead("alone", "", seed, budget)


def ahead_of_alone_by_lot(seed: int, budget: str) -> Measured:
    """Control: weights kept by lot."""
    return ahead("alone", "by lot", seed, budget)


def wave_pieces(seed: int, budget: str) -> Measured:
    return pieces("wave", False, seed, budget)


def wave_pieces_shuffled(seed: int, budget: str) -> Measured:
    """Control: rows and columns of every kernel in another order."""
    return pieces("wave", True, seed, budget)


def against_products(random: bool, seed: int, budget: str) -> Measured:
    """Error of the pruned wave net over that of kernels of products, with as many parameters and steps."""
    many = wave_natural(seed, budget)
    net, scores = wave_ranked("markov", seed, budget)
    rank = rank_for(count_of(connected(largest(scores, many))))
    kept = largest(at_random(scores, seed) if random else scores, many)
    ours = -wave_pruned(net, kept, seed, budget).score
    theirs = -products_trained(rank, seed, budget).score
    return Measured(ours / theirs, system=ours, baseline=theirs)


def wave_against_products(seed: int, budget: str) -> Measured:
    return against_products(False, seed, budget)


def wave_against_products_by_lot(seed: int, budget: str) -> Measured:
    """Control: as many weights, drawn by lot."""
    return against_products(True, seed, budget)


def alternate(evidence: np.ndarray, chain: Chain, twice: bool = False, rounds: int = 10) -> np.ndarray:
    """Both modules in turns, A with a fixed opinion [1, n]: log-odds of what it believes at last."""
    message = np.zeros_like(evidence)
    for _ in range(rounds):
        odds = evidence + message
        found = pass_messages(odds + message if twice else odds - message, chain)
        message = found.belief if twice else found.extrinsic
    return evidence + message


def belief_gap(twice: bool, seed: int) -> float:
    """The largest difference from the exact probabilities on chains of 12 weights, 20 of them."""
    draws, gap = np.random.default_rng(seed), 0.0
    for _ in range(20):
        evidence, chain = draws.normal(0, 2, (1, 12)), MARKOV.along
        said = 1 / (1 + np.exp(-np.clip(alternate(evidence, chain, twice), -700, 700)))
        gap = max(gap, float(np.abs(said - enumerate_grid(evidence, chain)).max()))
    return gap


def extrinsic_gap(seed: int, budget: str) -> float:
    return belief_gap(False, seed)


def counted_twice_gap(seed: int, budget: str) -> float:
    """Control: the messages of the federated demo, the product one way and the whole belief the other way."""
    return belief_gap(True, seed)


SYSTEM = System(
    key="turbo-vbi",
    claims=[
        Claim(
            "fewer-pieces",
            says="Digits: with as many weights kept, the Markov prior leaves at most 0.6 times as many "
            "connected pieces as the same code with a prior that knows no neighbours.",
            paper="a more regular structure in the pruned networks (abstract; figures could not be read)",
            unit="times",
            against="pieces for each weight, weights alone",
            bar=AtMost(0.6, null=1),
            measure=digits_pieces,
            control=digits_pieces_shuffled,
        ),
        Claim(
            "no-accuracy-lost",
            says="And it costs at most one point of test accuracy against that prior.",
            paper="even better performance in compression rate and accuracy (abstract)",
            unit="of all right",
            against="share right, weights alone",
            bar=AtLeast(-0.01),
            measure=clusters_cost,
            control=clusters_cost_at_random,
        ),
        Claim(
            "fewer-bytes",
            says="Stored as runs, the sparsest network that loses at most a point on held-out digits takes "
            "20 % fewer bytes than the better of independent prior and magnitude pruning.",
            paper="high control overhead of irregular structures is avoided (abstract); the bar is ours",
            unit="of the bytes",
            against="bytes, the better of the other two",
            bar=AtLeast(0.2, null=0),
            measure=stored_runs,
            control=stored_runs_shuffled,
        ),
        Claim(
            "better-than-magnitude",
            says="At two densities, with as many weights kept, the mean test accuracy is not below that "
            "of magnitude pruning.",
            paper="better compression rate and accuracy than the baselines (abstract)",
            unit="of all right",
            against="share right, by magnitude",
            bar=AtLeast(0.0),
            measure=ahead_of_magnitude,
            control=ahead_of_magnitude_by_lot,
        ),
        Claim(
            "better-than-alone",
            says="The same against the prior that knows no neighbours: the neighbours pay off. Ours.",
            paper="ours: the part of the gain that is the Markov prior's",
            unit="of all right",
            against="share right, weights alone",
            bar=AtLeast(0.0),
            measure=ahead_of_alone,
            control=ahead_of_alone_by_lot,
        ),
        Claim(
            "fewer-pieces-on-the-wave",
            says="The first claim once more, on the wave net, each kernel of 5 x 5 a grid of its own.",
            paper="a more regular structure in the pruned networks (abstract); the net is ours",
            unit="times",
            against="pieces for each weight, weights alone",
            bar=AtMost(0.6, null=1),
            measure=wave_pieces,
            control=wave_pieces_shuffled,
        ),
        Claim(
            "pruned-against-products",
            says="On the same step of the same wave, a network that was pruned errs less than one whose "
            "kernels were products from the start, with as many parameters and as many steps. Ours.",
            paper="ours: the two sources do not know each other",
            unit="times",
            against="error of the products",
            bar=AtMost(0.95, null=1),
            measure=wave_against_products,
            control=wave_against_products_by_lot,
        ),
        Claim(
            "told-once",
            says="On chains, where nothing is approximate, modules that tell each other extrinsic messages "
            "end with the exact probabilities. Ours.",
            paper="ours: the ablation of what the federated demo sends",
            bar=AtMost(1e-6),
            measure=extrinsic_gap,
            control=counted_twice_gap,
        ),
    ],
    deviations=[
        "The full text could not be read; mechanism and constants follow the abstract and the first author's "
        "federated demo. The demo trains means alone, has 1 in the place of 1/2 in the updates, and sends "
        "the product and the whole belief as messages; the last is an ablation here (`twice`), not the "
        "system. Clients and their averages are left out.",
        "b is twice the mean square of a layer's weights before compression, b_bar 2000 times smaller, and "
        "every support starts from a probability of 0.03. With the demo's constants and a start of one half, "
        "even a weight that is exactly zero ends as one that stays: `settled`.",
        "A chain begins with its stationary probability, in every row and every column.",
        "p01 and p11 were chosen by hand on digits, seed 0, looking at density, pieces and accuracy; the "
        "independent prior's p on density alone. Group lasso has one penalty of our choice. The other "
        "baselines have nothing to choose.",
        "Baselines keep as many weights, ranked over the whole network, and take as many steps in all; after "
        "magnitude pruning all of them are left for the training on.",
        "Stored are 16 bits for a weight and 3 x 8 bits for a run (row, column, length), after the demo's "
        "16 bits a weight and 2 x 8 bits a place.",
        "Wave net: a mean square stands for a likelihood with a standard deviation of 0.1, wider than the "
        "errors are, because neighbouring pixels do not err independently. What is unconnected are channels.",
        "Rows and columns that are not connected lose their weights; a constant that such a unit sent on is "
        "learnt again by the training that follows.",
        "Paper scale: networks for CIFAR-10 with millions of weights, on one graphics card.",
    ],
)
