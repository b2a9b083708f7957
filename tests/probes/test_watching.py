"""Statistics by hand, bounded memory, results to the last bit, and no hook left behind."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules import module as hooks

from workbench.errors import WorkbenchError
from workbench.probes import statistics, watch
from workbench.probes.watching import bin_edges, summary


class Pair(nn.Module):
    """Returns a tuple and a dict, runs one part twice."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True))

    def forward(self, x):
        once = self.inner(x)
        return once, {"again": self.inner(once)}


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(inplace=True), nn.Dropout(0.2), nn.Linear(6, 2)
    )


def train(model, steps):
    torch.manual_seed(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()
    return model


def no_hooks(model):
    return (
        not hooks._global_forward_hooks
        and not hooks._global_forward_pre_hooks
        and not any(p._backward_hooks for p in model.parameters())
    )


def test_training_is_the_same_to_the_last_bit():
    watched, plain = net(), train(net(), 5)
    with watch(watched) as seen:
        train(watched, 5)
    for a, b in zip(watched.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert no_hooks(watched)
    assert seen.step == 4
    kinds = {(row.module, row.kind) for row in seen.records}
    assert {("0", "activation"), ("0", "gradient"), ("0.weight", "parameter gradient")} <= kinds
    per_step = len(seen.records) / 5
    assert per_step == 6 + 6 + 6  # six parts (the model itself, too) both ways, six parameters


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_statistics_by_hand(dtype):
    torch.manual_seed(0)
    x = torch.randn(7, 3, 5).to(dtype)
    x[:, 1, 2] = 0
    row = summary(x)
    y = x.double().numpy()
    assert row["count"] == 105
    for name, value in {
        "mean": y.mean(), "std": y.std(), "low": y.min(), "high": y.max(),
        "norm": np.linalg.norm(y), "zeros": (y == 0).mean(), "dead": 1 / 15, "nonfinite": 0,
    }.items():  # fmt: skip
        assert row[name] == pytest.approx(value), name
    assert row["histogram"].sum() == 105
    assert np.array_equal(row["histogram"], np.histogram(y, bin_edges())[0])


def test_numbers_that_are_none_do_not_spoil_the_rest():
    row = summary(torch.tensor([1.0, torch.nan, torch.inf, 3.0]))
    assert (row["nonfinite"], row["mean"], row["high"]) == (2, 2.0, 3.0)
    empty = summary(torch.zeros(0, 3))
    assert empty["count"] == 0
    assert np.isnan(empty["mean"])
    assert summary(torch.tensor(2.0))["std"] == 0
    assert summary(torch.tensor([3 + 4j]))["mean"] == 5


def test_quantiles_are_right_to_a_half_octave():
    x = torch.from_numpy(np.random.default_rng(0).lognormal(size=4000)).float()
    (row,) = statistics(nn.Identity(), x[None]).records
    for q in (0.05, 0.5, 0.95):
        assert abs(np.log2(row.quantile(q) / np.quantile(x.numpy(), q))) < 0.5
    assert row.quantile(0.0) == pytest.approx(row.low)
    assert row.quantile(1.0) == pytest.approx(row.high)


def test_several_outputs_and_several_calls():
    seen = statistics(Pair(), torch.randn(3, 4), backward=True)
    activations = [row for row in seen.records if row.kind == "activation"]
    assert [row.call for row in activations if row.module == "inner"] == [0, 1]
    assert sorted(row.output for row in activations if row.module == "") == ["[0]", "[1]['again']"]
    gradients = {(row.module, row.call) for row in seen.records if row.kind == "gradient"}
    assert {("inner", 0), ("inner", 1), ("inner.0", 0), ("", 0)} <= gradients


def test_gradients_are_those_of_autograd():
    linear, x = nn.Linear(3, 2), torch.randn(5, 3)
    seen = statistics(linear, x, loss=lambda out: out.square().sum())
    (at_output,) = (row for row in seen.records if row.kind == "gradient")
    assert at_output.norm == pytest.approx(float((2 * linear(x)).detach().norm()), rel=1e-5)
    linear(x).square().sum().backward()
    norms = {row.module: row.norm for row in seen.records if row.kind == "parameter gradient"}
    assert norms == pytest.approx(
        {name: float(p.grad.norm()) for name, p in linear.named_parameters()}, rel=1e-5
    )


def test_dead_units_are_found():
    relu = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    with torch.no_grad():
        relu[0].weight.zero_()
        relu[0].bias.copy_(torch.tensor([-1.0, 1.0, -1.0]))
    seen = statistics(relu, torch.randn(9, 2))
    assert seen.series("1", "dead")[1].tolist() == [pytest.approx(2 / 3)]


def test_memory_stays_bounded():
    model = net()
    with watch(model, keep=4) as seen:
        train(model, 14)
    steps, values = seen.series("0", "std")
    assert steps.tolist() == [0, 4, 8, 12]
    assert len(values) == len(seen.by_step) == 4
    assert {row["step"] for row in seen.rows()} == {0, 4, 8, 12}
    with watch(model, every=5) as seen:
        train(model, 12)
    assert sorted(seen.by_step) == [0, 5, 10]


def test_hooks_go_even_when_the_loop_fails_and_late_gradients_are_ignored():
    model = net()
    passed = []

    def loop():
        with watch(model) as seen:
            passed.extend((seen, model(torch.randn(8, 4)).sum()))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        loop()
    assert no_hooks(model)
    seen, late = passed
    before = len(seen.records)
    late.backward()
    model(torch.randn(8, 4))
    assert len(seen.records) == before == 6


def test_a_leaf_that_passes_through_keeps_no_hook():
    x = torch.ones(2, 3, requires_grad=True)
    with watch(nn.Identity()):
        pass
    statistics(nn.Identity(), x, backward=True)
    assert not x._backward_hooks


def test_evaluation_keeps_the_fused_path():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = torch.randn(2, 5, 8)
    with torch.no_grad():
        expected = layer(x)
        with watch(layer) as seen:
            assert torch.equal(layer(x), expected)
    assert [(row.module, row.kind) for row in seen.records] == [("", "activation")]


def test_bad_input_is_a_sentence():
    with pytest.raises(WorkbenchError, match="expected a torch module"), watch(3):
        pass
    with pytest.raises(WorkbenchError, match="keep at least 2, but 1 and 1 came"), watch(net(), keep=1):
        pass
    seen = statistics(nn.ReLU(), torch.ones(2))
    with pytest.raises(WorkbenchError, match="no activation of 'x' was seen; there are ''"):
        seen.series("x", "mean")
    with pytest.raises(WorkbenchError, match="a row has no 'median'"):
        seen.series("", "median")
