"""A priori compression of convolutional neural networks for wave simulators.

Hamza Boukraichi, Nissrine Akkari, Fabien Casenave, David Ryckelynck; April 2023,
https://arxiv.org/abs/2304.04964. No code of the authors is known to us.

The kernels of a network are made of one-way filters *before* it is trained, so that there is never a large
network: `workbench.layers.SeparableConv2d`, with three ways (rows, columns, channels) or two (rows, columns).
The work is one step of a wave on a membrane. For leapfrog this step is known exactly, as one kernel:

    u(t + gap) + u(t - gap) = stencil * u(t),  and a stencil over `gap` steps is a sum of gap + 1 products

so that one layer of rank gap + 1 can do what the law does, and the question is what training finds.

Deviations: listed in `SYSTEM`.
"""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor, nn

from workbench.budget import by_budget
from workbench.claims import AtLeast, AtMost, Claim, Measured, System
from workbench.kernels.waves import GAP, Law, frames, stencil
from workbench.layers import SeparableConv2d, WaveNet, separated
from workbench.layers.separable_conv import Ways
from workbench.machine import paired
from workbench.probes import cost
from workbench.train import Recipe, Run, Task, mean_squares, train

SIZE, KERNEL, WIDTH = 20, 5, 12
RATE = 4e-2  # of all networks but the full one of this width,
RATE_OF_FULL = 2e-2  # whose training breaks with more

# The networks ---------------------------------------------------------------------------------


def full(width: int = WIDTH) -> WaveNet:
    """The network that the compressed one is held against."""
    return WaveNet(width, kernel=KERNEL)


def compressed(rank: int = 1, ways: Ways = 3, width: int = WIDTH, *, factored: bool = False) -> WaveNet:
    """The same network with kernels of `rank` products in place of full ones.

    factored: how it runs. Training is quicker with composed kernels here, and comes to the same.
    """

    def conv(inputs: int, outputs: int) -> nn.Module:
        return SeparableConv2d(inputs, outputs, KERNEL, rank, ways, factored=factored)

    return WaveNet(width, conv=conv)


def run_as(net: nn.Module, *, factored: bool) -> nn.Module:
    """Sets how all compressed layers of a network run, and returns it."""
    for part in net.modules():
        if isinstance(part, SeparableConv2d):
            part.factored = factored
    return net


def narrow(like: nn.Module) -> WaveNet:
    """The full network whose number of parameters comes nearest to that of another one."""
    wanted = size_of(like)
    return min((full(width) for width in range(1, WIDTH + 1)), key=lambda net: abs(size_of(net) - wanted))


def size_of(net: nn.Module) -> int:
    """Numbers that the network learns."""
    return sum(p.numel() for p in net.parameters())


class ExactStep(nn.Module):
    """Leapfrog over a gap as one separable layer: [batch, 2, height, width] -> [batch, 1, height, width].

    stencil * now - before, with the `rank` best products of the stencil; gap + 1 of them are all there are.
    Exact where the stencil does not meet the rim.
    """

    def __init__(self, rank: int, gap: int = GAP, courant: float = 0.5) -> None:
        super().__init__()
        kernel = torch.from_numpy(stencil(gap, courant)).float()
        self.conv = SeparableConv2d(1, 1, tuple(kernel.shape), rank, bias=False)  # type: ignore[arg-type]
        down, across = separated(kernel, rank)
        with torch.no_grad():
            self.conv.down.copy_(down[None])
            self.conv.across.copy_(across[None])
            nn.init.ones_(self.conv.mix)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x[:, :1]) - x[:, 1:]


def rank_errors(kernel: np.ndarray) -> list[float]:
    """What the best sum of 1, 2, ... products leaves of a kernel, as a share of its norm."""
    values = np.linalg.svd(kernel, compute_uv=False)
    left = np.sqrt(np.cumsum(values[::-1] ** 2)[::-1])
    return [float(error / left[0]) for error in left[1:]]


# The work -------------------------------------------------------------------------------------


