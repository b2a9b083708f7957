"""Two or more models held against each other: same data in the same order, same effort in tuning."""

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import product
from typing import Any, Literal

import numpy as np
from torch import nn

from workbench.errors import WorkbenchError
from workbench.train.progress import told
from workbench.train.recipes import Recipe
from workbench.train.runs import Run
from workbench.train.tasks import Task
from workbench.train.training import Diverged, step_flops, train

Make = Callable[[], nn.Module]
LEVEL = 0.95


@dataclass(frozen=True)
class Trial:
    """One setting that was tried while tuning: its score on validation data, -inf where it diverged."""

    settings: Mapping[str, Any]
    score: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found. `runs[name]` are in the order of the seeds, and so are `scores[name]`.

    recipes: what each arm was trained with in the end. trials: what was tried for it before.
    """

    task: str
    baseline: str
    seeds: tuple[int, ...]
    by: str
    runs: Mapping[str, tuple[Run, ...]] = field(repr=False)
    recipes: Mapping[str, Recipe]
    trials: Mapping[str, tuple[Trial, ...]]

    @property
    def scores(self) -> dict[str, np.ndarray]:
        """Name -> scores on the test data, float64 [seeds]."""
        return {name: np.array([run.score for run in runs]) for name, runs in self.runs.items()}

    def paired(self, name: str, against: str | None = None) -> tuple[float, float, float]:
        """Mean over seeds of the arm's score minus the baseline's, and its 95 % interval.

        By Student's t: pairs share data, order and seed, and what a pair has in common drops out. From one
        seed the interval is all numbers.
        """
        difference = self._of(name) - self._of(against or self.baseline)
        return paired_interval(difference)

    def rows(self) -> list[dict[str, Any]]:
        """One dict an arm, for tables; score, difference and seconds are means over seeds."""
        found = []
        for name, runs in self.runs.items():
            mean, low, high = self.paired(name)
            first = runs[0]
            found.append(
                {
                    "arm": name,
                    "score": float(self.scores[name].mean()),
                    "difference": mean,
                    "low": low,
                    "high": high,
                    "parameters": int(first.parameters.value),
                    "steps": first.steps,
                    "flops": first.flops.value,
                    "seconds": float(np.mean([run.seconds.value for run in runs])),
                    "trials": len(self.trials[name]),
                    "provenance": {
                        "parameters": first.parameters.provenance,
                        "flops": first.flops.provenance,
                        "seconds": first.seconds.provenance,
                    },
                }
            )
        return found

    @property
    def fairness(self) -> str:
        """One sentence on what all arms had in common, and what not."""
        return f"{self._same_data()}; {self._same_effort()}."

    def __str__(self) -> str:
        lines = [
            f"{self._title}; differences from {self.baseline} with 95 % intervals",
            *_table([list(HEAD), *map(_cells, self._rows_marked())]),
            self.fairness,
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        def row(cells: Sequence[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        body = "".join(row(_cells(found), "td") for found in self._rows_marked())
        return (
            f"<table><caption>{html.escape(self._title)}</caption><thead>{row(HEAD, 'th')}</thead>"
            f"<tbody>{body}</tbody></table><p>{html.escape(self.fairness)}</p>"
        )

    @property
    def _title(self) -> str:
        return f"{self.task}, {_count(len(self.seeds), 'seed')}"

    def _rows_marked(self) -> list[dict[str, Any]]:
        return [found | {"baseline": found["arm"] == self.baseline} for found in self.rows()]

    def _of(self, name: str) -> np.ndarray:
        if name not in self.runs:
            raise WorkbenchError(f"no arm is called {name!r}; there are {', '.join(self.runs)}")
        return self.scores[name]

    def _same_data(self) -> str:
        steps = {name: runs[0].steps for name, runs in self.runs.items()}
        batches = {name: recipe.batch for name, recipe in self.recipes.items()}
        same = all(len({run.order for run in pair}) == 1 for pair in zip(*self.runs.values(), strict=True))
        if same:
            some, batch = next(iter(steps.values())), next(iter(batches.values()))
            return f"in each seed all arms saw the same {some} batches of {batch} in the same order"
        seen = ", ".join(f"{name} {steps[name]} batches of {batches[name]}" for name in self.runs)
        return f"in each seed all arms saw the same order of data, for as long as they ran: {seen}"

    def _same_effort(self) -> str:
        tried = [len(trials) for trials in self.trials.values()]
        if not tried[0]:
            own = len({repr(recipe) for recipe in self.recipes.values()}) > 1
            return "nothing was tuned" + (
                ", each arm has the recipe it was given" if own else ", all have one recipe"
            )
        settings = ", ".join(self.trials[self.baseline][0].settings)
        lost = sum(trial.score == -math.inf for trials in self.trials.values() for trial in trials)
        fallen = f" ({lost} diverged)" if lost else ""
        chosen = "; ".join(f"{name} {_settings(self._chosen(name))}" for name in self.runs)
        return (
            f"each arm had the same {_count(tried[0], 'trial')} of {settings}{fallen}, judged on validation "
            f"data ({chosen}); test data served the final scores alone"
        )

    def _chosen(self, name: str) -> Mapping[str, Any]:
        return max(self.trials[name], key=lambda trial: trial.score).settings


def compare(
    models: Mapping[str, Make],
    task: Task | Callable[[int], Task],
    recipe: Recipe | Mapping[str, Recipe] | None = None,
    seeds: Sequence[int] = range(5),
    *,
    baseline: str | None = None,
    tune: Mapping[str, Sequence[Any]] | None = None,
    by: Literal["steps", "flops"] = "steps",
    keep: bool = True,
    progress: bool | Callable[[int, int, str], None] = False,
) -> Comparison:
    """Trains each arm once for each seed, and compares the scores within the seeds.

    models: name -> what makes the model. task: one, or what gives one for each seed.
    recipe: one for all, or one for each arm by name.
    baseline: the arm that others are compared with; the first one without it.
    tune: settings of the recipe with the values to try, e.g. {"lr": [1e-3, 4e-3]}. Every arm tries every
        combination, once, with the first seed, on data held out from training; the best goes for all seeds.
    by: "steps" as each recipe says, or "flops": every arm gets those that the baseline's steps cost, so that
        a dearer model takes fewer steps. (A recipe with `flops` has that budget in both cases.)
    progress: True draws a bar; a function is called with (done, of how many, what) after each training.

    Printed, it is a table, and a sentence on the data order and the effort that all arms had in common.
    """
    arms = _arms(models, recipe, baseline, by, seeds)
    first = next(iter(models)) if baseline is None else baseline
    tasks = {seed: task(seed) if not isinstance(task, Task) else task for seed in seeds}
    grid = _grid(tune or {})
    if by == "flops":
        arms = _at_equal_flops(models, arms, first, tasks[seeds[0]])
    done = 0
    with told(progress, len(arms) * (len(grid) * bool(tune) + len(seeds))) as tell:
        trials: dict[str, tuple[Trial, ...]] = {}
        for name, own in arms.items():
            tried = []
            for settings in grid if tune else ():
                tried.append(_try(models[name], tasks[seeds[0]].validation(), own, settings, seeds[0], keep))
                tell(done := done + 1, f"tuned {name}")
            trials[name] = tuple(tried)
            if tried:
                best = max(tried, key=lambda trial: trial.score)
                if best.score == -math.inf:
                    raise Diverged(f"every one of the {len(tried)} trials of {name} diverged")
                arms[name] = replace(own, **best.settings)
        runs: dict[str, list[Run]] = {name: [] for name in arms}
        for seed in seeds:
            for name, own in arms.items():
                runs[name].append(train(models[name], tasks[seed], own, seed, keep=keep))
                tell(done := done + 1, f"{name}, seed {seed}")
    found = {name: tuple(own) for name, own in runs.items()}
    return Comparison(tasks[seeds[0]].name, first, tuple(seeds), by, found, arms, trials)


def paired_interval(differences: np.ndarray, level: float = LEVEL) -> tuple[float, float, float]:
    """Mean of paired differences [seeds] with its interval by Student's t; all numbers from one seed."""
    from scipy import stats  # on first use: a second to import

    n, mean = len(differences), float(differences.mean())
    if n < 2:
        return mean, -math.inf, math.inf
    half = float(stats.t.ppf((1 + level) / 2, n - 1) * differences.std(ddof=1) / math.sqrt(n))
    return mean, mean - half, mean + half


