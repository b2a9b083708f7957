"""Measuring: seeds, budgets, controls, and one bad claim that stops no other."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.claims import (
    AtLeast,
    AtMost,
    Claim,
    ControlPassed,
    Ledger,
    Measured,
    Needs,
    Outcome,
    System,
    load_system,
    measure_all,
    records,
    run_claim,
)
from workbench.claims import measure as measuring
from workbench.errors import WorkbenchError

Write = Callable[..., Path]


def toy(measure: Any = None, control: Any = None, **changed: Any) -> System:
    given: dict[str, Any] = {
        "says": "it gains",
        "paper": "2 times",
        "bar": AtLeast(1.5, null=1),
        "measure": measure or (lambda seed, budget: 2.0 + 0.01 * seed),
        "control": control or (lambda seed, budget: 1.0 + 0.01 * seed),
    }
    return System("toy-system", claims=[Claim("gain", **(given | changed))])


def test_a_record_holds_everything() -> None:
    system = toy(lambda seed, budget: Measured(2.0 + 0.01 * seed, system=4.0, baseline=2.0))
    record = run_claim(system, "gain", "lesson")
    assert record.verdict == "reproduced"
    assert record.value == pytest.approx(2.02)
    assert record.low is not None
    assert record.high is not None
    assert 2.0 <= record.low < 2.02 < record.high <= 2.04
    assert (record.seeds, record.baseline, record.budget) == (5, 2.0, "lesson")
    assert (record.control_failed, record.machine, record.source) == (True, "toy machine", None)
    assert record.when.endswith("+00:00")
    assert record.runs[3] == pytest.approx(
        {"seed": 3, "value": 2.03, "system": 4.0, "baseline": 2.0, "control": 1.03}
    )
    assert set(record.row()) == {
        *("system", "claim", "value", "low", "high", "bar", "baseline", "paper", "control_value"),
        *("control_failed", "verdict", "provenance", "seeds", "budget", "machine", "when", "stale"),
    }


def test_claim_and_control_see_the_same_seeds_and_budget() -> None:
    seen: dict[str, list[tuple[int, str]]] = {"claim": [], "control": []}

    def of(name: str, value: float) -> Any:
        def measure(seed: int, budget: str) -> float:
            seen[name].append((seed, budget))
            return value

        return measure

    record = run_claim(toy(of("claim", 2), of("control", 1)), "gain", "full", seeds=[3, 1, 4, 9, 2, 6])
    assert seen["claim"] == seen["control"] == [(seed, "full") for seed in (3, 1, 4, 9, 2, 6)]
    assert record.seeds == 6


def test_a_control_that_passes_is_an_error_but_not_in_smoke() -> None:
    system = toy(control=lambda seed, budget: 3.0)
    for budget in ("lesson", "full"):
        with pytest.raises(ControlPassed, match="toy-system/gain: the control reached 3 and so met"):
            run_claim(system, "gain", budget)
    assert run_claim(system, "gain", "smoke").verdict is None


def test_smoke_only_executes() -> None:
    record = run_claim(toy(), "gain", "smoke")
    assert (record.verdict, record.low, record.high, record.control_failed) == (None, None, None, None)
    assert (record.value, record.control_value, record.seeds) == (2.0, 1.0, 1)


def test_smoke_uncovers_a_claim_that_only_pretends_to_be_deterministic() -> None:
    pretends = toy(seeds=1, provenance="simulated")
    with pytest.raises(WorkbenchError, match=r"declares seeds=1 .* but seeds 0 and 1 gave 2 and 2.01"):
        run_claim(pretends, "gain", "smoke")
    honest = toy(lambda seed, budget: 2.0, seeds=1, provenance="counted")
    assert run_claim(honest, "gain", "smoke").seeds == 2
    record = run_claim(honest, "gain", "lesson")
    assert (record.value, record.low, record.high, record.seeds) == (2.0, 2.0, 2.0, 1)


@pytest.mark.parametrize("seeds", [4, 0, [0, 1, 2, 3], [0, 0, 1, 2, 3, 4]])
def test_too_few_seeds(seeds: Any) -> None:
    with pytest.raises(
        WorkbenchError, match="toy-system/gain needs at least 5 different seeds in the lesson"
    ):
        run_claim(toy(), "gain", "lesson", seeds=seeds)


def test_an_unknown_budget() -> None:
    with pytest.raises(WorkbenchError, match="budget must be one of smoke, lesson, full, but 'long' came"):
        run_claim(toy(), "gain", "long")


@pytest.mark.parametrize("budget", ["smoke", "lesson"])
def test_a_number_that_is_not_finite_names_claim_and_seed(budget: str) -> None:
    system = toy(control=lambda seed, budget: float("nan"))
    with pytest.raises(
        WorkbenchError, match=r"the control of toy-system/gain, seed 0: .*finite, but nan came"
    ):
        run_claim(system, "gain", budget)


def test_what_is_not_here_is_a_verdict_without_numbers() -> None:
    def no_gpu(seed: int, budget: str) -> float:
        raise Needs("hardware", "a GPU with 80 GiB")

    record = run_claim(toy(no_gpu), "gain", "lesson")
    assert (record.verdict, record.why) == ("needs hardware", "needs hardware: a GPU with 80 GiB")
    assert (record.value, record.seeds, record.control_failed) == (None, 0, None)
    assert run_claim(toy(needs="LLM"), "gain", "lesson").verdict == "needs LLM"


def test_a_bug_in_a_measure_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        run_claim(toy(lambda seed, budget: 1 / 0), "gain", "lesson")


def test_progress_reaches_its_end() -> None:
    told: list[tuple[int, int, str]] = []
    run_claim(toy(), "gain", "lesson", progress=lambda *step: told.append(step))
    assert [done for done, _, _ in told] == list(range(11))
    assert {total for _, total, _ in told} == {10}
    assert told[1] == (1, 10, "toy-system/gain: control, seed 0")


def test_other_bars() -> None:
    system = toy(lambda seed, budget: 1e-7, lambda seed, budget: 0.1, bar=AtMost(1e-5))
    assert run_claim(system, "gain", "lesson").verdict == "reproduced"


BAD = """
    from workbench.claims import AtLeast, Claim, System

    def one(seed, budget):
        return 1.0

    def broken(seed, budget):
        raise RuntimeError("out of luck")

    def two(seed, budget):
        return 2.0

    SYSTEM = System(
        key="toy-bad",
        claims=[
            Claim("broken", says="", paper="", bar=AtLeast(1.5), measure=broken, control=one),
            Claim("passes", says="", paper="", bar=AtLeast(1.5), measure=two, control=two),
            Claim("good", says="", paper="", bar=AtLeast(1.5), measure=two, control=one,
                  provenance="counted", seeds=1),
        ],
    )
