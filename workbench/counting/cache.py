"""The cache simulator: a state machine in two flat arrays, so that a call passes few words.

Memory is numbered in *lines*, 0 to `lines` - 1. That space is compact, because whoever simulates places the
arrays in it (`layout.py`), so a table by line replaces every search. Four numbers of `book` belong to a line:

- 1, 2, 3: the slot of L1, L2, L3 that holds the line, or 0;
- 0: its slot in L1 once more, as long as a further access can change nothing but that slot's time of last
  use and its dirty mark, or 0.

The last is what makes counting fast. Generated code does the common case itself,

    slot = book[line << 2]
    if slot == 0:
        slot = visit(book, memory, address, pair, store, now)
    memory[slot] = now
    memory[slot + tags] |= DIRTY        # if it stores
    now += 1

and everything else is `visit`. Under LRU a line may stay fast while it is in L1. Where order matters more
(tree-PLRU: within a set; miss classes and reuse distances: among all lines), only the line last accessed
stays fast, since only its repetition changes nothing.

`memory` holds a header, then for every slot the time of its last use, then for every slot its tag, then the
tables that the header points at. A *pair* numbers who accesses: array * sites + site, for a place in the
source (site) and an array.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import njit

from workbench.counting.geometry import MOST_LEVELS, POLICIES, Geometry

# Without reference counts: numba would count the two arrays up and down, atomically, in every call.
WITHOUT: dict[str, Any] = {"_nrt": False}
compiled = njit(cache=True, **WITHOUT)
inlined = njit(cache=True, forceinline=True, **WITHOUT)  # on the way of every miss

# The header. Names of tables are their offsets; 0: there is no such table. A tag lies TAGS after its slot.
(NOW, SHIFT, LINES, LEVELS, SITES, TAGS, GROUPS, GRANTED, OWNER, BYPASSED, REUSE, LOG, LOGGED, LOG_ROOM) = (
    range(14)
)
RANDOM = 14
FIRST_LEVEL = 32  # fields from 16 on are those of `runs.py`
(SETS, WAYS, POLICY, ALLOCATE, INCLUSIVE, PREFETCH, SLOTS, TREE, MISSES, WRITEBACKS, PREFETCHED) = range(11)
(SHADOW, SHADOW_ROOM, SHADOW_HELD, MAP, MAP_TIME, MAP_PLACE) = range(11, 17)
LEVEL = 20  # room for one level's fields
HEADER = FIRST_LEVEL + MOST_LEVELS * LEVEL

SCRATCH = HEADER  # the slot of what is in no cache
BOOK = 4  # numbers a line in the book; the first is for the fast case
# A tag is 4 * (line + 1) + FRESH (prefetched and not yet used) + DIRTY; an empty slot has tag and time 0.
DIRTY, FRESH = 1, 2

LRU, PLRU, ANY = range(3)
# The kinds of a miss; 0 where they were not asked for.
COMPULSORY, CAPACITY, CONFLICT = 1, 2, 3
KINDS = 4
NEVER = -1  # GROUPS: no line may be fast, since every single access is looked at
LOG_FIELDS = 4  # pair, address, whether it stores, the level that held it (LEVELS: memory)
MAP_TIMES, MAP_PLACES = 256, 128  # cells are powers of two wide, in accesses and lines


def new_state(
    geometry: Geometry,
    lines: int,
    owners: np.ndarray,
    arrays: int,
    sites: int,
    classes: bool = False,
    reuse: bool = False,
    log: int = 0,
    tables: Mapping[int, int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """`book` [4 * lines] and `memory` for empty caches.

    `owners` [lines]: which array each line belongs to. `classes` splits misses, `reuse` measures reuse
    distances, `log` keeps so many accesses in order, `tables` asks for room of so many numbers for a field
    of the header.
    """
    header = np.zeros(HEADER, np.int64)
    slots = 1 + sum(geometry.sets(level) * geometry.ways(level) for level in geometry.levels)
    next_slot, size = SCRATCH + 1, HEADER + 2 * slots

    def table(length: int) -> int:
        nonlocal size
        size += length
        return size - length

    header[[NOW, SHIFT, LINES, LEVELS]] = 1, geometry.line.bit_length() - 1, lines, len(geometry.levels)
    header[[SITES, TAGS, OWNER, RANDOM]] = sites, slots, table(lines), 0x2545F491
    header[BYPASSED] = table(arrays * sites)
    for field, length in (tables or {}).items():
        header[field] = table(length)
    for number, level in enumerate(geometry.levels):
        sets, ways = geometry.sets(level), geometry.ways(level)
        fields = header[FIRST_LEVEL + number * LEVEL :]
        fields[[SETS, WAYS, POLICY]] = sets, ways, POLICIES.index(level.policy)
        fields[[ALLOCATE, INCLUSIVE, PREFETCH]] = level.write_allocate, level.inclusive, level.prefetch
        fields[SLOTS] = next_slot
        next_slot += sets * ways
        fields[TREE] = table(sets)
        fields[MISSES] = table(arrays * sites * KINDS)
        fields[WRITEBACKS] = table(arrays)
        fields[MAP] = table(MAP_TIMES * MAP_PLACES)
        fields[MAP_PLACE] = max(0, ((lines - 1) // MAP_PLACES).bit_length())
        if classes:
            fields[SHADOW] = table(3 * (lines + 1))
            fields[SHADOW_ROOM] = sets * ways
    if log:
        header[[LOG, LOG_ROOM]] = table(log * LOG_FIELDS), log
        header[GROUPS] = NEVER
    elif classes or reuse:  # the order of all accesses matters
        header[GROUPS] = 1
    elif geometry.levels and geometry.levels[0].policy == "plru":
        header[GROUPS] = geometry.sets(geometry.levels[0])
    header[GRANTED] = table(max(header[GROUPS], 1))
    if reuse:
        header[REUSE] = table(reuse_room(lines, arrays))
    memory = np.zeros(size, np.int64)
    memory[:HEADER] = header
    memory[header[OWNER] : header[OWNER] + lines] = owners
    book = np.zeros(BOOK * lines, np.int32)
    if not geometry.levels and header[GROUPS] == 0:
        book[:] = SCRATCH  # nothing ever needs a visit
    return book, memory


@compiled
def visit(book, memory, address, pair, store, now):
    """An access that is not fast; returns the slot of its line (SCRATCH if L1 does not hold it)."""
    m = memory
    line = address >> m[SHIFT]
    if line < 0 or line >= m[LINES]:
        raise IndexError("an access outside every array")
    if m[REUSE]:
        reuse(m, line, pair // m[SITES])

    levels = m[LEVELS]
    found = levels  # the level that holds the line; `levels` is memory
    fetch_ahead = False
    for number in range(levels):
        level = FIRST_LEVEL + number * LEVEL
        allocate = m[level + ALLOCATE] or not store
        kind = shadow(m, level, line, allocate) if m[level + SHADOW] else 0
        slot = book[line * BOOK + 1 + number]
        if slot:
            use(m, level, slot, line, now)
            fetch_ahead = (m[slot + m[TAGS]] & FRESH) != 0
            m[slot + m[TAGS]] &= ~FRESH
            found = number
            break
        m[m[level + MISSES] + pair * KINDS + kind] += 1
        draw(m, level, line, now)
    if m[LOG]:
        log(m, address, pair, store, found)

    for number in range(found - 1, -1, -1):  # outermost first: what it throws out may leave the inner ones
        level = FIRST_LEVEL + number * LEVEL
        if m[level + ALLOCATE] or not store:
            use(m, level, fill(book, m, number, line), line, now)
    if store:
        write(book, m, 0, line, m[BYPASSED] + pair)
    grant(book, m, line, book[line * BOOK + 1] if levels else SCRATCH)
    for number in range(min(found + 1, levels)):
        level = FIRST_LEVEL + number * LEVEL
        if m[level + PREFETCH] and (number < found or fetch_ahead) and line + 1 < m[LINES]:
            prefetch(book, m, number, line + 1, now)
    slot = book[line * BOOK + 1] if levels else 0  # a prefetch may have thrown it out again
    return slot if slot else SCRATCH


@inlined
def grant(book, m, line, slot):
    """Makes `line` fast, and takes the right from the line before it in its group."""
    if m[GROUPS] > 0:
        revoke(book, m, line)
        m[m[GRANTED] + line % m[GROUPS]] = line + 1
    if m[GROUPS] >= 0:
        book[line * BOOK] = slot


@compiled
def revoke(book, m, line):
    """Lets no line be fast in the group of `line`."""
    granted = m[GRANTED] + line % m[GROUPS]
    if m[granted]:
        book[(m[granted] - 1) * BOOK] = 0
        m[granted] = 0


@inlined
def set_of(m, level, line):
    """`line % sets`, without the division where sets are a power of two."""
    sets = m[level + SETS]
    return line % sets if sets & (sets - 1) else line & (sets - 1)


@inlined
def use(m, level, slot, line, now):
    """Remembers a use of a slot: by its time, and in the tree by turning every branch away from it."""
    m[slot] = now
    if m[level + POLICY] == PLRU:
        ways = m[level + WAYS]
        tree = m[level + TREE] + set_of(m, level, line)
        way = (slot - m[level + SLOTS]) % ways
        node, half = 1, ways >> 1
        while half:
            right = (way & half) != 0
            if right:
                m[tree] &= ~(1 << node)
            else:
                m[tree] |= 1 << node
            node = 2 * node + right
            half >>= 1


@inlined
def victim(m, level, line):
    """The slot that a new line takes: an empty one, or what the policy gives up."""
    ways = m[level + WAYS]
    in_set = set_of(m, level, line)
    first = m[level + SLOTS] + in_set * ways
    oldest, time = first, m[first]  # an empty slot was never used, hence is the oldest
    for slot in range(first + 1, first + ways):
        used = m[slot]
        older = used < time
        time = used if older else time
        oldest = slot if older else oldest
    if m[level + POLICY] == LRU or m[oldest + m[TAGS]] == 0:
        return oldest
    if m[level + POLICY] == PLRU:
        tree = m[m[level + TREE] + in_set]
        node = 1
        while node < ways:
            node = 2 * node + ((tree >> node) & 1)
        return first + node - ways
    random = m[RANDOM]  # xorshift on 32 bits
    random ^= (random << 13) & 0xFFFFFFFF
    random ^= random >> 17
    random ^= (random << 5) & 0xFFFFFFFF
    m[RANDOM] = random
    return first + random % ways


@inlined
def fill(book, m, number, line):
    """Brings `line` into a level that does not hold it and returns its slot."""
    slot = victim(m, FIRST_LEVEL + number * LEVEL, line)
    if m[slot + m[TAGS]]:
        evict(book, m, number, slot)
    m[slot + m[TAGS]] = (line + 1) << 2
    book[line * BOOK + 1 + number] = slot
    return slot


@inlined
def evict(book, m, number, slot):
    """Empties a slot; a dirty line is written back, and leaves the inner levels if this one is inclusive."""
    level = FIRST_LEVEL + number * LEVEL
    line = (m[slot + m[TAGS]] >> 2) - 1
    dirty = remove(book, m, number, slot)
    if m[level + INCLUSIVE]:
        for inner in range(number):
            other = book[line * BOOK + 1 + inner]
            if other:
                dirty |= remove(book, m, inner, other)
    if dirty:
        m[m[level + WRITEBACKS] + m[m[OWNER] + line]] += 1
        write(book, m, number + 1, line, SCRATCH)


@inlined
def remove(book, m, number, slot):
    """Clears a slot and returns whether its line was dirty."""
    tag = m[slot + m[TAGS]]
    line = (tag >> 2) - 1
    m[slot] = 0
    m[slot + m[TAGS]] = 0
    book[line * BOOK + 1 + number] = 0
    if number == 0:
        book[line * BOOK] = 0
    return tag & DIRTY


@inlined
def write(book, m, number, line, otherwise):
    """Marks `line` dirty in the nearest level from `number` on that holds it, else counts at `otherwise`."""
    for outer in range(number, m[LEVELS]):
        slot = book[line * BOOK + 1 + outer]
        if slot:
            m[slot + m[TAGS]] |= DIRTY
            return
    m[otherwise] += 1


@compiled
def prefetch(book, m, number, line, now):
    """Fetches a line nobody asked for into a level, and into the outer levels that must include it."""
    for outer in range(m[LEVELS] - 1, number - 1, -1):
        level = FIRST_LEVEL + outer * LEVEL
        wanted = outer == number or m[level + INCLUSIVE]
        if wanted and book[line * BOOK + 1 + outer] == 0:
            slot = fill(book, m, outer, line)
            use(m, level, slot, line, now)
            m[slot + m[TAGS]] |= FRESH
            m[level + PREFETCHED] += 1
            if outer == 0 and m[GROUPS] > 0:
                revoke(book, m, line)  # this line came in between


@compiled
def shadow(m, level, line, allocate):
    """What a miss of this access would be, by a fully associative LRU cache of the same size.

    The level's own stream of accesses goes through it. Lines (plus 1) form a ring from newest to oldest in
    which 0 stands between the oldest and the newest; `state` is 0 never seen, 1 gone, 2 held.
    """
    newer = m[level + SHADOW]
    older = newer + m[LINES] + 1
    state = older + m[LINES] + 1
    me = line + 1
    was = m[state + me]
    if was == 2:
        m[older + m[newer + me]] = m[older + me]
        m[newer + m[older + me]] = m[newer + me]
    elif not allocate:
        m[state + me] = 1
        return COMPULSORY + was
    elif m[level + SHADOW_HELD] == m[level + SHADOW_ROOM]:
        oldest = m[newer]
        m[newer] = m[newer + oldest]
        m[older + m[newer]] = 0
        m[state + oldest] = 1
    else:
        m[level + SHADOW_HELD] += 1
    newest = m[older]
    m[older] = me
    m[newer + me] = 0
    m[older + me] = newest
    m[newer + newest] = me
    m[state + me] = 2
    return COMPULSORY + was


@inlined
def draw(m, level, line, now):
    """Adds a miss to the map of time and place, which grows coarser as time runs out of it."""
    table = m[level + MAP]
    time = (now - 1) >> m[level + MAP_TIME]
    while time >= MAP_TIMES:
        halve(m, level)
        time >>= 1
    m[table + time * MAP_PLACES + (line >> m[level + MAP_PLACE])] += 1


@compiled
def halve(m, level):
    """Makes one column of two in the map of a level."""
    table = m[level + MAP]
    for time in range(MAP_TIMES):
        for place in range(table + time * MAP_PLACES, table + (time + 1) * MAP_PLACES):
            both = 0
            if time < MAP_TIMES // 2:
                both = m[place + time * MAP_PLACES] + m[place + (time + 1) * MAP_PLACES]
            m[place] = both
    m[level + MAP_TIME] += 1


@compiled
def log(m, address, pair, store, level):
    """Keeps an access in order; one too many is the caller's error to explain."""
    if m[LOGGED] == m[LOG_ROOM]:
        raise OverflowError("more accesses than the trace has room for")
    entry = m[LOG] + m[LOGGED] * LOG_FIELDS
    m[entry] = pair
    m[entry + 1] = address
    m[entry + 2] = store
    m[entry + 3] = level
    m[LOGGED] += 1


