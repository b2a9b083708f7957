"""ConCuR: Conciseness Makes State-of-the-Art Kernel Generation.

Lingcheng Kong, Jiateng Wei, Hanzhang Shen, Huan Wang; 2025; https://arxiv.org/abs/2510.07356.

A language model that writes kernels thinks aloud first. The source lets a teacher write five such traces with
kernels for each of many tasks, tests and times every kernel, and keeps few of them:

    (a)  tasks whose shortest trace also has the highest speedup
    (b)  kernels faster than a threshold
    (c)  the simplest tasks, so that they are not lost

A student is then tuned on these alone, with a correction of low rank to its weights (LoRA).

All of it is here, small. A task is a chain of operations on an array. A kernel says which of them share a
pass over memory; a trace decides that gap by gap, and may think again. The teacher is a declared machine
that errs and dithers as often as it is told to. The student is a transformer, and nothing it writes counts
before an interpreter has run it.

Deviations: listed in `SYSTEM`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.budget import by_budget
from workbench.claims import AtLeast, AtMost, Claim, Measured, System, Within
from workbench.errors import WorkbenchError
from workbench.layers import CausalTransformer, adapted, merged
from workbench.train import Recipe, Run, Task, train

Array = np.ndarray
Words = tuple[str, ...]

# The language: chains, kernels, passes --------------------------------------------------------

ELEMENTWISE: dict[str, Callable[[Array], Array]] = {
    "shift": lambda x: x + 1,
    "negate": lambda x: -x,
    "square": np.square,
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
}
TINY = 1e-12


def centre(x: Array, axes: tuple[int, ...]) -> Array:
    """Takes off the mean."""
    return x - x.mean(axes, keepdims=True)


def unit(x: Array, axes: tuple[int, ...]) -> Array:
    """Divides by the largest size."""
    return x / np.maximum(np.abs(x).max(axes, keepdims=True), TINY)


def share(x: Array, axes: tuple[int, ...]) -> Array:
    """Divides by the sum of the sizes."""
    return x / np.maximum(np.abs(x).sum(axes, keepdims=True), TINY)


REDUCTIONS = {"centre": centre, "unit": unit, "share": share}
OPERATIONS: Words = (*ELEMENTWISE, *REDUCTIONS)
SHORTEST, LONGEST = 2, 7  # operations of a task
REGISTERS = 4  # operations that fit into one pass
ARRAYS = np.random.default_rng(15).standard_normal((2, 4, 8))  # two arrays, four blocks of eight numbers


def run(kernel: Words, arrays: Array = ARRAYS) -> tuple[Array, int]:
    """What a kernel makes of arrays [arrays, blocks, numbers], and in how many passes.

    A word such as `relu` begins a new pass over memory; `+relu` joins the pass of the word before it. In one
    pass every block has a worker of its own. A reduction needs all blocks: its number is known when the pass
    is over, and whoever reads the array next applies it. A worker that goes on in the same pass has only its
    own block to reduce, and the result is wrong. (A reduction in the last place is applied in one more pass
    in any kernel; it is not counted, here or for the kernel that is compared with.)

    Raises WorkbenchError for what is not a kernel: no words, a first word that joins nothing, a pass that is
    too long for the registers.
    """
    if not kernel or kernel[0].startswith("+") or any(w.lstrip("+") not in OPERATIONS for w in kernel):
        raise WorkbenchError(f"expected words for operations, the first without +, but {kernel} came")
    x, passes, filled = arrays, 0, 0
    for i, word in enumerate(kernel):
        joins, name = word.startswith("+"), word.removeprefix("+")
        passes, filled = passes + (not joins), filled + 1 if joins else 1
        if filled > REGISTERS:
            raise WorkbenchError(f"a pass has registers for {REGISTERS} operations, but {kernel} needs more")
        if name in ELEMENTWISE:
            x = ELEMENTWISE[name](x)
        else:
            ends_pass = i + 1 == len(kernel) or not kernel[i + 1].startswith("+")
            x = REDUCTIONS[name](x, (-2, -1) if ends_pass else (-1,))
    return x, passes


@cache
def reference(task: Words) -> Array:
    """What a task asks for: one operation after the other, each on the whole array."""
    x = ARRAYS
    for name in task:
        x = ELEMENTWISE[name](x) if name in ELEMENTWISE else REDUCTIONS[name](x, (-2, -1))
    return x


@cache
def speedup(task: Words, kernel: Words) -> float:
    """Passes of one operation each over the passes of the kernel; 0 where it fails or the result is wrong."""
    try:
        came, passes = run(kernel)
    except WorkbenchError:
        return 0.0
    right = np.allclose(came, reference(task), rtol=1e-6, atol=1e-9)
    return len(task) / passes if right else 0.0


def is_meaningful(task: Words) -> bool:
    """Whether the answer depends on the input at all; a chain such as square, negate, relu gives zeros."""
    answer = reference(task)
    size = np.abs(answer).max()
    return bool(TINY < size < 1e9 and answer.std((1, 2)).min() > 1e-3 * size)


def draw_tasks(count: int, rng: np.random.Generator) -> list[Words]:
    """Different tasks that mean something, of 2 to 7 operations."""
    found: dict[Words, None] = {}
    while len(found) < count:
        task = tuple(map(str, rng.choice(OPERATIONS, rng.integers(SHORTEST, LONGEST + 1))))
        if is_meaningful(task):
            found[task] = None
    return list(found)


# The teacher ----------------------------------------------------------------------------------

THINKING = 23  # words that a trace may have


@dataclass(frozen=True)
class Sample:
    """What was thought and written for a task, and how fast it is (0: it is wrong)."""

    task: Words
    trace: Words
    kernel: Words

    @cached_property
    def speedup(self) -> float:
        return speedup(self.task, self.kernel)

    @property
    def length(self) -> int:
        return len(self.trace)


@dataclass(frozen=True)
class Teacher:
    """Decides each gap of a chain: may the next operation join the pass, or must there be a cut?

    skill: how often a first thought is right. A needless cut is correct but slow, a fusion where a cut was
    needed is wrong. dithering: how often a thought is followed by `wait` and another thought; each
    sample has a mood of its own, from 0 to twice that. doubt: by how much less often a thought after `wait`
    is right than a first one. The last thought stands.
    """

    skill: float = 0.65
    dithering: float = 0.4
    doubt: float = 0.1

    def __post_init__(self) -> None:
        for name, value, most in (
            ("skill", self.skill, 1.0),
            ("dithering", self.dithering, 0.5),
            ("doubt", self.doubt, self.skill),
        ):
            if not 0 <= value <= most:
                raise WorkbenchError(f"{name} must lie between 0 and {most:g}, but {value:g} came")

    def solve(self, task: Words, rng: np.random.Generator) -> Sample:
        """One sample. The trace has a thought for each gap, and `wait` and a thought for each re-thinking."""
        trace: list[str] = []
        kernel, filled = [task[0]], 1
        mood = 2 * self.dithering * rng.random()
        for gap, (before, after) in enumerate(pairwise(task)):
            right, wrong = ("cut", "fuse") if must_cut(before, filled) else ("fuse", "cut")
            thought = right if rng.random() < self.skill else wrong
            trace.append(thought)
            to_come = len(task) - 2 - gap
            while len(trace) + 2 + to_come <= THINKING and rng.random() < mood:
                thought = right if rng.random() < self.skill - self.doubt else wrong
                trace += ["wait", thought]
            kernel.append(f"+{after}" if thought == "fuse" else after)
            filled = filled + 1 if thought == "fuse" else 1
        return Sample(task, tuple(trace), tuple(kernel))


def must_cut(before: str, filled: int) -> bool:
    """After a reduction, and where the registers of the pass are full."""
    return before in REDUCTIONS or filled == REGISTERS


# Curation -------------------------------------------------------------------------------------

SAMPLES = 5  # of each task, as in the source
FAST = 2.5  # the threshold of (b); the source has 5, where 7 operations in 2 passes make 3.5
EASY, HARD = 4.0, 8.5  # words of average reasoning length; the source has as many thousand tokens


@dataclass(frozen=True)
class Table:
    """Samples as columns: task [n] numbered, length [n] in words, speedup [n], 0 where wrong."""

    task: Array
    length: Array
    speedup: Array

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Table":
        number: dict[Words, int] = {}
        task = [number.setdefault(sample.task, len(number)) for sample in samples]
        return cls(
            np.array(task, int),
            np.array([sample.length for sample in samples], int),
            np.array([sample.speedup for sample in samples], float),
        )

    def groups(self) -> Iterable[Array]:
        """The rows of each task."""
        order = np.argsort(self.task, kind="stable")
        starts = np.flatnonzero(np.diff(self.task[order])) + 1
        return np.split(order, starts) if len(order) else []


def concise(table: Table) -> Array:
    """(a): rows that have the shortest trace of their task and also its highest speedup. Ties all stay."""
    kept = []
    for rows in table.groups():
        length, speed = table.length[rows], table.speedup[rows]
        kept.extend(rows[(length == length.min()) & (speed == speed.max()) & (speed > 0)])
    return np.sort(np.array(kept, int))


def fast(table: Table, threshold: float = FAST) -> Array:
    """(b): rows whose kernel is right and faster than the threshold."""
    return np.flatnonzero(table.speedup > threshold)


def simplest(table: Table, samples: Sequence[Sample]) -> Array:
    """(c): right rows of the simplest tasks, two operations."""
    simple = np.array([len(sample.task) == SHORTEST for sample in samples], bool)
    return np.flatnonzero(simple & (table.speedup > 0))


def curate(samples: Sequence[Sample], table: Table | None = None) -> Array:
    """Rows that (a), (b) or (c) selects, one of each task: the fastest, among these the shortest.

    table: lengths and speedups to go by, where they are not to be those of the samples.
    """
    table = table or Table.of(samples)
    chosen = np.unique(np.concatenate([concise(table), fast(table), simplest(table, samples)]))
    order = chosen[np.lexsort((chosen, table.length[chosen], -table.speedup[chosen]))]
    _, first = np.unique(table.task[order], return_index=True)
    return np.sort(order[first])


def reasoning_length(task: Words, teacher: Teacher, rng: np.random.Generator, samples: int = 10) -> float:
    """ARL: the mean length of the teacher's traces for a task, in words."""
    return float(np.mean([teacher.solve(task, rng).length for _ in range(samples)]))


