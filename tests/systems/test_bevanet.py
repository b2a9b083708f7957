"""Cross-shaped gates, kernel selection, the two branches, their losses, and the claims."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers import KernelGate, VisualAttentionBlock, gates
from workbench.probes import effective_field, receptive_field
from workbench.systems.receptive_fields import bevanet
from workbench.systems.receptive_fields.bevanet import (
    ARMS,
    BGAF,
    CKS,
    DLKPPM,
    GATES,
    IGNORED,
    LSKA,
    SDLSKA,
    SYSTEM,
    Addition,
    BEVANet,
    Outputs,
    PagFM,
    StrangeBoundary,
    balanced_bce,
    bevanet_loss,
    boundary_f1,
    boundary_mix,
    boundary_of,
    gated_net,
    horizon_net,
    kernel_selection,
    learning_rate,
    mini,
    ohem,
)

SHAPES = [(1, 1), (5, 4), (40, 37)]


def lived_in(module: nn.Module, seed: int = 3) -> nn.Module:
    """Parameters and statistics that are nothing special, in float64 and evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            values = torch.rand(tensor.shape, generator=generator)
            positive = "running_var" in name or (tensor.ndim == 1 and name.endswith("weight"))
            tensor.copy_(values + 0.5 if positive else (values - 0.5))
    return module.double().eval()


