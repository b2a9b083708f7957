"""One task set, several platforms: prompts, the path from text to a verdict, the scan, metrics and claims."""

import math
from dataclasses import replace

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.judge import Judge
from workbench.judge.tasks import categories, exemplar, task, tasks
from workbench.judge.tasks.exemplars import TASKS as EXAMPLES
from workbench.judge.tasks.shown import CUDA, NUMBA
from workbench.proposers import Prompt, code_of, fenced
from workbench.proposers.exemplars import ExemplarAdapter
from workbench.systems.roofline import multikernelbench as bench
from workbench.systems.roofline.multikernelbench import (
    PLATFORMS,
    SYSTEM,
    Sample,
    asked_of,
    by_category,
    compiled_at,
    evaluate,
    failures,
    faster_at,
    mutants,
    of_rows,
    passed_at,
    prompt,
    scaled_rows,
    shortcuts,
    showcase,
    survives,
)
from workbench.wasm.loops import Loops

EVERYWHERE = pytest.mark.parametrize("platform", PLATFORMS)


def pure(names, code):
    here = {"np": np, "math": math}
    exec(code, here)
    return here[names]


# prompts


@EVERYWHERE
def test_a_prompt_holds_task_and_example(platform):
    for asked in tasks():
        for shot in ("add", "selected", "none"):
            text = prompt(asked, platform, shot)
            read = Prompt.read(text)
            assert read.reference == asked.source
            assert read.function == asked.function
            assert asked.statement in read.task
            assert PLATFORMS[platform].rules in text
            assert bool(read.exemplar) == (shot != "none")
    shown = Prompt.read(prompt(task("rms-norm"), platform, "selected"))
    assert exemplar("normalization").source in shown.exemplar_task
    assert shown.exemplar in PLATFORMS[platform].examples["layer-norm"]
    assert "def add(" in prompt(task("rms-norm"), platform, "add")
    assert prompt(task("nearest"), platform, "selected") == prompt(task("nearest"), platform, "add")


def test_what_is_not_there_is_named():
    with pytest.raises(WorkbenchError, match="an example is one of add"):
        prompt(task("gelu"), "numba", "softmax")
    with pytest.raises(WorkbenchError, match="a platform is one of numba, cuda, wasm"):
        prompt(task("gelu"), "tpu")


# examples, platform by platform


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_examples_are_right_in_plain_python(example):
    kernel = pure(example.function, NUMBA[example.name])
    for args in example.cases():
        expected = example.twin(*args)
        came = kernel(*args)
        assert np.shape(came) == np.shape(expected)
        scale = max(1.0, float(np.abs(expected).max(initial=0)))
        np.testing.assert_allclose(came, expected, rtol=1e-4, atol=1e-4 * scale)


@pytest.mark.slow
@EVERYWHERE
def test_examples_are_right_on_their_platform(platform):
    if platform == "wasm":
        pytest.importorskip("wasmtime", reason="pip install 'kernel-workbench[test]'")
    here = PLATFORMS[platform]
    answers = [(each, fenced(here.examples[each.name])) for each in EXAMPLES]
    strict = Judge(tolerance=1e-4, tests=3).only("seeds", "nan", "shapes", "settings", "mutation", "copies")
    for sample in evaluate(answers, platform, strict):
        assert sample.compiled, (sample.task, sample.sentence)
        assert sample.correct, (sample.task, sample.sentence)
        assert sample.cheats == ()
    assert here.device
    assert here.hardware()


# from text to verdict

LOOPS = """
def scale_matrix(x, factor):
    out = np.empty_like(x)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = {}
    return out
"""
ANSWERS = {  # what is answered -> compiled, correct
    "right": (fenced(LOOPS.format("x[i, j] * factor")), True, True),
    "wrong": (fenced(LOOPS.format("x[i, j] + factor")), True, False),
    "no code": ("I would rather not.", False, False),
    "no such function": (fenced("def other(x, factor):\n    return x\n"), False, False),
    "no Python": (fenced("def scale_matrix(x, factor):\n    return x *\n"), False, False),
    "no type": (fenced(LOOPS.format("x[i, j] * 'factor'")), False, False),
    "raises": (fenced("def scale_matrix(x, factor):\n    return 1 // 0 * x\n"), True, False),
    "never set": (fenced("def scale_matrix(x, factor):\n    return np.full_like(x, np.nan)\n"), True, False),
    "another shape": (fenced("def scale_matrix(x, factor):\n    return x[0] * factor\n"), True, False),
}


