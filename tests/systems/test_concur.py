"""The language against numpy, curation against SQL and loops, the claims in the smoke budget."""

import sqlite3
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.exercises.roofline.curation import select
from workbench.systems.roofline import concur
from workbench.systems.roofline.concur import (
    ARMS,
    ARRAYS,
    ELEMENTWISE,
    FAST,
    LONGEST,
    OPERATIONS,
    REGISTERS,
    STEADY,
    SYSTEM,
    TEACHER,
    THINKING,
    VOCABULARY,
    Pool,
    Sample,
    Table,
    Teacher,
    choose,
    concise,
    curate,
    decode,
    difficulty,
    draw_tasks,
    encode,
    exam,
    fast,
    must_cut,
    new_student,
    passed,
    pool,
    prompt,
    reference,
    rows,
    run,
    speedup,
    write,
)


@pytest.fixture(autouse=True)
def own_build(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path_factory.getbasetemp() / "concur"))


# The language


@pytest.mark.parametrize("seed", range(5))
def test_a_kernel_with_every_cut_is_the_reference(seed):
    for task in draw_tasks(20, np.random.default_rng(seed)):
        came, passes = run(task)
        np.testing.assert_array_equal(came, reference(task))
        assert passes == len(task)
        assert speedup(task, task) == 1


def best(task):
    """The fewest passes of all right kernels, by trying every one of them."""
    choices = product(*[(name,) if i == 0 else (name, f"+{name}") for i, name in enumerate(task)])
    return max(speedup(task, tuple(kernel)) for kernel in choices)


def test_cuts_where_they_must_be_give_the_best_kernel():
    perfect = Teacher(skill=1.0, dithering=0.0, doubt=0.0)
    rng = np.random.default_rng(0)
    for task in draw_tasks(40, rng):
        sample = perfect.solve(task, rng)
        assert sample.length == len(task) - 1
        assert sample.speedup > 0
        # Some chains undo their own mistake, such as two relu: then a wrong fusion may be right after all.
        assert sample.speedup <= best(task)
    assert must_cut("centre", 1)
    assert must_cut("relu", REGISTERS)
    assert not must_cut("relu", REGISTERS - 1)


def test_a_reduction_inside_a_pass_sees_its_own_block_only():
    blocks = ARRAYS / np.abs(ARRAYS).max(-1, keepdims=True)
    np.testing.assert_allclose(run(("unit", "+shift"))[0], blocks + 1)
    assert speedup(("unit", "shift"), ("unit", "+shift")) == 0
    assert speedup(("shift", "unit"), ("shift", "+unit")) == 2


def test_what_is_executed_counts_not_which_words():
    assert speedup(("relu", "relu", "shift"), ("relu", "+shift")) == 3
    assert speedup(("negate", "square"), ("square",)) == 2
    assert speedup(("shift", "square"), ("square", "+shift")) == 0


def test_the_registers_end_a_pass():
    task = ("shift", "square", "tanh", "negate", "shift")
    assert speedup(task, task[:1] + tuple(f"+{name}" for name in task[1:])) == 0
    assert speedup(task, ("shift", "+square", "+tanh", "+negate", "shift")) == 2.5


@pytest.mark.parametrize(
    "kernel", [(), ("+relu",), ("relu", "wait"), ("relu", "+"), ("relu",) + ("+relu",) * 4]
)
def test_what_is_not_a_kernel_is_refused_and_worth_nothing(kernel):
    with pytest.raises(WorkbenchError, match=r"expected words|registers"):
        run(kernel)
    assert speedup(("relu", "shift"), kernel) == 0


def test_tasks_mean_something_and_differ():
    tasks = draw_tasks(200, np.random.default_rng(1))
    assert len(set(tasks)) == 200
    assert {len(task) for task in tasks} == set(range(2, LONGEST + 1))
    assert not concur.is_meaningful(("square", "negate", "relu"))
    assert not concur.is_meaningful(("centre", "unit", "square", "shift", "square", "negate", "relu"))


# The teacher


def test_the_last_thought_of_each_gap_is_the_kernel():
    rng = np.random.default_rng(2)
    for task in draw_tasks(50, rng):
        sample = Teacher(dithering=0.5).solve(task, rng)
        finals = " ".join(sample.trace).replace("fuse wait ", "").replace("cut wait ", "").split()
        assert finals == ["fuse" if word.startswith("+") else "cut" for word in sample.kernel[1:]]
        assert tuple(word.lstrip("+") for word in sample.kernel) == task
        assert len(task) - 1 <= sample.length <= THINKING


