"""The normal form of a kernel: one effect per statement.

    C[i, j] += A[i, k] * B[k, j]

becomes

    _1 = C[i, j]
    _2 = A[i, k]
    _3 = B[k, j]
    _4 = _2 * _3
    _5 = _1 + _4
    C[i, j] = _5

in Python's own order of evaluation. What may or may not happen (`and`, `or`, `x if y else z`, `a < b < c`,
the test of a `while`) becomes an `if`, so that whatever stands in a row of simple statements happens
together. Nothing is counted here, and the normal form computes what the kernel computes.

An *atom* is a name, a constant, an attribute of a module, or a tuple of atoms: it does nothing by itself.
"""

import ast
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NoReturn

import numba

from workbench.counting.source import Source

FORBIDDEN = {
    ast.Lambda: "a function inside a kernel",
    ast.FunctionDef: "a function inside a kernel",
    ast.ListComp: "a comprehension, whose loop is hidden; write the loop out",
    ast.SetComp: "a comprehension, whose loop is hidden; write the loop out",
    ast.DictComp: "a comprehension, whose loop is hidden; write the loop out",
    ast.GeneratorExp: "a generator, whose loop is hidden; write the loop out",
    ast.List: "a list, whose memory is not simulated; use an array",
    ast.Dict: "a dictionary, whose memory is not simulated; use an array",
    ast.Set: "a set, whose memory is not simulated; use an array",
    ast.Starred: "an argument with a star",
    ast.NamedExpr: "an assignment inside an expression; give it a line of its own",
    ast.Try: "an exception that is caught",
    ast.With: "a with block",
    ast.Yield: "a generator",
    ast.Delete: "del",
}


