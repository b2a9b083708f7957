"""Weaves counters into a normal form: the source of the counting build.

Statements that stand in a row happen together and share one counter. An access to an element becomes

    _a = <address of the element>
    if _a - _last3 != _stride3:                 # the run of equal steps ends
        _stride3 = turn(...)
    _last3 = _a
    _slot = _book[_a >> _shift << 2]                # the cache simulator's common case
    if _slot == 0:
        _slot = visit(...)
    _memory[_slot] = _now
    _memory[_slot + _tags] |= 1                 # if it stores
    _now += 1

with everything in local scalars. Beside an array variable A stand `_A_at` (address of its first element),
`_A_s0 ...` (strides) and `_A_n0 ...` (shape), set wherever A is. Counters are handed over on every way out.
"""

import ast
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numba import types
from numba.core.dispatcher import Dispatcher

from workbench.counting import operations
from workbench.counting.flow import (
    ALLOCATORS,
    PLAIN,
    VIEW_METHODS,
    VIEWS,
    Root,
    base_of,
    flatten,
    follow,
    is_array,
)
from workbench.counting.inference import Fact, infer
from workbench.counting.normal import is_whole, normalize, outside
from workbench.counting.source import Source, source_of

# Lines to be replaced when all sites of a kernel are known.
LEAVE, SETTLE = "# leave", "# settle "


@dataclass(frozen=True)
class Site:
    """A place in the source that accesses elements of `size` bytes of what it calls `array`."""

    kernel: str
    file: str
    line: int
    array: str
    store: bool
    size: int


@dataclass(frozen=True)
class Operation:
    """An operation in the source: `floats` or integers, `times` of `kind` whenever its block happens."""

    kernel: str
    file: str
    line: int
    block: int
    floats: bool
    kind: str
    times: int


@dataclass
class Plan:
    """Numbers everything that one counting build counts, over all kernels that call each other."""

    arrays: list[str] = field(default_factory=list)
    sites: list[Site] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    blocks: int = 0
    functions: dict[tuple[Any, tuple[types.Type, ...]], str] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    texts: list[tuple[Source, str]] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    outside: dict[str, tuple[Any, int, Source]] = field(default_factory=dict)
    prefixes: set[str] = field(default_factory=set)

    def array(self, name: str, kernel: str) -> int:
        """Numbers an array that a kernel allocates, under a name of its own."""
        names = [name, f"{kernel}.{name}", *(f"{kernel}.{name} ({n})" for n in range(2, 1000))]
        self.arrays.append(next(free for free in names if free not in self.arrays))
        return len(self.arrays) - 1

    def function(self, kernel: Any, arguments: tuple[types.Type, ...]) -> str:
        """The name of the counting build of a kernel for these types, woven at the first request."""
        key = (kernel, arguments)
        if key not in self.functions:
            source = source_of(kernel)
            self.functions[key] = ""  # in work
            if source not in self.sources:
                self.sources.append(source)
            name = f"{source.name}_{len(self.functions)}"
            text = Weaver(self, source, arguments, name).text()
            self.functions[key] = name
            self.texts.append((source, text))
        return self.functions[key]