# Reuse distances: how many other lines were accessed since this one was. Each line puts a mark at the time
# of its last access into a Fenwick tree, so that the distance is the number of marks after its own. Times
# are renumbered when they run out, so that the tree stays as small as the memory it watches.
REUSE_TIME, REUSE_MARKS, REUSE_FIELDS = 0, 1, 4


def reuse_ticks(lines: int) -> int:
    """How many times there are before they are renumbered."""
    return 2 * lines + 64


def reuse_room(lines: int, arrays: int) -> int:
    """Fields, last time of each line, line of each time, tree, histogram [arrays, lines + 1]."""
    return REUSE_FIELDS + lines + 2 * (reuse_ticks(lines) + 1) + arrays * (lines + 1)


def reuse_histogram(memory: np.ndarray, arrays: int) -> np.ndarray:
    """The view [arrays, lines + 1] of the histogram; the last column counts first accesses."""
    lines = int(memory[LINES])
    start = memory[REUSE] + reuse_room(lines, 0)
    return memory[start : start + arrays * (lines + 1)].reshape(arrays, lines + 1)


@compiled
def reuse(m, line, array):
    """Files the reuse distance of an access under its array."""
    lines = m[LINES]
    ticks = 2 * lines + 64
    fields = m[REUSE]
    last = fields + REUSE_FIELDS
    at = last + lines
    tree = at + ticks + 1
    histogram = tree + ticks + 1 + array * (lines + 1)

    before = m[last + line]
    if before:
        marks = m[fields + REUSE_MARKS]
        time = before
        while time:  # minus the marks up to and including its own
            marks -= m[tree + time]
            time &= time - 1
        m[histogram + marks] += 1
        mark(m, tree, ticks, before, -1)
        m[at + before] = 0
    else:
        m[histogram + lines] += 1
        m[fields + REUSE_MARKS] += 1

    if m[fields + REUSE_TIME] == ticks:
        renumber(m, last, at, tree, ticks, fields)
    m[fields + REUSE_TIME] += 1
    now = m[fields + REUSE_TIME]
    m[last + line] = now
    m[at + now] = line + 1
    mark(m, tree, ticks, now, 1)


@compiled
def mark(m, tree, ticks, time, change):
    """Adds to the Fenwick tree at a time from 1 to `ticks`."""
    while time <= ticks:
        m[tree + time] += change
        time += time & -time


@compiled
def renumber(m, last, at, tree, ticks, fields):
    """Moves the marks to the first times, in their order."""
    m[tree : tree + ticks + 1] = 0
    kept = 0
    for time in range(1, ticks + 1):
        line = m[at + time]
        m[at + time] = 0
        if line:
            kept += 1
            m[at + kept] = line
            m[last + line - 1] = kept
            mark(m, tree, ticks, kept, 1)
    m[fields + REUSE_TIME] = kept


@compiled
def replay(book, memory, addresses, stores, now):
    """Sends addresses through the caches as pair 0; the same steps as in generated code."""
    shift, tags = memory[SHIFT], memory[TAGS]
    for n in range(len(addresses)):
        slot = book[(addresses[n] >> shift) * BOOK]
        if slot == 0:
            slot = visit(book, memory, addresses[n], 0, stores[n], now)
        memory[slot] = now
        if stores[n]:
            memory[slot + tags] |= DIRTY
        now += 1
    memory[NOW] = now
    return now
