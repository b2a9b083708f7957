"""Which networks the zoo has: one table, as data, and a short and a shorter list for smaller budgets."""

import hashlib
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, Literal

from workbench.budget import by_budget
from workbench.errors import WorkbenchError
from workbench.train import Recipe
from workbench.zoo.nets import Goal, Wiring
from workbench.zoo.picture_sets import PICTURES

PEAK, MOMENTUM, BATCH = 0.2, 0.9, 32
ID_BITS = 40  # of a model's number; with the layer's 12 below, a whole number that float64 still holds


@dataclass(frozen=True)
class Arm:
    """One network to train: on what, for what, how it is built, and with which seed.

    labels: "random" draws the classes of a few pictures by lot, and asks whether they were learnt by heart.
    """

    data: str = "digits"
    task: Goal = "classify"
    wiring: Wiring = "plain"
    depth: int = 6
    width: int = 32
    weight_decay: float = 0.01
    labels: Literal["true", "random"] = "true"
    steps: int = 400
    seed: int = 0

    def __post_init__(self) -> None:
        if self.labels not in ("true", "random"):
            raise WorkbenchError(f"labels must be true or random, but {self.labels!r} came")

    @property
    def name(self) -> str:
        """All knobs in words, e.g. digits-classify-plain-d6-w32-decay0.01-true-400-seed0."""
        return (
            f"{self.data}-{self.task}-{self.wiring}-d{self.depth}-w{self.width}-decay{self.weight_decay:g}-"
            f"{self.labels}-{self.steps}-seed{self.seed}"
        )

    @property
    def model_id(self) -> int:
        """The number of the network, from its name alone."""
        return number(self.name)

    @property
    def filters(self) -> int:
        """How many filters of 3 x 3 its trunk has."""
        return self.width + (self.depth - 1) * self.width**2

    @property
    def recipe(self) -> Recipe:
        """Stochastic gradients with Nesterov's momentum, one cycle up to 0.2 and down."""
        return Recipe(
            steps=self.steps,
            batch=BATCH,
            lr=PEAK,
            optimizer="sgd",
            momentum=MOMENTUM,
            schedule="one-cycle",
            weight_decay=self.weight_decay,
            options={"nesterov": True},
        )

    def row(self) -> dict[str, Any]:
        """The knobs, for a table."""
        return asdict(self)


def number(name: str) -> int:
    """A model's number: 40 bits of a digest of its name, the same on every computer."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") >> (64 - ID_BITS)


def memory(arm: Arm) -> float:
    """How much of the first weights would be left if weight decay alone moved them.

    The optimiser's own steps with the gradient λw: close to exp(-λ Σ η / (1 - μ)) while λη is small beside
    (1 - μ)², below it beyond that, and swinging through zero where λη exceeds about a quarter of (1 - μ)².
    """
    w, velocity, recipe = 1.0, 0.0, arm.recipe
    for step in range(arm.steps):
        gradient = arm.weight_decay * w
        velocity = MOMENTUM * velocity + gradient
        w -= recipe.lr * recipe.factor(step, arm.steps) * (gradient + MOMENTUM * velocity)
    return w


def arms(budget: str = "lesson") -> list[Arm]:
    """The networks of a budget: 12 with 120 steps in smoke, 42 in lesson, 185 in full."""
    return by_budget(budget, smoke=_smoke, lesson=_lesson, full=_full)()


def _smoke() -> list[Arm]:
    made = _each(range(2), data=("digits", "scenes", "textures", "waves"))
    made += _each(range(2), data=("digits",), task=("denoise",))
    made += _each(range(2), data=("scenes",), weight_decay=(0.02,))
    return [replace(arm, steps=120) for arm in made]


def _lesson() -> list[Arm]:
    made = _each(range(3), data=tuple(PICTURES))
    made += _each(range(2), data=("digits", "scenes"), task=("denoise", "autoencode"))
    made += _each(range(2), data=("digits", "scenes"), weight_decay=(0.0, 0.02))
    return made + _each(range(1), data=("digits",), wiring=("residual", "concat"))


def _full() -> list[Arm]:
    two = ("digits", "scenes")
    made = _each(range(5), data=tuple(PICTURES))
    made += _each(range(5), data=(*two, "micro", "waves"), task=("denoise", "autoencode"))
    made += _each(range(5), data=two, wiring=("residual", "concat"))
    made += _each(range(5), data=two, depth=(3, 9))
    made += _each(range(5), data=two, width=(8, 16, 64))
    made += _each(range(5), data=two, weight_decay=(0.0, 0.005, 0.02))
    return made + _each(range(5), labels=("random",))


def _each(seeds: range, **values: tuple[Any, ...]) -> list[Arm]:
    """Every combination of the values, with every seed."""
    return [
        Arm(**dict(zip(values, chosen, strict=True)), seed=seed)
        for chosen in product(*values.values())
        for seed in seeds
    ]
