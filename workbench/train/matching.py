"""Equal cost: the width at which one architecture has another's parameters, flops or time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.quantity import Quantity

Currency = Literal["parameters", "flops", "time"]


@dataclass(frozen=True)
class Match:
    """How near a width came: the model's cost, the cost it was held against, and the width."""

    width: int
    cost: Quantity
    like: Quantity

    @property
    def difference(self) -> float:
        """Relative: 0.02 is two percent dearer."""
        return self.cost.value / self.like.value - 1

    def __fingerprint__(self) -> int:
        """A model trains the same however long it took to measure it."""
        return self.width

    def __str__(self) -> str:
        return f"width {self.width}: {self.cost} against {self.like}, {self.difference:+.1%}"


def equal(
    make: Callable[[int], nn.Module],
    like: nn.Module | float,
    by: Currency = "parameters",
    input_shape: Sequence[int] | None = None,
    widths: Sequence[int] = range(1, 257),
    within: float = 0.15,
) -> nn.Module:
    """`make(width)` for the width whose cost comes nearest to that of `like`.

    by: "parameters"; "flops" of one forward pass, by formula; "time" of one pass forward and back, measured
        here. The last two need `input_shape`, [batch, channels, height, width].
    like: a model, or a number of parameters, flops or seconds.
    widths: growing; cost must grow with them, so that halving finds the place in a few tries.
    within: largest relative difference that is still called equal.

    The model has the attributes `width` and `match` (a `Match`, which prints). Random numbers for its first
    weights come from torch's generator, which is left as it was. Raises WorkbenchError where no width comes
    near enough.

    >>> equal(lambda width: nn.Linear(10, width), like=55).width
    5
    """
    if by not in get_args(Currency):
        raise WorkbenchError(f"by must be one of {', '.join(get_args(Currency))}, but {by!r} came")
    if by != "parameters" and input_shape is None:
        raise WorkbenchError(f"equal {by} needs input_shape, e.g. (32, 1, 32, 32), but none came")
    if not widths or any(b <= a for a, b in pairwise(widths)):
        raise WorkbenchError(f"widths must be growing whole numbers, but {list(widths)[:5]} came")

    @cache
    def costs(i: int) -> Quantity:
        return price(built(make, widths[i]), by, input_shape)

    wanted = price(like, by, input_shape) if isinstance(like, nn.Module) else _number(like, by)
    low, high = 0, len(widths) - 1
    while low < high:  # the first width that costs as much or more
        middle = (low + high) // 2
        low, high = (low, middle) if costs(middle).value >= wanted.value else (middle + 1, high)
    near = [i for i in (low - 1, low) if i >= 0]
    best = min(near, key=lambda i: abs(costs(i).value / wanted.value - 1))
    match = Match(widths[best], costs(best), wanted)
    if abs(match.difference) > within:
        raise WorkbenchError(
            f"no width in {widths[0]} … {widths[-1]} comes within {within:.0%} of {wanted} ({by}); "
            f"the nearest is {match}"
        )
    model = built(make, match.width)
    model.width, model.match = match.width, match  # type: ignore[assignment]
    return model


def built(make: Callable[[int], nn.Module], width: int) -> nn.Module:
    """One model of that width; torch's generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        model = make(width)
    if not isinstance(model, nn.Module):
        raise WorkbenchError(f"make({width}) must return a torch module, but {type(model).__name__} came")
    return model


def price(model: nn.Module, by: Currency, input_shape: Sequence[int] | None = None) -> Quantity:
    """What a model costs: learnable numbers, flops of one forward pass, or seconds forward and back."""
    if by == "parameters":
        return Quantity(sum(p.numel() for p in model.parameters()), "parameters", "formula")
    assert input_shape is not None
    if by == "flops":
        from workbench.probes import cost

        return cost(model, input_shape).flops
    from workbench.machine import timed

    X = torch.zeros(*input_shape)

    def forth_and_back() -> None:
        model(X).sum().backward()

    with torch.enable_grad():
        return timed(forth_and_back, warmup=2).shortest


def _number(like: float, by: Currency) -> Quantity:
    if not like > 0:
        raise WorkbenchError(f"like must be a model or a positive number, but {like!r} came")
    units = {"parameters": "parameters", "flops": "flop", "time": "s"}
    return Quantity(float(like), units[by], "formula")
