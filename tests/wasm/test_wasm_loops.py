"""Plain Python loops as WebAssembly: equal to Python itself, and refused with a reason where not known."""

import math

import numpy as np
import pytest

pytest.importorskip("wasmtime", reason="wasmtime runs the kernels: pip install 'kernel-workbench[test]'")

from workbench.wasm.loops import Loops, NotCompiled

KERNELS = {
    "sums of rows": """
def kernel(x):
    out = np.empty((x.shape[0],), x.dtype)
    for i in range(x.shape[0]):
        total = 0.0
        for j in range(x.shape[1]):
            total += x[i, j]
        out[i] = total
    return out
""",
    "neighbours": """
def kernel(x):
    out = np.empty((x.shape[0], x.shape[1] - 1), x.dtype)
    for i in range(x.shape[0]):
        for j in range(x.shape[1] - 1):
            out[i, j] = x[i, j + 1] - x[i, 1 + j - 1]
    return out
""",
    "functions": """
def kernel(x):
    out = np.empty_like(x)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            v = x[i, j]
            out[i, j] = math.exp(-abs(v)) + math.tanh(v) * math.sqrt(v ** 2 + 1) + v ** 3 / 7
    return out
""",
    "choices": """
def kernel(x):
    out = np.empty_like(x)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = (x[i, j] if i == j else -1.0) if x[i, j] >= 0.25 else min(max(x[i, j], -0.5), 0.5)
    return out
""",
    "in place": """
def kernel(x):
    out = np.empty_like(x)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = 0.0
            for k in range(3):
                out[i, j] += x[i, j]
    return out
""",
    "one number": """
def kernel(x):
    most = -np.inf
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            most = max(most, x[i, j] * x.shape[1])
    return most / 2
""",
}


def in_python(source):
    names = {"np": np, "math": math}
    exec(source, names)
    return names["kernel"]


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (3, 5), (7, 4)])
def test_the_result_is_that_of_python(name, shape):
    loops = Loops(KERNELS[name], "kernel")
    for seed in range(2):  # the second call runs the kept bytes
        x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
        kept = x.copy()
        came, expected = loops(x), in_python(KERNELS[name])(x)
        assert np.shape(came) == np.shape(expected)
        np.testing.assert_allclose(came, expected, rtol=2e-6, atol=2e-6)
        np.testing.assert_array_equal(x, kept)
    assert len(loops.kept) == 1


def test_another_shape_and_another_number_are_emitted_again():
    loops = Loops(
        "def scaled(x, factor):\n    out = np.empty_like(x)\n    for i in range(x.shape[0]):\n"
        "        out[i] = x[i] * factor\n    return out\n",
        "scaled",
    )
    x = np.arange(5, dtype=np.float32)
    np.testing.assert_array_equal(loops(x, 2.0), 2 * x)
    np.testing.assert_array_equal(loops(x, 3), 3 * x)
    np.testing.assert_array_equal(loops(x[:3], 2.0), 2 * x[:3])
    np.testing.assert_array_equal(loops(x[::-2], 2.0), 2 * x[::-2])
    assert len(loops.kept) == 3


def test_an_element_that_is_never_set_is_nan():
    loops = Loops("def half(x):\n    out = np.empty_like(x)\n    out[0] = x[0]\n    return out\n", "half")
    assert np.isnan(loops(np.ones(2, np.float32))[1])


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("out[0] = math.log(x[0])", "no instruction is known for math.log"),
        ("out[0] = x[0] ** 0.5", "no number that is known"),
        ("out[0] = x[0] ** 9", "powers go from 1 to 8"),
        ("out[0] = np.sum(x)", "no instruction is known for np.sum"),
        ("while True:\n        pass", "no loop, assignment or return"),
        ("for i in range(int(x[0])):\n        out[i] = 0.0", "no size that is known beforehand"),
        ("out[x[0]] = 1.0", "no index made of loop variables"),
        ("out[0, 0] = 1.0", "has 2 indices for 1 axes"),
    ],
)
def test_what_is_not_known_is_refused_with_a_reason(body, sentence):
    source = f"def kernel(x):\n    out = np.empty_like(x)\n    {body}\n    return out\n"
    with pytest.raises(NotCompiled, match=sentence.replace("*", r"\*")):
        Loops(source, "kernel")(np.ones(3, np.float32))


def test_arguments_that_do_not_fit():
    source = "def kernel(x):\n    return x[0]\n"
    with pytest.raises(NotCompiled, match="takes 1 arguments, but 2 came"):
        Loops(source, "kernel")(np.ones(2, np.float32), 3)
    with pytest.raises(NotCompiled, match="holds whole numbers"):
        Loops(source, "kernel")(np.ones(2, np.int64))
    with pytest.raises(NotCompiled, match="no function is called other"):
        Loops(source, "other")(np.ones(2, np.float32))
