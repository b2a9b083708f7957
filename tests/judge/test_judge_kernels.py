"""The judge of kernels: what it accepts, how it says what is wrong, and what it withstands."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.judge import WHOLE, Both, Source, Task, drawn, first_failures
from workbench.judge.classics import (
    ADD_TWICE,
    CLASSICS,
    CROSS_ENTROPY,
    FIRST_LARGEST,
    LAYER_NORM,
    RELU,
    ROW_SUM,
    SOFTMAX,
    layer_norm,
    layer_norm_backward,
    relu,
    row_sum,
    softmax,
)
from workbench.judge.session import minimal
from workbench.judge.source import imported
from workbench.judge.task import round_to_bfloat16
from workbench.judge.verdict import Fault


def text(body, entry="kernel", **options):
    return Source("import numpy as np\n" + body, entry, **options)


# How far may a right answer be off?


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 2000), st.integers(0, 2**32 - 1))
def test_the_bound_holds_every_order_of_a_float32_sum(n, seed):
    x = np.random.default_rng(seed).standard_normal((1, n)).astype(np.float32)
    expected = ROW_SUM.expected((x,))
    total = np.float32(0)
    for value in x[0]:
        total += value
    assert abs(total - expected.values[0][0]) <= expected.bounds[0][0]
    assert abs(np.float32(x[0, ::-1].sum()) - expected.values[0][0]) <= expected.bounds[0][0]


def test_the_bound_is_wide_where_terms_cancel_and_narrow_where_they_do_not():
    large = np.array([[1e6, 1.0, -1e6]], np.float32)
    small = np.array([[1.0, 1.0, -1.0]], np.float32)
    assert ROW_SUM.expected((large,)).bounds[0][0] > 1e4 * ROW_SUM.expected((small,)).bounds[0][0]
    assert RELU.expected((small,)).bounds[0][0, 0] < 2e-5


def test_a_bound_is_never_met_by_half_the_digits():
    x = RELU.args()[0]
    expected = RELU.expected((x,))
    halved = np.maximum(x, 0).astype(np.float16).astype(np.float32)
    assert (np.abs(halved - expected.values[0]) > expected.bounds[0]).any()


def test_a_truth_beyond_float32_is_infinite_as_in_float32():
    task = drawn(
        "square", np.square, lambda draw, n: (draw(n) * np.float32(1e17),), ({"n": 4},), profiles=("huge",)
    )
    assert np.isinf(task.expected(task.args()).values[0]).all()
    assert WHOLE(task, np.square).accepted


def test_a_reference_with_a_nan_is_refused():
    task = drawn("root", np.sqrt, lambda draw, n: (draw(n),), ({"n": 4},))
    with pytest.raises(WorkbenchError, match="the reference of 'root' returns a NaN"):
        WHOLE(task, np.sqrt)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"shapes": ()}, "at least one shape"),
        ({"profiles": ("wild",)}, "but wild came"),
        ({"dtype": "float8"}, "but 'float8' came"),
    ],
)
def test_a_task_that_makes_no_sense_is_one_sentence(options, says):
    with pytest.raises(WorkbenchError, match=says):
        Task("t", relu, lambda *_: (), **{"shapes": ({"n": 1},), **options})


@given(st.floats(-(2.0**100), 2.0**100, width=32))
def test_bfloat16_is_the_nearest_of_those_with_sixteen_bits(x):
    rounded = round_to_bfloat16(np.float32([x]))
    assert rounded.view(np.uint32)[0] & 0xFFFF == 0
    assert abs(rounded[0] - np.float32(x)) <= abs(x) * 2.0**-8 + 1e-38
    assert round_to_bfloat16(rounded)[0] == rounded[0]


def test_arguments_repeat_by_seed_and_differ_by_profile_and_setting():
    for task in CLASSICS:
        one, two = task.args(seed=3), task.args(seed=3)
        assert all(np.array_equal(a, b) and a is not b for a, b in zip(one, two, strict=True))
        assert not np.array_equal(one[0], task.args(seed=4)[0])
    assert not np.array_equal(LAYER_NORM.args()[1], LAYER_NORM.args(setting=1)[1])
    assert abs(RELU.args(profile="huge")[0]).max() > 1e5


@pytest.mark.parametrize("which", range(3))
def test_gradients_of_layer_norm_are_those_of_differences(which):
    args = tuple(a.astype(np.float64) for a in LAYER_NORM.args({"rows": 3, "columns": 5}, setting=1))
    rng = np.random.default_rng(0)
    upstream, step = rng.standard_normal((3, 5)), rng.standard_normal(args[which].shape)
    h = 1e-6
    ahead, behind = (
        layer_norm(*args[:which], args[which] + s * h * step, *args[which + 1 :]) for s in (1, -1)
    )
    slope = (upstream * (ahead - behind)).sum() / (2 * h)
    assert np.isclose((layer_norm_backward(upstream, *args)[which] * step).sum(), slope, rtol=1e-6)


# Verdicts


def test_right_kernels_are_accepted_in_every_form():
    verdicts = WHOLE.each(
        SOFTMAX,
        {
            "function": softmax,
            "closure": (lambda one: lambda x: (e := np.exp(x - x.max(1)[:, None]) * one) / e.sum(1)[:, None])(
                np.float32(1)
            ),
            "text": text("def kernel(x):\n e = np.exp(x - x.max(1)[:, None])\n return e / e.sum(1)[:, None]"),
            "another entry": text(
                "def soft(x):\n e = np.exp(x - x.max(1)[:, None])\n return e / e.sum(1)[:, None]", "soft"
            ),
        },
    )
    assert all(verdict.accepted for verdict in verdicts.values()), verdicts
    assert verdicts["text"].calls > 100
    assert verdicts["text"].kind == "right"


WRONG = [
    (SOFTMAX, lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True), "profiles", "nan", "but NaN came"),
    (ROW_SUM, lambda x: x.sum(0), "", "shape", "should have shape (8,), but shape (32,) came"),
    (ROW_SUM, lambda x: x.sum(1).tolist(), "", "type", "but a list of 8 parts came"),
    (ROW_SUM, lambda x: np.float32(1), "", "shape", "should have shape (8,)"),
    (ROW_SUM, lambda x: x.sum(1).astype(int), "", "dtype", "should hold float numbers, but integer"),
    (ROW_SUM, lambda x: np.zeros((5000, 5000)), "", "shape", "(5000, 5000) came"),
    (FIRST_LARGEST, lambda x: x.shape[1] - 1 - x[:, ::-1].argmax(1), "profiles", "values", "should be 0"),
    (RELU, lambda x: 1 // 0, "", "exception", "ZeroDivisionError"),
    (LAYER_NORM, layer_norm, "gradients", "gradients", "none came"),
    (RELU, text("def kernel(x)\n    return x"), "", "load", "no Python"),
    (RELU, text("def other(x):\n    return x"), "", "load", "defines no function 'kernel'"),
    (RELU, text("def kernel(x):\n    y = x\n    return y[99, 0]"), "", "exception", "in line 4"),
    (
        RELU,
        text("import os\ndef kernel(x):\n    return np.maximum(x, 0)"),
        "imports",
        "imports",
        "imports os",
    ),
    (ADD_TWICE, lambda x, y: (2 * x + y, x), "", "type", "should be an array"),
]


def test_a_wrong_kernel_gets_one_sentence():
    verdicts = WHOLE.many([(task, candidate) for task, candidate, *_ in WRONG])
    for verdict, (_, _, rule, kind, says) in zip(verdicts, WRONG, strict=True):
        assert not verdict.accepted
        assert (verdict.rule, verdict.kind) == (rule, kind), verdict
        assert says in verdict.sentence
        assert "\n" not in verdict.sentence
        assert str(verdict).startswith("rejected: ")


def test_forward_and_backward_come_together():
    right = Both(layer_norm, layer_norm_backward)
    swapped = Both(layer_norm, lambda *args: layer_norm_backward(*args)[::-1])
    one = Both(layer_norm, lambda *args: layer_norm_backward(*args)[0])
    verdicts = WHOLE.each(LAYER_NORM, {"right": right, "swapped": swapped, "one": one})
    assert {name: (v.accepted, v.rule) for name, v in verdicts.items()} == {
        "right": (True, ""),
        "swapped": (False, "gradients"),
        "one": (False, "gradients"),
    }


def test_results_may_be_tuples_and_numbers_and_arguments_plain_numbers():
    def both(x, scale, axis):
        return scale * x.sum(axis), x.max()

    task = Task(
        "both",
        both,
        lambda shape, profile, seed, setting: (
            np.random.default_rng(seed).random((3, 4), np.float32),
            2.5,
            setting,
        ),
        ({},),
        settings=2,
        profiles=("positive",),
    )
    verdicts = WHOLE.each(
        task,
        {
            "right": lambda x, scale, axis: (scale * x.sum(axis), float(x.max())),
            "ignores the axis": lambda x, scale, axis: (scale * x.sum(0), x.max()),
            "one part": lambda x, scale, axis: (scale * x.sum(axis),),
            "two right": both,
        },
    )
    assert [v.accepted for v in verdicts.values()] == [True, False, False, True]
    assert verdicts["ignores the axis"].rule == "settings"
    assert "2 results were expected, but 1 came" in verdicts["one part"].sentence


def test_a_process_that_dies_is_replaced_and_the_next_candidate_judged():
    dies = text("import ctypes\ndef kernel(x):\n    ctypes.string_at(0)")
    loops = text("def kernel(x):\n    while True:\n        pass")
    judge = replace(WHOLE, patience=0.3, imports=WHOLE.imports | {"ctypes"})
    verdicts = judge.each(RELU, {"dies": dies, "loops": loops, "right": relu})
    assert [v.kind for v in verdicts.values()] == ["crash", "timeout", "right"]
    assert [v.kind for v in judge.many([(RELU, dies), (ROW_SUM, row_sum)])] == ["crash", "right"]


def test_an_open_judge_takes_one_candidate_after_another():
    with WHOLE.open() as judged:
        assert judged(RELU, relu).accepted
        assert judged(ROW_SUM, relu).kind == "shape"
        assert judged(ROW_SUM, row_sum).accepted


def test_two_arguments_are_one_array_only_where_that_makes_sense():
    def scaled(x, variance):
        return x / np.sqrt(variance)

    task = drawn("scaled", scaled, lambda draw, n: (draw(n), draw.positive(n)), ({"n": 9},))
    assert task.overlaps(task.args()) == [(0, 1)]
    assert WHOLE(task, scaled).accepted  # the root of x itself would be a NaN


def test_a_candidate_may_be_off_as_far_as_the_reference_in_float32():
    def near_one(x):
        return np.exp(x) - 1  # loses every digit of a tiny x

    task = drawn("near one", near_one, lambda draw, n: (draw(n),), ({"n": 9},), profiles=("mixed", "tiny"))
    assert WHOLE(task, lambda x: -(1 - np.exp(x))).accepted
    exact = replace(task, reference=np.expm1, kept={})
    assert WHOLE(exact, near_one).rule == "profiles"


def test_faults_lists_every_fault_with_the_rules_that_see_it():
    both = text("def kernel(x):\n    x[x < 0] = 0\n    return np.minimum(x, 6)")
    verdict = WHOLE.faults(RELU, both)
    assert {fault.needs for fault in verdict.faults} == {frozenset({"mutation"}), frozenset({"profiles"})}
    assert verdict.under({"nan"})
    assert not verdict.under({"nan", "mutation"})
    assert not verdict.accepted


def test_minimal_keeps_what_the_fewest_rules_see():
    a, ab, c = (Fault(frozenset(needs), "values", "") for needs in ("a", "ab", "c"))
    assert minimal([ab, a, c]) == [a, c]
    assert minimal([a, Fault(frozenset(), "type", "")])[0].needs == frozenset()


def test_first_failures_tell_from_how_many_tests_on_a_candidate_is_seen():
    rare = text("def kernel(x):\n    return np.maximum(x, 0) + (x.max() > 3.2)")
    found = first_failures(RELU, {"right": relu, "never": lambda x: -x, "rare": rare}, tests=40)
    assert found["right"] is None
    assert found["never"] == 0
    maxima = [RELU.args(seed=0)[0].max()]
    assert found["rare"] is None or found["rare"] > 0 or maxima[0] > 3.2


# The sandbox


def test_candidates_start_in_a_scratch_directory_that_goes_with_them(tmp_path):
    writes = text(
        "import os\ndef kernel(x):\n    open('kept.txt', 'w').write('x')\n    raise ValueError(os.getcwd())"
    )
    verdict = replace(WHOLE, imports=WHOLE.imports | {"os"})(RELU, writes)
    folder = verdict.sentence.split("ValueError: ")[1].split(",")[0]
    import os

    assert folder != os.getcwd()
    assert not os.path.exists(folder)


def test_references_and_answers_cannot_be_imported():
    for name in ("workbench.exercises", "workbench.judge.classics", "workbench.judge.tasks"):
        steals = text(f"import {name} as found\ndef kernel(x):\n    return found.relu(x)")
        verdict = replace(WHOLE, imports=WHOLE.imports | {"workbench"})(RELU, steals)
        assert (verdict.accepted, verdict.kind) == (False, "load"), verdict


def test_imports_are_read_without_running_anything():
    import scipy.special

    assert imported(Source("import os.path\nfrom numpy import linalg\nraise SystemExit")) == {"os", "numpy"}
    assert imported(lambda x: scipy.special.softmax(x)) == {"scipy"}
    assert imported(lambda x: np.maximum(x, 0)) == {"numpy"}
    assert "importlib" in imported(lambda name: __import__(name))


@pytest.mark.slow
def test_a_compiled_kernel_is_judged_like_any_other():
    compiled = text(
        """
from numba import njit

@njit
def kernel(logits, labels):
    out = np.empty(len(labels), logits.dtype)
    for i in range(len(labels)):
        top = logits[i].max()
        out[i] = np.log(np.exp(logits[i] - top).sum()) + top - logits[i, labels[i]]
    return out
"""
    )
    verdict = WHOLE(CROSS_ENTROPY, compiled)
    assert verdict.accepted, verdict
