"""Sparse products against dense ones and scipy, on random matrices and real graphs; counts by formula."""

from itertools import pairwise

import numpy as np
import pytest
import workbench_datasets
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from workbench.counting import count
from workbench.errors import WorkbenchError
from workbench.kernels import (
    csr_matvec,
    sparse_matmul,
    sparse_matmul_inner,
    sparse_matmul_outer,
    sparse_matvec,
    spgemm_inner,
    spgemm_outer,
    spgemm_rowwise,
)
from workbench.kernels import sparse as room
from workbench.kernels.sparse_inner import _spgemm_inner
from workbench.kernels.sparse_outer import _spgemm_outer
from workbench.kernels.sparse_rowwise import _spgemm_rowwise
from workbench.kernels.sparse_vector import _csr_matvec

GRAPHS = ["karate", "les-miserables", "florentine", "davis"]


@pytest.fixture(autouse=True, scope="module")
def build_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_BUILD", str(tmp_path_factory.mktemp("build")))
        yield


@pytest.fixture(autouse=True)
def small_matrices_are_shared_too(monkeypatch):
    monkeypatch.setattr(room, "LEAST", 5)


def draw(n, m, density=0.2, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return sparse.csr_array(rng.standard_normal((n, m)) * (rng.random((n, m)) < density)).astype(dtype)


def products(A, B):
    """Everybody's product, dense."""
    yield sparse_matmul(A, B).toarray()
    yield sparse_matmul(A, B, parallel=False).toarray()
    yield sparse_matmul(A, B, sort=True).toarray()
    yield sparse_matmul_inner(A, B)
    yield sparse_matmul_outer(A, B)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 30),
    k=st.integers(1, 30),
    m=st.integers(1, 30),
    density=st.sampled_from([0, 0.02, 0.2, 1]),
    seed=st.integers(0, 999),
    kind=st.sampled_from(["csr", "csc", "coo"]),
)
def test_products_are_those_of_dense_matrices(n, k, m, density, seed, kind):
    """Empty rows and columns, empty and full matrices."""
    A, B = draw(n, k, density, seed).asformat(kind), draw(k, m, density, seed + 1)
    expected = A.toarray() @ B.toarray()
    for product in products(A, B):
        np.testing.assert_allclose(product, expected, rtol=0, atol=1e-12)
    x = np.random.default_rng(seed).standard_normal(k)
    for parallel in (False, True):
        np.testing.assert_allclose(sparse_matvec(A, x, parallel=parallel), A @ x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("graph", GRAPHS)
def test_walks_of_two_steps_in_real_graphs(graph):
    A = sparse.csr_array(workbench_datasets.load(graph)["adjacency"])
    assert A.dtype == np.float32
    expected = (A @ A).toarray()
    for product in products(A, A):
        assert product.dtype == np.float32
        np.testing.assert_array_equal(product, expected)  # whole numbers
    ones = np.ones(A.shape[1], np.float32)
    np.testing.assert_array_equal(sparse_matvec(A, ones), A.toarray().sum(1))


def test_laws():
    """(A B) C = A (B C), (A B)^T = B^T A^T, A (B + C) = A B + A C, A I = A."""
    A, B, C = draw(12, 9), draw(9, 15, seed=1), draw(15, 7, seed=2)
    close = {"rtol": 0, "atol": 1e-12}
    left = sparse_matmul(sparse_matmul(A, B), C).toarray()
    np.testing.assert_allclose(left, sparse_matmul(A, sparse_matmul(B, C)).toarray(), **close)
    np.testing.assert_allclose(sparse_matmul(A, B).toarray().T, sparse_matmul(B.T, A.T).toarray(), **close)
    D = draw(9, 15, seed=3)
    both = (sparse_matmul(A, B) + sparse_matmul(A, D)).toarray()
    np.testing.assert_allclose(sparse_matmul(A, B + D).toarray(), both, **close)
    identity = sparse.eye_array(9, format="csr")
    np.testing.assert_array_equal(sparse_matmul(A, identity).toarray(), A.toarray())


def test_the_twins_agree():
    A, B = draw(7, 9).toarray(), draw(9, 6, seed=1).toarray()
    for twin in (_spgemm_inner, _spgemm_outer, _spgemm_rowwise):
        np.testing.assert_allclose(twin(A, B), A @ B, rtol=0, atol=1e-13)
    S, x = sparse.csr_array(A), np.arange(9.0)
    np.testing.assert_allclose(_csr_matvec(S.indptr, S.indices, S.data, x), A @ x, atol=1e-13)


def test_order_of_columns_duplicates_and_cancelled_numbers():
    A, B = draw(40, 50, 0.3), draw(50, 60, 0.3, seed=1)
    C = sparse_matmul(A, B, sort=True)
    assert all(np.all(np.diff(C.indices[a:b]) > 0) for a, b in pairwise(C.indptr))
    assert C.has_sorted_indices
    assert not sparse_matmul(A, B).has_sorted_indices
    twice = sparse.csr_array((np.array([1.0, 2.0, 5.0]), [1, 1, 0], [0, 3, 3]), shape=(2, 2))
    for product in products(twice, twice):
        np.testing.assert_array_equal(product, [[25, 15], [0, 0]])
    assert twice.nnz == 3  # the given matrix stays as it is
    cancelled = sparse_matmul(sparse.csr_array([[1.0, -1.0]]), sparse.csr_array([[1.0], [1.0]]))
    assert cancelled.nnz == 1
    assert cancelled.toarray() == 0


def test_inf_and_nan_follow_the_stored_numbers():
    A = sparse.csr_array([[np.inf, 0.0], [0.0, 1.0]])
    B = sparse.csr_array([[1.0, 0.0], [np.nan, 2.0]])
    for product in products(A, B):
        np.testing.assert_array_equal(product, [[np.inf, 0], [np.nan, 2]])


@pytest.mark.slow
def test_counts_are_the_closed_forms():
    """All three take the same multiplications, and differ in what they look at and where they store."""
    A, B = draw(12, 10, 0.3), draw(10, 8, 0.3, seed=1)
    n, m = 12, 8
    meetings = int((A != 0).sum(0) @ (B != 0).sum(1))  # a product for each pair in column k and row k
    stored = sparse_matmul(A, B).nnz
    C = np.zeros((n, m))
    inner = count(spgemm_inner, *room._parts(A), *room._parts(B.tocsc()), C)
    assert inner.ops == {"mul": meetings, "add": meetings}
    assert inner.stores["C"] == n * m
    outer = count(spgemm_outer, *room._parts(A.tocsc()), *room._parts(B), C)
    assert outer.ops == {"mul": meetings, "add": meetings}
    assert outer.stores["C"] == outer.loads["C"] == outer.loads["b_data"] == meetings
    assert outer.loads["a_data"] == A.nnz
    result = np.empty(n + 1, np.int64), np.empty(stored, np.int32), np.empty(stored)
    place = np.full(m, -1, np.int32)
    rowwise = count(spgemm_rowwise, *room._parts(A), *room._parts(B), *result, place)
    assert rowwise.ops == {"mul": meetings, "add": meetings - stored}
    assert rowwise.loads["b_data"] == rowwise.loads["place"] == rowwise.stores["c_data"] == meetings
    assert rowwise.stores["c_indices"] == rowwise.stores["place"] == stored
    y = np.empty(n)
    vector = count(csr_matvec, *room._parts(A), np.ones(10), y)
    assert vector.flops == 2 * A.nnz
    assert vector.loads["data"] == vector.loads["indices"] == vector.loads["x"] == A.nnz
    assert vector.stores["y"] == n
    assert vector.loads["indptr"] == 2 * n


def test_a_slip_gets_one_sentence():
    A = draw(3, 4)
    for product in (sparse_matmul, sparse_matmul_inner, sparse_matmul_outer):
        with pytest.raises(WorkbenchError, match=r"B must be float64 with 4 rows, .* float64 .3, 4. came"):
            product(A, A)
        with pytest.raises(WorkbenchError, match=r"B must be float64 .* float32"):
            product(A, A.T.astype(np.float32))
        with pytest.raises(WorkbenchError, match="A must be a scipy sparse matrix, but ndarray came"):
            product(A.toarray(), A)
        with pytest.raises(WorkbenchError, match="A must hold float32 or float64, but int64 came"):
            product(A.astype(np.int64), A)
    with pytest.raises(WorkbenchError, match=r"x must be float64 .4., but float64 .3,. came"):
        sparse_matvec(A, np.ones(3))
