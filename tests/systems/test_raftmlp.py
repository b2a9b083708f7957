"""RaftMLP: counts, embedding by hand, resizing around token blocks, and the small networks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers import MLPMixing, RaftMixing
from workbench.systems.attention_shapes import raftmlp
from workbench.systems.attention_shapes.raftmlp import (
    SYSTEM,
    AtTrainedSize,
    Level,
    MultiScaleEmbedding,
    RaftLevel,
    RaftMLP,
)

LEVELS = (Level(8, 1, 2, (2, 4)), Level(16, 2, 2, (2,)))


def by_formula(levels, image=224, classes=1000):
    """Parameters, counted by hand."""
    total, before, side = 0, 3, image
    for level in levels:
        side //= level.patch
        total += (before * sum(k * k for k in level.kernels) + 1) * level.width
        line, width = level.raft * side, level.width
        axis = 2 * width + line * 2 * line + 2 * line + 2 * line * line + line
        channel = 2 * width + width * 4 * width + 4 * width + 4 * width * width + width
        total += level.depth * (2 * axis + channel)
        before = width
    return total + 2 * before + (before + 1) * classes


def test_parameters_follow_from_the_published_settings():
    for levels in raftmlp.SIZES.values():
        with torch.device("meta"):
            found = sum(p.numel() for p in RaftMLP(levels).parameters())
        assert found == by_formula(levels)
    assert by_formula(raftmlp.SIZES["S"]) == 9_868_768


def test_an_embedding_sees_its_patches_and_their_surroundings():
    torch.manual_seed(0)
    embedding = MultiScaleEmbedding(2, 5, 2, (2, 4)).double()
    x = torch.randn(1, 2, 6, 8, dtype=torch.double)
    wide = F.pad(x, (1, 1, 1, 1))
    tokens = embedding(x)
    assert tokens.shape == (1, 5, 3, 4)
    for row in range(3):
        for column in range(4):
            near = x[0, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].flatten()
            around = wide[0, :, 2 * row : 2 * row + 4, 2 * column : 2 * column + 4].flatten()
            expected = embedding.linear(torch.cat([near, around]))
            torch.testing.assert_close(tokens[0, :, row, column], expected)


def test_a_part_is_resized_both_ways_and_left_alone_at_its_size():
    seen = []

    class Watching(nn.Module):
        def forward(self, x):
            seen.append(tuple(x.shape[2:]))
            return 2 * x

    part = AtTrainedSize(Watching(), (4, 4))
    x = torch.randn(1, 1, 4, 4)
    assert torch.equal(part(x), 2 * x)
    y = torch.randn(1, 1, 6, 5)
    there = F.interpolate(y, (4, 4), mode="bicubic", align_corners=False)
    expected = F.interpolate(2 * there, (6, 5), mode="bicubic", align_corners=False)
    torch.testing.assert_close(part(y), expected)
    assert seen == [(4, 4), (4, 4)]


def test_every_block_of_tokens_is_resized_and_no_perceptron_of_channels():
    level = RaftLevel(3, Level(8, 2, 2, (2, 4)), side=8)
    resized = [isinstance(block, AtTrainedSize) for block in level.blocks]
    assert resized == [True, False, True, False]
    assert level(torch.randn(2, 3, 12, 10)).shape == (2, 8, 6, 5)
    assert level(torch.randn(2, 3, 11, 7)).shape == (2, 8, 6, 4)  # stretched to 12 x 8


def test_every_parameter_gets_a_gradient():
    model = RaftMLP(LEVELS, image=16, inputs=1, outputs=3, drop=0.0)
    model(torch.randn(4, 1, 16, 16)).square().sum().backward()
    assert all((p.grad != 0).any() for p in model.parameters())


def test_all_sizes_of_images_are_taken():
    model = RaftMLP(LEVELS, image=16, inputs=1, outputs=3).eval()
    for height, width in ((16, 16), (24, 24), (9, 30), (1, 1)):
        assert model(torch.randn(2, 1, height, width)).shape == (2, 3)


def test_what_does_not_fit_is_refused_in_a_sentence():
    with pytest.raises(WorkbenchError, match="begin with the patch 2"):
        MultiScaleEmbedding(1, 4, 2, (4, 2))
    with pytest.raises(WorkbenchError, match="even distance"):
        MultiScaleEmbedding(1, 4, 2, (2, 3))
    with pytest.raises(WorkbenchError, match="at least one level"):
        RaftMLP(())


# The small networks ---------------------------------------------------------------------------


def test_who_mixes_with_how_many_parameters():
    count = {name: raftmlp.mixing_parameters(raftmlp.small(name)) for name in raftmlp.MIXINGS}
    assert count["rafts"] == count["columns only"]
    assert abs(count["no rafts"] / count["rafts"] - 1) < 0.03
    assert count["mixer"] > 5 * count["rafts"]


def test_rafts_save_only_while_they_are_short():
    """About raft**2 * (height**2 + width**2) against (height * width)**2: the limit is height / root of 2."""

    def count(mixing):
        return sum(p.numel() for p in mixing.parameters())

    full = count(MLPMixing(8))
    assert count(RaftMixing(15, 8, raft=5)) < full < count(RaftMixing(18, 8, raft=6))


def test_columns_only_never_cross_columns():
    mixing = raftmlp.ColumnsOnly(4).double()
    x = torch.randn(1, 4, 8, 8, dtype=torch.double)
    moved = x.clone()
    moved[..., 3] += torch.randn(4, 8)
    changed = (mixing(moved) - mixing(x)).abs().sum((0, 1, 2)) > 0
    assert changed.tolist() == [column == 3 for column in range(8)]


def test_shuffled_pictures_have_the_same_patches():
    X = torch.rand(3, 1, 8, 8)
    plain, shuffled = (raftmlp.seen_at(X, 16, shuffled=flag) for flag in (False, True))
    patches = [F.unfold(x, 2, stride=2).mT for x in (plain, shuffled)]
    assert not torch.equal(*patches)
    assert torch.equal(*(one[0].sum(1).sort().values for one in patches))
    assert torch.equal(raftmlp.seen_at(X, 16, shuffled=True), shuffled)


@pytest.mark.parametrize(
    "claim", [claim for claim in SYSTEM.claims if not claim.needs], ids=lambda claim: claim.id
)
def test_claims_and_controls_execute(claim, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    for run in (claim.measure, claim.control):
        found = run(0, "smoke")
        assert np.isfinite(getattr(found, "value", found))
