"""An inverse by products alone, with a first step that is safe and a way back that skips the loop."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise

Case = tuple[np.ndarray, np.ndarray, int]
Pair = tuple[np.ndarray, np.ndarray]
RIDGE = 0.01


def inverse_by_products(A: np.ndarray, G: np.ndarray, iterations: int) -> Pair:
    B = A + RIDGE * np.eye(len(A))
    V = 0.9 * 2 / A.sum(axis=1).max() ** 2 * B
    for _ in range(iterations):
        V = 2 * V - V @ B @ V
    return V, -V.T @ G @ V.T


def by_what_is_left(A, G, iterations):
    """The same iteration as V (I + R), where R = I - B V is what is left to do."""
    m = len(A)
    B, V = np.copy(A), np.zeros((m, m))
    B[np.arange(m), np.arange(m)] += RIDGE
    V += 1.8 * B / np.max(np.sum(A, axis=0)) ** 2  # A is symmetric
    for _ in range(iterations):
        V = V @ (2 * np.eye(m) - B @ V)
    return V, -(V @ (G @ V))


def by_eigenvalues(A, G, iterations):
    """Every eigenvalue b of B goes its own way: v <- 2 v - b v²."""
    b, U = np.linalg.eigh(A + RIDGE * np.eye(len(A)))
    v = 1.8 / np.sum(A, axis=1).max() ** 2 * b
    for _ in range(iterations):
        v = 2 * v - b * v * v
    V = (U * v) @ U.T
    return V, -np.einsum("ji,jk,lk->il", V, G, V)


def _with(A, G, iterations, factor=0.9, base=None, inverted=None, start=None, sign=-1.0):
    """The solution with one of its parts exchanged."""
    B = A + RIDGE * np.eye(len(A)) if inverted is None else inverted
    rows = (A if base is None else base).sum(axis=1).max()
    V = 2 * factor / rows**2 * (B if start is None else start)
    for _ in range(iterations):
        V = 2 * V - V @ B @ V
    return V, sign * V.T @ G @ V.T


def too_bold(A, G, iterations):
    return _with(A, G, iterations, factor=1.0)


def through_the_loop(A, G, iterations):
    """The derivative of every pass, one after the other, with α as a constant."""
    B = A + RIDGE * np.eye(len(A))
    alpha = 1.8 / A.sum(axis=1).max() ** 2
    steps = [alpha * B]
    for _ in range(iterations):
        steps.append(2 * steps[-1] - steps[-1] @ B @ steps[-1])
    by_v, by_b = G, np.zeros_like(A)
    for V in steps[-2::-1]:
        by_b = by_b - V.T @ by_v @ V.T
        by_v = 2 * by_v - by_v @ (B @ V).T - (V @ B).T @ by_v
    return steps[-1], by_b + alpha * by_v


def ridge_in_the_step_only(A, G, iterations):
    ridged = A + RIDGE * np.eye(len(A))
    return _with(A, G, iterations, base=ridged, inverted=A)


def step_from_the_ridged(A, G, iterations):
    return _with(A, G, iterations, base=A + RIDGE * np.eye(len(A)))


def no_ridge(A, G, iterations):
    return _with(A, G, iterations, inverted=A)


def rows_divided(A, G, iterations):
    rows = A / A.sum(axis=1, keepdims=True)
    return _with(rows, G, iterations)


def starts_without_ridge(A, G, iterations):
    return _with(A, G, iterations, start=A)


def one_pass_too_few(A, G, iterations):
    return _with(A, G, iterations - 1)


def sign_forgotten(A, G, iterations):
    return _with(A, G, iterations, sign=1.0)


def exact(A, G, iterations):
    V = np.linalg.inv(A + RIDGE * np.eye(len(A)))
    return V, -V.T @ G @ V.T


def _drawn(rng: np.random.Generator, m: int, dim: int, spread: float, iterations: int) -> Case:
    x = spread * rng.standard_normal((m, dim))
    A = np.exp(-np.square(x[:, None] - x).sum(axis=2) / 2)
    return A, rng.standard_normal((m, m)), iterations


@st.composite
def similarities(draw: st.DrawFn) -> Case:
    """Gaussian similarities of a few points, from nearly all alike to nearly none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    m, dim = draw(st.integers(1, 7)), draw(st.integers(1, 4))
    return _drawn(rng, m, dim, draw(st.sampled_from([0.3, 1.0, 3.0])), draw(st.integers(1, 20)))


