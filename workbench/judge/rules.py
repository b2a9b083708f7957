"""What the judge of kernels insists on, beyond the plain comparison that every judge makes.

Each rule is one question asked in one way. A rule that is switched off costs its question, and then one
cheat passes that no other rule sees (`workbench.judge.frauds`, held to it by `workbench.judge.matrix`).
"""

from dataclasses import dataclass

from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class Rule:
    """One rule: its `name`, what it `says` in one sentence, and what it `catches`.

    timed: it needs the clock, so it only counts where a time is taken.
    """

    name: str
    says: str
    catches: str
    timed: bool = False


RULES = (
    Rule(
        "twin",
        "Values are held against a float64 twin, as closely as rounding allows.",
        "fewer digits inside than the result pretends to have",
    ),
    Rule("nan", "A NaN equals nothing, also not another NaN.", "NaN everywhere"),
    Rule(
        "shapes",
        "Several shapes are asked: size one, primes, tails.",
        "loops that end at the last whole block of the published shape",
    ),
    Rule(
        "profiles",
        "Several kinds of values are asked: zeros, constants, negative, tiny, huge, spikes.",
        "formulas that only hold for values of size one",
    ),
    Rule(
        "seeds",
        "The main case is drawn again from seeds that nobody has published.",
        "an answer learnt by heart",
    ),
    Rule(
        "settings",
        "Parameters are also drawn, not only initialised to ones and zeros.",
        "parameters that are never read",
    ),
    Rule(
        "layouts",
        "Inputs also come as columns, strided, reversed, or as a window of something larger.",
        "reading memory as if it had no strides",
    ),
    Rule(
        "overlap",
        "Two inputs may be one and the same array.",
        "an input used as scratch space and put back afterwards",
    ),
    Rule("mutation", "Inputs are the same bits after the call as before.", "work done in place"),
    Rule("copies", "The result shares no memory with an input.", "a view where a copy was asked for"),
    Rule("stale", "An earlier result stays as it was.", "one buffer for all results"),
    Rule(
        "poison",
        "Memory that a result may land in holds numbers or NaN, not zeros.",
        "adding to memory that was never set",
    ),
    Rule(
        "reuse",
        "The same array comes back with other values in it.",
        "answers kept by the place of the input",
    ),
    Rule(
        "drift",
        "The main case is asked again after many more calls.",
        "being right only while it is checked",
    ),
    Rule(
        "apart",
        "The candidate runs in a process that has never seen the reference.",
        "asking the reference itself: found among callers, objects or modules",
    ),
    Rule(
        "eager",
        "The result is a plain array or number when the call returns.",
        "work that starts when somebody looks",
    ),
    Rule(
        "threads",
        "Nothing that the call has started is still running when it returns.",
        "work that goes on after the clock has stopped",
    ),
    Rule(
        "gradients",
        "Where there is a backward pass, each gradient is compared, of inputs and of parameters.",
        "gradients that are zero or missing",
    ),
    Rule("imports", "Only libraries on the list may be imported.", "somebody else's kernel under a new name"),
    Rule(
        "clock",
        "Time is read from clocks out of the candidate's reach, inside and outside.",
        "a clock that was slowed down",
        timed=True,
    ),
    Rule(
        "fresh",
        "Every timed call gets values that were never seen before.",
        "answers kept by the values of the input",
        timed=True,
    ),
    Rule(
        "floor",
        "No call is faster than the machine can do the work.",
        "work done before the clock starts, and whatever nobody has thought of",
        timed=True,
    ),
)
NAMES = tuple(rule.name for rule in RULES)


def named(names: "tuple[str, ...] | set[str] | frozenset[str]") -> tuple[Rule, ...]:
    """The rules of these names, in the order of `RULES`."""
    for name in names:
        if name not in NAMES:
            raise WorkbenchError(f"no rule is called {name!r}; there are {', '.join(NAMES)}")
    return tuple(rule for rule in RULES if rule.name in names)
