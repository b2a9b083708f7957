"""Evaluation of OpenAI Codex for HPC Parallel Programming Models Kernel Generation.

William F. Godoy, Pedro Valero-Lara, Keita Teranishi, Prasanna Balaprakash, Jeffrey S. Vetter (Oak Ridge
National Laboratory), 2023; https://arxiv.org/abs/2306.15121. Nothing is copied from it.

How well does a code assistant know a programming model? Ask it for six classic kernels, look at its first ten
suggestions, and give each prompt one of five marks.

    prompt       `<kernel> <model> [<keyword>]`                          `workbench.proposers.Question`
    author       text in, text out                                       a language model, or `Suggester`
    correct      right values, and the model that was asked for          `Scorer`
    mark         0, 0.25, 0.5, 0.75 or 1                                 `mark`

The source's authors read every suggestion themselves. Here nobody reads: values are judged by the book's
judge in a process of their own, and the programming model is told from the syntax tree and from what was
compiled, launched or called in that process, never from words.

Deviations: listed in `SYSTEM`.
"""

import ast
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import comb
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from workbench.budget import by_budget
from workbench.claims import AtLeast, AtMost, Claim, Measured, System
from workbench.errors import WorkbenchError
from workbench.judge import WHOLE, Draw, Source, Task, drawn
from workbench.judge.probes import probes
from workbench.judge.session import Session
from workbench.judge.source import imported
from workbench.judge.worker import Gone
from workbench.proposers import code_of
from workbench.proposers.programming_models import KERNELS, MODELS, function_of, right_text
from workbench.proposers.suggestions import MOST, WORDS, Question, Suggester, Suggestion, in_words

# The mark ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """What was found out about one suggestion.

    model: the programming model that its code uses, "" where there is no code; several are joined by " + ".
    right: whether its values are right. why: the reason if not.
    """

    model: str
    right: bool
    why: str = ""

    def correct(self, asked: str) -> bool:
        """Right values, in the model that was asked for."""
        return self.right and self.model == asked


def mark(asked: str, findings: Sequence[Finding]) -> float:
    """The source's mark for the suggestions that came for one prompt. Text without code is no suggestion.

    0     not one is correct                     0.75  all are correct
    0.25  one is, but other models came too      1     there is one, and it is correct
    0.5   one is, others are wrong
    """
    code = [finding for finding in findings if finding.model]
    correct = [finding.correct(asked) for finding in code]
    if not any(correct):
        return 0.0
    if any(finding.model != asked for finding in code):
        return 0.25
    if not all(correct):
        return 0.5
    return 1.0 if len(code) == 1 else 0.75


def pass_at(k: int, n: int, c: int) -> float:
    """Chance that one of k suggestions, drawn from n of which c are correct, is correct. Unbiased."""
    if not 1 <= k <= n or not 0 <= c <= n:
        raise WorkbenchError(f"1 <= k <= n and 0 <= c <= n are expected, but k={k}, n={n}, c={c} came")
    return 1.0 - comb(n - c, k) / comb(n, k)


# The kernels ------------------------------------------------------------------------------------


def axpy(alpha: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """alpha x + y; x and y are [n]."""
    return alpha * x + y


def gemv(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A matrix [m, n] times a vector [n]."""
    return np.asarray(a @ x)


def gemm(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A matrix [m, k] times a matrix [k, n]."""
    return np.asarray(a @ b)


def spmv(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A sparse matrix times a vector. Row i holds `data[indptr[i]:indptr[i + 1]]` in the columns
    `indices[...]` of the same range; that may be nothing at all."""
    out = np.zeros(len(indptr) - 1, data.dtype)
    for i in range(len(out)):
        row = slice(indptr[i], indptr[i + 1])
        out[i] = data[row] @ x[indices[row]]
    return out


def jacobi(u: np.ndarray) -> np.ndarray:
    """One sweep over a grid [n, m]: each inner point becomes the mean of its four old neighbours."""
    new = u.copy()
    new[1:-1, 1:-1] = (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]) / 4
    return new