def test_without_dithering_all_traces_of_a_task_are_equally_long():
    rng = np.random.default_rng(3)
    for task in draw_tasks(10, rng):
        assert {STEADY.solve(task, rng).length for _ in range(5)} == {len(task) - 1}


def test_more_dithering_makes_longer_traces_and_more_skill_better_kernels():
    tasks = draw_tasks(100, np.random.default_rng(4))

    def taught(teacher):
        rng = np.random.default_rng(5)
        found = [teacher.solve(task, rng) for task in tasks]
        return np.mean([s.length for s in found]), np.mean([s.speedup for s in found])

    lengths = [taught(Teacher(dithering=d))[0] for d in (0.0, 0.2, 0.4)]
    speeds = [taught(Teacher(skill=s))[1] for s in (0.4, 0.65, 0.9)]
    assert lengths == sorted(lengths)
    assert speeds == sorted(speeds)


@pytest.mark.parametrize("wrong", [{"skill": 1.2}, {"dithering": 0.7}, {"doubt": 0.9}, {"dithering": -0.1}])
def test_a_teacher_with_impossible_numbers_is_refused(wrong):
    with pytest.raises(WorkbenchError, match="must lie between"):
        Teacher(**wrong)


# Curation


@st.composite
def tables(draw):
    n = draw(st.integers(0, 25))
    columns = [draw(st.lists(st.integers(0, top), min_size=n, max_size=n)) for top in (4, 3, 4)]
    return Table(*(np.array(c, kind) for c, kind in zip(columns, (int, int, float), strict=True)))


QUERY = """
    SELECT row FROM samples AS s WHERE speedup > 0
    AND length = (SELECT MIN(length) FROM samples WHERE task = s.task)
    AND speedup = (SELECT MAX(speedup) FROM samples WHERE task = s.task)
    ORDER BY row
"""


@given(tables())
def test_parts_a_and_b_are_the_query_in_sql_and_the_exercise(table):
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE samples (row INTEGER, task INTEGER, length INTEGER, speedup REAL)")
    columns = (table.task.tolist(), table.length.tolist(), table.speedup.tolist())
    db.executemany(
        "INSERT INTO samples VALUES (?, ?, ?, ?)", zip(range(len(table.task)), *columns, strict=True)
    )
    expected = [row for (row,) in db.execute(QUERY)]
    db.close()
    assert concise(table).tolist() == expected
    if len(table.task):
        right = table.speedup > 0
        both = np.union1d(concise(table), fast(table, 3.0))
        np.testing.assert_array_equal(
            select(table.task, table.length, table.speedup + 5 * ~right, right, 3.0), both
        )


def test_curation_against_loops():
    found = pool(3, "smoke")
    table, samples = found.table, found.samples
    kept = {}
    for task in {s.task for s in samples}:
        mine = [s for s in samples if s.task == task]
        shortest, top = min(s.length for s in mine), max(s.speedup for s in mine)
        wanted = [
            s
            for s in mine
            if s.speedup > 0
            and ((s.length == shortest and s.speedup == top) or s.speedup > FAST or len(s.task) == 2)
        ]
        if wanted:
            kept[task] = min(wanted, key=lambda s: (-s.speedup, s.length))
    came = [samples[row] for row in curate(samples)]
    assert len(came) == len({s.task for s in came}) == len(kept)
    for sample in came:
        assert (sample.speedup, sample.length) == (kept[sample.task].speedup, kept[sample.task].length)
    assert (table.speedup[fast(table)] > FAST).all()


def test_every_choice_is_what_it_says():
    found = pool(0, "smoke")
    chosen = {arm: choose(arm, found, 12, np.random.default_rng(7)) for arm in ARMS}
    assert all(len(samples) <= 12 for samples in chosen.values())
    pairs = list(zip(chosen["ConCuR"], chosen["same speed"], strict=True))
    assert all((a.task, a.speedup) == (b.task, b.speedup) for a, b in pairs)
    assert all(a.length <= b.length for a, b in pairs if a.speedup <= FAST and len(a.task) > 2)
    assert all(s.speedup > 0 for s in chosen["right"])
    lengths = sorted(s.length for s in found.samples)
    assert sorted(s.length for s in chosen["shortest"]) == lengths[:12]
    assert sorted(s.length for s in chosen["longest"]) == lengths[-12:]
    assert min(s.speedup for s in chosen["fastest"]) == sorted(s.speedup for s in found.samples)[-12]


