"""Algorithms as cascades of Einsums: what is computed from what, and nothing about when or where.

An Einsum makes one tensor out of others, element by element. It is written as one assignment:

    GM[p] = max(QK[p, m])                    map: QK[p, m]              reduce: max over m
    SN[p, m] = exp(QK[p, m] - GM[p])         map: exp of a difference   nothing is reduced
    RM[p, k+1] = max(RM[p, k], LM[p, k])     k is iterative: step k makes element k + 1 from element k

Small letters in brackets are *ranks*, the loops; a name means one loop in the whole cascade. The large letter
is a rank's size, so `RM[p, K]` is the last element. A rank that stands on the right only is reduced, by the
operator around the right side: `sum`, `max`, `min` or `prod` with one argument. (With two arguments, `max`
and `min` are part of the map.) A *cascade* is a list of Einsums. An Einsum names no order of loops, no tile
and no buffer; `interpret` runs a cascade, `passes` and `footprint` read its cost off the text alone.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from workbench.errors import WorkbenchError

REDUCTIONS = ("sum", "max", "min", "prod")
CONSTANTS = ("inf", "pi")


@dataclass(frozen=True)
class Index:
    """A place along one axis: whole multiples of ranks and of sizes, plus a constant."""

    ranks: tuple[tuple[str, int], ...] = ()
    sizes: tuple[tuple[str, int], ...] = ()
    offset: int = 0

    def along(self, rank: str) -> int:
        """The multiple of this rank, 0 if it does not occur."""
        return dict(self.ranks).get(rank, 0)

    @property
    def plain(self) -> str | None:
        """The rank, if the place is a rank and nothing else."""
        single = len(self.ranks) == 1 and not self.sizes and not self.offset
        return self.ranks[0][0] if single and self.ranks[0][1] == 1 else None


@dataclass(frozen=True)
class Access:
    """A tensor and which element of it."""

    name: str
    at: tuple[Index, ...] = ()

    @property
    def ranks(self) -> tuple[str, ...]:
        """The ranks that occur, in order, each once."""
        return tuple(dict.fromkeys(rank for index in self.at for rank, _ in index.ranks))

    def along(self, rank: str) -> int:
        """The first multiple of this rank that is not 0."""
        return next((index.along(rank) for index in self.at if index.along(rank)), 0)


class Einsum:
    """One line of a cascade: `Einsum("SN[p, m] = exp(QK[p, m] - GM[p])")`.

    output: the element that is made. reduce: "sum", "max", "min", "prod" or None. map: the expression below
    it, as Python's syntax tree. reads: the elements that it needs. ranks: all its loops, those of the output
    first. reduced: the loops that the output does not have. iterative: the loop whose step k makes element
    k + 1, or None.
    """

    def __init__(self, text: str) -> None:
        self.text = " ".join(text.split())
        try:
            (statement,) = ast.parse(self.text).body
        except (SyntaxError, ValueError):
            raise self._wrong("must be one assignment") from None
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            raise self._wrong("must be one assignment")
        self.output = self._access(statement.targets[0])
        right = statement.value
        self.reduce: str | None = None
        if isinstance(right, ast.Call) and _called(right) in REDUCTIONS and len(right.args) == 1:
            self.reduce, right = _called(right), right.args[0]
        self.map: ast.expr = right
        self.reads: tuple[Access, ...] = tuple(dict.fromkeys(self._reads(right)))
        inside = dict.fromkeys(rank for access in self.reads for rank in access.ranks)
        self.ranks = tuple(dict.fromkeys((*self.output.ranks, *inside)))
        self.reduced = tuple(rank for rank in self.ranks if rank not in self.output.ranks)
        self.iterative = next(
            (index.ranks[0][0] for index in self.output.at if index.ranks and index.offset > 0), None
        )
        if self.reduced and not self.reduce:
            raise self._wrong(f"has {self.reduced[0]!r} on the right only, so it must say how to reduce it")
        if self.reduce and not self.reduced:
            raise self._wrong(f"reduces by {self.reduce}, but every rank on its right is also on its left")
        for index in self.output.at:
            if len(index.ranks) > 1 or index.sizes or any(times != 1 for _, times in index.ranks):
                raise self._wrong("may only make elements such as [m], [k+1] or [0]")

    @property
    def name(self) -> str:
        """The tensor that is made."""
        return self.output.name

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Einsum({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Einsum) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def operations(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """How often each operator is applied; a part that has fewer ranks is computed once for those."""
        found: dict[str, int] = {}

        def visit(node: ast.expr) -> None:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr) and not isinstance(node, ast.Subscript):
                    visit(child)
            if name := _operator(node):
                count = prod(_size(rank, sizes) for rank in self.ranks_of(node))
                found[name] = found.get(name, 0) + count

        visit(self.map)
        if self.reduce:
            count = prod(_size(rank, sizes) for rank in self.ranks)
            name = {"sum": "+", "prod": "*"}.get(self.reduce, self.reduce)
            found[name] = found.get(name, 0) + count
        return found

    def ranks_of(self, part: ast.expr) -> tuple[str, ...]:
        """The ranks that a part of the map depends on."""
        inside = {rank for access in self._reads(part) for rank in access.ranks}
        inside |= {node.id for node in ast.walk(part) if isinstance(node, ast.Name)} & set(self.ranks)
        return tuple(rank for rank in self.ranks if rank in inside)

    def _reads(self, node: ast.AST) -> Iterator[Access]:
        if isinstance(node, ast.Subscript):
            yield self._access(node)
        elif isinstance(node, ast.Name):
            if node.id not in CONSTANTS:
                yield Access(node.id)
        elif isinstance(node, ast.Call):
            if _called(node) in REDUCTIONS and len(node.args) == 1:
                raise self._wrong("reduces inside an expression: give the reduction a line of its own")
            for argument in node.args:
                yield from self._reads(argument)
        else:
            for child in ast.iter_child_nodes(node):
                yield from self._reads(child)

    def _access(self, node: ast.AST) -> Access:
        if isinstance(node, ast.Name):
            return Access(node.id)
        if not isinstance(node, ast.Subscript) or not isinstance(node.value, ast.Name):
            raise self._wrong("may only name elements such as QK[p, m]")
        places = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return Access(node.value.id, tuple(self._index(place) for place in places))

    def _index(self, node: ast.expr) -> Index:
        ranks: dict[str, int] = {}
        sizes: dict[str, int] = {}
        offset = 0

        def add(part: ast.expr, times: int) -> None:
            nonlocal offset
            match part:
                case ast.Constant(value=int() as number):
                    offset += times * number
                case ast.Name(id=name):
                    group = ranks if name == name.lower() else sizes
                    key = name.lower()
                    group[key] = group.get(key, 0) + times
                case ast.BinOp(left=left, op=ast.Add(), right=right):
                    add(left, times)
                    add(right, times)
                case ast.BinOp(left=left, op=ast.Sub(), right=right):
                    add(left, times)
                    add(right, -times)
                case ast.BinOp(left=ast.Constant(value=int() as number), op=ast.Mult(), right=right):
                    add(right, times * number)
                case ast.UnaryOp(op=ast.USub(), operand=operand):
                    add(operand, -times)
                case _:
                    raise self._wrong(f"has the place {ast.unparse(part)!r}, which is not a sum of ranks")

        add(node, 1)
        return Index(
            tuple((name, times) for name, times in ranks.items() if times),
            tuple((name, times) for name, times in sizes.items() if times),
            offset,
        )

    def _wrong(self, why: str) -> WorkbenchError:
        return WorkbenchError(f"the Einsum {self.text!r} {why}")


class Cascade:
    """Einsums, one a line; `#` begins a comment.

    >>> Cascade("softmax", '''
    ...     GM    = max(x[m])
    ...     SN[m] = exp(x[m] - GM)
    ...     SD    = sum(SN[m])
    ...     y[m]  = SN[m] / SD
    ... ''').inputs
    ('x',)

    split: a rank that is cut into blocks, by the names of both levels, outer first: {"m": ("m1", "m0")}.
    A tensor with m is then written `K[m1, m0, e]`.
    """

    def __init__(self, name: str, lines: str, split: Mapping[str, tuple[str, str]] | None = None) -> None:
        self.name = name
        texts = (line.split("#")[0].strip() for line in lines.splitlines())
        self.einsums = tuple(Einsum(text) for text in texts if text)
        self.split = dict(split or {})
        if not self.einsums:
            raise WorkbenchError(f"cascade {name!r} needs at least one Einsum, but none came")
        outputs = [einsum.output for einsum in self.einsums]
        if twice := next((access.name for access in outputs if outputs.count(access) > 1), None):
            raise WorkbenchError(f"cascade {name!r} makes {twice!r} twice")
        self.ranks = tuple(dict.fromkeys(rank for einsum in self.einsums for rank in einsum.ranks))
        for rank, levels in self.split.items():
            if rank in self.ranks or not set(levels) <= set(self.ranks):
                raise WorkbenchError(
                    f"cascade {name!r} splits {rank!r} into {levels}, so its lines must use these two only"
                )
        for tensor in self.made:
            self._check_start(tensor)
        dims: dict[str, int] = {}
        for access in (*outputs, *(access for einsum in self.einsums for access in einsum.reads)):
            if dims.setdefault(access.name, len(access.at)) != len(access.at):
                raise WorkbenchError(
                    f"cascade {name!r} uses {access.name!r} with {dims[access.name]} places "
                    f"and with {len(access.at)} places"
                )

    def _check_start(self, tensor: str) -> None:
        """An iterative tensor needs its element 0."""
        steps = [einsum for einsum in self.makers(tensor) if einsum.iterative]
        if steps and len(self.makers(tensor)) == len(steps):
            raise WorkbenchError(
                f"cascade {self.name!r} makes {tensor!r} step by step, "
                "so it needs a line for its first element"
            )

    @cached_property
    def made(self) -> tuple[str, ...]:
        """The tensors that are made."""
        return tuple(dict.fromkeys(einsum.name for einsum in self.einsums))

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The tensors that are read and not made; a large letter of a rank is its size, not an input."""
        names = (access.name for einsum in self.einsums for access in einsum.reads)
        known = {*self.made, *self.ranks, *(rank.upper() for rank in (*self.ranks, *self.split))}
        return tuple(dict.fromkeys(name for name in names if name not in known))

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """The tensors that are made and that no other tensor needs."""
        read = {access.name for one in self.einsums for access in one.reads if access.name != one.name}
        return tuple(name for name in self.made if name not in read)

    def makers(self, tensor: str) -> tuple[Einsum, ...]:
        """The Einsums that make this tensor."""
        return tuple(einsum for einsum in self.einsums if einsum.name == tensor)

    def makers_of(self, element: Access) -> tuple[Einsum, ...]:
        """The Einsums that may make this element: a first element has a line of its own."""
        makers = self.makers(element.name)
        return tuple(one for one in makers if one.output == element) or makers

    def readers(self, tensor: str) -> tuple[Einsum, ...]:
        """The Einsums that read this tensor."""
        return tuple(one for one in self.einsums if any(access.name == tensor for access in one.reads))

    def operations(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """How often each operator is applied, for sizes of all ranks: {"*": 1024, "exp": 64, ...}."""
        total: dict[str, int] = {}
        for einsum in self.einsums:
            for name, count in einsum.operations(sizes).items():
                total[name] = total.get(name, 0) + count
        return total

    def __str__(self) -> str:
        left = max(len(einsum.text.partition("=")[0]) for einsum in self.einsums)
        lines = []
        for einsum in self.einsums:
            target, _, right = einsum.text.partition("=")
            lines.append(f"{target:<{left}}= {right.strip()}")
        return "\n".join((self.name, *(f"    {line}" for line in lines)))

    def __repr__(self) -> str:
        return f"Cascade({self.name!r}, {len(self.einsums)} Einsums)"


def _called(node: ast.Call) -> str:
    if not isinstance(node.func, ast.Name) or node.keywords:
        raise WorkbenchError(f"a cascade calls functions by their plain name, but {ast.unparse(node)!r} came")
    return node.func.id


OPERATORS: dict[type, str] = {
    ast.Add: "+",
    ast.Sub: "+",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
    ast.Mod: "%",
    ast.FloorDiv: "//",
}


def _operator(node: ast.expr) -> str | None:
    """What a node costs, or None: signs and comparisons are free, a difference is an addition."""
    if isinstance(node, ast.BinOp):
        return OPERATORS.get(type(node.op))
    return _called(node) if isinstance(node, ast.Call) and _called(node) != "where" else None


def _size(rank: str, sizes: Mapping[str, int]) -> int:
    if rank not in sizes:
        raise WorkbenchError(f"expected a size for each rank, but {rank!r} has none")
    return int(sizes[rank])