def cg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The x of a x = b; a [n, n] is symmetric and positive definite. Solved directly, to compare with."""
    return np.linalg.solve(a, b)


def conjugate_gradients(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-12) -> tuple[np.ndarray, int]:
    """The x of a x = b step by step, and how many steps it took until the residual was `tolerance` of b."""
    x, r = np.zeros_like(b), b.copy()
    p, steps = r.copy(), 0
    while np.linalg.norm(r) > tolerance * np.linalg.norm(b):
        step = (r @ r) / (p @ a @ p)
        x = x + step * p
        smaller = r - step * (a @ p)
        p = smaller + (smaller @ smaller) / (r @ r) * p
        r, steps = smaller, steps + 1
    return x, steps


def _sparse(draw: Draw, m: int, n: int) -> tuple[Any, ...]:
    """A fifth of the places is filled, none in the first and the last row where there are three or more."""
    free = np.arange(m * n) if m < 3 else np.arange(n, (m - 1) * n)
    places = np.sort(draw.rng.permutation(free)[: len(free) // 5 + 1])
    indptr = np.searchsorted(places, n * np.arange(m + 1)).astype(np.int64)
    return draw(len(places)), places % n, indptr, draw(n)


def _definite(draw: Draw, n: int) -> tuple[Any, ...]:
    """The path of n points with a weight on each: symmetric, positive definite, well conditioned."""
    a = 2.5 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    return a + np.diag(draw.rng.random(n)), draw(n)


PROFILES = ("mixed", "zeros", "huge", "tiny")
TASKS: dict[str, Task] = {
    "AXPY": drawn(
        "axpy",
        axpy,
        lambda draw, n: (float(draw.rng.uniform(2, 3)), draw(n), draw(n)),
        ({"n": 14}, {"n": 1}, {"n": 17}),
        profiles=PROFILES,
        dtype="float64",
        sentence="axpy(alpha, x, y): alpha x + y for vectors x and y of n numbers",
    ),
    "GEMV": drawn(
        "gemv",
        gemv,
        lambda draw, m, n: (draw(m, n), draw(n)),
        ({"m": 11, "n": 6}, {"m": 1, "n": 1}, {"m": 3, "n": 13}),
        profiles=PROFILES,
        dtype="float64",
        sentence="gemv(a, x): the product of a matrix a [m, n] and a vector x [n]",
    ),
    "GEMM": drawn(
        "gemm",
        gemm,
        lambda draw, m, k, n: (draw(m, k), draw(k, n)),
        ({"m": 5, "k": 4, "n": 3}, {"m": 1, "k": 1, "n": 1}, {"m": 3, "k": 7, "n": 5}),
        profiles=PROFILES,
        dtype="float64",
        sentence="gemm(a, b): the product of matrices a [m, k] and b [k, n]",
    ),
    "SpMV": drawn(
        "spmv",
        spmv,
        _sparse,
        ({"m": 11, "n": 7}, {"m": 1, "n": 1}, {"m": 5, "n": 13}),
        profiles=PROFILES,
        dtype="float64",
        overlap=(),
        sentence="spmv(data, indices, indptr, x): the product of a matrix in CSR form and a vector x [n]",
    ),
    "Jacobi": drawn(
        "jacobi",
        jacobi,
        lambda draw, n, m: (draw(n, m),),
        ({"n": 6, "m": 5}, {"n": 1, "m": 1}, {"n": 2, "m": 7}, {"n": 3, "m": 5}),
        profiles=PROFILES,
        dtype="float64",
        sentence="jacobi(u): a grid u [n, m] after one sweep: inner points become means of four neighbours",
    ),
    "CG": drawn(
        "cg",
        cg,
        _definite,
        ({"n": 7}, {"n": 1}, {"n": 10}),
        profiles=PROFILES,
        dtype="float64",
        slack=2.0**16,  # an iteration ends at a residual, not at the last digit
        sentence="cg(a, b): the x of a x = b by conjugate gradients, to 1e-12; a [n, n], b [n]",
    ),
}
JUDGE = replace(WHOLE.without("layouts", "drift"), imports=WHOLE.imports | {"scipy", "torch"}, tests=2)


def prompt(question: Question) -> str:
    """The prompt as it is sent: the source's line, and one line that says what the arguments are."""
    return f"# {question.prompt}\n# {TASKS[question.kernel].sentence}"


# Which model? -----------------------------------------------------------------------------------

