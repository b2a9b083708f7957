"""Two loops that ask a machine for its limits: one only moves vectors, one only computes on them."""

from .encode import VECTOR, Function

CHAINS = 12  # independent sums: an addition takes a few steps of the clock, and several can be on the way
UNROLL = 8


def copying(vectors: int) -> bytes:
    """Copies `vectors` times four floats, a multiple of 8: `run(source, target)`."""
    f = Function(2, i32=1)
    source, target = range(2)
    with f.loop(f.i32[0], vectors // UNROLL):
        for step in range(UNROLL):
            f.get(target)
            f.get(source)
            f("v128.load", step * VECTOR)
            f("v128.store", step * VECTOR)
        f.advance(source, UNROLL * VECTOR)
        f.advance(target, UNROLL * VECTOR)
    return f.module()


def computing(turns: int, relaxed: bool = False) -> bytes:
    """Multiplies and adds in registers, `computing_flops(turns)` operations: `run(out)` stores one vector."""
    f = Function(1, i32=1, v128=CHAINS + 1)
    *sums, factor = f.v128
    f("v128.const", 0.999)
    f.set(factor)
    with f.loop(f.i32[0], turns):
        for total in sums:
            f.get(total)
            f.get(factor)
            if relaxed:
                f.get(factor)
                f("f32x4.relaxed_madd")
            else:
                f("f32x4.mul")
                f.get(factor)
                f("f32x4.add")
            f.set(total)
    for total in sums[1:]:
        f.get(total)
        f.get(sums[0])
        f("f32x4.add")
        f.set(sums[0])
    f.get(0)
    f.get(sums[0])
    f("v128.store", 0)
    return f.module()


def computing_flops(turns: int) -> int:
    """Multiplications and additions of `computing(turns)`'s loop."""
    return 2 * 4 * CHAINS * turns
