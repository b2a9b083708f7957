"""The adapter: elements of numpy expressions, the skeleton of an example, nothing that it was not shown."""

import ast
import math

import numpy as np
import pytest

from workbench.proposers import code_of
from workbench.proposers.elements import Reference, Unfit, Value
from workbench.proposers.exemplars import ExemplarAdapter, reference
from workbench.proposers.prompt import Prompt

ROW_SUMS = """
def row_sums(x):
    out = np.empty((x.shape[0],), x.dtype)
    for i in range(x.shape[0]):
        total = 0.0
        for j in range(x.shape[1]):
            total += x[i, j]
        out[i] = total
    return out
"""
CENTRED = """
def centred(x):
    out = np.empty_like(x)
    for i in prange(x.shape[0]):
        mean = 0.0
        for j in range(x.shape[1]):
            mean += x[i, j]
        mean /= x.shape[1]
        for j in range(x.shape[1]):
            out[i, j] = x[i, j] - mean
    return out
"""
PRODUCT = """
def product(P, Q):
    out = np.empty((P.shape[0], Q.shape[1]), P.dtype)
    for i in range(P.shape[0]):
        for j in range(Q.shape[1]):
            total = 0.0
            for k in range(P.shape[1]):
                total += P[i, k] * Q[k, j]
            out[i, j] = total
    return out
"""
EXAMPLES = {
    "row sums": ("x [n, m]", "def row_sums(x):\n    return np.sum(x, axis=1)", ROW_SUMS),
    "centred": ("x [n, m]", "def centred(x):\n    return x - np.mean(x, axis=1, keepdims=True)", CENTRED),
    "product": ("P [n, k], Q [k, m]", "def product(P, Q):\n    return P @ Q", PRODUCT),
}


def asked(example, arguments, source):
    shown, its_source, kernel = EXAMPLES[example]
    return Prompt(
        task=f"Something.\nArguments: {arguments}.",
        signature="kernel(...)",
        reference=source,
        exemplar_task=f"An example.\nArguments: {shown}.\n\n```python\n{its_source}\n```",
        exemplar=kernel.strip(),
    ).text()


def answered(example, arguments, body):
    names = [part.split(" [")[0].strip(" ]") for part in arguments.replace("], ", "]; ").split("; ")]
    names = [name for part in names for name in part.split(", ")]
    source = f"def kernel({', '.join(names)}):\n    {body}"
    text = ExemplarAdapter().propose(asked(example, arguments, source))
    return source, text


def both(source, code):
    here = {"np": np, "math": math, "prange": range}
    exec(source, here)
    expected = here["kernel"]
    exec(code, here)
    return expected, here["kernel"]


@pytest.mark.parametrize(
    ("example", "arguments", "body"),
    [
        ("row sums", "x [n, m]", "return np.max(x, axis=1)"),
        ("row sums", "x [n, m]", "return np.sum(x, axis=0)"),
        ("row sums", "x [n, m]", "return np.prod(np.abs(x) + 0.5, axis=-1)"),
        ("row sums", "x [n, m]", "return np.sqrt(np.mean(x * x, axis=1))"),
        ("row sums", "x [n, m]", "return np.max(x, axis=1) - np.min(x, axis=1)"),
        ("row sums", "a [rows, k], w [k]", "return np.sum(a * w, axis=1) / a.shape[0]"),
        ("centred", "x [n, m]", "return x / (np.max(np.abs(x), axis=1, keepdims=True) + 1.0)"),
        ("centred", "x [n, m], w [m]", "return (x - np.sum(x, axis=1)[:, None]) * w"),
        ("centred", "x [n, m]", "e = np.exp(x - np.max(x, axis=1, keepdims=True))\n    "
         "return e / np.sum(e, axis=1, keepdims=True)"),
        ("product", "A [n, k], B [m, k]", "return A @ B.T"),
        ("product", "A [k, n], B [k, m], c [m]", "return np.maximum(A.T @ B + c, -0.25)"),
        ("product", "d [n], B [n, m]", "return np.where(B > 0, np.diag(d) @ B, -1.0)"),
    ],
)  # fmt: skip
def test_a_fitting_example_gives_a_right_kernel(example, arguments, body):
    source, text = answered(example, arguments, body)
    code = code_of(text, "kernel")
    assert code, text
    expected, kernel = both(source, code.code)
    generator = np.random.default_rng(0)
    sizes = {"n": 3, "m": 5, "k": 4, "rows": 2}
    axes = [
        part.split(" [")[1].strip("] ").split(", ") for part in arguments.replace("], ", "]; ").split("; ")
    ]
    args = [generator.standard_normal([sizes[axis] for axis in each]) for each in axes]
    np.testing.assert_allclose(kernel(*args), expected(*args), rtol=1e-12)


