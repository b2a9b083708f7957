"""From intervals to verdicts: the table as data, and laws that every verdict keeps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.claims import AtLeast, AtMost, ControlPassed, Interval, Within, decide
from workbench.errors import WorkbenchError

BETTER = ["not reproduced at this scale", "inconclusive", "direction only", "reproduced"]
FAILED, UNDECIDED, PASSED = (0.9, 1.1), (0.9, 1.8), (1.6, 1.8)  # of AtLeast(1.5, null=1)


def span(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high)


@pytest.mark.parametrize(
    ("claim", "control", "verdict"),
    [
        ((1.6, 1.9), FAILED, "reproduced"),
        ((1.5, 1.5), FAILED, "reproduced"),
        ((1.6, 1.9), UNDECIDED, "direction only"),
        ((1.6, 1.9), (1.1, 1.8), "inconclusive"),  # the control has the direction as well
        ((1.2, 1.9), FAILED, "direction only"),
        ((0.9, 1.9), FAILED, "inconclusive"),
        ((1.2, 1.9), (1.1, 1.4), "inconclusive"),
        ((1.1, 1.3), FAILED, "direction only"),
        ((1.1, 1.3), (1.1, 1.2), "not reproduced at this scale"),
        ((0.9, 1.3), FAILED, "not reproduced at this scale"),
        ((0.5, 0.7), FAILED, "not reproduced at this scale"),
        ((1.0, 1.4), FAILED, "not reproduced at this scale"),  # touching no effect is no direction
    ],
)
def test_table(claim: tuple[float, float], control: tuple[float, float], verdict: str) -> None:
    assert decide(AtLeast(1.5, null=1), span(*claim), span(*control)) == verdict


@pytest.mark.parametrize("claim", [(1.6, 1.9), (0.9, 1.9), (0.5, 0.7)])
def test_a_control_that_passes_leaves_no_verdict(claim: tuple[float, float]) -> None:
    with pytest.raises(ControlPassed, match=r"control reached 1.7 .*'at least 1.5'"):
        decide(AtLeast(1.5, null=1), span(*claim), span(*PASSED))


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [((1.6, 1.9), "reproduced"), ((1.2, 1.9), "inconclusive"), ((1.1, 1.3), "not reproduced at this scale")],
)
def test_without_a_null_there_is_no_direction(claim: tuple[float, float], verdict: str) -> None:
    assert decide(AtLeast(1.5), span(*claim), span(*FAILED)) == verdict


def test_overshooting_a_band_is_direction_only() -> None:
    assert decide(Within(0.4, 0.6, null=0), span(0.8, 0.9), span(-0.1, 0.1)) == "direction only"
    assert decide(Within(0.4, 0.6), span(0.8, 0.9), span(-0.1, 0.1)) == "not reproduced at this scale"


ends = st.floats(-5, 5)
spans = st.tuples(ends, ends).map(lambda pair: span(*sorted(pair)))


def rank(bar: AtLeast | AtMost, claim: Interval, control: Interval) -> int:
    return BETTER.index(decide(bar, claim, control))


@given(st.floats(1.1, 3), st.floats(0, 2), spans, st.booleans())
def test_raising_the_bar_never_improves_the_verdict(
    bar: float, higher: float, claim: Interval, null: bool
) -> None:
    no_effect, failed = 1.0 if null else None, span(0.9, 1.0)
    assert rank(AtLeast(bar + higher, no_effect), claim, failed) <= rank(
        AtLeast(bar, no_effect), claim, failed
    )


@given(st.floats(1.1, 3), spans, st.floats(0, 3))
def test_a_better_result_never_worsens_the_verdict(bar: float, claim: Interval, more: float) -> None:
    failed = span(0.9, 1.0)
    better = span(claim.low + more, claim.high + more)
    assert rank(AtLeast(bar, 1), claim, failed) <= rank(AtLeast(bar, 1), better, failed)


@given(st.floats(1.1, 3), spans, spans, st.floats(0, 3))
def test_a_stronger_control_never_improves_the_verdict(
    bar: float, claim: Interval, control: Interval, more: float
) -> None:
    def ranked(control: Interval) -> int:
        try:
            return rank(AtLeast(bar, 1), claim, control)
        except ControlPassed:
            return -1

    assert ranked(span(control.low + more, control.high + more)) <= ranked(control)


@given(st.floats(1.1, 3), spans, spans)
def test_at_most_mirrors_at_least(bar: float, claim: Interval, control: Interval) -> None:
    def told(bar: AtLeast | AtMost, sign: int) -> str:
        def turned(given: Interval) -> Interval:
            return given if sign > 0 else span(-given.high, -given.low)

        try:
            return decide(bar, turned(claim), turned(control))
        except ControlPassed:
            return "passed"

    assert told(AtLeast(bar, 1), 1) == told(AtMost(-bar, -1), -1)


@given(st.floats(1.1, 3), spans, st.floats(0, 1), st.floats(0, 1))
def test_a_narrower_interval_never_makes_a_sure_verdict_unsure(
    bar: float, claim: Interval, a: float, b: float
) -> None:
    low, high = sorted((a, b))
    width = claim.high - claim.low
    narrow = span(
        claim.low + low * width, max(claim.low + low * width, min(claim.low + high * width, claim.high))
    )
    before, after = (decide(AtLeast(bar, 1), given, span(0.9, 1.0)) for given in (claim, narrow))
    assert before == "inconclusive" or after != "inconclusive"


@pytest.mark.parametrize(
    ("bar", "words"),
    [
        (AtLeast(1.05, null=1), "at least 1.05 (no effect: 1)"),
        (AtMost(1e-5), "at most 1e-05"),
        (Within(0.4, 0.6), "between 0.4 and 0.6"),
    ],
)
def test_bars_say_what_they_ask(bar: AtLeast | AtMost | Within, words: str) -> None:
    assert str(bar) == words


@pytest.mark.parametrize(
    "bad",
    [
        lambda: AtLeast(0.9, null=1),
        lambda: AtLeast(1, null=1),
        lambda: AtMost(1.2, null=1),
        lambda: Within(0.6, 0.4),
        lambda: Within(-1, 1, null=0),
        lambda: AtLeast(float("nan")),
        lambda: AtMost(float("inf")),
        lambda: AtLeast(1, null=float("nan")),
    ],
)
def test_bars_that_ask_nothing_are_refused(bad: object) -> None:
    with pytest.raises(WorkbenchError):
        bad()  # type: ignore[operator]
