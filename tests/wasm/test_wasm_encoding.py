"""The binary format: numbers, instructions, and modules that an engine accepts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.wasm import (
    Function,
    Memory,
    Passes,
    Product,
    Tile,
    gelu,
    layer_norm,
    listing,
    product,
    softmax,
)
from workbench.wasm.encode import opcodes, signed, unsigned

wasmtime = pytest.importorskip(
    "wasmtime", reason="wasmtime runs the kernels: pip install 'kernel-workbench[test]'"
)


@given(st.integers(0, 2**32 - 1))
def test_unsigned_numbers_are_groups_of_seven_bits(value):
    code = unsigned(value)
    assert sum((byte & 0x7F) << 7 * i for i, byte in enumerate(code)) == value
    assert [byte >> 7 for byte in code] == [1] * (len(code) - 1) + [0]
    assert len(code) == max(1, -(-value.bit_length() // 7))


@given(st.integers(-(2**31), 2**31 - 1))
def test_signed_numbers_come_back_through_an_engine(value):
    code = signed(value)
    bits = sum((byte & 0x7F) << 7 * i for i, byte in enumerate(code))
    assert bits - (1 << 7 * len(code)) * (code[-1] >> 6 & 1) == value
    assert -(1 << 7 * len(code) - 1) <= value < 1 << 7 * len(code) - 1


def text_of(name: str, follows: str) -> str:
    values = {"u": "0", "s": "-77", "m": "offset=300", "b": "0", "f": "0.5", "v": "f32x4 1 2 3 4"}
    said = [values[kind] for kind in follows if (name, kind) != ("loop", "b")]
    return " ".join(
        [name, *(value for value in said if not (name.endswith("_lane") and value == "offset=300"))]
    )


@pytest.mark.parametrize("name", [name for name in opcodes() if name not in ("loop", "end", "br_if")])
def test_every_instruction_has_the_bytes_of_the_text_format(name):
    """The peer is wasmtime's own assembler: its bytes of the same instruction are ours."""
    code, follows = opcodes()[name]
    given = text_of(name, follows)
    module = bytes(
        wasmtime.wat2wasm(f"(module (memory 1) (func (local i32) unreachable {given} unreachable))")
    )
    assert b"\x00" + code in module, given


def test_a_loop_runs_as_often_as_it_says():
    for times in (1, 2, 7):
        f = Function(1, i32=1)
        f.get(0)
        f("f32.const", 1.0)
        f("f32.store", 0)
        with f.loop(f.i32[0], times):
            f.get(0)
            f.get(0)
            f("v128.load", 0)
            f.get(0)
            f("v128.load", 0)
            f("f32x4.add")
            f("v128.store", 0)
        memory = Memory(1)
        x = memory.empty(4)
        memory.kernel(f.module())(x)
        assert x[0] == 2**times


def test_a_listing_says_every_instruction():
    assert listing(product(Product(1, 4, 1))) == listing(product(Product(1, 4, 1)), innermost=True)
    tile = listing(product(Product(8, 16, 6), Tile(4, 2, 2)), innermost=True)
    assert tile.count("f32x4.mul") == tile.count("f32x4.add") == 4 * 2 * 2
    assert sum(line.startswith("v128.load ") or line == "v128.load" for line in tile) == 2 * 2
    assert tile[-1].startswith("br_if")
    fused = listing(product(Product(8, 16, 6), Tile(4, 2, 2, relaxed=True)), innermost=True)
    assert fused.count("f32x4.relaxed_madd") == 16
    for code in (softmax(3, 7), layer_norm(3, 7), gelu(7)):
        lines = listing(code)
        assert len([line for line in lines if line.strip() == "loop"]) == len(
            [line for line in lines if line.strip() == "end"]
        )


def test_bytes_that_are_no_module_are_refused_in_a_sentence():
    with pytest.raises(WorkbenchError, match="no valid module"):
        Memory(1).kernel(b"\0asm\x01\0\0\0 nonsense")
    f = Function(1)
    f.code += b"\x00"  # unreachable, which no kernel says
    with pytest.raises(WorkbenchError, match="no instruction"):
        listing(f.module())


def test_sums_that_stay_in_memory_need_whole_vectors():
    with pytest.raises(WorkbenchError, match="multiple of 4"):
        product(Product(4, 6, 4), Tile(), Passes(accumulators=False))


def test_arrays_belong_to_their_memory():
    import numpy as np

    memory = Memory(1)
    with pytest.raises(WorkbenchError, match="not in this memory"):
        memory.address(np.zeros(4, np.float32))
    with pytest.raises(WorkbenchError, match="is full"):
        memory.empty(2**20)
