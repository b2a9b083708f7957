"""The probe leaves results as they are, its parts add up, and what it does not know it says."""

import threading

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from workbench.bench.probing import small_resnet
from workbench.errors import WorkbenchError
from workbench.layers import DepthwiseBlock
from workbench.probes import probe
from workbench.probes.probing import OUTSIDE, SUMMED

WAYS = {"back": torch.enable_grad, "no_grad": torch.no_grad, "inference": torch.inference_mode}


def labelled(logits):
    return F.cross_entropy(logits, torch.arange(len(logits)) % 10)


def resnet():
    return small_resnet(4, 1), (torch.randn(3, 3, 12, 12),), labelled


def encoder():
    layer = nn.TransformerEncoderLayer(16, 4, 24, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), (torch.randn(2, 5, 16),), None


def recurrent():
    return nn.LSTM(5, 4, 2, batch_first=True, dropout=0.5), (torch.randn(2, 6, 5),), None


def gated():
    return nn.GRU(5, 4, bidirectional=True), (torch.randn(2, 6, 5),), None


def separable():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, groups=1), DepthwiseBlock(8, 5), nn.Conv2d(8, 4, 1))
    return net, (torch.randn(2, 3, 11, 7).transpose(2, 3),), None


def spectral():
    class Spectral(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 9, 5, dtype=torch.complex64))

        def forward(self, x):
            return torch.fft.irfft2(torch.fft.rfft2(x) * self.weight, s=x.shape[-2:])

    return Spectral(), (torch.randn(2, 4, 9, 8),), None


MODELS = [resnet, encoder, recurrent, gated, separable, spectral]


def plain(model, inputs, loss, back):
    """Output and gradients without a probe."""
    output = model(*inputs)
    tensors = output if isinstance(output, tuple) else (output,)
    if back:
        flat = [t for part in tensors for t in (part if isinstance(part, tuple) else (part,))]
        target = loss(output) if loss else sum((t.sum() for t in flat[1:]), flat[0].sum())
        target.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return output, gradients


def equal(a, b):
    if isinstance(a, tuple):
        return all(map(equal, a, b))
    return torch.equal(a, b)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("make", MODELS)
def test_results_are_the_same_to_the_last_bit_and_nothing_changes(make, training, way):
    torch.manual_seed(1)
    model, inputs, loss = make()
    model.train(training)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    back = way == "back"
    with WAYS[way]():
        torch.manual_seed(2)
        found = probe(model, *inputs, loss=loss if back else None, backward=back, repeats=1)
        assert all(p.grad is None for p in model.parameters())
        assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
        output, gradients = plain(model, inputs, loss, back)
    assert equal(found.output, output)
    assert found.gradients.keys() == gradients.keys()
    assert bool(gradients) == back
    assert all(torch.equal(found.gradients[name], gradients[name]) for name in gradients)
    assert not found.uncounted
    total = found.total
    assert total.flops > 0
    assert total.bytes > 0
    assert (total.backward_flops > 0) == (total.backward_bytes > 0) == back
    assert (total.saved > 0) == back or way == "back"
    assert total.parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("make", MODELS)
def test_parts_add_up(make):
    model, inputs, loss = make()
    found = probe(model, *inputs, loss=loss, backward=True, repeats=3)
    outside = found.part(OUTSIDE)
    whole = found.inclusive()
    for what in SUMMED[1:]:
        own = [getattr(part, what) for part in found.parts]
        assert sum(own) == pytest.approx(getattr(found.total, what))
        assert getattr(whole, what) + getattr(outside, what) == pytest.approx(getattr(found.total, what))
        if "." not in "".join(name for name, _ in model.named_children()):
            children = sum(getattr(found.inclusive(name), what) for name, _ in model.named_children())
            assert children + getattr(found.parts[0], what) == pytest.approx(getattr(whole, what))
        assert all(value >= 0 for value in own[:-1])
    assert len(found.passes) == 3
    assert found.total.seconds + found.total.backward_seconds == pytest.approx(found.passes[1])
    assert outside.macs == outside.backward_macs == 0
    assert found.part(OUTSIDE).backward_bytes < whole.backward_bytes


def test_a_way_back_is_booked_where_the_way_forward_was():
    net = nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 16, 2))
    found = probe(net, torch.randn(5, 2, 6, 6), backward=True)
    conv, relu, linear = (found.part(name) for name in "013")
    assert conv.backward_macs == conv.macs == 5 * 3 * 16 * 18  # no gradient of the image is wanted
    assert relu.backward_flops == relu.flops == 5 * 3 * 16
    assert linear.backward_macs == 2 * linear.macs
    assert linear.backward_flops == 2 * linear.backward_macs + 5 * 2


