"""Six kernels of scientific computing, each written in six programming models of Python.

Every text holds its own mistakes: `<<right||wrong||wrong>>` is a place where a writer may slip. `right_text`
takes the first choice everywhere; each of `wrong_texts` takes one of the others, at one place.
"""

import re

PLACE = re.compile(r"<<(.*?)>>", re.S)

HEADS = {
    "numpy": "import numpy as np\n",
    "numba serial": "import numpy as np\nfrom numba import njit\n",
    "numba parallel": "import numpy as np\nfrom numba import njit, prange\n",
    "scipy.sparse": "import numpy as np\nfrom scipy import sparse\n",
    "cuda": """import numpy as np
from numba import cuda


def on_device(array):
    return cuda.to_device(np.ascontiguousarray(array))
""",
    "torch": """import numpy as np
import torch


def tensor(array):
    return torch.from_numpy(np.array(array))
""",
}

# Conjugate gradients differ between models in one line: how a matrix is multiplied with a vector.
CG = """
def cg(a, b):
    x, r = np.zeros(len(b)), b.copy()
    p, rr = r.copy(), r @ r
    small = 1e-26 * rr
    for _ in range(<<4 * len(b)||1>>):
        if rr <= small:
            break
        q = {product}
        step = rr / (p @ q)
        x += step * p
        r -= step * q
        rr, old = r @ r, rr
        p = r + <<rr / old||old / rr>> * p
    return x
"""

