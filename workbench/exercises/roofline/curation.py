"""Which samples are kept for training: short and fast at once, or very fast."""

from collections import defaultdict

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise


def select(
    task: np.ndarray, length: np.ndarray, speedup: np.ndarray, right: np.ndarray, threshold: float
) -> np.ndarray:
    speed = np.where(right, speedup, 0.0)
    kept = speed > threshold
    for number in np.unique(task):
        mine = task == number
        shortest, fastest = length[mine].min(), speed[mine].max()
        if fastest > 0:
            kept |= mine & (length == shortest) & (speed == fastest)
    return np.flatnonzero(kept)


def by_loops(task, length, speedup, right, threshold):
    """One row after the other is held against all rows of its task."""
    rows: dict[int, list[int]] = defaultdict(list)
    for row, number in enumerate(task.tolist()):
        rows[number].append(row)
    speed = [s if ok else 0.0 for s, ok in zip(speedup.tolist(), right.tolist(), strict=True)]
    kept = set()
    for row, number in enumerate(task.tolist()):
        others = rows[number]
        concise = all(length[row] <= length[o] and speed[row] >= speed[o] for o in others)
        if speed[row] > 0 and (concise or speed[row] > threshold):
            kept.add(row)
    return np.array(sorted(kept), int)


def by_sorting(task, length, speedup, right, threshold):
    """The best pair (length, -speed) of each task, if no row of the task is faster."""
    speed = speedup * right
    order = np.lexsort((-speed, length, task))
    first = order[np.r_[True, np.diff(task[order]) != 0]]
    best = {int(task[r]): (length[r], speed[r]) for r in first}
    top = {int(t): speed[task == t].max() for t in np.unique(task)}
    concise = [
        row
        for row, t in enumerate(task.tolist())
        if speed[row] > 0 and (length[row], speed[row]) == best[t] and speed[row] == top[t]
    ]
    return np.union1d(np.array(concise, int), np.flatnonzero(speed > threshold))


def _parts(task, length, speed, threshold, *, over=None):
    """Rows of (a) and of (b), for given speeds; `over` says which rows the shortest is taken of."""
    concise = []
    for number in np.unique(task):
        mine = np.flatnonzero(task == number)
        among = mine if over is None else mine[over[mine]]
        if not len(among) or speed[mine].max() <= 0:
            continue
        shortest = length[among].min()
        concise += [r for r in mine if length[r] == shortest and speed[r] == speed[mine].max()]
    return sorted(concise), np.flatnonzero(speed > threshold).tolist()


def _rows(*parts):
    return np.array(sorted(set().union(*parts)), int)


def shortest_of_all(task, length, speedup, right, threshold):
    _, fast = _parts(task, length, speedup * right, threshold)
    speed = speedup * right
    top = {int(t): speed[task == t].max() for t in np.unique(task)}
    short = [r for r, t in enumerate(task.tolist()) if length[r] == length.min() and 0 < speed[r] == top[t]]
    return _rows(short, fast)


def wrong_kernels_keep_their_speed(task, length, speedup, right, threshold):
    return _rows(*_parts(task, length, speedup, threshold))


def one_row_of_a_tie(task, length, speedup, right, threshold):
    concise, fast = _parts(task, length, speedup * right, threshold)
    first = {int(task[r]): r for r in reversed(concise)}
    return _rows(first.values(), fast)


def no_row_of_a_tie(task, length, speedup, right, threshold):
    concise, fast = _parts(task, length, speedup * right, threshold)
    alone = [r for r in concise if sum(task[o] == task[r] for o in concise) == 1]
    return _rows(alone, fast)


def counted_twice(task, length, speedup, right, threshold):
    concise, fast = _parts(task, length, speedup * right, threshold)
    return np.array(sorted(concise + fast), int)


def shortest_of_the_right_ones(task, length, speedup, right, threshold):
    return _rows(*_parts(task, length, speedup * right, threshold, over=right))


def shortest_whatever_its_speed(task, length, speedup, right, threshold):
    short = [r for r in range(len(task)) if right[r] and length[r] == length[task == task[r]].min()]
    return _rows(short, _parts(task, length, speedup * right, threshold)[1])


def fastest_whatever_its_length(task, length, speedup, right, threshold):
    speed = speedup * right
    quick = [r for r in range(len(task)) if 0 < speed[r] == speed[task == task[r]].max()]
    return _rows(quick, _parts(task, length, speed, threshold)[1])


def only_the_concise(task, length, speedup, right, threshold):
    return _rows(_parts(task, length, speedup * right, threshold)[0])


def both_at_once(task, length, speedup, right, threshold):
    concise, fast = _parts(task, length, speedup * right, threshold)
    return _rows(set(concise) & set(fast))


def the_threshold_itself(task, length, speedup, right, threshold):
    concise, _ = _parts(task, length, speedup * right, threshold)
    return _rows(concise, np.flatnonzero(speedup * right >= threshold).tolist())


def a_mask(task, length, speedup, right, threshold):
    return np.isin(np.arange(len(task)), select(task, length, speedup, right, threshold)).astype(int)


Case = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]


