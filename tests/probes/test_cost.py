"""Costs by formula against torch's own counter and by hand."""

import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from workbench.errors import WorkbenchError
from workbench.layers import DepthwiseBlock, conv_stack
from workbench.probes import cost


def counted_by_torch(module: nn.Module, shape: tuple[int, ...]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(torch.zeros(shape))
    return counter.get_total_flops()


@settings(deadline=None, max_examples=25)
@given(
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    groups=st.integers(1, 3),
    batch=st.integers(1, 2),
    size=st.integers(9, 13),
)
def test_convolutions_equal_the_counter_of_torch(kernel, stride, dilation, groups, batch, size):
    conv = nn.Conv2d(2 * groups, 3 * groups, kernel, stride, 1, dilation, groups)
    shape = (batch, 2 * groups, size, size + 1)
    assert 2 * cost(conv, shape).macs.value == counted_by_torch(conv, shape)


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(24, 5)), (3, 2, 3, 4)),
        (nn.Linear(7, 5, bias=False), (2, 3, 7)),
        (nn.ConvTranspose2d(3, 4, 3, 2), (1, 3, 5, 6)),
        (nn.Conv1d(3, 4, 3), (1, 3, 9)),
        (nn.Conv3d(1, 2, 3), (1, 1, 5, 5, 5)),
        (nn.Sequential(conv_stack(3, 2, 4), DepthwiseBlock(4, 7)), (1, 3, 8, 8)),
    ],
)
def test_other_layers_equal_the_counter_of_torch(module, shape):
    assert 2 * cost(module, shape).macs.value == counted_by_torch(module, shape)


class Attend(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        x = x.flatten(2).transpose(1, 2)
        return self.attention(x, x, x)[0]


def test_attention_is_not_free():
    tokens, dim = 12, 8
    projections, scores = tokens * dim * 4 * dim, 2 * tokens * tokens * dim
    before = torch.backends.mha.get_fastpath_enabled()
    assert cost(Attend(), (1, 8, 3, 4)).macs.value == projections + scores
    assert torch.backends.mha.get_fastpath_enabled() == before


def test_one_layer_by_hand():
    result = cost(nn.Conv2d(3, 8, 5, padding=2), (2, 3, 10, 12))
    pixels = 2 * 10 * 12
    assert result.parameters.value == 8 * 3 * 25 + 8
    assert result.macs.value == pixels * 8 * 3 * 25
    assert result.flops.value == 2 * result.macs.value + pixels * 8
    assert result.bytes.value == 4 * (pixels * 3 + pixels * 8 + 8 * 3 * 25 + 8)
    assert result.intensity.value == pytest.approx(result.flops.value / result.bytes.value)
    assert {q.provenance for q in (result.parameters, result.macs, result.flops, result.bytes)} == {"formula"}


def test_parts_sum_up_and_shared_weights_count_once():
    conv = nn.Conv2d(4, 4, 3, padding=1)
    net = nn.Sequential(conv, nn.ReLU(), nn.Sequential(conv, nn.MaxPool2d(2)))
    result = cost(net, (1, 4, 8, 8))
    assert result.parameters.value == 4 * 4 * 9 + 4
    rows = {row["layer"]: row for row in result.rows()}
    assert rows["1"]["flops"] == 4 * 64
    assert rows["2.1"]["flops"] == 4 * 64
    assert sum(row["bytes"] for row in rows.values()) == result.bytes.value
    assert rows["0"]["macs"] == result.macs.value == 2 * 4 * 4 * 9 * 64  # it runs twice and has one row
    assert not result.unpriced


def test_rearranging_is_free_and_double_precision_moves_twice_as_much():
    class Turn(nn.Module):
        def forward(self, x):
            return x.transpose(2, 3).unsqueeze(0).squeeze(0)

    assert cost(Turn(), (1, 2, 3, 4)).bytes.value == 0
    single, double = (
        cost(nn.Conv2d(1, 1, 3).to(dtype), (1, 1, 8, 8)) for dtype in (torch.float32, torch.float64)
    )
    assert double.bytes.value == 2 * single.bytes.value


def test_what_has_no_formula_is_named():
    class Sort(nn.Module):
        def forward(self, x):
            return x.sort().values

    result = cost(Sort(), (1, 1, 8, 8))
    assert result.unpriced == ("sort",)
    assert result.flops.value == 0
    assert result.bytes.value == 64 * (4 + 4 + 8)
    assert "without a formula" in str(result)


def test_values_that_decide_are_refused_in_plain_words():
    class Decide(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(
        WorkbenchError, match=r"Decide decides by the values of its input .*probe\(model, x\)"
    ):
        cost(Decide(), (1, 1, 4, 4))


def test_modules_that_run_in_another_thread_are_let_pass():
    net, other = nn.Conv2d(1, 2, 3), nn.Linear(3, 3)
    stop = threading.Event()
    failed = []

    def meanwhile():
        try:
            while not stop.is_set():
                other(torch.ones(1, 3))
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=meanwhile)
    thread.start()
    try:
        alone = [cost(net, (1, 1, 8, 8)).flops.value for _ in range(5)]
    finally:
        stop.set()
        thread.join()
    assert not failed
    assert set(alone) == {2 * 36 * 18 + 36 * 2}


def test_the_module_is_left_as_it_was():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    cost(net, (1, 1, 8, 8))
    assert net.training
    assert net[0].weight.requires_grad
    assert net[1].num_batches_tracked == 0
    assert type(net[0].weight) is nn.Parameter


@pytest.mark.parametrize(
    ("module", "shape", "sentence"),
    [
        (nn.Conv2d(1, 1, 3), (1, 2, 8, 8), "cannot be run on an input of shape"),
        (nn.Conv2d(1, 1, 3), (8, 8), "input_shape must be"),
        (3, (1, 1, 8, 8), "expected a torch module"),
    ],
)
def test_bad_input_is_a_sentence(module, shape, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        cost(module, shape)