def test_what_is_kept_for_the_way_back():
    x = torch.randn(7, 10, requires_grad=True)
    linear = nn.Linear(10, 4)
    assert probe(linear, x).total.saved == x.numel() * 4  # the weight is the model's own
    assert probe(nn.Sequential(linear, linear.__class__(4, 4)), x).part("1").saved == 7 * 4 * 4
    net = nn.Sequential(nn.Linear(10, 4), nn.ReLU(), nn.Linear(4, 2))
    found = probe(net, x)
    assert [found.part(name).saved for name in "012"] == [280, 7 * 4 * 4, 0]  # one memory, kept once
    with torch.no_grad():
        assert probe(net, x).total.saved == 0
    half = probe(nn.Linear(10, 4).double(), x.detach().double())
    assert half.total.saved == 560


def test_shared_modules_and_parameters_count_once():
    conv = nn.Conv2d(4, 4, 3, padding=1)
    tied = nn.Conv2d(4, 4, 3, padding=1)
    tied.weight = conv.weight
    found = probe(nn.Sequential(conv, nn.ReLU(), conv, tied), torch.randn(1, 4, 8, 8), backward=True)
    assert found.total.parameters == 4 * 4 * 9 + 4 + 4
    assert found.part("0").calls == 2
    assert found.part("0").macs == 2 * found.part("3").macs
    assert [part.name for part in found.parts] == ["", "0", "1", "3", OUTSIDE]


def test_functions_are_booked_on_the_part_that_calls_them():
    class Scale(nn.Module):
        def forward(self, x):
            return x * 3

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = Scale()
            self.unused = nn.Linear(2, 2)

        def forward(self, x):
            return self.scale(x).exp() + 1

    found = probe(Outer(), torch.randn(3, 4, requires_grad=True), loss=lambda out: (out * out).mean())
    assert found.part("").flops == 2 * 12
    assert found.part("").backward_flops == 12  # exp alone
    assert found.part("scale").flops == found.part("scale").backward_flops == 12
    assert found.part(OUTSIDE).flops == 12 + 13
    assert found.part("unused").calls == 0


def test_recomputing_is_part_of_the_way_back():
    class Again(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(6, 6), nn.ReLU())

        def forward(self, x):
            return checkpoint(self.inner, x, use_reentrant=False)

    found = probe(Again(), torch.randn(5, 6), backward=True)
    linear = found.part("inner.0")
    assert linear.macs == 5 * 36
    assert linear.backward_macs == 2 * 5 * 36  # once again, and the gradient of the weight
    assert linear.calls == 2


def test_time_is_measured_and_the_rest_is_formula():
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU())
    x = torch.randn(32, 64)
    quantities = probe(net, x, backward=True, repeats=3).quantities()
    origin = {name: q.provenance for name, q in quantities.items()}
    assert {name for name, p in origin.items() if p == "measured"} == {
        "seconds", "backward_seconds", "total_seconds",
    }  # fmt: skip
    assert origin["saved"] == "counted"
    assert origin["flops"] == origin["bytes"] == origin["parameters"] == "formula"
    whole = quantities["total_seconds"]
    assert whole.machine
    assert whole.when
    assert whole.low <= whole.value <= whole.high
    untimed = probe(net, x)
    assert not any("seconds" in name for name in untimed.quantities("0"))
    assert untimed.quantities("0")["flops"].value == 2 * 32 * 64 * 64 + 32 * 64
    rows = untimed.rows(inclusive=True)
    assert rows[0]["flops"] == untimed.total.flops
    assert rows[1]["provenance"]["flops"] == "formula"
    assert "seconds" not in rows[0]
    assert "0 (Linear)" in str(untimed)


def test_what_runs_in_another_thread_is_not_seen():
    inner = nn.Linear(3, 3)

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            thread = threading.Thread(target=lambda: inner(x))
            thread.start()
            thread.join()
            return x + 1

    found = probe(Outer(), torch.ones(2, 3))
    assert found.part("inner").calls == 0
    assert found.total.flops == 6


def test_gradients_that_were_there_are_kept():
    linear, x = nn.Linear(3, 1), torch.ones(2, 3, requires_grad=True)
    linear(x).sum().backward()
    before, grad = linear.weight.grad, x.grad
    probe(linear, x, backward=True)
    assert linear.weight.grad is before
    assert x.grad is grad
    assert torch.equal(before, torch.full((1, 3), 2.0))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: probe(nn.Linear(3, 2), torch.ones(2, 4)),
            r"Linear cannot be run on an input of shape \(2, 4\)",
        ),
        (lambda: probe("net", torch.ones(1)), "expected a torch module, but str came"),
        (lambda: probe(nn.ReLU(), torch.ones(1), repeats=-1), "repeats must be 0 or more, but -1 came"),
        (lambda: probe(nn.ReLU(), torch.ones(1), backward=True), "depends on a parameter, but shape"),
        (
            lambda: probe(nn.Linear(1, 2), torch.ones(1), loss=lambda out: out),
            r"one number .* but shape \(2,\)",
        ),
        (lambda: probe(nn.ReLU(), torch.ones(1)).part("x"), "no part called 'x'"),
        (lambda: torch.no_grad()(probe)(nn.Linear(1, 1), torch.ones(1), backward=True), "gradients are off"),
    ],
)
def test_bad_input_is_a_sentence(call, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        call()