@st.composite
def samples(draw: st.DrawFn) -> Case:
    """A few tasks with a few samples each, in any order; lengths and speeds that often tie."""
    n = draw(st.integers(1, 16))

    def column(values: st.SearchStrategy) -> list:
        return draw(st.lists(values, min_size=n, max_size=n))

    task = np.array(column(st.sampled_from((2, 3, 5, 8))))
    length = np.array(column(st.integers(3, 6)))
    speedup = np.array(column(st.sampled_from((0.5, 1.0, 2.0, 4.0, 5.0, 6.0))))
    right = np.array(column(st.sampled_from((True, True, False))))
    return task, length, speedup, right, draw(st.sampled_from((2.0, 5.0)))


def case(rows: list[tuple[int, int, float, bool]], threshold: float = 5.0) -> Case:
    task, length, speedup, right = zip(*rows, strict=True)
    return np.array(task), np.array(length), np.array(speedup, float), np.array(right), threshold


EXERCISE = Exercise(
    "roofline/curation",
    select,
    samples(),
    signature="select(task, length, speedup, right, threshold) -> int array [kept]",
    ask="""
    A teacher wrote n samples. Sample r belongs to the task with the number `task[r]`. Its trace has
    `length[r]` words. Its kernel was `speedup[r]` times as fast as the plain one, and `right[r]` says whether
    it passed its test. All four are arrays [n], n ≥ 1, in no particular order; task and length are integers,
    speedup floats above 0, right bool. A kernel that is not right counts as speedup 0; its trace still
    counts as one of its task.

    Return the numbers of all samples that are kept, ascending, each once:
    (a) samples that are right, whose trace is the shortest of their task, and whose speedup is also the
    highest of their task; and (b) samples whose speedup is above `threshold`. Where samples of a task share
    the shortest length and the highest speedup, (a) keeps them all.
    """,
    examples=[
        case([(0, 4, 2.0, True), (0, 6, 1.0, True), (1, 5, 1.0, True), (1, 7, 3.0, True)]),
        case([(0, 4, 2.0, True), (0, 4, 2.0, True), (1, 3, 1.0, True), (1, 3, 1.0, False)]),
        case([(0, 4, 9.0, False), (0, 5, 2.0, True), (1, 5, 9.0, False), (1, 4, 2.0, True)]),
        case([(0, 4, 6.0, True), (0, 5, 7.0, True), (1, 6, 5.0, True), (1, 5, 2.0, True)]),
        case([(3, 9, 8.0, True), (1, 5, 1.0, True), (3, 9, 6.0, True), (1, 6, 1.0, True)]),
        case([(0, 4, 3.0, False), (0, 5, 4.0, False)]),
        case([(7, 4, 1.0, True)]),
    ],
    wrong_answers={
        "the shortest of all tasks": (
            shortest_of_all,
            "A long task needs a longer trace than a short one. Shortest among which samples?",
        ),
        "wrong kernels keep their speedup": (
            wrong_kernels_keep_their_speed,
            "A wrong kernel may be very fast. What does its speed count?",
        ),
        "one row of a tie": (
            one_row_of_a_tie,
            "Two samples of a task may share the shortest length and the highest speedup. How many stay?",
        ),
        "ties are dropped": (
            no_row_of_a_tie,
            "Where two samples tie, each of them still is the shortest and the fastest. Are they both lost?",
        ),
        "samples of both parts are counted twice": (
            counted_twice,
            "A sample may be chosen by (a) and by (b). How often should the student read it?",
        ),
        "the shortest of the right ones": (
            shortest_of_the_right_ones,
            "If the shortest trace of a task ends in a wrong kernel, does the next one take its place?",
        ),
        "the shortest, whatever its speed": (
            shortest_whatever_its_speed,
            "Part (a) asks for two things at once. You look at the length; what is the other?",
        ),
        "the fastest, whatever its length": (
            fastest_whatever_its_length,
            "Part (a) asks for two things at once. You look at the speed; what is the other?",
        ),
        "only part (a)": (
            only_the_concise,
            "A very fast kernel is kept even if its trace is long. Where is part (b)?",
        ),
        "both parts at once": (
            both_at_once,
            "One reason is enough for a sample to be kept. Do you ask for both?",
        ),
        "the threshold itself is enough": (
            the_threshold_itself,
            "Look at a sample whose speedup is exactly the threshold. Is it above it?",
        ),
        "a mask": (
            a_mask,
            "Asked for are the numbers of the kept samples. `np.flatnonzero` makes them of a mask.",
        ),
    },
    also_right=[by_loops, by_sorting],
    hints=[
        "Begin with `speed = np.where(right, speedup, 0)`. Now a wrong kernel cannot be the fastest.",
        "For each task: `mine = task == number`. Take `length[mine].min()` and `speed[mine].max()`.",
        "Keep `mine & (length == shortest) & (speed == fastest)` if the fastest is above 0. Join it by `|` "
        "with `speed > threshold`, so that nothing is counted twice.",
    ],
    explanation="""
    A mask over all samples makes the union free: a sample that is chosen for two reasons is still one `True`.
    Nothing is chosen from a task whose kernels are all wrong, and nothing by (a) from a task whose shortest
    trace leads to a slower or a wrong kernel.
    """,
    rtol=0,
    atol=0,
)
