"""Is an exercise sound? Its reference passes, and everything that is wrong is refused for what it is."""

from typing import Any

from workbench.errors import WorkbenchError
from workbench.exercises.model import Exercise
from workbench.judge import Worker
from workbench.judge.cheats import cheats, endless, spying

PATIENCE = 0.25  # seconds that an endless loop gets


def prove(exercise: Exercise) -> list[str]:
    """Problems of an exercise as sentences; none for a sound one.

    The reference and every other right answer pass; a blank fails as a blank; every wrong answer is
    rejected and recognised by its own hint; an endless loop ends in a time-out; changing the inputs,
    handing them back, NaN, one answer for all, and looking for the reference earn nothing.
    """
    problems = _unwritten(exercise)
    try:
        trial = exercise.trial
        right = {"the reference": exercise.reference, "the solution": exercise.answer}
        right |= {f"the right answer {f.__name__}": f for f in exercise.also_right}
        cheating = cheats(exercise.reference, trial.cases[0], trial.expected[0])
        rulings = exercise.rule({**right, "a blank": _blank, "an unfinished blank": _unfinished, **cheating})
        behaviours = exercise.behaviours
    except WorkbenchError as error:
        return [f"{exercise.name}: {error}"]
    for name in right:
        if not rulings[name].passed:
            problems.append(f"{name} is rejected: {rulings[name]}")
    for name in ("a blank", "an unfinished blank"):
        if rulings[name].kind != "blank":
            problems.append(f"{name} is not seen as one: {rulings[name].sentence}")
    problems += [f"{name} is accepted" for name in cheating if rulings[name].passed]
    for name, ruling in behaviours.items():
        if ruling.passed:
            problems.append(f"the wrong answer {name!r} is accepted")
        elif (seen := exercise.looks_like(ruling)) != name:
            problems.append(f"the wrong answer {name!r} behaves like {seen!r}: no case tells them apart")
    problems += _from_outside(exercise)
    return [f"{exercise.name}: {problem}" for problem in problems]


def _unwritten(exercise: Exercise) -> list[str]:
    """What an author has left out."""
    wrong = exercise.wrong_answers
    needed = {
        "a wrong answer": wrong,
        "a right answer that is written differently": exercise.also_right,
        "a hint": exercise.hints,
        "an explanation of the solution": exercise.explanation,
    }
    missing = [f"{what} is missing" for what, given in needed.items() if not given]
    hints = [hint for _, hint in wrong.values()]
    if len(set(hints)) < len(hints):
        missing.append("two wrong answers share one hint")
    return missing + [
        f"the wrong answer {name!r} has no hint" for name, (_, hint) in wrong.items() if not hint
    ]


def _from_outside(exercise: Exercise) -> list[str]:
    """A spy and an endless loop, each in a process that has never seen the reference."""
    trial, problems = exercise.trial, []
    spy_for = spying(exercise.reference.__module__, exercise.reference.__qualname__)
    with Worker() as worker:
        spy = trial.judge(spy_for, worker, keep=True)
        if spy.passed:
            problems.append("looking for the reference in the process is accepted")
        patience, trial.timeout = trial.timeout, PATIENCE
        try:
            loop = trial.judge(endless, worker)
        finally:
            trial.timeout = patience
    if loop.kind != "timeout":
        problems.append(f"an endless loop does not end in a time-out: {loop.sentence}")
    return problems


def _blank(*args: Any) -> Any: ...


def _unfinished(*args: Any) -> Any:
    raise NotImplementedError
