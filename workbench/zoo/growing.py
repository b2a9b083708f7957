"""One network of the zoo from its first weights to its rows, or turned away at the gate."""

from dataclasses import dataclass
from typing import Any

from workbench.probes import FilterSet, filters
from workbench.train import Run, train
from workbench.zoo import goals
from workbench.zoo.arm_table import BATCH, PEAK, Arm, memory
from workbench.zoo.nets import ZooNet
from workbench.zoo.store import Entry, entry

METRICS = {"classify": "accuracy", "denoise": "-error / variance", "autoencode": "-error / variance"}


@dataclass(frozen=True)
class Grown:
    """What came of an arm: its rows, or None where it did not beat `bar`."""

    arm: Arm
    score: float
    trivial: float
    bar: float
    entry: Entry | None


def grow(arm: Arm, keep: bool = True) -> Grown:
    """Trains an arm, and measures what its filters have become; interrupted, it goes on the next time.

    keep: as for `workbench.train.train`.
    """
    _, trivial, bar = goals.of_arm(arm)
    initial = {layer.name: layer.weights for layer in untrained(arm)}
    run = trained(arm, keep)
    if not run.score > bar:
        return Grown(arm, run.score, trivial, bar, None)
    rows = entry(_model(arm, run, trivial), trunk(run.model), initial)
    return Grown(arm, run.score, trivial, bar, rows)


def trained(arm: Arm, keep: bool = True) -> Run:
    """The arm's network, trained: for what the filters alone do not tell, such as features and transfer.

    Where the build has kept it, it is found and not trained anew.
    """
    return train(lambda: goals.network(arm), goals.of_arm(arm)[0], arm.recipe, arm.seed, keep=keep)


def untrained(arm: Arm) -> FilterSet:
    """The filters of an arm before its first step: the control of every statement about trained ones."""
    return trunk(goals.network(arm))


def trunk(net: Any) -> FilterSet:
    """The filters of a network's trunk; heads differ between tasks and are left out."""
    assert isinstance(net, ZooNet)
    return filters(net.trunk)


def _model(arm: Arm, run: Run, trivial: float) -> dict[str, Any]:
    return {
        **arm.row(),
        "model_id": arm.model_id,
        "name": arm.name,
        "source": "zoo",
        "batch": BATCH,
        "lr": PEAK,
        "metric": METRICS[arm.task],
        "score": run.score,
        "trivial": trivial,
        "memory": memory(arm),
        "parameters": int(run.parameters.value),
        "seconds": run.seconds.value,
        "machine": run.seconds.machine,
        "added": run.seconds.when,
    }
