"""WebAssembly's binary format, as far as kernels need it: one function over a memory that somebody else owns.

A module is a list of sections, each a number, its length, and its content. Whole numbers are written in
groups of seven bits, the lowest first (LEB128). A function is its locals, its instructions, and an end. There
is no text in between and no other library: an instruction becomes its bytes at the moment when it is said.

`emit.js` beside this file is the same in JavaScript, for pages, and gives the same bytes.
"""

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any

I32, F32, V128, VOID = 0x7F, 0x7D, 0x7B, 0x40  # types of values, and of a block that leaves none behind
FUNCTION = 0x60
VECTOR = 16  # bytes


@cache
def opcodes() -> dict[str, tuple[bytes, str]]:
    """Instruction -> its bytes, and what follows: u or s (a whole number without or with sign), m (where in
    memory), b (one byte), f (a float), v (four floats)."""
    stored = json.loads(files("workbench.wasm").joinpath("opcodes.json").read_text("utf-8"))
    return {name: (bytes(code), follows) for name, (code, follows) in stored.items()}


def unsigned(value: int) -> bytes:
    """A whole number from 0 on, seven bits a byte; the highest bit says that more follow.

    >>> unsigned(624485).hex()
    'e58e26'
    """
    out = bytearray()
    while True:
        out.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(out)


def signed(value: int) -> bytes:
    """A whole number of either sign: the last group's highest bit repeats for ever.

    >>> signed(-123456).hex()
    'c0bb78'
    """
    out = bytearray()
    while True:
        group, value = value & 0x7F, value >> 7
        done = value == (-1 if group & 0x40 else 0)
        out.append(group if done else group | 0x80)
        if done:
            return bytes(out)


class Function:
    """A function under construction: `f("f32x4.add")` appends an instruction, the rest are short forms.

    Its parameters are addresses, numbered from 0; its locals follow, `i32` whole numbers, then `f32` floats,
    then `v128` vectors of four floats. It returns nothing: kernels write into memory.
    """

    def __init__(self, params: int, *, i32: int = 0, f32: int = 0, v128: int = 0) -> None:
        self.params, self.counts = params, {I32: i32, F32: f32, V128: v128}
        self.i32 = list(range(params, params + i32))
        self.f32 = list(range(params + i32, params + i32 + f32))
        self.v128 = list(range(params + i32 + f32, params + i32 + f32 + v128))
        self.code = bytearray()

    def __call__(self, name: str, *values: Any) -> None:
        code, follows = opcodes()[name]
        self.code += code
        for kind, value in zip(follows, values, strict=True):
            if kind == "u":
                self.code += unsigned(value)
            elif kind == "s":
                self.code += signed(value)
            elif kind == "m":  # alignment is a hint (here: 4 bytes), the offset is added to the address
                self.code += b"\x02" + unsigned(value)
            elif kind == "b":
                self.code.append(value)
            elif kind == "f":
                self.code += struct.pack("<f", value)
            else:
                self.code += struct.pack("<f", value) * 4 if isinstance(value, float) else value

    def get(self, local: int) -> None:
        self("local.get", local)

    def set(self, local: int) -> None:
        self("local.set", local)

    def const(self, value: int) -> None:
        self("i32.const", value)

    def move(self, local: int, other: int) -> None:
        """local = other"""
        self.get(other)
        self.set(local)

    def advance(self, local: int, by: int) -> None:
        """local += by"""
        self.get(local)
        self.const(by)
        self("i32.add")
        self.set(local)

    @contextmanager
    def loop(self, counter: int, times: int) -> Iterator[None]:
        """What is said inside happens `times` times (at least once); `counter` is an i32 local of its own."""
        if times == 1:
            yield
            return
        self.const(times)
        self.set(counter)
        self("loop", VOID)
        yield
        self.get(counter)
        self.const(1)
        self("i32.sub")
        self("local.tee", counter)
        self("br_if", 0)
        self("end")

    def module(self) -> bytes:
        """The whole module: imports `env.memory`, exports the function as `run`."""
        takes = bytes([FUNCTION]) + _vector([bytes([I32])] * self.params) + _vector([])
        memory = _name("env") + _name("memory") + b"\x02\x00\x00"  # a memory of any size
        grouped = [unsigned(n) + bytes([kind]) for kind, n in self.counts.items() if n]
        body = _vector(grouped) + bytes(self.code) + opcodes()["end"][0]
        return b"".join(
            [
                b"\0asm\x01\0\0\0",
                _section(1, _vector([takes])),
                _section(2, _vector([memory])),
                _section(3, _vector([b"\x00"])),  # the one function has the one type
                _section(7, _vector([_name("run") + b"\x00\x00"])),
                _section(10, _vector([unsigned(len(body)) + body])),
            ]
        )


def _vector(items: list[bytes]) -> bytes:
    return unsigned(len(items)) + b"".join(items)


def _name(text: str) -> bytes:
    return unsigned(len(text)) + text.encode()


def _section(number: int, content: bytes) -> bytes:
    return bytes([number]) + unsigned(len(content)) + content
