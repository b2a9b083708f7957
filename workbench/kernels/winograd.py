"""Winograd's convolution F(2 x 2, 3 x 3): four outputs of a 3 x 3 kernel from 16 products instead of 36.

    Y = A' [ (G g G') * (B' d B) ] A        d a 4 x 4 tile of the image, g the kernel, * element by element

        1  0 -1  0          1    0    0
    B' = 0  1  1  0     G =  1/2  1/2  1/2     A' = 1  1  1  0
        0 -1  1  0          1/2 -1/2  1/2          0  1 -1 -1
        0  1  0 -1          0    0    1

(S. Winograd 1980; for networks A. Lavin and S. Gray 2015.) For one channel nothing is won: transforming the
tile (32 sums) and the result (24) makes up for the 20 products. With many channels a tile is transformed once
for all outputs and a result once for all inputs, so that the products are what counts: 2.25 times fewer.

The price: a rounding error a few times that of the plain sum, since large terms cancel in the transforms, and
a nan or inf that spreads over its whole tile. Larger tiles save more products and lose digits quickly.
"""

import numpy as np
from numba import get_num_threads, njit, prange

from workbench.counting import kernel
from workbench.errors import WorkbenchError
from workbench.kernels.cost import Cost
from workbench.kernels.dense_convolution import phases_of
from workbench.kernels.packed_matmul import ROWS, TAPS, WIDTH, multiply, output, pack_rows, whole_vectors
from workbench.kernels.windows import Pair, conv2d_windows, windows

TILE_TRANSFORM = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])  # B'
KERNEL_TRANSFORM = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])  # G
RESULT_TRANSFORM = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])  # A'
APART = ROWS * WIDTH  # between the sums of one place of a tile and those of the next
PANEL_BYTES = 2**19  # transformed tiles of all channels that are held at once: half a second-level cache


def winograd_conv2d(
    x: np.ndarray, w: np.ndarray, padding: Pair = 0, out: np.ndarray | None = None
) -> np.ndarray:
    """Correlates `x` [batch, channels, height, width] with `w` [out_channels, channels, 3, 3] at stride 1.

    Float32 or float64, on all threads; `padding` is one number or a pair. Writes to `out` (C-contiguous,
    apart from the inputs) if given and returns it: what `conv2d` gives, up to rounding. The readable twin is
    `_winograd_conv2d`.
    """
    view = conv2d_windows(x, w, padding=padding)
    if view.kernel != (3, 3):
        raise WorkbenchError(f"w must be [out_channels, channels, 3, 3], but {w.shape} came")
    out = output((len(x), len(w), *view.out), out, x, w)
    if not len(x):
        return out
    images, columns = phases_of(x, windows(x.shape, w.shape, 2, padding))
    weights = np.stack([pack_rows(u) for u in transform_kernels(w).reshape(16, *w.shape[:2])])
    at_once = PANEL_BYTES // (16 * x.shape[1] * x.itemsize)
    _convolve(images, weights, out, columns, max(32, min(WIDTH, at_once)), get_num_threads())
    return out


def transform_kernels(w: np.ndarray) -> np.ndarray:
    """G g G' of every kernel in `w` [out_channels, channels, 3, 3], as [4, 4, out_channels, channels]."""
    both = np.kron(KERNEL_TRANSFORM, KERNEL_TRANSFORM).astype(w.dtype)  # rows and columns at once: [16, 9]
    return (both @ w.reshape(-1, 9).T).reshape(4, 4, *w.shape[:2])


@kernel(cache=True)
def tile_sums(d, v):
    """v = B' d for one column or row of four."""
    v[0] = d[0] - d[2]
    v[1] = d[1] + d[2]
    v[2] = d[2] - d[1]
    v[3] = d[1] - d[3]


@kernel(cache=True)
def result_sums(m, y):
    """y = A' m for one column or row of four, which becomes two."""
    y[0] = m[0] + m[1] + m[2]
    y[1] = m[1] - m[2] - m[3]


@kernel(cache=True)
def winograd_tile(d, u, y):
    """One tile and one channel, to count: d [4, 4] the image, u [4, 4] = G g G', y [2, 2] the result."""
    half = np.empty((4, 4))
    m = np.empty((4, 4))
    top = np.empty((2, 4))
    for j in range(4):
        tile_sums(d[:, j], half[:, j])
    for i in range(4):
        tile_sums(half[i], m[i])
        for j in range(4):
            m[i, j] *= u[i, j]
    for j in range(4):
        result_sums(m[:, j], top[:, j])
    for i in range(2):
        result_sums(top[i], y[i])


def winograd_tile_cost(itemsize: int = 8) -> Cost:
    """The closed form of `winograd_tile`: 32 sums for the tile, 16 products, 24 sums for the result.

    The intermediate arrays are float64; `itemsize` is that of the arguments.
    """
    arguments = {"d": 16, "u": 16, "y": 4}
    return Cost(
        flops=32 + 16 + 24,
        loads={"d": 32, "half": 32, "m": 16 + 24, "u": 16, "top": 12},
        stores={"half": 16, "m": 16 + 16, "top": 8, "y": 4},
        bytes_unique={"half": 128, "m": 128, "top": 64}
        | {name: size * itemsize for name, size in arguments.items()},
    )


@njit(cache=True)
def _plus(a, b, target):
    for j in range(len(target)):
        target[j] = a[j] + b[j]


@njit(cache=True)
def _minus(a, b, target):
    for j in range(len(target)):
        target[j] = a[j] - b[j]


