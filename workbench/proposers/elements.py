"""What one element of a numpy expression is: `x - np.mean(x, axis=1)[:, None]` at [i, j] is `x[i, j] - mean`.

A reference in numpy speaks of whole arrays, a kernel of one element at a time. The step between the two is
known for everything that works element by element, for views (a transpose, a new axis, a diagonal) and for
reductions, whose value has to be there already under a name. Everything else is `Unfit`.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

FUNCTIONS = {"exp": "math.exp", "log": "math.log", "sqrt": "math.sqrt", "tanh": "math.tanh", "abs": "abs"}
CHOICES = {"maximum": "max", "minimum": "min"}
# reduction -> (where it starts, how a new element joins the running value)
REDUCTIONS = {
    "sum": ("0.0", "{running} + {new}"),
    "mean": ("0.0", "{running} + {new}"),
    "prod": ("1.0", "{running} * {new}"),
    "max": ("-np.inf", "max({running}, {new})"),
    "min": ("np.inf", "min({running}, {new})"),
}
ONE = "1"  # an axis of length one that a reduction kept

Axes = tuple[str, ...]


class Unfit(Exception):
    """The expression is beyond what is known here; the text says where."""


@dataclass(frozen=True)
class Reduction:
    """A sum or the like. `kept` and `reduced`: axes of `inside`, the expression that is reduced."""

    kind: str  # "reduce" or "@"
    join: str  # a key of REDUCTIONS
    kept: Axes
    reduced: Axes
    order: tuple[int, ...]  # places of kept and reduced axes (in this order) in `inside`
    inside: ast.expr


@dataclass
class Reference:
    """A reference as one expression. `arrays`: the axes of every array argument, by name."""

    function: ast.FunctionDef
    arrays: Mapping[str, Axes]
    result: ast.expr = field(init=False)

    def __post_init__(self) -> None:
        known: dict[str, ast.expr] = {}
        for statement in self.function.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                known[statement.targets[0].id] = _Inlined(known).visit(statement.value)
            elif isinstance(statement, ast.Return) and statement.value is not None:
                self.result = _Inlined(known).visit(statement.value)
                return
            else:
                raise Unfit(f"line {statement.lineno} of the reference is no expression")
        raise Unfit("the reference returns nothing")

    @property
    def parameters(self) -> list[str]:
        return [argument.arg for argument in self.function.args.args]

    def size(self, axis: str) -> str:
        """How long an axis is, in terms of the arguments."""
        for name, axes in self.arrays.items():
            if axis in axes:
                return f"{name}.shape[{axes.index(axis)}]"
        raise Unfit(f"no argument has the axis {axis}")

    def axes(self, node: ast.expr) -> Axes:
        """The axes of an expression; a number has none."""
        match node:
            case ast.Constant():
                return ()
            case ast.Name(id=name):
                return self.arrays.get(name, ())
            case ast.BinOp(op=ast.MatMult()):
                found = self.reduction(node)
                assert found is not None
                return found.kept
            case ast.BinOp(left=left, right=right):
                return self._together(left, right)
            case ast.UnaryOp(operand=inner):
                return self.axes(inner)
            case ast.Compare(left=left, comparators=[right]):
                return self._together(left, right)
            case ast.Attribute(value=inner, attr="T"):
                return self.axes(inner)[::-1]
            case ast.Subscript(value=ast.Attribute(attr="shape")):
                return ()
            case ast.Subscript(value=inner, slice=where):
                return _with_new_axes(self.axes(inner), where)
            case ast.Call(args=arguments):
                name = _numpy_name(node)
                if name == "diag":
                    return self.axes(arguments[0]) * 2
                if (found := self.reduction(node)) is not None:
                    return found.kept if not _keeps(node) else _kept_whole(self.axes(arguments[0]), found)
                if name in FUNCTIONS or name in CHOICES or name == "where":
                    return self._together(*arguments)
        raise Unfit(f"`{ast.unparse(node)}` is not known element by element")

    def reduction(self, node: ast.expr) -> Reduction | None:
        """The expression as a reduction, if it is one itself."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            left, right = self.axes(node.left), self.axes(node.right)
            if len(left) != 2 or len(right) != 2:
                raise Unfit(f"`{ast.unparse(node)}` is not a product of two matrices")
            return Reduction("@", "sum", (left[0], right[1]), (left[1],), (0, 1, 2), node)
        if isinstance(node, ast.Call) and (name := _numpy_name(node)) in REDUCTIONS:
            axes = self.axes(node.args[0])
            given = next((k.value for k in node.keywords if k.arg == "axis"), None)
            gone = tuple(range(len(axes))) if given is None else (_axis(given, len(axes)),)
            stay = tuple(i for i in range(len(axes)) if i not in gone)
            return Reduction(
                "reduce",
                name,
                tuple(axes[i] for i in stay),
                tuple(axes[i] for i in gone),
                stay + gone,
                node.args[0],
            )
        return None

    def reductions(self) -> list[tuple[ast.expr, Reduction]]:
        """All reductions, each after those that it contains, equal ones once."""
        found: dict[str, tuple[ast.expr, Reduction]] = {}

        def walk(node: ast.AST) -> None:
            for child in ast.iter_child_nodes(node):
                walk(child)
            if isinstance(node, ast.expr) and (it := self.reduction(node)) is not None:
                found.setdefault(ast.dump(node), (node, it))

        walk(self.result)
        return list(found.values())

    def element(self, node: ast.expr, index: Sequence[str], values: Mapping[str, "Value"]) -> str:
        """The expression at `index` (one name per axis). `values`: reductions that have a name, by dump."""
        if (known := values.get(ast.dump(node))) is not None:
            if known.at != tuple(_real(index, self.axes(node))):
                raise Unfit(
                    f"`{ast.unparse(node)}` is needed at {list(index)}, but known at {list(known.at)}"
                )
            return known.name
        match node:
            case ast.Constant():
                return repr(node.value)
            case ast.Name(id=name):
                return f"{name}[{', '.join(index)}]" if self.axes(node) else name
            case ast.Subscript(value=ast.Attribute(attr="shape")):
                return ast.unparse(node)
            case ast.UnaryOp(operand=inner):
                return f"({_sign(node)}{self.element(inner, index, values)})"
            case ast.BinOp(left=left, op=op, right=right) if not isinstance(op, ast.MatMult):
                one, other = (self._share(part, index, values) for part in (left, right))
                return f"({one} {_symbol(op)} {other})"
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                one, other = (self._share(part, index, values) for part in (left, right))
                return f"({one} {_symbol(op)} {other})"
            case ast.Attribute(value=inner, attr="T"):
                return self.element(inner, index[::-1], values)
            case ast.Subscript(value=inner, slice=where):
                return self.element(inner, _without_new_axes(index, where), values)
            case ast.Call(args=arguments):
                name = _numpy_name(node)
                if name == "diag":
                    here = self.element(arguments[0], index[:1], values)
                    return f"({here} if {index[0]} == {index[1]} else 0.0)"
                parts = [self._share(part, index, values) for part in arguments]
                if name == "where":
                    return f"({parts[1]} if {parts[0]} else {parts[2]})"
                if name in FUNCTIONS or name in CHOICES:
                    return f"{(FUNCTIONS | CHOICES)[name]}({', '.join(parts)})"
        raise Unfit(f"`{ast.unparse(node)}` is not known element by element")

    def _share(self, part: ast.expr, index: Sequence[str], values: Mapping[str, "Value"]) -> str:
        """A smaller operand stands below the last axes of the larger one."""
        axes = self.axes(part)
        return self.element(part, index[len(index) - len(axes) :], values)

    def _together(self, *parts: ast.expr) -> Axes:
        all_axes = [self.axes(part) for part in parts]
        rank = max(map(len, all_axes))
        filled = [(ONE,) * (rank - len(axes)) + axes for axes in all_axes]
        found = []
        for names in zip(*filled, strict=True):
            real = {name for name in names if name != ONE}
            if len(real) > 1:
                raise Unfit(f"axes {sorted(real)} meet")
            found.append(real.pop() if real else ONE)
        return tuple(found)


