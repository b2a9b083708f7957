"""Mixing along columns, then along rows, with channels tied together in rafts."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise

Case = tuple[np.ndarray, int, np.ndarray, np.ndarray]


def raft_mix(x: np.ndarray, raft: int, vertical: np.ndarray, horizontal: np.ndarray) -> np.ndarray:
    channels, height, width = x.shape
    blocks = (raft, channels // raft, height, width)
    lines = _normed(x).reshape(blocks).transpose(1, 3, 0, 2).reshape(-1, width, raft * height) @ vertical
    x = x + lines.reshape(-1, width, raft, height).transpose(2, 0, 3, 1).reshape(x.shape)
    lines = _normed(x).reshape(blocks).transpose(1, 2, 0, 3).reshape(-1, height, raft * width) @ horizontal
    return x + lines.reshape(-1, height, raft, width).transpose(2, 0, 1, 3).reshape(x.shape)


def line_by_line(x, raft, vertical, horizontal):
    """One raft and one column after the other, and the same on the transposed map for rows."""
    for matrix in (vertical, horizontal):
        normed, out = _normed(x), x.copy()
        step = len(x) // raft
        for place in range(step):
            for column in range(x.shape[2]):
                members = range(place, len(x), step)
                line = np.concatenate([normed[c, :, column] for c in members]) @ matrix
                for c, piece in zip(members, np.split(line, raft), strict=True):
                    out[c, :, column] += piece
        x = out.transpose(0, 2, 1)
    return x


def by_sums(x, raft, vertical, horizontal):
    """The matrices cut into raft x raft squares; a square says what one block gives to another."""
    channels, height, width = x.shape
    down = vertical.reshape(raft, height, raft, height)
    across = horizontal.reshape(raft, width, raft, width)
    blocks = (raft, channels // raft, height, width)
    x = x + np.einsum("rphw,rhsg->spgw", _normed(x).reshape(blocks), down).reshape(x.shape)
    return x + np.einsum("rphw,rwsv->sphv", _normed(x).reshape(blocks), across).reshape(x.shape)


def _normed(x: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1 over the channels of each token."""
    centred = x - x.mean(0)
    return centred / np.sqrt(centred.var(0) + 1e-6)


def _along(x, raft, matrix, axis, *, normed=None, order="blocks", whole=True):
    """What one axis adds. order: "blocks" or "pairs" (channels that follow each other are tied)."""
    y = _normed(x) if normed is None else normed
    if axis == "rows":
        return _along(
            x.transpose(0, 2, 1),
            raft,
            matrix,
            "columns",
            normed=y.transpose(0, 2, 1),
            order=order,
            whole=whole,
        ).transpose(0, 2, 1)
    height, width = y.shape[1:]
    cut = (raft, -1, height, width) if order == "blocks" else (-1, raft, height, width)
    blocks = y.reshape(cut) if order == "blocks" else y.reshape(cut).swapaxes(0, 1)
    squares = matrix.reshape(raft, height, raft, height)
    if not whole:  # a block gives to itself alone
        squares = squares * np.eye(raft)[:, None, :, None]
    mixed = np.einsum("rphw,rhsg->spgw", blocks, squares)
    return (mixed if order == "blocks" else mixed.swapaxes(0, 1)).reshape(y.shape)


def neighbours_tied(x, raft, vertical, horizontal):
    x = x + _along(x, raft, vertical, "columns", order="pairs")
    return x + _along(x, raft, horizontal, "rows", order="pairs")


def norm_of_the_raft(x, raft, vertical, horizontal):
    def normed(x):
        blocks = x.reshape(raft, -1, *x.shape[1:])
        centred = blocks - blocks.mean(0)
        return (centred / np.sqrt(centred.var(0) + 1e-6)).reshape(x.shape)

    x = x + _along(x, raft, vertical, "columns", normed=normed(x))
    return x + _along(x, raft, horizontal, "rows", normed=normed(x))


def vertical_twice(x, raft, vertical, horizontal):
    x = x + _along(x, raft, vertical, "columns")
    return x + _along(x, raft, vertical, "columns")


def groups(x, raft, vertical, horizontal):
    x = x + _along(x, raft, vertical, "columns", whole=False)
    return x + _along(x, raft, horizontal, "rows", whole=False)


def no_shortcut(x, raft, vertical, horizontal):
    x = _along(x, raft, vertical, "columns")
    return _along(x, raft, horizontal, "rows")