RNG = np.random.default_rng(8)

EXERCISE = Exercise(
    "attention-shapes/inverse-by-products",
    inverse_by_products,
    similarities(),
    signature="inverse_by_products(A, G, iterations) -> (V, dA)",
    ask="""
    `A` [m, m] holds the Gaussian similarities of m landmarks: symmetric, with ones on its diagonal. Let
    B be `A` plus 0.01 times the identity. Start with V = α B, where α is 0.9 * 2 over the square of the
    largest row sum of `A`. Then replace V by 2 V - V B V, `iterations` times (1 or more). Return V, and the
    derivative by `A` of a loss whose derivative by V is `G` [m, m]: take V as the exact inverse of B and use
    the rule for inverses, -Vᵀ G Vᵀ. There are 1 or more landmarks; all arrays are float64.
    """,
    examples=[
        _drawn(RNG, 4, 2, 1.0, 5),
        _drawn(RNG, 3, 3, 3.0, 3),
        _drawn(RNG, 5, 1, 0.3, 20),
        _drawn(RNG, 1, 2, 1.0, 2),
        _drawn(RNG, 6, 4, 1.0, 1),
    ],
    wrong_answers={
        "the first step is too long": (
            too_bold,
            "Without the 0.9, where does an eigenvalue as large as the row sum go? Follow it by hand.",
        ),
        "the derivative goes through the loop": (
            through_the_loop,
            "That keeps the V of every pass. The derivative needs the last V alone.",
        ),
        "the ridge is in the step, not in the matrix": (
            ridge_in_the_step_only,
            "Which matrix is inverted, and which one gives the row sum? You have exchanged them.",
        ),
        "the row sum has the ridge in it": (
            step_from_the_ridged,
            "The largest row sum is that of `A`, before anything is added to its diagonal.",
        ),
        "there is no ridge": (
            no_ridge,
            "What is added to the diagonal of `A` before the iteration?",
        ),
        "rows are divided by their sums": (
            rows_divided,
            "This method lives from not doing that: is your matrix still symmetric?",
        ),
        "the first guess has no ridge": (
            starts_without_ridge,
            "V begins as α times B, not as α times `A`.",
        ),
        "one pass is missing": (
            one_pass_too_few,
            "Count the passes: the first guess is none of them.",
        ),
        "the sign of the derivative": (
            sign_forgotten,
            "For one number: what is the derivative of 1 / x?",
        ),
        "the exact inverse": (
            exact,
            "You did not iterate. After few passes V is not yet the inverse, and both results show it.",
        ),
    },
    also_right=[by_what_is_left, by_eigenvalues],
    hints=[
        "Make B first: `B = A + 0.01 * np.eye(len(A))`. The row sums are `A.sum(axis=1)`.",
        "The loop has one line: `V = 2 * V - V @ B @ V`.",
        "The second result is one line, too, after the loop: `-V.T @ G @ V.T`.",
    ],
    explanation="""
    No eigenvalue of a matrix without negative numbers exceeds its largest row sum λ. So the eigenvalues of
    α B B lie between 0 and 1.8 and a bit, less than 1 away from 1, and each pass squares that distance. The
    rule for the derivative holds for the exact inverse, so it may be used as soon as V is close; nothing of
    the loop has to be kept.
    """,
    rtol=1e-7,
    atol=1e-9,
)
