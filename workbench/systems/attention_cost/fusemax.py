"""FuseMax: Leveraging Extended Einsums to Optimize Attention Accelerator Design.

Nandeeka Nayak, Xinrui Wu, Toluwanimi O. Odemuyiwa, Michael Pellauer, Joel S. Emer, Christopher W. Fletcher;
MICRO 2024, https://arxiv.org/abs/2406.10491. Original code and tables:
https://github.com/FPSG-UIUC/micro24-fusemax-artifact, MIT. Nothing is copied from it.

Attention is written as a cascade of Einsums, and the number of passes over the keys is read off the text
(`workbench.probes`: `CASCADES`, `passes`, `footprint`). The cascade with one pass is then put onto an
accelerator: a 256 x 256 array of processing elements for products (*2-D*), and 256 more elements beside it
(*1-D*). FLAT, the design before, gives every small operation of the softmax to the 1-D array, which is then
the bottleneck. FuseMax goes three steps:

    +Cascade        one pass, so that nothing spills into memory; every small operation still on the 1-D array
    +Architecture   the 2-D array also takes maxima, adds, and makes exponentials out of 6 products
    +Binding        the next tile's products are interleaved, so that nobody waits for a running maximum

`phases` is the schedule of one tile of 256 queries times 256 keys: phases follow each other, within one the
two arrays work side by side. `seconds` is the larger of its cycles at 940 MHz and its bytes at 400 GiB/s.

Deviations: listed in `SYSTEM`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from math import exp
from statistics import fmean
from typing import Literal

import numpy as np

from workbench.budget import by_budget
from workbench.claims import AtMost, Claim, Measured, System, Within
from workbench.counting import Geometry, Level, simulate
from workbench.errors import WorkbenchError
from workbench.probes import CASCADES, footprint, passes

# The machine and the work ---------------------------------------------------------------------

SIDE = 256  # processing elements along each side of the 2-D array, and in the 1-D array
HERTZ = 940e6
BANDWIDTH = 400 * 2**30  # bytes a second
WIDTH = 2  # bytes of a value
BUFFER = 16 * 2**20  # bytes on the chip; FLAT has twice as many
BATCH = 64
EXP = 6  # products of which an exponential is made, after the difference

Design = Literal["FLAT", "+Cascade", "+Architecture", "+Binding"]
DESIGNS: tuple[Design, ...] = ("FLAT", "+Cascade", "+Architecture", "+Binding")


@dataclass(frozen=True)
class Shape:
    """The heads of a network: numbers in a query or a value, heads, width of the hidden layer."""

    dim: int
    heads: int
    hidden: int


MODELS = {
    "BERT": Shape(64, 12, 3072),
    "TrXL": Shape(64, 16, 4096),
    "T5": Shape(64, 8, 2048),
    "XLM": Shape(128, 16, 8192),
}
LENGTHS = {"1K": 2**10, "4K": 2**12, "16K": 2**14, "64K": 2**16, "256K": 2**18, "1M": 2**20}
GRID = tuple((model, length) for model in MODELS for length in LENGTHS)
SPILLS = 2**18  # from this many keys on, a row of scores does not fit into FLAT's buffer

KINDS = ("products", "softmax", "correction", "division", "waiting")
CORRECTION = ("RM", "PRM", "SPD", "SPNV", "RD", "RNV")

# One tile: cycles -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """What one array does in a phase: an Einsum (or a wait) and its cycles."""

    array: Literal["2-D", "1-D"]
    name: str
    cycles: float
    waits: bool = False


Phase = tuple[Work, ...]


def phases(design: Design, dim: int, tokens: int, *, exp_cycles: int | None = None) -> tuple[Phase, ...]:
    """The schedule of one tile of 256 queries and 256 keys.

    dim: numbers in a query and in a value. tokens: queries, and as many keys; a multiple of 256. exp_cycles:
    of an exponential of a difference on FLAT's elements; default what the source's tables charge, 1 in FLAT's
    own softmax and 2 in +Cascade.
    """
    if tokens < SIDE or tokens % SIDE or dim < 1:
        raise WorkbenchError(
            f"tokens must be a multiple of {SIDE} and dim at least 1, but {tokens} and {dim} came"
        )
    final = dim / (tokens // SIDE)  # the last division, spread over all tiles of a row of tiles

    def wide(**cycles: float) -> Phase:
        return tuple(Work("2-D", name, n) for name, n in cycles.items())

    def slim(**cycles: float) -> Phase:
        return tuple(Work("1-D", name, n) for name, n in cycles.items())

    if design == "FLAT":
        small = slim(GM=SIDE, SN=SIDE * (exp_cycles or 1), SD=SIDE, A=SIDE)
        return (wide(QK=dim, AV=dim) + small,)
    if design == "+Cascade":
        e = exp_cycles or 2
        block = slim(LM=SIDE, RM=1, PRM=e, SPD=1, SPNV=dim, SLN=SIDE * e, SLD=SIDE, RD=1, RNV=dim, AV=final)
        return (wide(QK=dim, SLNV=dim) + block,)
    numerator = (wide(SLN=EXP + 1, SLD=1), slim(PRM=EXP + 1, SPD=1))
    if design == "+Architecture":
        return (
            wide(QK=dim, LM=1) + slim(RD=1, AV=final),
            (Work("2-D", "wait", SIDE, waits=True),),  # a block's maximum goes from unit to unit
            slim(RM=1),
            numerator[0] + numerator[1],
            wide(SLNV=dim) + slim(SPNV=dim, RNV=dim),
        )
    if design == "+Binding":
        return (
            wide(QK=dim, LM=1) + slim(RD=1, RNV=dim, AV=final),
            slim(RM=1),
            numerator[0] + numerator[1],
            wide(SLNV=dim) + slim(SPNV=dim),
        )
    raise WorkbenchError(f"design must be one of {', '.join(DESIGNS)}, but {design!r} came")


def length(phase: Phase) -> float:
    """Cycles of a phase: those of the array that takes longer."""
    return max(sum(work.cycles for work in phase if work.array == array) for array in ("2-D", "1-D"))


def cycles(design: Design, dim: int, tokens: int, *, exp_cycles: int | None = None) -> float:
    """Cycles of one tile."""
    return sum(length(phase) for phase in phases(design, dim, tokens, exp_cycles=exp_cycles))


def timeline(design: Design, dim: int, tokens: int) -> list[tuple[str, str, float, float, str]]:
    """The schedule of one tile as (array, Einsum, start, cycles, kind), as `views.schedule` draws it."""
    found: list[tuple[str, str, float, float, str]] = []
    start = 0.0
    for phase in phases(design, dim, tokens):
        clock: dict[str, float] = {"2-D": start, "1-D": start}
        for work in phase:
            found.append((work.array, work.name, clock[work.array], work.cycles, _kind(work)))
            clock[work.array] += work.cycles
        start += length(phase)
    return found


def _kind(work: Work) -> str:
    if work.waits:
        return "waiting"
    if work.array == "2-D" and work.name in ("QK", "SLNV", "AV"):
        return "products"
    return "division" if work.name in ("A", "AV") else "correction" if work.name in CORRECTION else "softmax"


def busy(design: Design, dim: int, tokens: int, array: str) -> float:
    """The share of its cycles in which an array does something. FLAT's 2-D array is never waited for."""
    plan = phases(design, dim, tokens)
    worked = sum(work.cycles for phase in plan for work in phase if work.array == array and not work.waits)
    return worked / cycles(design, dim, tokens)


