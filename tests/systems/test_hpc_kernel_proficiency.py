"""Marks for suggestions: the kernels against libraries, the scorer against labels, and the mark by cases."""

import ast
import math
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import blas

from workbench.claims import Claim
from workbench.errors import WorkbenchError
from workbench.judge import WHOLE, Source
from workbench.proposers import Message, Proposer, code_of, fenced
from workbench.proposers.programming_models import KERNELS, MODELS, function_of, right_text, wrong_texts
from workbench.proposers.suggestions import Question, Rates, Suggester, disguised, in_words
from workbench.systems.roofline import hpc_kernel_proficiency as hpc
from workbench.systems.roofline.hpc_kernel_proficiency import Finding, mark

RNG = np.random.default_rng(0)
DECOYS = "# prange, import torch, @cuda.jit, from scipy import sparse\n"


# The kernels against independent truth


@pytest.mark.parametrize("n", [1, 2, 17])
def test_dense_kernels_agree_with_blas(n):
    x, y = RNG.standard_normal((2, n))
    a, b = RNG.standard_normal((n + 3, n)), RNG.standard_normal((n, 2))
    np.testing.assert_allclose(hpc.axpy(2.5, x, y), blas.daxpy(x, y.copy(), a=2.5), rtol=1e-14)
    np.testing.assert_allclose(hpc.gemv(a, x), blas.dgemv(1.0, a, x), rtol=1e-12)
    np.testing.assert_allclose(hpc.gemm(a, b), blas.dgemm(1.0, a, b), rtol=1e-12)


@pytest.mark.parametrize("case", range(len(hpc.TASKS["SpMV"].shapes)))
def test_the_sparse_product_agrees_with_scipy_and_has_empty_rows(case):
    task = hpc.TASKS["SpMV"]
    shape = task.shapes[case]
    data, indices, indptr, x = task.args(shape)
    matrix = scipy.sparse.csr_array((data, indices, indptr), shape=(shape["m"], shape["n"]))
    np.testing.assert_allclose(hpc.spmv(data, indices, indptr, x), matrix @ x, rtol=1e-12)
    if shape["m"] > 2:
        assert indptr[1] == 0
        assert indptr[-2] == indptr[-1] > 0


def test_a_matrix_of_empty_rows_gives_zeros():
    nothing = np.empty(0), np.empty(0, np.int64), np.zeros(4, np.int64)
    np.testing.assert_array_equal(hpc.spmv(*nothing, np.ones(2)), np.zeros(3))


@pytest.mark.parametrize(("p", "q"), [(1, 1), (2, 5), (7, 7), (4, 4)])
def test_a_sweep_damps_each_sine_by_the_mean_of_two_cosines(p, q):
    n = 8
    at = np.arange(n + 1) / n
    wave = np.outer(np.sin(p * np.pi * at), np.sin(q * np.pi * at))
    factor = (math.cos(p * math.pi / n) + math.cos(q * math.pi / n)) / 2
    inner = (slice(1, -1), slice(1, -1))
    np.testing.assert_allclose(hpc.jacobi(wave)[inner], factor * wave[inner], atol=1e-14)


def test_a_sweep_keeps_the_edge_and_a_linear_slope():
    slope = np.add.outer(np.arange(5.0), 2 * np.arange(7.0))
    np.testing.assert_allclose(hpc.jacobi(slope), slope)
    assert hpc.jacobi(np.ones((1, 1))).shape == (1, 1)


@pytest.mark.parametrize("distinct", [1, 2, 4])
def test_conjugate_gradients_take_as_many_steps_as_there_are_distinct_eigenvalues(distinct):
    n = 12
    values = np.linspace(1, 3, distinct)[np.arange(n) % distinct]
    q, _ = np.linalg.qr(RNG.standard_normal((n, n)))
    a, b = q * values @ q.T, RNG.standard_normal(n)
    x, steps = hpc.conjugate_gradients(a, b, 1e-9)
    assert steps == distinct
    np.testing.assert_allclose(x, np.linalg.solve(a, b), rtol=1e-7)


def test_conjugate_gradients_agree_with_scipy():
    a, b = hpc.TASKS["CG"].args({"n": 10})
    theirs, info = scipy.sparse.linalg.cg(a, b, rtol=1e-13)
    assert info == 0
    np.testing.assert_allclose(hpc.conjugate_gradients(a, b)[0], theirs, rtol=1e-9)
    np.testing.assert_allclose(hpc.cg(a, b), theirs, rtol=1e-9)
    assert hpc.conjugate_gradients(a, 0 * b)[1] == 0


# The mark


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        ([], 0.0),
        ([("", False)] * 10, 0.0),
        ([("numpy", True)], 0.0),
        ([("cuda", False)], 0.0),
        ([("cuda", True)], 1.0),
        ([("cuda", True), ("", False)], 1.0),
        ([("cuda", True)] * 10, 0.75),
        ([("cuda", True), ("cuda", False)], 0.5),
        ([("cuda", True), ("numpy", True)], 0.25),
        ([("cuda", True), ("cuda", False), ("python", False)], 0.25),
        ([("cuda", True), ("cuda + torch", True)], 0.25),
    ],
)
def test_marks(came, expected):
    assert mark("cuda", [Finding(model, right) for model, right in came]) == expected


@given(st.lists(st.tuples(st.sampled_from(["cuda", "numpy", ""]), st.booleans()), max_size=10), st.randoms())
def test_the_order_of_suggestions_does_not_matter(came, random):
    findings = [Finding(model, right) for model, right in came]
    shuffled = list(findings)
    random.shuffle(shuffled)
    assert mark("cuda", findings) == mark("cuda", shuffled)


