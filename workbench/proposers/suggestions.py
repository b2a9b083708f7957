"""`Suggester`: answers a prompt such as "SpMV numba parallel" as a code assistant would, and knows how well.

It knows right implementations, and goes wrong at rates that are declared: a mistake in the code, another
programming model, another model in disguise, or words in place of code. Each suggestion carries a label that
says what was done to it, so that whoever scores suggestions can be scored in turn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.errors import WorkbenchError
from workbench.proposers.answer import fenced
from workbench.proposers.contract import Message
from workbench.proposers.programming_models import KERNELS, MODELS, function_of, right_text, wrong_texts

HINT = "def"  # the keyword that a hint adds to a prompt
MOST = 10  # suggestions that are looked at
WORDS = {  # what each model is recognised by, by somebody who only reads
    "numba parallel": "prange",
    "numba serial": "@njit",
    "scipy.sparse": "from scipy import sparse",
    "cuda": "@cuda.jit",
    "torch": "import torch",
    "numpy": "numpy",
}


@dataclass(frozen=True)
class Rates:
    """How often a suggestion goes wrong in each way; the rest is right.

    mistake: right model, wrong values. other: right values in another model. disguise: looks like the model,
    but runs as another. words: comments only. decoy: a comment that names another model, on top of anything.
    single: how often there is one suggestion instead of ten (for a prompt, not for a suggestion).
    """

    mistake: float = 0.2
    other: float = 0.1
    disguise: float = 0.05
    words: float = 0.05
    decoy: float = 0.3
    single: float = 0.1

    def times(self, factor: float) -> "Rates":
        """The four ways of going wrong made rarer, or more frequent, alike."""
        ways = ("mistake", "other", "disguise", "words")
        return replace(self, **{way: factor * getattr(self, way) for way in ways})


# Declared, not measured: an assistant that knows the older models best.
RATES: dict[str, Rates] = {
    "numpy": Rates(0.08, 0.02, 0.02, 0.02),
    "numba serial": Rates(0.2, 0.08, 0.04, 0.03),
    "numba parallel": Rates(0.25, 0.15, 0.15, 0.05),
    "scipy.sparse": Rates(0.25, 0.2, 0.1, 0.05),
    "cuda": Rates(0.4, 0.2, 0.1, 0.1),
    "torch": Rates(0.15, 0.1, 0.05, 0.05),
}


@dataclass(frozen=True)
class Suggestion:
    """One answer and its label: the `model` that its code really uses ("" for no code), and whether its
    values are `right`. way: how it was made."""

    text: str
    model: str
    right: bool
    way: str


@dataclass(frozen=True)
class Question:
    """What is asked for: a kernel in a programming model, with or without the keyword."""

    kernel: str
    model: str
    hint: bool = False

    def __post_init__(self) -> None:
        for name, known in ((self.kernel, KERNELS), (self.model, MODELS)):
            if name not in known:
                raise WorkbenchError(f"one of {', '.join(known)} was expected, but {name!r} came")

    @property
    def prompt(self) -> str:
        """`<kernel> <model> [<keyword>]`."""
        return f"{self.kernel} {self.model}" + f" {HINT}" * self.hint

    @classmethod
    def read(cls, prompt: str) -> "Question":
        """The question that stands in the first line of a prompt."""
        line = (prompt.splitlines() or [""])[0].removeprefix("#").strip()
        kernel, _, rest = line.partition(" ")
        return cls(kernel, rest.removesuffix(f" {HINT}"), rest.endswith(f" {HINT}"))


class Suggester:
    """Suggests kernels for prompts of the form `<kernel> <model> [<keyword>]`.

    seed: of all draws. rates: by model, as declared. models: those that it confuses with each other.
    hinted: the factor by which the keyword makes the ways of going wrong rarer.
    """

    name = "suggester"

    def __init__(
        self,
        seed: int = 0,
        rates: Mapping[str, Rates] | None = None,
        models: Sequence[str] = MODELS,
        hinted: float = 0.5,
    ) -> None:
        self.seed, self.rates, self.models = seed, dict(RATES if rates is None else rates), tuple(models)
        self.hinted = hinted

    def propose(self, prompt: str, history: Sequence[Message] = ()) -> str:
        """The next suggestion; how many there were before is read from the history."""
        before = sum(message.role == "assistant" for message in history)
        return self.suggestion(Question.read(prompt), before).text

    def suggestions(self, question: Question) -> list[Suggestion]:
        """All that come for a prompt: one, or ten."""
        rng = self._generator(question, MOST)
        count = 1 if rng.random() < self.rates[question.model].single else MOST
        return [self.suggestion(question, number) for number in range(count)]

    def suggestion(self, question: Question, number: int) -> Suggestion:
        """The suggestion with this number, always the same one."""
        rng = self._generator(question, number)
        rates = self.rates[question.model].times(self.hinted if question.hint else 1.0)
        way = _way(rates, float(rng.random()))
        others = [model for model in self.models if model != question.model]
        code, model, right = _made(question, way, others, rng)
        if rng.random() < rates.decoy:
            other = str(rng.choice(others))
            code = f"# {WORDS[other]}: could be written with {other} as well\n{code}"
        return Suggestion(fenced(code, f"{question.kernel} in {question.model}:"), model, right, way)

    def _generator(self, question: Question, number: int) -> np.random.Generator:
        where = [KERNELS.index(question.kernel), MODELS.index(question.model), int(question.hint), number]
        return np.random.default_rng([self.seed, *where])


def _way(rates: Rates, draw: float) -> str:
    """Which way a draw between 0 and 1 falls."""
    for way in ("mistake", "other", "disguise", "words"):
        draw -= getattr(rates, way)
        if draw < 0:
            return way
    return "right"


def _made(
    question: Question, way: str, others: Sequence[str], rng: np.random.Generator
) -> tuple[str, str, bool]:
    """Code, the model that it uses, and whether it is right."""
    kernel, model = question.kernel, question.model
    right = right_text(kernel, model)
    if way == "mistake":
        wrong = wrong_texts(kernel, model)
        return wrong[rng.integers(len(wrong))], model, False
    if way == "other":
        other = str(rng.choice(others))
        return right_text(kernel, other), other, True
    if way == "disguise":
        return *disguised(kernel, model, rng), True
    if way == "words":
        return in_words(right), "", False
    return right, model, True


def in_words(code: str) -> str:
    """The whole code as a comment."""
    return "".join(f"# {line}".rstrip() + "\n" for line in code.splitlines())


def disguised(kernel: str, model: str, rng: np.random.Generator) -> tuple[str, str]:
    """Code that names everything the model needs and runs as another model, and which one that is.

    Parallel loops lose the word that makes them parallel, or the option. Of the others, the right code stands
    there, but what is called is an implementation in numpy (for numpy itself, in numba).
    """
    right, function = right_text(kernel, model), function_of(kernel)
    if model == "numba parallel":
        if rng.random() < 0.5:
            return right.replace("in prange(", "in range(") + "\n\n# prange\n", "numba serial"
        return right.replace("@njit(parallel=True)", "@njit"), "numba serial"
    really = "numba serial" if model == "numpy" else "numpy"
    unused = right.replace(f"def {function}(", f"def {function}_in_{model.split('.')[0].split()[0]}(")
    return f"{unused}\n\n{right_text(kernel, really)}", really
