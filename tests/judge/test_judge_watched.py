"""Watched arrays: trespasses are seen, counts are those of the counting build, nothing escapes."""

import math

import numpy as np
import pytest

from workbench.counting import Geometry, Level, count, kernel
from workbench.judge.watched import HELD, LINE, Apart, run_watched

SCALE = """
def kernel(x, a):
    out = np.empty(x.shape[0])
    for i in range(x.shape[0]):
        out[i] = x[i] * a
    return out
"""
X = np.arange(1.0, 8.0)


def run(text, *args):
    names = text.split("(")[1].split(")")[0].replace(" ", "").split(",")
    return run_watched(text, "kernel", args, tuple(names))


@kernel
def softmax_rows(x, out):
    for i in range(x.shape[0]):
        highest = x[i, 0]
        for j in range(1, x.shape[1]):
            if x[i, j] > highest:
                highest = x[i, j]
        total = 0.0
        for j in range(x.shape[1]):
            out[i, j] = math.exp(x[i, j] - highest)
            total += out[i, j]
        for j in range(x.shape[1]):
            out[i, j] = out[i, j] / total


SOFTMAX = """
def kernel(x):
    out = np.empty(x.shape)
    for i in range(x.shape[0]):
        highest = x[i, 0]
        for j in range(1, x.shape[1]):
            if x[i, j] > highest:
                highest = x[i, j]
        total = 0.0
        for j in range(x.shape[1]):
            out[i, j] = math.exp(x[i, j] - highest)
            total += out[i, j]
        for j in range(x.shape[1]):
            out[i, j] = out[i, j] / total
    return out
"""


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (20, 33)])
def test_counts_are_those_of_the_counting_build(shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    out = np.empty_like(x)
    cache = Geometry([Level(HELD * LINE, HELD)], line=LINE)
    counted = count(softmax_rows, x, out, geometry=cache)
    watched = run(SOFTMAX, x)
    assert watched["loads"] == {name: n for name, n in counted.loads.items() if n}
    assert watched["stores"] == {name: n for name, n in counted.stores.items() if n}
    assert watched["misses"] == dict(counted.cache["L1"].misses)
    for kind in ("sub", "exp", "add", "div"):
        assert watched["operations"].get(kind, 0) == counted.ops.get(kind, 0), kind
    np.testing.assert_allclose(watched["values"][0], out, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (("range(x.shape[0])", "range(x.shape[0] + 1)"), "bounds"),
        (("x[i]", "x[i - 1]"), "bounds"),
        (("out[i] =", "out[i] +="), "unset"),
        (("range(x", "range(1, x"), "unset"),
        (("out[i] =", "x[i] ="), "inputs"),
        (("return out", "return x"), "inputs"),
        (("x[i] * a", "x[i:] * a"), "whole"),
        (("x[i] * a", "np.sum(x)"), "whole"),
        (("x[i] * a", "x.sum()"), "whole"),
        (("x[i] * a", "x[i] / 0"), "exception"),
        (("    out = np", "    import os\n    out = np"), "exception"),
        (("x[i] * a", "open('a')"), "exception"),
        (("return out", "return nothing"), "exception"),
    ],
)
def test_every_trespass_has_its_kind(change, kind):
    assert change[0] in SCALE
    found = run(SCALE.replace(*change), X, 2.0)
    assert (found["kind"], found["values"]) == (kind, ())
    assert found["sentence"]


def test_the_innocent_kernel_is_found_so():
    found = run(SCALE, X, 2.0)
    assert found["kind"] == ""
    assert found["values"][0].tolist() == (2 * X).tolist()
    assert found["operations"] == {"mul": 7}
    assert found["loads"] == {"x": 7}
    assert found["stores"] == {"out": 7}


@pytest.mark.parametrize(
    ("body", "races"),
    [
        ("out[i] = x[i]", False),
        ("out[0] += x[i]", True),
        ("out[i // 2] = x[i]", True),
        ("out[i] = x[i] + x[0]", False),
        ("out[i] = x[i] + (out[i - 1] if i else 0.0)", True),
        ("out[i] = x[i] + (out[i + 1] if i < 6 else 0.0)", True),
        ("out[i] = x[i]; out[i] += 1.0", False),
        ("for j in prange(2): out[i] = x[i] + j", False),
    ],
)
def test_races_of_parallel_loops(body, races):
    text = f"def kernel(x):\n    out = np.zeros(7)\n    for i in prange(7):\n        {body}\n    return out\n"
    assert run(text, X)["kind"] == ("race" if races else "")
    assert run(text.replace("prange", "range"), X)["kind"] == ""


def test_two_parallel_loops_one_after_the_other_do_not_race():
    text = """
def kernel(x):
    out = np.zeros(7)
    for i in prange(7):
        out[i] = x[i]
    for i in prange(7):
        out[6 - i] = 2 * out[6 - i]
    return out
"""
    assert run(text, X)["values"][0].tolist() == (2 * X).tolist()


def test_endless_work_ends():
    assert run("def kernel(x):\n    while True:\n        x[0]\n", X)["sentence"].startswith("TimeoutError")


def test_integers_stay_integers_and_zero_size_is_fine():
    text = "def kernel(x, at):\n    out = np.zeros(2)\n    out[at[0]] = x[at[1]]\n    return out\n"
    assert run(text, X, np.array([1, 6]))["values"][0].tolist() == [0, 7]
    assert run(SCALE, np.empty(0), 2.0)["values"][0].shape == (0,)


def test_another_process_says_the_same_and_a_dead_one_is_replaced(monkeypatch):
    monkeypatch.setattr("workbench.judge.watched.SECONDS", 0.5)
    with Apart() as apart:
        here, there = run(SCALE, X, 2.0), apart(SCALE, "kernel", (X, 2.0), ("x", "a"))
        assert {k: v for k, v in here.items() if k != "values"} == {
            k: v for k, v in there.items() if k != "values"
        }
        assert here["values"][0].tolist() == there["values"][0].tolist()
        endless = "def kernel(x, a):\n    while True:\n        pass\n"
        assert apart(endless, "kernel", (X, 2.0), ("x", "a"))["kind"] == "timeout"
        assert apart(SCALE, "kernel", (X, 2.0), ("x", "a"))["kind"] == ""