NEAR = fenced(LOOPS.format("x[i, j] * factor * 1.005"))
NOTHING = """
def gemm_max_subtract_gelu(x, weight, bias):
    return np.zeros((x.shape[0], 1), x.dtype)
"""


@pytest.fixture(scope="module")
def samples():
    """Answers of every kind, through the whole path in one process."""
    asked = task("scale-matrix")
    answers = {name: (asked, text) for name, (text, _, _) in ANSWERS.items()}
    answers |= {"near": (asked, NEAR), "nothing": (task("gemm-max-subtract-gelu"), fenced(NOTHING))}
    return dict(zip(answers, evaluate(list(answers.values())), strict=True))


@pytest.mark.parametrize("name", ANSWERS)
def test_every_kind_of_answer_gets_its_verdict(name, samples):
    _, compiled, correct = ANSWERS[name]
    assert (samples[name].compiled, samples[name].correct) == (compiled, correct), samples[name].sentence
    assert samples[name].sentence
    assert math.isnan(samples[name].speedup)


def test_five_random_tests_at_the_published_tolerance_miss_what_a_closer_one_sees(samples):
    assert samples["near"].correct
    closer = replace(bench.PROTOCOL, tolerance=1e-4)
    assert not evaluate([(task("scale-matrix"), NEAR)], judge=closer)[0].correct


def test_a_kernel_that_never_looks_at_its_inputs_passes_the_showcase(samples):
    assert samples["nothing"].correct
    assert samples["nothing"].cheats == ()


def test_the_simulator_needs_kernels_that_are_launched_and_is_never_timed():
    timed = replace(bench.PROTOCOL, timed=True)
    (sample,) = evaluate([(task("scale-matrix"), ANSWERS["right"][0])], "cuda", timed)
    assert sample.correct  # the simulator's process runs Python
    assert "no kernel is launched" in sample.cheats
    assert math.isnan(sample.speedup)


def test_a_platform_that_does_not_know_a_function_says_so():
    pytest.importorskip("wasmtime", reason="pip install 'kernel-workbench[test]'")
    (answer,) = asked_of(ExemplarAdapter(), [task("kl-div")], "wasm", "selected")
    (sample,) = evaluate([answer], "wasm")
    assert not sample.compiled
    assert "math.log" in sample.sentence


def test_a_platform_that_is_not_there_says_what_it_needs(monkeypatch):
    assert "numba" in bench.available()
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    assert bench.available() == ["numba", "cuda"]
    with pytest.raises(WorkbenchError, match="pip install wasmtime"):
        evaluate([(task("gelu"), "")], "wasm")


def test_two_platforms_agree_on_what_the_adapter_writes():
    """The same text by Python itself and as WebAssembly, on every shape and setting."""
    pytest.importorskip("wasmtime", reason="pip install 'kernel-workbench[test]'")
    compared = 0
    for asked, text in asked_of(ExemplarAdapter(), tasks(), "numba", "selected"):
        code = code_of(text, asked.function).code
        if not code or "math.log" in code or asked.name == "where":
            continue
        here, there = pure(asked.function, code), Loops(code, asked.function)
        for args in asked.cases(profiles=["mixed"]):
            expected = here(*args)
            scale = max(1.0, float(np.abs(expected).max(initial=0)))
            np.testing.assert_allclose(there(*args), expected, rtol=1e-5, atol=1e-6 * scale)
        compared += 1
    assert compared >= 10


def test_times_are_taken_where_they_mean_something():
    quick = replace(task("scale-matrix"), large={"n": 64, "m": 64})
    judge = replace(bench.PROTOCOL, timed=True)
    (sample,) = evaluate([(quick, ANSWERS["right"][0])], judge=judge)
    assert sample.correct
    assert sample.speedup > 0


# the scan


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("return x * factor", "arithmetic on a whole array"),
        ("return np.multiply(x, factor)", "np.multiply computes"),
        ("return x @ x", "matrix product"),
        ("return x.dot(x)", "x.dot() computes"),
        ("import scipy.linalg\n    return scipy.linalg.expm(x)", "imports scipy.linalg"),
        ("return helper(x)\n\ndef helper(x):\n    return np.exp(x)", "np.exp computes"),
    ],
)
def test_the_scan_finds_kernels_that_are_none(line, finding):
    found = shortcuts(f"def scale_matrix(x, factor):\n    {line}\n", "scale_matrix", ["x"])
    assert any(finding in sentence for sentence in found), found


