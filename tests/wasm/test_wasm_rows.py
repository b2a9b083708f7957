"""Softmax, LayerNorm and GELU in WebAssembly against float64 and against laws."""

import numpy as np
import pytest
from scipy.special import erf
from scipy.special import softmax as true_softmax

from workbench.errors import WorkbenchError
from workbench.wasm import Memory, computing, computing_flops, copying, gelu, layer_norm, softmax

pytest.importorskip("wasmtime", reason="wasmtime runs the kernels: pip install 'kernel-workbench[test]'")

SIZES = [(1, 1), (3, 2), (2, 4), (3, 5), (2, 11), (5, 32), (1, 384)]


@pytest.fixture
def memory():
    return Memory(1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_softmax(memory, size, scale):
    x = np.random.default_rng(1).normal(size=size) * 4
    X = memory.put(x)
    memory.kernel(softmax(size[0], size[1], scale=scale))(X)
    assert np.abs(X - true_softmax(scale * x, axis=1)).max() < 1e-6
    assert np.allclose(X.sum(1), 1, atol=1e-6)


def test_softmax_forgets_a_shift_and_stays_finite(memory):
    x = np.array([[1e4, 1e4 + 1, 1e4 + 2, 0.0, -1e30]], np.float32)
    X = memory.put(x)
    memory.kernel(softmax(1, 5))(X)
    assert np.allclose(X[0, :3], true_softmax([0, 1, 2]), atol=1e-6)
    assert (X[0, 3:] < 1e-37).all()


def test_softmax_keeps_to_its_columns(memory):
    x = memory.put(np.random.default_rng(2).normal(size=(3, 9)))
    before = x.copy()
    memory.kernel(softmax(3, 6, stride=9))(x)
    assert np.array_equal(x[:, 6:], before[:, 6:])
    assert np.allclose(x[:, :6], true_softmax(before[:, :6], axis=1), atol=1e-6)


@pytest.mark.parametrize("size", SIZES[1:])
def test_layer_norm(memory, size):
    rng = np.random.default_rng(3)
    x, residual = rng.normal(size=(2, *size)) + 3
    weight, bias = rng.normal(size=(2, size[1]))
    out = memory.empty(*size)
    memory.kernel(layer_norm(size[0], size[1], eps=1e-5))(*map(memory.put, (x, residual, weight, bias)), out)
    y = x + residual
    truth = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-5) * weight + bias
    assert np.abs(out - truth).max() < 2e-5


def test_layer_norm_of_a_constant_row_is_its_bias(memory):
    x, nothing = memory.put(np.full((1, 7), 2.5)), memory.put(np.zeros((1, 7)))
    memory.kernel(layer_norm(1, 7, eps=1e-5))(x, nothing, memory.put(np.ones(7)), memory.put(np.arange(7)), x)
    assert np.allclose(x[0], np.arange(7))


@pytest.mark.parametrize("n", [1, 2, 4, 7, 64])
def test_gelu(memory, n):
    x = np.linspace(-9, 9, n) if n > 1 else np.array([-0.5])
    X = memory.put(x)
    memory.kernel(gelu(n))(X)
    assert np.abs(X - x / 2 * (1 + erf(x / 2**0.5))).max() < 2e-6


def test_gelu_of_a_number_and_of_its_negative_differ_by_the_number(memory):
    x = np.random.default_rng(4).normal(size=33).astype(np.float32)
    plus, minus = memory.put(x), memory.put(-x)
    for X in (plus, minus):
        memory.kernel(gelu(33))(X)
    assert np.allclose(plus - minus, x, atol=1e-6)
    zero = memory.put(np.zeros(1))
    memory.kernel(gelu(1))(zero)
    assert zero[0] == 0


def test_copying_moves_all_and_no_more(memory):
    x, y = memory.put(np.arange(128)), memory.empty(132)
    y[...] = -1
    memory.kernel(copying(32))(x, y)
    assert np.array_equal(y[:128], x)
    assert (y[128:] == -1).all()


@pytest.mark.parametrize("relaxed", [False, True])
def test_computing_computes(memory, relaxed):
    out = memory.empty(4)
    memory.kernel(computing(50, relaxed))(out)
    sum_ = np.float64(0)
    for _ in range(50):
        sum_ = sum_ * 0.999 + 0.999
    assert np.allclose(out, 12 * sum_, rtol=1e-5)
    assert computing_flops(50) == 50 * 12 * 4 * 2


def test_nothing_is_no_row():
    with pytest.raises(WorkbenchError, match="at least one row"):
        softmax(0, 4)
    with pytest.raises(WorkbenchError, match="stride 3"):
        softmax(2, 4, stride=3)
