"""`count` against valgrind's cachegrind, an independent simulator, on twins of five kernels written in C."""

import numpy as np
import pytest

from tests.counting import sample_kernels as sample
from tests.counting.cachegrind import cachegrind, compile_twin, require_valgrind
from workbench.counting import Geometry, Level, count

KiB = 1024
GEOMETRIES = {
    "small": Geometry([Level(4 * KiB, 4), Level(64 * KiB, 8)]),
    "direct": Geometry([Level(8 * KiB, 1), Level(32 * KiB, 16)]),
}


def square(n):
    return np.zeros((n, n))


TWINS = {
    "triad": (sample.triad, 20_000, lambda n: (np.zeros(n), np.zeros(n), np.zeros(n), 3.0)),
    "transpose": (sample.transpose, 130, lambda n: (square(n), square(n))),
    "matmul_ikj": (sample.matmul_ikj, 60, lambda n: (square(n), square(n), square(n))),
    "blocked": (sample.blocked, 72, lambda n: (square(n), square(n), square(n), 24)),
    "stencil": (sample.stencil, 150, lambda n: (square(n), square(n))),
}


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_misses_are_those_of_cachegrind(name, geometry, tmp_path):
    """Within 1 %: a compiled twin also keeps a register or two on the stack."""
    require_valgrind()
    dispatcher, n, arguments = TWINS[name]
    found = count(dispatcher, *arguments(n), geometry=GEOMETRIES[geometry])
    truth = cachegrind(compile_twin(name, n, tmp_path), GEOMETRIES[geometry])
    assert found.loads.total == pytest.approx(truth["Dr"], rel=0.01)
    assert found.stores.total == pytest.approx(truth["Dw"], rel=0.01)
    assert found.cache["L1"].misses.total == pytest.approx(truth["D1mr"] + truth["D1mw"], rel=0.01)
    assert found.cache["L2"].misses.total == pytest.approx(truth["DLmr"] + truth["DLmw"], rel=0.01)
