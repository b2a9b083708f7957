"""What a counted kernel may use, held to closed forms; and the normal form, held to Python itself."""

import ast
import math
import subprocess
import sys
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.dispatcher import Dispatcher

from tests.counting import sample_kernels as sample
from tests.counting.kernel_twin import Tape
from tests.counting.test_counting_refusals import kernel_from
from workbench.counting import Geometry, Level, build, count, kernel, trace
from workbench.counting.normal import normalize
from workbench.counting.source import source_of

SMALL = Geometry([Level(256, 2)])


def draw(*shape, seed=0):
    return np.random.default_rng(seed).random(shape)


# the kernels' own machine code


def test_a_kernel_is_numbas_dispatcher_with_numbas_code():
    def scale(x, y):
        for i in range(x.size):
            y[i] = 2.0 * x[i] + y[i]

    for options in ({}, {"fastmath": True}, {"error_model": "numpy", "boundscheck": True}):
        ours = kernel(**options)(scale) if options else kernel(scale)
        theirs = numba.njit(**options)(scale)
        assert type(ours) is type(theirs)  # so that a call is numba's own
        assert isinstance(ours, Dispatcher)
        for one in (ours, theirs):
            one(np.ones(4), np.ones(4))
        assert [_plain(one) for one in ours.inspect_asm().values()] == [
            _plain(one) for one in theirs.inspect_asm().values()
        ]


def _plain(assembly):
    """The instructions, without the names that numba numbers."""
    lines = [line.split("#")[0].strip() for line in assembly.splitlines()]
    operations = [line.split()[0] for line in lines if line and not line.startswith(".") and ":" not in line]
    assert len(operations) > 50
    return operations


def test_options_reach_the_plain_kernel():
    @kernel(fastmath=True, parallel=True, nogil=True)
    def halve(x):
        for i in numba.prange(x.size):
            x[i] *= 0.5

    assert halve.targetoptions["fastmath"]
    assert halve.targetoptions["parallel"]


# what a kernel may use


def test_a_parallel_kernel_is_counted_in_the_order_of_its_loop():
    x = draw(50)
    first, second = (count(sample.parallel, x, np.zeros(50), geometry=SMALL) for _ in range(2))
    assert first.ops == {"sqrt": 50, "abs": 50, "mul": 50, "add": 50}
    assert (first.loads, first.stores) == ({"x": 50, "y": 50}, {"x": 0, "y": 50})
    assert first.cache["L1"].misses == second.cache["L1"].misses
    assert first.result == second.result == pytest.approx(float((np.sqrt(x) * 0.5).sum()))


def test_kernels_that_call_kernels_count_under_the_callers_names():
    n, m = 4, 6
    found = count(sample.calls, draw(n, m), draw(m, seed=1), draw(n, seed=2), geometry=SMALL)
    assert found.loads == {"A": n * m, "x": n * 3 * m + n * m + m, "y": n, "rest": n * m + m}
    assert found.stores == {"A": 0, "x": m, "y": n, "rest": m + n * m}
    assert found.ops == {"add": n * (2 * m) + n + n * m + m, "mul": n * (2 * m) + n * m + m}
    assert found.bytes_unique["rest"] == m * 8
    lines = {line.text.strip(): line for line in found.by_line}
    assert lines["total += a[i] * b[i]"].loads == 4 * n * m
    assert lines["total += a[i] * b[i]"].kernel == "dot"


def test_complex_operations_count_as_real_ones():
    z = draw(5) + 1j
    found = count(sample.complex_product, z, z.copy())
    assert found.ops == {"mul": 20, "add": 5 + 10, "sub": 5}
    assert found.flops == 40
    assert found.bytes == {"z": 5 * 16 * 2, "w": 2 * 5 * 16}


def test_integers_are_no_flops_and_stay_apart():
    total = kernel_from(
        "@kernel\ndef k(x, y):\n    for i in range(x.size):\n        y[i] = x[i] * 2 + i // 3"
    )
    found = count(total, np.arange(6), np.arange(6))
    assert found.flops == 0
    assert found.ops == {}
    assert found.index_ops == {"mul": 6, "add": 6, "floordiv": 6}


def test_a_local_array_keeps_its_place_in_a_loop():
    found = count(sample.tiles, draw(8), np.zeros(8), geometry=SMALL)
    assert found.bytes_unique["tile"] == 3 * 8
    assert found.cache["L1"].misses["tile"] == 1
    assert found.stores == {"x": 0, "y": 8, "tile": 8}


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_and_next_to_nothing(n):
    found = count(sample.triad, np.ones(n), np.ones(n), np.ones(n), 3.0, geometry=SMALL)
    assert (found.flops, found.accesses, found.bytes_unique.total) == (2 * n, 3 * n, 24 * n)
    assert found.cache["L1"].misses.total == 3 * n


