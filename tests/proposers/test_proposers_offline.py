"""Offline proposers: what they propose, that nothing comes twice, and that only the prompt moves them."""

import math
from typing import Any

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.proposers import (
    Ensemble,
    Message,
    Mutations,
    Prompt,
    Proposer,
    Schedule,
    Template,
    Templates,
    code_of,
    mutants,
    rewrites,
)
from workbench.proposers.mutations import OPERATORS
from workbench.proposers.rewriting import normal

NORM = """
def kernel(x, weight, eps):
    rows, columns = x.shape
    mean = np.zeros(rows)
    norm = np.empty((rows, columns))
    out = np.empty((rows, columns))
    for i in range(rows):
        for j in range(columns):
            mean[i] += x[i, j] * x[i, j] / columns
    for i in range(rows):
        for j in range(columns):
            norm[i, j] = x[i, j] / math.sqrt(mean[i] + eps)
    for i in range(rows):
        for j in range(columns):
            out[i, j] = norm[i, j] * weight[j]
    return out
"""
SUM = """
def kernel(a):
    total = 0.0
    for i in range(a.shape[0]):
        if a[i] > 0:
            total += a[i]
    return total
"""
X, W = np.random.default_rng(0).standard_normal((3, 11)), np.arange(1.0, 12)


def run(code, *args):
    """These kernels are this test's own, and what our rules make of them."""
    space: dict[str, Any] = {"np": np, "math": math, "prange": range}
    exec(code, space)
    return space["kernel"](*args)


def norm_is_right(code):
    wanted = X / np.sqrt((X**2).mean(1, keepdims=True) + 1e-3) * W
    try:
        return np.allclose(run(code, X, W, 1e-3), wanted, rtol=1e-12)
    except (IndexError, NameError, ZeroDivisionError, ValueError):
        return False


def prompt(code=NORM, **parts):
    return Prompt("the norm of rows", "kernel(x, weight, eps)", parent=code.strip("\n"), **parts).text()


def conversation(proposer, turns, **parts):
    history: list[Message] = []
    codes = []
    for number in range(1, turns + 1):
        asked = prompt(number=number, of=turns, **parts)
        answer = proposer.propose(asked, history)
        history += [Message("user", asked), Message("assistant", answer)]
        codes.append(code_of(answer, "kernel").code)
    return codes


def test_every_rule_of_the_schedule_finds_work_and_most_of_it_is_right():
    found = rewrites(NORM)
    says = "\n".join(one.what for one in found)
    for part in (
        "exchanged",
        "fused",
        "kept in a variable",
        "taken out",
        "computed once",
        "product",
        "blocks",
    ):
        assert part in says
    right = [norm_is_right(one.code) for one in found]
    assert sum(right) >= 0.8 * len(right)


def test_fusing_what_must_wait_is_proposed_and_is_wrong():
    early = [one for one in rewrites(NORM) if "fused" in one.what]
    once = early[0].code  # rows may be fused
    twice = [one.code for one in rewrites(once) if "loops over j fused" in one.what]
    assert norm_is_right(once)
    assert not all(map(norm_is_right, twice))


def test_rewrites_in_a_row_reach_the_kernel_that_an_expert_writes():
    code = NORM
    for wanted in (
        "loops over i fused",
        "loops over i fused",
        "mean[i] kept in a variable",
        "math.sqrt(mean[i] + eps) taken out",
        "loops over j fused",
        "norm[i, j] passed on",
        "the array norm left out",
    ):
        options = [one.code for one in rewrites(code) if wanted in one.what and norm_is_right(one.code)]
        assert options, wanted
        code = options[-1]
    assert "norm" not in code
    assert norm_is_right(code)


def test_a_rewrite_says_which_arrays_it_is_about():
    assert {frozenset({"mean"}), frozenset({"x"})} <= {one.about for one in rewrites(NORM)}