def test_no_held_out_task_is_ever_taught():
    for seed, teacher in product(range(3), (TEACHER, STEADY)):
        found = pool(seed, "smoke", teacher)
        assert not {s.task for s in found.samples} & set(found.held_out)
        assert pool(seed, "smoke", TEACHER).held_out == found.held_out


def test_difficulty_by_reasoning_length():
    assert [difficulty(length) for length in (1.0, 4.0, 8.5, 9.0)] == ["easy", "medium", "medium", "hard"]
    rng = np.random.default_rng(0)
    short, long = (concur.reasoning_length(("relu",) * n, TEACHER, rng) for n in (2, 7))
    assert short < long


# The student


def test_words_and_tokens_are_the_same_thing():
    rng = np.random.default_rng(6)
    for task in draw_tasks(30, rng):
        sample = TEACHER.solve(task, rng)
        tokens = encode(sample)
        assert tokens[: LONGEST + 1] == prompt(task)
        assert decode(task, [*tokens, 0, 0]) == sample
        assert decode(task, tokens[:-1]).kernel == ()  # it never ended
        assert len(tokens) <= concur.PLACES
    assert len(set(VOCABULARY)) == len(VOCABULARY) == 7 + 2 * len(OPERATIONS)


def test_the_loss_asks_for_trace_and_kernel_alone():
    sample = Sample(("relu", "shift"), ("fuse",), ("relu", "+shift"))
    longer = Sample(("relu", "unit", "shift"), ("fuse", "wait", "cut", "cut"), ("relu", "unit", "shift"))
    X, Y = rows([sample, longer])
    assert X.dtype == torch.float32
    asked = Y[0][Y[0] != concur.NOT_ASKED].tolist()
    assert [VOCABULARY[t] for t in asked] == ["fuse", "kernel", "relu", "+shift", "end"]
    assert (Y[:, :LONGEST] == concur.NOT_ASKED).all()
    uniform = torch.zeros(*Y.shape, len(VOCABULARY))
    assert concur.next_token(uniform, Y).item() == pytest.approx(np.log(len(VOCABULARY)))


def test_a_student_learns_to_write_what_it_reads():
    """A few steps on one easy habit: always cut. Its kernels are run, and all are right."""
    tasks = draw_tasks(60, np.random.default_rng(8))
    samples = [Sample(task, ("cut",) * (len(task) - 1), task) for task in tasks]
    model = concur.pretrained(samples, 0, 120).model
    written = write(model, tasks[:10], attempts=2, temperature=0)
    assert np.mean([s.speedup > 0 for row in written for s in row]) >= 0.8
    assert [s.task for row in written for s in row] == [t for t in tasks[:10] for _ in range(2)]


def test_pass_rates():
    speeds = np.array([[0.0, 1.0], [0.0, 0.0], [2.0, 1.0], [0.0, 3.0]])
    assert passed(speeds) == (50.0, 75.0)


# The claims


def test_alike_rows_have_one_task_and_one_speed():
    found = pool(1, "smoke")
    for row in range(len(found.samples)):
        same = concur.alike(found.table, row)
        assert row in same
        assert {(found.samples[r].task, found.samples[r].speedup) for r in same} == {
            (found.samples[row].task, found.samples[row].speedup)
        }


def test_the_correlation_follows_the_teacher():
    usual, rash = (concur.length_and_speed(t, 0, "lesson") for t in (TEACHER, concur.RASH))
    assert abs(usual) < 0.1
    assert rash < -0.2


def test_exams_are_repeatable_and_differ_by_choice():
    exam.cache_clear()
    first = exam("random", 0, "smoke")
    exam.cache_clear()
    np.testing.assert_array_equal(first, exam("random", 0, "smoke"))
    assert first.shape == (12, 2)


@pytest.mark.parametrize("claim", SYSTEM.claims, ids=lambda claim: claim.id)
def test_claims_in_smoke(claim):
    if claim.needs:
        assert claim.needs == "LLM"
        return
    for measure in (claim.measure, claim.control):
        value = measure(0, "smoke")
        assert np.isfinite(getattr(value, "value", value))


def test_shuffled_numbers_choose_other_samples():
    found = pool(0, "smoke")
    assert isinstance(found, Pool)
    dealt = replace(found.table, length=found.table.length[::-1], speedup=found.table.speedup[::-1])
    assert set(curate(found.samples, dealt)) != set(curate(found.samples))
    assert len(ELEMENTWISE) + 3 == len(OPERATIONS)
    assert new_student().vocabulary == len(VOCABULARY)