"""


def test_one_bad_claim_stops_no_other(write: Write) -> None:
    write(BAD, "toy/toy_bad.py")
    write("import nothing_like_this\nSYSTEM = None", "toy/toy_broken.py")
    write()
    told: list[Outcome] = []
    outcomes = measure_all(record=True, progress=told.append)
    assert outcomes == told
    found = {
        (outcome.system, outcome.claim): outcome.record.verdict if outcome.record else outcome.error
        for outcome in outcomes
    }
    assert found.pop(("toy-bad", "passes")).startswith("toy-bad/passes: the control reached 2")  # type: ignore
    assert found.pop(("toy-broken", "")).startswith("toy-broken cannot be imported: ModuleNotFoundError")  # type: ignore
    assert found == {
        ("toy-bad", "good"): "reproduced",
        ("toy-bad", "broken"): "toy-bad/broken stopped with RuntimeError: out of luck",
        ("toy-system", "gain"): "reproduced",
    }
    assert outcomes[1].claim == "good"  # what shares the machine goes first, clocks come after
    assert [(row["system"], row["claim"]) for row in Ledger().rows("claim")] == [
        ("toy-bad", "good"),
        ("toy-system", "gain"),
    ]
    assert [record.claim for record in records("toy-bad")] == ["good"]


def test_without_record_only_the_ledger_is_written(write: Write) -> None:
    write()
    (outcome,) = measure_all(["toy-system"], "smoke")
    assert outcome.record is not None
    assert outcome.record.verdict is None
    assert records("toy-system") == []
    (row,) = Ledger().rows("claim", system="toy-system", budget="smoke")
    assert row["when"] == outcome.record.when
    with pytest.raises(WorkbenchError, match="records come from the lesson or full budget"):
        measure_all(["toy-system"], "smoke", record=True)
    with pytest.raises(
        WorkbenchError, match="no system 'toy-sistem' has code here; did you mean 'toy-system'"
    ):
        measure_all(["toy-sistem"])


def die_at_broken(key: str, id: str, budget: str) -> Outcome:
    """Stands for the attempt in a child process, where the toy systems cannot be found."""
    if id == "broken":
        os._exit(3)
    return Outcome(key, id, error=f"{os.environ['OMP_NUM_THREADS']} threads, process {os.getpid()}")


def test_a_process_that_dies_takes_no_other_claim_with_it(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(BAD, "toy/toy_bad.py")
    monkeypatch.setattr(measuring, "_attempt", die_at_broken)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    errors = {outcome.claim: outcome.error or "" for outcome in measure_all(["toy-bad"], jobs=2)}
    assert errors["broken"] == "toy-bad/broken: the process died while it measured"
    assert errors["good"].startswith("3 threads")  # shares the machine
    assert errors["passes"].startswith("6 threads")  # runs alone
    assert len({errors[claim].split()[-1] for claim in ("good", "passes")} | {str(os.getpid())}) == 3


def test_in_smoke_a_system_measures_in_one_process_and_outlives_a_crash(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(BAD, "toy/toy_bad.py")
    monkeypatch.setattr(measuring, "_attempt", die_at_broken)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    outcomes = measure_all(["toy-bad"], "smoke", jobs=2)
    claims = [claim.id for claim in load_system("toy-bad").claims]
    assert [outcome.claim for outcome in outcomes] == claims  # in order, none lost
    said = {outcome.claim: (outcome.error or "").split(", process ") for outcome in outcomes}
    assert said.pop("broken") == ["toy-bad/broken: the process died while it measured"]
    assert {threads for threads, _ in said.values()} == {"3 threads"}  # nothing is timed: all share
    after = claims[claims.index("broken") + 1 :]
    before = claims[: claims.index("broken")]
    for neighbours in (before, after):
        assert len({said[claim][1] for claim in neighbours}) <= 1  # one process until it dies