# Stands below a suggestion in its process. Called as the kernel is called, it is the kernel; called with the
# names of functions before the arguments, it tells what one call compiled, launched or called.
ARTEFACT = """


def artefact(*args):
    if not (args and isinstance(args[0], str)):
        return {function}(*args)
    import sys
    from contextlib import nullcontext, suppress

    import numpy

    names, calls, operations = args[0].split(","), [], []

    def watch(frame, event, _):
        if event == "call":
            calls.append((frame.f_code.co_filename.replace("\\\\", "/"), frame.f_code.co_name))

    mode = nullcontext()
    if sys.modules.get("torch"):
        from torch.utils._python_dispatch import TorchDispatchMode

        class Mode(TorchDispatchMode):
            def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
                operations.append(operation._schema.name.split("::")[1])
                return operation(*args, **(kwargs or {{}}))

        mode = Mode()
    before = sys.getprofile()
    with mode, suppress(Exception):
        sys.setprofile(watch)
        try:
            {function}(*args[1:])
        finally:
            sys.setprofile(before)
    compiled = [
        len(getattr(compiled.metadata["parfor_diagnostics"], "initial_parfors", ()))
        for name in names
        for compiled in getattr(globals().get(name), "overloads", {{}}).values()
        if "parfor_diagnostics" in (getattr(compiled, "metadata", None) or {{}})
    ]
    launched = [n for f, n in calls if f.endswith("numba/cuda/simulator/kernel.py") and n == "__call__"]
    sparse = [n for f, n in calls if "/scipy/sparse/" in f and n in {sparse}]
    torch = [n for n in operations if n not in {moving}]
    return numpy.array([len(compiled), sum(compiled), len(launched), len(sparse), len(torch)])
"""
SPARSE = {"_matmul_dispatch", "_add_sparse", "_sub_sparse", "_add_dense", "_mul_scalar", "multiply", "cg"}
MOVING = {"lift_fresh", "detach", "clone", "zeros", "empty", "empty_like", "zeros_like", "slice", "copy_"}
MOVING |= {"view", "t", "numpy_T", "permute", "_to_copy", "arange", "_local_scalar_dense"}


def names_used(tree: ast.Module, function: str) -> list[str]:
    """The functions of a text that a call of `function` can reach, itself first."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    waiting, found = [function], list[str]()
    while waiting:
        name = waiting.pop()
        if name in functions and name not in found:
            found.append(name)
            waiting += [node.id for node in ast.walk(functions[name]) if isinstance(node, ast.Name)]
    return found


def element_loops(tree: ast.Module, names: Sequence[str]) -> bool:
    """Whether Python itself walks over single elements: a subscript that holds a loop's variable."""
    for node in (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in names):
        loops = [loop for loop in ast.walk(node) if isinstance(loop, ast.For)]
        counted = {name.id for loop in loops for name in ast.walk(loop.target) if isinstance(name, ast.Name)}
        for place in ast.walk(node):
            if isinstance(place, ast.Subscript):
                used = {name.id for name in ast.walk(place.slice) if isinstance(name, ast.Name)}
                if used & counted:
                    return True
    return False


def model_of(tree: ast.Module, function: str, seen: np.ndarray) -> str:
    """The programming model, from the syntax tree and from what one call did (see `ARTEFACT`)."""
    compiled, parallel, launched, sparse, torch = (int(number) for number in seen)
    found = ["numba parallel"] if parallel else ["numba serial"] if compiled else []
    found += ["cuda"] * bool(launched) + ["scipy.sparse"] * bool(sparse) + ["torch"] * bool(torch)
    if not found:
        found = ["python" if element_loops(tree, names_used(tree, function)) else "numpy"]
    return " + ".join(found)


# The scorer -------------------------------------------------------------------------------------


