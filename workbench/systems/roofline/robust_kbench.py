"""Towards Robust Agentic CUDA Kernel Benchmarking, Verification, and Optimization.

Robert Tjarko Lange, Qi Sun, Aaditya Prasad, Maxence Faldor, Yujin Tang, David Ha; 2025;
https://arxiv.org/abs/2509.14279. Original code: https://github.com/SakanaAI/robust-kbench, Apache License
2.0. Nothing is copied from it.

Three things that a search for fast kernels needs before it may be believed:

    filters     is the task worth solving, or does a constant solve it?    `shipped`, `scale_free`
    verifiers   may this candidate be timed at all?                        `Gate`
    evolution   propose, verify, judge, keep what is cheaper               `evolve`, `Search`

Whoever proposes is behind one contract (`workbench.proposers`): a language model, or rewrites of the best
kernel so far. Generated text runs in processes of its own, never in this one.

Deviations: listed in `SYSTEM`.
"""

import ast
import inspect
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from workbench.budget import by_budget
from workbench.claims import AtLeast, AtMost, Claim, Measured, System
from workbench.errors import WorkbenchError
from workbench.judge import KERNELBENCH, WHOLE, Judge, Source, Task, Verdict, drawn
from workbench.judge.corpus import Entry, corpus, judge_all
from workbench.judge.task import Expected, parts
from workbench.judge.watched import Apart
from workbench.proposers import (
    LLM,
    Ensemble,
    Message,
    Mutations,
    Prompt,
    Proposer,
    Schedule,
    Templates,
    code_of,
    mutants,
)
from workbench.proposers.first_kernels import FIRST
from workbench.proposers.mutations import OPERATORS, parallel

if TYPE_CHECKING:
    from workbench.views.lineages import Descendant

# Filters: is the task worth solving? ------------------------------------------------------------

SEEDS = 10
SMALL = 0.01  # below this, an output does not vary
RULES = ("range", "std", "axes", "input")
Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Question:
    """A task as a filter sees it: parameters drawn once, inputs drawn again, an output.

    stored: the rules that the source's own run flagged, by its published file.
    """

    name: str
    inputs: Callable[[np.random.Generator], Arrays]
    answer: Callable[..., np.ndarray]
    parameters: Callable[[np.random.Generator], Arrays] = lambda rng: ()
    stored: tuple[str, ...] = ()

    def outputs(self, redraw: Literal["both", "inputs", "parameters"], seeds: int = SEEDS) -> np.ndarray:
        """Outputs [seeds, ...] where both, or only one of them, are drawn anew for each seed."""
        found = []
        for seed in range(seeds):
            own = {"inputs": 0, "parameters": 0, **({redraw: seed} if redraw != "both" else {})}
            first, second = (seed, seed) if redraw == "both" else (own["inputs"], own["parameters"])
            inputs = self.inputs(np.random.default_rng([1, first]))
            found.append(self.answer(*inputs, *self.parameters(np.random.default_rng([2, second]))))
        return np.stack(found)


def spread(outputs: np.ndarray, axis: int) -> np.ndarray:
    """Standard deviation along an axis; NaN where there is only one value, as in the source."""
    if outputs.shape[axis] < 2:
        return np.full((), np.nan)
    return outputs.std(axis=axis, ddof=1, dtype=np.float64)


def flags(outputs: np.ndarray, again: np.ndarray, unit: float, nothing: float) -> tuple[str, ...]:
    """Which rules convict. `outputs`: inputs and parameters drawn anew; `again`: inputs alone. Less than
    `unit` is no variation, and an output that stays within ±`nothing` is none at all."""
    axes = [bool((spread(outputs, axis) < unit).all()) for axis in range(outputs.ndim)]
    convicted = {
        "range": bool((np.abs(outputs) < nothing).all()),
        "std": axes[0],
        "axes": any(axes),
        "input": bool((spread(again, 0) < unit).all()),
    }
    return tuple(rule for rule in RULES if convicted[rule])


def shipped(question: Question) -> tuple[str, ...]:
    """The rules of the source, with its absolute threshold."""
    return flags(question.outputs("both"), question.outputs("inputs"), SMALL, SMALL)


def scale_free(question: Question) -> tuple[str, ...]:
    """The same rules with thresholds in units of the output's own size: multiply a task by a thousand, and
    nothing changes. An output of size zero varies by nothing and is convicted by every rule."""
    outputs, again = question.outputs("both"), question.outputs("inputs")
    size = float(np.sqrt(np.mean(np.square(outputs, dtype=np.float64))))
    tiny = np.finfo(np.float64).tiny
    return flags(outputs, again, max(SMALL * size, tiny), tiny)


def parameters_matter(question: Question) -> bool:
    """Whether other parameters give another output. The source's own version of this rule draws the inputs
    anew as well, so that it can only repeat its rule `std`; here the inputs stay."""
    outputs = question.outputs("parameters")
    size = float(np.sqrt(np.mean(np.square(outputs, dtype=np.float64))))
    return bool((spread(outputs, 0) >= max(SMALL * size, np.finfo(np.float64).tiny)).any())


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


def uniform(rng: np.random.Generator, inputs: int, *shape: int) -> np.ndarray:
    """How a linear layer is initialised: uniform within ±1/√inputs."""
    return ((2 * rng.random(shape, dtype=np.float32) - 1) / np.sqrt(inputs)).astype(np.float32)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True))


def gelu(x: np.ndarray) -> np.ndarray:
    """By its tanh formula."""
    return np.asarray(0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))))


