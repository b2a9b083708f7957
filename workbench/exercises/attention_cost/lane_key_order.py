"""Which query and which key does one lane hold in each step, when all lanes share one stream of keys?"""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise


def lane_order(lane: int, lanes: int, tokens: int, steps: int) -> np.ndarray:
    order = np.full((steps, 2), -1)
    for step in range(lane, steps):
        query = (step - lane) // tokens * lanes + lane
        if query < tokens:
            order[step] = query, step % tokens
    return order


def row_after_row(lane: int, lanes: int, tokens: int, steps: int) -> np.ndarray:
    """Writes one query after the other, its keys rolled so that the lane's own comes first."""
    keys = np.roll(np.arange(tokens), -lane)
    order = np.full((steps, 2), -1)
    for turn, query in enumerate(range(lane, tokens, lanes)):
        first = lane + turn * tokens
        order[first : first + tokens, 0] = query
        order[first : first + tokens, 1] = keys
    return order


def by_a_machine(lane: int, lanes: int, tokens: int, steps: int) -> np.ndarray:
    """A lane that sees the keys go by: it starts with its own number and changes its query there."""
    query, order = lane - lanes, []
    for step in range(steps):
        key = step % tokens
        if key == lane:
            query += lanes
        order.append((query, key) if 0 <= query < tokens else (-1, -1))
    return np.array(order)


def all_from_key_zero(lane, lanes, tokens, steps):
    return _ordered(steps, tokens, lambda t: (t // tokens * lanes + lane, t % tokens))


def from_minus_lane(lane, lanes, tokens, steps):
    return _ordered(steps, tokens, lambda t: (t // tokens * lanes + lane, (t - lane) % tokens))


def later_but_from_key_zero(lane, lanes, tokens, steps):
    return _ordered(steps, tokens, lambda t: ((t - lane) // tokens * lanes + lane, (t - lane) % tokens))


def wrapped_keys_dropped(lane, lanes, tokens, steps):
    order = lane_order(lane, lanes, tokens, steps)
    order[order[:, 1] < lane] = -1
    return order


def flushed_between_blocks(lane, lanes, tokens, steps):
    turn = tokens + lanes - 1

    def work(t):
        local = t % turn
        at_work = lane <= local < lane + tokens
        return (t // turn * lanes + lane if at_work else -1), local % tokens

    return _ordered(steps, tokens, work)


def changes_at_key_zero(lane, lanes, tokens, steps):
    order = all_from_key_zero(lane, lanes, tokens, steps)
    order[:lane] = -1
    return order


def neighbouring_queries(lane, lanes, tokens, steps):
    share = -(-tokens // lanes)

    def work(t):
        turn = (t - lane) // tokens
        return (lane * share + turn if 0 <= turn < share else -1), t % tokens

    return _ordered(steps, tokens, work)


def queries_that_do_not_exist(lane, lanes, tokens, steps):
    return _ordered(steps, steps, lambda t: ((t - lane) // tokens * lanes + lane, t % tokens))


def key_first(lane, lanes, tokens, steps):
    return np.ascontiguousarray(lane_order(lane, lanes, tokens, steps)[:, ::-1])


def _ordered(steps, queries, work):
    """(query, key) of each step, -1 where there is no such query."""
    found = [work(t) for t in range(steps)]
    return np.array([pair if 0 <= pair[0] < queries else (-1, -1) for pair in found])


def steps_of(lanes: int, tokens: int) -> int:
    blocks, rest = divmod(tokens + lanes - 1, lanes)
    return blocks * tokens + rest


@st.composite
def places(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """A lane of several, and tokens that seldom are a multiple of the lanes."""
    tokens = draw(st.integers(1, 17))
    lanes = draw(st.integers(1, min(tokens, 6)))
    return draw(st.integers(0, lanes - 1)), lanes, tokens, steps_of(lanes, tokens)


EXERCISE = Exercise(
    "attention-cost/lane-key-order",
    lane_order,
    places(),
    signature="lane_order(lane, lanes, tokens, steps) -> int array [steps, 2]",
    ask="""
    `lanes` lanes, numbered from 0, share one stream of keys: in step t = 0, 1, …, `steps` − 1 the key number
    t mod `tokens` goes by. Lane j works on the queries j, j + `lanes`, j + 2·`lanes`, … below `tokens`, one
    after the other. It begins its first query in step j, with key j. Each query stays for `tokens`
    steps and so meets every key once; the next one follows without a pause. Return an array of whole
    numbers [steps, 2] with (query, key) of this `lane` for every step, and (−1, −1) where it has nothing
    to do.
    1 ≤ `lanes` ≤ `tokens`, 0 ≤ `lane` < `lanes`.
    """,
    examples=[
        (0, 1, 3, steps_of(1, 3)),
        (1, 2, 4, steps_of(2, 4)),
        (2, 3, 7, steps_of(3, 7)),
        (1, 3, 7, steps_of(3, 7)),
        (3, 4, 12, steps_of(4, 12)),
        (0, 1, 1, 1),
        (4, 5, 5, steps_of(5, 5)),
    ],
    wrong_answers={
        "all lanes begin at key 0": (
            all_from_key_zero,
            "Then all lanes want a new query in the same step. In which step does lane j begin?",
        ),
        "the lane begins at key −j": (
            from_minus_lane,
            "In one step all lanes meet the *same* key, that of the stream. Which key goes by in step t?",
        ),
        "the lane begins later, but with key 0": (
            later_but_from_key_zero,
            "The stream does not wait for the lane: in step t the key is t mod `tokens`, for every lane.",
        ),
        "the wrapped keys are dropped": (
            wrapped_keys_dropped,
            "A row that begins at key j has not met the keys 0 to j − 1 when the stream comes to its end. "
            "They go by again.",
        ),
        "lanes wait for one another between two blocks": (
            flushed_between_blocks,
            "A lane that has ended its query takes the next one in the very next step, whatever others do.",
        ),
        "the query changes at key 0": (
            changes_at_key_zero,
            "Keys 0 to j − 1 of the second turn still belong to the first query. At which key does lane j "
            "change?",
        ),
        "each lane has neighbouring queries": (
            neighbouring_queries,
            "After query j comes query j + `lanes`, because the ones between belong to the other lanes.",
        ),
        "queries that do not exist": (
            queries_that_do_not_exist,
            "Queries end at `tokens` − 1. What does a lane do when its next one would lie behind that?",
        ),
        "the key comes first": (key_first, "The first column is the query, the second one the key."),
    },
    also_right=[row_after_row, by_a_machine],
    hints=[
        "The key is easy: `step % tokens`, the same for every lane. Only the query depends on the lane.",
        "Count the steps since the lane began: `step - lane`. Each query takes `tokens` of them.",
        "The query is `(step - lane) // tokens * lanes + lane`, if step ≥ lane and the result is below "
        "`tokens`.",
    ],
    explanation="""
    A row of scores is a sum over all keys, and a sum may begin anywhere. So lane j may begin at key j and
    wrap around. Then lanes begin one after the other, and a step needs one key for all lanes and one new
    query at most, however many lanes there are.
    """,
    rtol=0,
    atol=0,
)
