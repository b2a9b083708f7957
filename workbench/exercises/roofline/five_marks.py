"""How well does an assistant know a programming model? One of five marks for the suggestions of a prompt."""

from hypothesis import strategies as st

from workbench.exercises import Exercise


def five_marks(asked: str, models: list[str], right: list[bool]) -> float:
    code = [(model, fine) for model, fine in zip(models, right, strict=True) if model]
    correct = [model == asked and fine for model, fine in code]
    if not any(correct):
        return 0.0
    if any(model != asked for model, _ in code):
        return 0.25
    if not all(correct):
        return 0.5
    return 1.0 if len(code) == 1 else 0.75


def by_counting(asked: str, models: list[str], right: list[bool]) -> float:
    """Three counts decide."""
    correct = wrong = others = 0
    for model, fine in zip(models, right, strict=True):
        if model == asked:
            correct, wrong = correct + bool(fine), wrong + (not fine)
        elif model:
            others += 1
    if correct == 0:
        return 0.0
    if others:
        return 0.25
    if wrong:
        return 0.5
    return 0.75 if correct > 1 else 1.0


def from_above(asked: str, models: list[str], right: list[bool]) -> float:
    """The best mark first."""
    pieces = {i for i, model in enumerate(models) if model}
    inside = {i for i in pieces if models[i] == asked}
    correct = {i for i in inside if right[i]}
    if not correct:
        return 0.0
    if len(pieces) == 1:
        return 1.0
    return 0.75 if correct == pieces else 0.5 if inside == pieces else 0.25


def ignores_the_model(asked, models, right):
    code = [fine for model, fine in zip(models, right, strict=True) if model]
    if not any(code):
        return 0.0
    if not all(code):
        return 0.5
    return 1.0 if len(code) == 1 else 0.75


def one_for_ten(asked, models, right):
    found = five_marks(asked, models, right)
    return 1.0 if found == 0.75 else found


def average(asked, models, right):
    code = [m == asked and fine for m, fine in zip(models, right, strict=True) if m]
    return sum(code) / len(code) if code else 0.0


def average_of_right(asked, models, right):
    return sum(right) / len(right) if right else 0.0


def words_count(asked, models, right):
    """Text without code is a suggestion in another model."""
    return five_marks(asked, [model or "words" for model in models], right)


def words_are_wrong(asked, models, right):
    """Text without code is a wrong suggestion in the model that was asked for."""
    return five_marks(
        asked,
        [model or asked for model in models],
        [bool(model) and fine for model, fine in zip(models, right, strict=True)],
    )


def only_right_others(asked, models, right):
    """Other models count only where their values are right."""
    kept = [(m, r) for m, r in zip(models, right, strict=True) if m == asked or r]
    return five_marks(asked, [m for m, _ in kept], [r for _, r in kept])


def others_as_wrong(asked, models, right):
    """Another model is a wrong suggestion like any other."""
    found = five_marks(asked, models, right)
    return 0.5 if found == 0.25 else found


def one_correct_is_enough(asked, models, right):
    correct = [m == asked and r for m, r in zip(models, right, strict=True)]
    return 1.0 if sum(correct) == 1 else five_marks(asked, models, right)


def wrong_before_mixed(asked, models, right):
    """Looks for wrong values before it looks for other models."""
    code = [(m, r) for m, r in zip(models, right, strict=True) if m]
    if any(m == asked and r for m, r in code) and any(m == asked and not r for m, r in code):
        return 0.5
    return five_marks(asked, models, right)


def quarter_for_code(asked, models, right):
    """A quarter for anything that is right, whatever the model."""
    found = five_marks(asked, models, right)
    return 0.25 if found == 0 and any(r for m, r in zip(models, right, strict=True) if m) else found


MODELS = ("numpy", "numba parallel", "cuda", "")


