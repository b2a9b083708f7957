"""Bytes back into words: what a kernel says, instruction by instruction."""

import struct
from itertools import dropwhile, takewhile

from workbench.errors import WorkbenchError

from .encode import opcodes

CODE = 10  # the section with the instructions


def listing(code: bytes, innermost: bool = False) -> list[str]:
    """The instructions of a module that this room emitted, one a line, indented by loops.

    innermost: only the inside of the first loop that holds no other one, where nearly all time is spent.
    """
    lines = _Reader(code).lines()
    if not innermost:
        return lines
    deepest = max((line for line in lines if line.strip() == "loop"), key=_depth, default="")
    if not deepest:
        return lines
    inside = _depth(deepest) + 2
    after = list(dropwhile(lambda line: line != deepest, lines))[1:]
    return [line.strip() for line in takewhile(lambda line: _depth(line) >= inside, after)]


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


class _Reader:
    def __init__(self, code: bytes) -> None:
        self.code, self.at = code, 8

    def lines(self) -> list[str]:
        names = {bytes_: (name, follows) for name, (bytes_, follows) in opcodes().items()}
        self._find(CODE)
        for _ in range(2):
            self._number()  # how many functions, how long the first is
        for _ in range(self._number()):
            self._number()  # how many locals of a type, and the type
            self.at += 1
        lines: list[str] = []
        depth = 0
        while self.at < len(self.code):
            found = names.get(self._opcode())
            if found is None:
                raise WorkbenchError(f"no instruction that this room emits begins at byte {self.at}")
            name, follows = found
            said = [self._value(kind) for kind in follows]
            depth -= name == "end"
            if depth >= 0:  # the last end closes the function
                lines.append("  " * depth + " ".join([name, *filter(None, said)]))
            depth += name == "loop"
        return lines

    def _find(self, section: int) -> None:
        while self.code[self.at] != section:
            self.at += 1
            length = self._number()
            self.at += length
        self.at += 1
        self._number()

    def _opcode(self) -> bytes:
        first = self.at
        self.at += 1
        if self.code[first] == 0xFD:  # vectors: a number follows
            self._number()
        return self.code[first : self.at]

    def _value(self, kind: str) -> str:
        if kind == "u":
            return str(self._number())
        if kind == "s":
            return str(self._number(sign=True))
        if kind == "m":
            self._number()
            offset = self._number()
            return f"offset={offset}" if offset else ""
        if kind == "b":
            self.at += 1
            return str(self.code[self.at - 1]) if self.code[self.at - 1] != 0x40 else ""
        size = 4 if kind == "f" else 16
        taken = self.code[self.at : self.at + size]
        self.at += size
        numbers = struct.unpack(f"<{size // 4}f", taken)
        if size == 16 and len(set(taken[i : i + 4] for i in range(0, 16, 4))) > 1:
            return taken.hex()
        return f"{numbers[0]:g}" if numbers[0] == numbers[0] else taken[:4].hex()

    def _number(self, sign: bool = False) -> int:
        value = shift = 0
        while True:
            byte = self.code[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value - (1 << shift) if sign and byte & 0x40 else value
