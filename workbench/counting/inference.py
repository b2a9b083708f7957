"""What numba knows about each statement of a normal form: the types of its operands and result.

Numba compiles the normal form as far as its type inference and is then stopped. Since a statement of the
normal form has one effect and a line of its own, the line identifies the operation.
"""

import ast
from dataclasses import dataclass, field
from typing import Any

from numba import njit, types
from numba.core import errors, ir
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import AnalysisPass, register_pass
from numba.core.typed_passes import NopythonTypeInference
from numba.core.untyped_passes import InlineInlinables

from workbench.counting.normal import Normal
from workbench.counting.source import Source


@dataclass(frozen=True)
class Fact:
    """One operation: numba's name for it, what it applies (an operator, a function's type), and types."""

    kind: str
    what: Any
    operands: tuple[Any, ...]
    result: Any


@dataclass
class Facts:
    """Operations by line of the normal form, the types each variable takes, and the lines numba kept."""

    lines: dict[int, list[Fact]] = field(default_factory=dict)
    names: dict[str, set[types.Type]] = field(default_factory=dict)
    reached: set[int] = field(default_factory=set)

    def at(self, line: int, *kinds: str) -> Fact | None:
        """The operation of one of these kinds on a line, if it has one."""
        return next((fact for fact in self.lines.get(line, ()) if fact.kind in kinds), None)


class _Typed(Exception):
    """Stops the compiler once the types are known."""


@register_pass(mutates_CFG=False, analysis_only=True)
class _Stop(AnalysisPass):
    _name = "workbench_stop_after_types"

    def __init__(self) -> None:
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        stopped = _Typed()
        stopped.state = state  # type: ignore[attr-defined]
        raise stopped


class _TypesOnly(CompilerBase):
    def define_pipelines(self) -> list[Any]:
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_Stop, NopythonTypeInference)
        passes.passes = [one for one in passes.passes if one[0] is not InlineInlinables]  # calls stay calls
        passes.finalize()
        return [passes]


def infer(source: Source, normal: Normal, arguments: tuple[types.Type, ...]) -> Facts:
    """Types for a call with `arguments`, by line of the normal form."""
    module = ast.Module([normal.tree], [])
    names = dict(source.names)
    exec(compile(module, f"<normal form of {source.name}>", "exec"), names)
    function = njit(names[normal.tree.name], pipeline_class=_TypesOnly)
    try:
        function.compile(arguments)
    except _Typed as stopped:
        return _read(stopped.state)  # type: ignore[attr-defined]
    except errors.NumbaError as error:
        given = ", ".join(map(str, arguments))
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = next((line for line in said if not line.startswith("Failed in")), "no reason given")
        line = normal.origin.get(getattr(getattr(error, "loc", None), "line", 0), source.first_line)
        raise source.refuse(line, f"numba cannot compile this for ({given}): {reason}") from error
    raise AssertionError("the compiler went past its types")


def _read(state: Any) -> Facts:
    facts = Facts()
    for name, kind in state.typemap.items():
        facts.names.setdefault(name.removeprefix("arg.").split(".")[0], set()).add(kind)
    for block in state.func_ir.blocks.values():
        for statement in block.body:
            facts.reached.add(statement.loc.line)
            if fact := _fact(statement, state.typemap, state.calltypes):
                facts.lines.setdefault(statement.loc.line, []).append(fact)
    return facts


def _fact(statement: Any, typemap: dict[str, types.Type], calltypes: dict[Any, Any]) -> Fact | None:
    def kinds(*variables: Any) -> tuple[types.Type, ...]:
        return tuple(types.unliteral(typemap[variable.name]) for variable in variables)

    match statement:
        case ir.SetItem():
            return Fact("store", None, kinds(statement.target, statement.index, statement.value), None)
        case ir.StaticSetItem():
            return Fact("store", None, kinds(statement.target, statement.index_var, statement.value), None)
        case ir.Assign(value=ir.Expr() as value):
            (result,) = kinds(statement.target)
            match value.op:
                case "binop" | "inplace_binop" | "static_binop":
                    operands = types.unliteral(typemap[value.lhs.name]), calltypes[value].args[1]
                    return Fact("operation", value.fn, tuple(map(types.unliteral, operands)), result)
                case "unary":
                    return Fact("operation", value.fn, kinds(value.value), result)
                case "getitem":
                    return Fact("load", None, kinds(value.value, value.index), result)
                case "static_getitem":
                    index = kinds(value.index_var) if value.index_var else (types.intp,)
                    return Fact("load", None, kinds(value.value) + index, result)
                case "call":
                    arguments = tuple(map(types.unliteral, calltypes[value].args))
                    return Fact("call", typemap[value.func.name], arguments, result)
                case "getattr":
                    return Fact("attribute", value.attr, kinds(value.value), result)
                case "build_tuple":
                    return Fact("tuple", None, kinds(*value.items), result)
                case "getiter":
                    return Fact("iterate", None, kinds(value.value), result)
    return None
