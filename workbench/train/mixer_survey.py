"""Fifteen mixers in one small network on scattered regions: the survey that `load("mixer-survey")` keeps.

    python -m workbench.train.mixer_survey

makes its file once more: 120 trainings, half an hour to an hour on one core. Each is kept, so that the
command goes on where it was interrupted.
"""

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from workbench_datasets import load

from workbench.errors import WorkbenchError
from workbench.layers import mixer_network
from workbench.train.comparing import compare
from workbench.train.recipes import Recipe
from workbench.train.regions import region_task
from workbench.train.runs import Run

# name -> kind and options of `workbench.layers.mixer`
MIXER_ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "full": ("full", {}),
    "window": ("window", {}),
    "grid": ("grid", {}),
    "window → grid": ("window-grid", {}),
    "neighbours": ("neighborhood", {}),
    "landmarks": ("landmark", {}),
    "sparse + low rank": ("sparse-low-rank", {"size": 3}),
    "slots": ("slots", {}),
    "slots, hot": ("slots", {"scale": 8.0}),
    "cascade": ("cascade", {}),
    "raft": ("raft", {}),
    "perceptron": ("mlp", {}),
    "convolution": ("convolution", {}),
    "gated convolution": ("gated-convolution", {}),
    "nothing": ("none", {}),
}
SIDE, WIDTH, DEPTH = 8, 32, 2  # of the maps in training, and of the network
RECIPE = Recipe(steps=500)
RATES = (5e-3, 1.25e-2, 3e-2)  # each arm takes the one that is best on held-out data, seed 0
SEEDS = range(5)
IMAGES = 8000  # maps to learn from
MAPS = {8: 500, 16: 100, 32: 20}  # side of the test maps -> how many


def mixer_arm(name: str) -> nn.Module:
    """A fresh network of this arm: [batch, 4, 8, 8] -> [batch, 1, 8, 8]; other sizes where its mixer can."""
    if name not in MIXER_ARMS:
        raise WorkbenchError(f"no arm of the survey is called {name!r}; there are {', '.join(MIXER_ARMS)}")
    kind, options = MIXER_ARMS[name]
    return mixer_network(kind, SIDE, width=WIDTH, depth=DEPTH, **options)


def mixer_survey(
    recipe: Recipe = RECIPE,
    rates: Sequence[float] = RATES,
    seeds: Sequence[int] = SEEDS,
    maps: dict[int, int] = MAPS,
    *,
    names: Sequence[str] = tuple(MIXER_ARMS),
    images: int = IMAGES,
    progress: bool = False,
) -> dict[str, Any]:
    """Trains every arm with every seed, and asks it about test maps of every side; all are of test seed 0.

    mixers, seeds, sides, maps: what was done. steps; rates: one for each arm. errors: [mixers][seeds][sides],
    mean squared errors; None where the weights of a mixer belong to another size.
    """
    found = compare(
        {name: partial(mixer_arm, name) for name in names},
        lambda seed: region_task(seed=seed, images=images, test={"images": 100}),
        recipe,
        seeds,
        tune={"lr": tuple(rates)},
        progress=progress,
    )
    made = [load("scattered-regions", side=side, images=n, part="test") for side, n in maps.items()]
    tests = [(torch.from_numpy(m["inputs"]), torch.from_numpy(m["targets"])[:, None]) for m in made]
    return {
        "mixers": list(names),
        "seeds": list(seeds),
        "sides": list(maps),
        "maps": list(maps.values()),
        "steps": recipe.steps,
        "rates": [found.recipes[name].lr for name in names],
        "errors": [[[_error(run, *test) for test in tests] for run in found.runs[name]] for name in names],
    }


def _error(run: Run, X: torch.Tensor, Y: torch.Tensor) -> float | None:
    try:
        return round(-run.evaluate(X, Y), 5)
    except WorkbenchError:
        return None


def main(arguments: Sequence[str] | None = None) -> None:
    """The command: makes the survey and writes its file."""
    from workbench_datasets.mixer_survey import FILE

    parser = argparse.ArgumentParser(prog="python -m workbench.train.mixer_survey", description=__doc__)
    parser.add_argument("--into", type=Path, default=Path(), metavar="FOLDER", help="default: here")
    place = parser.parse_args(arguments).into / FILE
    place.write_text(json.dumps(mixer_survey(progress=True), indent=1) + "\n", encoding="utf-8")
    print(place)


if __name__ == "__main__":
    main()
