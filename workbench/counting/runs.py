"""Strides and unique bytes, from runs: a site's accesses in equal steps, which loops make long.

Generated code compares each step with the step before and calls `turn` only where it changes. What a whole
run touched is then marked at once.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from workbench.counting.cache import OWNER, SHIFT, SITES, compiled

# Fields of the header beside those of the cache simulator.
# TALLY [pair] counts accesses, BLOCKS [block] executions of what happens together, STARTS [site] where its
# run began, SIZES [site] bytes of an element, BITS [array] the mark it makes, PLACES [array, 2] its
# address and room; a byte of `marks` stands for 2**UNIT bytes.
(TALLY, BLOCKS, STARTS, SIZES, STRIDES, BITS, UNIT, PLACES, FREE, END) = range(16, 26)

FIRST = 2**62  # no stride: the run has one access so far
MOST_STRIDES = 64  # told apart for a site and an array; further ones are `other`
STRIDE_FIELDS = 2 * MOST_STRIDES + 1


@compiled
def turn(memory, marks, site, pair, last, stride, count, step):
    """Ends a site's run of accesses in steps of `stride` bytes up to `last`; returns the next run's stride.

    `count` numbers the access that does not belong to it, `step` bytes further on; `last` is -1 where there
    was none before.
    """
    started = memory[STARTS] + site
    steps = count - 1 - memory[started]
    memory[started] = count - 1
    if last < 0:
        return FIRST
    bit = np.uint8(memory[memory[BITS] + pair // memory[SITES]])
    unit = memory[UNIT]
    size = memory[memory[SIZES] + site] >> unit
    if stride == FIRST or stride == 0:
        start = last >> unit
        for place in range(start, start + size):
            marks[place] |= bit
    elif stride == memory[memory[SIZES] + site]:
        end = (last >> unit) + size
        for place in range(end - steps * size, end):
            marks[place] |= bit
    else:
        for n in range(steps):
            start = (last - n * stride) >> unit
            for place in range(start, start + size):
                marks[place] |= bit
    if stride != FIRST:
        note(memory, memory[STRIDES] + pair * STRIDE_FIELDS, stride, steps)
    return step


@compiled
def note(memory, table, stride, steps):
    """Adds to a small open hash table of strides and counts; a count of 0 is a free place."""
    key = (stride ^ (stride >> 6)) & (MOST_STRIDES - 1)
    for _ in range(MOST_STRIDES):
        place = table + 2 * key
        if memory[place + 1] == 0 or memory[place] == stride:
            memory[place] = stride
            memory[place + 1] += steps
            return
        key = (key + 1) & (MOST_STRIDES - 1)
    memory[table + 2 * MOST_STRIDES] += steps


@compiled
def place(memory, array, size, again):
    """The address for `size` bytes that the kernel allocates: where it was before if `again`, else new."""
    known = memory[PLACES] + 2 * array
    if again and 0 < size <= memory[known + 1]:
        return memory[known]
    line = memory[SHIFT]
    lines = (size >> line) + 1
    address = memory[FREE]
    if address + (lines << line) > memory[END]:
        raise MemoryError("the simulated memory for local arrays is full")
    memory[FREE] += lines << line
    memory[known] = address
    memory[known + 1] = lines << line
    first = memory[OWNER] + (address >> line)
    memory[first : first + lines] = array
    return address


@intrinsic
def address_of(typingctx, array):
    """Where the first element of an array really lies."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(data, ir.IntType(64))

    return types.int64(array), generate
