"""Contenders answer alike, trials say who was right, and the ledger's numbers are those of its geometry."""

import math
from dataclasses import replace

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.kernels import (
    Level,
    Neighborhood,
    Pace,
    attention_kernels,
    attention_naive_cost,
    attention_windowed_cost,
    neighborhood_naive_cost,
    staggered_scores_cost,
)
from workbench.machine import Machine
from workbench.probes import AttentionTask, Trial, attention_ledger, attention_paces, ledger_times, memory_of
from workbench.quantity import Quantity


@pytest.mark.parametrize(("tokens", "window"), [(1, 1), (5, 2), (70, 70), (130, 65)])
def test_contenders_give_the_same_answer(tokens, window):
    task = AttentionTask(tokens, window, dim=8)
    contenders = task.contenders()
    assert tuple(contenders) == attention_kernels(tokens, window)
    for run in contenders.values():
        np.testing.assert_allclose(run(), task.exact(), atol=1e-5)


def test_every_kernel_is_timed_and_gets_a_pace():
    paces = attention_paces(((8, 4), (16, 16), (24, 24)), dim=8, rounds=9, min_time=1e-5)
    assert set(paces) == set(attention_kernels(16, 16))
    assert all(pace.row >= 0 and 0 < pace.rate < math.inf for pace in paces.values())


def test_a_trial_says_what_a_choice_costs():
    predicted, clock = {"tiles": 1.0, "query by query": 2.0}, {"tiles": 3.0, "query by query": 2.0}
    measured = {name: Quantity(t, "s", "measured", machine="m", when="now") for name, t in clock.items()}
    trial = Trial(AttentionTask(8, 4), predicted, measured)
    assert trial.chosen == "tiles"
    assert (trial.price("tiles"), trial.price("query by query")) == (1.5, 1)
    assert trial.errors == pytest.approx({"tiles": -2 / 3, "query by query": 0})
    assert trial.fewest("scores") == trial.fewest("flops") == "query by query"


def test_a_trial_is_made_by_a_clock():
    memory = (Level(math.inf, 1e9),)
    trial = AttentionTask(8, 4, dim=8).trial({"tiles": Pace(1e-6, 1e9)}, memory, min_time=1e-5)
    assert set(trial.predicted) == set(trial.measured) == {"tiles"}
    assert trial.predicted["tiles"] == Pace(1e-6, 1e9).seconds(trial.works["tiles"])


def test_a_machine_becomes_levels():
    class Limits:
        levels = ("L1", "L2", "L3", "DRAM")

        def bandwidth(self, level):
            return type("Found", (), {"value": {"L1": 4e11, "L2": 1e11, "L3": 8e10, "DRAM": 3e10}[level]})

    memory = memory_of(Machine.here(), Limits())
    assert memory[-1] == Level(math.inf, 3e10)
    assert list(memory) == sorted(memory, key=lambda level: level.size)


@pytest.mark.parametrize(("tokens", "window"), [(33, None), (2, None), (33, 5), (33, 33), (7, 1)])
def test_entries_of_the_ledger_are_right(tokens, window):
    Q, K, V = np.random.default_rng(0).standard_normal((3, tokens, 8), np.float32)
    entries = attention_ledger(Q, K, V, window)
    for entry in entries:
        assert entry.error < 1e-5, entry.name
        assert entry.used >= entry.sees.sum()
        assert entry.made >= entry.used
        assert entry.row()["scores made"] == entry.made
        assert entry.flops >= 4 * 8 * entry.sees.sum()


def test_loads_are_those_of_the_closed_forms_that_counts_confirm():
    n, w, d = 33, 5, 8
    Q, K, V = np.random.default_rng(0).standard_normal((3, n, d), np.float32)
    found = {e.name: e.key_loads for e in (*attention_ledger(Q, K, V), *attention_ledger(Q, K, V, w))}
    assert found["whole matrix"] == attention_naive_cost(n, n, d, d).loads["K"]
    assert found["staggered"] == staggered_scores_cost(n, 4, d).loads["K"]
    assert found["query by query"] == attention_windowed_cost(n, d, d, w // 2).loads["K"]
    assert found["neighbours, stored"] == neighborhood_naive_cost(Neighborhood.of((n,), w), d, d).loads["K"]
    assert [found[passes] // (n * n * d) for passes in ("one pass", "two passes", "three passes")] == [
        1,
        2,
        3,
    ]


def test_an_error_is_seen():
    Q, K, V = np.random.default_rng(0).standard_normal((3, 9, 8), np.float32)
    entry = attention_ledger(Q, K, V)[0]
    assert replace(entry, operands=(Q, K, V + 1)).error > 0.1


def test_all_entries_are_timed():
    Q, K, V = np.random.default_rng(0).standard_normal((3, 9, 8), np.float32)
    entries = attention_ledger(Q, K, V, 3)
    times = ledger_times(entries, min_time=1e-5)
    assert list(times) == [entry.name for entry in entries]
    assert all(time.unit == "ms" and time.value > 0 for time in times.values())


def test_what_does_not_fit_is_refused():
    Q, K, V = np.zeros((3, 9, 8), np.float32)
    for window in (4, 11, -1):
        with pytest.raises(WorkbenchError, match="odd window"):
            attention_ledger(Q, K, V, window)
    with pytest.raises(WorkbenchError, match="one shape"):
        attention_ledger(Q, K[1:], V)
