"""Loops in plain Python become WebAssembly: what a kernel's text says, for arrays of known shapes.

    def scaled(x, factor):                       (module
        out = np.empty_like(x)                     one loop for each `for`, its length a constant
        for i in range(x.shape[0]):      ->        out[i]: an address, start + 4 i
            out[i] = factor * x[i]                 numbers: four equal lanes, of which one is stored
        return out                                 factor: a constant)

Shapes and numbers are known when the bytes are made, so a kernel called with another shape is emitted again.
There are loops over ranges of known length, elements of arrays, sums, products, comparisons, choices, and
sqrt, exp and tanh. Everything else is refused with a sentence: `NotCompiled`. All numbers are float32.
"""

import ast
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .encode import Function
from .engines import Memory
from .products import FLOAT
from .rows import _exp

ARITHMETIC = {ast.Add: "f32x4.add", ast.Sub: "f32x4.sub", ast.Mult: "f32x4.mul", ast.Div: "f32x4.div"}
COMPARISONS = {
    ast.Lt: "f32x4.lt",
    ast.LtE: "f32x4.le",
    ast.Gt: "f32x4.gt",
    ast.GtE: "f32x4.ge",
    ast.Eq: "f32x4.eq",
    ast.NotEq: "f32x4.ne",
}
HIGHEST_POWER = 8


class NotCompiled(Exception):
    """The text says something that is not known here."""


@dataclass
class Loops:
    """A function in plain Python, run as WebAssembly: `Loops(source, "scaled")(x, 2.0)`."""

    source: str
    function: str
    kept: dict[Any, "Emitted"] = field(default_factory=dict, repr=False)

    def __call__(self, *args: Any) -> Any:
        """The result as the function would return it: an array or a number."""
        key = tuple(arg.shape if isinstance(arg, np.ndarray) else arg for arg in args)
        if key not in self.kept:
            self.kept[key] = Emitted(_definition(self.source, self.function), args)
        return self.kept[key].run(args)


