"""Which tiles are worth a try: those that fit the registers and divide the work."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise


def kept(tiles: np.ndarray, m: int, n: int, registers: int, edges: bool) -> np.ndarray:
    mr, nv = np.asarray(tiles).T
    fits = mr * nv + nv + 1 <= registers
    divides = (m % mr == 0) & (n % (4 * nv) == 0)
    smaller = (mr <= m) & (nv <= -(-n // 4))
    return fits & (divides | (edges & smaller))


def one_by_one(tiles: np.ndarray, m: int, n: int, registers: int, edges: bool) -> np.ndarray:
    """Lists the registers by name, and tries to cut C into tiles."""
    answers = []
    for mr, nv in np.asarray(tiles).tolist():
        names = [f"sum {row} {v}" for row in range(mr) for v in range(nv)]
        names += [f"b {v}" for v in range(nv)] + ["a"]
        rows, columns = range(0, m, mr), range(0, n, 4 * nv)
        covers = rows[-1] + mr == m and columns[-1] + 4 * nv == n
        if edges:
            covers = mr <= m and 4 * (nv - 1) < n
        answers.append(len(names) <= registers and covers)
    return np.array(answers)


def filtered(
    tiles: np.ndarray, m: int, n: int, registers: int, edges: bool, needed: np.ndarray, lanes: int = 4
) -> np.ndarray:
    """The filter with another count of registers or another width of a vector."""
    mr, nv = np.asarray(tiles).T
    divides = (m % mr == 0) & (n % (lanes * nv) == 0)
    smaller = (mr <= m) & (nv <= -(-n // 4))
    return (needed <= registers) & (divides | (edges & smaller))


def only_sums(tiles, m, n, registers, edges):
    mr, nv = np.asarray(tiles).T
    return filtered(tiles, m, n, registers, edges, mr * nv)


def without_b(tiles, m, n, registers, edges):
    mr, nv = np.asarray(tiles).T
    return filtered(tiles, m, n, registers, edges, mr * nv + 1)


def without_a(tiles, m, n, registers, edges):
    mr, nv = np.asarray(tiles).T
    return filtered(tiles, m, n, registers, edges, mr * nv + nv)


def all_of_a(tiles, m, n, registers, edges):
    mr, nv = np.asarray(tiles).T
    return filtered(tiles, m, n, registers, edges, mr * nv + nv + mr)


def scalars(tiles, m, n, registers, edges):
    mr, nv = np.asarray(tiles).T
    return filtered(tiles, m, n, registers, edges, 4 * (mr * nv + nv) + 1)


def one_left_free(tiles, m, n, registers, edges):
    mr, nv = np.asarray(tiles).T
    return filtered(tiles, m, n, registers, edges, mr * nv + nv + 2)


def vectors_for_columns(tiles, m, n, registers, edges):
    mr, nv = np.asarray(tiles).T
    return filtered(tiles, m, n, registers, edges, mr * nv + nv + 1, lanes=1)


def always_edges(tiles, m, n, registers, edges):
    return kept(tiles, m, n, registers, True)


def rows_may_be_left(tiles, m, n, registers, edges):
    mr, nv = np.asarray(tiles).T
    whole = kept(tiles, m, n, registers, edges)
    return whole | ((mr * nv + nv + 1 <= registers) & (n % (4 * nv) == 0) & (mr <= m))


def never_edges(tiles, m, n, registers, edges):
    return kept(tiles, m, n, registers, False)


def larger_than_the_work(tiles, m, n, registers, edges):
    mr, nv = np.asarray(tiles).T
    return kept(tiles, m, n, registers, False) | (edges & (mr * nv + nv + 1 <= registers))


@st.composite
def spaces(draw: st.DrawFn) -> tuple[np.ndarray, int, int, int, bool]:
    """Sizes that some tiles divide and some do not, and tiles on both sides of the budget."""
    registers = draw(st.sampled_from([16, 32]))
    m = draw(st.sampled_from([1, 2, 3, 5, 6, 8, 12, 32, 128]))
    n = draw(st.sampled_from([4, 8, 12, 16, 20, 24, 48, 96, 384, 6, 30]))
    pairs = st.tuples(st.integers(1, 8), st.integers(1, 8))
    tiles = draw(st.lists(pairs, min_size=1, max_size=24))
    return np.array(tiles, np.int64), m, n, registers, draw(st.booleans())


GRID = np.array([(mr, nv) for mr in range(1, 9) for nv in range(1, 9)])

EXERCISE = Exercise(
    "roofline/register-budget",
    kept,
    spaces(),
    signature="kept(tiles, m, n, registers, edges) -> bool [count]",
    ask="""
    A kernel computes C [m, n] = A · B in float32. A vector register holds 4 floats. For a tile of `mr`
    rows and `nv` vectors, the kernel holds in registers, all at once: the sums, `mr` rows of `nv`
    vectors each; one row of B, `nv` vectors; and one number of A, copied to the 4 lanes of one register.

    `tiles` [count, 2] is an int64 array of pairs (mr, nv), both from 1 on. Return a bool array [count]:
    whether each tile is worth a try. It must not need more than `registers` registers. And it must
    divide C: `mr` divides m, and the `4 · nv` columns of the tile divide n. If `edges` is True, the
    kernel has smaller tiles for what is left over. Then it is enough that the tile is no larger than C:
    `mr` at most m, `nv` at most the number of vectors that a row of C needs, n / 4 rounded up.
    """,
    examples=[
        (GRID, 128, 384, 16, False),
        (GRID, 128, 384, 32, False),
        (GRID, 128, 384, 16, True),
        (GRID, 5, 30, 16, True),
        (GRID, 5, 30, 16, False),
        (GRID, 12, 96, 16, False),
        (GRID, 2, 8, 32, True),
        (np.array([(4, 3)]), 128, 384, 16, False),
        (np.array([(7, 4)]), 7, 16, 32, False),
    ],
    wrong_answers={
        "only the sums are counted": (
            only_sums,
            "What the sums are made of must be somewhere too. Which vectors meet in a multiplication?",
        ),
        "the row of B is forgotten": (
            without_b,
            "Each step multiplies with a row of B as wide as the tile. Where is it?",
        ),
        "the number of A is forgotten": (
            without_a,
            "A number of A is copied to all lanes before it is multiplied. That copy needs a register.",
        ),
        "a register for each row of A": (
            all_of_a,
            "The rows take turns: once a number of A has met the whole row of B, its register is free.",
        ),
        "numbers are counted instead of vectors": (
            scalars,
            "One register holds four floats. Count registers, not numbers.",
        ),
        "a tile that just fits is thrown away": (
            one_left_free,
            "It must not need *more* than there are. Exactly as many is allowed.",
        ),
        "vectors are taken for columns": (
            vectors_for_columns,
            "`nv` counts vectors. How many columns of C does a tile cover?",
        ),
        "what does not divide is kept without smaller tiles": (
            always_edges,
            "If nothing computes what is left over, parts of C stay empty. When are there smaller tiles?",
        ),
        "rows are left over without smaller tiles": (
            rows_may_be_left,
            "The columns divide, but do the rows? What is left over needs a smaller tile, and `edges` says "
            "whether there is one.",
        ),
        "smaller tiles are not used": (
            never_edges,
            "With `edges` a tile need not divide C: smaller ones do the rest.",
        ),
        "a tile may be larger than C": (
            larger_than_the_work,
            "With `edges` a tile may leave a rest, but if it is larger than C, it never runs at all.",
        ),
    },
    also_right=[one_by_one],
    hints=[
        "Take the columns apart first: `mr, nv = tiles.T`. Then say everything for all tiles at once.",
        "The registers: `mr · nv` for the sums, `nv` for the row of B, 1 for the number of A.",
        "Two conditions are joined by *and*: the registers fit, and the tile either divides C or, with "
        "`edges`, is no larger than C.",
    ],
    explanation="""
    A number that does not fit into a register is written to memory and read again, in the innermost
    loop. So a tile beyond the budget pays for each step. And among those that fit, the largest
    does the most multiplications for each load. That is why a few dozen tiles are enough.
    """,
)
