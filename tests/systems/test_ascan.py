"""Placings, the price against the counting probe, blocks, the mirror, and the claims."""

import pytest
import torch
from torch import nn

from workbench.claims import run_claim
from workbench.errors import WorkbenchError
from workbench.probes import cost
from workbench.systems.attention_shapes import ascan
from workbench.systems.attention_shapes.ascan import (
    FOUR_STAGES,
    SYSTEM,
    TWO_OF_EACH,
    AsCAN,
    AsCANUNet,
    ConvBlock,
    TransformerBlock,
    mirrored,
    multiply_adds,
    placings,
    stages_of,
)


@pytest.fixture(autouse=True)
def _build(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))


def kinds(part: nn.Module) -> str:
    letters = {ConvBlock: "C", TransformerBlock: "T"}
    return "".join(letters[type(m)] for m in part.modules() if type(m) in letters)


@pytest.mark.parametrize("placing", ["C", "T", "CC|TT", "TCT|C", "CT|TC|CC"])
@pytest.mark.parametrize("fused", [0, 1])
def test_the_price_is_what_the_probe_counts(placing, fused):
    """Stem and head are not in it: their multiply-adds are taken off."""
    net, side = AsCAN(placing, 6, inputs=2, outputs=3, stem=0, fused=fused, pixels=True), 8
    last = side // 2 ** (len(stages_of(placing)) - 1)
    ends = side**2 * 9 * 2 * 6 + last**2 * 6 * 2 ** (len(stages_of(placing)) - 1) * 3
    found = cost(net, (1, 2, side, side)).macs.value
    assert found - ends == multiply_adds(placing, side, 6, fused)


def test_placings_of_one_shape_are_all_there_once():
    found = placings(2, 2)
    assert len(found) == len(set(found)) == 16
    assert set(TWO_OF_EACH) <= set(found)
    assert all(sorted(p) == sorted("CC|TT") for p in TWO_OF_EACH)
    assert len({tuple(sorted(p)) for p in FOUR_STAGES.values()}) == 1


@pytest.mark.parametrize("placing", ["", "CC||T", "CX|T", "|C", "ct"])
def test_what_is_no_placing_is_refused(placing):
    with pytest.raises(WorkbenchError, match="a placing is made of"):
        stages_of(placing)


def test_asymmetric_is_the_cheapest_and_reversed_the_dearest_of_one_multiset():
    price = {name: multiply_adds(p, 56, 64, fused=0) for name, p in FOUR_STAGES.items()}
    assert price["asymmetric"] < price["interleaved"] < price["reversed"]
    for side in (16, 32, 64):
        two = {p: multiply_adds(p, side, ascan.equal_width(p)) for p in TWO_OF_EACH}
        assert min(two, key=two.__getitem__) == "CC|TT"
        assert two["CT|CT"] == two["TC|TC"]
    few = {p: multiply_adds(p, 16, 16) for p in ("CC|TT", "TT|CC")}  # at equal widths a fused C is dearer
    assert few["TT|CC"] < few["CC|TT"]


@torch.no_grad()
def test_blocks_stand_as_the_placing_says_and_keep_shapes():
    net = AsCAN("CT|TTC", 8, inputs=1, outputs=4).eval()
    assert kinds(net) == "CTTTC"
    assert net(torch.randn(2, 1, 40, 24)).shape == (2, 4)
    pixels = AsCAN("C|T", 8, inputs=1, outputs=4, stem=0, pixels=True).eval()
    assert pixels(torch.randn(2, 1, 6, 10)).shape == (2, 4, 6, 10)


@torch.no_grad()
def test_a_pixel_of_the_last_stage_answers_for_its_square():
    torch.manual_seed(0)
    found = AsCAN("C|T|T", 4, inputs=1, outputs=2, stem=0, pixels=True).eval()(torch.randn(1, 1, 8, 12))
    squares = found.unflatten(3, (-1, 4)).unflatten(2, (-1, 4))
    assert torch.equal(squares, squares[:, :, :, :1, :, :1].expand_as(squares))
    assert not torch.allclose(found[..., 0, 0], found[..., 4, 4])


@pytest.mark.parametrize("fused", [False, True])
@torch.no_grad()
def test_c_begins_as_the_identity_and_has_its_parts(fused):
    block, x = ConvBlock(6, fused).eval(), torch.randn(2, 6, 5, 7)
    torch.testing.assert_close(block(x), x)
    names = [type(part).__name__ for part in block.modules()]
    assert "SqueezeExcite" in names
    assert ("DepthwiseConv2d" in names) is not fused


@torch.no_grad()
def test_t_is_softmax_attention_and_a_feed_forward_written_out():
    torch.manual_seed(0)
    block, x = TransformerBlock(6, 2).double(), torch.randn(1, 6, 3, 4, dtype=torch.double)
    attention = block[0].branch
    y = attention[0](x)
    asked = attention[1].ask(y)[0].flatten(1).unflatten(0, (3, 2, 3))  # [3, heads, dim, pixels]
    weights = (asked[0].mT @ asked[1] / 3**0.5).softmax(-1)
    mixed = (asked[2] @ weights.mT).flatten(0, 1).view(1, 6, 3, 4)
    inner = x + attention[1].answer(mixed)
    torch.testing.assert_close(block(x), inner + block[1].branch(inner))


@torch.no_grad()
def test_the_unet_is_the_placing_and_its_mirror():
    assert mirrored("CC|CT|T") == "T|TC|CC"
    net = AsCANUNet("CC|CT|T", 4, inputs=2, outputs=3).eval()
    assert kinds(net.down) == "CCCTT"
    assert kinds(net.up) == "TTCCC"
    assert [kinds(row) for row in net.up] == [kinds(row)[::-1] for row in reversed(net.down)]
    x = torch.randn(1, 2, 8, 12)
    assert net(x).shape == (1, 3, 8, 12)
    with pytest.raises(WorkbenchError, match="divisible by 4"):
        net(x[..., :10])


@torch.no_grad()
def test_the_unet_uses_what_it_found_on_the_way_down():
    torch.manual_seed(0)
    net, x = AsCANUNet("C|T", 4, inputs=1).eval(), torch.randn(1, 1, 4, 4)
    before = net(x)
    net.joins[0].weight[:, 4:] = 0  # what came from the side
    assert not torch.allclose(net(x), before)


@pytest.mark.parametrize("placing", TWO_OF_EACH)
def test_compared_networks_have_equal_parameters_to_a_tenth(placing):
    def size(net: nn.Module) -> int:
        return sum(p.numel() for p in net.parameters())

    ours = size(ascan.network(placing, ascan.equal_width(placing)))
    assert abs(ours / size(ascan.network("CC|TT")) - 1) <= 0.1


@pytest.mark.parametrize("claim", [claim.id for claim in SYSTEM.claims if not claim.needs])
def test_claims_and_controls_run(claim):
    record = run_claim(SYSTEM, claim, "smoke")
    assert record.value is not None
    assert record.control_value is not None
