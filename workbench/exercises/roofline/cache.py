"""A cache that forgets what was not used for longest."""

from collections import OrderedDict

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise


def misses(addresses: np.ndarray, line: int, lines: int) -> int:
    held: list[int] = []
    missed = 0
    for address in addresses:
        number = int(address) // line
        if number in held:
            held.remove(number)
        else:
            missed += 1
            if len(held) == lines:
                held.pop(0)
        held.append(number)
    return missed


def by_ordered_dictionary(addresses: np.ndarray, line: int, lines: int) -> int:
    """A dictionary that remembers the order: what is used moves to its end."""
    held: OrderedDict[int, None] = OrderedDict()
    missed = 0
    for number in (np.asarray(addresses) // line).tolist():
        missed += number not in held
        held[number] = None
        held.move_to_end(number)
        if len(held) > lines:
            held.popitem(last=False)
    return missed


def by_reuse_distance(addresses: np.ndarray, line: int, lines: int) -> int:
    """No cache at all: an access misses if `lines` other lines or more were used since its own."""
    numbers = (np.asarray(addresses) // line).tolist()
    last: dict[int, int] = {}
    missed = 0
    for now, number in enumerate(numbers):
        missed += number not in last or len(set(numbers[last[number] + 1 : now])) >= lines
        last[number] = now
    return missed


def by_times_of_use(addresses: np.ndarray, line: int, lines: int) -> int:
    """Keeps the time of last use of every line it holds."""
    used: dict[int, int] = {}
    missed = 0
    for now, address in enumerate(addresses):
        number = int(address // line)
        if number not in used:
            missed += 1
            if len(used) == lines:
                del used[min(used, key=used.__getitem__)]
        used[number] = now
    return missed


def first_in_first_out(addresses, line, lines):
    held: list[int] = []
    missed = 0
    for number in (np.asarray(addresses) // line).tolist():
        if number not in held:
            missed += 1
            held = [*held, number][-lines:]
    return missed


def newest_goes(addresses, line, lines):
    held: list[int] = []
    missed = 0
    for number in (np.asarray(addresses) // line).tolist():
        if number in held:
            held.remove(number)
        else:
            missed += 1
            held = held[: lines - 1]
        held.append(number)
    return missed


def never_forgets(addresses, line, lines):
    return len(np.unique(np.asarray(addresses) // line))


def elements_for_lines(addresses, line, lines):
    return misses(addresses, 1, lines)


def one_line_less(addresses, line, lines):
    return misses(addresses, line, lines - 1) if lines > 1 else len(addresses)


def one_line_more(addresses, line, lines):
    return misses(addresses, line, lines + 1)


def only_the_last_line(addresses, line, lines):
    return misses(addresses, line, 1)


def a_place_for_each_line(addresses, line, lines):
    held: dict[int, int] = {}
    missed = 0
    for number in (np.asarray(addresses) // line).tolist():
        missed += held.get(number % lines) != number
        held[number % lines] = number
    return missed


def hits(addresses, line, lines):
    return len(addresses) - misses(addresses, line, lines)


@st.composite
def walks(draw: st.DrawFn) -> tuple[np.ndarray, int, int]:
    """Addresses that come back to what was there: rows, columns, and jumps among a few lines."""
    line, lines = draw(st.sampled_from((8, 16, 64))), draw(st.integers(1, 6))
    width = draw(st.integers(1, 3 * lines)) * line
    length = draw(st.integers(1, 80))
    if draw(st.booleans()):
        step = draw(st.sampled_from((4, 8, line, 2 * line)))
        return np.arange(length) * step % width, line, lines
    jumps = draw(st.lists(st.integers(0, width - 1), min_size=length, max_size=length))
    return np.array(jumps), line, lines


ROWS = np.arange(32) * 8
AGAIN = np.tile(np.arange(5) * 64, 4)  # one line more than a cache of four holds
KEPT = np.array([0, 64, 0, 128, 0, 192, 0, 256, 0]) % 320

EXERCISE = Exercise(
    "roofline/cache",
    misses,
    walks(),
    signature="misses(addresses, line, lines) -> int",
    ask="""
    A cache holds `lines` lines of `line` bytes each. Line number n holds the bytes from n·line to
    n·line + line − 1. The program reads one element at each of the `addresses`, in this order, and no
    element crosses from one line into the next. If its line is not in the cache, that is a miss: the line
    comes in. If the cache is full, the line that was not *used* for longest goes. The cache is
    empty at first. Return how many misses there are.
    """,
    examples=[
        (ROWS, 64, 4),
        (AGAIN, 64, 4),
        (AGAIN, 64, 5),
        (KEPT, 64, 2),
        (np.array([0, 63, 64, 0]), 64, 1),
        (np.array([7]), 8, 3),
    ],
    wrong_answers={
        "what came in first goes first": (
            first_in_first_out,
            "A line that was just used again is not the oldest any more. What must happen on a hit?",
        ),
        "the newest line goes": (
            newest_goes,
            "The line that goes is the one that was not used for longest. At which end of your list is it?",
        ),
        "nothing ever goes": (
            never_forgets,
            "This counts the lines that were ever touched. What if they do not all fit?",
        ),
        "every address is a line of its own": (
            elements_for_lines,
            "A miss brings in a whole line. Which addresses share a line?",
        ),
        "the cache is one line too small": (
            one_line_less,
            "Lines that fit exactly may all stay. When does one have to go?",
        ),
        "the cache is one line too large": (
            one_line_more,
            "Look at the moment when a line goes: before the new one comes in, or after?",
        ),
        "only the last line is kept": (
            only_the_last_line,
            "The cache has room for `lines` lines. Yours seems to have room for one.",
        ),
        "each line has one fixed place": (
            a_place_for_each_line,
            "Here a line may stand anywhere in the cache. Real caches do have sets, but not this one.",
        ),
        "hits are returned": (hits, "This is the number of accesses that did not miss."),
    },
    also_right=[by_ordered_dictionary, by_reuse_distance, by_times_of_use],
    hints=[
        "The number of a line is `address // line`. Keep a list of the numbers that are in the cache.",
        "Let the order of the list be the order of use: whatever is used moves to the end.",
        "On a miss, when the list is full, the first one goes: `held.pop(0)`. Then the new one is appended.",
    ],
    explanation="""
    The list is always in the order of last use, so the first one is the line to give up. Another way needs no
    cache at all: an access hits exactly if fewer than `lines` other lines were used since the last use of its
    own. That number is its *reuse distance*, and one list of them gives the misses of caches of every size.
    """,
    rtol=0,
    atol=0,
)
