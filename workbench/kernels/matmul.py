"""The product of two matrices in six loop orders, and in blocks.

    C[i, j] += sum over k of A[i, k] * B[k, j]        A [n, k], B [k, m], C [n, m]

Every order executes the same operations on the same elements, and `count` gives the same loads, stores and
flops for all six. What differs is where the next element of each array lies, and with it the time. The name
says the order of the loops, outermost first; in the innermost loop

    ijk, jik   A moves along a row, B down a column, C stands still
    ikj, kij   A stands still, B and C move along a row
    jki, kji   A and C move down a column, B stands still

All add to C. The blocked product cuts the loops into tiles so that a tile that has come into a cache is used
`tile` times before it leaves. `packed_matmul` goes on from here to the speed of a BLAS.
"""

from workbench.counting import kernel
from workbench.kernels.cost import Cost


@kernel(cache=True)
def matmul_ijk(A, B, C):
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            for k in range(A.shape[1]):
                C[i, j] += A[i, k] * B[k, j]


@kernel(cache=True)
def matmul_ikj(A, B, C):
    for i in range(A.shape[0]):
        for k in range(A.shape[1]):
            for j in range(B.shape[1]):
                C[i, j] += A[i, k] * B[k, j]


@kernel(cache=True)
def matmul_jik(A, B, C):
    for j in range(B.shape[1]):
        for i in range(A.shape[0]):
            for k in range(A.shape[1]):
                C[i, j] += A[i, k] * B[k, j]


@kernel(cache=True)
def matmul_jki(A, B, C):
    for j in range(B.shape[1]):
        for k in range(A.shape[1]):
            for i in range(A.shape[0]):
                C[i, j] += A[i, k] * B[k, j]


@kernel(cache=True)
def matmul_kij(A, B, C):
    for k in range(A.shape[1]):
        for i in range(A.shape[0]):
            for j in range(B.shape[1]):
                C[i, j] += A[i, k] * B[k, j]


@kernel(cache=True)
def matmul_kji(A, B, C):
    for k in range(A.shape[1]):
        for j in range(B.shape[1]):
            for i in range(A.shape[0]):
                C[i, j] += A[i, k] * B[k, j]


@kernel(cache=True)
def matmul_blocked(A, B, C, tile):
    """The order ikj within tiles of `tile` x `tile`, the tiles in the order ikj too."""
    n, inner = A.shape
    m = B.shape[1]
    for i0 in range(0, n, tile):
        for k0 in range(0, inner, tile):
            for j0 in range(0, m, tile):
                for i in range(i0, min(i0 + tile, n)):
                    for k in range(k0, min(k0 + tile, inner)):
                        row, target = B[k, j0 : j0 + tile], C[i, j0 : j0 + tile]
                        for j in range(row.size):  # slices, whose indices a compiler knows to be in order
                            target[j] += A[i, k] * row[j]


def matmul_cost(n: int, k: int, m: int, itemsize: int) -> Cost:
    """The closed form of all seven: [n, k] times [k, m]."""
    steps = n * k * m
    touched = {"A": n * k, "B": k * m, "C": n * m}
    return Cost(
        flops=2 * steps,
        loads=dict.fromkeys("ABC", steps),
        stores={"C": steps},
        bytes_unique={name: size * itemsize for name, size in touched.items()},
    )
