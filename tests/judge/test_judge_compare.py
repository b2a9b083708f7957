"""The comparison and the trial around it: laws, sentences, and faults of the reference."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.judge import Trial, Worker, compare, judge
from workbench.judge.profiles import arrays, shapes
from workbench.judge.wire import plain


def difference(expected, came, **options):
    return compare(plain(expected), plain(came), **options)


@settings(max_examples=50, deadline=None)
@given(arrays(shapes(2)))
def test_an_array_equals_itself_and_no_other(array):
    assert difference(array, array.copy()) is None
    changed = array.copy()
    changed[-1, -1] += 1 + abs(changed[-1, -1])
    found = difference(array, changed)
    assert found is not None
    assert found.kind == "values"
    assert f"at index {tuple(n - 1 for n in array.shape)}" in found.sentence
    assert f"(1 of {array.size} values differ)" in found.sentence


@given(st.floats(allow_nan=False))
def test_nan_equals_nothing(number):
    for expected, came in ((number, math.nan), (np.full(2, number), np.full(2, math.nan))):
        assert difference(expected, came).kind == "nan"
    assert difference(math.nan, number) is not None


def test_nan_never_equals_nan_unless_two_candidates_are_compared():
    assert difference(math.nan, math.nan) is not None
    assert difference(np.array([math.nan]), np.array([math.nan])) is not None
    assert difference(np.array([math.nan]), np.array([math.nan]), nan_equal=True) is None


def test_infinity_equals_infinity_of_the_same_sign():
    assert difference(math.inf, math.inf) is None
    assert difference(np.array([math.inf, 1]), np.array([math.inf, 1])) is None
    assert difference(math.inf, -math.inf) is not None
    assert difference(math.inf, 1e308) is not None
    assert difference(1e308, math.inf) is not None


def test_tolerances():
    assert difference(1.0, 1.0 + 1e-7) is None
    assert difference(1.0, 1.0 + 1e-5) is not None
    assert difference(0.0, 1e-13) is None
    assert difference(1e-6, 0.0) is not None
    assert difference(1e9, 1e9 + 1, rtol=0, atol=2) is None


@pytest.mark.parametrize(
    ("expected", "came", "kind", "sentence"),
    [
        (1.0, "a", "type", "The result should be a float, but a str came"),
        (1.0, True, "type", "The result should be a float, but a bool came"),
        (1, 1.0, "type", "The result should be an int, but a float came"),
        (True, 1, "type", "The result should be a bool, but an int came"),
        (1.0, None, "type", "The result should be a float, but None came"),
        (
            np.ones(2),
            [1.0, 1.0],
            "type",
            "The result should be an array of shape (2,), but a list of 2 parts came",
        ),
        ((1, 2), (1, 2, 3), "shape", "The result should have 2 parts, but 3 came"),
        ((1, (2, 3)), (1, (2, 4)), "values", "`result[1][1]` should be 3, but 4 came"),
        ({"a": 1}, {"b": 1}, "shape", "The result should have the keys 'a', but 'b' came"),
        (np.ones(3), np.ones((3, 1)), "shape", "The result should have shape (3,), but shape (3, 1) came"),
        (
            np.arange(3),
            np.arange(3.0),
            "dtype",
            "The result should hold integer numbers, but float numbers came (float64)",
        ),
        (1.0, 1.0000123, "values", "The result should be 1.0, but 1.00001 came"),
        (1.0, 1.0000012, "values", "The result should be 1.0, but 1.0000012 came"),
        ("abc", "abd", "values", "The result should be 'abc', but 'abd' came"),
        (2.0, 10**400, "values", "The result should be 2.0, but an int of 1329 bits came"),
    ],
)
def test_each_difference_is_one_sentence(expected, came, kind, sentence):
    found = difference(expected, came)
    assert (found.kind, found.sentence) == (kind, sentence)


@pytest.mark.parametrize(
    ("expected", "came"),
    [
        (2.0, 2),
        (2.0, np.float32(2)),
        (2.0, np.array(2.0)),
        ((1, 2), [1, 2]),
        (np.ones(2), np.ones(2, np.float32)),
        (np.arange(2), np.arange(2, dtype=np.uint8)),
        (2 + 0j, 2),
        (None, None),
    ],
    ids=str,
)
def test_what_loses_nothing_is_equal(expected, came):
    assert difference(expected, came) is None


def test_a_reference_that_returns_nan_is_the_exercises_fault():
    with pytest.raises(WorkbenchError, match=r"returns a NaN on f.*could accept anything"):
        Trial(lambda x: x / x if x else math.nan, [(0.0,)], name="f")
    with pytest.raises(WorkbenchError, match="returns a NaN"):
        Trial(lambda x: {"a": [np.where(x > 0, x, np.nan)]}, [(np.array([1.0, -1.0]),)])


def test_a_reference_that_fails_is_the_exercises_fault():
    with pytest.raises(WorkbenchError, match=r"fails on f\(x=0\) with ZeroDivisionError"):
        Trial(lambda x: 1 / x, [(0,)], name="f")
    with pytest.raises(WorkbenchError, match="an object of type set"):
        Trial(lambda x: {1}, [(0,)])
    with pytest.raises(WorkbenchError, match="at least one case"):
        Trial(lambda x: x, [])


def test_expected_values_are_computed_in_float64():
    x = np.full(100_000, 0.1, np.float32)
    trial = Trial(lambda x: x.cumsum()[-1], [(x,)])
    assert trial.expected[0] == pytest.approx(float(np.float32(0.1)) * 100_000, rel=1e-12)


def test_a_reference_that_cannot_take_float64_gets_what_there_is():
    def narrow(x):
        if x.dtype != np.float32:
            raise TypeError("float32 only")
        return x * 2

    assert Trial(narrow, [(np.ones(2, np.float32),)]).expected[0].data.dtype == np.float32


def test_the_reference_cannot_change_the_cases():
    def mutating(x):
        x *= 2
        return x

    trial = Trial(mutating, [(np.ones(2),)])
    assert trial.cases[0][0].data.tolist() == [1, 1]
    assert judge(lambda x: 2 * x, mutating, [(np.ones(2),)]).passed


def test_several_candidates_share_a_process():
    trial = Trial(lambda x: 2 * x, [(1.5,), (np.ones(2),)], timeout=0.5)
    with Worker() as worker:
        kinds = [
            trial.judge(f, worker, keep=True).kind for f in (lambda x: x + x, lambda x: 3 * x, lambda x: x)
        ]
        assert kinds == ["right", "values", "values"]
        assert not worker.closed
    assert worker.closed


def test_arguments_of_any_kind_arrive():
    def apply(f, table, name, pair):
        return f(table[name]) + sum(pair)

    cases = [(lambda v: v * 10, {"a": np.ones(3)}, "a", (1, 2)), (np.sum, {"a": np.ones(3)}, "a", [1, 2])]
    assert judge(lambda f, table, name, pair: apply(f, table, name, pair), apply, cases).passed


def test_a_missing_return_in_one_branch_is_not_called_blank():
    ruling = judge(lambda x: x if x > 0 else None, lambda x: x, [(1.0,), (-1.0,)])
    assert ruling.sentence == "The result should be a float, but None came."
    assert judge(lambda x: None, lambda x: x, [(1.0,), (-1.0,)]).kind == "blank"
