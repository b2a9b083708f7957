"""A kernel run by Python itself on arrays and numbers that count: the truth that `count` must meet."""

from collections import Counter

import numpy as np


class Number(float):
    """A float that files its operations."""

    tape: "Tape"

    def made(self, kind, value):
        self.tape.ops[kind] += 1
        return value if isinstance(value, bool) else self.tape.number(value)


def _binary(name, kind):
    def forward(self, other):
        return self.made(kind, getattr(float(self), name)(float(other)))

    def backward(self, other):
        return self.made(kind, getattr(float(other), name)(float(self)))

    setattr(Number, name, forward)
    setattr(Number, name.replace("__", "__r", 1), backward)


for _name, _kind in {"__add__": "add", "__sub__": "sub", "__mul__": "mul", "__truediv__": "div"}.items():
    _binary(_name, _kind)
for _name in ("__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__"):
    _binary(_name, "compare")
Number.__neg__ = lambda self: self.made("neg", -float(self))
Number.__abs__ = lambda self: self.made("abs", abs(float(self)))
Number.__hash__ = float.__hash__


class Array:
    """A numpy array that files its accesses; views file under the name of their base."""

    def __init__(self, data, name, tape):
        self.data, self.name, self.tape = data, name, tape

    def __getattr__(self, attribute):
        return getattr(self.data, attribute)

    def __len__(self):
        return len(self.data)

    @property
    def T(self):
        return Array(self.data.T, self.name, self.tape)

    def __getitem__(self, index):
        part = self.data[index]
        if isinstance(part, np.ndarray):
            return Array(part, self.name, self.tape)
        self.touch(index, "loads")
        return self.tape.number(part) if part.dtype.kind == "f" else part.item()

    def __setitem__(self, index, value):
        part = self.data[index]
        if not isinstance(part, np.ndarray):
            self.touch(index, "stores")
            self.data[index] = value
            return
        view = Array(part, self.name, self.tape)
        for place in np.ndindex(part.shape):
            if isinstance(value, Array):
                value.touch(place, "loads")
            view.touch(place, "stores")
        self.data[index] = value.data if isinstance(value, Array) else value

    def touch(self, index, what):
        index = index if isinstance(index, tuple) else (index,)
        index = [i + n if i < 0 else i for i, n in zip(index, self.data.shape, strict=True)]
        address = self.data.ctypes.data + sum(i * s for i, s in zip(index, self.data.strides, strict=True))
        getattr(self.tape, what)[self.name] += 1
        self.tape.sequence.append((self.name, address, what == "stores"))
        self.tape.touched.setdefault(self.name, set()).update(range(address, address + self.data.itemsize))


class Tape:
    """Runs a function on counting arrays."""

    def __init__(self, function, *args):
        self.ops, self.loads, self.stores, self.sequence = Counter(), Counter(), Counter(), []
        self.touched: dict[str, set[int]] = {}
        self.kind = type("Kind", (Number,), {"tape": self})
        names = function.__code__.co_varnames
        given = [
            Array(value, name, self)
            if isinstance(value, np.ndarray)
            else self.number(value)
            if isinstance(value, float)
            else value
            for name, value in zip(names, args, strict=False)
        ]
        self.result = function(*given)

    def number(self, value):
        return self.kind(value)
