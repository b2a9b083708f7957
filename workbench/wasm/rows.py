"""What a transformer needs besides products, as WebAssembly: softmax, LayerNorm, GELU, and packing.

Every kernel walks along rows in vectors of four floats, and takes what is left over one by one with the same
instructions: a number is copied to all four lanes, and only the first one is stored.
"""

import struct
from collections.abc import Callable, Iterator

from workbench.errors import WorkbenchError

from .encode import VECTOR, Function
from .products import FLOAT
from .tiles import LANES

LOG2_E, LN2_HIGH, LN2_LOW = 1.4426950408889634, 0.693359375, -2.12194440e-4
LEAST, MOST = -87.0, 88.0  # beyond, the exponent of a float32 runs out
EXP = (1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1.0, 1.0)  # Taylor's series: enough on ±ln 2 / 2
# Abramowitz and Stegun 7.1.26: erf z = 1 - (a1 t + … + a5 t⁵) exp(-z²) with t = 1 / (1 + p z), z ≥ 0.
ERF_P, ERF = 0.3275911, (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
FIRST_LANE = struct.pack("<4i", -1, 0, 0, 0)
ALL_BUT_SIGN = struct.pack("<4I", *[0x7FFFFFFF] * 4)
EXPONENT_BIAS = struct.pack("<4i", *[127] * 4)


class Lanes:
    """How a body reads, writes and adds up: in whole vectors, or the one number that is left."""

    def __init__(self, f: Function, width: int) -> None:
        self.f, self.whole = f, width == LANES

    def load(self, address: int) -> None:
        """Pushes the numbers at an address; a single one is in all four lanes."""
        self.f.get(address)
        self.f("v128.load" if self.whole else "v128.load32_splat", 0)

    def store(self, address: int, value: int) -> None:
        """Writes a local to an address."""
        self.f.get(address)
        self.f.get(value)
        if self.whole:
            self.f("v128.store", 0)
        else:
            self.f("v128.store32_lane", 0, 0)

    def once(self) -> None:
        """Clears all lanes of the pushed value but those that count, before it is added to a sum."""
        if not self.whole:
            self.f("v128.const", FIRST_LANE)
            self.f("v128.and")


def softmax(rows: int, columns: int, stride: int = 0, scale: float = 1.0) -> bytes:
    """softmax(scale · x) of each row in place: `run(x)`, x [rows, columns] with rows `stride` floats apart.

    Three passes over a row: its largest number; exponentials and their sum; the division. What lies more than
    87 below the largest becomes exp(-87) before the division, not 0.
    """
    stride = _checked(rows, columns, stride)
    f = Function(1, i32=3, f32=2, v128=5)
    (x,), (row, column, at) = range(1), f.i32
    total, one = f.f32
    sums, value, power, most, factor = f.v128

    def largest(lanes: Lanes) -> None:
        f.get(most)
        lanes.load(at)
        f("f32x4.max")
        f.set(most)

    def exponential(lanes: Lanes) -> None:
        lanes.load(at)
        f.get(most)
        f("f32x4.sub")
        f("v128.const", float(scale))
        f("f32x4.mul")
        f.set(value)
        _exp(f, value, power)
        f("local.tee", value)
        lanes.once()
        f.get(sums)
        f("f32x4.add")
        f.set(sums)
        lanes.store(at, value)

    def divided(lanes: Lanes) -> None:
        lanes.load(at)
        f.get(factor)
        f("f32x4.mul")
        f.set(value)
        lanes.store(at, value)

    with f.loop(row, rows):
        f.get(x)
        f("v128.load32_splat", 0)
        f.set(most)
        _along(f, column, columns, [at], [x], largest)
        _across(f, most, total, one, "f32.max")
        f.get(total)
        f("f32x4.splat")
        f.set(most)
        f("v128.const", 0.0)
        f.set(sums)
        _along(f, column, columns, [at], [x], exponential)
        _across(f, sums, total, one, "f32.add")
        f("f32.const", 1.0)
        f.get(total)
        f("f32.div")
        f("f32x4.splat")
        f.set(factor)
        _along(f, column, columns, [at], [x], divided)
        f.advance(x, stride * FLOAT)
    return f.module()


def layer_norm(rows: int, columns: int, eps: float = 1e-12) -> bytes:
    """out = norm(x + residual) · weight + bias, row by row: `run(x, residual, weight, bias, out)`.

    x, residual and out are [rows, columns], weight and bias [columns]; out may be x or residual.
    """
    _checked(rows, columns, 0)
    f = Function(5, i32=7, f32=2, v128=4)
    x, residual, weight, bias, out = range(5)
    row, column, at_x, at_residual, at_weight, at_bias, at = f.i32
    total, one = f.f32
    sums, value, mean, factor = f.v128

    def added(lanes: Lanes) -> None:
        lanes.load(at_x)
        lanes.load(at_residual)
        f("f32x4.add")
        f("local.tee", value)
        lanes.once()
        f.get(sums)
        f("f32x4.add")
        f.set(sums)
        lanes.store(at, value)

    def squared(lanes: Lanes) -> None:
        lanes.load(at)
        f.get(mean)
        f("f32x4.sub")
        f("local.tee", value)
        f.get(value)
        f("f32x4.mul")
        lanes.once()
        f.get(sums)
        f("f32x4.add")
        f.set(sums)

    def scaled(lanes: Lanes) -> None:
        lanes.load(at)
        f.get(mean)
        f("f32x4.sub")
        f.get(factor)
        f("f32x4.mul")
        lanes.load(at_weight)
        f("f32x4.mul")
        lanes.load(at_bias)
        f("f32x4.add")
        f.set(value)
        lanes.store(at, value)

    def average() -> None:
        _across(f, sums, total, one, "f32.add")
        f.get(total)
        f("f32.const", float(columns))
        f("f32.div")

    with f.loop(row, rows):
        f("v128.const", 0.0)
        f.set(sums)
        _along(f, column, columns, [at_x, at_residual, at], [x, residual, out], added)
        average()
        f("f32x4.splat")
        f.set(mean)
        f("v128.const", 0.0)
        f.set(sums)
        _along(f, column, columns, [at], [out], squared)
        f("f32.const", 1.0)
        average()
        f("f32.const", float(eps))
        f("f32.add")
        f("f32.sqrt")
        f("f32.div")
        f("f32x4.splat")
        f.set(factor)
        _along(f, column, columns, [at, at_weight, at_bias], [out, weight, bias], scaled)
        for start in (x, residual, out):
            f.advance(start, columns * FLOAT)
    return f.module()


def gelu(n: int) -> bytes:
    """x · Φ(x) of n numbers in place, Φ by the error function to about 2e-7: `run(x)`."""
    _checked(1, n, 0)
    f = Function(1, i32=2, v128=6)
    count, at = f.i32
    x, z, t, value, power, sign = f.v128

    def activated(lanes: Lanes) -> None:
        lanes.load(at)
        f("local.tee", x)
        f("v128.const", 0.5**0.5)
        f("f32x4.mul")
        f("local.tee", sign)  # z with its sign; only that is kept of it
        f("v128.const", ALL_BUT_SIGN)
        f("v128.and")
        f.set(z)
        f("v128.const", 1.0)
        f.get(z)
        f("v128.const", ERF_P)
        f("f32x4.mul")
        f("v128.const", 1.0)
        f("f32x4.add")
        f("f32x4.div")
        f.set(t)
        f("v128.const", 0.0)
        f.get(z)
        f.get(z)
        f("f32x4.mul")
        f("f32x4.sub")
        f.set(value)
        _exp(f, value, power)
        _horner(f, t, ERF)
        f.get(t)
        f("f32x4.mul")
        f("f32x4.mul")
        f.set(value)  # 1 - erf |z|
        f("v128.const", 1.0)
        f.get(value)
        f("f32x4.sub")
        f.get(sign)  # the sign of z, onto erf |z|
        f.get(z)
        f("v128.xor")
        f("v128.or")
        f("v128.const", 1.0)
        f("f32x4.add")
        f.get(x)
        f("f32x4.mul")
        f("v128.const", 0.5)
        f("f32x4.mul")
        f.set(value)
        lanes.store(at, value)

    _along(f, count, n, [at], [0], activated)
    return f.module()


def packing(k: int, n: int, nv: int, row: int, column: int = 1) -> bytes:
    """Packs B [k, n] as `pack` does: `run(b, packed)`; B[i, j] lies i · row + j · column floats behind b.

    With row and column exchanged it packs the transposed array. What fills the last vector is 0.
    """
    _checked(k, n, 0)
    f = Function(2, i32=5, v128=1)
    b, packed = range(2)
    panels, steps, lanes, line, at = f.i32
    (nothing,) = f.v128
    for columns, times in _panels(n, LANES * nv):
        with f.loop(panels, times):
            f.move(line, b)
            with f.loop(steps, k):
                f.move(at, line)
                for v in range(-(-columns // LANES)):
                    f.get(packed)
                    f.get(nothing)
                    f("v128.store", v * VECTOR)
                with f.loop(lanes, columns):
                    f.get(packed)
                    f.get(at)
                    f("v128.load32_splat", 0)
                    f("v128.store32_lane", 0, 0)
                    f.advance(at, column * FLOAT)
                    f.advance(packed, FLOAT)
                if columns % LANES:
                    f.advance(packed, (LANES - columns % LANES) * FLOAT)
                f.advance(line, row * FLOAT)
            f.advance(b, columns * column * FLOAT)
    return f.module()


def _panels(n: int, step: int) -> Iterator[tuple[int, int]]:
    if n >= step:
        yield step, n // step
    if n % step:
        yield n % step, 1


def _checked(rows: int, columns: int, stride: int) -> int:
    stride = stride or columns
    if min(rows, columns) < 1 or stride < columns:
        raise WorkbenchError(
            f"expected at least one row and one column, and rows no wider than their stride, "
            f"but [{rows}, {columns}] with stride {stride} came"
        )
    return stride


def _along(
    f: Function, counter: int, n: int, ats: list[int], starts: list[int], body: Callable[[Lanes], None]
) -> None:
    """Runs a body along a row: the addresses `ats` begin at `starts` and advance with it."""
    for at, start in zip(ats, starts, strict=True):
        f.move(at, start)
    for width, times in ((LANES, n // LANES), (1, n % LANES)):
        if times:
            with f.loop(counter, times):
                body(Lanes(f, width))
                for at in ats:
                    f.advance(at, width * FLOAT)


def _across(f: Function, vector: int, total: int, one: int, instruction: str) -> None:
    """total = the four lanes of a vector, put together by a scalar instruction."""
    f.get(vector)
    f("f32x4.extract_lane", 0)
    f.set(total)
    for lane in range(1, LANES):
        f.get(vector)
        f("f32x4.extract_lane", lane)
        f.set(one)
        f.get(total)
        f.get(one)
        f(instruction)
        f.set(total)


def _horner(f: Function, x: int, coefficients: tuple[float, ...]) -> None:
    """Pushes a polynomial in x, the highest coefficient first."""
    f("v128.const", float(coefficients[0]))
    for coefficient in coefficients[1:]:
        f.get(x)
        f("f32x4.mul")
        f("v128.const", float(coefficient))
        f("f32x4.add")


def _exp(f: Function, x: int, power: int) -> None:
    """Pushes e^x; x becomes what is left beside a power of two: e^x = 2^power · e^rest, |rest| ≤ ln 2 / 2."""
    f.get(x)
    f("v128.const", LEAST)
    f("f32x4.max")
    f("v128.const", MOST)
    f("f32x4.min")
    f("local.tee", x)
    f("v128.const", LOG2_E)
    f("f32x4.mul")
    f("f32x4.nearest")
    f.set(power)
    for part in (LN2_HIGH, LN2_LOW):
        f.get(x)
        f.get(power)
        f("v128.const", part)
        f("f32x4.mul")
        f("f32x4.sub")
        f.set(x)
    _horner(f, x, EXP)
    f.get(power)  # 2^power: its bits, written into the exponent of a float
    f("i32x4.trunc_sat_f32x4_s")
    f("v128.const", EXPONENT_BIAS)
    f("i32x4.add")
    f.const(23)
    f("i32x4.shl")
    f("f32x4.mul")