class Normalizer:
    """Writes the normal form of one kernel; `prefix` begins every name that it makes up."""

    def __init__(self, source: Source) -> None:
        self.source = source
        written = {node.id for node in ast.walk(source.tree) if isinstance(node, ast.Name)}
        written |= {argument.arg for argument in source.tree.args.args}
        self.prefix = "_"
        while any(name.startswith(self.prefix) for name in written):
            self.prefix += "_"
        self.locals = {argument.arg for argument in source.tree.args.args} | {
            node.id
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        self.block: list[ast.stmt] = []
        self.made = 0

    def function(self) -> ast.FunctionDef:
        tree = self.source.tree
        arguments = tree.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.posonlyargs:
            raise self.source.refuse(tree.lineno, "a kernel takes plain positional arguments")
        plain = ast.arguments([], [ast.arg(a.arg) for a in arguments.args], None, [], [], None, [])
        normal = ast.FunctionDef(tree.name, plain, self.body(tree.body) or [ast.Pass()], [], None, None)
        return at(tree, normal)

    # statements

    def body(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """The normal form of a block."""
        outer, self.block = self.block, []
        for statement in statements:
            self.statement(statement)
        inner, self.block = self.block, outer
        return inner

    def emit(self, origin: ast.AST, statement: ast.stmt) -> None:
        self.block.append(at(origin, statement))

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Pass() | ast.Break() | ast.Continue():
                self.emit(node, type(node)())
            case ast.Expr(ast.Constant()) | ast.AnnAssign(value=None):
                pass
            case ast.Expr(ast.Call()):
                self.emit(node, ast.Expr(self.operation(node.value)))
            case ast.Assign(targets=[ast.Name(name)]):
                self.set(node, name, self.operation(node.value))
            case ast.Assign(targets=[ast.Tuple() as several], value=ast.Tuple() as values):
                self.unpack(node, several, values)
            case ast.Assign():
                value = self.atom(node.value)
                for target in node.targets:
                    self.assign(target, value)
            case ast.AnnAssign(value=ast.expr() as given):
                self.assign(node.target, self.atom(given))
            case ast.AugAssign():
                self.augmented(node)
            case ast.If():
                test = self.test(node.test)
                self.emit(node, ast.If(test, self.body(node.body), self.body(node.orelse)))
            case ast.For():
                self.loop(node)
            case ast.While():
                self.repeat(node)
            case ast.Return():
                self.emit(node, ast.Return(node.value and self.atom(node.value)))
            case ast.Assert():
                test = self.test(node.test)
                error = ast.Call(ast.Name("AssertionError"), [node.msg] if node.msg else [], [])
                self.emit(node, ast.If(test, [ast.Pass()], [at(node, ast.Raise(error))]))
            case ast.Raise(exc=ast.Call(func, arguments, [])):
                call = ast.Call(self.atom(func), [self.atom(argument) for argument in arguments], [])
                self.emit(node, ast.Raise(call))
            case ast.Raise(exc=ast.Name()):
                self.emit(node, ast.Raise(node.exc))
            case _:
                self.forbid(node)

    def set(self, origin: ast.AST, name: str, value: ast.expr) -> None:
        self.emit(origin, ast.Assign([ast.Name(name, ast.Store())], value))

    def assign(self, target: ast.expr, value: ast.expr) -> None:
        """Gives an atom to any target."""
        match target:
            case ast.Name(name):
                self.set(target, name, value)
            case ast.Subscript():
                base, index = self.place(target)
                self.store(target, base, index, value)
            case ast.Tuple(elts):
                names = [part.id if isinstance(part, ast.Name) else self.fresh() for part in elts]
                parts: list[ast.expr] = [ast.Name(name, ast.Store()) for name in names]
                self.emit(target, ast.Assign([ast.Tuple(parts, ast.Store())], value))
                for part, name in zip(elts, names, strict=True):
                    if not isinstance(part, ast.Name):
                        self.assign(part, ast.Name(name))
            case _:
                self.forbid(target)

    def unpack(self, origin: ast.AST, targets: ast.Tuple, values: ast.Tuple) -> None:
        """`a, b = b, a`: all values first, each under a name of its own."""
        if len(targets.elts) != len(values.elts):
            raise self.source.refuse(targets.lineno, "as many targets as values are needed")
        kept = []
        for value in values.elts:
            kept.append(ast.Name(self.fresh()))
            self.set(origin, kept[-1].id, self.operation(value))
        for target, name in zip(targets.elts, kept, strict=True):
            self.assign(target, name)

    def store(self, origin: ast.AST, base: ast.Name, index: ast.expr, value: ast.expr) -> None:
        parts = index.elts if isinstance(index, ast.Tuple) else [index]
        if any(isinstance(part, ast.Slice) for part in parts) and not is_whole(index):
            view = self.fresh()
            self.set(origin, view, ast.Subscript(base, index, ast.Load()))
            base, index = ast.Name(view), ast.Slice()
        self.emit(origin, ast.Assign([ast.Subscript(base, index, ast.Store())], value))

    def augmented(self, node: ast.AugAssign) -> None:
        match node.target:
            case ast.Name(name):
                value = self.atom(node.value)
                self.set(node, name, ast.BinOp(ast.Name(name), node.op, value))
            case ast.Subscript() as target:
                base, index = self.place(target)
                before = self.name(target, ast.Subscript(base, index, ast.Load()))
                value = self.atom(node.value)
                after = self.name(node, ast.BinOp(before, node.op, value))
                self.store(target, base, index, after)
            case _:
                self.forbid(node.target)

    def loop(self, node: ast.For) -> None:
        """`for` over a range, or over what an atom holds; a parallel range runs in its order."""
        iterable: ast.expr
        match node.iter:
            case ast.Call(func, arguments, []) if self.outside(func) in (range, numba.prange):
                iterable = ast.Call(ast.Name("range"), [self.atom(a) for a in arguments], [])
            case _:
                iterable = self.atom(node.iter)
        targets = [node.target] if isinstance(node.target, ast.Name) else getattr(node.target, "elts", [None])
        if not all(isinstance(target, ast.Name) for target in targets):
            self.forbid(node.target)
        self.emit(node, ast.For(node.target, iterable, self.body(node.body), self.body(node.orelse)))

    def repeat(self, node: ast.While) -> None:
        """`while test` becomes an endless loop that tests first."""
        outer, self.block = self.block, []
        test = self.test(node.test)
        if any(isinstance(part, ast.Break | ast.Continue) for s in node.orelse for part in ast.walk(s)):
            raise self.source.refuse(node.orelse[0].lineno, "break or continue in the else of a while")
        leave = [*self.body(node.orelse), at(node, ast.Break())]
        self.emit(node.test, ast.If(test, [ast.Pass()], leave))
        inner, self.block = [*self.block, *self.body(node.body)], outer
        self.emit(node, ast.While(ast.Constant(True), inner, []))

    # expressions

    def fresh(self) -> str:
        self.made += 1
        return f"{self.prefix}{self.made}"

    def name(self, origin: ast.AST, value: ast.expr) -> ast.Name:
        """Keeps the value of an operation under a new name."""
        name = self.fresh()
        self.set(origin, name, value)
        return ast.Name(name)

    def atom(self, node: ast.expr) -> ast.expr:
        value = self.operation(node)
        return value if is_atom(value) or self.outside(value) is not None else self.name(node, value)

    def operation(self, node: ast.expr) -> ast.expr:
        """One operation on atoms, after the statements that make them."""
        match node:
            case ast.Constant() | ast.Name():
                return node
            case ast.Tuple(elts):
                return ast.Tuple([self.atom(part) for part in elts], ast.Load())
            case ast.UnaryOp(ast.USub(), ast.Constant()):
                return node
            case ast.UnaryOp(ast.Not(), operand):
                return ast.UnaryOp(ast.Not(), self.test(operand))
            case ast.UnaryOp(op, operand):
                return ast.UnaryOp(op, self.atom(operand))
            case ast.BinOp(left, op, right):
                return ast.BinOp(self.atom(left), op, self.atom(right))
            case ast.Compare(left, [op], [right]):
                return ast.Compare(self.atom(left), [op], [self.atom(right)])
            case ast.Compare():
                return self.chain(node)
            case ast.BoolOp():
                return self.choice(node)
            case ast.IfExp(test, body, orelse):
                result = self.fresh()
                branches = [self.result_of(result, branch) for branch in (body, orelse)]
                self.emit(node, ast.If(self.test(test), *branches))
                return ast.Name(result)
            case ast.Subscript():
                base, index = self.place(node)
                return ast.Subscript(base, index, ast.Load())
            case ast.Attribute(value, name):
                if self.outside(node) is not None:
                    return node
                return ast.Attribute(self.atom(value), name, ast.Load())
            case ast.Call(func, arguments, keywords):
                if self.outside(func) is None:
                    if not isinstance(func, ast.Attribute):
                        raise self.source.refuse(node.lineno, "this calls something unknown")
                    func = ast.Attribute(self.atom(func.value), func.attr, ast.Load())
                given = [self.atom(argument) for argument in arguments]
                named = [ast.keyword(keyword.arg, self.atom(keyword.value)) for keyword in keywords]
                return ast.Call(func, given, named)
            case _:
                self.forbid(node)

    def place(self, node: ast.Subscript) -> tuple[ast.Name, ast.expr]:
        """Base and index of a subscript as atoms (the index may hold slices of atoms)."""
        base = self.atom(node.value)
        if not isinstance(base, ast.Name):
            base = self.name(node.value, base)
        if isinstance(node.slice, ast.Tuple):
            return base, ast.Tuple([self.index(part) for part in node.slice.elts], ast.Load())
        return base, self.index(node.slice)

    def index(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Slice):
            return ast.Slice(*(part and self.atom(part) for part in (node.lower, node.upper, node.step)))
        return self.atom(node)

    def result_of(self, name: str, node: ast.expr) -> list[ast.stmt]:
        """The block that computes `node` into `name`."""
        outer, self.block = self.block, []
        self.set(node, name, self.operation(node))
        inner, self.block = self.block, outer
        return inner

    def chain(self, node: ast.Compare) -> ast.Name:
        """`a < b < c`: `c` is not looked at if `a < b` fails, and `b` is evaluated once."""
        result, left = self.fresh(), self.atom(node.left)
        outer = self.block
        for number, (op, right) in enumerate(zip(node.ops, node.comparators, strict=True)):
            following = self.atom(right)
            self.set(right, result, ast.Compare(left, [op], [following]))
            left = following
            if number < len(node.ops) - 1:
                inner: list[ast.stmt] = []
                self.emit(right, ast.If(ast.Name(result), inner, []))
                self.block = inner
        self.block = outer
        return ast.Name(result)

    def choice(self, node: ast.BoolOp) -> ast.Name:
        """The value of `a and b`: `b` only if `a` holds; of `a or b`: only if not."""
        result, outer = self.fresh(), self.block
        for number, value in enumerate(node.values):
            self.set(value, result, self.operation(value))
            if number < len(node.values) - 1:
                self.block = self.follow(node.op, value, ast.Name(result))
        self.block = outer
        return ast.Name(result)

    def follow(self, op: ast.boolop, origin: ast.expr, holds: ast.expr) -> list[ast.stmt]:
        """Opens the block in which the next operand of `and` or `or` is looked at."""
        inner: list[ast.stmt] = []
        last = isinstance(op, ast.And)
        self.emit(origin, ast.If(holds, inner if last else [ast.Pass()], [] if last else inner))
        return inner

    def test(self, node: ast.expr) -> ast.expr:
        """An atom that is true when `node` is; unlike a value, operands may differ in type."""
        if not isinstance(node, ast.BoolOp):
            return self.atom(node)
        both = isinstance(node.op, ast.And)
        result, outer = self.fresh(), self.block
        self.set(node, result, ast.Constant(not both))
        for value in node.values:
            self.block = self.follow(node.op, value, self.test(value))
        self.set(node, result, ast.Constant(both))
        self.block = outer
        return ast.Name(result)

    def outside(self, node: ast.expr) -> Any:
        """The object outside the kernel that a name or an attribute of a module stands for, else None."""
        return outside(node, self.locals, self.source)

    def forbid(self, node: ast.AST) -> NoReturn:
        reason = FORBIDDEN.get(type(node), f"{type(node).__name__} is not something that can be counted")
        raise self.source.refuse(getattr(node, "lineno", self.source.first_line), reason)


@dataclass(frozen=True)
class Normal:
    """A kernel in normal form, numbered by its own lines; `origin` leads from those to the file's.

    `prefix` begins no name of the kernel, `local` are the names that it binds.
    """

    tree: ast.FunctionDef
    origin: dict[int, int]
    prefix: str
    local: frozenset[str]


def normalize(source: Source) -> Normal:
    """The normal form of a kernel, or a refusal that names line and reason."""
    normalizer = Normalizer(source)
    tree, origin = renumber(normalizer.function())
    made = {f"{normalizer.prefix}{number}" for number in range(1, normalizer.made + 1)}
    return Normal(tree, origin, normalizer.prefix, frozenset(normalizer.locals | made))


def outside(node: ast.expr, local: AbstractSet[str], source: Source) -> Any:
    """What `node` stands for if it is a name from outside, or an attribute of an outside module."""
    match node:
        case ast.Name(name) if name not in local:
            builtins = source.names.get("__builtins__", {})
            builtins = vars(builtins) if isinstance(builtins, ModuleType) else builtins
            return source.names.get(name, builtins.get(name))
        case ast.Attribute(value, name):
            module = outside(value, local, source)
            return getattr(module, name, None) if isinstance(module, ModuleType) else None
    return None


def is_atom(node: ast.expr) -> bool:
    match node:
        case ast.Name() | ast.Constant() | ast.UnaryOp(ast.USub(), ast.Constant()):
            return True
        case ast.Tuple(elts):
            return all(is_atom(part) for part in elts)
    return False


def is_whole(index: ast.expr) -> bool:
    """Whether an index is `[:]`."""
    return isinstance(index, ast.Slice) and not (index.lower or index.upper or index.step)


def at(origin: ast.AST, node: Any) -> Any:
    """Puts a new node, but not its children, on the line of `origin`."""
    node.lineno = getattr(origin, "lineno", 1)
    return node


def renumber(normal: ast.FunctionDef) -> tuple[ast.FunctionDef, dict[int, int]]:
    """The same tree numbered by its own lines, and for each of those the line of the kernel's file."""
    own = ast.parse(ast.unparse(ast.fix_missing_locations(normal))).body[0]
    assert isinstance(own, ast.FunctionDef)
    pairs = zip(_statements(own), _statements(normal), strict=True)
    return own, {mine.lineno: kernels.lineno for mine, kernels in pairs}


def _statements(tree: ast.AST) -> list[ast.stmt]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
