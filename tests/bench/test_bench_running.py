"""The benchmarks run, prove their peers, and give rows that JSON can hold."""

import json

import numpy as np
import pytest

from workbench.bench import Benchmark, bench, depthwise, every_benchmark, require_same
from workbench.errors import WorkbenchError


@pytest.mark.slow
@pytest.mark.parametrize("name", list(every_benchmark()))
def test_each_benchmark_agrees_with_its_peers_and_gives_rows(name):
    rows = json.loads(json.dumps(list(bench([name], quick=True))))
    assert len({row["peer"] for row in rows}) == len(rows) > 0
    for row in rows:
        assert row["benchmark"] == name
        assert row["low"] <= row["speedup"] <= row["high"]
        assert row["seconds"] > 0
        assert row["gflops"] >= 0  # a copy has none
        assert 0 <= row["busy"] <= 1
        assert row["provenance"] == "measured"
        assert row["machine"]
        assert row["when"]


def test_a_peer_that_computes_something_else_is_refused(monkeypatch):
    wrong = Benchmark(lambda: np.ones(3), {"liar": lambda: np.full(3, 1.01)}, flops=1)
    monkeypatch.setitem(depthwise.BENCHMARKS, "made-up", lambda quick: wrong)
    with pytest.raises(WorkbenchError, match=r"made-up and liar disagree by 9.9e-03"):
        list(bench(["made-up"], quick=True))


def test_shapes_and_nans_do_not_agree():
    with pytest.raises(WorkbenchError, match="disagree on the shape"):
        require_same("a and b", np.ones(3), np.ones(4), 1)
    with pytest.raises(WorkbenchError, match="disagree by nan"):
        require_same("a and b", np.ones(3), np.array([1, 1, np.nan]), 1)


def test_an_unknown_benchmark_names_the_known_ones():
    with pytest.raises(WorkbenchError, match="there are depthwise-7"):
        bench(["depthwise-8"])
