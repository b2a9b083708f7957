"""A fingerprint of what a result depends on: arrays, settings, and the code of the classes that made them.

Code is told by its compiled form, so that comments, formatting and docstrings do not matter, and everything
that a function or class mentions is followed: functions, classes and constants of the project and of the
reader's own files and cells. Libraries contribute their names alone (torch its version too, in `digest`).

Module-level dicts, lists and sets count where their name says that they are constants, in capitals; others
are notebooks of the running program, filled as it goes. An object with a method `__fingerprint__` stands for
what that returns.
"""

import dis
import hashlib
import importlib
import pickle
import sys
from collections.abc import Iterator, Mapping
from functools import cache, partial
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

OURS = ("workbench", "workbench_datasets", "__main__")
PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), torch.dtype, torch.device)
TORCH_INTERNALS = frozenset(vars(nn.Module()))
NOTES = """
    __dict__ __weakref__ __doc__ __module__ __qualname__ __firstlineno__ __static_attributes__
    __annotations__ __annotate__ __annotate_func__ __orig_bases__ __parameters__
    __dataclass_fields__ __dataclass_params__ __abstractmethods__ _abc_impl
"""
NOT_CODE = frozenset(NOTES.split())  # of a class: what Python, dataclasses and abc note about it


def digest(**values: Any) -> str:
    """32 hexadecimal digits that change whenever any of the values, or code that they use, changes."""
    versions = {"python": sys.version_info[:2], "torch": torch.__version__}
    reader = _Reader()
    reader.read({**versions, **values})
    return reader.sha.hexdigest()[:32]


class _Reader:
    """Feeds a canonical form of values to a hash; an object that was read before is named by its number."""

    def __init__(self) -> None:
        self.sha = hashlib.sha256()
        self.seen: dict[int, tuple[int, Any]] = {}  # the value is held, so that its id stays its own

    def read(self, value: Any) -> None:
        if isinstance(value, PLAIN):
            return self.tell(type(value).__name__, repr(value))
        if not isinstance(value, tuple | frozenset | CodeType):
            if id(value) in self.seen:
                return self.tell("again", self.seen[id(value)][0])
            self.seen[id(value)] = len(self.seen), value
        if isinstance(value, Tensor):
            stored = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
            self.array(stored.flatten().view(torch.uint8).numpy(), value)
        elif isinstance(value, np.ndarray | np.generic):
            self.array(np.frombuffer(value.tobytes(), np.uint8), value)
        elif isinstance(value, Mapping):
            self.many("mapping", [part for pair in value.items() for part in pair])
        elif isinstance(value, tuple | list | range):
            self.many(type(value).__name__, value)
        elif isinstance(value, set | frozenset):
            self.many("set", sorted(value, key=repr))
        elif isinstance(value, CodeType):
            self.code(value)
        elif isinstance(value, ModuleType):
            self.tell("module", value.__name__)
        elif isinstance(value, type):
            self.type(value)
        elif isinstance(value, nn.Module):
            self.module(value)
        else:
            self.callable_or_object(value)

    def tell(self, *words: object) -> None:
        for word in words:
            text = str(word).encode()
            self.sha.update(len(text).to_bytes(8, "little") + text)

    def many(self, kind: str, values: Any) -> None:
        self.tell(kind, len(values))
        for value in values:
            self.read(value)

    def array(self, stored: np.ndarray, value: Any) -> None:
        self.tell("array", value.dtype, tuple(value.shape))
        self.sha.update(stored.data)

    def module(self, module: nn.Module) -> None:
        """A torch module: its class, its settings, its numbers, its parts, its hooks."""
        self.read(type(module))
        settings = {name: value for name, value in vars(module).items() if name not in TORCH_INTERNALS}
        self.read(settings)
        self.read([*module._parameters.items(), *module._buffers.items()])
        self.read([p.requires_grad for p in module._parameters.values() if p is not None])
        self.read([*module._forward_hooks.values(), *module._forward_pre_hooks.values()])
        for name, part in module._modules.items():
            self.tell("part", name)
            self.read(part)

    def type(self, cls: type) -> None:
        self.tell("class", cls.__module__, cls.__qualname__)
        if is_ours(cls.__module__):
            self.many("bases", cls.__bases__)
            contents = {name: value for name, value in vars(cls).items() if name not in NOT_CODE}
            self.many("contents", [part for name in sorted(contents) for part in (name, contents[name])])

    def callable_or_object(self, value: Any) -> None:
        if isinstance(value, FunctionType):
            self.function(value)
        elif isinstance(value, MethodType):
            self.many("method", (value.__self__, value.__func__))
        elif isinstance(value, partial):
            self.many("partial", (value.func, value.args, value.keywords))
        elif isinstance(value, staticmethod | classmethod):
            self.many(type(value).__name__, (value.__func__,))
        elif isinstance(value, property):
            self.many("property", (value.fget, value.fset))
        elif callable(value) and (inside := _functions_inside(value)):  # compiled, cached, an operator
            self.many("around", [*inside, dict(getattr(value, "targetoptions", {}))])
        elif isinstance(value, BuiltinFunctionType) or (callable(value) and hasattr(value, "__qualname__")):
            self.tell("builtin", getattr(value, "__module__", ""), value.__qualname__)
        else:
            self.object(value)

    def object(self, value: Any) -> None:
        """Its class, and what it holds: attributes, or for objects of libraries what pickle would store."""
        self.read(type(value))
        if hasattr(type(value), "__fingerprint__"):
            return self.read(value.__fingerprint__())
        if is_ours(type(value).__module__):
            slots = [name for cls in type(value).__mro__ for name in getattr(cls, "__slots__", ())]
            self.read({name: getattr(value, name) for name in slots if hasattr(value, name)})
            self.read(vars(value) if hasattr(value, "__dict__") else {})
            return
        try:
            self.read(pickle.dumps(value, protocol=4))
        except Exception:  # locks, handles and the like hold nothing that a result depends on
            self.tell("unreadable")

    def function(self, function: FunctionType) -> None:
        self.tell("function", function.__module__, function.__qualname__)
        if not is_ours(function.__module__):
            return
        self.code(function.__code__, function.__doc__)
        self.many("settings", (function.__defaults__, function.__kwdefaults__))
        for cell in function.__closure__ or ():
            self.many("cell", [cell.cell_contents] if _is_filled(cell) else [])
        attributes = set(_attributes(function.__code__))
        for name, value in _mentioned(function):
            self.tell("mentions", name)
            if isinstance(value, ModuleType):
                if is_ours(value.__name__):
                    self.many("from", [getattr(value, a) for a in sorted(attributes) if hasattr(value, a)])
                else:
                    self.tell(value.__name__)
            elif not isinstance(value, dict | list | set) or name.isupper():
                self.read(value)

    def code(self, code: CodeType, docstring: str | None = None) -> None:
        """Instructions, names and constants, without the docstring that stands first among them."""
        constants = code.co_consts
        if docstring is not None and constants[:1] == (docstring,):
            constants = (None, *constants[1:])
        self.many("code", (code.co_code, code.co_names, code.co_varnames, code.co_freevars))
        self.many("constants", constants)