# All tiles: bytes and seconds -----------------------------------------------------------------


def query_tile(design: Design, dim: int, tokens: int) -> int:
    """Blocks of 256 queries that stay on the chip while all keys and values come by once.

    Each query needs itself, a maximum, a denominator and a numerator; +Cascade also a row of scores and one
    of exponentials within the block. The number of blocks must divide that of all.
    """
    rows = 2 * SIDE if design == "+Cascade" else 0
    for_block = 2 * dim * SIDE * WIDTH  # of keys and values
    for_queries = (2 * dim + 2 + rows) * SIDE * WIDTH
    room = (BUFFER - for_block) // for_queries
    blocks = tokens // SIDE
    fitting = [n for n in range(1, min(room, blocks) + 1) if blocks % n == 0]
    if not fitting:
        raise WorkbenchError(f"not one block of {SIDE} queries of {dim} numbers fits into the buffer")
    return fitting[-1]


def moved(design: Design, dim: int, tokens: int, heads: int = 1) -> float:
    """Bytes between chip and memory for all heads and the batch.

    FLAT below 256 Ki keys: queries, keys, values and outputs once, which is the least; it is never
    limited by memory there.
    """
    once = 2 * tokens * dim
    if design == "FLAT":
        scores = tokens * tokens
        spilled = (8 + 4 * dim / 1024 + 4 * dim / tokens) * scores
        return BATCH * heads * (spilled if tokens >= SPILLS else 2 * once * WIDTH)
    rounds = tokens // SIDE // query_tile(design, dim, tokens)
    return BATCH * heads * WIDTH * once * (1 + rounds)


