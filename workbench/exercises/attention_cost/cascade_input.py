"""A whole layer of heads that wait for each other: head h sees its split and what head h - 1 put out."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise

Case = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def cascade(
    x: np.ndarray, queries: np.ndarray, keys: np.ndarray, values: np.ndarray, project: np.ndarray
) -> np.ndarray:
    heads, dim, _ = queries.shape
    outputs: list[np.ndarray] = []
    for h, split in enumerate(np.split(x, heads)):
        seen = split + outputs[-1] if h else split
        scores = (queries[h] @ seen).T @ (keys[h] @ seen) / np.sqrt(dim)  # [queries, keys]
        outputs.append(values[h] @ seen @ _softmax(scores).T)
    return project @ np.maximum(np.concatenate(outputs), 0)


def token_by_token(x, queries, keys, values, project):
    """One query after the other; the scale goes into the query."""
    heads, dim, split = queries.shape
    tokens = x.shape[1]
    joined = np.zeros((heads * split, tokens))
    before = np.zeros((split, tokens))
    for j in range(heads):
        seen = x[j * split : (j + 1) * split] + before
        before = np.zeros((split, tokens))
        for t in range(tokens):
            query = queries[j] @ seen[:, t] / dim**0.5
            scores = np.array([query @ (keys[j] @ seen[:, s]) for s in range(tokens)])
            weights = np.exp(scores - scores.max())
            before[:, t] = values[j] @ (seen @ weights) / weights.sum()
        joined[j * split : (j + 1) * split] = before
    return project @ (joined * (joined > 0))


def from_behind(x, queries, keys, values, project):
    """A function that calls itself for the head before."""
    heads, dim, split = queries.shape

    def answer(j):
        seen = x[j * split : (j + 1) * split]
        if j:
            seen = seen + answer(j - 1)
        scores = np.einsum("dc,cs,de,et->ts", keys[j], seen, queries[j], seen) * dim**-0.5
        return np.einsum("oc,cs,ts->ot", values[j], seen, _softmax(scores))

    return project @ np.vstack([np.clip(answer(j), 0, None) for j in range(heads)])


def _softmax(scores: np.ndarray) -> np.ndarray:
    """Along the last axis."""
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _with(x, queries, keys, values, project, *, feed, softmax=None, relu=True):
    """The attention with another input: feed(j, splits, outputs) -> what head j sees."""
    heads, dim, _ = queries.shape
    softmax = softmax or (lambda scores, root: _softmax(scores / root))
    splits = np.split(x, heads)
    outputs: list[np.ndarray] = []
    for j in range(heads):
        seen = feed(j, splits, outputs) if j else splits[0]
        weights = softmax((queries[j] @ seen).T @ (keys[j] @ seen), np.sqrt(dim))
        outputs.append(values[j] @ seen @ weights.T)
    joined = np.concatenate(outputs)
    return project @ (np.maximum(joined, 0) if relu else joined)


def _right(j, splits, outputs):
    return splits[j] + outputs[-1]


def replaced(*case):
    return _with(*case, feed=lambda j, splits, outputs: outputs[-1])


def raw_split_added(*case):
    return _with(*case, feed=lambda j, splits, outputs: splits[j] + splits[j - 1])


def no_cascade(*case):
    return _with(*case, feed=lambda j, splits, outputs: splits[j])


def all_before(*case):
    return _with(*case, feed=lambda j, splits, outputs: splits[j] + sum(outputs))


def rectified_on_the_way(*case):
    return _with(*case, feed=lambda j, splits, outputs: splits[j] + np.maximum(outputs[-1], 0))


def projected_on_the_way(*case):
    project, split = case[4], case[1].shape[2]

    def feed(j, splits, outputs):
        own, before = slice(j * split, (j + 1) * split), slice((j - 1) * split, j * split)
        return splits[j] + project[own, before] @ np.maximum(outputs[-1], 0)

    return _with(*case, feed=feed)


def scaled_afterwards(*case):
    return _with(*case, feed=_right, softmax=lambda scores, root: _softmax(scores) / root)


def never_scaled(*case):
    return _with(*case, feed=_right, softmax=lambda scores, root: _softmax(scores))


def scaled_by_four(*case):
    return _with(*case, feed=_right, softmax=lambda scores, root: _softmax(scores / 4))


def over_queries(*case):
    return _with(*case, feed=_right, softmax=lambda scores, root: _softmax((scores / root).T).T)


def never_rectified(*case):
    return _with(*case, feed=_right, relu=False)


def _drawn(rng: np.random.Generator, heads: int, split: int, dim: int, tokens: int) -> Case:
    channels = heads * split
    shapes = ((channels, tokens), (heads, dim, split), (heads, dim, split), (heads, split, split))
    x, queries, keys, values = (rng.standard_normal(shape) for shape in shapes)
    return x, queries, keys, values, rng.standard_normal((channels, channels)) / np.sqrt(channels)


@st.composite
def layers(draw: st.DrawFn) -> Case:
    """A few heads of several widths on a few tokens; with one head there is nothing to cascade."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    sides = [draw(st.integers(low, high)) for low, high in ((1, 4), (1, 4), (1, 5), (1, 7))]
    return _drawn(rng, *sides)


