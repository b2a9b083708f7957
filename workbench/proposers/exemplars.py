"""An answer by analogy: the loops of the worked example, filled with the expression of the task.

The prompt shows a task that is solved, by its reference in numpy and a kernel, and a task that is not. From
the example's kernel the adapter takes the *skeleton*: which loops (or threads) there are, which of them a
running value is collected in, where a result is stored. It then fills the holes: ranges of loops, what is
collected, how, and what is stored, from the task's reference.

It knows what one element of a numpy expression is, and which of numpy's reductions are of one family. It
knows no loops of its own, and no task by name: without a fitting skeleton it has no answer and says so.
"""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from workbench.errors import WorkbenchError
from workbench.proposers.answer import fenced, fenced_blocks
from workbench.proposers.contract import Message
from workbench.proposers.elements import REDUCTIONS, Reduction, Reference, Unfit, Value
from workbench.proposers.prompt import Prompt

ARGUMENT = re.compile(r"(\w+) \[([\w, ]*)\]")


@dataclass
class ExemplarAdapter:
    """Answers a prompt that holds a worked example; nothing but the text of the prompt is read.

    A habit is copied with the loops: the result gets the type of the first array, which is wrong where that
    array is a mask.

    Both statements have to name their arguments as `Arguments: x [n, m], weight [m], eps.`, and the
    statement of the example has to hold its reference as a fenced block.
    """

    name: str = "exemplar adapter"

    def propose(self, prompt: str, history: Sequence[Message] = ()) -> str:
        """A fenced kernel, or a sentence that says what does not fit."""
        try:
            asked = Prompt.read(prompt)
            shown = fenced_blocks(asked.exemplar_task)[0]
            if not shown or not asked.exemplar:
                raise Unfit("the prompt shows no worked example")
            example = reference(shown[0], asked.exemplar_task)
            skeleton = Skeleton(ast.parse(asked.exemplar), example)
            code = skeleton.filled(reference(asked.reference, asked.task))
        except (Unfit, SyntaxError, WorkbenchError) as error:
            return f"The worked example does not fit: {error}."
        return fenced(code, "The loops of the worked example, with another expression in them:")


def reference(source: str, statement: str) -> Reference:
    """A reference from its source and from the line of the statement that names its arguments."""
    line = next((row for row in statement.splitlines() if row.startswith("Arguments: ")), "")
    arrays = {name: tuple(axes.replace(",", " ").split()) for name, axes in ARGUMENT.findall(line)}
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    if not functions:
        raise Unfit("the reference defines no function")
    return Reference(functions[-1], arrays)


@dataclass(frozen=True)
class Slot:
    """A place where a running value is collected."""

    kind: str  # of the example's reduction that stands here
    around: tuple[int, ...]  # axes of the result whose loops or threads are around it
    loops: tuple[str, ...]  # the variables of its own loops
    factors: tuple[tuple[int, ...], ...]  # of a collected product: which variables index each factor

    def fits(self, needed: Reduction, result: Sequence[str]) -> bool:
        """Whether the reduction keeps the axes that are around, and has as many to go through."""
        if needed.kind != self.kind or len(needed.reduced) != len(self.loops):
            return False
        return all(place < len(result) for place in self.around) and needed.kept == tuple(
            result[place] for place in self.around
        )


@dataclass
class Skeleton:
    """The example's kernel, with holes where its expression was."""

    module: ast.Module
    example: Reference
    slots: dict[ast.For, Slot] = field(default_factory=dict)
    rank: int = 0

    def __post_init__(self) -> None:
        self.places = _places(self.module)
        self.rank = len(self.places)
        collected = [loop for node in self.module.body for loop in self._collecting(node, [])]
        reductions = self.example.reductions()
        if len(collected) != len(reductions):
            raise Unfit(
                f"the example's reference has {len(reductions)} reductions, its kernel {len(collected)}"
            )
        for (loop, around), (_, reduction) in zip(collected, reductions, strict=True):
            inner = tuple(_variable(each) for each in _nest(loop))
            outer = sorted((v for v in around if v in self.places), key=self.places.__getitem__)
            factors = _factors(loop, (*outer, *inner)) if reduction.kind == "@" else ()
            self.slots[loop] = Slot(reduction.kind, tuple(self.places[v] for v in outer), inner, factors)

    def filled(self, target: Reference) -> str:
        """The skeleton with the target's expression in its holes, as source."""
        result = target.axes(target.result)
        if len(result) != self.rank:
            raise Unfit(f"the result of the example has {self.rank} axes, that of the task {len(result)}")
        variables = {_variable(node) for node in ast.walk(self.module) if isinstance(node, ast.For)}
        if taken := sorted(variables & set(target.parameters)):
            raise Unfit(f"{taken[0]} counts a loop of the example and is an argument of the task")
        return Filling(self, target, result).source()

    def _collecting(self, node: ast.stmt, around: list[str]) -> list[tuple[ast.For, list[str]]]:
        """Outermost loops that collect and store nothing, in order, with the variables around them."""
        if isinstance(node, ast.For) and not _stores(node):
            return [(node, around)]
        inside = [*around, _variable(node)] if isinstance(node, ast.For) else around
        found: list[tuple[ast.For, list[str]]] = []
        for child in getattr(node, "body", []):
            if isinstance(child, ast.Assign) and _is_grid(child):
                inside = [*inside, *_names(child.targets[0])]
            found += self._collecting(child, inside)
        return found


