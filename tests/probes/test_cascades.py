"""Cascades of Einsums: what they compute, how often they walk over a fibre, and what must be at hand.

The passes are held against a tracer that runs a cascade element by element and, for each element, notes the
earliest moment (walk, place) of a machine that meets one place of a fibre after the other, again and again.
"""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.probes import CASCADES, Cascade, Einsum, footprint, interpret, passes

SOFTMAX = [name for name in CASCADES if name.startswith("softmax")]
ATTENTION = [name for name in CASCADES if name.startswith("attention")]
EXPECTED = {
    "softmax, naive": 2,
    "softmax, maximum first": 3,
    "softmax, pairs": 2,
    "softmax, online": 2,
    "attention, naive": 1,
    "attention, maximum first": 3,
    "attention, division last": 2,
    "attention, local maxima": 2,
    "attention, split keys": 1,
    "attention, running statistics": 2,
    "attention, one pass": 1,
}


def draws(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# What they compute


@pytest.mark.parametrize("name", SOFTMAX)
@pytest.mark.parametrize("n", [1, 2, 7, 63])
def test_every_softmax_is_the_softmax(name, n):
    (x,) = draws(n, n)
    np.testing.assert_allclose(interpret(CASCADES[name], {"x": 5 * x})["y"], softmax(5 * x), rtol=1e-13)


@pytest.mark.parametrize("name", [name for name in SOFTMAX if name != "softmax, naive"])
def test_only_the_naive_one_overflows(name):
    x = np.array([1000.0, 999.0, -1000.0])
    np.testing.assert_allclose(interpret(CASCADES[name], {"x": x})["y"], softmax(x), rtol=1e-12)
    assert not np.isfinite(interpret(CASCADES["softmax, naive"], {"x": x})["y"]).all()


@settings(max_examples=15, deadline=None)
@given(
    p=st.integers(1, 5),
    m=st.integers(1, 23),
    e=st.integers(1, 4),
    f=st.integers(1, 5),
    block=st.integers(1, 9),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
)
def test_every_attention_is_the_attention_for_odd_shapes(p, m, e, f, block, scale):
    Q, K, V = draws(p + 10 * m, (p, e), (m, e), (m, f))
    Q *= scale
    truth = softmax(Q @ K.T) @ V
    for name in ATTENTION:
        if name == "attention, naive" and scale > 1:
            continue  # it may overflow, which is what the others are for
        sizes = {"m0": block} if CASCADES[name].split else {}
        found = interpret(CASCADES[name], {"Q": Q, "K": K, "V": V}, sizes)
        np.testing.assert_allclose(found["AV"], truth, rtol=1e-9, atol=1e-12, err_msg=name)


def test_only_the_naive_attention_overflows():
    Q, K, V = np.array([[1000.0]]), np.array([[1.0], [0.5]]), np.array([[3.0], [4.0]])
    for name in ATTENTION:
        found = interpret(CASCADES[name], {"Q": Q, "K": K, "V": V}, {"m0": 1} if CASCADES[name].split else {})
        assert np.isfinite(found["AV"]).all() == (name != "attention, naive"), name


def test_blocks_are_put_together_again():
    Q, K, V = draws(0, (2, 3), (7, 3), (7, 2))
    found = interpret(CASCADES["attention, local maxima"], {"Q": Q, "K": K, "V": V}, {"m0": 3})
    np.testing.assert_allclose(found["A"], softmax(Q @ K.T))
    assert found["A"].shape == (2, 7)
    assert found["LM"].shape == (2, 3)


WINDOW = Cascade(
    "window",
    """
    QK[i, j] = sum(Q[i, e] * K[i+j, e])
    GM[i]    = max(QK[i, j])
    SN[i, j] = exp(QK[i, j] - GM[i])
    SD[i]    = sum(SN[i, j])
    AV[i, f] = sum(SN[i, j] / SD[i] * V[i+j, f])
    """,
)
CAUSAL = Cascade(
    "causal",
    """
    QK[p, m] = sum(Q[p, e] * K[m, e])
    S[p, m]  = where(m <= p, QK[p, m], -inf)
    GM[p]    = max(S[p, m])
    SN[p, m] = exp(S[p, m] - GM[p])
    SD[p]    = sum(SN[p, m])
    AV[p, f] = sum(SN[p, m] / SD[p] * V[m, f])
    """,
)
LINEAR = Cascade(
    "linear attention",
    """
    F[m, d]  = elu(K[m, d]) + 1
    G[p, d]  = elu(Q[p, d]) + 1
    S[d, f]  = sum(F[m, d] * V[m, f])
    Z[d]     = sum(F[m, d])
    N[p, f]  = sum(G[p, d] * S[d, f])
    D[p]     = sum(G[p, d] * Z[d])
    AV[p, f] = N[p, f] / D[p]
    """,
)
STATE_SPACE = Cascade(
    "state space",
    """
    H[0, n]   = 0
    H[t+1, n] = exp(-a[n] * dt[t]) * H[t, n] + dt[t] * B[t, n] * x[t]
    y[t]      = sum(C[t, n] * H[t+1, n])
    """,
)
DELTA_RULE = Cascade(
    "delta rule",
    """
    S[0, d, f]   = 0
    KS[t, f]     = sum(K[t, d] * S[t, d, f])
    S[t+1, d, f] = S[t, d, f] + b[t] * K[t, d] * (V[t, f] - KS[t, f])
    O[t, f]      = sum(Q[t, d] * S[t+1, d, f])
    """,
)
LAYER_NORM = Cascade(
    "layer norm",
    """
    mean[p]  = sum(x[p, m]) / M
    c[p, m]  = x[p, m] - mean[p]
    var[p]   = sum(c[p, m] * c[p, m])
    y[p, m]  = c[p, m] / sqrt(var[p] / M)
    """.replace("sum(x[p, m]) / M", "sum(x[p, m] / M)"),
)
MOMENTS_FIRST = Cascade(
    "layer norm from moments",
    """
    s[p]    = sum(x[p, m])
    q[p]    = sum(x[p, m] * x[p, m])
    y[p, m] = (x[p, m] - s[p] / M) / sqrt(q[p] / M - s[p] * s[p] / (M * M))
    """,
)


def test_other_algorithms_compute_what_they_say():
    Q, K, V = draws(1, (4, 3), (6, 3), (6, 2))
    found = interpret(WINDOW, {"Q": Q, "K": K, "V": V}, {"j": 3})["AV"]
    for i in range(4):
        np.testing.assert_allclose(found[i], softmax(Q[i] @ K[i : i + 3].T) @ V[i : i + 3])
    Q, K, V = draws(2, (5, 3), (5, 3), (5, 2))
    scores = np.where(np.tri(5) > 0, Q @ K.T, -np.inf)
    found = interpret(CAUSAL, {"Q": Q, "K": K, "V": V})["AV"]
    np.testing.assert_allclose(found, softmax(scores) @ V)

    def phi(x):
        return np.where(x > 0, x + 1, np.exp(x))

    weights = phi(Q) @ phi(K).T
    found = interpret(LINEAR, {"Q": Q, "K": K, "V": V})["AV"]
    np.testing.assert_allclose(found, weights @ V / weights.sum(1, keepdims=True))


def test_steps_that_need_each_other():
    K, Q, V, b = draws(3, (4, 2), (4, 2), (4, 3), (4,))
    found = interpret(DELTA_RULE, {"K": K, "Q": Q, "V": V, "b": b})
    S = np.zeros((2, 3))
    for t in range(4):
        S = S + b[t] * np.outer(K[t], V[t] - K[t] @ S)
        np.testing.assert_allclose(found["O"][t], Q[t] @ S)
    a, dt, B, C, x = draws(4, (3,), (6,), (6, 3), (6, 3), (6,))
    found = interpret(STATE_SPACE, {"a": a, "dt": dt, "B": B, "C": C, "x": x})
    H = np.zeros(3)
    for t in range(6):
        H = np.exp(-a * dt[t]) * H + dt[t] * B[t] * x[t]
        np.testing.assert_allclose(found["y"][t], C[t] @ H)


def test_own_functions_and_plain_numbers():
    cube = Cascade("cubes", "y[i] = cube(x[i]) + c - 2 ** 3")
    found = interpret(cube, {"x": [1, 2], "c": 0.5}, functions={"cube": lambda x: x**3})
    np.testing.assert_allclose(found["y"], [1 - 7.5, 8 - 7.5])


# How often they walk


@pytest.mark.parametrize(("name", "count"), EXPECTED.items())
def test_passes_of_the_ready_cascades(name, count):
    assert passes(CASCADES[name]).counts["m"] == count


def test_values_are_read_once_where_keys_are_read_thrice():
    found = passes(CASCADES["attention, maximum first"])
    assert found.of_input["m"] == {"K": 3, "V": 1}
    assert found.counts == {"p": 1, "m": 3, "e": 1, "f": 1}


def test_labels_reasons_and_short_walks():
    found = passes(CASCADES["attention, maximum first"])
    assert list(found.labels["m"].values()) == [1, 1, 2, 2, 3, 3]
    assert "needs GM" in found.why["m"]["SN[p, m] = exp(QK[p, m] - GM[p])"]
    split = passes(CASCADES["attention, split keys"])
    assert any(text.startswith("SNV") for text in split.short["m"])
    assert "short walk" in split.why["m"]["PLM[p, m1] = exp(LM[p, m1] - GM[p])"]
    assert "m: 1 pass (K 1, V 1)" in str(split)
    assert [row["pass"] for row in found.rows("m")] == [1, 1, 2, 2, 3, 3]
    with pytest.raises(WorkbenchError, match="'z' came"):
        found.rows("z")


def test_other_algorithms_are_classified():
    assert passes(WINDOW).counts == {"i": 1, "j": 3, "e": 1, "f": 1}
    assert passes(CAUSAL).counts["m"] == 3
    assert passes(LINEAR).counts == {"m": 1, "d": 1, "p": 1, "f": 1}
    assert passes(STATE_SPACE).counts["t"] == 1
    assert passes(DELTA_RULE).counts == {"d": 2, "f": 1, "t": 1}
    assert passes(LAYER_NORM).counts["m"] == 3
    assert passes(MOMENTS_FIRST).counts["m"] == 2


def test_a_fibre_of_something_else_is_no_second_pass():
    two = Cascade("two rows", "s = sum(a[m])\nt = sum(b[m] * s)")
    assert passes(two).of_input["m"] == {"a": 1, "b": 1}
    again = Cascade("one row twice", "s = sum(a[m])\nt = sum(a[m] * s)")
    assert passes(again).counts["m"] == 2


def test_a_first_element_is_there_from_the_start():
    lines = "h[0] = 3\nh[m+1] = h[m] + x[m]\ny[m] = x[m] * h[{}]"
    assert passes(Cascade("first", lines.format("0"))).counts["m"] == 1
    assert passes(Cascade("last", lines.format("M"))).counts["m"] == 2


def test_a_backward_place_waits_for_the_whole_fibre():
    turned = Cascade("palindrome", "y[m] = x[m] - x[M-1-m]")
    assert passes(turned).counts["m"] == 2
    np.testing.assert_allclose(interpret(turned, {"x": [1.0, 2.0, 5.0]})["y"], [-4, 0, 4])


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_any_number_of_passes(depth):
    lines = ["s0 = sum(x[m])"] + [f"s{i} = sum(x[m] * s{i - 1})" for i in range(1, depth)]
    assert passes(Cascade("chain", "\n".join(lines))).counts["m"] == depth


# The tracer


def trace(cascade, sizes, source, loop, inner=None):
    """How many walks over whole fibres of `source` along `loop` a machine needs, element by element."""
    moments: dict[tuple, tuple[tuple[int, int], bool]] = {}
    walks = set()
    done: set[Einsum] = set()

    def place_of(index, at):
        return (
            index.offset
            + sum(times * at[rank] for rank, times in index.ranks)
            + sum(times * sizes[rank] for rank, times in index.sizes)
        )

    def contribution(one, at):
        """When one point of one Einsum can be worked on; None if it has nothing to do with the source."""
        here, waits, whole = None, (0, 0), False
        for access in one.reads:
            if access.name in at:
                continue
            element = (access.name, *(place_of(index, at) for index in access.at))
            moment, flows = moments.get(element, ((0, 0), False))
            if access.name == source:
                moment, flows = ((1, at[loop]), True) if access.along(loop) else ((0, 0), False)
            waits = max(waits, moment)
            if flows and access.along(loop):
                here = max(here or 0, moment[1])
                whole = whole or inner is None or access.along(inner) != 0
        if here is None:
            return waits, False
        walk = waits[0] + (waits[1] > here)
        if whole and here == sizes[loop] // 2:  # first places have initial values, last ones fresh results
            walks.add(walk)
        return (walk, here), True

    def run(one, fixed):
        loops = [rank for rank in one.ranks if rank not in fixed]
        for places in product(*(range(sizes[rank]) for rank in loops)):
            at = dict(zip(loops, places, strict=True)) | fixed
            moment, flows = contribution(one, at)
            element = (one.name, *(place_of(index, at) for index in one.output.at))
            before = moments.get(element, ((0, 0), False))[0] if one.reduced else (0, 0)
            moments[element] = max(before, moment), flows and one.output.along(loop) > 0

    while len(done) < len(cascade.einsums):
        for one in cascade.einsums:
            readable = all(
                maker in done for access in one.reads for maker in cascade.makers(access.name) if maker != one
            )
            if one in done or not readable:
                continue
            if any(access.name == one.name for access in one.reads):
                for step in range(sizes[one.iterative]):
                    run(one, {one.iterative: step})
            else:
                run(one, {})
            done.add(one)
    return len(walks)


@pytest.mark.parametrize("name", [name for name in CASCADES if name != "attention, one pass"])
def test_the_tracer_agrees_on_the_ready_cascades(name):
    cascade = CASCADES[name]
    sizes = {"p": 2, "m": 7, "m1": 7, "m0": 3, "e": 2, "f": 2}
    loop, inner = ("m1", "m0") if cascade.split else ("m", None)
    for source, count in passes(cascade).of_input["m"].items():
        assert trace(cascade, sizes, source, loop, inner) == count, source


def test_the_tracer_agrees_on_one_pass():
    """The same tracer, with the running tensors of a step put in order by hand."""
    one = CASCADES["attention, one pass"]
    merged = Cascade(
        "one pass, shorter",
        """
        QK[p, m1, m0]   = sum(Q[p, e] * K[m1, m0, e])
        LM[p, m1]       = max(QK[p, m1, m0])
        RM[p, 0]        = -inf
        RM[p, m1+1]     = max(RM[p, m1], LM[p, m1])
        SLN[p, m1, m0]  = exp(QK[p, m1, m0] - RM[p, m1+1])
        PRM[p, m1]      = exp(RM[p, m1] - RM[p, m1+1])
        SLD[p, m1]      = sum(SLN[p, m1, m0])
        RD[p, 0]        = 0
        RD[p, m1+1]     = PRM[p, m1] * RD[p, m1] + SLD[p, m1]
        SLNV[p, m1, f]  = sum(SLN[p, m1, m0] * V[m1, m0, f])
        RNV[p, 0, f]    = 0
        RNV[p, m1+1, f] = PRM[p, m1] * RNV[p, m1, f] + SLNV[p, m1, f]
        AV[p, f]        = RNV[p, M1, f] / RD[p, M1]
        """,
        one.split,
    )
    sizes = {"p": 2, "m1": 7, "m0": 3, "e": 2, "f": 2}
    for source in ("K", "V"):
        assert passes(merged).of_input["m"][source] == trace(merged, sizes, source, "m1", "m0") == 1
    late = Cascade("late", str(merged).split("\n", 1)[1].replace("RM[p, m1+1])", "RM[p, M1])"), one.split)
    assert passes(late).of_input["m"]["K"] == trace(late, sizes, "K", "m1", "m0") == 2


@st.composite
def random_cascades(draw):
    """Chains of maps, reductions and running sums over one row, each of what came before."""
    rows, values, lines = ["x[m]", "w[m]"], ["c"], []
    for number in range(draw(st.integers(1, 7))):
        row, other = draw(st.sampled_from(rows)), draw(st.sampled_from(rows + values))
        match draw(st.sampled_from(["map", "reduce", "run", "plain"])):
            case "map":
                lines.append(f"r{number}[m] = {row} * {other}")
                rows.append(f"r{number}[m]")
            case "reduce":
                lines.append(f"v{number} = sum({row} * {other})")
                values.append(f"v{number}")
            case "run":
                lines += [f"h{number}[0] = 0", f"h{number}[m+1] = h{number}[m] * {other} + {row}"]
                rows.append(draw(st.sampled_from([f"h{number}[m]", f"h{number}[m+1]"])))
                values.append(f"h{number}[M]")
            case "plain":
                lines.append(f"v{number} = {draw(st.sampled_from(values))} + 1")
                values.append(f"v{number}")
    return Cascade("random", "\n".join(lines))


@settings(max_examples=250, deadline=None)
@given(random_cascades())
def test_the_tracer_agrees_on_random_cascades(cascade):
    for source, count in passes(cascade).of_input.get("m", {}).items():
        assert trace(cascade, {"m": 21}, source, "m") == count, (source, str(cascade))


# What must be at hand


TILE = {"p": 8, "m0": 16, "e": 4, "f": 4}


@pytest.mark.parametrize(
    ("name", "growth"),
    [
        ("attention, maximum first", 8),  # a row of scores for each query
        ("attention, division last", 8),
        ("attention, running statistics", 8),
        ("attention, naive", 0),
        ("attention, one pass", 0),
        ("attention, split keys", 8 * (4 + 2) / 16),  # one number in 16: RNV's like, LM and SLD
    ],
)
def test_scratch_grows_by_what_is_kept(name, growth):
    small, large = (footprint(CASCADES[name], TILE | {"m": m}) for m in (1024, 65536))
    assert large.numbers - small.numbers == growth * (65536 - 1024)
    assert (large.kept > 0) == (growth > 0)


def test_a_footprint_by_hand():
    found = footprint(CASCADES["softmax, online"], {"m": 1000})
    assert found.numbers == 4
    assert found.kept == 0
    found = footprint(CASCADES["softmax, maximum first"], {"m": 1000})
    assert found.numbers == 1003
    assert found.formula == "M + 3"
    assert {one.name for one in found.live if one.role == "kept"} == {"SN"}
    assert "1003 = M + 3 numbers" in str(found)
    assert sum(row["numbers"] for row in found.rows()) == 1003


def test_inputs_alone_are_not_kept_for_later():
    lines = "V2[m, f] = 2 * V[m, f]\n" + str(CASCADES["attention, maximum first"]).split("\n", 1)[1]
    doubled = Cascade("doubled", lines.replace("* V[m, f])", "* V2[m, f])"))
    found = footprint(doubled, {"p": 8, "m": 512, "e": 4, "f": 4})
    assert "V2" not in {one.name for one in found.live if one.role == "kept"}


def test_a_window_keeps_its_width():
    small, large = (footprint(WINDOW, {"i": n, "j": 7, "e": 4, "f": 4}, along="i") for n in (64, 4096))
    assert small.numbers == large.numbers
    assert any(one.name == "K" and one.numbers == 7 * 4 for one in small.live) or small.numbers >= 28


# Operations and words


def test_division_last_divides_less():
    sizes = {"p": 3, "m": 100, "e": 4, "f": 5}
    first, last = (
        CASCADES[f"attention, {name}"].operations(sizes) for name in ("maximum first", "division last")
    )
    assert first["/"] == 3 * 100
    assert last["/"] == 3 * 5
    assert first["*"] == last["*"] == 3 * 100 * (4 + 5)
    assert first["exp"] == last["exp"] == 300


def test_what_depends_on_less_is_computed_less():
    assert Einsum("y[i, j] = exp(a[i]) * b[j]").operations({"i": 3, "j": 5}) == {"exp": 3, "*": 15}


def test_it_prints_as_it_is_written():
    assert str(CASCADES["softmax, maximum first"]).splitlines()[2] == "    SN[m] = exp(x[m] - GM)"
    one = Einsum("RM[p, k+1]=max(RM[p,k], LM[p,k])")
    assert one.iterative == "k"
    assert one.reduce is None
    assert one == Einsum(one.text)
    assert Einsum("GM[p] = max(QK[p, m])").reduced == ("m",)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("", "needs at least one"),
        ("y[m] + x[m]", "one assignment"),
        ("y[m = x", "one assignment"),
        ("y = x[m]", "must say how to reduce"),
        ("y[m] = sum(x[m])", "every rank on its right"),
        ("y = 1 + sum(x[m])", "a line of its own"),
        ("y[2*m] = x[m]", "may only make"),
        ("y[m] = x[m*m]", "not a sum of ranks"),
        ("y[m] = x[m]\ny[m] = x[m]", "twice"),
        ("y[m+1] = y[m]", "first element"),
        ("y[m] = x[m] + x[m, m]", "places"),
    ],
)
def test_what_is_not_a_cascade_is_refused(lines, words):
    with pytest.raises(WorkbenchError, match=words):
        Cascade("bad", lines)