def seconds(design: Design, dim: int, tokens: int, heads: int = 1, *, exp_cycles: int | None = None) -> float:
    """Of attention, for all heads and the batch: computing or moving, whichever takes longer."""
    tiles = BATCH * heads * (tokens // SIDE) ** 2
    computing = cycles(design, dim, tokens, exp_cycles=exp_cycles) * tiles / HERTZ
    return max(computing, moved(design, dim, tokens, heads) / BANDWIDTH)


def linear_seconds(model: str, tokens: int) -> float:
    """Of the six dense layers of one transformer layer, the same on every design."""
    shape = MODELS[model]
    width, rows = shape.dim * shape.heads, BATCH * tokens
    sizes = [(width, width)] * 4 + [(width, shape.hidden), (shape.hidden, width)]
    return sum(
        max(rows * a * b / SIDE**2 / HERTZ, WIDTH * (rows * (a + b) + a * b) / BANDWIDTH) for a, b in sizes
    )


def speedups(design: Design, *, whole: bool = False, exp_cycles: int | None = None) -> dict[str, float]:
    """Over FLAT at the 24 points, "BERT 1K" and so on. whole: of a transformer layer, not attention alone."""
    found = {}
    for model, name in GRID:
        shape, tokens = MODELS[model], LENGTHS[name]
        rest = linear_seconds(model, tokens) if whole else 0.0
        ours, theirs = (
            seconds(which, shape.dim, tokens, shape.heads, exp_cycles=exp_cycles) + rest
            for which in (design, "FLAT")
        )
        found[f"{model} {name}"] = theirs / ours
    return found


# Passes meet a cache --------------------------------------------------------------------------


def three_passes(S, V, out):
    """out [rows, f] from scores S [rows, keys] and V [keys, f]: maximum; sum; weights."""
    for p in range(S.shape[0]):
        top, total = S[p, 0], 0.0
        for m in range(S.shape[1]):
            top = max(top, S[p, m])
        for m in range(S.shape[1]):
            total += exp(S[p, m] - top)
        for m in range(S.shape[1]):
            weight = exp(S[p, m] - top) / total
            for f in range(V.shape[1]):
                out[p, f] += weight * V[m, f]


def two_passes(S, V, out):
    """The same with running statistics: maximum and sum together; weights."""
    for p in range(S.shape[0]):
        top, total = S[p, 0], 0.0
        for m in range(S.shape[1]):
            score = S[p, m]
            larger = max(top, score)
            total = total * exp(top - larger) + exp(score - larger)
            top = larger
        for m in range(S.shape[1]):
            weight = exp(S[p, m] - top) / total
            for f in range(V.shape[1]):
                out[p, f] += weight * V[m, f]


def one_pass(S, V, out):
    """The same with running numerators too, which are corrected whenever the maximum grows."""
    for p in range(S.shape[0]):
        top, total = S[p, 0], 0.0
        for m in range(S.shape[1]):
            score = S[p, m]
            larger = max(top, score)
            correction, weight = exp(top - larger), exp(score - larger)
            total = total * correction + weight
            for f in range(V.shape[1]):
                out[p, f] = out[p, f] * correction + weight * V[m, f]
            top = larger
        for f in range(V.shape[1]):
            out[p, f] /= total


WALKERS: dict[str, Callable[..., None]] = {
    "attention, maximum first": three_passes,
    "attention, running statistics": two_passes,
    "attention, one pass": one_pass,
}


@dataclass(frozen=True)
class Watched:
    """A matrix in float64 from byte `start` on that notes where it was read."""

    values: np.ndarray
    start: int
    addresses: list[int]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def __getitem__(self, at: tuple[int, int]) -> float:
        row, column = at
        self.addresses.append(self.start + 8 * (row * self.shape[1] + column))
        return float(self.values[at])


def fetched(name: str, keys: int, rows_held: float) -> float:
    """Lines of scores that come from memory over the lines there are, for two queries and values of four.

    name: of a cascade in `WALKERS`. keys: a power of two. rows_held: how many rows of scores the cache could
    hold; lines of 64 bytes, each in any place, and the one not used for longest leaves.
    """
    rng = np.random.default_rng(0)
    addresses: list[int] = []
    S = Watched(rng.standard_normal((2, keys)), 0, addresses)
    V = Watched(rng.standard_normal((keys, 4)), S.values.nbytes, addresses)
    WALKERS[name](S, V, np.zeros((2, 4)))
    capacity = int(rows_held * keys * 8) // 64 * 64
    found = simulate(np.array(addresses), Geometry([Level(capacity, None)])).cache["L1"]
    of_scores = found.map[:, : S.values.nbytes // found.map_bytes].sum()
    return float(of_scores / (S.values.nbytes / 64))


# The claims -----------------------------------------------------------------------------------


def mean_speedup(design: Design, whole: bool, seed: int, budget: str) -> float:
    """The arithmetic mean over the 24 points, as the source reports it."""
    return fmean(speedups(design, whole=whole).values())


def best_of_short(design: Design, seed: int, budget: str) -> float:
    """The largest speedup at the 16 points up to 64K."""
    return max(
        value for point, value in speedups(design).items() if LENGTHS[point.split()[1]] <= LENGTHS["64K"]
    )


def passes_over_keys(name: str, seed: int, budget: str) -> float:
    return passes(CASCADES[name]).counts["m"]


def traffic_beside_passes(rows_held: float, seed: int, budget: str) -> Measured:
    """The largest relative distance of fetched scores from passes times scores, over three cascades."""
    keys = by_budget(budget, smoke=512, lesson=4096)
    far = {}
    for name in WALKERS:
        expected = passes(CASCADES[name]).counts["m"]
        far[name] = abs(fetched(name, keys, rows_held) / expected - 1)
    return Measured(max(far.values()))


@cache
def scratch(name: str, keys: int) -> int:
    """Numbers at hand for a tile of 64 queries and 64 numbers a head."""
    return footprint(CASCADES[name], {"p": 64, "m": keys, "m0": 64, "e": 64, "f": 64}).numbers


def scratch_growth(name: str, seed: int, budget: str) -> Measured:
    """Scratch at 64 Ki keys over that at 1 Ki."""
    large, small = scratch(name, 2**16), scratch(name, 2**10)
    return Measured(large / small, system=large, baseline=small)


ENERGY = "needs the energy of an addition, a product and an access, from a chip or a model of one"
SYSTEM = System(
    key="fusemax",
    claims=[
        Claim(
            "attention-speedup",
            says="With all three steps, attention is 6.7 times as fast as on FLAT: mean over four networks "
            "and six lengths, by formulas that equal the authors' tables. The control takes the first step "
            "alone.",
            paper="6.7 times, mean (abstract)",
            unit="times",
            bar=Within(6.70, 6.74, null=1),
            measure=partial(mean_speedup, "+Binding", False),
            control=partial(mean_speedup, "+Cascade", False),
            provenance="formula",
            seeds=1,
        ),
        Claim(
            "whole-layer-speedup",
            says="A whole transformer layer is 5.3 times as fast as on FLAT, mean over the same points. The "
            "control takes the first step alone. The bar is ours.",
            paper="5.3 times, mean (abstract)",
            unit="times",
            bar=Within(5.28, 5.32, null=1),
            measure=partial(mean_speedup, "+Binding", True),
            control=partial(mean_speedup, "+Cascade", True),
            provenance="formula",
            seeds=1,
        ),
        Claim(
            "one-pass-alone",
            says="One pass alone, on the old arrays, is slower than FLAT at up to 64 Ki keys, where FLAT "
            "keeps its scores on the chip: the largest speedup there. The control takes all three steps. "
            "The bar is ours.",
            paper="+Cascade in the authors' tables: 0.78 to 0.89 times",
            unit="times",
            bar=AtMost(0.95, null=1),
            measure=partial(best_of_short, "+Cascade"),
            control=partial(best_of_short, "+Binding"),
            provenance="formula",
            seeds=1,
        ),
        Claim(
            "passes",
            says="The cascade of FuseMax walks over the keys once. The control takes the maximum first.",
            paper="one pass; the numerically stable attention takes three",
            unit="passes",
            bar=Within(1, 1),
            measure=partial(passes_over_keys, "attention, one pass"),
            control=partial(passes_over_keys, "attention, maximum first"),
            provenance="formula",
            seeds=1,
        ),
        Claim(
            "score-traffic",
            says="Behind a cache of a quarter of a row, scores come from memory once for each pass: three, "
            "two, one, to 2 %. The control's cache holds a row, and its values. The bar is ours.",
            paper="more than one pass costs either a buffer for the fibre or traffic",
            unit="of the expected journeys",
            bar=AtMost(0.02),
            measure=partial(traffic_beside_passes, 0.25),
            control=partial(traffic_beside_passes, 16),
            provenance="simulated",
            seeds=1,
        ),
        Claim(
            "scratch",
            says="What one pass keeps for a tile of queries does not grow when there are 64 times as many "
            "keys. The control takes the maximum first.",
            paper="on-chip buffers independent of the length of the sequence (abstract)",
            unit="times",
            against="numbers, with 1 Ki keys",
            bar=AtMost(1.0),
            measure=partial(scratch_growth, "attention, one pass"),
            control=partial(scratch_growth, "attention, maximum first"),
            provenance="formula",
            seeds=1,
        ),
        Claim(
            "attention-energy",
            says=f"Attention takes 79 % of FLAT's energy; it {ENERGY}.",
            paper="79 % (abstract); 0.787 from the artifact's tables",
            unit="times",
            bar=AtMost(0.79, null=1),
            needs="hardware",
        ),
        Claim(
            "whole-layer-energy",
            says=f"A whole layer takes 83 % of FLAT's energy; it {ENERGY}.",
            paper="83 % (abstract); 0.833 from the artifact's tables",
            unit="times",
            bar=AtMost(0.83, null=1),
            needs="hardware",
        ),
    ],
    deviations=[
        "The accelerator is a model: formulas for cycles and bytes, read from the authors' artifact. They "
        "equal its tables at all 24 points, for all four designs. No circuit is simulated, area and energy "
        "are left out.",
        "FLAT's bytes below 256 Ki keys come from a search over mappings in the artifact. Here they are the "
        "least possible; FLAT is limited by its 1-D array there, so its time is the artifact's.",
        "As in the artifact, an exponential of a difference is one cycle in FLAT's own softmax and two in "
        "+Cascade. `exp_cycles` charges both alike.",
        "Passes are traced with plain loops that are given their scores in float64, behind one cache with "
        "least-recently-used lines; the paper argues from the cascade alone.",
        "The unfused baseline of the paper is left out.",
        "Paper scale: Timeloop and Accelergy for area and energy, or the chip.",
    ],
)
