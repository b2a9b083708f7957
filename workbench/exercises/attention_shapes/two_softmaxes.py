"""Gather pixels into slots, let the slots talk, and deal them out again: one matrix, two softmaxes."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise

Case = tuple[np.ndarray, np.ndarray, float, np.ndarray]


def slot_mix(x: np.ndarray, starts: np.ndarray, scale: float, talk: np.ndarray) -> np.ndarray:
    logits = scale * _unit(starts) @ _unit(x).T  # [slots, pixels]
    gathered = _softmax(logits, 1) @ x
    return _softmax(logits, 0).T @ (talk @ gathered)


def pixel_by_pixel(x, starts, scale, talk):
    """Loops; every sum by hand."""
    pixels, slots = len(x), len(starts)
    logits = np.zeros((slots, pixels))
    for k in range(slots):
        for j in range(pixels):
            lengths = np.linalg.norm(starts[k]) * np.linalg.norm(x[j])
            logits[k, j] = scale * (starts[k] @ x[j]) / lengths
    powers = np.exp(logits)  # cosines are small: nothing overflows
    gathered = np.stack([(p[:, None] * x).sum(0) / p.sum() for p in powers])
    mixed = np.einsum("kl,ld->kd", talk, gathered)
    out = np.zeros_like(x)
    for j in range(pixels):
        out[j] = powers[:, j] @ mixed / powers[:, j].sum()
    return out


def as_one_matrix(x, starts, scale, talk):
    """The product of the three matrices first; it is an attention matrix [pixels, pixels]."""
    cosines = np.einsum("kd,jd->kj", starts, x)
    cosines /= np.outer(np.sqrt((starts**2).sum(1)), np.sqrt((x**2).sum(1)))
    gathers, deals = _softmax(scale * cosines, 1), _softmax(scale * cosines.T, 1)
    return (deals @ talk @ gathers) @ x


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _softmax(logits: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def _with(x, starts, scale, talk, *, gather=1, deal=0, logits=None, slots=None, again=None):
    """The mixing with other axes, other logits, other slots, or with logits made anew for the dealing."""
    L = scale * _unit(starts) @ _unit(x).T if logits is None else logits
    gathered = _softmax(L, gather) @ x if slots is None else slots
    mixed = talk @ gathered
    if again is not None:
        L = scale * _unit(again(gathered, mixed)) @ _unit(x).T
    return _softmax(L, deal).T @ mixed


def pixels_twice(*case):
    return _with(*case, deal=1)


def slots_twice(*case):
    return _with(*case, gather=0)


def exchanged(*case):
    return _with(*case, gather=0, deal=1)


def scored_anew(*case):
    return _with(*case, again=lambda gathered, mixed: mixed)


def scored_anew_before(*case):
    return _with(*case, again=lambda gathered, mixed: gathered)


def dot_product(x, starts, scale, talk):
    return _with(x, starts, scale, talk, logits=scale * starts @ x.T)


def only_pooled(x, starts, scale, talk):
    return _with(x, starts, scale, talk, slots=starts)


def never_scaled(x, starts, scale, talk):
    return _with(x, starts, 1.0, talk)


def silent(x, starts, scale, talk):
    return _with(x, starts, scale, np.eye(len(talk)))


def _drawn(rng: np.random.Generator, pixels: int, slots: int, d: int, scale: float) -> Case:
    x, starts = rng.standard_normal((pixels, d)), rng.standard_normal((slots, d))
    return x, starts, scale, _softmax(rng.standard_normal((slots, slots)), 1)


@st.composite
def mixings(draw: st.DrawFn) -> Case:
    """Few pixels and slots, from none of the heat to much."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    pixels, slots, d = draw(st.integers(1, 7)), draw(st.integers(1, 5)), draw(st.integers(1, 4))
    return _drawn(rng, pixels, slots, d, draw(st.sampled_from([0.0, 0.2, 1.0, 3.0, 8.0])))


RNG = np.random.default_rng(8)

EXERCISE = Exercise(
    "attention-shapes/two-softmaxes",
    slot_mix,
    mixings(),
    signature="slot_mix(x, starts, scale, talk) -> out",
    ask="""
    `x` [pixels, d] are the pixels of an image, `starts` [slots, d] what the slots begin as, `scale` a number
    of 0 or more. The logit of a slot and a pixel is `scale` times the cosine of its start and the pixel.
    A softmax over the pixels gives the weights with which each slot gathers: it becomes the weighted mean of
    the pixels. Then the slots talk: `talk` [slots, slots] multiplies the gathered slots from the left (it
    stands for the attention among them). A softmax over the slots *of the same logits* gives the weights
    with which each pixel gets slots back. Return the new pixels, [pixels, d]. There is at least one pixel,
    one slot and one number in each; no vector is all zeros; arrays are float64.
    """,
    examples=[
        _drawn(RNG, 6, 3, 4, 2.0),
        _drawn(RNG, 5, 4, 3, 8.0),
        _drawn(RNG, 1, 3, 2, 1.0),
        _drawn(RNG, 4, 1, 3, 1.0),
        _drawn(RNG, 3, 3, 3, 3.0),
    ],
    wrong_answers={
        "both softmaxes run over the pixels": (
            pixels_twice,
            "Feed in pixels that are all ones, and let no slot talk. Do you get ones back? A pixel's weights "
            "over the slots must sum to 1.",
        ),
        "both softmaxes run over the slots": (
            slots_twice,
            "A slot is a mean of pixels: over which axis must its weights sum to 1?",
        ),
        "the two axes are exchanged": (
            exchanged,
            "Each softmax is there, but each in the other's place. Which weights belong to one slot?",
        ),
        "logits are made anew from the slots that have talked": (
            scored_anew,
            "The dealing has no logits of its own. It takes those that the pixels were gathered with.",
        ),
        "logits are made anew from the gathered slots": (
            scored_anew_before,
            "This would be the next round of a clustering. Here the logits are made once, from the starts.",
        ),
        "a dot product in the place of the cosine": (
            dot_product,
            "Multiply a pixel by 10. May its logits change?",
        ),
        "slots stay what they began as": (
            only_pooled,
            "The starts serve to find the pixels. What is dealt out is what the slots have gathered.",
        ),
        "the scale is missing": (never_scaled, "With a scale of 0 every pixel must get the same."),
        "the slots do not talk": (silent, "Between gathering and dealing `talk` has its place."),
    },
    also_right=[pixel_by_pixel, as_one_matrix],
    hints=[
        "Make all vectors of length 1 first; then cosines are one matrix product, [slots, pixels].",
        "Use the logits twice: a softmax along axis 1 to gather, one along axis 0 to deal.",
        "`gathered = softmax(L, axis=1) @ x`, `mixed = talk @ gathered`, and at last "
        "`softmax(L, axis=0).T @ mixed`.",
    ],
    explanation="""
    One matrix of logits serves both ways, so a pixel gets back from the slots that it gave to. The product of
    the three matrices is an attention matrix between pixels whose rank is at most the number of slots, and
    which is never made. With logits of its own the dealing would need another product for every pixel, and
    nothing would tie a pixel to its own slot.
    """,
    rtol=1e-9,
    atol=1e-9,
)