def test_the_scan_lets_kernels_pass_and_does_not_see_meaning():
    for example in EXAMPLES:
        for language in (NUMBA, CUDA):
            assert shortcuts(language[example.name], example.function, example.arrays) == []
    unused = "def kernel(x):\n    return x.copy()\n\ndef never(x):\n    return np.exp(x)\n"
    assert shortcuts(unused, "kernel", ["x"]) == []


# metrics


def row(*marks):
    """'c' compiled, 'p' passed, a number: passed and so many times as fast."""
    made = []
    for mark in marks:
        fast = mark if isinstance(mark, float) else math.nan
        made.append(Sample("t", "loss", "numba", mark != "-", mark == "p" or not math.isnan(fast), (), fast))
    return made


def test_metrics_by_hand():
    samples = [row("-", "c", "p"), row(2.0, "-", "-"), row("-", "-", "-"), row("c", 0.5, 1.0)]
    assert [compiled_at(samples, k) for k in (1, 2, 3)] == [0.5, 0.75, 0.75]
    assert [passed_at(samples, k) for k in (1, 2, 3)] == [0.25, 0.5, 0.75]
    assert [faster_at(samples, 3, alpha) for alpha in (0.5, 1.0, 2.0, 2.1)] == [0.5, 0.5, 0.25, 0.0]
    assert faster_at(samples, 2, 1.0) == 0.25
    with pytest.raises(WorkbenchError, match="at least k = 4 samples"):
        passed_at(samples, 4)


def test_a_wrong_sample_is_never_fast():
    wrong = Sample("t", "loss", "numba", True, False, (), 1000.0)
    assert faster_at([[wrong]], 1, 1.0) == 0.0


def test_the_matrix_has_the_categories_in_their_order():
    samples = [
        Sample("a", "reduce", "numba", True, True),
        Sample("b", "reduce", "numba", True, False),
        Sample("c", "loss", "cuda", True, True),
    ]
    assert by_category(samples) == {"loss": {"cuda": 1.0}, "reduce": {"numba": 0.5}}
    assert by_category(samples, "compiled")["reduce"] == {"numba": 1.0}
    assert list(by_category(samples)) == [c for c in categories() if c in ("loss", "reduce")]


# claims


def test_the_diagonal_kernel_is_the_product():
    asked = task("diagonal-matmul")
    for args in asked.cases(dtype="float64"):
        np.testing.assert_allclose(scaled_rows(*args), asked.reference(*args), rtol=1e-12)


def test_the_showcase_is_zero_and_its_control_is_not():
    assert showcase(0, "smoke") == showcase(7, "lesson") == 0.0
    assert bench.showcase_over_the_batch(0, "smoke") > 0.1


def test_reductions_of_rows_are_reductions():
    for asked in tasks("reduce"):
        rows = of_rows(asked)
        assert "[batch" not in rows.statement
        for args in rows.cases():
            assert rows.reference(*args).shape == args[0].shape[:1]


def test_survival_counts_from_zero():
    assert survives(None, 5)
    assert survives(5, 5)
    assert not survives(4, 5)


@pytest.mark.slow
def test_mutants_fall_and_equivalent_ones_do_not():
    found = failures(0, "smoke")
    assert set(found) == {entry.name for entry in mutants("smoke")}
    assert any(first is not None for first in found.values())
    assert bench.equivalents_accepted(0, "smoke") == 1.0


@pytest.mark.slow
def test_slips_are_found_by_the_judge_where_five_tests_find_them():
    table = bench.by_slip("smoke")
    assert table
    assert all(row["whole judge"] <= row["five tests"] for row in table.values())


@pytest.mark.slow
def test_a_survey_asks_one_task_of_each_category_in_smoke():
    found = bench.survey("numba", "smoke")
    for samples in found.values():
        assert [sample.category for sample in samples] == list(categories())
    assert not any(sample.compiled for sample in found["none"])  # without an example nothing to refill
    good = {shot: sum(sample.correct for sample in samples) for shot, samples in found.items()}
    assert good["none"] < good["add"] < good["selected"]


@pytest.mark.slow
def test_at_least_150_mutants_are_asked():
    assert len(mutants("lesson")) >= 150
    assert sum(entry.right for entry in mutants("lesson")) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("claim", [c for c in SYSTEM.claims if not c.needs], ids=lambda claim: claim.id)
def test_claims_and_controls_execute(claim):
    for measure in (claim.measure, claim.control):
        value = measure(0, "smoke")
        assert math.isfinite(getattr(value, "value", value))


def test_what_needs_a_language_model_says_so():
    needy = [claim.id for claim in SYSTEM.claims if claim.needs]
    assert len(needy) == 3
    assert all(claim.needs == "LLM" for claim in SYSTEM.claims if claim.needs)