def one_norm(x, raft, vertical, horizontal):
    between = _normed(x) + _along(x, raft, vertical, "columns")
    y = x + _along(x, raft, vertical, "columns")
    return y + _along(y, raft, horizontal, "rows", normed=between)


def side_by_side(x, raft, vertical, horizontal):
    return x + _along(x, raft, vertical, "columns") + _along(x, raft, horizontal, "rows")


def rows_first(x, raft, vertical, horizontal):
    x = x + _along(x, raft, horizontal, "rows")
    return x + _along(x, raft, vertical, "columns")


def _drawn(rng: np.random.Generator, raft: int, places: int, height: int, width: int) -> Case:
    x = rng.standard_normal((raft * places, height, width))
    matrices = [rng.standard_normal((raft * n, raft * n)) / np.sqrt(raft * n) for n in (height, width)]
    return x, raft, matrices[0], matrices[1]


@st.composite
def maps(draw: st.DrawFn) -> Case:
    """Small maps, square or not, with one raft or several; a raft of 1 ties nothing."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    raft, places = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return _drawn(rng, raft, places, draw(st.integers(1, 4)), draw(st.integers(1, 4)))


RNG = np.random.default_rng(4)

EXERCISE = Exercise(
    "attention-shapes/raft-reshape",
    raft_mix,
    maps(),
    signature="raft_mix(x, raft, vertical, horizontal) -> out",
    ask="""
    `x` [channels, height, width], float64. `raft` divides the channels. Cut the channels into `raft` blocks
    of equal size, in their order; a raft is made of one channel of each block, those with the same place in
    their blocks. First along columns: norm x, and for every raft and every column write the raft's numbers
    in one line, block after block, from top to bottom in each: raft * height numbers. Multiply the line by
    `vertical` from the right, write what comes out back to the same places, and add it to x. Then along
    rows: the same with the new x, from left to right, with `horizontal`. To norm means: at each token, over
    all channels, take the mean off and divide by the root of the variance plus 1e-6. Do not change `x`.
    """,
    examples=[
        _drawn(RNG, 2, 3, 4, 3),
        _drawn(RNG, 3, 2, 2, 2),
        _drawn(RNG, 1, 4, 3, 5),
        _drawn(RNG, 2, 1, 2, 4),
        _drawn(RNG, 2, 2, 3, 3),
    ],
    wrong_answers={
        "channels that follow each other are tied": (
            neighbours_tied,
            "With 6 channels and rafts of 2, channel 0 is tied to channel 3, not to channel 1. In which "
            "order do the two numbers stand in your reshape?",
        ),
        "the norm sees the raft alone": (
            norm_of_the_raft,
            "The norm at a token is over all its channels, not over those of one raft.",
        ),
        "columns are mixed twice": (
            vertical_twice,
            "The second step runs along rows, with `horizontal`.",
        ),
        "each block is mixed alone": (
            groups,
            "Blocks are not groups: what one channel of a raft puts out depends on the others in the raft, "
            "by the off-diagonal squares of the matrix.",
        ),
        "the shortcut is missing": (
            no_shortcut,
            "What each axis finds is added to what was there.",
        ),
        "the second norm is missing": (
            one_norm,
            "Before the rows are mixed, the new x is normed once more.",
        ),
        "rows do not see what the columns did": (
            side_by_side,
            "The rows are mixed after the columns, and start from the new x, not from the first one.",
        ),
        "rows come first": (
            rows_first,
            "Columns come first. Both orders reach all tokens, but their numbers differ.",
        ),
    },
    also_right=[line_by_line, by_sums],
    hints=[
        "Write the norm first; then the columns alone, for a raft of 1, where each channel is on its own.",
        "`x.reshape(raft, channels // raft, height, width)` has the blocks first. A line needs the block and "
        "the row as its last two axes.",
        "Columns: `.transpose(1, 3, 0, 2).reshape(-1, width, raft * height) @ vertical`. The way back is "
        "`.reshape(-1, width, raft, height).transpose(2, 0, 3, 1)`.",
    ],
    explanation="""
    A raft makes a line longer, and the matrix larger by the square of its size; the channels do not count.
    Rafts of 1 let each channel mix its tokens by the same table. With rafts of r there are r * r tables:
    what a token of block a gives to one of block b.
    """,
    rtol=1e-9,
    atol=1e-9,
)