def test_arguments_that_share_memory_share_lines_and_unique_bytes_go_to_each():
    x = np.ones(17)
    found = count(sample.triad, x[1:], x[:-1], x[:-1], 1.0, geometry=Geometry([Level(4096, None)]))
    assert found.bytes_unique == {"a": 128, "b": 128, "c": 128}
    assert found.cache["L1"].misses.total == 3  # 17 elements reach over three lines
    apart = count(
        sample.triad, np.ones(16), np.ones(16), np.ones(16), 1.0, geometry=Geometry([Level(4096, None)])
    )
    assert apart.cache["L1"].misses.total == 6
    np.testing.assert_array_equal(x[:4], [1, 2, 4, 8])


EVERYTHING = """
LIMIT = 3

@numba.njit
def helper(x, i):
    return x[i] / 2.0

@kernel(error_model="numpy", inline="always")
def over(a, b):
    return a / b

@kernel(fastmath=True)
def k(x, y, step=2, extra=None):
    '''Read-only input, a default, an absent argument, an annotation, an assertion, for-else, while-else.'''
    total: float = 0.0
    assert step > 0
    for i in range(0, x.size, step):
        if i == 2:
            continue
        total += helper(x, i)
        if i > 100:
            break
    else:
        y[-1] = over(1.0, 0.0)
    if extra is not None:
        y[0] = extra[0]
    i = 0
    while True:
        i += 1
        if i > LIMIT:
            break
        while y[i] < 0.0:
            y[i] += 1.0
        else:
            y[i] = math.pi
    return total
"""


def test_defaults_helpers_options_and_early_exits():
    k = kernel_from(EVERYTHING)
    x, y = np.arange(8.0), np.full(8, -1.5)
    x.flags.writeable = False
    found = count(k, x, y, geometry=SMALL)
    assert found.result == 0.0 + 2.0 + 3.0
    assert y[-1] == math.inf
    assert found.loads == {"x": 3, "y": 3 * (3 + 2)}
    assert found.stores == {"x": 0, "y": 1 + 3 * (2 + 1)}
    assert found.ops == {"div": 4, "add": 3 + 6, "compare": 9}
    assert {line.text.strip(): line.loads for line in found.by_line if line.loads} == {
        "return x[i] / 2.0": 3,
        "while y[i] < 0.0:": 9,
        "y[i] += 1.0": 6,
    }


def test_a_kernel_defined_again_is_the_new_one():
    first = kernel_from("@kernel\ndef k(x):\n    x[0] = 1.0", file="<cell 1>")
    second = kernel_from("@kernel\ndef k(x):\n    x[0] = x[1] + x[2]", file="<cell 2>")
    assert count(first, np.ones(3)).accesses == 1
    assert count(second, np.ones(3)).accesses == 3


def test_a_constant_of_a_module_is_the_one_of_now(monkeypatch):
    """Its value is compiled in, so that another value must be another build."""
    text = "@kernel\ndef k(x):\n    for i in range(numba.SIZE_FOR_A_TEST):\n        x[i] = 1.0"
    for size in (2, 3):
        monkeypatch.setattr(numba, "SIZE_FOR_A_TEST", size, raising=False)
        assert count(kernel_from(text, file=f"<size {size}>"), np.zeros(4)).accesses == size


def test_a_value_that_nobody_uses_is_loaded_all_the_same():
    """The source loads it; that a compiler would not is another story."""
    k = kernel_from("@kernel\ndef k(x):\n    for i in range(x.size):\n        unused = x[i] * 2.0")
    assert count(k, np.ones(5)).ops == {"mul": 5}
    assert count(k, np.ones(5)).loads == {"x": 5}


# closed forms


@pytest.mark.parametrize(
    ("dispatcher", "strides"),
    [
        # bytes from one access of a place in the source to its next, where the inner loop turns
        (sample.matmul_ijk, {"A": 8, "B": "row", "C": 0}),
        (sample.matmul_ikj, {"A": 0, "B": 8, "C": 8}),
        (sample.matmul_jki, {"A": "row", "B": 0, "C": "row"}),
    ],
    ids=["ijk", "ikj", "jki"],
)
def test_products_in_several_orders(dispatcher, strides):
    n, k, m = 5, 6, 7
    found = count(dispatcher, draw(n, k), draw(k, m), np.zeros((n, m)), geometry=SMALL)
    work = n * k * m
    assert found.ops == {"mul": work, "add": work}
    assert found.loads == {"A": work, "B": work, "C": work}
    assert found.stores == {"A": 0, "B": 0, "C": work}
    assert found.bytes_unique == {"A": 8 * n * k, "B": 8 * k * m, "C": 8 * n * m}
    rows = {"A": 8 * k, "B": 8 * m, "C": 8 * m}
    for name, stride in strides.items():
        assert next(iter(found.strides[name])) == (rows[name] if stride == "row" else stride)
        assert sum(found.strides[name].values()) == (work - 1) * (2 if name == "C" else 1)


