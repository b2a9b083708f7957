"""What a placing of convolutions and transformers costs, read off one line of letters."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise

Case = tuple[str, int, int]


def cost(placing: str, side: int, width: int) -> int:
    total = 0
    for number, blocks in enumerate(placing.split("|")):
        n, d = (side // 2**number) ** 2, width * 2**number
        for block in blocks:
            total += n * (8 * d**2 + 36 * d) if block == "C" else 12 * n * d**2 + 2 * n**2 * d
    return total


def letter_by_letter(placing, side, width):
    """One walk over the line; a bar changes the map."""
    total, pixels, channels = 0, side * side, width
    for letter in placing:
        if letter == "|":
            pixels //= 4
            channels *= 2
        elif letter == "C":
            wide = 4 * channels
            total += pixels * channels * wide + 9 * pixels * wide + pixels * wide * channels
        else:
            projections, hidden = 4 * pixels * channels * channels, 8 * pixels * channels * channels
            total += projections + hidden + pixels * pixels * channels + pixels * pixels * channels
    return total


def as_sums(placing, side, width):
    """Blocks are counted, not walked over."""
    stages = placing.split("|")
    n = side**2 / 4.0 ** np.arange(len(stages))
    d = width * 2.0 ** np.arange(len(stages))
    convs = np.array([stage.count("C") for stage in stages])
    transformers = np.array([stage.count("T") for stage in stages])
    return int((convs * n * d * (8 * d + 36) + transformers * n * d * (12 * d + 2 * n)).sum())


def _with(placing, side, width, *, pairs=2, power=2, grows=2, shrinks=2, projections=12, taps=36):
    total = 0
    for number, blocks in enumerate(placing.split("|")):
        n, d = max(side // shrinks**number, 1) ** 2, width * grows**number
        conv = n * (8 * d**2 + taps * d)
        total += blocks.count("C") * conv
        total += blocks.count("T") * (projections * n * d**2 + pairs * n**power * d)
    return total


def linear_attention(*case):
    return _with(*case, power=1)


def same_channels(*case):
    return _with(*case, grows=1)


def no_feed_forward(*case):
    return _with(*case, projections=4)


def no_projections(*case):
    return _with(*case, projections=8)


def one_product(*case):
    return _with(*case, pairs=1)


def same_side(*case):
    return _with(*case, shrinks=1)


def quartered_side(*case):
    return _with(*case, shrinks=4)


def no_taps(*case):
    return _with(*case, taps=0)


def narrow_taps(*case):
    return _with(*case, taps=9)


def side_for_pixels(placing, side, width):
    total = 0
    for number, blocks in enumerate(placing.split("|")):
        n, d = side // 2**number, width * 2**number
        total += blocks.count("C") * n * (8 * d**2 + 36 * d)
        total += blocks.count("T") * (12 * n * d**2 + 2 * n**2 * d)
    return total


@st.composite
def placings(draw: st.DrawFn) -> Case:
    """One to four stages of one to four blocks; the side can be halved often enough."""
    stages = draw(st.lists(st.text("CT", min_size=1, max_size=4), min_size=1, max_size=4))
    side = draw(st.integers(1, 5)) * 2 ** (len(stages) - 1)
    return "|".join(stages), side, draw(st.integers(1, 24))


EXERCISE = Exercise(
    "attention-shapes/cost-of-a-placing",
    cost,
    placings(),
    signature="cost(placing, side, width) -> multiply_adds",
    ask="""
    `placing` is a line such as `"CC|CT"`: stages between bars, each a row of blocks C and T. The first stage
    works on side × side pixels with `width` channels. From each stage to the next the side halves and the
    channels double. With n pixels and d channels in a stage, return the multiply-adds of all blocks together:

    * C: a 1 × 1 convolution to 4 d channels, a depthwise 3 × 3 on these (each channel by itself, 9 taps a
      pixel), a 1 × 1 back to d.
    * T: four projections d to d for every pixel (queries, keys, values, output); a score for every pair of
      pixels, which is d multiply-adds, and again d for the weighted sum of the values; a feed-forward
      with two 1 × 1 layers, d to 4 d and back.

    Leave out all the rest. There are 1 to 4 stages of 1 to 4 blocks; the side can be halved as often as
    needed; all numbers are whole, and so is the answer, an int.
    """,
    examples=[
        ("CC|TT", 16, 16),
        ("TT|CC", 16, 16),
        ("C", 2, 3),
        ("T", 1, 1),
        ("CCC|CCC|CCT|TTT", 56, 8),
        ("CT|TC|T", 8, 5),
    ],
    wrong_answers={
        "attention grows with the pixels, not with their square": (
            linear_attention,
            "How many pairs are there of n pixels?",
        ),
        "the channels never double": (
            same_channels,
            "The second stage is half as wide and half as high. What about its channels?",
        ),
        "a T without its feed-forward": (
            no_feed_forward,
            "A T has two parts. The one that sees single pixels costs 8 n d² by itself.",
        ),
        "a T without its projections": (
            no_projections,
            "Queries, keys, values and the output are made by matrices, d by d for every pixel.",
        ),
        "scores without the sums of values": (
            one_product,
            "Each pair of pixels is used twice: for its score, and to add a share of a value.",
        ),
        "the map never shrinks": (same_side, "What does a bar do to the side of the map?"),
        "the side is quartered": (
            quartered_side,
            "The *pixels* become a quarter, because both sides become a half.",
        ),
        "the taps of C are missing": (
            no_taps,
            "Between its two 1 × 1 convolutions a C looks at 3 × 3 pixels.",
        ),
        "the taps of C run over d channels": (
            narrow_taps,
            "Where the depthwise convolution stands, there are 4 d channels.",
        ),
        "the side stands for the pixels": (side_for_pixels, "A map of side 16 has 256 pixels."),
    },
    also_right=[letter_by_letter, as_sums],
    hints=[
        "Split the line at its bars. Stage i, from 0, has `(side // 2**i) ** 2` pixels and `width * 2**i` "
        "channels.",
        "For n pixels and d channels a C costs n (d · 4d + 9 · 4d + 4d · d).",
        "A T costs 4 n d² for projections, 2 n² d for pairs, and 8 n d² for the feed-forward.",
    ],
    explanation="""
    From stage to stage n becomes a quarter and d twice: n d² stays, so the 1 x 1 layers of C and T cost the
    same in every stage; the 36 n d of the taps halves. n² d becomes an eighth. So it is the pairs of a T that
    care where it stands, and by the third bar they cost 512 times less.
    """,
)
