"""Shifts between several populations by their laws, the shipped filters by other means, and the claims."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from workbench import zoo
from workbench.claims import run_claim
from workbench.errors import WorkbenchError
from workbench.probes import (
    components,
    debiased_shift,
    entropy_null,
    entropy_threshold,
    filter_quality,
    filters,
    shift,
    shift_bias,
    shifts,
    variance_entropy,
)
from workbench.systems.filter_distributions.cnn_filter_db import (
    AXES,
    SYSTEM,
    _spearman,
    apart,
    design,
    member,
    populations,
    probed,
    random_trunk,
    shipped,
    untrained,
)
from workbench.zoo import Arm

CHEAP = [claim for claim in SYSTEM.claims if claim.id.startswith("shift-across") and "wiring" not in claim.id]


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path / "build"))
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def models(count, n, seed, tilt=0.0, own=0.0):
    """Models of one kind; `own` is how much they differ."""
    stream = np.random.default_rng(seed)
    lean = np.array([-1.0, 0.0, 1.0])
    return [
        stream.normal(size=(n, 3, 3))
        + tilt * stream.normal(size=(n, 1, 1)) * lean
        + own * stream.normal(size=(3, 3))
        for _ in range(count)
    ]


# Several populations


def test_two_populations_are_those_of_the_probe():
    A, B = models(4, 2000, 1), models(4, 2000, 2, tilt=1.0)
    along = components(np.concatenate(A + B))
    ours = apart({"a": A, "b": B}, along, n=4000, resamples=0)
    theirs = debiased_shift(A, B, along, n=4000, resamples=0)
    assert ours.value == pytest.approx(theirs.value, rel=0.03)  # the halves are drawn anew
    assert ours.shifts.pairs[0, 1].raw == pytest.approx(theirs.raw, rel=0.03)
    assert (ours.n, ours.low, ours.high) == (4000, ours.value, ours.value)


def test_the_mean_is_over_all_pairs():
    found = {name: models(2, 2000, i, tilt=i / 2) for i, name in enumerate("abc")}
    seen = apart(found, n=2000, resamples=0)
    assert seen.value == pytest.approx(np.nanmean(seen.shifts.matrix()))
    pairs = shifts(
        found,
        components(np.concatenate([model for some in found.values() for model in some])),
        n=2000,
        resamples=0,
    )
    np.testing.assert_allclose(seen.shifts.matrix(), pairs.matrix(), atol=0.02, rtol=0.05)


@pytest.mark.parametrize("n", [1000, 4000])
def test_one_population_is_at_no_distance_and_its_bias_is_the_law(n):
    found = apart({name: models(4, 2 * n // 4 + 8, i) for i, name in enumerate("abc")}, n=n, resamples=50)
    assert abs(found.value) < 0.3 * shift_bias(n)
    bias = found.shifts.pairs[0, 1].bias / shift_bias(n)
    assert 0.8 < bias < {1000: 1.8, 4000: 1.4}[n]  # below some thousand filters, empty bins add to the law
    assert found.low < 0.01
    assert found.value < found.null.max()


def test_what_differs_stands_out_of_its_null_and_exchanging_takes_it_away():
    A, B = models(4, 1200, 1, own=0.2), models(4, 1200, 2, tilt=1.5, own=0.2)
    found = apart({"a": A, "b": B}, n=2000, resamples=60)
    assert found.low > found.null.mean()
    assert found.low <= found.value <= found.high
    mixed = apart({"a": [A[0], B[1], A[2], B[3]], "b": [B[0], A[1], B[2], A[3]]}, n=2000, resamples=60)
    assert mixed.low < mixed.null.mean()
    assert mixed.value < found.value / 2


def test_only_models_at_one_place_are_exchanged():
    """Two kinds of models, one kind at each place: the populations are alike, whatever is exchanged."""
    plain, tilted = models(2, 1200, 1), models(2, 1200, 2, tilt=2.0)
    found = apart({"a": [plain[0], tilted[0]], "b": [plain[1], tilted[1]]}, n=1000, resamples=40)
    assert found.null.max() < 0.1
    crossed = apart({"a": plain, "b": tilted}, n=1000, resamples=40)
    assert crossed.value > 0.4
    assert crossed.null.min() < 0.1 < crossed.null.max()


def test_order_and_loudness_do_not_matter():
    found = {"a": models(2, 600, 1), "b": models(2, 600, 2, tilt=1.0)}
    louder = {name: [8 * model for model in some] for name, some in found.items()}
    assert apart(found, n=500, resamples=5).value == apart(louder, n=500, resamples=5).value
    axes = components(np.concatenate([model for some in found.values() for model in some]))
    assert shift(found["a"][0], found["a"][0][::-1], axes) == 0


def test_slips_are_a_sentence():
    two = {"a": models(2, 100, 1), "b": models(2, 100, 2)}
    with pytest.raises(WorkbenchError, match="two or more populations with equally many models, but 2, 1"):
        apart({"a": two["a"], "b": two["b"][:1]})
    with pytest.raises(WorkbenchError, match="allow samples of 2 to 100 filters, but n = 4000 came"):
        apart(two)
    with pytest.raises(WorkbenchError, match="data, task, wiring, depth, seed"):
        design("colour")


# The shipped database


def test_the_shipped_filters_by_three_roads():
    """SQL, NumPy and scikit-learn on one population."""
    found = zoo.shipped()
    where = "data = 'scenes' AND weight_decay = 0.02"
    X = found.filters(where).reshape(-1, 9).astype(np.float64)
    sql = found.covariances("data", where)
    np.testing.assert_allclose(sql.matrices[0], np.cov(X.T), atol=1e-12)
    np.testing.assert_allclose(sql.means[0], X.mean(axis=0), atol=1e-12)
    other, ours = PCA(9).fit(X), components(found.filters(where))
    np.testing.assert_allclose(ours.ratios, other.explained_variance_ratio_, atol=2e-4)
    same = np.abs((ours.eigenfilters.reshape(9, 9) * other.components_).sum(axis=1))
    np.testing.assert_allclose(same[:3], 1, atol=1e-3)
    variances = np.linalg.eigvalsh(sql.matrices[0])[::-1]
    np.testing.assert_allclose(variances, other.explained_variance_, rtol=1e-6)


def test_members_are_the_rows_of_the_database():
    arm = Arm("scenes", weight_decay=0.02)
    found = member(arm)
    assert found is shipped()[arm.model_id]
    assert [len(layer) for layer in found.layers] == [32, *[1024] * 5]
    rows = zoo.shipped().query(
        "SELECT l.sparsity, l.H, l.H_null FROM layers l JOIN models m ON l.model_id = m.model_id "
        f"WHERE m.name = '{arm.name}' ORDER BY l.depth"
    )
    np.testing.assert_allclose(found.sparsity, rows["sparsity"])
    np.testing.assert_allclose(found.evenness, rows["H"] / rows["H_null"])
    filters_too = zoo.shipped().filters(f"name = '{arm.name}'")
    np.testing.assert_array_equal(np.concatenate(found.layers), filters_too)


def test_untrained_networks_are_random_and_of_their_own():
    one, other = untrained(Arm("digits")), untrained(Arm("scenes"))
    assert not np.array_equal(one.layers[0], other.layers[0])
    assert (one.sparsity == 0).all()
    np.testing.assert_allclose(one.evenness[1:], 1, atol=0.01)
    np.testing.assert_array_equal(one.layers[2], untrained(Arm("digits")).layers[2])


@pytest.mark.parametrize("axis", AXES)
def test_designs_differ_in_one_thing_only(axis):
    for budget in ("smoke", "lesson", "full"):
        if axis == "depth":
            continue
        arms = design(axis, budget)
        for place in zip(*arms.values(), strict=True):
            different = [knob for knob in place[0].row() if len({getattr(arm, knob) for arm in place}) > 1]
            assert different == [axis]
    found = populations(axis, "smoke")
    assert len(found) > 1
    assert len(set(map(len, found.values()))) == 1


def test_random_layers_below_the_published_threshold():
    """What the threshold calls degenerate among random layers, against what our null says."""
    stream = np.random.default_rng(0)
    drawn = [variance_entropy(stream.normal(size=(128, 3, 3))) for _ in range(400)]
    below = np.mean(np.array(drawn) < entropy_threshold(128))
    assert 0.03 < below < 0.12
    assert 0.0 <= np.mean(np.array(drawn) < entropy_null((3, 3), 128).quantile(0.01)) < 0.03
    assert variance_entropy(np.concatenate([np.eye(9), -np.eye(9)]).reshape(18, 3, 3)) == pytest.approx(
        np.log10(9)
    )


def test_what_nobody_reads_is_sparse():
    """With "concat", the second half of the last layer but one goes nowhere: decay is all that moves it."""
    rows = zoo.shipped().query(
        "SELECT o >= 16 AS unread, scale < 0.01 * max(scale) OVER () AS sparse FROM filters f "
        "JOIN layers l ON f.layer_id = l.layer_id JOIN models m ON f.model_id = m.model_id "
        "WHERE m.wiring = 'concat' AND l.depth = 4"
    )
    assert not rows["sparse"][~rows["unread"]].any()
    assert rows["sparse"][rows["unread"]].mean() > 0.7


# Claims


def test_ranks():
    pairs = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0], [3.0, 0.0]])
    from scipy.stats import spearmanr

    assert _spearman(pairs) == pytest.approx(spearmanr(*pairs.T).statistic)
    assert _spearman(np.array([[1.0, 2.0], [1.0, 3.0]])) == 0


@pytest.mark.parametrize("claim", CHEAP, ids=lambda claim: claim.id)
def test_claims_on_the_database_are_quick_and_no_seed_matters(claim):
    first, again = claim.measure(0, "smoke"), claim.measure(1, "smoke")
    assert first == again
    assert first.value <= first.system - first.baseline
    assert claim.control(0, "smoke").value < 0.02


def test_seeds_are_not_a_shift():
    found = apart(populations("seed"), resamples=100)
    assert found.low < found.null.mean()
    assert found.value < 0.03
    data = apart(populations("data"), resamples=100)
    assert data.value > 5 * found.value


def test_trained_claims_execute():
    for id in (
        "shift-grows-with-decay",
        "sparse-with-decay",
        "uneven-with-decay",
        "uneven-with-width",
        "transfer",
    ):
        record = run_claim(SYSTEM, id, budget="smoke")
        assert np.isfinite(record.value)
        assert np.isfinite(record.control_value)
    assert -1 <= SYSTEM.claim("uneven-with-width").control(0, "smoke") <= 1


def test_a_probe_reads_what_a_trunk_says():
    torch.manual_seed(0)
    net = zoo.ZooNet().train()
    with torch.no_grad():
        net.features(torch.from_numpy(zoo.pictures("textures").train[0].copy())[:, None])
    score = probed(net.eval(), "textures")
    assert 40 < score <= 100
    for p in net.parameters():
        torch.nn.init.zeros_(p)
    assert probed(net, "textures") < 40  # a trunk that says nothing leaves the commonest class
    assert 40 < random_trunk() < 75


def test_quality_of_a_depthwise_or_single_layer_has_no_hole():
    rows = filter_quality(filters(torch.nn.Conv2d(4, 4, 3, groups=4)))
    assert rows[0].depth_norm == 0
    assert rows[0].orthogonality is None