def difficulty(length: float) -> Literal["easy", "medium", "hard"]:
    """The class of a task by its average reasoning length."""
    return "easy" if length < EASY else "hard" if length > HARD else "medium"


# The student ----------------------------------------------------------------------------------

JOINED = tuple(f"+{name}" for name in OPERATIONS)
VOCABULARY: Words = ("", "think", "kernel", "end", "fuse", "cut", "wait", *OPERATIONS, *JOINED)
TOKEN = {word: number for number, word in enumerate(VOCABULARY)}
THINK, KERNEL, END = (TOKEN[word] for word in ("think", "kernel", "end"))
PLACES = LONGEST + 1 + THINKING + 1 + LONGEST + 1
NOT_ASKED = -100  # the label of a place that the loss leaves out


def prompt(task: Words) -> list[int]:
    """The tokens of a task: seven places, empty where the chain is shorter, and `think`."""
    return [TOKEN[word] for word in task + ("",) * (LONGEST - len(task))] + [THINK]


def encode(sample: Sample) -> list[int]:
    """Task, trace and kernel as one row of tokens."""
    return [
        *prompt(sample.task),
        *(TOKEN[word] for word in sample.trace),
        KERNEL,
        *(TOKEN[word] for word in sample.kernel),
        END,
    ]


def decode(task: Words, tokens: Sequence[int]) -> Sample:
    """What a student wrote for a task; the kernel is empty where it never came or never ended."""
    written = list(tokens[LONGEST + 1 :])
    middle = written.index(KERNEL) if KERNEL in written else len(written)
    rest = written[middle + 1 :]
    kernel = rest[: rest.index(END)] if END in rest else []
    return Sample(task, *(tuple(VOCABULARY[t] for t in part) for part in (written[:middle], kernel)))


