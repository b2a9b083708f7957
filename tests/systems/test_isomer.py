"""Isomer against loops, masks and its own counts; what the rows say; claims."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from workbench_datasets import load

from workbench.claims import run_claim
from workbench.errors import WorkbenchError
from workbench.layers import SelfAttention2d
from workbench.probes import attention, probe
from workbench.systems.attention_shapes import isomer
from workbench.systems.attention_shapes.isomer import (
    ARMS,
    SMALL,
    SWIN_T,
    SYSTEM,
    PostNormAttention,
    Segmenter,
    block,
    fusion_work,
    fusions,
    jaccard,
    multiply_adds,
    own_kind,
    rows_alike,
    tokens_of,
    with_shared_rows,
)

OF_ONE_STEP = (
    "accuracy",
    "accuracy-moving-camera",
    "accuracy-lowest-shared",
    "levels",
    "one-row-is-enough",
    "one-row-on-both-low-levels",
)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("form", ["fused", "formed"])
def test_vanilla_attention_is_the_self_attention_of_the_book(form):
    part, other = PostNormAttention(8, 2), SelfAttention2d(8, 2)
    part.form = form
    for mine, theirs in ((other.ask, part.ask), (other.answer, part.answer)):
        mine.weight.data = theirs.weight.data[:, :, None, None]
        mine.bias.data = theirs.bias.data
    x = noise(2, 8, 3, 5).mT  # not contiguous
    expected = F.layer_norm((x + other(x)).permute(0, 2, 3, 1), (8,)).permute(0, 3, 1, 2)
    torch.testing.assert_close(part(x), expected, rtol=1e-5, atol=1e-5)


def test_the_released_sizes_of_levels():
    assert tokens_of(512) == [16384, 4096, 1024, 256]
    assert [isomer.merged_at(n) for n in tokens_of(512)[2:]] == [121, 30]


@pytest.mark.parametrize("kind", ["vanilla", "context", "gather"])
@pytest.mark.parametrize(("side", "merged"), [(6, 3), (4, 2), (3, 20)])
def test_counts_are_those_of_the_operators(kind, side, merged):
    """Except for what the formula leaves out and torch has as no product, and padding, of which there is none
    for one image."""
    c, n = 16, side * side
    fuse = isomer.Fusion(c, block(kind, c, merged)).eval()
    X = noise(1, 2 * c, side, side)
    total = probe(_Split(fuse), X).total
    mine = multiply_adds(kind, c, n, merged)
    if kind == "context":
        mine -= n * c  # the sum over pixels is a product of numbers and a sum, not a product of matrices
    assert total.macs == mine


class _Split(nn.Module):
    """A fusion of the first and the second half of the channels."""

    def __init__(self, fuse: nn.Module) -> None:
        super().__init__()
        self.fuse = fuse

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.fuse(*x.chunk(2, 1))
        return out


def test_all_that_is_saved_is_saved_by_context_sharing():
    for image, widths in ((128, SMALL), (256, SMALL), (512, SWIN_T)):
        whole, isomerous, gathering = (
            sum(fusion_work(name, image, widths)) for name in ("vanilla", "isomer", "gathering alone")
        )
        assert isomerous < whole
        assert (gathering < whole) == (image == 512)


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_answers_each_pixel_and_every_part_learns(name):
    torch.manual_seed(0)
    model = Segmenter(ARMS[name], (8, 8, 16, 16), heads=2, expansion=2, head=4)
    for part in model.modules():  # what starts with 0 hides what lies behind it
        if isinstance(part, isomer.ContextSharing):
            nn.init.normal_(part.mlp[-1].weight)
    out = model(noise(3, 3, 64, 64))
    assert out.shape == (3, 1, 64, 64)
    out.square().mean().backward()
    without = [key for key, p in model.named_parameters() if p.grad is None]
    assert all(".heat" in key for key in without) or not without


def test_levels_without_a_width_are_refused():
    with pytest.raises(WorkbenchError, match="4 kinds, 3 widths"):
        fusions(ARMS["isomer"], (8, 8, 8), (1, 1, 1))
    with pytest.raises(WorkbenchError, match="vanilla, context or gather"):
        block("other", 8, 1)  # type: ignore[arg-type]


def test_jaccard_by_hand():
    Y = torch.zeros(3, 1, 2, 2)
    Y[0, 0, 0], Y[1, 0, 0, 0] = 1, 1
    found = torch.zeros(3, 1, 2, 2) - 1
    found[0, 0, :, 0] = 1  # one in common, three covered
    assert jaccard(found, Y) == pytest.approx((1 / 3 + 0 + 1) / 3)
    assert jaccard(2 * Y - 1, Y) == 1


def test_row_measures_against_loops():
    map = noise(2, 3, 16, 16).softmax(-1)
    masks = torch.zeros(2, 1, 8, 8)
    masks[0, :, :4], masks[1, :, :, :4] = 1, 1
    every, same, mixed = [], [], []
    for image in range(2):
        figure = F.adaptive_avg_pool2d(masks[image], 4).flatten() >= 0.5
        within, across = [], []
        for head in range(3):
            for i in range(16):
                for j in range(16):
                    if i != j:
                        one = F.cosine_similarity(map[image, head, i], map[image, head, j], dim=0).item()
                        every.append(one)
                        (within if figure[i] == figure[j] else across).append(one)
        same.append(sum(within) / len(within))
        mixed.append(sum(across) / len(across))
    assert rows_alike(map) == pytest.approx(sum(every) / len(every), abs=1e-6)
    assert own_kind(map, masks) == pytest.approx((sum(same) - sum(mixed)) / 2, abs=1e-6)


def test_row_measures_know_the_extremes():
    one_row = noise(2, 1, 1, 16).softmax(-1).expand(2, 1, 16, 16)
    assert rows_alike(one_row) == pytest.approx(1)
    assert rows_alike(torch.eye(16).expand(2, 1, 16, 16)) == pytest.approx(0)
    masks = torch.zeros(1, 1, 4, 4)
    masks[:, :, :2] = 1
    kind = masks.flatten()[:, None] == masks.flatten()
    assert own_kind((kind / 8.0)[None, None], masks) == pytest.approx(1)
    with pytest.raises(WorkbenchError, match="two tokens"):
        own_kind((kind / 8.0)[None, None], 0 * masks)


def test_one_row_for_all_is_the_mean_row_and_leaves_the_network_alone():
    model = isomer.arm("vanilla").eval()
    X = noise(2, 3, 64, 64)
    shared = with_shared_rows(model, (0, 2))
    with torch.no_grad():
        before, after = attention(model, X), attention(model, X)
    forms = [part.form for part in shared.modules() if isinstance(part, PostNormAttention)]
    assert forms == ["shared", "fused", "shared", "fused"]
    assert [one.shape[2] for one in before] == [256, 64, 16, 4]
    torch.testing.assert_close(before[1].probabilities(), after[1].probabilities())
    assert all(part.form == "fused" for part in model.modules() if isinstance(part, PostNormAttention))
    part = PostNormAttention(4, 1)
    x = noise(1, 4, 3, 3)
    rows = attention(part, x)[0].probabilities()
    part.form = "shared"
    tokens = x.flatten(2).mT
    values = part.ask(tokens)[..., 8:]
    mixed = rows.mean(2, keepdim=True)[:, 0] @ values
    expected = part.norm(tokens + part.answer(mixed)).mT.unflatten(2, (3, 3))
    torch.testing.assert_close(part(x), expected)


def test_without_attention_a_level_keeps_its_tokens_and_the_network_is_left_alone():
    model = isomer.arm("vanilla").eval()
    X = noise(2, 3, 64, 64)
    before = model(X)
    changed = isomer.without_attention(model, (1,))
    parts = [part for part in changed.modules() if isinstance(part, PostNormAttention)]
    x = noise(1, 24, 3, 3)
    normalised = F.layer_norm(x.permute(0, 2, 3, 1), (24,)).permute(0, 3, 1, 2)
    torch.testing.assert_close(parts[1](x), normalised)
    assert not torch.allclose(parts[0](noise(1, 16, 2, 2)), noise(1, 16, 2, 2))
    assert not torch.equal(changed(X), before)
    assert torch.equal(model(X), before)


def test_inputs_are_picture_and_flow_in_one_range():
    X, Y = isomer.inputs_of(load("moving-textures", images=3, camera="moving"))
    assert X.shape == (3, 3, 64, 64)
    assert Y.shape == (3, 1, 64, 64)
    assert X.abs().max() <= 1


def test_shuffled_scenes_differ_in_their_flow_alone():
    (X, Y), (other, Z) = (isomer.unseen_scenes("still", 0, "smoke", shuffled) for shuffled in (False, True))
    assert torch.equal(X[:, :1], other[:, :1])
    assert not torch.equal(X[:, 1:], other[:, 1:])
    assert torch.equal(Y, Z)


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """One build folder for all claims, so that a network is trained once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_BUILD", str(tmp_path_factory.mktemp("build")))
        yield


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize(
    "claim", [one for one in SYSTEM.claims if one.id not in OF_ONE_STEP], ids=lambda c: c.id
)
def test_claims_execute(claim):
    assert run_claim(SYSTEM, claim, "smoke").claim == claim.id


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize("id", OF_ONE_STEP)
def test_claims_on_networks_execute(id):
    """A network of one step may lose to anything, so the bar is out of reach."""
    claim = replace(SYSTEM.claim(id), bar=isomer.AtLeast(1000))
    assert run_claim(SYSTEM, claim, "smoke").claim == id