class Scorer:
    """Finds out about suggestions what the source's authors found out by reading.

    Equal code is judged once: what differs in comments alone cannot differ in what it does.
    """

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], Finding] = {}

    def findings(self, suggestions: Sequence[tuple[str, str]]) -> list[Finding]:
        """One for each (kernel, text of the answer)."""
        found: list[Finding | None] = []
        with ExitStack() as stack:
            session: Session | None = None
            for kernel, text in suggestions:
                function = function_of(kernel)
                answer = code_of(text, function)
                if not answer:
                    found.append(Finding("", False, answer.why))
                    continue
                key = (kernel, ast.dump(ast.parse(answer.code)))
                if key not in self.known:
                    if session is None:
                        stack.enter_context(_simulated_cuda())
                        session = stack.enter_context(
                            Session(timeout=JUDGE.timeout, memory_mib=1024, tolerance=JUDGE.tolerance)
                        )
                    self.known[key] = _found(session, kernel, answer.code)
                found.append(self.known[key])
        return [each for each in found if each is not None]

    def of(self, questions: Sequence[tuple[Question, Sequence[Suggestion]]]) -> list[list[Finding]]:
        """The findings of every prompt."""
        flat = [(question.kernel, each.text) for question, came in questions for each in came]
        found = iter(self.findings(flat))
        return [[next(found) for _ in came] for _, came in questions]


SCORER = Scorer()


def _found(session: Session, kernel: str, code: str) -> Finding:
    task, function, tree = TASKS[kernel], function_of(kernel), ast.parse(code)
    if others := sorted(imported(Source(code, function)) - JUDGE.imports):
        return Finding("other", False, f"it imports {', '.join(others)}")
    below = ARTEFACT.format(function=function, sparse=sorted(SPARSE), moving=sorted(MOVING))
    unloaded = session.load(task, Source(code + below, "artefact"))
    if unloaded is not None:
        return Finding("other", False, unloaded.sentence)
    held = (probe for probe in probes(task, JUDGE.seed, JUDGE.tests) if probe.needs <= JUDGE.names)
    faults = (fault for probe in held for fault in session.ask(probe) if fault.needs <= JUDGE.names)
    wrong = next(faults, None)
    names = ",".join(names_used(tree, function))
    try:
        told = session.time([(names, *task.args())], 1, 0, 1 << 10, kept_clock=False)
        seen = told["value"].data
    except (Gone, KeyError):
        return Finding("other", False, "one call cannot be watched: its process ended")
    return Finding(model_of(tree, function, seen), wrong is None, wrong.sentence if wrong else "")