def is_ours(module: str | None) -> bool:
    """Whether code is the project's or the reader's own: it may change while versions stay."""
    top = (module or "").partition(".")[0]
    if top in OURS:
        return True
    if not top or top in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    return bool(file) and not any(shelf in file for shelf in ("site-packages", "dist-packages"))


def _is_filled(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _functions_inside(value: Any) -> list[FunctionType]:
    """Functions of ours that a callable object of a library holds, in a fixed order."""
    held = getattr(value, "__dict__", {})
    return [
        held[name]
        for name in sorted(held, key=str)
        if isinstance(held[name], FunctionType) and is_ours(held[name].__module__)
    ]


def _mentioned(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Global names that a function uses, and modules of ours that it imports, with what they mean now."""
    for name in _globals(function.__code__):
        if name in function.__globals__:
            yield name, function.__globals__[name]
    for name in _imports(function.__code__):
        if is_ours(name):
            yield name, importlib.import_module(name)


@cache
def _globals(code: CodeType) -> tuple[str, ...]:
    return _arguments(code, ("LOAD_GLOBAL", "LOAD_NAME"))


@cache
def _imports(code: CodeType) -> tuple[str, ...]:
    return _arguments(code, ("IMPORT_NAME",))


@cache
def _attributes(code: CodeType) -> tuple[str, ...]:
    return _arguments(code, ("LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"))


def _arguments(code: CodeType, kinds: tuple[str, ...]) -> tuple[str, ...]:
    """Names that instructions of these kinds use, in the code and in functions and classes inside it."""
    found = {str(i.argval): None for i in dis.get_instructions(code) if i.opname in kinds}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found.update(dict.fromkeys(_arguments(constant, kinds)))
    return tuple(found)
