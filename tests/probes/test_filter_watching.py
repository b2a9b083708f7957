"""Filters while a model trains: the right steps, bounded memory, nothing changed, nothing left behind."""

import numpy as np
import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.probes import FilterWatch, init_projection, sparsity, variance_entropy, watch, watch_filters
from workbench.train import Recipe, Task, train


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 4, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )  # fmt: skip


def steps(model, count, decay=0.0):
    torch.manual_seed(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=decay)
    for _ in range(count):
        optimizer.zero_grad()
        model(torch.randn(4, 1, 8, 8)).square().mean().backward()
        optimizer.step()
    return model


def test_each_look_is_before_a_step_and_the_last_one_after_all():
    model = net()
    start = model[0].weight.detach().clone().numpy()
    with watch_filters(model, every=2) as seen:
        steps(model, 5, decay=1.0)
    now = model[0].weight.detach().numpy()
    at, left = seen.series("0", "init_projection")
    assert at.tolist() == [0, 2, 4, 5]
    assert left[0] == 1
    assert left[-1] == pytest.approx(init_projection(now, start))
    assert np.all(np.diff(left) < 0)
    assert seen.series("0", "sparsity")[1][-1] == sparsity(now.reshape(-1, 3, 3))
    assert seen.series("0", "entropy")[1][-1] == pytest.approx(variance_entropy(now.reshape(-1, 3, 3)))
    assert seen.series("0", "rms")[1][-1] == pytest.approx(np.sqrt(np.square(now).mean()))
    assert seen.layers == ["0", "3"]
    assert len(seen.series("3", "entropy")[0]) == 0  # of 1 × 1 there is none
    assert seen.rows()[0]["layer"] == "0"


def test_training_is_the_same_to_the_last_bit_and_evaluation_is_no_step():
    watched, plain = net(), steps(net(), 4)
    with watch_filters(watched) as seen, watch(watched) as beside:
        steps(watched, 4)
        watched.eval()(torch.zeros(1, 1, 8, 8))
    for a, b in zip(watched.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert not watched._forward_pre_hooks
    assert sorted(seen.by_step) == [0, 1, 2, 3, 4]
    assert beside.step == 4


def test_memory_stays_bounded_and_beginning_and_end_are_kept():
    with watch_filters(model := net(), keep=5, snapshots=True) as seen:
        steps(model, 40)
    assert len(seen.by_step) <= 5
    assert (min(seen.by_step), max(seen.by_step)) == (0, 40)
    assert sorted(seen.filters) == sorted(seen.by_step)
    np.testing.assert_array_equal(seen.filters[40]["0"].weights, model[0].weight.detach().numpy())


def test_a_loop_may_call_it_itself():
    seen, model = FilterWatch(every=3), net()
    for _ in range(7):
        seen.look(model)
        steps(model, 1)
    seen.finish(model)
    assert seen.series("0", "entropy")[0].tolist() == [0, 3, 6, 7]


@pytest.mark.parametrize("keep", [False, True])
def test_a_training_on_the_bench_is_seen(keep, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    X = torch.randn(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    data = (X, (X.mean((1, 2, 3)) > 0).long())
    task = Task("signs", (1, 8, 8), 4, data, data)
    model = net()
    with watch_filters(model) as seen:
        run = train(lambda: model, task, Recipe(steps=3, batch=8), keep=keep)
    assert seen.series("0", "rms")[0].tolist() == [0, 1, 2, 3]
    left = init_projection(run.model[0].weight.detach().numpy(), model[0].weight.detach().numpy())
    assert seen.series("0", "init_projection")[1][-1] == pytest.approx(left)
    run.model.train()(X)  # the copy still has the hook, which is over
    assert seen.step == 3


def test_weights_that_are_no_numbers_are_no_trouble():
    model = net()
    with watch_filters(model, snapshots=True) as seen:
        model(torch.zeros(2, 1, 8, 8))
        with torch.no_grad():
            model[0].weight[0] = torch.nan
            model[3].weight.zero_()
    first, other = seen.by_step[1]
    assert (first.sparsity, first.entropy, first.rms) == (None, None, None)
    assert (other.sparsity, other.rms, other.init_projection) == (1, 0, 0)
    assert list(seen.filters) == [0]


def test_a_layer_that_starts_at_zero_has_no_projection():
    model = nn.Conv2d(1, 2, 3)
    nn.init.zeros_(model.weight)
    with watch_filters(model) as seen:
        model(torch.zeros(1, 1, 4, 4))
    assert [row.init_projection for row in seen.records] == [None, None]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: watch_filters(nn.Linear(2, 2)).__enter__(), "Linear has no convolution"),
        (lambda: watch_filters(nn.LazyConv2d(3, 3)).__enter__(), "has no weights yet"),
        (lambda: watch_filters(3).__enter__(), "expected a torch module, but int came"),
        (lambda: FilterWatch(every=0), "every must be at least 1"),
        (lambda: FilterWatch().series("0", "sparsity"), "no convolution '0' was seen; there are none"),
        (lambda: FilterWatch().series("0", "colour"), "a row has no number 'colour'"),
    ],
)
def test_what_cannot_be_watched_is_a_sentence(call, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        call()
