"""Kernels that use everything a counted kernel may use."""

import math
from math import sqrt

import numpy as np
from numba import prange

from workbench.counting import kernel

TILE = 3
SCALE = np.float32(0.5)


@kernel
def matmul_ijk(A, B, C):
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            for k in range(A.shape[1]):
                C[i, j] += A[i, k] * B[k, j]


@kernel
def matmul_ikj(A, B, C):
    for i in range(A.shape[0]):
        for k in range(A.shape[1]):
            for j in range(B.shape[1]):
                C[i, j] += A[i, k] * B[k, j]


@kernel
def matmul_jik(A, B, C):
    for j in range(B.shape[1]):
        for i in range(A.shape[0]):
            for k in range(A.shape[1]):
                C[i, j] += A[i, k] * B[k, j]


@kernel
def matmul_jki(A, B, C):
    for j in range(B.shape[1]):
        for k in range(A.shape[1]):
            for i in range(A.shape[0]):
                C[i, j] += A[i, k] * B[k, j]


@kernel
def matmul_kij(A, B, C):
    for k in range(A.shape[1]):
        for i in range(A.shape[0]):
            for j in range(B.shape[1]):
                C[i, j] += A[i, k] * B[k, j]


@kernel
def matmul_kji(A, B, C):
    for k in range(A.shape[1]):
        for j in range(B.shape[1]):
            for i in range(A.shape[0]):
                C[i, j] += A[i, k] * B[k, j]


@kernel
def blocked(A, B, C, size):
    n = A.shape[0]
    for bi in range(0, n, size):
        for bj in range(0, n, size):
            for bk in range(0, n, size):
                for i in range(bi, min(bi + size, n)):
                    for j in range(bj, min(bj + size, n)):
                        total = C[i, j]
                        for k in range(bk, min(bk + size, n)):
                            total += A[i, k] * B[k, j]
                        C[i, j] = total


@kernel
def transpose(x, y):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            y[j, i] = x[i, j]


@kernel
def stencil(x, y):
    for i in range(1, x.shape[0] - 1):
        for j in range(1, x.shape[1] - 1):
            y[i, j] = 0.25 * (x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1]) - x[i, j]


@kernel
def triad(a, b, c, s):
    for i in range(a.size):
        a[i] = b[i] + s * c[i]


@kernel
def softmax(x, y):
    for r in range(x.shape[0]):
        row = x[r]
        largest = row[0]
        for i in range(1, row.size):
            largest = max(largest, row[i])
        total = 0.0
        for i in range(row.size):
            y[r, i] = math.exp(row[i] - largest)
            total += y[r, i]
        for i in range(row.size):
            y[r, i] /= total


@kernel
def branches(x, y, limit):
    """Short circuits, chains, conditional values, negative indices, early exit, nested while."""
    n = x.size
    found = -1
    i = 0
    while i < n and (x[i] < limit or x[-1] > 100.0):
        small = 0.0 < x[i] <= 0.5
        y[i] = x[i] if small else -x[i]
        if not small and x[i] > 0.9:
            found = i
            if found > 5:
                return found
        i += 1
    else:
        y[0] = 7.0
    for k in range(n - 1, -1, -2):
        if y[k] == 0.0:
            continue
        if k < 2:
            break
        y[k], y[k - 1] = y[k - 1], y[k]
    return found


@kernel
def views(x, y):
    """Slices of slices, transposes, copies and fills of views, a row taken as a variable."""
    n, _m = x.shape
    y[:, 0] = 2.0
    y[1:, 1:3] = x[1:, 0:2]
    turned = x.T
    for i in range(n):
        row = y[i]
        part = row[1:]
        back = part[::-1]
        for j in range(back.shape[0]):
            back[j] += turned[j, i] * 3


@kernel
def dot(a, b):
    total = 0.0
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@kernel
def axpy(a, x, y):
    for i in range(x.size):
        y[i] += a * x[i]


@kernel
def calls(A, x, y):
    """Other kernels, with the same and with different arrays, and a local array."""
    rest = np.zeros(x.size)
    for i in range(A.shape[0]):
        y[i] = dot(A[i], x) + dot(x, x)
        axpy(y[i], x, rest)
    axpy(-1.0, rest, x)


@kernel
def ping_pong(x, y, steps):
    """Two names that change places."""
    a, b = x, y
    for _ in range(steps):
        for i in range(1, a.size - 1):
            b[i] = (a[i - 1] + a[i + 1]) / 2
        a, b = b, a
    return a[0]


@kernel(parallel=True)
def parallel(x, y):
    total = 0.0
    for i in prange(x.size):
        y[i] = sqrt(abs(x[i])) * SCALE
        total += y[i]
    return total


@kernel
def complex_product(z, w):
    for i in range(z.size):
        z[i] = z[i] * w[i] + w[i]


@kernel
def integers(index, x, y):
    for i in range(index.size):
        y[index[i] % y.size] += x[i // TILE]


@kernel
def tiles(x, y):
    """A local array in a loop: one place for all of its lives."""
    for start in range(0, x.size, TILE):
        tile = np.empty(TILE)
        for i in range(min(TILE, x.size - start)):
            tile[i] = x[start + i]
        for i in range(min(TILE, x.size - start)):
            y[start + i] = tile[TILE - 1 - i] if i < x.size - start - 1 else tile[0]