class Emitted:
    """The bytes of a function for arguments of these shapes and values."""

    def __init__(self, definition: ast.FunctionDef, args: Sequence[Any]) -> None:
        names = [argument.arg for argument in definition.args.args]
        if len(names) != len(args):
            raise NotCompiled(f"{definition.name} takes {len(names)} arguments, but {len(args)} came")
        self.shapes = {n: a.shape for n, a in zip(names, args, strict=True) if isinstance(a, np.ndarray)}
        self.dtypes = {n: a.dtype for n, a in zip(names, args, strict=True) if isinstance(a, np.ndarray)}
        self.numbers = {n: a for n, a in zip(names, args, strict=True) if n not in self.shapes}
        if strange := [n for n, dtype in self.dtypes.items() if dtype.kind not in "fb"]:
            raise NotCompiled(f"{strange[0]} holds whole numbers: only float32 and bool are known")
        self.inputs = list(self.shapes)
        self.outputs = dict(self._allocated(definition))
        if not self.outputs:
            self.outputs = {"(result)": ((1,), np.dtype(np.float32))}
        self.shapes |= {name: shape for name, (shape, _) in self.outputs.items()}
        self.returned = "(result)"
        self.code = self._module(definition)

    def run(self, args: Sequence[Any]) -> Any:
        """Copies the arguments over, runs, and copies the result back."""
        size = FLOAT * sum(math.prod(shape) + 64 for shape in self.shapes.values())
        memory = Memory(mib=2 + size // 2**20)
        arrays = [memory.put(arg) for arg in args if isinstance(arg, np.ndarray)]
        room = {name: memory.empty(*shape) for name, (shape, _) in self.outputs.items()}
        for made in room.values():
            made.fill(np.nan)
        memory.kernel(self.code)(*arrays, *room.values())
        if self.returned == "(result)":
            return float(room["(result)"][0])
        return room[self.returned].astype(self.outputs[self.returned][1])

    # what is known before anything runs

    def _allocated(self, definition: ast.FunctionDef) -> list[tuple[str, tuple[tuple[int, ...], np.dtype]]]:
        found = []
        for node in definition.body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=function, args=args)):
                    made = ast.unparse(function)
                    if made == "np.empty_like" and isinstance(args[0], ast.Name):
                        found.append((name, (self.shapes[args[0].id], self.dtypes[args[0].id])))
                    elif made == "np.empty" and args:
                        shape = args[0].elts if isinstance(args[0], ast.Tuple) else [args[0]]
                        sizes = tuple(self._known(part) for part in shape)
                        found.append((name, (sizes, self._dtype(args[1:]))))
        return found

    def _dtype(self, args: Sequence[ast.expr]) -> np.dtype:
        match args:
            case [ast.Attribute(value=ast.Name(id=name), attr="dtype")] if name in self.dtypes:
                return self.dtypes[name]
        return np.dtype(np.float32)

    def _known(self, node: ast.expr) -> int:
        """A whole number that does not depend on loops."""
        match node:
            case ast.Constant(value=int(value)):
                return value
            case ast.Subscript(
                value=ast.Attribute(value=ast.Name(id=name), attr="shape"),
                slice=ast.Constant(value=int(axis)),
            ) if name in self.shapes:
                return self.shapes[name][axis]
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                return self._known(left) * self._known(right)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._known(left) + self._known(right)
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                return self._known(left) - self._known(right)
        raise NotCompiled(f"`{ast.unparse(node)}` is no size that is known beforehand")

    # from statements to instructions

    def _module(self, definition: ast.FunctionDef) -> bytes:
        nodes = list(ast.walk(definition))
        names = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        counted = {n.target.id for n in nodes if isinstance(n, ast.For) and isinstance(n.target, ast.Name)}
        values = sorted(names - counted - set(self.outputs))
        loops = sum(isinstance(n, ast.For) for n in nodes)
        calls = sum(isinstance(n, ast.Call) for n in nodes)
        arrays = [*self.inputs, *self.outputs]
        self.f = Function(len(arrays), i32=loops + len(counted), v128=len(values) + 2 * calls)
        self.start = {name: place for place, name in enumerate(arrays)}
        self.counters = self.f.i32[len(counted) :]
        self.index = dict(zip(sorted(counted), self.f.i32, strict=False))
        self.value = dict(zip(values, self.f.v128, strict=False))
        self.spare = self.f.v128[len(values) :]
        self._block(definition.body)
        return self.f.module()

    def _block(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        f = self.f
        match node:
            case ast.For(
                target=ast.Name(id=name), iter=ast.Call(func=ast.Name(id="range" | "prange"), args=[end])
            ):
                times = self._known(end)
                counter = self.counters.pop()
                f.const(0)
                f.set(self.index[name])
                if times > 0:
                    with f.loop(counter, times):
                        self._block(node.body)
                        f.advance(self.index[name], 1)
            case ast.Assign(targets=[ast.Name(id=name)]) if name in self.outputs:
                pass  # its memory is there already
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._push(value)
                f.set(self.value[name])
            case ast.Assign(targets=[ast.Subscript() as place], value=value):
                self._store(place, value)
            case ast.AugAssign(target=ast.Name() | ast.Subscript() as place, op=op, value=value):
                target = ast.parse(ast.unparse(place), mode="eval").body
                changed = ast.BinOp(target, op, value)
                self._statement(ast.Assign([place], changed))
            case ast.Return(value=ast.Name(id=name)) if name in self.outputs:
                self.returned = name
            case ast.Return(value=ast.expr() as value) if "(result)" in self.outputs:
                f.get(self.start["(result)"])
                self._push(value)
                f("v128.store32_lane", 0, 0)
            case _:
                raise NotCompiled(f"`{ast.unparse(node).splitlines()[0]}` is no loop, assignment or return")

    def _store(self, place: ast.Subscript, value: ast.expr) -> None:
        self._address(place)
        self._push(value)
        self.f("v128.store32_lane", 0, 0)

    def _address(self, node: ast.Subscript) -> None:
        """Pushes where an element begins: start + 4 (index · strides)."""
        f = self.f
        if not isinstance(node.value, ast.Name) or node.value.id not in self.start:
            raise NotCompiled(f"`{ast.unparse(node)}` is no element of an array")
        shape = self.shapes[node.value.id]
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if len(parts) != len(shape):
            raise NotCompiled(f"`{ast.unparse(node)}` has {len(parts)} indices for {len(shape)} axes")
        f.get(self.start[node.value.id])
        for axis, part in enumerate(parts):
            self._push_index(part)
            f.const(FLOAT * math.prod(shape[axis + 1 :]))
            f("i32.mul")
            f("i32.add")

    def _push_index(self, node: ast.expr) -> None:
        match node:
            case ast.Name(id=name) if name in self.index:
                self.f.get(self.index[name])
            case ast.Constant(value=int(value)):
                self.f.const(value)
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
                self._push_index(left)
                self._push_index(right)
                self.f("i32.add" if isinstance(op, ast.Add) else "i32.sub")
            case _:
                raise NotCompiled(f"`{ast.unparse(node)}` is no index made of loop variables")

    def _push(self, node: ast.expr) -> None:
        """Pushes a number, in all four lanes."""
        f = self.f
        match node:
            case ast.Constant(value=bool() | int() | float() as value):
                f("v128.const", float(value))
            case ast.Attribute(value=ast.Name(id="np" | "math"), attr="inf"):
                f("v128.const", math.inf)
            case ast.Name(id=name) if name in self.value:
                f.get(self.value[name])
            case ast.Name(id=name) if name in self.numbers:
                f("v128.const", float(self.numbers[name]))
            case ast.Subscript(value=ast.Attribute(attr="shape")):
                f("v128.const", float(self._known(node)))
            case ast.Subscript():
                self._address(node)
                f("v128.load32_splat", 0)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                self._push(inner)
                f("f32x4.neg")
            case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=int(power))):
                self._power(left, power)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
                self._push(left)
                self._push(right)
                f(ARITHMETIC[type(op)])
            case ast.IfExp(test=test, body=yes, orelse=no):
                self._push(yes)
                self._push(no)
                self._mask(test)
                f("v128.bitselect")
            case ast.Call(func=function, args=args):
                self._call(ast.unparse(function), args)
            case _:
                raise NotCompiled(f"`{ast.unparse(node)}` is no number that is known here")

    def _power(self, node: ast.expr, power: int) -> None:
        if not 1 <= power <= HIGHEST_POWER:
            raise NotCompiled(f"powers go from 1 to {HIGHEST_POWER}, but {power} came")
        for _ in range(power):
            self._push(node)
        for _ in range(power - 1):
            self.f("f32x4.mul")

    def _mask(self, node: ast.expr) -> None:
        """Pushes all bits where the test holds, none where not."""
        match node:
            case ast.Compare(left=ast.Name(id=one), ops=[ast.Eq()], comparators=[ast.Name(id=other)]) if {
                one,
                other,
            } <= set(self.index):
                for name in (one, other):
                    self.f.get(self.index[name])
                    self.f("i32x4.splat")
                self.f("i32x4.eq")
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARISONS:
                self._push(left)
                self._push(right)
                self.f(COMPARISONS[type(op)])
            case _:
                self._push(node)
                self.f("v128.const", 0.0)
                self.f("f32x4.ne")

    def _call(self, name: str, args: Sequence[ast.expr]) -> None:
        f = self.f
        two = {"max": "f32x4.max", "min": "f32x4.min"}
        one = {
            "abs": "f32x4.abs",
            "math.fabs": "f32x4.abs",
            "math.sqrt": "f32x4.sqrt",
            "np.sqrt": "f32x4.sqrt",
        }
        if name in two and len(args) == 2:
            for arg in args:
                self._push(arg)
            f(two[name])
        elif name in one and len(args) == 1:
            self._push(args[0])
            f(one[name])
        elif name in ("math.exp", "np.exp") and len(args) == 1:
            self._push(args[0])
            self._exponential()
        elif name in ("math.tanh", "np.tanh") and len(args) == 1:
            f("v128.const", 1.0)  # tanh z = 1 - 2 / (exp 2z + 1)
            f("v128.const", 2.0)
            self._push(args[0])
            f("v128.const", 2.0)
            f("f32x4.mul")
            self._exponential()
            f("v128.const", 1.0)
            f("f32x4.add")
            f("f32x4.div")
            f("f32x4.sub")
        else:
            raise NotCompiled(f"no instruction is known for {name}")

    def _exponential(self) -> None:
        value, power = self.spare.pop(), self.spare.pop()
        self.f.set(value)
        _exp(self.f, value, power)


def _definition(source: str, function: str) -> ast.FunctionDef:
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return node
    raise NotCompiled(f"no function is called {function}")
