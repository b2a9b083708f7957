"""Measuring claims: each seed once with the mechanism, once without, and a verdict from both."""

import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing import get_context

from workbench.budget import BUDGETS
from workbench.claims.find import hash_when_loaded, load_system, present
from workbench.claims.ledger import Ledger
from workbench.claims.model import FEWEST_SEEDS, Claim, Measure, Measured, Need, Needs, System
from workbench.claims.record import Record, commit
from workbench.claims.stats import interval
from workbench.claims.verdicts import ControlPassed, Verdict, decide
from workbench.errors import WorkbenchError

NEEDS: dict[Need, Verdict] = {"hardware": "needs hardware", "LLM": "needs LLM"}
Progress = Callable[[int, int, str], None]


def run_claim(
    system: System,
    claim: Claim | str,
    budget: str = "lesson",
    seeds: int | Sequence[int] | None = None,
    progress: Progress | None = None,
) -> Record:
    """Measures a claim and its control on the same seeds and returns the record with its verdict.

    `seeds`: how many, or which ones; the claim's own number by default (in the smoke budget one, or two
    to see that a claim without randomness has none). `progress(done, total, what)` is called before
    each run. The smoke budget proves that claim and control execute and gives no verdict.

    Raises `ControlPassed` where the control met the bar, and `WorkbenchError` for too few seeds, for a
    number that is not finite, and for a claim that declares seeds=1 but depends on the seed.
    """
    claim = claim if isinstance(claim, Claim) else system.claim(claim)
    name = f"{system.key}/{claim.id}"
    chosen = _seeds(claim, name, budget, seeds)
    from workbench.machine import machine_name  # on first use: it looks the machine over

    record = Record(
        system=system.key,
        claim=claim.id,
        bar=str(claim.bar),
        paper=claim.paper,
        provenance=claim.provenance,
        budget=budget,
        machine=machine_name(),
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        source=hash_when_loaded(system.key, claim.id),
    )
    if claim.needs:
        return replace(record, verdict=NEEDS[claim.needs])
    assert claim.measure is not None
    assert claim.control is not None
    values: list[Measured] = []
    controls: list[Measured] = []
    total = 2 * len(chosen)
    try:
        for seed in chosen:
            for measure, kept, what in (
                (claim.measure, values, "claim"),
                (claim.control, controls, "control"),
            ):
                if progress:
                    progress(len(values) + len(controls), total, f"{name}: {what}, seed {seed}")
                kept.append(_measured(measure, seed, budget, f"the {what} of {name}"))
    except Needs as missing:
        return replace(record, verdict=NEEDS[missing.what], why=str(missing))
    if progress:
        progress(total, total, name)
    record = replace(
        record,
        seeds=len(chosen),
        value=_mean([got.value for got in values]),
        baseline=_mean([got.baseline for got in values]),
        control_value=_mean([got.value for got in controls]),
        data=_data_used(),
        runs=[
            {
                "seed": seed,
                "value": got.value,
                "system": got.system,
                "baseline": got.baseline,
                "control": control.value,
            }
            for seed, got, control in zip(chosen, values, controls, strict=True)
        ],
    )
    if budget == "smoke":
        if claim.seeds == 1 and not math.isclose(values[0].value, values[-1].value, rel_tol=1e-9):
            raise WorkbenchError(
                f"{name} declares seeds=1 (no seed matters), but seeds {chosen[0]} and {chosen[-1]} gave "
                f"{values[0].value:g} and {values[-1].value:g}: give it {FEWEST_SEEDS} seeds"
            )
        return record
    got = interval([got.value for got in values])
    control = interval([got.value for got in controls])
    try:
        verdict = decide(claim.bar, got, control)
    except ControlPassed as passed:
        raise ControlPassed(f"{name}: {passed}") from None
    return replace(
        record,
        low=got.low,
        high=got.high,
        control_low=control.low,
        control_high=control.high,
        control_failed=claim.bar.missed_by(control),
        verdict=verdict,
    )


def _seeds(claim: Claim, name: str, budget: str, seeds: int | Sequence[int] | None) -> list[int]:
    """Which seeds to run, or a sentence why these are too few."""
    if budget not in BUDGETS:
        raise WorkbenchError(f"budget must be one of {', '.join(BUDGETS)}, but {budget!r} came")
    if seeds is None:
        seeds = claim.seeds if budget != "smoke" else 2 if claim.seeds == 1 else 1
    chosen = list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]
    fewest = FEWEST_SEEDS if claim.seeds > 1 and budget != "smoke" else 1
    if len(set(chosen)) < max(fewest, len(chosen)):
        raise WorkbenchError(
            f"{name} needs at least {fewest} different seeds in the {budget} budget, but {chosen} came"
        )
    return chosen


