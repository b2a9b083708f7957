"""What one layer does to the size, jump, receptive field and start of a stack."""

from hypothesis import strategies as st

from workbench.exercises import Exercise

Step = tuple[int, int, int, float]


def step(
    n: int, jump: int, field: int, start: float, kernel: int, stride: int, padding: int, dilation: int
) -> Step:
    reach = dilation * (kernel - 1)
    n = (n + 2 * padding - reach - 1) // stride + 1
    field = field + reach * jump
    start = start + (reach / 2 - padding) * jump
    jump = jump * stride
    return n, jump, field, start


def by_edges(
    n: int, jump: int, field: int, start: float, kernel: int, stride: int, padding: int, dilation: int
) -> Step:
    """Follows the two edges of what the first output sees instead of its centre and width."""
    last_tap = dilation * (kernel - 1) - padding
    left = start - (field - 1) / 2 - padding * jump
    right = start + (field - 1) / 2 + last_tap * jump
    outputs = range(-padding, n + padding - dilation * (kernel - 1), stride)
    return len(outputs), jump * stride, round(right - left) + 1, (left + right) / 2


def field_without_jump(n, jump, field, start, kernel, stride, padding, dilation):
    n, new_jump, _, start = step(n, jump, field, start, kernel, stride, padding, dilation)
    return n, new_jump, field + dilation * (kernel - 1), start


def start_without_jump(n, jump, field, start, kernel, stride, padding, dilation):
    n, jump, field, _ = step(n, jump, field, start, kernel, stride, padding, dilation)
    return n, jump, field, start + dilation * (kernel - 1) / 2 - padding


def jump_never_used(n, jump, field, start, kernel, stride, padding, dilation):
    n, new_jump, _, _ = step(n, jump, field, start, kernel, stride, padding, dilation)
    reach = dilation * (kernel - 1)
    return n, new_jump, field + reach, start + reach / 2 - padding


def jump_multiplied_first(n, jump, field, start, kernel, stride, padding, dilation):
    jump = jump * stride
    n, _, field, start = step(n, jump, field, start, kernel, stride, padding, dilation)
    return n, jump, field, start


def padding_in_size_only(n, jump, field, start, kernel, stride, padding, dilation):
    n, new_jump, field, _ = step(n, jump, field, start, kernel, stride, padding, dilation)
    return n, new_jump, field, start + dilation * (kernel - 1) / 2 * jump


def kernel_as_reach(n, jump, field, start, kernel, stride, padding, dilation):
    n, new_jump, _, start = step(n, jump, field, start, kernel, stride, padding, dilation)
    return n, new_jump, field + dilation * kernel * jump, start


def dilation_forgotten(n, jump, field, start, kernel, stride, padding, dilation):
    return step(n, jump, field, start, kernel, stride, padding, 1)


def size_rounded_up(n, jump, field, start, kernel, stride, padding, dilation):
    _, new_jump, field, start = step(n, jump, field, start, kernel, stride, padding, dilation)
    return -(-(n + 2 * padding - dilation * (kernel - 1) - 1) // stride) + 1, new_jump, field, start


@st.composite
def layers(draw: st.DrawFn) -> tuple[int, int, int, float, int, int, int, int]:
    """A stack so far and one more layer that still fits into it."""
    kernel, stride, dilation = draw(st.integers(1, 7)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    padding = draw(st.integers(0, 4))
    smallest = max(1, dilation * (kernel - 1) + 1 - 2 * padding)
    n = draw(st.integers(smallest, smallest + 40))
    jump, field = draw(st.sampled_from((1, 2, 3, 4, 8))), draw(st.integers(1, 50))
    start = draw(st.integers(-20, 20)) / 2
    return n, jump, field, start, kernel, stride, padding, dilation


EXERCISE = Exercise(
    "receptive-fields/step",
    step,
    layers(),
    signature="step(n, jump, field, start, kernel, stride, padding, dilation) -> (n, jump, field, start)",
    ask="""
    Along one axis, a stack has `n` outputs so far. Neighbours lie `jump` input pixels apart, each sees
    `field` input pixels, and the first is centred at `start`, where 0 is the centre of the first pixel.
    Return the four numbers after one more layer. `padding` pixels are added on both sides.
    """,
    examples=[
        (32, 1, 1, 0.0, 3, 1, 1, 1),
        (32, 1, 1, 0.0, 1, 1, 0, 1),
        (32, 2, 5, 0.5, 1, 2, 0, 1),
        (33, 4, 9, 1.5, 3, 2, 0, 2),
        (1, 8, 31, -3.5, 2, 2, 1, 1),
    ],
    wrong_answers={
        "the field grows without the jump": (
            field_without_jump,
            "Two taps that are neighbours in this layer are `jump` pixels apart in the image. Which term "
            "lacks it?",
        ),
        "the start moves without the jump": (
            start_without_jump,
            "The centre moves by some number of this layer's inputs. How many image pixels is one of them?",
        ),
        "the jump is never used": (
            jump_never_used,
            "`kernel`, `padding` and `dilation` count this layer's inputs, but `field` and `start` count "
            "image pixels. What converts one into the other?",
        ),
        "the jump is multiplied before it is used": (
            jump_multiplied_first,
            "The taps of this layer step over its inputs, and the stride only spaces its outputs. "
            "Which of the two jumps belongs to the taps?",
        ),
        "padding enters the size, but not the start": (
            padding_in_size_only,
            "With padding the first window begins outside of the image. Where does its centre go?",
        ),
        "the whole kernel counts as reach": (
            kernel_as_reach,
            "A 1×1 layer sees nothing new. How many steps lie between the first and the last of `kernel` "
            "taps?",
        ),
        "dilation is forgotten": (
            dilation_forgotten,
            "Dilated taps are spread out. How far is the last tap from the first one?",
        ),
        "the size is rounded up": (
            size_rounded_up,
            "A last window that does not fit is dropped. Which way does the division round?",
        ),
    },
    also_right=[by_edges],
    hints=[
        "Write down the distance from the first tap to the last, in inputs of this layer: call it `reach`.",
        "The first window begins `padding` inputs before the first one; its centre is `reach / 2` further.",
        "Distances in the image are this layer's times the old `jump`; multiply `jump` itself last.",
    ],
    explanation="""
    The last tap lies `reach = dilation * (kernel - 1)` inputs behind the first. In the image this is
    `reach * jump` pixels, by which the field grows. The centre of the first window lies `reach / 2 - padding`
    inputs from the first input. Only the outputs feel the stride, so the jump is multiplied at the end.
    """,
    rtol=0,
    atol=1e-9,
)
