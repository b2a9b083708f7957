"""How long will it take? The time of fused attention in a window, from shapes and two limits of a machine."""

from hypothesis import strategies as st

from workbench.exercises import Exercise


def predicted_time(
    tokens: int, window: int, tile: int, dim: int, itemsize: int, rate: float, bandwidth: float
) -> float:
    flops = moved = 0
    for first in range(0, tokens, tile):
        end = min(first + tile, tokens)
        queries, keys = end - first, end - max(0, first - window + 1)
        flops += queries * keys * 4 * dim
        moved += (2 * queries + 2 * keys) * dim * itemsize
    return max(flops / rate, moved / bandwidth)


def by_lists(tokens, window, tile, dim, itemsize, rate, bandwidth):
    """Every tile as the list of its queries and the set of all keys that one of them sees."""
    tiles = [range(tokens)[start : start + tile] for start in range(0, tokens, tile)]
    halos = [range(max(0, part[0] - (window - 1)), part[-1] + 1) for part in tiles]
    scores = sum(len(part) * len(halo) for part, halo in zip(tiles, halos, strict=True))
    rows = 2 * tokens + 2 * sum(map(len, halos))
    return max(4 * dim * scores / rate, itemsize * dim * rows / bandwidth)


def _limits(flops, moved, rate, bandwidth):
    return max(flops / rate, moved / bandwidth)


def _parts(tokens, window, tile):
    """Queries and keys of every tile."""
    ends = [(first, min(first + tile, tokens)) for first in range(0, tokens, tile)]
    return [(end - first, end - max(0, first - window + 1)) for first, end in ends]


def _time(parts, dim, itemsize, rate, bandwidth, flops_each=4, arrays=2):
    flops = sum(flops_each * dim * queries * keys for queries, keys in parts)
    moved = sum((2 * queries + arrays * keys) * dim * itemsize for queries, keys in parts)
    return _limits(flops, moved, rate, bandwidth)


def times_added(tokens, window, tile, dim, itemsize, rate, bandwidth):
    parts = _parts(tokens, window, tile)
    flops = sum(4 * dim * queries * keys for queries, keys in parts)
    moved = sum(2 * (queries + keys) * dim * itemsize for queries, keys in parts)
    return flops / rate + moved / bandwidth


def the_shorter(tokens, window, tile, dim, itemsize, rate, bandwidth):
    parts = _parts(tokens, window, tile)
    flops = sum(4 * dim * queries * keys for queries, keys in parts)
    moved = sum(2 * (queries + keys) * dim * itemsize for queries, keys in parts)
    return min(flops / rate, moved / bandwidth)


def single_precision(tokens, window, tile, dim, itemsize, rate, bandwidth):
    return _time(_parts(tokens, window, tile), dim, 4, rate, bandwidth)


def no_waste(tokens, window, tile, dim, itemsize, rate, bandwidth):
    parts = _parts(tokens, window, tile)
    seen = sum(min(window, i + 1) for i in range(tokens))
    moved = sum(2 * (queries + keys) * dim * itemsize for queries, keys in parts)
    return _limits(4 * dim * seen, moved, rate, bandwidth)