def _measured(measure: Measure, seed: int, budget: str, what: str) -> Measured:
    try:
        got = measure(seed, budget)
        return got if isinstance(got, Measured) else Measured(got)
    except Needs:
        raise
    except WorkbenchError as error:
        raise WorkbenchError(f"{what}, seed {seed}: {error}") from error


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _data_used() -> dict[str, str]:
    """Versions of the data sets that this process has loaded: a measure may have kept one from before."""
    return sys.modules["workbench_datasets"].used() if "workbench_datasets" in sys.modules else {}


@dataclass(frozen=True)
class Outcome:
    """What came of measuring one claim: a record, or one sentence that says why there is none.

    A system that cannot be imported has one outcome with an empty claim.
    """

    system: str
    claim: str
    record: Record | None = None
    error: str | None = None


def measure_all(
    keys: Iterable[str] | None = None,
    budget: str = "lesson",
    record: bool = False,
    jobs: int = 1,
    progress: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Measures every claim of these systems (default: all that have code), none stopping the others.

    Each result goes to the reader's ledger as it comes, and with `record` to the committed records.
    With `jobs` above 1, claims run in processes of their own, that many at once; claims with the
    provenance `measured` wait until the rest is done and run alone. In the smoke budget no number counts:
    all run side by side, and a system's claims one after the other in one process.
    """
    if record and budget == "smoke":
        raise WorkbenchError(
            "records come from the lesson or full budget, but the smoke budget was asked for"
        )
    ledger = Ledger()
    outcomes: list[Outcome] = []

    def keep(outcome: Outcome) -> None:
        if outcome.record:
            ledger.add("claim", **outcome.record.stored())
            if record:
                commit(outcome.record)
        outcomes.append(outcome)
        if progress:
            progress(outcome)

    alone: list[tuple[str, list[str]]] = []
    together: list[tuple[str, list[str]]] = []
    for key in keys or present():
        try:
            claims = load_system(key).claims
        except WorkbenchError:
            raise
        except Exception as error:
            keep(Outcome(key, "", error=f"{key} cannot be imported: {type(error).__name__}: {error}"))
            continue
        if budget == "smoke":
            together.append((key, [claim.id for claim in claims]))
            continue
        for claim in claims:
            (alone if claim.provenance == "measured" else together).append((key, [claim.id]))
    if jobs == 1:
        for key, ids in together + alone:
            for id in ids:
                keep(_attempt(key, id, budget))
        return outcomes
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(jobs) as threads:
        waiting = [threads.submit(_apart, key, ids, budget, max(1, cores // jobs)) for key, ids in together]
        for future in as_completed(waiting):
            for outcome in future.result():
                keep(outcome)
    for key, ids in alone:
        for outcome in _apart(key, ids, budget, cores):
            keep(outcome)
    return outcomes


def _attempt(key: str, id: str, budget: str) -> Outcome:
    try:
        return Outcome(key, id, run_claim(load_system(key), id, budget))
    except WorkbenchError as error:
        return Outcome(key, id, error=str(error))
    except Exception as error:
        return Outcome(key, id, error=f"{key}/{id} stopped with {type(error).__name__}: {error}")


def _apart(key: str, ids: Sequence[str], budget: str, cores: int) -> list[Outcome]:
    """The attempts in a fresh process. A crash takes nothing else with it: the rest gets a new one."""
    outcomes: list[Outcome] = []
    while len(outcomes) < len(ids):
        with ProcessPoolExecutor(1, get_context("spawn"), _cap_threads, (cores,)) as process:
            try:
                for id in ids[len(outcomes) :]:
                    outcomes.append(process.submit(_attempt, key, id, budget).result())
            except BrokenProcessPool:
                lost = ids[len(outcomes)]
                outcomes.append(Outcome(key, lost, error=f"{key}/{lost}: the process died while it measured"))
    return outcomes


def _cap_threads(cores: int) -> None:
    """Before any numeric library loads in this process: no more threads than its share of the cores."""
    for library in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
        os.environ[f"{library}_NUM_THREADS"] = str(cores)