def _arms(
    models: Mapping[str, Make],
    recipe: Recipe | Mapping[str, Recipe] | None,
    baseline: str | None,
    by: str,
    seeds: Sequence[int],
) -> dict[str, Recipe]:
    """The recipe of each arm, after what was asked for has been checked."""
    if not models:
        raise WorkbenchError("compare needs at least one model by name, but none came")
    if not seeds or len(set(seeds)) < len(seeds):
        raise WorkbenchError(f"seeds must be different numbers, at least one, but {list(seeds)} came")
    if by not in ("steps", "flops"):
        raise WorkbenchError(f"by must be steps or flops, but {by!r} came")
    if baseline is not None and baseline not in models:
        raise WorkbenchError(f"the baseline must be one of {', '.join(models)}, but {baseline!r} came")
    if recipe is None or isinstance(recipe, Recipe):
        return dict.fromkeys(models, recipe or Recipe())
    if set(recipe) != set(models):
        raise WorkbenchError(
            f"each of {', '.join(models)} needs a recipe, but recipes for {', '.join(recipe) or 'none'} came"
        )
    return {name: recipe[name] for name in models}


def _grid(tune: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of the values."""
    known = {found.name for found in fields(Recipe)}
    for name, values in tune.items():
        if name not in known:
            raise WorkbenchError(f"tune can vary {', '.join(sorted(known))}, but {name!r} came")
        if isinstance(values, str) or not len(values):
            raise WorkbenchError(f"tune needs a list of values for {name}, but {values!r} came")
    return [dict(zip(tune, values, strict=True)) for values in product(*tune.values())]


def _try(make: Make, task: Task, recipe: Recipe, settings: dict[str, Any], seed: int, keep: bool) -> Trial:
    try:
        return Trial(settings, train(make, task, replace(recipe, **settings), seed, keep=keep).score)
    except Diverged:
        return Trial(settings, -math.inf)


def _at_equal_flops(
    models: Mapping[str, Make], arms: dict[str, Recipe], baseline: str, task: Task
) -> dict[str, Recipe]:
    """Every arm gets the flops that the baseline's recipe costs, unless the recipe names a budget itself."""
    import torch

    with torch.random.fork_rng(devices=[]):
        own = arms[baseline]
        budget = own.flops or own.steps * step_flops(models[baseline](), task, own).value
    return {name: recipe if recipe.flops else replace(recipe, flops=budget) for name, recipe in arms.items()}


# The table ----------------------------------------------------------------------------------------

HEAD = (
    "arm",
    "score",
    "difference",
    "parameters",
    "steps",
    "Gflop (formula)",
    "seconds (measured)",
    "trials",
)


def _cells(row: Mapping[str, Any]) -> list[str]:
    if row["baseline"]:
        difference = "baseline"
    elif math.isinf(row["low"]):
        difference = f"{row['difference']:+.4f} (one seed)"
    else:
        difference = f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
    return [
        row["arm"],
        f"{row['score']:.4f}",
        difference,
        f"{row['parameters']:,}",
        str(row["steps"]),
        f"{row['flops'] / 1e9:.3g}",
        f"{row['seconds']:.2f}",
        str(row["trials"]),
    ]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in settings.items()
    )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