@contextmanager
def _simulated_cuda() -> Iterator[None]:
    """Processes that start inside have numba's simulator in place of a graphics card."""
    before = os.environ.get("NUMBA_ENABLE_CUDASIM")
    os.environ["NUMBA_ENABLE_CUDASIM"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["NUMBA_ENABLE_CUDASIM"]
        else:
            os.environ["NUMBA_ENABLE_CUDASIM"] = before


# Surveys ----------------------------------------------------------------------------------------

Survey = list[tuple[Question, list[Suggestion]]]
FEW = ("numpy", "numba serial", "scipy.sparse")


def survey(
    author: Suggester,
    kernels: Sequence[str] = KERNELS,
    models: Sequence[str] = MODELS,
    hints: Sequence[bool] = (False, True),
) -> Survey:
    """What an author suggests for every prompt."""
    asked = [Question(kernel, model, hint) for kernel in kernels for model in models for hint in hints]
    return [(question, author.suggestions(question)) for question in asked]


def of_budget(seed: int, budget: str) -> Survey:
    """72 prompts, more than 600 suggestions; in smoke six prompts."""
    kernels = by_budget(budget, smoke=("AXPY",), lesson=KERNELS)
    models = by_budget(budget, smoke=FEW, lesson=MODELS)
    return survey(Suggester(seed, models=models), kernels, models)


def in_cells(surveyed: Survey, findings: Sequence[Sequence[Finding]]) -> dict[str, dict[str, float]]:
    """Kernel -> model -> mark, the mean of the prompts with and without keyword where both were asked."""
    table: dict[str, dict[str, list[float]]] = {}
    for (question, _), found in zip(surveyed, findings, strict=True):
        row = table.setdefault(question.kernel, {})
        row.setdefault(question.model, []).append(mark(question.model, found))
    return {kernel: {model: float(np.mean(m)) for model, m in row.items()} for kernel, row in table.items()}


def by_words(text: str, function: str) -> Finding:
    """What somebody finds who reads words alone: the first keyword names the model, `def` makes it code."""
    model = next((model for model, word in WORDS.items() if word in text), "")
    return Finding(model if f"def {function}(" in text else "", f"def {function}(" in text)


# The claims -------------------------------------------------------------------------------------


def _pairs(seed: int, budget: str) -> list[tuple[Question, Suggestion, Finding]]:
    surveyed = of_budget(seed, budget)
    return [
        (question, suggestion, finding)
        for (question, came), found in zip(surveyed, SCORER.of(surveyed), strict=True)
        for suggestion, finding in zip(came, found, strict=True)
    ]


def _share(agreed: Sequence[bool]) -> float:
    return float(np.mean(agreed))


def recovered(seed: int, budget: str) -> Measured:
    """Share of suggestions whose label the scorer finds; and the share that words find."""
    pairs = _pairs(seed, budget)
    share = _share([(f.model, f.right) == (s.model, s.right) for _, s, f in pairs])
    return Measured(share, system=share, baseline=recovered_by_words(seed, budget))


def recovered_by_words(seed: int, budget: str) -> float:
    """Control: the model told from words; values are still judged where there is code."""
    return _share(
        [
            (by_words(s.text, function_of(q.kernel)).model, f.right) == (s.model, s.right)
            for q, s, f in _pairs(seed, budget)
        ]
    )


def empty_words(budget: str) -> Survey:
    """Prompts that were answered in comments; and for parallel loops, serial ones with a comment."""
    kernels = by_budget(budget, smoke=("AXPY",), lesson=KERNELS)
    models = by_budget(budget, smoke=FEW, lesson=MODELS)
    found: Survey = []
    for kernel in kernels:
        for model in models:
            text = f"```python\n{in_words(right_text(kernel, model))}```\n"
            found.append((Question(kernel, model), [Suggestion(text, "", False, "words")] * MOST))
        serial = right_text(kernel, "numba serial").replace("for ", "# prange\n    for ", 1)
        text = f"```python\n{serial}```\n"
        suggestion = Suggestion(text, "numba serial", True, "disguise")
        found.append((Question(kernel, "numba parallel"), [suggestion] * MOST))
    return found


def words_earn(seed: int, budget: str) -> float:
    """The best mark that comments alone earn."""
    surveyed = empty_words(budget)
    found = SCORER.of(surveyed)
    return max(mark(question.model, each) for (question, _), each in zip(surveyed, found, strict=True))


def words_earn_by_words(seed: int, budget: str) -> float:
    """Control: the same where a reader of words gives the marks."""
    return max(
        mark(question.model, [by_words(each.text, function_of(question.kernel)) for each in came])
        for question, came in empty_words(budget)
    )


def largest_fall(score: Callable[[int, int, int], float], most: int = MOST - 1) -> Measured:
    """How far a score can fall when one correct suggestion is added. score(correct, wrong, others)."""
    states = [
        (c, w, o)
        for c in range(most + 1)
        for w in range(most + 1 - c)
        for o in range(most + 1 - c - w)
        if c + w + o
    ]
    before, after = max(
        ((score(c, w, o), score(c + 1, w, o)) for c, w, o in states), key=lambda pair: pair[0] - pair[1]
    )
    return Measured(before - after, system=after, baseline=before)


def mark_of(correct: int, wrong: int, others: int) -> float:
    """The mark for so many correct and wrong suggestions, and some of another model."""
    kinds = [Finding("asked", True)] * correct + [Finding("asked", False)] * wrong
    return mark("asked", kinds + [Finding("other", True)] * others)


def falls(seed: int, budget: str) -> Measured:
    return largest_fall(mark_of)


def pass_falls(seed: int, budget: str) -> Measured:
    """Control: pass@1 never falls."""
    return largest_fall(lambda c, w, o: pass_at(1, c + w + o, c))


def ranks(seed: int, budget: str) -> list[tuple[float, float]]:
    """(mark, pass@1) of every prompt."""
    surveyed = of_budget(seed, budget)
    return [
        (
            mark(question.model, found),
            pass_at(1, len(found), sum(finding.correct(question.model) for finding in found)),
        )
        for (question, _), found in zip(surveyed, SCORER.of(surveyed), strict=True)
    ]


def agreement(seed: int, budget: str) -> float:
    """Kendall's tau between the two."""
    marks, passed = zip(*ranks(seed, budget), strict=True)
    return float(np.nan_to_num(kendalltau(marks, passed).statistic))


def agreement_with_others(seed: int, budget: str) -> float:
    """Control: each mark beside the pass@1 of some other prompt."""
    marks, passed = zip(*ranks(seed, budget), strict=True)
    shuffled = np.random.default_rng(seed).permutation(passed)
    return float(np.nan_to_num(kendalltau(marks, shuffled).statistic))


SYSTEM = System(
    key="hpc-kernel-proficiency",
    claims=[
        Claim(
            "labels-recovered",
            says="Of more than 600 suggestions whose faults are known, the scorer finds model and "
            "correctness of at least 95 in 100. Control: the model told from words.",
            paper="ours; the source's authors read every suggestion themselves",
            unit="share",
            against="share, the model told from words",
            bar=AtLeast(0.95),
            measure=recovered,
            control=recovered_by_words,
            provenance="counted",
        ),
        Claim(
            "comments-earn-nothing",
            says="A prompt answered in comments gets mark 0, and so do serial loops with `prange` in a "
            "comment where parallel ones were asked for. Control: the best mark that they earn where the "
            "model is told from words.",
            paper="mark 0 where there is no code at all, or not one correct",
            unit="mark",
            bar=AtMost(0.0),
            measure=words_earn,
            control=words_earn_by_words,
            provenance="counted",
            seeds=1,
        ),
        Claim(
            "mark-falls",
            says="The mark is not monotone: one more correct suggestion can lower it by a step. Control: the "
            "largest fall of pass@1.",
            paper="ours; it follows from the source's definition, where the best mark is for one suggestion",
            unit="mark",
            against="mark before one correct suggestion is added",
            bar=AtLeast(0.25, null=0.0),
            measure=falls,
            control=pass_falls,
            provenance="formula",
            seeds=1,
        ),
        Claim(
            "ranks-as-pass-at-1",
            says="The mark ranks prompts much as the chance does that one suggestion is correct: Kendall's "
            "tau is at least 0.8. Control: each mark beside that chance of another prompt.",
            paper="ours; the source ranks programming models by the mark alone",
            unit="tau",
            bar=AtLeast(0.8, null=0.0),
            measure=agreement,
            control=agreement_with_others,
            provenance="counted",
        ),
        Claim(
            "marks-follow-maturity",
            says="Kernels in C++ get a mean mark with OpenMP that is at least one step above that with HIP: "
            "an assistant knows what many people use.",
            paper="OpenMP and CUDA score high, HIP is still lacking (the step as a bar is ours)",
            unit="mark",
            bar=AtLeast(0.25, null=0.0),
            needs="LLM",
        ),
        Claim(
            "keywords-help",
            says="Prompts for Fortran and Python get better marks with a keyword of the language.",
            paper="both can benefit from adding code keywords (that any gain counts is ours)",
            unit="mark",
            bar=AtLeast(0.01, null=0.0),
            needs="LLM",
        ),
    ],
    deviations=[
        "The author of the suggestions is no language model. It draws from verified implementations, and "
        "goes wrong at declared rates, so marks by kernel and model say nothing about any assistant. A "
        "language model can be asked by the same prompts, and is scored the same way.",
        "Six programming models of Python that run here stand for the source's, which are of C++, Fortran, "
        "Python and Julia. CUDA runs in numba's simulator: results only.",
        "Correct means right values by the whole judge and the model that was asked for; the source's "
        "authors decided by reading. To save time the judge leaves out two of its rules: strided inputs, for "
        "which numba would compile each kernel anew, and a hundred calls more.",
        "A prompt has one line more than the source's: it says what the arguments are, or nothing could be "
        "run.",
        "What runs is watched from inside the suggestion's own process, one call. Code that launches an idle "
        "kernel and computes elsewhere, or that lies to the watcher, gets past it.",
        "The scorer was debugged on the implementations that it is tried on: its share of recovered labels "
        "is not wholly independent.",
        "The wording of the five marks is from memory: the abstract, against which it was checked, only "
        "names a metric over the first ten suggestions. Text without code is no suggestion.",
        "Paper scale: a language model, a few hundred prompts in four languages, and compilers with graphics "
        "cards for all of them.",
    ],
)