BODIES: dict[str, dict[str, str]] = {
    "AXPY": {
        "numpy": """

def axpy(alpha, x, y):
    return <<alpha * x + y||alpha * (x + y)||x + alpha * y>>
""",
        "numba serial": """

@njit
def axpy(alpha, x, y):
    out = np.empty_like(x)
    for i in range(<<len(x)||len(x) - 1>>):
        out[i] = <<alpha * x[i] + y[i]||alpha * x[i]>>
    return out
""",
        "numba parallel": """

@njit(parallel=True)
def axpy(alpha, x, y):
    out = np.empty_like(x)
    for i in prange(<<len(x)||len(x) // 4 * 4>>):
        out[i] = <<alpha * x[i] + y[i]||alpha * x[i] - y[i]>>
    return out
""",
        "scipy.sparse": """

def axpy(alpha, x, y):
    row, other = sparse.csr_array(x[None, :]), sparse.csr_array(y[None, :])
    return (<<alpha * row + other||row + other||alpha * (row + other)>>).toarray()[0]
""",
        "cuda": """

@cuda.jit
def axpy_kernel(alpha, x, y, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = <<alpha * x[i] + y[i]||alpha * y[i] + x[i]>>


def axpy(alpha, x, y):
    out = np.empty(len(x))
    axpy_kernel[<<(len(x) + 7) // 8||max(1, len(x) // 8)>>, 8](alpha, on_device(x), on_device(y), out)
    return out
""",
        "torch": """

def axpy(alpha, x, y):
    return torch.add(<<tensor(y), tensor(x)||tensor(x), tensor(y)>>, alpha=alpha).numpy()
""",
    },
    "GEMV": {
        "numpy": """

def gemv(a, x):
    return <<a @ x||(a * x).sum(axis=0)||a.T @ x>>
""",
        "numba serial": """

@njit
def gemv(a, x):
    out = np.zeros(a.shape[0])
    for i in range(a.shape[0]):
        for j in range(<<a.shape[1]||a.shape[1] - 1>>):
            out[i] <<+=||=>> a[i, j] * x[j]
    return out
""",
        "numba parallel": """

@njit(parallel=True)
def gemv(a, x):
    out = np.empty(a.shape[0])
    for i in prange(a.shape[0]):
        total = 0.0
        for j in range(<<a.shape[1]||min(a.shape)>>):
            total += <<a[i, j] * x[j]||a[i, j]>>
        out[i] = total
    return out
""",
        "scipy.sparse": """

def gemv(a, x):
    matrix = sparse.csr_array(a)
    return <<matrix @ x||matrix.T @ x||matrix[:, :-1] @ x[:-1]>>
""",
        "cuda": """

@cuda.jit
def gemv_kernel(a, x, out):
    i = cuda.grid(1)
    if i < out.size:
        total = 0.0
        for j in range(<<a.shape[1]||a.shape[1] - 1>>):
            total += a[i, j] * x[j]
        out[i] = total


def gemv(a, x):
    out = np.empty(a.shape[0])
    gemv_kernel[<<(len(out) + 7) // 8||1>>, 8](on_device(a), on_device(x), out)
    return out
""",
        "torch": """

def gemv(a, x):
    matrix, vector = tensor(a), tensor(x)
    return <<torch.mv(matrix, vector)||torch.mv(matrix.T, vector)||(matrix * vector).sum()>>.numpy()
""",
    },
    "GEMM": {
        "numpy": """

def gemm(a, b):
    return <<a @ b||(a @ b).T||a * b>>
""",
        "numba serial": """

@njit
def gemm(a, b):
    out = np.<<zeros||empty>>((a.shape[0], b.shape[1]))
    for i in range(a.shape[0]):
        for k in range(<<a.shape[1]||a.shape[1] - 1>>):
            for j in range(b.shape[1]):
                out[i, j] += a[i, k] * b[k, j]
    return out
""",
        "numba parallel": """

@njit(parallel=True)
def gemm(a, b):
    out = np.zeros((a.shape[0], b.shape[1]))
    for i in prange(a.shape[0]):
        for k in range(<<0||1>>, a.shape[1]):
            for j in range(b.shape[1]):
                out[i, j] <<+=||=>> a[i, k] * b[k, j]
    return out
""",
        "scipy.sparse": """

def gemm(a, b):
    product = sparse.csr_array(a) @ sparse.csr_array(b)
    return product<<.toarray()||.T.toarray()||>>
""",
        "cuda": """

@cuda.jit
def gemm_kernel(a, b, out):
    at = cuda.grid(1)
    if at < out.size:
        i, j = at // out.shape[1], at % out.shape[1]
        total = 0.0
        for k in range(a.shape[1]):
            total <<+=||=>> a[i, k] * b[k, j]
        out[i, j] = total


def gemm(a, b):
    out = np.empty((a.shape[0], b.shape[1]))
    gemm_kernel[<<(out.size + 7) // 8||len(out) // 8 + 1>>, 8](on_device(a), on_device(b), out)
    return out
""",
        "torch": """

def gemm(a, b):
    return torch.<<mm(tensor(a), tensor(b))||mm(tensor(b), tensor(a))||mul(tensor(a), tensor(b))>>.numpy()
""",
    },
    "SpMV": {
        "numpy": """

def spmv(data, indices, indptr, x):
    n = len(indptr) - 1
    rows = np.repeat(np.arange(n), np.diff(indptr))
    products = data * x[indices]
    return np.<<bincount(rows, products, n)||add.reduceat(products, indptr[:-1])||bincount(rows, products)>>
""",
        "numba serial": """

@njit
def spmv(data, indices, indptr, x):
    out = np.<<zeros||empty>>(len(indptr) - 1)
    for i in range(len(out)):
        for k in range(indptr[i], <<indptr[i + 1]||indptr[i + 1] - 1>>):
            out[i] += data[k] * x[indices[k]]
    return out
""",
        "numba parallel": """

@njit(parallel=True)
def spmv(data, indices, indptr, x):
    out = np.empty(len(indptr) - 1)
    for i in prange(len(out)):
        total = 0.0
        for k in range(indptr[i], <<indptr[i + 1]||max(indptr[i + 1], indptr[i] + 1) - 1>>):
            total += <<data[k] * x[indices[k]]||data[k]>>
        out[i] = total
    return out
""",
        "scipy.sparse": """

def spmv(data, indices, indptr, x):
    shape = (len(indptr) - 1, len(x))
    matrix = sparse.csr_array((data, indices, indptr), shape=shape)
    return <<matrix @ x||matrix.T @ x||abs(matrix) @ x>>
""",
        "cuda": """

@cuda.jit
def spmv_kernel(data, indices, indptr, x, out):
    i = cuda.grid(1)
    if i < out.size:
        total = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            total <<+=||=>> data[k] * x[indices[k]]
        out[i] = total


def spmv(data, indices, indptr, x):
    out = np.empty(len(indptr) - 1)
    arrays = [on_device(array) for array in (data, indices, indptr, x)]
    spmv_kernel[<<(len(out) + 7) // 8||1>>, 8](*arrays, out)
    return out
""",
        "torch": """

def spmv(data, indices, indptr, x):
    start, column = tensor(indptr), tensor(indices)
    n = len(start) - 1
    rows = torch.repeat_interleave(torch.arange(n), start.diff())
    products = tensor(data) * tensor(x)[column]
    return torch.zeros(n, dtype=products.dtype).<<index_add||index_copy>>(0, rows, products).numpy()
""",
    },
    "Jacobi": {
        "numpy": """

def jacobi(u):
    new = <<u.copy()||np.zeros_like(u)||u>>
    new[1:-1, 1:-1] = (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]) / <<4||2>>
    return new
""",
        "numba serial": """

@njit
def jacobi(u):
    new = u.copy()
    for i in range(1, u.shape[0] - 1):
        for j in range(1, u.shape[1] - 1):
            new[i, j] = (<<u||new>>[i - 1, j] + u[i + 1, j] + u[i, j - 1] + <<u[i, j + 1]||u[i, j]>>) / 4
    return new
""",
        "numba parallel": """

@njit(parallel=True)
def jacobi(u):
    new = u.copy()
    for i in prange(1, u.shape[0] - <<1||2>>):
        for j in range(1, u.shape[1] - 1):
            new[i, j] = (u[i - 1, j] + u[i + 1, j] + <<u||new>>[i, j - 1] + u[i, j + 1]) / 4
    return new
""",
        "scipy.sparse": """

def jacobi(u):
    n, m = u.shape
    beside = [sparse.eye_array(k, k=1) + sparse.eye_array(k, k=-1) for k in (n, m)]
    neighbours = sparse.kron(beside[0], sparse.eye_array(m)) + sparse.kron(sparse.eye_array(n), beside[1])
    means = (neighbours @ u.ravel()).reshape(n, m) / <<4||5>>
    new = u.copy()
    new[1:-1, 1:-1] = means[1:-1, 1:-1]
    return <<new||means>>
""",
        "cuda": """

@cuda.jit
def jacobi_kernel(u, new):
    at = cuda.grid(1)
    i, j = at // u.shape[1], at % u.shape[1]
    if <<0 < i < u.shape[0] - 1||0 < i < u.shape[0] - 2>> and 0 < j < u.shape[1] - 1:
        new[i, j] = (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + <<u[i, j + 1]||u[i, j]>>) / 4


def jacobi(u):
    new = np.array(u, order="C")
    jacobi_kernel[(u.size + 7) // 8, 8](on_device(u), new)
    return new
""",
        "torch": """

def jacobi(u):
    old = tensor(u)
    new = <<old.clone()||torch.zeros_like(old)>>
    new[1:-1, 1:-1] = (old[:-2, 1:-1] + old[2:, 1:-1] + old[1:-1, :-2] + old[1:-1, 2:]) / <<4||2>>
    return new.numpy()
""",
    },
    "CG": {
        "numpy": "\n" + CG.format(product="a @ p"),
        "numba serial": """

@njit
def product(a, p):
    out = np.zeros(len(p))
    for i in range(len(p)):
        for j in range(len(p)):
            out[i] += a[i, j] * p[j]
    return out

"""
        + CG.format(product="product(a, p)"),
        "numba parallel": """

@njit(parallel=True)
def product(a, p):
    out = np.zeros(len(p))
    for i in prange(len(p)):
        for j in range(len(p)):
            out[i] += a[i, j] * p[j]
    return out

"""
        + CG.format(product="product(a, p)"),
        "scipy.sparse": """from scipy.sparse import linalg


def cg(a, b):
    x, _ = linalg.cg(sparse.csr_array(a), b, rtol=<<1e-13||1e-1>>, maxiter=<<4 * len(b)||1>>)
    return np.array(x)  # for b = 0 the library returns b itself
""",
        "cuda": """

@cuda.jit
def product_kernel(a, p, out):
    i = cuda.grid(1)
    if i < out.size:
        total = 0.0
        for j in range(p.size):
            total += a[i, j] * p[j]
        out[i] = total


def product(a, p):
    out = np.empty(len(p))
    product_kernel[(len(p) + 7) // 8, 8](on_device(a), on_device(p), out)
    return out

"""
        + CG.format(product="product(a, p)"),
        "torch": "\n"
        + CG.format(product="matrix @ p")
        .replace(
            "x, r = np.zeros(len(b)), b.copy()",
            "matrix, r = tensor(a), tensor(b)\n    x = torch.zeros_like(r)",
        )
        .replace("r.copy()", "r.clone()")
        .replace("return x", "return x.numpy()"),
    },
}
KERNELS = tuple(BODIES)
MODELS = tuple(HEADS)


def function_of(kernel: str) -> str:
    """The name of the function that a kernel's text defines."""
    return kernel.lower()


def right_text(kernel: str, model: str) -> str:
    """A right implementation."""
    return HEADS[model] + PLACE.sub(lambda place: place[1].split("||")[0], BODIES[kernel][model])


def wrong_texts(kernel: str, model: str) -> list[str]:
    """The same implementation with one mistake, once for every mistake that can be made in it."""
    body = BODIES[kernel][model]
    return [
        HEADS[model] + _with(body, place.start(), wrong)
        for place in PLACE.finditer(body)
        for wrong in place[1].split("||")[1:]
    ]


def _with(body: str, start: int, wrong: str) -> str:
    """The right text, but for the place that starts there."""
    return PLACE.sub(lambda place: wrong if place.start() == start else place[1].split("||")[0], body)