@njit(cache=True)
def _transform_tiles(phases, first, width, columns, half, panels, row):
    """B' d B of neighbouring tiles, one after the other along the last axis, whole rows at a time.

    The image of one channel is dealt out into rows and columns of even and odd number [4, places], where
    the four columns of tile n are even n, odd n, even n + 1, odd n + 1.
    """
    below = first + columns
    for b in range(4):  # a column of all tiles: B' d
        even, odd, start = phases[b % 2], phases[2 + b % 2], b // 2
        d0, d1 = even[first + start :], odd[first + start :]
        d2, d3 = even[below + start :], odd[below + start :]
        _minus(d0, d2, half[b][:width])
        _plus(d1, d2, half[4 + b][:width])
        _minus(d2, d1, half[8 + b][:width])
        _minus(d1, d3, half[12 + b][:width])
    group, start = row // TAPS, row % TAPS * WIDTH
    for a in range(0, 16, 4):  # a row of all tiles: (B' d) B
        _minus(half[a], half[a + 2], panels[a, group][start : start + width])
        _plus(half[a + 1], half[a + 2], panels[a + 1, group][start : start + width])
        _minus(half[a + 2], half[a + 1], panels[a + 2, group][start : start + width])
        _minus(half[a + 1], half[a + 3], panels[a + 3, group][start : start + width])


@njit(cache=True)
def _transform_columns(m, top):
    """A' m of neighbouring tiles, laid end to end: `m` is [16 places, ROWS * WIDTH], `top` [2 * 4, WIDTH]."""
    for b in range(4):
        m0, m1, m2, m3 = m[b * APART :], m[(4 + b) * APART :], m[(8 + b) * APART :], m[(12 + b) * APART :]
        upper, lower = top[b * WIDTH :][:WIDTH], top[(4 + b) * WIDTH :][:WIDTH]
        for j in range(len(upper)):
            middle, other = m1[j], m2[j]
            upper[j] = m0[j] + middle + other
            lower[j] = middle - other - m3[j]


@njit(cache=True)
def _transform_rows(top, row):
    """(A' m) A of neighbouring tiles, two columns of a `row` from each four of `top`."""
    for n in range(len(row) // 2):
        middle, other = top[n + WIDTH], top[n + 2 * WIDTH]
        row[2 * n] = top[n] + middle + other
        row[2 * n + 1] = middle - other - top[n + 3 * WIDTH]
    if len(row) % 2:
        n = len(row) // 2
        row[2 * n] = top[n] + top[n + WIDTH] + top[n + 2 * WIDTH]


@njit(cache=True)
def _transform_result(m, top, out, first, width, columns):
    """A' m A of `width` tiles from `first` on, into `out` [height, width]."""
    _transform_columns(m, top)
    done = 0
    while done < width:  # one row of tiles after the other; the last place of a row is a gap
        i = (first + done) // columns
        j = (first + done) % columns
        run = min(width - done, columns - j)
        for a in range(min(2, len(out) - 2 * i)):
            _transform_rows(top[a * 4 * WIDTH + done :], out[2 * i + a, 2 * j : 2 * (j + run)])
        done += run


@njit(cache=True, parallel=True)
def _convolve(images, weights, out, columns, wide, threads):
    """Each thread transforms tiles of all channels, multiplies at each of the 16 places, transforms back."""
    batch, channels = images.shape[:2]
    _, row_groups, tap_groups, _ = weights.shape
    height, width = out.shape[2:]
    places = ((height + 1) // 2 - 1) * columns + (width + 1) // 2
    panels_each = -(-places // wide)
    for thread in prange(threads):
        panels = np.zeros((16, tap_groups, TAPS * WIDTH), out.dtype)
        sums = np.empty(16 * APART, out.dtype)
        top = np.empty(8 * WIDTH, out.dtype)
        half = np.empty((16, WIDTH), out.dtype)
        for part in range(thread, batch * panels_each, threads):
            n = part // panels_each
            first = part % panels_each * wide
            here = min(wide, places - first)
            for c in range(channels):
                _transform_tiles(images[n, c], first, here, columns, half, panels, c)
            for r in range(row_groups):
                for place in range(16):
                    target = sums[place * APART :][:APART]
                    multiply(weights[place, r], panels[place], target, whole_vectors(here))
                for o in range(r * ROWS, min(r * ROWS + ROWS, out.shape[1])):
                    m = sums[o % ROWS * WIDTH :]
                    _transform_result(m, top, out[n, o], first, here, columns)


def _winograd_conv2d(x: np.ndarray, w: np.ndarray, padding: int = 0) -> np.ndarray:
    """The readable twin of `winograd_conv2d`: the three transforms as they stand above, tile by tile."""
    B, A = TILE_TRANSFORM.astype(x.dtype), RESULT_TRANSFORM.astype(x.dtype)
    u = transform_kernels(w)
    height, width = (size + 2 * padding - 2 for size in x.shape[2:])
    ends = (padding, padding + height % 2), (padding, padding + width % 2)
    padded = np.pad(x, ((0, 0), (0, 0), *ends))
    out = np.empty((len(x), len(w), height + height % 2, width + width % 2), x.dtype)
    for i in range(0, height, 2):
        for j in range(0, width, 2):
            d = padded[:, :, i : i + 4, j : j + 4]
            v = np.einsum("ai,ncij,bj->ncab", B, d, B)
            m = np.einsum("aboc,ncab->noab", u, v)
            out[:, :, i : i + 2, j : j + 2] = np.einsum("ia,noab,jb->noij", A, m, A)
    return out[:, :, :height, :width]