@st.composite
def answers(draw: st.DrawFn) -> tuple[str, list[str], list[bool]]:
    """Up to ten suggestions, often of one model and often right, sometimes without code."""
    asked = draw(st.sampled_from(MODELS[:-1]))
    pool = draw(st.sampled_from(((asked,), (asked, asked, ""), (asked, asked, asked, "cuda", "numpy", ""))))
    rights = draw(st.sampled_from(((True,), (False,), (True, True, False))))
    count = draw(st.one_of(st.just(1), st.integers(0, 10)))
    models = [draw(st.sampled_from(pool)) for _ in range(count)]
    return asked, models, [bool(model) and draw(st.sampled_from(rights)) for model in models]


EXERCISE = Exercise(
    "roofline/five-marks",
    five_marks,
    answers(),
    signature="five_marks(asked, models, right) -> float",
    ask="""
    An assistant was asked for a kernel in the programming model `asked`, a string such as "numpy". It came
    back with up to ten suggestions, perhaps with none. `models` is a list of strings: the model that each
    suggestion really uses, "" where it holds no code. `right` is a list of bools, equally long: whether its
    values are right (never where there is no code). A suggestion is *correct* if its values are right and it
    uses the model that was asked for. Text without code is no suggestion: leave it out. Return 0.0 if none is
    correct; else 0.25 if any suggestion uses another model, be its values right or wrong; else 0.5 if any is
    wrong; else 0.75 if there are several; and 1.0 if there is exactly one.
    """,
    examples=[
        ("cuda", ["cuda"], [True]),
        ("cuda", ["cuda"] * 10, [True] * 10),
        ("cuda", ["cuda", "cuda", "cuda"], [True, False, True]),
        ("cuda", ["cuda", "numpy", "cuda"], [True, True, False]),
        ("cuda", ["cuda", "numpy"], [True, False]),
        ("cuda", ["numpy"] * 3, [True] * 3),
        ("cuda", ["", "cuda", ""], [False, True, False]),
        ("cuda", ["", "cuda", "cuda"], [False, True, True]),
        ("cuda", ["cuda", "cuda"], [True, False]),
        ("cuda", ["", ""], [False, False]),
        ("cuda", [], []),
    ],
    wrong_answers={
        "the model is ignored": (
            ignores_the_model,
            "Ten right kernels in numpy answer no question about CUDA. Is it the model that was asked for?",
        ),
        "1.0 for ten correct ones": (
            one_for_ten,
            "The best mark is for exactly one suggestion. Several correct ones earn 0.75.",
        ),
        "the share of correct ones": (average, "A mark is one of five steps, not a mean."),
        "the share of right values": (
            average_of_right,
            "A mark is one of five steps, not a mean, and the model counts as well.",
        ),
        "text without code counts as another model": (
            words_count,
            "Comments are in no programming model. Leave out what holds no code before you count.",
        ),
        "text without code counts as wrong": (
            words_are_wrong,
            "Comments are no wrong code, they are no code. Leave them out before you count.",
        ),
        "other models only count if they are right": (
            only_right_others,
            "A suggestion in another model is mixed in, be its values right or wrong.",
        ),
        "other models count as wrong": (
            others_as_wrong,
            "Wrong values and the wrong model are two marks, 0.5 and 0.25.",
        ),
        "1.0 as soon as one is correct": (
            one_correct_is_enough,
            "The best mark needs exactly one suggestion, not one correct one among others.",
        ),
        "wrong values are looked for before other models": (
            wrong_before_mixed,
            "If both came, wrong values and another model, the lower mark holds: ask for other models first.",
        ),
        "a quarter for right code in another model": (
            quarter_for_code,
            "0.25 needs one correct suggestion, and a correct one uses the model that was asked for.",
        ),
    },
    also_right=[by_counting, from_above],
    hints=[
        "First leave out what holds no code: pairs `(model, right)` with `model` not empty.",
        "A list `correct` of bools comes next: `model == asked and right`. No True in it is mark 0.",
        "Then ask in this order: another model? a wrong one? several?",
    ],
    explanation="""
    The marks are steps of a stair, asked from below: nothing correct, mixed, partly wrong, all correct, one
    correct. The last step makes the mark fall when one more correct suggestion comes: certainty is rewarded,
    not the number of right answers.
    """,
)
