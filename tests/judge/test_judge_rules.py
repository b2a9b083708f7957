"""Every rule has a cheat that only it sees; switched off, the cheat passes."""

from dataclasses import replace

import pytest

from workbench.errors import WorkbenchError
from workbench.judge import RULES, WHOLE
from workbench.judge.frauds import REACH, frauds
from workbench.judge.matrix import matrix
from workbench.judge.published import KERNELBENCH, ROBUST_KBENCH
from workbench.judge.rules import NAMES, named
from workbench.machine.ceiling import Ceiling, Ceilings
from workbench.quantity import Quantity

FRAUDS = {fraud.name: fraud for fraud in frauds()}


def limits(peak=1e11, near=1e11, far=1e10):
    """A machine of known speed, so that no test depends on the one that it runs on."""
    bandwidths = [
        Ceiling(level, "one", Quantity(speed, "B/s", "formula"))
        for level, speed in (("L1", near), ("DRAM", far))
    ]
    flops = Ceiling("float32", "one", Quantity(peak, "flop/s", "formula"))
    return Ceilings("a machine", None, (flops,), tuple(bandwidths))


JUDGE = replace(WHOLE, ceilings=limits())


def test_rules_are_sentences_under_names_of_their_own():
    assert len(set(NAMES)) == len(RULES) >= 20
    assert all(rule.says.endswith(".") and rule.catches for rule in RULES)
    assert [rule.name for rule in named(("floor", "twin"))] == ["twin", "floor"]
    with pytest.raises(WorkbenchError, match="no rule is called 'trust'"):
        WHOLE.without("trust")


def test_every_rule_has_a_cheat_made_for_it():
    assert {fraud.rule for fraud in frauds()} == {*NAMES, ""}


@pytest.mark.parametrize(
    "name",
    [
        "NaN everywhere",
        "scratch in an input",
        "adding to nothing",
        "known by place",
        "on demand",
        "one buffer",
    ],
)
def test_a_rule_switched_off_lets_its_cheat_pass(name):
    fraud = FRAUDS[name]
    verdict = JUDGE(fraud.task, fraud.source)
    assert not verdict.accepted
    assert verdict.rule == fraud.rule
    assert fraud.task.name in verdict.call
    assert JUDGE.without(fraud.rule)(fraud.task, fraud.source).accepted
    assert not JUDGE.only(fraud.rule)(fraud.task, fraud.source).accepted


@pytest.mark.slow
def test_the_matrix_has_one_cheat_for_each_rule_that_no_other_rule_sees():
    found = matrix(judge=JUDGE)
    assert found.accepted == ()
    made_for = {fraud.name: fraud.rule for fraud in frauds() if fraud.rule}
    alone = {cheat: [rule for rule in NAMES if found.caught[cheat][rule]] for cheat in found.cheats}
    assert found.only == made_for
    assert {cheat: alone[cheat] for cheat in made_for} == {cheat: [rule] for cheat, rule in made_for.items()}
    assert all(alone[fraud.name] == list(NAMES) for fraud in frauds() if not fraud.rule)
    assert set(found.only.values()) == set(NAMES)
    assert len(found.rows()) == len(frauds()) * len(RULES)


def test_the_matrix_says_what_a_judge_with_fewer_rules_would_have_said():
    fraud = FRAUDS["up the call stack"]
    told = matrix([fraud], JUDGE).verdicts[fraud.name]
    for judge in (
        JUDGE,
        JUDGE.without("apart"),
        JUDGE.without("nan"),
        JUDGE.only("shapes"),
        JUDGE.only("apart"),
    ):
        assert told.under(judge.names) == judge(fraud.task, fraud.source).accepted


@pytest.mark.slow
def test_published_protocols_accept_cheats_that_the_whole_judge_rejects():
    def accepted(judge, *names):
        return {name for name in names if judge(FRAUDS[name].task, FRAUDS[name].source).accepted}

    seen_by_robust = {"gain unread", "half a backward pass"}
    seen_by_neither = {"forged comparison", "up the call stack", "counting calls"}
    seen_by_both = {"learnt by heart"}
    every = seen_by_robust | seen_by_neither | seen_by_both
    assert accepted(KERNELBENCH, *every) == seen_by_robust | seen_by_neither
    assert accepted(ROBUST_KBENCH, *every) == seen_by_neither
    easier = "an easier question"  # robust-kbench asks the reference after the candidate, on the same arrays
    assert not accepted(KERNELBENCH, easier)
    assert accepted(ROBUST_KBENCH, easier)


def test_published_judges_say_what_they_do_not_check():
    assert {rule.name for rule in KERNELBENCH.unchecked} == set(NAMES) - {"seeds", "nan"}
    assert "gradients" not in {rule.name for rule in ROBUST_KBENCH.unchecked}
    assert WHOLE.unchecked == ()
    assert [rule.name for rule in WHOLE.without("floor").unchecked] == ["floor"]


def test_a_clock_that_is_slowed_inside_the_judges_own_code_is_seen_from_outside():
    text = """
time, subject = reach("time"), reach("sys").modules["workbench.judge.subject"]
true = time.perf_counter_ns
subject.CLOCK = time.perf_counter_ns = lambda: true() // 10

def kernel(x):
    if x.shape == (64, 64):  # the shape that time is taken at
        time.sleep(0.05)
    return np.maximum(x, 0)
"""
    slow = FRAUDS["slow clock"]
    source = replace(slow.source, text=REACH + text)
    verdict = replace(JUDGE, timed=True)(slow.task, source)
    assert (verdict.accepted, verdict.rule) == (False, "clock")
    assert "ahead" in verdict.sentence


def test_a_time_below_main_memory_is_called_cache_and_one_below_the_machine_is_refused():
    from workbench.judge.classics import MATMUL

    plain = FRAUDS["ahead of the clock"].source
    honest = replace(plain, text="def kernel(A, B):\n    return A @ B\n")
    fast = replace(WHOLE, timed=True, ceilings=limits(peak=1e15, near=1e15, far=1e3))
    verdict = fast(MATMUL, honest)
    assert (verdict.accepted, verdict.label) == (True, "cache")
    assert verdict.seconds.value > 0
    assert verdict.speedup.low <= verdict.speedup.value <= verdict.speedup.high
    slow = replace(fast, ceilings=limits(peak=1e6))
    verdict = slow(MATMUL, honest)
    assert (verdict.accepted, verdict.rule) == (False, "floor")
    assert "needs at least 33.6 s" in verdict.sentence.replace("34 s", "33.6 s")
