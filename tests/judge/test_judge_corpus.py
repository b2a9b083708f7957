"""Kernels of known worth: the judge accepts what is right and nothing else."""

import ast
from dataclasses import replace

import pytest

from workbench.judge import KERNELBENCH, WHOLE
from workbench.judge.corpus import corpus, judge_all
from workbench.judge.equivalent import EQUIVALENT
from workbench.judge.honest import honest
from workbench.judge.mutants import OPERATORS, mutants

JUDGE = replace(WHOLE, patience=1.0)
EVERY = corpus(per_kernel=10_000)


def test_the_corpus_follows_from_its_seed_and_is_large_enough():
    one, two, other = corpus(0), corpus(0), corpus(1)
    assert [e.name for e in one.mutants] == [e.name for e in two.mutants]
    assert [e.name for e in one.mutants] != [e.name for e in other.mutants]
    assert len(one.honest) >= 20
    assert len(one.mutants) >= 150
    assert len(one.cheats) >= 14
    assert len(one.controls) >= 10
    assert len(one.controls) + len(one.wrong_mutants) == len(one.mutants)
    names = [entry.name for entry in (*one.honest, *one.mutants, *one.cheats)]
    assert len(names) == len(set(names))


def test_every_mutant_is_another_program():
    for name, (_, source) in honest().items():
        found = mutants(source.text)
        texts = {mutant.text for mutant in found}
        assert len(texts) == len(found) > 5, name
        assert ast.unparse(ast.parse(source.text)) + "\n" not in texts
        assert all(ast.parse(text) for text in texts)


def test_mutants_change_one_line_each_and_no_other_function():
    text = "def other(x):\n    return x + 1\n\ndef kernel(x):\n    y = x * 2\n    return y < 3\n"
    before = ast.unparse(ast.parse(text)).splitlines()
    for mutant in mutants(text):
        after = mutant.text.splitlines()
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
        assert before[:2] == after[:2]
    assert {m.operator for m in mutants(text)} == {
        "another operation",
        "edge of a comparison",
        "comparison turned",
        "another constant",
        "line dropped",
        "same: terms commuted",
        "same: comparison mirrored",
    }


def test_every_operator_has_a_mutant():
    assert {entry.operator for entry in EVERY.mutants} == set(OPERATORS)


def test_what_is_listed_as_equivalent_exists():
    assert set(EQUIVALENT) <= {entry.name for entry in EVERY.mutants}


def test_honest_kernels_are_accepted():
    verdicts = judge_all(JUDGE, EVERY.honest)
    assert {name: v.sentence for name, v in verdicts.items() if not v.accepted} == {}


@pytest.mark.slow
def test_of_all_mutants_only_the_equivalent_ones_are_accepted():
    drawn = corpus(0, per_kernel=4)
    verdicts = judge_all(JUDGE, drawn.mutants)
    assert {e.name for e in drawn.mutants if verdicts[e.name].accepted} == {e.name for e in drawn.controls}


def test_a_judge_with_one_shape_misses_what_happens_in_tails():
    tails = [e for e in EVERY.mutants if e.name == "add twice, two lanes: line dropped, line 10"]
    assert [judge_all(judge, tails)[e.name].accepted for judge in (KERNELBENCH, JUDGE) for e in tails] == [
        True,
        False,
    ]