@dataclass(frozen=True)
class Value:
    """A reduction that has been computed: its name, and at which index."""

    name: str
    at: tuple[str, ...]


class _Inlined(ast.NodeTransformer):
    """Every name that was assigned becomes what was assigned to it."""

    def __init__(self, known: Mapping[str, ast.expr]) -> None:
        self.known = known

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.known.get(node.id, node)


def _numpy_name(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(value=ast.Name(id="np"), attr=name):
            return name
    raise Unfit(f"`{ast.unparse(call.func)}` is no function of numpy")


def _axis(node: ast.expr, rank: int) -> int:
    text = ast.unparse(node)
    if text.removeprefix("-").isdigit() and -rank <= int(text) < rank:
        return int(text) % rank
    raise Unfit(f"`axis={text}` is not one of {rank} axes")


def _keeps(call: ast.expr) -> bool:
    return isinstance(call, ast.Call) and any(k.arg == "keepdims" for k in call.keywords)


def _kept_whole(axes: Axes, found: Reduction) -> Axes:
    stay = found.order[: len(found.kept)]
    return tuple(axis if i in stay else ONE for i, axis in enumerate(axes))


def _real(index: Sequence[str], axes: Axes) -> list[str]:
    return [i for i, axis in zip(index, axes, strict=True) if axis != ONE]


def _slices(where: ast.expr) -> list[ast.expr]:
    parts = where.elts if isinstance(where, ast.Tuple) else [where]
    for part in parts:
        new = isinstance(part, ast.Constant) and part.value is None
        whole = isinstance(part, ast.Slice) and part.lower is part.upper is part.step is None
        if not new and not whole:
            raise Unfit(f"`[{ast.unparse(where)}]` picks elements")
    return list(parts)


def _with_new_axes(axes: Axes, where: ast.expr) -> Axes:
    left = list(axes)
    found = [ONE if isinstance(part, ast.Constant) else left.pop(0) for part in _slices(where)]
    return (*found, *left)


def _without_new_axes(index: Sequence[str], where: ast.expr) -> list[str]:
    parts = _slices(where)
    kept = [i for i, part in zip(index, parts, strict=False) if not isinstance(part, ast.Constant)]
    return [*kept, *index[len(parts) :]]


def _symbol(op: ast.operator | ast.cmpop) -> str:
    one, other = ast.Name("a"), ast.Name("b")
    if isinstance(op, ast.operator):
        return ast.unparse(ast.BinOp(one, op, other))[2:-2]
    return ast.unparse(ast.Compare(one, [op], [other]))[2:-2]


def _sign(node: ast.UnaryOp) -> str:
    return ast.unparse(ast.UnaryOp(node.op, ast.Name("a")))[:-1]