def next_token(output: Tensor, Y: Tensor) -> Tensor:
    """Mean nats for each token, logits [n, tokens, vocabulary], labels [n, tokens]."""
    return F.cross_entropy(output.transpose(1, 2), Y, ignore_index=NOT_ASKED)


def minus_nats(output: Tensor, Y: Tensor) -> float:
    """How well the next token is foretold, higher is better. Not how good the kernels are."""
    return -next_token(output, Y).item()


def rows(samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    """Tokens float32 [n, 1, 1, longest - 1] and the token after each, int64, where the loss asks for it."""
    tokens = [encode(sample) for sample in samples]
    longest = max(map(len, tokens))
    table = torch.tensor([row + [0] * (longest - len(row)) for row in tokens])
    after = table[:, 1:].clone()
    after[:, :LONGEST] = NOT_ASKED  # the task is given
    after[after == 0] = NOT_ASKED
    return table[:, None, None, :-1].float(), after


def reading(name: str, samples: Sequence[Sample]) -> Task:
    """Samples to be read, as a task of the training bench.

    Its score says how well the first few of them are foretold after training. Nothing goes by it: what counts
    is whether kernels for other tasks are right.
    """
    X, Y = rows(samples)
    return Task(
        name,
        inputs=(1, 1, X.shape[-1]),
        outputs=len(VOCABULARY),
        train=(X, Y),
        test=(X[:16], Y[:16]),
        loss=next_token,
        score=minus_nats,
    )


def new_student() -> CausalTransformer:
    """Two layers, 64 wide, with random weights."""
    return CausalTransformer(len(VOCABULARY), PLACES, marks=(THINK, KERNEL))


def pretrained(samples: Sequence[Sample], seed: int, steps: int) -> Run:
    """A student that has read samples of the raw pool, right and wrong alike."""
    recipe = Recipe(steps=steps, batch=16, lr=5e-3)
    return train(new_student, reading("raw pool", samples), recipe, seed)


def tuned(student: nn.Module, samples: Sequence[Sample], seed: int, steps: int) -> CausalTransformer:
    """The student after LoRA on chosen samples, its adapters merged again."""
    recipe = Recipe(steps=steps, batch=16, lr=5e-3)
    found = merged(train(partial(adapted, student), reading("chosen", samples), recipe, seed).model)
    assert isinstance(found, CausalTransformer)
    return found


def write(
    model: CausalTransformer,
    tasks: Sequence[Words],
    *,
    attempts: int = 10,
    temperature: float = 1.0,
    seed: int = 0,
) -> list[list[Sample]]:
    """What the student writes for each task, so many times."""
    prompts = torch.tensor([prompt(task) for task in tasks for _ in range(attempts)])
    generator = torch.Generator().manual_seed(seed)
    model.eval()
    tokens = model.generate(prompts, END, temperature=temperature, generator=generator).tolist()
    samples = [decode(tasks[i // attempts], row) for i, row in enumerate(tokens)]
    return [samples[i : i + attempts] for i in range(0, len(samples), attempts)]


# Experiments ----------------------------------------------------------------------------------

Arm = Literal["ConCuR", "same speed", "random", "right", "longest", "shortest", "fastest", "shuffled"]
ARMS: tuple[Arm, ...] = (
    "ConCuR",
    "same speed",
    "random",
    "right",
    "longest",
    "shortest",
    "fastest",
    "shuffled",
)
TEACHER, STEADY = Teacher(), Teacher(dithering=0.0)


@dataclass(frozen=True)
class Pool:
    """What the teacher wrote, and tasks that nobody trains on."""

    samples: tuple[Sample, ...]
    held_out: tuple[Words, ...]

    @cached_property
    def table(self) -> Table:
        return Table.of(self.samples)


@cache
def pool(seed: int, budget: str, teacher: Teacher = TEACHER) -> Pool:
    """700 tasks with five samples each, and 120 held out, the same for every teacher."""
    count, held = by_budget(budget, smoke=(60, 12), lesson=(700, 120))
    rng = np.random.default_rng([seed, 0])
    tasks = draw_tasks(count + held, rng)
    samples = tuple(teacher.solve(task, rng) for task in tasks[held:] for _ in range(SAMPLES))
    return Pool(samples, tuple(tasks[:held]))


def choose(arm: Arm, found: Pool, count: int, rng: np.random.Generator) -> list[Sample]:
    """`count` samples of the pool, at most, chosen in one of the ways.

    "random": of all samples. "right": of those that are right. "longest", "shortest", "fastest": by that
    number alone. "same speed": for each one of ConCuR's a random one of the same task and the same speed.
    "shuffled": by ConCuR's rules, after lengths and speedups were dealt out to the samples at random.
    """
    table, samples = found.table, found.samples
    draw = rng.permutation(len(samples))
    match arm:
        case "ConCuR" | "same speed":
            chosen = rng.permutation(curate(samples))[:count]
            if arm == "same speed":
                chosen = np.array([rng.choice(alike(table, row)) for row in chosen])
        case "shuffled":
            dealt = replace(table, length=table.length[draw], speedup=table.speedup[draw])
            chosen = rng.permutation(curate(samples, dealt))[:count]
        case "random":
            chosen = draw[:count]
        case "right":
            chosen = draw[table.speedup[draw] > 0][:count]
        case _:
            key = {"longest": -table.length, "shortest": table.length, "fastest": -table.speedup}[arm]
            chosen = draw[np.argsort(key[draw], kind="stable")][:count]
    return [samples[row] for row in chosen]


def alike(table: Table, row: int) -> Array:
    """Rows of the same task with the same speedup."""
    return np.flatnonzero((table.task == table.task[row]) & (table.speedup == table.speedup[row]))


@cache
def base(seed: int, budget: str, teacher: Teacher = TEACHER) -> Run:
    """The student before it is tuned."""
    steps = by_budget(budget, smoke=2, lesson=200, full=600)
    return pretrained(pool(seed, budget, teacher).samples, seed, steps)


def readings(arm: Arm, seed: int, budget: str, teacher: Teacher = TEACHER) -> list[Sample]:
    """What a student is tuned on; every choice has as many samples."""
    count = by_budget(budget, smoke=20, lesson=300)
    # "same speed" draws the same tasks as ConCuR, because both begin with the same numbers.
    return choose(arm, pool(seed, budget, teacher), count, np.random.default_rng([seed, 1]))


@cache
def student(arm: Arm | None, seed: int, budget: str, teacher: Teacher = TEACHER) -> CausalTransformer:
    """The student after tuning on one of the choices; arm None is the one before tuning."""
    model = base(seed, budget, teacher).model
    if arm is not None:
        steps = by_budget(budget, smoke=2, lesson=60, full=120)
        model = tuned(model, readings(arm, seed, budget, teacher), seed, steps)
    assert isinstance(model, CausalTransformer)
    return model


@cache
def exam(arm: Arm | None, seed: int, budget: str, teacher: Teacher = TEACHER) -> Array:
    """Speedups [held-out tasks, attempts] of what a student writes."""
    tasks = pool(seed, budget, teacher).held_out
    attempts = by_budget(budget, smoke=2, lesson=10)
    answers = write(student(arm, seed, budget, teacher), tasks, attempts=attempts, seed=seed)
    return np.array([[sample.speedup for sample in row] for row in answers])


def passed(speeds: Array) -> tuple[float, float]:
    """Percent: pass@1, the share of attempts that are right, and pass@k, of tasks with any right attempt."""
    return 100 * float((speeds > 0).mean()), 100 * float((speeds > 0).any(1).mean())


# The claims -----------------------------------------------------------------------------------


def ahead(arm: Arm, rival: Arm, seed: int, budget: str, teacher: Teacher = TEACHER) -> Measured:
    """Points of pass@1 by which a student tuned on one choice is ahead of one tuned on another."""
    ours, theirs = (passed(exam(choice, seed, budget, teacher))[0] for choice in (arm, rival))
    return Measured(ours - theirs, system=ours, baseline=theirs)


def length_and_speed(teacher: Teacher, seed: int, budget: str) -> float:
    """The correlation of length and speedup over all samples that are right."""
    table = pool(seed, budget, teacher).table
    right = table.speedup > 0
    return float(np.corrcoef(table.length[right], table.speedup[right])[0, 1])


def shorter_when_right(teacher: Teacher, seed: int, budget: str) -> float:
    """Words by which right traces of a task are longer than wrong ones of the same task; negative: shorter.

    20 samples of each task, and the mean over the tasks that have both kinds.
    """
    rng = np.random.default_rng([seed, 2])
    tasks = draw_tasks(by_budget(budget, smoke=10, lesson=300, full=700), rng)
    differences = []
    for task in tasks:
        table = Table.of([teacher.solve(task, rng) for _ in range(20)])
        right = table.speedup > 0
        if right.any() and not right.all():
            differences.append(table.length[right].mean() - table.length[~right].mean())
    return float(np.mean(differences))


def easier_by_length(dealt: bool, seed: int, budget: str) -> Measured:
    """Points of pass@1 between the held-out tasks with short and with long average traces of the teacher.

    The third of the tasks with the shortest traces against the third with the longest. dealt: the averages
    are dealt out to the tasks at random, the control.
    """
    speeds, tasks = exam("ConCuR", seed, budget), pool(seed, budget).held_out
    rng = np.random.default_rng([seed, 3])
    length = np.array([reasoning_length(task, TEACHER, rng) for task in tasks])
    order = rng.permutation(len(tasks)) if dealt else np.argsort(length, kind="stable")
    third = max(1, len(tasks) // 3)
    short, long = (passed(speeds[part])[0] for part in (order[:third], order[-third:]))
    return Measured(short - long, system=short, baseline=long)


RASH = Teacher(skill=0.95, doubt=0.9)  # hardly a thought after `wait` is right
SURE = Teacher(doubt=0.0)  # a thought after `wait` is as good as a first one
EXEC = (
    "Exec 58 with 4,892 curated samples; as many random ones 39, longest 34, shortest 35, fastest 42 "
    "(QwQ-32B, LoRA, KernelBench)"
)
EQUAL = "after tuning on as many samples: points of pass@1 on 120 tasks that nobody trained on"
DEALT = (
    "Control: a student whose samples were chosen by the same rules, after lengths and speedups were dealt "
    "out to the samples at random."
)
RIGHT = "% right"

SYSTEM = System(
    key="concur",
    claims=[
        Claim(
            "over-random",
            says=f"A student tuned on curated samples writes right kernels more often than one tuned on "
            f"random samples of the same pool, {EQUAL}. {DEALT}",
            paper=EXEC,
            unit="points",
            against=f"{RIGHT}, random samples",
            bar=AtLeast(10, null=0),
            measure=partial(ahead, "ConCuR", "random"),
            control=partial(ahead, "shuffled", "random"),
            provenance="counted",
        ),
        Claim(
            "over-longest",
            says=f"The same against the samples with the longest traces, {EQUAL}. The bar is "
            f"the source's lead. {DEALT}",
            paper=EXEC,
            unit="points",
            against=f"{RIGHT}, longest traces",
            bar=AtLeast(24, null=0),
            measure=partial(ahead, "ConCuR", "longest"),
            control=partial(ahead, "shuffled", "longest"),
            provenance="counted",
        ),
        Claim(
            "over-shortest",
            says=f"The same against the samples with the shortest traces, {EQUAL}. The bar is "
            f"the source's lead. {DEALT}",
            paper=EXEC,
            unit="points",
            against=f"{RIGHT}, shortest traces",
            bar=AtLeast(23, null=0),
            measure=partial(ahead, "ConCuR", "shortest"),
            control=partial(ahead, "shuffled", "shortest"),
            provenance="counted",
        ),
        Claim(
            "over-fastest",
            says=f"The same against the samples with the fastest kernels, {EQUAL}. The bar is "
            f"the source's lead. {DEALT}",
            paper=EXEC,
            unit="points",
            against=f"{RIGHT}, fastest kernels",
            bar=AtLeast(16, null=0),
            measure=partial(ahead, "ConCuR", "fastest"),
            control=partial(ahead, "shuffled", "fastest"),
            provenance="counted",
        ),
        Claim(
            "over-right",
            says=f"The same against random samples whose kernels are right, {EQUAL}: what is left when the "
            f"kernels of both have passed a test. {DEALT}",
            paper="ours: we know of no such comparison in the source",
            unit="points",
            against=f"{RIGHT}, random right samples",
            bar=AtLeast(10, null=0),
            measure=partial(ahead, "ConCuR", "right"),
            control=partial(ahead, "shuffled", "right"),
            provenance="counted",
        ),
        Claim(
            "conciseness-alone",
            says=f"The same tasks with the same speedups and a random trace each teach less than the short "
            f"traces do, {EQUAL}. Control: a teacher that never dithers.",
            paper="ours: the source selects by length and speed together",
            unit="points",
            against=f"{RIGHT}, same tasks and speeds, random trace",
            bar=AtLeast(10, null=0),
            measure=partial(ahead, "ConCuR", "same speed"),
            control=partial(ahead, "ConCuR", "same speed", teacher=STEADY),
            provenance="counted",
        ),
        Claim(
            "length-and-speed",
            says="Over all right samples, the length of a trace says nothing about the speed of its kernel: "
            "their correlation. Control: a teacher that is nearly always wrong after `wait`.",
            paper="a correlation of -0.047",
            unit="correlation",
            bar=Within(-0.1, 0.1),
            measure=partial(length_and_speed, TEACHER),
            control=partial(length_and_speed, RASH),
            provenance="counted",
        ),
        Claim(
            "right-is-shorter",
            says="Right traces are shorter than wrong ones of the same task, by half a word or more. Our "
            "teacher is built so; control: the same teacher without doubt.",
            paper="right traces are shorter, no figure taken over",
            unit="words",
            bar=AtMost(-0.5, null=0),
            measure=partial(shorter_when_right, TEACHER),
            control=partial(shorter_when_right, SURE),
            provenance="counted",
        ),
        Claim(
            "length-tells-difficulty",
            says="The teacher's average reasoning length ranks tasks by difficulty for the student: points "
            "of pass@1 between the third with the shortest traces and the third with the longest. Control: "
            "the same lengths, dealt out to the tasks at random.",
            paper="average reasoning length measures how difficult a task is (abstract)",
            unit="points",
            against=f"{RIGHT}, third with the longest traces",
            bar=AtLeast(10, null=0),
            measure=partial(easier_by_length, False),
            control=partial(easier_by_length, True),
            provenance="counted",
        ),
        Claim(
            "kernel-coder",
            says="QwQ-32B tuned on the curated traces of Kevin-32B leads one tuned on as many random traces "
            "by 19 points of Exec on KernelBench.",
            paper=EXEC,
            unit="points",
            bar=AtLeast(19, null=0),
            needs="LLM",
        ),
        Claim(
            "length-of-a-language-model",
            says="Tasks that a language model thinks about for less than 4,000 tokens are solved more often "
            "than those that take it more than 8,500.",
            paper="ten samples a task: easy below 4,000 tokens, hard above 8,500",
            unit="points",
            bar=AtLeast(10, null=0),
            needs="LLM",
        ),
    ],
    deviations=[
        "Tasks are chains of 2 to 7 operations out of eight, 700 with five samples each, where the source "
        "has 18,162 PyTorch programs from KernelBook with five samples each. 120 more are held out.",
        "The teacher is a declared program, not Kevin-32B: skill 0.65, dithering 0.4, doubt 0.1. What is "
        "found about lengths and speeds follows from these numbers and the language; nothing here is "
        "evidence about language models. The numbers were chosen among a few that were tried. With "
        "all of them curation led over random samples, wrong ones included; the lead of conciseness alone "
        "came and went.",
        "More than half of our teacher's kernels are right; of the source's, 24,136 of 90,810.",
        "Speed is the number of passes over memory, counted by the interpreter, not a time. The threshold of "
        "(b) is 2.5 instead of 5: with registers for four operations no chain of seven gets beyond 3.5.",
        "Chains of two operations, the simplest that there are, stand for the single operators of (c). From "
        "all that the rules select 300 are drawn; each other choice also has 300.",
        "The student is a transformer of 73 thousand weights that has read most of the raw pool once, not "
        "QwQ-32B. LoRA has rank 8 on every linear layer, 60 steps of 16 samples.",
        "The bars against the longest, shortest and fastest samples are the source's own leads, set "
        "after first numbers had been seen.",
        "Random, longest, shortest and fastest are chosen from all samples, wrong ones included. Whether the "
        "source left wrong ones out there we do not know; `over-right` measures what that decides.",
        "Places are counted from the beginning of each section: task, trace, kernel. A language model counts "
        "them from the beginning of all.",
        "Paper scale: 64 hours of an A100 for LoRA on 32 billion weights.",
    ],
)
