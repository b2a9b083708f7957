"""The product of two matrices, C = A · B (+ bias), as WebAssembly for one tile.

The loop nest, with what happens to it on the way to bytes:

    for each panel of B, nv vectors wide                  B is packed so that a panel lies in one piece
        for each group of mr rows of A
            sums = bias or 0                              mr · nv vectors, in locals
            for each ku steps of k                        unrolled
                b = panel[k]                              nv vectors, loaded once for all rows
                for each row: sums += A[row, k] · b       the number of A is copied to all four lanes
            C[rows, panel] = sums

What does not divide is left to smaller tiles: fewer rows, fewer vectors, single lanes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from workbench.errors import WorkbenchError

from .encode import VECTOR, Function
from .tiles import LANES, Tile

FLOAT = 4  # bytes


@dataclass(frozen=True)
class Product:
    """Sizes of C [m, n] = A [m, k] · B [k, n], all float32.

    lda, ldc: floats from a row of A or C to the next, where they are parts of wider arrays (default: k, n).
    bias: whether each row of C begins from a row of numbers instead of 0.
    """

    m: int
    n: int
    k: int
    lda: int = 0
    ldc: int = 0
    bias: bool = False

    def __post_init__(self) -> None:
        if min(self.m, self.n, self.k) < 1:
            raise WorkbenchError(f"a product needs sizes of at least 1, but {self} came")
        object.__setattr__(self, "lda", self.lda or self.k)
        object.__setattr__(self, "ldc", self.ldc or self.n)
        if self.lda < self.k or self.ldc < self.n:
            raise WorkbenchError(f"a row must fit into its stride, but {self} came")

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.m * self.n * self.k


@dataclass(frozen=True)
class Passes:
    """What the emitter does to the nest before it becomes bytes; each can be left out, to see its worth.

    offsets: distances within a tile ride in the load instruction instead of being added to the address.
    fold: products of constants are worked out by the emitter, not said as instructions.
    share: a vector of B is loaded once for all rows of the tile, not once for each.
    accumulators: the sums stay in locals until they are done, not in memory.

    Unrolling and the fused multiplication are choices of the tile.
    """

    offsets: bool = True
    fold: bool = True
    share: bool = True
    accumulators: bool = True

    def without(self, name: str) -> "Passes":
        """All but one; leaving out `fold` leaves out `offsets`, which need their constants worked out."""
        kept = replace(self, **{name: False})
        return replace(kept, offsets=False) if name == "fold" else kept


def pack(b: np.ndarray, nv: int) -> np.ndarray:
    """B [k, n] as panels of nv vectors, one after the other, each [k, 4 nv]; the last one as wide as needed.

    A column beyond n in the last vector is 0. Returns a flat float32 array of `packed_size(k, n)`.
    """
    k, n = b.shape
    wide = np.zeros((k, -(-n // LANES) * LANES), np.float32)
    wide[:, :n] = b
    step = LANES * nv
    return np.concatenate([wide[:, at : at + step].ravel() for at in range(0, wide.shape[1], step)])


def packed_size(k: int, n: int) -> int:
    """Floats of a packed B: columns are filled up to whole vectors."""
    return k * -(-n // LANES) * LANES


def product(shape: Product, tile: Tile = Tile(), passes: Passes = Passes()) -> bytes:  # noqa: B008
    """The module that computes one product; `run(a, b, c, bias)` takes addresses of float32 arrays.

    a [m, k] with rows lda apart, b packed by `pack(B, tile.nv)`, c [m, n] with rows ldc apart, bias [n,
    filled up to whole vectors], read only if `shape.bias`.
    """
    if not passes.accumulators and shape.n % LANES:
        raise WorkbenchError(f"sums that stay in memory need n to be a multiple of {LANES}, not {shape.n}")
    return _Nest(shape, tile, passes).module()


def _parts(total: int, step: int) -> Iterator[tuple[int, int]]:
    """(size, times): as many whole steps as fit, then the rest."""
    if total >= step:
        yield step, total // step
    if total % step:
        yield total % step, 1


class _Nest:
    A, B, C, BIAS = range(4)

    def __init__(self, shape: Product, tile: Tile, passes: Passes) -> None:
        self.shape, self.tile, self.passes = shape, tile, passes
        self.f = f = Function(4, i32=7, v128=tile.mr * tile.nv + tile.nv + 1)
        self.panels, self.groups, self.steps, self.a_row, self.c_row, self.a, self.b = f.i32
        self.sums, self.row, self.number = (
            f.v128[: tile.mr * tile.nv],
            f.v128[tile.mr * tile.nv : -1],
            f.v128[-1],
        )

    def module(self) -> bytes:
        f, shape = self.f, self.shape
        for columns, panels in _parts(shape.n, LANES * self.tile.nv):
            vectors = -(-columns // LANES)
            with f.loop(self.panels, panels):
                f.move(self.a_row, self.A)
                f.move(self.c_row, self.C)
                for rows, groups in _parts(shape.m, self.tile.mr):
                    with f.loop(self.groups, groups):
                        self._tile(rows, vectors, columns)
                        f.advance(self.a_row, rows * shape.lda * FLOAT)
                        f.advance(self.c_row, rows * shape.ldc * FLOAT)
                f.advance(self.B, shape.k * vectors * VECTOR)
                f.advance(self.C, vectors * VECTOR)
                f.advance(self.BIAS, vectors * VECTOR)
        return f.module()

    def _tile(self, rows: int, vectors: int, columns: int) -> None:
        f = self.f
        for row in range(rows):
            for v in range(vectors):
                if self.shape.bias:
                    f.get(self.BIAS)
                    f("v128.load", v * VECTOR)
                else:
                    f("v128.const", 0.0)
                f.set(self._sum(row, v))
                if not self.passes.accumulators:
                    self._store(row, v, LANES)
        f.move(self.a, self.a_row)
        f.move(self.b, self.B)
        for steps, times in _parts(self.shape.k, self.tile.ku):
            with f.loop(self.steps, times):
                for step in range(steps):
                    self._step(rows, vectors, step)
                f.advance(self.a, steps * FLOAT)
                f.advance(self.b, steps * vectors * VECTOR)
        if self.passes.accumulators:
            for row in range(rows):
                for v in range(vectors):
                    self._store(row, v, min(LANES, columns - v * LANES))

    def _step(self, rows: int, vectors: int, step: int) -> None:
        f, relaxed = self.f, self.tile.relaxed
        for row in range(rows):
            if row == 0 or not self.passes.share:
                for v in range(vectors):
                    self._load("v128.load", self.b, (step * vectors + v, VECTOR))
                    f.set(self.row[v])
            self._load("v128.load32_splat", self.a, (row, self.shape.lda * FLOAT), (step, FLOAT))
            f.set(self.number)
            for v in range(vectors):
                total = self._sum(row, v)
                if not self.passes.accumulators:
                    f.get(self.c_row)
                    f("v128.load", row * self.shape.ldc * FLOAT + v * VECTOR)
                    f.set(total)
                if not relaxed:
                    f.get(total)
                f.get(self.number)
                f.get(self.row[v])
                if relaxed:
                    f.get(total)
                    f("f32x4.relaxed_madd")
                else:
                    f("f32x4.mul")
                    f("f32x4.add")
                f.set(total)
                if not self.passes.accumulators:
                    self._store(row, v, LANES)

    def _sum(self, row: int, v: int) -> int:
        return self.sums[row * self.tile.nv + v]

    def _load(self, instruction: str, address: int, *distances: tuple[int, int]) -> None:
        """Loads from address + Σ count · size, with the sum in the instruction or as instructions."""
        f, far = self.f, sum(count * size for count, size in distances)
        f.get(address)
        if self.passes.offsets:
            f(instruction, far)
            return
        if self.passes.fold:
            f.const(far)
            f("i32.add")
        else:
            for count, size in distances:
                f.const(count)
                f.const(size)
                f("i32.mul")
                f("i32.add")
        f(instruction, 0)

    def _store(self, row: int, v: int, lanes: int) -> None:
        """The first `lanes` floats of a sum to where they belong in C."""
        f, far = self.f, row * self.shape.ldc * FLOAT + v * VECTOR
        if lanes == LANES:
            f.get(self.c_row)
            f.get(self._sum(row, v))
            f("v128.store", far)
            return
        if lanes >= 2:
            f.get(self.c_row)
            f.get(self._sum(row, v))
            f("v128.store64_lane", far, 0)
        if lanes % 2:
            f.get(self.c_row)
            f.get(self._sum(row, v))
            f("v128.store32_lane", far + (lanes - 1) * FLOAT, lanes - 1)