def test_blocked_product_transposition_and_stencil():
    n, b = 8, 4
    product = count(sample.blocked, draw(n, n), draw(n, n), np.zeros((n, n)), b)
    assert product.flops == 2 * n**3
    assert product.loads == {"A": n**3, "B": n**3, "C": n * n * n // b}
    assert product.stores["C"] == n * n * n // b
    turned = count(sample.transpose, draw(6, 9), np.zeros((9, 6)))
    assert (turned.flops, turned.loads["x"], turned.stores["y"]) == (0, 54, 54)
    assert turned.strides["y"] == {48: 48, 8 - 8 * 48: 5}
    points = 6 * 3
    stencil = count(sample.stencil, draw(8, 5), np.zeros((8, 5)))
    assert stencil.ops == {"add": 3 * points, "mul": points, "sub": points}
    assert (stencil.loads["x"], stencil.stores["y"]) == (5 * points, points)
    assert stencil.bytes_unique == {"x": (8 * 5 - 4) * 8, "y": points * 8}


def test_the_table_says_where_each_number_comes_from():
    found = count(sample.transpose, draw(6, 9), np.zeros((9, 6)), geometry=SMALL)
    rows = found.table()
    assert {"array": "x", "quantity": "loads", "value": 54, "unit": "", "provenance": "counted"} in rows
    assert {row["provenance"] for row in rows if "L1" in row["quantity"]} == {"simulated"}
    assert {row["quantity"] for row in rows if not row["array"]} == {"flops"}
    text = str(count(sample.transpose, draw(6, 9), np.zeros((9, 6)), geometry=SMALL, by_line=True))
    assert "y[j, i] = x[i, j]" in text
    assert "L1 misses" in text


# trace


def test_a_trace_is_the_sequence_of_an_interpreter():
    x, y = draw(16, 9)[::2, ::-1], np.zeros((8, 9))
    tape = Tape(sample.stencil.py_func, x.copy(), y.copy())
    found = trace(sample.stencil, x, y, geometry=SMALL)
    assert [found.names[n] for n in found.array] == [name for name, *_ in tape.sequence]
    assert found.store.tolist() == [store for *_, store in tape.sequence]
    assert found.position(0) == (0, 1)  # x[i - 1, j] of the first point
    assert found.shapes == {"x": (8, 9), "y": (8, 9)}
    counted = count(sample.stencil, x, y, geometry=SMALL)
    assert int((found.level == 1).sum()) == counted.cache["L1"].misses.total
    assert dict(found.source)[int(found.line[0])].strip().startswith("y[i, j] = 0.25")
    assert len(found) == counted.accesses


def test_a_trace_of_local_arrays_and_one_that_is_too_long():
    found = trace(sample.tiles, draw(8), np.zeros(8))
    assert found.shapes["tile"] == (3,)
    assert set(found.index[found.array == 2].tolist()) == {0, 1, 2}
    assert set(found.level.tolist()) == {0}
    with pytest.raises(Exception, match="tiles makes more than 31 accesses: trace a smaller call"):
        trace(sample.tiles, draw(8), np.zeros(8), most=31)
    assert len(trace(sample.tiles, draw(8), np.zeros(8), most=32)) == 32


# builds on disk


def test_builds_do_not_pile_up_and_a_process_finds_what_another_compiled(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "MOST_BUILDS", 3)
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    for number in range(6):
        text = f"from numba import njit\n\n@njit(cache=True)\ndef f():\n    return {number}\n"
        assert build._import(f"k_{number}", text).f() == number
    folder = tmp_path / "counting"
    assert len(list(folder.glob("*.py"))) == 4
    assert {path.stem.split(".")[0] for path in folder.glob("__pycache__/*.nbi")} == {
        path.stem for path in folder.glob("*.py")
    }
    again = (
        "from workbench.counting.build import _import\n"
        f"f = _import('k_5', {text!r}).f\n"
        "assert f() == 5\n"
        "print(sum(f.stats.cache_hits.values()))"
    )
    done = subprocess.run([sys.executable, "-c", again], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


# random kernels

ELEMENTS = st.sampled_from(["x[i]", "y[i - 1]", "x[-1]", "A[i % 3, j]", "A[2, -j]", "s", "t"])


def expressions(depth=2):
    if depth == 0:
        return ELEMENTS
    inner = expressions(depth - 1)
    return st.one_of(
        ELEMENTS,
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner),
        st.builds("(-{})".format, inner),
        st.builds("({} if {} else {})".format, inner, conditions(depth - 1), inner),
    )


def conditions(depth=1):
    values = expressions(0)
    plain = st.one_of(
        st.builds("{} < {}".format, values, values), st.builds("{} < {} <= {}".format, values, values, values)
    )
    if depth == 0:
        return plain
    inner = conditions(depth - 1)
    return st.one_of(
        plain,
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("(not {})".format, inner),
    )


def blocks(depth=2, loops=0):
    def indented(lines):
        return "\n".join("    " + line for line in lines.split("\n"))

    simple = st.one_of(
        st.builds("{} = {}".format, ELEMENTS, expressions()),
        st.builds("{} {}= {}".format, ELEMENTS, st.sampled_from("+-*"), expressions()),
        st.builds("{}, {} = {}, {}".format, ELEMENTS, ELEMENTS, expressions(1), expressions(1)),
        st.sampled_from(["x[1:3] = y[2:4]", "A[:, 1] = x[:3]", "A[i % 3, 1:] = s", "x[::-1] = y"]),
        st.builds("if {}:\n    {}".format, conditions(), st.sampled_from(["break", "continue"]))
        if loops
        else st.builds("s = {}".format, expressions()),
    )
    if depth == 0:
        several = st.lists(simple, min_size=1, max_size=2)
    else:
        body = blocks(depth - 1, loops)
        turn = blocks(depth - 1, loops + 1)
        until = "for {} in range({}):\n{}\nelse:\n{}".format
        several = st.lists(
            st.one_of(
                simple,
                st.builds(
                    lambda c, a, b: f"if {c}:\n{indented(a)}\nelse:\n{indented(b)}", conditions(), body, body
                ),
                st.builds(
                    lambda v, n, a, b: until(v, n, indented(a), indented(b)),
                    st.sampled_from("ij"),
                    st.integers(0, 3),
                    turn,
                    body,
                ),
                st.builds(
                    lambda c, a: f"n = 0\nwhile n < 3 and {c}:\n    n += 1\n{indented(a)}\nelse:\n    t += s",
                    conditions(),
                    turn,
                ),
            ),
            min_size=1,
            max_size=2,
        )
    return several.map("\n".join)


KERNEL = "def k(x, y, A, s, t):\n    i = 1\n    j = 2\n    n = 0\n{}\n    return s - t\n"


def random_kernels():
    return blocks().map(lambda body: KERNEL.format("\n".join("    " + line for line in body.split("\n"))))


def random_arguments():
    return draw(4), draw(4, seed=1), draw(3, 4, seed=2), 0.25, 0.75


@settings(max_examples=150, deadline=None)
@given(random_kernels())
def test_the_normal_form_does_what_python_does(text):
    names: dict = {}
    exec(text, names)
    source = SimpleNamespace(
        tree=ast.parse(text).body[0],
        names=names,
        refuse=source_of(sample.dot).refuse,
        first_line=1,
    )
    normal_names: dict = {}
    exec(ast.unparse(normalize(source).tree), normal_names)
    ours, plain = random_arguments(), random_arguments()
    mine, python = Tape(normal_names["k"], *ours), Tape(names["k"], *plain)
    assert mine.ops == python.ops
    assert [(name, store) for name, _, store in mine.sequence] == [
        (name, store) for name, _, store in python.sequence
    ]
    np.testing.assert_array_equal(mine.result, python.result)
    for one, other in zip(ours[:3], plain[:3], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@settings(max_examples=3, deadline=None, database=None, derandomize=True)
@given(random_kernels())
def test_random_kernels_count_as_python_does(text):
    k = kernel_from("@kernel\n" + text, file=f"<random {hash(text)}>")
    ours, plain = random_arguments(), random_arguments()
    found, python = count(k, *ours), Tape(k.py_func, *plain)
    assert found.ops == {kind: n for kind, n in python.ops.items() if n}
    for counted, taped in ((found.loads, python.loads), (found.stores, python.stores)):
        assert {name: n for name, n in counted.items() if n} == taped
    np.testing.assert_array_equal(found.result, float(python.result))
    for one, other in zip(ours[:3], plain[:3], strict=True):
        np.testing.assert_array_equal(one, other)