def test_pass_at_k_is_the_mean_over_all_draws():
    from itertools import combinations

    for n, c, k in [(1, 1, 1), (5, 2, 1), (5, 2, 3), (6, 0, 2), (4, 4, 4)]:
        draws = list(combinations([True] * c + [False] * (n - c), k))
        assert hpc.pass_at(k, n, c) == pytest.approx(np.mean([any(draw) for draw in draws]))
    with pytest.raises(WorkbenchError, match="k=3, n=2, c=1"):
        hpc.pass_at(3, 2, 1)


def test_the_mark_falls_and_pass_at_one_does_not():
    assert hpc.falls(0, "lesson").value == 0.25
    assert hpc.pass_falls(0, "lesson").value <= 0.0
    assert hpc.mark_of(1, 0, 0) == 1.0 > hpc.mark_of(2, 0, 0)


# The author


def test_each_text_with_a_mistake_differs_from_the_right_one_at_one_place():
    for kernel in KERNELS:
        for model in MODELS:
            right = right_text(kernel, model)
            wrong = wrong_texts(kernel, model)
            assert len(wrong) >= 1
            assert len({ast.dump(ast.parse(text)) for text in [right, *wrong]}) == 1 + len(wrong)
            assert code_of(fenced(right), function_of(kernel)).code


def test_the_suggester_is_a_proposer_that_answers_the_same_each_time():
    author, question = Suggester(3), Question("SpMV", "numba parallel", True)
    assert isinstance(author, Proposer)
    assert Question.read(hpc.prompt(question)) == question
    came = author.suggestions(question)
    assert len(came) in (1, 10)
    history: list[Message] = []
    for suggestion in came:
        answer = author.propose(hpc.prompt(question), history)
        assert answer == suggestion.text
        history.append(Message("assistant", answer))
    with pytest.raises(WorkbenchError, match="'FFT'"):
        author.propose("FFT numpy")


def test_declared_rates_are_kept():
    author = Suggester(0, {"numpy": Rates(mistake=0.3, other=0.2, disguise=0.1, words=0.1)})
    ways = [author.suggestion(Question("AXPY", "numpy"), number).way for number in range(2000)]
    for way, rate in [("mistake", 0.3), ("other", 0.2), ("disguise", 0.1), ("words", 0.1), ("right", 0.3)]:
        assert ways.count(way) / 2000 == pytest.approx(rate, abs=0.04)


def test_a_survey_has_more_than_600_suggestions():
    for seed in range(5):
        assert sum(len(came) for _, came in hpc.of_budget(seed, "lesson")) >= 600


# The scorer


def of(kernel: str, *codes: str) -> list[Finding]:
    return hpc.SCORER.findings([(kernel, fenced(code)) for code in codes])


def test_words_change_nothing_and_comments_are_no_code():
    right = right_text("AXPY", "numpy")
    plain, decoyed, words = of("AXPY", right, DECOYS + right, DECOYS + in_words(right))
    assert plain == decoyed == Finding("numpy", True)
    assert words.model == ""
    assert not words.right


def test_the_model_is_what_runs():
    serial = right_text("SpMV", "numba serial")
    hidden, _ = disguised("SpMV", "scipy.sparse", np.random.default_rng(0))
    loops = serial.replace("@njit\n", "")
    dense = """
import numpy as np
from scipy import sparse

def spmv(data, indices, indptr, x):
    return sparse.csr_array((data, indices, indptr), shape=(len(indptr) - 1, len(x))).toarray() @ x
"""
    found = of("SpMV", serial + "# prange\n", right_text("SpMV", "scipy.sparse"), hidden, loops, dense)
    assert [each.model for each in found] == ["numba serial", "scipy.sparse", "numpy", "python", "numpy"]
    assert all(each.right for each in found)


def test_mistakes_are_found_and_told():
    wrong = wrong_texts("SpMV", "numpy")
    assert [each.right for each in of("SpMV", *wrong)] == [False] * len(wrong)
    assert (
        "imports os" in of("AXPY", "import os\n\ndef axpy(alpha, x, y):\n    return alpha * x + y\n")[0].why
    )
    broken = of("AXPY", "import numpy as np\n\nraise RuntimeError\n\ndef axpy(alpha, x, y):\n    pass\n")[0]
    assert broken.model == "other"
    assert not broken.right


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_whole_judge_accepts_the_implementations_in_numpy(kernel):
    assert WHOLE(hpc.TASKS[kernel], Source(right_text(kernel, "numpy"), function_of(kernel))).accepted


def met(claim: Claim, measure: Any) -> bool:
    came = measure(0, "smoke")
    return claim.bar.low <= getattr(came, "value", came) <= claim.bar.high


@pytest.mark.parametrize(
    "claim", [claim for claim in hpc.SYSTEM.claims if not claim.needs], ids=lambda c: c.id
)
def test_claims_run_in_smoke_and_their_controls_fail(claim):
    assert not met(claim, claim.control)
    assert met(claim, claim.measure) or claim.id == "ranks-as-pass-at-1"  # six prompts are few to rank


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_every_implementation_is_right_and_every_mistake_is_seen(model):
    texts = [(kernel, [right_text(kernel, model), *wrong_texts(kernel, model)]) for kernel in KERNELS]
    found = iter(hpc.SCORER.findings([(kernel, fenced(code)) for kernel, codes in texts for code in codes]))
    for kernel, codes in texts:
        for i in range(len(codes)):
            finding = next(found)
            assert (finding.model, finding.right) == (model, i == 0), (kernel, i, finding)
