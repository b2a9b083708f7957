"""The rule that catches a cheat: when may a kernel be called right?"""

from collections.abc import Callable

import numpy as np

from workbench.exercises import Exercise

Kernel = Callable[[np.ndarray], np.ndarray]
Case = tuple[Kernel, Kernel, list[np.ndarray]]
NEAR = 1e-4


def accepts(kernel: Kernel, reference: Kernel, inputs: list[np.ndarray]) -> bool:
    for x in inputs:
        wanted = reference(x.copy())
        came = kernel(x.copy())
        if came.shape != wanted.shape:
            return False
        if not (np.abs(came - wanted) <= NEAR * np.abs(wanted).max()).all():
            return False
    return True


def all_at_once(kernel: Kernel, reference: Kernel, inputs: list[np.ndarray]) -> bool:
    """The worst number of each input, NaN counted as infinitely far."""

    def distance(x: np.ndarray) -> float:
        came, wanted = kernel(x.copy()), reference(x.copy())
        if came.shape != wanted.shape:
            return np.inf
        off = np.abs(came - wanted).max()
        size = np.abs(wanted).max()
        return float(np.inf if np.isnan(off) or np.isnan(size) else off - NEAR * size)

    return max(map(distance, inputs)) <= 0


def by_loops(kernel: Kernel, reference: Kernel, inputs: list[np.ndarray]) -> bool:
    for x in inputs:
        came, wanted = kernel(np.array(x)), reference(np.array(x))
        if came.ndim != wanted.ndim or list(came.shape) != list(wanted.shape):
            return False
        most = max(abs(float(w)) for w in wanted.ravel())
        for c, w in zip(came.ravel(), wanted.ravel(), strict=True):
            if np.isnan(c) or np.isnan(w) or abs(float(c) - float(w)) > NEAR * most:
                return False
    return True


def one_shape(kernel, reference, inputs):
    return accepts(kernel, reference, inputs[:1])


def shared_memory(kernel, reference, inputs):
    for x in inputs:
        x = x.copy()
        came = kernel(x)
        wanted = reference(x)
        if came.shape != wanted.shape or not (np.abs(came - wanted) <= NEAR * np.abs(wanted).max()).all():
            return False
    return True


def two_nans_are_equal(kernel, reference, inputs):
    for x in inputs:
        wanted, came = reference(x.copy()), kernel(x.copy())
        if came.shape != wanted.shape:
            return False
        most = np.nanmax(np.abs(wanted), initial=0.0)
        if not np.allclose(came, wanted, rtol=0, atol=NEAR * most, equal_nan=True):
            return False
    return True


def nothing_is_too_far(kernel, reference, inputs):
    for x in inputs:
        wanted, came = reference(x.copy()), kernel(x.copy())
        if came.shape != wanted.shape or (np.abs(came - wanted) > NEAR * np.abs(wanted).max()).any():
            return False
    return True


def the_same_bits(kernel, reference, inputs):
    return all(np.array_equal(kernel(x.copy()), reference(x.copy())) for x in inputs)


def any_shape(kernel, reference, inputs):
    for x in inputs:
        wanted, came = reference(x.copy()), kernel(x.copy())
        try:
            if not (np.abs(came - wanted) <= NEAR * np.abs(wanted).max()).all():
                return False
        except ValueError:
            return False
    return True


def a_fixed_tolerance(kernel, reference, inputs):
    for x in inputs:
        wanted, came = reference(x.copy()), kernel(x.copy())
        if came.shape != wanted.shape or not np.allclose(came, wanted, rtol=1e-2, atol=1e-2):
            return False
    return True


def on_average(kernel, reference, inputs):
    for x in inputs:
        wanted, came = reference(x.copy()), kernel(x.copy())
        if came.shape != wanted.shape or not abs((came - wanted).mean()) <= NEAR * np.abs(wanted).max():
            return False
    return True


def rejects(kernel, reference, inputs):
    return not accepts(kernel, reference, inputs)


def references() -> dict[str, Kernel]:
    """Functions on the way to another process travel by value, because they stand inside of this one."""

    def centred(x):
        return x - x.mean()

    def scaled(x):
        with np.errstate(invalid="ignore"):
            return x / np.abs(x).max()  # 0 / 0 where all is zero

    return {"centred": centred, "scaled": scaled}


def kernels(name: str) -> dict[str, Kernel]:
    """Honest kernels and cheats for one of the references."""
    reference = references()[name]

    def other_order(x):
        total = 0.0
        for number in x.ravel()[::-1]:
            total += float(number)
        most = float(np.abs(x).max())
        if name == "centred":
            return x - total / x.size
        with np.errstate(invalid="ignore"):
            return x * (np.float64(1.0) / most) if most else x / most

    def in_place(x):
        result = reference(x)
        x[...] = 0
        return result

    def eight_at_a_time(x):
        result = np.zeros_like(x)
        whole = x.size // 8 * 8
        result.reshape(-1)[:whole] = reference(x).reshape(-1)[:whole]
        return result

    def puts_zeros_everywhere(x):
        x[...] = 0
        return np.zeros_like(x)

    def nothing_but_nan(x):
        return np.full_like(x, np.nan)

    def nan_where_the_reference_has_none(x):
        result = reference(x)
        result.reshape(-1)[-1] = np.nan
        return result

    def one_row(x):
        return reference(x)[None]

    def zeros(x):
        return np.zeros_like(x)

    def slightly_off(x):
        return reference(x) * (1 + 1e-3)

    def errors_that_cancel(x):
        result = reference(x)
        if x.size > 1:
            step = 0.1 * np.abs(result).max()
            result.reshape(-1)[0] += step
            result.reshape(-1)[-1] -= step
        return result

    return {
        "itself": reference,
        "another order": other_order,
        "works in place": in_place,
        "eight at a time": eight_at_a_time,
        "puts zeros everywhere": puts_zeros_everywhere,
        "NaN": nothing_but_nan,
        "one NaN": nan_where_the_reference_has_none,
        "one more axis": one_row,
        "zeros": zeros,
        "slightly off": slightly_off,
        "errors that cancel": errors_that_cancel,
    }