def centred_maximum(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The maximum of each row minus its mean over an axis of length one: zero, whatever came before."""
    highest = (x @ w.T + b).max(1, keepdims=True)
    return gelu(highest - highest.mean(1, keepdims=True))


def softmax_of_mean(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A softmax over an axis of length one: one, whatever came before. (Dropout cannot change it.)"""
    return softmax((x @ w.T + b).mean(1, keepdims=True))


def cosine_loss(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.mean(1 - (a * b).sum(1) / lengths)


def divergence(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray((b * (np.log(b) - np.log(a))).sum() / len(a))


def class_loss(x: np.ndarray, classes: np.ndarray) -> np.ndarray:
    shifted = x - x.max(1, keepdims=True)
    picked = shifted[np.arange(len(x)), classes]
    return np.mean(np.log(np.exp(shifted).sum(1)) - picked)


def linear_parameters(inputs: int, outputs: int) -> Callable[[np.random.Generator], Arrays]:
    return lambda rng: (uniform(rng, inputs, outputs, inputs), uniform(rng, inputs, outputs))


ALL = RULES
QUESTIONS = (
    Question("softmax", lambda r: (normal(r, 16, 16384),), softmax, stored=ALL),
    Question(
        "L1 norm", lambda r: (normal(r, 16, 16384),), lambda x: x / np.abs(x).sum(1)[:, None], stored=ALL
    ),
    Question(
        "L2 norm",
        lambda r: (normal(r, 16, 16384),),
        lambda x: x / np.linalg.norm(x, axis=1)[:, None],
        stored=("axes",),
    ),
    Question(
        "mean squared error",
        lambda r: (normal(r, 128, 4096), normal(r, 128, 4096)),
        lambda a, b: np.mean((a - b) ** 2),
        stored=("std", "axes", "input"),
    ),
    Question(
        "cosine loss",
        lambda r: (normal(r, 128, 4096), normal(r, 128, 4096)),
        cosine_loss,
        stored=("std", "axes", "input"),
    ),
    Question(
        "KL divergence",
        lambda r: (softmax(normal(r, 128, 4096)), softmax(normal(r, 128, 4096))),
        divergence,
        stored=("std", "axes", "input"),
    ),
    Question(
        "linear, maximum, minus mean, GELU",
        lambda r: (normal(r, 128, 512),),
        centred_maximum,
        linear_parameters(512, 1024),
        stored=ALL,
    ),
    Question(
        "linear, minus 2, times 1.5, ReLU",
        lambda r: (normal(r, 128, 10),),
        lambda x, w, b: np.maximum((x @ w.T + b - np.float32(2)) * np.float32(1.5), 0),
        lambda r: (np.float32(0.02) * normal(r, 5, 10), np.float32(0.02) * normal(r, 5)),
        stored=ALL,
    ),
    Question(
        "linear, mean, softmax",
        lambda r: (normal(r, 128, 100),),
        softmax_of_mean,
        linear_parameters(100, 50),
        stored=("std", "axes", "input"),
    ),
    Question("ReLU", lambda r: (normal(r, 16, 16384),), lambda x: np.maximum(x, 0)),
    Question("cumulative sum", lambda r: (normal(r, 128, 4000),), lambda x: np.cumsum(x, 1)),
    Question(
        "cross-entropy",
        lambda r: (normal(r, 4096, 10), r.integers(0, 10, 4096)),
        class_loss,
    ),
)
HONEST, EMPTY = ("softmax", "L1 norm"), ("linear, maximum, minus mean, GELU",)
# Verdicts that the source has stored for the 200 tasks of KernelBench's first two levels, counted.
STORED = {
    "range": 9,
    "std": 19,
    "axes": 26,
    "input": 22,
    "redundant (by a language model)": 33,
    "inefficient (by a language model)": 74,
    "any": 89,
}


def question(name: str) -> Question:
    """One of the twelve rebuilt tasks."""
    for one in QUESTIONS:
        if one.name == name:
            return one
    raise WorkbenchError(f"no task is called {name!r}; there are {', '.join(q.name for q in QUESTIONS)}")


# Tasks for the search ---------------------------------------------------------------------------


def layer_norm(x, weight, bias, eps):  # [n, c] [c] [c]
    mean = x.mean(1, keepdims=True)
    variance = ((x - mean) ** 2).mean(1, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps) * weight + bias


def rms_norm(x, weight, eps):  # [n, c] [c]
    return x / np.sqrt((x**2).mean(1, keepdims=True) + eps) * weight


def cross_entropy(logits, targets):  # [n, c] [n]
    highest = logits.max(1)
    total = np.exp(logits - highest[:, None]).sum(1)
    picked = logits[np.arange(len(logits)), targets]
    return np.array([(np.log(total) + highest - picked).mean()])


def cross_entropy_gradient(logits, targets, upstream):  # [n, c] [n] [1]
    e = np.exp(logits - logits.max(1, keepdims=True))
    share = e / e.sum(1, keepdims=True)
    share[np.arange(len(logits)), targets] -= 1
    return share * upstream / len(logits)


def linear_relu(x, weight, bias):  # [n, c] [d, c] [d]
    return np.maximum(x @ weight.T + bias, 0)


def linear_relu_gradients(x, weight, bias, upstream):  # [n, c] [d, c] [d] [n, d]
    passed = upstream * (x @ weight.T + bias > 0)
    return passed @ weight, passed.T @ x, passed.sum(0)


def conv_relu_pool(x, weight, bias):  # [c, h, w] [f, c, 3, 3] [f]
    side = weight.shape[2]
    windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(1, 2))
    maps = np.maximum(np.einsum("cijuv,fcuv->fij", windows, weight) + bias[:, None, None], 0)
    f, h, w = maps.shape
    return maps[:, : h // 2 * 2, : w // 2 * 2].reshape(f, h // 2, 2, w // 2, 2).max((2, 4))


def max_pool_gradient(x, upstream):  # [c, h, w] [c, h // 2, w // 2]
    c, h, w = x.shape
    blocks = x[:, : h // 2 * 2, : w // 2 * 2].reshape(c, h // 2, 2, w // 2, 2)
    flat = blocks.transpose(0, 1, 3, 2, 4).reshape(c, h // 2, w // 2, 4)
    first = flat.argmax(-1)[..., None] == np.arange(4)
    spread = (first * upstream[..., None]).reshape(c, h // 2, w // 2, 2, 2).transpose(0, 1, 3, 2, 4)
    out = np.zeros(x.shape, upstream.dtype)
    out[:, : h // 2 * 2, : w // 2 * 2] = spread.reshape(c, h // 2 * 2, w // 2 * 2)
    return out


SMOOTH = ("mixed", "positive", "negative", "zeros", "constant", "spikes")
ROWS = ({"n": 3, "c": 9}, {"n": 1, "c": 1}, {"n": 2, "c": 17}, {"n": 3, "c": 8})
LAYERS = ({"n": 4, "c": 9, "d": 7}, {"n": 1, "c": 1, "d": 1}, {"n": 3, "c": 8, "d": 5})
LARGE: dict[str, Any] = {  # where time is taken: one array in, one out
    "timing": {"n": 512, "c": 1024},
    "bytes": lambda shape: 2 * 4 * shape["n"] * shape["c"],
}
MAPS = ({"c": 2, "h": 8, "w": 7, "f": 2}, {"c": 1, "h": 4, "w": 4, "f": 1}, {"c": 3, "h": 5, "w": 8, "f": 2})


@dataclass(frozen=True)
class Problem:
    """A task of the search: its words, how it is judged, its arguments, the shape that is counted."""

    words: str
    task: Task
    names: tuple[str, ...]
    counted: dict[str, int]

    @property
    def signature(self) -> str:
        return f"kernel({', '.join(self.names)})"

    @property
    def source(self) -> str:
        return inspect.getsource(self.task.reference)

    def prompt(self, **parts: Any) -> Prompt:
        return Prompt(f"Compute the {self.words}.", self.signature, self.source, **parts)


def problem_of(
    words: str,
    reference: Callable[..., Any],
    inputs: Callable[..., tuple[Any, ...]],
    shapes: Sequence[dict[str, int]],
    counted: dict[str, int],
    settings: Sequence[Callable[..., tuple[Any, ...]]] = (),
    profiles: Sequence[str] = SMOOTH,
    **options: Any,
) -> Problem:
    names = tuple(inspect.signature(reference).parameters)
    task = drawn(
        reference.__name__.replace("_", "-"),
        reference,
        inputs,
        shapes,
        settings,
        profiles=profiles,
        sentence=f"Compute the {words}.",
        **options,
    )
    return Problem(words, task, names, counted)


PROBLEMS = {
    problem.task.name: problem
    for problem in (
        problem_of(
            "layer norm of each row: minus its mean, over its standard deviation, times weight, plus bias",
            layer_norm,
            lambda draw, n, c: (draw(n, c),),
            ROWS,
            {"n": 5, "c": 32},
            (
                lambda draw, n, c: (draw.full(c, value=1.0), draw.full(c), 1e-3),
                lambda draw, n, c: (draw.normal(c), draw.normal(c), 1e-2),
            ),
            **LARGE,
        ),
        problem_of(
            "RMS norm of each row: over the root of its mean square, times weight",
            rms_norm,
            lambda draw, n, c: (draw(n, c),),
            ROWS,
            {"n": 5, "c": 32},
            (
                lambda draw, n, c: (draw.full(c, value=1.0), 1e-3),
                lambda draw, n, c: (draw.normal(c), 1e-2),
            ),
            **LARGE,
        ),
        problem_of(
            "mean cross-entropy of the rows against their target classes",
            cross_entropy,
            lambda draw, n, c: (draw(n, c), draw.integers(n, high=c)),
            ROWS,
            {"n": 8, "c": 30},
            profiles=(*SMOOTH, "tiny", "huge"),
        ),
        problem_of(
            "gradient of the mean cross-entropy with respect to the logits, times upstream",
            cross_entropy_gradient,
            lambda draw, n, c: (draw(n, c), draw.integers(n, high=c), draw.positive(1)),
            ROWS,
            {"n": 5, "c": 30},
        ),
        problem_of(
            "linear layer with ReLU: x times the transpose of weight, plus bias, not below zero",
            linear_relu,
            lambda draw, n, c, d: (draw(n, c),),
            LAYERS,
            {"n": 6, "c": 12, "d": 10},
            (
                lambda draw, n, c, d: (draw.normal(d, c), draw.normal(d)),
                lambda draw, n, c, d: (draw.positive(d, c), draw.positive(d)),
            ),
        ),
        problem_of(
            "gradients of a linear layer with ReLU with respect to x, weight and bias",
            linear_relu_gradients,
            lambda draw, n, c, d: (draw(n, c), draw.normal(d, c), draw.normal(d), draw.normal(n, d)),
            LAYERS,
            {"n": 5, "c": 8, "d": 6},
            profiles=("mixed", "positive", "negative", "spikes"),
        ),
        problem_of(
            "convolution, ReLU and max-pooling over 2 by 2 pixels, in this order",
            conv_relu_pool,
            lambda draw, c, h, w, f: (draw(c, h, w),),
            MAPS,
            {"c": 2, "h": 8, "w": 8, "f": 2},
            (
                lambda draw, c, h, w, f: (draw.normal(f, c, 3, 3), draw.normal(f)),
                lambda draw, c, h, w, f: (draw.positive(f, c, 3, 3), draw.full(f)),
            ),
        ),
        problem_of(
            "gradient of max-pooling over 2 by 2 pixels; of equal values the first gets all",
            max_pool_gradient,
            lambda draw, c, h, w, f: (draw(c, h, w), draw.normal(c, h // 2, w // 2)),
            MAPS,
            {"c": 2, "h": 10, "w": 10, "f": 0},
        ),
    )
}


# Verifiers: may this be timed? ------------------------------------------------------------------

EXACT = 1e-9  # of float64 twins: a formula that is right is off by rounding alone
FORBIDDEN = (
    ast.Import,
    ast.ImportFrom,
    ast.With,
    ast.Try,
    ast.Global,
    ast.Nonlocal,
    ast.Lambda,
    ast.ClassDef,
)
FREE = ("math", "np", "prange", "range", "min", "max", "abs", "float", "int", "len", "round", "sum", "zip")


@dataclass(frozen=True)
class Opinion:
    """What one verifier says."""

    verifier: str
    accepts: bool
    sentence: str = ""


@dataclass(frozen=True)
class Cost:
    """What a kernel does on the counted shape. `cycles` weighs it for a simple machine."""

    operations: dict[str, int]
    loads: dict[str, int]
    stores: dict[str, int]
    misses: dict[str, int]

    WEIGHTS: ClassVar = {"div": 10, "sqrt": 15, "pow": 20, "exp": 20, "log": 20, "tanh": 20}
    MISS: ClassVar = 20

    @property
    def cycles(self) -> float:
        """One for each access and each simple operation, more for hard ones and for each missed line."""
        work = sum(self.WEIGHTS.get(kind, 1) * times for kind, times in self.operations.items())
        accesses = sum(self.loads.values()) + sum(self.stores.values())
        return work + accesses + self.MISS * sum(self.misses.values())

    @property
    def of_arrays(self) -> dict[str, int]:
        """Cycles that go into each array's accesses and misses."""
        total: Counter[str] = Counter(self.loads)
        total.update(self.stores)
        total.update({name: self.MISS * times for name, times in self.misses.items()})
        return dict(total)

    def text(self) -> str:
        """The counters as a prompt shows them."""
        arrays = self.of_arrays
        lines = [f"model cycles: {self.cycles:.0f}"]
        lines += [f"costliest array: {max(arrays, key=arrays.__getitem__)}"] if arrays else []
        lines += [
            f"{name}: {self.loads.get(name, 0)} loads, {self.stores.get(name, 0)} stores, "
            f"{self.misses.get(name, 0)} missed lines"
            for name in arrays
        ]
        return "\n".join([*lines, "operations: " + ", ".join(f"{k} {n}" for k, n in self.operations.items())])


class Gate:
    """Three verifiers that look at a candidate before any judge or clock does; all have to accept.

    `compile`: is it a function of the right form, in the part of Python that a kernel may use? `memory`: run
    on watched arrays, is every access in bounds, set before it is read, and alone? `numerical`: does it
    compute what the float64 twin computes, on every tiny shape? verifiers: those that are asked.
    exact: ask for equality to the last bit, as an over-anxious verifier would.
    """

    ALL = ("compile", "memory", "numerical")

    def __init__(self, verifiers: Sequence[str] = ALL, *, exact: bool = False) -> None:
        unknown = set(verifiers) - set(self.ALL)
        if unknown or not verifiers:
            raise WorkbenchError(f"verifiers are {', '.join(self.ALL)}, but {list(verifiers)} came")
        self.verifiers, self.exact = tuple(verifiers), exact
        self._apart = Apart()

    def __enter__(self) -> "Gate":
        return self

    def __exit__(self, *what: object) -> None:
        self._apart.__exit__(*what)

    def opinions(self, problem: Problem, code: str) -> list[Opinion]:
        """What each verifier says. After an ill-formed text the others have nothing to look at."""
        form = self.form(problem, code)
        if "compile" in self.verifiers and not form.accepts:
            return [form]
        said = [form] if "compile" in self.verifiers else []
        runs = (
            []
            if self.verifiers == ("compile",)
            else [self.run(problem, code, args) for args in cases(problem)]
        )
        if "memory" in self.verifiers:
            trespass = [r for r in runs if r["kind"] in ("bounds", "unset", "race", "inputs")]
            said.append(Opinion("memory", not trespass, trespass[0]["sentence"] if trespass else ""))
        if "numerical" in self.verifiers:
            wrong = [
                w
                for r, args in zip(runs, cases(problem), strict=True)
                if (w := self.differs(problem, r, args))
            ]
            said.append(Opinion("numerical", not wrong, wrong[0] if wrong else ""))
        return said

    def accepts(self, problem: Problem, code: str) -> bool:
        """Whether all of them accept."""
        return all(opinion.accepts for opinion in self.opinions(problem, code))

    def form(self, problem: Problem, code: str) -> Opinion:
        """The verifier `compile`, from the text alone."""
        try:
            tree = ast.parse(code)
        except (SyntaxError, ValueError) as error:
            return Opinion("compile", False, f"this is no Python: {error}")
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        kernel = next((f for f in functions if f.name == "kernel"), None)
        if kernel is None:
            return Opinion("compile", False, "there is no function `kernel`")
        if [a.arg for a in kernel.args.args] != list(problem.names):
            return Opinion("compile", False, f"it has to be called as {problem.signature}")
        for node in ast.walk(tree):
            if isinstance(node, FORBIDDEN) or (isinstance(node, ast.Attribute) and node.attr.startswith("_")):
                return Opinion("compile", False, f"a kernel holds no {type(node).__name__}")
        known = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        known |= {*FREE, *problem.names, *(f.name for f in functions)}
        used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        if unknown := sorted(used - known):
            return Opinion("compile", False, f"nothing is called {', '.join(unknown)}")
        return Opinion("compile", True)

    def run(self, problem: Problem, code: str, args: tuple[Any, ...]) -> dict[str, Any]:
        """One call on watched arrays."""
        return self._apart(code, "kernel", args, problem.names)

    def differs(self, problem: Problem, run: dict[str, Any], args: tuple[Any, ...]) -> str:
        """Why a run is not what the twin computes, or nothing."""
        if run["kind"]:
            return str(run["sentence"])
        truth = problem.task.truth(args)
        if len(truth) != len(run["values"]):
            return f"{len(truth)} results were expected, but {len(run['values'])} came"
        for wanted, came in zip(truth, run["values"], strict=True):
            if not isinstance(came, np.ndarray) or came.shape != wanted.shape:
                return f"a result of shape {wanted.shape} was expected"
            size = float(np.abs(wanted).max(initial=0.0))
            if self.exact and not np.array_equal(came, wanted):
                return "the result is not equal to the last bit"
            if not (np.abs(came - wanted) <= EXACT * (np.abs(wanted) + size)).all():
                return f"the result is off by {np.nanmax(np.abs(came - wanted), initial=0.0):.3g}"
        return ""

    def cost(self, problem: Problem, code: str) -> Cost | None:
        """What it does on the counted shape; None where it does not come to an end."""
        run = self.run(problem, code, problem.task.args(problem.counted, seed=1))
        if run["kind"]:
            return None
        return Cost(run["operations"], run["loads"], run["stores"], run["misses"])


@cache
def _cases(name: str) -> tuple[tuple[Any, ...], ...]:
    task = PROBLEMS[name].task
    last = task.settings - 1
    return tuple(task.args(shape, seed=7 + i, setting=last) for i, shape in enumerate(task.shapes))


def cases(problem: Problem) -> tuple[tuple[Any, ...], ...]:
    """The tiny inputs of the verifiers: every shape of the task, parameters drawn."""
    return _cases(problem.task.name)


# Evolution --------------------------------------------------------------------------------------

Stage = Literal["translated", "kept", "unread", "compile", "memory", "numerical", "judge", "again"]
HEADER = "import math\nimport numpy as np\nfrom numba import njit, prange\n\n"
SMALLER = 0.5  # how much likelier a kernel becomes a parent than the next worse one


@dataclass(frozen=True)
class Node:
    """One proposal: what came of it, from whom, from which parent. `cost` in model cycles where it was
    counted.

    stage: `translated` (a first kernel), `kept` (right, and a parent from now on), or what stopped it: no
    code in the answer, one of the verifiers, the judge, the same as an earlier one.
    """

    number: int
    generation: int
    parent: int | None
    stage: Stage
    proposer: str
    sentence: str = ""
    cost: float | None = None
    code: str = field(default="", repr=False)

    @property
    def alive(self) -> bool:
        return self.stage in ("translated", "kept")


@dataclass
class Lineage:
    """All proposals of one search, in order."""

    problem: str
    nodes: list[Node] = field(default_factory=list)

    @property
    def alive(self) -> list[Node]:
        """What may become a parent, the cheapest first."""
        return sorted((n for n in self.nodes if n.alive), key=lambda n: (n.cost or 0.0, n.number))

    @property
    def first(self) -> Node:
        """The translation that the search began with."""
        return next(n for n in self.nodes if n.stage == "translated")

    @property
    def best(self) -> Node:
        """The cheapest kernel so far."""
        return self.alive[0]

    @property
    def gain(self) -> float:
        """Cycles of the first kernel over those of the best."""
        return (self.first.cost or 0.0) / (self.best.cost or 1.0)

    def path(self, node: Node | None = None) -> list[Node]:
        """From the first kernel to this one (default: the best)."""
        found = [node or self.best]
        while (parent := found[-1].parent) is not None:
            found.append(self.nodes[parent])
        return found[::-1]

    def stages(self) -> dict[str, int]:
        """How many proposals ended where."""
        return dict(Counter(node.stage for node in self.nodes))


@dataclass(frozen=True)
class Search:
    """How a search goes on. judged: whoever is kept has to be right by the judge; without, by nobody.

    gated: whether the verifiers come first. climbing: parents are drawn from the best so far; without, it is
    always the first kernel (random search).
    """

    generations: int = 5
    proposals: int = 8
    judged: bool = True
    gated: bool = True
    climbing: bool = True
    judge: Judge = WHOLE
    seed: int = 0


def evolve(
    problem: Problem,
    proposer: Proposer,
    search: Search = Search(),
    *,
    translator: Proposer | None = None,
    file: Path | str | None = None,
    gate: Gate | None = None,
) -> Lineage:
    """Translate → verify → evolve: the whole loop, for one problem.

    A first kernel comes from the `translator` (default: a table of templates), asked until one is right by
    the whole judge, whatever judge the search has. Then in each generation one parent is drawn, and
    `proposals` candidates follow in one conversation, each asked to differ from the last. Every candidate
    passes the gate and the search's judge before it can be a parent itself.
    file: JSONL of all nodes. If it exists already, the search goes on from there, exactly as it would have.
    gate: one that is open already, if several searches share it.
    """
    with ExitStack() as opened:
        gate = gate or opened.enter_context(Gate())
        whole = opened.enter_context(Court())
        court = whole if search.judge == WHOLE else opened.enter_context(Court(search.judge))
        run = _Run(problem, search, gate, (whole, court), Path(file) if file else None)
        run.translate(translator or Templates(FIRST, search.seed))
        for generation in range(1, search.generations + 1):
            run.generation(generation, proposer)
    return run.lineage


class _Run:
    """One search under way."""

    def __init__(
        self, problem: Problem, search: Search, gate: Gate, courts: "tuple[Court, Court]", file: Path | None
    ) -> None:
        self.problem, self.search, self.gate, self.file = problem, search, gate, file
        self.whole, self.court = courts
        self.lineage = Lineage(problem.task.name)
        self.kept = _read(file) if file and file.exists() else []
        self.history: list[Message] = []

    def translate(self, translator: Proposer, tries: int = 8) -> None:
        """Asks for first kernels until one is right. Every search begins with a right kernel."""
        self.history, feedback = [], ""
        for number in range(1, tries + 1):
            prompt = self.problem.prompt(feedback=feedback, number=number, of=tries)
            node = self.step(translator, prompt, 0, None)
            if node.alive:
                return
            feedback = node.sentence
        raise WorkbenchError(f"no right kernel came in {tries} tries; the last: {feedback}")

    def generation(self, generation: int, proposer: Proposer) -> None:
        """One parent, one conversation, `proposals` candidates."""
        parent = self.parent(generation)
        cost = self.gate.cost(self.problem, parent.code)
        self.history, feedback = [], ""
        for number in range(1, self.search.proposals + 1):
            prompt = self.problem.prompt(
                parent=parent.code.strip("\n"),
                counters=cost.text() if cost else "",
                feedback=feedback,
                number=number,
                of=self.search.proposals,
            )
            node = self.step(proposer, prompt, generation, parent.number)
            feedback = node.sentence

    def parent(self, generation: int) -> Node:
        """The cheapest kernel with probability about a half, the next with a quarter, and so on."""
        if not self.search.climbing:
            return self.lineage.first
        alive = self.lineage.alive
        weights = SMALLER ** np.arange(len(alive))
        rng = np.random.default_rng([self.search.seed, generation])
        return alive[rng.choice(len(alive), p=weights / weights.sum())]

    def step(self, proposer: Proposer, prompt: Prompt, generation: int, parent: int | None) -> Node:
        """One proposal: asked for, verified, judged, written down."""
        number = len(self.lineage.nodes)
        text = prompt.text()
        if number < len(self.kept):
            node = self.kept[number]
        else:
            answer = code_of(proposer.propose(text, self.history), "kernel")
            stage, sentence, cost = self.fate(answer.code, answer.why, parent)
            node = Node(number, generation, parent, stage, proposer.name, sentence, cost, answer.code)
            if self.file:
                with self.file.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(asdict(node), ensure_ascii=False) + "\n")
        self.history += [Message("user", text), Message("assistant", f"```python\n{node.code}```")]
        self.lineage.nodes.append(node)
        return node

    def fate(self, code: str, why: str, parent: int | None) -> tuple[Stage, str, float | None]:
        """Where a candidate ends, why, and what it costs."""
        first, search = parent is None, self.search
        if not code:
            return "unread", why, None
        if any(node.code == code for node in self.lineage.nodes):
            return "again", "this kernel was proposed before", None
        if first or (search.judged and search.gated):
            for opinion in self.gate.opinions(self.problem, code):
                if not opinion.accepts:
                    return opinion.verifier, opinion.sentence, None  # type: ignore[return-value]
        cost = self.gate.cost(self.problem, code)
        if cost is None:
            return "memory", "it does not come to an end", None
        if first or search.judged:
            right, sentence = (self.whole if first else self.court)(self.problem, code)
            if not right:
                return "judge", sentence, cost.cycles
        return ("translated" if first else "kept"), "", cost.cycles


def _read(file: Path) -> list[Node]:
    """The nodes of an earlier run; a last line that was cut off does not count."""
    nodes = []
    for line in file.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        nodes.append(Node(**json.loads(line)))
    file.write_text(
        "".join(json.dumps(asdict(n), ensure_ascii=False) + "\n" for n in nodes), encoding="utf-8"
    )
    return nodes


class Court:
    """A judge for kernels of the search: right or not, and why not. Searches meet the same kernels again, so
    what was said is kept."""

    _said: ClassVar[dict[tuple[str, str, frozenset[str]], tuple[bool, str]]] = {}

    def __init__(self, judge: Judge = WHOLE) -> None:
        self.judge = judge
        self._opened = ExitStack()
        self._ask: Callable[[Task, Source], Verdict] | None = None

    def __enter__(self) -> "Court":
        return self

    def __exit__(self, *what: object) -> None:
        self._opened.close()
        self._ask = None

    def __call__(self, problem: Problem, code: str) -> tuple[bool, str]:
        key = (problem.task.name, code, self.judge.names)
        if key not in self._said:
            if self._ask is None:
                self._ask = self._opened.enter_context(self.judge.open())
            verdict = self._ask(problem.task, Source(HEADER + code))
            self._said[key] = (verdict.accepted, "" if verdict.accepted else verdict.sentence)
        return self._said[key]


def family(found: Lineage, right: Callable[[Node], bool] = lambda node: True) -> "list[Descendant]":
    """The search as `workbench.views.lineage` draws it. right: whether a node that was kept is right."""
    from workbench.views.lineages import Descendant

    fates = ["refused" if not n.alive else "kept" if right(n) else "kept but wrong" for n in found.nodes]
    return [
        Descendant(n.generation, n.parent, n.cost if n.alive else None, fate, n.sentence or n.stage)
        for n, fate in zip(found.nodes, fates, strict=True)
    ]


def rewriter(seed: int, depths: Sequence[int] = (1, 2, 3, 4)) -> Proposer:
    """What proposes where no language model is set: rewrites and blind mutations, half and half."""
    return Ensemble([Schedule(seed, depths), Mutations(seed)], seed=seed)


TEMPERATURES = (0.5, 0.75, 1.0)


def author(seed: int) -> Proposer:
    """The reader's language model at three temperatures, where one is set; otherwise the rewriter."""
    if not LLM.available():
        return rewriter(seed)
    return Ensemble([LLM(temperature=temperature) for temperature in TEMPERATURES], seed=seed)


def against_numpy(problem: Problem, code: str) -> Verdict:
    """The last step of the loop: seconds of a kernel under numba, in turns with numpy, above the machine's
    floor. For the layer norm and the RMS norm, which have a large shape to take the time at."""
    return replace(WHOLE, timed=True)(problem.task, compiled(code))


def compiled(code: str, *, threads: bool = False) -> Source:
    """A kernel as it is timed: under numba."""
    decorator = "@njit(parallel=True)\n" if threads else "@njit\n"
    return Source(HEADER + decorator + code.lstrip("\n"))


# The claims -------------------------------------------------------------------------------------

QUICK = ("softmax", "linear, minus 2, times 1.5, ReLU")


def rebuilt(budget: str) -> tuple[Question, ...]:
    return by_budget(budget, smoke=tuple(map(question, QUICK)), lesson=QUESTIONS)


def same_verdicts(rule: Callable[[Question], tuple[str, ...]], seed: int, budget: str) -> float:
    """Share of the rebuilt tasks whose verdict, all four rules, is the stored one."""
    asked = rebuilt(budget)
    return sum(rule(one) == one.stored for one in asked) / len(asked)


def sensible_verdicts(rule: Callable[[Question], tuple[str, ...]], seed: int, budget: str) -> float:
    """Share of three that are judged sensibly: softmax and L1 norm acquitted by all rules, the constant task
    convicted by all."""
    wanted = {**dict.fromkeys(HONEST, ()), **dict.fromkeys(EMPTY, RULES)}
    asked = by_budget(budget, smoke=["softmax", *EMPTY], lesson=list(wanted))
    return sum(rule(question(name)) == wanted[name] for name in asked) / len(asked)


@cache
def entries(kind: Literal["cheat", "honest"], budget: str) -> tuple[Entry, ...]:
    """Cheats that can be seen without a clock, or honest kernels; few of them in a smoke run."""
    found = corpus(per_kernel=0)
    chosen = found.honest if kind == "honest" else tuple(e for e in found.cheats if not e.timed)
    return by_budget(budget, smoke=chosen[:2], lesson=chosen)


@cache
def accepted(judge: Any, kind: Literal["cheat", "honest"], budget: str) -> int:
    """How many of them a judge accepts."""
    return sum(verdict.accepted for verdict in judge_all(judge, entries(kind, budget)).values())


def cheats_accepted(judge: Any, seed: int, budget: str) -> Measured:
    return Measured(accepted(judge, "cheat", budget), baseline=len(entries("cheat", budget)))


def honest_accepted(seed: int, budget: str) -> Measured:
    return Measured(accepted(WHOLE, "honest", budget), baseline=len(entries("honest", budget)))


class ToTheLastBit(Task):
    """A task whose right answers have every bit of the reference's own."""

    def expected(self, args: Sequence[Any], upstream: np.ndarray | None = None) -> Expected:
        known = super().expected(args, upstream)
        values = known.values if upstream is not None else parts(self.reference(*args))
        return replace(known, values=values, bounds=tuple(np.zeros(value.shape) for value in values))


def equal_bits_accepted(seed: int, budget: str) -> Measured:
    """Control: the same judge, for whom nearly right is wrong."""
    asked = entries("honest", budget)
    strict = [replace(e, task=ToTheLastBit(**{**vars(e.task), "kept": {}})) for e in asked]
    right = judge_all(replace(WHOLE, tolerance=0.0), strict)
    return Measured(sum(verdict.accepted for verdict in right.values()), baseline=len(asked))


SLIPS = tuple(operator for operator in OPERATORS if operator is not parallel)


@cache
def slips(seed: int, budget: str) -> dict[bool, list[tuple[Problem, str]]]:
    """Random mutants and rewrites of right kernels, by what the judge says of them. Races are left out, as a
    judge that runs plain Python cannot see them."""
    each = by_budget(budget, smoke=2, lesson=4)
    names = by_budget(budget, smoke=["rms-norm"], lesson=list(PROBLEMS))
    found: dict[bool, list[tuple[Problem, str]]] = {True: [], False: []}
    with Court() as court:
        for i, name in enumerate(names):
            problem = PROBLEMS[name]
            every = mutants(first_kernel(problem), SLIPS)
            for number in np.random.default_rng([seed, i]).permutation(len(every))[:each]:
                found[court(problem, every[number].code)[0]].append((problem, every[number].code))
            for code in chain(problem, seed, each // 2):
                found[court(problem, code)[0]].append((problem, code))
    return found


def first_kernel(problem: Problem) -> str:
    """The right one among the first kernels of the table: every hole filled with its first choice."""
    key = max((key for key in FIRST if key in problem.words), key=len)
    return FIRST[key][0].filled()[0]


def chain(problem: Problem, seed: int, length: int) -> list[str]:
    """Rewrites of the first kernel, each of the last one: most of them are right."""
    found, code, proposer = [], first_kernel(problem), Schedule(seed)
    for _ in range(length):
        answer = code_of(proposer.propose(problem.prompt(parent=code.strip("\n")).text()), "kernel").code
        if answer:
            found.append(answer)
            code = answer
    return found


def rejected(right: bool, verifiers: Sequence[str], exact: bool, seed: int, budget: str) -> float:
    """Share of right, or of wrong, kernels that a gate turns away."""
    asked = slips(seed, budget)[right]
    with Gate(verifiers, exact=exact) as gate:
        turned = [not gate.accepts(problem, code) for problem, code in asked]
    return float(np.mean(turned)) if turned else 0.0


SEARCHED = ("layer-norm", "rms-norm")


@cache
def searched(kind: Literal["evolved", "random", "unjudged"], name: str, seed: int, budget: str) -> Lineage:
    """One search with the same author and equally many proposals, whatever its kind. Random search always
    changes the first kernel. A rewriter cannot drift, which is what takes a judge longest to see."""
    rounds, each = by_budget(budget, smoke=(2, 2), lesson=(5, 8))
    search = Search(rounds, each, judged=kind != "unjudged", judge=WHOLE.without("drift"), seed=seed)
    if kind == "random":
        search = replace(search, generations=1, proposals=rounds * each, climbing=False)
    return evolve(PROBLEMS[name], rewriter(seed), search)


def over_random(kind: Literal["evolved", "unjudged"], seed: int, budget: str) -> Measured:
    """Cycles of the best kernel of random search over those of this search, geometric mean over the problems.
    A kernel that is not right is worth nothing."""
    names = by_budget(budget, smoke=SEARCHED[:1], lesson=SEARCHED)
    ours, theirs = [], []
    with Court() as court:
        for name in names:
            found = searched(kind, name, seed, budget)
            right = court(PROBLEMS[name], found.best.code)[0]
            ours.append(found.gain if right else 0.0)
            theirs.append(searched("random", name, seed, budget).gain)
    mean = float(np.prod(np.divide(ours, theirs)) ** (1 / len(names)))
    return Measured(mean, system=float(np.mean(ours)), baseline=float(np.mean(theirs)))


def ends_wrong(kind: Literal["evolved", "unjudged"], seed: int, budget: str) -> float:
    """Share of searches whose cheapest kernel does not compute what was asked."""
    names = by_budget(budget, smoke=SEARCHED[:1], lesson=SEARCHED)
    with Court() as court:
        bests = [(PROBLEMS[name], searched(kind, name, seed, budget).best.code) for name in names]
        return float(np.mean([not court(*best)[0] for best in bests]))


LLM_SPEEDUPS = (
    "over eager and over compiled torch on an H100: layer norm 165.7 and 2.05, RMS norm 3.9 and 2.3, "
    "convolution with pooling 2.8 and 4.3, cross-entropy 1.9 and 63, linear with ReLU 2.5 and 4.7, a "
    "feed-forward block 1.01 and 1.03, a residual block 2.6 and 2.6; backward passes 0.96 to 1.23 over "
    "eager"
)

SYSTEM = System(
    key="robust-kbench",
    claims=[
        Claim(
            "stored-verdicts",
            says="The four numeric filters, run on twelve tasks of KernelBench that were rebuilt in numpy, "
            "give the verdicts that the source has stored. The control has our thresholds, in units of the "
            "output's own size.",
            paper="stored for 200 tasks, counted: range 9, std 19, axes 26, input 22, any (with a language "
            "model's two) 89",
            bar=AtLeast(1.0),
            unit="of the tasks",
            measure=partial(same_verdicts, shipped),
            control=partial(same_verdicts, scale_free),
            provenance="counted",
            seeds=1,
        ),
        Claim(
            "scale-free-filters",
            says="With thresholds in units of the output's own size, softmax and L1 norm are acquitted, "
            "and a task that is always zero is still convicted by every rule. The control is the source's "
            "rule.",
            paper="ours: the source convicts all three",
            bar=AtLeast(1.0),
            unit="of three tasks",
            measure=partial(sensible_verdicts, scale_free),
            control=partial(sensible_verdicts, shipped),
            provenance="counted",
            seeds=1,
        ),
        Claim(
            "weak-judge-fooled",
            says="The judge of KernelBench, with one shape, random inputs and a tolerance of 1e-2, accepts "
            "at least eight cheats. The control is the whole judge.",
            paper="KernelBench's protocol can be exploited (abstract); the number eight is ours",
            bar=AtLeast(8),
            unit="cheats accepted",
            against="cheats",
            measure=partial(cheats_accepted, KERNELBENCH),
            control=partial(cheats_accepted, WHOLE),
            provenance="counted",
            seeds=1,
        ),
        Claim(
            "whole-judge-not-fooled",
            says="The whole judge accepts none of the same cheats. The control is the judge of KernelBench.",
            paper="ours: the lesson on judges tries the source's own as well",
            bar=AtMost(0),
            unit="cheats accepted",
            against="cheats",
            measure=partial(cheats_accepted, WHOLE),
            control=partial(cheats_accepted, KERNELBENCH),
            provenance="counted",
            seeds=1,
        ),
        Claim(
            "honest-accepted",
            says="The whole judge accepts at least twenty honest kernels: sums in another order, one pass "
            "instead of two, bfloat16 at its own tolerance. The control asks for equality to the last bit.",
            paper="ours",
            bar=AtLeast(20),
            unit="kernels accepted",
            against="honest kernels",
            measure=honest_accepted,
            control=equal_bits_accepted,
            provenance="counted",
            seeds=1,
        ),
        Claim(
            "gate-rejects",
            says="Of random mutants that are wrong by the judge, the three verifiers turn away at least 60 "
            "percent before anything is judged or timed. The control asks the first verifier alone.",
            paper="verifiers classify incorrect kernels accurately (abstract); the bar is ours",
            bar=AtLeast(0.6),
            unit="of the wrong kernels",
            measure=partial(rejected, False, Gate.ALL, False),
            control=partial(rejected, False, ("compile",), False),
            provenance="counted",
        ),
        Claim(
            "gate-false-alarms",
            says="Of mutants and rewrites that are right by the judge, the verifiers turn away at most 2 "
            "percent. The control asks for equality to the last bit.",
            paper="ours",
            bar=AtMost(0.02),
            unit="of the right kernels",
            measure=partial(rejected, True, Gate.ALL, False),
            control=partial(rejected, True, Gate.ALL, True),
            provenance="counted",
        ),
        Claim(
            "evolution-over-random",
            says="With rewrites and mutations for an author, evolution ends with kernels at least as cheap "
            "as random search with the same number of proposals, in cycles of a simple machine. The "
            "control rewards low cost and asks no judge; a wrong kernel is worth nothing.",
            paper="evolution improves kernels over generations; the comparison is ours",
            bar=AtLeast(1.0),
            unit="times",
            against="times cheaper than the first kernel, by random search",
            measure=partial(over_random, "evolved"),
            control=partial(over_random, "unjudged"),
            provenance="counted",
        ),
        Claim(
            "unjudged-ends-wrong",
            says="A search that is rewarded for low cost alone ends with a kernel that does not compute "
            "what was asked, at least four times in five. Two tasks are searched for each seed. The control "
            "has the judge.",
            paper="ours",
            bar=AtLeast(0.8),
            unit="of the searches",
            measure=partial(ends_wrong, "unjudged"),
            control=partial(ends_wrong, "evolved"),
            provenance="counted",
        ),
        Claim(
            "verifier-accuracy",
            says="Language models that read a kernel tell right from wrong before it runs: compilation, "
            "memory, numbers. Needs a language model.",
            paper="the verifier workflow accurately classifies incorrect kernels (abstract)",
            bar=AtLeast(0.6),
            unit="of the wrong kernels",
            needs="LLM",
        ),
        Claim(
            "found-speedups",
            says="Kernels that language models write and improve are faster than torch. Needs a language "
            "model, and the hardware too.",
            paper=LLM_SPEEDUPS,
            bar=AtLeast(1.0),
            unit="times",
            needs="LLM",
        ),
    ],
    deviations=[
        "Kernels are Python that numba compiles, on a CPU, instead of CUDA; tasks are small enough for plain "
        "Python.",
        "Where no language model is set, rewrites of a schedule and blind mutations propose, and a table of "
        "templates translates. They pass through the same prompts and the same parser as a model's answers.",
        "The verifiers are programs: a check of the form, a run on arrays that watch every access, and a "
        "float64 twin. The source asks language models. The check of the form does not compile; that "
        "happens when a kernel is timed.",
        "Candidates are compared by the cycles of a simple machine, counted on one small shape, so that a "
        "search can be repeated to the digit. The source takes the time on a graphics card.",
        "Twelve of the source's 200 filtered tasks are rebuilt, those whose inputs are small. Random "
        "numbers are numpy's, not torch's. The filter on parameters keeps the inputs, which the source "
        "draws anew.",
        "The two filters that a language model decides, redundancy and inefficiency, are counted from the "
        "stored verdicts, not repeated.",
        "The author of both searches was adjusted after first looks: half of the proposals are mutations, "
        "and rewrites go one to four steps deep, for evolution and for random search alike.",
        "A backward pass is a task of its own, with all its gradients as results.",
        "Paper scale: graphics cards, several language models, and their price.",
    ],
)
