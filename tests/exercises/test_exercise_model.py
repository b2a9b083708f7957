"""What a reader sees of an exercise: checks that never raise, mistakes by name, hints, the ledger."""

import numpy as np
import pytest

from workbench.claims.ledger import Ledger
from workbench.errors import WorkbenchError
from workbench.exercises import Exercise, exercise, exercises, prove
from workbench.judge import profiles


def mean(x):
    return float(x.sum() / x.size)


def mean_by_numpy(x):
    return float(np.mean(x))


def total(x):
    return float(x.sum())


def middle(x):
    return float(np.median(x))


def changes(x):
    x -= x.mean() - mean(x)
    x[0] += 1
    return mean(x) - 1 / x.size


def make(**changed):
    options = {
        "signature": "mean(x) -> float",
        "ask": "Return the mean of `x`.",
        "examples": [(np.array([1.0, 2.0, 9.0]),)],
        "wrong_answers": {
            "the sum": (total, "Divide by how many there are."),
            "the median": (middle, "Large values count by their size."),
        },
        "also_right": [mean_by_numpy],
        "hints": ["Add up.", "Then divide by `x.size`."],
        "explanation": "The mean is the sum divided by the count.",
        "cases": 8,
        **changed,
    }
    return Exercise("test/mean", mean, profiles.arrays(profiles.shapes(1)).map(lambda x: (x,)), **options)


@pytest.fixture(autouse=True)
def ledger(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    monkeypatch.setenv("WORKBENCH_LEDGER", str(tmp_path / "ledger.sqlite"))
    return Ledger()


@pytest.fixture(scope="module")
def average():
    return make()


def test_a_right_answer_passes_and_is_recorded(average, ledger, capsys):
    assert average.check(lambda x: sum(x) / len(x)) is None
    assert capsys.readouterr().out == "✓ test/mean: Right: 9 cases, each asked 3 times.\n"
    (row,) = ledger.rows("attempt")
    assert (row["exercise"], row["passed"], row["looks_like"]) == ("test/mean", True, None)
    assert row["seconds"] > 0


def test_a_known_mistake_is_named_with_its_hint(average, ledger, capsys):
    def mine(values):
        print("thinking")
        return np.add.reduce(values)

    average.check(mine)
    said = capsys.readouterr().out
    assert said.startswith("✗ test/mean: The result should be ")
    assert "the call: mean(x=array([" in said
    assert "This looks like: the sum.\n  Hint: Divide by how many there are." in said
    assert "Your function printed:\n    thinking" in said
    assert ledger.rows("attempt")[0]["looks_like"] == "the sum"


def test_an_unknown_mistake_is_not_given_a_name(average):
    finding = average.examine(lambda x: mean(x) + 1)
    assert (finding.passed, finding.looks_like, finding.hint) == (False, None, None)


def raises(x):
    return x / undefined_name  # noqa: F821


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, "A function `mean(x) -> float` is expected, but None came."),
        (3.0, "A function `mean(x) -> float` is expected, but an object of type float came."),
        (lambda: 1.0, "cannot be called as `mean(x) -> float`: too many positional arguments."),
        (lambda x: ..., "The result should be a float, but an object of type ellipsis came."),
        (
            lambda x: None,
            "still blank: it returned None. Write `mean(x) -> float`, then run the check again.",
        ),
        (raises, "NameError: name 'undefined_name' is not defined, in line "),
        (mean, None),
        (float, "The function failed with TypeError"),
    ],
    ids=["none", "number", "no-argument", "ellipsis", "blank", "raises", "right", "type"],
)
def test_check_says_one_sentence_and_never_raises(average, answer, says, capsys):
    average.check(answer)
    said = capsys.readouterr().out
    assert said.startswith("✓" if says is None else "✗")
    assert says is None or says in said.splitlines()[0]


def test_check_survives_a_faulty_exercise_and_a_ledger_that_cannot_be_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORKBENCH_LEDGER", str(tmp_path))  # a directory
    make(examples=[(np.array([np.nan]),)]).check(mean)
    said = capsys.readouterr().out
    assert "The check itself failed: the reference returns a NaN on mean(x=array([nan]))" in said
    assert "This was not written to your ledger" in said


def test_the_graders_cell_raises_and_leaves_no_attempt(average, ledger):
    average.assert_right(mean)
    with pytest.raises(AssertionError, match="This looks like: the median"):
        average.assert_right(middle)
    assert ledger.rows("attempt") == []