class Filling:
    """One target in one skeleton."""

    def __init__(self, skeleton: Skeleton, target: Reference, result: Sequence[str]) -> None:
        self.skeleton, self.target, self.result = skeleton, target, result
        self.variable = {place: name for name, place in skeleton.places.items()}
        self.launched = {name for call in _launches(skeleton.module) for name in _names(call.func)}
        self.values: dict[str, Value] = {}
        self.due: dict[int, list[tuple[ast.expr, Reduction]]] = {}
        for number, (node, needed) in enumerate(target.reductions()):
            fitting = [i for i, slot in enumerate(skeleton.slots.values()) if slot.fits(needed, result)]
            if not fitting:
                raise Unfit(f"the example has no loop for `{ast.unparse(node)}`")
            self.due.setdefault(fitting[min(number, len(fitting) - 1)], []).append((node, needed))

    def source(self) -> str:
        """The text of the new kernel."""
        old, new = self.skeleton.example.function.name, self.target.function.name
        lines: list[str] = []
        for node in self.skeleton.module.body:
            if not isinstance(node, ast.FunctionDef):
                lines.append(ast.unparse(node))
                continue
            lines += [f"@{ast.unparse(decorator)}" for decorator in node.decorator_list]
            extra = [a.arg for a in node.args.args if a.arg not in self.skeleton.example.parameters]
            name = new if node.name == old else node.name
            lines.append(f"def {name}({', '.join([*self.target.parameters, *extra])}):")
            lines += [f"    {line}" for line in self._block(node.body)] + [""]
        return ast.unparse(ast.parse("\n".join(lines)))  # without the brackets that nobody needs

    def _block(self, body: Sequence[ast.stmt]) -> list[str]:
        return [line for statement in body for line in self._statement(statement)]

    def _statement(self, node: ast.stmt) -> list[str]:
        slots = list(self.skeleton.slots)
        match node:
            case ast.For() if node in slots:
                return self._collect(self.skeleton.slots[node], slots.index(node))
            case ast.For() if _variable(node) in self.skeleton.places:
                place = self.skeleton.places[_variable(node)]
                head = f"for {_variable(node)} in {_range(node)}({self.target.size(self.result[place])}):"
                return [head, *(f"    {line}" for line in self._block(node.body))]
            case ast.If(test=test):
                return [f"if {ast.unparse(test)}:", *(f"    {line}" for line in self._block(node.body))]
            case ast.Assign(targets=[ast.Subscript()]):
                return [f"{ast.unparse(node.targets[0])} = {self._result()}"]
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if _allocates(value):
                return [f"{name} = {self._room(value)}"]
            case ast.Assign(targets=[target]) if _is_grid(node) or set(_names(target)) & self.launched:
                return [ast.unparse(node)]
            case ast.Assign() | ast.AugAssign():
                return []  # a running value's start, or a step that belongs to the example's expression
            case ast.Expr(value=ast.Call() as call):
                extra = [a for a in map(ast.unparse, call.args) if a not in self.skeleton.example.parameters]
                return [f"{ast.unparse(call.func)}({', '.join([*self.target.parameters, *extra])})"]
            case ast.Return(value=ast.Name() | ast.Subscript()):
                return [ast.unparse(node)]
            case ast.Return():
                return [f"return {self._result()}"]
        raise Unfit(f"`{ast.unparse(node)}` in the example's kernel is no part of a known skeleton")

    def _collect(self, slot: Slot, number: int) -> list[str]:
        """The loops of a slot, once for every reduction that is due there."""
        lines: list[str] = []
        at = tuple(self.variable[place] for place in slot.around)
        for node, needed in self.due.get(number, []):
            name = f"{needed.join}_{len(self.values)}"
            start, join = REDUCTIONS[needed.join]
            element = self._inside(node, needed, slot, (*at, *slot.loops))
            lines.append(f"{name} = {start}")
            sizes = [self.target.size(axis) for axis in needed.reduced]
            for depth, (variable, size) in enumerate(zip(slot.loops, sizes, strict=True)):
                lines.append(f"{'    ' * depth}for {variable} in range({size}):")
            joined = join.format(running=name, new=element)
            lines.append(f"{'    ' * len(slot.loops)}{name} = {joined}")
            if needed.join == "mean":
                lines.append(f"{name} = {name} / ({' * '.join(sizes)})")
            self.values[ast.dump(node)] = Value(name, at)
        return lines

    def _inside(self, node: ast.expr, needed: Reduction, slot: Slot, variables: tuple[str, ...]) -> str:
        """What is collected. `variables`: those of the kept axes, then those of the reduced ones."""
        if isinstance(node, ast.BinOp):  # a product of matrices is what the example showed it to be
            sides = zip((node.left, node.right), slot.factors, strict=True)
            return " * ".join(
                self.target.element(side, [variables[role] for role in roles], self.values)
                for side, roles in sides
            )
        index = [variables[needed.order.index(place)] for place in range(len(needed.order))]
        return self.target.element(needed.inside, index, self.values)

    def _result(self) -> str:
        index = [self.variable[place] for place in range(len(self.result))]
        return self.target.element(self.target.result, index, self.values)

    def _room(self, value: ast.expr) -> str:
        """Memory for the result, of the task's sizes."""
        first = next(iter(self.target.arrays))
        sizes = [self.target.size(axis) for axis in self.result] or ["1"]
        assert isinstance(value, ast.Call)
        function = ast.unparse(value.func).removesuffix("_like")
        return f"{function}(({', '.join(sizes)},), {first}.dtype)"