def test_guidance_prefers_the_costliest_array():
    def share(counters):
        answers = [Schedule(seed).propose(prompt(counters=counters)) for seed in range(60)]
        about = {normal(one.code): one.about for one in rewrites(NORM)}
        return sum("weight" in about[normal(code_of(a, "kernel").code)] for a in answers) / len(answers)

    assert share("costliest array: weight") > share("") + 0.1


@pytest.mark.parametrize("code", [NORM, SUM])
def test_changed_kernels_are_in_normal_form(code):
    for one in (*mutants(code), *rewrites(code)):
        assert one.normal == normal(one.code)


@pytest.mark.parametrize("code", [NORM, SUM])
def test_every_mutant_differs_from_its_parent_and_from_the_others(code):
    found = [normal(one.code) for one in mutants(code)]
    assert len(set(found)) == len(found) > 15
    assert normal(code) not in found


def test_every_operator_of_the_mutations_finds_work_and_most_of_it_is_wrong():
    for operator in OPERATORS:
        assert mutants(NORM, (operator,)) or mutants(SUM, (operator,)), operator.__name__
    serial = [one for one in mutants(NORM) if "prange" not in one.code]
    assert sum(map(norm_is_right, (one.code for one in serial))) < 0.25 * len(serial)


def test_mutating_leaves_the_tree_as_it_was():
    assert mutants(NORM) == mutants(NORM)
    alone = sum(len(mutants(NORM, (operator,))) for operator in OPERATORS)
    assert alone >= len(mutants(NORM))


@pytest.mark.parametrize(
    "proposer", [Mutations(3), Schedule(3), Schedule(3, (1, 2, 3))], ids=lambda p: p.name
)
def test_nothing_is_proposed_twice_and_everything_can_be_repeated(proposer):
    codes = conversation(proposer, 10)
    assert all(codes)
    assert len(set(map(normal, codes))) == 10
    assert normal(NORM) not in map(normal, codes)
    assert conversation(proposer, 10) == codes


def test_another_seed_proposes_something_else():
    assert conversation(Schedule(0), 4) != conversation(Schedule(1), 4)
    assert conversation(Mutations(0), 4) != conversation(Mutations(1), 4)


def test_exhaustion_and_a_missing_parent_are_answers_without_code():
    tiny = Prompt("nothing", "kernel(x)", parent="def kernel(x):\n    return x").text()
    bare = Prompt("nothing", "kernel(x)").text()
    for proposer in (Mutations(), Schedule()):
        for asked in (tiny, bare):
            assert code_of(proposer.propose(asked), "kernel").kind == "refusal"


def test_templates_take_the_longest_key_and_all_choices():
    table = {
        "norm": [Template("def kernel(x):\n    return <n>\n", {"n": ["1", "2", "3"]})],
        "no": [Template("def kernel(x):\n    return 0\n")],
    }
    found = conversation(Templates(table), 3)
    assert sorted(code[-2] for code in found) == ["1", "2", "3"]
    assert len(conversation(Templates(table), 4)) == 4
    assert code_of(Templates({"softmax": []}).propose(prompt()), "kernel").kind == "refusal"


def test_an_ensemble_asks_its_members_by_weight():
    class Fixed:
        def __init__(self, name):
            self.name = name

        def propose(self, prompt, history=()):
            return self.name

    both = Ensemble([Fixed("a"), Fixed("b")], weights=[1, 3], seed=5)
    assert isinstance(both, Proposer)
    answers = [both.propose(f"prompt {i}") for i in range(200)]
    assert 0.6 < answers.count("b") / 200 < 0.9
    assert both.name == "a + b"
    assert answers == [both.propose(f"prompt {i}") for i in range(200)]


@pytest.mark.parametrize(
    ("members", "weights"), [([], None), ([Mutations()], [1, 2]), ([Mutations()], [0]), ([Mutations()], [-1])]
)
def test_an_ensemble_that_cannot_answer_is_refused(members, weights):
    with pytest.raises(WorkbenchError, match="an ensemble"):
        Ensemble(members, weights)