def square_borders(tokens, window, tile, dim, itemsize, rate, bandwidth):
    parts = [(tile, tile + window - 1)] * -(-tokens // tile)
    return _time(parts, dim, itemsize, rate, bandwidth)


def full_first_halo(tokens, window, tile, dim, itemsize, rate, bandwidth):
    parts = [(queries, queries + window - 1) for queries, _ in _parts(tokens, window, tile)]
    return _time(parts, dim, itemsize, rate, bandwidth)


def no_halo(tokens, window, tile, dim, itemsize, rate, bandwidth):
    parts = [(queries, queries) for queries, _ in _parts(tokens, window, tile)]
    return _time(parts, dim, itemsize, rate, bandwidth)


def halo_by_the_window(tokens, window, tile, dim, itemsize, rate, bandwidth):
    ends = [(first, min(first + tile, tokens)) for first in range(0, tokens, tile)]
    parts = [(end - first, end - max(0, first - window)) for first, end in ends]
    return _time(parts, dim, itemsize, rate, bandwidth)


def one_product(tokens, window, tile, dim, itemsize, rate, bandwidth):
    return _time(_parts(tokens, window, tile), dim, itemsize, rate, bandwidth, flops_each=2)


def keys_alone(tokens, window, tile, dim, itemsize, rate, bandwidth):
    return _time(_parts(tokens, window, tile), dim, itemsize, rate, bandwidth, arrays=1)


def read_once(tokens, window, tile, dim, itemsize, rate, bandwidth):
    flops = sum(4 * dim * queries * keys for queries, keys in _parts(tokens, window, tile))
    return _limits(flops, 4 * tokens * dim * itemsize, rate, bandwidth)


@st.composite
def tasks(draw: st.DrawFn) -> tuple[int, int, int, int, int, float, float]:
    """Tiles that do not divide the tokens, windows narrower and wider than a tile, fast and slow memories."""
    tokens = draw(st.integers(1, 300))
    window, tile = draw(st.integers(1, tokens)), draw(st.integers(1, 80))
    dim, itemsize = draw(st.sampled_from([16, 32, 64])), draw(st.sampled_from([2, 4, 8]))
    rate = 10 ** draw(st.floats(9, 12))
    return tokens, window, tile, dim, itemsize, rate, rate * 10 ** draw(st.floats(-2.5, 0.5))


EXERCISE = Exercise(
    "attention-cost/predicted-time",
    predicted_time,
    tasks(),
    signature="predicted_time(tokens, window, tile, dim, itemsize, rate, bandwidth) -> float",
    ask="""
    `tokens` tokens stand in a row, numbered from 0. Token i sees itself and the `window` − 1 tokens before
    it; the first ones see fewer. A fused kernel takes the queries in tiles of `tile` neighbours: tokens 0 to
    `tile` − 1, and so on; the last tile may be smaller. The *halo* of a tile is every token that at least one
    of its queries sees. In a tile, every query meets every key of the halo, needed or not. Each such score
    costs 4 · `dim` operations: 2 · `dim` to make it, 2 · `dim` to use it. All else is free.

    Each tile reads its queries, the keys and the values of its halo, and writes its outputs. Each of these is
    a vector of `dim` numbers of `itemsize` bytes. Nothing stays from one tile to the next.

    The processor executes `rate` operations a second, and the memory moves `bandwidth` bytes a second, both
    at the same time. Return the seconds that one head takes. All counts are whole numbers of at least 1, and
    `window` is at most `tokens`.
    """,
    examples=[
        (8, 3, 4, 16, 4, 1e9, 1e12),
        (8, 3, 4, 16, 4, 1e12, 1e9),
        (10, 3, 4, 16, 4, 1e9, 1e12),
        (10, 3, 4, 16, 2, 1e12, 1e9),
        (10, 3, 4, 16, 8, 1e9, 1e9),
        (129, 129, 64, 64, 4, 60e9, 30e9),
        (129, 17, 64, 64, 4, 60e9, 1e9),
        (20, 1, 5, 16, 4, 1e9, 1e12),
        (5, 5, 9, 16, 4, 1e9, 1e9),
    ],
    wrong_answers={
        "the times are added": (
            times_added,
            "Computing and moving go on at the same time. Who is waiting for whom in the end?",
        ),
        "the shorter time": (
            the_shorter,
            "It is not done before both are done.",
        ),
        "every number has four bytes": (
            single_precision,
            "How many bytes a number has is given: `itemsize`.",
        ),
        "only needed scores are counted": (
            no_waste,
            "The kernel meets whole halos. It also makes scores that no query needs, and they take time.",
        ),
        "all tiles are whole and have a whole halo": (
            square_borders,
            "With 10 tokens and tiles of 4, how many queries has the last one? And who is before token 0?",
        ),
        "the first tiles see tokens before token 0": (
            full_first_halo,
            "A halo cannot begin before token 0.",
        ),
        "the halo is forgotten": (
            no_halo,
            "The first query of a tile sees tokens that lie before the tile.",
        ),
        "one token too many in the halo": (
            halo_by_the_window,
            "A window of 1 is the token itself. How far back does a window of 3 reach?",
        ),
        "a score is made but not used": (
            one_product,
            "A score is made of a key and weighs a value: 4 · dim operations together.",
        ),
        "the values are forgotten": (
            keys_alone,
            "A halo is read twice: once for its keys, and once for its values.",
        ),
        "keys and values are read once in all": (
            read_once,
            "Two neighbouring tiles share a part of their halos. Each reads that part itself.",
        ),
    },
    also_right=[by_lists],
    hints=[
        "Go from tile to tile: `for first in range(0, tokens, tile)`. Where does it end, and where its halo?",
        "The tile ends before `min(first + tile, tokens)`; the halo begins at `max(0, first - window + 1)`.",
        "A tile of q queries and k keys: 4·q·k·dim operations, and (2q + 2k)·dim·itemsize bytes.",
        "Add up the operations and the bytes of all tiles. At the end: the longer of the two times.",
    ],
    explanation="""
    A tile of q queries has a halo of at most q + window − 1 keys, fewer at the start of the row. Operations
    grow with q·k, bytes with q + k. So a large tile moves few bytes for each operation, but computes more
    scores that nobody needs: at the edges of the halo each key is seen by few queries only.
    """,
    rtol=1e-9,
    atol=0,
)