RNG = np.random.default_rng(7)

EXERCISE = Exercise(
    "attention-cost/cascade-input",
    cascade,
    layers(),
    signature="cascade(x, queries, keys, values, project) -> out",
    ask="""
    `x` [channels, tokens] is cut into as many splits of equal size as there are heads: the first channels
    belong to head 0. Head h looks at its split plus what head h - 1 has put out (head 0 at its split alone).
    It makes queries by `queries[h]`, keys by `keys[h]` (both [dim, split]) and values by `values[h]`
    [split, split], each a matrix that multiplies what the head looks at. A score is the product of a query
    and a key, divided by the root of dim. Softmax over the keys gives the weights, and the head puts out for
    each query the weighted sum of the values: [split, tokens]. At the end join all outputs, set negative
    numbers to 0, and multiply by `project` [channels, channels] from the left. There are 1 or more heads,
    channels and tokens; all arrays are float64.
    """,
    examples=[
        _drawn(RNG, 3, 2, 4, 5),
        _drawn(RNG, 2, 3, 2, 4),
        _drawn(RNG, 4, 1, 3, 6),
        _drawn(RNG, 1, 2, 2, 3),
        _drawn(RNG, 3, 3, 2, 1),
    ],
    wrong_answers={
        "the output replaces the split": (
            replaced,
            "A head still sees channels of its own. What happens to split h in your function when h > 0?",
        ),
        "the raw split before is added": (
            raw_split_added,
            "Not what the head before has seen is handed on, but what it has made of it.",
        ),
        "the scale comes after the softmax": (
            scaled_afterwards,
            "The weights of one query must sum to 1. What do yours sum to?",
        ),
        "the projection comes before the next head": (
            projected_on_the_way,
            "`project` stands at the very end, after all heads. What is handed on is the head's own output.",
        ),
        "no head hears of another": (
            no_cascade,
            "These are groups without a cascade. What does head 1 get besides its split?",
        ),
        "all earlier outputs are added": (
            all_before,
            "Head 2 gets the output of head 1 alone. That of head 0 is in it already.",
        ),
        "the output is rectified on the way": (
            rectified_on_the_way,
            "Negative numbers become 0 only at the end, before `project`. The next head gets them all.",
        ),
        "the scale is missing": (
            never_scaled,
            "By the root of what are the scores divided before the softmax?",
        ),
        "the scale is 4 for every dim": (
            scaled_by_four,
            "In the lesson a query has 16 numbers. How many has it here? `queries` has the shape that tells.",
        ),
        "the softmax runs over the queries": (
            over_queries,
            "Each query shares out one whole among the keys. Along which axis do your weights sum to 1?",
        ),
        "negative outputs stay": (
            never_rectified,
            "One step is missing between joining the outputs and `project`.",
        ),
    },
    also_right=[token_by_token, from_behind],
    hints=[
        "Write one head first, as a function of what it sees: queries, keys, scores, softmax, values.",
        "Keep the last output in a variable. Before head 0 it is 0, and 0 may be added to any split.",
        "With columns as tokens: `q, k, v = queries[h] @ seen, keys[h] @ seen, values[h] @ seen`, then "
        "`weights = softmax(q.T @ k / np.sqrt(dim))` along the last axis, and the output is "
        "`v @ weights.T`.",
    ],
    explanation="""
    The sum keeps what belongs to the head and adds what the head before has found, so that the third head
    works on features that were mixed twice: depth without new weights. It is also why head h must wait. With
    all outputs, not the last one, it would be a different network, and with a projection on the way each
    head would pay for one.
    """,
    rtol=1e-9,
    atol=1e-9,
)
