"""One image through a convolution whose kernels are products of one-way filters, factor by factor."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise
from workbench.judge import profiles

Case = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def along(x: np.ndarray, taps: np.ndarray, axis: int) -> np.ndarray:
    """Every line of x along one axis, with as many zeros on either side as the middle tap needs."""
    reach = len(taps) // 2
    room = [(0, 0)] * x.ndim
    room[axis] = (reach, reach)
    padded = np.pad(x, room)
    sides = [np.take(padded, range(t, t + x.shape[axis]), axis) for t in range(len(taps))]
    return np.tensordot(taps, np.array(sides), axes=1)


def forward(
    x: np.ndarray, mix: np.ndarray, down: np.ndarray, across: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    y = np.zeros((len(mix), *x.shape[1:]))
    for o in range(len(mix)):
        for r in range(mix.shape[1]):
            one = np.tensordot(mix[o, r], x, axes=1)
            y[o] += along(along(one, down[o, r], 0), across[o, r], 1)
        y[o] += bias[o]
    return y


def composed(x, mix, down, across, bias):
    """Builds the kernels first."""
    kernel = np.einsum("ori,ory,orx->oiyx", mix, down, across)
    ky, kx = kernel.shape[2:]
    padded = np.pad(x, ((0, 0), (ky // 2, ky // 2), (kx // 2, kx // 2)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (ky, kx), axis=(1, 2))
    return np.einsum("oiyx,ihwyx->ohw", kernel, windows) + bias[:, None, None]


def all_at_once(x, mix, down, across, bias):
    """Columns before rows, all outputs and terms together."""
    h = np.einsum("ori,ihw->orhw", mix, x)
    kx, ky = across.shape[-1], down.shape[-1]
    h = np.pad(h, ((0, 0), (0, 0), (0, 0), (kx // 2, kx // 2)))
    h = np.einsum("orx,orhwx->orhw", across, np.lib.stride_tricks.sliding_window_view(h, kx, axis=3))
    h = np.pad(h, ((0, 0), (0, 0), (ky // 2, ky // 2), (0, 0)))
    h = np.einsum("ory,orhwy->ohw", down, np.lib.stride_tricks.sliding_window_view(h, ky, axis=2))
    return h + bias[:, None, None]


def shared_by_outputs(x, mix, down, across, bias):
    same_down, same_across = (np.broadcast_to(part[:1], part.shape) for part in (down, across))
    return forward(x, mix, same_down, same_across, bias)


def summed_too_early(x, mix, down, across, bias):
    """Adds up the terms before the last filter, and then has one filter for all of them."""
    y = np.zeros((len(mix), *x.shape[1:]))
    for o in range(len(mix)):
        terms = [along(np.tensordot(m, x, axes=1), d, 0) for m, d in zip(mix[o], down[o], strict=True)]
        y[o] = along(np.sum(terms, axis=0), across[o].sum(0), 1) + bias[o]
    return y


def to_one_side(x, mix, down, across, bias):
    """All zeros come before the first pixel."""

    def late(h, taps, axis):
        room = [(0, 0)] * h.ndim
        room[axis] = (len(taps) - 1, 0)
        padded = np.pad(h, room)
        sides = [np.take(padded, range(t, t + h.shape[axis]), axis) for t in range(len(taps))]
        return sum(tap * side for tap, side in zip(taps, sides, strict=True))

    y = np.zeros((len(mix), *x.shape[1:]))
    for o in range(len(mix)):
        for m, d, a in zip(mix[o], down[o], across[o], strict=True):
            y[o] += late(late(np.tensordot(m, x, axes=1), d, 0), a, 1)
        y[o] += bias[o]
    return y


def bias_after_every_factor(x, mix, down, across, bias):
    y = np.zeros((len(mix), *x.shape[1:]))
    for o in range(len(mix)):
        for m, d, a in zip(mix[o], down[o], across[o], strict=True):
            one = np.tensordot(m, x, axes=1) + bias[o]
            y[o] += along(along(one, d, 0) + bias[o], a, 1) + bias[o]
    return y


def bias_of_every_term(x, mix, down, across, bias):
    return forward(x, mix, down, across, mix.shape[1] * bias)


def first_term_alone(x, mix, down, across, bias):
    return forward(x, mix[:, :1], down[:, :1], across[:, :1], bias)


def turned(x, mix, down, across, bias):
    return forward(x, mix, down[..., ::-1], across[..., ::-1], bias)


def axes_swapped(x, mix, down, across, bias):
    return forward(x, mix, across, down, bias)


@st.composite
def layers(draw: st.DrawFn) -> Case:
    """Small odd kernels, seldom square; several outputs and terms, so that mistakes show."""
    height, width = draw(st.integers(2, 6)), draw(st.integers(2, 6))
    inputs, outputs, rank = draw(st.integers(1, 3)), draw(st.integers(2, 3)), draw(st.integers(1, 3))
    ky, kx = draw(st.sampled_from((1, 3, 5))), draw(st.sampled_from((1, 3, 5)))
    kinds = ("mixed", "positive", "spikes")
    x = draw(profiles.arrays((inputs, height, width), profiles=kinds))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    shapes = (outputs, rank, inputs), (outputs, rank, ky), (outputs, rank, kx), (outputs,)
    mix, down, across, bias = (rng.standard_normal(shape) for shape in shapes)
    return x, mix, down, across, bias


POINT = np.zeros((1, 5, 5))
POINT[0, 2, 2] = 1
TWO = np.arange(40.0).reshape(2, 4, 5) % 7
STEP = np.array([[[1.0, 2.0, 4.0], [1.0, 0.0, -1.0]], [[0.0, 3.0, 1.0], [2.0, 1.0, 5.0]]])

EXERCISE = Exercise(
    "filter-distributions/factored-forward",
    forward,
    layers(),
    signature="forward(x, mix, down, across, bias) -> array",
    ask="""
    `x` [inputs, height, width] meets a convolution whose kernels are sums of products,
    K[o, i, y, x] = sum over r of mix[o, r, i] * down[o, r, y] * across[o, r, x]. The filters are `mix`
    [outputs, rank, inputs], `down` [outputs, rank, ky] and `across` [outputs, rank, kx]; ky and kx are odd.
    Return the answer [outputs, height, width] by the thin filters alone: for each output and each term, mix
    the channels, filter along the rows' axis (axis 0 of the mixed image) with `down`, then along the other
    axis with `across`. Add up the terms, and add `bias` [outputs]. Outside the image everything is zero, the
    middle tap lies on the pixel itself, and no filter is flipped.
    """,
    examples=[
        (POINT, np.ones((2, 1, 1)), STEP[:, :1], STEP[::-1, 1:], np.array([0.0, 100.0])),
        (TWO, STEP[..., :2], STEP, STEP[::-1] + 1, np.array([0.5, -0.25])),
        (TWO, STEP[..., 1:], STEP[..., :1], STEP[::-1], np.array([1.0, 2.0])),
        (
            TWO[:1, :1, :1],
            STEP[..., :1] + 1,
            np.concatenate([STEP, STEP[..., :2]], 2),
            STEP,
            np.array([3.0, 0.0]),
        ),
    ],
    wrong_answers={
        "one pair of filters for all outputs": (
            shared_by_outputs,
            "Every output has rows and columns of its own. With shared ones this is another layer, called "
            "depthwise-separable.",
        ),
        "the terms are added before the last filter": (
            summed_too_early,
            "A sum of products is not a product of sums. When may the terms be added?",
        ),
        "the filters are not centred": (
            to_one_side,
            "The middle tap lies on the pixel itself. How many zeros does each side need?",
        ),
        "the bias comes with every factor": (
            bias_after_every_factor,
            "Three filters in turn stand for one convolution. How often does a convolution add its bias?",
        ),
        "the bias comes with every term": (
            bias_of_every_term,
            "The terms are parts of one kernel. The bias belongs to the output, not to its parts.",
        ),
        "the first term alone": (
            first_term_alone,
            "With rank 1 there is one term. Here there may be more: where is the loop over r?",
        ),
        "the filters are flipped": (
            turned,
            "Layers of neural networks do not flip: the first tap meets the pixel that comes first. "
            "np.convolve flips.",
        ),
        "rows and columns are swapped": (
            axes_swapped,
            "`down` runs from row to row, which is the first of the two axes of an image.",
        ),
    },
    also_right=[composed, all_at_once],
    hints=[
        "Begin with one output and one term: a mixed image [height, width], filtered twice.",
        "A filter along one axis: pad with k // 2 zeros on both sides of that axis, and add up k shifted "
        "copies, each times its tap.",
        "`np.tensordot(mix[o, r], x, axes=1)` mixes the channels. `y[o] += both_filters(...)` inside two "
        "loops, over o and r; `+ bias[o]` once, outside of the loop over r.",
    ],
    explanation="""
    A product kernel can be applied factor by factor, in any order, because each factor works on an axis of
    its own. Terms may be added only after the last factor that differs from term to term.
    """,
    rtol=1e-7,
    atol=1e-8,
)