SHAPES = ((16,), (8, 2), (7,), (3, 5), (1,), (2, 4, 3))


def case(
    kernel: str, reference: str, shapes: tuple[tuple[int, ...], ...], size: float = 1.0, seed: int = 0
) -> Case:
    """A kernel, a reference, and inputs of these shapes whose numbers are about so large."""
    rng = np.random.default_rng(seed)
    drawn = [size * (1 + rng.standard_normal(shape)) for shape in shapes]
    return kernels(reference)[kernel], references()[reference], drawn


def any_case(rng: np.random.Generator) -> Case:
    """A random kernel, mostly against several shapes."""
    reference = str(rng.choice(list(references())))
    kernel = str(rng.choice(list(kernels(reference))))
    shapes = tuple(SHAPES[i] for i in rng.permutation(len(SHAPES))[: rng.integers(1, 5)])
    return case(kernel, reference, shapes, 10.0 ** rng.integers(-6, 4), int(rng.integers(1000)))


def silent(kernel: str, reference: str) -> Case:
    """All inputs zero, so that the scaled reference returns NaN."""
    return kernels(reference)[kernel], references()[reference], [np.zeros(5)]


EXERCISE = Exercise(
    "roofline/fair-comparison",
    accepts,
    any_case,
    signature="accepts(kernel, reference, inputs) -> bool",
    ask="""
    `reference` and `kernel` are functions that take one float64 array of any shape and return one. `inputs`
    is a list of such arrays, at least one, of several shapes and none of them empty. Return True if the
    kernel is right on *every* input, otherwise False. It is right on an input if its result has exactly the
    shape of the reference's, and no number is further from the reference's than 1e-4 times the largest
    absolute value in the reference's result. A NaN is never right, also not where the reference returns one.
    Both functions may overwrite the array that they get: neither may see what the other has done, and your
    `inputs` must stay as they are.
    """,
    examples=[
        case("itself", "centred", ((16,), (7,))),
        case("another order", "centred", ((16,), (7,), (3, 5))),
        case("another order", "scaled", ((8, 2), (2, 4, 3)), 1e3),
        case("works in place", "centred", ((16,), (3, 5))),
        case("eight at a time", "centred", ((16,), (8, 2), (7,))),
        case("eight at a time", "scaled", ((16,), (3, 5))),
        case("eight at a time", "scaled", ((16,), (8, 2))),
        case("puts zeros everywhere", "centred", ((16,), (7,))),
        case("NaN", "centred", ((16,), (7,))),
        case("one NaN", "scaled", ((3, 5),)),
        silent("itself", "scaled"),
        silent("NaN", "scaled"),
        silent("zeros", "centred"),
        case("one more axis", "centred", ((16,), (3, 5))),
        case("zeros", "centred", ((16,), (7,)), 1e-6),
        case("slightly off", "scaled", ((16,), (7,))),
        case("errors that cancel", "centred", ((16,), (8, 2))),
    ],
    wrong_answers={
        "one shape is enough": (
            one_shape,
            "A kernel that works on eight numbers at a time is right on 16 of them. Is it on 7?",
        ),
        "both get the same memory": (
            shared_memory,
            "If the kernel fills its input with zeros, the reference works on zeros. Who gets which array?",
        ),
        "a NaN equals a NaN": (
            two_nans_are_equal,
            "Where the reference returns a NaN, nothing can be compared. What could a kernel return there?",
        ),
        "nothing is too far away": (
            nothing_is_too_far,
            "Every comparison with a NaN is False. What does `any(distance > limit)` say of NaNs?",
        ),
        "only the same bits are right": (
            the_same_bits,
            "Add the same numbers in another order, and the last digits change. Is that a mistake?",
        ),
        "any shape that can be subtracted": (
            any_shape,
            "numpy subtracts arrays of different shapes by repeating one of them. Compare the shapes first.",
        ),
        "a tolerance without a scale": (
            a_fixed_tolerance,
            "Where all right numbers are about 1e-6, zeros are only 1e-6 away. Near compared to what?",
        ),
        "right on average": (
            on_average,
            "One number too large and one too small: what is the mean of the differences?",
        ),
        "the answer is the other way round": (
            rejects,
            "True stands for a kernel that is right.",
        ),
    },
    also_right=[all_at_once, by_loops],
    hints=[
        "Two functions, many inputs: a loop that returns False at the first input where something is wrong, "
        "and True after the last one.",
        "Give each function its own copy: `reference(x.copy())`. Compare the shapes before the numbers.",
        "Ask that all distances are small, not that none is large: `(off <= limit).all()` is False for NaN.",
    ],
    explanation="""
    Every line stands against one cheat. The loop over all inputs catches the kernel that forgets the tail.
    The copies catch the one that feeds the reference zeros. The shapes catch what numpy would silently
    repeat. The limit in units of the result catches zeros, and lets honest sums in another order pass. And
    `<=` with `all` catches NaN, because no comparison with a NaN is true.
    """,
    rtol=0,
    atol=0,
)