def test_hints_come_one_by_one_and_the_solution_after_them(ledger, capsys):
    one = make()
    one.solution()
    assert "There are 2 more hints" in capsys.readouterr().out
    one.hint()
    one.hint()
    assert capsys.readouterr().out == "Hint 1 of 2: Add up.\nHint 2 of 2: Then divide by `x.size`.\n"
    one.hint()
    assert "Those were all the hints" in capsys.readouterr().out
    one.solution()
    said = capsys.readouterr().out
    assert said.startswith("def mean(x):\n    return float(x.sum() / x.size)\n")
    assert said.endswith("The mean is the sum divided by the count.\n")
    assert [(row["exercise"], row["number"]) for row in ledger.rows("hint")] == [
        ("test/mean", n) for n in (1, 2, 3)
    ]


def test_an_impatient_reader_gets_the_solution_now(capsys):
    make().solution(now=True)
    assert "def mean(x):" in capsys.readouterr().out


def test_html_escapes_what_readers_write(average):
    def angry(x):
        print("<script>alert(1)</script>")
        raise ValueError("<b>bold</b>")

    html = average.examine(angry)._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html
    assert "&lt;b&gt;bold" in html


def test_cases_may_come_from_a_function_of_a_generator():
    drawn = Exercise(
        "test/total",
        total,
        lambda rng: (rng.standard_normal(rng.integers(1, 9)),),
        signature="total(x)",
        ask="Add up.",
        wrong_answers={"the mean": (mean, "Do not divide.")},
        also_right=[lambda x: sum(x.tolist())],
        hints=["Add."],
        explanation="A sum.",
        cases=5,
        rtol=1e-9,
    )
    assert len(drawn.trial.cases) == 5
    assert prove(drawn) == []


def test_a_sound_exercise_has_no_problems(average):
    assert prove(average) == []


def test_proof_finds_what_is_wrong_with_an_exercise():
    unsound = make(
        wrong_answers={
            "not wrong": (mean_by_numpy, "Nothing to say."),
            "the sum": (total, "Divide."),
            "the sum again": (lambda x: float(np.sum(x)), ""),
            "another sum": (lambda x: np.add.reduce(x), "Divide."),
        },
        also_right=[middle],
        hints=[],
    )
    said = "\n".join(prove(unsound))
    for problem in (
        "a hint is missing",
        "two wrong answers share one hint",
        "the wrong answer 'the sum again' has no hint",
        "the wrong answer 'not wrong' is accepted",
        "the wrong answer 'another sum' behaves like 'the sum'",
        "the right answer middle is rejected",
    ):
        assert f"test/mean: {problem}" in said


def test_proof_finds_inputs_that_accept_a_constant_or_nan():
    lazy = make(examples=[(np.zeros(3),)], cases=0, wrong_answers={"one": (lambda x: 1.0, "It is zero.")})
    lazy.inputs = lambda rng: (np.zeros(1),)
    assert prove(lazy) == ["test/mean: the same answer to everything is accepted"]


def test_proof_reports_a_reference_that_fails():
    assert "the reference returns a NaN" in prove(make(examples=[(np.array([np.nan]),)]))[0]


def test_a_wrong_answer_may_be_wrong_by_conduct_alone():
    conduct = make(wrong_answers={"the input is changed": (changes, "Work on a copy.")}, rtol=1e-4, atol=1e-9)
    finding = conduct.examine(changes)
    assert finding.ruling.kind == "mutation"
    assert finding.looks_like == "the input is changed"


def test_exercises_are_listed_without_importing_them():
    assert {"receptive-fields/radius", "receptive-fields/step"} <= set(exercises())


def test_an_unknown_exercise_is_one_sentence_with_a_suggestion():
    with pytest.raises(WorkbenchError, match="no exercise is called 'receptive-fields/radios'; did you mean"):
        exercise("receptive-fields/radios")
    with pytest.raises(WorkbenchError, match=r"no exercise is called '\.\./os'"):
        exercise("../os")


def test_the_reference_cannot_be_handed_in_nor_reached_from_the_answer(average):
    known = exercise("receptive-fields/step")
    for answer in (known.reference, lambda *args: known.reference(*args)):
        assert "leans on the exercise's own code" in known.examine(answer).sentence