def _places(module: ast.Module) -> dict[str, int]:
    """Variable -> axis of the result, from where the result is stored."""
    for node in ast.walk(module):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            index = node.targets[0].slice
            parts = index.elts if isinstance(index, ast.Tuple) else [index]
            return {part.id: place for place, part in enumerate(parts) if isinstance(part, ast.Name)}
    return {}


def _stores(node: ast.AST) -> bool:
    return any(isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Subscript) for n in ast.walk(node))


def _nest(loop: ast.For) -> list[ast.For]:
    """The loop and those inside it."""
    return [node for node in ast.walk(loop) if isinstance(node, ast.For)]


def _factors(loop: ast.For, variables: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """For a product of two elements: the places of their indices among `variables`."""
    for node in ast.walk(loop):
        match node:
            case ast.BinOp(
                left=ast.Subscript(slice=ast.Tuple(elts=left)),
                op=ast.Mult(),
                right=ast.Subscript(slice=ast.Tuple(elts=right)),
            ):
                names = [[ast.unparse(part) for part in side] for side in (left, right)]
                if all(name in variables for side in names for name in side):
                    return tuple(tuple(variables.index(name) for name in side) for side in names)
    raise Unfit("the example's kernel shows no product of two elements")


def _variable(loop: ast.For) -> str:
    if not isinstance(loop.target, ast.Name):
        raise Unfit(f"a loop over {ast.unparse(loop.target)}")
    return loop.target.id


def _range(loop: ast.For) -> str:
    if not isinstance(loop.iter, ast.Call):
        raise Unfit(f"a loop over {ast.unparse(loop.iter)}")
    return ast.unparse(loop.iter.func)


def _names(target: ast.expr) -> list[str]:
    return [node.id for node in ast.walk(target) if isinstance(node, ast.Name)]


def _called(node: ast.expr) -> str:
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def _allocates(node: ast.expr) -> bool:
    return _called(node) in ("np.empty", "np.empty_like", "np.zeros", "np.zeros_like")


def _launches(module: ast.Module) -> list[ast.Call]:
    """Calls such as `on_device[blocks, threads](x, out)`."""
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]
    return [call for call in calls if isinstance(call.func, ast.Subscript)]


def _is_grid(node: ast.Assign) -> bool:
    return _called(node.value) == "cuda.grid"