def test_what_cannot_be_run_is_refused():
    cascade = CASCADES["softmax, maximum first"]
    with pytest.raises(WorkbenchError, match="reads x, but nothing came"):
        interpret(cascade, {})
    with pytest.raises(WorkbenchError, match="1 axes"):
        interpret(cascade, {"x": np.ones((2, 2))})
    with pytest.raises(WorkbenchError, match="size 3 and also size 2"):
        interpret(Cascade("sum", "z[i] = x[i] + y[i]"), {"x": np.ones(3), "y": np.ones(2)})
    with pytest.raises(WorkbenchError, match="length of a block"):
        interpret(CASCADES["attention, one pass"], dict.fromkeys("QKV", np.ones((2, 2))))
    with pytest.raises(WorkbenchError, match="not known"):
        interpret(Cascade("odd", "y[i] = erf(x[i])"), {"x": [1.0]})
    with pytest.raises(WorkbenchError, match="axis with 3 places"):
        interpret(Cascade("out", "y[i] = x[i+1]"), {"x": [1.0, 2.0, 3.0]}, {"i": 3})
    with pytest.raises(WorkbenchError, match="in order to finish it"):
        passes(Cascade("circle", "a = sum(x[m] * b)\nb = sum(x[m] * a)"))
    with pytest.raises(WorkbenchError, match="no single rank"):
        interpret(Cascade("circle", "a = b + 1\nb = a + 1"), {})
    with pytest.raises(WorkbenchError, match="'f' has none"):
        footprint(CASCADES["attention, one pass"], {"p": 1, "m": 4, "m0": 2, "e": 1})
    with pytest.raises(WorkbenchError, match="'z' came"):
        footprint(cascade, {"m": 3}, along="z")
    assert not math.isnan(interpret(cascade, {"x": [0.0]})["y"][0])