class Weaver:
    """Weaves one kernel for one set of argument types."""

    def __init__(self, plan: Plan, source: Source, arguments: tuple[types.Type, ...], name: str) -> None:
        self.plan, self.source, self.arguments, self.function = plan, source, arguments, name
        if source.options.get("locals"):
            raise source.refuse(
                source.first_line, "types given by locals= are not followed; convert in the text"
            )
        self.is_root = not plan.texts and len(plan.functions) == 1
        self.normal = normalize(source)
        self.facts = infer(source, self.normal, arguments)
        self.flow = follow(source, self.normal, self.facts)
        self.p = self.normal.prefix
        self.parameters = [argument.arg for argument in self.normal.tree.args.args]
        self.placed = [name for name in self.parameters if name in self.flow.roots]
        self.ids: dict[Root, str] = {("parameter", name): f"{self.p}{name}_id" for name in self.placed}
        self.numbers: dict[int, int] = {}  # of the arrays that a line allocates
        self.sites: list[tuple[int, str, int]] = []  # number, variable, block
        self.blocks: list[int] = []
        self.line = source.first_line
        self.open_block: int | None = None

    def text(self) -> str:
        p = self.p
        if self.is_root:
            self.plan.arrays += self.placed
        for line, name in sorted(self.flow.allocations.items()):
            shown = f"line {self.normal.origin[line]}" if name.startswith(p) else name
            self.numbers[line] = self.plan.array(shown, self.source.name)
            self.ids["allocation", line] = f"{self.numbers[line]} * {p}SITES"
        body = self.body(self.normal.tree.body)
        if not isinstance(self.normal.tree.body[-1], ast.Return):
            body.append(LEAVE)
        states = [f"{p}{part}" for name in self.placed for part in (f"{name}_at", f"{name}_id")]
        states += [f"{p}book", f"{p}memory", f"{p}marks"]
        start = [
            f"{p}shift = {p}memory[{p}SHIFT]",
            f"{p}tags = {p}memory[{p}TAGS]",
            f"{p}tally = {p}memory[{p}TALLY]",
            f"{p}blocks = {p}memory[{p}BLOCKS]",
            f"{p}now = {p}memory[{p}NOW]",
            *(f"{p}b{block} = 0" for block in self.blocks),
            *(f"{p}last{site} = -1\n{p}stride{site} = 0" for site, _, _ in self.sites),
            *(
                f"{p}{name}_id = 0"
                for name in self.flow.roots
                if name not in self.placed and self.flow.mixed(name)
            ),
            *(self.shape_of(name) for name in self.placed),
        ]
        arguments = ", ".join(self.parameters + states)
        self.plan.prefixes.add(p)
        text = f"def {self.function}({arguments}):\n{indent(start)}\n{indent(body)}\n"
        return re.sub(rf"^( *)({LEAVE}|{SETTLE}.*)$", self.replace_mark, text, flags=re.MULTILINE)

    def replace_mark(self, mark: re.Match[str]) -> str:
        lines = self.leave() if mark[2] == LEAVE else self.settle(mark[2].removeprefix(SETTLE))
        return indent(lines, mark[1])

    # statements

    def body(self, statements: list[ast.stmt]) -> list[str]:
        self.open_block = None
        out: list[str] = []
        for statement in statements:
            self.line = self.normal.origin[statement.lineno]
            if isinstance(statement, ast.If | ast.For | ast.While):
                out += self.compound(statement)
                self.open_block = None
            else:
                before = self.open_block
                lines = self.simple(statement)
                if self.open_block is not None and before is None:
                    out.append(f"{self.p}b{self.open_block} += 1")
                out += lines
        return out

    def compound(self, node: ast.If | ast.For | ast.While) -> list[str]:
        self.collect(node.iter if isinstance(node, ast.For) else node.test)
        head = ""
        match node:
            case ast.For(target, iterable):
                fact = self.facts.at(node.lineno, "iterate")
                if fact and is_array(fact.operands[0]):
                    self.refuse("a loop over an array hides its loads; loop over its indices")
                head = f"for {ast.unparse(target)} in {ast.unparse(iterable)}:"
            case ast.While(test):
                head = f"while {ast.unparse(test)}:"
            case ast.If(test):
                head = f"if {ast.unparse(test)}:"
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id in self.flow.roots:
            self.refuse("the truth of an array hides its loads; compare an element")
        out = [head, indent(self.body(node.body))]
        if node.orelse:
            out += ["else:", indent(self.body(node.orelse))]
        return out

    def simple(self, node: ast.stmt) -> list[str]:
        self.collect(node)
        text = ast.unparse(node)
        if node.lineno not in self.facts.reached:
            return [text]  # numba has proved that this never runs
        for fact in self.facts.lines.get(node.lineno, ()):
            if fact.kind == "tuple" and any(map(is_array, fact.operands)):
                self.refuse("a tuple of arrays cannot be followed; use a variable for each")
        match node:
            case ast.Return(value):
                if not self.is_root and isinstance(value, ast.Name) and value.id in self.flow.roots:
                    self.refuse(
                        "a kernel that another one calls must not return an array; pass it one to fill"
                    )
                return [LEAVE, text]
            case ast.Assign([ast.Subscript(ast.Name(base), index)], value):
                return [*self.store(node, base, index, value), text]
            case ast.Assign([ast.Name(name)], value) if name in self.flow.roots:
                return self.bind(node, name, value)
            case ast.Assign([ast.Tuple()], value):
                if (whole := self.facts.at(node.lineno, "load")) and is_array(whole.operands[0]):
                    self.refuse("an array taken apart hides its loads; read its elements by index")
                return [text]
            case ast.Assign([_], value) | ast.Expr(value):
                return self.effect(node, value)
        return [text]

    def effect(self, node: ast.stmt, value: ast.expr) -> list[str]:
        """A statement whose value is no array: a load, an operation, a call, or nothing to count."""
        text = ast.unparse(node)
        match value:
            case ast.Subscript(ast.Name(base), index):
                fact = self.fact(node, "load")
                if fact is None or not is_array(fact.operands[0]):
                    self.only_tuple(fact)
                    return [text]
                if base not in self.flow.roots:
                    self.refuse("an array from outside the kernel; pass it as an argument")
                return [*self.touch(base, self.address(base, index, fact), fact.operands[0], False), text]
            case ast.BinOp() | ast.UnaryOp() | ast.Compare():
                self.operation(node, value)
            case ast.Attribute(_, name):
                fact = self.facts.at(node.lineno, "attribute")
                if fact and is_array(fact.operands[0]) and name not in PLAIN:
                    self.refuse(f"what .{name} does to memory is not known")
            case ast.Call():
                return self.call(node, value)
        return [text]

    def operation(self, node: ast.stmt, value: ast.expr) -> None:
        if isinstance(value, ast.Compare) and isinstance(value.ops[0], ast.Is | ast.IsNot):
            return  # settled by types, before anything runs
        fact = self.fact(node, "operation")
        if fact is None:
            return
        if any(map(is_array, (*fact.operands, fact.result))):
            self.refuse("arithmetic on whole arrays hides its loop; write the loop out")
        if fact.what in operations.FREE:
            return
        if fact.what not in operations.KINDS:
            self.refuse(f"{getattr(fact.what, '__name__', fact.what)} is not an operation that is counted")
        if parts := [p for kind in fact.operands if isinstance(kind, types.BaseTuple) for p in flatten(kind)]:
            if all(isinstance(part, types.Integer) for part in parts):
                return  # shapes compared or joined: no arithmetic
            self.refuse("an operation on a whole tuple hides those on its parts; write them out")
        self.count(operations.KINDS[fact.what], fact.operands, fact.result)

    def call(self, node: ast.stmt, value: ast.Call) -> list[str]:
        called = outside(value.func, self.normal.local, self.source)
        text = ast.unparse(node)
        if called is print:
            if any(isinstance(given, ast.Name) and given.id in self.flow.roots for given in value.args):
                self.refuse("printing an array hides its loads; print its elements")
            return [text]
        fact = self.fact(node, "call")
        if fact is None:
            return [text]
        if isinstance(called, Dispatcher):
            return self.call_kernel(node, value, called, fact)
        operands = tuple(part for operand in fact.operands for part in flatten(operand))
        if called is len or called is range or isinstance(fact.what, types.NumberClass):
            return [text]
        if any(map(is_array, (*operands, fact.result))):
            self.refuse("a function of whole arrays hides its loads and stores; write the loop out")
        if isinstance(called, type):  # int(x), float(x), an exception, enumerate(...)
            return [text]
        name = getattr(called, "__name__", "")
        if called in (min, max):
            self.count(name, operands, fact.result, times=len(operands) - 1)
        elif called in (abs, round, pow) or is_function_of_numbers(called):
            self.count(operations.SAME.get(name, name), operands, fact.result)
        else:
            self.refuse("what this calls cannot be counted; make it a @kernel")
        return [text]

    def call_kernel(self, node: ast.stmt, value: ast.Call, called: Dispatcher, fact: Fact) -> list[str]:
        """Calls the counting build of another kernel and hands it the state."""
        p = self.p
        names = source_of(called).function.__code__.co_varnames[: called.py_func.__code__.co_argcount]
        if value.keywords or len(value.args) != len(names):
            self.refuse("a kernel is called with all its arguments, by position")
        if is_array(fact.result) or any(map(is_array, flatten(fact.result))):
            self.refuse("a kernel that another one calls must not return an array; pass it one to fill")
        if any(is_array(part) for a in fact.operands for part in flatten(a) if not is_array(a)):
            self.refuse("a tuple of arrays cannot be followed; use an argument for each")
        name = self.plan.function(called, fact.operands)
        if not name:
            self.refuse("a kernel that calls itself cannot be counted")
        arguments = [ast.unparse(argument) for argument in value.args]
        for argument, kind in zip(value.args, fact.operands, strict=True):
            if is_array(kind):
                assert isinstance(argument, ast.Name)
                arguments += [f"{p}{argument.id}_at", self.id_of(argument.id)]
        arguments += [f"{p}book", f"{p}memory", f"{p}marks"]
        call = f"{name}({', '.join(arguments)})"
        if isinstance(node, ast.Assign):
            call = f"{ast.unparse(node.targets[0])} = {call}"
        return [f"{p}memory[{p}NOW] = {p}now", call, f"{p}now = {p}memory[{p}NOW]"]

    # arrays

    def bind(self, node: ast.stmt, name: str, value: ast.expr) -> list[str]:
        """An array variable gets an array: from an allocation, or as a view of another."""
        p, text = self.p, ast.unparse(node)
        renew = [SETTLE + name] if self.flow.mixed(name) else []
        called = outside(value.func, self.normal.local, self.source) if isinstance(value, ast.Call) else None
        if called is not None and called in ALLOCATORS:
            return [*renew, text, *self.allocate(node, name, ALLOCATORS[called])]
        parent = base_of(value)
        known = (
            isinstance(value, ast.Name | ast.Subscript)
            or (isinstance(value, ast.Attribute) and value.attr in VIEWS)
            or (
                isinstance(value, ast.Call)
                and isinstance(value.func, ast.Attribute)
                and value.func.attr in VIEW_METHODS
            )
        )
        if not known or parent not in self.flow.roots:
            self.refuse_array(node, value)
        load = self.facts.at(node.lineno, "load")
        if isinstance(value, ast.Subscript) and load and any(map(is_array, flatten(load.operands[1]))):
            self.refuse("an array as an index hides its loads; write the loop out")
        if isinstance(value, ast.Attribute) and value.attr == "imag" and not self.is_complex(parent):
            self.refuse("real numbers have no imaginary part; numba makes a new array of zeros")
        follow_id = [f"{p}{name}_id = {self.id_of(parent)}"] if self.flow.mixed(name) else []
        return [
            *renew,
            f"{p}from = {p}{parent}_at - {p}address_of({parent})",
            *follow_id,
            text,
            f"{p}{name}_at = {p}from + {p}address_of({name})",
            self.shape_of(name),
        ]

    def is_complex(self, name: str | None) -> bool:
        kinds = self.facts.names[name] if name else set()
        return all(isinstance(getattr(kind, "dtype", None), types.Complex) for kind in kinds)

    def refuse_array(self, node: ast.stmt, value: ast.expr) -> NoReturn:
        if isinstance(value, ast.BinOp | ast.UnaryOp | ast.Compare):
            self.refuse("arithmetic on whole arrays hides its loop; write the loop out")
        if isinstance(value, ast.Call) and isinstance(
            outside(value.func, self.normal.local, self.source), Dispatcher
        ):
            self.refuse("a kernel that another one calls must not return an array; pass it one to fill")
        self.refuse("it is not known where this array lies; use slices, T, reshape, np.empty or np.zeros")

    def allocate(self, node: ast.stmt, name: str, fills: bool) -> list[str]:
        """Gives a new array its place, and counts the stores of `zeros`, `ones` and `full`."""
        p, number, again = self.p, self.numbers[node.lineno], self.flow.again[node.lineno]
        out = [f"{p}{name}_at = {p}place({p}memory, {number}, {name}.nbytes, {again})", self.shape_of(name)]
        if self.flow.mixed(name):
            out.append(f"{p}{name}_id = {number} * {p}SITES")
        if fills:
            kind = next(filter(is_array, self.facts.names[name]))
            outer, self.open_block = self.open_block, None
            touch = self.touch(name, f"{p}{name}_at + {p}k * {self.size_of(kind)}", kind, True)
            out += [f"for {p}k in range({name}.size):", indent([f"{p}b{self.open_block} += 1", *touch])]
            self.open_block = outer
        return out

    def store(self, node: ast.stmt, base: str, index: ast.expr, value: ast.expr) -> list[str]:
        """Stores to an element, or to every element of a view."""
        fact = self.fact(node, "store")
        if fact is None:
            return []
        target, _, given = fact.operands
        if not is_array(target):
            self.refuse("only elements of arrays can be stored to")
        if not is_whole(index):
            return self.touch(base, self.address(base, index, fact), target, True)
        p, outer = self.p, self.open_block
        self.open_block = None
        indices = [f"{p}k{axis}" for axis in range(target.ndim)]
        out, loads = [], []
        if is_array(given):
            assert isinstance(value, ast.Name)
            if given.ndim != target.ndim:
                self.refuse("an array of fewer dimensions is repeated here; write the loop out")
            out.append(f"if {base}.shape != {value.id}.shape:\n    raise ValueError('the shapes differ')")
            loads = self.touch(value.id, self.element(value.id, indices), given, False)
        stores = self.touch(base, self.element(base, indices), target, True)
        lines = [f"{p}b{self.open_block} += 1", *loads, *stores]
        for axis in reversed(range(target.ndim)):
            lines = [f"for {indices[axis]} in range({p}{base}_n{axis}):", indent(lines)]
        self.open_block = outer
        return out + lines

    def address(self, base: str, index: ast.expr, fact: Fact) -> str:
        """The address of one element, with Python's meaning of negative indices."""
        array, kind = fact.operands[0], fact.operands[1]
        kinds = flatten(kind)
        if not all(isinstance(part, types.Integer) for part in kinds) or len(kinds) != array.ndim:
            self.refuse("an index that is not one integer for each axis; give slices as in A[i, :]")
        if isinstance(index, ast.Tuple):
            parts = [ast.unparse(part) for part in index.elts]
        elif isinstance(kind, types.BaseTuple):
            parts = [f"{ast.unparse(index)}[{axis}]" for axis in range(array.ndim)]
        else:
            parts = [ast.unparse(index)]
        counted = []
        for axis, (part, integer) in enumerate(zip(parts, kinds, strict=True)):
            signed = part if integer.signed else f"{self.p}np.int64({part})"
            if part.isdigit() or not integer.signed:
                counted.append(signed)
            else:
                counted.append(f"({part} if {part} >= 0 else {part} + {self.p}{base}_n{axis})")
        return self.element(base, counted)

    def element(self, base: str, indices: list[str]) -> str:
        terms = [f"{self.p}{base}_at"]
        terms += [f"{index} * {self.p}{base}_s{axis}" for axis, index in enumerate(indices)]
        return " + ".join(terms)

    def touch(self, base: str, address: str, kind: Any, store: bool) -> list[str]:
        """An access to an element of `base`, as in the head of this module."""
        p = self.p
        size = self.size_of(kind)
        site = len(self.plan.sites)
        line = self.line
        self.plan.sites.append(Site(self.source.name, self.source.file, line, base, store, size))
        block = self.block()
        self.sites.append((site, base, block))
        pair = f"{self.id_of(base)} + {site}"
        out = [
            f"{p}a = {address}",
            f"{p}d = {p}a - {p}last{site}",
            f"if {p}d != {p}stride{site}:",
            f"    {p}stride{site} = {self.turn(site, pair, block, f'{p}d')}",
            f"{p}last{site} = {p}a",
            f"{p}slot = {p}book[{p}a >> {p}shift << 2]",
            f"if {p}slot == 0:",
            f"    {p}slot = {p}visit({p}book, {p}memory, {p}a, {pair}, {int(store)}, {p}now)",
            f"{p}memory[{p}slot] = {p}now",
        ]
        if store:
            out.append(f"{p}memory[{p}slot + {p}tags] |= 1")
        out.append(f"{p}now += 1")
        if self.flow.mixed(base):
            out.append(f"{p}memory[{p}tally + {pair}] += 1")
        return out

    def size_of(self, kind: Any) -> int:
        """Bytes of an element."""
        element: Any = kind.dtype
        if element == types.boolean:
            return 1
        if element in types.number_domain:
            return element.bitwidth // 8
        self.refuse(f"elements of type {kind.dtype} are not counted")

    def shape_of(self, name: str) -> str:
        """Strides and shape of an array as scalars."""
        p, axes = self.p, range(self.flow.dimensions[name])
        return (
            "\n".join(
                line
                for axis in axes
                for line in (
                    f"{p}{name}_s{axis} = {name}.strides[{axis}]",
                    f"{p}{name}_n{axis} = {name}.shape[{axis}]",
                )
            )
            or "pass"
        )

    def id_of(self, name: str) -> str:
        """What identifies the array that a variable holds, times the number of sites."""
        if self.flow.mixed(name):
            return f"{self.p}{name}_id"
        (root,) = self.flow.roots[name]
        return self.ids[root]

    # counters

    def block(self) -> int:
        """The counter of the statements that happen together here."""
        if self.open_block is None:
            self.open_block = self.plan.blocks
            self.blocks.append(self.plan.blocks)
            self.plan.blocks += 1
        return self.open_block

    def count(self, kind: str, operands: tuple[Any, ...], result: Any, times: int = 1) -> None:
        floats, kinds = operations.kinds(kind, operands, result)
        for name, number in kinds.items():
            self.plan.operations.append(
                Operation(
                    self.source.name, self.source.file, self.line, self.block(), floats, name, number * times
                )
            )

    def turn(self, site: int, pair: str, block: int | str, step: str) -> str:
        """The call that ends a site's run of equal steps."""
        p = self.p
        run = f"{site}, {pair}, {p}last{site}, {p}stride{site}, {p}b{block}"
        return f"{p}turn({p}memory, {p}marks, {run}, {step})"

    def settle(self, name: str) -> list[str]:
        """Ends the runs of a variable's sites before it holds another array."""
        p, out = self.p, []
        for site, variable, block in self.sites:
            if variable == name:
                ended = self.turn(site, f"{p}{name}_id + {site}", f"{block} + 1", "0")
                out += [f"if {p}last{site} >= 0:", f"    {ended}", f"    {p}last{site} = -1"]
                out += [f"    {p}stride{site} = 0"]
        return out

    def leave(self) -> list[str]:
        """Hands over all counters."""
        p = self.p
        out = [f"{p}memory[{p}NOW] = {p}now"]
        out += [f"{p}memory[{p}blocks + {block}] += {p}b{block}" for block in self.blocks]
        for site, name, block in self.sites:
            pair = f"{self.id_of(name)} + {site}"
            if not self.flow.mixed(name):
                out.append(f"{p}memory[{p}tally + {pair}] += {p}b{block}")
            out += [f"if {p}last{site} >= 0:", f"    {self.turn(site, pair, f'{block} + 1', '0')}"]
        return out

    def collect(self, node: ast.AST) -> None:
        """Remembers what the statement uses from outside."""
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and part.id not in self.normal.local:
                found = outside(part, self.normal.local, self.source)
                if part.id != "range" and not isinstance(found, Dispatcher):
                    known, _, where = self.plan.outside.setdefault(part.id, (found, self.line, self.source))
                    if known is not found and repr(known) != repr(found):
                        self.refuse(f"{part.id} means something else here than in {where.name}; rename one")
            elif isinstance(part, ast.Attribute):
                found = outside(part, self.normal.local, self.source)
                if found is not None:
                    self.plan.constants[ast.unparse(part)] = found

    def fact(self, node: ast.stmt, kind: str) -> Fact | None:
        """Numba's fact about the statement; constants that Python has folded have none."""
        found = self.facts.at(node.lineno, kind)
        if found is None and not self.folded(node):
            self.refuse("numba compiles this in a way that cannot be followed")
        return found

    def folded(self, node: ast.stmt) -> bool:
        return not any(
            isinstance(part, ast.Name) and part.id in self.normal.local and isinstance(part.ctx, ast.Load)
            for part in ast.walk(node)
        )

    def only_tuple(self, fact: Fact | None) -> None:
        if fact and not isinstance(fact.operands[0], types.BaseTuple):
            self.refuse(f"a {fact.operands[0]} is not simulated; use an array")

    def refuse(self, reason: str) -> NoReturn:
        raise self.source.refuse(self.line, reason)


def is_function_of_numbers(called: Any) -> bool:
    """Whether a function is one of mathematics, which does nothing but compute."""
    return isinstance(called, np.ufunc) or getattr(called, "__module__", "") in ("math", "cmath")


def indent(lines: list[str], by: str = "    ") -> str:
    """Lines (some of several lines) moved to the right."""
    return "\n".join(by + line for text in lines for line in text.split("\n"))
