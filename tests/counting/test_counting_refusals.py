"""What cannot be counted exactly is refused with kernel, line and reason; nothing else slips through."""

import linecache
import textwrap

import numpy as np
import pytest

from workbench.counting import Refusal, count, kernel
from workbench.errors import WorkbenchError

PRELUDE = """\
import math
import numba
import numpy as np
from workbench.counting import kernel

table = np.ones(8)

@kernel
def one_row(x):
    return x[0:2]
"""


def kernel_from(source, name="k", file="<a notebook cell>"):
    """A kernel typed into a cell: its text is known to linecache alone."""
    text = PRELUDE + textwrap.dedent(source)
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    names = {"__name__": "cell"}
    exec(compile(text, file, "exec"), names)
    return names[name]


# Every case has the arguments x [4], y [4], A [4, 4], n = 3; the refused line says `# here`.
REFUSED = {
    "a list": ("z = [1.0, 2.0]  # here\n    x[0] = z[0]", "list"),
    "a list's constructor": ("z = list((1.0, 2.0))\n    x[0] = z[0]  # here", "simulated"),
    "a comprehension": ("z = [i for i in range(n)]  # here", "comprehension"),
    "a generator": ("x[0] = sum(v for v in (1, 2))  # here", "generator"),
    "a dictionary": ("z = {1: 2}  # here", "dictionary"),
    "a lambda": ("f = lambda v: v  # here", "function inside"),
    "a function inside": ("def f(v):  # here\n        return v", "function inside"),
    "whole-array arithmetic": ("z = x + y  # here", "whole arrays"),
    "whole-array arithmetic stored": ("x[:] = x * 2  # here", "whole arrays"),
    "whole-array negation": ("x[:] = -y  # here", "whole arrays"),
    "whole-array comparison": ("z = x < y  # here", "whole arrays"),
    "in-place arithmetic": ("x += y  # here", "whole arrays"),
    "in-place on a slice": ("x[1:] *= 2.0  # here", "whole arrays"),
    "np.dot": ("x[0] = np.dot(x, y)  # here", "whole arrays"),
    "matrix product": ("z = A @ A  # here", "whole arrays"),
    "np.sum": ("x[0] = np.sum(y)  # here", "whole arrays"),
    "a method that reduces": ("x[0] = y.sum()  # here", "cannot be counted"),
    "a method that fills": ("x.fill(0.0)  # here", "cannot be counted"),
    "a copy": ("z = x.copy()  # here", "not known where"),
    "flattening": ("z = A.ravel()  # here", "not known where"),
    "a new array of unknown kind": ("z = np.arange(n)  # here", "not known where"),
    "np.array": ("z = np.array((1.0, 2.0))  # here", "not known where"),
    "concatenation": ("z = np.concatenate((x, y))  # here", "tuple of arrays"),
    "the maximum of an array": ("x[0] = max(y)  # here", "whole arrays"),
    "an element-wise function": ("z = np.exp(x)  # here", "not known where|whole arrays"),
    "a fancy index": ("z = x[np.empty(2, np.int64)]  # here", "index hides"),
    "a mask": ("z = x[np.empty(4, np.bool_)]  # here", "index hides"),
    "a mask that is stored to": ("x[np.empty(4, np.bool_)] = 0.0  # here", "index"),
    "a loop over an array": ("for v in x:  # here\n        y[0] = v", "loop over an array"),
    "enumerate": ("for i, v in enumerate(x):  # here\n        y[i] = v", "whole arrays"),
    "zip": ("for u, v in zip(x, y):  # here\n        y[0] = u", "whole arrays"),
    "membership": ("if n in x:  # here\n        y[0] = 1.0", "whole arrays|contains"),
    "membership in a tuple": ("if n in (1, 2):  # here\n        y[0] = 1.0", "contains"),
    "flat": ("z = x.flat  # here", "not known"),
    "a tuple of arrays": ("z = (x, y)  # here\n    z[0][0] = 1.0", "tuple of arrays"),
    "a global array": ("x[0] = table[0]  # here", "outside the kernel"),
    "a view of a global array": ("z = table[1:]  # here\n    x[0] = z[0]", "not known where"),
    "try": ("try:  # here\n        x[0] = 1.0\n    except Exception:\n        x[0] = 2.0", "exception"),
    "with": ("with numba.objmode():  # here\n        x[0] = 1.0", "with"),
    "the walrus": ("if (m := n) > 2:  # here\n        x[0] = m", "inside an expression"),
    "star arguments": ("x[0] = max(*(1, 2))  # here", "star"),
    "random numbers": ("x[0] = np.random.random()  # here", "cannot be counted"),
    "a row by number": ("A[1] = 0.0  # here", "one integer for each axis"),
    "a row onto all rows": ("A[:, :] = x  # here", "fewer dimensions"),
    "an imaginary part of reals": ("z = x.imag  # here", "imaginary"),
    "a name for two things": ("z = x[1:]\n    z = 1.0  # here", "two names|something else"),
    "a name for two dimensions": ("z = x\n    z = A[1:]  # here", "two names|something else"),
    "break in the else of a while": (
        "for i in range(n):\n        while x[i] > 9.0:\n            x[i] = 0.0\n"
        "        else:\n            break  # here",
        "else of a while",
    ),
    "a kernel that returns a view": ("z = one_row(x)  # here", "must not return an array"),
    "an array's truth": ("z = x[1:2]\n    if z:  # here\n        y[0] = 1.0", "truth"),
    "an array's negation": ("z = x[1:2]\n    if not z:  # here\n        y[0] = 1.0", "numba cannot compile"),
    "printing an array": ("print(x)  # here", "printing"),
    "tuples of floats compared": (
        "z = (x[0], x[1])\n    if z == (0.0, 1.0):  # here\n        y[0] = 1",
        "tuple",
    ),
    "divmod": ("q, r = divmod(n, 2)  # here\n    x[0] = q", "cannot be counted"),
    "del": ("z = n\n    del z  # here", "del"),
}