@pytest.mark.parametrize(
    ("example", "arguments", "body", "why"),
    [
        ("row sums", "x [n, m]", "return np.sum(x, axis=2)", "not one of 2 axes"),
        ("row sums", "x [n, m]", "return np.sum(x, axis=(0, 1))", "not one of 2 axes"),
        ("row sums", "x [n, m]", "return np.sum(x)", "has 1 axes, that of the task 0"),
        ("row sums", "x [b, n, m]", "return np.sum(x, axis=1)", "has 1 axes, that of the task 2"),
        ("row sums", "A [n, k], B [k, m]", "return A @ B", "has 1 axes, that of the task 2"),
        ("row sums", "A [n, k], B [k, m]", "return np.sum(A @ B, axis=1)", "no loop for"),
        ("centred", "x [n, m]", "return x * 2 + np.cumsum(x, axis=1)", "not known element by element"),
        ("centred", "x [n, m]", "return x[::2] - np.mean(x, axis=1, keepdims=True)", "picks elements"),
        ("centred", "A [n, k], B [k, m]", "return A @ B", "no loop for"),
        ("row sums", "i [n, m]", "return np.sum(i, axis=1)", "i counts a loop"),
        ("product", "x [n, m]", "return x - np.mean(x, axis=1, keepdims=True)", "no loop for"),
        ("product", "A [n, k], B [k, m]", "for row in A:\n        pass\n    return A @ B", "no expression"),
    ],
)
def test_without_a_fitting_example_there_is_no_answer(example, arguments, body, why):
    _, text = answered(example, arguments, body)
    assert not code_of(text, "kernel")
    assert why in text


def test_the_loops_are_those_of_the_example():
    """A parallel loop stays parallel, and a name of the example's own never gets into the answer."""
    _, text = answered("centred", "y [n, m]", "return y / np.sum(y, axis=1, keepdims=True)")
    code = code_of(text, "kernel").code
    assert "for i in prange(y.shape[0])" in code
    assert "mean" not in code
    assert "x" not in {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}


def test_nothing_but_the_prompt_matters():
    _, text = answered("row sums", "x [n, m]", "return np.max(x, axis=1)")
    _, again = answered("row sums", "x [n, m]", "return np.max(x, axis=1)")
    assert text == again
    assert "no worked example" in ExemplarAdapter().propose(Prompt(task="t", signature="f(x)").text())
    assert "does not fit" in ExemplarAdapter().propose("a poem")


def test_an_example_whose_loops_are_not_its_reference_is_refused():
    shown = EXAMPLES["centred"]
    EXAMPLES["torn"] = ("x [n, m]", EXAMPLES["row sums"][1].replace("row_sums", "centred"), shown[2])
    try:
        wrong = EXAMPLES["torn"][1].replace("np.sum(x, axis=1)", "np.sum(x, axis=1) + np.max(x, axis=1)")
        EXAMPLES["torn"] = ("x [n, m]", wrong, shown[2])
        _, text = answered("torn", "x [n, m]", "return np.max(x, axis=1)")
    finally:
        del EXAMPLES["torn"]
    assert "has 2 reductions, its kernel 1" in text


def test_an_example_with_loops_over_something_else_is_refused():
    twice = ROW_SUMS.replace("    for i in", "    for again in range(2):\n     for i in")
    EXAMPLES["twice"] = (*EXAMPLES["row sums"][:2], twice)
    try:
        _, text = answered("twice", "x [n, m]", "return np.max(x, axis=1)")
    finally:
        del EXAMPLES["twice"]
    assert "no part of a known skeleton" in text


def test_elements():
    made = reference("def f(x, w, s):\n    y = x * s\n    return y + w", "Arguments: x [n, m], w [m], s.")
    assert made.axes(made.result) == ("n", "m")
    assert made.element(made.result, ["i", "j"], {}) == "((x[i, j] * s) + w[j])"
    assert made.size("m") == "x.shape[1]"
    with pytest.raises(Unfit, match="no argument has the axis q"):
        made.size("q")


def test_a_reduction_is_known_at_one_place_only():
    made = reference("def f(x):\n    return np.sum(x, axis=1)[:, None] - x.T", "Arguments: x [n, n].")
    ((node, found),) = made.reductions()
    assert (found.kept, found.reduced, found.order) == (("n",), ("n",), (0, 1))
    values = {ast.dump(node): Value("total", ("i",))}
    assert made.element(made.result, ["i", "j"], values) == "(total - x[j, i])"
    with pytest.raises(Unfit, match="needed at"):
        made.element(made.result, ["j", "i"], values)


def test_axes_that_do_not_match_are_refused():
    function = ast.parse("def f(x, y):\n    return x + y").body[0]
    assert isinstance(function, ast.FunctionDef)
    made = Reference(function, {"x": ("n", "m"), "y": ("n",)})
    with pytest.raises(Unfit, match="meet"):
        made.axes(made.result)
