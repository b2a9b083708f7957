"""How far does a head look? The mean distance from a query to its keys, on the grid of an image."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise


def map_distance(A: np.ndarray, height: int, width: int) -> np.ndarray:
    y, x = np.divmod(np.arange(height * width), width)
    apart = np.hypot(y[:, None] - y, x[:, None] - x)
    return (A * apart).sum(axis=2).mean(axis=1)


def by_loops(A: np.ndarray, height: int, width: int) -> np.ndarray:
    """Query by query and key by key."""
    far = np.zeros(len(A))
    for head, rows in enumerate(A):
        for query, row in enumerate(rows):
            for key, weight in enumerate(row):
                down = query // width - key // width
                across = query % width - key % width
                far[head] += weight * (down * down + across * across) ** 0.5
    return far / A.shape[1]


def by_places(A: np.ndarray, height: int, width: int) -> np.ndarray:
    """Distances as lengths of complex differences, and one product of matrices for all heads."""
    rows, columns = np.indices((height, width))
    place = (rows + 1j * columns).ravel()
    apart = np.abs(place[:, None] - place[None, :])
    return np.einsum("hqk,qk->h", A, apart) / len(place)


def _apart(height, width):
    y, x = np.divmod(np.arange(height * width), width)
    return np.hypot(y[:, None] - y, x[:, None] - x)


def along_the_sequence(A, height, width):
    token = np.arange(height * width)
    return (A * np.abs(token[:, None] - token)).sum(axis=2).mean(axis=1)


def to_the_mean_place(A, height, width):
    y, x = np.divmod(np.arange(height * width), width)
    return np.hypot(A @ y - y, A @ x - x).mean(axis=1)


def to_the_largest(A, height, width):
    best = A.argmax(axis=2)
    return np.take_along_axis(_apart(height, width)[None], best[:, :, None], axis=2)[..., 0].mean(axis=1)


def steps(A, height, width):
    y, x = np.divmod(np.arange(height * width), width)
    apart = np.abs(y[:, None] - y) + np.abs(x[:, None] - x)
    return (A * apart).sum(axis=2).mean(axis=1)


def squared(A, height, width):
    return (A * _apart(height, width) ** 2).sum(axis=2).mean(axis=1)


def root_of_the_mean_square(A, height, width):
    return np.sqrt(squared(A, height, width))


def turned(A, height, width):
    y, x = np.divmod(np.arange(height * width), height)
    apart = np.hypot(y[:, None] - y, x[:, None] - x)
    return (A * apart).sum(axis=2).mean(axis=1)


def without_the_weights(A, height, width):
    return ((A > 0) * _apart(height, width)).sum(axis=2).mean(axis=1)


def mean_over_pairs(A, height, width):
    return (A * _apart(height, width)).mean(axis=(1, 2))


def summed_over_queries(A, height, width):
    return (A * _apart(height, width)).sum(axis=(1, 2))


def one_for_all_heads(A, height, width):
    return np.full(len(A), map_distance(A, height, width).mean())


@st.composite
def maps(draw: st.DrawFn) -> tuple[np.ndarray, int, int]:
    """Rows that sum to 1, sharp ones and even ones, on small grids of any shape."""
    height, width = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    heads, tokens = draw(st.integers(1, 3)), height * width
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = generator.normal(size=(heads, tokens, tokens)) * draw(st.sampled_from((0.0, 1.0, 5.0)))
    weights = np.exp(scores)
    return weights / weights.sum(axis=2, keepdims=True), height, width


def _fixed(height: int, width: int, heads: int = 2) -> tuple[np.ndarray, int, int]:
    weights = np.random.default_rng(height + 10 * width).random((heads, height * width, height * width)) ** 4
    return weights / weights.sum(axis=2, keepdims=True), height, width


EXERCISE = Exercise(
    "attention-cost/map-distance",
    map_distance,
    maps(),
    signature="map_distance(A, height, width) -> [heads]",
    ask="""
    `A` [heads, tokens, tokens] holds attention maps: `A[h, i, j]` is the weight of key j in the row of
    query i, and every row sums to 1. The tokens are patches of an image of `height` rows and `width`
    columns of patches, row by row: token t lies in row t // width, column t % width. The distance of two
    tokens is the length of the straight line between them, in patches. Return for each head the mean over
    its queries of the distance that a row has on average, its weights being the shares.
    """,
    examples=[
        _fixed(3, 4),
        _fixed(4, 3),
        (np.eye(6)[None], 2, 3),
        (np.full((1, 8, 8), 1 / 8), 2, 4),
        (np.eye(6)[None, ::-1].copy(), 3, 2),
        (np.ones((2, 1, 1)), 1, 1),
        _fixed(1, 5),
        _fixed(5, 1),
    ],
    wrong_answers={
        "distance along the sequence": (
            along_the_sequence,
            "Tokens that follow each other may lie at the two sides of the image. In which row and column is "
            "each?",
        ),
        "distance to the mean place": (
            to_the_mean_place,
            "A head that looks at both sides alike has its mean place in the middle, but it looks far. First "
            "the distances, then their mean.",
        ),
        "distance to the key of largest weight": (
            to_the_largest,
            "The largest weight may be a small part of a row. All keys count, each with its weight.",
        ),
        "steps down and across are added": (
            steps,
            "From one patch to the next along the diagonal: is that a straight line of length 2?",
        ),
        "squared distances": (
            squared,
            "Squares make far keys count for more. The answer is a length, in patches.",
        ),
        "root of the mean square": (
            root_of_the_mean_square,
            "The root of a mean of squares is not the mean of the distances. Take the root first.",
        ),
        "rows and columns exchanged": (
            turned,
            "Row by row: how many tokens does a row have, height or width?",
        ),
        "all keys that have a weight count alike": (
            without_the_weights,
            "A key with a hundredth of the weight counts a hundredth. Multiply the distances by A.",
        ),
        "mean over all pairs": (
            mean_over_pairs,
            "The weights of a row sum to 1, so its weighted mean is a sum. Only the queries are averaged.",
        ),
        "sum over the queries": (
            summed_over_queries,
            "A larger image would give a larger distance for the same look. What becomes of the queries?",
        ),
        "one number for all heads": (
            one_for_all_heads,
            "Heads differ: one number for each is asked for.",
        ),
    },
    also_right=[by_loops, by_places],
    hints=[
        "Find the row and the column of every token: `np.divmod(np.arange(height * width), width)`.",
        "The distances of all pairs: `np.hypot(y[:, None] - y, x[:, None] - x)`, [tokens, tokens].",
        "Multiply A by that matrix, sum over the keys (axis 2), and take the mean over the queries (axis 1).",
    ],
    explanation="""
    A row of A is a distribution over keys, so the sum of weight times distance is the distance to expect
    from it. Looking left and right alike counts as looking far: distances are averaged, places are not.
    """,
    rtol=0,
    atol=1e-9,
)