@pytest.fixture(scope="module")
def fresh():
    return lambda: (np.arange(4.0), np.ones(4), np.ones((4, 4)), 3)


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_kernel_line_and_reason(case, fresh):
    body, reason = REFUSED[case]
    text = f"@kernel\ndef k(x, y, A, n):\n    {body}\n"
    lines = (PRELUDE + text).splitlines()
    here = next(number for number, line in enumerate(lines, 1) if "# here" in line)
    first = len(PRELUDE.splitlines()) + 1
    args = fresh()
    with pytest.raises(WorkbenchError, match=reason) as refusal:
        count(kernel_from(text), *args)
    assert isinstance(refusal.value, Refusal)
    assert f"k, line {here}:" in str(refusal.value) or f"k, line {first}:" in str(refusal.value)
    for array, untouched in zip(args[:3], fresh()[:3], strict=True):
        np.testing.assert_array_equal(array, untouched)


RECURSIVE = """
@kernel
def k(x, n):
    if n > 0:
        k(x, n - 1)
    x[0] += 1.0
"""
TWO_SIZES = """
def make(size, inner):
    @kernel
    def outer(x):
        inner(x)
        for i in range(size):
            x[i] += 1.0
    return outer

@kernel
def nothing(x):
    x[0] = 0.0

three = make(3, nothing)
k = make(2, three)
"""


@pytest.mark.parametrize(
    ("source", "args", "reason"),
    [
        (RECURSIVE, (np.ones(3), 2), "k, line .*: numba cannot compile|calls itself"),
        (TWO_SIZES, (np.ones(3),), "means something else here"),
        ("k = kernel(lambda x: x)", (np.ones(3),), "under def"),
        ("@kernel\ndef k(*x):\n    return x[0]", (1.0,), "plain positional arguments"),
        ("@kernel\ndef k(x, *, n):\n    return x[0]", (np.ones(3),), "cannot be called so|plain positional"),
        ("@kernel\ndef k(x):\n    return x[0].real", (np.array(["a"]),), "numba cannot compile"),
        ("@kernel\ndef k(x):\n    return x[0]['a']", (np.zeros(3, "i4,f8"),), "not counted|numba cannot"),
        ("@kernel\ndef k(x):\n    return x[0]", ((np.ones(3),),), "tuples of numbers"),
        ("@kernel\ndef k(x):\n    return x[0]", ([1.0, 2.0],), "takes arrays"),
        ("@kernel\ndef k(x):\n    return x[0]", ({},), "takes arrays"),
        ("@kernel\ndef k(x):\n    return x[0]", (np.ones(3), 1), "cannot be called so"),
        (
            "@kernel(locals={'s': numba.float32})\ndef k(x):\n    s = x[0]\n    return s",
            (np.ones(3),),
            "locals",
        ),
        ("@kernel\ndef k(x):\n    return x.no_such", (np.ones(3),), "k, line 13: numba cannot compile this"),
        ("def k(x):\n    return x[0]", (np.ones(3),), "k is not one"),
    ],
)
def test_other_slips_get_one_sentence(source, args, reason):
    with pytest.raises(WorkbenchError, match=reason) as error:
        count(kernel_from(source), *args)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("index", [4, -5, 400])
def test_an_index_outside_its_array_is_refused(index):
    load = kernel_from("@kernel\ndef k(x, i):\n    return x[i]")
    store = kernel_from("@kernel\ndef k(x, i):\n    x[i] = 1.0")
    for one in (load, store):
        with pytest.raises(WorkbenchError, match="k accesses an array outside its shape"):
            count(one, np.ones(8)[:4], index)


def test_a_kernel_without_source_runs_but_is_not_counted():
    names = {"kernel": kernel}
    exec("@kernel\ndef k(x):\n    return x[0]", names)
    assert names["k"](np.ones(2)) == 1.0
    with pytest.raises(WorkbenchError, match="source of k must stand in a file or a notebook cell"):
        count(names["k"], np.ones(2))