def image(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# Gates ----------------------------------------------------------------------------------------


def dense_cross(gate: SDLSKA) -> tuple[torch.Tensor, torch.Tensor]:
    """The depthwise kernel that equals a cross with added looks, tap by tap, and its bias inside."""
    small, down, across = gate.local.weight, gate.down.weight, gate.across.weight
    reach, dilation = gate.down.dilation[0] * (down.shape[2] - 1) + small.shape[2], gate.down.dilation[0]
    kernel = torch.zeros(small.shape[0], reach, reach, dtype=small.dtype)
    middle, half = reach // 2, small.shape[2] // 2
    for c in range(small.shape[0]):
        for arm, step in (
            (down[c, 0, :, 0], (dilation, 0)),
            (across[c, 0, 0], (0, dilation)),
            ([1.0], (0, 0)),
        ):
            for n, tap in enumerate(arm):
                y = middle + (n - len(arm) // 2) * step[0]
                x = middle + (n - len(arm) // 2) * step[1]
                kernel[c, y - half : y + half + 1, x - half : x + half + 1] += tap * small[c, 0]
    bias = gate.local.bias * (1 + down.sum((1, 2, 3)) + across.sum((1, 2, 3)))
    return kernel[:, None], bias + gate.down.bias + gate.across.bias


@pytest.mark.parametrize("reach", ARMS)
def test_a_cross_is_one_dense_kernel_away_from_the_border(reach):
    gate = lived_in(SDLSKA(3, reach))
    x = image(2, 3, reach + 6, reach + 3)
    kernel, bias = dense_cross(gate)
    inside = F.conv2d(x, kernel, bias, groups=3)
    far = reach // 2
    torch.testing.assert_close(
        gate.attention(x)[..., far:-far, far:-far], F.conv2d(inside, gate.mix.weight, gate.mix.bias)
    )


@pytest.mark.parametrize("reach", [23, 35])
def test_a_cross_is_not_a_square(reach):
    gate = lived_in(SDLSKA(1, reach))
    kernel, _ = dense_cross(gate)
    seen = kernel[0, 0] != 0
    assert seen.sum() == 2 * 5 * reach - 25
    assert receptive_field(gate, (1, 1, 51, 51)).size == (reach, reach)
    taps = sum(conv.weight.numel() for conv in (gate.local, gate.across, gate.down))
    square = KernelGate(1, *ARMS[reach])
    assert taps == {23: 39, 35: 47}[reach]
    assert square.local.weight.numel() + square.wide.weight.numel() == {23: 74, 35: 146}[reach]


def test_effective_field_of_a_cross_leaves_the_corners_dark():
    field = effective_field(lived_in(SDLSKA(2, 23)).float(), image(2, 2, 41, 41).float()).map
    assert field[20, 31] > 0
    assert field[31, 20] > 0
    assert field[29, 29] == 0


@pytest.mark.parametrize("gate", [SDLSKA(3, 11), SDLSKA(3, 23, CKS(3, 4)), LSKA(3, 23), KernelGate(3)])
@pytest.mark.parametrize("shape", SHAPES)
def test_gates_multiply_by_a_map_of_any_sign(gate, shape):
    gate = lived_in(gate)
    x = image(2, 3, *shape).transpose(2, 3)  # not contiguous
    out = gate(x)
    torch.testing.assert_close(out, x * gate.attention(x))
    assert out.shape == x.shape
    torch.testing.assert_close(gate(torch.zeros_like(x)), torch.zeros_like(x))


def test_the_separable_square_is_a_product_of_rows_and_columns():
    gate = lived_in(LSKA(1, 11))
    x = torch.zeros(1, 1, 31, 31, dtype=torch.float64)
    nothing = gate.attention(x)
    x[0, 0, 15, 15] = 1
    response = (gate.attention(x) - nothing)[0, 0, 10:21, 10:21]
    assert torch.linalg.matrix_rank(response, atol=1e-12) == 1
    assert (response != 0).all()
    with pytest.raises(WorkbenchError, match="reaches 7, 11, 23, 35 pixels, but 13 came"):
        SDLSKA(1, 13)


# Kernel selection -----------------------------------------------------------------------------


def test_selection_weighs_every_look_by_channel_and_by_place():
    select, looks = lived_in(CKS(4, 3)), [image(2, 4, 5, 6, seed=n) for n in range(3)]
    weights = select.weights(*looks)
    by_hand = torch.zeros(2, 4, 5, 6, dtype=torch.float64)
    for look, (channel, place) in zip(looks, weights, strict=True):
        assert 0.5 <= channel.min() <= channel.max() < 1
        assert channel.shape == (2, 4, 1, 1)
        assert place.shape == (2, 1, 5, 6)
        assert 0 < place.min() <= place.max() < 1
        for n in range(2):
            for c in range(4):
                by_hand[n, c] += look[n, c] * channel[n, c, 0, 0] * place[n, 0]
    torch.testing.assert_close(select(*looks), by_hand)


def test_selection_without_opinion_takes_a_quarter_of_the_sum():
    select, looks = CKS(4, 3).eval(), [image(2, 4, 5, 6, seed=n).float() for n in range(3)]
    for parameter in select.parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(select(*looks), sum(looks) / 4)


def test_selection_maps_of_a_network():
    net, X = gated_net("cross, selected"), image(2, 1, 13, 12).float()
    first, second = kernel_selection(net, X)
    assert first["local"].shape == second["across"].shape == (2, 7, 6)
    assert first["channels"].shape == (2, 3, 20)
    with pytest.raises(WorkbenchError, match="has none"):
        kernel_selection(gated_net("cross"), X)


def test_a_selection_of_another_image_reads_that_image():
    strange = lived_in(bevanet.StrangeSelection(3, 4))
    own = lived_in(CKS(3, 4))
    looks = [image(2, 3, 4, 4, seed=n) for n in range(3)]
    torch.testing.assert_close(strange.weights(*looks)[2][1], own.weights(*looks)[2][1].roll(1, 0))


# Two branches ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (2, 3)])
def test_boundary_mix_pixel_by_pixel(shape):
    p, i, b = (image(2, 3, *shape, seed=n) for n in range(3))
    mixed = boundary_mix(p, i, b)
    for at in np.ndindex(*p.shape):
        s = 1 / (1 + np.exp(-b[at].item()))
        assert mixed[at].item() == pytest.approx((1 + s) * p[at].item() + (2 - s) * i[at].item())
    torch.testing.assert_close(boundary_mix(p, i, torch.full_like(b, 1e4)), 2 * p + i)
    torch.testing.assert_close(boundary_mix(p, i, torch.full_like(b, -1e4)), p + 2 * i)


def test_fusions_differ_in_the_mix_alone():
    nets = [lived_in(kind(2)) for kind in (BGAF, Addition, StrangeBoundary)]
    p, i, b = (image(2, 2, 6, 5, seed=n) for n in range(3))
    fused, added, strange = (net(p, i, b) for net in nets)
    torch.testing.assert_close(strange, nets[0](p, i, b.roll(1, 0)))
    torch.testing.assert_close(added, nets[0].out(nets[0].detail(p) + nets[0].semantic(i)))
    assert not torch.allclose(fused, added)


def test_the_fine_branch_takes_from_the_coarse_one_where_they_agree():
    fusion = lived_in(PagFM(3, 2))
    detail, semantic = image(2, 3, 7, 5), image(2, 3, 4, 2, seed=1)
    share = fusion.agreement(detail, semantic)
    up = F.interpolate(semantic, size=(7, 5), mode="bilinear", align_corners=False)
    torch.testing.assert_close(fusion(detail, semantic), detail + share * (up - detail))
    key, query = fusion.key(detail), fusion.query(up)  # 1 x 1 and norm commute with stretching
    by_hand = torch.sigmoid((key * query).sum(1, keepdim=True))
    torch.testing.assert_close(share, by_hand)
    torch.testing.assert_close(fusion(detail, detail), detail)


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (9, 14)])
def test_the_pyramid_sees_everything_and_keeps_the_size(shape):
    pyramid = lived_in(DLKPPM(4, 3, 5, reach=7))
    x = image(2, 4, *shape).requires_grad_()
    out = pyramid(x)
    assert out.shape == (2, 5, *shape)
    (grad,) = torch.autograd.grad(out[:, :, 0, 0].sum(), x)
    assert (grad.abs().sum(1) > 0).all()


# The network ----------------------------------------------------------------------------------


def test_the_published_network_has_the_published_size():
    with torch.device("meta"):
        parameters = sum(p.numel() for p in BEVANet().parameters())
    assert parameters == pytest.approx(58.6e6, rel=0.01)


@pytest.mark.parametrize("shape", [(48, 48), (33, 50), (5, 3)])
def test_all_outputs_have_the_size_of_the_image(shape):
    net, x = mini(classes=3, planes=2), image(2, 1, *shape).float()
    logits, auxiliary, boundary = net(x)
    assert logits.shape == auxiliary.shape == (2, 3, *shape)
    assert boundary.shape == (2, 1, *shape)
    net.eval()
    alone = net(x)
    assert alone.shape == (2, 3, *shape)
    assert net.boundary(x).shape == (2, *shape)
    torch.testing.assert_close(net(x[:1]), alone[:1], rtol=1e-4, atol=1e-5)


def test_every_parameter_learns():
    net, x = mini(classes=3, planes=2), image(3, 1, 48, 48).float()
    labels = torch.zeros(3, 48, 48, dtype=torch.long)
    labels[:, 20:30, 10:24] = 1
    bevanet_loss(net(x), labels).backward()
    silent = [name for name, p in net.named_parameters() if p.grad is None]
    assert silent == []


def test_impossible_networks_and_batches_are_a_sentence():
    with pytest.raises(WorkbenchError, match="stride is 1, 2 or 4, but 3 came"):
        BEVANet(stem=3)
    with pytest.raises(WorkbenchError, match="batches of 2 images or more"):
        mini(classes=3, planes=2)(torch.zeros(1, 1, 16, 16))


def test_horizon_nets_have_equal_parameters_where_they_should():
    size = {kind: sum(p.numel() for p in horizon_net(kind).parameters()) for kind in (*GATES, "3 x 3")}
    assert size["3 x 3"] == pytest.approx(size["cross"], rel=0.1)
    assert size["cross, selected"] == size["cross, selection of another image"] > size["cross"]
    assert size["square"] > size["cross"] > size["no arms"]
    assert all(isinstance(block, VisualAttentionBlock) for block in gated_net("cross").blocks)
    assert len(gates(gated_net("square"))) == 2


# Losses and scores ----------------------------------------------------------------------------


def test_hard_pixels_by_hand():
    chances = torch.tensor([0.95, 0.2, 0.6, 0.99])
    logits = torch.log(torch.stack([chances, 1 - chances]))[None, :, None]
    labels = torch.zeros(1, 1, 4, dtype=torch.long)
    hard = -(torch.log(torch.tensor([0.2, 0.6]))).mean()
    torch.testing.assert_close(ohem(logits, labels), hard)
    torch.testing.assert_close(ohem(logits, labels, sure=0.1, least=0.5), hard)
    labels[0, 0, 1] = IGNORED
    torch.testing.assert_close(ohem(logits, labels), -torch.log(torch.tensor(0.6)))
    assert ohem(logits, labels.fill_(IGNORED)) == 0


def test_easy_images_still_teach():
    logits = torch.zeros(1, 2, 4, 4)
    logits[:, 0] = 50.0
    assert torch.isfinite(ohem(logits, torch.zeros(1, 4, 4, dtype=torch.long)))


def test_boundary_of_labels_against_loops():
    labels = torch.from_numpy(np.random.default_rng(0).integers(0, 3, (2, 6, 7)).repeat(2, axis=1))
    found = boundary_of(labels)
    for n, y, x in np.ndindex(*labels.shape):
        around = labels[n, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        assert bool(found[n, y, x]) == (len(around.unique()) > 1)
    assert not boundary_of(torch.full((1, 5, 5), 2)).any()


def test_balanced_cross_entropy_gives_both_answers_the_same_say():
    target = torch.zeros(1, 10, 10)
    target[0, 0] = 1
    logits = torch.zeros_like(target, requires_grad=True)
    loss = balanced_bce(logits, target)
    loss.backward()
    torch.testing.assert_close(loss.detach(), torch.tensor(2 * 0.1 * 0.9 * np.log(2)).float())
    torch.testing.assert_close(logits.grad[target > 0].sum(), -logits.grad[target == 0].sum())


def test_the_whole_loss_is_its_four_parts():
    labels = torch.zeros(2, 8, 8, dtype=torch.long)
    labels[:, 3:6, 3:6] = 1
    outputs = Outputs(image(2, 3, 8, 8), image(2, 3, 8, 8, seed=1), 3 * image(2, 1, 8, 8, seed=2))
    edges = labels.masked_fill(torch.sigmoid(outputs.boundary[:, 0]) <= 0.8, IGNORED)
    parts = (
        0.4 * F.cross_entropy(outputs.auxiliary, labels),
        ohem(outputs.logits, labels),
        20 * balanced_bce(outputs.boundary[:, 0], boundary_of(labels).double()),
        ohem(outputs.logits, edges),
    )
    torch.testing.assert_close(bevanet_loss(outputs, labels), sum(parts))
    torch.testing.assert_close(bevanet_loss(outputs.logits, labels), parts[1])


def test_boundary_f1_of_known_maps():
    square = torch.zeros(1, 12, 12, dtype=torch.long)
    square[0, 4:8, 4:8] = 1
    assert boundary_f1(square, square) == 1
    assert boundary_f1(square.roll(1, 2), square) == 1
    assert boundary_f1(square.roll(3, 2), square) < 0.9
    assert boundary_f1(torch.zeros_like(square), square) == 0
    assert boundary_f1(torch.zeros_like(square), torch.ones_like(square)) == 1


def test_the_published_learning_rate():
    assert learning_rate(0, 100) == 0.008
    assert learning_rate(100, 100) == 0
    assert learning_rate(50, 100) == pytest.approx(0.008 * 0.5**0.9)


# Claims ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", SYSTEM.claims, ids=lambda claim: claim.id)
def test_claims_and_controls_execute_in_the_smoke_budget(claim, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    for measure in (claim.measure, claim.control):
        found = measure(0, "smoke")
        assert found.value == pytest.approx(found.system - found.baseline)


def test_erased_strips_are_scored_one_by_one(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    run = bevanet.trained("cross", 0, "smoke")
    scores = bevanet.erased_scores(run, 0, [1.0, 0.0])
    assert len(scores) == 2
    assert all(0 <= score <= 1 for score in scores)
