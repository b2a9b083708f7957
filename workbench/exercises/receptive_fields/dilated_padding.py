"""A wide window in two thin steps, and the product with what came in: padding, dilation, gate."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise
from workbench.judge import profiles

Case = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]


def attend(
    x: np.ndarray, local: np.ndarray, dilated: np.ndarray, mix: np.ndarray, dilation: int
) -> np.ndarray:
    near = _filtered(x, local, 1)
    far = _filtered(near, dilated, dilation)
    return x * np.einsum("oc,chw->ohw", mix, far)


def pixel_by_pixel(x, local, dilated, mix, dilation):
    """Looks every tap up, and leaves out those that lie outside."""
    far = _looked_up(_looked_up(x, local, 1), dilated, dilation)
    return x * np.tensordot(mix, far, axes=1)


def by_spread_kernel(x, local, dilated, mix, dilation):
    """Writes the dilated kernel with its zeros, and then forgets about the dilation."""
    channels, taps, _ = dilated.shape
    side = dilation * (taps - 1) + 1
    spread = np.zeros((channels, side, side))
    spread[:, ::dilation, ::dilation] = dilated
    far = _filtered(_filtered(x, local, 1), spread, 1)
    return x * (mix @ far.reshape(channels, -1)).reshape(x.shape)


def _filtered(x: np.ndarray, w: np.ndarray, dilation: int, margin: int | None = None) -> np.ndarray:
    """Each channel of x [channels, height, width] with its own kernel of w [channels, k, k], to the same
    size.

    margin: how many zeros stand around the image; what is right keeps the middle of the kernel on the pixel.
    """
    (_, height, width), taps = x.shape, w.shape[1]
    half = dilation * (taps // 2)
    start = half - (half if margin is None else margin)
    room = 2 * half
    padded = np.pad(x, ((0, 0), (room, room), (room, room)))
    out = np.zeros(x.shape)
    for q in range(taps):
        for t in range(taps):
            row, column = room - half + start + q * dilation, room - half + start + t * dilation
            out += w[:, q, t, None, None] * padded[:, row : row + height, column : column + width]
    return out


def _looked_up(x, w, dilation):
    _, height, width = x.shape
    half, out = w.shape[1] // 2, np.zeros(x.shape)
    for i in range(height):
        for j in range(width):
            for q in range(w.shape[1]):
                for t in range(w.shape[2]):
                    row, column = i + (q - half) * dilation, j + (t - half) * dilation
                    if 0 <= row < height and 0 <= column < width:
                        out[:, i, j] += w[:, q, t] * x[:, row, column]
    return out


def _gate(x, local, dilated, mix, dilation):
    return np.einsum("oc,chw->ohw", mix, _filtered(_filtered(x, local, 1), dilated, dilation))


def padding_without_dilation(x, local, dilated, mix, dilation):
    """As many zeros as a kernel without gaps needs, 3 for 7 taps: the window slides off its pixel."""
    far = _filtered(_filtered(x, local, 1), dilated, dilation, margin=dilated.shape[1] // 2)
    return x * np.einsum("oc,chw->ohw", mix, far)


def no_dilation(x, local, dilated, mix, dilation):
    return attend(x, local, dilated, mix, 1)


def dilated_twice(x, local, dilated, mix, dilation):
    far = _filtered(_filtered(x, local, dilation), dilated, dilation)
    return x * np.einsum("oc,chw->ohw", mix, far)


def squeezed(x, local, dilated, mix, dilation):
    return x / (1 + np.exp(-np.clip(_gate(x, local, dilated, mix, dilation), -500, 500)))


def softmax_over_pixels(x, local, dilated, mix, dilation):
    gate = _gate(x, local, dilated, mix, dilation)
    weights = np.exp(gate - gate.max(axis=(1, 2), keepdims=True))
    return x * weights / weights.sum(axis=(1, 2), keepdims=True)


def added(x, local, dilated, mix, dilation):
    return x + _gate(x, local, dilated, mix, dilation)


def gate_alone(x, local, dilated, mix, dilation):
    return _gate(x, local, dilated, mix, dilation)


def projected_input(x, local, dilated, mix, dilation):
    return np.einsum("oc,chw->ohw", mix, x) * _gate(x, local, dilated, mix, dilation)


def local_features(x, local, dilated, mix, dilation):
    return _filtered(x, local, 1) * _gate(x, local, dilated, mix, dilation)


def mix_transposed(x, local, dilated, mix, dilation):
    return attend(x, local, dilated, mix.T, dilation)


@st.composite
def features(
    draw: st.DrawFn,
) -> Case:
    """Maps smaller and larger than the window, with kernels and gaps of several sizes."""
    channels = draw(st.integers(1, 3))
    shape = (channels, *draw(profiles.shapes(2, most=12)))
    near, far = draw(st.sampled_from((1, 3, 5))), draw(st.sampled_from((3, 5)))
    shapes = ((channels, near, near), (channels, far, far), (channels, channels))
    weights = [draw(profiles.arrays(s, profiles=("mixed",))) for s in shapes]
    x = draw(profiles.arrays(shape, profiles=("mixed", "positive", "spikes")))
    return x, weights[0], weights[1], weights[2], draw(st.integers(1, 4))


def _example(channels: int, height: int, width: int, local: int, taps: int, dilation: int) -> Case:
    rng = np.random.default_rng(channels + height)
    shapes = (
        (channels, height, width),
        (channels, local, local),
        (channels, taps, taps),
        (channels, channels),
    )
    x, near, far, mix = (rng.standard_normal(shape) for shape in shapes)
    return x, near, far, mix, dilation


EXERCISE = Exercise(
    "receptive-fields/dilated-padding",
    attend,
    features(),
    signature="attend(x, local, dilated, mix, dilation) -> out",
    ask="""
    `x` [channels, height, width] holds features. Filter each channel with its own kernel of `local`
    [channels, k, k], then with its own kernel of `dilated` [channels, t, t], whose taps lie `dilation` pixels
    apart. k and t are odd, kernels are centred and not flipped, outside of the map there are zeros, and the
    size stays. Then mix the channels at every pixel: output channel o is the sum over c of `mix[o, c]` times
    channel c. Return the features `x` multiplied by this gate.
    """,
    examples=[
        _example(2, 9, 8, 5, 7, 3),
        _example(1, 5, 5, 3, 3, 2),
        _example(3, 4, 7, 1, 3, 4),
        _example(2, 1, 1, 3, 3, 2),
        _example(2, 12, 10, 3, 5, 1),
    ],
    wrong_answers={
        "padding as if there were no gaps": (
            padding_without_dilation,
            "Seven taps, three pixels apart, reach 9 pixels to either side of the middle one. How many zeros "
            "keep the middle on its pixel?",
        ),
        "the dilation is forgotten": (
            no_dilation,
            "Neighbouring taps of the second kernel lie `dilation` pixels apart. Which pixel does the last "
            "of them see?",
        ),
        "both steps are dilated": (
            dilated_twice,
            "The first kernel fills the gaps of the second, so it has none itself.",
        ),
        "the gate is squeezed into 0 to 1": (
            squeezed,
            "Attention often ends in a sigmoid. This one does not: the gate multiplies as it is, with its "
            "sign.",
        ),
        "the gate sums to 1 over the map": (
            softmax_over_pixels,
            "Attention often ends in a softmax. This one does not: the gate multiplies as it is, with its "
            "sign.",
        ),
        "the gate is added": (
            added,
            "A gate lets through or holds back. Which operation does that to a feature?",
        ),
        "the gate itself is returned": (
            gate_alone,
            "The last step is missing: what does the gate do to `x`?",
        ),
        "the gate meets the mixed input": (
            projected_input,
            "`mix` belongs to the gate alone. What is multiplied is `x` as it came.",
        ),
        "the gate meets the filtered input": (
            local_features,
            "What is multiplied is `x` as it came, not what the first step made of it.",
        ),
        "mix is read the wrong way round": (
            mix_transposed,
            "Row o of `mix` says how much of each channel goes into output channel o.",
        ),
    },
    also_right=[pixel_by_pixel, by_spread_kernel],
    hints=[
        "Write one helper for both steps: `filtered(x, w, gap)`. The first step has a gap of 1.",
        "A kernel of t taps with gaps reaches `gap * (t // 2)` pixels to either side: so many zeros go "
        "around.",
        "Tap (q, s) then sees the padded map from row `q * gap` and column `s * gap` on. Add all of them, "
        "weighted. `np.einsum('oc,chw->ohw', mix, far)` mixes the channels; multiply `x` by it.",
    ],
    explanation="""
    The last tap of t lies `gap * (t - 1)` pixels behind the first, and half of that on either side of the
    middle. Fewer zeros shrink the map or shift the window. The first kernel has no gaps and is at least as
    wide as the gaps of the second, so that together they see a square without holes. The product makes the
    layer depend on its input twice: it is quadratic in x, and no fixed kernel equals it.
    """,
    rtol=1e-9,
    atol=1e-9,
)