@cache
def wave_task(seed: int, count: int, law: Law = "elements") -> Task:
    """Fields now and a gap before; the field a gap later. Training and test come from other simulations."""

    def part(number: int, images: int) -> tuple[Tensor, Tensor]:
        taken = torch.from_numpy(frames(images, SIZE, 2 * seed + number, law)).float()
        return taken[:, [1, 0]], taken[:, 2:]

    data = part(0, count), part(1, max(count // 4, 8))
    return Task(f"one step by {law}", (2, SIZE, SIZE), 1, *data, mean_squares, minus_error)


def minus_error(output: Tensor, Y: Tensor) -> float:
    """Minus the norm of the error over the norm of the truth, all fields together: higher is better."""
    return -((output - Y).norm() / Y.norm()).item()


def extrapolation_error(task: Task) -> float:
    """Of the guess that every network starts from: things go on as they went."""
    X, Y = task.test
    return -minus_error(2 * X[:, :1] - X[:, 1:], Y)


@torch.no_grad()
def rollout(net: nn.Module, X: Tensor, steps: int) -> Tensor:
    """The network fed with its own answers: X [batch, 2, h, w] -> fields [batch, steps, h, w]."""
    fields = []
    for _ in range(steps):
        after = net(X)
        fields.append(after)
        X = torch.cat([after, X[:, :1]], 1)
    return torch.cat(fields, 1)


def rollout_error(net: nn.Module, seed: int, steps: int = 10, count: int = 64) -> list[float]:
    """Relative error after 1, 2, ... steps of a network that is fed with its own answers; elements."""
    taken = torch.from_numpy(frames(count, SIZE, 2 * seed + 1, after=steps)).float()
    said, true = rollout(net, taken[:, [1, 0]], steps), taken[:, 2:]
    return [-minus_error(said[:, step], true[:, step]) for step in range(steps)]


def recipe(budget: str, rate: float = RATE) -> Recipe:
    """For all networks alike, but for the learning rate."""
    steps = by_budget(budget, smoke=2, lesson=400, full=1000)
    return Recipe(steps=steps, batch=16, lr=rate, weight_decay=0, clip=1.0)


def task_of(seed: int, budget: str, law: Law = "elements") -> Task:
    """The work at the size of the budget."""
    return wave_task(seed, by_budget(budget, smoke=32, lesson=640), law)


def trained(make: Callable[[], nn.Module], seed: int, budget: str, law: Law = "elements") -> Run:
    """One training on the wave; kept."""
    rate = RATE_OF_FULL if make is full else RATE
    return train(make, task_of(seed, budget, law), recipe(budget, rate), seed)


def error(make: Callable[[], nn.Module], seed: int, budget: str, law: Law = "elements") -> float:
    """Relative error of one step on simulations that were not learnt from."""
    return -trained(make, seed, budget, law).score


# The claims -----------------------------------------------------------------------------------

RANK = 2  # 885 parameters of 4525: nearly the 20 % that the bar allows


def against_full(law: Law, seed: int, budget: str) -> Measured:
    """Error of the compressed network over that of the full one of the same width."""
    ours = error(partial(compressed, RANK), seed, budget, law)
    theirs = error(full, seed, budget, law)
    return Measured(ours / theirs, system=ours, baseline=theirs)


def wave_error(seed: int, budget: str) -> Measured:
    return against_full("elements", seed, budget)


def drift_error(seed: int, budget: str) -> Measured:
    """Control: a drift of short waves along the diagonal, whose kernel is far from any product."""
    return against_full("drift", seed, budget)


def twin(rank: int) -> WaveNet:
    """The narrow full network with as many parameters as the compressed one."""
    return narrow(compressed(rank))


def equal_parameters(seed: int, budget: str) -> Measured:
    ours = error(partial(compressed, 1), seed, budget)
    theirs = error(partial(twin, 1), seed, budget)
    return Measured(ours / theirs, system=ours, baseline=theirs)


def equal_parameters_twice(seed: int, budget: str) -> Measured:
    """Control: the narrow network in the compressed one's place, from other first weights."""
    ours = -train(partial(twin, 1), task_of(seed, budget), recipe(budget), seed + 1000).score
    theirs = error(partial(twin, 1), seed, budget)
    return Measured(ours / theirs, system=ours, baseline=theirs)


def over_the_guess(seed: int, budget: str) -> Measured:
    ours, guess = error(partial(compressed, RANK), seed, budget), extrapolation_error(task_of(seed, budget))
    return Measured(ours / guess, system=ours, baseline=guess)


def over_the_guess_untrained(seed: int, budget: str) -> Measured:
    """Control: the same network as it is drawn."""
    task = task_of(seed, budget)
    X, Y = task.test
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        ours = -minus_error(compressed(RANK)(X), Y)
    guess = extrapolation_error(task)
    return Measured(ours / guess, system=ours, baseline=guess)


def products(factored: bool) -> Measured:
    """Multiply-adds of one pass over those of the full network, and both per pixel."""
    shape = (1, 2, SIZE, SIZE)
    ours, theirs = cost(compressed(RANK, factored=factored), shape), cost(full(), shape)
    a, b = ours.macs.value / SIZE**2, theirs.macs.value / SIZE**2
    return Measured(a / b, system=a, baseline=b)


def products_factored(seed: int, budget: str) -> Measured:
    return products(True)


def products_composed(seed: int, budget: str) -> Measured:
    """Control: the same weights, put together before they run."""
    return products(False)


def speed(factored: bool, seed: int, budget: str) -> Measured:
    """Time of a prediction with the full network over that with the compressed one, taken in turns."""
    side = by_budget(budget, smoke=16, lesson=64)
    x = torch.zeros(by_budget(budget, smoke=1, lesson=4), 2, side, side)
    nets = compressed(RANK, factored=factored).eval(), full().eval()
    repeats = by_budget(budget, smoke=3, lesson=11)
    with torch.no_grad():
        clock = paired(lambda: nets[0](x), lambda: nets[1](x), repeats=repeats, seed=seed)
    return Measured(clock.speedup.value, system=clock.f.value, baseline=clock.g.value)


def speed_factored(seed: int, budget: str) -> Measured:
    return speed(True, seed, budget)


def speed_composed(seed: int, budget: str) -> Measured:
    """Control: the same weights, put together before they run: as many products as the full network."""
    return speed(False, seed, budget)


SYSTEM = System(
    key="a-priori-compression",
    claims=[
        Claim(
            "equivalent-to-full",
            says="One step of a wave: with a fifth of the parameters the error is at most a quarter larger "
            "than that of the full network of the same width.",
            paper="performance equivalent to classical layers with fewer parameters (abstract; no figure)",
            unit="times",
            against="error of the full network",
            bar=AtMost(1.25),
            measure=wave_error,
            control=drift_error,
        ),
        Claim(
            "better-than-narrow",
            says="The honest baseline: at a tenth of the parameters, products err less than a narrower full "
            "network with as many parameters. Ours.",
            paper="ours: the abstract compares with the full network alone",
            unit="times",
            against="error of the narrow network",
            bar=AtMost(0.95, null=1),
            measure=equal_parameters,
            control=equal_parameters_twice,
        ),
        Claim(
            "better-than-going-on",
            says="The network of products has learnt something of the law: its error is at most half that of "
            "the guess that it starts from, things go on as they went. Ours.",
            paper="ours: a floor under the first claim",
            unit="times",
            against="error of going on",
            bar=AtMost(0.5, null=1),
            measure=over_the_guess,
            control=over_the_guess_untrained,
        ),
        Claim(
            "fewer-products",
            says="Run factor by factor, a prediction takes at most a quarter of the multiplications.",
            paper="the time of predictions would be cut significantly (abstract; no figure)",
            unit="times",
            against="multiply-adds of the full network",
            bar=AtMost(0.25, null=1),
            measure=products_factored,
            control=products_composed,
            provenance="counted",
            seeds=1,
        ),
        Claim(
            "faster-prediction",
            says="And so it is faster by half, on one core, 4 fields of 64 x 64.",
            paper="the time of predictions would be cut significantly (abstract; no figure)",
            unit="times",
            against="s, the full network",
            bar=AtLeast(1.5, null=1),
            measure=speed_factored,
            control=speed_composed,
        ),
    ],
    deviations=[
        "Only the abstract could be read. That three ways are rows, columns and channels, that a rank above "
        "one is a sum of such products, and that the sum may run in factors, is our reading.",
        "The first weights are ours: drawn so that the composed kernel has He's variance. With a common rule "
        "for each factor, the variance of a product would shrink or grow with every further way.",
        "The elements are assembled in a few lines with scipy (bilinear elements on squares are products of "
        "linear ones), in the place of a library of finite elements, and tested against the closed form of "
        "the scheme and against the standing mode.",
        "The network is ours: three convolutions of 5 x 5 with tanh, whose output corrects the guess that "
        "things go on as they went. The source's networks and membranes are larger.",
        "Learning rates of 0.02, 0.04 and 0.08 were tried with each network on held-out fields, at 250 "
        "steps and one to three seeds. Each has the largest that never broke its training: the full one "
        "0.02, all others 0.04. At 0.08 the others were better on most seeds, by up to a third, but one of "
        "ten trainings of the narrow network broke; the verdicts on seeds 0 to 4 were the same.",
        "Two ways are tested and counted; the claims train three ways alone.",
        "The control of the first claim drifts with shorter waves than the membrane's. With equally long "
        "ones a smooth field hardly shows which kernel moved it, and the ratio was at the bar (one seed).",
        "Training runs composed kernels, which is quicker on a processor and comes to the same gradients.",
        "The source's figures are unknown to us. The bars of a quarter and of a half are ours.",
        "Paper scale: a membrane resolved by finite elements and its networks, on one graphics card.",
    ],
)
